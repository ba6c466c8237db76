//! Models that infer classes of which few labels tell (M2): losses by their formulas in double precision, what such a model is
//! asked, and that a run goes on with the same bits.

use crate::program::{Outcome, elbo};
use crate::support::{Tolerance, compare, executors};
use bytemuck::Zeroable;
use elbo::config::{Activation, Binarise, ClassPrior, Condition, Config};
use elbo::exec::Executor;
use elbo::graph::Graph;
use elbo::graph::op::Source;
use elbo::kernels::StepScalars;
use elbo::model::tasks::{CLASSIFY, EVALUATE, SCORE};
use elbo::model::{CLASS_LOG_PROBABILITIES, Model, init};
use elbo::plan::{Resident, Role, layout, lower};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const BATCH: usize = 5;
const WIDTH: usize = 6;
const CLASSES: usize = 3;
const LATENT: usize = 2;
const SAMPLES: usize = 4;

/// Other orders of the same sums.
const ROUNDING: Tolerance = Tolerance { nmse: 1e-9, element: 1e-4, absolute: 1e-5 };

/// p(y), where it is not uniform.
const PRIOR: [f64; CLASSES] = [0.2, 0.3, 0.5];

fn config(class_prior: ClassPrior) -> Config {
    let mut config = Config::default();
    (config.model.hidden, config.model.classifier) = (vec![4], vec![5]);
    (config.model.latent, config.model.activation) = (LATENT, Activation::Tanh);
    (config.model.condition, config.model.class_prior) = (Condition::Inferred, class_prior);
    config
}

fn model(class_prior: ClassPrior) -> Model {
    Model {
        config: config(class_prior).model,
        width: WIDTH,
        shape: [1, 1, WIDTH],
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: false,
        classes: CLASSES,
    }
}

/// Numbers between −1 and 1 without a pattern.
fn draw(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|at| ((seed * 1_013 + at * at * 7 + at * 631) % 997) as f32 / 498.5 - 1.0).collect()
}

/// Examples between 0 and 1.
fn examples() -> Vec<f32> {
    draw(1, BATCH * WIDTH).into_iter().map(|v| 0.5 + 0.5 * v).collect()
}

/// The formulas in double precision.
struct Twin(Vec<(String, Vec<f64>)>);

/// −log p(x|y, z), KL(q(z|x, y) ‖ p(z)) and log q(z|x, y) − log p(z).
struct AsClass {
    distortion: f64,
    rate: f64,
    ratio: f64,
}

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

    fn log_prior(&self, class: usize) -> f64 {
        let stored = self.0.iter().find(|(name, _)| name == "class_prior");
        stored.map_or(-(CLASSES as f64).ln(), |(_, all)| all[class])
    }

    fn log_q(&self, x: &[f64]) -> Vec<f64> {
        let logits = self.network("classifier", x);
        let all = log_sum_exp(&logits);
        logits.into_iter().map(|logit| logit - all).collect()
    }

    fn of_class(&self, x: &[f64], class: usize, eps: &[f32]) -> AsClass {
        let hot: Vec<f64> = (0..CLASSES).map(|at| f64::from(u8::from(at == class))).collect();
        let stats = self.network("encoder", &[x, &hot].concat());
        let (mut z, mut rate, mut ratio) = (vec![], 0.0, 0.0);
        for (at, &eps) in eps.iter().enumerate() {
            let (mean, log_variance, eps) = (stats[at], stats[LATENT + at], f64::from(eps));
            let latent = mean + (0.5 * log_variance).exp() * eps;
            rate += 0.5 * (mean * mean + log_variance.exp() - 1.0 - log_variance);
            ratio += 0.5 * (latent * latent - eps * eps - log_variance);
            z.push(latent);
        }
        let logits = self.network("decoder", &[z, hot].concat());
        let distortion = logits.iter().zip(x).map(|(logit, x)| logit.exp().ln_1p() - x * logit).sum();
        AsClass { distortion, rate, ratio }
    }
}

fn log_sum_exp(values: &[f64]) -> f64 {
    values.iter().map(|value| value.exp()).sum::<f64>().ln()
}

/// Runs a graph of the model with parameters of its own; gives its twin too.
fn run(executor: &mut Executor, model: &Model, graph: Graph, inputs: &[(&str, &[f32])], rows: usize) -> Twin {
    let resident = Resident { data_words: BATCH * WIDTH, window: 0, order_words: BATCH, metric_slots: 1 };
    let id = executor.load(lower("asked", graph, None, resident, executor.target()).unwrap()).unwrap();
    for (name, values) in inputs {
        executor.write_f32(&Role::Input((*name).into()), 0, values).unwrap();
    }
    let (mut twin, class_prior) = (vec![], PRIOR.map(|share| share.ln() as f32));
    let of_data = init::OfData { class_prior: &class_prior, ..init::OfData::default() };
    let ranges = layout(&model.parameters()).0;
    for (range, values) in ranges.into_iter().zip(init::initial(model, 3, of_data)) {
        executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
        twin.push((range.name, values.iter().map(|&value| f64::from(value)).collect()));
    }
    let scalars = StepScalars { rows: rows as u32, row_weight: 1.0 / rows as f32, ..StepScalars::zeroed() };
    executor.run(id, &[scalars]).unwrap();
    Twin(twin)
}

/// The same of a task, which reads resident examples.
fn ask(executor: &mut Executor, model: &Model, task: &str, samples: usize, inputs: &[(&str, &[f32])]) -> Twin {
    let graph = (model.task(task).unwrap().build)(model, BATCH, samples).unwrap();
    let resident = Resident { data_words: BATCH * WIDTH, window: 0, order_words: BATCH, metric_slots: 1 };
    // Buffers are made with a plan.
    executor.load(lower("first", graph.clone(), None, resident, executor.target()).unwrap()).unwrap();
    executor.write_f32(&Role::Data, 0, &examples()).unwrap();
    executor.write(&Role::Order, 0, &[0, 1, 2, 3, 4]).unwrap();
    run(executor, model, graph, inputs, BATCH)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn the_loss_of_a_batch_of_both_kinds_is_that_of_the_formulas() {
    let (x, eps) = (examples(), draw(2, BATCH * CLASSES * LATENT));
    // The last example counts where all do.
    for (label, rows, prior) in [
        ([-1.0, 2.0, -1.0, 0.0, 1.0], BATCH - 1, ClassPrior::Uniform),
        ([-1.0, 2.0, -1.0, 0.0, 1.0], BATCH, ClassPrior::Labelled),
        ([-1.0; BATCH], BATCH, ClassPrior::Uniform),
        ([-1.0, -1.0, -1.0, -1.0, 1.0], BATCH - 1, ClassPrior::Labelled),
        ([1.0, 2.0, 0.0, 0.0, 1.0], BATCH, ClassPrior::Uniform),
    ] {
        for mut executor in executors() {
            let model = model(prior);
            let graph = model.train_inferred_on_inputs(&config(prior), BATCH).unwrap();
            let twin = run(&mut executor, &model, graph, &[("x", &x), ("label", &label), ("eps", &eps)], rows);
            let mut expected = [0.0; 3];
            let labelled = label[..rows].iter().filter(|label| **label >= 0.0).count();
            for (at, x) in x.chunks_exact(WIDTH).map(wide).enumerate().take(rows) {
                let log_q = twin.log_q(&x);
                for (class, log_q) in log_q.iter().enumerate() {
                    let eps = &eps[(at * CLASSES + class) * LATENT..][..LATENT];
                    let of = twin.of_class(&x, class, eps);
                    let unknown = label[at] < 0.0;
                    let share = if unknown { log_q.exp() } else { f64::from(u8::from(label[at] as usize == class)) };
                    let entropy = if unknown { *log_q } else { 0.0 };
                    expected[0] += share * of.distortion / rows as f64;
                    expected[1] += share * (of.rate - twin.log_prior(class) + entropy) / rows as f64;
                }
                if label[at] >= 0.0 {
                    expected[2] -= log_q[label[at] as usize] / labelled as f64;
                }
            }
            let found = executor.read_f32(&Role::Metrics, 0, 3).unwrap();
            compare(&expected.map(|value| value as f32), &found, ROUNDING)
                .unwrap_or_else(|why| panic!("{label:?}, {rows} rows: {why}: {found:?}, not {expected:?}"));
        }
    }
}

#[test]
fn classes_and_importance_weights_are_those_of_the_formulas() {
    let (x, noise) = (examples(), draw(4, BATCH * SAMPLES * LATENT));
    let model = model(ClassPrior::Labelled);
    for mut executor in executors() {
        let twin = ask(&mut executor, &model, CLASSIFY, 1, &[]);
        let expected: Vec<f32> = x.chunks_exact(WIDTH).flat_map(|x| twin.log_q(&wide(x))).map(|q| q as f32).collect();
        let role = Role::Output(CLASS_LOG_PROBABILITIES.into());
        let found = executor.read_f32(&role, 0, BATCH * CLASSES).unwrap();
        compare(&expected, &found, ROUNDING).unwrap();
    }
    for mut executor in executors() {
        let twin = ask(&mut executor, &model, SCORE, SAMPLES, &[(&format!("noise {SAMPLES}"), &noise)]);
        let states = executor.read_f32(&Role::Output(format!("weights {SAMPLES}")), 0, 2 * BATCH).unwrap();
        let found: Vec<f32> = states.chunks_exact(2).map(|state| state[0] + state[1].ln()).collect();
        let of_example = |(at, x): (usize, &[f32])| {
            let weight = |k: usize, class: usize| {
                let of = twin.of_class(&wide(x), class, &noise[(at * SAMPLES + k) * LATENT..][..LATENT]);
                twin.log_prior(class) - of.distortion - of.ratio
            };
            let all = (0..SAMPLES).flat_map(|k| (0..CLASSES).map(move |class| (k, class)));
            log_sum_exp(&all.map(|(k, class)| weight(k, class)).collect::<Vec<_>>()) as f32
        };
        let expected: Vec<f32> = x.chunks_exact(WIDTH).enumerate().map(of_example).collect();
        compare(&expected, &found, ROUNDING).unwrap();
    }
}

#[test]
fn the_bound_of_an_evaluation_looks_at_no_label() {
    let model = model(ClassPrior::Uniform);
    let graph = (model.task(EVALUATE).unwrap().build)(&model, BATCH, 1).unwrap();
    assert!(graph.ids().all(|id| !matches!(graph.op(id), elbo::graph::Op::Class)));
    assert_eq!(graph.terms.len(), 2);
    let error = model.task("impute").unwrap_err().to_string();
    assert!(error.contains("elbo impute is not for models of this kind"), "{error}");
}

/// A table of two numbers that tell three classes apart, of which every fourth row has its label.
fn table(folder: &Path, name: &str, labels: bool) {
    let mut text = String::from(if labels { "a,b,kind\n" } else { "a,b\n" });
    for (row, noise) in draw(7, 480).chunks_exact(2).enumerate() {
        let (class, [a, b]) = (row % 3, [0.2 * noise[0], 0.2 * noise[1]]);
        let [a, b] = [[a + 2.0, b], [a - 2.0, b + 2.0], [a - 2.0, b - 2.0]][class];
        let kind = if row % 4 == 0 { ["fox", "hen", "owl"][class] } else { "" };
        if labels {
            writeln!(text, "{a},{b},{kind}").unwrap();
        } else {
            writeln!(text, "{a},{b}").unwrap();
        }
    }
    fs::write(folder.join(name), text).unwrap();
}

const TABLE: &str = "--adapter cpu --data t.csv --set data.labels=kind --set condition=inferred --set classifier=[8] \
                     --set hidden=[8] --latent 2 --batch 20 --set train.labelled=5 --set likelihood=gaussian --set class_prior=labelled --lr 0.01";

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_str(&outcome.out).unwrap()
}

#[test]
fn a_table_with_few_labels_is_classified_and_so_is_one_without() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    table(at, "t.csv", true);
    table(at, "without.csv", false);
    elbo(at, &format!("train {TABLE} --epochs 15 --out run")).succeeded();
    let metrics = fs::read_to_string(at.join("run/metrics.csv")).unwrap();
    assert!(metrics.lines().next().unwrap().contains("classifier"), "{metrics}");
    let found = json(&elbo(at, "eval run --part test --json --adapter cpu").succeeded());
    assert!(found["accuracy"].as_f64().unwrap() > 0.9, "{found}");
    let found = json(&elbo(at, "predict run --data without.csv --out p.csv --json --adapter cpu").succeeded());
    assert_eq!(found["classes"], serde_json::json!(["fox", "hen", "owl"]));
    assert!(found["accuracy"].is_null(), "{found}");
    let text = fs::read_to_string(at.join("p.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("index,class,p_fox,p_hen,p_owl"));
    let mut right = 0;
    for (row, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let shares: Vec<f64> = cells[2..].iter().map(|cell| cell.parse().unwrap()).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{line}");
        right += usize::from(cells[0] == row.to_string() && cells[1] == ["fox", "hen", "owl"][row % 3]);
    }
    assert!(right > 220, "{right} of 240");
    elbo(at, "predict run --out p.npy --adapter cpu").succeeded();
    for command in [
        "sample run -n 4 --class hen --out s.csv",
        "embed run --out z.csv",
        "eval run --samples 8",
        "score run --data without.csv --out scores.csv",
        "traverse run --class owl --out t.png",
        "transfer run --content 0 --style 1,2 --out style.csv",
    ] {
        let outcome = elbo(at, &format!("{command} --adapter cpu"));
        assert!(outcome.code == Some(0), "{command}: {outcome:?}");
    }
    elbo(at, "export run --format web --out exported").failed(2, "model.condition = inferred");
    elbo(at, "export run --format onnx --out exported").succeeded();
    assert!(at.join("exported/classifier.onnx").is_file());
    elbo(at, "impute run --data without.csv --out f.csv --adapter cpu")
        .failed(2, "elbo impute is not for models of this kind");
}

#[test]
fn labels_that_cannot_serve_are_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    table(at, "t.csv", true);
    table(at, "without.csv", false);
    fs::write(at.join("empty.csv"), "a,b,kind\n".to_owned() + &"1,2,\n3,1,\n".repeat(40)).unwrap();
    let mut other = fs::read_to_string(at.join("t.csv")).unwrap();
    other.push_str("1,1,elk\n");
    fs::write(at.join("other.csv"), other).unwrap();
    for (change, code, culprit) in [
        ("--set data.labelled=2", 2, "there are 3 classes"),
        ("--set data.labelled=200", 2, "have a label"),
        ("--set train.labelled=20", 2, "train.labelled = 20"),
        ("--set data.labels=none", 3, "there are no labels"),
        ("--set data.labels=nothing", 2, "data.labels = nothing"),
        ("--set prior=laplace", 2, "model.prior = laplace"),
    ] {
        let line =
            change.split_once("data.labels=").map_or(TABLE.to_owned(), |_| TABLE.replace("--set data.labels=kind", ""));
        let line = if change.contains("train.labelled") { line.replace("--set train.labelled=5", "") } else { line };
        elbo(at, &format!("train {line} {change} --out run")).failed(code, culprit);
    }
    elbo(at, &format!("train {} --out run", TABLE.replace("t.csv", "empty.csv"))).failed(3, "label");
    elbo(at, &format!("train {} --out run", TABLE.replace("inferred", "label"))).failed(3, "the label is missing");
    elbo(at, &format!("train {TABLE} --epochs 1 --out run")).succeeded();
    elbo(at, "predict run --data other.csv --out p.csv --adapter cpu").failed(3, "does not know the class `elk`");
    elbo(at, "predict run --out p.txt --adapter cpu").failed(2, "p.txt");
    elbo(at, &format!("train {} --epochs 1 --out plain", crate::program::TINY)).succeeded();
    elbo(at, "predict plain --out p.csv --adapter cpu").failed(2, "model.condition = none");
}

#[test]
fn a_run_goes_on_with_the_same_bits() {
    let digits = "train --recipe m2 --adapter cpu --set data.examples=300 --set hidden=[8] --set classifier=[8] --latent 2 \
                  --batch 40 --set data.labelled=20 --set train.labelled=5 --set data.validation=20 --set checkpoint_steps=2";
    let result = |folder: &Path| {
        let (found, _) = elbo::checkpoint::load_latest(&folder.join("run")).unwrap();
        (found.parameters, found.moments, found.progress.sums, found.progress.best)
    };
    let [whole, again, parts] = [0; 3].map(|_| tempfile::tempdir().unwrap());
    elbo(whole.path(), &format!("{digits} --epochs 2 --out run")).succeeded();
    elbo(again.path(), &format!("{digits} --epochs 2 --out run")).succeeded();
    elbo(parts.path(), &format!("{digits} --epochs 1 --out run")).succeeded();
    elbo(parts.path(), "train --resume run --epochs 2 --adapter cpu").succeeded();
    assert!(result(whole.path()) == result(again.path()), "the same run ends with other bits");
    assert!(result(whole.path()) == result(parts.path()), "a resumed run ends with other bits");
    let other = tempfile::tempdir().unwrap();
    elbo(other.path(), &format!("{digits} --epochs 2 --set data.labelled_seed=1 --out run")).succeeded();
    assert!(result(whole.path()) != result(other.path()), "another draw of labels is another run");
}
