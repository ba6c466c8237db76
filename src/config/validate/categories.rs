//! What is allowed of latents that are categories, and beside them.

use super::{check, check_one_layer, check_plain, number};
use crate::config::{Condition, Config, Posterior, Prior};
use crate::error::Result;

pub(super) fn check_relaxed(config: &Config) -> Result<()> {
    let Config { model, objective, .. } = config;
    for temperature in objective.temperature {
        let is_temperature = (0.01..=100.0).contains(&temperature);
        check(
            is_temperature,
            "objective.temperature",
            &temperature,
            "two numbers from 0.01 to 100, beginning and end",
        )?;
    }
    number("objective.temperature_epochs", objective.temperature_epochs, 0.0)?;
    if model.categories.is_empty() {
        return Ok(());
    }
    let given = format!("{:?}", model.categories);
    let fit = match model.categories[..] {
        [variables, categories] => {
            let places = variables.checked_mul(categories);
            variables > 0 && categories > 1 && places.is_some_and(|places| places <= model.latent)
        }
        _ => false,
    };
    let allowed = format!(
        "[], or [N, K] for N variables of K categories, 2 at least, with N x K of the {} places of model.latent",
        model.latent
    );
    check(fit, "model.categories", &given, &allowed)?;
    let with = "with model.categories";
    check(model.codes == 0, "model.codes", &model.codes, &format!("0 {with}"))?;
    check(model.prior_codes == 0, "model.prior_codes", &model.prior_codes, &format!("0 {with}"))?;
    check_one_layer(model, &format!("[] {with}"))?;
    let told = model.condition != Condition::Inferred;
    check(told, "model.condition", &model.condition.word(), &format!("none or label {with}"))?;
    let uniform = format!("standard {with}: all categories are as likely");
    check(model.prior == Prior::Standard, "model.prior", &model.prior.word(), &uniform)?;
    let gaussian = format!("gaussian {with}, which it is for the latents that are numbers");
    check(model.posterior == Posterior::Gaussian, "model.posterior", &model.posterior.word(), &gaussian)?;
    check_plain(objective, with, &format!("{with}: the relaxed loss is that of one sample"))
}
