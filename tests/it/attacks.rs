//! Runs under attack: disks that are full, processes that are in each other's way, files that change under them.

use crate::program::{Outcome, TINY, checkpoint, command, content, elbo, files, json, outcome, trained};
use crate::support::executors;
use elbo::config::{self, Config};
use elbo::data;
use elbo::error::Error;
use elbo::session::{Purpose, Session};
use elbo::train::{Event, Member, Options, train};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn config(epochs: usize) -> Config {
    let settings = [("examples", "300"), ("hidden", "[16]"), ("latent", "2"), ("batch", "50"), ("validation", "50")];
    let mut pairs: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    pairs.push(("epochs".to_owned(), epochs.to_string()));
    config::resolve(None, &pairs).expect("the settings are valid")
}

/// A table of 300 rows and two columns.
fn table(scale: usize, turn: usize) -> String {
    let rows = (0..300).map(|at| format!("{}.5,{}.25\n", scale * (at * 7 % 31), scale * (at * turn % 17)));
    format!("a,b\n{}", rows.collect::<Vec<_>>().concat())
}

/// Trains into `folder/checkpoints`, and lets `each` look at every event.
fn run(folder: &Path, config: &Config, each: &mut dyn FnMut(&Event)) -> (Result<Vec<Member>, Error>, Vec<String>) {
    let data = data::open(config, None).unwrap();
    let mut session = Session::new(config.clone(), data, executors().swap_remove(0)).unwrap();
    session.plan(Purpose::Train).unwrap();
    session.initialise().unwrap();
    let member = Member::new(&session, folder.join("checkpoints"));
    let stop = AtomicBool::new(false);
    let options = Options { stop: &stop, deadline: None, check_steps: false };
    let mut said = vec![];
    let done = train(&mut session, vec![member], &options, &mut |event| {
        each(&event);
        if let Event::Warning(why) = event {
            said.push(why);
        }
        Ok(())
    });
    (done, said)
}

/// Puts a file where the folder of checkpoints is, into which nothing can then be written; and takes it away.
fn block(folder: &Path) {
    fs::rename(folder.join("checkpoints"), folder.join("away")).unwrap();
    fs::write(folder.join("checkpoints"), "in the way").unwrap();
}

fn unblock(folder: &Path) {
    fs::remove_file(folder.join("checkpoints")).unwrap();
    fs::rename(folder.join("away"), folder.join("checkpoints")).unwrap();
}

#[test]
fn a_model_that_could_not_be_saved_in_the_end_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (done, said) = run(folder.path(), &config(3), &mut |event| {
        if matches!(event, Event::Epoch(all) if all[0].epoch == 2) {
            block(folder.path());
        }
    });
    let error = done.expect_err("nothing was saved after the first epoch");
    assert_eq!(error.exit_code(), 6, "{error}");
    assert!(error.to_string().starts_with("the model was not saved: cannot create"), "{error}");
    assert!(said.iter().any(|why| why.contains("training goes on")), "{said:?}");
    assert!(said.iter().any(|why| why.contains("trying once more")), "{said:?}");
    unblock(folder.path());
    let (path, _, warnings) = elbo::checkpoint::find_latest(folder.path()).unwrap();
    assert!(path.ends_with("step-0000000004") && warnings.is_empty(), "{}: {warnings:?}", path.display());
}

#[test]
fn a_disk_that_has_room_again_in_time_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let (done, said) = run(folder.path(), &config(2), &mut |event| match event {
        Event::Epoch(all) if all[0].epoch == 2 => block(folder.path()),
        Event::Warning(why) if why.contains("trying once more") => unblock(folder.path()),
        _ => {}
    });
    assert!(done.is_ok() && said.len() == 1, "{done:?} {said:?}");
    let (path, _, _) = elbo::checkpoint::find_latest(folder.path()).unwrap();
    assert!(path.ends_with("step-0000000008"), "{}", path.display());
}

#[test]
fn the_last_whole_checkpoint_is_named_where_it_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (done, _) = run(folder.path(), &config(2), &mut |event| {
        if matches!(event, Event::Epoch(all) if all[0].epoch == 2) {
            fs::remove_file(folder.path().join("checkpoints/last")).unwrap();
            fs::create_dir(folder.path().join("checkpoints/last")).unwrap();
        }
    });
    let error = done.expect_err("`last` cannot be moved");
    assert_eq!(error.exit_code(), 6, "{error}");
    assert!(error.to_string().contains("the last whole checkpoint is"), "{error}");
    assert!(error.to_string().contains("--resume"), "{error}");
}

/// Starts the program and waits until a file is there.
fn started(folder: &Path, line: &str, awaited: &str) -> Child {
    let mut child = command(folder, line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.join(awaited).exists() {
        assert!(child.try_wait().unwrap().is_none(), "{line} ended too soon");
        assert!(begun.elapsed() < Duration::from_secs(60), "{awaited} does not come");
        sleep(Duration::from_millis(1));
    }
    child
}

/// The outcomes of processes that run at a time.
fn together(folder: &Path, lines: &[&str]) -> Vec<Outcome> {
    let lines = lines.iter().map(|line| command(folder, line));
    std::thread::scope(|scope| {
        let running: Vec<_> = lines.map(|command| scope.spawn(|| outcome(command))).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    })
}

#[test]
fn who_comes_second_is_told_who_trains_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("train {TINY} --epochs 100000 --out run");
    let mut first = started(folder.path(), &line, "run/checkpoints/best");
    let who = format!("process {}", first.id());
    for second in
        [line.as_str(), "train --resume run --adapter cpu", "train --resume run/checkpoints/best --adapter cpu"]
    {
        elbo(folder.path(), second).failed(2, &who);
    }
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");
    assert!(folder.path().join("run/config.toml").exists());
    first.kill().unwrap();
    first.wait().unwrap();
    // What it left is no lock.
    elbo(folder.path(), "train --resume run --adapter cpu --max-time 1s");
    assert!(!folder.path().join("run/.lock").exists());
}

#[test]
fn of_two_that_begin_at_a_time_each_has_a_folder_or_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("train {TINY} --epochs 1");
    let all = together(folder.path(), &[line.as_str(); 3]);
    assert!(all.iter().all(|one| one.code == Some(0)), "{all:?}");
    for n in 1..=3 {
        elbo(folder.path(), &format!("eval runs/classic-{n} --adapter cpu")).succeeded();
    }
    let line = format!("train {TINY} --epochs 20 --out a/same");
    let all = together(folder.path(), &[line.as_str(); 3]);
    let won = all.iter().filter(|one| one.code == Some(0)).count();
    assert!(won == 1 && all.iter().all(|one| matches!(one.code, Some(0 | 2))), "{all:?}");
    elbo(folder.path(), "eval a/same --adapter cpu").succeeded();
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_can_be_begun_again() {
    let whole = trained();
    let folder = tempfile::tempdir().unwrap();
    // As a process leaves it that is killed in its first save.
    let unfinished = folder.path().join("run/checkpoints/.tmp-1-step-0000000000");
    fs::create_dir_all(&unfinished).unwrap();
    fs::create_dir_all(folder.path().join("run/samples")).unwrap();
    fs::copy(whole.path().join("run/config.toml"), folder.path().join("run/config.toml")).unwrap();
    fs::write(folder.path().join("run/.lock"), "process 1\n").unwrap();
    elbo(folder.path(), "train --resume run --adapter cpu")
        .failed(3, "elbo train with --out run takes the folder over");
    elbo(folder.path(), &format!("train {TINY} --epochs 2 --out run")).succeeded();
    let names = |folder: &Path| -> Vec<PathBuf> {
        files(folder).iter().map(|path| path.strip_prefix(folder).unwrap().to_owned()).collect()
    };
    assert_eq!(names(folder.path()), names(whole.path()));
    elbo(folder.path(), &format!("train {TINY} --epochs 2 --out run")).failed(2, "the folder is not empty");
}

#[test]
fn what_was_changed_in_a_run_by_hand_is_told_when_it_goes_on() {
    let folder = trained();
    let config = folder.path().join("run/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("lr = 0.001", "lr = 0.5")).unwrap();
    let metrics = folder.path().join("run/metrics.csv");
    let lines = fs::read_to_string(&metrics).unwrap();
    let cut: Vec<&str> = lines.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line).collect();
    fs::write(&metrics, cut.join("\n") + "\n3,1").unwrap();
    let said = elbo(folder.path(), "train --resume run --epochs 3 --adapter cpu").succeeded();
    assert!(said.err.contains("run/config.toml was edited (optimizer.lr): "), "{said:?}");
    assert!(said.err.contains("metrics.csv has lines of 1 of the 2 epochs"), "{said:?}");
    assert_eq!(fs::read_to_string(&config).unwrap(), text.replace("epochs = 2", "epochs = 3"));
    let numbers =
        |text: &str| text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(numbers(&fs::read_to_string(&metrics).unwrap()), ["2", "3"]);
    // Nothing to tell of a run that nobody touched.
    let said = elbo(folder.path(), "train --resume run --epochs 4 --adapter cpu").succeeded();
    assert!(said.err.lines().filter(|line| line.starts_with("warning")).count() == 1, "{said:?}");
    let left = fs::read_dir(folder.path().join("run/checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let older = left.map(|name| name.into_string().unwrap()).find(|name| name.starts_with("step-0000000015"));
    let older = format!("run/checkpoints/{}", older.expect("the one before the last is kept"));
    let said = elbo(folder.path(), &format!("train --resume {older} --epochs 4 --adapter cpu")).succeeded();
    assert!(said.err.contains("later steps, up to step 20, are given up"), "{said:?}");
}

#[test]
fn a_run_goes_on_with_its_data_in_another_place_and_with_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, last: usize| {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), table(1, last)).unwrap();
    };
    write("here/t.csv", 5);
    let line = "train --adapter cpu --data here/t.csv --set hidden=[8] --latent 2 --batch 16";
    elbo(folder.path(), &format!("{line} --epochs 3 --out whole")).succeeded();
    elbo(folder.path(), &format!("{line} --epochs 2 --out run")).succeeded();
    fs::rename(folder.path().join("here"), folder.path().join("there")).unwrap();
    write("other/t.csv", 3);
    let resume = "train --resume run --epochs 3 --adapter cpu";
    let moved = elbo(folder.path(), resume);
    moved.failed(3, "here/t.csv");
    moved.failed(3, "where they have moved, --data PLACE names them beside --resume");
    elbo(folder.path(), &format!("{resume} --data other/t.csv")).failed(3, "the data are not those of the run");
    elbo(folder.path(), &format!("{resume} --data there/t.csv")).succeeded();
    let parameters =
        |run: &str| fs::read(checkpoint(&folder.path().join(run), "last").join("parameters.safetensors")).unwrap();
    assert_eq!(parameters("run"), parameters("whole"));
    elbo(folder.path(), "eval run --adapter cpu").succeeded();
    // From another working directory, too.
    let elsewhere = tempfile::tempdir().unwrap();
    let run = folder.path().join("run").display().to_string();
    let said = elbo(elsewhere.path(), &format!("eval {run} --adapter cpu")).succeeded();
    assert!(said.err.contains("found    there/t.csv in "), "{said:?}");
    elbo(elsewhere.path(), &format!("train --resume {run} --epochs 4 --adapter cpu")).succeeded();
}

#[test]
fn no_command_writes_over_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["t.csv", "new.csv"] {
        fs::write(folder.path().join(name), table(1, 5)).unwrap();
    }
    fs::hard_link(folder.path().join("t.csv"), folder.path().join("link.csv")).unwrap();
    let line = "train --adapter cpu --data t.csv --set hidden=[8] --latent 2 --batch 16 --epochs 1 --out run";
    elbo(folder.path(), line).succeeded();
    elbo(folder.path(), "embed run --out z.csv --adapter cpu").succeeded();
    elbo(folder.path(), "score run --out s.csv --adapter cpu").succeeded();
    let before = content(folder.path());
    for line in [
        "score run --out t.csv",
        "score run --out ./run/../t.csv",
        "score run --data new.csv --out new.csv",
        "score run --data new.csv --out t.csv",
        "score run --out link.csv",
        "score run --out run/metrics.csv",
        "embed run --out t.csv",
        "embed run --data new.csv --out new.csv",
        "decode run z.csv --out z.csv",
        "decode run z.csv --out t.csv",
        "sample run --out t.csv",
        "reconstruct run --out t.csv",
    ] {
        elbo(folder.path(), &format!("{line} --adapter cpu")).failed(2, "that would write over");
        assert!(content(folder.path()) == before, "{line}");
    }
    elbo(folder.path(), "data t.csv --out t.csv").failed(2, "that would write over");
    // What a command made itself can be made again.
    elbo(folder.path(), "score run --out s.csv --adapter cpu").succeeded();
}

#[test]
fn a_threshold_is_learnt_from_the_data_of_the_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, scale: usize| fs::write(folder.path().join(name), table(scale, 5)).unwrap();
    write("t.csv", 1);
    let line = "train --adapter cpu --data t.csv --set hidden=[8] --latent 2 --batch 16 --epochs 1 --out run";
    elbo(folder.path(), line).succeeded();
    fs::copy(folder.path().join("t.csv"), folder.path().join("own.csv")).unwrap();
    write("t.csv", 40);
    let why = "the data are not those of the training; rows are compared with those of the training part";
    elbo(folder.path(), "score run --adapter cpu").failed(3, why);
    elbo(folder.path(), "score run --data own.csv --adapter cpu").failed(3, why);
    let kept = folder.path().join("run/threshold.json");
    assert!(!kept.exists());
    fs::copy(folder.path().join("own.csv"), folder.path().join("t.csv")).unwrap();
    let first = json(folder.path(), "score run");
    // One that says nothing of its data, or was learnt from others, is learnt anew.
    let text = fs::read_to_string(&kept).unwrap();
    let value = first["threshold"]["nats"].clone();
    let own = format!("\"value\": {value}");
    assert!(text.contains("\"data\": \"") && text.contains(&own), "{text}");
    let wrong = text.replace("\"data\": \"", "\"data\": \"00").replace(&own, "\"value\": 192.37");
    let line = |text: &str| text.lines().filter(|line| !line.contains("\"data\"")).collect::<Vec<_>>().join("\n");
    for text in [wrong.clone(), line(&wrong)] {
        fs::write(&kept, text).unwrap();
        assert_eq!(json(folder.path(), "score run")["threshold"]["nats"], value);
    }
    // An older program's is better than none where the data have gone.
    fs::write(&kept, line(&text)).unwrap();
    fs::remove_file(folder.path().join("t.csv")).unwrap();
    let said = elbo(folder.path(), "score run --data own.csv --adapter cpu").succeeded();
    assert!(said.err.contains("an older elbo"), "{said:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_was_ignored_when_the_program_began_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_elbo");
    let send = |signal: &str, child: &Child| {
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    // Tests may themselves run where HUP or INT is ignored, which a shell cannot undo.
    for (signal, ignored) in [("HUP", true), ("INT", true), ("TERM", false)] {
        let trap = if ignored { format!("trap '' {signal}") } else { "true".to_owned() };
        let line = format!("{trap}; exec {program} train {TINY} --epochs 1000000 --out {signal}{ignored}");
        let mut shell = std::process::Command::new("sh");
        let quiet = shell.args(["-c", &line]).current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = quiet.stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while !folder.path().join(format!("{signal}{ignored}/checkpoints/best")).exists() {
            assert!(
                begun.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(),
                "it does not train"
            );
            sleep(Duration::from_millis(5));
        }
        send(&format!("-{signal}"), &child);
        let mut ended = None;
        for _ in 0..if ignored { 100 } else { 6000 } {
            ended = ended.or(child.try_wait().unwrap());
            if ended.is_some() {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        assert_eq!(ended.map(|status| status.code()), (!ignored).then_some(Some(130)), "{signal} {ignored}");
        if ignored {
            // What is not ignored still stops it.
            send("-TERM", &child);
            assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        }
    }
}

#[test]
fn a_best_that_cannot_be_named_is_not_called_metrics() {
    let folder = tempfile::tempdir().unwrap();
    elbo(folder.path(), &format!("train {TINY} --epochs 1 --seeds 2 --out run")).succeeded();
    let best = folder.path().join("run/best");
    fs::remove_file(&best).unwrap();
    fs::create_dir(&best).unwrap();
    fs::write(best.join("x"), "").unwrap();
    let said = elbo(folder.path(), "train --resume run --epochs 2 --adapter cpu");
    assert!(said.err.contains("warning: the name of the best member was not written: "), "{said:?}");
    assert!(!said.err.contains("metrics.csv was not written"), "{said:?}");
}

#[test]
#[cfg(unix)]
fn what_the_system_limits_is_one_clear_line() {
    let folder = trained();
    let program = env!("CARGO_BIN_EXE_elbo");
    let limited = |limit: &str, line: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{limit}; exec {program} {line}")]).current_dir(folder.path()).stdin(Stdio::null());
        outcome(shell)
    };
    // Blocks of 512 bytes, less than a checkpoint has.
    let said = limited("ulimit -f 16", &format!("train {TINY} --epochs 2 --out small"));
    said.failed(6, "files may not be that large here");
    assert!(!folder.path().join("small").exists(), "nothing is left");
    // A pipe that nobody writes to.
    fs::create_dir(folder.path().join("pictures")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pictures/x.png")).status();
    if made.is_ok_and(|made| made.success()) {
        elbo(folder.path(), "data pictures").failed(3, "pictures");
    }
}

#[test]
fn a_table_takes_as_many_rows_as_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.csv"), table(1, 5)).unwrap();
    let line = "train --adapter cpu --data t.csv --set hidden=[8] --latent 2 --batch 16 --epochs 1 --out run";
    elbo(folder.path(), line).succeeded();
    elbo(folder.path(), "sample run -n 10001 --out rows.csv --adapter cpu").succeeded();
    assert_eq!(fs::read_to_string(folder.path().join("rows.csv")).unwrap().lines().count(), 10_002);
    for (line, why) in [
        ("sample run -n 10001 --out rows.png", "1 to 10000 pictures"),
        ("sample run -n 0 --out none.csv", "1 to 10000000 rows"),
        ("sample run -n 8589934592 --out none.csv", "1 to 10000000 rows"),
    ] {
        elbo(folder.path(), &format!("{line} --adapter cpu")).failed(2, why);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_configuration_of_a_huge_model_is_refused_before_anything_is_built_for_it() {
    let folder = trained();
    let own = elbo::checkpoint::load(&checkpoint(&folder.path().join("run"), "last")).unwrap();
    let mut huge = own.clone();
    huge.config.model.hidden = vec![500_000];
    elbo::checkpoint::save(&folder.path().join("run/checkpoints"), &huge, 1).unwrap();
    let program = env!("CARGO_BIN_EXE_elbo");
    for line in ["eval run", "sample run", "train --resume run"] {
        // The model would take three times as much.
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("ulimit -v 1000000; exec {program} {line} --adapter cpu --threads 1")]);
        shell.current_dir(folder.path()).env("MALLOC_ARENA_MAX", "1").env("RAYON_NUM_THREADS", "1");
        outcome(shell).failed(3, "the checkpoint is of another model: `encoder.0` has shape");
    }
}
