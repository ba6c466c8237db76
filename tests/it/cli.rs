//! The command line from outside: what each command makes, and what it says to wrong input.

use crate::program::{TINY, checkpoint, command, content, elbo, files, trained};
use elbo::checkpoint::{Checkpoint, load, save};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;

#[test]
fn a_first_run_leaves_what_the_other_commands_take() {
    let folder = tempfile::tempdir().unwrap();
    let said = elbo(folder.path(), &format!("train {TINY} --epochs 2 --seed 3")).succeeded();
    assert!(said.out.starts_with("test     distortion "), "{said:?}");
    for line in ["device   CPU engine", "data     glyphs: 250 to train on", "elbo eval runs/classic-1"] {
        assert!(said.err.contains(line), "{line}: {said:?}");
    }
    let run = folder.path().join("runs/classic-1");
    let found: Vec<String> =
        files(&run).iter().map(|path| path.strip_prefix(&run).unwrap().to_string_lossy().replace('\\', "/")).collect();
    for file in ["config.toml", "metrics.csv", "checkpoints/last", "checkpoints/best", "samples/epoch-0002.png"] {
        assert!(found.iter().any(|name| name == file), "{file} is not in {found:?}");
    }
    let metrics = fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert_eq!(metrics.lines().map(|line| line.split(',').count()).collect::<Vec<_>>(), [9, 9, 9], "{metrics}");
    assert!(
        metrics.starts_with("epoch,distortion,rate,neg_elbo,validation_neg_elbo,images_per_second,elapsed_seconds,")
            && metrics.lines().next().unwrap().ends_with(",lr,beta"),
        "{metrics}"
    );
    assert!(fs::read_to_string(run.join("config.toml")).unwrap().contains("seed = 3"));

    let more = elbo(folder.path(), "train --resume runs/classic-1 --epochs 3 --adapter cpu").succeeded();
    assert!(more.err.contains("going on after epoch 2, step 10"), "{more:?}");
    assert_eq!(fs::read_to_string(run.join("metrics.csv")).unwrap().lines().count(), 4);
    assert!(fs::read_to_string(run.join("config.toml")).unwrap().contains("epochs = 3"));

    for (line, file) in [
        ("sample runs/classic-1 -n 5 --adapter cpu", "runs/classic-1/samples/prior-step-15-seed-3.png"),
        ("sample runs/classic-1/checkpoints/last -n 5 --seed 4 --adapter cpu --out s.png", "s.png"),
        ("reconstruct runs/classic-1/checkpoints/best --adapter cpu --out r.png", "r.png"),
        ("reconstruct runs/classic-1 -n 3 --part train --adapter cpu", "runs/classic-1/samples/train-step-15.png"),
    ] {
        let said = elbo(folder.path(), line).succeeded();
        assert_eq!(said.out.trim_end(), file, "{line}");
        let png = fs::read(folder.path().join(file)).unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n"), "{line}");
    }
    let shown = |line: &str| {
        let said = elbo(folder.path(), &format!("reconstruct runs/classic-1 --adapter cpu --out r.png --json {line}"));
        let value: Value = serde_json::from_str(&said.out).expect("JSON");
        (value["examples"].clone(), said.err)
    };
    let (spread, said) = shown("--part train -n 2");
    assert!(said.contains("2 of ") && said.contains("spread over the train part"), "{said}");
    assert_eq!(spread[0], 0);
    assert_eq!(shown("--part train --example 7,3 --example 3").0, json!([7, 3, 3]));
}

#[test]
fn eval_prints_the_same_figures_for_people_and_for_programs() {
    let folder = trained();
    let text = elbo(folder.path(), "eval run --adapter cpu --samples 20").succeeded();
    let json = elbo(folder.path(), "eval run --adapter cpu --samples 20 --json").succeeded();
    assert_eq!(json.out.lines().count(), 1, "{json:?}");
    let value: Value = serde_json::from_str(&json.out).unwrap();
    let number = |key: &str| value[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {value}"));
    assert_eq!((number("examples"), number("samples")), (50.0, 20.0));
    assert_eq!((&value["part"], &value["is_likelihood"]), (&json!("test"), &json!(false)));
    assert!((number("rate") + number("distortion") - number("neg_elbo")).abs() < 1e-9);
    assert!(number("active_units") <= 2.0 && number("neg_elbo_se") > 0.0 && number("neg_log_px_se") > 0.0);
    assert!(number("neg_log_px") < number("neg_elbo"), "more samples give a tighter bound: {value}");
    let rates: f64 = value["rates"].as_array().unwrap().iter().map(|rate| rate.as_f64().unwrap()).sum();
    assert!((rates - number("rate")).abs() < 1e-3, "{value}");
    for key in ["rate", "distortion", "neg_elbo", "neg_log_px"] {
        assert!(text.out.contains(&format!(" {:.2}", number(key))), "{key} of {value} is not in {}", text.out);
    }
    assert!(text.err.contains("no bounds of a likelihood"), "{text:?}");
    let train = elbo(folder.path(), "eval run --adapter cpu --json --part train").succeeded();
    let value: Value = serde_json::from_str(&train.out).unwrap();
    assert_eq!((&value["examples"], &value["samples"]), (&json!(250), &Value::Null));
}

#[test]
fn compare_gives_what_eval_gives_and_names_what_differs() {
    let folder = trained();
    elbo(folder.path(), &format!("train {TINY} --epochs 1 --beta 2 --out other")).succeeded();
    let line = "compare run other --seed 3 --samples 20 --adapter cpu";
    let (text, json) = (elbo(folder.path(), line).succeeded(), elbo(folder.path(), &format!("{line} --json")));
    let value: Value = serde_json::from_str(&json.succeeded().out).unwrap();
    let differs: Vec<&str> = value["differs"].as_array().unwrap().iter().map(|d| d["key"].as_str().unwrap()).collect();
    assert!(differs.contains(&"objective.beta") && !differs.contains(&"train.batch"), "{value}");
    for (at, run) in ["run", "other"].into_iter().enumerate() {
        let one = elbo(folder.path(), &format!("eval {run} --seed 3 --samples 20 --adapter cpu --json")).succeeded();
        let one: Value = serde_json::from_str(&one.out).unwrap();
        for key in ["rate", "distortion", "neg_elbo", "neg_log_px", "aggregate_mmd"] {
            assert!(one[key].is_f64() && one[key] == value["runs"][at][key], "{run}, {key}: {one} {value}");
        }
        let shown = format!("{:.2}", one["neg_log_px"].as_f64().unwrap());
        assert!(text.out.lines().any(|line| line.starts_with(run) && line.contains(&shown)), "{text:?}");
    }
    assert!(text.out.contains("objective.beta") && !text.err.contains("different data"), "{text:?}");
    let more = TINY.replace("data.examples=300", "data.examples=310");
    elbo(folder.path(), &format!("train {more} --epochs 1 --out elsewhere")).succeeded();
    let text = elbo(folder.path(), "compare run elsewhere --adapter cpu").succeeded();
    assert!(text.err.contains("different data"), "{text:?}");
}

#[test]
fn plan_adapters_doctor_and_bench_answer_in_text_and_json() {
    let folder = tempfile::tempdir().unwrap();
    elbo(folder.path(), "plan --recipe plane --for divine")
        .failed(2, "no task \"divine\"; it has evaluate, importance, ");
    for purpose in ["train", "eval", "likelihood", "score", "explain", "reconstruct", "sample", "encode", "decode"] {
        for target in ["gpu", "software", "cpu"] {
            let line = format!("plan --recipe plane --batch 7 --for {purpose} --target {target}");
            let text = elbo(folder.path(), &line).succeeded().out;
            let json = elbo(folder.path(), &format!("{line} --json")).succeeded().out;
            let value: Value = serde_json::from_str(&json).unwrap();
            let steps = value["steps"].as_array().unwrap().len();
            assert!(text.starts_with("plan ") && text.contains(&format!(" {steps} steps")), "{line}: {text}");
            assert_eq!(value["batch"], 7, "{line}");
        }
    }
    for (line, key) in [
        ("adapters --json", "adapters"),
        ("doctor --adapter cpu --json", "checks"),
        ("bench step --adapter cpu --batch 10 --steps 2 --rounds 2 --set hidden=[8] --json", "ms_per_step"),
        ("bench step --adapter cpu --batch 10 --steps 2 --rounds 2 --set hidden=[8] --profile --json", "profile"),
        ("bench eval --adapter cpu --steps 2 --rounds 2 --set hidden=[8] --json", "share_of_peak_flops"),
        ("bench eval --adapter cpu --steps 2 --rounds 2 --set hidden=[8] --samples 6 --json", "images_per_second"),
        ("bench matmul 30 20 10 --adapter cpu --transpose-a --json", "variants"),
    ] {
        let said = elbo(folder.path(), line).succeeded();
        let value: Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
        assert!(!value[key].is_null(), "{line}: {value}");
        for key in ["name", "batch", "ms_per_step", "gflop_per_second", "gb_per_second", "peak_gflop_per_second"] {
            assert!(!line.starts_with("bench") || !value[key].is_null(), "{line} gives no {key}: {value}");
        }
        assert!(elbo(folder.path(), line.trim_end_matches(" --json")).succeeded().out.len() > 20, "{line}");
    }
    assert_eq!(content(folder.path()), [], "none of them writes anything");
}

#[test]
fn a_profile_shows_every_step_and_changes_nothing_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let profiled = elbo(folder.path(), &format!("train {TINY} --epochs 2 --out profiled --profile")).succeeded();
    let plain = elbo(folder.path(), &format!("train {TINY} --epochs 2 --out plain")).succeeded();
    let plan =
        elbo(folder.path(), "plan --set model.hidden=[16] --set latent=2 --batch 50 --target cpu --json").succeeded();
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    for step in plan["steps"].as_array().unwrap() {
        let what = step["what"].as_str().unwrap();
        assert!(profiled.out.lines().any(|line| line.ends_with(what)), "{what}: {profiled:?}");
    }
    for word in ["kernel", "µs", "GFLOP/s", "GB/s", "of peak", "all steps", "in a run", "clock: ", "peak: "] {
        assert!(profiled.out.contains(word) && !plain.out.contains(word), "{word}: {profiled:?}");
    }
    for file in ["parameters.safetensors", "moments.safetensors"] {
        let [a, b] = ["profiled", "plain"].map(|run| fs::read(checkpoint(&folder.path().join(run), "last").join(file)));
        assert!(a.unwrap() == b.unwrap(), "{file}");
    }
    let before = content(folder.path());
    let dry = elbo(folder.path(), &format!("train {TINY} --profile --dry-run")).succeeded();
    assert!(dry.out.contains("all steps") && content(folder.path()) == before, "{dry:?}");
    let resumed = elbo(folder.path(), "train --resume plain --epochs 3 --adapter cpu --profile").succeeded();
    assert!(resumed.out.contains("all steps"), "{resumed:?}");
}

/// Wrong data, each under a name that says what is wrong.
fn write_wrong_data(folder: &Path) {
    let header = |kind: u8, dims: &[u32]| {
        let mut bytes = vec![0, 0, kind, dims.len() as u8];
        for dim in dims {
            bytes.extend(dim.to_be_bytes());
        }
        bytes
    };
    let images = |count: u32, side: u32| {
        let pixels = (0..count * side * side).map(|i| (i * 7 % 251) as u8);
        [header(8, &[count, side, side]), pixels.collect()].concat()
    };
    let mut zipped = GzEncoder::new(vec![], Compression::default());
    zipped.write_all(&images(20, 28)).unwrap();
    let zipped = zipped.finish().unwrap();
    let mut damaged = zipped.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    for (name, bytes) in [
        ("truncated.idx", images(20, 28)[..1000].to_vec()),
        ("header.idx", vec![0, 0, 8]),
        ("magic.idx", b"PK\x03\x04 this is no IDX file".to_vec()),
        ("damaged.gz", damaged),
        ("short.gz", zipped[..zipped.len() / 2].to_vec()),
        ("absurd.idx", header(8, &[u32::MAX, u32::MAX, u32::MAX])),
        ("small.idx", images(20, 5)),
        ("empty.idx", vec![]),
        ("counts/train-images-idx3-ubyte", images(20, 28)),
        ("counts/train-labels-idx1-ubyte", [header(8, &[19]), vec![1; 19]].concat()),
        ("file", vec![]),
        ("no.toml", b"[model]\nlatnt = 3\n".to_vec()),
        (
            "apart.toml",
            b"[model]\nhidden = []\nencoder_layers = [\"conv 8 kernel 4 stride 4\", \"conv 9 kernel 9\"]\n".to_vec(),
        ),
        (
            "nested.toml",
            b"[model]\nhidden = []\nencoder_layers = [\"relu\", { residual = [{ residual = [\"relu\", { conv = 3, kernal = 3 }] \
              }] }]\n"
                .to_vec(),
        ),
        (
            "endless.toml",
            b"[model]\nhidden = []\nencoder_layers = [{ repeat = 256, layers = [{ repeat = 256, layers = [\"relu\"] }] }]\n"
                .to_vec(),
        ),
        (
            "flat.csv",
            (0..40)
                .map(|i| format!("{i}.5,{}.25\n", i * 7 % 40))
                .fold("a,b\n".to_owned(), |all, row| all + &row)
                .into(),
        ),
    ] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::create_dir(folder.join("nothing")).unwrap();
}

/// Exit code and culprit for an adapter that does not exist; without GPU support no name is looked up.
const NO_ADAPTER: (i32, &str) =
    if cfg!(feature = "gpu") { (2, "no adapter is called \"quantum\"") } else { (5, "--adapter") };

#[test]
fn wrong_input_to_train_is_one_clear_line_and_leaves_nothing_behind() {
    let folder = trained();
    write_wrong_data(folder.path());
    let before = content(folder.path());
    for (arguments, code, culprit) in [
        ("--data missing", 3, "'missing' does not exist"),
        ("--data nothing", 3, "nothing: there are no data in this folder"),
        ("--data truncated.idx", 3, "truncated.idx: file is truncated"),
        ("--data header.idx", 3, "header.idx"),
        ("--data empty.idx", 3, "empty.idx"),
        ("--data magic.idx", 3, "magic.idx"),
        ("--data damaged.gz", 3, "damaged.gz: "),
        ("--data short.gz", 3, "short.gz: file is truncated"),
        ("--data absurd.idx", 3, "absurd.idx"),
        ("--data counts", 3, "19 labels"),
        ("--recipe clasic", 2, "did you mean `classic`"),
        ("--recipe no.toml", 2, "model.latnt"),
        ("--recipe missing.toml", 2, "missing.toml"),
        (
            "--recipe apart.toml",
            2,
            "`conv 9 kernel 9` has a kernel of 9x9 that does not fit into 7x7x8, which is `conv 8",
        ),
        (
            "--recipe conv --set encoder_layers=cnov",
            2,
            "model.encoder_layers[0] `cnov` is unknown; did you mean `conv`?",
        ),
        (
            "--recipe nested.toml",
            2,
            "nested.toml: model.encoder_layers[1].residual[0].residual[1] `{ conv = 3, kernal = 3 }` knows no `kernal`",
        ),
        (
            "--recipe endless.toml",
            2,
            "model.encoder_layers = 65536 layers is not allowed: it must be up to 256 layers, repeated ones included",
        ),
        ("--recipe conv --set model.hidden=[3]", 2, "model.hidden = [3] and model.encoder_layers"),
        ("--recipe colour --data flat.csv --batch 2", 2, "wants images, and an example is 2 numbers in a row"),
        ("--adapter quantum", NO_ADAPTER.0, NO_ADAPTER.1),
        ("--set model.hiden=[3]", 2, "did you mean `model.hidden`"),
        ("--set model.hidden=many", 2, "model.hidden"),
        ("--latent 0", 2, "model.latent"),
        ("--latent many", 2, "a whole number, or words such as categorical 20x10 + gaussian 8"),
        ("--batch 251", 2, "251"),
        ("--batch 0", 2, "train.batch"),
        ("--epochs -1", 2, "-1"),
        ("--lr NaN", 2, "optimizer.lr"),
        ("--lr inf", 2, "optimizer.lr"),
        ("--beta NaN", 2, "objective.beta"),
        ("--set data.validation=250", 2, "data.validation"),
        ("--no-such-flag", 2, "--no-such-flag"),
        ("--out run", 2, "--out run: the folder is not empty"),
        ("--out file", 6, "file"),
        ("--out file/run", 6, "file"),
        ("--resume run --latent 3", 2, "--latent"),
        ("--resume nothing", 3, "no checkpoint in nothing"),
        ("--resume missing", 3, "missing"),
        ("--resume file", 3, "file"),
        ("--resume run --epochs 1", 2, "--epochs 1"),
    ] {
        let first = arguments.split(' ').next().unwrap();
        let mut line = String::from("train --adapter cpu --set data.examples=300");
        if first == "--resume" {
            line = "train".into();
        } else if first == "--adapter" {
            line = "train --set data.examples=300".into();
        }
        if !["--resume", "--out"].contains(&first) {
            line += " --out new/run";
        }
        let said = elbo(folder.path(), &format!("{line} {arguments}"));
        said.failed(code, culprit);
        assert!(content(folder.path()) == before, "{arguments} left something behind");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_takes_nothing_is_one_clear_line() {
    let folder = trained();
    let before = content(folder.path());
    for (line, culprit) in [
        ("train --set data.examples=300 --adapter cpu --out /proc/run", "/proc/run"),
        ("sample run --adapter cpu --out /dev/full", "/dev/full: no space left"),
        ("sample run --adapter cpu --out missing/s.png", "missing"),
        ("reconstruct run --adapter cpu --out run", "run"),
    ] {
        elbo(folder.path(), line).failed(6, culprit);
        assert!(content(folder.path()) == before, "{line} left something behind");
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(folder.path(), "eval run --adapter cpu --json").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
}

#[test]
fn wrong_input_to_the_commands_that_take_a_run_is_one_clear_line() {
    let folder = trained();
    write_wrong_data(folder.path());
    let before = content(folder.path());
    for (line, code, culprit) in [
        ("eval missing", 3, "no such folder: missing"),
        ("eval nothing", 3, "no checkpoint in nothing"),
        (
            "augment run --labels y --out more.npz",
            2,
            "--labels y is for arrays, tables, folders of images and counts of cells",
        ),
        ("sample file", 3, "file is a file"),
        ("reconstruct nothing", 3, "nothing"),
        ("eval run --samples 0", 2, "--samples 0"),
        ("eval run --samples 99999999999", 2, "--samples"),
        ("compare", 2, "required arguments"),
        ("compare run missing", 3, "no such folder: missing"),
        ("compare run --samples 0", 2, "--samples 0"),
        ("eval run --part validation", 2, "it has train and test"),
        ("eval run --part all", 2, "all"),
        ("eval run --data small.idx", 3, "small.idx: an example has shape [1, 5, 5]"),
        ("eval run --data missing", 3, "missing"),
        ("eval run --adapter quantum", NO_ADAPTER.0, NO_ADAPTER.1),
        ("sample run -n 0", 2, "-n 0"),
        ("sample run -n 99999999999999", 2, "-n"),
        ("reconstruct run -n 0", 2, "-n 0"),
        ("reconstruct run --example 9999", 2, "--example: there is no example 9999: the test part has 0 to 49"),
        ("reconstruct run -n 2 --example 1", 2, "cannot be used with"),
        ("plan --for nothing", 2, "nothing"),
        ("plan --latent 3", 2, "--latent"),
        ("plan --batch 0", 2, "train.batch"),
        ("doctor --adapter quantum", NO_ADAPTER.0, NO_ADAPTER.1),
        ("bench step --rounds 0", 2, "--rounds"),
        ("bench step --batch 70000", 2, "70000"),
        ("bench run", 2, "run"),
        ("bench eval --batch 0", 2, "batch"),
        ("bench eval --samples 0", 2, "--samples 0"),
        ("bench eval --steps 0", 2, "--steps"),
        ("bench matmul 3 0 4", 2, "3 0 4"),
        ("bench matmul 99999999999 99999999999 4", 2, "elements"),
        ("bench matmul 3 4 5 --rounds 0", 2, "--rounds"),
    ] {
        let adapter = !line.contains("--adapter") && !line.starts_with("plan");
        let line = if adapter { format!("{line} --adapter cpu") } else { line.to_owned() };
        elbo(folder.path(), &line).failed(code, culprit);
        assert!(content(folder.path()) == before, "{line} left something behind");
    }
}

/// The commands that read a checkpoint; the last one goes on training.
const READERS: [&str; 4] = [
    "eval run --adapter cpu",
    "sample run --adapter cpu --out s.png",
    "reconstruct run --adapter cpu --out r.png",
    "train --resume run --epochs 3 --adapter cpu",
];

/// What it is called, and how it is done.
type Damage = (&'static str, fn(&mut Vec<u8>));

/// Ways to damage a file.
const DAMAGES: [Damage; 4] = [
    ("cut short", |bytes| bytes.truncate(bytes.len() / 2)),
    ("empty", Vec::clear),
    ("with one byte more", |bytes| bytes.push(b' ')),
    ("with one bit flipped", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    }),
];

fn damage(path: &Path, how: fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_taken() {
    for file in ["parameters.safetensors", "moments.safetensors", "progress.json", "config.toml", "manifest.json"] {
        for (what, how) in DAMAGES {
            // One byte more of white space says the same in a manifest.
            if file == "manifest.json" && what == "with one byte more" {
                continue;
            }
            let folder = trained();
            damage(&checkpoint(&folder.path().join("run"), "last").join(file), how);
            let said = elbo(folder.path(), READERS[0]).succeeded();
            let warnings: Vec<&str> = said.err.lines().filter(|line| line.starts_with("warning: ")).collect();
            assert_eq!(warnings.len(), 1, "{file} {what}: {said:?}");
            assert!(warnings[0].contains(file) && warnings[0].contains("going on from step-0000000005"), "{said:?}");
        }
    }
}

#[test]
fn without_a_whole_checkpoint_no_command_goes_on() {
    for reader in READERS {
        for (what, how) in DAMAGES {
            let folder = trained();
            let run = folder.path().join("run");
            let damaged: Vec<_> =
                files(&run).into_iter().filter(|path| path.ends_with("parameters.safetensors")).collect();
            assert!(damaged.len() >= 2);
            for path in &damaged {
                damage(path, how);
            }
            let before = content(folder.path());
            elbo(folder.path(), reader).failed(3, "parameters.safetensors");
            assert!(content(folder.path()) == before, "{reader}, {what}, left something behind");
            // One that is named has nothing to fall back on.
            let said = elbo(folder.path(), &reader.replace(" run ", " run/checkpoints/step-0000000010 "));
            said.failed(3, "step-0000000010/parameters.safetensors");
        }
    }
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    for reader in READERS {
        let folder = trained();
        let other = TINY.replace("--latent 2", "--latent 3");
        elbo(folder.path(), &format!("train {other} --epochs 1 --out other")).succeeded();
        let [own, foreign] = ["run", "other"].map(|run| load(&checkpoint(&folder.path().join(run), "last")).unwrap());
        // Whole by its manifest, and yet it does not fit together.
        let mixed = Checkpoint { parameters: foreign.parameters, ..own };
        save(&folder.path().join("run/checkpoints"), &mixed, 1).unwrap();
        let before = content(folder.path());
        elbo(folder.path(), reader).failed(3, "the checkpoint is of another model: `encoder.head` has shape [17, 6]");
        assert!(content(folder.path()) == before, "{reader} left something behind");
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let late = "--set schedule.curve=steps --set schedule.milestones=[1] --set schedule.gamma=[1e35]";
    let said = elbo(folder.path(), &format!("train {TINY} --epochs 2 {late} --out run"));
    said.failed(4, "the loss is not finite at step 6 ");
    assert!(said.err.contains("last good checkpoint is in run/checkpoints"), "{said:?}");
    elbo(folder.path(), READERS[0]).succeeded();
}

#[test]
fn a_run_that_diverges_before_it_has_learnt_anything_leaves_its_folder_free() {
    let folder = tempfile::tempdir().unwrap();
    for more in ["", " --seeds 2"] {
        let said = elbo(folder.path(), &format!("train {TINY} --epochs 2 --lr 1e30 --out run{more}"));
        said.failed(4, "nothing was learnt, so nothing is kept");
        assert!(!said.err.contains("good checkpoint"), "{said:?}");
        assert!(!folder.path().join("run").exists());
        elbo(folder.path(), &format!("train {TINY} --epochs 1 --out run{more}")).succeeded();
        fs::remove_dir_all(folder.path().join("run")).unwrap();
    }
}

#[test]
fn data_that_changed_since_the_training_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let write = |pixel: u8| {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 60, 0, 0, 0, 4, 0, 0, 0, 4];
        bytes.extend((0..60 * 16).map(|i| if i == 0 { pixel } else { (i * 5 % 256) as u8 }));
        fs::write(folder.path().join("data.idx"), bytes).unwrap();
    };
    write(1);
    elbo(folder.path(), &format!("train {TINY} --data data.idx --epochs 1 --out run")).succeeded();
    let same = elbo(folder.path(), READERS[0]).succeeded();
    assert!(!same.err.contains("warning"), "{same:?}");
    write(2);
    let other = elbo(folder.path(), READERS[0]).succeeded();
    assert!(other.err.contains("warning: data.idx: the data are not those of the training any more"), "{other:?}");
    elbo(folder.path(), READERS[3]).failed(3, "the data are not those of the run");
    fs::remove_file(folder.path().join("data.idx")).unwrap();
    elbo(folder.path(), READERS[0]).failed(3, "--data");
    elbo(folder.path(), READERS[1]).succeeded();
}
