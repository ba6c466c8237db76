//! `elbo disentangle`: how well latent dimensions follow known factors of variation.

use super::factors::{self, Factor};
use super::{classes, open, show as drawn, traverse};
use crate::cli::DisentangleArgs;
use crate::data::Dataset;
use crate::disentangle::{Dci, Examples, Information, Sap, Varied, dci, factor_vae, information, sap};
use crate::durable;
use crate::error::{Error, Result};
use crate::model::tasks::{ENCODE, Need};
use crate::report::human::count;
use crate::report::table::table;
use crate::report::{Report, npy, scatter};
use crate::rng::{Philox, Stream};
use crate::session::{BATCH, Posterior, Purpose, Session};
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Examples that are scored where no number is asked for, as in `disentanglement_lib`.
const COUNT: usize = 10_000;

/// Everything that is said of a representation.
struct Scores {
    information: Information,
    dci: Dci,
    sap: Sap,
    factor_vae: f64,
}

impl Scores {
    fn of(examples: &Examples, seed: u64) -> Self {
        Self {
            information: information(examples),
            dci: dci(examples, seed),
            sap: sap(examples),
            factor_vae: factor_vae(examples, seed),
        }
    }
}

/// Encodes examples whose factors are known, and prints the scores of the means of their posteriors.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and [`Examples::new`]; [`Error::Usage`] where the factors are not known, or
/// `--kinds` names none of them; [`Error::Data`] where a file of factors does not go with the data; [`Error::Disk`] where
/// files cannot be written.
pub fn run(args: &DisentangleArgs, report: &Report) -> Result<()> {
    let most = args.count.unwrap_or(COUNT);
    let mut trained = open::with_data(&args.run, args.data.as_deref(), Purpose::task(ENCODE, BATCH), report)?;
    if let Some(folder) = &args.out {
        files(folder).iter().try_for_each(|file| trained.spare(file))?;
    }
    if let Some(picture) = &args.picture {
        super::files::format("--picture ", picture, &["png"])?;
        trained.spare(picture)?;
        trained
            .session
            .model
            .need(&[Need::Numbers, Need::NoCategories, Need::Decoder], "elbo disentangle --picture")?;
    }
    let session = &mut trained.session;
    session.model.need(&[Need::Numbers, Need::Values], "elbo disentangle")?;
    let (part, name) = match args.part {
        Some(_) => open::part(session.data()?, args.part)?,
        None => (0..session.data()?.len(), "whole"),
    };
    let mut factors = known(session.data()?, args.factors.as_deref())?;
    factors::unordered(&mut factors, args.kinds.as_deref())?;
    let seed = args.seed.unwrap_or(session.config.train.seed);
    // Drawn at random, so that what is fitted to the first of them may be tested on the last.
    let mut examples: Vec<u32> = part.map(|at| at as u32).collect();
    examples.shuffle(&mut Philox::new(seed, Stream::Choice, 0x6469_7365, 0));
    examples.truncate(most);
    let posterior = session.encode(&examples, seed)?;
    let of = |factor: &Factor| examples.iter().map(|&at| factor.values[at as usize]).collect::<Vec<u32>>();
    let chosen = factors.iter().map(|factor| (factor.name.clone(), of(factor), factor.ordered)).collect();
    let scored = Examples::new(posterior.means.clone(), posterior.latent, chosen)?;
    let mut made = match &args.out {
        Some(folder) => save(folder, &posterior.means, &factors, &examples)?,
        None => vec![],
    };
    let (first, examples, data) = (examples[0], scored, session.record.name.clone());
    let scores = Scores::of(&examples, seed);
    report.note(&format!("scored   {} examples ({name} part of {data})", count(examples.len() as u64)));
    for name in examples.constant() {
        report.warn(&format!("factor {name} has one value in these examples, and is left out"));
    }
    show(&scores, &examples, report);
    let mut value = as_json(&scores, &examples);
    if let Some(picture) = &args.picture {
        let followed = followed(&scores.information, &examples);
        let order: Vec<usize> = followed.iter().map(|it| it.0).collect();
        draw(session, &posterior, &order, first, picture, report)?;
        let row = |(row, &(latent, k, share)): (usize, &(usize, usize, f64))| {
            vec![row.to_string(), latent.to_string(), examples.factors()[k].name.clone(), format!("{share:.3}")]
        };
        let rows: Vec<Vec<String>> = followed.iter().enumerate().map(row).collect();
        report.result(&format!("\n{}", table(&["row", "latent", "follows", "told of it"], &rows)));
        value["order"] = json!(order);
        made.push(picture.clone());
    }
    value["data"] = json!(data);
    value["part"] = json!(name);
    value["seed"] = json!(seed);
    value["files"] = json!(made);
    report.json(&value);
    for file in &made {
        report.result(&file.display().to_string());
    }
    Ok(())
}

/// The factors of a data set: those of a file, or those that sprites were drawn with.
fn known(data: &Dataset, file: Option<&Path>) -> Result<Vec<Factor>> {
    if let Some(file) = file {
        return factors::read(file, data, false);
    }
    factors::drawn(data).ok_or_else(|| {
        Error::Usage(format!(
            "{}: the factors of its examples are not known; name a file that has them, a row for each example, by \
             --factors FILE.csv or FILE.npy, or take a run on `sprites`",
            data.name
        ))
    })
}

/// What is written into a folder.
fn files(folder: &Path) -> [PathBuf; 2] {
    ["codes.npy", "factors.npy"].map(|name| folder.join(name))
}

/// Writes codes, [N, Z], and factors, [N, K], of the examples.
fn save(folder: &Path, codes: &[f32], factors: &[Factor], examples: &[u32]) -> Result<Vec<PathBuf>> {
    durable::create_folder(folder)?;
    let row = |&at: &u32| factors.iter().map(move |factor| factor.values[at as usize] as f32);
    let values: Vec<f32> = examples.iter().flat_map(row).collect();
    let made = files(folder);
    npy::save(&made[0], codes, &[examples.len(), codes.len() / examples.len().max(1)])?;
    npy::save(&made[1], &values, &[examples.len(), factors.len()])?;
    Ok(made.into())
}

/// Prints a table of scores, one of factors and one of latents.
fn show(scores: &Scores, examples: &Examples, report: &Report) {
    let Scores { information, dci, sap, factor_vae } = scores;
    let number = |score: f64| format!("{score:.3}");
    let rows = [
        ("MIG", information.mig),
        ("disentanglement (DCI)", dci.disentanglement),
        ("completeness (DCI)", dci.completeness),
        ("informativeness (DCI)", dci.informativeness),
        ("SAP", sap.sap),
        ("FactorVAE", *factor_vae),
        ("modularity", information.modularity),
    ];
    report.result(&table(&["score", "value"], &rows.map(|(name, score)| vec![name.to_owned(), number(score)])));
    let factors = examples.factors();
    let of_factor = |(k, factor): (usize, &Varied)| {
        let follows = best(information.mutual.iter().skip(k).step_by(factors.len()).copied());
        let cells = [information.gaps[k], sap.gaps[k], dci.accuracies[k]].map(number);
        let [gap, sap, accuracy] = cells;
        vec![factor.name.clone(), factor.count.to_string(), follows.to_string(), gap, sap, accuracy]
    };
    let rows: Vec<Vec<String>> = factors.iter().enumerate().map(of_factor).collect();
    report.result(&format!("\n{}", table(&["factor", "values", "latent", "MIG", "SAP", "accuracy"], &rows)));
    let of_latent = |(j, told): (usize, &[f64])| {
        let k = best(told.iter().copied());
        let share = number(told[k] / information.entropies[k]);
        vec![j.to_string(), factors[k].name.clone(), share, number(information.modular[j])]
    };
    let rows: Vec<Vec<String>> = information.mutual.chunks_exact(factors.len()).enumerate().map(of_latent).collect();
    report.result(&format!("\n{}", table(&["latent", "follows", "told of it", "modularity"], &rows)));
}

/// Latents with the factor that each follows and the share of it that they tell, in the order of the factors; those that follow one by
/// how much they tell of it.
fn followed(information: &Information, examples: &Examples) -> Vec<(usize, usize, f64)> {
    let of_latent = |(latent, told): (usize, &[f64])| {
        let k = best(told.iter().copied());
        (latent, k, told[k] / information.entropies[k])
    };
    let mut all: Vec<_> =
        information.mutual.chunks_exact(examples.factors().len()).enumerate().map(of_latent).collect();
    all.sort_by(|a, b| a.1.cmp(&b.1).then(b.2.total_cmp(&a.2)));
    all
}

/// Pictures from end to end of a row.
const STEPS: usize = 9;

/// How far rows go to both sides, in deviations.
const RANGE: f32 = 3.0;

/// Draws a row for each latent, in which it alone varies. A conditional model decodes all as the class of one example.
fn draw(
    session: &mut Session,
    posterior: &Posterior,
    order: &[usize],
    example: u32,
    picture: &Path,
    report: &Report,
) -> Result<()> {
    open::check_steps(STEPS, order.len())?;
    let units = traverse::units(session, posterior, 0);
    let start: Vec<f32> = units.iter().map(|unit| unit[0]).collect();
    let latents = traverse::varied(&start, &units, order.iter().copied(), RANGE, STEPS);
    let class = session.labels(&[example])?.first().copied();
    if let Some(class) = class {
        let name = scatter::name(class, session.record.classes.as_deref());
        report.note(&format!("decoded  as class {name}"));
    }
    let decoded = session.decode(&latents, &classes::repeated(class, order.len() * STEPS))?;
    drawn::save(picture, &decoded, &session.record, STEPS)
}

/// The place of the largest number, the first of several.
fn best(numbers: impl Iterator<Item = f64>) -> usize {
    let most = numbers.enumerate().fold(
        (0, f64::NEG_INFINITY),
        |most, (at, number)| {
            if number > most.1 { (at, number) } else { most }
        },
    );
    most.0
}

fn as_json(scores: &Scores, examples: &Examples) -> Value {
    let Scores { information, dci, sap, factor_vae } = scores;
    let rows = |matrix: &[f64]| -> Vec<Vec<f64>> {
        matrix.chunks_exact(examples.factors().len()).map(<[f64]>::to_vec).collect()
    };
    let factor = |(k, factor): (usize, &Varied)| {
        json!({
            "name": factor.name, "values": factor.count, "ordered": factor.ordered,
            "entropy": information.entropies[k], "mig": information.gaps[k], "sap": sap.gaps[k],
            "accuracy": dci.accuracies[k],
        })
    };
    json!({
        "examples": examples.len(), "latent": examples.latent(),
        "mig": information.mig, "modularity": information.modularity, "sap": sap.sap, "factor_vae": factor_vae,
        "dci": {
            "disentanglement": dci.disentanglement, "completeness": dci.completeness,
            "informativeness": dci.informativeness,
        },
        "factors": examples.factors().iter().enumerate().map(factor).collect::<Vec<_>>(),
        "left_out": examples.constant(),
        "mutual_information": rows(&information.mutual), "importance": rows(&dci.importance), "told": rows(&sap.told),
    })
}
