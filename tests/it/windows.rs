//! Data sets that are larger than the device: what is learnt and answered has the bits of one that fits.

use crate::support::executors;
use elbo::checkpoint::Tensor;
use elbo::config;
use elbo::data::{Dataset, Values};
use elbo::eval::{self, Summary, Terms};
use elbo::exec::Executor;
use elbo::model::tasks::{ENCODE, EVALUATE};
use elbo::plan::Role;
use elbo::rng::{Philox, Stream};
use elbo::session::{BATCH, Posterior, Purpose, Session};
use elbo::train::{self, Member, Options};
use std::sync::atomic::AtomicBool;

/// More than two windows, and no multiple of one or of a batch.
const EXAMPLES: usize = 700;

/// Rows whose bytes do not end at words.
const WIDTH: usize = 7;

fn bytes(rng: &mut Philox) -> Values {
    Values::U8((0..EXAMPLES * WIDTH).map(|_| (256.0 * rng.uniform()) as u8).collect())
}

fn floats(rng: &mut Philox) -> Values {
    Values::F32((0..EXAMPLES * WIDTH).map(|_| rng.uniform()).collect())
}

/// What is left of a run.
#[derive(PartialEq)]
struct Outcome {
    parameters: Vec<Vec<(String, Tensor)>>,
    terms: Vec<Terms>,
    answers: Option<(Summary, eval::Likelihood, Posterior)>,
}

fn outcome(executor: Executor, values: &Values, window: usize, members: usize) -> Outcome {
    let settings = [
        ("data.window", window.to_string()),
        ("data.binarise", "dynamic".into()),
        ("data.validation", "50".into()),
        ("model.hidden", "[6]".into()),
        ("model.latent", "2".into()),
        ("train.batch", "37".into()),
        ("train.epochs", "2".into()),
        ("train.checkpoint_steps", "5".into()),
    ];
    let settings: Vec<(String, String)> = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let config = config::resolve(None, &settings).expect("the settings are valid");
    let data = Dataset::new("random", [1, 1, WIDTH], values.clone(), None, 150, 50).expect("the parts add up");
    let test = data.test.clone();
    let mut others = vec![config.clone(); members - 1];
    others.iter_mut().zip(7..).for_each(|(other, seed)| other.train.seed = seed);
    let mut session = Session::with_members(config, others, data, executor).expect("the layers fit");
    let plan = session.plan(Purpose::Train).expect("it fits");
    let loaded = session.executor.plan(plan);
    // 37 is raised to the 128 examples that an evaluation takes at once.
    let words = window.max(128) * if matches!(values, Values::U8(_)) { 2 } else { WIDTH };
    let expected = if window > 0 { (0, words) } else { (loaded.words(&Role::Data), 0) };
    assert_eq!((loaded.words(&Role::Data), loaded.words(&Role::Window)), expected);
    session.initialise().expect("parameters fit");
    let folder = tempfile::tempdir().unwrap();
    let folders = (0..members).map(|member| folder.path().join(member.to_string()));
    let all: Vec<Member> = folders.map(|folder| Member::new(&session, folder)).collect();
    let options = Options { stop: &AtomicBool::new(false), deadline: None, check_steps: window > 0 };
    train::train(&mut session, all, &options, &mut |_| Ok(())).expect("it trains");
    let parameters = (0..members).map(|member| session.parameters(member).unwrap()).collect();
    let terms = eval::terms(&mut session, test.clone()).unwrap();
    // One model is asked at a time.
    let answers = (members == 1).then(|| {
        let summary = eval::summary(&mut session, test.clone(), 1).unwrap();
        let likelihood = eval::likelihood(&mut session, test.clone(), 6, 1, &mut |_| ()).unwrap();
        let scattered: Vec<u32> = test.rev().step_by(3).map(|i| i as u32).collect();
        (summary, likelihood, session.encode(&scattered, 1).unwrap())
    });
    Outcome { parameters, terms, answers }
}

#[test]
fn a_window_on_the_data_changes_no_bit_of_what_is_learnt_and_answered() {
    let mut rng = Philox::new(3, Stream::Choice, 0, 0);
    for values in [bytes(&mut rng), floats(&mut rng)] {
        for members in [1, 2] {
            let whole = executors().into_iter().map(|executor| outcome(executor, &values, 0, members));
            let whole: Vec<Outcome> = whole.collect();
            for window in [37, 200] {
                for (executor, whole) in executors().into_iter().zip(&whole) {
                    let name = executor.name();
                    let found = outcome(executor, &values, window, members);
                    assert!(found == *whole, "{members} members, a window of {window}, {name}");
                }
            }
        }
    }
}

/// An untrained model on these examples, which pass through a window; 0 stands for none.
fn untrained(executor: Executor, values: &Values, window: usize) -> Session {
    let settings = [("data.window", window.to_string()), ("model.hidden", "[6]".into()), ("model.latent", "2".into())];
    let settings: Vec<(String, String)> = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let config = config::resolve(None, &settings).expect("the settings are valid");
    let data = Dataset::new("random", [1, 1, WIDTH], values.clone(), None, 0, 0).expect("the parts add up");
    let mut session = Session::new(config, data, executor).expect("the layers fit");
    session.plan(Purpose::task(ENCODE, BATCH)).expect("it fits");
    session.initialise().expect("parameters fit");
    session
}

#[test]
fn what_lies_in_a_window_is_forgotten_with_the_order_that_brought_it_there() {
    let mut rng = Philox::new(4, Stream::Choice, 0, 0);
    let values = bytes(&mut rng);
    for (whole, windowed) in executors().into_iter().zip(executors()) {
        let name = whole.name();
        let (mut whole, mut windowed) = (untrained(whole, &values, 0), untrained(windowed, &values, 200));
        // All take the same positions, so that the order alone says that other examples are wanted: from call to call,
        // and within the last one, which is answered in two parts.
        let size = BATCH as u32;
        let mut answers = vec![];
        for order in [0..size, 300..300 + size, 100..100 + 2 * size] {
            let order: Vec<u32> = order.collect();
            let found = windowed.encode(&order, 1).unwrap();
            assert!(found == whole.encode(&order, 1).unwrap(), "examples from {} on, {name}", order[0]);
            answers.push(found.means[..8].to_vec());
        }
        assert!(answers[0] != answers[1] && answers[1] != answers[2], "the examples differ");
    }
}

#[test]
fn an_example_lies_at_its_position_modulo_the_window() {
    let mut rng = Philox::new(8, Stream::Choice, 0, 0);
    let values = floats(&mut rng);
    let order: Vec<u32> = (0..EXAMPLES as u32).map(|at| (at * 37 + 5) % EXAMPLES as u32).collect();
    for (whole, windowed) in executors().into_iter().zip(executors()) {
        let name = whole.name();
        let evaluate = |session: &mut Session, first: usize| {
            let plan = session.plan(Purpose::task(EVALUATE, BATCH)).unwrap();
            let scalars = session.scalars(1, Stream::Evaluate, first, BATCH);
            session.run(plan, &[scalars]).unwrap();
            session.output("distortion", BATCH, 1).unwrap()
        };
        let (mut whole, mut windowed) = (untrained(whole, &values, 0), untrained(windowed, &values, 200));
        whole.set_order(&order).unwrap();
        windowed.set_order(&order).unwrap();
        // Within the window, over its end, one and two windows later, and back again.
        for first in [0, 60, 120, 200, 263, 399, 572, 10] {
            let expected = evaluate(&mut whole, first);
            assert!(evaluate(&mut windowed, first) == expected, "positions from {first} on, {name}");
        }
    }
}
