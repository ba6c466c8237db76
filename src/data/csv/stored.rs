//! Rows of Parquet and Arrow files, each cell as the shortest text that names its value and no other.
//!
//! So a number is read back to the same bits, and all that can be done with a table in text can be done with these. Record
//! batches are read one at a time. What is null, and NaN, is an empty cell; what the columns were stored as goes along as
//! [`Stored`], since the text of a cell does not say it.

mod lengths;

use std::cell::Cell;
use std::fmt::{self, Write};
use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use ::csv::ByteRecord;
use arrow_array::cast::AsArray;
#[cfg_attr(not(test), expect(clippy::wildcard_imports, reason = "the types of all columns"))]
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Decoded;
use super::dialect::Stored;

/// Cells of a batch of a Parquet file.
const BATCH: usize = 1 << 18;

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

/// The rows of a file.
pub struct Rows {
    names: Vec<String>,
    /// What the columns were stored as.
    pub stored: Vec<Stored>,
    batches: Batches,
    batch: Vec<Column>,
    /// Rows of the batch, and how many of them were handed over.
    size: usize,
    next: usize,
    /// Rows that were handed over in all; none is the header.
    given: Option<u64>,
}

/// A column of a batch.
struct Column {
    /// Its cells, or what their keys stand for.
    values: ArrayRef,
    /// The key of each row that has one.
    keys: Option<Vec<Option<usize>>>,
}

impl Rows {
    /// Opens a file at its start; nothing where it is of another kind.
    pub fn open(path: &Path) -> Decoded<Option<Self>> {
        let open = || File::open(path).map_err(|error| format!("cannot be opened: {error}"));
        let mut start = Vec::new();
        open()?.take(8).read_to_end(&mut start).map_err(unreadable)?;
        let opened: Decoded<(SchemaRef, Batches)> = match start.as_slice() {
            [b'P', b'A', b'R', b'1', ..] => guarded(|| parquet(open()?)),
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => guarded(|| {
                lengths::check(&mut open()?)?;
                let file = FileReader::try_new(BufReader::with_capacity(1 << 16, open()?), None).map_err(unreadable)?;
                Ok((file.schema(), Box::new(file) as Batches))
            }),
            _ => return Ok(None),
        };
        let (schema, batches) = opened?;
        let names = schema.fields().iter().map(|field| field.name().clone()).collect();
        let stored = schema.fields().iter().map(|field| stored(field.data_type())).collect();
        Ok(Some(Self { names, stored, batches, batch: vec![], size: 0, next: 0, given: None }))
    }

    /// How many rows were handed over below the header.
    pub fn count(&self) -> u64 {
        self.given.unwrap_or(0)
    }

    /// Reads a row, the names of the columns first; false where there is none any more.
    pub fn next(&mut self, record: &mut ByteRecord) -> Decoded<bool> {
        record.clear();
        let Some(rows) = self.given else {
            self.names.iter().for_each(|name| record.push_field(name.as_bytes()));
            self.given = Some(0);
            return Ok(true);
        };
        while self.next == self.size {
            let Some(batch) = guarded(|| self.batches.next().transpose().map_err(unreadable))? else {
                return Ok(false);
            };
            (self.size, self.next) = (batch.num_rows(), 0);
            self.batch = guarded(|| Ok(batch.columns().iter().map(Column::new).collect()))?;
        }
        let mut cell = String::new();
        for column in &self.batch {
            cell.clear();
            // What has no text stays empty, and is told by what the column was stored as.
            let written = guarded(|| Ok(column.write(self.next, &mut cell)))?;
            written.unwrap_or_else(|_| cell.clear());
            record.push_field(cell.as_bytes());
        }
        (self.next, self.given) = (self.next + 1, Some(rows + 1));
        Ok(true)
    }
}

fn parquet(file: File) -> Decoded<(SchemaRef, Batches)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
    let schema = builder.schema().clone();
    let rows = (BATCH / schema.fields().len().max(1)).clamp(16, 1 << 13);
    let batches = builder.with_batch_size(rows).build().map_err(unreadable)?;
    Ok((schema, Box::new(batches)))
}

/// What a library says of a file, in one line.
fn unreadable(error: impl fmt::Display) -> String {
    let said = error.to_string().lines().next().unwrap_or_default().to_owned();
    let way_out =
        if said.contains("Disabled feature") { "; write it with snappy, zstd, gzip or LZ4, or none" } else { "" };
    format!("cannot be read: {said}{way_out}")
}

thread_local! {
    /// Whether this thread asks a library, whose panics are told in a line of ours.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// What is asked of a library, which may panic where a file is damaged.
fn guarded<T>(ask: impl FnOnce() -> Decoded<T>) -> Decoded<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |why| {
            if !ASKING.get() {
                before(why);
            }
        }));
    });
    ASKING.set(true);
    let found = panic::catch_unwind(AssertUnwindSafe(ask));
    ASKING.set(false);
    found.unwrap_or_else(|_| Err("cannot be read: the file is damaged".into()))
}

/// What columns of a type hold.
fn stored(of: &DataType) -> Stored {
    use DataType::*;
    match of {
        Null | Utf8 | LargeUtf8 | Utf8View | Boolean => Stored::Words,
        of if of.is_integer() => Stored::Whole,
        Float16 | Float32 | Float64 | Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => {
            Stored::Numbers
        }
        Dictionary(_, of) => match stored(of) {
            Stored::Words => Stored::Category,
            Stored::Whole | Stored::Numbers => Stored::Codes,
            other => other,
        },
        Date32 | Date64 => Stored::Times("dates"),
        Timestamp(..) => Stored::Times("timestamps"),
        Time32(_) | Time64(_) => Stored::Times("times"),
        Duration(_) | Interval(_) => Stored::Nested("durations"),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Stored::Nested("bytes"),
        Struct(_) => Stored::Nested("records"),
        Map(..) => Stored::Nested("maps"),
        List(_) | LargeList(_) | ListView(_) | LargeListView(_) | FixedSizeList(..) => Stored::Nested("lists"),
        _ => Stored::Nested("values of a nested type"),
    }
}

impl Column {
    fn new(array: &ArrayRef) -> Self {
        let Some(dictionary) = array.as_any_dictionary_opt() else { return Self { values: array.clone(), keys: None } };
        let values = dictionary.values().clone();
        let places = if values.is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
        let key = |(row, place)| (!array.is_null(row) && !values.is_null(place)).then_some(place);
        let keys = places.into_iter().enumerate().map(key).collect();
        Self { values, keys: Some(keys) }
    }

    /// The text of a row's cell; none where it is null.
    fn write(&self, row: usize, cell: &mut String) -> fmt::Result {
        match &self.keys {
            Some(keys) => keys[row].map_or(Ok(()), |place| write_cell(&self.values, place, cell)),
            None if self.values.is_null(row) => Ok(()),
            None => write_cell(&self.values, row, cell),
        }
    }
}

/// The shortest text of a number that is read back to it; NaN is missing.
fn write_float(number: impl fmt::Debug, is_nan: bool, cell: &mut String) -> fmt::Result {
    if is_nan { Ok(()) } else { write!(cell, "{number:?}") }
}

fn write_cell(array: &dyn Array, at: usize, cell: &mut String) -> fmt::Result {
    use DataType::*;
    macro_rules! value {
        ($kind:ty) => {
            array.as_primitive::<$kind>().value(at)
        };
    }
    macro_rules! moment {
        ($kind:ty, $how:ident) => {
            match array.as_primitive::<$kind>().$how(at) {
                Some(moment) => write!(cell, "{moment}"),
                None => Err(fmt::Error),
            }
        };
    }
    match array.data_type() {
        Null => Ok(()),
        // As pandas writes them.
        Boolean => cell.write_str(if array.as_boolean().value(at) { "True" } else { "False" }),
        Utf8 => cell.write_str(array.as_string::<i32>().value(at)),
        LargeUtf8 => cell.write_str(array.as_string::<i64>().value(at)),
        Utf8View => cell.write_str(array.as_string_view().value(at)),
        Int8 => write!(cell, "{}", value!(Int8Type)),
        Int16 => write!(cell, "{}", value!(Int16Type)),
        Int32 => write!(cell, "{}", value!(Int32Type)),
        Int64 => write!(cell, "{}", value!(Int64Type)),
        UInt8 => write!(cell, "{}", value!(UInt8Type)),
        UInt16 => write!(cell, "{}", value!(UInt16Type)),
        UInt32 => write!(cell, "{}", value!(UInt32Type)),
        UInt64 => write!(cell, "{}", value!(UInt64Type)),
        Float16 => write_float(value!(Float16Type).to_f32(), value!(Float16Type).is_nan(), cell),
        Float32 => write_float(value!(Float32Type), value!(Float32Type).is_nan(), cell),
        Float64 => write_float(value!(Float64Type), value!(Float64Type).is_nan(), cell),
        Decimal32(..) => cell.write_str(&array.as_primitive::<Decimal32Type>().value_as_string(at)),
        Decimal64(..) => cell.write_str(&array.as_primitive::<Decimal64Type>().value_as_string(at)),
        Decimal128(..) => cell.write_str(&array.as_primitive::<Decimal128Type>().value_as_string(at)),
        Decimal256(..) => cell.write_str(&array.as_primitive::<Decimal256Type>().value_as_string(at)),
        Date32 => moment!(Date32Type, value_as_date),
        Date64 => moment!(Date64Type, value_as_date),
        Time32(TimeUnit::Second) => moment!(Time32SecondType, value_as_time),
        Time32(_) => moment!(Time32MillisecondType, value_as_time),
        Time64(TimeUnit::Microsecond) => moment!(Time64MicrosecondType, value_as_time),
        Time64(_) => moment!(Time64NanosecondType, value_as_time),
        Timestamp(unit, zone) => {
            match unit {
                TimeUnit::Second => moment!(TimestampSecondType, value_as_datetime),
                TimeUnit::Millisecond => moment!(TimestampMillisecondType, value_as_datetime),
                TimeUnit::Microsecond => moment!(TimestampMicrosecondType, value_as_datetime),
                TimeUnit::Nanosecond => moment!(TimestampNanosecondType, value_as_datetime),
            }?;
            // Those of a zone are stored in universal time.
            cell.write_str(if zone.is_some() { "+00:00" } else { "" })
        }
        _ => Err(fmt::Error),
    }
}
