//! Models as graphs: which operations make a variational autoencoder. Nothing here knows plans or devices.
//!
//! Letters: B examples of a batch, K latent samples per example, R = B·K rows, D values per example, Z latent dimensions.

mod adversary;
pub mod autoregressive;
pub mod codebook;
pub mod exported;
pub mod factor;
pub mod family;
pub mod gan;
mod imputed;
mod inferred;
pub mod init;
pub mod judge;
mod ladder;
pub mod library;
pub mod likelihood;
pub mod network;
pub mod objective;
pub mod pairs;
pub mod parts;
mod phases;
pub mod posterior;
pub mod presentation;
pub mod prior;
pub mod quantise;
pub mod relaxed;
pub mod sequence;
pub mod spectral;
mod stack;
pub mod tasks;
pub mod terms;
pub mod topdown;
pub mod vae;
pub mod weights;

pub use autoregressive::{CELL, LOGITS};
pub use factor::PLAYER as DISCRIMINATOR;
pub use inferred::CLASS_LOG_PROBABILITIES;
pub use objective::{BOUND, LAYER_RATE};
pub use phases::{Phase, phases};
pub use quantise::CODES;
pub use relaxed::DEVIATES;
pub use vae::{CLASS, LOCATION, Model, RATES, named, of_layer, sized};
pub use weights::Weights;
