// C = A·B for devices that emulate a workgroup lane by lane (software drivers): no workgroup memory, no barrier.
// Same meaning as `matmul`. On such a device a load that differs between lanes is a loop over the lanes, so each lane
// owns a large block of C: 16 rows of 16 columns take 32 loads for 256 multiplications.

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

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> aux: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> terms: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@group(1) @binding(1) var<uniform> steps: array<Step, MEMBERS>;

const LANES = 8u;
const ROWS = 16u;
const VECTORS = 4u;
const COLUMNS = 16u;

// One element of C on its way out; gives its term of the likelihood, if C is the decoder's output.
fn store(job: Job, row: u32, column: u32, value: f32) -> f32 {
    let at = row * job.n + column;
    var out = value;
    var term = 0.0;
    if EPILOGUE == 1u {
        out = activate(ACTIVATION, value);
    } else if EPILOGUE == 2u {
        out *= activate_derivative(ACTIVATION, aux[job.aux + at]);
    } else if EPILOGUE == 5u {
        var other = 0.0;
        if ACTIVATION == 1u {
            other = aux[job.aux + at];
        }
        out = formula(row, column, value, other);
    } else if EPILOGUE >= 3u {
        let x = aux[job.aux + row / params.per_example * job.n + column];
        let weight = row_gradient(steps[member], params.weight, row, params.per_example);
        if EPILOGUE == 3u {
            out = weight * (sigmoid(value) - x);
            term = bernoulli_term(value, x);
        } else {
            out = weight * (value - x) * exp(-params.log_variance);
            term = gaussian_term(value - x, params.log_variance);
        }
    }
    c[job.c + at] = out;
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
    job.a += member * MEMBER_A;
    job.b += member * MEMBER_B;
    job.aux += member * MEMBER_AUX;
    job.c += member * MEMBER_C;
    let across = (job.n + COLUMNS - 1u) / COLUMNS;
    let row0 = ((number - job.first) / across * LANES + lane) * ROWS;
    let column0 = (number - job.first) % across * COLUMNS;
    // With ONES, the last row of Aᵀ is not stored: it is all ones and sums up the bias gradient.
    let stored = job.m - ONES;
    let a_row = select(job.k, 1u, TRANSPOSE_A == 1u);
    let a_depth = select(1u, stored, TRANSPOSE_A == 1u);
    let b_column = select(1u, job.k, TRANSPOSE_B == 1u);
    let b_depth = select(job.n, 1u, TRANSPOSE_B == 1u);
    // Rows and columns beyond the edge read the last one and are not stored.
    let last_row = stored - 1u;
    let last_column = job.n - 1u;
    var sums = array<array<vec4<f32>, VECTORS>, ROWS>();
    if BIAS == 1u {
        for (var v = 0u; v < VECTORS; v += 1u) {
            var bias = vec4<f32>();
            for (var j = 0u; j < 4u; j += 1u) {
                bias[j] = b[job.b + job.k * job.n + min(column0 + 4u * v + j, last_column)];
            }
            for (var i = 0u; i < ROWS; i += 1u) {
                sums[i][v] = bias;
            }
        }
    }
    for (var depth = 0u; depth < job.k; depth += 1u) {
        let at = job.b + depth * b_depth;
        var right = array<vec4<f32>, VECTORS>();
        for (var v = 0u; v < VECTORS; v += 1u) {
            let column = column0 + 4u * v;
            right[v] = vec4<f32>(
                b[at + min(column, last_column) * b_column],
                b[at + min(column + 1u, last_column) * b_column],
                b[at + min(column + 2u, last_column) * b_column],
                b[at + min(column + 3u, last_column) * b_column],
            );
        }
        for (var i = 0u; i < ROWS; i += 1u) {
            var left = a[job.a + min(row0 + i, last_row) * a_row + depth * a_depth];
            if ONES == 1u {
                left = select(left, 1.0, row0 + i == stored);
            }
            for (var v = 0u; v < VECTORS; v += 1u) {
                sums[i][v] += left * right[v];
            }
        }
    }
    for (var i = 0u; i < ROWS; i += 1u) {
        let row = row0 + i;
        var term = 0.0;
        for (var v = 0u; v < VECTORS; v += 1u) {
            for (var j = 0u; j < 4u; j += 1u) {
                let column = column0 + 4u * v + j;
                if row < job.m && column < job.n {
                    term += store(job, row, column, sums[i][v][j]);
                }
            }
        }
        if (EPILOGUE == 3u || EPILOGUE == 4u) && row < job.m {
            terms[member * MEMBER_TERMS + row * across + column0 / COLUMNS] = term;
        }
    }
}
