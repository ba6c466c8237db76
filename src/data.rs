//! Data sets: what was read, and which part of it is for what.

pub mod array;
pub mod batches;
pub mod csv;
pub mod disk;
pub mod fetch;
pub mod glyphs;
pub mod idx;
pub mod images;
pub mod npy;
pub mod npz;
mod request;
pub mod table;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::config::{Config, Likelihood};
use crate::error::{Error, Result};
use disk::{Disk, Kind};
pub use request::{Known, Labels, Request};
use request::{misplaced, places, share, wanted};
use table::Encoding;

/// Values as they were stored: bytes stay bytes, also on the device.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Pixels 0…255, read as x/255.
    U8(Vec<u8>),
    /// Numbers as they are.
    F32(Vec<f32>),
    /// Either of them, in files.
    Disk(Disk),
}

impl Values {
    /// How many numbers there are, over all examples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Disk(disk) => disk.len() * disk.width,
        }
    }

    /// Whether they are bytes, and not floats.
    pub fn are_bytes(&self) -> bool {
        match self {
            Self::U8(_) => true,
            Self::F32(_) => false,
            Self::Disk(disk) => disk.kind == Kind::Bytes,
        }
    }

    /// Words that they take on a device as a whole; nothing where they are not in memory.
    pub fn words(&self) -> Option<usize> {
        match self {
            Self::U8(bytes) => Some(bytes.len().div_ceil(4)),
            Self::F32(floats) => Some(floats.len()),
            Self::Disk(_) => None,
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
    /// What kind of source it was.
    pub format: Format,
    /// The shape of one example: channels, height, width.
    pub shape: [usize; 3],
    /// Row-major, examples × channels × height × width. What is missing is NaN.
    pub values: Values,
    /// How numbers came to be what they are; `None` where they are as they were stored.
    pub encoding: Option<Encoding>,
    /// One class per example where the source has them.
    pub labels: Option<Vec<u32>>,
    /// The names of the classes, where they are not numbers.
    pub classes: Option<Vec<String>>,
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

/// The largest count: rates end at exp 20, and beyond 2²⁴ single precision has not every whole number.
const MOST_COUNTED: f32 = 16_777_216.0;

/// Kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Drawn by the program.
    Glyphs,
    /// IDX files.
    Idx,
    /// An `.npy` or `.npz` file.
    Array,
    /// A folder of images.
    Images,
    /// A table with a header.
    Table,
}

/// Opens the data set that `config` names and splits it. For a trained model it is read as the model takes it: columns by
/// their names, levels and scales as in training.
///
/// # Errors
/// [`Error::Usage`] where the request makes no sense (too many validation examples), [`Error::Data`] where files are
/// missing or malformed, or have not what the model needs.
pub fn open(config: &Config, known: Option<Known>) -> Result<Dataset> {
    let data = read(&Request { config: &config.data, auto: wanted(config.model.likelihood), known })?;
    match misplaced(&config.data, data.format) {
        // Other data for a trained model may be of another kind than those that it was configured for.
        Some((key, kinds)) if known.is_none() => Err(Error::Usage(format!(
            "data.{key} is set, which is for {kinds}, and {} is none of these; leave it out",
            data.name
        ))),
        _ => Ok(data),
    }
}

fn read(request: &Request) -> Result<Dataset> {
    let config = request.config;
    let source = config.source.as_str();
    if source == "glyphs" {
        return glyphs::dataset(config.examples, config.validation);
    }
    if let Some(source) = fetch::source(source) {
        return fetch::dataset(source, request);
    }
    let path = Path::new(source);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() && idx::is_in(path)? => idx::folder(path, request),
        Ok(found) if found.is_dir() => images::dataset(path, request),
        Ok(found) if found.is_file() => read_file(path, request),
        Ok(_) => Err(Error::Data(format!("{source}: this is neither a file nor a folder"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Data(format!(
            "'{source}' does not exist; the data can be 'glyphs' (built in), 'mnist', 'fashion-mnist', a .csv, .npy or \
             .npz file, a folder of .png or .jpg images, an IDX file (plain or .gz), or a folder with the MNIST files"
        ))),
        Err(error) => Err(Error::Data(format!("{source}: cannot be opened: {error}"))),
    }
}

/// A file says by its name what it is; one that does not is taken by its first bytes.
fn read_file(path: &Path, request: &Request) -> Result<Dataset> {
    let complain = |what: &str| Err(Error::Data(format!("{}: {what}", path.display())));
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match end.as_str() {
        "csv" | "tsv" => return csv::dataset(path, request),
        "npy" => return npy::dataset(path, request),
        "npz" => return npz::dataset(path, request),
        "png" | "jpg" | "jpeg" => return complain("this is one image; pass the folder that holds the images"),
        _ => {}
    }
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(6).read_to_end(&mut start)) {
        Err(error) => complain(&format!("cannot be opened: {error}")),
        Ok(_) if start.starts_with(npy::MAGIC) => npy::dataset(path, request),
        Ok(_) if start.starts_with(b"PK\x03\x04") => npz::dataset(path, request),
        Ok(_) => idx::file(path, request),
    }
}

/// Tells whether a model with `likelihood` can take the data: columns of types that it knows, values that are finite, and
/// for Bernoulli from 0 to 1. Values of tables and arrays may be missing.
///
/// # Errors
/// [`Error::Data`], with the first thing that does not fit and what to do about it.
pub fn check(dataset: &Dataset, likelihood: Likelihood) -> Result<()> {
    if let Some(encoding) = &dataset.encoding {
        encoding.check(&dataset.name, likelihood)?;
    }
    if likelihood == Likelihood::Heterogeneous && !matches!(dataset.values, Values::F32(_)) {
        return check_columns(dataset);
    }
    if let Values::Disk(disk) = &dataset.values {
        return check_disk(dataset, disk, likelihood);
    }
    let Values::F32(values) = &dataset.values else { return Ok(()) };
    let width = dataset.width();
    // The first one in the order of the source, whatever the order here.
    let first = |is_bad: fn(f32) -> bool| {
        let bad = (0..values.len()).filter(|&at| is_bad(values[at]));
        bad.min_by_key(|&at| (dataset.row(at / width), at % width))
    };
    let is = |at: usize| -> Result<String> {
        Ok(format!("{}: {} is {}", dataset.name, dataset.place(at), dataset.original(at)?))
    };
    // What is missing from a table or an array is a NaN; anywhere else there is nothing that a NaN could mean.
    let unfit = if dataset.encoding.is_some() { first(f32::is_infinite) } else { first(|x| !x.is_finite()) };
    if let Some(at) = unfit {
        return Err(Error::Data(format!("{}; remove or replace values that are not finite", is(at)?)));
    }
    let unfit = match likelihood {
        Likelihood::Bernoulli => first(|x| !x.is_nan() && !(0.0..=1.0).contains(&x)),
        Likelihood::Gaussian | Likelihood::GaussianLearned => None,
        Likelihood::Heterogeneous => return check_columns(dataset),
    };
    unfit.map_or(Ok(()), |at| {
        Err(Error::Data(format!(
            "{}, but the bernoulli likelihood takes values from 0 to 1; scale the data (`--set data.scale=unit`), or \
             choose `--set model.likelihood=gaussian`",
            is(at)?
        )))
    })
}

/// [`check`] of values that are in files: the first one in them that does not fit.
fn check_disk(dataset: &Dataset, disk: &Disk, likelihood: Likelihood) -> Result<()> {
    if disk.kind == Kind::Bytes {
        return Ok(());
    }
    let bounded = likelihood == Likelihood::Bernoulli;
    disk.visit(0..dataset.len(), |example, bytes| {
        let unfit = |value: f32| !value.is_finite() || bounded && !(0.0..=1.0).contains(&value);
        let found = disk::floats(bytes).enumerate().find(|&(_, value)| unfit(value));
        found.map_or(Ok(()), |(at, value)| {
            let place = dataset.place(example * dataset.width() + at);
            let advice = if value.is_finite() {
                "but the bernoulli likelihood takes values from 0 to 1; choose `--set model.likelihood=gaussian`"
            } else {
                "and values must be finite; remove or replace it"
            };
            Err(Error::Data(format!("{}: {place} is {value}, {advice}", dataset.name)))
        })
    })
}

/// Tells whether a model of columns can take the data: they have columns, and counts that a rate can reach.
fn check_columns(dataset: &Dataset) -> Result<()> {
    let (Some(encoding), Values::F32(values)) = (&dataset.encoding, &dataset.values) else {
        return Err(Error::Data(format!(
            "{}: the heterogeneous likelihood is for the columns of tables and of arrays of two dimensions; for pixels \
             choose `--set model.likelihood=bernoulli` or gaussian-learned",
            dataset.name
        )));
    };
    for (column, span) in encoding.columns.iter().zip(encoding.spans()) {
        let largest = values.chunks_exact(dataset.width()).filter_map(|row| row.get(span.start));
        let largest = largest.fold(0.0, |most: f32, &count| most.max(count));
        if column.kind == table::Kind::Count && largest > MOST_COUNTED {
            return Err(Error::Data(format!(
                "{}: column `{1}` has counts up to {largest}, and those of a Poisson distribution may go to \
                 {MOST_COUNTED}; take them as measurements with `--set data.columns.{1}=numeric`",
                dataset.name, column.name
            )));
        }
    }
    Ok(())
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
        let hash = hash(shape, &values, labels.as_deref(), test)?;
        Ok(Self {
            name: name.to_owned(),
            format: Format::Idx,
            shape,
            values,
            encoding: None,
            labels,
            classes: None,
            rows: None,
            notes: vec![],
            train: 0..end,
            validation: end..training,
            test: training..examples,
            hash,
        })
    }

    /// The same data set with classes. They enter the hash where nothing was fitted.
    fn with_labels(self, labels: Option<Labels>) -> Result<Self> {
        let Some(Labels { of, names }) = labels else { return Ok(self) };
        let hash = hash(self.shape, &self.values, Some(&of), self.test.len())?;
        Ok(Self { labels: Some(of), classes: names, hash, ..self })
    }

    /// The same data set with the places of its examples in the source.
    fn with_rows(self, rows: Vec<u32>) -> Self {
        let moved = rows.iter().enumerate().any(|(at, &row)| at != row as usize);
        Self { rows: moved.then_some(rows), ..self }
    }

    /// Where example `index` stood in the source, from 0.
    pub fn row(&self, index: usize) -> usize {
        self.rows.as_ref().map_or(index, |rows| rows[index] as usize)
    }

    /// A value of the block in words: its row and column, as the source has them.
    fn place(&self, at: usize) -> String {
        let (example, value) = (self.row(at / self.width()), at % self.width());
        let column = self.encoding.as_ref().and_then(|encoding| encoding.column_at(value));
        match (self.format, column) {
            (Format::Table, Some(column)) => {
                format!("column `{}` of row {} below the header", column.name, example + 1)
            }
            (Format::Array, _) => format!("value {value} of row {example} (both from 0)"),
            _ => format!("value {value} of example {example}"),
        }
    }

    /// A value of the block in the units of the source.
    fn original(&self, at: usize) -> Result<f32> {
        Ok(self.original_example(at / self.width())?[at % self.width()])
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
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be read from its file.
    pub fn example(&self, index: usize) -> Result<Vec<f32>> {
        let place = index * self.width()..(index + 1) * self.width();
        let from_bytes = |bytes: &[u8]| bytes.iter().map(|&x| f32::from(x) / 255.0).collect();
        Ok(match &self.values {
            Values::U8(values) => from_bytes(&values[place]),
            Values::F32(values) => values[place].to_vec(),
            Values::Disk(disk) if disk.kind == Kind::Bytes => from_bytes(&disk.read(&[index as u32])?),
            Values::Disk(disk) => disk::floats(&disk.read(&[index as u32])?).collect(),
        })
    }

    /// Words of an example as it is stored: rows of bytes are filled up with zeros.
    pub fn stored_words(&self) -> usize {
        if self.values.are_bytes() { self.width().div_ceil(4) } else { self.width() }
    }

    /// Examples as they are stored, [`Dataset::stored_words`] each: four bytes to a word, the first one lowest, or floats.
    ///
    /// # Errors
    /// [`Error::Data`] where they cannot be read from their file.
    pub fn stored(&self, examples: &[u32]) -> Result<Vec<u32>> {
        let width = self.width();
        let place = |example: u32| example as usize * width..(example as usize + 1) * width;
        let mut words = Vec::with_capacity(examples.len() * self.stored_words());
        if let Values::Disk(disk) = &self.values {
            let bytes = disk.read(examples)?;
            let rows = bytes.chunks_exact(width * disk.kind.bytes());
            words.extend(rows.flat_map(|row| row.chunks(4)).map(little_endian));
            return Ok(words);
        }
        for &example in examples {
            match &self.values {
                Values::U8(values) => words.extend(values[place(example)].chunks(4).map(little_endian)),
                Values::F32(values) => words.extend(values[place(example)].iter().map(|value| value.to_bits())),
                Values::Disk(_) => {}
            }
        }
        Ok(words)
    }

    /// Example `index` in the units of the source: with the scaling undone that was fitted to the training part.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn original_example(&self, index: usize) -> Result<Vec<f32>> {
        let mut row = self.example(index)?;
        if let Some(encoding) = &self.encoding {
            encoding.undo(&mut row);
        }
        Ok(row)
    }

    /// Goes through examples in the order in which they are fastest to come by; `visit` gets the number of an example and
    /// what [`Dataset::example`] gives.
    ///
    /// # Errors
    /// As [`Dataset::example`], and those of `visit`.
    pub fn visit(&self, examples: Range<usize>, mut visit: impl FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let Values::Disk(disk) = &self.values else {
            return examples.into_iter().try_for_each(|index| visit(index, &self.example(index)?));
        };
        let mut row = Vec::with_capacity(self.width());
        disk.visit(examples, |index, bytes| {
            row.clear();
            match disk.kind {
                Kind::Bytes => row.extend(bytes.iter().map(|&x| f32::from(x) / 255.0)),
                Kind::Floats | Kind::BigFloats => row.extend(disk::floats(bytes)),
            }
            visit(index, &row)
        })
    }

    /// The mean of each of the `width` values over those of `examples` where it is there, bytes as x/255; zeros where
    /// there is none.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn means(&self, examples: Range<usize>) -> Result<Vec<f32>> {
        let width = self.width();
        let place = examples.start * width..examples.end * width;
        // Sums, and how many values each is of.
        let mut whole = vec![0_u64; width];
        let mut sums = vec![(0_f64, 0_usize); width];
        let count = examples.len();
        let add_bytes =
            |row: &[u8], whole: &mut [u64]| whole.iter_mut().zip(row).for_each(|(sum, &x)| *sum += u64::from(x));
        let add_floats = |row: &mut dyn Iterator<Item = f32>, sums: &mut [(f64, usize)]| {
            for ((sum, count), x) in sums.iter_mut().zip(row).filter(|(_, x)| !x.is_nan()) {
                (*sum, *count) = (*sum + f64::from(x), *count + 1);
            }
        };
        match &self.values {
            Values::U8(values) => values[place].chunks_exact(width).for_each(|row| add_bytes(row, &mut whole)),
            Values::F32(values) => {
                for row in values[place].chunks_exact(width) {
                    add_floats(&mut row.iter().copied(), &mut sums);
                }
            }
            Values::Disk(disk) => disk.visit(examples, |_, row| {
                if disk.kind == Kind::Bytes {
                    add_bytes(row, &mut whole);
                } else {
                    add_floats(&mut disk::floats(row), &mut sums);
                }
                Ok(())
            })?,
        }
        if self.values.are_bytes() {
            sums = whole.iter().map(|&sum| (sum as f64 / 255.0, count)).collect();
        }
        Ok(sums.iter().map(|&(sum, count)| (sum / count.max(1) as f64) as f32).collect())
    }
}

/// Up to four bytes as a word, the first one lowest.
pub fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// The identity of a data set. Every number enters in little-endian order, so that all machines agree, and the lengths
/// come before the contents, so that nothing can move from one field into the next.
fn hash(shape: [usize; 3], values: &Values, labels: Option<&[u32]>, test: usize) -> Result<String> {
    // Values in files enter in the order of the files, so they have hashes of their own.
    let kind = match values {
        Values::U8(_) => 0,
        Values::F32(_) => 1,
        Values::Disk(_) => 2 + usize::from(!values.are_bytes()),
    };
    let mut sha = Sha256::new();
    for word in [kind, shape[0], shape[1], shape[2], values.len(), labels.map_or(0, <[u32]>::len), test] {
        sha.update((word as u64).to_le_bytes());
    }
    match values {
        Values::U8(values) => sha.update(values),
        Values::F32(values) => values.iter().for_each(|x| sha.update(x.to_le_bytes())),
        Values::Disk(disk) => disk.visit(0..disk.len(), |_, row| {
            sha.update(row);
            Ok(())
        })?,
    }
    for label in labels.unwrap_or_default() {
        sha.update(label.to_le_bytes());
    }
    Ok(hex(sha))
}

/// A finished sum as text.
fn hex(sha: Sha256) -> String {
    sha.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
