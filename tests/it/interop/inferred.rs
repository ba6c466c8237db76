//! What ONNX alone has a form for: the three networks of a model that infers classes, and the prior of codes.

use super::{ROWS, assert_near, checkpoint, evaluator, examples, file, python};
use elbo::checkpoint::{Checkpoint, Tensor};
use elbo::config;
use elbo::data::{Dataset, Values};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::interop;
use elbo::plan::Role;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use elbo::session::{Purpose, Session, likeliest};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Ones among zeros.
fn ones(classes: &[u32], count: u32) -> Vec<f32> {
    classes.iter().flat_map(|&class| (0..count).map(move |other| f32::from(u8::from(other == class)))).collect()
}

fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Models that infer one of three classes: dense on numbers, on a table with holes, with images, and with stored log p(y).
fn inferring() -> Vec<(&'static str, Checkpoint)> {
    let own = [("model.condition", "inferred"), ("model.latent", "3"), ("model.classifier", "[7]")];
    let dense = [("model.hidden", "[9]"), ("model.class_prior", "labelled")];
    let mixed = [("model.hidden", "[12,9]"), ("model.likelihood", "heterogeneous")];
    let images =
        [("model.hidden", "[]"), ("model.encoder_layers", "[conv 4 kernel 3, silu]"), ("model.decoder", "[7]")];
    let made = |name: &'static str, more: &[(&str, &str)], shape| {
        let settings = own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        (name, checkpoint(name, settings.collect(), shape))
    };
    vec![
        made("inferred", &dense, [1, 1, 11]),
        made("mixed", &mixed, [1, 1, 9]),
        made("inferred-images", &images, [2, 5, 4]),
    ]
}

#[test]
fn classifier_encoder_and_decoder_of_m2_compute_what_the_program_computes() {
    for (name, checkpoint) in inferring() {
        let files = interop::onnx(&checkpoint, Path::new("run")).unwrap();
        let x = examples(&checkpoint);
        let mut run = Run::new(&checkpoint, Executor::Cpu(Cpu::new(2).unwrap())).unwrap();
        let log_q = run.classify(&x).unwrap();
        let found = evaluator::run(file(&files, "classifier.onnx"), &[&x]);
        assert_eq!(found.len(), 1);
        assert_near(name, &log_q, &found["log_probabilities"]);
        // The program encodes as the class that it infers.
        let classes = likeliest(&log_q, 3);
        let posterior = run.encode(&x).unwrap();
        let found = evaluator::run(file(&files, "encoder.onnx"), &[&x, &ones(&classes, 3)]);
        assert_near(name, &posterior.means, &found["mean"]);
        assert_near(name, &posterior.log_variances, &found["log_variance"]);
        let other: Vec<u32> = classes.iter().map(|class| (class + 1) % 3).collect();
        let as_others = evaluator::run(file(&files, "encoder.onnx"), &[&x, &ones(&other, 3)]);
        assert!(as_others["mean"] != found["mean"], "{name}: the encoder is told the class");
        let means = run.given(&other).decode(&posterior.means).unwrap();
        let found = evaluator::run(file(&files, "decoder.onnx"), &[&posterior.means, &ones(&other, 3)]);
        assert_near(name, &means, &found["mean"]);
        let config: serde_json::Value = serde_json::from_slice(file(&files, "config.json")).unwrap();
        let prior: Vec<f64> =
            config["class_log_prior"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let stored = checkpoint.parameters.iter().find(|(name, _)| name == "class_prior");
        let expected = stored.map_or(vec![-(3.0_f32.ln()); 3], |(_, tensor)| tensor.values.clone());
        assert_eq!((floats(&prior), stored.is_some()), (expected, name == "inferred"), "{name}");
        let card = String::from_utf8(file(&files, "README.md").to_vec()).unwrap();
        for part in ["`classifier.onnx`: `x` [batch, ", "All are ONNX", "numpy.float32)[log_q.argmax(1)]"] {
            assert!(card.contains(part), "{part} is not in {card}");
        }
    }
}

/// A prior of grids of codes and its session, told classes or not, with random parameters.
fn prior(told: bool) -> (Checkpoint, Session) {
    let settings = [
        ("prior_codes", "5"),
        ("prior_layers", "3"),
        ("prior_width", "4"),
        ("condition", if told { "label" } else { "none" }),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = config::resolve(Some("codes-prior"), &settings).unwrap();
    let values = Values::F32((0..40 * 12).map(|at| (at * at * 7 % 13 % 5) as f32).collect());
    let labels = told.then(|| (0..40).map(|at| at % 3).collect());
    let data = Dataset::new("grids", [1, 3, 4], values, labels, 0, 0).unwrap();
    let classes = told.then(|| ["a", "b", "c"].map(str::to_owned).to_vec());
    let data = Dataset { classes: classes.clone(), ..data };
    let mut session = Session::new(config.clone(), data, Executor::Cpu(Cpu::new(2).unwrap())).unwrap();
    session.plan(Purpose::Train).unwrap();
    let mut random = Philox::new(7, Stream::Choice, 1, 0);
    let mut checkpoint = checkpoint("prior", vec![], [1, 3, 4]);
    checkpoint.parameters.clear();
    for (range, (name, shape)) in session.ranges().into_iter().zip(session.expected()) {
        let scale = 1.4 / (shape[0] as f32).sqrt();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| scale * random.normal()).collect();
        session.executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
        checkpoint.parameters.push((name, Tensor { shape, values }));
    }
    checkpoint.config = config;
    checkpoint.progress.data.classes = classes;
    (checkpoint, session)
}

#[test]
fn the_prior_of_codes_computes_the_logits_that_the_program_draws_from() {
    let outside = python();
    for told in [false, true] {
        let (checkpoint, mut session) = prior(told);
        let grids: Vec<u32> = (0..ROWS as u32 * 12).map(|at| (at * 11 + at * at) % 5).collect();
        let classes: Vec<u32> = if told { (0..ROWS as u32).map(|row| row % 3).collect() } else { vec![] };
        let mut expected = vec![0.0; ROWS * 5 * 12];
        for cell in 0..12 {
            let logits = session.next_logits_as(&grids, &classes, cell).unwrap();
            for (at, logit) in logits.into_iter().enumerate() {
                expected[at * 12 + cell] = logit;
            }
        }
        let files = interop::prior(&checkpoint, Path::new("run")).unwrap();
        let bytes = file(&files, "prior.onnx");
        assert_eq!(evaluator::versions(bytes), (17, 8));
        let (given, class) = (grids.iter().map(|&code| code as f32).collect::<Vec<_>>(), ones(&classes, 3));
        let found = evaluator::run(bytes, &[&given, &class]);
        assert!(expected.iter().any(|logit| logit.abs() > 0.5), "logits without a spread");
        assert_near("the prior", &expected, &found["logits"]);
        let Some(python) = &outside else { continue };
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        // The lines of the card draw a grid, and the file gives the logits of given ones.
        let script = "import sys, numpy, onnxruntime\n\
                      known = {}\n\
                      exec(open('README.md').read().split('```python\\n')[1].split('```')[0], known)\n\
                      codes = numpy.array(eval(sys.argv[1]), numpy.int64).reshape(-1, 12)\n\
                      rows = {'codes': codes}\n\
                      if sys.argv[2] != '[]':\n    rows['class'] = numpy.eye(3, dtype=numpy.float32)[eval(sys.argv[2])]\n\
                      logits, = known['prior'].run(['logits'], rows)\n\
                      assert logits.shape == (len(codes), 5, 12) and known['codes'].max() < 5\n\
                      print(*logits.ravel().tolist())\n";
        let mut command = Command::new(python);
        command.current_dir(folder.path()).args(["-c", script, &format!("{grids:?}"), &format!("{classes:?}")]);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let text = String::from_utf8(done.stdout).unwrap();
        let found: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        assert_near("the prior in onnxruntime", &expected, &found);
    }
}

#[test]
fn m2_computes_the_same_in_onnxruntime() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, checkpoint) in inferring() {
        let at = folder.path().join(name);
        fs::create_dir(&at).unwrap();
        for (name, bytes) in interop::onnx(&checkpoint, Path::new("run")).unwrap() {
            fs::write(at.join(name), bytes).unwrap();
        }
        let x = examples(&checkpoint);
        let mut run = Run::new(&checkpoint, Executor::Cpu(Cpu::new(2).unwrap())).unwrap();
        let log_q = run.classify(&x).unwrap();
        let posterior = run.encode(&x).unwrap();
        let means = run.given(&likeliest(&log_q, 3)).decode(&posterior.means).unwrap();
        let width = x.len() / ROWS;
        for (name, values, width) in
            [("x", &x, width), ("log_q", &log_q, 3), ("mean", &posterior.means, 3), ("again", &means, width)]
        {
            elbo::report::npy::save(&at.join(format!("{name}.npy")), values, &[ROWS, width]).unwrap();
        }
    }
    // The lines of the card, on other examples than the one that they show.
    let script = "import glob, os, numpy\n\
                  for folder in glob.glob(os.getcwd() + '/*'):\n    \
                  os.chdir(folder)\n    \
                  lines = open('README.md').read().split('```python\\n')[1].split('```')[0].splitlines()\n    \
                  known = {}\n    \
                  exec('\\n'.join('x = numpy.load(\\'x.npy\\')' if line.startswith('x = ') else line for line in lines), known)\n    \
                  for name in ['log_q', 'mean', 'again']:\n        \
                  assert numpy.abs(known[name] - numpy.load(name + '.npy')).max() < 1e-4, (folder, name)\n";
    let done = Command::new(python).current_dir(folder.path()).args(["-c", script]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}
