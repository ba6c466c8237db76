//! What is told of a discriminator beside the terms of the model.

use crate::eval::Judgement;
use serde_json::{Value, json};

/// Rows of the table of an evaluation.
pub(super) fn rows(judged: &Judgement) -> Vec<Vec<String>> {
    let kinds = judged.verdicts.len() as f64;
    let of_term = |&(name, value): &(&str, f64)| {
        let rest = match name {
            "features" => "half the squared distance of the discriminator's features, which has no unit".to_owned(),
            "deceit" => "-log D of a reconstruction and of a sample".to_owned(),
            "adversary" => "-log D of a latent".to_owned(),
            "density_ratio" => "the discriminator's estimate of the total correlation".to_owned(),
            _ => {
                // One kind of all is the one with the target 1.
                let guess = (kinds.ln() + (kinds - 1.0) * (kinds / (kinds - 1.0)).ln()) / kinds;
                let verdicts = judged.verdicts.iter().map(|(kind, verdict)| format!("{verdict:.2} of {kind}"));
                format!("{guess:.4} where it guesses; D is {}", verdicts.collect::<Vec<_>>().join(", "))
            }
        };
        vec![name.replace('_', " "), format!("{value:.4}"), rest]
    };
    judged.terms.iter().map(of_term).collect()
}

/// Adds the same to an object: the terms by their names, the verdicts as `verdicts`.
pub(super) fn add(value: &mut Value, judged: &Judgement) {
    for &(name, term) in &judged.terms {
        value[name] = json!(term);
    }
    value["verdicts"] = json!({});
    for &(kind, verdict) in &judged.verdicts {
        value["verdicts"][kind] = json!(verdict);
    }
}
