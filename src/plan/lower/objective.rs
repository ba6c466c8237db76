//! Terms of objectives beyond the ELBO: shaped rates, importance-weighted bounds, their gradients.

use super::{Dispatch, Lowering};
use crate::graph::op::KlPenalty;
use crate::graph::{Id, Op};
use crate::kernels;

impl Lowering<'_> {
    pub(super) fn kl_means(&mut self, id: Id) {
        use kernels::kl_means::{KERNEL, Params, grid};
        let Op::KlMeans { stats, clamp, size } = *self.graph.op(id) else { return };
        let groups = self.shape(id).count();
        let p = Params {
            groups: groups as u32,
            size: size as u32,
            batch: self.graph.batch as u32,
            low: clamp.low,
            high: clamp.high,
        };
        let views = vec![self.place(stats), self.split(id)];
        let (outer, grid) = (groups, grid(&p));
        self.push(&Dispatch { kernel: &KERNEL, consts: &[], outer, unit: 1, grid, what: "mean KL" }, &p, views);
    }

    pub(super) fn shaped_kl(&mut self, id: Id) {
        use kernels::shaped_kl::{KERNEL, Params, grid};
        let (&Op::ShapedKl { stats, means, clamp, shape }, back) = self.graph.forward(id) else { return };
        let g = back.map(|(_, g)| g);
        let grad = u32::from(g.is_some());
        let (g, uniform, weight) = self.row_gradient(g);
        let (capped, capacity, bound) = match shape {
            KlPenalty::FreeBits { bound, .. } => (0, 0, bound),
            KlPenalty::Capacity { weight, .. } => (1, weight as u32, 0.0),
        };
        let p = Params {
            rows: self.graph.batch as u32,
            latent: self.shape(stats).columns() as u32 / 2,
            size: shape.size() as u32,
            weight,
            capacity,
            bound,
            low: clamp.low,
            high: clamp.high,
        };
        let views = vec![self.split(stats), self.place(means), g, self.split(id)];
        let (outer, grid, consts) = (self.graph.batch, grid(&p), [capped, grad, uniform]);
        let what = if grad == 1 { "d shaped KL" } else { "shaped KL" };
        self.push(&Dispatch { kernel: &KERNEL, consts: &consts, outer, unit: 1, grid, what }, &p, views);
    }

    pub(super) fn log_ratio_grad(&mut self, id: Id) {
        use kernels::log_ratio_grad::{KERNEL, Params, grid};
        let (&Op::LogRatio { stats, clamp, .. }, Some((_, g))) = self.graph.forward(id) else { return };
        let outer = self.shape(stats).rows();
        let p = Params {
            rows: outer as u32,
            latent: self.shape(stats).columns() as u32 / 2,
            per_example: (self.shape(g).rows() / outer) as u32,
            low: clamp.low,
            high: clamp.high,
        };
        let views = vec![self.split(stats), self.split(g), self.split(id)];
        let (unit, grid, what) = (self.unit(outer), grid(&p), "d log q(z|x)/p(z)");
        self.push(&Dispatch { kernel: &KERNEL, consts: &[], outer, unit, grid, what }, &p, views);
    }

    pub(super) fn log_prior(&mut self, id: Id) {
        use kernels::log_prior::{KERNEL, Params, SAMPLES, STATISTICS, VALUE, grid};
        let (&Op::LogPrior { z, prior, clamp }, back) = self.graph.forward(id) else { return };
        let of = back.map_or(VALUE, |(input, _)| if input == 0 { SAMPLES } else { STATISTICS });
        let g = back.map(|(_, g)| g);
        let (g, uniform, weight) = self.row_gradient(g);
        let (rows, latent) = (self.shape(z).rows(), self.shape(z).columns());
        let p = Params {
            rows: rows as u32,
            latent: latent as u32,
            per_example: self.per_example(rows),
            weight,
            low: clamp.low,
            high: clamp.high,
        };
        let views = vec![self.split(z), self.split(prior), g, self.split(id)];
        let (unit, grid, consts) = (self.unit(rows), grid(&p, of), [of, uniform]);
        let what = if of == VALUE { "log p(z|above)" } else { "d log p(z|above)" };
        self.push(&Dispatch { kernel: &KERNEL, consts: &consts, outer: rows, unit, grid, what }, &p, views);
    }

    pub(super) fn bound(&mut self, id: Id) {
        use kernels::bound::{KERNEL, Params, grid};
        let (&Op::Bound { distortion, ratio, size }, back) = self.graph.forward(id) else { return };
        let g = back.map(|(_, g)| g);
        let grad = u32::from(g.is_some());
        let (g, uniform, weight) = self.row_gradient(g);
        let groups = self.shape(ratio).rows() / size;
        let per_example = self.per_example(groups);
        let p = Params { groups: groups as u32, size: size as u32, per_example, weight };
        let views = vec![self.split(distortion), self.split(ratio), g, self.split(id)];
        let (outer, grid, consts) = (self.graph.batch, grid(&p), [grad, uniform]);
        let what = if grad == 1 { "importance weights" } else { "importance-weighted bound" };
        self.push(&Dispatch { kernel: &KERNEL, consts: &consts, outer, unit: 1, grid, what }, &p, views);
    }
}
