//! Conditional models: what is drawn of a class looks like it, and every command tells the model the right class.

use crate::program::{Outcome, elbo, files};
use crate::support::{ROUNDING, compare, executors};
use elbo::checkpoint::load_latest;
use elbo::data::{self, Dataset};
use elbo::model::tasks::ENCODE;
use elbo::run::Run;
use elbo::session::{Rows, Session};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// A run that learns enough to tell digits apart.
const SMALL: &str = "--recipe conditional --adapter cpu --set data.examples=1800 --set hidden=[48] --latent 2 --batch 50 \
                     --lr 3e-3 --epochs 15";

/// One that takes no time.
const TINY: &str = "--recipe conditional --adapter cpu --set data.examples=300 --set hidden=[12] --latent 2 --batch 50";

/// A folder with a conditional run of glyphs in `run`.
fn trained() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        elbo(folder.path(), &format!("train {SMALL} --out run")).succeeded();
        folder
    });
    folder.path()
}

fn glyphs(run: &Run) -> Dataset {
    data::open(run.config(), None).unwrap()
}

/// The digit whose training mean is nearest to an image.
fn nearest(data: &Dataset, image: &[f32]) -> u32 {
    let labels = data.labels.as_ref().unwrap();
    let distance = |class: &u32| {
        let of: Vec<u32> = (0..1500).filter(|&i| labels[i as usize] == *class).collect();
        let all = data.examples(&of).unwrap();
        let mean = |at: usize| all.iter().skip(at).step_by(784).sum::<f32>() / of.len() as f32;
        image.iter().enumerate().map(|(at, x)| (x - mean(at)).powi(2)).sum::<f32>()
    };
    (0..10).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
}

fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::from_str(&outcome.out).unwrap()
}

#[test]
fn what_is_drawn_of_a_class_looks_like_it_and_rows_of_the_grid_differ() {
    let mut run = Run::open(&trained().join("run"), "cpu").unwrap();
    assert_eq!(run.classes().len(), 10);
    let data = glyphs(&run);
    let mut right = 0;
    for class in 0..10 {
        let drawn = run.given(&[class]).sample(4, 3).unwrap();
        right += drawn.chunks_exact(784).filter(|image| nearest(&data, image) == class).count();
    }
    // Digits that are drawn alike are now and then nearer to another mean; by chance it would be 4.
    assert!(right >= 30, "{right} of 40 are nearest to the mean of their class");
    let grid = run.session().class_grid(&[3, 7], 5, &[0]).unwrap().swap_remove(0);
    let (threes, sevens) = grid.split_at(5 * 784);
    assert_eq!(threes, run.given(&[3]).sample(5, 0).unwrap(), "a row is what is drawn of its class");
    for (three, seven) in threes.chunks_exact(784).zip(sevens.chunks_exact(784)) {
        let difference: f32 = three.iter().zip(seven).map(|(a, b)| (a - b).abs()).sum();
        assert!(difference > 10.0, "one latent is another image as another class: {difference}");
    }
    // Without classes they come in turn.
    let turns: Vec<u32> = (0..12).map(|i| i % 10).collect();
    assert_eq!(run.sample(12, 5).unwrap(), run.given(&turns).sample(12, 5).unwrap());
}

#[test]
fn an_example_decoded_as_another_class_looks_like_that() {
    let folder = trained();
    let run = Run::open(&folder.join("run"), "cpu").unwrap();
    let (checkpoint, _) = load_latest(&folder.join("run")).unwrap();
    let data = glyphs(&run);
    let executor = elbo::exec::select::open("cpu", 0).unwrap().0;
    let mut session = Session::new(checkpoint.config.clone(), data.clone(), executor).unwrap();
    session.plan(elbo::session::Purpose::task(ENCODE, elbo::session::BATCH)).unwrap();
    session.restore(0, &checkpoint).unwrap();
    let examples: Vec<u32> = (1500..1520).collect();
    for class in [0, 7] {
        let (_, swapped) = session.reconstruct(&examples, Some(class), 0).unwrap();
        let right = swapped.chunks_exact(784).filter(|image| nearest(&data, image) == class).count();
        assert!(right >= 15, "{right} of 20 as {class}");
    }
    let (_, own) = session.reconstruct(&examples, None, 0).unwrap();
    let labels = session.labels(&examples).unwrap();
    let right = own.chunks_exact(784).zip(&labels).filter(|(image, label)| nearest(&data, image) == **label).count();
    assert!(right >= 15, "{right} of 20 as what they are");
    let error = session.reconstruct(&examples, Some(10), 0).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("go from 0 to 9"), "{error}");
}

#[test]
fn a_run_without_its_data_answers_as_a_session_with_them_on_every_device() {
    let folder = trained();
    let (checkpoint, _) = load_latest(&folder.join("run")).unwrap();
    let mut cpu = Run::open(&folder.join("run"), "cpu").unwrap();
    let data = glyphs(&cpu);
    let examples: Vec<u32> = (1400..1600).collect();
    // Zeros and ones, since a session draws them and a row that is shown to a run is drawn anew.
    let rows: Vec<f32> = data.examples(&examples).unwrap().iter().map(|x| x.round()).collect();
    let classes: Vec<u32> = examples.iter().map(|&i| data.labels.as_ref().unwrap()[i as usize]).collect();
    let expected = cpu.given(&classes).encode(&rows).unwrap();
    let decoded = cpu.given(&classes).decode(&expected.means).unwrap();
    let scores = cpu.given(&classes).anomaly_scores(&rows, elbo::score::Method::MeanField).unwrap();
    let whole = Dataset::new("rounded", data.shape, elbo::data::Values::F32(rows.clone()), Some(classes.clone()), 0, 0);
    for executor in executors() {
        let device = executor.name();
        let mut session = Session::new(checkpoint.config.clone(), whole.clone().unwrap(), executor).unwrap();
        // Not all digits need to be there: the model's names count.
        assert_eq!(session.model.classes, 10);
        session.plan(elbo::session::Purpose::task(ENCODE, elbo::session::BATCH)).unwrap();
        session.restore(0, &checkpoint).unwrap();
        let found = session.encode(&(0..200).collect::<Vec<_>>(), 0).unwrap();
        for (expected, found) in [
            (&expected.means, &found.means),
            (&expected.log_variances, &found.log_variances),
            (&decoded, &session.decode(&expected.means, &classes).unwrap()),
        ] {
            compare(expected, found, ROUNDING).unwrap_or_else(|why| panic!("{device}: {why}"));
        }
    }
    for executor in executors() {
        let device = executor.name();
        let mut run = Run::new(&checkpoint, executor).unwrap();
        let found = run.given(&classes).anomaly_scores(&rows, elbo::score::Method::MeanField).unwrap();
        for (expected, found) in scores.iter().zip(&found) {
            assert!((expected - found).abs() < 1e-3 * expected, "{device}: {found} instead of {expected}");
        }
        let wrong: Vec<u32> = classes.iter().map(|class| (class + 5) % 10).collect();
        let wrong = run.given(&wrong).anomaly_scores(&rows, elbo::score::Method::MeanField).unwrap();
        let higher = wrong.iter().zip(&scores).filter(|(wrong, right)| wrong > right).count();
        assert!(higher > 190, "{device}: as another digit {higher} of 200 are stranger");
    }
    // Classes of a question that failed are not those of the next.
    assert!(cpu.given(&[3]).encode(&rows[..5]).is_err());
    for (error, why) in [
        (cpu.encode(&rows).unwrap_err(), "each of 200 rows (model.condition = label), and 0 are given"),
        (cpu.given(&[1, 2]).encode(&rows).unwrap_err(), "and 2 are given"),
        (cpu.given(&[10]).decode(&[0.0; 4]).unwrap_err(), "no class number 10"),
        (cpu.decode(&[0.0; 4]).unwrap_err(), "each of 2 rows"),
    ] {
        assert!(error.exit_code() == 2 && error.to_string().contains(why), "{error}");
    }
    let rows = Rows { values: &rows[..784], classes: &[] };
    assert!(cpu.session().show(rows).is_err());
}

/// Parameters of the last checkpoint of a run.
fn parameters(run: &Path) -> Vec<u8> {
    let last = crate::program::checkpoint(run, "last");
    fs::read(last.join("parameters.safetensors")).unwrap()
}

#[test]
fn neither_a_pause_nor_a_window_nor_company_changes_a_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let settings = format!("{TINY} --set data.validation=30 --set checkpoint_steps=2");
    for line in [
        format!("train {settings} --epochs 2 --seed 4 --out whole"),
        format!("train {settings} --epochs 1 --seed 4 --out parts"),
        "train --resume parts --epochs 2 --adapter cpu".into(),
        format!("train {settings} --epochs 2 --seed 4 --set data.window=130 --out window"),
        format!("train {settings} --epochs 2 --seeds 3,4 --out both"),
    ] {
        elbo(folder, &line).succeeded();
    }
    let expected = parameters(&folder.join("whole"));
    assert_eq!(parameters(&folder.join("parts")), expected);
    assert_eq!(parameters(&folder.join("window")), expected);
    let member = files(&folder.join("both")).into_iter().find(|path| {
        path.ends_with("config.toml")
            && path.parent().is_some_and(|run| run.join("checkpoints").is_dir())
            && fs::read_to_string(path).unwrap().contains("seed = 4")
    });
    assert_eq!(parameters(member.expect("a member has the seed 4").parent().unwrap()), expected);
    // Pictures of both come with a row for each class.
    assert!(folder.join("whole/samples/epoch-0002.png").is_file());
}

#[test]
fn figures_are_named_for_what_they_are() {
    let folder = trained();
    let text = elbo(folder, "eval run --samples 4 --adapter cpu").succeeded();
    assert!(text.out.contains("-ELBO given y") && text.out.contains("-log p(x|y)"), "{}", text.out);
    assert!(!text.out.contains("-log p(x) "), "{}", text.out);
    let value = json(&elbo(folder, "eval run --samples 4 --adapter cpu --json").succeeded());
    assert_eq!(value["condition"], "label");
    assert_eq!((&value["given"], &value["neg_log_px"]), (&"y".into(), &value["neg_log_px_given_y"]), "{value}");
    assert!(value["neg_log_px"].is_f64() && value["neg_log_px_se"].is_f64(), "{value}");
    let test = value["neg_elbo"].as_f64().unwrap();
    // The class says something: without it, as the same network is trained, it would be more than this.
    assert!(test < 190.0, "{test}");
    let said = elbo(folder, "score run --part test --threshold none --samples 2 --adapter cpu").succeeded();
    let said = format!("{}{}", said.err, said.out);
    assert!(said.contains("-log p(x|y)") && !said.contains("-log p(x),"), "{said}");
}

#[test]
fn commands_tell_the_model_the_class_that_they_are_told() {
    let folder = trained();
    elbo(folder, "embed run --adapter cpu --part test --out z.npy").succeeded();
    let size = |path: &str| {
        let bytes = fs::read(folder.join(path)).unwrap();
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        [number(16), number(20)]
    };
    let cells = |columns: u32, rows: u32| [57 * columns - 1, 57 * rows - 1];
    for (line, file, expected) in [
        ("sample run --out all.png", "all.png", cells(8, 10)),
        ("sample run --class 7 -n 9 --out seven.png", "seven.png", cells(3, 3)),
        ("sample run --class 3,7 -n 6 --out two.png", "two.png", cells(6, 2)),
        ("reconstruct run --as-class all -n 4 --out swap.png", "swap.png", cells(11, 4)),
        ("reconstruct run --as-class 2 -n 4 --out as.png", "as.png", cells(4, 2)),
        ("traverse run --class 2 --steps 5 --out traverse.png", "traverse.png", cells(5, 2)),
        ("traverse run --example 2 --steps 5 --out around.png", "around.png", cells(5, 2)),
        ("interpolate run --steps 4 --pair 0,1 --out between.png", "between.png", cells(6, 1)),
        ("latent run --class 1 -n 50 --out map.png", "map-manifold.png", cells(20, 20)),
        ("decode run z.npy --class 4 --out x.png", "x.png", cells(18, 17)),
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).succeeded();
        assert_eq!(size(file), expected, "{line}");
    }
    elbo(folder, "latent run -n 50 --out alone.png --adapter cpu").succeeded();
    assert!(!folder.join("alone-manifold.png").exists());
    elbo(folder, "score run --part test --threshold none --mean-field --out s.csv --adapter cpu").succeeded();
    elbo(folder, "export run --format safetensors --out tensors").succeeded();
    let card = fs::read_to_string(folder.join("tensors/README.md")).unwrap();
    for words in ["def encode(x, y):", "F.one_hot(y, 10)", "def decode(z, y):", "0, 1, 2"] {
        assert!(card.contains(words), "{words}: {card}");
    }
    for (line, code, culprit) in [
        ("sample run --class 10", 2, "no class `10`; the model's are 0, 1, 2"),
        ("sample run --class cat", 2, "no class `cat`"),
        ("sample run -n 2000", 2, "with 10 classes that is 20000 pictures"),
        ("reconstruct run --as-class all -n 1500 --part train", 2, "with 10 classes that is 16500 pictures"),
        ("reconstruct run --as-class 1,2", 2, "one class, or all"),
        ("reconstruct run --as-class ten", 2, "no class `ten`"),
        ("traverse run", 2, "--class: the model is told a class"),
        ("decode run z.npy --out y.npy", 2, "say which of 0, 1, 2"),
        ("decode run z.npy --class 1,2 --out y.npy", 2, "one class is wanted"),
        ("score run --labels strange", 2, "--labels strange: the model knows classes of rows"),
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).failed(code, culprit);
    }
    elbo(folder, "import tensors --out imported").failed(2, "model.condition: elbo import takes");
}

#[test]
fn flags_about_classes_are_refused_for_models_that_are_told_none() {
    let folder = crate::program::trained();
    let folder = folder.path();
    elbo(folder, "embed run --adapter cpu --part test --out z.npy").succeeded();
    for line in [
        "sample run --class 1",
        "reconstruct run --as-class 1",
        "reconstruct run --as-class all",
        "traverse run --class 1",
        "interpolate run --class 1",
        "latent run --class 1",
        "decode run z.npy --class 1 --out x.npy",
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).failed(2, "the model is told no classes");
    }
}

/// A table of two kinds of rows that are named.
fn table(path: &Path, kinds: [&str; 2]) {
    let row = |i: u32| {
        let (kind, shift) = if i.is_multiple_of(2) { (kinds[0], 0.0) } else { (kinds[1], 50.0) };
        format!("{},{},{kind}", shift + 0.5 + f64::from(i % 7), shift - 0.5 - f64::from(i % 5))
    };
    let rows: Vec<String> = (0..60).map(row).collect();
    fs::write(path, format!("a,b,kind\n{}\n", rows.join("\n"))).unwrap();
}

#[test]
fn classes_go_by_their_names_in_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(&folder.join("first.csv"), ["cat", "dog"]);
    table(&folder.join("turned.csv"), ["dog", "cat"]);
    table(&folder.join("other.csv"), ["cat", "cow"]);
    let train =
        "train --recipe anomaly --data first.csv --set data.labels=kind --adapter cpu --latent 1 --lr 0.01 --epochs 60";
    elbo(folder, &format!("{train} --set condition=label --out run")).succeeded();
    elbo(folder, "sample run --class dog -n 20 --out dogs.csv --adapter cpu").succeeded();
    elbo(folder, "sample run -n 3 --out both.csv --adapter cpu").succeeded();
    let text = fs::read_to_string(folder.join("dogs.csv")).unwrap();
    assert!(text.starts_with("class,a,b\ndog,"), "{text}");
    let mean = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse::<f64>().unwrap()).sum::<f64>();
    assert!((40.0..66.0).contains(&(mean / 20.0)), "{text}");
    let text = fs::read_to_string(folder.join("both.csv")).unwrap();
    let classes: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(classes, ["cat", "cat", "cat", "dog", "dog", "dog"]);
    elbo(folder, "sample run --class 1 -n 20 --out again.csv --adapter cpu").succeeded();
    assert_eq!(fs::read(folder.join("again.csv")).unwrap(), fs::read(folder.join("dogs.csv")).unwrap());

    // Dogs that are called cats are told apart by the model, though their numbers are those of the training.
    let eval = |data: &str| {
        let line = format!("eval run --data {data} --part train --adapter cpu --json");
        json(&elbo(folder, &line).succeeded())["neg_elbo"].as_f64().unwrap()
    };
    let (own, turned) = (eval("first.csv"), eval("turned.csv"));
    assert!(turned > own + 1.0, "{own} and {turned}");
    elbo(folder, "eval run --data other.csv --adapter cpu")
        .failed(3, "does not know the class `cow`; its classes are cat, dog");
    fs::write(folder.join("bare.csv"), "a,b\n1,2\n3,4\n5,6\n").unwrap();
    elbo(folder, "eval run --data bare.csv --adapter cpu").failed(3, "no labels");
}

#[test]
fn training_without_labels_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("bare.csv"), "a,b\n1,2\n3,4\n5,6\n7,8\n").unwrap();
    for (data, code, culprit) in [
        ("bare.csv", 3, "bare.csv: there are no labels, and a model with model.condition = label"),
        ("bare.csv --set data.labels=kind", 2, "kind"),
    ] {
        let line = format!("train --recipe anomaly --set condition=label --adapter cpu --batch 2 --data {data}");
        elbo(folder, &line).failed(code, culprit);
        assert_eq!(files(folder).len(), 1, "{data}");
    }
    elbo(folder, "train --set condition=labels").failed(2, "one of none, label, inferred");
}

#[test]
fn a_class_that_was_never_seen_is_told_where_it_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..60).map(|i| format!("{}.5,{}.25,{}\n", i % 7, i % 5, ["a", "b"][i % 2]));
    // The last row is the test part.
    fs::write(folder.path().join("t.csv"), format!("x,z,kind\n{}1.5,2.5,never\n", rows.collect::<String>())).unwrap();
    let line = "train --data t.csv --recipe table --adapter cpu --set data.labels=kind --set model.condition=label \
                --set data.columns.kind=ignore --set data.shuffle=false --set data.test=0.05 --set hidden=[8] --latent 2 \
                --batch 10 --epochs 1 --out run";
    elbo(folder.path(), line).succeeded();
    for (line, told) in [
        ("sample run --out all.csv", true),
        ("sample run --class never --out never.csv", true),
        ("sample run --class a --out a.csv", false),
        ("reconstruct run --as-class never --out r.csv", true),
    ] {
        let said = elbo(folder.path(), &format!("{line} --adapter cpu")).succeeded();
        assert_eq!(said.err.contains("there was no example of never in the training part"), told, "{line}: {said:?}");
    }
    // A run that does not know it goes on, and says nothing.
    elbo(folder.path(), "train --resume run --epochs 2 --adapter cpu").succeeded();
}
