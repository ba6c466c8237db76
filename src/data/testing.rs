//! What the tests of several readers share.

use std::path::PathBuf;

use super::{FittedPreprocessing, ReadOptions};
use crate::config::{DataConfig, Likelihood};
use crate::rng::{Philox, Stream};

/// A file that `NumPy` or Pillow wrote.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data").join(name)
}

/// Sources in their own order, all for training.
pub fn plain() -> DataConfig {
    DataConfig { shuffle: false, test: 0.0, ..DataConfig::default() }
}

/// A request for numbers as they are.
pub fn unscaled(config: &DataConfig) -> ReadOptions<'_> {
    ReadOptions { config, takes: Likelihood::Bernoulli.takes(), known: None, holes: false }
}

/// A request for standardised tables.
pub fn standardised(config: &DataConfig) -> ReadOptions<'_> {
    ReadOptions { config, takes: Likelihood::Gaussian.takes(), known: None, holes: false }
}

/// A request for a model that has been trained.
pub fn known<'a>(config: &'a DataConfig, known: FittedPreprocessing<'a>) -> ReadOptions<'a> {
    ReadOptions { config, takes: Likelihood::Gaussian.takes(), known: Some(known), holes: false }
}

/// Files that were damaged in ways of which each is the same in every run.
pub struct Mutations {
    random: Philox,
}

impl Mutations {
    /// A series of its own.
    pub fn new(seed: u64) -> Self {
        Self { random: Philox::new(seed, Stream::Choice, 0, 0) }
    }

    fn below(&mut self, count: usize) -> usize {
        ((f64::from(self.random.uniform()) * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// A damaged copy.
    pub fn of(&mut self, bytes: &[u8]) -> Vec<u8> {
        /// What stands in for numbers and words.
        const TEXTS: [&[u8]; 16] = [
            b"-1",
            b"0",
            b"1e999",
            b"-1e300",
            b"NaN",
            b"18446744073709551615",
            b"9223372036854775808",
            b"4294967296",
            b"1099511627776",
            b"\x1b[31m\x07\n",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\0\0\0\0\0\x7f",
            b"\x80\0\0\0",
            b"\"",
            b"[",
            b",,",
        ];
        let mut damaged = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(damaged.len().max(1)).min(damaged.len());
            let some = self.below(24).min(damaged.len() - at);
            match self.below(8) {
                0 if at < damaged.len() => damaged[at] ^= 1 << self.below(8),
                1 if at < damaged.len() => damaged[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => damaged.truncate(at),
                3 => _ = damaged.splice(at..at + some, []),
                4 => _ = damaged.splice(at..at, damaged[at..at + some].repeat(1 + self.below(40))),
                5 => {
                    let text = TEXTS[self.below(TEXTS.len())];
                    damaged.splice(at..at + text.len().min(damaged.len() - at), text.iter().copied());
                }
                _ => self.number(&mut damaged, at),
            }
        }
        damaged
    }

    /// Another number in the place of the next one that is written as text.
    fn number(&mut self, damaged: &mut Vec<u8>, from: usize) {
        const NUMBERS: [&str; 12] = [
            "-1",
            "0",
            "1e300",
            "-0.5",
            "1e-320",
            "9007199254740993",
            "18446744073709551615",
            "4294967297",
            "1099511627776",
            "null",
            "[]",
            "\"\\u001b[2J\"",
        ];
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let Some(begin) = damaged[from..].iter().position(is_digit).map(|at| from + at) else { return };
        let end = damaged[begin..].iter().position(|byte| !is_digit(byte)).map_or(damaged.len(), |at| begin + at);
        damaged.splice(begin..end, NUMBERS[self.below(NUMBERS.len())].bytes());
    }
}

/// Runs a test once more in a process that may take so many MiB, where the system can say so. Whatever asks for more is
/// aborted, and the test with it.
pub fn in_bounded_memory(test: &str, mebibytes: u64, body: impl FnOnce()) {
    const INSIDE: &str = "ELBO_TEST_BOUNDED";
    if !cfg!(target_os = "linux") || std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let line = format!("ulimit -v {} && exec \"$0\" --exact \"$1\" --nocapture", mebibytes << 10);
    let mut child = std::process::Command::new("sh");
    child.args(["-c", &line]).arg(program).arg(test).env(INSIDE, "1").env("RAYON_NUM_THREADS", "2");
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{}: {said}", output.status);
}
