// C = A·B for devices that emulate a workgroup lane by lane (software drivers): no workgroup memory, no barrier.
// A lane owns ROWS rows and the whole workgroup shares COLUMNS columns, so loads of B are the same for all lanes, and
// A is read four steps of k at a time. Same meaning as `matmul`.

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
const ROWS = 2u;
const COLUMNS = 8u;

fn load_a(row: u32, depth: u32) -> f32 {
    if TRANSPOSE_A == 0u {
        return a[row * params.k + depth];
    }
    // With ONES, the last row of Aᵀ is not stored: it is all ones and sums up the bias gradient.
    let stored = params.m - ONES;
    if ONES == 1u && row == stored {
        return 1.0;
    }
    return a[depth * stored + row];
}

fn load_b(depth: u32, column: u32) -> f32 {
    if TRANSPOSE_B == 0u {
        return b[depth * params.n + column];
    }
    return b[column * params.k + depth];
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column0 = group.x * COLUMNS;
    let row0 = (group.y * LANES + lane) * ROWS;
    var sums = array<f32, 16>(); // [ROWS][COLUMNS]
    // Rows and columns beyond the edge read the last one and are not stored.
    let last_row = params.m - 1u;
    let last_column = params.n - 1u;
    if BIAS == 1u {
        for (var j = 0u; j < COLUMNS; j += 1u) {
            let bias = b[params.k * params.n + min(column0 + j, last_column)];
            for (var i = 0u; i < ROWS; i += 1u) {
                sums[i * COLUMNS + j] = bias;
            }
        }
    }
    for (var depth = 0u; depth < params.k; depth += 1u) {
        let a0 = load_a(min(row0, last_row), depth);
        let a1 = load_a(min(row0 + 1u, last_row), depth);
        for (var j = 0u; j < COLUMNS; j += 1u) {
            let right = load_b(depth, min(column0 + j, last_column));
            sums[j] += a0 * right;
            sums[COLUMNS + j] += a1 * right;
        }
    }
    for (var i = 0u; i < ROWS; i += 1u) {
        for (var j = 0u; j < COLUMNS; j += 1u) {
            let row = row0 + i;
            let column = column0 + j;
            if row < params.m && column < params.n {
                let at = row * params.n + column;
                var value = sums[i * COLUMNS + j];
                if EPILOGUE == 1u {
                    value = activate(ACTIVATION, value);
                } else if EPILOGUE == 2u {
                    value *= activate_derivative(ACTIVATION, aux[at]);
                }
                c[at] = value;
            }
        }
    }
}
