//! What `elbo sample --compare` says of the rows that were drawn.

use super::super::cells::{cells, names};
use crate::checkpoint::DataRecord;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::fidelity::{Beside, Compared, Fidelity, Table, compare};
use crate::report::Report;
use crate::report::human::count;
use crate::report::table::table;
use serde_json::{Value, json};
use std::ops::Range;

/// The most rows of a part that are looked at.
const MAX_TRAINING: usize = 20_000;
const MAX_HELD_OUT: usize = 5000;

/// Columns that are shown: those that differ most.
const SHOWN: usize = 12;

/// Compares rows [n, D], in the units of the model, with those of the data, prints what differs, and gives it for programs.
///
/// # Errors
/// [`Error::Data`] where the data cannot be read; [`Error::Usage`] where there is too little to compare.
pub fn say(rows: &[f32], data: &Dataset, record: &DataRecord, seed: u64, report: &Report) -> Result<Value> {
    let drawn = cells(record, rows);
    if drawn.rows() < 10 {
        return Err(Error::Usage(format!(
            "--compare: {} rows say nothing of a distribution; draw more by -n",
            drawn.rows()
        )));
    }
    let part = |range: &Range<usize>, most: usize| -> Result<Option<Table>> {
        let taken = range.len().min(most);
        // Spread evenly, so that sorted data show all of their kinds.
        let chosen: Vec<u32> = (0..taken).map(|i| (range.start + i * range.len() / taken) as u32).collect();
        if taken == 0 { Ok(None) } else { data.examples(&chosen).map(|rows| Some(cells(record, &rows))) }
    };
    let train = part(&data.train, MAX_TRAINING)?.ok_or_else(|| Error::Data(format!("{}: no rows", data.name)))?;
    let (held_out, name) = match part(&data.test, MAX_HELD_OUT)? {
        Some(test) => (Some(test), "test"),
        None => (part(&data.validation, MAX_HELD_OUT)?, "validation"),
    };
    let found = compare(Compared { drawn: &drawn, train: &train, held_out: held_out.as_ref() }, seed);
    let names = names(record);
    report.result(&figures(&found, held_out.as_ref(), name));
    report.result(&format!("\n{}", columns(&found, &names)));
    let marginals =
        names.iter().zip(&found.marginals).map(|(name, found)| json!({ "column": name, "distance": found }));
    let mut value = json!(found);
    value["marginals"] = marginals.collect();
    value["rows"] = json!({ "drawn": drawn.rows(), "train": train.rows(), "held_out": held_out.map(|it| it.rows()) });
    Ok(value)
}

fn figures(found: &Fidelity, held_out: Option<&Table>, name: &str) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let plain = |figure: f64| format!("{figure:.4}");
    let row = |what: &str, of: Beside, words: &dyn Fn(f64) -> String, note: &str| {
        vec![what.to_owned(), words(of.drawn), of.held_out.map_or("-".into(), words), note.to_owned()]
    };
    let mean = |of: &dyn Fn(&Beside) -> Option<f64>| {
        let all: Option<Vec<f64>> = found.marginals.iter().map(of).collect();
        all.map(|all| all.iter().sum::<f64>() / all.len().max(1) as f64)
    };
    let marginals = Beside { drawn: mean(&|of| Some(of.drawn)).unwrap_or(f64::NAN), held_out: mean(&|of| of.held_out) };
    let mut rows = vec![row("marginals", marginals, &plain, "mean over columns, 0 to 1")];
    if let (Some(correlations), Some(largest)) = (found.correlations, found.largest_correlation) {
        rows.push(row("correlations", correlations, &plain, "mean difference over pairs of columns"));
        rows.push(row("largest", largest, &plain, "largest difference"));
    }
    if let (Some(copies), Some(nearest)) = (found.copies, found.nearest) {
        rows.push(row("copies", copies, &percent, "the same as a training row"));
        rows.push(row("nearest", nearest, &plain, "median distance to the nearest training row, deviations"));
    }
    let test = found.classifier;
    let told = format!(
        "drawn and {} rows told apart, {} each; 50 % ± {:.2} is chance",
        if test.held_out { "held-out" } else { "training" },
        count(test.rows as u64),
        100.0 * test.standard_error
    );
    rows.push(vec!["told apart".into(), percent(test.accuracy), String::new(), told]);
    let held_out =
        held_out.map_or_else(|| "held out".to_owned(), |table| format!("{name}, {} rows", count(table.rows() as u64)));
    table(&["beside training rows", "drawn", &held_out, ""], &rows)
}

/// The columns whose distributions differ most.
fn columns(found: &Fidelity, names: &[String]) -> String {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| found.marginals[b].drawn.total_cmp(&found.marginals[a].drawn).then(a.cmp(&b)));
    let rows: Vec<Vec<String>> = order
        .iter()
        .take(SHOWN)
        .map(|&at| {
            let Beside { drawn, held_out } = found.marginals[at];
            vec![names[at].clone(), format!("{drawn:.4}"), held_out.map_or("-".into(), |it| format!("{it:.4}"))]
        })
        .collect();
    table(&["column", "drawn", "held out"], &rows)
}
