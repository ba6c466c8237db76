//! Numbers in a block of several dimensions, as a file held them, and how they become a data set.

use super::cells::Cells;
pub use super::elements::Elements;
use super::pictures::{self, Source};
use super::{Dataset, Format, Labels, ReadOptions, categories, disk, places};
use crate::config::{Domain, Layout};
use crate::error::{Error, Result};

/// Classes from 0 up to here are taken as they are; others are numbered in ascending order.
const PLAIN_CLASSES: f64 = 65_536.0;
/// More different labels are no classes.
const MAX_CLASSES: usize = 1000;

/// The content of one array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extents, slowest first.
    pub dims: Vec<usize>,
    /// Row-major, as many as the product of the extents.
    pub elements: Elements,
}

/// The shape of an example in an array of these extents, and whether channels come last and have to be moved.
///
/// # Errors
/// What is wrong with the extents, as the text after the array's name.
pub fn shape_of(dims: &[usize], layout: Layout) -> std::result::Result<([usize; 3], bool), String> {
    let channels = |extent: usize| matches!(extent, 1 | 3);
    match *dims {
        [_, width] => Ok(([1, 1, width], false)),
        [_, height, width] => Ok(([1, height, width], false)),
        [_, a, b, c] => {
            let last = match layout {
                Layout::ChannelsFirst => false,
                Layout::ChannelsLast => true,
                Layout::Auto if channels(a) != channels(c) => channels(c),
                Layout::Auto => {
                    return Err(format!(
                        "{dims:?} does not say which axis holds the channels; give `--set data.layout=channels-first` \
                         or channels-last"
                    ));
                }
            };
            Ok(if last { ([c, a, b], true) } else { ([a, b, c], false) })
        }
        _ => Err(format!(
            "{} dimensions are not supported; examples are rows of 2 (examples × values), 3 (examples × height × \
             width) or 4 dimensions",
            dims.len()
        )),
    }
}

/// Makes a data set of an array of these extents, whose last `test` examples, where they are known, are the test part.
///
/// # Errors
/// [`Error::Data`] where the array cannot be one, is not what a trained model takes, or cannot be read from its file;
/// those of [`Dataset::new`].
pub fn dataset(
    name: &str,
    dims: &[usize],
    cells: Cells,
    test: Option<usize>,
    labels: Option<Labels>,
    request: &ReadOptions,
) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let categorical = request.takes.domain == Domain::Categories;
    let (shape, channels_last) = match dims {
        // Which axis is which means nothing to them.
        [_, extents @ ..] if categorical => (categories::shape_of(extents), false),
        _ => shape_of(dims, request.config.layout).map_err(complain)?,
    };
    let examples = dims[0];
    if shape.contains(&0) || examples == 0 {
        return Err(complain(format!("there are no values: its shape is {dims:?}")));
    }
    if u32::try_from(examples).is_err() {
        return Err(disk::too_many(name, examples as u64));
    }
    if test.is_some_and(|test| test >= examples) {
        return Err(complain("there is nothing to train on: all examples are for the test".into()));
    }
    let cells = if channels_last { cells.channels_first(shape) } else { cells };
    let (order, tested) = places(examples, test, request.config);
    let labels = labels.map(|labels| labels.reordered(&order, request.classes()));
    if categorical {
        return categories::dataset(name, dims, cells, (order, tested), labels, request);
    }
    let (format, table, rows) = (Format::Array, dims.len() == 2, None);
    pictures::dataset(Source { name, format, shape, cells, table, order, tested, rows, labels }, request)
}

/// The classes that an array holds: whole numbers from 0 up as they are, others numbered in ascending order.
///
/// # Errors
/// Why the array holds no classes, as the text after its name.
pub fn labels(array: &Array, examples: usize) -> std::result::Result<Labels, String> {
    let flat = matches!(array.dims[..], [_] | [_, 1]);
    if !flat || array.elements.len() != examples {
        return Err(format!("its shape is {:?}, and {examples} labels are expected", array.dims));
    }
    let all: Vec<f64> = (0..examples).map(|at| array.elements.at(at)).collect();
    if let Some(at) = all.iter().position(|label| label.fract() != 0.0) {
        return Err(format!("label {at} is {}, and classes are whole numbers", all[at]));
    }
    if all.iter().all(|label| (0.0..PLAIN_CLASSES).contains(label)) {
        return Ok(Labels { of: all.iter().map(|&label| label as u32).collect(), names: None });
    }
    let mut found = all.clone();
    found.sort_by(f64::total_cmp);
    found.dedup();
    if found.len() > MAX_CLASSES {
        return Err(format!("it has {} different values, which are too many for classes", found.len()));
    }
    let class = |label: &f64| found.partition_point(|other| other < label) as u32;
    Ok(Labels { of: all.iter().map(class).collect(), names: Some(found.iter().map(f64::to_string).collect()) })
}
