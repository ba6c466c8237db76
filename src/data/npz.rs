//! `.npz`, `NumPy`'s archive of arrays: a ZIP file whose entries are `.npy` files.
//!
//! Nothing is ever unpacked to disk. Which array holds the examples follows from its name or from `data.array`, never
//! from a guess about its content.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use super::array::{self, Array};
use super::{Dataset, Labels, Request, npy};
use crate::error::{Error, Result};

/// More entries are no archive of arrays.
const MOST_ENTRIES: usize = 10_000;
/// Deflate makes at most 1032 bytes of one: who declares more lies.
const MOST_EXPANSION: u64 = 1032;
/// The most bytes that an array may have when unpacked.
const MOST_BYTES: u64 = 1 << 36;

/// Names of the array of examples, and of the labels, in the order in which they are looked for.
const TRAINING: [&str; 2] = ["x_train", "X_train"];
const EXAMPLES: [&str; 3] = ["X", "x", "data"];
const LABELS: [&str; 4] = ["y", "Y", "labels", "target"];

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// The arrays of an archive: their names, and their extents where the header can be read.
struct Archive {
    zip: ZipArchive<BufReader<File>>,
    arrays: Vec<(String, Decoded<npy::Header>)>,
}

/// Opens an archive as a data set.
///
/// The examples are `x_train` with `x_test` for the test part and `y_train` and `y_test` for the labels, or else `X`, `x`
/// or `data` with the labels `y`, `labels` or `target`, or else the only array.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path; [`Error::Usage`] where the configuration names what is not
/// there, or validation would leave nothing to train on.
pub fn dataset(path: &Path, request: &Request) -> Result<Dataset> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    let mut archive = Archive::open(file).map_err(complain)?;
    let examples = archive.choose(&request.config.array, &name)?;
    let mut array = archive.read(&examples).map_err(complain)?;
    let partner = |word: &str| examples.replacen("train", word, 1);
    let test = Some(partner("test")).filter(|test| TRAINING.contains(&examples.as_str()) && archive.has(test));
    let mut test_size = None;
    if let Some(test) = &test {
        let more = archive.read(test).map_err(complain)?;
        test_size = Some(more.dims.first().copied().unwrap_or(0));
        array = joined(array, more).map_err(|what| complain(format!("{examples} and {test}: {what}")))?;
    }
    let total = array.dims.first().copied().unwrap_or(0);
    // Other data for a trained model need not have the labels that it was configured for.
    let asked = request.config.labels.as_str();
    let asked = if request.known.is_some() && !archive.has(asked) && asked != "none" { "" } else { asked };
    let (labels, note) = archive.labels(&examples, test.is_some(), total, asked, &name)?;
    let data = array::dataset(&name, array, test_size, labels, request)?;
    Ok(Dataset { notes: note.into_iter().collect(), ..data })
}

impl Archive {
    fn open(file: File) -> Decoded<Self> {
        let damaged = |error: zip::result::ZipError| format!("this is no .npz file, or it is damaged: {error}");
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
        if zip.len() > MOST_ENTRIES {
            return Err(format!("{} entries are too many, allowed are {MOST_ENTRIES}", zip.len()));
        }
        let mut arrays = Vec::new();
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(damaged)?;
            let name = entry.name().map_err(damaged)?.into_owned();
            // Nothing is written by these names, but who uses them is up to no good.
            if name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part == "..") {
                return Err(format!("the entry {name:?} points out of the archive; it was not made by NumPy"));
            }
            let Some(array) = name.strip_suffix(".npy") else { continue };
            if entry.size() > MOST_BYTES || entry.size() / MOST_EXPANSION > entry.compressed_size() {
                let (size, stored) = (entry.size(), entry.compressed_size());
                return Err(format!("the entry {name} claims to hold {size} bytes in {stored}; nothing was unpacked"));
            }
            let header = npy::header(&mut entry).map(|(header, _)| header);
            arrays.push((array.to_owned(), header));
        }
        Ok(Self { zip, arrays })
    }

    fn has(&self, name: &str) -> bool {
        self.arrays.iter().any(|(array, _)| array == name)
    }

    /// The array of the examples: the one asked for, or the first of the known names, or the only one.
    fn choose(&self, asked: &str, file: &str) -> Result<String> {
        if !asked.is_empty() {
            return if self.has(asked) {
                Ok(asked.to_owned())
            } else {
                let list = self.list();
                Err(Error::Usage(format!("data.array = {asked}: {file} has no such array; it has {list}")))
            };
        }
        if let Some(name) = TRAINING.into_iter().chain(EXAMPLES).find(|name| self.has(name)) {
            return Ok(name.to_owned());
        }
        match &self.arrays[..] {
            [(name, _)] => Ok(name.clone()),
            [] => Err(Error::Data(format!("{file}: there is no array in this archive"))),
            _ => Err(Error::Data(format!(
                "{file}: which array holds the examples? there are {}; name one with `--set data.array=NAME`",
                self.list()
            ))),
        }
    }

    /// The arrays with their extents, for messages.
    fn list(&self) -> String {
        let shown = self.arrays.iter().take(8).map(|(name, header)| match header {
            Ok(header) => format!("{name} {:?}", header.dims),
            Err(_) => name.clone(),
        });
        let rest = if self.arrays.len() > 8 { " and others" } else { "" };
        format!("{}{rest}", shown.collect::<Vec<String>>().join(", "))
    }

    fn read(&mut self, name: &str) -> Decoded<Array> {
        let complain = |what: String| format!("array {name}: {what}");
        let entry = self.zip.by_name(&format!("{name}.npy")).map_err(|error| complain(error.to_string()))?;
        // What a lying directory of the archive leaves out, the reader would not miss.
        let size = entry.size();
        npy::read(entry.take(size + 1)).map_err(complain)
    }

    /// The labels of all examples, and what to say where an array of the right name holds none.
    fn labels(
        &mut self,
        examples: &str,
        parts: bool,
        total: usize,
        asked: &str,
        file: &str,
    ) -> Result<(Option<Labels>, Option<String>)> {
        let complain = |what: String| Error::Data(format!("{file}: {what}"));
        match asked {
            "none" => return Ok((None, None)),
            "" => {}
            asked if !self.has(asked) => {
                let list = self.list();
                return Err(Error::Usage(format!("data.labels = {asked}: {file} has no such array; it has {list}")));
            }
            asked => {
                let array = self.read(asked).map_err(complain)?;
                let labels = array::labels(&array, total).map_err(|what| complain(format!("array {asked}: {what}")))?;
                return Ok((Some(labels), None));
            }
        }
        let names: Vec<String> = if parts {
            vec!["y_train".into(), "y_test".into()]
        } else if TRAINING.contains(&examples) {
            vec!["y_train".into()]
        } else {
            let known = LABELS.into_iter().find(|name| self.has(name) && *name != examples);
            known.map(String::from).into_iter().collect()
        };
        if names.is_empty() || !names.iter().all(|name| self.has(name)) {
            return Ok((None, None));
        }
        let arrays = names.iter().map(|name| self.read(name)).collect::<Decoded<Vec<Array>>>().map_err(complain)?;
        let joined = arrays.into_iter().map(Ok).reduce(|a, b| joined(a?, b?)).unwrap_or_else(|| Err(String::new()));
        let list = names.join(" and ");
        Ok(match joined.and_then(|array| array::labels(&array, total)) {
            Ok(labels) => (Some(labels), None),
            Err(what) => (None, Some(format!("{list} is not taken for labels: {what}"))),
        })
    }
}

/// Two arrays, one behind the other.
fn joined(mut first: Array, second: Array) -> Decoded<Array> {
    let (a, b) = (first.elements.name(), second.elements.name());
    if first.dims.get(1..) != second.dims.get(1..) || first.dims.is_empty() {
        return Err(format!("shapes {:?} and {:?} do not go together", first.dims, second.dims));
    }
    first.dims[0] += second.dims[0];
    if first.elements.append(second.elements) { Ok(first) } else { Err(format!("{a} and {b} do not go together")) }
}
