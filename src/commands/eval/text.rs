//! What figures of a text are for each of its tokens, and how much of it comes back.

use crate::data::text::vocabulary::{END, PADDING};
use crate::error::Result;
use crate::session::{Choice, Session};
use serde_json::{Value, json};
use std::ops::Range;

/// Lines whose reconstructions are looked at.
const RECONSTRUCTED: usize = 1000;

/// What is told of text.
pub(in crate::commands) struct OfText {
    /// Tokens of a line, its end among them, a mean over the lines.
    pub tokens: f64,
    /// The share of the tokens that stand in their place in the reconstruction.
    pub accuracy: f64,
    /// The share of the lines that come back whole.
    pub whole: f64,
    /// Lines that were reconstructed.
    pub lines: usize,
}

/// Looks at the reconstructions of a part, the likeliest token in every place; nothing for models of other things.
pub(super) fn measure(session: &mut Session, part: Range<usize>, seed: u64) -> Result<Option<OfText>> {
    if !session.model.is_sequence() {
        return Ok(None);
    }
    let lengths = session.data()?.lengths(part.clone())?;
    let tokens = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
    // Spread evenly, so that sorted data show all of their kinds.
    let lines = part.len().min(RECONSTRUCTED);
    let examples: Vec<u32> = (0..lines).map(|i| (part.start + i * part.len() / lines) as u32).collect();
    let posterior = session.encode(&examples, seed)?;
    let numbers: Vec<u32> = (0..lines as u32).collect();
    let found = session.spell(&posterior.means, &numbers, Choice::GREEDY, seed)?;
    let (mut right, mut all, mut whole) = (0, 0, 0);
    for (&example, mut found) in examples.iter().zip(found) {
        let line = session.data()?.tokens(example as usize)?;
        let line: Vec<u32> = line.into_iter().take_while(|&token| token != PADDING).collect();
        found.push(END);
        let here = line.iter().zip(&found).filter(|(a, b)| a == b).count();
        right += here;
        all += line.len();
        whole += usize::from(here == line.len());
    }
    Ok(Some(OfText { tokens, accuracy: right as f64 / all as f64, whole: whole as f64 / lines as f64, lines }))
}

impl OfText {
    /// Rows of the table of an evaluation, from −ELBO and an estimate of −log p(x) in nats for each line.
    pub fn rows(&self, neg_elbo: f64, neg_log_px: Option<f64>) -> Vec<Vec<String>> {
        let row = |name: &str, value: String, rest: String| vec![name.to_owned(), value, rest];
        let each = |nats: f64| nats / self.tokens;
        let told = |name: &str, nats: f64| {
            row(name, format!("{:.4}", each(nats)), format!("perplexity {:.2}", each(nats).exp()))
        };
        let mut rows = vec![told("-ELBO per token", neg_elbo)];
        rows.extend(neg_log_px.map(|nats| told("-log p(x) per token", nats)));
        rows.push(row("tokens", format!("{:.1}", self.tokens), "of a line, its end among them".into()));
        let share = |share: f64| format!("{:.2} %", 100.0 * share);
        let rest = format!("of tokens in place, {} of {} lines whole", share(self.whole), self.lines);
        rows.push(row("reconstructed", share(self.accuracy), rest));
        rows
    }

    /// The same for programs.
    pub fn as_json(&self, neg_elbo: f64, neg_log_px: Option<f64>) -> Value {
        let each = |nats: f64| nats / self.tokens;
        let mut value = json!({
            "tokens": self.tokens, "nats_per_token": each(neg_elbo), "perplexity": each(neg_elbo).exp(),
            "reconstruction_accuracy": self.accuracy, "reconstructed_whole": self.whole, "reconstructed": self.lines,
        });
        if let Some(nats) = neg_log_px {
            (value["neg_log_px_per_token"], value["neg_log_px_perplexity"]) =
                (json!(each(nats)), json!(each(nats).exp()));
        }
        value
    }
}
