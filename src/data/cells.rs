//! The cells of a table or of an array, in memory or on the disk.

use super::Values;
use super::disk::{Disk, FileRows, PORTION, too_many};
use super::elements::{Element, ElementType, Elements};
use super::table::Encoding;
use crate::durable::scratch::Scratch;
use crate::error::Result;

/// Rows of cells in the order of their source.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// All of them, row-major.
    Memory(Elements),
    /// In files.
    Disk(Disk),
}

impl Cells {
    /// Values that were read as they are stored.
    pub fn of(values: Values) -> Self {
        match values {
            Values::U8(bytes) => Self::Memory(Elements::U8(bytes)),
            Values::F32(floats) => Self::Memory(Elements::F32(floats)),
            Values::Disk(disk) => Self::Disk(disk),
            Values::Codes(_) | Values::Sparse(_) => unreachable!("they are not read as cells"),
        }
    }

    /// How many rows of so many cells there are.
    pub fn rows(&self, columns: usize) -> usize {
        match self {
            Self::Memory(elements) => elements.len() / columns.max(1),
            Self::Disk(disk) => disk.len(),
        }
    }

    /// Images of this shape whose channels come last, with their channels first: channels, height, width.
    #[must_use]
    pub fn channels_first(self, shape: [usize; 3]) -> Self {
        match self {
            Self::Memory(elements) => Self::Memory(elements.channels_first(shape)),
            Self::Disk(disk) => Self::Disk(disk.channels_last(shape)),
        }
    }

    /// Bytes of which none is larger than 1 as false and true.
    #[must_use]
    pub fn into_bits(self) -> Self {
        match self {
            Self::Memory(Elements::U8(bytes)) => Self::Memory(Elements::Bool(bytes)),
            Self::Disk(disk) => Self::Disk(disk.into_bits()),
            other @ Self::Memory(_) => other,
        }
    }

    /// Rows in the order given, as a model takes them.
    pub fn encoded(&self, encoding: &Encoding, order: &[u32]) -> Values {
        match self {
            Self::Memory(elements) => encoding.values(elements, order),
            Self::Disk(disk) => Values::Disk(disk.clone().reordered(order).encoded(encoding)),
        }
    }

    /// Hands over rows of so many cells, in the order given.
    ///
    /// # Errors
    /// [`crate::Error::Data`] where they cannot be read from their file.
    pub fn visit(&self, columns: usize, rows: &[u32], visit: &mut dyn FnMut(&[f64])) -> Result<()> {
        let mut row = Vec::with_capacity(columns);
        let mut hand_over = |elements: &Elements, place: u32| {
            let first = place as usize * columns;
            row.clear();
            row.extend((first..first + columns).map(|at| elements.at(at)));
            visit(&row);
        };
        match self {
            Self::Memory(elements) => {
                for &row in rows {
                    hand_over(elements, row);
                }
            }
            Self::Disk(disk) => {
                for portion in rows.chunks(disk.portion()) {
                    let (elements, places) = disk.elements(portion)?;
                    for &place in &places {
                        hand_over(&elements, place);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Rows of numbers as they arrive: in memory as long as they may be, then in a scratch file.
#[derive(Debug)]
pub struct Growing {
    /// What they are read from, for messages.
    name: String,
    columns: usize,
    /// The most rows that may be in memory.
    most: u64,
    rows: u64,
    cells: Vec<f64>,
    scratch: Option<Scratch>,
}

impl Growing {
    /// No rows yet. One takes `bytes` of the `memory` that all of them may take.
    pub fn new(name: &str, columns: usize, bytes: usize, memory: u64) -> Self {
        let most = memory / bytes.max(1) as u64;
        Self { name: name.to_owned(), columns, most, rows: 0, cells: vec![], scratch: None }
    }

    /// Adds a cell.
    pub fn push(&mut self, cell: f64) {
        self.cells.push(cell);
    }

    /// Ends a row.
    ///
    /// # Errors
    /// [`crate::Error::Disk`] where the scratch file cannot be written, [`crate::Error::Data`] where there are more rows
    /// than an index can name.
    pub fn end_row(&mut self) -> Result<()> {
        self.rows += 1;
        if self.rows > u64::from(u32::MAX) {
            return Err(too_many(&self.name, self.rows));
        }
        let waiting = self.scratch.is_some() && 8 * self.cells.len() < PORTION;
        if self.rows <= self.most || waiting { Ok(()) } else { self.flush() }
    }

    /// The cells that are in memory go to the file.
    fn flush(&mut self) -> Result<()> {
        if self.scratch.is_none() {
            self.scratch = Some(Scratch::new(&self.name)?);
        }
        for cells in self.cells.chunks(PORTION / 64) {
            let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            self.scratch.as_mut().map_or(Ok(()), |scratch| scratch.write(&bytes))?;
        }
        self.cells = Vec::new();
        Ok(())
    }

    /// All rows.
    ///
    /// # Errors
    /// As [`Growing::end_row`].
    pub fn finish(mut self) -> Result<Cells> {
        if self.scratch.is_some() {
            self.flush()?;
        }
        let Some(scratch) = self.scratch else { return Ok(Cells::Memory(Elements::F64(self.cells))) };
        let part =
            FileRows::unpacked(&self.name, scratch.finish()?, Element::little(ElementType::F64), self.rows as usize);
        Ok(Cells::Disk(Disk::new(self.columns, vec![part])?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::fault;
    use crate::error::Error;

    /// `rows` rows of two cells, of which `most` may be in memory.
    fn grown(rows: u32, most: u64) -> Result<Cells> {
        let mut growing = Growing::new("table.csv", 2, 16, 16 * most);
        for row in 0..rows {
            growing.push(row.into());
            growing.push(f64::NAN);
            growing.end_row()?;
        }
        growing.finish()
    }

    #[test]
    fn rows_go_to_a_file_where_they_are_too_many_and_come_back_as_they_were() {
        for (rows, most, on_disk) in [(5, 5, false), (6, 5, true), (1, 0, true), (0, 0, false), (3000, 1000, true)] {
            let cells = grown(rows, most).unwrap();
            assert_eq!(matches!(cells, Cells::Disk(_)), on_disk, "{rows} rows of which {most} may be in memory");
            let order: Vec<u32> = (0..rows).rev().collect();
            let mut seen = Vec::new();
            cells.visit(2, &order, &mut |row| seen.extend(row.iter().map(|cell| cell.to_bits()))).unwrap();
            let expected = order.iter().flat_map(|&row| [f64::from(row).to_bits(), f64::NAN.to_bits()]);
            assert_eq!((cells.rows(2), seen), (rows as usize, expected.collect()));
        }
    }

    #[test]
    fn what_is_held_in_memory_is_bounded_however_many_rows_arrive() {
        let most = 1000;
        let mut growing = Growing::new("table.csv", 2, 16, 16 * most);
        let mut held = 0;
        for row in 0..3 * PORTION / 16 {
            growing.push(row as f64);
            growing.push(0.0);
            held = held.max(8 * growing.cells.len());
            growing.end_row().unwrap();
        }
        assert!(held <= PORTION.max(16 * most as usize + 16), "{held} bytes");
        let Cells::Disk(disk) = growing.finish().unwrap() else { panic!("they are in a file") };
        assert!(disk.portion() * 16 <= PORTION);
    }

    #[test]
    fn a_disk_that_fills_up_is_a_clear_error_and_leaves_nothing_behind() {
        let mut steps = 0;
        loop {
            fault::arm(steps, fault::Fault::DiskFull);
            let result = grown(8, 2);
            if !fault::disarm() {
                break assert!(matches!(result, Ok(Cells::Disk(_))));
            }
            match result {
                // Where the cache folder cannot be written the system's folder takes its place.
                Ok(cells) => assert!(steps == 0 && matches!(cells, Cells::Disk(_)), "step {steps}"),
                Err(Error::Disk(why)) => {
                    assert!(
                        why.starts_with("cannot write in ") && why.contains(": no space left on the disk"),
                        "{why}"
                    );
                    assert!(why.contains("; table.csv is larger than data.memory and is unpacked there"), "{why}");
                }
                Err(error) => panic!("step {steps}: {error}"),
            }
            steps += 1;
        }
        assert!(steps >= 3, "{steps}");
    }
}
