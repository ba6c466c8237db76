//! Rows of which only what is not zero is stored, with its place: what users chose of many items. They stay like this in memory
//! and on a device (compressed sparse rows); a model sees zeros around them, which are made where a batch is.

use super::Row;

/// The most entries: each is two words of a buffer, whose words are numbered with 32 bits.
pub const MAX_ENTRIES: usize = 1 << 30;

/// An entry: its row, its place in the row, its value.
pub type Entry = (u32, u32, f32);

/// N rows of D values.
#[derive(Debug, Clone, PartialEq)]
pub struct Sparse {
    /// Where the entries of each row begin, and behind the last where they end, [N + 1].
    starts: Vec<u32>,
    /// The places of the entries, rising in each row.
    items: Vec<u32>,
    /// Their values; none is zero or missing.
    values: Vec<f32>,
    /// D.
    width: usize,
    /// Entries of the longest row.
    longest: usize,
}

/// The entries of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entries<'a> {
    /// Their places, rising.
    pub items: &'a [u32],
    /// Their values.
    pub values: &'a [f32],
    /// D.
    pub width: usize,
    /// Entries of the longest row of the set.
    longest: usize,
}

impl Sparse {
    /// Rows of entries in any order, of which those that are zero are left out.
    ///
    /// # Errors
    /// A row and a place that two entries are for.
    pub fn new(rows: usize, width: usize, mut entries: Vec<Entry>) -> Result<Self, (u32, u32)> {
        entries.sort_unstable_by_key(|&(row, item, _)| (row, item));
        if let Some(twice) = entries.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
            return Err((twice[0].0, twice[0].1));
        }
        entries.retain(|&(.., value)| value != 0.0);
        let mut starts = vec![0_u32; rows + 1];
        for &(row, ..) in &entries {
            starts[row as usize + 1] += 1;
        }
        let longest = starts.iter().max().map_or(0, |&most| most as usize);
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let (items, values) = entries.into_iter().map(|(_, item, value)| (item, value)).unzip();
        Ok(Self { starts, items, values, width, longest })
    }

    /// N.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// D.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.items.len()
    }

    /// The entries of a row.
    pub fn row(&self, row: usize) -> Entries<'_> {
        let own = self.starts[row] as usize..self.starts[row + 1] as usize;
        let (items, values) = (&self.items[own.clone()], &self.values[own]);
        Entries { items, values, width: self.width, longest: self.longest }
    }

    /// Rows of this one in another order, or some of them.
    #[must_use]
    pub fn picked(&self, rows: &[u32]) -> Self {
        let mut all = Self { starts: vec![0], items: vec![], values: vec![], width: self.width, longest: 0 };
        for &row in rows {
            let Entries { items, values, .. } = self.row(row as usize);
            all.items.extend(items);
            all.values.extend(values);
            all.starts.push(all.items.len() as u32);
            all.longest = all.longest.max(items.len());
        }
        all
    }

    /// Words of an example that is stored by itself: how many entries, then place and value of each, filled up with zeros to the
    /// longest row.
    pub fn row_words(&self) -> usize {
        1 + 2 * self.longest
    }

    /// N rows of so many entries together, all of which are yet to come.
    pub(super) fn zeros(rows: usize, entries: usize, width: usize, longest: usize) -> Self {
        Self { starts: vec![0; rows + 1], items: vec![0; entries], values: vec![0.0; entries], width, longest }
    }

    /// All that it holds of entries.
    pub(super) fn blocks(&mut self) -> [&mut [u8]; 3] {
        let Self { starts, items, values, .. } = self;
        [bytemuck::cast_slice_mut(starts), bytemuck::cast_slice_mut(items), bytemuck::cast_slice_mut(values)]
    }

    /// Words of all examples together.
    pub fn words(&self) -> usize {
        self.starts.len() + 2 * self.items.len()
    }

    /// Hands over what a device stores of all examples, in portions of up to so many words with the place of each: first in which
    /// word the entries of each row begin, and where the last ones end, then place and value of all entries.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn store<E>(&self, most: usize, mut write: impl FnMut(usize, &[u32]) -> Result<(), E>) -> Result<(), E> {
        let first = self.starts.len() as u32;
        let starts = self.starts.iter().map(|&start| first + 2 * start);
        let pairs = self.items.iter().zip(&self.values).flat_map(|(&item, value)| [item, value.to_bits()]);
        let (mut portion, mut at) = (Vec::with_capacity(most.min(self.words())), 0);
        for word in starts.chain(pairs) {
            portion.push(word);
            if portion.len() == most {
                write(at, &portion)?;
                at += most;
                portion.clear();
            }
        }
        if portion.is_empty() { Ok(()) } else { write(at, &portion) }
    }
}

impl Entries<'_> {
    /// Appends the D values that a model sees.
    pub(super) fn spread(self, all: &mut Vec<f32>) {
        let first = all.len();
        all.resize(first + self.width, 0.0);
        for (&item, &value) in self.items.iter().zip(self.values) {
            all[first + item as usize] = value;
        }
    }

    /// Appends the words of [`Sparse::row_words`].
    pub(super) fn words(self, all: &mut Vec<u32>) {
        let end = all.len() + 1 + 2 * self.longest;
        all.push(self.items.len() as u32);
        all.extend(self.items.iter().zip(self.values).flat_map(|(&item, value)| [item, value.to_bits()]));
        all.resize(end, 0);
    }
}

impl<'a> From<Entries<'a>> for Row<'a> {
    fn from(entries: Entries<'a>) -> Self {
        Row::Sparse(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Sparse {
        Sparse::new(3, 5, vec![(2, 4, 2.0), (0, 3, 1.0), (0, 1, 4.0), (2, 0, 0.0)]).unwrap()
    }

    #[test]
    fn entries_in_any_order_become_rows_without_zeros() {
        let sparse = three();
        assert_eq!((sparse.len(), sparse.width(), sparse.count()), (3, 5, 3));
        let mut dense = Vec::new();
        (0..3).for_each(|row| sparse.row(row).spread(&mut dense));
        assert_eq!(dense, [0., 4., 0., 1., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 2.]);
        assert_eq!(Sparse::new(1, 2, vec![(0, 1, 1.0), (0, 0, 1.0), (0, 1, 2.0)]), Err((0, 1)));
        let picked = sparse.picked(&[2, 0, 2]);
        assert_eq!((picked.row(0).items, picked.row(1).items, picked.longest), (&[4][..], &[1, 3][..], 2));
    }

    #[test]
    fn words_say_where_entries_are_whether_they_are_stored_together_or_by_the_row() {
        let sparse = three();
        let mut words = vec![0; sparse.words()];
        for most in [1, 3, 100] {
            let written = sparse.store(most, |at, portion| -> Result<(), ()> {
                words[at..at + portion.len()].copy_from_slice(portion);
                Ok(())
            });
            written.unwrap();
            let [one, two, four] = [1.0_f32, 2.0, 4.0].map(f32::to_bits);
            assert_eq!(words, [4, 8, 8, 10, 1, four, 3, one, 4, two]);
            words.fill(9);
        }
        let mut row = Vec::new();
        sparse.row(2).words(&mut row);
        assert_eq!(row, [1, 4, 2.0_f32.to_bits(), 0, 0]);
        assert_eq!(row.len(), sparse.row_words());
    }
}
