//! A step computed by a function on the host, in buffers of its own.

use crate::kernels::{Access, Call, StepScalars};
use crate::plan::Step;
use std::ops::Range;

/// Calls a CPU function of the step's kernel on a part of the outer axis. `buffers` are what the step's views cover,
/// one for each binding; they may be longer than the views.
pub fn call(function: fn(Call), step: &Step, range: Range<usize>, scalars: &StepScalars, buffers: &mut [Vec<u32>]) {
    let part = |binding: usize| {
        let view = &step.views[binding];
        if view.split {
            let unit = view.words / (step.outer / step.unit);
            range.start / step.unit * unit..range.end / step.unit * unit
        } else {
            0..view.words
        }
    };
    let read = step.kernel.bindings.iter().filter(|binding| binding.access == Access::Read).count();
    let (reads, writes) = buffers.split_at_mut(read);
    function(Call {
        params: &step.params,
        consts: &step.consts,
        step: scalars,
        reads: reads.iter().enumerate().map(|(i, words)| &words[part(i)]).collect(),
        writes: writes.iter_mut().enumerate().map(|(i, words)| &mut words[part(read + i)]).collect(),
        range: range.clone(),
    });
}

/// Calls a function of a kernel on the whole outer axis of a step, as [`call`] does on a part of it.
pub fn call_whole(function: fn(Call), step: &Step, scalars: &StepScalars, buffers: &mut [Vec<u32>]) {
    call(function, step, 0..step.outer, scalars, buffers);
}
