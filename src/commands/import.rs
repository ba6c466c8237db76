//! `elbo import`: a run from a model that PyTorch trained.

use super::folder::{self, Folder};
use super::open;
use crate::checkpoint::{self, Checkpoint, Course, DataRecord, Progress, Tensor};
use crate::cli::ImportArgs;
use crate::config::{self, Condition, Config, Likelihood};
use crate::data;
use crate::durable;
use crate::error::{Error, Result};
use crate::exchange::linear::join;
use crate::exchange::names::{Network, layers, network};
use crate::exchange::{self, CONFIG, PARAMETERS, with_widths};
use crate::exec::Executor;
use crate::exec::cpu::Cpu;
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
    config: toml::Table,
    data: DataRecord,
}

/// What every format says of itself.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

/// The likelihoods of the models that are taken.
const PLAIN: [Likelihood; 3] = [Likelihood::Bernoulli, Likelihood::Gaussian, Likelihood::GaussianLearned];

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
        check_own(exported.config.model.likelihood)?;
    }
    let shown = file.display().to_string();
    let bytes = std::fs::read(&file).map_err(|e| {
        Error::Data(format!("{shown}: cannot be read: {e}; expected the path of a state_dict saved as safetensors"))
    })?;
    let wrong = |why: String| Error::Data(format!("{shown}: {why}"));
    let tensors = checkpoint::tensors::decode(&bytes).map_err(wrong)?;
    let layers = layers(tensors, args.prefix.as_deref().unwrap_or_default()).map_err(wrong)?;
    let network = network(layers, &args.map, &shown)?;
    let (config, record) = described(args, exported, &network, report)?;
    let checkpoint = checkpoint_of(config, record, &network)?;
    describe(&network, report);
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
    if format != exchange::FORMAT {
        return Err(wrong(format!("format {format} is unknown, expected {}", exchange::FORMAT)));
    }
    let Written { config, data } = serde_json::from_slice(&text).map_err(foreign)?;
    let config = config::from_toml(&config.to_string(), &beside.display().to_string())?;
    Ok((path.join(PARAMETERS), Some(Exported { config, data })))
}

/// Whether what elbo exported comes back. No setting changes what it is.
fn check_own(likelihood: Likelihood) -> Result<()> {
    if PLAIN.contains(&likelihood) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "the folder holds a model of likelihood {}, and elbo import takes bernoulli, gaussian and gaussian-learned; use the \
         run that it was exported from",
        likelihood.name()
    )))
}

/// The configuration and the data of the model.
fn described(
    args: &ImportArgs,
    exported: Option<Exported>,
    network: &Network,
    report: &Report,
) -> Result<(Config, DataRecord)> {
    let own = exported.is_some();
    let (mut config, mut record) = match exported {
        Some(exported) if args.recipe.recipe.is_none() && args.recipe.set.is_empty() => {
            (exported.config, exported.data)
        }
        Some(_) => {
            let why =
                format!("--recipe and --set are for models of others: the folder's {CONFIG} says what this one is");
            return Err(Error::Usage(why));
        }
        None => (theirs(args)?, unknown(network)),
    };
    if !(config.model.encoder_layers.is_empty() && config.model.decoder_layers.is_empty()) {
        let advice = if own { "only `elbo eval` and its like take this one" } else { "choose another --recipe" };
        return Err(Error::Usage(format!(
            "the model is a list of layers (model.encoder_layers, model.decoder_layers), and elbo import takes networks that \
             are given by widths: {advice}"
        )));
    }
    check_kind(&config)?;
    config = with_widths(&config, network);
    config::validate(&config)?;
    let width = network.out.outputs;
    if let Some(source) = &args.data {
        source.clone_into(&mut config.data.source);
        let known = own.then(|| record.clone());
        let data = open::data(&config, known.as_ref().map(DataRecord::known), report)?;
        data::check(&data, config.model.likelihood)?;
        record = DataRecord::of(&data);
    }
    if let Some(shape) = args.shape {
        if args.data.is_some() {
            return Err(Error::Usage("--shape cannot be given with --data, which has a shape of its own".into()));
        }
        record.shape = shape;
    }
    if !PLAIN.contains(&config.model.likelihood) {
        return Err(Error::Usage(format!(
            "model.likelihood = {}: elbo import takes models of three likelihoods; --set model.likelihood=bernoulli, gaussian \
             or gaussian-learned",
            config.model.likelihood.name()
        )));
    }
    let learned = config.model.likelihood == Likelihood::GaussianLearned;
    if learned != network.out_log_variance.is_some() {
        let (has, take) = if learned { ("gives none", "gaussian") } else { ("gives some", "gaussian-learned") };
        return Err(Error::Usage(format!(
            "model.likelihood is about log-variances of the decoder, and the file's {has}: --set \
             model.likelihood={take}"
        )));
    }
    if record.shape.iter().product::<usize>() != width {
        let (name, shape) = (&record.name, record.shape);
        return Err(Error::Usage(format!(
            "{name}: an example has shape {shape:?}, and the model takes {width} numbers"
        )));
    }
    Ok((config, record))
}

/// Refuses kinds of models that layers alone do not make.
fn check_kind(config: &Config) -> Result<()> {
    let why = match (config.model.condition, config.model.above.is_empty()) {
        (Condition::None, true) => return Ok(()),
        (Condition::Label, _) => {
            "model.condition = label: elbo import takes models that are told nothing beside what they read"
        }
        _ => "model.above: elbo import takes models of one stochastic layer",
    };
    Err(Error::Usage(why.into()))
}

/// What --recipe and --set say of a model that does not say it itself.
fn theirs(args: &ImportArgs) -> Result<Config> {
    let widths = ["hidden", "decoder", "latent", "encoder_layers", "decoder_layers"];
    let told = args.recipe.set.iter().find(|(key, _)| widths.contains(&key.rsplit('.').next().unwrap_or_default()));
    match told {
        Some((key, _)) => Err(Error::Usage(format!("--set {key}: the file itself says how wide its layers are"))),
        None => config::resolve(args.recipe.recipe.as_deref(), &args.recipe.set),
    }
}

/// Data of which nothing is known but their width.
fn unknown(network: &Network) -> DataRecord {
    let shape = [1, 1, network.out.outputs];
    DataRecord { name: "unknown".into(), shape, floats: true, hash: String::new(), encoding: None, classes: None }
}

/// The checkpoint of a run that has not taken a step, with an optimiser that remembers nothing yet.
fn checkpoint_of(config: Config, data: DataRecord, network: &Network) -> Result<Checkpoint> {
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
        course: Course::default(),
    };
    let mut checkpoint = Checkpoint { parameters: parameters(network), moments: vec![], progress, config };
    let mut session = Session::without_data(&checkpoint, Executor::Cpu(Cpu::new(1)?))?;
    session.plan(Purpose::Train)?;
    session.initialise_moments(0)?;
    checkpoint.moments = session.moment_tensors(0)?;
    Ok(checkpoint)
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
    let say = |place: &str, layer: &exchange::linear::Linear| {
        report.note(&format!("{place:<20} {} {}x{}", layer.name, layer.inputs, layer.outputs));
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
