//! The words of the column that holds the labels.

use std::collections::HashMap;

use super::super::array::{self, Array, Elements};
use super::super::table::MAX_LEVELS;
use super::super::{Labels, NO_LABEL};
use super::Decoded;

/// More different labels than this are not kept: they would not be taken for classes, however they are written.
const MAX_WORDS: usize = 1 << 17;

/// The words of a column, each kept once.
#[derive(Default)]
pub struct Words {
    places: HashMap<String, u32>,
    /// The word of each row.
    of: Vec<u32>,
}

impl Words {
    /// Takes note of a cell, which may be missing where there may be holes.
    pub fn add(&mut self, field: &str, missing: bool, holes: bool) -> Decoded<()> {
        match (missing, holes) {
            (true, false) => {
                return Err("the label is missing: give it one, leave the row out, or name no labels; rows without one are for \
                            model.condition = inferred"
                    .into());
            }
            (true, true) => {
                self.of.push(NO_LABEL);
                return Ok(());
            }
            (false, _) => {}
        }
        let next = self.places.len() as u32;
        let place = match self.places.get(field) {
            Some(&place) => place,
            None if self.places.len() == MAX_WORDS => {
                return Err(format!("there are more than {MAX_WORDS} different labels, too many for classes"));
            }
            None => *self.places.entry(field.to_owned()).or_insert(next),
        };
        self.of.push(place);
        Ok(())
    }

    /// The classes that the words stand for: whole numbers as they are, others in alphabetical order.
    pub fn classes(self) -> Decoded<Labels> {
        let mut words = vec![String::new(); self.places.len()];
        for (word, place) in self.places {
            words[place as usize] = word;
        }
        let Labels { of, names } = match words.iter().map(|word| word.parse().ok()).collect::<Option<Vec<f64>>>() {
            Some(numbers) => {
                let broken = self
                    .of
                    .iter()
                    .position(|&word| numbers.get(word as usize).is_some_and(|number| number.fract() != 0.0));
                if let Some(row) = broken {
                    let number = numbers[self.of[row] as usize];
                    return Err(format!("the labels: label {row} is {number}, and classes are whole numbers"));
                }
                let array = Array { dims: vec![numbers.len()], elements: Elements::F64(numbers) };
                array::labels(&array, words.len()).map_err(|what| format!("the labels: {what}"))?
            }
            None => alphabetical(&words)?,
        };
        let class = |&word: &u32| of.get(word as usize).copied().unwrap_or(NO_LABEL);
        Ok(Labels { of: self.of.iter().map(class).collect(), names })
    }
}

/// Classes of words that differ.
fn alphabetical(words: &[String]) -> Decoded<Labels> {
    if words.len() > MAX_LEVELS {
        return Err(format!("the labels have {} different values, which are too many for classes", words.len()));
    }
    let mut names = words.to_vec();
    names.sort();
    let class = |word: &String| names.partition_point(|name| name < word) as u32;
    Ok(Labels { of: words.iter().map(class).collect(), names: Some(names) })
}
