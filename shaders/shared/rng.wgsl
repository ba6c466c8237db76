
// Philox4x32-10 and what is made of it; the same functions as in src/rng.rs, checked bit for bit.

const STREAM_BINARISE = 4u;
const STREAM_DROPOUT = 10u;

// The 64-bit product as (high, low).
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let middle = a1 * b0 + (low >> 16u);
    let carry = a0 * b1 + (middle & 0xffffu);
    return vec2<u32>(a1 * b1 + (middle >> 16u) + (carry >> 16u), a * b);
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = seed;
    for (var round = 0u; round < 10u; round += 1u) {
        let p0 = multiply_wide(c.x, 0xD2511F53u);
        let p1 = multiply_wide(c.z, 0xCD9E8D57u);
        c = vec4<u32>(p1.x ^ c.y ^ k.x, p1.y, p0.x ^ c.w ^ k.y, p0.y);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// (k + 1/2)·2⁻²³ from the upper 23 bits: exact, and never 0 or 1.
fn uniform_open(word: u32) -> f32 {
    return (f32(word >> 9u) + 0.5) * 1.1920928955078125e-7;
}

// The inverse of the normal distribution function (Giles 2012).
fn normal_deviate(word: u32) -> f32 {
    let u = uniform_open(word);
    let w = -log(4.0 * u * (1.0 - u));
    var p: f32;
    if w < 5.0 {
        let c = w - 2.5;
        p = 2.8102264e-8;
        p = 3.4327394e-7 + p * c;
        p = -3.523388e-6 + p * c;
        p = -4.3915065e-6 + p * c;
        p = 0.00021858087 + p * c;
        p = -0.001253725 + p * c;
        p = -0.0041776816 + p * c;
        p = 0.24664073 + p * c;
        p = 1.5014094 + p * c;
    } else {
        let c = sqrt(w) - 3.0;
        p = -0.00020021426;
        p = 0.00010095056 + p * c;
        p = 0.0013493432 + p * c;
        p = -0.0036734284 + p * c;
        p = 0.0057395077 + p * c;
        p = -0.0076224613 + p * c;
        p = 0.0094388705 + p * c;
        p = 1.0016741 + p * c;
        p = 2.8329768 + p * c;
    }
    return 1.4142135623 * p * (2.0 * u - 1.0);
}

// Latent noise: columns 4·block to 4·block + 3 of one sample of an example whose rows have `blocks` blocks.
fn noise_block(s: Step, example: u32, sample: u32, blocks: u32, block: u32) -> vec4<f32> {
    let words = philox(vec4<u32>(s.stream, s.step, example, sample * blocks + block), s.key);
    return vec4<f32>(normal_deviate(words.x), normal_deviate(words.y), normal_deviate(words.z), normal_deviate(words.w));
}
