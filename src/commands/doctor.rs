//! `elbo doctor`: what a run on this machine would use and why, and whether that computes what it should.

mod drivers;
mod forms;
#[cfg(feature = "gpu")]
mod shaders;

use super::adapters;
use crate::cli::DoctorArgs;
use crate::error::{Error, Result};
use crate::exec::adapter::AdapterSummary;
use crate::exec::select;
use crate::exec::selftest::self_test;
use crate::report::Report;
use serde_json::{Value, json};

/// One thing that was examined, and what is wrong with it.
struct Check {
    what: String,
    /// What was found, if nothing is wrong.
    fine: String,
    faults: Vec<String>,
}

/// Examines the machine and reports; fails if anything on it does. With a folder for shaders, writes these and no more.
///
/// # Errors
/// [`Error::Device`](crate::error::Error::Device) where an adapter cannot be opened or a check fails; those of writing
/// the shaders.
pub fn run(args: &DoctorArgs, report: &Report) -> Result<()> {
    if let Some(folder) = &args.wgsl {
        return forms::write(folder, report);
    }
    let found = select::adapters();
    let selector = args.adapter.as_deref().unwrap_or("auto");
    let (chosen, why) = select::preview(selector, &found)?;
    let device = chosen.map_or("the CPU engine".to_owned(), |index| found[index].title());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (environment, drivers) = (drivers::environment(), drivers::files());
    report.result(&format!(
        "elbo {} on {} {} with {threads} threads",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    ));
    report.result(&format!("--adapter {selector} takes {device}: {why}"));
    for line in drivers::as_text(&environment, &drivers) {
        report.result(&line);
    }
    report.result(&adapters::as_text(&found, select::preview("auto", &found)?.0));
    if found.is_empty() {
        report.note(adapters::NONE);
    }
    let all = || [None].into_iter().chain(found.iter().map(|adapter| Some(adapter.index))).collect();
    let devices: Vec<Option<usize>> = if args.adapter.is_some() { vec![chosen] } else { all() };
    let checks = examine(&devices, &found, report);
    let wrong = checks.iter().filter(|check| !check.faults.is_empty()).count();
    report.json(&json!({
        "version": env!("CARGO_PKG_VERSION"), "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
        "threads": threads, "selector": selector, "device": device, "why": why,
        "environment": environment.into_iter().collect::<std::collections::BTreeMap<_, _>>(), "drivers": drivers,
        "adapters": found.iter().map(adapters::as_json).collect::<Vec<_>>(),
        "checks": checks.iter().map(Check::as_json).collect::<Vec<_>>(), "ok": wrong == 0,
    }));
    if wrong > 0 {
        let all = checks.len();
        return Err(Error::Device(format!("{wrong} of {all} checks failed: do not train on what failed, see above")));
    }
    Ok(())
}

/// Checks what all devices share, then devices: adapters by their index, and the CPU engine.
fn examine(devices: &[Option<usize>], found: &[AdapterSummary], report: &Report) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |check: Check| {
        report.result(&check.as_text());
        checks.push(check);
    };
    #[cfg(feature = "gpu")]
    add(shaders::check());
    for device in devices {
        add(kernels(*device, found));
    }
    checks
}

/// Every kernel on a device against its twin.
fn kernels(device: Option<usize>, found: &[AdapterSummary]) -> Check {
    let selector = device.map_or("cpu".to_owned(), |index| index.to_string());
    let mut executor = match select::open(&selector, 0) {
        Ok((executor, _)) => executor,
        Err(error) => {
            let what = device.map_or(selector, |index| found[index].title());
            return Check { what, fine: String::new(), faults: vec![error.to_string()] };
        }
    };
    let results = self_test(&mut executor);
    Check {
        what: executor.name(),
        fine: format!("{} kernels agree with their twins", results.len()),
        faults: results.into_iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?))).collect(),
    }
}

impl Check {
    fn as_text(&self) -> String {
        match &self.faults[..] {
            [] => format!("ok      {}: {}", self.what, self.fine),
            faults => format!("FAILED  {}: {}", self.what, faults.join("; ")),
        }
    }

    fn as_json(&self) -> Value {
        json!({ "what": self.what, "ok": self.faults.is_empty(), "faults": self.faults })
    }
}
