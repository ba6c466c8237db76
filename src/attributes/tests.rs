use super::*;

/// Forty codes of three latents with labels, and what each counts.
fn rows() -> (Vec<f32>, Vec<bool>, Vec<f64>) {
    let code = |i: i32| {
        let numbers = [(7 * i % 11, 4.0), (5 * i * i % 13, 5.0), (3 * i % 7, 3.0)];
        numbers.map(|(value, by)| (f64::from(value) / by - 1.0) as f32)
    };
    let with = |i: i32| {
        let [a, b, _] = code(i).map(f64::from);
        2.0 * a - b + f64::from(i * i * 3 % 5) / 2.0 - 1.0 > 0.4
    };
    let weight = |i: i32| if i % 3 == 0 { 2.0 } else { 1.0 };
    ((0..40).flat_map(code).collect(), (0..40).map(with).collect(), (0..40).map(weight).collect())
}

/// `LogisticRegression(C=1/λ, solver="newton-cholesky", tol=1e-14)` and `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=λ)` of
/// scikit-learn 1.9.1, of the same rows.
#[test]
fn separators_are_those_of_scikit_learn() {
    let (codes, with, weights) = rows();
    let ones = vec![1.0; 40];
    for (method, weights, normal, bias) in [
        (
            Method::Logistic(0.5),
            &ones,
            [3.035_843_339_886_829_6, -1.691_838_423_214_502_5, 0.446_458_684_514_761_23],
            -0.714_918_216_002_275_6,
        ),
        (
            Method::Logistic(0.5),
            &weights,
            [3.386_828_803_797_073_3, -1.785_413_871_449_605_3, 0.389_247_373_577_817_9],
            -0.970_268_116_336_292_1,
        ),
        (
            Method::Lda(0.0),
            &ones,
            [6.337_932_112_062_326, -2.954_928_872_221_876, 0.559_992_850_672_750_1],
            -1.496_837_094_118_151_2,
        ),
        (
            Method::Lda(0.25),
            &ones,
            [5.191_783_565_043_83, -2.252_425_786_667_025, 0.502_501_878_424_979_4],
            -1.271_663_933_684_835,
        ),
        (
            Method::Lda(1.0),
            &ones,
            [3.466_004_933_174_662_7, -1.116_323_698_282_861_5, 0.417_813_452_684_388_13],
            -0.945_163_795_759_292_9,
        ),
    ] {
        let found = learn(Labelled { codes: &codes, latent: 3, with: &with, weights }, method).unwrap();
        let all = found.normal.iter().chain([&found.bias]).zip(normal.iter().chain([&bias]));
        for (value, expected) in all {
            assert!((value - expected).abs() < 1e-7, "{method:?}: {found:?}");
        }
        // A strength of 1 goes as far as the means lie apart.
        let apart = [1.254_385_964_912_280_6, -0.404_010_036_460_737_85, 0.151_211_363_256_425_78];
        if weights[0] == 1.0 {
            let gap = product(&apart, &normal) / product(&normal, &normal).sqrt();
            let length = product(&found.direction, &found.direction).sqrt();
            assert!((length - gap).abs() < 1e-6 && angle(&found.direction, &normal) < 1e-4, "{method:?}: {found:?}");
        }
    }
}

#[test]
fn a_mean_direction_leads_from_one_mean_to_the_other() {
    let codes = [0.0, 0.0, 2.0, 0.0, 1.0, 3.0, 1.0, 5.0];
    let of = Labelled { codes: &codes, latent: 2, with: &[false, false, true, true], weights: &[1.0; 4] };
    let found = learn(of, Method::Mean).unwrap();
    assert_eq!(found.direction, [0.0, 4.0]);
    assert_eq!([0, 1, 2, 3].map(|at| found.score(&codes[2 * at..][..2])), [-8.0, -8.0, 4.0, 12.0]);
    // Variances 1/2 and 4.5, and all of the second lies along it.
    assert!((share_of_variance(&codes, &found.direction) - 4.5 / 5.0).abs() < 1e-12);
    assert!((angle(&[0.0, 4.0], &[-3.0, 3.0]) - 45.0).abs() < 1e-9);
    for with in [[true; 4], [false; 4]] {
        assert!(learn(Labelled { with: &with, ..of }, Method::Mean).is_err());
    }
    assert!(learn(Labelled { codes: &[1.0; 8], ..of }, Method::Mean).is_err(), "codes that say nothing");
}

#[test]
fn balanced_rows_undo_what_comes_together() {
    // The attribute moves the first latent and a second one, which comes with it in three of four rows, moves the second.
    let (mut codes, mut with, mut strata) = (vec![], vec![], vec![]);
    for (own, other, count) in [(false, 0, 3), (false, 1, 1), (true, 0, 1), (true, 1, 3), (true, 2, 5)] {
        for _ in 0..count {
            codes.extend([f32::from(u8::from(own)), other as f32]);
            with.push(own);
            strata.push(other);
        }
    }
    let weights = balanced(&with, &strata).unwrap();
    assert_eq!(weights.iter().sum::<f64>(), 13.0);
    assert_eq!(weights[8..], [0.0; 5], "a stratum of one group counts nothing");
    let of = Labelled { codes: &codes, latent: 2, with: &with, weights: &weights };
    assert_eq!(learn(of, Method::Mean).unwrap().direction, [1.0, 0.0]);
    let plain = Labelled { weights: &[1.0; 13], ..of };
    assert!(learn(plain, Method::Mean).unwrap().direction[1] > 0.5);
    assert_eq!(balanced(&[true, false], &[0, 1]), None);
}

#[test]
fn what_is_kept_comes_back_and_is_found_by_its_name() {
    let attribute = |name: &str, direction: &[f64]| Attribute {
        name: name.into(),
        with: "yes".into(),
        without: "no".into(),
        rows: [3, 4],
        direction: direction.to_vec(),
        accuracy: Some(0.75),
        chance: None,
        auroc: None,
        length: 1.0,
        share_of_variance: 0.1 + 0.2,
    };
    let all = [attribute("a", &[0.1, 1.0 / 3.0]), attribute("b=x", &[0.0, 1.0]), attribute("c=y", &[1.0, 0.0])];
    let kept = Attributes {
        model: "ab".into(),
        step: 7,
        layer: 1,
        method: Method::Lda(0.01),
        balanced: vec!["c".into()],
        data: "t.csv".into(),
        attributes: all.to_vec(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    assert!(Attributes::load(&path).unwrap_err().to_string().contains("elbo attributes RUN"));
    for method in [Method::Lda(0.01), Method::Mean] {
        let kept = Attributes { method, ..kept.clone() };
        kept.save(&path).unwrap();
        assert_eq!(Attributes::load(&path), Ok(kept));
    }
    assert_eq!(kept.named("c=y").unwrap().direction, [1.0, 0.0]);
    assert_eq!(kept.named("x").unwrap().name, "b=x");
    let error = kept.named("y=c").unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("there are a, b=x, c=y"), "{error}");
    for damaged in ["{", "{\"layer\": 1}"] {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(Attributes::load(&path).unwrap_err().exit_code(), 3);
    }
    let uneven = Attributes { attributes: [&all[..], &[attribute("d", &[1.0])]].concat(), ..kept };
    uneven.save(&path).unwrap();
    assert!(Attributes::load(&path).unwrap_err().to_string().contains("damaged"));
}
