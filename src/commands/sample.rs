//! `elbo sample`: new examples from the prior, as one picture, or as rows of a table.

use super::{classes, open, show};
use crate::cli::{ExPost, SampleArgs};
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

/// Components of a mixture that takes the place of the prior, and the most codes that it is fitted to.
const COMPONENTS: usize = 10;
const MOST_CODES: usize = 20_000;

/// A mixture of normal distributions over the codes of the training part.
fn fitted(session: &mut Session, components: usize, report: &Report) -> Result<Gmm> {
    session.model.need(&[Need::Numbers, Need::OneLayer], "elbo sample --ex-post")?;
    if components == 0 {
        return Err(Error::Usage("--components 0: a mixture has one component at least".into()));
    }
    let (part, seed) = (session.data()?.train.clone(), session.config.train.seed);
    // Spread evenly, so that sorted data show all of their kinds.
    let count = part.len().min(MOST_CODES);
    let shown: Vec<u32> = (0..count).map(|i| (part.start + i * part.len() / count) as u32).collect();
    let codes = session.encode(&shown, seed)?;
    let mixture = Gmm::fit(&codes.means, codes.latent, components, seed)?;
    report.note(&format!(
        "ex post  {components} components, fitted to the codes of {count} training examples: {:.2} nats a code",
        -mixture.log_likelihood
    ));
    Ok(mixture)
}

/// Draws latents from the prior and writes what the decoder makes of them. A conditional model gets a row for each class,
/// and each column is one latent.
///
/// # Errors
/// Those of [`open::without_data`] and [`show::save`], and [`crate::error::Error::Usage`] for a number of pictures or a
/// class that makes no sense.
pub fn run(args: &SampleArgs, report: &Report) -> Result<()> {
    let mut trained = match args.ex_post {
        None => open::without_data(&args.run, report)?,
        Some(_) => open::with_data(&args.run, args.data.as_deref(), Purpose::task(ENCODE, BATCH), report)?,
    };
    // Rows of a table are not held to what a picture has room for.
    let drawn = show::is_drawn(args.out.as_deref(), &trained.session.record);
    let count = open::check_count(args.count.unwrap_or(COUNT), drawn)?;
    let session = &mut trained.session;
    let seed = args.seed.unwrap_or(session.config.train.seed);
    let mut shown = classes::typed(session, "--class", args.class.as_deref())?;
    if shown.is_empty() {
        shown = (0..session.model.classes as u32).collect();
    }
    classes::say_unseen(session, &shown, report);
    let columns = args.count.unwrap_or(if shown.len() > 1 { OF_EACH } else { COUNT });
    let source =
        args.ex_post.map(|ExPost::Gmm| fitted(session, args.components.unwrap_or(COMPONENTS), report)).transpose()?;
    let (images, columns) = if shown.is_empty() {
        let images = match &source {
            None => session.sample(count, seed)?,
            Some(mixture) => session.decode(&mixture.sample(count, seed), &[])?,
        };
        (images, open::columns(count))
    } else {
        if drawn {
            classes::check_pictures(columns, shown.len(), 0, "--class")?;
        } else {
            open::check_count(columns.saturating_mul(shown.len()), drawn)?;
        }
        let images = match &source {
            None => session.class_grid(&shown, columns, &[seed])?.swap_remove(0),
            Some(mixture) => {
                let latents = mixture.sample(columns, seed).repeat(shown.len());
                let classes: Vec<u32> = shown.iter().flat_map(|&class| std::iter::repeat_n(class, columns)).collect();
                session.decode(&latents, &classes)?
            }
        };
        (images, if shown.len() > 1 { columns } else { open::columns(columns) })
    };
    let record = &trained.session.record;
    let names: Vec<String> = shown.iter().map(|&class| scatter::name(class, record.classes.as_deref())).collect();
    let rows = images.len() / trained.session.model.width;
    let of_rows: Vec<&str> =
        (0..rows).filter_map(|row| names.get(row * names.len() / rows)).map(String::as_str).collect();
    let of = if args.class.is_some() { format!("-class-{}", names.join("-")) } else { String::new() };
    let of: String =
        of.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).take(80).collect();
    let from = if source.is_some() { "gmm" } else { "prior" };
    let name = format!("{from}-step-{}-seed-{seed}{of}.{}", trained.step, show::extension(record));
    let path = open::picture(&trained, args.out.as_deref(), &name)?;
    show::classes(&path, &images, &of_rows, record, columns)?;
    let mut value = json!({ "count": rows, "seed": seed, "files": [path] });
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
    report.json(&value);
    report.result(&path.display().to_string());
    Ok(())
}
