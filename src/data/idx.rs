//! IDX, the format of MNIST: `00 00 type dimensions`, each dimension in four bytes, then the values, all big-endian.
//!
//! A header only limits how much is read; memory is taken as bytes arrive, so that no header can ask for too much.
//! Source: the page of the MNIST database of handwritten digits, by `LeCun`, Cortes and Burges.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::disk::{self, Disk};
use super::{Dataset, Request, Values, share};
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
pub fn folder(folder: &Path, request: &Request) -> Result<Dataset> {
    let Some(images) = find(folder, TRAIN_IMAGES)? else {
        return Err(Error::Data(format!(
            "{}: no IDX images in this folder; looked for {TRAIN_IMAGES} and {}, each also with .gz",
            folder.display(),
            dotted(TRAIN_IMAGES)
        )));
    };
    let labels = find(folder, TRAIN_LABELS)?;
    let Some(test_images) = find(folder, TEST_IMAGES)? else {
        return finish(folder, part(images, labels, request)?, None, request);
    };
    let test_labels = find(folder, TEST_LABELS)?;
    if labels.is_some() != test_labels.is_some() {
        let missing = if labels.is_some() { TEST_LABELS } else { TRAIN_LABELS };
        let folder = folder.display();
        return Err(Error::Data(format!("{folder}: {missing} is missing; keep both label files here, or neither")));
    }
    let (train, test) = rayon::join(|| part(images, labels, request), || part(test_images, test_labels, request));
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
pub fn file(images: &Path, request: &Request) -> Result<Dataset> {
    let mut labels = None;
    for candidate in label_names(images) {
        if labels.is_none() && exists(&candidate)? {
            labels = Some(candidate);
        }
    }
    finish(images, part(images.to_owned(), labels, request)?, None, request)
}

/// Reads one IDX file, plain or gzipped; which of the two shows in its first bytes, not in its name.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path.
pub fn read(path: &Path) -> Result<Array> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    decode(file).map_err(complain)
}

/// The array of a file that is to stay there, since it takes more memory than it may. What is packed cannot.
fn large(path: &Path, request: &Request) -> Result<Option<Array>> {
    let found =
        fs::metadata(path).map_err(|error| Error::Data(format!("{}: cannot be opened: {error}", path.display())))?;
    if found.len() <= request.memory() { Ok(None) } else { in_file(path) }
}

/// The array of a plain file, left where it is; nothing where it is packed.
fn in_file(path: &Path) -> Result<Option<Array>> {
    let complain = |what: String| Error::Data(format!("{}: {what}", path.display()));
    let unread = |error: io::Error| complain(format!("cannot be read: {error}"));
    let mut file = File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    let found = file.metadata().map_err(unread)?.len();
    let mut magic = [0; 4];
    file.read_exact(&mut magic).map_err(unread)?;
    if magic.starts_with(&GZIP) {
        return Ok(None);
    }
    let (kind, rank) = header(&magic).map_err(complain)?;
    let mut sizes = vec![0; 4 * rank as usize];
    file.read_exact(&mut sizes).map_err(unread)?;
    let dims: Vec<u32> = words(&sizes).map(u32::from_be_bytes).collect();
    let body = dims.iter().try_fold(kind.bytes(), |bytes, &size| bytes.checked_mul(u64::from(size)));
    let start = 4 + 4 * rank;
    if dims.contains(&0) || body.and_then(|body| body.checked_add(start)) != Some(found) {
        return Err(complain(format!("the header promises values in shape {dims:?}, and the file has {found} bytes")));
    }
    let kind = match kind {
        Kind::U8 => disk::Kind::Bytes,
        Kind::F32 => disk::Kind::BigFloats,
    };
    let dims: Vec<usize> = dims.iter().map(|&size| size as usize).collect();
    let part = disk::Part::open(path, start, dims[0])?;
    let values = Values::Disk(Disk::new(kind, dims[1..].iter().product(), vec![part], None));
    Ok(Some(Array { dims, values }))
}

/// Decodes the bytes of a file.
fn decode(stored: impl Read) -> Decoded<Array> {
    let mut stored = BufReader::with_capacity(1 << 16, stored);
    let start = stored.fill_buf().map_err(|error| format!("cannot be read: {error}"))?;
    if start.starts_with(&GZIP) {
        unpack(MultiGzDecoder::new(stored), |error| match error.kind() {
            ErrorKind::UnexpectedEof => "file is truncated: its gzip data end too early".to_owned(),
            _ => format!("the gzip data are damaged: {error}"),
        })
    } else {
        unpack(stored, |error| format!("cannot be read: {error}"))
    }
}

/// Decodes uncompressed bytes. The buffer grows as they arrive, at most to one more than the header promises: reading
/// on to that one is what shows trailing bytes and makes the gzip decoder compare its checksum.
fn unpack(mut bytes: impl Read, complain: impl Fn(io::Error) -> String) -> Decoded<Array> {
    let mut take = |count: u64| {
        let mut taken = Vec::new();
        bytes.by_ref().take(count).read_to_end(&mut taken).map(|_| taken).map_err(&complain)
    };
    let (kind, rank) = header(&take(4)?)?;
    let sizes = take(4 * rank)?;
    let start = 4 + sizes.len() as u64;
    let truncated =
        |promised, found| Err(format!("file is truncated: header promises {promised} bytes, file has {found}"));
    if start < 4 + 4 * rank {
        return truncated(4 + 4 * rank, start);
    }
    let dims: Vec<u32> = words(&sizes).map(u32::from_be_bytes).collect();
    let text = dims.iter().map(u32::to_string).collect::<Vec<_>>().join(" × ");
    if dims.contains(&0) {
        return Err(format!("there are no values: the header promises {text}"));
    }
    let promised = dims
        .iter()
        .try_fold(kind.bytes(), |bytes, &size| bytes.checked_mul(u64::from(size)))
        .and_then(|bytes| bytes.checked_add(start))
        .ok_or_else(|| format!("the header is damaged: it promises {text} values, more than any file holds"))?;
    let body = take(promised - start + 1)?;
    let found = start + body.len() as u64;
    match found.cmp(&promised) {
        Ordering::Less => truncated(promised, found),
        Ordering::Greater => Err(format!("the file goes on after the {promised} bytes that its header promises")),
        Ordering::Equal => {
            Ok(Array { dims: dims.iter().map(|&size| size as usize).collect(), values: kind.values(body) })
        }
    }
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

/// Reads images and their labels and compares their numbers. Labels are unsigned bytes, and each byte is a class.
fn part(path: PathBuf, labels: Option<PathBuf>, request: &Request) -> Result<Part> {
    let images = match large(&path, request)? {
        Some(large) => large,
        None => read(&path)?,
    };
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
fn finish(source: &Path, train: Part, test: Option<Part>, request: &Request) -> Result<Dataset> {
    let shape = match train.images.dims[1..] {
        [width] => [1, 1, width],
        [height, width] => [1, height, width],
        [channels, height, width] => [channels, height, width],
        _ => return Err(Error::Bug(format!("{}: images of {:?}", train.path.display(), train.images.dims))),
    };
    let (mut values, mut labels) = (train.images.values, train.labels);
    let mut tested = share(train.images.dims[0], request.config.test);
    if let Some(test) = test {
        tested = test.images.dims[0];
        let (train_dims, test_dims) = (&train.images.dims[1..], &test.images.dims[1..]);
        match (&mut values, test.images.values) {
            // A small test part beside a large training part goes to it, and stays in its file, too.
            (Values::Disk(disk), more) if train_dims == test_dims => {
                let more = match more {
                    Values::Disk(_) => Some(more),
                    _ => in_file(&test.path)?.map(|array| array.values),
                };
                if !matches!(&more, Some(Values::Disk(more)) if disk.append(more)) {
                    return Err(Error::Data(format!(
                        "{}: it is stored in another way than {}, which is too large for data.memory; unpack it",
                        test.path.display(),
                        train.path.display()
                    )));
                }
            }
            (Values::U8(values), Values::U8(more)) if train_dims == test_dims => values.extend(more),
            (Values::F32(values), Values::F32(more)) if train_dims == test_dims => values.extend(more),
            _ => {
                return Err(Error::Data(format!(
                    "{}: shape {test_dims:?} or type of values differs from {} with {train_dims:?}",
                    test.path.display(),
                    train.path.display(),
                )));
            }
        }
        if let (Some(labels), Some(more)) = (&mut labels, test.labels) {
            labels.extend(more);
        }
    }
    Dataset::new(&source.display().to_string(), shape, values, labels, tested, request.config.validation)
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
