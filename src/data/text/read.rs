//! Where text comes from: lines of a file, a column of a table, a folder of documents.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::vocabulary::cut;
use super::{Kind, Line, check_request, finish};
use crate::config::Tokens;
use crate::data::{Dataset, ReadOptions, csv, music, packed};
use crate::durable;
use crate::error::{Error, Result};

/// Folders within folders are followed this far; a link that leads back to itself ends here.
const MAX_DEPTH: usize = 16;

/// Reads a file of lines.
///
/// # Errors
/// [`Error::Usage`] for a model that does not take text, and settings that make no sense of it; [`Error::Data`] that names file and
/// line where it cannot be read, is not UTF-8, or has tokens that a trained model does not know.
pub fn dataset(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    check_request(&name, Kind::Lines, request)?;
    if !request.config.text.is_empty() && request.known.is_none() {
        let column = &request.config.text;
        return Err(Error::Usage(format!(
            "data.text = {column} is a column of a .csv or .tsv file, and {name} is none"
        )));
    }
    let bytes = read(path, request)?;
    let mut notes = Vec::new();
    let lines = lines(path, &bytes, request, &mut notes)?;
    drop(bytes);
    finish(&name, lines, &Kind::Lines.units(vec![]), request, None, notes)
}

fn read(path: &Path, request: &ReadOptions) -> Result<Vec<u8>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let (most, mut bytes) = (request.memory(), Vec::new());
    let file = packed::open(path).map_err(complain)?;
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
    let is_table = packed::plain(path).extension().is_some_and(|end| !end.eq_ignore_ascii_case("txt"));
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

/// Reads a column of a table, of which each row is an example.
///
/// # Errors
/// As [`dataset`]; where there is no such column, or one of numbers.
pub fn column(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    check_request(&name, Kind::Rows, request)?;
    let asked = &request.config.text;
    let mut bytes = 0_u64;
    let (mut lines, mut empty, mut numbers) = (Vec::new(), 0, 0);
    let used = csv::each_text(path, asked, |row, cell| {
        if cell.is_empty() {
            empty += 1;
            return Ok(());
        }
        bytes += cell.len() as u64;
        if bytes > request.memory() {
            let most = request.config.memory;
            return Err(Error::Data(format!(
                "{name}: its text takes more than data.memory = {most} MiB; allow more, or take a part of it"
            )));
        }
        numbers += usize::from(cell.parse::<f64>().is_ok());
        let tokens = cut(cell.as_bytes(), request.config.tokens)
            .map_err(|why| Error::Data(format!("{name}: row {}: {why}", row + 1)))?;
        lines.push(Line { number: row, tokens, whole: true });
        Ok(())
    })?;
    if lines.is_empty() {
        return Err(Error::Data(format!("{name}: the column `{used}` is empty in all rows")));
    }
    // A trained model may be asked of a word that is written with digits.
    if request.known.is_none() && numbers == lines.len() {
        return Err(Error::Data(format!(
            "{name}: the column `{used}` holds numbers alone, which are no text; name another one with `--set data.text=COLUMN`, or \
             train on the table with `--recipe table`"
        )));
    }
    let mut notes = Vec::new();
    if empty > 0 {
        notes.push(format!("{empty} rows without text were left out"));
    }
    finish(&name, lines, &Kind::Rows.units(vec![]), request, None, notes)
}

/// Reads a folder of texts, each of which is a document with its line breaks, or of MIDI files.
///
/// # Errors
/// As [`dataset`] and [`music::dataset`]; where there are neither.
pub fn folder(path: &Path, request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    let (texts, songs) = (list(path, &["txt"])?, list(path, &["mid", "midi"])?);
    match (texts.is_empty(), songs.is_empty()) {
        (true, false) => return music::dataset(path, &songs, request),
        // Music often comes with a text about it.
        (false, false) if request.config.tokens == Tokens::Events => return music::dataset(path, &songs, request),
        (false, _) => {}
        (true, true) => {
            return Err(Error::Data(format!(
                "{name}: there is no .txt or .mid file in this folder for a model of sequences"
            )));
        }
    }
    check_request(&name, Kind::Documents, request)?;
    let (mut lines, mut empty, mut names, mut bytes) = (Vec::new(), 0, Vec::new(), 0);
    for path in &texts {
        let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
        let text = read(path, request)?;
        bytes += text.len() as u64;
        if bytes > request.memory() {
            let most = request.config.memory;
            return Err(complain(format!(
                "this and the texts before it take more than data.memory = {most} MiB; allow more"
            )));
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii();
        let number = names.len();
        names.push(path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()));
        // A line ends in one token, wherever the file was written.
        let text: Vec<u8> = text
            .iter()
            .enumerate()
            .filter(|&(at, &byte)| byte != b'\r' || text.get(at + 1) != Some(&b'\n'))
            .map(|(_, &byte)| byte)
            .collect();
        if text.is_empty() {
            empty += 1;
            continue;
        }
        lines.push(Line { number, tokens: cut(&text, request.config.tokens).map_err(complain)?, whole: true });
    }
    if lines.is_empty() {
        return Err(Error::Data(format!("{name}: all {} texts in this folder are empty", texts.len())));
    }
    let mut notes = Vec::new();
    if empty > 0 {
        notes.push(format!("{empty} empty texts were left out"));
    }
    if !songs.is_empty() {
        notes.push(format!("{} MIDI files beside the texts were left out; `--recipe music` reads them", songs.len()));
    }
    finish(&name, lines, &Kind::Documents.units(names), request, None, notes)
}

/// Says of a folder that has no pictures which texts or music are in it.
pub fn in_folder(path: &Path, error: Error) -> Error {
    let Error::Data(why) = error else { return error };
    let has = |ends: &[&str]| list(path, ends).is_ok_and(|found| !found.is_empty());
    match (has(&["mid", "midi"]), has(&["txt"])) {
        _ if has(&["png", "jpg", "jpeg"]) => Error::Data(why),
        (true, _) => Error::Data(format!("{why}; of its MIDI files a model learns with `--recipe music`")),
        (false, true) => Error::Data(format!("{why}; of its texts a model learns with `--recipe text`")),
        (false, false) => Error::Data(why),
    }
}

/// The files in and below a folder whose names end so, sorted, without hidden ones and those of runs.
fn list(folder: &Path, ends: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(folder, ends, 0, &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, ends: &[&str], depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = |error: std::io::Error| Error::Data(format!("{}: cannot be opened: {error}", folder.display()));
    if depth > MAX_DEPTH {
        return Err(Error::Data(format!("{}: more than {MAX_DEPTH} folders deep", folder.display())));
    }
    let entries = fs::read_dir(folder).map_err(cannot)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(cannot)?;
    paths.sort();
    for path in paths {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if is_hidden {
            continue;
        }
        // Opening a pipe or a device of such a name would wait for ever.
        match fs::metadata(&path) {
            // What a run has written is none of the data that it is trained on.
            Ok(kind) if kind.is_dir() && durable::is_run(&path) => {}
            Ok(kind) if kind.is_dir() => collect(&path, ends, depth + 1, found)?,
            Ok(kind) if kind.is_file() && ends.contains(&end.as_str()) => found.push(path),
            _ => {}
        }
    }
    Ok(())
}
