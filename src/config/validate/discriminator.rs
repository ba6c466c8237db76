//! What is allowed of a discriminator, and of the objective that has one.

use super::{Binarise, Condition, check, check_layers, check_plain, count, fraction, number, positive, widths};
use crate::config::{Config, Likelihood, Monitor};
use crate::error::Result;

/// Whole numbers that single precision tells apart.
const MAX_DRAWS: usize = 1 << 24;

/// The objectives that have a discriminator, of which there is one at most.
const PLAYERS: &str = "objective.factor, objective.adversary or objective.features";

pub(super) fn check_discriminator(config: &Config) -> Result<()> {
    let Config { model, objective, .. } = config;
    check_numbers(config)?;
    let weights = [
        ("objective.factor", objective.factor),
        ("objective.adversary", objective.adversary),
        ("objective.features", objective.features),
    ];
    let mut held = weights.into_iter().filter(|(_, weight)| *weight > 0.0);
    let (first, second) = (held.next(), held.next());
    let of_pictures = matches!(first, Some(("objective.features", _)));
    let shown = format!("{:?}", model.discriminator);
    let Some((key, weight)) = first else {
        let none = format!("[] without {PLAYERS}");
        check(model.discriminator.is_empty(), "model.discriminator", &shown, &none)?;
        return check_no_pictures(config, "objective.features");
    };
    if let Some((second, value)) = second {
        return check(false, second, &value, &format!("0 with {key}, since there is one discriminator"));
    }
    let with = &format!("with {key}");
    check(!objective.bound.is_weighted(), key, &weight, "0 where objective.bound is not elbo")?;
    check(objective.samples == 1, "objective.samples", &objective.samples, &format!("1 {with}"))?;
    let deep = model.is_deep();
    check(deep.is_none(), key, &weight, &format!("0 with {}", deep.unwrap_or_default()))?;
    if of_pictures {
        let none = format!("[] {with}, whose discriminator is of examples: model.discriminator_layers says what it is");
        check(model.discriminator.is_empty(), "model.discriminator", &shown, &none)?;
        return check_pictures(config);
    }
    let wanted = format!("widths of its hidden layers, such as [256,256], {with}");
    check(!model.discriminator.is_empty(), "model.discriminator", &shown, &wanted)?;
    check_no_pictures(config, "objective.features")?;
    if objective.factor > 0.0 { check_factor(config, with) } else { check_spectral(config) }
}

/// What each number may be, whatever it is for.
fn check_numbers(config: &Config) -> Result<()> {
    let Config { model, objective, optimizer, .. } = config;
    number("objective.factor", objective.factor, 0.0)?;
    widths("model.discriminator", &model.discriminator)?;
    check_layers("model.discriminator_layers", &model.discriminator_layers, ("model.discriminator", &[]), false)?;
    positive("optimizer.discriminator_lr", optimizer.discriminator_lr)?;
    fraction("optimizer.discriminator_beta1", optimizer.discriminator_beta1)?;
    fraction("optimizer.discriminator_beta2", optimizer.discriminator_beta2)?;
    count("optimizer.discriminator_every", optimizer.discriminator_every, 1..=1_000_000)?;
    number("objective.adversary", objective.adversary, 0.0)?;
    number("objective.features", objective.features, 0.0)?;
    let smoothing = objective.label_smoothing;
    check((0.0..0.5).contains(&smoothing), "objective.label_smoothing", &smoothing, "a number from 0 to below 0.5")?;
    number("objective.instance_noise", objective.instance_noise, 0.0)?;
    number("objective.instance_noise_epochs", objective.instance_noise_epochs, 0.0)
}

/// What a discriminator of latents has not.
fn check_no_pictures(config: &Config, key: &str) -> Result<()> {
    let layers = &config.model.discriminator_layers;
    let none = &format!("[] without {key}");
    check(layers.is_empty(), "model.discriminator_layers", &format!("{} layers", layers.count()), none)
}

/// `FactorVAE`, which compares dimensions and takes the verdict for a ratio of densities.
fn check_factor(config: &Config, factor: &str) -> Result<()> {
    let Config { model, objective, train, .. } = config;
    let ratio = format!("{factor}, whose verdict is to be a ratio of densities");
    let smoothing = objective.label_smoothing;
    check(smoothing == 0.0, "objective.label_smoothing", &smoothing, &format!("0 {ratio}"))?;
    check(!model.discriminator_spectral, "model.discriminator_spectral", &true, &format!("false {ratio}"))?;
    check(model.latent > 1, "model.latent", &model.latent, &format!("2 or more {factor}, which compares dimensions"))?;
    check(train.batch > 1, "train.batch", &train.batch, &format!("2 or more {factor}"))?;
    // Places of a batch's latents are told as numbers in single precision.
    let most = MAX_DRAWS / model.latent;
    check(train.batch <= most, "train.batch", &train.batch, &format!("up to {most} {factor} and as many latents"))
}

/// Vectors of the power method become others once in an update.
fn check_spectral(config: &Config) -> Result<()> {
    let parts = config.train.accumulate;
    let fits = parts == 1 || !config.model.discriminator_spectral;
    check(fits, "train.accumulate", &parts, "1 with model.discriminator_spectral, which is of whole batches")
}

/// VAE-GAN, which is shown what the mean of p(x|z) is.
fn check_pictures(config: &Config) -> Result<()> {
    let Config { data, model, objective, train, .. } = config;
    let with = "with objective.features";
    let layers = &model.discriminator_layers;
    let wanted = format!("the layers of its discriminator {with}, such as [dense 256, relu]");
    check(!layers.is_empty(), "model.discriminator_layers", &"[]", &wanted)?;
    let (key, last) = ("model.discriminator_features", layers.len());
    count(key, model.discriminator_features, 0..=last)?;
    let likelihood = model.likelihood;
    let fits = matches!(likelihood, Likelihood::Bernoulli | Likelihood::Gaussian | Likelihood::Laplace);
    let means = format!("bernoulli, gaussian or laplace {with}, whose discriminator is shown the mean of p(x|z)");
    check(fits, "model.likelihood", &likelihood.name(), &means)?;
    let drawn = format!("none {with}: zeros and ones that are drawn are told from any mean");
    let binarise = format!("{:?}", data.binarise).to_lowercase();
    check(data.binarise != Binarise::Dynamic, "data.binarise", &binarise, &drawn)?;
    let condition = model.condition;
    let blind = format!("none {with}, whose discriminator is told no class");
    check(condition == Condition::None, "model.condition", &condition.word(), &blind)?;
    for (key, codes) in [("model.codes", model.codes), ("model.prior_codes", model.prior_codes)] {
        check(codes == 0, key, &codes, &format!("0 {with}, which is for latents that are numbers"))?;
    }
    check_plain(objective, &format!("{with}, which has losses of its own"), with)?;
    check(
        train.monitor != Monitor::Objective,
        "train.monitor",
        &"objective",
        &format!("elbo, distortion or rate {with}: two players have no loss that both make smaller"),
    )?;
    check_spectral(config)
}
