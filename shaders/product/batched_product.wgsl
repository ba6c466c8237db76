// C = A·B for each of a batch, where A or B may be stored as its transpose. A thread makes four neighbours of a row of C.

struct Params {
    batch: u32,
    m: u32,
    n: u32,
    k: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn left(batch: u32, row: u32, depth: u32) -> f32 {
    let first = member * MEMBER_A + batch * params.m * params.k;
    return a[first + select(row * params.k + depth, depth * params.m + row, TRANSPOSE_A == 1u)];
}

fn right(batch: u32, depth: u32, column: u32) -> f32 {
    let first = member * MEMBER_B + batch * params.k * params.n;
    return b[first + select(depth * params.n + column, column * params.k + depth, TRANSPOSE_B == 1u)];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    member = member_of(group);
    let across = (params.n + 3u) / 4u;
    let i = linear_workgroup(group, groups) * 64u + lane;
    if i >= params.batch * params.m * across {
        return;
    }
    let row = i / across;
    let batch = row / params.m;
    let first = i % across * 4u;
    // Columns beyond the last are computed as the last and not stored.
    let columns = min(vec4(first, first + 1u, first + 2u, first + 3u), vec4(params.n - 1u));
    var sum = vec4(0.0);
    for (var depth = 0u; depth < params.k; depth += 1u) {
        let x = left(batch, row % params.m, depth);
        sum += x * vec4(right(batch, depth, columns.x), right(batch, depth, columns.y), right(batch, depth, columns.z),
                        right(batch, depth, columns.w));
    }
    let place = member * MEMBER_Y + row * params.n + first;
    y[place] = sum.x;
    if first + 1u < params.n {
        y[place + 1u] = sum.y;
    }
    if first + 2u < params.n {
        y[place + 2u] = sum.z;
    }
    if first + 3u < params.n {
        y[place + 3u] = sum.w;
    }
}
