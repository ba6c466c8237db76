//! How well an imported model does on the data that it is said to be for: where its numbers came in wrongly, nothing else
//! tells.

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::data::Dataset;
use crate::error::Result;
use crate::eval::{self, Terms};
use crate::exec::Executor;
use crate::exec::cpu::Cpu;
use crate::model::{likelihood, presentation};
use crate::report::Report;
use crate::session::{Rows, Session};

/// Examples that are tried.
const TRIED: usize = 256;

/// Examples of whose values the means and variances are taken.
const KNOWN: usize = 2048;

/// Says the −ELBO of some examples, and warns where a model that knows nothing but the mean of each value does better.
///
/// # Errors
/// Those of the session, and of examples that cannot be read.
pub fn say(checkpoint: &Checkpoint, data: &Dataset, report: &Report) -> Result<()> {
    let part = if data.validation.is_empty() { &data.train } else { &data.validation };
    let tried: Vec<u32> = part.clone().take(TRIED).map(|example| example as u32).collect();
    let known: Vec<u32> = data.train.clone().take(KNOWN).map(|example| example as u32).collect();
    let (tried, known) = (data.examples(&tried)?, data.examples(&known)?);
    let mut session = Session::without_data(checkpoint, Executor::Cpu(Cpu::new(1)?))?;
    let terms = eval::terms_of(&mut session, Rows { values: &tried, classes: &[] }, checkpoint.config.train.seed)?;
    let found = terms.iter().map(Terms::neg_elbo).sum::<f64>() / terms.len() as f64;
    let plain = baseline(&checkpoint.config, data.width(), &known, &tried);
    let count = terms.len();
    report.note(&format!("-ELBO    {found:.2} nats, of {count} examples of {}", data.name));
    // Written so that no number is a reason to warn.
    if plain.is_none_or(|plain| found < plain) {
        return Ok(());
    }
    report.warn(&format!(
        "the imported model does badly on {}: its -ELBO is {found:.2} nats, and a model that knows the mean of each value and \
         nothing else has {:.2}; perhaps values are scaled otherwise than in its training (data.scale), the non-linearity is \
         another (--set model.activation), layers are in another order (--map), or numbers stand in wrong places (arrays that \
         are transposed must be copied before safetensors saves them: numpy.ascontiguousarray, or .contiguous() in PyTorch)",
        data.name,
        plain.unwrap_or(f64::NAN)
    ));
    Ok(())
}

/// -log p of rows in nats, a mean over them, where each value has one distribution for all examples, fitted to other rows.
/// None where a likelihood has no such formula.
fn baseline(config: &Config, width: usize, known: &[f32], tried: &[f32]) -> Option<f64> {
    let nats = likelihood::of(config.model.likelihood).baseline?;
    let shown = |x: f32| f64::from(presentation::as_stored(config.data.binarise, x));
    let rows = |values: &[f32]| values.len() / width;
    let mut sum = 0.0;
    for place in 0..width {
        let column = |values: &[f32]| -> Vec<f64> {
            values.iter().skip(place).step_by(width).filter(|x| !x.is_nan()).map(|&x| shown(x)).collect()
        };
        let (known, tried) = (column(known), column(tried));
        let count = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / count;
        let variance = known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        sum += tried.iter().map(|&x| nats(&config.model, x, mean, variance)).sum::<f64>();
    }
    Some(sum / rows(tried).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Likelihood;
    use std::f64::consts::TAU;

    #[test]
    fn what_knows_the_means_alone_has_the_nats_of_its_formulas() {
        let (known, tried) = ([0.0, 1.0, 1.0, 1.0], [1.0, 1.0, f32::NAN, 0.0]);
        let with = |likelihood: Likelihood| {
            let mut config = Config::default();
            (config.model.likelihood, config.model.sigma, config.model.decoder_log_variance) =
                (likelihood, 0.5, [-2.0, 2.0]);
            baseline(&config, 2, &known, &tried)
        };
        let close = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-9, "{found:?}");
        // Means 0.5 and 1; the second is held within 0.001 of the ends.
        close(with(Likelihood::Bernoulli), 0.5 * (2.0_f64.ln() - 0.999_f64.ln() - 0.001_f64.ln()));
        let constant = 0.5 * (TAU * 0.25).ln();
        close(with(Likelihood::Gaussian), 0.5 * (0.5 + constant + constant + 2.0 + constant));
        // Variances 0.25 and 0, which the model cannot have.
        let [first, second] = [0.25_f64, (-2.0_f64).exp()].map(|variance| 0.5 * (TAU * variance).ln());
        close(with(Likelihood::GaussianLearned), 0.5 * (0.5 + first + second + 0.5 / (-2.0_f64).exp() + second));
        assert_eq!(with(Likelihood::Poisson), None);
    }
}
