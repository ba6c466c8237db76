//! `elbo augment`: more rows of the classes that are rare, marked, in the units and types of the data.

mod wanted;
mod write;

use super::cells::cells;
use super::{files, open};
use crate::checkpoint::{self, Checkpoint, sweep};
use crate::cli::{AugmentArgs, LatentsFrom, NewValues};
use crate::config::Config;
use crate::data::Dataset;
use crate::data::classes::list;
use crate::error::{Error, Result};
use crate::fidelity::near::{Nearness, SHARE, nearness};
use crate::interop;
use crate::model::Model;
use crate::model::tasks::{ENCODE, NATURAL, Need};
use crate::report::Report;
use crate::report::human::{count, counted};
use crate::report::table::table;
use crate::rng::{Philox, Stream};
use crate::session::{BATCH, Purpose, Session};
use rand::seq::SliceRandom;
use serde_json::json;
use wanted::Class;

/// Sequences of the host for this command, apart from others of the same stream.
const ORDER: u32 = 0x6175_676d;
const LATENT: u32 = 1;

/// Rows of the data, and new ones.
struct Augmented {
    /// The rows of the data that are written, in the order of the source.
    kept: Vec<u32>,
    /// The classes of the data, of the model where it was told some.
    classes: Vec<Class>,
    /// New rows in the units of the model, [n, D], those of a class one after the other.
    rows: Vec<f32>,
    /// The class of each.
    of_rows: Vec<u32>,
}

/// Draws what is missing of each class and writes it with what is there.
///
/// # Errors
/// Those of [`open::load`] and [`open::dataset`]; [`Error::Usage`] for flags that make no sense, where no class is rare, and where
/// there are no classes; [`Error::Disk`] where nothing can be written.
pub fn run(args: &AugmentArgs, report: &Report) -> Result<()> {
    let path = &sweep::one_model(&args.run.run)?;
    let checkpoint = open::load(path, report)?;
    // Refused before anything is read.
    let model = interop::model(&checkpoint)?;
    let from = latents_from(args, &model)?;
    if let (Some(name), true) = (&args.labels, model.classes > 0) {
        return Err(Error::Usage(format!(
            "--labels {name}: the model knows classes of rows (model.condition = {}), and these labels would be taken for them",
            checkpoint.config.model.condition.word()
        )));
    }
    let labels = args.labels.as_deref();
    let (config, data) = open::dataset(&checkpoint, args.data.as_deref(), labels, Some(&args.run), report)?;
    let target = write::Target::of(&args.out, &data)?;
    let sources = open::sources(&[&checkpoint.config, &config]);
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    files::spare(&args.out, &sources, Some(&open::folder_of(path)))?;
    let kept = kept(args, &data)?;
    let classes = wanted::classes(&data, &kept, args.to.as_deref())?;
    check_known(&checkpoint, &classes, from, report)?;
    let values = args.values.unwrap_or(if write::are_rows(&data) { NewValues::Draw } else { NewValues::Mean });
    let mut session = opened(&config, data, &checkpoint, args, report)?;
    let seed = args.seed.unwrap_or(config.train.seed);
    let of_rows: Vec<u32> = (0..).zip(&classes).flat_map(|(class, of)| std::iter::repeat_n(class, of.wanted)).collect();
    open::check_count(of_rows.len(), false)?;
    let latents = match from {
        LatentsFrom::Prior => session.latents(&(0..of_rows.len() as u32).collect::<Vec<_>>(), seed)?,
        LatentsFrom::Posterior => posterior(&mut session, &classes, seed)?,
    };
    let told = if session.model.classes > 0 { &of_rows[..] } else { &[] };
    let rows = match values {
        NewValues::Draw => session.draw(&latents, told, args.total, seed)?,
        NewValues::Mean => session.decode(&latents, told)?,
    };
    let mut done = Augmented { kept, classes, rows, of_rows };
    if write::are_rows(session.data()?) {
        session.record.round(&mut done.rows);
    }
    let found = compared(&session, &done)?;
    target.write(args, &config, &session, &done)?;
    say(args, &session, &done, &found, (from, values, seed), report);
    Ok(())
}

/// Where latents come from, if the model can give them so.
fn latents_from(args: &AugmentArgs, model: &Model) -> Result<LatentsFrom> {
    model.need(&[Need::Numbers, Need::Values, Need::Decoder], "elbo augment")?;
    model.task(NATURAL)?;
    let usual = if model.classes > 0 { LatentsFrom::Prior } else { LatentsFrom::Posterior };
    let from = args.from.unwrap_or(usual);
    match from {
        LatentsFrom::Prior if model.classes == 0 => {
            return Err(Error::Usage(
                "--from prior: the model is told no classes (model.condition = none), so the prior has none of them; \
                 --from posterior takes latents of rows of the class"
                    .into(),
            ));
        }
        LatentsFrom::Posterior if model.infers_classes() => {
            return Err(Error::Usage(
                "--from posterior: the model encodes a row as the class that it infers (model.condition = inferred), and not \
                 as that of its label; --from prior decodes latents as a class"
                    .into(),
            ));
        }
        LatentsFrom::Posterior => {
            model.need(&[Need::OneLayer, Need::GaussianPosterior], "elbo augment --from posterior")?;
        }
        LatentsFrom::Prior => {}
    }
    Ok(from)
}

/// The rows that are written, in the order of the source.
fn kept(args: &AugmentArgs, data: &Dataset) -> Result<Vec<u32>> {
    let part = match args.part {
        Some(_) => open::part(data, args.part)?.0,
        None => 0..data.len(),
    };
    let mut kept: Vec<u32> = part.map(|at| at as u32).collect();
    kept.sort_by_key(|&at| data.row(at as usize));
    Ok(kept)
}

/// Refuses classes of which nobody knows anything, and says where the model has seen none.
fn check_known(checkpoint: &Checkpoint, classes: &[Class], from: LatentsFrom, report: &Report) -> Result<()> {
    let asked = || (0..).zip(classes).filter(|(_, of)| of.wanted > 0);
    if let (LatentsFrom::Posterior, Some((_, of))) = (from, asked().find(|(_, of)| of.rows.is_empty())) {
        return Err(Error::Usage(format!(
            "--to: there is no row of class `{}` whose latents could be taken; give it one, or train a model that is told classes",
            of.name
        )));
    }
    if from == LatentsFrom::Prior {
        let wanted: Vec<u32> = asked().map(|(class, _)| class).collect();
        let unseen: Vec<String> = checkpoint.progress.data.unseen(&wanted).into_iter().map(str::to_owned).collect();
        if !unseen.is_empty() {
            report.warn(&format!(
                "there was no example of {} in the training part: what the model makes of such a class is arbitrary",
                list(&unseen)
            ));
        }
    }
    Ok(())
}

/// The model on a device, with the data.
fn opened(
    config: &Config,
    data: Dataset,
    checkpoint: &Checkpoint,
    args: &AugmentArgs,
    report: &Report,
) -> Result<Session> {
    let record = &checkpoint.progress.data;
    if data.hash != record.hash && args.data.is_some() {
        report.note("near     copies are looked for among the rows of --data, and not among those of the training");
    }
    let mut session = Session::new(config.clone(), data, open::device(&args.run, report)?)?;
    checkpoint::match_parameters(checkpoint, &session.expected())?;
    session.plan(Purpose::task(ENCODE, BATCH))?;
    session.restore(0, checkpoint)?;
    // Other data may have been written with fewer digits, and new rows are of the kind that the model was trained on.
    session.record.decimals.clone_from(&record.decimals);
    Ok(session)
}

/// A latent for each new row: the rows of a class take turns, in another order each time, and each gives one from its posterior.
fn posterior(session: &mut Session, classes: &[Class], seed: u64) -> Result<Vec<f32>> {
    let (mut latents, mut row) = (Vec::new(), 0);
    for (class, of) in (0..).zip(classes).filter(|(_, of)| of.wanted > 0) {
        let known = session.encode(&of.rows, seed)?;
        let width = known.latent;
        let mut random = Philox::new(seed, Stream::Choice, ORDER, class);
        let mut turns: Vec<usize> = Vec::with_capacity(of.wanted + of.rows.len());
        while turns.len() < of.wanted {
            let mut turn: Vec<usize> = (0..of.rows.len()).collect();
            turn.shuffle(&mut random);
            turns.extend(turn);
        }
        for &at in &turns[..of.wanted] {
            let mut random = Philox::new(seed, Stream::Draw, row, LATENT);
            let places = at * width..(at + 1) * width;
            let moments = known.means[places.clone()].iter().zip(&known.log_variances[places]);
            latents.extend(moments.map(|(mean, log_variance)| mean + (0.5 * log_variance).exp() * random.normal()));
            row += 1;
        }
    }
    Ok(latents)
}

/// How near the new rows of each class are to those of its rows that were there.
fn compared(session: &Session, done: &Augmented) -> Result<Vec<Option<Nearness>>> {
    let (data, record, width) = (session.data()?, &session.record, session.model.width);
    let all = cells(record, &data.examples(&done.kept)?);
    let mut first = 0;
    let mut found = Vec::new();
    for of in &done.classes {
        let new = &done.rows[first * width..(first + of.wanted) * width];
        first += of.wanted;
        found.push(if new.is_empty() {
            None
        } else {
            nearness(&cells(record, new), &cells(record, &data.examples(&of.rows)?), &all)
        });
    }
    Ok(found)
}

fn say(
    args: &AugmentArgs,
    session: &Session,
    done: &Augmented,
    found: &[Option<Nearness>],
    how: (LatentsFrom, NewValues, u64),
    report: &Report,
) {
    let percent = |part: usize, of: usize| format!("{:.2} %", 100.0 * part as f64 / of.max(1) as f64);
    let lines = done.classes.iter().zip(found).map(|(of, near)| {
        let share =
            |part: &dyn Fn(&Nearness) -> usize| near.as_ref().map_or("-".into(), |it| percent(part(it), of.wanted));
        let counts = [of.rows.len(), of.wanted].map(|rows| count(rows as u64));
        [vec![of.name.clone()], counts.to_vec(), vec![share(&|it| it.copies), share(&|it| it.near)]].concat()
    });
    report.note(&table(&["class", "there", "new", "copies", "near"], &lines.collect::<Vec<_>>()));
    let sum = |part: &dyn Fn(&Nearness) -> usize| found.iter().flatten().map(part).sum::<usize>();
    let looked_at: usize = done.classes.iter().zip(found).filter(|(_, it)| it.is_some()).map(|(of, _)| of.wanted).sum();
    let (copies, near) = (sum(&|it| it.copies), sum(&|it| it.near));
    if copies > 0 || near as f64 > 2.0 * SHARE * looked_at as f64 {
        report.warn(&format!(
            "{} of {} are too near to a row of their class: {} are copies of one, and {} nearer to one than {:.0} % of these are \
             to each other ({:.0} % would be by chance)",
            percent(near, looked_at),
            counted(looked_at as u64, "new row"),
            percent(copies, looked_at),
            percent(near - copies, looked_at),
            100.0 * (1.0 - SHARE),
            100.0 * SHARE
        ));
    }
    let unlabelled = done.kept.len() - done.classes.iter().map(|of| of.rows.len()).sum::<usize>();
    if unlabelled > 0 {
        report.note(&format!("{} without a label count for no class", counted(unlabelled as u64, "row")));
    }
    let (from, values, seed) = how;
    let classes = done.classes.iter().zip(found).map(|(of, near)| {
        json!({
            "class": of.name, "there": of.rows.len(), "new": of.wanted, "copies": near.map(|it| it.copies),
            "near": near.map(|it| it.near),
        })
    });
    report.json(&json!({
        "data": session.record.name, "classes": classes.collect::<Vec<_>>(), "new": done.of_rows.len(),
        "copies": copies, "near": near, "looked_at": looked_at, "seed": seed, "files": [&args.out],
        "from": if from == LatentsFrom::Prior { "prior" } else { "posterior" },
        "values": if values == NewValues::Draw { "draw" } else { "mean" },
    }));
    report.result(&args.out.display().to_string());
}
