//! Stochastic layers on top of each other (Burda, Grosse and Salakhutdinov 2015, section 2): how a pass goes up through
//! them, what each of them costs, and how latents are drawn from the top down. The plain VAE is the case of one.
//!
//! z1 is the lowest, which the decoder reads, and has the posterior of the model; zL the highest, which has its prior. An encoder gives the statistics of
//! q(z1|x), those above it those of q(zₗ|zₗ₋₁); a decoder gives x from z1, those above it the statistics of p(zₗ|zₗ₊₁). With K
//! samples of each example, everything above q(z1|x) has R = B·K rows.
//!
//! The rate of a layer is log q(zₗ|zₗ₋₁) − log p(zₗ|zₗ₊₁). Of the highest its mean over zL has a closed form, the KL
//! divergence, which the ELBO takes; of the others there is none, since their prior hangs on a sample, and neither has a
//! bound of importance weights any use for one: there it is the difference at the sample.

use super::network::{self, Map, Step};
use super::parts::Tensor;
use super::posterior::{Given, Transformed};
use super::{Model, likelihood};
use crate::error::Result;
use crate::graph::{Graph, Id, Op};
use crate::shape::Shape;

/// The steps of a network and its trainable tensors.
type Network = (Vec<Step>, Vec<Id>);

/// All networks with the trainable tensors of a graph, from the data up.
pub(super) struct Networks {
    encoders: Vec<Network>,
    decoders: Vec<Network>,
    /// What the lowest decoder has for all examples: [`likelihood::global`].
    pub shared: Option<Id>,
    /// The tensors of the posterior.
    posterior: Vec<Id>,
    /// The tensors of the prior.
    pub prior: Vec<Id>,
    /// Those of the discriminator, if there is one.
    pub discriminator: Vec<Id>,
}

/// What the lowest encoder puts out for examples.
#[derive(Clone, Copy)]
pub(super) struct Encoded {
    /// Mean and log-variance before the clamp, [B, 2Z].
    pub stats: Id,
    /// What else the posterior wants to know, [B, C]; where it wants nothing, the same as `stats`.
    context: Id,
}

impl Networks {
    /// What the lowest decoder puts out for latents [R, Z], and their classes [B] if there are any.
    ///
    /// # Errors
    /// None for latents of the lowest layer's width.
    pub fn decode(&self, graph: &mut Graph, z: Id, class: Option<Id>) -> Result<Id> {
        let (steps, weights) = &self.decoders[0];
        network::apply(graph, z, steps, weights, class)
    }
}

/// What was drawn in one stochastic layer.
#[derive(Clone, Copy)]
pub(super) struct Drawn {
    /// The statistics of q, [B, 2Z] of the lowest layer and [R, 2Z] of others.
    pub stats: Id,
    /// Its noise, [R, Z].
    pub eps: Id,
    /// The latents, [R, Z].
    pub z: Id,
    /// The logarithm of how much the posterior stretched space on the way from the normal distribution of `stats`, [R]; nothing
    /// where it did not.
    log_det: Option<Id>,
}

/// What a graph of the whole model made.
pub(super) struct Pass {
    pub x: Id,
    /// What the lowest encoder says.
    pub encoded: Encoded,
    /// The lowest first.
    pub layers: Vec<Drawn>,
    /// The statistics of p(zₗ|zₗ₊₁) of all layers but the highest, [R, 2Z].
    pub priors: Vec<Id>,
    /// What the decoder puts out.
    pub out: Id,
    /// What density and draws of the highest layer's prior are computed from.
    pub prior: Vec<Id>,
    /// Those of the discriminator, if there is one.
    pub discriminator: Vec<Id>,
}

impl Pass {
    pub fn lowest(&self) -> Drawn {
        self.layers[0]
    }
}

impl Model {
    /// The latent dimensions of each stochastic layer, the lowest first.
    pub fn latents(&self) -> Vec<usize> {
        let above = self.config.levels().unwrap_or_default();
        std::iter::once(self.config.latent).chain(above.into_iter().map(|level| level.latent)).collect()
    }

    /// The steps of all encoders and of all decoders, from the data up.
    fn stack(&self) -> Result<[Vec<Vec<Step>>; 2]> {
        let [encoder, decoder] = self.networks()?;
        let (mut encoders, mut decoders) = (vec![encoder], vec![decoder]);
        for [up, down] in network::between(&self.config)? {
            encoders.push(up);
            decoders.push(down);
        }
        Ok([encoders, decoders])
    }

    /// The trainable maps in the order of [`Model::parameters`]: up through the encoders, then down through the decoders.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) where layers do not fit together; never of a model that
    /// [`Model::with`] made.
    pub(super) fn all_maps(&self) -> Result<Vec<Map>> {
        let [encoders, decoders] = self.stack()?;
        Ok(encoders.iter().chain(decoders.iter().rev()).flat_map(|steps| network::maps(steps).cloned()).collect())
    }

    /// Every graph of a model declares all its parameters, so that all plans agree on where they lie.
    pub(super) fn declare(&self, graph: &mut Graph) -> Result<Networks> {
        let [encoders, decoders] = self.stack()?;
        let mut declared = |steps: Vec<Step>| network::declare(graph, &steps).map(|weights| (steps, weights));
        let encoders = encoders.into_iter().map(&mut declared).collect::<Result<_>>()?;
        let mut decoders = decoders.into_iter().rev().map(declared).collect::<Result<Vec<_>>>()?;
        decoders.reverse();
        let shared = likelihood::global(self).map(|global| graph.parameter(global.name, Shape::new(&[global.count])));
        let shared = shared.transpose()?;
        let mut tensors = |all: Vec<Tensor>| -> Result<Vec<Id>> {
            all.into_iter().map(|tensor| graph.parameter(&tensor.name, tensor.shape)).collect()
        };
        let (posterior, prior) = (tensors(self.posterior_tensors())?, tensors(self.prior_tensors())?);
        let discriminator = self.discriminator();
        let discriminator = discriminator.iter().map(|map| graph.parameter(&map.name, map.shape()));
        let discriminator = discriminator.collect::<Result<_>>()?;
        Ok(Networks { encoders, decoders, shared, posterior, prior, discriminator })
    }

    /// What density and draws of the prior are computed from: its tensors, or what the encoder says of those that are examples.
    pub(super) fn prior_parts(&self, graph: &mut Graph, networks: &Networks) -> Result<Vec<Id>> {
        let mut parts = networks.prior.clone();
        if self.prior().encoded {
            let (steps, weights) = &networks.encoders[0];
            // The prior of a step is one distribution: nothing is left out on the way to it.
            let training = std::mem::replace(&mut graph.training, false);
            parts[0] = network::apply(graph, parts[0], steps, weights, None)?;
            graph.training = training;
        }
        Ok(parts)
    }

    /// Standard normal noise for every layer, with `samples` latent samples per example.
    pub(super) fn noise(&self, graph: &mut Graph, samples: usize) -> Result<Vec<Id>> {
        let rows = graph.batch * samples;
        let noise = |(layer, width): (usize, usize)| graph.add(Op::Noise { rows, width, layer });
        self.latents().into_iter().enumerate().map(noise).collect()
    }

    /// Noise that the host gives: inputs `name`, `name 2`, … [R, Z].
    pub(super) fn given_noise(&self, graph: &mut Graph, name: &str, samples: usize) -> Result<Vec<Id>> {
        let rows = graph.batch * samples;
        let noise = |(layer, width): (usize, usize)| {
            let name = if layer == 0 { name.to_owned() } else { format!("{name} {}", layer + 1) };
            graph.add(Op::Input { name, shape: Shape::new(&[rows, width]) })
        };
        self.latents().into_iter().enumerate().map(noise).collect()
    }

    /// What the lowest encoder says of examples [B, D] and their classes [B].
    pub(super) fn encoder(&self, graph: &mut Graph, networks: &Networks, x: Id, class: Option<Id>) -> Result<Encoded> {
        let shown = self.presentation().shown(graph, x)?;
        let (steps, weights) = &networks.encoders[0];
        let out = network::apply(graph, shown, steps, weights, class)?;
        let (latent, context) = (self.config.latent, (self.posterior().context)(&self.config));
        if context == 0 {
            return Ok(Encoded { stats: out, context: out });
        }
        let stats = graph.columns(out, 0, 2 * latent)?;
        Ok(Encoded { stats, context: graph.columns(out, 2 * latent as i32, context)? })
    }

    /// Latents of the lowest layer, [R, Z], from what its encoder says and noise [R, Z].
    pub(super) fn drawn(&self, graph: &mut Graph, networks: &Networks, of: Encoded, eps: Id) -> Result<Drawn> {
        let given = Given { stats: of.stats, context: of.context, eps, parameters: &networks.posterior };
        let Transformed { z, log_det } = self.latents_of(graph, &given)?;
        Ok(Drawn { stats: of.stats, eps, z, log_det })
    }

    /// The latents that stand for examples by themselves, without noise, [B, Z]: those of the input `zero noise`, which is never
    /// written.
    pub(super) fn location(&self, graph: &mut Graph, networks: &Networks, of: Encoded) -> Result<Id> {
        let zeros = Shape::new(&[graph.batch, self.config.latent]);
        let eps = graph.add(Op::Input { name: "zero noise".into(), shape: zeros })?;
        Ok(self.drawn(graph, networks, of, eps)?.z)
    }

    /// Examples up through all layers with the noise of each, and down again.
    pub(super) fn through(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        noise: &[Id],
        class: Option<Id>,
    ) -> Result<Pass> {
        let encoded = self.encoder(graph, networks, x, class)?;
        let mut layers = vec![self.drawn(graph, networks, encoded, noise[0])?];
        for (&eps, (steps, weights)) in noise.iter().zip(&networks.encoders).skip(1) {
            let stats = network::apply(graph, layers[layers.len() - 1].z, steps, weights, None)?;
            let z = graph.add(Op::Sample { stats, eps, clamp: self.clamp() })?;
            layers.push(Drawn { stats, eps, z, log_det: None });
        }
        let mut priors = Vec::new();
        for (above, (steps, weights)) in layers.iter().zip(&networks.decoders).skip(1) {
            priors.push(network::apply(graph, above.z, steps, weights, None)?);
        }
        let out = networks.decode(graph, layers[0].z, class)?;
        let out = likelihood::complete(graph, self, out, networks.shared)?;
        let prior = self.prior_parts(graph, networks)?;
        Ok(Pass { x, encoded, layers, priors, out, prior, discriminator: networks.discriminator.clone() })
    }

    /// log q(zₗ|zₗ₋₁) − log p(zₗ|zₗ₊₁) at the samples of a layer, counted from 0, [R].
    fn log_ratio(&self, graph: &mut Graph, pass: &Pass, layer: usize) -> Result<Id> {
        let (Drawn { stats, eps, z, log_det }, clamp) = (pass.layers[layer], self.clamp());
        let ratio = graph.add(Op::LogRatio { stats, eps, z, clamp })?;
        let ratio = match log_det {
            Some(stretched) => graph.map([ratio, stretched], |[ratio, stretched]| ratio - stretched)?,
            None => ratio,
        };
        let Some(&prior) = pass.priors.get(layer) else { return self.with_prior(graph, &pass.prior, ratio, z) };
        let above = graph.add(Op::LogPrior { z, prior, clamp })?;
        graph.add(Op::Add { a: ratio, b: above })
    }

    /// The same of all layers, the lowest first.
    pub(super) fn log_ratios(&self, graph: &mut Graph, pass: &Pass) -> Result<Vec<Id>> {
        (0..pass.layers.len()).map(|layer| self.log_ratio(graph, pass, layer)).collect()
    }

    /// The rate of each layer, of the highest by its closed form if it has one: [B] of one layer that has it, else [R].
    pub(super) fn rates(&self, graph: &mut Graph, pass: &Pass) -> Result<Vec<Id>> {
        let wanted = pass.priors.len() + usize::from(!self.has_closed_rate());
        let lower: Vec<Id> = (0..wanted).map(|layer| self.log_ratio(graph, pass, layer)).collect::<Result<_>>()?;
        self.rates_with(graph, pass, &lower)
    }

    /// The same from the log ratios of the layers below the highest, where there are such already.
    pub(super) fn rates_with(&self, graph: &mut Graph, pass: &Pass, ratios: &[Id]) -> Result<Vec<Id>> {
        let stats = pass.layers[pass.priors.len()].stats;
        let ratio = ratios.get(pass.priors.len()).copied();
        let highest = self.highest_rate(graph, &pass.prior, stats, ratio)?;
        Ok(ratios[..pass.priors.len()].iter().copied().chain([highest]).collect())
    }

    /// Latents of the lowest layer, [B, Z], drawn from the top down.
    pub(super) fn ancestral(&self, graph: &mut Graph, networks: &Networks) -> Result<Id> {
        let noise = self.noise(graph, 1)?;
        let parts = self.prior_parts(graph, networks)?;
        let mut z = (self.prior().sample)(graph, self, &parts, noise[noise.len() - 1])?;
        for (&eps, (steps, weights)) in noise[..noise.len() - 1].iter().zip(&networks.decoders[1..]).rev() {
            let stats = network::apply(graph, z, steps, weights, None)?;
            z = graph.add(Op::Sample { stats, eps, clamp: self.clamp() })?;
        }
        Ok(z)
    }
}

/// The sum of numbers per row.
pub(super) fn sum(graph: &mut Graph, parts: &[Id]) -> Result<Id> {
    let mut all = parts[0];
    for &b in &parts[1..] {
        all = graph.add(Op::Add { a: all, b })?;
    }
    Ok(all)
}
