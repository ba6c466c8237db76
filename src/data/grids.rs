//! The codes of a VQ-VAE's data, as a folder keeps them in the run of their prior:
//!
//! ```text
//! codes/codes.npy        a code for each cell of each grid, i64, [N, height, width]: training part, validation, test
//!       distortion.npy   −log p(x|codes) of each example in nats, f32, [N]
//!       labels.npy       the class of each, i64, [N], where the prior is told classes
//!       codes.json       what they are: [`About`]
//!       model/           the VQ-VAE, as a run
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::array::Array;
use super::{Dataset, Format, ReadOptions, Values, npy};
use crate::config::Takes;
use crate::error::{Error, Result};

/// The name of the folder in the run of a prior, and of its data in a configuration.
pub const FOLDER: &str = "codes";
/// The files in it.
pub const CODES: &str = "codes.npy";
/// −log p(x|codes) of each example.
pub const DISTORTION: &str = "distortion.npy";
/// The class of each example.
pub const LABELS: &str = "labels.npy";
/// What they are.
pub const ABOUT: &str = "codes.json";
/// The run of the VQ-VAE.
pub const MODEL: &str = "model";

/// What codes are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The data that were encoded, by name.
    pub of: String,
    /// K, the codes of the codebook.
    pub codes: usize,
    /// Height and width of a grid.
    pub grid: [usize; 2],
    /// D, the values of an example that a grid stands for.
    pub values: usize,
    /// Examples of the training part, of validation and of the test.
    pub parts: [usize; 3],
    /// The names of the classes that the prior is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

/// Whether a folder is one of codes.
pub fn is_in(folder: &Path) -> bool {
    folder.join(ABOUT).is_file()
}

/// What the codes in a folder are of.
///
/// # Errors
/// [`Error::Data`] that names the file where it cannot be read or makes no sense.
pub fn about(folder: &Path) -> Result<About> {
    let path = folder.join(ABOUT);
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| complain(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| complain(format!("is damaged: {error}")))
}

/// A data set of codes, each as its number. Where the VQ-VAE had no validation part, that is taken from the end of the training
/// part.
///
/// # Errors
/// [`Error::Usage`] where validation would leave nothing to train on; [`Error::Bug`] where parts do not add up.
pub fn dataset(about: &About, codes: &[u32], labels: Option<Vec<u32>>, request: &ReadOptions) -> Result<Dataset> {
    let [training, validation, test] = about.parts;
    let (height, width) = (about.grid[0], about.grid[1]);
    let validation = if validation > 0 { validation } else { request.validation(training) };
    let values = Values::F32(codes.iter().map(|&code| code as f32).collect());
    let name = format!("codes of {}", about.of);
    let data = Dataset::new(&name, [1, height, width], values, labels, test, validation)?;
    Ok(Dataset { format: Format::Array, classes: about.classes.clone(), ..data })
}

/// Reads the codes in a folder.
///
/// # Errors
/// [`Error::Usage`] for a model that is no prior of codes; [`Error::Data`] that names the file where it cannot be read, or has
/// not what [`About`] says; those of [`dataset`].
pub fn folder(folder: &Path, request: &ReadOptions) -> Result<Dataset> {
    if request.takes != Takes::CODES {
        return Err(Error::Usage(format!(
            "{}: these are codes of a VQ-VAE, which only their prior is trained on: elbo train --prior-of RUN",
            folder.display()
        )));
    }
    let (about, path) = (about(folder)?, folder.join(CODES));
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let Array { dims, elements } = npy::open(&path)?;
    let examples: usize = about.parts.iter().sum();
    let expected = [examples, about.grid[0], about.grid[1]];
    if dims != expected {
        return Err(complain(format!("its shape is {dims:?}, and {ABOUT} beside it says {expected:?}")));
    }
    let is_code = |code: f64| code >= 0.0 && code < about.codes as f64 && code.fract() == 0.0;
    let codes: Vec<f64> = (0..elements.len()).map(|at| elements.at(at)).collect();
    if let Some(at) = codes.iter().position(|&code| !is_code(code)) {
        let most = about.codes.saturating_sub(1);
        return Err(complain(format!("number {at} is {}: codes are whole numbers from 0 to {most}", codes[at])));
    }
    let labels = about.classes.as_ref().map(|classes| labels(folder, examples, classes.len())).transpose()?;
    dataset(&about, &codes.iter().map(|&code| code as u32).collect::<Vec<u32>>(), labels, request)
}

/// The class of each example, as its place among the names.
fn labels(folder: &Path, examples: usize, classes: usize) -> Result<Vec<u32>> {
    let path = folder.join(LABELS);
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let Array { dims, elements } = npy::open(&path)?;
    if dims != [examples] {
        return Err(complain(format!("its shape is {dims:?}, and {ABOUT} beside it says [{examples}]")));
    }
    let of: Vec<f64> = (0..examples).map(|at| elements.at(at)).collect();
    match of.iter().position(|&class| !(0.0..classes as f64).contains(&class) || class.fract() != 0.0) {
        Some(at) => Err(complain(format!("label {at} is {}: there are {classes} classes, from 0 up", of[at]))),
        None => Ok(of.into_iter().map(|class| class as u32).collect()),
    }
}

/// −log p(x|codes) of each example in nats, in the order of the codes.
///
/// # Errors
/// [`Error::Data`] that names the file where it cannot be read, or has another number of examples.
pub fn distortion(folder: &Path) -> Result<Vec<f64>> {
    let (about, path) = (about(folder)?, folder.join(DISTORTION));
    let Array { dims, elements } = npy::open(&path)?;
    let examples: usize = about.parts.iter().sum();
    if dims != [examples] {
        let path = path.display();
        return Err(Error::Data(format!("{path}: its shape is {dims:?}, and {ABOUT} beside it says [{examples}]")));
    }
    Ok((0..elements.len()).map(|at| elements.at(at)).collect())
}
