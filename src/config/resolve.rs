//! From a recipe and single settings to a configuration, and between configurations and TOML.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, Layers, RECIPES, keys, nearest, validate};
use crate::error::{Error, Result};

/// The configuration that a recipe and single settings make together, validated.
///
/// `recipe` is the name of one of [`RECIPES`] or the path of a TOML file (it ends in `.toml` or contains a path
/// separator); what it leaves out is as in [`Config::default`]. Where none is named, a table with a header gets the recipe
/// `table`, and text `text` or `smiles`. `overrides` are pairs of a key, dotted (`model.latent`)
/// or its last segment where that is unique (`latent`), and a value as text.
///
/// # Errors
/// [`Error::Usage`], naming the key or the recipe, what was expected and what was probably meant.
pub fn resolve(recipe: Option<&str>, overrides: &[(String, String)]) -> Result<Config> {
    let mut tree = keys::defaults();
    let mut of_recipe = Vec::new();
    if let Some(recipe) = recipe.or_else(|| for_source(overrides)) {
        let (title, text, name) = read_recipe(recipe)?;
        keys::put(&mut tree, "name", Value::String(name));
        let file = text.parse().map_err(|e| syntax_problem(&text, &e));
        let merged = file.and_then(|file| merge(&mut tree, &file));
        of_recipe = merged.map_err(|problem| Error::Usage(format!("{title}: {problem}")))?;
    }
    let mut given: Vec<(String, &str)> = Vec::new();
    for (typed, text) in overrides {
        let key = set(&mut tree, typed, text)
            .map_err(|problem| Error::Usage(format!("setting {typed}={}: {problem}", one_line(text))))?;
        if let Some((_, earlier)) = given.iter().find(|(earlier, _)| *earlier == key) {
            return Err(Error::Usage(format!("{key} is set twice, to {earlier} and to {text}; set it once")));
        }
        given.push((key, text));
    }
    let is_typed = |name: &str| given.iter().any(|(key, _)| key == name);
    if !is_typed("model.decoder_log_variance")
        && (is_typed("model.log_variance") || !of_recipe.iter().any(|key| key == "model.decoder_log_variance"))
    {
        follow_log_variance(&mut tree);
    }
    if is_typed("data.validation") && !is_typed("data.validation_share") {
        // The share is for the numbers of recipes, which know nothing of how many examples there are.
        keys::put(&mut tree, "data.validation_share", Value::Float(1.0));
    }
    let config = Config::deserialize(tree).map_err(|e| Error::Bug(format!("merged configuration: {}", e.message())))?;
    validate(&config)?;
    Ok(config)
}

/// Lets the range of the decoder's log-variances be that of the posterior's.
fn follow_log_variance(tree: &mut Table) {
    if let Some(range) = keys::get(tree, "model.log_variance").cloned() {
        keys::put(tree, "model.decoder_log_variance", range);
    }
}

/// The recipe for the source that the settings name, where it is none for images: the type of each column of a table says
/// how it is distributed, and text takes a model of sequences.
fn for_source(overrides: &[(String, String)]) -> Option<&'static str> {
    let (_, source) = overrides.iter().find(|(key, _)| matches!(key.as_str(), "data.source" | "source"))?;
    let source = source.strip_suffix(".gz").unwrap_or(source);
    let end = Path::new(source).extension()?.to_string_lossy().to_ascii_lowercase();
    let is_text =
        overrides.iter().any(|(key, column)| matches!(key.as_str(), "data.text" | "text") && !column.is_empty());
    match end.as_str() {
        "csv" | "tsv" | "parquet" | "arrow" | "feather" if is_text => Some("text"),
        "csv" | "tsv" | "parquet" | "arrow" | "feather" => Some("table"),
        "txt" => Some("text"),
        "smi" | "smiles" => Some("smiles"),
        "mid" | "midi" => Some("music"),
        "h5ad" => Some("cells"),
        _ => None,
    }
}

/// Keys that came after runs had been saved without them: those were trained as the defaults of these keys say.
const LATER: [&str; 81] = [
    "data.shard",
    "model.library_size",
    "data.obs",
    "data.layer",
    "model.heads",
    "model.discriminator_layers",
    "model.discriminator_features",
    "model.discriminator_spectral",
    "model.prior_steps",
    "model.prior_step",
    "objective.covariance_of",
    "objective.features",
    "objective.label_smoothing",
    "objective.instance_noise",
    "objective.instance_noise_epochs",
    "model.cell",
    "model.bidirectional",
    "model.embedding",
    "model.word_dropout",
    "data.tokens",
    "data.length",
    "data.longer",
    "data.text",
    "data.grid",
    "model.normalise_input",
    "data.pairs",
    "data.at_least",
    "model.categories",
    "objective.temperature",
    "objective.temperature_epochs",
    "model.class_prior",
    "model.classifier",
    "objective.classify",
    "data.labelled",
    "data.labelled_seed",
    "train.labelled",
    "model.codes",
    "model.codebook",
    "model.codebook_decay",
    "model.codebook_restart",
    "objective.commitment",
    "objective.adversary",
    "objective.covariance",
    "objective.variance",
    "model.above",
    "model.hierarchy",
    "model.resolutions",
    "objective.balance",
    "optimizer.skip_norm",
    "model.encoder_cell",
    "model.decoder_cell",
    "model.norm",
    "model.condition",
    "model.prior",
    "model.prior_components",
    "model.prior_weights",
    "model.prior_layers",
    "model.prior_width",
    "model.prior_codes",
    "model.posterior",
    "model.posterior_layers",
    "model.posterior_width",
    "model.discriminator",
    "objective.factor",
    "optimizer.discriminator_lr",
    "optimizer.discriminator_beta1",
    "optimizer.discriminator_beta2",
    "optimizer.discriminator_every",
    "model.components",
    "model.scales",
    "train.checkpointing",
    "train.sync_seconds",
    "train.sample_seconds",
    "train.monitor",
    "model.decoder_log_variance",
    "data.rounding",
    "data.white",
    "data.validation_share",
    "data.missing",
    "data.decimal",
    "data.unknown",
];

/// Reads the complete configuration that was saved with a run; `file` is its name for messages.
///
/// # Errors
/// [`Error::Data`] if the text is no TOML, a key is missing or unknown, or a value is not allowed. Keys of [`LATER`] may be
/// missing.
pub fn from_toml(text: &str, file: &str) -> Result<Config> {
    let parsed = text.parse().map_err(|e| damaged(file, &syntax_problem(text, &e)))?;
    saved(&parsed, file)
}

/// [`from_toml`] of the same as JSON, as exports have it under `config`.
///
/// # Errors
/// As [`from_toml`], in the words of JSON.
pub fn from_json(value: &serde_json::Value, file: &str) -> Result<Config> {
    let known = keys::defaults();
    let tables = value.as_object().ok_or_else(|| damaged(file, "`config` is no object"))?;
    for (name, inner) in tables {
        let problem = match known.get(name) {
            None => {
                let hint =
                    nearest(name, known.keys().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
                format!("unknown key `{name}` of `config`{}", hint.unwrap_or_default())
            }
            Some(Value::Table(_)) if !inner.is_object() => format!("`config.{name}` is no object"),
            Some(_) => continue,
        };
        return Err(damaged(file, &problem));
    }
    match as_toml(value, "config").map_err(|problem| damaged(file, &problem))? {
        Value::Table(tree) => saved(&tree, file),
        _ => Err(damaged(file, "`config` is no object")),
    }
}

/// A value of JSON as one of TOML, which has no null; `at` is where it stands.
fn as_toml(value: &serde_json::Value, at: &str) -> std::result::Result<Value, String> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::Null => return Err(format!("`{at}` is null")),
        Json::Bool(value) => Value::Boolean(*value),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(number)) => Value::Float(number),
            (None, None) => return Err(format!("`{at}` = {number} is too large a number")),
        },
        Json::Array(items) => {
            let items = items.iter().enumerate().map(|(place, item)| as_toml(item, &format!("{at}[{place}]")));
            Value::Array(items.collect::<std::result::Result<_, String>>()?)
        }
        Json::Object(items) => {
            let items = items.iter().map(|(key, item)| Ok((key.clone(), as_toml(item, &format!("{at}.{key}"))?)));
            Value::Table(items.collect::<std::result::Result<_, String>>()?)
        }
    })
}

/// What is wrong with a saved configuration.
fn damaged(file: &str, problem: &str) -> Error {
    Error::Data(format!("{file}: {problem} (the file is damaged or was saved by another version of elbo)"))
}

/// The configuration that was saved as a tree of tables.
fn saved(file: &Table, name: &str) -> Result<Config> {
    let damaged = |problem: String| damaged(name, &problem);
    let mut tree = keys::defaults();
    let present = merge(&mut tree, file).map_err(damaged)?;
    let has = |key: &str| present.iter().any(|present| present == key);
    // Runs from before these keys took 255 for white, whatever their bytes were, counted shares in single precision, and
    // had one range for all log-variances.
    if !has("data.white") {
        keys::put(&mut tree, "data.white", Value::String("full".into()));
    }
    if !has("data.rounding") {
        keys::put(&mut tree, "data.rounding", Value::String("single".into()));
    }
    if !has("model.decoder_log_variance") {
        follow_log_variance(&mut tree);
    }
    let missing = |key: &&String| !present.contains(key) && !LATER.contains(&key.as_str());
    if let Some(missing) = keys::keys(&tree).iter().find(missing) {
        return Err(damaged(format!("the key {missing} is missing")));
    }
    let config = Config::deserialize(tree).map_err(|e| damaged(e.message().to_owned()))?;
    validate(&config).map_err(|e| damaged(e.to_string()))?;
    Ok(config)
}

/// The whole of a validated configuration as TOML, every key in the order of the types.
pub fn to_toml(config: &Config) -> String {
    let mut plain = config.clone();
    // A line for each layer: written as any other value, a list of tables would be taken out of its place.
    let [encoder, decoder] = [&mut plain.model.encoder_layers, &mut plain.model.decoder_layers]
        .map(std::mem::take)
        .map(|layers| layers.text());
    let text = toml::to_string(&plain).expect("a validated configuration has a TOML form");
    let text = text.replacen("\nencoder_layers = []\n", &format!("\nencoder_layers = {encoder}\n"), 1);
    text.replacen("\ndecoder_layers = []\n", &format!("\ndecoder_layers = {decoder}\n"), 1)
}

/// The title for messages, the text, and the name that runs get where the text gives none.
fn read_recipe(recipe: &str) -> Result<(String, String, String)> {
    let path = Path::new(recipe);
    let is_path = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"))
        || recipe.contains(std::path::is_separator);
    if is_path {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::Usage(format!("--recipe {recipe}: the file cannot be read: {e}")))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        return Ok((recipe.to_owned(), text, stem.trim_start_matches('.').chars().map(plain).collect()));
    }
    if let Some((name, text, _)) = RECIPES.iter().find(|(name, ..)| *name == recipe) {
        return Ok((format!("recipe {name}"), (*text).to_owned(), (*name).to_owned()));
    }
    let names: Vec<&str> = RECIPES.iter().map(|(name, ..)| *name).collect();
    let hint = nearest(recipe, names.iter().copied()).map(|name| format!(" (did you mean `{name}`?)"));
    Err(Error::Usage(format!(
        "unknown recipe `{recipe}`{}; there are {}, or give the path of a .toml file",
        hint.unwrap_or_default(),
        names.join(", ")
    )))
}

/// Lays the keys of a file over `tree`; returns the dotted keys that were present.
fn merge(tree: &mut Table, file: &Table) -> std::result::Result<Vec<String>, String> {
    let known = keys::keys(tree);
    let mut present = Vec::new();
    for (name, value) in file {
        match (tree.get(name), value) {
            (Some(Value::Table(_)), Value::Table(inner)) => {
                for (key, value) in inner {
                    let typed = format!("{name}.{key}");
                    let key = keys::current(&typed);
                    if present.iter().any(|present| present == key) {
                        return Err(format!("`{key}` is there twice, once by the name that it had; leave one out"));
                    }
                    lay(tree, &known, key, value)?;
                    present.push(key.to_owned());
                }
            }
            (Some(Value::Table(_)), _) => {
                return Err(format!("`{name}` is a table: write [{name}] and its keys below"));
            }
            (None, Value::Table(_)) => {
                let tables: Vec<&str> =
                    tree.iter().filter(|(_, value)| value.is_table()).map(|(name, _)| name.as_str()).collect();
                let hint = nearest(name, tables.iter().copied()).map(|table| format!(" (did you mean [{table}]?)"));
                let hint = hint.unwrap_or_default();
                return Err(format!("unknown table [{name}]{hint}; known are {}", tables.join(", ")));
            }
            _ => {
                lay(tree, &known, name, value)?;
                present.push(name.clone());
            }
        }
    }
    Ok(present)
}

/// Lays one value of a file over `tree`. Other than on the command line, only full keys count.
fn lay(tree: &mut Table, known: &[String], key: &str, value: &Value) -> std::result::Result<(), String> {
    if !known.iter().any(|known| known == key) {
        return Err(match keys::find(known, key) {
            Ok(full) => format!("unknown key `{key}`; did you mean `{full}`?"),
            Err(problem) => problem,
        });
    }
    if keys::is_layers(key) {
        return choose(tree, key, Layers::read(key, value)?.value());
    }
    if let (LATENT, Some(text)) = (key, value.as_str()) {
        return latents(tree, text);
    }
    let example = keys::example(tree, key).ok_or_else(|| format!("unknown key `{key}`"))?;
    let value = keys::conform(&example, value)
        .ok_or_else(|| format!("{key} = {value}: expected {}", keys::expected(&example)))?;
    choose(tree, key, value)
}

/// Sets one key from text as typed; returns the full key.
fn set(tree: &mut Table, typed: &str, text: &str) -> std::result::Result<String, String> {
    let known = keys::keys(tree);
    if let Some((key, name)) = keys::entry(tree, &known, typed) {
        let mut names = keys::get(tree, &key).and_then(Value::as_table).cloned().unwrap_or_default();
        names.insert(name.to_owned(), Value::String(text.to_owned()));
        choose(tree, &key, Value::Table(names))?;
        return Ok(format!("{key}.{name}"));
    }
    let key = keys::find(&known, typed)?;
    if keys::is_layers(&key) {
        let layers = Layers::read(&key, &keys::typed_layers(&key, text)?)?;
        choose(tree, &key, layers.value())?;
        return Ok(key);
    }
    if key == LATENT && text.trim().starts_with(|c: char| c.is_ascii_alphabetic()) {
        latents(tree, text)?;
        return Ok(key);
    }
    let example = keys::example(tree, &key).ok_or_else(|| format!("unknown key `{key}`"))?;
    let value = keys::parse(&example, text).ok_or_else(|| format!("{key}: expected {}", keys::expected(&example)))?;
    choose(tree, &key, value)?;
    Ok(key)
}

/// The key that words may be given for.
const LATENT: &str = "model.latent";

/// Sets the latents from words: `categorical 20x10`, `gaussian 8`, or both with a `+` between them.
fn latents(tree: &mut Table, text: &str) -> std::result::Result<(), String> {
    let wrong = || {
        format!(
            "{LATENT} = {text:?}: expected a whole number, or words such as categorical 20x10 + gaussian 8 (20 variables of 10 \
             categories, 8 numbers)"
        )
    };
    let (mut categories, mut numbers) = (None, None);
    for part in text.split('+') {
        let (word, rest) = part.trim().split_once(char::is_whitespace).ok_or_else(wrong)?;
        let rest = rest.trim();
        match word {
            "categorical" if categories.is_none() => {
                let (variables, each) = rest.split_once('x').ok_or_else(wrong)?;
                let read = |text: &str| text.trim().parse::<u32>().map(i64::from).map_err(|_| wrong());
                categories = Some([read(variables)?, read(each)?]);
            }
            "gaussian" if numbers.is_none() => numbers = Some(rest.parse::<u32>().map(i64::from).map_err(|_| wrong())?),
            _ => return Err(wrong()),
        }
    }
    let places = categories.map_or(0, |[variables, each]| variables * each);
    let list = categories.iter().flatten().map(|&n| Value::Integer(n)).collect();
    choose(tree, "model.categories", Value::Array(list))?;
    choose(tree, LATENT, Value::Integer(places + numbers.unwrap_or(0)))
}

/// Puts a value of the right kind, and checks the words of which only some are allowed.
fn choose(tree: &mut Table, key: &str, value: Value) -> std::result::Result<(), String> {
    let shown = value.to_string();
    keys::put(tree, key, value);
    match Config::deserialize(tree.clone()) {
        Ok(_) => Ok(()),
        Err(e) => {
            let problem = e.message().replace('`', "");
            // The first half of "unknown variant x, expected one of a, b" would only repeat the value.
            let expected =
                problem.split_once("expected ").map_or(problem.clone(), |(_, rest)| format!("expected {rest}"));
            Err(format!("{key} = {shown}: {expected}"))
        }
    }
}

/// What was typed, in one line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// A syntax error in one line, with the line number.
fn syntax_problem(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}not valid TOML: {}", error.message().lines().collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests;
