
// Products with tiles of both operands in workgroup memory and a block of the result in registers, for kernels that have
// the constants TILE_M to DEPTH. For devices whose threads run in parallel.
//
// The 256 threads of a workgroup make one tile of the result, [TILE_M, TILE_N], in blocks of [BLOCK_M, BLOCK_N] a thread
// (4 or 8 each way). Where a tile has fewer blocks than there are threads, threads share each sum: slice s of them takes
// every s-th stretch of DEPTH products, and the slices are added up at the end, in a fixed order.

const THREADS = 256u;
const ACROSS = TILE_N / BLOCK_N;
const BLOCKS = TILE_M / BLOCK_M * ACROSS;
const SLICES = THREADS / BLOCKS;
const STRETCH = SLICES * DEPTH;
// Quads of rows or columns of one depth, and one more, so that neighbouring depths lie in different banks.
const ROW_A = TILE_M / 4u + 1u;
const ROW_B = TILE_N / 4u + 1u;
const FIRST_B = STRETCH * ROW_A;
const TILES = STRETCH * (ROW_A + ROW_B);
const EXCHANGE = SLICES / 2u * (TILE_M * TILE_N / 4u);
const TERMS = TILE_M / 4u * ACROSS;

// [STRETCH][ROW_A] of A, then [STRETCH][ROW_B] of B; later, what threads exchange.
var<workgroup> tiles: array<vec4<f32>, max(max(TILES, THREADS), max(EXCHANGE, TERMS))>;

// Where a thread works: its slice, and the quads of rows and columns that its block begins with.
struct Place {
    slice: u32,
    block: u32,
    quad_a: u32,
    quad_b: u32,
}

fn place_of(thread: u32) -> Place {
    let block = thread % BLOCKS;
    return Place(thread / BLOCKS, block, block / ACROSS, block % ACROSS);
}

// c + left·rightᵀ.
fn add_product(c: mat4x4<f32>, left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(c[0] + left.x * right, c[1] + left.y * right, c[2] + left.z * right, c[3] + left.w * right);
}

// A thread's block as four of 4×4; `high` and `right` ones are there if the block is 8 high or wide. Each matrix holds
// rows of the result in what WGSL calls columns. The second four rows lie half a tile below the first, columns likewise.
struct Block {
    first: mat4x4<f32>,
    right: mat4x4<f32>,
    high: mat4x4<f32>,
    both: mat4x4<f32>,
}

// Adds the products of the stretch that lies in `tiles`.
fn add_stretch(given: Block, place: Place) -> Block {
    var sums = given;
    for (var i = 0u; i < DEPTH; i += 1u) {
        let depth = place.slice * DEPTH + i;
        let at_a = depth * ROW_A + place.quad_a;
        let at_b = FIRST_B + depth * ROW_B + place.quad_b;
        let left = tiles[at_a];
        let right = tiles[at_b];
        sums.first = add_product(sums.first, left, right);
        if BLOCK_N == 8u {
            sums.right = add_product(sums.right, left, tiles[at_b + TILE_N / 8u]);
        }
        if BLOCK_M == 8u {
            let lower = tiles[at_a + TILE_M / 8u];
            sums.high = add_product(sums.high, lower, right);
            if BLOCK_N == 8u {
                sums.both = add_product(sums.both, lower, tiles[at_b + TILE_N / 8u]);
            }
        }
    }
    return sums;
}

// Adds up the slices of each block in pairs; the result is that of slice 0. Blocks of sliced tiles are 4×4.
fn add_slices(given: mat4x4<f32>, place: Place) -> mat4x4<f32> {
    var sum = given;
    for (var n = SLICES / 2u; n > 0u; n /= 2u) {
        if place.slice >= n && place.slice < 2u * n {
            let at = ((place.slice - n) * BLOCKS + place.block) * 4u;
            tiles[at] = sum[0];
            tiles[at + 1u] = sum[1];
            tiles[at + 2u] = sum[2];
            tiles[at + 3u] = sum[3];
        }
        workgroupBarrier();
        if place.slice < n {
            let at = (place.slice * BLOCKS + place.block) * 4u;
            sum += mat4x4<f32>(tiles[at], tiles[at + 1u], tiles[at + 2u], tiles[at + 3u]);
        }
        workgroupBarrier();
    }
    return sum;
}
