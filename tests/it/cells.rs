//! Counts of genes in cells: from a folder of 10x to latents, and what a library size does to means.

use crate::program::{elbo, json};
use elbo::checkpoint::load_latest;
use elbo::report::npy;
use elbo::rng::{Philox, Stream};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const CELLS: usize = 120;
const GENES: usize = 12;

/// Cells of two kinds and two batches, [CELLS, GENES]: each kind has genes of its own, and libraries are short and long.
fn counted() -> Vec<f32> {
    let mut random = Philox::new(3, Stream::Choice, 0, 0);
    let mut all = vec![0.0; CELLS * GENES];
    for (cell, row) in all.chunks_exact_mut(GENES).enumerate() {
        let depth = if cell % 3 == 0 { 10 } else { 60 };
        for _ in 0..depth {
            let own = random.uniform() < 0.8;
            let kind = if own { cell % 2 } else { 1 - cell % 2 };
            row[kind * GENES / 2 + (random.uniform() * 6.0) as usize % 6] += 1.0;
        }
    }
    all
}

/// Them as a folder of 10x, with a table of cells beside it.
fn write(at: &Path, dense: &[f32]) {
    let folder = at.join("sample");
    fs::create_dir_all(&folder).unwrap();
    let there = |(at, &x): (usize, &f32)| (x > 0.0).then(|| format!("{} {} {x}\n", at % GENES + 1, at / GENES + 1));
    let entries: Vec<String> = dense.iter().enumerate().filter_map(there).collect();
    let head = format!("%%MatrixMarket matrix coordinate integer general\n{GENES} {CELLS} {}\n", entries.len());
    fs::write(folder.join("matrix.mtx"), head + &entries.concat()).unwrap();
    let (mut features, mut barcodes, mut obs) = (String::new(), String::new(), "barcode,batch\n".to_owned());
    for gene in 0..GENES {
        writeln!(features, "ENSG{gene}\tGENE{gene}\tGene Expression").unwrap();
    }
    for cell in 0..CELLS {
        writeln!(barcodes, "CELL{cell:03}-1").unwrap();
        writeln!(obs, "CELL{cell:03}-1,{}", ["left", "right"][cell / 2 % 2]).unwrap();
    }
    fs::write(folder.join("features.tsv"), features).unwrap();
    fs::write(folder.join("barcodes.tsv"), barcodes).unwrap();
    fs::write(at.join("obs.csv"), obs).unwrap();
}

const SMALL: &str = "--epochs 3 --batch 30 --set hidden=[] --set decoder=[] --set encoder_layers=[] --set norm=none --latent 2 \
                     --adapter cpu";

/// What a decoder without hidden layers puts out for a latent, in double precision.
fn decoded(run: &Path, z: &[f32]) -> Vec<f64> {
    let all = load_latest(run).unwrap().0.parameters;
    let (_, tensor) = all.iter().find(|(name, _)| name == "decoder.head").unwrap();
    let outputs = tensor.shape[1];
    let rows = || tensor.values.chunks_exact(outputs).zip(z.iter().chain(&[1.0]));
    (0..outputs).map(|at| rows().map(|(row, &z)| f64::from(row[at]) * f64::from(z)).sum()).collect()
}

fn numbers(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// L·softmax(l)·(1 − sigmoid r), L the total of the cell where there is one and the median of the training part where there is none.
#[test]
fn means_are_shares_of_the_total_of_a_cell_and_of_the_median_total_where_there_is_no_cell() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let dense = counted();
    write(at, &dense);
    let test = "--set data.test=0 --set data.shuffle=false";
    for likelihood in ["poisson", "negative-binomial", "zero-inflated-negative-binomial"] {
        let run = at.join(likelihood);
        elbo(
            at,
            &format!(
                "train --data sample --recipe cells {SMALL} {test} --set likelihood={likelihood} --out {likelihood}"
            ),
        )
        .succeeded();
        elbo(at, &format!("embed {likelihood} --out z.npy")).succeeded();
        elbo(at, &format!("reconstruct {likelihood} -n {CELLS} --out again.npy --part train")).succeeded();
        elbo(at, &format!("decode {likelihood} z.npy --out apart.npy")).succeeded();
        let [z, again, apart] = ["z.npy", "again.npy", "apart.npy"].map(|name| numbers(&at.join(name)));
        let mut totals: Vec<f32> = dense.chunks_exact(GENES).map(|row| row.iter().sum()).collect();
        let own = totals.clone();
        totals.sort_by(f32::total_cmp);
        let median = f64::from(totals[(CELLS - 1) / 2]);
        for cell in 0..8 {
            let out = decoded(&run, &z[2 * cell..][..2]);
            let whole: f64 = out[..GENES].iter().map(|l| l.exp()).sum();
            for gene in 0..GENES {
                let kept = out.get(GENES + gene).map_or(1.0, |logit| 1.0 / (1.0 + logit.exp()));
                let share = kept * out[gene].exp() / whole;
                for (found, total) in [(&again[CELLS * GENES..], f64::from(own[cell])), (&apart[..], median)] {
                    let found = f64::from(found[cell * GENES + gene]);
                    assert!(
                        (found - total * share).abs() < 1e-4 * total,
                        "{likelihood}, {cell}, {gene}: {found} {total}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_folder_of_10x_becomes_latents_by_barcode_with_the_batch_as_a_condition() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, &counted());
    let said = elbo(at, "data sample --recipe cells --set data.obs=obs.csv --set data.labels=batch").succeeded().out;
    assert!(said.contains("counts of genes in cells") && said.contains("12 genes"), "{said}");
    let batch = "--set data.obs=obs.csv --set data.labels=batch --set model.condition=label";
    let trained = format!("train --data sample --recipe cells {batch} {SMALL} --out run");
    let said = elbo(at, &trained).succeeded().err;
    assert!(said.contains("elbo embed run --out latents.csv"), "{said}");
    elbo(at, "embed run --out latents.csv").succeeded();
    let text = fs::read_to_string(at.join("latents.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("index,label,mean_0,mean_1", 1 + CELLS));
    assert!(lines[1].starts_with("CELL000-1,left,") && lines[3].starts_with("CELL002-1,right,"), "{}", lines[1]);
    assert!(json(at, "eval run --samples 4")["neg_elbo"].as_f64().unwrap().is_finite());
    elbo(at, "score run --data sample --out scores.csv").succeeded();
    elbo(at, "sample run --draw --class right -n 9 --out drawn.npy").succeeded();
    let drawn = numbers(&at.join("drawn.npy"));
    assert!(drawn.len() == 9 * GENES && drawn.iter().all(|x| x.fract() == 0.0 && *x >= 0.0), "{drawn:?}");
    // As tables, below the names of the genes.
    let genes = (0..GENES).map(|gene| format!("GENE{gene}")).collect::<Vec<_>>().join(",");
    for (line, first) in [("sample run --draw --class right -n 2", "class,"), ("reconstruct run -n 2", "row,")] {
        elbo(at, &format!("{line} --out rows.csv")).succeeded();
        let text = fs::read_to_string(at.join("rows.csv")).unwrap();
        assert_eq!(text.lines().next(), Some(&*format!("{first}{genes}")), "{line}");
        let cells = text.lines().skip(1).flat_map(|line| line.split(',').skip(1).map(str::parse::<f32>));
        assert!(cells.clone().count() >= 2 * GENES && cells.flatten().count() >= 2 * GENES, "{text}");
    }
    elbo(at, "sample run -n 2 --out rows.xyz").failed(2, "rows.xyz: the file's name is to end in .csv, .npy or .png");
    for format in ["safetensors", "onnx", "web"] {
        elbo(at, &format!("export run --format {format} --out {format}")).succeeded();
    }
    let card = fs::read_to_string(at.join("safetensors/README.md")).unwrap();
    assert!(
        card.contains("log_softmax(1) + tensors[\"log_library\"]") && card.contains("are shares of the total"),
        "{card}"
    );
}

#[test]
fn what_a_library_size_does_not_go_with_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, &counted());
    elbo(at, &format!("train --data sample --recipe cells {SMALL} --out run")).succeeded();
    // Whole counts that are no folder of 10x can be drawn again.
    npy::save(&at.join("whole.npy"), &(0..160).map(|at| (at * at % 7) as f32).collect::<Vec<_>>(), &[40, 4]).unwrap();
    elbo(at, &format!("train --data whole.npy --recipe cells {SMALL} --out whole")).succeeded();
    elbo(at, "sample whole -n 2 --draw --out drawn.csv").succeeded();
    npy::save(&at.join("holes.npy"), &[1.0, f32::NAN, 2.0, 0.0, 1.0, 3.0], &[2, 3]).unwrap();
    for (line, code, words) in [
        ("impute run --out full.npy", 2, "elbo impute is for models whose values hang on the latents alone"),
        ("train --data holes.npy --recipe cells --batch 2 --adapter cpu --out no", 3, "some counts are missing"),
        (
            "train --recipe classic --set library_size=observed --out no",
            2,
            "model.library_size = observed is not allowed: it must be none where",
        ),
        ("train --data sample --out no --adapter cpu", 3, "counts are for `--recipe cells`"),
        ("train --data sample --recipe cells --set model.condition=label --out no", 3, "--set data.labels=COLUMN"),
        ("train --data sample --recipe cells --set data.labels=batch --out no", 2, "--set data.obs=TABLE.csv"),
        (
            "train --data glyphs --recipe cells --set data.obs=obs.csv --out no",
            2,
            "data.obs is set, which is for folders",
        ),
        ("recommend run --out next.csv", 2, "whose likelihood is multinomial"),
    ] {
        elbo(at, line).failed(code, words);
        assert!(!at.join("no").exists(), "{line}");
    }
}
