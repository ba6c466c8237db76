//! The commands that look inside: data, plans, devices.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RecipeArgs;

/// `elbo data`.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// The source, as for `elbo train --data`
    #[arg(value_name = "SRC")]
    pub source: String,

    /// What --recipe and --set say.
    #[command(flatten)]
    pub recipe: RecipeArgs,

    /// PNG file to draw examples into
    #[arg(long, value_name = "FILE.png")]
    pub out: Option<PathBuf>,

    /// Number of examples to draw [default: 64]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `elbo plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// What --recipe and --set say.
    #[command(flatten)]
    pub recipe: RecipeArgs,

    /// Data whose width the plan is for [default: 28x28]
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Examples per step
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<usize>,

    /// Which of the model's programs: train, eval, likelihood, reconstruct, sample, encode, decode, or another task that
    /// models of its kind have [default: train]
    #[arg(long = "for", value_name = "TASK")]
    pub task: Option<String>,

    /// Kind of device the plan is for [default: gpu]
    #[arg(long)]
    pub target: Option<Target>,

    /// Print the shader of this step, by its number, as a device gets it
    #[arg(long, value_name = "STEP", conflicts_with = "json")]
    pub wgsl: Option<usize>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `elbo adapters`.
#[derive(Debug, Clone, Args)]
pub struct AdaptersArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `elbo doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Device to test, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// Examine nothing, and write every shader in every form to this new folder, for other compilers
    #[arg(long, value_name = "DIR", conflicts_with = "adapter")]
    pub wgsl: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Kinds of devices, for which plans may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A real GPU.
    Gpu,
    /// A software driver.
    Software,
    /// A software driver whose subgroups are eight lanes, such as Mesa's.
    #[value(alias = "lanes")]
    Simd8,
    /// The CPU engine.
    Cpu,
}
