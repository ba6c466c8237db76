//! Reading lists of layers: words and tables.

use super::parse::{self, Word};
use super::{Block, BlockKind, Channels, Conv, Layer, Layers, MAX_DEPTH, MAX_LAYERS};
use crate::config::nearest;
use serde::{Deserialize, Deserializer, de};
use toml::{Table, Value};

/// What is wrong, in a line that begins with the place: `model.encoder_layers[3].residual[1]`.
type Read<T> = Result<T, String>;

/// Words that no name of a block has, since `elbo import` knows heads and networks by them.
const HEADS: [&str; 13] =
    ["head", "out", "output", "logits", "recon", "mu", "mean", "loc", "log", "logvar", "lv", "var", "variance"];

/// Keys of a block.
const BLOCK: [&str; 5] = ["residual", "layers", "skip", "repeat", "name"];

impl Layers {
    /// Reads the list that stands under a key.
    ///
    /// # Errors
    /// A line that names the layer by its place, and says what is wrong with it and what was expected.
    pub fn read(key: &str, value: &Value) -> Read<Self> {
        let Value::Array(values) = value else {
            return Err(format!(
                "{key} = {}: expected a list of layers, such as [\"dense 256\", \"relu\"]",
                short(value)
            ));
        };
        list(key, values, 0).map(Self)
    }

    /// The layers of these words.
    ///
    /// # Errors
    /// As those of [`Layers::read`]; the key is `layers`.
    pub fn words(words: &[&str]) -> Read<Self> {
        Self::read("layers", &Value::Array(words.iter().map(|&word| Value::String(word.into())).collect()))
    }
}

impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read("layers", &value).map_err(de::Error::custom)
    }
}

/// A block that words have begun.
struct Open<'a> {
    at: usize,
    text: &'a str,
    skip: Option<Conv>,
    /// The layers before it.
    before: Vec<Layer>,
}

/// The layers of a list that stands at a place, within so many blocks.
fn list(place: &str, values: &[Value], depth: usize) -> Read<Vec<Layer>> {
    let (mut all, mut open) = (Vec::new(), Vec::<Open>::new());
    for (at, value) in values.iter().enumerate() {
        let here = format!("{place}[{at}]");
        let text = match value {
            Value::String(text) => text,
            Value::Table(table) => {
                all.push(layer(&here, table, depth + open.len())?);
                continue;
            }
            other => {
                let such = "a layer, such as \"conv 16 kernel 3\" or { conv = 16, kernel = 3 }";
                return Err(format!("{here} = {}: expected {such}", short(other)));
            }
        };
        let wrong = |why: &str| format!("{here} `{text}` {why}");
        match parse::word(text).map_err(|why| wrong(&why))? {
            Word::Layer(layer) => all.push(layer),
            Word::Begin(skip) => {
                check_depth(&here, depth + open.len())?;
                open.push(Open { at, text, skip, before: std::mem::take(&mut all) });
            }
            Word::End => {
                let block = open.pop().ok_or_else(|| wrong("ends a block that nothing began: `residual {` does"))?;
                if all.is_empty() {
                    return Err(wrong("ends a block in which there is no layer"));
                }
                let layers = std::mem::replace(&mut all, block.before);
                let kind = BlockKind::Residual(block.skip);
                all.push(Layer::Block(Block { name: None, repeat: 1, kind, layers }));
            }
        }
    }
    match open.pop() {
        Some(Open { at, text, .. }) => Err(format!("{place}[{at}] `{text}` begins a block that no `}}` ends")),
        None => Ok(all),
    }
}

/// The layer of a table.
fn layer(here: &str, table: &Table, depth: usize) -> Read<Layer> {
    let named: Vec<&str> = table.keys().map(String::as_str).filter(|key| is_kind(key)).collect();
    match named[..] {
        ["residual" | "layers"] => block(here, table, named[0], depth).map(Layer::Block),
        [kind] => plain(table, kind).map_err(|why| format!("{here} `{}` {why}", inline(table))),
        [] => Err(format!("{here} `{}` is no layer: {}", inline(table), no_kind(table))),
        [one, other, ..] => Err(format!("{here} `{}` is `{one}` and `{other}` at once: make two of it", inline(table))),
    }
}

fn is_kind(key: &str) -> bool {
    matches!(key, "residual" | "layers") || parse::KINDS.contains(&kebab(key).as_str())
}

/// What to say of a table that names no kind of layer.
fn no_kind(table: &Table) -> String {
    if let Some((word, _)) = parse::ACTIVATIONS.iter().find(|(word, _)| table.keys().any(|key| kebab(key) == *word)) {
        return format!("a non-linearity takes nothing and is the word \"{word}\"");
    }
    let kinds = || parse::KINDS.into_iter().chain(["layers"]);
    let hint = table.keys().find_map(|key| nearest(&kebab(key), kinds()));
    match hint {
        Some(kind) => format!("did you mean `{kind}`?"),
        None => format!("one of its keys has to be {}", kinds().collect::<Vec<_>>().join(", ")),
    }
}

/// Keys may be written with `_`, as other keys of a configuration are.
fn kebab(key: &str) -> String {
    key.replace('_', "-")
}

/// A layer that is no block: its keys and values are the words of it.
fn plain(table: &Table, kind: &str) -> Read<Layer> {
    if let Some(key) = BLOCK.into_iter().find(|key| table.contains_key(*key)) {
        let such = if key == "skip" { "{ residual = [...], skip = {...} }" } else { "{ layers = [...], repeat = 2 }" };
        return Err(format!("has no `{key}`, which is for blocks: put it into one, such as {such}"));
    }
    let mut words = vec![kebab(kind), value(kind, &table[kind])?];
    for (key, given) in table.iter().filter(|(key, _)| *key != kind) {
        words.extend([kebab(key), value(key, given)?]);
    }
    // It takes nothing: the value says that it is there.
    if is_bare(kind) && table[kind] == Value::Boolean(true) {
        words.remove(1);
    }
    match parse::word(&words.join(" "))? {
        Word::Layer(layer) => Ok(layer),
        Word::Begin(_) | Word::End => Err("is no layer".into()),
    }
}

/// Whether a kind of layer takes nothing.
fn is_bare(key: &str) -> bool {
    parse::BARE.iter().any(|(name, ..)| *name == kebab(key))
}

/// A value as a word.
fn value(key: &str, value: &Value) -> Read<String> {
    let word = match value {
        Value::Integer(number) => Some(number.to_string()),
        // In powers of ten where digits would fill the screen.
        Value::Float(number) if number.abs() < 1e15 => Some(number.to_string()),
        Value::Float(number) => Some(format!("{number:e}")),
        Value::Boolean(given) => Some(given.to_string()).filter(|_| is_bare(key)),
        Value::String(word) => Some(word.clone()).filter(|word| !word.contains(char::is_whitespace)),
        // Height, width and channels.
        Value::Array(sides) if kebab(key) == "dense" => {
            let sides: Option<Vec<String>> =
                sides.iter().map(|side| side.as_integer().map(|side| side.to_string())).collect();
            sides.map(|sides| sides.join("x"))
        }
        _ => None,
    };
    word.filter(|word| !word.is_empty()).ok_or_else(|| format!("wants a number after `{key}`, not {}", short(value)))
}

/// A block: `key` is that of its layers.
fn block(here: &str, table: &Table, key: &str, depth: usize) -> Read<Block> {
    check_depth(here, depth)?;
    if let Some(unknown) = table.keys().find(|key| !BLOCK.contains(&key.as_str())) {
        let hint = nearest(unknown, BLOCK).map(|key| format!("did you mean `{key}`?"));
        let hint = hint.unwrap_or_else(|| format!("a block has {}", BLOCK.join(", ")));
        return Err(format!("{here} knows no `{unknown}`: {hint}"));
    }
    let place = format!("{here}.{key}");
    let layers = match &table[key] {
        Value::Array(values) if values.is_empty() => {
            return Err(format!("{place} = []: there is no layer in the block"));
        }
        Value::Array(values) => list(&place, values, depth + 1)?,
        other => return Err(format!("{place} = {}: expected a list of layers", short(other))),
    };
    let kind = match (key, table.get("skip")) {
        ("residual", None) => BlockKind::Residual(None),
        ("residual", Some(given)) => BlockKind::Residual(Some(skip(&format!("{here}.skip"), given)?)),
        (_, None) => BlockKind::Plain,
        (_, Some(_)) => return Err(format!("{here} has a `skip`, which goes around `residual = [...]` alone")),
    };
    Ok(Block { name: name(here, table)?, repeat: repeat(here, table)?, kind, layers })
}

/// The convolution on the way around a block.
fn skip(place: &str, given: &Value) -> Read<Conv> {
    let found = match given {
        Value::String(text) => parse::word(text).map_err(|why| format!("{place} `{text}` {why}"))?,
        Value::Table(table) => Word::Layer(layer(place, table, 0)?),
        _ => Word::End,
    };
    match found {
        Word::Layer(Layer::Conv(Conv { channels: Channels::Out, .. })) => {
            Err(format!("{place} gives `out`, what the likelihood wants, and only the last layer of a decoder can"))
        }
        Word::Layer(Layer::Conv(conv)) => Ok(conv),
        _ => Err(format!("{place} = {}: expected a convolution, such as {{ conv = 64, kernel = 1 }}", short(given))),
    }
}

fn repeat(here: &str, table: &Table) -> Read<usize> {
    let Some(given) = table.get("repeat") else { return Ok(1) };
    let count = given.as_integer().and_then(|count| usize::try_from(count).ok());
    count.filter(|count| (1..=MAX_LAYERS).contains(count)).ok_or_else(|| {
        format!("{here}.repeat = {}: expected how often the block follows itself, from 1 to {MAX_LAYERS}", short(given))
    })
}

/// The name of a block, which becomes a part of those of its parameters.
fn name(here: &str, table: &Table) -> Read<Option<String>> {
    let Some(given) = table.get("name") else { return Ok(None) };
    let is_known = |word: &str| HEADS.contains(&word) || word.starts_with("enc") || word.starts_with("dec");
    let plain = |name: &&str| {
        let mut letters = name.chars();
        letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
            && name.len() <= 32
            && !name.to_ascii_lowercase().split(['-', '_']).any(is_known)
    };
    let name = given.as_str().filter(plain).map(|name| Some(name.to_owned()));
    name.ok_or_else(|| {
        format!(
            "{here}.name = {}: expected up to 32 letters, digits, `-` or `_`, beginning with a letter, and none of the words \
             that networks and their heads are known by (enc..., dec..., {})",
            short(given),
            HEADS.join(", ")
        )
    })
}

fn check_depth(here: &str, depth: usize) -> Read<()> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    Err(format!("{here} begins a block within {depth} others: up to {MAX_DEPTH} may stand within each other"))
}

/// A table as it would be typed, not too long for a message.
fn inline(table: &Table) -> String {
    let pairs: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", short(value))).collect();
    shortened(&format!("{{ {} }}", pairs.join(", ")))
}

/// A value likewise.
fn short(value: &Value) -> String {
    match value {
        Value::Table(table) => inline(table),
        other => shortened(&other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let text = text.replace(char::is_control, " ");
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST - 1).chain(['…']).collect() }
}
