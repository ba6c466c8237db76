//! Numbers that all have one meaning, as arrays, IDX files and images hold them, as a data set: as they were stored, or
//! scaled.

use super::cells::Cells;
use super::elements::Elements;
use super::table::{Column, ColumnKind, Encoding, Frame};
use super::{Dataset, Format, Labels, ReadOptions, Values};
use crate::config::{Domain, White};
use crate::error::{Error, Result};

/// Bytes up to here, and numbers up to this share of 1, are a small part of what could be: dark pictures, or numbers whose
/// white is another.
const DARK_BYTE: u8 = 127;
const DARK: f32 = 0.25;

/// What a reader has found.
pub struct Source<'a> {
    /// The data set's name.
    pub name: &'a str,
    /// The kind of source.
    pub format: Format,
    /// Channels, height and width of an example.
    pub shape: [usize; 3],
    /// Examples × shape.
    pub cells: Cells,
    /// Whether an example is a row of numbers that come in no particular unit.
    pub table: bool,
    /// The place of each example among the cells, those of the test part at the end.
    pub order: Vec<u32>,
    /// How many examples are the test part.
    pub tested: usize,
    /// Where each example stood in the source, where that is not its place among the cells.
    pub rows: Option<Vec<u32>>,
    /// The classes, in the order of the data set.
    pub labels: Option<Labels>,
}

/// The data set of what a reader has found.
///
/// # Errors
/// [`Error::Data`] where it is not what a trained model takes, or cannot be read from its file; those of [`Dataset::new`].
pub fn dataset(source: Source, request: &ReadOptions) -> Result<Dataset> {
    let Source { name, format, shape, cells, table, order, tested, rows, labels } = source;
    let (width, examples) = (shape.iter().product::<usize>(), order.len());
    let bytes = match &cells {
        Cells::Memory(elements) => matches!(elements, Elements::Bool(_) | Elements::U8(_)),
        Cells::Disk(disk) => disk.are_bytes(),
    };
    let scales = if format == Format::Array { request.scales(table) } else { request.scales_pictures(width) };
    let kept = format == Format::Array && request.keeps(bytes) && !request.are_levels(bytes);
    if !kept && (!scales || request.are_levels(bytes)) {
        let (cells, note) = lit(cells, format, request)?;
        let values = match cells {
            Cells::Memory(elements) => elements.into_stored(width, &order),
            Cells::Disk(disk) => Values::Disk(disk.reordered(&order)),
        };
        let data = Dataset::parted(name, shape, values, tested, request.validation(examples - tested))?;
        let data = data.with_labels(labels)?.with_rows(rows.unwrap_or(order)).hashed()?;
        return Ok(Dataset { format, notes: note.into_iter().collect(), ..data });
    }
    let columns = (0..width).map(|at| Column { name: at.to_string(), kind: ColumnKind::PLAIN }).collect();
    let frame = Frame { columns, cells };
    let training = (examples - tested).saturating_sub(request.validation(examples - tested));
    let encoding = match request.known.and_then(|known| known.encoding) {
        Some(encoding) => encoding.for_numbers(width).map_err(|what| Error::Data(format!("{name}: {what}")))?,
        None => Encoding::fit(&frame, &order[..training], request.scale(table))?,
    };
    let plain = encoding.is_plain();
    let data = frame.dataset(name, encoding, order, tested, labels, request)?;
    let data = Dataset { format, shape, ..data };
    // Numbers that are kept as they are have the same hash for every likelihood.
    if plain { data.hashed() } else { Ok(data) }
}

/// The cells with their white where it is looked for, and what to say where they use a small part of their range.
fn lit(cells: Cells, format: Format, request: &ReadOptions) -> Result<(Cells, Option<String>)> {
    if request.config.white == White::Full {
        return Ok((cells, None));
    }
    let (largest, bits) = match &cells {
        Cells::Memory(Elements::U8(all)) => (Largest::Byte(all.iter().copied().max().unwrap_or(0)), false),
        Cells::Memory(Elements::F32(all)) if format == Format::Images => {
            (Largest::Number(all.iter().copied().fold(0.0, f32::max)), false)
        }
        // Numbers of an array have no white, so they need not be gone through.
        Cells::Memory(_) => return Ok((cells, None)),
        Cells::Disk(disk) if !disk.are_bytes() && format != Format::Images => return Ok((cells, None)),
        Cells::Disk(disk) => {
            let (largest, bits) = disk.largest(DARK_BYTE)?;
            (if disk.are_bytes() { Largest::Byte(largest as u8) } else { Largest::Number(largest) }, bits)
        }
    };
    let way_out = "spread them with `--set data.scale=unit`, or leave it so with data.white=full";
    // Levels have no other unit.
    let spread = request.known.is_none() && request.takes.domain != Domain::Levels;
    Ok(match largest {
        _ if bits => (cells, None),
        // A model that was trained on bytes with greys knows 255 as white, one of bits or other numbers 1.
        Largest::Byte(1) if request.known.is_some_and(|known| !known.floats && !known.bits) => {
            (cells, Some("bytes are 0 and 1 only, and 255 stands for white, as in the training".to_owned()))
        }
        Largest::Byte(1) => (cells.into_bits(), None),
        Largest::Byte(byte @ 2..=DARK_BYTE) if request.known.is_some_and(|known| known.floats) => {
            (cells, Some(format!("no byte is larger than {byte}, and 255 stands for white")))
        }
        Largest::Byte(byte @ 2..=DARK_BYTE) if spread => {
            (cells, Some(format!("no byte is larger than {byte}, and 255 stands for white: {way_out}")))
        }
        Largest::Number(number) if format == Format::Images && spread && number > 0.0 && number < DARK => {
            let sample = (f64::from(number) * 65535.0).round();
            let note = format!("no sample of 16 bits is larger than {sample}, and 65535 stands for white: {way_out}");
            (cells, Some(note))
        }
        _ => (cells, None),
    })
}

/// The largest number of all.
enum Largest {
    Byte(u8),
    Number(f32),
}

#[cfg(test)]
mod tests {
    use super::super::testing::{plain, unscaled};
    use super::super::{FittedPreprocessing, array, idx, images};
    use super::*;
    use crate::config::{DataConfig, Scale};
    use std::fs;
    use std::path::PathBuf;

    /// Three pictures of 2×2 as each kind of source has them, in a folder.
    fn sources(folder: &std::path::Path, bytes: &[u8; 12]) -> [PathBuf; 3] {
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2), }";
        let npy = [b"\x93NUMPY\x01\x00", &[header.len() as u8, 0][..], header.as_bytes(), bytes].concat();
        let idx = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2][..], bytes].concat();
        let paths = ["x.npy", "x-images.idx3-ubyte", "pictures"].map(|name| folder.join(name));
        fs::write(&paths[0], npy).unwrap();
        fs::write(&paths[1], idx).unwrap();
        fs::create_dir(&paths[2]).unwrap();
        for (number, picture) in bytes.chunks(4).enumerate() {
            let mut encoder =
                png::Encoder::new(fs::File::create(paths[2].join(format!("{number}.png"))).unwrap(), 2, 2);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(picture).unwrap();
        }
        paths
    }

    fn read(path: &std::path::Path, request: &ReadOptions) -> Dataset {
        match path.extension().map(|end| end.to_string_lossy().into_owned()).as_deref() {
            Some("npy") => super::super::npy::dataset(path, request).unwrap(),
            Some(_) => idx::file(path, request).unwrap(),
            None => images::dataset(path, request).unwrap(),
        }
    }

    fn pixels(data: &Dataset) -> Vec<f32> {
        (0..data.len()).flat_map(|at| data.example(at).unwrap()).collect()
    }

    #[test]
    fn bytes_of_zeros_and_ones_are_black_and_white_wherever_they_come_from() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0];
        let expected: Vec<f32> = bytes.iter().map(|&byte| byte.into()).collect();
        for path in sources(folder.path(), &bytes) {
            // In memory, and too large for it.
            for memory in [4096, 0] {
                let config = DataConfig { memory, ..plain() };
                let data = read(&path, &unscaled(&config));
                assert_eq!((pixels(&data), data.notes.len()), (expected.clone(), 0), "{} {memory}", path.display());
                // Runs from before are read as they were trained.
                let config = DataConfig { white: White::Full, ..config };
                let before = read(&path, &unscaled(&config));
                assert!(before.hash != data.hash && pixels(&before)[1] == 1.0 / 255.0, "{}", path.display());
                let config = DataConfig { scale: Scale::Unit, memory, ..plain() };
                assert_eq!(pixels(&read(&path, &unscaled(&config))), expected, "{} {memory}", path.display());
            }
            let data = read(&path, &unscaled(&plain()));
            let as_bool = array::dataset(
                "x",
                &[3, 2, 2],
                Cells::Memory(Elements::Bool(bytes.to_vec())),
                None,
                None,
                &unscaled(&plain()),
            );
            assert_eq!(data.hash, as_bool.unwrap().hash, "{}", path.display());
        }
    }

    #[test]
    fn a_model_says_what_is_white_and_no_file_does() {
        let folder = tempfile::tempdir().unwrap();
        for path in sources(folder.path(), &[0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0]) {
            for (floats, bits, white, told) in
                [(true, false, 1.0, 0), (false, true, 1.0, 0), (false, false, 1.0 / 255.0, 1)]
            {
                let (config, known) = (plain(), FittedPreprocessing { floats, bits, ..FittedPreprocessing::default() });
                let data = read(&path, &ReadOptions { known: Some(known), ..unscaled(&config) });
                assert_eq!((pixels(&data)[1], data.notes.len()), (white, told), "{} {floats}", path.display());
            }
        }
    }

    #[test]
    fn a_small_part_of_the_range_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let dark = [0, 5, 9, 15, 3, 15, 7, 1, 0, 0, 0, 0];
        for path in sources(folder.path(), &dark) {
            let config = plain();
            let data = read(&path, &unscaled(&config));
            assert!(data.notes[0].contains("no byte is larger than 15") && data.notes[0].contains("data.scale=unit"));
            // A model of such bytes is told once, when it is made; one of 0 and 1 is told that these are others.
            for (floats, told) in [(false, 0), (true, 1)] {
                let known = FittedPreprocessing { floats, ..FittedPreprocessing::default() };
                let request = ReadOptions { known: Some(known), ..unscaled(&config) };
                assert_eq!(read(&path, &request).notes.len(), told);
            }
            let config = DataConfig { scale: Scale::Unit, ..config };
            let spread = read(&path, &unscaled(&config));
            assert_eq!((pixels(&spread)[3], pixels(&spread)[1]), (1.0, 5.0 / 15.0));
            assert_eq!(spread.original_example(0).unwrap(), [0.0, 5.0, 9.0, 15.0]);
            // Other pictures for the model are scaled as those of the training.
            let known = FittedPreprocessing {
                encoding: spread.encoding.as_ref(),
                floats: true,
                ..FittedPreprocessing::default()
            };
            let request = ReadOptions { known: Some(known), ..unscaled(&config) };
            assert_eq!(pixels(&read(&path, &request)), pixels(&spread));
        }
    }

    #[test]
    fn numbers_on_the_disk_are_gone_through_once() {
        use super::super::disk::ROWS_READ;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 2, 2), }";
        let numbers: Vec<u8> = (0..20_u8).flat_map(|at| (f32::from(at) / 20.0).to_le_bytes()).collect();
        let npy = [b"\x93NUMPY\x01\x00", &[header.len() as u8, 0][..], header.as_bytes(), &numbers].concat();
        fs::write(&path, npy).unwrap();
        ROWS_READ.set(0);
        read(&path, &unscaled(&DataConfig { memory: 0, ..plain() }));
        assert_eq!(ROWS_READ.get(), 5, "for the hash");
    }
}
