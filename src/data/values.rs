//! The numbers of a data set: how they are stored, and how to come by those of some examples.

use std::fmt::Write;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Dataset;
use super::codes::{self, Codes};
use super::disk::Disk;
use super::sparse::{Entries, Sparse};
use crate::error::Result;

/// Values as they were stored: bytes stay bytes, also on the device.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Pixels 0…255, read as x/255.
    U8(Vec<u8>),
    /// Numbers as they are.
    F32(Vec<f32>),
    /// Numbers of columns, some of which are categories.
    Codes(Codes),
    /// Numbers of which most are zero.
    Sparse(Sparse),
    /// Any of the others, in files.
    Disk(Disk),
}

/// The values of one example.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Row<'a> {
    /// Pixels 0…255.
    Bytes(&'a [u8]),
    /// Numbers as they are.
    Floats(&'a [f32]),
    /// Numbers of columns with so many categories, 0 where they are taken as they are.
    Codes(&'a [f32], &'a [u32]),
    /// Those that are not zero.
    Sparse(Entries<'a>),
}

impl Row<'_> {
    /// Appends the numbers that a model sees: bytes as x/255.
    fn numbers(self, all: &mut Vec<f32>) {
        match self {
            Self::Bytes(bytes) => all.extend(bytes.iter().map(|&x| f32::from(x) / 255.0)),
            Self::Floats(floats) => all.extend(floats),
            Self::Codes(numbers, columns) => codes::spread(numbers, columns, all),
            Self::Sparse(entries) => entries.spread(all),
        }
    }

    /// Appends the words that a device stores: four bytes each, the first one lowest, or a float.
    fn words(self, all: &mut Vec<u32>) {
        match self {
            Self::Bytes(bytes) => {
                // Whole words by themselves: that is a copy.
                let (words, rest) = bytes.as_chunks::<4>();
                all.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
                all.extend(rest.chunks(4).map(little_endian));
            }
            Self::Floats(floats) | Self::Codes(floats, _) => all.extend(floats.iter().map(|value| value.to_bits())),
            Self::Sparse(entries) => entries.words(all),
        }
    }
}

impl Values {
    /// How many numbers there are as a model takes them, over all examples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Codes(codes) => codes.len() * codes.width(),
            Self::Sparse(sparse) => sparse.len() * sparse.width(),
            Self::Disk(disk) => disk.len() * disk.width(),
        }
    }

    /// Whether they are bytes, and not floats.
    pub fn are_bytes(&self) -> bool {
        match self {
            Self::U8(_) => true,
            Self::F32(_) | Self::Codes(_) | Self::Sparse(_) => false,
            Self::Disk(disk) => disk.are_bytes(),
        }
    }

    /// Whether they are bytes of black and white alone, as bits become.
    pub fn are_bits(&self) -> bool {
        match self {
            Self::U8(bytes) => bytes.iter().all(|&byte| byte == 0 || byte == 255),
            Self::F32(_) | Self::Codes(_) | Self::Sparse(_) => false,
            Self::Disk(disk) => disk.are_bits(),
        }
    }

    /// The categories of each number of an example as it is stored, 0 where it is taken as it is; nothing where there are none
    /// and the stored numbers are those of a model.
    pub fn codes(&self) -> Option<Arc<[u32]>> {
        match self {
            Self::U8(_) | Self::F32(_) | Self::Sparse(_) => None,
            Self::Codes(codes) => Some(codes.columns.clone()),
            Self::Disk(disk) => disk.codes(),
        }
    }

    /// Words that they take on a device as a whole; nothing where they are not in memory.
    pub fn words(&self) -> Option<usize> {
        match self {
            Self::U8(bytes) => Some(bytes.len().div_ceil(4)),
            Self::F32(floats) => Some(floats.len()),
            Self::Codes(codes) => Some(codes.numbers.len()),
            Self::Sparse(sparse) => Some(sparse.words()),
            Self::Disk(_) => None,
        }
    }

    /// Whether there is no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Examples of `width` values as a model sees them, one after the other.
    ///
    /// # Errors
    /// [`crate::Error::Data`] where they cannot be read from their file.
    pub fn numbers(&self, width: usize, examples: &[u32]) -> Result<Vec<f32>> {
        let mut numbers = Vec::with_capacity(examples.len() * width);
        self.visit(width, examples, &mut |_, row| {
            row.numbers(&mut numbers);
            Ok(())
        })?;
        Ok(numbers)
    }

    /// Hands over examples of `width` values, each with its place among those that are asked for. What is on the disk
    /// is read in portions.
    fn visit(&self, width: usize, examples: &[u32], visit: &mut dyn FnMut(usize, Row) -> Result<()>) -> Result<()> {
        let place = |example: u32| example as usize * width..(example as usize + 1) * width;
        let mut numbered = examples.iter().enumerate();
        match self {
            Self::U8(all) => numbered.try_for_each(|(at, &example)| visit(at, Row::Bytes(&all[place(example)]))),
            Self::F32(all) => numbered.try_for_each(|(at, &example)| visit(at, Row::Floats(&all[place(example)]))),
            Self::Codes(all) => numbered.try_for_each(|(at, &example)| visit(at, all.row(example))),
            Self::Sparse(all) => numbered.try_for_each(|(at, &example)| visit(at, all.row(example as usize).into())),
            Self::Disk(disk) => {
                let (size, mut first) = (disk.portion(), 0);
                let mut portions = examples.chunks(size);
                let mut next = portions.next().map(|portion| disk.values(portion)).transpose()?;
                while let Some(values) = next {
                    let all: Vec<u32> = (0..examples.len().min(first + size) as u32 - first as u32).collect();
                    // What comes after it is read meanwhile.
                    next = std::thread::scope(|scope| {
                        let reading = portions.next().map(|portion| scope.spawn(move || disk.values(portion)));
                        values.visit(width, &all, &mut |at, row| visit(first + at, row))?;
                        reading.map(|thread| thread.join().unwrap_or_else(|why| resume_unwind(why))).transpose()
                    })?;
                    first += size;
                }
                Ok(())
            }
        }
    }

    /// Examples of `width` values as they are stored, `words` words each, in the order given; read in that of the disk.
    ///
    /// # Errors
    /// [`crate::Error::Data`] where they cannot be read from their file.
    pub fn stored(&self, (width, words): (usize, usize), examples: &[u32]) -> Result<Vec<u32>> {
        let Self::Disk(disk) = self else {
            let mut stored = Vec::with_capacity(examples.len() * words);
            self.visit(width, examples, &mut |_, row| {
                row.words(&mut stored);
                Ok(())
            })?;
            return Ok(stored);
        };
        let mut places: Vec<usize> = (0..examples.len()).collect();
        places.sort_unstable_by_key(|&place| disk.row(examples[place]));
        let sorted: Vec<u32> = places.iter().map(|&place| examples[place]).collect();
        let (mut stored, mut own) = (vec![0; examples.len() * words], Vec::with_capacity(words));
        self.visit(width, &sorted, &mut |at, row| {
            own.clear();
            row.words(&mut own);
            stored[places[at] * words..(places[at] + 1) * words].copy_from_slice(&own);
            Ok(())
        })?;
        Ok(stored)
    }
}

impl Dataset {
    /// Example `index` as a model sees it before any binarisation: `width` numbers, bytes as x/255.
    ///
    /// # Errors
    /// [`crate::Error::Data`] where it cannot be read from its file.
    pub fn example(&self, index: usize) -> Result<Vec<f32>> {
        self.examples(&[index as u32])
    }

    /// Several examples, one after the other, each as [`Dataset::example`] gives it.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn examples(&self, examples: &[u32]) -> Result<Vec<f32>> {
        self.values.numbers(self.width(), examples)
    }

    /// Example `index` in the units of the source: with the scaling undone that was fitted to the training part.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn original_example(&self, index: usize) -> Result<Vec<f32>> {
        let row = self.example(index)?;
        Ok(match &self.encoding {
            Some(encoding) => encoding.undo(&row).into_iter().map(|number| number as f32).collect(),
            None => row,
        })
    }

    /// Words of an example as it is stored by itself: rows of bytes are filled up with zeros, and a category is one number.
    pub fn stored_words(&self) -> usize {
        match self.values.codes() {
            _ if self.sparse().is_some() => self.sparse().map_or(0, Sparse::row_words),
            Some(columns) => columns.len(),
            None if self.values.are_bytes() => self.width().div_ceil(4),
            None => self.width(),
        }
    }

    /// The rows of which only what is not zero is stored, where they are.
    pub fn sparse(&self) -> Option<&Sparse> {
        match &self.values {
            Values::Sparse(sparse) => Some(sparse),
            Values::U8(_) | Values::F32(_) | Values::Codes(_) | Values::Disk(_) => None,
        }
    }

    /// Examples as they are stored, [`Dataset::stored_words`] each: four bytes to a word, the first one lowest, or floats.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn stored(&self, examples: &[u32]) -> Result<Vec<u32>> {
        self.values.stored((self.width(), self.stored_words()), examples)
    }

    /// Goes through examples in the order of the source, which is what disks are fast at, and the same wherever they
    /// are; `visit` gets the number of an example and what [`Dataset::example`] gives.
    ///
    /// # Errors
    /// As [`Dataset::example`], and those of `visit`.
    pub fn visit(&self, examples: Range<usize>, mut visit: impl FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let mut numbers = Vec::with_capacity(self.width());
        self.visit_rows(examples, &mut |example, row| {
            numbers.clear();
            row.numbers(&mut numbers);
            visit(example, &numbers)
        })
    }

    fn visit_rows(&self, examples: Range<usize>, visit: &mut dyn FnMut(usize, Row) -> Result<()>) -> Result<()> {
        let mut order: Vec<u32> = examples.map(|example| example as u32).collect();
        if self.rows.is_some() {
            order.sort_unstable_by_key(|&example| self.row(example as usize));
        }
        self.values.visit(self.width(), &order, &mut |at, row| visit(order[at] as usize, row))
    }

    /// The sum of the values of each of `examples` as a model sees them, of what is there.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn totals(&self, examples: Range<usize>) -> Result<Vec<f64>> {
        let (mut totals, mut spread) = (Vec::with_capacity(examples.len()), Vec::new());
        self.visit_rows(examples, &mut |_, row| {
            if let Row::Sparse(entries) = row {
                totals.push(entries.values.iter().map(|&x| f64::from(x)).sum());
                return Ok(());
            }
            spread.clear();
            row.numbers(&mut spread);
            totals.push(spread.iter().filter(|x| !x.is_nan()).map(|&x| f64::from(x)).sum());
            Ok(())
        })?;
        Ok(totals)
    }

    /// The mean of each of the `width` values over those of `examples` where it is there, bytes as x/255; zeros where
    /// there is none.
    ///
    /// # Errors
    /// As [`Dataset::example`].
    pub fn means(&self, examples: Range<usize>) -> Result<Vec<f32>> {
        // Sums, and how many values each is of. Those of bytes are exact.
        let mut whole = vec![0_u64; self.width()];
        let mut sums = vec![(0_f64, 0_usize); self.width()];
        let (count, mut spread) = (examples.len(), Vec::new());
        self.visit_rows(examples, &mut |_, row| {
            if let Row::Bytes(row) = row {
                whole.iter_mut().zip(row).for_each(|(sum, &x)| *sum += u64::from(x));
                return Ok(());
            }
            if let Row::Sparse(entries) = row {
                entries.items.iter().zip(entries.values).for_each(|(&at, &x)| sums[at as usize].0 += f64::from(x));
                return Ok(());
            }
            spread.clear();
            row.numbers(&mut spread);
            for ((sum, count), &x) in sums.iter_mut().zip(&spread).filter(|(_, x)| !x.is_nan()) {
                (*sum, *count) = (*sum + f64::from(x), *count + 1);
            }
            Ok(())
        })?;
        if self.sparse().is_some() {
            for (_, there) in &mut sums {
                *there = count;
            }
        }
        if self.values.are_bytes() {
            sums = whole.iter().map(|&sum| (sum as f64 / 255.0, count)).collect();
        }
        Ok(sums.iter().map(|&(sum, count)| (sum / count.max(1) as f64) as f32).collect())
    }
}

/// Up to four bytes as a word, the first one lowest.
pub fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// The identity of a data set, wherever its values are. Every number enters in little-endian order, so that all machines
/// agree, and the lengths come before the contents, so that nothing can move from one field into the next.
///
/// # Errors
/// Those of reading data that are on the disk.
pub fn hash(shape: [usize; 3], values: &Values, labels: Option<&[u32]>, test: usize) -> Result<String> {
    let kind = match values {
        Values::Sparse(_) => 2,
        values => usize::from(!values.are_bytes()),
    };
    let mut sha = Sha256::new();
    for word in [kind, shape[0], shape[1], shape[2], values.len(), labels.map_or(0, <[u32]>::len), test] {
        sha.update((word as u64).to_le_bytes());
    }
    let width: usize = shape.iter().product();
    let all: Vec<u32> = (0..(values.len() / width.max(1)) as u32).collect();
    let mut numbers: Vec<f32> = Vec::new();
    values.visit(width, &all, &mut |_, row| {
        match row {
            Row::Bytes(bytes) => sha.update(bytes),
            Row::Sparse(entries) => {
                sha.update((entries.items.len() as u64).to_le_bytes());
                for (item, value) in entries.items.iter().zip(entries.values) {
                    sha.update(item.to_le_bytes());
                    sha.update(value.to_le_bytes());
                }
            }
            // What a model takes, however it is stored.
            Row::Floats(_) | Row::Codes(..) => {
                numbers.clear();
                row.numbers(&mut numbers);
                for x in &numbers {
                    sha.update(x.to_le_bytes());
                }
            }
        }
        Ok(())
    })?;
    for label in labels.unwrap_or_default() {
        sha.update(label.to_le_bytes());
    }
    Ok(hex(sha))
}

/// A finished sum as text.
pub fn hex(sha: Sha256) -> String {
    sha.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
