//! Philox4x32-10: random numbers as a pure function of what they are for.
//!
//! There is no state to save. The key is the seed; the counter says what the number is for (a [`Stream`]), at which
//! step, for which example, for which element. So noise does not depend on how a batch is split, how many threads
//! work, or whether the run was interrupted. The same functions stand in `shaders/shared/rng.wgsl`.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

use rand::rand_core::{Infallible, TryRng};

/// What a random number is for: the first word of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Initial parameters; the next word is the index of the parameter.
    Init = 1,
    /// The order of examples; the next word is the epoch.
    Order = 2,
    /// Reparameterisation noise in training.
    Noise = 3,
    /// Dynamic binarisation.
    Binarise = 4,
    /// The built-in glyphs; the next word is the example.
    Glyphs = 5,
    /// Noise of an evaluation, apart from that of training.
    Evaluate = 6,
    /// Draws from the prior for samples.
    Prior = 7,
    /// Anything chosen on the host: which examples to show, test cases.
    Choice = 8,
    /// Noise of anomaly scores, which is the same for every row; the last two words are sample and element.
    Score = 9,
    /// What layers of dropout leave out in training; the number of the layer stands in the upper bits of the word.
    Dropout = 10,
    /// Draws from p(x|z) on the host; the next words are the row, and which of its draws it is.
    Draw = 11,
    /// Latents of rows of which something is missing; the next words are the row, and the round.
    Impute = 12,
    /// Draws of N(0, 1) by which the density of an energy-based prior is normalised.
    Partition = 13,
    /// Tokens of sequences that are drawn; the next words are the number of the draw, and the place.
    Tokens = 14,
}

/// The two key words of a seed.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// One Philox4x32-10 block: four random words for a counter under a key.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for round in 0..10 {
        if round > 0 {
            k0 = k0.wrapping_add(0x9E37_79B9);
            k1 = k1.wrapping_add(0xBB67_AE85);
        }
        let p0 = u64::from(c0) * 0xD251_1F53;
        let p1 = u64::from(c2) * 0xCD9E_8D57;
        [c0, c1, c2, c3] = [(p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32];
    }
    [c0, c1, c2, c3]
}

/// A uniform number in the open interval (0, 1), from the upper 23 bits: (k + 1/2)·2⁻²³, which f32 holds exactly.
#[inline(always)]
pub fn uniform(word: u32) -> f32 {
    ((word >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// A standard normal deviate: [`quantile`]`(`[`uniform`]`(word))`.
pub fn normal(word: u32) -> f32 {
    quantile(uniform(word))
}

/// The inverse of the standard normal distribution function, for u between 0 and 1.
///
/// √2·erfinv(2u − 1) with the single-precision polynomials of M. Giles, "Approximating the erfinv function", GPU
/// Computing Gems Jade, 2012; (1 − x)(1 + x) is computed as 4u(1 − u), which loses no digits in the tails.
pub fn quantile(u: f32) -> f32 {
    quantile_by(u, f32::ln)
}

/// [`normal`] with a logarithm of the caller's choice.
#[inline(always)]
pub fn normal_by(word: u32, ln: impl Fn(f32) -> f32) -> f32 {
    quantile_by(uniform(word), ln)
}

/// [`quantile`] with a logarithm of the caller's choice. Both polynomials are worked out, so that loops vectorise.
#[inline(always)]
fn quantile_by(u: f32, ln: impl Fn(f32) -> f32) -> f32 {
    let w = -ln(4.0 * u * (1.0 - u));
    let near = {
        let w = w - 2.5;
        let p = 2.810_226_4e-8_f32;
        let p = 3.432_739_4e-7 + p * w;
        let p = -3.523_388e-6 + p * w;
        let p = -4.391_506_5e-6 + p * w;
        let p = 0.000_218_580_87 + p * w;
        let p = -0.001_253_725 + p * w;
        let p = -0.004_177_681_6 + p * w;
        let p = 0.246_640_73 + p * w;
        1.501_409_4 + p * w
    };
    let far = {
        // Below 0 there is only a rounding error of log 1.
        let w = w.max(0.0).sqrt() - 3.0;
        let p = -0.000_200_214_26_f32;
        let p = 0.000_100_950_56 + p * w;
        let p = 0.001_349_343_2 + p * w;
        let p = -0.003_673_428_4 + p * w;
        let p = 0.005_739_507_7 + p * w;
        let p = -0.007_622_461_3 + p * w;
        let p = 0.009_438_870_5 + p * w;
        let p = 1.001_674 + p * w;
        2.832_976_8 + p * w
    };
    std::f32::consts::SQRT_2 * (if w < 5.0 { near } else { far }) * (2.0 * u - 1.0)
}

/// Philox as a generator for the host, so that shuffles and distributions come from `rand`.
#[derive(Debug, Clone)]
pub struct Philox {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Philox {
    /// The sequence for one purpose: `stream` and two further words that tell sequences of that stream apart.
    pub fn new(seed: u64, stream: Stream, a: u32, b: u32) -> Self {
        Self { key: key(seed), counter: [stream as u32, a, b, 0], block: [0; 4], used: 4 }
    }

    /// The next uniform number in (0, 1).
    pub fn uniform(&mut self) -> f32 {
        uniform(self.word())
    }

    /// The next standard normal deviate.
    pub fn normal(&mut self) -> f32 {
        normal(self.word())
    }

    fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.counter[3] = self.counter[3].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }
}

impl TryRng for Philox {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.word());
        Ok(low | u64::from(self.word()) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.word().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors published with Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        for (counter, key, answer) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ] {
            assert_eq!(philox(counter, key), answer);
        }
    }

    #[test]
    fn uniforms_stay_inside_the_open_interval() {
        assert_eq!(uniform(0), 0.5 / 8_388_608.0);
        assert!(uniform(u32::MAX) < 1.0);
    }

    #[test]
    fn normals_have_the_moments_and_the_quantiles_of_a_normal() {
        let mut rng = Philox::new(3, Stream::Choice, 0, 0);
        let draws: Vec<f64> = (0..200_000).map(|_| f64::from(rng.normal())).collect();
        let mean = draws.iter().sum::<f64>() / 2e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2e5;
        let kurtosis = draws.iter().map(|x| (x - mean).powi(4)).sum::<f64>() / 2e5 / variance.powi(2);
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.015 && (kurtosis - 3.0).abs() < 0.06);
        let quantile = normal((0.975 * 4_294_967_296.0_f64) as u32);
        assert!((quantile - 1.959_964).abs() < 1e-5, "{quantile}");
        assert!(normal(0) < -5.0 && normal(u32::MAX) > 5.0);
    }
}
