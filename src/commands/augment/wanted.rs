//! Which classes there are, and how many rows of each are wanted.

use crate::data::classes::list;
use crate::data::{Dataset, NO_LABEL};
use crate::error::{Error, Result};
use crate::report::scatter;

/// A class.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Its name, or its number.
    pub name: String,
    /// Its rows among those that are written.
    pub rows: Vec<u32>,
    /// How many new ones it gets.
    pub wanted: usize,
}

/// The classes of data, with their rows among `kept` and the new ones that `to` asks of each: as many as the largest class has
/// rows where nothing is asked.
///
/// # Errors
/// [`Error::Usage`] where there are no classes, none gets a row, or what is asked makes no sense.
pub fn classes(data: &Dataset, kept: &[u32], to: Option<&str>) -> Result<Vec<Class>> {
    let Some(labels) = &data.labels else {
        return Err(Error::Usage(format!(
            "{}: there are no labels, and they say which classes are rare; name the column, array or file that holds them by \
             --labels NAME",
            data.name
        )));
    };
    let name = |class: u32| scatter::name(class, data.classes.as_deref());
    let mut all: Vec<Class> =
        (0..data.class_count() as u32).map(|class| Class { name: name(class), rows: vec![], wanted: 0 }).collect();
    for &at in kept {
        let label = labels[at as usize];
        if label != NO_LABEL {
            all[label as usize].rows.push(at);
        }
    }
    let largest = all.iter().map(|class| class.rows.len()).max().unwrap_or(0);
    if largest == 0 {
        return Err(Error::Usage(format!("{}: none of these rows has a label", data.name)));
    }
    match to.map(|to| (to, to.trim().parse::<usize>())) {
        None => fill(&mut all, largest),
        Some((_, Ok(of_each))) => fill(&mut all, of_each),
        Some((to, Err(_))) => by_name(&mut all, to)?,
    }
    if all.iter().all(|class| class.wanted == 0) {
        let what = match to {
            None => "all classes are equally large".to_owned(),
            Some(to) => format!("--to {to}: every class has so many rows already"),
        };
        return Err(Error::Usage(format!("{what}, so there is nothing to draw")));
    }
    Ok(all)
}

/// Brings every class of which there is a row to `count`.
fn fill(classes: &mut [Class], count: usize) {
    for class in classes.iter_mut().filter(|class| !class.rows.is_empty()) {
        class.wanted = count.saturating_sub(class.rows.len());
    }
}

/// Reads `a=5,b=7`. What has no number behind it belongs to the name of the next, in which there may be a comma.
fn by_name(classes: &mut [Class], to: &str) -> Result<()> {
    let wrong = |what: String| Error::Usage(format!("--to {to}: {what}"));
    let mut name = String::new();
    for word in to.split(',') {
        let number = word.rsplit_once('=').and_then(|(start, number)| Some((start, number.trim().parse().ok()?)));
        let Some((start, count)) = number else {
            name = format!("{name}{word},");
            continue;
        };
        let whole = format!("{name}{start}");
        name.clear();
        let class = classes.iter().position(|class| class.name == whole.trim());
        let class = class.ok_or_else(|| {
            let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
            wrong(format!("there is no class `{}`; the classes are {}", whole.trim(), list(&names)))
        })?;
        let class = &mut classes[class];
        let there = class.rows.len();
        class.wanted = usize::checked_sub(count, there).ok_or_else(|| {
            wrong(format!("there are {there} rows of class `{}` already, and none is taken away", class.name))
        })?;
    }
    if name.is_empty() {
        Ok(())
    } else {
        Err(wrong("a number, or CLASS=NUMBER and further ones behind a comma, is expected".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Values;

    fn data(labels: Option<&[u32]>) -> Dataset {
        let values = Values::U8(vec![0; labels.map_or(3, <[u32]>::len)]);
        let data = Dataset::new("odd", [1, 1, 1], values, labels.map(<[u32]>::to_vec), 0, 0).unwrap();
        Dataset { classes: Some(["a", "b, c", "d"].map(str::to_owned).to_vec()), ..data }
    }

    #[test]
    fn classes_get_what_is_asked() {
        let data = data(Some(&[0, 0, 0, 0, 1, NO_LABEL, 0]));
        let kept = [0, 1, 2, 4, 5];
        for (to, expected) in [
            (None, [0, 2, 0]),
            (Some("5"), [2, 4, 0]),
            (Some("2"), [0, 1, 0]),
            (Some("b, c=4"), [0, 3, 0]),
            (Some("a = 4,b, c=1 , d=2"), [1, 0, 2]),
        ] {
            let found = classes(&data, &kept, to).unwrap();
            let wanted: Vec<usize> = found.iter().map(|class| class.wanted).collect();
            assert_eq!(wanted, expected, "{to:?}");
            assert_eq!(found[1].rows, [4]);
        }
    }

    #[test]
    fn what_makes_no_sense_is_one_line() {
        let some = data(Some(&[0, 0, 1]));
        for (data, to, words) in [
            (&data(None), None, "no labels"),
            (&data(Some(&[NO_LABEL; 3])), None, "none of these rows has a label"),
            (&data(Some(&[0, 1])), None, "equally large"),
            (&some, Some("1"), "every class has so many rows already"),
            (&some, Some("e=5"), "there is no class `e`; the classes are a, b, c, d"),
            (&some, Some("a=1"), "2 rows of class `a` already"),
            (&some, Some("a=many"), "CLASS=NUMBER"),
            (&some, Some(""), "CLASS=NUMBER"),
        ] {
            let kept: Vec<u32> = (0..data.len() as u32).collect();
            let error = classes(data, &kept, to).unwrap_err();
            let text = error.to_string();
            assert!(error.exit_code() == 2 && text.contains(words) && !text.contains('\n'), "{text}");
        }
    }
}
