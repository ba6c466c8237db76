//! `elbo adapters`: what `--adapter` can choose from.

use crate::error::Result;
use crate::exec::adapter::AdapterSummary;
use crate::exec::select;
use crate::report::Report;
use crate::report::human::bytes;
use crate::report::table::table;
use serde_json::{Value, json};

/// What to do where no adapter is found.
pub const NONE: &str = "no adapter was found, so the CPU engine trains; for a GPU install its driver with Vulkan, Metal \
                        or DX12 (on Debian and Ubuntu: apt install libvulkan1 mesa-vulkan-drivers, or NVIDIA's driver)";

/// Lists the adapters and marks the one that `auto` takes.
///
/// # Errors
/// Those of [`select::preview`]; `auto` always fits.
pub fn run(report: &Report) -> Result<()> {
    let adapters = select::adapters();
    let (chosen, why) = select::preview("auto", &adapters)?;
    report.result(&as_text(&adapters, chosen));
    report.json(&json!({
        "adapters": adapters.iter().map(as_json).collect::<Vec<_>>(),
        "auto": chosen.map_or(json!("cpu"), |index| json!(index)),
        "why": why,
    }));
    if adapters.is_empty() {
        report.note(NONE);
    } else if chosen.is_none() {
        report.note(&format!("auto takes the CPU engine: {why}"));
    }
    Ok(())
}

/// A table of the adapters, and the CPU engine below them.
pub fn as_text(adapters: &[AdapterSummary], chosen: Option<usize>) -> String {
    let mark = |taken: bool| if taken { "auto" } else { "" }.to_owned();
    let row = |adapter: &AdapterSummary| {
        vec![
            adapter.index.to_string(),
            adapter.name.clone(),
            adapter.backend.to_owned(),
            adapter.kind.name().to_owned(),
            adapter.driver.clone(),
            bytes(adapter.max_buffer),
            bytes(adapter.max_binding),
            mark(chosen == Some(adapter.index)),
        ]
    };
    let mut rows: Vec<Vec<String>> = adapters.iter().map(row).collect();
    let mut engine = vec![String::new(); 8];
    (engine[0], engine[1], engine[7]) = ("cpu".into(), "CPU engine".into(), mark(chosen.is_none()));
    rows.push(engine);
    table(&["index", "name", "interface", "kind", "driver", "largest buffer", "largest binding", "chosen by"], &rows)
}

/// An adapter as JSON; sizes in bytes.
pub fn as_json(adapter: &AdapterSummary) -> Value {
    json!({
        "index": adapter.index, "name": adapter.name, "backend": adapter.backend, "kind": adapter.kind.name(),
        "driver": adapter.driver, "max_buffer": adapter.max_buffer, "max_binding": adapter.max_binding,
    })
}
