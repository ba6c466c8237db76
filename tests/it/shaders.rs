//! The kernel table and the shaders state the same interface, and every shader is valid and portable.
//!
//! [`faults`] lists what is wrong with one kernel under one setting of its constants. It is run on everything in
//! `KERNELS`, and on entries and texts that were broken on purpose.

use elbo::exec::selftest::cases::settings;
use elbo::kernels::{Access, KERNELS, Kernel, Members, Scalar, StepScalars, TABLE, blocks};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, GlobalVariable, Handle, ImageClass, ImageDimension, Module, ScalarKind, ShaderStage};
use naga::{StorageAccess, Type, TypeInner};
use std::mem::offset_of;
use std::path::{Path, PathBuf};

/// Bindings that are read and written only in that most of what they hold stays as it is.
const WRITTEN_IN_PART: &[(&str, &str)] =
    &[("batch_mean", "metrics"), ("clip_factor", "metrics"), ("update", "metrics"), ("update_texels", "metrics")];

/// Bindings that all models share.
const SHARED: &[(&str, &str)] = &[("gather_codes", "places"), ("table", "columns"), ("table_values", "columns")];

#[test]
fn every_shader_agrees_with_its_entry_in_the_table_and_is_portable() {
    for kernel in KERNELS {
        for consts in settings(kernel) {
            let faults = faults(kernel, &kernel.source(&consts, &Members::ONE));
            assert!(faults.is_empty(), "{} {:?} = {consts:?}:\n{}", kernel.name, kernel.consts, faults.join("\n"));
        }
    }
}

#[test]
fn every_shader_is_valid_for_several_models() {
    for kernel in KERNELS {
        let members = Members { count: 3, strides: vec![64; kernel.bindings.len()] };
        for consts in settings(kernel) {
            let source = kernel.source(&consts, &members);
            let module = naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{}: {e}", kernel.name));
            let mut validator = Validator::new(ValidationFlags::all(), capabilities(kernel));
            let info = validator.validate(&module).unwrap_or_else(|e| panic!("{}: {e}", kernel.name));
            assert_eq!(translation_faults(&module, &info), [""; 0], "{}", kernel.name);
        }
    }
}

#[test]
fn the_table_the_shaders_and_the_rust_files_have_the_same_stems() {
    let names: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted, "the table is in alphabetical order, without repetition");
    let found = shaders();
    assert_eq!(found.iter().map(|(_, stem)| stem.as_str()).collect::<Vec<_>>(), names, "files in shaders/GROUP/");
    for (kernel, (group, name)) in KERNELS.iter().zip(found) {
        let rust = format!("src/kernels/{group}/{name}.rs");
        assert!(root().join(&rust).is_file(), "{rust}");
        let text = std::fs::read_to_string(root().join(format!("shaders/{group}/{name}.wgsl"))).unwrap();
        assert_eq!(kernel.wgsl, text, "{name} embeds another shader");
    }
}

/// Whether a constant is one of those that the shared part of products by tiles is told.
fn of_blocks(kernel: &Kernel, name: &str) -> bool {
    kernel.consts.ends_with(&blocks::NAMES) && blocks::NAMES.contains(&name)
}

/// What is wrong with a kernel, given its complete text.
fn faults(kernel: &Kernel, source: &str) -> Vec<String> {
    let module = match naga::front::wgsl::parse_str(source) {
        Ok(module) => module,
        Err(error) => return vec![format!("it does not parse: {}", error.emit_to_string(source))],
    };
    let info = match Validator::new(ValidationFlags::all(), capabilities(kernel)).validate(&module) {
        Ok(info) => info,
        Err(error) => return vec![format!("it is invalid: {}", error.emit_to_string(source))],
    };
    let mut faults = entry_faults(kernel, &module, &info);
    if faults.is_empty() {
        faults.extend(storage_faults(kernel, &module, &info));
        faults.extend(texel_faults(kernel, &module, &info));
        faults.extend(uniform_faults(kernel, &module));
        faults.extend(translation_faults(&module, &info));
        let unused = kernel.consts.iter().filter(|name| !kernel.wgsl.contains(*name) && !of_blocks(kernel, name));
        faults.extend(unused.map(|name| format!("constant {name} is not used")));
        faults.extend(member_faults(kernel));
    }
    faults
}

/// Bindings that are not looked up for the member that a workgroup works on, by the kernel's text.
fn member_faults(kernel: &Kernel) -> Vec<String> {
    let mut faults = Vec::new();
    if !kernel.wgsl.contains("    member = member_of(group);\n") {
        faults.push("main does not ask for its member".to_owned());
    }
    // What is read as a texture alone has a layer for each member, which no reader can forget.
    for binding in kernel.bindings.iter().filter(|binding| binding.is_storage()) {
        let looked_up = kernel.wgsl.contains(&format!("MEMBER_{}", binding.name.to_uppercase()));
        if looked_up == SHARED.contains(&(kernel.name, binding.name)) {
            faults.push(format!("{} is {}", binding.name, if looked_up { "shared" } else { "not the member's" }));
        }
    }
    faults
}

fn capabilities(kernel: &Kernel) -> Capabilities {
    if kernel.needs_subgroups() { Capabilities::SUBGROUP } else { Capabilities::empty() }
}

/// Entry point, workgroup size and the default limits of WebGPU.
fn entry_faults(kernel: &Kernel, module: &Module, info: &ModuleInfo) -> Vec<String> {
    let [entry] = &module.entry_points[..] else {
        return vec![format!("{} entry points instead of one", module.entry_points.len())];
    };
    let mut faults = Vec::new();
    if entry.name != "main" || entry.stage != ShaderStage::Compute {
        faults.push(format!("the entry point is {:?} {}, not Compute main", entry.stage, entry.name));
    }
    if entry.workgroup_size != kernel.workgroup {
        faults.push(format!("the workgroup size is {:?}, not {:?}", entry.workgroup_size, kernel.workgroup));
    }
    let [x, y, z] = entry.workgroup_size;
    if x * y * z > 256 || z > 64 {
        faults.push(format!("{} invocations in a workgroup exceed the default limit", x * y * z));
    }
    let shared = globals(module).filter(|(handle, global)| {
        global.space == AddressSpace::WorkGroup && !info.get_entry_point(0)[*handle].is_empty()
    });
    let bytes: u32 =
        shared.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()).next_multiple_of(16)).sum();
    if bytes > 16_384 {
        faults.push(format!("{bytes} bytes of workgroup memory exceed the default limit"));
    }
    if kernel.bindings.len() > 8 {
        faults.push(format!("{} storage buffers exceed the default limit", kernel.bindings.len()));
    }
    faults
}

/// Names, order, numbers, access, element types and use of the storage bindings.
fn storage_faults(kernel: &Kernel, module: &Module, info: &ModuleInfo) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found: Vec<(u32, String)> = Vec::new();
    let reads_texels = kernel.bindings.iter().any(|binding| binding.texels);
    for (handle, global) in globals(module) {
        let AddressSpace::Storage { access } = global.space else { continue };
        let place = global.binding.expect("a valid module");
        let access = if access.contains(StorageAccess::STORE) { "read_write" } else { "read" };
        let element = match module.types[global.ty].inner {
            TypeInner::Array { base, .. } => match scalar(module, base) {
                // Kernels that read four words at a time also write them so.
                four if reads_texels && four == "vec4<f32>" => "f32".to_owned(),
                element => element,
            },
            _ => format!("{:?}", module.types[global.ty].inner),
        };
        let name = global.name.as_deref().unwrap_or_default();
        found.push((place.binding, format!("group {} {name}: {access} {element}", place.group)));
        if let Some(binding) = kernel.bindings.iter().find(|binding| binding.name == name) {
            let needed = match binding.access {
                Access::Read => GlobalUse::READ,
                Access::Write => GlobalUse::WRITE,
                Access::ReadWrite if binding.texels || WRITTEN_IN_PART.contains(&(kernel.name, name)) => {
                    GlobalUse::WRITE
                }
                Access::ReadWrite => GlobalUse::READ | GlobalUse::WRITE,
            };
            // A formula looks at as many tensors as it needs.
            let may_be_left = kernel.has_program() && binding.access == Access::Read;
            if !info.get_entry_point(0)[handle].contains(needed) && !may_be_left {
                faults.push(format!("{name} is declared {:?}, but the shader does not use it so", binding.access));
            }
        }
    }
    found.sort();
    let stated =
        kernel.bindings.iter().zip(0..).filter(|(binding, _)| binding.is_storage()).map(|(binding, number)| {
            let access = if binding.access == Access::Read { "read" } else { "read_write" };
            (number, format!("group 0 {}: {access} {}", binding.name, spelling(binding.kind)))
        });
    let stated: Vec<_> = stated.collect();
    if found != stated {
        faults.push(format!("storage bindings are\n  {found:?}, but the table has\n  {stated:?}"));
    }
    if !kernel.bindings.is_sorted_by_key(|binding| binding.access != Access::Read) {
        faults.push("bindings that are only read come first".to_owned());
    }
    faults
}

/// Names, numbers, types and use of the bindings that are read as textures.
fn texel_faults(kernel: &Kernel, module: &Module, info: &ModuleInfo) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found = Vec::new();
    for (handle, global) in globals(module).filter(|(_, global)| global.space == AddressSpace::Handle) {
        let place = global.binding.expect("a valid module");
        let name = global.name.as_deref().unwrap_or_default();
        let class = ImageClass::Sampled { kind: ScalarKind::Float, multi: false };
        let texels = TypeInner::Image { dim: ImageDimension::D2, arrayed: true, class };
        let kind = if module.types[global.ty].inner == texels { "texels" } else { "something else" };
        found.push((place.binding, format!("group {} {name}: {kind}", place.group)));
        if !info.get_entry_point(0)[handle].contains(GlobalUse::READ) {
            faults.push(format!("{name} is not read"));
        }
    }
    found.sort();
    let stated = kernel.bindings.iter().zip(0..).filter(|(binding, _)| binding.texels);
    let stated: Vec<_> =
        stated.map(|(binding, number)| (number, format!("group 2 {}_texels: texels", binding.name))).collect();
    if found != stated {
        faults.push(format!("textures are\n  {found:?}, but the table has\n  {stated:?}"));
    }
    faults
}

/// Places, names and layouts of `params` and `step`.
fn uniform_faults(kernel: &Kernel, module: &Module) -> Vec<String> {
    let params: Vec<_> =
        kernel.params.iter().zip(0..).map(|((name, kind), i)| field(name, spelling(*kind), 4 * i)).collect();
    let (mut params, mut words) = (params, kernel.params.len() as u32);
    if !kernel.entry.is_empty() {
        let entry = kernel.entry.iter().zip(0..).map(|((name, kind), i)| field(name, spelling(*kind), 4 * i));
        params.push(format!("table: {TABLE} of {:?} at {}", entry.collect::<Vec<_>>(), 4 * words));
        words += (TABLE * kernel.entry.len()) as u32;
    }
    let params = (params, 4 * words);
    let mut faults = Vec::new();
    let mut has_params = kernel.params.is_empty();
    for (_, global) in globals(module).filter(|(_, global)| global.space == AddressSpace::Uniform) {
        let place = global.binding.expect("a valid module");
        let name = global.name.as_deref().unwrap_or_default();
        let stated = match (place.group, place.binding, name) {
            (1, 0, "params") => &params,
            (1, 1, "steps") => &step_layout(),
            _ => {
                faults.push(format!("uniform {name} at group {} binding {}", place.group, place.binding));
                continue;
            }
        };
        has_params |= name == "params";
        // `steps` is an array with an element for each model.
        let ty = match module.types[global.ty].inner {
            TypeInner::Array { base, size: naga::ArraySize::Constant(_), .. } if name == "steps" => base,
            _ => global.ty,
        };
        let found = layout(module, ty);
        if found != *stated {
            faults.push(format!("{name} is laid out as\n  {found:?}, but in Rust as\n  {stated:?}"));
        }
    }
    if !has_params {
        faults.push("params is not declared".to_owned());
    }
    faults
}

/// Whether the three languages that drivers read can be made of it.
fn translation_faults(module: &Module, info: &ModuleInfo) -> Vec<String> {
    let mut faults = Vec::new();
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
    if let Err(error) = spv::write_vec(module, info, &spv::Options::default(), Some(&pipeline)) {
        faults.push(format!("no SPIR-V: {error}"));
    }
    match msl::write_string(module, info, &msl::Options::default(), &msl::PipelineOptions::default()) {
        Ok((_, translation)) => {
            let errors = translation.entry_point_names.iter().filter_map(|name| name.as_ref().err());
            faults.extend(errors.map(|error| format!("no MSL entry point: {error}")));
        }
        Err(error) => faults.push(format!("no MSL: {error}")),
    }
    let mut text = String::new();
    let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
    match hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None) {
        Ok(reflection) => {
            let errors = reflection.entry_point_names.iter().filter_map(|name| name.as_ref().err());
            faults.extend(errors.map(|error| format!("no HLSL entry point: {error}")));
        }
        Err(error) => faults.push(format!("no HLSL: {error}")),
    }
    faults
}

/// `StepScalars` as the shaders must declare `Step`.
fn step_layout() -> (Vec<String>, u32) {
    macro_rules! fields {
        ($($name:ident: $kind:literal,)*) => {
            vec![$(field(stringify!($name), $kind, offset_of!(StepScalars, $name) as u32)),*]
        };
    }
    let fields = fields! {
        step: "u32",
        rows: "u32",
        first: "u32",
        slot: "u32",
        key: "vec2<u32>",
        sample: "u32",
        stream: "u32",
        row_weight: "f32",
        lr: "f32",
        correction1: "f32",
        correction2: "f32",
    };
    let weights = format!("weights: 2 of [] at {}", offset_of!(StepScalars, weights));
    let fields = fields.into_iter().chain([weights]).collect();
    (fields, size_of::<StepScalars>() as u32)
}

/// The fields of a struct in WGSL and its size in bytes.
fn layout(module: &Module, ty: Handle<Type>) -> (Vec<String>, u32) {
    let TypeInner::Struct { members, span } = &module.types[ty].inner else { return (vec![], 0) };
    let fields = members.iter().map(|member| {
        let name = member.name.as_deref().unwrap_or_default();
        match &module.types[member.ty].inner {
            TypeInner::Array { base, size: naga::ArraySize::Constant(count), .. } => {
                format!("{name}: {count} of {:?} at {}", layout(module, *base).0, member.offset)
            }
            _ => field(name, &scalar(module, member.ty), member.offset),
        }
    });
    (fields.collect(), *span)
}

fn field(name: &str, kind: &str, offset: u32) -> String {
    format!("{name}: {kind} at {offset}")
}

fn spelling(kind: Scalar) -> &'static str {
    match kind {
        Scalar::u32 => "u32",
        Scalar::f32 => "f32",
    }
}

/// A scalar or vector type as WGSL spells it.
fn scalar(module: &Module, ty: Handle<Type>) -> String {
    let spell = |scalar: naga::Scalar| match (scalar.kind, scalar.width) {
        (naga::ScalarKind::Uint, 4) => "u32",
        (naga::ScalarKind::Float, 4) => "f32",
        _ => "neither u32 nor f32",
    };
    match module.types[ty].inner {
        TypeInner::Scalar(scalar) => spell(scalar).to_owned(),
        TypeInner::Vector { size, scalar } => format!("vec{}<{}>", size as u32, spell(scalar)),
        _ => "neither scalar nor vector".to_owned(),
    }
}

fn globals(module: &Module) -> impl Iterator<Item = (Handle<GlobalVariable>, &GlobalVariable)> {
    module.global_variables.iter()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Group and stem of every shader but the shared ones, by stem.
fn shaders() -> Vec<(String, String)> {
    let entries =
        |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for group in entries(&root().join("shaders")).into_iter().filter(|group| !group.ends_with("shared")) {
        assert!(group.is_dir(), "{} belongs into a group", group.display());
        found.extend(entries(&group).iter().map(|path| (stem(&group), stem(path))));
    }
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    found
}

/// Entries broken in one place: the checks have to find each of them.
mod broken {
    use super::*;
    use elbo::kernels::{read, read_u32, read_write, row_weights, sum_columns, sum_rows, update, update_texels, write};

    const FIELDS: &[(&str, Scalar)] = sum_rows::FIELDS;

    /// Entries for the shader of `sum_rows`, and what is to be found in them.
    static ENTRIES: &[(Kernel, &str)] = &[
        (Kernel { bindings: &[read("y"), write("x")], ..sum_rows::KERNEL }, "storage bindings are"),
        (Kernel { bindings: &[read("x")], ..sum_rows::KERNEL }, "storage bindings are"),
        (Kernel { bindings: &[read("x"), read("y")], ..sum_rows::KERNEL }, "storage bindings are"),
        (Kernel { bindings: &[read_u32("x"), write("y")], ..sum_rows::KERNEL }, "storage bindings are"),
        (Kernel { bindings: &[write("x"), write("y")], ..sum_rows::KERNEL }, "x is declared Write"),
        (Kernel { bindings: &[read("x"), read_write("y")], ..sum_rows::KERNEL }, "y is declared ReadWrite"),
        (Kernel { bindings: &[write("y"), read("x")], ..sum_rows::KERNEL }, "only read come first"),
        (Kernel { bindings: &[read("x"); 9], ..sum_rows::KERNEL }, "9 storage buffers"),
        (Kernel { params: &[FIELDS[1], FIELDS[0]], ..sum_rows::KERNEL }, "params is laid out as"),
        (Kernel { params: &[FIELDS[0]], ..sum_rows::KERNEL }, "params is laid out as"),
        (Kernel { params: &[("rows", Scalar::f32), FIELDS[1]], ..sum_rows::KERNEL }, "params is laid out as"),
        (Kernel { workgroup: [32, 2, 1], ..sum_rows::KERNEL }, "the workgroup size is"),
        (Kernel { consts: &["NOBODY"], ..sum_rows::KERNEL }, "constant NOBODY is not used"),
    ];

    #[test]
    fn a_wrong_entry_in_the_table_is_found() {
        for (wrong, fault) in ENTRIES {
            expect(wrong, &sum_rows::KERNEL.source(&[], &Members::ONE), fault);
        }
    }

    #[test]
    fn a_wrong_shader_is_found() {
        for (kernel, from, to, fault) in [
            (&sum_rows::KERNEL, "fn main(", "fn start(", "the entry point is"),
            (&sum_rows::KERNEL, "binding(0) var<storage", "binding(5) var<storage", "storage bindings are"),
            (&sum_rows::KERNEL, "@group(0) @binding(0)", "@group(2) @binding(0)", "storage bindings are"),
            (&sum_rows::KERNEL, "x: array<f32>;", "x: array<vec4<f32>>;", "it is invalid"),
            (&sum_rows::KERNEL, "var<storage, read> x", "var<storage, read_write> x", "storage bindings are"),
            (&sum_rows::KERNEL, "+ row] = total", "+ row] = undeclared", "it does not parse"),
            (&sum_rows::KERNEL, "var sum = 0.0;", "var sum = 0.0; var double = 1.0lf;", "it is invalid"),
            (&sum_rows::KERNEL, "@group(1) @binding(0)", "@group(1) @binding(2)", "uniform params at"),
            (&sum_rows::KERNEL, "workgroup_size(64)", "workgroup_size(512)", "512 invocations"),
            (&update_texels::KERNEL, "@group(2) @binding(3)", "@group(2) @binding(6)", "textures are"),
            (
                &update_texels::KERNEL,
                "grad_texels: texture_2d_array<f32>",
                "grad_texels: texture_depth_2d_array",
                "it is invalid",
            ),
            (
                &update_texels::KERNEL,
                "textureLoad(second_texels, place, member, 0)",
                "second[i]",
                "second_texels is not read",
            ),
            (
                &update_texels::KERNEL,
                "second[member * MEMBER_SECOND / 4u + i] = square",
                "first[i] = square",
                "second is declared ReadWrite",
            ),
            (&sum_columns::KERNEL, "array<f32, 32>, 8>", "array<f32, 32>, 129>", "of workgroup memory"),
            (&row_weights::KERNEL, "    sample: u32,\n", "", "steps is laid out as"),
            (
                &update::KERNEL,
                "correction1: f32,\n    correction2: f32",
                "correction2: f32,\n    correction1: f32",
                "steps is",
            ),
        ] {
            let source = kernel.source(&vec![0; kernel.consts.len()], &Members::ONE);
            let wrong = source.replacen(from, to, 1);
            assert_ne!(wrong, source, "nothing to break: {from}");
            expect(kernel, &wrong, fault);
        }
    }

    #[test]
    fn a_shader_that_forgets_its_member_is_found() {
        for (from, to, fault) in [
            ("member = member_of(group);", "", "main does not ask"),
            ("member * MEMBER_X + ", "", "x is not the member's"),
            ("member * MEMBER_Y + ", "", "y is not the member's"),
        ] {
            let text: &'static str = Box::leak(sum_rows::KERNEL.wgsl.replacen(from, to, 1).into_boxed_str());
            assert_ne!(text, sum_rows::KERNEL.wgsl, "nothing to break: {from}");
            let wrong = Kernel { wgsl: text, ..sum_rows::KERNEL };
            expect(&wrong, &wrong.source(&[], &Members::ONE), fault);
        }
    }

    fn expect(kernel: &Kernel, source: &str, fault: &str) {
        let faults = faults(kernel, source);
        assert!(faults.iter().any(|found| found.contains(fault)), "not found: {fault}\nfound: {}", faults.join("\n"));
    }
}
