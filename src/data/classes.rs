//! Classes as a conditional model takes them: by name, so that other data with other numbers mean the same.

use super::{Dataset, Format, NO_LABEL};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// More different labels are no classes.
const MAX_CLASSES: usize = 1 << 16;

/// Names that are listed in a message.
const LISTED: usize = 12;

/// The same data set with a name for every class, and labels that are places among those names: among those that a model
/// knows, where there is one. A class without a name is called by its number.
///
/// # Errors
/// [`Error::Data`] where the data have no labels, or one that the model does not know.
pub fn named(data: Dataset, known: Option<&[String]>) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{}: {what}", data.name));
    let Some(labels) = &data.labels else {
        return Err(complain(match known {
            Some(_) => "there are no labels, and the model is told the class of each example: they are to stand where those of the \
                        data that it was trained on do (data.labels of its run)"
                .into(),
            None => format!(
                "there are no labels, and a model with model.condition = label or inferred learns the class of examples from them; {}",
                advice(data.format)
            ),
        }));
    };
    let name = |class: u32| match &data.classes {
        Some(names) => names[class as usize].clone(),
        None => class.to_string(),
    };
    let names = match known {
        Some(known) => known.to_vec(),
        None if data.class_count() > MAX_CLASSES => {
            let count = data.class_count();
            return Err(complain(format!(
                "labels go up to {count}, and a model can be told up to {MAX_CLASSES} classes"
            )));
        }
        None => (0..data.class_count() as u32).map(name).collect(),
    };
    // Of two classes of the same name the first is meant.
    let known: BTreeMap<&str, u32> = names.iter().map(String::as_str).zip(0..names.len() as u32).rev().collect();
    let mut places = BTreeMap::from([(NO_LABEL, NO_LABEL)]);
    for &label in labels {
        if places.contains_key(&label) {
            continue;
        }
        let wanted = name(label);
        let place = known.get(wanted.as_str()).copied();
        let place = place.ok_or_else(|| {
            complain(format!("the model does not know the class `{wanted}`; its classes are {}", list(&names)))
        })?;
        places.insert(label, place);
    }
    let labels = labels.iter().map(|label| places[label]).collect();
    Ok(Dataset { labels: Some(labels), classes: Some(names), ..data })
}

/// The same for a model that infers classes: once it is trained, it needs no labels.
///
/// # Errors
/// Those of [`named`].
pub fn inferred(data: Dataset, known: Option<&[String]>) -> Result<Dataset> {
    match known {
        Some(known) if data.labels.is_none() => Ok(Dataset { classes: Some(known.to_vec()), ..data }),
        _ => named(data, known),
    }
}

/// Names of classes for a message.
pub fn list(names: &[String]) -> String {
    let rest = if names.len() > LISTED { ", …" } else { "" };
    format!("{}{rest}", names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", "))
}

/// Where the labels of such a source are looked for.
fn advice(format: Format) -> &'static str {
    match format {
        Format::Table => "name the column that has them: --set data.labels=COLUMN",
        Format::Array => {
            "name the array of the .npz, or the file beside the .npy, that has them: --set data.labels=NAME"
        }
        Format::Images => "put the images of each class into a folder of its own",
        Format::Interactions => "what users chose has no classes",
        Format::Cells => "name what is known of cells that has them: --set data.labels=COLUMN",
        Format::Idx => "put the file with the labels beside that of the images, under the name that MNIST's has",
        Format::Text | Format::Music => "lines of text and pieces of music have none",
        Format::Glyphs | Format::Sprites => "glyphs and sprites have them unless data.labels = none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Values;

    fn data(labels: Option<&[u32]>, names: Option<&[&str]>) -> Dataset {
        let values = Values::U8(vec![0; labels.map_or(3, <[u32]>::len)]);
        let data = Dataset::new("odd", [1, 1, 1], values, labels.map(<[u32]>::to_vec), 0, 0).unwrap();
        Dataset { classes: names.map(|names| names.iter().map(|&name| name.to_owned()).collect()), ..data }
    }

    #[test]
    fn labels_become_places_among_names() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for (labels, own, known, expected, all) in [
            (&[2, 0, 2][..], None, None, &[2, 0, 2][..], &["0", "1", "2"][..]),
            (&[1, 0], Some(&["cat", "dog"][..]), None, &[1, 0], &["cat", "dog"]),
            (&[1, 0], Some(&["cat", "dog"]), Some(&["cow", "dog", "cat"][..]), &[1, 2], &["cow", "dog", "cat"]),
            (&[3, 4], None, Some(&["4", "3"]), &[1, 0], &["4", "3"]),
        ] {
            let known = known.map(names);
            let found = named(data(Some(labels), own), known.as_deref()).unwrap();
            assert_eq!(found.labels.as_deref(), Some(expected));
            assert_eq!(found.classes, Some(names(all)));
        }
    }

    #[test]
    fn what_a_model_cannot_be_told_is_refused() {
        let known = ["cat".to_owned(), "dog".to_owned()];
        for (data, known, words) in [
            (data(None, None), None, &["odd", "no labels", "model.condition"][..]),
            (data(Some(&[0]), None), Some(&known[..]), &["odd", "class `0`", "cat, dog"]),
            (data(Some(&[1]), Some(&["cat", "cow"])), Some(&known[..]), &["class `cow`", "cat, dog"]),
            (data(Some(&[70_000]), None), None, &["70001", "65536"]),
        ] {
            let error = named(data, known).unwrap_err();
            let text = error.to_string();
            assert!(error.exit_code() == 3 && words.iter().all(|word| text.contains(word)), "{text}");
        }
    }
}
