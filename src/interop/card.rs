//! The model card: what the model is, what it learnt from, how good it was, and how to use what was exported.

mod layers;
mod python;

use super::linear::Linear;
use super::onnx::sequence::{BEGIN, LENGTHS, NEXT_STATE, STATE, STEP, TOKENS, VOCABULARY};
use super::onnx::{CLASSIFIER, DECODER, ENCODER, LOG_PROBABILITIES, OPSET, PRIOR, SAMPLER};
use super::{CODEBOOK, CONFIG, PARAMETERS};
use crate::checkpoint::Checkpoint;
use crate::config::{self, Activation, Binarise, Cell, Condition, Domain, Hierarchy, ModelConfig};
use crate::data::table::Encoding;
use crate::data::text::vocabulary::{END, FIRST, PADDING, UNKNOWN};
use crate::error::Result;
use crate::model::library::LIBRARY;
use crate::model::likelihood::{self, Decode, Gives, Global, Learned, Natural, Python};
use crate::model::network::{self, Step};
use crate::model::objective;
use crate::model::presentation::{Logs, Presentation};
use crate::model::sequence::TOKEN;
use crate::model::{CLASS, CODES, LOGITS, Model};
use layers::Functions;
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

/// The card of a folder with [`PARAMETERS`].
pub fn safetensors(checkpoint: &Checkpoint, layers: &[Linear], run: &Path) -> String {
    let mut card = head(checkpoint);
    let shared = super::model(checkpoint).ok().and_then(|model| likelihood::global(&model));
    let _ = write!(
        card,
        "## Files\n\n- `{PARAMETERS}`: the parameters, f32. Every `weight` is [outputs, inputs] and every `bias` \
         [outputs], as in PyTorch's `Linear`; those of convolutions are as in its `Conv2d` and \
         `ConvTranspose2d`, those of normalisation as in its `GroupNorm`; a batch normalisation has `running_mean` and `running_var` too, as its \
         `BatchNorm1d` and `BatchNorm2d`.\n- \
         `{CONFIG}`: everything about the model, for programs.\n\n\
         | layer | weight | bias |\n|---|---|---|\n"
    );
    for layer in layers {
        let _ = writeln!(card, "| `{}` | {:?} | [{}] |", layer.name, layer.shape(), layer.outputs);
    }
    if let Some(Global { name, count, .. }) = shared {
        let _ = write!(
            card,
            "\nBeside them stands the tensor `{name}` [{count}], which is no layer and holds logarithms that are the same \
             for all examples.\n"
        );
    }
    if checkpoint.config.model.codes > 0 {
        let (codes, latent) = (checkpoint.config.model.codes, checkpoint.config.model.latent);
        let _ = write!(card, "\nBeside them stands `{CODEBOOK}` [{codes}, {latent}]: the codes.\n");
    }
    if let Some(model) = super::model(checkpoint).ok().filter(|model| model.latents().len() > 1) {
        let _ = write!(
            card,
            "\n{} `decode` takes {}.\n",
            layers::words(&model),
            if model.is_residual() { "all" } else { "those of z1" }
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
    let natural = match natural(checkpoint) {
        Some(Natural { name, what, .. }) => {
            let count = super::onnx::natural_width(checkpoint).unwrap_or(0);
            format!(", and to `{name}` [batch, {count}], {what}")
        }
        None => String::new(),
    };
    let mut card = head(checkpoint);
    let count = super::model(checkpoint).map_or(0, |model| model.classes);
    let infers = checkpoint.config.model.condition == Condition::Inferred;
    let several = checkpoint.config.model.is_deep().is_some();
    let [classifier, opened, all] = if infers {
        [
            format!("- `{CLASSIFIER}`: `x` [batch, {width}] to `{LOG_PROBABILITIES}` [batch, {count}], log q(y|x).\n"),
            format!("classifier = onnxruntime.InferenceSession(\"{CLASSIFIER}\")\n"),
            "All".to_owned(),
        ]
    } else {
        [String::new(), String::new(), if several { "All" } else { "Both" }.to_owned()]
    };
    let [told, class, given] = &match count {
        0 => [String::new(), String::new(), String::new()],
        _ => [
            format!(" and `{CLASS}` [batch, {count}], a one among zeros,"),
            if infers {
                format!(
                    "log_q, = classifier.run([\"{LOG_PROBABILITIES}\"], {{\"x\": x}})\n\
                     y = numpy.eye({count}, dtype=numpy.float32)[log_q.argmax(1)]\n"
                )
            } else {
                format!("y = numpy.eye({count}, dtype=numpy.float32)[[0]]\n")
            },
            format!(", \"{CLASS}\": y"),
        ],
    };
    let cells = grid(checkpoint).map(|[height, width]| height * width);
    // Of several stochastic layers the columns of all of them.
    let layers = super::model(checkpoint).ok().filter(|model| model.latents().len() > 1);
    let all_layers = layers.as_ref().map_or(0, |model| model.latents().iter().sum());
    let residual = checkpoint.config.model.hierarchy == Hierarchy::Residual;
    let [made, taken, made_in_python, z, code] = match cells {
        _ if all_layers > 0 => [
            format!("`mean`, `log_variance` and `z` [batch, {all_layers}], z drawn with the noise"),
            format!("`z` [batch, {}]", if residual { all_layers } else { latent }),
            format!("noise = numpy.zeros((1, {all_layers}), numpy.float32)  # the means\nz, = encoder.run([\"z\"]"),
            "z".to_owned(),
            if residual { "z".to_owned() } else { format!("z[:, :{latent}]") },
        ],
        Some(cells) => [
            format!("`{CODES}` [batch, {cells}], whole numbers (i64)"),
            format!("`{CODES}` [batch, {cells}]"),
            format!("codes, = encoder.run([\"{CODES}\"]"),
            CODES.to_owned(),
            "codes".to_owned(),
        ],
        None => [
            format!("`mean` and `log_variance` [batch, {latent}] of the posterior"),
            format!("`z` [batch, {latent}]"),
            "mean, log_variance = encoder.run([\"mean\", \"log_variance\"]".to_owned(),
            "z".to_owned(),
            "mean".to_owned(),
        ],
    };
    let [noise, noise_in_python, sampler, drawn] = match &layers {
        None => [String::new(), String::new(), String::new(), String::new()],
        Some(_) => [
            format!(" and `noise` [batch, {all_layers}], zeros for the means,"),
            ", \"noise\": noise".to_owned(),
            format!(
                "- `{SAMPLER}`: `noise` [batch, {all_layers}]{told} to `z` [batch, {all_layers}], drawn from the top down, and to what \
                 `{DECODER}` gives for it. Noise that is multiplied by 0.7 draws at a temperature of 0.7.\n"
            ),
            format!(
                "sampler = onnxruntime.InferenceSession(\"{SAMPLER}\")\n\
                 noise = numpy.random.default_rng(0).standard_normal((1, {all_layers}), numpy.float32)\n\
                 drawn, = sampler.run([\"mean\"], {{\"noise\": noise{given}}})\n"
            ),
        ],
    };
    let _ = write!(
        card,
        "## Files\n\n{classifier}- `{ENCODER}`: `x` [batch, {width}]{noise}{told} to {made}.\n- `{DECODER}`: {taken}{told} to `mean` \
         [batch, {width}]{variance} of p(x|z){natural}.\n{sampler}\
         - `{CONFIG}`: everything about the model, for programs.\n\n{all} are ONNX of opset {OPSET}, f32, and take any \
         number of rows at a time.{lie}\n\n## In Python\n\n```python\nimport numpy, onnxruntime\n\n\
         {opened}encoder = onnxruntime.InferenceSession(\"{ENCODER}\")\ndecoder = onnxruntime.InferenceSession(\"{DECODER}\")\n\
         x = numpy.zeros((1, {width}), numpy.float32)\n{class}\
         {made_in_python}, {{\"x\": x{noise_in_python}{given}}})\n\
         again, = decoder.run([\"mean\"], {{\"{z}\": {code}{given}}})\n{logits}{drawn}```\n\n{likelihoods}\
         {imprecise}`quantize_dynamic` of onnxruntime takes the extremes of a whole batch for its scales, so that what a row gives \
         would depend on the rows beside it: give it one row at a time, or quantise statically.\n\n",
        lie = layers.as_ref().map_or(String::new(), |model| format!(" {}", layers::words(model))),
        logits = log_likelihood(checkpoint, &format!("\"{z}\": {code}{given}")),
        likelihoods = likelihoods(checkpoint),
        imprecise = super::imprecise(checkpoint).map_or(String::new(), |line| format!("Beware: {line}.\n\n")),
    );
    card + &foot(checkpoint, run, "onnx")
}

/// The card of a folder with [`PRIOR`].
pub fn prior(checkpoint: &Checkpoint, run: &Path) -> String {
    let (model, data) = (&checkpoint.config.model, &checkpoint.progress.data);
    let ([_, height, width], codes) = (data.shape, model.prior_codes);
    let told = model.condition == Condition::Label;
    let (cells, count) = (height * width, if told { data.class_count() } else { 0 });
    let [told, class, given] = match count {
        0 => [String::new(), String::new(), String::new()],
        _ => [
            format!(" and `{CLASS}` [batch, {count}], a one among zeros,"),
            format!("y = numpy.eye({count}, dtype=numpy.float32)[[0]]\n"),
            format!(", \"{CLASS}\": y"),
        ],
    };
    let names = match &data.classes {
        Some(names) => format!(
            " It is told the class of the grid, a number from 0 to {}, for these: {}.",
            names.len().saturating_sub(1),
            names.join(", ")
        ),
        None => String::new(),
    };
    let card = format!(
        "# {name}\n\nThe prior of the codes of a vector-quantised autoencoder: gated masked convolutions (van den Oord et al. \
         2016), {layers} layers of {wide} channels, for grids of {height}x{width} codes of {codes}.{names}\n\n\
         ## Files\n\n- `{PRIOR}`: `{CODES}` [batch, {cells}], whole numbers (i64), the cells row by row,{told} to `{LOGITS}` [batch, \
         {codes}, {cells}]: of each cell the logits of its code given the cells before it; codes at and behind a cell do not \
         change them.\n- `{CONFIG}`: everything about the model, for programs.\n\nIt is ONNX of opset {OPSET}, f32, and takes any \
         number of rows at a time. The VQ-VAE whose codes these are lies in the folder of the run, in `codes/model`; its own \
         `decoder.onnx` (`elbo export RUN/codes/model --format onnx`) makes examples of codes.\n\n\
         ## In Python\n\n```python\nimport numpy, onnxruntime\n\n\
         prior = onnxruntime.InferenceSession(\"{PRIOR}\")\nrandom = numpy.random.default_rng(0)\n\
         codes = numpy.zeros((1, {cells}), numpy.int64)\n{class}\
         for cell in range({cells}):\n    \
         {LOGITS}, = prior.run([\"{LOGITS}\"], {{\"{CODES}\": codes{given}}})\n    \
         p = numpy.exp({LOGITS}[0, :, cell] - {LOGITS}[0, :, cell].max())\n    \
         codes[0, cell] = random.choice({codes}, p=p / p.sum())\n```\n\n",
        name = checkpoint.config.name,
        layers = model.prior_layers,
        wide = model.prior_width,
    );
    card + &foot(checkpoint, run, "onnx")
}

/// What the card of a model of sequences says of its kind of network.
struct Sequences {
    /// Encoder and decoder.
    network: String,
    /// What limits T, and the files of single steps.
    files: [String; 2],
    /// The files that spell a sequence.
    sessions: &'static [&'static str],
    /// Of the spelling what stands before the loop, makes `logits` [1, V] of a place, and keeps `token` [1] for the next.
    spelling: [String; 3],
}

impl Sequences {
    /// Of recurrent layers.
    fn recurrent(model: &Model) -> Self {
        let (state, vocabulary) = (model.decoder_state(), model.vocabulary());
        let (cell, both) =
            (model.config.cell.word(), if model.config.bidirectional { ", in both directions" } else { "" });
        let (hidden, decoder) = (&model.config.hidden, model.decoder_units());
        Self {
            network: format!("a recurrent encoder ({cell} {hidden:?}{both}) and decoder ({cell} {decoder:?})"),
            files: [
                String::new(),
                format!(
                    "- `{BEGIN}`: `z` to `{STATE}` [batch, {state}], what the decoder begins with.\n\
                     - `{STEP}`: `z`, `{TOKEN}` [batch], the token before (at first {PADDING}), and `{STATE}` to `{LOGITS}` \
                     [batch, {vocabulary}] of the next token and `{NEXT_STATE}`.\n"
                ),
            ],
            sessions: &["encoder", "begin", "step"],
            spelling: [
                format!(
                    "{STATE}, = begin.run([\"{STATE}\"], {{\"z\": mean}})\n\
                     token, spelled = numpy.zeros(1, numpy.int64), []\n"
                ),
                format!(
                    "    feed = {{\"z\": mean, \"{TOKEN}\": token, \"{STATE}\": {STATE}}}\n    \
                     {LOGITS}, {STATE} = step.run([\"{LOGITS}\", \"{NEXT_STATE}\"], feed)\n"
                ),
                String::new(),
            ],
        }
    }

    /// Of attention: each token is spelled by the decoder of all before it.
    fn attending(model: &Model) -> Self {
        let (hidden, decoder) = (&model.config.hidden, model.decoder_units());
        let (width, heads) = (model.config.embedding, model.config.heads);
        Self {
            network: format!(
                "encoder and decoder of blocks of attention ({width} numbers, {heads} heads; perceptrons {hidden:?} and {decoder:?})"
            ),
            files: [format!(" T is {} at most, in both files.", model.width), String::new()],
            sessions: &["encoder", "decoder"],
            spelling: [
                format!("so_far, spelled = numpy.zeros((1, {}), numpy.int64), []\n", model.width),
                format!(
                    "    # The last place is given the tokens before it; what stands in it is not looked at.\n    \
                     feed = {{\"z\": mean, \"{TOKENS}\": so_far[:, : place + 1]}}\n    \
                     {LOGITS} = decoder.run([\"{LOGITS}\"], feed)[0][:, -1]\n"
                ),
                "    so_far[:, place] = token\n".into(),
            ],
        }
    }
}

/// The card of a folder with the files of a model of sequences.
pub fn sequence(checkpoint: &Checkpoint, model: &Model, run: &Path) -> String {
    let text = checkpoint.progress.data.text.as_ref();
    let (kind, joint) =
        text.map_or(("tokens", ""), |text| (text.tokens.word(), if text.music.is_some() { " " } else { "" }));
    let (places, vocabulary, latent) = (model.width, model.vocabulary(), model.config.latent);
    let Sequences { network, files: [limit, steps], sessions, spelling: [begin, step, keep] } =
        if model.config.cell == Cell::Transformer { Sequences::attending(model) } else { Sequences::recurrent(model) };
    let card = format!(
        "# {name}\n\nA variational autoencoder of sequences (Bowman et al. 2016), of up to {most} {kind} and an end: {network}, \
         {latent} latents.\n\n\
         ## Files\n\n- `{ENCODER}`: `{TOKENS}` [batch, T] and `{LENGTHS}` [batch], whole numbers (i64), to `mean` and `log_variance` \
         [batch, {latent}] of the posterior. A sequence ends with {END}, which counts; what is behind its length is not read.{limit}\n\
         - `{DECODER}`: `z` [batch, {latent}] and `{TOKENS}` [batch, T] to `{LOGITS}` [batch, T, {vocabulary}]: of each place the \
         logits of its token given z and the tokens before it.\n{steps}\
         - `{VOCABULARY}`: the tokens; the first of `words` has the number {FIRST}, before these stand padding, end and unknown.\n\
         - `{CONFIG}`: everything about the model, for programs.\n\nAll are ONNX of opset {OPSET}, f32, and take any number of rows \
         at a time.\n\n## In Python\n\nA sequence is encoded and spelled again, the likeliest token in every place.\n\n\
         ```python\nimport json, numpy, onnxruntime\n\n\
         {names} = (onnxruntime.InferenceSession(name + \".onnx\") for name in ({quoted}))\n\
         vocabulary = json.load(open(\"{VOCABULARY}\", encoding=\"utf-8\"))\nwords = vocabulary[\"words\"]\n\
         sequence = words[:3]\n\
         tokens = numpy.array([[words.index(word) + {FIRST} for word in sequence] + [{END}]], dtype=numpy.int64)\n\
         lengths = numpy.array([tokens.shape[1]], dtype=numpy.int64)\n\
         mean, log_variance = encoder.run([\"mean\", \"log_variance\"], {{\"{TOKENS}\": tokens, \"{LENGTHS}\": lengths}})\n\
         {begin}for place in range({places}):\n{step}    \
         {LOGITS}[:, [{PADDING}, {UNKNOWN}]] = -numpy.inf\n    \
         token = {LOGITS}.argmax(1)\n    \
         if token[0] == {END}:\n        break\n    \
         spelled.append(words[token[0] - {FIRST}])\n{keep}\
         print(\"{joint}\".join(spelled))\n```\n\n",
        name = checkpoint.config.name,
        most = places - 1,
        names = sessions.join(", "),
        quoted = sessions.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
    );
    card + &foot(checkpoint, run, "onnx")
}

/// The card of a folder with a page, which holds so many examples where it trains.
pub fn web(checkpoint: &Checkpoint, run: &Path, examples: Option<usize>) -> String {
    let held = examples.map_or(String::new(), |examples| {
        let trains = if checkpoint.progress.step > 0 { "goes on with the training" } else { "trains the model" };
        format!(
            "## Examples\n\nThe page {trains}: `training.bin` holds {examples} examples of {}, and whoever has \
             the page has them.\n\n",
            checkpoint.progress.data.name
        )
    });
    head(checkpoint) + &held + &foot(checkpoint, run, "web")
}

/// What the decoder's file gives beside the mean.
fn natural(checkpoint: &Checkpoint) -> Option<Natural> {
    likelihood::of(checkpoint.config.model.likelihood).outside.natural
}

/// How −log p(x|z) is computed, where that is a line of Python.
fn log_likelihood(checkpoint: &Checkpoint, given: &str) -> String {
    let presented = match checkpoint.config.data.binarise {
        Binarise::Threshold => "x = (x >= 0.5).astype(numpy.float32)\n",
        Binarise::None | Binarise::Dynamic => "",
    };
    let (Some(Natural { name, distortion: Some(distortion), .. }), false) =
        (natural(checkpoint), checkpoint.progress.data.scales())
    else {
        return String::new();
    };
    format!(
        "{name}, = decoder.run([\"{name}\"], {{{given}}})\n{presented}\
         distortion = {distortion}  # -log p(x|z)\n"
    )
}

/// What log p(x|z) is to be computed from.
fn likelihoods(checkpoint: &Checkpoint) -> String {
    let Some(Natural { name, why, .. }) = natural(checkpoint) else { return String::new() };
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
        None if model.likelihood.domain() == Domain::Categories => {
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
        Ok(Some(Learned { of, values })) if of.single => values[0],
        _ => model.sigma,
    };
    let likelihood = likelihood::of(model.likelihood);
    let gives = (likelihood.outside.gives)(&Gives { config: model, sigma, units, file: CONFIG });
    let told = match (model.condition, &data.classes) {
        (Condition::Label, Some(names)) => format!(
            " Both networks are told the class of the example, a number from 0 to {}, for these: {}.",
            names.len() - 1,
            names.join(", ")
        ),
        (Condition::Inferred, Some(names)) => format!(
            " The class of an example is a latent, too, a number from 0 to {}, for these: {}; the classifier gives q(y|x), encoder and \
             decoder are told a class, and log p(y) stands in `{CONFIG}` under `class_log_prior`.",
            names.len() - 1,
            names.join(", ")
        ),
        _ => String::new(),
    };
    let library = checkpoint.parameters.iter().find(|(name, _)| name == LIBRARY);
    let library = library.and_then(|(_, log)| log.values.first()).map(|log| {
        format!(
            " Means of counts are shares of the total of their example, and what decodes latents takes {:.0} for it, the median of \
             the training part (`{LIBRARY}` is its logarithm).",
            log.exp()
        )
    });
    let library = library.unwrap_or_default();
    let [low, high] = model.log_variance;
    let [kind, limits] = if let Some([height, width]) = grid(checkpoint) {
        [
            format!(
                "vector-quantised autoencoder (van den Oord et al. 2017) with {height}x{width} codes of {} for an example, \
                 {} numbers each",
                model.codes, model.latent
            ),
            String::new(),
        ]
    } else {
        let decoder = match model.decoder_log_variance {
            same if same == model.log_variance => ", and so are those of the decoder".to_owned(),
            [low, high] => format!(", those of the decoder to {low} to {high}"),
        };
        let dimensions = match super::model(checkpoint) {
            Ok(of) if of.latents().len() > 1 => {
                let widths: Vec<String> = of.latents().iter().map(usize::to_string).collect();
                format!(
                    "{} stochastic layers ({}) of {} latent dimensions",
                    widths.len(),
                    model.hierarchy.word(),
                    widths.join(", ")
                )
            }
            _ => format!("{} latent dimensions", model.latent),
        };
        [
            format!("variational autoencoder (Kingma and Welling 2014) with {dimensions}"),
            format!(" Log-variances of the posterior are limited to {low} to {high}{decoder}."),
        ]
    };
    format!(
        "# {name}\n\nA {kind}: {layers}. An example is {width} numbers (channels {channels}, height {height}, width \
         {columns}, row-major), {values}.{scaled}{presented}{told} The decoder gives {gives}.{library}{limits}\n\n",
        name = checkpoint.config.name,
        layers = layers(checkpoint),
    )
}

/// Height and width of the grid of codes, where latents are codes.
fn grid(checkpoint: &Checkpoint) -> Option<[usize; 2]> {
    super::model(checkpoint).ok().filter(Model::has_codes).map(|model| model.grid())
}

/// The layers of both networks: their widths, or what each of them is.
fn layers(checkpoint: &Checkpoint) -> String {
    let (model, data) = (&checkpoint.config.model, &checkpoint.progress.data);
    let width: usize = data.shape.iter().product();
    if let (Ok([encoder, decoder]), true) = (networks(checkpoint), is_layered(model)) {
        let [encoder, decoder] = [encoder, decoder].map(|steps| network::describe(&steps).join(", "));
        let gives = if model.codes > 0 { "vectors for which codes stand" } else { "means and log-variances" };
        return format!("an encoder of {encoder}, which gives {gives}, and a decoder of {decoder}");
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
        objective::formula(&checkpoint.config, &objective.beta.to_string())
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
    let typed = typed.filter(|_| model.likelihood.domain() == Domain::Columns);
    let scales = checkpoint.progress.data.scales();
    let presentation = super::model(checkpoint).map(|model| model.presentation());
    let counts = presentation.as_ref().is_ok_and(|shown| matches!(shown.logs, Logs::Places(_)));
    let shown = presentation.map_or_else(|_| String::new(), |presentation| presented(&presentation, scales));
    let grid = grid(checkpoint);
    let [encoder, decoder] = networks(checkpoint).unwrap_or_default();
    let given = grid.map(|[height, width]| [model.latent, height, width]);
    let encoder = Body::of(&encoder, "x", Some(checkpoint.progress.data.shape));
    let several = super::model(checkpoint).ok().filter(|model| model.latents().len() > 1);
    let several = several.and_then(|model| layers::functions(&model, &shown).ok());
    let (layered, decoder) = match several {
        Some(Functions { encode, sample, decoder }) => (Some([encode, sample]), decoder),
        None => (None, Body::of(&decoder, "z", given)),
    };
    let (told, body) = (if model.condition == Condition::Label { ", y" } else { "" }, &decoder.lines);
    let [low, high] = model.log_variance;
    let Python { functions, lines: decoded } = decoded(checkpoint, &decoder);
    let constants = [
        (scales || typed.is_some(), COLUMNS),
        (scales, SCALING),
        (counts, COUNTS),
        (scales && decoded.contains("[numeric]"), NUMERIC),
    ];
    let constants: String = constants.iter().filter(|(wanted, _)| *wanted).map(|(_, lines)| *lines).collect();
    let (latent, cells) = (model.latent, grid.map_or(1, |[height, width]| height * width));
    let [returned, argument, looked_up, codebook] = match grid {
        Some(_) => [
            format!(
                "    z = {}.reshape(-1, {latent}, {cells}).transpose(1, 2)\n    \
                 return ((codebook ** 2).sum(1) - 2 * z @ codebook.T).argmin(2)\n",
                encoder.head("encoder.head")
            ),
            "codes".to_owned(),
            format!("    z = codebook[codes].transpose(1, 2).reshape(-1, {})\n", latent * cells),
            format!("codebook = tensors[\"{CODEBOOK}\"]\n"),
        ],
        None => [
            format!(
                "    return {}, {}.clamp({low}, {high})\n",
                encoder.head("encoder.mean"),
                encoder.head("encoder.log_variance")
            ),
            "z".to_owned(),
            String::new(),
            String::new(),
        ],
    };
    let encode = match layered {
        Some([encode, sample]) => {
            // Groups are told the class on their way down, levels in the lowest of them alone.
            let also = if model.hierarchy == Hierarchy::Residual { told } else { "" };
            format!("def encode(x, noise{told}):\n{encode}\n\ndef sample(noise{also}):\n{sample}")
        }
        None => format!("def encode(x{told}):\n{shown}{}{returned}", encoder.lines),
    };
    format!(
        "import json\n\nimport torch\nimport torch.nn.functional as F\nfrom safetensors.torch import load_file\n\n\
         tensors = load_file(\"{PARAMETERS}\")\n{codebook}{constants}\n\n\
         def parameters(name):\n    return tensors[name + \".weight\"], tensors[name + \".bias\"]\n\n\n\
         {encode}\n\n{functions}def decode({argument}{told}):\n{looked_up}{body}{decoded}"
    )
}

/// How examples are presented to the encoder, as lines of a function of `x`.
fn presented(presentation: &Presentation, scales: bool) -> String {
    let (fills, logs) = (presentation.fills, &presentation.logs);
    let lines = [
        (scales, "((x - shift) / scale).float()"),
        (presentation.binarise == Binarise::Threshold, "(x >= 0.5).float()"),
        (fills && *logs != Logs::All, "x.nan_to_num(0.0)"),
        (*logs == Logs::All, "torch.log1p(x.nan_to_num(0.0))"),
        (matches!(logs, Logs::Places(_)), "torch.where(counts, torch.log1p(x), x)"),
        (presentation.unit, "F.normalize(x)"),
    ];
    let lines = lines.iter().filter(|(wanted, _)| *wanted).map(|(_, line)| format!("    x = {line}\n"));
    lines.collect::<Vec<_>>().concat()
}

/// What the last lines of `decode` need, and these lines: in the units of the data.
fn decoded(checkpoint: &Checkpoint, decoder: &Body) -> Python {
    let (config, data) = (&checkpoint.config.model, &checkpoint.progress.data);
    let to = Decode {
        config,
        shape: data.shape,
        encoding: data.encoding.as_ref(),
        variances: super::onnx::variances(checkpoint).unwrap_or(0),
        head: &|name| decoder.head(name),
    };
    (likelihood::of(config.likelihood).outside.decode)(&to)
}

/// How configurations write a non-linearity.
fn word(activation: Activation) -> String {
    serde_json::to_value(activation).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
