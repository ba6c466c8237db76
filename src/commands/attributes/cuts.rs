//! From a column to attributes that a row has or has not.

use crate::commands::factors::Factor;
use crate::data::NO_LABEL;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// So many kinds are attributes however few rows there are.
const FEW_KINDS: usize = 16;

/// Something that a row has or has not, by its value of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// Its name: that of the column or, of a kind among several, COLUMN=KIND.
    pub name: String,
    /// What rows with it are.
    pub with: String,
    /// What rows without it are.
    pub without: String,
    /// The first value of those with it, and how many there are.
    values: (u32, u32),
    /// The one value of those without it; nothing where these are all others.
    other: Option<u32>,
}

impl Cut {
    /// Whether a row of this value has it; nothing where the value is missing, or is neither of two.
    pub fn has(&self, value: u32) -> Option<bool> {
        let (first, count) = self.values;
        let has = value >= first && value - first < count;
        let is_known = has || self.other.is_none_or(|other| value == other);
        (value != NO_LABEL && is_known).then_some(has)
    }
}

/// The attributes of a column, by its values in some rows; none where these have one value only.
///
/// # Errors
/// [`Error::Usage`] where most rows have a kind of their own.
pub fn cuts(column: &Factor, values: impl Iterator<Item = u32>) -> Result<Vec<Cut>> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    values.filter(|&value| value != NO_LABEL).for_each(|value| *counts.entry(value).or_default() += 1);
    let known: Vec<u32> = counts.keys().copied().collect();
    let name = |value: u32| column.names[value as usize].clone();
    let one = |name: &str, with, without, values| Cut { name: name.to_owned(), with, without, values, other: None };
    match known[..] {
        [] | [_] => Ok(vec![]),
        [first, second] => {
            let cut = one(&column.name, name(second), name(first), (second, 1));
            Ok(vec![Cut { other: Some(first), ..cut }])
        }
        _ if column.ordered => {
            let last = middle(&counts);
            let (with, without) = (format!("above {}", name(last)), format!("up to {}", name(last)));
            Ok(vec![one(&column.name, with, without, (last + 1, u32::MAX))])
        }
        _ if known.len() > FEW_KINDS && 2 * known.len() > counts.values().sum::<usize>() => Err(Error::Usage(format!(
            "--label {}: it has {} kinds in {} examples, which are names and no attributes",
            column.name,
            known.len(),
            counts.values().sum::<usize>()
        ))),
        _ => {
            let kind = |&value: &u32| {
                one(&format!("{}={}", column.name, name(value)), name(value), "others".into(), (value, 1))
            };
            Ok(known.iter().map(kind).collect())
        }
    }
}

/// The value up to which there are as nearly half of all rows as can be, and not all.
fn middle(counts: &BTreeMap<u32, usize>) -> u32 {
    let all: usize = counts.values().sum();
    let mut up_to = 0;
    let mut best = (usize::MAX, 0);
    for (&value, &count) in counts.iter().take(counts.len() - 1) {
        up_to += count;
        best = best.min(((2 * up_to).abs_diff(all), value));
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(ordered: bool) -> Factor {
        let names = ["1", "2", "5", "9"].map(str::to_owned).to_vec();
        Factor { name: "size".into(), values: vec![], names, ordered }
    }

    #[test]
    fn columns_become_attributes_by_their_values() {
        let found = |ordered: bool, values: &[u32]| cuts(&column(ordered), values.iter().copied()).unwrap();
        assert_eq!(found(true, &[1, 1, NO_LABEL]), []);
        let [two] = &found(false, &[3, 1, 1, NO_LABEL])[..] else { panic!("one attribute of two values") };
        assert_eq!((&two.name[..], &two.with[..], &two.without[..]), ("size", "9", "2"));
        assert_eq!([0, 1, 3, NO_LABEL].map(|value| two.has(value)), [None, Some(false), Some(true), None]);
        let kinds = found(false, &[0, 1, 3]);
        let names: Vec<&str> = kinds.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(
            (names, kinds[1].has(1), kinds[1].has(3)),
            (vec!["size=1", "size=2", "size=9"], Some(true), Some(false))
        );
        let [cut] = &found(true, &[0, 0, 0, 0, 1, 2, 3])[..] else { panic!("one attribute of numbers") };
        assert_eq!(
            (&cut.with[..], &cut.without[..], cut.has(0), cut.has(3)),
            ("above 1", "up to 1", Some(false), Some(true))
        );
        // The last value is never all there is.
        let [cut] = &found(true, &[0, 1, 3, 3, 3, 3])[..] else { panic!("one attribute of numbers") };
        assert_eq!(cut.with, "above 2");
    }

    #[test]
    fn names_of_rows_are_no_attributes() {
        let names: Vec<String> = (0..600).map(|row| row.to_string()).collect();
        let column = Factor { name: "id".into(), values: vec![], names, ordered: false };
        assert!(cuts(&column, 0..600).unwrap_err().to_string().contains("--label id: it has 600 kinds in 600"));
        assert_eq!(cuts(&column, (0..600).map(|row| row / 2)).unwrap().len(), 300);
    }
}
