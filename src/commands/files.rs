//! Files that commands read and write: which formats, and latents in them.

use crate::error::{Error, Result};
use std::path::Path;

/// The ending of `path` if it is one of `known`.
pub fn format(flag: &str, path: &Path, known: &[&'static str]) -> Result<&'static str> {
    let ending = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    known.iter().copied().find(|known| ending.as_deref() == Some(known)).ok_or_else(|| {
        let list: Vec<String> = known.iter().map(|known| format!(".{known}")).collect();
        let (last, first) = list.split_last().map_or(("", String::new()), |(last, first)| (last, first.join(", ")));
        Error::Usage(format!("{flag}{}: the file's name is to end in {first} or {last}", path.display()))
    })
}

/// Latents [count, `latent`] from an .npy or .csv file.
///
/// # Errors
/// [`Error::Usage`] for another kind of file, [`Error::Data`] where it holds no finite latents of so many dimensions.
pub fn latents(path: &Path, latent: usize) -> Result<Vec<f32>> {
    let format = format("", path, &["npy", "csv"])?;
    let wrong = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let (values, width) = if format == "npy" { npy(&bytes) } else { csv(&bytes) }.map_err(wrong)?;
    if width != latent {
        return Err(wrong(format!("a row has {width} numbers, and the model has {latent} latent dimensions")));
    }
    match values.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(wrong(format!("number {} of row {} is {}", at % latent, at / latent, values[at]))),
        None if values.is_empty() => Err(wrong("there are no rows".into())),
        None => Ok(values),
    }
}

/// A matrix of floats and its width from the bytes of an .npy file (NEP 1), or what is wrong with it.
fn npy(bytes: &[u8]) -> std::result::Result<(Vec<f32>, usize), String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("this is no .npy file")?;
    let short = "the file is truncated";
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let (length, rest) = match version[0] {
        1 => rest.split_first_chunk().map(|(n, rest)| (u16::from_le_bytes(*n) as usize, rest)),
        2 | 3 => rest.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest)),
        other => return Err(format!("version {other} of the format is unknown")),
    }
    .ok_or(short)?;
    let (header, data) = rest.split_at_checked(length).ok_or(short)?;
    let header = String::from_utf8_lossy(header);
    let after = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let descr = after("descr").and_then(|text| text.split('\'').nth(1)).ok_or("the header names no type")?;
    let shape = after("shape").and_then(|text| text.strip_prefix('(')?.split_once(')'));
    let extents: Option<Vec<usize>> = shape
        .map(|(text, _)| text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect())
        .ok_or("the header names no shape")?;
    let &[rows, width] = &extents.unwrap_or_default()[..] else {
        return Err("the array is no matrix [count, latent]".into());
    };
    let values: Vec<f32> = match descr {
        "<f4" => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        ">f4" => data.as_chunks().0.iter().map(|&b| f32::from_be_bytes(b)).collect(),
        "<f8" => data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        ">f8" => data.as_chunks().0.iter().map(|&b| f64::from_be_bytes(b) as f32).collect(),
        other => return Err(format!("values are of type {other}, expected floats (f4 or f8)")),
    };
    if rows.checked_mul(width) != Some(values.len()) {
        return Err(format!("the header promises {rows}x{width} values, the file has {}", values.len()));
    }
    if after("fortran_order").is_some_and(|text| text.starts_with("True")) {
        let transposed = (0..rows * width).map(|i| values[i % width * rows + i / width]);
        return Ok((transposed.collect(), width));
    }
    Ok((values, width))
}

/// A matrix and its width from a table: the columns `mean_…` under a header, or all where the first line is of numbers.
fn csv(bytes: &[u8]) -> std::result::Result<(Vec<f32>, usize), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "this is no text")?;
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).peekable();
    let first: Vec<&str> = lines.peek().map(|(_, line)| line.split(',').map(str::trim).collect()).unwrap_or_default();
    let mut columns: Vec<usize> = (0..first.len()).collect();
    if first.iter().any(|cell| cell.parse::<f32>().is_err()) {
        lines.next();
        columns.retain(|&column| first[column].starts_with("mean_"));
        if columns.is_empty() {
            return Err("the header has no columns mean_0, mean_1, …".into());
        }
    }
    let mut values = Vec::new();
    for (number, line) in lines {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() != first.len() {
            return Err(format!("line {number} has {} cells, the first one has {}", cells.len(), first.len()));
        }
        for &column in &columns {
            let cell = cells[column];
            values.push(cell.parse().map_err(|_| format!("line {number}: \"{cell}\" is no number"))?);
        }
    }
    Ok((values, columns.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(header: &str, data: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn arrays_of_every_order_and_kind_of_float_are_read() {
        let values = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let columns = [1.0_f32, 3.0, 5.0, 2.0, 4.0, 6.0];
        let little = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let double: Vec<u8> = values.iter().flat_map(|&x| f64::from(x).to_be_bytes()).collect();
        for (descr, fortran, data) in
            [("<f4", "False", little(&values)), ("<f4", "True", little(&columns)), (">f8", "False", double)]
        {
            let file = array(&header(descr, fortran, "(3, 2)"), &data);
            assert_eq!(npy(&file), Ok((values.to_vec(), 2)), "{descr} {fortran}");
        }
    }

    #[test]
    fn arrays_that_are_no_latents_are_refused_with_the_reason() {
        let whole = array(&header("<f4", "False", "(1, 2)"), &[0; 8]);
        for cut in 0..whole.len() {
            assert!(npy(&whole[..cut]).is_err(), "{cut} bytes");
        }
        for (file, why) in [
            (b"PK\x03\x04".to_vec(), "no .npy"),
            (array(&header("|O", "False", "(1, 2)"), &[0; 8]), "type |O"),
            (array(&header("<i4", "False", "(1, 2)"), &[0; 8]), "type <i4"),
            (array(&header("<f4", "False", "(2,)"), &[0; 8]), "no matrix"),
            (array(&header("<f4", "False", "(1, 3)"), &[0; 8]), "promises 1x3 values, the file has 2"),
            (array(&header("<f4", "False", "(9223372036854775807, 9)"), &[0; 8]), "promises"),
            (array(&header("<f4", "False", "(x, 9)"), &[0; 8]), "no matrix"),
            (array("{}", &[0; 8]), "names no type"),
        ] {
            let found = npy(&file).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }

    #[test]
    fn tables_are_read_by_their_columns_or_whole() {
        let embedded = "index,label,mean_0,mean_1,std_0,std_1\n0,7,0.5,-1,1,1\n1,3,2,3,1,1\n";
        assert_eq!(csv(embedded.as_bytes()), Ok((vec![0.5, -1.0, 2.0, 3.0], 2)));
        assert_eq!(csv(b"1,2\n\n3,4\r\n"), Ok((vec![1.0, 2.0, 3.0, 4.0], 2)));
        for (text, why) in [
            ("a,b\n1,2\n", "no columns mean_0"),
            ("1,2\n3\n", "line 2 has 1 cells"),
            ("mean_0\nfive\n", "line 2: \"five\""),
        ] {
            let found = csv(text.as_bytes()).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }
}
