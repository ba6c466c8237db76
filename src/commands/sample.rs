//! `elbo sample`: new examples from the prior, as one picture, or as rows of a table.

use super::{classes, open, show};
use crate::cli::SampleArgs;
use crate::data::classes::list;
use crate::error::Result;
use crate::report::{Report, scatter};
use serde_json::json;

/// Examples where nothing else is asked for: of all, and of each class.
const COUNT: usize = 64;
const OF_EACH: usize = 8;

/// Draws latents from the prior and writes what the decoder makes of them. A conditional model gets a row for each class,
/// and each column is one latent.
///
/// # Errors
/// Those of [`open::without_data`] and [`show::save`], and [`crate::error::Error::Usage`] for a number of pictures or a
/// class that makes no sense.
pub fn run(args: &SampleArgs, report: &Report) -> Result<()> {
    let mut trained = open::without_data(&args.run, report)?;
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
    let (images, columns) = if shown.is_empty() {
        (session.sample(count, seed)?, open::columns(count))
    } else {
        if drawn {
            classes::check_pictures(columns, shown.len(), 0, "--class")?;
        } else {
            open::check_count(columns.saturating_mul(shown.len()), drawn)?;
        }
        let images = session.class_grid(&shown, columns, &[seed])?.swap_remove(0);
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
    let name = format!("prior-step-{}-seed-{seed}{of}.{}", trained.step, show::extension(record));
    let path = open::picture(&trained, args.out.as_deref(), &name)?;
    show::classes(&path, &images, &of_rows, record, columns)?;
    let mut value = json!({ "count": rows, "seed": seed, "files": [path] });
    if !names.is_empty() {
        let alike = if names.len() > 1 { ", a latent in each column" } else { "" };
        report.note(&format!("classes  {}{alike}", list(&names)));
        value["classes"] = json!(names);
    }
    report.json(&value);
    report.result(&path.display().to_string());
    Ok(())
}
