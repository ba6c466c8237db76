//! What can go wrong, in the classes that a program calling `elbo` can tell apart by exit code.

use thiserror::Error as ThisError;

/// An error whose text is one clear line: it names the file, flag or tensor, what was expected and what to do.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The program contradicts itself; nobody's input explains it.
    #[error("internal error: {0} (this is a bug in elbo, please report it)")]
    Bug(String),
    /// A flag, a key of a recipe, or a combination of them makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The data, or a run folder that was to be read, are missing or malformed.
    #[error("{0}")]
    Data(String),
    /// The loss is no longer a finite number.
    #[error("{0}")]
    Diverged(String),
    /// No adapter fits, or the device failed.
    #[error("{0}")]
    Device(String),
    /// Writing failed: no permission, no space.
    #[error("{0}")]
    Disk(String),
    /// Stopped on request after a good checkpoint was written.
    #[error("{0}")]
    Interrupted(String),
}

impl Error {
    /// The exit code of the process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Bug(_) => 1,
            Self::Usage(_) => 2,
            Self::Data(_) => 3,
            Self::Diverged(_) => 4,
            Self::Device(_) => 5,
            Self::Disk(_) => 6,
            Self::Interrupted(_) => 130,
        }
    }

    /// The error with an exit code and a text, as another process had it.
    pub fn of_code(code: u32, text: String) -> Self {
        match code {
            2 => Self::Usage(text),
            3 => Self::Data(text),
            4 => Self::Diverged(text),
            5 => Self::Device(text),
            6 => Self::Disk(text),
            130 => Self::Interrupted(text),
            _ => Self::Bug(text),
        }
    }
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;
