use super::*;

/// What each of so many ranks comes to, each on a thread.
fn each<T: Send>(count: usize, of: impl Fn(&Ranks) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = threads(count).into_iter().map(|ranks| scope.spawn(|| of(&{ ranks }))).collect();
        started.into_iter().map(|thread| thread.join().expect("no rank panics")).collect()
    })
}

/// Numbers whose sum depends on its order.
fn values(rank: usize, count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7 + rank * 13) as f32).sin() * 10.0_f32.powi((at + rank) as i32 % 9)).collect()
}

#[test]
fn sums_are_those_in_the_order_of_the_ranks_on_every_rank() {
    for (count, length) in [(1, 5), (2, 8), (3, 8), (3, 2), (4, 101), (2, 0)] {
        let mut expected = values(0, length);
        for rank in 1..count {
            expected.iter_mut().zip(values(rank, length)).for_each(|(sum, more)| *sum += more);
        }
        let found = each(count, |ranks| {
            let mut values = values(ranks.rank(), length);
            ranks.sum(&mut values, &mut vec![]).map(|()| values)
        });
        for found in found {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found.expect("nobody leaves")), bits(&expected), "{length} of {count}");
        }
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
    ranks.sum(&mut values, &mut vec![]).unwrap();
    assert_eq!((&values[..], ranks.count(), ranks.bytes_of_sum(100)), (&[1.0, 2.0][..], 1, 0));
    assert_eq!(ranks.texts("one").unwrap(), ["one"]);
    assert_eq!(ranks.outcome_of_first(Err(Error::Data("gone".into()))), Err(Error::Data("gone".into())));
    assert!(ranks.agree(&[]).is_ok());
}
