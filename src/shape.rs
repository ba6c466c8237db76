//! The extents of a tensor, outermost first. Storage is always dense and row-major.

use std::fmt;

/// Up to four extents; a scalar has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    extents: [usize; 4],
    rank: usize,
}

impl Shape {
    /// A shape from its extents, outermost first.
    pub fn new(extents: &[usize]) -> Self {
        let mut all = [1; 4];
        all[..extents.len()].copy_from_slice(extents);
        Self { extents: all, rank: extents.len() }
    }

    /// The extents, outermost first.
    pub fn extents(&self) -> &[usize] {
        &self.extents[..self.rank]
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.extents.iter().product()
    }

    /// The outermost extent: rows of a matrix, elements of a vector, 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.extents[0]
    }

    /// Elements per row.
    pub fn columns(&self) -> usize {
        self.extents[1..].iter().product()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.extents().iter().map(ToString::to_string).collect();
        write!(f, "[{}]", parts.join(", "))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
