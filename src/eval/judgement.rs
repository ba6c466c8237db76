//! What the discriminator beside a model makes of data.

use crate::config::ObjectiveConfig;
use crate::data::batches::batches;
use crate::error::Result;
use crate::model::judge::{APART, OF_DRAWS, OF_EXCHANGED, OF_LATENTS, OF_PICTURES};
use crate::model::tasks::JUDGE;
use crate::rng::Stream;
use crate::session::{BATCH, Purpose, Session};
use std::ops::Range;

/// Means over a part of the data, from one sample of each posterior and one draw of the prior for each example.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The terms that two players follow, without their weights, by the names that they have in `metrics.csv`. The discriminator's
    /// loss is that of labels which are not smoothed; a term of pictures is without noise on them.
    pub terms: Vec<(&'static str, f64)>,
    /// The verdict between 0 and 1, the sigmoid of the logit, of each kind that is told from others; the first is to have a large one.
    pub verdicts: Vec<(&'static str, f64)>,
}

/// Evaluates the discriminator on a part of the data; nothing for models without one, and of sequences.
///
/// # Errors
/// Those of the executor; [`crate::error::Error::Data`] where examples cannot be read from their file;
/// [`crate::error::Error::Bug`] where the session has no data.
pub fn judgement(session: &mut Session, part: Range<usize>, seed: u64) -> Result<Option<Judgement>> {
    let of_pictures = session.config.objective.features > 0.0;
    let Some(kinds) = kinds(&session.config.objective) else { return Ok(None) };
    if session.model.tasks().iter().all(|task| task.name != JUDGE) {
        return Ok(None);
    }
    let plan = session.plan(Purpose::task(JUDGE, BATCH))?;
    let order: Vec<u32> = part.map(|i| i as u32).collect();
    session.set_order(&order)?;
    let (mut logits, mut apart) = (vec![vec![]; kinds.len()], vec![]);
    for batch in batches(order.len(), BATCH) {
        let scalars = session.scalars(seed, Stream::Evaluate, batch.first, batch.rows);
        session.run(plan, &[scalars])?;
        if of_pictures {
            apart.extend(session.output(APART, batch.rows, 1)?);
            let found = session.output(OF_PICTURES, batch.rows, kinds.len())?;
            for (kind, logits) in logits.iter_mut().enumerate() {
                logits.extend(found.iter().skip(kind).step_by(kinds.len()));
            }
            continue;
        }
        for ((_, output), logits) in kinds.iter().zip(&mut logits) {
            logits.extend(session.output(output, batch.rows, 1)?);
        }
    }
    let deceived = |kind: usize| mean(&logits[kind], |logit| softplus(-logit));
    let mut terms = match &session.config.objective {
        // Of what is drawn and of reconstructions, that they are taken for examples.
        objective if objective.features > 0.0 => {
            vec![("features", mean(&apart, |x| x)), ("deceit", deceived(1) + deceived(2))]
        }
        objective if objective.adversary > 0.0 => vec![("adversary", deceived(1))],
        _ => vec![("density_ratio", mean(&logits[0], |logit| logit))],
    };
    let told: f64 = (1..kinds.len()).map(|kind| mean(&logits[kind], softplus)).sum();
    terms.push(("discriminator", (deceived(0) + told) / kinds.len() as f64));
    let verdict = |(&(name, _), logits): (&(&'static str, &str), &Vec<f32>)| {
        (name, mean(logits, |logit| 1.0 / (1.0 + (-logit).exp())))
    };
    let verdicts = kinds.iter().zip(&logits).map(verdict).collect();
    Ok(Some(Judgement { terms, verdicts }))
}

/// What is told apart, that which is to have a large logit first, and by which outputs.
fn kinds(objective: &ObjectiveConfig) -> Option<&'static [(&'static str, &'static str)]> {
    if objective.features > 0.0 {
        return Some(&[("examples", OF_PICTURES), ("reconstructions", OF_PICTURES), ("samples", OF_PICTURES)]);
    }
    if objective.adversary > 0.0 {
        return Some(&[("draws", OF_DRAWS), ("latents", OF_LATENTS)]);
    }
    (objective.factor > 0.0).then_some(&[("latents", OF_LATENTS), ("exchanged", OF_EXCHANGED)])
}

fn mean(values: &[f32], of: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|&value| of(f64::from(value))).sum::<f64>() / values.len() as f64
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
