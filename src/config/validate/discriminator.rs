//! What is allowed of a discriminator, and of the objective that has one.

use super::{check, count, fraction, number, positive, widths};
use crate::config::Config;
use crate::error::Result;

/// Whole numbers that single precision tells apart.
const MAX_DRAWS: usize = 1 << 24;

pub(super) fn check_discriminator(config: &Config) -> Result<()> {
    let Config { model, objective, optimizer, train, .. } = config;
    number("objective.factor", objective.factor, 0.0)?;
    widths("model.discriminator", &model.discriminator)?;
    positive("optimizer.discriminator_lr", optimizer.discriminator_lr)?;
    fraction("optimizer.discriminator_beta1", optimizer.discriminator_beta1)?;
    fraction("optimizer.discriminator_beta2", optimizer.discriminator_beta2)?;
    count("optimizer.discriminator_every", optimizer.discriminator_every, 1..=1_000_000)?;
    number("objective.adversary", objective.adversary, 0.0)?;
    let shown = format!("{:?}", model.discriminator);
    let (key, weight) = match (objective.factor, objective.adversary) {
        (0.0, 0.0) => {
            let none = "[] without objective.factor or objective.adversary";
            return check(model.discriminator.is_empty(), "model.discriminator", &shown, none);
        }
        (factor, 0.0) => ("objective.factor", factor),
        (0.0, adversary) => ("objective.adversary", adversary),
        (_, adversary) => {
            let one = "0 with objective.factor, since there is one discriminator";
            return check(false, "objective.adversary", &adversary, one);
        }
    };
    let with = &format!("with {key}");
    let wanted = format!("widths of its hidden layers, such as [256,256], {with}");
    check(!model.discriminator.is_empty(), "model.discriminator", &shown, &wanted)?;
    check(!objective.bound.is_weighted(), key, &weight, "0 where objective.bound is not elbo")?;
    check(objective.samples == 1, "objective.samples", &objective.samples, &format!("1 {with}"))?;
    check(model.above.is_empty(), key, &weight, "0 with model.above")?;
    if objective.factor == 0.0 {
        return Ok(());
    }
    let factor = with;
    check(model.latent > 1, "model.latent", &model.latent, &format!("2 or more {factor}, which compares dimensions"))?;
    check(train.batch > 1, "train.batch", &train.batch, &format!("2 or more {factor}"))?;
    // Places of a batch's latents are told as numbers in single precision.
    let most = MAX_DRAWS / model.latent;
    check(train.batch <= most, "train.batch", &train.batch, &format!("up to {most} {factor} and as many latents"))
}
