//! Damaged files of a checkpoint, each under a manifest that vouches for it, are read or refused in one line.

use super::tests::{checkpoint, tensor};
use super::*;
use crate::data::table::{Column, ColumnKind};
use crate::data::testing::{Mutations, in_bounded_memory};
use std::time::{Duration, Instant};

/// Damaged copies of each file.
const COPIES: usize = 200;

#[test]
fn damaged_checkpoints_are_read_or_refused_in_bounded_time_and_memory() {
    let test = "checkpoint::mutations::damaged_checkpoints_are_read_or_refused_in_bounded_time_and_memory";
    in_bounded_memory(test, 2048, || {
        let run = tempfile::tempdir().unwrap();
        let mut whole = checkpoint(7);
        whole.parameters = vec![tensor("a", &[2, 2], &[1.0; 4]), tensor("b", &[0, 3], &[])];
        let columns = vec![
            Column { name: "x".into(), kind: ColumnKind::Numeric { shift: 1.5, scale: 2.0 } },
            Column {
                name: "y".into(),
                kind: ColumnKind::Category { levels: vec!["a".into(), "b".into(), "c".into()] },
            },
        ];
        whole.progress.data.shape = [1, 1, 4];
        whole.progress.data.encoding = Some(Encoding { columns, range: [0.0, 1.0], array: None });
        let path = save(run.path(), &whole, 1).unwrap();
        let names = [PARAMETERS, MOMENTS, PROGRESS, CONFIG];
        let contents = names.map(|name| (name, fs::read(path.join(name)).unwrap()));
        let sealed = manifest::of_files(&contents).unwrap();
        let (mut read, mut refused) = (0, 0);
        for number in 0..=names.len() {
            let mut mutations = Mutations::new(100 + number as u64);
            for copy in 0..COPIES {
                let mut files = contents.clone();
                // The file of the round before is whole again.
                let changed = number.min(names.len() - 1);
                let mut manifest = sealed.clone();
                if number == names.len() {
                    manifest = mutations.of(&manifest);
                } else if copy > 0 {
                    files[number].1 = mutations.of(&files[number].1);
                    manifest = super::manifest::of_files(&files).unwrap();
                }
                for at in [changed, changed.saturating_sub(1)] {
                    fs::write(path.join(names[at]), &files[at].1).unwrap();
                }
                fs::write(path.join(manifest::FILE), manifest).unwrap();
                let start = Instant::now();
                match load(&path) {
                    Ok(found) => {
                        read += 1;
                        use_all(&found);
                    }
                    Err(Error::Data(_)) => refused += 1,
                    Err(error) => panic!("{number} {copy}: {error}"),
                }
                assert!(start.elapsed() < Duration::from_secs(10), "{number} {copy}: {:?}", start.elapsed());
            }
        }
        assert!(read > 30 && refused > 600, "{read} read and {refused} refused");
    });
}

/// What is done first with what a checkpoint says.
fn use_all(found: &Checkpoint) {
    let Progress { elapsed_seconds, data, .. } = &found.progress;
    let _ = Duration::from_secs_f64(*elapsed_seconds);
    let width = data.shape.iter().product::<usize>();
    let rows = data.original(&vec![0.5; width]);
    if let Some(encoding) = data.table() {
        assert_eq!(encoding.cells(&rows).len(), encoding.columns.len());
    }
    for (_, tensor) in found.parameters.iter().chain(&found.moments) {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
        let _ = tensor.shape.iter().rev().product::<usize>();
        let _ = tensor.shape.iter().skip(1).product::<usize>();
    }
}
