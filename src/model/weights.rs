//! The weights of a training step: what each term of a loss is multiplied by, by name.
//!
//! Kernels know weights by their slot, the index into what a step is told. The slot of a weight is its place in the list of
//! [`Weights`], and nothing else says where a weight lies: graphs ask for the slot of a name when a term is added, the host
//! fills the slots of a step from the same list.

use super::terms;
use crate::config::{Anneal, Bound, ObjectiveConfig};
use crate::error::{Error, Result};
use crate::expr::MAX_WEIGHTS;

/// The weight of the distortion.
pub const DISTORTION: &str = "distortion";
/// The weight of the rate: β.
pub const RATE: &str = "rate";
/// Not a factor but a level, in nats: what the rate is held to.
pub const CAPACITY: &str = "capacity";
/// Not a factor but a level: 1 while the rates of groups are balanced, then 0.
pub const BALANCE: &str = "balance";
/// The weight of the total correlation beyond what the rate has of it.
pub const TOTAL_CORRELATION: &str = "total correlation";
/// The weight of the maximum mean discrepancy.
pub const MMD: &str = "MMD";
/// The weight of the squared covariances of the posterior means.
pub const COVARIANCE: &str = "covariance of means";
/// The weight of the squared distance of the posterior means' variances from 1.
pub const VARIANCE: &str = "variance of means";
/// γ, the weight of the total correlation as a discriminator estimates it.
pub const DENSITY_RATIO: &str = "density ratio";
/// The weight of what the encoder does to deceive a discriminator of latents and prior.
pub const ADVERSARY: &str = "adversary";
/// The weight, for the encoder, of the distance between an example and its reconstruction in a discriminator's features.
pub const ENCODER_FEATURES: &str = "features";
/// The weight of what the decoder of a VAE-GAN follows.
pub const DECODER: &str = "decoder";
/// Not a factor but a level: γ, what the same distance counts in what the decoder follows.
pub const FEATURES: &str = "gamma";
/// Not a factor but a level: the deviation of the noise on all that a discriminator of examples is shown.
pub const INSTANCE_NOISE: &str = "instance noise";
/// The weight of the squared distance of the encoder's outputs from their codes.
pub const COMMITMENT: &str = "commitment";
/// The weight of the same distance where codes follow it.
pub const CODEBOOK: &str = "codebook";
/// The weight of the labelled examples' −log q(y|x).
pub const CLASSIFIER: &str = "classifier";
/// Not a factor but a level: the temperature at which categories are relaxed.
pub const TEMPERATURE: &str = "temperature";
/// The weight of the difference of log densities at the samples, in a mixture of ELBO and bound.
pub const LOG_RATIO: &str = "log ratio";
/// The weight of a bound of importance-weighted samples.
pub const BOUND: &str = "bound";
/// The weight of the bound that the decoder alone follows.
pub const DECODER_BOUND: &str = "decoder's bound";

/// How a weight comes to its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// It has its value from the beginning.
    Constant,
    /// It rises once, in a line from 0, over so many epochs; over 0 epochs it has its value at once.
    Rise {
        /// Epochs, or a fraction of one.
        epochs: f32,
    },
    /// It has its value for so many epochs, then it is 0.
    Until {
        /// Epochs, or a fraction of one.
        epochs: f32,
    },
    /// It falls once, in a line to 0, over so many epochs, above 0.
    Vanish {
        /// Epochs, or a fraction of one.
        epochs: f32,
    },
    /// It rises again and again: in the first `share` of each cycle from 0 to its value, where it stays for the rest.
    Cycle {
        /// Epochs of a cycle.
        epochs: f32,
        /// The part of a cycle in which it rises, above 0.
        share: f32,
    },
    /// It falls over so many epochs from a multiple of its value to that, by the same factor in each; over 0 epochs it has its
    /// value at once.
    Fall {
        /// The multiple that it begins with.
        from: f32,
        /// Epochs, or a fraction of one.
        epochs: f32,
    },
}

impl Schedule {
    /// The share of its value that a weight has after so many epochs.
    fn at(self, epochs: f64) -> f64 {
        match self {
            Self::Rise { epochs: over } if over > 0.0 => (epochs / f64::from(over)).min(1.0),
            Self::Until { epochs: over } => f64::from(u8::from(epochs < f64::from(over))),
            Self::Vanish { epochs: over } => (1.0 - epochs / f64::from(over)).max(0.0),
            Self::Fall { from, epochs: over } if over > 0.0 => {
                f64::from(from).powf(1.0 - (epochs / f64::from(over)).min(1.0))
            }
            Self::Constant | Self::Rise { .. } | Self::Fall { .. } => 1.0,
            Self::Cycle { epochs: cycle, share } => ((epochs / f64::from(cycle)).fract() / f64::from(share)).min(1.0),
        }
    }
}

/// A number that a step is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// What graphs and the host call it.
    pub name: &'static str,
    /// What it comes to.
    pub value: f32,
    /// How.
    pub schedule: Schedule,
    /// Whether it is a level that something is compared with, such as a capacity. Levels stay as they are where the loss as
    /// a whole is multiplied, for a part of a batch or a gradient that is a sum.
    pub is_level: bool,
}

impl Weight {
    /// A factor that does not change.
    pub fn constant(name: &'static str, value: f32) -> Self {
        Self { name, value, schedule: Schedule::Constant, is_level: false }
    }

    /// A factor that changes.
    pub fn scheduled(name: &'static str, value: f32, schedule: Schedule) -> Self {
        Self { schedule, ..Self::constant(name, value) }
    }

    fn at(&self, epochs: f64) -> f32 {
        (f64::from(self.value) * self.schedule.at(epochs)) as f32
    }
}

/// All weights of a step, in the order of their slots.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    all: Vec<Weight>,
}

impl Weights {
    /// The weights of the ELBO with this constant β.
    pub fn elbo(beta: f32) -> Self {
        Self { all: vec![Weight::constant(DISTORTION, 1.0), Weight::constant(RATE, beta)] }
    }

    /// All of them, in the order of their slots.
    pub fn all(&self) -> &[Weight] {
        &self.all
    }

    /// Name and final value of each weight that is no level.
    pub fn factors(&self) -> impl Iterator<Item = (&'static str, f32)> {
        self.all.iter().filter(|weight| !weight.is_level).map(|weight| (weight.name, weight.value))
    }

    /// The weights of an objective: of the ELBO distortion and rate, then what else there is; of a bound all that some bound
    /// has, so that plans of different bounds agree.
    pub fn of(objective: &ObjectiveConfig) -> Self {
        if objective.bound.is_weighted() {
            return Self::of_bound(objective);
        }
        let beta = match objective.anneal {
            Anneal::None => Schedule::Constant,
            Anneal::Linear => Schedule::Rise { epochs: objective.anneal_epochs },
            Anneal::Cyclical => Schedule::Cycle { epochs: objective.anneal_epochs, share: objective.anneal_share },
        };
        let mut all = vec![Weight::constant(DISTORTION, 1.0), Weight::scheduled(RATE, objective.beta, beta)];
        if objective.capacity > 0.0 {
            let schedule = Schedule::Rise { epochs: objective.capacity_epochs };
            all.push(Weight { is_level: true, ..Weight::scheduled(CAPACITY, objective.capacity, schedule) });
        }
        if objective.balance {
            let schedule = Schedule::Until { epochs: objective.anneal_epochs };
            all.push(Weight { is_level: true, ..Weight::scheduled(BALANCE, 1.0, schedule) });
        }
        all.extend(terms::of(objective).map(|(term, weight)| Weight::constant(term.name, weight)));
        Self { all }
    }

    fn of_bound(objective: &ObjectiveConfig) -> Self {
        let share = if objective.bound == Bound::Ciwae { objective.share } else { 0.0 };
        let all = [(DISTORTION, share), (LOG_RATIO, share), (BOUND, 1.0 - share), (DECODER_BOUND, 1.0)];
        Self { all: all.into_iter().map(|(name, value)| Weight::constant(name, value)).collect() }
    }

    /// The same with one more weight, in the next slot.
    #[must_use]
    pub fn with(mut self, weight: Weight) -> Self {
        self.all.push(weight);
        self
    }

    /// The slot of a weight.
    ///
    /// # Errors
    /// [`Error::Bug`] where there is none of that name, or more weights than a step can be told.
    pub fn slot(&self, name: &str) -> Result<usize> {
        let slot = self.all.iter().position(|weight| weight.name == name);
        slot.filter(|&slot| slot < MAX_WEIGHTS).ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|weight| weight.name).collect();
            Error::Bug(format!("{name} has no slot among the weights {names:?}, of which a step has {MAX_WEIGHTS}"))
        })
    }

    /// A weight after so many epochs, where there is one of that name.
    pub fn value_at(&self, name: &str, epochs: f64) -> Option<f32> {
        self.all.iter().find(|weight| weight.name == name).map(|weight| weight.at(epochs))
    }

    /// What a step is told after so many epochs, slot by slot, where the loss as a whole is multiplied by `share`.
    pub fn at(&self, epochs: f64, share: f32) -> [f32; MAX_WEIGHTS] {
        let mut slots = [0.0; MAX_WEIGHTS];
        for (slot, weight) in slots.iter_mut().zip(&self.all) {
            *slot = weight.at(epochs);
            if !weight.is_level {
                *slot *= share;
            }
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_their_schedules() {
        let elbo = ObjectiveConfig::elbo(4.0);
        let linear = ObjectiveConfig { anneal: Anneal::Linear, anneal_epochs: 2.0, ..elbo.clone() };
        let cyclical = ObjectiveConfig { anneal: Anneal::Cyclical, anneal_epochs: 4.0, ..elbo.clone() };
        let capacity = ObjectiveConfig { capacity: 10.0, capacity_epochs: 5.0, ..elbo.clone() };
        let at_once = ObjectiveConfig { capacity_epochs: 0.0, ..capacity.clone() };
        let pairs = ObjectiveConfig { tc: 6.0, mmd: 10.0, ..elbo.clone() };
        let all = ObjectiveConfig { tc: 6.0, mmd: 9.0, ..capacity.clone() };
        let factor = ObjectiveConfig { factor: 35.0, ..pairs.clone() };
        let moments = ObjectiveConfig { covariance: 10.0, variance: 5.0, ..elbo.clone() };
        let ciwae = ObjectiveConfig { bound: Bound::Ciwae, share: 0.25, ..ObjectiveConfig::elbo(1.0) };
        let iwae = ObjectiveConfig { bound: Bound::Iwae, ..ciwae.clone() };
        for (objective, epochs, expected) in [
            (&elbo, 0.0, &[1.0, 4.0][..]),
            (&linear, 0.0, &[1.0, 0.0]),
            (&linear, 0.5, &[1.0, 1.0]),
            (&linear, 7.0, &[1.0, 4.0]),
            (&cyclical, 1.0, &[1.0, 2.0]),
            (&cyclical, 3.5, &[1.0, 4.0]),
            (&cyclical, 8.0, &[1.0, 0.0]),
            (&capacity, 2.5, &[1.0, 4.0, 5.0]),
            (&capacity, 9.0, &[1.0, 4.0, 10.0]),
            (&at_once, 0.0, &[1.0, 4.0, 10.0]),
            (&pairs, 3.0, &[1.0, 4.0, 5.0, 10.0]),
            (&all, 2.5, &[1.0, 4.0, 5.0, 5.0, 9.0]),
            (&factor, 3.0, &[1.0, 4.0, 35.0, 5.0, 10.0]),
            (&moments, 3.0, &[1.0, 4.0, 10.0, 5.0]),
            (&ciwae, 3.0, &[0.25, 0.25, 0.75, 1.0]),
            (&iwae, 3.0, &[0.0, 0.0, 1.0, 1.0]),
        ] {
            let mut slots = [0.0; MAX_WEIGHTS];
            slots[..expected.len()].copy_from_slice(expected);
            assert_eq!(Weights::of(objective).at(epochs, 1.0), slots, "{objective:?} after {epochs}");
        }
    }

    #[test]
    fn a_level_falls_by_the_same_factor_in_each_epoch() {
        let fall = |epochs: f32| Weight::scheduled(TEMPERATURE, 0.5, Schedule::Fall { from: 4.0, epochs });
        let at = |weight: &Weight| [0.0, 5.0, 10.0, 99.0].map(|epochs| weight.at(epochs));
        assert_eq!(at(&fall(10.0)), [2.0, 1.0, 0.5, 0.5]);
        assert_eq!(at(&fall(0.0)), [0.5; 4]);
    }

    #[test]
    fn a_level_stays_where_the_loss_is_multiplied() {
        let objective = ObjectiveConfig { capacity: 10.0, capacity_epochs: 0.0, tc: 3.0, ..ObjectiveConfig::elbo(4.0) };
        let weights = Weights::of(&objective);
        assert_eq!(weights.at(0.0, 0.5)[..4], [0.5, 2.0, 10.0, 1.0]);
        assert_eq!(weights.value_at(CAPACITY, 0.0), Some(10.0));
        assert_eq!(weights.value_at(MMD, 0.0), None);
    }

    #[test]
    fn a_name_has_the_slot_of_its_place_and_no_other_name_has_one() {
        let weights = Weights::elbo(2.0).with(Weight::constant("third", 3.0));
        assert_eq!([DISTORTION, RATE, "third"].map(|name| weights.slot(name).unwrap()), [0, 1, 2]);
        assert!(weights.slot(MMD).unwrap_err().to_string().contains("MMD has no slot"));
        let crowded = (0..MAX_WEIGHTS).fold(Weights::elbo(1.0), |weights, _| weights.with(Weight::constant("x", 1.0)));
        let crowded = crowded.with(Weight::constant("last", 1.0));
        assert!(crowded.slot("last").is_err(), "a step is told no more than {MAX_WEIGHTS}");
    }
}
