//! What a software driver would not finish: it leaves the loops of a thread after [`MAX_LOOP_ITERATIONS`].

use super::{Buffer, Role, Step, Target};
use crate::error::{Error, Result};
use crate::kernels::{Asked, MAX_LOOP_ITERATIONS};

/// Refuses steps whose threads would be left unfinished. `buffers` are those of the steps' views, without which steps of
/// tables are not looked at.
///
/// # Errors
/// [`Error::Device`], with what makes the rounds fewer.
pub fn check_rounds(target: Target, steps: &[Step], buffers: &[Buffer]) -> Result<()> {
    if !matches!(target, Target::Simd8 | Target::Software) {
        return Ok(());
    }
    for step in steps {
        let columns = columns(step, buffers).unwrap_or_default();
        let (iterations, fewer) = (step.kernel.loop_iterations)(&Asked { columns, ..step.asked() });
        if iterations > MAX_LOOP_ITERATIONS {
            return Err(Error::Device(format!(
                "{}: {iterations} iterations of a thread's loops are more than software Vulkan drivers finish, which is \
                 {MAX_LOOP_ITERATIONS}; use --adapter cpu, or {fewer}",
                step.what
            )));
        }
    }
    Ok(())
}

/// The layout of columns that a step reads.
fn columns<'a>(step: &Step, buffers: &'a [Buffer]) -> Option<&'a [u32]> {
    let binding = step.kernel.bindings.iter().position(|binding| binding.name == "columns")?;
    match &buffers.get(step.views[binding].buffer)?.role {
        Role::Constants(words) => Some(words),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::Expr;
    use crate::expr::words::Access;
    use crate::graph::columns::{Column, Columns, Distribution};
    use crate::graph::mixture::Mixture;
    use crate::graph::{Axis, Clamp, Elements, Graph, Id, Op, Reduction};
    use crate::plan::{Resident, Target, lower};
    use crate::shape::Shape;
    use std::sync::Arc;

    /// Whether a plan of one operation on inputs of these extents is refused; the batch is the rows of the first.
    fn refused<const N: usize>(target: Target, inputs: [&[usize]; N], op: impl Fn([Id; N]) -> Op) -> bool {
        refused_either(target, inputs, None, op)
    }

    /// The same of the gradient of the operation for one of its inputs; the last input is the gradient of what it makes.
    fn refused_gradient<const N: usize>(
        target: Target,
        inputs: [&[usize]; N],
        of: usize,
        op: impl Fn([Id; N]) -> Op,
    ) -> bool {
        refused_either(target, inputs, Some(of), op)
    }

    fn refused_either<const N: usize>(
        target: Target,
        inputs: [&[usize]; N],
        gradient: Option<usize>,
        op: impl Fn([Id; N]) -> Op,
    ) -> bool {
        let mut graph = Graph::new(inputs[0][0]);
        let mut number = 0..;
        let given = inputs.map(|extents| {
            let name = format!("input {}", number.next().unwrap());
            graph.add(Op::Input { name, shape: Shape::new(extents) }).unwrap()
        });
        let mut made = graph.add(op(given)).unwrap();
        if let Some(input) = gradient {
            made = graph.add(Op::Vjp { of: made, input, dy: given[N - 1] }).unwrap();
        }
        graph.output("made", made);
        let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
        match lower("plan", graph, None, resident, target) {
            Ok(_) => false,
            Err(error) => {
                assert!(error.exit_code() == 5 && error.to_string().contains("--adapter cpu, or "), "{error}");
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
        for target in [Target::Cpu, Target::Simd8, Target::Software] {
            let emulated = target != Target::Cpu;
            for (distribution, count, places, too_many) in [
                (NegativeBinomial, 80_000, 1, false),
                (NegativeBinomial, 120_000, 1, true),
                (Poisson, 120_000, 1, false),
                (Categorical, 100, 4096, false),
                (Categorical, 200, 4096, true),
            ] {
                let columns = columns(distribution, count, places);
                let inputs: [&[usize]; 2] = [&[1, columns.outputs()], &[1, columns.width()]];
                let found = refused(target, inputs, |[out, x]| Op::Table { out, x, columns: columns.clone() });
                assert_eq!(found, too_many && emulated, "{count} of {distribution:?} on {target:?}");
            }
            // Of pictures of 64x64 in colour the term, its gradient and the mean.
            for (components, too_many) in [
                (100, [false, false, false]),
                (110, [false, true, false]),
                (180, [false, true, true]),
                (250, [true, true, true]),
            ] {
                let mixture = Mixture { components, channels: 3, shared_scales: false };
                let width = 3 * 64 * 64;
                let inputs: [&[usize]; 3] = [&[1, mixture.outputs(width)], &[1, width], &[1]];
                let term = |[out, x, _]: [Id; 3]| Op::LogisticMixture { out, x, mixture };
                let found = [
                    refused(target, inputs, term),
                    refused_gradient(target, inputs, 0, term),
                    refused(target, inputs, |[out, ..]| Op::LogisticMixtureMean { out, mixture }),
                ];
                assert_eq!(found, too_many.map(|many| many && emulated), "{components} on {target:?}");
            }
            for (pixels, too_many) in [(250 * 250, false), (256 * 256, true)] {
                let (width, count) = (40, 15);
                let tail = count * pixels;
                let inputs: [&[usize]; 3] = [&[1, width], &[count], &[1, width + tail]];
                let found = refused_gradient(target, inputs, 1, |[x, w, _]| Op::ConcatBroadcast { x, w, tail });
                assert_eq!(found, too_many && emulated, "scales of {pixels} pixels on {target:?}");
            }
            // A thread adds up one number of many places, or eight of them one of few.
            for (rows, columns, too_many) in [(60_000, 64, false), (70_000, 64, true), (500_000, 4, false)] {
                let found = refused(target, [&[rows, columns]], |[x]| {
                    let access = Access::own(rows, columns);
                    let of = Elements { operands: vec![(x, access)], f: Expr::input(0), rows, columns };
                    Op::Reduce { of, kind: Reduction::Sum, axis: Axis::Rows(rows) }
                });
                assert_eq!(found, too_many && emulated, "{rows} rows of {columns} columns on {target:?}");
            }
            for (batch, size, too_many) in [(16_000, 256, false), (16_384, 256, true), (60_000, 64, false)] {
                let clamp = Clamp { low: -1.0, high: 1.0 };
                let found = refused(target, [&[batch, 2 * size]], |[stats]| Op::KlMeans { stats, clamp, size });
                assert_eq!(found, too_many && emulated, "{batch} rows of {size} latents on {target:?}");
            }
        }
    }
}
