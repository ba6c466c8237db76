//! Hierarchies of groups of latents that add to an image: against the formulas in double precision, and what commands make of them.

use crate::program::{checkpoint, elbo, files, json, losses};
use elbo::config::{Anneal, Config, resolve};
use elbo::data::{Dataset, Values};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::kernels::StepScalars;
use elbo::model::tasks::{EVALUATE, EXPLAIN, SAMPLE, SCORE};
use elbo::model::topdown::COOLING;
use elbo::model::{Weights, named, of_layer};
use elbo::plan::Role;
use elbo::rng::Stream;
use elbo::session::{BATCH, Purpose, Session};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Examples of 4x4 grey values.
const COUNT: usize = 12;

/// Latent dimensions from the lowest group up: four pixels of one, four of one, and three of a single pixel.
const LATENTS: [usize; 3] = [4, 4, 3];

/// Numbers between −1 and 1 that depend on their place alone.
fn draw(which: usize, count: usize) -> Vec<f32> {
    let number = |at: usize| ((1 + at + 977 * which) as f64 * 0.754_877_666_246_692_7).fract() * 2.0 - 1.0;
    (0..count).map(|at| number(at) as f32).collect()
}

fn configured() -> Config {
    let pairs = [
        ("hierarchy", "residual"),
        ("resolutions", "[data/2 groups 2 latent 1, 1x1 latent 3]"),
        ("hidden", "[]"),
        ("encoder_layers", "[conv 3 kernel 2 stride 2]"),
        ("decoder_layers", "[silu, conv-transpose out kernel 2 stride 2]"),
        ("encoder_cell", "[silu, conv 3 kernel 3 padding 1]"),
        ("decoder_cell", "[silu, conv 2 kernel 3 padding 1, silu, conv 3 kernel 1]"),
    ];
    let all: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    resolve(None, &all).unwrap()
}

/// A model all of whose networks say something.
fn session() -> Session {
    let values = draw(1, 16 * COUNT).into_iter().map(|v| 0.5 + 0.5 * v).collect();
    let data = Dataset::new("grey", [1, 4, 4], Values::F32(values), None, 4, 0).unwrap();
    let mut session = Session::new(configured(), data, Executor::Cpu(Cpu::new(1).unwrap())).unwrap();
    session.plan(Purpose::task(EVALUATE, BATCH)).unwrap();
    for (which, range) in (2..).zip(session.ranges()) {
        let values: Vec<f32> = draw(which, range.count()).iter().map(|v| 0.7 * v).collect();
        session.executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
    }
    session
}

/// An image: height, width, and the channels of each pixel.
#[derive(Clone)]
struct Image([usize; 2], Vec<Vec<f64>>);

impl Image {
    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self(self.0, self.1.iter().map(|pixel| pixel.iter().map(|&v| f(v)).collect()).collect())
    }

    fn silu(&self) -> Self {
        self.map(|v| v / (1.0 + (-v).exp()))
    }

    fn join(&self, other: &Self, f: impl Fn(&[f64], &[f64]) -> Vec<f64>) -> Self {
        Self(self.0, self.1.iter().zip(&other.1).map(|(a, b)| f(a, b)).collect())
    }

    fn plus(&self, other: &Self) -> Self {
        self.join(other, |a, b| a.iter().zip(b).map(|(a, b)| a + b).collect())
    }

    fn beside(&self, other: &Self) -> Self {
        self.join(other, |a, b| [a, b].concat())
    }

    /// Planes of as many pixels.
    fn planes(&self) -> Vec<f64> {
        (0..self.1[0].len()).flat_map(|channel| self.1.iter().map(move |pixel| pixel[channel])).collect()
    }

    fn of_planes(sides: [usize; 2], planes: &[f64]) -> Self {
        let pixels = sides[0] * sides[1];
        Self(sides, (0..pixels).map(|at| planes[at..].iter().step_by(pixels).copied().collect()).collect())
    }

    fn twice(&self) -> Self {
        let [height, width] = self.0;
        let pixel = |at: usize| self.1[at / (2 * width) / 2 * width + at % (2 * width) / 2].clone();
        Self([2 * height, 2 * width], (0..4 * height * width).map(pixel).collect())
    }
}

/// The tensors of a model in their order, each taken once.
struct Tensors(std::collections::BTreeMap<String, (usize, Vec<f64>)>);

impl Tensors {
    fn of(session: &mut Session) -> Self {
        let tensor = |(name, tensor): (String, elbo::checkpoint::Tensor)| {
            let columns = *tensor.shape.last().unwrap();
            (name, (columns, tensor.values.into_iter().map(f64::from).collect()))
        };
        Self(session.parameters(0).unwrap().into_iter().map(tensor).collect())
    }

    fn conv(&self, name: &str, x: &Image, [kernel, stride, padding]: [usize; 3]) -> Image {
        let ((outputs, w), [height, width], inputs) = (&self.0[name], x.0, x.1[0].len());
        assert_eq!(w.len(), (kernel * kernel * inputs + 1) * outputs, "{name}");
        let sides = [height, width].map(|side| (side + 2 * padding - kernel) / stride + 1);
        let pixel = |at: usize| {
            let of = |output: usize| {
                let mut sum = w[kernel * kernel * inputs * outputs + output];
                for tap in 0..kernel * kernel {
                    let y = (at / sides[1] * stride + tap / kernel).checked_sub(padding).filter(|&y| y < height);
                    let x_at = (at % sides[1] * stride + tap % kernel).checked_sub(padding).filter(|&x| x < width);
                    if let (Some(y), Some(x_at)) = (y, x_at) {
                        let seen = &x.1[y * width + x_at];
                        sum += (0..inputs).map(|i| seen[i] * w[(tap * inputs + i) * outputs + output]).sum::<f64>();
                    }
                }
                sum
            };
            (0..*outputs).map(of).collect()
        };
        Image(sides, (0..sides[0] * sides[1]).map(pixel).collect())
    }

    fn encoder_cell(&self, name: &str, x: &Image) -> Image {
        x.plus(&self.conv(name, &x.silu(), [3, 1, 1]))
    }

    fn decoder_cell(&self, name: &str, first: usize, x: &Image) -> Image {
        let h = self.conv(&format!("{name}.{first}"), &x.silu(), [3, 1, 1]);
        x.plus(&self.conv(&format!("{name}.{}", first + 1), &h.silu(), [1, 1, 0]))
    }

    /// What the encoder says in each group.
    fn found(&self, x: &[f64]) -> Vec<Image> {
        let data = Image([4, 4], x.iter().map(|&v| vec![v]).collect());
        let first = self.encoder_cell("encoder.1", &self.conv("encoder.0", &data, [2, 2, 0]));
        let second = self.encoder_cell("encoder2.0", &first);
        let third = self.encoder_cell("encoder3.1", &self.conv("encoder3.0", &second, [2, 2, 0]));
        vec![first, second, third]
    }

    /// Statistics of posterior and prior of each group from the lowest up, and the means of p(x|z); latents by `noise`, of the
    /// prior where there is no `x`.
    fn pass(&self, x: Option<&[f64]>, noise: &[Vec<f64>]) -> (Vec<[Vec<f64>; 2]>, Vec<f64>) {
        let found = x.map(|x| self.found(x));
        let (mut all, mut known): (Vec<[Vec<f64>; 2]>, Option<Image>) = (vec![], None);
        for at in (0..3).rev() {
            let number = if at == 0 { String::new() } else { (at + 1).to_string() };
            let prior = match &known {
                Some(known) => self.conv(&format!("decoder{number}.prior.head"), &known.silu(), [1, 1, 0]).planes(),
                None => vec![0.0; 2 * LATENTS[at]],
            };
            let posterior = found.as_ref().map_or(prior.clone(), |found| {
                let both = known.as_ref().map_or(found[at].clone(), |known| known.beside(&found[at]));
                let told = self.conv(&format!("encoder{number}.posterior.head"), &both.silu(), [3, 1, 1]).planes();
                told.iter().zip(&prior).map(|(told, prior)| told + prior).collect()
            });
            let (mean, lv) = posterior.split_at(LATENTS[at]);
            let z: Vec<f64> =
                mean.iter().zip(lv).zip(&noise[at]).map(|((mean, lv), eps)| mean + (0.5 * lv).exp() * eps).collect();
            let sides = if at == 2 { [1, 1] } else { [2, 2] };
            let mut told = self.conv(&format!("decoder{number}.latents.0"), &Image::of_planes(sides, &z), [1, 1, 0]);
            if at == 2 {
                told = told.plus(&Image([1, 1], vec![self.0["decoder3.latents.1"].1.clone()]));
            }
            let h = known.map_or(told.clone(), |known| known.plus(&told));
            let name = format!("decoder{number}.cells");
            let h = self.decoder_cell(&name, 0, &h);
            known = Some(if at == 2 { self.decoder_cell(&name, 2, &h.twice()) } else { h });
            all.push([posterior, prior]);
        }
        all.reverse();
        let (h, w) = (known.unwrap().silu(), &self.0["decoder.head"].1);
        let out = (0..16).map(|at| {
            // Each pixel of 2x2 makes 2x2 of its own.
            let (from, tap) = (at / 4 / 2 * 2 + at % 4 / 2, at / 4 % 2 * 2 + at % 2);
            let logit = w[12] + (0..3).map(|channel| h.1[from][channel] * w[tap * 3 + channel]).sum::<f64>();
            1.0 / (1.0 + (-logit).exp())
        });
        (all, out.collect())
    }
}

fn kl([q, p]: &[Vec<f64>; 2]) -> f64 {
    let width = q.len() / 2;
    let of = |at: usize| {
        let (ratio, apart) = ((q[width + at] - p[width + at]).exp(), q[at] - p[at]);
        0.5 * (ratio + apart * apart / p[width + at].exp() - 1.0 - ratio.ln())
    };
    (0..width).map(of).sum()
}

fn log_normal(z: &[f64], stats: &[f64]) -> f64 {
    let (mean, lv) = stats.split_at(z.len());
    let of = |((z, mean), lv): ((&f64, &f64), &f64)| {
        -0.5 * ((z - mean).powi(2) / lv.exp() + lv + (2.0 * std::f64::consts::PI).ln())
    };
    z.iter().zip(mean).zip(lv).map(of).sum()
}

fn close(found: &[f32], expected: &[f64]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(&found, &expected)| (f64::from(found) - expected).abs() < 2e-5)
}

#[test]
fn posteriors_and_reconstructions_are_those_of_the_formulas_in_double_precision() {
    let mut session = session();
    assert_eq!(session.model.latents(), LATENTS);
    let examples: Vec<u32> = (0..COUNT as u32).collect();
    let rows: Vec<Vec<f64>> = session
        .originals(&examples)
        .unwrap()
        .chunks_exact(16)
        .map(|row| row.iter().map(|&v| f64::from(v)).collect())
        .collect();
    let found = session.encode_layers(&examples, 1).unwrap();
    let seen = session.reconstruct(&examples, None, 1).unwrap().1;
    let tensors = Tensors::of(&mut session);
    let still = LATENTS.map(|width| vec![0.0; width]);
    for (row, x) in rows.iter().enumerate() {
        let (layers, out) = tensors.pass(Some(x), &still);
        for (found, [posterior, _]) in found.iter().zip(&layers) {
            assert!(close(found.mean(row), &posterior[..found.latent]), "row {row}");
            assert!(close(&found.log_variances[row * found.latent..][..found.latent], &posterior[found.latent..]));
        }
        assert!(close(&seen[row * 16..][..16], &out), "row {row}");
    }
}

#[test]
fn rates_of_groups_are_divergences_and_weights_the_density_ratios_of_the_formulas() {
    let mut session = session();
    let plan = session.plan(Purpose::samples(SCORE, 4, 2)).unwrap();
    let mut noise = vec![];
    for (layer, width) in LATENTS.into_iter().enumerate() {
        let eps: Vec<f32> = draw(50 + layer, 8 * width).iter().map(|v| 1.7 * v).collect();
        let name = of_layer(&named("noise", 2), layer);
        session.executor.write_f32(&Role::Input(name), 0, &eps).unwrap();
        noise.push(eps);
    }
    session.set_order(&[0, 1, 2, 3]).unwrap();
    let scalars = session.scalars(1, Stream::Evaluate, 0, 4);
    session.run(plan, &[scalars]).unwrap();
    let found = session.output(&named("weights", 2), 4, 2).unwrap();
    let originals = session.originals(&[0, 1, 2, 3]).unwrap();
    let tensors = Tensors::of(&mut session);
    for (row, state) in found.chunks_exact(2).enumerate() {
        let x: Vec<f64> = originals[row * 16..][..16].iter().map(|&v| f64::from(v)).collect();
        let weight = |sample: usize| {
            let eps: Vec<Vec<f64>> = noise
                .iter()
                .zip(LATENTS)
                .map(|(eps, width)| eps[(row * 2 + sample) * width..][..width].iter().map(|&e| f64::from(e)).collect())
                .collect();
            let (layers, out) = tensors.pass(Some(&x), &eps);
            let mut log_weight: f64 = x.iter().zip(&out).map(|(x, p)| x * p.ln() + (1.0 - x) * (1.0 - p).ln()).sum();
            for ([q, p], eps) in layers.iter().zip(&eps) {
                let (mean, lv) = q.split_at(eps.len());
                let z: Vec<f64> = (0..eps.len()).map(|at| mean[at] + (0.5 * lv[at]).exp() * eps[at]).collect();
                log_weight += log_normal(&z, p) - log_normal(&z, q);
            }
            log_weight.exp()
        };
        let expected = (weight(0) + weight(1)).ln();
        let found = f64::from(state[0]) + f64::from(state[1]).ln();
        assert!((found - expected).abs() < 2e-5, "row {row}: {found}, not {expected}");
    }
    // Without noise every group's rate is the divergence at the means.
    let plan = session.plan(Purpose::task(EXPLAIN, BATCH)).unwrap();
    session.set_order(&[0, 1, 2, 3]).unwrap();
    let scalars = session.scalars(1, Stream::Evaluate, 0, 4);
    session.run(plan, &[scalars]).unwrap();
    let rates = session.output("rate", 4, 1).unwrap();
    let still = LATENTS.map(|width| vec![0.0; width]);
    for (row, rate) in rates.into_iter().enumerate() {
        let x: Vec<f64> = originals[row * 16..][..16].iter().map(|&v| f64::from(v)).collect();
        let expected: f64 = tensors.pass(Some(&x), &still).0.iter().map(kl).sum();
        assert!((f64::from(rate) - expected).abs() < 2e-5, "row {row}: {rate}, not {expected}");
    }
}

#[test]
fn rates_are_balanced_while_beta_rises_and_as_they_are_afterwards() {
    let mut config = configured();
    (config.objective.anneal, config.objective.anneal_epochs, config.objective.balance) = (Anneal::Linear, 2.0, true);
    let values = draw(1, 16 * COUNT).into_iter().map(|v| 0.5 + 0.5 * v).collect();
    let data = Dataset::new("grey", [1, 4, 4], Values::F32(values), None, 4, 0).unwrap();
    let mut session = Session::new(config, data, Executor::Cpu(Cpu::new(1).unwrap())).unwrap();
    let plan = session.plan(Purpose::Train).unwrap();
    for (which, range) in (2..).zip(session.ranges()) {
        let values: Vec<f32> = draw(which, range.count()).iter().map(|v| 0.7 * v).collect();
        session.executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
    }
    session.set_order(&(0..COUNT as u32).collect::<Vec<_>>()).unwrap();
    let weights = Weights::of(&session.config.objective);
    for (epochs, balances) in [(0.5, true), (2.0, false), (9.0, false)] {
        // Not all of the batch counts, and nothing is learnt.
        let scalars = session.scalars(1, Stream::Evaluate, 0, 7);
        let scalars =
            StepScalars { weights: weights.at(epochs, 1.0), lr: 0.0, correction1: 1.0, correction2: 1.0, ..scalars };
        session.run(plan, &[scalars]).unwrap();
        let names = session.executor.plan(plan).terms.clone();
        let metrics = session.read(0, &Role::Metrics, 0, names.len()).unwrap();
        let of = |name: &str| f64::from(metrics[names.iter().position(|known| known == name).expect(name)]);
        let rates = ["rate 1", "rate 2", "rate 3"].map(of);
        // Two groups of four pixels and one of a single one.
        let shares = [2.0 / 4.0, 2.0 / 4.0, 1.0].into_iter().zip(rates).map(|(scale, rate)| scale * (rate + 0.01));
        let shares: Vec<f64> = shares.collect();
        let mean = shares.iter().sum::<f64>() / 3.0;
        let balanced: f64 = rates.iter().zip(&shares).map(|(rate, share)| rate * share / mean).sum();
        let expected = if balances { balanced } else { rates.iter().sum() };
        assert!((balanced - rates.iter().sum::<f64>()).abs() > 0.05, "{rates:?} are balanced already");
        assert!((of("penalty") - expected).abs() < 1e-4 * expected, "{epochs}: {names:?} {metrics:?}, not {expected}");
        assert!((of("rate") - rates.iter().sum::<f64>()).abs() < 1e-4, "{names:?} {metrics:?}");
    }
}

#[test]
fn what_is_drawn_without_temperature_is_the_mean_on_the_way_down() {
    let mut session = session();
    let plan = session.plan(Purpose::task(SAMPLE, BATCH)).unwrap();
    session.executor.write_f32(&Role::Input(COOLING.into()), 0, &[1.0; 3]).unwrap();
    session.set_order(&[0, 1]).unwrap();
    let scalars = session.scalars(3, Stream::Prior, 0, BATCH);
    session.run(plan, &[scalars]).unwrap();
    let found = session.output("mean", 2, 16).unwrap();
    let (_, expected) = Tensors::of(&mut session).pass(None, &LATENTS.map(|width| vec![0.0; width]));
    assert!(found.chunks_exact(16).all(|found| close(found, &expected)), "{found:?}");
    // And with it no two draws are alike.
    session.executor.write_f32(&Role::Input(COOLING.into()), 0, &[0.0; 3]).unwrap();
    session.run(plan, &[scalars]).unwrap();
    let found = session.output("mean", 2, 16).unwrap();
    assert_ne!(found[..16], found[16..]);
}

/// Three groups on glyphs, the highest of a single pixel.
const TINY: &str = r#"
name = "tiny"
[data]
examples = 300
validation = 30
binarise = "dynamic"
[model]
hidden = []
hierarchy = "residual"
resolutions = ["data/4 groups 2 latent 1", "1x1 latent 2"]
encoder_layers = ["conv 4 kernel 4 stride 4"]
encoder_cell = ["silu", "conv 4 kernel 3 padding 1"]
decoder_cell = ["silu", "conv 4 kernel 3 padding 1"]
decoder_layers = ["silu", "conv-transpose out kernel 4 stride 4"]
[optimizer]
lr = 3e-3
clip_norm = 20
[train]
batch = 50
epochs = 2
"#;

fn trained() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
        elbo(folder.path(), "train --recipe tiny.toml --adapter cpu --out run").succeeded();
        folder
    });
    folder.path()
}

#[test]
fn commands_know_the_groups_of_a_hierarchy_or_refuse_it_by_name() {
    let folder = trained();
    let said = elbo(folder, "eval run --samples 20 --adapter cpu").succeeded();
    assert!(said.out.contains("by layer") && said.out.contains("of 49 + 49 + 2 latent dimensions"), "{}", said.out);
    let eval = json(folder, "eval run --samples 20");
    assert!(eval["neg_log_px"].as_f64() < eval["neg_elbo"].as_f64(), "{eval}");
    let losses = losses(&folder.join("run"));
    assert!(losses[1] < losses[0], "{losses:?}");
    for line in [
        "sample run -n 9 --out sample.png",
        "sample run -n 9 --temperature 0.5 --out cool.png",
        "reconstruct run -n 8 --out pairs.png",
        "embed run --part test --out z.csv",
        "embed run --part test --layer 3 --std --out z3.csv",
        "embed run --part test --layer all --out all.csv",
        "score run --samples 8 --out scores.csv",
        "score run --mean-field --features --out fields.csv",
        "latent run -n 40 --out map.png",
        "sample run -n 9 --temperature 0.5,0.9 --out cooler.png",
        "interpolate run --steps 3 --out between.png",
        "interpolate run --steps 3 --layer 3 --out between3.png",
        "traverse run --steps 3 --out traversal.png",
        "traverse run --steps 3 --layer 1 -n 3 --example 2 --out traversal1.png",
        "compare run",
        "report run",
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).succeeded();
    }
    let header = |file: &str| fs::read_to_string(folder.join(file)).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(header("z3.csv"), "index,label,mean_0,mean_1,std_0,std_1");
    let before = files(folder).len();
    for (line, culprit) in [
        ("sample run --ex-post gmm --adapter cpu", "elbo sample --ex-post is for models of one stochastic layer"),
        ("sample run --draw --adapter cpu", "model.resolutions"),
        ("sample run --temperature -1 --adapter cpu", "--temperature"),
        ("sample run --temperature 1,2,3,4 --adapter cpu", "of 2 resolutions, or for each of 3 groups"),
        ("decode run z.csv --out x.npy --adapter cpu", "model.resolutions"),
        ("export run --format web --out page", "model.resolutions"),
    ] {
        elbo(folder, line).failed(2, culprit);
    }
    assert_eq!(files(folder).len(), before);
}

#[test]
fn commands_tell_a_conditional_hierarchy_its_classes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("tiny.toml"), TINY.replacen("hidden = []", "hidden = []\ncondition = \"label\"", 1)).unwrap();
    elbo(folder, "train --recipe tiny.toml --adapter cpu --out run").succeeded();
    for line in [
        "eval run --samples 20",
        "sample run --class 3,7 -n 6 --out two.png",
        "sample run --class 3 -n 2 --seed 5 --out three.npy",
        "sample run --class 7 -n 2 --seed 5 --out seven.npy",
        "sample run --class 7 -n 2 --seed 5 --out again.npy",
        "reconstruct run --as-class all -n 4 --out swap.png",
        "reconstruct run --as-class 2 -n 4 --out as.png",
        "embed run --part test --layer all --out all.csv",
        "score run --samples 8 --out scores.csv",
        "interpolate run --steps 3 --class 2 --out between.png",
        "traverse run --steps 3 --class 2 --out traversal.png",
        "report run",
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).succeeded();
    }
    let read = |file: &str| fs::read(folder.join(file)).unwrap();
    assert!(read("seven.npy") == read("again.npy") && read("seven.npy") != read("three.npy"));
    elbo(folder, "sample run --class 10 --adapter cpu").failed(2, "no class `10`");
}

/// What an example is decoded as is told to all that lies below the highest latents, and its own class is what it is anyway.
#[test]
fn an_example_decoded_as_its_own_class_is_its_reconstruction() {
    let mut config = configured();
    config.model.condition = elbo::config::Condition::Label;
    let values = draw(1, 16 * COUNT).into_iter().map(|v| 0.5 + 0.5 * v).collect();
    let labels = (0..COUNT as u32).map(|at| at % 3).collect();
    let data = Dataset::new("grey", [1, 4, 4], Values::F32(values), Some(labels), 4, 0).unwrap();
    let mut session = Session::new(config, data, Executor::Cpu(Cpu::new(1).unwrap())).unwrap();
    session.plan(Purpose::task(EVALUATE, BATCH)).unwrap();
    let classes = session.ranges().into_iter().find(|range| range.name == "decoder3.classes.0").unwrap();
    assert_eq!(classes.shape, [4, 3]);
    for (which, range) in (2..).zip(session.ranges()) {
        let values: Vec<f32> = draw(which, range.count()).iter().map(|v| 0.7 * v).collect();
        session.executor.write_f32(&Role::Parameters, range.offset, &values).unwrap();
    }
    let examples = [1, 4, 7];
    let (_, own) = session.reconstruct(&examples, None, 0).unwrap();
    let (_, same) = session.reconstruct(&examples, Some(1), 0).unwrap();
    let (_, other) = session.reconstruct(&examples, Some(2), 0).unwrap();
    assert!(own == same && own != other);
}

#[test]
fn a_step_that_takes_more_memory_than_there_is_is_refused_with_the_batch_that_fits() {
    let planned = |batch: usize, checkpointing: bool, most: u64| {
        let mut config = configured();
        (config.train.batch, config.train.checkpointing) = (batch, checkpointing);
        let values = draw(1, 16 * COUNT).into_iter().map(|v| 0.5 + 0.5 * v).collect();
        let data = Dataset::new("grey", [1, 4, 4], Values::F32(values), None, 4, 0).unwrap();
        let mut cpu = Cpu::new(1).unwrap();
        cpu.limit_memory(most);
        let mut session = Session::new(config, data, Executor::Cpu(cpu)).unwrap();
        session.plan(Purpose::Train).map(|id| session.executor.plan(id).bytes())
    };
    let all = planned(400, false, u64::MAX).unwrap();
    let less = planned(400, true, u64::MAX).unwrap();
    assert!(10 * less < 9 * all, "{less} of {all} bytes");
    let error = planned(400, false, all - 1).unwrap_err();
    let text = error.to_string();
    assert!(
        error.exit_code() == 5 && !text.contains('\n') && text.contains("set train.checkpointing = true"),
        "{text}"
    );
    let batch = text.split("lower train.batch from 400 to ").nth(1).and_then(|rest| rest.split(' ').next());
    let batch: usize = batch.and_then(|batch| batch.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert!((390..400).contains(&batch), "{text}");
    assert!(planned(batch, false, all - 1).is_ok() && planned(400, true, all - 1).is_ok());
    let text = planned(400, true, less / 2).unwrap_err().to_string();
    assert!(text.contains("lower train.batch from 400 to ") && !text.contains("checkpointing"), "{text}");
    let text = planned(400, false, 100).unwrap_err().to_string();
    assert!(text.ends_with("make the model smaller"), "{text}");
}

#[test]
fn a_hierarchy_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("tiny.toml"), TINY).unwrap();
    for line in [
        "train --recipe tiny.toml --adapter cpu --out whole",
        "train --recipe tiny.toml --epochs 1 --adapter cpu --out parts",
        "train --resume parts --epochs 2 --adapter cpu",
    ] {
        elbo(folder, line).succeeded();
    }
    let parameters =
        |run: &str| fs::read(checkpoint(&folder.join(run), "last").join("parameters.safetensors")).unwrap();
    assert_eq!(parameters("parts"), parameters("whole"));
}

#[test]
fn hierarchies_that_do_not_fit_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (from, to, culprit) in [
        ("data/4 groups 2", "data/5 groups 2", "model.resolutions[0] wants data whose sides are multiples of 5"),
        (
            "data/4 groups 2",
            "9x9 groups 2",
            "model.resolutions[0] wants images of 9x9, and model.encoder_layers end with 7x7x4",
        ),
        ("1x1 latent 2", "3x3 latent 2", "model.resolutions[1] has 3x3 pixels and the resolution below it 7x7"),
        ("1x1 latent 2", "1x1", "model.resolutions[1] `1x1` is not allowed"),
        ("groups 2 latent", "groups 64 latent", "64 groups in all at most"),
        ("encoder_cell = [\"silu\", \"conv 4", "encoder_cell = [\"silu\", \"conv 5", "model.encoder_cell adds 7x7x5"),
        ("encoder_cell = [\"silu\", \"conv 4 kernel 3 padding 1\"]", "encoder_cell = []", "model.encoder_cell = []"),
        ("hierarchy = \"residual\"", "hierarchy = \"ladder\"", "model.resolutions"),
        ("hidden = []", "hidden = []\ncondition = \"inferred\"", "model.condition = inferred"),
        ("hidden = []", "hidden = []\nabove = [\"4-2\"]", "model.above"),
        ("[optimizer]", "[objective]\nbalance = true\n[optimizer]", "objective.balance = true"),
        ("[optimizer]", "[optimizer]\nskip_norm = -1", "optimizer.skip_norm = -1"),
        ("hidden = []", "hidden = []\nprior = \"vamp\"", "model.resolutions"),
        ("hidden = []", "hidden = []\nposterior = \"iaf\"", "model.resolutions"),
    ] {
        assert!(TINY.contains(from), "{from}");
        fs::write(path.join("tiny.toml"), TINY.replacen(from, to, 1)).unwrap();
        elbo(path, "train --recipe tiny.toml --adapter cpu").failed(2, culprit);
        assert_eq!(fs::read_dir(path).unwrap().count(), 1, "{to}");
    }
}
