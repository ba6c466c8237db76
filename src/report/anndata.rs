//! `AnnData` files for other programs: cells by their names, what is known of them, and arrays with a row for each (`obsm`).
//! Source: the on-disk format of anndata, version 0.1.0 of files and 0.2.0 of their parts
//! (<https://anndata.readthedocs.io/en/latest/fileformat-prose.html>).

use std::path::Path;

use hdf5_pure::{AttrValue, FileBuilder, GroupBuilder};

use crate::durable;
use crate::error::{Error, Result};

/// What is written.
#[derive(Debug)]
pub struct Cells<'a> {
    /// The names of the cells.
    pub names: &'a [String],
    /// A column of categories: its name, the category of each cell, and the names of the categories.
    pub label: Option<(&'a str, &'a [u32], &'a [String])>,
    /// Arrays with a row for each cell: name, numbers, numbers of a row.
    pub arrays: &'a [(&'a str, &'a [f32], usize)],
}

fn encoded(group: &mut GroupBuilder, kind: &str, version: &str) {
    group.set_attr("encoding-type", text(kind));
    group.set_attr("encoding-version", text(version));
}

fn text(word: &str) -> AttrValue {
    AttrValue::VarLenString(word.into())
}

/// Names as a dataset of a group.
fn strings(group: &mut GroupBuilder, name: &str, words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let made = group.create_dataset(name).with_vlen_strings(&words);
    made.set_attr("encoding-type", text("string-array")).set_attr("encoding-version", text("0.2.0"));
}

/// A table whose rows have these names and that has these columns.
fn table(group: &mut GroupBuilder, names: &[String], columns: &[&str]) {
    encoded(group, "dataframe", "0.2.0");
    group.set_attr("_index", text("_index"));
    group.set_attr("column-order", AttrValue::VarLenStringArray(columns.iter().map(|&name| name.to_owned()).collect()));
    strings(group, "_index", names);
}

/// Writes a file that `anndata.read_h5ad` reads.
///
/// # Errors
/// [`Error::Disk`] if the file cannot be written; then whatever was there before still is.
pub fn save(path: &Path, cells: &Cells) -> Result<()> {
    let bug = |why: String| Error::Bug(format!("{}: {why}", path.display()));
    let mut file = FileBuilder::new();
    file.set_attr("encoding-type", text("anndata"));
    file.set_attr("encoding-version", text("0.1.0"));
    let mut obs = file.create_group("obs");
    let columns: Vec<&str> = cells.label.iter().map(|(name, ..)| *name).collect();
    table(&mut obs, cells.names, &columns);
    if let Some((name, codes, names)) = cells.label {
        let mut column = obs.create_group(name);
        encoded(&mut column, "categorical", "0.2.0");
        column.set_attr("ordered", AttrValue::I8(0));
        // A cell without a category has the code −1.
        let codes: Vec<i32> = codes.iter().map(|&code| i32::try_from(code).unwrap_or(-1)).collect();
        let made = column.create_dataset("codes").with_i32_data(&codes);
        made.set_attr("encoding-type", text("array")).set_attr("encoding-version", text("0.2.0"));
        strings(&mut column, "categories", names);
        obs.add_group(column.finish());
    }
    file.add_group(obs.finish());
    let mut var = file.create_group("var");
    table(&mut var, &[], &[]);
    file.add_group(var.finish());
    let mut arrays = file.create_group("obsm");
    encoded(&mut arrays, "dict", "0.1.0");
    for &(name, numbers, width) in cells.arrays {
        let made = arrays.create_dataset(name).with_f32_data(numbers);
        made.with_shape(&[cells.names.len() as u64, width as u64]);
        made.set_attr("encoding-type", text("array")).set_attr("encoding-version", text("0.2.0"));
    }
    file.add_group(arrays.finish());
    durable::replace_file(path, &file.finish().map_err(|error| bug(error.to_string()))?)
}
