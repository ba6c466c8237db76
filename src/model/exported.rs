//! Graphs for files that other programs read. Of models of several stochastic layers noise is an input, and all layers stand side by
//! side, from the lowest up, as `elbo embed --layer all` has them.

use super::Model;
use super::stack::{Inferred, Networks};
use super::vae::NATURAL;
use crate::config::Likelihood;
use crate::error::Result;
use crate::graph::{Graph, Id, Op};
use crate::shape::Shape;

/// The input with the noise of all layers, [B, ΣZ].
pub const NOISE: &str = "noise";
/// Latents of all layers, [B, ΣZ], likewise.
pub const LATENTS: &str = "z";

impl Model {
    /// The posteriors of all layers of a batch and draws of them: input [`NOISE`]; outputs `mean` and `log_variance` within its
    /// range, both given what was drawn in the layers that each depends on, and [`LATENTS`], all [B, ΣZ].
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn encode_all(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let noise = self.all_layers(&mut graph, NOISE)?;
        let x = self.gather(&mut graph)?;
        let class = self.class(&mut graph, &networks, x)?;
        let Inferred { layers, .. } = self.infer(&mut graph, &networks, x, &noise, class)?;
        let ([mut means, mut log_variances, mut latents], clamp) = ([vec![], vec![], vec![]], self.clamp());
        for (drawn, width) in layers.iter().zip(self.latents()) {
            means.push(graph.columns(drawn.stats, 0, width)?);
            let log_variance = graph.columns(drawn.stats, width as i32, width)?;
            log_variances.push(graph.map([log_variance], |[it]| it.clamp(clamp.low, clamp.high))?);
            latents.push(drawn.z);
        }
        for (name, parts) in [("mean", means), ("log_variance", log_variances), (LATENTS, latents)] {
            let all = graph.concatenate(&parts)?;
            graph.output(name, all);
        }
        Ok(graph)
    }

    /// Draws of the prior from the top down, and what they stand for: input [`NOISE`], of a conditional model [`super::CLASS`] too;
    /// outputs [`LATENTS`] and `mean` of p(x|z).
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn sample_all(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let noise = self.all_layers(&mut graph, NOISE)?;
        let (latents, read) = if self.is_residual() {
            self.draw_groups_by(&mut graph, &networks, &noise)?
        } else {
            let latents = self.draw_by(&mut graph, &networks, &noise)?;
            let read = latents[0];
            (latents, read)
        };
        let all = graph.concatenate(&latents)?;
        graph.output(LATENTS, all);
        self.decoded_for_export(&mut graph, &networks, read)?;
        Ok(graph)
    }

    /// Latents of all groups of a residual hierarchy, decoded: input [`LATENTS`], of a conditional model [`super::CLASS`] too, output
    /// `mean` of p(x|z).
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn decode_all(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let z = self.all_layers(&mut graph, LATENTS)?;
        let class = self.given_class(&mut graph)?;
        let read = self.read_again(&mut graph, &networks, &z, class)?;
        self.decoded_for_export(&mut graph, &networks, read)?;
        Ok(graph)
    }

    /// The same as [`Model::decode`] for files that other programs read.
    ///
    /// # Errors
    /// Those of [`Model::networks`].
    pub fn decode_for_export(&self, batch: usize) -> Result<Graph> {
        let mut graph = Graph::new(batch);
        let networks = self.declare(&mut graph)?;
        let z = graph.add(Op::Input { name: LATENTS.into(), shape: Shape::new(&[batch, self.config.latent]) })?;
        self.decoded_for_export(&mut graph, &networks, z)?;
        Ok(graph)
    }

    /// Adds the output `mean`, and [`NATURAL`] where the mean is a formula that does not say all of p(x|z).
    fn decoded_for_export(&self, graph: &mut Graph, networks: &Networks, read: Id) -> Result<()> {
        let out = self.decoded(graph, networks, read)?;
        if self.config.likelihood == Likelihood::ZeroInflatedNegativeBinomial {
            graph.output(NATURAL, out);
        }
        Ok(())
    }

    /// The layers of an input [B, ΣZ].
    fn all_layers(&self, graph: &mut Graph, name: &str) -> Result<Vec<Id>> {
        let widths = self.latents();
        let shape = Shape::new(&[graph.batch, widths.iter().sum()]);
        let all = graph.add(Op::Input { name: name.into(), shape })?;
        let mut start = 0;
        let part = |width: usize| {
            start += width as i32;
            graph.columns(all, start - width as i32, width)
        };
        widths.into_iter().map(part).collect()
    }
}
