//! Latents that are categories: losses by their formulas in double precision, noise, what such a model is asked, and that a run
//! goes on with the same bits.

use crate::program::{elbo, json, losses};
use crate::support::{Tolerance, compare, executors};
use bytemuck::Zeroable;
use elbo::config::{Activation, Binarise, Config, resolve};
use elbo::exec::Executor;
use elbo::graph::op::Source;
use elbo::graph::{Graph, Op};
use elbo::kernels::StepScalars;
use elbo::model::relaxed::gumbel;
use elbo::model::tasks::IMPORTANCE;
use elbo::model::{DEVIATES, Model, init};
use elbo::plan::{Resident, Role, layout, lower};
use elbo::rng::Stream;
use elbo::run::Run;
use std::fs;
use std::path::Path;

const BATCH: usize = 4;
const WIDTH: usize = 6;
const VARIABLES: usize = 2;
const CATEGORIES: usize = 3;
const PLACES: usize = VARIABLES * CATEGORIES;

const ROUNDING: Tolerance = Tolerance { nmse: 1e-9, element: 1e-4, absolute: 1e-5 };

fn config(numbers: usize) -> Config {
    let mut config = Config::default();
    (config.model.hidden, config.model.activation) = (vec![5], Activation::Tanh);
    (config.model.categories, config.model.latent) = (vec![VARIABLES, CATEGORIES], PLACES + numbers);
    config
}

fn model(config: &Config) -> Model {
    Model {
        config: config.model.clone(),
        width: WIDTH,
        shape: [1, 1, WIDTH],
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes: 0,
    }
}

/// Numbers between −1 and 1 without a pattern.
fn draw(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|at| ((seed * 1_013 + at * at * 7 + at * 631) % 997) as f32 / 498.5 - 1.0).collect()
}

fn examples() -> Vec<f32> {
    draw(1, BATCH * WIDTH).into_iter().map(|v| 0.5 + 0.5 * v).collect()
}

/// The formulas in double precision.
struct Twin(Vec<(String, Vec<f64>)>);

impl Twin {
    fn affine(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (_, w) = self.0.iter().find(|(other, _)| other == name).unwrap();
        let outputs = w.len() / (x.len() + 1);
        let sum = |j: usize| x.iter().chain([&1.0]).enumerate().map(|(i, x)| x * w[i * outputs + j]).sum();
        (0..outputs).map(sum).collect()
    }

    fn network(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let hidden: Vec<f64> = self.affine(&format!("{name}.0"), x).into_iter().map(f64::tanh).collect();
        self.affine(&format!("{name}.head"), &hidden)
    }

    fn distortion(&self, z: &[f64], x: &[f64]) -> f64 {
        self.network("decoder", z).iter().zip(x).map(|(logit, x)| logit.exp().ln_1p() - x * logit).sum()
    }
}

fn softmax(logits: impl Iterator<Item = f64>) -> Vec<f64> {
    let all: Vec<f64> = logits.map(f64::exp).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|one| one / sum).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Loads a graph with parameters of the model and inputs, and runs it.
fn run(executor: &mut Executor, model: &Model, graph: Graph, inputs: &[(&str, &[f32])], told: StepScalars) -> Twin {
    let resident = Resident { data_words: BATCH * WIDTH, window: 0, order_words: BATCH, metric_slots: 1 };
    let id = executor.load(lower("asked", graph, None, resident, executor.target()).unwrap()).unwrap();
    for (name, values) in inputs {
        executor.write_f32(&Role::Input((*name).into()), 0, values).unwrap();
    }
    let mut twin = vec![];
    let ranges = layout(&model.parameters()).0;
    for (range, values) in ranges.into_iter().zip(init::initial(model, 3, init::OfData::default())) {
        let values: Vec<f32> = values.iter().map(|value| 4.0 * value).collect();
        executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
        twin.push((range.name, wide(&values)));
    }
    executor.run(id, &[told]).unwrap();
    Twin(twin)
}

#[test]
fn the_loss_in_training_is_that_of_the_formulas() {
    let (x, deviates) = (examples(), draw(2, BATCH * 2 * PLACES));
    for (numbers, temperature) in [(0, 1.0), (2, 0.5), (3, 2.0)] {
        let (config, eps) = (config(numbers), draw(3, BATCH * numbers));
        let model = model(&config);
        for mut executor in executors() {
            let graph = model.train_relaxed_on_inputs(&config, BATCH).unwrap();
            let inputs: [(&str, &[f32]); 3] = [("x", &x), (DEVIATES, &deviates), ("eps", &eps)];
            let mut told = StepScalars { rows: BATCH as u32, row_weight: 1.0 / BATCH as f32, ..StepScalars::zeroed() };
            told.weights[2] = temperature;
            let twin = run(&mut executor, &model, graph, &inputs[..2 + usize::from(numbers > 0)], told);
            let mut expected = [0.0; 2];
            for (at, x) in x.chunks_exact(WIDTH).map(wide).enumerate() {
                let out = twin.network("encoder", &x);
                let (mut z, mut rate) = (vec![], 0.0);
                for variable in 0..VARIABLES {
                    let q = softmax(out[variable * CATEGORIES..][..CATEGORIES].iter().copied());
                    rate += q.iter().map(|q| q * (q * CATEGORIES as f64).ln()).sum::<f64>();
                    let pairs = wide(&deviates[(at * VARIABLES + variable) * 2 * CATEGORIES..][..2 * CATEGORIES]);
                    let noisy = (0..CATEGORIES).map(|category| {
                        let [a, b] = [pairs[category], pairs[CATEGORIES + category]];
                        (q[category].ln() - (0.5 * (a * a + b * b)).ln()) / f64::from(temperature)
                    });
                    z.extend(softmax(noisy));
                }
                for number in 0..numbers {
                    let (mean, lv) = (out[PLACES + number], out[PLACES + numbers + number]);
                    rate += 0.5 * (mean * mean + lv.exp() - 1.0 - lv);
                    z.push(mean + (0.5 * lv).exp() * f64::from(eps[at * numbers + number]));
                }
                expected[0] += twin.distortion(&z, &x) / BATCH as f64;
                expected[1] += rate / BATCH as f64;
            }
            let found = executor.read_f32(&Role::Metrics, 0, 2).unwrap();
            compare(&expected.map(|value| value as f32), &found, ROUNDING)
                .unwrap_or_else(|why| panic!("{numbers} numbers: {why}: {found:?}, not {expected:?}"));
        }
    }
}

#[test]
fn importance_weights_of_categories_come_to_the_sum_over_all_of_them() {
    const SAMPLES: usize = 3000;
    let config = config(0);
    let model = model(&config);
    for mut executor in executors() {
        let graph = (model.task(IMPORTANCE).unwrap().build)(&model, BATCH, SAMPLES).unwrap();
        let resident = Resident { data_words: BATCH * WIDTH, window: 0, order_words: BATCH, metric_slots: 1 };
        executor.load(lower("first", graph.clone(), None, resident, executor.target()).unwrap()).unwrap();
        executor.write_f32(&Role::Data, 0, &examples()).unwrap();
        executor.write(&Role::Order, 0, &[0, 1, 2, 3]).unwrap();
        let told = StepScalars { rows: BATCH as u32, stream: Stream::Evaluate as u32, ..StepScalars::zeroed() };
        let twin = run(&mut executor, &model, graph, &[], told);
        let states = executor.read_f32(&Role::Output("weights".into()), 0, 2 * BATCH).unwrap();
        for (x, state) in examples().chunks_exact(WIDTH).map(wide).zip(states.chunks_exact(2)) {
            let found = f64::from(state[0]) + (f64::from(state[1]) / SAMPLES as f64).ln();
            let out = twin.network("encoder", &x);
            let (mut sum, mut squares) = (0.0, 0.0);
            for code in 0..CATEGORIES.pow(VARIABLES as u32) {
                let own = |variable: usize| code / CATEGORIES.pow(variable as u32) % CATEGORIES;
                let hot = |place: usize| f64::from(u8::from(own(place / CATEGORIES) == place % CATEGORIES));
                let z: Vec<f64> = (0..PLACES).map(hot).collect();
                let joint = (-twin.distortion(&z, &x)).exp() / (CATEGORIES as f64).powi(VARIABLES as i32);
                let of = |variable: usize| {
                    softmax(out[variable * CATEGORIES..][..CATEGORIES].iter().copied())[own(variable)]
                };
                sum += joint;
                squares += joint * joint / (0..VARIABLES).map(of).product::<f64>();
            }
            // The deviation of the mean of so many weights, relative to it, is that of its logarithm.
            let deviation = ((squares / (sum * sum) - 1.0) / SAMPLES as f64).sqrt();
            let exact = sum.ln();
            let what = format!("{found} and {exact}, of which it should be within {deviation}");
            assert!((found - exact).abs() < 4.0 * deviation && deviation < 0.1, "{what}");
        }
    }
}

#[test]
fn noise_of_categories_has_the_moments_of_gumbels_distribution() {
    const ROWS: usize = 20_000;
    for mut executor in executors() {
        let mut graph = Graph::new(ROWS);
        let deviates = graph.add(Op::Noise { rows: ROWS, width: 2, layer: 129 }).unwrap();
        let (a, b) = (graph.columns(deviates, 0, 1).unwrap(), graph.columns(deviates, 1, 1).unwrap());
        let noise = gumbel(&mut graph, [a, b]).unwrap();
        graph.output("noise", noise);
        let resident = Resident { data_words: 4, window: 0, order_words: ROWS, metric_slots: 1 };
        let id = executor.load(lower("noise", graph, None, resident, executor.target()).unwrap()).unwrap();
        executor.write(&Role::Order, 0, &(0..ROWS as u32).collect::<Vec<_>>()).unwrap();
        let told = StepScalars { rows: ROWS as u32, stream: Stream::Evaluate as u32, ..StepScalars::zeroed() };
        executor.run(id, &[told]).unwrap();
        let mut all = wide(&executor.read_f32(&Role::Output("noise".into()), 0, ROWS).unwrap());
        let mean = all.iter().sum::<f64>() / ROWS as f64;
        let variance = all.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / ROWS as f64;
        // Euler's constant and π²/6; standard errors are 0.009 and 0.025.
        assert!((mean - 0.577_216).abs() < 0.035 && (variance - 1.644_934).abs() < 0.1, "{mean} {variance}");
        all.sort_by(f64::total_cmp);
        // P(g < x) = exp(−exp(−x)).
        for share in [0.05, 0.25, 0.5, 0.75, 0.95, 0.99_f64] {
            let found = all[(share * ROWS as f64) as usize];
            assert!((found + (-share.ln()).ln()).abs() < 0.12, "{share}: {found}");
        }
    }
}

#[test]
fn latents_are_told_in_words_or_as_a_number() {
    let latents = |text: &str| {
        resolve(None, &[("latent".to_owned(), text.to_owned())]).map(|it| (it.model.latent, it.model.categories))
    };
    assert_eq!(latents("40").unwrap(), (40, vec![]));
    assert_eq!(latents("gaussian 40").unwrap(), (40, vec![]));
    assert_eq!(latents("categorical 20x10").unwrap(), (200, vec![20, 10]));
    assert_eq!(latents("categorical 20x10 + gaussian 8").unwrap(), (208, vec![20, 10]));
    assert_eq!(latents("gaussian 8+categorical 3x2").unwrap(), (14, vec![3, 2]));
    for wrong in ["categorical", "categorical 20", "categorical 3x2 + categorical 3x2", "normal 8", "gaussian -1"] {
        let error = latents(wrong).unwrap_err().to_string();
        assert!(error.contains("categorical 20x10 + gaussian 8") && !error.contains('\n'), "{error}");
    }
    for wrong in ["categorical 0x10", "categorical 5x1", "categorical 99999x99999", "gaussian 0"] {
        let error = latents(wrong).unwrap_err();
        assert!(error.exit_code() == 2 && !error.to_string().contains('\n'), "{error}");
    }
}

const TINY: &str = "--recipe categorical --adapter cpu --set data.examples=300 --set hidden=[16] --batch 50";

#[test]
fn a_trained_model_answers_in_categories_and_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut command = crate::program::command(folder, &format!("train {TINY} --epochs 4 --out run"));
    command.args(["--set", "latent=categorical 4x5 + gaussian 2"]);
    crate::program::outcome(command).succeeded();
    let [first, last] = losses(&folder.join("run"));
    assert!(last < first, "{first} and {last}");

    // Pausing changes nothing.
    let mut command = crate::program::command(folder, &format!("train {TINY} --epochs 2 --out halves"));
    command.args(["--set", "latent=categorical 4x5 + gaussian 2"]);
    crate::program::outcome(command).succeeded();
    elbo(folder, "train --resume halves --epochs 4 --adapter cpu").succeeded();
    let parameters = |run: &str| {
        let folder = crate::program::checkpoint(&folder.join(run), "last");
        fs::read(folder.join("parameters.safetensors")).unwrap()
    };
    assert_eq!(parameters("run"), parameters("halves"));

    let measured = json(folder, "eval run --samples 20");
    let figure = |key: &str| measured[key].as_f64().unwrap();
    assert_eq!((measured["rates"].as_array().unwrap().len(), &measured["latent"]), (6, &6.into()));
    assert!(
        (measured["rates"].as_array().unwrap().iter().map(|r| r.as_f64().unwrap()).sum::<f64>() - figure("rate")).abs()
            < 1e-3
    );
    assert!(figure("neg_log_px") < figure("neg_elbo"));

    let mut run = Run::open(&folder.join("run"), "cpu").unwrap();
    let z = {
        elbo(folder, "embed run --out z.npy --adapter cpu").succeeded();
        elbo::data::npy::open(&folder.join("z.npy")).unwrap()
    };
    assert_eq!(z.dims, [300, 22]);
    for row in 0..300 {
        for variable in 0..4 {
            let sum: f64 = (0..5).map(|category| z.elements.at(row * 22 + variable * 5 + category)).sum();
            assert!((sum - 1.0).abs() < 1e-5, "probabilities");
        }
    }
    elbo(folder, "decode run z.npy --out x.npy --adapter cpu").succeeded();
    elbo(folder, "sample run -n 9 --out s.png --adapter cpu").succeeded();
    elbo(folder, "sample run -n 9 --draw --out d.npy --adapter cpu").succeeded();
    elbo(folder, "reconstruct run -n 4 --out r.png --adapter cpu").succeeded();
    let shown = json(folder, "traverse run --out t.png");
    assert_eq!((&shown["shown"], &shown["categories"]), (&6.into(), &5.into()));
    elbo(folder, "traverse run --example 3 -n 2 --out t.png --adapter cpu").succeeded();
    assert_eq!(run.sample(3, 1).unwrap().len(), 3 * 784);
    // A draw is a 1 among zeros, and all categories come.
    let mut session = elbo::session::Session::without_data(
        &elbo::checkpoint::load_latest(&folder.join("run")).unwrap().0,
        elbo::exec::select::open("cpu", 2).unwrap().0,
    )
    .unwrap();
    let latents = session.latents(&(0..400).collect::<Vec<u32>>(), 5).unwrap();
    let mut counts = [0; 5];
    for row in latents.chunks_exact(22) {
        for code in row[..20].chunks_exact(5) {
            assert!(code.iter().all(|&x| x == 0.0 || x == 1.0) && code.iter().sum::<f32>() == 1.0, "{code:?}");
            counts[code.iter().position(|&x| x == 1.0).unwrap()] += 1;
        }
    }
    assert!(counts.iter().all(|count| (250..390).contains(count)), "{counts:?}");
    refuses(folder);
}

fn refuses(folder: &Path) {
    for line in [
        "score run --out s.csv",
        "impute run --mask m.png --out x.npy",
        "interpolate run --out i.png",
        "sample run --ex-post gmm --out g.png",
        "embed run --std --out e.npy",
        "export run --format onnx --out o",
        "export run --format safetensors --out o",
        "export run --format web --out w",
        "augment run --out a.npz --from posterior",
        "attributes run",
    ] {
        let adapter = if line.starts_with("export") { "" } else { " --adapter cpu" };
        elbo(folder, &format!("{line}{adapter}")).failed(2, "(model.categories)");
    }
    // The content is the categories, the style the numbers, where there are any.
    let styled = elbo(folder, "transfer run --content 0 --style 1 --out s.png --adapter cpu");
    assert!(styled.code == Some(0) || styled.err.contains("all categories"), "{styled:?}");
    elbo(folder, "traverse run --steps 7 --out t.png --adapter cpu").failed(2, "each of the 5 categories");
}
