//! `[objective]`: the loss.

use serde::{Deserialize, Serialize};

/// The loss: the terms of the ELBO with weights, or a bound of importance-weighted samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// The weight of the rate (KL): loss = distortion + beta·rate, in nats per example.
    pub beta: f32,
    /// How beta comes to its value.
    pub anneal: Anneal,
    /// `linear`: epochs, or a fraction of one, until beta is reached. `cyclical`: epochs of a cycle.
    pub anneal_epochs: f32,
    /// `cyclical`: the share of a cycle in which beta rises.
    pub anneal_share: f32,
    /// Whether the rates of groups of latents are balanced while beta rises (`model.hierarchy = residual`).
    pub balance: bool,
    /// Nats that a group of latent dimensions may have for nothing, in the batch's mean; 0 for none.
    pub free_bits: f32,
    /// Neighbouring latent dimensions of such a group.
    pub free_group: usize,
    /// Nats to which the rate is held: loss = distortion + beta·|rate − capacity|; 0 switches this off.
    pub capacity: f32,
    /// Epochs, or a fraction of one, in which the capacity rises from 0 to its value.
    pub capacity_epochs: f32,
    /// The weight of the total correlation within the rate: loss = distortion + beta·rate + (tc − 1)·total correlation
    /// (beta-TC-VAE); 1 leaves it as it is.
    pub tc: f32,
    /// The weight of the squared maximum mean discrepancy between latents and prior (`InfoVAE`, WAE); 0 for none.
    pub mmd: f32,
    /// `λ_od` of DIP-VAE: the weight of the squared covariances between dimensions of the posterior means; 0 for none.
    pub covariance: f32,
    /// `λ_d` of DIP-VAE: the weight of the squared distance of the posterior means' variances from 1; 0 for none.
    pub variance: f32,
    /// Of what `covariance` and `variance` are.
    pub covariance_of: Moments,
    /// γ of `FactorVAE`: the weight of the total correlation that a discriminator estimates (`model.discriminator`); 0 for
    /// none.
    pub factor: f32,
    /// The weight of -log D(z), D the verdict of a discriminator that tells latents from draws of the prior
    /// (`model.discriminator`; adversarial autoencoder); 0 for none.
    pub adversary: f32,
    /// γ of VAE-GAN: the weight, for the decoder, of the distance between the features that a discriminator of examples has of an
    /// example and of its reconstruction (`model.discriminator_layers`); 0 for none.
    pub features: f32,
    /// What the target of a discriminator of latents and prior, or of examples, lacks of 1 for what is real.
    pub label_smoothing: f32,
    /// Standard deviation of the noise that is added to all that a discriminator of examples is shown.
    pub instance_noise: f32,
    /// Epochs, or a fraction of one, in which that falls to 0 in a line; 0 leaves it as it is.
    pub instance_noise_epochs: f32,
    /// The weight of the squared distance of the encoder's outputs from their codes (`model.codes`).
    pub commitment: f32,
    /// The temperature at which categories are relaxed (`model.categories`), at the beginning and in the end.
    pub temperature: [f32; 2],
    /// Epochs, or a fraction of one, in which the temperature falls, by the same factor in each step.
    pub temperature_epochs: f32,
    /// α of M2, over the number of all examples: the weight of the mean of -log q(y|x) over the labelled examples
    /// (`model.condition = inferred`).
    pub classify: f32,
    /// What is optimised.
    pub bound: Bound,
    /// Latent samples for each example.
    pub samples: usize,
    /// `miwae`, `piwae`: groups into which the samples are divided.
    pub groups: usize,
    /// `ciwae`: the share of the ELBO; the rest is the bound.
    pub share: f32,
}

/// How beta comes to its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anneal {
    /// It has its value from the beginning.
    None,
    /// It rises once, in a line from 0 (Bowman et al. 2016).
    Linear,
    /// It rises again and again (Fu et al. 2019).
    Cyclical,
}

/// Of what DIP-VAE takes the covariance (Kumar et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moments {
    /// Of the posterior means (DIP-VAE-I).
    Means,
    /// Of the latents: that of the means, and the mean of the posterior variances (DIP-VAE-II).
    Latents,
}

impl Moments {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Means => "means",
            Self::Latents => "latents",
        }
    }
}

/// What is optimised. M = `samples`, m = `groups`, k = M/m; log w = log p(x|z) + log p(z) − log q(z|x).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The ELBO with the weights of its terms; the distortion is a mean over the samples.
    Elbo,
    /// log of the mean of w over all M samples (Burda et al. 2015).
    Iwae,
    /// The mean of that over m groups of k samples (Rainforth et al. 2018).
    Miwae,
    /// The decoder by `iwae`, the encoder by `miwae` (Rainforth et al. 2018).
    Piwae,
    /// `share` of the ELBO of the same samples, the rest of `iwae` (Rainforth et al. 2018).
    Ciwae,
}

impl Bound {
    /// Whether it is one of importance-weighted samples.
    pub fn is_weighted(self) -> bool {
        self != Self::Elbo
    }

    /// What epochs are compared by, in a word.
    pub fn score(self) -> &'static str {
        if self.is_weighted() { "-bound" } else { "-ELBO" }
    }
}

impl ObjectiveConfig {
    /// The ELBO with this weight of the rate.
    pub fn elbo(beta: f32) -> Self {
        Self {
            beta,
            anneal: Anneal::None,
            anneal_epochs: 10.0,
            anneal_share: 0.5,
            balance: false,
            free_bits: 0.0,
            free_group: 1,
            capacity: 0.0,
            capacity_epochs: 10.0,
            tc: 1.0,
            mmd: 0.0,
            covariance: 0.0,
            variance: 0.0,
            covariance_of: Moments::Means,
            factor: 0.0,
            adversary: 0.0,
            features: 0.0,
            label_smoothing: 0.0,
            instance_noise: 0.0,
            instance_noise_epochs: 0.0,
            commitment: 0.25,
            temperature: [1.0, 0.5],
            temperature_epochs: 10.0,
            classify: 0.1,
            bound: Bound::Elbo,
            samples: 1,
            groups: 1,
            share: 0.5,
        }
    }
}
