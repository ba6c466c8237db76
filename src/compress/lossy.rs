//! Compression that loses something: of each example the mean of its posterior, rounded to multiples of a step, or the codes
//! of a codebook. What is decoded from them is the picture. Writer and reader agree on the symbols by integers and
//! [`super::portable`] alone, so networks may run anywhere: another device makes the same picture but for rounding.

use super::ans::{Ans, Shares};
use super::file::{File, Kind, damaged};
use super::portable::normal_below;
use super::{check_room, content};
use crate::error::{Error, Result};

/// Bits in which probabilities are told.
const BITS: u32 = 28;
/// The most steps on either side of zero.
const MOST_STEPS: f64 = 1_048_576.0;
/// Deviations are told as powers of two in eighths, from 2^−16 to 2^15.875.
const EIGHTHS: f64 = 8.0;
const MIDDLE: f64 = 128.0;

/// Symbols of rounded latents: how many lie on either side of zero, how wide they are, and how far those of each dimension
/// spread.
struct Steps {
    step: f64,
    reach: u32,
    deviations: Vec<f64>,
}

impl Steps {
    fn shares(&self) -> Shares {
        Shares { count: 2 * self.reach + 1, bits: BITS }
    }

    /// The mass below a symbol under the normal distribution of its dimension.
    fn below(&self, dimension: usize, symbol: u32) -> f64 {
        let edge = (f64::from(symbol) - f64::from(self.reach) - 0.5) * self.step;
        normal_below(edge / self.deviations[dimension])
    }

    /// What of it is written.
    fn to_bytes(&self, spreads: &[u8]) -> Vec<u8> {
        [&self.step.to_le_bytes()[..], &self.reach.to_le_bytes(), spreads].concat()
    }

    fn of(bytes: &[u8], dimensions: usize) -> Option<Self> {
        let (step, rest) = bytes.split_at_checked(8)?;
        let (reach, spreads) = rest.split_at_checked(4)?;
        let step = f64::from_le_bytes(step.try_into().ok()?);
        let reach = u32::from_le_bytes(reach.try_into().ok()?);
        let makes_sense =
            step.is_finite() && step > 0.0 && f64::from(reach) <= MOST_STEPS && spreads.len() == dimensions;
        makes_sense.then(|| Self { step, reach, deviations: spreads.iter().map(|&spread| deviation(spread)).collect() })
    }
}

/// The deviation that a byte tells: a power of two, exact, times a root of it that is told by its digits.
fn deviation(spread: u8) -> f64 {
    const ROOTS: [f64; 8] = [
        1.0,
        1.090_507_732_665_257_7,
        1.189_207_115_002_721,
        1.296_839_554_651_009_6,
        std::f64::consts::SQRT_2,
        1.542_210_825_407_940_7,
        1.681_792_830_507_429,
        1.834_008_086_409_342_4,
    ];
    let power = i32::from(spread) / 8 - 16;
    let whole = f64::from_bits(((power + 1023) as u64) << 52);
    whole * ROOTS[usize::from(spread) % 8]
}

/// Checks a step of latents.
///
/// # Errors
/// [`Error::Usage`] for one that is no positive number.
pub fn check_step(step: f64) -> Result<()> {
    if step.is_finite() && step > 0.0 {
        return Ok(());
    }
    Err(Error::Usage(format!("--step {step}: a step is a number above 0")))
}

/// Rounds latents [N, Z] to multiples of `step` and codes them, each dimension under a normal distribution around zero whose
/// deviation the file tells by a byte: under the prior N(0, 1) alone a dimension that the model does not use would cost as much
/// as any other. `model` is [`super::model_hash`], `shape` that of an example.
///
/// # Errors
/// [`Error::Usage`] for a step that is no positive number, or too small for these latents; [`Error::Diverged`] for latents that are
/// not finite.
pub fn compress_latents(latents: &[f32], dimensions: usize, step: f64, model: u64, shape: [usize; 3]) -> Result<File> {
    check_step(step)?;
    if let Some(at) = latents.iter().position(|x| !x.is_finite()) {
        return Err(Error::Diverged(format!(
            "the latent of example {} is {} in dimension {}: the model has diverged",
            at / dimensions,
            latents[at],
            at % dimensions
        )));
    }
    let largest = latents.iter().fold(0.0, |most, &x| f64::max(most, (f64::from(x) / step).round().abs()));
    if largest > MOST_STEPS {
        let least = step * largest / MOST_STEPS;
        return Err(Error::Usage(format!(
            "--step {step}: it is too small for these latents; choose one above {least:.2e}"
        )));
    }
    let symbols: Vec<i64> = latents.iter().map(|&x| (f64::from(x) / step).round() as i64).collect();
    let rows = (latents.len() / dimensions).max(1) as f64;
    let spread = |dimension: usize| {
        let squares = latents.iter().skip(dimension).step_by(dimensions).map(|&x| f64::from(x).powi(2));
        let variance = squares.sum::<f64>() / rows;
        (MIDDLE + EIGHTHS * 0.5 * variance.log2()).round().clamp(0.0, 255.0) as u8
    };
    let spreads: Vec<u8> = (0..dimensions).map(spread).collect();
    let deviations = spreads.iter().map(|&spread| deviation(spread)).collect();
    let steps = Steps { step, reach: largest as u32, deviations };
    let mut ans = Ans::encoder();
    for (at, &symbol) in symbols.iter().enumerate().rev() {
        let symbol = (symbol + i64::from(steps.reach)) as u32;
        steps.shares().push(&mut ans, symbol, |symbol| steps.below(at % dimensions, symbol));
    }
    let about = steps.to_bytes(&spreads);
    let count = latents.len() / dimensions;
    Ok(file(Kind::Latents, ans, about, (model, shape, count), content(&restored(&steps, &symbols), &[])))
}

/// The latents that symbols stand for.
fn restored(steps: &Steps, symbols: &[i64]) -> Vec<f32> {
    symbols.iter().map(|&symbol| (symbol as f64 * steps.step) as f32).collect()
}

fn file(kind: Kind, ans: Ans, about: Vec<u8>, (model, shape, count): (u64, [usize; 3], usize), content: u64) -> File {
    let borrowed = ans.borrowed();
    let (state, words) = ans.into_parts();
    let (shape, count) = (shape.map(|extent| extent as u32), count as u64);
    File { kind, model, probe: 0, shape, count, content, about, borrowed, state, words }
}

/// The latents of a file, [N, Z].
///
/// # Errors
/// [`Error::Data`] where it holds no latents, or of another model, or what comes out is not what went in.
pub fn latents(file: &File, dimensions: usize, model: u64, shape: [usize; 3]) -> Result<Vec<f32>> {
    of_kind(file, Kind::Latents, model, shape)?;
    let steps = Steps::of(&file.about, dimensions).ok_or_else(|| damaged("its header is of other latents"))?;
    let symbol = |ans: &mut Ans, at: usize| {
        let symbol = steps.shares().pop(ans, |symbol| steps.below(at % dimensions, symbol));
        i64::from(symbol) - i64::from(steps.reach)
    };
    let latents = restored(&steps, &popped(file, dimensions, symbol)?);
    if content(&latents, &[]) == file.content { Ok(latents) } else { Err(damaged(OTHER)) }
}

const OTHER: &str = "what comes out is not what went in, by its checksum";

fn of_kind(file: &File, kind: Kind, model: u64, shape: [usize; 3]) -> Result<()> {
    if file.kind != kind {
        return Err(Error::Data(format!("the file holds {:?} and no {kind:?}", file.kind)));
    }
    file.check_model(model, shape, 0)
}

/// The symbols of a file, `each` of an example.
fn popped<T>(file: &File, each: usize, symbol: impl Fn(&mut Ans, usize) -> T) -> Result<Vec<T>> {
    let count = usize::try_from(file.count).unwrap_or(usize::MAX).saturating_mul(each);
    // Symbols may cost no bits at all, so the words of a file bound nothing: what comes of it is symbols, latents, their bytes, and
    // pictures, twice.
    let width = file.shape.iter().fold(1, |size: usize, &extent| size.saturating_mul(extent as usize));
    let example = width.saturating_mul(12).saturating_add(each.saturating_mul(8 + 2 * size_of::<T>()));
    check_room(file.count, usize::try_from(file.count).unwrap_or(usize::MAX).saturating_mul(example))?;
    let mut ans = file.coder()?;
    let mut symbols = Vec::new();
    for at in 0..count {
        symbols.push(symbol(&mut ans, at));
        if ans.is_exhausted() {
            return Err(damaged(&format!("its bits end within example {}", at / each)));
        }
    }
    if ans.is_as_begun(file.borrowed) { Ok(symbols) } else { Err(damaged(OTHER)) }
}

/// Codes [N, cells] of a codebook of so many, all as likely: log₂ K bits each.
///
/// # Errors
/// [`Error::Usage`] for a code that the codebook has not.
pub fn compress_codes(codes: &[u32], cells: usize, most: u32, model: u64, shape: [usize; 3]) -> Result<File> {
    if let Some(code) = codes.iter().find(|&&code| code >= most) {
        return Err(Error::Usage(format!("there is no code {code} in a codebook of {most}")));
    }
    let mut ans = Ans::encoder();
    let shares = uniform(most);
    for &code in codes.iter().rev() {
        shares.push(&mut ans, code, |code| f64::from(code) / f64::from(most));
    }
    let about = most.to_le_bytes().to_vec();
    Ok(file(Kind::Codes, ans, about, (model, shape, codes.len() / cells), content(&[], codes)))
}

/// The codes of a file, [N, cells].
///
/// # Errors
/// As those of [`latents`].
pub fn codes(file: &File, cells: usize, most: u32, model: u64, shape: [usize; 3]) -> Result<Vec<u32>> {
    of_kind(file, Kind::Codes, model, shape)?;
    if file.about != most.to_le_bytes() {
        return Err(damaged("its codes are of a codebook of another size"));
    }
    let shares = uniform(most);
    let codes = popped(file, cells, |ans, _| shares.pop(ans, |code| f64::from(code) / f64::from(most)))?;
    if content(&[], &codes) == file.content { Ok(codes) } else { Err(damaged(OTHER)) }
}

fn uniform(most: u32) -> Shares {
    Shares { count: most, bits: BITS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Philox, Stream};

    const SHAPE: [usize; 3] = [1, 4, 4];

    /// Latents of dimensions that spread by 1, by 0.02, and not at all.
    fn drawn(rows: u32) -> Vec<f32> {
        let row = |row: u32| {
            let mut random = Philox::new(1, Stream::Choice, row, 0);
            [random.normal(), 0.02 * random.normal(), 0.0]
        };
        (0..rows).flat_map(row).collect()
    }

    #[test]
    fn latents_come_back_within_half_a_step_at_their_entropy() {
        let latents = drawn(5000);
        for step in [2.0, 0.5, 0.01] {
            let file = compress_latents(&latents, 3, step, 5, SHAPE).unwrap();
            let found = self::latents(&file, 3, 5, SHAPE).unwrap();
            let off = found.iter().zip(&latents).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            assert!(off <= 0.5 * step + 1e-6, "{step}: off by {off}");
            // The entropy of symbols themselves, which no code of single symbols goes below.
            let mut entropy = 0.0;
            for dimension in 0..3 {
                let mut counts = std::collections::BTreeMap::new();
                for x in latents.iter().skip(dimension).step_by(3) {
                    *counts.entry((f64::from(*x) / step).round() as i64).or_insert(0.0) += 1.0;
                }
                entropy += counts.values().map(|&n: &f64| n / 5000.0 * (5000.0 / n).log2()).sum::<f64>();
            }
            let bits = 8.0 * file.to_bytes().len() as f64 / 5000.0;
            assert!(bits < entropy * 1.03 + 0.3 && bits > entropy * 0.97, "{step}: {bits} bits, entropy {entropy}");
        }
    }

    #[test]
    fn codes_cost_the_logarithm_of_their_number() {
        let codes: Vec<u32> = (0..6000).map(|at: u32| at * at % 700).collect();
        let file = compress_codes(&codes, 4, 700, 5, SHAPE).unwrap();
        assert_eq!(self::codes(&file, 4, 700, 5, SHAPE).unwrap(), codes);
        let bits = 32.0 * file.words.len() as f64 / 6000.0;
        assert!((bits - 700.0_f64.log2()).abs() < 0.01, "{bits}");
        for (cells, most, model, shape, reason) in [
            (4, 701, 5, SHAPE, "another size"),
            (4, 700, 6, SHAPE, "another model"),
            (4, 700, 5, [1, 4, 5], "of shape"),
            (2, 700, 5, SHAPE, "not what went in"),
        ] {
            let error = self::codes(&file, cells, most, model, shape).unwrap_err();
            assert!(error.to_string().contains(reason) && error.exit_code() == 3, "{error}");
        }
        assert!(self::latents(&file, 4, 5, SHAPE).is_err());
    }

    #[test]
    fn files_that_promise_more_than_they_hold_are_refused() {
        let codes: Vec<u32> = (0..600).map(|at| at % 7).collect();
        let good = compress_codes(&codes, 4, 700, 5, SHAPE).unwrap();
        for bad in [
            File { count: good.count + 1, ..good.clone() },
            File { count: good.count - 1, ..good.clone() },
            File { count: u64::MAX, ..good.clone() },
            File { state: good.state ^ 1, ..good.clone() },
            File { content: 0, ..good.clone() },
            File { words: good.words[1..].to_vec(), ..good.clone() },
        ] {
            assert!(self::codes(&bad, 4, 700, 5, SHAPE).is_err());
        }
    }

    #[test]
    fn steps_that_make_no_sense_are_refused() {
        for (step, x) in [(0.0, 1.0), (-1.0, 1.0), (f64::NAN, 1.0), (1e-9, 1.0), (0.1, f32::NAN)] {
            assert!(compress_latents(&[x], 1, step, 0, SHAPE).is_err(), "{step}, {x}");
        }
        assert_eq!(deviation(128), 1.0);
        assert!((deviation(132) - 2.0_f64.sqrt()).abs() < 1e-15 && deviation(0) == 1.0 / 65536.0);
    }
}
