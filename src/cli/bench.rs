//! `elbo bench`: what can be timed.

use clap::{Args, Subcommand};

use super::{RecipeArgs, ThreadsArgs};
use crate::tune::Mode;

/// `elbo bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: BenchCommand,
}

/// What `elbo bench` can measure.
#[derive(Debug, Clone, Subcommand)]
pub enum BenchCommand {
    /// Time one training step
    ///
    /// Times training steps on data held by the device, in several rounds of which the median counts. The last line
    /// with --json has `name`, `batch` and `ms_per_step`.
    #[command(after_long_help = "\
Example:
  elbo bench step --adapter cpu --batch 128 --json")]
    Step(BenchStepArgs),

    /// Time the evaluation of a batch
    ///
    /// Times runs of the plan that evaluates a batch: rate and distortion, or with --samples the importance-weighted
    /// log-likelihood. The last line with --json has `name`, `batch` and `ms_per_step`.
    #[command(after_long_help = "\
Example:
  elbo bench eval --adapter cpu --samples 50 --json")]
    Eval(BenchEvalArgs),

    /// Time one matrix product, [M, K] times [K, N]
    ///
    /// Times every variant of the product kernels that plans for the device are made of. The last line with --json has
    /// `name`, `batch` (M) and `ms_per_step` of the fastest.
    #[command(after_long_help = "\
Example:
  elbo bench matmul 128 400 784 --adapter cpu --json")]
    Matmul(BenchMatmulArgs),
}

/// `elbo bench step`.
#[derive(Debug, Clone, Args)]
pub struct BenchStepArgs {
    /// What --recipe and --set say.
    #[command(flatten)]
    pub recipe: RecipeArgs,

    /// Examples per step
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<usize>,

    /// Train on these data [default: random bytes like MNIST]
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// Models to train side by side [default: 1]
    ///
    /// Models that train side by side, as with --seeds of `elbo train`; the times are those of a step of all of them.
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub members: Option<usize>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Measure tilings first: off, auto (default), full
    ///
    /// Which tiling each product and convolution uses. `auto` measures on GPUs what is not known yet, for at most three seconds,
    /// and keeps it in the user's cache folder; `full` measures everything anew; `off` takes the program's guess.
    /// A run keeps its tilings in its checkpoints, since others round differently.
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    pub tune: Option<Mode>,

    /// Steps per round [default: 468; 64 on a software driver]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,

    /// Rounds, of which the median counts [default: 5]
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,

    /// Also show where the time of a step goes
    #[arg(long)]
    pub profile: bool,

    /// End with one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// `elbo bench eval`.
#[derive(Debug, Clone, Args)]
pub struct BenchEvalArgs {
    /// What --recipe and --set say.
    #[command(flatten)]
    pub recipe: RecipeArgs,

    /// Examples per run [default: as `elbo eval` takes]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<usize>,

    /// Estimate -log p(x) with K samples each
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub samples: Option<usize>,

    /// Evaluate these data [default: random bytes like MNIST]
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Runs per round [default: 468; 64 on a software driver]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,

    /// Rounds, of which the median counts [default: 5]
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,

    /// End with one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// `elbo bench matmul`.
#[derive(Debug, Clone, Args)]
pub struct BenchMatmulArgs {
    /// Rows of the product
    #[arg(value_name = "M")]
    pub m: usize,

    /// Columns of the product
    #[arg(value_name = "N")]
    pub n: usize,

    /// Length of its sums
    #[arg(value_name = "K")]
    pub k: usize,

    /// The first matrix is stored as its transpose, [K, M]
    #[arg(long)]
    pub transpose_a: bool,

    /// The second matrix is stored as its transpose, [N, K]
    #[arg(long)]
    pub transpose_b: bool,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Repeats, of which the median counts [default: 50]
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,

    /// End with one line of JSON
    #[arg(long)]
    pub json: bool,
}
