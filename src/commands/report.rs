//! `elbo report`: a run as one page, a file that needs no other and asks nobody.

mod charts;
mod page;

use super::cells::{cells, names};
use super::sample::as_in_training;
use super::score::{strange_rows, strangest};
use super::{files, open, show};
use crate::checkpoint::{self, Checkpoint, DataRecord, Progress};
use crate::cli::ReportArgs;
use crate::config::{self, Config, Likelihood, Prior};
use crate::data::Dataset;
use crate::data::table::{Column, ColumnKind};
use crate::durable;
use crate::error::Result;
use crate::eval::{self, Summary};
use crate::interop;
use crate::latent::{between, pca};
use crate::model::tasks::{EVALUATE, Need};
use crate::report::human::{count, duration};
use crate::report::{Report, scatter};
use crate::score::exemplars::Exemplars;
use crate::score::threshold::{MadeFor, Threshold};
use crate::score::{self, Method};
use crate::session::{BATCH, Posterior, Purpose, Rows, Session};
use charts::Sheet;
use page::{escaped, picture, section, table};
use serde_json::json;
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The page in the folder of its run.
const FILE: &str = "report.html";
/// Samples, and reconstructed examples, in a picture, and how many stand side by side.
const SAMPLES: usize = 64;
const COLUMNS: usize = 16;
/// Dimensions that are traversed, and pictures of each, from −3 to 3.
const TRAVERSED: usize = 10;
const STEPS: usize = 11;
/// Epochs whose samples are shown.
const EPOCHS: usize = 6;
/// Columns whose distributions are shown, and rows that are drawn for them.
const FITTED: usize = 24;
const DRAWN: usize = 2000;
/// Pixels that the pictures of points of the map may have together.
const PIXELS: usize = 1 << 20;
/// Points of the map, and dimensions whose rates are drawn.
const POINTS: usize = 2000;
const RATES: usize = 64;
/// Rows and columns of a table of samples.
const TABLE: [usize; 2] = [8, 12];

/// What a page is of.
struct Subject<'a> {
    /// Where the model lies, and the folder of its run.
    path: &'a Path,
    folder: &'a Path,
    config: &'a Config,
    progress: &'a Progress,
}

/// Writes the page.
///
/// # Errors
/// Those of [`open::with_data`]; [`crate::error::Error::Usage`] for a file of another format; [`crate::error::Error::Disk`] where it cannot
/// be written.
pub fn run(args: &ReportArgs, report: &Report) -> Result<()> {
    if let Some(out) = &args.out {
        files::format("--out ", out, &["html", "htm"])?;
    }
    let path = checkpoint::sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(&path, report)?;
    interop::model(&checkpoint)?.need(&[Need::Values], "elbo report")?;
    let opened = open::dataset(&checkpoint, None, None, Some(&args.run), report)?;
    let purpose = Purpose::task(EVALUATE, BATCH);
    let mut trained = open::with(&args.run, &path, &checkpoint, opened, purpose, report)?;
    let out = args.out.clone().unwrap_or_else(|| trained.folder.join(FILE));
    trained.spare(&out)?;
    let folder = trained.folder.clone();
    let session = &mut trained.session;
    let of = Subject { path: &path, folder: &folder, config: &checkpoint.config, progress: &checkpoint.progress };
    let looked_at = part(session.data()?);
    let mut sections = figures_and_pictures(session, &of, &looked_at)?;
    sections.push(scores(&args.run, &checkpoint, &folder, session.data()?, &looked_at, report)?);
    let sections = write(&out, sections, &of, session)?;
    report.json(&json!({ "run": path, "sections": sections, "part": looked_at.1, "files": [&out] }));
    report.result(&out.display().to_string());
    Ok(())
}

/// Writes the page of a run that has come to its end, of the session that trained it; nothing where it has none.
///
/// # Errors
/// Those of what is computed for it; [`crate::error::Error::Disk`] where it cannot be written.
pub fn at_end(session: &mut Session, progress: &Progress, folder: &Path) -> Result<Option<PathBuf>> {
    if session.model.need(&[Need::Values], "elbo report").is_err() {
        return Ok(None);
    }
    let config = session.config.clone();
    let of = Subject { path: folder, folder, config: &config, progress };
    let looked_at = part(session.data()?);
    let sections = figures_and_pictures(session, &of, &looked_at)?;
    let out = folder.join(FILE);
    write(&out, sections, &of, session)?;
    Ok(Some(out))
}

/// The sections of what the model says of its data.
fn figures_and_pictures(
    session: &mut Session,
    of: &Subject,
    (part, name): &(Range<usize>, &'static str),
) -> Result<Vec<String>> {
    let seed = session.config.train.seed;
    let summary = eval::summary(session, part.clone(), seed)?;
    let mut sections = vec![figures(&summary, name), curves(of.folder)];
    if session.record.items.is_none() {
        sections.push(samples(session, seed)?);
        sections.push(over_epochs(of.folder, session.record.table().is_some()));
        sections.push(reconstructions(session, part, name, seed)?);
    }
    if session.model.need(&[Need::Numbers], "a map").is_ok() {
        // What is drawn has to be alike in all rows: no total of an example stands for others.
        let alike = [Need::Decoder, Need::NoLibrary, Need::DirectDraws];
        let counted = session.config.model.likelihood == Likelihood::Multinomial;
        let draws = session.model.need(&alike, "draws").is_ok() && !session.model.infers_classes() && !counted;
        if session.record.table().is_some() && draws {
            sections.push(columns_of(session, seed)?);
        }
        let examples = spread(part, POINTS);
        let posterior = session.encode(&examples, seed)?;
        sections.push(dimensions(&posterior));
        if session.model.need(&[Need::OneLayer], "a traversal").is_ok() && session.record.items.is_none() {
            sections.push(traversals(session, &posterior, &examples)?);
        }
        let sheet = sheet(session, &examples)?;
        sections.push(map(session.data()?, &posterior, &examples, name, sheet.as_ref()));
    }
    Ok(sections)
}

/// Puts the sections that say anything, and what is known of the run, into one file, and counts them.
fn write(out: &Path, mut sections: Vec<String>, of: &Subject, session: &Session) -> Result<usize> {
    sections.push(about(of, session.data()?));
    sections.retain(|section| !section.is_empty());
    let title = format!("{} on {}", of.config.name, session.record.name);
    let heading = format!("<h1>{}</h1>\n<p>{}</p>\n", escaped(&title), escaped(&of.path.display().to_string()));
    durable::replace_file(out, page::page(&title, &(heading + &sections.concat())).as_bytes())?;
    Ok(sections.len())
}

/// The part that is looked at: the test part, or the first of the others that there is.
fn part(data: &Dataset) -> (Range<usize>, &'static str) {
    let parts = [(&data.test, "test"), (&data.validation, "validation"), (&data.train, "training")];
    let (range, name) = parts.into_iter().find(|(part, _)| !part.is_empty()).unwrap_or(parts[2]);
    (range.clone(), name)
}

/// Up to so many examples of a part, spread over it.
fn spread(part: &Range<usize>, most: usize) -> Vec<u32> {
    let count = part.len().min(most);
    (0..count).map(|at| (part.start + at * part.len() / count) as u32).collect()
}

/// What `elbo eval` says.
fn figures(summary: &Summary, name: &str) -> String {
    let row = |name: &str, value: String, rest: &str| vec![name.to_owned(), value, rest.to_owned()];
    let nats = |value: f64| format!("{value:.2}");
    let error = format!("± {:.2}", summary.standard_error);
    let mut rows = vec![
        row("distortion", nats(summary.terms.distortion), ""),
        row("rate", nats(summary.terms.rate), ""),
        row("−ELBO", nats(summary.terms.neg_elbo()), &error),
    ];
    if summary.codes.is_none() {
        let latent: usize = summary.layers.iter().map(|layer| layer.latent).sum();
        rows.push(row("active", summary.active.to_string(), &format!("of {latent} latent dimensions")));
    }
    let about = format!("Nats per example of the {name} part, {} examples.", count(summary.examples as u64));
    section("Figures", &about, &table(&[], &rows))
}

/// The columns of a file of numbers by their names; cells that are none are left out.
fn series(path: &Path) -> Option<Vec<(String, Vec<[f64; 2]>)>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).ok()?;
    let names: Vec<String> = reader.headers().ok()?.iter().map(str::to_owned).collect();
    let mut all: Vec<(String, Vec<[f64; 2]>)> = names.into_iter().map(|name| (name, vec![])).collect();
    for row in reader.records().map_while(std::result::Result::ok) {
        let number = |cell: &str| cell.parse().ok().filter(|number: &f64| number.is_finite());
        let Some(epoch) = row.get(0).and_then(number) else { continue };
        for ((_, points), cell) in all.iter_mut().zip(&row) {
            points.extend(number(cell).map(|value| [epoch, value]));
        }
    }
    all.retain(|(_, points)| !points.is_empty());
    Some(all)
}

/// A chart for each column of the run's metrics, that of the validation part beside its own.
fn curves(folder: &Path) -> String {
    // No nats.
    const APART: [&str; 5] = ["epoch", "images_per_second", "elapsed_seconds", "lr", "beta"];
    const VALIDATION: &str = "validation_";
    let Some(all) = series(&folder.join("metrics.csv")) else { return String::new() };
    let own = all.iter().filter(|(name, _)| !APART.contains(&name.as_str()) && !name.starts_with(VALIDATION));
    let chart = |series: &(String, Vec<[f64; 2]>)| {
        let beside = all.iter().find(|(name, _)| name.strip_prefix(VALIDATION) == Some(&series.0));
        charts::lines(&[Some(series), beside].into_iter().flatten().cloned().collect::<Vec<_>>())
    };
    let drawn: String = own.map(chart).collect();
    let about = "What metrics.csv has of each epoch, in nats per example.";
    if drawn.is_empty() { drawn } else { section("Training", about, &format!("<div class=\"charts\">\n{drawn}</div>")) }
}

/// Examples as a picture, or the first columns of rows of a table.
fn shown(examples: &[f32], record: &DataRecord, columns: usize, what: &str) -> Result<String> {
    if show::extension(record) == "png" {
        return Ok(picture(&show::picture(examples, record, columns)?, what));
    }
    let Some(encoding) = record.table() else { return Ok(String::new()) };
    let [rows, columns] = TABLE;
    let header: Vec<&str> = encoding.columns.iter().take(columns).map(|column| column.name.as_str()).collect();
    let row = |row: &[f32]| encoding.cells(&encoding.undo(row)).into_iter().take(columns).collect();
    let rows: Vec<Vec<String>> = examples.chunks_exact(encoding.width()).take(rows).map(row).collect();
    Ok(table(&header, &rows))
}

fn samples(session: &mut Session, seed: u64) -> Result<String> {
    let drawn = session.sample(SAMPLES, seed)?;
    let content = shown(&drawn, &session.record, COLUMNS, "samples from the prior")?;
    Ok(section("Samples", "Latents drawn from the prior, and the means that the decoder gives for them.", &content))
}

/// The pictures of samples that the run drew after some of its epochs, spread over those that there are.
fn over_epochs(folder: &Path, is_table: bool) -> String {
    let entries = std::fs::read_dir(folder.join("samples")).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("epoch-")?.strip_suffix(".png")?.parse::<usize>().ok();
    let mut drawn: Vec<(usize, PathBuf)> =
        entries.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path()))).collect();
    drawn.sort();
    if is_table || drawn.len() < 2 {
        return String::new();
    }
    let shown = drawn.len().min(EPOCHS);
    let content = (0..shown).fold(String::new(), |mut text, at| {
        let (epoch, path) = &drawn[at * (drawn.len() - 1) / (shown - 1)];
        // Of a run that a power cut ended one may be empty.
        if let Some(png) = std::fs::read(path).ok().filter(|png| !png.is_empty()) {
            let picture = picture(&png, &format!("samples after epoch {epoch}"));
            let _ = writeln!(text, "<figure><figcaption>epoch {epoch}</figcaption>{picture}</figure>");
        }
        text
    });
    let about = "What the run drew on its way, of the same latents each time.";
    section("Samples over the epochs", about, &format!("<div class=\"charts\">\n{content}</div>"))
}

/// The distributions of the columns of a table beside those of rows that the model draws.
fn columns_of(session: &mut Session, seed: u64) -> Result<String> {
    let classes = if session.model.is_told_classes() { as_in_training(session, DRAWN)? } else { vec![] };
    let latents = session.latents(&(0..DRAWN as u32).collect::<Vec<_>>(), seed)?;
    let drawn = session.draw(&latents, &classes, None, seed)?;
    let (data, record) = (session.data()?, &session.record);
    let drawn = cells(record, &drawn);
    let own = cells(record, &data.examples(&spread(&data.train, POINTS))?);
    let Some(encoding) = record.table() else { return Ok(String::new()) };
    let learnt: Vec<_> = encoding.columns.iter().filter(|column| column.kind.width() > 0).collect();
    let chart = |(at, column): (usize, &&Column)| {
        let [own, drawn] = [&own, &drawn].map(|table| {
            let all = table.cells.iter().skip(at).step_by(learnt.len()).copied().filter(|cell| cell.is_finite());
            match column.kind {
                ColumnKind::Numeric { shift, scale } => all.map(|cell| cell * scale + shift).collect(),
                _ => all.collect::<Vec<f64>>(),
            }
        });
        let levels: Option<Vec<String>> = match &column.kind {
            ColumnKind::Binary { levels } => Some(levels.to_vec()),
            ColumnKind::Category { levels } => Some(levels.clone()),
            ColumnKind::Numbered { categories } => Some((0..*categories).map(|at| at.to_string()).collect()),
            _ => None,
        };
        charts::both(&column.name, [("training", &own), ("drawn", &drawn)], levels.as_deref())
    };
    let shown: String = learnt.iter().enumerate().take(FITTED).map(chart).collect();
    let first = if learnt.len() > FITTED {
        format!("the first {FITTED} of {} columns", learnt.len())
    } else {
        "the columns".into()
    };
    let about = format!(
        "How {first} are distributed in the training part, and in {} rows drawn from p(x|z) of latents of the prior. `elbo sample \
         --compare` has figures.",
        count(DRAWN as u64)
    );
    Ok(section("Columns", &about, &format!("<div class=\"charts\">\n{shown}</div>")))
}

/// Small pictures of examples that are points of the map: of all, or of some of them where pictures are large.
fn sheet(session: &Session, examples: &[u32]) -> Result<Option<Sheet>> {
    if show::extension(&session.record) != "png" || session.record.items.is_some() {
        return Ok(None);
    }
    let most = (PIXELS / session.model.width.max(1)).clamp(1, examples.len());
    let every = examples.len().div_ceil(most);
    let shown: Vec<u32> = examples.iter().copied().step_by(every).collect();
    let columns = (shown.len() as f64).sqrt().ceil() as usize;
    let (png, size) = show::close_picture(&session.data()?.examples(&shown)?, &session.record, columns)?;
    Ok(Some(Sheet { png, size, columns, count: shown.len(), every }))
}

fn reconstructions(session: &mut Session, part: &Range<usize>, name: &str, seed: u64) -> Result<String> {
    let (originals, again) = session.reconstruct(&spread(part, SAMPLES / 2), None, seed)?;
    let record = &session.record;
    let content = if show::extension(record) == "png" {
        picture(&show::picture_of_pairs(&originals, &again, record, COLUMNS)?, "examples and their reconstructions")
    } else {
        let originals = shown(&originals, record, COLUMNS, "")?;
        format!("{originals}<p>Their reconstructions:</p>{}", shown(&again, record, COLUMNS, "")?)
    };
    Ok(section(
        "Reconstructions",
        &format!("Examples of the {name} part, and below them what the model makes of them."),
        &content,
    ))
}

/// The rates of dimensions, where they have some, else how much their means vary.
fn dimensions(posterior: &Posterior) -> String {
    let (mut sizes, what) = match posterior.rates() {
        Some(rates) => (rates, "rate in nats"),
        None => (posterior.moments()[1].clone(), "deviation of the means"),
    };
    sizes.sort_by(|a, b| b.total_cmp(a));
    let all = sizes.len();
    sizes.truncate(RATES);
    let caption = format!("{what}, {} of {all} dimensions, the largest first", sizes.len());
    section("Latent dimensions", "", &format!("<div class=\"charts\">\n{}</div>", charts::bars(&caption, &sizes)))
}

/// What the dimensions that carry most do, from −3 to 3 about the prior's middle.
fn traversals(session: &mut Session, posterior: &Posterior, examples: &[u32]) -> Result<String> {
    let standard = session.model.config.prior == Prior::Standard;
    if show::extension(&session.record) != "png" {
        return Ok(String::new());
    }
    let [mean, deviation] = posterior.moments();
    let sizes = posterior.rates().unwrap_or_else(|| deviation.clone());
    let mut order: Vec<usize> = (0..posterior.latent).collect();
    order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]));
    order.truncate(TRAVERSED);
    let start: Vec<f32> =
        if standard { vec![0.0; posterior.latent] } else { mean.iter().map(|&mean| mean as f32).collect() };
    let mut latents = Vec::new();
    for &dimension in &order {
        let [middle, unit] = if standard { [0.0, 1.0] } else { [mean[dimension] as f32, deviation[dimension] as f32] };
        for value in between(-3.0, 3.0, STEPS) {
            let first = latents.len();
            latents.extend(&start);
            latents[first + dimension] = middle + value * unit;
        }
    }
    let rows = latents.len() / posterior.latent;
    // A model that knows classes decodes all of them as that of its first example.
    let class = session.labels(&examples[..1])?;
    let classes: Vec<u32> = class.iter().copied().cycle().take(if class.is_empty() { 0 } else { rows }).collect();
    let decoded = session.decode(&latents, &classes)?;
    let content = picture(&show::picture(&decoded, &session.record, STEPS)?, "traversals of latent dimensions");
    let order: Vec<String> = order.iter().map(ToString::to_string).collect();
    let about = format!(
        "Each row varies one latent dimension from −3 to 3 and leaves the others where they are; from the top down, the ones \
         that carry most: {}.",
        order.join(", ")
    );
    Ok(section("Traversals", &about, &content))
}

/// The means of posteriors in a plane.
fn map(data: &Dataset, posterior: &Posterior, examples: &[u32], name: &str, sheet: Option<&Sheet>) -> String {
    let (points, what): (Vec<[f32; 2]>, String) = if posterior.latent == 2 {
        (posterior.means.chunks_exact(2).map(|point| [point[0], point[1]]).collect(), "their two dimensions".into())
    } else if posterior.latent == 1 {
        let points = posterior.means.iter().zip(posterior.deviations()).map(|(&mean, deviation)| [mean, deviation]);
        (points.collect(), "mean and deviation".into())
    } else {
        let found = pca(&posterior.means, posterior.latent);
        let [first, second] = found.shares.map(|share| 100.0 * share);
        (found.points, format!("their two main directions, {first:.1} % and {second:.1} % of the variance"))
    };
    let label = |&example: &u32| data.labels.as_ref().map(|labels| labels[example as usize]);
    let labels: Vec<u32> = examples.iter().filter_map(label).collect();
    let ranks = scatter::ranks(&labels);
    let classes = data.classes.as_deref();
    let rank = |label: &u32| ranks.iter().position(|known| known == label).unwrap_or(0);
    let title = |(at, &example): (usize, &u32)| {
        let class = labels.get(at).map_or_else(String::new, |&label| format!(", {}", scatter::name(label, classes)));
        format!("row {}{class}", data.row(example as usize))
    };
    let titles: Vec<String> = examples.iter().enumerate().map(title).collect();
    let colours: Vec<usize> =
        if labels.is_empty() { vec![0; examples.len()] } else { labels.iter().map(rank).collect() };
    let names: Vec<String> = ranks.iter().map(|&label| scatter::name(label, classes)).collect();
    let legend = if names.is_empty() { String::new() } else { charts::legend(&names) };
    let about =
        format!("Posterior means of {} examples of the {name} part along {what}.", count(examples.len() as u64));
    section("Latent map", &about, &(legend + &charts::map(&points, &colours, &titles, sheet)))
}

/// The scores of examples beside the threshold that the run keeps, where `elbo score` made one.
fn scores(
    run: &crate::cli::RunArgs,
    checkpoint: &Checkpoint,
    folder: &Path,
    data: &Dataset,
    (part, name): &(Range<usize>, &'static str),
    report: &Report,
) -> Result<String> {
    let Some(kept) = Threshold::kept(folder) else { return Ok(String::new()) };
    let method: Method = kept.made_for.score;
    if MadeFor::new(checkpoint, method) != kept.made_for {
        return Ok(String::new());
    }
    let exemplars = match method {
        Method::Exemplars => match Exemplars::kept(folder, checkpoint) {
            None => return Ok(String::new()),
            kept => kept,
        },
        Method::Importance { .. } | Method::MeanField => None,
    };
    let mut session = Session::without_data(checkpoint, open::device(run, report)?)?;
    let examples = spread(part, POINTS);
    let (values, classes) = (data.examples(&examples)?, session.classes_of(data, &examples));
    let rows = Rows { values: &values, classes: &classes };
    let all = score::scores(&mut session, rows, method, exemplars.as_ref(), &mut |_| {})?;
    let above = all.iter().filter(|score| **score > kept.value).count();
    let about = format!(
        "{} of {} examples of the {name} part, in nats: the higher, the more anomalous. {above} of them lie above the threshold, \
         {:.2}: {}.",
        method.name(session.model.is_told_classes()),
        count(examples.len() as u64),
        kept.value,
        kept.rule.text()
    );
    let chart = charts::histogram("scores, and the threshold", &all, Some(kept.value));
    let names = names(&checkpoint.progress.data);
    let strangest = strange_rows(&strangest(&mut session, data, &examples, &all, &names)?);
    let rows = table(&["row", "score", "columns that contribute most"], &strangest);
    Ok(section("Scores", &about, &format!("<div class=\"charts\">\n{chart}</div>\n{rows}")))
}

/// Data, device, versions, and all settings.
fn about(of: &Subject, data: &Dataset) -> String {
    let progress = of.progress;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let parts = [("train", &data.train), ("validation", &data.validation), ("test", &data.test)];
    let parts = parts.map(|(name, part)| format!("{} {name}", count(part.len() as u64))).join(", ");
    let seconds = Duration::try_from_secs_f64(progress.elapsed_seconds).unwrap_or_default();
    let rows = vec![
        row("data", data.name.clone()),
        row("examples", parts),
        row("shape", format!("{:?}", data.shape)),
        row("hash", progress.data.hash.clone()),
        row("trained on", progress.adapter.clone()),
        row("epochs", format!("{} of {}", progress.epoch, of.config.train.epochs)),
        row("steps", count(progress.step)),
        row("time", duration(seconds)),
        row("program", concat!("elbo ", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    let settings = format!("<pre>{}</pre>", escaped(&config::to_toml(of.config)));
    section("Run", "", &table(&[], &rows)) + &section("Settings", "What config.toml says.", &settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_spread_over_a_part() {
        assert_eq!(spread(&(10..20), 5), [10, 12, 14, 16, 18]);
        assert_eq!(spread(&(10..13), 5), [10, 11, 12]);
    }

    #[test]
    fn columns_are_numbers_by_epoch_and_a_torn_row_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        std::fs::write(&path, "epoch,rate,validation_rate\n1,2.5,\n2,NaN,3\n3,1\n").unwrap();
        let found = series(&path).unwrap();
        assert_eq!(found[1], ("rate".to_owned(), vec![[1.0, 2.5], [3.0, 1.0]]));
        assert_eq!(found[2].1, [[2.0, 3.0]]);
        assert!(curves(folder.path()).contains("validation_rate") && curves(Path::new("nowhere")).is_empty());
    }
}
