//! `elbo eval`: how good a trained model is, in nats per example.

mod players;
mod prior;
mod text;

use super::open;
use crate::cli::EvalArgs;
use crate::config::{Binarise, Condition};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::{self, Aggregate, Judgement, Layer, Summary, Usage};
use crate::model::likelihood::{Learned, Outcomes};
use crate::model::tasks::{EVALUATE, Need};
use crate::report::Report;
use crate::report::human::count;
use crate::report::table::table;
use crate::session::{BATCH, Partition, Purpose, Session};
use serde_json::{Value, json};
use std::ops::Range;
use std::time::Instant;

/// The most importance samples per example.
const MAX_SAMPLES: usize = 1_000_000;
/// Examples that are looked at before it is asked whether more have to be.
const PORTION: usize = 1024;

/// Draws of a prior that tell too little of its density.
const FEW: f64 = 100.0;

/// Rates of single dimensions that are shown.
const SHOWN: usize = 10;

/// Evaluates a model on a part of the data.
///
/// # Errors
/// [`Error::Usage`] for a number of samples that is out of bounds or a part that is not there, [`Error::Data`] where
/// run or data cannot be read, [`Error::Diverged`] where the loss is not finite.
pub fn run(args: &EvalArgs, report: &Report) -> Result<()> {
    check_samples(args.samples)?;
    if open::glanced(&args.run).is_some_and(|model| model.prior_codes > 0) {
        return prior::run(args, report);
    }
    let purpose = Purpose::task(EVALUATE, BATCH);
    let mut trained = open::with_data(&args.run, args.examples.data.as_deref(), purpose, report)?;
    let session = &mut trained.session;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let seed = args.seed.unwrap_or(session.config.train.seed);
    report.note(&format!(
        "data     {}, {name} part: {} examples, seed {seed}",
        session.record.name,
        count(part.len() as u64)
    ));
    let measured = measure(session, part.clone(), args.samples, seed, report)?;
    let judged = eval::judgement(session, part, seed)?;
    report.result(&as_text(&measured, judged.as_ref()));
    if measured.condition == Condition::Label {
        report
            .note("figures are given the class y of each example: bounds and estimates of log p(x|y), not of log p(x)");
    }
    if !measured.exact {
        report.note(GREY);
    }
    if measured.density {
        report.note(DENSITY);
    }
    if let Some(partition) = measured.partition.filter(|partition| partition.effective < FEW) {
        report.warn(&format!(
            "log Z rests on what {:.0} draws of the prior would tell: it is likely to be too low, and so are rate, -ELBO and \
             -log p(x)",
            partition.effective
        ));
    }
    let mut value = measured.as_json();
    if let Some(judged) = &judged {
        players::add(&mut value, judged);
    }
    let about = json!({
        "data": session.record.name, "part": name, "seed": seed, "epoch": trained.epoch, "step": trained.step,
    });
    for (key, found) in about.as_object().into_iter().flatten() {
        value[key] = found.clone();
    }
    report.json(&value);
    Ok(())
}

/// What to say where figures are no bounds of a likelihood.
pub(super) const GREY: &str = "grey values are no outcomes of a Bernoulli distribution, so these figures are no bounds \
                               of a likelihood: compare them only with others of this set-up";

/// What to say where a Gaussian is fitted to levels as they are.
const DENSITY: &str = "bytes as they are under a Gaussian: the figures are those of a density, which may be negative and are \
                       no code length of the levels; `logistic-mixture` gives probabilities of levels";

/// How good a model is on some examples.
pub(super) struct Measured {
    pub summary: Summary,
    pub likelihood: Option<eval::Likelihood>,
    /// Whether −ELBO is a bound of a likelihood.
    pub exact: bool,
    /// Whether it is one of a density at numbers that are levels.
    pub density: bool,
    /// What the model is told beside what it reads: all figures are given that.
    pub condition: Condition,
    /// The share of the examples with a label whose class is inferred rightly.
    pub accuracy: Option<f64>,
    /// The values of an example, a mean over the examples of those that are there, where each is one of 256 levels: then
    /// nats can be told in bits per value.
    pub discrete: Option<f64>,
    /// D, the values of an example.
    pub values: f64,
    /// What the decoder has learned once for all examples.
    pub learned: Option<Learned>,
    /// Whether numbers of the data were scaled before the model saw them.
    pub scaled: bool,
    /// By what the density of the prior was normalised, where that was estimated.
    pub partition: Option<Partition>,
    /// What is told of text.
    pub text: Option<text::OfText>,
}

impl Measured {
    pub fn as_json(&self) -> Value {
        let Self { summary, likelihood, exact, learned, condition, .. } = self;
        let aggregate = &summary.aggregate;
        let mut value = json!({
            "examples": summary.examples,
            "distortion": summary.terms.distortion, "rate": summary.terms.rate,
            "neg_elbo": summary.terms.neg_elbo(), "neg_elbo_se": summary.standard_error,
            "is_likelihood": exact, "condition": condition,
        });
        let latents = match &summary.codes {
            Some(usage) => json!({
                "codes": usage.counts.len(), "cells": usage.cells, "codes_used": usage.used(),
                "perplexity": usage.perplexity(), "bits_per_value": self.bits_per_value(),
            }),
            None if aggregate.mean.is_empty() => json!({
                "active_units": summary.active, "latent": summary.layers[0].latent, "rates": summary.rates,
            }),
            None => json!({
                "active_units": summary.active, "latent": summary.layers[0].latent, "rates": summary.rates,
                "aggregate_mean": aggregate.mean, "aggregate_covariance": aggregate.covariance,
                "aggregate_mmd": aggregate.mmd, "aggregate_draws": aggregate.draws,
            }),
        };
        for (key, found) in latents.as_object().into_iter().flatten() {
            value[key] = found.clone();
        }
        if summary.layers.len() > 1 {
            let layer = |layer: &Layer| json!({ "latent": layer.latent, "rate": layer.rate, "active": layer.active });
            value["layers"] = summary.layers.iter().map(layer).collect();
            value["latent"] = json!(summary.layers.iter().map(|layer| layer.latent).sum::<usize>());
        }
        if let Some(text) = &self.text {
            let nats = likelihood.as_ref().map(|likelihood| likelihood.neg_log_px);
            for (key, found) in text.as_json(summary.terms.neg_elbo(), nats).as_object().into_iter().flatten() {
                value[key] = found.clone();
            }
        }
        if let Some(accuracy) = self.accuracy {
            value["accuracy"] = json!(accuracy);
        }
        if *condition == Condition::Label {
            value["given"] = json!("y");
        }
        if let Some(bits) = self.bits(summary.terms.neg_elbo()) {
            value["bits_per_dim"] = json!(bits);
        }
        for (key, found) in json!(learned).as_object().into_iter().flatten() {
            value[key] = found.clone();
        }
        if let Some(Partition { log, standard_error, effective, draws }) = self.partition {
            value["log_partition"] = json!(log);
            value["log_partition_se"] = json!(standard_error);
            value["log_partition_draws"] = json!(draws);
            value["log_partition_effective"] = json!(effective);
        }
        if let Some(likelihood) = likelihood {
            value["samples"] = json!(likelihood.samples);
            // What it is given stands in `given`. Those of conditional models had a name of their own, which stays for a
            // version.
            let old = (*condition == Condition::Label).then_some("neg_log_px_given_y");
            for name in ["neg_log_px"].into_iter().chain(old) {
                value[name] = json!(likelihood.neg_log_px);
                value[format!("{name}_se")] = json!(likelihood.standard_error);
                if let Some(bits) = self.bits(likelihood.neg_log_px) {
                    value[format!("{name}_bits_per_dim")] = json!(bits);
                }
            }
        }
        value
    }

    /// −ELBO in bits for each value of an example: the length of its description.
    fn bits_per_value(&self) -> f64 {
        self.summary.terms.neg_elbo() / (self.values * std::f64::consts::LN_2)
    }

    /// Nats per example in bits per value, where that is meant: nats/(D·log 2).
    pub fn bits(&self, nats: f64) -> Option<f64> {
        self.discrete.map(|values| nats / (values * std::f64::consts::LN_2))
    }
}

/// The mean number of values of an example that are there, where the likelihood is that of 256 levels.
fn levels(session: &Session, part: Range<usize>) -> Result<Option<f64>> {
    if session.model.likelihood().outcomes != Outcomes::Levels {
        return Ok(None);
    }
    let (data, examples) = (session.data()?, part.len());
    if !data.missing {
        return Ok(Some(data.width() as f64));
    }
    let mut there = 0;
    data.visit(part, |_, row| {
        there += row.iter().filter(|value| !value.is_nan()).count();
        Ok(())
    })?;
    Ok(Some(there as f64 / examples as f64))
}

/// Evaluates a part of a session's data.
pub(super) fn measure(
    session: &mut Session,
    part: Range<usize>,
    samples: Option<usize>,
    seed: u64,
    report: &Report,
) -> Result<Measured> {
    if samples.is_some() {
        session.model.need(&[Need::Numbers], "--samples")?;
    }
    let (exact, of_text) = (is_likelihood(session)?, part.clone());
    let summary = eval::summary(session, part.clone(), seed)?;
    let neg_elbo = summary.terms.neg_elbo();
    if !neg_elbo.is_finite() {
        return Err(Error::Diverged(format!("-ELBO is {neg_elbo} on these data: the model has diverged")));
    }
    let accuracy = eval::accuracies(session, part.clone())?.map(|all| all[0]);
    let discrete = levels(session, part.clone())?;
    let likelihood = samples.map(|samples| likelihood(session, part, samples, seed, report)).transpose()?;
    let (learned, condition) = (session.learned()?, session.config.model.condition);
    let scaled = session.record.scales();
    let density = is_density(session)?;
    let values = session.model.width as f64;
    let partition = session.partition;
    let text = text::measure(session, of_text, seed)?;
    Ok(Measured {
        summary,
        likelihood,
        exact,
        density,
        condition,
        accuracy,
        discrete,
        values,
        learned,
        scaled,
        partition,
        text,
    })
}

/// Checks the value of `--samples`.
pub(super) fn check_samples(samples: Option<usize>) -> Result<()> {
    match samples {
        Some(samples) if !(1..=MAX_SAMPLES).contains(&samples) => {
            Err(Error::Usage(format!("--samples {samples}: the estimate takes 1 to {MAX_SAMPLES} samples")))
        }
        _ => Ok(()),
    }
}

fn likelihood(
    session: &mut Session,
    part: Range<usize>,
    samples: usize,
    seed: u64,
    report: &Report,
) -> Result<eval::Likelihood> {
    let begun = Instant::now();
    report.begin(estimate(session.config.model.condition), part.len());
    let done = eval::likelihood(session, part, samples, seed, &mut |examples| {
        report.step(examples, None, examples as f64 / begun.elapsed().as_secs_f64());
    });
    report.clear();
    done
}

/// What the estimate of importance weights is of.
fn estimate(condition: Condition) -> &'static str {
    match condition {
        Condition::None | Condition::Inferred => "-log p(x)",
        Condition::Label => "-log p(x|y)",
    }
}

fn as_text(measured: &Measured, judged: Option<&Judgement>) -> String {
    let Measured { summary, likelihood, learned, scaled, condition, .. } = measured;
    let bits = |nats: f64| measured.bits(nats).map_or(String::new(), |bits| format!(", {bits:.4} bits/dim"));
    let bound = match condition {
        Condition::None | Condition::Inferred => "-ELBO",
        Condition::Label => "-ELBO given y",
    };
    let nats = |value: f64| format!("{value:.2}");
    let error = |value: f64| format!("± {value:.2}");
    let row = |name: &str, value: String, rest: String| vec![name.to_owned(), value, rest];
    let rate = match &summary.codes {
        Some(usage) => format!("{} codes of {}, all as likely", usage.cells, usage.counts.len()),
        None => by_layer(summary),
    };
    let mut rows = vec![
        row("distortion", nats(summary.terms.distortion), String::new()),
        row("rate", nats(summary.terms.rate), rate),
        row(bound, nats(summary.terms.neg_elbo()), error(summary.standard_error) + &bits(summary.terms.neg_elbo())),
    ];
    if let Some(likelihood) = likelihood {
        let (error, bits) = (error(likelihood.standard_error), bits(likelihood.neg_log_px));
        let rest = format!("{error}{bits}, {} samples", count(likelihood.samples as u64));
        rows.push(row(estimate(*condition), nats(likelihood.neg_log_px), rest));
    }
    rows.extend(judged.map(players::rows).into_iter().flatten());
    rows.extend(measured.partition.map(|partition| {
        let Partition { log, standard_error, effective, draws } = partition;
        let [draws, effective] = [draws as u64, effective as u64].map(count);
        row(
            "log Z",
            nats(log),
            format!("± {standard_error:.4}, of the prior by {draws} draws of N(0, 1), worth {effective}"),
        )
    }));
    rows.extend(measured.text.iter().flat_map(|text| {
        text.rows(summary.terms.neg_elbo(), likelihood.as_ref().map(|likelihood| likelihood.neg_log_px))
    }));
    rows.extend(measured.accuracy.map(|share| row("accuracy", format!("{:.2} %", 100.0 * share), "of labels".into())));
    rows.extend(learned.as_ref().map(|learned| learned.in_words(*scaled).to_vec()));
    if let Some(usage) = &summary.codes {
        rows.extend(of_codes(measured, usage));
        return table(&["", "nats per example", ""], &rows);
    }
    let [active, latent] = [|layer: &Layer| layer.active, |layer: &Layer| layer.latent]
        .map(|of| summary.layers.iter().map(|layer| of(layer).to_string()).collect::<Vec<_>>().join(" + "));
    if summary.aggregate.mean.is_empty() {
        let active_of = format!("of {latent} latents have a rate above 0.01 nats");
        rows.push(row("active", active, active_of));
        rows.push(row("categories", String::new(), "drawn, one sample each; -ELBO is a bound of -log p(x)".into()));
        return table(&["", "nats per example", ""], &rows);
    }
    rows.push(row("active", active, format!("of {latent} latent dimensions")));
    rows.push(row("MMD² to N(0, 1)", format!("{:.4}", summary.aggregate.mmd), beside_prior(&summary.aggregate)));
    table(&["", "nats per example", ""], &rows)
}

/// What is told of codes: how long descriptions are, and how many of the codes they take.
fn of_codes(measured: &Measured, usage: &Usage) -> [Vec<String>; 2] {
    let (used, codes) = (usage.used(), usage.counts.len());
    let share = 100.0 * used as f64 / codes as f64;
    let bits = format!("{:.4}", measured.bits_per_value());
    [
        vec!["description".into(), bits, "bits per value: codes and, given these, values".into()],
        vec![
            "perplexity".into(),
            format!("{:.1}", usage.perplexity()),
            format!("of {codes} codes, {used} of them in use ({share:.1} %)"),
        ],
    ]
}

/// All posteriors together, in words: where they are the prior, means are 0, variances 1 and correlations 0.
fn beside_prior(aggregate: &Aggregate) -> String {
    let [least, most] = aggregate.variances();
    let correlation = match aggregate.mean.len() {
        1 => String::new(),
        _ => format!(", largest correlation {:.2}", aggregate.largest_correlation()),
    };
    format!("variances {least:.2} to {most:.2}, largest mean {:.2}{correlation}", aggregate.largest_mean())
}

/// The rates of several stochastic layers, the lowest first; of one those of its dimensions.
fn by_layer(summary: &Summary) -> String {
    if let [_] = summary.layers[..] {
        return by_dimension(summary.rates.as_deref());
    }
    let all: Vec<String> = summary.layers.iter().map(|layer| format!("{:.2}", layer.rate)).collect();
    format!("by layer {}; of the highest {}", all.join(" + "), by_dimension(summary.rates.as_deref()))
}

/// The rates of single dimensions, the largest first, if they have any.
fn by_dimension(rates: Option<&[f64]>) -> String {
    let Some(rates) = rates else {
        return "log q(z|x) - log p(z) at a sample, which no dimension has by itself".into();
    };
    let mut sorted = rates.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let shown: Vec<String> = sorted.iter().take(SHOWN).map(|rate| format!("{rate:.2}")).collect();
    let rest = sorted.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(" and {rest} smaller") } else { String::new() };
    format!("by dimension {}{more}", shown.join(" "))
}

/// Whether −ELBO is a bound of a likelihood: Bernoulli terms of values between 0 and 1 are not.
fn is_likelihood(session: &Session) -> Result<bool> {
    let grey = session.model.likelihood().outcomes == Outcomes::Binary
        && session.config.data.binarise == Binarise::None
        && !is_binary(session.data()?)?;
    Ok(!grey)
}

/// Whether a Gaussian tells the density of levels, which are no measurements.
fn is_density(session: &Session) -> Result<bool> {
    let gaussian = session.model.likelihood().outcomes == Outcomes::Intervals;
    Ok(gaussian && session.config.data.binarise == Binarise::None && session.data()?.values.are_bytes())
}

fn is_binary(data: &Dataset) -> Result<bool> {
    let mut binary = true;
    // One that is not settles it, which the first examples show where there is any.
    for first in (0..data.len()).step_by(PORTION) {
        data.visit(first..data.len().min(first + PORTION), |_, row| {
            binary &= row.iter().all(|&value| value == 0.0 || value == 1.0 || value.is_nan());
            Ok(())
        })?;
        if !binary {
            break;
        }
    }
    Ok(binary)
}
