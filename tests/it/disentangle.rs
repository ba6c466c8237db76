//! `elbo disentangle`, on sprites and on data whose factors stand in a file.

use crate::program::{content, elbo, json};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Trains a small model of 200 examples, 20 of them sprites' or glyphs' test part.
fn train(folder: &Path, source: &str, more: &str) {
    let settings = "--adapter cpu --set data.examples=240 --set validation=0 --set model.hidden=[16] --latent 3";
    elbo(folder, &format!("train --data {source} {settings} --batch 50 --epochs 1 --out run {more}")).succeeded();
}

#[test]
fn sprites_are_scored_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    train(at, "sprites", "");
    let value = json(at, "disentangle run --out scored");
    for key in ["mig", "modularity", "sap", "factor_vae"] {
        let score = value[key].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score), "{key}: {score}");
    }
    for key in ["disentanglement", "completeness", "informativeness"] {
        let score = value["dci"][key].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score), "{key}: {score}");
    }
    let names: Vec<&str> = value["factors"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shape", "scale", "rotation", "x", "y"]);
    assert_eq!((&value["examples"], value["mutual_information"].as_array().unwrap().len()), (&240.into(), 3));
    assert_eq!(value, json(at, "disentangle run --out scored"), "the same call says the same");
    let files: Vec<&str> = value["files"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(files, ["scored/codes.npy", "scored/factors.npy"]);
    assert!(files.iter().all(|file| at.join(file).is_file()), "{:?}", content(at));

    // The factors that were written are those of the codes beside them: read from a file they give the same scores.
    let rows = elbo::data::npy::open(&at.join("scored/factors.npy")).unwrap();
    assert_eq!(rows.dims, [240, 5]);
    let mut table = String::from("shape,scale,rotation,x,y\n");
    for number in 0..240 {
        let values: Vec<String> = elbo::data::sprites::values(number, false).iter().map(ToString::to_string).collect();
        writeln!(table, "{}", values.join(",")).unwrap();
    }
    fs::write(at.join("factors.csv"), table).unwrap();
    let from_file = json(at, "disentangle run --factors factors.csv --kinds shape");
    for key in ["mig", "sap", "dci", "factor_vae", "factors"] {
        assert_eq!(value[key], from_file[key], "{key}");
    }
    let as_number = json(at, "disentangle run --factors factors.csv");
    assert!(value["mig"] == as_number["mig"] && value["sap"] != as_number["sap"], "a kind is no number to SAP");

    // Rows of the picture stand in the order of the factors that latents follow.
    let drawn = json(at, "disentangle run --picture rows.png");
    let told = drawn["mutual_information"].as_array().unwrap();
    let follows = |latent: &Value| {
        let own: Vec<f64> = told[latent.as_u64().unwrap() as usize].as_array().unwrap().iter().map(number).collect();
        (0..5).fold(0, |best, k| if own[k] > own[best] { k } else { best })
    };
    let order = drawn["order"].as_array().unwrap();
    assert_eq!((order.len(), drawn["files"][0].as_str()), (3, Some("rows.png")));
    assert!(order.iter().map(follows).is_sorted(), "{drawn}");
    let picture = fs::read(at.join("rows.png")).unwrap();
    let side = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert_eq!([side(16), side(20)], [9 * 65 - 1, 3 * 65 - 1]);
    elbo(at, "disentangle run --adapter cpu --picture rows.npy").failed(2, "--picture rows.npy");
    let said = elbo(at, "disentangle run --adapter cpu --part train -n 150 --picture rows.png").succeeded();
    let header = |line: &str| line.split_whitespace().take(3).eq(["row", "latent", "follows"]);
    assert!(said.out.lines().any(header), "{said:?}");
    assert!(said.err.contains("scored   150 examples (train part of sprites)"), "{said:?}");
    for word in ["MIG", "completeness (DCI)", "FactorVAE", "rotation", "follows"] {
        assert!(said.out.contains(word), "no {word} in {}", said.out);
    }
    elbo(at, "disentangle run --adapter cpu --part test").failed(3, "at least 100 examples, and there are 40");
    elbo(at, "disentangle run --adapter cpu --kinds form").failed(2, "--kinds form: there is no such factor");
}

#[test]
fn coloured_sprites_have_a_factor_more() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "sprites", "--set data.colour=rgb");
    let value = json(folder.path(), "disentangle run");
    assert_eq!((&value["factors"][5]["name"], &value["factors"][5]["ordered"]), (&"colour".into(), &false.into()));
}

#[test]
fn data_without_known_factors_are_refused_and_say_what_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    train(at, "glyphs", "");
    elbo(at, "disentangle run --adapter cpu")
        .failed(2, "glyphs: the factors of its examples are not known; name a file");
    fs::write(at.join("short.csv"), "a,b\n1,2\n").unwrap();
    elbo(at, "disentangle run --adapter cpu --factors short.csv").failed(3, "short.csv: it has 1 rows of factors");
    elbo(at, "disentangle run --adapter cpu --factors a.txt").failed(2, "--factors a.txt");
    elbo(at, "disentangle run --adapter cpu --factors none.npy").failed(3, "none.npy");
}
