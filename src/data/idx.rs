//! IDX, the format of MNIST: `00 00 type dimensions`, each dimension in four bytes, then the values, all big-endian.
//!
//! A header only limits how much is read.
//! Source: the page of the MNIST database of handwritten digits, by `LeCun`, Cortes and Burges.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::body::Body;
use super::cells::Cells;
use super::disk::{Disk, FileRows};
use super::elements::{self, Element};
use super::pictures::{self, Source};
use super::{Dataset, Format, Labels, ReadOptions, Values};
use crate::error::{Error, Result};

/// The file that a folder must have.
pub const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// The bytes that every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What can be wrong inside a file, as the text after its name.
type Decoded<T> = std::result::Result<T, String>;

/// The content of one IDX file.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// One to four dimensions, none of them zero.
    pub dims: Vec<usize>,
    /// Row-major, as many as the product of the dimensions.
    pub values: Values,
}

/// Images and, where there are any, their labels; `path` is that of the images.
struct Part {
    path: PathBuf,
    images: Array,
    labels: Option<Vec<u32>>,
}

/// Opens a folder with the MNIST names, each also with `.gz` and with a dot for the second dash.
///
/// The `t10k` files are the test part; without them it is the share `data.test` at the end. Labels are optional, but all or none.
///
/// # Errors
/// [`Error::Data`] where files are missing, malformed or do not belong together, [`Error::Usage`] where validation
/// would leave nothing to train on.
pub fn folder(folder: &Path, request: &ReadOptions) -> Result<Dataset> {
    let Some(images) = find(folder, TRAIN_IMAGES)? else {
        return Err(Error::Data(format!(
            "{}: no IDX images in this folder; looked for {TRAIN_IMAGES} and {}, each also with .gz",
            folder.display(),
            dotted(TRAIN_IMAGES)
        )));
    };
    let labels = find(folder, TRAIN_LABELS)?;
    let Some(test_images) = find(folder, TEST_IMAGES)? else {
        let large = promised(&images) > request.memory();
        return finish(folder, part(images, labels, large)?, None, request);
    };
    let test_labels = find(folder, TEST_LABELS)?;
    if labels.is_some() != test_labels.is_some() {
        let missing = if labels.is_some() { TEST_LABELS } else { TRAIN_LABELS };
        let folder = folder.display();
        return Err(Error::Data(format!("{folder}: {missing} is missing; keep both label files here, or neither")));
    }
    let large = promised(&images).saturating_add(promised(&test_images)) > request.memory();
    let (train, test) = rayon::join(|| part(images, labels, large), || part(test_images, test_labels, large));
    finish(folder, train?, Some(test?), request)
}

/// Whether a folder holds files under the MNIST names.
///
/// # Errors
/// [`Error::Data`] where the folder may not be searched.
pub fn is_in(folder: &Path) -> Result<bool> {
    Ok(find(folder, TRAIN_IMAGES)?.is_some())
}

/// Opens one file of images; the share `data.test` at its end becomes the test part. Labels come from the file beside it that
/// has `labels` for `images` in its name, where there is one.
///
/// # Errors
/// As [`folder`].
pub fn file(images: &Path, request: &ReadOptions) -> Result<Dataset> {
    let mut labels = None;
    for candidate in label_names(images) {
        if labels.is_none() && exists(&candidate)? {
            labels = Some(candidate);
        }
    }
    let large = promised(images) > request.memory();
    finish(images, part(images.to_owned(), labels, large)?, None, request)
}

/// Reads one IDX file, plain or gzipped; which of the two shows in its first bytes, not in its name.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path.
pub fn read(path: &Path) -> Result<Array> {
    decode(File::open(path).map_err(|error| unopened(path, &error))?).map_err(|what| wrong(path, &what))
}

fn wrong(path: &Path, what: &str) -> Error {
    Error::Data(format!("{}: {what}", path.display()))
}

fn unopened(path: &Path, error: &io::Error) -> Error {
    wrong(path, &format!("cannot be opened: {error}"))
}

/// Bytes of the values that the header of a file promises; 0 where it cannot be read, which is told when the file is.
fn promised(path: &Path) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    let start = Stored::open(file).and_then(|mut stored| stored.start());
    start.map_or(0, |start| start.body.end - start.body.start)
}

/// The array of a file that is to stay there, since it takes more memory than it may. What is packed is unpacked, but
/// not into memory.
fn on_disk(path: &Path) -> Result<Array> {
    let file = File::open(path).map_err(|error| unopened(path, &error))?;
    let length = file.metadata().map_err(|error| unopened(path, &error))?.len();
    let mut stored = Stored::open(file).map_err(|what| wrong(path, &what))?;
    let Start { kind, dims, body } = stored.start().map_err(|what| wrong(path, &what))?;
    let element = match kind {
        Kind::U8 => Element::little(elements::ElementType::U8),
        Kind::F32 => Element { kind: elements::ElementType::F32, big: true },
    };
    let part = if let Stored::Packed(_) = stored {
        let (name, complain) = (path.display().to_string(), stored.complaint());
        FileRows::unpacked(&name, body.unpack(stored.bytes(), complain, &name)?, element, dims[0])
    } else {
        body.check(length).map_err(|what| wrong(path, &what))?;
        FileRows::open(path, element, body.start, dims[0])?
    };
    Ok(Array { values: Values::Disk(Disk::new(dims[1..].iter().product(), vec![part])?), dims })
}

/// The bytes of a file, unpacked where they are packed.
enum Stored<R: Read> {
    Plain(BufReader<R>),
    Packed(MultiGzDecoder<BufReader<R>>),
}

/// What comes before the values.
struct Start {
    kind: Kind,
    dims: Vec<usize>,
    body: Body,
}

impl<R: Read> Stored<R> {
    fn open(stored: R) -> Decoded<Self> {
        let mut stored = BufReader::with_capacity(1 << 16, stored);
        let start = stored.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
        let packed = start.starts_with(&GZIP);
        Ok(if packed { Self::Packed(MultiGzDecoder::new(stored)) } else { Self::Plain(stored) })
    }

    fn bytes(&mut self) -> &mut dyn Read {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Packed(bytes) => bytes,
        }
    }

    /// What went wrong while bytes were read.
    fn complaint(&self) -> fn(io::Error) -> String {
        match self {
            Self::Plain(_) => |error| format!("cannot be read: {error}"),
            Self::Packed(_) => |error| match error.kind() {
                ErrorKind::UnexpectedEof => "file is truncated: its gzip data end too early".to_owned(),
                ErrorKind::OutOfMemory => "there is no memory for what its gzip data hold".to_owned(),
                _ => format!("the gzip data are damaged: {error}"),
            },
        }
    }

    /// Reads the header.
    fn start(&mut self) -> Decoded<Start> {
        let complain = self.complaint();
        let mut take = |count: u64| {
            let mut taken = Vec::new();
            self.bytes().take(count).read_to_end(&mut taken).map(|_| taken).map_err(complain)
        };
        let (kind, rank) = header(&take(4)?)?;
        let sizes = take(4 * rank)?;
        let start = 4 + sizes.len() as u64;
        if start < 4 + 4 * rank {
            Body { start, end: 4 + 4 * rank }.check(start)?;
        }
        let dims: Vec<u32> = words(&sizes).map(u32::from_be_bytes).collect();
        let text = dims.iter().map(u32::to_string).collect::<Vec<_>>().join(" × ");
        if dims.contains(&0) {
            return Err(format!("there are no values: the header promises {text}"));
        }
        let end = dims
            .iter()
            .try_fold(kind.bytes(), |bytes, &size| bytes.checked_mul(u64::from(size)))
            .and_then(|bytes| bytes.checked_add(start))
            .ok_or_else(|| format!("the header is damaged: it promises {text} values, more than any file holds"))?;
        Ok(Start { kind, dims: dims.iter().map(|&size| size as usize).collect(), body: Body { start, end } })
    }
}

/// Decodes the bytes of a file.
fn decode(stored: impl Read) -> Decoded<Array> {
    let mut stored = Stored::open(stored)?;
    let Start { kind, dims, body } = stored.start()?;
    let complain = stored.complaint();
    Ok(Array { dims, values: kind.values(body.read(stored.bytes(), complain)?) })
}

/// Groups of four bytes.
fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.as_chunks().0.iter().copied()
}

/// The types of values that are read.
#[derive(Clone, Copy)]
enum Kind {
    U8,
    F32,
}

impl Kind {
    fn bytes(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
        }
    }

    fn values(self, body: Vec<u8>) -> Values {
        match self {
            Self::U8 => Values::U8(body),
            Self::F32 => Values::F32(words(&body).map(f32::from_be_bytes).collect()),
        }
    }
}

/// The type of the values and the number of dimensions, from the first four bytes.
fn header(magic: &[u8]) -> Decoded<(Kind, u64)> {
    let &[0, 0, kind, rank] = magic else {
        let found = magic.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let found = if found.is_empty() { "is empty".to_owned() } else { format!("begins with {found}") };
        return Err(format!("this is no IDX file: it {found}, images begin with 00 00 08 03"));
    };
    let kind = match kind {
        0x08 => Kind::U8,
        0x0d => Kind::F32,
        _ => {
            return Err(format!(
                "values of IDX type {kind:#04x} are not supported; store unsigned bytes (0x08) or 32-bit floats (0x0d)"
            ));
        }
    };
    match rank {
        1..=4 => Ok((kind, u64::from(rank))),
        _ => Err(format!("{rank} dimensions are not supported; images have 2 to 4, labels have 1")),
    }
}

/// Reads images, or leaves them on the disk where they are `large`, and their labels, and compares their numbers. Labels
/// are unsigned bytes, and each byte is a class.
fn part(path: PathBuf, labels: Option<PathBuf>, large: bool) -> Result<Part> {
    let images = if large { on_disk(&path)? } else { read(&path)? };
    if images.dims.len() == 1 {
        return Err(Error::Data(format!(
            "{}: this file has 1 dimension, as labels have; images have 2 to 4 (examples × height × width)",
            path.display()
        )));
    }
    let Some(labels_path) = labels else { return Ok(Part { path, images, labels: None }) };
    let labels = read(&labels_path)?;
    let complain = |what: String| Err(Error::Data(format!("{}: {what}", labels_path.display())));
    if labels.dims.len() != 1 {
        return complain(format!("labels have 1 dimension, this file has {}", labels.dims.len()));
    }
    let Values::U8(classes) = labels.values else {
        return complain("labels are unsigned bytes (IDX type 0x08), this file has floats".to_owned());
    };
    if classes.len() != images.dims[0] {
        let (labels, images) = (classes.len(), images.dims[0]);
        return complain(format!("{labels} labels, but {} has {images} images", path.display()));
    }
    Ok(Part { path, images, labels: Some(classes.into_iter().map(u32::from).collect()) })
}

/// Joins the parts in one block. Without a test part it is a share at the end of the only one.
fn finish(source: &Path, train: Part, test: Option<Part>, request: &ReadOptions) -> Result<Dataset> {
    let shape = match train.images.dims[1..] {
        [width] => [1, 1, width],
        [height, width] => [1, height, width],
        [channels, height, width] => [channels, height, width],
        _ => return Err(Error::Bug(format!("{}: images of {:?}", train.path.display(), train.images.dims))),
    };
    let (mut values, mut labels) = (train.images.values, train.labels);
    let mut tested = request.config.share_of(train.images.dims[0], request.config.test);
    if let Some(test) = test {
        tested = test.images.dims[0];
        let (train_dims, test_dims) = (&train.images.dims[1..], &test.images.dims[1..]);
        values = match (values, test.images.values) {
            (Values::Disk(disk), Values::Disk(more)) if train_dims == test_dims => Values::Disk(disk.append(more)?),
            (Values::U8(all), Values::U8(more)) if train_dims == test_dims => Values::U8([all, more].concat()),
            (Values::F32(all), Values::F32(more)) if train_dims == test_dims => Values::F32([all, more].concat()),
            _ => {
                return Err(Error::Data(format!(
                    "{}: shape {test_dims:?} or type of values differs from {} with {train_dims:?}",
                    test.path.display(),
                    train.path.display(),
                )));
            }
        };
        if let (Some(labels), Some(more)) = (&mut labels, test.labels) {
            labels.extend(more);
        }
    }
    let cells = Cells::of(values);
    let order: Vec<u32> = (0..cells.rows(shape.iter().product()) as u32).collect();
    let labels = labels.map(|of| Labels { of, names: None });
    let name = source.display().to_string();
    let (format, table, rows) = (Format::Idx, false, None);
    pictures::dataset(Source { name: &name, format, shape, cells, table, order, tested, rows, labels }, request)
}

/// The first of the four spellings of `name` that is a file in `folder`.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for name in [name, &dotted(name)] {
        for end in ["", ".gz"] {
            let path = folder.join(format!("{name}{end}"));
            if exists(&path)? {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// `train-images-idx3-ubyte` as it is also found: `train-images.idx3-ubyte`.
fn dotted(name: &str) -> String {
    name.replace("-idx", ".idx")
}

/// What the labels of a file of images may be called.
fn label_names(images: &Path) -> Vec<PathBuf> {
    let Some(name) = images.file_name().and_then(|name| name.to_str()).filter(|name| name.contains("images")) else {
        return Vec::new();
    };
    let name = name.replace("images", "labels");
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let classic = ["idx2", "idx3", "idx4"].iter().fold(plain.to_owned(), |name, rank| name.replace(rank, "idx1"));
    [plain, &classic]
        .iter()
        .flat_map(|name| [images.with_file_name(name), images.with_file_name(format!("{name}.gz"))])
        .collect()
}

/// Whether there is a file. A folder that may not be searched is an error and not an absence.
fn exists(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(Error::Data(format!("{}: cannot be opened: {error}", path.display()))),
    }
}
