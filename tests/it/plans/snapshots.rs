//! Plans as `elbo plan` prints them, compared with `tests/snapshots`: a change of the compiler shows in a review as the
//! change of what it makes.

use super::models::{PURPOSES, Setup, TARGETS, blocks, classic, deep, images, plan, resident};
use elbo::plan::Target;
use elbo::plan::print::print;
use std::path::Path;

const BATCH: usize = 128;

fn printed(setup: &Setup, purpose: &str, target: Target) -> (String, String) {
    let name = format!("{}-{purpose}-{}", setup.name, format!("{target:?}").to_lowercase());
    (name, print(&plan(setup, purpose, BATCH, resident(setup, 1000, 100), target)))
}

#[test]
fn plans_are_those_on_record() {
    let (classic, deep) = (classic(), deep());
    let mut plans: Vec<(String, String)> =
        TARGETS.iter().flat_map(|&target| [&classic, &deep].map(|setup| printed(setup, "train", target))).collect();
    plans.extend(PURPOSES[1..].iter().map(|(purpose, _)| printed(&classic, purpose, Target::Gpu)));
    plans.extend(TARGETS.map(|target| printed(&images(), "train", target)));
    plans.extend([Target::Cpu, Target::Gpu, Target::Software].map(|target| printed(&blocks(), "train", target)));
    plans.push(("recipes".to_owned(), super::recipes::summary()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let bless = std::env::var_os("ELBO_BLESS").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for (name, text) in &plans {
        let path = folder.join(format!("{name}.txt"));
        if bless {
            std::fs::write(&path, text).expect("snapshots can be written");
            continue;
        }
        let recorded = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(difference) = first_difference(&recorded, text) {
            wrong.push(format!("{name}, {difference}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} of {} plans are not those in tests/snapshots. If they are meant to change, run \
         `ELBO_BLESS=1 cargo test plans_are_those_on_record` and review the difference with `git diff tests/snapshots`.",
        wrong.join("\n"),
        wrong.len(),
        plans.len()
    );
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder is there").map(|f| f.unwrap().path()).collect();
    files.retain(|file| !plans.iter().any(|(name, _)| file.ends_with(format!("{name}.txt"))));
    assert!(files.is_empty(), "nothing is compared with {files:?}");
}

/// Whatever else a model is asked for, all of its numbers count.
#[test]
fn only_training_leaves_numbers_out() {
    let setup = blocks();
    for (purpose, _) in PURPOSES {
        for target in TARGETS {
            let plan = plan(&setup, purpose, 4, resident(&setup, 10, 1), target);
            let drops = plan.steps.iter().any(|step| step.kernel.name == "dropout");
            assert_eq!(drops, purpose == "train", "{purpose} for {target:?}");
        }
    }
}

/// The first line in which two texts differ.
fn first_difference(recorded: &str, found: &str) -> Option<String> {
    let (mut old, mut new) = (recorded.lines(), found.lines());
    let count = recorded.lines().count().max(found.lines().count());
    (1..=count).map(|line| (line, old.next(), new.next())).find(|(_, old, new)| old != new).map(|(line, old, new)| {
        let [old, new] = [old, new].map(|text| text.unwrap_or("(no such line)"));
        format!("line {line}:\n  recorded {old}\n  now      {new}")
    })
}

#[test]
fn the_first_difference_is_found_wherever_it_is() {
    for (recorded, found, message) in [
        ("a\nb\n", "a\nc\n", Some("line 2:\n  recorded b\n  now      c")),
        ("a\n", "a\nb\n", Some("line 2:\n  recorded (no such line)\n  now      b")),
        ("a\nb\n", "a\n", Some("line 2:\n  recorded b\n  now      (no such line)")),
        ("", "a\n", Some("line 1:\n  recorded (no such line)\n  now      a")),
        ("a\nb\n", "a\nb\n", None),
    ] {
        assert_eq!(first_difference(recorded, found).as_deref(), message);
    }
}
