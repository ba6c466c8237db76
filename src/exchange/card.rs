//! The model card: what the model is, what it learnt from, how good it was, and how to use what was exported.

mod python;

use super::linear::Linear;
use super::onnx::{DECODER, ENCODER, OPSET};
use super::{CONFIG, PARAMETERS};
use crate::checkpoint::Checkpoint;
use crate::config::{self, Activation, Binarise, Condition, Likelihood, ModelConfig, Scales};
use crate::data::table::{Encoding, Kind};
use crate::error::Result;
use crate::model::CLASS;
use crate::model::likelihood::{self, Learned};
use crate::model::network::{self, Step};
use crate::model::objective;
use python::Body;
use std::fmt::Write;
use std::path::Path;

/// The columns of an example and how many numbers each of them takes, in Python.
const COLUMNS: &str = "\
columns = json.load(open(\"config.json\"))[\"data\"][\"encoding\"][\"columns\"]
widths = [{\"category\": len(c.get(\"levels\", [])), \"text\": 0}.get(c[\"kind\"], 1) for c in columns]
places = [c for c, width in zip(columns, widths) for _ in range(width)]
";

/// Shift and scale of every value of an example, in Python. They and what meets them are in double precision: numbers may
/// lie closely together far from 0.
const SCALING: &str = "\
shift = torch.tensor([c.get(\"shift\", 0.0) for c in places], dtype=torch.float64)
scale = torch.tensor([c.get(\"scale\", 1.0) for c in places], dtype=torch.float64)
";

/// Which values are counts, and which are numbers, in Python.
const COUNTS: &str = "counts = torch.tensor([c[\"kind\"] == \"count\" for c in places])\n";
const NUMERIC: &str = "numeric = torch.tensor([c[\"kind\"] == \"numeric\" for c in places])\n";

/// The mean of each place of an encoded row, in Python.
const TABLE: &str = "\
def table_mean(out):
    def mean(kind, part):
        if kind == \"binary\":
            return part.sigmoid()
        if kind == \"category\":
            return part.softmax(1)
        if kind == \"count\":
            return part.clamp(-20, 20).exp()
        return part

    parts = out[:, :len(places)].split(widths, 1)
    return torch.cat([mean(column[\"kind\"], part) for column, part in zip(columns, parts)], 1)


";

/// The mean of a mixture of logistics, in Python.
const MIXTURE: &str = "\
def mixture_mean(out, components, channels, pixels):
    planes = out.unflatten(1, (-1, pixels))
    weights = planes[:, :components].softmax(1).unsqueeze(2)
    means = planes[:, components:components * (1 + channels)].clamp(-1, 1).unflatten(1, (components, channels))
    return (0.5 + 0.5 * (weights * means).sum(1)).flatten(1)


";

/// The card of a folder with [`PARAMETERS`].
pub fn safetensors(checkpoint: &Checkpoint, layers: &[Linear], run: &Path) -> String {
    let mut card = head(checkpoint);
    let shared = super::model(checkpoint).ok().and_then(|model| likelihood::shared(&model));
    let _ = write!(
        card,
        "## Files\n\n- `{PARAMETERS}`: the parameters, f32. Every `weight` is [outputs, inputs] and every `bias` \
         [outputs], as in PyTorch's `Linear`; those of convolutions are as in its `Conv2d` and \
         `ConvTranspose2d`, those of normalisation as in its `GroupNorm`.\n- \
         `{CONFIG}`: everything about the model, for programs.\n\n\
         | layer | weight | bias |\n|---|---|---|\n"
    );
    for layer in layers {
        let _ = writeln!(card, "| `{}` | {:?} | [{}] |", layer.name, layer.shape(), layer.outputs);
    }
    if let Some((name, count)) = shared {
        let _ = write!(
            card,
            "\nBeside them stands the tensor `{name}` [{count}], which is no layer and holds logarithms that are the same \
             for all examples.\n"
        );
    }
    let _ = write!(card, "\n## In PyTorch\n\n```python\n{}```\n\n", pytorch(checkpoint));
    card + &foot(checkpoint, run, "safetensors")
}

/// The card of a folder with [`ENCODER`] and [`DECODER`].
pub fn onnx(checkpoint: &Checkpoint, run: &Path) -> String {
    let (width, latent) = (checkpoint.progress.data.shape.iter().product::<usize>(), checkpoint.config.model.latent);
    let variance = match super::onnx::variances(checkpoint).unwrap_or(0) {
        0 => String::new(),
        count => format!(" and `log_variance` [batch, {count}]"),
    };
    let natural = match super::onnx::natural(checkpoint.config.model.likelihood) {
        Some((name, what)) => {
            let count = super::onnx::natural_width(checkpoint).unwrap_or(0);
            format!(", and to `{name}` [batch, {count}], {what}")
        }
        None => String::new(),
    };
    let mut card = head(checkpoint);
    let count = super::model(checkpoint).map_or(0, |model| model.classes);
    let [told, class, given] = &match count {
        0 => [String::new(), String::new(), String::new()],
        _ => [
            format!(" and `{CLASS}` [batch, {count}], a one among zeros,"),
            format!("y = numpy.eye({count}, dtype=numpy.float32)[[0]]\n"),
            format!(", \"{CLASS}\": y"),
        ],
    };
    let _ = write!(
        card,
        "## Files\n\n- `{ENCODER}`: `x` [batch, {width}]{told} to `mean` and `log_variance` [batch, {latent}] of the \
         posterior.\n- `{DECODER}`: `z` [batch, {latent}]{told} to `mean` [batch, {width}]{variance} of p(x|z){natural}.\n\
         - `{CONFIG}`: everything about the model, for programs.\n\nBoth are ONNX of opset {OPSET}, f32, and take any \
         number of rows at a time.\n\n## In Python\n\n```python\nimport numpy, onnxruntime\n\n\
         encoder = onnxruntime.InferenceSession(\"{ENCODER}\")\ndecoder = onnxruntime.InferenceSession(\"{DECODER}\")\n\
         x = numpy.zeros((1, {width}), numpy.float32)\n{class}\
         mean, log_variance = encoder.run([\"mean\", \"log_variance\"], {{\"x\": x{given}}})\n\
         again, = decoder.run([\"mean\"], {{\"z\": mean{given}}})\n{logits}```\n\n{likelihoods}\
         {imprecise}`quantize_dynamic` of onnxruntime takes the extremes of a whole batch for its scales, so that what a row gives \
         would depend on the rows beside it: give it one row at a time, or quantise statically.\n\n",
        logits = log_likelihood(checkpoint, given),
        likelihoods = likelihoods(checkpoint),
        imprecise = super::imprecise(checkpoint).map_or(String::new(), |line| format!("Beware: {line}.\n\n")),
    );
    card + &foot(checkpoint, run, "onnx")
}

/// How −log p(x|z) is computed of a Bernoulli decoder, in Python.
fn log_likelihood(checkpoint: &Checkpoint, given: &str) -> String {
    let presented = match checkpoint.config.data.binarise {
        Binarise::Threshold => "x = (x >= 0.5).astype(numpy.float32)\n",
        Binarise::None | Binarise::Dynamic => "",
    };
    if checkpoint.config.model.likelihood != Likelihood::Bernoulli || checkpoint.progress.data.scales() {
        return String::new();
    }
    format!(
        "logits, = decoder.run([\"logits\"], {{\"z\": mean{given}}})\n{presented}\
         distortion = (numpy.logaddexp(0, logits) - x * logits).sum(1)  # -log p(x|z)\n"
    )
}

/// What log p(x|z) is to be computed from.
fn likelihoods(checkpoint: &Checkpoint) -> String {
    let likelihood = checkpoint.config.model.likelihood;
    let Some((name, _)) = super::onnx::natural(likelihood) else { return String::new() };
    let why = match likelihood {
        Likelihood::Bernoulli | Likelihood::Categorical | Likelihood::Heterogeneous => {
            "probabilities of less than about 1e-7 become 0 in single precision, those of 1 − 1e-8 become 1, and \
             their logarithms are infinite"
        }
        Likelihood::Poisson | Likelihood::NegativeBinomial => "it takes the logarithm, not its exponential",
        _ => "the mean alone does not say it",
    };
    format!("Compute log p(x|z) from `{name}`, not from `mean`: {why}.\n\n")
}

/// What it is and what it takes and gives.
fn head(checkpoint: &Checkpoint) -> String {
    let (model, data) = (&checkpoint.config.model, &checkpoint.progress.data);
    let width: usize = data.shape.iter().product();
    let [channels, height, columns] = data.shape;
    let values = match data.encoding.as_ref().and_then(Encoding::categories) {
        Some((extents, categories)) => &format!(
            "of each value of an array {extents:?} of {categories} categories a 1 among zeros (in Python \
             `numpy.eye({categories}, dtype=\"f4\")[values].reshape(len(values), -1)` of whole numbers), or NaN in all places of \
             a value that is missing"
        ),
        None if model.likelihood == Likelihood::Categorical => {
            "of each column a 1 among zeros, in the order of its levels in `config.json` under `data.encoding`, or NaN where it \
             is missing"
        }
        None if data.floats => "the numbers as they are in the data",
        None => "bytes of the data divided by 255",
    };
    let [scaled, units] = if data.scales() {
        [" Inside, they are scaled as `config.json` says under `data.encoding`.", " in units of the scaled numbers"]
    } else {
        [""; 2]
    };
    let presented = match checkpoint.config.data.binarise {
        Binarise::None => "",
        Binarise::Threshold => " Training saw 1 where a value is at least one half, and 0 elsewhere.",
        Binarise::Dynamic => " Training saw zeros and ones, drawn anew at every use with the values as probabilities.",
    };
    let sigma = match super::learned(checkpoint) {
        Ok(Some(Learned::Sigma(sigma))) => sigma,
        _ => model.sigma,
    };
    let gives = match model.likelihood {
        Likelihood::Bernoulli => "the logits of a Bernoulli distribution per value",
        Likelihood::Gaussian => &format!("the mean of a normal distribution with deviation {sigma}{units} per value"),
        Likelihood::GaussianShared => &format!(
            "the mean of a normal distribution per value, whose deviation is learned and the same for all, {sigma}{units} \
             (`learned.sigma` in `{CONFIG}`)"
        ),
        Likelihood::LogisticMixture => {
            let scales = match model.scales {
                Scales::Each => "then likewise log-scales, where levels reach from -1 to 1",
                Scales::Shared => &format!(
                    "where levels reach from -1 to 1; scales are learned for each component and in it for each channel, \
                     in levels of 256 (127.5 times those of the means) in `learned.scale` of `{CONFIG}`"
                ),
            };
            &format!(
                "mixtures of {} discretised logistics, one for each pixel, as planes: logits, then for each component a mean \
                 for each channel, {scales}",
                model.components
            )
        }
        Likelihood::Poisson => "the logarithm of the rate of a Poisson distribution per value",
        Likelihood::NegativeBinomial => &format!(
            "the logarithm of the mean of a negative binomial distribution per value, whose inverse dispersion is in \
             `learned.inverse_dispersion` of `{CONFIG}`"
        ),
        Likelihood::Categorical => "a logit for each category of each value, one value after the other",
        Likelihood::GaussianLearned => "mean and log-variance of a normal distribution per value",
        Likelihood::Heterogeneous => {
            "a number for each place of an encoded row (the mean of a number, the logit of a binary column, a logit for \
             each level of a category, the logarithm of the rate of a count), then the log-variances of the numeric columns"
        }
    };
    let told = match (model.condition, &data.classes) {
        (Condition::Label, Some(names)) => format!(
            " Both networks are told the class of the example, a number from 0 to {}, for these: {}.",
            names.len() - 1,
            names.join(", ")
        ),
        _ => String::new(),
    };
    format!(
        "# {name}\n\nA variational autoencoder (Kingma and Welling 2014) with {latent} latent dimensions: {layers}. An \
         example is {width} numbers (channels {channels}, height {height}, width {columns}, row-major), \
         {values}.{scaled}{presented}{told} The decoder gives {gives}. Log-variances of the \
         posterior are limited to {low} to {high}{decoder}.\n\n",
        name = checkpoint.config.name,
        latent = model.latent,
        layers = layers(checkpoint),
        low = model.log_variance[0],
        high = model.log_variance[1],
        decoder = match model.decoder_log_variance {
            same if same == model.log_variance => ", and so are those of the decoder".to_owned(),
            [low, high] => format!(", those of the decoder to {low} to {high}"),
        },
    )
}

/// The layers of both networks: their widths, or what each of them is.
fn layers(checkpoint: &Checkpoint) -> String {
    let (model, data) = (&checkpoint.config.model, &checkpoint.progress.data);
    let width: usize = data.shape.iter().product();
    if let (Ok([encoder, decoder]), true) = (networks(checkpoint), is_layered(model)) {
        let [encoder, decoder] = [encoder, decoder].map(|steps| network::describe(&steps).join(", "));
        return format!("an encoder of {encoder}, which gives means and log-variances, and a decoder of {decoder}");
    }
    let backwards: Vec<usize> = model.hidden.iter().rev().copied().collect();
    let decoder = if model.decoder.is_empty() { &backwards } else { &model.decoder };
    let widths = [&[width], &model.hidden[..], &[model.latent], decoder, &[width]].concat();
    let widths = widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
    format!("{widths}, {} after hidden layers", word(model.activation))
}

/// Whether one of the networks is a list of layers.
fn is_layered(model: &ModelConfig) -> bool {
    !(model.encoder_layers.is_empty() && model.decoder_layers.is_empty())
}

fn networks(checkpoint: &Checkpoint) -> Result<[Vec<Step>; 2]> {
    super::model(checkpoint)?.networks()
}

/// Data, figures, how it was made.
fn foot(checkpoint: &Checkpoint, run: &Path, format: &str) -> String {
    let (progress, objective) = (&checkpoint.progress, &checkpoint.config.objective);
    let mut text = format!(
        "## Training\n\n- data: {} (SHA-256 `{}`)\n- {}, {} on {}, loss = {}\n",
        progress.data.name,
        progress.data.hash,
        counted(progress.epoch.into(), "epoch"),
        counted(progress.step, "step"),
        progress.adapter,
        objective::formula(objective, &objective.beta.to_string())
    );
    if let Some(best) = progress.best {
        let _ = writeln!(text, "- best {} of an epoch: {best:.2} nats per example", checkpoint.config.score());
    }
    if let Some((header, line)) = metrics(run, progress.epoch) {
        let columns = header.matches(',').count() + 1;
        let _ = write!(
            text,
            "\nThe line of `metrics.csv` that belongs to these parameters; losses and rates are in nats per example:\n\n| {} |\n{}\n| {} |\n",
            header.replace(',', " | "),
            "|---".repeat(columns) + "|",
            line.replace(',', " | ")
        );
    }
    let _ = write!(
        text,
        "\nExported by elbo {version} with `elbo export {run} --format {format}`. The whole configuration, from which \
         `elbo train --recipe FILE.toml` trains it again:\n\n```toml\n{config}```\n",
        version = env!("CARGO_PKG_VERSION"),
        run = run.display(),
        config = config::to_toml(&checkpoint.config),
    );
    text
}

/// A number of things in words.
fn counted(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Header and line of the run's metrics for an epoch, where the run has them.
fn metrics(run: &Path, epoch: u32) -> Option<(String, String)> {
    let text = std::fs::read_to_string(run.join("metrics.csv")).ok()?;
    let mut lines = text.lines();
    let header = lines.next()?.to_owned();
    let line = lines.find(|line| line.split(',').next() == Some(&epoch.to_string()))?;
    Some((header, line.to_owned()))
}

/// The two networks as functions on the tensors of the file.
fn pytorch(checkpoint: &Checkpoint) -> String {
    let model = &checkpoint.config.model;
    let typed = checkpoint.progress.data.encoding.as_ref();
    let typed = typed.filter(|_| model.likelihood == Likelihood::Heterogeneous);
    let scales = checkpoint.progress.data.scales();
    let mut shown = String::new();
    if scales {
        shown += "    x = ((x - shift) / scale).float()\n";
    }
    if checkpoint.config.data.binarise == Binarise::Threshold {
        shown += "    x = (x >= 0.5).float()\n";
    }
    let counts = typed.is_some_and(|encoding| encoding.columns.iter().any(|column| column.kind == Kind::Count));
    if matches!(model.likelihood, Likelihood::Poisson | Likelihood::NegativeBinomial) {
        shown += "    x = torch.log1p(x.nan_to_num(0.0))\n";
    } else if checkpoint.progress.data.may_miss(model.likelihood) {
        shown += "    x = x.nan_to_num(0.0)\n";
    }
    if counts {
        shown += "    x = torch.where(counts, torch.log1p(x), x)\n";
    }
    let [encoder, decoder] = networks(checkpoint).unwrap_or_default();
    let [encoder, decoder] =
        [Body::of(&encoder, "x", Some(checkpoint.progress.data.shape)), Body::of(&decoder, "z", None)];
    let (told, body) = (if model.condition == Condition::Label { ", y" } else { "" }, &decoder.lines);
    let [low, high] = model.log_variance;
    let (functions, decoded) = decoded(checkpoint, &decoder);
    let constants = [
        (scales || typed.is_some(), COLUMNS),
        (scales, SCALING),
        (counts, COUNTS),
        (scales && decoded.contains("[numeric]"), NUMERIC),
    ];
    let constants: String = constants.iter().filter(|(wanted, _)| *wanted).map(|(_, lines)| *lines).collect();
    format!(
        "import json\n\nimport torch\nimport torch.nn.functional as F\nfrom safetensors.torch import load_file\n\n\
         tensors = load_file(\"{PARAMETERS}\")\n{constants}\n\n\
         def parameters(name):\n    return tensors[name + \".weight\"], tensors[name + \".bias\"]\n\n\n\
         def encode(x{told}):\n{shown}{encode}    return {mean}, {log_variance}.clamp({low}, {high})\n\n\n\
         {functions}def decode(z{told}):\n{body}{decoded}",
        encode = encoder.lines,
        mean = encoder.head("encoder.mean"),
        log_variance = encoder.head("encoder.log_variance"),
    )
}

/// What the last lines of `decode` need, and these lines: in the units of the data.
fn decoded(checkpoint: &Checkpoint, decoder: &Body) -> (&'static str, String) {
    let model = &checkpoint.config.model;
    let [low, high] = model.decoder_log_variance;
    // Units of the data are those of the model unless numbers were scaled.
    let scales = checkpoint.progress.data.scales();
    let [units, deviations] = if scales { [" * scale + shift", " + 2 * scale.log()"] } else { [""; 2] };
    let functions = match model.likelihood {
        Likelihood::LogisticMixture => MIXTURE,
        Likelihood::Heterogeneous if checkpoint.progress.data.encoding.is_some() => TABLE,
        _ => "",
    };
    let returned = match model.likelihood {
        Likelihood::Bernoulli => format!("torch.sigmoid({}){units}", decoder.head("decoder.logits")),
        Likelihood::Gaussian | Likelihood::GaussianShared => format!("{}{units}", decoder.head("decoder.mean")),
        Likelihood::LogisticMixture => {
            let (out, components) = (decoder.head("decoder.mixture"), model.components);
            let [channels, height, columns] = checkpoint.progress.data.shape;
            format!("mixture_mean({out}, {components}, {channels}, {}){units}", height * columns)
        }
        Likelihood::Poisson => format!("{}.clamp(-20, 20).exp()", decoder.head("decoder.log_rate")),
        Likelihood::NegativeBinomial => format!("{}.clamp(-20, 20).exp()", decoder.head("decoder.log_mean")),
        Likelihood::Categorical => probabilities(checkpoint, &decoder.head("decoder.logits")),
        Likelihood::Heterogeneous => {
            let width: usize = checkpoint.progress.data.shape.iter().product();
            let mean = if functions.is_empty() { format!("out[:, :{width}]") } else { "table_mean(out)".to_owned() };
            let deviations = if scales { " + 2 * scale[numeric].log()" } else { "" };
            let variances = match super::onnx::variances(checkpoint) {
                Ok(0) => String::new(),
                _ => format!(", out[:, {width}:].clamp({low}, {high}){deviations}"),
            };
            let out = decoder.head("decoder.columns");
            return (functions, format!("    out = {out}\n    return {mean}{units}{variances}\n"));
        }
        Likelihood::GaussianLearned => format!(
            "{}{units}, {}.clamp({low}, {high}){deviations}",
            decoder.head("decoder.mean"),
            decoder.head("decoder.log_variance")
        ),
    };
    (functions, format!("    return {returned}\n"))
}

/// The probabilities of categories, from their logits: an expression in Python.
fn probabilities(checkpoint: &Checkpoint, logits: &str) -> String {
    let Some(encoding) = &checkpoint.progress.data.encoding else { return logits.to_owned() };
    if let Some((_, categories)) = encoding.categories() {
        return format!("{logits}.unflatten(1, ({}, {categories})).softmax(2).flatten(1)", encoding.columns.len());
    }
    let widths: Vec<usize> = encoding.columns.iter().map(|column| column.kind.width()).collect();
    format!("torch.cat([column.softmax(1) for column in {logits}.split({widths:?}, 1)], 1)")
}

/// How configurations write a non-linearity.
fn word(activation: Activation) -> String {
    serde_json::to_value(activation).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
