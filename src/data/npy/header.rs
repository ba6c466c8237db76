//! The header of an `.npy` file: a dictionary of three keys, as Python prints it.

use super::Decoded;
use crate::data::body::Body;
use crate::data::elements::{Element, ElementType};

/// The longest header that is read. `NumPy` writes 118 bytes, and itself refuses more than 10,000.
pub const MAX_HEADER: u64 = 10_000;

/// The most dimensions that `NumPy` knows.
const MAX_DIMENSIONS: usize = 64;

/// What follows the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How elements are stored.
    pub element: Element,
    /// Whether the first index runs fastest, not the last.
    pub fortran: bool,
    /// The extents.
    pub dims: Vec<usize>,
}

impl Header {
    /// Reads the dictionary: each of the three keys once, in any order, and nothing else.
    pub fn parse(text: &str) -> Decoded<Self> {
        let damaged = || "the header is damaged: it is not the dictionary that NumPy writes".to_owned();
        let mut rest = Scanner(text);
        let (mut found, mut fortran, mut dims) = (None, None, None);
        rest.take("{").ok_or_else(damaged)?;
        while rest.take("}").is_none() {
            let key = rest.quoted().ok_or_else(damaged)?;
            rest.take(":").ok_or_else(damaged)?;
            let twice = match key {
                "descr" if rest.starts_with("[") => {
                    return Err("it holds records of several fields; store one array of numbers".into());
                }
                "descr" => found.replace(element(rest.quoted().ok_or_else(damaged)?)?).is_some(),
                "fortran_order" => fortran.replace(rest.boolean().ok_or_else(damaged)?).is_some(),
                "shape" => dims.replace(rest.tuple()?.ok_or_else(damaged)?).is_some(),
                _ => true,
            };
            if twice || (rest.take(",").is_none() && !rest.starts_with("}")) {
                return Err(damaged());
            }
        }
        match (found, fortran, dims) {
            (Some(element), Some(fortran), Some(dims)) if rest.is_empty() => Ok(Self { element, fortran, dims }),
            _ => Err(damaged()),
        }
    }

    /// The first extent: of examples, how many there are.
    pub fn rows(&self) -> usize {
        self.dims.first().copied().unwrap_or(0)
    }

    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.dims.iter().skip(1).fold(1, |count, &extent| count.saturating_mul(extent))
    }

    /// How many elements there are; `None` where it overflows.
    pub fn elements(&self) -> Option<u64> {
        self.dims.iter().try_fold(1_u64, |count, &extent| count.checked_mul(extent as u64))
    }

    /// The bytes that follow a header of `start` bytes.
    pub fn body(&self, start: u64) -> Decoded<Body> {
        let bytes = self.elements().and_then(|count| count.checked_mul(self.element.kind.bytes() as u64));
        let end = bytes.and_then(|bytes| bytes.checked_add(start)).filter(|&end| end < u64::MAX);
        end.map(|end| Body { start, end }).ok_or_else(|| {
            format!("the header is damaged: it promises an array of shape {:?}, more than any file holds", self.dims)
        })
    }
}

/// How a description such as `<f8` says that elements are stored.
fn element(descr: &str) -> Decoded<Element> {
    let (order, name) = descr.split_at_checked(1).unwrap_or_default();
    let kind = match name {
        "b1" => ElementType::Bool,
        "u1" => ElementType::U8,
        "u2" => ElementType::U16,
        "u4" => ElementType::U32,
        "u8" => ElementType::U64,
        "i1" => ElementType::I8,
        "i2" => ElementType::I16,
        "i4" => ElementType::I32,
        "i8" => ElementType::I64,
        "f4" => ElementType::F32,
        "f8" => ElementType::F64,
        "O" => {
            return Err("it holds pickled Python objects, which are programs and are never run; store an array of \
                        numbers, such as X.astype(\"float32\")"
                .into());
        }
        _ => {
            let what = match name.as_bytes().first() {
                Some(b'f') => "floats of this size are",
                Some(b'c') => "complex numbers are",
                Some(b'U' | b'S') => "texts are",
                Some(b'M' | b'm') => "dates and times are",
                _ => "this type is",
            };
            return Err(format!(
                "elements of type '{descr}': {what} not read; store booleans, integers, or floats of 32 or 64 bits"
            ));
        }
    };
    match order {
        "<" => Ok(Element { kind, big: false }),
        ">" => Ok(Element { kind, big: true }),
        "|" if kind.bytes() == 1 => Ok(Element { kind, big: false }),
        _ => Err(format!("elements of type '{descr}': the order of their bytes is not stated by < or >")),
    }
}

/// What is left of the text; spaces do not count.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn starts_with(&mut self, word: &str) -> bool {
        self.0 = self.0.trim_start_matches([' ', '\n']);
        self.0.starts_with(word)
    }

    fn is_empty(&mut self) -> bool {
        self.0.trim_matches([' ', '\n']).is_empty()
    }

    fn take(&mut self, word: &str) -> Option<()> {
        let found = self.starts_with(word);
        found.then(|| self.0 = &self.0[word.len()..])
    }

    /// A text between single or double quotes, without any that would need an escape.
    fn quoted(&mut self) -> Option<&'a str> {
        let quote = ["'", "\""].into_iter().find(|quote| self.take(quote).is_some())?;
        let (text, rest) = self.0.split_once(quote)?;
        self.0 = rest;
        (!text.contains('\\')).then_some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.take("True").map(|()| true).or_else(|| self.take("False").map(|()| false))
    }

    fn number(&mut self) -> Option<&'a str> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        // Python 2 wrote long integers as 3L.
        let _ = self.take("L");
        (!digits.is_empty()).then_some(digits)
    }

    /// `()`, `(3,)` or `(3, 4)`. `None` is a slip in the grammar.
    fn tuple(&mut self) -> Decoded<Option<Vec<usize>>> {
        let mut dims = Vec::new();
        if self.take("(").is_none() {
            return Ok(None);
        }
        while self.take(")").is_none() {
            let Some(digits) = self.number() else { return Ok(None) };
            let extent = digits.parse().map_err(|_| format!("the header is damaged: an extent of {digits}"))?;
            dims.push(extent);
            if dims.len() > MAX_DIMENSIONS {
                return Err(format!("the header is damaged: more than {MAX_DIMENSIONS} dimensions"));
            }
            if self.take(",").is_none() && !self.starts_with(")") {
                return Ok(None);
            }
        }
        Ok(Some(dims))
    }
}
