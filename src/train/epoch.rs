//! The end of an epoch: what it came to, and what that changes.

use super::columns::Columns;
use super::run::Run;
use super::schedule::{Update, learning_rate};
use super::{Epoch, Event};
use crate::checkpoint::Progress;
use crate::config::{Config, Curve, Monitor};
use crate::data::batches::Batch;
use crate::error::{Error, Result};
use crate::eval::{self, Terms};
use crate::model::objective::loss;
use crate::model::weights::{CAPACITY, RATE};
use crate::model::{BOUND, DISCRIMINATOR, LAYER_RATE, Weights, phases};
use std::ops::Range;
use std::time::Duration;

impl Run<'_, '_> {
    /// Evaluates, saves and reports a complete epoch.
    ///
    /// # Errors
    /// Those of evaluation, of what looks at the events, and of saving.
    pub fn finish_epoch(&mut self, images_per_second: f64) -> Result<()> {
        let validation = self.session.data()?.validation.clone();
        // Not asked of ranks: who infers classes trains alone.
        let accuracies = eval::accuracies(self.session, validation.clone())?;
        let validated = if validation.is_empty() { None } else { Some(self.validate(validation)?) };
        let mut found = Vec::new();
        let mut running = self.alive();
        for member in running.clone() {
            let epoch = self.score(member, validated.as_ref().map(|members| members[member]), images_per_second);
            let accuracy = accuracies.as_ref().map(|all| ("validation accuracy".to_owned(), all[member]));
            found.extend(self.spare(member, epoch)?.map(|mut epoch: Epoch| {
                epoch.others.extend(accuracy);
                epoch
            }));
        }
        (self.observe)(Event::Epoch(&found))?;
        running.retain(|&member| self.members[member].lost.is_none());
        let (done, epochs) = (self.at().epoch as usize, self.session.config.train.epochs);
        let over = done >= epochs || self.alive().is_empty();
        let stop = self.stops()?.filter(|_| !over);
        // What a member that stops here came to is saved now or never.
        let last = over || stop.is_some() || running.iter().any(|&member| !self.members[member].trains());
        let saved = self.save(&running, last);
        let saved = if last { self.insist(saved, &running) } else { saved };
        // Who is told that everything is saved can rely on it.
        if over || stop.is_some() {
            saved?;
        } else {
            self.saved.note_missing(last, &saved);
            self.keep_going(saved.map(drop))?;
        }
        for member in running.into_iter().filter(|&member| self.members[member].progress.course.stopped) {
            (self.observe)(Event::Stopped(member, done))?;
        }
        // The first of several ranks draws alone, and where the run ends the others would wait for it.
        if stop.is_none() || !self.session.ranks().are_several() {
            self.pictures()?;
        }
        match stop {
            Some(why) => Err(Error::Interrupted(format!("{why} after epoch {done}; everything is saved"))),
            None => Ok(()),
        }
    }

    /// The terms of −ELBO of the validation part for each member, and the bound where one is minimised. Each rank looks at a share of
    /// it, and the means of all are added up in their order.
    fn validate(&mut self, whole: Range<usize>) -> Result<Vec<(Terms, Option<f64>)>> {
        let ranks = self.session.ranks().clone();
        if !ranks.are_several() {
            return self.validated(whole);
        }
        let [begin, end] = [0, 1].map(|next| whole.start + (ranks.rank() + next) * whole.len() / ranks.count());
        let weighted = self.session.config.objective.bound.is_weighted();
        let own = if begin < end { self.validated(begin..end)? } else { vec![] };
        let share = (end - begin) as f64 / whole.len() as f64;
        let mut means = vec![0.0; 3 * self.session.member_count()];
        for (means, (terms, bound)) in means.chunks_exact_mut(3).zip(own) {
            means.copy_from_slice(&[terms.distortion, terms.rate, bound.unwrap_or_default()].map(|mean| mean * share));
        }
        let all = ranks.sum_f64(&means)?;
        let member = |means: &[f64]| {
            let terms = Terms { distortion: means[0], rate: means[1] };
            (terms, weighted.then_some(means[2]))
        };
        Ok(all.chunks_exact(3).map(member).collect())
    }

    /// The same of a part of the data, by this process alone.
    fn validated(&mut self, part: Range<usize>) -> Result<Vec<(Terms, Option<f64>)>> {
        let terms = eval::terms(self.session, part.clone())?.into_iter();
        let objective = &self.session.config.objective;
        if !objective.bound.is_weighted() {
            return Ok(terms.map(|terms| (terms, None)).collect());
        }
        let samples = objective.samples;
        let bounds = eval::bounds(self.session, part, samples)?;
        Ok(terms.zip(bounds.into_iter().map(Some)).collect())
    }

    /// What the epoch that is now complete came to for a member.
    fn score(
        &mut self,
        member: usize,
        validated: Option<(Terms, Option<f64>)>,
        images_per_second: f64,
    ) -> Result<Epoch> {
        let columns = Columns::of(self.session)?;
        let (examples, epochs) = (self.session.data()?.train.len(), self.session.config.train.epochs);
        let (elapsed, alive) = (self.elapsed(), self.alive().len().max(1));
        let progress = &mut self.members[member].progress;
        let left_out = std::mem::take(&mut progress.course.left_out);
        let sums = std::mem::take(&mut progress.sums);
        let counted = (examples as u64).saturating_sub(left_out);
        if counted == 0 {
            return Err(Error::Diverged(
                "no loss of the epoch is finite: lower --lr, or set optimizer.clip_norm".into(),
            ));
        }
        let mut further = columns.means(&sums, counted).into_iter();
        let (Some((_, distortion)), Some((_, rate))) = (further.next(), further.next()) else {
            return Err(Error::Bug("an epoch has two sums".into()));
        };
        let per_epoch = (examples * alive) as f64 / images_per_second;
        let (layers, further): (Vec<_>, Vec<_>) = further.partition(|(term, _)| term.starts_with(LAYER_RATE));
        let (bounds, others): (Vec<_>, Vec<_>) = further.into_iter().partition(|(term, _)| term == BOUND);
        let config = self.session.members().nth(member).ok_or_else(|| Error::Bug("no such member".into()))?;
        let last = last_update(config, progress, examples);
        let weights = weights_of(config);
        let epochs_then = last.step as f64 / last.per_epoch as f64;
        let mut epoch = Epoch {
            member,
            epoch: progress.epoch as usize,
            epochs,
            distortion,
            rate,
            layer_rates: layers.into_iter().map(|(_, rate)| rate).collect(),
            validation: validated.map(|(terms, _)| terms.neg_elbo()),
            neg_bound: bounds.first().map(|(_, bound)| *bound),
            validation_neg_bound: validated.and_then(|(_, neg_bound)| neg_bound),
            others,
            lr: learning_rate(config, config.optimizer.lr, &progress.course, &last),
            beta: weights.value_at(RATE, epochs_then),
            capacity: weights.value_at(CAPACITY, epochs_then),
            monitored: None,
            best: f64::INFINITY,
            images_per_second,
            elapsed,
            left: Duration::from_secs_f64(per_epoch * (epochs - progress.epoch as usize) as f64),
        };
        epoch.monitored = monitored(config, &epoch, validated.map(|(terms, _)| terms));
        let score = epoch.score();
        if !score.is_finite() {
            return Err(Error::Diverged(format!("the validation loss is {score}: lower --lr")));
        }
        judge(config, progress, score);
        epoch.best = progress.best.unwrap_or(score);
        let player = epoch.others.iter().find(|(name, _)| name == DISCRIMINATOR);
        let config = self.session.members().nth(member).ok_or_else(|| Error::Bug("no such member".into()))?;
        if let Some(why) = player.and_then(|(_, loss)| self.watch.look(config, epoch.epoch, *loss, epoch.rate)) {
            (self.observe)(Event::Warning(why))?;
        }
        if left_out > 0 {
            let epoch = epoch.epoch;
            let why = format!("epoch {epoch}: the loss of {left_out} examples is not finite, and they were left out");
            (self.observe)(Event::Warning(why))?;
        }
        Ok(epoch)
    }
}

/// What the terms of the first phase, which is the model's, are multiplied by.
fn weights_of(config: &Config) -> Weights {
    phases(config).swap_remove(0).weights
}

/// The last update of the epoch that is complete.
fn last_update(config: &Config, progress: &Progress, examples: usize) -> Update {
    let per_epoch = examples.div_ceil(config.train.batch);
    let slot = per_epoch.saturating_sub(1);
    let first = slot * config.train.batch;
    Update { step: progress.step.saturating_sub(1), per_epoch, slot, batch: Batch { first, rows: examples - first } }
}

/// What `train.monitor` names of an epoch, where that is neither −ELBO nor the bound; `validated` are the terms of the
/// validation part.
fn monitored(config: &Config, epoch: &Epoch, validated: Option<Terms>) -> Option<f64> {
    let terms = validated.unwrap_or(Terms { distortion: epoch.distortion, rate: epoch.rate });
    match config.train.monitor {
        Monitor::Elbo => None,
        Monitor::Distortion => Some(terms.distortion),
        Monitor::Rate => Some(terms.rate),
        Monitor::Objective => {
            let bound = epoch.validation_neg_bound.or(epoch.neg_bound);
            Some(loss(&weights_of(config), &config.objective, [terms.distortion, terms.rate], bound, &epoch.others))
        }
    }
}

/// Takes note of the score of the epoch that is complete: whether it is the best so far, whether a plateau lowers the
/// learning rate, whether the run stops early.
fn judge(config: &Config, progress: &mut Progress, score: f64) {
    if progress.best.is_none_or(|best| score < best) {
        progress.best = Some(score);
        progress.best_epoch = Some(progress.epoch);
    }
    let (best, course) = (progress.best_epoch.unwrap_or(0), &mut progress.course);
    let waited = progress.epoch - best.max(course.reduced_after).min(progress.epoch);
    if config.schedule.curve == Curve::Plateau && waited as usize >= config.schedule.wait {
        course.reductions += 1;
        course.reduced_after = progress.epoch;
    }
    let (patience, waited) =
        (config.train.patience, progress.epoch - best.max(course.patient_from).min(progress.epoch));
    course.stopped = patience > 0 && waited as usize >= patience;
}
