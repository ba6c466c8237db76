//! `elbo import`: a run from a model that PyTorch trained.

mod figures;

use super::folder::{self, Folder};
use super::open;
use crate::checkpoint::{self, Checkpoint, DataRecord, Progress, Tensor, TrainerState};
use crate::cli::ImportArgs;
use crate::config::{self, Activation, Condition, Config, Domain, Layer, Norm, Posterior, Prior};
use crate::data::{self, Dataset};
use crate::durable;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::exec::cpu::Cpu;
use crate::interop::linear::{Form, Linear, join};
use crate::interop::names::{self, Network, fitted, layers, network};
use crate::interop::{self, CONFIG, PARAMETERS, with_widths};
use crate::model::likelihood::{self, Density};
use crate::model::network::Map;
use crate::plan::tuning::Tuning;
use crate::report::Report;
use crate::session::{Purpose, Session};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What an export of elbo says of itself, as far as an import needs it.
struct Exported {
    config: Config,
    data: DataRecord,
}

/// What stands in the file from which [`Exported`] is read. Its configuration may be older than some key.
#[derive(Deserialize)]
struct Written {
    config: serde_json::Value,
    data: DataRecord,
}

/// What every format says of itself.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

/// Makes a run folder that holds somebody else's parameters.
///
/// # Errors
/// [`Error::Usage`] where `--out` is not empty or the flags do not describe the network; [`Error::Data`], naming the
/// file, where it is no network that can be taken; [`Error::Disk`] where the run cannot be written.
pub fn run(args: &ImportArgs, report: &Report) -> Result<()> {
    let free = !args.out.is_dir() || folder::is_start(&args.out);
    if !free {
        folder::check_empty(&args.out, "")?;
    }
    let (file, exported) = source(&args.file)?;
    if let Some(exported) = &exported {
        check_kind(&exported.config)?;
        check_likelihood(&exported.config, &exported.data, true)?;
    }
    let shown = file.display().to_string();
    let bytes = std::fs::read(&file).map_err(|e| {
        Error::Data(format!("{shown}: cannot be read: {e}; expected the path of a state_dict saved as safetensors"))
    })?;
    let wrong = |why: String| Error::Data(format!("{shown}: {why}"));
    if let Some(why) = other_format(&bytes) {
        return Err(wrong(why.into()));
    }
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let wanted = |name: &str| names::within(name, prefix).is_some();
    let tensors = checkpoint::tensors::decode_foreign(&bytes, wanted).map_err(wrong)?;
    let layers = layers(tensors, prefix).map_err(wrong)?;
    let asked = exported.as_ref().map_or_else(|| theirs(args), |exported| Ok(exported.config.clone()))?;
    let (checkpoint, data) = if asked.model.is_deep().is_some() {
        several(args, (asked, exported), &layers, &shown, report)?
    } else {
        let network = network(layers, &args.map, &shown)?;
        let (config, record, data) = described(args, exported, &network, &shown, report)?;
        let checkpoint = checkpoint_of(config, record, |config, maps| parameters_of(config, maps, &network), &shown)?;
        describe(&network, report);
        (checkpoint, data)
    };
    if let Some(line) = which_gelu(&checkpoint.config) {
        report.note(&line);
    }
    if let Some(data) = &data {
        figures::say(&checkpoint, data, report)?;
    }
    save(&args.out, &checkpoint, report)?;
    report.note(&format!("next     elbo sample {}", args.out.display()));
    report.result(&args.out.display().to_string());
    Ok(())
}

/// The file with the tensors, and what stands beside it if elbo wrote it.
fn source(path: &Path) -> Result<(PathBuf, Option<Exported>)> {
    if !path.is_dir() {
        return Ok((path.to_owned(), None));
    }
    let beside = path.join(CONFIG);
    let Ok(text) = std::fs::read(&beside) else {
        return Err(Error::Data(format!("{}: the folder has no {CONFIG}; name a .safetensors file", path.display())));
    };
    let wrong = |why: String| Error::Data(format!("{}: {why}", beside.display()));
    let foreign = |e: serde_json::Error| wrong(format!("no export of elbo: {e}"));
    let Versioned { format } = serde_json::from_slice(&text).map_err(foreign)?;
    if format != interop::FORMAT {
        return Err(wrong(format!("format {format} is unknown, expected {}", interop::FORMAT)));
    }
    let Written { config, data } = serde_json::from_slice(&text).map_err(foreign)?;
    let config = config::from_json(&config, &beside.display().to_string())?;
    Ok((path.join(PARAMETERS), Some(Exported { config, data })))
}

/// What to do with a file that is no safetensors file, by how it begins.
fn other_format(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80, 2]) {
        return Some(
            "a file of torch.save (or another archive), which may run any program when it is read; save the tensors in Python: \
             `from safetensors.torch import save_file; save_file({k: v.contiguous() for k, v in \
             torch.load(\"FILE.pt\", map_location=\"cpu\", weights_only=True).items()}, \"model.safetensors\")`, where what \
             is loaded is a state_dict (of a whole model its .state_dict(), of a checkpoint mostly its entry \"state_dict\")",
        );
    }
    if bytes.starts_with(b"\x89HDF") {
        return Some("an HDF5 file, as Keras writes it; save the weights with safetensors, each kernel transposed");
    }
    None
}

/// Refuses a likelihood with what the decoder has once for all examples, which is a tensor of no layer.
fn check_likelihood(config: &Config, data: &DataRecord, own: bool) -> Result<()> {
    let name = config.model.likelihood.name();
    let said = if own { "the folder holds a model of likelihood" } else { "model.likelihood =" };
    if matches!(config.model.likelihood.domain(), Domain::Categories | Domain::Columns) && data.encoding.is_none() {
        return Err(Error::Usage(format!("{said} {name}: --data is wanted, which says what the columns are")));
    }
    // Of layers alone it is known before they are read. What stands beside them hangs on no extent.
    match likelihood::of(config.model.likelihood).globals.is_some().then(|| interop::model_of(config, data)) {
        None => Ok(()),
        Some(model) => match likelihood::global(&model?) {
            None => Ok(()),
            Some(global) => Err(Error::Usage(format!(
                "{said} {name}, whose `{}` is learned once for all examples and is no layer's, and elbo import takes models \
                 whose tensors are those of layers alone{}",
                global.name,
                if own { "; use the run that it was exported from" } else { "" }
            ))),
        },
    }
}

/// The configuration and the data of the model.
fn described(
    args: &ImportArgs,
    exported: Option<Exported>,
    network: &Network,
    shown: &str,
    report: &Report,
) -> Result<(Config, DataRecord, Option<Dataset>)> {
    let own = exported.is_some();
    let (mut config, mut record) = match exported {
        Some(exported) if args.recipe.recipe.is_none() && args.recipe.set.is_empty() => {
            (exported.config, exported.data)
        }
        Some(_) => {
            return Err(described_already());
        }
        None => (theirs(args)?, unknown([1, 1, network.first().inputs])),
    };
    check_kind(&config)?;
    if !config.model.discriminator.is_empty() {
        // Exports leave it out, and nobody else has one that would go with the latents.
        report.note("a discriminator comes with no such file: the run has none, and what it was for is 0");
        (config.model.discriminator, config.objective.factor, config.objective.adversary) = (vec![], 0.0, 0.0);
    }
    let layered = is_layered(&config);
    if layered {
        config.model.latent = network.mean.outputs;
    } else {
        let of = likelihood::of(config.model.likelihood);
        let alike =
            !matches!(of.density, Density::Columns) && likelihood::outputs(&config.model, [1, 1, 4]) == 4 * of.heads;
        let normalised = (config.model.norm != Norm::None).then(|| network.without_norms());
        let bare = normalised.as_ref().unwrap_or(network);
        names::check(bare, alike, shown)?;
        config = with_widths(&config, bare);
    }
    config::validate(&config)?;
    let mut found = None;
    if let Some(source) = &args.data {
        source.clone_into(&mut config.data.source);
        let known = own.then(|| record.clone());
        let data = open::data(&config, known.as_ref().map(DataRecord::known), report)?;
        data::check(&data, config.model.likelihood.takes())?;
        record = DataRecord::of(&data);
        found = Some(data);
    }
    if let Some(shape) = args.shape {
        if args.data.is_some() {
            return Err(shape_of_data());
        }
        check_shape(shape)?;
        record.shape = shape;
    } else if layered && !own && args.data.is_none() {
        return Err(no_shape());
    }
    check_likelihood(&config, &record, own)?;
    // Heads of several columns stand side by side in one map.
    let learned = likelihood::of(config.model.likelihood).outside.heads.len() == 2;
    if !layered && learned != network.out_log_variance.is_some() {
        let (has, take) = if learned { ("gives none", "gaussian") } else { ("gives some", "gaussian-learned") };
        return Err(Error::Usage(format!(
            "model.likelihood is about log-variances of the decoder, and the file's {has}: --set \
             model.likelihood={take}"
        )));
    }
    let width = network.first().inputs;
    if !layered && record.shape.iter().product::<usize>() != width {
        let (name, shape) = (&record.name, record.shape);
        return Err(Error::Usage(format!(
            "{name}: an example has shape {shape:?}, and the model takes {width} numbers"
        )));
    }
    Ok((config, record, found))
}

/// Whether networks are lists of layers, so that the file alone does not say what they are.
fn is_layered(config: &Config) -> bool {
    !(config.model.encoder_layers.is_empty() && config.model.decoder_layers.is_empty())
}

/// Refuses a shape of more numbers than there can be.
fn check_shape(shape: [usize; 3]) -> Result<()> {
    let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
    match count.filter(|&count| u32::try_from(count).is_ok()) {
        Some(_) => Ok(()),
        None => Err(Error::Usage(format!("--shape {shape:?}: an example has less than 2^32 numbers"))),
    }
}

/// Which of two functions `gelu` is, where a model of others has it: its tensors do not tell.
fn which_gelu(config: &Config) -> Option<String> {
    let model = &config.model;
    let is_gelu = |layer: &Layer| matches!(layer, Layer::Activation(Activation::Gelu));
    let has = model.activation == Activation::Gelu
        || [&model.encoder_layers, &model.decoder_layers].into_iter().any(|layers| layers.has(&is_gelu));
    has.then(|| "gelu     is the tanh form, nn.GELU(approximate=\"tanh\"); a plain nn.GELU() is `gelu-erf`".to_owned())
}

/// Refuses kinds of models that layers alone do not make.
fn check_kind(config: &Config) -> Result<()> {
    let codes = config.model.codes.to_string();
    let categories = format!("{:?}", config.model.categories);
    let own = [
        (config.model.codes > 0, "model.codes", &codes[..]),
        (!config.model.categories.is_empty(), "model.categories", &categories[..]),
        (config.model.prior != Prior::Standard, "model.prior", config.model.prior.word()),
        (config.model.posterior != Posterior::Gaussian, "model.posterior", config.model.posterior.word()),
    ];
    if let Some((_, key, word)) = own.into_iter().find(|(other, ..)| *other) {
        return Err(Error::Usage(format!(
            "{key} = {word}: elbo import takes models whose tensors are those of layers alone"
        )));
    }
    match config.model.condition {
        Condition::None => Ok(()),
        Condition::Label | Condition::Inferred => Err(Error::Usage(
            "model.condition: elbo import takes models that are told nothing beside what they read".into(),
        )),
    }
}

/// A model of several stochastic layers, whose layers are found by the names that `elbo export` gives them, with the data of `--data`.
fn several(
    args: &ImportArgs,
    (mut config, exported): (Config, Option<Exported>),
    layers: &[Linear],
    shown: &str,
    report: &Report,
) -> Result<(Checkpoint, Option<Dataset>)> {
    if exported.is_some() && (args.recipe.recipe.is_some() || !args.recipe.set.is_empty()) {
        return Err(described_already());
    }
    if let Some((place, name)) = args.map.first() {
        return Err(Error::Usage(format!(
            "--map {place}={name}: layers of a model of several stochastic layers are found by the names that elbo export gives \
             them; rename them in the file"
        )));
    }
    check_kind(&config)?;
    config::validate(&config)?;
    let own = exported.is_some();
    let known = exported.map(|exported| exported.data);
    let (record, data) = if let Some(source) = &args.data {
        source.clone_into(&mut config.data.source);
        let data = open::data(&config, known.as_ref().map(DataRecord::known), report)?;
        data::check(&data, config.model.likelihood.takes())?;
        (DataRecord::of(&data), Some(data))
    } else {
        (known.map_or_else(|| shaped(args, is_layered(&config), layers, shown), Ok)?, None)
    };
    let record = match args.shape {
        Some(_) if data.is_some() => return Err(shape_of_data()),
        Some(shape) => {
            check_shape(shape)?;
            DataRecord { shape, ..record }
        }
        None => record,
    };
    check_likelihood(&config, &record, own)?;
    let by_name = |config: &Config, maps: &[Map]| names::by_name(&config.model, maps, layers);
    let checkpoint = checkpoint_of(config, record, by_name, shown)?;
    report.note(&format!("layers   {} in {}", layers.len(), shown));
    Ok((checkpoint, data))
}

/// Data of which nothing is known but their extents: those of `--shape`, or of the dense layer that reads them.
fn shaped(args: &ImportArgs, layered: bool, layers: &[Linear], shown: &str) -> Result<DataRecord> {
    let first = layers.iter().find(|layer| ["encoder.0", "encoder.mean"].contains(&&layer.name[..]));
    match (args.shape, first) {
        (Some(shape), _) => Ok(unknown(shape)),
        (None, _) if layered => Err(no_shape()),
        (None, Some(first)) => Ok(unknown([1, 1, first.inputs])),
        (None, None) => Err(Error::Data(format!(
            "{shown}: there is no layer `encoder.0`: those of a model of several stochastic layers are found by the names that elbo \
             export gives them; rename them in the file"
        ))),
    }
}

fn described_already() -> Error {
    Error::Usage(format!("--recipe and --set are for models of others: the folder's {CONFIG} says what this one is"))
}

fn shape_of_data() -> Error {
    Error::Usage("--shape cannot be given with --data, which has a shape of its own".into())
}

fn no_shape() -> Error {
    Error::Usage(
        "--shape CHANNELS,HEIGHT,WIDTH is wanted, or --data: the model is a list of layers, which read examples of a shape".into(),
    )
}

/// What --recipe and --set say of a model that does not say it itself.
fn theirs(args: &ImportArgs) -> Result<Config> {
    let config = config::resolve(args.recipe.recipe.as_deref(), &args.recipe.set)?;
    // Beside lists of layers widths are none, which --set has to say.
    let widths = if is_layered(&config) { &["latent"][..] } else { &["hidden", "decoder", "latent"] };
    let told = args.recipe.set.iter().find(|(key, _)| widths.contains(&key.rsplit('.').next().unwrap_or_default()));
    match told {
        Some((key, _)) if config.model.is_deep().is_none() => {
            Err(Error::Usage(format!("--set {key}: the file itself says how wide its layers are")))
        }
        _ => Ok(config),
    }
}

/// Data of which nothing is known but their shape.
fn unknown(shape: [usize; 3]) -> DataRecord {
    DataRecord {
        name: "unknown".into(),
        shape,
        floats: true,
        bits: None,
        hash: String::new(),
        encoding: None,
        text: None,
        classes: None,
        of_classes: None,
        decimals: vec![],
        items: None,
        missing: None,
    }
}

/// The checkpoint of a run that has not taken a step, with an optimiser that remembers nothing yet.
fn checkpoint_of(
    config: Config,
    data: DataRecord,
    parameters: impl FnOnce(&Config, &[Map]) -> Parameters,
    shown: &str,
) -> Result<Checkpoint> {
    let progress = Progress {
        epoch: 0,
        step: 0,
        step_in_epoch: 0,
        sums: vec![],
        best: None,
        best_epoch: None,
        elapsed_seconds: 0.0,
        adapter: "elbo import".into(),
        data,
        folder: None,
        tuning: Tuning::default(),
        course: TrainerState::default(),
    };
    let mut checkpoint = Checkpoint { parameters: vec![], moments: vec![], progress, config };
    let maps = interop::model(&checkpoint)?.maps();
    let found = parameters(&checkpoint.config, &maps).map_err(|why| Error::Data(format!("{shown}: {why}")))?;
    checkpoint.parameters = found;
    let mut session = Session::without_data(&checkpoint, Executor::Cpu(Cpu::new(1)?))?;
    session.plan(Purpose::Train)?;
    session.initialise_moments(0)?;
    checkpoint.moments = session.moment_tensors(0)?;
    Ok(checkpoint)
}

/// Tensors of the house by their names, or what does not fit.
type Parameters = std::result::Result<Vec<(String, Tensor)>, String>;

/// The tensors of a model of one stochastic layer.
fn parameters_of(config: &Config, maps: &[Map], network: &Network) -> Parameters {
    if is_layered(config) || config.model.norm != Norm::None { fitted(maps, network) } else { Ok(parameters(network)) }
}

/// The house's parameters.
fn parameters(network: &Network) -> Vec<(String, Tensor)> {
    let hidden = |name: &str, layers: &[_]| {
        let named = layers.iter().enumerate().map(|(at, layer)| (format!("{name}.{at}"), join(&[layer])));
        named.collect::<Vec<_>>()
    };
    let mut all = hidden("encoder", &network.encoder);
    all.push(("encoder.head".into(), join(&[&network.mean, &network.log_variance])));
    all.extend(hidden("decoder", &network.decoder));
    let heads: Vec<_> = [&network.out].into_iter().chain(&network.out_log_variance).collect();
    all.push(("decoder.head".into(), join(&heads)));
    all
}

/// Says which layer went where.
fn describe(network: &Network, report: &Report) {
    let say = |place: &str, layer: &interop::linear::Linear| {
        let extents = match layer.form {
            Form::Dense => format!("{}x{}", layer.inputs, layer.outputs),
            _ => format!("{:?}", layer.shape()),
        };
        let bias = if layer.bias.iter().all(|&bias| bias == 0.0) { ", bias 0" } else { "" };
        report.note(&format!("{place:<20} {} {extents}{bias}", layer.name));
    };
    network.encoder.iter().enumerate().for_each(|(at, layer)| say(&format!("encoder.{at}"), layer));
    say("encoder.mean", &network.mean);
    say("encoder.log_variance", &network.log_variance);
    network.decoder.iter().enumerate().for_each(|(at, layer)| say(&format!("decoder.{at}"), layer));
    say("decoder.out", &network.out);
    network.out_log_variance.iter().for_each(|layer| say("decoder.log_variance", layer));
}

fn save(folder: &Path, checkpoint: &Checkpoint, report: &Report) -> Result<()> {
    let made = Folder::take(folder, "", report)?;
    let text = format!(
        "# elbo {}\n# data {} ({})\n# imported\n{}",
        env!("CARGO_PKG_VERSION"),
        checkpoint.progress.data.name,
        checkpoint.progress.data.hash,
        config::to_toml(&checkpoint.config)
    );
    // The checkpoint comes last: without it a run is nothing, and can be made again.
    let saved = durable::replace_file(&folder.join("config.toml"), text.as_bytes())
        .and_then(|()| checkpoint::save(&folder.join("checkpoints"), checkpoint, 1))
        .map(drop);
    if saved.is_err() {
        made.remove();
    }
    saved
}
