//! Pages for browsers compute what the program computes, and work.

use crate::interop::{checkpoint, examples, is_shown, set_ups};
use crate::program::{content, elbo};
use elbo::checkpoint::{Checkpoint, load_latest};
use elbo::config::{RECIPES, resolve};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::interop::CARD;
use elbo::model::tasks::EVALUATE;
use elbo::rng::Stream;
use elbo::session::{Purpose, Rows, Session};
use elbo::web::{self, Measured, PAGE};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Draws of an evaluation, as the page has them.
const DRAWS: usize = 16;

/// Says on the terminal what is skipped, not by a macro, whose output is shown only when a test fails.
pub fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "{what} is skipped: {why}");
}

/// What the program answers for one example, samples and some latents.
fn expected(checkpoint: &Checkpoint, x: &[f32]) -> Value {
    let mut session = Session::without_data(checkpoint, Executor::Cpu(Cpu::new(2).unwrap())).unwrap();
    let (width, latent, seed) = (session.model.width, session.model.config.latent, 7);
    let class = u32::from(session.model.classes > 0);
    let classes = vec![class; if class > 0 { DRAWS } else { 0 }];
    let samples = session.sample(5, seed).unwrap();
    let z: Vec<f32> = (0..3 * latent).map(|at| (at as f32 * 0.7).sin()).collect();
    let decoded = session.decode(&z, &classes[..classes.len().min(3)]).unwrap();
    session.show_encoded(Rows { values: &x[..width].repeat(DRAWS), classes: &classes }).unwrap();
    let posterior = session.encode(&[0], seed).unwrap();
    let plan = session.plan(Purpose::task(EVALUATE, DRAWS)).unwrap();
    session.set_order(&(0..DRAWS as u32).collect::<Vec<_>>()).unwrap();
    let scalars = session.scalars(seed, Stream::Evaluate, 0, DRAWS);
    session.executor.run(plan, &[scalars]).unwrap();
    let loss = ["distortion", "rate"].map(|name| {
        let terms = session.output(name, DRAWS, 1).unwrap();
        terms.iter().map(|&term| f64::from(term)).sum::<f64>() / DRAWS as f64
    });
    json!({
        "seed": seed, "class": class, "x": &x[..width], "samples": samples, "decoded": decoded,
        "z": z.chunks_exact(latent).collect::<Vec<_>>(), "code": posterior.means, "deviation": posterior.deviations(),
        "loss": loss,
    })
}

/// Writes a page and what the program answers.
fn write(folder: &Path, files: &[(String, Vec<u8>)], expected: &Value) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join("expected.json"), expected.to_string()).unwrap();
}

/// What a script of `tests/web` says, and whether it is content.
fn node(script: &str, arguments: &[&Path]) -> (bool, String) {
    node_with(script, arguments, &[])
}

/// The same with variables of the environment that name files.
pub fn node_with(script: &str, arguments: &[&Path], variables: &[(&str, &Path)]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web").join(script);
    let mut node = Command::new("node");
    node.envs(variables.iter().copied());
    let done = node.arg(script).args(arguments).stdin(Stdio::null()).output().expect("node starts");
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (done.status.success(), said.concat())
}

pub fn has_node() -> bool {
    Command::new("node").arg("--version").output().is_ok_and(|done| done.status.success())
}

#[test]
fn pages_compute_in_javascript_what_the_program_computes() {
    if !has_node() {
        return skipped("the check of pages in JavaScript", "there is no node");
    }
    let folder = tempfile::tempdir().unwrap();
    // What says to older versions of node that files are modules.
    fs::write(folder.path().join("package.json"), r#"{"type":"module"}"#).unwrap();
    let mut all = set_ups();
    let others = RECIPES.iter().filter(|(name, ..)| {
        let model = resolve(Some(name), &[]).expect("a recipe is valid").model;
        // A decoder that reads all groups of latents leaves for no page.
        is_shown(&model) && model.resolutions.is_empty() && !all.iter().any(|(other, ..)| other == name)
    });
    let others: Vec<_> = others
        .map(|(name, ..)| ((*name).to_owned(), vec![("recipe".to_owned(), (*name).to_owned())], [1, 28, 28]))
        .collect();
    assert!(others.len() > 4, "priors, posteriors and stochastic layers are among recipes");
    all.extend(others);
    let mut pages = Vec::new();
    for (name, settings, shape) in all {
        let checkpoint = checkpoint(&name, settings, shape);
        let latent = checkpoint.config.model.latent;
        let moments = [vec![0.0; latent], vec![1.0; latent]];
        let measured = Measured { of: "nothing".into(), rates: None, moments };
        let files =
            web::files(&checkpoint, Path::new("run"), &measured, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let page = folder.path().join(&name);
        write(&page, &files, &expected(&checkpoint, &examples(&checkpoint)));
        pages.push(page);
    }
    let pages: Vec<&Path> = pages.iter().map(PathBuf::as_path).collect();
    let (fine, said) = node("compare.mjs", &pages);
    assert!(fine && said.contains(&format!("asked {} pages", pages.len())), "{said}");
    // Of a page that leaves the bias out it says so.
    let products = pages[0].join("products.js");
    let text = fs::read_to_string(&products).unwrap();
    let broken = text.replace("c.BIAS === 1", "c.BIAS === 2");
    assert_ne!(broken, text);
    fs::write(&products, broken).unwrap();
    let (fine, said) = node("compare.mjs", &pages[..1]);
    assert!(!fine && said.contains("where elbo has"), "{said}");
}

/// The folder of the npm package that drives a browser: that which `ELBO_PLAYWRIGHT` names, which must be one.
pub fn playwright() -> Option<PathBuf> {
    let what = "the check of the page in Chromium";
    let Some(named) = std::env::var_os("ELBO_PLAYWRIGHT").filter(|value| !value.is_empty()).map(PathBuf::from) else {
        skipped(what, "ELBO_PLAYWRIGHT names no npm package playwright-core");
        return None;
    };
    assert!(
        named.join("index.mjs").is_file(),
        "ELBO_PLAYWRIGHT is {}, which is no npm package playwright-core",
        named.display()
    );
    if !Path::new("/usr/bin/chromium").is_file() {
        skipped(what, "there is no /usr/bin/chromium");
        return None;
    }
    Some(named)
}

#[test]
fn the_page_works_in_chromium_with_webgpu_and_without() {
    let Some(package) = playwright() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = "--set data.examples=300 --set model.hidden=[32] --latent 4 --batch 50 --epochs 8 --lr 3e-3";
    elbo(folder.path(), &format!("train --adapter cpu {settings} --out run")).succeeded();
    elbo(folder.path(), "export run --format web --train --out page").succeeded();
    let page = folder.path().join("page");
    let (checkpoint, _) = load_latest(&folder.path().join("run")).unwrap();
    let x: Vec<f32> = (0..784).map(|at| if at % 28 > 10 && at % 28 < 16 { 0.9 } else { 0.0 }).collect();
    fs::write(page.join("expected.json"), expected(&checkpoint, &x).to_string()).unwrap();
    let saved = folder.path().join("saved.safetensors");
    let (fine, said) = node("page.mjs", &[&package, &page, &saved]);
    assert!(fine && said.contains("has shown the page"), "{said}");
    elbo(folder.path(), "import saved.safetensors --out again").succeeded();
}

#[test]
fn a_page_is_small_whole_and_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    elbo(folder.path(), "train --adapter cpu --set data.examples=300 --epochs 1 --out run").succeeded();
    let said = elbo(folder.path(), "export run --format web --out page").succeeded();
    assert!(said.err.contains("http.server --directory page"), "{said:?}");
    let page = folder.path().join("page");
    let files = content(&page);
    let bytes: usize = files.iter().filter_map(|(_, bytes)| bytes.as_ref()).map(Vec::len).sum();
    assert!(bytes <= 4_000_000, "the page of `classic` takes {bytes} bytes");
    let about: Value = serde_json::from_slice(&fs::read(page.join(web::DESCRIPTION)).unwrap()).unwrap();
    assert!(about["measured"].as_str().unwrap().ends_with("examples of the test part of glyphs"), "{about}");
    let sizes: Vec<f64> =
        about["dimensions"].as_array().unwrap().iter().map(|entry| entry["size"].as_f64().unwrap()).collect();
    assert!(sizes.len() == 20 && sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(fs::read_to_string(page.join(CARD)).unwrap().contains("--format web"));

    let text = |name: &str| PAGE.iter().find(|(other, _)| *other == name).map(|(_, text)| *text);
    for (name, text) in PAGE {
        assert!(text.lines().count() < 300, "{name}");
        let addresses = text.matches("://").count() - text.matches("http://www.w3.org/2000/svg").count();
        assert!(addresses == 0 && !text.contains("eval(") && !text.contains("innerHTML"), "{name}");
    }
    let html = text("index.html").unwrap();
    assert!(html.contains("default-src 'none'; script-src 'self'"), "there is no content policy");
    assert!(!html.contains("<script>") && !html.contains("style="), "the content policy forbids it");
    let is_script = |name: &str| Path::new(name).extension().is_some_and(|end| end == "js");
    let scripts: String = PAGE.iter().filter(|(name, _)| is_script(name)).map(|(_, text)| *text).collect();
    for part in scripts.split(" from \"./").skip(1) {
        let name = &part[..part.find('"').unwrap()];
        assert!(text(name).is_some(), "{name} is imported and not exported");
    }
    for kernel in web::plans::PLAIN {
        assert!(scripts.contains(&format!("export function {kernel}(")), "{kernel} has no function");
    }

    // Without its data a run says what it takes instead.
    let (mut moved, _) = load_latest(&folder.path().join("run")).unwrap();
    moved.config.data.source = "nowhere.npy".into();
    let path = folder.path().join("moved/checkpoints");
    elbo::checkpoint::save(&path, &moved, 1).unwrap();
    let said = elbo(folder.path(), "export moved --format web --out other").succeeded();
    assert!(said.err.contains("the model's own samples") && said.err.contains("nowhere.npy"), "{said:?}");
    elbo(folder.path(), "export run --format web --out page").failed(2, "page");
}
