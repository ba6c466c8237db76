//! Anomaly scores: the same for a row at every call and in whatever company, in parts that add up, with thresholds that
//! mean what they say.

use crate::program::{content, elbo, json, trained};
use crate::support::{ROUNDING, compare, executors};
use elbo::checkpoint::load_latest;
use elbo::data;
use elbo::rng::{Philox, Stream, normal};
use elbo::run::Run;
use elbo::score::Method;
use rand::Rng;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Settings of a run on a table that takes no time.
const SMALL: &str = "--recipe anomaly --adapter cpu --set model.hidden=[8] --latent 2 --batch 32 --epochs 5";

/// Rows of three columns of which two go together; every `strange`-th row breaks that.
fn table(rows: usize, seed: u64, strange: Option<usize>) -> Vec<([f32; 3], bool)> {
    let mut random = Philox::new(seed, Stream::Choice, 1, 2);
    let mut next = || normal(random.next_u32());
    (0..rows)
        .map(|row| {
            let is_strange = strange.is_some_and(|every| row % every == 0);
            let (a, noise, c) = (next(), next(), next());
            let b = if is_strange { -3.0 * a - 6.0 } else { a + 0.1 * noise };
            ([10.0 + a, 100.0 * b, c], is_strange)
        })
        .collect()
}

fn csv(rows: &[([f32; 3], bool)]) -> String {
    let mut text = String::from("age,\"height, cm\",weight,strange\n");
    for ([a, b, c], strange) in rows {
        writeln!(text, "{a},{b},{c},{}", u8::from(*strange)).unwrap();
    }
    text
}

/// A folder with a run on a table (`run`), normal rows that it never saw (`new.csv`), and rows of which every tenth is
/// an anomaly (`tested.csv`).
fn tables() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("normal.csv", csv(&table(1000, 1, None))),
        ("new.csv", csv(&table(4000, 2, None))),
        ("tested.csv", csv(&table(200, 3, Some(10)))),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let settings = "--set data.labels=strange --set data.validation=400 --set data.test=0";
    elbo(folder.path(), &format!("train --data normal.csv {SMALL} {settings} --out run")).succeeded();
    folder
}

/// A CSV file as its header and its rows of cells.
fn read(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let cells = |record: &csv::StringRecord| record.iter().map(String::from).collect::<Vec<_>>();
    let header = cells(reader.headers().unwrap());
    (header, reader.records().map(|record| cells(&record.unwrap())).collect())
}

/// A column of a CSV file as numbers.
fn column(path: &Path, name: &str) -> Vec<f64> {
    let (header, rows) = read(path);
    let at = header.iter().position(|column| column == name).unwrap_or_else(|| panic!("{name} is not in {header:?}"));
    rows.iter().map(|row| row[at].parse().unwrap()).collect()
}

#[test]
fn a_row_has_the_same_score_alone_in_company_in_any_place_and_at_every_call() {
    let folder = trained();
    let mut run = Run::open(&folder.path().join("run"), "cpu").unwrap();
    let data = data::open(&run.config().clone(), None).unwrap();
    let rows: Vec<f32> = (0..130).flat_map(|i| data.example(i).unwrap()).collect();
    for method in [
        Method::MeanField,
        Method::Importance { samples: 14, seed: 5 },
        // More than fit into a run.
        Method::Importance { samples: 130, seed: 5 },
        Method::Importance { samples: 1, seed: 0 },
    ] {
        let whole = run.anomaly_scores(&rows, method).unwrap();
        assert_eq!(whole.len(), 130);
        assert_eq!(whole, run.anomaly_scores(&rows, method).unwrap(), "{method:?} at the second call");
        for batch in [7, 129] {
            let parts = rows.chunks(batch * 784).flat_map(|part| run.anomaly_scores(part, method).unwrap());
            assert!(parts.eq(whole.iter().copied()), "{method:?}, {batch} rows at a time");
        }
        let backwards: Vec<f32> = rows.rchunks(784).flatten().copied().collect();
        let mut backwards = run.anomaly_scores(&backwards, method).unwrap();
        backwards.reverse();
        assert!(backwards == whole, "{method:?} from the last row to the first");
    }
    let with = |seed| Method::Importance { samples: 8, seed };
    assert_ne!(run.anomaly_scores(&rows, with(1)).unwrap(), run.anomaly_scores(&rows, with(2)).unwrap());
}

#[test]
fn more_samples_lower_the_score_towards_that_of_an_evaluation() {
    let folder = trained();
    let mut run = Run::open(&folder.path().join("run"), "cpu").unwrap();
    let data = data::open(&run.config().clone(), None).unwrap();
    let rows: Vec<f32> = data.test.clone().flat_map(|i| data.example(i).unwrap()).collect();
    let mut mean = |samples| {
        let scores = run.anomaly_scores(&rows, Method::Importance { samples, seed: 1 }).unwrap();
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    let [few, many] = [mean(2), mean(1000)];
    let said = elbo(folder.path(), "eval run --adapter cpu --samples 1000 --json").succeeded();
    let evaluated: Value = serde_json::from_str(&said.out).unwrap();
    let [bound, likelihood] = ["neg_elbo", "neg_log_px"].map(|name| evaluated[name].as_f64().unwrap());
    // Both are estimates of the same figure with noise of their own, and far closer to it than the bound is.
    assert!((many - likelihood).abs() < 0.1 * (bound - likelihood), "{many} and {likelihood}, bound {bound}");
    assert!(few > many, "{few} with two samples, {many} with a thousand");
}

#[test]
fn scores_and_their_parts_agree_on_every_device() {
    let folder = trained();
    let mut cpu = Run::open(&folder.path().join("run"), "cpu").unwrap();
    let data = data::open(&cpu.config().clone(), None).unwrap();
    let rows: Vec<f32> = (0..40).flat_map(|i| data.example(i).unwrap()).collect();
    let single = |scores: Vec<f64>| scores.into_iter().map(|score| score as f32).collect::<Vec<_>>();
    let methods = [Method::MeanField, Method::Importance { samples: 64, seed: 0 }];
    let expected = methods.map(|method| single(cpu.anomaly_scores(&rows, method).unwrap()));
    let (checkpoint, _) = load_latest(&folder.path().join("run")).unwrap();
    for executor in executors() {
        let device = executor.name();
        let mut run = Run::new(&checkpoint, executor).unwrap();
        for (method, expected) in methods.into_iter().zip(&expected) {
            let found = single(run.anomaly_scores(&rows, method).unwrap());
            compare(expected, &found, ROUNDING).unwrap_or_else(|why| panic!("{device}, {method:?}: {why}"));
        }
    }
}

#[test]
fn contributions_of_columns_and_the_rate_add_up_to_the_mean_field_score() {
    let folder = tables();
    elbo(folder.path(), "score run --adapter cpu --data tested.csv --features --mean-field --out s.csv").succeeded();
    let path = folder.path().join("s.csv");
    let (header, rows) = read(&path);
    let names = ["distortion.age", "distortion.height, cm", "distortion.weight"];
    assert_eq!(header[..6], ["index", "label", "score", "anomaly", "mean_field", "rate"]);
    assert_eq!((&header[6..], rows.len()), (&names.map(String::from)[..], 200));
    let sums = column(&path, "rate");
    let sums = names.iter().fold(sums, |sums, name| sums.iter().zip(column(&path, name)).map(|(a, b)| a + b).collect());
    for (sum, score) in sums.iter().zip(column(&path, "score")) {
        assert!((sum - score).abs() < 5e-6, "{sum} instead of {score}");
    }
    assert_eq!(column(&path, "score"), column(&path, "mean_field"));

    // What the library says of the same rows, which for it are numbers in the units of the table.
    let mut run = Run::open(&folder.path().join("run"), "cpu").unwrap();
    let numbers: Vec<f32> = table(200, 3, Some(10)).iter().flat_map(|(row, _)| *row).collect();
    let parts = run.contributions(&numbers).unwrap();
    for (parts, score) in parts.iter().zip(column(&path, "score")) {
        assert_eq!(parts.distortions.len(), 3);
        assert!((parts.score() - score).abs() < 1e-4 * score.abs().max(1.0), "{parts:?} and {score}");
    }
    // The importance-weighted score is another one; its parts are those of the mean-field score all the same.
    elbo(folder.path(), "score run --adapter cpu --data tested.csv --features --samples 128 --out i.csv").succeeded();
    let other = folder.path().join("i.csv");
    assert_eq!(column(&other, "mean_field"), column(&path, "mean_field"));
    assert_ne!(column(&other, "score"), column(&path, "score"));
}

#[test]
fn rows_are_held_against_training_rows_of_which_the_run_keeps_what_it_needs() {
    let folder = tables();
    let at = folder.path();
    let said = json(at, "score run --data tested.csv --labels strange --features --out s.csv");
    assert_eq!(said["score"]["method"], "exemplars");
    assert!(said["ranking"]["auroc"].as_f64().unwrap() > 0.9, "{said}");
    let path = at.join("s.csv");
    let names = ["distortion.age", "distortion.height, cm", "distortion.weight"];
    assert_eq!(read(&path).0[..6], ["index", "label", "score", "anomaly", "rate", names[0]].map(String::from));
    let sums = names
        .iter()
        .fold(column(&path, "rate"), |sums, name| sums.iter().zip(column(&path, name)).map(|(a, b)| a + b).collect());
    for (sum, score) in sums.iter().zip(column(&path, "score")) {
        assert!((sum - score).abs() < 5e-6, "{sum} instead of {score}");
    }
    // The library compares with the same rows, when it is given those that were trained on.
    let mut run = Run::open(&at.join("run"), "cpu").unwrap();
    let numbers: Vec<f32> = table(200, 3, Some(10)).iter().flat_map(|(row, _)| *row).collect();
    assert_eq!(run.anomaly_scores(&numbers, Method::Exemplars).unwrap_err().exit_code(), 2, "nothing is learnt yet");
    let all: Vec<f32> = table(1000, 1, None).iter().flat_map(|(row, _)| *row).collect();
    assert_eq!(run.learn_exemplars(&all).unwrap(), 800, "the strangest fifth is none");
    // Those of the command are the 600 rows that were trained on; these are all of them.
    let found = run.anomaly_scores(&numbers, Method::Exemplars).unwrap();
    let far = found.iter().zip(column(&path, "score")).map(|(found, score)| (found - score).abs()).fold(0.0, f64::max);
    assert!(far > 0.0 && far < 20.0, "{far}");
    // What is kept needs no data; other parameters need others, which take the place of these.
    fs::rename(at.join("normal.csv"), at.join("away.csv")).unwrap();
    let again = json(at, "score run --data tested.csv --threshold none --out again.csv");
    assert_eq!(again["rows"], 200);
    assert_eq!(column(&at.join("again.csv"), "score"), column(&path, "score"));
    let kept = |folder: &Path| -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("exemplars-")).collect()
    };
    let before = kept(&at.join("run"));
    assert_eq!(before.len(), 1);
    fs::remove_file(at.join("run").join(&before[0])).unwrap();
    let advice = "score by the model alone with --samples 128";
    elbo(at, "score run --adapter cpu --data tested.csv --threshold none").failed(3, advice);
    fs::rename(at.join("away.csv"), at.join("normal.csv")).unwrap();
    elbo(at, "score run --adapter cpu --data tested.csv").succeeded();
    elbo(at, "train --resume run --epochs 6 --adapter cpu").succeeded();
    elbo(at, "score run --adapter cpu --data tested.csv").succeeded();
    let after = kept(&at.join("run"));
    assert!(after.len() == 1 && after != before, "{before:?}, then {after:?}");
    // Pictures are scored by the model alone, and on request against theirs.
    let folder = trained();
    assert_eq!(json(folder.path(), "score run --part test --threshold none")["score"]["method"], "importance");
    let said = json(folder.path(), "score run --part test --threshold none --exemplars");
    assert_eq!(said["score"]["method"], "exemplars");
}

#[test]
fn a_file_of_scores_is_the_same_at_every_call_and_a_row_alone_has_the_score_that_it_has_among_others() {
    let folder = tables();
    for name in ["first.csv", "second.csv"] {
        elbo(folder.path(), &format!("score run --adapter cpu --data tested.csv --out {name}")).succeeded();
    }
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(text("first.csv"), text("second.csv"));
    let lines: Vec<&str> = text("tested.csv").leak().lines().collect();
    fs::write(folder.path().join("alone.csv"), format!("{}\n{}\n", lines[0], lines[58])).unwrap();
    elbo(folder.path(), "score run --adapter cpu --data alone.csv --out one.csv").succeeded();
    let scores = column(&folder.path().join("first.csv"), "score");
    assert_eq!(column(&folder.path().join("one.csv"), "score"), [scores[57]]);
    // The rows stand in the order of the source, whatever order they were divided in.
    let index = column(&folder.path().join("first.csv"), "index");
    assert!(index.iter().enumerate().all(|(at, &index)| at as f64 == index));
}

#[test]
fn the_wanted_false_alarm_rate_holds_on_normal_rows_that_were_never_seen() {
    let folder = tables();
    for (rate, flags) in [(0.1, "--false-alarm-rate 0.1"), (0.02, "--false-alarm-rate 0.02"), (0.1, "--quantile 0.9")] {
        for method in ["", "--mean-field"] {
            let said = json(folder.path(), &format!("score run --data new.csv {flags} {method}"));
            let found = said["flagged"].as_f64().unwrap() / 4000.0;
            // The threshold comes from 400 rows and the rate is counted on 4,000: four standard errors of both.
            let error = 4.0 * (rate * (1.0 - rate) * (1.0 / 400.0 + 1.0 / 4000.0_f64)).sqrt();
            assert!((found - rate).abs() < error, "{flags} {method}: {found}, allowed are {error} on both sides");
            assert_eq!(said["threshold"]["part"], "validation");
            assert_eq!(said["threshold"]["rows"], 400);
        }
    }
}

#[test]
fn a_threshold_is_kept_with_the_run_until_another_is_asked_for() {
    let folder = tables();
    let flags = "score run --data tested.csv --false-alarm-rate 0.05";
    let first = json(folder.path(), flags);
    assert_eq!((&first["threshold"]["kept"], &first["threshold"]["false_alarm_rate"]), (&false.into(), &0.05.into()));
    // The run's data are not needed any more.
    fs::rename(folder.path().join("normal.csv"), folder.path().join("away.csv")).unwrap();
    let second = json(folder.path(), flags);
    assert_eq!(second["threshold"]["kept"], true);
    assert_eq!((&second["threshold"]["nats"], &second["flagged"]), (&first["threshold"]["nats"], &first["flagged"]));
    let before = content(folder.path());
    let why = "--threshold NATS or --threshold none";
    for other in ["--data tested.csv", "--data tested.csv --false-alarm-rate 0.05 --samples 64 --out s.csv"] {
        elbo(folder.path(), &format!("score run --adapter cpu {other}")).failed(3, why);
    }
    assert_eq!(content(folder.path()), before, "nothing is written");
    let given = json(folder.path(), "score run --data tested.csv --threshold -1e9");
    assert_eq!((&given["flagged"], &given["threshold"]["from"]), (&200.into(), &"given".into()));
    let none = json(folder.path(), "score run --data tested.csv --threshold none --out s.csv");
    assert_eq!((&none["flagged"], &none["threshold"]), (&Value::Null, &Value::Null));
    assert_eq!(read(&folder.path().join("s.csv")).0, ["index", "label", "score"]);
}

#[test]
fn without_rows_set_aside_the_threshold_comes_from_training_and_that_is_said() {
    let folder = tables();
    let settings = "--set data.labels=strange --set data.test=0";
    elbo(folder.path(), &format!("train --data normal.csv {SMALL} {settings} --out all")).succeeded();
    let said = elbo(folder.path(), "score all --adapter cpu --data tested.csv --quiet --json").succeeded();
    assert!(said.err.starts_with("warning: the run set no rows aside"), "{said:?}");
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&value["threshold"]["part"], &value["threshold"]["rows"]), (&"train".into(), &1000.into()));
}

#[test]
fn labels_say_how_well_known_anomalies_are_told_and_the_strangest_row_says_why() {
    let folder = tables();
    let said = json(folder.path(), "score run --data tested.csv --labels strange");
    let ranking = &said["ranking"];
    assert_eq!((&ranking["anomalies"], &ranking["normal"]), (&20.into(), &180.into()));
    for name in ["auroc", "average_precision", "precision_at_n"] {
        // A strange row whose first column is near -1.5 is hardly strange.
        assert!(ranking[name].as_f64().unwrap() > 0.8, "{said}");
    }
    assert_eq!(said["higher_is"], "more anomalous");
    let strangest = &said["strangest"][0];
    assert_eq!(strangest["index"].as_u64().unwrap() % 10, 0, "an anomaly comes first: {said}");
    assert_eq!(strangest["columns"][0]["column"], "height, cm", "{said}");
    // With the classes the other way round, so is the probability.
    let other = json(folder.path(), "score run --data tested.csv --labels --normal 1");
    let [a, b] = [&said, &other].map(|said| said["ranking"]["auroc"].as_f64().unwrap());
    assert!((a + b - 1.0).abs() < 1e-12, "{a} and {b}");
}

#[test]
fn tables_and_arrays_of_the_same_numbers_have_the_same_scores() {
    let folder = tables();
    let rows = table(200, 3, Some(10));
    let numbers: Vec<f32> = rows.iter().flat_map(|(row, _)| *row).collect();
    elbo::report::npy::save(&folder.path().join("tested.npy"), &numbers, &[200, 3]).unwrap();
    for (name, data) in [("a", "tested.csv"), ("b", "tested.npy")] {
        elbo(folder.path(), &format!("score run --adapter cpu --data {data} --out {name}.csv")).succeeded();
    }
    let [a, b] = ["a.csv", "b.csv"].map(|name| column(&folder.path().join(name), "score"));
    for (a, b) in a.iter().zip(&b) {
        // A table is read in double precision before it is scaled.
        assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{a} and {b}");
    }
}

#[test]
fn what_cannot_be_scored_is_one_line_and_leaves_nothing() {
    let folder = tables();
    fs::write(folder.path().join("fewer.csv"), "age,weight\n1,2\n").unwrap();
    fs::write(folder.path().join("words.csv"), "age,\"height, cm\",weight\n1,tall,2\n").unwrap();
    fs::write(folder.path().join("same.csv"), csv(&table(20, 4, None))).unwrap();
    fs::write(folder.path().join("wide.csv"), "age,\"height, cm\",weight\n1,2,inf\n").unwrap();
    let before = content(folder.path());
    for (flags, code, culprit) in [
        ("--data fewer.csv", 3, "`height, cm`"),
        ("--data words.csv", 3, "line 2"),
        ("--data wide.csv", 3, "weight"),
        ("--data missing.csv", 3, "missing.csv"),
        ("--data tested.csv --out s.npy", 2, "--out s.npy"),
        ("--data tested.csv --threshold 1 --out nowhere/s.csv", 6, "nowhere"),
        ("--data tested.csv --samples 0", 2, "--samples 0"),
        ("--data tested.csv --quantile 1.5", 2, "--quantile 1.5"),
        ("--data tested.csv --false-alarm-rate 0", 2, "--false-alarm-rate 0"),
        ("--data tested.csv --false-alarm-rate 0.001", 2, "400 held-out rows tell rates down to 0.0025"),
        ("--data tested.csv --labels odd", 2, "--labels"),
        ("--data tested.csv --labels --normal 7", 2, "its classes are 0, 1"),
        ("--data same.csv --labels --threshold 1", 3, "every row is normal"),
        ("--part validation --labels --threshold 1", 3, "every row is normal"),
        ("--part test --threshold 1", 2, "--part test"),
    ] {
        let outcome = elbo(folder.path(), &format!("score run --adapter cpu {flags} --quiet"));
        outcome.failed(code, culprit);
    }
    elbo(folder.path(), "score nothing --out s.csv").failed(3, "nothing");
    assert_eq!(content(folder.path()), before, "nothing is written");
}

#[test]
fn pictures_and_rows_beyond_single_precision_have_scores_too() {
    let folder = trained();
    let said = json(folder.path(), "score run --labels --normal 3 --samples 4 --out s.csv");
    assert_eq!(said["rows"], 300);
    assert_eq!(said["threshold"]["part"], "test");
    assert!(said["ranking"]["auroc"].as_f64().is_some_and(|auroc| auroc > 0.0), "{said}");
    let text = elbo(folder.path(), "score run --adapter cpu --mean-field").succeeded();
    assert!(
        text.err.contains("higher = more anomalous") && text.out.contains("columns that contribute most"),
        "{text:?}"
    );

    let folder = tables();
    let far = "age,\"height, cm\",weight\n1e30,0,0\n10,0,0\n";
    fs::write(folder.path().join("far.csv"), far).unwrap();
    for method in ["", "--mean-field"] {
        let said =
            elbo(folder.path(), &format!("score run --adapter cpu --data far.csv {method} --out far.scores.csv"));
        let said = said.succeeded();
        let (_, rows) = read(&folder.path().join("far.scores.csv"));
        let score: f64 = rows[0][1].parse().unwrap();
        assert!(
            score > 1e30 && rows[0][2] == "1" && rows[1][1].parse::<f64>().unwrap().is_finite(),
            "{rows:?} {said:?}"
        );
    }
}

#[test]
fn tables_with_columns_of_several_types_and_missing_values_are_scored_column_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Philox::new(7, Stream::Choice, 3, 4);
    let mut text = String::from("size,colour,number\n");
    for row in 0..400 {
        let colour = ["red", "green", "blue"][random.next_u32() as usize % 3];
        let size = f32::from(u8::from(colour == "red")) * 4.0 + 0.3 * normal(random.next_u32());
        let number = random.next_u32() % 5;
        let cell = |missing: bool, value: String| if missing { String::new() } else { value };
        let [a, b, c] = [cell(row % 10 == 3, size.to_string()), cell(row % 10 == 5, colour.into()), number.to_string()];
        writeln!(text, "{a},{b},{c}").unwrap();
    }
    fs::write(folder.path().join("mixed.csv"), &text).unwrap();
    let small = SMALL.replace("anomaly", "table").replace("--epochs 5", "--epochs 30");
    elbo(folder.path(), &format!("train --data mixed.csv {small} --out run")).succeeded();
    // The same size is strange for green and usual for red; of a row without any value nothing can be strange.
    fs::write(folder.path().join("new.csv"), "size,colour,number\n4,red,2\n4,green,2\n,green,2\n,,\n").unwrap();
    let arguments = "score run --adapter cpu --data new.csv --mean-field --features --out s.csv";
    elbo(folder.path(), arguments).succeeded();
    let path = folder.path().join("s.csv");
    let (header, _) = read(&path);
    let names = ["distortion.size", "distortion.colour", "distortion.number"];
    assert_eq!(header[5..], names.map(String::from), "{header:?}");
    let scores = column(&path, "score");
    assert!(scores[1] > scores[0] && scores[1] > scores[2], "{scores:?}");
    let columns = names.map(|name| column(&path, name));
    let rates = column(&path, "rate");
    for row in 0..4 {
        let sum = columns.iter().map(|column| column[row]).sum::<f64>() + rates[row];
        assert!((sum - scores[row]).abs() < 5e-6, "{sum} instead of {}", scores[row]);
    }
    assert_eq!([columns[0][2], columns[0][3], columns[1][3], columns[2][3]], [0.0; 4], "what is missing adds nothing");
    let whole = json(folder.path(), "score run --data mixed.csv --out w.csv");
    assert_eq!(whole["rows"], 400);
    assert!(column(&folder.path().join("w.csv"), "score").iter().all(|score| score.is_finite()));
}

#[test]
fn a_word_that_is_neither_of_two_scores_as_the_one_that_makes_its_row_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..300).map(|at| format!("{}.5,{}\n", at * 7 % 31, if at % 50 == 0 { "yes" } else { "no" }));
    fs::write(folder.path().join("t.csv"), format!("a,flag\n{}", rows.collect::<String>())).unwrap();
    let words = ["no", "yes", "maybe"];
    let rows = words.map(|word| format!("10.5,{word}\n"));
    fs::write(folder.path().join("new.csv"), format!("a,flag\n{}", rows.concat())).unwrap();
    let line = "train --adapter cpu --data t.csv --set hidden=[8] --latent 2 --batch 16 --epochs 8 --out run";
    elbo(folder.path(), line).succeeded();
    for (method, columns) in [("--samples 64", vec![1]), ("--mean-field --features", vec![1, 2, 5])] {
        let line = format!("score run --data new.csv --threshold none --unknown anomalous {method} --out s.csv");
        elbo(folder.path(), &format!("{line} --adapter cpu")).succeeded();
        let text = fs::read_to_string(folder.path().join("s.csv")).unwrap();
        let rows: Vec<Vec<f64>> =
            text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
        for column in columns {
            let [no, yes, maybe] = [0, 1, 2].map(|row| rows[row][column]);
            assert!(yes > no + 1.0 && maybe == yes, "{method}: {text}");
        }
    }
}

#[test]
fn a_marker_that_came_after_the_training_is_refused_or_named_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..200).map(|at| format!("{}.5,{}\n", at * 7 % 31, ["x", "y", "z"][at % 3]));
    fs::write(folder.path().join("t.csv"), format!("a,c\n{}", rows.collect::<String>())).unwrap();
    let line = "train --adapter cpu --data t.csv --set hidden=[8] --latent 2 --batch 16 --epochs 1 --out run";
    elbo(folder.path(), line).succeeded();
    for text in ["a,c\n10.5,x\n?,y\n", "a,c\n10.5,x\n11.5,?\n"] {
        fs::write(folder.path().join("new.csv"), text).unwrap();
        elbo(folder.path(), "score run --data new.csv --adapter cpu").failed(3, "--missing");
        // The threshold is learnt from the data as they were trained on.
        let said = json(folder.path(), "score run --data new.csv --missing ? --missing -");
        assert_eq!(said["rows"], 2, "{said}");
    }
}
