//! The energy-based prior: a training step is that of its formulas in double precision, and in two dimensions its density, its
//! draws and the likelihood of a model are those of a grid.

use crate::players::{affine, bent, noise};
use crate::program::{TINY, elbo};
use crate::support::{Tolerance, compare, executors};
use elbo::checkpoint::TrainerState;
use elbo::data::batches::Batch;
use elbo::model::prior::energy::PARTITION;
use elbo::plan::Role;
use elbo::rng::{Philox, Stream};
use elbo::session::{Purpose, Session};
use elbo::train::{Update, scalars};
use elbo::{config, data, eval};

/// Other orders of the same sums.
const SUMS: Tolerance = Tolerance { nmse: 1e-8, element: 5e-4, absolute: 1e-5 };
const ROWS: usize = 13;

const SETTINGS: &[(&str, &str)] = &[
    ("batch", "20"),
    ("latent", "2"),
    ("hidden", "[6]"),
    ("activation", "tanh"),
    ("examples", "130"),
    ("seed", "3"),
    ("prior", "energy"),
    ("prior_layers", "1"),
    ("prior_width", "5"),
];

fn session(device: usize, settings: &[(&str, &str)]) -> Session {
    let all = SETTINGS.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = config::resolve(None, &all.collect::<Vec<_>>()).expect("the settings are valid");
    let data = data::open(&config, None).expect("glyphs are drawn");
    Session::new(config, data, executors().swap_remove(device)).expect("the model fits")
}

/// Gives the network of the energy weights that matter, [Z + 1, 5] and [6, 1].
fn weigh(session: &mut Session) -> [Vec<f64>; 2] {
    let mut random = Philox::new(8, Stream::Choice, 0, 0);
    ["prior.0", "prior.1"].map(|name| {
        let range = session.ranges().into_iter().find(|range| range.name == name).expect("it is there");
        let values: Vec<f32> = (0..range.count()).map(|_| 1.2 * random.normal()).collect();
        session.executor.write_f32(&Role::Parameters, range.offset, &values).expect("it fits");
        values.into_iter().map(f64::from).collect()
    })
}

fn energy(maps: &[Vec<f64>; 2], z: &[f64]) -> f64 {
    affine(&bent(z, &maps[0]), &maps[1])[0]
}

/// z after K steps of Langevin dynamics, by central differences of the energy.
fn chain(maps: &[Vec<f64>; 2], example: u32, steps: u32, step: f64) -> [Vec<f64>; 2] {
    let start = noise(3, 256, example, 0, 2);
    let mut z = start.clone();
    for turn in 1..=steps {
        let noise = noise(3, 256 + turn, example, 0, 2);
        let slope = |d: usize| {
            let at = |by: f64| {
                let mut z = z.clone();
                z[d] += by;
                energy(maps, &z)
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        };
        z = (0..2).map(|d| z[d] - 0.5 * step * step * (slope(d) + z[d]) + step * noise[d]).collect();
    }
    [start, z]
}

#[test]
fn a_training_step_is_that_of_its_formulas() {
    for device in 0..executors().len() {
        let mut session = session(device, &[("prior_steps", "4"), ("prior_step", "0.5")]);
        let plan = session.plan(Purpose::Train).expect("it fits");
        session.initialise().expect("it fits");
        let maps = weigh(&mut session);
        let of = |session: &mut Session, role: Role, name: &str| -> Vec<f64> {
            let range = session.ranges().into_iter().find(|range| range.name == name).expect("it is there");
            let found = session.read(0, &role, range.offset, range.count()).expect("it is there");
            found.into_iter().map(f64::from).collect()
        };
        let [encoder, head] = ["encoder.0", "encoder.head"].map(|name| of(&mut session, Role::Parameters, name));
        session.set_order(&(0..100).collect::<Vec<_>>()).expect("it fits");
        let range = session.ranges().into_iter().find(|range| range.name == PARTITION).expect("it is there");
        session.executor.write_f32(&Role::Parameters, range.offset, &[0.3]).expect("it fits");
        let update = Update { step: 7, per_epoch: 10, slot: 0, batch: Batch { first: 0, rows: ROWS } };
        let told = scalars(&session.config, &TrainerState::default(), &update, 0);
        session.run(plan, &[told]).expect("it runs");
        let rate = session.read(0, &Role::Metrics, 1, 1).expect("it is there")[0];
        // log q − log p at the sample of each example, and of each a draw.
        let (mut expected, mut positive, mut negative, mut starts) = (0.0, vec![], vec![], vec![]);
        let x = session.originals(&(0..ROWS as u32).collect::<Vec<_>>()).expect("they are there");
        for (example, x) in x.chunks_exact(session.model.width).enumerate() {
            let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            let stats = affine(&bent(&x, &encoder), &head);
            let eps = noise(3, 0, example as u32, 0, 2);
            let z: Vec<f64> = (0..2).map(|d| stats[d] + (0.5 * stats[2 + d]).exp() * eps[d]).collect();
            let ratio: f64 = (0..2).map(|d| 0.5 * (z[d].powi(2) - eps[d].powi(2) - stats[2 + d])).sum();
            expected += (ratio + energy(&maps, &z) + 0.3) / ROWS as f64;
            let [start, drawn] = chain(&maps, example as u32, 4, 0.5);
            positive.push(z);
            negative.push(drawn);
            starts.push(start);
        }
        compare(&[expected as f32], &[rate], SUMS).unwrap_or_else(|why| panic!("rate: {why}"));
        // The slope of the mean of E(z) over latents, less that over draws, by central differences.
        let apart = |maps: &[Vec<f64>; 2]| -> f64 {
            let mean = |all: &[Vec<f64>]| all.iter().map(|z| energy(maps, z)).sum::<f64>() / ROWS as f64;
            mean(&positive) - mean(&negative)
        };
        for (at, name) in ["prior.0", "prior.1"].iter().enumerate() {
            let slope = |place: usize| {
                let moved = |by: f64| {
                    let mut maps = maps.clone();
                    maps[at][place] += by;
                    apart(&maps)
                };
                ((moved(1e-5) - moved(-1e-5)) / 2e-5) as f32
            };
            let expected: Vec<f32> = (0..maps[at].len()).map(slope).collect();
            let found: Vec<f32> = of(&mut session, Role::Gradients, name).into_iter().map(|x| x as f32).collect();
            compare(&expected, &found, SUMS).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        let mean = starts.iter().map(|z| (-energy(&maps, z)).exp()).sum::<f64>() / ROWS as f64;
        let kept = (0.95 * 0.3_f64.exp() + 0.05 * mean).ln() as f32;
        let found = of(&mut session, Role::Parameters, PARTITION)[0] as f32;
        compare(&[kept], &[found], SUMS).unwrap_or_else(|why| panic!("log Z: {why}"));
    }
}

/// A moment of a pair of numbers.
type Moment = fn(f64, f64) -> f64;

/// Points of a grid over the plane, and the area of each.
fn grid() -> (Vec<[f64; 2]>, f64) {
    const SIDE: i32 = 60;
    let at = |k: i32| 5.0 * f64::from(k) / f64::from(SIDE);
    let all = (-SIDE..=SIDE).flat_map(|a| (-SIDE..=SIDE).map(move |b| [at(a), at(b)])).collect();
    (all, (5.0 / f64::from(SIDE)).powi(2))
}

/// exp(−E)·N(z; 0, 1) at the points of a grid.
fn densities(maps: &[Vec<f64>; 2], points: &[[f64; 2]]) -> Vec<f64> {
    let normal = |z: &[f64; 2]| (-0.5 * (z[0] * z[0] + z[1] * z[1])).exp() / std::f64::consts::TAU;
    points.iter().map(|z| normal(z) * (-energy(maps, z)).exp()).collect()
}

#[test]
fn in_two_dimensions_log_z_draws_and_likelihoods_are_those_of_a_grid() {
    let mut session = session(0, &[("prior_steps", "200"), ("prior_step", "0.3")]);
    let plan = session.plan(Purpose::task("sample", 128)).expect("it fits");
    session.initialise().expect("it fits");
    let maps = weigh(&mut session);
    let (points, area) = grid();
    let densities = densities(&maps, &points);
    let z: f64 = densities.iter().sum::<f64>() * area;
    let found = session.normalise(0).expect("it runs").expect("it is an energy");
    let off = (found.log - z.ln()).abs();
    assert!(off < 4.0 * found.standard_error && found.standard_error < 0.02, "{found:?}, and {} by the grid", z.ln());
    // Means and second moments of draws, whose chains are nearly at rest.
    session.set_order(&(0..100).collect::<Vec<_>>()).expect("it fits");
    let mut draws = vec![];
    for run in 0..40 {
        let scalars = session.scalars(run, Stream::Prior, 0, 100);
        session.run(plan, &[scalars]).expect("it runs");
        draws.extend(session.read(0, &Role::Output("z".into()), 0, 200).expect("it is there"));
    }
    let moments: [Moment; 5] = [|a, _| a, |_, b| b, |a, _| a * a, |_, b| b * b, |a, b| a * b];
    let mut moved: f64 = 0.0;
    for (at, moment) in moments.iter().enumerate() {
        let exact = points.iter().zip(&densities).map(|(z, p)| p * moment(z[0], z[1])).sum::<f64>() * area / z;
        let of = |z: &[f32]| moment(f64::from(z[0]), f64::from(z[1]));
        let drawn = draws.chunks_exact(2).map(of).sum::<f64>() / 4000.0;
        assert!((drawn - exact).abs() < 0.1, "moment {at}: {drawn}, and {exact} by the grid");
        moved = moved.max((exact - [0.0, 0.0, 1.0, 1.0, 0.0][at]).abs());
    }
    assert!(moved > 0.3, "the prior is N(0, 1) but for {moved}");
    // log p(x) of an example by the grid, and by importance weights with log Z of the estimate.
    let latents: Vec<f32> = points.iter().flat_map(|z| [z[0] as f32, z[1] as f32]).collect();
    let means = session.decode(&latents, &[]).expect("it runs");
    for example in 0..3 {
        let x = session.originals(&[example]).expect("it is there");
        let given = |mean: &[f32]| -> f64 {
            let term = |(&p, &x): (&f32, &f32)| {
                let (p, x) = (f64::from(p).clamp(1e-7, 1.0 - 1e-7), f64::from(x));
                x * p.ln() + (1.0 - x) * (1.0 - p).ln()
            };
            mean.iter().zip(&x).map(term).sum()
        };
        let logs: Vec<f64> =
            means.chunks_exact(x.len()).zip(&densities).map(|(mean, p)| given(mean) + (p * area / z).ln()).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exact = -(largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln());
        let example = example as usize;
        let found = eval::likelihood(&mut session, example..example + 1, 2000, 1, &mut |_| {}).expect("it runs");
        assert!((found.neg_log_px - exact).abs() < 0.05, "{found:?}, and {exact} by the grid");
    }
}

#[test]
fn the_program_says_by_what_an_energy_is_normalised() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| elbo(folder.path(), arguments);
    let settings = "--set prior=energy --set prior_layers=1 --set prior_width=6 --set prior_steps=3";
    run(&format!("train {TINY} {settings} --epochs 2 --lr 1e-2 --out run")).succeeded();
    let text = run("eval run --adapter cpu").succeeded().out;
    assert!(text.contains("log Z") && text.contains("by 131,072 draws of N(0, 1)"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&run("eval run --adapter cpu --json").succeeded().out).expect("it is JSON");
    assert!(json["log_partition"].is_f64() && json["log_partition_se"].is_f64(), "{json}");
    run("export run --format web --out page").failed(2, "model.prior = energy");
    for (settings, words) in [
        ("--set mmd=1", "objective.mmd = 1"),
        ("--set accumulate=2", "train.accumulate = 2"),
        ("--set prior_steps=0", "model.prior_steps = 0"),
        ("--set prior_step=2", "model.prior_step = 2"),
        ("--set free_bits=1", "objective.free_bits = 1"),
    ] {
        run(&format!("train {TINY} --set prior=energy {settings} --out other")).failed(2, words);
    }
}
