//! Models that leave the house compute elsewhere what they compute at home, and those that come in do likewise.

mod card;
mod codes;
mod evaluator;
mod hierarchy;
mod inferred;
mod sequence;

use crate::program::{content, elbo, trained};
use bytemuck::Zeroable;
use elbo::checkpoint::{Checkpoint, DataRecord, Progress, Tensor, load_latest};
use elbo::config::{Condition, Domain, Likelihood, ModelConfig, Posterior, Prior, RECIPES, resolve};
use elbo::data::table::{Column, ColumnKind, Encoding};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::interop;
use elbo::kernels::StepScalars;
use elbo::model::likelihood;
use elbo::model::network::batch_norm::RUNNING;
use elbo::plan::{Resident, Role, Target, lower};
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROWS: usize = 5;

/// What exported files may be off by, as the largest difference of any number that they put out, or the
/// largest share of one above 1.
const TOLERANCE: f64 = 1e-5;

/// A set-up: its name, settings (the recipe among them, where there is one), the shape of an example.
pub type SetUp = (String, Vec<(String, String)>, [usize; 3]);

/// Numbers in units of their own, as a table has them.
fn encoding(width: usize) -> Encoding {
    let column = |at: usize| {
        let kind = ColumnKind::Numeric { shift: at as f64 - 3.0, scale: 0.25 * (at + 1) as f64 };
        Column { name: at.to_string(), kind }
    };
    Encoding { columns: (0..width).map(column).collect(), range: [-3.0, 9.0], array: None }
}

/// Numbers as they are, of which some are missing.
fn plain(width: usize) -> Encoding {
    let columns = (0..width).map(|at| Column { name: at.to_string(), kind: ColumnKind::PLAIN });
    Encoding { columns: columns.collect(), range: [0.0, 1.0], array: None }
}

/// Columns of every type, in nine places.
fn mixed() -> Encoding {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let kinds = [
        ColumnKind::Numeric { shift: 3.0, scale: 0.5 },
        ColumnKind::Category { levels: words(&["blue", "green", "red"]) },
        ColumnKind::Count,
        ColumnKind::Text { distinct: 9, example: "Ann".into() },
        ColumnKind::Binary { levels: ["no".into(), "yes".into()] },
        ColumnKind::Numeric { shift: -1.0, scale: 2.0 },
        ColumnKind::Category { levels: words(&["a", "b"]) },
    ];
    let columns = kinds.into_iter().enumerate().map(|(at, kind)| Column { name: at.to_string(), kind });
    Encoding { columns: columns.collect(), range: [0.0, 4.0], array: None }
}

/// Columns of categories, in ten places: two neighbours have as many levels.
fn words_only() -> Encoding {
    let kind =
        |levels: &[&str]| ColumnKind::Category { levels: levels.iter().map(|&level| level.to_owned()).collect() };
    let kinds = [kind(&["a", "b"]), kind(&["a", "b", "c"]), kind(&["d", "e", "f"]), kind(&["g", "h"])];
    let columns = kinds.into_iter().enumerate().map(|(at, kind)| Column { name: at.to_string(), kind });
    Encoding { columns: columns.collect(), range: [0.0, 1.0], array: None }
}

/// Whether pages for browsers show such a model: latents that are numbers, examples as they are and no text, no classifier beside
/// them, and draws that are no chains.
pub fn is_shown(model: &ModelConfig) -> bool {
    let numbers = model.codes == 0 && model.categories.is_empty() && model.prior_codes == 0 && !model.normalise_input;
    let plain = model.likelihood != Likelihood::Tokens && model.prior != Prior::Energy;
    numbers && plain && model.condition != Condition::Inferred
}

/// Every recipe as it is but those that are not exported (codes, classes that are inferred, several stochastic layers, another prior than N(0, 1), another
/// posterior than a normal one), and every non-linearity and likelihood in a small network.
pub fn set_ups() -> Vec<SetUp> {
    let mut all: Vec<_> = RECIPES
        .iter()
        .filter(|(name, ..)| {
            let model = resolve(Some(name), &[]).expect("a recipe is valid").model;
            is_shown(&model)
                && model.above.is_empty()
                && model.resolutions.is_empty()
                && model.prior == Prior::Standard
                && model.posterior == Posterior::Gaussian
        })
        .map(|(name, ..)| {
            let shape = if *name == "categories" { [1, 1, 12 * 3] } else { [1, 28, 28] };
            ((*name).to_owned(), vec![("recipe".into(), (*name).into())], shape)
        })
        .collect();
    for activation in ["identity", "relu", "tanh", "sigmoid", "silu", "gelu", "gelu-erf", "softplus"] {
        for likelihood in ["bernoulli", "gaussian", "gaussian-learned"] {
            let settings = [
                ("model.activation", activation),
                ("model.likelihood", likelihood),
                ("model.hidden", "[12,9]"),
                ("model.decoder", "[7]"),
                ("model.latent", "3"),
                ("model.log_variance", "[-0.3,0.2]"),
            ];
            let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
            all.push((format!("{activation}-{likelihood}"), settings.clone(), [1, 1, 11]));
            if activation == "tanh" && likelihood != "bernoulli" {
                all.push((format!("scaled-{likelihood}"), settings, [1, 1, 11]));
            }
        }
    }
    let settings = [
        ("model.likelihood", "heterogeneous"),
        ("model.hidden", "[12,9]"),
        ("model.latent", "3"),
        ("model.log_variance", "[-0.3,0.2]"),
    ];
    // Categories of an array, in a list of layers so that the card's lines are followed; and of a table.
    let layers = [("model.hidden", "[]"), ("model.encoder_layers", "[dense 9, tanh]"), ("model.latent", "3")];
    let mut layers = layers.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    layers.push(("model.likelihood".into(), "categorical".into()));
    all.push(("categories-layers".into(), layers, [1, 1, 12 * 3]));
    let small = [("model.likelihood", "categorical"), ("model.hidden", "[9]"), ("model.latent", "3")];
    all.push(("words".into(), small.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(), [1, 1, 10]));
    // The class joins numbers, and what was an image.
    for (name, encoder, shape) in
        [("told", "[dense 9, tanh]", [1, 1, 11]), ("told-images", "[conv 4 kernel 3, silu]", [2, 5, 4])]
    {
        let settings = [
            ("model.hidden", "[]"),
            ("model.encoder_layers", encoder),
            ("model.decoder", "[7]"),
            ("model.latent", "3"),
            ("model.condition", "label"),
        ];
        all.push((name.into(), settings.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(), shape));
    }
    // Images between all kinds of layers, colour on both sides, a pixel that is added.
    let layers = [
        ("model.hidden", "[]"),
        (
            "model.encoder_layers",
            "[conv 4 kernel 3 stride 2 padding 1, silu, conv 3 kernel 2, dense 9, dense 2x2x3, conv 5 kernel 1]",
        ),
        (
            "model.decoder_layers",
            "[dense 2x3x4, tanh, conv 6 kernel 3 padding 2, dense data/2x3, conv-transpose out kernel 3 stride 2 padding 1 output-padding 1]",
        ),
        ("model.latent", "3"),
        ("model.log_variance", "[-0.3,0.2]"),
    ];
    for likelihood in
        ["gaussian-shared", "laplace", "poisson", "negative-binomial", "zero-inflated-negative-binomial", "multinomial"]
    {
        let small = [("model.likelihood", likelihood), ("model.hidden", "[12,9]"), ("model.latent", "3")];
        let small = small.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        all.push((likelihood.to_owned(), small.clone(), [1, 1, 11]));
        all.push((format!("holed-{likelihood}"), small, [1, 1, 11]));
    }
    for likelihood in ["poisson", "negative-binomial", "zero-inflated-negative-binomial"] {
        let of_library = [
            ("model.likelihood", likelihood),
            ("model.library_size", "observed"),
            ("model.hidden", "[12,9]"),
            ("model.latent", "3"),
        ];
        let of_library = of_library.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        all.push((format!("library-{likelihood}"), of_library, [1, 1, 11]));
    }
    for likelihood in ["bernoulli", "gaussian", "gaussian-learned", "logistic-mixture"] {
        let mut settings = layers.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        settings.push(("model.likelihood".into(), likelihood.into()));
        all.push((format!("grey-images-{likelihood}"), settings.clone(), [1, 6, 8]));
        all.push((format!("colour-images-{likelihood}"), settings.clone(), [3, 6, 8]));
        if likelihood == "logistic-mixture" {
            all.push((format!("holed-{likelihood}"), settings.clone(), [3, 6, 8]));
            settings.push(("model.scales".into(), "shared".into()));
            all.push((format!("shared-{likelihood}"), settings, [3, 6, 8]));
        }
    }
    // Blocks, normalisation and pixels, of what lies in every way: data, images, numbers, an image of one pixel.
    let blocks = [
        "residual conv 4 kernel 1 {, layer-norm, batch-norm, leaky-relu 0.2, conv 4 kernel 3 padding 1, }, avg-pool 2, group-norm 2, residual {, \
         dropout 0.5, tanh, }, avg-pool 3, group-norm 2, dense 6, layer-norm, batch-norm, residual {, dense 6, relu, }, group-norm 3",
        "residual {, layer-norm, dense 3, }, dense 2x2x4, batch-norm, residual conv 4 kernel 1 {, conv 4 kernel 3 padding 1, \
         }, upsample 3, residual {, group-norm 4, leaky-relu, }, conv-transpose out kernel 3 stride 1 padding 1",
    ];
    for channels in [1, 3] {
        let settings = [
            ("model.hidden", "[]".to_owned()),
            ("model.encoder_layers", format!("[{}]", blocks[0])),
            ("model.decoder_layers", format!("[{}]", blocks[1])),
            ("model.latent", "3".to_owned()),
        ];
        all.push((format!("blocks-{channels}"), settings.map(|(k, v)| (k.to_owned(), v)).to_vec(), [channels, 6, 6]));
    }
    // Blocks within blocks, repeated ones and named ones.
    let nested = [
        ("model.hidden", "[]"),
        (
            "model.encoder_layers",
            "[{ conv = 4, kernel = 3, padding = 1 }, { name = \"down\", repeat = 2, residual = [\"silu\", { residual = [\"tanh\", \
             { conv = 4, kernel = 3, padding = 1 }], skip = { conv = 4, kernel = 1 } }] }, { avg-pool = 2 }]",
        ),
        (
            "model.decoder_layers",
            "[{ dense = \"data/2x3\" }, { residual = [\"silu\", { residual = [\"tanh\", { conv = 3, kernel = 1 }] }] }, \
             { upsample = 2 }, { name = \"end\", layers = [\"silu\", { conv = \"out\", kernel = 3, padding = 1 }] }]",
        ),
        ("model.latent", "3"),
    ];
    all.push(("nested".into(), nested.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(), [2, 6, 4]));
    // Colour that a dense layer reads within a block, and what the block ends with.
    let dense = [
        ("model.hidden", "[]"),
        ("model.encoder_layers", "[residual {, dense 2x4x3, tanh, }]"),
        ("model.decoder_layers", "[dense out]"),
        ("model.latent", "3"),
    ];
    all.push(("dense-block".into(), dense.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(), [3, 2, 4]));
    let normed = [("model.hidden", "[7,6]"), ("model.norm", "batch"), ("model.latent", "3")];
    all.push(("normed".into(), normed.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(), [1, 1, 9]));
    all.push(("mixed".into(), settings.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(), [1, 1, 9]));
    all
}

/// A model of which nothing is known but its set-up: parameters are random, large enough for non-linearities to matter.
pub fn checkpoint(name: &str, mut settings: Vec<(String, String)>, shape: [usize; 3]) -> Checkpoint {
    let recipe = settings.iter().position(|(key, _)| key == "recipe").map(|at| settings.remove(at).1);
    let config = resolve(recipe.as_deref(), &settings).unwrap();
    let encoding = match name {
        "mixed" => Some(mixed()),
        "words" => Some(words_only()),
        name if name.starts_with("categories") => {
            Some(Encoding::alike(&[3, 4], &ColumnKind::Numbered { categories: 3 }))
        }
        name if name.starts_with("holed") => Some(plain(shape.iter().product())),
        name => name.starts_with("scaled").then(|| encoding(shape.iter().product())),
    };
    let classes = (config.model.condition != Condition::None).then(|| ["a", "b", "c"].map(str::to_owned).to_vec());
    let (source, hash) = ("random".into(), "0".into());
    let data = DataRecord {
        name: source,
        shape,
        floats: true,
        bits: None,
        hash,
        encoding,
        text: None,
        classes,
        of_classes: None,
        decimals: vec![],
        items: None,
        missing: None,
    };
    let progress = Progress {
        folder: None,
        epoch: 3,
        step: 30,
        step_in_epoch: 0,
        sums: vec![],
        best: None,
        best_epoch: None,
        elapsed_seconds: 1.0,
        adapter: "none".into(),
        data,
        tuning: elbo::plan::tuning::Tuning::default(),
        course: elbo::checkpoint::TrainerState::default(),
    };
    let mut checkpoint = Checkpoint { parameters: vec![], moments: vec![], progress, config };
    let mut rng = Philox::new(3, Stream::Choice, 9, 0);
    // Blocks that add to what is nowhere normalised double it with this gain, each of them, and its rounding too; so do flows.
    // Several stochastic layers have the exponential of one in the next.
    let deep = checkpoint.config.model.is_deep().is_some();
    let gain = if deep || ["residual", "nested", "flow-prior"].contains(&name) { 1.0 } else { 2.0 };
    for parameter in interop::model(&checkpoint).unwrap().parameters() {
        let shape = parameter.shape.extents().to_vec();
        let scale = gain / (shape[0] as f32).sqrt();
        let mut values: Vec<f32> = (0..parameter.shape.count()).map(|_| scale * rng.normal()).collect();
        if parameter.name.starts_with(RUNNING) {
            // Variances are positive, and no number is far from a mean.
            values.iter_mut().skip(shape[1]).for_each(|variance| *variance = variance.abs() + 0.5);
        }
        checkpoint.parameters.push((parameter.name, Tensor { shape, values }));
    }
    checkpoint
}

/// Random examples: zeros and ones where the set-up binarises at random, since files have no chance; levels and counts where
/// the likelihood takes nothing else.
pub fn examples(checkpoint: &Checkpoint) -> Vec<f32> {
    let width: usize = checkpoint.progress.data.shape.iter().product();
    let mut rng = Philox::new(5, Stream::Choice, 1, 0);
    let dynamic = checkpoint.config.data.binarise == elbo::config::Binarise::Dynamic;
    let mut x: Vec<f32> =
        (0..ROWS * width).map(|_| rng.uniform()).map(|x| if dynamic { x.round() } else { x }).collect();
    match checkpoint.config.model.likelihood {
        Likelihood::LogisticMixture => x.iter_mut().for_each(|x| *x = (255.0 * *x).round() / 255.0),
        _ if checkpoint.config.model.likelihood.domain() == Domain::Counts => {
            for x in &mut x {
                *x = (9.0 * *x).floor();
            }
        }
        Likelihood::Categorical => {
            let spans = checkpoint.progress.data.encoding.as_ref().unwrap().spans();
            for (row, x) in x.chunks_exact_mut(width).enumerate() {
                x.fill(0.0);
                for span in &spans {
                    x[span.start + (row + span.start) % span.len()] = 1.0;
                }
                // One value of each is missing.
                x[spans[row % spans.len()].clone()].fill(f32::NAN);
            }
        }
        _ => {}
    }
    if checkpoint.progress.data.encoding.as_ref().is_some_and(Encoding::is_plain) {
        x.iter_mut().skip(2).step_by(5).for_each(|x| *x = f32::NAN);
    }
    if checkpoint.progress.data.encoding == Some(mixed()) {
        // A number, a category and a count are missing.
        for at in [0, 10, 11, 12, 22] {
            x[at] = f32::NAN;
        }
    }
    x
}

/// The classes of the examples, where the model is told them.
fn classes(checkpoint: &Checkpoint) -> Vec<u32> {
    let count = interop::model(checkpoint).unwrap().classes as u32;
    if count == 0 { vec![] } else { (0..ROWS as u32).map(|row| (row + 1) % count).collect() }
}

/// The same as ones among zeros, as files are told them.
fn told(checkpoint: &Checkpoint) -> Vec<f32> {
    let count = interop::model(checkpoint).unwrap().classes as u32;
    let row = |class: u32| (0..count).map(move |other| f32::from(u8::from(other == class)));
    classes(checkpoint).into_iter().flat_map(row).collect()
}

/// What the program itself makes of examples and of latents, by the names of networks and outputs.
fn expected(checkpoint: &Checkpoint, x: &[f32]) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let mut run = Run::new(checkpoint, Executor::Cpu(Cpu::new(2).unwrap())).unwrap();
    let classes = classes(checkpoint);
    let posterior = run.given(&classes).encode(x).unwrap();
    let z = posterior.means.clone();
    let outputs = [
        ("encoder.mean", posterior.means),
        ("encoder.log_variance", posterior.log_variances),
        ("decoder.mean", run.given(&classes).decode(&z).unwrap()),
    ];
    (z, outputs.map(|(name, values)| (name.to_owned(), values)).into())
}

fn assert_near(what: &str, expected: &[f32], found: &[f64]) {
    assert_eq!(expected.len(), found.len(), "{what}");
    // What is larger than 1 is off by a share of it. Means of counts are exponentials: where a probability may be off by the
    // tolerance, its logit may by four times as much, and so may their exponents.
    let scale = |e: f64| if e > 1.0 { 4.0 * e } else { 1.0 };
    let differences = expected.iter().zip(found).map(|(&e, &f)| (f64::from(e) - f).abs() / scale(f64::from(e)));
    let largest = differences.fold(0.0, f64::max);
    assert!(largest <= TOLERANCE, "{what}: {largest:.1e} off");
}

/// The log-variances that a decoder gives, by the formula, from the exported tensors: the program itself shows them to
/// nobody.
fn decoded_log_variances(checkpoint: &Checkpoint, z: &[f32]) -> Vec<f32> {
    let graph = interop::model(checkpoint).unwrap().decode(ROWS).unwrap();
    let resident = Resident { data_words: 4, window: 0, order_words: 4, metric_slots: 1 };
    let plan = lower("decode", graph, None, resident, Target::Cpu).unwrap();
    let mut executor = Executor::Cpu(Cpu::new(1).unwrap());
    let id = executor.load(plan).unwrap();
    for range in executor.plan(id).parameters.clone() {
        let (_, tensor) = checkpoint.parameters.iter().find(|(name, _)| *name == range.name).unwrap();
        executor.write_f32(&Role::Parameters, range.offset, &tensor.values).unwrap();
    }
    executor.write_f32(&Role::Input("z".into()), 0, z).unwrap();
    executor.run(id, &[StepScalars { rows: ROWS as u32, ..StepScalars::zeroed() }]).unwrap();
    let model = interop::model(checkpoint).unwrap();
    let (width, wide) = (model.width, model.mean_width());
    let out = executor.read_f32(&Role::Output("mean".into()), 0, ROWS * wide).unwrap();
    let [low, high] = checkpoint.config.model.log_variance;
    // Of every value, or of the numeric columns.
    let places: Vec<usize> = match &model.columns {
        Some(columns) => {
            columns.spans().into_iter().filter(|(.., lv)| lv.is_some()).map(|(_, span, _)| span.start).collect()
        }
        None => (0..width).collect(),
    };
    let fitted = checkpoint.progress.data.encoding.as_ref().map(Encoding::fitted);
    let scale = |at: usize| fitted.as_ref().map_or(0.0, |fitted| 2.0 * fitted[at][1].ln() as f32);
    let row = |row: &[f32]| -> Vec<f32> {
        row[width..].iter().zip(&places).map(|(lv, &at)| lv.clamp(low, high) + scale(at)).collect()
    };
    out.chunks_exact(wide).flat_map(row).collect()
}

/// What the decoder's file puts out beside the mean, by what the decoder's mean is of it: from that mean, in f64. A logit
/// is given up to what all categories of a value share.
fn check_natural(name: &str, checkpoint: &Checkpoint, found: &mut BTreeMap<String, Vec<f64>>) {
    let Some(output) = likelihood::of(checkpoint.config.model.likelihood).outside.natural.map(|natural| natural.name)
    else {
        return;
    };
    let natural = found.remove(&format!("decoder.{output}")).unwrap_or_else(|| panic!("{name} has no {output}"));
    let mean = &found["decoder.mean"];
    let encoding = checkpoint.progress.data.encoding.clone();
    let apart = |kinds: &[&str]| -> Vec<bool> {
        let columns = encoding.as_ref().map_or(vec![], |encoding| encoding.columns.clone());
        let of = columns.iter().flat_map(|column| vec![kinds.contains(&column.kind.name()); column.kind.width()]);
        // Where nothing is known of columns, they are numbers.
        let width = checkpoint.progress.data.shape.iter().product();
        if columns.is_empty() { vec![kinds == ["numeric"]; width] } else { of.collect() }
    };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let same = |found: f64, expected: f64| (found - expected).abs() <= 1e-5 * expected.abs().max(1.0);
    match checkpoint.config.model.likelihood {
        Likelihood::Bernoulli => {
            assert!(natural.iter().zip(mean).all(|(&logit, &mean)| same(sigmoid(logit), mean)), "{name}");
        }
        Likelihood::ZeroInflatedNegativeBinomial => {
            let width: usize = checkpoint.progress.data.shape.iter().product();
            for (natural, mean) in natural.chunks_exact(2 * width).zip(mean.chunks_exact(width)) {
                let of = |at: usize| natural[at].exp() * sigmoid(-natural[width + at]);
                assert!((0..width).all(|at| same(of(at), mean[at])), "{name}");
            }
        }
        Likelihood::Poisson | Likelihood::NegativeBinomial => {
            assert!(natural.iter().zip(mean).all(|(&log, &mean)| same(log.exp(), mean)), "{name}");
        }
        Likelihood::Categorical => {
            let spans = encoding.unwrap().spans();
            let width = spans.last().unwrap().end;
            for (logits, means) in natural.chunks_exact(width).zip(mean.chunks_exact(width)) {
                for span in &spans {
                    let sum: f64 = logits[span.clone()].iter().map(|x| x.exp()).sum();
                    assert!(span.clone().all(|at| same(logits[at].exp() / sum, means[at])), "{name}");
                }
            }
        }
        Likelihood::Heterogeneous => {
            let [numbers, binary, counts] = [&["numeric"][..], &["binary"], &["count"]].map(apart);
            let width = numbers.len();
            for (at, (&raw, &mean)) in natural.iter().zip(mean).enumerate() {
                let fits = match at % width {
                    at if numbers[at] => same(raw, mean),
                    at if binary[at] => same(sigmoid(raw), mean),
                    at if counts[at] => same(raw.exp(), mean),
                    _ => true,
                };
                assert!(fits, "{name}: {raw} and {mean} in place {at}");
            }
        }
        Likelihood::Multinomial => {
            let width = natural.len() / ROWS;
            for (logits, means) in natural.chunks_exact(width).zip(mean.chunks_exact(width)) {
                let sum: f64 = logits.iter().map(|x| x.exp()).sum();
                assert!(logits.iter().zip(means).all(|(&logit, &mean)| same(logit.exp() / sum, mean)), "{name}");
            }
        }
        _ => assert_eq!(natural.len(), ROWS * interop::onnx::natural_width(checkpoint).unwrap(), "{name}"),
    }
}

/// What all outputs of the two files must be.
fn outputs(checkpoint: &Checkpoint, x: &[f32]) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let (z, mut all) = expected(checkpoint, x);
    if interop::onnx::variances(checkpoint).unwrap() > 0 {
        all.insert("decoder.log_variance".into(), decoded_log_variances(checkpoint, &z));
    }
    (z, all)
}

fn file<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    &files.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn exported_networks_compute_what_the_program_computes() {
    for (name, settings, shape) in set_ups() {
        let checkpoint = checkpoint(&name, settings, shape);
        let files = interop::onnx(&checkpoint, Path::new("run")).unwrap();
        let x = examples(&checkpoint);
        let (z, expected) = outputs(&checkpoint, &x);
        let mut found = BTreeMap::new();
        for (network, input) in [("encoder", &x), ("decoder", &z)] {
            let bytes = file(&files, &format!("{network}.onnx"));
            assert_eq!(evaluator::versions(bytes), (17, 8), "{name}");
            let made = evaluator::run(bytes, &[input, &told(&checkpoint)]);
            found.extend(made.into_iter().map(|(output, values)| (format!("{network}.{output}"), values)));
        }
        check_natural(&name, &checkpoint, &mut found);
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
        for (output, expected) in &expected {
            assert_near(&format!("{name}, {output}"), expected, &found[output]);
        }
    }
}

/// A Python with onnxruntime: the one that `ELBO_PYTHON` names, which must have it, or else `python3` if it has.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("ELBO_PYTHON").filter(|value| !value.is_empty()).map(PathBuf::from);
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", "import numpy, onnxruntime"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(named.is_none(), "ELBO_PYTHON is {}, which has no onnxruntime", python.display());
    // Not by a macro, whose output is shown only when a test fails.
    let _ = writeln!(std::io::stderr(), "the check of ONNX files in onnxruntime is skipped: no Python here has it");
    None
}

#[test]
fn exported_networks_compute_the_same_in_onnxruntime() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut all = BTreeMap::new();
    for (name, settings, shape) in set_ups() {
        let checkpoint = checkpoint(&name, settings, shape);
        let path = folder.path().join(&name);
        fs::create_dir(&path).unwrap();
        for (name, bytes) in interop::safetensors(&checkpoint, Path::new("run")).unwrap() {
            fs::create_dir_all(path.join("torch")).unwrap();
            fs::write(path.join("torch").join(name), bytes).unwrap();
        }
        for (name, bytes) in interop::onnx(&checkpoint, Path::new("run")).unwrap() {
            fs::write(path.join(name), bytes).unwrap();
        }
        let x = examples(&checkpoint);
        let (z, expected) = outputs(&checkpoint, &x);
        npy::save(&path.join("x.npy"), &x, &[ROWS, x.len() / ROWS]).unwrap();
        npy::save(&path.join("z.npy"), &z, &[ROWS, z.len() / ROWS]).unwrap();
        let told = told(&checkpoint);
        if !told.is_empty() {
            npy::save(&path.join("class.npy"), &told, &[ROWS, told.len() / ROWS]).unwrap();
        }
        all.insert(name, expected);
    }
    assert_outputs_in_onnxruntime(&python, "onnx_outputs.py", folder.path(), &all);
}

/// Runs the files in the folders of a folder by a script of the fixtures, and holds what they put out against what is expected, by the names of folders.
#[track_caller]
fn assert_outputs_in_onnxruntime(
    python: &Path,
    script: &str,
    folder: &Path,
    all: &BTreeMap<String, BTreeMap<String, Vec<f32>>>,
) {
    let script = fixture(script);
    let done = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for (name, expected) in all {
        for (output, expected) in expected {
            let bytes = fs::read(folder.join(name).join(format!("{output}.npy"))).unwrap();
            let start = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
            let found: Vec<f64> =
                bytes[start..].as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect();
            assert_near(&format!("{name}, {output}"), expected, &found);
        }
    }
}

/// Tensors of a safetensors file by name, with their shapes.
fn tensors(bytes: &[u8]) -> card::Tensors {
    let file = SafeTensors::deserialize(bytes).expect("the file is whole");
    let floats = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    file.tensors().into_iter().map(|(name, t)| (name, (t.shape().to_vec(), floats(t.data())))).collect()
}

/// y = x·Wᵀ + b for rows of x, in f64, with the tensors of a layer as PyTorch has them.
fn linear(tensors: &card::Tensors, layer: &str, x: &[f64]) -> Vec<f64> {
    let (shape, weight) = &tensors[&format!("{layer}.weight")];
    let (_, bias) = &tensors[&format!("{layer}.bias")];
    let (outputs, inputs) = (shape[0], shape[1]);
    let row = |x: &[f64]| -> Vec<f64> {
        let output = |o: usize| {
            let products = weight[o * inputs..(o + 1) * inputs].iter().zip(x).map(|(&w, &x)| f64::from(w) * x);
            products.sum::<f64>() + f64::from(bias[o])
        };
        (0..outputs).map(output).collect()
    };
    x.chunks_exact(inputs).flat_map(row).collect()
}

fn relu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.max(0.0)).collect()
}

fn doubles(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn exported_tensors_are_layers_as_pytorch_has_them() {
    for (likelihood, heads) in [
        ("bernoulli", &["decoder.logits"][..]),
        ("gaussian", &["decoder.mean"]),
        ("gaussian-learned", &["decoder.mean", "decoder.log_variance"]),
    ] {
        let settings = [("model.likelihood", likelihood), ("model.hidden", "[6,5]"), ("model.latent", "2")];
        let checkpoint = checkpoint("layers", settings.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(), [1, 2, 4]);
        let files = interop::safetensors(&checkpoint, Path::new("run")).unwrap();
        let tensors = tensors(file(&files, "model.safetensors"));
        let mut layers = vec![("encoder.0", 6, 8), ("encoder.1", 5, 6), ("encoder.mean", 2, 5)];
        layers.extend([("encoder.log_variance", 2, 5), ("decoder.0", 5, 2), ("decoder.1", 6, 5)]);
        layers.extend(heads.iter().map(|&name| (name, 8, 6)));
        assert_eq!(tensors.len(), 2 * layers.len(), "{:?}", tensors.keys());
        for (name, outputs, inputs) in layers {
            assert_eq!(tensors[&format!("{name}.weight")].0, [outputs, inputs], "{name}");
            assert_eq!(tensors[&format!("{name}.bias")].0, [outputs], "{name}");
        }
        let x = examples(&checkpoint);
        let (z, expected) = outputs(&checkpoint, &x);
        let mut h = doubles(&x);
        for layer in ["encoder.0", "encoder.1"] {
            h = relu(&linear(&tensors, layer, &h));
        }
        assert_near("mean", &expected["encoder.mean"], &linear(&tensors, "encoder.mean", &h));
        assert_near("log-variance", &expected["encoder.log_variance"], &linear(&tensors, "encoder.log_variance", &h));
        let mut h = doubles(&z);
        for layer in ["decoder.0", "decoder.1"] {
            h = relu(&linear(&tensors, layer, &h));
        }
        let mut out = linear(&tensors, heads[0], &h);
        if likelihood == "bernoulli" {
            out = out.iter().map(|l| 1.0 / (1.0 + (-l).exp())).collect();
        }
        assert_near("decoded", &expected["decoder.mean"], &out);
        let card = String::from_utf8(file(&files, "README.md").to_vec()).unwrap();
        assert!(card.contains(heads[0]) && card.contains("SHA-256") && card.contains("elbo export run"), "{card}");
    }
}

/// The card has a function for each of the two networks, with the tensors beside it.
#[test]
fn the_card_computes_what_the_program_computes() {
    for (name, settings, shape) in set_ups() {
        let checkpoint = checkpoint(&name, settings, shape);
        let files = interop::safetensors(&checkpoint, Path::new("run")).unwrap();
        let tensors = tensors(file(&files, "model.safetensors"));
        let card = String::from_utf8(file(&files, "README.md").to_vec()).unwrap();
        let x = examples(&checkpoint);
        let (z, expected) = outputs(&checkpoint, &x);
        let classes: Vec<f64> = classes(&checkpoint).into_iter().map(f64::from).collect();
        let call = |function: &str, rows: &[f32]| {
            let encoding = checkpoint.progress.data.encoding.as_ref();
            card::call(&card, function, (&tensors, encoding), [&doubles(rows), &classes], rows.len() / ROWS)
        };
        let (posterior, decoded) = (call("encode", &x), call("decode", &z));
        let found = ["encoder.mean", "encoder.log_variance"].into_iter().zip(posterior);
        let found: Vec<_> = found.chain(["decoder.mean", "decoder.log_variance"].into_iter().zip(decoded)).collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (output, found) in found {
            assert_near(&format!("{name}, {output}"), &expected[output], &found.values);
        }
    }
}

#[test]
fn a_model_that_leaves_and_comes_back_answers_with_the_same_bits() {
    let folder = trained();
    let said = elbo(folder.path(), "export run --format safetensors --out out").succeeded();
    assert_eq!(said.out, "out\n");
    let said = elbo(folder.path(), "import out --out back").succeeded();
    assert!(said.err.contains("encoder.mean         encoder.mean 16x2") && said.out == "back\n", "{said:?}");
    let [own, back] = ["run", "back"].map(|run| load_latest(&folder.path().join(run)).unwrap().0);
    assert!(own.parameters == back.parameters && own.config == back.config);
    assert_eq!(own.progress.data, back.progress.data);
    let [own, back] =
        ["run", "back"].map(|run| elbo(folder.path(), &format!("eval {run} --adapter cpu")).succeeded().out);
    assert_eq!(own, back);
    // The configuration names the data, so that training can go on, from an optimiser that remembers nothing.
    let more = elbo(folder.path(), "train --resume back --epochs 1 --adapter cpu").succeeded();
    assert!(!more.err.contains("warning"), "{more:?}");
}

/// A file with one tensor more, of a whole number of 64 bits.
fn with_counter(file: &[u8]) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let counter = 7_i64.to_le_bytes();
    let counter = TensorView::new(Dtype::I64, vec![], &counter).unwrap();
    let all = tensors.tensors().into_iter().chain([("encoder.1.num_batches_tracked".to_owned(), counter)]);
    safetensors::serialize(all, None).unwrap()
}

/// Convolutions, normalisation and blocks, and what an array of others is, with names that wrappers changed.
#[test]
fn a_network_of_layers_comes_back_too_and_comes_in_from_others() {
    let folder = tempfile::tempdir().unwrap();
    for (name, settings, shape) in set_ups() {
        if !["normed", "blocks-1", "blocks-3", "nested", "colour-images-gaussian-learned", "residual"]
            .contains(&&name[..])
        {
            continue;
        }
        let own = checkpoint(&name, settings, shape);
        let out = folder.path().join(&name);
        fs::create_dir(&out).unwrap();
        for (file, bytes) in interop::safetensors(&own, Path::new("run")).unwrap() {
            fs::write(out.join(file), bytes).unwrap();
        }
        elbo(folder.path(), &format!("import {name} --out {name}-back")).succeeded();
        let (back, _) = load_latest(&folder.path().join(format!("{name}-back"))).unwrap();
        assert!(own.parameters == back.parameters && own.config == back.config, "{name}");
        if name == "normed" {
            // As PyTorch saves it: with how many batches it has seen, a whole number.
            let counted = folder.path().join("counted.safetensors");
            fs::write(&counted, with_counter(&fs::read(out.join("model.safetensors")).unwrap())).unwrap();
            elbo(folder.path(), "import counted.safetensors --set norm=batch --out theirs-normed").succeeded();
            let (back, _) = load_latest(&folder.path().join("theirs-normed")).unwrap();
            assert!(own.parameters == back.parameters, "{name}");
            fs::write(
                folder.path().join("lists.toml"),
                "[model]\nhidden = []\nencoder_layers = [\"dense 7\", \"batch-norm\", \"relu\", \"dense 6\", \"batch-norm\", \"relu\"]\n",
            )
            .unwrap();
            let decoder = r#"decoder_layers=["dense\u00206","batch-norm","relu","dense\u00207","batch-norm","relu"]"#;
            let line =
                format!("import counted.safetensors --recipe lists.toml --shape 1,1,9 --set hidden=[] --set {decoder}");
            elbo(folder.path(), &format!("{line} --out listed")).succeeded();
            let (listed, _) = load_latest(&folder.path().join("listed")).unwrap();
            assert!(own.parameters == listed.parameters, "{name}");
            let said = "--set model.norm=batch or layer";
            elbo(folder.path(), "import counted.safetensors --out no").failed(3, said);
        }
        if name == "residual" {
            elbo(folder.path(), "import residual/model.safetensors --recipe residual --shape 1,28,28 --out theirs")
                .succeeded();
            let (back, _) = load_latest(&folder.path().join("theirs")).unwrap();
            assert!(own.parameters == back.parameters, "{name}");
        }
    }
}

#[test]
fn an_imported_model_says_how_well_it_does_and_warns_where_that_is_badly() {
    let folder = trained();
    elbo(folder.path(), "export run --format safetensors --out out").succeeded();
    let good = elbo(folder.path(), "import out --data glyphs --out good").succeeded();
    assert!(good.err.contains("-ELBO    "), "{good:?}");
    let layers: &[(&str, &[usize])] = &[
        ("module.fc1.weight", &[6, 784]),
        ("module.fc1.bias", &[6]),
        ("module.fc21.weight", &[2, 6]),
        ("module.fc21.bias", &[2]),
        ("module.fc22.weight", &[2, 6]),
        ("module.fc22.bias", &[2]),
        ("module.fc3.weight", &[6, 2]),
        ("module.fc3.bias", &[6]),
        ("module.fc4.weight", &[784, 6]),
        ("module.fc4.bias", &[784]),
    ];
    fs::write(folder.path().join("zeros.safetensors"), zeros(layers)).unwrap();
    // Every probability is a half: 784 ln 2 nats.
    let bad = elbo(folder.path(), "import zeros.safetensors --data glyphs --out bad").succeeded();
    assert!(bad.err.contains("does badly on glyphs: its -ELBO is 543.43 nats"), "{bad:?}");
}

#[test]
fn what_was_exported_before_a_key_came_is_imported_as_the_default_says() {
    let folder = trained();
    elbo(folder.path(), "export run --format safetensors --out out").succeeded();
    let path = folder.path().join("out/config.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let model = value["config"]["model"].as_object_mut().unwrap();
    for key in ["above", "condition", "components", "scales"] {
        assert!(model.remove(key).is_some(), "{key}");
    }
    fs::write(&path, value.to_string()).unwrap();
    elbo(folder.path(), "import out --out back").succeeded();
    let [own, back] = ["run", "back"].map(|run| load_latest(&folder.path().join(run)).unwrap().0);
    assert!(own.parameters == back.parameters && own.config == back.config);
    // Any other key must be there, and have a value that it can have.
    for (latent, said) in [(None, "the key model.latent is missing"), (Some(0), "model.latent = 0")] {
        let model = value["config"]["model"].as_object_mut().unwrap();
        match latent {
            None => model.remove("latent"),
            Some(latent) => model.insert("latent".into(), latent.into()),
        };
        fs::write(&path, value.to_string()).unwrap();
        elbo(folder.path(), "import out --out other").failed(3, said);
    }
}

#[test]
fn an_exported_folder_says_what_is_in_it() {
    let folder = trained();
    let json = elbo(folder.path(), "export run --format onnx --out deep/networks --json").succeeded();
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&value["epoch"], value["files"].as_array().unwrap().len()), (&2.into(), 4), "{value}");
    let read = |name: &str| fs::read_to_string(folder.path().join("deep/networks").join(name)).unwrap();
    let config: serde_json::Value = serde_json::from_str(&read("config.json")).unwrap();
    assert_eq!((&config["config"]["model"]["latent"], &config["data"]["name"]), (&2.into(), &"glyphs".into()));
    let card = read("README.md");
    let metrics = fs::read_to_string(folder.path().join("run/metrics.csv")).unwrap();
    let last = metrics.lines().last().unwrap().replace(',', " | ");
    let hash = config["data"]["hash"].as_str().unwrap();
    for part in [hash, &last, "elbo export run --format onnx", "784-16-2-16-784", "latent = 2", "encoder.onnx"] {
        assert!(card.contains(part), "{part} is not in {card}");
    }
    elbo(folder.path(), "export run/checkpoints/best --format safetensors --out deep/tensors").succeeded();
    fs::create_dir(folder.path().join("empty")).unwrap();
    elbo(folder.path(), "export run --format safetensors --out empty").succeeded();
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// PyTorch recorded both terms of the loss for parameters, inputs and noise that it recorded too: the model that is
/// imported must give the same.
#[test]
fn an_imported_model_gives_the_losses_that_pytorch_recorded() {
    for likelihood in ["bernoulli", "gaussian"] {
        let folder = tempfile::tempdir().unwrap();
        let path = fixture(&format!("torch_trace_{likelihood}.safetensors"));
        let line = format!(
            "import {} --prefix init. --set model.likelihood={likelihood} --set sigma=1 --shape 1,14,14 --out run",
            path.display()
        );
        elbo(folder.path(), &line).succeeded();
        let mut run = Run::open(&folder.path().join("run"), "cpu").unwrap();
        assert_eq!((run.shape(), run.latent(), &run.config().model.hidden[..]), ([1, 14, 14], 12, &[48][..]));
        let trace = tensors(&fs::read(path).unwrap());
        let (x, eps) = (&trace["x"].1[..16 * 196], &trace["eps"].1[..16 * 12]);
        let posterior = run.encode(x).unwrap();
        let kl = trace["kl"].1[0];
        assert!((posterior.rates().unwrap().iter().sum::<f64>() / f64::from(kl) - 1.0).abs() < 1e-5);
        let deviations = posterior.deviations();
        let z: Vec<f32> = (0..eps.len()).map(|i| posterior.means[i] + deviations[i] * eps[i]).collect();
        let nats: f64 = run
            .decode(&z)
            .unwrap()
            .iter()
            .zip(x)
            .map(|(&mean, &x)| {
                let (mean, x) = (f64::from(mean), f64::from(x));
                match likelihood {
                    "bernoulli" => -(x * mean.ln() + (1.0 - x) * (1.0 - mean).ln()),
                    _ => 0.5 * ((x - mean).powi(2) + std::f64::consts::TAU.ln()),
                }
            })
            .sum();
        let recorded = f64::from(trace["rec"].1[0]);
        assert!((nats / 16.0 / recorded - 1.0).abs() < 1e-5, "{} instead of {recorded}", nats / 16.0);
    }
}

/// A safetensors file of zeros in these shapes.
fn zeros(layers: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = Vec::new();
    let mut end = 0;
    for (name, shape) in layers {
        let begin = end;
        end += 4 * shape.iter().product::<usize>();
        header.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#));
    }
    let header = format!("{{{}}}", header.join(","));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; end]].concat()
}

#[test]
fn what_cannot_leave_or_come_in_is_one_clear_line_and_leaves_nothing_behind() {
    let folder = trained();
    let whole: &[(&str, &[usize])] = &[
        ("fc1.weight", &[6, 16]),
        ("fc1.bias", &[6]),
        ("fc21.weight", &[2, 6]),
        ("fc21.bias", &[2]),
        ("fc22.weight", &[2, 6]),
        ("fc22.bias", &[2]),
        ("fc3.weight", &[6, 2]),
        ("fc3.bias", &[6]),
        ("fc4.weight", &[16, 6]),
        ("fc4.bias", &[16]),
    ];
    let good = zeros(whole);
    let without = |name: &str| zeros(&whole.iter().filter(|(n, _)| !n.starts_with(name)).copied().collect::<Vec<_>>());
    let with = |extra: &[(&'static str, &'static [usize])]| zeros(&[whole, extra].concat());
    for (name, bytes) in [
        ("good.safetensors", good.clone()),
        ("short.safetensors", good[..good.len() - 1].to_vec()),
        ("text.safetensors", b"no tensors at all".to_vec()),
        ("half.safetensors", good.iter().map(|&b| if b == b'3' { b'6' } else { b }).collect()),
        ("headless.safetensors", without("fc22")),
        ("bodiless.safetensors", without("fc1")),
        ("unbiased.safetensors", without("fc4.bias")),
        ("conv.safetensors", with(&[("conv.weight", &[3, 1, 2, 2]), ("conv.bias", &[3])])),
        ("odd.safetensors", with(&[("head.weight", &[1, 2]), ("head.bias", &[1])])),
        ("file", vec![]),
        ("model.pt", b"PK\x03\x04 and so on".to_vec()),
        ("theirs/model.bin", vec![]),
        ("old/config.json", b"{\"format\":9,\"data\":{\"other\":1}}".to_vec()),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    elbo(folder.path(), "export run --format safetensors --out exported").succeeded();
    let before = content(folder.path());
    for (line, code, culprit) in [
        ("export run --format onnx --out run", 2, "--out run: the folder is not empty"),
        ("export run --format tar --out new", 2, "tar"),
        ("export nothing --format onnx --out new", 3, "nothing"),
        ("export run --format onnx --out file", 6, "file"),
        ("export run --format onnx --out file/new", 6, "file"),
        ("import missing --out new", 3, "missing: cannot be read"),
        ("import theirs --out new", 3, "theirs: the folder has no config.json"),
        ("import old --out new", 3, "old/config.json: format 9 is unknown, expected 1"),
        ("import good.safetensors --out run", 2, "--out run: the folder is not empty"),
        ("import short.safetensors --out new", 3, "short.safetensors: the header promises"),
        ("import text.safetensors --out new", 3, "text.safetensors: "),
        ("import half.safetensors --out new", 3, "half.safetensors: "),
        ("import headless.safetensors --out new", 3, "one head for the mean and one for the log-variance"),
        ("import bodiless.safetensors --out new", 3, "`fc21` takes 6 numbers and `fc4` gives 16"),
        ("import conv.safetensors --out new", 3, "nothing tells what `conv` is"),
        ("import good.safetensors --out new --recipe conv", 2, "--shape CHANNELS,HEIGHT,WIDTH is wanted"),
        ("import good.safetensors --out new --recipe conv --shape 1,28,28", 3, "the recipe's encoder has"),
        ("import good.safetensors --out new --shape 4294967296,4294967296,16", 2, "less than 2^32"),
        ("import model.pt --out new", 3, "save_file("),
        ("import odd.safetensors --out new", 3, "nothing tells what `head` is; say what belongs where with --map"),
        ("import good.safetensors --out new --prefix vae.", 3, "`vae.….weight`"),
        ("import good.safetensors --out new --map encoder.0=fc9", 2, "has no such layer; it has `fc1`, "),
        ("import good.safetensors --out new --map body=fc1", 2, "the places are encoder.N"),
        ("import good.safetensors --out new --map encoder.0", 2, "PLACE=NAME"),
        ("import good.safetensors --out new --set latent=3", 2, "--set latent"),
        ("import good.safetensors --out new --set model.likelihood=gaussian-learned", 2, "model.likelihood=gaussian"),
        ("import good.safetensors --out new --shape 1,5,5", 2, "shape [1, 5, 5], and the model takes 16"),
        ("import good.safetensors --out new --shape 4,4", 2, "CHANNELS,HEIGHT,WIDTH"),
        ("import good.safetensors --out new --data glyphs", 2, "glyphs: an example has shape [1, 28, 28]"),
        ("import good.safetensors --out new --data missing", 3, "missing"),
        ("import good.safetensors --out file/new", 6, "file"),
        ("import exported --out new --recipe plane", 2, "--recipe and --set are for models of others"),
        ("import exported --out new --shape 1,4,4", 2, "[1, 4, 4]"),
    ] {
        elbo(folder.path(), line).failed(code, culprit);
        assert!(content(folder.path()) == before, "{line} left something behind");
    }
    elbo(folder.path(), "import good.safetensors --shape 1,4,4 --out new").succeeded();
    elbo(folder.path(), "sample new --adapter cpu --out s.png").succeeded();
    // A layer without a bias is one with a bias of zeros.
    let parameters = |run: &str| load_latest(&folder.path().join(run)).unwrap().0.parameters;
    elbo(folder.path(), "import unbiased.safetensors --shape 1,4,4 --out bare").succeeded();
    assert_eq!(parameters("bare"), parameters("new"));
}

#[test]
fn numbers_far_from_0_are_told_where_single_precision_is_not_enough_for_them() {
    let folder = tempfile::tempdir().unwrap();
    for (name, start, told) in [("near", 0.0, false), ("far", 1.7e12, true)] {
        let rows = (0..200).map(|at| format!("{},{}.25\n", start + f64::from(at * 37 % 101), at % 13));
        fs::write(folder.path().join("t.csv"), format!("t,b\n{}", rows.collect::<String>())).unwrap();
        let line =
            format!("train --data t.csv --adapter cpu --set hidden=[8] --latent 2 --batch 20 --epochs 1 --out {name}");
        elbo(folder.path(), &line).succeeded();
        let said = elbo(folder.path(), &format!("export {name} --format onnx --out {name}-onnx")).succeeded();
        assert_eq!(said.err.contains("warning: column `t` lies around 1.7"), told, "{said:?}");
        let card = fs::read_to_string(folder.path().join(format!("{name}-onnx/README.md"))).unwrap();
        assert_eq!(card.contains("Beware: column `t`"), told);
        let said = elbo(folder.path(), &format!("export {name} --format safetensors --out {name}-st")).succeeded();
        assert!(!said.err.contains("lies around"), "{said:?}");
    }
}
