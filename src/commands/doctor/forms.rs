//! `elbo doctor --wgsl`: every shader in every form, and what it should compute, for compilers and devices that this
//! program does not reach.
//!
//! A form is a shader with values of its constants. `x.7.wgsl` is kernel x under the 7th of its settings, for one model;
//! `x.7.members.wgsl` the same for three models, with what it reads declared as it is where the same dispatch writes to
//! that buffer elsewhere. `forms.json` lists them. A form for one model has a case there: what the self-test would give
//! to the shader, and what the twin makes of it. The words of its bindings are in `words.bin`, little-endian, at the
//! places that the list says.

use crate::durable;
use crate::error::Result;
use crate::exec::selftest::SIZE;
use crate::exec::selftest::cases::{Case, case, settings};
use crate::exec::twin;
use crate::kernels::{Access, KERNELS, Kernel, Members, Scalar};
use crate::report::Report;
use serde_json::{Value, json};
use std::path::Path;

/// Publishes the folder, which must not be there or be empty, and reports what is in it.
///
/// # Errors
/// [`Error::Usage`](crate::error::Error::Usage) where the folder is there already; otherwise those of writing to it.
pub fn write(folder: &Path, report: &Report) -> Result<()> {
    let mut files = Vec::new();
    let mut list = Vec::new();
    let mut words = Vec::new();
    for kernel in KERNELS {
        for (number, consts) in settings(kernel).iter().enumerate() {
            let named = |suffix: &str| format!("{}.{number}{suffix}.wgsl", kernel.name);
            let (alone, several) = (named(""), named(".members"));
            let case = case(kernel, consts, SIZE);
            // A formula knows the extents of the case.
            let consts = case.as_ref().map_or(consts, |case| &case.step.consts);
            let told = case.as_ref().map(|case| as_json(case, &mut words));
            list.push(json!({ "file": alone, "kernel": kernel.name, "consts": consts, "case": told }));
            list.push(json!({ "file": several, "kernel": kernel.name, "consts": consts, "case": null }));
            files.push((alone, text(kernel, &kernel.source(consts, &Members::ONE))));
            let three = Members { count: 3, strides: vec![64; kernel.bindings.len()] };
            files.push((several, text(kernel, &kernel.source_sharing(consts, &three, u32::MAX))));
        }
    }
    let (forms, kernels) = (list.len(), KERNELS.len());
    files.push(("forms.json".to_owned(), json!({ "forms": list }).to_string().into_bytes()));
    files.push(("words.bin".to_owned(), words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect()));
    durable::publish_folder(folder, &files)?;
    report.result(&format!("{forms} forms of {kernels} kernels are in {}", folder.display()));
    report.json(&json!({ "folder": folder, "forms": forms, "kernels": kernels }));
    Ok(())
}

/// The text as the standard wants it. naga takes the functions of subgroups without being asked and refuses to be asked.
fn text(kernel: &Kernel, source: &str) -> Vec<u8> {
    let asked = if kernel.needs_subgroups() { "enable subgroups;\n" } else { "" };
    [asked.as_bytes(), source.as_bytes()].concat()
}

/// A case, whose bindings before and after are appended to `words`.
fn as_json(case: &Case, words: &mut Vec<u32>) -> Value {
    let kernel = case.step.kernel;
    let mut after = case.buffers.clone();
    twin::call_whole(kernel.cpu, &case.step, &case.scalars, &mut after);
    let mut place = |buffer: &[u32]| {
        words.extend_from_slice(buffer);
        words.len() - buffer.len()
    };
    let bindings = kernel.bindings.iter().zip(case.buffers.iter().zip(&after));
    let bindings = bindings.map(|(binding, (before, after))| {
        let written = binding.access != Access::Read;
        json!({
            "name": binding.name, "written": written, "texels": binding.texels, "float": binding.kind == Scalar::f32,
            "words": before.len(), "before": place(before), "after": written.then(|| place(after)),
        })
    });
    json!({
        "bindings": bindings.collect::<Vec<_>>(), "grid": case.step.grid, "params": case.step.params,
        "step": bytemuck::cast_slice::<_, u32>(std::slice::from_ref(&case.scalars)),
    })
}
