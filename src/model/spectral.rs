//! Spectral normalisation (Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative adversarial networks", 2018,
//! arXiv 1802.05957): the weights of a discriminator are divided by their largest singular value, so that no layer stretches its
//! input and the verdict has a bounded slope. Biases, and the scales of normalisations, stay as they are.
//!
//! The value is that of one step of the power method from a vector that is kept from one update of the discriminator to the next
//! (algorithm 1 of the paper): v = Wu/‖Wu‖, σ = ‖Wᵀv‖, and u becomes Wᵀv/σ. The gradient goes through σ, not through v. A
//! convolution is the matrix of its taps and channels, as in the authors' program.
//!
//! Letters: a map [N + 1, M] from N inputs to M outputs, W its weights, whose last row is the bias.

use super::Model;
use super::parts::{Start, Tensor};
use crate::error::Result;
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Op, Reduction};

/// What the names of the vectors begin with.
pub(super) const KEPT: &str = "spectral";

/// Below this a singular value counts as this.
const LEAST: f32 = 1e-12;

/// The tensors of a discriminator as it judges.
#[derive(Debug, Clone, Default)]
pub(super) struct Player {
    /// Its maps, normalised where that is asked for.
    pub weights: Vec<Id>,
    /// The vectors of the power method, and what they become.
    kept: Vec<(Id, Id)>,
}

impl Player {
    /// Lets the vectors become what this step made of them.
    ///
    /// # Errors
    /// None for what [`Model::player`] made.
    pub fn keep(&self, graph: &mut Graph) -> Result<()> {
        self.kept.iter().try_for_each(|&(vector, next)| graph.assign(vector, next))
    }
}

impl Model {
    /// The vectors of the power method, [1, M] of each map with weights; none without spectral normalisation.
    pub fn spectral_tensors(&self) -> Vec<Tensor> {
        if !self.config.discriminator_spectral {
            return vec![];
        }
        let maps = self.discriminator().into_iter().filter(|map| map.kind.is_affine());
        maps.map(|map| Tensor::new(format!("{KEPT}.{}", map.name), &[1, map.outputs], Start::Normal(1.0))).collect()
    }

    /// The discriminator of these tensors, and of the vectors that belong to them.
    pub(super) fn player(&self, graph: &mut Graph, weights: &[Id], vectors: &[Id]) -> Result<Player> {
        let mut vectors = vectors.iter();
        let mut player = Player::default();
        for (map, &w) in self.discriminator().iter().zip(weights) {
            let vector = if map.kind.is_affine() { vectors.next() } else { None };
            let Some(&vector) = vector else {
                player.weights.push(w);
                continue;
            };
            let (normal, next) = normalised(graph, w, vector)?;
            player.weights.push(normal);
            player.kept.push((vector, next));
        }
        Ok(player)
    }
}

/// A map [N + 1, M] whose weights are divided by their largest singular value, and the next vector of the power method, [1, M], from
/// the last one.
///
/// # Errors
/// None for a map and a vector of its outputs.
pub fn normalised(graph: &mut Graph, map: Id, vector: Id) -> Result<(Id, Id)> {
    let rows = graph.shape(map).rows();
    let is_weight = || Expr::row(rows).less(rows as f32 - 1.0);
    let weights = graph.map([map], |[w]| is_weight().select(w, 0.0))?;
    let product = |a, transposed| Op::Product { a, b: weights, batch: 1, transposed: [false, transposed] };
    let v = graph.add(product(vector, true))?;
    let v = unit(graph, v)?.0;
    let v = graph.stop_gradient(v)?;
    let stretched = graph.add(product(v, false))?;
    let (next, sigma) = unit(graph, stretched)?;
    let next = graph.stop_gradient(next)?;
    let normal = graph.map([map, sigma], |[w, sigma]| is_weight().select(w.clone() / sigma, w))?;
    Ok((normal, next))
}

/// A row [1, N] divided by its length, and the length, [1].
fn unit(graph: &mut Graph, row: Id) -> Result<(Id, Id)> {
    let length = graph.reduce_map(Reduction::Sum, Axis::Columns, [row], |[x]| x.squared())?;
    let length = graph.map([length], |[square]| square.max(LEAST * LEAST).sqrt())?;
    Ok((graph.map([row, length], |[x, length]| x / length)?, length))
}
