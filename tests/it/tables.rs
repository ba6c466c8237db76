//! Tables with columns of several types and with missing values: from the likelihood to the files that leave the house.

use crate::program::{elbo, files};
use crate::support::{ROUNDING, compare, computed, executors, of_rows};
use elbo::checkpoint::{self, Tensor};
use elbo::config::{Config, Likelihood, resolve};
use elbo::data::{self, Dataset, Values};
use elbo::exec::Executor;
use elbo::graph::columns::Columns;
use elbo::graph::op::{Source, Variance};
use elbo::graph::{Clamp, Id, Op};
use elbo::model::{Model, likelihood};
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use elbo::session::{Purpose, Session};
use elbo::train::{self, Event, Member, Options};
use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A table whose columns depend on one hidden number, with a tenth of the cells missing.
fn table(rows: usize) -> String {
    let mut rng = Philox::new(2, Stream::Choice, 0, 0);
    let mut text = String::from("size,weight,smoker,colour,visits\n");
    for _ in 0..rows {
        let t = rng.normal();
        let cells = [
            format!("{:.3}", 50.0 + 10.0 * t),
            format!("{:.3}", -0.02 * t + 0.002 * rng.normal()),
            if t + 0.3 * rng.normal() > 0.0 { "yes" } else { "no" }.to_owned(),
            if t < -0.5 {
                "blue"
            } else if t < 0.5 {
                "green"
            } else {
                "red"
            }
            .to_owned(),
            format!("{:.0}", (1.0 + t).max(0.0) * 4.0),
        ];
        let cells = cells.map(|cell| if rng.uniform() < 0.1 { String::new() } else { cell });
        writeln!(text, "{}", cells.join(",")).unwrap();
    }
    text
}

fn config(folder: &Path, settings: &[(&str, &str)]) -> Config {
    let path = folder.join("table.csv");
    fs::write(&path, table(400)).unwrap();
    let mut all = vec![("data.source".to_owned(), path.display().to_string())];
    all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    resolve(None, &all).unwrap()
}

/// Losses of all epochs.
fn trained(config: Config, executor: Executor, folder: &Path) -> Vec<f64> {
    let data = data::open(&config, None).unwrap();
    data::check(&data, config.model.likelihood.takes()).unwrap();
    trained_on(data, config, executor, folder).0
}

/// The same of examples that were read, and all parameters.
fn trained_on(data: Dataset, config: Config, executor: Executor, folder: &Path) -> (Vec<f64>, Vec<(String, Tensor)>) {
    let mut session = Session::new(config, data, executor).unwrap();
    session.plan(Purpose::Train).unwrap();
    session.initialise().unwrap();
    let (member, stop) = (Member::new(&session, folder), AtomicBool::new(false));
    let options = Options { stop: &stop, deadline: None, check_steps: false };
    let mut losses = Vec::new();
    train::train(&mut session, vec![member], &options, &mut |event| {
        if let Event::Epoch([epoch]) = event {
            losses.push(epoch.neg_elbo());
        }
        Ok(())
    })
    .unwrap();
    let parameters = session.parameters(0).unwrap();
    (losses, parameters)
}

#[test]
fn a_category_is_one_number_until_a_batch_wants_it_and_learns_the_bits_of_ones_among_zeros() {
    let folder = tempfile::tempdir().unwrap();
    for window in ["0", "150"] {
        let settings = [
            ("model.likelihood", "heterogeneous"),
            ("model.hidden", "[6]"),
            ("train.epochs", "2"),
            ("train.batch", "37"),
            ("data.validation", "40"),
            ("data.window", window),
            ("data.binarise", "none"),
        ];
        let config = config(folder.path(), &settings);
        let data = data::open(&config, None).unwrap();
        // Two numbers, two words, a count, and three words in three places.
        assert_eq!((data.width(), data.stored_words(), data.values.words()), (7, 5, Some(5 * 400)));
        let all: Vec<u32> = (0..400).collect();
        let dense = Dataset { values: Values::F32(data.examples(&all).unwrap()), ..data.clone() };
        assert_eq!((dense.stored_words(), &dense.means(0..300)), (7, &data.means(0..300)));
        for (executor, other) in executors().into_iter().zip(executors()) {
            let name = executor.name();
            let found = trained_on(data.clone(), config.clone(), executor, &folder.path().join("a"));
            let expected = trained_on(dense.clone(), config.clone(), other, &folder.path().join("b"));
            assert!(found == expected, "{name}, a window of {window}: {:?} {:?}", found.0, expected.0);
        }
    }
}

#[test]
fn a_mixed_table_with_missing_values_is_learnt_on_every_executor() {
    for executor in executors() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &[("epochs", "15"), ("lr", "3e-3")]);
        assert_eq!(config.model.likelihood, Likelihood::Heterogeneous, "a table gets the recipe for tables");
        let name = executor.name();
        let losses = trained(config, executor, &folder.path().join("checkpoints"));
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(losses.iter().all(|loss| loss.is_finite()), "{name}: {losses:?}");
        assert!(last < first - 1.5, "{name}: from {first} to {last} nats");
    }
}

#[test]
fn numbers_and_flags_with_missing_values_are_learnt_by_the_plain_likelihoods() {
    for (likelihood, columns) in [
        ("gaussian", "size,weight"),
        ("laplace", "size,weight"),
        ("gaussian-learned", "size,weight"),
        ("gaussian-shared", "size,weight"),
        ("bernoulli", "smoker"),
        ("poisson", "visits"),
        ("negative-binomial", "visits"),
        ("zero-inflated-negative-binomial", "visits"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ignored =
            ["size", "weight", "smoker", "colour", "visits"].into_iter().filter(|name| !columns.contains(name));
        let ignored: Vec<String> = ignored.map(|name| format!("data.columns.{name}")).collect();
        let mut settings = vec![("epochs", "10"), ("model.likelihood", likelihood), ("lr", "3e-3")];
        settings.extend(ignored.iter().map(|key| (key.as_str(), "ignore")));
        let config = config(folder.path(), &settings);
        let executor = elbo::exec::select::open("cpu", 1).unwrap().0;
        let losses = trained(config, executor, &folder.path().join("checkpoints"));
        assert!(losses.iter().all(|loss| loss.is_finite()), "{likelihood}: {losses:?}");
        assert!(losses[losses.len() - 1] <= losses[0], "{likelihood}: {losses:?}");
    }
}

const BATCH: usize = 7;

fn model(folder: &Path, likelihood: &str, width: usize) -> Model {
    let config = config(folder, &[("model.likelihood", likelihood), ("model.sigma", "0.7")]);
    if likelihood == "categorical" {
        let settings =
            [("model.likelihood", likelihood), ("data.columns.size", "ignore"), ("data.columns.weight", "ignore")];
        let config = self::config(folder, &settings);
        return Model::new(&config, &data::open(&config, None).unwrap()).unwrap();
    }
    if likelihood == "heterogeneous" {
        return Model::new(&config, &data::open(&config, None).unwrap()).unwrap();
    }
    Model::with(&config, [1, 1, width], Source::Floats, None, true, 0).unwrap()
}

/// Every executor and every likelihood: a row's distortion is the sum of what its columns contribute, worked out on the
/// host by other code; without a column it is the sum of the others, to the bits of a missing value indifferent.
#[test]
fn a_missing_value_leaves_exactly_the_terms_of_the_other_columns() {
    let folder = tempfile::tempdir().unwrap();
    for mut executor in executors() {
        for likelihood in [
            "heterogeneous",
            "gaussian",
            "gaussian-learned",
            "gaussian-shared",
            "bernoulli",
            "poisson",
            "negative-binomial",
            "zero-inflated-negative-binomial",
            "categorical",
            "logistic-mixture",
        ] {
            let model = model(folder.path(), likelihood, 5);
            let (d, o) = (model.width, model.output_width());
            let mut rng = Philox::new(4, Stream::Choice, 0, 0);
            let out: Vec<f32> = (0..BATCH * o).map(|_| rng.normal()).collect();
            let mut x: Vec<f32> = (0..BATCH * d).map(|_| f32::from(rng.uniform() < 0.5)).collect();
            if likelihood == "heterogeneous" {
                for (row, x) in x.chunks_exact_mut(d).enumerate() {
                    // size, weight, smoker, three colours, visits
                    x[3..6].fill(0.0);
                    (x[0], x[3 + row % 3], x[6]) = (0.3 * row as f32, 1.0, (row * row * 3) as f32);
                }
            }
            let columns = likelihood::by_column(&model);
            if let (Some(columns), "categorical") = (&columns, likelihood) {
                for (row, x) in x.chunks_exact_mut(d).enumerate() {
                    x.fill(0.0);
                    columns.spans().into_iter().for_each(|(_, span, _)| x[span.start + row % span.len()] = 1.0);
                }
            }
            let mixture = likelihood::mixture(&model);
            let compute = |executor: &mut Executor, name: &str, x: &[f32]| {
                let name = format!("{likelihood}, {name}");
                of_rows(executor, &name, BATCH, [&out, x], &|[out, x]| match columns.clone() {
                    Some(columns) => Op::Table { out, x, columns },
                    None => Op::LogisticMixture { out, x, mixture },
                })
            };
            let terms = |x: &[f32]| -> Vec<Vec<f64>> {
                let rows = out.chunks_exact(o).zip(x.chunks_exact(d));
                rows.map(|(out, x)| likelihood::column_distortions(&model, out, x)).collect()
            };
            let sums =
                |terms: &[Vec<f64>]| -> Vec<f32> { terms.iter().map(|t| t.iter().sum::<f64>() as f32).collect() };
            let whole = terms(&x);
            let found = compute(&mut executor, "whole", &x);
            compare(&sums(&whole), &found, ROUNDING)
                .unwrap_or_else(|e| panic!("{} {likelihood}: {e}", executor.name()));
            if let Some(op) = plain(&model) {
                let name = format!("{likelihood} without a mask");
                let found = of_rows(&mut executor, &name, BATCH, [&out, &x], &op);
                compare(&sums(&whole), &found, ROUNDING).unwrap_or_else(|e| panic!("{likelihood}: {e}"));
            }
            // Each value by itself where all are of one kind.
            let single = || (0..d).map(|at| at..at + 1).collect();
            let spans = |columns: &Arc<Columns>| columns.spans().into_iter().map(|(_, span, _)| span).collect();
            let spans: Vec<Range<usize>> = columns.as_ref().map_or_else(single, spans);
            for (at, span) in spans.into_iter().enumerate() {
                let mut less = whole.clone();
                for terms in &mut less {
                    terms[at] = 0.0;
                }
                let mut all = Vec::new();
                for (bits, word) in [0x7fc0_0000_u32, 0x7f80_0001, 0xffff_ffff].into_iter().enumerate() {
                    let mut holed = x.clone();
                    holed.chunks_exact_mut(d).for_each(|row| row[span.clone()].fill(f32::from_bits(word)));
                    assert_eq!(terms(&holed), less, "{likelihood}, column {at} on the host");
                    all.push(compute(&mut executor, &format!("without {at}, {bits}"), &holed));
                }
                let found = &all[0];
                compare(&sums(&less), found, ROUNDING)
                    .unwrap_or_else(|e| panic!("{} {likelihood} {at}: {e}", executor.name()));
                assert!(all.iter().all(|other| other == found), "the bits of what is missing do not matter");
            }
        }
    }
}

#[test]
fn a_laplace_likelihood_is_its_formula_with_and_without_missing_values() {
    let folder = tempfile::tempdir().unwrap();
    let holed = model(folder.path(), "laplace", 5);
    let (d, samples) = (holed.width, 2);
    let mut rng = Philox::new(4, Stream::Choice, 1, 0);
    let out: Vec<f32> = (0..samples * BATCH * d).map(|_| rng.normal()).collect();
    // Zeros and values that one more does not change are there like all others.
    let whole: Vec<f32> = (0..BATCH * d).map(|at| [rng.normal(), 0.0, 1e8, -3.0][at % 4]).collect();
    let mut missing = whole.clone();
    (0..BATCH * d).step_by(3).for_each(|at| missing[at] = f32::NAN);
    let b = f64::from(holed.config.sigma) / 2.0_f64.sqrt();
    let expected = |x: &[f32]| -> Vec<f32> {
        let of_row = |(row, out): (usize, &[f32])| {
            let values = &x[row / samples * d..][..d];
            let term = |(m, x): (&f32, &f32)| (f64::from(*x) - f64::from(*m)).abs() / b + (2.0 * b).ln();
            let terms: f64 = out.iter().zip(values).filter(|(_, x)| !x.is_nan()).map(term).sum();
            let told: f64 = likelihood::column_distortions(&holed, out, values).iter().sum();
            assert!((told - terms).abs() < 1e-6 * terms.abs(), "{told} {terms}");
            terms as f32
        };
        out.chunks_exact(d).enumerate().map(of_row).collect()
    };
    let plain = Model { missing: false, ..holed.clone() };
    for mut executor in executors() {
        for (model, x) in [(&plain, &whole), (&holed, &whole), (&holed, &missing)] {
            let inputs = [("out", &[samples * BATCH, d][..], &out[..]), ("x", &[BATCH, d], &x[..])];
            let found = computed(&mut executor, BATCH, &inputs, |graph, ids| {
                vec![likelihood::distortion(graph, model, ids[0], ids[1]).expect("shapes meet")]
            });
            for (row, (expected, found)) in expected(x).iter().zip(&found[0]).enumerate() {
                let near = (expected - found).abs() < 1e-5 * expected.abs();
                assert!(near, "{} {row}: {found} instead of {expected}", executor.name());
            }
        }
    }
}

/// The operation of a likelihood that knows no missing values, where it is another than the one that does.
fn plain(model: &Model) -> Option<impl Fn([Id; 2]) -> Op + use<>> {
    let [low, high] = model.config.log_variance;
    let (likelihood, fixed) = (model.config.likelihood, 2.0 * model.config.sigma.ln());
    let masked = [
        Likelihood::Heterogeneous,
        Likelihood::LogisticMixture,
        Likelihood::Poisson,
        Likelihood::NegativeBinomial,
        Likelihood::ZeroInflatedNegativeBinomial,
        Likelihood::Categorical,
    ];
    (!masked.contains(&likelihood)).then_some(move |[out, x]: [Id; 2]| match likelihood {
        Likelihood::Bernoulli => Op::Bernoulli { logits: out, x },
        Likelihood::Gaussian => Op::Gaussian { out, x, variance: Variance::Fixed(fixed) },
        _ => Op::Gaussian { out, x, variance: Variance::Learned(Clamp { low, high }) },
    })
}

/// Settings of a run that takes no time.
const SMALL: &str = "--adapter cpu --epochs 20 --lr 3e-3 --set data.shuffle=false";

#[test]
fn every_command_works_with_a_table_and_speaks_its_language() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("table.csv"), table(400)).unwrap();
    let said = elbo(at, "data table.csv").succeeded().out;
    assert!(said.contains("likelihood heterogeneous: 2 numeric"), "{said}");
    elbo(at, &format!("train --data table.csv --out run {SMALL}")).succeeded();
    let eval = elbo(at, "eval run --samples 20 --adapter cpu --json").succeeded().out;
    let eval: serde_json::Value = serde_json::from_str(eval.lines().last().unwrap()).unwrap();
    assert!(eval["neg_log_px"].as_f64().unwrap() <= eval["neg_elbo"].as_f64().unwrap() + 0.5, "{eval}");
    for (line, first) in [("sample run -n 30", 0), ("reconstruct run -n 5", 1)] {
        let path = elbo(at, &format!("{line} --adapter cpu")).succeeded().out;
        let mut rows = csv::Reader::from_path(at.join(path.trim_end())).unwrap();
        for row in rows.records() {
            let row = row.unwrap();
            if &row[0] == "original" {
                continue;
            }
            let number = |at: usize| row[first + at].parse::<f64>().unwrap_or_else(|e| panic!("{line}: {row:?}: {e}"));
            assert!((0.0..100.0).contains(&number(0)) && number(1).abs() < 0.2 && number(4) >= 0.0, "{line}: {row:?}");
            assert!(["yes", "no"].contains(&&row[first + 2]), "{line}: {row:?}");
            assert!(["blue", "green", "red"].contains(&&row[first + 3]), "{line}: {row:?}");
        }
    }
    elbo(at, "embed run --data table.csv --out z.csv --adapter cpu").succeeded();
    for format in ["onnx", "safetensors"] {
        elbo(at, &format!("export run --format {format} --out {format}")).succeeded();
        assert!(files(&at.join(format)).len() >= 3);
    }
    for (name, text, words) in [
        ("unknown.csv", "size,weight,smoker,colour,visits\n1,2,yes,pink,0\n", "column `colour`: `pink` is none of"),
        (
            "less.csv",
            "size,weight,smoker,visits\n1,2,yes,0\n",
            "the column `colour`, which the model was trained on, is",
        ),
        (
            "inf.csv",
            "size,weight,smoker,colour,visits\ninf,2,yes,red,0\n1,2,no,red,1\n",
            "column `size` of row 1 below",
        ),
        ("half.csv", "size,weight,smoker,colour,visits\n1,2,yes,red,0.5\n", "column `visits`: `0.5` is no count"),
    ] {
        fs::write(at.join(name), text).unwrap();
        elbo(at, &format!("embed run --data {name} --out wrong.csv --adapter cpu")).failed(3, words);
        assert!(!at.join("wrong.csv").exists());
    }
    elbo(at, "train --data glyphs --recipe table --adapter cpu --out other")
        .failed(3, "heterogeneous likelihood is for");
    elbo(at, "train --data table.csv --recipe gaussian --set validation=0 --adapter cpu --out other")
        .failed(3, "--recipe table");
    // Pixels may be drawn anew; what is scaled is no probability.
    let rows = (0..40).map(|row| format!("{row}.25,{}.5", row * row)).collect::<Vec<_>>().join("\n");
    fs::write(at.join("numbers.csv"), format!("a,b\n{rows}\n")).unwrap();
    elbo(at, "train --data numbers.csv --recipe dynamic --set likelihood=gaussian --set validation=0 --batch 8 --adapter cpu --out other")
        .failed(2, "`--set binarise=none`");
}

#[test]
fn a_program_scores_rows_of_which_values_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &[("epochs", "2")]);
    let checkpoints = folder.path().join("checkpoints");
    trained(config.clone(), elbo::exec::select::open("cpu", 1).unwrap().0, &checkpoints);
    let (checkpoint, _) = checkpoint::load_latest(folder.path()).unwrap();
    let mut run = Run::new(&checkpoint, elbo::exec::select::open("cpu", 1).unwrap().0).unwrap();
    let data = data::open(&config, None).unwrap();
    let rows: Vec<f32> = (0..data.len()).flat_map(|at| data.original_example(at).unwrap()).collect();
    assert!(rows.iter().any(|value| value.is_nan()));
    let scores = run.score(&rows, 1).unwrap();
    assert!(scores.len() == 400 && scores.iter().all(|score| score.neg_elbo().is_finite()));
    assert!(run.encode(&rows).unwrap().means.iter().all(|mean| mean.is_finite()));
    // A row of nothing but missing values is as probable as any: all that is left is its rate.
    let nothing = run.score(&vec![f32::NAN; data.width()], 1).unwrap();
    assert_eq!(nothing[0].distortion, 0.0);
    let error = run.score(&vec![f32::INFINITY; data.width()], 1).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
}
