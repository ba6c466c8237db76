//! How often each gene was counted in each cell: sparse rows, a cell each, whose columns have the names of genes.
//!
//! A folder as Cell Ranger writes it is read by [`tenx`], an `AnnData` file by `h5ad` (feature `h5ad`). Both say what they hold as
//! [`Expression`]. Genes are told apart by their names, so other data for a trained model may have more of them, in any order.

#[cfg(feature = "h5ad")]
pub mod h5ad;
pub mod tenx;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use super::interactions::check_room;
use super::sparse::{Entry, Sparse};
use super::{Dataset, Format, Labels, NO_LABEL, ReadOptions, Values, can_be, places};
use crate::config::{Domain, MAX_WIDTH};
use crate::error::{Error, Result};

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// Names that are shown.
const SHOWN: usize = 3;

/// Bytes that a name takes beside its letters.
const NAME_BYTES: u64 = 48;

/// What a source held.
#[derive(Debug)]
pub struct Expression {
    /// The names of the cells.
    pub cells: Vec<String>,
    /// The names of the genes.
    pub genes: Vec<String>,
    /// Cell, gene and count of what is not zero.
    pub entries: Vec<Entry>,
    /// What the column that `data.labels` names says of each cell; nothing where it says nothing.
    pub labels: Option<Vec<Option<String>>>,
    /// What was odd about it.
    pub notes: Vec<String>,
    /// Where counts are instead, where these are none.
    pub counts: Option<String>,
}

/// The column of what is known of cells that holds their classes; nothing where none is asked for.
fn wanted<'a>(request: &ReadOptions<'a>) -> Option<&'a str> {
    Some(request.config.labels.as_str()).filter(|asked| !matches!(*asked, "" | "none"))
}

/// Makes a data set of what a source of this name held.
///
/// # Errors
/// [`Error::Data`] where it holds nothing, something twice, numbers that a model of counts cannot take, or lacks a gene that the
/// model was trained on; those of [`Dataset::new`].
fn dataset(name: &str, from: Expression, request: &ReadOptions) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let Expression { cells, genes, mut entries, labels, mut notes, counts } = from;
    if cells.is_empty() || genes.is_empty() {
        return Err(complain(format!("there is nothing to read: {} cells and {} genes", cells.len(), genes.len())));
    }
    if genes.len() > MAX_WIDTH {
        return Err(complain(format!("there are {} genes, allowed are {MAX_WIDTH}", genes.len())));
    }
    if request.takes.domain == Domain::Counts {
        check_counts(&entries, [&cells, &genes], counts.as_deref()).map_err(complain)?;
    }
    let genes = unique(genes);
    let genes = match request.known {
        None => genes,
        Some(known) => {
            let known = known
                .items
                .ok_or_else(|| complain("the model was trained on other data than counts of genes".into()))?;
            place(&genes, known, &mut entries, &mut notes).map_err(complain)?;
            known.to_vec()
        }
    };
    let bytes: usize = cells.iter().map(String::len).sum();
    check_room(entries.len() as u64, bytes as u64 + NAME_BYTES * cells.len() as u64, request).map_err(complain)?;
    let sparse = Sparse::new(cells.len(), genes.len(), entries).map_err(|(cell, gene)| {
        let (cell, gene) = (&cells[cell as usize], &genes[gene as usize]);
        complain(format!("the cell `{cell}` has the gene `{gene}` twice: add the values up, or leave one out"))
    })?;
    let empty = (0..sparse.len()).filter(|&cell| sparse.row(cell).items.is_empty()).count();
    if empty == sparse.len() {
        return Err(complain("no cell has any count".into()));
    }
    if empty > 0 {
        notes.push(format!("{empty} cells have no count at all: nothing tells them apart, so leave them out"));
    }
    let labels = labels.map(|labels| classes(&labels, request)).transpose().map_err(complain)?;
    let (order, test) = places(cells.len(), None, request.config);
    let labels = labels.map(|labels| labels.reordered(&order, request.classes()));
    let (shape, validation) = ([1, 1, genes.len()], request.validation(cells.len() - test));
    let values = Values::Sparse(sparse.picked(&order));
    let data = Dataset::parted(name, shape, values, test, validation)?;
    let data = data.with_labels(labels)?.with_rows(order).hashed()?;
    Ok(Dataset { format: Format::Cells, items: Some(genes), users: Some(cells), notes, ..data })
}

/// Tells whether all values are counts.
fn check_counts(entries: &[Entry], [cells, genes]: [&[String]; 2], counts: Option<&str>) -> Decoded<()> {
    let Some(&(cell, gene, value)) = entries.iter().find(|(.., value)| !can_be(*value, Domain::Counts)) else {
        return Ok(());
    };
    let what = if value < 0.0 {
        "negative, as values are that were scaled"
    } else if value.fract() != 0.0 {
        "no whole number, as values are that were normalised"
    } else {
        "more than single precision can count"
    };
    let way = counts.map_or_else(|| "give the counts as they were read".to_owned(), str::to_owned);
    Err(format!(
        "gene `{}` of cell `{}` is {value}, {what}, and a likelihood of counts takes whole numbers from 0 up; {way}",
        genes[gene as usize], cells[cell as usize]
    ))
}

/// Names that are all different, as `anndata.utils.make_index_unique` makes them: the second of a name gets `-1` behind it.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut taken: HashMap<String, usize> = HashMap::with_capacity(names.len());
    for name in &names {
        taken.entry(name.clone()).or_insert(0);
    }
    if taken.len() == names.len() {
        return names;
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let one = |name: String| {
        let times = seen.entry(name.clone()).or_insert(0);
        if *times == 0 {
            *times = 1;
            return name;
        }
        loop {
            let other = format!("{name}-{times}");
            *times += 1;
            if !taken.contains_key(&other) {
                taken.insert(other.clone(), 0);
                return other;
            }
        }
    };
    names.into_iter().map(one).collect()
}

/// Brings entries to the places that their genes have in a model, and leaves out those that it does not know.
fn place(genes: &[String], known: &[String], entries: &mut Vec<Entry>, notes: &mut Vec<String>) -> Decoded<()> {
    if genes == known {
        return Ok(());
    }
    let own: HashMap<&str, u32> = genes.iter().map(String::as_str).zip(0..).collect();
    let mut to: Vec<Option<u32>> = vec![None; genes.len()];
    let mut missing = Vec::new();
    for (gene, at) in known.iter().zip(0..) {
        match own.get(gene.as_str()) {
            Some(&from) => to[from as usize] = Some(at),
            None => missing.push(gene.as_str()),
        }
    }
    if !missing.is_empty() {
        let more = missing.len().saturating_sub(SHOWN);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = missing.iter().take(SHOWN).map(|gene| format!("`{gene}`")).collect::<Vec<_>>().join(", ");
        return Err(format!("of the {} genes that the model was trained on {shown}{rest} are not there", known.len()));
    }
    let others = to.iter().filter(|to| to.is_none()).count();
    if others > 0 {
        notes.push(format!("{others} genes that the model was not trained on are left out"));
    }
    moved(entries, &to);
    Ok(())
}

/// Brings entries to other places of their rows, and leaves out those that have none.
fn moved(entries: &mut Vec<Entry>, to: &[Option<u32>]) {
    entries.retain_mut(|entry| {
        let place = to[entry.1 as usize];
        entry.1 = place.unwrap_or_default();
        place.is_some()
    });
}

/// Words as classes, in ascending order.
fn classes(labels: &[Option<String>], request: &ReadOptions) -> Decoded<Labels> {
    if let (Some(cell), false) = (labels.iter().position(Option::is_none), request.holes) {
        let column = request.config.labels.as_str();
        return Err(format!(
            "cell {cell} (from 0) has nothing in the column `{column}`; give it a class, or leave it out"
        ));
    }
    let mut names: Vec<String> = labels.iter().flatten().cloned().collect();
    names.sort_unstable();
    names.dedup();
    let number = |label: &Option<String>| match label {
        Some(label) => names.binary_search(label).map_or(NO_LABEL, |at| at as u32),
        None => NO_LABEL,
    };
    Ok(Labels { of: labels.iter().map(number).collect(), names: Some(names) })
}

/// A file beside another one, plain or packed by gzip, whose name ends in one of these.
fn beside(folder: &Path, prefix: &str, ends: &[&str]) -> Option<std::path::PathBuf> {
    let names = ends.iter().flat_map(|end| [format!("{prefix}{end}"), format!("{prefix}{end}.gz")]);
    names.map(|name| folder.join(name)).find(|path| path.is_file())
}
