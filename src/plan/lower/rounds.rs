//! Likelihoods that a software driver would not finish: it leaves the loops of a thread after [`MOST_ROUNDS`].

use super::{Plan, Role, Step, Target};
use crate::error::{Error, Result};
use crate::kernels::{MOST_ROUNDS, append, logistic_mixture, logistic_mixture_mean, table, table_values};
use bytemuck::Pod;

/// Refuses steps of a plan whose threads would be left unfinished.
pub(super) fn check(target: Target, plan: &Plan) -> Result<()> {
    if !matches!(target, Target::Lanes | Target::Software) {
        return Ok(());
    }
    match plan.steps.iter().map(|step| (step, rounds(plan, step))).find(|(_, rounds)| *rounds > MOST_ROUNDS) {
        None => Ok(()),
        Some((step, rounds)) => Err(Error::Device(format!(
            "{}: an example takes {rounds} rounds of a thread, and software Vulkan drivers finish {MOST_ROUNDS}; use \
             --adapter cpu, or {}",
            step.what,
            match step.kernel.name {
                "logistic_mixture" | "logistic_mixture_mean" | "append" => "lower model.components or data.resize",
                _ => "fewer columns",
            }
        ))),
    }
}

/// Rounds of loops of a thread, where they grow with an example.
fn rounds(plan: &Plan, step: &Step) -> usize {
    match step.kernel.name {
        "logistic_mixture" => logistic_mixture::rounds(&params(step)),
        "logistic_mixture_mean" => logistic_mixture_mean::rounds(&params(step)),
        "append" => append::rounds(&params(step), &step.consts),
        "table" => columns(plan, step).map_or(0, table::rounds),
        "table_values" => columns(plan, step).map_or(0, table_values::rounds),
        _ => 0,
    }
}

fn params<P: Pod>(step: &Step) -> P {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&step.params))
}

/// The layout of columns that a step reads.
fn columns<'a>(plan: &'a Plan, step: &Step) -> Option<&'a [u32]> {
    let binding = step.kernel.bindings.iter().position(|binding| binding.name == "columns")?;
    match &plan.buffers[step.views[binding].buffer].role {
        Role::Constants(words) => Some(words),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::columns::{Column, Columns, Distribution};
    use crate::graph::mixture::Mixture;
    use crate::graph::{Clamp, Graph, Id, Op};
    use crate::plan::{Resident, Target, lower};
    use crate::shape::Shape;
    use std::sync::Arc;

    /// Whether a plan of one likelihood term, or of one mean, of so many numbers is refused.
    fn refused(target: Target, widths: [usize; 2], op: impl Fn([Id; 2]) -> Op) -> bool {
        let mut graph = Graph::new(1);
        let given = [("out", widths[0]), ("x", widths[1])]
            .map(|(name, width)| graph.add(Op::Input { name: name.into(), shape: Shape::new(&[1, width]) }).unwrap());
        let made = graph.add(op(given)).unwrap();
        graph.output("made", made);
        let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
        match lower("plan", graph, None, resident, target) {
            Ok(_) => false,
            Err(error) => {
                assert!(error.exit_code() == 5 && error.to_string().contains("--adapter cpu"), "{error}");
                true
            }
        }
    }

    #[test]
    fn what_a_software_driver_would_leave_unfinished_is_refused_there_and_nowhere_else() {
        use Distribution::{Categorical, NegativeBinomial, Poisson};
        let columns = |distribution, count, places| {
            let all = vec![Column { distribution, places }; count];
            Arc::new(Columns { all, clamp: Clamp { low: -1.0, high: 1.0 }, fixed_log_variance: 0.0 })
        };
        for target in [Target::Cpu, Target::Lanes, Target::Software] {
            let emulated = target != Target::Cpu;
            for (distribution, count, places, too_many) in [
                (NegativeBinomial, 90_000, 1, false),
                (NegativeBinomial, 120_000, 1, true),
                (Poisson, 120_000, 1, false),
                (Categorical, 100, 4096, false),
                (Categorical, 200, 4096, true),
            ] {
                let columns = columns(distribution, count, places);
                let widths = [columns.outputs(), columns.width()];
                let found = refused(target, widths, |[out, x]| Op::Table { out, x, columns: columns.clone() });
                assert_eq!(found, too_many && emulated, "{count} of {distribution:?} on {target:?}");
            }
            for (components, side, too_many) in
                [(10, 64, [false, false]), (130, 64, [true, false]), (200, 96, [true, true])]
            {
                let mixture = Mixture { components, channels: 3, shared_scales: false };
                let width = 3 * side * side;
                let widths = [mixture.outputs(width), width];
                let term = refused(target, widths, |[out, x]| Op::LogisticMixture { out, x, mixture });
                let mean = refused(target, widths, |[out, _]| Op::LogisticMixtureMean { out, mixture });
                assert_eq!([term, mean], too_many.map(|many| many && emulated), "{components} on {target:?}");
            }
        }
    }
}
