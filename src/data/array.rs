//! Numbers in a block of several dimensions, as a file held them, and how they become a data set.

use super::disk::{self, Disk};
use super::table::{Column, Encoding, Frame, Kind};
use super::{Dataset, Format, Labels, Request, Values, places};
use crate::config::{Layout, Scale};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// Classes from 0 up to here are taken as they are; others are numbered in ascending order.
const PLAIN_CLASSES: f64 = 65_536.0;
/// More different labels are no classes.
const MOST_CLASSES: usize = 1000;

/// The content of one array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Extents, slowest first.
    pub dims: Vec<usize>,
    /// Row-major, as many as the product of the extents.
    pub elements: Elements,
}

/// Numbers of the type in which they were stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// 0 or 1.
    Bool(Vec<u8>),
    /// Bytes.
    U8(Vec<u8>),
    /// Integers of any other size.
    Int(Vec<i64>),
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Elements {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(all) | Self::U8(all) => all.len(),
            Self::Int(all) => all.len(),
            Self::F32(all) => all.len(),
            Self::F64(all) => all.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number at a place.
    pub fn at(&self, index: usize) -> f64 {
        match self {
            Self::Bool(all) | Self::U8(all) => all[index].into(),
            Self::Int(all) => all[index] as f64,
            Self::F32(all) => all[index].into(),
            Self::F64(all) => all[index],
        }
    }

    /// Puts others of the same type behind these; false where the types differ.
    pub fn append(&mut self, more: Self) -> bool {
        match (self, more) {
            (Self::Bool(all), Self::Bool(more)) | (Self::U8(all), Self::U8(more)) => all.extend(more),
            (Self::Int(all), Self::Int(more)) => all.extend(more),
            (Self::F32(all), Self::F32(more)) => all.extend(more),
            (Self::F64(all), Self::F64(more)) => all.extend(more),
            _ => return false,
        }
        true
    }

    /// What the type is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "booleans",
            Self::U8(_) => "bytes",
            Self::Int(_) => "integers",
            Self::F32(_) => "32-bit floats",
            Self::F64(_) => "64-bit floats",
        }
    }
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

/// Makes a data set of an array whose last `test` examples, where they are known, are the test part.
///
/// # Errors
/// [`Error::Data`] where the array cannot be one, or is not what a trained model takes; those of [`Dataset::new`].
pub fn dataset(
    name: &str,
    array: Array,
    test: Option<usize>,
    labels: Option<Labels>,
    request: &Request,
) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let (shape, channels_last) = shape_of(&array.dims, request.config.layout).map_err(complain)?;
    if array.elements.is_empty() {
        return Err(complain(format!("there are no values: its shape is {:?}", array.dims)));
    }
    let (width, examples) = (shape.iter().product::<usize>(), array.dims[0]);
    let elements = if channels_last { channels_first(&array.elements, shape) } else { array.elements };
    if test.is_some_and(|test| test >= examples) {
        return Err(complain("there is nothing to train on: all examples are for the test".into()));
    }
    let scale = request.scale(array.dims.len() == 2);
    let (order, tested) = places(examples, test, request.config);
    let labels = labels.map(|labels| labels.reordered(&order, request.classes()));
    let known = request.known.and_then(|known| known.encoding);
    if scale == Scale::None && known.is_none() {
        let values = stored(&elements, width, &order);
        let data = Dataset::new(name, shape, values, None, tested, request.validation(examples - tested))?;
        return Ok(Dataset { format: Format::Array, ..data.with_labels(labels)?.with_rows(order) });
    }
    let columns = (0..width).map(|at| Column { name: at.to_string(), kind: Kind::PLAIN }).collect();
    let frame = Frame { columns, cells: elements };
    let training = (examples - tested).saturating_sub(request.validation(examples - tested));
    let encoding = match known {
        Some(encoding) => encoding.for_numbers(width).map_err(complain)?,
        None => Encoding::fit(&frame, &order[..training], scale),
    };
    let data = frame.dataset(name, encoding, order, tested, labels, request)?;
    Ok(Dataset { format: Format::Array, shape, ..data })
}

/// An array that stays in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Large {
    /// The file.
    pub path: PathBuf,
    /// How values are stored, row-major.
    pub kind: disk::Kind,
    /// Where they begin, in bytes.
    pub start: u64,
    /// Extents, slowest first.
    pub dims: Vec<usize>,
}

/// Makes a data set of an array that stays in its file.
///
/// # Errors
/// As [`dataset`]; [`Error::Data`] where its values would have to be scaled, too.
pub fn on_disk(name: &str, large: &Large, labels: Option<Labels>, request: &Request) -> Result<Dataset> {
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let (shape, channels_last) = shape_of(&large.dims, request.config.layout).map_err(complain)?;
    let (width, examples) = (shape.iter().product::<usize>(), large.dims[0]);
    if u32::try_from(examples).is_err() {
        return Err(complain(format!("{examples} examples are too many, {} is the most", u32::MAX)));
    }
    let known = request.known.and_then(|known| known.encoding);
    if request.scale(large.dims.len() == 2) != Scale::None || known.is_some() {
        return Err(complain(format!(
            "it takes more than data.memory = {} MiB, and values that are read from the file cannot be scaled; raise \
             data.memory, or scale them beforehand and give `--set data.scale=none`",
            request.config.memory
        )));
    }
    let part = disk::Part::open(&large.path, large.start, examples)?;
    let channels_last = channels_last.then(|| [shape[0], shape[1] * shape[2]]);
    let (order, tested) = places(examples, None, request.config);
    let values = Values::Disk(Disk::new(large.kind, width, vec![part], channels_last).reordered(&order));
    let labels = labels.map(|labels| labels.reordered(&order, request.classes()));
    let data = Dataset::new(name, shape, values, None, tested, request.validation(examples - tested))?;
    Ok(Dataset { format: Format::Array, ..data.with_labels(labels)?.with_rows(order) })
}

/// Examples in a new order, in the type that the device gets: bytes stay bytes, and false and true become black and
/// white.
fn stored(elements: &Elements, width: usize, order: &[u32]) -> Values {
    fn pick<T: Copy, U>(all: &[T], width: usize, order: &[u32], convert: impl Fn(T) -> U) -> Vec<U> {
        let rows = order.iter().flat_map(|&row| &all[row as usize * width..(row as usize + 1) * width]);
        rows.map(|&value| convert(value)).collect()
    }
    match elements {
        Elements::Bool(all) => Values::U8(pick(all, width, order, |bit| 255 * bit)),
        Elements::U8(all) => Values::U8(pick(all, width, order, |byte| byte)),
        Elements::Int(all) => Values::F32(pick(all, width, order, |number| number as f32)),
        Elements::F32(all) => Values::F32(pick(all, width, order, |number| number)),
        Elements::F64(all) => Values::F32(pick(all, width, order, |number| number as f32)),
    }
}

/// The same images with the channels before the rows; `shape` is channels, height, width.
fn channels_first(elements: &Elements, shape: [usize; 3]) -> Elements {
    fn moved<T: Copy>(all: &[T], [channels, height, width]: [usize; 3]) -> Vec<T> {
        let pixels = height * width;
        let image = |image: &[T]| -> Vec<T> {
            (0..channels).flat_map(|c| (0..pixels).map(move |at| at * channels + c)).map(|at| image[at]).collect()
        };
        all.chunks_exact(channels * pixels).flat_map(image).collect()
    }
    match elements {
        Elements::Bool(all) => Elements::Bool(moved(all, shape)),
        Elements::U8(all) => Elements::U8(moved(all, shape)),
        Elements::Int(all) => Elements::Int(moved(all, shape)),
        Elements::F32(all) => Elements::F32(moved(all, shape)),
        Elements::F64(all) => Elements::F64(moved(all, shape)),
    }
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
    if found.len() > MOST_CLASSES {
        return Err(format!("it has {} different values, which are too many for classes", found.len()));
    }
    let class = |label: &f64| found.partition_point(|other| other < label) as u32;
    Ok(Labels { of: all.iter().map(class).collect(), names: Some(found.iter().map(f64::to_string).collect()) })
}
