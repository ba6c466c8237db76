//! Values that are categories: arrays of whole numbers and tables of words, from the loss to the files that leave the house.

use crate::program::{elbo, json, losses};
use elbo::checkpoint::load_latest;
use elbo::data::array::Array;
use elbo::data::{Values, npy as reader};
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Rows and columns of a map, and how many categories a place of it has.
const MAP: [usize; 2] = [5, 6];
const CATEGORIES: usize = 4;

/// Maps of land (1) below air (0), in which a river (2) runs down; one place in twenty is anything (3 among them). Where
/// land begins and where the river runs are all that there is to know of a map.
fn maps(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Philox::new(seed, Stream::Choice, 0, 0);
    let mut below = |bound: usize| ((bound as f32 * rng.uniform()) as usize).min(bound - 1);
    let mut all = Vec::with_capacity(count * MAP[0] * MAP[1]);
    for _ in 0..count {
        let (land, river) = (1 + below(3), below(MAP[1]));
        for (y, x) in (0..MAP[0]).flat_map(|y| (0..MAP[1]).map(move |x| (y, x))) {
            let place = if y < land { 0 } else { 1 + usize::from(x == river) };
            all.push(if below(20) == 0 { below(CATEGORIES) } else { place } as f32);
        }
    }
    all
}

fn save(path: &Path, maps: &[f32]) {
    npy::save(path, maps, &[maps.len() / (MAP[0] * MAP[1]), MAP[0], MAP[1]]).unwrap();
}

/// The extents and the numbers of an array that the program wrote.
fn read(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let Array { dims, elements } = reader::open(path).unwrap();
    let width = elements.len();
    let Values::F32(numbers) = elements.stored(width, &[0]) else { panic!("{} holds floats", path.display()) };
    (dims, numbers)
}

/// A run on maps, beside them in `maps.npy`; some of their values are missing.
fn trained(at: &Path, adapter: &str, epochs: usize) {
    let mut values = maps(600, 1);
    values.iter_mut().skip(7).step_by(41).for_each(|value| *value = f32::NAN);
    save(&at.join("maps.npy"), &values);
    let line = format!("train --data maps.npy --recipe categories --epochs {epochs} --batch 50 --lr 3e-3");
    elbo(at, &format!("{line} --adapter {adapter} --out run-{adapter}")).succeeded();
}

#[test]
fn maps_are_learnt_on_every_executor() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let adapters = crate::support::adapters(true).len();
    for adapter in std::iter::once("cpu".to_owned()).chain((0..adapters).map(|adapter| adapter.to_string())) {
        trained(at, &adapter, 10);
        let [first, last] = losses(&at.join(format!("run-{adapter}")));
        // It falls by 4.6.
        assert!(last < first - 3.0, "{adapter}: from {first} to {last} nats");
    }
}

#[test]
fn what_a_model_of_maps_is_asked_is_answered_in_maps() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    trained(at, "cpu", 40);
    let (each, whole) = (MAP[0] * MAP[1], maps(200, 2));
    save(&at.join("new.npy"), &whole);
    // A bound of the likelihood of the values themselves, well below that of a uniform guess.
    let eval = json(at, "eval run-cpu --data new.npy --samples 20");
    let uniform = each as f64 * (CATEGORIES as f64).ln();
    let [elbo_nats, nats] = ["neg_elbo", "neg_log_px"].map(|name| eval[name].as_f64().unwrap());
    assert!(nats <= elbo_nats + 0.5 && elbo_nats < 0.55 * uniform && eval["is_likelihood"] == true, "{eval}");
    // Most places of a map come back; of those that were drawn at random none has to.
    elbo(at, "reconstruct run-cpu --data new.npy --part train -n 100 --out again.npy --adapter cpu").succeeded();
    let (dims, again) = read(&at.join("again.npy"));
    assert_eq!(dims, [2, 100, MAP[0], MAP[1]]);
    let (shown, made) = again.split_at(100 * each);
    assert!(shown.chunks_exact(each).all(|map| whole.chunks_exact(each).any(|other| other == map)), "as in the data");
    let same = shown.iter().zip(made).filter(|(a, b)| a == b).count() as f64 / shown.len() as f64;
    assert!(same > 0.88, "{same} of the places come back");
    // Draws are maps of categories, as an array, a table and a picture; that of maps is a picture unless it is asked for.
    elbo(at, "sample run-cpu -n 20 --out drawn.npy --adapter cpu").succeeded();
    let (dims, drawn) = read(&at.join("drawn.npy"));
    assert_eq!(dims, [20, MAP[0], MAP[1]]);
    assert!(drawn.iter().all(|&place| place.fract() == 0.0 && (0.0..CATEGORIES as f32).contains(&place)), "{drawn:?}");
    elbo(at, "sample run-cpu -n 20 --out drawn.csv --adapter cpu").succeeded();
    let rows = csv::Reader::from_path(at.join("drawn.csv")).unwrap().into_deserialize::<Vec<f32>>();
    assert_eq!(rows.flat_map(Result::unwrap).collect::<Vec<_>>(), drawn);
    let path = elbo(at, "sample run-cpu -n 4 --adapter cpu").succeeded().out;
    let file = fs::File::open(at.join(path.trim_end())).unwrap();
    let mut picture = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
    let (width, height) = picture.info().size();
    assert!(height < width && width < 3 * height, "two maps beside and below each other: {width}x{height}");
    let mut shades = vec![0; picture.output_buffer_size().unwrap()];
    picture.next_frame(&mut shades).unwrap();
    for (category, shade) in [0, 85, 170].into_iter().enumerate() {
        assert!(shades.contains(&shade), "category {category} of {CATEGORIES} is drawn as {shade} of 255");
    }
    // What is decoded are means: the probabilities of all categories, of which the largest is the one that is drawn.
    fs::write(at.join("z.csv"), format!("{}\n{}\n", ["0"; 10].join(","), ["1"; 10].join(","))).unwrap();
    elbo(at, "decode run-cpu z.csv --out means.npy --adapter cpu").succeeded();
    elbo(at, "decode run-cpu z.csv --out means.csv --adapter cpu").succeeded();
    let (dims, means) = read(&at.join("means.npy"));
    assert_eq!(dims, [2, MAP[0], MAP[1], CATEGORIES]);
    assert!(means.chunks_exact(CATEGORIES).all(|of| (of.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    let text = fs::read_to_string(at.join("means.csv")).unwrap();
    let cells: Vec<usize> = text.lines().skip(1).flat_map(|l| l.split(',')).map(|c| c.parse().unwrap()).collect();
    let most = |of: &[f32]| (0..of.len()).max_by(|&a, &b| of[a].total_cmp(&of[b])).unwrap();
    assert_eq!(means.chunks_exact(CATEGORIES).map(most).collect::<Vec<_>>(), cells);
    for line in ["interpolate run-cpu --out i.png", "traverse run-cpu --out t.npy", "embed run-cpu --out z.npy"] {
        elbo(at, &format!("{line} --adapter cpu")).succeeded();
    }
    // A place that does not go with the others is told by its number.
    let mut odd = whole[..2 * each].to_vec();
    odd[each + 13] = 3.0;
    save(&at.join("odd.npy"), &odd);
    elbo(at, "score run-cpu --data odd.npy --features --out scores.csv --adapter cpu").succeeded();
    let mut scores = csv::Reader::from_path(at.join("scores.csv")).unwrap();
    let names = scores.headers().unwrap().clone();
    let second: Vec<String> = scores.records().nth(1).unwrap().unwrap().iter().map(str::to_owned).collect();
    let nats = |name: &str| second[names.iter().position(|other| other == name).unwrap()].parse::<f64>().unwrap();
    let others = (0..each).filter(|&place| place != 13).map(|place| nats(&format!("distortion.{place}")));
    assert!(
        nats("distortion.13") > 2.0 && others.sum::<f64>() / each as f64 * 4.0 < nats("distortion.13"),
        "{second:?}"
    );
}

#[test]
fn other_data_are_read_with_the_categories_of_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    trained(at, "cpu", 1);
    // Fewer categories than in the training are the same ones; bytes are as good as floats, and both may be resumed.
    let calm: Vec<f32> = maps(100, 3).into_iter().map(|place| place.min(1.0)).collect();
    save(&at.join("calm.npy"), &calm);
    assert!(json(at, "eval run-cpu --data calm.npy")["neg_elbo"].as_f64().unwrap() > 0.0);
    elbo(at, "train --resume run-cpu --epochs 2 --adapter cpu").succeeded();
    let mut more = maps(100, 3);
    more[7 * 30 + 11] = 4.0;
    save(&at.join("more.npy"), &more);
    more[7 * 30 + 11] = -1.0;
    save(&at.join("minus.npy"), &more);
    npy::save(&at.join("flat.npy"), &maps(100, 3), &[100, 30]).unwrap();
    npy::save(&at.join("wide.npy"), &maps(100, 3), &[50, 10, 6]).unwrap();
    fs::write(at.join("table.csv"), "a,b\n0,1\n1,0\n").unwrap();
    for (data, words) in [
        ("more.npy", "value 11 of row 7 (both from 0) is category 4, and the model knows 0 to 3"),
        ("minus.npy", "value 11 of row 7 (both from 0) is -1, but the categorical likelihood takes categories"),
        ("flat.npy", "an example has the extents [30], and those of the training had [5, 6]"),
        ("wide.npy", "an example has the extents [10, 6], and those of the training had [5, 6]"),
        ("table.csv", "the column `0`, which the model was trained on, is missing"),
        ("glyphs", "an example has shape [1, 28, 28], and the model takes [1, 1, 120]"),
    ] {
        elbo(at, &format!("eval run-cpu --data {data} --adapter cpu")).failed(3, words);
    }
    // Ones among zeros are what a program gives and gets; what is no probability is none of them.
    let mut run = Run::open(&at.join("run-cpu"), "cpu").unwrap();
    let rows = run.sample(3, 1).unwrap();
    assert_eq!(rows.len(), 3 * 30 * CATEGORIES);
    assert!(run.encode(&rows).unwrap().means.iter().all(|mean| mean.is_finite()));
    assert!(run.score(&vec![f32::NAN; rows.len()], 1).unwrap().iter().all(|terms| terms.distortion == 0.0));
    let error = run.encode(&vec![3.0; 30 * CATEGORIES]).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("a 1 among zeros for each value"), "{error}");
    // It leaves the house in both formats, and comes back from tensors.
    for format in ["onnx", "safetensors"] {
        elbo(at, &format!("export run-cpu --format {format} --out {format}")).succeeded();
        let card = fs::read_to_string(at.join(format).join("README.md")).unwrap();
        assert!(card.contains("numpy.eye(4, dtype=\"f4\")[values]"), "{card}");
    }
    elbo(at, "import safetensors --out back").succeeded();
    let parameters = |run: &str| load_latest(&at.join(run)).unwrap().0.parameters;
    assert_eq!(parameters("back"), parameters("run-cpu"));
}

/// A place of a map as a file stores it.
type Bytes = fn(f32) -> Vec<u8>;

#[test]
fn bytes_integers_and_floats_are_the_same_categories_and_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let values = maps(60, 4);
    save(&at.join("floats.npy"), &values);
    let mut sources = vec!["floats.npy".to_owned()];
    let kinds: [(&str, Bytes); 3] = [
        ("|u1", |place| vec![place as u8]),
        (">i2", |place| (place as i16).to_be_bytes().to_vec()),
        ("<i8", |place| (place as i64).to_le_bytes().to_vec()),
    ];
    for (kind, bytes) in kinds {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (60, 5, 6), }}");
        let header = format!("{header:<117}\n");
        let body: Vec<u8> = values.iter().flat_map(|&place| bytes(place)).collect();
        let all = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), &body].concat();
        let name = format!("{}.npy", &kind[1..]);
        fs::write(at.join(&name), all).unwrap();
        sources.push(name);
    }
    let described = |source: &str, line: &str| -> Value {
        let said = elbo(at, &format!("data {source} --json {line}")).succeeded().out;
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    };
    let expected = described("floats.npy", "--recipe categories");
    assert_eq!(expected["kind"], "NumPy, categories");
    for source in &sources {
        let found = described(source, "--recipe categories");
        for key in ["hash", "columns", "problems"] {
            assert_eq!(found[key], expected[key], "{source}, {key}");
        }
    }
    // Whatever the likelihood, they are the same data.
    assert_eq!(described("floats.npy", "--recipe counts")["hash"], expected["hash"]);
    let said = elbo(at, "data floats.npy --recipe categories").succeeded().out;
    for words in ["5 x 6 values of 4 categories", "values   0: ", "likelihood categorical: 30 values of 4 categories"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn all_columns_of_a_table_are_categories() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut rng = Philox::new(5, Stream::Choice, 0, 0);
    let mut text = "id,party,stage,smoker\n".to_owned();
    for row in 0..300 {
        let t = (3.0 * rng.uniform()) as usize;
        let (party, smoker) = (["left", "middle", "right"][t], ["no", "yes"][t / 2]);
        let party = if row % 17 == 3 { "" } else { party };
        writeln!(text, "{row},{party},{},{smoker}", 10 * (t + 1)).unwrap();
    }
    fs::write(at.join("answers.csv"), &text).unwrap();
    let line = "train --data answers.csv --recipe categories --set data.columns.id=ignore --batch 30 --adapter cpu";
    elbo(at, &format!("{line} --lr 3e-3 --epochs 20 --out run")).succeeded();
    let [first, last] = losses(&at.join("run"));
    assert!(last < first - 0.4, "from {first} to {last} nats");
    elbo(at, "sample run -n 20 --out s.csv --adapter cpu").succeeded();
    for row in csv::Reader::from_path(at.join("s.csv")).unwrap().records() {
        let row = row.unwrap();
        let known = [&["left", "middle", "right"][..], &["10", "20", "30"], &["no", "yes"]];
        assert!(row.len() == 3 && row.iter().zip(known).all(|(cell, known)| known.contains(&cell)), "{row:?}");
    }
    let card = |format: &str| {
        elbo(at, &format!("export run --format {format} --out {format}")).succeeded();
        fs::read_to_string(at.join(format).join("README.md")).unwrap()
    };
    assert!(card("safetensors").contains(".split([3, 3, 2], 1)], 1)"));
    assert!(card("onnx").contains("[batch, 8]"));
    fs::write(at.join("new.csv"), "party,stage,smoker\nleft,10,no\nabove,10,no\n").unwrap();
    elbo(at, "score run --data new.csv --out scores.csv --adapter cpu").failed(3, "`above` is none of the values");
    npy::save(&at.join("array.npy"), &[0.0; 9], &[3, 3]).unwrap();
    elbo(at, "eval run --data array.npy --adapter cpu").failed(3, "is of type category; give a table with a header");
}

#[test]
fn what_is_no_category_is_refused_in_a_line_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let array = |name: &str, values: &[f32], each: &[usize]| {
        let rows = values.len() / each.iter().product::<usize>();
        npy::save(&at.join(name), values, &[&[rows], each].concat()).unwrap();
    };
    let mut values = maps(20, 6);
    array("maps.npy", &values, &MAP);
    for (name, value) in [("half.npy", 1.5), ("minus.npy", -1.0), ("many.npy", 4096.0), ("inf.npy", f32::INFINITY)] {
        values[31] = value;
        array(name, &values, &MAP);
    }
    array("zeros.npy", &[0.0; 40], &[2]);
    array("nothing.npy", &[f32::NAN; 40], &[2]);
    values = vec![0.0; 5 * 1000];
    values[2] = 4000.0;
    array("wide.npy", &values, &[1000]);
    let names = (0..4200).fold("name,flag\n".to_owned(), |all, row| all + &format!("name {row},{}\n", row % 2));
    fs::write(at.join("names.csv"), names).unwrap();
    fs::write(at.join("flags.csv"), format!("a,b\n{}", "0,1\n1,0\n".repeat(20))).unwrap();
    let refused = "encoder_layers[0] `conv 8 kernel 2` is for pictures, and categories";
    for (line, code, words) in [
        ("--data half.npy", 3, "half.npy: value 1 of row 1 (both from 0) is 1.5, but the categorical likelihood takes"),
        (
            "--data minus.npy",
            3,
            "minus.npy: value 1 of row 1 (both from 0) is -1, but the categorical likelihood takes",
        ),
        ("--data inf.npy", 3, "is inf, but the categorical likelihood takes categories"),
        ("--data many.npy", 3, "is 4096, but the categorical likelihood takes up to 4096 categories, numbered from 0"),
        ("--data zeros.npy", 3, "zeros.npy: all values are 0, which is one category and nothing to learn"),
        ("--data nothing.npy", 3, "nothing.npy: all values are missing"),
        ("--data wide.npy", 3, "[1000] values of 4001 categories take 4001000 places in a row, allowed are 1048576"),
        ("--data names.csv", 3, "data.columns.name: it has more than 4096 different values, too many for categories"),
        (
            "--data flags.csv --set data.columns.b=count",
            3,
            "column `b` is of type count, and the categorical likelihood",
        ),
        ("--data glyphs", 3, "glyphs: these are pixels, and the categorical likelihood takes categories"),
        ("--data maps.npy --set data.binarise=dynamic", 2, "data.binarise = dynamic"),
        ("--data maps.npy --set data.scale=unit", 2, "data.scale = unit is not allowed: it must be auto or none where"),
        ("--data maps.npy --set model.hidden=[] --set encoder_layers=[conv_8_kernel_2]", 2, refused),
    ] {
        let line =
            format!("train {line} --recipe categories --set data.shuffle=false --batch 2 --out run --adapter cpu");
        let words_of = line.split(' ').map(|word| word.replace("conv_8_kernel_2", "conv 8 kernel 2"));
        let mut command = crate::program::command(at, "");
        command.args(words_of);
        crate::program::outcome(command).failed(code, words);
        assert!(!at.join("run").exists(), "{line}");
    }
    elbo(at, "plan --recipe categories").failed(3, "these are pixels, and the categorical likelihood takes categories");
    elbo(at, "plan --recipe categories --data maps.npy --batch 5").succeeded();
}
