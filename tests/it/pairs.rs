//! Terms that compare the latents of a batch with each other, against their formulas in double precision.

use crate::support::{Tolerance, compare, executors};
use bytemuck::Zeroable;
use elbo::exec::Executor;
use elbo::graph::{Clamp, Graph, Id, Op};
use elbo::kernels::StepScalars;
use elbo::model::pairs::{mmd, moments, similarity, total_correlation};
use elbo::plan::{Resident, Role, lower};
use elbo::rng::{Philox, Stream};
use elbo::shape::Shape;

/// B, Z, and how many examples count.
const CASES: [(usize, usize, usize); 4] = [(24, 3, 24), (24, 3, 17), (5, 1, 5), (4, 2, 1)];

/// Sums of a few hundred numbers that partly cancel.
const SUMS: Tolerance = Tolerance { nmse: 1e-9, element: 1e-4, absolute: 0.0 };

const CLAMP: Clamp = Clamp { low: -1.0, high: 1.0 };

fn deviates(which: u32, count: usize) -> Vec<f32> {
    let mut random = Philox::new(3, Stream::Choice, which, 0);
    (0..count).map(|_| random.normal()).collect()
}

/// What a term of two inputs of so many rows and columns is for each example.
fn rows(
    executor: &mut Executor,
    name: &str,
    inputs: [(&[f32], [usize; 2]); 2],
    counted: usize,
    term: impl Fn(&mut Graph, [Id; 2]) -> Id,
) -> Vec<f32> {
    let batch = inputs[0].1[0];
    let mut graph = Graph::new(batch);
    let role = |at: usize| format!("{name} {at}");
    let given = [0, 1].map(|at| {
        let shape = Shape::new(&inputs[at].1);
        graph.add(Op::Input { name: role(at), shape }).expect("an input reads nothing")
    });
    let rows = term(&mut graph, given);
    graph.output(name, rows);
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
    let plan = lower(name, graph, None, resident, executor.target()).expect("the plan is legal");
    let id = executor.load(plan).expect("the plan fits");
    for (at, (values, _)) in inputs.iter().enumerate() {
        executor.write_f32(&Role::Input(role(at)), 0, values).expect("the input fits");
    }
    executor.run(id, &[StepScalars { rows: counted as u32, ..StepScalars::zeroed() }]).expect("the plan runs");
    executor.read_f32(&Role::Output(name.to_owned()), 0, batch).expect("the output is there")
}

fn log_sum_exp(values: impl Iterator<Item = f64>) -> f64 {
    values.map(f64::exp).sum::<f64>().ln()
}

#[test]
fn the_total_correlation_is_that_of_its_formula() {
    for mut executor in executors() {
        for (batch, latent, n) in CASES {
            let (stats, z) = (deviates(0, 2 * batch * latent), deviates(1, batch * latent));
            let density = |i: usize, j: usize, d: usize| {
                let lv = f64::from(stats[j * 2 * latent + latent + d].clamp(CLAMP.low, CLAMP.high));
                let u = f64::from(z[i * latent + d]) - f64::from(stats[j * 2 * latent + d]);
                -0.5 * (u * u * (-lv).exp() + lv + (2.0 * std::f64::consts::PI).ln())
            };
            let of_row = |i: usize| {
                let joint = log_sum_exp((0..n).map(|j| (0..latent).map(|d| density(i, j, d)).sum()));
                let alone = |d: usize| log_sum_exp((0..n).map(|j| density(i, j, d)));
                joint - (0..latent).map(alone).sum::<f64>() + (latent as f64 - 1.0) * (n as f64).ln()
            };
            let expected: Vec<f32> = (0..batch).map(|i| if i < n { of_row(i) as f32 } else { 0.0 }).collect();
            let name = format!("tc {batch} {latent} {n}");
            let inputs = [(&stats[..], [batch, 2 * latent]), (&z[..], [batch, latent])];
            let found = rows(&mut executor, &name, inputs, n, |graph, [stats, z]| {
                total_correlation(graph, stats, z, CLAMP).expect("shapes meet")
            });
            // In one dimension both estimates are one, and nothing but rounding is left.
            let one = latent == 1 && found.iter().all(|value| value.abs() < 1e-6);
            let verdict = compare(&expected, &found, SUMS);
            assert!(one || verdict.is_ok(), "{name} on {}: {verdict:?}", executor.name());
        }
    }
}

#[test]
fn the_discrepancy_to_the_prior_is_that_of_its_formula() {
    for mut executor in executors() {
        for (batch, latent, n) in CASES {
            let (z, draws) = (deviates(2, batch * latent), deviates(3, 2 * batch * latent));
            let k = |a: &[f32], b: &[f32]| {
                let distance = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
                similarity(distance, latent)
            };
            let (z_of, prior_of) =
                (|i: usize| &z[i * latent..][..latent], |i: usize| &draws[(2 * i + 1) * latent..][..latent]);
            let of_row = |i: usize| -> f64 {
                let others = (0..n).filter(|&j| j != i).map(|j| k(z_of(i), z_of(j)) + k(prior_of(i), prior_of(j)));
                let both = (0..n).map(|j| k(z_of(i), prior_of(j)));
                others.sum::<f64>() / (n as f64 - 1.0) - 2.0 * both.sum::<f64>() / n as f64
            };
            let counted = |i: usize| if i < n && n > 1 { of_row(i) as f32 } else { 0.0 };
            let expected: Vec<f32> = (0..batch).map(counted).collect();
            let name = format!("mmd {batch} {latent} {n}");
            let inputs = [(&z[..], [batch, latent]), (&draws[..], [2 * batch, latent])];
            let found =
                rows(&mut executor, &name, inputs, n, |graph, [z, draws]| mmd(graph, z, draws).expect("shapes meet"));
            compare(&expected, &found, SUMS).unwrap_or_else(|why| panic!("{name} on {}: {why}", executor.name()));
        }
    }
}

#[test]
fn the_moments_of_the_means_are_those_of_their_formula() {
    for mut executor in executors() {
        for (batch, latent, n) in CASES {
            let (means, log_variances) = (deviates(4, batch * latent), deviates(5, batch * latent));
            let of = |i: usize, d: usize| f64::from(means[i * latent + d]);
            let mean = |d: usize| (0..n).map(|i| of(i, d)).sum::<f64>() / n as f64;
            let c = |a: usize, b: usize| {
                (0..n).map(|i| (of(i, a) - mean(a)) * (of(i, b) - mean(b))).sum::<f64>() / n as f64
            };
            let pairs = || (0..latent).flat_map(|a| (0..latent).map(move |b| (a, b)));
            let expected = [
                pairs().filter(|(a, b)| a != b).map(|(a, b)| c(a, b).powi(2)).sum::<f64>(),
                (0..latent).map(|a| (c(a, a) - 1.0).powi(2)).sum(),
            ];
            // The same of latents: the mean of the variances is on the diagonal besides.
            let spread = |a: usize| {
                let variance = |i: usize| f64::from(log_variances[i * latent + a]).clamp(-0.5, 0.5).exp();
                (0..n).map(variance).sum::<f64>() / n as f64
            };
            let of_latents = (0..latent).map(|a| (c(a, a) + spread(a) - 1.0).powi(2)).sum();
            let clamp = Clamp { low: -0.5, high: 0.5 };
            let cases = [
                (0, None, expected[0]),
                (1, None, expected[1]),
                (0, Some(clamp), expected[0]),
                (1, Some(clamp), of_latents),
            ];
            for (which, of, value) in cases {
                let expected: Vec<f32> = (0..batch).map(|i| if i < n { value as f32 } else { 0.0 }).collect();
                let name = format!("moment {which} {batch} {latent} {n} {of:?}");
                let inputs = [(&means[..], [batch, latent]), (&log_variances[..], [batch, latent])];
                let found = rows(&mut executor, &name, inputs, n, |graph, parts| {
                    let stats = graph.concatenate(&parts).expect("rows are as many");
                    moments(graph, stats, latent, of).expect("shapes meet")[which]
                });
                compare(&expected, &found, SUMS).unwrap_or_else(|why| panic!("{name} on {}: {why}", executor.name()));
            }
        }
    }
}
