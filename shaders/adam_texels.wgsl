// `adam` for drivers that fetch texels much faster than words of storage; one thread four parameters.

struct Params {
    count: u32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
}

@group(2) @binding(0) var grad_texels: texture_2d<f32>;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(2) @binding(2) var param_texels: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> param: array<vec4<f32>>;
@group(2) @binding(3) var m_texels: texture_2d<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;
@group(2) @binding(4) var v_texels: texture_2d<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> step: Step;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let i = linear_workgroup(group, groups) * 256u + lane;
    // Whatever all threads share is read before any of them is left out: then it is read once and not by each.
    var scale = 1.0;
    if CLIP == 1u {
        scale = factor[0];
    }
    let rate = step.lr / step.correction1;
    let root = 1.0 / sqrt(step.correction2);
    if i >= params.count / 4u {
        return;
    }
    let place = texel(i);
    var g = textureLoad(grad_texels, place, 0) * scale;
    var p = textureLoad(param_texels, place, 0);
    if DECOUPLED == 1u {
        p -= step.lr * params.weight_decay * p;
    } else {
        g += params.weight_decay * p;
    }
    let first = params.beta1 * textureLoad(m_texels, place, 0) + (1.0 - params.beta1) * g;
    let second = params.beta2 * textureLoad(v_texels, place, 0) + (1.0 - params.beta2) * g * g;
    m[i] = first;
    v[i] = second;
    param[i] = p - rate * first / (sqrt(second) * root + params.eps);
}
