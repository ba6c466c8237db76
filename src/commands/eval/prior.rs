//! How good a prior of codes is: how many nats codes take, and with what the VQ-VAE leaves to say, how many an example takes.

use crate::cli::EvalArgs;
use crate::commands::open;
use crate::data::grids;
use crate::error::{Error, Result};
use crate::eval;
use crate::model::tasks::EVALUATE;
use crate::report::Report;
use crate::report::human::count;
use crate::report::table::table;
use crate::session::{BATCH, Purpose};
use serde_json::json;
use std::f64::consts::LN_2;

/// Evaluates a prior of codes on a part of its codes.
///
/// # Errors
/// [`Error::Usage`] for what makes no sense of a prior, and a part that is not there; [`Error::Data`] where run or codes cannot be
/// read; [`Error::Diverged`] where −log p is not finite.
pub fn run(args: &EvalArgs, report: &Report) -> Result<()> {
    let refuse = |flag: &str, why: &str| Err(Error::Usage(format!("{flag}: {why}")));
    if args.samples.is_some() {
        return refuse("--samples", "a prior of codes has no latents, and its -log p is exact");
    }
    if args.examples.data.is_some() {
        return refuse("--data", "the data of a prior of codes are those in its folder");
    }
    let mut trained = open::prior(&args.run, Purpose::task(EVALUATE, BATCH), report)?;
    let session = &mut trained.session;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let (examples, of) = (part.len(), session.record.name.clone());
    report.note(&format!("data     {of}, {name} part: {} examples", count(examples as u64)));
    let folder = trained.folder.join(grids::FOLDER);
    let (about, distortions) = (grids::about(&folder)?, grids::distortion(&folder)?);
    let (nats, standard_error) = eval::of_codes(session, part.clone())?;
    if !nats.is_finite() {
        return Err(Error::Diverged(format!("-log p is {nats} on these codes: the prior has diverged")));
    }
    let distortion = distortions[part].iter().sum::<f64>() / examples as f64;
    let (cells, codes, uniform) = (session.model.width, session.model.config.prior_codes, session.model.uniform_nats());
    let (bits, total) = (nats / (cells as f64 * LN_2), nats + distortion);
    let [of_total, of_uniform] = [total, uniform + distortion].map(|nats| nats / (about.values as f64 * LN_2));
    let row = |name: &str, value: f64, rest: String| vec![name.to_owned(), format!("{value:.2}"), rest];
    let text = table(
        &["", "nats per example", ""],
        &[
            row("-log p(codes)", nats, format!("± {standard_error:.2}, {bits:.4} bits per code of {cells}")),
            row("all as likely", uniform, format!("{cells} log {codes}, {:.4} bits per code", (codes as f64).log2())),
            row("distortion", distortion, "of the VQ-VAE, given the codes".into()),
            row("description", total, format!("{of_total:.4} bits per value; {of_uniform:.4} were all as likely")),
        ],
    );
    report.result(&text);
    if session.model.classes > 0 {
        report.note("given the class of each example: -log p(codes|y)");
    }
    report.json(&json!({
        "examples": examples, "neg_log_p_codes": nats, "neg_log_p_codes_se": standard_error, "bits_per_code": bits,
        "uniform": uniform, "distortion": distortion, "description": total, "bits_per_value": of_total,
        "bits_per_value_uniform": of_uniform, "cells": cells, "codes": codes, "data": of, "part": name,
        "epoch": trained.epoch, "step": trained.step, "condition": session.config.model.condition,
    }));
    Ok(())
}
