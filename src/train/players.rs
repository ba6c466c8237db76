//! Whether a game of two players is still one. A player that has won teaches the other nothing, and one that only guesses is told
//! nothing by its examples; either is said, with what to do, once in a sitting.

use crate::config::{Config, ObjectiveConfig};

/// Below its least, a loss of a discriminator that says "always right" (nats).
const CERTAIN: f64 = 0.02;
/// From this share of the loss of guessing on, a discriminator guesses.
const GUESSES: f64 = 0.995;
/// Epochs in which guessing is no wonder.
const FIRST: usize = 3;

/// What was said already.
#[derive(Debug, Default)]
pub(super) struct Watch {
    said: [bool; 2],
}

impl Watch {
    /// What to warn of after an epoch, counted from 1, in which a discriminator had this loss.
    pub fn look(&mut self, config: &Config, epoch: usize, loss: f64) -> Option<String> {
        let bounds = Bounds::of(&config.objective)?;
        let (at, why) = if loss < bounds.least + CERTAIN {
            (0, certain(config, bounds.least))
        } else if bounds.guesses.is_some_and(|guess| loss > GUESSES * guess) && epoch > FIRST {
            (1, BLIND.to_owned())
        } else {
            return None;
        };
        let first = !std::mem::replace(&mut self.said[at], true);
        first.then(|| format!("epoch {epoch}: the loss of the discriminator is {loss:.3}: {why}"))
    }
}

/// What to do about one that guesses.
const BLIND: &str = "it only guesses, so that the decoder learns nothing from it; raise optimizer.discriminator_lr, or lower \
                     objective.features if the features are all the same";

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
        for (config, epoch, loss, expected) in [
            (&gan, 1, 0.01, Some("it is always right, and")),
            (&gan, 1, 0.3, None),
            (&gan, 4, 0.636, Some("it only guesses")),
            (&gan, 2, 0.636, None),
            (&smooth, 1, 0.12, Some("always right (the least there is, 0.108)")),
            (&smooth, 4, 0.61, Some("it only guesses")),
            (&latents, 9, 0.692, None),
            (&latents, 1, 0.01, Some("always right")),
            (&config(&[]), 1, 0.0, None),
        ] {
            let mut watch = Watch::default();
            let said = watch.look(config, epoch, loss);
            assert_eq!(said.is_some(), expected.is_some(), "{loss}: {said:?}");
            assert!(said.is_none_or(|said| said.contains(expected.unwrap_or_default())), "{loss}");
            assert_eq!(watch.look(config, epoch, loss), None, "it is said once");
        }
    }
}
