//! Nothing lost: a run that was stopped at any moment and resumed ends with the bits of one that never stopped.

use crate::program::{Outcome, checkpoint, command, elbo, files};
use crate::support::adapters;
#[cfg(unix)]
use nix::sys::signal::{
    Signal,
    Signal::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    kill,
};
#[cfg(unix)]
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A run whose checkpoints come in the middle of epochs and at their ends. Noise of every kind is drawn, numbers are left
/// out, the last batch of an epoch is partial, gradients are clipped, and validation chooses the best.
const SETTINGS: &str = "--epochs 3 --batch 32 --latent 3 --seed 5 --set data.examples=720 \
                        --set data.binarise=dynamic --set data.validation=100 --set clip_norm=5 \
                        --set checkpoint_steps=4";

/// 500 examples in batches of 32.
const STEPS: u64 = 3 * 16;

/// How long a process may take at most until something happens that must happen.
const PATIENCE: Duration = Duration::from_secs(300);

fn train(adapter: &str) -> String {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dropout.toml");
    format!("train --recipe {recipe} --out run --adapter {adapter} {SETTINGS}")
}

fn resume(adapter: &str) -> String {
    format!("train --resume run --adapter {adapter}")
}

fn start(folder: &Path, arguments: &str) -> Child {
    command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// The step of the newest checkpoint that is whole, once there is one.
fn step(folder: &Path) -> Option<u64> {
    let name = fs::read_to_string(folder.join("run/checkpoints/last")).ok()?;
    name.trim_end().strip_prefix("step-")?.split('.').next()?.parse().ok()
}

/// Waits until a process has saved this step or ended.
fn wait_for(folder: &Path, child: &mut Child, wanted: u64) {
    let begun = Instant::now();
    while step(folder).is_none_or(|step| step < wanted) && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "step {wanted} is not reached");
        sleep(Duration::from_millis(1));
    }
}

/// What a run is in the end, without what tells the time.
fn result(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let run = folder.join("run");
    let mut found = Vec::new();
    for pointer in ["last", "best"] {
        let checkpoint = checkpoint(&run, pointer);
        for file in ["parameters.safetensors", "moments.safetensors", "config.toml"] {
            found.push((format!("{pointer}/{file}"), fs::read(checkpoint.join(file)).unwrap()));
        }
        let mut progress = elbo::checkpoint::load(&checkpoint).unwrap().progress;
        progress.elapsed_seconds = 0.0;
        found.push((format!("{pointer}/progress"), format!("{progress:?}").into_bytes()));
    }
    let metrics = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let lasting = metrics.lines().map(|line| line.split(',').take(5).collect::<Vec<_>>().join(","));
    found.push(("metrics.csv".into(), lasting.collect::<Vec<_>>().join("\n").into_bytes()));
    for path in files(&run) {
        let name = path.strip_prefix(&run).unwrap().display().to_string();
        assert!(!name.contains(".tmp-"), "{name} is left over");
        let bytes = || fs::read(&path).unwrap();
        if name == "report.html" {
            // It says how long the training took.
            let page = String::from_utf8(bytes()).unwrap();
            let lasting = page.lines().filter(|line| !line.starts_with("<tr><td>time</td>"));
            found.push((name, lasting.collect::<Vec<_>>().join("\n").into_bytes()));
        } else if !name.starts_with("checkpoints") && name != "metrics.csv" {
            found.push((name, bytes()));
        }
    }
    found
}

#[track_caller]
fn assert_same(whole: &[(String, Vec<u8>)], resumed: &[(String, Vec<u8>)], what: &str) {
    let names = |result: &[(String, Vec<u8>)]| result.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(whole), names(resumed), "{what}");
    for ((name, expected), (_, found)) in whole.iter().zip(resumed) {
        assert!(expected == found, "{name} differs, {what}");
    }
}

/// The CPU engine, and adapters as the environment wants them.
fn devices() -> Vec<String> {
    let adapters = (0..adapters(true).len()).map(|index| index.to_string());
    ["cpu".to_owned()].into_iter().chain(adapters).collect()
}

/// What an uninterrupted run comes to.
fn uninterrupted(adapter: &str) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    elbo(folder.path(), &train(adapter)).succeeded();
    result(folder.path())
}

/// The steps after whose checkpoints a run is killed, sitting by sitting, and how many milliseconds after: in the middle
/// of epochs, around their ends, at the very start, twice in one epoch.
const KILLS: [(&[u64], u64); 5] =
    [(&[4, 20], 3), (&[16, 32], 0), (&[0, 0, 8], 1), (&[16, 20, 32, 40], 7), (&[12, 36], 0)];

/// Kills a run again and again, and lets it come to its end; also says how often it was alive to be killed.
fn killed(folder: &Path, adapter: &str, kills: &[u64], delay: u64) -> usize {
    let mut alive = 0;
    for (sitting, &wanted) in kills.iter().enumerate() {
        let line = if sitting == 0 { train(adapter) } else { resume(adapter) };
        let mut child = start(folder, &line);
        wait_for(folder, &mut child, wanted);
        sleep(Duration::from_millis(delay));
        alive += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    elbo(folder, &resume(adapter)).succeeded();
    alive
}

#[test]
fn a_run_killed_at_any_moment_resumes_to_the_same_bits() {
    for adapter in devices() {
        let whole = uninterrupted(&adapter);
        // Adapters take their time; what is killed in the host's code is the same.
        let schedules = if adapter == "cpu" { &KILLS[..] } else { &KILLS[..2] };
        let mut alive = 0;
        for (kills, delay) in schedules {
            let folder = tempfile::tempdir().unwrap();
            alive += killed(folder.path(), &adapter, kills, *delay);
            let what = format!("killed after steps {kills:?} on adapter {adapter}");
            assert_eq!(step(folder.path()), Some(STEPS), "{what}");
            assert_same(&whole, &result(folder.path()), &what);
        }
        // A machine that is busy with other things may let a run slip through.
        assert!(alive >= schedules.len(), "{alive} kills are too few to show anything");
    }
}

/// Sends a run a signal once it has saved a step; nothing where the run was faster.
#[cfg(unix)]
fn interrupted(folder: &Path, adapter: &str, signal: Signal, wanted: u64) -> Option<Outcome> {
    let mut command = command(folder, &train(adapter));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    wait_for(folder, &mut child, wanted);
    // It fails where the run has ended.
    let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then(|| Outcome { code: output.status.code(), out: String::new(), err })
}

#[test]
#[cfg(unix)]
fn ctrl_c_saves_stops_and_resumes_to_the_same_bits() {
    for adapter in devices() {
        let whole = uninterrupted(&adapter);
        for (signal, wanted) in [(SIGINT, 0), (SIGTERM, 12), (SIGINT, 16), (SIGUSR1, 4), (SIGUSR2, 20)] {
            let attempt = || {
                let folder = tempfile::tempdir().unwrap();
                Some((interrupted(folder.path(), &adapter, signal, wanted)?, folder))
            };
            let stopped = (0..5).find_map(|_| attempt());
            let (stopped, folder) = stopped.expect(
                "a run that is interrupted in time (what a script starts with `&` ignores SIGINT, and so does all that it starts)",
            );
            assert_eq!(stopped.code, Some(130), "{signal}: {stopped:?}");
            let how = "go on with: elbo train --resume run";
            assert!(
                stopped.err.lines().any(|line| line.starts_with("stopped after ") && line.ends_with(how)),
                "{stopped:?}"
            );
            assert!(!stopped.err.contains("error"), "what was asked for is no error: {stopped:?}");
            let at = step(folder.path()).expect("there is a checkpoint");
            assert!((wanted..STEPS).contains(&at), "stopped at {at} after {wanted}");
            elbo(folder.path(), &resume(&adapter)).succeeded();
            assert_same(&whole, &result(folder.path()), &format!("stopped at step {at} on adapter {adapter}"));
        }
    }
}

#[test]
fn what_a_kill_after_the_last_save_left_undone_is_done_by_resuming() {
    let folder = tempfile::tempdir().unwrap();
    elbo(folder.path(), &train("cpu")).succeeded();
    let whole = result(folder.path());
    for undone in ["checkpoints/best", "samples/epoch-0003.png", "samples/reconstruction-0003.png"] {
        fs::remove_file(folder.path().join("run").join(undone)).unwrap();
    }
    elbo(folder.path(), &resume("cpu")).succeeded();
    assert_same(&whole, &result(folder.path()), "resumed after its end");
}

#[test]
fn a_run_in_two_sittings_of_epochs_is_the_run_in_one() {
    let whole = uninterrupted("cpu");
    let folder = tempfile::tempdir().unwrap();
    elbo(folder.path(), &train("cpu").replace("--epochs 3", "--epochs 1")).succeeded();
    elbo(folder.path(), &format!("{} --epochs 3", resume("cpu"))).succeeded();
    let same = |result: Vec<(String, Vec<u8>)>| {
        // The best checkpoint may have been saved when fewer epochs were wanted.
        result.into_iter().filter(|(name, _)| name != "best/config.toml").collect::<Vec<_>>()
    };
    assert_same(&same(whole), &same(result(folder.path())), "in two sittings");
}

#[test]
fn other_seeds_and_other_data_give_other_bits() {
    let whole = uninterrupted("cpu");
    for (from, to) in [("--seed 5", "--seed 6"), ("examples=720", "examples=721")] {
        let folder = tempfile::tempdir().unwrap();
        elbo(folder.path(), &train("cpu").replace(from, to)).succeeded();
        let other = result(folder.path());
        assert!(whole[0].0 == "last/parameters.safetensors" && whole[0] != other[0], "{to}");
    }
}
