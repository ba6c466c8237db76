use super::*;
use crate::config;
use crate::graph::op::Source;
use crate::rng::Stream;

fn draws(given: &Given, count: usize) -> Vec<f64> {
    let mut random = Philox::new(7, Stream::Draw, 3, 1);
    (0..count).map(|_| f64::from(given.draw(&mut random)[0])).collect()
}

fn moments(draws: &[f64]) -> [f64; 2] {
    let count = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / count;
    [mean, draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count]
}

#[test]
fn draws_have_the_mean_and_the_variance_of_their_distribution() {
    for (given, mean, variance) in [
        (Given::Normal(2.0, 3.0), 2.0, 9.0),
        (Given::Laplace(-1.0, 0.5), -1.0, 2.0 * 0.25),
        (Given::Bernoulli(0.2), 0.2, 0.16),
        (Given::Poisson(0.3), 0.3, 0.3),
        (Given::Poisson(9.9), 9.9, 9.9),
        (Given::Poisson(10.1), 10.1, 10.1),
        (Given::Poisson(3000.0), 3000.0, 3000.0),
        (Given::NegativeBinomial(4.0, 2.0), 4.0, 4.0 + 8.0),
        (Given::NegativeBinomial(0.5, 0.25), 0.5, 0.5 + 1.0),
        (Given::NegativeBinomial(100.0, 50.0), 100.0, 100.0 + 200.0),
        // (1 − π)·m, and (1 − π)·(m + m²/θ + π·m²).
        (Given::ZeroInflated(4.0, 2.0, 0.25), 3.0, 0.75 * (12.0 + 0.25 * 16.0)),
    ] {
        let count = 200_000;
        let drawn = draws(&given, count);
        let [found, spread] = moments(&drawn);
        assert!((found - mean).abs() < 5.0 * (variance / count as f64).sqrt(), "{given:?}: mean {found}");
        assert!((spread / variance - 1.0).abs() < 0.04, "{given:?}: variance {spread}");
        assert!((given.mean()[0] - mean).abs() < 1e-12, "{given:?}");
        let whole = !matches!(given, Given::Normal(..) | Given::Laplace(..));
        assert!(!whole || drawn.iter().all(|x| x.fract() == 0.0 && *x >= 0.0), "{given:?}");
    }
}

#[test]
fn draws_come_as_often_as_their_probability_says() {
    let levels = Given::Levels(vec![(0.4, vec![[-0.9, 0.02]]), (0.6, vec![[0.3, 0.01]])]);
    for (given, values) in [
        (Given::Poisson(2.5), (0..12).map(f64::from).collect::<Vec<f64>>()),
        (Given::Poisson(30.0), (15..45).map(f64::from).collect()),
        (Given::NegativeBinomial(3.0, 1.5), (0..12).map(f64::from).collect()),
        (Given::ZeroInflated(3.0, 1.5, 0.4), (0..12).map(f64::from).collect()),
        (Given::Bernoulli(0.7), vec![0.0, 1.0]),
        (levels, (0..=255).map(|level| f64::from(level) / 255.0).collect()),
    ] {
        let count = 100_000;
        let drawn = draws(&given, count);
        for value in values {
            let p = given.density(value);
            let share = drawn.iter().filter(|x| (*x - value).abs() < 1e-6).count() as f64 / count as f64;
            assert!((share - p).abs() < 5.0 * (p / count as f64).sqrt() + 1e-4, "{given:?}: {value} {share} and {p}");
        }
    }
}

#[test]
fn probabilities_of_all_levels_add_up_to_one_and_match_the_distortion_of_a_level() {
    let given = Given::Levels(vec![(0.25, vec![[-1.2, 0.1]]), (0.75, vec![[0.5, 0.3]])]);
    let sum: f64 = (0..=255).map(|level| given.density(f64::from(level) / 255.0)).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
}

#[test]
fn a_category_is_drawn_as_one_level_in_proportion() {
    let given = Given::Categorical(vec![0.5, 0.2, 0.3]);
    let mut random = Philox::new(1, Stream::Draw, 0, 0);
    let mut counts = [0.0; 3];
    for _ in 0..30_000 {
        let places = given.draw(&mut random);
        assert_eq!(places.iter().sum::<f32>(), 1.0);
        counts.iter_mut().zip(places).for_each(|(count, place)| *count += f64::from(place));
    }
    for (count, p) in counts.iter().zip([0.5, 0.2, 0.3]) {
        assert!((count / 30_000.0 - p).abs() < 0.015, "{counts:?}");
    }
}

fn colours(components: usize) -> Model {
    let mut config = config::Config::default();
    config.model.likelihood = config::Likelihood::LogisticMixture;
    (config.model.components, config.model.hidden, config.model.latent) = (components, vec![2], 1);
    Model::with(&config, [3, 1, 2], Source::Floats, None, true, 0).unwrap()
}

#[test]
fn channels_of_a_pixel_share_their_component_with_those_that_are_there() {
    let model = colours(2);
    // Two pixels: logits, means and log-scales of two components, plane by plane.
    let mut out = vec![0.0; 4];
    for mean in [-0.8, 0.6] {
        out.extend([mean; 6]);
    }
    out.extend([-4.0; 12]);
    let values = Values::of(&model);
    let mut random = Philox::new(5, Stream::Draw, 0, 0);
    let mut dark = 0;
    for _ in 0..200 {
        let mut x = vec![f32::NAN; 6];
        // The second pixel has its first channel.
        x[1] = 0.8;
        values.fill(&out, &mut x, &mut random).unwrap();
        assert!(x[1] == 0.8 && x[3] > 0.6 && x[5] > 0.6, "{x:?}");
        let first = [x[0], x[2], x[4]].map(|level| level < 0.5);
        assert!(first == [true; 3] || first == [false; 3], "{x:?}");
        dark += usize::from(first[0]);
    }
    assert!((60..140).contains(&dark), "{dark} of 200");
    let x = [f32::NAN, 0.8, f32::NAN, f32::NAN, f32::NAN, f32::NAN];
    let parts = values.missing(&out, &x).unwrap();
    let means: Vec<Vec<f64>> = parts.iter().map(|part| part.given.mean()).collect();
    assert!((means[0][0] - 0.5 * (0.1 + 0.8)).abs() < 1e-6 && (means[1][1] - 0.8).abs() < 1e-6, "{means:?}");
}

#[test]
fn items_are_as_many_as_are_asked_for_and_in_proportion() {
    let out = [0.0, 0.0, 3.0_f32.ln()];
    let counts = items(&out, 50_000, &mut Philox::new(2, Stream::Draw, 0, 0));
    assert_eq!(counts.iter().sum::<f32>(), 50_000.0);
    for (count, share) in counts.iter().zip([0.2, 0.2, 0.6]) {
        assert!((count / 50_000.0 - share).abs() < 0.012, "{counts:?}");
    }
}

#[test]
fn a_weight_of_nothing_is_never_picked() {
    let mut random = Philox::new(2, Stream::Draw, 0, 0);
    assert!((0..1000).all(|_| pick(&[0.0, 2.0, 0.0], &mut random) == 1));
}
