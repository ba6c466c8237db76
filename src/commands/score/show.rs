//! What is said about scores: the summary, and the strangest rows with the columns that make them so.

use super::Scored;
use super::calibrate::Line;
use crate::data::Dataset;
use crate::error::Result;
use crate::report::Report;
use crate::report::human::count;
use crate::report::table::table;
use crate::score::ranking::Ranking;
use crate::score::threshold::quantile;
use crate::score::{self, Contributions, Method};
use crate::session::{Rows, Session};
use serde_json::{Value, json};
use std::path::Path;

/// Rows that are shown.
const STRANGEST: usize = 5;

/// Columns that are shown of each.
const COLUMNS: usize = 3;

/// One of the strangest rows.
pub struct Strange {
    index: usize,
    score: f64,
    /// The columns that contribute most, and how much in nats.
    columns: Vec<(String, f64)>,
}

/// The rows of highest score, the strangest first; of equal ones those that come first. `examples` are places in the data, and
/// `columns` the names of what contributes to a score.
///
/// # Errors
/// Those of [`crate::score::contributions`].
pub fn strangest(
    session: &mut Session,
    data: &Dataset,
    examples: &[u32],
    scores: &[f64],
    columns: &[String],
) -> Result<Vec<Strange>> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    places.truncate(STRANGEST);
    let shown: Vec<u32> = places.iter().map(|&at| examples[at]).collect();
    let plain = |&at: &usize| Strange { index: data.row(examples[at] as usize), score: scores[at], columns: vec![] };
    if session.model.infers_classes() {
        // What a class that is only likely makes of a column is no part of the score.
        return Ok(places.iter().map(plain).collect());
    }
    let (values, classes) = (data.examples(&shown)?, session.classes_of(data, &shown));
    let all = score::contributions(session, Rows { values: &values, classes: &classes }, None, &mut |_| ())?;
    let strange = |(&at, parts): (&usize, Contributions)| {
        let parts = parts.distortions;
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by(|&a, &b| parts[b].total_cmp(&parts[a]));
        let columns = order.iter().take(COLUMNS).map(|&column| (columns[column].clone(), parts[column]));
        Strange { columns: columns.collect(), ..plain(&at) }
    };
    Ok(places.iter().zip(all).map(strange).collect())
}

/// Prints the summary, as text or as JSON.
pub fn say(
    report: &Report,
    scored: &Scored,
    line: Option<&Line>,
    ranking: Option<Ranking>,
    strangest: &[Strange],
    out: Option<&Path>,
) {
    let Scored { data, part, method, scores, conditional, .. } = scored;
    let (rows, name) = (scores.len(), &data.name);
    let how = match method {
        Method::Importance { samples, seed } => {
            format!("{}, {samples} samples, seed {seed}", method.name(*conditional))
        }
        Method::MeanField | Method::Exemplars => method.name(*conditional).to_owned(),
    };
    report.note(&format!("score    {how}; in nats, higher = more anomalous"));
    report.note(&format!("data     {name} ({part}): {} rows", count(rows as u64)));
    let mut sorted = scores.clone();
    sorted.sort_by(f64::total_cmp);
    let flagged = line.map(|line| scores.iter().filter(|&&score| line.flags(score)).count());
    report.result(&summary(&sorted, line.zip(flagged), ranking));
    report.result("");
    report.result(&table(&["row", "score", "columns that contribute most"], &strange_rows(strangest)));
    report.json(&as_json(scored, &sorted, line.zip(flagged), ranking, strangest, out));
    if let Some(path) = out {
        report.result("");
        report.result(&path.display().to_string());
    }
}

/// Places among the sorted scores that are shown.
const QUANTILES: [(&str, f64); 5] = [("least", 0.0), ("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("most", 1.0)];

fn summary(sorted: &[f64], line: Option<(&Line, usize)>, ranking: Option<Ranking>) -> String {
    let row = |name: &str, value: String, rest: String| vec![name.to_owned(), value, rest];
    let scores = QUANTILES.map(|(name, q)| format!("{name} {:.2}", quantile(sorted, q)));
    let mut all = vec![row("scores", sorted.len().to_string(), scores.join("  "))];
    if let Some((line, flagged)) = line {
        let share = 100.0 * flagged as f64 / sorted.len() as f64;
        all.push(row("threshold", format!("{:.2}", line.value()), line.source()));
        all.push(row("flagged", flagged.to_string(), format!("{share:.2} % of the rows score higher")));
    }
    if let Some(Ranking { anomalies, normal, auroc, average_precision, precision_at_n }) = ranking {
        let rest = format!("{anomalies} anomalies, {normal} normal rows");
        all.push(row("AUROC", format!("{auroc:.4}"), rest));
        all.push(row("average precision", format!("{average_precision:.4}"), String::new()));
        all.push(row("precision at n", format!("{precision_at_n:.4}"), format!("n = {anomalies}")));
    }
    table(&["", "nats", ""], &all)
}

/// Rows of a table: where each stood, its score, what contributes most to it.
pub fn strange_rows(strangest: &[Strange]) -> Vec<Vec<String>> {
    let columns = |row: &Strange| {
        let all: Vec<String> = row.columns.iter().map(|(name, nats)| format!("{name} {nats:.2}")).collect();
        all.join(", ")
    };
    strangest.iter().map(|row| vec![row.index.to_string(), format!("{:.2}", row.score), columns(row)]).collect()
}

fn as_json(
    scored: &Scored,
    sorted: &[f64],
    line: Option<(&Line, usize)>,
    ranking: Option<Ranking>,
    strangest: &[Strange],
    out: Option<&Path>,
) -> Value {
    let strange = |row: &Strange| {
        let columns: Vec<Value> =
            row.columns.iter().map(|(name, nats)| json!({ "column": name, "nats": nats })).collect();
        json!({ "index": row.index, "score": row.score, "columns": columns })
    };
    json!({
        "data": scored.data.name, "part": scored.part, "rows": sorted.len(), "score": scored.method,
        "higher_is": "more anomalous",
        "least": quantile(sorted, 0.0), "median": quantile(sorted, 0.5), "most": quantile(sorted, 1.0),
        "threshold": line.map(|(line, _)| line.as_json()), "flagged": line.map(|(_, flagged)| flagged),
        "ranking": ranking, "strangest": strangest.iter().map(strange).collect::<Vec<_>>(),
        "file": out,
    })
}
