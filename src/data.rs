//! Data sets: what was read, and which part of it is for what.

pub mod batches;
pub mod glyphs;
pub mod idx;

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::config::{DataConfig, Likelihood};
use crate::error::{Error, Result};

/// Values as they were stored: bytes stay bytes, also on the device.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Pixels 0…255, read as x/255.
    U8(Vec<u8>),
    /// Numbers as they are.
    F32(Vec<f32>),
}

impl Values {
    /// How many numbers there are, over all examples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there is no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Examples in one block, training part first, then validation, then test.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What was asked for, for titles: `glyphs`, or a path.
    pub name: String,
    /// The shape of one example: channels, height, width.
    pub shape: [usize; 3],
    /// Row-major, examples × channels × height × width.
    pub values: Values,
    /// One class per example where the source has them.
    pub labels: Option<Vec<u32>>,
    /// Which examples are trained on.
    pub train: Range<usize>,
    /// Which examples choose the best checkpoint; may be empty.
    pub validation: Range<usize>,
    /// Which examples are only ever evaluated; may be empty.
    pub test: Range<usize>,
    /// SHA-256 of shape, values, labels and the number of test examples, in hex: two data sets with the same hash are
    /// the same. How many examples `validation` sets aside is a choice of the run and does not enter.
    pub hash: String,
}

/// Opens the data set that `config` names and splits it.
///
/// # Errors
/// [`Error::Usage`] where the request makes no sense (a name that cannot be fetched, too many validation
/// examples), [`Error::Data`] where files are missing or malformed.
pub fn open(config: &DataConfig) -> Result<Dataset> {
    let source = config.source.as_str();
    match source {
        "glyphs" => return glyphs::dataset(config.examples, config.validation),
        "mnist" | "fashion-mnist" => {
            return Err(Error::Usage(format!(
                "--data {source}: downloads are not there yet: put the four files (train-images-idx3-ubyte.gz, \
                 train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz) in a folder and \
                 pass the folder; one that is itself called {source} is passed as ./{source}"
            )));
        }
        _ => {}
    }
    let path = Path::new(source);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => idx::folder(path, config.validation),
        Ok(found) if found.is_file() => idx::file(path, config.validation),
        Ok(_) => Err(Error::Data(format!("{source}: this is neither a file nor a folder"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Data(format!(
            "'{source}' does not exist; the data can be 'glyphs' (built in), an IDX file of images (plain or .gz), or \
             a folder with the MNIST files ({}, …)",
            idx::TRAIN_IMAGES
        ))),
        Err(error) => Err(Error::Data(format!("{source}: cannot be opened: {error}"))),
    }
}

/// Tells whether the values can be what `likelihood` takes them for: finite, and for Bernoulli from 0 to 1.
///
/// # Errors
/// [`Error::Data`], with the first value that does not fit and what to do about it.
pub fn check(dataset: &Dataset, likelihood: Likelihood) -> Result<()> {
    let Values::F32(values) = &dataset.values else { return Ok(()) };
    let place = |at: usize| {
        let (example, value) = (at / dataset.width(), at % dataset.width());
        format!("{}: value {value} of example {example} is {}", dataset.name, values[at])
    };
    if let Some(at) = values.iter().position(|x| !x.is_finite()) {
        return Err(Error::Data(format!("{}; remove or replace values that are not finite", place(at))));
    }
    match likelihood {
        Likelihood::Bernoulli => match values.iter().position(|x| !(0.0..=1.0).contains(x)) {
            Some(at) => Err(Error::Data(format!(
                "{}, but the bernoulli likelihood takes values from 0 to 1; scale the data, or choose \
                 `--set model.likelihood=gaussian`",
                place(at)
            ))),
            None => Ok(()),
        },
        Likelihood::Gaussian | Likelihood::GaussianLearned => Ok(()),
    }
}

impl Dataset {
    /// Puts together what a source has read: the last `test` examples become the test part, the last `validation` of
    /// the others the validation part. All values of an example stand in `shape`; the test part may be empty.
    ///
    /// # Errors
    /// [`Error::Usage`] where validation would leave nothing to train on, [`Error::Data`] where there are more
    /// examples than an index of 32 bits can name, [`Error::Bug`] where the parts do not add up.
    pub fn new(
        name: &str,
        shape: [usize; 3],
        values: Values,
        labels: Option<Vec<u32>>,
        test: usize,
        validation: usize,
    ) -> Result<Self> {
        let width: usize = shape.iter().product();
        let examples = values.len().checked_div(width).unwrap_or(0);
        let labelled = labels.as_ref().map_or(examples, Vec::len);
        if examples * width != values.len() || labelled != examples || test >= examples {
            let found = format!("{} values in shape {shape:?}, {labelled} labels, {test} to test", values.len());
            return Err(Error::Bug(format!("{name}: the parts of the data set do not add up: {found}")));
        }
        if u32::try_from(examples).is_err() {
            return Err(Error::Data(format!("{name}: {examples} examples are too many, {} is the most", u32::MAX)));
        }
        let training = examples - test;
        if validation >= training {
            return Err(Error::Usage(format!(
                "data.validation = {validation} leaves nothing to train on: {name} has {training} examples outside \
                 its test part"
            )));
        }
        let end = training - validation;
        let hash = hash(shape, &values, labels.as_deref(), test);
        Ok(Self {
            name: name.to_owned(),
            shape,
            values,
            labels,
            train: 0..end,
            validation: end..training,
            test: training..examples,
            hash,
        })
    }

    /// Values per example.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of examples over all parts.
    pub fn len(&self) -> usize {
        self.values.len() / self.width()
    }

    /// Whether there is no example at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Example `index` as a model sees it before any binarisation: `width` numbers, bytes as x/255.
    pub fn example(&self, index: usize) -> Vec<f32> {
        let place = index * self.width()..(index + 1) * self.width();
        match &self.values {
            Values::U8(values) => values[place].iter().map(|&x| f32::from(x) / 255.0).collect(),
            Values::F32(values) => values[place].to_vec(),
        }
    }

    /// The mean of each of the `width` values over `examples`, bytes as x/255; zeros where the range is empty.
    pub fn means(&self, examples: Range<usize>) -> Vec<f32> {
        let (width, count) = (self.width(), examples.len().max(1) as f64);
        let place = examples.start * width..examples.end * width;
        match &self.values {
            Values::U8(values) => {
                let mut sums = vec![0_u64; width];
                for example in values[place].chunks_exact(width) {
                    sums.iter_mut().zip(example).for_each(|(sum, &x)| *sum += u64::from(x));
                }
                sums.iter().map(|&sum| (sum as f64 / (255.0 * count)) as f32).collect()
            }
            Values::F32(values) => {
                let mut sums = vec![0_f64; width];
                for example in values[place].chunks_exact(width) {
                    sums.iter_mut().zip(example).for_each(|(sum, &x)| *sum += f64::from(x));
                }
                sums.iter().map(|&sum| (sum / count) as f32).collect()
            }
        }
    }
}

/// The identity of a data set. Every number enters in little-endian order, so that all machines agree, and the lengths
/// come before the contents, so that nothing can move from one field into the next.
fn hash(shape: [usize; 3], values: &Values, labels: Option<&[u32]>, test: usize) -> String {
    let kind = match values {
        Values::U8(_) => 0,
        Values::F32(_) => 1,
    };
    let mut sha = Sha256::new();
    for word in [kind, shape[0], shape[1], shape[2], values.len(), labels.map_or(0, <[u32]>::len), test] {
        sha.update((word as u64).to_le_bytes());
    }
    match values {
        Values::U8(values) => sha.update(values),
        Values::F32(values) => values.iter().for_each(|x| sha.update(x.to_le_bytes())),
    }
    for label in labels.unwrap_or_default() {
        sha.update(label.to_le_bytes());
    }
    sha.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
