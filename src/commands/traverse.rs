//! `elbo traverse`: what each latent dimension does.

mod categories;

use super::{classes, open, show};
use crate::cli::TraverseArgs;
use crate::config::Prior;
use crate::error::{Error, Result};
use crate::latent::between;
use crate::model::tasks::{ENCODE, Need};
use crate::report::Report;
use crate::report::table::table;
use crate::session::{BATCH, Posterior, Purpose, Session};
use serde_json::json;

/// Draws a row for each dimension, in which it goes from −range to range while the others stay. Where the prior is N(0, 1) that
/// is around 0 in its deviations, elsewhere around the mean of the codes of the part in theirs. Of several stochastic layers
/// below the highest none has N(0, 1) for its prior.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and [`open::layer`]; [`Error::Usage`] for a range, a number or a class that
/// makes no sense.
pub fn run(args: &TraverseArgs, report: &Report) -> Result<()> {
    let most = args.count.unwrap_or(20);
    let range = args.range.unwrap_or(3.0);
    if !(range.is_finite() && range > 0.0) {
        return Err(Error::Usage(format!("--range {range}: it is to be a finite number above 0")));
    }
    let steps = open::check_steps(args.steps.unwrap_or(9), open::check_pictures(most)?)?;
    let data = args.examples.data.as_deref();
    let mut trained = open::with_data(&args.run, data, Purpose::task(ENCODE, BATCH), report)?;
    let session = &mut trained.session;
    session.model.need(&[Need::Numbers, Need::Values], "elbo traverse")?;
    if session.model.has_categories() {
        return categories::run(args, &mut trained, most, range, report);
    }
    let highest = session.model.latents().len() - 1;
    let layer = open::layer(session, args.layer, highest)?;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let centre = args.example.map(|index| open::example("--example", index, &part, name)).transpose()?;
    let seed = session.config.train.seed;
    // An example is decoded as what it is, unless another class is asked for.
    let class = match (&args.class, centre) {
        (None, Some(example)) => session.labels(&[example])?.first().copied(),
        _ => classes::one(session, "--class", args.class.as_deref())?,
    };
    classes::say_unseen(session, &classes::repeated(class, 1), report);
    let mut all = session.encode_layers(&part.map(|i| i as u32).collect::<Vec<_>>(), seed)?;
    // Where the decoder reads all groups, those above stay as they are.
    let mut above = if session.model.is_residual() { all.split_off(layer + 1) } else { vec![] };
    let posterior = all.swap_remove(layer);
    // Where no dimension has a rate, the codes say how much it tells.
    let [_, deviation] = posterior.moments();
    let (sizes, what) = match posterior.rates() {
        Some(rates) => (rates, "rate in nats"),
        None => (deviation, "deviation of the codes"),
    };
    let latent = sizes.len();
    let mut dimensions: Vec<usize> = (0..latent).collect();
    dimensions.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]));
    let units = units(session, &posterior, layer);
    let start = match centre {
        Some(example) => {
            let mut found = session.encode_layers(&[example], seed)?;
            above = if above.is_empty() { above } else { found.split_off(layer + 1) };
            found.swap_remove(layer).means
        }
        None => units.iter().map(|unit| unit[0]).collect(),
    };
    let latents = varied(&start, &units, dimensions.iter().copied().take(most), range, steps);
    let rows = latents.len() / latent;
    let above: Vec<Vec<f32>> = above
        .iter()
        .enumerate()
        .map(|(at, posterior)| {
            if centre.is_some() {
                return posterior.means.repeat(rows);
            }
            let units = self::units(session, posterior, layer + 1 + at);
            units.iter().map(|unit| unit[0]).collect::<Vec<_>>().repeat(rows)
        })
        .collect();
    let given: Vec<&[f32]> = std::iter::once(&latents).chain(&above).map(Vec::as_slice).collect();
    let decoded = session.decode_from(layer, &given, &classes::repeated(class, rows))?;
    let record = &trained.session.record;
    let of = args.layer.map_or(String::new(), |layer| format!("-layer-{layer}"));
    let file = format!("traversal{of}-step-{}.{}", trained.step, show::extension(record));
    let file = open::picture(&trained, args.out.as_deref(), &file)?;
    show::save(&file, &decoded, record, steps)?;
    let shown = most.min(latent);
    let rows = dimensions.iter().take(shown).enumerate();
    let rows: Vec<Vec<String>> =
        rows.map(|(row, &d)| vec![row.to_string(), d.to_string(), format!("{:.2}", sizes[d])]).collect();
    report.result(&table(&["row", "dimension", what], &rows));
    if shown < latent {
        report.note(&format!("{} further dimensions carry less; -n shows more", latent - shown));
    }
    let sorted: Vec<f64> = dimensions.iter().map(|&d| sizes[d]).collect();
    let key = if what.starts_with("rate") { "rates" } else { "deviations" };
    report.json(&json!({
        "part": name, "layer": layer + 1, "dimensions": dimensions, key: sorted, "shown": shown, "range": range, "steps": steps,
        "files": [file],
    }));
    report.result(&file.display().to_string());
    Ok(())
}

/// Where each dimension of a layer has its middle, and its unit: 0 and 1 where the prior is N(0, 1), elsewhere mean and deviation of
/// the codes.
pub fn units(session: &Session, posterior: &Posterior, layer: usize) -> Vec<[f32; 2]> {
    let highest = session.model.latents().len() - 1;
    if session.model.config.prior == Prior::Standard && layer == highest {
        return vec![[0.0, 1.0]; posterior.latent];
    }
    let [mean, deviation] = posterior.moments();
    mean.iter().zip(deviation).map(|(&mean, deviation)| [mean as f32, deviation as f32]).collect()
}

/// Latents that are `start` but for one dimension each, which goes from −range to range of its units around its middle in `steps`
/// steps, [dimensions · steps, Z].
pub fn varied(
    start: &[f32],
    units: &[[f32; 2]],
    dimensions: impl Iterator<Item = usize>,
    range: f32,
    steps: usize,
) -> Vec<f32> {
    let mut latents = Vec::new();
    for dimension in dimensions {
        let [middle, unit] = units[dimension];
        for value in between(-range, range, steps) {
            let first = latents.len();
            latents.extend(start);
            latents[first + dimension] = middle + value * unit;
        }
    }
    latents
}
