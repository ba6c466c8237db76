//! What users chose: the same numbers from sparse data as from dense ones, and lists of what comes next.

use crate::program::{elbo, json, losses};
use elbo::checkpoint::load_latest;
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Users and items, and how many kinds there are of both.
const USERS: usize = 300;
const ITEMS: usize = 40;
const KINDS: usize = 4;

/// Users who choose eight items, most of them of their kind; a few items are more popular than others of their kind.
fn chosen(seed: u64) -> Vec<f32> {
    let mut random = Philox::new(seed, Stream::Choice, 0, 0);
    let mut below = |bound: usize| ((bound as f32 * random.uniform()) as usize).min(bound - 1);
    let mut all = vec![0.0; USERS * ITEMS];
    for (user, row) in all.chunks_exact_mut(ITEMS).enumerate() {
        while row.iter().filter(|&&x| x > 0.0).count() < 6 {
            let kind = if below(10) > 0 { user % KINDS } else { below(KINDS) };
            let each = ITEMS / KINDS;
            row[kind * each + below(each).min(below(each))] = 1.0;
        }
    }
    all
}

/// The same as a file of `MatrixMarket`.
fn matrix(dense: &[f32]) -> String {
    let there = |(at, &x): (usize, &f32)| (x > 0.0).then(|| format!("{} {} {x}\n", at / ITEMS + 1, at % ITEMS + 1));
    let entries: Vec<String> = dense.iter().enumerate().filter_map(there).collect();
    let head = format!("%%MatrixMarket matrix coordinate integer general\n{USERS} {ITEMS} {}\n", entries.len());
    head + &entries.concat()
}

/// The same as a list, items called by letters.
fn list(dense: &[f32]) -> String {
    let mut text = "user,item\n".to_owned();
    for (at, _) in dense.iter().enumerate().filter(|(_, x)| **x > 0.0) {
        writeln!(text, "u{:03},film {:02}", at / ITEMS, at % ITEMS).unwrap();
    }
    text
}

const SMALL: &str = "--recipe counts --set model.likelihood=multinomial --set normalise_input=true --set hidden=[16] --latent 4 \
                     --epochs 2 --batch 50 --set output_bias_from_data=true --adapter cpu";

#[test]
fn sparse_data_have_the_bits_of_dense_ones_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let dense = chosen(1);
    npy::save(&at.join("dense.npy"), &dense, &[USERS, ITEMS]).unwrap();
    fs::write(at.join("sparse.mtx"), matrix(&dense)).unwrap();
    fs::write(at.join("list.csv"), list(&dense)).unwrap();
    for (run, line) in [
        ("dense", "--data dense.npy"),
        ("sparse", "--data sparse.mtx"),
        ("window", "--data sparse.mtx --set data.window=130"),
        ("list", "--data list.csv"),
    ] {
        elbo(at, &format!("train {line} {SMALL} --out {run}")).succeeded();
    }
    let parameters = |run: &str| load_latest(&at.join(run)).unwrap().0.parameters;
    let expected = parameters("dense");
    for run in ["sparse", "window", "list"] {
        assert!(parameters(run) == expected, "{run}");
    }
    let nats = |run: &str| json(at, &format!("eval {run}"))["neg_elbo"].as_f64().unwrap();
    assert_eq!(nats("dense"), nats("sparse"));
    // What is picked of many films has no class, no column and no picture.
    assert!(!fs::read_dir(at.join("sparse/samples")).unwrap().any(|file| file.is_ok()));
    let said = elbo(at, "data sparse.mtx --json").succeeded().out;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["items"].as_u64(), said["interactions"].as_u64()), (Some(ITEMS as u64), Some(6 * USERS as u64)));
    elbo(at, "data sparse.mtx --recipe table").succeeded();
    elbo(at, "train --data sparse.mtx --recipe table --adapter cpu --out no")
        .failed(3, "takes columns of a table; choose `--recipe recommend`");
    elbo(at, "train --data sparse.mtx --recipe dynamic --adapter cpu --out no").failed(2, "--set data.at_least=V");
    elbo(at, "export sparse --format onnx --out no").failed(2, "model.normalise_input");
    elbo(at, "export sparse --format web --out no").failed(2, "model.normalise_input");
    elbo(at, "export sparse --format safetensors --out kept").succeeded();
    assert!(fs::read_to_string(at.join("kept/README.md")).unwrap().contains("x = F.normalize(x)"));
    // Another program's array of the same items is read as well.
    elbo(at, "recommend dense --data sparse.mtx --out no.csv").failed(2, "this one was trained on");
}

/// x W + b of one row in double precision, of a tensor whose last row is the bias.
fn affine(x: &[f64], run: &Path, name: &str) -> Vec<f64> {
    let all = load_latest(run).unwrap().0.parameters;
    let (_, tensor) = all.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name}"));
    let outputs = tensor.shape[1];
    let term = |(row, x): (&[f32], &f64), at: usize| f64::from(row[at]) * x;
    let rows = || tensor.values.chunks_exact(outputs).zip(x.iter().chain(&[1.0]));
    (0..outputs).map(|at| rows().map(|pair| term(pair, at)).sum()).collect()
}

/// log p of each item to be the next one, by the formulas of the paper.
fn log_probabilities(chosen: &[f32], run: &Path) -> Vec<f64> {
    let tanh = |x: Vec<f64>| x.into_iter().map(f64::tanh).collect::<Vec<f64>>();
    let length = chosen.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let shown: Vec<f64> = chosen.iter().map(|&x| f64::from(x) / length).collect();
    let mean = affine(&tanh(affine(&shown, run, "encoder.0")), run, "encoder.head");
    let logits = affine(&tanh(affine(&mean[..mean.len() / 2], run, "decoder.0")), run, "decoder.head");
    let total = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    logits.iter().map(|logit| logit - total).collect()
}

/// The lines of a file of recommendations: user, rank, item, log-probability.
fn lines(path: &Path) -> Vec<(String, usize, String, f64)> {
    let row = |row: csv::StringRecord| {
        (row[0].to_owned(), row[1].parse().unwrap(), row[2].to_owned(), row[3].parse().unwrap())
    };
    csv::Reader::from_path(path).unwrap().records().map(|found| row(found.unwrap())).collect()
}

#[test]
fn lists_of_what_comes_next_are_learnt_and_leave_out_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let dense = chosen(2);
    fs::write(at.join("list.csv"), list(&dense)).unwrap();
    let line = "train --data list.csv --recipe recommend --set hidden=[32] --latent 8";
    elbo(at, &format!("{line} --set encoder_layers=[] --epochs 30 --batch 30 --set test=0.3 --adapter cpu --out run"))
        .succeeded();
    let [first, last] = losses(&at.join("run"));
    assert!(last < first, "from {first} to {last} nats");
    let said = json(at, "recommend run --evaluate --at 5,10");
    let quality = |of: &str, what: &str, k: usize| said[of][k][what].as_f64().unwrap();
    for (k, what) in [(0, "recall"), (1, "recall"), (0, "ndcg"), (1, "ndcg")] {
        let (model, popular) = (quality("quality", what, k), quality("popularity", what, k));
        // Of forty items ten are of a kind.
        assert!(model > popular + 0.15 && model <= 1.0, "{what}: {model}, {popular}");
    }
    assert_eq!((said["users"].as_u64(), said["left_out"].as_u64()), (Some(90), Some(0)));
    assert_eq!(json(at, "recommend run --evaluate --at 5,10"), said);
    assert_ne!(json(at, "recommend run --evaluate --at 5,10 --seed 9")["quality"], said["quality"]);

    elbo(at, "recommend run --top 5 --out next.csv --adapter cpu").succeeded();
    let found = lines(&at.join("next.csv"));
    assert_eq!(found.len(), 5 * USERS);
    let there: BTreeSet<String> = list(&dense).lines().map(str::to_owned).collect();
    for (row, (user, rank, item, log)) in found.iter().enumerate() {
        assert_eq!((user.clone(), *rank), (format!("u{:03}", row / 5), row % 5 + 1));
        assert!(!there.contains(&format!("{user},{item}")) && *log < 0.0, "{user} has {item}");
        assert!(*rank == 1 || found[row - 1].3 >= *log);
    }
    let expected = log_probabilities(&dense[7 * ITEMS..8 * ITEMS], &at.join("run"));
    for (_, _, item, log) in &found[35..40] {
        let place: usize = item.trim_start_matches("film ").parse().unwrap();
        assert!((expected[place] - log).abs() < 1e-4, "{item}: {log}, {}", expected[place]);
    }
    // A user by itself is told what it is told among others, in the device's batch or not.
    let own: Vec<&str> = there.iter().filter(|line| line.starts_with("u007,")).map(String::as_str).collect();
    let own = own.join("\n") + "\n";
    fs::write(at.join("one.csv"), format!("user,item\n{own}new,film 03\n")).unwrap();
    elbo(at, "recommend run --data one.csv --top 5 --out one-next.csv --adapter cpu").succeeded();
    let one = lines(&at.join("one-next.csv"));
    assert_eq!((one.len(), one[5].0.as_str(), &one[5..]), (10, "u007", &found[35..40]));

    for (line, code, words) in [
        ("recommend run --out next.npy", 2, "--out next.npy: the file's name is to end in .csv"),
        ("recommend run --top 0 --out n.csv", 2, "--top 0: a list has 1 to"),
        ("recommend run --evaluate --part validation", 2, "has no such part"),
        ("recommend run --out list.csv", 2, "would write over the data"),
        ("recommend run --data new.csv --out n.csv", 3, "items that the model was not trained on: `film 99`"),
        ("recommend run --data table.csv --out n.csv", 3, "has no columns `user` and `item`"),
        ("recommend run --data single.csv --evaluate", 2, "no user of the part has two items"),
    ] {
        fs::write(at.join("new.csv"), "user,item\nx,film 99\n").unwrap();
        fs::write(at.join("table.csv"), "a,b\n1,2\n").unwrap();
        fs::write(at.join("single.csv"), "user,item\nx,film 01\n").unwrap();
        elbo(at, &format!("{line} --adapter cpu")).failed(code, words);
    }
    fs::write(at.join("other.csv"), "who,film,stars\na,x,1\nb,y,2\na,y,1\n").unwrap();
    elbo(at, "train --recipe recommend --data other.csv --out none").failed(3, "`--set data.pairs=USER,ITEM`");
    fs::write(at.join("new.csv"), "user,item\nx,film 99\ny,film 01\n").unwrap();
    elbo(at, "recommend run --data new.csv --unknown missing --out n.csv --adapter cpu").succeeded();
    let left: Vec<String> = lines(&at.join("n.csv")).into_iter().map(|(user, ..)| user).collect();
    assert_eq!(left, ["y"; 10]);
}
