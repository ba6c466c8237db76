//! Several models that train side by side: each has the bits that it would have alone, on every device.

use crate::program::{TINY, checkpoint, elbo};
use crate::support::executors;
use elbo::checkpoint::{Checkpoint, load};
use elbo::config::{self, Config};
use elbo::data;
use elbo::exec::Counts;
use elbo::model::tasks::{EVALUATE, IMPORTANCE};
use elbo::session::{Purpose, Session};
use elbo::train::{Event, Member, Options, train};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The last batch of an epoch is partial, gradients are clipped, validation chooses the best.
const SETTINGS: &[(&str, &str)] = &[
    ("epochs", "2"),
    ("batch", "32"),
    ("latent", "3"),
    ("hidden", "[24]"),
    ("examples", "300"),
    ("validation", "40"),
    ("clip_norm", "5"),
    ("checkpoint_steps", "3"),
];

fn members(recipe: &str, lists: &[(&str, &str)], seeds: &str) -> Vec<Config> {
    let usual = SETTINGS.iter().filter(|(key, _)| lists.iter().all(|(other, _)| other != key));
    let pairs = usual.chain(lists).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    config::sweep(Some(recipe), &pairs.collect::<Vec<_>>(), Some(seeds)).expect("it is a sweep").members
}

/// Trains on the executor of this number; gives what each member's last checkpoint holds, and what the device did from
/// the first step on.
fn trained(device: usize, configs: &[Config]) -> (Vec<Checkpoint>, Counts) {
    let executor = executors().swap_remove(device);
    let data = data::open(&configs[0], None).expect("glyphs are drawn");
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::with_members(configs[0].clone(), configs[1..].to_vec(), data, executor).unwrap();
    session.plan(Purpose::Train).expect("the plan fits");
    session.plan(Purpose::task(EVALUATE, elbo::session::BATCH)).expect("the plan fits");
    if configs[0].objective.bound.is_weighted() {
        let (examples, samples) = elbo::eval::portions(configs[0].objective.samples);
        session.plan(Purpose::samples(IMPORTANCE, examples, samples)).expect("the plan fits");
    }
    session.initialise().expect("parameters are written");
    let folders: Vec<_> = (0..configs.len()).map(|member| folder.path().join(member.to_string())).collect();
    let members = folders.iter().map(|folder| Member::new(&session, folder)).collect();
    let (stop, before) = (AtomicBool::new(false), session.executor.counts());
    let options = Options { stop: &stop, deadline: None, check_steps: false };
    let members = train(&mut session, members, &options, &mut |_: Event| Ok(())).expect("it trains");
    let after = session.executor.counts();
    assert_eq!((after.allocations, after.pipelines), (before.allocations, before.pipelines));
    let last = |member: &Member| {
        assert_eq!(member.lost, None);
        let mut found =
            load(&elbo::checkpoint::locate(&member.checkpoints, elbo::checkpoint::Which::Last).unwrap()).unwrap();
        found.progress.elapsed_seconds = 0.0;
        found
    };
    (members.iter().map(last).collect(), after)
}

/// More members than the CPU engine has threads, and one that is left over; noise of every kind is drawn; members differ
/// in all that they may.
#[test]
fn every_member_has_the_bits_that_it_would_have_alone() {
    let lists = [("beta", "[1,3]"), ("lr", "[1e-3,5e-3]")];
    let other = [("init", "[pytorch]"), ("output_bias_from_data", "[false]")];
    let dynamic = [&members("dynamic", &lists, "1")[..], &members("dynamic", &other, "7,")].concat();
    let gaussian = members("gaussian-learned", &[("beta", "[1,2,4]")], "5,");
    let layers = [
        ("hidden", "[]"),
        (
            "encoder_layers",
            "[dense 12, residual {, dense 12, layer-norm, batch-norm, }, dropout 0.3, relu, dense 2x2x4, positions, attention 2, pixel-norm]",
        ),
        (
            "decoder_layers",
            "[dense 7x7x4, group-norm 2, relu, upsample 2, dropout 0.1, conv-transpose out kernel 2 stride 2]",
        ),
    ];
    let layered = members("dynamic", &layers, "3,4");
    let weighted = members("dynamic", &[("bound", "iwae"), ("samples", "4")], "2,3");
    let players = [("discriminator", "[8,6]"), ("discriminator_every", "2"), ("beta", "[1,3]")];
    let players = members("factor", &players, "2,3");
    let gan = [
        ("features", "0.5"),
        ("discriminator_layers", "[dense 8, relu]"),
        ("discriminator_spectral", "true"),
        ("instance_noise", "0.1"),
    ];
    let gan = members("classic", &gan, "2,3");
    let energy = [("prior", "energy"), ("prior_layers", "1"), ("prior_width", "6"), ("prior_steps", "3")];
    let energy = members("dynamic", &energy, "2,3");
    for device in 0..executors().len() {
        for configs in [&dynamic, &gaussian, &layered, &weighted, &players, &gan, &energy] {
            have_the_bits_that_they_would_have_alone(device, configs);
        }
    }
}

fn have_the_bits_that_they_would_have_alone(device: usize, configs: &[Config]) {
    let (together, counts) = trained(device, configs);
    for (member, (config, together)) in configs.iter().zip(&together).enumerate() {
        let (alone, counts_alone) = trained(device, std::slice::from_ref(config));
        let name = format!("{} on {}", config.name, executors()[device].name());
        for (part, a, b) in [
            ("parameters", &alone[0].parameters, &together.parameters),
            ("moments", &alone[0].moments, &together.moments),
        ] {
            for ((name_a, a), (_, b)) in a.iter().zip(b) {
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert!(bits(&a.values) == bits(&b.values), "{part} {name_a} of member {member}, {name}");
            }
        }
        assert_eq!(alone[0], *together, "member {member}, {name}");
        assert_eq!(counts.dispatches, counts_alone.dispatches, "however many members there are, {name}");
    }
    assert_ne!(together[0].parameters, together[1].parameters, "members differ");
}

/// The names of the files of a sweep's members and what they hold, without what tells the time.
fn kept(run: &Path, member: &str) -> Vec<(String, Vec<u8>)> {
    let folder = run.join(member);
    let mut found: Vec<_> = ["last", "best"]
        .iter()
        .flat_map(|pointer| {
            let checkpoint = checkpoint(&folder, pointer);
            ["parameters.safetensors", "moments.safetensors", "config.toml"]
                .map(|file| (format!("{pointer}/{file}"), fs::read(checkpoint.join(file)).unwrap()))
        })
        .collect();
    for file in ["config.toml", "samples/epoch-0002.png", "samples/reconstruction-0002.png"] {
        found.push((file.into(), fs::read(folder.join(file)).unwrap()));
    }
    let metrics = fs::read_to_string(folder.join("metrics.csv")).unwrap();
    let lasting = metrics.lines().map(|line| line.split(',').take(5).collect::<Vec<_>>().join(","));
    found.push(("metrics.csv".into(), lasting.collect::<Vec<_>>().join("\n").into_bytes()));
    found
}

#[test]
fn a_sweep_leaves_a_run_folder_for_each_member_and_names_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("sweep");
    let said =
        elbo(folder.path(), &format!("train {TINY} --epochs 2 --set beta=[1,8] --seeds 4,5 --out sweep")).succeeded();
    let table: Vec<Vec<&str>> = said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(table.len(), 2 + 4, "{said:?}");
    assert_eq!(table[1][..6], ["member", "beta", "seed", "distortion", "rate", "-ELBO"], "{said:?}");
    assert_eq!([table[2][1], table[2][2], table[5][1], table[5][2]], ["1", "4", "8", "5"], "{said:?}");
    for words in ["the best of 4 members", "elbo eval sweep/best"] {
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    let csv = fs::read_to_string(run.join("members.csv")).unwrap();
    assert_eq!(csv.lines().map(|line| line.split(',').count()).collect::<Vec<_>>(), [9; 5], "{csv}");
    for (member, (beta, seed)) in [(1, 4), (1, 5), (8, 4), (8, 5)].into_iter().enumerate() {
        let line = format!("train {TINY} --epochs 2 --beta {beta} --seed {seed} --out alone-{member}");
        let alone = elbo(folder.path(), &line).succeeded();
        let figures = |text: &str| {
            text.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(figures(&alone.out), table[2 + member][3..6], "{alone:?}");
        let together = kept(&run, &format!("member-0{member}"));
        for ((name, a), (_, b)) in kept(folder.path(), &format!("alone-{member}")).iter().zip(&together) {
            assert!(a == b, "{name} of member {member}");
        }
    }
    // β = 1 is what −ELBO is measured by.
    let best = fs::read_to_string(run.join("best")).unwrap();
    assert!(["member-00", "member-01"].contains(&best.trim_end()), "{best}");
    let said = elbo(folder.path(), "eval sweep/best --adapter cpu").succeeded();
    assert!(said.err.contains(&format!("sweep/{}/checkpoints/best", best.trim_end())), "{said:?}");
    let said = elbo(folder.path(), "sample sweep/best -n 4 --adapter cpu").succeeded();
    assert!(said.out.starts_with(&format!("sweep/{}/samples/", best.trim_end())), "{said:?}");
    elbo(folder.path(), "eval sweep/member-03 --adapter cpu").succeeded();
    for line in ["eval sweep", "sample sweep"] {
        elbo(folder.path(), line).failed(2, "sweep/best");
    }
}

#[test]
fn a_sweep_in_two_sittings_is_the_sweep_in_one() {
    let line = |epochs| format!("train {TINY} --epochs {epochs} --set lr=[1e-3,3e-3] --out sweep");
    let (whole, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    elbo(whole.path(), &line(2)).succeeded();
    elbo(folder.path(), &line(1)).succeeded();
    let said = elbo(folder.path(), "train --resume sweep --epochs 2 --adapter cpu").succeeded();
    assert!(said.err.contains("going on after epoch 1, step 5"), "{said:?}");
    for member in ["member-00", "member-01"] {
        let (a, b) = (kept(&whole.path().join("sweep"), member), kept(&folder.path().join("sweep"), member));
        for ((name, a), (_, b)) in a.iter().zip(&b).filter(|((name, _), _)| name != "best/config.toml") {
            assert!(a == b, "{name} of {member}");
        }
    }
    let table = |folder: &Path| fs::read_to_string(folder.join("sweep/members.csv")).unwrap();
    assert_eq!(table(whole.path()), table(folder.path()));
}

#[test]
fn a_process_that_was_killed_between_two_saves_goes_on_from_the_last_step_that_all_have() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("train {TINY} --epochs 2 --seeds 2 --set checkpoint_steps=2 --out sweep");
    elbo(folder.path(), &line).succeeded();
    let run = folder.path().join("sweep");
    let whole: Vec<_> = ["member-00", "member-01"].map(|member| kept(&run, member)).into();
    // As if the second member's last save had not happened: it has the one before, and nothing speaks of a later one.
    let checkpoints = run.join("member-01/checkpoints");
    let last = fs::read_to_string(checkpoints.join("last")).unwrap();
    assert_eq!(last.trim_end(), "step-0000000010");
    fs::remove_dir_all(checkpoints.join(last.trim_end())).unwrap();
    fs::write(checkpoints.join("last"), "step-0000000009\n").unwrap();
    let said = elbo(folder.path(), "train --resume sweep --adapter cpu").succeeded();
    assert!(said.err.contains("going on after epoch 1, step 9"), "{said:?}");
    for (member, whole) in ["member-00", "member-01"].iter().zip(&whole) {
        for ((name, a), (_, b)) in whole.iter().zip(&kept(&run, member)) {
            assert!(a == b, "{name} of {member}");
        }
    }
    fs::remove_dir_all(run.join("member-00/checkpoints")).unwrap();
    fs::create_dir(run.join("member-00/checkpoints")).unwrap();
    elbo(folder.path(), "train --resume sweep --adapter cpu").failed(3, "no whole checkpoint of the same step");
}

#[test]
fn a_member_that_diverges_is_marked_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("sweep");
    let said = elbo(folder.path(), &format!("train {TINY} --epochs 2 --set lr=[1e30,1e-3] --out sweep")).succeeded();
    assert!(
        said.err.contains("warning: member-00 is given up, and the others go on: the loss is not finite"),
        "{said:?}"
    );
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[2].ends_with("diverged") && !lines[3].contains("diverged"), "{said:?}");
    assert_eq!(fs::read_to_string(run.join("best")).unwrap(), "member-01\n");
    elbo(folder.path(), &format!("train {TINY} --epochs 2 --lr 1e-3 --out alone")).succeeded();
    let alone = kept(folder.path(), "alone");
    assert!(alone == kept(&run, "member-01"), "the other one is as it would be alone");
    let said = elbo(folder.path(), "train --resume sweep --epochs 3 --adapter cpu").succeeded();
    assert!(said.out.lines().nth(2).unwrap().ends_with("diverged"), "{said:?}");
    assert_eq!(fs::read_to_string(run.join("member-01/metrics.csv")).unwrap().lines().count(), 4);
    // All of them: the run ends as that of one model does.
    let said = elbo(folder.path(), &format!("train {TINY} --set lr=[1e30,2e30] --out lost"));
    said.failed(4, "the loss is not finite");
}

#[test]
fn what_cannot_train_side_by_side_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, culprit) in [
        ("--seeds 0", "--seeds 0"),
        ("--seeds 1,1", "train.seed has 1 twice"),
        ("--set latent=[2,3]", "model.latent takes one value"),
        ("--set epochs=[2,3]", "train.epochs takes one value"),
        ("--seed 1 --seeds 1,2", "train.seed is set twice"),
        ("--resume run --seeds 2", "--seeds cannot be given with --resume"),
    ] {
        elbo(folder.path(), &format!("train {flags}")).failed(2, culprit);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "{flags}");
    }
    let said = elbo(folder.path(), &format!("train {TINY} --seeds 3 --dry-run")).succeeded();
    assert!(said.out.contains("member-02") && said.out.contains("[train]"), "{said:?}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}
