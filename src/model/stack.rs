//! Stochastic layers on top of each other (Burda, Grosse and Salakhutdinov 2015, section 2): how a pass goes up through
//! them, what each of them costs, and how latents are drawn from the top down. The plain VAE is the case of one.
//!
//! Where the posterior goes the other way, from the top down, it is a ladder ([`super::ladder`]).
//!
//! z1 is the lowest, which the decoder reads, and has the posterior of the model; zL the highest, which has its prior. An encoder gives the statistics of
//! q(z1|x), those above it those of q(zₗ|zₗ₋₁); a decoder gives x from z1, those above it the statistics of p(zₗ|zₗ₊₁). With K
//! samples of each example, everything above q(z1|x) has R = B·K rows.
//!
//! The rate of a layer is log q(zₗ|zₗ₋₁) − log p(zₗ|zₗ₊₁). Of the highest its mean over zL has a closed form, the KL
//! divergence, which the ELBO takes; of the others there is none, since their prior hangs on a sample, and neither has a
//! bound of importance weights any use for one: there it is the difference at the sample.

use super::network::{self, Map, Step, batch_norm};
use super::parts::Tensor;
use super::posterior::{Given, Transformed};
use super::spectral::Player;
use super::vae::of_layer;
use super::{Model, codebook, inferred, ladder, likelihood, sequence, topdown};
use crate::config::Hierarchy;
use crate::error::Result;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::shape::Shape;

/// The steps of a network and its trainable tensors.
pub(super) type Network = (Vec<Step>, Vec<Id>);

/// All networks with the trainable tensors of a graph, from the data up.
pub(super) struct Networks {
    pub encoders: Vec<Network>,
    pub decoders: Vec<Network>,
    /// Those of the groups of a residual hierarchy, which has no encoders but theirs and one decoder.
    pub groups: Vec<topdown::Group>,
    /// What the lowest decoder has for all examples: [`likelihood::global`].
    pub shared: Option<Id>,
    /// The tensors of the posterior.
    posterior: Vec<Id>,
    /// The tensors of the prior.
    pub prior: Vec<Id>,
    /// Those of the discriminator, if there is one.
    pub discriminator: Vec<Id>,
    /// The vectors of its spectral normalisation.
    pub spectral: Vec<Id>,
    /// Those of the codebook, if there is one.
    pub codebook: Vec<Id>,
    /// Those of the classifier, if there is one.
    pub classifier: Vec<Id>,
    /// log p(y), where it is a tensor.
    pub class_prior: Option<Id>,
    /// The logarithm of the library size that stands where there is no example, where means are shares of one.
    pub library: Option<Id>,
    /// Those of the recurrent layers of a model of sequences.
    pub recurrent: Vec<Id>,
}

/// What the lowest encoder puts out for examples.
#[derive(Clone, Copy)]
pub(super) struct Encoded {
    /// Mean and log-variance before the clamp, [B, 2Z].
    pub stats: Id,
    /// What else the posterior wants to know, [B, C]; where it wants nothing, the same as `stats`.
    pub context: Id,
}

impl Networks {
    /// What the lowest decoder puts out for latents [R, Z], of a residual hierarchy for the image that its groups leave, and their classes [B] if there are any.
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
pub(super) struct LatentSample {
    /// The statistics of q: [B, 2Z] of the layer that the posterior begins with, which is the lowest, of a ladder the highest, and
    /// [R, 2Z] of others.
    pub stats: Id,
    /// Its noise, [R, Z].
    pub eps: Id,
    /// The latents, [R, Z].
    pub z: Id,
    /// The logarithm of how much the posterior stretched space on the way from the normal distribution of `stats`, [R]; nothing
    /// where it did not.
    pub log_det: Option<Id>,
}

/// What posteriors and priors of all layers came to, given examples.
pub(super) struct Inferred {
    /// What the lowest encoder says.
    pub encoded: Encoded,
    /// The lowest first.
    pub layers: Vec<LatentSample>,
    /// The statistics of p(zₗ|zₗ₊₁) of all layers but the highest, [R, 2Z].
    pub priors: Vec<Id>,
    /// What the lowest decoder reads: the latents of the lowest layer, or what all groups of a residual hierarchy leave.
    pub read: Id,
}

/// What a graph of the whole model made.
pub(super) struct Forward {
    pub x: Id,
    /// What the lowest encoder says.
    pub encoded: Encoded,
    /// The lowest first.
    pub layers: Vec<LatentSample>,
    /// The statistics of p(zₗ|zₗ₊₁) of all layers but the highest, [R, 2Z].
    pub priors: Vec<Id>,
    /// What the decoder puts out.
    pub out: Id,
    /// What density and draws of the highest layer's prior are computed from.
    pub prior: Vec<Id>,
    /// The discriminator, if there is one.
    pub discriminator: Player,
}

impl Forward {
    pub fn lowest(&self) -> LatentSample {
        self.layers[0]
    }
}

impl Model {
    /// The latent dimensions of each stochastic layer, the lowest first.
    pub fn latents(&self) -> Vec<usize> {
        if self.is_residual() {
            let groups = self.top_down().map(|it| it.groups).unwrap_or_default();
            return groups.iter().map(|group| group.pixels() * group.latent).collect();
        }
        let above = self.config.levels().unwrap_or_default();
        std::iter::once(self.config.latent).chain(above.into_iter().map(|level| level.latent)).collect()
    }

    /// The steps of all encoders and of all decoders, from the data up.
    fn stack(&self) -> Result<[Vec<Vec<Step>>; 2]> {
        let [encoder, decoder] = self.networks()?;
        let (mut encoders, mut decoders) = (vec![encoder], vec![decoder]);
        for [up, down] in self.between()? {
            encoders.push(up);
            decoders.push(down);
        }
        Ok([encoders, decoders])
    }

    /// The networks between each stochastic layer and the one above it, from the lowest up: encoder and decoder.
    ///
    /// # Errors
    /// As those of [`Model::networks`].
    pub fn between(&self) -> Result<Vec<[Vec<Step>; 2]>> {
        if self.is_residual() {
            return Ok(vec![]);
        }
        let [encoder, _] = self.networks()?;
        network::between(&self.config, ladder::below_head(&encoder))
    }

    /// The trainable maps in the order of [`Model::parameters`]: up through the encoders, then down through the decoders.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::error::Error::Usage) where layers do not fit together; never of a model that
    /// [`Model::with`] made.
    pub(super) fn all_maps(&self) -> Result<Vec<Map>> {
        if self.is_residual() {
            return Ok(self.top_down()?.maps());
        }
        let [encoders, decoders] = self.stack()?;
        Ok(encoders.iter().chain(decoders.iter().rev()).flat_map(|steps| network::maps(steps).cloned()).collect())
    }

    /// Every graph of a model declares all its parameters, so that all plans agree on where they lie.
    pub(super) fn declare(&self, graph: &mut Graph) -> Result<Networks> {
        let (encoders, decoders, groups) = if self.is_residual() {
            let (groups, output) = self.declare_groups(graph)?;
            (vec![], vec![output], groups)
        } else {
            let [encoders, decoders] = self.stack()?;
            let mut declared = |steps: Vec<Step>| network::declare(graph, &steps).map(|weights| (steps, weights));
            let encoders = encoders.into_iter().map(&mut declared).collect::<Result<_>>()?;
            let mut decoders = decoders.into_iter().rev().map(declared).collect::<Result<Vec<_>>>()?;
            decoders.reverse();
            (encoders, decoders, vec![])
        };
        let shared = likelihood::global(self).map(|global| graph.parameter(global.name, Shape::new(&[global.count])));
        let shared = shared.transpose()?;
        let mut tensors = |all: Vec<Tensor>| -> Result<Vec<Id>> {
            all.into_iter().map(|tensor| graph.parameter(&tensor.name, tensor.shape)).collect()
        };
        let (posterior, prior) = (tensors(self.posterior_tensors())?, tensors(self.prior_tensors())?);
        let discriminator = self.discriminator();
        let discriminator = discriminator.iter().map(|map| graph.parameter(&map.name, map.shape()));
        let discriminator = discriminator.collect::<Result<_>>()?;
        let codebook = codebook::tensors(&self.config);
        let codebook = codebook.into_iter().map(|tensor| graph.parameter(&tensor.name, tensor.shape));
        let codebook = codebook.collect::<Result<_>>()?;
        let classifier = self.classifier();
        let classifier = classifier.iter().map(|map| graph.parameter(&map.name, map.shape())).collect::<Result<_>>()?;
        let recurrent = sequence::tensors(self);
        let recurrent = recurrent.into_iter().map(|tensor| graph.parameter(&tensor.name, tensor.shape));
        let recurrent = recurrent.collect::<Result<_>>()?;
        let class_prior = self.class_prior().map(|shape| graph.parameter(inferred::CLASS_PRIOR, shape)).transpose()?;
        let spectral = self.spectral_tensors().into_iter().map(|tensor| graph.parameter(&tensor.name, tensor.shape));
        let spectral = spectral.collect::<Result<_>>()?;
        for tensor in self.running_moments() {
            graph.parameter(&tensor.name, tensor.shape)?;
        }
        let library = self.library_tensor(graph)?;
        Ok(Networks {
            encoders,
            decoders,
            groups,
            shared,
            posterior,
            prior,
            discriminator,
            spectral,
            codebook,
            classifier,
            class_prior,
            library,
            recurrent,
        })
    }

    /// The running moments of what normalises batches.
    pub fn running_moments(&self) -> Vec<Tensor> {
        batch_norm::running(&self.maps())
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
            graph.add(Op::Input { name: of_layer(name, layer), shape: Shape::new(&[rows, width]) })
        };
        self.latents().into_iter().enumerate().map(noise).collect()
    }

    /// What the lowest encoder says of examples [B, D] and their classes [B].
    pub(super) fn encoder(&self, graph: &mut Graph, networks: &Networks, x: Id, class: Option<Id>) -> Result<Encoded> {
        let shown = if self.is_sequence() {
            self.read_through(graph, networks, x)?
        } else {
            self.presentation().encoder_input(graph, x)?
        };
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
    pub(super) fn drawn(&self, graph: &mut Graph, networks: &Networks, of: Encoded, eps: Id) -> Result<LatentSample> {
        let given = Given { stats: of.stats, context: of.context, eps, parameters: &networks.posterior };
        let Transformed { z, log_det } = self.latents_of(graph, &given)?;
        Ok(LatentSample { stats: of.stats, eps, z, log_det })
    }

    /// The latents that stand for examples by themselves, without noise, [B, Z]: those of the input `zero noise`, which is never
    /// written.
    pub(super) fn location(&self, graph: &mut Graph, networks: &Networks, of: Encoded) -> Result<Id> {
        let zeros = Shape::new(&[graph.batch, self.config.latent]);
        let eps = graph.add(Op::Input { name: "zero noise".into(), shape: zeros })?;
        Ok(self.drawn(graph, networks, of, eps)?.z)
    }

    /// What is drawn in all layers given examples, with the noise of each.
    pub(super) fn infer(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        noise: &[Id],
        class: Option<Id>,
    ) -> Result<Inferred> {
        match self.config.hierarchy {
            Hierarchy::Stacked => self.infer_upwards(graph, networks, x, noise, class),
            Hierarchy::Ladder => self.infer_downwards(graph, networks, x, noise, class),
            Hierarchy::Residual => self.infer_groups(graph, networks, x, noise, class),
        }
    }

    /// The same where each layer is given a sample of the one below.
    fn infer_upwards(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        noise: &[Id],
        class: Option<Id>,
    ) -> Result<Inferred> {
        let encoded = self.encoder(graph, networks, x, class)?;
        let mut layers = vec![self.drawn(graph, networks, encoded, noise[0])?];
        for (&eps, (steps, weights)) in noise.iter().zip(&networks.encoders).skip(1) {
            let stats = network::apply(graph, layers[layers.len() - 1].z, steps, weights, None)?;
            let z = graph.add(Op::Sample { stats, eps, clamp: self.clamp() })?;
            layers.push(LatentSample { stats, eps, z, log_det: None });
        }
        let mut priors = Vec::new();
        for (above, (steps, weights)) in layers.iter().zip(&networks.decoders).skip(1) {
            priors.push(network::apply(graph, above.z, steps, weights, None)?);
        }
        let read = layers[0].z;
        Ok(Inferred { encoded, layers, priors, read })
    }

    /// What stands for examples by itself in all layers: each is given the mean of the one below, in a ladder of the one above.
    pub(super) fn infer_means(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        class: Option<Id>,
    ) -> Result<Inferred> {
        let noise = self.given_noise(graph, "zero noise", 1)?;
        self.infer(graph, networks, x, &noise, class)
    }

    /// Examples through all layers with the noise of each, and down again.
    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        noise: &[Id],
        class: Option<Id>,
    ) -> Result<Forward> {
        let inferred = self.infer(graph, networks, x, noise, class)?;
        self.decoded_pass(graph, networks, x, inferred, class)
    }

    /// The same from what was drawn.
    pub(super) fn decoded_pass(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        Inferred { encoded, layers, priors, read }: Inferred,
        class: Option<Id>,
    ) -> Result<Forward> {
        let out = if self.is_sequence() {
            self.told_before(graph, networks, layers[0].z, x)?
        } else {
            networks.decode(graph, read, class)?
        };
        let out = self.with_library_of(graph, out, x)?;
        let out = likelihood::append_globals(graph, self, out, networks.shared)?;
        let prior = self.prior_parts(graph, networks)?;
        let discriminator = self.player(graph, &networks.discriminator, &networks.spectral)?;
        Ok(Forward { x, encoded, layers, priors, out, prior, discriminator })
    }

    /// log q(zₗ|zₗ₋₁) − log p(zₗ|zₗ₊₁) at the samples of a layer, counted from 0, [R].
    fn log_ratio(&self, graph: &mut Graph, pass: &Forward, layer: usize) -> Result<Id> {
        let (LatentSample { stats, eps, z, log_det }, clamp) = (pass.layers[layer], self.clamp());
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
    pub(super) fn log_ratios(&self, graph: &mut Graph, pass: &Forward) -> Result<Vec<Id>> {
        (0..pass.layers.len()).map(|layer| self.log_ratio(graph, pass, layer)).collect()
    }

    /// The rate of each layer, by its closed form where it has one: [B] or [R].
    pub(super) fn rates(&self, graph: &mut Graph, pass: &Forward) -> Result<Vec<Id>> {
        let wanted = pass.priors.len() + usize::from(!self.has_closed_rate());
        let closed = self.goes_down();
        let of_layer = |layer: usize| match pass.priors.get(layer) {
            Some(&prior) if closed => {
                let rates = ladder::divergences(graph, pass.layers[layer].stats, Some(prior), self.clamp())?;
                graph.reduce(Reduction::Sum, Axis::Columns, rates)
            }
            _ => self.log_ratio(graph, pass, layer),
        };
        let lower: Vec<Id> = (0..wanted).map(of_layer).collect::<Result<_>>()?;
        self.rates_with(graph, pass, &lower)
    }

    /// The rate of each layer where nothing was drawn, [B]: by its closed form where it has one, else log q − log p at the latents
    /// without noise, log q with Σ ½ε² of the noise at its mean, Z/2.
    pub(super) fn rates_of_means(&self, graph: &mut Graph, pass: &Forward) -> Result<Vec<Id>> {
        let mut rates = self.rates(graph, pass)?;
        for (at, (rate, latent)) in rates.iter_mut().zip(self.latents()).enumerate() {
            let closed = if at < pass.priors.len() { self.goes_down() } else { self.has_closed_rate() };
            if !closed {
                let half = 0.5 * latent as f32;
                *rate = graph.map([*rate], |[ratio]| ratio - half)?;
            }
        }
        Ok(rates)
    }

    /// [`Model::rates`] from the log ratios of the layers below the highest, where there are such already.
    pub(super) fn rates_with(&self, graph: &mut Graph, pass: &Forward, ratios: &[Id]) -> Result<Vec<Id>> {
        let stats = pass.layers[pass.priors.len()].stats;
        let ratio = ratios.get(pass.priors.len()).copied();
        let highest = self.highest_rate(graph, &pass.prior, stats, ratio)?;
        Ok(ratios[..pass.priors.len()].iter().copied().chain([highest]).collect())
    }

    /// Latents of the lowest layer, [B, Z], that follow by the means of the layers above from those that are given in one of
    /// them: input `z` [B, Z] of the lowest, `z 2` and so on of those above, and `layer` [B], which of them, counted from 0, a row
    /// begins in. What is given in others changes nothing.
    ///
    /// Of a residual hierarchy it is what its groups leave: see [`Model::descend_groups`].
    pub(super) fn descended(&self, graph: &mut Graph, networks: &Networks) -> Result<Id> {
        if self.is_residual() {
            return self.descend_groups(graph, networks);
        }
        let given = self.given_noise(graph, "z", 1)?;
        let layer = graph.add(Op::Input { name: "layer".into(), shape: Shape::new(&[graph.batch]) })?;
        let mut z = given[given.len() - 1];
        for (at, (&given, (steps, weights))) in given.iter().zip(&networks.decoders[1..]).enumerate().rev() {
            let stats = network::apply(graph, z, steps, weights, None)?;
            let mean = graph.columns(stats, 0, graph.shape(given).columns())?;
            z = graph.map([mean, given, layer], |[mean, given, layer]| layer.equal(at as f32).select(given, mean))?;
        }
        Ok(z)
    }

    /// Latents of the lowest layer, [B, Z], drawn from the top down, and what the decoder reads.
    pub(super) fn sample_prior(&self, graph: &mut Graph, networks: &Networks) -> Result<[Id; 2]> {
        if self.is_residual() {
            return self.draw_groups(graph, networks);
        }
        let noise = self.noise(graph, 1)?;
        let z = self.draw_by(graph, networks, &noise)?[0];
        Ok([z, z])
    }

    /// Latents of all layers, the lowest first, drawn from the top down with the noise of each.
    pub(super) fn draw_by(&self, graph: &mut Graph, networks: &Networks, noise: &[Id]) -> Result<Vec<Id>> {
        let parts = self.prior_parts(graph, networks)?;
        let mut z = (self.prior().sample)(graph, self, &parts, noise[noise.len() - 1])?;
        let mut all = vec![z];
        for (&eps, (steps, weights)) in noise[..noise.len() - 1].iter().zip(&networks.decoders[1..]).rev() {
            let stats = network::apply(graph, z, steps, weights, None)?;
            z = graph.add(Op::Sample { stats, eps, clamp: self.clamp() })?;
            all.push(z);
        }
        all.reverse();
        Ok(all)
    }
}

/// The sum of numbers per row.
pub(super) fn sum(graph: &mut Graph, parts: &[Id]) -> Result<Id> {
    let mut all = parts[0];
    for &b in &parts[1..] {
        all = if graph.shape(all) == graph.shape(b) {
            graph.add(Op::Add { a: all, b })?
        } else {
            // One number of an example counts for each of its samples.
            graph.map([all, b], |[all, b]| all + b)?
        };
    }
    Ok(all)
}
