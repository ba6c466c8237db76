use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

use super::super::testing::plain;
use super::super::{Dataset, FittedPreprocessing, Format, ReadOptions, check, read};
use super::*;
use crate::config::{DataConfig, Likelihood};

/// Four genes, one of them twice, and an antibody between them.
const FEATURES: &str = "E1\tCD3E\tGene Expression\nE2\tMS4A1\tGene Expression\nA1\tCD4\tAntibody Capture\n\
                        E3\tCD3E\tGene Expression\nE4\tLYZ\tGene Expression\n";
const BARCODES: &str = "AAAC-1\nAAAG-1\nAAAT-1\n";
/// 5 features × 3 cells.
const MATRIX: &str = "%%MatrixMarket matrix coordinate integer general\n%metadata_json: {}\n5 3 6\n1 1 4\n2 1 1\n3 1 90\n\
                      4 2 2\n5 2 7\n1 3 3\n";
const OBS: &str = "barcode,donor,kind\nAAAG-1,d2,B\nAAAC-1,d1,T\nAAAT-1,d1,T\nAAAA-1,d9,NK\n";

fn request<'a>(config: &'a DataConfig, known: Option<&'a [String]>) -> ReadOptions<'a> {
    let known =
        known.map(|items| FittedPreprocessing { items: Some(items), floats: true, ..FittedPreprocessing::default() });
    ReadOptions { config, takes: Likelihood::ZeroInflatedNegativeBinomial.takes(), known, holes: false }
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let mut bytes = text.as_bytes().to_vec();
        if Path::new(name).extension().is_some_and(|end| end == "gz") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes).unwrap();
            bytes = encoder.finish().unwrap();
        }
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Opens files in a folder, that of `source` in it.
fn opened(files: &[(&str, &str)], source: &str, config: &DataConfig, known: Option<&[String]>) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let obs = if config.obs.is_empty() { String::new() } else { at(&config.obs) };
    read(&request(&DataConfig { source: at(source), obs, ..config.clone() }, known))
}

fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|&word| word.to_owned()).collect()
}

const CELLS: [[f32; 4]; 3] = [[4., 1., 0., 0.], [0., 0., 2., 7.], [3., 0., 0., 0.]];

#[test]
fn a_folder_of_10x_is_cells_of_named_genes() {
    let [old, new, prefixed] = [
        &[("matrix.mtx", MATRIX), ("genes.tsv", FEATURES), ("barcodes.tsv", BARCODES)],
        &[("matrix.mtx.gz", MATRIX), ("features.tsv.gz", FEATURES), ("barcodes.tsv.gz", BARCODES)],
        &[("GSM1_matrix.mtx.gz", MATRIX), ("GSM1_features.tsv", FEATURES), ("GSM1_barcodes.tsv.gz", BARCODES)],
    ];
    let config = plain();
    for (files, source) in
        [(old, ""), (new, ""), (old, "matrix.mtx"), (new, "matrix.mtx.gz"), (prefixed, "GSM1_matrix.mtx.gz")]
    {
        let data = opened(files, source, &config, None).unwrap();
        assert_eq!((data.format, data.shape, data.len()), (Format::Cells, [1, 1, 4], 3), "{source}");
        assert_eq!(data.examples(&[0, 1, 2]).unwrap(), CELLS.as_flattened());
        assert_eq!(data.items, Some(words(&["CD3E", "MS4A1", "CD3E-1", "LYZ"])), "the second of a name is told apart");
        assert_eq!([0, 1, 2].map(|cell| data.user(cell)), ["AAAC-1", "AAAG-1", "AAAT-1"]);
        assert!(data.notes[0].starts_with("1 features that are no genes"), "{:?}", data.notes);
        assert_eq!(data.totals(0..3).unwrap(), [5.0, 9.0, 3.0]);
        check(&data, Likelihood::NegativeBinomial.takes()).unwrap();
    }
    // Cells × genes, as scipy.io.mmwrite writes the X of scanpy.
    let turned = "%%MatrixMarket matrix coordinate real general\n3 2 2\n1 1 4\n2 2 7.0\n";
    let files = [("matrix.mtx", turned), ("features.tsv", "CD3E\nLYZ\n"), ("barcodes.tsv", BARCODES)];
    let data = opened(&files, "", &config, None).unwrap();
    assert_eq!(data.examples(&[0, 1, 2]).unwrap(), [4., 0., 0., 7., 0., 0.]);
    assert_eq!(data.notes, ["1 cells have no count at all: nothing tells them apart, so leave them out"]);
}

#[test]
fn a_table_says_of_which_batch_each_cell_is() {
    let files = [("matrix.mtx", MATRIX), ("genes.tsv", FEATURES), ("barcodes.tsv", BARCODES), ("obs.csv", OBS)];
    let config = DataConfig { obs: "obs.csv".into(), labels: "donor".into(), ..plain() };
    let data = opened(&files, "", &config, None).unwrap();
    assert_eq!((data.labels, data.classes), (Some(vec![0, 1, 0]), Some(words(&["d1", "d2"]))));
    for (labels, obs, text, words) in [
        ("sex", "obs.csv", OBS, "obs.csv (data.obs) has no column of this name"),
        ("donor", "", OBS, "--set data.obs=TABLE.csv"),
        ("donor", "obs.csv", "cell,donor\nAAAC-1,d1\n", "2 of 3 cells have no `donor` there, `AAAG-1` among them"),
        ("donor", "obs.csv", "cell,donor\nAAAC-1,d1\nAAAC-1,d2\n", "the cell `AAAC-1` has two lines"),
    ] {
        let config = DataConfig { obs: obs.into(), labels: labels.into(), ..plain() };
        let files = [files[0], files[1], files[2], ("obs.csv", text)];
        let error = opened(&files, "", &config, None).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn other_cells_are_brought_to_the_genes_of_a_model() {
    let files = [("matrix.mtx", MATRIX), ("genes.tsv", FEATURES), ("barcodes.tsv", BARCODES)];
    let known = words(&["LYZ", "CD3E"]);
    let data = opened(&files, "", &plain(), Some(&known)).unwrap();
    assert_eq!(data.examples(&[0, 1, 2]).unwrap(), [0., 4., 7., 0., 0., 3.]);
    assert!(data.notes[1].starts_with("2 genes that the model was not trained on"), "{:?}", data.notes);
    let known = words(&["LYZ", "NKG7", "CD3E", "A", "B", "C"]);
    let error = opened(&files, "", &plain(), Some(&known)).unwrap_err().to_string();
    assert!(
        error.contains("of the 6 genes that the model was trained on `NKG7`, `A`, `B` and 1 more are not"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_with_a_folder_is_said_in_a_line() {
    let matrix = |entry: &str| format!("%%MatrixMarket matrix coordinate real general\n5 3 1\n{entry}\n");
    let (half, minus) = (matrix("2 1 0.5"), matrix("2 1 -3"));
    let all = [("matrix.mtx", MATRIX), ("genes.tsv", FEATURES), ("barcodes.tsv", BARCODES)];
    let with = |matrix: &'static str| [("matrix.mtx", matrix), all[1], all[2]];
    for (files, expected) in [
        (&[all[0], all[2]][..], "there is no features.tsv or genes.tsv (or that with .gz behind it)"),
        (&[all[0], all[1]], "there is no barcodes.tsv"),
        (&[all[1], all[2]], "there is no matrix.mtx"),
        (&[all[0], all[1], ("barcodes.tsv", "a\nb\n")], "5 rows and 3 columns, and the lists beside it name 5 genes"),
        (&[all[0], ("genes.tsv", "a\n\nb\n"), all[2]], "line 2 is empty"),
        (&with(Box::leak(half.into_boxed_str())), "gene `MS4A1` of cell `AAAC-1` is 0.5, no whole number"),
        (&with(Box::leak(minus.into_boxed_str())), "line 3: the value is -3"),
        (&with("%%MatrixMarket matrix coordinate integer general\n5 3 0\n"), "no cell has any count"),
    ] {
        let error = opened(files, "", &plain(), None).unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == 3 && text.contains(expected) && !text.contains('\n'), "{text}");
    }
    let config = DataConfig { layer: "counts".into(), ..plain() };
    let error = opened(&all, "", &config, None).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("it is for .h5ad files"), "{error}");
}

#[test]
fn names_are_made_different_as_anndata_makes_them() {
    // anndata.utils.make_index_unique of the same.
    let found = unique(words(&["a", "a", "b", "a", "a-1"]));
    assert_eq!(found, ["a", "a-2", "b", "a-3", "a-1"]);
}
