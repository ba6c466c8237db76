//! New examples from a prior of codes: grids that it draws, decoded by the VQ-VAE.

use crate::cli::SampleArgs;
use crate::commands::{classes, open, show};
use crate::data::classes::list;
use crate::error::{Error, Result};
use crate::model::tasks::NEXT;
use crate::report::{Report, scatter};
use crate::session::{BATCH, Purpose};
use serde_json::json;
use std::time::Instant;

/// Draws grids and writes what the decoder makes of them.
///
/// # Errors
/// [`Error::Usage`] for what makes no sense of a prior of codes; those of [`open::prior`], [`open::of_prior`],
/// [`crate::session::Session::draw_grids`] and [`show::save`].
pub fn run(args: &SampleArgs, report: &Report) -> Result<()> {
    for (flag, given) in [
        ("--ex-post", args.ex_post.is_some()),
        ("--draw", args.draw),
        ("--total", args.total.is_some()),
        ("--compare", args.compare),
        ("--data", args.data.is_some()),
        ("--top-k", args.top_k.is_some()),
        ("--top-p", args.top_p.is_some()),
    ] {
        if given {
            return Err(Error::Usage(format!("{flag} is for autoencoders, and this is the prior of the codes of one")));
        }
    }
    let temperature = super::one_temperature(args)?.unwrap_or(1.0);
    let mut prior = open::prior(&args.run, Purpose::task(NEXT, BATCH), report)?;
    let mut decoder = open::of_prior(&prior, &args.run)?;
    let drawn = show::is_drawn(args.out.as_deref(), &decoder.record);
    let mut shown = classes::typed(&prior.session, "--class", args.class.as_deref())?;
    if shown.is_empty() {
        shown = (0..prior.session.model.classes as u32).collect();
    }
    classes::say_unseen(&prior.session, &shown, report);
    let usual = if shown.len() > 1 { super::OF_EACH } else { super::COUNT };
    let each = args.count.unwrap_or(usual);
    let count = open::check_count(each.saturating_mul(shown.len().max(1)), drawn)?;
    let seed = args.seed.unwrap_or(prior.session.config.train.seed);
    // A row for each class, in which the same numbers are drawn.
    let numbers: Vec<u32> = (0..count).map(|at| (at % each) as u32).collect();
    let told: Vec<u32> = shown.iter().flat_map(|&class| std::iter::repeat_n(class, each)).collect();
    let mut images = Vec::new();
    let begun = Instant::now();
    report.begin("sample", count);
    for (at, numbers) in numbers.chunks(BATCH).enumerate() {
        let told: Vec<u32> = told.iter().skip(at * BATCH).take(numbers.len()).copied().collect();
        let grids = prior.session.draw_grids_as(numbers, &told, seed, temperature)?;
        images.extend(decoder.decode_codes(&grids)?);
        let done = images.len() / decoder.model.width;
        report.step(done, None, done as f64 / begun.elapsed().as_secs_f64());
    }
    report.clear();
    let at = if args.temperature.is_empty() { String::new() } else { format!("-temperature-{temperature}") };
    let names: Vec<String> =
        shown.iter().map(|&class| scatter::name(class, prior.session.record.classes.as_deref())).collect();
    let of = if args.class.is_some() { format!("-class-{}", names.join("-")) } else { String::new() };
    let of: String = of.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let of: String = of.chars().take(80).collect();
    let name = format!("prior-step-{}-seed-{seed}{at}{of}.{}", prior.step, show::extension(&decoder.record));
    let path = open::picture(&prior, args.out.as_deref(), &name)?;
    show::save(&path, &images, &decoder.record, if shown.len() > 1 { each } else { open::columns(count) })?;
    report.result(&path.display().to_string());
    let mut value =
        json!({ "count": count, "seed": seed, "temperature": temperature, "drawn": false, "files": [path] });
    if !names.is_empty() {
        report.note(&format!("classes  {}", list(&names)));
        value["classes"] = json!(names);
    }
    report.json(&value);
    Ok(())
}
