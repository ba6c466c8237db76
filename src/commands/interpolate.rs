//! `elbo interpolate`: pairs of examples, and what lies between them.

use super::{classes, open, show, text};
use crate::cli::{InterpolateArgs, Path};
use crate::config::Prior;
use crate::error::Result;
use crate::latent::{between, linear, spherical};
use crate::model::tasks::{ENCODE, Need};
use crate::report::Report;
use crate::session::{BATCH, Purpose};
use serde_json::json;
use std::ops::Range;

/// Pairs that are shown where none is named.
const PAIRS: usize = 6;

/// Draws a row for each pair: the one, what is decoded on the way, the other.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and [`open::layer`]; [`crate::error::Error::Usage`] for a pair, a number or a
/// class that makes no sense.
pub fn run(args: &InterpolateArgs, report: &Report) -> Result<()> {
    if text::is_one(&args.run) {
        return text::interpolate(args, |args, part, name| ends(&pairs(args, part.len()), part, name), report);
    }
    let steps = open::check_steps(args.steps.unwrap_or(9), args.pair.len().max(PAIRS))?;
    let data = args.examples.data.as_deref();
    let mut trained = open::with_data(&args.run, data, Purpose::task(ENCODE, BATCH), report)?;
    let session = &mut trained.session;
    session.model.need(&[Need::Numbers, Need::NoCategories], "elbo interpolate")?;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let class = classes::typed(session, "--class", args.class.as_deref())?;
    let class = if class.is_empty() { None } else { classes::one(session, "--class", args.class.as_deref())? };
    classes::say_unseen(session, &classes::repeated(class, 1), report);
    let pairs = pairs(args, part.len());
    let examples = ends(&pairs, &part, name)?;
    let seed = session.config.train.seed;
    let layer = open::layer(session, args.layer, 0)?;
    let mut posteriors = session.encode_layers(&examples, seed)?.split_off(layer);
    if !session.model.is_residual() {
        posteriors.truncate(1);
    }
    // The arc keeps the distance from 0 that latents of N(0, 1) have.
    let way = match args.path {
        Some(Path::Spherical) => {
            session.model.need(&[Need::StandardPrior], "--path spherical")?;
            spherical
        }
        None if session.model.config.prior == Prior::Standard && !session.model.is_residual() => spherical,
        None | Some(Path::Linear) => linear,
    };
    // Of a residual hierarchy the groups above go along.
    let mut latents = vec![Vec::new(); posteriors.len()];
    for (posterior, latents) in posteriors.iter().zip(&mut latents) {
        for row in 0..pairs.len() {
            let [from, to] = [2 * row, 2 * row + 1].map(|at| posterior.mean(at));
            latents.extend(between(0.0, 1.0, steps).into_iter().flat_map(|t| way(from, to, t)));
        }
    }
    let classes = match class {
        Some(class) => vec![class; pairs.len() * steps],
        None => of_nearer_ends(&session.labels(&examples)?, steps),
    };
    let given: Vec<&[f32]> = latents.iter().map(Vec::as_slice).collect();
    let decoded = session.decode_from(layer, &given, &classes)?;
    let (width, originals) = (session.model.width, session.originals(&examples)?);
    let mut rows = Vec::new();
    for (ends, row) in originals.chunks_exact(2 * width).zip(decoded.chunks_exact(steps * width)) {
        rows.extend(&ends[..width]);
        rows.extend(row);
        rows.extend(&ends[width..]);
    }
    let record = &trained.session.record;
    let of = args.layer.map_or(String::new(), |layer| format!("-layer-{layer}"));
    let file = format!("interpolation{of}-step-{}.{}", trained.step, show::extension(record));
    let file = open::picture(&trained, args.out.as_deref(), &file)?;
    show::save(&file, &rows, record, steps + 2)?;
    report.note(&format!("pairs    of the {name} part: {}", as_text(&pairs)));
    report.json(&json!({ "part": name, "pairs": pairs, "steps": steps, "files": [file] }));
    report.result(&file.display().to_string());
    Ok(())
}

/// Of each picture on the way the class of the end that is nearer; none where there are no classes.
fn of_nearer_ends(ends: &[u32], steps: usize) -> Vec<u32> {
    let row = |pair: &[u32]| (0..steps).map(|step| pair[usize::from(2 * step >= steps)]).collect::<Vec<_>>();
    ends.chunks_exact(2).flat_map(row).collect()
}

/// The pairs that are named, or else some of a part of so many examples.
fn pairs(args: &InterpolateArgs, count: usize) -> Vec<(usize, usize)> {
    if args.pair.is_empty() { spread(count) } else { args.pair.clone() }
}

/// Pairs that lie far apart in the part, so that sorted data show different kinds.
fn spread(count: usize) -> Vec<(usize, usize)> {
    let pairs = PAIRS.min(count);
    (0..pairs).map(|i| (i * count / pairs, (i * count / pairs + count / 2 + i) % count)).collect()
}

/// The examples of all pairs, one after the other.
fn ends(pairs: &[(usize, usize)], part: &Range<usize>, name: &str) -> Result<Vec<u32>> {
    let mut examples = Vec::new();
    for &(i, j) in pairs {
        for index in [i, j] {
            examples.push(open::example(&format!("--pair {i},{j}"), index, part, name)?);
        }
    }
    Ok(examples)
}

fn as_text(pairs: &[(usize, usize)]) -> String {
    pairs.iter().map(|(i, j)| format!("{i},{j}")).collect::<Vec<_>>().join("  ")
}
