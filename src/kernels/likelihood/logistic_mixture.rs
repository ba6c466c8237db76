//! The discretised mixture of logistics for images of 256 levels (Salimans, Karpathy, Chen, Kingma 2017,
//! "`PixelCNN`++", arXiv 1701.05517, eqs. 1 and 2): distortion = −Σ over pixels of log Σₖ πₖ·Π over channels of the mass that
//! a logistic distribution gives to a level, per row, in nats, and its gradient.
//!
//! The channels of a pixel share the weights πₖ and are independent given the component: their means are not coupled as
//! the paper couples them, so any of them may be missing, and what is left is exact.
//!
//! Levels reach from −1 to 1. With u the distance of a level from the mean, s the scale and h half a bin, its mass lies
//! between the edges a = (u + h)/s and b = (u − h)/s. The paper's code takes σ(a) − σ(b) and, where that cancels, the density
//! times the width of the bin; here it is σ(a)·σ(−b)·(1 − exp(b − a)), which is the same number, and whose logarithm is
//! exact however narrow or far away the logistic is:
//!
//! log mass = log(1 − exp(−w)) − softplus(−a) − softplus(b), w = a − b; slope in the mean (σ(b) − σ(−a))/s; slope in log s
//! b·σ(b) − a·σ(−a) − w/(exp w − 1).
//!
//! The first level has all that is below it, the last all that is above it: they have no b, or no a, and no term in w.

use crate::kernels::{Call, Kernel, all_f32s_mut, f32s, math, params, read, read_u32, write};

params! {
    /// Shapes: x \[B, C, P\]; out and dout \[R, O\], O = K·(1 + 2C)·P: planes of K logits, then for each component C means,
    /// then likewise log-scales; g and distortion \[R\].
    pub struct Params {
        /// R, rows: so many samples for each example, one after the other.
        pub rows: u32,
        /// P, pixels of an example.
        pub pixels: u32,
        /// C, channels of a pixel.
        pub channels: u32,
        /// K, components of a mixture.
        pub components: u32,
        /// Samples per example.
        pub per_example: u32,
        /// Which weight of the loss belongs to the distortion, if `UNIFORM`.
        pub weight: u32,
        /// Lower bound of log-scales; the slope beyond is 0.
        pub low: f32,
        /// Upper bound of log-scales.
        pub high: f32,
    }
}

/// Half the distance from one level to the next.
const HALF_BIN: f64 = 1.0 / 255.0;

/// The kernel. Its outer axis is the rows. `VALUE` and `GRAD` say which outputs are wanted (the other is not written);
/// with `UNIFORM` = 1 the gradient is that of a mean over the batch and `g` is not read.
pub static KERNEL: Kernel = Kernel {
    name: "logistic_mixture",
    wgsl: include_str!("../../../shaders/likelihood/logistic_mixture.wgsl"),
    bindings: &[read("out"), read_u32("x"), read("g"), write("distortion"), write("dout")],
    params: FIELDS,
    entry: &[],
    consts: &["VALUE", "GRAD", "UNIFORM"],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(&asked.params(), asked.consts), "lower model.components or data.resize"),
    family: crate::kernels::Family::Alone,
};

/// One workgroup per row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize)
}

/// Iterations of the loops of a thread, at most ([`crate::kernels::MAX_LOOP_ITERATIONS`]): those of a row's pixels, of each once for the
/// term and once more for the gradient all components and their channels.
fn loop_iterations(p: &Params, consts: &[u32]) -> usize {
    let [pixels, components, channels] = [p.pixels, p.components, p.channels].map(|count| count as usize);
    let times = if consts[1] == 1 { 2 } else { 1 };
    pixels.div_ceil(64) * (1 + times * (1 + components * (2 + channels)))
}

impl Params {
    /// D, values of an example.
    fn width(&self) -> usize {
        (self.channels * self.pixels) as usize
    }

    /// O, numbers of a row of the decoder's output.
    fn outputs(&self) -> usize {
        (self.components * (1 + 2 * self.channels) * self.pixels) as usize
    }

    /// Where the means begin in a row, and the log-scales.
    fn parts(&self) -> [usize; 2] {
        let means = (self.components * self.pixels) as usize;
        [means, means + self.components as usize * self.width()]
    }
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let [out, x, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let [distortion, dout] = all_f32s_mut(writes);
    let (outputs, per_example, pixels) = (p.outputs(), p.per_example as usize, p.pixels as usize);
    let (value, grad, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    let first_example = range.start / per_example;
    for (i, r) in range.enumerate() {
        let x = &x[(r / per_example - first_example) * p.width()..][..p.width()];
        let out = &out[i * outputs..][..outputs];
        let g = match (grad, uniform) {
            (false, _) => 0.0,
            (true, true) => step.row_gradient(p.weight as usize, r, per_example),
            (true, false) => g[i],
        };
        let mut sum = 0.0;
        for at in 0..pixels {
            sum += pixel(&p, at, out, x, |place, slope| {
                if grad {
                    dout[i * outputs + place] = (f64::from(g) * slope) as f32;
                }
            });
        }
        if value {
            distortion[i] = sum as f32;
        }
    }
}

/// The term of a pixel; its slopes are handed over with their places in a row.
fn pixel(p: &Params, at: usize, out: &[f32], x: &[f32], mut put: impl FnMut(usize, f64)) -> f64 {
    let (components, channels, pixels) = (p.components as usize, p.channels as usize, p.pixels as usize);
    let [means, scales] = p.parts();
    let mass = |k: usize, c: usize| {
        let (place, value) = (k * p.width() + c * pixels + at, x[c * pixels + at]);
        if value.is_nan() { [0.0; 3] } else { log_mass(p, value, out[means + place], out[scales + place]) }
    };
    let logits: Vec<f64> = (0..components).map(|k| f64::from(out[k * pixels + at])).collect();
    let seen: Vec<f64> =
        (0..components).map(|k| logits[k] + (0..channels).map(|c| mass(k, c)[0]).sum::<f64>()).collect();
    let [prior, joint] = [log_sum_exp(&logits), log_sum_exp(&seen)];
    for k in 0..components {
        let share = (seen[k] - joint).exp();
        put(k * pixels + at, (logits[k] - prior).exp() - share);
        for c in 0..channels {
            let [_, mean, scale] = mass(k, c);
            put(means + k * p.width() + c * pixels + at, -share * mean);
            put(scales + k * p.width() + c * pixels + at, -share * scale);
        }
    }
    prior - joint
}

/// The logarithm of the mass of a level, and its slopes in the mean and in the log-scale.
fn log_mass(p: &Params, value: f32, mean: f32, given: f32) -> [f64; 3] {
    let inverse = (-f64::from(given.clamp(p.low, p.high))).exp();
    let centred = 2.0 * f64::from(value) - 1.0 - f64::from(mean);
    let (a, b) = (inverse * (centred + HALF_BIN), inverse * (centred - HALF_BIN));
    let width = a - b;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let level = 255.0 * value;
    let [mut mass, mut mean, mut scale] = [0.0; 3];
    if level < 254.5 {
        (mass, mean, scale) = (-softplus(-a), -inverse * sigmoid(-a), -a * sigmoid(-a));
    }
    if level > 0.5 {
        (mass, mean, scale) = (mass - softplus(b), mean + inverse * sigmoid(b), scale + b * sigmoid(b));
    }
    if level > 0.5 && level < 254.5 {
        (mass, scale) = (mass + (-(-width).exp_m1()).ln(), scale - width / width.exp_m1());
    }
    [mass, mean, if given < p.low || given > p.high { 0.0 } else { scale }]
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || rows(call),
    );
}

/// The meaning of [`cpu`], plane by plane. It works out the slopes also where only the value is wanted.
#[inline(always)]
fn rows(call: Call) {
    let p: Params = call.params();
    let Call { range, consts, step, reads, writes, .. } = call;
    let [out, x, g] = [0, 1, 2].map(|i| f32s(reads[i]));
    let [distortion, dout] = all_f32s_mut(writes);
    let (outputs, per_example) = (p.outputs(), p.per_example as usize);
    let (value, grad, uniform) = (consts[0] == 1, consts[1] == 1, consts[2] == 1);
    let first_example = range.start / per_example;
    let mut unwanted = vec![0.0; if grad { 0 } else { outputs }];
    let mut totals = [vec![0.0; p.pixels as usize], vec![0.0; p.pixels as usize]];
    for (i, r) in range.enumerate() {
        let x = &x[(r / per_example - first_example) * p.width()..][..p.width()];
        let out = &out[i * outputs..][..outputs];
        let dout = if grad { &mut dout[i * outputs..][..outputs] } else { &mut unwanted[..] };
        let g = match (grad, uniform) {
            (false, _) => 0.0,
            (true, true) => step.row_gradient(p.weight as usize, r, per_example),
            (true, false) => g[i],
        };
        masses(&p, out, x, dout);
        let [prior, joint] = &mut totals;
        let (logits, seen) = (p.parts()[0], &dout[..p.parts()[0]]);
        log_sum_exp_planes(&out[..logits], prior);
        log_sum_exp_planes(seen, joint);
        if value {
            distortion[i] = prior.iter().zip(&*joint).map(|(&p, &j)| f64::from(p) - f64::from(j)).sum::<f64>() as f32;
        }
        if grad {
            shares(&p, g, &out[..logits], &totals, dout);
        }
    }
}

/// What each component has seen, in the place of the slope of its logit, and the slopes of its masses in theirs.
#[inline(always)]
fn masses(p: &Params, out: &[f32], x: &[f32], dout: &mut [f32]) {
    let (pixels, width, [means, scales]) = (p.pixels as usize, p.width(), p.parts());
    dout[..means].copy_from_slice(&out[..means]);
    let (seen, slopes) = dout.split_at_mut(means);
    let (dmeans, dscales) = slopes.split_at_mut(scales - means);
    for k in 0..p.components as usize {
        let seen = &mut seen[k * pixels..][..pixels];
        for c in 0..p.channels as usize {
            let place = k * width + c * pixels;
            let (mean, scale) = (&out[means + place..][..pixels], &out[scales + place..][..pixels]);
            let (dmean, dscale) = (&mut dmeans[place..][..pixels], &mut dscales[place..][..pixels]);
            let x = &x[c * pixels..][..pixels];
            for at in 0..pixels {
                let [mass, along_mean, along_scale] = fast_log_mass(p, x[at], mean[at], scale[at]);
                seen[at] += mass;
                dmean[at] = along_mean;
                dscale[at] = along_scale;
            }
        }
    }
}

/// [`log_mass`] without branches; of a missing value zeros.
#[inline(always)]
fn fast_log_mass(p: &Params, value: f32, mean: f32, given: f32) -> [f32; 3] {
    const HALF_BIN: f32 = 1.0 / 255.0;
    let there = if value.is_nan() { 0.0 } else { 1.0 };
    let value = if value.is_nan() { 0.5 } else { value };
    let inverse = math::exp(-given.clamp(p.low, p.high));
    let centred = 2.0 * value - 1.0 - mean;
    let width = 2.0 * HALF_BIN * inverse;
    let (a, b) = (inverse * (centred + HALF_BIN), inverse * (centred - HALF_BIN));
    let upper = if value < 254.5 / 255.0 { there } else { 0.0 };
    let lower = if value > 0.5 / 255.0 { there } else { 0.0 };
    let inner = upper * lower;
    let (ea, eb) = (math::exp(-a.abs()), math::exp(-b.abs()));
    let mass = inner * math::ln(-math::exp_m1(-width))
        - upper * math::softplus_from(-a, ea)
        - lower * math::softplus_from(b, eb);
    let (along_a, along_b) = (upper * math::sigmoid_from(-a, ea), lower * math::sigmoid_from(b, eb));
    let slope = b * along_b - a * along_a - inner * width / math::exp_m1(width);
    let held = given < p.low || given > p.high;
    [mass, inverse * (along_b - along_a), if held { 0.0 } else { slope }]
}

/// log Σ exp over planes, pixel by pixel.
#[inline(always)]
fn log_sum_exp_planes(planes: &[f32], totals: &mut [f32]) {
    let pixels = totals.len();
    let mut largest = planes[..pixels].to_vec();
    for plane in planes.chunks_exact(pixels) {
        for (largest, &value) in largest.iter_mut().zip(plane) {
            *largest = largest.max(value);
        }
    }
    totals.fill(0.0);
    for plane in planes.chunks_exact(pixels) {
        for ((total, &largest), &value) in totals.iter_mut().zip(&largest).zip(plane) {
            *total += math::exp(value - largest);
        }
    }
    for (total, &largest) in totals.iter_mut().zip(&largest) {
        *total = largest + math::ln(*total);
    }
}

/// From what [`masses`] left to the gradient: a component's share in a pixel weighs its slopes.
#[inline(always)]
fn shares(p: &Params, g: f32, logits: &[f32], [prior, joint]: &[Vec<f32>; 2], dout: &mut [f32]) {
    let (pixels, width, [means, scales]) = (p.pixels as usize, p.width(), p.parts());
    let (seen, slopes) = dout.split_at_mut(means);
    let (dmeans, dscales) = slopes.split_at_mut(scales - means);
    let mut factors = vec![0.0; pixels];
    for k in 0..p.components as usize {
        let (seen, logits) = (&mut seen[k * pixels..][..pixels], &logits[k * pixels..][..pixels]);
        for at in 0..pixels {
            let share = math::exp(seen[at] - joint[at]);
            seen[at] = g * (math::exp(logits[at] - prior[at]) - share);
            factors[at] = -g * share;
        }
        for c in 0..p.channels as usize {
            let place = k * width + c * pixels;
            let (dmean, dscale) = (&mut dmeans[place..][..pixels], &mut dscales[place..][..pixels]);
            for at in 0..pixels {
                dmean[at] *= factors[at];
                dscale[at] *= factors[at];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, call, step};
    use crate::rng::{Philox, Stream};

    fn params(rows: u32, pixels: u32, channels: u32, components: u32) -> Params {
        Params { rows, pixels, channels, components, per_example: 1, weight: 0, low: -7.0, high: 7.0 }
    }

    fn distortion(function: fn(Call), p: &Params, out: &[f32], x: &[f32]) -> Vec<f32> {
        let mut distortion = vec![f32::NAN; p.rows as usize];
        let writes: Vec<&mut [f32]> = vec![&mut distortion, &mut []];
        function(call(0..p.rows as usize, p, &[1, 0, 0], &step(p.rows), &[out, x, &[]], writes));
        distortion
    }

    /// A grey pixel that stands for each of the 256 levels in turn.
    #[test]
    fn the_masses_of_all_levels_add_up_to_one_for_wide_and_narrow_mixtures() {
        for (means, scales) in [([-0.5, 0.3], [-2.0, -1.0]), ([0.999, -1.3], [-7.0, -3.0]), ([0.2, 0.21], [-9.0, 4.0])]
        {
            let p = params(256, 1, 1, 2);
            let out: Vec<f32> = [0.7, -0.4].into_iter().chain(means).chain(scales).collect::<Vec<f32>>().repeat(256);
            let x: Vec<f32> = (0..256).map(|level| level as f32 / 255.0).collect();
            for function in [cpu, fast] {
                let sum: f64 = distortion(function, &p, &out, &x).iter().map(|&nats| (-f64::from(nats)).exp()).sum();
                assert!((sum - 1.0).abs() < 2e-5, "{means:?} {scales:?}: {sum}");
            }
        }
    }

    /// The definition, in the form of the paper: differences of the distribution function.
    #[test]
    fn the_distortion_of_a_pixel_is_minus_the_logarithm_of_its_mass() {
        let p = params(3, 1, 3, 2);
        // Logits, means by component and channel, log-scales likewise.
        let row = [0.5, -0.2, 0.1, -0.4, 0.9, 0.3, 0.0, -0.8, -1.0, -2.0, -1.5, -3.0, -0.5, -2.5];
        let x = [30.0, 0.0, 255.0, 128.0, 77.0, 3.0, 255.0, 255.0, 0.0].map(|level: f32| level / 255.0);
        let function = |value: f64| 1.0 / (1.0 + (-value).exp());
        let expected: Vec<f64> = (0..3)
            .map(|pixel| {
                let weights = [0.5_f64.exp(), (-0.2_f64).exp()];
                let masses = (0..2).map(|k| {
                    let channels = (0..3).map(|c| {
                        let level = f64::from(255.0 * x[3 * pixel + c]).round();
                        let (mean, scale) = (f64::from(row[2 + 3 * k + c]), f64::from(row[8 + 3 * k + c]).exp());
                        let edge = |level: f64| function((2.0 * level / 255.0 - 1.0 - mean) / scale);
                        let above = if level == 255.0 { 1.0 } else { edge(level + 0.5) };
                        above - if level == 0.0 { 0.0 } else { edge(level - 0.5) }
                    });
                    weights[k] / (weights[0] + weights[1]) * channels.product::<f64>()
                });
                -masses.sum::<f64>().ln()
            })
            .collect();
        for function in [cpu, fast] {
            assert_close(&distortion(function, &p, &row.repeat(3), &x), &expected, 1e-5);
        }
    }

    #[test]
    fn the_gradient_agrees_with_central_differences_and_what_is_missing_has_none() {
        let mut rng = Philox::new(2, Stream::Choice, 0, 0);
        let p = Params { per_example: 2, low: -3.0, high: 1.0, ..params(2, 3, 2, 2) };
        let mut out: Vec<f32> = (0..2 * p.outputs()).map(|_| rng.normal()).collect();
        // A log-scale below what is allowed.
        out[p.parts()[1]] = -3.5;
        let mut x: Vec<f32> = (0..6).map(|at| [0.0, 17.0, 255.0, 128.0, 200.0, 254.0][at] / 255.0).collect();
        // Of the second pixel all is missing, of the third one channel.
        (x[1], x[4], x[5]) = (f32::NAN, f32::NAN, f32::NAN);
        let g = [1.5, -0.5];
        let loss = |out: &[f32]| -> f64 {
            distortion(cpu, &p, out, &x).iter().zip(g).map(|(&d, g)| f64::from(d) * f64::from(g)).sum()
        };
        let slopes: Vec<f64> = (0..out.len())
            .map(|at| {
                let (mut above, mut below) = (out.clone(), out.clone());
                (above[at], below[at]) = (out[at] + 0.01, out[at] - 0.01);
                (loss(&above) - loss(&below)) / f64::from(above[at] - below[at])
            })
            .collect();
        for function in [cpu, fast] {
            let mut dout = vec![f32::NAN; out.len()];
            let writes: Vec<&mut [f32]> = vec![&mut [], &mut dout];
            function(call(0..2, &p, &[0, 1, 0], &step(1), &[&out, &x, &g], writes));
            assert_close(&dout, &slopes, 2e-3);
            let of_second = dout.iter().enumerate().filter(|(at, _)| at % p.outputs() % 3 == 1);
            assert!(of_second.clone().count() == 20 && of_second.clone().all(|(_, &slope)| slope == 0.0), "{dout:?}");
            assert_eq!(dout[p.parts()[1]], 0.0);
        }
    }

    #[test]
    fn the_fast_function_agrees_with_the_twin_for_every_setting_and_range() {
        let mut rng = Philox::new(1, Stream::Choice, 0, 0);
        for (pixels, channels) in [(1, 1), (16, 3), (53, 1), (64, 2)] {
            for code in 0..8 {
                let consts = [code & 1, code >> 1 & 1, code >> 2];
                let p = Params { per_example: 2, weight: 1, ..params(6, pixels, channels, 3) };
                let (width, outputs) = (p.width(), p.outputs());
                let out: Vec<f32> = (0..6 * outputs).map(|_| 2.0 * rng.normal()).collect();
                let x: Vec<f32> = (0..3 * width).map(|_| (255.0 * rng.uniform()).round() / 255.0).collect();
                let g: Vec<f32> = (0..6).map(|_| rng.normal()).collect();
                let compute = |function: fn(Call), start: usize, end: usize| {
                    let (mut distortion, mut dout) = (vec![0.0; end - start], vec![0.0; (end - start) * outputs]);
                    let reads = [&out[start * outputs..], &x[start / 2 * width..], &g[start..]];
                    function(call(start..end, &p, &consts, &step(2), &reads, vec![&mut distortion, &mut dout]));
                    [distortion, dout].concat()
                };
                let all = compute(fast, 0, 6);
                assert_close(&all, &compute(cpu, 0, 6), 1e-4);
                let (first, last) = (compute(fast, 0, 2), compute(fast, 2, 6));
                assert_eq!(all, [&first[..2], &last[..4], &first[2..], &last[4..]].concat(), "a range changes nothing");
            }
        }
    }
}
