//! `.npz`, `NumPy`'s archive of arrays: a ZIP file whose entries are `.npy` files.
//!
//! What is unpacked to the disk goes to a file without a name, whatever the archive calls it. Which array holds the examples follows from its name or from `data.array`, never
//! from a guess about its content.

mod sparse;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use super::array::{self, Array};
use super::cells::Cells;
use super::disk::{Disk, FileRows};
use super::{Dataset, Labels, ReadOptions, interactions, kinds, npy};
use crate::config::DataConfig;
use crate::error::{Error, Result};

/// More entries are no archive of arrays.
const MAX_ENTRIES: usize = 10_000;
/// Deflate makes at most 1032 bytes of one: who declares more lies.
const MAX_EXPANSION: u64 = 1032;
/// The most bytes that an array may have when unpacked.
const MAX_BYTES: u64 = 1 << 36;

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
/// or `data` with the labels `y`, `labels` or `target`, or else the only array. A sparse matrix of `SciPy` is read as one.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path; [`Error::Usage`] where the configuration names what is not
/// there, or validation would leave nothing to train on.
pub fn dataset(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    let mut archive = Archive::open(file).map_err(complain)?;
    if archive.is_sparse() && request.config.array.is_empty() {
        let found = archive.matrix(request).map_err(complain)?;
        return interactions::dataset(&name, found, request);
    }
    let names = archive.names(&request.config.array, &name)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (dims, test_size, cells) = archive.examples(&names, &name, request)?;
    let total = dims.first().copied().unwrap_or(0);
    // Other data for a trained model need not have the labels that it was configured for.
    let asked = request.config.labels.as_str();
    let asked = if request.known.is_some() && !archive.has(asked) && asked != "none" { "" } else { asked };
    let (labels, note) = archive.labels(names[0], names.len() > 1, total, asked, &name)?;
    let mut data = array::dataset(&name, &dims, cells, test_size, labels, request)?;
    data.notes.extend(note);
    Ok(data)
}

/// The numbers of the examples as they are stored, those of a test part behind the others.
///
/// # Errors
/// As those of [`dataset`].
pub fn array(path: &Path, config: &DataConfig) -> Result<Array> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    let mut archive = Archive::open(file).map_err(complain)?;
    let names = archive.names(&config.array, &name)?;
    let arrays = names.iter().map(|name| archive.read(name)).collect::<Decoded<Vec<Array>>>();
    arrays.and_then(all).map_err(complain)
}

impl Archive {
    /// The array of the examples, and behind it that of a test part where there is one.
    fn names(&self, asked: &str, file: &str) -> Result<Vec<String>> {
        let examples = self.choose(asked, file)?;
        let test = Some(examples.replacen("train", "test", 1));
        let test = test.filter(|test| TRAINING.contains(&examples.as_str()) && self.has(test));
        Ok(std::iter::once(examples).chain(test).collect())
    }

    fn open(file: File) -> Decoded<Self> {
        let damaged = |error: zip::result::ZipError| format!("this is no .npz file, or it is damaged: {error}");
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
        if zip.len() > MAX_ENTRIES {
            return Err(format!("{} entries are too many, allowed are {MAX_ENTRIES}", zip.len()));
        }
        let (mut arrays, mut told) = (Vec::new(), None);
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).map_err(damaged)?;
            let name = entry.name().map_err(damaged)?.into_owned();
            // Nothing is written by these names, but who uses them is up to no good.
            if name.starts_with('/') || name.contains('\\') || name.split('/').any(|part| part == "..") {
                return Err(format!("the entry {name:?} points out of the archive; it was not made by NumPy"));
            }
            let Some(array) = name.strip_suffix(".npy") else {
                told = told.or_else(|| kinds::archive(&name));
                continue;
            };
            if entry.size() > MAX_BYTES || entry.size() / MAX_EXPANSION > entry.compressed_size() {
                let (size, stored) = (entry.size(), entry.compressed_size());
                return Err(format!("the entry {name} claims to hold {size} bytes in {stored}; nothing was unpacked"));
            }
            let header = npy::header(&mut entry).map(|(header, _)| header);
            arrays.push((array.to_owned(), header));
        }
        if let (true, Some(told)) = (arrays.is_empty(), told) {
            return Err(told);
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

    /// The extents of the arrays of these names, one behind the other, the examples of the second, and the cells of
    /// both: in memory, or where they take too much of it in scratch files.
    fn examples(
        &mut self,
        names: &[&str],
        file: &str,
        request: &ReadOptions,
    ) -> Result<(Vec<usize>, Option<usize>, Cells)> {
        let complain = |what: String| Error::Data(format!("{file}: {what}"));
        let found = |name: &&str| self.arrays.iter().find(|(array, _)| array == name)?.1.as_ref().ok();
        let headers: Vec<&npy::Header> = names.iter().filter_map(found).collect();
        if !npy::is_large(&headers, request) {
            let arrays = names.iter().map(|name| self.read(name)).collect::<Decoded<Vec<Array>>>().map_err(complain)?;
            let test = arrays.get(1).map(|array| array.dims.first().copied().unwrap_or(0));
            let both = |what: String| complain(format!("{}: {what}", names.join(" and ")));
            let Array { dims, elements } = all(arrays).map_err(both)?;
            return Ok((dims, test, Cells::Memory(elements)));
        }
        let dims: Vec<Vec<usize>> = headers.iter().map(|header| header.dims.clone()).collect();
        let columns = headers.iter().map(|header| header.columns()).next().unwrap_or(0);
        let test = dims.get(1).map(|dims| dims.first().copied().unwrap_or(0));
        let dims = dims.into_iter().map(Ok).reduce(|a, b| stacked(a?, &b?)).unwrap_or_else(|| Ok(vec![]));
        let dims = dims.map_err(|what| complain(format!("{}: {what}", names.join(" and "))))?;
        let parts = names.iter().map(|name| self.unpack(name, file)).collect::<Result<Vec<FileRows>>>()?;
        Ok((dims, test, Cells::Disk(Disk::new(columns, parts)?)))
    }

    /// The bytes of an array's file.
    fn entry(&mut self, name: &str) -> Decoded<impl Read> {
        let entry = self.zip.by_name(&format!("{name}.npy")).map_err(|error| format!("array {name}: {error}"))?;
        // What a lying directory of the archive leaves out, the reader would not miss.
        let size = entry.size();
        Ok(entry.take(size + 1))
    }

    fn read(&mut self, name: &str) -> Decoded<Array> {
        npy::read(self.entry(name)?).map_err(|what| format!("array {name}: {what}"))
    }

    fn unpack(&mut self, name: &str, file: &str) -> Result<FileRows> {
        let entry = self.entry(name).map_err(|what| Error::Data(format!("{file}: {what}")))?;
        npy::unpack(entry, file, name)
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
        let without = |what: String| complain(format!("{what}; go without labels with `--set data.labels=none`"));
        let arrays = names.iter().map(|name| self.read(name)).collect::<Decoded<Vec<Array>>>().map_err(without)?;
        let list = names.join(" and ");
        Ok(match all(arrays).and_then(|array| array::labels(&array, total)) {
            Ok(labels) => (Some(labels), None),
            Err(what) => (None, Some(format!("{list} is not taken for labels: {what}"))),
        })
    }
}

/// Arrays one behind the other.
fn all(arrays: Vec<Array>) -> Decoded<Array> {
    arrays.into_iter().map(Ok).reduce(|a, b| joined(a?, b?)).unwrap_or_else(|| Err("there is no array".into()))
}

/// Two arrays, one behind the other.
fn joined(mut first: Array, second: Array) -> Decoded<Array> {
    let (a, b) = (first.elements.name(), second.elements.name());
    first.dims = stacked(first.dims, &second.dims)?;
    if first.elements.append(second.elements) { Ok(first) } else { Err(format!("{a} and {b} do not go together")) }
}

/// The extents of two arrays, one behind the other.
fn stacked(mut first: Vec<usize>, second: &[usize]) -> Decoded<Vec<usize>> {
    if first.is_empty() || first.get(1..) != second.get(1..) {
        return Err(format!("shapes {first:?} and {second:?} do not go together"));
    }
    first[0] = first[0].saturating_add(second[0]);
    Ok(first)
}
