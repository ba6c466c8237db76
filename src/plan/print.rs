//! A plan as text: what `elbo plan` shows and what reviews of the compiler compare.

use super::{Plan, Role};
use crate::kernels::Access;
use std::fmt::Write;

/// One line per step (kernel, constants that are set, bindings, grid, meaning), then the buffers.
pub fn print(plan: &Plan) -> String {
    let mut out = String::new();
    let bytes: usize = plan.buffers.iter().map(|buffer| 4 * buffer.words).sum();
    let _ = writeln!(
        out,
        "plan {}: batch {}, {} steps, {} parameters, {} buffers, {bytes} bytes",
        plan.name,
        plan.batch,
        plan.steps.len(),
        plan.parameter_count(),
        plan.buffers.len()
    );
    for (at, step) in plan.steps.iter().enumerate() {
        let consts: Vec<String> = step
            .kernel
            .consts
            .iter()
            .zip(&step.consts)
            .filter(|(_, value)| **value != 0)
            .map(|(name, value)| format!("{}={value}", name.to_lowercase()))
            .collect();
        let side = |written: bool| {
            let views = step.accesses().filter(|(access, _)| (*access != Access::Read) == written);
            let names = views.filter(|(_, view)| !matches!(plan.buffers[view.buffer].role, Role::Nothing | Role::Sink));
            names.map(|(_, view)| place(plan, view.buffer, view.offset)).collect::<Vec<_>>().join(" ")
        };
        let [x, y, _] = step.grid;
        let _ = writeln!(
            out,
            "{at:>3}  {:<14} {:<42} {} -> {}  [{x}x{y}]  {}",
            step.kernel.name,
            step.what,
            side(false),
            side(true),
            consts.join(" ")
        );
    }
    for buffer in &plan.buffers {
        let _ = writeln!(out, "     {:<24} {:>12} words", role(&buffer.role), buffer.words);
    }
    out
}

fn place(plan: &Plan, buffer: usize, offset: usize) -> String {
    let name = role(&plan.buffers[buffer].role);
    match plan.parameters.iter().find(|range| range.offset == offset) {
        Some(range) if matches!(plan.buffers[buffer].role, Role::Parameters | Role::Gradients) => {
            format!("{name}.{}", range.name)
        }
        _ => name,
    }
}

/// A buffer's role in a word.
pub fn role(role: &Role) -> String {
    match role {
        Role::Slot(i) => format!("s{i}"),
        Role::Input(name) => format!("in:{name}"),
        Role::Output(name) => format!("out:{name}"),
        other => format!("{other:?}").to_lowercase(),
    }
}
