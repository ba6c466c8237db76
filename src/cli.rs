//! What can be typed. Only definitions: what a command does stands in `commands`, what a run does in `config`.

mod attributes;
mod bench;
mod compress;
mod inference;
mod inspect;
mod interop;
mod rows;
mod settings;
mod shell;
mod train;

use clap::{Parser, Subcommand};

pub use attributes::{AttributesArgs, EditArgs, Separate, TransferArgs};
pub use bench::{BenchArgs, BenchCommand, BenchEvalArgs, BenchMatmulArgs, BenchStepArgs};
pub use compress::{CompressArgs, DecompressArgs};
pub use inference::{
    CompareArgs, DataPart, DecodeArgs, DisentangleArgs, EmbedArgs, EvalArgs, ExPost, ExamplesArgs, InterpolateArgs,
    LatentArgs, Method, Path, ReconstructArgs, ReportArgs, RunArgs, SampleArgs, Stochastic, TraverseArgs,
};
pub use inspect::{AdaptersArgs, DataArgs, DoctorArgs, PlanArgs, Target};
pub use interop::{ExportArgs, Format, ImportArgs};
pub use rows::{
    AugmentArgs, FillWith, ImputeArgs, LatentsFrom, NewValues, PredictArgs, RecommendArgs, ScoreArgs, Threshold,
};
pub use shell::{CompletionsArgs, ManArgs, RunsArgs};
pub use train::{RecipeArgs, ThreadsArgs, TrainArgs};

/// The help of the program itself: a list with a line for each command would fill more than a screen.
const OVERVIEW: &str = "\
{about-with-newline}
{usage-heading} {usage}

Commands (elbo COMMAND -h says more):
  train                    Train a model, or go on training; leaves a run folder
  eval, compare            Rate, distortion, ELBO, likelihood of one or several
  sample, reconstruct      Pictures of new examples, and of examples made again
  interpolate, traverse    Pictures of what lies between, and what dimensions do
  latent, disentangle      A map of the latent space; scores by known factors
  attributes, edit         Directions of attributes; examples moved along them
  score, predict, impute   Anomalies among rows, classes of rows, what they lack
  augment, recommend       More rows of rare classes; what users may choose next
  embed, decode, transfer  To latents and back; one example in another's style
  compress, decompress     Examples in a small file, without loss or with some
  export, import           To and from other programs: safetensors, ONNX; a page
  runs, report, data       All runs; one as a page; what is in a source of data
  plan, bench              What would be computed, step by step; how fast it is
  adapters, doctor         Which devices there are, and whether they work
  completions, man, help   For the shell, for `man elbo`; of a command

Options:
{options}";

/// Train variational autoencoders on any GPU, from one small binary.
///
/// Start with `elbo train`: it needs no data and no GPU, and leaves a run folder with samples to look at. Progress goes
/// to stderr and results to stdout. Exit codes: 0 fine, 1 bug, 2 usage, 3 data, 4 diverged, 5 device, 6 disk, 130
/// stopped after a good checkpoint.
#[derive(Debug, Parser)]
#[command(name = "elbo", version, arg_required_else_help = true, max_term_width = 100, help_template = OVERVIEW)]
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
  elbo train --set 'model.hidden=[512,256]' --set latent=10 --lr 3e-4
  elbo train --seeds 4 --set 'beta=[1,4]'
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

    /// Set runs side by side, and beside published results
    ///
    /// Evaluates several models alike, names the settings in which they differ, and puts beside them what was published
    /// for the same data, with what the authors did otherwise.
    #[command(after_long_help = "\
Examples:
  elbo compare runs/first runs/second
  elbo compare runs/* --samples 5000 --json")]
    Compare(CompareArgs),

    /// Draw new examples from a trained model
    ///
    /// Draws latents from the prior, decodes them, and writes the decoder's means as a grid of images, or as rows of a table.
    /// --draw draws the values, too, as new data would be; --compare says how such rows differ from real ones.
    #[command(after_long_help = "\
Examples:
  elbo sample runs/first -n 100 --out samples.png
  elbo sample runs/table -n 1000 --draw --out new.csv
  elbo sample runs/table --compare")]
    Sample(SampleArgs),

    /// Show examples beside what the model makes of them
    ///
    /// Encodes examples, decodes their posterior means, and writes both as a grid of images.
    #[command(after_long_help = "\
Example:
  elbo reconstruct runs/first -n 32 --out reconstructions.png")]
    Reconstruct(ReconstructArgs),

    /// Write the latents of examples to a file
    ///
    /// Encodes examples and writes the means of their posteriors, and with --std their standard deviations, to an .npy
    /// or .csv file. The numbers of an example do not depend on which others are encoded with it.
    #[command(after_long_help = "\
Examples:
  elbo embed runs/first --out z.npy
  elbo embed runs/first --data mnist/ --part test --std --out z.csv")]
    Embed(EmbedArgs),

    /// Say which class examples are of
    ///
    /// Writes the probability of each class for each example, q(y|x), by a model that infers classes
    /// (`model.condition = inferred`). Data need no labels; where they have some, the share that is right is printed.
    #[command(after_long_help = "\
Examples:
  elbo train --recipe m2 --data mnist --set data.labelled=100 --out runs/few
  elbo predict runs/few --part test --out classes.csv
  elbo predict runs/few --data new.csv --out classes.npy")]
    Predict(PredictArgs),

    /// Score rows: the higher, the more anomalous
    ///
    /// Gives every row a score in nats, -log p(x): the higher, the more anomalous. The same row has the same score at
    /// every call, whatever rows come with it. A threshold is learnt from held-out rows of the run's own data, and rows
    /// above it are flagged; --features says which columns make a score.
    #[command(after_long_help = "\
Examples:
  elbo train --recipe anomaly --data normal.csv --out runs/first
  elbo score runs/first --data new.csv --features --out scores.csv
  elbo score runs/first --data new.csv --false-alarm-rate 0.01 --out scores.csv
  elbo score runs/first --data tested.npz --labels y --json")]
    Score(ScoreArgs),

    /// Fill what is missing from rows or pictures
    ///
    /// Fills missing cells of a table, NaN in an array, or the masked part of pictures by what the model makes of the rest:
    /// means, modes or draws of p(missing | there), with importance-weighted latents.
    #[command(after_long_help = "\
Examples:
  elbo impute runs/first --data patients.csv --out filled.csv
  elbo impute runs/first --data patients.csv --draws 5 --out five.csv
  elbo impute runs/digits --mask lower-half.png --out filled.png")]
    Impute(ImputeArgs),

    /// Say what users may choose next
    ///
    /// Writes the items that users are likeliest to choose next, of those that they have not chosen yet, by a model of users
    /// and what each chose. With --evaluate it holds back a fifth of each user's items and says how many of them such lists
    /// find, and how far up.
    #[command(after_long_help = "\
Examples:
  elbo train --recipe recommend --data ratings.csv --set data.pairs=user,film,stars --set at_least=4 --out runs/films
  elbo recommend runs/films --evaluate
  elbo recommend runs/films --data new.csv --top 20 --out next.csv")]
    Recommend(RecommendArgs),
    /// Add rows of the classes that are rare
    ///
    /// Draws new rows or pictures of the classes that are rare until the classes are as asked, in the units and types of the
    /// data, marks them in a column, and says how many of them are too near to a row that was there.
    #[command(after_long_help = "\
Examples:
  elbo augment runs/first --part train --out more.csv
  elbo augment runs/first --data train.csv --to ill=500,well=500 --out more.csv
  elbo augment runs/digits --to 2000 --out new/")]
    Augment(AugmentArgs),

    /// Turn latents into examples
    ///
    /// Decodes latents from a file and writes the decoder's means: probabilities for a Bernoulli decoder.
    #[command(after_long_help = "\
Examples:
  elbo decode runs/first z.npy --out x.npy
  elbo decode runs/first z.csv --out grid.png")]
    Decode(DecodeArgs),

    /// Make examples small with a trained model
    ///
    /// Writes examples to a file of about -ELBO bits by bits-back coding, from which `elbo decompress` gives back every bit of
    /// them; with --lossy far fewer bits, from which it makes what the model decodes.
    #[command(after_long_help = "\
Examples:
  elbo compress runs/first --part test --out test.elbo
  elbo compress runs/first --data photos/ --lossy --step 0.2 --out photos.elbo")]
    Compress(CompressArgs),

    /// Give back what was compressed
    ///
    /// Gives back the examples of a file that `elbo compress` wrote with the same model, on this machine or another.
    #[command(after_long_help = "\
Examples:
  elbo decompress runs/first test.elbo --out test.npy
  elbo decompress runs/first photos.elbo --out photos/")]
    Decompress(DecompressArgs),

    /// Show what lies between two examples
    ///
    /// Draws pairs of examples and what is decoded on the way from the posterior mean of one to that of the other, as a
    /// grid of images: a row begins and ends with the examples themselves.
    #[command(after_long_help = "\
Examples:
  elbo interpolate runs/first
  elbo interpolate runs/first --pair 0,7 --pair 3,12 --path linear --steps 12 --out between.png")]
    Interpolate(InterpolateArgs),

    /// Show what each latent dimension does
    ///
    /// Varies one latent dimension at a time and draws what is decoded, a row for each dimension: the one that carries
    /// most information (KL in nats, over the examples) comes first.
    #[command(after_long_help = "\
Examples:
  elbo traverse runs/first
  elbo traverse runs/first --example 4 --range 2 -n 8 --out traverse.png")]
    Traverse(TraverseArgs),

    /// Draw a map of the latent space
    ///
    /// Draws the posterior means of examples as points in a plane, coloured by label where there are labels.
    #[command(after_long_help = "\
Examples:
  elbo latent runs/first
  elbo latent runs/first --method tsne -n 2000 --out map.png")]
    Latent(LatentArgs),

    /// Score how well latents follow known factors
    ///
    /// Encodes examples whose factors of variation are known, those of `sprites` or of a file, and prints scores of
    /// disentanglement: MIG, DCI, SAP, modularity and that of Kim and Mnih, and which factor each latent follows.
    #[command(after_long_help = "\
Examples:
  elbo disentangle runs/sprites
  elbo disentangle runs/mine --factors factors.csv --kinds shape,colour --json")]
    Disentangle(DisentangleArgs),

    /// Learn the directions of attributes in latent space
    ///
    /// Learns for each attribute of labelled examples the direction in which their latents go from those without it to those with
    /// it, says how well it tells held-out examples apart, and keeps the directions with the run for `elbo edit`.
    #[command(after_long_help = "\
Examples:
  elbo attributes runs/first
  elbo attributes runs/faces --factors attributes.csv --label smiling,glasses --balance male
  elbo attributes runs/table --label smoker --method logistic")]
    Attributes(AttributesArgs),

    /// Move examples along the directions of attributes
    ///
    /// Encodes examples, moves their latents along directions that `elbo attributes` learnt, and writes what they decode to: a row
    /// of pictures for each example, or rows of a table in their own units.
    #[command(after_long_help = "\
Examples:
  elbo edit runs/faces --attribute smiling --strength 0,0.5,1,1.5 --out smiles.png
  elbo edit runs/table --attribute smoker --strength -1 --data new.csv --out without.csv")]
    Edit(EditArgs),

    /// Give one example the style of another
    ///
    /// Decodes the class of one example with the latents of another or, by --dims, some latents of one with the others of another.
    #[command(after_long_help = "\
Examples:
  elbo transfer runs/digits --content 0,1,2 --style 3,7 --out styles.png
  elbo transfer runs/first --content 0 --style 5 --dims 2,4")]
    Transfer(TransferArgs),

    /// Write a model for other programs
    ///
    /// Writes a folder with the model: its parameters as safetensors with PyTorch's names and layouts, or its encoder
    /// and decoder as ONNX files; with each go a config.json and a model card. Or a page for browsers, which explores the
    /// model and, with --train, trains it.
    #[command(after_long_help = "\
Examples:
  elbo export runs/first --format safetensors --out exported
  elbo export runs/first/checkpoints/best --format onnx --out networks
  elbo export runs/first --format web --out page
  elbo export --format web --train --set data.examples=3000 --out page")]
    Export(ExportArgs),

    /// Make a run of a model from PyTorch
    ///
    /// Makes a run folder of a fully connected VAE whose PyTorch `state_dict` was saved as safetensors. Widths are read
    /// off the tensors; what they do not say (non-linearity, likelihood) comes from --recipe and --set.
    #[command(after_long_help = "\
Examples:
  elbo import vae.safetensors --data mnist/ --out runs/theirs
  elbo import vae.safetensors --map encoder.0=body --set activation=tanh --shape 1,28,28 --out runs/theirs")]
    Import(ImportArgs),

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
  elbo doctor --adapter software
  elbo doctor --wgsl forms")]
    Doctor(DoctorArgs),

    /// Write a run as one page
    ///
    /// Writes one HTML file with all that a run came to: figures, curves, samples, reconstructions, what latent dimensions do
    /// and carry, a map of the latent space, scores beside the threshold where `elbo score` learnt one, and all settings. It
    /// needs no other file and asks nobody.
    #[command(after_long_help = "\
Example:
  elbo report runs/first --out first.html")]
    Report(ReportArgs),

    /// List runs with their best metric
    ///
    /// Lists run folders: what was trained on what, how far, and the best -ELBO (or bound, where that
    /// is minimised) of an epoch in nats per example, of the validation part where there is one and of
    /// training elsewhere.
    #[command(after_long_help = "\
Examples:
  elbo runs
  elbo runs runs/ elsewhere/first --json")]
    Runs(RunsArgs),

    /// Measure speed
    ///
    /// Measures speed, after checking that what is timed is right.
    #[command(after_long_help = "\
Example:
  elbo bench step --batch 128 --json")]
    Bench(BenchArgs),

    /// Print a script that completes commands in a shell
    ///
    /// Prints a script with which a shell completes commands and flags: bash, elvish, fish, powershell or zsh.
    #[command(after_long_help = "\
Example:
  elbo completions bash > ~/.local/share/bash-completion/completions/elbo")]
    Completions(CompletionsArgs),

    /// Write the manual pages
    ///
    /// Writes a manual page for the program and one for each command.
    #[command(after_long_help = "\
Example:
  elbo man --out ~/.local/share/man/man1")]
    Man(ManArgs),
}

#[cfg(test)]
mod tests;
