//! Models of sequences in ONNX: whole numbers (i64) of tokens in, posteriors and logits out, with the recurrent layers as the operations
//! `GRU` and `LSTM`, which any runtime has.
//!
//! There the gates of a GRU stand in the order z, r, n and those of an LSTM in the order i, o, f, g; here in PyTorch's: r, z, n and i, f,
//! g, o. `linear_before_reset = 1` is the GRU of PyTorch. A layer of ONNX reads [T, batch, in] and gives [T, directions, batch, H].
//!
//! Attention in their place is written by `sequence/attention.rs`.

mod attention;

use super::proto::{self, Extent, Header, Message};
use super::{DECODER, ENCODER, INITIALIZER, INPUT, NODE, OPSET, OUTPUT};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::config::Cell;
use crate::error::{Error, Result};
use crate::model::sequence::TOKEN;
use crate::model::{LOGITS, Model};

/// The file from latents to what the decoder begins with.
pub const BEGIN: &str = "begin.onnx";
/// The file of one step of the decoder.
pub const STEP: &str = "step.onnx";
/// The tokens and their numbers, as JSON.
pub const VOCABULARY: &str = "vocabulary.json";
/// What the decoder remembers from one token to the next.
pub const STATE: &str = "state";
/// The same one step later.
pub const NEXT_STATE: &str = "next_state";
/// Sequences, [batch, T].
pub const TOKENS: &str = "tokens";
/// How many of them count, [batch].
pub const LENGTHS: &str = "lengths";

/// The files of a model: of attention [`ENCODER`] and [`DECODER`] alone.
///
/// # Errors
/// [`Error::Data`] if the checkpoint does not belong to its configuration.
pub fn files(checkpoint: &Checkpoint, model: &Model) -> Result<Vec<(String, Vec<u8>)>> {
    let file = || Sequence { checkpoint, model, parts: vec![] };
    if model.config.cell == Cell::Transformer {
        return Ok(vec![
            (ENCODER.into(), file().encoder_by_attention()?),
            (DECODER.into(), file().decoder_by_attention()?),
        ]);
    }
    Ok(vec![
        (ENCODER.into(), file().encoder()?),
        (DECODER.into(), file().decoder()?),
        (BEGIN.into(), file().begin()?),
        (STEP.into(), file().step()?),
    ])
}

/// A file under construction.
struct Sequence<'a> {
    checkpoint: &'a Checkpoint,
    model: &'a Model,
    parts: Vec<(u64, Message)>,
}

/// What recurrent layers read beside their input.
struct Given<'a> {
    /// The lengths of sequences, i32 [batch]; nothing where all count.
    lengths: Option<&'a str>,
    /// What each layer begins with, h and c, [1, batch, H] each; nothing for zeros.
    begun: &'a [Vec<String>],
}

/// What recurrent layers give.
struct Made {
    /// The last layer's units in all places, [T, batch, directions·H].
    all: String,
    /// The last layer's units where it has read all, [directions, batch, H].
    last: String,
    /// Of each layer its state where it has read all, h and c, [directions, batch, H] each.
    states: Vec<Vec<String>>,
}

impl Sequence<'_> {
    /// `encoder.onnx`: [`TOKENS`] [batch, T] and [`LENGTHS`] [batch] to `mean` and `log_variance` [batch, Z].
    fn encoder(mut self) -> Result<Vec<u8>> {
        let model = self.model;
        let config = &model.config;
        let both = config.directions();
        self.tokens("numbers of tokens, the end among them; what stands behind the length of a sequence is not read");
        self.part(INPUT, proto::whole_of(LENGTHS, &[], "how many tokens of each sequence count, 1 at least"));
        self.cast(LENGTHS, INT32, "counts");
        self.embedding("encoder", TOKENS, "embedded")?;
        self.transposed("embedded", &[1, 0, 2], "steps");
        let given = Given { lengths: Some("counts"), begun: &[] };
        let made = self.layers("encoder", config.embedding, &config.hidden, both, "steps", &given)?;
        let wide = both * config.hidden.last().copied().unwrap_or(0);
        self.transposed(&made.last, &[1, 0, 2], "directions");
        self.reshape("directions", &[-1, wide as i64], "read");
        self.posterior("read", wide)
    }

    /// The outputs of the encoder, from what it has read, [batch, so many].
    fn posterior(mut self, read: &str, inputs: usize) -> Result<Vec<u8>> {
        let latent = self.model.config.latent;
        self.affine("encoder.head", read, [inputs, 2 * latent], "heads")?;
        self.split("heads", 1, &[latent; 2], &["mean", "unclamped"]);
        self.clipped("unclamped", self.model.config.log_variance, "log_variance");
        self.part(OUTPUT, proto::value("mean", latent, "the mean of q(z|x)"));
        self.part(OUTPUT, proto::value("log_variance", latent, "the log-variance of q(z|x)"));
        Ok(self.finish("encoder", "The posterior q(z|x) of each sequence of tokens."))
    }

    /// `decoder.onnx`: `z` [batch, Z] and [`TOKENS`] [batch, T] to logits [batch, T, V], of each place given the tokens before it.
    fn decoder(mut self) -> Result<Vec<u8>> {
        let model = self.model;
        let config = &model.config;
        self.latents();
        self.tokens("the sequence itself: logits of a place do not depend on it and on what is behind it");
        self.before();
        self.embedding("decoder", "before", "embedded")?;
        self.node("Shape", &[TOKENS], "extents");
        self.part(INITIALIZER, proto::integers("latent_extent", &[config.latent as i64]));
        self.joined(&["extents", "latent_extent"], 0, "places");
        self.node("Unsqueeze", &["z", "second_axis"], "z_once");
        self.node("Expand", &["z_once", "places"], "z_everywhere");
        self.joined(&["embedded", "z_everywhere"], 2, "shown");
        self.transposed("shown", &[1, 0, 2], "steps");
        self.begun("begun")?;
        let begun = self.of_layers("begun");
        let widths = self.model.decoder_units();
        let given = Given { lengths: None, begun: &begun };
        let made = self.layers("decoder", config.embedding + config.latent, &widths, 1, "steps", &given)?;
        self.transposed(&made.all, &[1, 0, 2], "units");
        self.logits_of_places("units", widths.last().copied().unwrap_or(0))
    }

    /// The output of the decoder, from what it makes in each place, [batch, T, so many].
    fn logits_of_places(mut self, units: &str, inputs: usize) -> Result<Vec<u8>> {
        self.logits(units, inputs)?;
        let what = "the logits of all tokens in each place, given z and the tokens before it";
        self.part(OUTPUT, proto::floats_of(LOGITS, &[Extent::Named("T"), Extent::Of(self.model.vocabulary())], what));
        Ok(self.finish("decoder", "How likely each token of sequences is given latents and the tokens before it."))
    }

    /// `begin.onnx`: `z` [batch, Z] to [`STATE`] [batch, S].
    fn begin(mut self) -> Result<Vec<u8>> {
        self.latents();
        self.begun(STATE)?;
        self.part(OUTPUT, proto::value(STATE, self.model.decoder_state(), "what the decoder begins with"));
        Ok(self.finish("begin", "What the decoder of sequences begins with, given latents."))
    }

    /// `step.onnx`: `z` [batch, Z], [`TOKEN`] [batch] and [`STATE`] [batch, S] to logits [batch, V] and [`NEXT_STATE`].
    fn step(mut self) -> Result<Vec<u8>> {
        let model = self.model;
        let config = &model.config;
        let wide = self.model.decoder_state();
        self.latents();
        self.part(INPUT, proto::whole_of(TOKEN, &[], "the token before, 0 at the beginning"));
        self.part(INPUT, proto::value(STATE, wide, "what begin.onnx or the step before gives"));
        self.embedding("decoder", TOKEN, "embedded")?;
        self.joined(&["embedded", "z"], 1, "shown");
        self.part(INITIALIZER, proto::integers("first_axis", &[0]));
        self.node("Unsqueeze", &["shown", "first_axis"], "steps");
        let begun = self.of_layers(STATE);
        let widths = self.model.decoder_units();
        let given = Given { lengths: None, begun: &begun };
        let made = self.layers("decoder", config.embedding + config.latent, &widths, 1, "steps", &given)?;
        self.node("Squeeze", &[&made.all, "first_axis"], "units");
        self.logits("units", widths.last().copied().unwrap_or(0))?;
        let states: Vec<&str> = made.states.iter().flatten().map(String::as_str).collect();
        self.joined(&states, 2, "states");
        self.node("Squeeze", &["states", "first_axis"], NEXT_STATE);
        let what = "the logits of the next token, given z and the tokens before it";
        self.part(OUTPUT, proto::value(LOGITS, self.model.vocabulary(), what));
        self.part(OUTPUT, proto::value(NEXT_STATE, wide, "what the next step takes"));
        Ok(self.finish("step", "One step of the decoder of sequences."))
    }

    fn latents(&mut self) {
        self.part(INPUT, proto::value("z", self.model.config.latent, "latents"));
    }

    fn tokens(&mut self, what: &str) {
        self.part(INPUT, proto::whole_of(TOKENS, &[Extent::Named("T")], what));
    }

    /// The token before each, `before` [batch, T].
    fn before(&mut self) {
        // What stands before the first token has the number of padding, 0; the last token stands before none.
        for (name, bounds) in [("first", [0, 1]), ("before_last", [0, -1])] {
            let [start, end] = ["start", "end"].map(|what| format!("{name}.{what}"));
            self.part(INITIALIZER, proto::integers(&start, &bounds[..1]));
            self.part(INITIALIZER, proto::integers(&end, &bounds[1..]));
            self.node("Slice", &[TOKENS, &start, &end, "second_axis"], name);
        }
        self.part(INITIALIZER, proto::integers("second_axis", &[1]));
        self.node("Sub", &["first", "first"], "padding");
        self.joined(&["padding", "before_last"], 1, "before");
    }

    /// tanh of the map of z that the decoder begins with, [batch, S].
    fn begun(&mut self, name: &str) -> Result<()> {
        let widths = [self.model.config.latent, self.model.decoder_state()];
        self.affine("decoder.begin", "z", widths, "linear")?;
        self.node("Tanh", &["linear"], name);
        Ok(())
    }

    /// The states of all layers [batch, S] as those of each, h and c, [1, batch, H].
    fn of_layers(&mut self, all: &str) -> Vec<Vec<String>> {
        let (count, widths) = (self.model.config.cell.states(), self.model.decoder_units());
        let all_widths: Vec<usize> = widths.iter().flat_map(|&width| vec![width; count]).collect();
        let names: Vec<String> = (0..all_widths.len()).map(|at| format!("{all}.{at}")).collect();
        let flat: Vec<String> = names.iter().map(|name| format!("{name}.flat")).collect();
        self.split(all, 1, &all_widths, &flat.iter().map(String::as_str).collect::<Vec<_>>());
        self.part(INITIALIZER, proto::integers("states_axis", &[0]));
        for (flat, name) in flat.iter().zip(&names) {
            self.node("Unsqueeze", &[flat, "states_axis"], name);
        }
        names.chunks(count).map(<[String]>::to_vec).collect()
    }

    /// The logits of so many units in the last axis.
    fn logits(&mut self, units: &str, inputs: usize) -> Result<()> {
        self.mapped("decoder.head", units, [inputs, self.model.vocabulary()], LOGITS)
    }

    /// x·W + b of the last axis, whatever stands before it.
    fn mapped(&mut self, parameter: &str, x: &str, [inputs, outputs]: [usize; 2], name: &str) -> Result<()> {
        let [weight, bias] = self.map(parameter, [inputs, outputs])?;
        let unbiased = format!("{name}.unbiased");
        self.node("MatMul", &[x, &weight], &unbiased);
        self.node("Add", &[&unbiased, &bias], name);
        Ok(())
    }

    /// Recurrent layers upon each other.
    fn layers(
        &mut self,
        network: &str,
        mut inputs: usize,
        widths: &[usize],
        directions: usize,
        x: &str,
        given: &Given,
    ) -> Result<Made> {
        let mut made = Made { all: x.to_owned(), last: String::new(), states: vec![] };
        for (at, &width) in widths.iter().enumerate() {
            let name = format!("{network}.{at}");
            let [w, r, b] = self.weights(&name, [inputs, width], directions)?;
            let begun = given.begun.get(at).map_or(&[][..], Vec::as_slice);
            let lengths = given.lengths.unwrap_or("");
            let mut read = vec![made.all.as_str(), &w, &r, &b, lengths];
            read.extend(begun.iter().map(String::as_str));
            let cell = self.model.config.cell;
            let outputs = ["y", "h", "c"].map(|what| format!("{name}.{what}"));
            let outputs: Vec<&str> = outputs[..=cell.states()].iter().map(String::as_str).collect();
            let mut attributes = vec![proto::attribute("hidden_size", width as u64)];
            let op = match cell {
                Cell::Gru => {
                    attributes.push(proto::attribute("linear_before_reset", 1));
                    "GRU"
                }
                Cell::Lstm => "LSTM",
                Cell::Transformer => return Err(Error::Bug("attention is no recurrent layer".into())),
            };
            if directions == 2 {
                attributes.push(proto::word("direction", "bidirectional"));
            }
            let node = proto::node(op, &name, &read, &outputs, attributes);
            made.states.push(outputs[1..].iter().map(|&output| output.to_owned()).collect());
            outputs[1].clone_into(&mut made.last);
            let y = outputs[0].to_owned();
            self.part(NODE, node);
            // [T, directions, batch, H] to [T, batch, directions·H].
            let (turned, all) = (format!("{name}.turned"), format!("{name}.units"));
            self.transposed(&y, &[0, 2, 1, 3], &turned);
            let shape = format!("{all}.shape");
            self.part(INITIALIZER, proto::integers(&shape, &[0, 0, (directions * width) as i64]));
            self.node("Reshape", &[&turned, &shape], &all);
            (made.all, inputs) = (all, directions * width);
        }
        Ok(made)
    }

    /// W [directions, GH, in], R [directions, GH, H] and B [directions, 2GH] of a layer.
    fn weights(&mut self, name: &str, [inputs, width]: [usize; 2], directions: usize) -> Result<[String; 3]> {
        let cell = self.model.config.cell;
        let wide = cell.gates() * width;
        // Which gate here stands in each place there.
        let order: &[usize] = match cell {
            Cell::Gru => &[1, 0, 2],
            Cell::Lstm => &[0, 3, 1, 2],
            Cell::Transformer => return Err(Error::Bug("attention has no gates".into())),
        };
        let [mut w, mut r, mut b] = [vec![], vec![], vec![]];
        for suffix in &["", "_reverse"][..directions] {
            let maps = [("input", inputs), ("state", width)];
            for ((kind, rows), to) in maps.into_iter().zip([&mut w, &mut r]) {
                let tensor = self.tensor(&format!("{name}.{kind}{suffix}"), [rows + 1, wide])?;
                for column in order.iter().flat_map(|&gate| gate * width..(gate + 1) * width) {
                    to.extend((0..rows).map(|row| tensor.values[row * wide + column]));
                    b.push(tensor.values[rows * wide + column]);
                }
            }
        }
        let names = ["w", "r", "b"].map(|what| format!("{name}.{what}"));
        let shapes = [vec![directions, wide, inputs], vec![directions, wide, width], vec![directions, 2 * wide]];
        for ((name, shape), values) in names.iter().zip(&shapes).zip([&w, &r, &b]) {
            self.part(INITIALIZER, proto::floats(name, shape, values));
        }
        Ok(names)
    }

    fn embedding(&mut self, network: &str, tokens: &str, name: &str) -> Result<()> {
        let (table, shape) = (format!("{network}.embedding"), [self.model.vocabulary(), self.model.config.embedding]);
        let tensor = self.tensor(&table, shape)?;
        self.part(INITIALIZER, proto::floats(&table, &shape, &tensor.values));
        self.node("Gather", &[&table, tokens], name);
        Ok(())
    }

    /// x·W + b of rows.
    fn affine(&mut self, parameter: &str, x: &str, widths: [usize; 2], name: &str) -> Result<()> {
        let [weight, bias] = self.map(parameter, widths)?;
        self.node("Gemm", &[x, &weight, &bias], name);
        Ok(())
    }

    /// The constants W [inputs, outputs] and b [outputs] of a map.
    fn map(&mut self, parameter: &str, [inputs, outputs]: [usize; 2]) -> Result<[String; 2]> {
        let Tensor { values, .. } = self.tensor(parameter, [inputs + 1, outputs])?;
        let (w, b) = values.split_at(inputs * outputs);
        let [weight, bias] = ["weight", "bias"].map(|what| format!("{parameter}.{what}"));
        self.part(INITIALIZER, proto::floats(&weight, &[inputs, outputs], w));
        self.part(INITIALIZER, proto::floats(&bias, &[outputs], b));
        Ok([weight, bias])
    }

    fn part(&mut self, field: u64, message: Message) {
        self.parts.push((field, message));
    }

    fn node(&mut self, op: &str, inputs: &[&str], output: &str) {
        self.part(NODE, proto::node(op, output, inputs, &[output], vec![]));
    }

    fn transposed(&mut self, x: &str, order: &[usize], name: &str) {
        self.part(NODE, proto::node("Transpose", name, &[x], &[name], vec![proto::list("perm", order)]));
    }

    fn joined(&mut self, all: &[&str], axis: u64, name: &str) {
        self.part(NODE, proto::node("Concat", name, all, &[name], vec![proto::attribute("axis", axis)]));
    }

    fn cast(&mut self, x: &str, to: u64, name: &str) {
        self.part(NODE, proto::node("Cast", name, &[x], &[name], vec![proto::attribute("to", to)]));
    }

    fn reshape(&mut self, x: &str, extents: &[i64], name: &str) {
        let shape = format!("{name}.shape");
        self.part(INITIALIZER, proto::integers(&shape, extents));
        self.node("Reshape", &[x, &shape], name);
    }

    fn split(&mut self, x: &str, axis: u64, widths: &[usize], names: &[&str]) {
        let parts = format!("{x}.widths");
        let widths: Vec<i64> = widths.iter().map(|&width| width as i64).collect();
        self.part(INITIALIZER, proto::integers(&parts, &widths));
        let axis = vec![proto::attribute("axis", axis)];
        self.part(NODE, proto::node("Split", &format!("{x}.split"), &[x, &parts], names, axis));
    }

    fn clipped(&mut self, x: &str, bounds: [f32; 2], name: &str) {
        let names = ["low", "high"].map(|what| format!("{name}.{what}"));
        for (name, bound) in names.iter().zip(bounds) {
            self.part(INITIALIZER, proto::floats(name, &[], &[bound]));
        }
        self.node("Clip", &[x, &names[0], &names[1]], name);
    }

    /// A parameter, which must have this shape.
    fn tensor(&self, name: &str, shape: [usize; 2]) -> Result<Tensor> {
        let found = self.checkpoint.parameters.iter().find(|(found, tensor)| found == name && tensor.shape == shape);
        found
            .map(|(_, tensor)| tensor.clone())
            .ok_or_else(|| Error::Data(format!("the checkpoint has no parameter `{name}` of shape {shape:?}")))
    }

    fn finish(mut self, name: &str, doc: &str) -> Vec<u8> {
        // Fields of a message come in the order of their numbers.
        self.parts.sort_by_key(|(field, _)| *field);
        let data = &self.checkpoint.progress.data;
        let facts = [("data", data.name.clone()), ("data_sha256", data.hash.clone())];
        proto::model(&Header { opset: OPSET, name, doc, facts: &facts }, self.parts)
    }
}

/// `TensorProto.DataType` of i32, in which lengths are told to recurrent layers.
const INT32: u64 = 6;
