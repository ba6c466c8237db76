//! The commands that make examples small with a trained model, and give them back.

use std::path::PathBuf;

use clap::Args;

use super::{DataPart, RunArgs};

/// `elbo compress`.
#[derive(Debug, Clone, Args)]
pub struct CompressArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Compress other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Which part of the data [default: all of it]
    #[arg(long)]
    pub part: Option<DataPart>,

    /// File to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Keep latents or codes alone: far smaller, and less exact
    ///
    /// Keeps of each picture the mean of its posterior, rounded to multiples of --step, or of a model with codes its codes.
    /// What comes back is what the model decodes from them.
    #[arg(long)]
    pub lossy: bool,

    /// Step to which latents are rounded [default: 0.5]
    ///
    /// Step to multiples of which latents are rounded, in the unit of the prior's deviation: larger ones make smaller files and
    /// pictures that are less exact.
    #[arg(long, value_name = "D", requires = "lossy", allow_negative_numbers = true)]
    pub step: Option<f64>,

    /// Key of dynamic binarisation [default: the run's]
    ///
    /// Key of dynamic binarisation, which draws the picture in black and white that is compressed. Default: that of the run.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// `elbo decompress`.
#[derive(Debug, Clone, Args)]
pub struct DecompressArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// A file that `elbo compress` wrote
    pub file: PathBuf,

    /// What to make: .npy, .png, or a folder of pictures
    ///
    /// What to make: an array of all examples (.npy; without loss of bytes where the data were bytes), a grid of pictures (.png), or
    /// without an ending a folder, new or empty, with a picture in .png for each.
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
}
