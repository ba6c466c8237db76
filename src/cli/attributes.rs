//! The commands that know what latents mean: directions of attributes, examples along them, the style of one in another.

use super::inference::{ExamplesArgs, RunArgs};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// How directions of attributes are learnt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Separate {
    /// The difference of the means of both groups.
    #[default]
    Mean,
    /// The normal of the plane of a logistic regression.
    Logistic,
    /// That of linear discriminant analysis.
    Lda,
}

/// `elbo attributes`.
#[derive(Debug, Clone, Args)]
pub struct AttributesArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Columns with the attributes [default: the labels]
    ///
    /// The columns with the attributes, separated by commas: of a table any of its columns, also those that the model does not
    /// know; the factors of `sprites`; of an .npz file an array, beside an .npy file another; columns of --factors. A column of two values gives one
    /// direction, from the first to the second in their order; one of kinds gives one for each, NAME=KIND; one of numbers with
    /// more than two values is cut at its median. Default: the labels of the data, the factors of `sprites`, all of --factors.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub label: Vec<String>,

    /// Learn from other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// A file with the columns: .csv or .npy
    ///
    /// A file with the columns, a row for each example in the order of their source: a .csv file with a header, in which cells may
    /// be empty, or an .npy matrix, whose columns are called 0, 1 and so on.
    #[arg(long, value_name = "FILE")]
    pub factors: Option<PathBuf>,

    /// Columns of numbers that are kinds, without order
    #[arg(long, value_name = "NAMES")]
    pub kinds: Option<String>,

    /// mean, logistic or lda [default: mean]
    ///
    /// How a direction is learnt: mean, the difference of the means of both groups (Larsen et al. 2016); logistic, the normal of
    /// the plane that logistic regression puts between them; lda, that of linear discriminant analysis.
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub method: Option<Separate>,

    /// Of logistic the weight of |w|²/2, of lda the shrinkage
    ///
    /// Regularisation. logistic: the weight of |w|²/2 beside the sum of losses, above 0 [default: 1]. lda: how far the covariance
    /// within groups is shrunk towards a multiple of the identity, from 0 to 1 [default: 0.01].
    #[arg(long, value_name = "X")]
    pub penalty: Option<f64>,

    /// Columns that are to be alike in both groups
    ///
    /// Weighs rows so that each combination of the values of these columns counts the same in both groups (White 2016): what comes
    /// with an attribute in the data does not come with its direction.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub balance: Vec<String>,

    /// The most examples to learn from [default: 20000]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// Stochastic layer, from 1 for the lowest [default: 1]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub layer: Option<usize>,

    /// Key of what is drawn [default: the run's]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub seed: Option<u64>,

    /// .json or .npy [default: attributes.json in the run]
    ///
    /// Where the directions go: a .json file, which `elbo edit --attributes` reads, or an .npy matrix [attributes, latent] with such
    /// a file beside it. Default: attributes.json in the run's folder, in place of the one before.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `elbo edit`.
#[derive(Debug, Clone, Args)]
pub struct EditArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// Attribute to move along; of several along their sum
    #[arg(long, value_name = "NAME", required = true)]
    pub attribute: Vec<String>,

    /// How far [default: -1,-0.5,0,0.5,1]
    ///
    /// How far examples are moved, one or several numbers separated by commas: 1 is the way from the mean of those without the
    /// attribute to that of those with it, 0 the reconstruction.
    #[arg(long, value_name = "S", value_delimiter = ',', allow_hyphen_values = true)]
    pub strength: Vec<f32>,

    /// Number of examples, spread over the part [default: 8]
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,

    /// An example by its index in the part (repeatable)
    #[arg(long, value_name = "I", value_delimiter = ',', conflicts_with = "count")]
    pub example: Vec<usize>,

    /// Directions [default: attributes.json in the run]
    #[arg(long, value_name = "FILE")]
    pub attributes: Option<PathBuf>,

    /// File to write, .png or .npy [default: in the run's samples/]
    ///
    /// The file to write: a row of pictures for each example, first itself, then at each strength (.png), or an array (.npy). Rows of
    /// a table are written as text under any other name, with the example and the strength in front. Default: a file in the run's
    /// samples/.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `elbo transfer`.
#[derive(Debug, Clone, Args)]
pub struct TransferArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Which examples.
    #[command(flatten)]
    pub examples: ExamplesArgs,

    /// Examples that give the content, by index in the part
    #[arg(long, value_name = "I", value_delimiter = ',', required = true)]
    pub content: Vec<usize>,

    /// Examples that give the style
    #[arg(long, value_name = "J", value_delimiter = ',', required = true)]
    pub style: Vec<usize>,

    /// Latents that are style, from 0
    ///
    /// The latent dimensions that are style, counted from 0, separated by commas; all others are content. Default: of a model with
    /// classes all of them, since the class is the content; of one with categories and numbers the numbers.
    #[arg(long, value_name = "D", value_delimiter = ',')]
    pub dims: Vec<usize>,

    /// File to write, .png or .npy [default: in the run's samples/]
    ///
    /// The file to write: a table of pictures with the styles above and the contents on the left (.png), or an array of what stands
    /// in it, row by row (.npy). Rows of a table are written as text under any other name, with both examples in front.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
