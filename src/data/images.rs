//! A folder of PNG and JPEG images; subfolders are classes, and `train` and `test` are parts.
//!
//! All headers are read first. Sizes, channels and depth are settled from them, so that what does not go together, and
//! what claims to be larger than any picture, is refused before a single pixel is decoded.

mod decode;
mod files;
mod orientation;
mod resample;
#[cfg(test)]
mod tests;

use std::path::Path;

use rayon::prelude::*;

use super::cells::Cells;
use super::disk::{Disk, FileRows, PORTION};
use super::elements::{self, Element};
use super::pictures::{self, Source};
use super::{Dataset, Format, Labels, ReadOptions, Values, places};
use crate::config::{Background, Colour, Damaged, DataConfig, Fit};
use crate::durable::scratch::Scratch;
use crate::error::{Error, Result};
use decode::Header;
use files::{Image, Listing};

/// What all images of a data set are brought to.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Target {
    width: usize,
    height: usize,
    /// 1 or 3.
    channels: usize,
    /// Whether some image has 16 bits per sample, so that values are kept as floats.
    deep: bool,
}

impl Target {
    /// Values of a picture.
    fn values(self) -> usize {
        self.channels * self.width * self.height
    }

    /// Bytes that they take.
    fn bytes(self) -> u64 {
        self.values() as u64 * if self.deep { 4 } else { 1 }
    }
}

/// Opens a folder of images as a data set, in the order of their names.
///
/// # Errors
/// [`Error::Data`], in one line that names the folder or the image and the setting that helps; [`Error::Usage`] where the
/// configuration makes no sense for images, or validation would leave nothing to train on; [`Error::Disk`] where images
/// that are too many for the memory cannot be unpacked.
pub fn dataset(folder: &Path, request: &ReadOptions) -> Result<Dataset> {
    let config = request.config;
    let resize = config.size()?;
    let Listing { mut images, classes, mut test, mut notes } = files::list(folder, &config.labels)?;
    let (headers, unread) = sift(&images, images.par_iter().map(|image| decode::header(&image.path)).collect());
    settle(folder, config.damaged, &mut images, &mut test, &unread, &mut notes)?;
    let target = target(&images, &headers, resize, config)?;
    let name = folder.display().to_string();
    let scaled = request.scales_pictures(target.values());
    let each = if scaled { 4 * target.values() as u64 } else { target.bytes() };
    let large = each.saturating_mul(images.len() as u64) > request.memory();
    let mut pictures = if large { Pictures::Disk(Scratch::new(&name)?) } else { Pictures::Memory(vec![]) };
    // However large they are, every core has one.
    let at_once = ((PORTION as u64 / target.bytes().max(1)) as usize).max(rayon::current_num_threads());
    let costs: Vec<u64> = headers.iter().map(Header::bytes).collect();
    let portions = portions(&costs, at_once, request.memory());
    let undecoded = decode_all(&images, target, config, &portions, &mut pictures)?;
    settle(folder, config.damaged, &mut images, &mut test, &undecoded, &mut notes)?;
    let (order, tested) = places(images.len(), test, config);
    // Of pictures that are not scaled none needs to be copied again.
    let all: Vec<u32> = (0..order.len() as u32).collect();
    let cells = Cells::of(pictures.finish(&name, target, if scaled { &all } else { &order })?);
    let class = |image: &Image| image.class.unwrap_or(0);
    let labels = classes.map(|names| Labels { of: images.iter().map(class).collect(), names: Some(names) });
    let labels = labels.map(|labels| labels.reordered(&order, request.classes()));
    let shape = [target.channels, target.height, target.width];
    let (order, rows) = if scaled { (order, None) } else { (all, Some(order)) };
    let (name, format, table) = (name.as_str(), Format::Images, false);
    let source = Source { name, format, shape, cells, table, order, tested, rows, labels };
    let data = pictures::dataset(source, request)?;
    notes.extend(data.notes);
    Ok(Dataset { notes, ..data })
}

/// One image as grey, from 0 to 1: its height and width, and its pixels.
///
/// # Errors
/// [`Error::Data`] where it cannot be decoded.
pub fn grey(path: &Path) -> Result<([usize; 2], Vec<f32>)> {
    let picture = decode::picture(path).map_err(|what| Error::Data(format!("{}: {what}", path.display())))?;
    Ok(([picture.height, picture.width], picture.plane(0, 1, 0.0)))
}

/// What a folder holds, whether or not its images go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Images, those that cannot be read included.
    pub images: usize,
    /// Images of which not even the header can be read.
    pub unreadable: usize,
    /// The smallest and the largest width.
    pub widths: [usize; 2],
    /// The smallest and the largest height.
    pub heights: [usize; 2],
    /// Images without colours.
    pub grey: usize,
    /// Images with 16 bits per sample.
    pub deep: usize,
    /// Images of each class.
    pub classes: Vec<(String, usize)>,
}

/// Looks at the headers of the images in a folder.
///
/// # Errors
/// [`Error::Data`] where there are none, or where folders do not say clearly what the classes are.
pub fn survey(folder: &Path, config: &DataConfig) -> Result<Survey> {
    let Listing { images, classes, .. } = files::list(folder, &config.labels)?;
    let (headers, unread) = sift(&images, images.par_iter().map(|image| decode::header(&image.path)).collect());
    let ends = |extent: fn(&Header) -> usize| {
        let extents = || headers.iter().map(extent);
        [extents().min().unwrap_or(0), extents().max().unwrap_or(0)]
    };
    let of = |class: usize| images.iter().filter(|image| image.class == Some(class as u32)).count();
    Ok(Survey {
        images: images.len(),
        unreadable: unread.len(),
        widths: ends(|header| header.width),
        heights: ends(|header| header.height),
        grey: headers.iter().filter(|header| !header.colour).count(),
        deep: headers.iter().filter(|header| header.deep).count(),
        classes: classes.unwrap_or_default().into_iter().enumerate().map(|(at, name)| (name, of(at))).collect(),
    })
}

/// What could not be read: the places among the images, and why.
type Faults = Vec<(usize, String)>;

/// Parts what was read from what was not.
fn sift<T>(images: &[Image], results: Vec<std::result::Result<T, String>>) -> (Vec<T>, Faults) {
    debug_assert_eq!(images.len(), results.len());
    let (mut read, mut faults) = (Vec::with_capacity(results.len()), Vec::new());
    for (place, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => read.push(value),
            Err(what) => faults.push((place, what)),
        }
    }
    (read, faults)
}

/// Refuses images that cannot be read, or takes them off the list.
fn settle(
    folder: &Path,
    damaged: Damaged,
    images: &mut Vec<Image>,
    test: &mut Option<usize>,
    faults: &Faults,
    notes: &mut Vec<String>,
) -> Result<()> {
    let Some((first, what)) = faults.first() else { return Ok(()) };
    let (count, all) = (faults.len(), images.len());
    let found = format!("{}: {what} ({count} of {all} images cannot be read)", images[*first].path.display());
    if damaged == Damaged::Refuse {
        return Err(Error::Data(format!("{found}; leave them out with `--set data.damaged=skip`")));
    }
    if count == all {
        return Err(Error::Data(format!("{}: no image can be read; {found}", folder.display())));
    }
    notes.push(format!("left out: {found}"));
    let begin = all - test.unwrap_or(0);
    if let Some(test) = test {
        *test -= faults.iter().filter(|(place, _)| *place >= begin).count();
    }
    let mut place = 0;
    images.retain(|_| {
        place += 1;
        faults.binary_search_by_key(&(place - 1), |(fault, _)| *fault).is_err()
    });
    if *test == Some(images.len()) {
        return Err(Error::Data(format!("{}: no image to train on can be read; {found}", folder.display())));
    }
    Ok(())
}

/// What all images are brought to, or why that is not clear.
fn target(images: &[Image], headers: &[Header], resize: Option<[usize; 2]>, config: &DataConfig) -> Result<Target> {
    let path = |place: usize| images[place].path.display();
    let first = headers[0];
    let [width, height] = resize.unwrap_or([first.width, first.height]);
    let unequal = |header: &Header| match resize {
        None => [header.width, header.height] != [width, height],
        Some(_) => config.fit == Fit::Exact && header.width * height != header.height * width,
    };
    if let Some(place) = headers.iter().position(unequal) {
        let other = headers[place];
        return Err(Error::Data(match resize {
            None => format!(
                "{} has {width}x{height} pixels and {} has {}x{}: bring all to one size with `--set \
                 data.resize={width}x{height}`, and choose data.fit=crop, pad or stretch for other proportions",
                path(0),
                path(place),
                other.width,
                other.height
            ),
            Some(_) => format!(
                "{} has {}x{} pixels, and data.resize = {width}x{height} has other proportions: choose `--set \
                 data.fit=crop`, pad or stretch",
                path(place),
                other.width,
                other.height
            ),
        }));
    }
    let channels = match config.colour {
        Colour::Grey => 1,
        Colour::Rgb => 3,
        Colour::Auto => {
            if let Some(place) = headers.iter().position(|header| header.colour != first.colour) {
                let word = |header: &Header| if header.colour { "has colours" } else { "is grey" };
                return Err(Error::Data(format!(
                    "{} {} and {} {}: choose `--set data.colour=grey` or rgb",
                    path(0),
                    word(&first),
                    path(place),
                    word(&headers[place])
                )));
            }
            if first.colour { 3 } else { 1 }
        }
    };
    Ok(Target { width, height, channels, deep: headers.iter().any(|header| header.deep) })
}

/// Decodes an image and brings it to the target. The outer error ends everything, the inner one is about this file.
fn prepare(image: &Image, target: Target, config: &DataConfig) -> Result<std::result::Result<Values, String>> {
    let picture = match decode::picture(&image.path) {
        Ok(picture) => picture,
        Err(what) => return Ok(Err(what)),
    };
    let behind = match config.background {
        Background::Refuse if picture.is_transparent() => {
            return Err(Error::Data(format!(
                "{} has transparent pixels: say what lies behind them with `--set data.background=black` or white",
                image.path.display()
            )));
        }
        Background::Refuse | Background::Black => 0.0,
        Background::White => 1.0,
    };
    let mut values = Vec::with_capacity(target.values());
    for plane in 0..target.channels {
        let plane = picture.plane(plane, target.channels, behind);
        let (from, to) = ([picture.width, picture.height], [target.width, target.height]);
        values.extend(resample::fit(&plane, from, to, config.fit));
    }
    if target.deep {
        return Ok(Ok(Values::F32(values)));
    }
    Ok(Ok(Values::U8(values.iter().map(|&value| (value * 255.0).round() as u8).collect())))
}

/// How many images are decoded at a time: up to so many, and such that together they take no more than the memory; one
/// takes what it takes.
fn portions(costs: &[u64], at_once: usize, memory: u64) -> Vec<usize> {
    let (mut portions, mut count, mut taken) = (Vec::new(), 0, 0_u64);
    for &cost in costs {
        if count == at_once || count > 0 && taken.saturating_add(cost) > memory {
            portions.push(count);
            (count, taken) = (0, 0);
        }
        (count, taken) = (count + 1, taken.saturating_add(cost));
    }
    portions.extend((count > 0).then_some(count));
    portions
}

/// Decodes images, so many at a time as `portions` says, and hands them over in their order; what cannot be decoded is left out, and said.
fn decode_all(
    images: &[Image],
    target: Target,
    config: &DataConfig,
    portions: &[usize],
    pictures: &mut Pictures,
) -> Result<Faults> {
    let mut all = Faults::new();
    let mut begin = 0;
    for &count in portions {
        let portion = &images[begin..begin + count];
        let prepared = portion.par_iter().map(|image| prepare(image, target, config)).collect::<Result<Vec<_>>>()?;
        let (decoded, faults) = sift(portion, prepared);
        all.extend(faults.into_iter().map(|(place, what)| (begin + place, what)));
        pictures.add(decoded)?;
        begin += count;
    }
    Ok(all)
}

/// Pictures that are prepared alike, in the order of their files.
enum Pictures {
    Memory(Vec<Values>),
    Disk(Scratch),
}

impl Pictures {
    fn add(&mut self, more: Vec<Values>) -> Result<()> {
        match self {
            Self::Memory(all) => all.extend(more),
            Self::Disk(scratch) => {
                for picture in more {
                    match picture {
                        Values::U8(bytes) => scratch.write(&bytes)?,
                        Values::F32(floats) => {
                            scratch.write(&floats.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
                        }
                        Values::Codes(_) | Values::Sparse(_) | Values::Disk(_) => {
                            unreachable!("a picture is decoded in memory, as numbers")
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The pictures of the folder of this name in a new order.
    fn finish(self, name: &str, target: Target, order: &[u32]) -> Result<Values> {
        match self {
            Self::Memory(pictures) => Ok(block(pictures, order)),
            Self::Disk(scratch) => {
                let element =
                    Element::little(if target.deep { elements::ElementType::F32 } else { elements::ElementType::U8 });
                let part = FileRows::unpacked(name, scratch.finish()?, element, order.len());
                Ok(Values::Disk(Disk::new(target.values(), vec![part])?.reordered(order)))
            }
        }
    }
}

/// The pictures in a new order in one block. Each is given up once it is copied, so that all are not in memory twice.
fn block(mut pictures: Vec<Values>, order: &[u32]) -> Values {
    let size = pictures.iter().map(Values::len).sum();
    let mut block = match pictures.first() {
        Some(Values::F32(_)) => Values::F32(Vec::with_capacity(size)),
        _ => Values::U8(Vec::with_capacity(size)),
    };
    for &place in order {
        match (&mut block, std::mem::replace(&mut pictures[place as usize], Values::U8(vec![]))) {
            (Values::U8(block), Values::U8(picture)) => block.extend(picture),
            (Values::F32(block), Values::F32(picture)) => block.extend(picture),
            _ => unreachable!("all pictures of a set are prepared alike"),
        }
    }
    block
}
