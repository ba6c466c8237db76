//! Damaged files of every kind are read by `elbo data`, or refused in one line: in bounded time and memory, without a
//! panic.

use super::*;
use crate::data::testing::{Mutations, fixture, in_bounded_memory};
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

/// Damaged copies of each file.
const COPIES: usize = 150;

/// Names in a folder, and whole files.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let table = "name,visits,size,city,code\nAnn,0,1.5,Rome,01\nBob,3,-2.25,Bonn,02\n\"C, D\",1,NA,Rome,10\n";
    let commas = "sep=;\na;b;c\n1,5;2;x\n2,5;?;y\n-3,25;4;x\n";
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 2][..], &[7; 24]].concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&idx).unwrap();
    let mut all = vec![
        ("table.csv", table.as_bytes().to_vec()),
        ("commas.csv", commas.as_bytes().to_vec()),
        ("tabs.tsv", table.replace(',', "\t").into_bytes()),
        ("a-images.idx3-ubyte", idx),
        ("b-images.idx3-ubyte.gz", packed.finish().unwrap()),
    ];
    for name in
        ["version1.npy", "version3.npy", "words.npy", "numbers.npz", "keras.npz", "resized.npz", "sparse-csr.npz"]
    {
        all.push((name, fs::read(fixture(name)).unwrap()));
    }
    for name in ["sparse-coo.npz", "sparse.mtx"] {
        all.push((name, fs::read(fixture(name)).unwrap()));
    }
    for name in ["palette.png", "unpacked.png", "colour.jpg", "progressive.jpg", "turned.jpg"] {
        all.push((name, fs::read(fixture(name)).unwrap()));
    }
    all
}

/// What `elbo data` says of a file.
fn described(path: &Path) -> Result<String> {
    let data = DataConfig { source: path.display().to_string(), test: 0.0, memory: 64, ..DataConfig::default() };
    let config = config::Config { data, ..config::Config::default() };
    let data = data::open(&config, None)?;
    let columns = describe(&data)?;
    as_json(&data, &columns)?;
    as_text(&data, &columns)
}

#[test]
fn damaged_files_are_read_or_refused_in_bounded_time_and_memory() {
    let test = "commands::describe::mutations::damaged_files_are_read_or_refused_in_bounded_time_and_memory";
    in_bounded_memory(test, 2048, || {
        let folder = tempfile::tempdir().unwrap();
        let (mut read, mut refused, begun) = (0, 0, Instant::now());
        for (number, (name, whole)) in files().into_iter().enumerate() {
            let picture = name.ends_with("png") || name.ends_with("jpg");
            let place = folder.path().join(number.to_string());
            fs::create_dir(&place).unwrap();
            let path = place.join(name);
            let source = if picture { &place } else { &path };
            let mut mutations = Mutations::new(number as u64);
            for copy in 0..COPIES {
                let damaged = if copy == 0 { whole.clone() } else { mutations.of(&whole) };
                fs::write(&path, &damaged).unwrap();
                let start = Instant::now();
                match described(source) {
                    Ok(_) => read += 1,
                    Err(error) => {
                        assert!(matches!(error.exit_code(), 2 | 3), "{name} {copy}: {error}");
                        refused += 1;
                    }
                }
                assert!(start.elapsed() < Duration::from_secs(10), "{name} {copy}: {:?}", start.elapsed());
            }
        }
        assert!(read > 300 && refused > 300, "{read} read and {refused} refused in {:?}", begun.elapsed());
    });
}

#[test]
fn a_table_with_a_cell_of_any_length_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.csv");
    let long = "w".repeat(200_000);
    fs::write(&path, format!("{long},b\n{long},1.5\ny,2.5\n")).unwrap();
    let text = described(&path).unwrap();
    assert!(text.lines().all(|line| line.chars().count() < 2000), "{} characters", text.len());
}
