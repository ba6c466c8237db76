//! Whole runs of the program: that losses fall as they should, and alike on every device.

use crate::program::elbo;
use crate::support::adapters;
use elbo::config::RECIPES;
use std::fs;
use std::io::Write;
use std::path::Path;

/// The columns `distortion` and `rate` of a run's metrics, epoch by epoch.
fn metrics(run: &Path) -> Vec<[f64; 2]> {
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let number = |cell: Option<&str>| cell.unwrap().parse().unwrap();
    let row = |line: &str| {
        let mut cells = line.split(',').skip(1);
        [number(cells.next()), number(cells.next())]
    };
    text.lines().skip(1).map(row).collect()
}

/// Trains in a new folder and gives the metrics.
fn curve(arguments: &str) -> Vec<[f64; 2]> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("images.toml"), IMAGES).unwrap();
    fs::write(folder.path().join("blocks.toml"), BLOCKS).unwrap();
    elbo(folder.path(), &format!("train --out run {arguments}")).succeeded();
    metrics(&folder.path().join("run"))
}

/// A small network of convolutions.
const IMAGES: &str = r#"
[model]
hidden = []
encoder_layers = ["conv 4 kernel 4 stride 4", "relu", "conv 6 kernel 3 stride 2 padding 1", "silu"]
decoder_layers = ["dense data/4x6", "tanh", "conv 5 kernel 3 padding 1", "relu", "conv-transpose out kernel 4 stride 4"]
"#;

/// A small network of what surrounds convolutions.
const BLOCKS: &str = r#"
[model]
hidden = []
encoder_layers = [
    "conv 4 kernel 4 stride 4", "residual {", "group-norm 2", "silu", "dropout 0.1", "conv 4 kernel 3 padding 1", "}",
    "residual conv 6 kernel 1 {", "layer-norm", "relu", "conv 6 kernel 3 padding 1", "}", "avg-pool 3 stride 2", "dense 16",
    "layer-norm", "relu",
]
decoder_layers = [
    { dense = "data/4x6" },
    { residual = [{ group-norm = 3 }, "silu", { dropout = 0.2 }, { conv = 6, kernel = 3, padding = 1 }] },
    { upsample = 4 },
    { conv = "out", kernel = 3, padding = 1 },
]
"#;

/// Set-ups that take every likelihood and every update rule once, convolutions with what surrounds
/// them, classes, and stochastic layers.
const SETTINGS: [&str; 12] = [
    "--recipe images.toml",
    "--recipe blocks.toml",
    "--recipe images.toml --set likelihood=logistic-mixture --set components=2",
    "--recipe images.toml --set likelihood=logistic-mixture --set components=2 --set scales=shared",
    "--recipe gaussian --set model.likelihood=gaussian-shared --set hidden=[24] --set validation=0",
    "--recipe classic --set hidden=[24]",
    "--recipe binary --set hidden=[24,16] --set validation=0",
    "--recipe conditional --set hidden=[24]",
    "--recipe iwae2 --set hidden=[24] --set above=[12-6,4] --set validation=0",
    "--recipe ladder --set hidden=[24] --set above=[12-6,4] --set anneal=none",
    "--recipe gaussian-learned --set hidden=[24] --set activation=gelu --set optimizer.kind=adamw --set validation=0",
    "--recipe gaussian --set hidden=[24] --set optimizer.kind=sgd --lr 1e-5 --set momentum=0.9 --set validation=0",
];

/// Rounding differs between devices, and the steps of training carry it on: a thousandth is ten times what is seen,
/// and a hundredth of what another seed makes.
const TOLERANCE: f64 = 1e-3;

#[test]
fn training_runs_the_same_course_on_the_cpu_engine_and_on_every_adapter() {
    let devices = adapters(true).len();
    for settings in SETTINGS {
        let common = format!("{settings} --set data.examples=200 --latent 3 --batch 64 --epochs 2 --seed 4");
        let expected = curve(&format!("{common} --adapter cpu"));
        assert_eq!(expected.len(), 2);
        for device in 0..devices {
            let found = curve(&format!("{common} --adapter {device}"));
            for (epoch, (e, f)) in expected.iter().zip(&found).enumerate() {
                let scale = e[0].abs() + e[1].abs();
                let error = (e[0] - f[0]).abs().max((e[1] - f[1]).abs()) / scale;
                assert!(error < TOLERANCE, "{settings}, adapter {device}, epoch {epoch}: {f:?} instead of {e:?}");
            }
        }
    }
}

/// Trains a recipe on so many glyphs. The loss must fall by so many nats from the first epoch to the last.
fn recipe_trains(name: &str, examples: usize, epochs: usize, least: f64, adapter: &str, settings: &str) {
    let curve = curve(&format!(
        "--recipe {name} --set data.examples={examples} --set validation=0 --batch 50 --epochs {epochs} --adapter {adapter} {settings}"
    ));
    let [first, last] = [curve[0], curve[epochs - 1]].map(|[distortion, rate]| distortion + rate);
    assert!(last < first - least, "{name} on {adapter}: the loss went from {first} to {last}");
}

/// The recipes that glyphs are data for, and whether they have convolutions. Glyphs are neither a table nor counts or
/// categories: those recipes have tests in `tables.rs`, `likelihoods.rs`, `recommend.rs`, `sequences.rs` and `categories.rs`. What a
/// VAE-GAN minimises is not −ELBO: `players.rs` has it.
fn of_glyphs() -> impl Iterator<Item = (&'static str, bool)> {
    let others = [
        "table",
        "counts",
        "cells",
        "recommend",
        "categories",
        "codes-prior",
        "text",
        "smiles",
        "music",
        "vae-gan",
        "vae-gan-colour",
    ];
    let all = RECIPES.iter().filter(move |(name, ..)| !others.contains(name));
    all.map(|(name, text, _)| (*name, text.contains("encoder_layers")))
}

#[test]
fn every_recipe_that_comes_with_the_program_trains() {
    for (name, convolutions) in of_glyphs() {
        // A step of convolutions takes longer, and changes more. The smallest fall seen is over 16 nats, but for categories, which
        // begin all but even (over 10), and `iwae`, whose second moment starts at 1 so that the first hundreds of updates are
        // small (3).
        let examples = if convolutions { 400 } else { 1200 };
        // Its rate weighs nothing at first, and a step is a hundred times those of others: nine of them make it 20 nats less.
        let (examples, settings) =
            if name == "nvae" { (150, "--set anneal=none --set balance=false") } else { (examples, "") };
        recipe_trains(name, examples, 3, if name == "iwae" { 1.5 } else { 8.0 }, "cpu", settings);
    }
}

#[test]
fn every_recipe_without_convolutions_trains_on_every_adapter() {
    for device in 0..adapters(true).len() {
        // Of convolutions this wide a software driver takes seconds a step: small networks of them are trained above. Dense ones
        // are narrow here, for its time, and learn fast, since there are thirty steps: the smallest falls seen are 16 nats, 6.3 of
        // `m2`, 3.4 of categories and 3.0 of `iwae`. Other priors and posteriors have tests on every adapter of their own, and what
        // runs the same course on an adapter as on the CPU engine, as above, has the same falls.
        let parts = ["vamp", "mixture-prior", "flow-prior", "energy-prior", "iaf"];
        let above = |name: &str| SETTINGS.iter().any(|settings| settings.starts_with(&format!("--recipe {name} ")));
        for (name, _) in
            of_glyphs().filter(|(name, convolutions)| !convolutions && !parts.contains(name) && !above(name))
        {
            let least = match name {
                "categorical" | "iwae" => 1.5,
                "m2" => 3.0,
                _ => 5.0,
            };
            let narrow = "--set hidden=[64] --set lr=5e-3";
            recipe_trains(name, 600, 3, least, &device.to_string(), narrow);
        }
    }
}

#[test]
fn an_epoch_of_mnist_is_worth_what_it_should_be() {
    let Some(shared) = std::env::var_os("ELBO_SHARED") else {
        // Not by a macro: the output of those is hidden where a test passes.
        let _ = writeln!(std::io::stderr(), "ELBO_SHARED is not set: an epoch of MNIST is skipped");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mnist = fs::canonicalize(shared).unwrap().join("data/mnist");
    let arguments = format!("train --data {} --recipe classic --epochs 1 --adapter cpu --out run", mnist.display());
    let said = elbo(folder.path(), &arguments).succeeded();
    let loss = said.out.split("-ELBO ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    // Seeds give 125 to 127 nats; PyTorch's example is in the same place after its first epoch.
    let loss: f64 = loss.parse().unwrap();
    assert!((124.0..128.5).contains(&loss), "test -ELBO {loss}");
}
