//! What a run came to.

use super::show;
use crate::checkpoint::{self, Progress, Which};
use crate::error::Result;
use crate::report::Report;
use crate::session::Session;
use crate::train::Member;
use std::path::Path;

/// The result on the test part, the files made, its page where `paged` says so, and what to do next.
///
/// # Errors
/// Those of evaluation.
pub fn finish(session: &mut Session, member: &Member, folder: &Path, paged: bool, report: &Report) -> Result<()> {
    let test = session.data()?.test.clone();
    let is_prior = session.model.is_prior_of_codes();
    if !test.is_empty() && is_prior {
        let terms = crate::eval::terms(session, test)?[0];
        let (nats, uniform) = (terms.distortion, session.model.uniform_nats());
        report.result(&format!(
            "test     -log p(codes) {nats:.2} nats per example, of {uniform:.2} where all are as likely"
        ));
    } else if !test.is_empty() {
        let terms = crate::eval::terms(session, test)?[0];
        report.result(&format!(
            "test     distortion {:.2} + rate {:.2} = -ELBO {:.2} nats per example",
            terms.distortion,
            terms.rate,
            terms.neg_elbo()
        ));
    }
    if let Some(learned) = session.learned()? {
        let [name, value, what] = learned.in_words(session.record.scales());
        report.note(&format!("{name:<9}{value}, {what}"));
    }
    let progress = &member.progress;
    if let (Some(best), Some(epoch)) = (progress.best, progress.best_epoch) {
        report.note(&came_to(progress, epoch, &format!("{} of {best:.2} nats", scored(session)?), folder));
    }
    // While the disk was full the best epoch may have come and gone.
    let kept = checkpoint::glance(folder, Which::Best).ok().map(|(_, kept)| kept.epoch);
    if progress.best_epoch.is_some() && kept != progress.best_epoch {
        let of =
            kept.map_or("there is no checkpoints/best".to_owned(), |kept| format!("checkpoints/best is epoch {kept}"));
        report.warn(&format!("the checkpoint of the best epoch could not be written: {of}"));
    }
    let shown = folder.display();
    let last = format!("epoch-{:04}.{}", progress.epoch, show::extension(&session.record));
    if is_prior {
        report.note(&format!("metrics  {}", folder.join("metrics.csv").display()));
        report.note(&format!("next     elbo eval {shown}"));
        report.note(&format!("         elbo sample {shown} -n 100"));
        return Ok(());
    }
    let (sparse, chooses) = (session.record.items.is_some(), session.config.model.takes().is_of_choices());
    let chooses = sparse && chooses;
    if !sparse {
        report.note(&format!("samples  {}", folder.join("samples").join(last).display()));
    }
    report.note(&format!("metrics  {}", folder.join("metrics.csv").display()));
    report.note(&format!("model    {}", folder.join("checkpoints").display()));
    // The run is whole without its page.
    match paged.then(|| super::super::report::at_end(session, progress, folder)).transpose() {
        Ok(page) => page.flatten().iter().for_each(|page| report.note(&format!("report   {}", page.display()))),
        Err(why) => report.warn(&format!("no report.html: {why}")),
    }
    let estimate = if session.model.has_codes() { "" } else { " --samples 100" };
    // Commands ask the test part where nothing else is said.
    let part = if session.data()?.test.is_empty() { " --part train" } else { "" };
    report.note(&format!("next     elbo eval {shown}{estimate}{part}"));
    if chooses {
        report.note(&format!("         elbo recommend {shown} --evaluate"));
        report.note(&format!("         elbo recommend {shown} --out next.csv"));
        return Ok(());
    }
    if sparse {
        report.note(&format!("         elbo embed {shown} --out latents.csv"));
        return Ok(());
    }
    report.note(&format!("         elbo sample {shown} -n 100"));
    report.note(&format!("         elbo reconstruct {shown}{part}"));
    Ok(())
}

/// Which epoch a run folder means, and which was the best one by this score.
fn came_to(progress: &Progress, best: u32, score: &str, folder: &Path) -> String {
    if progress.course.stopped || best == progress.epoch {
        return format!("best     epoch {best}, by its {score}");
    }
    let kept = folder.join("checkpoints").join("best");
    format!("last     epoch {}; epoch {best} had the best score, a {score}: {}", progress.epoch, kept.display())
}

/// By what of which part of the data epochs are compared, such as `validation -ELBO`.
///
/// # Errors
/// Those of [`Session::data`].
pub fn scored(session: &Session) -> Result<String> {
    let part = if session.data()?.validation.is_empty() { "training" } else { "validation" };
    Ok(format!("{part} {}", session.config.score()))
}
