//! What a prior of codes is trained on: the codes that a VQ-VAE gives the data of its run.

use crate::checkpoint::sweep::one_model;
use crate::checkpoint::{self, Checkpoint};
use crate::cli::{RunArgs, TrainArgs};
use crate::commands::open;
use crate::config::{Condition, Config};
use crate::data::batches::batches;
use crate::data::grids::{self, About};
use crate::data::{Dataset, NO_LABEL, ReadOptions};
use crate::durable;
use crate::error::{Error, Result};
use crate::model::tasks::EVALUATE;
use crate::report::{Report, npy};
use crate::rng::Stream;
use crate::session::{BATCH, Purpose, Session};
use std::path::Path;

/// The recipe of priors of codes.
pub const RECIPE: &str = "codes-prior";

/// The data of a VQ-VAE by way of its codes.
pub struct Encoded {
    about: About,
    /// [N, S].
    codes: Vec<u32>,
    /// −log p(x|codes) in nats, [N].
    distortion: Vec<f32>,
    /// The class of each, [N], and the names of the classes, where the data have some.
    labels: Option<(Vec<u32>, Vec<String>)>,
    model: Checkpoint,
}

impl Encoded {
    /// Encodes all parts of the data of a run, each as `elbo eval` does.
    ///
    /// # Errors
    /// [`Error::Usage`] for a run without codes, or one that has learnt nothing; [`Error::Data`] where the run or its data cannot
    /// be read, or are others than it was trained on; those of the executor.
    pub fn of(run: &Path, args: &TrainArgs, report: &Report) -> Result<Self> {
        let mut model = open::load(&one_model(run)?, report)?;
        let refuse = |why: &str| Err(Error::Usage(format!("--prior-of {}: {why}", run.display())));
        if model.config.model.codes == 0 {
            return refuse(
                "its latents are numbers, and a prior is trained on codes (a VQ-VAE, such as --recipe vq makes)",
            );
        }
        if model.progress.step == 0 {
            return refuse("it has not been trained as yet, so that its codes say nothing");
        }
        let (adapter, threads) = (args.adapter.clone(), args.threads);
        let (unknown, missing, quiet) = (None, vec![], args.quiet);
        let asked = RunArgs { run: run.to_owned(), adapter, threads, unknown, missing, quiet, json: false };
        let (config, data) = open::dataset(&model, None, None, None, report)?;
        if data.hash != model.progress.data.hash {
            return Err(Error::Data(format!(
                "{}: these are not the data that {} was trained on; put those back",
                data.name,
                run.display()
            )));
        }
        let of = data.name.clone();
        let mut session = Session::new(config, data, open::device(&asked, report)?)?;
        checkpoint::match_parameters(&model, &session.expected())?;
        session.plan(Purpose::task(EVALUATE, BATCH))?;
        session.restore(0, &model)?;
        let (codes, distortion) = all(&mut session)?;
        let labels = labels(session.data()?);
        let (grid, values) = (session.model.grid(), session.model.width);
        let parts =
            [&session.data()?.train, &session.data()?.validation, &session.data()?.test].map(ExactSizeIterator::len);
        model.moments.clear();
        let about = About { of, codes: model.config.model.codes, grid, values, parts, classes: None };
        Ok(Self { about, codes, distortion, labels, model })
    }

    /// The settings that they make.
    pub fn settings(&self) -> [(String, String); 2] {
        [("data.source".into(), grids::FOLDER.into()), ("model.prior_codes".into(), self.about.codes.to_string())]
    }

    /// The data set that a configuration takes them for.
    ///
    /// # Errors
    /// Those of [`grids::dataset`]; [`Error::Data`] where a prior is to be told classes and there are none.
    pub fn dataset(&mut self, config: &Config) -> Result<Dataset> {
        if config.model.condition == Condition::None {
            self.labels = None;
        } else if self.labels.is_none() {
            return Err(Error::Data(format!(
                "{}: its examples have no labels, and with model.condition = label a prior is told the class of each",
                self.about.of
            )));
        }
        let (labels, classes) = self.labels.clone().unzip();
        self.about.classes = classes;
        let request = ReadOptions { config: &config.data, takes: config.model.takes(), known: None, holes: false };
        grids::dataset(&self.about, &self.codes, labels, &request)
    }

    /// Writes them and the VQ-VAE into the folder of a run.
    ///
    /// # Errors
    /// [`Error::Disk`] where it cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let folder = run.join(grids::FOLDER);
        durable::create_folder(&folder)?;
        let about = serde_json::to_string_pretty(&self.about).map_err(|error| Error::Bug(error.to_string()))?;
        // It says whose the folder is, so it comes first.
        durable::replace_file(&folder.join(grids::ABOUT), format!("{about}\n").as_bytes())?;
        let ([height, width], examples) = (self.about.grid, self.distortion.len());
        npy::save_whole(&folder.join(grids::CODES), &self.codes, &[examples, height, width])?;
        if let Some((labels, _)) = &self.labels {
            npy::save_whole(&folder.join(grids::LABELS), labels, &[examples])?;
        }
        npy::save(&folder.join(grids::DISTORTION), &self.distortion, &[examples])?;
        checkpoint::save(&folder.join(grids::MODEL).join("checkpoints"), &self.model, 1).map(drop)
    }
}

/// The class of each example and the names of the classes, where all examples have one.
fn labels(data: &Dataset) -> Option<(Vec<u32>, Vec<String>)> {
    let labels = data.labels.as_ref().filter(|labels| !labels.contains(&NO_LABEL))?;
    let number = |class: usize| class.to_string();
    let names = data.classes.clone().unwrap_or_else(|| (0..data.class_count()).map(number).collect());
    Some((labels.clone(), names))
}

/// Codes and distortion of all examples, part by part.
fn all(session: &mut Session) -> Result<(Vec<u32>, Vec<f32>)> {
    let plan = session.plan(Purpose::task(EVALUATE, BATCH))?;
    let (data, seed) = (session.data()?, session.config.train.seed);
    let parts = [data.train.clone(), data.validation.clone(), data.test.clone()];
    let (mut codes, mut distortion) = (Vec::new(), Vec::new());
    for part in parts {
        let order: Vec<u32> = part.map(|example| example as u32).collect();
        session.set_order(&order)?;
        for batch in batches(order.len(), BATCH) {
            let scalars = session.scalars(seed, Stream::Evaluate, batch.first, batch.rows);
            session.run(plan, &[scalars])?;
            codes.extend(session.output_codes(batch.rows)?);
            distortion.extend(session.output("distortion", batch.rows, 1)?);
        }
    }
    Ok((codes, distortion))
}

/// The settings of a run, with those that codes make.
///
/// # Errors
/// [`Error::Usage`] for a setting that codes make and the user too.
pub fn overrides(args: &TrainArgs, encoded: Option<&Encoded>) -> Result<Vec<(String, String)>> {
    let mut overrides = args.overrides();
    let Some(encoded) = encoded else { return Ok(overrides) };
    for (key, value) in encoded.settings() {
        let last = key.rsplit('.').next().unwrap_or_default();
        if overrides.iter().any(|(other, _)| *other == key || other == last) {
            return Err(Error::Usage(format!("--set {last}: --prior-of sets it to {value}; leave it out")));
        }
        overrides.push((key, value));
    }
    Ok(overrides)
}

/// Checks that a prior of codes has codes, and that only it has.
///
/// # Errors
/// [`Error::Usage`] that says how a prior is trained.
pub fn check(members: &[Config], encoded: bool) -> Result<()> {
    let is_prior = members.iter().any(|config| config.model.prior_codes > 0);
    match (is_prior, encoded) {
        (true, false) => Err(Error::Usage(
            "model.prior_codes: a prior of codes is trained on those of a run: elbo train --prior-of RUN".into(),
        )),
        (true, true) if members.len() > 1 => {
            Err(Error::Usage("--prior-of: one prior is trained at a time, so that no setting takes a list".into()))
        }
        _ => Ok(()),
    }
}
