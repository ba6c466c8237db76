//! Train on numbers that a program has in memory, and use the model: `cargo run --release --example own_data -- FOLDER`.
//!
//! The numbers are points on a noisy ring in ten dimensions. A model of two latent dimensions learns where they lie, and
//! then tells points of the ring from points beside it. FOLDER takes the checkpoints.

use elbo::config;
use elbo::data::{Dataset, Values};
use elbo::error::{Error, Result};
use elbo::exec::select;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use elbo::session::{Purpose, Session};
use elbo::train::{self, Event, Member, Options};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

const WIDTH: usize = 10;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| Error::Usage("usage: own_data FOLDER".into()))?;
    let [ring, beside] = learn(&folder, "auto")?;
    println!("-ELBO of points on the ring {ring:.2} nats, of points beside it {beside:.2}");
    Ok(())
}

/// Trains, and gives the mean −ELBO of points on the ring and of others.
pub fn learn(folder: &Path, adapter: &str) -> Result<[f64; 2]> {
    let settings = [
        ("model.likelihood", "gaussian"),
        ("model.sigma", "0.1"),
        ("model.hidden", "[32]"),
        ("model.activation", "tanh"),
        ("model.latent", "2"),
        ("train.epochs", "30"),
        ("train.batch", "64"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = config::resolve(None, &settings)?;

    // 2,000 rows; the last 200 are kept for the test.
    let data = Dataset::new("ring", [1, 1, WIDTH], Values::F32(points(2000, 1.0, 0)), None, 200, 0)?;
    let (executor, _) = select::open(adapter, 0)?;
    let mut session = Session::new(config, data, executor)?;
    session.plan(Purpose::Train)?;
    session.initialise()?;
    let (member, stop) = (Member::new(&session, folder), AtomicBool::new(false));
    let options = Options { stop: &stop, deadline: None, check_steps: false };
    train::train(&mut session, vec![member], &options, &mut |event| {
        if let Event::Warning(text) = event {
            println!("warning: {text}");
        }
        Ok(())
    })?;

    let mut run = Run::open(folder, adapter)?;
    let mut score = |radius: f32| -> Result<f64> {
        let scores = run.score(&points(200, radius, 1), 0)?;
        Ok(scores.iter().map(elbo::eval::Terms::neg_elbo).sum::<f64>() / 200.0)
    };
    Ok([score(1.0)?, score(2.0)?])
}

/// Points near a circle, each dimension a mixture of its two coordinates.
fn points(count: usize, radius: f32, sequence: u32) -> Vec<f32> {
    let mut rng = Philox::new(7, Stream::Choice, sequence, 0);
    let mut rows = Vec::with_capacity(count * WIDTH);
    for _ in 0..count {
        let angle = std::f32::consts::TAU * rng.uniform();
        for i in 0..WIDTH {
            rows.push(radius * (angle + i as f32).cos() + 0.1 * rng.normal());
        }
    }
    rows
}
