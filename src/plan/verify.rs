//! What no executor may run.

use super::{ALIGNMENT, Buffer, Plan, Role, Step, View};
use crate::error::{Error, Result};
use crate::kernels::{Access, TABLE};

/// Rejects a plan that binds out of bounds, writes what it reads in the same step or what it does not divide, reads what
/// nothing wrote, computes what nobody reads, or gives a kernel other bindings, params or constants than it declares.
///
/// # Errors
/// [`Error::Bug`] that names plan, step and what is wrong with it.
pub fn verify(plan: &Plan) -> Result<()> {
    if plan.members == 0 {
        return Err(Error::Bug(format!("plan {} has no members", plan.name)));
    }
    let mut written: Vec<View> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let fail =
            |what: String| Err(Error::Bug(format!("plan {}, step {at} ({}): {what}", plan.name, step.kernel.name)));
        let kernel = step.kernel;
        if step.views.len() != kernel.bindings.len() {
            return fail(format!("{} views for {} bindings", step.views.len(), kernel.bindings.len()));
        }
        let program = step.consts.len().checked_sub(kernel.consts.len());
        if !has_params(step) || program.is_none_or(|words| (words > 0) != kernel.takes_program(&step.consts)) {
            return fail("params or constants are not the kernel's".into());
        }
        if step.grid.iter().any(|&extent| extent == 0 || extent > 65_535) {
            return fail(format!("grid {:?} has an extent outside 1…65535", step.grid));
        }
        if step.grid[2] != 1 {
            return fail(format!("grid {:?} has a third dimension, which is that of the members", step.grid));
        }
        if step.unit == 0 || !step.outer.is_multiple_of(step.unit) {
            return fail(format!("the outer axis {} is no multiple of its unit {}", step.outer, step.unit));
        }
        for (i, (access, view)) in step.accesses().enumerate() {
            let Some(buffer) = plan.buffers.get(view.buffer) else { return fail(format!("binding {i} has no buffer")) };
            if view.words == 0 || view.offset + view.words > buffer.words || !view.offset.is_multiple_of(ALIGNMENT) {
                return fail(format!(
                    "binding {i} covers words {}…{} of {:?}, which has {}",
                    view.offset,
                    view.offset + view.words,
                    buffer.role,
                    buffer.words
                ));
            }
            if view.split && !view.words.is_multiple_of(step.outer / step.unit) {
                return fail(format!(
                    "binding {i} of {} words cannot be split in {}",
                    view.words,
                    step.outer / step.unit
                ));
            }
            if access != Access::Read && !view.split && step.outer > step.unit && buffer.role != Role::Discard {
                return fail(format!("binding {i} is written by every part of the outer axis"));
            }
            let touches = |other: &View| {
                other.buffer == view.buffer
                    && other.offset < view.offset + view.words
                    && view.offset < other.offset + other.words
            };
            let mut others = step.views.iter().enumerate().filter(|&(j, other)| j != i && touches(other));
            if access != Access::Read && others.next().is_some() && buffer.role != Role::Discard {
                return fail(format!("{:?} is written and bound twice", buffer.role));
            }
            if access == Access::Read && is_made(&buffer.role) && !made(&written, view, buffer) {
                return fail(format!("binding {i} reads {:?} before anything is written there", buffer.role));
            }
        }
        for (access, view) in step.accesses() {
            if access != Access::Read {
                written.push(view);
            }
        }
        if is_idle(plan, at) {
            return fail(format!("nobody reads what it computes, which is {:?}", step.what));
        }
    }
    Ok(())
}

/// Whether a step could be left out: all that it writes ends with the run, and no later step reads any of it.
fn is_idle(plan: &Plan, at: usize) -> bool {
    let results = plan.steps[at].accesses().filter(|(access, _)| *access != Access::Read);
    results.map(|(_, view)| view).all(|view| match plan.buffers[view.buffer].role {
        Role::Discard => true,
        Role::Slot(_) | Role::Workspace => !is_read(&plan.steps[at + 1..], view),
        _ => false,
    })
}

/// Whether one of these steps reads a part of a view before all of it is overwritten.
fn is_read(steps: &[Step], view: View) -> bool {
    let end = view.offset + view.words;
    for step in steps {
        let here = || step.accesses().filter(|(_, other)| other.buffer == view.buffer);
        let touches = |other: View| other.offset < end && view.offset < other.offset + other.words;
        if here().any(|(access, other)| access != Access::Write && touches(other)) {
            return true;
        }
        let covers = |other: View| other.offset <= view.offset && end <= other.offset + other.words;
        if here().any(|(access, other)| access == Access::Write && covers(other)) {
            return false;
        }
    }
    false
}

/// Whether earlier steps wrote every word of a view; of a buffer that is bound whole, any word. Between the gradients of two
/// parameters may be words that only make the second begin where it may: they are zero from the beginning.
fn made(written: &[View], view: View, buffer: &Buffer) -> bool {
    let mut here: Vec<&View> = written.iter().filter(|other| other.buffer == view.buffer).collect();
    if view.words == buffer.words {
        return !here.is_empty();
    }
    here.sort_by_key(|other| other.offset);
    let gaps = if buffer.role == Role::Gradients { ALIGNMENT } else { 1 };
    let reached = here.iter().fold(view.offset, |reached, other| {
        let end = (other.offset + other.words).next_multiple_of(gaps);
        if other.offset <= reached { reached.max(end) } else { reached }
    });
    reached >= view.offset + view.words
}

/// Whether the step's words are the kernel's params and, where it has a table, no more entries than fit.
fn has_params(step: &Step) -> bool {
    let entry = step.kernel.entry.len();
    match step.params.len().checked_sub(step.kernel.params.len()) {
        Some(table) if entry > 0 => table.is_multiple_of(entry) && table / entry <= TABLE,
        table => table == Some(0),
    }
}

/// Whether the words that a step reads in such a buffer come from an earlier step of the same run.
fn is_made(role: &Role) -> bool {
    match role {
        Role::Slot(_) | Role::Workspace | Role::Gradients | Role::Output(_) => true,
        Role::Data
        | Role::Window
        | Role::Labels
        | Role::Order
        | Role::Parameters
        | Role::Total
        | Role::Average
        | Role::Moment1
        | Role::Moment2
        | Role::Metrics
        | Role::Input(_)
        | Role::Constants(_)
        | Role::Unbound
        | Role::Discard => false,
    }
}
