//! What no executor may run is rejected.

use super::models::{plan, resident, small};
use elbo::kernels::TABLE;
use elbo::plan::verify::verify;
use elbo::plan::{Buffer, Plan, Role, Step, Target, View};

/// A product of intermediate tensors.
fn product(plan: &mut Plan) -> &mut Step {
    let is_inside = |view: &View| plan.buffers[view.buffer].role == Role::Workspace;
    let mut steps = plan.steps.iter_mut();
    let step = steps.find(|s| s.kernel.name == "matmul" && is_inside(&s.views[0]) && is_inside(&s.views[3]));
    step.expect("a network has a product of intermediate tensors")
}

/// What is done to a legal plan, and what is said of it then.
type Mutation = (&'static str, fn(&mut Plan), &'static str);

const MUTATIONS: &[Mutation] = &[
    ("a buffer that is not there", |p| p.steps[0].views[0].buffer = p.buffers.len(), "has no buffer"),
    ("a view beyond the end", |p| product(p).views[3].words += 100_000, "covers words"),
    ("an offset beyond the end", |p| product(p).views[1].offset += 64_000, "covers words 64"),
    ("an empty view", |p| product(p).views[3].words = 0, "covers words"),
    ("an unaligned offset", |p| product(p).views[1].offset += 4, "covers words"),
    ("a buffer read and written", same_buffer, "is written and bound twice"),
    ("a buffer written twice", same_moments, "is written and bound twice"),
    ("a slot read before it is written", products_first, "before anything is written there"),
    ("a gradient read before it is made", gradients_first, "reads Gradients before anything is written there"),
    ("a tensor that is made twice", made_twice, "nobody reads what it computes"),
    ("a result that nobody reads", never_read, "nobody reads what it computes"),
    ("one view less", |p| p.steps[0].views.truncate(2), "2 views for 3 bindings"),
    ("one view more", |p| p.steps[0].views.extend_from_within(..1), "4 views for 3 bindings"),
    ("one parameter less", |p| p.steps[0].params.truncate(1), "are not the kernel's"),
    ("one parameter more", |p| p.steps[0].params.push(1), "are not the kernel's"),
    ("more entries than fit", |p| last(p).params.extend([0; 4 * TABLE]), "are not the kernel's"),
    ("a part of an entry", |p| last(p).params.push(0), "are not the kernel's"),
    ("one constant less", |p| p.steps[0].consts.truncate(1), "are not the kernel's"),
    ("one constant more", |p| p.steps[0].consts.push(1), "are not the kernel's"),
    ("an empty grid", |p| p.steps[0].grid[1] = 0, "outside 1…65535"),
    ("a grid that is too large", |p| p.steps[0].grid[0] = 65_536, "outside 1…65535"),
    ("a unit of nothing", |p| p.steps[0].unit = 0, "no multiple of its unit"),
    ("a unit that does not divide the axis", |p| p.steps[0].unit = 2, "no multiple of its unit"),
    ("an axis of nothing", |p| p.steps[0].outer = 0, "cannot be split"),
    ("metrics written by many", |p| last(p).unit = 1, "binding 6 is written by every part"),
    ("an axis that does not divide a view", |p| product(p).outer = 11, "cannot be split"),
];

fn same_buffer(plan: &mut Plan) {
    let step = product(plan);
    step.views[3] = View { words: step.views[3].words, ..step.views[0] };
}

/// The update, which has the means of the terms of the loss in its table.
fn last(plan: &mut Plan) -> &mut Step {
    plan.steps.last_mut().expect("a plan has steps")
}

fn same_moments(plan: &mut Plan) {
    let update = last(plan);
    update.views[5] = update.views[4];
}

/// A product without the steps that make what it reads.
fn products_first(plan: &mut Plan) {
    let first = plan.steps.iter().position(|step| step.kernel.name == "matmul");
    plan.steps.drain(..first.expect("a network has a product"));
}

/// A product that is computed twice into the same place: the first time for nobody.
fn made_twice(plan: &mut Plan) {
    let again = product(plan).clone();
    let at = plan.steps.iter().position(|step| *step == again).expect("it is a step of the plan");
    plan.steps.insert(at, again);
}

/// The first step once more, into a buffer that no other step knows.
fn never_read(plan: &mut Plan) {
    let mut again = plan.steps[0].clone();
    let result = again.views.last_mut().expect("a step has views");
    *result = View { buffer: plan.buffers.len(), offset: 0, ..*result };
    plan.buffers.push(Buffer { role: Role::Slot(1000), words: result.words });
    plan.steps.push(again);
}

/// The update without the steps that make the gradients.
fn gradients_first(plan: &mut Plan) {
    let first_update = plan.steps.iter().position(|step| step.kernel.name == "squared_norm");
    plan.steps.drain(..first_update.expect("the gradient is clipped"));
}

#[test]
fn a_plan_that_is_changed_in_one_place_is_rejected_with_the_reason() {
    let setup = small();
    let legal = plan(&setup, "train", 7, resident(&setup, 20, 4), Target::Gpu);
    verify(&legal).expect("the plan is legal before it is changed");
    for (what, mutate, message) in MUTATIONS {
        let mut plan = legal.clone();
        mutate(&mut plan);
        let error = verify(&plan).expect_err(what).to_string();
        assert!(error.contains(message), "{what}: {error}");
        assert!(error.contains("plan train, step "), "{what}: {error}");
    }
}
