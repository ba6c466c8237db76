//! The posterior: samples, KL terms, their gradients, and importance weights.

use super::{Dispatch, Lowering};
use crate::error::{Error, Result};
use crate::graph::{Id, Op};
use crate::kernels;
use crate::plan::View;

impl Lowering<'_> {
    pub(super) fn sample(&mut self, sample: Id, kl: Option<Id>) {
        use kernels::sample::{KERNEL, Params, grid};
        let Op::Sample { stats, eps, clamp } = *self.graph.op(sample) else { return };
        let (rows, latent, of) = (self.shape(eps).rows(), self.shape(eps).columns(), self.shape(stats).rows());
        let p = Params {
            rows: of as u32,
            latent: latent as u32,
            per_example: (rows / of) as u32,
            low: clamp.low,
            high: clamp.high,
        };
        let draw = u32::from(self.draws(sample).is_some());
        let kl = match kl {
            Some(kl) => self.split(kl),
            None => View { split: true, ..self.scratch(of) },
        };
        let views = vec![self.order(), self.split(stats), self.split(eps), self.split(sample), kl];
        let (unit, what) = (self.unit(of), "sample z, KL");
        let dispatch = Dispatch { kernel: &KERNEL, consts: &[draw], outer: of, unit, grid: grid(&p), what };
        self.push(&dispatch, &p, views);
    }

    /// A KL term whose posterior is not sampled: the same kernel, whose samples nobody reads.
    pub(super) fn kl_alone(&mut self, kl: Id) -> Result<()> {
        use kernels::sample::{KERNEL, Params, grid};
        let Op::Kl { stats, clamp } = *self.graph.op(kl) else {
            return Err(Error::Bug("only a KL term stands alone".into()));
        };
        let (batch, latent) = (self.graph.batch, self.shape(stats).columns() / 2);
        if self.shape(stats).rows() != batch {
            return Err(Error::Bug("a KL term without samples is one of whole examples".into()));
        }
        let p = Params { rows: batch as u32, latent: latent as u32, per_example: 1, low: clamp.low, high: clamp.high };
        let (eps, z) = (self.scratch(batch * latent), self.scratch(batch * latent));
        let [eps, z] = [eps, z].map(|view| View { split: true, ..view });
        let views = vec![self.order(), self.split(stats), eps, z, self.split(kl)];
        let dispatch = Dispatch { kernel: &KERNEL, consts: &[1], outer: batch, unit: 1, grid: grid(&p), what: "KL" };
        self.push(&dispatch, &p, views);
        Ok(())
    }

    pub(super) fn posterior_grad(&mut self, out: Id, sample: Option<Id>, kl: Option<Id>) {
        use kernels::posterior_grad::{KERNEL, Params, grid};
        let nothing = self.nothing();
        let of = self.shape(out).rows();
        let (mut views, mut g, mut rows) = (vec![nothing; 3], None, of);
        let mut limits = None;
        let graph = self.graph;
        if let Some((&Op::Sample { stats, eps, clamp }, Some((_, dz)))) = sample.map(|id| graph.forward(id)) {
            views = vec![self.split(stats), self.split(eps), self.split(dz)];
            rows = self.shape(eps).rows();
            limits = Some(clamp);
        }
        if let Some((&Op::Kl { stats, clamp }, Some((_, rows_g)))) = kl.map(|id| graph.forward(id)) {
            views[0] = self.split(stats);
            g = Some(rows_g);
            limits = Some(clamp);
        }
        let Some(clamp) = limits else { return };
        // What a row weighs is computed for whole examples; of more statistics it is read.
        let (g, uniform, weight) = match g {
            Some(g) if of != self.graph.batch => (self.split(g), 0, 0),
            g => self.row_gradient(g),
        };
        views.extend([g, self.split(out)]);
        let p = Params {
            rows: of as u32,
            latent: self.shape(out).columns() as u32 / 2,
            per_example: (rows / of) as u32,
            weight,
            low: clamp.low,
            high: clamp.high,
        };
        let consts = [u32::from(sample.is_some()), u32::from(kl.is_some()), uniform];
        let (unit, grid, what) = (self.unit(of), grid(&p), "d posterior");
        self.push(&Dispatch { kernel: &KERNEL, consts: &consts, outer: of, unit, grid, what }, &p, views);
    }

    pub(super) fn log_ratio(&mut self, id: Id) {
        use kernels::log_ratio::{KERNEL, Params, grid};
        let Op::LogRatio { stats, eps, z, clamp } = *self.graph.op(id) else { return };
        let (rows, latent) = (self.shape(z).rows(), self.shape(z).columns());
        let p = Params {
            rows: rows as u32,
            latent: latent as u32,
            per_example: (rows / self.shape(stats).rows()) as u32,
            low: clamp.low,
            high: clamp.high,
        };
        let views = vec![self.split(stats), self.split(eps), self.split(z), self.split(id)];
        let unit = self.unit(rows);
        let dispatch =
            Dispatch { kernel: &KERNEL, consts: &[], outer: rows, unit, grid: grid(&p), what: "log q(z|x)/p(z)" };
        self.push(&dispatch, &p, views);
    }

    pub(super) fn log_mean_exp(&mut self, id: Id, distortion: Id, ratio: Id) {
        use kernels::log_mean_exp::{KERNEL, Params, grid};
        let outer = self.graph.batch;
        let p = Params { rows: outer as u32, per_example: self.per_example(self.shape(ratio).rows()) };
        let views = vec![self.split(distortion), self.split(ratio), self.split(id)];
        let dispatch = Dispatch { kernel: &KERNEL, consts: &[], outer, unit: 1, grid: grid(&p), what: "log-mean-exp" };
        self.push(&dispatch, &p, views);
    }
}
