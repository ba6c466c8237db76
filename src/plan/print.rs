//! A plan as text: what `elbo plan` shows and what reviews of the compiler compare.

use super::{Plan, Role, View};
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
            let names =
                views.filter(|(_, view)| !matches!(plan.buffers[view.buffer].role, Role::Unbound | Role::Discard));
            names.map(|(_, view)| place(plan, view)).collect::<Vec<_>>().join(" ")
        };
        let [x, y, _] = step.grid;
        let line = format!(
            "{at:>3}  {:<14} {:<42} {} -> {}  [{x}x{y}]  {}",
            step.kernel.name,
            step.what,
            side(false),
            side(true),
            consts.join(" ")
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for buffer in &plan.buffers {
        let _ = writeln!(out, "     {:<24} {:>12} words", role(&buffer.role), buffer.words);
    }
    out
}

/// The buffer, and which tensor of it where a view covers just one; of the workspace, the first word.
fn place(plan: &Plan, view: View) -> String {
    let buffer = &plan.buffers[view.buffer];
    let name = role(&buffer.role);
    if buffer.role == Role::Workspace && view.words < buffer.words {
        return format!("@{}", view.offset);
    }
    let in_layout = matches!(buffer.role, Role::Parameters | Role::Gradients);
    let mut ranges = plan.parameters.iter().filter(|_| in_layout);
    match ranges.find(|range| (range.offset, range.count()) == (view.offset, view.words)) {
        Some(range) => format!("{name}.{}", range.name),
        None => name,
    }
}

/// A buffer's role in a word.
pub fn role(role: &Role) -> String {
    match role {
        Role::Slot(i) => format!("s{i}"),
        Role::Constants(_) => "constants".to_owned(),
        Role::Input(name) => format!("in:{name}"),
        Role::Output(name) => format!("out:{name}"),
        other => format!("{other:?}").to_lowercase(),
    }
}
