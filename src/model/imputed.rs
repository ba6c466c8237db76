//! Latents of examples of which something is missing, with their importance weights (Mattei and Frellsen 2019, arXiv 1812.02633,
//! eqs. 12 and 13).
//!
//! An encoder is surer of its latents than an example allows that it knows little of, and samples of it alone miss what else they
//! could be. So a share α of the samples of each example may come from the prior, and all are weighed by the mixture that they are
//! draws of, (1 − α) q + α p: a defensive mixture (Hesterberg, "Weighted average importance sampling and defensive mixture
//! distributions", 1995), under which no weight exceeds p(x|z)/α.

use super::stack::{Inferred, sum};
use super::vae::{CLASS, sized};
use super::{Model, likelihood};
use crate::config::Prior;
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Graph, Id, Op};
use crate::shape::Shape;

/// The largest log ratio of two densities that is told apart from larger ones: its exponential is finite.
const LARGEST: f32 = 80.0;

impl Model {
    /// Whether [`Model::impute`] takes latents from the prior too: where the density of the posterior is known at any latent, and
    /// draws of the prior are made of the noise that is given alone.
    pub fn imputes_from_prior(&self) -> bool {
        let by_noise = !matches!(self.config.prior, Prior::Mixture | Prior::Vamp);
        by_noise && self.latents().len() == 1 && self.has_gaussian_posterior()
    }

    /// Latents from what is known of examples, weighed by what is there of them. The posterior is that of the input `seen`
    /// [B, D], in which what is missing may have been filled, the weight that of the input `x` [B, D], in which it is NaN; `noise`
    /// [B·K, Z] (further stochastic layers: `noise 2`) and of a conditional model `class` [B] are inputs too, and where
    /// [`Model::imputes_from_prior`] `from prior` [B·K, 2]: 1 for a sample that is drawn from the prior and 0 for others, and the
    /// share α of such samples among those of its example. Outputs, for each of `samples` samples of each example: `out` [B·K, O] as
    /// in [`Model::natural`], and `log weights` [B·K], log p(x|z) − log((1 − α) q(z|seen)/p(z) + α). All names are those of
    /// [`sized`].
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn impute(&self, batch: usize, samples: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let name = |what| sized(what, batch, samples);
        let mut input = |what, extents: &[usize]| graph.add(Op::Input { name: name(what), shape: Shape::new(extents) });
        let [seen, x] = [input("seen", &[batch, self.width])?, input("x", &[batch, self.width])?];
        let class = if self.classes == 0 { None } else { Some(input(CLASS, &[batch])?) };
        let from_prior =
            if self.imputes_from_prior() { Some(input("from prior", &[batch * samples, 2])?) } else { None };
        let mut noise = self.given_noise(&mut graph, &name("noise"), samples)?;
        let inferred = match from_prior {
            None => self.infer(&mut graph, &networks, seen, &noise, class)?,
            Some(from_prior) => {
                let encoded = self.encoder(&mut graph, &networks, seen, class)?;
                let parts = self.prior_parts(&mut graph, &networks)?;
                let drawn = (self.prior().sample)(&mut graph, self, &parts, noise[0])?;
                noise[0] = self.as_noise(&mut graph, encoded.stats, [noise[0], drawn], from_prior)?;
                let drawn = self.drawn(&mut graph, &networks, encoded, noise[0])?;
                Inferred { encoded, layers: vec![drawn], priors: vec![], read: drawn.z }
            }
        };
        let pass = self.decoded_pass(&mut graph, &networks, seen, inferred, class)?;
        let distortion = likelihood::distortion(&mut graph, self, pass.out, x)?;
        let ratios = self.log_ratios(&mut graph, &pass)?;
        let ratio = sum(&mut graph, &ratios)?;
        let weights = match from_prior {
            None => graph.map([distortion, ratio], |[distortion, ratio]| Expr::constant(0.0) - distortion - ratio)?,
            Some(from_prior) => {
                let share = graph.columns(from_prior, 1, 1)?;
                let share = graph.reshape(share, &[batch * samples])?;
                graph.map([distortion, ratio, share], |[distortion, ratio, share]| {
                    let mixed = (1.0 - share.clone()) * ratio.min(LARGEST).exp() + share;
                    Expr::constant(0.0) - distortion - mixed.ln()
                })?
            }
        };
        graph.output(&name("out"), pass.out);
        graph.output(&name("log weights"), weights);
        Ok(graph)
    }

    /// The noise, [R, Z], by which the posterior of `stats` [B, 2Z] draws what was drawn from the prior, (z − μ)/σ, where the first
    /// column of `from_prior` [R, 2] says so, and elsewhere the noise that is given.
    fn as_noise(&self, graph: &mut Graph, stats: Id, [noise, drawn]: [Id; 2], from_prior: Id) -> Result<Id> {
        let (latent, clamp) = (self.config.latent, self.clamp());
        let (mean, log_variance) = (graph.columns(stats, 0, latent)?, graph.columns(stats, latent as i32, latent)?);
        let chosen = graph.columns(from_prior, 0, 1)?;
        graph.map([noise, drawn, mean, log_variance, chosen], |[noise, drawn, mean, log_variance, chosen]| {
            let held = log_variance.clamp(clamp.low, clamp.high);
            Expr::constant(0.5).less(chosen).select((drawn - mean) * (-0.5 * held).exp(), noise)
        })
    }
}
