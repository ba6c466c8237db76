//! What the cells of a file mean, whatever column they are in: what is missing, and what is a number.

use super::dialect::Dialect;
use crate::config::{DataConfig, Decimal};

/// Cells that say that a value is missing, in capitals; so does an empty one.
const MISSING: [&str; 7] = ["", "NA", "N/A", "#N/A", "<NA>", "NAN", "NULL"];

/// How cells are read.
#[derive(Debug, Clone)]
pub struct Marks {
    /// Words of one's own for what is missing, and the number that each is, if it is one.
    missing: Vec<(String, Option<f64>)>,
    decimal: Decimal,
    /// Whether fields are separated by semicolons, as where commas stand in numbers.
    semicolons: bool,
    /// Whether the file says itself what is missing, and all numbers have points.
    stored: bool,
}

impl Marks {
    /// What the configuration says, for a file whose cells are written so.
    pub fn new(config: &DataConfig, dialect: &Dialect) -> Self {
        let missing = config.missing.iter().map(|word| (word.trim().to_owned(), word.trim().parse().ok())).collect();
        let stored = dialect.stored.is_some();
        let decimal = if stored { Decimal::Point } else { config.decimal };
        Self { missing, decimal, semicolons: dialect.delimiter == b';', stored }
    }

    /// Whether all numbers are to have decimal commas.
    pub fn are_commas(&self) -> bool {
        self.decimal == Decimal::Comma
    }

    /// Whether a cell says that its value is missing.
    pub fn missing(&self, field: &str) -> bool {
        let word = if self.stored { 0 } else { 4 };
        let known = field.len() <= word && MISSING.contains(&field.to_ascii_uppercase().as_str());
        // −999 is also −999.0, which is how a program writes it that took the column for floats.
        let number = || if self.missing.iter().any(|(_, number)| number.is_some()) { self.number(field) } else { None };
        known
            || self.missing.iter().any(|(word, _)| word == field)
            || number().is_some_and(|number| self.missing.iter().any(|(_, missing)| *missing == Some(number)))
    }

    /// The number that a cell is.
    pub fn number(&self, field: &str) -> Option<f64> {
        let plain = || field.parse().ok();
        match self.decimal {
            Decimal::Point => plain().or_else(|| ungrouped(field, ',')?.parse().ok()),
            Decimal::Comma if field.contains(',') => swapped(field)?.parse().ok(),
            Decimal::Comma => ungrouped(field, '.').map_or_else(plain, |whole| whole.parse().ok()),
            Decimal::Auto => {
                plain().or_else(|| if self.has_comma(field) { swapped(field)?.parse().ok() } else { None })
            }
        }
    }

    /// Whether a cell is read as a number with a decimal comma unasked.
    pub fn has_comma(&self, field: &str) -> bool {
        self.decimal == Decimal::Auto && self.semicolons && field.contains(',') && !field.contains('.')
    }

    /// Whether a cell is read as a number with a point unasked, and would be a whole number if points separated thousands
    /// as they do where commas separate decimals.
    pub fn may_be_thousands(&self, field: &str) -> bool {
        self.decimal == Decimal::Auto && self.semicolons && ungrouped(field, '.').is_some_and(|it| !it.contains(','))
    }
}

/// A number with a decimal comma as one with a point; points may separate thousands.
fn swapped(field: &str) -> Option<String> {
    let (whole, rest) = field.split_once(',')?;
    let whole = if whole.contains('.') { ungrouped(whole, '.')? } else { whole.to_owned() };
    (rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains([',', '.'])).then(|| format!("{whole}.{rest}"))
}

/// A number without the marks between groups of three digits, of which there is at least one.
fn ungrouped(field: &str, mark: char) -> Option<String> {
    let (whole, rest) = match field.find(if mark == ',' { '.' } else { ',' }) {
        Some(at) => field.split_at(at),
        None => (field, ""),
    };
    let digits = whole.trim_start_matches(['+', '-']);
    let mut groups = digits.split(mark);
    let all_digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    // A number below one has no thousands.
    let first = groups.next().is_some_and(|first| first.len() <= 3 && all_digits(first) && !first.starts_with('0'));
    let others = digits.contains(mark) && groups.all(|group| group.len() == 3 && all_digits(group));
    (first && others && whole.len() - digits.len() <= 1).then(|| format!("{}{rest}", whole.replace(mark, "")))
}

/// Whether digits begin with a zero that says nothing in a number: a code, as those of the post.
pub fn is_padded(field: &str) -> bool {
    field.len() > 1 && field.starts_with('0') && field.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a word may stand for in a column that somebody took for numbers, and the setting that reads it.
pub fn hint(word: &str) -> Option<String> {
    let thousands = ungrouped(word, ',').and_then(|text| text.parse::<f64>().ok());
    let comma = swapped(word).and_then(|text| text.parse::<f64>().ok());
    match (thousands, comma) {
        (Some(whole), Some(part)) => {
            Some(format!("`{word}` is {part} with `--set data.decimal=comma`, and {whole} with data.decimal=point"))
        }
        (Some(whole), None) => Some(format!("`{word}` is {whole} with `--set data.decimal=point`")),
        (None, Some(part)) => Some(format!("`{word}` is {part} with `--set data.decimal=comma`")),
        (None, None) if is_padded(word) => {
            Some(format!("its first zero makes a word of `{word}`, which data.columns.NAME=numeric takes for a number"))
        }
        (None, None) if is_marker(word) => {
            Some(format!("where `{word}` stands for a missing value, `--set 'data.missing={word}'`"))
        }
        (None, None) => None,
    }
}

/// Whether people write this where there is no value.
fn is_marker(word: &str) -> bool {
    const WORDS: [&str; 8] = ["none", "nil", "missing", "unknown", "n.a.", "n/d", "nd", "#value!"];
    let signs = word.len() <= 4 && !word.is_empty() && !word.chars().any(char::is_alphanumeric);
    signs || WORDS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(decimal: Decimal, delimiter: u8, missing: &[&str]) -> Marks {
        let missing = missing.iter().map(|&word| word.to_owned()).collect();
        Marks::new(&DataConfig { missing, decimal, ..DataConfig::default() }, &Dialect::text(delimiter))
    }

    #[test]
    fn numbers_are_read_with_the_marks_that_are_meant() {
        use Decimal::{Auto, Comma, Point};
        for (decimal, delimiter, field, expected) in [
            (Auto, b',', "1.5", Some(1.5)),
            (Auto, b',', "1,5", None),
            (Auto, b';', "51,257", Some(51.257)),
            (Comma, b';', "0.984", Some(0.984)),
            (Point, b',', "0,123", None),
            (Auto, b';', "-0,5e3", Some(-500.0)),
            (Auto, b';', "1,234,567", None),
            (Auto, b';', "1.5", Some(1.5)),
            (Auto, b';', "a,b", None),
            (Auto, b';', "1,", None),
            (Point, b',', "1,234.5", Some(1234.5)),
            (Point, b';', "51,257", Some(51257.0)),
            (Point, b';', "1,2345", None),
            (Point, b',', "-1,234,567", Some(-1_234_567.0)),
            (Comma, b',', "1.234,5", Some(1234.5)),
            (Comma, b',', "1.234", Some(1234.0)),
            (Comma, b',', "1.5", Some(1.5)),
            (Comma, b',', "1.23,5", None),
            (Comma, b'\t', "7", Some(7.0)),
        ] {
            assert_eq!(marks(decimal, delimiter, &[]).number(field), expected, "{decimal:?} {field}");
        }
    }

    #[test]
    fn words_and_numbers_of_ones_own_stand_for_what_is_missing() {
        let marks = marks(Decimal::Auto, b',', &["?", "None", "-999"]);
        for (field, missing) in [
            ("?", true),
            ("None", true),
            ("none", false),
            ("-999", true),
            ("-999.0", true),
            ("-99.9", false),
            ("", true),
            ("n/a", true),
            ("-", false),
        ] {
            assert_eq!(marks.missing(field), missing, "{field}");
        }
    }

    #[test]
    fn a_word_that_may_be_a_number_is_explained() {
        for (word, expected) in [
            ("51,257", Some("is 51.257 with `--set data.decimal=comma`, and 51257 with data.decimal=point")),
            ("1,234,567", Some("is 1234567 with `--set data.decimal=point`")),
            ("3,5", Some("is 3.5 with `--set data.decimal=comma`")),
            ("01234", Some("its first zero")),
            ("Ann", None),
            ("?", Some("where `?` stands for a missing value, `--set 'data.missing=?'`")),
            ("None", Some("'data.missing=None'")),
        ] {
            let found = hint(word);
            assert_eq!(found.is_some(), expected.is_some(), "{word}: {found:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{word}");
        }
    }
}
