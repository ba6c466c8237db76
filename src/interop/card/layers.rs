//! Models of several stochastic layers as functions in PyTorch: latents of all layers stand side by side, from the lowest up.

use super::python::{Body, Layout};
use crate::config::Hierarchy;
use crate::error::Result;
use crate::interop::heads;
use crate::model::Model;
use crate::model::network::{GroupSteps, Step, TopDown};
use std::fmt::Write;
use std::ops::Range;

/// The functions `encode` and `sample`, and the beginning of `decode` to its last map.
pub(super) struct Functions {
    pub encode: String,
    pub sample: String,
    pub decoder: Body,
}

/// Those of a model; `shown` are the lines by which an example becomes what the encoder is shown.
pub(super) fn functions(model: &Model, shown: &str) -> Result<Functions> {
    let writer = Writer { model, columns: columns(model) };
    if model.is_residual() { writer.groups(shown) } else { writer.levels(shown) }
}

/// Which columns each layer has.
pub(super) fn columns(model: &Model) -> Vec<Range<usize>> {
    let mut end = 0;
    let columns = |width| {
        end += width;
        end - width..end
    };
    model.latents().into_iter().map(columns).collect()
}

/// Which columns of `z` and `noise` are of which layer, in words.
pub(super) fn words(model: &Model) -> String {
    let mut all: Vec<String> = Vec::new();
    for (at, Range { start, end }) in (1..).zip(columns(model)) {
        all.push(format!("z{at} {start}:{end}"));
    }
    let groups = if model.is_residual() { ", of each the planes of an image one after the other" } else { "" };
    format!("Layers stand side by side, from the lowest up: {}{groups}.", all.join(", "))
}

struct Writer<'a> {
    model: &'a Model,
    columns: Vec<Range<usize>>,
}

impl Writer<'_> {
    /// A mean and a log-variance within its range as two lines, from heads of a network.
    fn statistics(&self, body: &Body, head: &str, [mean, log_variance]: [&str; 2]) -> String {
        let [low, high] = self.model.config.log_variance;
        let heads = heads(head).map(|name| body.head(&name));
        format!("    {mean} = {}\n    {log_variance} = {}.clamp({low}, {high})\n", heads[0], heads[1])
    }

    /// `zN` of a layer, counted from 1, by its statistics.
    fn drawn(&self, layer: usize, [mean, log_variance]: [&str; 2]) -> String {
        let Range { start, end } = self.columns[layer - 1];
        format!("    z{layer} = {mean} + (0.5 * {log_variance}).exp() * noise[:, {start}:{end}]\n")
    }

    /// `meanN`, `log_varianceN` and so on of all layers side by side.
    fn together(&self, name: &str) -> String {
        let all: Vec<String> = (1..=self.columns.len()).map(|layer| format!("{name}{layer}")).collect();
        format!("torch.cat([{}], 1)", all.join(", "))
    }

    fn all_that_is_known(&self) -> String {
        format!("    return {}, {}, {}\n", self.together("mean"), self.together("log_variance"), self.together("z"))
    }

    /// Dense layers above each other.
    fn levels(&self, shown: &str) -> Result<Functions> {
        let model = self.model;
        let ([encoder, decoder], between) = (model.networks()?, model.between()?);
        let lowest = Body::of(&encoder, "x", Some(model.shape));
        let ladder = model.config.hierarchy == Hierarchy::Ladder;
        let prefix = if ladder { "found_" } else { "" };
        let named =
            |prefix: &str, layer: usize| [format!("{prefix}mean{layer}"), format!("{prefix}log_variance{layer}")];
        let mut encode = format!("{shown}{}", lowest.lines);
        let [mean, lv] = named(prefix, 1);
        encode += &self.statistics(&lowest, "encoder.head", [&mean, &lv]);
        if !ladder {
            encode += &self.drawn(1, [&mean, &lv]);
        }
        for (layer, [up, _]) in (2..).zip(&between) {
            if !ladder {
                let _ = writeln!(encode, "    x = z{}", layer - 1);
            }
            let (body, [mean, lv]) = (Body::of(up, "x", None), named(prefix, layer));
            encode += &body.lines;
            encode += &self.statistics(&body, &format!("encoder{layer}.head"), [&mean, &lv]);
            if !ladder {
                encode += &self.drawn(layer, [&mean, &lv]);
            }
        }
        // From the top down: what the layer above says of one.
        let prior = |layer: usize, [mean, lv]: [&str; 2]| {
            let body = Body::of(&between[layer - 1][1], "h", None);
            let above = layer + 1;
            format!("    h = z{above}\n{}", body.lines)
                + &self.statistics(&body, &format!("decoder{above}.head"), [mean, lv])
        };
        let highest = self.columns.len();
        if ladder {
            for layer in (1..=highest).rev() {
                let ([mean, lv], [found, found_lv]) = (named("", layer), named(prefix, layer));
                if layer == highest {
                    let _ = write!(encode, "    {mean} = {found}\n    {lv} = {found_lv}\n");
                } else {
                    encode += &prior(layer, ["prior_mean", "prior_log_variance"]);
                    let [low, high] = model.config.log_variance;
                    let _ = write!(
                        encode,
                        "    share = torch.sigmoid(prior_log_variance - {found_lv})\n    \
                         {mean} = prior_mean + ({found} - prior_mean) * share\n    \
                         {lv} = (prior_log_variance - F.softplus(prior_log_variance - {found_lv})).clamp({low}, {high})\n"
                    );
                }
                encode += &self.drawn(layer, [&mean, &lv]);
            }
        }
        encode += &self.all_that_is_known();
        let mut sample = format!(
            "    z{highest} = noise[:, {}:{}]\n",
            self.columns[highest - 1].start,
            self.columns[highest - 1].end
        );
        for layer in (1..highest).rev() {
            sample += &prior(layer, ["mean", "log_variance"]);
            sample += &self.drawn(layer, ["mean", "log_variance"]);
        }
        let _ = writeln!(sample, "    return {}", self.together("z"));
        Ok(Functions { encode, sample, decoder: Body::of(&decoder, "z", None) })
    }

    /// Groups that add to an image.
    fn groups(&self, shown: &str) -> Result<Functions> {
        let TopDown { groups, output } = self.model.top_down()?;
        let (highest, mut layout) = (groups.len(), Layout::of(Some(self.model.shape)));
        let mut encode = shown.to_owned();
        for (layer, group) in (1..).zip(&groups) {
            encode += &Body::through(&group.encoder, "x", &mut layout);
            let _ = writeln!(encode, "    e{layer} = x");
        }
        let (mut sample, mut decode) = (String::new(), String::new());
        for layer in (1..=highest).rev() {
            let group = &groups[layer - 1];
            let (mean, lv) = (format!("mean{layer}"), format!("log_variance{layer}"));
            let Range { start, end } = self.columns[layer - 1];
            let prior = match &group.prior {
                None => String::new(),
                Some(prior) => {
                    let body = Body::of_image(prior, "p");
                    format!("    p = h\n{}", body.lines)
                        + &self.statistics(&body, &head_of(prior), ["prior_mean", "prior_log_variance"])
                }
            };
            let posterior = Body::of_image(&group.posterior, "q");
            if layer == highest {
                let _ = write!(encode, "    q = e{layer}\n{}", posterior.lines);
                encode += &self.statistics(&posterior, &head_of(&group.posterior), [&mean, &lv]);
                let _ = writeln!(sample, "    z{layer} = noise[:, {start}:{end}]");
            } else {
                let [low, high] = self.model.config.log_variance;
                let [told, told_lv] = heads(&head_of(&group.posterior)).map(|name| posterior.head(&name));
                let _ = write!(
                    encode,
                    "{prior}    q = torch.cat([h, e{layer}], 1)\n{}    {mean} = prior_mean + {told}\n    \
                     {lv} = (prior_log_variance + {told_lv}).clamp({low}, {high})\n",
                    posterior.lines
                );
                sample += &prior;
                sample += &self.drawn(layer, ["prior_mean", "prior_log_variance"]);
            }
            encode += &self.drawn(layer, [&mean, &lv]);
            let _ = writeln!(decode, "    z{layer} = z[:, {start}:{end}]");
            let added = added(group, layer, layer == highest);
            // What the lowest group leaves is for the decoder alone.
            if layer > 1 {
                encode += &added;
                sample += &added;
            }
            decode += &added;
        }
        encode += &self.all_that_is_known();
        let _ = writeln!(sample, "    return {}", self.together("z"));
        let mut decoder = Body::of_image(&output, "h");
        decoder.lines = decode + &decoder.lines;
        Ok(Functions { encode, sample, decoder })
    }
}

/// What a group adds to the image `h` of what is known, and its cells.
fn added(group: &GroupSteps, layer: usize, highest: bool) -> String {
    let [height, width] = group.sides;
    let mut layout = Layout::Image;
    let mut lines = format!("    l = z{layer}.unflatten(1, ({}, {height}, {width}))\n", group.latent);
    lines += &Body::through(&group.latents, "l", &mut layout);
    if let Some(classes) = &group.classes {
        let count = classes.iter().find_map(|step| match step {
            Step::Map(map) => Some(map.inputs),
            _ => None,
        });
        let _ = writeln!(lines, "    h = F.one_hot(y, {}).float()", count.unwrap_or_default());
        lines += &Body::through(classes, "h", &mut Layout::of(None));
    }
    lines += if highest && group.classes.is_none() { "    h = l\n" } else { "    h = h + l\n" };
    lines + &Body::through(&group.decoder, "h", &mut layout)
}

/// The name of the last map of a network.
fn head_of(steps: &[Step]) -> String {
    let name = steps.iter().rev().find_map(|step| match step {
        Step::Map(map) => Some(map.name.clone()),
        _ => None,
    });
    name.unwrap_or_default()
}
