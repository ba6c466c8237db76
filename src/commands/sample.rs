//! `elbo sample`: new examples from the prior, as one picture, or as rows of a table.

mod compare;
mod prior;

use super::{classes, open, show, text};
use crate::cli::{ExPost, SampleArgs};
use crate::config::{Hierarchy, Likelihood};
use crate::data::classes::list;
use crate::error::{Error, Result};
use crate::latent::Gmm;
use crate::model::tasks::{ENCODE, Need};
use crate::report::{Report, scatter};
use crate::session::{BATCH, Purpose, Session};
use serde_json::json;

/// Examples where nothing else is asked for: of all, and of each class.
const COUNT: usize = 64;
const OF_EACH: usize = 8;

/// Examples that are compared with real ones.
const COMPARED: usize = 1000;

/// Components of a mixture that takes the place of the prior, and the most codes that it is fitted to.
const COMPONENTS: usize = 10;
const MAX_CODES: usize = 20_000;

/// A mixture of normal distributions over the codes of the training part.
fn fitted(session: &mut Session, components: usize, report: &Report) -> Result<Gmm> {
    session.model.need(&[Need::Numbers, Need::NoCategories, Need::OneLayer], "elbo sample --ex-post")?;
    if components == 0 {
        return Err(Error::Usage("--components 0: a mixture has one component at least".into()));
    }
    let (part, seed) = (session.data()?.train.clone(), session.config.train.seed);
    // Spread evenly, so that sorted data show all of their kinds.
    let count = part.len().min(MAX_CODES);
    let shown: Vec<u32> = (0..count).map(|i| (part.start + i * part.len() / count) as u32).collect();
    let codes = session.encode(&shown, seed)?;
    let mixture = Gmm::fit(&codes.means, codes.latent, components, seed)?;
    report.note(&format!(
        "ex post  {components} components, fitted to the codes of {count} training examples: {:.2} nats a code",
        -mixture.log_likelihood
    ));
    Ok(mixture)
}

/// What is to be made: of each latent the class as which it is decoded, where there are classes.
struct Wanted {
    /// The classes, a row for each.
    shown: Vec<u32>,
    /// Latents of each of them, or of all.
    columns: usize,
    /// Classes of the latents in their order, where they are no grid of classes and columns.
    of_rows: Option<Vec<u32>>,
    seed: u64,
    /// Whether values are drawn from p(x|z).
    draw: bool,
    /// Of how many items a row consists that a multinomial draws.
    total: Option<u64>,
}

/// Draws latents from the prior and writes what the decoder makes of them: the means of p(x|z), or draws from it. A conditional
/// model gets a row for each class, and each column is one latent.
///
/// # Errors
/// Those of [`open::without_data`], [`show::save`] and [`compare::say`], and [`crate::error::Error::Usage`] for a number of
/// pictures or a class that makes no sense.
pub fn run(args: &SampleArgs, report: &Report) -> Result<()> {
    let model = open::glanced(&args.run);
    match &model {
        Some(model) if model.prior_codes > 0 => return prior::run(args, report),
        Some(model) if model.likelihood == Likelihood::Tokens => return text::sample(args, report),
        _ => {}
    }
    let residual = model.as_ref().is_none_or(|model| model.hierarchy == Hierarchy::Residual);
    if model.is_some() && ((!args.temperature.is_empty() && !residual) || args.top_k.is_some() || args.top_p.is_some())
    {
        return Err(Error::Usage(
            "--temperature is for priors of codes, which elbo train --prior-of makes, for residual hierarchies \
             (model.hierarchy = residual) and for models of sequences, and --top-k and --top-p for those alone"
                .into(),
        ));
    }
    let mut trained = match args.ex_post {
        None if !args.compare => {
            if args.data.is_some() {
                return Err(Error::Usage("--data: it is read for --compare or --ex-post only".into()));
            }
            open::without_data(&args.run, report)?
        }
        _ => open::with_data(&args.run, args.data.as_deref(), Purpose::task(ENCODE, BATCH), report)?,
    };
    // Rows of a table are not held to what a picture has room for.
    let drawn = show::is_drawn(args.out.as_deref(), &trained.session.record);
    let usual = if args.compare { COMPARED } else { COUNT };
    let count = open::check_count(args.count.unwrap_or(usual), drawn && !args.compare)?;
    let session = &mut trained.session;
    if args.draw || args.compare {
        session.model.need(&[Need::Numbers, Need::Decoder], "elbo sample --draw or --compare")?;
    }
    if args.total.is_some() && !(args.draw || args.compare) {
        return Err(Error::Usage("--total: it is what --draw gives a row of a multinomial".into()));
    }
    if args.compare && args.class.is_some() {
        return Err(Error::Usage("--class: --compare draws all classes, as often as the data have them".into()));
    }
    let seed = args.seed.unwrap_or(session.config.train.seed);
    let mut shown = classes::typed(session, "--class", args.class.as_deref())?;
    if shown.is_empty() {
        shown = (0..session.model.classes as u32).collect();
    }
    classes::say_unseen(session, &shown, report);
    let of_each = if args.compare { COMPARED / shown.len().max(1) } else { OF_EACH };
    let each = args.count.unwrap_or(if shown.len() > 1 { of_each } else { usual });
    let columns = match shown.len() {
        0 => open::columns(count),
        1 => open::columns(each),
        _ => each,
    };
    if !shown.is_empty() && drawn && !args.compare {
        classes::check_pictures(each, shown.len(), 0, "--class")?;
    } else if !shown.is_empty() {
        open::check_count(each.saturating_mul(shown.len()), false)?;
    }
    let source =
        args.ex_post.map(|ExPost::Gmm| fitted(session, args.components.unwrap_or(COMPONENTS), report)).transpose()?;
    let draw = args.draw || args.compare;
    let of_rows =
        if args.compare && !shown.is_empty() { Some(as_in_training(session, each * shown.len())?) } else { None };
    let wanted =
        Wanted { columns: if shown.is_empty() { count } else { each }, of_rows, shown, seed, draw, total: args.total };
    if !args.temperature.is_empty() {
        session.cool(&temperatures(session, &args.temperature)?)?;
    }
    let images = made(session, &wanted, source.as_ref())?;
    let record = &trained.session.record;
    let names: Vec<String> =
        wanted.shown.iter().map(|&class| scatter::name(class, record.classes.as_deref())).collect();
    let mut value = json!({ "count": images.len() / trained.session.model.width, "seed": seed, "drawn": draw });
    if !args.compare || args.out.is_some() {
        let rows = images.len() / trained.session.model.width;
        let classes_of: Vec<usize> = match &wanted.of_rows {
            Some(classes) => classes.iter().filter_map(|class| wanted.shown.iter().position(|c| c == class)).collect(),
            None => (0..rows).map(|row| row * names.len() / rows).collect(),
        };
        let of_rows: Vec<&str> = classes_of.iter().filter_map(|&at| names.get(at)).map(String::as_str).collect();
        let of = if args.class.is_some() { format!("-class-{}", names.join("-")) } else { String::new() };
        let of: String =
            of.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).take(80).collect();
        let from = if source.is_some() { "gmm" } else { "prior" };
        let drawn = if draw { "-drawn" } else { "" };
        let cooled: Vec<String> = args.temperature.iter().map(f32::to_string).collect();
        let at = if cooled.is_empty() { String::new() } else { format!("-temperature-{}", cooled.join("-")) };
        let name = format!("{from}{drawn}-step-{}-seed-{seed}{at}{of}.{}", trained.step, show::extension(record));
        let path = open::picture(&trained, args.out.as_deref(), &name)?;
        show::classes(&path, &images, &of_rows, record, columns)?;
        value["files"] = json!([path]);
        report.result(&path.display().to_string());
    }
    if let Some(mixture) = &source {
        value["ex_post"] = json!({
            "kind": "gmm", "components": mixture.weights.len(), "log_likelihood": mixture.log_likelihood,
            "weights": mixture.weights,
        });
    }
    if !names.is_empty() {
        let alike = if names.len() > 1 { ", a latent in each column" } else { "" };
        report.note(&format!("classes  {}{alike}", list(&names)));
        value["classes"] = json!(names);
    }
    if args.compare {
        value["compared"] = compare::say(&images, trained.session.data()?, record, seed, report)?;
    }
    report.json(&value);
    Ok(())
}

/// The single temperature of what has one.
///
/// # Errors
/// [`Error::Usage`] where there are several.
pub(super) fn one_temperature(args: &SampleArgs) -> Result<Option<f32>> {
    match args.temperature[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(Error::Usage("--temperature: several are for residual hierarchies; this model takes one".into())),
    }
}

/// The temperature of each group of a residual hierarchy, from those that were typed: one for all, those of resolutions, or of groups.
fn temperatures(session: &Session, typed: &[f32]) -> Result<Vec<f32>> {
    let (resolutions, groups) = (session.model.config.resolved()?, session.model.latents().len());
    match typed {
        [one] => Ok(vec![*one; groups]),
        all if all.len() == groups => Ok(all.to_vec()),
        all if all.len() == resolutions.len() => {
            let of_groups = resolutions.iter().zip(all);
            Ok(of_groups.flat_map(|(resolution, &it)| std::iter::repeat_n(it, resolution.groups)).collect())
        }
        all => Err(Error::Usage(format!(
            "--temperature: {} numbers; expected one, one for each of {} resolutions, or for each of {groups} groups",
            all.len(),
            resolutions.len()
        ))),
    }
}

/// The examples, [n, D], in the units of the model.
fn made(session: &mut Session, wanted: &Wanted, source: Option<&Gmm>) -> Result<Vec<f32>> {
    let &Wanted { ref shown, columns, ref of_rows, seed, draw, total } = wanted;
    if let Some(of_rows) = of_rows {
        let latents = match source {
            Some(mixture) => mixture.sample(of_rows.len(), seed),
            None => session.latents(&(0..of_rows.len() as u32).collect::<Vec<_>>(), seed)?,
        };
        return session.draw(&latents, of_rows, total, seed);
    }
    let rows = shown.len().max(1);
    let of_rows: Vec<u32> = shown.iter().flat_map(|&class| std::iter::repeat_n(class, columns)).collect();
    let mixed = source.map(|mixture| mixture.sample(columns, seed).repeat(rows));
    match (draw, mixed) {
        (false, None) if shown.is_empty() => session.sample(columns, seed),
        (false, None) => Ok(session.class_grid(shown, columns, &[seed])?.swap_remove(0)),
        (false, Some(latents)) => session.decode(&latents, &of_rows),
        (true, Some(latents)) => session.draw(&latents, &of_rows, total, seed),
        (true, None) => {
            let latents = session.latents(&(0..columns as u32).collect::<Vec<_>>(), seed)?.repeat(rows);
            session.draw(&latents, &of_rows, total, seed)
        }
    }
}

/// Classes of so many rows, each as often as the training part has it but for rounding.
///
/// # Errors
/// [`Error::Bug`] where the session has no data.
pub fn as_in_training(session: &Session, rows: usize) -> Result<Vec<u32>> {
    let data = session.data()?;
    let mut labels: Vec<u32> = data.labels.as_deref().unwrap_or_default()[data.train.clone()].to_vec();
    labels.sort_unstable();
    // The middles of equal parts of all labels in their order.
    Ok((0..rows).filter_map(|row| labels.get((2 * row + 1) * labels.len() / (2 * rows))).copied().collect())
}
