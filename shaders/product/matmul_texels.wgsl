// C = A·B for drivers that run a subgroup of eight lanes as one vector register and fetch texels much faster than words
// of storage. Same meaning as `matmul`. A workgroup is one subgroup. Each lane owns neighbouring columns of C; values
// of A are loaded once by some lane, eight of them at a time, and handed to all by shuffles.
//
// All arrays are indexed by nothing but counters of loops that are as long as the array: then the driver unrolls these
// loops and keeps the arrays in registers.

struct Job {
    m: u32,
    n: u32,
    k: u32,
    first: u32, // the job's first workgroup
    a: u32,     // where the operands begin in their bindings
    b: u32,
    aux: u32,
    c: u32,
}

struct Params {
    jobs: u32,
    weight: u32,
    per_example: u32,
    log_variance: f32,
    table: array<Job, 10>,
}

@group(2) @binding(0) var a_texels: texture_2d_array<f32>;
@group(2) @binding(1) var b_texels: texture_2d_array<f32>;
@group(2) @binding(2) var aux_texels: texture_2d_array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> terms: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

const LANES = 8u;
const GROUPS = TILE_M / LANES;
const COLUMNS = TILE_N / LANES;
const QUADS = COLUMNS / 4u;
const DEPTH_QUADS = DEPTH / 4u;

// Two texels of A. If A is stored as it is, they are four depths each of the lane's row. If it is transposed, they are
// four rows each of the lane's depth, or, where DEPTH is only 4, the first one is of depth lane % 4, and the upper lanes
// have the rows four further.
alias Left = array<array<f32, 4>, 2>;
// Values of B that meet in the lane's columns, for each depth.
alias Right = array<array<f32, COLUMNS>, DEPTH>;

fn four(v: vec4<f32>) -> array<f32, 4> {
    return array<f32, 4>(v.x, v.y, v.z, v.w);
}

fn a_at(at: u32) -> array<f32, 4> {
    return four(textureLoad(a_texels, texel(at), member, 0));
}

fn b_at(at: u32) -> array<f32, 4> {
    return four(textureLoad(b_texels, texel(at), member, 0));
}

// Rows row…row + 7 of A. What lies beyond the last row or the last depth is replaced by what is there: the former does
// not get into C, the latter meets zeros.
fn load_left(job: Job, row: u32, depth: u32, lane: u32) -> Left {
    let stored = job.m - ONES;
    var left = Left();
    for (var half = 0u; half < DEPTH_QUADS; half += 1u) {
        if TRANSPOSE_A == 0u {
            let quad = min(depth / 4u + half, job.k / 4u - 1u);
            left[half] = a_at((job.a + min(row + lane, stored - 1u) * job.k) / 4u + quad);
        } else {
            let quad = min(row / 4u + select(half, lane / 4u, DEPTH == 4u), stored / 4u - 1u);
            left[half] = a_at((job.a + min(depth + lane % DEPTH, job.k - 1u) * stored) / 4u + quad);
        }
    }
    return left;
}

// Value of A at a row (of the eight of `left`) and a depth.
fn left_at(left: Left, row: u32, depth: u32) -> f32 {
    if TRANSPOSE_A == 0u {
        return subgroupShuffle(left[depth / 4u][depth % 4u], row);
    }
    if DEPTH == 4u {
        return subgroupShuffle(left[0][row % 4u], depth + row / 4u * 4u);
    }
    return subgroupShuffle(left[row / 4u][row % 4u], depth);
}

// The lane's columns of B, zero from depth k on. `quad` is the first of them, in fours.
fn load_right(job: Job, quad: u32, depth: u32) -> Right {
    let last_quad = job.n / 4u - 1u;
    var right = Right();
    if TRANSPOSE_B == 0u {
        for (var d = 0u; d < DEPTH; d += 1u) {
            let row = (job.b + min(depth + d, job.k - 1u) * job.n) / 4u;
            for (var h = 0u; h < QUADS; h += 1u) {
                let values = b_at(row + min(quad + h, last_quad));
                for (var j = 0u; j < 4u; j += 1u) {
                    right[d][4u * h + j] = select(values[j], 0.0, depth + d >= job.k);
                }
            }
        }
    } else {
        for (var j = 0u; j < COLUMNS; j += 1u) {
            let column = (job.b + min(4u * quad + j, job.n - 1u) * job.k) / 4u;
            for (var h = 0u; h < DEPTH_QUADS; h += 1u) {
                let values = b_at(column + min(depth / 4u + h, job.k / 4u - 1u));
                for (var d = 0u; d < 4u; d += 1u) {
                    right[4u * h + d][j] = select(values[d], 0.0, depth + 4u * h >= job.k);
                }
            }
        }
    }
    return right;
}

// Four elements of C on their way out; gives their terms of the likelihood, if C is the decoder's output.
fn store(job: Job, row: u32, quad: u32, values: vec4<f32>) -> f32 {
    let at = (job.c + row * job.n) / 4u + quad;
    var out = values;
    var term = 0.0;
    if EPILOGUE == 1u {
        for (var j = 0u; j < 4u; j += 1u) {
            out[j] = activate(ACTIVATION, values[j]);
        }
    } else if EPILOGUE == 2u {
        let v = textureLoad(aux_texels, texel((job.aux + row * job.n) / 4u + quad), member, 0);
        for (var j = 0u; j < 4u; j += 1u) {
            out[j] *= activate_derivative(ACTIVATION, v[j]);
        }
    } else if EPILOGUE == 5u {
        var other = vec4<f32>();
        if ACTIVATION == 1u {
            other = textureLoad(aux_texels, texel((job.aux + row * job.n) / 4u + quad), member, 0);
        }
        for (var j = 0u; j < 4u; j += 1u) {
            out[j] = formula(row, 4u * quad + j, values[j], other[j]);
        }
    } else if EPILOGUE >= 3u {
        let example = row / params.per_example;
        let x = textureLoad(aux_texels, texel((job.aux + example * job.n) / 4u + quad), member, 0);
        let weight = row_gradient(steps[member], params.weight, row, params.per_example);
        for (var j = 0u; j < 4u; j += 1u) {
            if EPILOGUE == 3u {
                out[j] = weight * (sigmoid(values[j]) - x[j]);
                term += bernoulli_term(values[j], x[j]);
            } else {
                out[j] = weight * (values[j] - x[j]) * exp(-params.log_variance);
                term += gaussian_term(values[j] - x[j], params.log_variance);
            }
        }
    }
    c[at] = out;
    return term;
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let number = linear_workgroup(group, groups);
    var index = 0u;
    for (var i = 1u; i < params.jobs; i += 1u) {
        index = select(index, i, number >= params.table[i].first);
    }
    var job = params.table[index];
    // What is read lies in the member's layer. Not `member`: the job decides which lanes meet in shuffles.
    job.c += member_of(group) * MEMBER_C;
    let across = (job.n + TILE_N - 1u) / TILE_N;
    let row0 = (number - job.first) / across * TILE_M;
    let tile = (number - job.first) % across;
    let quad0 = (tile * LANES + lane) * QUADS;
    var sums = array<array<array<f32, COLUMNS>, LANES>, GROUPS>();
    if BIAS == 1u {
        var bias = array<f32, COLUMNS>();
        for (var h = 0u; h < QUADS; h += 1u) {
            let values = b_at((job.b + job.k * job.n) / 4u + min(quad0 + h, job.n / 4u - 1u));
            for (var j = 0u; j < 4u; j += 1u) {
                bias[4u * h + j] = values[j];
            }
        }
        for (var g = 0u; g < GROUPS; g += 1u) {
            for (var i = 0u; i < LANES; i += 1u) {
                sums[g][i] = bias;
            }
        }
    }
    for (var depth = 0u; depth < job.k; depth += DEPTH) {
        let right = load_right(job, quad0, depth);
        for (var g = 0u; g < GROUPS; g += 1u) {
            let row = row0 + g * LANES;
            let left = load_left(job, row, depth, lane);
            for (var i = 0u; i < LANES; i += 1u) {
                var x = array<f32, DEPTH>();
                for (var d = 0u; d < DEPTH; d += 1u) {
                    x[d] = left_at(left, i, d);
                    if ONES == 1u {
                        x[d] = select(x[d], 1.0, row + i == job.m - 1u);
                    }
                }
                for (var j = 0u; j < COLUMNS; j += 1u) {
                    var sum = sums[g][i][j];
                    for (var d = 0u; d < DEPTH; d += 1u) {
                        sum += x[d] * right[d][j];
                    }
                    sums[g][i][j] = sum;
                }
            }
        }
    }
    // This loop is not unrolled, so that the code for a row's way out is there once for each group. For that every row
    // moves to the front.
    for (var i = 0u; i < LANES; i += 1u) {
        for (var g = 0u; g < GROUPS; g += 1u) {
            let row = row0 + g * LANES + i;
            var term = 0.0;
            for (var h = 0u; h < QUADS; h += 1u) {
                if row < job.m && quad0 + h < job.n / 4u {
                    let s = sums[g][0];
                    term += store(job, row, quad0 + h, vec4<f32>(s[4u * h], s[4u * h + 1u], s[4u * h + 2u], s[4u * h + 3u]));
                }
            }
            if EPILOGUE == 3u || EPILOGUE == 4u {
                let total = subgroupAdd(term);
                if lane == 0u && row < job.m {
                    terms[member * MEMBER_TERMS + row * across + tile] = total;
                }
            }
            for (var next = 1u; next < LANES; next += 1u) {
                sums[g][next - 1u] = sums[g][next];
            }
        }
    }
}
