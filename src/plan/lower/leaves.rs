//! Tensors that come from outside the graph: the batch's examples, noise, and what each row weighs.

use super::{Dispatch, Lowering};
use crate::config::Binarise;
use crate::graph::op::Source;
use crate::graph::{Id, Op};
use crate::kernels;
use crate::plan::{Role, View};
use std::collections::BTreeSet;

impl Lowering<'_> {
    pub(super) fn order(&mut self) -> View {
        self.whole(Role::Order, self.resident.order_words)
    }

    pub(super) fn gather(&mut self, id: Id, width: usize, source: &Source, binarise: Binarise) {
        use kernels::gather::{BYTES, FLOATS, KERNEL, Params, grid};
        let rows = self.graph.batch;
        let window = self.resident.window;
        let (stored, stride) = match source {
            // Rows of a window begin at whole words, so that each can be written alone.
            Source::Bytes => (Some(BYTES), if window > 0 { width.next_multiple_of(4) } else { width }),
            Source::Floats | Source::Tokens(_) => (Some(FLOATS), width),
            Source::Codes(columns) => (None, columns.len()),
            Source::Sparse(words) => (None, *words),
        };
        let p = Params { rows: rows as u32, width: width as u32, window: window as u32, stride: stride as u32 };
        let binarise = match (source, binarise) {
            // Nothing is binarised of what has no zeros: `Model::with` sees to it.
            (Source::Sparse(_), _) => None,
            (_, Binarise::None) => Some(0),
            (_, Binarise::Threshold) => Some(1),
            (_, Binarise::Dynamic) => Some(2),
        };
        let role = if window > 0 { Role::Window } else { Role::Data };
        let mut views = vec![self.order(), self.whole(role, self.resident.data_words)];
        let (kernel, what) = match source {
            Source::Bytes | Source::Floats | Source::Tokens(_) => (&KERNEL, "gather"),
            Source::Sparse(_) => (&kernels::gather_sparse::KERNEL, "gather, entries among zeros"),
            Source::Codes(columns) => {
                let places = kernels::gather_codes::layout(columns);
                let count = places.len();
                views.push(self.whole(Role::Constants(places), count));
                (&kernels::gather_codes::KERNEL, "gather, categories as ones among zeros")
            }
        };
        views.push(self.split(id));
        let consts: Vec<u32> = stored.into_iter().chain(binarise).collect();
        self.push(&Dispatch { kernel, consts: &consts, outer: rows, unit: 1, grid: grid(&p), what }, &p, views);
    }

    /// The class of each example: a data set of one float for each, of which all are on the device.
    pub(super) fn class(&mut self, id: Id) {
        use kernels::gather::{FLOATS, KEEP, KERNEL, Params, grid};
        let rows = self.graph.batch;
        let p = Params { rows: rows as u32, width: 1, window: 0, stride: 1 };
        let views = vec![self.order(), self.whole(Role::Labels, self.resident.order_words), self.split(id)];
        let consts = [FLOATS, KEEP];
        let dispatch =
            Dispatch { kernel: &KERNEL, consts: &consts, outer: rows, unit: 1, grid: grid(&p), what: "gather classes" };
        self.push(&dispatch, &p, views);
    }

    /// Rows with the class of their example, or gradients of such rows without it.
    pub(super) fn with_class(&mut self, id: Id, x: Id, class: Option<Id>) {
        use kernels::with_class::{KERNEL, Params, grid};
        let (rows, read, made) = (self.shape(x).rows(), self.shape(x).columns(), self.shape(id).columns());
        let p = Params {
            rows: rows as u32,
            width: read.min(made) as u32,
            classes: read.abs_diff(made) as u32,
            per_example: self.per_example(rows),
        };
        let remove = class.is_none();
        let of = match class {
            Some(class) => self.split(class),
            None => self.nothing(),
        };
        let (views, unit, consts) = (vec![self.split(x), of, self.split(id)], self.unit(rows), [u32::from(remove)]);
        let (grid, what) = (grid(&p, remove), if remove { "without classes" } else { "with classes" });
        self.push(&Dispatch { kernel: &KERNEL, consts: &consts, outer: rows, unit, grid, what }, &p, views);
    }

    pub(super) fn noise(&mut self, id: Id, live: &BTreeSet<Id>) {
        use kernels::noise::{KERNEL, Params, grid};
        let Op::Noise { rows, width, layer } = *self.graph.op(id) else { return };
        // `sample` draws its own noise; what remains is noise that something else reads.
        if live.iter().any(|&reader| self.draws(reader) == Some(id)) {
            return;
        }
        let per_example = self.per_example(rows);
        let p = Params { rows: rows as u32, width: width as u32, per_example, layer: layer as u32 };
        let views = vec![self.order(), self.split(id)];
        let unit = self.unit(rows);
        let dispatch = Dispatch { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "noise" };
        self.push(&dispatch, &p, views);
    }

    /// The noise that a sample draws itself: that of the lowest stochastic layer, for statistics of whole examples.
    pub(super) fn draws(&self, sample: Id) -> Option<Id> {
        match *self.graph.op(sample) {
            Op::Sample { stats, eps, .. } if self.shape(stats).rows() == self.graph.batch => {
                matches!(self.graph.op(eps), Op::Noise { layer: 0, .. }).then_some(eps)
            }
            _ => None,
        }
    }

    /// What each row weighs, for those who read it: most kernels of gradients compute these weights themselves and never
    /// ask for the place of the tensor.
    pub(super) fn row_weights(&mut self, view: View, rows: usize, weight: usize) {
        use kernels::row_weights::{KERNEL, Params, grid};
        let p = Params { rows: rows as u32, per_example: self.per_example(rows), weight: weight as u32 };
        let views = vec![View { split: true, ..view }];
        let unit = self.unit(rows);
        let dispatch =
            Dispatch { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "row weights" };
        self.push(&dispatch, &p, views);
    }
}
