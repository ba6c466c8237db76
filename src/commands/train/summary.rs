//! A model in a few lines, before any time is spent on it.

use crate::checkpoint;
use crate::config::Cell;
use crate::error::Result;
use crate::model::{likelihood, network, objective};
use crate::plan::Role;
use crate::report::Report;
use crate::report::human::{bytes, count, counted};
use crate::session::Session;

/// Networks, sizes and loss of what is trained.
///
/// # Errors
/// Those of the plans.
pub fn model(session: &mut Session, report: &Report) -> Result<()> {
    let plans = session.phases()?;
    let plan = session.executor.plan(plans[0]);
    let further: u64 = plans[1..].iter().map(|&plan| session.executor.plan(plan).own_bytes()).sum();
    let (parameters, memory) = (plan.parameter_count(), plan.bytes() + further);
    let between = plan.own_bytes() + further;
    let resident = 4 * (plan.words(&Role::Data) + plan.words(&Role::Window)) as u64;
    let (config, members) = (&session.config, session.member_count());
    let beta = config.objective.beta;
    let same = session.members().all(|member| member.objective.beta == beta);
    let beta = if same { beta.to_string() } else { "beta".to_owned() };
    describe_networks(session, report)?;
    let widths: Vec<String> = session.model.discriminator().iter().map(|map| map.outputs.to_string()).collect();
    if !widths.is_empty() {
        report.note(&format!("         discriminator {}", widths.join(", ")));
    }
    let widths: Vec<String> = session.model.classifier().iter().map(|map| map.outputs.to_string()).collect();
    if !widths.is_empty() {
        let shown = session.labelled()?.len() as u64;
        report.note(&format!("         classifier {}; {} examples show their label", widths.join(", "), count(shown)));
    }
    let model = &session.model.config;
    if let Some([variables, categories]) = model.variables() {
        let numbers = model.latent - model.places_of_categories();
        let beside = if numbers > 0 { format!(" and {}", counted(numbers as u64, "number")) } else { String::new() };
        report.note(&format!(
            "         latents: {} of {categories} categories{beside}; drawn by Gumbel-softmax in training, in eval as they are",
            counted(variables as u64, "variable")
        ));
    }
    if model.codes > 0 {
        let [height, width] = session.model.grid();
        report.note(&format!(
            "         {height}x{width} codes of {}, {} numbers each; rate {:.2} nats for every example",
            count(model.codes as u64),
            model.latent,
            session.model.rate_of_codes()
        ));
    }
    if [model.prior.word(), model.posterior.word()] != ["standard", "gaussian"] {
        let rate = if session.model.has_closed_rate() { "in closed form" } else { "log q(z|x) - log p(z) at a sample" };
        let [prior, posterior] = [model.prior.word(), model.posterior.word()];
        report.note(&format!("         prior {prior}, posterior {posterior}; rates, also in metrics.csv, are {rate}"));
    }
    if let Some(global) = likelihood::global(&session.model) {
        report.note(&format!("         {}: {} for all examples", global.name, count(global.count as u64)));
    }
    if members > 1 {
        report.note(&format!(
            "         {members} of them side by side; sizes are those of all, but for parameters and checkpoints"
        ));
    }
    // Two moments, and an average where there is one.
    let kept = if config.optimizer.ema > 0.0 { 4 } else { 3 };
    report.note(&format!(
        "         {} parameters, loss = {}; {} on the device ({} of it data, {} what lies between layers), {} a checkpoint",
        count(parameters as u64),
        objective::formula(config, &beta),
        bytes(memory),
        bytes(resident),
        bytes(between),
        bytes(checkpoint::size_estimate(kept * parameters))
    ));
    Ok(())
}

/// What the networks of a model consist of.
fn describe_networks(session: &Session, report: &Report) -> Result<()> {
    let (name, model) = (&session.config.name, &session.model);
    if model.is_prior_of_codes() {
        let ([_, height, width], of) = (model.shape, &model.config);
        let (layers, channels) = (of.prior_layers, of.prior_width);
        report.note(&format!("model    {name}: {layers} gated layers of {channels} channels, two stacks"));
        report.note(&format!(
            "         {height}x{width} codes of {}, which take {:.2} nats where all are as likely",
            count(of.prior_codes as u64),
            model.uniform_nats()
        ));
        return Ok(());
    }
    if model.is_sequence() {
        let (of, text) = (&model.config, session.record.text.as_ref());
        let tokens = text.map_or("", |text| text.tokens.word());
        let cell = of.cell.word();
        let units =
            |widths: &[usize]| widths.iter().map(|width| format!("{cell} {width}")).collect::<Vec<_>>().join(", ");
        let (embedding, latent) = (of.embedding, of.latent);
        let both = match of.cell {
            Cell::Transformer => format!(" by {} heads", of.heads),
            _ if of.bidirectional => " in both directions".into(),
            _ => String::new(),
        };
        let told = if of.cell == Cell::Transformer { "" } else { " and before the first" };
        report.note(&format!(
            "tokens   {} {tokens} of a vocabulary, up to {} of an example and its end",
            count(model.vocabulary() as u64),
            model.width - 1
        ));
        if let Some(music) = text.and_then(|text| text.music) {
            report.note(&format!("time     {}", music.describe()));
        }
        report.note(&format!(
            "model    {name}: encoder embed {embedding}, {}{both}, {latent} latents",
            units(&of.hidden)
        ));
        let dropout = 100.0 * of.word_dropout;
        report.note(&format!(
            "         decoder embed {embedding}, {}, the latents at each step{told}, {dropout} % of tokens not shown",
            units(&model.decoder_units())
        ));
        return Ok(());
    }
    let [encoder, decoder] = model.networks()?.map(|steps| network::describe(&steps).join(", "));
    report.note(&format!("model    {name}: encoder {encoder}"));
    report.note(&format!("         decoder {decoder}"));
    for (level, pair) in (2..).zip(model.between()?) {
        let [up, down] = pair.map(|steps| network::describe(&steps).join(", "));
        report.note(&format!("         encoder {level} {up}"));
        report.note(&format!("         decoder {level} {down}"));
    }
    Ok(())
}
