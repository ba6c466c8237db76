//! `[data]`: where the examples come from and how they are presented.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest side to which images are brought.
const MAX_SIDE: usize = 4096;

/// Where the examples come from and how they are presented. A key that a source has no use for is ignored by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// `glyphs`, `sprites`, `mnist`, `fashion-mnist`, or a path: IDX, `.npy`, `.npz`, `.csv`, `.mtx`, `.txt`, `.smi`, `.mid`, a folder
    /// of IDX files, of images, of texts or of MIDI files.
    pub source: String,
    /// MiB that the examples of a source may take in memory, as they are stored or as a model takes them. What takes more
    /// stays on the disk, and is read when it is wanted.
    pub memory: usize,
    /// Examples that are on the device at a time. 0 stands for all of them where they fit, else for 64 MiB.
    pub window: usize,
    /// Rows that follow each other in the source and are read together: so many are a shard, and every epoch takes the shards in
    /// another order and shuffles some at a time ([`crate::data::batches::order_of_shards`]). 0 shuffles all rows.
    pub shard: usize,
    /// How values are turned into zeros and ones, if at all.
    pub binarise: Binarise,
    /// Examples taken from the end of the training part for validation; 0 trains on everything.
    pub validation: usize,
    /// The largest share of the examples outside the test part that become the validation part, however many
    /// `validation` asks for. A number that is given on the command line comes without such an end.
    pub validation_share: f32,
    /// Number of examples that `glyphs` or `sprites` draws, test part included.
    pub examples: usize,
    /// The share of the examples that becomes the test part of a source that has none of its own. Glyphs and sprites keep a sixth.
    pub test: f32,
    /// How `test` and `validation_share` become numbers of examples.
    pub rounding: Rounding,
    /// Whether arrays, tables and folders of images are put in a random order, always the same one, before they are
    /// divided. IDX files stay as they are.
    pub shuffle: bool,
    /// How numbers are scaled before a model sees them.
    pub scale: Scale,
    /// What is white where pictures are stored as bytes.
    pub white: White,
    /// `.npz`: the array that holds the examples; empty means `x_train`, `X`, `x`, `data` or the only one.
    pub array: String,
    /// Where the classes are: a column of a `.csv`, an array of an `.npz`, a file beside an `.npy`. Empty means `y` and
    /// the like of an `.npz`, the subfolders of images, no column of a table; `none` means nowhere.
    pub labels: String,
    /// M2: how many examples of the training part show their label to a model whose `model.condition` is `inferred`, of each class
    /// as many; 0 for all that have one.
    pub labelled: usize,
    /// Which ones: each number is another draw.
    pub labelled_seed: u64,
    /// Which axis of an array of four dimensions holds the channels.
    pub layout: Layout,
    /// Images: `WIDTHxHEIGHT` to which all are brought, or `none`.
    pub resize: String,
    /// Images: what to do with those whose proportions are not those of `resize`.
    pub fit: Fit,
    /// Images: grey or colour. Sprites are in colour where it is `rgb`.
    pub colour: Colour,
    /// Images: what lies behind transparent pixels.
    pub background: Background,
    /// Images: what to do with files that cannot be decoded.
    pub damaged: Damaged,
    /// Tables: words and numbers that stand for a missing value, besides an empty cell, NA, NaN and NULL.
    pub missing: Vec<String>,
    /// Tables: what separates the whole part of a number from the rest.
    pub decimal: Decimal,
    /// Tables: what to do with a word in a column of categories that the model was not trained on. Text: with such a token.
    pub unknown: Unknown,
    /// Text and music: what a line is cut into.
    pub tokens: Tokens,
    /// Text and music: the most tokens of a line.
    pub length: usize,
    /// Text and music: what becomes of longer lines.
    pub longer: Longer,
    /// Text: the column of a `.csv` or `.tsv` that holds it. Empty stands for the only one.
    pub text: String,
    /// Music: steps of a beat, to which notes are moved.
    pub grid: usize,
    /// Interactions: the columns of a list with user, item and, where there is one, value, separated by commas. Empty stands for
    /// `user,item` and, where there is one, `value`, where the likelihood is the multinomial.
    pub pairs: String,
    /// Interactions: a value from here on is a choice, and counts 1; others are none. 0 takes values for counts.
    pub at_least: f32,
    /// Cells: beside a folder of 10x a `.csv` or `.tsv` with a line for each cell, whose first column has its barcode; `labels` names
    /// one of the others. Empty where there is none; an `.h5ad` has its own.
    pub obs: String,
    /// Cells: which numbers of an `.h5ad` are counts, the name of one of its `layers`, or `raw`. Empty stands for `X`.
    pub layer: String,
    /// Tables: what columns hold, by their names; `*` stands for all that are not named.
    pub columns: BTreeMap<String, ColumnType>,
}

/// How a share of the examples becomes a number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// By the decimal number that was typed: 0.29 of 500 are 145.
    Exact,
    /// By what single precision makes of it, as runs were divided that know nothing of this key: 0.29 of 500 are 144.
    Single,
}

/// How values are turned into zeros and ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binarise {
    /// Values stay as they are.
    None,
    /// 1 where the value is at least one half.
    Threshold,
    /// 1 with the probability that the value states, drawn anew whenever the example is used.
    Dynamic,
}

/// How numbers are scaled before a model sees them. What is fitted is fitted on the training part alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// What the likelihood wants of a table or of an array of two dimensions: `standardise` for the Gaussian ones, `none`
    /// for Bernoulli. Pictures, from images, IDX files and arrays of more dimensions, stay as they are.
    Auto,
    /// Numbers as they are, bytes as x/255.
    None,
    /// Every column, or every value of an example, with mean 0 and deviation 1.
    Standardise,
    /// As `auto`, but what that standardises is scaled by mean and deviation of the Winsorised column, in which the twentieth on
    /// either side takes the value of the next number inside: a few extreme ones do not make all others small. The deviation is
    /// never less than a tenth of the whole one, and a column of which more than half is one number is as `standardise`.
    Robust,
    /// The smallest number of all becomes 0 and the largest 1.
    Unit,
}

/// What is white where pictures are stored as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum White {
    /// 255; 1 where that is the largest byte of all, as in masks.
    Auto,
    /// 255, whatever the bytes are.
    Full,
}

/// Which axis of an array of four dimensions holds the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The one of the two whose extent is 1 or 3.
    Auto,
    /// examples × channels × height × width
    ChannelsFirst,
    /// examples × height × width × channels
    ChannelsLast,
}

/// What to do with images whose proportions are not those asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Refuse them.
    Exact,
    /// Cut off what stands out, the same on both sides.
    Crop,
    /// Put black bars on both sides.
    Pad,
    /// Change the proportions.
    Stretch,
}

/// Grey or colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// As the files are, if all are alike.
    Auto,
    /// One channel: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601).
    Grey,
    /// Three channels.
    Rgb,
}

/// What lies behind transparent pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// Images with transparent pixels are refused.
    Refuse,
    /// Black.
    Black,
    /// White.
    White,
}

/// What to do with image files that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damaged {
    /// Name the first, count all, and stop.
    Refuse,
    /// Leave them out, and say so.
    Skip,
}

/// What separates the whole part of a number from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decimal {
    /// A point; where fields are separated by semicolons and a column has no number with a point, a comma too.
    Auto,
    /// A point. Commas between groups of three digits separate thousands.
    Point,
    /// A comma. Points between groups of three digits separate thousands.
    Comma,
}

/// What to do with a word in a column of categories that the model was not trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Name all of them, and stop.
    Refuse,
    /// Take them for missing values: the row is judged by its other columns.
    Missing,
    /// Count against the row: a category as much as all words that are known together, a column of two words as much as the
    /// one of them that makes the row stranger.
    Anomalous,
}

/// What lines of text are cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokens {
    /// Unicode characters.
    Characters,
    /// Bytes, whatever they mean.
    Bytes,
    /// Atoms, bonds and rings of molecules in SMILES.
    Smiles,
    /// Notes, their lengths and the time between them, of MIDI files.
    Events,
}

impl Tokens {
    /// The word for it in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Characters => "characters",
            Self::Bytes => "bytes",
            Self::Smiles => "smiles",
            Self::Events => "events",
        }
    }
}

/// What becomes of lines that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Longer {
    /// They are cut, and have no end.
    Cut,
    /// They are left out.
    Skip,
    /// They become several examples, windows that follow each other, of which the last has the end.
    Windows,
}

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnType {
    /// Measurements: a normal distribution of the standardised number.
    Numeric,
    /// One of two values: a Bernoulli distribution.
    Binary,
    /// One of several values without an order: a categorical distribution.
    Category,
    /// Whole numbers from 0 up: a Poisson distribution.
    Count,
    /// Nothing for the model.
    Ignore,
}

impl DataConfig {
    /// How many of so many examples a share of this configuration is, rounded down.
    pub fn share_of(&self, examples: usize, share: f32) -> usize {
        /// More than what is rounded in the product of a share and a number of examples.
        const ROUNDED: f64 = 1e-6;
        match self.rounding {
            // The shortest text of a number of single precision is what was typed.
            Rounding::Exact => {
                let typed = share.to_string().parse().unwrap_or_else(|_| f64::from(share));
                (examples as f64 * typed + ROUNDED) as usize
            }
            Rounding::Single => (examples as f64 * f64::from(share)) as usize,
        }
    }

    /// The width and height that `resize` asks for; `None` where images keep their size.
    ///
    /// # Errors
    /// [`Error::Usage`] for what is neither `none` nor a size.
    pub fn size(&self) -> Result<Option<[usize; 2]>> {
        let text = self.resize.trim();
        if text == "none" {
            return Ok(None);
        }
        let sides = text.split_once('x').and_then(|(width, height)| Some([width.parse().ok()?, height.parse().ok()?]));
        match sides.filter(|sides: &[usize; 2]| sides.iter().all(|side| (1..=MAX_SIDE).contains(side))) {
            Some(sides) => Ok(Some(sides)),
            None => Err(Error::Usage(format!(
                "data.resize = {text} is not allowed: it must be WIDTHxHEIGHT, such as 28x28, up to {MAX_SIDE}, or none"
            ))),
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "glyphs".into(),
            memory: 4096,
            window: 0,
            shard: 0,
            binarise: Binarise::None,
            validation: 0,
            validation_share: 1.0,
            examples: 12_000,
            test: 0.1,
            rounding: Rounding::Exact,
            shuffle: true,
            scale: Scale::Auto,
            white: White::Auto,
            array: String::new(),
            labels: String::new(),
            labelled: 0,
            labelled_seed: 0,
            layout: Layout::Auto,
            resize: "none".into(),
            fit: Fit::Exact,
            colour: Colour::Auto,
            background: Background::Refuse,
            damaged: Damaged::Refuse,
            missing: vec![],
            decimal: Decimal::Auto,
            unknown: Unknown::Refuse,
            tokens: Tokens::Characters,
            length: 64,
            longer: Longer::Cut,
            text: String::new(),
            grid: 4,
            pairs: String::new(),
            at_least: 0.0,
            obs: String::new(),
            layer: String::new(),
            columns: BTreeMap::new(),
        }
    }
}
