//! What is missing from rows: the mean and the draws of a model whose conditional distribution is known, and what becomes of
//! files.

use crate::program::{elbo, json, trained};
use elbo::checkpoint::{Checkpoint, load_latest};
use elbo::exec::select;
use elbo::impute::{Asked, Fill, impute};
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use elbo::run::Run;
use elbo::session::{Rows, Session};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A decoder without a hidden layer is linear: x = W z + b + noise of deviation 1/2.
const W: [[f64; 4]; 2] = [[1.0, -0.5, 0.8, 0.0], [0.3, 0.9, -0.4, 0.7]];
const B: [f64; 4] = [0.5, -1.0, 0.0, 2.0];
const VARIANCE: f64 = 0.25;

/// A model with this decoder and an encoder that knows the posterior given the first two values, but for the covariance of its
/// dimensions and a slight regard to the third value: weights have something to mend, and there are enough that weigh something.
fn linear() -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Philox::new(1, Stream::Choice, 0, 0);
    let rows: Vec<f32> = (0..4 * 64).map(|_| random.normal()).collect();
    npy::save(&folder.path().join("x.npy"), &rows, &[64, 4]).unwrap();
    let settings = "--recipe anomaly --set hidden=[] --latent 2 --set sigma=0.5 --set data.scale=none --epochs 1";
    elbo(folder.path(), &format!("train --data x.npy {settings} --adapter cpu --out run")).succeeded();
    let (mut checkpoint, _) = load_latest(&folder.path().join("run")).unwrap();
    let decoder = checkpoint.parameters.iter_mut().find(|(name, _)| name == "decoder.head").unwrap();
    assert_eq!(decoder.1.shape, [3, 4]);
    decoder.1.values = W.iter().chain([&B]).flatten().map(|&x| x as f32).collect();
    let encoder = checkpoint.parameters.iter_mut().find(|(name, _)| name == "encoder.head").unwrap();
    assert_eq!(encoder.1.shape, [5, 4]);
    encoder.1.values = posterior().iter().flatten().map(|&x| x as f32).collect();
    checkpoint
}

/// The encoder's map, [values + 1, 2Z]: means `PΣᵢ wᵢ(xᵢ − bᵢ)/σ²` and log-variances `ln Pⱼⱼ` of the posterior given the first two
/// values, P = (1 + Σᵢ wᵢwᵢᵀ/σ²)⁻¹.
fn posterior() -> [[f64; 4]; 5] {
    let inner = |j: usize, k: usize| (0..2).map(|i| W[j][i] * W[k][i] / VARIANCE).sum::<f64>();
    let [a, b, d] = [1.0 + inner(0, 0), inner(0, 1), 1.0 + inner(1, 1)];
    let p = [[d, -b], [-b, a]].map(|row| row.map(|x| x / (a * d - b * b)));
    let slope = |i: usize, j: usize| (0..2).map(|k| p[j][k] * W[k][i] / VARIANCE).sum::<f64>();
    let mut map = [[0.0; 4]; 5];
    for j in 0..2 {
        for i in 0..2 {
            map[i][j] = slope(i, j);
            map[4][j] -= slope(i, j) * B[i];
        }
        map[2][j] = 0.1;
        map[4][2 + j] = p[j][j].ln();
    }
    map
}

fn session(checkpoint: &Checkpoint) -> Session {
    Session::without_data(checkpoint, select::open("cpu", 2).unwrap().0).unwrap()
}

/// Covariance of two values of x.
fn covariance(i: usize, j: usize) -> f64 {
    W[0][i] * W[0][j] + W[1][i] * W[1][j] + if i == j { VARIANCE } else { 0.0 }
}

/// Mean and covariance of the values 2 and 3 of a row given the first two: N(b₂ + C₂₁C₁₁⁻¹(x₁ − b₁), C₂₂ − C₂₁C₁₁⁻¹C₁₂).
fn conditional(x: [f64; 2]) -> ([f64; 2], [f64; 3]) {
    let [a, b, d] = [covariance(0, 0), covariance(0, 1), covariance(1, 1)];
    let determinant = a * d - b * b;
    let solve = |v: [f64; 2]| [(d * v[0] - b * v[1]) / determinant, (a * v[1] - b * v[0]) / determinant];
    let of = |i: usize| [covariance(i, 0), covariance(i, 1)];
    let dot = |u: [f64; 2], v: [f64; 2]| u[0] * v[0] + u[1] * v[1];
    let shifted = solve([x[0] - B[0], x[1] - B[1]]);
    let means = [2, 3].map(|i| B[i] + dot(of(i), shifted));
    let rest = |i, j| covariance(i, j) - dot(of(i), solve(of(j)));
    (means, [rest(2, 2), rest(2, 3), rest(3, 3)])
}

#[test]
fn means_and_draws_are_those_of_the_exact_conditional_of_a_linear_model() {
    let mut session = session(&linear());
    let nan = f32::NAN;
    let rows = [1.5, 0.0, nan, nan, -1.0, -2.0, nan, nan, 0.1, 0.2, 0.3, 0.4];
    let rows = Rows { values: &rows, classes: &[] };
    // More samples than fit into a run; filled rows are encoded again, by which nothing may change.
    for iterations in [0, 2] {
        let asked = Asked { fill: Fill::Mean, samples: 6000, iterations, seed: 3 };
        let found = impute(&mut session, rows, &[0, 1, 2], asked, &mut |_| ()).unwrap();
        let means = &found.copies[0];
        let draws = Asked { fill: Fill::Draws(1500), samples: 6000, ..asked };
        let drawn = impute(&mut session, rows, &[0, 1, 2], draws, &mut |_| ()).unwrap();
        for (row, x) in [(0, [1.5, 0.0]), (1, [-1.0, -2.0])] {
            let (exact, [v2, cross, v3]) = conditional(x);
            let of = |i: usize| -> Vec<f64> { drawn.copies.iter().map(|copy| f64::from(copy[4 * row + i])).collect() };
            let (a, b) = (of(2), of(3));
            let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
            let product = |x: &[f64], y: &[f64]| {
                let (mx, my) = (mean(x), mean(y));
                x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / x.len() as f64
            };
            let what = format!("row {row}, {iterations} iterations: {exact:?}");
            for (i, exact) in exact.into_iter().enumerate() {
                let mean = f64::from(means[4 * row + 2 + i]);
                assert!((mean - exact).abs() < 0.04, "{what}: {mean}");
            }
            assert!((mean(&a) - exact[0]).abs() < 0.08 && (mean(&b) - exact[1]).abs() < 0.08, "{what}");
            let found = [product(&a, &a), product(&a, &b), product(&b, &b)];
            for (found, exact) in found.into_iter().zip([v2, cross, v3]) {
                assert!((found - exact).abs() < 0.07, "{what}: {found} and {exact}");
            }
        }
        assert_eq!(means[8..], [0.1, 0.2, 0.3, 0.4], "what is there stays");
        // A mean of so many is right to about 0.8/√1000 = 0.025, and more of them weigh something here.
        assert!(found.effective.len() == 2 && found.effective.iter().all(|&of| of > 1000.0), "{:?}", found.effective);
    }
}

#[test]
fn a_row_is_filled_alike_alone_and_in_company() {
    let checkpoint = linear();
    let mut session = session(&checkpoint);
    let mut random = Philox::new(4, Stream::Choice, 0, 0);
    let mut values: Vec<f32> = (0..4 * 40).map(|_| random.normal()).collect();
    values.iter_mut().step_by(3).for_each(|x| *x = f32::NAN);
    let numbers: Vec<u32> = (0..40).collect();
    for (fill, iterations) in [(Fill::Mean, 0), (Fill::Mode, 0), (Fill::Draws(2), 1)] {
        let asked = Asked { fill, samples: 24, iterations, seed: 3 };
        let whole = impute(&mut session, Rows { values: &values, classes: &[] }, &numbers, asked, &mut |_| ()).unwrap();
        for (first, count) in [(0, 1), (7, 5), (17, 23)] {
            let rows = Rows { values: &values[4 * first..][..4 * count], classes: &[] };
            let part = impute(&mut session, rows, &numbers[first..][..count], asked, &mut |_| ()).unwrap();
            for (whole, part) in whole.copies.iter().zip(&part.copies) {
                assert_eq!(whole[4 * first..][..4 * count], part[..], "{asked:?}");
            }
        }
        assert!(whole.copies.iter().flatten().all(|x| x.is_finite()));
    }
}

#[test]
fn draws_of_new_rows_have_the_distribution_of_the_model_and_do_not_depend_on_how_many_there_are() {
    let mut session = session(&linear());
    let numbers: Vec<u32> = (0..20_000).collect();
    let latents = session.latents(&numbers, 5).unwrap();
    let rows = session.draw(&latents, &[], None, 5).unwrap();
    assert_eq!(session.draw(&latents[..2 * 300], &[], None, 5).unwrap(), rows[..4 * 300]);
    assert_eq!(session.latents(&numbers[..300], 5).unwrap(), latents[..2 * 300]);
    assert_ne!(session.draw(&latents[..2 * 300], &[], None, 6).unwrap(), rows[..4 * 300]);
    let count = numbers.len() as f64;
    let mean = |i: usize| rows.iter().skip(i).step_by(4).map(|&x| f64::from(x)).sum::<f64>() / count;
    for i in 0..4 {
        assert!((mean(i) - B[i]).abs() < 0.05, "{i}: {}", mean(i));
        for j in 0..=i {
            let product = |row: &[f32]| (f64::from(row[i]) - B[i]) * (f64::from(row[j]) - B[j]);
            let found = rows.chunks_exact(4).map(product).sum::<f64>() / count;
            assert!((found - covariance(i, j)).abs() < 0.06, "{i} {j}: {found} and {}", covariance(i, j));
        }
    }
}

/// An encoder says something of a row of which nothing is known, too, and knows too little of how wide that row's latents lie.
#[test]
fn a_row_of_which_nothing_is_known_is_a_draw_of_the_model_however_few_samples_there_are() {
    let mut session = session(&linear());
    let numbers: Vec<u32> = (0..4000).collect();
    let rows = vec![f32::NAN; 4 * numbers.len()];
    let asked = Asked { fill: Fill::Draws(1), samples: 1, iterations: 0, seed: 3 };
    let found = impute(&mut session, Rows { values: &rows, classes: &[] }, &numbers, asked, &mut |_| ()).unwrap();
    assert!(found.effective.iter().all(|&of| of == 1.0));
    for (i, b) in B.iter().enumerate() {
        let of: Vec<f64> = found.copies[0].iter().skip(i).step_by(4).map(|&x| f64::from(x)).collect();
        let mean = of.iter().sum::<f64>() / of.len() as f64;
        let variance = of.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / of.len() as f64;
        let expected = covariance(i, i);
        // Four deviations of a mean and of a variance of 4,000 draws.
        assert!((mean - b).abs() < 4.0 * (expected / 4000.0).sqrt(), "{i}: {mean}");
        assert!((variance / expected - 1.0).abs() < 4.0 * (2.0_f64 / 4000.0).sqrt(), "{i}: {variance}");
    }
}

/// Rows of a number with one digit behind the point, a whole number, a level, a count and a name, of which every `hole`-th cell
/// of the first four is empty.
fn patients(rows: usize, hole: usize) -> String {
    let mut random = Philox::new(9, Stream::Choice, 0, 0);
    let mut text = String::from("age,pressure,ward,visits,name\n");
    let mut at = 0;
    for row in 0..rows {
        let z = random.normal();
        let ward = if z < -0.4 {
            "heart"
        } else if z < 0.4 {
            "eyes, ears"
        } else {
            "lungs"
        };
        let cells = [
            format!("{:.1}", 50.0 + 10.0 * z),
            format!("{:.0}", 120.0 + 8.0 * z + 3.0 * random.normal()),
            if ward.contains(',') { format!("\"{ward}\"") } else { ward.to_owned() },
            format!("{:.0}", (1.0 + 0.7 * z).exp().floor()),
        ];
        for cell in cells {
            at += 1;
            write!(text, "{},", if at % hole == 0 { "" } else { &cell }).unwrap();
        }
        writeln!(text, "p{row:03}").unwrap();
    }
    text
}

/// A folder with a run (`run`) on patients with holes, and `whole` on some without.
fn tables() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        "--adapter cpu --set data.columns.name=ignore --set data.columns.visits=count --set hidden=[16] --latent 2";
    for (run, hole) in [("run", 7), ("whole", usize::MAX)] {
        fs::write(folder.path().join(format!("{run}.csv")), patients(300, hole)).unwrap();
        let line = format!("train --data {run}.csv --recipe table {settings} --epochs 8 --out {run}");
        elbo(folder.path(), &line).succeeded();
    }
    folder
}

fn read(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(String::from).collect()).collect()
}

#[test]
fn tables_come_back_as_they_were_written_with_their_holes_filled_in_the_types_of_their_columns() {
    let folder = tables();
    let at = folder.path();
    // A column that the run does not know, and a row of which nothing is known.
    let other = "extra,ward,visits,pressure,age,name\n 1.50,heart,,121,,a\n\"x, y\",,,,,b\n007,lungs,2,130,61.5,c\n";
    fs::write(at.join("other.csv"), other).unwrap();
    let value = json(at, "impute run --data other.csv --out filled.csv --samples 64");
    assert_eq!(
        (&value["rows_filled"], &value["cells_filled"], &value["rows_empty"]),
        (&2.into(), &6.into(), &1.into())
    );
    let (before, after) = (read(&at.join("other.csv")), read(&at.join("filled.csv")));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.len(), after.len());
        assert!(before.iter().zip(after).all(|(before, after)| before.is_empty() || before == after), "{after:?}");
        assert!(after.iter().all(|cell| !cell.is_empty()), "{after:?}");
    }
    assert!(fs::read_to_string(at.join("filled.csv")).unwrap().contains("\n007,lungs,2,130,61.5,c\n"));
    for fill in ["--fill mean", "--fill mode", "--fill draw", "--draws 3 --iterations 1"] {
        elbo(at, &format!("impute run --out own.csv --samples 64 --adapter cpu {fill}")).succeeded();
        let rows = read(&at.join("own.csv"));
        let (first, copies) = if fill.contains("draws") { (1, 3) } else { (0, 1) };
        assert_eq!((rows.len(), rows[0].len()), (1 + 300 * copies, 5 + first));
        for row in &rows[1..] {
            let cells = &row[first..];
            let decimals = cells[0].split_once('.').map_or(0, |(_, digits)| digits.len());
            assert!(cells[0].parse::<f64>().is_ok() && decimals <= 1, "{fill}: {row:?}");
            assert!(cells[1].parse::<i64>().is_ok() && cells[3].parse::<u64>().is_ok(), "{fill}: {row:?}");
            assert!(["heart", "eyes, ears", "lungs"].contains(&&cells[2][..]), "{fill}: {row:?}");
        }
        if copies == 3 {
            let numbers: Vec<&str> = rows[1..].iter().step_by(300).map(|row| &row[0][..]).collect();
            assert_eq!((&rows[0][0][..], numbers), ("imputation", vec!["1", "2", "3"]));
            let cells = |copy: usize| rows[1 + 300 * copy..][..300].iter().map(|row| row[1..].join(","));
            assert!(cells(0).zip(cells(1)).filter(|(a, b)| a != b).count() > 30, "draws differ");
        }
    }
}

#[test]
fn what_makes_no_sense_is_told_in_one_line() {
    let folder = tables();
    let at = folder.path();
    fs::write(at.join("less.csv"), "age,pressure,visits\n1,2,\n").unwrap();
    for (line, code, culprit) in [
        ("impute run --data whole.csv --out f.csv", 2, "no value is missing"),
        ("impute run --data less.csv --out f.csv", 3, "`ward`"),
        ("impute run --out run.csv", 2, "run.csv"),
        ("impute run --out f.npy", 2, ".csv"),
        ("impute run --out f.csv --draws 0", 2, "--draws 0"),
        ("impute run --out f.csv --samples 0", 2, "0 samples"),
        ("impute run --out f.csv --samples 999999999", 2, "samples"),
        ("impute run --out f.csv --mask run.csv", 2, "--mask"),
        ("sample run --data run.csv --out f.csv", 2, "--data"),
        ("sample run --compare -n 3", 2, "--compare"),
        ("sample run --draw --total 5 --out f.csv", 2, "--total 5: it is for models whose likelihood is multinomial"),
        ("sample run --total 5 --out f.csv", 2, "--total: it is what --draw gives"),
    ] {
        elbo(at, &format!("{line} --adapter cpu")).failed(code, culprit);
    }
    let line = "impute whole --data run.csv --out f.csv --samples 16 --adapter cpu";
    let warned = elbo(at, line).succeeded().err;
    assert!(warned.contains("its encoder knows no rows with holes") && warned.contains("--iterations"), "{warned}");
    let quiet = elbo(at, &format!("{line} --iterations 1")).succeeded().err;
    assert!(!quiet.contains("knows no rows"), "{quiet}");
}

#[test]
fn drawn_rows_have_the_types_of_their_columns_and_are_compared_with_real_ones() {
    let folder = tables();
    let at = folder.path();
    elbo(at, "sample run -n 200 --draw --out drawn.csv --adapter cpu").succeeded();
    elbo(at, "sample run -n 200 --out means.csv --adapter cpu").succeeded();
    elbo(at, "sample run -n 20 --draw --out few.csv --adapter cpu").succeeded();
    let [drawn, means, few] = ["drawn.csv", "means.csv", "few.csv"].map(|name| read(&at.join(name)));
    assert_eq!(drawn[..21], few[..]);
    for row in &drawn[1..] {
        assert!(row[0].split_once('.').is_none_or(|(_, digits)| digits.len() == 1), "{row:?}");
        assert!(row[1].parse::<i64>().is_ok() && row[3].parse::<u64>().is_ok(), "{row:?}");
    }
    assert!(means[1..].iter().any(|row| row[3].contains('.')), "means of counts are what they were");
    let value = json(at, "sample run --compare");
    let compared = &value["compared"];
    assert_eq!(value["count"], 1000);
    assert_eq!((&compared["rows"]["drawn"], compared["marginals"].as_array().unwrap().len()), (&1000.into(), 4));
    assert!(compared["classifier"]["accuracy"].as_f64().unwrap() <= 1.0 && value["files"].is_null(), "{value}");
}

#[test]
fn masked_pictures_are_filled_and_the_rest_stays() {
    let folder = trained();
    let at = folder.path();
    let mask: Vec<f32> = (0..784).map(|at| if at >= 392 { 1.0 } else { 0.0 }).collect();
    npy::save(&at.join("mask.npy"), &mask, &[28, 28]).unwrap();
    npy::save(&at.join("small.npy"), &mask[..100], &[10, 10]).unwrap();
    npy::save(&at.join("black.npy"), &[0.0; 784], &[28, 28]).unwrap();
    let value = json(at, "impute run --mask mask.npy --out filled.npy --samples 16");
    assert_eq!((&value["rows_filled"], &value["cells_filled"]), (&300.into(), &(300 * 392).into()));
    elbo(at, "impute run --mask mask.npy --out filled.png --samples 16 --fill draw --adapter cpu").succeeded();
    let data = elbo::data::open(&load_latest(&at.join("run")).unwrap().0.config, None).unwrap();
    let mut run = Run::open(&at.join("run"), "cpu").unwrap();
    let mut row = data.example(3).unwrap();
    row[392..].fill(f32::NAN);
    let asked = Asked { fill: Fill::Draws(2), samples: 16, iterations: 1, seed: 0 };
    let copies = run.impute(&row, asked).unwrap().copies;
    assert!(copies.len() == 2 && copies[0] != copies[1] && copies.iter().all(|copy| copy[..392] == row[..392]));
    assert!(copies.iter().flatten().skip(392).all(|x| x.is_finite()));
    let drawn = run.draw(3, 1).unwrap();
    assert!(drawn.len() == 3 * 784 && drawn.iter().all(|&x| x == 0.0 || x == 1.0));
    assert!(run.encode(&row).is_err(), "a hole is no value for other questions");
    let bytes = fs::read(at.join("filled.npy")).unwrap();
    let filled: &[f32] = bytemuck::cast_slice(&bytes[bytes.len() - 4 * 300 * 784..]);
    for picture in [0, 17, 299] {
        let (own, found) = (data.example(picture).unwrap(), &filled[784 * data.row(picture)..][..784]);
        assert_eq!(own[..392], found[..392]);
        assert!(found[392..].iter().all(|x| (0.0..=1.0).contains(x)));
    }
    for (line, culprit) in [
        ("impute run --mask small.npy --out f.npy", "--mask small.npy"),
        ("impute run --mask black.npy --out f.npy", "black everywhere"),
        ("impute run --out f.npy", "no value is missing"),
        ("impute run --mask mask.npy --out f.csv", ".npy or .png"),
    ] {
        elbo(at, &format!("{line} --adapter cpu")).failed(2, culprit);
    }
}
