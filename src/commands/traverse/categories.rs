//! What the categories of latents do: a row for each variable, a picture for each of its categories.

use super::super::open::Trained;
use super::super::{classes, open, show};
use crate::cli::TraverseArgs;
use crate::error::{Error, Result};
use crate::latent::between;
use crate::report::Report;
use crate::report::table::table;
use serde_json::json;

/// What a row goes through.
#[derive(Clone, Copy)]
enum Row {
    /// The categories of a variable.
    Variable(usize),
    /// A number, by its place among the latents.
    Number(usize),
}

/// Draws a row for each variable, in which it is each of its categories, and one for each number, which goes from −range to range.
/// What does not change is that of an example, or else the most frequent category of the part, and 0.
///
/// # Errors
/// As those of [`super::run`].
pub fn run(args: &TraverseArgs, trained: &mut Trained, most: usize, range: f32, report: &Report) -> Result<()> {
    let session = &mut trained.session;
    let [variables, categories] = session.model.config.variables().unwrap_or_default();
    let (latent, places) = (session.model.config.latent, variables * categories);
    if let Some(steps) = args.steps.filter(|&steps| steps != categories) {
        return Err(Error::Usage(format!(
            "--steps {steps}: a row has a picture for each of the {categories} categories of a variable; leave it out"
        )));
    }
    open::layer(session, args.layer, 0)?;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let centre = args.example.map(|index| open::example("--example", index, &part, name)).transpose()?;
    let seed = session.config.train.seed;
    let class = match (&args.class, centre) {
        (None, Some(example)) => session.labels(&[example])?.first().copied(),
        _ => classes::one(session, "--class", args.class.as_deref())?,
    };
    let posterior = session.encode(&part.map(|i| i as u32).collect::<Vec<_>>(), seed)?;
    let rates = posterior.rates().unwrap_or_default();
    let mut start: Vec<f32> = if let Some(example) = centre {
        session.encode(&[example], seed)?.means
    } else {
        let mut means: Vec<f32> = posterior.moments()[0].iter().map(|&mean| mean as f32).collect();
        means[places..].fill(0.0);
        means
    };
    for probabilities in start[..places].chunks_exact_mut(categories) {
        let best = (1..categories).fold(0, |best, at| if probabilities[at] > probabilities[best] { at } else { best });
        probabilities.fill(0.0);
        probabilities[best] = 1.0;
    }
    let mut rows: Vec<(Row, f64)> = (0..variables).map(|at| (Row::Variable(at), rates[at * categories])).collect();
    rows.extend((places..latent).map(|at| (Row::Number(at), rates[at])));
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (of_all, shown) = (rows.len(), most.min(rows.len()));
    let mut latents = Vec::new();
    for (row, _) in &rows[..shown] {
        for (category, value) in between(-range, range, categories).into_iter().enumerate() {
            let first = latents.len();
            latents.extend(&start);
            match *row {
                Row::Number(at) => latents[first + at] = value,
                Row::Variable(at) => {
                    let own = first + at * categories..first + (at + 1) * categories;
                    latents[own.clone()].fill(0.0);
                    latents[own.start + category] = 1.0;
                }
            }
        }
    }
    let count = latents.len() / latent;
    let decoded = session.decode(&latents, &classes::repeated(class, count))?;
    let record = &trained.session.record;
    let file = format!("traversal-step-{}.{}", trained.step, show::extension(record));
    let file = open::picture(trained, args.out.as_deref(), &file)?;
    show::save(&file, &decoded, record, categories)?;
    let named = |row: Row| match row {
        Row::Variable(at) => format!("variable {at}"),
        Row::Number(at) => format!("number {}", at - places),
    };
    let lines = rows[..shown].iter().enumerate();
    let lines: Vec<Vec<String>> =
        lines.map(|(at, &(row, rate))| vec![at.to_string(), named(row), format!("{rate:.2}")]).collect();
    report.result(&table(&["row", "latent", "rate in nats"], &lines));
    if shown < of_all {
        report.note(&format!("{} further latents carry less; -n shows more", of_all - shown));
    }
    let names: Vec<String> = rows.iter().map(|&(row, _)| named(row)).collect();
    let sorted: Vec<f64> = rows.iter().map(|&(_, rate)| rate).collect();
    report.json(&json!({
        "part": name, "latents": names, "rates": sorted, "shown": shown, "categories": categories, "range": range,
        "files": [file],
    }));
    report.result(&file.display().to_string());
    Ok(())
}
