//! Tables for other programs: comma-separated values with a header, quoted where they have to be (RFC 4180).

use std::path::Path;

use crate::durable;
use crate::error::{Error, Result};

/// Writes a header and rows, all of the same length.
///
/// # Errors
/// [`Error::Disk`] if the file cannot be written; then whatever was there before still is.
pub fn save(path: &Path, header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    durable::replace_file(path, &file(path, header, rows)?)
}

/// The bytes of the file that [`save`] writes; `path` is what it is called in messages.
///
/// # Errors
/// [`Error::Bug`] where rows are of another length.
pub fn file(path: &Path, header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut written = writer.write_record(header);
    for row in rows {
        written = written.and_then(|()| writer.write_record(&row));
    }
    let bytes = written.map_err(|e| e.to_string()).and_then(|()| writer.into_inner().map_err(|e| e.to_string()));
    bytes.map_err(|why| Error::Bug(format!("{}: {why}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be_and_rows_of_another_length_are_a_bug() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let words = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<String>>();
        save(&path, &words(&["a", "b"]), [words(&["1", "x, \"y\""])].into_iter()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,b\n1,\"x, \"\"y\"\"\"\n");
        let error = save(&path, &words(&["a", "b"]), [words(&["1"])].into_iter()).unwrap_err();
        assert!(matches!(error, Error::Bug(_)), "{error}");
    }
}
