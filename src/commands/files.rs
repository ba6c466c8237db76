//! Files that commands read and write: which formats, and latents in them.

use crate::data;
use crate::data::array::{Array, Elements};
use crate::durable;
use crate::error::{Error, Result};
use std::path::Path;

/// The ending of `path` if it is one of `known`.
///
/// # Errors
/// [`Error::Usage`] where it is none of them.
pub fn format(flag: &str, path: &Path, known: &[&'static str]) -> Result<&'static str> {
    let ending = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    known.iter().copied().find(|known| ending.as_deref() == Some(known)).ok_or_else(|| {
        let list: Vec<String> = known.iter().map(|known| format!(".{known}")).collect();
        let text = match &list[..] {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            list => list.concat(),
        };
        Error::Usage(format!("{flag}{}: the file's name is to end in {text}", path.display()))
    })
}

/// Refuses to write over what is read: `out` must be none of the sources, nor an example in a folder that is one, of which it
/// must not become a new one either; nor what a run is made of, where `run` is its folder.
///
/// # Errors
/// [`Error::Usage`], naming both.
pub fn spare(out: &Path, sources: &[&str], run: Option<&Path>) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::Usage(format!("--out {}: that would write over {what}; name another file", out.display())))
    };
    if let Some(source) =
        sources.iter().find(|source| !out.exists() && is_example(out) && lies_in(out, Path::new(source)))
    {
        return Err(Error::Usage(format!(
            "--out {}: that would be a new example of the data in {source}; name another folder",
            out.display()
        )));
    }
    // What does not exist, or is no file (a device, a pipe), holds nothing that could be lost.
    if !out.is_file() {
        return Ok(());
    }
    for source in sources.iter().map(Path::new) {
        if is_same(out, source) {
            return refuse("the data that are read".into());
        }
        let (Ok(file), Ok(folder)) = (out.canonicalize(), source.canonicalize()) else { continue };
        if folder.is_dir() && is_example(&file) && file.starts_with(&folder) {
            return refuse(format!("an example of the data in {}", source.display()));
        }
    }
    let Some(run) = run else { return Ok(()) };
    let (Ok(file), Ok(folder)) = (out.canonicalize(), run.canonicalize()) else { return Ok(()) };
    let sweep = folder.parent().filter(|above| above.join("sweep.toml").is_file());
    if sweep.is_some_and(|above| ["members.csv", "sweep.toml", "best"].iter().any(|own| file == above.join(own))) {
        return refuse(format!("a file of the sweep around {}", run.display()));
    }
    let own = ["config.toml", "metrics.csv", "members.csv", "sweep.toml", "threshold.json", "attributes.json"];
    let within = file.strip_prefix(&folder).ok();
    if within.is_some_and(|name| name.starts_with("checkpoints") || own.iter().any(|own| name == Path::new(own))) {
        return refuse(format!("a file of the run {}", run.display()));
    }
    Ok(())
}

/// Refuses to write over a file that a command reads.
///
/// # Errors
/// Those of [`spare`].
pub fn spare_file(out: &Path, file: &Path) -> Result<()> {
    spare(out, &[&file.to_string_lossy()], None)
}

/// Whether a file that is to be made would lie in a folder, and in no run that does.
fn lies_in(out: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    // Folders on the way to it are made with it.
    let mut there = out.ancestors().skip(1).map(|at| if at.as_os_str().is_empty() { Path::new(".") } else { at });
    let Some(at) = there.find_map(|at| at.canonicalize().ok()) else { return false };
    let mut within = at.ancestors().take_while(|at| at.starts_with(&folder)).peekable();
    within.peek().is_some() && folder.is_dir() && !within.any(durable::is_run)
}

fn is_example(path: &Path) -> bool {
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    end.is_some_and(|end| matches!(end.as_str(), "png" | "jpg" | "jpeg" | "txt" | "mid" | "midi"))
}

/// Whether two names lead to one file.
fn is_same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (std::fs::metadata(a), std::fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Latents [count, `latent`] from an .npy or .csv file.
///
/// # Errors
/// [`Error::Usage`] for another kind of file, [`Error::Data`] where it holds no finite latents of `latent` dimensions.
pub fn latents(path: &Path, latent: usize) -> Result<Vec<f32>> {
    let format = format("", path, &["npy", "csv"])?;
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let (values, width) = if format == "npy" { npy(path)? } else { csv(path, "mean_").map_err(wrong)? };
    if width != latent {
        return Err(wrong(format!("a row has {width} numbers, and the model has {latent} latent dimensions")));
    }
    match values.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(wrong(format!("number {} of row {} is {}", at % latent, at / latent, values[at]))),
        None if values.is_empty() => Err(wrong("there are no rows".into())),
        None => Ok(values),
    }
}

/// Codes [count, `cells`] of a codebook of `most` from an .npy file, where they may be grids [count, height, width], or a .csv
/// file.
///
/// # Errors
/// [`Error::Usage`] for another kind of file, [`Error::Data`] where it holds no such codes.
pub fn codes(path: &Path, cells: usize, most: usize) -> Result<Vec<u32>> {
    let format = format("", path, &["npy", "csv"])?;
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let (values, width) = if format == "npy" { whole_npy(path)? } else { csv(path, "code_").map_err(wrong)? };
    if width != cells {
        return Err(wrong(format!("a row has {width} numbers, and the model has {cells} codes for an example")));
    }
    let is_code = |x: f32| x >= 0.0 && x < most as f32 && x.fract() == 0.0;
    match values.iter().position(|&x| !is_code(x)) {
        Some(at) => {
            let (row, cell, last) = (at / cells, at % cells, most - 1);
            Err(wrong(format!("code {cell} of row {row} is {}: codes are whole numbers from 0 to {last}", values[at])))
        }
        None if values.is_empty() => Err(wrong("there are no rows".into())),
        None => Ok(values.into_iter().map(|x| x as u32).collect()),
    }
}

/// An array of whole numbers and the numbers of a row.
fn whole_npy(path: &Path) -> Result<(Vec<f32>, usize)> {
    let Array { dims, elements } = data::npy::open(path)?;
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
    if !(2..=3).contains(&dims.len()) {
        return Err(wrong(format!("its shape is {dims:?}, and codes are [count, codes] or [count, height, width]")));
    }
    Ok(((0..elements.len()).map(|at| elements.at(at) as f32).collect(), dims[1..].iter().product()))
}

/// A matrix of floats and its width.
fn npy(path: &Path) -> Result<(Vec<f32>, usize)> {
    let Array { dims, elements } = data::npy::open(path)?;
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let &[_, width] = &dims[..] else {
        return Err(wrong(format!("its shape is {dims:?}, and latents are a matrix [count, latent]")));
    };
    if !matches!(elements, Elements::F32(_) | Elements::F64(_)) {
        return Err(wrong(format!("it holds {}, and latents are floats", elements.name())));
    }
    Ok(((0..elements.len()).map(|at| elements.at(at) as f32).collect(), width))
}

/// A matrix and its width from a table: the columns `name…` under a header, or all where the first line is of numbers.
fn csv(path: &Path, name: &str) -> std::result::Result<(Vec<f32>, usize), String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_path(path);
    let reader = reader.as_mut().map_err(|e| format!("cannot be read: {e}"))?;
    let (mut values, mut columns) = (Vec::new(), None);
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let columns = if let Some(columns) = &columns {
            columns
        } else {
            let is_header = record.iter().any(|cell| cell.parse::<f32>().is_err());
            let all = (0..record.len()).filter(|&at| !is_header || record[at].starts_with(name));
            let found: Vec<usize> = all.collect();
            if found.is_empty() {
                return Err(format!("the header has no columns {name}0, {name}1, …"));
            }
            let numbers = found.iter().filter_map(|&at| record[at].strip_prefix(name)?.parse::<usize>().ok());
            if is_header && !numbers.is_sorted() {
                return Err(format!("the columns {name}0, {name}1, … are not in their order"));
            }
            let found = columns.insert(found);
            if is_header {
                continue;
            }
            found
        };
        for &column in columns {
            let cell = &record[column];
            values.push(cell.parse().map_err(|_| format!("line {line}: \"{cell}\" is no number"))?);
        }
    }
    Ok((values, columns.map_or(0, |columns| columns.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_their_columns_or_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("z.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            csv(&path, "mean_")
        };
        let embedded = "index,label,mean_0,mean_1,std_0,std_1\n0,\"a, b\",0.5,-1,1,1\n1,c,2,3,1,1\n";
        assert_eq!(read(embedded), Ok((vec![0.5, -1.0, 2.0, 3.0], 2)));
        assert_eq!(read("1, 2\n\n3,4\r\n"), Ok((vec![1.0, 2.0, 3.0, 4.0], 2)));
        assert_eq!(read(""), Ok((vec![], 0)));
        for (text, why) in
            [("a,b\n1,2\n", "no columns mean_0"), ("1,2\n3\n", "2"), ("mean_0\nfive\n", "line 2: \"five\"")]
        {
            let found = read(text).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }
}
