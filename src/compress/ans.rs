//! A stack of bits with a coder on top: range asymmetric numeral systems (Duda 2013, arXiv 1311.2540). What was pushed last
//! is popped first, and popping what was never pushed draws a sample: bits-back coding needs both.
//!
//! The state has 64 bits and gives to and takes from the stack words of 32. It is in [2³², 2⁶⁴) between calls, so a symbol
//! of probability size/2^bits with up to 30 bits costs its information and less than a hundredth of a bit.

/// The smallest state.
const LOW: u64 = 1 << 32;

/// An odd number whose multiples look random (the golden section of 2³²), and its inverse among numbers of 32 bits.
const FACTOR: u32 = 0x9e37_79b1;
const INVERSE: u32 = 0x0e8b_2f51;

/// The most bits in which probabilities can be told.
pub const MOST_BITS: u32 = 30;

/// The share of [0, 2^bits) that a symbol has. Its size is 1 at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Where it begins.
    pub start: u32,
    /// Its length.
    pub size: u32,
}

/// Where words come from when the stack is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Supply {
    /// An encoder begins with words of [`clean`], so many of which it has taken.
    Clean(u64),
    /// A decoder has no more than it was given; whether it wanted more.
    None(bool),
}

/// The stack and the state above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ans {
    state: u64,
    words: Vec<u32>,
    supply: Supply,
}

/// The word of this number of an endless supply that looks random (the mixer of `SplitMix64`, Steele, Lea and Flood 2014).
/// Whoever reads a file makes the same.
fn clean(number: u64) -> u32 {
    let mut word = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((word ^ (word >> 31)) >> 32) as u32
}

impl Ans {
    /// An empty stack, on which samples can be drawn at once: each word that is not there is taken from a fixed supply, lies
    /// in the file from then on and is counted in its size.
    pub fn encoder() -> Self {
        Self { state: LOW | u64::from(clean(0)), words: vec![], supply: Supply::Clean(1) }
    }

    /// A stack that an encoder left. A state below 2³² is none that it leaves.
    pub fn decoder(state: u64, words: Vec<u32>) -> Option<Self> {
        (state >= LOW).then_some(Self { state, words, supply: Supply::None(false) })
    }

    /// The state and the stack below it.
    pub fn into_parts(self) -> (u64, Vec<u32>) {
        (self.state, self.words)
    }

    /// Words of the fixed supply that were taken.
    pub fn borrowed(&self) -> u64 {
        match self.supply {
            Supply::Clean(taken) => taken,
            Supply::None(_) => 0,
        }
    }

    /// Whether a decoder wanted more than was there.
    pub fn is_exhausted(&self) -> bool {
        self.supply == Supply::None(true)
    }

    /// Whether nothing is left but `borrowed` words of the fixed supply, as an encoder began.
    pub fn is_as_begun(&self, borrowed: u64) -> bool {
        let begun = (1..borrowed).rev().map(clean);
        self.state == LOW | u64::from(clean(0))
            && self.words.len() as u64 + 1 == borrowed
            && self.words.iter().copied().eq(begun)
    }

    /// Puts a symbol on the stack that has this share of 2^bits.
    pub fn push(&mut self, Interval { start, size }: Interval, bits: u32) {
        let size = u64::from(size);
        if self.state >> (64 - bits) >= size {
            self.words.push(self.state as u32);
            self.state >>= 32;
        }
        self.state = ((self.state / size) << bits) + u64::from(start) + self.state % size;
    }

    /// The place in [0, 2^bits) whose symbol lies on the stack.
    pub fn peek(&self, bits: u32) -> u32 {
        (self.state & ((1 << bits) - 1)) as u32
    }

    /// Takes the symbol off that has this share, in which [`Ans::peek`] lies.
    pub fn pop(&mut self, Interval { start, size }: Interval, bits: u32) {
        let rest = u64::from(self.peek(bits) - start);
        self.state = u64::from(size) * (self.state >> bits) + rest;
        if self.state < LOW {
            self.state = self.state << 32 | u64::from(self.word());
        }
    }

    /// Puts other bits in the place of the 32 that would be popped next, each by those of all: what was pushed last and what is popped
    /// next have nothing to do with each other then.
    pub fn mix(&mut self) {
        let low = (self.state as u32).wrapping_mul(FACTOR);
        self.state = self.state & !u64::from(u32::MAX) | u64::from(low ^ (low >> 16));
    }

    /// Takes back what [`Ans::mix`] did.
    pub fn unmix(&mut self) {
        let low = self.state as u32;
        let low = (low ^ (low >> 16)).wrapping_mul(INVERSE);
        self.state = self.state & !u64::from(u32::MAX) | u64::from(low);
    }

    fn word(&mut self) -> u32 {
        if let Some(word) = self.words.pop() {
            return word;
        }
        match &mut self.supply {
            Supply::Clean(taken) => {
                *taken += 1;
                clean(*taken - 1)
            }
            Supply::None(wanted) => {
                *wanted = true;
                0
            }
        }
    }
}

/// Probabilities of symbols as shares of 2^bits, of which each symbol has one at least: made of the mass below each, however
/// that was computed, as long as everybody computes it alike.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// Symbols.
    pub count: u32,
    /// 2^bits is divided.
    pub bits: u32,
}

impl Shares {
    /// Where the share of a symbol begins, given the mass of all symbols before it, `below(symbol)`, from 0 to 1. Two places
    /// go to each symbol whatever its mass, so that no share is empty even where rounding lets the mass fall by one.
    fn start(self, symbol: u32, below: &impl Fn(u32) -> f64) -> u32 {
        if symbol == 0 {
            return 0;
        }
        if symbol == self.count {
            return 1 << self.bits;
        }
        let free = f64::from((1_u32 << self.bits) - 2 * self.count);
        (below(symbol).clamp(0.0, 1.0) * free).floor() as u32 + 2 * symbol
    }

    /// The share of a symbol.
    pub fn of(self, symbol: u32, below: impl Fn(u32) -> f64) -> Interval {
        let start = self.start(symbol, &below);
        Interval { start, size: self.start(symbol + 1, &below) - start }
    }

    /// Takes a symbol off a stack.
    pub fn pop(self, ans: &mut Ans, below: impl Fn(u32) -> f64) -> u32 {
        let place = ans.peek(self.bits);
        // The share of `low` begins at the place or before it, that of `high` behind it.
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.start(middle, &below) <= place { low = middle } else { high = middle }
        }
        ans.pop(self.of(low, below), self.bits);
        low
    }

    /// Puts a symbol on a stack.
    pub fn push(self, ans: &mut Ans, symbol: u32, below: impl Fn(u32) -> f64) {
        ans.push(self.of(symbol, below), self.bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mixed_is_unmixed() {
        assert_eq!(FACTOR.wrapping_mul(INVERSE), 1);
        let mut ans = Ans::encoder();
        for step in 0..1000_u32 {
            let before = ans.clone();
            ans.mix();
            assert!(ans != before && ans.state >> 32 == before.state >> 32, "{step}");
            let mixed = ans.clone();
            ans.unmix();
            assert_eq!(ans, before, "{step}");
            ans = mixed;
            ans.push(Interval { start: step, size: 1 + step % 7 }, 20);
        }
    }
    use crate::rng::{Philox, Stream};

    /// The cumulative masses of a distribution with a rare and a common symbol.
    const BELOW: [f64; 7] = [0.0, 0.000_1, 0.03, 0.2, 0.21, 0.95, 1.0];

    fn draws(count: usize) -> Vec<u32> {
        let mut random = Philox::new(3, Stream::Choice, 0, 0);
        let draw = |random: &mut Philox| {
            let u = f64::from(random.uniform());
            (0..6).rev().find(|&at| BELOW[at] <= u).unwrap_or(0) as u32
        };
        (0..count).map(|_| draw(&mut random)).collect()
    }

    #[test]
    fn long_streams_cost_their_entropy_and_come_back() {
        let symbols = draws(200_000);
        let information = |&symbol: &u32| -(BELOW[symbol as usize + 1] - BELOW[symbol as usize]).log2();
        let entropy: f64 = symbols.iter().map(information).sum();
        for bits in [16, 24, 28, MOST_BITS] {
            let shares = Shares { count: 6, bits };
            let mut ans = Ans::encoder();
            for &symbol in &symbols {
                shares.push(&mut ans, symbol, |at| BELOW[at as usize]);
            }
            let (state, words) = ans.into_parts();
            let cost = 64.0 + 32.0 * words.len() as f64;
            assert!((cost / entropy - 1.0).abs() < 1e-3, "{bits} bits: {cost} for {entropy}");
            let mut ans = Ans::decoder(state, words).expect("a state that was left");
            for &symbol in symbols.iter().rev() {
                assert_eq!(shares.pop(&mut ans, |at| BELOW[at as usize]), symbol, "{bits} bits");
            }
            assert!(ans.is_as_begun(1) && !ans.is_exhausted());
            shares.pop(&mut ans, |at| BELOW[at as usize]);
            assert!(!ans.is_as_begun(1));
        }
    }

    #[test]
    fn samples_that_were_drawn_are_put_back_to_the_bit() {
        let (shares, drawn) = (Shares { count: 6, bits: 28 }, 3000);
        let mut ans = Ans::encoder();
        let samples: Vec<u32> = (0..drawn).map(|_| shares.pop(&mut ans, |at| BELOW[at as usize])).collect();
        let share = samples.iter().filter(|&&symbol| symbol == 4).count() as f64 / f64::from(drawn);
        assert!((share - 0.74).abs() < 0.03, "{share}");
        let borrowed = ans.borrowed();
        assert!(borrowed > 50, "{borrowed}");
        let (state, words) = ans.into_parts();
        let mut ans = Ans::decoder(state, words).expect("a state that was left");
        samples.iter().rev().for_each(|&symbol| shares.push(&mut ans, symbol, |at| BELOW[at as usize]));
        assert!(ans.is_as_begun(borrowed));
        assert!(!ans.is_as_begun(borrowed + 1));
    }

    #[test]
    fn no_share_is_empty_whatever_the_masses() {
        let shares = Shares { count: 256, bits: 16 };
        for below in [|_| 0.0, |_| 1.0, |at: u32| 0.5 - f64::from(at) * 1e-9, |_| f64::NAN, |_| f64::INFINITY] {
            let all: Vec<Interval> = (0..256).map(|symbol| shares.of(symbol, below)).collect();
            assert!(all.iter().all(|share| share.size > 0));
            assert!(all.windows(2).all(|pair| pair[0].start + pair[0].size == pair[1].start));
            assert_eq!(all[255].start + all[255].size, 1 << 16);
        }
    }

    #[test]
    fn a_decoder_says_when_there_was_too_little() {
        assert_eq!(Ans::decoder(5, vec![]), None);
        let mut ans = Ans::decoder(LOW, vec![]).expect("the smallest state");
        for _ in 0..3 {
            ans.pop(Interval { start: 0, size: 1 }, 16);
        }
        assert!(ans.is_exhausted());
    }
}
