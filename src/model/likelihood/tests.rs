use super::columns::ln_gamma;
use super::*;
use crate::config::{Binarise, Config, Likelihood};
use crate::graph::Clamp;
use crate::graph::columns::Column;
use crate::graph::op::Source;

fn model(likelihood: Likelihood, width: usize) -> Model {
    let config = ModelConfig { likelihood, sigma: 0.5, decoder_log_variance: [-4.0, 2.0], ..Config::default().model };
    Model {
        config,
        width,
        shape: [1, 1, width],
        source: Source::Floats,
        binarise: Binarise::None,
        columns: None,
        missing: true,
        classes: 0,
    }
}

#[track_caller]
fn assert_terms(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).any(|(f, e)| (f - e).abs() > 1e-6);
    assert!(!far, "{found:?} is not {expected:?}");
}

#[test]
fn each_value_contributes_minus_the_log_of_its_density_and_missing_ones_nothing() {
    let half_log_two_pi = 0.918_938_533_204_672_7;
    let found = column_distortions(&model(Likelihood::Bernoulli, 3), &[2.0, -1.0, 5.0], &[1.0, 0.0, f32::NAN]);
    assert_terms(&found, &[(1.0 + (-2.0_f64).exp()).ln(), (1.0 + (-1.0_f64).exp()).ln(), 0.0]);
    let found = column_distortions(&model(Likelihood::Gaussian, 2), &[1.0, 0.0], &[2.0, f32::NAN]);
    assert_terms(&found, &[half_log_two_pi + 0.5_f64.ln() + 2.0, 0.0]);
    let learned = model(Likelihood::GaussianLearned, 2);
    let found = column_distortions(&learned, &[1.0, 0.0, -9.0, 1.0], &[1.5, 1.0]);
    let expected = [half_log_two_pi - 2.0 + 0.125 * 4.0_f64.exp(), half_log_two_pi + 0.5 + 0.5 * (-1.0_f64).exp()];
    assert_terms(&found, &expected);
}

#[test]
fn columns_of_different_kinds_contribute_by_their_own_distributions() {
    use Distribution::{Bernoulli, Categorical, Normal, Poisson};
    let kinds = [(Normal, 1), (Categorical, 3), (Bernoulli, 1), (Normal, 1), (Poisson, 1)];
    let all = kinds.map(|(distribution, places)| Column { distribution, places }).to_vec();
    let columns = Columns { all, clamp: Clamp { low: -4.0, high: 2.0 }, fixed_log_variance: 0.0 };
    assert_eq!((columns.width(), columns.outputs()), (7, 9));
    let model = Model { columns: Some(Arc::new(columns)), ..model(Likelihood::Gaussian, 7) };
    let out = [1.0, 0.5, -1.0, 0.0, 2.0, 0.0, 1.5, 0.0, 1.0];
    let mut x = [1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 12.0];
    let half_log_two_pi = 0.918_938_533_204_672_7;
    let softmax = (0.5_f64.exp() + (-1.0_f64).exp() + 1.0).ln();
    let factorial: f64 = (1..=12).map(|n| f64::from(n).ln()).sum();
    let expected = [
        half_log_two_pi,
        softmax,
        (1.0 + (-2.0_f64).exp()).ln(),
        half_log_two_pi + 0.5 + 2.0 * (-1.0_f64).exp(),
        1.5_f64.exp() - 12.0 * 1.5 + factorial,
    ];
    assert_terms(&column_distortions(&model, &out, &x), &expected);
    x[1..4].fill(f32::NAN);
    x[6] = f32::NAN;
    let expected = [expected[0], 0.0, expected[2], expected[3], 0.0];
    assert_terms(&column_distortions(&model, &out, &x), &expected);
}

#[test]
fn the_weights_of_a_mixture_count_relative_to_each_other_however_large_they_are() {
    let mut model = model(Likelihood::LogisticMixture, 1);
    model.config.components = 2;
    // Logits, means, log-scales of two components; the second has an eighth of the first one's weight.
    let out = |shift: f32| [shift, shift - 8.0_f32.ln(), 0.0, 0.5, -2.0, -3.0];
    let expected = column_distortions(&model, &out(0.0), &[0.5]);
    for shift in [-2000.0, 2000.0] {
        let found = column_distortions(&model, &out(shift), &[0.5]);
        // A logit of thousands has four digits left behind its point.
        assert!((found[0] - expected[0]).abs() < 1e-3, "{shift}: {found:?} is not {expected:?}");
    }
}

/// Worked out by hand: softmax of log 1, log 2 and log 3 is 1/6, 2/6 and 3/6.
#[test]
fn items_contribute_as_often_as_they_were_chosen() {
    let model = model(Likelihood::Multinomial, 3);
    let logits = [0.0, 2.0_f32.ln(), 3.0_f32.ln()];
    let found = column_distortions(&model, &logits, &[2.0, 0.0, 1.0]);
    assert_terms(&found, &[2.0 * 6.0_f64.ln(), 0.0, 2.0_f64.ln()]);
    // What is added to all logits changes nothing, nor does what is missing count.
    let found = column_distortions(&model, &logits.map(|logit| logit + 50.0), &[f32::NAN, 4.0, 0.0]);
    assert!((found[1] - 4.0 * 3.0_f64.ln()).abs() < 1e-4 && found[0] == 0.0 && found[2] == 0.0, "{found:?}");
}

#[test]
fn factorials_are_those_of_the_definition() {
    for n in [0.0, 1.0, 2.0, 7.0, 30.0] {
        let expected: f64 = (1..=n as u32).map(|k| f64::from(k).ln()).sum();
        assert!((ln_gamma(n + 1.0) - expected).abs() < 1e-11, "{n}");
    }
}

#[test]
fn a_mean_becomes_the_bias_that_gives_it_back() {
    let logit = columns::start(Distribution::Bernoulli, 0.2);
    assert!((1.0 / (1.0 + (-logit).exp()) - 0.2).abs() < 1e-6);
    assert_eq!(columns::start(Distribution::Bernoulli, 0.0), columns::start(Distribution::Bernoulli, 0.001));
    assert_eq!(columns::start(Distribution::Normal, 0.3), 0.3);
}

#[test]
fn every_word_of_a_configuration_has_one_likelihood_and_they_agree() {
    let kinds: Vec<Likelihood> = LIKELIHOODS.iter().map(|likelihood| likelihood.kind).collect();
    assert_eq!(kinds, Likelihood::ALL);
    for kind in Likelihood::ALL {
        let word = serde_json::to_value(kind).unwrap();
        assert_eq!(word, kind.name(), "what is read is what is written");
        assert_eq!(serde_json::from_value::<Likelihood>(word).unwrap(), *kind);
        let likelihood = of(*kind);
        let [names, heads] = [likelihood.outside.heads.len(), likelihood.heads];
        assert!(names == 1 || names == heads, "{}: {names} names for {heads} heads", kind.name());
    }
}

/// Zeros for what is missing, and log(1 + x) of counts, as the kernel `table_values` has them.
#[test]
fn the_host_shows_what_the_graph_does() {
    let ln_2 = 2.0_f32.ln();
    let shown = |model: &Model| {
        let mut values = [f32::NAN, 1.0, 3.0, 0.0];
        model.presentation().show(&mut values);
        values
    };
    for (kind, expected) in [
        (Likelihood::Poisson, [0.0, ln_2, 2.0 * ln_2, 0.0]),
        (Likelihood::Multinomial, [0.0, ln_2, 2.0 * ln_2, 0.0]),
        (Likelihood::Gaussian, [0.0, 1.0, 3.0, 0.0]),
        (Likelihood::LogisticMixture, [0.0, 1.0, 3.0, 0.0]),
    ] {
        assert_eq!(shown(&model(kind, 2)), expected, "{kind:?}");
    }
    let whole = Model { missing: false, ..model(Likelihood::Gaussian, 2) };
    assert!(shown(&whole)[0].is_nan() && shown(&whole)[1..] == [1.0, 3.0, 0.0]);
    // Of each row the first place is a number and the second a count.
    let all =
        [Distribution::Normal, Distribution::Poisson].map(|distribution| Column { distribution, places: 1 }).to_vec();
    let columns = Columns { all, clamp: Clamp { low: -4.0, high: 2.0 }, fixed_log_variance: 0.0 };
    let table = Model { columns: Some(Arc::new(columns)), ..model(Likelihood::Heterogeneous, 2) };
    assert_eq!(shown(&table), [0.0, ln_2, 3.0, 0.0]);
}
