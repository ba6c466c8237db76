//! What is allowed and makes little sense: said in a line each before time is spent.

use super::keys::{get, keys, shown, tree};
use super::{
    Anneal, Cell, Codebook, Condition, Config, Curve, Hierarchy, Monitor, OptimizerKind, Posterior, Prior, Scales,
};

/// What to warn of before a run of this configuration begins.
pub fn advice(config: &Config) -> Vec<String> {
    let mut all = too_late(config);
    all.extend(weak_capacity(config));
    all.extend(followed(config));
    let (own, usual) = (tree(config), tree(&Config::default()));
    for (key, used, by) in belongings(config) {
        debug_assert!(keys(&own).iter().any(|known| known == key), "{key} is no key");
        let (Some(value), usual) = (get(&own, key), get(&usual, key)) else { continue };
        if !used && Some(value) != usual {
            all.push(format!("{key} = {} changes nothing here: it is for {by}", shown(value)));
        }
    }
    all
}

/// What would come to its value after the last epoch.
fn too_late(config: &Config) -> Vec<String> {
    let Config { objective, schedule, train, .. } = config;
    let rise = match objective.anneal {
        Anneal::None => 0.0,
        Anneal::Linear => objective.anneal_epochs,
        Anneal::Cyclical => objective.anneal_epochs * objective.anneal_share,
    };
    let capacity = if objective.capacity > 0.0 { objective.capacity_epochs } else { 0.0 };
    let epochs = train.epochs as f32;
    let steps = schedule.curve == Curve::Steps && schedule.milestones.iter().all(|&after| after >= train.epochs);
    let rows = [
        (schedule.warmup > epochs, "schedule.warmup", schedule.warmup, "the learning rate never comes to optimizer.lr"),
        (rise > epochs, "objective.anneal_epochs", objective.anneal_epochs, "beta never comes to objective.beta"),
        (capacity > epochs, "objective.capacity_epochs", capacity, "the capacity never comes to objective.capacity"),
        (
            steps,
            "schedule.milestones",
            schedule.milestones.first().map_or(0.0, |&after| after as f32),
            "the learning rate stays",
        ),
    ];
    let late = rows.into_iter().filter(|(late, ..)| *late);
    late.map(|(_, key, value, so)| format!("{key} = {value} is more than train.epochs = {}: {so}", train.epochs))
        .collect()
}

/// A capacity that the loss does not hold the rate to: above it a weight of 1 or less presses no more than it does without.
fn weak_capacity(config: &Config) -> Option<String> {
    let (capacity, beta) = (config.objective.capacity, config.objective.beta);
    (capacity > 0.0 && beta <= 1.0).then(|| {
        format!(
            "objective.capacity = {capacity} changes nothing at objective.beta = {beta} while the rate is above it; the \
             paper holds the rate by a weight of about 1000 (`--beta 1000`)"
        )
    })
}

/// That epochs are compared by another quantity than the one that is minimised.
fn followed(config: &Config) -> Option<String> {
    let (objective, train) = (&config.objective, &config.train);
    // Of two players there is no loss that could be followed.
    if objective.bound.is_weighted() || train.monitor != Monitor::Elbo || objective.features > 0.0 {
        return None;
    }
    let [beta, tc] = [objective.beta, objective.tc].map(|weight| weight != 1.0);
    let other = [
        (beta, "objective.beta"),
        (objective.free_bits > 0.0, "objective.free_bits"),
        (objective.capacity > 0.0, "objective.capacity"),
        (tc, "objective.tc"),
        (objective.mmd > 0.0, "objective.mmd"),
        (objective.covariance > 0.0, "objective.covariance"),
        (objective.variance > 0.0, "objective.variance"),
        (objective.factor > 0.0, "objective.factor"),
        (objective.adversary > 0.0, "objective.adversary"),
    ];
    let following = [
        (true, "the best epoch"),
        (train.patience > 0, "train.patience"),
        (config.schedule.curve == Curve::Plateau, "schedule.curve = plateau"),
    ];
    let [other, following] = [&other[..], &following[..]].map(|rows| {
        let held: Vec<_> = rows.iter().filter(|(held, _)| *held).map(|(_, name)| *name).collect();
        held.join(", ")
    });
    (!other.is_empty()).then(|| {
        format!(
            "what is followed is -ELBO at beta = 1 ({following}), but {other} make another loss be minimised (`--set \
             train.monitor=objective` follows that one)"
        )
    })
}

/// Keys that belong to one choice of another key: whether that choice was made, and which it is.
fn belongings(config: &Config) -> Vec<(&'static str, bool, &'static str)> {
    let (kind, curve, likelihood) = (config.optimizer.kind, config.schedule.curve, config.model.likelihood);
    let adam = matches!(kind, OptimizerKind::Adam | OptimizerKind::Adamw);
    let objective = &config.objective;
    let (gan, energy) = (objective.features > 0.0, config.model.prior == Prior::Energy);
    let players = objective.factor > 0.0 || objective.adversary > 0.0 || gan;
    let two = "objective.factor, objective.adversary and objective.features";
    let held = objective.adversary > 0.0 || gan;
    let dip = objective.covariance > 0.0 || objective.variance > 0.0;
    let (prior, posterior) = (config.model.prior, config.model.posterior);
    let flows = matches!(posterior, Posterior::Planar | Posterior::Iaf);
    let (model, several) = (&config.model, config.model.is_deep().is_some());
    let residual = model.hierarchy == Hierarchy::Residual;
    let (codes, of_codes) = (model.codes > 0, model.prior_codes > 0);
    let (inferred, m2) = (model.condition == Condition::Inferred, "model.condition = inferred");
    let categories = !model.categories.is_empty();
    let falls = categories && config.objective.temperature[0] != config.objective.temperature[1];
    let reads = |key| likelihood.keys().contains(&key);
    // Scales that the decoder puts out start with none.
    let sigma = reads("sigma") && (!reads("scales") || config.model.scales == Scales::Shared);
    vec![
        ("optimizer.momentum", matches!(kind, OptimizerKind::Sgd | OptimizerKind::Rmsprop), "sgd and rmsprop"),
        ("optimizer.alpha", kind == OptimizerKind::Rmsprop, "rmsprop"),
        ("optimizer.beta1", adam, "adam and adamw"),
        ("optimizer.beta2", adam, "adam and adamw"),
        ("optimizer.eps", kind != OptimizerKind::Sgd, "adam, adamw and rmsprop"),
        ("optimizer.eps_hat", adam, "adam and adamw"),
        ("optimizer.discriminator_lr", players, two),
        ("optimizer.discriminator_beta1", players && adam, "a discriminator with adam and adamw"),
        ("optimizer.discriminator_beta2", players && adam, "a discriminator with adam and adamw"),
        ("optimizer.discriminator_every", players, two),
        (
            "model.sigma",
            sigma,
            "the likelihoods gaussian, gaussian-shared and laplace, and shared scales of a logistic-mixture",
        ),
        ("model.components", reads("components"), "the likelihood logistic-mixture"),
        ("model.scales", reads("scales"), "the likelihood logistic-mixture"),
        ("model.cell", reads("cell"), "the likelihood tokens"),
        (
            "model.heads",
            reads("heads") && model.cell == Cell::Transformer,
            "the cell transformer of the likelihood tokens",
        ),
        ("model.bidirectional", reads("bidirectional"), "the likelihood tokens"),
        ("model.embedding", reads("embedding"), "the likelihood tokens"),
        ("model.word_dropout", reads("word_dropout"), "the likelihood tokens"),
        ("model.hierarchy", several, "several stochastic layers, which model.above or model.resolutions gives"),
        (
            "model.latent",
            !residual,
            "hierarchies other than residual, whose model.resolutions says what latents there are",
        ),
        ("model.encoder_cell", residual, "model.hierarchy = residual"),
        ("model.decoder_cell", residual, "model.hierarchy = residual"),
        (
            "model.norm",
            model.has_widths(),
            "hidden layers that are given by their widths; in lists of layers it is \"layer-norm\" or \"batch-norm\"",
        ),
        ("model.prior_components", matches!(prior, Prior::Mixture | Prior::Vamp), "the priors mixture and vamp"),
        ("model.prior_weights", matches!(prior, Prior::Mixture | Prior::Vamp), "the priors mixture and vamp"),
        (
            "model.prior_layers",
            prior == Prior::Flow || energy || of_codes,
            "the priors flow and energy, and priors of codes",
        ),
        (
            "model.prior_width",
            prior == Prior::Flow || energy || of_codes,
            "the priors flow and energy, and priors of codes",
        ),
        ("model.prior_steps", energy, "the prior energy"),
        ("model.prior_step", energy, "the prior energy"),
        ("model.discriminator_features", gan, "objective.features"),
        ("model.discriminator_spectral", held, "objective.adversary and objective.features"),
        ("objective.covariance_of", dip, "objective.covariance and objective.variance"),
        ("objective.label_smoothing", held, "objective.adversary and objective.features"),
        ("objective.instance_noise", gan, "objective.features"),
        ("objective.instance_noise_epochs", gan && objective.instance_noise > 0.0, "objective.instance_noise"),
        ("model.posterior_layers", flows, "the posteriors planar and iaf"),
        ("model.posterior_width", posterior == Posterior::Iaf, "the posterior iaf"),
        ("model.codebook", codes, "model.codes"),
        ("model.codebook_decay", codes && config.model.codebook == Codebook::Ema, "model.codes with the codebook ema"),
        ("model.codebook_restart", codes, "model.codes"),
        ("objective.commitment", codes, "model.codes"),
        ("objective.temperature", categories, "model.categories"),
        ("objective.temperature_epochs", falls, "model.categories with a temperature that changes"),
        ("model.classifier", inferred, m2),
        ("model.class_prior", inferred, m2),
        ("objective.classify", inferred, m2),
        ("data.shard", config.train.shuffle, "train.shuffle = true"),
        (
            "data.examples",
            matches!(config.data.source.as_str(), "glyphs" | "sprites"),
            "the sources glyphs and sprites",
        ),
        ("data.labelled", inferred, m2),
        ("data.labelled_seed", inferred, m2),
        ("train.labelled", inferred, m2),
        ("schedule.gamma", matches!(curve, Curve::Steps | Curve::Plateau), "the curves steps and plateau"),
        ("schedule.wait", curve == Curve::Plateau, "the curve plateau"),
        ("schedule.min_factor", matches!(curve, Curve::Cosine | Curve::Plateau), "the curves cosine and plateau"),
        ("objective.anneal_epochs", config.objective.anneal != Anneal::None, "objective.anneal"),
        ("objective.anneal_share", config.objective.anneal == Anneal::Cyclical, "objective.anneal = cyclical"),
        ("objective.capacity_epochs", config.objective.capacity > 0.0, "objective.capacity"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RECIPES, resolve};

    fn advised(recipe: Option<&str>, settings: &[(&str, &str)]) -> Vec<String> {
        let pairs: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        advice(&resolve(recipe, &pairs).unwrap())
    }

    #[test]
    fn no_recipe_is_advised_against() {
        for (recipe, ..) in RECIPES {
            assert_eq!(advised(Some(recipe), &[]), Vec::<String>::new(), "{recipe}");
        }
    }

    #[test]
    fn what_has_no_effect_or_comes_too_late_is_said_in_a_line_each() {
        for (settings, expected) in [
            (
                &[("data.source", "a.csv"), ("examples", "900")][..],
                "data.examples = 900 changes nothing here: it is for the sources glyphs",
            ),
            (&[("momentum", "0.9")], "optimizer.momentum = 0.9 changes nothing here: it is for sgd and rmsprop"),
            (&[("sigma", "0.5")], "model.sigma = 0.5 changes nothing"),
            (&[("components", "3")], "model.components = 3 changes nothing"),
            (&[("optimizer.kind", "sgd"), ("beta1", "0.5")], "optimizer.beta1 = 0.5 changes nothing"),
            (&[("wait", "3")], "schedule.wait = 3 changes nothing"),
            (&[("warmup", "11")], "schedule.warmup = 11 is more than train.epochs = 10: the learning rate never"),
            (&[("anneal", "linear"), ("anneal_epochs", "20")], "objective.anneal_epochs = 20 is more than"),
            (&[("curve", "steps"), ("after", "[10, 20]")], "schedule.milestones = 10 is more than"),
        ] {
            let said = advised(None, settings);
            assert!(said.len() == 1 && said[0].starts_with(expected), "{settings:?}: {said:?}");
        }
        for settings in [
            &[("optimizer.kind", "sgd"), ("momentum", "0.9")][..],
            &[("likelihood", "gaussian"), ("sigma", "0.5")],
            &[("warmup", "10"), ("anneal", "linear"), ("anneal_epochs", "10")],
        ] {
            assert_eq!(advised(None, settings), Vec::<String>::new(), "{settings:?}");
        }
    }

    #[test]
    fn a_capacity_that_holds_nothing_is_named() {
        let starts = |settings: &[_], start| advised(None, settings).iter().any(|line| line.starts_with(start));
        let weak = "objective.capacity = 5 changes nothing at objective.beta = 1 while the rate is above it";
        assert!(starts(&[("capacity", "5")], weak));
        assert!(!starts(&[("capacity", "5"), ("beta", "1000")], "objective.capacity"));
        let late = "objective.capacity_epochs = 20 is more than";
        assert!(starts(&[("capacity", "5"), ("beta", "1000"), ("capacity_epochs", "20")], late));
    }

    #[test]
    fn it_is_said_where_epochs_are_compared_by_something_else_than_the_loss() {
        for (settings, following, other) in [
            (&[("beta", "4")][..], "(the best epoch)", "objective.beta"),
            (
                &[("mmd", "100"), ("beta", "0"), ("patience", "5")],
                "(the best epoch, train.patience)",
                "objective.beta, objective.mmd",
            ),
            (&[("tc", "6"), ("curve", "plateau")], "(the best epoch, schedule.curve = plateau)", "objective.tc"),
            (&[("free_bits", "0.5")], "(the best epoch)", "objective.free_bits"),
        ] {
            let expected = format!("what is followed is -ELBO at beta = 1 {following}, but {other} make");
            let said = advised(None, settings);
            assert!(said.len() == 1 && said[0].starts_with(&expected), "{settings:?}: {said:?}");
            assert_eq!(advised(None, &[settings, &[("monitor", "objective")]].concat()), Vec::<String>::new());
        }
        assert_eq!(advised(None, &[("bound", "iwae"), ("samples", "5"), ("patience", "5")]), Vec::<String>::new());
    }
}
