//! Arrays whose values are categories: whole numbers from 0 up, the same ones for all values.
//!
//! A model is shown a 1 among zeros for each value, in the order of the array. So every example lies in a row, whatever
//! its extents, which the encoding keeps for what comes out.

use super::cells::{Cells, Growing};
use super::table::{ColumnKind, Encoding, Frame, MAX_LEVELS};
use super::{Dataset, Format, Labels, ReadOptions, hash};
use crate::config::MAX_WIDTH;
use crate::error::{Error, Result};

/// What can be wrong with an array, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// Makes a data set of an array of these extents, whose examples stand in `order` and of which the last `test` are the test
/// part.
///
/// # Errors
/// [`Error::Data`] where a value is no category, or none that a trained model knows, where there are too many of them or
/// nothing to tell apart; those of [`Dataset::new`].
pub fn dataset(
    name: &str,
    dims: &[usize],
    cells: Cells,
    (order, test): (Vec<u32>, usize),
    labels: Option<Labels>,
    request: &ReadOptions,
) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let extents = &dims[1..];
    let known = known(extents, request).map_err(complain)?;
    let trained = known.and_then(Encoding::categories).map(|(_, categories)| categories);
    let occurring = occurring(&cells, extents, trained)?.map_err(complain)?;
    let (encoding, note) = match known {
        Some(encoding) => (encoding.clone(), None),
        None => (numbered(extents, occurring.len()).map_err(complain)?, gaps(&occurring)),
    };
    // What is too much for memory is on the disk before it is gone through once more.
    let cells = within_memory(name, cells, &encoding, request)?;
    // Of arrays of up to three dimensions the same as for every other likelihood that takes these numbers as they are.
    let plain = cells.encoded(&Encoding::alike(extents, &ColumnKind::PLAIN), &order);
    let hash = hash(shape_of(extents), &plain, labels.as_ref().map(|labels| &labels.of[..]), test)?;
    let frame = Frame { columns: encoding.columns.clone(), cells };
    let data = frame.dataset(name, encoding, order, test, labels, request)?;
    Ok(Dataset { format: Format::Array, hash, notes: note.into_iter().collect(), ..data })
}

/// The shape of an example, were it a picture: channels, height, width. Further extents lie below each other.
pub fn shape_of(extents: &[usize]) -> [usize; 3] {
    match extents {
        [above @ .., height, width] => [1, above.iter().product::<usize>() * height, *width],
        [width] => [1, 1, *width],
        [] => [1; 3],
    }
}

/// The encoding of a trained model, where there is one, if examples of these extents can be read by it.
fn known<'a>(extents: &[usize], request: &ReadOptions<'a>) -> Decoded<Option<&'a Encoding>> {
    let Some(encoding) = request.known.and_then(|known| known.encoding) else { return Ok(None) };
    match encoding.categories() {
        Some((trained, _)) if trained == extents => Ok(Some(encoding)),
        Some((trained, _)) => {
            Err(format!("an example has the extents {extents:?}, and those of the training had {trained:?}"))
        }
        None => encoding.for_numbers(extents.iter().product()).map(|_| Some(encoding)),
    }
}

/// The encoding of values of so many categories.
fn numbered(extents: &[usize], categories: usize) -> Decoded<Encoding> {
    match categories {
        0 => return Err("all values are missing".into()),
        1 => return Err("all values are 0, which is one category and nothing to learn".into()),
        _ => {}
    }
    let places = extents.iter().fold(categories, |places, &extent| places.saturating_mul(extent));
    if places > MAX_WIDTH {
        return Err(format!(
            "{extents:?} values of {categories} categories take {places} places in a row, allowed are {MAX_WIDTH}; number \
             them anew, from 0 without gaps, and write a number that stands for a missing value as NaN"
        ));
    }
    Ok(Encoding::alike(extents, &ColumnKind::Numbered { categories }))
}

/// What to say where most categories never occur, as with a 255 that stands for a missing value.
fn gaps(occurring: &[bool]) -> Option<String> {
    let found = occurring.iter().filter(|&&occurs| occurs).count();
    (2 * found < occurring.len()).then(|| {
        format!(
            "of the categories 0 to {} only {found} occur, and the model gives each a logit: write a number that stands \
             for a missing value as NaN, and number those anew whose numbers mean nothing elsewhere",
            occurring.len() - 1
        )
    })
}

/// Of each category up to the largest whether it occurs; or what is wrong with the first value that is no category, or
/// none of so many that a trained model knows.
fn occurring(cells: &Cells, extents: &[usize], trained: Option<usize>) -> Result<Decoded<Vec<bool>>> {
    let (width, most) = (extents.iter().product(), trained.unwrap_or(MAX_LEVELS));
    let (mut occurring, mut unfit, mut row) = (vec![], None, 0_usize);
    cells.visit(width, &all_rows(cells, width), &mut |values| {
        for (at, &value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            if (0.0..most as f64).contains(&value) && value.fract() == 0.0 {
                let category = value as usize;
                occurring.resize(occurring.len().max(category + 1), false);
                occurring[category] = true;
            } else if unfit.is_none() {
                unfit = Some((row, at, value));
            }
        }
        row += 1;
    })?;
    Ok(match unfit {
        None => Ok(occurring),
        Some((row, at, value)) => Err(format!("value {at} of row {row} (both from 0) is {}", why(value, trained))),
    })
}

/// A value that is no category, why it is none, and what to do.
fn why(value: f64, trained: Option<usize>) -> String {
    let whole = value >= 0.0 && value.fract() == 0.0;
    match trained {
        Some(categories) if whole => format!(
            "category {value}, and the model knows 0 to {}: make it NaN, which is a missing value, or train anew",
            categories - 1
        ),
        None if whole => format!(
            "{value}, but the categorical likelihood takes up to {MAX_LEVELS} categories, numbered from 0: number them \
             anew (numpy.unique with return_inverse), or for counts choose `--set model.likelihood=negative-binomial`"
        ),
        _ => format!(
            "{value}, but the categorical likelihood takes categories, whole numbers from 0 up, and NaN for a missing \
             value; for measurements choose `--set model.likelihood=gaussian-shared`"
        ),
    }
}

/// The cells, in a file of their own where they would take more memory than they may as a model takes them.
fn within_memory(name: &str, cells: Cells, encoding: &Encoding, request: &ReadOptions) -> Result<Cells> {
    let (width, each) = (encoding.columns.len(), 4 * encoding.columns.len());
    let rows = all_rows(&cells, width);
    let takes = (rows.len() as u64).saturating_mul(each as u64);
    if matches!(cells, Cells::Disk(_)) || takes <= request.memory() {
        return Ok(cells);
    }
    let (mut growing, mut written) = (Growing::new(name, width, each, request.memory()), Ok(()));
    cells.visit(width, &rows, &mut |row| {
        for &cell in row {
            growing.push(cell);
        }
        if written.is_ok() {
            written = growing.end_row();
        }
    })?;
    written.and_then(|()| growing.finish())
}

fn all_rows(cells: &Cells, width: usize) -> Vec<u32> {
    (0..cells.rows(width) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::plain;
    use super::super::{FittedPreprocessing, Values};
    use super::*;
    use crate::config::{DataConfig, Likelihood};
    use crate::data::elements::Elements;

    fn open(config: &DataConfig, dims: &[usize], elements: Elements, known: Option<&Encoding>) -> Result<Dataset> {
        let known = known.map(|encoding| FittedPreprocessing {
            encoding: Some(encoding),
            floats: true,
            ..FittedPreprocessing::default()
        });
        let request = ReadOptions { config, takes: Likelihood::Categorical.takes(), known, holes: false };
        let order = (0..dims[0] as u32).rev().collect();
        dataset("x.npy", dims, Cells::Memory(elements), (order, 0), None, &request)
    }

    #[test]
    fn a_value_takes_one_number_however_many_categories_there_are() {
        let elements = || Elements::Int((0..3000).map(|at| at % 100).collect());
        // As ones among zeros they are more than a MiB.
        let [large, small] = [0, 1].map(|memory| open(&DataConfig { memory, ..plain() }, &[100, 30], elements(), None));
        let (large, small) = (large.unwrap(), small.unwrap());
        assert!(matches!((&large.values, &small.values), (Values::Disk(_), Values::Codes(_))));
        assert_eq!((small.values.words(), small.stored_words(), large.stored_words()), (Some(3000), 30, 30));
        let all: Vec<u32> = (0..100).collect();
        assert!(large.stored(&all).unwrap() == small.stored(&all).unwrap());
        assert!(large.examples(&all).unwrap() == small.examples(&all).unwrap());
        assert_eq!((&large.hash, &large.encoding, large.shape), (&small.hash, &small.encoding, [1, 1, 3000]));
    }

    #[test]
    fn the_hash_is_that_of_the_numbers_however_many_categories_are_known() {
        let elements = || Elements::U8(vec![0, 1, 1, 0, 2, 0]);
        let trained = Encoding::alike(&[2], &ColumnKind::Numbered { categories: 7 });
        let own = open(&plain(), &[3, 2], elements(), None).unwrap();
        let other = open(&plain(), &[3, 2], elements(), Some(&trained)).unwrap();
        assert_eq!((own.width(), other.width()), (6, 14));
        assert_eq!(own.hash, other.hash);
        let changed = open(&plain(), &[3, 2], Elements::U8(vec![0, 1, 1, 0, 2, 1]), None).unwrap();
        assert_ne!(own.hash, changed.hash);
        assert!(!own.missing && open(&plain(), &[1, 2], Elements::F32(vec![1.0, f32::NAN]), None).unwrap().missing);
    }

    #[test]
    fn categories_of_which_most_never_occur_are_told() {
        let notes = |values: &[u8]| open(&plain(), &[2, 2], Elements::U8(values.to_vec()), None).unwrap().notes;
        assert_eq!(notes(&[0, 1, 3, 1]), [""; 0]);
        assert_eq!(notes(&[1, 3, 1, 3]), [""; 0], "half of them");
        let found = notes(&[0, 1, 2, 255]);
        assert!(found.len() == 1 && found[0].starts_with("of the categories 0 to 255 only 4 occur"), "{found:?}");
        // What a trained model knows need not occur.
        let trained = Encoding::alike(&[2], &ColumnKind::Numbered { categories: 7 });
        let data = open(&plain(), &[1, 2], Elements::U8(vec![6, 6]), Some(&trained)).unwrap();
        assert_eq!(data.notes, [""; 0]);
    }

    #[test]
    fn examples_of_any_extents_are_drawn_as_planes_below_each_other() {
        for (extents, shape) in
            [(&[][..], [1, 1, 1]), (&[7], [1, 1, 7]), (&[4, 7], [1, 4, 7]), (&[2, 3, 4, 7], [1, 24, 7])]
        {
            assert_eq!(shape_of(extents), shape);
        }
    }
}
