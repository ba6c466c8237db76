//! Whether an executor computes what the kernels' twins compute, kernel by kernel, on cases of its own.

pub mod cases;
mod formulas;

use super::{Executor, compare, twin};
use crate::error::Result;
use crate::kernels::{Access, KERNELS, Kernel, StepScalars};
use cases::{Case, Size, case, settings};

/// A size that is no multiple of anything, small enough for a test that takes no time.
pub const SIZE: Size = Size { rows: 21, width: 37, depth: 3 };

/// Runs one case of every kernel that the executor can run and compares it with the twin: on the CPU engine it is the faster
/// function that is checked. Gives each kernel's name with what was wrong, if anything was.
pub fn self_test(executor: &mut Executor) -> Vec<(&'static str, std::result::Result<(), String>)> {
    let kernels: Vec<_> = KERNELS.iter().filter(|kernel| executor.can_run(kernel)).collect();
    kernels.iter().map(|kernel| (kernel.name, check(executor, kernel))).collect()
}

fn check(executor: &mut Executor, kernel: &'static Kernel) -> std::result::Result<(), String> {
    let case =
        settings(kernel).last().and_then(|consts| case(kernel, consts, SIZE)).ok_or("there is no case for it")?;
    let mut found = [(case.scalars, case.buffers.clone())];
    dispatch(executor, &case, &mut found).map_err(|error| error.to_string())?;
    let [(_, found)] = found;
    let mut expected = case.buffers.clone();
    twin::call_whole(kernel.cpu, &case.step, &case.scalars, &mut expected);
    let tolerance = compare::of_step(&case.step, &case.buffers);
    let written = kernel.bindings.iter().enumerate().filter(|(_, binding)| binding.access != Access::Read);
    for (i, binding) in written {
        if let Some(difference) = compare::difference(&expected[i], &found[i], tolerance) {
            return Err(format!("{} differs: {difference}", binding.name));
        }
    }
    Ok(())
}

/// Computes the step of a case on the executor, at once for several members: what each is told of the step, and its
/// buffers, one for each binding, which may be longer than the case's.
///
/// # Errors
/// [`crate::error::Error::Device`] where the device fails or has too little memory; the CPU engine does not fail.
pub fn dispatch(executor: &mut Executor, case: &Case, members: &mut [(StepScalars, Vec<Vec<u32>>)]) -> Result<()> {
    match executor {
        Executor::Cpu(_) => {
            let function = case.step.kernel.fast.unwrap_or(case.step.kernel.cpu);
            for (scalars, buffers) in members {
                twin::call_whole(function, &case.step, scalars, buffers);
            }
            Ok(())
        }
        #[cfg(feature = "gpu")]
        Executor::Gpu(gpu) => gpu.dispatch_once(&case.step, members),
    }
}
