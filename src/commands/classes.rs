//! Classes as they are typed, and what a conditional model is told where none is.

use super::open::MAX_PICTURES;
use crate::data::classes::list;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::session::Session;

/// The classes that `flag` names, separated by commas: each by its name or, where names are no numbers, by its place among
/// them. None where nothing was typed.
///
/// # Errors
/// [`Error::Usage`] where the model is told no classes, or there is no such class.
pub fn typed(session: &Session, flag: &str, typed: Option<&str>) -> Result<Vec<u32>> {
    let Some(typed) = typed else { return Ok(vec![]) };
    if session.model.classes == 0 {
        return Err(Error::Usage(format!("{flag} {typed}: the model is told no classes (model.condition = none)")));
    }
    let names = session.record.classes.as_deref().unwrap_or_default();
    // A name may have a comma in it.
    let words: Vec<&str> = if place(names, typed).is_some() { vec![typed] } else { typed.split(',').collect() };
    let class = |word: &str| {
        let known = || format!("{flag} {typed}: there is no class `{}`; the model's are {}", word.trim(), list(names));
        place(names, word.trim()).map(|place| place as u32).ok_or_else(|| Error::Usage(known()))
    };
    words.into_iter().map(class).collect()
}

/// Says where a model has never seen an example of some of the classes that it is told.
pub fn say_unseen(session: &Session, classes: &[u32], report: &Report) {
    let unseen = session.record.unseen(classes);
    if !unseen.is_empty() {
        let names: Vec<String> = unseen.into_iter().map(str::to_owned).collect();
        report.warn(&format!(
            "there was no example of {} in the training part: what the model makes of such a class is arbitrary",
            list(&names)
        ));
    }
}

fn place(names: &[String], word: &str) -> Option<usize> {
    let is_number = |name: &String| name.parse::<f64>().is_ok();
    let number = || word.parse().ok().filter(|&place: &usize| place < names.len() && !names.iter().any(is_number));
    names.iter().position(|name| name == word).or_else(number)
}

/// The one class that `flag` names.
///
/// # Errors
/// As those of [`typed`]; [`Error::Usage`] where it names several, or where a conditional model is told none.
pub fn one(session: &Session, flag: &str, class: Option<&str>) -> Result<Option<u32>> {
    let found = typed(session, flag, class)?;
    match found[..] {
        [class] => Ok(Some(class)),
        [] if session.model.classes == 0 => Ok(None),
        [] => {
            let names = list(session.record.classes.as_deref().unwrap_or_default());
            Err(Error::Usage(format!(
                "{flag}: the model is told a class (model.condition = label); say which of {names}"
            )))
        }
        _ => Err(Error::Usage(format!("{flag} {}: one class is wanted here", class.unwrap_or_default()))),
    }
}

/// Checks that `count` pictures of each of `classes` classes, and of each of `beside` others, fit into a file; `flag` is what
/// asks for fewer classes.
///
/// # Errors
/// [`Error::Usage`] where they do not, or where there are none.
pub fn check_pictures(count: usize, classes: usize, beside: usize, flag: &str) -> Result<()> {
    match count.saturating_mul(classes + beside) {
        1..=MAX_PICTURES => Ok(()),
        all => Err(Error::Usage(format!(
            "-n {count}: with {classes} classes that is {all} pictures, and a file takes 1 to {MAX_PICTURES}; choose a \
             smaller -n, or one class by {flag} NAME"
        ))),
    }
}

/// One class for each of `rows` rows; none for a model that is told nothing.
pub fn repeated(class: Option<u32>, rows: usize) -> Vec<u32> {
    class.map_or(vec![], |class| vec![class; rows])
}
