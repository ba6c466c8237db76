//! Plans as JSON: with the text of every shader for a browser's WebGPU, or with what the small executor in JavaScript has
//! to know of each kernel.

use crate::error::{Error, Result};
use crate::kernels::{Access, Kernel, Members, Scalar, matmul};
use crate::plan::{Buffer, Plan, Role, Step};
use serde_json::{Map, Value, json};

/// What every browser with WebGPU allows: storage buffers of a shader, threads of a workgroup, workgroups in a row, bytes of
/// a binding.
const MAX_BINDINGS: usize = 8;
const MAX_THREADS: u32 = 256;
const MAX_WORKGROUPS: u32 = 65_535;
const MAX_BYTES: usize = 128 << 20;

/// Kernels that have a function in `assets/web`: those that plans of the page's questions have.
pub const PLAIN: &[&str] = &[
    "activation",
    "append",
    "batch_mean",
    "batched_product",
    "bernoulli",
    "broadcast",
    "combine",
    "conv",
    "gather",
    "gaussian",
    "group_moments",
    "group_norm",
    "log_prior",
    "log_ratio",
    "logistic_mixture",
    "logistic_mixture_mean",
    "map",
    "matmul_direct",
    "noise",
    "planes",
    "pool",
    "reduce",
    "sample",
    "sum_columns",
    "sum_rows",
    "table",
    "table_values",
    "take_rows",
    "with_class",
];

/// Kernels whose function in `assets/web` also does what a training step asks of it, gradients included.
pub const PLAIN_TRAINING: &[&str] = &[
    "accumulate",
    "activation",
    "append",
    "batch_mean",
    "bernoulli",
    "broadcast",
    "combine",
    "gather",
    "gaussian",
    "map",
    "matmul_direct",
    "noise",
    "posterior_grad",
    "reduce",
    "sample",
    "sum_columns",
    "sum_rows",
    "update",
    "with_class",
];

/// Plans by their names, each with the places of its shaders in one list of texts.
///
/// # Errors
/// [`Error::Usage`] where a browser would not take one of them.
pub fn webgpu(plans: &[(&str, Plan)]) -> Result<Value> {
    let mut texts: Vec<String> = Vec::new();
    let mut all = Map::new();
    for (name, plan) in plans {
        let steps = plan.steps.iter().map(|step| {
            check(step)?;
            let text = step.kernel.source_sharing(&step.consts, &Members::ONE, step.shared());
            let shader = texts.iter().position(|other| *other == text).unwrap_or_else(|| {
                texts.push(text);
                texts.len() - 1
            });
            let views = step.accesses().enumerate().map(|(at, (access, view))| {
                let writable = access != Access::Read || step.shared() >> at & 1 == 1;
                json!([view.buffer, view.offset, view.words, writable])
            });
            let views: Vec<Value> = views.collect();
            let (kernel, what) = (step.kernel.name, &step.what);
            Ok(json!({
                "kernel": kernel, "what": what, "shader": shader, "params": step.params, "grid": step.grid, "views": views,
            }))
        });
        let steps = steps.collect::<Result<Vec<Value>>>()?;
        all.insert((*name).to_owned(), json!({ "buffers": buffers(plan), "steps": steps }));
    }
    Ok(json!({ "plans": all, "shaders": texts }))
}

/// Refuses a step that is more than every browser takes.
fn check(step: &Step) -> Result<()> {
    let kernel = step.kernel;
    let refuse = |what: String| {
        let name = kernel.name;
        Err(Error::Usage(format!(
            "--format web: {what}, in {name} ({}): make the model or its data smaller",
            step.what
        )))
    };
    let largest = step.views.iter().map(|view| 4 * view.words).max().unwrap_or(0);
    if largest > MAX_BYTES {
        return refuse(format!("browsers bind 128 MiB at once, and {} MiB are needed", largest >> 20));
    }
    if step.grid.iter().any(|&extent| extent > MAX_WORKGROUPS) {
        return refuse(format!("browsers start {MAX_WORKGROUPS} workgroups in a row, not {:?}", step.grid));
    }
    let threads: u32 = kernel.workgroup.iter().product();
    let fits = threads <= MAX_THREADS && step.views.len() <= MAX_BINDINGS && !kernel.needs_subgroups();
    if fits { Ok(()) } else { Err(Error::Bug(format!("kernel {} is not for browsers", kernel.name))) }
}

/// Plans by their names, with the words of their constants, and the fields of all kernels that they have.
///
/// # Errors
/// [`Error::Usage`] that names a kernel without a function in JavaScript.
pub fn plain(plans: &[(&str, Plan)]) -> Result<Value> {
    of_kernels(plans, PLAIN)
}

fn of_kernels(plans: &[(&str, Plan)], known: &[&str]) -> Result<Value> {
    let (mut kernels, mut all) = (Map::new(), Map::new());
    for (name, plan) in plans {
        let mut steps = Vec::new();
        for step in &plan.steps {
            let kernel = step.kernel;
            if !known.contains(&kernel.name) {
                return Err(Error::Usage(format!(
                    "--format web: the page has no function for the kernel {} ({}), which this model needs: export \
                     safetensors or onnx",
                    kernel.name, step.what
                )));
            }
            kernels.entry(kernel.name).or_insert_with(|| interface(kernel));
            let views: Vec<Value> = step.views.iter().map(|v| json!([v.buffer, v.offset, v.words])).collect();
            steps.push(json!({
                "kernel": kernel.name, "what": step.what, "consts": step.consts, "params": step.params, "views": views,
            }));
        }
        all.insert((*name).to_owned(), json!({ "buffers": buffers(plan), "steps": steps }));
    }
    Ok(json!({ "plans": all, "kernels": kernels }))
}

/// The plan of a training step for JavaScript; none where a kernel of it has no function for that.
///
/// # Errors
/// Those of [`plain`].
pub fn plain_training(plan: Plan) -> Result<Option<Value>> {
    // Likelihoods and formulas at the way out of a product are what devices are given.
    let is_plain = |step: &Step| !step.kernel.name.starts_with("matmul") || step.consts[4] <= matmul::DERIVE;
    let is_known = |step: &Step| PLAIN_TRAINING.contains(&step.kernel.name) && is_plain(step);
    if plan.steps.iter().all(is_known) { of_kernels(&[("train", plan)], PLAIN_TRAINING).map(Some) } else { Ok(None) }
}

/// The names of what a kernel is given, and which of it are floats.
fn interface(kernel: &Kernel) -> Value {
    let fields = |fields: &[(&str, Scalar)]| -> Vec<Value> {
        fields.iter().map(|(name, kind)| json!([name, *kind == Scalar::f32])).collect()
    };
    let bindings: Vec<&str> = kernel.bindings.iter().map(|binding| binding.name).collect();
    json!({
        "params": fields(kernel.params), "entry": fields(kernel.entry), "consts": kernel.consts, "bindings": bindings,
    })
}

fn buffers(plan: &Plan) -> Vec<Value> {
    let buffer = |Buffer { role, words }: &Buffer| match role {
        Role::Constants(values) => json!({ "role": "constants", "words": words, "values": values }),
        Role::Unbound | Role::Discard => json!({ "role": "unused", "words": words }),
        role => json!({ "role": crate::plan::print::role(role), "words": words }),
    };
    plan.buffers.iter().map(buffer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::KERNELS;
    use crate::plan::View;

    fn step(kernel: &'static Kernel) -> Step {
        let views = vec![View { buffer: 0, offset: 0, words: 64, split: false }; kernel.bindings.len()];
        let (consts, params) = (vec![0; kernel.consts.len()], vec![0; kernel.params.len()]);
        Step { kernel, consts, params, views, outer: 1, unit: 1, grid: [1; 3], what: "a step".into() }
    }

    fn plan(step: Step) -> Plan {
        let buffers = vec![Buffer { role: Role::Workspace, words: 64 }];
        let (name, steps) = ("decode".to_owned(), vec![step]);
        Plan { name, batch: 1, members: 1, buffers, steps, parameters: vec![], terms: vec![] }
    }

    fn named(name: &str) -> &'static Kernel {
        KERNELS.iter().find(|kernel| kernel.name == name).unwrap()
    }

    #[test]
    fn what_no_browser_takes_and_what_the_page_lacks_is_refused_by_name() {
        let refused = |outcome: Result<Value>, why: &str| {
            let Err(Error::Usage(text)) = outcome else { panic!("{why}: {outcome:?}") };
            assert!(text.starts_with("--format web: ") && text.contains(why), "{text}");
        };
        let fine = step(named("activation"));
        assert!(webgpu(&[("decode", plan(fine.clone()))]).is_ok() && plain(&[("decode", plan(fine.clone()))]).is_ok());
        let mut wide = fine.clone();
        wide.views[0].words = (MAX_BYTES >> 2) + 1;
        refused(webgpu(&[("decode", plan(wide))]), "128 MiB");
        refused(webgpu(&[("decode", plan(Step { grid: [65_536, 1, 1], ..fine }))]), "65535 workgroups");
        refused(plain(&[("decode", plan(step(named("clip_factor"))))]), "clip_factor");
        assert!(matches!(webgpu(&[("decode", plan(step(named("matmul_texels"))))]), Err(Error::Bug(_))));
        // The names of the list are those of kernels.
        assert!(PLAIN.iter().chain(PLAIN_TRAINING).all(|name| named(name).name == *name));
        assert!(plain_training(plan(step(named("update")))).unwrap().is_some());
        assert!(plain_training(plan(step(named("conv_weight")))).unwrap().is_none());
    }
}
