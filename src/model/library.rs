//! Library sizes: the counts of an example are many or few together because more or less of it was read (the depth of sequencing
//! of a cell), which is no property of what it is. Where `model.library_size = observed` the mean of a count is the total of its
//! example times a share, and the decoder says the shares: log mean = log L + l − log Σ exp l, with L = Σ x (Lopez, Regier, Cole,
//! Jordan, Yosef 2018, methods; in scvi-tools `use_observed_lib_size`, its default).
//!
//! Where there is no example – draws, latents that are decoded – L is the median of the training part, whose logarithm is the
//! parameter [`LIBRARY`], which nothing trains.

use super::Model;
use crate::config::{LibrarySize, ModelConfig};
use crate::error::Result;
use crate::graph::{Axis, Graph, Id, Reduction};
use crate::shape::Shape;

/// The name of the tensor with the logarithm of the library size that stands where there is no example, [1].
pub const LIBRARY: &str = "log_library";

/// Whether means are shares of the total of an example.
pub fn is_observed(config: &ModelConfig) -> bool {
    config.library_size == LibrarySize::Observed
}

impl Model {
    /// Whether means are shares of the total of an example.
    pub fn has_library(&self) -> bool {
        is_observed(&self.config)
    }

    /// The parameter, where there is one.
    pub(super) fn library_tensor(&self, graph: &mut Graph) -> Result<Option<Id>> {
        if !self.has_library() {
            return Ok(None);
        }
        let tensor = graph.parameter(LIBRARY, Shape::new(&[1]))?;
        graph.reshape(tensor, &[1, 1]).map(Some)
    }

    /// What the decoder's network put out, [R, O], for examples [B, D]: the logarithms of shares become those of means.
    pub(super) fn with_library_of(&self, graph: &mut Graph, out: Id, x: Id) -> Result<Id> {
        if !self.has_library() {
            return Ok(out);
        }
        let total = graph.reduce(Reduction::Sum, Axis::Columns, x)?;
        // An example without any count has one of 1, whose logarithm is a number.
        let log = graph.map([total], |[total]| total.max(1.0).ln())?;
        self.with_library(graph, out, Some(log))
    }

    /// The same for logarithms of library sizes, of examples [B] or one for all, [1].
    pub(super) fn with_library(&self, graph: &mut Graph, out: Id, library: Option<Id>) -> Result<Id> {
        let Some(library) = library else { return Ok(out) };
        let (width, wide) = (self.width, graph.shape(out).columns());
        let shares = if wide == width { out } else { graph.columns(out, 0, width)? };
        let whole = graph.reduce(Reduction::LogSumExp, Axis::Columns, shares)?;
        let means = graph.map([shares, whole, library], |[share, whole, library]| share - whole + library)?;
        if wide == width {
            return Ok(means);
        }
        let rest = graph.columns(out, width as i32, wide - width)?;
        graph.concatenate(&[means, rest])
    }
}
