//! What is allowed, checked before any work begins.

mod categories;
mod codes;
mod discriminator;
mod inferred;
mod library;
mod norm;
mod residual;
mod sequence;

use std::fmt::Display;
use std::ops::RangeInclusive;

pub use sequence::{MAX_GRID, MAX_UNITS, OF_NOTE};

use super::{
    Anneal, Binarise, Bound, Condition, Config, Curve, Domain, Hierarchy, Layer, Layers, Likelihood, ModelConfig, Norm,
    ObjectiveConfig, Posterior, Prior, Scale, ScheduleConfig, TrainConfig, layers,
};
use crate::error::{Error, Result};

/// The widest layer.
pub const MAX_WIDTH: usize = 1 << 20;

/// The largest number of parameters of a model: 4 GiB of single-precision numbers.
pub const MAX_PARAMETERS: u64 = 1 << 30;

/// The most layers an encoder or decoder may have.
const MAX_LAYERS: usize = 64;

/// The most components of a mixture.
const MAX_COMPONENTS: usize = 256;

/// The most components of a prior.
const MAX_PRIOR_COMPONENTS: usize = 1 << 14;

/// The most Langevin steps of a draw, each of which is a part of every plan that draws.
const MAX_STEPS: usize = 200;

/// The most latent dimensions with a covariance of their own.
const MAX_FULL: usize = 1 << 10;

/// The most latent samples of an example in a training step.
const MAX_SAMPLES: usize = 5000;

/// The most examples in a batch, and of the built-in glyphs.
const MAX_EXAMPLES: usize = 1 << 24;

/// Checks every value of a configuration.
///
/// # Errors
/// [`Error::Usage`] in one line that names the key, its value and what is allowed.
pub fn validate(config: &Config) -> Result<()> {
    let Config { name, data, model, objective, optimizer, schedule, train } = config;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = (1..=64).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['.', '-']);
    check(
        is_name,
        "name",
        &format!("{name:?}"),
        "1 to 64 letters, digits, `-`, `_` or `.`, starting with no `.` or `-`",
    )?;
    check(!data.source.trim().is_empty(), "data.source", &"\"\"", "a name such as `glyphs`, or a path")?;
    count("data.examples", data.examples, 10..=MAX_EXAMPLES)?;
    count("data.validation", data.validation, 0..=MAX_EXAMPLES)?;
    count("data.shard", data.shard, 0..=MAX_EXAMPLES)?;
    let share = data.validation_share;
    check((0.0..=1.0).contains(&share), "data.validation_share", &share, "a number from 0 to 1")?;
    check((0.0..=0.9).contains(&data.test), "data.test", &data.test, "a number from 0 to 0.9")?;
    data.size()?;
    number("data.at_least", data.at_least, 0.0)?;
    check_pairs(&data.pairs)?;

    widths("model.hidden", &model.hidden)?;
    widths("model.decoder", &model.decoder)?;
    check_layers("model.encoder_layers", &model.encoder_layers, ("model.hidden", &model.hidden), false)?;
    check_layers("model.decoder_layers", &model.decoder_layers, ("model.decoder", &model.decoder), true)?;
    count("model.latent", model.latent, 1..=MAX_WIDTH)?;
    norm::check_norm(config)?;
    check_above(model, objective)?;
    residual::check_residual(config)?;
    check_prior(model, objective, train)?;
    check_posterior(model, objective)?;
    let sigma = model.sigma;
    check((1e-6..=1e6).contains(&sigma), "model.sigma", &sigma, "a number from 1e-6 to 1e6")?;
    count("model.components", model.components, 1..=MAX_COMPONENTS)?;
    check_binarise(data.binarise, model.likelihood)?;
    check_categories(data.scale, model)?;
    // Beyond ±80 the exponential, or that of the negative, would leave single precision.
    let ranges =
        [("model.log_variance", model.log_variance), ("model.decoder_log_variance", model.decoder_log_variance)];
    for (key, [low, high]) in ranges {
        let is_range = low < high && low >= -80.0 && high <= 80.0;
        check(is_range, key, &format!("[{low}, {high}]"), "a lower and a higher number from -80 to 80")?;
    }
    check_size(model)?;

    check_objective(objective, model, train)?;

    positive("optimizer.lr", optimizer.lr)?;
    fraction("optimizer.beta1", optimizer.beta1)?;
    fraction("optimizer.beta2", optimizer.beta2)?;
    positive("optimizer.eps", optimizer.eps)?;
    fraction("optimizer.alpha", optimizer.alpha)?;
    fraction("optimizer.momentum", optimizer.momentum)?;
    number("optimizer.weight_decay", optimizer.weight_decay, 0.0)?;
    number("optimizer.clip_norm", optimizer.clip_norm, 0.0)?;
    number("optimizer.skip_norm", optimizer.skip_norm, 0.0)?;
    number("optimizer.initial_second_moment", optimizer.initial_second_moment, 0.0)?;
    fraction("optimizer.ema", optimizer.ema)?;
    discriminator::check_discriminator(config)?;
    codes::check_codes(config)?;
    categories::check_relaxed(config)?;
    inferred::check_inferred(config)?;
    library::check_library(config)?;
    codes::check_prior_of_codes(config)?;
    sequence::check_sequence(config)?;
    check_schedule(schedule)?;

    count("train.epochs", train.epochs, 1..=1_000_000)?;
    count("train.batch", train.batch, 1..=MAX_EXAMPLES)?;
    let parts = train.accumulate;
    let divides = parts > 0 && train.batch.is_multiple_of(parts);
    check(divides, "train.accumulate", &parts, &format!("a divisor of train.batch = {}", train.batch))?;
    count("train.patience", train.patience, 0..=1_000_000)?;
    count("train.checkpoint_steps", train.checkpoint_steps, 0..=u32::MAX as usize)?;
    count("train.sync_seconds", train.sync_seconds, 0..=1_000_000)?;
    count("train.sample_seconds", train.sample_seconds, 0..=1_000_000)?;
    // TOML, in which the seed is saved, has no larger whole numbers.
    let most = i64::MAX as u64;
    check(train.seed <= most, "train.seed", &train.seed, &format!("a whole number from 0 to {most}"))
}

/// Refuses what so many ranks cannot divide among them: each takes a part of every batch, and what they come to is added up, so a loss
/// has to be a mean over examples.
///
/// # Errors
/// [`Error::Usage`] that names the key and why.
pub fn check_ranks(config: &Config, ranks: usize) -> Result<()> {
    if ranks <= 1 {
        return Ok(());
    }
    let Config { objective, train, .. } = config;
    let parts = ranks * train.accumulate;
    let enough = format!("{parts} or more: {ranks} ranks take a part of each batch, in {} runs each", train.accumulate);
    check(train.batch >= parts, "train.batch", &train.batch, &enough)?;
    let alone = "0 where several ranks train: it exchanges latents among the examples of a whole batch";
    check(objective.factor == 0.0, "objective.factor", &objective.factor, alone)?;
    let alone = "false where several ranks train: rates are balanced over a whole batch";
    check(!objective.balance, "objective.balance", &objective.balance, alone)?;
    let mut divided = config.clone();
    divided.train.accumulate = train.batch;
    validate(&divided).map_err(|error| {
        let why = error.to_string();
        let reason = why.split_once("it must be 1 ").map_or(&why[..], |(_, reason)| reason);
        Error::Usage(format!(
            "{ranks} ranks divide each batch among them, which is not possible {reason}: train it in one process"
        ))
    })
}

/// The columns of a list of interactions: two or three of them, each another.
fn check_pairs(pairs: &str) -> Result<()> {
    let names: Vec<&str> = pairs.split(',').map(str::trim).collect();
    let differ = names.iter().enumerate().all(|(at, name)| !name.is_empty() && !names[..at].contains(name));
    let fits = pairs.is_empty() || (matches!(names.len(), 2 | 3) && differ);
    check(fits, "data.pairs", &pairs, "the names of two or three columns, such as user,item or user,item,value")
}

/// Levels, counts, categories and columns of a table are no probabilities: what is drawn from them would be a 1 for most.
fn check_binarise(binarise: Binarise, likelihood: Likelihood) -> Result<()> {
    let values = match likelihood.domain() {
        Domain::Levels => "256 levels",
        Domain::Counts => "counts",
        Domain::Categories => "categories",
        Domain::Tokens => "tokens",
        Domain::Columns => "columns of a table",
        Domain::Unit | Domain::Numbers => return Ok(()),
    };
    let allowed = format!("none where model.likelihood is {}, which is for {values}", likelihood.name());
    check(binarise == Binarise::None, "data.binarise", &format!("{binarise:?}").to_lowercase(), &allowed)
}

/// Categories have no unit, and shown as ones among zeros they are no picture.
fn check_categories(scale: Scale, model: &ModelConfig) -> Result<()> {
    if model.likelihood.domain() != Domain::Categories {
        return Ok(());
    }
    let unscaled = matches!(scale, Scale::Auto | Scale::None | Scale::Robust);
    let allowed = "auto or none where model.likelihood is categorical, which is for categories";
    check(unscaled, "data.scale", &format!("{scale:?}").to_lowercase(), allowed)?;
    for (key, layers) in
        [("model.encoder_layers", &model.encoder_layers), ("model.decoder_layers", &model.decoder_layers)]
    {
        if let Some(place) = layers.first(key, &Layer::wants_image) {
            return Err(Error::Usage(format!(
                "{place} is for pictures, and categories (model.likelihood = categorical) are shown as ones among zeros in a \
                 row; take dense layers, such as `--set {key}=[]` with `--set model.hidden=[128,128]`"
            )));
        }
    }
    Ok(())
}

fn check_objective(objective: &ObjectiveConfig, model: &ModelConfig, train: &TrainConfig) -> Result<()> {
    let ObjectiveConfig { beta, anneal, anneal_epochs, anneal_share, free_bits, free_group, .. } = objective;
    let ObjectiveConfig {
        capacity, capacity_epochs, bound, samples, groups, share, tc, mmd, covariance, variance, ..
    } = objective;
    number("objective.beta", *beta, 0.0)?;
    positive("objective.anneal_epochs", *anneal_epochs)?;
    check(*anneal_share > 0.0 && *anneal_share <= 1.0, "objective.anneal_share", anneal_share, "above 0 and up to 1")?;
    number("objective.free_bits", *free_bits, 0.0)?;
    check_free_group(*free_group, model)?;
    number("objective.capacity", *capacity, 0.0)?;
    positive("objective.capacity_epochs", *capacity_epochs)?;
    count("objective.samples", *samples, 1..=MAX_SAMPLES)?;
    let divides = *groups > 0 && samples.is_multiple_of(*groups);
    check(divides, "objective.groups", groups, &format!("a divisor of objective.samples = {samples}"))?;
    check((0.0..=1.0).contains(share), "objective.share", share, "a number from 0 to 1")?;
    let grouped = matches!(bound, Bound::Miwae | Bound::Piwae);
    check(*groups == 1 || grouped, "objective.groups", groups, "1 unless objective.bound is miwae or piwae")?;
    let usual = ObjectiveConfig::elbo(*beta);
    let used = *bound == Bound::Ciwae || *share == usual.share;
    check(used, "objective.share", share, &format!("{} unless objective.bound is ciwae", usual.share))?;
    let used = *free_bits > 0.0 || *free_group == usual.free_group;
    check(used, "objective.free_group", free_group, &format!("{} without objective.free_bits", usual.free_group))?;
    let shaped = *free_bits > 0.0 || *capacity > 0.0;
    let both = *free_bits > 0.0 && *capacity > 0.0;
    check(!both, "objective.capacity", capacity, "0 where objective.free_bits is set: both shape the rate")?;
    number("objective.tc", *tc, 0.0)?;
    number("objective.mmd", *mmd, 0.0)?;
    number("objective.covariance", *covariance, 0.0)?;
    number("objective.variance", *variance, 0.0)?;
    let pairs = *tc != 1.0 || *mmd > 0.0 || *covariance > 0.0 || *variance > 0.0;
    let them = "objective.tc, objective.mmd, objective.covariance or objective.variance";
    check(!pairs || *samples == 1, "objective.samples", samples, &format!("1 with {them}"))?;
    check(!pairs || train.batch > 1, "train.batch", &train.batch, &format!("2 or more with {them}"))?;
    let parts = train.accumulate;
    let advice = &format!("1 with free bits, a capacity, {them}, which look at a whole batch");
    check(!(shaped || pairs) || parts == 1, "train.accumulate", &parts, advice)?;
    if !bound.is_weighted() {
        return Ok(());
    }
    // A bound has no rate that could be weighted.
    let elbo = "where objective.bound is not elbo, since a bound of importance weights has no rate to change";
    check(*beta == 1.0, "objective.beta", beta, &format!("1 {elbo}"))?;
    check(*anneal == Anneal::None, "objective.anneal", &format!("{anneal:?}").to_lowercase(), &format!("none {elbo}"))?;
    check(*free_bits == 0.0, "objective.free_bits", free_bits, &format!("0 {elbo}"))?;
    check(*tc == 1.0, "objective.tc", tc, &format!("1 {elbo}"))?;
    check(*mmd == 0.0, "objective.mmd", mmd, &format!("0 {elbo}"))?;
    check(*covariance == 0.0, "objective.covariance", covariance, &format!("0 {elbo}"))?;
    check(*variance == 0.0, "objective.variance", variance, &format!("0 {elbo}"))?;
    check(*capacity == 0.0, "objective.capacity", capacity, &format!("0 {elbo}"))
}

/// That rate and distortion are all there is, of one sample; `with` says beside what, `drawn` why no more is drawn.
fn check_plain(objective: &ObjectiveConfig, with: &str, drawn: &str) -> Result<()> {
    check(objective.tc == 1.0, "objective.tc", &objective.tc, &format!("1 {with}"))?;
    for (key, value) in [
        ("objective.free_bits", objective.free_bits),
        ("objective.capacity", objective.capacity),
        ("objective.mmd", objective.mmd),
        ("objective.covariance", objective.covariance),
        ("objective.variance", objective.variance),
        ("objective.factor", objective.factor),
        ("objective.adversary", objective.adversary),
    ] {
        check(value == 0.0, key, &value, &format!("0 {with}"))?;
    }
    let bound = format!("{:?}", objective.bound).to_lowercase();
    check(!objective.bound.is_weighted(), "objective.bound", &bound, &format!("elbo {drawn}"))?;
    check(objective.samples == 1, "objective.samples", &objective.samples, &format!("1 {drawn}"))
}

/// Groups of dimensions that are free of charge are those of each stochastic layer by itself.
fn check_free_group(group: usize, model: &ModelConfig) -> Result<()> {
    let levels = model.levels()?;
    if model.hierarchy == Hierarchy::Residual {
        // How many dimensions a group of latents has shows when the data are known.
        return check(group > 0, "objective.free_group", &group, "1 or more");
    }
    if levels.is_empty() {
        let divides = group > 0 && model.latent.is_multiple_of(group);
        let divisor = format!("a divisor of model.latent = {}", model.latent);
        return check(divides, "objective.free_group", &group, &divisor);
    }
    let latents: Vec<usize> = std::iter::once(model.latent).chain(levels.iter().map(|level| level.latent)).collect();
    let fits = group > 0 && latents.iter().all(|&latent| latent <= group || latent.is_multiple_of(group));
    let allowed = format!(
        "a divisor of the latent dimensions of each stochastic layer, {latents:?}, or as many or more, which makes a layer one group"
    );
    check(fits, "objective.free_group", &group, &allowed)
}

/// What is for one stochastic layer alone is refused where there are several.
fn check_above(model: &ModelConfig, objective: &ObjectiveConfig) -> Result<()> {
    check(model.above.len() < MAX_LAYERS, "model.above", &format!("{} layers", model.above.len()), "fewer than 64")?;
    model.levels()?;
    let Some(deep) = model.is_deep() else { return Ok(()) };
    let one = format!("with {deep}, since it is for models of one stochastic layer");
    let ladder = "0 with model.hierarchy = stacked, in which the KL divergence of a lower layer has no closed form; \
                  model.hierarchy = ladder has one for each";
    let closed = objective.free_bits == 0.0 || model.hierarchy != Hierarchy::Stacked;
    check(closed, "objective.free_bits", &objective.free_bits, ladder)?;
    check(objective.capacity == 0.0, "objective.capacity", &objective.capacity, &format!("0 {one}"))?;
    check(objective.tc == 1.0, "objective.tc", &objective.tc, &format!("1 {one}"))?;
    check(objective.mmd == 0.0, "objective.mmd", &objective.mmd, &format!("0 {one}"))?;
    check(objective.covariance == 0.0, "objective.covariance", &objective.covariance, &format!("0 {one}"))?;
    check(objective.variance == 0.0, "objective.variance", &objective.variance, &format!("0 {one}"))
}

/// Refuses several stochastic layers.
fn check_one_layer(model: &ModelConfig, allowed: &str) -> Result<()> {
    check(model.above.is_empty(), "model.above", &format!("{:?}", model.above), allowed)?;
    let one = model.hierarchy != Hierarchy::Residual;
    check(one, "model.resolutions", &format!("{:?}", model.resolutions), allowed)
}

/// What looks at the KL divergence to N(0, 1) is for that prior and normal posteriors alone.
fn check_prior(model: &ModelConfig, objective: &ObjectiveConfig, train: &TrainConfig) -> Result<()> {
    count("model.prior_components", model.prior_components, 1..=MAX_PRIOR_COMPONENTS)?;
    count("model.prior_layers", model.prior_layers, 1..=MAX_LAYERS)?;
    count("model.prior_width", model.prior_width, 1..=MAX_WIDTH)?;
    count("model.prior_steps", model.prior_steps, 1..=MAX_STEPS)?;
    let step = model.prior_step;
    check(step > 0.0 && step <= 1.0, "model.prior_step", &step, "a number above 0 and up to 1")?;
    if model.prior == Prior::Standard {
        return Ok(());
    }
    let setting = format!("with model.prior = {}", model.prior.word());
    let standard = format!("0 {setting}, since it is for N(0, 1)");
    check(objective.free_bits == 0.0, "objective.free_bits", &objective.free_bits, &standard)?;
    check(objective.capacity == 0.0, "objective.capacity", &objective.capacity, &standard)?;
    let highest = model.levels()?.last().map_or(model.latent, |level| level.latent);
    let key = if model.above.is_empty() { "model.latent" } else { "model.above" };
    match model.prior {
        Prior::Flow => {
            check(highest > 1, key, &highest, &format!("2 dimensions or more {setting}: its layers halve them"))
        }
        Prior::Vamp => {
            let one = format!("none {setting}, whose pseudo-inputs have no class and go through one encoder");
            check(model.condition == Condition::None, "model.condition", &model.condition.word(), &one)?;
            check_one_layer(model, &one)
        }
        Prior::Energy => {
            let whole = format!("1 {setting}, whose log Z follows whole batches");
            check(train.accumulate == 1, "train.accumulate", &train.accumulate, &whole)?;
            check_energy(model, objective, &setting)
        }
        Prior::Standard | Prior::Gaussian | Prior::Laplace | Prior::Mixture => Ok(()),
    }
}

/// A density that is known but for a factor, and draws that take many steps.
fn check_energy(model: &ModelConfig, objective: &ObjectiveConfig, setting: &str) -> Result<()> {
    let known = format!("none or label {setting}, whose density is known but for a factor");
    check(model.condition != Condition::Inferred, "model.condition", &model.condition.word(), &known)?;
    check(model.codes == 0, "model.codes", &model.codes, &format!("0 {setting}"))?;
    let draws = format!("0 {setting}, whose draws would be chains of {} steps in both players", model.prior_steps);
    let adversary = objective.adversary;
    check(adversary == 0.0, "objective.adversary", &adversary, &draws)?;
    check(objective.mmd == 0.0, "objective.mmd", &objective.mmd, &draws)?;
    check(objective.features == 0.0, "objective.features", &objective.features, &draws)
}

/// What takes the posterior for a normal distribution of independent dimensions is refused where it is another.
fn check_posterior(model: &ModelConfig, objective: &ObjectiveConfig) -> Result<()> {
    count("model.posterior_layers", model.posterior_layers, 1..=MAX_LAYERS)?;
    count("model.posterior_width", model.posterior_width, 1..=MAX_WIDTH)?;
    if model.posterior == Posterior::Gaussian {
        return Ok(());
    }
    let setting = format!("with model.posterior = {}", model.posterior.word());
    let normal = format!("0 {setting}, since it is for posteriors of independent dimensions");
    check(objective.free_bits == 0.0, "objective.free_bits", &objective.free_bits, &normal)?;
    check(objective.capacity == 0.0, "objective.capacity", &objective.capacity, &normal)?;
    let one = normal.replacen('0', "1", 1);
    check(objective.tc == 1.0, "objective.tc", &objective.tc, &one)?;
    check_one_layer(model, &format!("none {setting}, which is for one stochastic layer"))?;
    check(model.latent > 1, "model.latent", &model.latent, &format!("2 or more {setting}"))?;
    // Degrees of hidden units are products of both, exact in single precision.
    let exact = model.latent.saturating_mul(model.posterior_width) < 1 << 24;
    let (key, value) = ("model.posterior_width", model.posterior_width);
    check(model.posterior != Posterior::Iaf || exact, key, &value, "less than 2^24 / model.latent")?;
    let square = model.posterior != Posterior::Full || model.latent <= MAX_FULL;
    check(square, "model.latent", &model.latent, &format!("up to {MAX_FULL} {setting}: its covariance is a square"))
}

fn check_schedule(schedule: &ScheduleConfig) -> Result<()> {
    let ScheduleConfig { curve, warmup, milestones, gamma, wait, min_factor } = schedule;
    number("schedule.warmup", *warmup, 0.0)?;
    count("schedule.wait", *wait, 1..=1_000_000)?;
    check((0.0..=1.0).contains(min_factor), "schedule.min_factor", min_factor, "a number from 0 to 1")?;
    let rising = milestones.windows(2).all(|pair| pair[0] < pair[1]) && milestones.first() != Some(&0);
    check(
        rising,
        "schedule.milestones",
        &format!("{milestones:?}"),
        "epochs from 1 up, each later than the one before",
    )?;
    gamma.iter().enumerate().try_for_each(|(i, factor)| positive(&format!("schedule.gamma[{i}]"), *factor))?;
    let used = *curve == Curve::Steps || milestones.is_empty();
    check(
        used,
        "schedule.milestones",
        &format!("{milestones:?}"),
        "[] unless schedule.curve is steps (`--set curve=steps`)",
    )?;
    let (expected, fits) = match curve {
        Curve::Steps => {
            (format!("one factor, or one for each of the {} epochs of schedule.milestones", milestones.len()), {
                gamma.len() == 1 || gamma.len() == milestones.len()
            })
        }
        Curve::Plateau => ("one factor below 1".to_owned(), gamma.len() == 1 && gamma[0] < 1.0),
        Curve::Constant | Curve::Cosine => return Ok(()),
    };
    check(fits && !gamma.is_empty(), "schedule.gamma", &format!("{gamma:?}"), &expected)?;
    let has_steps = *curve != Curve::Steps || !milestones.is_empty();
    check(has_steps, "schedule.milestones", &"[]", "a list of epochs where schedule.curve = steps")
}

/// The number of parameters of the model on examples of `data` values, for which the likelihood wants `outputs` numbers:
/// weights, biases and normalisations of all networks. A network that is a list of layers counts nothing, nor does a ladder
/// count what reads it: its shapes show when the data are known. `None` where the count overflows.
pub fn parameter_count(model: &ModelConfig, data: usize, outputs: usize) -> Option<u64> {
    let backwards: Vec<usize> = model.hidden.iter().rev().copied().collect();
    let widths = if model.decoder.is_empty() { &backwards } else { &model.decoder };
    let [mut encoder, mut decoder] = [0; 2];
    if model.hierarchy == Hierarchy::Residual {
        return Some(0);
    }
    if model.encoder_layers.is_empty() {
        encoder = perceptron(
            model,
            data,
            &model.hidden,
            model.latent.checked_mul(2)?.saturating_sub(model.places_of_categories()),
        )?;
    }
    if model.decoder_layers.is_empty() {
        decoder = perceptron(model, model.latent, widths, outputs)?;
    }
    let mut sum = encoder.checked_add(decoder)?;
    // Dimensions of the layer below, and the last hidden layer there.
    let mut below = model.latent;
    let mut hidden = if model.encoder_layers.is_empty() { model.hidden.last().copied().unwrap_or(data) } else { 0 };
    if !model.discriminator.is_empty() {
        sum = sum.checked_add(dense_layers(model.latent, &model.discriminator, 1)?)?;
    }
    for above in model.levels().unwrap_or_default() {
        let backwards: Vec<usize> = above.hidden.iter().rev().copied().collect();
        let inputs = if model.hierarchy == Hierarchy::Ladder { hidden } else { below };
        sum = sum.checked_add(perceptron(model, inputs, &above.hidden, above.latent.checked_mul(2)?)?)?;
        sum = sum.checked_add(perceptron(model, above.latent, &backwards, below.checked_mul(2)?)?)?;
        (below, hidden) = (above.latent, above.hidden.last().copied().unwrap_or(hidden));
    }
    Some(sum)
}

/// The error for a batch that has more examples than there are to train on.
pub fn batch_exceeds(batch: usize, examples: usize) -> Error {
    let advice = if examples == 0 { "leave some with a smaller data.validation" } else { "lower --batch" };
    Error::Usage(format!("train.batch = {batch} is more than the {examples} examples of the training part; {advice}"))
}

/// The error for more pseudo-inputs than there are examples that they could start as.
pub fn pseudo_inputs_exceed(components: usize, examples: usize) -> Error {
    Error::Usage(format!(
        "model.prior_components = {components} is more than the {examples} examples to train on, as which pseudo-inputs start: \
         take fewer"
    ))
}

/// The parameters of fully connected layers of these widths with the normalisation of the model.
fn perceptron(model: &ModelConfig, inputs: usize, hidden: &[usize], outputs: usize) -> Option<u64> {
    // Scale and shift of each unit.
    let norms = if model.norm == Norm::None { 0 } else { 2 * hidden.iter().map(|&width| width as u64).sum::<u64>() };
    dense_layers(inputs, hidden, outputs)?.checked_add(norms)
}

/// The parameters of fully connected layers of these widths: (inputs + 1) × outputs each.
fn dense_layers(inputs: usize, hidden: &[usize], outputs: usize) -> Option<u64> {
    let mut inputs = inputs as u64;
    let mut sum = 0_u64;
    for &width in hidden.iter().chain([&outputs]) {
        sum = sum.checked_add((inputs.checked_add(1)?).checked_mul(width as u64)?)?;
        inputs = width as u64;
    }
    Some(sum)
}

/// Whether the layers of a list hold together. What shapes they make shows when the data are known.
fn check_layers(key: &str, layers: &Layers, widths: (&str, &[usize]), decoder: bool) -> Result<()> {
    let ((other, widths), count) = (widths, layers.count());
    let most = layers::MAX_LAYERS;
    check(count <= most, key, &format!("{count} layers"), &format!("up to {most} layers, repeated ones included"))?;
    if !layers.is_empty() && !widths.is_empty() {
        return Err(Error::Usage(format!(
            "{other} = {widths:?} and {key} are two ways to say the same: leave one of them empty, such as {other}=[]"
        )));
    }
    layers.check(key, decoder)
}

/// The width of the data is not known here, so this counts the least there can be.
fn check_size(model: &ModelConfig) -> Result<()> {
    match parameter_count(model, 1, 1) {
        Some(count) if count <= MAX_PARAMETERS => Ok(()),
        count => {
            let count = count.map_or("too many to count".into(), |n| format!("at least {n}"));
            Err(Error::Usage(format!(
                "model.hidden = {:?} with model.decoder = {:?} and model.latent = {} makes too many parameters \
                 ({count}): allowed are up to {MAX_PARAMETERS}",
                model.hidden, model.decoder, model.latent
            )))
        }
    }
}

fn widths(key: &str, widths: &[usize]) -> Result<()> {
    check(widths.len() <= MAX_LAYERS, key, &format!("{} layers", widths.len()), &format!("up to {MAX_LAYERS} layers"))?;
    widths.iter().enumerate().try_for_each(|(i, width)| count(&format!("{key}[{i}]"), *width, 1..=MAX_WIDTH))
}

fn count(key: &str, value: usize, allowed: RangeInclusive<usize>) -> Result<()> {
    let words = format!("a whole number from {} to {}", allowed.start(), allowed.end());
    check(allowed.contains(&value), key, &value, &words)
}

/// A finite number that is `least` or more.
fn number(key: &str, value: f32, least: f32) -> Result<()> {
    check(value.is_finite() && value >= least, key, &value, &format!("a finite number, {least} or more"))
}

fn positive(key: &str, value: f32) -> Result<()> {
    check(value.is_finite() && value > 0.0, key, &value, "a finite number above 0")
}

/// A decay or momentum: below 1, or the past would never be forgotten.
fn fraction(key: &str, value: f32) -> Result<()> {
    check((0.0..1.0).contains(&value), key, &value, "a number from 0 up to, but not including, 1")
}

fn check(ok: bool, key: &str, value: &dyn Display, allowed: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::Usage(format!("{key} = {value} is not allowed: it must be {allowed}"))) }
}

#[cfg(test)]
mod tests;
