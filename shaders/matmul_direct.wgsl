// C = A·B for devices that emulate a workgroup lane by lane (software drivers): no workgroup memory, no barrier.
// Same meaning as `matmul`. On such a device a load that differs between lanes is a loop over the lanes, so each lane
// owns a large block of C: 16 rows of 16 columns take 32 loads for 256 multiplications.

struct Params {
    m: u32,
    n: u32,
    k: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> aux: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

const LANES = 8u;
const ROWS = 16u;
const VECTORS = 4u;
const COLUMNS = 16u;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row0 = (group.y * LANES + lane) * ROWS;
    let column0 = group.x * COLUMNS;
    // With ONES, the last row of Aᵀ is not stored: it is all ones and sums up the bias gradient.
    let stored = params.m - ONES;
    let a_row = select(params.k, 1u, TRANSPOSE_A == 1u);
    let a_depth = select(1u, stored, TRANSPOSE_A == 1u);
    let b_column = select(1u, params.k, TRANSPOSE_B == 1u);
    let b_depth = select(params.n, 1u, TRANSPOSE_B == 1u);
    // Rows and columns beyond the edge read the last one and are not stored.
    let last_row = stored - 1u;
    let last_column = params.n - 1u;
    var sums = array<array<vec4<f32>, VECTORS>, ROWS>();
    if BIAS == 1u {
        for (var v = 0u; v < VECTORS; v += 1u) {
            var bias = vec4<f32>();
            for (var j = 0u; j < 4u; j += 1u) {
                bias[j] = b[params.k * params.n + min(column0 + 4u * v + j, last_column)];
            }
            for (var i = 0u; i < ROWS; i += 1u) {
                sums[i][v] = bias;
            }
        }
    }
    for (var depth = 0u; depth < params.k; depth += 1u) {
        let at = depth * b_depth;
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
            var left = a[min(row0 + i, last_row) * a_row + depth * a_depth];
            if ONES == 1u {
                left = select(left, 1.0, row0 + i == stored);
            }
            for (var v = 0u; v < VECTORS; v += 1u) {
                sums[i][v] += left * right[v];
            }
        }
    }
    for (var i = 0u; i < ROWS; i += 1u) {
        for (var v = 0u; v < VECTORS; v += 1u) {
            for (var j = 0u; j < 4u; j += 1u) {
                let row = row0 + i;
                let column = column0 + 4u * v + j;
                if row < params.m && column < params.n {
                    let place = row * params.n + column;
                    var value = sums[i][v][j];
                    if EPILOGUE == 1u {
                        value = activate(ACTIVATION, value);
                    } else if EPILOGUE == 2u {
                        value *= activate_derivative(ACTIVATION, aux[place]);
                    }
                    c[place] = value;
                }
            }
        }
    }
}
