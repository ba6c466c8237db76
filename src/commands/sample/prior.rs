//! New examples from a prior of codes: grids that it draws, decoded by the VQ-VAE.

use crate::cli::SampleArgs;
use crate::commands::{open, show};
use crate::error::{Error, Result};
use crate::model::tasks::NEXT;
use crate::report::Report;
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
        ("--class", args.class.is_some()),
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
    let temperature = args.temperature.unwrap_or(1.0);
    let mut prior = open::prior(&args.run, Purpose::task(NEXT, BATCH), report)?;
    let mut decoder = open::of_prior(&prior, &args.run)?;
    let drawn = show::is_drawn(args.out.as_deref(), &decoder.record);
    let count = open::check_count(args.count.unwrap_or(super::COUNT), drawn)?;
    let seed = args.seed.unwrap_or(prior.session.config.train.seed);
    let numbers: Vec<u32> = (0..count as u32).collect();
    let mut images = Vec::new();
    let begun = Instant::now();
    report.begin("sample", count);
    for numbers in numbers.chunks(BATCH) {
        let grids = prior.session.draw_grids(numbers, seed, temperature)?;
        images.extend(decoder.decode_codes(&grids)?);
        let done = images.len() / decoder.model.width;
        report.step(done, None, done as f64 / begun.elapsed().as_secs_f64());
    }
    report.clear();
    let at = if args.temperature.is_some() { format!("-temperature-{temperature}") } else { String::new() };
    let name = format!("prior-step-{}-seed-{seed}{at}.{}", prior.step, show::extension(&decoder.record));
    let path = open::picture(&prior, args.out.as_deref(), &name)?;
    show::save(&path, &images, &decoder.record, open::columns(count))?;
    report.result(&path.display().to_string());
    report.json(&json!({ "count": count, "seed": seed, "temperature": temperature, "drawn": false, "files": [path] }));
    Ok(())
}
