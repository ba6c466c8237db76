//! More rows of rare classes: how many, of which kind, and where they stand.

use crate::program::{elbo, files, json};
use elbo::config::DataConfig;
use elbo::data::npz;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Rows of two classes: `well` around 10, `ill`, one in ten, around 50.
fn table(path: &Path, rows: u32) {
    let mut text = "name,a,visits,ward,kind\n".to_owned();
    for row in 0..rows {
        let ill = row % 10 == 3;
        let a = if ill { 50.0 } else { 10.0 } + f64::from(row * 37 % 40) / 10.0;
        let (ward, kind) = (["east", "west"][(row % 2) as usize], if ill { "ill" } else { "well" });
        writeln!(text, "p{row}, {a:.1},{},{ward},{kind}", row % 4 + if ill { 6 } else { 0 }).unwrap();
    }
    fs::write(path, text).unwrap();
}

const TRAIN: &str = "train --recipe table --adapter cpu --latent 2 --set hidden=[16] --lr 0.01 --epochs 150 --set data.columns.name=ignore";

/// A folder with the table and two runs of it: `told` knows the classes, `untold` was never shown them.
fn trained() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        table(&folder.path().join("t.csv"), 200);
        let train = format!("{TRAIN} --data t.csv --set data.labels=kind");
        elbo(folder.path(), &format!("{train} --set condition=label --out told")).succeeded();
        elbo(folder.path(), &format!("{train} --out untold")).succeeded();
        folder
    });
    folder.path()
}

#[test]
fn a_table_gets_rows_of_the_rare_class_below_its_own() {
    let folder = trained();
    let before = fs::read_to_string(folder.join("t.csv")).unwrap();
    let all: Vec<&str> = before.lines().collect();
    for (run, from) in [("told", "prior"), ("told", "posterior"), ("untold", "posterior")] {
        let out = format!("{run}-{from}.csv");
        let said = json(folder, &format!("augment {run} --from {from} --out {out}"));
        let text = fs::read_to_string(folder.join(&out)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines.len()), ("name,a,visits,ward,kind,synthetic", 1 + 180 + 180));
        for (before, after) in all[1..].iter().zip(&lines[1..]) {
            assert_eq!(format!("{before},0"), **after, "rows that were there have their text");
        }
        let mut sum = 0.0;
        for line in &lines[201..] {
            let cells: Vec<&str> = line.split(',').collect();
            assert!(
                cells[0].is_empty() && cells[4..] == ["ill", "1"] && ["east", "west"].contains(&cells[3]),
                "{line}"
            );
            let (a, visits): (f64, u32) = (cells[1].parse().unwrap(), cells[2].parse().unwrap());
            assert!(cells[1].split('.').nth(1).is_none_or(|digits| digits.len() == 1) && visits < 40, "{line}");
            sum += a;
        }
        assert!((30.0..60.0).contains(&(sum / 160.0)), "{run} {from}: {}", sum / 160.0);
        assert_eq!(said["classes"][0]["class"], "ill");
        assert_eq!([&said["classes"][0]["there"], &said["classes"][0]["new"], &said["new"]], [20, 160, 160]);
        assert_eq!((&said["from"], &said["values"]), (&from.into(), &"draw".into()));
    }
}

#[test]
fn the_same_seed_gives_the_same_rows_and_counts_are_those_asked_for() {
    let folder = trained();
    let run = |flags: &str, out: &str| {
        elbo(folder, &format!("augment told {flags} --adapter cpu --out {out}")).succeeded();
        fs::read_to_string(folder.join(out)).unwrap()
    };
    let first = run("--to ill=30,well=185 --only-new", "a.csv");
    assert_eq!(first, run("--to ill=30,well=185 --only-new", "b.csv"));
    assert_ne!(first, run("--to ill=30,well=185 --only-new --seed 7", "c.csv"));
    let of = |text: &str, end: &str| text.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!((of(&first, ",ill,1"), of(&first, ",well,1"), first.lines().count()), (10, 5, 16));
    // The training part alone: rows of the others are not written, nor counted.
    let part = run("--part train --to 40", "part.csv");
    let (there, new) = (of(&part, ",ill,0"), of(&part, ",ill,1"));
    assert!(there < 20 && there + new == 40 && of(&part, ",well,1") == 0, "{part}");
    assert!(of(&part, ",well,0") < 180);
}

#[test]
fn copies_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Levels alone: whatever is drawn was there.
    let rows: Vec<String> =
        (0..60).map(|i| format!("{},{},{}", ["x", "y"][i % 2], ["u", "v"][i / 2 % 2], i % 5 / 4)).collect();
    fs::write(folder.join("t.csv"), format!("a,b,kind\n{}\n", rows.join("\n"))).unwrap();
    let train =
        "train --recipe table --data t.csv --set data.labels=kind --adapter cpu --latent 1 --epochs 2 --out run";
    elbo(folder, train).succeeded();
    let said = elbo(folder, "augment run --out more.csv --adapter cpu").succeeded();
    assert!(said.err.contains("warning:") && said.err.contains("100.00 % are copies of one"), "{}", said.err);
}

#[test]
fn pictures_go_to_an_archive_or_to_folders_of_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = "train --recipe conditional --set data.examples=300 --set hidden=[12] --latent 2 --batch 50 --epochs 1";
    elbo(folder, &format!("{train} --adapter cpu --out run")).succeeded();
    let said = json(folder, "augment run --to 60 --out more.npz");
    let array = npz::array(&folder.join("more.npz"), &DataConfig::default()).unwrap();
    let new = said["new"].as_u64().unwrap() as usize;
    assert_eq!((array.dims, said["values"].as_str()), (vec![300 + new, 1, 28, 28], Some("mean")));
    elbo(folder, "augment run --to 3=60 --out new --adapter cpu").succeeded();
    let found = files(&folder.join("new"));
    let there = said["classes"][3]["there"].as_u64().unwrap() as usize;
    assert_eq!(found.len(), 60 - there);
    assert!(found[0].ends_with("3/synthetic-00001.png"), "{found:?}");
    // Both are data that elbo reads.
    let data = |source: &str| -> serde_json::Value {
        serde_json::from_str(&elbo(folder, &format!("data {source} --json")).succeeded().out).unwrap()
    };
    assert_eq!(data("new")["examples"], 60 - there);
    assert_eq!(data("more.npz")["classes"].as_array().unwrap().len(), 10);
    elbo(folder, "augment run --to 3=60 --out new --adapter cpu")
        .failed(2, "there is something in this folder already");
    elbo(folder, "augment run --to 40 --out more.csv --adapter cpu").failed(2, ".npz");
}

#[test]
fn arrays_keep_their_numbers_and_their_type() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: Vec<f64> = (0..200).map(|at| f64::from(at % 7) + 1e-9 * f64::from(at)).collect();
    let labels: Vec<i64> = (0..50).map(|row| if row % 5 == 0 { 3 } else { 1 }).collect();
    let arrays: [(&str, &[usize], elbo::report::npy::Content); 2] = [
        ("X", &[50, 4], elbo::report::npy::Content::Double(&rows)),
        ("y", &[50], elbo::report::npy::Content::Whole(&labels)),
    ];
    elbo::report::npy::save_archive(&folder.join("t.npz"), &arrays).unwrap();
    elbo(folder, "train --recipe anomaly --data t.npz --adapter cpu --latent 1 --epochs 1 --out run").succeeded();
    elbo(folder, "augment run --out more.npz --adapter cpu").succeeded();
    let array = npz::array(&folder.join("more.npz"), &DataConfig::default()).unwrap();
    assert_eq!(array.dims, [80, 4]);
    assert!((0..200).all(|at| array.elements.at(at) == rows[at]), "all bits of what was there");
    let said = json(folder, "augment run --data more.npz --to 3=41,1=40 --out still-more.npz");
    assert_eq!(said["new"], 1);
    assert_eq!([&said["classes"][1]["there"], &said["classes"][3]["there"]], [40, 40]);
}

#[test]
fn what_cannot_be_done_is_refused_in_a_line() {
    let folder = trained();
    let other = folder.join("unlabelled.csv");
    fs::write(&other, "name,a,visits,ward\np,1.0,2,east\nq,2.0,1,west\nr,3.0,1,west\n").unwrap();
    for (line, code, words) in [
        ("augment told --out more.txt", 2, ".csv or .tsv"),
        ("augment told --out t.csv", 2, "write over the data"),
        ("augment told --labels ward --out more.csv", 2, "--labels ward: the model knows classes"),
        ("augment told --to 20 --out more.csv", 2, "every class has so many rows already"),
        ("augment told --to dead=20 --out more.csv", 2, "there is no class `dead`"),
        ("augment told --total 5 --out more.csv", 2, "--total 5"),
        ("augment told --data unlabelled.csv --out more.csv", 3, "no labels"),
        ("augment untold --from prior --out more.csv", 2, "the model is told no classes"),
        ("augment untold --data unlabelled.csv --out more.csv", 2, "--labels NAME"),
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).failed(code, words);
    }
    // The mark of a table that was augmented already.
    fs::write(
        folder.join("marked.csv"),
        "name,a,visits,ward,kind,synthetic\np,1.0,2,east,ill,0\nq,2.0,1,west,well,0\nr,3.0,1,west,well,0\n",
    )
    .unwrap();
    elbo(folder, "augment told --data marked.csv --out more.csv --adapter cpu")
        .failed(3, "a column is called `synthetic`");
}

#[test]
fn a_model_that_infers_classes_draws_them_too_and_rows_without_a_label_count_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(&folder.join("whole.csv"), 200);
    let text = fs::read_to_string(folder.join("whole.csv")).unwrap();
    let holes: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(at, line)| if at % 2 == 1 { format!("{},", line.rsplit_once(',').unwrap().0) } else { line.to_owned() })
        .collect();
    fs::write(folder.join("t.csv"), holes.join("\n")).unwrap();
    let train = TRAIN.replace("--epochs 150", "--epochs 20");
    let out = elbo(folder, &format!("{train} --data t.csv --set data.labels=kind --set condition=inferred --out run"));
    out.succeeded();
    let said = elbo(folder, "augment run --out more.csv --adapter cpu").succeeded();
    assert!(said.err.contains("100 rows without a label count for no class"), "{}", said.err);
    let text = fs::read_to_string(folder.join("more.csv")).unwrap();
    let of = |end: &str| text.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!(of(",ill,0") + of(",ill,1"), of(",well,0") + of(",well,1"));
    elbo(folder, "augment run --from posterior --out again.csv --adapter cpu").failed(2, "condition = inferred");
}

#[test]
fn codes_have_no_rows_of_a_class() {
    let folder = tempfile::tempdir().unwrap();
    let small = "--set data.examples=120 --set data.validation=20 --batch 40 --epochs 1 --adapter cpu --out run";
    elbo(folder.path(), &format!("train --recipe vq {small}")).succeeded();
    elbo(folder.path(), "augment run --out more.npz --adapter cpu").failed(2, "whose latents are numbers");
}
