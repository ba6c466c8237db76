//! What is allowed of layers that normalise, and beside them.

use super::{Condition, Layer, Layers, ModelConfig, Norm, check};
use crate::config::Config;
use crate::error::Result;

pub(super) fn check_norm(config: &Config) -> Result<()> {
    let Config { model, train, .. } = config;
    if model.norm == Norm::Layer {
        check_widths(model)?;
    }
    let (normalises, judges) = normalises_batches(model);
    let of_others = "without batch-norm: those that are judged together would be told by what they have in common";
    check(!judges, "model.discriminator_layers", &"batch-norm", of_others)?;
    let Some(key) = normalises else { return Ok(()) };
    let shown = if key == "model.norm" { "batch" } else { "batch-norm" };
    let player = !model.discriminator.is_empty() || !model.discriminator_layers.is_empty();
    let once = "without batch normalisation beside a discriminator, for whose sake networks are given several batches in a step; \
                group-norm and layer-norm are of one example";
    check(!player, key, &shown, once)?;
    let classes = "without batch normalisation with model.condition = inferred, which gives networks each example once as each class";
    check(model.condition != Condition::Inferred, key, &shown, classes)?;
    check(train.batch > 1, "train.batch", &train.batch, "2 or more with batch normalisation")?;
    let whole = "1 with batch normalisation, whose moments are those of a whole batch";
    check(train.accumulate == 1, "train.accumulate", &train.accumulate, whole)
}

/// A layer of one number is nothing but its mean, of which layer normalisation leaves nothing.
fn check_widths(model: &ModelConfig) -> Result<()> {
    let levels = model.levels()?;
    let above = levels.iter().map(|level| ("model.above", &level.hidden));
    for (key, widths) in [("model.hidden", &model.hidden), ("model.decoder", &model.decoder)].into_iter().chain(above) {
        check(widths.iter().all(|&width| width > 1), key, &1, "2 or wider with model.norm = layer")?;
    }
    Ok(())
}

/// The key under which a network normalises over batches, if one does, and whether a discriminator does.
fn normalises_batches(model: &ModelConfig) -> (Option<&'static str>, bool) {
    let has = |layers: &Layers| layers.has(&|layer| *layer == Layer::BatchNorm);
    let lists = [
        ("model.encoder_layers", &model.encoder_layers),
        ("model.decoder_layers", &model.decoder_layers),
        ("model.encoder_cell", &model.encoder_cell),
        ("model.decoder_cell", &model.decoder_cell),
    ];
    let by_widths = (model.norm == Norm::Batch && model.has_widths()).then_some("model.norm");
    let found = by_widths.or_else(|| lists.into_iter().find(|(_, layers)| has(layers)).map(|(key, _)| key));
    (found, has(&model.discriminator_layers))
}
