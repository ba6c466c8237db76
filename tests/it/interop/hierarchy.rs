//! Models of several stochastic layers leave the house and come in: latents and noise of all layers stand side by side.

use super::card::{self, Tensors};
use super::{
    ROWS, SetUp, assert_near, assert_outputs_in_onnxruntime, checkpoint, classes, doubles, evaluator, examples, file,
    python, tensors, told,
};
use crate::program::{command, elbo, outcome};
use bytemuck::Zeroable;
use elbo::checkpoint::{Checkpoint, load_latest};
use elbo::config::Condition;
use elbo::data::table::Encoding;
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::graph::Graph;
use elbo::interop;
use elbo::kernels::StepScalars;
use elbo::model::{CLASS, Model};
use elbo::plan::{Resident, Role, Target, lower};
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every kind of hierarchy, told classes and not, on dense layers and convolutions, with other likelihoods.
fn set_ups() -> Vec<SetUp> {
    let levels = [("model.hidden", "[9,7]"), ("model.latent", "4"), ("model.above", "[6-5-3, 2]")];
    let images = [
        ("model.hidden", "[]"),
        ("model.encoder_layers", "[conv 4 kernel 4 stride 2 padding 1]"),
        ("model.resolutions", "[data/2 groups 2 latent 2 cells 2, data/4 groups 2 latent 3]"),
        ("model.encoder_cell", "[silu, conv 3 kernel 1, silu, conv 4 kernel 3 padding 1, squeeze-excite 2]"),
        ("model.decoder_cell", "[silu, depthwise 3 padding 1, silu, conv 4 kernel 1]"),
        ("model.decoder_layers", "[silu, conv-transpose out kernel 4 stride 2 padding 1]"),
        ("model.hierarchy", "residual"),
        ("model.log_variance", "[-1.5,1.25]"),
    ];
    let convolutions = [
        ("model.hidden", "[]"),
        ("model.encoder_layers", "[conv 3 kernel 3, silu]"),
        ("model.latent", "4"),
        ("model.above", "[6-3]"),
        ("model.hierarchy", "ladder"),
    ];
    let made = |name: &str, settings: &[(&str, &str)], more: &[(&str, &str)], shape| {
        let all = settings.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        (name.to_owned(), all, shape)
    };
    let ladder = ("model.hierarchy", "ladder");
    vec![
        made("stack", &levels, &[("model.norm", "layer")], [1, 1, 11]),
        made("stack-told", &levels, &[("model.condition", "label")], [1, 1, 11]),
        made("ladder", &levels, &[ladder, ("model.norm", "layer"), ("model.activation", "gelu-erf")], [1, 1, 11]),
        made("ladder-batches", &levels, &[ladder, ("model.norm", "batch")], [1, 1, 11]),
        made("scaled-ladder", &levels, &[ladder, ("model.likelihood", "gaussian-learned")], [1, 1, 11]),
        made("ladder-told", &levels, &[ladder, ("model.condition", "label")], [1, 1, 11]),
        made("ladder-images", &convolutions, &[], [1, 6, 4]),
        made("ladder-images-told", &convolutions, &[("model.condition", "label")], [2, 5, 4]),
        made("groups", &images, &[], [1, 8, 12]),
        made("groups-learned", &images, &[("model.likelihood", "gaussian-learned")], [3, 8, 4]),
        made("groups-told", &images, &[("model.condition", "label")], [2, 4, 8]),
    ]
}

/// Noise of all layers.
fn noise(checkpoint: &Checkpoint) -> Vec<f32> {
    let all: usize = interop::model(checkpoint).unwrap().latents().iter().sum();
    let mut rng = Philox::new(8, Stream::Choice, 2, 0);
    (0..ROWS * all).map(|_| rng.normal()).collect()
}

/// What a graph of the model gives on the CPU engine for a named input and examples; means in the units of the data.
fn computed(
    checkpoint: &Checkpoint,
    graph: Graph,
    (input, values): (&str, &[f32]),
    x: &[f32],
) -> BTreeMap<String, Vec<f32>> {
    let widths: Vec<(String, usize)> =
        graph.outputs.iter().map(|(name, id)| (name.clone(), graph.shape(*id).columns())).collect();
    let resident = Resident { data_words: x.len(), window: 0, order_words: ROWS, metric_slots: 1 };
    let plan = lower("exported", graph, None, resident, Target::Cpu).unwrap();
    let mut executor = Executor::Cpu(Cpu::new(1).unwrap());
    let id = executor.load(plan).unwrap();
    for range in executor.plan(id).parameters.clone() {
        let (_, tensor) = checkpoint.parameters.iter().find(|(name, _)| *name == range.name).unwrap();
        executor.write_f32(&Role::Parameters, range.offset, &tensor.values).unwrap();
    }
    let encoding = checkpoint.progress.data.encoding.as_ref();
    let mut shown = x.to_vec();
    if let Some(encoding) = encoding {
        encoding.scale(&mut shown);
    }
    let classes: Vec<f32> = classes(checkpoint).into_iter().map(|class| class as f32).collect();
    for (role, values) in [
        (Role::Data, &shown[..]),
        (Role::Labels, &classes),
        (Role::Input(CLASS.into()), &classes),
        (Role::Input(input.into()), values),
    ] {
        if executor.plan(id).words(&role) > 0 {
            executor.write_f32(&role, 0, values).unwrap();
        }
    }
    let order: Vec<u32> = (0..ROWS as u32).collect();
    if executor.plan(id).words(&Role::Order) > 0 {
        executor.write(&Role::Order, 0, &order).unwrap();
    }
    executor.run(id, &[StepScalars { rows: ROWS as u32, ..StepScalars::zeroed() }]).unwrap();
    let read = |(name, width): (String, usize)| {
        let values = executor.read_f32(&Role::Output(name.clone()), 0, ROWS * width).unwrap();
        (name, values)
    };
    widths.into_iter().map(read).collect()
}

/// The same of what is decoded: the mean of p(x|z), and its log-variance where it is learned, in the units of the data.
fn in_units(checkpoint: &Checkpoint, mut made: BTreeMap<String, Vec<f32>>) -> BTreeMap<String, Vec<f32>> {
    let model = interop::model(checkpoint).unwrap();
    let (width, wide, [low, high]) = (model.width, model.mean_width(), checkpoint.config.model.log_variance);
    let fitted = checkpoint.progress.data.encoding.as_ref().map(Encoding::fitted);
    let [shift, scale] = [0, 1].map(|which| {
        let plain = [0.0, 1.0][which];
        let of = |at: usize| fitted.as_ref().map_or(plain, |fitted| fitted[at][which]) as f32;
        (0..width).map(of).collect::<Vec<f32>>()
    });
    let all = made.remove("mean").unwrap();
    let mean = |row: &[f32]| (0..width).map(|at| row[at] * scale[at] + shift[at]).collect::<Vec<_>>();
    made.insert("mean".into(), all.chunks_exact(wide).flat_map(mean).collect());
    if wide > width {
        let log = |row: &[f32]| {
            (0..width).map(|at| row[width + at].clamp(low, high) + 2.0 * scale[at].ln()).collect::<Vec<_>>()
        };
        made.insert("log_variance".into(), all.chunks_exact(wide).flat_map(log).collect());
    }
    made
}

/// What the files must give for examples, noise and latents that are drawn with it, by the names of networks and outputs; and what
/// the decoder is given.
fn expected(checkpoint: &Checkpoint, x: &[f32], noise: &[f32]) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let model = interop::model(checkpoint).unwrap();
    let encoded = computed(checkpoint, model.encode_all(ROWS).unwrap(), ("noise", noise), x);
    let all: usize = model.latents().iter().sum();
    let read = if model.is_residual() { all } else { model.latents()[0] };
    let z: Vec<f32> = encoded["z"].chunks_exact(all).flat_map(|row| row[..read].to_vec()).collect();
    let decode = if model.is_residual() { model.decode_all(ROWS) } else { model.decode(ROWS) }.unwrap();
    let decoded = in_units(checkpoint, computed(checkpoint, decode, ("z", &z), x));
    let sampled = in_units(checkpoint, computed(checkpoint, model.sample_all(ROWS).unwrap(), ("noise", noise), x));
    let named = [("encoder", encoded), ("decoder", decoded), ("sampler", sampled)];
    let named = named.into_iter().flat_map(|(network, made)| {
        made.into_iter().map(move |(output, values)| (format!("{network}.{output}"), values))
    });
    (z, named.collect())
}

/// Means as rows of what the output `mean` has.
fn widened(means: &[f32], model: &Model) -> Vec<f32> {
    let more = model.mean_width() - model.width;
    means.chunks_exact(model.width).flat_map(|row| [row, &vec![0.0; more]].concat()).collect()
}

/// Without noise the graphs that are exported give what the program says: means of all layers, and what follows by means from the
/// middle of the highest one.
#[test]
fn without_noise_files_of_hierarchies_give_the_means_that_the_program_gives() {
    for (name, settings, shape) in set_ups() {
        let checkpoint = checkpoint(&name, settings, shape);
        let (x, model) = (examples(&checkpoint), interop::model(&checkpoint).unwrap());
        let zeros = vec![0.0; noise(&checkpoint).len()];
        let (_, found) = expected(&checkpoint, &x, &zeros);
        let mut run = Run::new(&checkpoint, Executor::Cpu(Cpu::new(1).unwrap())).unwrap();
        let classes = classes(&checkpoint);
        run.given(&classes).encode(&x).unwrap();
        let rows: Vec<u32> = (0..ROWS as u32).collect();
        let layers = run.session().encode_layers(&rows, 1).unwrap();
        for row in 0..ROWS {
            for (output, part) in [("mean", 0), ("z", 0), ("log_variance", 1)] {
                let all: Vec<f32> = layers
                    .iter()
                    .flat_map(|layer| {
                        let of = [&layer.means, &layer.log_variances][part];
                        of[row * layer.latent..][..layer.latent].to_vec()
                    })
                    .collect();
                let found = &found[&format!("encoder.{output}")][row * all.len()..][..all.len()];
                assert_near(&format!("{name}, {output}"), &all, &doubles(found));
            }
        }
        let (highest, latents) = (model.latents().len() - 1, model.latents());
        let middle = vec![0.0; ROWS * latents[highest]];
        let means = run.session().decode_layer(highest, &middle, &classes).unwrap();
        let means = in_units(&checkpoint, [("mean".to_owned(), widened(&means, &model))].into());
        let means = &means["mean"];
        assert_near(&format!("{name}, sampled"), means, &doubles(&found["sampler.mean"]));
    }
}

#[test]
fn exported_hierarchies_compute_what_the_program_computes() {
    for (name, settings, shape) in set_ups() {
        let checkpoint = checkpoint(&name, settings, shape);
        let files = interop::onnx(&checkpoint, Path::new("run")).unwrap();
        let (x, noise, told) = (examples(&checkpoint), noise(&checkpoint), told(&checkpoint));
        let (z, expected) = expected(&checkpoint, &x, &noise);
        let mut found = BTreeMap::new();
        for (network, inputs) in
            [("encoder", &[&x[..], &noise, &told][..]), ("decoder", &[&z, &told]), ("sampler", &[&noise, &told])]
        {
            let bytes = file(&files, &format!("{network}.onnx"));
            let made = evaluator::run(bytes, inputs);
            found.extend(made.into_iter().map(|(output, values)| (format!("{network}.{output}"), values)));
        }
        found.retain(|output, _| !output.ends_with(".logits"));
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
        for (output, expected) in &expected {
            assert_near(&format!("{name}, {output}"), expected, &found[output]);
        }
    }
}

#[test]
fn exported_hierarchies_compute_the_same_in_onnxruntime() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut all = BTreeMap::new();
    for (name, settings, shape) in set_ups() {
        let checkpoint = checkpoint(&name, settings, shape);
        let path = folder.path().join(&name);
        fs::create_dir_all(path.join("torch")).unwrap();
        for (name, bytes) in interop::safetensors(&checkpoint, Path::new("run")).unwrap() {
            fs::write(path.join("torch").join(name), bytes).unwrap();
        }
        for (name, bytes) in interop::onnx(&checkpoint, Path::new("run")).unwrap() {
            fs::write(path.join(name), bytes).unwrap();
        }
        let (x, noise, told) = (examples(&checkpoint), noise(&checkpoint), told(&checkpoint));
        let (z, expected) = expected(&checkpoint, &x, &noise);
        for (name, values) in [("x", &x), ("noise", &noise), ("z", &z), ("class", &told)] {
            if !values.is_empty() {
                npy::save(&path.join(format!("{name}.npy")), values, &[ROWS, values.len() / ROWS]).unwrap();
            }
        }
        all.insert(name, expected);
    }
    assert_outputs_in_onnxruntime(&python, "onnx_outputs.py", folder.path(), &all);
}

/// The lines of Python on the card, by what they say, with the tensors beside it.
#[test]
fn the_card_of_a_hierarchy_computes_what_the_program_computes() {
    for (name, settings, shape) in set_ups() {
        let checkpoint = checkpoint(&name, settings, shape);
        let files = interop::safetensors(&checkpoint, Path::new("run")).unwrap();
        let tensors: Tensors = tensors(file(&files, "model.safetensors"));
        let text = String::from_utf8(file(&files, "README.md").to_vec()).unwrap();
        let (x, noise) = (examples(&checkpoint), noise(&checkpoint));
        let (z, expected) = expected(&checkpoint, &x, &noise);
        let told: Vec<f64> = classes(&checkpoint).into_iter().map(f64::from).collect();
        let residual = interop::model(&checkpoint).unwrap().is_residual();
        let call = |function: &str, given: &[&[f32]], told: &[f64]| {
            let given: Vec<Vec<f64>> = given.iter().map(|rows| doubles(rows)).collect();
            let given: Vec<(&[f64], usize)> = given
                .iter()
                .map(|rows| (&rows[..], rows.len() / ROWS))
                .chain((!told.is_empty()).then_some((told, 1)))
                .collect();
            card::call_with(&text, function, (&tensors, checkpoint.progress.data.encoding.as_ref()), &given)
        };
        let found = [
            ("encoder", ["mean", "log_variance", "z"], call("encode", &[&x, &noise], &told)),
            ("decoder", ["mean", "log_variance", ""], call("decode", &[&z], &told)),
            ("sampler", ["z", "", ""], call("sample", &[&noise], if residual { &told } else { &[] })),
        ];
        for (network, outputs, made) in found {
            for (output, made) in outputs.into_iter().zip(made) {
                assert_near(
                    &format!("{name}, {network}.{output}"),
                    &expected[&format!("{network}.{output}")],
                    &made.values,
                );
            }
        }
    }
}

/// Levels and groups come back to the same bits, with what elbo wrote beside the tensors or with a configuration that says what they are.
#[test]
fn a_hierarchy_comes_back_and_comes_in_by_its_names() {
    let folder = tempfile::tempdir().unwrap();
    for (name, settings, shape) in set_ups() {
        let own = checkpoint(&name, settings.clone(), shape);
        let out = folder.path().join(&name);
        fs::create_dir(&out).unwrap();
        for (file, bytes) in interop::safetensors(&own, Path::new("run")).unwrap() {
            fs::write(out.join(file), bytes).unwrap();
        }
        if own.config.model.condition == Condition::Label {
            elbo(folder.path(), &format!("import {name} --out {name}-back")).failed(2, "model.condition");
            continue;
        }
        let said = elbo(folder.path(), &format!("import {name} --out {name}-back")).succeeded();
        let (back, _) = load_latest(&folder.path().join(format!("{name}-back"))).unwrap();
        assert!(own.parameters == back.parameters && own.config == back.config, "{name}: {said:?}");
        if name == "ladder" || name == "groups" {
            let shape = if name == "groups" { "--shape 1,8,12" } else { "" };
            let asked = format!("import {name}/model.safetensors --out {name}-theirs {shape}");
            let mut command = command(folder.path(), &asked);
            for (key, value) in &settings {
                command.args(["--set", &format!("{key}={value}")]);
            }
            outcome(command).succeeded();
            let (back, _) = load_latest(&folder.path().join(format!("{name}-theirs"))).unwrap();
            assert!(own.parameters == back.parameters, "{name}");
        }
    }
    // What does not fit is named, and a file whose layers have other names.
    let layers: &[(&str, &[usize])] = &[("fc1.weight", &[6, 8]), ("fc1.bias", &[6])];
    fs::write(folder.path().join("others.safetensors"), super::zeros(layers)).unwrap();
    elbo(folder.path(), "import others.safetensors --recipe ladder --out other")
        .failed(3, "there is no layer `encoder.0`");
    let foreign = |more: &str| {
        elbo(folder.path(), &format!("import ladder/model.safetensors --out other --set hierarchy=ladder {more}"))
    };
    foreign("--set hidden=[9,7] --set latent=4 --set above=[6-5-3,3] --set norm=layer --set activation=gelu-erf")
        .failed(3, "`encoder3.mean` has a weight [2, 5] and a bias [2], and encoder3.head wants [3, 5] and [3]");
    foreign("--set hidden=[9] --set latent=4 --set above=[6-5-3,2] --set norm=layer")
        .failed(3, "`encoder.mean` has a weight [4, 7] and a bias [4], and encoder.head wants [4, 9] and [4]");
}
