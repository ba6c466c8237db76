//! What is allowed of a model that infers classes (M2), and beside it.

use super::{MAX_EXAMPLES, check, check_one_layer, check_plain, count, number, widths};
use crate::config::{Condition, Config, Posterior, Prior};
use crate::error::Result;

pub(super) fn check_inferred(config: &Config) -> Result<()> {
    let Config { data, model, objective, train, .. } = config;
    widths("model.classifier", &model.classifier)?;
    number("objective.classify", objective.classify, 0.0)?;
    count("data.labelled", data.labelled, 0..=MAX_EXAMPLES)?;
    // TOML has no larger whole numbers.
    let (seed, most) = (data.labelled_seed, i64::MAX as u64);
    check(seed <= most, "data.labelled_seed", &seed, &format!("a whole number from 0 to {most}"))?;
    count("train.labelled", train.labelled, 0..=MAX_EXAMPLES)?;
    if model.condition != Condition::Inferred {
        return Ok(());
    }
    let with = "with model.condition = inferred";
    check_one_layer(model, &format!("[] {with}"))?;
    let normal = format!("standard {with}");
    check(model.prior == Prior::Standard, "model.prior", &model.prior.word(), &normal)?;
    let normal = format!("gaussian {with}");
    check(model.posterior == Posterior::Gaussian, "model.posterior", &model.posterior.word(), &normal)?;
    check_plain(objective, with, &format!("{with}: one of each class is drawn"))?;
    let whole = format!("1 {with}: the labelled examples of a batch are looked at together");
    check(train.accumulate == 1, "train.accumulate", &train.accumulate, &whole)?;
    let some = format!("less than train.batch = {}, so that other examples are seen too", train.batch);
    check(train.labelled < train.batch, "train.labelled", &train.labelled, &some)
}
