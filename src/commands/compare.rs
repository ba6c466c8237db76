//! `elbo compare`: runs side by side, and beside what was published for the same data.

mod published;

use super::eval::{self, Measured};
use super::open;
use crate::cli::{CompareArgs, RunArgs};
use crate::config::keys::{get, keys, shown, tree};
use crate::config::{Condition, Config};
use crate::error::{Error, Result};
use crate::model::tasks::EVALUATE;
use crate::report::Report;
use crate::report::human::count;
use crate::report::table::table;
use crate::session::{BATCH, Purpose};
use published::{Metric, Published};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A run, evaluated.
struct Run {
    path: PathBuf,
    config: Config,
    /// Epochs that it was trained for.
    epoch: u32,
    /// The part of the data that it was evaluated on.
    part: &'static str,
    /// Hash and name of those data.
    hash: String,
    data: String,
    measured: Measured,
}

/// Evaluates several runs alike and says how their set-ups differ.
///
/// # Errors
/// Those of `elbo eval` for the first run that cannot be evaluated; [`Error::Diverged`] names the run.
pub fn run(args: &CompareArgs, report: &Report) -> Result<()> {
    eval::check_samples(args.samples)?;
    let runs = args.runs.iter().map(|path| evaluate(path, args, report)).collect::<Result<Vec<Run>>>()?;
    let results = published::all();
    let results: Vec<&Published> = results.iter().filter(|result| runs.iter().any(|run| fits(result, run))).collect();
    report.result(&figures(&runs, &results));
    let settings = differences(&runs);
    if !settings.is_empty() {
        let names = runs.iter().map(|run| run.path.display().to_string());
        let header: Vec<String> = std::iter::once("differs".to_owned()).chain(names).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let rows = settings.iter().map(|(key, values)| [std::slice::from_ref(key), values].concat());
        report.result(&format!("\n{}", table(&header, &rows.collect::<Vec<_>>())));
    }
    for result in &results {
        report.result(&format!("\n{}", beside(result, &runs)));
    }
    warn(&runs, report);
    report.json(&as_json(&runs, &settings, &results));
    Ok(())
}

fn evaluate(path: &Path, args: &CompareArgs, report: &Report) -> Result<Run> {
    let CompareArgs { adapter, threads, quiet, json, .. } = args.clone();
    let opened = RunArgs { run: path.to_owned(), adapter, threads, unknown: None, missing: vec![], quiet, json };
    let mut trained = open::with_data(&opened, args.examples.data.as_deref(), Purpose::task(EVALUATE, BATCH), report)?;
    let session = &mut trained.session;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let hash = session.data()?.hash.clone();
    let measured =
        eval::measure(session, part, args.samples, args.seed.unwrap_or(0), report).map_err(|error| match error {
            Error::Diverged(why) => Error::Diverged(format!("{}: {why}", path.display())),
            error => error,
        })?;
    let data = session.record.name.clone();
    let config = session.config.clone();
    Ok(Run { path: path.to_owned(), config, epoch: trained.epoch, part: name, hash, data, measured })
}

/// Whether a published result is about the same test data, presented and modelled so that figures mean the same.
fn fits(result: &Published, run: &Run) -> bool {
    let same = |key: &str| get(&result.set, key) == get(&tree(&run.config), key);
    let told = run.config.model.condition != Condition::None;
    result.hash == run.hash
        && run.part == "test"
        && !told
        && ["model.likelihood", "data.binarise"].into_iter().all(same)
}

/// A line for each run, and one for each published result.
fn figures(runs: &[Run], results: &[&Published]) -> String {
    let sampled = runs.iter().any(|run| run.measured.likelihood.is_some());
    let levels = runs.iter().any(|run| run.measured.discrete.is_some());
    let nats = |value: f64| format!("{value:.2}");
    let mut rows = Vec::new();
    for Run { path, config, data, measured, .. } in runs {
        let Measured { summary, likelihood, .. } = measured;
        let mut row = vec![
            path.display().to_string(),
            config.name.clone(),
            data.clone(),
            count(summary.examples as u64),
            nats(summary.terms.distortion),
            nats(summary.terms.rate),
            nats(summary.terms.neg_elbo()),
            nats(summary.standard_error),
            summary.layers.iter().map(|layer| layer.active.to_string()).collect::<Vec<_>>().join("+"),
        ];
        if let Some(likelihood) = likelihood {
            row.extend([nats(likelihood.neg_log_px), nats(likelihood.standard_error)]);
        }
        if levels {
            row.push(measured.bits(summary.terms.neg_elbo()).map_or(String::new(), |bits| format!("{bits:.4}")));
        }
        rows.push(row);
    }
    for result in results {
        let mut row = vec![result.model.clone(), "published".into(), result.data.clone()];
        row.resize(if result.metric == Metric::NegElbo { 6 } else { 9 }, String::new());
        if result.metric == Metric::NegElbo || sampled {
            row.push(result.range());
        }
        rows.push(row);
    }
    let mut header = vec!["run", "recipe", "data", "examples", "distortion", "rate", "-ELBO", "±", "active"];
    if sampled {
        header.extend(["-log p(x)", "±"]);
    }
    if levels {
        header.push("bits/dim");
    }
    table(&header, &rows)
}

/// The keys in which runs differ, with the value of each; where a run keeps its data is no difference, only what they
/// are.
fn differences(runs: &[Run]) -> Vec<(String, Vec<String>)> {
    let trees: Vec<toml::Table> = runs.iter().map(|run| tree(&run.config)).collect();
    let Some(first) = trees.first() else { return vec![] };
    let at = |tree: &toml::Table, key: &str| get(tree, key).map_or(String::new(), shown);
    keys(first)
        .into_iter()
        .filter(|key| !matches!(key.as_str(), "name" | "data.source" | "data.labels"))
        .map(|key| (key.clone(), trees.iter().map(|tree| at(tree, &key)).collect::<Vec<_>>()))
        .filter(|(_, values)| values.iter().any(|value| *value != values[0]))
        .collect()
}

/// A published result in words, and what the runs that it fits do otherwise.
fn beside(result: &Published, runs: &[Run]) -> String {
    let metric = match result.metric {
        Metric::NegElbo => "-ELBO".to_owned(),
        Metric::NegLogPx => format!("-log p(x), {} samples,", count(result.samples.unwrap_or(1) as u64)),
    };
    let mut lines =
        vec![format!("{}: {metric} {} nats ({}; {})", result.model, result.range(), result.source, result.note)];
    for run in runs.iter().filter(|run| fits(result, run)) {
        let differs: Vec<String> = otherwise(result, run)
            .iter()
            .map(|(key, ours, theirs)| format!("{key} {ours} instead of {theirs}"))
            .collect();
        let text = if differs.is_empty() { "no setting differs".to_owned() } else { differs.join(", ") };
        lines.push(format!("  {}: {text}", run.path.display()));
    }
    lines.join("\n")
}

/// What differs between a run and a published result: key, the run's value, the published one. Where the result says
/// nothing of a setting that decides what is learnt, its authors did nothing out of the ordinary.
fn otherwise(result: &Published, run: &Run) -> Vec<(String, String, String)> {
    let (tree, usual) = (tree(&run.config), tree(&Config::default()));
    let learnt = |key: &String| {
        ["model.", "objective.", "optimizer.", "schedule."].iter().any(|table| key.starts_with(table))
            || get(&result.set, key).is_some()
    };
    let differs = |key: String| {
        let (ours, theirs) = (get(&tree, &key)?, get(&result.set, &key).or_else(|| get(&usual, &key))?);
        (!published::same(ours, theirs)).then(|| (key, shown(ours), shown(theirs)))
    };
    let mut all: Vec<_> = keys(&tree).into_iter().filter(learnt).filter_map(differs).collect();
    if run.epoch as usize != run.config.train.epochs {
        all.push(("epochs so far".into(), run.epoch.to_string(), run.config.train.epochs.to_string()));
    }
    let ours = run.measured.likelihood.map(|likelihood| likelihood.samples);
    if let (Some(ours), Some(theirs)) = (ours, result.samples.filter(|&theirs| Some(theirs) != ours)) {
        all.push(("samples of -log p(x)".into(), ours.to_string(), theirs.to_string()));
    }
    all
}

fn warn(runs: &[Run], report: &Report) {
    let Some(first) = runs.first() else { return };
    if let Some(other) = runs.iter().find(|run| run.hash != first.hash) {
        report.warn(&format!(
            "{} and {} were evaluated on different data, so their figures cannot be compared; --data SRC takes one for all",
            first.path.display(),
            other.path.display()
        ));
    }
    let kind = |run: &Run| (run.config.model.likelihood, run.config.data.binarise, run.config.model.condition);
    if let Some(other) = runs.iter().find(|run| kind(run) != kind(first)) {
        report.warn(&format!(
            "{} and {} have other likelihoods, present the data otherwise, or one is told the classes, so their nats are not the \
             same thing",
            first.path.display(),
            other.path.display()
        ));
    }
    if runs.iter().any(|run| !run.measured.exact) {
        report.note(eval::GREY);
    }
}

fn as_json(runs: &[Run], settings: &[(String, Vec<String>)], results: &[&Published]) -> Value {
    let as_json = |run: &Run| {
        let mut value = run.measured.as_json();
        value["run"] = json!(run.path);
        value["recipe"] = json!(run.config.name);
        value["epoch"] = json!(run.epoch);
        value["data"] = json!(run.data);
        value["part"] = json!(run.part);
        value["data_hash"] = json!(run.hash);
        value
    };
    let published = |result: &&Published| {
        let differs = runs.iter().filter(|run| fits(result, run)).map(|run| {
            let keys = otherwise(result, run);
            let keys = keys.iter().map(|(key, ours, theirs)| json!({ "key": key, "run": ours, "published": theirs }));
            json!({ "run": run.path, "differs": keys.collect::<Vec<_>>() })
        });
        json!({
            "model": result.model, "source": result.source, "metric": result.metric.name(), "samples": result.samples,
            "least": result.least, "most": result.most, "note": result.note, "runs": differs.collect::<Vec<_>>(),
        })
    };
    json!({
        "runs": runs.iter().map(as_json).collect::<Vec<_>>(),
        "differs": settings.iter().map(|(key, values)| json!({ "key": key, "values": values })).collect::<Vec<_>>(),
        "published": results.iter().map(published).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::eval::{Aggregate, Layer, Summary, Terms};

    fn run(path: &str, config: Config, hash: &str) -> Run {
        let aggregate = Aggregate { mean: vec![0.0], covariance: vec![1.0], spread: vec![0.5], mmd: 0.0, draws: 1 };
        let layers = vec![Layer { latent: 1, rate: 25.5, active: 1 }];
        let terms = Terms { distortion: 80.0, rate: 25.5 };
        let summary = Summary {
            examples: 10,
            terms,
            standard_error: 0.3,
            rates: Some(vec![25.5]),
            active: 1,
            aggregate,
            layers,
            codes: None,
        };
        let (condition, scaled) = (Condition::None, false);
        let measured = Measured {
            summary,
            likelihood: None,
            accuracy: None,
            exact: false,
            density: false,
            condition,
            discrete: None,
            values: 784.0,
            learned: None,
            scaled,
            partition: None,
            text: None,
        };
        let (epoch, hash) = (config.train.epochs as u32, hash.into());
        Run { path: path.into(), config, epoch, part: "test", hash, data: "mnist".into(), measured }
    }

    #[test]
    fn runs_are_put_beside_what_was_published_for_the_same_data_and_likelihood() {
        let all = published::all();
        let (pytorch, burda) = (&all[0], &all[1]);
        let classic = run("a", Config::default(), &pytorch.hash);
        assert!(fits(pytorch, &classic) && !fits(burda, &classic), "grey values are another measure than binary ones");
        assert!(!fits(pytorch, &run("b", Config::default(), "other")), "other data");
        assert!(!fits(pytorch, &Run { part: "train", ..run("b", Config::default(), &pytorch.hash) }), "no test");
        assert_eq!(otherwise(pytorch, &classic), []);
        let mut annealed = Config::default();
        annealed.objective.anneal = config::Anneal::Linear;
        let begun = Run { epoch: 1, ..run("c", annealed, &pytorch.hash) };
        let differs: Vec<String> = otherwise(pytorch, &begun).into_iter().map(|(key, ..)| key).collect();
        assert_eq!(differs, ["objective.anneal", "epochs so far"]);
        let mut wider = Config::default();
        (wider.model.hidden, wider.train.batch, wider.optimizer.lr) = (vec![500], 64, 5e-4);
        let wider = run("b", wider, &pytorch.hash);
        let text = beside(pytorch, &[classic, wider]);
        assert!(text.contains("105.56 to 105.59 nats") && text.contains("  a: no setting differs"), "{text}");
        assert!(
            text.contains("  b: model.hidden [500] instead of [400], optimizer.lr 0.0005 instead of 0.001"),
            "{text}"
        );
    }

    #[test]
    fn settings_that_differ_are_named_with_both_values() {
        let mut other = Config::default();
        (other.objective.beta, other.data.source) = (4.0, "elsewhere".into());
        let runs = [run("a", Config::default(), "x"), run("b", other, "x")];
        assert_eq!(differences(&runs), [("objective.beta".to_owned(), vec!["1".to_owned(), "4".to_owned()])]);
        assert_eq!(differences(&runs[..1]), []);
        let text = figures(&runs, &[&published::all()[0]]);
        assert!(text.lines().count() == 4 && text.contains("105.50"), "{text}");
        assert!(
            text.lines().last().is_some_and(|line| line.contains("published") && line.contains("105.56")),
            "{text}"
        );
    }

    #[test]
    fn every_published_setting_is_one_of_the_program() {
        let all = published::all();
        assert!(all.len() >= 4);
        let today = keys(&tree(&Config::default()));
        for result in &all {
            // A key by the name that it had would be taken for one of which the result says nothing.
            let old = keys(&result.set).into_iter().find(|key| !today.contains(key));
            assert_eq!(old, None, "{}", result.model);
            assert!(!result.hash.is_empty(), "{}: its data have no hash", result.model);
            // A curve alone does not say after which epochs it changes.
            let text = |value: &toml::Value| value.as_str().map_or(value.to_string(), ToOwned::to_owned);
            let typed: Vec<(String, String)> = keys(&result.set)
                .into_iter()
                .filter(|key| key != "schedule.curve")
                .map(|key| (key.clone(), get(&result.set, &key).map(text).unwrap_or_default()))
                .collect();
            config::resolve(None, &typed).unwrap_or_else(|error| panic!("{}: {error}", result.model));
        }
    }
}
