//! What an epoch asks of a device, counted: kernels, submissions, and what is read back.

use crate::support::executors;
use elbo::config;
use elbo::data;
use elbo::exec::{Counts, Executor};
use elbo::plan::Role;
use elbo::session::{Purpose, Session};
use elbo::train::{self, Event, Member, Options};
use std::sync::atomic::AtomicBool;

/// Examples, all of them to train on in batches of 4: 300 steps an epoch.
const SETTINGS: &[(&str, &str)] = &[
    ("data.examples", "1440"),
    ("data.validation", "0"),
    ("model.hidden", "[8]"),
    ("model.latent", "2"),
    ("train.batch", "4"),
    ("train.epochs", "3"),
    ("train.checkpoint_steps", "0"),
];

/// The counts at the end of each epoch, the first at the beginning of training; steps of an epoch; dispatches of a step.
fn trained(executor: Executor) -> (Vec<Counts>, u64, u64, u64) {
    let settings: Vec<(String, String)> = SETTINGS.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let config = config::resolve(None, &settings).expect("the settings are valid");
    let data = data::open(&config, None).expect("glyphs are drawn");
    let mut session = Session::new(config, data, executor).expect("the layers fit");
    let plan = session.plan(Purpose::Train).expect("it fits");
    session.initialise().expect("parameters fit");
    session.executor.fix_portion(plan, 100);
    let loaded = session.executor.plan(plan);
    let dispatches = loaded.steps.len() as u64;
    let roles = [Role::Parameters, Role::Moment1, Role::Moment2];
    // A checkpoint reads to the end of the last tensor.
    let last = loaded.parameters.last().expect("there are parameters");
    let saved = roles.iter().filter(|role| loaded.words(role) > 0).count() * (last.offset + last.count());
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let options = Options { stop: &stop, deadline: None, check_steps: false };
    let member = Member::new(&session, folder.path());
    let (mut counts, mut steps) = (vec![], 0);
    train::train(&mut session, vec![member], &options, &mut |event| {
        match event {
            Event::Begin(_, _, of_epoch) => steps = of_epoch as u64,
            Event::Pictures { session, .. } => counts.push(session.executor.counts()),
            _ => {}
        }
        Ok(())
    })
    .expect("it trains");
    (counts, steps, dispatches, 4 * saved as u64)
}

#[test]
fn an_epoch_makes_nothing_and_reads_its_metrics_and_its_checkpoint() {
    for executor in executors() {
        let name = executor.name();
        let (counts, steps, dispatches, saved) = trained(executor);
        assert_eq!(counts.len(), 4);
        assert!(steps >= 300, "{steps}");
        for pair in counts.windows(2) {
            let [before, after] = [pair[0], pair[1]];
            assert_eq!((before.allocations, before.pipelines), (after.allocations, after.pipelines), "{name}");
            assert_eq!(after.dispatches - before.dispatches, steps * dispatches, "{name}");
            // Two terms of the loss for each step.
            assert_eq!(after.bytes_read - before.bytes_read, 8 * steps + saved, "{name}");
            let submissions = after.submissions - before.submissions;
            assert!(100 * submissions <= 2 * steps, "{submissions} submissions for {steps} steps, {name}");
        }
    }
}
