//! `elbo reconstruct`: examples, and below each what the model makes of it.

use super::{open, show};
use crate::cli::ReconstructArgs;
use crate::error::Result;
use crate::report::Report;
use crate::session::Purpose;

/// Pictures in a row.
const COLUMNS: usize = 8;

/// Encodes examples, decodes the means of their posteriors, and writes both.
pub fn run(args: &ReconstructArgs, report: &Report) -> Result<()> {
    let wanted = open::check_count(args.count.unwrap_or(32))?;
    let device = (args.adapter.as_deref(), args.threads.count()?);
    let purpose = Purpose::Reconstruct(32);
    let mut trained = open::with_data(&args.run, args.data.as_deref(), device, purpose, report)?;
    let session = &mut trained.session;
    let (part, name) = open::part(session.data()?, args.part)?;
    let count = wanted.min(part.len());
    if count < wanted {
        report.note(&format!("the {name} part has only {count} examples"));
    }
    // Spread evenly, so that sorted data show all of their kinds.
    let shown: Vec<u32> = (0..count).map(|i| (part.start + i * part.len() / count) as u32).collect();
    let seed = session.config.train.seed;
    let (originals, reconstructions) = session.reconstruct(&shown, seed)?;
    let record = &trained.session.record;
    let file = format!("{name}-step-{}.{}", trained.step, show::extension(record));
    let path = open::picture(&trained, args.out.as_deref(), &file)?;
    show::pairs(&path, &originals, &reconstructions, record, COLUMNS.min(count))?;
    report.result(&path.display().to_string());
    Ok(())
}
