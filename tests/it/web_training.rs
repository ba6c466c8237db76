//! Pages that train compute what training computes.

use crate::program::elbo;
use crate::web::{has_node, node_with, skipped};
use elbo::checkpoint::Checkpoint;
use elbo::config::{Config, resolve};
use elbo::data::batches::{batches, order};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::plan::Role;
use elbo::session::{Purpose, Session};
use elbo::train::{Member, Update, scalars};
use elbo::web::{self, Measured};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A session that trains, its parameters at their initial values.
fn session(config: Config) -> Session {
    let data = elbo::data::open(&config, None).unwrap();
    let mut session = Session::new(config, data, Executor::Cpu(Cpu::new(2).unwrap())).unwrap();
    session.plan(Purpose::Train).unwrap();
    session.initialise().unwrap();
    session
}

fn configured(recipe: &str, settings: &str) -> Config {
    let settings = settings.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    let settings: Vec<_> = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    resolve(Some(recipe), &settings).unwrap()
}

/// What a step is told of learning rate, corrections and weights, and what its terms come to.
struct Step {
    told: Vec<f32>,
    terms: Vec<f64>,
}

/// Takes a step as training does.
fn step(session: &mut Session, step: u64) -> Step {
    let (config, part) = (session.config.clone(), session.data().unwrap().train.clone());
    let all: Vec<_> = batches(part.len(), config.train.batch).collect();
    let (per_epoch, parts) = (all.len(), config.train.accumulate);
    let (epoch, slot) = (step as usize / per_epoch, step as usize % per_epoch);
    session.set_order(&order(part, config.train.seed, epoch as u32)).unwrap();
    let update = Update { step, per_epoch, slot, batch: all[slot] };
    let plan = session.plan(Purpose::Train).unwrap();
    let course = Member::new(session, "").progress.course;
    let runs: Vec<_> = (0..parts).map(|part| scalars(&config, &course, &update, part)).collect();
    session.run_phases(&[(plan, runs.clone())]).unwrap();
    let width = session.executor.plan(plan).terms.len();
    let rows = session.read(0, &Role::Metrics, slot * parts * width, parts * width).unwrap();
    let mut terms = vec![0.0; width];
    for (run, row) in runs.iter().zip(rows.chunks_exact(width)) {
        for (sum, &term) in terms.iter_mut().zip(row) {
            *sum += f64::from(term) * f64::from(run.rows) / all[slot].rows as f64;
        }
    }
    let last = runs[parts - 1];
    Step { told: [vec![last.lr, last.correction1, last.correction2], last.weights.to_vec()].concat(), terms }
}

/// Writes a page that goes on after `before` steps, and what `count` further ones come to.
fn page(folder: &Path, config: Config, before: u64, count: u64) {
    let mut trained = session(config);
    (0..before).for_each(|at| drop(step(&mut trained, at)));
    let mut progress = Member::new(&trained, "").progress;
    progress.step = before;
    let (parameters, moments) = (trained.parameters(0).unwrap(), trained.moment_tensors(0).unwrap());
    let checkpoint = Checkpoint { parameters, moments, progress, config: trained.config.clone() };
    let latent = checkpoint.config.model.latent;
    let measured = Measured { of: "nothing".into(), rates: None, moments: [vec![0.0; latent], vec![1.0; latent]] };
    let files = web::files(&checkpoint, Path::new("run"), &measured, Some(&trained)).unwrap();
    let steps: Vec<Step> = (before..before + count).map(|at| step(&mut trained, at)).collect();
    let (seed, part) = (trained.config.train.seed, trained.data().unwrap().train.clone());
    let orders: Vec<Vec<u32>> = (0..3).map(|epoch| order(part.clone(), seed, epoch)[..20].to_vec()).collect();
    let parameters = trained.parameters(0).unwrap();
    let expected = json!({
        "first": before, "told": steps.iter().map(|step| &step.told).collect::<Vec<_>>(), "orders": orders,
        "terms": steps.iter().map(|step| &step.terms).collect::<Vec<_>>(), "parameters": parameters[0].1.values,
    });
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in &files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join("expected.json"), expected.to_string()).unwrap();
    fs::write(folder.join("package.json"), r#"{"type":"module"}"#).unwrap();
}

/// A small network on a few glyphs, with schedules of all that changes from step to step.
const SMALL: &str = "data.examples=120 model.hidden=[16] model.latent=4 train.batch=20 optimizer.lr=3e-3 train.epochs=20 \
                     schedule.curve=cosine schedule.warmup=1.5 objective.anneal=linear objective.anneal_epochs=3";

/// What training may ask for beside that, of what JavaScript computes too.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let small = "data.examples=100 model.hidden=[12,9] model.latent=3 train.batch=30";
    let all = [
        ("classic", SMALL.to_owned(), 0, 100),
        (
            "dynamic",
            format!(
                "{small} train.accumulate=2 optimizer.kind=adamw optimizer.weight_decay=0.01 model.activation=gelu-erf \
                 schedule.curve=steps schedule.milestones=[1,3] schedule.gamma=[0.5,0.2] objective.anneal=cyclical \
                 objective.anneal_epochs=2 train.seed=4294967299"
            ),
            0,
            11,
        ),
        ("conditional", format!("{small} model.activation=silu optimizer.kind=rmsprop optimizer.momentum=0.5"), 4, 6),
        (
            "gaussian-learned",
            format!(
                "{small} model.activation=tanh optimizer.ema=0.9 optimizer.eps_hat=true optimizer.gradient=sum \
                 optimizer.lr=1e-4 optimizer.clip_norm=0"
            ),
            4,
            6,
        ),
    ];
    let write = |(recipe, settings, before, count): (&str, String, u64, u64)| {
        let place = folder.join(recipe);
        page(&place, configured(recipe, &settings), before, count);
        place
    };
    all.into_iter().map(write).collect()
}

/// Replaces a part of a file of a page.
fn change(page: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(page.join(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(page.join(file), text.replace(from, to)).unwrap();
}

#[test]
fn pages_train_in_javascript_as_the_program_trains() {
    if !has_node() {
        return skipped("the check of pages that train", "there is no node");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = pages(folder.path());
    let paths: Vec<&Path> = pages.iter().map(PathBuf::as_path).collect();
    let (fine, said) = node_with("train.mjs", &paths, &[]);
    assert!(fine && said.contains("let 4 pages train"), "{said}");
    // A moment that is off by little, and a number that a step is told.
    change(&pages[0], "gradients.js", "(1 - p.beta2) * g * g", "(1.01 - p.beta2) * g * g");
    let (fine, said) = node_with("train.mjs", &paths[..1], &[]);
    assert!(!fine && said.contains("and in elbo to"), "{said}");
    change(&pages[1], "schedule.js", "passed - 1", "0");
    let (fine, said) = node_with("train.mjs", &paths[1..2], &[]);
    assert!(!fine && said.contains("is told"), "{said}");
    change(&pages[2], "order.js", "2 ** 32; left", "2 ** 31; left");
    let (fine, said) = node_with("train.mjs", &paths[2..3], &[]);
    assert!(!fine && said.contains("epoch 0 begins with"), "{said}");
}

#[test]
fn pages_train_by_webgpu_as_the_program_trains() {
    let what = "the check of pages that train by WebGPU";
    let icd = Path::new("/usr/lib/chromium/vk_swiftshader_icd.json");
    let Some(package) = std::env::var_os("ELBO_WEBGPU").filter(|value| !value.is_empty()).map(PathBuf::from) else {
        return skipped(what, "ELBO_WEBGPU names no npm package webgpu");
    };
    if !icd.is_file() {
        return skipped(what, "there is no SwiftShader");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = pages(folder.path());
    let paths = |pages: &[PathBuf]| -> Vec<PathBuf> {
        [Path::new("--webgpu"), &package].into_iter().map(Path::to_path_buf).chain(pages.iter().cloned()).collect()
    };
    let train = |pages: &[PathBuf]| {
        let paths = paths(pages);
        node_with("train.mjs", &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), &[("VK_ICD_FILENAMES", icd)])
    };
    let (fine, said) = train(&pages);
    assert!(fine && said.contains("let 4 pages train"), "{said}");
    change(&pages[0], "training-software.json", "params.beta2 *", "0.99 * params.beta2 *");
    let (fine, said) = train(&pages[..1]);
    assert!(!fine && said.contains("and in elbo to"), "{said}");
}

#[test]
fn a_page_that_trains_holds_its_examples_and_what_it_cannot_do_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let small = "--set data.examples=100 --set model.hidden=[8] --set train.batch=20";
    let export = |words: &str| elbo(folder.path(), &format!("export --format web --out page {words}"));
    let said = export(&format!("--train {small}")).succeeded();
    assert!(said.err.contains("holds    the training examples"), "{said:?}");
    let page = folder.path().join("page");
    assert!(fs::read_to_string(page.join("README.md")).unwrap().contains("`training.bin` holds 84 examples"));
    fs::remove_dir_all(&page).unwrap();
    for (words, why) in [
        ("", "which run?"),
        ("--data glyphs run", "--data goes with --train"),
        ("run --train --set model.latent=3", "leave RUN out"),
        (&format!("--train {small} --set schedule.curve=plateau"), "schedule.curve = plateau"),
        (&format!("--train {small} --set train.patience=3"), "train.patience"),
        (&format!("--train {small} --recipe factor"), "several phases"),
        ("--train --set data.examples=10", "train.batch"),
    ] {
        export(words).failed(2, why);
        assert!(!page.exists(), "{words}");
    }
    elbo(folder.path(), "export run --format onnx --train --out page").failed(2, "--format web");
}
