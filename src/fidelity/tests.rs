use super::*;

/// Rows of two numbers that go together with correlation `rho`, and one of two levels, the second with probability `p`.
fn table(rows: usize, rho: f64, p: f64, shift: f64, seed: u64) -> Table {
    let mut random = Philox::new(seed, Stream::Choice, 5, 5);
    let mut row = || {
        let [a, b] = [(); 2].map(|()| f64::from(random.normal()));
        let level = f64::from(u8::from(f64::from(random.uniform()) < p));
        [a + shift, rho * a + (1.0 - rho * rho).sqrt() * b, level]
    };
    Table { levels: vec![0, 0, 2], cells: (0..rows).flat_map(|_| row()).collect() }
}

#[test]
fn the_distance_of_columns_follows_its_definition() {
    let numbers = |cells: &[f64]| Table { levels: vec![0], cells: cells.to_vec() };
    // F is 1/2 at 1 and 1 at 2; the other is 1/4 at 1.
    assert_eq!(marginal(&numbers(&[1.0, 2.0]), &numbers(&[1.0, 2.0, 2.0, 2.0]), 0), 0.25);
    assert_eq!(marginal(&numbers(&[1.0]), &numbers(&[3.0]), 0), 1.0);
    let levels = |cells: &[f64]| Table { levels: vec![3], cells: cells.to_vec() };
    assert_eq!(marginal(&levels(&[0.0, 1.0]), &levels(&[0.0, 2.0]), 0), 0.5);
    assert_eq!(marginal(&levels(&[0.0, f64::NAN]), &levels(&[0.0]), 0), 0.0);
}

#[test]
fn rows_of_the_same_distribution_are_no_further_than_held_out_ones_and_cannot_be_told() {
    let [drawn, train, held_out] = [1, 2, 3].map(|seed| table(800, 0.9, 0.3, 0.0, seed));
    let found = compare(Compared { drawn: &drawn, train: &train, held_out: Some(&held_out) }, 0);
    let close = |found: Beside| (found.drawn - found.held_out.unwrap()).abs();
    assert!(found.marginals.iter().all(|&found| close(found) < 0.05), "{found:?}");
    assert!(close(found.correlations.unwrap()) < 0.05 && close(found.nearest.unwrap()) < 0.01, "{found:?}");
    assert!((found.classifier.accuracy - 0.5).abs() < 4.0 * found.classifier.standard_error, "{found:?}");
    assert_eq!((found.copies.unwrap().drawn, found.classifier.rows), (0.0, 800));
}

#[test]
fn each_figure_sees_what_it_is_for() {
    let [train, held_out] = [2, 3].map(|seed| table(800, 0.9, 0.3, 0.0, seed));
    let of = |drawn: &Table| compare(Compared { drawn, train: &train, held_out: Some(&held_out) }, 0);
    let shifted = of(&table(800, 0.9, 0.3, 1.0, 4));
    // Two normal distributions a deviation apart differ by 2Φ(1/2) − 1 at most.
    assert!((shifted.marginals[0].drawn - 0.383).abs() < 0.06 && shifted.classifier.accuracy > 0.65, "{shifted:?}");
    let levels = of(&table(800, 0.9, 0.8, 0.0, 4));
    assert!((levels.marginals[2].drawn - 0.5).abs() < 0.06, "{levels:?}");
    let alone = of(&table(800, 0.0, 0.3, 0.0, 4));
    assert!((alone.largest_correlation.unwrap().drawn - 0.9).abs() < 0.1, "{alone:?}");
    assert!(alone.marginals.iter().all(|found| found.drawn < 0.08) && alone.classifier.accuracy > 0.7, "{alone:?}");
    let copied = of(&train.clone());
    assert!(copied.copies == Some(Beside { drawn: 1.0, held_out: Some(0.0) }) && copied.nearest.unwrap().drawn == 0.0);
}

#[test]
fn what_is_missing_is_no_difference() {
    let [drawn, train, mut held_out] = [1, 2, 3].map(|seed| table(400, 0.5, 0.3, 0.0, seed));
    held_out.cells.iter_mut().step_by(5).for_each(|cell| *cell = f64::NAN);
    let found = compare(Compared { drawn: &drawn, train: &train, held_out: Some(&held_out) }, 0);
    assert!((found.classifier.accuracy - 0.5).abs() < 4.0 * found.classifier.standard_error, "{found:?}");
    let alone = compare(Compared { drawn: &drawn, train: &train, held_out: None }, 0);
    assert!(!alone.classifier.held_out && alone.nearest.unwrap().held_out.is_none());
    let empty = Table { levels: vec![0, 0, 2], cells: vec![f64::NAN; 9] };
    let nothing = compare(Compared { drawn: &drawn, train: &empty, held_out: None }, 0);
    assert!(nothing.copies.is_none() && nothing.nearest.is_none(), "{nothing:?}");
}
