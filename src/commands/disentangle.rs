//! `elbo disentangle`: how well latent dimensions follow known factors of variation.

mod factors;

use super::open;
use crate::cli::DisentangleArgs;
use crate::data::{Dataset, Format, sprites};
use crate::disentangle::{Dci, Examples, Information, Sap, Varied, dci, factor_vae, information, sap};
use crate::durable;
use crate::error::{Error, Result};
use crate::model::tasks::{ENCODE, Need};
use crate::report::human::count;
use crate::report::table::table;
use crate::report::{Report, npy};
use crate::rng::{Philox, Stream};
use crate::session::{BATCH, Purpose};
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Examples that are scored where no number is asked for, as in `disentanglement_lib`.
const COUNT: usize = 10_000;

/// A factor of all examples of a data set.
struct Factor {
    name: String,
    /// The value of each example, by its place in the data set.
    values: Vec<u32>,
    /// Whether values have an order; otherwise they are kinds.
    ordered: bool,
}

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
    let session = &mut trained.session;
    session.model.need(&[Need::Numbers, Need::Values], "elbo disentangle")?;
    let (part, name) = match args.part {
        Some(_) => open::part(session.data()?, args.part)?,
        None => (0..session.data()?.len(), "whole"),
    };
    let mut factors = known(session.data()?, args.factors.as_deref())?;
    let kinds = args.kinds.as_deref().map(|kinds| kinds.split(',').collect::<Vec<_>>()).unwrap_or_default();
    unordered(&mut factors, &kinds)?;
    let seed = args.seed.unwrap_or(session.config.train.seed);
    // Drawn at random, so that what is fitted to the first of them may be tested on the last.
    let mut examples: Vec<u32> = part.map(|at| at as u32).collect();
    examples.shuffle(&mut Philox::new(seed, Stream::Choice, 0x6469_7365, 0));
    examples.truncate(most);
    let posterior = session.encode(&examples, seed)?;
    let of = |factor: &Factor| examples.iter().map(|&at| factor.values[at as usize]).collect::<Vec<u32>>();
    let chosen = factors.iter().map(|factor| (factor.name.clone(), of(factor), factor.ordered)).collect();
    let scored = Examples::new(posterior.means.clone(), posterior.latent, chosen)?;
    let made = match &args.out {
        Some(folder) => save(folder, &posterior.means, &factors, &examples)?,
        None => vec![],
    };
    let (examples, data) = (scored, session.record.name.clone());
    let scores = Scores::of(&examples, seed);
    report.note(&format!("scored   {} examples ({name} part of {data})", count(examples.len() as u64)));
    for name in examples.constant() {
        report.warn(&format!("factor {name} has one value in these examples, and is left out"));
    }
    show(&scores, &examples, report);
    let mut value = as_json(&scores, &examples);
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
        return factors::read(file, data);
    }
    if data.format != Format::Sprites {
        return Err(Error::Usage(format!(
            "{}: the factors of its examples are not known; name a file that has them, a row for each example, by \
             --factors FILE.csv or FILE.npy, or take a run on `sprites`",
            data.name
        )));
    }
    let coloured = data.shape[0] == 3;
    let values: Vec<Vec<u32>> = (0..data.len() as u32).map(|number| sprites::values(number, coloured)).collect();
    let named = |(k, factor): (usize, &sprites::Factor)| Factor {
        name: factor.name.into(),
        values: values.iter().map(|values| values[k]).collect(),
        ordered: factor.ordered,
    };
    Ok(sprites::factors(coloured).iter().enumerate().map(named).collect())
}

/// Takes the values of the factors of these names for kinds.
fn unordered(factors: &mut [Factor], kinds: &[&str]) -> Result<()> {
    for kind in kinds {
        let names = factors.iter().map(|factor| factor.name.clone()).collect::<Vec<_>>().join(", ");
        let factor = factors.iter_mut().find(|factor| factor.name == kind.trim());
        factor
            .ok_or_else(|| Error::Usage(format!("--kinds {kind}: there is no such factor; there are {names}")))?
            .ordered = false;
    }
    Ok(())
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
