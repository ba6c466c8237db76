// Adam, or AdamW where DECOUPLED is 1; one thread a parameter.

struct Params {
    count: u32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> param: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
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
    var p = param[i];
    if CLIP == 1u {
        g *= factor[0];
    }
    if DECOUPLED == 1u {
        p -= step.lr * params.weight_decay * p;
    } else {
        g += params.weight_decay * p;
    }
    let first = params.beta1 * m[i] + (1.0 - params.beta1) * g;
    let second = params.beta2 * v[i] + (1.0 - params.beta2) * g * g;
    m[i] = first;
    v[i] = second;
    param[i] = p - step.lr / step.correction1 * first / (sqrt(second) / sqrt(step.correction2) + params.eps);
}
