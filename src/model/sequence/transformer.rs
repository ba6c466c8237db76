//! Sequences by attention in place of recurrent layers: an encoder that sees all of a line, a decoder that in each place sees those
//! before it (Vaswani et al. 2017, arXiv 1706.03762), in blocks whose norms come first (Xiong et al. 2020, arXiv 2002.04745).
//!
//! ```text
//! h = embedding[token] + position          in the decoder of the token before, and + z W + b
//! h = h + attention(norm(h))               of each block
//! h = h + GELU(norm(h) U + u) D + d
//! h = norm(h)                              behind all blocks
//! ```
//!
//! The posterior is told the mean of h over the tokens of a line; its padding is not looked at. A token that is spelled computes the
//! whole line before it: what the decoder remembers is the tokens so far, [R, T], and how many they are.

use super::decoder_widths;
use crate::config::{Activation, ModelConfig};
use crate::data::text::vocabulary::PADDING;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::network::attention::{Mask, attend};
use crate::model::parts::{Start, Tensor};

/// Tensors of a block.
const OF_BLOCK: usize = 6;

/// The tensors of encoder and decoder for T places and V tokens. Widths are those of the maps within blocks.
pub(super) fn tensors(config: &ModelConfig, places: usize, vocabulary: usize) -> Vec<Tensor> {
    let width = config.embedding;
    let side = |name: &str, widths: &[usize]| {
        let mut all = vec![
            Tensor::new(format!("{name}.embedding"), &[vocabulary, width], Start::Normal(1.0)),
            Tensor::new(format!("{name}.positions"), &[places, width], Start::Positions),
        ];
        for (at, &inner) in widths.iter().enumerate() {
            let name = |what: &str| format!("{name}.{at}.{what}");
            all.extend([
                Tensor::new(name("attention.norm"), &[2, width], Start::Norm),
                Tensor::map(name("attention.in"), width, 3 * width),
                Tensor::map(name("attention.out"), width, width),
                Tensor::new(name("norm"), &[2, width], Start::Norm),
                Tensor::map(name("up"), width, inner),
                Tensor::map(name("down"), inner, width),
            ]);
        }
        all.push(Tensor::new(format!("{name}.norm"), &[2, width], Start::Norm));
        all
    };
    let mut all = side("encoder", &config.hidden);
    all.extend(side("decoder", &decoder_widths(config)));
    all.push(Tensor::map("decoder.latent", config.latent, width));
    all
}

/// The tensors of one side.
struct Side<'a> {
    embedding: Id,
    positions: Id,
    blocks: &'a [Id],
    norm: Id,
}

impl<'a> Side<'a> {
    fn of(all: &'a [Id]) -> Result<Self> {
        match all {
            &[embedding, positions, ref blocks @ .., norm] if blocks.len().is_multiple_of(OF_BLOCK) => {
                Ok(Self { embedding, positions, blocks, norm })
            }
            _ => Err(lacking()),
        }
    }

    /// The tensors of the encoder; those of the decoder and its map of latents.
    fn both(config: &ModelConfig, all: &'a [Id]) -> Result<(Self, Self, Id)> {
        let count = 3 + OF_BLOCK * config.hidden.len();
        match all.split_at_checked(count) {
            Some((encoder, [decoder @ .., latent])) => Ok((Self::of(encoder)?, Self::of(decoder)?, *latent)),
            _ => Err(lacking()),
        }
    }

    /// What blocks are given, [R·T, E], of tokens [R·T], without what the decoder is told of latents.
    fn embedded(&self, graph: &mut Graph, index: Id, rows: usize) -> Result<Id> {
        let tokens = graph.add(Op::TakeRows { x: self.embedding, index })?;
        let positions = graph.tile(self.positions, rows)?;
        graph.map([tokens, positions], |[token, position]| token + position)
    }

    /// All blocks, and the norm behind them.
    fn through(&self, graph: &mut Graph, mut x: Id, places: usize, heads: usize, mask: Mask) -> Result<Id> {
        for block in self.blocks.chunks_exact(OF_BLOCK) {
            let normal = norm(graph, x, block[0])?;
            let all = graph.add(Op::Affine { x: normal, w: block[1] })?;
            let seen = attend(graph, all, places, heads, mask)?;
            let seen = graph.add(Op::Affine { x: seen, w: block[2] })?;
            x = graph.add(Op::Add { a: x, b: seen })?;
            let normal = norm(graph, x, block[3])?;
            let inner = graph.add(Op::Affine { x: normal, w: block[4] })?;
            let inner = graph.add(Op::Activation { x: inner, kind: Activation::GeluErf })?;
            let made = graph.add(Op::Affine { x: inner, w: block[5] })?;
            x = graph.add(Op::Add { a: x, b: made })?;
        }
        norm(graph, x, self.norm)
    }
}

fn lacking() -> Error {
    Error::Bug("a model of sequences lacks its tensors".into())
}

/// Layer normalisation of each row.
fn norm(graph: &mut Graph, x: Id, w: Id) -> Result<Id> {
    let channels = graph.shape(x).columns();
    let moments = graph.add(Op::GroupMoments { x, channels, groups: 1 })?;
    graph.add(Op::GroupNorm { x, w, moments })
}

/// The mean over the tokens of examples [B, T] of what the encoder makes of each, [B, E].
pub(super) fn encoded(graph: &mut Graph, config: &ModelConfig, all: &[Id], x: Id) -> Result<Id> {
    let (side, ..) = Side::both(config, all)?;
    let (rows, places) = (graph.shape(x).rows(), graph.shape(x).columns());
    let index = graph.reshape(x, &[rows * places])?;
    let h = side.embedded(graph, index, rows)?;
    // A line has a token at least.
    let padding = graph.map([x], |[token]| Expr::column().equal(0.0).select(0.0, token.equal(PADDING as f32)))?;
    let padding = graph.stop_gradient(padding)?;
    let h = side.through(graph, h, places, config.heads, Mask::Padding(padding))?;
    let hidden = graph.reshape(padding, &[rows * places])?;
    let sum = graph
        .reduce_map(Reduction::Sum, Axis::Rows(places), [h, hidden], |[h, hidden]| hidden.equal(0.0).select(h, 0.0))?;
    let count = graph.reduce_map(Reduction::Sum, Axis::Columns, [padding], |[padding]| 1.0 - padding)?;
    graph.map([sum, count], |[sum, count]| sum / count)
}

/// What the decoder makes in each place, [R·T, E], of latents [R, Z] and of the tokens before [R·T].
pub(super) fn decoded(graph: &mut Graph, config: &ModelConfig, all: &[Id], z: Id, before: Id) -> Result<Id> {
    let (_, side, latent) = Side::both(config, all)?;
    let rows = graph.shape(z).rows();
    let places = graph.shape(before).count() / rows;
    let h = side.embedded(graph, before, rows)?;
    let told = graph.add(Op::Affine { x: z, w: latent })?;
    let h = graph.map([h, told], |[h, told]| h + told)?;
    side.through(graph, h, places, config.heads, Mask::Causal)
}

/// What is remembered before the first token, [R, T + 1]: no token, and none counted.
pub(super) fn begun(graph: &mut Graph, z: Id, places: usize) -> Result<Id> {
    let any = graph.columns(z, 0, places + 1)?;
    graph.map([any], |[any]| any * 0.0)
}

/// A token [R] behind those that are remembered, [R, T + 1]: what the decoder makes in its place, [R, E], and what is remembered then.
pub(super) fn next(
    graph: &mut Graph,
    config: &ModelConfig,
    all: &[Id],
    [z, token, remembered]: [Id; 3],
) -> Result<[Id; 2]> {
    let (rows, places) = (graph.shape(z).rows(), graph.shape(remembered).columns() - 1);
    let before = graph.columns(remembered, 0, places)?;
    let count = graph.columns(remembered, places as i32, 1)?;
    let before = graph
        .map([before, token, count], |[before, token, count]| Expr::column().equal(count).select(token, before))?;
    let index = graph.reshape(before, &[rows * places])?;
    let h = decoded(graph, config, all, z, index)?;
    let last = places as f32 - 1.0;
    let here = graph.map([count], |[count]| Expr::row(rows) * places as f32 + count.min(last))?;
    let here = graph.add(Op::TakeRows { x: h, index: here })?;
    let counted = graph.map([count], |[count]| count + 1.0)?;
    let remembered = graph.concatenate(&[before, counted])?;
    Ok([here, remembered])
}
