// A convolution of images, or a transposed one, as a product by tiles (shared/blocks.wgsl) with a matrix that is never
// stored: rows of A are pixels of y, its columns what they see through each tap, looked up where a stretch is loaded.
// `conv` is for images of few channels, and for devices that emulate threads.
//
// x [R, pixels, inputs], w [taps·inputs + 1, outputs], y [R, pixels, outputs]. Pixel q of the coarse image sees the
// pixels q·stride + tap − padding of the fine one. UP says which of the two images y is; TRANSPOSE that w is that of
// the opposite map, [taps·outputs + 1, inputs], whose gradient this is.
//
// A pixel of the fine image is seen only through every stride-th tap. The pixels of a tile lie a stride apart, so that
// all of them are seen through the same taps: they are of one phase.

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    fine_height: u32,
    fine_width: u32,
    coarse_height: u32,
    coarse_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> aux: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

// The pixels that are made, a phase of an image: `size` is that of all phases together, `apart` how far neighbours are.
struct Made {
    size: vec2<u32>,
    apart: u32,
    cells: vec2<u32>,
    phase: vec2<u32>,
}

// What a row of A is: an example, and a cell of a phase.
struct Pixel {
    example: u32,
    cell: vec2<u32>,
}

fn pixel_of(made: Made, row: u32) -> Pixel {
    let at = row % (made.cells.x * made.cells.y);
    return Pixel(row / (made.cells.x * made.cells.y), vec2(at / made.cells.y, at % made.cells.y));
}

// What a column of A is: a tap, counted among those of a phase, and a channel.
struct Depth {
    tap: vec2<u32>,
    input: u32,
}

// So many columns further; `seen` are the taps of a phase.
fn further(begin: Depth, columns: u32, seen: vec2<u32>) -> Depth {
    var at = Depth(begin.tap, begin.input + columns);
    while at.input >= params.inputs {
        at.input -= params.inputs;
        at.tap.y += 1u;
        if at.tap.y == seen.y {
            at.tap = vec2(at.tap.x + 1u, 0u);
        }
    }
    return at;
}

// Where w holds the factor of an input channel and an output channel at a tap.
fn weight(tap: u32, input: u32, output: u32) -> f32 {
    if output >= params.outputs {
        return 0.0;
    }
    if TRANSPOSE == 1u {
        return w[member * MEMBER_W + (tap * params.outputs + output) * params.inputs + input];
    }
    return w[member * MEMBER_W + (tap * params.inputs + input) * params.outputs + output];
}

// The bias of four channels.
fn bias(column: u32) -> vec4<f32> {
    var values = vec4<f32>();
    for (var j = 0u; j < 4u; j += 1u) {
        if TRANSPOSE == 0u {
            values[j] = weight(params.kernel * params.kernel, 0u, column + j);
        }
    }
    return values;
}

// Four pixels of four channels on their way out.
fn store_block(made: Made, row: u32, column: u32, values: mat4x4<f32>) {
    for (var i = 0u; i < 4u; i += 1u) {
        let pixel = pixel_of(made, row + i);
        let at = pixel.cell * made.apart + made.phase;
        let first = ((pixel.example * made.size.x + at.x) * made.size.y + at.y) * params.outputs + column;
        let stored = pixel.example < params.rows && all(at < made.size);
        for (var j = 0u; j < 4u; j += 1u) {
            if stored && column + j < params.outputs {
                var out = values[i][j];
                if EPILOGUE == 1u {
                    out = activate(ACTIVATION, out);
                } else if EPILOGUE == 2u {
                    out *= activate_derivative(ACTIVATION, aux[member * MEMBER_AUX + first + j]);
                }
                y[member * MEMBER_Y + first + j] = out;
            }
        }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    member = member_of(group);
    let fine = vec2(params.fine_height, params.fine_width);
    let coarse = vec2(params.coarse_height, params.coarse_width);
    // Distances between neighbouring pixels of a tile, in the image that is made and in the one that is read.
    let apart = select(1u, params.stride, UP == 1u);
    let read_apart = select(params.stride, 1u, UP == 1u);
    let source = select(fine, coarse, UP == 1u);
    var made = Made(select(coarse, fine, UP == 1u), apart, vec2(0u), vec2(0u));
    made.cells = (made.size + apart - 1u) / apart;
    let down = (params.rows * made.cells.x * made.cells.y + TILE_M - 1u) / TILE_M;
    let across = (params.outputs + TILE_N - 1u) / TILE_N;
    let number = linear_workgroup(group, groups);
    let column0 = number % across * TILE_N;
    let row0 = number / across % down * TILE_M;
    made.phase = vec2(number / across / down / apart, number / across / down % apart);
    if made.phase.x >= apart {
        return;
    }
    let first = select(vec2(0u), (made.phase + params.padding) % params.stride, UP == 1u);
    let seen = (params.kernel + apart - 1u - first) / apart;
    let depths = seen.x * seen.y * params.inputs;

    // Each thread loads one quad of A at most, and one of B, from the same place of every stretch. Neighbours read
    // neighbouring addresses.
    let quad_a = thread / STRETCH;
    let loads_a = quad_a < TILE_M / 4u;
    let depth_a = thread % STRETCH;
    var quad_b = thread % (TILE_N / 4u);
    var depth_b = thread / (TILE_N / 4u);
    if TRANSPOSE == 1u {
        quad_b = thread / STRETCH;
        depth_b = thread % STRETCH;
    }
    let loads_b = quad_b < TILE_N / 4u && depth_b < STRETCH;
    var corner = array<vec2<i32>, 4>();
    var begin = array<u32, 4>();
    for (var j = 0u; j < 4u; j += 1u) {
        let pixel = pixel_of(made, row0 + 4u * quad_a + j);
        // Of a row that there is not, nothing is inside.
        corner[j] = select(vec2(-0x40000000), vec2<i32>(pixel.cell * read_apart), pixel.example < params.rows);
        begin[j] = ((pixel.example * source.x + pixel.cell.x * read_apart) * source.y + pixel.cell.y * read_apart)
            * params.inputs;
    }
    var left = further(Depth(), depth_a, seen);
    var right = further(Depth(), depth_b, seen);

    let place = place_of(thread);
    var sums = Block();
    for (var depth0 = 0u; depth0 < depths; depth0 += STRETCH) {
        if loads_a {
            let tap = vec2<i32>(first + left.tap * apart);
            var offset = tap - i32(params.padding);
            if UP == 1u {
                // A multiple of the stride, so that nothing is rounded.
                offset = (vec2<i32>(made.phase + params.padding) - tap) / i32(params.stride);
            }
            // Unsigned numbers wrap around, and so do what lies before an image and what leads there.
            let shift = u32(offset.x * i32(source.y) + offset.y) * params.inputs + left.input;
            var values = vec4<f32>();
            for (var j = 0u; j < 4u; j += 1u) {
                if left.tap.x < seen.x && all(vec2<u32>(corner[j] + offset) < source) {
                    values[j] = x[member * MEMBER_X + begin[j] + shift];
                }
            }
            tiles[depth_a * ROW_A + quad_a] = values;
            left = further(left, STRETCH, seen);
        }
        if loads_b {
            var values = vec4<f32>();
            if right.tap.x < seen.x {
                let tap = first + right.tap * apart;
                let column = column0 + 4u * quad_b;
                for (var j = 0u; j < 4u; j += 1u) {
                    values[j] = weight(tap.x * params.kernel + tap.y, right.input, column + j);
                }
            }
            tiles[FIRST_B + depth_b * ROW_B + quad_b] = values;
            right = further(right, STRETCH, seen);
        }
        workgroupBarrier();
        sums = add_stretch(sums, place);
        workgroupBarrier();
    }
    if SLICES > 1u {
        sums.first = add_slices(sums.first, place);
    }
    if place.slice == 0u {
        let row = row0 + 4u * place.quad_a;
        let column = column0 + 4u * place.quad_b;
        let ones = vec4<f32>(1.0);
        let bias_first = bias(column);
        store_block(made, row, column, add_product(sums.first, ones, bias_first));
        if BLOCK_M == 8u {
            store_block(made, row + TILE_M / 2u, column, add_product(sums.high, ones, bias_first));
        }
        if BLOCK_N == 8u {
            let bias_right = bias(column + TILE_N / 2u);
            store_block(made, row, column + TILE_N / 2u, add_product(sums.right, ones, bias_right));
            if BLOCK_M == 8u {
                store_block(made, row + TILE_M / 2u, column + TILE_N / 2u, add_product(sums.both, ones, bias_right));
            }
        }
    }
}
