//! Several processes that train one model: threads of the test in their place, and where the program was built with MPI, processes.

use crate::support::{Tolerance, compare, executors};
use elbo::checkpoint::{Checkpoint, load_latest};
use elbo::config::{self, Config, check_ranks};
use elbo::data;
use elbo::error::{Error, Result};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::plan::Role;
use elbo::ranks::{Ranks, threads, threads_apart};
use elbo::session::{Purpose, Session};
use elbo::train::{Epoch, Event, Member, Options, train};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const SETTINGS: &[(&str, &str)] = &[
    ("epochs", "2"),
    ("batch", "24"),
    ("latent", "3"),
    ("hidden", "[16]"),
    ("examples", "200"),
    ("validation", "37"),
    ("binarise", "dynamic"),
    ("checkpoint_steps", "3"),
    ("seed", "4"),
];

fn config(recipe: &str, settings: &[(&str, &str)]) -> Config {
    let pairs = SETTINGS.iter().filter(|(key, _)| settings.iter().all(|(other, _)| other != key)).chain(settings);
    let pairs: Vec<_> = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    config::resolve(Some(recipe), &pairs).expect("the settings are valid")
}

/// What a rank came to.
struct Outcome {
    epochs: Vec<Epoch>,
    error: Option<Error>,
    written: bool,
    /// How often it went back.
    back: usize,
}

/// What is done to a rank before it trains, and when it is asked to stop.
#[derive(Default, Clone, Copy)]
struct Plot<'a> {
    from: Option<&'a Checkpoint>,
    /// A rank that is asked to stop after so many steps.
    stop: Option<(usize, u64)>,
    /// A rank whose first parameter is another one.
    spoilt: Option<usize>,
    device: usize,
    /// Whether ranks have no memory in common.
    apart: bool,
}

fn rank(ranks: Ranks, folder: &Path, configs: &[Config], plot: Plot) -> Result<Outcome> {
    let (number, first) = (ranks.rank(), ranks.is_first());
    let executor = match plot.device {
        0 => Executor::Cpu(Cpu::new(1)?),
        device => executors().swap_remove(device),
    };
    let data = data::open(&configs[0], None)?;
    let mut session = Session::with_members(configs[0].clone(), configs[1..].to_vec(), data, executor)?;
    session.join(ranks)?;
    session.plan(Purpose::Train)?;
    session.initialise()?;
    if plot.spoilt == Some(number) {
        session.executor.write_f32(&Role::Parameters, 0, &[9.0])?;
    }
    // Who is not the first has no folder, and nothing is to be found there.
    let own = if first { folder.to_owned() } else { folder.join(format!("rank-{number}")) };
    let place = |member: usize| if configs.len() > 1 { own.join(member.to_string()) } else { own.clone() };
    let mut members: Vec<Member> = (0..configs.len()).map(|member| Member::new(&session, place(member))).collect();
    if let Some(from) = plot.from {
        session.restore(0, from)?;
        members[0].progress = from.progress.clone();
    }
    let stop = AtomicBool::new(false);
    let (mut epochs, mut back) = (vec![], 0);
    for plan in session.phases()? {
        session.executor.fix_portion(plan, 2 * session.config.train.accumulate);
    }
    let options = Options { stop: &stop, deadline: None, check_steps: false };
    let done = train(&mut session, members, &options, &mut |event| {
        match event {
            Event::Epoch(all) => epochs.extend_from_slice(all),
            Event::Back { .. } => back += 1,
            Event::Step(done, _) if plot.stop.is_some_and(|(rank, after)| rank == number && done as u64 >= after) => {
                stop.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    });
    Ok(Outcome { epochs, error: done.err(), written: !first && own.exists(), back })
}

/// Trains on so many ranks; gives what each came to.
fn together(count: usize, folder: &Path, configs: &[Config], plot: Plot) -> Vec<Outcome> {
    let ranks = if plot.apart { threads_apart(count) } else { threads(count) };
    std::thread::scope(|scope| {
        let started: Vec<_> =
            ranks.into_iter().map(|ranks| scope.spawn(move || rank(ranks, folder, configs, plot))).collect();
        started.into_iter().map(|thread| thread.join().expect("no panic").expect("it can be trained")).collect()
    })
}

/// The last checkpoint and the epochs of a run by so many ranks, on which all ranks agree.
fn run(count: usize, config: &Config, plot: Plot) -> (Checkpoint, Vec<Epoch>) {
    let folder = tempfile::tempdir().unwrap();
    let mut all = together(count, folder.path(), std::slice::from_ref(config), plot);
    for (rank, outcome) in all.iter().enumerate() {
        assert_eq!(outcome.error, None, "rank {rank} of {count}");
        assert!(!outcome.written, "rank {rank} wrote something");
        assert_eq!(losses(&outcome.epochs), losses(&all[0].epochs), "rank {rank} of {count}");
    }
    (load_latest(folder.path()).expect("it is saved").0, all.swap_remove(0).epochs)
}

/// What was trained on, without what tells the time.
fn losses(epochs: &[Epoch]) -> Vec<[u64; 3]> {
    let of = |epoch: &Epoch| [epoch.distortion, epoch.rate, epoch.best].map(f64::to_bits);
    epochs.iter().map(of).collect()
}

fn numbers(checkpoint: &Checkpoint) -> Vec<f32> {
    let all = checkpoint.parameters.iter().chain(&checkpoint.moments);
    all.flat_map(|(_, tensor)| tensor.values.iter().copied()).collect()
}

fn bits(checkpoint: &Checkpoint) -> Vec<u32> {
    numbers(checkpoint).into_iter().map(f32::to_bits).collect()
}

/// The recipe and settings of runs of every kind that ranks can divide.
const KINDS: &[(&str, &[(&str, &str)])] = &[
    ("classic", &[("optimizer.kind", "sgd"), ("lr", "1e-3")]),
    ("classic", &[("clip_norm", "5"), ("ema", "0.9"), ("window", "30")]),
    ("classic", &[("skip_norm", "8")]),
    ("classic", &[("objective.bound", "iwae"), ("samples", "3"), ("prior", "vamp"), ("prior_components", "5")]),
    ("classic", &[("objective.adversary", "2"), ("discriminator", "[8]")]),
];

#[test]
fn ranks_have_the_bits_of_one_process_that_divides_its_batch_as_they_do() {
    for (recipe, settings) in KINDS {
        for (count, apart) in [(2, false), (2, true), (4, false)] {
            let parts = count.to_string();
            let alone = config(recipe, &[settings, &[("accumulate", &parts[..])][..]].concat());
            let plot = Plot { apart, ..Plot::default() };
            let [(one, said), (all, told)] =
                [run(1, &alone, Plot::default()), run(count, &config(recipe, settings), plot)];
            assert!(bits(&one) == bits(&all), "{settings:?} on {count} ranks");
            assert_eq!((one.progress.step, one.progress.epoch), (all.progress.step, all.progress.epoch));
            for (said, told) in said.iter().zip(&told) {
                assert_eq!((said.distortion, said.rate), (told.distortion, told.rate), "{settings:?}");
                assert_eq!(said.clipped(), told.clipped(), "{settings:?}");
                // Means of shares of the validation part, each rounded to single precision, are added up.
                let score = said.score();
                assert!((score - told.score()).abs() < 1e-6 * score.abs(), "{settings:?}: {score} {}", told.score());
            }
        }
    }
}

/// A few pictures in an `.npy` file.
fn pictures(folder: &Path) -> String {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (200, 8, 8), }\n";
    let body: Vec<u8> = (0..200 * 64_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    let path = folder.join("pictures.npy");
    let head = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    std::fs::write(&path, [head, body].concat()).expect("there is room");
    path.display().to_string()
}

#[test]
fn ranks_that_read_ahead_have_the_bits_of_one_process_with_all_examples_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let source = pictures(folder.path());
    let of = |settings: &[(&str, &str)]| config("classic", &[&[("source", &source[..])][..], settings].concat());
    for shard in ["0", "3"] {
        let alone = run(1, &of(&[("shard", shard), ("accumulate", "2")]), Plot::default());
        for (count, parts) in [(1, "2"), (2, "1")] {
            let settings = [("shard", shard), ("accumulate", parts), ("memory", "0"), ("window", "70")];
            let all = run(count, &of(&settings), Plot::default());
            assert!(bits(&all.0) == bits(&alone.0), "{count} ranks, shards of {shard}");
        }
    }
    let other = run(1, &of(&[("shard", "0"), ("accumulate", "2"), ("train.shuffle", "false")]), Plot::default());
    let shards = run(1, &of(&[("shard", "3"), ("accumulate", "2")]), Plot::default());
    assert!(bits(&other.0) != bits(&shards.0), "the order of shards is another one");
}

#[test]
fn accumulation_and_members_are_divided_too_on_every_device() {
    let settings = [("accumulate", "2"), ("clip_norm", "5")];
    for device in 0..executors().len() {
        let plot = Plot { device, ..Plot::default() };
        let [(one, _), (all, _)] =
            [(1, "4"), (2, "2")].map(|(count, parts)| run(count, &config("classic", &[("accumulate", parts)]), plot));
        // Sums of sums: another order than that of four parts. Each rank updates a share, on devices a part of a binding.
        compare(&numbers(&one), &numbers(&all), SUMS).unwrap_or_else(|why| panic!("device {device}: {why}"));
    }
    let members: Vec<Config> =
        ["1", "2"].iter().map(|seed| config("classic", &[&settings[..], &[("seed", seed)]].concat())).collect();
    let folder = tempfile::tempdir().unwrap();
    for outcome in together(2, folder.path(), &members, Plot::default()) {
        assert_eq!((outcome.error, outcome.written, outcome.epochs.len()), (None, false, 4));
    }
    for (at, config) in members.iter().enumerate() {
        let member = load_latest(&folder.path().join(at.to_string())).expect("it is saved").0;
        assert!(bits(&member) == bits(&run(2, config, Plot::default()).0), "member {at}");
    }
}

/// Other orders of summation, through a few steps of an optimiser.
const SUMS: Tolerance = Tolerance { nmse: 1e-7, element: 2e-2, absolute: 0.0 };

#[test]
fn losses_do_not_depend_on_how_many_ranks_there_are() {
    // 24 examples are not divided evenly by five, and the last batch of an epoch is partial.
    let config = config("classic", &[("epochs", "20"), ("lr", "1e-3")]);
    let loss = |(_, epochs): &(Checkpoint, Vec<Epoch>)| epochs[19].neg_elbo();
    let one = run(1, &config, Plot::default());
    assert!(one.0.progress.step >= 100, "{}", one.0.progress.step);
    for count in [2, 3, 5] {
        let all = run(count, &config, Plot::default());
        let off = (loss(&all) / loss(&one) - 1.0).abs();
        assert!(off < 1e-5, "{count} ranks: {off:e}");
        assert!(bits(&all.0) == bits(&run(count, &config, Plot::default()).0), "{count} ranks repeat to the bit");
    }
}

#[test]
fn a_rank_that_is_asked_stops_all_and_others_go_on_from_there() {
    let config = config("classic", &[]);
    let (whole, _) = run(3, &config, Plot::default());
    let folder = tempfile::tempdir().unwrap();
    let plot = Plot { stop: Some((2, 4)), ..Plot::default() };
    for outcome in together(3, folder.path(), std::slice::from_ref(&config), plot) {
        let Some(Error::Interrupted(why)) = outcome.error else { panic!("{:?}", outcome.error) };
        assert!(why.starts_with("stopped after step 5; saved "), "{why}");
    }
    let saved = load_latest(folder.path()).unwrap().0;
    assert_eq!((saved.progress.step, saved.progress.course.ranks), (5, 3));
    let from = |count: usize| run(count, &config, Plot { from: Some(&saved), ..Plot::default() }).0;
    assert!(bits(&from(3)) == bits(&whole));
    for count in [1, 2] {
        let other = from(count);
        compare(&numbers(&whole), &numbers(&other), SUMS).unwrap_or_else(|why| panic!("{count} ranks: {why}"));
        assert_eq!(other.progress.course.ranks, if count > 1 { 2 } else { 0 });
    }
}

#[test]
fn ranks_go_back_together_and_come_to_one_end() {
    let end = |count: usize, settings: &[(&str, &str)]| {
        let usual = [("optimizer.kind", "sgd"), ("lr", "1e12"), ("checkpoint_steps", "1")];
        let (config, folder) = (config("classic", &[&usual, settings].concat()), tempfile::tempdir().unwrap());
        let all = together(count, folder.path(), &[config], Plot::default());
        let saved = load_latest(folder.path()).expect("the first state is saved").0;
        (all.into_iter().map(|outcome| (outcome.error, outcome.back)).collect::<Vec<_>>(), bits(&saved))
    };
    let (one, saved) = end(1, &[("accumulate", "2")]);
    assert!(matches!(&one[0], (Some(Error::Diverged(_)), 3)), "{one:?}");
    let (all, also) = end(2, &[]);
    assert_eq!(all, [one[0].clone(), one[0].clone()]);
    assert!(saved == also);
}

#[test]
fn a_rank_that_computes_otherwise_is_found_out_before_anything_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let plot = Plot { spoilt: Some(1), ..Plot::default() };
    for outcome in together(2, folder.path(), &[config("classic", &[])], plot) {
        let Some(Error::Device(why)) = outcome.error else { panic!("{:?}", outcome.error) };
        assert!(why.starts_with("the parameters of rank 1 are no longer those of rank 0"), "{why}");
    }
    assert!(load_latest(folder.path()).is_err(), "nothing is saved");
}

#[test]
fn what_is_of_a_whole_batch_is_refused_by_name() {
    type Row = (fn(&mut Config), &'static str);
    let usual = |change: fn(&mut Config)| {
        let mut config = config("classic", &[("batch", "64")]);
        change(&mut config);
        check_ranks(&config, 3).map_err(|error| error.to_string())
    };
    assert_eq!(usual(|_| {}), Ok(()));
    let rows: [Row; 6] = [
        (
            |c| c.objective.tc = 6.0,
            "3 ranks divide each batch among them, which is not possible with free bits, a capacity, objective.tc",
        ),
        (|c| c.objective.mmd = 1.0, "objective.mmd"),
        (|c| c.objective.free_bits = 0.1, "with free bits"),
        (|c| c.train.batch = 2, "train.batch = 2 is not allowed: it must be 3 or more"),
        (|c| c.objective.factor = 2.0, "objective.factor = 2 is not allowed"),
        (|c| c.model.prior = elbo::config::Prior::Energy, "with model.prior = energy"),
    ];
    for (change, expected) in rows {
        let why = usual(change).expect_err(expected);
        assert!(why.contains(expected), "\"{expected}\" is not in \"{why}\"");
    }
    for recipe in ["vq", "m2"] {
        let config = config::resolve(Some(recipe), &[]).expect("a recipe");
        let why = check_ranks(&config, 2).expect_err(recipe).to_string();
        assert!(why.starts_with("2 ranks divide each batch among them, which is not possible with model."), "{why}");
        assert_eq!(check_ranks(&config, 1), Ok(()));
    }
}

#[cfg(feature = "mpi")]
mod processes {
    use crate::program::{Outcome, TINY, checkpoint, command, elbo, outcome};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// How long a process may take at most until something happens that must happen.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// `mpirun` with the arguments of each group of ranks: that of Open MPI, or what `ELBO_MPIRUN` names.
    fn mpirun(folder: &Path, groups: &[(usize, &str)]) -> Command {
        let other = std::env::var("ELBO_MPIRUN").ok();
        let mut mpirun = Command::new(other.as_deref().unwrap_or("mpirun"));
        if other.is_none() {
            mpirun.args(["--allow-run-as-root", "--oversubscribe"]);
        }
        // Open MPI keeps its own files in a folder below this one, whose name may not be long. Of several that start and end at once in
        // one place, as tests do, some find that folder and lose it again.
        let kept = if folder.as_os_str().len() < 40 { folder } else { Path::new("/tmp") };
        mpirun.current_dir(folder).stdin(Stdio::null()).env("XDG_RUNTIME_DIR", folder).env("TMPDIR", kept);
        for (at, (count, arguments)) in groups.iter().enumerate() {
            mpirun
                .args((at > 0).then_some(":"))
                .arg("-n")
                .arg(count.to_string())
                .arg(command(folder, "").get_program());
            mpirun.args(arguments.split_whitespace());
        }
        mpirun
    }

    fn train(out: &str, more: &str) -> String {
        format!("train {TINY} --threads 1 --out {out} {more}")
    }

    /// The losses of the epochs of a run.
    fn losses(run: &Path) -> Vec<f64> {
        let text = fs::read_to_string(run.join("metrics.csv")).expect("a run has metrics");
        let row = |line: &str| line.split(',').skip(1).take(2).map(|cell| cell.parse::<f64>().expect("a number")).sum();
        text.lines().skip(1).map(row).collect()
    }

    #[track_caller]
    fn assert_one_line(outcome: &Outcome, line: &str) {
        let lines: Vec<&str> = outcome.err.lines().filter(|found| found.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "{outcome:?}");
        assert!(lines[0].contains(line), "{outcome:?}");
    }

    #[test]
    fn mpirun_trains_what_one_process_trains() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        elbo(folder, &train("one", "--epochs 4")).succeeded();
        for count in [2, 3] {
            let out = format!("of-{count}");
            let done = outcome(mpirun(folder, &[(count, &train(&out, "--epochs 4"))])).succeeded();
            assert_eq!(done.err.matches("device   CPU engine").count(), 1, "one rank speaks: {}", done.err);
            assert!(done.err.contains(&format!("ranks    {count} processes")), "{}", done.err);
            let [one, all] = ["one", &out].map(|run| losses(&folder.join(run)));
            assert_eq!(one.len(), 4);
            for (one, all) in one.iter().zip(&all) {
                assert!((one / all - 1.0).abs() < 1e-5, "{count} ranks: {one} and {all}");
            }
        }
    }

    #[test]
    fn a_rank_that_differs_is_refused_by_name_and_a_line_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (one, other) = (train("run", ""), train("run", "--lr 0.5"));
        let refused = outcome(mpirun(folder, &[(2, &one), (1, &other)]));
        assert_one_line(&refused, "rank 2 has another optimizer.lr than rank 0: 0.5 and ");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        let refused = outcome(mpirun(folder, &[(2, &train("run", "--set objective.tc=4"))]));
        assert_one_line(&refused, "2 ranks divide each batch among them");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        // One that fails while the others wait for it ends them.
        let refused = outcome(mpirun(folder, &[(1, &one), (1, &train("run", "--data no.npy"))]));
        assert_one_line(&refused, "rank 1: 'no.npy' does not exist");
        assert!(!folder.join("run").exists(), "nothing is left behind");
    }

    #[test]
    fn what_one_rank_of_a_machine_has_read_or_unpacked_all_train_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        super::pictures(folder);
        let row = |row: usize| format!("{},{}\n", row * row % 37, ["no", "yes"][row % 2]);
        let rows = (0..200).map(row).collect::<Vec<_>>().concat();
        fs::write(folder.join("table.csv"), "size,smoker\n".to_owned() + &rows).unwrap();
        let settings = "--adapter cpu --threads 1 --set model.hidden=[16] --latent 2 --batch 50 --epochs 2";
        for (at, source) in
            ["pictures.npy", "pictures.npy --set data.memory=0", "table.csv", "table.csv --set data.memory=0"]
                .into_iter()
                .enumerate()
        {
            let [one, all] = ["one", "all"].map(|name| format!("{name}-{at}"));
            let of = |out: &str| format!("train {settings} --data {source} --out {out}");
            elbo(folder, &of(&one)).succeeded();
            outcome(mpirun(folder, &[(3, &of(&all))])).succeeded();
            let [one, all] = [one, all].map(|run| losses(&folder.join(run)));
            assert_eq!((one.len(), all.len()), (2, 2));
            for (one, all) in one.iter().zip(&all) {
                assert!((one / all - 1.0).abs() < 1e-5, "{source}: {one} and {all}");
            }
        }
        // A rank that finds another file by that name.
        let elsewhere = folder.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("table.csv"), "size,smoker\n".to_owned() + &rows.replace("36,", "35,")).unwrap();
        let arguments = format!("train {settings} --data table.csv --out run");
        let mut mpirun = mpirun(folder, &[(2, &arguments)]);
        mpirun.args([":", "-n", "1", "-wdir"]).arg(&elsewhere).arg(command(folder, "").get_program());
        let refused = outcome({
            mpirun.args(arguments.split_whitespace());
            mpirun
        });
        assert_one_line(&refused, "rank 2 has another hash of its data than rank 0");
        assert_eq!(refused.code, Some(2), "{refused:?}");
    }

    /// The step of the newest checkpoint that is whole, once there is one.
    fn step(folder: &Path) -> Option<u64> {
        let name = fs::read_to_string(folder.join("run/checkpoints/last")).ok()?;
        name.trim_end().strip_prefix("step-")?.split('.').next()?.parse().ok()
    }

    /// The processes that a process has started.
    fn children(of: i32) -> Vec<i32> {
        let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).expect("Linux says");
        listed.split_whitespace().map(|id| id.parse().expect("a number")).collect()
    }

    /// Starts two ranks that would train for ever; once they have saved a few steps, sends a signal to the second one. Gives what
    /// is left.
    fn signalled(folder: &Path, signal: Signal) -> Outcome {
        let settings = train("run", "--epochs 100000 --set checkpoint_steps=20");
        let mut started = mpirun(folder, &[(2, &settings)]);
        let child = started.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mpirun starts");
        let begun = Instant::now();
        while step(folder).is_none_or(|step| step < 20) {
            assert!(begun.elapsed() < PATIENCE, "step 20 is not reached");
            sleep(Duration::from_millis(5));
        }
        let mut ranks = children(child.id() as i32);
        if let [proxy] = ranks[..] {
            // MPICH has a process of its own between them.
            ranks = children(proxy);
        }
        assert_eq!(ranks.len(), 2, "{ranks:?}");
        kill(Pid::from_raw(ranks[1]), signal).expect("the rank is there");
        let output = child.wait_with_output().expect("mpirun ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Outcome { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[test]
    fn a_rank_that_is_killed_ends_the_job_and_breaks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let killed = signalled(folder, Signal::SIGKILL);
        assert_ne!(killed.code, Some(0), "{killed:?}");
        // MPICH's launcher ends the other rank before it can say anything.
        let told = killed.err.contains("rank 1") || std::env::var("ELBO_MPIRUN").is_ok();
        assert!(told && !killed.err.contains("panicked"), "{killed:?}");
        let (run, saved) = (folder.join("run"), step(folder).expect("there is a checkpoint"));
        elbo::checkpoint::load(&checkpoint(&run, "last")).expect("the last checkpoint is whole");
        let epochs = saved / 5 + 2;
        let resumed =
            outcome(mpirun(folder, &[(3, &format!("train --resume run --epochs {epochs} --adapter cpu --threads 1"))]));
        let resumed = resumed.succeeded();
        assert!(resumed.err.contains("the run was trained by 2 ranks; 3 ranks go on"), "{}", resumed.err);
    }

    #[test]
    fn a_scheduler_that_ends_one_rank_lets_all_save_and_stop() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let stopped = signalled(folder, Signal::SIGTERM);
        assert_eq!(stopped.code, Some(130), "{stopped:?}");
        assert_eq!(stopped.err.matches("go on with: elbo train --resume run").count(), 1, "{stopped:?}");
        let epochs = step(folder).expect("it is saved") / 5 + 1;
        let resumed = elbo(folder, &format!("train --resume run --epochs {epochs} --adapter cpu")).succeeded();
        assert!(resumed.err.contains("the run was trained by 2 ranks; one process go"), "{}", resumed.err);
    }
}
