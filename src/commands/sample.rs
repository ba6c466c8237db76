//! `elbo sample`: new examples from the prior, as one picture, or as rows of a table.

use super::{open, show};
use crate::cli::SampleArgs;
use crate::error::Result;
use crate::report::Report;

/// Draws latents from the prior and writes what the decoder makes of them.
pub fn run(args: &SampleArgs, report: &Report) -> Result<()> {
    let count = open::check_count(args.count.unwrap_or(64))?;
    let device = (args.adapter.as_deref(), args.threads.count()?);
    let mut trained = open::without_data(&args.run, device, report)?;
    let seed = args.seed.unwrap_or(trained.session.config.train.seed);
    let images = trained.session.sample(count, seed)?;
    let record = &trained.session.record;
    let name = format!("prior-step-{}-seed-{seed}.{}", trained.step, show::extension(record));
    let path = open::picture(&trained, args.out.as_deref(), &name)?;
    show::save(&path, &images, record, columns(count))?;
    report.result(&path.display().to_string());
    Ok(())
}

/// As many columns as rows, or one row less.
fn columns(count: usize) -> usize {
    (count as f64).sqrt().ceil() as usize
}
