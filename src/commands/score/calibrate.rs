//! The threshold: given, kept from an earlier call, or learnt from held-out rows of the run's own data.

use super::own::Own;
use super::scores;
use crate::checkpoint::Checkpoint;
use crate::commands::open;
use crate::data::Dataset;
use crate::error::Result;
use crate::report::Report;
use crate::report::human::count;
use crate::score::Method;
use crate::score::exemplars::Exemplars;
use crate::score::threshold::{FILE, MadeFor, Rule, Threshold};
use crate::session::Session;
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;

/// What to do where the run's data are not there.
const ADVICE: &str =
    "the threshold is learnt from their held-out rows: bring them back, or give --threshold NATS or --threshold none";

/// The score above which a row is flagged, and where it comes from.
pub struct Line {
    value: f64,
    learnt: Option<(Threshold, bool)>,
}

impl Line {
    /// A threshold that was typed.
    pub fn given(value: f64) -> Self {
        Self { value, learnt: None }
    }

    /// Whether a row of this score is flagged.
    pub fn flags(&self, score: f64) -> bool {
        score > self.value
    }

    /// The threshold in nats.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Where it comes from, in words.
    pub fn source(&self) -> String {
        match &self.learnt {
            None => "as given".into(),
            Some((Threshold { rule, part, rows, .. }, kept)) => {
                let kept = if *kept { ", as kept with the run" } else { "" };
                format!("{} of {} {part} rows{kept}", rule.text(), count(*rows as u64))
            }
        }
    }

    /// The threshold and where it comes from as JSON, for programs.
    pub fn as_json(&self) -> Value {
        let Some((Threshold { rule, part, rows, .. }, kept)) = &self.learnt else {
            return json!({ "nats": self.value, "from": "given" });
        };
        let (name, number) = match rule {
            Rule::Quantile(q) => ("quantile", q),
            Rule::FalseAlarmRate(rate) => ("false_alarm_rate", rate),
        };
        json!({ "nats": self.value, "from": name, name: number, "part": part, "rows": rows, "kept": kept })
    }
}

/// The threshold of a rule, as the run keeps it or from the scores of rows of `own` that the model was not trained on.
///
/// # Errors
/// [`Error::Data`] where the run's own data cannot be read; [`Error::Usage`] where too few rows are held out for the rule;
/// [`Error::Diverged`] where a score is not finite. That the threshold cannot be kept is a warning.
pub fn learn(
    session: &mut Session,
    checkpoint: &Checkpoint,
    run: &Path,
    own: &mut Own,
    rule: Rule,
    (method, exemplars): (Method, Option<&Exemplars>),
    report: &Report,
) -> Result<Line> {
    let folder = open::folder_of(run);
    let made_for = MadeFor::new(checkpoint, method);
    let hash = &checkpoint.progress.data.hash;
    let kept = Threshold::load(&folder, rule, &made_for);
    if let Some(kept) = kept.clone().filter(|kept| kept.data == *hash) {
        return Ok(Line { value: kept.value, learnt: Some((kept, true)) });
    }
    let data = match own.get(ADVICE, report) {
        Ok(data) => data,
        // Older programs did not keep what they learnt from; without the data nothing better can be had.
        Err(error) => {
            return kept.filter(|kept| kept.data.is_empty()).map_or(Err(error), |kept| {
                report.warn("the threshold is one of an older elbo, which did not keep what data it was learnt from");
                Ok(Line { value: kept.value, learnt: Some((kept, true)) })
            });
        }
    };
    let (rows, part) = held_out(data);
    if part == "train" {
        report.warn(
            "the run set no rows aside, so the threshold comes from those that it was trained on: new normal rows will \
             score higher, and be flagged more often (`--set data.test=0.1` when training sets rows aside)",
        );
    }
    let examples: Vec<u32> = rows.map(|index| index as u32).collect();
    let held_out = scores(session, data, &examples, (method, exemplars), "held out", report)?;
    let value = rule.threshold(&held_out)?;
    let learnt = Threshold { value, rule, made_for, data: hash.clone(), part: part.to_owned(), rows: held_out.len() };
    match learnt.save(&folder) {
        Ok(()) => report.note(&format!("kept     the threshold in {}", folder.join(FILE).display())),
        Err(error) => report.warn(&format!("the threshold is not kept for the next time: {error}")),
    }
    Ok(Line { value, learnt: Some((learnt, false)) })
}

/// The rows that tell what is normal: any that were not trained on, if there are such.
fn held_out(data: &Dataset) -> (Range<usize>, &'static str) {
    let parts = [(&data.validation, "validation"), (&data.test, "test"), (&data.train, "train")];
    let found = parts.into_iter().find(|(range, _)| !range.is_empty());
    found.map_or((0..0, "train"), |(range, name)| (range.clone(), name))
}
