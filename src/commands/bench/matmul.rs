//! `elbo bench matmul`: every variant of the products that plans for a device are made of, on one shape.

use super::{name, peak};
use crate::cli::BenchMatmulArgs;
use crate::commands::plan::shapes;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exec::profile::{Effort, Timing};
use crate::exec::{measure, select};
use crate::kernels::{Kernel, matmul_direct};
use crate::plan::{Target, check_rounds};
use crate::report::Report;
use crate::report::table::table;
use crate::session::{Purpose, plan_for};
use serde_json::{Value, json};
use std::time::Duration;

/// The most elements of a matrix: 1 GiB.
const MOST: usize = 1 << 28;

/// Repeats of each variant, and how long they may take.
const REPEATS: usize = 50;
const TIME: Duration = Duration::from_secs(2);

/// Times one product, [M, K]·[K, N].
///
/// # Errors
/// [`Error::Usage`] where a matrix is empty or too large; [`Error::Bug`] where a product differs from its twin;
/// otherwise those of the device.
pub fn run(args: &BenchMatmulArgs, report: &Report) -> Result<()> {
    let shape = [args.m, args.n, args.k];
    let [m, n, k] = shape;
    let fits = |rows: usize, columns: usize| rows.checked_mul(columns).is_some_and(|count| (1..=MOST).contains(&count));
    if !(fits(m, k) && fits(k, n) && fits(m, n)) {
        return Err(Error::Usage(format!("{m} {n} {k}: matrices have 1 to {MOST} elements")));
    }
    let repeats = args.rounds.unwrap_or(REPEATS);
    if repeats == 0 {
        return Err(Error::Usage("--rounds must be at least 1".into()));
    }
    let (mut executor, line) = select::open(args.adapter.as_deref().unwrap_or("auto"), args.threads.count()?)?;
    report.note(&format!("device   {line}"));
    let target = executor.target();
    let products = products(target, report)?;
    let transposed = [args.transpose_a, args.transpose_b];
    let mut found: Vec<Variant> = Vec::new();
    for kernel in kernels_for(target, &products, transposed, shape) {
        for consts in measure::variants(kernel, transposed) {
            let Some(case) = measure::product_case(kernel, &consts, shape) else {
                report.note(&format!("left out {}: not for this shape", measure::variant_name(kernel, &consts)));
                continue;
            };
            check_rounds(target, std::slice::from_ref(&case.step), &[])?;
            let (time, clock) = measure::time_right(&mut executor, &case, Effort { repeats, time: TIME })?;
            found.push(Variant { name: measure::variant_name(kernel, &consts), grid: case.step.grid, time });
            report.note(&format!("timed    {} by {}", measure::variant_name(kernel, &consts), clock.describe()));
        }
    }
    found.sort_by(|a, b| a.time.median.total_cmp(&b.time.median));
    let peak = peak(&mut executor, &products, report)?;
    let flops = 2.0 * m as f64 * n as f64 * k as f64;
    let bytes = 4.0 * (m * k + k * n + m * n) as f64;
    let rate = |amount: f64, time: &Timing| amount / time.median;
    let rows = found.iter().map(|Variant { name, grid: [x, y, _], time }| {
        vec![
            name.clone(),
            format!("{x}x{y}"),
            format!("{:.1}", time.median * 1e6),
            format!("{:.1}", time.least * 1e6),
            format!("{:.1}", time.most * 1e6),
            format!("{:.1}", rate(flops, time) / 1e9),
            format!("{:.1}", rate(bytes, time) / 1e9),
            format!("{:.0}%", 100.0 * (rate(flops, time) / peak.flops).max(rate(bytes, time) / peak.bytes)),
        ]
    });
    let header = ["variant", "grid", "µs", "least", "most", "GFLOP/s", "GB/s", "of peak"];
    report.result(&table(&header, &rows.collect::<Vec<_>>()));
    let as_json = |Variant { name, grid, time }: &Variant| {
        json!({
            "variant": name, "grid": grid, "us": time.median * 1e6, "us_min": time.least * 1e6,
            "us_max": time.most * 1e6, "repeats": time.repeats, "gflop_per_second": rate(flops, time) / 1e9,
            "gb_per_second": rate(bytes, time) / 1e9,
        })
    };
    let Some(best) = found.first() else { return Err(Error::Bug("there is no product to time".into())) };
    report.json(&json!({
        "name": name(target), "device": executor.name(), "batch": m, "m": m, "n": n, "k": k,
        "transpose_a": args.transpose_a, "transpose_b": args.transpose_b, "variant": best.name,
        "ms_per_step": best.time.median * 1e3, "ms_min": best.time.least * 1e3, "ms_max": best.time.most * 1e3,
        "gflop_per_second": rate(flops, &best.time) / 1e9, "gb_per_second": rate(bytes, &best.time) / 1e9,
        "peak_gflop_per_second": peak.flops / 1e9, "peak_gb_per_second": peak.bytes / 1e9, "peak": peak.how,
        "share_of_peak_flops": rate(flops, &best.time) / peak.flops,
        "share_of_peak_bytes": rate(bytes, &best.time) / peak.bytes,
        "variants": found.iter().map(as_json).collect::<Vec<Value>>(),
    }));
    Ok(())
}

/// A variant with its times.
struct Variant {
    name: String,
    grid: [u32; 3],
    time: Timing,
}

/// The kernels that plans for this target compute such a product by.
fn kernels_for(
    target: Target,
    products: &[&'static Kernel],
    transposed: [bool; 2],
    shape: [usize; 3],
) -> Vec<&'static Kernel> {
    let variants = |kernel: &'static Kernel| measure::variants(kernel, transposed).into_iter();
    let suits = |kernel| variants(kernel).any(|consts| measure::product_case(kernel, &consts, shape).is_some());
    match target {
        Target::Simd8 if !products.iter().any(|kernel| suits(kernel)) => vec![&matmul_direct::KERNEL],
        _ => products.to_vec(),
    }
}

/// The product kernels that a training step for this target is made of.
fn products(target: Target, report: &Report) -> Result<Vec<&'static Kernel>> {
    let config = Config::default();
    let (model, resident) = shapes(&config, report)?;
    Ok(measure::products(&plan_for(&model, &config, Purpose::Train, resident, target)?))
}
