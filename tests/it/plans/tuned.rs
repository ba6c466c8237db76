//! Tilings that were chosen, applied to plans.

use super::models::{Setup, classic, pictures, plan, resident};
use elbo::kernels::matmul::MEANING;
use elbo::plan::tuning::{Tuning, candidates, key, tiling, with};
use elbo::plan::verify::verify;
use elbo::plan::{Plan, Step, Target};
use std::collections::BTreeMap;

fn training(setup: &Setup) -> Plan {
    plan(setup, "train", 128, resident(setup, 300, 4), Target::Gpu)
}

#[test]
fn every_choice_is_taken_and_the_plan_stays_legal() {
    let plan = training(&classic());
    let products: Vec<&Step> = plan.steps.iter().filter(|step| !candidates(step).is_empty()).collect();
    assert_eq!(products.len(), 4, "two ways forward, one back, and the weights");
    for step in products {
        for tiling in candidates(step) {
            let mut tuned = plan.clone();
            Tuning(BTreeMap::from([(key(step), tiling.clone())])).apply(&mut tuned);
            verify(&tuned).expect("a tiling changes nothing that others rely on");
            let changed: Vec<&Step> = tuned.steps.iter().filter(|other| key(other) == key(step)).collect();
            assert!(changed.iter().all(|other| other.consts[MEANING..] == tiling), "{}", key(step));
            let others = |plan: &Plan| plan.steps.iter().filter(|s| key(s) != key(step)).cloned().collect::<Vec<_>>();
            assert!(others(&tuned) == others(&plan));
        }
    }
}

/// Convolutions may also do without tiles, and gradients keep the number of their parts, for which there is room.
#[test]
fn convolutions_have_a_choice_of_tiles_and_kernels() {
    let plan = training(&pictures());
    let of = |name: &str| plan.steps.iter().filter(|step| step.kernel.name == name).count();
    // The image of the last layer has one channel, so only that step is plain; the first layer's input has no gradient.
    let found = ["conv_tiles", "conv_weight_tiles", "conv", "conv_weight"].map(of);
    assert_eq!(found, [6, 4, 1, 0]);
    for (at, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.kernel.name.starts_with("conv")) {
        let all = candidates(step);
        assert_eq!(all.is_empty(), !step.kernel.name.ends_with("_tiles"), "{}", step.what);
        assert!(all.is_empty() || all.contains(&tiling(step)) && with(step, &tiling(step)) == *step, "{}", step.what);
        for tiling in all {
            let mut tuned = plan.clone();
            Tuning(BTreeMap::from([(key(step), tiling.clone())])).apply(&mut tuned);
            verify(&tuned).expect("a tiling changes nothing that others rely on");
            let other = &tuned.steps[at];
            assert!(other.consts.ends_with(&tiling) && other.consts.len() == other.kernel.consts.len());
            assert_eq!(
                other.kernel.name,
                if tiling.len() == 5 { step.kernel.name } else { step.kernel.name.trim_end_matches("_tiles") }
            );
            assert_eq!((&other.params, &other.views), (&step.params, &step.views));
        }
    }
}

#[test]
fn a_choice_that_is_none_is_left_out() {
    let (plan, mut tuned) = (training(&classic()), training(&classic()));
    let first = plan.steps.iter().find(|step| !candidates(step).is_empty()).expect("there is a product");
    for tiling in [vec![], vec![64, 64, 4, 4], vec![7; 5]] {
        Tuning(BTreeMap::from([(key(first), tiling), ("something else".into(), vec![1])])).apply(&mut tuned);
        assert!(tuned == plan);
    }
}

#[test]
fn a_step_with_a_likelihood_keeps_its_width() {
    let plan = training(&classic());
    let step = plan.steps.iter().find(|step| step.what.contains("Bernoulli")).expect("the decoder's last product");
    let widths: Vec<u32> = candidates(step).iter().map(|tiling| tiling[1]).collect();
    assert!(widths.len() > 1 && widths.iter().all(|width| *width == step.consts[MEANING + 1]), "{widths:?}");
}
