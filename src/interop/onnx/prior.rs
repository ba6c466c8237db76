//! The prior of codes in ONNX: whole numbers (i64) in, the logits of each cell given the cells before it out.
//!
//! The network is that of [`crate::model::autoregressive`], written as the convolutions that it stands for: the vertical kernel
//! sees the row above and, from layer 2 on, its own, three cells wide, the horizontal one the cell to the left and, from layer 2
//! on, the own one. What a mask hides has a weight of 0.

use super::proto::{self, Header, Message};
use super::{INITIALIZER, INPUT, NODE, OPSET, OUTPUT};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::{Error, Result};
use crate::model::{CLASS, CODES, LOGITS};

/// The file.
pub const PRIOR: &str = "prior.onnx";

/// A file under construction: grids are [batch, channels, height, width].
struct Grids<'a> {
    checkpoint: &'a Checkpoint,
    parts: Vec<(u64, Message)>,
    /// C, the channels.
    wide: usize,
}

/// `prior.onnx`: `codes` [batch, S] and, where it is told one, `class` [batch, classes], a one among zeros, to `logits` [batch, K, S].
/// Codes at and behind a cell do not change its logits.
///
/// # Errors
/// [`Error::Data`] if the checkpoint does not belong to its configuration.
pub fn prior(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let (model, data) = (&checkpoint.config.model, &checkpoint.progress.data);
    let (codes, wide, [_, height, width]) = (model.prior_codes, model.prior_width, data.shape);
    let told = model.condition == crate::config::Condition::Label;
    let (cells, classes) = (height * width, if told { data.class_count() } else { 0 });
    let mut file = Grids { checkpoint, parts: vec![], wide };
    file.part(INPUT, proto::whole(CODES, cells, "the codes of the grid, row by row"));
    if classes > 0 {
        let what = "the class of each as a one among zeros, in the order of data.classes in config.json";
        file.part(INPUT, proto::value(CLASS, classes, what));
    }
    let embedding = file.tensor("prior.embedding", [codes, wide])?;
    file.part(INITIALIZER, proto::floats("prior.embedding", &[codes, wide], &embedding.values));
    file.node("Gather", &["prior.embedding", CODES], "embedded");
    file.part(
        NODE,
        proto::node("Transpose", "turned", &["embedded"], &["turned"], vec![proto::list("perm", &[0, 2, 1])]),
    );
    file.reshape("turned", &[wide as i64, height as i64, width as i64], "grid");
    let [mut vertical, mut horizontal] = ["grid", "grid"].map(str::to_owned);
    for layer in 1..=model.prior_layers {
        [vertical, horizontal] = file.layer(layer, [&vertical, &horizontal], classes)?;
    }
    file.node("Relu", &[&horizontal], "known");
    file.one_by_one("prior.hidden", "known", [wide, wide], "hidden")?;
    file.node("Relu", &["hidden"], "shown");
    file.one_by_one("prior.head", "shown", [wide, codes], "head")?;
    file.reshape("head", &[codes as i64, cells as i64], LOGITS);
    let what = "log p(code of the cell | cells before it) for each code and cell, up to a number for each cell";
    file.part(OUTPUT, proto::planes(LOGITS, [codes, cells], what));
    // Fields of a message come in the order of their numbers.
    file.parts.sort_by_key(|(field, _)| *field);
    let facts =
        [("grid", format!("[{height}, {width}]")), ("data", data.name.clone()), ("data_sha256", data.hash.clone())];
    let doc = "The prior of the codes of a VQ-VAE: the logits of each cell, given the cells before it.";
    Ok(proto::model(&Header { opset: OPSET, name: "prior", doc, facts: &facts }, file.parts))
}

impl Grids<'_> {
    fn part(&mut self, field: u64, message: Message) {
        self.parts.push((field, message));
    }

    fn node(&mut self, op: &str, inputs: &[&str], output: &str) {
        self.part(NODE, proto::node(op, output, inputs, &[output], vec![]));
    }

    fn reshape(&mut self, x: &str, extents: &[i64], name: &str) {
        let shape = format!("{name}.shape");
        self.part(INITIALIZER, proto::integers(&shape, &[&[-1], extents].concat()));
        self.node("Reshape", &[x, &shape], name);
    }

    /// A parameter, which must have this shape.
    fn tensor(&self, name: &str, shape: [usize; 2]) -> Result<Tensor> {
        let found = self.checkpoint.parameters.iter().find(|(found, tensor)| found == name && tensor.shape == shape);
        found
            .map(|(_, tensor)| tensor.clone())
            .ok_or_else(|| Error::Data(format!("the checkpoint has no parameter `{name}` of shape {shape:?}")))
    }

    /// Both stacks after a layer, by those before it.
    fn layer(&mut self, layer: usize, [vertical, horizontal]: [&str; 2], classes: usize) -> Result<[String; 2]> {
        let (wide, is_first) = (self.wide, layer == 1);
        let part = |what: &str| format!("layer{layer}.{what}");
        let [rows, columns] = if is_first { [1, 1] } else { [2, 2] };
        // Rows of the map are taps, from the row above, left to right, and channels within; the last row is the bias.
        let map = self.tensor(&format!("prior.{layer}.vertical"), [rows * 3 * wide + 1, 2 * wide])?;
        let above = part("above.rows");
        self.convolution(&map, (0..rows * 3 * wide, true), vertical, [2, 3], &above);
        let map = self.tensor(&format!("prior.{layer}.horizontal"), [(columns + 2) * wide + 1, 2 * wide])?;
        let left = part("left.cells");
        self.convolution(&map, (0..columns * wide, true), horizontal, [1, 2], &left);
        let [told_above, told_left] = self.told(layer, classes)?;
        let above = self.sum(&above, told_above.as_deref(), &part("above"));
        let down = part("left.above");
        self.convolution(&map, (columns * wide..(columns + 2) * wide, false), &above, [1, 1], &down);
        let both = part("both");
        self.node("Add", &[&left, &down], &both);
        let both = self.sum(&both, told_left.as_deref(), &part("left"));
        let gated = self.gated(&both, &part("left.gated"));
        let out = part("out");
        self.one_by_one(&format!("prior.{layer}.out"), &gated, [wide, wide], &out)?;
        let next = if is_first { out } else { self.sum(&out, Some(horizontal), &part("horizontal")) };
        Ok([self.gated(&above, &part("vertical")), next])
    }

    /// a + b, or a itself where there is no b.
    fn sum(&mut self, a: &str, b: Option<&str>, name: &str) -> String {
        let Some(b) = b else { return a.to_owned() };
        self.node("Add", &[a, b], name);
        name.to_owned()
    }

    /// What the class adds to what both kernels of a layer give, [batch, 2C, 1, 1] each.
    fn told(&mut self, layer: usize, classes: usize) -> Result<[Option<String>; 2]> {
        if classes == 0 {
            return Ok([None, None]);
        }
        let (table, wide) = (format!("prior.{layer}.class"), self.wide);
        let [of_class, one, above, left] =
            ["class", "class.cell", "class.above", "class.left"].map(|what| format!("layer{layer}.{what}"));
        let tensor = self.tensor(&table, [classes, 4 * wide])?;
        self.part(INITIALIZER, proto::floats(&table, &tensor.shape, &tensor.values));
        self.node("MatMul", &[CLASS, &table], &of_class);
        self.reshape(&of_class, &[4 * wide as i64, 1, 1], &one);
        self.halves(&one, 2 * wide, [&above, &left]);
        Ok([Some(above), Some(left)])
    }

    /// Two tensors of so many channels each out of one.
    fn halves(&mut self, x: &str, channels: usize, names: [&str; 2]) {
        let widths = format!("{x}.halves");
        self.part(INITIALIZER, proto::integers(&widths, &[channels as i64; 2]));
        let axis = vec![proto::attribute("axis", 1)];
        self.part(NODE, proto::node("Split", &format!("{x}.split"), &[x, &widths], &names, axis));
    }

    /// tanh(a)·sigmoid(b) of channels a, b.
    fn gated(&mut self, both: &str, name: &str) -> String {
        let [a, b, tanh, gate] = ["a", "b", "tanh", "gate"].map(|what| format!("{name}.{what}"));
        self.halves(both, self.wide, [&a, &b]);
        self.node("Tanh", &[&a], &tanh);
        self.node("Sigmoid", &[&b], &gate);
        self.node("Mul", &[&tanh, &gate], name);
        name.to_owned()
    }

    /// A map of each cell by itself.
    fn one_by_one(&mut self, parameter: &str, x: &str, [inputs, outputs]: [usize; 2], name: &str) -> Result<()> {
        let map = self.tensor(parameter, [inputs + 1, outputs])?;
        self.convolution(&map, (0..inputs, true), x, [1, 1], name);
        Ok(())
    }

    /// A convolution by some rows of a map, the taps one after the other, and by its bias where it is wanted. A kernel that has
    /// more taps than there are rows has zeros for the last: those of the own row, or of the own cell. Zeros stand around the
    /// grid above and on both sides of a kernel of three cells, or on the left of one of two.
    fn convolution(
        &mut self,
        map: &Tensor,
        (rows, with_bias): (std::ops::Range<usize>, bool),
        x: &str,
        kernel: [usize; 2],
        name: &str,
    ) {
        let ([high, wide], outputs) = (kernel, map.shape[1]);
        let taps = high * wide;
        let inputs = if taps == 1 { rows.len() } else { self.wide };
        let value = |tap: usize, input: usize, output: usize| {
            let row = rows.start + tap * inputs + input;
            if rows.contains(&row) { map.values[row * outputs + output] } else { 0.0 }
        };
        let weight: Vec<f32> = (0..outputs)
            .flat_map(|output| (0..inputs).flat_map(move |input| (0..taps).map(move |tap| (output, input, tap))))
            .map(|(output, input, tap)| value(tap, input, output))
            .collect();
        let bias = if with_bias { map.values[map.values.len() - outputs..].to_vec() } else { vec![0.0; outputs] };
        let [weight_name, bias_name] = ["weight", "bias"].map(|kind| format!("{name}.{kind}"));
        self.part(INITIALIZER, proto::floats(&weight_name, &[outputs, inputs, high, wide], &weight));
        self.part(INITIALIZER, proto::floats(&bias_name, &[outputs], &bias));
        let right = usize::from(wide == 3);
        let attributes = vec![
            proto::list("kernel_shape", &kernel),
            proto::list("pads", &[high - 1, usize::from(wide > 1), 0, right]),
            proto::list("strides", &[1, 1]),
        ];
        self.part(NODE, proto::node("Conv", name, &[x, &weight_name, &bias_name], &[name], attributes));
    }
}
