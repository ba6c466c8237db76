//! Data sets: what was read, and which part of it is for what.

pub mod array;
pub mod batches;
mod body;
pub mod categories;
mod cells;
mod check;
pub mod classes;
pub mod codes;
pub mod csv;
pub mod disk;
pub mod elements;
pub mod expression;
pub mod fetch;
pub mod glyphs;
pub mod grids;
pub mod handed;
pub mod idx;
pub mod images;
pub mod interactions;
mod kinds;
pub mod labelled;
pub mod music;
pub mod npy;
pub mod npz;
mod packed;
mod pictures;
mod read_options;
pub mod sparse;
pub mod sprites;
pub mod table;
pub mod text;
mod values;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Condition, Config, Domain};
use crate::error::{Error, Result};
pub use check::{NO_CATEGORIES, can_be, check, taken};
pub use read_options::no_labels;
pub use read_options::{FittedPreprocessing, Labels, ReadOptions};
use read_options::{misplaced, places};
use table::Encoding;
use text::vocabulary::Vocabulary;
pub use values::{Row, Values, little_endian};
use values::{hash, hex};

/// The label of an example that has none, while others have one.
pub const NO_LABEL: u32 = u32::MAX;

/// Examples in one block, training part first, then validation, then test.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What was asked for, for titles: `glyphs`, or a path.
    pub name: String,
    /// What kind of source it was.
    pub format: Format,
    /// The shape of one example: channels, height, width.
    pub shape: [usize; 3],
    /// Row-major, examples × channels × height × width. What is missing is NaN.
    pub values: Values,
    /// How numbers came to be what they are; `None` where they are as they were stored.
    pub encoding: Option<Encoding>,
    /// Whether some value is missing.
    pub missing: bool,
    /// How many digits behind the point the numbers of each column of a table have, where there is an end to them; empty where
    /// there is nowhere.
    pub decimals: Vec<Option<u8>>,
    /// The tokens that examples consist of, where they are text.
    pub text: Option<Vocabulary>,
    /// One class per example where the source has them, [`NO_LABEL`] for one that has none.
    pub labels: Option<Vec<u32>>,
    /// The names of the classes, where they are not numbers.
    pub classes: Option<Vec<String>>,
    /// The names of the values, where they are items that somebody chose.
    pub items: Option<Vec<String>>,
    /// The names of users, in the order of the source, where they are no numbers.
    pub users: Option<Vec<String>>,
    /// Where each example stood in the source, where that is not its place here.
    pub rows: Option<Vec<u32>>,
    /// What was odd about the source though it could be read.
    pub notes: Vec<String>,
    /// Which examples are trained on.
    pub train: Range<usize>,
    /// Which examples choose the best checkpoint; may be empty.
    pub validation: Range<usize>,
    /// Which examples are only ever evaluated; may be empty.
    pub test: Range<usize>,
    /// SHA-256 of shape, values, labels and the number of test examples, in hex: two data sets with the same hash are
    /// the same. How many examples `validation` sets aside is a choice of the run and does not enter, and neither does
    /// what was fitted.
    pub hash: String,
}

/// Kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Digits, drawn by the program.
    Glyphs,
    /// Shapes of known factors, drawn by the program.
    Sprites,
    /// IDX files.
    Idx,
    /// An `.npy` or `.npz` file.
    Array,
    /// A folder of images.
    Images,
    /// A table with a header.
    Table,
    /// Lines of text, a column of a table, or documents.
    Text,
    /// MIDI files.
    Music,
    /// A list of users and items, or a sparse matrix of them.
    Interactions,
    /// Counts of genes in cells.
    Cells,
}

/// Opens the data set that `config` names and splits it. For a trained model it is read as the model takes it: columns by
/// their names, levels and scales as in training.
///
/// # Errors
/// [`Error::Usage`] where the request makes no sense (too many validation examples), [`Error::Data`] where files are
/// missing or malformed, or have not what the model needs, labels of classes that it knows included.
pub fn open(config: &Config, known: Option<FittedPreprocessing>) -> Result<Dataset> {
    #[cfg(test)]
    OPENED.set(OPENED.get() + 1);
    let holes = config.model.condition == Condition::Inferred;
    let data = read(&ReadOptions { config: &config.data, takes: config.model.takes(), known, holes })?;
    let mut data = smaller_validation(data, config, known);
    if known.is_none() {
        let unseen = unseen(&data)?;
        data.notes.extend(unseen);
    }
    match misplaced(&config.data, data.format) {
        // Other data for a trained model may be of another kind than those that it was configured for.
        Some((key, kinds)) if known.is_none() => {
            // The recipes of text and music set it: there it is the data that are wrong.
            if config.model.takes().domain == Domain::Tokens {
                check(&data, config.model.takes())?;
            }
            let name = &data.name;
            Err(Error::Usage(format!(
                "data.{key} is set, which is for {kinds}, and {name} is none of these; leave it out"
            )))
        }
        _ => match config.model.condition {
            Condition::None => Ok(data),
            Condition::Label => classes::named(data, known.and_then(|known| known.classes)),
            Condition::Inferred => classes::inferred(data, known.and_then(|known| known.classes)),
        },
    }
}

#[cfg(test)]
thread_local! {
    /// Data sets that this thread has opened.
    pub static OPENED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Says that fewer examples choose the best checkpoint than a recipe asks for.
fn smaller_validation(mut data: Dataset, config: &Config, known: Option<FittedPreprocessing>) -> Dataset {
    let (asked, taken) = (config.data.validation, data.validation.len());
    if known.is_none() && taken < asked {
        let (share, training) = (config.data.validation_share, taken + data.train.len());
        data.notes.push(format!(
            "{taken} of {training} examples are for validation, and not {asked}, so that most are trained on \
             (data.validation_share = {share}); `--set data.validation=N` takes N"
        ));
    }
    data
}

/// Names the classes and the levels that no example of the training part has.
fn unseen(data: &Dataset) -> Result<Vec<String>> {
    /// Names that are shown.
    const SHOWN: usize = 8;
    let told = |what: &str, mut names: Vec<String>| {
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| {
            format!(
                "{what} {}{rest} without an example in the training part: a model learns nothing of them",
                names.join(", ")
            )
        })
    };
    let mut notes = Vec::new();
    if let Some(labels) = &data.labels {
        let mut counts = vec![[0_usize; 2]; data.class_count()];
        for (at, &label) in labels.iter().enumerate().filter(|(_, label)| **label != NO_LABEL) {
            counts[label as usize][usize::from(data.train.contains(&at))] += 1;
        }
        let name = |class: usize| match &data.classes {
            Some(names) => format!("`{}`", names[class]),
            None => class.to_string(),
        };
        let names = counts.iter().enumerate().filter(|(_, [others, trained])| *others > 0 && *trained == 0);
        notes.extend(told("classes", names.map(|(class, _)| name(class)).collect()));
    }
    let Some(encoding) = data.encoding.as_ref().filter(|it| it.columns.iter().any(|it| !it.kind.levels().is_empty()))
    else {
        return Ok(notes);
    };
    let means = data.means(data.train.clone())?;
    for (column, span) in encoding.columns.iter().zip(encoding.spans()) {
        let (levels, means) = (column.kind.levels(), &means[span]);
        // One of two values has one place.
        let absent = |at: usize| match (means, at) {
            ([ones], 0) if levels.len() == 2 => *ones == 1.0,
            ([ones], 1) => *ones == 0.0,
            (means, at) => means[at] == 0.0,
        };
        let names = levels.iter().enumerate().filter(|(at, _)| absent(*at)).map(|(_, level)| format!("`{level}`"));
        notes.extend(told(&format!("column `{}`: levels", column.name), names.collect()));
    }
    Ok(notes)
}

/// Whether a source is one that the program draws, and no file.
pub fn is_drawn(source: &str) -> bool {
    matches!(source, "glyphs" | "sprites")
}

fn read(request: &ReadOptions) -> Result<Dataset> {
    let config = request.config;
    let source = config.source.as_str();
    if is_drawn(source) {
        let validation = request.validation(config.examples - config.examples / 6);
        return match source {
            "glyphs" => glyphs::dataset(config.examples, validation),
            _ => sprites::dataset(config.examples, config.colour, validation),
        };
    }
    if let Some(source) = fetch::source(source) {
        return fetch::dataset(source, request);
    }
    let path = Path::new(source);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() && expression::tenx::is_in(path) => {
            expression::tenx::dataset(source, path, "", request)
        }
        Ok(found) if found.is_dir() && grids::is_in(path) => grids::folder(path, request),
        Ok(found) if found.is_dir() && idx::is_in(path)? => idx::folder(path, request),
        Ok(found) if found.is_dir() && request.takes.domain == Domain::Tokens => text::folder(path, request),
        Ok(found) if found.is_dir() => images::dataset(path, request).map_err(|error| text::in_folder(path, error)),
        Ok(found) if found.is_file() => read_file(path, request),
        Ok(_) => Err(Error::Data(format!("{source}: this is neither a file nor a folder"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Data(format!(
            "'{source}' does not exist; the data can be 'glyphs' or 'sprites' (built in), 'mnist', 'fashion-mnist', a \
             .csv, .npy, .npz, .mtx, .txt, .smi or .mid file, a folder of .png or .jpg images, of .txt or of .mid files, of 10x, an IDX file \
             (plain or .gz), or a folder with the MNIST files"
        ))),
        Err(error) => Err(Error::Data(format!("{source}: cannot be opened: {error}"))),
    }
}

/// A file says by its name what it is; one that does not is taken by its first bytes.
fn read_file(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let complain = |what: &str| Err(Error::Data(format!("{}: {what}", path.display())));
    let mut start = Vec::new();
    if let Err(error) = File::open(path).and_then(|file| file.take(kinds::START).read_to_end(&mut start)) {
        return complain(&format!("cannot be opened: {error}"));
    }
    if let Some((folder, prefix)) = expression::tenx::prefix(path) {
        return expression::tenx::dataset(&path.display().to_string(), &folder, &prefix, request);
    }
    let end = packed::plain(path).extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match end.as_str() {
        #[cfg(feature = "h5ad")]
        "h5ad" => return expression::h5ad::dataset(path, request),
        #[cfg(not(feature = "h5ad"))]
        "h5ad" => return complain(kinds::ANNDATA),
        _ if kinds::told(&start).is_some() => return complain(&kinds::told(&start).unwrap_or_default()),
        _ if kinds::is_stored(&start) && request.takes.domain == Domain::Tokens => return text::column(path, request),
        _ if kinds::is_stored(&start) => return csv::dataset(path, request),
        "csv" | "tsv" if request.takes.domain == Domain::Tokens => return text::column(path, request),
        "csv" | "tsv" => return csv::dataset(path, request),
        "mtx" => return interactions::mtx::dataset(path, request),
        "npy" => return npy::dataset(path, request),
        "npz" => return npz::dataset(path, request),
        end if text::is_name(end) => return text::dataset(path, request),
        end if music::is_name(end) => return music::dataset(path, &[path.to_owned()], request),
        "png" | "jpg" | "jpeg" => return complain("this is one image; pass the folder that holds the images"),
        _ => {}
    }
    match kinds::text(&start) {
        _ if start.starts_with(interactions::mtx::MAGIC) => interactions::mtx::dataset(path, request),
        _ if start.starts_with(npy::MAGIC) => npy::dataset(path, request),
        _ if start.starts_with(b"PK\x03\x04") => npz::dataset(path, request),
        Some(text) => complain(text),
        None => idx::file(path, request),
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
        let labels = labels.map(|of| Labels { of, names: None });
        Self::parted(name, shape, values, test, validation)?.with_labels(labels)?.hashed()
    }

    /// [`Dataset::new`] without labels, and without a hash as yet.
    fn parted(name: &str, shape: [usize; 3], values: Values, test: usize, validation: usize) -> Result<Self> {
        // A product that is too large is that of no example that there can be.
        let width = shape.iter().try_fold(1_usize, |width, &extent| width.checked_mul(extent)).unwrap_or(0);
        let examples = values.len().checked_div(width).unwrap_or(0);
        if examples * width != values.len() || test >= examples {
            let found = format!("{} values in shape {shape:?}, {test} to test", values.len());
            return Err(Error::Bug(format!("{name}: the parts of the data set do not add up: {found}")));
        }
        if u32::try_from(examples).is_err() {
            return Err(disk::too_many(name, examples as u64));
        }
        let training = examples - test;
        if validation >= training {
            return Err(Error::Usage(format!(
                "data.validation = {validation} leaves nothing to train on: {name} has {training} examples outside \
                 its test part"
            )));
        }
        let end = training - validation;
        Ok(Self {
            name: name.to_owned(),
            format: Format::Idx,
            shape,
            values,
            encoding: None,
            text: None,
            missing: false,
            decimals: vec![],
            labels: None,
            classes: None,
            items: None,
            users: None,
            rows: None,
            notes: vec![],
            train: 0..end,
            validation: end..training,
            test: training..examples,
            hash: String::new(),
        })
    }

    /// The same data set with classes.
    fn with_labels(self, labels: Option<Labels>) -> Result<Self> {
        let Some(Labels { of, names }) = labels else { return Ok(self) };
        if of.len() != self.len() {
            return Err(Error::Bug(format!("{}: {} labels of {} examples", self.name, of.len(), self.len())));
        }
        Ok(Self { labels: Some(of), classes: names, ..self })
    }

    /// The same data set with the places of its examples in the source.
    fn with_rows(self, rows: Vec<u32>) -> Self {
        let moved = rows.iter().enumerate().any(|(at, &row)| at != row as usize);
        Self { rows: moved.then_some(rows), ..self }
    }

    /// The same data set with the hash of what it holds. All values are read for it.
    fn hashed(self) -> Result<Self> {
        let hash = hash(self.shape, &self.values, self.labels.as_deref(), self.test.len())?;
        Ok(Self { hash, ..self })
    }

    /// Where example `index` stood in the source, from 0.
    pub fn row(&self, index: usize) -> usize {
        self.rows.as_ref().map_or(index, |rows| rows[index] as usize)
    }

    /// How many classes there are: those that have names, or those up to the largest number. None without labels.
    pub fn class_count(&self) -> usize {
        let largest = self
            .labels
            .iter()
            .flatten()
            .filter(|label| **label != NO_LABEL)
            .max()
            .map_or(0, |&largest| largest as usize + 1);
        self.classes.as_ref().map_or(largest, Vec::len)
    }

    /// How many examples of each class there are to train on.
    pub fn trained_of_classes(&self) -> Vec<u64> {
        let mut counts = vec![0; self.class_count()];
        let all = self.labels.iter().flat_map(|labels| &labels[self.train.clone()]);
        for &label in all.filter(|label| **label != NO_LABEL) {
            counts[label as usize] += 1;
        }
        counts
    }

    /// All that is said of it but its values, of which it has none, its parts and its hash.
    #[must_use]
    pub fn clone_without_values(&self) -> Self {
        Self {
            name: self.name.clone(),
            format: self.format,
            shape: self.shape,
            values: Values::F32(vec![]),
            encoding: self.encoding.clone(),
            missing: self.missing,
            decimals: self.decimals.clone(),
            labels: None,
            classes: self.classes.clone(),
            items: self.items.clone(),
            text: self.text.clone(),
            users: self.users.clone(),
            rows: None,
            notes: vec![],
            train: 0..0,
            validation: 0..0,
            test: 0..0,
            hash: String::new(),
        }
    }

    /// The name of the user that example `index` is.
    pub fn user(&self, index: usize) -> String {
        let row = self.row(index);
        self.users.as_ref().map_or_else(|| row.to_string(), |users| users[row].clone())
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
}
