//! Text tables.

use super::plain;

/// Characters of a cell; what is longer is cut.
const MOST: usize = 120;

/// A table with aligned columns, two spaces apart: the header, then the rows, without a newline at the end.
///
/// Columns of numbers are right-aligned, others left-aligned. Rows that are too short are filled up with empty cells.
pub fn table<T: AsRef<str>>(header: &[&str], rows: &[Vec<T>]) -> String {
    let shown = |cell: &T| plain::cell(cell.as_ref(), MOST).into_owned();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let cell = |row: usize, column: usize| rows[row].get(column).map_or("", String::as_str);
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

/// The formatter's own padding counts characters too, but panics where it is wide.
fn pad(cell: &str, wide: usize, right: bool) -> String {
    let space = " ".repeat(wide.saturating_sub(width(cell)));
    if right { space + cell } else { cell.to_owned() + &space }
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
    fn cells_of_any_length_and_content_stay_in_their_line() {
        let long = "x".repeat(100_000);
        let text = table(&["name", "values"], &[vec![long.as_str(), "a\nb\u{1b}[31m"], vec!["y", "1"]]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| line.chars().count() < 200), "{text}");
        assert!(lines[1].ends_with("x…  a\\nb\\u{1b}[31m"), "{text}");
        let wide = "w".repeat(70_000);
        assert_eq!(table(&[&wide, "b"], &[vec!["1", "2"]]).lines().count(), 2);
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(table::<String>(&["a", "b"], &[]), "a  b");
    }
}
