// C = A·B by tiles (shared/blocks.wgsl); `matmul_direct` is for devices that emulate threads.
// A [m, k] (or its transpose), B [k, n] (or its transpose), C [m, n].

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

fn load_a(job: Job, row: u32, depth: u32) -> f32 {
    if row >= job.m || depth >= job.k {
        return 0.0;
    }
    if TRANSPOSE_A == 0u {
        return a[job.a + row * job.k + depth];
    }
    // With ONES, the last row of Aᵀ is not stored: it is all ones and sums up the bias gradient.
    let stored = job.m - ONES;
    if row == stored {
        return 1.0;
    }
    return a[job.a + depth * stored + row];
}

fn load_b(job: Job, depth: u32, column: u32) -> f32 {
    if column >= job.n || depth >= job.k {
        return 0.0;
    }
    if TRANSPOSE_B == 0u {
        return b[job.b + depth * job.n + column];
    }
    return b[job.b + column * job.k + depth];
}

// One stretch of both operands. Neighbouring threads read neighbouring addresses, whichever way an operand lies.
fn load_tiles(job: Job, row0: u32, column0: u32, depth0: u32, thread: u32) {
    for (var e = thread; e < STRETCH * (TILE_M / 4u); e += THREADS) {
        var depth = e % STRETCH;
        var quad = e / STRETCH;
        if TRANSPOSE_A == 1u {
            depth = e / (TILE_M / 4u);
            quad = e % (TILE_M / 4u);
        }
        let row = row0 + 4u * quad;
        let at = depth0 + depth;
        tiles[depth * ROW_A + quad] = vec4<f32>(
            load_a(job, row, at), load_a(job, row + 1u, at), load_a(job, row + 2u, at), load_a(job, row + 3u, at));
    }
    for (var e = thread; e < STRETCH * (TILE_N / 4u); e += THREADS) {
        var depth = e / (TILE_N / 4u);
        var quad = e % (TILE_N / 4u);
        if TRANSPOSE_B == 1u {
            depth = e % STRETCH;
            quad = e / STRETCH;
        }
        let column = column0 + 4u * quad;
        let at = depth0 + depth;
        tiles[FIRST_B + depth * ROW_B + quad] = vec4<f32>(load_b(job, at, column),
            load_b(job, at, column + 1u), load_b(job, at, column + 2u), load_b(job, at, column + 3u));
    }
}

// The bias of four columns: the row of B after the k rows of the product.
fn bias(job: Job, column: u32) -> vec4<f32> {
    var values = vec4<f32>();
    for (var j = 0u; j < 4u; j += 1u) {
        if BIAS == 1u && column + j < job.n {
            values[j] = b[job.b + job.k * job.n + column + j];
        }
    }
    return values;
}

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

// Four rows of four columns; gives the sum of each row's terms.
fn store_block(job: Job, row: u32, column: u32, values: mat4x4<f32>) -> vec4<f32> {
    var sums = vec4<f32>();
    for (var i = 0u; i < 4u; i += 1u) {
        for (var j = 0u; j < 4u; j += 1u) {
            if row + i < job.m && column + j < job.n {
                sums[i] += store(job, row + i, column + j, values[i][j]);
            }
        }
    }
    return sums;
}

// The terms of each row of the tile, summed over the threads that share the row.
fn store_terms(job: Job, row0: u32, tile: u32, thread: u32, first: vec4<f32>, high: vec4<f32>) {
    if thread < BLOCKS {
        let quad = thread / ACROSS;
        tiles[quad * ACROSS + thread % ACROSS] = first;
        if BLOCK_M == 8u {
            tiles[(quad + TILE_M / 8u) * ACROSS + thread % ACROSS] = high;
        }
    }
    workgroupBarrier();
    let row = row0 + thread;
    if thread < TILE_M && row < job.m {
        var sum = 0.0;
        for (var i = 0u; i < ACROSS; i += 1u) {
            sum += tiles[thread / 4u * ACROSS + i][thread % 4u];
        }
        terms[member * MEMBER_TERMS + row * ((job.n + TILE_N - 1u) / TILE_N) + tile] = sum;
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    member = member_of(group);
    let number = linear_workgroup(group, groups);
    var index = 0u;
    for (var i = 1u; i < params.jobs; i += 1u) {
        index = select(index, i, number >= params.table[i].first);
    }
    var job = params.table[index];
    // Not `member`: the job decides how far the loops with barriers go, and must be the same for all threads to see.
    let own = member_of(group);
    job.a += own * MEMBER_A;
    job.b += own * MEMBER_B;
    job.aux += own * MEMBER_AUX;
    job.c += own * MEMBER_C;
    let across = (job.n + TILE_N - 1u) / TILE_N;
    let row0 = (number - job.first) / across * TILE_M;
    let column0 = (number - job.first) % across * TILE_N;
    if row0 >= job.m {
        return;
    }
    let place = place_of(thread);
    var sums = Block();
    for (var depth0 = 0u; depth0 < job.k; depth0 += STRETCH) {
        load_tiles(job, row0, column0, depth0, thread);
        workgroupBarrier();
        sums = add_stretch(sums, place);
        workgroupBarrier();
    }
    if SLICES > 1u {
        sums.first = add_slices(sums.first, place);
    }
    let row = row0 + 4u * place.quad_a;
    let column = column0 + 4u * place.quad_b;
    var first_terms = vec4<f32>();
    var high_terms = vec4<f32>();
    if place.slice == 0u {
        let bias_first = bias(job, column);
        let ones = vec4<f32>(1.0);
        first_terms = store_block(job, row, column, add_product(sums.first, ones, bias_first));
        if BLOCK_M == 8u {
            high_terms = store_block(job, row + TILE_M / 2u, column, add_product(sums.high, ones, bias_first));
        }
        if BLOCK_N == 8u {
            let bias_right = bias(job, column + TILE_N / 2u);
            first_terms += store_block(job, row, column + TILE_N / 2u, add_product(sums.right, ones, bias_right));
            if BLOCK_M == 8u {
                high_terms += store_block(
                    job, row + TILE_M / 2u, column + TILE_N / 2u, add_product(sums.both, ones, bias_right));
            }
        }
    }
    if EPILOGUE == 3u || EPILOGUE == 4u {
        store_terms(job, row0, column0 / TILE_N, thread, first_terms, high_terms);
    }
}
