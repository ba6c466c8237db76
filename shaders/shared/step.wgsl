
// What changes from step to step; `StepScalars` in src/kernels.rs.
struct Step {
    step: u32,
    rows: u32,
    first: u32,
    slot: u32,
    key: vec2<u32>,
    sample: u32,
    stream: u32,
    row_weight: f32,
    lr: f32,
    correction1: f32,
    correction2: f32,
    weights: array<vec4<f32>, 2>,
}

// Which of MEMBERS models this workgroup works on: `main` begins by asking. A binding holds the copies of all of them:
// of a binding `x`, that of a member begins at member * MEMBER_X. Both are constants that are appended to every kernel.
var<private> member: u32;

// With one model this is 0, which the compiler knows too. What decides about barriers takes it from here and not from
// `member`: a conforming compiler takes variables for different in each thread, and refuses a barrier that depends on one.
fn member_of(workgroup: vec3<u32>) -> u32 {
    return min(workgroup.z, MEMBERS - 1u);
}

// The position in the order of the example in row `row` of the batch. Rows that do not count repeat the last one.
fn position(s: Step, row: u32) -> u32 {
    return s.first + min(row, max(s.rows, 1u) - 1u);
}

// The gradient of an update may be the sum over several runs, its parts, which fill rows of the metrics that follow each
// other. `parts` is their number, or 0 where it is one.
fn first_part(s: Step, parts: u32) -> bool {
    return s.slot % max(parts, 1u) == 0u;
}

fn last_part(s: Step, parts: u32) -> bool {
    return s.slot % max(parts, 1u) == max(parts, 1u) - 1u;
}

// The weight of the loss in a slot. Only vectors are indexed at run time: an array would be copied whole.
fn loss_weight(s: Step, slot: u32) -> f32 {
    let four = select(s.weights[0], s.weights[1], slot >= 4u);
    return four[slot % 4u];
}

// The gradient that the mean over the batch, times weight `w`, gives to a row of `per_example` rows an example.
fn row_gradient(s: Step, w: u32, row: u32, per_example: u32) -> f32 {
    return select(0.0, loss_weight(s, w) * s.row_weight / f32(per_example), row < s.rows * per_example);
}

// The number of a workgroup in a grid whose second dimension continues the first.
fn linear_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
    return id.y * count.x + id.x;
}
