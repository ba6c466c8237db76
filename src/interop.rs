//! Models leave the house and come in: safetensors with PyTorch's names and layouts, ONNX, and a card that says what it
//! is all about.
//!
//! In the house an affine map is one tensor [inputs + 1, outputs] whose last row is the bias, and the two heads of a
//! posterior stand side by side. Outside, every map is a `weight` [outputs, inputs] and a `bias` [outputs], as in
//! PyTorch's `Linear`, and every head is one of its own. Convolutions, [taps·inputs + 1, outputs] inside, are those of
//! PyTorch's `Conv2d` and `ConvTranspose2d`, scale and shift of a normalisation, [2, channels] inside, `weight` and `bias`
//! of its `GroupNorm`, of a batch normalisation `running_mean` and `running_var` too, which are `running.NAME`, [2, channels], inside; where an image meets a dense layer, its channels lie one plane after the
//! other, as PyTorch's `flatten` and `unflatten` have them:
//!
//! | here | outside | what it gives |
//! |---|---|---|
//! | `encoder.0`, `encoder.1`, … | the same | hidden layers, from the data inwards |
//! | `encoder.head` | `encoder.mean`, `encoder.log_variance` | the posterior's mean and log-variance |
//! | `decoder.0`, `decoder.1`, … | the same | hidden layers, from the latent outwards |
//! | `encoder2.head`, `decoder2.head`, … | `encoder2.mean`, `encoder2.log_variance`, … | of several stochastic layers q and p of those above the lowest |
//! | `encoder.posterior.head`, `decoder.prior.head`, … | `encoder.posterior.mean`, … | of groups on images their posteriors and priors |
//! | `decoder.head` | `decoder.logits`, or `decoder.mean`, or that and `decoder.log_variance`, or `decoder.columns` | for a Bernoulli, a Gaussian, a learned-variance Gaussian, a heterogeneous likelihood |
//! | `decoder.head` | `decoder.mixture`, or `decoder.log_rate`, or `decoder.log_mean` | for a mixture of logistics, Poisson, a negative binomial |
//! | `decoder.head` | `decoder.logits` | for categories a logit for each of each value, of a multinomial one for each item |
//! | `decoder.log_variance`, `decoder.log_dispersion`, `decoder.log_scale` | the same, no map but a tensor | what `gaussian-shared`, `negative-binomial` and mixtures with `scales=shared` have once for all examples |
//! | `log_library` | the same | the logarithm of the median library size, where means are shares of one |

pub mod card;
pub mod linear;
pub mod names;
pub mod onnx;

use crate::checkpoint::{Checkpoint, DataRecord, Tensor};
use crate::config::{Condition, Config, ModelConfig};
use crate::data::table::{Column, ColumnKind};
use crate::data::text::vocabulary::{END, FIRST, PADDING, UNKNOWN};
use crate::error::{Error, Result};
use crate::graph::op::Source;
use crate::model::Model;
use crate::model::codebook;
use crate::model::library::LIBRARY;
use crate::model::likelihood::{self, Learned};
use crate::model::network::batch_norm::running_name;
use crate::model::tasks::Need;
use linear::Linear;
use serde_json::{Value, json};
use std::path::Path;

/// The parameters, in an exported folder.
pub const PARAMETERS: &str = "model.safetensors";
/// The tensor with the codes of a model that has some.
pub const CODEBOOK: &str = "codebook";
/// What the model is, for programs.
pub const CONFIG: &str = "config.json";
/// What the model is, for people.
pub const CARD: &str = "README.md";
/// Raised whenever what is exported changes its meaning.
pub const FORMAT: u32 = 1;

/// The model of a checkpoint.
///
/// # Errors
/// [`Error::Usage`] if the layers of its configuration do not fit its data.
pub fn model(checkpoint: &Checkpoint) -> Result<Model> {
    model_of(&checkpoint.config, &checkpoint.progress.data)
}

/// The model of a configuration, for data of which no more is known than a checkpoint says.
///
/// # Errors
/// As [`model`].
pub fn model_of(config: &Config, data: &DataRecord) -> Result<Model> {
    if config.model.prior_codes > 0 {
        return Err(Error::Usage("the prior of the codes of a VQ-VAE has no form in other programs".into()));
    }
    let source = match &data.text {
        Some(text) => Source::Tokens(text.len()),
        None if data.floats => Source::Floats,
        None => Source::Bytes,
    };
    let encoding = data.encoding.as_ref();
    let missing = data.may_miss(&config.model);
    Model::with(config, data.shape, source, encoding, missing, data.class_count())
}

/// What a parameter of the house is called outside: one name for each of the heads that stand in it side by side.
pub fn outside(config: &ModelConfig, parameter: &str) -> Vec<String> {
    let names: &[&str] = match parameter {
        "encoder.head" if config.codes > 0 => &["encoder.head"],
        "decoder.head" => likelihood::of(config.likelihood).outside.heads,
        other if gives_statistics(other) => return heads(other).to_vec(),
        other => &[other],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Whether a head is of latents: `encoder.head`, of the layers above `encoder2.head` and `decoder2.head`, of groups
/// `encoder.posterior.head` and `decoder.prior.head`.
fn gives_statistics(parameter: &str) -> bool {
    let Some(network) = parameter.strip_suffix(".head") else { return false };
    let above = |name: &str| network.strip_prefix(name).is_some_and(|level| level.parse::<usize>().is_ok());
    let of_group = network.split('.').next_back().is_some_and(|part| ["posterior", "prior"].contains(&part));
    network == "encoder" || above("encoder") || above("decoder") || of_group
}

/// What the heads of a mean and a log-variance are called outside that stand side by side in `NETWORK.head`.
pub(crate) fn heads(parameter: &str) -> [String; 2] {
    let network = parameter.strip_suffix("head").unwrap_or(parameter);
    ["mean", "log_variance"].map(|head| format!("{network}{head}"))
}

/// All affine maps of a checkpoint as the world outside knows them, in the model's order.
///
/// # Errors
/// [`Error::Data`] if the checkpoint does not belong to its configuration.
pub fn layers(checkpoint: &Checkpoint) -> Result<Vec<Linear>> {
    let model = model(checkpoint)?;
    if model.is_sequence() {
        let why = "a model of sequences is exported with `--format onnx`, and has no form in safetensors or pages";
        return Err(Error::Usage(format!("elbo export: {why}")));
    }
    model.need(
        &[Need::Values, Need::StandardPrior, Need::GaussianPosterior],
        "elbo export --format onnx or safetensors",
    )?;
    let expected: Vec<_> = model.parameters().into_iter().map(|p| (p.name, p.shape.extents().to_vec())).collect();
    crate::checkpoint::match_parameters(checkpoint, &expected)?;
    let mut all = Vec::new();
    for (map, (name, _)) in model.maps().iter().zip(&expected) {
        let found = checkpoint.parameters.iter().find(|(n, _)| n == name);
        let (_, tensor) = found.ok_or_else(|| Error::Bug(format!("`{name}` was there a moment ago")))?;
        let mut heads = linear::split(&outside(&model.config, name), map, tensor)?;
        let running = running_name(name);
        if let (Some((_, moments)), [head]) =
            (checkpoint.parameters.iter().find(|(n, _)| *n == running), &mut heads[..])
        {
            head.running.clone_from(&moments.values);
        }
        all.append(&mut heads);
    }
    Ok(all)
}

/// The tensors of these maps by their outside names.
pub fn tensors(layers: &[Linear]) -> Vec<(String, Tensor)> {
    let both = |layer: &Linear| {
        let (weight, bias) = (layer.weight.clone(), layer.bias.clone());
        let bias = (!bias.is_empty())
            .then(|| (format!("{}.bias", layer.name), Tensor { shape: vec![layer.outputs], values: bias }));
        let moments = ["running_mean", "running_var"].into_iter().zip(layer.running.chunks(layer.outputs.max(1)));
        let moments: Vec<_> = moments
            .map(|(kind, values)| {
                (format!("{}.{kind}", layer.name), Tensor { shape: vec![layer.outputs], values: values.to_vec() })
            })
            .collect();
        let weight = (format!("{}.weight", layer.name), Tensor { shape: layer.shape(), values: weight });
        [weight].into_iter().chain(bias).chain(moments)
    };
    layers.iter().flat_map(both).collect()
}

/// The tensors that leave the house: those of the maps, and what the decoder has for all examples.
fn exported(checkpoint: &Checkpoint, layers: &[Linear]) -> Result<Vec<(String, Tensor)>> {
    let shared = likelihood::global(&model(checkpoint)?).map(|global| global.name);
    let found = checkpoint.parameters.iter().filter(|(name, _)| Some(name.as_str()) == shared);
    let mut all: Vec<_> = tensors(layers).into_iter().chain(found.cloned()).collect();
    all.extend(checkpoint.parameters.iter().filter(|(name, _)| name == LIBRARY).cloned());
    if checkpoint.config.model.codes > 0 {
        all.push((CODEBOOK.into(), codebook(checkpoint)?));
    }
    Ok(all)
}

/// The codes of a checkpoint, [K, Z].
///
/// # Errors
/// [`Error::Data`] where a tensor of them is missing.
fn codebook(checkpoint: &Checkpoint) -> Result<Tensor> {
    let tensor = |name: &str| {
        let found = checkpoint.parameters.iter().find(|(found, _)| found == name);
        found.map(|(_, tensor)| tensor).ok_or_else(|| Error::Data(format!("the checkpoint has no parameter `{name}`")))
    };
    let model = &checkpoint.config.model;
    let tensors: Vec<&Tensor> = codebook::names(model).into_iter().map(|name| tensor(&name)).collect::<Result<_>>()?;
    let values: Vec<&[f32]> = tensors.iter().map(|tensor| &tensor.values[..]).collect();
    Ok(Tensor { shape: vec![model.codes, model.latent], values: codebook::values(model, &values) })
}

/// What the decoder has learned once for all examples.
fn learned(checkpoint: &Checkpoint) -> Result<Option<Learned>> {
    let model = model(checkpoint)?;
    let Some(global) = likelihood::global(&model) else { return Ok(None) };
    let found = checkpoint.parameters.iter().find(|(name, _)| name == global.name);
    Ok(found.and_then(|(_, tensor)| likelihood::learned(&model, &tensor.values)))
}

/// The files of a folder in the format `safetensors`.
///
/// # Errors
/// Those of [`layers`].
pub fn safetensors(checkpoint: &Checkpoint, run: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let layers = layers(checkpoint)?;
    let config = config(checkpoint, &exported(checkpoint, &layers)?)?;
    let card = card::safetensors(checkpoint, &layers, run);
    Ok(vec![
        (PARAMETERS.into(), crate::checkpoint::tensors::encode(&exported(checkpoint, &layers)?)?),
        (CONFIG.into(), config),
        (CARD.into(), card.into_bytes()),
    ])
}

/// What to warn of where numbers of the data are so far from 0, for their deviation, that inputs of single precision, which
/// ONNX files take, do not tell them apart as the program does.
pub fn imprecise(checkpoint: &Checkpoint) -> Option<String> {
    /// The share of a deviation by which an input may be off.
    const OFF: f64 = 1e-3;
    let columns = &checkpoint.progress.data.encoding.as_ref()?.columns;
    let off = |column: &&Column| match column.kind {
        ColumnKind::Numeric { shift, scale } => 0.5 * f64::from(f32::EPSILON) * shift.abs() / scale > OFF,
        _ => false,
    };
    let mut found = columns.iter().filter(off);
    let Column { name, kind: ColumnKind::Numeric { shift, scale } } = found.next()? else { return None };
    let more = match found.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!(
        "column `{name}`{more} lies around {shift:.6e} with a deviation of {scale:.3e}: inputs of the ONNX files have single \
         precision, which is off by up to {:.3} deviations there, so `elbo embed` and these files differ; train on the \
         difference from a number near the mean",
        0.5 * f64::from(f32::EPSILON) * shift.abs() / scale
    ))
}

/// The files of a folder in the format `onnx`.
///
/// # Errors
/// Those of [`layers`]; [`Error::Usage`] for what has no form in ONNX.
pub fn onnx(checkpoint: &Checkpoint, run: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    plainly_shown(&checkpoint.config.model, "onnx")?;
    if checkpoint.progress.data.text.is_some() {
        return sequence(checkpoint, run);
    }
    let layers = layers(checkpoint)?;
    let config = config(checkpoint, &exported(checkpoint, &layers)?)?;
    let card = card::onnx(checkpoint, run);
    let classifier = checkpoint.config.model.condition == Condition::Inferred;
    let classifier = classifier.then(|| onnx::classifier(checkpoint)).transpose()?;
    let mut files = vec![
        (onnx::ENCODER.into(), onnx::encoder(checkpoint)?),
        (onnx::DECODER.into(), onnx::decoder(checkpoint)?),
        (CONFIG.into(), config),
        (CARD.into(), card.into_bytes()),
    ];
    files.extend(classifier.map(|bytes| (onnx::CLASSIFIER.to_owned(), bytes)));
    if checkpoint.config.model.is_deep().is_some() {
        files.push((onnx::SAMPLER.into(), onnx::sampler(checkpoint)?));
    }
    Ok(files)
}

/// The files of a folder in the format `onnx` of a model of sequences.
///
/// # Errors
/// [`Error::Usage`] for a prior or posterior that has no form in ONNX; [`Error::Data`] if the checkpoint does not belong to its
/// configuration.
fn sequence(checkpoint: &Checkpoint, run: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let model = model(checkpoint)?;
    model.need(&[Need::StandardPrior, Need::GaussianPosterior], "elbo export --format onnx")?;
    let mut files = onnx::sequence::files(checkpoint, &model)?;
    let text = checkpoint.progress.data.text.as_ref();
    let text = text.ok_or_else(|| Error::Bug("a model of sequences without a vocabulary".into()))?;
    let vocabulary = json!({
        "kind": text.tokens, "places": text.places, "padding": PADDING, "end": END, "unknown": UNKNOWN, "first": FIRST,
        "words": text.words, "music": text.music,
    });
    let mut bytes =
        serde_json::to_vec_pretty(&vocabulary).map_err(|e| Error::Bug(format!("writing the vocabulary: {e}")))?;
    bytes.push(b'\n');
    files.extend([
        (onnx::sequence::VOCABULARY.to_owned(), bytes),
        (CONFIG.into(), config(checkpoint, &checkpoint.parameters)?),
        (CARD.into(), card::sequence(checkpoint, &model, run).into_bytes()),
    ]);
    Ok(files)
}

/// The files of a folder in the format `onnx` of a prior of codes.
///
/// # Errors
/// Those of [`onnx::prior`].
pub fn prior(checkpoint: &Checkpoint, run: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    Ok(vec![
        (onnx::PRIOR.into(), onnx::prior(checkpoint)?),
        (CONFIG.into(), config(checkpoint, &checkpoint.parameters)?),
        (CARD.into(), card::prior(checkpoint, run).into_bytes()),
    ])
}

/// Refuses a format that has no form for examples of length 1.
///
/// # Errors
/// [`Error::Usage`] that names the key.
pub fn plainly_shown(config: &ModelConfig, format: &str) -> Result<()> {
    if config.normalise_input {
        return Err(Error::Usage(format!(
            "--format {format} has no form for model.normalise_input = true: take --format safetensors, whose card says how an \
             example is shown"
        )));
    }
    Ok(())
}

/// `config.json`: the whole configuration, what is known of the data, how far training had come, the tensors, and what the
/// decoder has learned once for all examples.
fn config(checkpoint: &Checkpoint, tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let progress = &checkpoint.progress;
    let tensors: Vec<Value> =
        tensors.iter().map(|(name, tensor)| json!({ "name": name, "shape": tensor.shape })).collect();
    let mut value = json!({
        "format": FORMAT,
        "program": concat!("elbo ", env!("CARGO_PKG_VERSION")),
        "config": checkpoint.config,
        "data": progress.data,
        "epoch": progress.epoch,
        "step": progress.step,
        "best_score": progress.best,
        "tensors": tensors,
    });
    // The files of ONNX have no place for it, and the configuration says where it began.
    if checkpoint.config.model.prior_codes == 0 {
        if let Some(learned) = learned(checkpoint)? {
            value["learned"] = json!(learned);
        }
        if let Some((_, log)) = checkpoint.parameters.iter().find(|(name, _)| name == LIBRARY) {
            value["library_size"] = json!(log.values.first().map(|log| log.exp()));
        }
        if checkpoint.config.model.condition == Condition::Inferred {
            let parameters = checkpoint.parameters.iter().map(|(name, tensor)| (name.as_str(), &tensor.values[..]));
            value["class_log_prior"] = json!(model(checkpoint)?.class_log_prior(parameters));
        }
    }
    let mut text = serde_json::to_vec_pretty(&value).map_err(|e| Error::Bug(format!("writing {CONFIG}: {e}")))?;
    text.push(b'\n');
    Ok(text)
}

/// The widths that a configuration must have for these maps; everything else is as it was.
pub fn with_widths(config: &Config, network: &names::Network) -> Config {
    let mut config = config.clone();
    config.model.hidden = network.encoder.iter().map(|layer| layer.outputs).collect();
    config.model.decoder = network.decoder.iter().map(|layer| layer.outputs).collect();
    // What is the encoder backwards is written as nothing, as in the recipes.
    if config.model.decoder.iter().rev().eq(&config.model.hidden) {
        config.model.decoder.clear();
    }
    config.model.latent = network.mean.outputs;
    config
}
