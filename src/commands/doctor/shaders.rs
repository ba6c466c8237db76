//! Whether every shader is valid and can be translated for each kind of driver.

use super::Check;
use crate::exec::selftest::cases::settings;
use crate::kernels::{KERNELS, Kernel, Members};
use naga::ShaderStage;
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Translates every kernel with every setting of its constants that the self-test knows.
pub fn check() -> Check {
    let mut faults = Vec::new();
    let mut count = 0;
    for kernel in KERNELS {
        for consts in settings(kernel) {
            count += 1;
            if let Err(why) = translate(kernel, &kernel.source(&consts, &Members::ONE)) {
                faults.push(format!("{} {:?} = {consts:?}: {why}", kernel.name, kernel.consts));
            }
        }
    }
    let fine = format!("{count} forms of {} kernels translate to SPIR-V, MSL and HLSL", KERNELS.len());
    Check { what: "shaders".to_owned(), fine, faults }
}

fn translate(kernel: &Kernel, source: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.to_string())?;
    let capabilities = if kernel.needs_subgroups() { Capabilities::SUBGROUP } else { Capabilities::empty() };
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|error| error.to_string())?;
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
    spv::write_vec(&module, &info, &spv::Options::default(), Some(&pipeline)).map_err(|e| format!("SPIR-V: {e}"))?;
    let (options, pipeline) = (msl::Options::default(), msl::PipelineOptions::default());
    msl::write_string(&module, &info, &options, &pipeline).map_err(|error| format!("MSL: {error}"))?;
    let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
    let mut text = String::new();
    let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
    writer.write(&module, &info, None).map_err(|error| format!("HLSL: {error}"))?;
    Ok(())
}
