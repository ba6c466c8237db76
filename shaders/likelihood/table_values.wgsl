// Rows of a table in another form. TO says which: what an encoder is shown, 0 for what is missing and the logarithm of
// 1 + count, from an example; or means, probabilities and rates, from what a decoder puts out, whose second and third numbers stay.
// One workgroup per row, one thread per column.

const ENCODER = 0u;

struct Params {
    rows: u32,
    width: u32,
    columns: u32,
    rate_low: f32,
    rate_high: f32,
}

// Words and no floats: what is missing is known by its bits.
@group(0) @binding(0) var<storage, read> given: array<u32>;
@group(0) @binding(1) var<storage, read> columns: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn word_at(at: u32) -> u32 {
    return given[member * MEMBER_GIVEN + at];
}

fn encoded(kind: u32, word: u32) -> f32 {
    if is_missing(word) {
        return 0.0;
    }
    let value = bitcast<f32>(word);
    if kind == COLUMN_POISSON || kind == COLUMN_NEGATIVE_BINOMIAL || kind == COLUMN_ZERO_INFLATED {
        return log(1.0 + max(value, 0.0));
    }
    return value;
}

fn softmax(at: u32, places: u32) {
    var largest = bitcast<f32>(word_at(at));
    for (var i = 1u; i < places; i += 1u) {
        largest = max(largest, bitcast<f32>(word_at(at + i)));
    }
    var sum = 0.0;
    for (var i = 0u; i < places; i += 1u) {
        sum += exp(bitcast<f32>(word_at(at + i)) - largest);
    }
    for (var i = 0u; i < places; i += 1u) {
        values[member * MEMBER_VALUES + at + i] = exp(bitcast<f32>(word_at(at + i)) - largest) / sum;
    }
}

fn decode(kind: u32, at: u32, places: u32, at_lv: u32, at_third: u32) {
    let value = bitcast<f32>(word_at(at));
    if kind == COLUMN_CATEGORICAL {
        softmax(at, places);
    } else if kind == COLUMN_BERNOULLI {
        values[member * MEMBER_VALUES + at] = sigmoid(value);
    } else if kind == COLUMN_POISSON || kind == COLUMN_NEGATIVE_BINOMIAL {
        values[member * MEMBER_VALUES + at] = exp(clamp(value, params.rate_low, params.rate_high));
    } else if kind == COLUMN_ZERO_INFLATED {
        let rate = exp(clamp(value, params.rate_low, params.rate_high));
        values[member * MEMBER_VALUES + at] = rate * sigmoid(-bitcast<f32>(word_at(at_lv)));
        values[member * MEMBER_VALUES + at_third] = bitcast<f32>(word_at(at_third));
    } else {
        values[member * MEMBER_VALUES + at] = value;
    }
    if kind == COLUMN_NORMAL || kind == COLUMN_NEGATIVE_BINOMIAL || kind == COLUMN_ZERO_INFLATED {
        values[member * MEMBER_VALUES + at_lv] = bitcast<f32>(word_at(at_lv));
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    member = member_of(group);
    let row = linear_workgroup(group, groups);
    if row >= params.rows {
        return;
    }
    let at_row = row * params.width;
    for (var column = lane; column < params.columns; column += 64u) {
        let kind = columns[5u * column];
        let at = at_row + columns[5u * column + 1u];
        let places = columns[5u * column + 2u];
        if TO == ENCODER {
            for (var i = 0u; i < places; i += 1u) {
                values[member * MEMBER_VALUES + at + i] = encoded(kind, word_at(at + i));
            }
        } else {
            decode(kind, at, places, at_row + columns[5u * column + 3u], at_row + columns[5u * column + 4u]);
        }
    }
}
