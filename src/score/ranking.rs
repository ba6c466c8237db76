//! How well scores tell anomalies from normal rows, where it is known which is which. Higher scores are to be those of
//! the anomalies.

use serde::Serialize;

/// Measures of a ranking, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ranking {
    /// Rows that are anomalies.
    pub anomalies: usize,
    /// Rows that are not.
    pub normal: usize,
    /// The probability that an anomaly has a higher score than a normal row; equal scores count one half.
    pub auroc: f64,
    /// The mean of the precision at every recall that a threshold can give; equal scores stand or fall together.
    pub average_precision: f64,
    /// The share of anomalies among the n rows of highest score, where n is the number of anomalies; of rows that tie at
    /// the edge as many as fit count, each in part.
    pub precision_at_n: f64,
}

/// Rows of one score, the highest score first.
struct Tie {
    anomalies: usize,
    rows: usize,
}

impl Ranking {
    /// The measures of scores for rows of which some are anomalies; `None` where all are, or none is.
    pub fn of(scores: &[f64], anomalous: &[bool]) -> Option<Self> {
        let anomalies = anomalous.iter().filter(|&&is| is).count();
        let normal = anomalous.len() - anomalies;
        if anomalies == 0 || normal == 0 {
            return None;
        }
        let (mut above, mut found) = (0, 0);
        let (mut pairs, mut average_precision, mut among_first) = (0.0, 0.0, 0.0);
        for tie in ties(scores, anomalous) {
            let below = normal - (above + tie.rows - found - tie.anomalies);
            let beside = tie.rows - tie.anomalies;
            pairs += tie.anomalies as f64 * (below as f64 + 0.5 * beside as f64);
            let fit = anomalies.saturating_sub(above).min(tie.rows);
            among_first += (fit * tie.anomalies) as f64 / tie.rows as f64;
            above += tie.rows;
            found += tie.anomalies;
            average_precision += tie.anomalies as f64 / anomalies as f64 * found as f64 / above as f64;
        }
        let auroc = pairs / (anomalies as f64 * normal as f64);
        Some(Self { anomalies, normal, auroc, average_precision, precision_at_n: among_first / anomalies as f64 })
    }
}

fn ties(scores: &[f64], anomalous: &[bool]) -> Vec<Tie> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(anomalous.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let tie = |rows: &[(f64, bool)]| Tie { anomalies: rows.iter().filter(|row| row.1).count(), rows: rows.len() };
    rows.chunk_by(|a, b| a.0 == b.0).map(tie).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores, labels, and AUROC and average precision as scikit-learn 1.9 gives them (`roc_auc_score`,
    /// `average_precision_score`); precision at n is worked out by hand.
    const CASES: &[(&[f64], &[u8], [f64; 3])] = &[
        (&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1], [0.75, 0.833_333_333_333_333_3, 0.5]),
        (&[4.0, 3.0, 2.0, 1.0], &[1, 1, 0, 0], [1.0, 1.0, 1.0]),
        (&[4.0, 3.0, 2.0, 1.0], &[0, 0, 1, 1], [0.0, 0.416_666_666_666_666_63, 0.0]),
        (&[1.0, 1.0, 1.0, 1.0], &[1, 0, 0, 0], [0.5, 0.25, 0.25]),
        (&[3.0, 2.0, 2.0, 2.0, 1.0, 0.5], &[1, 1, 0, 1, 0, 1], [0.625, 0.791_666_666_666_666_6, 0.75]),
        (&[f64::INFINITY, f64::INFINITY, 5.0, -2.0], &[1, 0, 1, 0], [0.625, 0.583_333_333_333_333_3, 0.5]),
        (&[2.0, 2.0, 1.0, 1.0, 1.0], &[0, 1, 1, 0, 0], [0.583_333_333_333_333_4, 0.45, 0.5]),
    ];

    #[test]
    fn measures_are_those_of_scikit_learn_and_of_a_sheet_of_paper_ties_included() {
        for (scores, labels, expected) in CASES {
            let anomalous: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
            let found = Ranking::of(scores, &anomalous).unwrap();
            let found = [found.auroc, found.average_precision, found.precision_at_n];
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{scores:?} {labels:?}: {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_one_class_gives_no_ranking() {
        let (scores, labels) = ([3.0, 2.0, 2.0, 2.0, 1.0, 0.5], [true, true, false, true, false, true]);
        let whole = Ranking::of(&scores, &labels).unwrap();
        let (mut back, mut labels_back) = (scores, labels);
        back.reverse();
        labels_back.reverse();
        assert_eq!(Ranking::of(&back, &labels_back).unwrap(), whole);
        assert_eq!((whole.anomalies, whole.normal), (4, 2));
        assert_eq!(Ranking::of(&scores, &[true; 6]), None);
        assert_eq!(Ranking::of(&scores, &[false; 6]), None);
        assert_eq!(Ranking::of(&[], &[]), None);
    }
}
