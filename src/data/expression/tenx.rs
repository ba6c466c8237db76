//! A folder as Cell Ranger of 10x Genomics writes it: `matrix.mtx` of genes × cells, `features.tsv` (in earlier versions `genes.tsv`)
//! with number, name and kind of each row, `barcodes.tsv` with the name of each column; each of them also with `.gz` behind it, and
//! with something before it that all three have. What else is known of cells may be a table, `data.obs`.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::{Decoded, Expression, NAME_BYTES, beside, dataset as made, wanted};
use crate::data::csv::table_of;
use crate::data::interactions::{Interactions, mtx};
use crate::data::{Dataset, ReadOptions, packed};
use crate::error::{Error, Result};

const MATRIX: &str = "matrix.mtx";
const FEATURES: [&str; 2] = ["features.tsv", "genes.tsv"];
const BARCODES: &str = "barcodes.tsv";

/// The kind of feature that is a gene.
const GENE: &str = "Gene Expression";

/// The three files.
struct Files {
    matrix: PathBuf,
    features: PathBuf,
    barcodes: PathBuf,
}

/// Whether a folder has a matrix of genes and cells, or a list of cells.
pub fn is_in(folder: &Path) -> bool {
    beside(folder, "", &[MATRIX, BARCODES]).is_some()
}

/// The folder of a matrix that has a list of cells beside it, and what the names of both begin with; nothing for other matrices.
pub fn prefix(matrix: &Path) -> Option<(PathBuf, String)> {
    let name = packed::plain(matrix).file_name()?.to_string_lossy().into_owned();
    let (folder, prefix) = (matrix.parent()?.to_owned(), name.strip_suffix(MATRIX)?.to_owned());
    beside(&folder, &prefix, &[BARCODES]).map(|_| (folder, prefix))
}

/// The files of a folder whose names begin like this.
fn files(folder: &Path, prefix: &str) -> Decoded<Files> {
    let find = |ends: &[&str], what: &str| {
        beside(folder, prefix, ends).ok_or_else(|| {
            let names = ends.iter().map(|end| format!("{prefix}{end}")).collect::<Vec<_>>().join(" or ");
            format!("there is no {names} (or that with .gz behind it), which has {what}")
        })
    };
    Ok(Files {
        matrix: find(&[MATRIX], "the counts")?,
        features: find(&FEATURES, "the names of the genes")?,
        barcodes: find(&[BARCODES], "the names of the cells")?,
    })
}

/// Opens a folder, or the files in it whose names begin with `prefix`, as a data set: each cell is an example.
///
/// # Errors
/// [`Error::Data`] in one line that names the file; [`Error::Usage`] for a column that is not there; those of the data set.
pub fn dataset(name: &str, folder: &Path, prefix: &str, request: &ReadOptions) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    if !request.config.layer.is_empty() {
        return Err(Error::Usage(format!(
            "data.layer = {}: it is for .h5ad files, and {name} holds one matrix alone",
            request.config.layer
        )));
    }
    let files = files(folder, prefix).map_err(complain)?;
    let inside = |path: &Path, what: String| Error::Data(format!("{}: {what}", path.display()));
    let genes = lines(&files.features, request, gene).map_err(|what| inside(&files.features, what))?;
    let cells = lines(&files.barcodes, request, cell).map_err(|what| inside(&files.barcodes, what))?;
    let found = packed::open(&files.matrix).and_then(|file| mtx::read(file, request));
    let mut found = found.map_err(|what| inside(&files.matrix, what))?;
    turn(&mut found, [genes.len(), cells.len()]).map_err(|what| inside(&files.matrix, what))?;
    let mut notes = Vec::new();
    let genes = only_genes(genes, &mut found, &mut notes);
    let labels = labels(&cells, request, &mut notes)?;
    let from = Expression { cells, genes, entries: found.entries, labels, notes, counts: None };
    made(name, from, request)
}

/// A row of the matrix: its name, and whether it is a gene.
struct Feature {
    name: String,
    is_gene: bool,
}

/// A line of the list of features: number, name, kind. Of a list of one column it is the name.
fn gene(line: &str) -> Feature {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    let name = fields.get(1).filter(|name| !name.is_empty()).unwrap_or(&fields[0]);
    Feature { name: (*name).to_owned(), is_gene: fields.get(2).is_none_or(|kind| kind.is_empty() || *kind == GENE) }
}

/// A line of the list of cells, of which the first field is the name.
fn cell(line: &str) -> String {
    line.split('\t').next().unwrap_or_default().trim().to_owned()
}

/// The lines of a list. They may take as many bytes as data may have.
fn lines<T>(path: &Path, request: &ReadOptions, one: impl Fn(&str) -> T) -> Decoded<Vec<T>> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    for (line, number) in packed::open(path)?.lines().zip(1..) {
        let line = line.map_err(|error| format!("line {number} cannot be read: {error}"))?;
        bytes += line.len() as u64 + NAME_BYTES;
        if bytes > request.memory() {
            return Err(format!("line {number}: the list takes more than data.memory allows"));
        }
        if line.trim().is_empty() {
            return Err(format!("line {number} is empty, and a name is expected"));
        }
        all.push(one(line.trim_end()));
    }
    Ok(all)
}

/// Makes rows of cells of a matrix of genes × cells, as 10x writes it; one of cells × genes stays.
fn turn(found: &mut Interactions, [genes, cells]: [usize; 2]) -> Decoded<()> {
    let (rows, columns) = (found.rows, found.items.len());
    if (rows, columns) == (genes, cells) {
        found.entries.iter_mut().for_each(|entry| (entry.0, entry.1) = (entry.1, entry.0));
        return Ok(());
    }
    if (rows, columns) == (cells, genes) {
        return Ok(());
    }
    Err(format!(
        "the matrix has {rows} rows and {columns} columns, and the lists beside it name {genes} genes, which are rows, and {cells} \
         cells, which are columns"
    ))
}

/// The names of the genes; features of another kind (antibodies, guides) are left out.
fn only_genes(features: Vec<Feature>, found: &mut Interactions, notes: &mut Vec<String>) -> Vec<String> {
    let mut next = 0..;
    let place = |feature: &Feature| if feature.is_gene { next.next() } else { None };
    let to: Vec<Option<u32>> = features.iter().map(place).collect();
    let others = to.iter().filter(|to| to.is_none()).count();
    if others > 0 {
        notes.push(format!("{others} features that are no genes (`{GENE}` in the third column) are left out"));
        super::moved(&mut found.entries, &to);
    }
    features.into_iter().filter(|feature| feature.is_gene).map(|feature| feature.name).collect()
}

/// What a column of the table `data.obs` says of each cell.
fn labels(cells: &[String], request: &ReadOptions, notes: &mut Vec<String>) -> Result<Option<Vec<Option<String>>>> {
    let Some(asked) = wanted(request) else { return Ok(None) };
    let obs = request.config.obs.as_str();
    if obs.is_empty() {
        return Err(Error::Usage(format!(
            "data.labels = {asked}: beside a matrix of cells that is a column of a table with a line for each, whose first column has \
             the barcodes: --set data.obs=TABLE.csv"
        )));
    }
    let Some(table) = table_of(Path::new(obs), asked)? else {
        if request.known.is_some() {
            notes.push(format!("{obs} has no column `{asked}`, so there are no labels"));
            return Ok(None);
        }
        return Err(Error::Usage(format!("data.labels = {asked}: {obs} (data.obs) has no column of this name")));
    };
    let mut of: HashMap<String, String> = HashMap::with_capacity(table.len());
    for (cell, label) in table {
        if of.contains_key(&cell) {
            return Err(Error::Data(format!("{obs}: the cell `{cell}` has two lines; leave one out")));
        }
        of.insert(cell, label);
    }
    let label = |cell: &String| of.get(cell).filter(|label| !label.is_empty()).cloned();
    let labels: Vec<Option<String>> = cells.iter().map(label).collect();
    if let (Some(at), false) = (labels.iter().position(Option::is_none), request.holes) {
        let missing = labels.iter().filter(|label| label.is_none()).count();
        return Err(Error::Data(format!(
            "{obs}: {missing} of {} cells have no `{asked}` there, `{}` among them; its first column has the barcodes",
            cells.len(),
            cells[at]
        )));
    }
    Ok(Some(labels))
}
