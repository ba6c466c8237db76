//! What a model of sequences is asked for: sequences that latents stand for, token by token.

mod beam;

use super::{BATCH, Purpose, Session};
use crate::data::text::vocabulary::{END, PADDING, UNKNOWN};
use crate::error::{Error, Result};
use crate::model::LOGITS;
use crate::model::sequence::{NEXT_UNITS, TOKEN, UNITS};
use crate::model::tasks::{BEGIN, NEXT};
use crate::plan::Role;
use crate::rng::{Philox, Stream};

/// How a token is chosen by what the decoder says of all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// T: probabilities are in proportion to exp(logit/T); of 0 the likeliest is taken.
    pub temperature: f32,
    /// So many of the likeliest are chosen from; 0 for all.
    pub top_k: usize,
    /// Of the likeliest as many are chosen from as together have this probability; 1 for all.
    pub top_p: f32,
}

impl Choice {
    /// The likeliest token in every place.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0 };

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the one that does not.
    pub fn check(&self) -> Result<()> {
        let Self { temperature, top_p, .. } = *self;
        if !(0.0..=f32::MAX).contains(&temperature) {
            return Err(Error::Usage(format!("--temperature {temperature}: expected a finite number from 0 up")));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Error::Usage(format!("--top-p {top_p}: expected a probability above 0 and up to 1")));
        }
        Ok(())
    }

    /// The token that a uniform number stands for, of those of the text and the end.
    fn token(&self, logits: &[f32], uniform: f32) -> Result<u32> {
        check_logits(logits)?;
        let mut all: Vec<u32> = (0..logits.len() as u32).filter(|token| ![PADDING, UNKNOWN].contains(token)).collect();
        let logit = |token: u32| logits[token as usize];
        // Of several that are as likely the first comes first.
        all.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)));
        if self.temperature == 0.0 {
            return Ok(all[0]);
        }
        if self.top_k > 0 {
            all.truncate(self.top_k);
        }
        let most = f64::from(logit(all[0]));
        let weight = |&token: &u32| ((f64::from(logit(token)) - most) / f64::from(self.temperature)).exp();
        let weights: Vec<f64> = all.iter().map(weight).collect();
        let (total, mut reached, mut kept) = (weights.iter().sum::<f64>(), 0.0, 0);
        while kept < weights.len() && (kept == 0 || reached < f64::from(self.top_p) * total) {
            reached += weights[kept];
            kept += 1;
        }
        let mut rest = f64::from(uniform) * reached;
        for (&token, weight) in all.iter().zip(&weights).take(kept) {
            rest -= weight;
            if rest < 0.0 {
                return Ok(token);
            }
        }
        Ok(all[kept - 1])
    }
}

/// Whether probabilities can be told.
fn check_logits(logits: &[f32]) -> Result<()> {
    if logits.iter().all(|logit| logit.is_finite()) {
        return Ok(());
    }
    Err(Error::Diverged("logits of tokens are not finite: the model has diverged".into()))
}

impl Session {
    /// The sequences that latents [N, Z] stand for, token by token up to the end or the last place: numbers of tokens, without the
    /// end where there is one. What is drawn is a function of the latent, the choice, the seed and the draw's number, one for each
    /// latent.
    ///
    /// # Errors
    /// [`Error::Usage`] for a model of no sequences, numbers that are no latents, or a choice that is none; [`Error::Diverged`] where
    /// logits are not finite; those of the executor.
    pub fn spell(&mut self, latents: &[f32], numbers: &[u32], choice: Choice, seed: u64) -> Result<Vec<Vec<u32>>> {
        choice.check()?;
        let latent = self.model.config.latent;
        let [begin, next] = [BEGIN, NEXT].map(|task| self.plan(Purpose::task(task, BATCH)));
        let (begin, next) = (begin?, next?);
        if latents.len() != numbers.len() * latent {
            let (found, count) = (latents.len(), numbers.len());
            return Err(Error::Usage(format!(
                "{found} numbers are no latents of {count} draws of {latent} dimensions"
            )));
        }
        let (wide, vocabulary) = (self.model.decoder_state(), self.model.vocabulary());
        let mut all = Vec::with_capacity(numbers.len());
        for (latents, numbers) in latents.chunks(BATCH * latent).zip(numbers.chunks(BATCH)) {
            let rows = numbers.len();
            self.executor.write_f32(&Role::Input("z".into()), 0, latents)?;
            let scalars = self.scalars(seed, Stream::Evaluate, 0, rows);
            self.run(begin, &[scalars])?;
            let mut units = self.output(NEXT_UNITS, rows, wide)?;
            let mut tokens = vec![PADDING as f32; rows];
            let mut found = vec![Vec::new(); rows];
            let mut ended = vec![false; rows];
            for place in 0..self.model.width {
                self.executor.write_f32(&Role::Input(UNITS.into()), 0, &units)?;
                self.executor.write_f32(&Role::Input(TOKEN.into()), 0, &tokens)?;
                self.run(next, &[scalars])?;
                let logits = self.output(LOGITS, rows, vocabulary)?;
                units = self.output(NEXT_UNITS, rows, wide)?;
                for (row, logits) in logits.chunks_exact(vocabulary).enumerate() {
                    if ended[row] {
                        continue;
                    }
                    let uniform = Philox::new(seed, Stream::Tokens, numbers[row], place as u32).uniform();
                    let token = choice.token(logits, uniform)?;
                    ended[row] = token == END;
                    tokens[row] = token as f32;
                    found[row].extend((token != END).then_some(token));
                }
                if ended.iter().all(|&ended| ended) {
                    break;
                }
            }
            all.extend(found);
        }
        Ok(all)
    }

    /// Texts of sequences, as [`Session::spell`] gives them.
    ///
    /// # Errors
    /// [`Error::Bug`] for a model of no text.
    pub fn texts(&self, sequences: &[Vec<u32>]) -> Result<Vec<String>> {
        let text =
            self.record.text.as_ref().ok_or_else(|| Error::Bug("a model of no text has no vocabulary".into()))?;
        Ok(sequences.iter().map(|tokens| text.text(tokens)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_numbers_become_tokens_by_their_probabilities() {
        // Probabilities of 1/8 (the end), 5/8 and 2/8; padding and unknown are never drawn.
        let logits = [9.0, 1.0_f32.ln(), 9.0, 5.0_f32.ln(), 2.0_f32.ln()];
        let all = Choice { temperature: 1.0, top_k: 0, top_p: 1.0 };
        let squares = Choice { temperature: 0.5, ..all };
        let two = Choice { top_k: 2, ..all };
        let most = Choice { top_p: 0.8, ..all };
        for (choice, uniform, expected) in [
            (all, 0.62, 3),
            (all, 0.63, 4),
            (all, 0.874, 4),
            (all, 0.876, END),
            // 25/30, 4/30 and 1/30.
            (squares, 0.83, 3),
            (squares, 0.84, 4),
            (squares, 0.97, END),
            // 5/7 and 2/7.
            (two, 0.714, 3),
            (two, 0.715, 4),
            (two, 0.999, 4),
            (most, 0.714, 3),
            (most, 0.999, 4),
            (Choice { top_p: 0.5, ..all }, 0.999, 3),
            (Choice::GREEDY, 0.999, 3),
        ] {
            assert_eq!(choice.token(&logits, uniform), Ok(expected), "{choice:?}, {uniform}");
        }
        assert!(all.token(&[0.0, f32::NAN, 0.0, 0.0], 0.5).is_err());
        assert!(
            Choice { top_p: 0.0, ..all }.check().is_err() && Choice { temperature: f32::NAN, ..all }.check().is_err()
        );
    }
}
