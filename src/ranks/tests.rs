use super::*;

/// What each of so many ranks comes to, each on a thread.
fn each<T: Send>(count: usize, of: impl Fn(&Ranks) -> T + Sync) -> Vec<T> {
    each_of(threads(count), of)
}

fn each_of<T: Send>(ranks: Vec<Ranks>, of: impl Fn(&Ranks) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = ranks.into_iter().map(|ranks| scope.spawn(|| of(&{ ranks }))).collect();
        started.into_iter().map(|thread| thread.join().expect("no rank panics")).collect()
    })
}

/// Numbers whose sum depends on its order.
fn values(rank: usize, count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7 + rank * 13) as f32).sin() * 10.0_f32.powi((at + rank) as i32 % 9)).collect()
}

#[test]
fn sums_are_those_in_the_order_of_the_ranks_on_every_rank() {
    for (count, length) in [(1, 5), (2, 8), (3, 8), (3, 2), (4, 101), (3, 7000), (2, 0)] {
        let mut expected = values(0, length);
        for rank in 1..count {
            expected.iter_mut().zip(values(rank, length)).for_each(|(sum, more)| *sum += more);
        }
        let sum = |ranks: &Ranks| {
            let (mut values, mut room) = (values(ranks.rank(), length), Room::default());
            ranks.sum(&mut values, &mut room).map(|()| values)
        };
        for found in each(count, sum).into_iter().chain(each_of(threads_apart(count), sum)) {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found.expect("nobody leaves")), bits(&expected), "{length} of {count}");
        }
    }
}

#[test]
fn launchers_say_how_many_processes_they_started() {
    for (variables, expected) in [
        (&[("PATH", "/bin")][..], None),
        (&[("OMPI_COMM_WORLD_SIZE", "3")], Some(3)),
        (&[("PMI_SIZE", "4"), ("PMIX_RANK", "0")], Some(4)),
        (&[("PMIX_RANK", "1"), ("SLURM_STEP_NUM_TASKS", "5")], Some(5)),
        (&[("PMIX_RANK", "1")], None),
        // A step of Slurm whose tasks have nothing to do with each other.
        (&[("SLURM_STEP_NUM_TASKS", "5")], None),
    ] {
        let of = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        assert_eq!(launched_of(&of), expected, "{variables:?}");
    }
}

#[test]
fn small_things_are_agreed_upon() {
    let found = each(3, |ranks| {
        let rank = ranks.rank();
        let texts = ranks.texts(&"ä".repeat(rank)).unwrap();
        let sums = ranks.sum_f64(&[rank as f64, 0.5]).unwrap();
        let outcome = if rank == 0 { Err(Error::Disk("full".into())) } else { Ok("mine".into()) };
        let said = if rank == 0 { Ok("saved".to_owned()) } else { Err(Error::Bug("none".into())) };
        let (failed, said) = (ranks.outcome_of_first(outcome), ranks.outcome_of_first(said));
        let (largest, first) = (ranks.largest(rank as u32), ranks.of_first(1 << (40 + rank)));
        let mut words = [rank as u32 + 7, 1, 2, 3, 4 * rank as u32];
        ranks.take_from_first(&mut words).unwrap();
        (texts, sums, failed, said, largest, first, words)
    });
    for (texts, sums, failed, said, largest, first, words) in found {
        assert_eq!(words, [7, 1, 2, 3, 0]);
        assert_eq!(texts, ["", "ä", "ää"]);
        assert_eq!(sums, [3.0, 1.5]);
        assert_eq!(failed, Err(Error::Disk("full".into())));
        assert_eq!(said, Ok("saved".to_owned()));
        assert_eq!((largest, first), (Ok(2), Ok(1 << 40)));
    }
}

#[test]
fn ranks_that_differ_are_named_with_what_differs() {
    let fact = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let agree = |other: &[(String, String)]| {
        each(3, |ranks| {
            let own = [fact("version", "1"), fact("train.batch", "8")];
            ranks.agree(if ranks.rank() == 2 { other } else { &own })
        })
    };
    assert!(agree(&[fact("version", "1"), fact("train.batch", "8")]).iter().all(Result::is_ok));
    for (other, expected) in [
        (vec![fact("version", "2"), fact("train.batch", "8")], "rank 2 has another version than rank 0: 2 and 1"),
        (vec![fact("version", "1"), fact("train.batch", "9")], "rank 2 has another train.batch than rank 0: 9 and 8"),
        (vec![fact("version", "1")], "rank 2 has another train.batch than rank 0: nothing and 8"),
    ] {
        for found in agree(&other) {
            let Err(Error::Usage(why)) = found else { panic!("{found:?}") };
            assert!(why.starts_with(expected), "{why}");
        }
    }
}

#[test]
fn a_block_of_a_rank_for_itself_has_no_meaning() {
    let turns = |ranks: &Ranks| {
        let (rank, mut room, mut found) = (ranks.rank(), Room::default(), vec![]);
        for step in 0..3 {
            let scattered = ranks.scatter(2, &mut room, &mut |turn| {
                match turn {
                    Turn::Give(other, _) if other == rank => return Err(Error::Bug("that is its own".into())),
                    Turn::Give(other, block) => block.fill((100 * step + 10 * rank + other) as f32),
                    Turn::Take(blocks) => {
                        let others = blocks.iter().enumerate().filter(|(other, _)| *other != rank);
                        found.extend(others.flat_map(|(_, block)| block.to_vec()));
                    }
                }
                Ok(())
            });
            scattered.unwrap();
        }
        found
    };
    for ranks in [threads(3), threads_apart(3)] {
        for (rank, found) in each_of(ranks, turns).into_iter().enumerate() {
            let of = |step: usize| {
                (0..3).filter(move |&other| other != rank).map(move |other| 100 * step + 10 * other + rank)
            };
            let expected: Vec<f32> = (0..3).flat_map(of).flat_map(|number| [number as f32; 2]).collect();
            assert_eq!(found, expected, "rank {rank}");
        }
    }
}

#[test]
fn who_waits_for_a_rank_that_has_gone_is_told() {
    let found = each(3, |ranks| if ranks.rank() == 1 { Ok(0) } else { ranks.largest(7) });
    for (rank, found) in found.into_iter().enumerate().filter(|(rank, _)| *rank != 1) {
        let Err(Error::Device(why)) = found else { panic!("{rank}: {found:?}") };
        assert!(why.starts_with("rank 1 has ended"), "{why}");
    }
}

#[test]
fn alone_nothing_is_exchanged() {
    let ranks = Ranks::default();
    let mut values = vec![1.0, 2.0];
    ranks.sum(&mut values, &mut Room::default()).unwrap();
    assert_eq!((&values[..], ranks.count(), ranks.bytes_of_sum(100)), (&[1.0, 2.0][..], 1, 0));
    assert_eq!(ranks.texts("one").unwrap(), ["one"]);
    assert_eq!(ranks.outcome_of_first(Err(Error::Data("gone".into()))), Err(Error::Data("gone".into())));
    assert!(ranks.agree(&[]).is_ok());
}
