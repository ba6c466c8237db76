//! A residual hierarchy of groups of latents, from the top down (Vahdat and Kautz, "NVAE", 2020, arXiv 2007.03898; Child, "Very deep
//! VAEs", 2021, arXiv 2011.10650; the deterministic way of both is that of Maaløe et al., "BIVA", 2019, arXiv 1902.02102).
//!
//! The groups are images of several resolutions. Encoders go up without drawing anything: e₁ is made of the data, eₗ of eₗ₋₁. What is
//! known on the way down is an image too, h, and inference and generation share it. Each group l, from the highest, adds to it:
//!
//! p(zₗ|z>ₗ) = N(μ, σ²), given by h; of the highest it is the prior of the model
//! q(zₗ|z>ₗ, x) = N(μ + Δμ, (σ·Δσ)²), Δμ and log Δσ² given by h and eₗ side by side (section 3.2 of NVAE)
//! h ← cells(h + map(zₗ))
//!
//! A conditional model begins with the map of the highest latents and an image of its class, which it adds: all distributions below
//! are then told the class by h, and so is the decoder.
//!
//! The decoder reads h after the lowest group. Both distributions of a group are known given those above, so its rate is their KL
//! divergence there, as in a ladder.
//!
//! Latents are stored as planes, one for each latent dimension of a pixel, so that means and log-variances of a group are the two
//! halves of its statistics.

use super::Model;
use super::network::{self, GroupSteps, Map, Step, TopDown};
use super::stack::{Encoded, Inferred, LatentSample, Network, Networks, sum};
use crate::config::Hierarchy;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::shape::Shape;

/// The input of a plan that draws, [L]: what the temperature of each group, from the lowest up, lacks of 1. What is never written is 0.
pub const COOLING: &str = "cooling";

/// What a group that costs nothing counts as, in nats.
const LEAST: f32 = 0.01;

/// The networks of a group with their tensors.
pub(super) struct Group {
    pixels: usize,
    latent: usize,
    encoder: Network,
    posterior: Network,
    prior: Option<Network>,
    latents: Network,
    classes: Option<Network>,
    decoder: Network,
}

impl GroupSteps {
    /// P.
    pub fn pixels(&self) -> usize {
        self.sides[0] * self.sides[1]
    }

    /// Its networks on the way up, then those on the way down.
    fn ways(&self) -> [Vec<&Vec<Step>>; 2] {
        let down = self.prior.iter().chain([&self.latents]).chain(&self.classes).chain([&self.decoder]).collect();
        [vec![&self.encoder, &self.posterior], down]
    }
}

impl TopDown {
    /// All networks in the order of their tensors: those on the way up from the data, then those on the way down.
    fn networks(&self) -> impl Iterator<Item = &Vec<Step>> {
        let up = self.groups.iter().flat_map(|group| group.ways()[0].clone());
        let down = self.groups.iter().rev().flat_map(|group| group.ways()[1].clone());
        up.chain(down).chain([&self.output])
    }

    /// The maps in that order.
    pub(super) fn maps(&self) -> Vec<Map> {
        self.networks().flat_map(|steps| network::maps(steps).cloned()).collect()
    }

    /// By how much the first values of some maps are smaller than those of others, by name. What is added to an image, n times on a
    /// way, begins 1/√n as large (Child 2021), and priors begin as N(0, 1).
    pub(super) fn scales(&self) -> Vec<(String, f32)> {
        let mut all = Vec::new();
        for way in 0..2 {
            let ends: Vec<&Map> = self.groups.iter().flat_map(|group| added(group, way)).collect();
            let scale = 1.0 / (ends.len().max(1) as f32).sqrt();
            all.extend(ends.into_iter().map(|map| (map.name.clone(), scale)));
        }
        let priors = self.groups.iter().filter_map(|group| network::maps(group.prior.as_ref()?).last());
        all.extend(priors.map(|map| (map.name.clone(), 0.0)));
        all
    }
}

/// The last maps of what a group adds on a way.
fn added(group: &GroupSteps, way: usize) -> Vec<&Map> {
    let (steps, other) =
        if way == 0 { (&group.encoder, None) } else { (&group.decoder, network::maps(&group.latents).next()) };
    let mut ends: Vec<&Map> = other.into_iter().collect();
    for (at, _) in steps.iter().enumerate().filter(|(_, step)| **step == Step::End) {
        ends.extend(network::maps(&steps[..at]).last());
    }
    ends
}

impl Model {
    /// Whether posteriors go from the top down, with a rate in closed form for each layer.
    pub(super) fn goes_down(&self) -> bool {
        matches!(self.config.hierarchy, Hierarchy::Ladder | Hierarchy::Residual)
    }

    /// Whether latents are groups that add to an image.
    pub fn is_residual(&self) -> bool {
        self.config.hierarchy == Hierarchy::Residual
    }

    /// The networks of its groups.
    ///
    /// # Errors
    /// [`Error::Usage`] where layers do not fit together.
    pub fn top_down(&self) -> Result<TopDown> {
        network::top_down(&self.config, self.shape, self.outputs(), self.classes)
    }

    /// Declares the tensors of all groups, and of the decoder.
    pub(super) fn declare_groups(&self, graph: &mut Graph) -> Result<(Vec<Group>, Network)> {
        let TopDown { groups, output } = self.top_down()?;
        let mut declared = |steps: Vec<Step>| network::declare(graph, &steps).map(|weights| (steps, weights));
        let mut ups = Vec::new();
        for GroupSteps { encoder, posterior, .. } in &groups {
            ups.push([declared(encoder.clone())?, declared(posterior.clone())?]);
        }
        let mut all = Vec::new();
        for (group, [encoder, posterior]) in groups.into_iter().zip(ups).rev() {
            let GroupSteps { sides, latent, prior, latents, classes, decoder, .. } = group;
            let (prior, latents) = (prior.map(&mut declared).transpose()?, declared(latents)?);
            let (classes, decoder) = (classes.map(&mut declared).transpose()?, declared(decoder)?);
            all.push(Group {
                pixels: sides[0] * sides[1],
                latent,
                encoder,
                posterior,
                prior,
                latents,
                classes,
                decoder,
            });
        }
        all.reverse();
        Ok((all, declared(output)?))
    }

    /// What is drawn in all groups given examples [B, D] and their classes [B], from the top down, with the noise of each.
    pub(super) fn infer_groups(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        x: Id,
        noise: &[Id],
        class: Option<Id>,
    ) -> Result<Inferred> {
        let clamp = self.clamp();
        let (mut encoded, mut found) = (self.presentation().encoder_input(graph, x)?, Vec::new());
        for group in &networks.groups {
            encoded = apply(graph, encoded, &group.encoder)?;
            found.push(encoded);
        }
        let (mut layers, mut priors) = (Vec::new(), Vec::new());
        let read = self.go_down(graph, networks, class, |graph, at, group, given| {
            let (encoded, rows) = (found[at], graph.shape(noise[at]).rows());
            let stats = match given {
                None => statistics(graph, &group.posterior, group, |_| Ok(encoded))?,
                Some([known, prior]) => {
                    let encoded = graph.repeat(encoded, rows)?;
                    let told = statistics(graph, &group.posterior, group, |graph| {
                        side_by_side(graph, known, encoded, group.pixels)
                    })?;
                    priors.push(prior);
                    relative(graph, told, prior, [clamp.low, clamp.high])?
                }
            };
            let z = graph.add(Op::Sample { stats, eps: noise[at], clamp })?;
            layers.push(LatentSample { stats, eps: noise[at], z, log_det: None });
            Ok(z)
        })?;
        layers.reverse();
        priors.reverse();
        let stats = layers[0].stats;
        Ok(Inferred { encoded: Encoded { stats, context: stats }, layers, priors, read })
    }

    /// The rates of all groups, [R], each times γ where the step's weight `on` is 1, and as they are where it is 0. γ is in proportion
    /// to (c + 0.01)·g/P, with c the mean rate of the group over the batch, P its pixels and g how many groups have as many, and has
    /// the mean 1 over groups: who is expensive pays more, so that none is left (appendix A of NVAE, in the authors' code). No gradient
    /// passes γ.
    pub(super) fn balanced(&self, graph: &mut Graph, rates: &[Id], on: usize) -> Result<Id> {
        let groups = self.top_down()?.groups;
        let alike = |pixels: usize| groups.iter().filter(|group| group.pixels() == pixels).count() as f32;
        let mut shares = Vec::new();
        for (&rate, group) in rates.iter().zip(&groups) {
            let (rows, scale) = (graph.shape(rate).rows(), alike(group.pixels()) / group.pixels() as f32);
            let count = (rows / graph.batch) as f32 * Expr::count();
            let mean = graph.reduce_map(Reduction::Sum, Axis::Rows(rows), [rate], |[rate]| {
                Expr::row(rows).less(count.clone()).select(rate / count, 0.0)
            })?;
            let share = graph.map([mean], |[mean]| (mean + LEAST) * scale)?;
            shares.push(graph.reshape(share, &[1, 1])?);
        }
        let shares = graph.concatenate(&shares)?;
        let shares = graph.stop_gradient(shares)?;
        let count = rates.len() as f32;
        let mean = graph.reduce_map(Reduction::Sum, Axis::Columns, [shares], |[share]| share * (1.0 / count))?;
        let mut all = Vec::new();
        for (at, &rate) in rates.iter().enumerate() {
            let share = graph.columns(shares, at as i32, 1)?;
            all.push(graph.map([rate, share, mean], |[rate, share, mean]| {
                rate * (1.0 + Expr::weight(on) * (share / mean - 1.0))
            })?);
        }
        sum(graph, &all)
    }

    /// Latents of the lowest group, and what the decoder reads, drawn from the top down.
    pub(super) fn draw_groups(&self, graph: &mut Graph, networks: &Networks) -> Result<[Id; 2]> {
        let mut noise = self.noise(graph, 1)?;
        let cooling = graph.add(Op::Input { name: COOLING.into(), shape: Shape::new(&[noise.len()]) })?;
        let cooling = graph.as_row(cooling)?;
        for (at, eps) in noise.iter_mut().enumerate() {
            let cooling = graph.columns(cooling, at as i32, 1)?;
            *eps = graph.map([*eps, cooling], |[eps, cooling]| eps * (1.0 - cooling))?;
        }
        let (latents, read) = self.draw_groups_by(graph, networks, &noise)?;
        Ok([latents[0], read])
    }

    /// Latents of all groups, the lowest first, and what the decoder reads, drawn from the top down with the noise of each.
    pub(super) fn draw_groups_by(&self, graph: &mut Graph, networks: &Networks, noise: &[Id]) -> Result<(Vec<Id>, Id)> {
        let (parts, class) = (self.prior_parts(graph, networks)?, self.given_class(graph)?);
        let mut latents = Vec::new();
        let read = self.go_down(graph, networks, class, |graph, at, _, given| {
            let z = match given {
                None => (self.prior().sample)(graph, self, &parts, noise[at])?,
                Some([_, stats]) => graph.add(Op::Sample { stats, eps: noise[at], clamp: self.clamp() })?,
            };
            latents.push(z);
            Ok(z)
        })?;
        latents.reverse();
        Ok((latents, read))
    }

    /// Mean latents by the priors of groups, but of group `layer` [B], counted from 0, and those above it the given ones: inputs `z`
    /// [B, Z] of the lowest, `z 2` and so on of those above. What the decoder reads.
    pub(super) fn descend_groups(&self, graph: &mut Graph, networks: &Networks) -> Result<Id> {
        let given = self.given_noise(graph, "z", 1)?;
        let layer = graph.add(Op::Input { name: "layer".into(), shape: Shape::new(&[graph.batch]) })?;
        let class = self.given_class(graph)?;
        self.go_down(graph, networks, class, |graph, at, _, known| {
            let Some([_, prior]) = known else { return Ok(given[at]) };
            let mean = graph.columns(prior, 0, graph.shape(given[at]).columns())?;
            let is_given = |layer: Expr| layer.less(at as f32 + 0.5);
            graph.map([mean, given[at], layer], |[mean, given, layer]| is_given(layer).select(given, mean))
        })
    }

    /// What the decoder reads where latents, [R, z·P] of each group from the lowest up, are those of examples of other classes, [B].
    pub(super) fn read_again(&self, graph: &mut Graph, networks: &Networks, z: &[Id], class: Option<Id>) -> Result<Id> {
        self.go_down(graph, networks, class, |_, at, _, _| Ok(z[at]))
    }

    /// From the highest group down, told the classes, [B], if there are any: `draw` gives the latents of each, [R, z·P], from what is
    /// known above it, [R, P·C], and the statistics of its prior, [R, 2z·P]; what is known in the end.
    fn go_down(
        &self,
        graph: &mut Graph,
        networks: &Networks,
        class: Option<Id>,
        mut draw: impl FnMut(&mut Graph, usize, &Group, Option<[Id; 2]>) -> Result<Id>,
    ) -> Result<Id> {
        let mut known: Option<Id> = None;
        for (at, group) in networks.groups.iter().enumerate().rev() {
            let given = match (known, &group.prior) {
                (Some(known), Some(prior)) => Some([known, statistics(graph, prior, group, |_| Ok(known))?]),
                _ => None,
            };
            let z = draw(graph, at, group, given)?;
            let pixels = graph.add(Op::NchwNhwc { x: z, channels: group.latent, to_pixels: true })?;
            let told = apply(graph, pixels, &group.latents)?;
            let of_class = match (&group.classes, class) {
                (Some(network), Some(class)) => {
                    let ones = graph.one_hot(class, self.classes)?;
                    let of_class = apply(graph, ones, network)?;
                    Some(graph.repeat(of_class, graph.shape(told).rows())?)
                }
                _ => None,
            };
            let all = match known.or(of_class) {
                Some(known) => graph.add(Op::Add { a: known, b: told })?,
                None => told,
            };
            known = Some(apply(graph, all, &group.decoder)?);
        }
        known.ok_or_else(|| Error::Bug("a hierarchy has no group".into()))
    }
}

fn apply(graph: &mut Graph, x: Id, (steps, weights): &Network) -> Result<Id> {
    network::apply(graph, x, steps, weights, None)
}

/// Means and log-variances of all pixels, [R, 2z·P]: planes of means, then planes of log-variances. What `given` makes for the network
/// is kept no longer than what the network makes of it.
fn statistics(
    graph: &mut Graph,
    network: &Network,
    group: &Group,
    given: impl FnOnce(&mut Graph) -> Result<Id>,
) -> Result<Id> {
    let begun = graph.len();
    let x = given(graph)?;
    let x = apply(graph, x, network)?;
    let made = graph.add(Op::NchwNhwc { x, channels: 2 * group.latent, to_pixels: false })?;
    graph.end_cell(begun);
    Ok(made)
}

/// The channels of two images side by side in each pixel, [R, P·C] each → [R, P·2C].
fn side_by_side(graph: &mut Graph, a: Id, b: Id, pixels: usize) -> Result<Id> {
    let (rows, wide) = (graph.shape(a).rows(), graph.shape(a).columns());
    let [a, b] =
        [graph.reshape(a, &[rows * pixels, wide / pixels])?, graph.reshape(b, &[rows * pixels, wide / pixels])?];
    let both = graph.concatenate(&[a, b])?;
    graph.reshape(both, &[rows, 2 * wide])
}

/// The statistics of a posterior that is told relative to its prior, [R, 2Z] each: means and log-variances add up, the prior's
/// log-variance held within `range` as it is where it is used.
fn relative(graph: &mut Graph, told: Id, prior: Id, [low, high]: [f32; 2]) -> Result<Id> {
    let latent = graph.shape(prior).columns() / 2;
    graph.map([told, prior], |[told, prior]| {
        told + Expr::column().less(latent as f32).select(prior.clone(), prior.clamp(low, high))
    })
}
