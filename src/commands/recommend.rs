//! `elbo recommend`: items that users may choose next, and how good such lists are.

use super::{files, open};
use crate::checkpoint::{self, Checkpoint};
use crate::cli::{DataPart, RecommendArgs};
use crate::config::{Config, Likelihood};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::tasks::EXPLAIN;
use crate::recommend::{Held, Means, hold_back, means, popularity, rank, top};
use crate::report::human::count;
use crate::report::table::table;
use crate::report::{Report, csv};
use crate::session::{BATCH, Purpose, Session};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

/// Items of each user in the file.
const TOP: usize = 10;

/// K of Recall@K and NDCG@K.
const AT: [usize; 3] = [20, 50, 100];

/// The most items of a user.
const MOST: usize = 10_000;

/// Writes the likeliest items of users that they have not chosen yet, or says how good such lists are.
///
/// # Errors
/// [`Error::Usage`] for a model that was not trained on interactions, or a number that is out of bounds; those of
/// [`open::dataset`] and [`open::part`]; [`Error::Disk`] where the file cannot be written.
pub fn run(args: &RecommendArgs, report: &Report) -> Result<()> {
    if let Some(out) = &args.out {
        files::format("--out ", out, &["csv"])?;
    }
    let most = args.top.unwrap_or(TOP);
    for (flag, number) in args.at.iter().map(|&k| ("--at", k)).chain([("--top", most)]) {
        if !(1..=MOST).contains(&number) {
            return Err(Error::Usage(format!("{flag} {number}: a list has 1 to {MOST} items")));
        }
    }
    let path = checkpoint::sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(&path, report)?;
    check(&checkpoint)?;
    let (config, data) = open::dataset(&checkpoint, args.data.as_deref(), None, Some(&args.run), report)?;
    if data.sparse().is_none() {
        return Err(Error::Data(format!(
            "{}: users and what each chose are expected: a list (user,item), an .npz of scipy.sparse.save_npz or an .mtx",
            data.name
        )));
    }
    let opened = Opened { path: &path, checkpoint: &checkpoint, config, args, report };
    if args.evaluate { evaluate(opened, data) } else { write(opened, data, most) }
}

/// What is asked, and of which model.
struct Opened<'a> {
    path: &'a Path,
    checkpoint: &'a Checkpoint,
    config: Config,
    args: &'a RecommendArgs,
    report: &'a Report,
}

impl Opened<'_> {
    /// The model on a device, with users.
    fn session(self, data: Dataset) -> Result<Session> {
        let purpose = Purpose::task(EXPLAIN, BATCH);
        let trained =
            open::with(&self.args.run, self.path, self.checkpoint, (self.config, data), purpose, self.report)?;
        if let Some(out) = &self.args.out {
            trained.spare(out)?;
        }
        Ok(trained.session)
    }
}

/// Refuses models that rank no items.
fn check(checkpoint: &Checkpoint) -> Result<()> {
    let (likelihood, items) = (checkpoint.config.model.likelihood, &checkpoint.progress.data.items);
    if likelihood != Likelihood::Multinomial {
        return Err(Error::Usage(format!(
            "elbo recommend is for models whose likelihood is multinomial; this one has model.likelihood = {}",
            likelihood.name()
        )));
    }
    if items.is_none() {
        return Err(Error::Usage(format!(
            "elbo recommend is for models of users and what each chose; this one was trained on {}: give such data as a list \
             (user,item), an .npz of scipy.sparse.save_npz or an .mtx",
            checkpoint.progress.data.name
        )));
    }
    Ok(())
}

/// Writes the lists of users, in the order of the source.
fn write(opened: Opened, data: Dataset, most: usize) -> Result<()> {
    let (args, report) = (opened.args, opened.report);
    let Some(out) = &args.out else { return Err(Error::Usage("--out FILE or --evaluate is wanted".into())) };
    let (part, name) = match args.part {
        Some(_) => open::part(&data, args.part)?,
        None => (0..data.len(), "whole"),
    };
    let mut users: Vec<u32> = part.map(|user| user as u32).collect();
    users.sort_by_key(|&user| data.row(user as usize));
    let names: Vec<String> = users.iter().map(|&user| data.user(user as usize)).collect();
    let items = data.items.clone().unwrap_or_default();
    let mut session = opened.session(data)?;
    let mut rows = Vec::new();
    rank(&mut session, &users, most, |user, ranking| {
        rows.extend(ranking.into_iter().zip(1..).map(|((item, log), place): ((u32, f32), usize)| {
            vec![names[user].clone(), place.to_string(), items[item as usize].clone(), log.to_string()]
        }));
        Ok(())
    })?;
    let (lines, header) = (rows.len(), ["user", "rank", "item", "log_probability"].map(str::to_owned));
    csv::save(out, &header, rows.into_iter())?;
    report.note(&format!(
        "items    up to {most} of each of {} users ({name} part of {})",
        count(users.len() as u64),
        session.record.name
    ));
    report.json(&json!({
        "data": session.record.name, "part": name, "users": users.len(), "top": most, "rows": lines, "files": [out],
    }));
    report.result(&out.display().to_string());
    Ok(())
}

/// Says how good lists are on items that are held back.
fn evaluate(opened: Opened, data: Dataset) -> Result<()> {
    let (args, report) = (opened.args, opened.report);
    let seed = args.seed.unwrap_or(opened.config.train.seed);
    // Of other data all users were held out.
    let (part, name) = match (args.part, &args.data) {
        (None, Some(_)) => (0..data.len(), "whole"),
        (None, None) => open::part(&data, Some(DataPart::Test))?,
        (asked, _) => open::part(&data, asked)?,
    };
    let users: Vec<u32> = part.map(|user| user as u32).collect();
    let popular = if args.data.is_none() { Some(popularity(&data)?) } else { None };
    let Held { shown, items: held, left_out } = hold_back(&data, &users, seed)?;
    drop(data);
    let ks = if args.at.is_empty() { AT.to_vec() } else { args.at.clone() };
    let most = ks.iter().copied().max().unwrap_or(1);
    report.note(&format!(
        "data     {}, {name} part: {} users of whom a fifth of the items is held back, seed {seed}; {} with fewer than two \
         items are left out",
        shown.name,
        count(held.len() as u64),
        count(left_out as u64)
    ));
    let beside: Option<Vec<Vec<u32>>> = popular.map(|popular| {
        let all = (0..held.len()).into_par_iter().map(|user| {
            let known = shown.sparse().map_or(&[][..], |sparse| sparse.row(user).items);
            items(&top(&popular, known, most))
        });
        all.collect()
    });
    let mut session = opened.session(shown)?;
    let everybody: Vec<u32> = (0..held.len() as u32).collect();
    let mut rankings = Vec::with_capacity(held.len());
    rank(&mut session, &everybody, most, |_, ranking| {
        rankings.push(items(&ranking));
        Ok(())
    })?;
    let model = means(&rankings, &held, &ks);
    let beside = beside.map(|rankings| means(&rankings, &held, &ks));
    report.result(&as_text(&model, beside.as_deref()));
    let mut value = json!({
        "data": session.record.name, "part": name, "users": held.len(), "left_out": left_out, "seed": seed,
        "quality": as_json(&model),
    });
    if let Some(beside) = beside {
        value["popularity"] = as_json(&beside);
    }
    report.json(&value);
    Ok(())
}

/// The items of a ranking alone.
fn items(ranking: &[(u32, f32)]) -> Vec<u32> {
    ranking.iter().map(|&(item, _)| item).collect()
}

fn as_text(model: &[Means], popular: Option<&[Means]>) -> String {
    let cell = |[mean, error]: [f64; 2]| format!("{mean:.4} ± {error:.4}");
    let row = |name: &str, at: usize, means: &[Means], of: fn(&Means) -> [f64; 2]| {
        let beside = popular.map(|popular| format!("{:.4}", of(&popular[at])[0]));
        [Some(format!("{name}@{}", means[at].at)), Some(cell(of(&means[at]))), beside].into_iter().flatten().collect()
    };
    let recall = (0..model.len()).map(|at| row("Recall", at, model, |means| means.recall));
    let ndcg = (0..model.len()).map(|at| row("NDCG", at, model, |means| means.ndcg));
    let rows: Vec<Vec<String>> = recall.chain(ndcg).collect();
    let header = ["", "model", "most popular"];
    table(&header[..if popular.is_some() { 3 } else { 2 }], &rows)
}

fn as_json(all: &[Means]) -> Value {
    let of = |means: &Means| {
        json!({
            "k": means.at, "recall": means.recall[0], "recall_se": means.recall[1],
            "ndcg": means.ndcg[0], "ndcg_se": means.ndcg[1],
        })
    };
    all.iter().map(of).collect()
}
