use std::collections::HashSet;

use super::*;

fn glyph(pixels: &[u8], index: usize) -> &[u8] {
    &pixels[index * PIXELS..(index + 1) * PIXELS]
}

#[test]
fn the_first_examples_of_a_larger_set_are_the_smaller_set() {
    let (many, many_labels) = draw(5, 300);
    for examples in [0, 1, 7, 299] {
        let (few, few_labels) = draw(5, examples);
        assert_eq!(few, many[..examples * PIXELS], "{examples} examples");
        assert_eq!(few_labels, many_labels[..examples], "{examples} examples");
    }
}

#[test]
fn other_seeds_draw_other_digits_and_no_two_digits_are_alike() {
    let (one, two) = (draw(1, 1000).0, draw(2, 1000).0);
    let distinct: HashSet<&[u8]> = one.chunks_exact(PIXELS).chain(two.chunks_exact(PIXELS)).collect();
    assert_eq!(distinct.len(), 2000);
}

#[test]
fn digits_are_about_equally_frequent() {
    let mut counts = [0_usize; 10];
    draw(SEED, 5000).1.iter().for_each(|&digit| counts[digit as usize] += 1);
    assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
}

#[test]
fn digits_are_light_on_black_centred_and_never_cut_off() {
    let (pixels, labels) = draw(SEED, 3000);
    let mean = pixels.iter().map(|&x| f64::from(x) / 255.0).sum::<f64>() / pixels.len() as f64;
    assert!((0.08..0.16).contains(&mean), "mean {mean}; that of MNIST is 0.13");
    for (index, digit) in labels.iter().enumerate() {
        let what = format!("example {index}, a {digit}");
        let (mut mass, mut x_mass, mut y_mass) = (0.0, 0.0, 0.0);
        for (at, &value) in glyph(&pixels, index).iter().enumerate() {
            let (x, y) = (at % SIDE, at / SIDE);
            let inside = (1..SIDE - 1).contains(&x) && (1..SIDE - 1).contains(&y);
            assert!(value == 0 || inside, "{what}: ink at the border, {x}, {y}");
            mass += f64::from(value);
            x_mass += f64::from(value) * (x as f64 + 0.5);
            y_mass += f64::from(value) * (y as f64 + 0.5);
        }
        assert!(mass > 255.0 * 15.0, "{what}: hardly any ink, {mass}");
        let off = (x_mass / mass - 14.0).abs().max((y_mass / mass - 14.0).abs());
        assert!(off < 4.5, "{what}: {off} pixels off the centre");
    }
}

/// One nearest neighbour among other examples recovers the digit, as it does for MNIST: the classes can be read.
#[test]
fn digits_can_be_told_apart() {
    let (known, asked) = (2000, 300);
    let (pixels, labels) = draw(SEED, known + asked);
    let distance = |a: usize, b: usize| -> i32 {
        let pairs = glyph(&pixels, a).iter().zip(glyph(&pixels, b));
        pairs.map(|(&x, &y)| (i32::from(x) - i32::from(y)).pow(2)).sum()
    };
    let right = (known..known + asked)
        .into_par_iter()
        .filter(|&i| {
            let nearest = (0..known).min_by_key(|&other| distance(i, other));
            nearest.is_some_and(|other| labels[other] == labels[i])
        })
        .count();
    assert!(right * 100 >= asked * 94, "{right} of {asked}");
}

/// A corner, a point given twice, keeps the curve straight on both sides; without it the curve swings around.
#[test]
fn a_point_given_twice_is_a_corner() {
    let round = curve(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]);
    let sharp = curve(&[[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]);
    let furthest = |chain: &[Point]| chain.iter().fold(0.0_f32, |most, point| most.max(point[0]).max(-point[1]));
    assert_eq!(round.len(), sharp.len());
    assert!(furthest(&round) > 1.01 && furthest(&sharp) <= 1.0, "{round:?} {sharp:?}");
}

#[test]
fn the_data_set_keeps_its_last_sixth_for_the_test() {
    for (examples, validation, parts) in [(600, 0, [500, 0, 100]), (600, 80, [420, 80, 100]), (1, 0, [1, 0, 0])] {
        let data = dataset(examples, validation).unwrap();
        assert_eq!([data.train.len(), data.validation.len(), data.test.len()], parts);
        assert_eq!(data.shape, [1, 28, 28]);
        assert_eq!(data.labels.map(|labels| labels.len()), Some(examples));
    }
    for (examples, validation) in [(0, 0), (MAX_EXAMPLES + 1, 0), (600, 500)] {
        assert_eq!(dataset(examples, validation).unwrap_err().exit_code(), 2, "{examples}, {validation}");
    }
}

/// Results are compared between machines and versions: the digits are the same bytes everywhere and always.
#[test]
fn the_digits_never_change() {
    let recorded = "7859c52227386d18b65ca1dc390cd6a574a2f9fbec83a8ed0b4789e9739b165d";
    assert_eq!(dataset(600, 0).unwrap().hash, recorded);
}
