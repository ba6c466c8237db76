//! Ask a trained run: `cargo run --release --example answers -- RUN`, where RUN is what `elbo train` left.
//!
//! Draws examples from the prior, encodes them again, and says how far the model recognises what it made up itself.

use elbo::error::{Error, Result};
use elbo::run::Run;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| Error::Usage("usage: answers RUN".into()))?;
    println!("{}", ask(&folder, "auto")?);
    Ok(())
}

/// The report of a run on a device.
pub fn ask(folder: &Path, adapter: &str) -> Result<String> {
    let mut run = Run::open(folder, adapter)?;
    let width: usize = run.shape().iter().product();

    // Flat and row-major: 100 examples of D numbers, then 100 latents of Z numbers.
    let drawn = run.sample(100, 0)?;
    let posterior = run.encode(&drawn)?;
    let again = run.decode(&posterior.means)?;
    let scores = run.score(&drawn, 0)?;

    let errors = drawn.iter().zip(&again).map(|(a, b)| f64::from(a - b).powi(2));
    let error = (errors.sum::<f64>() / drawn.len() as f64).sqrt();
    let strangest = (0..scores.len()).max_by(|&a, &b| scores[a].neg_elbo().total_cmp(&scores[b].neg_elbo()));
    let strangest = strangest.expect("there are a hundred");
    let mean = scores.iter().map(elbo::eval::Terms::neg_elbo).sum::<f64>() / scores.len() as f64;
    Ok(format!(
        "{}: 100 draws of {width} values through {} latent dimensions and back: {error:.3} off (root mean square)\n\
         -ELBO {mean:.2} nats on average; the strangest is number {strangest} with {:.2} = distortion {:.2} + rate {:.2}",
        run.config().name,
        run.latent(),
        scores[strangest].neg_elbo(),
        scores[strangest].distortion,
        scores[strangest].rate,
    ))
}
