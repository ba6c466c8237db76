//! Directions of attributes, examples that are moved along them, and styles that go from one example to another.

use crate::program::{elbo, json, trained};
use elbo::data::npy;
use elbo::report::npy::{Content, save, save_archive};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// An array's numbers.
fn numbers(path: &Path) -> Vec<f64> {
    let array = npy::open(path).unwrap();
    (0..array.elements.len()).map(|at| array.elements.at(at)).collect()
}

fn direction(value: &Value, name: &str) -> Vec<f64> {
    let all = value["attributes"].as_array().unwrap();
    let of = all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name} in {value}"));
    of["direction"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-5, "{worst} off: {:?} and {:?}", &found[..found.len().min(6)], &expected[..found.len().min(6)]);
}

#[test]
fn directions_lead_from_mean_to_mean_and_examples_go_along_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let settings = "--adapter cpu --set data.examples=240 --set validation=0 --set model.hidden=[16] --latent 3";
    elbo(at, &format!("train --data sprites {settings} --batch 50 --epochs 2 --out run")).succeeded();
    elbo(at, "edit run --attribute shape=heart --adapter cpu").failed(3, "no directions of attributes yet");
    let value = json(at, "attributes run");
    let names: Vec<&str> =
        value["attributes"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shape=square", "shape=ellipse", "shape=heart", "scale", "rotation", "x", "y"]);
    assert_eq!((&value["method"], &value["examples"]), (&"mean".into(), &200.into()));
    assert_eq!(value["held_out"], serde_json::json!({ "part": "test", "examples": 40 }));
    let files = &value["files"];
    assert_eq!(*files, serde_json::json!(["run/attributes.json"]));

    // The formula, from what `embed` writes.
    elbo(at, "embed run --part train --out z.npy --adapter cpu").succeeded();
    let codes = numbers(&at.join("z.npy"));
    let mean = |wanted: &dyn Fn(u32) -> bool| {
        let rows = codes
            .chunks_exact(3)
            .enumerate()
            .filter(|(row, _)| wanted(elbo::data::sprites::values(*row as u32, false)[3]));
        let (mut sum, mut count) = ([0.0; 3], 0.0);
        for (_, row) in rows {
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            count += 1.0;
        }
        sum.map(|sum| sum / count)
    };
    let above =
        value["attributes"][5]["with"].as_str().unwrap().strip_prefix("above ").unwrap().parse::<u32>().unwrap();
    let [high, low] = [mean(&|x| x > above), mean(&|x| x <= above)];
    let along: Vec<f64> = high.iter().zip(low).map(|(high, low)| high - low).collect();
    assert_near(&direction(&value, "x"), &along);

    // A row is the example, then what its moved latents decode to; without moving the reconstruction.
    elbo(at, "edit run --attribute x --strength -2,0,1 --example 3,5 --out e.npy --adapter cpu").succeeded();
    elbo(at, "reconstruct run --example 3,5 --out r.npy --adapter cpu").succeeded();
    elbo(at, "embed run --part test --out t.npy --adapter cpu").succeeded();
    let (edited, pairs, codes) = (numbers(&at.join("e.npy")), numbers(&at.join("r.npy")), numbers(&at.join("t.npy")));
    let picture = |all: &[f64], at: usize| all[at * 4096..(at + 1) * 4096].to_vec();
    let moved: Vec<f32> = [3, 5]
        .iter()
        .flat_map(|&i| [-2.0, 1.0].map(|s| (0..3).map(move |k| (i, s, k))))
        .flatten()
        .map(|(i, s, k): (usize, f64, usize)| (codes[3 * i + k] + s * along[k]) as f32)
        .collect();
    save(&at.join("moved.npy"), &moved, &[4, 3]).unwrap();
    elbo(at, "decode run moved.npy --out d.npy --adapter cpu").succeeded();
    let decoded = numbers(&at.join("d.npy"));
    for row in 0..2 {
        assert_near(&picture(&edited, 4 * row), &picture(&pairs, row));
        assert_near(&picture(&edited, 4 * row + 1), &picture(&decoded, 2 * row));
        assert_near(&picture(&edited, 4 * row + 2), &picture(&pairs, 2 + row));
        assert_near(&picture(&edited, 4 * row + 3), &picture(&decoded, 2 * row + 1));
    }

    // A level is enough of a name; several directions add up.
    let said = elbo(at, "edit run --attribute heart --attribute y -n 2 --out two.png --adapter cpu").succeeded();
    assert!(said.err.contains("moved    2 of 40 examples of the test part along heart and y"), "{said:?}");
    // Kinds are not cut at their median, and what is written beside the run is read from there.
    let kinds = json(at, "attributes run --label x --kinds x --method lda --out w.npy");
    assert_eq!(kinds["files"], serde_json::json!(["w.npy", "w.json"]));
    assert_eq!((npy::open(&at.join("w.npy")).unwrap().dims, &kinds["penalty"]), (vec![16, 3], &0.01.into()));
    elbo(at, "edit run --attribute x=7 --attributes w.json -n 1 --out one.png --adapter cpu").succeeded();
    fs::write(at.join("other.json"), "{}").unwrap();
    for (line, code, culprit) in [
        ("edit run --attribute colour", 2, "--attribute colour: there is no such attribute; there are shape=square"),
        ("edit run --attribute x --strength nan", 2, "--strength NaN"),
        ("edit run --attribute x --example 40", 2, "there is no example 40"),
        ("attributes run --label size", 2, "--label size: there is no such column; there are shape, scale"),
        ("attributes run --kinds size", 2, "--kinds size"),
        ("attributes run --penalty 1", 2, "--penalty 1: it is for --method logistic and lda"),
        ("attributes run --method lda --penalty 2", 2, "a share from 0 to 1"),
        ("attributes run --method logistic --penalty 0", 2, "above 0"),
        ("attributes run --out a.txt", 2, ".json or .npy"),
        ("attributes run -n 1", 2, "-n 1: it takes examples with an attribute and without"),
        ("attributes run --label x --balance x", 2, "--balance x: in what is balanced"),
        ("attributes run --balance size", 2, "--balance size: there is no such column"),
        ("attributes run --out other.npy", 2, "other.json would be written beside the matrix"),
        ("edit run --attribute x --out e.jpg", 2, "e.jpg: the file's name is to end in .png or .npy"),
        ("edit run --attribute x=7 --attributes w.json --out w.json", 2, "would write over"),
        ("edit run --attribute x=7 --attributes w.npy", 3, "w.npy: this is no .json file that `elbo attributes` wrote"),
        (
            "transfer run --content 0 --style 1 --dims 0 --out e.csv",
            2,
            "e.csv: the file's name is to end in .png or .npy",
        ),
        ("attributes run --layer 2", 2, "--layer 2"),
    ] {
        elbo(at, &format!("{line} --adapter cpu")).failed(code, culprit);
    }
    elbo(at, "train --resume run --epochs 3 --adapter cpu").succeeded();
    elbo(at, "edit run --attribute x --adapter cpu")
        .failed(3, "other parameters, of step 8, and the model is at step 12");
}

/// Rows whose weight follows from whether one smokes, and more of them smoke among the old.
fn table() -> String {
    let mut text = String::from("age,weight,town,smoker,sex,id\n");
    for row in 0..300_u32 {
        let noise = f64::from(row * 7919 % 101) / 101.0;
        let (old, smokes) = (row % 2 == 0, if row % 2 == 0 { row % 10 < 8 } else { row % 10 < 2 });
        let weight = 60.0 + 15.0 * f64::from(u8::from(smokes)) + 5.0 * noise;
        let town = ["Ulm", "Bern", "Graz"][row as usize % 3];
        let smoker = if row == 17 {
            ""
        } else if smokes {
            "yes"
        } else {
            "no"
        };
        let age = if old { 60 } else { 30 } + row % 7;
        writeln!(text, "{age},{weight:.1},{town},{smoker},{},r{row}", ["f", "m"][usize::from(old)]).unwrap();
    }
    text
}

#[test]
fn rows_of_a_table_are_moved_in_their_own_units() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("t.csv"), table()).unwrap();
    let ignored = ["smoker", "sex", "id"].map(|column| format!("--set data.columns.{column}=ignore")).join(" ");
    elbo(
        at,
        &format!(
            "train --data t.csv --recipe table --adapter cpu --latent 2 --batch 30 --epochs 60 --beta 0.1 --lr 3e-3 {ignored} --out run"
        ),
    )
    .succeeded();
    // Columns that the model does not know, one of them with a hole.
    let value = json(at, "attributes run --label smoker,sex --method logistic");
    let rows: u64 = value["attributes"][0]["rows"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).sum();
    let examples = value["examples"].as_u64().unwrap();
    assert!(rows == examples || rows == examples - 1, "{value}");
    assert_eq!((&value["attributes"][0]["with"], &value["attributes"][1]["with"]), (&"yes".into(), &"m".into()));
    let accuracy = value["attributes"][0]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.85, "{value}");
    assert!(value["angles"][0][0] == 0.0 && value["angles"][0][1].as_f64().unwrap() > 0.0);
    let said = elbo(at, "attributes run --label smoker,sex --adapter cpu").succeeded();
    let words = |line: &str| line.split_whitespace().take(4).eq(["smoker", "yes", "against", "no"]);
    assert!(said.out.lines().any(words), "{}", said.out);
    for word in ["AUROC", "degrees", "run/attributes.json"] {
        assert!(said.out.contains(word), "no {word} in {}", said.out);
    }
    let plain = direction(&json(at, "attributes run --label smoker"), "smoker");
    let balanced = json(at, "attributes run --label smoker --balance sex");
    assert!(direction(&balanced, "smoker") != plain && balanced["balanced"][0] == "sex");
    elbo(at, "edit run --attribute smoker --strength=-1,1 -n 3 --out e.csv --adapter cpu").succeeded();
    let text = fs::read_to_string(at.join("e.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["row", "strength", "age", "weight", "town"]);
    assert_eq!(rows.len(), 10);
    let source = table();
    for three in rows[1..].chunks_exact(3) {
        let own = source.lines().nth(1 + three[0][0].parse::<usize>().unwrap()).unwrap();
        assert!(three[0][1] == "original" && own.starts_with(&format!("{},", three[0][2])), "{three:?} of {own}");
        let weight = |row: &[&str]| row[3].parse::<f64>().unwrap();
        assert!(weight(&three[2]) > weight(&three[1]) + 10.0, "a smoker weighs more: {three:?}");
        assert!(["Ulm", "Bern", "Graz"].contains(&three[1][4]) && three[1][1] == "-1", "{three:?}");
    }
    elbo(at, "attributes run --label smokr --adapter cpu").failed(2, "did you mean `smoker`");
    elbo(at, "attributes run --label id --adapter cpu").failed(2, "--label id: it has 2");
    elbo(at, "attributes run --adapter cpu").failed(2, "there are no labels; name a column by --label COLUMN");
    elbo(at, "transfer run --content 0 --style 1 --adapter cpu").failed(2, "say by --dims which latents are style");
    elbo(at, "transfer run --content 0,1 --style 2 --dims 1 --out s.csv --adapter cpu").succeeded();
    let text = fs::read_to_string(at.join("s.csv")).unwrap();
    assert!(text.starts_with("content,style,age,") && text.lines().count() == 3, "{text}");
}

#[test]
fn the_style_is_the_latents_of_one_and_the_content_the_class_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let settings = "--recipe conditional --adapter cpu --set data.examples=300 --set hidden=[12] --latent 2 --batch 50";
    elbo(at, &format!("train {settings} --epochs 1 --out run")).succeeded();
    elbo(at, "transfer run --content 0,1 --style 2,3,4 --out s.npy --adapter cpu").succeeded();
    elbo(at, "embed run --part test --out z.csv --adapter cpu").succeeded();
    let text = fs::read_to_string(at.join("z.csv")).unwrap();
    let row = |at: usize| text.lines().nth(1 + at).unwrap().split(',').map(str::to_owned).collect::<Vec<_>>();
    let made = numbers(&at.join("s.npy"));
    for (i, content) in [0, 1].into_iter().enumerate() {
        let styles: String = [2, 3, 4].map(|j| row(j)[2..].join(",") + "\n").concat();
        fs::write(at.join("styles.csv"), styles).unwrap();
        elbo(at, &format!("decode run styles.csv --class {} --out d.npy --adapter cpu", row(content)[1])).succeeded();
        assert_near(&made[i * 3 * 784..(i + 1) * 3 * 784], &numbers(&at.join("d.npy")));
    }
    elbo(at, "transfer run --content 0,1 --style 2,3,4 --out s.png --adapter cpu").succeeded();
    let picture = fs::read(at.join("s.png")).unwrap();
    let side = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert_eq!([side(16), side(20)], [4 * 57 - 1, 3 * 57 - 1], "a row and a column more than there are pairs");
    elbo(at, "transfer run --content 0 --style 1 --dims 2 --adapter cpu").failed(2, "--dims 2: the latents");
    elbo(at, "transfer run --content 99 --style 1 --adapter cpu").failed(2, "--content: there is no example 99");
    // Labels are the attribute where nothing else is asked for, and an example is decoded as its class all along.
    let value = json(at, "attributes run");
    assert_eq!(
        (&value["attributes"][3]["name"], value["attributes"].as_array().unwrap().len()),
        (&"label=3".into(), 10)
    );
    elbo(at, "edit run --attribute 3 --strength 0 --example 1 --out e.npy --adapter cpu").succeeded();
    elbo(at, "reconstruct run --example 1 --out r.npy --adapter cpu").succeeded();
    // What the model is shown is drawn from the picture, which stands before what it becomes.
    assert_near(&numbers(&at.join("e.npy"))[784..], &numbers(&at.join("r.npy"))[784..]);
}

#[test]
fn attributes_of_pictures_stand_in_a_file_beside_them() {
    let folder = trained();
    let at = folder.path();
    let mut rows = String::from("left,kind\n");
    (0..300).for_each(|row| {
        writeln!(rows, "{},{}", row % 2, if row % 5 == 0 { "" } else { ["a", "b", "c"][row % 3] }).unwrap();
    });
    fs::write(at.join("f.csv"), rows).unwrap();
    let value = json(at, "attributes run --factors f.csv");
    let names: Vec<&str> =
        value["attributes"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["left", "kind=a", "kind=b", "kind=c"]);
    elbo(at, "attributes run --label left --adapter cpu").failed(2, "glyphs has no columns but its labels (`label`)");
    elbo(at, "attributes run --factors f.csv --label right --adapter cpu").failed(2, "there are left, kind");
    let factors: Vec<f32> = (0..300).map(|row| (row % 2) as f32).collect();
    save(&at.join("f.npy"), &factors, &[300, 1]).unwrap();
    elbo(at, "attributes run --factors f.npy --out f.npy --adapter cpu").failed(2, "would write over");
}

#[test]
fn an_array_of_an_archive_that_the_model_was_not_told_of_is_an_attribute() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let values: Vec<f32> = (0..240).map(|i| (i * 7919 % 101) as f32).collect();
    let y: Vec<f32> = values.chunks(3).map(|row| f32::from(row[0] > 50.0)).collect();
    let arrays: [(&str, &[usize], Content); 3] = [
        ("X", &[80, 3], Content::Single(&values)),
        ("y", &[80], Content::Single(&y)),
        ("q", &[80], Content::Single(&y)),
    ];
    save_archive(&at.join("t.npz"), &arrays).unwrap();
    let settings = "--recipe anomaly --adapter cpu --latent 2 --epochs 1 --set data.labels=none";
    elbo(at, &format!("train --data t.npz {settings} --out run")).succeeded();
    for label in ["y", "q"] {
        let ran = elbo(at, &format!("attributes run --label {label} --adapter cpu"));
        // The hash of the data has the labels in it, and they are others here: nothing that the run was trained on has changed.
        assert!(!ran.err.contains("not those of the training"), "{}", ran.err);
        ran.succeeded();
    }
    elbo(at, "attributes run --label p --adapter cpu").failed(2, "--label p: t.npz has no such array; it has");
}
