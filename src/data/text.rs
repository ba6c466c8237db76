//! Text: a file of lines, each of which is an example, a sequence of tokens with an end.

pub mod vocabulary;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Dataset, Format, ReadOptions, Values, places};
use crate::config::{Domain, Longer, Unknown};
use crate::error::{Error, Result};
use vocabulary::{END, PADDING, UNKNOWN, Vocabulary, cut};

/// The most numbers of a vocabulary.
const MAX_WORDS: usize = 1 << 16;

/// Whether the name of a file says that it is text of lines.
pub fn is_name(end: &str) -> bool {
    matches!(end, "txt" | "smi" | "smiles")
}

/// A line that is an example.
struct Line {
    /// Its number in the file, from 0.
    number: usize,
    tokens: Vec<String>,
    /// Whether its end is there, and was not cut off.
    whole: bool,
}

/// Reads a file of lines.
///
/// # Errors
/// [`Error::Usage`] for a model that does not take text, and settings that make no sense of it; [`Error::Data`] that names file and
/// line where it cannot be read, is not UTF-8, or has tokens that a trained model does not know.
pub fn dataset(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    if request.takes.domain != Domain::Tokens {
        return Err(Error::Usage(format!(
            "{name}: this is text, and the {} likelihood takes none; choose `--recipe text`, or for molecules `--recipe smiles`",
            request.takes.likelihood
        )));
    }
    if request.config.unknown == Unknown::Missing {
        return Err(Error::Usage(format!(
            "{name}: data.unknown = missing is for tables; what a model does not know of a text is refused, or with anomalous \
             counted against its line"
        )));
    }
    let bytes = read(path, request)?;
    let mut notes = Vec::new();
    let mut lines = lines(path, &bytes, request, &mut notes)?;
    drop(bytes);
    let places = fit_lengths(&name, &mut lines, request, &mut notes)?;
    numbered(&name, &lines, places, request, notes)
}

fn read(path: &Path, request: &ReadOptions) -> Result<Vec<u8>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let (most, mut bytes) = (request.memory(), Vec::new());
    let file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| complain(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > most {
        let most = request.config.memory;
        return Err(complain(format!(
            "the file has more than data.memory = {most} MiB, and text is read into memory; allow more, or take a part of it"
        )));
    }
    Ok(bytes)
}

/// The lines of a file that are not empty, as tokens. Of what tables of molecules have behind the first column nothing is taken.
fn lines(path: &Path, bytes: &[u8], request: &ReadOptions, notes: &mut Vec<String>) -> Result<Vec<Line>> {
    let is_table = path.extension().is_some_and(|end| !end.eq_ignore_ascii_case("txt"));
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut found, mut empty) = (Vec::new(), 0);
    let all: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    // What follows the last line break is no line where there is nothing.
    let count = all.len() - usize::from(all.last().is_some_and(|last| last.is_empty()));
    for (number, line) in all[..count].iter().enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let line = if is_table { line.split(blank).find(|part| !part.is_empty()).unwrap_or(&[]) } else { line };
        if line.is_empty() {
            empty += 1;
            continue;
        }
        let tokens = cut(line, request.config.tokens)
            .map_err(|why| Error::Data(format!("{}: line {}: {why}", path.display(), number + 1)))?;
        found.push(Line { number, tokens, whole: true });
    }
    if found.is_empty() {
        return Err(Error::Data(format!("{}: there is no line of text in it", path.display())));
    }
    if empty > 0 {
        notes.push(format!("{empty} empty lines were left out"));
    }
    Ok(found)
}

/// Cuts lines that are too long or leaves them out, and gives the places of an example: the tokens of the longest line and the end.
fn fit_lengths(name: &str, lines: &mut Vec<Line>, request: &ReadOptions, notes: &mut Vec<String>) -> Result<usize> {
    let known = request.known.and_then(|known| known.text);
    let most = known.map_or(request.config.length, |vocabulary| vocabulary.places - 1);
    let longer = lines.iter().filter(|line| line.tokens.len() > most).count();
    let count = lines.len();
    match request.config.longer {
        _ if longer == 0 => {}
        Longer::Cut => {
            for line in lines.iter_mut().filter(|line| line.tokens.len() > most) {
                line.tokens.truncate(most);
                line.whole = false;
            }
            notes.push(format!(
                "{longer} of {count} lines have more than {most} tokens and were cut there, without an end (data.length, data.longer)"
            ));
        }
        Longer::Skip => {
            lines.retain(|line| line.tokens.len() <= most);
            notes.push(format!(
                "{longer} of {count} lines have more than {most} tokens and were left out (data.length, data.longer)"
            ));
        }
    }
    if lines.is_empty() {
        return Err(Error::Data(format!("{name}: every line has more than data.length = {most} tokens; allow more")));
    }
    let longest = lines.iter().map(|line| line.tokens.len()).max().unwrap_or(0);
    Ok(known.map_or(longest + 1, |vocabulary| vocabulary.places))
}

/// The data set of lines as numbers of tokens.
fn numbered(
    name: &str,
    lines: &[Line],
    width: usize,
    request: &ReadOptions,
    mut notes: Vec<String>,
) -> Result<Dataset> {
    // A trained model may be asked of one.
    if lines.len() < 2 && request.known.is_none() {
        return Err(Error::Data(format!("{name}: there is a single line, and a line is an example")));
    }
    let bytes = 4 * (lines.len() as u64) * (width as u64);
    if bytes > request.memory() {
        return Err(Error::Data(format!(
            "{name}: {} lines of {width} places take {} MiB, more than data.memory = {}; allow more, or shorter lines \
             (data.length)",
            lines.len(),
            bytes >> 20,
            request.config.memory
        )));
    }
    let (order, test) = places(lines.len(), None, request.config);
    let validation = request.validation(lines.len() - test);
    let trained = lines.len().saturating_sub(test + validation);
    let line = |&row: &u32| lines[row as usize].tokens.as_slice();
    let fitted = || {
        let (training, others) = order.split_at(trained);
        Vocabulary::fit(request.config.tokens, width, training.iter().map(line), others.iter().map(line))
    };
    let vocabulary = request.known.and_then(|known| known.text).cloned().unwrap_or_else(fitted);
    if vocabulary.len() > MAX_WORDS {
        let count = vocabulary.len();
        return Err(Error::Data(format!(
            "{name}: there are {count} different tokens, and a vocabulary has up to {MAX_WORDS}; take `--set data.tokens=bytes`"
        )));
    }
    let numbers = vocabulary.numbers();
    let (mut values, mut unknown) = (Vec::with_capacity(lines.len() * width), 0);
    for &row in &order {
        let Line { number, tokens, whole } = &lines[row as usize];
        for token in tokens {
            let code = match numbers.get(token.as_str()) {
                Some(&code) => code,
                None if request.config.unknown == Unknown::Anomalous => UNKNOWN,
                None => return Err(unheard(name, *number, token, &vocabulary)),
            };
            unknown += usize::from(code == UNKNOWN);
            values.push(code as f32);
        }
        values.extend(whole.then_some(END as f32));
        values.resize(values.len() + (width - tokens.len() - usize::from(*whole)), PADDING as f32);
    }
    if unknown > 0 {
        notes.push(format!("{unknown} tokens that the training part does not have are read as unknown"));
    }
    let rows = order.iter().map(|&row| lines[row as usize].number as u32).collect();
    let data = Dataset::new(name, [1, 1, width], Values::F32(values), None, test, validation)?.with_rows(rows);
    Ok(Dataset { format: Format::Text, text: Some(vocabulary), notes, ..data })
}

/// What to say of a token that a trained model does not know.
fn unheard(name: &str, number: usize, token: &str, vocabulary: &Vocabulary) -> Error {
    Error::Data(format!(
        "{name}: line {}: the model was not trained on the token `{}`, it knows {}; `--unknown anomalous` counts it against \
         the line",
        number + 1,
        token.escape_debug(),
        vocabulary.words.len()
    ))
}

impl Dataset {
    /// Tokens of each example of a part, its end among them.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn lengths(&self, part: std::ops::Range<usize>) -> Result<Vec<usize>> {
        let mut lengths = vec![0; part.len()];
        let start = part.start;
        self.visit(part, |example, row| {
            lengths[example - start] = row.iter().filter(|&&code| code != PADDING as f32).count();
            Ok(())
        })?;
        Ok(lengths)
    }

    /// The tokens of an example, as numbers.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn tokens(&self, example: usize) -> Result<Vec<u32>> {
        Ok(self.example(example)?.into_iter().map(|code| code as u32).collect())
    }
}

#[cfg(test)]
mod tests;
