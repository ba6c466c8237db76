//! The manifest: what a checkpoint's files must be, to the byte.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The manifest's name in the checkpoint's folder.
pub(super) const FILE: &str = "manifest.json";
/// Raised whenever an older program could misread what a newer one wrote.
const FORMAT: u32 = 1;
/// No manifest comes near this; a file that is larger is something else.
const SIZE_CAP: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// Which program wrote this, for people.
    program: String,
    files: Vec<Entry>,
    /// SHA-256 of this manifest with an empty text here.
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    name: String,
    bytes: u64,
    sha256: String,
}

impl Entry {
    /// That of a file of this content.
    pub(super) fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

/// The manifest of these files.
pub(super) fn of(files: Vec<Entry>) -> Result<Vec<u8>> {
    let program = concat!("elbo ", env!("CARGO_PKG_VERSION")).to_string();
    seal(Manifest { format: FORMAT, program, files, sha256: String::new() })
}

/// The manifest of files with this content.
#[cfg(test)]
pub(super) fn of_files(files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    of(files.iter().map(|(name, bytes)| Entry::of(name, bytes)).collect())
}

/// The contents of the files of these names, each found to be what the manifest says.
pub(super) fn read_verified<const N: usize>(folder: &Path, names: [&str; N]) -> Result<[Vec<u8>; N]> {
    let manifest = read(folder)?;
    let mut contents = [const { Vec::new() }; N];
    for (content, name) in contents.iter_mut().zip(names) {
        let Some(entry) = manifest.files.iter().find(|entry| entry.name == name) else {
            return Err(Error::Data(format!("{} does not list {name}", folder.join(FILE).display())));
        };
        *content = read_entry(&folder.join(name), entry)?;
    }
    Ok(contents)
}

fn read(folder: &Path) -> Result<Manifest> {
    /// All that is certain about a manifest of another version.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let path = folder.join(FILE);
    let damaged = || Error::Data(format!("{} is damaged", path.display()));
    if file_size(&path)? > SIZE_CAP {
        return Err(damaged());
    }
    let bytes = read_at_most(&path, SIZE_CAP)?;
    let Version { format } = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    if format != FORMAT {
        let path = path.display();
        return Err(Error::Data(format!("{path} is of format {format}, this elbo reads {FORMAT}: use a newer elbo")));
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    // Writing it once more must give the same bytes: this covers the hash, and every blank.
    let files = manifest.files.iter().map(|e| Entry { name: e.name.clone(), bytes: e.bytes, sha256: e.sha256.clone() });
    let again = Manifest { format, program: manifest.program.clone(), files: files.collect(), sha256: String::new() };
    if seal(again)? == bytes { Ok(manifest) } else { Err(damaged()) }
}

/// The manifest as bytes, its own hash filled in.
fn seal(mut manifest: Manifest) -> Result<Vec<u8>> {
    let render = |m: &Manifest| serde_json::to_vec_pretty(m).map_err(|e| Error::Bug(e.to_string()));
    manifest.sha256 = String::new();
    manifest.sha256 = sha256(&render(&manifest)?);
    render(&manifest)
}

fn read_entry(path: &Path, entry: &Entry) -> Result<Vec<u8>> {
    let (promised, found) = (entry.bytes, file_size(path)?);
    if promised != found {
        let what = if found < promised { "is truncated" } else { "is too long" };
        let path = path.display();
        return Err(Error::Data(format!("{path} {what}: the manifest says {promised} bytes, the file has {found}")));
    }
    let bytes = read_at_most(path, promised)?;
    if sha256(&bytes) != entry.sha256 {
        return Err(Error::Data(format!("{} is damaged: its SHA-256 is not the manifest's", path.display())));
    }
    Ok(bytes)
}

fn file_size(path: &Path) -> Result<u64> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(found.len()),
        Ok(_) => Err(Error::Data(format!("{} is not a file", path.display()))),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(Error::Data(format!("{} is missing", path.display()))),
        Err(e) => Err(Error::Data(format!("cannot read {}: {e}", path.display()))),
    }
}

fn read_at_most(path: &Path, size: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(size).read_to_end(&mut bytes));
    read.map_err(|e| Error::Data(format!("cannot read {}: {e}", path.display())))?;
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
