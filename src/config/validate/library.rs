//! What is allowed where means are shares of the total of an example.

use super::check;
use crate::config::{Condition, Config, LibrarySize, Likelihood};
use crate::error::Result;

pub(super) fn check_library(config: &Config) -> Result<()> {
    let Config { model, objective, .. } = config;
    let counts = [Likelihood::Poisson, Likelihood::NegativeBinomial, Likelihood::ZeroInflatedNegativeBinomial]
        .contains(&model.likelihood);
    let named = model.likelihood.name();
    let word = if model.library_size == LibrarySize::Observed { "observed" } else { "none" };
    let wanted = format!(
        "none where model.likelihood is {named}: a library size is what poisson, negative-binomial and \
         zero-inflated-negative-binomial take a share of"
    );
    check(word == "none" || counts, "model.library_size", &word, &wanted)?;
    if word == "none" {
        return Ok(());
    }
    let with = "with model.library_size = observed";
    check(model.codes == 0, "model.codes", &model.codes, &format!("0 {with}"))?;
    check(model.categories.is_empty(), "model.categories", &format!("{:?}", model.categories), &format!("[] {with}"))?;
    let told = model.condition != Condition::Inferred;
    check(told, "model.condition", &model.condition.word(), &format!("none or label {with}"))?;
    check(objective.features == 0.0, "objective.features", &objective.features, &format!("0 {with}"))
}
