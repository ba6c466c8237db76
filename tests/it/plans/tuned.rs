//! Tilings that were chosen, applied to plans.

use super::models::{classic as setup, plan, resident};
use elbo::kernels::matmul::MEANING;
use elbo::plan::tuning::{Tuning, candidates, key};
use elbo::plan::verify::verify;
use elbo::plan::{Plan, Step, Target};
use std::collections::BTreeMap;

fn classic() -> Plan {
    let setup = setup();
    plan(&setup, "train", 128, resident(&setup, 300, 4), Target::Gpu)
}

#[test]
fn every_choice_is_taken_and_the_plan_stays_legal() {
    let plan = classic();
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

#[test]
fn a_choice_that_is_none_is_left_out() {
    let (plan, mut tuned) = (classic(), classic());
    let first = plan.steps.iter().find(|step| !candidates(step).is_empty()).expect("there is a product");
    for tiling in [vec![], vec![64, 64, 4, 4], vec![7; 5]] {
        Tuning(BTreeMap::from([(key(first), tiling), ("something else".into(), vec![1])])).apply(&mut tuned);
        assert!(tuned == plan);
    }
}

#[test]
fn a_step_with_a_likelihood_keeps_its_width() {
    let plan = classic();
    let step = plan.steps.iter().find(|step| step.what.contains("Bernoulli")).expect("the decoder's last product");
    let widths: Vec<u32> = candidates(step).iter().map(|tiling| tiling[1]).collect();
    assert!(widths.len() > 1 && widths.iter().all(|width| *width == step.consts[MEANING + 1]), "{widths:?}");
}
