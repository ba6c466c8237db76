use std::fs;

use super::super::super::testing::{fixture, plain};
use super::*;
use crate::config::{DataConfig, Likelihood};
use crate::data::Format;

const CELLS: [[f32; 4]; 3] = [[4., 1., 0., 0.], [0., 0., 2., 7.], [3., 0., 0., 0.]];

fn opened(path: &Path, config: &DataConfig) -> Result<Dataset> {
    let takes = Likelihood::ZeroInflatedNegativeBinomial.takes();
    dataset(path, &ReadOptions { config, takes, known: None, holes: false })
}

fn with(labels: &str, layer: &str) -> DataConfig {
    DataConfig { labels: labels.into(), layer: layer.into(), ..plain() }
}

#[test]
fn what_anndata_wrote_is_read_however_it_is_stored() {
    for (name, layer) in [
        ("cells-dense.h5ad", ""),
        ("cells-dense.h5ad", "X"),
        ("cells-layer.h5ad", "counts"),
        ("cells-raw.h5ad", "raw"),
        ("cells-old.h5ad", ""),
    ] {
        let data = opened(&fixture(name), &with("batch", layer)).unwrap();
        assert_eq!((data.format, data.shape), (Format::Cells, [1, 1, 4]), "{name}");
        assert_eq!(data.examples(&[0, 1, 2]).unwrap(), CELLS.as_flattened(), "{name}");
        assert_eq!(data.items.as_deref().unwrap(), ["CD3E", "MS4A1", "NKG7", "LYZ"], "{name}");
        assert_eq!([0, 1, 2].map(|cell| data.user(cell)), ["AAAC-1", "AAAG-1", "AAAT-1"], "{name}");
        assert_eq!(
            (data.labels.as_deref(), data.classes.as_deref().unwrap()),
            (Some(&[0, 1, 0][..]), &["d1".into(), "d2".into()][..])
        );
    }
    for (labels, classes) in [("words", ["x", "y"]), ("numbers", ["1", "2"]), ("flags", ["FALSE", "TRUE"])] {
        let data = opened(&fixture("cells-dense.h5ad"), &with(labels, "")).unwrap();
        assert_eq!(data.classes.as_deref().unwrap(), classes, "{labels}");
    }
}

#[test]
fn what_cannot_be_taken_is_said_in_a_line_that_says_where_it_is() {
    for (name, labels, layer, code, words) in [
        ("cells-layer.h5ad", "", "", 3, "no whole number, as values are that were normalised"),
        ("cells-layer.h5ad", "", "", 3, "counts are in `counts` of this file: --set data.layer=counts"),
        ("cells-raw.h5ad", "", "", 3, "gene `CD3E` of cell `AAAC-1` is 1.1"),
        ("cells-raw.h5ad", "", "", 3, "counts are in `raw` of this file: --set data.layer=raw"),
        ("cells-dense.h5ad", "", "spliced", 2, "the file has no layer of this name; it has none"),
        ("cells-layer.h5ad", "", "count", 2, "no layer of this name (did you mean `counts`?); it has `counts`"),
        ("cells-dense.h5ad", "bach", "", 2, "no column of this name (did you mean `batch`?); it has `batch`, `flags`"),
        ("cells-dense.h5ad", "holes", "", 3, "cell 1 (from 0) has nothing in the column `holes`"),
        ("cells-dense.h5ad", "maybe", "", 3, "cell 1 (from 0) has nothing in the column `maybe`"),
    ] {
        let error = opened(&fixture(name), &with(labels, layer)).unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == code && text.contains(words) && !text.contains('\n'), "{text}");
    }
    let config = DataConfig { obs: "obs.csv".into(), ..plain() };
    assert!(
        opened(&fixture("cells-dense.h5ad"), &config).unwrap_err().to_string().contains("has a table of its cells")
    );
}

/// Files that were cut short or changed in some bytes are read or refused, and none of them brings the program down.
#[test]
fn damaged_files_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    for name in ["cells-layer.h5ad", "cells-old.h5ad"] {
        let whole = fs::read(fixture(name)).unwrap();
        let config = with("batch", if name == "cells-layer.h5ad" { "counts" } else { "" });
        let mut refused = 0;
        for at in (0..whole.len()).step_by(whole.len() / 150 + 1) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x41;
            for bytes in [&whole[..at], &flipped[..]] {
                fs::write(&path, bytes).unwrap();
                match opened(&path, &config) {
                    Ok(_) => {}
                    Err(error) => {
                        refused += 1;
                        assert!(error.exit_code() == 3 || error.exit_code() == 2, "{name}, byte {at}: {error}");
                        assert!(!error.to_string().contains('\n'), "{name}, byte {at}: {error}");
                    }
                }
            }
        }
        assert!(refused > 150, "{name}: {refused}");
    }
}
