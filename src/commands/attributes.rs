//! `elbo attributes`: the directions of attributes in latent space.

mod cuts;

use super::factors::{self, Factor};
use super::{files, open};
use crate::attributes::{
    Attribute, Attributes, FILE, Labelled, Learnt, Method, angle, balanced, learn, share_of_variance,
};
use crate::checkpoint::{Checkpoint, sweep};
use crate::cli::{AttributesArgs, Separate};
use crate::config::DataConfig;
use crate::data::{Dataset, Format, NO_LABEL, npz};
use crate::error::{Error, Result};
use crate::interop;
use crate::model::tasks::{ENCODE, Need};
use crate::report::human::{count, counted};
use crate::report::table::table;
use crate::report::{Report, npy};
use crate::rng::{Philox, Stream};
use crate::score::ranking::Ranking;
use crate::session::{BATCH, Posterior, Purpose};
use cuts::{Cut, cuts};
use rand::seq::SliceRandom;
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Examples that are learnt from where no number is asked for.
const COUNT: usize = 20_000;

/// The most attributes between which angles are printed.
const ANGLES: usize = 12;

/// The sequence of the host for this command.
const ORDER: u32 = 0x6174_7472;

/// Codes of examples, and the values that these have of columns.
struct Rows<'a> {
    examples: Vec<u32>,
    codes: Posterior,
    balance: &'a [&'a Factor],
}

/// Learns a direction for each attribute from the training part, says how well it tells held-out examples apart, and keeps all.
///
/// # Errors
/// Those of [`open::load`], [`open::dataset`] and [`open::layer`]; [`Error::Usage`] for columns that there are not and flags that make
/// no sense; [`Error::Data`] where examples tell nothing of an attribute; [`Error::Disk`] where nothing can be written.
pub fn run(args: &AttributesArgs, report: &Report) -> Result<()> {
    let method = method(args)?;
    if let Some(few) = args.count.filter(|&count| count < 2) {
        return Err(Error::Usage(format!("-n {few}: it takes examples with an attribute and without, 2 at least")));
    }
    if let Some(name) = args.label.iter().find(|name| args.balance.contains(name)) {
        return Err(Error::Usage(format!(
            "--balance {name}: in what is balanced both groups are alike, so --label {name} cannot tell them apart"
        )));
    }
    let out = args.out.as_deref().map(|path| files::format("--out ", path, &["json", "npy"])).transpose()?;
    let path = &sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(path, report)?;
    let model = interop::model(&checkpoint)?;
    model.need(&[Need::Numbers, Need::Values, Need::NoCategories], "elbo attributes")?;
    let array = array_of_labels(args, &checkpoint, model.is_told_classes() || model.infers_classes())?;
    let opened = open::dataset(&checkpoint, args.data.as_deref(), array, Some(&args.run), report)?;
    let config = opened.0.data.clone();
    let mut trained = open::with(&args.run, path, &checkpoint, opened, Purpose::task(ENCODE, BATCH), report)?;
    let (kept, matrix) = targets(args, out, &trained.folder);
    if args.out.is_some() {
        let own = trained.folder.join(FILE);
        let named = [Some(&kept), matrix.as_ref()].into_iter().flatten().filter(|&file| *file != own);
        named.into_iter().try_for_each(|file| trained.spare(file))?;
    }
    if let (Some(out), Some(factors)) = (&args.out, &args.factors) {
        files::spare_file(out, factors)?;
    }
    if matrix.is_some() && kept.exists() && Attributes::load(&kept).is_err() {
        return Err(Error::Usage(format!(
            "--out: {} would be written beside the matrix, and is something else: name another file",
            kept.display()
        )));
    }
    let session = &mut trained.session;
    let layer = open::layer(session, args.layer, 0)?;
    let mut all = columns(args, &config, session.data()?)?;
    factors::unordered(&mut all, args.kinds.as_deref())?;
    let balance: Vec<&Factor> = args.balance.iter().map(|name| one(&all, "--balance", name)).collect::<Result<_>>()?;
    let seed = args.seed.unwrap_or(session.config.train.seed);
    let ([training, held_out], part) = divided(session.data()?, args.count.unwrap_or(COUNT), seed);
    let mut encoded = |examples: Vec<u32>| -> Result<Rows> {
        let codes = session.encode_layers(&examples, seed)?.swap_remove(layer);
        Ok(Rows { examples, codes, balance: &balance })
    };
    let (training, held_out) = (encoded(training)?, encoded(held_out)?);
    let mut found = Vec::new();
    for column in all.iter().filter(|it| args.label.is_empty() || args.label.contains(&it.name)) {
        if balance.iter().any(|it| it.name == column.name) {
            continue;
        }
        let values = training.examples.iter().map(|&at| column.values[at as usize]);
        let cuts = cuts(column, values)?;
        if cuts.is_empty() {
            report.warn(&format!("{} has one value in the training part, and is left out", column.name));
        }
        for cut in cuts {
            found.push(attribute(column, cut, &training, &held_out, method)?);
        }
    }
    if found.is_empty() {
        return Err(Error::Data(format!("{}: there is no attribute that some examples have", session.record.name)));
    }
    let learnt = Attributes {
        model: checkpoint.parameters_hash(),
        step: trained.step,
        layer: layer + 1,
        method,
        balanced: args.balance.clone(),
        data: trained.session.record.name.clone(),
        attributes: found,
    };
    if let Some(matrix) = &matrix {
        let values: Vec<f32> =
            learnt.attributes.iter().flat_map(|it| it.direction.iter().map(|&value| value as f32)).collect();
        npy::save(matrix, &values, &[learnt.attributes.len(), training.codes.latent])?;
    }
    learnt.save(&kept)?;
    let made: Vec<PathBuf> = matrix.into_iter().chain([kept]).collect();
    say(&learnt, [&training, &held_out], part, &made, report);
    Ok(())
}

/// How directions are learnt, with what regularises it.
fn method(args: &AttributesArgs) -> Result<Method> {
    let range = |what: &str| {
        let penalty = args.penalty.unwrap_or_default();
        Err(Error::Usage(format!("--penalty {penalty}: {what}")))
    };
    match (args.method.unwrap_or_default(), args.penalty) {
        (Separate::Mean, None) => Ok(Method::Mean),
        (Separate::Mean, Some(_)) => range("it is for --method logistic and lda; a difference of means has none"),
        (Separate::Logistic, penalty) => match penalty.unwrap_or(1.0) {
            penalty if penalty.is_finite() && penalty > 0.0 => Ok(Method::Logistic(penalty)),
            _ => range("of --method logistic it is a finite number above 0"),
        },
        (Separate::Lda, penalty) => match penalty.unwrap_or(0.01) {
            penalty if (0.0..=1.0).contains(&penalty) => Ok(Method::Lda(penalty)),
            _ => range("of --method lda it is a share from 0 to 1"),
        },
    }
}

/// The array that is read in the place of the labels, where the examples are an array and another one has the attribute.
fn array_of_labels<'a>(
    args: &'a AttributesArgs,
    checkpoint: &Checkpoint,
    knows_classes: bool,
) -> Result<Option<&'a str>> {
    let ends = |name: &str, end: &str| Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case(end));
    let source = args.data.as_deref().unwrap_or(&checkpoint.config.data.source);
    match &args.label[..] {
        _ if args.factors.is_some() || !(ends(source, "npy") || ends(source, "npz")) => Ok(None),
        [] => Ok(None),
        [name] if *name == labels_name(&checkpoint.config.data) => Ok(None),
        [name] if knows_classes => Err(Error::Usage(format!(
            "--label {name}: the model knows classes, and an array of labels would be taken for them; name a file of columns by \
             --factors FILE"
        ))),
        [name] => {
            // Other data of a run need not have its labels; what is asked for by name has to be there.
            if ends(source, "npz") {
                let config = DataConfig { array: name.clone(), ..checkpoint.config.data.clone() };
                npz::array(Path::new(source), &config).map_err(|error| match error {
                    Error::Usage(why) => Error::Usage(why.replacen("data.array = ", "--label ", 1)),
                    error => error,
                })?;
            }
            Ok(Some(name))
        }
        _ => Err(Error::Usage(format!(
            "--label {}: of arrays one column at a time is read; several stand in a file: --factors FILE.csv or FILE.npy",
            args.label.join(",")
        ))),
    }
}

/// What the labels of data are called: as the column or array that holds them or, where none is named, `label`.
fn labels_name(config: &DataConfig) -> &str {
    if config.labels.is_empty() || config.labels == "none" { "label" } else { &config.labels }
}

/// Where the directions go, and a matrix of them where one is asked for.
fn targets(args: &AttributesArgs, format: Option<&str>, folder: &Path) -> (PathBuf, Option<PathBuf>) {
    match (&args.out, format) {
        (Some(path), Some("npy")) => (path.with_extension("json"), Some(path.clone())),
        (Some(path), _) => (path.clone(), None),
        (None, _) => (folder.join(FILE), None),
    }
}

/// All columns that are asked for, those that are to be alike among them.
fn columns(args: &AttributesArgs, config: &DataConfig, data: &Dataset) -> Result<Vec<Factor>> {
    let wanted: Vec<String> = args.label.iter().chain(&args.balance).cloned().collect();
    let known = match &args.factors {
        Some(file) => Some(factors::read(file, data, true)?),
        None => factors::drawn(data),
    };
    if let Some(known) = known {
        for name in &args.label {
            one(&known, "--label", name)?;
        }
        return Ok(known);
    }
    let name = labels_name(config);
    let labels = factors::labels(data, name);
    let others: Vec<String> = wanted.iter().filter(|it| labels.is_none() || *it != name).cloned().collect();
    let unnamed = args.label.is_empty();
    match (&labels, &others[..]) {
        (None, _) if unnamed => Err(Error::Usage(format!(
            "{}: there are no labels; name a column by --label COLUMN{}, or a file of columns by --factors FILE.csv or FILE.npy",
            data.name,
            if data.format == Format::Table { "" } else { " of a table" }
        ))),
        (_, [first, ..]) if data.format != Format::Table => Err(Error::Usage(format!(
            "{} {first}: {} has no columns but {}; others stand in a file: --factors FILE.csv or FILE.npy",
            if args.label.contains(first) { "--label" } else { "--balance" },
            data.name,
            if labels.is_some() { format!("its labels (`{name}`)") } else { "values of examples".into() }
        ))),
        (_, []) => Ok(labels.into_iter().collect()),
        _ => {
            let own = labels.into_iter().filter(|it| unnamed || wanted.contains(&it.name));
            Ok(own.chain(factors::columns(config, data, &others)?).collect())
        }
    }
}

/// The column of this name.
fn one<'a>(all: &'a [Factor], flag: &str, name: &str) -> Result<&'a Factor> {
    all.iter().find(|it| it.name == name).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
        Error::Usage(format!("{flag} {name}: there is no such column; there are {}", known.join(", ")))
    })
}

/// Examples to learn from, and others to test on: of the test or validation part or, where there are neither, a fifth of the
/// training part.
fn divided(data: &Dataset, most: usize, seed: u64) -> ([Vec<u32>; 2], &'static str) {
    let drawn = |part: &std::ops::Range<usize>, which: u32| {
        let mut examples: Vec<u32> = part.clone().map(|at| at as u32).collect();
        examples.shuffle(&mut Philox::new(seed, Stream::Choice, ORDER, which));
        examples.truncate(most);
        examples
    };
    let mut training = drawn(&data.train, 0);
    let parts = [(&data.test, "test"), (&data.validation, "validation")];
    if let Some((part, name)) = parts.into_iter().find(|(part, _)| !part.is_empty()) {
        return ([training, drawn(part, 1)], name);
    }
    let held_out = training.split_off(training.len() - training.len() / 5);
    ([training, held_out], "training")
}

/// The direction of an attribute, and what it is worth.
fn attribute(column: &Factor, cut: Cut, training: &Rows, held_out: &Rows, method: Method) -> Result<Attribute> {
    let about = |what: String| Error::Data(format!("attribute {}: {what}", cut.name));
    let known = training.of(column, &cut);
    let weights = if training.balance.is_empty() {
        vec![1.0; known.with.len()]
    } else {
        balanced(&known.with, &known.strata)
            .ok_or_else(|| about("no combination of the values of --balance has examples of both kinds".into()))?
    };
    let of = Labelled { codes: &known.codes, latent: training.codes.latent, with: &known.with, weights: &weights };
    let learnt = learn(of, method).map_err(|error| match error {
        Error::Data(what) => about(what),
        other => other,
    })?;
    let judged = judged(&learnt, &held_out.of(column, &cut), held_out.codes.latent);
    let with = known.with.iter().filter(|&&with| with).count();
    Ok(Attribute {
        length: learnt.direction.iter().map(|value| value * value).sum::<f64>().sqrt(),
        share_of_variance: share_of_variance(&training.codes.means, &learnt.direction),
        direction: learnt.direction,
        name: cut.name,
        with: cut.with,
        without: cut.without,
        rows: [known.with.len() - with, with],
        accuracy: judged.map(|it| it[0]),
        chance: judged.map(|it| it[1]),
        auroc: judged.map(|it| it[2]),
    })
}

/// Accuracy, what the more frequent kind alone would give, and AUROC; nothing where there is one kind only.
fn judged(learnt: &Learnt, known: &Known, latent: usize) -> Option<[f64; 3]> {
    let scores: Vec<f64> = known.codes.chunks_exact(latent).map(|code| learnt.score(code)).collect();
    let right = scores.iter().zip(&known.with).filter(|&(&score, &with)| (score > 0.0) == with).count();
    let ranking = Ranking::of(&scores, &known.with)?;
    let all = known.with.len() as f64;
    Some([right as f64 / all, ranking.anomalies.max(ranking.normal) as f64 / all, ranking.auroc])
}

/// Rows of which an attribute is known.
struct Known {
    codes: Vec<f32>,
    with: Vec<bool>,
    /// Which combination of the values of other columns each has.
    strata: Vec<u32>,
}

impl Rows<'_> {
    fn of(&self, column: &Factor, cut: &Cut) -> Known {
        let mut known = Known { codes: vec![], with: vec![], strata: vec![] };
        let mut places: HashMap<Vec<u32>, u32> = HashMap::new();
        for (at, &example) in self.examples.iter().enumerate() {
            let beside: Vec<u32> = self.balance.iter().map(|it| it.values[example as usize]).collect();
            let Some(with) = cut.has(column.values[example as usize]) else { continue };
            if beside.contains(&NO_LABEL) {
                continue;
            }
            let new = places.len() as u32;
            known.strata.push(*places.entry(beside).or_insert(new));
            known.codes.extend(self.codes.mean(at));
            known.with.push(with);
        }
        known
    }
}

fn say(learnt: &Attributes, rows: [&Rows; 2], part: &str, made: &[PathBuf], report: &Report) {
    let all = &learnt.attributes;
    let [training, held_out] = rows.map(|rows| rows.examples.len() as u64);
    report.note(&format!(
        "learnt   {} from {} of {}, tested on {} of the {part} part",
        counted(all.len() as u64, "direction"),
        counted(training, "example"),
        learnt.data,
        count(held_out)
    ));
    let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share));
    let line = |it: &Attribute| {
        let [without, with] = it.rows.map(|rows| rows as u64);
        let auroc = it.auroc.map_or("-".to_owned(), |value| format!("{value:.3}"));
        let kinds = format!("{} against {}", it.with, it.without);
        let rows = [count(with), count(without)];
        let shares = [percent(it.accuracy), percent(it.chance), auroc];
        let sizes = [format!("{:.3}", it.length), percent(Some(it.share_of_variance))];
        [vec![it.name.clone(), kinds], rows.to_vec(), shares.to_vec(), sizes.to_vec()].concat()
    };
    let header = ["attribute", "kinds", "with", "without", "accuracy", "chance", "AUROC", "length", "variance"];
    report.result(&table(&header, &all.iter().map(line).collect::<Vec<_>>()));
    let angles: Vec<Vec<f64>> =
        all.iter().map(|a| all.iter().map(|b| angle(&a.direction, &b.direction)).collect()).collect();
    if (2..=ANGLES).contains(&all.len()) {
        let names: Vec<&str> = std::iter::once("degrees").chain(all.iter().map(|it| it.name.as_str())).collect();
        let row = |(it, angles): (&Attribute, &Vec<f64>)| {
            std::iter::once(it.name.clone()).chain(angles.iter().map(|angle| format!("{angle:.0}"))).collect()
        };
        let lines: Vec<Vec<String>> = all.iter().zip(&angles).map(row).collect();
        report.result(&format!("\n{}", table(&names, &lines)));
    }
    let mut value = json!(learnt);
    value["examples"] = json!(training);
    value["held_out"] = json!({ "part": part, "examples": held_out });
    value["angles"] = json!(angles);
    value["files"] = json!(made);
    report.json(&value);
    for file in made {
        report.result(&file.display().to_string());
    }
}
