//! ONNX: encoder and decoder as two files that other runtimes execute, with any number of examples at a time.
//!
//! The graphs are those that `elbo plan --for encode` and `--for decode` compile, operation by operation: what has no
//! form here does not compile. What is done to the statistics on the host (apart from each other, within their range)
//! is done in the file too.

mod codes;
mod general;
mod images;
mod prior;
mod proto;
pub mod sequence;

use super::model;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::config::{Activation, Binarise, Domain};
use crate::data::table::Encoding;
use crate::error::{Error, Result};
use crate::graph::columns::{Column, Columns, Distribution, LOG_RATE};
use crate::graph::mixture::Mixture;
use crate::graph::{Axis, Graph, Id, Op, Reduction};
use crate::model::exported::{LATENTS, NOISE};
use crate::model::network::Map;
use crate::model::presentation::{Logs, Presentation, is_count};
use crate::model::vae::NATURAL;
use crate::model::{CLASS, Model, likelihood};
use images::Layout;
pub use prior::{PRIOR, prior};
use proto::Message;

/// The file from examples to posteriors.
pub const ENCODER: &str = "encoder.onnx";
/// The file from examples to classes, where these are inferred.
pub const CLASSIFIER: &str = "classifier.onnx";
/// What it gives.
pub const LOG_PROBABILITIES: &str = "log_probabilities";
/// The file from latents to means.
pub const DECODER: &str = "decoder.onnx";
/// The file from noise to latents of several stochastic layers and means.
pub const SAMPLER: &str = "sampler.onnx";
/// What the input with noise is.
const NOISE_OF_LAYERS: &str = "standard normal noise of all layers, from the lowest up; zeros for means";

/// The set of operations, of June 2022: what it has suffices, and runtimes of the last years know it.
pub const OPSET: u64 = 17;

/// The most bytes of parameters in one file: protocol buffers end at 2 GiB.
const MAX_BYTES: usize = (1 << 31) - (1 << 20);

/// Field numbers of `GraphProto`.
const NODE: u64 = 1;
const INITIALIZER: u64 = 5;
const INPUT: u64 = 11;
const OUTPUT: u64 = 12;

/// `encoder.onnx`: `x` [batch, D] to `mean` and `log_variance`, both [batch, Z]. Of several stochastic layers `x` and `noise`
/// [batch, ΣZ] to these and `z` of all layers, side by side from the lowest up, [batch, ΣZ].
///
/// # Errors
/// Those of [`super::layers`].
pub fn encoder(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let model = model(checkpoint)?;
    if model.latents().len() > 1 {
        return encoder_of_layers(checkpoint, &model);
    }
    let graph = if model.has_codes() {
        model.encode_cells(1)?
    } else if model.infers_classes() {
        model.encode_as(1)?
    } else {
        model.encode(1)?
    };
    let latent = model.config.latent;
    let mut file = File::new(checkpoint, &graph)?;
    file.shown(&model);
    file.told(&model);
    file.nodes("mean")?;
    let stats = file.output("stats")?;
    if model.has_codes() {
        file.nearest(&model, &stats)?;
        return Ok(file.finish("encoder", "The codes of each example."));
    }
    file.two(&stats, [latent; 2], model.config.log_variance, ["mean", "log_variance"]);
    file.part(OUTPUT, proto::value("mean", latent, "the mean of q(z|x)"));
    file.part(OUTPUT, proto::value("log_variance", latent, "the log-variance of q(z|x)"));
    Ok(file.finish("encoder", "The posterior q(z|x) of each example."))
}

fn encoder_of_layers(checkpoint: &Checkpoint, model: &Model) -> Result<Vec<u8>> {
    let (graph, all) = (model.encode_all(1)?, model.latents().iter().sum());
    let mut file = File::new(checkpoint, &graph)?;
    file.shown(model);
    file.part(INPUT, proto::value(NOISE, all, NOISE_OF_LAYERS));
    file.told(model);
    file.nodes("mean")?;
    for (name, what) in [
        ("mean", "the means of q of all layers, each given the latents that it depends on"),
        ("log_variance", "their log-variances"),
        (LATENTS, "latents drawn with the noise, which are the means where it is 0"),
    ] {
        file.part(OUTPUT, proto::value(name, all, what));
    }
    Ok(file.finish("encoder", "The posterior of each example in all stochastic layers, from the lowest up."))
}

/// `classifier.onnx`: `x` [batch, D] to [`LOG_PROBABILITIES`] [batch, C], log q(y|x), of a model that infers classes.
///
/// # Errors
/// Those of [`super::layers`].
pub fn classifier(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let model = model(checkpoint)?;
    let graph = model.class_logits(1)?;
    let mut file = File::new(checkpoint, &graph)?;
    file.shown(&model);
    file.nodes("mean")?;
    let logits = file.output("logits")?;
    let axis = vec![proto::attribute("axis", 1)];
    file.part(NODE, proto::node("LogSoftmax", LOG_PROBABILITIES, &[&logits], &[LOG_PROBABILITIES], axis));
    let what = "log q(y|x) of each class, in the order of data.classes in config.json";
    file.part(OUTPUT, proto::value(LOG_PROBABILITIES, model.classes, what));
    Ok(file.finish("classifier", "The class of each example: q(y|x)."))
}

/// Log-variances of p(x|z) that the decoder's file gives: none, one for each value, or one for each numeric column.
///
/// # Errors
/// [`Error::Data`] if the checkpoint does not belong to its configuration.
pub fn variances(checkpoint: &Checkpoint) -> Result<usize> {
    let model = model(checkpoint)?;
    Ok(model.mean_width() - model.width)
}

/// Numbers of a row of what [`Outside::natural`](likelihood::Outside::natural) names.
///
/// # Errors
/// Those of [`model`].
pub fn natural_width(checkpoint: &Checkpoint) -> Result<usize> {
    let model = model(checkpoint)?;
    // Log-variances, which stand behind, have an output of their own.
    let heads = if model.mean_width() > model.width { model.likelihood().heads } else { 1 };
    Ok(likelihood::outputs(&model.config, model.shape) / heads)
}

/// `decoder.onnx`: `z` [batch, Z], of a residual hierarchy of all groups, [batch, ΣZ], to `mean` [batch, D] of p(x|z) and, where it
/// is learned, its `log_variance`: of every value, or of every numeric column; then what
/// [`Outside::natural`](likelihood::Outside::natural) names.
///
/// # Errors
/// Those of [`super::layers`].
pub fn decoder(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let model = model(checkpoint)?;
    let graph = match () {
        () if model.has_codes() => model.decode_cells(1)?,
        () if model.is_residual() => model.decode_all(1)?,
        () => model.decode_for_export(1)?,
    };
    let mut file = File::new(checkpoint, &graph)?;
    match () {
        () if model.has_codes() => file.looked_up(&model)?,
        () if model.is_residual() => {
            file.part(
                INPUT,
                proto::value(LATENTS, model.latents().iter().sum(), "latents of all groups, from the lowest up"),
            );
        }
        () => file.part(INPUT, proto::value(LATENTS, model.config.latent, "latents")),
    }
    file.decoded(&model)?;
    Ok(file.finish("decoder", "What each latent stands for: p(x|z)."))
}

/// `sampler.onnx`, of several stochastic layers: `noise` [batch, ΣZ] to `z` [batch, ΣZ] drawn from the top down, and what
/// [`decoder`] gives for it.
///
/// # Errors
/// Those of [`super::layers`].
pub fn sampler(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let model = model(checkpoint)?;
    let (graph, all) = (model.sample_all(1)?, model.latents().iter().sum());
    let mut file = File::new(checkpoint, &graph)?;
    file.part(INPUT, proto::value(NOISE, all, NOISE_OF_LAYERS));
    file.part(OUTPUT, proto::value(LATENTS, all, "latents of all layers, drawn from the top down"));
    file.decoded(&model)?;
    Ok(file.finish("sampler", "Draws from the prior, from the top down, and what they stand for: p(z) and p(x|z)."))
}

/// A tensor in the file.
#[derive(Debug, Clone)]
struct Stored {
    name: String,
    layout: Layout,
}

/// A file under construction.
struct File<'a> {
    checkpoint: &'a Checkpoint,
    graph: &'a Graph,
    parts: Vec<(u64, Message)>,
    /// The trainable maps.
    maps: Vec<Map>,
    /// The tensor of each node, where it has one.
    names: Vec<Stored>,
    /// Shift and scale of every value of an example, where numbers of the data were scaled.
    fitted: Option<Vec<[f64; 2]>>,
    /// How examples are shown to the encoder.
    presentation: Presentation,
}

impl<'a> File<'a> {
    fn new(checkpoint: &'a Checkpoint, graph: &'a Graph) -> Result<Self> {
        let bytes: usize = checkpoint.parameters.iter().map(|(_, tensor)| 4 * tensor.values.len()).sum();
        if bytes > MAX_BYTES {
            return Err(Error::Usage(format!(
                "--format onnx: the parameters take {bytes} bytes, and an ONNX file ends at {MAX_BYTES}; take \
                 --format safetensors"
            )));
        }
        let scaled = checkpoint.progress.data.encoding.as_ref().filter(|encoding| encoding.scales());
        let fitted = scaled.map(Encoding::fitted);
        let model = model(checkpoint)?;
        let (maps, presentation) = (model.maps(), model.presentation());
        Ok(Self { checkpoint, graph, parts: vec![], maps, names: vec![], fitted, presentation })
    }

    fn part(&mut self, field: u64, message: Message) {
        self.parts.push((field, message));
    }

    fn node(&mut self, op: &str, inputs: &[&str], outputs: &[&str]) {
        let node = proto::node(op, outputs[0], inputs, outputs, vec![]);
        self.part(NODE, node);
    }

    /// The input of examples.
    fn shown(&mut self, model: &Model) {
        let what = match self.checkpoint.progress.data.encoding {
            Some(_) if model.config.likelihood.domain() == Domain::Categories => {
                "examples, of each value a 1 among zeros, or NaN in all places of one that is missing"
            }
            Some(_) => {
                "examples in the units of the data, NaN for what is missing; of a binary column 0 or 1 for its first or \
                    second level, of a category a 1 among zeros"
            }
            None => "examples in the units of the data",
        };
        self.part(INPUT, proto::value("x", model.width, what));
    }

    /// The second input of a conditional model.
    fn told(&mut self, model: &Model) {
        if model.classes > 0 {
            let what = "the class of each as a one among zeros, in the order of data.classes in config.json";
            self.part(INPUT, proto::value(CLASS, model.classes, what));
        }
    }

    /// All operations that the outputs need, whose tensors are called as the graph calls them, but for that of `mean`.
    fn nodes(&mut self, mean: &str) -> Result<()> {
        for id in self.graph.ids() {
            let output = self.graph.outputs.iter().find(|(name, output)| *output == id && name != NATURAL);
            let name = match output {
                Some((name, _)) if name == "mean" => mean.to_owned(),
                Some((name, _)) => name.clone(),
                None => format!("t{}", id.0),
            };
            // What parameters alone make is written where something else reads it.
            let reads = |other: Id| !self.is_constant(other) && self.graph.op(other).inputs(self.graph).contains(&id);
            let unread = self.is_constant(id) && output.is_none() && !self.graph.ids().any(reads);
            let stored = if unread {
                Stored { name, layout: Layout::Flat }
            } else {
                self.operation(id, name, output.is_some())?
            };
            self.names.push(stored);
        }
        Ok(())
    }

    /// All from latents, or their noise, to p(x|z), with its outputs.
    fn decoded(&mut self, model: &Model) -> Result<()> {
        let variances = model.mean_width() - model.width;
        let learned = variances > 0;
        self.told(model);
        // In the units of the model first, where those of the data are others.
        let [mean, log_variance] = match self.fitted {
            Some(_) => ["scaled_mean", "scaled_log_variance"],
            None => ["mean", "log_variance"],
        };
        self.nodes(if learned { "stats" } else { mean })?;
        if learned {
            let stats = self.output("mean")?;
            self.two(&stats, [model.width, variances], model.config.decoder_log_variance, [mean, log_variance]);
        }
        self.unscale(model);
        let outside = &model.likelihood().outside;
        self.part(OUTPUT, proto::value("mean", model.width, outside.mean));
        if learned {
            let what = match model.columns {
                None => "the log-variance of p(x|z)",
                Some(_) => "the log-variance of p(x|z) of each numeric column",
            };
            self.part(OUTPUT, proto::value("log_variance", variances, what));
        }
        if let Some(natural) = &outside.natural {
            self.natural(natural.name)?;
            self.part(OUTPUT, proto::value(natural.name, natural_width(self.checkpoint)?, natural.what));
        }
        Ok(())
    }

    fn output(&self, name: &str) -> Result<String> {
        let found = self.graph.outputs.iter().find(|(n, _)| n == name);
        found
            .map(|(_, id)| self.names[id.0 as usize].name.clone())
            .ok_or_else(|| Error::Bug(format!("the graph has no output {name}")))
    }

    /// Writes one operation and gives its tensor. Outputs lie as in the house.
    fn operation(&mut self, id: Id, name: String, is_output: bool) -> Result<Stored> {
        let flat = |name: String| Stored { name, layout: Layout::Flat };
        match self.graph.op(id) {
            // What reads moments is an operation that makes them anew.
            Op::Parameter { .. } | Op::GroupMoments { .. } => {}
            Op::Input { name, .. } => return Ok(flat(name.clone())),
            Op::Gather { .. } => return Ok(flat(self.presented())),
            Op::Class => return Ok(flat(CLASS.into())),
            Op::ConcatOneHot { x, class, .. } => {
                let (x, class) = (self.flat(*x), self.flat(*class));
                self.part(
                    NODE,
                    proto::node("Concat", &name, &[&x, &class], &[&name], vec![proto::attribute("axis", 1)]),
                );
            }
            Op::Affine { x, w } => self.affine(*x, *w, &name)?,
            Op::Conv { x, w, window } | Op::Depthwise { x, w, window } => {
                let alone = matches!(self.graph.op(id), Op::Depthwise { .. });
                return self.conv([*x, *w], (*window, alone), name, is_output);
            }
            Op::Pool { x, window, .. } => return Ok(self.pool(*x, *window, name)),
            Op::GroupNorm { x, w, moments } => return self.group_norm([*x, *w, *moments], name),
            Op::Add { a, b } => return Ok(self.add(*a, *b, name)),
            Op::NchwNhwc { x, channels, to_pixels } => return Ok(self.planes(*x, *channels, *to_pixels, name)),
            Op::Activation { x, kind } => {
                let x = if is_output { flat(self.flat(*x)) } else { self.names[x.0 as usize].clone() };
                self.activation(&x.name, *kind, &name);
                return Ok(Stored { name, ..x });
            }
            Op::TableInput { x, .. } => {
                let x = self.flat(*x);
                self.filled(&x, &name);
            }
            Op::TableMean { out, columns } => {
                let out = self.flat(*out);
                self.table_mean(&out, columns, &name);
            }
            Op::LogisticMixtureMean { out, mixture } => {
                let (width, out) = (self.graph.shape(id).columns(), self.flat(*out));
                self.mixture_mean(&out, *mixture, width, &name);
            }
            Op::Reshape { x, .. } => return self.other_extents(*x, id, name),
            // What is told comes as ones among zeros.
            Op::Map(of) if self.is_told(of) => return Ok(flat(CLASS.into())),
            Op::Map(_) if self.is_constant(id) => self.write_constant(id, &name)?,
            Op::Map(of) if is_output => self.formula(of, &name)?,
            Op::Map(of) => match self.of_each_number(of, &name)? {
                Some(stored) => return Ok(stored),
                None => self.formula(of, &name)?,
            },
            Op::Reduce { of, kind, axis: Axis::Columns } => self.reduced(of, *kind, &name)?,
            Op::Reduce { of, kind: Reduction::Sum, axis: Axis::Rows(size) } => self.added(of, *size, &name)?,
            Op::Sample { stats, eps, clamp } => self.drawn([*stats, *eps], [clamp.low, clamp.high], &name),
            Op::Product { a, b, batch, transposed } => self.products([*a, *b], *batch, *transposed, &name),
            op @ (Op::Noise { .. }
            | Op::Vjp { .. }
            | Op::RowWeights { .. }
            | Op::Dropout { .. }
            | Op::Kl { .. }
            | Op::KlMeans { .. }
            | Op::ShapedKl { .. }
            | Op::LogRatio { .. }
            | Op::LogPrior { .. }
            | Op::Bound { .. }
            | Op::LogMeanExp { .. }
            | Op::Bernoulli { .. }
            | Op::Gaussian { .. }
            | Op::LogisticMixture { .. }
            | Op::ConcatBroadcast { .. }
            | Op::Table { .. }
            | Op::Multiply { .. }
            | Op::Scale { .. }
            | Op::SumRows { .. }
            | Op::SumColumns { .. }
            | Op::BroadcastRows { .. }
            | Op::BroadcastColumns { .. }
            | Op::Reduce { .. }
            | Op::TakeRows { .. }
            | Op::Recurrent { .. }
            | Op::AddRows { .. }
            | Op::StopGradient { .. }) => {
                return Err(Error::Bug(format!("{} belongs to no network that is exported", op.name())));
            }
        }
        Ok(flat(name))
    }

    /// A constant for each value of an example.
    fn constants(&mut self, name: &str, fitted: &[[f64; 2]], of: impl Fn([f64; 2]) -> f64) {
        let values: Vec<f32> = fitted.iter().map(|&fitted| of(fitted) as f32).collect();
        self.part(INITIALIZER, proto::floats(name, &[values.len()], &values));
    }

    /// Decoded numbers in the units of the data: mean·scale + shift, and a log-variance with that of the scale.
    fn unscale(&mut self, model: &Model) {
        let Some(fitted) = self.fitted.clone() else { return };
        self.constants("shift", &fitted, |[shift, _]| shift);
        self.constants("scale", &fitted, |[_, scale]| scale);
        self.node("Mul", &["scaled_mean", "scale"], &["stretched_mean"]);
        self.node("Add", &["stretched_mean", "shift"], &["mean"]);
        let of_columns = |columns: &Columns| {
            columns.spans().into_iter().filter(|(.., lv)| lv.is_some()).map(|(_, span, _)| fitted[span.start]).collect()
        };
        let fitted = model.columns.as_deref().map_or_else(|| fitted.clone(), of_columns);
        if model.mean_width() > model.width && !fitted.is_empty() {
            self.constants("scale_log_variance", &fitted, |[_, scale]| 2.0 * scale.ln());
            self.node("Add", &["scaled_log_variance", "scale_log_variance"], &["log_variance"]);
        }
    }

    /// What the mean was made of, as the likelihood takes it: logarithms of rates within their range, numbers in the units
    /// of the data.
    fn natural(&mut self, name: &str) -> Result<()> {
        if let Some(&(_, out)) = self.graph.outputs.iter().find(|(output, _)| output == NATURAL) {
            let made = self.flat(out);
            self.node("Identity", &[&made], &[name]);
            return Ok(());
        }
        let found = self.graph.outputs.iter().find(|(output, _)| output == "mean").map(|(_, id)| self.graph.op(*id));
        let (out, columns) = match found {
            Some(Op::Activation { x, .. }) => (*x, None),
            Some(Op::LogisticMixtureMean { out, .. }) => (*out, None),
            Some(Op::TableMean { out, columns }) => (*out, Some(columns)),
            _ => return Err(Error::Bug(format!("nothing is known of the output {name}"))),
        };
        let mut made = self.flat(out);
        let Some(columns) = columns else {
            self.node("Identity", &[&made], &[name]);
            return Ok(());
        };
        let seconds = columns.outputs() - columns.width();
        if seconds > 0 {
            self.part(INITIALIZER, proto::integers("places", &[columns.width() as i64, seconds as i64]));
            let axis = vec![proto::attribute("axis", 1)];
            self.part(NODE, proto::node("Split", "split_places", &[&made, "places"], &["firsts", "seconds"], axis));
            made = "firsts".into();
        }
        if columns.all.iter().any(|column| is_count(column.distribution)) {
            for (op, bound, of_counts, of_others) in
                [("Max", "lowest_logs", LOG_RATE.low, f32::MIN), ("Min", "highest_logs", LOG_RATE.high, f32::MAX)]
            {
                let of = |column: &Column| if is_count(column.distribution) { of_counts } else { of_others };
                let bounds: Vec<f32> = columns.all.iter().flat_map(|column| vec![of(column); column.places]).collect();
                self.part(INITIALIZER, proto::floats(bound, &[bounds.len()], &bounds));
                let held = format!("{bound}.held");
                self.node(op, &[&made, bound], &[&held]);
                made = held;
            }
        }
        let has_numbers = columns.all.iter().any(|column| column.distribution == Distribution::Normal);
        if self.fitted.is_some() && has_numbers {
            self.node("Mul", &[&made, "scale"], &["stretched_columns"]);
            self.node("Add", &["stretched_columns", "shift"], &[name]);
        } else {
            self.node("Identity", &[&made], &[name]);
        }
        Ok(())
    }

    /// The examples as the network is shown them: scaled as the training data were. Chance has no place in a file: where
    /// training draws zeros and ones, the file takes whatever it is given.
    fn presented(&mut self) -> String {
        let mut x = "x";
        if let Some(fitted) = self.fitted.clone() {
            self.constants("shift", &fitted, |[shift, _]| shift);
            self.constants("scale", &fitted, |[_, scale]| scale);
            self.node("Sub", &["x", "shift"], &["shifted"]);
            self.node("Div", &["shifted", "scale"], &["scaled"]);
            x = "scaled";
        }
        if self.presentation.binarise != Binarise::Threshold {
            return x.into();
        }
        for (name, value) in [("half", 0.5), ("one", 1.0), ("zero", 0.0)] {
            self.part(INITIALIZER, proto::floats(name, &[], &[value]));
        }
        self.node("GreaterOrEqual", &[x, "half"], &["is_one"]);
        self.node("Where", &["is_one", "one", "zero"], &["binary"]);
        "binary".into()
    }

    /// x·W + b; the parameter's rows but the last are W, the last is b.
    fn affine(&mut self, x: Id, w: Id, name: &str) -> Result<()> {
        let Op::Parameter { index } = *self.graph.op(w) else {
            return Err(Error::Bug("an affine map has a parameter for its weights".into()));
        };
        let parameter = &self.graph.parameters[index].name;
        let Some((_, Tensor { shape, values })) = self.checkpoint.parameters.iter().find(|(n, _)| n == parameter)
        else {
            return Err(Error::Data(format!("the checkpoint has no parameter `{parameter}`")));
        };
        let (inputs, outputs) = (shape[0] - 1, shape[1]);
        let (weight, bias) = values.split_at(inputs * outputs);
        let [weight_name, bias_name] = ["weight", "bias"].map(|kind| format!("{parameter}.{kind}"));
        self.part(INITIALIZER, proto::floats(&weight_name, &[inputs, outputs], weight));
        self.part(INITIALIZER, proto::floats(&bias_name, &[outputs], bias));
        let x = self.flat(x);
        self.node("Gemm", &[&x, &weight_name, &bias_name], &[name]);
        Ok(())
    }

    fn activation(&mut self, x: &str, kind: Activation, name: &str) {
        match kind {
            Activation::Identity => self.node("Identity", &[x], &[name]),
            Activation::Relu => self.node("Relu", &[x], &[name]),
            Activation::Tanh => self.node("Tanh", &[x], &[name]),
            Activation::Sigmoid => self.node("Sigmoid", &[x], &[name]),
            Activation::Softplus => self.node("Softplus", &[x], &[name]),
            Activation::Silu => {
                let gate = format!("{name}.gate");
                self.node("Sigmoid", &[x], &[&gate]);
                self.node("Mul", &[x, &gate], &[name]);
            }
            Activation::Gelu => self.gelu(x, name),
            Activation::GeluErf => gelu_erf(&mut self.parts, x, name),
        }
    }

    /// ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))): the set of operations has no GELU of its own yet.
    fn gelu(&mut self, x: &str, name: &str) {
        let part = |suffix: &str| format!("{name}.{suffix}");
        for (suffix, value) in
            [("cubic", 0.044_715), ("root", (2.0 / std::f32::consts::PI).sqrt()), ("unit", 1.0), ("half", 0.5)]
        {
            self.part(INITIALIZER, proto::floats(&part(suffix), &[], &[value]));
        }
        for (op, a, b, to) in [
            ("Mul", x, x, "square"),
            ("Mul", &part("square"), x, "cube"),
            ("Mul", &part("cube"), &part("cubic"), "term"),
            ("Add", x, &part("term"), "sum"),
            ("Mul", &part("sum"), &part("root"), "scaled"),
        ] {
            self.node(op, &[a, b], &[&part(to)]);
        }
        self.node("Tanh", &[&part("scaled")], &[&part("tanh")]);
        self.node("Add", &[&part("tanh"), &part("unit")], &[&part("gate")]);
        self.node("Mul", &[x, &part("gate")], &[&part("double")]);
        self.node("Mul", &[&part("double"), &part("half")], &[name]);
    }

    /// What the encoder is shown beside what is missing: 0 for that, and log(1 + x) for counts.
    fn filled(&mut self, x: &str, name: &str) {
        self.part(INITIALIZER, proto::floats("nothing", &[], &[0.0]));
        self.node("IsNaN", &[x], &["is_missing"]);
        let places = match &self.presentation.logs {
            Logs::None => return self.node("Where", &["is_missing", "nothing", x], &[name]),
            Logs::All => vec![true; self.presentation.width],
            Logs::Places(places) => places.clone(),
        };
        let counts: Vec<f32> = places.into_iter().map(|count| f32::from(u8::from(count))).collect();
        let others: Vec<f32> = counts.iter().map(|count| 1.0 - count).collect();
        self.part(INITIALIZER, proto::floats("counts", &[counts.len()], &counts));
        self.part(INITIALIZER, proto::floats("others", &[others.len()], &others));
        self.part(INITIALIZER, proto::floats("unit", &[], &[1.0]));
        self.node("Where", &["is_missing", "nothing", x], &["filled"]);
        self.node("Mul", &["filled", "others"], &["uncounted"]);
        self.node("Mul", &["filled", "counts"], &["counted"]);
        self.node("Add", &["counted", "unit"], &["counted_from_one"]);
        self.node("Log", &["counted_from_one"], &["log_counted"]);
        self.node("Add", &["uncounted", "log_counted"], &[name]);
    }

    /// Means, probabilities and rates, neighbours of one kind at a time, and the second numbers as they are.
    fn table_mean(&mut self, out: &str, columns: &Columns, name: &str) {
        let seconds = columns.outputs() - columns.width();
        // Categories lie side by side where there are equally many.
        let alike = |a: &Column, b: &Column| {
            a.distribution == b.distribution && (a.places == b.places || a.distribution != Distribution::Categorical)
        };
        let runs: Vec<&[Column]> = columns.all.chunk_by(alike).collect();
        let mut widths: Vec<i64> = runs.iter().map(|run| run.iter().map(|column| column.places as i64).sum()).collect();
        let mut parts: Vec<String> = (0..widths.len()).map(|at| format!("columns{at}")).collect();
        if seconds > 0 {
            widths.push(seconds as i64);
            parts.push("log_variances".into());
        }
        self.part(INITIALIZER, proto::integers("column_widths", &widths));
        let axis = || vec![proto::attribute("axis", 1)];
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.part(NODE, proto::node("Split", "split_columns", &[out, "column_widths"], &names, axis()));
        if columns.all.iter().any(|column| is_count(column.distribution)) {
            self.part(INITIALIZER, proto::floats("lowest_rate", &[], &[LOG_RATE.low]));
            self.part(INITIALIZER, proto::floats("highest_rate", &[], &[LOG_RATE.high]));
        }
        let mut made = parts.clone();
        for ((run, part), made) in runs.iter().zip(&parts).zip(&mut made) {
            let mean = format!("{part}.mean");
            match run[0].distribution {
                Distribution::Normal | Distribution::FixedNormal => continue,
                Distribution::Bernoulli => self.node("Sigmoid", &[part], &[&mean]),
                Distribution::Categorical => self.probabilities(part, run.len(), run[0].places, &mean),
                Distribution::ZeroInflated => unreachable!("their means are a formula"),
                Distribution::Poisson | Distribution::NegativeBinomial => {
                    let bounded = format!("{part}.bounded");
                    self.node("Clip", &[part, "lowest_rate", "highest_rate"], &[&bounded]);
                    self.node("Exp", &[&bounded], &[&mean]);
                }
            }
            *made = mean;
        }
        let made: Vec<&str> = made.iter().map(String::as_str).collect();
        self.part(NODE, proto::node("Concat", name, &made, &[name], axis()));
    }

    /// Probabilities of so many values that have so many categories each.
    fn probabilities(&mut self, logits: &str, values: usize, categories: usize, name: &str) {
        let [apart, each] = ["apart", "each"].map(|what| format!("{name}.{what}"));
        for (shape, extents) in
            [("apart", &[-1, values as i64, categories as i64][..]), ("beside", &[-1, (values * categories) as i64])]
        {
            self.part(INITIALIZER, proto::integers(&format!("{name}.{shape}.shape"), extents));
        }
        self.node("Reshape", &[logits, &format!("{name}.apart.shape")], &[&apart]);
        self.part(NODE, proto::node("Softmax", &each, &[&apart], &[&each], vec![proto::attribute("axis", 2)]));
        self.node("Reshape", &[&each, &format!("{name}.beside.shape")], &[name]);
    }

    /// The means of components by their weights, plane by plane.
    fn mixture_mean(&mut self, out: &str, mixture: Mixture, width: usize, name: &str) {
        let Mixture { components, channels, shared_scales } = mixture;
        let axis = || vec![proto::attribute("axis", 1)];
        let [logits, means] = ["logits", "means"].map(|what| (0..components).map(move |k| format!("{what}{k}")));
        let scales = (!shared_scales).then(|| "log_scales".to_owned());
        let parts: Vec<String> = logits.chain(means).chain(scales).collect();
        let mut widths =
            [vec![width / channels; components], vec![width; components], vec![components * width]].concat();
        widths.truncate(parts.len());
        let widths: Vec<i64> = widths.into_iter().map(|width| width as i64).collect();
        self.part(INITIALIZER, proto::integers("planes", &widths));
        for (constant, value) in [("first_level", -1.0), ("last_level", 1.0), ("half", 0.5)] {
            self.part(INITIALIZER, proto::floats(constant, &[], &[value]));
        }
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.part(NODE, proto::node("Split", "split_planes", &[out, "planes"], &names, axis()));
        self.node("Max", &names[..components], &["largest"]);
        let (mut sum, mut total) = (String::new(), String::new());
        for k in 0..components {
            let part = |what: &str| format!("component{k}.{what}");
            self.node("Sub", &[names[k], "largest"], &[&part("log")]);
            self.node("Exp", &[&part("log")], &[&part("weight")]);
            let weight = part("weight");
            let wide = part("weights");
            self.part(NODE, proto::node("Concat", &wide, &vec![&weight[..]; channels], &[&wide], axis()));
            self.node("Clip", &[names[components + k], "first_level", "last_level"], &[&part("mean")]);
            self.node("Mul", &[&wide, &part("mean")], &[&part("share")]);
            if k == 0 {
                (sum, total) = (part("share"), wide);
            } else {
                self.node("Add", &[&sum, &part("share")], &[&part("sum")]);
                self.node("Add", &[&total, &wide], &[&part("total")]);
                (sum, total) = (part("sum"), part("total"));
            }
        }
        self.node("Div", &[&sum, &total], &["level"]);
        self.node("Mul", &["level", "half"], &["half_level"]);
        self.node("Add", &["half_level", "half"], &[name]);
    }

    /// Mean and log-variance, so many numbers each, out of one tensor; the log-variance within its range.
    fn two(&mut self, stats: &str, widths: [usize; 2], [low, high]: [f32; 2], [mean, log_variance]: [&str; 2]) {
        self.part(INITIALIZER, proto::integers("halves", &widths.map(|width| width as i64)));
        let axis = vec![proto::attribute("axis", 1)];
        self.part(NODE, proto::node("Split", "split", &[stats, "halves"], &[mean, "any_log_variance"], axis));
        self.part(INITIALIZER, proto::floats("lowest", &[], &[low]));
        self.part(INITIALIZER, proto::floats("highest", &[], &[high]));
        self.node("Clip", &["any_log_variance", "lowest", "highest"], &[log_variance]);
    }

    fn finish(mut self, name: &str, doc: &str) -> Vec<u8> {
        let data = &self.checkpoint.progress.data;
        let likelihood = serde_json::to_value(self.checkpoint.config.model.likelihood).ok();
        let facts = [
            ("shape", format!("{:?}", data.shape)),
            ("data", data.name.clone()),
            ("data_sha256", data.hash.clone()),
            ("likelihood", likelihood.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()),
        ];
        // Fields of a message come in the order of their numbers: operations before constants, those before the rest.
        self.parts.sort_by_key(|(field, _)| *field);
        let header = proto::Header { opset: OPSET, name, doc, facts: &facts };
        proto::model(&header, self.parts)
    }
}

/// ½x·(1 + erf(x/√2)).
fn gelu_erf(parts: &mut Vec<(u64, Message)>, x: &str, name: &str) {
    let part = |suffix: &str| format!("{name}.{suffix}");
    for (suffix, value) in [("root", std::f32::consts::FRAC_1_SQRT_2), ("unit", 1.0), ("half", 0.5)] {
        parts.push((INITIALIZER, proto::floats(&part(suffix), &[], &[value])));
    }
    let mut node = |op: &str, inputs: &[&str], output: &str| {
        parts.push((NODE, proto::node(op, output, inputs, &[output], vec![])));
    };
    node("Mul", &[x, &part("root")], &part("scaled"));
    node("Erf", &[&part("scaled")], &part("erf"));
    node("Add", &[&part("erf"), &part("unit")], &part("gate"));
    node("Mul", &[x, &part("gate")], &part("double"));
    node("Mul", &[&part("double"), &part("half")], name);
}
