//! Data sets that are larger than the device: what is learnt and answered has the bits of one that fits.

use crate::program::elbo;
use crate::support::executors;
use elbo::checkpoint::{Tensor, load_latest};
use elbo::config::{self, Likelihood};
use elbo::data::{self, Dataset, Values};
use elbo::eval::{self, Summary, Terms};
use elbo::exec::Executor;
use elbo::plan::Role;
use elbo::rng::{Philox, Stream};
use elbo::session::{Posterior, Purpose, Session};
use elbo::train::{self, Member, Options};
use serde_json::Value;
use std::fs;
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
    let mut session = Session::with_members(config, others, data, executor);
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

fn settings(pairs: &[(&str, &str)]) -> config::Config {
    let settings: Vec<(String, String)> =
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    config::resolve(None, &settings).expect("the settings are valid")
}

/// An `.npy` file of this type and shape.
fn npy(kind: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), body].concat()
}

fn idx(dims: &[u32], body: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = dims.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&[0, 0, 8, dims.len() as u8], &sizes[..], body].concat()
}

#[test]
fn examples_that_stay_in_their_files_are_those_that_are_read_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut rng = Philox::new(5, Stream::Choice, 0, 0);
    let mut body = |count: usize| -> Vec<u8> { (0..count).map(|_| (256.0 * rng.uniform()) as u8).collect() };
    let floats: Vec<f32> = body(60 * 8).iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let little: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
    let big: Vec<u8> = floats.iter().flat_map(|x| x.to_be_bytes()).collect();
    fs::write(path("bytes.npy"), npy("|u1", "50, 3, 5", &body(50 * 15))).unwrap();
    fs::write(path("colour.npy"), npy("|u1", "40, 4, 2, 3", &body(40 * 24))).unwrap();
    fs::write(path("little.npy"), npy("<f4", "60, 2, 4", &little)).unwrap();
    fs::write(path("big.npy"), npy(">f4", "60, 2, 4", &big)).unwrap();
    fs::create_dir(path("idx")).unwrap();
    fs::write(path("idx/train-images-idx3-ubyte"), idx(&[50, 3, 3], &body(50 * 9))).unwrap();
    fs::write(path("idx/t10k-images-idx3-ubyte"), idx(&[20, 3, 3], &body(20 * 9))).unwrap();
    for name in ["bytes.npy", "colour.npy", "little.npy", "big.npy", "idx"] {
        let source = path(name).display().to_string();
        let open = |memory: &str| {
            let config = settings(&[("data.source", &source), ("data.memory", memory), ("data.validation", "7")]);
            data::open(&config, None).unwrap_or_else(|error| panic!("{error}"))
        };
        let (whole, large) = (open("4096"), open("0"));
        assert!(matches!(large.values, Values::Disk(_)) && !matches!(whole.values, Values::Disk(_)), "{name}");
        assert_eq!((&whole.shape, &whole.train, &whole.test), (&large.shape, &large.train, &large.test), "{name}");
        let all: Vec<u32> = (0..whole.len() as u32).collect();
        assert!(whole.stored(&all).unwrap() == large.stored(&all).unwrap(), "{name}");
        assert_eq!(whole.example(11).unwrap(), large.example(11).unwrap(), "{name}");
        for (a, b) in whole.means(whole.train.clone()).unwrap().iter().zip(large.means(large.train.clone()).unwrap()) {
            assert!((a - b).abs() < 1e-6, "{name}: {a} {b}");
        }
        data::check(&large, Likelihood::Bernoulli).unwrap();
    }
}

#[test]
fn a_model_trains_on_a_file_that_is_larger_than_the_memory_it_may_take() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Philox::new(6, Stream::Choice, 0, 0);
    let body: Vec<u8> = (0..900 * 16).map(|_| (256.0 * rng.uniform()) as u8).collect();
    fs::write(folder.path().join("x.npy"), npy("|u1", "900, 4, 4", &body)).unwrap();
    let train =
        "train --data x.npy --epochs 2 --batch 32 --latent 2 --set hidden=[8] --set window=150 --set validation=0";
    for (run, memory) in [("whole", "4096"), ("large", "0")] {
        elbo(folder.path(), &format!("{train} --set memory={memory} --adapter cpu --out {run}")).succeeded();
    }
    let parameters = |run: &str| load_latest(&folder.path().join(run)).unwrap().0.parameters;
    assert!(parameters("whole") == parameters("large"));
    let figures = |run: &str| -> Value {
        let outcome = elbo(folder.path(), &format!("eval {run} --adapter cpu --json")).succeeded();
        serde_json::from_str(&outcome.out).unwrap()
    };
    assert_eq!(figures("whole")["neg_elbo"], figures("large")["neg_elbo"]);
    // What cannot be read from the file while a model trains is one line that says what to do.
    fs::write(folder.path().join("wide.npy"), npy("<f8", "100, 2, 2", &[0; 3200])).unwrap();
    fs::write(folder.path().join("flat.npy"), npy("<f4", "100, 4", &[0; 1600])).unwrap();
    fs::write(folder.path().join("cut.npy"), npy("|u1", "900, 4, 4", &body[1..])).unwrap();
    for (name, words) in [("wide", "data.memory"), ("flat", "data.scale=none"), ("cut", "header promises")] {
        let line = format!("train --data {name}.npy --recipe gaussian --set memory=0 --adapter cpu --out bad");
        elbo(folder.path(), &line).failed(3, words);
        assert!(!folder.path().join("bad").exists());
    }
}
