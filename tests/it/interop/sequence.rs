//! Models of sequences outside: posteriors, logits and single steps of the decoder in onnxruntime.

use super::{assert_outputs_in_onnxruntime, python};
use elbo::checkpoint::Checkpoint;
use elbo::config;
use elbo::data;
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::interop;
use elbo::model::tasks::EXPLAIN;
use elbo::report::npy;
use elbo::rng::Stream;
use elbo::session::{BATCH, Purpose, Session};
use elbo::train::Member;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A session whose parameters are no first ones, and its checkpoint: norms and biases begin with ones and zeros.
fn session(folder: &Path, settings: &[(&str, &str)]) -> (Session, Checkpoint) {
    let lines = "the cat sees a bird\nme\na dog finds the sea.\nshe sings\nhe\n".repeat(8);
    fs::write(folder.join("lines.txt"), lines).unwrap();
    let source = folder.join("lines.txt").display().to_string();
    let own = [("data.source", source.as_str()), ("embedding", "6"), ("latent", "3"), ("seed", "5")];
    let settings = own.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = config::resolve(Some("text"), &settings.collect::<Vec<_>>()).unwrap();
    let data = data::open(&config, None).unwrap();
    let mut session = Session::new(config, data, Executor::Cpu(Cpu::new(1).unwrap())).unwrap();
    session.plan(Purpose::Train).unwrap();
    session.initialise().unwrap();
    let progress = Member::new(&session, "").progress;
    let (mut parameters, moments) = (session.parameters(0).unwrap(), session.moment_tensors(0).unwrap());
    for (at, value) in parameters.iter_mut().flat_map(|(_, tensor)| &mut tensor.values).enumerate() {
        *value += 0.3 * (at as f32 * 12.9898).sin();
    }
    let config = session.config.clone();
    let checkpoint = Checkpoint { parameters, moments, progress, config };
    session.restore(0, &checkpoint).unwrap();
    (session, checkpoint)
}

const SET_UPS: [(&str, &[(&str, &str)]); 6] = [
    ("gru", &[("hidden", "[7]"), ("decoder", "[6]")]),
    ("gru-both", &[("hidden", "[9, 7]"), ("decoder", "[6, 8]"), ("bidirectional", "true")]),
    ("lstm", &[("hidden", "[9, 7]"), ("decoder", "[6, 8]"), ("cell", "lstm")]),
    ("lstm-both", &[("hidden", "[7]"), ("decoder", "[8]"), ("cell", "lstm"), ("bidirectional", "true")]),
    ("attention", &[("hidden", "[7]"), ("decoder", "[6]"), ("cell", "transformer"), ("heads", "1")]),
    (
        "attention-heads",
        &[("hidden", "[9, 7]"), ("decoder", "[6, 8]"), ("cell", "transformer"), ("heads", "3"), ("length", "24")],
    ),
];

#[test]
fn models_of_sequences_compute_the_same_in_onnxruntime() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = tempfile::tempdir().unwrap();
    let mut all = BTreeMap::new();
    for (name, settings) in SET_UPS {
        let (mut session, checkpoint) = session(own.path(), settings);
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        for (name, bytes) in interop::onnx(&checkpoint, Path::new("run")).unwrap() {
            fs::write(path.join(name), bytes).unwrap();
        }
        let examples: Vec<u32> = (0..5).collect();
        let (rows, places, vocabulary) = (examples.len(), session.model.width, session.model.vocabulary());
        let explain = session.plan(Purpose::task(EXPLAIN, BATCH)).unwrap();
        session.set_order(&examples).unwrap();
        let scalars = session.scalars(0, Stream::Evaluate, 0, rows);
        session.run(explain, &[scalars]).unwrap();
        let logits = session.output("out", rows, places * vocabulary).unwrap();
        let posterior = session.encode(&examples, 0).unwrap();
        let data = session.data().unwrap();
        let tokens: Vec<f32> = data.examples(&examples).unwrap();
        let lengths: Vec<f32> = data.lengths(0..rows).unwrap().into_iter().map(|length| length as f32).collect();
        assert!(lengths.iter().any(|&length| length < places as f32));
        npy::save(&path.join("tokens.npy"), &tokens, &[rows, places]).unwrap();
        npy::save(&path.join("lengths.npy"), &lengths, &[rows, 1]).unwrap();
        npy::save(&path.join("z.npy"), &posterior.means, &[rows, 3]).unwrap();
        let (mean, log_variance) = (posterior.means, posterior.log_variances);
        let outputs = [("mean", mean), ("log_variance", log_variance), ("logits", logits.clone()), ("steps", logits)];
        all.insert(name.to_owned(), outputs.map(|(output, values)| (output.to_owned(), values)).into());
    }
    assert_outputs_in_onnxruntime(&python, "onnx_sequences.py", folder.path(), &all);
}

#[test]
fn other_priors_and_posteriors_of_sequences_have_no_form_in_onnx() {
    let folder = tempfile::tempdir().unwrap();
    for (key, value, words) in
        [("prior", "laplace", "model.prior = laplace"), ("posterior", "iaf", "model.posterior = iaf")]
    {
        let (_, checkpoint) = session(folder.path(), &[("hidden", "[7]"), ("free_bits", "0"), (key, value)]);
        let error = interop::onnx(&checkpoint, Path::new("run")).unwrap_err().to_string();
        assert!(error.contains("elbo export --format onnx is for models") && error.contains(words), "{error}");
    }
}
