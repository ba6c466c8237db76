//! Text and music as sequences of tokens with an end: how examples of any source are brought to a length and become numbers.

mod read;
pub mod vocabulary;

use super::music::{self, Music};
use super::{Dataset, Format, ReadOptions, Values, places};
use crate::config::{Domain, Longer, Tokens, Unknown};
use crate::error::{Error, Result};
pub use read::{column, dataset, folder, in_folder};
use vocabulary::{END, PADDING, UNKNOWN, Vocabulary};

/// The most numbers of a vocabulary.
pub const MAX_WORDS: usize = 1 << 16;

/// Whether the name of a file says that it is text of lines.
pub fn is_name(end: &str) -> bool {
    matches!(end, "txt" | "smi" | "smiles")
}

/// What is read as sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lines of a file.
    Lines,
    /// A column of a table.
    Rows,
    /// Files of a folder, each as a whole.
    Documents,
    /// MIDI files.
    Music,
}

impl Kind {
    /// What examples of this kind are called; files by their names.
    pub fn units(self, names: Vec<String>) -> Units {
        Units { kind: self, names }
    }
}

/// What examples are called in messages.
pub(super) struct Units {
    kind: Kind,
    names: Vec<String>,
}

impl Units {
    fn many(&self) -> &'static str {
        match self.kind {
            Kind::Lines => "lines",
            Kind::Rows => "rows",
            Kind::Documents => "texts",
            Kind::Music => "pieces",
        }
    }

    fn one(&self, number: usize) -> String {
        match self.kind {
            Kind::Lines => format!("line {}", number + 1),
            Kind::Rows => format!("row {}", number + 1),
            Kind::Documents | Kind::Music => self.names.get(number).cloned().unwrap_or_default(),
        }
    }
}

/// A sequence as it was read, or a part of it.
pub(super) struct Line {
    /// Its number in the source, from 0.
    pub number: usize,
    /// What it consists of.
    pub tokens: Vec<String>,
    /// Whether its end is there, and was not cut off.
    pub whole: bool,
}

/// Whether a model takes sequences of this kind.
///
/// # Errors
/// [`Error::Usage`] that says what it takes.
pub(super) fn check_request(name: &str, kind: Kind, request: &ReadOptions) -> Result<()> {
    let likelihood = request.takes.likelihood;
    let (what, recipes) = match kind {
        Kind::Music => ("music", "`--recipe music`"),
        _ => ("text", "`--recipe text`, or for molecules `--recipe smiles`"),
    };
    if request.takes.domain != Domain::Tokens {
        return Err(Error::Usage(format!(
            "{name}: this is {what}, and the {likelihood} likelihood takes none; choose {recipes}"
        )));
    }
    let trained = request.known.and_then(|known| known.text);
    let tokens = trained.map_or(request.config.tokens, |text| text.tokens);
    if (tokens == Tokens::Events) != (kind == Kind::Music) {
        let word = tokens.word();
        return Err(Error::Usage(match trained {
            Some(_) => format!("{name}: this is {what}, and the model was trained on {word}"),
            None => format!("{name}: this is {what}, of which data.tokens = {word} are no part; choose {recipes}"),
        }));
    }
    if request.config.unknown == Unknown::Missing {
        return Err(Error::Usage(format!(
            "{name}: data.unknown = missing is for tables; what a model does not know of a text is refused, or with anomalous \
             counted against its line"
        )));
    }
    Ok(())
}

/// The data set of sequences as they were read.
///
/// # Errors
/// [`Error::Data`] where all are too long, too many or too few, or have tokens that a trained model does not know.
pub(super) fn finish(
    name: &str,
    mut lines: Vec<Line>,
    units: &Units,
    request: &ReadOptions,
    music: Option<Music>,
    mut notes: Vec<String>,
) -> Result<Dataset> {
    let places = fit_lengths(name, &mut lines, units, request, music, &mut notes)?;
    numbered(name, &lines, places, units, request, music, notes)
}

/// Cuts lines that are too long or leaves them out, and gives the places of an example: the tokens of the longest line and the end.
fn fit_lengths(
    name: &str,
    lines: &mut Vec<Line>,
    units: &Units,
    request: &ReadOptions,
    music: Option<Music>,
    notes: &mut Vec<String>,
) -> Result<usize> {
    let known = request.known.and_then(|known| known.text);
    let most = known.map_or(request.config.length, |vocabulary| vocabulary.places - 1);
    let longer = lines.iter().filter(|line| line.tokens.len() > most).count();
    let (count, many) = (lines.len(), units.many());
    match request.config.longer {
        _ if longer == 0 => {}
        Longer::Cut => {
            for line in lines.iter_mut().filter(|line| line.tokens.len() > most) {
                line.tokens.truncate(most);
                line.whole = false;
            }
            notes.push(format!(
                "{longer} of {count} {many} have more than {most} tokens and were cut there, without an end (data.length, data.longer)"
            ));
        }
        Longer::Skip => {
            lines.retain(|line| line.tokens.len() <= most);
            notes.push(format!(
                "{longer} of {count} {many} have more than {most} tokens and were left out (data.length, data.longer)"
            ));
        }
        Longer::Windows => {
            let whole = std::mem::take(lines);
            lines.extend(whole.into_iter().flat_map(|line| windows(line, most, music)));
            notes.push(format!(
                "{longer} of {count} {many} have more than {most} tokens and became windows of up to so many, of which the last has the \
                 end: {} examples in all (data.length, data.longer)",
                lines.len()
            ));
        }
    }
    if lines.is_empty() {
        // The places of a trained model are as many as they are.
        let way = if known.is_some() { "cut them to it" } else { "allow more, or `--set data.longer=windows`" };
        return Err(Error::Data(format!(
            "{name}: all of its {many} have more than data.length = {most} tokens; {way}"
        )));
    }
    let longest = lines.iter().map(|line| line.tokens.len()).max().unwrap_or(0);
    Ok(known.map_or(longest + 1, |vocabulary| vocabulary.places))
}

/// A line in parts of up to so many tokens; a piece of music between its notes.
fn windows(line: Line, most: usize, music: Option<Music>) -> Vec<Line> {
    let parts: Vec<Vec<String>> = match music {
        _ if line.tokens.len() <= most => return vec![line],
        Some(Music { grid, .. }) => {
            let notes = music::notes(line.tokens.iter().map(String::as_str), grid);
            music::windows(&notes, grid, most)
        }
        None => line.tokens.chunks(most).map(<[String]>::to_vec).collect(),
    };
    let last = parts.len() - 1;
    let part = |(at, tokens)| Line { number: line.number, tokens, whole: line.whole && at == last };
    parts.into_iter().enumerate().map(part).collect()
}

/// The order of examples, and how many at its end are the test part. Windows of one line stay together, so that two parts share one
/// line at most.
fn order(lines: &[Line], request: &ReadOptions) -> (Vec<u32>, usize) {
    let is_first = |&at: &usize| at == 0 || lines[at].number != lines[at - 1].number;
    let firsts: Vec<usize> = (0..lines.len()).filter(is_first).collect();
    let (order, test) = places(firsts.len(), None, request.config);
    if firsts.len() == lines.len() {
        return (order, test);
    }
    let end = |at: u32| firsts.get(at as usize + 1).copied().unwrap_or(lines.len());
    let order = order.into_iter().flat_map(|at| firsts[at as usize] as u32..end(at) as u32).collect();
    (order, request.config.share_of(lines.len(), request.config.test))
}

/// The data set of lines as numbers of tokens.
fn numbered(
    name: &str,
    lines: &[Line],
    width: usize,
    units: &Units,
    request: &ReadOptions,
    music: Option<Music>,
    mut notes: Vec<String>,
) -> Result<Dataset> {
    // A trained model may be asked of one.
    if lines.len() < 2 && request.known.is_none() {
        return Err(Error::Data(match units.kind {
            Kind::Lines => format!("{name}: there is a single line, and a line is an example"),
            Kind::Rows => format!("{name}: there is a single row with text, and a row is an example"),
            Kind::Documents | Kind::Music => format!(
                "{name}: it is a single example; more files in a folder, or windows (data.longer = windows and a smaller data.length), \
                 make several"
            ),
        }));
    }
    let bytes = 4 * (lines.len() as u64) * (width as u64);
    if bytes > request.memory() {
        return Err(Error::Data(format!(
            "{name}: {} {} of {width} places take {} MiB, more than data.memory = {}; allow more, or shorter ones \
             (data.length)",
            lines.len(),
            units.many(),
            bytes >> 20,
            request.config.memory
        )));
    }
    let (order, test) = order(lines, request);
    let validation = request.validation(lines.len() - test);
    let trained = lines.len().saturating_sub(test + validation);
    let line = |&row: &u32| lines[row as usize].tokens.as_slice();
    let fitted = || {
        let (training, others) = order.split_at(trained);
        let fitted = Vocabulary::fit(request.config.tokens, width, training.iter().map(line), others.iter().map(line));
        Vocabulary { music, ..fitted }
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
                None => return Err(unheard(name, &units.one(*number), token, &vocabulary)),
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
fn unheard(name: &str, place: &str, token: &str, vocabulary: &Vocabulary) -> Error {
    Error::Data(format!(
        "{name}: {place}: the model was not trained on the token `{}`, it knows {}; `--unknown anomalous` counts it against \
         the example",
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
