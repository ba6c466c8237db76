//! `elbo score`: which rows are anomalies, and which columns make them so. The higher a score, the more anomalous.

mod calibrate;
mod labels;
mod own;
mod show;

use super::{cells, files, open};
use crate::checkpoint::{Checkpoint, sweep};
use crate::cli::{ScoreArgs, Threshold};
use crate::config::{Condition, Config};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::tasks::Need;
use crate::report::human::count;
use crate::report::{Report, csv, scatter};
use crate::score::exemplars::Exemplars;
use crate::score::ranking::Ranking;
use crate::score::threshold::Rule;
use crate::score::{self, Contributions, MAX_SAMPLES, Method, PORTION, SAMPLES};
use crate::session::{Rows, Session};
use calibrate::Line;
use own::Own;
pub use show::{strange_rows, strangest};
use std::path::Path;
use std::time::Instant;

/// The quantile of held-out scores above which rows are flagged, unless something else is asked for.
const QUANTILE: f64 = 0.99;

/// Rows that were scored.
struct Scored {
    /// What they were taken from.
    data: Dataset,
    /// Their places there, in the order of the source.
    examples: Vec<u32>,
    /// The part that they are, in words.
    part: &'static str,
    method: Method,
    /// Whether the model is told the class of each row.
    conditional: bool,
    /// In nats; the higher, the more anomalous.
    scores: Vec<f64>,
}

/// Scores rows, flags those above the threshold, and says how well that tells known anomalies.
///
/// # Errors
/// Those of [`open::load`], [`open::dataset`] and [`calibrate::learn`]; [`Error::Usage`] for flags that make no sense.
pub fn run(args: &ScoreArgs, report: &Report) -> Result<()> {
    if let Some(path) = &args.out {
        files::format("--out ", path, &["csv"])?;
    }
    let rule = rule(args)?;
    let path = &sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(path, report)?;
    let samples = samples(args)?;
    let named = args.labels.as_deref().filter(|name| !name.is_empty());
    if let Some(name) = named {
        check_named(name, &checkpoint.config)?;
    }
    let (config, data) = open::dataset(&checkpoint, args.data.as_deref(), named, Some(&args.run), report)?;
    if let Some(path) = &args.out {
        let sources = open::sources(&[&checkpoint.config, &config]);
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        files::spare(path, &sources, Some(&open::folder_of(&args.run.run)))?;
    }
    let anomalous = args.labels.is_some().then(|| labels::anomalous(&data, args.normal.as_deref())).transpose()?;
    let mut session = Session::without_data(&checkpoint, open::device(&args.run, report)?)?;
    session.model.need(&[Need::Numbers, Need::NoCategories], "elbo score")?;
    let method = method(args, samples, &session)?;
    let mut own = Own::new(&checkpoint, args.data.is_none().then_some(&data));
    let exemplars = match method {
        Method::Exemplars => Some(exemplars(&mut session, &checkpoint, &args.run.run, &mut own, report)?),
        Method::Importance { .. } | Method::MeanField => None,
    };
    let by = (method, exemplars.as_ref().map(|(exemplars, _)| exemplars));
    let line = match args.threshold {
        Some(Threshold::None) => None,
        Some(Threshold::At(value)) => Some(Line::given(value)),
        None => Some(calibrate::learn(&mut session, &checkpoint, &args.run.run, &mut own, rule, by, report)?),
    };
    let scored = score_all(&mut session, data, args, by, report)?;
    let ranking = anomalous.map(|anomalous| ranking(&scored, &anomalous)).transpose()?;
    let columns = cells::names(&checkpoint.progress.data);
    if let Some(path) = &args.out {
        let parts = if args.features { Some(contributions(&mut session, &scored, by.1, report)?) } else { None };
        write(path, &scored, line.as_ref(), parts.as_deref(), &columns)?;
    }
    let strangest = strangest(&mut session, &scored.data, &scored.examples, &scored.scores, &columns)?;
    // A command that fails leaves nothing behind.
    if let Some((exemplars, true)) = &exemplars {
        keep(exemplars, &checkpoint, &args.run.run, report);
    }
    show::say(report, &scored, line.as_ref(), ranking, &strangest, args.out.as_deref());
    Ok(())
}

/// Refuses labels of anomalies in the place of the classes that a conditional model is told.
fn check_named(name: &str, config: &Config) -> Result<()> {
    match config.model.condition {
        Condition::None => Ok(()),
        Condition::Label | Condition::Inferred => Err(Error::Usage(format!(
            "--labels {name}: the model knows classes of rows (model.condition = {}), and these labels would be \
             taken for it; give --labels without a name to compare with the classes, or join --out with {name}",
            config.model.condition.word()
        ))),
    }
}

/// What makes the threshold of held-out scores.
fn rule(args: &ScoreArgs) -> Result<Rule> {
    let rule = match args.false_alarm_rate {
        Some(rate) => Rule::FalseAlarmRate(rate),
        None => Rule::Quantile(args.quantile.unwrap_or(QUANTILE)),
    };
    rule.check().map(|()| rule)
}

/// How many samples were asked for, if any were.
fn samples(args: &ScoreArgs) -> Result<Option<usize>> {
    match args.samples {
        Some(samples) if !(1..=MAX_SAMPLES).contains(&samples) => {
            Err(Error::Usage(format!("--samples {samples}: the estimate takes 1 to {MAX_SAMPLES} samples")))
        }
        asked => Ok(asked),
    }
}

/// How rows are scored: against training rows where they are rows of a table or of numbers, and nothing else is asked for.
fn method(args: &ScoreArgs, samples: Option<usize>, session: &Session) -> Result<Method> {
    let possible = Exemplars::check(&session.model, "--exemplars");
    if args.exemplars {
        return possible.map(|()| Method::Exemplars);
    }
    let rows = session.record.shape[..2] == [1, 1] && session.record.items.is_none();
    Ok(match samples {
        _ if args.mean_field => Method::MeanField,
        None if rows && possible.is_ok() => Method::Exemplars,
        asked => Method::Importance { samples: asked.unwrap_or(SAMPLES), seed: session.config.train.seed },
    })
}

/// The exemplars of a run, as its folder keeps them or from its own data, and whether they were learnt now.
fn exemplars(
    session: &mut Session,
    checkpoint: &Checkpoint,
    run: &Path,
    own: &mut Own,
    report: &Report,
) -> Result<(Exemplars, bool)> {
    const ADVICE: &str = "rows are compared with those of the training part: bring them back, or score by the model alone with --samples 128";
    if let Some(kept) = Exemplars::kept(&open::folder_of(run), checkpoint) {
        return Ok((kept, false));
    }
    Exemplars::of_training(session, own.get(ADVICE, report)?).map(|found| (found, true))
}

/// Keeps exemplars in the run's folder, where they were learnt now.
fn keep(exemplars: &Exemplars, checkpoint: &Checkpoint, run: &Path, report: &Report) {
    let folder = open::folder_of(run);
    match exemplars.save(&folder, checkpoint) {
        Ok(()) => report.note(&format!(
            "kept     {} training rows that others are compared with in {}",
            count(exemplars.len() as u64),
            folder.display()
        )),
        Err(error) => report.warn(&format!("the training rows are not kept for the next time: {error}")),
    }
}

/// Scores the rows that are asked for, in the order of the source, so that they can be put beside what they came from.
fn score_all(
    session: &mut Session,
    data: Dataset,
    args: &ScoreArgs,
    by: (Method, Option<&Exemplars>),
    report: &Report,
) -> Result<Scored> {
    let (part, name) = match args.part {
        Some(_) => open::part(&data, args.part)?,
        None => (0..data.len(), "whole"),
    };
    let mut examples: Vec<u32> = part.map(|i| i as u32).collect();
    examples.sort_by_key(|&i| data.row(i as usize));
    let scores = scores(session, &data, &examples, by, "score", report)?;
    let strange = scores.iter().filter(|score| !score.is_finite()).count();
    if strange > 0 {
        report.warn(&format!(
            "{} of {} rows are too far from what the model knows for single precision: their score is given as inf",
            count(strange as u64),
            count(scores.len() as u64)
        ));
    }
    Ok(Scored { data, examples, part: name, method: by.0, conditional: session.model.is_told_classes(), scores })
}

/// The scores of examples.
fn scores(
    session: &mut Session,
    data: &Dataset,
    examples: &[u32],
    (method, exemplars): (Method, Option<&Exemplars>),
    title: &str,
    report: &Report,
) -> Result<Vec<f64>> {
    let begun = Instant::now();
    report.begin(title, examples.len());
    let mut scores = Vec::with_capacity(examples.len());
    for part in examples.chunks(PORTION) {
        let before = scores.len();
        let (values, classes) = (data.examples(part)?, session.classes_of(data, part));
        let found =
            score::scores(session, Rows { values: &values, classes: &classes }, method, exemplars, &mut |done| {
                report.step(before + done, None, (before + done) as f64 / begun.elapsed().as_secs_f64());
            })?;
        scores.extend(found);
    }
    report.clear();
    Ok(scores)
}

/// The contributions of columns to the mean-field scores, or to those against exemplars.
fn contributions(
    session: &mut Session,
    scored: &Scored,
    exemplars: Option<&Exemplars>,
    report: &Report,
) -> Result<Vec<Contributions>> {
    report.begin("columns", scored.examples.len());
    let mut all = Vec::with_capacity(scored.examples.len());
    for part in scored.examples.chunks(PORTION) {
        let (values, classes) = (scored.data.examples(part)?, session.classes_of(&scored.data, part));
        let rows = Rows { values: &values, classes: &classes };
        let found = score::contributions(session, rows, exemplars, &mut |_| ())?;
        all.extend(found);
        report.advance(all.len() as u64);
    }
    report.clear();
    Ok(all)
}

fn ranking(scored: &Scored, anomalous: &[bool]) -> Result<Ranking> {
    let of_rows: Vec<bool> = scored.examples.iter().map(|&index| anomalous[index as usize]).collect();
    Ranking::of(&scored.scores, &of_rows).ok_or_else(|| {
        let what = if of_rows.contains(&true) { "an anomaly" } else { "normal" };
        Error::Data(format!(
            "{}: --labels says that every row is {what}, and it takes both to say how well scores tell them apart; \
             --normal says which class is normal",
            scored.data.name
        ))
    })
}

/// One row per row: where it stood, its label, its score, its flag, and the parts of its score at the posterior's mean.
fn write(
    path: &Path,
    scored: &Scored,
    line: Option<&Line>,
    parts: Option<&[Contributions]>,
    columns: &[String],
) -> Result<()> {
    let Scored { data, examples, scores, method, .. } = scored;
    // Against exemplars the parts add up to the score itself.
    let apart = *method != Method::Exemplars;
    let mut header = vec!["index".to_owned()];
    header.extend(data.labels.as_ref().map(|_| "label".to_owned()));
    header.push("score".into());
    header.extend(line.map(|_| "anomaly".to_owned()));
    if parts.is_some() {
        header.extend(apart.then(|| "mean_field".to_owned()));
        header.push("rate".into());
        header.extend(columns.iter().map(|name| format!("distortion.{name}")));
    }
    let row = |(at, &example): (usize, &u32)| {
        let mut cells = vec![data.row(example as usize).to_string()];
        let label = data.labels.as_ref().map(|labels| labels[example as usize]);
        cells.extend(label.map(|label| scatter::name(label, data.classes.as_deref())));
        cells.push(nats(scores[at]));
        cells.extend(line.map(|line| u8::from(line.flags(scores[at])).to_string()));
        if let Some(parts) = parts {
            cells.extend(apart.then(|| nats(parts[at].score())));
            cells.push(nats(parts[at].rate));
            cells.extend(parts[at].distortions.iter().map(|&distortion| nats(distortion)));
        }
        cells
    };
    csv::save(path, &header, examples.iter().enumerate().map(row))
}

/// A millionth of a nat is what single precision can say at best.
fn nats(value: f64) -> String {
    if value.is_nan() { "inf".into() } else { format!("{value:.6}") }
}
