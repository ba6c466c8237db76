//! Whether a game of two players is still one. A player that has won teaches the other nothing, and one that only guesses is told
//! nothing by its examples; an encoder may leave the game, in which no pixel asks for it. Each is said, with what to do, once in a
//! sitting.

use crate::config::{Config, ObjectiveConfig};

/// Below its least, a loss of a discriminator that says "always right" (nats).
const CERTAIN: f64 = 0.02;
/// From this share of the loss of guessing on, a discriminator guesses.
const GUESSES: f64 = 0.995;
/// Epochs in which guessing, and a low rate, are no wonder.
const FIRST: usize = 3;
/// Below this rate (nats) latents tell nothing of an example.
const EMPTY: f64 = 0.1;

/// What was said already.
#[derive(Debug, Default)]
pub(super) struct Watch {
    said: [bool; 3],
}

impl Watch {
    /// What to warn of after an epoch, counted from 1, in which a discriminator had this loss and a model this rate.
    pub fn look(&mut self, config: &Config, epoch: usize, loss: f64, rate: f64) -> Option<String> {
        let bounds = Bounds::of(&config.objective)?;
        let told = format!("the loss of the discriminator is {loss:.3}");
        let later = epoch > FIRST;
        let found = [
            (loss < bounds.least + CERTAIN).then(|| format!("{told}: {}", certain(config, bounds.least))),
            (later && bounds.guesses.is_some_and(|guess| loss > GUESSES * guess)).then(|| format!("{told}: {BLIND}")),
            (later && config.objective.features > 0.0 && rate < EMPTY)
                .then(|| format!("the rate is {rate:.3}: {LEFT}")),
        ];
        let why = found.into_iter().zip(&mut self.said).filter_map(|(why, said)| {
            let why = why?;
            (!std::mem::replace(said, true)).then_some(why)
        });
        let all: Vec<String> = why.collect();
        (!all.is_empty()).then(|| format!("epoch {epoch}: {}", all.join("; ")))
    }
}

/// What to do about one that guesses.
const BLIND: &str = "it only guesses, so that the decoder learns nothing from it; raise optimizer.discriminator_lr, or lower \
                     objective.features if the features are all the same";

/// What to do about an encoder that has left the game.
const LEFT: &str = "latents tell nothing of an example, so that reconstructions are samples; lower objective.beta";

/// What to do about one that is always right.
fn certain(config: &Config, least: f64) -> String {
    let objective = &config.objective;
    let mut ways = vec!["lower optimizer.discriminator_lr", "raise optimizer.discriminator_every"];
    if objective.factor == 0.0 {
        let aids = [
            (objective.label_smoothing == 0.0, "set objective.label_smoothing=0.1"),
            (objective.features > 0.0 && objective.instance_noise == 0.0, "set objective.instance_noise=0.1"),
            (!config.model.discriminator_spectral, "set model.discriminator_spectral=true"),
        ];
        ways.extend(aids.into_iter().filter(|(wanted, _)| *wanted).map(|(_, way)| way));
    }
    let least = if least > 0.0 { format!(" (the least there is, {least:.3})") } else { String::new() };
    format!("it is always right{least}, and the model learns little from it; {}", ways.join(", or "))
}

/// Between which losses a discriminator plays.
struct Bounds {
    /// That of one that is always right.
    least: f64,
    /// That of one that guesses, where a model may not want it to.
    guesses: Option<f64>,
}

impl Bounds {
    fn of(objective: &ObjectiveConfig) -> Option<Self> {
        // −t·log t − (1 − t)·log(1 − t).
        let entropy = |t: f64| -> f64 { [t, 1.0 - t].into_iter().filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum() };
        let target = 1.0 - f64::from(objective.label_smoothing);
        if objective.features > 0.0 {
            // One kind of three is real.
            return Some(Self { least: entropy(target) / 3.0, guesses: Some(entropy(target / 3.0)) });
        }
        // Latents that nobody can tell from draws of the prior, or from exchanged ones, are what is wanted.
        let players = objective.factor > 0.0 || objective.adversary > 0.0;
        players.then(|| Self { least: entropy(target) / 2.0, guesses: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;

    fn config(settings: &[(&str, &str)]) -> Config {
        let pairs: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        resolve(None, &pairs).unwrap()
    }

    #[test]
    fn a_player_that_has_won_or_lost_is_named_once_with_what_to_do() {
        let gan = config(&[("features", "1"), ("discriminator_layers", "[dense 8, relu]")]);
        let smooth = config(&[("features", "1"), ("discriminator_layers", "[dense 8]"), ("label_smoothing", "0.1")]);
        let latents = config(&[("adversary", "1"), ("model.discriminator", "[8]"), ("monitor", "objective")]);
        // Of one real kind in three the guess is that: 0.6365 = −(log ⅓)/3 − 2(log ⅔)/3.
        for (config, epoch, loss, rate, expected) in [
            (&gan, 1, 0.01, 5.0, Some("it is always right, and")),
            (&gan, 1, 0.3, 5.0, None),
            (&gan, 4, 0.636, 5.0, Some("it only guesses")),
            (&gan, 2, 0.636, 5.0, None),
            (&smooth, 1, 0.12, 5.0, Some("always right (the least there is, 0.108)")),
            (&smooth, 4, 0.61, 5.0, Some("it only guesses")),
            (&latents, 9, 0.692, 5.0, None),
            (&latents, 1, 0.01, 5.0, Some("always right")),
            (&config(&[]), 1, 0.0, 5.0, None),
            (&gan, 4, 0.3, 0.05, Some("the rate is 0.050")),
            (&gan, 3, 0.3, 0.05, None),
            (&gan, 4, 0.01, 0.05, Some("always right, and the model learns little from it")),
            (&latents, 9, 0.6, 0.05, None),
        ] {
            let mut watch = Watch::default();
            let said = watch.look(config, epoch, loss, rate);
            assert_eq!(said.is_some(), expected.is_some(), "{loss}: {said:?}");
            assert!(said.is_none_or(|said| said.contains(expected.unwrap_or_default())), "{loss}");
            assert_eq!(watch.look(config, epoch, loss, rate), None, "it is said once");
        }
        let both = Watch::default().look(&gan, 4, 0.01, 0.05).unwrap();
        assert!(both.contains("always right") && both.contains("; the rate is 0.050"), "{both}");
    }
}
