use super::*;
use crate::config::{Config, DataConfig, Tokens};
use crate::data::{FittedPreprocessing, open};

/// A folder with a file of this name and content, and its place.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path.display().to_string())
}

fn read(
    name: &str,
    content: &[u8],
    change: impl Fn(&mut DataConfig),
    known: Option<FittedPreprocessing>,
) -> Result<Dataset> {
    let (_folder, source) = file(name, content);
    let recipe = if name.ends_with("smi") { "smiles" } else { "text" };
    let mut config = crate::config::resolve(Some(recipe), &[]).unwrap();
    config.data = DataConfig { source, shuffle: false, test: 0.0, validation: 0, ..config.data };
    change(&mut config.data);
    open(&config, known)
}

#[test]
fn lines_become_numbers_with_an_end_and_what_is_cut_has_none() {
    let data = read("a.txt", b"\xef\xbb\xbfbab\r\n\nabcab\na", |config| config.length = 4, None).unwrap();
    assert_eq!((data.shape, data.format), ([1, 1, 5], Format::Text));
    assert_eq!(data.examples(&[0, 1, 2]).unwrap(), [4., 3., 4., 1., 0., 3., 4., 5., 3., 0., 3., 1., 0., 0., 0.]);
    assert_eq!([0, 1, 2].map(|at| data.row(at)), [0, 2, 3]);
    assert_eq!(data.lengths(0..3).unwrap(), [4, 4, 2]);
    assert!(data.notes.iter().any(|note| note.starts_with("1 of 3 lines have more than 4 tokens and were cut")));
    assert!(data.notes.iter().any(|note| note.starts_with("1 empty lines")));
    let data = read("a.txt", b"bab\nabcab\na", |c| (c.length, c.longer) = (4, Longer::Skip), None).unwrap();
    assert_eq!((data.len(), data.shape), (2, [1, 1, 4]), "no place that no line takes");
}

#[test]
fn a_trained_model_reads_other_text_by_its_own_tokens() {
    let trained = read("a.txt", b"abc\ncab\nad", |config| config.test = 0.34, None).unwrap();
    let vocabulary = trained.text.clone().unwrap();
    assert_eq!((vocabulary.words.concat().as_str(), vocabulary.unseen.concat().as_str()), ("abc", "d"));
    assert!(trained.notes.iter().any(|note| note.starts_with("1 tokens that the training part does not have")));
    let known = Some(FittedPreprocessing { text: Some(&vocabulary), floats: true, ..FittedPreprocessing::default() });
    let other = read("b.txt", b"cd\nabcc", |_| (), known).unwrap();
    assert_eq!(other.examples(&[0, 1]).unwrap(), [5., 2., 1., 0., 3., 4., 5., 0.]);
    let error = read("b.txt", b"ab\nxa", |_| (), known).unwrap_err().to_string();
    assert!(error.contains("line 2: the model was not trained on the token `x`, it knows 3"), "{error}");
    let other = read("b.txt", b"ab\nxa", |config| config.unknown = Unknown::Anomalous, known).unwrap();
    assert_eq!(other.examples(&[1]).unwrap(), [2., 3., 1., 0.]);
}

#[test]
fn molecules_stand_in_the_first_column_and_are_cut_by_atoms() {
    let data = read("a.smi", b"CCl name 1\nc1ccccc1\tbenzene\n", |_| (), None).unwrap();
    assert_eq!(data.lengths(0..2).unwrap(), [3, 9]);
    let vocabulary = data.text.clone().unwrap();
    assert_eq!((vocabulary.tokens, vocabulary.text(&data.tokens(1).unwrap())), (Tokens::Smiles, "c1ccccc1".into()));
}

#[test]
fn what_is_no_text_is_refused_in_a_line_that_says_where() {
    for (name, content, change, expected) in [
        ("a.txt", &b""[..], None, "there is no line of text in it"),
        ("a.txt", b"\n\n", None, "there is no line of text in it"),
        ("a.txt", b"one line", None, "there is a single line"),
        ("a.csv", b"", None, "the file is empty"),
        ("a.csv", b"text\n\n \n", None, "the column `text` is empty in all rows"),
        (
            "a.csv",
            b"a,b\n1,x\n",
            None,
            "which of its 2 columns holds the text? Name it with `--set data.text=COLUMN`: a, b",
        ),
        ("a.csv", b"a\n1\n2.5\n", None, "the column `a` holds numbers alone"),
        ("a.csv", b"a\nx\n", None, "there is a single row with text"),
        ("a.txt", b"ab\nc\xff\n", None, "line 2: byte 1 is not UTF-8"),
        ("a.smi", b"CC\nCX\n", None, "line 2: `X` is no part of SMILES"),
        ("a.smi", b"CC\nC[NH\n", None, "line 2: `[` is never closed"),
        ("a.txt", b"ab\nabc\n", Some(Unknown::Missing), "data.unknown = missing is for tables"),
    ] {
        let error = read(name, content, |config| config.unknown = change.unwrap_or(config.unknown), None);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name) && !error.contains('\n'), "{error}");
    }
    let (_folder, source) = file("a.txt", b"ab\nabc\n");
    let mut config = Config::default();
    config.data.source = source;
    let error = open(&config, None).unwrap_err().to_string();
    assert!(error.contains("this is text, and the bernoulli likelihood takes none; choose `--recipe text`"), "{error}");
}

#[test]
fn a_column_of_a_table_is_text() {
    let table = b"id,said\n1,\"a, b\"\n2,\n3,12\n4,\"b\na\"\n";
    let data = read("a.csv", table, |config| config.text = "said".into(), None).unwrap();
    let text = data.text.clone().unwrap();
    let texts: Vec<String> = (0..3).map(|at| text.text(&data.tokens(at).unwrap())).collect();
    assert_eq!(texts, ["a, b", "12", "b\u{23ce}a"]);
    assert_eq!([0, 1, 2].map(|at| data.row(at)), [0, 2, 3]);
    assert!(data.notes.iter().any(|note| note == "1 rows without text were left out"));
    let only = read("a.tsv", b"said\nab\nb\n", |_| (), None).unwrap();
    assert_eq!(only.len(), 2);
    let error = read("a.csv", table, |config| config.text = "sad".into(), None).unwrap_err().to_string();
    assert!(error.contains("data.text = sad") && error.contains("did you mean `said`?"), "{error}");
    let error = read("a.txt", b"a\nb\n", |config| config.text = "said".into(), None).unwrap_err().to_string();
    assert!(error.contains("data.text = said is a column of a .csv or .tsv file"), "{error}");
}

#[test]
fn long_lines_become_windows_of_which_the_last_has_the_end() {
    let windows = |config: &mut DataConfig| (config.length, config.longer) = (3, Longer::Windows);
    let data = read("a.txt", b"abcabca\nab\nabcabc\n", windows, None).unwrap();
    let shown: Vec<Vec<f32>> = (0..data.len()).map(|at| data.example(at).unwrap()).collect();
    let expected =
        [[3., 4., 5., 0.], [3., 4., 5., 0.], [3., 1., 0., 0.], [3., 4., 1., 0.], [3., 4., 5., 0.], [3., 4., 5., 1.]];
    assert_eq!(shown, expected.map(|row| row.to_vec()));
    assert_eq!((0..6).map(|at| data.row(at)).collect::<Vec<_>>(), [0, 0, 0, 1, 2, 2]);
    assert!(data.notes.iter().any(|note| note.starts_with("2 of 3 lines have more than 3 tokens and became windows")));
    // Windows of a line stay together in a random order, so that at most one line is in two parts.
    let lines = (0..40).map(|at| "abcdefgh".repeat(1 + at % 3)).collect::<Vec<_>>().join("\n");
    let parted = |config: &mut DataConfig| {
        windows(config);
        (config.shuffle, config.test) = (true, 0.3);
    };
    let data = read("a.txt", lines.as_bytes(), parted, None).unwrap();
    assert_eq!(data.test.len(), (data.len() as f64 * 0.3) as usize);
    let rows = |part: std::ops::Range<usize>| part.map(|at| data.row(at)).collect::<std::collections::BTreeSet<_>>();
    let (train, test) = (rows(data.train.clone()), rows(data.test.clone()));
    assert!(train.intersection(&test).count() <= 1 && train.len() + test.len() >= 40);
}

#[test]
fn texts_of_a_folder_are_documents_with_line_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    let open = || {
        let mut config = crate::config::resolve(Some("text"), &[]).unwrap();
        let source = folder.path().display().to_string();
        config.data = DataConfig { source, shuffle: false, test: 0.0, validation: 0, ..config.data };
        open(&config, None)
    };
    assert!(open().unwrap_err().to_string().contains("there is no .txt or .mid file in this folder"));
    write("b.txt", b"\xef\xbb\xbfab\r\ncd\n\n");
    write("a.txt", b"x");
    write("c.txt", b"\n\n");
    write(".hidden.txt", b"hidden");
    let data = open().unwrap();
    let text = data.text.clone().unwrap();
    assert_eq!([0, 1].map(|at| text.text(&data.tokens(at).unwrap())), ["x", "ab\u{23ce}cd"]);
    assert!(data.notes.iter().any(|note| note == "1 empty texts were left out"));
    write("d.txt", b"a\xff");
    let error = open().unwrap_err().to_string();
    assert!(error.contains("d.txt: byte 1 is not UTF-8"), "{error}");
}
