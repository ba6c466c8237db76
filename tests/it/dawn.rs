//! Every shader in Dawn, the WebGPU of Chrome. Its compiler, Tint, holds more of the standard than naga does: above all
//! that all threads of a workgroup reach a barrier, for all that a compiler can know.

use super::program::{content, elbo};
use elbo::exec::selftest::cases::settings;
use elbo::kernels::KERNELS;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the npm package `webgpu`: that which `ELBO_WEBGPU` names, which must be one.
fn package(what: &str) -> Option<PathBuf> {
    let Some(named) = std::env::var_os("ELBO_WEBGPU").filter(|value| !value.is_empty()).map(PathBuf::from) else {
        // Not by a macro, whose output is shown only when a test fails.
        let _ = writeln!(std::io::stderr(), "{what} is skipped: ELBO_WEBGPU names no npm package webgpu");
        return None;
    };
    assert!(named.join("index.js").is_file(), "ELBO_WEBGPU is {}, which is no npm package webgpu", named.display());
    Some(named)
}

/// Where Debian's chromium leaves what tells Vulkan's loader of `SwiftShader`, the software driver that Dawn takes.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// What the script of `tests/wgsl` says about the forms, and whether it is content.
fn dawn(package: &Path, forms: &Path, how: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wgsl/dawn.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(package).arg(forms).args(how).stdin(Stdio::null());
    let done = node.env("VK_ICD_FILENAMES", SWIFTSHADER).output().expect("node starts");
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (done.status.success(), said.concat())
}

/// A folder with what `elbo doctor --wgsl` writes, in `forms`.
fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let said = elbo(folder.path(), "doctor --wgsl forms").succeeded();
    assert!(said.out.contains(&format!("forms of {} kernels are in forms", KERNELS.len())), "{said:?}");
    folder
}

#[test]
fn tint_compiles_every_form_and_notices_a_barrier_that_depends_on_a_variable() {
    let Some(package) = package("the check of shaders by Tint") else { return };
    let folder = written();
    let forms = folder.path().join("forms");
    let (fine, said) = dawn(&package, &forms, &[]);
    assert!(fine && said.contains("Tint has compiled"), "{said}");
    // The sum of a row, behind a branch that depends on a variable.
    let broken = forms.join("sum_rows.0.wgsl");
    let text = fs::read_to_string(&broken).unwrap();
    let behind = text.replace("    let total = ", "    if member > 0u { return; }\n    let total = ");
    assert_ne!(behind, text);
    fs::write(&broken, behind).unwrap();
    let (fine, said) = dawn(&package, &forms, &[]);
    assert!(!fine && said.contains("sum_rows.0.wgsl: ") && said.contains("uniform control flow"), "{said}");
    assert!(!said.contains("sum_rows.0.members.wgsl"), "{said}");
}

#[test]
fn dawn_computes_what_the_twins_compute_on_swiftshader() {
    let Some(package) = package("the check of kernels in Dawn") else { return };
    if !Path::new(SWIFTSHADER).is_file() {
        let _ = writeln!(std::io::stderr(), "the check of kernels in Dawn is skipped: there is no {SWIFTSHADER}");
        return;
    }
    let folder = written();
    let forms = folder.path().join("forms");
    let (fine, said) = dawn(&package, &forms, &["--run"]);
    assert!(fine && said.contains("forms through Dawn"), "{said}");
    let broken = forms.join("sum_rows.0.wgsl");
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, text.replace("column < params.width", "column + 1u < params.width")).unwrap();
    let (fine, said) = dawn(&package, &forms, &["--run"]);
    assert!(!fine && said.contains("sum_rows.0.wgsl: y: element"), "{said}");
}

#[test]
fn doctor_writes_every_form_with_its_case_and_spares_what_is_there() {
    let folder = written();
    let forms = folder.path().join("forms");
    let list: Value = serde_json::from_slice(&fs::read(forms.join("forms.json")).unwrap()).unwrap();
    let list = list["forms"].as_array().unwrap();
    assert_eq!(list.len(), KERNELS.iter().map(|kernel| 2 * settings(kernel).len()).sum::<usize>());
    for kernel in KERNELS {
        let of_kernel: Vec<&Value> = list.iter().filter(|form| form["kernel"] == kernel.name).collect();
        assert!(of_kernel.iter().any(|form| form["case"]["bindings"].is_array()), "{} has no case", kernel.name);
        for form in of_kernel {
            let file = form["file"].as_str().unwrap();
            let text = fs::read_to_string(forms.join(file)).unwrap();
            assert_eq!(text.starts_with("enable subgroups;\n"), kernel.needs_subgroups(), "{file}");
            let text = text.trim_start_matches("enable subgroups;\n");
            naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(text.contains("const MEMBERS: u32 = 3u;"), file.ends_with(".members.wgsl"), "{file}");
        }
    }
    let before = content(folder.path());
    elbo(folder.path(), "doctor --wgsl forms").failed(6, "forms");
    elbo(folder.path(), "doctor --wgsl other --adapter cpu").failed(2, "--adapter");
    assert_eq!(content(folder.path()), before);
}
