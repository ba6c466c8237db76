//! A model on an executor: its plans, its parameters, and the examples that lie on the device.
//!
//! A session may hold several models of the same shape, its members. Every plan computes all of them side by side.

mod codes;
mod grids;
mod inference;
mod partition;
mod phases;
mod posterior;
mod read_ahead;
mod room;
mod sequences;
mod streaming;

use crate::checkpoint::tensors::check_room;
use crate::checkpoint::{Checkpoint, DataRecord, Tensor};
use crate::config::{self, Condition, Config};
use crate::data::codes::Codes;
use crate::data::{Dataset, Values, classes, labelled, little_endian};
use crate::error::{Error, Result};
use crate::exec::{Executor, PlanId};
use crate::graph::op::Source;
use crate::kernels::{StepScalars, f32s};
use crate::model::family;
use crate::model::init::{OfData, initial};
use crate::model::likelihood::{Global, Learned, global, learned};
use crate::model::{Model, Weights, phases as phases_of};
use crate::plan::tuning::Tuning;
use crate::plan::{ParameterSlot, Plan, Resident, Role, Stage, Target, lower};
use crate::ranks::{Ranks, Room};
use crate::rng::{Philox, Stream, key};
use bytemuck::Zeroable;
use std::collections::{BTreeMap, BTreeSet};

pub use inference::{BATCH, Rows, likeliest};
pub use partition::Partition;
pub use posterior::Posterior;
pub use sequences::Choice;

/// What a plan computes; sizes are examples per run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A training step: [`Model::train`] with gradients and the update; of several phases the first, with which the others
    /// are loaded.
    Train,
    /// A further phase of a training step, counted from 1: see [`crate::model::Phase`].
    Further(usize),
    /// What follows the gradients of a phase, counted from 0, where ranks add them up: the other plans of a step then end with them.
    Update(usize),
    /// A task of the model ([`Model::tasks`]).
    Task {
        /// Its name.
        name: &'static str,
        /// Examples, or rows of latents, at a time.
        batch: usize,
        /// Latent samples of each; 1 where it takes none.
        samples: usize,
    },
}

impl Purpose {
    /// A task for so many examples.
    pub fn task(name: &'static str, batch: usize) -> Self {
        Self::samples(name, batch, 1)
    }

    /// A task for so many examples, and latent samples of each.
    pub fn samples(name: &'static str, batch: usize, samples: usize) -> Self {
        Self::Task { name, batch, samples }
    }

    /// Whether it is for no example, or for no sample of each.
    fn is_of_nothing(self) -> bool {
        matches!(self, Self::Task { batch: 0, .. } | Self::Task { samples: 0, .. })
    }
}

/// The logarithm of the median of totals, of which the lesser is taken where two are in the middle.
fn median_log(mut totals: Vec<f64>) -> f32 {
    totals.sort_by(f64::total_cmp);
    totals.get(totals.len().saturating_sub(1) / 2).map_or(0.0, |median| median.max(1.0).ln() as f32)
}

/// The counter word of noise that belongs to no training step.
const NO_STEP: u32 = u32::MAX;

/// Words that are written to the device at a time.
const UPLOAD: usize = 1 << 22;

/// A model on an executor, or several of the same shape.
#[derive(Debug)]
pub struct Session {
    /// What was asked for; of several members, the first.
    pub config: Config,
    /// What was asked for of the other members.
    pub others: Vec<Config>,
    /// The networks.
    pub model: Model,
    /// Where it runs.
    pub executor: Executor,
    /// What is known of the data.
    pub record: DataRecord,
    /// How products are tiled in plans that are loaded from now on.
    pub tuning: Tuning,
    /// By what the density of an energy-based prior was normalised, where that was estimated.
    pub partition: Option<Partition>,
    /// Who trains the model together with this session.
    ranks: Ranks,
    /// Gradients that are added up over all ranks, where each of them makes the whole update.
    exchanged_values: Vec<f32>,
    room: Room,
    data: Option<Dataset>,
    uploaded: bool,
    labelled: bool,
    resident: Resident,
    plans: BTreeMap<Purpose, PlanId>,
    window: streaming::Window,
}

impl Session {
    /// A model for a data set, with parameters that are all zero until they are set.
    ///
    /// # Errors
    /// [`Error::Usage`] where the layers of the configuration do not fit the data.
    pub fn new(config: Config, data: Dataset, executor: Executor) -> Result<Self> {
        Self::with_members(config, vec![], data, executor)
    }

    /// Several models for a data set. They may differ in the keys [`crate::config::SWEPT`], which
    /// [`crate::config::check_members`] checks.
    ///
    /// # Errors
    /// As those of [`Session::new`].
    pub fn with_members(config: Config, others: Vec<Config>, data: Dataset, executor: Executor) -> Result<Self> {
        // Data that were not opened for this model may have classes without names.
        let data = match config.model.condition {
            Condition::None => data,
            // Those of a trained model may have names alone.
            Condition::Inferred if data.labels.is_none() && data.classes.is_some() => data,
            Condition::Label | Condition::Inferred => classes::named(data, None)?,
        };
        let model = Model::new(&config, &data)?;
        if config.train.batch == 0 || config.train.accumulate == 0 {
            return Err(Error::Usage("train.batch and train.accumulate are 1 at least".into()));
        }
        let record = DataRecord::of(&data);
        let resident = resident(&data, &config, executor.most_words());
        let data = Some(data);
        let (tuning, plans, window) = (Tuning::default(), BTreeMap::new(), streaming::Window::default());
        let (uploaded, labelled) = (false, false);
        let partition = None;
        Ok(Self {
            config,
            others,
            model,
            executor,
            record,
            tuning,
            partition,
            ranks: Ranks::default(),
            exchanged_values: vec![],
            room: Room::default(),
            data,
            uploaded,
            labelled,
            resident,
            plans,
            window,
        })
    }

    /// A trained model without a data set: it can sample and decode, and takes examples by [`Session::show`].
    ///
    /// # Errors
    /// [`Error::Data`] where the checkpoint does not belong to its configuration; otherwise those of the executor.
    pub fn without_data(checkpoint: &Checkpoint, executor: Executor) -> Result<Self> {
        let record = checkpoint.progress.data.clone();
        let config = checkpoint.config.clone();
        // Examples that are shown come as floats, however the data set stored them.
        let encoding = record.encoding.as_ref();
        let missing = record.may_miss(&config.model);
        let source = record.text.as_ref().map_or(Source::Floats, |text| Source::Tokens(text.len()));
        let model = Model::with(&config, record.shape, source, encoding, missing, record.class_count())?;
        let resident = Resident { data_words: BATCH * model.width, window: 0, order_words: 1024, metric_slots: 16 };
        let tuning = checkpoint.progress.tuning.clone();
        let (others, data, plans, window) = (vec![], None, BTreeMap::new(), streaming::Window::default());
        let (uploaded, labelled) = (true, true);
        let mut session = Self {
            config,
            others,
            model,
            executor,
            record,
            tuning,
            partition: None,
            ranks: Ranks::default(),
            exchanged_values: vec![],
            room: Room::default(),
            data,
            uploaded,
            labelled,
            resident,
            plans,
            window,
        };
        // Before anything is built for what may be another model.
        crate::checkpoint::match_parameters(checkpoint, &session.expected())?;
        session.plan(Purpose::task(family::of(&session.config.model).draws, BATCH))?;
        session.restore(0, checkpoint)?;
        Ok(session)
    }

    /// Lets a session train together with others, before any plan is made: every step then takes this rank's part of the batch, and
    /// gradients are added up over all.
    ///
    /// # Errors
    /// [`Error::Usage`] for what cannot be divided ([`config::check_ranks`]); [`Error::Bug`] after a plan was made.
    pub fn join(&mut self, ranks: Ranks) -> Result<()> {
        self.members().try_for_each(|config| config::check_ranks(config, ranks.count()))?;
        if !self.plans.is_empty() {
            return Err(Error::Bug("ranks come before plans".into()));
        }
        self.ranks = ranks;
        Ok(())
    }

    /// The processes that train the model together with this session.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// What was asked for of each member.
    pub fn members(&self) -> impl Iterator<Item = &Config> {
        std::iter::once(&self.config).chain(&self.others)
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        1 + self.others.len()
    }

    /// The examples.
    ///
    /// # Errors
    /// [`Error::Bug`] for a session that was opened without any.
    pub fn data(&self) -> Result<&Dataset> {
        self.data.as_ref().ok_or_else(|| Error::Bug("this session has no data".into()))
    }

    /// The training examples that show their label to a model that infers classes.
    ///
    /// # Errors
    /// Those of [`labelled::chosen`].
    pub fn labelled(&self) -> Result<Vec<u32>> {
        labelled::chosen(self.data()?, self.config.data.labelled, self.config.data.labelled_seed)
    }

    /// The plan for a purpose, made and loaded when first asked for.
    ///
    /// # Errors
    /// Those of layers that do not fit together, and of the device.
    pub fn plan(&mut self, purpose: Purpose) -> Result<PlanId> {
        if let Some(&id) = self.plans.get(&purpose) {
            return Ok(id);
        }
        let id = self.loaded(purpose)?;
        if purpose == Purpose::Train {
            let phases = phases_of(&self.config).len();
            for phase in 1..phases {
                self.plan(Purpose::Further(phase))?;
            }
            let updates = if self.ranks.are_several() { phases } else { 0 };
            for phase in 0..updates {
                self.plan(Purpose::Update(phase))?;
            }
        }
        Ok(id)
    }

    /// Makes and loads the plan for a purpose.
    fn loaded(&mut self, purpose: Purpose) -> Result<PlanId> {
        // Fields are public: what was set since the configuration was read is not more than it may be.
        self.members().try_for_each(config::validate)?;
        if purpose.is_of_nothing() {
            return Err(Error::Usage(format!("{purpose:?}: a plan is for one example and one sample at least")));
        }
        let mut plan = self.untuned(purpose)?;
        self.tuning.apply(&mut plan);
        plan.members = self.member_count();
        if purpose.phase().is_none() && self.averages() {
            // What is evaluated is the average of the parameters, where they lie: every plan has the same layout.
            let parameters = plan.buffers.iter_mut().filter(|buffer| buffer.role == Role::Parameters);
            parameters.for_each(|buffer| buffer.role = Role::Average);
        }
        self.check_room(&plan, purpose)?;
        let (reads_data, reads_labels) = (plan.words(&Role::Data) > 0, plan.words(&Role::Labels) > 0);
        let id = self.executor.load(plan)?;
        self.plans.insert(purpose, id);
        if reads_data && !self.uploaded {
            self.upload()?;
        }
        if reads_labels && !self.labelled {
            let data = self.data()?;
            let labels: Vec<f32> = if self.model.infers_classes() {
                labelled::told(data, &self.labelled()?)
            } else {
                data.labels.iter().flatten().map(|&label| label as f32).collect()
            };
            for (at, part) in labels.chunks(UPLOAD).enumerate() {
                self.executor.write_f32(&Role::Labels, at * UPLOAD, part)?;
            }
            self.labelled = true;
        }
        Ok(id)
    }

    /// Whether an average of the parameters is kept, which is then what the model is: also in a session that does not
    /// train, so that what is evaluated does not depend on which plans were made before.
    fn averages(&self) -> bool {
        self.config.optimizer.ema > 0.0
    }

    /// The plan for a purpose as it is made for the device's kind, whatever was measured.
    ///
    /// # Errors
    /// Those of [`plan_for`].
    pub fn untuned(&self, purpose: Purpose) -> Result<Plan> {
        let target = self.executor.target();
        match purpose.phase() {
            Some(phase) if self.ranks.are_several() => {
                let stage = match purpose {
                    Purpose::Update(_) => self.update_stage(phase),
                    _ => Stage::Gradients,
                };
                phases::plan_of(&self.model, &self.config, (phase, stage), self.ranks.count(), (self.resident, target))
            }
            _ => plan_for(&self.model, &self.config, purpose, self.resident, target),
        }
    }

    fn upload(&mut self) -> Result<()> {
        let Some(data) = &self.data else { return Err(Error::Bug("there is no data to upload".into())) };
        match &data.values {
            Values::U8(bytes) => {
                for (at, part) in bytes.chunks(4 * UPLOAD).enumerate() {
                    let words: Vec<u32> = part.chunks(4).map(little_endian).collect();
                    self.executor.write(&Role::Data, at * UPLOAD, &words)?;
                }
            }
            Values::F32(floats) | Values::Codes(Codes { numbers: floats, .. }) => {
                for (at, part) in floats.chunks(UPLOAD).enumerate() {
                    self.executor.write_f32(&Role::Data, at * UPLOAD, part)?;
                }
            }
            Values::Sparse(sparse) => {
                sparse.store(UPLOAD, |at, words| self.executor.write(&Role::Data, at, words))?;
            }
            // They come through the window.
            Values::Disk(_) => {}
        }
        self.uploaded = true;
        Ok(())
    }

    /// Rows of the metrics buffer: steps that may run before their terms are read.
    pub fn metric_slots(&self) -> usize {
        self.resident.metric_slots
    }

    /// The scalars of a step that is no training step: noise from `stream`, weights of the plain ELBO.
    pub fn scalars(&self, seed: u64, stream: Stream, first: usize, rows: usize) -> StepScalars {
        StepScalars {
            step: NO_STEP,
            rows: rows as u32,
            first: first as u32,
            key: key(seed),
            stream: stream as u32,
            row_weight: 1.0 / rows as f32,
            weights: Weights::elbo(1.0).at(0.0, 1.0),
            ..StepScalars::zeroed()
        }
    }

    /// Refuses examples that there are not: programs of devices read whatever place they are told.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the first.
    pub fn check_examples(&self, examples: &[u32]) -> Result<()> {
        let count = self.data.as_ref().map_or(BATCH, Dataset::len);
        match examples.iter().find(|&&example| example as usize >= count) {
            Some(example) => {
                Err(Error::Usage(format!("there is no example {example}: they go from 0 to {}", count - 1)))
            }
            None => Ok(()),
        }
    }

    /// Which examples the next runs take, from position 0 of the order on: the same for every member.
    ///
    /// # Errors
    /// Those of [`Session::check_examples`] and of the executor.
    pub fn set_order(&mut self, order: &[u32]) -> Result<()> {
        let members = self.member_count();
        (0..members).try_for_each(|member| self.set_order_of(member, order))
    }

    /// Which examples the next runs take for one member.
    ///
    /// # Errors
    /// Those of [`Session::check_examples`] and of the executor.
    pub fn set_order_of(&mut self, member: usize, order: &[u32]) -> Result<()> {
        self.check_examples(order)?;
        self.note_order(member, order);
        self.number(member, order)
    }

    /// Which numbers the draws of the next runs have, for one member.
    fn number(&mut self, member: usize, numbers: &[u32]) -> Result<()> {
        self.executor.write_to(member, &Role::Order, 0, numbers)
    }

    /// The layout of the parameters.
    pub fn ranges(&self) -> Vec<ParameterSlot> {
        crate::plan::layout(&self.model.parameters()).0
    }

    /// Names and extents of the parameters, as checkpoints must have them.
    pub fn expected(&self) -> Vec<(String, Vec<usize>)> {
        self.ranges().into_iter().map(|range| (range.name, range.shape)).collect()
    }

    /// Writes the initial parameters of every member's configuration and seed, and what the update rule starts with.
    ///
    /// # Errors
    /// Those of reading the data, of more pseudo-inputs than there are training examples, and of the executor.
    pub fn initialise(&mut self) -> Result<()> {
        let data = self.data()?;
        // Looked for only where they are wanted: for data on the disk that is a pass over all of them.
        let wanted = self.members().any(|config| config.model.output_bias_from_data);
        let means = if wanted { data.means(data.train.clone())? } else { vec![] };
        let log_library = if self.model.has_library() { median_log(data.totals(data.train.clone())?) } else { 0.0 };
        let members: Vec<Config> = self.members().cloned().collect();
        // What is trained, where something is, and what the model is.
        let trained = (self.averages() && self.plans.contains_key(&Purpose::Train)).then_some(Role::Parameters);
        let roles: Vec<Role> = trained.into_iter().chain([self.held()]).collect();
        for (member, config) in members.into_iter().enumerate() {
            let model = Model { config: config.model, ..self.model.clone() };
            let examples = self.pseudo_inputs(&model, config.train.seed)?;
            let class_prior = self.class_prior()?;
            let of_data = OfData { means: &means, examples: &examples, class_prior: &class_prior, log_library };
            let initial = initial(&model, config.train.seed, of_data);
            for (range, values) in self.ranges().iter().zip(initial) {
                for role in &roles {
                    self.write(member, role, range.offset, &values)?;
                }
            }
            self.initialise_moments(member)?;
        }
        Ok(())
    }

    /// log p(y) by the labels that are shown, each class counted once more; none where no model asks for it.
    fn class_prior(&self) -> Result<Vec<f32>> {
        if !self.model.infers_classes() {
            return Ok(vec![]);
        }
        let (shown, mut counts) = (self.labelled()?, vec![1.0_f64; self.model.classes]);
        for label in self.data()?.labels.iter().flat_map(|labels| shown.iter().map(|&at| labels[at as usize])) {
            counts[label as usize] += 1.0;
        }
        let all: f64 = counts.iter().sum();
        Ok(counts.into_iter().map(|count| (count / all).ln() as f32).collect())
    }

    /// Training examples that the pseudo-inputs of a prior start as, as an encoder is shown them, [K, D]; none where the prior
    /// has no such.
    fn pseudo_inputs(&self, model: &Model, seed: u64) -> Result<Vec<f32>> {
        if !model.prior().encoded {
            return Ok(vec![]);
        }
        let (data, count) = (self.data()?, model.config.prior_components);
        let mut order: Vec<u32> = data.train.clone().map(|example| example as u32).collect();
        if count > order.len() {
            return Err(crate::config::pseudo_inputs_exceed(count, order.len()));
        }
        // The first of an order drawn anew (Fisher and Yates).
        let mut random = Philox::new(seed, Stream::Init, u32::MAX, 0);
        for place in 0..count {
            let rest = order.len() - place;
            let other = place + ((random.uniform() * rest as f32) as usize).min(rest - 1);
            order.swap(place, other);
        }
        let mut values = data.examples(&order[..count])?;
        for value in &mut values {
            *value = model.shown(*value);
        }
        model.presentation().show(&mut values);
        Ok(values)
    }

    /// Writes what a member's update rule starts with, where a training plan is loaded.
    ///
    /// # Errors
    /// Those of the executor.
    pub fn initialise_moments(&mut self, member: usize) -> Result<()> {
        if self.moments().iter().any(|(role, _)| *role == Role::Moment2) {
            let phases = phases_of(&self.config);
            for range in self.ranges() {
                let phase = phases.iter().find(|phase| phase.trains.contains(&range.name));
                let start = phase.map_or(0.0, |phase| phase.optimizer.initial_second_moment);
                self.write(member, &Role::Moment2, range.offset, &vec![start; range.count()])?;
            }
        }
        Ok(())
    }

    /// Takes a member's parameters, and its moments where a training plan is loaded, from a checkpoint. Where the average
    /// of the parameters is kept, it is what a checkpoint has for parameters; those that are trained are among its moments.
    ///
    /// # Errors
    /// [`Error::Data`] that names the tensor which is missing or has another shape, or the classes that differ.
    pub fn restore(&mut self, member: usize, checkpoint: &Checkpoint) -> Result<()> {
        crate::checkpoint::match_parameters(checkpoint, &self.expected())?;
        self.check_same_classes(checkpoint)?;
        let ranges = self.ranges();
        let held = self.held();
        for range in &ranges {
            let named = checkpoint.parameters.iter().find(|(name, _)| *name == range.name);
            if let Some((_, tensor)) = named {
                self.write(member, &held, range.offset, &tensor.values)?;
            }
        }
        for (role, prefix) in self.moments() {
            for range in &ranges {
                let name = format!("{prefix}.{}", range.name);
                let found = checkpoint.moments.iter().find(|(n, t)| *n == name && t.values.len() == range.count());
                let Some((_, tensor)) = found else {
                    return Err(Error::Data(format!("the checkpoint has no moment {name:?} for its update rule")));
                };
                self.write(member, &role, range.offset, &tensor.values)?;
            }
        }
        // What trains keeps the running estimate that it was saved with.
        if !self.plans.contains_key(&Purpose::Train) {
            self.normalise(member)?;
        }
        Ok(())
    }

    /// Gives a member of every rank the parameters and moments that rank 0 has.
    ///
    /// # Errors
    /// Those of the executor and of the exchange.
    pub fn take_from_first(&mut self, member: usize) -> Result<()> {
        let words = self.ranges().iter().map(|range| range.offset + range.count()).max().unwrap_or_default();
        let moments = self.moments().into_iter().map(|(role, _)| role);
        let roles: BTreeSet<Role> = std::iter::once(self.held()).chain(moments).collect();
        for role in roles {
            let mut values = self.executor.read_from(member, &role, 0, words)?;
            self.ranks.take_from_first(&mut values)?;
            self.executor.write_to(member, &role, 0, &values)?;
        }
        Ok(())
    }

    /// A conditional model knows classes by their places: those of a checkpoint must be those of this session.
    fn check_same_classes(&self, checkpoint: &Checkpoint) -> Result<()> {
        let [own, theirs] =
            [&self.record, &checkpoint.progress.data].map(|record| record.classes.as_deref().unwrap_or_default());
        if self.model.classes == 0 || own == theirs {
            return Ok(());
        }
        let (own, theirs) = (classes::list(own), classes::list(theirs));
        Err(Error::Data(format!("the classes of the checkpoint are {theirs}, and those of the data are {own}")))
    }

    fn write(&mut self, member: usize, role: &Role, offset: usize, values: &[f32]) -> Result<()> {
        self.executor.write_to(member, role, offset, bytemuck::cast_slice(values))
    }

    /// Floats of a member's copy of a buffer.
    ///
    /// # Errors
    /// Those of the executor.
    pub fn read(&mut self, member: usize, role: &Role, offset: usize, count: usize) -> Result<Vec<f32>> {
        Ok(f32s(&self.executor.read_from(member, role, offset, count)?).to_vec())
    }

    /// The buffer of what the model is: the parameters, or their average.
    fn held(&self) -> Role {
        if self.averages() { Role::Average } else { Role::Parameters }
    }

    /// All parameters of a member.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no memory for them; those of the executor.
    pub fn parameters(&mut self, member: usize) -> Result<Vec<(String, Tensor)>> {
        self.tensors(member, &self.held(), "")
    }

    /// What the first member's decoder has learned once for all examples.
    ///
    /// # Errors
    /// Those of [`Session::parameters`].
    pub fn learned(&mut self) -> Result<Option<Learned>> {
        let Some(Global { name, .. }) = global(&self.model) else { return Ok(None) };
        let found = self.parameters(0)?.into_iter().find(|(found, _)| found == name);
        Ok(found.and_then(|(_, tensor)| learned(&self.model, &tensor.values)))
    }

    /// The update rule's moments of a member; none where no training plan is loaded.
    ///
    /// # Errors
    /// Those of [`Session::parameters`].
    pub fn moment_tensors(&mut self, member: usize) -> Result<Vec<(String, Tensor)>> {
        let mut all = Vec::new();
        for (role, prefix) in self.moments() {
            all.extend(self.tensors(member, &role, &format!("{prefix}."))?);
        }
        Ok(all)
    }

    fn moments(&self) -> Vec<(Role, &'static str)> {
        let phases = self.plans.iter().filter(|(purpose, _)| purpose.phase().is_some());
        let plans: Vec<&Plan> = phases.map(|(_, &id)| self.executor.plan(id)).collect();
        let has = |role: &Role| plans.iter().any(|plan| plan.words(role) > 0);
        let both = [(Role::Moment1, "moment1"), (Role::Moment2, "moment2")];
        let trained = has(&Role::Average).then_some((Role::Parameters, "trained"));
        both.into_iter().filter(|(role, _)| has(role)).chain(trained).collect()
    }

    fn tensors(&mut self, member: usize, role: &Role, prefix: &str) -> Result<Vec<(String, Tensor)>> {
        let ranges = self.ranges();
        let words = ranges.last().map_or(0, |range| range.offset + range.count());
        // As they come, as floats, and as tensors, one of which may be all of them.
        check_room(3 * 4 * words)?;
        let all = self.read(member, role, 0, words)?;
        let tensor = |range: &ParameterSlot| {
            let values = all[range.offset..range.offset + range.count()].to_vec();
            (format!("{prefix}{}", range.name), Tensor { shape: range.shape.clone(), values })
        };
        Ok(ranges.iter().map(tensor).collect())
    }
}

/// What stays on a device that trains on `data`, and can hold so many words in a buffer.
pub fn resident(data: &Dataset, config: &Config, most_words: usize) -> Resident {
    let window = streaming::places(data, config, most_words);
    let all = data.values.words().filter(|_| window == 0);
    let parts = config.train.accumulate;
    let metric_slots = (data.train.len().div_ceil(config.train.batch) * parts).max(16);
    let data_words = all.unwrap_or(window * data.stored_words());
    Resident { data_words, window, order_words: data.len().max(1024), metric_slots }
}

/// The plan of a model for a purpose, made without a device.
///
/// # Errors
/// Those of layers that do not fit together; [`Error::Bug`] for a phase that there is not.
pub fn plan_for(model: &Model, config: &Config, purpose: Purpose, resident: Resident, target: Target) -> Result<Plan> {
    match purpose {
        Purpose::Task { name, batch, samples } => {
            lower(name, (model.task(name)?.build)(model, batch, samples)?, None, resident, target)
        }
        Purpose::Train => phases::plan(model, config, 0, resident, target),
        Purpose::Further(phase) => phases::plan(model, config, phase, resident, target),
        Purpose::Update(_) => Err(Error::Bug("an update of its own is for ranks".into())),
    }
}
