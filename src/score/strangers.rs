//! Words that a model does not know, in columns of two words.
//!
//! In a category such a word stands in the places of all levels, and each of them counts against its row. A column of two
//! words has one place, in which one half stands for neither: the loss is then the mean of those of both words, less than
//! that of the rarer one. So such a row is scored as if it had whichever of the two makes it stranger.

use crate::data::table::{ColumnKind, NEITHER};
use crate::error::Result;
use crate::session::{Rows, Session};

/// The values of rows in which every word that is neither of two is the one that gives the row the larger score, each by
/// itself; nothing where there is none. `score` gives the scores of rows.
pub(super) fn resolved(
    session: &mut Session,
    rows: Rows,
    score: impl Fn(&mut Session, Rows) -> Result<Vec<f64>>,
) -> Result<Option<Vec<f32>>> {
    let (width, places) = (session.model.width, places(session));
    let mut strange: Vec<(usize, usize)> = Vec::new();
    for (row, values) in rows.values.chunks_exact(width).enumerate() {
        strange.extend(places.iter().filter(|&&place| values[place] == NEITHER).map(|&place| (row, place)));
    }
    if strange.is_empty() {
        return Ok(None);
    }
    let (mut tried, mut classes) = (Vec::with_capacity(2 * width * strange.len()), Vec::new());
    for &(row, place) in &strange {
        for word in [0.0, 1.0] {
            let start = tried.len();
            tried.extend_from_slice(&rows.values[row * width..][..width]);
            tried[start + place] = word;
            classes.extend(rows.classes.get(row));
        }
    }
    let scores = score(session, Rows { values: &tried, classes: &classes })?;
    let mut values = rows.values.to_vec();
    for ((row, place), pair) in strange.into_iter().zip(scores.chunks_exact(2)) {
        values[row * width + place] = if pair[1] > pair[0] { 1.0 } else { 0.0 };
    }
    Ok(Some(values))
}

/// The places of columns of two words.
fn places(session: &Session) -> Vec<usize> {
    let Some(encoding) = &session.record.encoding else { return vec![] };
    let columns = encoding.columns.iter().zip(encoding.spans());
    columns.filter(|(column, _)| matches!(column.kind, ColumnKind::Binary { .. })).map(|(_, span)| span.start).collect()
}
