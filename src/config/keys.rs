//! Keys and values as people write them: which there are, which was meant, and what each takes.
//!
//! There is no second list of keys beside the types: names and kinds are read off the default configuration.

use toml::{Table, Value};

use super::Config;

/// The default configuration as a tree of tables, which holds every key with a value of its kind.
pub(super) fn defaults() -> Table {
    tree(&Config::default())
}

/// A configuration as a tree of tables.
pub fn tree(config: &Config) -> Table {
    Table::try_from(config).expect("every value of a configuration has a TOML form")
}

/// Every dotted key of `tree`, such as `model.latent`.
pub fn keys(tree: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in tree {
        match value {
            Value::Table(inner) => found.extend(inner.keys().map(|key| format!("{name}.{key}"))),
            _ => found.push(name.clone()),
        }
    }
    found
}

/// The value at a dotted key.
pub fn get<'a>(tree: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((table, inner)) => tree.get(table)?.get(inner),
        None => tree.get(key),
    }
}

/// Whether a key takes a list of layers, which are words or tables.
pub(super) fn is_layers(key: &str) -> bool {
    matches!(
        key,
        "model.encoder_layers"
            | "model.decoder_layers"
            | "model.encoder_cell"
            | "model.decoder_cell"
            | "model.discriminator_layers"
    )
}

/// A list of layers as it is typed: TOML, or words without quotation marks, `[conv 8 kernel 3, relu]`.
pub(super) fn typed_layers(key: &str, text: &str) -> Result<Value, String> {
    let text = text.trim();
    let typed: Result<Table, _> = format!("layers = {text}").parse();
    match typed {
        Ok(mut table) if table.len() == 1 => Ok(table.remove("layers").unwrap_or_else(|| Value::Array(vec![]))),
        Err(error) if text.contains('=') => Err(format!(
            "{key}: not valid TOML: {}; where there are tables, words stand in quotation marks, such as \
             [{{ conv = 8, kernel = 3 }}, \"relu\"]",
            error.message().lines().collect::<Vec<_>>().join("; ")
        )),
        _ => {
            let words = Value::Array(vec![Value::String(String::new())]);
            parse(&words, text).ok_or_else(|| format!("{key}: expected {}", expected(&words)))
        }
    }
}

/// A value of the kind that a key takes: the one that it has, but an empty list says nothing. Of those that may be empty
/// some are texts, and all others are widths.
pub(super) fn example(tree: &Table, key: &str) -> Option<Value> {
    if matches!(key, "model.above" | "model.resolutions" | "data.missing") {
        return Some(Value::Array(vec![Value::String(String::new())]));
    }
    get(tree, key).cloned()
}

/// A value as it would be typed: numbers of a configuration have single precision, and more digits say nothing.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => (*number as f32).to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}

/// Puts a value at a dotted key whose table exists.
pub(super) fn put(tree: &mut Table, key: &str, value: Value) {
    let slot = match key.split_once('.') {
        Some((table, inner)) => tree.get_mut(table).and_then(|table| table.get_mut(inner)),
        None => tree.get_mut(key),
    };
    if let Some(slot) = slot {
        *slot = value;
    }
}

/// The table and the name in it that `typed` stands for, where the table is one of names that are not known beforehand:
/// `data.columns` and `age` for `data.columns.age`.
pub(super) fn entry<'a>(tree: &Table, keys: &[String], typed: &'a str) -> Option<(String, &'a str)> {
    let tables = keys.iter().filter(|key| get(tree, key).is_some_and(Value::is_table));
    tables.into_iter().find_map(|key| {
        let short = last_segment(key);
        let rest = typed.strip_prefix(key.as_str()).or_else(|| typed.strip_prefix(short))?;
        Some((key.clone(), rest.strip_prefix('.').filter(|name| !name.is_empty())?))
    })
}

/// Keys that had another name once, which recipes, saved runs and habits may still use: the old name and today's.
const RENAMED: [(&str, &str); 5] = [
    ("optimizer.second_moment", "optimizer.initial_second_moment"),
    ("schedule.after", "schedule.milestones"),
    ("schedule.factors", "schedule.gamma"),
    ("schedule.least", "schedule.min_factor"),
    ("train.reorder", "train.shuffle"),
];

/// The name that a full key has today.
pub(super) fn current(key: &str) -> &str {
    RENAMED.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| new)
}

/// The key that was meant by `typed`: a full dotted key, or a last segment that only one key has, by today's name or the
/// one it had.
pub(super) fn find(keys: &[String], typed: &str) -> Result<String, String> {
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == typed || last_segment(old) == typed) {
        return Ok((*new).to_owned());
    }
    if keys.iter().any(|key| key == typed) {
        return Ok(typed.to_owned());
    }
    let same_end: Vec<&String> = keys.iter().filter(|key| last_segment(key) == typed).collect();
    match same_end[..] {
        [key] => Ok(key.clone()),
        [] => Err(unknown(keys, typed)),
        _ => {
            let names: Vec<&str> = same_end.iter().map(|key| key.as_str()).collect();
            Err(format!("the key `{typed}` is ambiguous: it may be {}; write one of these", names.join(" or ")))
        }
    }
}

/// What to say about a key that does not exist: the nearest one, or the choice there is.
fn unknown(keys: &[String], typed: &str) -> String {
    let inside: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix(typed)?.strip_prefix('.')).collect();
    if !inside.is_empty() {
        return format!("`{typed}` is a table; set one of its keys: {}", inside.join(", "));
    }
    let (table, typed_end) = typed.rsplit_once('.').unwrap_or(("", typed));
    // A slip of the finger in the full key first; then the right word in the wrong table.
    let full = nearest(typed, keys.iter().map(String::as_str));
    let by_end = || {
        let end = nearest(typed_end, keys.iter().map(|key| last_segment(key)))?;
        keys.iter().map(String::as_str).find(|key| last_segment(key) == end)
    };
    if let Some(key) = full.or_else(by_end) {
        return format!("unknown key `{typed}`; did you mean `{key}`?");
    }
    let in_table: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix(table)?.strip_prefix('.')).collect();
    if table.is_empty() || in_table.is_empty() {
        return format!("unknown key `{typed}`; known are {}", keys.join(", "));
    }
    format!("unknown key `{typed}`; the table [{table}] has {}", in_table.join(", "))
}

fn last_segment(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The candidate that differs from `word` by the fewest slips, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.into_iter().map(|candidate| (slips(&word.to_lowercase(), candidate), candidate));
    let (count, candidate) = near.min_by_key(|(count, _)| *count)?;
    (count <= 1 + candidate.chars().count() / 5 && count < candidate.chars().count()).then_some(candidate)
}

/// The number of letters to insert, delete, replace or swap with their neighbour to turn `a` into `b`.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // cost[i][j] is the number of slips between the first i letters of `a` and the first j of `b`.
    let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            cost[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swapped = if swapped { cost[i - 2][j - 2] + 1 } else { usize::MAX };
                replaced.min(swapped).min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1)
            };
        }
    }
    cost[a.len()][b.len()]
}

/// What a value must be to stand where `example` stands, in words.
pub(super) fn expected(example: &Value) -> String {
    match example {
        Value::Integer(_) => "a whole number from 0 to 2^63 - 1".into(),
        Value::Float(_) => "a number, such as 1e-3".into(),
        Value::Boolean(_) => "true or false".into(),
        Value::Array(items) => match items.first() {
            Some(Value::Float(_)) if items.len() > 1 => format!("a list of {} numbers, such as [-10, 10]", items.len()),
            Some(Value::Float(_)) => "a list of numbers, such as [0.5, 0.1]".into(),
            Some(Value::String(_)) => "a list of layers, such as [\"dense 256\", \"relu\"]".into(),
            _ => "a list of whole numbers, such as [400] or [512, 256]".into(),
        },
        Value::Table(_) => {
            "a table of texts, such as { age = \"numeric\" }, or one entry of it, such as data.columns.age".into()
        }
        _ => "text".into(),
    }
}

/// Reads `text` as a value of the kind of `example`.
pub(super) fn parse(example: &Value, text: &str) -> Option<Value> {
    let text = text.trim();
    match example {
        Value::Integer(_) => text.replace('_', "").parse().ok().filter(|n| *n >= 0).map(Value::Integer),
        // All numbers of a configuration are single precision: rounding happens once, here.
        Value::Float(_) => text.replace('_', "").parse::<f32>().ok().map(|x| Value::Float(x.into())),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(items) => {
            let inner = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'))?.trim();
            let words: Vec<&str> = if inner.is_empty() { vec![] } else { inner.split(',').collect() };
            let element = element_kind(items);
            // Texts in a list may be written with quotation marks, as a file has them.
            let words = words.iter().map(|word| if element.is_str() { word.trim().trim_matches('"') } else { word });
            let values = words.map(|word| parse(&element, word)).collect::<Option<Vec<Value>>>()?;
            fits_length(items, values.len()).then_some(Value::Array(values))
        }
        Value::Table(_) => None,
        _ => Some(Value::String(text.to_owned())),
    }
}

/// Gives `value`, as a TOML file has it, the kind of `example`.
pub(super) fn conform(example: &Value, value: &Value) -> Option<Value> {
    match (example, value) {
        (Value::Integer(_), Value::Integer(n)) => (*n >= 0).then_some(Value::Integer(*n)),
        (Value::Float(_), Value::Integer(n)) => Some(Value::Float(*n as f64)),
        (Value::Float(_), Value::Float(_))
        | (Value::Boolean(_), Value::Boolean(_))
        | (Value::String(_), Value::String(_)) => Some(value.clone()),
        (Value::Table(_), Value::Table(names)) => names.values().all(Value::is_str).then(|| value.clone()),
        (Value::Array(items), Value::Array(values)) => {
            let element = element_kind(items);
            let values = values.iter().map(|value| conform(&element, value)).collect::<Option<Vec<Value>>>()?;
            fits_length(items, values.len()).then_some(Value::Array(values))
        }
        _ => None,
    }
}

/// Lists of which the default is empty are lists of widths, so whole numbers.
fn element_kind(items: &[Value]) -> Value {
    items.first().cloned().unwrap_or(Value::Integer(0))
}

/// A list of two numbers is a range and has its two ends; another list may have any length.
fn fits_length(example: &[Value], length: usize) -> bool {
    !(matches!(example.first(), Some(Value::Float(_))) && example.len() > 1) || length == example.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_count_insertions_deletions_replacements_and_swaps() {
        for (a, b, count) in [
            ("", "", 0),
            ("latent", "latent", 0),
            ("latnt", "latent", 1),
            ("latentt", "latent", 1),
            ("latemt", "latent", 1),
            ("latnet", "latent", 1),
            ("", "beta", 4),
            ("lr", "beta", 4),
        ] {
            assert_eq!(slips(a, b), count, "{a} {b}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let words = ["classic", "binary", "plane", "lr"];
        for (word, suggestion) in [
            ("clasic", Some("classic")),
            ("Plane", Some("plane")),
            ("binray", Some("binary")),
            ("xy", None),
            ("vq-vae", None),
        ] {
            assert_eq!(nearest(word, words), suggestion, "{word}");
        }
    }

    #[test]
    fn a_last_segment_counts_only_where_it_is_unique() {
        let keys = ["a.width".to_owned(), "b.width".into(), "b.depth".into()];
        assert_eq!(find(&keys, "depth").unwrap(), "b.depth");
        assert_eq!(find(&keys, "a.width").unwrap(), "a.width");
        let message = find(&keys, "width").unwrap_err();
        assert!(message.contains("ambiguous") && message.contains("a.width or b.width"), "{message}");
    }

    #[test]
    fn every_key_of_the_default_configuration_can_be_put_and_read_back() {
        let mut tree = defaults();
        let all = keys(&tree);
        assert_eq!(all.len(), 152);
        for key in all {
            put(&mut tree, &key, Value::String("here".into()));
            assert_eq!(get(&tree, &key).and_then(Value::as_str), Some("here"), "{key}");
        }
    }
}
