//! What can be typed. Only definitions: what a command does stands in `commands`, what a run does in `config`.

mod settings;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use settings::assignment;

/// Train variational autoencoders on any GPU, from one small binary.
///
/// Start with `elbo train`: it needs no data and no GPU, and leaves a run folder with samples to look at. Progress goes
/// to stderr and results to stdout. Exit codes: 0 fine, 1 bug, 2 usage, 3 data, 4 diverged, 5 device, 6 disk, 130
/// stopped after a good checkpoint.
#[derive(Debug, Parser)]
#[command(name = "elbo", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model and leave a run folder
    ///
    /// Trains a model and leaves a run folder with the configuration, metrics, checkpoints and sample images. Without
    /// any flag it trains the recipe `classic` on glyphs that the program draws itself. Ctrl-C saves and stops.
    #[command(after_long_help = "\
Examples:
  elbo train
  elbo train --data mnist/ --recipe dynamic --epochs 20 --out runs/first
  elbo train --set model.hidden=[512,256] --set latent=10 --lr 3e-4
  elbo train --seeds 4 --set beta=[1,4]
  elbo train --resume runs/first --epochs 40")]
    Train(TrainArgs),

    /// Measure a trained model: rate, distortion, ELBO, log-likelihood
    ///
    /// Prints rate, distortion and -ELBO of a trained model in nats per example and, with --samples, the
    /// importance-weighted estimate of -log p(x).
    #[command(after_long_help = "\
Examples:
  elbo eval runs/first
  elbo eval runs/first --data mnist/ --samples 5000 --json")]
    Eval(EvalArgs),

    /// Draw new examples from a trained model
    ///
    /// Draws latents from the prior, decodes them, and writes the decoder's means as a grid of images.
    #[command(after_long_help = "\
Example:
  elbo sample runs/first -n 100 --out samples.png")]
    Sample(SampleArgs),

    /// Show examples beside what the model makes of them
    ///
    /// Encodes examples, decodes their posterior means, and writes both as a grid of images.
    #[command(after_long_help = "\
Example:
  elbo reconstruct runs/first -n 32 --out reconstructions.png")]
    Reconstruct(ReconstructArgs),

    /// Describe a source of data
    ///
    /// Reads a source as `elbo train` would and says what is in it: examples, shape, parts, ranges, the columns of a
    /// table with their types, classes, and whatever is wrong with it. --out draws examples where they are images.
    #[command(after_long_help = "\
Examples:
  elbo data glyphs --out glyphs.png
  elbo data patients.csv --set data.columns.age=numeric
  elbo data photos/ --set data.resize=64x64 --set data.fit=crop --json")]
    Data(DataArgs),

    /// Print what would be computed, step by step
    ///
    /// Prints the compiled plan of a model: its steps, their kernels, grids and buffers. Needs neither data nor a
    /// device.
    #[command(after_long_help = "\
Example:
  elbo plan --recipe plane --batch 64 --for eval")]
    Plan(PlanArgs),

    /// List the adapters (GPUs and drivers) of this machine
    ///
    /// Lists what `--adapter` can choose from: index, name, kind, driver and limits.
    #[command(after_long_help = "\
Example:
  elbo adapters --json")]
    Adapters(AdaptersArgs),

    /// Say what a run on this machine would use, and test it
    ///
    /// Says which adapter a run would use and why, which drivers and limits were found, and compares every kernel with
    /// its twin on the CPU.
    #[command(after_long_help = "\
Example:
  elbo doctor --adapter software")]
    Doctor(DoctorArgs),

    /// Measure speed
    ///
    /// Measures speed, after checking that what is timed is right.
    #[command(after_long_help = "\
Example:
  elbo bench step --batch 128 --json")]
    Bench(BenchArgs),
}

/// `--recipe` and `--set`, which together with the flags of a command make a configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct RecipeArgs {
    /// Recipe: a name, or a TOML file [default: classic]
    ///
    /// The recipe to start from: classic, binary, plane, gaussian, gaussian-learned, dynamic, or the path of a TOML
    /// file, which may leave out any key. Default: classic.
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
    /// `glyphs` (digits that the program draws itself, the default), `mnist` or `fashion-mnist`, a folder of PNG or
    /// JPEG images, an .npy, .npz or .csv file, an IDX file, plain or gzipped, or a folder with IDX files under their
    /// MNIST names. `elbo data SRC` describes a source.
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

    /// Measure products first: off, auto (default), full
    ///
    /// Which tiling each matrix product uses. `auto` measures on GPUs what is not known yet, for at most three seconds,
    /// and keeps it in the user's cache folder; `full` measures everything anew; `off` takes the program's guess.
    /// A run keeps its tilings in its checkpoints, since others round differently.
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    pub tune: Option<crate::tune::Mode>,

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
    /// Trains several models side by side that differ in their seeds: so many that follow on --seed, or those of a list
    /// with commas. Lists in --set do the same for other settings: `--set beta=[1,2,4]`, and `lr`, `init` and
    /// `output_bias_from_data`; of several lists every combination is trained. Each member has a run folder of its own
    /// under the one of the run, with the bits that it would have alone; `best` there names the best of them.
    #[arg(long, value_name = "N|LIST", allow_negative_numbers = true)]
    pub seeds: Option<String>,

    /// Number of latent dimensions
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub latent: Option<usize>,

    /// Run folder, new or empty [default: runs/NAME-N]
    ///
    /// The run folder, which must be new or empty. Default: runs/NAME-N with the recipe's name and the next free
    /// number.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Continue a run where it stopped
    ///
    /// Continues a run from its last checkpoint (or from a given checkpoint folder), to the same bits as if it had
    /// never stopped. The run keeps its settings: only --epochs, --adapter, --threads, --profile and --quiet may be
    /// given with it.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,

    /// Compare every dispatch with its CPU twin (slow)
    ///
    /// Runs every dispatch again on its CPU twin with the same inputs, and names the first that differs. Slow: for
    /// finding a faulty driver.
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
    /// Shows adapter, model, memory and data, as before a run, and stops. Writes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `elbo eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// Run folder, or a checkpoint in it
    pub run: PathBuf,

    /// Evaluate on other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Which part of the data [default: test]
    #[arg(long)]
    pub part: Option<Part>,

    /// Also estimate -log p(x), with K samples each
    ///
    /// Also estimates -log p(x) by importance weighting with K samples per example, and gives its standard error.
    /// Published figures use 5000.
    #[arg(long, value_name = "K")]
    pub samples: Option<usize>,

    /// Key of the random numbers [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `elbo sample`.
#[derive(Debug, Clone, Args)]
pub struct SampleArgs {
    /// Run folder, or a checkpoint in it
    pub run: PathBuf,

    /// Number of examples [default: 64]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// PNG file to write [default: in the run's samples/]
    #[arg(long, value_name = "FILE.png")]
    pub out: Option<PathBuf>,

    /// Key of the random numbers [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

/// `elbo reconstruct`.
#[derive(Debug, Clone, Args)]
pub struct ReconstructArgs {
    /// Run folder, or a checkpoint in it
    pub run: PathBuf,

    /// Take examples from other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Which part of the data [default: test]
    #[arg(long)]
    pub part: Option<Part>,

    /// Number of examples [default: 32]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// PNG file to write [default: in the run's samples/]
    #[arg(long, value_name = "FILE.png")]
    pub out: Option<PathBuf>,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

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

    /// Which of the model's programs [default: train]
    #[arg(long = "for")]
    pub purpose: Option<Purpose>,

    /// Kind of device the plan is for [default: gpu]
    #[arg(long)]
    pub target: Option<Target>,

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

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

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

    /// Measure products first: off, auto (default), full
    ///
    /// Which tiling each matrix product uses. `auto` measures on GPUs what is not known yet, for at most three seconds,
    /// and keeps it in the user's cache folder; `full` measures everything anew; `off` takes the program's guess.
    /// A run keeps its tilings in its checkpoints, since others round differently.
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    pub tune: Option<crate::tune::Mode>,

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

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// What was trained on.
    Train,
    /// What chose the best checkpoint.
    Validation,
    /// What was never looked at.
    Test,
}

/// The programs of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// Forward, backward and update.
    Train,
    /// Rate and distortion only.
    Eval,
    /// Importance weights of many samples per example.
    Likelihood,
    /// From examples to posterior means and back.
    Reconstruct,
    /// From the prior to means.
    Sample,
    /// From given latents to means.
    Decode,
}

/// Kinds of devices, for which plans may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// A real GPU.
    Gpu,
    /// A software driver.
    Software,
    /// A software driver whose subgroups are eight lanes, such as Mesa's.
    Lanes,
    /// The CPU engine.
    Cpu,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> std::result::Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    /// Every command with a path of its own, such as `bench step`.
    fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path}{} ", command.get_name());
        found.push((path.trim_end().to_owned(), command.clone().display_name(path.trim_end())));
        command.get_subcommands().for_each(|inner| commands(inner, &path, found));
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn short_help_fits_a_screen_and_long_help_has_an_example() {
        let mut found = Vec::new();
        commands(&Cli::command(), "", &mut found);
        assert_eq!(found.len(), 13);
        for (path, command) in found {
            let short = command.clone().term_width(80).render_help().to_string();
            assert!(short.lines().count() <= 24, "{path} -h has {} lines:\n{short}", short.lines().count());
            let widest = short.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= 80, "{path} -h is {widest} wide:\n{short}");
            let long = command.clone().term_width(80).render_long_help().to_string();
            assert!(path == "elbo" || long.contains("Example"), "{path} --help shows no example:\n{long}");
        }
    }

    #[test]
    fn every_example_of_the_help_can_be_typed() {
        let mut found = Vec::new();
        commands(&Cli::command(), "", &mut found);
        let examples: Vec<String> = found
            .iter()
            .filter_map(|(_, command)| command.get_after_long_help())
            .flat_map(|help| help.to_string().lines().map(str::trim).map(String::from).collect::<Vec<_>>())
            .filter(|line| line.starts_with("elbo "))
            .collect();
        assert!(examples.len() >= 10, "{examples:?}");
        for line in examples {
            let cli = parse(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
            if let Command::Train(args) = cli.command {
                args.check_resume().unwrap_or_else(|e| panic!("{line}: {e}"));
                crate::config::sweep(args.recipe.recipe.as_deref(), &args.overrides(), args.seeds.as_deref())
                    .unwrap_or_else(|e| panic!("{line}: {e}"));
            }
        }
    }

    #[test]
    fn what_does_not_parse_exits_with_2_and_names_the_flag() {
        for (line, word) in [
            ("elbo train --epochs ten", "--epochs"),
            ("elbo train --epochs -1", "--epochs"),
            ("elbo train --lr fast", "--lr"),
            ("elbo train --set latent", "KEY=VALUE"),
            ("elbo train --set =2", "KEY=VALUE"),
            ("elbo train --colour", "--colour"),
            ("elbo eval", "<RUN>"),
            ("elbo eval r --part all", "--part"),
            ("elbo plan --for cake", "--for"),
            ("elbo bench", "step"),
            ("elbo bench matmul 3 4", "<K>"),
            ("elbo trian", "train"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(word), "{line}: {error}");
        }
    }
}
