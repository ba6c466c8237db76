//! Text tables.

/// A table with aligned columns, two spaces apart: the header, then the rows, without a newline at the end.
///
/// Columns of numbers are right-aligned, others left-aligned. Rows that are too short are filled up with empty cells.
pub fn table<T: AsRef<str>>(header: &[&str], rows: &[Vec<T>]) -> String {
    let cell = |row: usize, column: usize| rows[row].get(column).map_or("", AsRef::as_ref);
    let columns = rows.iter().map(Vec::len).chain([header.len()]).max().unwrap_or(0);
    let title = |column: usize| header.get(column).copied().unwrap_or("");
    let layout: Vec<(usize, bool)> = (0..columns)
        .map(|column| {
            let cells = || (0..rows.len()).map(|row| cell(row, column));
            let width = cells().chain([title(column)]).map(width).max().unwrap_or(0);
            let mut filled = cells().filter(|cell| !matches!(*cell, "" | "-")).peekable();
            (width, filled.peek().is_some() && filled.all(is_number))
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&layout).map(|(cell, &(wide, right))| pad(cell, wide, right));
        padded.collect::<Vec<String>>().join("  ").trim_end().to_owned()
    };
    let head = line(&mut (0..columns).map(title));
    let body = (0..rows.len()).map(|row| line(&mut (0..columns).map(|column| cell(row, column))));
    [head].into_iter().chain(body).collect::<Vec<String>>().join("\n")
}

/// A number as reports write them, perhaps with separators and followed by a unit: `-1.5`, `652,824`, `2.49 MiB`.
fn is_number(cell: &str) -> bool {
    let number = cell.split(' ').next().unwrap_or("").replace(',', "");
    number.trim_end_matches(['%', 'x']).parse::<f64>().is_ok()
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// The formatter's own padding counts characters too.
fn pad(cell: &str, wide: usize, right: bool) -> String {
    if right { format!("{cell:>wide$}") } else { format!("{cell:<wide$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let rows =
            [vec!["matmul", "1,204", "2.50 MiB", "first"], vec!["añam", "7", "-", ""], vec!["nll", "-3.5", "10 B"]];
        let expected = "\
name    steps    memory  note
matmul  1,204  2.50 MiB  first
añam        7         -
nll      -3.5      10 B";
        assert_eq!(table(&["name", "steps", "memory", "note"], &rows), expected);
    }

    #[test]
    fn a_column_with_one_word_in_it_is_text() {
        let rows = [vec!["1"], vec!["two"], vec!["3"]];
        assert_eq!(table(&["number"], &rows), "number\n1\ntwo\n3");
        let rows = [vec!["10"], vec!["3"]];
        assert_eq!(table(&["n"], &rows), " n\n10\n 3");
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(table::<String>(&["a", "b"], &[]), "a  b");
    }
}
