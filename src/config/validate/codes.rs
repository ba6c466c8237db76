//! What is allowed of a codebook, and beside one.

use super::{check, check_one_layer, check_plain, fraction, number};
use crate::config::{Anneal, Binarise, Condition, Config, Likelihood, Monitor, ObjectiveConfig, Posterior, Prior};
use crate::error::Result;

/// The most codes of a codebook.
const MAX_CODES: usize = 1 << 16;

pub(super) fn check_codes(config: &Config) -> Result<()> {
    let Config { model, objective, train, .. } = config;
    let codes = model.codes;
    let is_count = codes != 1 && codes <= MAX_CODES;
    check(is_count, "model.codes", &codes, &format!("0 for none, or a whole number from 2 to {MAX_CODES}"))?;
    fraction("model.codebook_decay", model.codebook_decay)?;
    fraction("model.codebook_restart", model.codebook_restart)?;
    number("objective.commitment", objective.commitment, 0.0)?;
    if codes == 0 {
        return Ok(());
    }
    let with = format!("with model.codes = {codes}");
    check(model.prior_codes == 0, "model.prior_codes", &model.prior_codes, &format!("0 {with}"))?;
    check_one_layer(model, &format!("[] {with}"))?;
    check(model.condition == Condition::None, "model.condition", &model.condition.word(), &format!("none {with}"))?;
    let uniform = format!("standard {with}: all codes are as likely");
    check(model.prior == Prior::Standard, "model.prior", &model.prior.word(), &uniform)?;
    let nearest = format!("gaussian {with}, where the posterior is the nearest code");
    check(model.posterior == Posterior::Gaussian, "model.posterior", &model.posterior.word(), &nearest)?;
    let constant = format!("{with}, whose rate is the same for every example");
    check_objective(objective, &with, &constant)?;
    let whole = format!("1 {with}: the codebook follows a whole batch at a time");
    check(train.accumulate == 1, "train.accumulate", &train.accumulate, &whole)
}

/// What is allowed beside a prior of codes, which has no latents.
pub(super) fn check_prior_of_codes(config: &Config) -> Result<()> {
    let Config { data, model, objective, train, .. } = config;
    let codes = model.prior_codes;
    let is_count = codes != 1 && codes <= MAX_CODES;
    check(is_count, "model.prior_codes", &codes, &format!("0 for none, or a whole number from 2 to {MAX_CODES}"))?;
    if codes == 0 {
        return Ok(());
    }
    let with = format!("with model.prior_codes = {codes}, a model of codes without latents");
    check(model.prior_width > 1, "model.prior_width", &model.prior_width, &format!("2 at least {with}"))?;
    check_one_layer(model, &format!("[] {with}"))?;
    let told = model.condition != Condition::Inferred;
    check(told, "model.condition", &model.condition.word(), &format!("none or label {with}"))?;
    check(model.prior == Prior::Standard, "model.prior", &model.prior.word(), &format!("standard {with}"))?;
    let posterior = model.posterior.word();
    check(model.posterior == Posterior::Gaussian, "model.posterior", &posterior, &format!("gaussian {with}"))?;
    let likelihood = model.likelihood;
    check(likelihood == Likelihood::Bernoulli, "model.likelihood", &likelihood.name(), &format!("left out {with}"))?;
    let drawn = format!("{:?}", data.binarise).to_lowercase();
    check(data.binarise == Binarise::None, "data.binarise", &drawn, &format!("none {with}"))?;
    let monitor = format!("{:?}", train.monitor).to_lowercase();
    check(train.monitor == Monitor::Elbo, "train.monitor", &monitor, &format!("elbo {with}"))?;
    check_objective(objective, &with, &with)
}

/// That nothing is asked of a rate which nothing changes.
fn check_objective(objective: &ObjectiveConfig, with: &str, constant: &str) -> Result<()> {
    check(objective.beta == 1.0, "objective.beta", &objective.beta, &format!("1 {constant}"))?;
    let anneal = format!("{:?}", objective.anneal).to_lowercase();
    check(objective.anneal == Anneal::None, "objective.anneal", &anneal, &format!("none {constant}"))?;
    check_plain(objective, constant, &format!("{with}: nothing is drawn"))
}
