//! Each column of a table by its type (Nazábal, Olmos, Ghahramani, Valera 2020, section 3.1, with one decoder for all
//! columns): numbers with a learned variance, binary columns, categories, counts.

use super::{Decode, Density, Likelihood, Natural, Outcomes, Outside, Python, columns};
use crate::config;

pub static LIKELIHOOD: Likelihood = Likelihood {
    kind: config::Likelihood::Heterogeneous,
    outcomes: Outcomes::Others,
    density: Density::Columns,
    heads: 2,
    globals: None,
    mean: columns::means_by_type,
    baseline: None,
    outside: Outside {
        heads: &["decoder.columns"],
        mean: "the mean of p(x|z): numbers in the units of the data, probabilities of a binary column's second level and of \
               each level of a category, rates of counts",
        natural: Some(Natural {
            name: "columns",
            what: "numbers in the units of the data, logits of a binary column and of each level of a category, logarithms \
                   of the rates of counts",
            why: Natural::ROUNDED,
            distortion: None,
        }),
        gives: |_| {
            "a number for each place of an encoded row (the mean of a number, the logit of a binary column, a logit for \
             each level of a category, the logarithm of the rate of a count), then the log-variances of the numeric columns"
                .into()
        },
        decode,
    },
};

/// The mean of each place of an encoded row.
const TABLE: &str = "\
def table_mean(out):
    def mean(kind, part):
        if kind == \"binary\":
            return part.sigmoid()
        if kind == \"category\":
            return part.softmax(1)
        if kind == \"count\":
            return part.clamp(-20, 20).exp()
        return part

    parts = out[:, :len(places)].split(widths, 1)
    return torch.cat([mean(column[\"kind\"], part) for column, part in zip(columns, parts)], 1)


";

fn decode(to: &Decode) -> Python {
    let width: usize = to.shape.iter().product();
    let (functions, mean) = match to.encoding {
        Some(_) => (TABLE, "table_mean(out)".to_owned()),
        None => ("", format!("out[:, :{width}]")),
    };
    let deviations = if to.scales() { " + 2 * scale[numeric].log()" } else { "" };
    let variances = match to.variances {
        0 => String::new(),
        _ => format!(", {}{deviations}", to.held(&format!("out[:, {width}:]"))),
    };
    let out = (to.head)("decoder.columns");
    Python { functions, lines: format!("    out = {out}\n    return {mean}{}{variances}\n", to.units()) }
}
