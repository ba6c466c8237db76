//! Several configurations that differ so little that their models can train side by side.

use toml::Value;

use super::{Config, keys, resolve};
use crate::error::{Error, Result};

/// The keys that members of a sweep may differ in: those that change neither data nor shapes nor what is compiled.
pub const SWEPT: [&str; 6] = [
    "train.seed",
    "optimizer.lr",
    "objective.beta",
    "objective.commitment",
    "model.init",
    "model.output_bias_from_data",
];

/// The most members of a sweep: what each is told of a step, 80 bytes, must fit a uniform binding of 64 KiB.
pub const MAX_MEMBERS: usize = 800;

/// Models that train side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The keys for which a list was given, in full.
    pub varied: Vec<String>,
    /// One configuration per member: every combination of the lists, the last list changing fastest.
    pub members: Vec<Config>,
}

/// [`resolve`] for settings of which some are lists, as in `beta=[1,4]`. Without any list there is one member, and
/// `varied` is empty. `seeds` is one more list, of the seed: `0,3,7`, or a number of seeds that follow on the
/// configured one.
///
/// # Errors
/// [`Error::Usage`], naming the key that cannot have a list, or that has a value twice.
pub fn sweep(recipe: Option<&str>, overrides: &[(String, String)], seeds: Option<&str>) -> Result<Sweep> {
    let mut settings = overrides.to_vec();
    if let Some(seeds) = seeds {
        let list = seed_list(recipe, &mut settings, seeds)?;
        settings.push(("train.seed".into(), list));
    }
    let mut varied: Vec<String> = Vec::new();
    let mut combinations: Vec<Vec<(String, String)>> = vec![vec![]];
    for (typed, text) in settings {
        let values = match list(&typed, &text)? {
            Some((key, values)) => {
                varied.push(key);
                values
            }
            None => vec![text],
        };
        let longer = |start: Vec<(String, String)>| {
            let typed = &typed;
            values.iter().map(move |value| [&start[..], &[(typed.clone(), value.clone())]].concat()).collect::<Vec<_>>()
        };
        if combinations.len() * values.len() > MAX_MEMBERS {
            return Err(Error::Usage(format!(
                "the lists make more than {MAX_MEMBERS} members, which is the most that train side by side: shorten them"
            )));
        }
        combinations = combinations.into_iter().flat_map(longer).collect();
    }
    let members = combinations.iter().map(|settings| resolve(recipe, settings)).collect::<Result<_>>()?;
    Ok(Sweep { varied, members })
}

/// Checks that models with these configurations can train side by side.
///
/// # Errors
/// [`Error::Usage`], naming the first key that differs though it may not.
pub fn check_members(members: &[Config]) -> Result<()> {
    let Some((first, others)) = members.split_first() else { return Ok(()) };
    let tree = keys::tree(first);
    for other in others.iter().map(keys::tree) {
        let differs = |key: &&String| keys::get(&tree, key) != keys::get(&other, key);
        let mut wrong = keys::keys(&tree).into_iter().filter(|key| !SWEPT.contains(&key.as_str()));
        if let Some(key) = wrong.find(|key| differs(&key)) {
            let [here, there] =
                [&tree, &other].map(|tree| keys::get(tree, &key).map_or(String::new(), Value::to_string));
            return Err(Error::Usage(format!("members differ in {key} ({here} and {there}); {}", which_may())));
        }
    }
    Ok(())
}

/// The value of one of the [`SWEPT`] keys, as it would be typed.
pub fn value(config: &Config, key: &str) -> String {
    match keys::get(&keys::tree(config), key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => keys::shown(value),
        None => String::new(),
    }
}

/// The values of a list for a key that takes single values, and the key in full; nothing where the text is no list, or
/// a list is what the key takes.
fn list(typed: &str, text: &str) -> Result<Option<(String, Vec<String>)>> {
    let tree = keys::defaults();
    // A key that does not exist is for `resolve` to explain.
    let Ok(key) = keys::find(&keys::keys(&tree), typed) else { return Ok(None) };
    let Some(example) = keys::get(&tree, &key).filter(|example| !example.is_array()) else { return Ok(None) };
    let Some(inner) = text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return Ok(None) };
    let refuse = |problem: String| Err(Error::Usage(format!("setting {typed}={text}: {problem}")));
    if !SWEPT.contains(&key.as_str()) {
        return refuse(format!("{key} takes one value, not a list; {}", which_may()));
    }
    let values: Vec<String> = inner.split(',').map(|value| value.trim().to_owned()).collect();
    let parsed: Vec<Option<Value>> = values.iter().map(|value| keys::parse(example, value)).collect();
    if let Some(wrong) = parsed.iter().position(Option::is_none) {
        let expected = keys::expected(example);
        return refuse(format!("{key}: {:?} in the list is not {expected}", values[wrong]));
    }
    match (0..parsed.len()).find(|&at| parsed[..at].contains(&parsed[at])) {
        Some(at) => refuse(format!("{key} has {} twice; two members would be the same", values[at])),
        None => Ok(Some((key, values))),
    }
}

/// The list that `--seeds` stands for. Where it is a number of seeds, the configured seed, on which they follow, is
/// taken out of the settings.
fn seed_list(recipe: Option<&str>, settings: &mut Vec<(String, String)>, seeds: &str) -> Result<String> {
    if seeds.contains(',') {
        return Ok(format!("[{}]", seeds.trim_end_matches(',')));
    }
    let count = seeds.trim().parse::<usize>().ok().filter(|count| (1..=MAX_MEMBERS).contains(count));
    let Some(count) = count else {
        return Err(Error::Usage(format!(
            "--seeds {seeds}: expected a number of seeds from 1 to {MAX_MEMBERS}, such as 8, or a list, such as 0,3,7"
        )));
    };
    let all = keys::keys(&keys::defaults());
    let is_seed = |(key, _): &(String, String)| keys::find(&all, key).is_ok_and(|key| key == "train.seed");
    let (given, rest): (Vec<_>, Vec<_>) = settings.drain(..).partition(is_seed);
    *settings = rest;
    let first = resolve(recipe, &given)?.train.seed;
    let list: Vec<String> = (first..).take(count).map(|seed| seed.to_string()).collect();
    Ok(format!("[{}]", list.join(",")))
}

fn which_may() -> String {
    format!("models that train side by side may differ in {}", SWEPT.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(settings: &str) -> Vec<(String, String)> {
        let split = |setting: &str| setting.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        settings.split_whitespace().filter_map(split).collect()
    }

    #[test]
    fn without_a_list_there_is_one_member() {
        let found = sweep(None, &pairs("seed=3 hidden=[64,32] log_variance=[-6,2]"), None).unwrap();
        assert_eq!(found.varied, [""; 0]);
        assert_eq!(found.members, [resolve(None, &pairs("seed=3 hidden=[64,32] log_variance=[-6,2]")).unwrap()]);
    }

    #[test]
    fn lists_are_combined_with_the_last_one_fastest() {
        let found = sweep(None, &pairs("beta=[1,4] lr=1e-4 latent=2"), Some("3")).unwrap();
        assert_eq!(found.varied, ["objective.beta", "train.seed"]);
        let members: Vec<_> = found.members.iter().map(|c| (c.objective.beta, c.train.seed)).collect();
        assert_eq!(members, [(1.0, 0), (1.0, 1), (1.0, 2), (4.0, 0), (4.0, 1), (4.0, 2)]);
        assert!(found.members.iter().all(|c| c.optimizer.lr == 1e-4 && c.model.latent == 2));
        assert_eq!(check_members(&found.members), Ok(()));
    }

    #[test]
    fn seeds_are_a_number_from_the_configured_one_on_or_a_list() {
        for (settings, seeds, expected) in [
            ("", "3", vec![0, 1, 2]),
            ("seed=7", "2", vec![7, 8]),
            ("", "1", vec![0]),
            ("", "0,3,7", vec![0, 3, 7]),
            ("", "9,", vec![9]),
        ] {
            let found = sweep(None, &pairs(settings), Some(seeds)).unwrap();
            let members: Vec<u64> = found.members.iter().map(|config| config.train.seed).collect();
            assert_eq!((found.varied, members), (vec!["train.seed".to_owned()], expected), "{settings} {seeds}");
        }
    }

    #[test]
    fn every_key_that_may_vary_leaves_the_rest_alone_and_can_be_shown() {
        for (key, values) in [
            ("train.seed", ["1", "2"]),
            ("optimizer.lr", ["0.001", "0.0003"]),
            ("objective.beta", ["1", "0.5"]),
            ("model.init", ["pytorch", "glorot"]),
            ("model.output_bias_from_data", ["true", "false"]),
        ] {
            assert!(SWEPT.contains(&key));
            let found = sweep(None, &pairs(&format!("{key}=[{}]", values.join(","))), None).unwrap();
            assert_eq!(found.members.iter().map(|config| value(config, key)).collect::<Vec<_>>(), values, "{key}");
            assert_eq!(check_members(&found.members), Ok(()));
        }
    }

    #[test]
    fn what_cannot_be_a_sweep_is_refused_by_its_key() {
        for (settings, seeds, words) in [
            ("latent=[2,10]", None, ["model.latent takes one value", "train.seed, optimizer.lr"]),
            ("data.source=[a,b]", None, ["data.source takes one value", "not a list"]),
            ("beta1=[0.5,0.9]", None, ["optimizer.beta1 takes one value", "not a list"]),
            ("epochs=[1,2]", None, ["train.epochs takes one value", "not a list"]),
            ("beta=[1,1.0]", None, ["objective.beta has 1.0 twice", "the same"]),
            ("beta=[1,fast]", None, ["objective.beta", "\"fast\""]),
            ("beta=[]", None, ["objective.beta", "\"\""]),
            ("beta=[1,-1]", None, ["objective.beta", "-1"]),
            ("init=[glorot,kaiming]", None, ["model.init", "kaiming"]),
            ("", Some("0"), ["--seeds 0", "from 1"]),
            ("", Some("-1"), ["--seeds -1", "from 1"]),
            ("", Some("many"), ["--seeds many", "0,3,7"]),
            ("", Some("1,1"), ["train.seed has 1 twice", "the same"]),
            ("seed=3", Some("0,1"), ["train.seed is set twice", "once"]),
            ("seed=[0,1]", Some("0,1"), ["train.seed is set twice", "once"]),
            ("seed=[0,1]", Some("4"), ["train.seed", "whole number"]),
            ("beta=[1,2]", Some("700"), ["more than 800 members", "shorten"]),
            ("betta=[1,2]", None, ["betta", "did you mean"]),
        ] {
            let error = sweep(None, &pairs(settings), seeds).expect_err(settings);
            let text = error.to_string();
            assert!(error.exit_code() == 2 && words.iter().all(|word| text.contains(word)), "{settings}: {text}");
        }
    }

    #[test]
    fn members_that_differ_in_anything_else_are_refused() {
        let mut members = sweep(None, &[], Some("3")).unwrap().members;
        members[2].train.epochs = 99;
        let error = check_members(&members).unwrap_err().to_string();
        assert!(error.contains("train.epochs (10 and 99)"), "{error}");
    }
}
