//! The commands that ask a trained model: how good it is, what it makes, where things lie in its latent space, and what
//! lies there. What is asked of rows is in [`super::rows`].

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ThreadsArgs;

/// What every command on a trained model takes.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Run folder, or a checkpoint in it
    pub run: PathBuf,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Words in a table that the model was not trained on: refuse, missing (judge rows by their other columns), anomalous
    #[arg(long, value_name = "HOW", value_parser = ["refuse", "missing", "anomalous"], hide_short_help = true)]
    pub unknown: Option<String>,

    /// Word or number in a table that stands for a missing value, beside those of the training [repeatable]
    #[arg(long, value_name = "WORD", allow_hyphen_values = true, hide_short_help = true)]
    pub missing: Vec<String>,

    /// Print warnings and results only
    #[arg(long, short)]
    pub quiet: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which examples a command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct ExamplesArgs {
    /// Take examples from other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Which part of the data [default: test]
    #[arg(long)]
    pub part: Option<DataPart>,
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DataPart {
    /// What was trained on.
    Train,
    /// What chose the best checkpoint.
    Validation,
    /// What was never looked at.
    Test,
}

/// `elbo eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// Also estimate -log p(x), with K samples each
    ///
    /// Also estimates -log p(x) by importance weighting with K samples per example, and gives its standard error.
    /// Published figures use 5000.
    #[arg(long, value_name = "K")]
    pub samples: Option<usize>,

    /// Key of the random numbers [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// `elbo compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Run folders, or checkpoints in them
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// Also estimate -log p(x), with K samples each
    #[arg(long, value_name = "K")]
    pub samples: Option<usize>,

    /// Key of the random numbers, the same for all runs [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Device, as for `elbo train`
    #[arg(long, value_name = "SEL")]
    pub adapter: Option<String>,

    /// What --threads says.
    #[command(flatten)]
    pub threads: ThreadsArgs,

    /// Print warnings and results only
    #[arg(long, short)]
    pub quiet: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `elbo sample`.
#[derive(Debug, Clone, Args)]
pub struct SampleArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Number of examples [default: 64, or 8 of each class]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// Classes of a conditional model [default: all]
    ///
    /// Classes of a conditional model, by name or number, separated by commas; a row for each. A column is one latent,
    /// decoded as each class. Default: all of them.
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// File to write, .png or .npy [default: in the run's samples/]
    ///
    /// The file to write: a grid of pictures (.png), or an array of numbers (.npy), of arrays of categories the most probable.
    /// Rows of a table are written as text under any other name. Of music it is a folder for a file each, or a .mid with all of them
    /// one after the other. Default: a file, or of music a folder, in the run's samples/.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Key of the random numbers [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Draw latents from a mixture that is fitted to codes, in place of the prior
    ///
    /// Draws latents from a mixture of normal distributions that is fitted to the codes of the run's training part, in place of
    /// the prior that it was trained with (a GMM sampler). The codes are the means of the posteriors, at most 20,000 of them.
    #[arg(long, value_name = "KIND")]
    pub ex_post: Option<ExPost>,

    /// Components of that mixture [default: 10]
    #[arg(long, value_name = "K", requires = "ex_post", hide_short_help = true)]
    pub components: Option<usize>,

    /// Of priors of codes, sequences and residual hierarchies: below 1 likelier, above 1 more varied [default: 1]
    ///
    /// Of a residual hierarchy (`model.hierarchy = residual`) the deviation of what is drawn in each group of latents is multiplied by T.
    /// Several numbers, `0.7,0.9`, are those of its resolutions from the data up, or of its groups.
    ///
    /// Of a prior of codes (`elbo train --prior-of`) and of a model of sequences: codes or tokens are drawn with probabilities in
    /// proportion to exp(logit/T), from the likeliest alone (0) by those of the model (1) to ones that are more alike.
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_delimiter = ',', hide_short_help = true)]
    pub temperature: Vec<f32>,

    /// Of a model of sequences: choose from the K likeliest tokens [default: all]
    #[arg(long, value_name = "K", hide_short_help = true)]
    pub top_k: Option<usize>,

    /// Of a model of sequences: choose from the likeliest tokens that together have this probability [default: 1]
    #[arg(long, value_name = "P", hide_short_help = true)]
    pub top_p: Option<f32>,

    /// Draw values from p(x|z), not its mean
    ///
    /// Draws every value from p(x|z), as new data would be: numbers with their deviation, whole counts, one level of a
    /// category. Without it values are the means of p(x|z), or the most probable level, which vary less than data do. A draw
    /// depends on the seed and its place alone.
    #[arg(long)]
    pub draw: bool,

    /// Items in a row that a multinomial draws
    #[arg(long, value_name = "N")]
    pub total: Option<u64>,

    /// Say how drawn rows differ from the run's data
    ///
    /// Draws rows (as --draw does; 1000 unless -n says otherwise) and says how they differ from the rows that were trained
    /// on: the distribution of each column, correlations, copies of training rows, and how often a classifier tells drawn
    /// from held-out rows. Beside it stands what held-out rows would get. A file is written where --out names one.
    #[arg(long)]
    pub compare: bool,

    /// Where the data of the run lie now
    ///
    /// Where the data of the run lie now, which --compare and --ex-post look at.
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,
}

/// What takes the place of the prior after training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExPost {
    /// A mixture of normal distributions, fitted to the codes of the training part.
    Gmm,
}

/// `elbo reconstruct`.
#[derive(Debug, Clone, Args)]
pub struct ReconstructArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// Number of examples, spread over the part [default: 32]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// An example by its index in the part (repeatable)
    ///
    /// An example, by its place in the part, counted from 0; may be given many times, or as a list
    /// (`--example 0,7`).
    #[arg(long, value_name = "I", value_delimiter = ',', conflicts_with = "count")]
    pub example: Vec<usize>,

    /// Decode as this class, or as `all` in turn
    ///
    /// Decodes examples of a conditional model as this class, by its name or number, and not as what they are: `all` gives
    /// a row for each of 10 examples, first the example, then what it is as each class.
    #[arg(long, value_name = "CLASS")]
    pub as_class: Option<String>,

    /// Of text, keep the N likeliest beginnings at each token
    ///
    /// Beam search for the tokens of a line: of the beginnings of a line the N likeliest go on at each token, and the
    /// likeliest whole line is shown. Without it, or with 1, it is the likeliest token in every place.
    #[arg(long, value_name = "N")]
    pub beam: Option<usize>,

    /// File to write, .png or .npy [default: in the run's samples/]
    ///
    /// The file to write: pictures below each other (.png), or an array of numbers (.npy), first all examples, then all
    /// reconstructions, [2, n, …]; as each class, row after row. Rows of a table are written as text under any other
    /// name. Default: a file in the run's samples/.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `elbo report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// File to write, .html [default: report.html in the run's folder]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Which stochastic layers of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stochastic {
    /// All.
    All,
    /// One, counted from 1 for the lowest.
    One(usize),
}

/// Reads the value of `--layer`.
fn stochastic(text: &str) -> Result<Stochastic, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(Stochastic::All),
        (_, Ok(layer)) => Ok(Stochastic::One(layer)),
        _ => Err("expected `all`, or the number of a stochastic layer, from 1 for the lowest".into()),
    }
}

/// `elbo embed`.
#[derive(Debug, Clone, Args)]
pub struct EmbedArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Embed other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Which part of the data [default: all of it]
    #[arg(long)]
    pub part: Option<DataPart>,

    /// File to write: .npy or .csv
    ///
    /// The file to write. An .npy file holds the means, f32 of shape [examples, latent]. A .csv file has a header, and
    /// per example its index, of a cell its barcode, its label where there are labels, and its means. An .h5ad file, where
    /// elbo was built with the feature `h5ad`, holds the same for scanpy.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Also write the posterior's standard deviations
    ///
    /// Also writes the posterior's standard deviations: further columns of a .csv file, a second file beside an .npy
    /// file (`z.npy` and `z.std.npy`).
    #[arg(long)]
    pub std: bool,

    /// Stochastic layer, from 1 for the lowest, or `all` [default: 1]
    ///
    /// Of several stochastic layers the one that is written, counted from 1 for the lowest, or `all` of them side by side, the
    /// lowest first. Each is given the mean of the layer that its posterior depends on.
    #[arg(long, value_name = "N|all", value_parser = stochastic)]
    pub layer: Option<Stochastic>,

    /// Key of dynamic binarisation [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// `elbo decode`.
#[derive(Debug, Clone, Args)]
pub struct DecodeArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Latents: .npy, or .csv as `elbo embed` writes it
    ///
    /// The latents, [count, latent]: an .npy file of floats, or a .csv file, of which the columns `mean_0`, `mean_1`, …
    /// are taken, or all columns where there is no header.
    pub latents: PathBuf,

    /// The class as which a conditional model decodes
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// File to write: .npy, .csv or .png
    ///
    /// The file to write: the decoder's means as an .npy file [count, channels, height, width] (of categories their
    /// probabilities, [count, …, categories]), as a .csv file with a row for each latent, or as a grid of images (.png).
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// How to go from one latent to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Path {
    /// Along a great circle, at radii between those of the ends.
    #[default]
    Spherical,
    /// Along the straight line.
    Linear,
}

/// `elbo interpolate`.
#[derive(Debug, Clone, Args)]
pub struct InterpolateArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// Two examples by their index in the part (repeatable)
    ///
    /// Two examples, by their index in the part, counted from 0; may be given many times, for a row each. Default: six
    /// pairs spread over the part.
    #[arg(long, value_name = "I,J", value_parser = pair)]
    pub pair: Vec<(usize, usize)>,

    /// Pictures from one end to the other [default: 9]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,

    /// Way through the latent space [default: spherical]
    ///
    /// The way through the latent space: spherical (White 2016) stays where the prior has its mass, linear goes
    /// straight and so, in many dimensions, through regions that the model never saw.
    #[arg(long)]
    pub path: Option<Path>,

    /// Stochastic layer in which to go [default: 1, the lowest]
    ///
    /// Of several stochastic layers the one whose latents lie between, counted from 1 for the lowest. Those below it are the
    /// means of what their priors say.
    #[arg(long, value_name = "N")]
    pub layer: Option<usize>,

    /// Class to decode as [default: the nearer end's]
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// File to write, .png or .npy [default: in the run's samples/]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `elbo traverse`.
#[derive(Debug, Clone, Args)]
pub struct TraverseArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// Vary this example's code [default: the prior's mean]
    ///
    /// The example, by its index in the part, around whose posterior mean each dimension is varied. Default: the mean
    /// of the prior, zero in all dimensions.
    #[arg(long, value_name = "I")]
    pub example: Option<usize>,

    /// Stochastic layer to vary [default: the highest]
    ///
    /// Of several stochastic layers the one whose dimensions are varied, counted from 1 for the lowest. Those below it are the
    /// means of what their priors say.
    #[arg(long, value_name = "N")]
    pub layer: Option<usize>,

    /// Class to decode as [default: the example's]
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// Go from -X to X [default: 3]
    ///
    /// Each dimension takes values from -X to X, in standard deviations of the prior.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub range: Option<f32>,

    /// Pictures of each dimension [default: 9]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,

    /// The most dimensions to show [default: 20]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// File to write, .png or .npy [default: in the run's samples/]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How latents of many dimensions come into a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// The two directions in which the means vary most.
    Pca,
    /// Neighbours stay neighbours; distances between groups mean little.
    Tsne,
}

/// `elbo latent`.
#[derive(Debug, Clone, Args)]
pub struct LatentArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// How to get to two dimensions [default: pca]
    ///
    /// How the posterior means get into a plane: pca, the two directions in which they vary most, or tsne (van der
    /// Maaten 2014), which keeps neighbours together. Two latent dimensions are drawn as they are unless tsne is asked
    /// for.
    #[arg(long)]
    pub method: Option<Method>,

    /// Neighbours that t-SNE looks at [default: 30]
    #[arg(long, value_name = "X")]
    pub perplexity: Option<f32>,

    /// Class as which points of the plane are decoded
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,

    /// The most examples to draw [default: 5000]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// PNG file to write [default: in the run's samples/]
    ///
    /// The PNG file to write. Where the model has two latent dimensions, a second one shows what is decoded at points
    /// of the plane (`FILE-manifold.png`).
    #[arg(long, value_name = "FILE.png")]
    pub out: Option<PathBuf>,
}

/// `elbo disentangle`.
#[derive(Debug, Clone, Args)]
pub struct DisentangleArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Take examples from other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// train, validation or test [default: all of it]
    #[arg(long, hide_possible_values = true)]
    pub part: Option<DataPart>,

    /// The most examples, drawn at random [default: 10000]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// Factors of the examples: .csv or .npy
    ///
    /// A file with the factors of the examples, a row for each in the order of their source and a column for each
    /// factor. A .csv file has a header with their names, and columns of words are kinds; columns of an .npy file,
    /// [examples, factors], are called 0, 1 and so on. The factors of `sprites` are known without a file.
    #[arg(long, value_name = "FILE")]
    pub factors: Option<PathBuf>,

    /// Factors whose values have no order
    ///
    /// Names of factors whose values are kinds and have no order, separated by commas. It matters to SAP alone.
    #[arg(long, value_name = "NAMES")]
    pub kinds: Option<String>,

    /// Folder for codes.npy and factors.npy of the examples
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,

    /// PNG file: each latent varied, by the factor it follows
    ///
    /// A picture in which a row varies one latent, as `elbo traverse` does: rows stand in the order of the factors that their
    /// latents follow, and of several that follow one the one that tells most of it comes first. Which is which is printed.
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,

    /// Key of what is drawn [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Splits `I,J`.
fn pair(typed: &str) -> Result<(usize, usize), String> {
    let numbers = typed.split_once(',').map(|(a, b)| (a.trim().parse(), b.trim().parse()));
    match numbers {
        Some((Ok(a), Ok(b))) => Ok((a, b)),
        _ => Err("expected I,J, for example 0,7".into()),
    }
}
