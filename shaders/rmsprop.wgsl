// RMSprop, not centred; one thread a parameter. `buffer` is the momentum, touched only where MOMENTUM is 1.

struct Params {
    count: u32,
    alpha: f32,
    eps: f32,
    momentum: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> param: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> buffer: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> step: Step;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let i = linear_workgroup(group, groups) * 256u + lane;
    if i >= params.count {
        return;
    }
    var g = grad[i];
    if CLIP == 1u {
        g *= factor[0];
    }
    g += params.weight_decay * param[i];
    let square = params.alpha * v[i] + (1.0 - params.alpha) * g * g;
    v[i] = square;
    var change = g / (sqrt(square) + params.eps);
    if MOMENTUM == 1u {
        change += params.momentum * buffer[i];
        buffer[i] = change;
    }
    param[i] -= step.lr * change;
}
