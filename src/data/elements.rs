//! Numbers of the types in which files hold them.

use super::Values;
use serde::{Deserialize, Serialize};

/// What can be wrong with numbers, as the text after the name of what holds them.
type Decoded<T> = std::result::Result<T, String>;

/// The types of elements that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ElementType {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

/// How a file stores an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Its type.
    pub kind: ElementType,
    /// Whether its highest byte comes first.
    pub big: bool,
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

impl ElementType {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// What [`Elements`] of this type are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "booleans",
            Self::U8 => "bytes",
            Self::U16 | Self::U32 | Self::U64 | Self::I8 | Self::I16 | Self::I32 | Self::I64 => "integers",
            Self::F32 => "32-bit floats",
            Self::F64 => "64-bit floats",
        }
    }

    /// Whether they are bytes on a device, too, where they are not scaled.
    pub fn is_byte(self) -> bool {
        matches!(self, Self::Bool | Self::U8)
    }
}

impl Element {
    /// Elements of this type, their lowest byte first.
    pub const fn little(kind: ElementType) -> Self {
        Self { kind, big: false }
    }

    /// The elements that bytes stand for.
    ///
    /// # Errors
    /// Which element is none.
    pub fn decode(self, body: &[u8]) -> Decoded<Elements> {
        let big = self.big;
        macro_rules! integers {
            ($kind:ty) => {
                Elements::Int(numbers(body, big, |bytes| i64::from(<$kind>::from_le_bytes(bytes))))
            };
        }
        Ok(match self.kind {
            ElementType::Bool => {
                if let Some(at) = body.iter().position(|&byte| byte > 1) {
                    return Err(format!("element {at} is {}, and booleans are 0 or 1", body[at]));
                }
                Elements::Bool(body.to_vec())
            }
            ElementType::U8 => Elements::U8(body.to_vec()),
            ElementType::U16 => integers!(u16),
            ElementType::U32 => integers!(u32),
            ElementType::I8 => integers!(i8),
            ElementType::I16 => integers!(i16),
            ElementType::I32 => integers!(i32),
            ElementType::I64 => integers!(i64),
            ElementType::U64 => {
                let signed = numbers(body, big, |bytes| i64::try_from(u64::from_le_bytes(bytes)).ok());
                let signed: Option<Vec<i64>> = signed.into_iter().collect();
                Elements::Int(signed.ok_or("an integer is larger than 2^63 - 1; store floats")?)
            }
            ElementType::F32 => Elements::F32(numbers(body, big, f32::from_le_bytes)),
            ElementType::F64 => Elements::F64(numbers(body, big, f64::from_le_bytes)),
        })
    }
}

/// Bytes as numbers.
fn numbers<const N: usize, T>(body: &[u8], big: bool, from: impl Fn([u8; N]) -> T) -> Vec<T> {
    let number = |bytes: &[u8; N]| {
        let mut bytes = *bytes;
        if big {
            bytes.reverse();
        }
        from(bytes)
    };
    body.as_chunks().0.iter().map(number).collect()
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
            Self::Bool(_) => ElementType::Bool.name(),
            Self::U8(_) => ElementType::U8.name(),
            Self::Int(_) => ElementType::I64.name(),
            Self::F32(_) => ElementType::F32.name(),
            Self::F64(_) => ElementType::F64.name(),
        }
    }

    /// Rows of `width` elements in a new order, in the type that the device gets: bytes stay bytes, and false and true
    /// become black and white.
    pub fn stored(&self, width: usize, order: &[u32]) -> Values {
        fn pick<T: Copy, U>(all: &[T], width: usize, order: &[u32], convert: impl Fn(T) -> U) -> Vec<U> {
            let rows = order.iter().flat_map(|&row| &all[row as usize * width..(row as usize + 1) * width]);
            rows.map(|&value| convert(value)).collect()
        }
        match self {
            Self::Bool(all) => Values::U8(pick(all, width, order, |bit| 255 * bit)),
            Self::U8(all) => Values::U8(pick(all, width, order, |byte| byte)),
            Self::Int(all) => Values::F32(pick(all, width, order, |number| number as f32)),
            Self::F32(all) => Values::F32(pick(all, width, order, |number| number)),
            Self::F64(all) => Values::F32(pick(all, width, order, |number| number as f32)),
        }
    }

    /// [`Elements::stored`], without a copy where rows keep their order and type.
    pub fn into_stored(self, width: usize, order: &[u32]) -> Values {
        let all = order.len() * width == self.len();
        let same = all && order.iter().enumerate().all(|(at, &row)| at == row as usize);
        match self {
            Self::U8(bytes) if same => Values::U8(bytes),
            Self::F32(floats) if same => Values::F32(floats),
            other => other.stored(width, order),
        }
    }

    /// Images with their channels last, with the channels before the rows; `shape` is channels, height, width.
    #[must_use]
    pub fn channels_first(self, shape: [usize; 3]) -> Self {
        fn moved<T: Copy>(all: &[T], [channels, height, width]: [usize; 3]) -> Vec<T> {
            let pixels = height * width;
            let image = |image: &[T]| -> Vec<T> {
                (0..channels).flat_map(|c| (0..pixels).map(move |at| at * channels + c)).map(|at| image[at]).collect()
            };
            all.chunks_exact(channels * pixels).flat_map(image).collect()
        }
        match self {
            Self::Bool(all) => Self::Bool(moved(&all, shape)),
            Self::U8(all) => Self::U8(moved(&all, shape)),
            Self::Int(all) => Self::Int(moved(&all, shape)),
            Self::F32(all) => Self::F32(moved(&all, shape)),
            Self::F64(all) => Self::F64(moved(&all, shape)),
        }
    }
}
