//! Data sets by name: fetched once, from one of two mirrors, into the user's cache folder.
//!
//! What arrives is compared with a checksum before it gets its name, and again whenever it is used, so it does not
//! matter who sent it. Only the transport stands behind the feature `download`.

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Dataset, ReadOptions, hex, idx};
use crate::durable;
use crate::error::{Error, Result};

/// A data set that can be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// What it is called.
    pub name: &'static str,
    /// Addresses of folders that hold the files.
    mirrors: &'static [&'static str],
    files: &'static [File],
}

/// A file of a data set.
#[derive(Debug, Clone, Copy)]
struct File {
    name: &'static str,
    bytes: u64,
    /// SHA-256 in hex.
    sum: &'static str,
}

/// What is being fetched, for a bar: the file, the bytes that have arrived, and those that will.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// Takes the place of the mirrors. The checksums hold for it too, so it changes no result.
const MIRROR: &str = "ELBO_MIRROR";

/// The data sets. Sizes and sums are those that TensorFlow Datasets records for the originals.
pub const SOURCES: [Source; 2] = [
    Source {
        name: "mnist",
        mirrors: &[
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ],
        files: &[
            File {
                name: "train-images-idx3-ubyte.gz",
                bytes: 9_912_422,
                sum: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            },
            File {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 28_881,
                sum: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            },
            File {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 1_648_877,
                sum: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            },
            File {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 4_542,
                sum: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            },
        ],
    },
    Source {
        name: "fashion-mnist",
        mirrors: &[
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ],
        files: &[
            File {
                name: "train-images-idx3-ubyte.gz",
                bytes: 26_421_880,
                sum: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            },
            File {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 29_515,
                sum: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            },
            File {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 4_422_102,
                sum: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            },
            File {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 5_148,
                sum: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            },
        ],
    },
];

/// The data set of this name, where there is one.
pub fn source(name: &str) -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.name == name)
}

/// Opens a data set by name; what is not in the cache yet is fetched.
///
/// # Errors
/// [`Error::Data`] where no mirror can be reached or none has the right bytes: it says where to put the files.
/// [`Error::Disk`] where they cannot be kept.
pub fn dataset(source: &Source, request: &ReadOptions) -> Result<Dataset> {
    let folder = ensure(source, &mut |_, _, _| {})?;
    let data = idx::folder(&folder, request)?;
    Ok(Dataset { name: source.name.to_owned(), ..data })
}

/// Sees to it that the files of a data set are in the cache, and says where.
///
/// # Errors
/// As [`dataset`].
pub fn ensure(source: &Source, progress: Progress) -> Result<PathBuf> {
    let cache = durable::cache().ok_or_else(|| {
        Error::Disk("there is no home folder to keep data in; name a folder that holds them: --data FOLDER".into())
    })?;
    let folder = cache.join(source.name);
    let own = std::env::var(MIRROR).ok();
    let mirrors: Vec<&str> = own.as_deref().map_or(source.mirrors.to_vec(), |own| vec![own]);
    fetch(source, &mirrors, &folder, progress)?;
    Ok(folder)
}

/// Fetches what is missing in a folder.
fn fetch(source: &Source, mirrors: &[&str], folder: &Path, progress: Progress) -> Result<()> {
    for file in source.files {
        if is_there(file, source, folder)? {
            continue;
        }
        let mut reasons = String::new();
        let bytes = mirrors.iter().find_map(|mirror| {
            let found = transport::get(&format!("{mirror}{}", file.name), file, progress);
            found
                .and_then(|bytes| verify(file, &bytes).map(|()| bytes))
                .map_err(|why| note(&mut reasons, mirror, &why))
                .ok()
        });
        let Some(bytes) = bytes else {
            return Err(Error::Data(format!(
                "{}: {} could not be fetched ({reasons}); put {} into {}, as their authors give them out, or name any \
                 folder that holds them: --data FOLDER",
                source.name,
                file.name,
                names(source),
                folder.display()
            )));
        };
        durable::create_folder(folder)?;
        durable::replace_file(&folder.join(file.name), &bytes)?;
    }
    Ok(())
}

/// Adds why a mirror did not help.
fn note(reasons: &mut String, mirror: &str, why: &str) {
    let host = mirror.split('/').nth(2).unwrap_or(mirror);
    let between = if reasons.is_empty() { "" } else { "; " };
    let _ = write!(reasons, "{between}{host}: {why}");
}

/// Whether a file is in the cache, and whole.
fn is_there(file: &File, source: &Source, folder: &Path) -> Result<bool> {
    let path = folder.join(file.name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
        Err(error) => return Err(Error::Data(format!("{}: cannot be opened: {error}", path.display()))),
    };
    match verify(file, &bytes) {
        Ok(()) => Ok(true),
        Err(why) => Err(Error::Data(format!(
            "{}: this is not the file that belongs to {}: {why}; delete it to have it fetched, or name the folder if you \
             mean it: --data {}",
            path.display(),
            source.name,
            folder.display()
        ))),
    }
}

fn verify(file: &File, bytes: &[u8]) -> std::result::Result<(), String> {
    if bytes.len() as u64 != file.bytes {
        return Err(format!("it has {} bytes, and should have {}", bytes.len(), file.bytes));
    }
    let found = hex(Sha256::new().chain_update(bytes));
    if found == file.sum { Ok(()) } else { Err(format!("its SHA-256 is {found}, and should be {}", file.sum)) }
}

fn names(source: &Source) -> String {
    source.files.iter().map(|file| file.name).collect::<Vec<_>>().join(", ")
}

/// HTTPS.
#[cfg(feature = "download")]
mod transport {
    use super::{File, Progress};
    use std::io::Read;
    use std::time::Duration;

    /// Bytes between two reports of progress.
    const PORTION: u64 = 1 << 16;

    /// Fetches a file, and no more of it than it should have.
    ///
    /// # Errors
    /// What went wrong, in words: it becomes part of a longer line.
    pub fn get(address: &str, file: &File, progress: Progress) -> Result<Vec<u8>, String> {
        let config = ureq::Agent::config_builder()
            .timeout_resolve(Some(Duration::from_secs(15)))
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_send_request(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_recv_body(Some(Duration::from_secs(1800)))
            .build();
        let agent = ureq::Agent::new_with_config(config);
        let mut response = agent.get(address).call().map_err(|error| error.to_string())?;
        let mut body = response.body_mut().with_config().limit(file.bytes + 1).reader();
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            let portion = body.by_ref().take(PORTION).read_to_end(&mut bytes);
            portion.map_err(|error| format!("the connection broke: {error}"))?;
            if bytes.len() == before {
                return Ok(bytes);
            }
            progress(file.name, bytes.len() as u64, file.bytes);
        }
    }
}

/// A build that fetches nothing.
#[cfg(not(feature = "download"))]
mod transport {
    use super::{File, Progress};

    pub fn get(_: &str, _: &File, _: Progress) -> Result<Vec<u8>, String> {
        Err("this build was made without downloads".into())
    }
}
