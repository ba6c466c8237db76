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

// The next row of A.
fn next_pixel(made: Made, pixel: Pixel) -> Pixel {
    var next = Pixel(pixel.example, vec2(pixel.cell.x, pixel.cell.y + 1u));
    if next.cell.y == made.cells.y {
        next.cell = vec2(next.cell.x + 1u, 0u);
    }
    if next.cell.x == made.cells.x {
        next = Pixel(next.example + 1u, vec2(0u, next.cell.y));
    }
    return next;
}

// What a column of A is: a tap, counted among those of a phase, and a channel.
struct Depth {
    tap: vec2<u32>,
    input: u32,
}

fn depth_of(column: u32, seen: vec2<u32>) -> Depth {
    let tap = column / params.inputs;
    let across = max(seen.y, 1u);
    return Depth(vec2(tap / across, tap % across), column % params.inputs);
}

// The column so many further.
fn further(at: Depth, by: Depth, seen: vec2<u32>) -> Depth {
    var next = Depth(at.tap + by.tap, at.input + by.input);
    if next.input >= params.inputs {
        next = Depth(vec2(next.tap.x, next.tap.y + 1u), next.input - params.inputs);
    }
    if next.tap.y >= seen.y {
        next.tap = vec2(next.tap.x + 1u, next.tap.y - seen.y);
    }
    return next;
}

// What is seen from a pixel of the image that is made: its corner, and where that lies in x.
struct Corner {
    at: vec2<i32>,
    begin: u32,
}

fn corner_of(pixel: Pixel, read_apart: u32, source: vec2<u32>) -> Corner {
    let at = pixel.cell * read_apart;
    let begin = ((pixel.example * source.x + at.x) * source.y + at.y) * params.inputs;
    // Rows past the last example see nothing.
    return Corner(select(vec2(-0x40000000), vec2<i32>(at), pixel.example < params.rows), begin);
}

// The number of x that is seen at an offset; `shift` leads there from the corner. Both may be negative: additions wrap
// around, so the sum is right for every pixel inside.
fn seen_value(corner: Corner, offset: vec2<i32>, shift: u32, source: vec2<u32>, there: bool) -> f32 {
    let inside = there && all(vec2<u32>(corner.at + offset) < source);
    let value = x[member * MEMBER_X + select(0u, corner.begin + shift, inside)];
    return select(0.0, value, inside);
}

// The factor of an input channel and an output channel at a tap, where it is `there`.
fn weight(tap: u32, input: u32, output: u32, there: bool) -> f32 {
    let inside = there && output < params.outputs;
    var at = (tap * params.inputs + input) * params.outputs + output;
    if TRANSPOSE == 1u {
        at = (tap * params.outputs + output) * params.inputs + input;
    }
    return select(0.0, w[member * MEMBER_W + select(0u, at, inside)], inside);
}

// The bias of four channels.
fn bias(column: u32) -> vec4<f32> {
    let last = params.kernel * params.kernel;
    let there = TRANSPOSE == 0u;
    return vec4<f32>(weight(last, 0u, column, there), weight(last, 0u, column + 1u, there),
        weight(last, 0u, column + 2u, there), weight(last, 0u, column + 3u, there));
}

// Four pixels of four channels on their way out.
fn store_block(made: Made, row: u32, column: u32, values: mat4x4<f32>) {
    var pixel = pixel_of(made, row);
    for (var i = 0u; i < 4u; i += 1u) {
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
        pixel = next_pixel(made, pixel);
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

    // Each thread loads one quad of A at most, and one of B, from the same place of every stretch.
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
    let column = column0 + 4u * quad_b;
    let pixel0 = pixel_of(made, row0 + 4u * quad_a);
    let pixel1 = next_pixel(made, pixel0);
    let pixel2 = next_pixel(made, pixel1);
    let corner0 = corner_of(pixel0, read_apart, source);
    let corner1 = corner_of(pixel1, read_apart, source);
    let corner2 = corner_of(pixel2, read_apart, source);
    let corner3 = corner_of(next_pixel(made, pixel2), read_apart, source);
    var left = depth_of(depth_a, seen);
    var right = depth_of(depth_b, seen);
    let stretch = depth_of(STRETCH, seen);
    // The pixel of the coarse image that sees one of the fine image through the first tap lies so far behind the cell.
    let behind = vec2<i32>((made.phase + params.padding) / params.stride);

    let place = place_of(thread);
    var sums = Block();
    for (var depth0 = 0u; depth0 < depths; depth0 += STRETCH) {
        if loads_a {
            let offset = select(vec2<i32>(left.tap) - i32(params.padding), behind - vec2<i32>(left.tap), UP == 1u);
            let shift = u32(offset.x * i32(source.y) + offset.y) * params.inputs + left.input;
            let there = left.tap.x < seen.x;
            tiles[depth_a * ROW_A + quad_a] = vec4<f32>(
                seen_value(corner0, offset, shift, source, there), seen_value(corner1, offset, shift, source, there),
                seen_value(corner2, offset, shift, source, there), seen_value(corner3, offset, shift, source, there));
            left = further(left, stretch, seen);
        }
        if loads_b {
            let tap = first + right.tap * apart;
            let number = tap.x * params.kernel + tap.y;
            let there = right.tap.x < seen.x;
            tiles[FIRST_B + depth_b * ROW_B + quad_b] = vec4<f32>(
                weight(number, right.input, column, there), weight(number, right.input, column + 1u, there),
                weight(number, right.input, column + 2u, there), weight(number, right.input, column + 3u, there));
            right = further(right, stretch, seen);
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
