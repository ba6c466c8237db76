//! Compression with a trained model: without loss by bits-back coding ([`lossless`]), with loss by latents that are rounded, or
//! by codes ([`lossy`]).
//!
//! A trained VAE is a code for its data: −ELBO is the length of a description that bits-back coding attains (Townsend, Bird
//! and Barber 2019, "Practical lossless compression with latent variables using bits back coding", arXiv 1901.04866). What is
//! needed for it stands below: a coder that is a stack ([`ans`]), latents in bins ([`bins`]), probabilities of values
//! ([`values`]), and networks by arithmetic that is the same on every machine ([`network`], [`portable`]), since writer and
//! reader have to agree on every probability to the last bit. [`file`] is what is written.
//!
//! ```no_run
//! use elbo::checkpoint;
//! use elbo::compress::file::File;
//! use elbo::compress::lossless::{Examples, Lossless};
//! use elbo::interop;
//!
//! # fn main() -> elbo::error::Result<()> {
//! let (checkpoint, _) = checkpoint::load_result("runs/digits".as_ref())?;
//! let codec = Lossless::new(interop::model(&checkpoint)?, &checkpoint.parameters)?;
//! let pictures = vec![0.0; 784]; // one that is all black
//! let file = codec.compress(Examples { values: &pictures, classes: &[] }, &mut |_| {})?;
//! let bytes: Vec<u8> = file.to_bytes(); // to be written somewhere, and read again
//! let (values, _) = codec.decompress(&File::of("pictures.elbo", &bytes)?, &mut |_| {})?;
//! assert_eq!(values, pictures);
//! # Ok(())
//! # }
//! ```

pub mod ans;
pub mod bins;
pub mod file;
pub mod lossless;
pub mod lossy;
pub mod network;
pub mod portable;
pub mod values;

use crate::checkpoint::{Tensor, digest};
use crate::error::{Error, Result};
use file::checksum;

/// The hash of the parameters of a model: it names the model in a file.
pub fn model_hash(parameters: &[(String, Tensor)]) -> u64 {
    file::first(digest(parameters))
}

/// The checksum of numbers.
fn content(values: &[f32], others: &[u32]) -> u64 {
    let bits = values.iter().map(|value| value.to_bits()).chain(others.iter().copied());
    checksum(&bits.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
}

/// Checks that there is memory for what a file promises: where there is none, filling it would end the process.
fn check_room(examples: u64, bytes: usize) -> Result<()> {
    let mut room = Vec::<u8>::new();
    let no_room = |_| Error::Data(format!("the file promises {examples} examples, and there is no memory for so many"));
    room.try_reserve_exact(bytes).map_err(no_room)
}
