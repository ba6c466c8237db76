//! The prior of codes: what it computes by loops in double precision, that it is a distribution and that nothing leaks from
//! cells that are not drawn as yet, and what a run of it is asked.

use super::{GRID, LAYERS, ROUNDING, affine, last, narrow, read, wide};
use crate::program::{command, content, elbo, json, outcome};
use crate::support::{compare, executors};
use elbo::config;
use elbo::data::batches::Batch;
use elbo::data::{Dataset, Values};
use elbo::eval;
use elbo::model::Model;
use elbo::plan::Role;
use elbo::rng::{Philox, Stream};
use elbo::session::{Purpose, Session};
use elbo::train::{Update, scalars};
use std::collections::BTreeMap;
use std::path::Path;

/// Height and width of a grid, K, C and L.
#[derive(Clone, Copy)]
struct Sizes {
    grid: [usize; 2],
    codes: usize,
    wide: usize,
    layers: usize,
}

const SMALL: Sizes = Sizes { grid: [2, 3], codes: 4, wide: 4, layers: 2 };

/// A session with its first parameters and these grids, on the executor of this number.
fn session(device: usize, of: Sizes, grids: &[usize]) -> Session {
    told_session(device, of, grids, None)
}

/// The same of a prior that is told these classes.
fn told_session(device: usize, of: Sizes, grids: &[usize], labels: Option<Vec<u32>>) -> Session {
    let settings = [
        ("prior_codes", of.codes.to_string()),
        ("prior_layers", of.layers.to_string()),
        ("prior_width", of.wide.to_string()),
        ("batch", "20".into()),
        ("seed", "5".into()),
        ("condition", if labels.is_some() { "label" } else { "none" }.into()),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value));
    let config = config::resolve(Some("codes-prior"), &settings).expect("the settings are valid");
    let values = Values::F32(grids.iter().map(|&code| code as f32).collect());
    let data = Dataset::new("grids", [1, of.grid[0], of.grid[1]], values, labels, 0, 0).expect("they are whole");
    let mut session = Session::new(config, data, executors().swap_remove(device)).expect("the model fits");
    session.plan(Purpose::Train).expect("the plan fits");
    session.initialise().expect("the parameters fit");
    session
}

/// Grids of any codes.
fn drawn(of: Sizes, count: usize) -> Vec<usize> {
    let mut random = Philox::new(2, Stream::Choice, 0, 0);
    let cells = of.grid[0] * of.grid[1];
    (0..count * cells).map(|_| (random.uniform() * of.codes as f32) as usize).collect()
}

type Tensors = BTreeMap<String, Vec<f64>>;

fn tensors(session: &mut Session) -> Tensors {
    let names: Vec<String> = session.ranges().into_iter().map(|range| range.name).collect();
    names.into_iter().map(|name| (name.clone(), wide(&read(session, &Role::Parameters, &name)))).collect()
}

/// The logits of all cells of a grid, [S, K], by the two stacks as section 2.2 of the paper has them, pixel by pixel.
fn logits(of: Sizes, all: &Tensors, grid: &[usize]) -> Vec<f64> {
    logits_as(of, all, grid, None)
}

/// The same, told a class: each stack of a layer has its half of the row of the class (eq. 4).
fn logits_as(of: Sizes, all: &Tensors, grid: &[usize], class: Option<usize>) -> Vec<f64> {
    let ([height, width], c) = (of.grid, of.wide);
    let map = |name: String, x: &[f64], outputs: usize| affine(x, &all[&name], [x.len(), outputs]);
    let at = |image: &[Vec<f64>], row: isize, column: isize| match (usize::try_from(row), usize::try_from(column)) {
        (Ok(row), Ok(column)) if row < height && column < width => image[row * width + column].clone(),
        _ => vec![0.0; c],
    };
    let gate = |both: &[f64]| -> Vec<f64> { (0..c).map(|k| both[k].tanh() / (1.0 + (-both[c + k]).exp())).collect() };
    let mut above: Vec<Vec<f64>> = grid.iter().map(|code| all["prior.embedding"][code * c..][..c].to_vec()).collect();
    let mut left = above.clone();
    for layer in 1..=of.layers {
        let (mut next_above, mut next_left) = (vec![], vec![]);
        for cell in 0..height * width {
            let (row, column) = ((cell / width) as isize, (cell % width) as isize);
            let rows = if layer == 1 { -1..=-1 } else { -1..=0 };
            let taps = rows.flat_map(|r| (-1..=1).map(move |c| (r, c)));
            let seen: Vec<f64> = taps.flat_map(|(r, c)| at(&above, row + r, column + c)).collect();
            let of_class =
                class.map_or(vec![0.0; 4 * c], |y| all[&format!("prior.{layer}.class")][y * 4 * c..][..4 * c].to_vec());
            let add = |x: Vec<f64>, own: &[f64]| -> Vec<f64> { x.iter().zip(own).map(|(x, own)| x + own).collect() };
            let told = add(map(format!("prior.{layer}.vertical"), &seen, 2 * c), &of_class[..2 * c]);
            let mut seen = at(&left, row, column - 1);
            if layer > 1 {
                seen.extend(&left[cell]);
            }
            seen.extend(&told);
            let both = add(map(format!("prior.{layer}.horizontal"), &seen, 2 * c), &of_class[2 * c..]);
            let gated = gate(&both);
            let mut out = map(format!("prior.{layer}.out"), &gated, c);
            if layer > 1 {
                out.iter_mut().zip(&left[cell]).for_each(|(out, given)| *out += given);
            }
            next_above.push(gate(&told));
            next_left.push(out);
        }
        (above, left) = (next_above, next_left);
    }
    let relu = |x: Vec<f64>| -> Vec<f64> { x.into_iter().map(|x| x.max(0.0)).collect() };
    let head = |known: Vec<f64>| {
        let hidden = relu(map("prior.hidden".into(), &relu(known), c));
        map("prior.head".into(), &hidden, of.codes)
    };
    left.into_iter().flat_map(head).collect()
}

/// −log p of a grid in nats.
fn nats(of: Sizes, all: &Tensors, grid: &[usize]) -> f64 {
    nats_as(of, all, grid, None)
}

fn nats_as(of: Sizes, all: &Tensors, grid: &[usize], class: Option<usize>) -> f64 {
    let logits = logits_as(of, all, grid, class);
    let cell = |(logits, &code): (&[f64], &usize)| logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[code];
    logits.chunks_exact(of.codes).zip(grid).map(cell).sum()
}

#[test]
fn logits_and_gradients_of_the_prior_are_those_of_its_formulas() {
    let (of, cells) = (SMALL, 6);
    let grids = drawn(of, 20);
    for device in 0..executors().len() {
        let mut session = session(device, of, &grids);
        let all = tensors(&mut session);
        let given: Vec<u32> = grids.iter().map(|&code| code as u32).collect();
        for cell in 0..cells {
            let found = session.next_logits(&given, cell).unwrap();
            let of_cell = |grid: &[usize]| logits(of, &all, grid)[cell * of.codes..][..of.codes].to_vec();
            let expected: Vec<f64> = grids.chunks_exact(cells).flat_map(of_cell).collect();
            compare(&narrow(&expected), &found, ROUNDING).unwrap_or_else(|why| panic!("cell {cell}: {why}"));
        }
        let rows = 13;
        session.set_order(&(0..20).collect::<Vec<_>>()).unwrap();
        let update = Update { step: 0, per_epoch: 1, slot: 0, batch: Batch { first: 0, rows } };
        let told = scalars(&session.config, &elbo::checkpoint::TrainerState::default(), &update, 0);
        let plan = session.plan(Purpose::Train).unwrap();
        session.run(plan, &[told]).unwrap();
        let loss = |all: &Tensors| -> f64 {
            grids.chunks_exact(cells).take(rows).map(|grid| nats(of, all, grid)).sum::<f64>() / rows as f64
        };
        let terms = session.read(0, &Role::Metrics, 0, 2).unwrap();
        assert!((f64::from(terms[0]) - loss(&all)).abs() < 1e-4 && terms[1] == 0.0, "{terms:?} for {}", loss(&all));
        for (name, values) in &all {
            let found = read(&mut session, &Role::Gradients, name);
            let slope = |at: usize| {
                let moved = |by: f64| {
                    let mut all = all.clone();
                    all.get_mut(name).unwrap()[at] += by;
                    loss(&all)
                };
                (moved(1e-5) - moved(-1e-5)) / 2e-5
            };
            let expected: Vec<f64> = (0..values.len()).map(slope).collect();
            assert!(expected.iter().any(|slope| slope.abs() > 1e-3), "{name} has no influence");
            let what = session.executor.name().clone();
            compare(&narrow(&expected), &found, ROUNDING).unwrap_or_else(|why| panic!("{name} on {what}: {why}"));
        }
    }
}

#[test]
fn a_prior_that_is_told_classes_has_the_logits_and_gradients_of_its_formulas() {
    let (of, cells, count) = (SMALL, 6, 12);
    let grids = drawn(of, count);
    let labels: Vec<u32> = (0..count as u32).map(|at| at % 3).collect();
    for device in 0..executors().len() {
        let mut session = told_session(device, of, &grids, Some(labels.clone()));
        session.set_order(&(0..count as u32).collect::<Vec<_>>()).unwrap();
        let plan = session.plan(Purpose::Train).unwrap();
        let told = |session: &Session, step: u64| {
            let batch = Batch { first: 0, rows: count };
            let update = Update { step, per_epoch: 1, slot: 0, batch };
            scalars(&session.config, &elbo::checkpoint::TrainerState::default(), &update, 0)
        };
        // Classes begin with nothing to say.
        for step in 0..2 {
            let told = told(&session, step);
            session.run(plan, &[told]).unwrap();
        }
        let all = tensors(&mut session);
        assert!(all["prior.1.class"].iter().any(|&x| x != 0.0));
        let given: Vec<u32> = grids.iter().map(|&code| code as u32).collect();
        for cell in [0, 4] {
            let found = session.next_logits_as(&given, &labels, cell).unwrap();
            let of_cell = |(grid, &class): (&[usize], &u32)| {
                logits_as(of, &all, grid, Some(class as usize))[cell * of.codes..][..of.codes].to_vec()
            };
            let expected: Vec<f64> = grids.chunks_exact(cells).zip(&labels).flat_map(of_cell).collect();
            compare(&narrow(&expected), &found, ROUNDING).unwrap_or_else(|why| panic!("cell {cell}: {why}"));
        }
        let next = told(&session, 2);
        session.run(plan, &[next]).unwrap();
        let loss = |all: &Tensors| -> f64 {
            let nats =
                grids.chunks_exact(cells).zip(&labels).map(|(grid, &y)| nats_as(of, all, grid, Some(y as usize)));
            nats.sum::<f64>() / count as f64
        };
        for name in ["prior.1.class", "prior.2.class", "prior.embedding"] {
            let found = read(&mut session, &Role::Gradients, name);
            let slope = |at: usize| {
                let moved = |by: f64| {
                    let mut all = all.clone();
                    all.get_mut(name).unwrap()[at] += by;
                    loss(&all)
                };
                (moved(1e-5) - moved(-1e-5)) / 2e-5
            };
            let expected: Vec<f64> = (0..all[name].len()).map(slope).collect();
            compare(&narrow(&expected), &found, ROUNDING).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        let error = session.next_logits(&given, 0).unwrap_err().to_string();
        assert!(error.contains("told the class"), "{error}");
    }
}

#[test]
fn a_prior_is_told_the_classes_of_the_data_and_draws_each() {
    let folder = tempfile::tempdir().unwrap();
    let at = |line: &str| elbo(folder.path(), &format!("{line} --adapter cpu"));
    super::trained(folder.path(), "cpu", "--epochs 2 --out vq");
    at(&format!("train --prior-of vq --set condition=label --epochs 4 --out told {PRIOR}")).succeeded();
    at(&format!("train --prior-of vq --set condition=label --epochs 2 --out parts {PRIOR}")).succeeded();
    at("train --resume parts --epochs 4").succeeded();
    let [whole, parts] = ["told", "parts"].map(|run| last(&folder.path().join(run)));
    assert!(whole.parameters == parts.parameters, "the bits differ");
    assert_eq!(json(folder.path(), "eval told")["condition"], "label");
    let sampled = json(folder.path(), "sample told -n 2 --out all.npy");
    assert_eq!((&sampled["count"], sampled["classes"].as_array().unwrap().len()), (&20.into(), 10));
    at("sample told -n 2 --class 7 --out seven.npy").succeeded();
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let (all, seven) = (bytes("all.npy"), bytes("seven.npy"));
    let row = (seven.len() - 128) / 2;
    assert_eq!(seven[128..], all[128 + 14 * row..][..2 * row], "a row of the grid");
    at("sample told --class 12 --out x.npy").failed(2, "there is no class `12`");
    at(&format!("train --prior-of vq --epochs 1 --out untold {PRIOR}")).succeeded();
    at("sample untold --class 7 --out x.npy").failed(2, "the model is told no classes");
    std::fs::remove_file(folder.path().join("told/codes/labels.npy")).unwrap();
    at("eval told").failed(3, "labels.npy");
    let pixels: Vec<f32> = (0..60 * 784).map(|at| (at / 3 % 2) as f32).collect();
    elbo::report::npy::save(&folder.path().join("plain.npy"), &pixels, &[60, 28, 28]).unwrap();
    at("train --data plain.npy --recipe vq --batch 20 --epochs 1 --out bare").succeeded();
    at(&format!("train --prior-of bare --set condition=label --out x {PRIOR}")).failed(3, "have no labels");
    assert!(!folder.path().join("x").exists());
}

/// The graph that is trained has no way to see what it predicts: else probabilities of all grids would add up to more than 1.
#[test]
fn the_probabilities_of_all_grids_add_up_to_one() {
    let of = Sizes { grid: [2, 2], codes: 3, wide: 8, layers: 3 };
    let grids: Vec<usize> = (0..81).flat_map(|grid| [grid / 27, grid / 9 % 3, grid / 3 % 3, grid % 3]).collect();
    for device in 0..executors().len() {
        let mut session = session(device, of, &grids);
        // Away from where nothing matters much.
        for range in session.ranges() {
            let values: Vec<f32> = read(&mut session, &Role::Parameters, &range.name).iter().map(|x| 2.0 * x).collect();
            super::write(&mut session, &range.name, &values);
        }
        let all: Vec<f64> =
            (0..81).map(|grid| (-eval::of_codes(&mut session, grid..grid + 1).unwrap().0).exp()).collect();
        let (sum, most) = (all.iter().sum::<f64>(), all.iter().copied().fold(0.0, f64::max));
        assert!((sum - 1.0).abs() < 1e-5, "{sum} on {}", session.executor.name());
        assert!(most > 1.5 / 81.0, "they differ: {most}");
    }
}

#[test]
fn a_cell_sees_every_cell_before_it_and_no_other_by_a_bit() {
    let of = Sizes { grid: [3, 4], codes: 5, wide: 8, layers: 4 };
    let cells = 12;
    for device in 0..executors().len() {
        let grid: Vec<u32> = drawn(of, 1).into_iter().map(|code| code as u32).collect();
        let mut session = session(device, of, &drawn(of, 20));
        for cell in 0..cells {
            let other = |code: u32| (code + 1) % of.codes as u32;
            let changed = |at: usize| {
                let mut grid = grid.clone();
                grid[at] = other(grid[at]);
                grid
            };
            let all: Vec<u32> = std::iter::once(grid.clone()).chain((0..cells).map(changed)).flatten().collect();
            let found = session.next_logits(&all, cell).unwrap();
            let logits: Vec<&[f32]> = found.chunks_exact(of.codes).collect();
            for at in 0..cells {
                let (same, what) = (logits[1 + at] == logits[0], session.executor.name());
                assert_eq!(same, at >= cell, "cell {cell} and a change of cell {at} on {what}");
            }
        }
        for (grids, cell, why) in [
            (vec![0; 12], 12, "cell 12 of 12 codes"),
            (vec![0; 5], 0, "cell 0 of 5 codes"),
            (vec![5; 12], 0, "code 5: they go from 0 to 4"),
        ] {
            let error = session.next_logits(&grids, cell).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}

#[test]
fn draws_of_a_number_do_not_hang_on_others_and_come_as_often_as_they_are_likely() {
    let of = Sizes { grid: [1, 2], codes: 3, wide: 4, layers: 1 };
    let mut session = session(0, of, &drawn(of, 20));
    let all = tensors(&mut session);
    let numbers: Vec<u32> = (0..4000).collect();
    let grids = session.draw_grids(&numbers, 7, 1.0).unwrap();
    assert_eq!(session.draw_grids(&numbers[130..140], 7, 1.0).unwrap(), grids[260..280]);
    assert_ne!(session.draw_grids(&numbers[..100], 8, 1.0).unwrap(), grids[..200]);
    for grid in 0..9 {
        let grid = [grid / 3, grid % 3];
        let p = (-nats(of, &all, &grid)).exp();
        let count = grids.chunks_exact(2).filter(|drawn| drawn[0] as usize == grid[0] && drawn[1] as usize == grid[1]);
        let (share, error) = (count.count() as f64 / 4000.0, (p * (1.0 - p) / 4000.0).sqrt());
        assert!((share - p).abs() < 4.5 * error, "{grid:?}: {share} for {p}");
    }
    let likeliest = session.draw_grids(&numbers[..3], 7, 0.0).unwrap();
    assert_eq!(likeliest[..2], likeliest[2..4]);
    for temperature in [-1.0, f32::NAN, f32::INFINITY] {
        assert!(session.draw_grids(&numbers[..1], 7, temperature).is_err());
    }
}

const PRIOR: &str = "--set prior_layers=2 --set prior_width=8 --batch 40 --set validation=20 --set checkpoint_steps=2 \
                     --set curve=constant";

#[test]
fn a_prior_is_trained_on_a_run_and_its_folder_works_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |line: &str| elbo(folder.path(), &format!("{line} --adapter cpu"));
    super::trained(folder.path(), "cpu", "--epochs 4 --out vq");
    let of_vq = json(folder.path(), "eval vq");
    at(&format!("train --prior-of vq --epochs 8 --out whole {PRIOR}")).succeeded();
    // In two sittings it has the bits of one, also where the folder has moved and the VQ-VAE is gone.
    at(&format!("train --prior-of vq --epochs 3 --out parts {PRIOR} --threads 1")).succeeded();
    std::fs::remove_dir_all(folder.path().join("vq")).unwrap();
    std::fs::create_dir(folder.path().join("elsewhere")).unwrap();
    std::fs::rename(folder.path().join("parts"), folder.path().join("elsewhere/prior")).unwrap();
    at("train --resume elsewhere/prior --epochs 8").succeeded();
    let [whole, parts] = ["whole", "elsewhere/prior"].map(|run| last(&folder.path().join(run)));
    assert!(whole.parameters == parts.parameters && whole.moments == parts.moments, "the bits differ");
    let found = json(folder.path(), "eval elsewhere/prior");
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name} in {found}"));
    let [nats, distortion] = ["neg_log_p_codes", "distortion"].map(number);
    assert!((number("uniform") - 49.0 * 12.0_f64.ln()).abs() < 1e-6);
    assert!(nats < number("uniform") - 1.0, "{found}");
    assert!((distortion - of_vq["distortion"].as_f64().unwrap()).abs() < 1e-3, "{found} and {of_vq}");
    assert!((number("description") - nats - distortion).abs() < 1e-9);
    assert!((number("bits_per_value") - (nats + distortion) / (784.0 * std::f64::consts::LN_2)).abs() < 1e-9);
    assert!((number("bits_per_code") - nats / (49.0 * std::f64::consts::LN_2)).abs() < 1e-9);
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    at("sample whole -n 5 --out a.npy").succeeded();
    at("sample elsewhere/prior -n 5 --out b.npy --threads 1").succeeded();
    at("sample whole -n 5 --out c.npy --temperature 0.5").succeeded();
    at("sample whole -n 5 --out d.npy --seed 9").succeeded();
    at("sample whole -n 3").succeeded();
    assert_eq!(bytes("a.npy"), bytes("b.npy"));
    assert!(bytes("a.npy") != bytes("c.npy") && bytes("a.npy") != bytes("d.npy"));
    at("reconstruct whole/codes/model -n 2 --out of-vq.png").succeeded();
    refusals(folder.path());
}

fn refusals(folder: &Path) {
    let at = |line: &str| elbo(folder, &format!("{line} --adapter cpu"));
    let none = "this is the prior of the codes of a VQ-VAE, and no autoencoder";
    for (line, code, culprit) in [
        ("reconstruct whole", 2, none),
        ("embed whole --out x.npy", 2, none),
        ("decode whole a.npy --out x.npy", 2, none),
        ("interpolate whole", 2, none),
        ("compare whole", 2, none),
        ("score whole", 2, none),
        ("attributes whole", 2, none),
        ("sample whole --draw", 2, "--draw is for autoencoders"),
        ("sample whole --temperature -1", 2, "a temperature of -1"),
        ("eval whole --samples 5", 2, "--samples: a prior of codes has no latents"),
        ("eval whole --data glyphs", 2, "--data: the data of a prior of codes are those in its folder"),
        ("train --resume whole --data glyphs --epochs 9", 2, "--data: the data of a prior of codes"),
        ("train --resume whole --prior-of whole", 2, "--prior-of cannot be given with --resume"),
        ("train --prior-of whole --out x", 2, none),
        ("train --prior-of nowhere --out x", 3, "nowhere"),
        ("train --recipe codes-prior --out x", 2, "a prior of codes is trained on those of a run"),
        ("train --data whole/codes --out x", 2, "these are codes of a VQ-VAE"),
        ("train --prior-of whole/codes/model --set prior_codes=9 --out x", 2, "--prior-of sets it to 12"),
        ("train --prior-of whole/codes/model --set lr=[0.1,0.2] --out x", 2, "one prior is trained at a time"),
        ("train --prior-of whole/codes/model --recipe classic --set binarise=dynamic --out x", 2, "data.binarise"),
    ] {
        at(line).failed(code, culprit);
        assert!(!folder.join("x").exists(), "{line}");
    }
    for format in ["web", "safetensors"] {
        elbo(folder, &format!("export whole --format {format} --out x")).failed(2, "it is exported by --format onnx");
    }
    elbo(folder, "export whole --format onnx --out networks").succeeded();
    let found: Vec<_> = content(&folder.join("networks")).into_iter().map(|(path, _)| path).collect();
    assert_eq!(found, ["README.md", "config.json", "prior.onnx"].map(|name| folder.join("networks").join(name)));
    at("train --data glyphs --set data.examples=200 --set hidden=[4] --set validation=0 --epochs 1 --out numbers")
        .succeeded();
    at("train --prior-of numbers --out x").failed(2, "its latents are numbers");
    at("sample numbers --temperature 1").failed(2, "--temperature is for priors of codes");
    let mut again = command(folder, &format!("{GRID} --epochs 1 --out other --adapter cpu --set lr=0.01"));
    again.args(LAYERS);
    outcome(again).succeeded();
    // Codes of another run, cut ones and none.
    let codes = folder.join("whole/codes/codes.npy");
    let own = std::fs::read(&codes).unwrap();
    at("train --prior-of other --out second --epochs 1 --set prior_layers=1 --set prior_width=4 --batch 40")
        .succeeded();
    std::fs::copy(folder.join("second/codes/codes.npy"), &codes).unwrap();
    at("eval whole").failed(3, "these are not the codes that the prior was trained on");
    at("train --resume whole --epochs 9").failed(3, "not those of the run");
    std::fs::write(&codes, &own[..own.len() - 8]).unwrap();
    at("eval whole").failed(3, "codes.npy");
    std::fs::remove_dir_all(folder.join("whole/codes")).unwrap();
    at("sample whole").failed(3, "the codes that the prior is trained on are missing");
}

#[test]
fn a_prior_of_codes_has_tasks_and_parameters_of_its_own() {
    let of = SMALL;
    let session = session(0, of, &drawn(of, 20));
    let names: Vec<&str> = session.model.tasks().iter().map(|task| task.name).collect();
    assert_eq!(names, ["evaluate", "next"]);
    assert!(session.model.maps().is_empty());
    let count: usize = session.model.parameters().iter().map(|parameter| parameter.shape.count()).sum();
    assert_eq!(count, 16 + (104 + 104 + 20) + (200 + 136 + 20) + 20 + 20);
    let source = elbo::graph::op::Source::Bytes;
    let error = Model::with(&session.config, [1, 2, 3], source, None, false, 0).unwrap_err().to_string();
    assert!(error.contains("model.prior_codes is for the codes of a VQ-VAE"), "{error}");
}
