use super::*;
use crate::data::{OPENED, disk::ROWS_READ};
use crate::ranks::{threads, threads_apart};
use std::fs;
use std::path::Path;

const ROWS: usize = 40;

fn report() -> Report {
    Report::to(crate::report::Options::default(), Box::new(std::io::sink()), Box::new(std::io::sink()))
}

fn config(recipe: &str, source: &Path, settings: &[(&str, &str)]) -> Config {
    let source = source.display().to_string();
    let all = [("data.source", source.as_str()), ("batch", "8")];
    let pairs: Vec<_> = all.iter().chain(settings).map(|(key, value)| ((*key).into(), (*value).into())).collect();
    crate::config::resolve(Some(recipe), &pairs).expect("the settings are valid")
}

/// A recipe, a source, and settings.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// What each rank came to: its data, how often it opened a source, and how many rows it read from a disk.
type Found = (Result<Dataset>, usize, usize);

fn opened(ranks: Vec<Ranks>, config: impl Fn(usize) -> Config + Sync) -> Vec<Found> {
    let of = |ranks: Ranks| {
        let data = data(&config(ranks.rank()), None, (&ranks, &report()));
        (data, OPENED.get(), ROWS_READ.get())
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = ranks.into_iter().map(|ranks| scope.spawn(|| of(ranks))).collect();
        started.into_iter().map(|thread| thread.join().expect("no rank panics")).collect()
    })
}

/// All that there is of a data set, as text and words: NaN is equal to nothing.
fn bits(data: &Dataset) -> (String, Vec<u32>, [Option<Vec<u32>>; 2]) {
    let examples: Vec<u32> = (0..data.len() as u32).collect();
    let Dataset { name, format, shape, encoding, missing, decimals, text, classes, items, users, .. } = data;
    let said = format!(
        "{name} {format:?} {shape:?} {encoding:?} {missing} {decimals:?} {text:?} {classes:?} {items:?} {users:?}"
    );
    let parts = format!("{:?} {:?} {:?} {:?} {}", data.train, data.validation, data.test, data.notes, data.hash);
    (said + &parts, data.stored(&examples).expect("it can be read"), [data.labels.clone(), data.rows.clone()])
}

/// An array of bytes.
fn array(path: &Path, first: u8) {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({ROWS}, 3, 5), }}\n");
    let body: Vec<u8> = (0..ROWS * 15).map(|at| (at as u8).wrapping_mul(37).wrapping_add(first)).collect();
    let head = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    fs::write(path, [head, body].concat()).expect("there is room");
}

/// A table of a number, which may be missing, and a word; and who chose what.
fn tables(folder: &Path) {
    let row = |row: usize| {
        let number = if row % 7 == 3 { String::new() } else { (row as f64 / 3.0).to_string() };
        format!("{number},{},{}\n", ["Bonn", "Rome", "Ulm"][row * row % 3], row % 2)
    };
    let rows = (0..ROWS).map(row).collect::<Vec<_>>().concat();
    fs::write(folder.join("table.csv"), "size,city,kind\n".to_owned() + &rows).expect("there is room");
    let row = |at: usize| format!("u{},i{}\n", at % ROWS, at / ROWS * 5 + at % 4);
    let rows = (0..3 * ROWS).map(row).collect::<Vec<_>>().concat();
    fs::write(folder.join("chosen.csv"), "user,item\n".to_owned() + &rows).expect("there is room");
}

#[test]
fn ranks_of_a_machine_read_a_source_once_and_all_have_its_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    array(&at("bytes.npy"), 1);
    tables(folder.path());
    let nothing: &[(&str, &str)] = &[];
    let rows: [Row; 6] = [
        ("classic", "bytes.npy", nothing),
        ("classic", "bytes.npy", &[("memory", "0")]),
        ("table", "table.csv", &[("data.labels", "kind")]),
        ("table", "table.csv", &[("memory", "0"), ("data.labels", "kind")]),
        ("gaussian", "bytes.npy", &[("data.scale", "standardise")]),
        ("recommend", "chosen.csv", nothing),
    ];
    for (recipe, name, settings) in rows {
        let config = config(recipe, &at(name), settings);
        let alone = crate::data::open(&config, None).unwrap_or_else(|why| panic!("{name}: {why}"));
        let on_disk = matches!(alone.values, crate::data::Values::Disk(_));
        assert_eq!(on_disk, settings.contains(&("memory", "0")), "{name}");
        for (ranks, expected) in [(threads(3), [1, 0, 0]), (threads_apart(3), [1; 3])] {
            for (rank, (data, opened, read)) in opened(ranks, |_| config.clone()).into_iter().enumerate() {
                let data = data.unwrap_or_else(|why| panic!("{name}, rank {rank}: {why}"));
                assert_eq!(opened, expected[rank], "{name}, {settings:?}, rank {rank}");
                assert_eq!(read > 0, on_disk && opened == 1, "{name}, {settings:?}, rank {rank}: {read} rows");
                assert!(bits(&data) == bits(&alone), "{name}, {settings:?}, rank {rank}");
            }
        }
    }
}

#[test]
fn what_differs_is_read_by_everybody_and_what_cannot_be_read_is_said_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    array(&at("one.npy"), 1);
    array(&at("other.npy"), 2);
    // Another file, and one that is not there.
    let of = |name: &str| config("classic", &at(name), &[]);
    let found = opened(threads(3), |rank| of(if rank == 2 { "other.npy" } else { "one.npy" }));
    let hashes: Vec<_> = found.iter().map(|(data, ..)| data.as_ref().expect("it is there").hash.clone()).collect();
    assert!(hashes[0] == hashes[1] && hashes[1] != hashes[2], "{hashes:?}");
    assert_eq!(found.iter().map(|(_, opened, _)| *opened).collect::<Vec<_>>(), [1, 1, 1]);
    let found = opened(threads(2), |rank| of(if rank == 1 { "none.npy" } else { "one.npy" }));
    assert!(found[0].0.is_ok() && matches!(&found[1].0, Err(Error::Data(why)) if why.contains("none.npy")));
    // A file that is cut off.
    let whole = fs::read(at("one.npy")).unwrap();
    fs::write(at("cut.npy"), &whole[..whole.len() - 1]).unwrap();
    let alone = crate::data::open(&of("cut.npy"), None).expect_err("a byte is missing");
    for (rank, (data, opened, _)) in opened(threads(3), |_| of("cut.npy")).into_iter().enumerate() {
        assert_eq!((data.err(), opened), (Some(alone.clone()), usize::from(rank == 0)));
    }
}

#[test]
fn a_file_that_is_another_one_by_now_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.npy");
    array(&path, 1);
    let mut data = crate::data::open(&config("classic", &path, &[("memory", "0")]), None).unwrap();
    let head = handed::head(&mut data).expect("its file can be named");
    assert!(handed::coming(&head).unwrap().data.is_some());
    let blocks: Vec<usize> = handed::blocks(&mut data).iter().map(|block| block.len()).collect();
    array(&folder.path().join("other.npy"), 2);
    fs::rename(folder.path().join("other.npy"), &path).unwrap();
    let Coming { blocks: told, data } = handed::coming(&head).unwrap();
    assert!(data.is_none() && told == blocks, "{told:?}");
    assert!(matches!(handed::coming("{}"), Err(Error::Bug(_))));
}
