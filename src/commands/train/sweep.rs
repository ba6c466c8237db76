//! What is shown and kept of several models that train side by side.

use super::RunFolders;
use super::finish::scored;
use crate::checkpoint::sweep::Sweep;
use crate::checkpoint::{self, Which};
use crate::config;
use crate::durable;
use crate::error::{Error, Result};
use crate::eval::{self, Terms};
use crate::report::Report;
use crate::report::progress::MembersRow;
use crate::report::table::table;
use crate::session::Session;
use crate::train::{Epoch, Member};
use std::path::Path;

/// The settings that tell the members apart, as a table.
pub fn settings(session: &Session, sweep: &Sweep) -> String {
    let header: Vec<&str> = ["member"].into_iter().chain(sweep.varied.iter().map(|key| short(key))).collect();
    let rows: Vec<Vec<String>> = sweep.members.iter().enumerate().map(|(at, _)| label(session, sweep, at)).collect();
    table(&header, &rows)
}

/// Shows what an epoch came to for the members together, compared by a `score` of this name, and lets `best` name the best of them.
///
/// # Errors
/// Those of [`Sweep::mark_best`].
pub fn keep(
    epochs: &[Epoch],
    score: &str,
    best: &[Option<f64>],
    sweep: &Sweep,
    folder: &Path,
    report: &Report,
) -> Result<()> {
    let now = epochs.iter().min_by(|a, b| a.score().total_cmp(&b.score()));
    // Members that stopped early are among those that may be the best ever.
    let folders = sweep.folders(folder);
    let can_be = |at: usize| !sweep.lost.contains_key(&sweep.members[at]) && has_best(&folders[at]);
    let kept = best.iter().enumerate().filter(|(at, _)| can_be(*at));
    let ever = kept.filter_map(|(at, score)| Some((at, (*score)?))).min_by(|a, b| a.1.total_cmp(&b.1));
    let Some(now) = now else { return Ok(()) };
    let scores = epochs.iter().map(Epoch::score);
    report.members_epoch(&MembersRow {
        epoch: now.epoch,
        epochs: now.epochs,
        members: epochs.len(),
        member: now.member,
        best: now.score(),
        mean: scores.clone().sum::<f64>() / epochs.len() as f64,
        worst: scores.fold(f64::MIN, f64::max),
        score: format!("{} {}", if now.validation.is_some() { "validation" } else { "training" }, score),
        images_per_second: now.images_per_second,
        elapsed: now.elapsed,
        eta: now.left,
    });
    ever.map_or(Ok(()), |(ever, _)| sweep.mark_best(folder, ever))
}

/// Whether a member has a checkpoint that `best` can lead to: where the disk is full it may have none.
fn has_best(member: &Path) -> bool {
    checkpoint::locate(member, Which::Best).is_ok()
}

/// Notes that a member is given up, before anything is saved without it.
///
/// # Errors
/// [`Error::Bug`] where there is no sweep, [`Error::Disk`] where its file cannot be written.
pub fn give_up(place: &mut RunFolders, member: usize, why: &str, report: &Report) -> Result<()> {
    let Some(sweep) = &mut place.sweep else { return Err(Error::Bug("only members of a sweep are given up".into())) };
    let name = sweep.members[member].clone();
    report.warn(&format!("{name} is given up, and the others go on: {why}"));
    sweep.lost.insert(name, why.to_owned());
    sweep.write(&place.folder)
}

/// The table of all members, the best one, the files made, what to do next.
///
/// # Errors
/// Those of [`eval::terms`], and [`Error::Disk`] where a file cannot be written.
pub fn finish(session: &mut Session, members: &[Member], sweep: &Sweep, folder: &Path, report: &Report) -> Result<()> {
    let test = session.data()?.test.clone();
    let terms = if test.is_empty() { None } else { Some(eval::terms(session, test)?) };
    let score = scored(session)?;
    let result = |at: usize| Row::new(session, members, terms.as_deref(), sweep, at);
    let rows: Vec<Row> = (0..members.len()).map(result).collect();
    report.result(&as_table(&rows, sweep, &score));
    write_csv(&rows, sweep, &folder.join("members.csv"))?;
    let folders = sweep.folders(folder);
    let can_be = |(at, member): &(usize, &Member)| member.lost.is_none() && has_best(&folders[*at]);
    let alive = members.iter().enumerate().filter(can_be);
    let scored = alive.filter_map(|(at, member)| Some((at, member.progress.best?, member.progress.best_epoch?)));
    if let Some((at, best, epoch)) = scored.min_by(|a, b| a.1.total_cmp(&b.1)) {
        sweep.mark_best(folder, at)?;
        let name = &sweep.members[at];
        report.note(&format!("best     {name} after epoch {epoch}, by its {score} of {best:.2} nats"));
    }
    let shown = folder.display();
    report.note(&format!("table    {}", folder.join("members.csv").display()));
    report.note(&format!("models   {shown}/{} to {}", sweep.members[0], sweep.members[sweep.members.len() - 1]));
    report.note(&format!("next     elbo eval {shown}/best --samples 100"));
    report.note(&format!("         elbo sample {shown}/best -n 100"));
    Ok(())
}

/// What a member came to.
struct Row {
    /// Its name and its settings.
    label: Vec<String>,
    /// On the test part, after its last epoch, or in its best one if it stopped early; nothing where there is no such part, or the member is lost.
    test: Option<Terms>,
    best_epoch: Option<u32>,
    best: Option<f64>,
    lost: bool,
}

impl Row {
    fn new(session: &Session, members: &[Member], terms: Option<&[Terms]>, sweep: &Sweep, at: usize) -> Self {
        let (progress, lost) = (&members[at].progress, members[at].lost.is_some());
        let test = terms.map(|terms| terms[at]).filter(|_| !lost);
        Self { label: label(session, sweep, at), test, best_epoch: progress.best_epoch, best: progress.best, lost }
    }
}

fn as_table(rows: &[Row], sweep: &Sweep, score: &str) -> String {
    let best = format!("best {score}");
    let keys = sweep.varied.iter().map(|key| short(key));
    let results = ["distortion", "rate", "-ELBO", &best, "in epoch", ""];
    let header: Vec<&str> = ["member"].into_iter().chain(keys).chain(results).collect();
    let nats = |value: Option<f64>| value.map_or("-".to_owned(), |nats| format!("{nats:.2}"));
    let cells = |row: &Row| {
        let results = [
            nats(row.test.map(|terms| terms.distortion)),
            nats(row.test.map(|terms| terms.rate)),
            nats(row.test.map(|terms| terms.neg_elbo())),
            nats(row.best),
            row.best_epoch.map_or("-".to_owned(), |epoch| epoch.to_string()),
            if row.lost { "diverged".to_owned() } else { String::new() },
        ];
        row.label.iter().cloned().chain(results).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    format!("test part, nats per example; best {score}\n{}", table(&header, &rows))
}

fn write_csv(rows: &[Row], sweep: &Sweep, path: &Path) -> Result<()> {
    let keys = sweep.varied.join(",");
    let mut text = format!("member,{keys},test_distortion,test_rate,test_neg_elbo,best_score,best_epoch,diverged\n");
    for row in rows {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let results = [
            number(row.test.map(|terms| terms.distortion)),
            number(row.test.map(|terms| terms.rate)),
            number(row.test.map(|terms| terms.neg_elbo())),
            number(row.best),
            number(row.best_epoch.map(f64::from)),
            row.lost.to_string(),
        ];
        let cells: Vec<String> = row.label.iter().cloned().chain(results).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    durable::replace_file(path, text.as_bytes())
}

/// A member's name and the values in which it differs.
fn label(session: &Session, sweep: &Sweep, at: usize) -> Vec<String> {
    let config = session.members().nth(at).unwrap_or(&session.config);
    let values = sweep.varied.iter().map(|key| config::value(config, key));
    [sweep.members[at].clone()].into_iter().chain(values).collect()
}

/// The last part of a key.
fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Options;
    use std::fs;
    use std::time::Duration;

    #[test]
    fn best_names_a_member_only_once_it_has_a_checkpoint_to_name() {
        let folder = tempfile::tempdir().unwrap();
        let sweep = Sweep::new(vec!["train.seed".into()], 2);
        let report = Report::to(Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()));
        let epoch = |member: usize, distortion: f64| Epoch {
            member,
            epoch: 1,
            epochs: 2,
            distortion,
            rate: 0.0,
            layer_rates: vec![],
            validation: None,
            neg_bound: None,
            validation_neg_bound: None,
            others: vec![],
            lr: 0.1,
            beta: None,
            capacity: None,
            monitored: None,
            best: distortion,
            images_per_second: 1.0,
            elapsed: Duration::ZERO,
            left: Duration::ZERO,
        };
        let best = [Some(1.0), Some(2.0)];
        let named = || {
            keep(&[epoch(0, 1.0), epoch(1, 2.0)], "-ELBO", &best, &sweep, folder.path(), &report).unwrap();
            fs::read_to_string(folder.path().join("best")).ok()
        };
        assert_eq!(named(), None, "none of them is saved");
        for (member, expected) in [("member-01", "member-01\n"), ("member-00", "member-00\n")] {
            let checkpoints = folder.path().join(member).join("checkpoints");
            fs::create_dir_all(checkpoints.join("step-0000000004")).unwrap();
            fs::write(checkpoints.join("best"), "step-0000000004\n").unwrap();
            assert_eq!(named().as_deref(), Some(expected), "the best of those that are saved");
        }
    }
}
