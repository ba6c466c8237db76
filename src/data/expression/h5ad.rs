//! `AnnData` files (`.h5ad`), which are HDF5: the matrix `X` of cells × genes, dense or compressed by rows or columns, others like it in
//! `layers` and `raw`, and what is known of cells (`obs`) and genes (`var`) as tables of columns.
//! Source: the on-disk format of anndata, versions 0.7 to 0.12 (<https://anndata.readthedocs.io/en/latest/fileformat-prose.html>).
//!
//! A file is read where it is wanted, in windows: what a header promises takes no memory by itself.

#[cfg(test)]
mod tests;

use std::path::Path;

use hdf5_pure::{AttrValue, DType, Error as Inside, File, Group, VlenStringReadOptions};

use super::{Decoded, Expression, NAME_BYTES, dataset as made, wanted};
use crate::config::{Domain, nearest};
use crate::data::interactions::check_room;
use crate::data::sparse::Entry;
use crate::data::{Dataset, ReadOptions, can_be};
use crate::error::{Error, Result};

/// Numbers that are read at a time.
const WINDOW: u64 = 1 << 18;

/// Names that are listed in a message.
const LISTED: usize = 12;

/// The word for the matrix that was set aside before genes were chosen.
const RAW: &str = "raw";

/// What went wrong inside a file.
fn inside(what: &str) -> impl Fn(Inside) -> String {
    move |error| format!("{what}: {}", error.to_string().lines().collect::<Vec<_>>().join("; "))
}

/// Opens a file as a data set: each cell is an example.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path; [`Error::Usage`] for a layer or a column of cells that is not there; those of
/// the data set.
pub fn dataset(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    if !request.config.obs.is_empty() {
        return Err(Error::Usage(format!(
            "data.obs = {}: it is for folders of 10x, and {name} has a table of its cells: `--set data.labels=COLUMN` takes one of it",
            request.config.obs
        )));
    }
    let file = File::open_streaming(path).map_err(inside("this is no HDF5 file that can be read")).map_err(complain)?;
    let root = file.root();
    let layer = request.config.layer.as_str();
    let (matrix, genes) = matrix_of(&root, layer).map_err(|error| located(error, &name))?;
    let matrix = Matrix::open(&root, &matrix).map_err(complain)?;
    let cells = index(&root, "obs", matrix.rows, request).map_err(complain)?;
    let genes = index(&root, &genes, matrix.columns, request).map_err(complain)?;
    let entries = matrix.entries(request).map_err(complain)?;
    let mut notes = Vec::new();
    let labels = labels(&root, (&name, matrix.rows), request, &mut notes)?;
    let of_counts = request.takes.domain == Domain::Counts;
    let odd = of_counts && entries.iter().any(|(.., value)| !can_be(*value, Domain::Counts));
    let counts = odd.then(|| hint(&root, layer));
    made(&name, Expression { cells, genes, entries, labels, notes, counts }, request)
}

/// An error with the name of the file.
fn located(error: Error, name: &str) -> Error {
    match error {
        Error::Data(what) => Error::Data(format!("{name}: {what}")),
        other => other,
    }
}

/// Where the matrix is that is asked for, and the table of its genes.
fn matrix_of(root: &Group, layer: &str) -> Result<(String, String)> {
    let members = |group: &Group| -> Decoded<Vec<String>> {
        let [groups, datasets] = [group.groups(), group.datasets()].map(|names| names.map_err(inside("its list")));
        let mut all = [groups?, datasets?].concat();
        all.sort_unstable();
        Ok(all)
    };
    let own = members(root).map_err(Error::Data)?;
    let has = |name: &str| own.iter().any(|own| own == name);
    if !has("obs") || !has("var") {
        return Err(Error::Data("there is no `obs` or no `var`, so this HDF5 file is none of anndata".into()));
    }
    match layer {
        "" | "X" if has("X") => Ok(("X".into(), "var".into())),
        "" | "X" => Err(Error::Data(format!("there is no X, the matrix of counts{}", elsewhere(root)))),
        RAW if has(RAW) => Ok((format!("{RAW}/X"), format!("{RAW}/var"))),
        layer => {
            let layers = root.group("layers").ok().and_then(|layers| members(&layers).ok()).unwrap_or_default();
            if layers.iter().any(|name| name == layer) {
                return Ok((format!("layers/{layer}"), "var".into()));
            }
            let near =
                nearest(layer, layers.iter().map(String::as_str)).map(|near| format!(" (did you mean `{near}`?)"));
            let has = if layers.is_empty() { "it has none".to_owned() } else { format!("it has {}", listed(&layers)) };
            let raw = if own.iter().any(|own| own == RAW) { " and `raw`" } else { "" };
            Err(Error::Usage(format!(
                "data.layer = {layer}: the file has no layer of this name{}; {has}{raw}",
                near.unwrap_or_default()
            )))
        }
    }
}

/// Names for a message.
fn listed(names: &[String]) -> String {
    let rest = if names.len() > LISTED { ", …" } else { "" };
    format!("{}{rest}", names.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
}

/// A matrix of cells × genes.
struct Matrix<'a> {
    root: &'a Group,
    at: String,
    rows: usize,
    columns: usize,
    stored: Stored,
}

/// How it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Dense,
    /// Compressed by rows, or by columns.
    Sparse {
        by_rows: bool,
    },
}

impl<'a> Matrix<'a> {
    /// The matrix of this name.
    fn open(root: &'a Group, at: &str) -> Decoded<Self> {
        let extents = |shape: Vec<u64>| match shape[..] {
            [rows, columns] if u32::try_from(rows).is_ok() && u32::try_from(columns).is_ok() => {
                Ok([rows as usize, columns as usize])
            }
            _ => Err(format!("{at}: its shape is {shape:?}, and cells × genes are expected")),
        };
        if let Ok(group) = root.group(at) {
            let attributes = group.attrs().map_err(inside(at))?;
            let text = |name: &str| attributes.get(name).and_then(AttrValue::as_str);
            let format = text("encoding-type").or_else(|| text("h5sparse_format")).unwrap_or_default();
            let by_rows = match format {
                "csr_matrix" | "csr" => true,
                "csc_matrix" | "csc" => false,
                other => {
                    return Err(format!("{at}: `{other}` is not read: dense, csr_matrix and csc_matrix are"));
                }
            };
            let shape = attributes.get("shape").or_else(|| attributes.get("h5sparse_shape"));
            let shape = shape.and_then(|shape| {
                let signed =
                    shape.to_i64s().map(|all| all.into_iter().map(|n| u64::try_from(n).unwrap_or(u64::MAX)).collect());
                signed.or_else(|| shape.to_u64s())
            });
            let [rows, columns] = extents(shape.unwrap_or_default())?;
            return Ok(Self { root, at: at.to_owned(), rows, columns, stored: Stored::Sparse { by_rows } });
        }
        let dense = root.dataset(at).map_err(inside(at))?;
        let [rows, columns] = extents(dense.shape().map_err(inside(at))?)?;
        Ok(Self { root, at: at.to_owned(), rows, columns, stored: Stored::Dense })
    }

    /// Cell, gene and value of what is not zero.
    fn entries(&self, request: &ReadOptions) -> Decoded<Vec<Entry>> {
        let mut all = Vec::new();
        self.visit(u64::MAX, &mut |row, column, value| {
            if !(value as f32).is_finite() {
                return Err(format!("{}: row {row}, column {column} is {value}, and counts are expected", self.at));
            }
            if value != 0.0 {
                all.push((row, column, value as f32));
                if all.len().is_multiple_of(WINDOW as usize) {
                    check_room(all.len() as u64, 0, request)?;
                }
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Whether the first numbers that are not zero are counts, and there are any.
    fn looks_counted(&self) -> bool {
        let (mut seen, mut counted) = (false, true);
        let read = self.visit(WINDOW, &mut |_, _, value| {
            seen |= value != 0.0;
            counted &= can_be(value as f32, Domain::Counts);
            Ok(())
        });
        read.is_ok() && seen && counted
    }

    /// Hands over row, column and value of up to so many stored numbers.
    fn visit(&self, most: u64, visit: &mut dyn FnMut(u32, u32, f64) -> Decoded<()>) -> Decoded<()> {
        match self.stored {
            Stored::Dense => self.visit_dense(most, visit),
            Stored::Sparse { by_rows } => self.visit_sparse(most, by_rows, visit),
        }
    }

    fn visit_dense(&self, most: u64, visit: &mut dyn FnMut(u32, u32, f64) -> Decoded<()>) -> Decoded<()> {
        let of = self.root.dataset(&self.at).map_err(inside(&self.at))?;
        numbers(&of.dtype().map_err(inside(&self.at))?, &self.at)?;
        let (columns, window) = (self.columns.max(1) as u64, (WINDOW / self.columns.max(1) as u64).max(1));
        let rows = (self.rows as u64).min(most.div_ceil(columns));
        let mut at = 0;
        while at < rows {
            let values = of.read_f64_rows(at, window.min(rows - at)).map_err(inside(&self.at))?;
            if values.is_empty() {
                return Err(format!("{}: it ends before row {at}", self.at));
            }
            for (row, values) in (at..).zip(values.chunks(self.columns.max(1))) {
                for (column, &value) in (0..).zip(values) {
                    visit(row as u32, column, value)?;
                }
            }
            at += window;
        }
        Ok(())
    }

    fn visit_sparse(
        &self,
        most: u64,
        by_rows: bool,
        visit: &mut dyn FnMut(u32, u32, f64) -> Decoded<()>,
    ) -> Decoded<()> {
        let at = |name: &str| format!("{}/{name}", self.at);
        let open = |name: &str| {
            let of = self.root.dataset(&at(name)).map_err(inside(&at(name)))?;
            let shape = of.shape().map_err(inside(&at(name)))?;
            numbers(&of.dtype().map_err(inside(&at(name)))?, &at(name))?;
            match shape[..] {
                [count] => Ok((of, count)),
                _ => Err(format!("{}: its shape is {shape:?}, and one dimension is expected", at(name))),
            }
        };
        let ((data, count), (indices, found), (starts, ends)) = (open("data")?, open("indices")?, open("indptr")?);
        let (major, minor) = if by_rows { (self.rows, self.columns) } else { (self.columns, self.rows) };
        if found != count || ends != major as u64 + 1 {
            let name = &self.at;
            return Err(format!(
                "{name}: {count} values, {found} indices and {ends} starts of {major} rows or columns do not fit"
            ));
        }
        // Where the entries of each row, or column, end; the starts are read along with them.
        let (mut line, mut end, mut bounds) = (0_u32, 0_u64, Bounds::new(&starts, ends));
        bounds.first(&at("indptr"))?;
        let mut from = 0;
        while from < count.min(most) {
            let size = WINDOW.min(count - from);
            let values = data.read_f64_rows(from, size).map_err(inside(&at("data")))?;
            let places = indices.read_i64_rows(from, size).map_err(inside(&at("indices")))?;
            if values.len() as u64 != size || places.len() as u64 != size {
                return Err(format!("{}: it ends before its entry {from}", self.at));
            }
            for (number, (value, place)) in (from..).zip(values.into_iter().zip(places)) {
                while number >= end {
                    let Some(next) = bounds.next(&at("indptr"), end, count)? else {
                        return Err(format!("{}: its starts end before its entries do", at("indptr")));
                    };
                    (line, end) = next;
                }
                let Some(place) = u32::try_from(place).ok().filter(|&place| (place as usize) < minor) else {
                    return Err(format!(
                        "{}: number {number} is {place}, and it goes from 0 to {}",
                        at("indices"),
                        minor.saturating_sub(1)
                    ));
                };
                let (row, column) = if by_rows { (line, place) } else { (place, line) };
                visit(row, column, value)?;
            }
            from += size;
        }
        Ok(())
    }
}

/// The ends of rows, or columns, one after the other.
struct Bounds<'a> {
    of: &'a hdf5_pure::Dataset,
    count: u64,
    read: Vec<i64>,
    /// How many were read before those.
    before: u64,
    next: u64,
}

impl<'a> Bounds<'a> {
    fn new(of: &'a hdf5_pure::Dataset, count: u64) -> Self {
        Self { of, count, read: vec![], before: 0, next: 0 }
    }

    fn number(&mut self, what: &str) -> Decoded<Option<i64>> {
        if self.next == self.count {
            return Ok(None);
        }
        if self.next >= self.before + self.read.len() as u64 {
            self.before = self.next;
            self.read = self.of.read_i64_rows(self.next, WINDOW.min(self.count - self.next)).map_err(inside(what))?;
        }
        let found = self.read.get((self.next - self.before) as usize).copied();
        self.next += 1;
        found.map(Some).ok_or_else(|| format!("{what}: it ends too early"))
    }

    /// Passes over the start of the first.
    fn first(&mut self, what: &str) -> Decoded<()> {
        match self.number(what)? {
            Some(0) => Ok(()),
            other => Err(format!("{what}: it begins with {}, and not with 0", other.unwrap_or(-1))),
        }
    }

    /// The next row, or column, and the end of its entries.
    fn next(&mut self, what: &str, before: u64, most: u64) -> Decoded<Option<(u32, u64)>> {
        let line = self.next.saturating_sub(1) as u32;
        match self.number(what)? {
            None => Ok(None),
            Some(end) if u64::try_from(end).is_ok_and(|end| (before..=most).contains(&end)) => {
                Ok(Some((line, end as u64)))
            }
            Some(end) => Err(format!("{what}: {end} does not lie between {before} and {most}")),
        }
    }
}

/// Tells whether a type is one of numbers.
fn numbers(of: &DType, what: &str) -> Decoded<()> {
    let fits = matches!(
        of,
        DType::F32
            | DType::F64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
    );
    if fits { Ok(()) } else { Err(format!("{what}: it holds {of}, and numbers are expected")) }
}

/// The names of cells or genes: the column that a table has for its index.
fn index(root: &Group, table: &str, count: usize, request: &ReadOptions) -> Decoded<Vec<String>> {
    let group = root.group(table).map_err(|_| {
        format!("{table} is no group, as anndata before 0.7 wrote it; read the file by anndata and write it again")
    })?;
    let attributes = group.attrs().map_err(inside(table))?;
    let column = attributes.get("_index").and_then(AttrValue::as_str).unwrap_or("_index").to_owned();
    let what = format!("{table}/{column}");
    let names = texts(root, &what, count, request)?;
    names.into_iter().map(|name| name.ok_or_else(|| format!("{what}: a name is missing"))).collect()
}

/// A column of a table as texts; what is missing is nothing.
fn texts(root: &Group, at: &str, count: usize, request: &ReadOptions) -> Decoded<Vec<Option<String>>> {
    let many = |found: usize| {
        if found == count { Ok(()) } else { Err(format!("{at}: it has {found} values, and the matrix {count}")) }
    };
    if let Ok(group) = root.group(at) {
        if group.dataset("codes").is_ok() {
            let codes = root.dataset(&format!("{at}/codes")).map_err(inside(at))?;
            many(extent(&codes, at)?)?;
            return coded(
                &codes.read_i64().map_err(inside(at))?,
                &plain(root, &format!("{at}/categories"), request)?,
                at,
            );
        }
        // Text or whole numbers of which some may be missing.
        let values = plain(root, &format!("{at}/values"), request)?;
        many(values.len())?;
        let mask = root.dataset(&format!("{at}/mask")).map_err(inside(at))?;
        many(extent(&mask, at)?)?;
        let mask = mask.read_u8().map_err(inside(at))?;
        return Ok(values.into_iter().zip(mask).map(|(value, masked)| (masked == 0).then_some(value)).collect());
    }
    let (table, column) = at.rsplit_once('/').unwrap_or(("", at));
    let categories = format!("{table}/__categories/{column}");
    if root.dataset(&categories).is_ok() {
        let codes = root.dataset(at).map_err(inside(at))?;
        many(extent(&codes, at)?)?;
        return coded(&codes.read_i64().map_err(inside(at))?, &plain(root, &categories, request)?, at);
    }
    let values = plain(root, at, request)?;
    many(values.len())?;
    Ok(values
        .into_iter()
        .map(|value| Some(value).filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("nan")))
        .collect())
}

/// The words of categories.
fn coded(codes: &[i64], categories: &[String], at: &str) -> Decoded<Vec<Option<String>>> {
    let word = |&code: &i64| match usize::try_from(code) {
        Err(_) => Ok(None),
        Ok(code) => match categories.get(code) {
            Some(category) => Ok(Some(category.clone())),
            None => Err(format!("{at}: the category {code} is none of its {}", categories.len())),
        },
    };
    codes.iter().map(word).collect()
}

/// How many values a column has.
fn extent(of: &hdf5_pure::Dataset, at: &str) -> Decoded<usize> {
    let shape = of.shape().map_err(inside(at))?;
    match shape[..] {
        [count] if u32::try_from(count).is_ok() => Ok(count as usize),
        _ => Err(format!("{at}: its shape is {shape:?}, and one dimension is expected")),
    }
}

/// The values of a dataset of one dimension as texts.
fn plain(root: &Group, at: &str, request: &ReadOptions) -> Decoded<Vec<String>> {
    let of = root.dataset(at).map_err(inside(at))?;
    let count = extent(&of, at)? as u64;
    if count.saturating_mul(NAME_BYTES) > request.memory() {
        return Err(format!("{at}: {count} values take more than data.memory allows"));
    }
    let shown = |number: f64| format!("{number}");
    match of.dtype().map_err(inside(at))? {
        DType::VariableLengthString => {
            let memory = usize::try_from(request.memory()).unwrap_or(usize::MAX);
            let most = VlenStringReadOptions::new().with_max_payload_bytes(memory);
            of.read_vlen_strings(most).map_err(inside(at))
        }
        DType::String => of.read_string().map_err(inside(at)),
        DType::Enum(words) => {
            let codes = of.read_u8().map_err(inside(at))?;
            let word = |code: u8| words.get(usize::from(code)).cloned().unwrap_or_else(|| code.to_string());
            Ok(codes.into_iter().map(word).collect())
        }
        DType::F32 | DType::F64 => Ok(of.read_f64().map_err(inside(at))?.into_iter().map(shown).collect()),
        whole => {
            numbers(&whole, at)?;
            Ok(of.read_i64().map_err(inside(at))?.iter().map(i64::to_string).collect())
        }
    }
}

/// What the column of `obs` that is asked for says of each cell.
fn labels(
    root: &Group,
    (name, cells): (&str, usize),
    request: &ReadOptions,
    notes: &mut Vec<String>,
) -> Result<Option<Vec<Option<String>>>> {
    let Some(asked) = wanted(request) else { return Ok(None) };
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let obs = root.group("obs").map_err(inside("obs")).map_err(complain)?;
    let [groups, datasets] = [obs.groups(), obs.datasets()].map(|names| names.map_err(inside("obs")).map_err(complain));
    let mut columns = [groups?, datasets?].concat();
    columns.retain(|column| !column.starts_with('_'));
    columns.sort_unstable();
    if columns.iter().any(|column| column == asked) {
        return texts(root, &format!("obs/{asked}"), cells, request).map(Some).map_err(complain);
    }
    if request.known.is_some() {
        notes.push(format!("obs has no column `{asked}`, so there are no labels"));
        return Ok(None);
    }
    let near = nearest(asked, columns.iter().map(String::as_str)).map(|near| format!(" (did you mean `{near}`?)"));
    Err(Error::Usage(format!(
        "data.labels = {asked}: obs of {name} has no column of this name{}; it has {}",
        near.unwrap_or_default(),
        listed(&columns)
    )))
}

/// Where counts are, other than in the layer that was taken.
fn hint(root: &Group, layer: &str) -> String {
    let taken = if layer.is_empty() { "X" } else { layer };
    match found(root, taken) {
        Some(found) => format!("counts are in `{found}` of this file: --set data.layer={found}"),
        None => "no other matrix of this file holds counts; give the counts as they were read".into(),
    }
}

/// What to do where there is no X.
fn elsewhere(root: &Group) -> String {
    found(root, "X").map_or_else(String::new, |found| format!("; `{found}` has some: --set data.layer={found}"))
}

/// A matrix that looks like counts.
fn found(root: &Group, taken: &str) -> Option<String> {
    let layers = root.group("layers").ok().map(|layers| [layers.groups(), layers.datasets()]);
    let mut names: Vec<String> = layers.into_iter().flatten().flatten().flatten().collect();
    names.sort_unstable();
    let all = names.into_iter().map(|name| (format!("layers/{name}"), name));
    let all = all.chain([(format!("{RAW}/X"), RAW.to_owned()), ("X".to_owned(), "X".to_owned())]);
    let mut others = all.filter(|(_, name)| name != taken);
    others.find(|(at, _)| Matrix::open(root, at).is_ok_and(|matrix| matrix.looks_counted())).map(|(_, name)| name)
}
