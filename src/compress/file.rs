//! The file: what a decoder has to be told, and the words of the coder.
//!
//! | bytes | what, all numbers little-endian |
//! |---|---|
//! | 8 | `elbocomp` |
//! | 4, 4 | version of the format; kind: 0 bits back, 1 latents in steps, 2 codes |
//! | 8, 8 | of the model: hash of its parameters; of the arithmetic: checksum of a probe, 0 where it does not matter |
//! | 4, 4, 4 | channels, height, width of an example |
//! | 8, 8 | examples; checksum of what comes out |
//! | 4, and as many bytes | what the kind wants to know: nothing; step (f64), largest step from 0 (u32), a byte for each dimension; codes (u32) |
//! | 8, 8, 4 each | words of the fixed supply; state; words to the end of the file but the last 8 bytes |
//! | 8 | checksum of all before |

use super::ans::Ans;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"elbocomp";
/// Raised whenever what an older program would read means something else, which includes every change of [`super::portable`].
const VERSION: u32 = 2;
/// Bytes of a checksum.
const CHECKSUM: usize = 8;

/// How examples were compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without loss, by bits-back coding.
    BitsBack,
    /// Latents that were rounded.
    Latents,
    /// Codes of a codebook.
    Codes,
}

const KINDS: [Kind; 3] = [Kind::BitsBack, Kind::Latents, Kind::Codes];

/// A file of compressed examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// How they were compressed.
    pub kind: Kind,
    /// The hash of the model's parameters.
    pub model: u64,
    /// The checksum of what the model puts out for a fixed example, by the arithmetic of who wrote it.
    pub probe: u64,
    /// Channels, height and width of an example.
    pub shape: [u32; 3],
    /// Examples.
    pub count: u64,
    /// The checksum of what comes out.
    pub content: u64,
    /// What the kind wants to know.
    pub about: Vec<u8>,
    /// Words of the fixed supply among the words.
    pub borrowed: u64,
    /// The state of the coder.
    pub state: u64,
    /// The stack below it.
    pub words: Vec<u32>,
}

/// The first bytes of the SHA-256 of bytes, as a number.
pub fn checksum(bytes: &[u8]) -> u64 {
    first(Sha256::digest(bytes).into())
}

/// The first bytes of a SHA-256, as a number.
pub fn first(hash: [u8; 32]) -> u64 {
    hash.iter().take(CHECKSUM).rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Reads numbers off the beginning of bytes; none where there are too few.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }
}

impl File {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = KINDS.iter().position(|&kind| kind == self.kind).unwrap_or(0) as u32;
        let mut bytes = MAGIC.to_vec();
        bytes.extend([VERSION, kind].iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend([self.model, self.probe].iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(self.shape.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend([self.count, self.content].iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend((self.about.len() as u32).to_le_bytes());
        bytes.extend(&self.about);
        bytes.extend([self.borrowed, self.state].iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(checksum(&bytes).to_le_bytes());
        bytes
    }

    /// The file of these bytes; messages begin with `name`.
    ///
    /// # Errors
    /// [`Error::Data`] where it is none, of another version, or damaged.
    pub fn of(name: &str, bytes: &[u8]) -> Result<Self> {
        let wrong = |why: &str| Error::Data(format!("{name}: {why}"));
        if !bytes.starts_with(MAGIC) {
            return Err(wrong("this is no file that elbo compress wrote"));
        }
        let version = Reader(&bytes[MAGIC.len()..]).u32().ok_or_else(|| wrong("the file is truncated"))?;
        let whole = bytes
            .len()
            .checked_sub(CHECKSUM)
            .filter(|&end| end >= MAGIC.len() && bytes[end..] == checksum(&bytes[..end]).to_le_bytes());
        let Some(end) = whole else {
            return Err(wrong("the file is truncated or damaged: its checksum is another; get it once more"));
        };
        if version != VERSION {
            return Err(wrong(&format!(
                "the file is of format {version}, and this elbo reads {VERSION}: use the one that wrote it"
            )));
        }
        Self::parsed(&bytes[MAGIC.len() + 4..end]).ok_or_else(|| wrong("the file's header makes no sense"))
    }

    /// The file of what follows its version, without its checksum.
    fn parsed(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let kind = *KINDS.get(reader.u32()? as usize)?;
        let (model, probe) = (reader.u64()?, reader.u64()?);
        let shape = [reader.u32()?, reader.u32()?, reader.u32()?];
        let (count, content) = (reader.u64()?, reader.u64()?);
        let about = reader.u32()? as usize;
        let about = reader.bytes(about)?.to_vec();
        let (borrowed, state) = (reader.u64()?, reader.u64()?);
        let (words, rest) = reader.0.as_chunks();
        let words = words.iter().map(|&word| u32::from_le_bytes(word)).collect();
        rest.is_empty().then_some(Self { kind, model, probe, shape, count, content, about, borrowed, state, words })
    }

    /// The coder as it was left.
    ///
    /// # Errors
    /// [`Error::Data`] where its state is none.
    pub fn coder(&self) -> Result<Ans> {
        Ans::decoder(self.state, self.words.clone()).ok_or_else(|| damaged("its coder has no such state"))
    }

    /// Checks that it is of a model: of its parameters, its examples, and where it matters of its arithmetic.
    ///
    /// # Errors
    /// [`Error::Data`] that says what is another.
    pub fn check_model(&self, model: u64, shape: [usize; 3], probe: u64) -> Result<()> {
        if self.shape.map(|extent| extent as usize) != shape {
            return Err(Error::Data(format!(
                "the file holds examples of shape {:?}, and those of this run have {shape:?} (channels, height, width): name \
                 the run that it was compressed with",
                self.shape
            )));
        }
        if self.model != model {
            return Err(Error::Data(format!(
                "the file was compressed with another model: its parameters have the hash {:016x}, those of this run \
                 {model:016x}; name the run, and the checkpoint in it, that compressed it",
                self.model
            )));
        }
        if self.probe != probe {
            return Err(Error::Data(format!(
                "the model puts out other numbers here than where the file was written (their checksum is {probe:016x} \
                 and was {:016x}): its configuration or the arithmetic of this machine is another, and what came out would be \
                 nonsense",
                self.probe
            )));
        }
        Ok(())
    }
}

/// What is said where a whole file does not hold what it should.
pub(super) fn damaged(why: &str) -> Error {
    Error::Data(format!("the file cannot be decompressed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File {
            kind: Kind::Latents,
            model: 0x0123_4567_89ab_cdef,
            probe: 7,
            shape: [3, 32, 64],
            count: 5,
            content: u64::MAX,
            about: vec![1, 2, 3],
            borrowed: 2,
            state: 1 << 40,
            words: vec![4, 5, 0xffff_ffff],
        }
    }

    #[test]
    fn files_come_back() {
        for kind in KINDS {
            let file = File { kind, ..file() };
            assert_eq!(File::of("x.elbo", &file.to_bytes()), Ok(file));
        }
        let empty = File { about: vec![], words: vec![], ..file() };
        assert_eq!(File::of("x.elbo", &empty.to_bytes()), Ok(empty));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_one_line_that_names_the_file() {
        let bytes = file().to_bytes();
        let refused = |bytes: &[u8], what: &str| {
            let error = File::of("some/x.elbo", bytes).expect_err(what);
            let text = error.to_string();
            assert_eq!(error.exit_code(), 3, "{what}: {text}");
            assert!(text.starts_with("some/x.elbo: ") && !text.contains('\n'), "{what}: {text}");
        };
        (0..bytes.len()).for_each(|end| refused(&bytes[..end], &format!("the first {end} bytes")));
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut other = bytes.clone();
                other[at] ^= flip;
                refused(&other, &format!("byte {at} ^ {flip}"));
            }
        }
        refused(&[&bytes[..], &[0]].concat(), "a byte more");
    }

    /// Headers that whoever wrote them gave a good checksum.
    #[test]
    fn headers_that_lie_take_no_memory() {
        let sealed = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - CHECKSUM);
            bytes
        };
        let body = sealed(file().to_bytes());
        for (at, number, reason) in [(8, 1, "format 1"), (12, 3, "makes no sense"), (60, u32::MAX, "makes no sense")] {
            let mut bytes = body.clone();
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            bytes.extend(checksum(&bytes).to_le_bytes());
            let text = File::of("x", &bytes).unwrap_err().to_string();
            assert!(text.contains(reason), "{at}: {text}");
        }
    }
}
