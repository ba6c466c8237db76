//! From which score on a row is called an anomaly: learnt from rows that are normal and were not trained on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Method;
use crate::checkpoint::Checkpoint;
use crate::durable;
use crate::error::{Error, Result};

/// The file in a run's folder that keeps the last threshold.
pub const FILE: &str = "threshold.json";

/// What makes a threshold of held-out scores. Rows whose score lies above it are flagged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The quantile q of the scores, linear between neighbours (Hyndman and Fan 1996, type 7; the default of `NumPy`).
    Quantile(f64),
    /// Of new normal rows at most this share is flagged, in the mean over held-out parts: the ⌈(n + 1)(1 − r)⌉-th
    /// smallest of n scores (Vovk, Gammerman and Shafer 2005; the split conformal bound).
    FalseAlarmRate(f64),
}

impl Rule {
    /// What it asks for, in words.
    pub fn text(self) -> String {
        match self {
            Self::Quantile(q) => format!("quantile {q}"),
            Self::FalseAlarmRate(rate) => format!("false-alarm rate {rate}"),
        }
    }

    /// The threshold that held-out scores give.
    ///
    /// # Errors
    /// [`Error::Usage`] where the rule is none or there are too few scores for it, [`Error::Diverged`] where a score is
    /// not finite.
    pub fn threshold(self, scores: &[f64]) -> Result<f64> {
        let count = scores.len();
        self.check()?;
        if let Some(strange) = scores.iter().find(|score| !score.is_finite()) {
            return Err(Error::Diverged(format!(
                "a held-out row has the score {strange}, so there is no threshold: the model has diverged"
            )));
        }
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        match self {
            _ if count == 0 => Err(Error::Usage("there is no held-out row to learn a threshold from".into())),
            Self::Quantile(q) => Ok(quantile(&sorted, q)),
            Self::FalseAlarmRate(rate) => {
                // A hair less, so that 0.05 of 19 + 1 rows is one row however it is rounded.
                let rank = ((count + 1) as f64 * (1.0 - rate) - 1e-9).ceil().max(1.0) as usize;
                sorted.get(rank - 1).copied().ok_or_else(|| {
                    let least = (1e4 / (count + 1) as f64).ceil() / 1e4;
                    Error::Usage(format!(
                        "--false-alarm-rate {rate}: {count} held-out rows tell rates down to {least} only; ask for that, \
                         or set more rows aside (`--set data.validation=N` when training)"
                    ))
                })
            }
        }
    }

    /// Tells whether the number that was asked for makes sense.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(self) -> Result<()> {
        match self {
            Self::Quantile(q) if !(0.0..=1.0).contains(&q) => {
                Err(Error::Usage(format!("--quantile {q}: it must be a number from 0 to 1, such as 0.99")))
            }
            Self::FalseAlarmRate(rate) if !(rate > 0.0 && rate < 1.0) => Err(Error::Usage(format!(
                "--false-alarm-rate {rate}: it must be a number between 0 and 1, such as 0.01"
            ))),
            _ => Ok(()),
        }
    }
}

/// The quantile of sorted numbers, of which there is one at least: linear between neighbours.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    // Neighbours that are alike need no arithmetic, which for infinities would give none.
    if sorted[low] == sorted[high] { sorted[low] } else { sorted[low] + part * (sorted[high] - sorted[low]) }
}

/// A threshold and all that it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Rows with a higher score are flagged, in nats.
    pub value: f64,
    /// What made it.
    pub rule: Rule,
    /// What the scores are.
    #[serde(flatten)]
    pub made_for: MadeFor,
    /// The hash of the run's data, from which it was learnt; empty where an older program did not keep it.
    #[serde(default)]
    pub data: String,
    /// The part of the run's data that it was learnt from.
    pub part: String,
    /// Rows of that part.
    pub rows: usize,
}

/// The scores that a threshold is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeFor {
    /// How rows are scored.
    pub score: Method,
    /// SHA-256 of the parameters, in hex.
    pub model: String,
}

impl MadeFor {
    /// The scores of a checkpoint by a method.
    pub fn new(checkpoint: &Checkpoint, score: Method) -> Self {
        let model = checkpoint.parameters_hash();
        Self { score, model }
    }
}

impl Threshold {
    /// Keeps it in a run's folder, in place of the one before.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn save(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|why| Error::Bug(why.to_string()))?;
        durable::replace_file(&folder.join(FILE), format!("{text}\n").as_bytes())
    }

    /// The one that a run's folder keeps, whatever it is for; nothing where there is none, or the file is damaged.
    pub fn kept(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?)
            .ok()
            .filter(|kept: &Self| kept.value.is_finite())
    }

    /// The one that a run's folder keeps, if it is by this rule and for these scores.
    pub fn load(folder: &Path, rule: Rule, made_for: &MadeFor) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(FILE)).ok()?;
        let kept: Self = serde_json::from_str(&text).ok()?;
        (kept.rule == rule && kept.made_for == *made_for && kept.value.is_finite()).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        let scores = [5.0, 1.0, 4.0, 2.0];
        for (q, expected) in [(0.0, 1.0), (0.5, 3.0), (0.9, 4.7), (1.0, 5.0), (1.0 / 3.0, 2.0)] {
            let found = Rule::Quantile(q).threshold(&scores).unwrap();
            assert!((found - expected).abs() < 1e-12, "{q}: {found} instead of {expected}");
        }
        assert_eq!(Rule::Quantile(0.3).threshold(&[7.0]).unwrap(), 7.0);
        assert_eq!(quantile(&[1.0, f64::INFINITY, f64::INFINITY], 0.9), f64::INFINITY);
    }

    #[test]
    fn a_false_alarm_rate_takes_the_rank_of_the_conformal_bound() {
        let scores: Vec<f64> = (1..=19).rev().map(f64::from).collect();
        for (rate, expected) in [(0.05, 19.0), (0.1, 18.0), (0.5, 10.0), (0.52, 10.0), (0.99, 1.0)] {
            assert_eq!(Rule::FalseAlarmRate(rate).threshold(&scores).unwrap(), expected, "{rate}");
        }
        let error = Rule::FalseAlarmRate(0.049).threshold(&scores).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("19 held-out rows tell rates down to 0.05 only"));
    }

    #[test]
    fn what_makes_no_threshold_is_refused() {
        for (rule, scores, code) in [
            (Rule::Quantile(1.01), vec![1.0], 2),
            (Rule::Quantile(f64::NAN), vec![1.0], 2),
            (Rule::FalseAlarmRate(0.0), vec![1.0], 2),
            (Rule::FalseAlarmRate(1.0), vec![1.0], 2),
            (Rule::Quantile(0.5), vec![], 2),
            (Rule::Quantile(0.5), vec![1.0, f64::INFINITY], 4),
        ] {
            assert_eq!(rule.threshold(&scores).unwrap_err().exit_code(), code, "{rule:?} of {scores:?}");
        }
    }

    #[test]
    fn a_threshold_is_kept_for_its_own_scores_only() {
        let folder = tempfile::tempdir().unwrap();
        let made_for = MadeFor { score: Method::Importance { samples: 128, seed: 3 }, model: "ab".into() };
        let rule = Rule::FalseAlarmRate(0.01);
        let kept =
            Threshold { value: 0.1 + 0.2, rule, made_for, data: "cd".into(), part: "validation".into(), rows: 100 };
        let made_for = &kept.made_for;
        assert_eq!(Threshold::load(folder.path(), rule, made_for), None);
        kept.save(folder.path()).unwrap();
        assert_eq!(Threshold::load(folder.path(), rule, made_for), Some(kept.clone()));
        let fewer = Method::Importance { samples: 64, seed: 3 };
        for other in [
            MadeFor { model: "ac".into(), ..made_for.clone() },
            MadeFor { score: Method::MeanField, ..made_for.clone() },
            MadeFor { score: fewer, ..made_for.clone() },
        ] {
            assert_eq!(Threshold::load(folder.path(), rule, &other), None, "{other:?}");
        }
        assert_eq!(Threshold::load(folder.path(), Rule::Quantile(0.01), made_for), None);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Threshold::load(folder.path(), rule, made_for), None);
    }
}
