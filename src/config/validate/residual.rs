//! What a residual hierarchy of groups of latents takes, and what is for it alone.

use super::{check, layers};
use crate::config::{Anneal, Condition, Config, Hierarchy, Layer, Layers, Likelihood};
use crate::error::{Error, Result};

/// The most groups of latents in all: a step of training reports the rate of each.
const MOST_GROUPS: usize = 64;

pub(super) fn check_residual(config: &Config) -> Result<()> {
    let (model, objective) = (&config.model, &config.objective);
    if objective.balance {
        let of = "false unless";
        for (fits, what) in [
            (model.hierarchy == Hierarchy::Residual, "model.hierarchy is residual, which has groups to balance"),
            (objective.anneal == Anneal::Linear, "objective.anneal is linear: rates are balanced while beta rises"),
            (objective.free_bits == 0.0, "objective.free_bits is 0: both shape the rate"),
            (!objective.bound.is_weighted(), "objective.bound is elbo"),
            (config.train.accumulate == 1, "train.accumulate is 1: they are balanced over a whole batch"),
        ] {
            check(fits, "objective.balance", &true, &format!("{of} {what}"))?;
        }
    }
    let resolutions = model.resolved()?;
    check_cell("model.encoder_cell", &model.encoder_cell)?;
    check_cell("model.decoder_cell", &model.decoder_cell)?;
    if model.hierarchy != Hierarchy::Residual {
        let only = "[] unless model.hierarchy is residual";
        return check(resolutions.is_empty(), "model.resolutions", &format!("{:?}", model.resolutions), only);
    }
    let with = "with model.hierarchy = residual";
    let some = format!("a list such as [\"data/2 groups 6 latent 4\", \"data/4 groups 4 latent 8\"] {with}");
    check(!resolutions.is_empty(), "model.resolutions", &"[]", &some)?;
    let groups: usize = resolutions.iter().map(|resolution| resolution.groups).sum();
    let most = format!("{MOST_GROUPS} groups in all at most");
    check(groups <= MOST_GROUPS, "model.resolutions", &format!("{groups} groups"), &most)?;
    for (key, layers, what) in [
        ("model.encoder_layers", &model.encoder_layers, "layers from an example to the image at the first resolution"),
        ("model.decoder_layers", &model.decoder_layers, "layers from that image back to what the likelihood wants"),
        ("model.encoder_cell", &model.encoder_cell, "the layers of a cell, which are added to the image it is given"),
        ("model.decoder_cell", &model.decoder_cell, "the layers of a cell, which are added to the image it is given"),
    ] {
        check(!layers.is_empty(), key, &"[]", &format!("{what} {with}"))?;
    }
    check(model.above.is_empty(), "model.above", &format!("{:?}", model.above), &format!("[] {with}"))?;
    let tokens = model.likelihood == Likelihood::Tokens;
    check(!tokens, "model.likelihood", &model.likelihood.name(), &format!("one for pictures {with}"))?;
    let told = model.condition != Condition::Inferred;
    check(told, "model.condition", &model.condition.word(), &format!("none or label {with}"))
}

/// What is added to an image has its shape, whatever the likelihood wants.
fn check_cell(key: &str, cell: &Layers) -> Result<()> {
    let (count, most) = (cell.count(), layers::MAX_LAYERS);
    check(count <= most, key, &format!("{count} layers"), &format!("up to {most} layers, repeated ones included"))?;
    if let Some(place) = cell.first(key, &|layer| matches!(layer, Layer::Block(block) if block.name.is_some())) {
        return Err(Error::Usage(format!("{place} has a name, and cells are many: their numbers tell them apart")));
    }
    cell.check(key, false)
}
