//! `elbo train`, and what makes a configuration.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::settings::{assignment, time};
use crate::tune::Mode;

/// `--recipe` and `--set`, which together with the flags of a command make a configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct RecipeArgs {
    /// Recipe: a name, or a TOML file [default: classic]
    ///
    /// The recipe to start from: classic, binary, plane, gaussian, gaussian-learned, dynamic, vamp, mixture-prior, flow-prior,
    /// energy-prior, iaf, iwae, iwae2, ladder, nvae, factor, wae-gan, conditional, m2, conv, residual, vit, vae-gan, colour,
    /// vae-gan-colour, levels, mixture, categorical, vq, vq-colour, codes-prior, text, smiles, music, counts, cells,
    /// recommend, categories, table, anomaly, or the path of a TOML file, which may leave out any key. Default: table for .csv
    /// and .tsv, text for .txt, smiles for .smi, music for .mid, cells for .h5ad, codes-prior with --prior-of, else classic.
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,

    /// Set any key of the recipe (repeatable)
    ///
    /// Sets one key of the recipe; may be given many times. The key is dotted, as in `model.hidden=[512,256]`, or its
    /// last part where that is unique, as in `latent=2`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// `--threads`, of every command that runs a model.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ThreadsArgs {
    /// Threads of the CPU engine [default: one per core]
    ///
    /// Threads of the CPU engine, one on each core by default. Their number changes no bit of any result. Other devices
    /// take no notice of it.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<usize>,
}

/// `elbo train`.
#[expect(clippy::struct_excessive_bools, reason = "switches that do not depend on each other")]
#[derive(Debug, Clone, Default, Args)]
pub struct TrainArgs {
    /// Where the examples come from [default: glyphs]
    ///
    /// `glyphs` (digits that the program draws itself, the default), `sprites` (shapes of known factors), `mnist` or
    /// `fashion-mnist`, a folder of PNG or JPEG images, an .npy, .npz or .csv file, an IDX file, plain or gzipped, or a
    /// folder with IDX files under their MNIST names. `elbo data SRC` describes a source. With --resume: where the run's
    /// data lie now.
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// What --recipe and --set say.
    #[command(flatten)]
    pub recipe: RecipeArgs,

    /// Device: auto, software, cpu, an index, a name
    ///
    /// auto (the default) and high-performance take the best real GPU and the CPU engine where there is none;
    /// low-power prefers an integrated GPU; software forces the software driver; cpu forces the CPU engine; an index
    /// or part of a name chooses from `elbo adapters`.
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

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

    /// Passes over the training examples
    ///
    /// Passes over the training examples. With --resume: the new total, not what is added.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub epochs: Option<usize>,

    /// Examples per step
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<usize>,

    /// Learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub lr: Option<f32>,

    /// Weight of the rate (KL) in the loss
    ///
    /// Weight of the rate (KL) in the loss: distortion + beta x rate, in nats per example. 1 gives -ELBO.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub beta: Option<f32>,

    /// Key of all random numbers of the run
    ///
    /// Key of all random numbers of the run. The same seed on the same device gives the same bits.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,

    /// Train with several seeds side by side: 8, or 0,3,7
    ///
    /// Trains several models side by side that differ in their seeds. A number counts seeds, from --seed on; a list with
    /// commas names them. Lists in --set do the same for other settings: `--set beta=[1,2,4]`, and `lr`, `init` and
    /// `output_bias_from_data`; of several lists every combination is trained. Each member has a run folder of its own
    /// under the one of the run, with the bits that it would have alone; `best` there names the best of them.
    #[arg(long, value_name = "N|LIST", allow_negative_numbers = true)]
    pub seeds: Option<String>,

    /// Number of latent dimensions, or what they are
    ///
    /// The number of latent dimensions, or what latents are: `categorical 20x10 + gaussian 8`.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub latent: Option<String>,

    /// Train a prior of the codes of this VQ-VAE
    ///
    /// Trains the prior of the codes that the VQ-VAE of a finished run gives its data (recipe: codes-prior), with which `elbo
    /// sample` draws. The run of the prior keeps the codes and the VQ-VAE, and needs neither that run nor its data again.
    #[arg(long, value_name = "RUN", hide_short_help = true, conflicts_with_all = ["data", "seeds", "latent", "beta"])]
    pub prior_of: Option<PathBuf>,

    /// Run folder, new or empty [default: runs/NAME-N]
    ///
    /// The run folder, which must be new or empty, or hold a run that was ended before its first checkpoint. Default: runs/NAME-N with the recipe's name and the next free
    /// number.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Continue a run where it stopped
    ///
    /// Continues a run from its last checkpoint (or from a given checkpoint folder), to the same bits as if it had
    /// never stopped. The run keeps its settings: only --epochs, --data (the same data in another place), --max-time,
    /// --tensorboard, --no-report, --adapter, --threads, --profile and --quiet may be given with it. While a process trains, others are refused.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,

    /// Stop after so long, with a checkpoint: 90s, 30m, 8h
    ///
    /// Stops after so much time, such as 90s, 30m, 1h30m or 2d, as Ctrl-C does: after a checkpoint, from which --resume
    /// goes on to the same bits. The time is that of this sitting, from where training begins.
    #[arg(long, value_name = "TIME", value_parser = time, hide_short_help = true)]
    pub max_time: Option<Duration>,

    /// Also write event files for TensorBoard here
    ///
    /// Writes the numbers of metrics.csv and the pictures of samples as event files too, which TensorBoard shows: into a folder
    /// with the run's name in this one, so that several runs stand beside each other in `tensorboard --logdir DIR`.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub tensorboard: Option<PathBuf>,

    /// Leave out report.html at the end
    ///
    /// Leaves out the page that `elbo report` makes of a run, which is otherwise written into the run's folder when training is
    /// done. Of models trained side by side there is none until `elbo report` is asked for one of them.
    #[arg(long, hide_short_help = true)]
    pub no_report: bool,

    /// Check a step of each epoch against the CPU
    ///
    /// Before each epoch, runs its first step also on the CPU, kernel by kernel with the same inputs, and names the
    /// first that differs. For finding a faulty driver.
    #[arg(long, hide_short_help = true)]
    pub check_steps: bool,

    /// First show where the time of a step goes
    ///
    /// Before training begins, times every step of the plan and prints a line for each: kernel, grid, time, GFLOP/s,
    /// GB/s, and its share of the device's measured peak. What is trained is the same as without. With --dry-run: stops
    /// there.
    #[arg(long)]
    pub profile: bool,

    /// Print warnings and results only
    #[arg(long, short)]
    pub quiet: bool,

    /// Show what would be trained, and stop
    ///
    /// Shows adapter, model, memory and data, as before a run, prints every key as a recipe file has it (`>
    /// mine.toml`), and stops. Writes nothing.
    #[arg(long)]
    pub dry_run: bool,
}
