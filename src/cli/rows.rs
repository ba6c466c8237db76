//! The commands that ask a trained model about rows: which are anomalies, of which class they are, what they lack,
//! and more of them.

use super::inference::{DataPart, RunArgs};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `elbo score`.
#[derive(Debug, Clone, Args)]
pub struct ScoreArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Score other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// train, validation or test [default: all of it]
    #[arg(long, hide_possible_values = true)]
    pub part: Option<DataPart>,

    /// CSV file to write: a row for each row
    ///
    /// The CSV file to write: for each row of the data, in their order, its index (from 0), its label where there are
    /// labels, its score in nats (higher = more anomalous), and with a threshold a flag (`anomaly`, 1 or 0).
    #[arg(long, value_name = "FILE.csv")]
    pub out: Option<PathBuf>,

    /// Add what each column contributes, and the rate
    ///
    /// Adds to the file what makes the score of each row: the distortion of each column at the posterior's mean
    /// (`distortion.NAME`) and the rate, in nats. With --samples these are the parts of another score, `mean_field`.
    #[arg(long, requires = "out")]
    pub features: bool,

    /// Score by -log p(x) of so many samples
    ///
    /// Latent samples for the importance-weighted estimate of -log p(x) of each row. Their noise is fixed and the same
    /// for every row, so a row always has the same score. The default for pictures, with 128 samples.
    #[arg(long, value_name = "K", conflicts_with = "mean_field")]
    pub samples: Option<usize>,

    /// Score against training rows (the default for rows)
    ///
    /// The score is -ELBO at the posterior's mean, with the posteriors of training rows, but for the strangest fifth of them, in
    /// the place of the prior. The default for tables and arrays of numbers. The run's data have to be there the first time;
    /// what is needed of them is kept in the run's folder.
    #[arg(long, conflicts_with_all = ["mean_field", "samples"], hide_short_help = true)]
    pub exemplars: bool,

    /// Score by -ELBO at the posterior mean instead
    ///
    /// The score is -ELBO with the posterior's mean in place of a sample. Nothing is drawn; --features adds up to it.
    #[arg(long)]
    pub mean_field: bool,

    /// Flag above this quantile [default: 0.99]
    ///
    /// The threshold is this quantile of the scores of held-out rows, which are taken for normal: the run's validation
    /// part, or else its test part, or else the rows that it was trained on, which is said. It is kept in the run's
    /// folder (`threshold.json`), so that the run's data need not be there the next time.
    #[arg(long, value_name = "Q", conflicts_with_all = ["false_alarm_rate", "threshold"])]
    pub quantile: Option<f64>,

    /// Flag at most this share of new normal rows
    ///
    /// The threshold is the lowest held-out score with which at most this share of new normal rows is flagged, in the
    /// mean over held-out rows (split conformal bound). With n held-out rows no rate below 1/(n + 1) can be had.
    #[arg(long, value_name = "R", conflicts_with = "threshold")]
    pub false_alarm_rate: Option<f64>,

    /// Flag above this score; `none` flags nothing
    #[arg(long, value_name = "NATS", value_parser = threshold, allow_negative_numbers = true)]
    pub threshold: Option<Threshold>,

    /// Say how well scores tell known anomalies
    ///
    /// Compares scores with labels: AUROC, average precision and precision at n. NAME is what holds them: a column of a
    /// table, an array of an .npz, a file beside an .npy; without NAME the labels that the data have are taken.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub labels: Option<String>,

    /// The class that is normal [default: 0]
    ///
    /// The class that is normal, by its number or name; all others are anomalies. Default: the class 0 or, where classes
    /// have names, `0` or `normal`.
    #[arg(long, value_name = "CLASS", requires = "labels")]
    pub normal: Option<String>,
}

/// A threshold that is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// Nothing is flagged.
    None,
    /// Rows with a higher score are flagged.
    At(f64),
}

/// `elbo predict`.
#[derive(Debug, Clone, Args)]
pub struct PredictArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Classify other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Which part of the data [default: all of it]
    #[arg(long)]
    pub part: Option<DataPart>,

    /// File to write: .npy or .csv
    ///
    /// The file to write. An .npy file holds probabilities, f32 of shape [examples, classes]. A .csv file has a header, and per
    /// example its index, its label where there are labels, the likeliest class, and the probability of each.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `elbo recommend`.
#[derive(Debug, Clone, Args)]
pub struct RecommendArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Users and what each chose so far, other than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// Which part of the data [default: all; to evaluate the run's own, test]
    #[arg(long, hide_possible_values = true)]
    pub part: Option<DataPart>,

    /// Items of each user in the file [default: 10]
    #[arg(long, value_name = "K", conflicts_with = "evaluate")]
    pub top: Option<usize>,

    /// File to write: .csv
    ///
    /// The file to write, with a line for each item of each user: user, rank from 1 up, item, and the logarithm of its
    /// probability to be the next one.
    #[arg(long, value_name = "FILE", required_unless_present = "evaluate", conflicts_with = "evaluate")]
    pub out: Option<PathBuf>,

    /// Print Recall@K and NDCG@K on items that are held back
    ///
    /// Holds back a fifth of the items of each user, ranks all others by what is left, and prints means over users.
    /// Recall@K: how many of the items held back are among the first K, over their number or over K, whichever is less.
    /// NDCG@K: 1/log2(place + 1) of each of these, over what it would be if they came first. Beside it stands the list of
    /// the items that most users of the training part have, where the data are the run's own.
    #[arg(long)]
    pub evaluate: bool,

    /// K to evaluate at [default: 20,50,100]
    #[arg(long, value_name = "K", value_delimiter = ',', requires = "evaluate")]
    pub at: Vec<usize>,

    /// Key of what is held back [default: the run's]
    #[arg(long, value_name = "N", requires = "evaluate")]
    pub seed: Option<u64>,
}

/// With what missing values are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FillWith {
    /// The mean of a number, the most probable level.
    Mean,
    /// The most probable value.
    Mode,
    /// A draw.
    Draw,
}

/// `elbo impute`.
#[derive(Debug, Clone, Args)]
pub struct ImputeArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Fill other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// File to write: .csv for a table, .npy for an array, .npy or .png for pictures
    ///
    /// The file to write: all rows of the source in their order, and in a table all columns. What is there comes back as it
    /// is in the source; what is missing is filled in its units: whole numbers stay whole, and levels are levels.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// mean, mode or draw [default: mean]
    ///
    /// Fills with the mean of p(missing | there) (of levels with the most probable one), with the most probable value of each
    /// by itself, or with a draw of all that is missing from a row together. Means vary less than data do: for anything but
    /// the single values take draws, and several of them.
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub fill: Option<FillWith>,

    /// Multiple imputation: M draws of each row
    ///
    /// Fills with draws, M times. All M tables stand below each other in one file, with the number of each, from 1 up, in a
    /// column `imputation` in front; of arrays the first axis is M.
    #[arg(long, value_name = "M", conflicts_with = "fill")]
    pub draws: Option<usize>,

    /// Latent samples of a row [default: 500]
    #[arg(long, value_name = "K")]
    pub samples: Option<usize>,

    /// Fill and encode again N times [default: 0]
    ///
    /// Fills rows with draws and encodes them again, N times, before they are filled. For models whose training data had no
    /// missing values: their encoders know no rows with holes. It takes N times as long.
    #[arg(long, value_name = "N")]
    pub iterations: Option<usize>,

    /// Pictures: what is missing, white in an image
    ///
    /// What is missing from pictures: an image of their size in which it is white, or an .npy file in which it is not 0, of
    /// one picture for all of them or of one for each.
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,

    /// Key of the random numbers [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Where the latents of new rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LatentsFrom {
    /// The prior, decoded as a class.
    Prior,
    /// The posteriors of rows of a class.
    Posterior,
}

/// What a new row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NewValues {
    /// A draw from p(x|z).
    Draw,
    /// Its mean.
    Mean,
}

/// `elbo augment`.
#[derive(Debug, Clone, Args)]
pub struct AugmentArgs {
    /// The model.
    #[command(flatten)]
    pub run: RunArgs,

    /// Augment other data than the run's own
    #[arg(long, value_name = "SRC")]
    pub data: Option<String>,

    /// train, validation or test alone [default: all of it]
    #[arg(long, hide_possible_values = true)]
    pub part: Option<DataPart>,

    /// .csv, .npz, or a folder for pictures
    ///
    /// What to write. A table: its rows as they are, new ones below, and a column `synthetic`, 0 or 1. An .npz file: arrays
    /// x, y and synthetic. A folder, for pictures: a folder of each class with the new pictures alone, as .png files.
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,

    /// Rows of each class: N, or CLASS=N,… [default: largest]
    ///
    /// How many rows there are to be, with those that there are: N of every class of the data that has fewer, or
    /// CLASS=N,CLASS=N of classes by name. Without it each class gets as many as the largest has.
    #[arg(long, value_name = "COUNTS")]
    pub to: Option<String>,

    /// What holds the classes, if the model knows none
    #[arg(long, value_name = "NAME")]
    pub labels: Option<String>,

    /// Latents: prior or posterior [default: prior if it can]
    ///
    /// Latents of new rows. prior: drawn from the prior and decoded as the class, by models that know classes, of which
    /// it is the default. posterior: each row of the class in turn, in an order by the seed, encoded, and a latent drawn from
    /// its posterior: the only way of models that know no classes.
    #[arg(long, value_name = "WHERE", hide_possible_values = true)]
    pub from: Option<LatentsFrom>,

    /// draw or mean of p(x|z) [default: draw; pictures mean]
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub values: Option<NewValues>,

    /// Write the new rows alone
    #[arg(long)]
    pub only_new: bool,

    /// How many items a row of a multinomial has
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub total: Option<u64>,

    /// Key of the random numbers [default: the run's]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub seed: Option<u64>,
}

/// A score, or `none`.
fn threshold(typed: &str) -> Result<Threshold, String> {
    match typed.parse() {
        _ if typed == "none" => Ok(Threshold::None),
        Ok(nats) if f64::is_finite(nats) => Ok(Threshold::At(nats)),
        _ => Err("expected a number of nats, or none".into()),
    }
}
