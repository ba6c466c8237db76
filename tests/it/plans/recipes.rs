//! The training plans of all recipes, each as one line: how many dispatches of which kernels, and a hash of everything
//! that an executor is given. A change that is meant to change no plan shows here at once.

use super::models::{Setup, resident};
use elbo::config::{Likelihood, RECIPES, resolve};
use elbo::graph::columns::{Column, Columns, Distribution};
use elbo::graph::op::Source;
use elbo::graph::{Clamp, Graph};
use elbo::model::{Model, Phase};
use elbo::plan::print::print;
use elbo::plan::{Plan, Row, Target, UpdateStep, lower, reports_norm};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

const BATCH: usize = 128;

/// One line for each recipe and each of these targets.
pub fn summary() -> String {
    let mut text = String::new();
    for (name, ..) in RECIPES {
        let setup = setup(name);
        for target in [Target::Cpu, Target::Gpu, Target::Software] {
            let kind = format!("{target:?}").to_lowercase();
            for (phase, plan) in train(&setup, target) {
                let _ = writeln!(text, "{name} {kind}{phase}: {}", line(&plan));
            }
        }
    }
    text
}

/// The recipe with data of the kind that it is for.
fn setup(name: &'static str) -> Setup {
    let config = resolve(Some(name), &[]).expect("the recipe is valid");
    let (shape, source) = match name {
        "colour" | "levels" | "mixture" | "vq-colour" => ([3, 32, 32], Source::Bytes),
        "codes-prior" => ([1, 7, 7], Source::Floats),
        "text" => ([1, 1, 65], Source::Tokens(100)),
        "smiles" => ([1, 1, 81], Source::Tokens(40)),
        "music" => ([1, 1, 65], Source::Tokens(60)),
        "recommend" => ([1, 1, 12], Source::Sparse(9)),
        "table" | "categories" | "counts" | "anomaly" => ([1, 1, 12], Source::Floats),
        _ => ([1, 28, 28], Source::Bytes),
    };
    let classes = if matches!(name, "conditional" | "m2") { 10 } else { 0 };
    let model = Model {
        config: config.model.clone(),
        width: shape.iter().product(),
        shape,
        source,
        binarise: config.data.binarise,
        columns: columns(config.model.likelihood).map(Arc::new),
        missing: false,
        classes,
    };
    Setup { name, config, model }
}

/// Twelve places of columns, where a likelihood is one of columns.
fn columns(likelihood: Likelihood) -> Option<Columns> {
    use Distribution::{Bernoulli, Categorical, Normal};
    let kinds = match likelihood {
        Likelihood::Heterogeneous => vec![(Normal, 1), (Bernoulli, 1), (Categorical, 4), (Normal, 1), (Categorical, 5)],
        Likelihood::Categorical => vec![(Categorical, 4); 3],
        _ => return None,
    };
    let all = kinds.into_iter().map(|(distribution, places)| Column { distribution, places }).collect();
    Some(Columns { all, clamp: Clamp { low: -6.0, high: 2.0 }, fixed_log_variance: 0.0 })
}

/// The plans of all phases; those of several with their names.
fn train(setup: &Setup, target: Target) -> Vec<(String, Plan)> {
    let graphs = setup.model.phase_graphs(&setup.config, BATCH).expect("the model's shapes meet");
    let width = |phase: &Phase, graph: &Graph| graph.terms.len() + usize::from(reports_norm(&phase.optimizer));
    let (several, columns) = (graphs.len() > 1, graphs.iter().map(|(phase, graph)| width(phase, graph)).sum());
    let mut first = 0;
    let plan = |(phase, graph): (Phase, Graph)| {
        let row = Some(Row { first, columns });
        first += width(&phase, &graph);
        let ending = Some(UpdateStep { trains: phase.trains, row, ..UpdateStep::plain(&phase.optimizer) });
        let plan = lower("train", graph, ending, resident(setup, 1000, 100), target);
        let plan = plan.unwrap_or_else(|error| panic!("{} for {target:?}: {error}", setup.name));
        (if several { format!(", {}", phase.name) } else { String::new() }, plan)
    };
    graphs.into_iter().map(plan).collect()
}

fn line(plan: &Plan) -> String {
    let mut kernels: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = print(plan);
    for step in &plan.steps {
        *kernels.entry(step.kernel.name).or_default() += 1;
        let all = (&step.consts, &step.params, &step.views, step.outer, step.unit, step.grid);
        let _ = writeln!(text, "{all:?}");
    }
    let kernels: Vec<String> = kernels.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{:016x}, {} steps: {}", fnv1a(text.as_bytes()), plan.steps.len(), kernels.join(", "))
}

/// The 64-bit hash FNV-1a, which is the same in every version of the compiler.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}
