// C = A·B with a tile of each operand in workgroup memory and a 4×4 block of C in registers.
// For devices whose threads run in parallel; `matmul_direct` is for those that emulate them.
// A [m, k] (or its transpose), B [k, n] (or its transpose), C [m, n].

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

const TILE = 64u;
const DEPTH = 16u;
const BLOCK = 4u;

var<workgroup> tile_a: array<f32, 1024>; // [DEPTH][TILE]
var<workgroup> tile_b: array<f32, 1024>; // [DEPTH][TILE]

fn load_a(row: u32, depth: u32) -> f32 {
    if row >= params.m || depth >= params.k {
        return 0.0;
    }
    if TRANSPOSE_A == 0u {
        return a[row * params.k + depth];
    }
    // With ONES, the last row of Aᵀ is not stored: it is all ones and sums up the bias gradient.
    let stored = params.m - ONES;
    if row == stored {
        return 1.0;
    }
    return a[depth * stored + row];
}

fn load_b(depth: u32, column: u32) -> f32 {
    if column >= params.n || depth >= params.k {
        return 0.0;
    }
    if TRANSPOSE_B == 0u {
        return b[depth * params.n + column];
    }
    return b[column * params.k + depth];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row0 = group.y * TILE;
    let column0 = group.x * TILE;
    let block_row = thread / 16u * BLOCK;
    let block_column = thread % 16u * BLOCK;
    var sums = array<vec4<f32>, 4>();
    if BIAS == 1u {
        // The row of B after the k rows of the product.
        var bias = vec4<f32>();
        for (var j = 0u; j < BLOCK; j += 1u) {
            let column = column0 + block_column + j;
            if column < params.n {
                bias[j] = b[params.k * params.n + column];
            }
        }
        sums = array<vec4<f32>, 4>(bias, bias, bias, bias);
    }
    for (var depth0 = 0u; depth0 < params.k; depth0 += DEPTH) {
        for (var i = 0u; i < 4u; i += 1u) {
            let e = i * 256u + thread;
            // Neighbouring threads read neighbouring addresses, whichever way an operand lies.
            if TRANSPOSE_A == 0u {
                tile_a[e % DEPTH * TILE + e / DEPTH] = load_a(row0 + e / DEPTH, depth0 + e % DEPTH);
            } else {
                tile_a[e] = load_a(row0 + e % TILE, depth0 + e / TILE);
            }
            if TRANSPOSE_B == 0u {
                tile_b[e] = load_b(depth0 + e / TILE, column0 + e % TILE);
            } else {
                tile_b[e % DEPTH * TILE + e / DEPTH] = load_b(depth0 + e % DEPTH, column0 + e / DEPTH);
            }
        }
        workgroupBarrier();
        for (var depth = 0u; depth < DEPTH; depth += 1u) {
            let at_a = depth * TILE + block_row;
            let at_b = depth * TILE + block_column;
            let right = vec4<f32>(tile_b[at_b], tile_b[at_b + 1u], tile_b[at_b + 2u], tile_b[at_b + 3u]);
            sums[0] += tile_a[at_a] * right;
            sums[1] += tile_a[at_a + 1u] * right;
            sums[2] += tile_a[at_a + 2u] * right;
            sums[3] += tile_a[at_a + 3u] * right;
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < BLOCK; i += 1u) {
        for (var j = 0u; j < BLOCK; j += 1u) {
            let row = row0 + block_row + i;
            let column = column0 + block_column + j;
            if row < params.m && column < params.n {
                let at = row * params.n + column;
                var value = sums[i][j];
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
