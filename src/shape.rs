//! The extents of a tensor, outermost first. Storage is always dense and row-major.

use std::fmt;

/// The most extents.
const MOST: usize = 4;

/// Up to four extents; a scalar has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    extents: [usize; MOST],
    rank: usize,
}

impl Shape {
    /// A shape from its extents, outermost first. More than four are those of no tensor that there can be
    /// ([`Shape::is_possible`]), and a graph refuses it.
    pub fn new(extents: &[usize]) -> Self {
        let mut all = [1; MOST];
        if extents.len() > MOST {
            return Self { extents: [usize::MAX; MOST], rank: MOST };
        }
        all[..extents.len()].copy_from_slice(extents);
        Self { extents: all, rank: extents.len() }
    }

    /// Whether the elements of a tensor of this shape can be counted.
    pub fn is_possible(&self) -> bool {
        self.count() < usize::MAX
    }

    /// The extents, outermost first.
    pub fn extents(&self) -> &[usize] {
        &self.extents[..self.rank]
    }

    /// Number of elements; the largest number there is where they cannot be counted.
    pub fn count(&self) -> usize {
        product(&self.extents)
    }

    /// The outermost extent: rows of a matrix, elements of a vector, 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.extents[0]
    }

    /// Elements per row.
    pub fn columns(&self) -> usize {
        product(&self.extents[1..])
    }
}

/// A product that stays at the largest number there is, unless one of the extents is 0.
fn product(extents: &[usize]) -> usize {
    if extents.contains(&0) {
        0
    } else {
        extents.iter().fold(1, |product: usize, &extent| product.saturating_mul(extent))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_no_tensor_are_told_and_do_not_panic() {
        for (extents, count, possible) in [
            (&[][..], 1, true),
            (&[2, 3, 4, 5], 120, true),
            (&[usize::MAX, usize::MAX, 0], 0, true),
            (&[usize::MAX, 2], usize::MAX, false),
            (&[1, 1, 1, 1, 1], usize::MAX, false),
        ] {
            let shape = Shape::new(extents);
            assert_eq!((shape.count(), shape.is_possible()), (count, possible), "{extents:?}");
        }
        assert_eq!((Shape::new(&[7]).columns(), Shape::new(&[7, usize::MAX, 2]).columns()), (1, usize::MAX));
    }
}
