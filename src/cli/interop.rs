//! The commands through which models leave and enter.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RecipeArgs;
use super::settings::assignment;

/// Formats of exported models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Parameters by PyTorch's layouts, and a card that says how to use them.
    Safetensors,
    /// Encoder and decoder, to run elsewhere.
    Onnx,
    /// A page for browsers, to explore the model; any web server serves it.
    Web,
}

/// `elbo export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Run folder, or a checkpoint in it
    pub run: Option<PathBuf>,

    /// What to make: parameters, networks that run, or a page
    #[arg(long)]
    pub format: Format,

    /// Folder to make, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Let the page train, on the examples that it then holds
    ///
    /// With --format web: the page goes on with the training of the run, or without a run begins that of --recipe and --set. It
    /// holds the training examples.
    #[arg(long)]
    pub train: bool,

    /// With --train: where the examples come from, or lie now
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// What --recipe and --set say.
    #[command(flatten)]
    pub recipe: RecipeArgs,

    /// Print warnings and results only
    #[arg(long, short)]
    pub quiet: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `elbo import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// A .safetensors file, or a folder with one
    ///
    /// A .safetensors file with a PyTorch `state_dict`, or a folder that `elbo export --format safetensors` made.
    pub file: PathBuf,

    /// Run folder to make, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Take tensors whose names begin so, and only them
    ///
    /// Takes only tensors whose names begin with this, and takes it off their names: `--prefix vae.` for a model that is
    /// part of a larger one.
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,

    /// Say where a layer belongs (repeatable)
    ///
    /// Says where a layer belongs, where its name does not: `--map encoder.mean=head_a`. The places are
    /// `encoder.0`, `encoder.1`, …, `encoder.mean`, `encoder.log_variance`, `decoder.0`, `decoder.1`, …, `decoder.out`,
    /// `decoder.log_variance`.
    #[arg(long, value_name = "PLACE=NAME", value_parser = assignment)]
    pub map: Vec<(String, String)>,

    /// What --recipe and --set say.
    #[command(flatten)]
    pub recipe: RecipeArgs,

    /// Data that the model is for
    ///
    /// The data that the model is for: with it the run can be evaluated, and trained further with `elbo train --resume`.
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Shape of an example, where --data is not given
    #[arg(long, value_name = "C,H,W", value_parser = shape)]
    pub shape: Option<[usize; 3]>,

    /// Print warnings and results only
    #[arg(long, short)]
    pub quiet: bool,
}

/// Splits `C,H,W`.
fn shape(typed: &str) -> Result<[usize; 3], String> {
    let numbers: Result<Vec<usize>, _> = typed.split(',').map(|n| n.trim().parse()).collect();
    match numbers.ok().and_then(|numbers| <[usize; 3]>::try_from(numbers).ok()) {
        Some(shape) if shape.iter().all(|&n| n > 0) => Ok(shape),
        _ => Err("expected CHANNELS,HEIGHT,WIDTH, for example 1,28,28".into()),
    }
}
