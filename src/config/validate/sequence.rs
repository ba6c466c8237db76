//! What is allowed of models of sequences.

use super::{MAX_WIDTH, check, check_one_layer, count, fraction};
use crate::config::{Cell, Condition, Config, Likelihood, Longer, Norm, Prior, Scale, Tokens};
use crate::error::Result;

/// The most units of a recurrent layer: of so many a workgroup of any device remembers four rows.
pub const MAX_UNITS: usize = 1024;

/// The most tokens of a line.
const MAX_LENGTH: usize = 10_000;

/// The most steps of a beat: as many ticks as many a MIDI file has.
pub const MAX_GRID: usize = 96;

/// The most events of a note of music: the longest rest before it, the longest that it lasts, and its pitch.
pub const OF_NOTE: usize = 9;

pub(super) fn check_sequence(config: &Config) -> Result<()> {
    let Config { data, model, .. } = config;
    count("data.length", data.length, 1..=MAX_LENGTH)?;
    count("data.grid", data.grid, 1..=MAX_GRID)?;
    count("model.embedding", model.embedding, 1..=MAX_WIDTH)?;
    count("model.heads", model.heads, 1..=MAX_WIDTH)?;
    fraction("model.word_dropout", model.word_dropout)?;
    if model.likelihood != Likelihood::Tokens {
        return Ok(());
    }
    if data.tokens == Tokens::Events && data.longer == Longer::Windows {
        let wanted = format!("{OF_NOTE} at least with data.longer = windows, as many events as a note can take");
        check(data.length >= OF_NOTE, "data.length", &data.length, &wanted)?;
    }
    let with = "with model.likelihood = tokens";
    let recurs = model.cell != Cell::Transformer;
    for (key, widths, wanted) in [("model.hidden", &model.hidden, true), ("model.decoder", &model.decoder, false)] {
        let recurrent = format!("the units of recurrent layers {with}, one layer at least");
        check(!widths.is_empty() || !wanted, key, &"[]", &recurrent)?;
        let most = format!("widths up to {MAX_UNITS} {with}");
        check(!recurs || widths.iter().all(|&width| width <= MAX_UNITS), key, &format!("{widths:?}"), &most)?;
    }
    if !recurs {
        let by = "with model.cell = transformer";
        let sees = format!("false {by}, which sees all of a line");
        check(!model.bidirectional, "model.bidirectional", &model.bidirectional, &sees)?;
        let of = format!("a divisor of model.embedding, which is {}, {by}: heads share its numbers", model.embedding);
        let norm = format!("2 at least {by}: a norm leaves nothing of a single number");
        check(model.embedding >= 2, "model.embedding", &model.embedding, &norm)?;
        check(model.embedding.is_multiple_of(model.heads), "model.heads", &model.heads, &of)?;
    }
    for (key, layers) in
        [("model.encoder_layers", &model.encoder_layers), ("model.decoder_layers", &model.decoder_layers)]
    {
        let empty = format!("[] {with}, whose layers are recurrent: model.hidden and model.decoder");
        check(layers.is_empty(), key, &format!("{} layers", layers.count()), &empty)?;
    }
    check(model.codes == 0, "model.codes", &model.codes, &format!("0 {with}"))?;
    check_one_layer(model, &format!("[] {with}"))?;
    check(model.condition == Condition::None, "model.condition", &model.condition.word(), &format!("none {with}"))?;
    check(model.prior != Prior::Vamp, "model.prior", &"vamp", &format!("another {with}: no pseudo-input is a text"))?;
    check(model.norm == Norm::None, "model.norm", &model.norm.word(), &format!("none {with}"))?;
    let starts = model.output_bias_from_data;
    check(!starts, "model.output_bias_from_data", &starts, &format!("false {with}"))?;
    let unscaled = matches!(data.scale, Scale::Auto | Scale::None | Scale::Robust);
    check(unscaled, "data.scale", &format!("{:?}", data.scale).to_lowercase(), &format!("auto or none {with}"))
}
