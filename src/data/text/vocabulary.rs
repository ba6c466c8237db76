//! Tokens: what a line is cut into, and which number stands for which.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config::Tokens;
use crate::data::music::{self, Music, Note};

/// What stands behind the end of a sequence, and before its first token.
pub const PADDING: u32 = 0;
/// The end of a sequence, a token like any other.
pub const END: u32 = 1;
/// A token that the training part does not have; also what words are left out for.
pub const UNKNOWN: u32 = 2;
/// The number of the first token of the text itself.
pub const FIRST: u32 = 3;

/// What is shown for a token that is unknown.
const REPLACEMENT: char = '\u{fffd}';
/// What is shown for a line break in a document.
const LINE_BREAK: &str = "\u{23ce}";

/// The tokens of a training part, and how examples are made of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// How lines are cut.
    pub tokens: Tokens,
    /// T, places of an example: tokens and the end.
    pub places: usize,
    /// The tokens from number [`FIRST`] on, the most frequent first. A byte is the character of its number.
    pub words: Vec<String>,
    /// Tokens that stood only outside of the training part: they are read as unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// What time is to events; nothing of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub music: Option<Music>,
}

impl Vocabulary {
    /// That of the lines of a training part, and of others.
    pub fn fit<'a>(
        tokens: Tokens,
        places: usize,
        training: impl Iterator<Item = &'a [String]>,
        others: impl Iterator<Item = &'a [String]>,
    ) -> Self {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for token in training.flatten() {
            *counts.entry(token).or_default() += 1;
        }
        let unseen: BTreeSet<&str> =
            others.flatten().map(String::as_str).filter(|it| !counts.contains_key(it)).collect();
        let unseen = unseen.into_iter().map(str::to_owned).collect();
        // Of several that are as frequent the order is that of their text.
        let mut words: Vec<(&str, u64)> = counts.into_iter().collect();
        words.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let words = words.into_iter().map(|(word, _)| word.to_owned()).collect();
        Self { tokens, places, words, unseen, music: None }
    }

    /// V, the numbers that a token may have: those of the text, and padding, end and unknown.
    pub fn len(&self) -> usize {
        self.words.len() + FIRST as usize
    }

    /// Whether the text has no token.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Each token and its number, to look numbers up.
    pub fn numbers(&self) -> BTreeMap<&str, u32> {
        let unseen = self.unseen.iter().map(|word| (word.as_str(), UNKNOWN));
        unseen.chain(self.words.iter().map(String::as_str).zip(FIRST..)).collect()
    }

    /// The words of an example, up to its end; nothing for one that is unknown.
    fn known<'a>(&'a self, codes: &'a [u32]) -> impl Iterator<Item = Option<&'a String>> {
        let codes = codes.iter().take_while(|&&code| code != END && code != PADDING);
        codes.map(|&code| code.checked_sub(FIRST).and_then(|at| self.words.get(at as usize)))
    }

    /// The notes of an example of music.
    pub fn notes(&self, codes: &[u32]) -> Vec<Note> {
        let grid = self.music.as_ref().map_or(1, |music| music.grid);
        music::notes(self.known(codes).flatten().map(String::as_str), grid)
    }

    /// The text of an example, up to its end. Line breaks are shown as a sign of their own, and events with spaces between them.
    pub fn text(&self, codes: &[u32]) -> String {
        let words = self.known(codes);
        if self.tokens == Tokens::Events {
            return words.map(|word| word.map_or(REPLACEMENT.to_string(), String::clone)).collect::<Vec<_>>().join(" ");
        }
        if self.tokens != Tokens::Bytes {
            let text: String = words.map(|word| word.map_or(REPLACEMENT.to_string(), String::clone)).collect();
            return text.replace(['\n', '\r'], LINE_BREAK);
        }
        let byte = |word: Option<&String>| word.and_then(|word| word.chars().next()).map_or(b'?', |c| c as u8);
        String::from_utf8_lossy(&words.map(byte).collect::<Vec<_>>()).replace(['\n', '\r'], " ")
    }
}

/// The tokens of a line; or what is wrong with it, as the text after its number.
///
/// # Errors
/// What belongs to no token.
pub fn cut(line: &[u8], tokens: Tokens) -> Result<Vec<String>, String> {
    if tokens == Tokens::Bytes {
        return Ok(line.iter().map(|&byte| char::from(byte).to_string()).collect());
    }
    let text = std::str::from_utf8(line).map_err(|error| {
        format!("byte {} is not UTF-8; save the file as UTF-8, or take `--set data.tokens=bytes`", error.valid_up_to())
    })?;
    match tokens {
        Tokens::Smiles => smiles(text),
        Tokens::Characters | Tokens::Bytes => Ok(text.chars().map(String::from).collect()),
        Tokens::Events => Err("events are those of MIDI files".into()),
    }
}

/// The tokens of a molecule in SMILES (`OpenSMILES` specification, sections 3.1 to 3.5): atoms in brackets whole, Cl and Br, and rings
/// with numbers of several digits (`%12`, `%(123)`); everything else is a character.
fn smiles(text: &str) -> Result<Vec<String>, String> {
    const SINGLE: &str = "BCNOPSFIbcnops*()=#$:/\\.-+~@>?0123456789";
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_digit = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let close = |mark: char| rest.find(mark).map(|at| at + 1);
        let length = match first {
            '[' => close(']').ok_or_else(|| "`[` is never closed".to_owned())?,
            '%' if rest[1..].starts_with('(') => close(')').ok_or_else(|| "`%(` is never closed".to_owned())?,
            '%' if is_digit(1) && is_digit(2) => 3,
            _ if rest.starts_with("Cl") || rest.starts_with("Br") => 2,
            _ if SINGLE.contains(first) => 1,
            _ => return Err(format!("`{}` is no part of SMILES", first.escape_debug())),
        };
        tokens.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, tokens: Tokens) -> Vec<String> {
        cut(line.as_bytes(), tokens).unwrap()
    }

    #[test]
    fn molecules_are_cut_into_atoms_bonds_and_rings() {
        let found = words("C[C@@H](Cl)c1ccc%12%(105)Br[nH+]", Tokens::Smiles);
        let expected =
            ["C", "[C@@H]", "(", "Cl", ")", "c", "1", "c", "c", "c", "%12", "%(105)", "Br", "[nH+]"].map(str::to_owned);
        assert_eq!(found, expected);
        for (text, why) in [("C[CH", "`[` is never closed"), ("CXC", "`X` is no part"), ("C%1C", "`%` is no part")] {
            let found = cut(text.as_bytes(), Tokens::Smiles).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }

    #[test]
    fn what_is_cut_comes_back_whole() {
        for (tokens, line) in
            [(Tokens::Characters, "Grüße, 世界!"), (Tokens::Bytes, "Grüße"), (Tokens::Smiles, "c1ccccc1[O-]")]
        {
            let tokens_of = [words(line, tokens)];
            let vocabulary = Vocabulary::fit(tokens, 20, tokens_of.iter().map(Vec::as_slice), std::iter::empty());
            let numbers = vocabulary.numbers();
            let mut codes: Vec<u32> = tokens_of[0].iter().map(|token| numbers[token.as_str()]).collect();
            codes.extend([END, PADDING]);
            assert_eq!(vocabulary.text(&codes), line);
        }
        assert!(cut(b"a\xffb", Tokens::Characters).unwrap_err().starts_with("byte 1 is not UTF-8"));
    }

    #[test]
    fn the_most_frequent_token_comes_first_and_what_was_not_trained_on_is_unknown() {
        let [training, others] = ["baab", "cab"].map(|line| words(line, Tokens::Characters));
        let vocabulary = Vocabulary::fit(Tokens::Characters, 5, [&training[..]].into_iter(), [&others[..]].into_iter());
        assert_eq!((vocabulary.words.join(""), vocabulary.unseen.join("")), ("ab".into(), "c".into()));
        let numbers = vocabulary.numbers();
        assert_eq!((numbers["a"], numbers["b"], numbers["c"]), (3, 4, UNKNOWN));
        assert_eq!(vocabulary.text(&[4, UNKNOWN, 3, END, 3]), "b\u{fffd}a");
    }
}
