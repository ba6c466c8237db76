//! Models of sequences by attention in ONNX: the networks of `model/sequence/transformer.rs`, all places at once. What such a decoder
//! remembers from token to token is the tokens so far, so that there is no file of one step: the last place of `decoder.onnx` is it.
//!
//! Hidden places are hidden as there: what stands for their scores has an exponential of exactly 0.

use super::{LENGTHS, Sequence, TOKENS};
use crate::checkpoint::Tensor;
use crate::error::Result;
use crate::interop::onnx::{INITIALIZER, INPUT, NODE, gelu_erf, proto};
use crate::model::network::attention::HIDDEN;

/// Which places each place looks at, as extents that go with [batch, heads, T, T].
const OPEN: &str = "open";
/// The numbers of places, i64 [T].
const PLACES: &str = "places";
/// `TensorProto.DataType` of f32, in which places are counted.
const FLOAT: u64 = 1;

impl Sequence<'_> {
    /// `encoder.onnx`: [`TOKENS`] [batch, T] and [`LENGTHS`] [batch] to `mean` and `log_variance` [batch, Z].
    pub(super) fn encoder_by_attention(mut self) -> Result<Vec<u8>> {
        let config = &self.model.config;
        let what = "numbers of tokens, the end among them; what stands behind the length of a sequence changes nothing";
        self.tokens(&format!("{what}; {} at most", self.model.width));
        self.part(INPUT, proto::whole_of(LENGTHS, &[], "how many tokens of each sequence count, 1 at least"));
        self.part(INITIALIZER, proto::integers("second_axis", &[1]));
        self.placed("encoder", TOKENS, "shown")?;
        self.node("Unsqueeze", &[LENGTHS, "second_axis"], "bounds");
        self.node("Less", &[PLACES, "bounds"], "counted");
        self.part(INITIALIZER, proto::integers("inner_axes", &[1, 2]));
        self.node("Unsqueeze", &["counted", "inner_axes"], OPEN);
        let made = self.blocks("encoder", &config.hidden, "shown")?;
        // The mean over the places that count.
        self.cast("counted", FLOAT, "ones");
        self.node("ReduceSum", &["ones", "second_axis"], "count");
        self.part(INITIALIZER, proto::integers("last_axis", &[2]));
        self.node("Unsqueeze", &["ones", "last_axis"], "ones_once");
        self.node("Mul", &[&made, "ones_once"], "kept");
        let flat = vec![proto::attribute("keepdims", 0)];
        self.part(NODE, proto::node("ReduceSum", "sum", &["kept", "second_axis"], &["sum"], flat));
        self.node("Div", &["sum", "count"], "read");
        self.posterior("read", config.embedding)
    }

    /// `decoder.onnx`: `z` [batch, Z] and [`TOKENS`] [batch, T] to logits [batch, T, V], of each place given the tokens before it.
    pub(super) fn decoder_by_attention(mut self) -> Result<Vec<u8>> {
        let config = &self.model.config;
        self.latents();
        let what = "the sequence itself: logits of a place do not depend on it and on what is behind it";
        self.tokens(&format!("{what}; {} at most", self.model.width));
        self.before();
        self.placed("decoder", "before", "embedded_places")?;
        self.affine("decoder.latent", "z", [config.latent, config.embedding], "told")?;
        self.node("Unsqueeze", &["told", "second_axis"], "told_once");
        self.node("Add", &["embedded_places", "told_once"], "shown");
        // A row of the mask is a place, a column one that it looks at.
        self.node("Unsqueeze", &[PLACES, "second_axis"], "looking");
        self.node("LessOrEqual", &[PLACES, "looking"], OPEN);
        let made = self.blocks("decoder", &self.model.decoder_units(), "shown")?;
        self.logits_of_places(&made, config.embedding)
    }

    /// Embeddings of tokens [batch, T] and of their places, [batch, T, E], and [`PLACES`]. What has more places than the model does not go
    /// together with them.
    fn placed(&mut self, network: &str, tokens: &str, name: &str) -> Result<()> {
        let (places, positions) = (self.model.width, format!("{network}.positions"));
        self.embedding(network, tokens, "embedded")?;
        let shape = [places, self.model.config.embedding];
        let tensor = self.tensor(&positions, shape)?;
        self.part(INITIALIZER, proto::floats(&positions, &shape, &tensor.values));
        let numbers: Vec<i64> = (0..places as i64).collect();
        for (name, values) in [("numbers", &numbers[..]), ("zero", &[0]), ("one", &[1]), ("two", &[2])] {
            self.part(INITIALIZER, proto::integers(name, values));
        }
        self.node("Shape", &[tokens], "extent_of_tokens");
        self.node("Slice", &["extent_of_tokens", "one", "two", "zero"], "extent");
        self.node("Slice", &["numbers", "zero", "extent", "zero"], PLACES);
        self.node("Slice", &[&positions, "zero", "extent", "zero"], "positions");
        self.node("Add", &["embedded", "positions"], name);
        Ok(())
    }

    /// Blocks upon each other, of perceptrons of these widths, and the norm behind them.
    fn blocks(&mut self, network: &str, widths: &[usize], x: &str) -> Result<String> {
        let (width, heads) = (self.model.config.embedding, self.model.config.heads);
        self.part(INITIALIZER, proto::floats("hidden", &[], &[HIDDEN]));
        self.part(INITIALIZER, proto::floats("scale", &[], &[1.0 / ((width / heads) as f32).sqrt()]));
        let mut x = x.to_owned();
        for (at, &inner) in widths.iter().enumerate() {
            let part = |what: &str| format!("{network}.{at}.{what}");
            let normal = self.normal(&part("attention.norm"), &x)?;
            self.mapped(&part("attention.in"), &normal, [width, 3 * width], &part("all"))?;
            self.attended(&part("all"), &part("seen"));
            self.mapped(&part("attention.out"), &part("seen"), [width, width], &part("attention"))?;
            self.node("Add", &[&x, &part("attention")], &part("between"));
            let normal = self.normal(&part("norm"), &part("between"))?;
            self.mapped(&part("up"), &normal, [width, inner], &part("inner"))?;
            gelu_erf(&mut self.parts, &part("inner"), &part("bent"));
            self.mapped(&part("down"), &part("bent"), [inner, width], &part("made"))?;
            self.node("Add", &[&part("between"), &part("made")], &part("out"));
            x = part("out");
        }
        self.normal(&format!("{network}.norm"), &x)
    }

    /// What each place takes from those it looks at, [batch, T, E], by queries, keys and values side by side, [batch, T, 3E].
    fn attended(&mut self, all: &str, name: &str) {
        let (width, heads) = (self.model.config.embedding, self.model.config.heads);
        let part = |what: &str| format!("{name}.{what}");
        self.reshape(all, &[0, 0, 3 * heads as i64, (width / heads) as i64], &part("apart"));
        self.transposed(&part("apart"), &[0, 2, 1, 3], &part("by_head"));
        let [queries, keys, values] = ["queries", "keys", "values"].map(part);
        self.split(&part("by_head"), 1, &[heads; 3], &[&queries, &keys, &values]);
        self.transposed(&keys, &[0, 1, 3, 2], &part("turned_keys"));
        self.node("MatMul", &[&queries, &part("turned_keys")], &part("alike"));
        self.node("Mul", &[&part("alike"), "scale"], &part("scaled"));
        self.node("Where", &[OPEN, &part("scaled"), "hidden"], &part("scores"));
        let (scores, shares) = (part("scores"), part("shares"));
        let axis = vec![proto::attribute("axis", 3)];
        self.part(NODE, proto::node("Softmax", &shares, &[&scores], &[&shares], axis));
        self.node("MatMul", &[&shares, &values], &part("of_heads"));
        self.transposed(&part("of_heads"), &[0, 2, 1, 3], &part("beside"));
        self.reshape(&part("beside"), &[0, 0, width as i64], name);
    }

    /// Layer normalisation over the last axis. The operation adds 1e-5 to variances unless it is told otherwise, as the house does.
    fn normal(&mut self, parameter: &str, x: &str) -> Result<String> {
        let width = self.model.config.embedding;
        let Tensor { values, .. } = self.tensor(parameter, [2, width])?;
        let (scale, shift) = values.split_at(width);
        let [weight, bias, name] = ["weight", "bias", "normal"].map(|what| format!("{parameter}.{what}"));
        self.part(INITIALIZER, proto::floats(&weight, &[width], scale));
        self.part(INITIALIZER, proto::floats(&bias, &[width], shift));
        self.node("LayerNormalization", &[x, &weight, &bias], &name);
        Ok(name)
    }
}
