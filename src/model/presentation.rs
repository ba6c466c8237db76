//! How an example is presented to the encoder: everything that happens to a value on its way there, in one place. The graph,
//! exported files, the card and what the host shows follow it; the kernel `table_values` and its shader do what
//! [`Op::TableInput`] asks for.

use super::{Model, likelihood};
use crate::config::{Binarise, Domain};
use crate::error::Result;
use crate::graph::columns::{Columns, Distribution};
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use std::sync::Arc;

/// What is done to each value, in this order. Numbers that were scaled are so before a model sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct Presentation {
    /// Zeros and ones in place of numbers: by a threshold of one half, or in training drawn with them as probabilities.
    pub binarise: Binarise,
    /// Whether there is a 0 for what is missing, which is a NaN.
    pub fills: bool,
    /// Of which values log(1 + x) is shown.
    pub logs: Logs,
    /// Whether what came of all that is divided by its length, the root of the sum of squares.
    pub unit: bool,
    /// D, values of an example.
    pub width: usize,
    /// The columns that [`Op::TableInput`] is told, where it has something to do.
    columns: Option<Arc<Columns>>,
}

/// Values of which logarithms are shown, since they may be large: counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Logs {
    /// None.
    None,
    /// All.
    All,
    /// Those places of a row.
    Places(Vec<bool>),
}

/// What the squares of an example come to at least, by whose root it is divided: one without any item stays zero.
const LEAST_SQUARES: f32 = 1e-24;

/// Whether a column is one of counts, of which logarithms are decoded.
pub fn is_count(distribution: Distribution) -> bool {
    distribution.is_count()
}

/// What a value is shown as where nothing may be drawn: dynamic binarisation shows it as it is stored.
pub fn as_stored(binarise: Binarise, value: f32) -> f32 {
    match drawn_never(binarise) {
        Binarise::Threshold => f32::from(u8::from(value >= 0.5)),
        Binarise::None | Binarise::Dynamic => value,
    }
}

/// How values are binarised where nothing may be drawn.
pub(super) fn drawn_never(binarise: Binarise) -> Binarise {
    match binarise {
        Binarise::Dynamic => Binarise::None,
        fixed => fixed,
    }
}

impl Model {
    /// How its examples are presented.
    pub fn presentation(&self) -> Presentation {
        let columns = likelihood::shown_columns(self);
        let count = |columns: &Columns| -> Vec<bool> {
            columns.all.iter().flat_map(|column| vec![is_count(column.distribution); column.places]).collect()
        };
        let logs = match (self.config.likelihood.domain(), columns.as_deref().map(count)) {
            (Domain::Counts, _) => Logs::All,
            (_, Some(places)) if places.contains(&true) => Logs::Places(places),
            _ => Logs::None,
        };
        Presentation {
            binarise: self.binarise,
            fills: columns.is_some(),
            logs,
            unit: self.config.normalise_input,
            width: self.width,
            columns,
        }
    }
}

impl Presentation {
    /// The same on the host, of examples [N, D] that are binarised.
    pub fn show(&self, values: &mut [f32]) {
        if self.fills {
            values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = 0.0);
        }
        let log = |value: &mut f32| *value = value.max(0.0).ln_1p();
        match &self.logs {
            Logs::None => {}
            Logs::All => values.iter_mut().for_each(log),
            Logs::Places(places) => {
                values
                    .iter_mut()
                    .zip(places.iter().cycle())
                    .filter(|(_, count)| **count)
                    .for_each(|(value, _)| log(value));
            }
        }
        if self.unit {
            for example in values.chunks_exact_mut(self.width) {
                let squares: f64 = example.iter().map(|&value| f64::from(value).powi(2)).sum();
                let length = squares.max(f64::from(LEAST_SQUARES)).sqrt();
                for value in example {
                    *value = (f64::from(*value) / length) as f32;
                }
            }
        }
    }

    /// What the encoder is shown of examples [B, D] that are gathered, and so binarised.
    pub(super) fn encoder_input(self, graph: &mut Graph, x: Id) -> Result<Id> {
        let shown = match self.columns {
            Some(columns) => graph.add(Op::TableInput { x, columns })?,
            None => x,
        };
        if !self.unit {
            return Ok(shown);
        }
        let squares = graph.reduce_map(Reduction::Sum, Axis::Columns, [shown], |[x]| x.squared())?;
        graph.map([shown, squares], |[x, squares]| x / squares.max(LEAST_SQUARES).sqrt())
    }
}
