//! Rows as a model has them as the cells that are compared.

use crate::checkpoint::DataRecord;
use crate::data::table::ColumnKind;
use crate::fidelity::Table;
use std::ops::Range;

/// Rows as the model has them as cells: numbers, in the units of the model, and the places of levels.
pub fn cells(record: &DataRecord, rows: &[f32]) -> Table {
    let Some(encoding) = &record.encoding else {
        return Table {
            levels: vec![0; record.shape.iter().product()],
            cells: rows.iter().map(|&x| x.into()).collect(),
        };
    };
    let columns: Vec<(usize, Range<usize>)> = encoding
        .columns
        .iter()
        .zip(encoding.spans())
        .filter(|(column, _)| column.kind.width() > 0)
        .map(|(column, span)| match &column.kind {
            ColumnKind::Binary { .. } => (2, span),
            kind @ (ColumnKind::Category { .. } | ColumnKind::Numbered { .. }) => (kind.width(), span),
            _ => (0, span),
        })
        .collect();
    let cell = |row: &[f32], (levels, span): &(usize, Range<usize>)| {
        let places = &row[span.clone()];
        match places {
            [first, ..] if first.is_nan() => f64::NAN,
            [value] => f64::from(*value),
            places if *levels > 0 => places.iter().position(|&place| place >= 0.5).unwrap_or(0) as f64,
            _ => f64::NAN,
        }
    };
    let cells = rows.chunks_exact(encoding.width()).flat_map(|row| columns.iter().map(move |column| cell(row, column)));
    Table { levels: columns.iter().map(|(levels, _)| *levels).collect(), cells: cells.collect() }
}

/// The names of the columns that a model learns, or the places of values.
pub fn names(record: &DataRecord) -> Vec<String> {
    match record.table() {
        Some(encoding) => {
            let learnt = encoding.columns.iter().filter(|column| column.kind.width() > 0);
            learnt.map(|column| column.name.clone()).collect()
        }
        None => (0..record.shape.iter().product()).map(|at: usize| at.to_string()).collect(),
    }
}
