use std::panic::{self, AssertUnwindSafe};

use super::*;
use crate::config::{
    Activation, Condition, DataConfig, Init, Layers, Likelihood, ModelConfig, ObjectiveConfig, OptimizerConfig,
    OptimizerKind, Scales, ScheduleConfig, TrainConfig,
};
use crate::durable::fault::{self, Fault};

fn config() -> Config {
    Config {
        name: "classic".into(),
        data: DataConfig { validation: 100, examples: 1_000, ..DataConfig::default() },
        model: ModelConfig {
            hidden: vec![],
            decoder: vec![],
            encoder_layers: Layers::words(&["dense 3", "relu"]).unwrap(),
            decoder_layers: Layers::default(),
            latent: 2,
            categories: vec![],
            codes: 0,
            codebook: crate::config::Codebook::Gradient,
            codebook_decay: 0.9,
            codebook_restart: 0.125,
            above: vec!["3-1".into()],
            hierarchy: crate::config::Hierarchy::Ladder,
            resolutions: vec![],
            encoder_cell: Layers::words(&["silu", "conv 3 kernel 1"]).unwrap(),
            decoder_cell: Layers::words(&["relu"]).unwrap(),
            norm: crate::config::Norm::Layer,
            condition: Condition::None,
            classifier: vec![500],
            class_prior: crate::config::ClassPrior::Uniform,
            library_size: crate::config::LibrarySize::None,
            activation: Activation::Relu,
            likelihood: Likelihood::Bernoulli,
            sigma: 0.1,
            prior: crate::config::Prior::Standard,
            prior_components: 6,
            prior_weights: crate::config::MixtureWeights::Learned,
            prior_layers: 5,
            prior_width: 9,
            prior_steps: 11,
            prior_step: 0.3,
            prior_codes: 0,
            posterior: crate::config::Posterior::Gaussian,
            posterior_layers: 3,
            posterior_width: 8,
            discriminator: vec![],
            discriminator_layers: Layers::default(),
            discriminator_features: 0,
            discriminator_spectral: false,
            cell: crate::config::Cell::Lstm,
            heads: 2,
            bidirectional: true,
            embedding: 5,
            word_dropout: 0.25,
            components: 7,
            scales: Scales::Shared,
            normalise_input: true,
            init: Init::Pytorch,
            output_bias_from_data: false,
            log_variance: [-10.3, 10.1],
            decoder_log_variance: [-10.2, 10.4],
        },
        objective: ObjectiveConfig::elbo(1.0 / 3.0),
        optimizer: OptimizerConfig {
            kind: OptimizerKind::Adam,
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            alpha: 0.99,
            momentum: 0.0,
            weight_decay: 0.0,
            ..Config::default().optimizer
        },
        schedule: ScheduleConfig::default(),
        train: TrainConfig { seed: 7, ..Config::default().train },
    }
}

pub(super) fn tensor(name: &str, shape: &[usize], values: &[f32]) -> (String, Tensor) {
    (name.to_string(), Tensor { shape: shape.to_vec(), values: values.to_vec() })
}

/// A checkpoint whose every part is different at every step.
pub(super) fn checkpoint(step: u64) -> Checkpoint {
    let x = step as f32;
    Checkpoint {
        parameters: vec![tensor("weight", &[2, 2], &[x, -x, 0.5, 1.0]), tensor("bias", &[1], &[x / 3.0])],
        moments: vec![tensor("weight.m", &[1], &[x])],
        progress: Progress {
            epoch: step as u32 / 100,
            step,
            step_in_epoch: step % 100,
            sums: vec![step as f64 / 3.0, 0.1 + 0.2],
            best: Some(106.2),
            best_epoch: None,
            elapsed_seconds: 1.5,
            adapter: "cpu".into(),
            data: DataRecord {
                name: "glyphs".into(),
                shape: [1, 28, 28],
                floats: false,
                bits: None,
                hash: "00".into(),
                encoding: None,
                text: None,
                classes: None,
                of_classes: None,
                decimals: vec![],
                items: None,
                missing: None,
            },
            folder: None,
            tuning: Tuning([("matmul 0.0.1.0.0.0 2x3x4".into(), vec![16, 16, 4, 4, 2])].into()),
            course: TrainerState { rollbacks: 1, stopped: true, ..TrainerState::default() },
        },
        config: config(),
    }
}

/// All names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The message of the error of class `Data` that was expected.
#[track_caller]
fn data_error<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Data(message)) => message,
        other => panic!("expected a data error, got {other:?}"),
    }
}

#[test]
fn a_checkpoint_comes_back_bit_for_bit_and_in_order() {
    let run = tempfile::tempdir().unwrap();
    let mut saved = checkpoint(1_234);
    let odd = [0.0, -0.0, f32::from_bits(1), -f32::MIN_POSITIVE / 3.0, f32::MAX, f32::MIN, f32::EPSILON, 0.1];
    saved.parameters = vec![
        tensor("z", &[2, 2, 2], &odd),
        tensor("scalar", &[], &[-0.0]),
        tensor("empty", &[0, 3], &[]),
        tensor("a/b \"c\"\n../ö\0 — ∑", &[1], &[1.0]),
        tensor("", &[1, 1], &[2.0]),
    ];
    saved.moments = vec![];
    saved.progress.sums = vec![-0.0, 5e-324, f64::MAX, 0.1, 2.0 / 3.0, 0.005_000_000_000_000_001, 1e23, 9e15 + 1.0];
    saved.progress.adapter = "Gerät \"X\"\n".into();
    let path = save(run.path(), &saved, 1).unwrap();
    assert_eq!(path, run.path().join("step-0000001234"));
    assert_eq!(
        names(&path),
        ["config.toml", "manifest.json", "moments.safetensors", "parameters.safetensors", "progress.json"]
    );
    let loaded = load(&path).unwrap();
    assert_eq!(loaded, saved);
    let bits = |c: &Checkpoint| -> Vec<u32> {
        c.parameters.iter().flat_map(|(_, t)| t.values.iter().map(|v| v.to_bits())).collect()
    };
    assert_eq!(bits(&loaded), bits(&saved));
    let sums = |c: &Checkpoint| -> Vec<u64> { c.progress.sums.iter().map(|v| v.to_bits()).collect() };
    assert_eq!(sums(&loaded), sums(&saved));
}

#[test]
fn numbers_that_are_not_finite_never_replace_a_good_checkpoint() {
    type Spoil = fn(&mut Checkpoint);
    let run = tempfile::tempdir().unwrap();
    save(run.path(), &checkpoint(1), 3).unwrap();
    let cases: [(Spoil, &str); 6] = [
        (|c| c.parameters[0].1.values[3] = f32::NAN, "parameter `weight` at index 3"),
        (|c| c.parameters[1].1.values[0] = f32::NEG_INFINITY, "parameter `bias` at index 0"),
        (|c| c.moments[0].1.values[0] = f32::INFINITY, "moment `weight.m` at index 0"),
        (|c| c.progress.sums[1] = f64::NAN, "a metric of step 2"),
        (|c| c.progress.best = Some(f64::INFINITY), "a metric of step 2"),
        (|c| c.progress.elapsed_seconds = f64::NAN, "a metric of step 2"),
    ];
    for (spoil, expected) in cases {
        let mut spoilt = checkpoint(2);
        spoil(&mut spoilt);
        match save(run.path(), &spoilt, 3) {
            Err(Error::Diverged(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{expected}: {other:?}"),
        }
        assert_eq!(names(run.path()), ["last", "step-0000000001"]);
    }
    assert_eq!(load_latest(run.path()).unwrap(), (checkpoint(1), vec![]));
}

#[test]
fn every_file_that_is_missing_cut_short_too_long_or_changed_in_one_byte_is_refused_by_name() {
    let run = tempfile::tempdir().unwrap();
    let path = save(run.path(), &checkpoint(1), 1).unwrap();
    for name in names(&path) {
        let file = path.join(&name);
        let good = fs::read(&file).unwrap();
        for length in [0, 1, 9, good.len() / 2, good.len() - 1, good.len() + 1] {
            let mut bytes = good.clone();
            bytes.resize(length, b' ');
            fs::write(&file, bytes).unwrap();
            let message = data_error(load(&path));
            assert!(message.starts_with(&file.display().to_string()), "{message}");
            if name != "manifest.json" {
                let what = if length < good.len() { "is truncated" } else { "is too long" };
                let sizes = format!("{what}: the manifest says {} bytes, the file has {length}", good.len());
                assert!(message.ends_with(&sizes), "{message}");
            }
        }
        for index in 0..good.len() {
            let mut bytes = good.clone();
            bytes[index] ^= 1 << (index % 8);
            fs::write(&file, bytes).unwrap();
            let message = data_error(load(&path));
            let expected = if name == "manifest.json" { "" } else { "is damaged: its SHA-256 is not the manifest's" };
            assert!(message.contains(&name) && message.ends_with(expected), "byte {index}: {message}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(data_error(load(&path)), format!("{} is missing", file.display()));
        fs::create_dir(&file).unwrap();
        assert_eq!(data_error(load(&path)), format!("{} is not a file", file.display()));
        fs::remove_dir(&file).unwrap();
        fs::write(&file, good).unwrap();
        assert_eq!(load(&path).unwrap(), checkpoint(1));
    }
}

#[test]
fn contents_that_a_manifest_vouches_for_are_still_read_with_care() {
    let run = tempfile::tempdir().unwrap();
    let path = save(run.path(), &checkpoint(1), 1).unwrap();
    let names = [PARAMETERS, MOMENTS, PROGRESS, CONFIG, manifest::FILE];
    let good = names.map(|name| (name, fs::read(path.join(name)).unwrap()));
    for (name, content, expected) in [
        (PARAMETERS, "not safetensors", "parameters.safetensors: the header claims"),
        (MOMENTS, "", "moments.safetensors: the file is too short"),
        (PROGRESS, "{}", "progress.json: missing field `epoch`"),
        (PROGRESS, r#"{"epoch":-1}"#, "progress.json: invalid value"),
        (CONFIG, "name = 3", "config.toml: "),
        (CONFIG, "surprise = 1", "config.toml: "),
    ] {
        let mut files: Vec<_> = good.iter().filter(|(n, _)| *n != manifest::FILE).cloned().collect();
        files.iter_mut().find(|(n, _)| *n == name).unwrap().1 = content.into();
        files.push((manifest::FILE, manifest::of_files(&files).unwrap()));
        for (name, bytes) in &files {
            fs::write(path.join(name), bytes).unwrap();
        }
        let message = data_error(load(&path));
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }
    fs::write(path.join(manifest::FILE), manifest::of_files(&good[..2]).unwrap()).unwrap();
    assert!(data_error(load(&path)).ends_with("manifest.json does not list progress.json"));
    fs::write(path.join(manifest::FILE), r#"{"format":2,"new":[]}"#).unwrap();
    assert!(data_error(load(&path)).ends_with("is of format 2, this elbo reads 1: use a newer elbo"));
}

/// Runs `save` of step 3 over steps 1 and 2 with a fault at each step that touches the disk, and `check`s what is left.
fn with_faults(fault: Fault, check: impl Fn(&Path, Option<Result<PathBuf>>)) {
    for steps in 0.. {
        let run = tempfile::tempdir().unwrap();
        for step in [1, 2] {
            save(run.path(), &checkpoint(step), 2).unwrap();
        }
        fault::arm(steps, fault);
        let result = panic::catch_unwind(AssertUnwindSafe(|| save(run.path(), &checkpoint(3), 2))).ok();
        if !fault::disarm() {
            assert!(steps > 20, "only {steps} steps were tried");
            return;
        }
        check(run.path(), result);
        // Whatever happened, the next save works, and leaves no trace of it.
        save(run.path(), &checkpoint(4), 2).unwrap();
        let left = names(run.path());
        assert!(left.len() == 3 && left[0] == "last" && left[2] == "step-0000000004", "{left:?}");
        assert_eq!(load_latest(run.path()).unwrap(), (checkpoint(4), vec![]));
    }
}

#[test]
fn killed_at_any_moment_the_old_or_the_new_checkpoint_loads_without_a_warning() {
    let seen = std::cell::RefCell::new(Vec::new());
    with_faults(Fault::Killed, |run, result| {
        assert!(result.is_none());
        let (loaded, warnings) = load_latest(run).unwrap();
        assert!(loaded == checkpoint(2) || loaded == checkpoint(3));
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(load(&locate(run, Which::Last).unwrap()).unwrap(), loaded);
        seen.borrow_mut().push(loaded.progress.step);
    });
    let seen = seen.into_inner();
    assert!(seen.is_sorted() && seen.contains(&2) && seen.contains(&3), "{seen:?}");
}

#[test]
fn a_disk_that_fills_up_at_any_moment_is_an_error_that_leaves_nothing_unfinished() {
    with_faults(Fault::DiskFull, |run, result| {
        let (loaded, warnings) = load_latest(run).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        match result.unwrap() {
            Ok(_) => assert_eq!(loaded, checkpoint(3), "only clearing up may fail without an error"),
            Err(Error::Disk(message)) => {
                assert!(message.contains(&run.display().to_string()), "{message}");
                assert!(message.ends_with("no space left on the disk"), "{message}");
                assert!(loaded == checkpoint(2) || loaded == checkpoint(3));
            }
            Err(other) => panic!("{other:?}"),
        }
        assert!(names(run).iter().all(|n| !n.starts_with('.')), "{:?}", names(run));
    });
}

#[test]
fn the_very_first_save_can_be_killed_too() {
    for steps in 0.. {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("checkpoints");
        fault::arm(steps, Fault::Killed);
        let _ = panic::catch_unwind(|| save(&folder, &checkpoint(1), 1));
        if !fault::disarm() {
            break;
        }
        match load_latest(run.path()) {
            Ok(loaded) => assert_eq!(loaded, (checkpoint(1), vec![])),
            Err(error) => assert!(error.to_string().ends_with("train it first"), "{error}"),
        }
    }
}

#[test]
fn where_nothing_can_be_written_the_path_and_the_cause_are_named() {
    let run = tempfile::tempdir().unwrap();
    let file = run.path().join("checkpoints");
    fs::write(&file, "in the way").unwrap();
    let message = format!("cannot create {}: a file stands where a folder should be", file.display());
    assert_eq!(save(&file, &checkpoint(1), 1), Err(Error::Disk(message)));
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
}

#[test]
fn a_damaged_last_checkpoint_falls_back_to_the_previous_good_one_and_says_why() {
    type Damage = fn(&Path);
    let cases: [(Damage, u64, &str); 7] = [
        (|run| fs::write(run.join("step-0000000003/progress.json"), "{}").unwrap(), 2, "progress.json is truncated"),
        (|run| fs::remove_file(run.join("step-0000000003/manifest.json")).unwrap(), 2, "manifest.json is missing"),
        (
            |run| fs::remove_dir_all(run.join("step-0000000003")).unwrap(),
            2,
            "last names step-0000000003, which does not exist",
        ),
        (|run| fs::write(run.join("last"), "../../etc\n").unwrap(), 3, "last is damaged"),
        (|run| fs::write(run.join("last"), b"\xff").unwrap(), 3, "cannot read"),
        (|run| fs::write(run.join("last"), "step-0000000099\n").unwrap(), 3, "last names step-0000000099"),
        (
            |run| {
                fs::write(run.join("last"), "step-0000000001\n").unwrap();
                fs::remove_file(run.join("step-0000000001/config.toml")).unwrap();
            },
            3,
            "config.toml is missing",
        ),
    ];
    for (damage, step, expected) in cases {
        let run = tempfile::tempdir().unwrap();
        for step in [1, 2, 3] {
            save(run.path(), &checkpoint(step), 3).unwrap();
        }
        damage(run.path());
        let (loaded, warnings) = load_latest(run.path()).unwrap();
        assert_eq!(loaded, checkpoint(step), "{expected}");
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains(expected), "{warning}");
        assert!(warning.ends_with(&format!("; going on from step-000000000{step}")), "{warning}");
    }
}

#[test]
fn where_no_checkpoint_is_whole_the_error_says_what_is_wrong_with_each() {
    let run = tempfile::tempdir().unwrap();
    for step in [1, 2] {
        let path = save(run.path(), &checkpoint(step), 2).unwrap();
        fs::remove_file(path.join(CONFIG)).unwrap();
    }
    let message = data_error(load_latest(run.path()));
    assert!(message.starts_with("no whole checkpoint in "), "{message}");
    assert_eq!(message.matches("config.toml is missing").count(), 2, "{message}");
}

#[test]
fn old_checkpoints_go_except_the_newest_the_best_and_the_last() {
    let run = tempfile::tempdir().unwrap();
    for step in 1..=6 {
        let path = save(run.path(), &checkpoint(step * 10), 2).unwrap();
        if step == 2 {
            mark_best(run.path(), &path).unwrap();
        }
    }
    let folders = |steps: &[&str]| -> Vec<String> {
        ["best", "last"]
            .into_iter()
            .map(String::from)
            .chain(steps.iter().map(|s| format!("step-00000000{s}")))
            .collect()
    };
    assert_eq!(names(run.path()), folders(&["20", "50", "60"]));
    // Going on from further back gives up the course that led to 60.
    fs::write(run.path().join("last"), "step-0000000020\n").unwrap();
    save(run.path(), &checkpoint(55), 2).unwrap();
    assert_eq!(names(run.path()), folders(&["20", "50", "55"]));
    save(run.path(), &checkpoint(57), 0).unwrap();
    assert_eq!(names(run.path()), folders(&["20", "57"]), "the one just saved always stays");
    fs::write(run.path().join(durable::temporary("step-0000000099")), "left by a killed save").unwrap();
    fs::write(run.path().join(".tmp-0-step-0000000099"), "a save of another process").unwrap();
    fs::create_dir(run.path().join("my-notes")).unwrap();
    save(run.path(), &checkpoint(58), 1).unwrap();
    let left = [".tmp-0-step-0000000099", "best", "last", "my-notes", "step-0000000020", "step-0000000058"];
    assert_eq!(names(run.path()), left);
    // Who holds the lock knows that there is no other process.
    clear_leftovers(run.path());
    assert_eq!(names(run.path()), left[1..]);
    save(run.path(), &checkpoint(59), 2).unwrap();
    make_room(run.path());
    assert_eq!(names(run.path()), ["best", "last", "my-notes", "step-0000000020", "step-0000000059"]);
}

#[test]
fn a_power_cut_between_two_flushes_leaves_the_last_one_that_was_flushed() {
    for damage in ["step-0000000004", "step-0000000005", "last", "best"] {
        let run = tempfile::tempdir().unwrap();
        let held = save(run.path(), &checkpoint(1), 2).unwrap();
        let later = |held| Saving { keep: 2, flush: Flush::Later, held, best: true };
        for step in 2..=5 {
            save_with(run.path(), &checkpoint(step), later(Some(&held))).unwrap();
        }
        let there = ["best", "last", "step-0000000001", "step-0000000004", "step-0000000005"];
        assert_eq!(names(run.path()), there, "the flushed one stays beside the newest two");
        assert_eq!(load_latest(run.path()).unwrap(), (checkpoint(5), vec![]), "what was not cut is whole");
        // What had not reached the disk may be there by name alone.
        for name in &there[3..] {
            if damage.starts_with("step") && *name >= damage {
                for file in names(&run.path().join(name)) {
                    fs::write(run.path().join(name).join(file), "").unwrap();
                }
            }
        }
        if !damage.starts_with("step") {
            fs::write(run.path().join(damage), "").unwrap();
        }
        let (found, warnings) = load_latest(run.path()).unwrap();
        let expected = if damage == "step-0000000004" {
            1
        } else if damage == "step-0000000005" {
            4
        } else {
            5
        };
        assert_eq!(found, checkpoint(expected), "{damage}: {warnings:?}");
        // A sweep needs no pointer either.
        let (found, _) = sweep::load_same_step(&[run.path().to_owned()]).unwrap();
        assert_eq!(found, [checkpoint(expected)], "{damage}");
    }
}

#[test]
fn saving_the_same_step_again_replaces_it_without_touching_the_first_before_last_has_moved() {
    let run = tempfile::tempdir().unwrap();
    let first = save(run.path(), &checkpoint(5), 3).unwrap();
    let mut again = checkpoint(5);
    again.progress.elapsed_seconds = 99.0;
    let second = save(run.path(), &again, 3).unwrap();
    assert_eq!((first.exists(), load(&second).unwrap()), (false, again.clone()));
    assert_eq!(load_latest(run.path()).unwrap(), (again.clone(), vec![]));
    assert_eq!(names(run.path()), ["last", "step-0000000005.2"]);
    mark_best(run.path(), &second).unwrap();
    assert_eq!(save(run.path(), &again, 3).unwrap(), first);
    assert_eq!(names(run.path()), ["best", "last", "step-0000000005", "step-0000000005.2"], "`best` still names it");
}

#[test]
fn best_is_only_moved_to_a_checkpoint_of_this_folder() {
    let run = tempfile::tempdir().unwrap();
    save(run.path(), &checkpoint(1), 1).unwrap();
    for path in ["step-0000000002", "", "last"] {
        assert!(matches!(mark_best(run.path(), &run.path().join(path)), Err(Error::Bug(_))), "{path}");
    }
    assert_eq!(names(run.path()), ["last", "step-0000000001"]);
}

#[test]
fn a_run_its_checkpoints_folder_a_pointer_and_a_checkpoint_all_lead_to_the_checkpoint() {
    let run = tempfile::tempdir().unwrap();
    let folder = run.path().join("checkpoints");
    let best = save(&folder, &checkpoint(1), 3).unwrap();
    mark_best(&folder, &best).unwrap();
    let middle = save(&folder, &checkpoint(2), 3).unwrap();
    let last = save(&folder, &checkpoint(3), 3).unwrap();
    let elsewhere = run.path().join("a copy");
    fs::create_dir(&elsewhere).unwrap();
    for name in names(&middle) {
        fs::copy(middle.join(&name), elsewhere.join(&name)).unwrap();
    }
    for (named, for_last, for_best) in [
        (run.path().to_path_buf(), &last, &best),
        (folder.clone(), &last, &best),
        (folder.join("last"), &last, &last),
        (folder.join("best"), &best, &best),
        (middle.clone(), &middle, &middle),
        (elsewhere.clone(), &elsewhere, &elsewhere),
    ] {
        assert_eq!(locate(&named, Which::Last).unwrap(), *for_last, "{}", named.display());
        assert_eq!(locate(&named, Which::Best).unwrap(), *for_best, "{}", named.display());
        assert_eq!(load_latest(&named).unwrap(), (load(for_last).unwrap(), vec![]), "{}", named.display());
    }
    // A checkpoint that was itself named is not quietly exchanged for another one.
    fs::remove_file(best.join(PROGRESS)).unwrap();
    assert!(data_error(load_latest(&folder.join("best"))).ends_with("progress.json is missing"));
    assert!(data_error(load_latest(&best)).ends_with("progress.json is missing"));
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    let run = tempfile::tempdir().unwrap();
    let root = run.path().display().to_string();
    let locate = |path: &str, which| data_error(super::locate(&run.path().join(path), which));
    let advice = "expected a run folder or a checkpoint in it (`elbo runs` lists the runs in ./runs)";
    assert_eq!(locate("nowhere", Which::Last), format!("no such folder: {root}/nowhere; {advice}"));
    assert_eq!(data_error(load(&run.path().join("nowhere"))), format!("no such checkpoint: {root}/nowhere"));
    for which in [Which::Last, Which::Best] {
        assert_eq!(data_error(super::locate(run.path(), which)), format!("no checkpoint in {root}: train it first"));
    }
    assert_eq!(data_error(load_latest(run.path())), format!("no checkpoint in {root}: train it first"));
    fs::write(run.path().join("notes.txt"), "").unwrap();
    assert_eq!(locate("notes.txt", Which::Last), format!("{root}/notes.txt is a file, not a run folder"));
    let folder = run.path().join("checkpoints");
    let path = save(&folder, &checkpoint(1), 1).unwrap();
    let unmarked = format!("no checkpoint in {root}/checkpoints is marked as best: name one of them");
    assert_eq!(locate("", Which::Best), unmarked.replace("//", "/"));
    fs::remove_dir_all(path).unwrap();
    let gone = "checkpoints/last names step-0000000001, which does not exist: name another checkpoint";
    assert!(locate("checkpoints", Which::Last).ends_with(gone));
}

#[test]
fn a_checkpoint_of_another_model_is_refused_with_the_first_tensor_that_differs() {
    let checkpoint = checkpoint(1);
    for (expected, why) in [
        (vec![("weight", vec![2, 2]), ("bias", vec![1])], None),
        (vec![("bias", vec![1]), ("weight", vec![2, 2])], None),
        (vec![("weight", vec![4]), ("bias", vec![9])], Some("`weight` has shape [2, 2] there, and [4] in the model")),
        (vec![("weight", vec![2, 2]), ("b", vec![1])], Some("the model has `b` of shape [1], the checkpoint has none")),
        (vec![("weight", vec![2, 2])], Some("it has `bias` of shape [1], the model has none")),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(n, s)| (n.to_string(), s)).collect();
        match why {
            None => match_parameters(&checkpoint, &expected).unwrap(),
            Some(why) => assert_eq!(
                data_error(match_parameters(&checkpoint, &expected)),
                format!("the checkpoint is of another model: {why}")
            ),
        }
    }
}

#[test]
fn the_estimated_size_is_that_of_a_real_checkpoint() {
    let run = tempfile::tempdir().unwrap();
    let mut large = checkpoint(1);
    let n = 100_000;
    large.parameters = vec![tensor("w", &[n], &vec![0.5; n])];
    large.moments = vec![tensor("m", &[n], &vec![0.5; n]), tensor("v", &[n], &vec![0.5; n])];
    let path = save(run.path(), &large, 1).unwrap();
    let size: u64 = names(&path).iter().map(|name| fs::metadata(path.join(name)).unwrap().len()).sum();
    assert!((size..size + size / 50).contains(&size_estimate(3 * n)), "{size} and {}", size_estimate(3 * n));
    assert_eq!(size_estimate(usize::MAX), u64::MAX);
}

#[test]
fn a_run_from_before_classes_were_counted_goes_on_with_its_data() {
    let classes = Some(vec!["a".to_owned(), "b".to_owned()]);
    let old = DataRecord { classes, ..checkpoint(1).progress.data };
    let found = DataRecord { name: "moved.csv".into(), of_classes: Some(vec![3, 0]), ..old.clone() };
    assert!(found.is_of(&old) && found.is_of(&found));
    assert!(!DataRecord { hash: "01".into(), ..found.clone() }.is_of(&old));
    assert!(!DataRecord { of_classes: Some(vec![2, 1]), ..found.clone() }.is_of(&found));
    assert_eq!((found.unseen(&[0, 1]), old.unseen(&[0, 1])), (vec!["b"], vec![]));
    // What an older program wrote has no counts.
    let text = serde_json::to_string(&old).unwrap();
    assert!(!text.contains("of_classes") && serde_json::from_str::<DataRecord>(&text).unwrap() == old);
}
