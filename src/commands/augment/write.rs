//! Data with new rows, as the file that is asked for has them.

use super::super::{files, show};
use super::Augmented;
use crate::cli::AugmentArgs;
use crate::config::Config;
use crate::data::array::{Array, Elements};
use crate::data::{Dataset, Format, csv, npy, npz};
use crate::durable;
use crate::error::{Error, Result};
use crate::report::grid;
use crate::report::npy::{Content, save_archive};
use crate::session::Session;
use std::collections::HashSet;
use std::path::Path;

/// The column, or array, that says which rows are new.
const MARK: &str = "synthetic";

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A table of text.
    Table,
    /// Arrays.
    Archive,
    /// Pictures in folders of their classes.
    Folder,
}

/// Whether examples are rows, and no pictures.
pub fn are_rows(data: &Dataset) -> bool {
    data.shape[..2] == [1, 1]
}

impl Target {
    /// What a path asks for.
    ///
    /// # Errors
    /// [`Error::Usage`] where such data have no place there.
    pub fn of(path: &Path, data: &Dataset) -> Result<Self> {
        match data.format {
            Format::Table => files::format("--out ", path, &["csv", "tsv"]).map(|_| Self::Table),
            // What has an ending is a file.
            _ if are_rows(data) || path.extension().is_some() => {
                files::format("--out ", path, &["npz"]).map(|_| Self::Archive)
            }
            _ if path.is_dir() && std::fs::read_dir(path).is_ok_and(|mut found| found.next().is_some()) => {
                Err(Error::Usage(format!(
                    "--out {}: there is something in this folder already; name a new one, or an .npz file",
                    path.display()
                )))
            }
            _ => Ok(Self::Folder),
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// [`Error::Disk`] where it cannot be written, [`Error::Data`] where the source cannot be read once more.
    pub fn write(self, args: &AugmentArgs, config: &Config, session: &Session, done: &Augmented) -> Result<()> {
        match self {
            Self::Table => table(args, config, session, done),
            Self::Archive => archive(args, config, session, done),
            Self::Folder => folder(&args.out, session, done),
        }
    }
}

fn table(args: &AugmentArgs, config: &Config, session: &Session, done: &Augmented) -> Result<()> {
    let (data, record) = (session.data()?, &session.record);
    let Some(encoding) = &record.encoding else { return Err(Error::Bug("a table has columns".into())) };
    let source = Path::new(&config.data.source);
    let label = config.data.labels.as_str();
    // A class is written as it is in the row where it comes first.
    let row = |at: u32| data.row(at as usize);
    let firsts: Vec<usize> = done.classes.iter().filter_map(|of| of.rows.first()).map(|&at| row(at)).collect();
    let mut texts = csv::texts(source, label, &firsts)?.into_iter();
    let words: Vec<String> = done
        .classes
        .iter()
        .map(|of| if of.rows.is_empty() { of.name.clone() } else { texts.next().unwrap_or_default() })
        .collect();
    let learnt: Vec<usize> = (0..encoding.columns.len()).filter(|&at| encoding.columns[at].kind.width() > 0).collect();
    let mut columns: Vec<&str> = learnt.iter().map(|&at| encoding.columns[at].name.as_str()).collect();
    columns.push(label);
    let width = encoding.width();
    let cells = |new: usize| {
        let all = encoding.cells(&encoding.undo(&done.rows[new * width..(new + 1) * width]));
        let own = learnt.iter().map(|&at| all[at].clone());
        own.chain([words[done.of_rows[new] as usize].clone()]).collect()
    };
    let kept: HashSet<usize> = done.kept.iter().map(|&at| row(at)).collect();
    let kept = |row: usize| !args.only_new && kept.contains(&row);
    let added = csv::Added { kept: &kept, mark: MARK, count: done.of_rows.len(), columns: &columns, cells: &cells };
    durable::replace_file(&args.out, &csv::extend(source, &config.data, added)?)
}

fn archive(args: &AugmentArgs, config: &Config, session: &Session, done: &Augmented) -> Result<()> {
    let (data, record) = (session.data()?, &session.record);
    let kept: &[u32] = if args.only_new { &[] } else { &done.kept };
    let (new, extents) = show::numbers(&done.rows, record);
    let shape = if are_rows(data) { &[data.width()][..] } else { &extents[1..] };
    let stored = stored(config, data)?;
    let before = match &stored {
        Some(elements) => {
            let row = |&at: &u32| data.row(at as usize) * data.width()..(data.row(at as usize) + 1) * data.width();
            kept.iter().flat_map(row).map(|at| elements.at(at)).collect()
        }
        None => show::numbers(&data.examples(kept)?, record).0,
    };
    let mut all = before;
    all.extend(new);
    let rows = kept.len() + done.of_rows.len();
    let shape = [&[rows], shape].concat();
    let labels = data.labels.as_deref().unwrap_or_default();
    let of: Vec<u32> = kept.iter().map(|&at| labels[at as usize]).chain(done.of_rows.iter().copied()).collect();
    let mark: Vec<u8> = (0..rows).map(|at| u8::from(at >= kept.len())).collect();
    let names: Vec<String> = done.classes.iter().map(|of| of.name.clone()).collect();
    // Classes that are whole numbers are written as these, others as their places among the names.
    let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
    let y: Vec<i64> = of
        .iter()
        .map(|&class| match &numbers {
            _ if class == crate::data::NO_LABEL => -1,
            Some(numbers) => numbers[class as usize],
            None => class.into(),
        })
        .collect();
    let is_whole = all.iter().all(|number| number.fract() == 0.0);
    let (mut bytes, mut whole, mut single) = (vec![], vec![], vec![]);
    let x = if !record.floats {
        bytes.extend(all.iter().map(|number| (255.0 * number).round().clamp(0.0, 255.0) as u8));
        Content::Bytes(&bytes)
    } else if is_whole && matches!(stored, Some(Elements::Bool(_) | Elements::U8(_) | Elements::Int(_))) {
        whole.extend(all.iter().map(|&number| number as i64));
        Content::Whole(&whole)
    } else if record.scales() && !matches!(stored, Some(Elements::F32(_))) || matches!(stored, Some(Elements::F64(_))) {
        Content::Double(&all)
    } else {
        single.extend(all.iter().map(|&number| number as f32));
        Content::Single(&single)
    };
    let (line, classes) = ([rows], [names.len()]);
    let mut arrays: Vec<(&str, &[usize], Content)> =
        vec![("x", &shape, x), ("y", &line, Content::Whole(&y)), (MARK, &line, Content::Bytes(&mark))];
    if numbers.is_none() {
        arrays.push(("classes", &classes, Content::Texts(&names)));
    }
    save_archive(&args.out, &arrays)
}

/// The numbers of the source as they were written, where its rows are no pictures: of these the model's own are as good.
fn stored(config: &Config, data: &Dataset) -> Result<Option<Elements>> {
    if data.format != Format::Array || !are_rows(data) {
        return Ok(None);
    }
    let path = Path::new(&config.data.source);
    let is_npy = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npy"));
    let found = if is_npy { npy::open(path) } else { npz::array(path, &config.data) };
    found.map(|Array { elements, .. }| Some(elements))
}

/// The new pictures, numbered, in folders of their classes.
fn folder(path: &Path, session: &Session, done: &Augmented) -> Result<()> {
    let (pictures, shape) = show::pictures(&done.rows, &session.record);
    let mut numbers = vec![0; done.classes.len()];
    durable::publish(path, |folder| {
        for (picture, &class) in pictures.chunks_exact(shape.iter().product()).zip(&done.of_rows) {
            let of = folder.join(done.classes[class as usize].name.replace(['/', '\\'], "-"));
            let number = &mut numbers[class as usize];
            if *number == 0 {
                durable::create_folder(&of)?;
            }
            *number += 1;
            grid::single(&of.join(format!("{MARK}-{number:05}.png")), picture, shape)?;
        }
        Ok(())
    })
}
