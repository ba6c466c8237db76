//! Beam search: of all sequences that latents may stand for one that is likely as a whole, where the likeliest token in every place may
//! lead away from it (Sutskever et al. 2014, arXiv 1409.3215, section 3.2).

use super::check_logits;
use crate::data::text::vocabulary::{END, PADDING, UNKNOWN};
use crate::error::{Error, Result};
use crate::model::LOGITS;
use crate::model::sequence::{NEXT_UNITS, TOKEN, UNITS};
use crate::model::tasks::{BEGIN, NEXT};
use crate::plan::Role;
use crate::rng::Stream;
use crate::session::{BATCH, Purpose, Session};

/// The beginning of a sequence, or a whole one.
#[derive(Debug, Clone)]
struct Hypothesis {
    /// log p(tokens|z), in nats; of a whole one with its end.
    score: f64,
    /// Its tokens, without the end.
    tokens: Vec<u32>,
    /// What the decoder remembers behind them.
    state: Vec<f32>,
}

/// The search for one latent.
struct Search {
    /// The beginnings that go on, the likeliest first.
    running: Vec<Hypothesis>,
    /// The likeliest whole sequence that was found.
    best: Option<Hypothesis>,
}

impl Search {
    /// One step: of all tokens behind all beginnings the `beam` likeliest, given the logits of each beginning [N, V] and what the decoder
    /// remembers [N, S]. In the last place all of them are whole.
    fn advance(&mut self, beam: usize, logits: &[f32], states: &[f32], is_last: bool) {
        let (count, before) = (self.running.len(), std::mem::take(&mut self.running));
        let (vocabulary, wide) = (logits.len() / count, states.len() / count);
        let mut all: Vec<(f64, usize, u32)> = Vec::new();
        for (at, (hypothesis, logits)) in before.iter().zip(logits.chunks_exact(vocabulary)).enumerate() {
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
            let all_of = f64::from(most) + sum.ln();
            let tokens = (0..vocabulary as u32).filter(|token| ![PADDING, UNKNOWN].contains(token));
            all.extend(tokens.map(|token| (hypothesis.score + f64::from(logits[token as usize]) - all_of, at, token)));
        }
        // Of several that are as likely the first comes first.
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (score, at, token) in all.into_iter().take(beam) {
            let mut tokens = before[at].tokens.clone();
            tokens.extend((token != END).then_some(token));
            let next = Hypothesis { score, tokens, state: states[at * wide..][..wide].to_vec() };
            let is_better = self.best.as_ref().is_none_or(|best| score > best.score);
            if token != END && !is_last {
                self.running.push(next);
            } else if is_better {
                self.best = Some(next);
            }
        }
        // What is added to a sequence only makes it less likely.
        if let Some(best) = &self.best {
            self.running.retain(|hypothesis| hypothesis.score > best.score);
        }
    }
}

impl Session {
    /// A likely sequence for each of some latents [N, Z], by a beam of so many beginnings: numbers of tokens, without the end where there
    /// is one. Sequences are compared by log p(x|z) as it is, whatever their length. With a beam of 1 it is the likeliest token in
    /// every place, and with one as wide as there are beginnings the likeliest sequence of all.
    ///
    /// # Errors
    /// [`Error::Usage`] for a beam that is none, or a model of no sequences; [`Error::Diverged`] where logits are not finite; those of the
    /// executor.
    pub fn search(&mut self, latents: &[f32], beam: usize) -> Result<Vec<Vec<u32>>> {
        if !(1..=BATCH).contains(&beam) {
            return Err(Error::Usage(format!("--beam {beam}: expected a number from 1 to {BATCH}")));
        }
        let latent = self.model.config.latent;
        if !latents.len().is_multiple_of(latent) {
            return Err(Error::Usage(format!("{} numbers are no latents of {latent} dimensions", latents.len())));
        }
        let mut all = Vec::new();
        for latents in latents.chunks(BATCH / beam * latent) {
            all.extend(self.search_some(latents, beam)?);
        }
        Ok(all)
    }

    /// The same for as many latents as go into a batch.
    fn search_some(&mut self, latents: &[f32], beam: usize) -> Result<Vec<Vec<u32>>> {
        let (begin, next) = (self.plan(Purpose::task(BEGIN, BATCH))?, self.plan(Purpose::task(NEXT, BATCH))?);
        let (latent, wide, vocabulary) =
            (self.model.config.latent, self.model.decoder_state(), self.model.vocabulary());
        let count = latents.len() / latent;
        let scalars = self.scalars(0, Stream::Evaluate, 0, count);
        self.executor.write_f32(&Role::Input("z".into()), 0, latents)?;
        self.run(begin, &[scalars])?;
        let states = self.output(NEXT_UNITS, count, wide)?;
        let first = |state: &[f32]| Hypothesis { score: 0.0, tokens: vec![], state: state.to_vec() };
        let search = |state: &[f32]| Search { running: vec![first(state)], best: None };
        let mut searches: Vec<Search> = states.chunks_exact(wide).map(search).collect();
        for place in 0..self.model.width {
            let of = |(at, search): (usize, &Search)| vec![at; search.running.len()];
            let owners: Vec<usize> = searches.iter().enumerate().flat_map(of).collect();
            if owners.is_empty() {
                break;
            }
            let rows = owners.len();
            let z: Vec<f32> = owners.iter().flat_map(|&at| &latents[at * latent..][..latent]).copied().collect();
            let running = || searches.iter().flat_map(|search| &search.running);
            let units: Vec<f32> = running().flat_map(|hypothesis| hypothesis.state.iter().copied()).collect();
            let last = |hypothesis: &Hypothesis| hypothesis.tokens.last().copied().unwrap_or(PADDING) as f32;
            let tokens: Vec<f32> = running().map(last).collect();
            for (name, values) in [("z", &z), (UNITS, &units), (TOKEN, &tokens)] {
                self.executor.write_f32(&Role::Input(name.into()), 0, values)?;
            }
            let scalars = self.scalars(0, Stream::Evaluate, 0, rows);
            self.run(next, &[scalars])?;
            let (logits, states) = (self.output(LOGITS, rows, vocabulary)?, self.output(NEXT_UNITS, rows, wide)?);
            check_logits(&logits)?;
            let mut start = 0;
            for search in searches.iter_mut().filter(|search| !search.running.is_empty()) {
                let end = start + search.running.len();
                let (logits, states) =
                    (&logits[start * vocabulary..end * vocabulary], &states[start * wide..end * wide]);
                search.advance(beam, logits, states, place + 1 == self.model.width);
                start = end;
            }
        }
        Ok(searches.into_iter().map(|search| search.best.map_or_else(Vec::new, |best| best.tokens)).collect())
    }
}
