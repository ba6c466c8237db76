use super::dci::scores;
use super::information::{modular, mutual_information};
use super::sap::{segments, squared_correlation};
use super::*;
use crate::rng::{Philox, Stream};
use rand::RngExt;

const COUNTS: [u32; 4] = [3, 6, 10, 8];

/// Factors drawn evenly, the first of which is a kind.
fn factors(rows: usize) -> Vec<(String, Vec<u32>, bool)> {
    let mut rng = Philox::new(1, Stream::Choice, 0, 0);
    let mut drawn = |count: u32| (0..rows).map(|_| rng.random_range(0..count)).collect::<Vec<u32>>();
    let named = |(k, &count): (usize, &u32)| (format!("f{k}"), drawn(count), k > 0);
    COUNTS.iter().enumerate().map(named).collect()
}

/// Examples whose codes are given for each row, with the values of its factors.
fn examples(rows: usize, latent: usize, code: impl FnMut(&[u32], &mut Philox) -> Vec<f32>) -> Examples {
    let factors = factors(rows);
    let (mut code, mut rng) = (code, Philox::new(2, Stream::Choice, 0, 0));
    let values = |row: usize| factors.iter().map(|(_, values, _)| values[row]).collect::<Vec<u32>>();
    let codes = (0..rows).flat_map(|row| code(&values(row), &mut rng)).collect();
    Examples::new(codes, latent, factors).unwrap()
}

/// Each latent is one factor, in another order and unit.
fn perfect() -> Examples {
    examples(3000, 4, |v, _| vec![-0.5 * v[2] as f32, v[0] as f32, 3.0 + v[3] as f32, 0.3 * v[1] as f32])
}

/// No latent has to do with any factor.
fn random() -> Examples {
    examples(3000, 4, |_, rng| (0..4).map(|_| rng.normal()).collect())
}

fn near(found: f64, expected: f64, within: f64, what: &str) {
    assert!((found - expected).abs() <= within, "{what}: {found}, not {expected}");
}

#[test]
fn entropies_and_mutual_information_are_those_worked_out_by_hand() {
    let ln2 = 2.0_f64.ln();
    near(entropy(&[1, 1]), ln2, 1e-12, "a coin");
    near(entropy(&[2, 1, 1]), 1.5 * ln2, 1e-12, "a half and two quarters");
    near(entropy(&[5, 0]), 0.0, 1e-12, "certainty");
    // Of four examples, a is 0 0 1 1: one bit with itself and with its negation, none with 0 1 0 1.
    let a = [0, 0, 1, 1];
    for (b, bits) in [([0, 0, 1, 1], 1.0), ([1, 1, 0, 0], 1.0), ([0, 1, 0, 1], 0.0)] {
        near(mutual_information(&a, 2, &b, 2), bits * ln2, 1e-12, "bits");
    }
    // H(a) = ln 2, H(b) = 1.5 ln 2, H(a, b) = 1.5 ln 2 where b tells a; and with b = 0 1 1 2 it is 2 ln 2.
    near(mutual_information(&a, 2, &[0, 0, 1, 2], 3), ln2, 1e-12, "b tells a");
    near(mutual_information(&a, 2, &[0, 1, 1, 2], 3), 0.5 * ln2, 1e-12, "b tells half of a");
}

#[test]
fn intervals_are_of_equal_width_and_hold_both_ends() {
    assert_eq!(binned(&[0.0, 0.24, 0.25, 0.5, 0.99, 1.0], 4), [0, 0, 1, 2, 3, 3]);
    assert_eq!(binned(&[-2.0, 2.0, 0.0], 2), [0, 1, 1]);
    assert_eq!(binned(&[7.0; 3], 20), [0; 3]);
}

#[test]
fn a_perfect_representation_has_the_best_scores() {
    let examples = perfect();
    let found = information(&examples);
    // What chance says of a factor in 3,000 examples is about (bins − 1)(values − 1) / 2N nats.
    near(found.mig, 1.0, 0.02, "MIG");
    near(found.modularity, 1.0, 0.01, "modularity");
    let dci = dci(&examples, 0);
    near(dci.disentanglement, 1.0, 0.02, "disentanglement");
    near(dci.completeness, 1.0, 0.02, "completeness");
    near(dci.informativeness, 1.0, 0.005, "informativeness");
    near(factor_vae(&examples, 0), 1.0, 0.005, "FactorVAE");
    // R² of the right latent is 1; thresholds tell the kind, which others tell by chance, a third.
    let sap = sap(&examples);
    near(sap.sap, (3.0 + 2.0 / 3.0) / 4.0, 0.03, "SAP");
    for (latent, factor) in [(0, 2), (1, 0), (2, 3), (3, 1)] {
        near(found.mutual[latent * 4 + factor], found.entropies[factor], 1e-9, "all is told");
        near(dci.importance[latent * 4 + factor], 1.0, 0.01, "importance");
        near(sap.told[latent * 4 + factor], 1.0, 1e-9, "told");
    }
}

#[test]
fn random_codes_have_the_scores_of_chance() {
    let examples = random();
    let found = information(&examples);
    near(found.mig, 0.0, 0.01, "MIG");
    let dci = dci(&examples, 0);
    near(dci.disentanglement, 0.0, 0.02, "disentanglement");
    near(dci.completeness, 0.0, 0.02, "completeness");
    let chance = COUNTS.iter().map(|&count| 1.0 / f64::from(count)).sum::<f64>() / 4.0;
    near(dci.informativeness, chance, 0.03, "informativeness");
    near(factor_vae(&examples, 0), 0.25, 0.05, "FactorVAE");
    near(sap(&examples).sap, 0.0, 0.03, "SAP");
}

#[test]
fn the_gap_and_modularity_are_those_worked_out_by_hand() {
    // 1 − 1² / (2² · 2), one factor alone, all alike, and nothing at all.
    for (told, expected) in [([2.0, 1.0, 0.0], 0.875), ([0.0, 0.3, 0.0], 1.0), ([0.5; 3], 0.0), ([0.0; 3], 0.0)] {
        near(modular(&told), expected, 1e-12, "modularity");
    }
    assert_eq!(top_two([0.2, 0.7, 0.5].into_iter()), [0.7, 0.5]);
    assert_eq!(top_two([0.7, 0.2, 0.7].into_iter()), [0.7, 0.7]);
    assert_eq!(top_two([0.7].into_iter()), [0.7, 0.0]);
    // Latent 0 is a coin, latent 1 its half: of 400 examples a quarter is (0, 0), and so on. The other coin has no latent.
    let coin: Vec<u32> = (0..400).map(|row| row % 2).collect();
    let other: Vec<u32> = (0..400).map(|row| row / 2 % 2).collect();
    let codes = (0..400_usize).flat_map(|row| [coin[row] as f32, (coin[row] * other[row]) as f32]).collect();
    let examples = Examples::new(codes, 2, vec![("a".into(), coin.clone(), true), ("b".into(), other, true)]).unwrap();
    // I(a; ab) = H(1/4) − 1/2 · ln 2, for the product of two coins is a coin where a is 1, and certain where it is 0.
    let ln2 = 2.0_f64.ln();
    let half = 2.0 * ln2 - 0.75 * 3.0_f64.ln() - 0.5 * ln2;
    let found = information(&examples);
    for (found, expected) in found.gaps.iter().zip([1.0 - half / ln2, half / ln2]) {
        near(*found, expected, 1e-12, "gap");
    }
    near(found.mig, 0.5, 1e-12, "MIG");
}

/// Two latents that are turned by an eighth of the circle tell two factors each.
#[test]
fn mixed_latents_score_between() {
    let (a, b) = (|v: &[u32]| v[2] as f32 / 9.0, |v: &[u32]| v[3] as f32 / 7.0);
    let examples = examples(3000, 4, |v, _| vec![a(v) + b(v), a(v) - b(v), v[0] as f32, v[1] as f32]);
    let (found, dci) = (information(&examples), dci(&examples, 0));
    near(found.mig, 0.5, 0.03, "MIG: two factors of four have no latent of their own");
    // Two latents are pure; the others tell two factors of three besides the first nearly alike, 1 − 1/3 if quite.
    assert!((0.8..0.95).contains(&found.modularity), "modularity {}", found.modularity);
    // Of four latents two are shared by two factors: entropy ln 2 of ln 4.
    near(dci.disentanglement, 0.75, 0.05, "disentanglement");
    near(dci.completeness, 0.75, 0.05, "completeness");
    assert!(dci.informativeness > 0.9, "{}", dci.informativeness);
    let [a, b] = [2, 3].map(|factor| sap(&examples).gaps[factor]);
    assert!(a < 0.15 && b < 0.15, "{a} {b}");
}

#[test]
fn disentanglement_and_completeness_are_those_worked_out_by_hand() {
    // Two latents, two factors. Latent 0 is for factor 0 alone, with weight 3/4; latent 1 for both.
    let entropy = |p: f64| -(p * p.log2() + (1.0 - p) * (1.0 - p).log2());
    let [disentanglement, completeness] = scores(&[1.0, 0.5, 0.0, 0.5], 2);
    near(disentanglement, 0.75 * (1.0 - entropy(2.0 / 3.0)) + 0.25, 1e-12, "disentanglement");
    near(completeness, 0.5, 1e-12, "completeness: 1 of factor 0, 0 of factor 1");
    assert_eq!(scores(&[0.0; 6], 2), [0.0; 2]);
}

#[test]
fn thresholds_and_regressions_are_those_worked_out_by_hand() {
    // Kinds 0, 1, 1, 0 along a latent, and two segments: three quarters can be told.
    let shares = [0.25, 0.0, 0.0, 0.25, 0.0, 0.25, 0.25, 0.0];
    let told = segments(&shares, 2);
    let right: f64 = told.iter().enumerate().map(|(at, kind)| shares[at * 2 + kind]).sum();
    near(right, 0.75, 1e-12, "two segments");
    assert!(told.windows(2).filter(|pair| pair[0] != pair[1]).count() <= 1, "{told:?}");
    assert_eq!(segments(&[0.1, 0.0, 0.2, 0.0, 0.0, 0.1, 0.0, 0.4], 2), [0, 0, 1, 1]);
    // The means are 1 and 1, Σab = 1, Σa² = 2, Σb² = 2.
    near(squared_correlation(&[0.0, 1.0, 2.0], &[1, 0, 2]), 0.25, 1e-12, "R²");
}

#[test]
fn a_collapsed_latent_is_not_chosen() {
    let examples = examples(1000, 5, |v, rng| {
        let mut codes: Vec<f32> = v.iter().map(|&value| value as f32).collect();
        codes.push(0.001 * rng.normal());
        codes
    });
    near(factor_vae(&examples, 0), 1.0, 0.005, "FactorVAE");
    let nothing = self::examples(1000, 2, |_, _| vec![0.5, 0.5]);
    assert_eq!(factor_vae(&nothing, 0), 0.0);
    let found = information(&nothing);
    assert_eq!((found.mig, found.modularity, sap(&nothing).sap), (0.0, 0.0, 0.0));
    let dci = dci(&nothing, 0);
    assert_eq!((dci.disentanglement, dci.completeness), (0.0, 0.0));
}

/// A small latent that varies is not taken for one that stays: variances count by those over all examples.
#[test]
fn units_of_latents_do_not_matter_to_the_vote() {
    let units = [1.0, 100.0, 0.2, 5.0];
    let noisy = |v: &[u32], rng: &mut Philox| (0..4).map(|k| units[k] * (v[k] as f32 + 0.2 * rng.normal())).collect();
    near(factor_vae(&examples(3000, 4, noisy), 0), 1.0, 0.005, "FactorVAE");
}

#[test]
fn the_same_seed_gives_the_same_scores() {
    let examples = random();
    assert_eq!(dci(&examples, 3), dci(&examples, 3));
    assert_eq!(factor_vae(&examples, 3).to_bits(), factor_vae(&examples, 3).to_bits());
    assert_ne!(dci(&examples, 3), dci(&examples, 4));
}

#[test]
fn what_cannot_be_scored_is_refused_in_a_line() {
    let constant = ("c".to_owned(), vec![7; 200], true);
    let varied = |name: &str| (name.to_owned(), (0..200).map(|row| 10 * (row % 4)).collect::<Vec<u32>>(), true);
    for (codes, latent, factors, word) in [
        (vec![0.0; 20], 2, vec![], "at least 100 examples, and there are 10"),
        (vec![0.0; 200], 1, vec![varied("a"), varied("b")], "the model has one"),
        (vec![0.0; 400], 2, vec![varied("a"), constant.clone()], "only one of these"),
        (vec![0.0; 400], 2, vec![constant.clone()], "none of these"),
        (vec![f32::NAN; 400], 2, vec![varied("a"), varied("b")], "not finite"),
    ] {
        let error = Examples::new(codes, latent, factors).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let kept = Examples::new(vec![0.0; 400], 2, vec![varied("a"), constant, varied("b")]).unwrap();
    assert_eq!((kept.constant(), kept.factors()[0].count), (&["c".to_owned()][..], 4));
    assert_eq!(kept.factors()[1].values[..5], [0, 1, 2, 3, 0]);
}
