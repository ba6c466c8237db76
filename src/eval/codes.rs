//! How a codebook is used by a part of the data.

/// Which codes stand for the cells of all examples of a part together.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// S, the codes of an example.
    pub cells: usize,
    /// How often each of K codes was the nearest, \[K\].
    pub counts: Vec<u64>,
}

impl Usage {
    /// Nothing as yet, of a codebook of so many codes.
    pub fn new(codes: usize, cells: usize) -> Self {
        Self { cells, counts: vec![0; codes] }
    }

    /// Takes note of codes.
    pub fn add(&mut self, codes: &[u32]) {
        for &code in codes {
            self.counts[code as usize] += 1;
        }
    }

    /// Codes that stand for a cell at least.
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    /// exp H of how often codes are used, H = −Σ p log p: as many codes would there be if all were used alike.
    pub fn perplexity(&self) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let share = |&count: &u64| count as f64 / total as f64;
        let entropy: f64 = self.counts.iter().filter(|&&count| count > 0).map(share).map(|p| -p * p.ln()).sum();
        entropy.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_perplexity_is_the_number_of_codes_that_are_used_alike() {
        let mut usage = Usage::new(8, 2);
        usage.add(&[1, 1, 3, 3]);
        usage.add(&[5, 5, 6, 6]);
        assert_eq!(usage.used(), 4);
        assert!((usage.perplexity() - 4.0).abs() < 1e-12);
        // H of 3/4 and 1/4 is 2 log 2 - 3/4 log 3.
        let mut usage = Usage::new(2, 1);
        usage.add(&[0, 0, 0, 1]);
        assert!((usage.perplexity() - 4.0 / 3.0_f64.powf(0.75)).abs() < 1e-12);
    }
}
