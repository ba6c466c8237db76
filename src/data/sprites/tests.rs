use std::collections::HashSet;

use super::*;

fn picture(values: &[u32]) -> Vec<u8> {
    let mut pixels = vec![0; if values.len() == 6 { 3 * PIXELS } else { PIXELS }];
    draw_one(values, &mut pixels);
    pixels
}

/// The number of lit pixels, and their mean column and row in pixels.
fn moments(pixels: &[u8]) -> [f64; 3] {
    let lit: Vec<[f64; 2]> = (0..PIXELS)
        .filter(|&at| pixels[at] > 0)
        .map(|at| [(at % SIDE) as f64 + 0.5, (at / SIDE) as f64 + 0.5])
        .collect();
    let mean = |k: usize| lit.iter().map(|point| point[k]).sum::<f64>() / lit.len() as f64;
    [lit.len() as f64, mean(0), mean(1)]
}

#[test]
fn the_grid_is_gone_through_once() {
    for coloured in [false, true] {
        let cells: usize = factors(coloured).iter().map(|factor| factor.count).product();
        let mut seen = vec![false; cells];
        for number in 0..cells as u32 {
            let at = cell(number, cells as u32) as usize;
            assert!(!std::mem::replace(&mut seen[at], true), "cell {at} comes twice");
        }
    }
    assert_eq!(MAX_EXAMPLES, factors(false).iter().map(|factor| factor.count).product::<usize>());
}

#[test]
fn every_value_of_a_factor_is_about_equally_frequent_and_factors_know_nothing_of_each_other() {
    let all: Vec<Vec<u32>> = (0..24_000).map(|number| values(number, true)).collect();
    for (k, factor) in FACTORS.iter().enumerate() {
        let mut counts = vec![0_usize; factor.count];
        for values in &all {
            counts[values[k] as usize] += 1;
        }
        let expected = all.len() / factor.count;
        assert!(
            counts.iter().all(|&count| count.abs_diff(expected) < 5 * expected.isqrt()),
            "{}: {counts:?}",
            factor.name
        );
    }
    let centred = |k: usize, values: &[u32]| f64::from(values[k]) - (FACTORS[k].count - 1) as f64 / 2.0;
    for (a, b) in [(0, 1), (1, 2), (3, 4), (2, 5)] {
        let product: f64 = all.iter().map(|values| centred(a, values) * centred(b, values)).sum();
        let [first, second] = [a, b].map(|k| all.iter().map(|values| centred(k, values).powi(2)).sum::<f64>());
        assert!((product / (first * second).sqrt()).abs() < 0.03, "{} and {}", FACTORS[a].name, FACTORS[b].name);
    }
}

#[test]
fn areas_grow_with_the_scale_and_are_those_of_the_shapes() {
    let whole = [4.0 * HALF * HALF, std::f64::consts::PI * AXES[0] * AXES[1], 3.662 * HEART * HEART];
    for (shape, whole) in whole.into_iter().enumerate() {
        // Single pictures are off by pixels of the edge, which the angles make up for.
        let area =
            |scale| (0..40).map(|turn| moments(&picture(&[shape as u32, scale, turn, 8, 8]))[0]).sum::<f64>() / 40.0;
        let areas: Vec<f64> = (0..6).map(area).collect();
        for (scale, area) in areas.iter().enumerate() {
            let expected = whole * ((5 + scale) as f64 / 10.0).powi(2);
            assert!((area / expected - 1.0).abs() < 0.02, "{} at {scale}: {area}, not {expected}", SHAPES[shape]);
        }
        assert!(areas.is_sorted_by(|a, b| a < b), "{areas:?}");
    }
}

#[test]
fn centres_move_with_x_and_y_and_nothing_is_cut_off() {
    for shape in 0..3 {
        for (x, y) in [(0, 0), (15, 0), (0, 15), (15, 15), (4, 9)] {
            for rotation in [0, 5, 13] {
                let pixels = picture(&[shape, 5, rotation, x, y]);
                let [area, column, row] = moments(&pixels);
                for (found, at) in [(column, x), (row, y)] {
                    let expected = MARGIN + 2.0 * f64::from(at);
                    assert!((found - expected).abs() < 0.35, "{shape} at {x}, {y}: {found}, not {expected}");
                }
                let middle = moments(&picture(&[shape, 5, rotation, 7, 7]))[0];
                assert_eq!(area, middle, "{shape} at {x}, {y} is cut off");
            }
        }
    }
}

/// A quarter is ten steps, and goes counter-clockwise: what was to the right is above.
#[test]
fn rotation_turns() {
    for shape in 0..3 {
        let [before, after] = [3, 13].map(|rotation| picture(&[shape, 5, rotation, 7, 7]));
        // Both centres lie at pixel 31 of 63, counted by corners.
        let centre = (MARGIN + 14.0) as usize;
        for (at, &lit) in before.iter().enumerate() {
            let (column, row) = (at % SIDE, at / SIDE);
            let (right, up) = (column as isize - centre as isize, centre as isize - 1 - row as isize);
            // The pixel that lies `right` to the right of the centre comes to lie `right` above it.
            let (column, row) = (centre as isize - 1 - up, centre as isize - 1 - right);
            if (0..SIDE as isize).contains(&column) && (0..SIDE as isize).contains(&row) {
                assert_eq!(lit, after[row as usize * SIDE + column as usize], "{shape}: {right}, {up}");
            }
        }
    }
    let ellipses: HashSet<Vec<u8>> = (0..20).map(|rotation| picture(&[1, 5, rotation, 7, 7])).collect();
    let hearts: HashSet<Vec<u8>> = (0..40).map(|rotation| picture(&[2, 5, rotation, 7, 7])).collect();
    assert_eq!((ellipses.len(), hearts.len()), (20, 40), "angles of the large shapes are told apart");
    for steps in 0..40 {
        let angle = f64::from(steps) * std::f64::consts::TAU / 40.0;
        let [cos, sin] = turn(steps);
        assert!((cos - angle.cos()).abs() < 1e-14 && (sin - angle.sin()).abs() < 1e-14);
    }
}

#[test]
fn colours_are_those_of_the_factor_and_the_rest_is_black() {
    for (colour, [red, green, blue]) in COLOURS.into_iter().enumerate() {
        let (grey, rgb) = (picture(&[2, 3, 7, 4, 5]), picture(&[2, 3, 7, 4, 5, colour as u32]));
        for at in 0..PIXELS {
            let expected = if grey[at] > 0 { [red, green, blue] } else { [0; 3] };
            assert_eq!([rgb[at], rgb[PIXELS + at], rgb[2 * PIXELS + at]], expected);
        }
    }
}

#[test]
fn the_data_set_is_the_pictures_of_its_numbers() {
    for (colour, coloured, channels) in [(Colour::Auto, false, 1), (Colour::Rgb, true, 3)] {
        let data = dataset(60, colour, 5).unwrap();
        assert_eq!((data.shape, data.train.clone(), data.test.clone()), ([channels, 64, 64], 0..45, 50..60));
        assert_eq!(data.classes.as_ref().unwrap(), &SHAPES);
        let (all, shapes) = draw(60, coloured);
        assert_eq!(draw(7, coloured).0, all[..7 * channels * PIXELS]);
        assert_eq!(data.labels.as_ref(), Some(&shapes));
        for number in 0..60 {
            let values = values(number, coloured);
            let at = number as usize * channels * PIXELS;
            assert_eq!(
                (values[0], picture(&values).as_slice()),
                (shapes[number as usize], &all[at..][..channels * PIXELS])
            );
        }
    }
    for (examples, validation) in [(0, 0), (MAX_EXAMPLES + 1, 0), (60, 50)] {
        assert_eq!(dataset(examples, Colour::Auto, validation).unwrap_err().exit_code(), 2, "{examples}, {validation}");
    }
}

/// Results are compared between machines and versions: the pictures are the same bytes everywhere and always.
#[test]
fn the_pictures_never_change() {
    for (colour, recorded) in [
        (Colour::Auto, "fbd81151dce76adb6776d051ed16a63a2ead77df4100b1c60bb75b4ca72d5882"),
        (Colour::Rgb, "26fcb2533276ca2ba79834d9605f8b27ac17a1c5dfb51785d281603d03cdc0bd"),
    ] {
        assert_eq!(dataset(120, colour, 0).unwrap().hash, recorded);
    }
}
