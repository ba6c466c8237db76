//! Whether the numbers that a checkpoint holds beside its tensors can be what a run wrote. The manifest only says that they
//! are those that somebody wrote.

use super::{DataRecord, Progress};
use crate::config::MAX_GRID;
use crate::data::table::{Column, ColumnKind, Encoding, MAX_LEVELS};
use crate::data::text::MAX_WORDS;
use crate::data::text::vocabulary::Vocabulary;

/// Values of an example, more than any model takes.
const MAX_VALUES: usize = 1 << 28;

/// Seconds that a run may have taken: 30,000 years.
const MAX_SECONDS: f64 = 1e12;

/// What is wrong, as the text after the name of the file.
type Checked = Result<(), String>;

/// Checks all numbers of a progress.
pub fn progress(progress: &Progress) -> Checked {
    let Progress { sums, best, elapsed_seconds, data, .. } = progress;
    if !(0.0..=MAX_SECONDS).contains(elapsed_seconds) {
        return Err(format!("elapsed_seconds = {elapsed_seconds} is no time that a run takes"));
    }
    if let Some(sum) = sums.iter().chain(best).find(|sum| !sum.is_finite()) {
        return Err(format!("a sum or a score is {sum}"));
    }
    record(data)
}

fn record(data: &DataRecord) -> Checked {
    let shape = data.shape;
    let values = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
    let Some(values) = values.filter(|values| (1..=MAX_VALUES).contains(values)) else {
        return Err(format!("data.shape = {shape:?} is no shape of an example: it has 1 to {MAX_VALUES} values"));
    };
    let [classes, counted] = [data.classes.as_ref().map(Vec::len), data.of_classes.as_ref().map(Vec::len)];
    if counted.is_some() && counted != classes {
        let [classes, counted] = [classes, counted].map(Option::unwrap_or_default);
        return Err(format!("data.of_classes counts {counted} classes, and data.classes names {classes}"));
    }
    if let Some(items) = data.items.as_ref().filter(|items| items.len() != values) {
        return Err(format!("data.items names {} items, and data.shape has {values} values", items.len()));
    }
    if let Some(text) = &data.text {
        check_vocabulary(text, values)?;
    }
    match &data.encoding {
        Some(encoding) => check_encoding(encoding, values),
        None => Ok(()),
    }
}

fn check_vocabulary(text: &Vocabulary, values: usize) -> Checked {
    if text.places != values {
        return Err(format!("data.text has {} places, and data.shape {values}", text.places));
    }
    if !(1..=MAX_WORDS).contains(&text.words.len()) {
        return Err(format!("data.text has {} tokens, and not 1 to {MAX_WORDS}", text.words.len()));
    }
    let Some(music) = text.music else { return Ok(()) };
    let fits = (1..=MAX_GRID).contains(&music.grid) && (1..1 << 24).contains(&music.tempo);
    if fits {
        Ok(())
    } else {
        Err(format!("data.text.music has a grid of {} and a tempo of {}", music.grid, music.tempo))
    }
}

fn check_encoding(encoding: &Encoding, values: usize) -> Checked {
    if let Some(end) = encoding.range.iter().find(|end| !end.is_finite()) {
        return Err(format!("data.encoding.range has {end}"));
    }
    if let Some((column, why)) = encoding.columns.iter().find_map(|column| Some((column, wrong(column)?))) {
        return Err(format!("column `{}` of data.encoding: {why}", column.name));
    }
    // Each column has at most as many places as levels are allowed, so this cannot overflow.
    let width = encoding.width();
    if width != values {
        return Err(format!("data.encoding has {width} places, and data.shape {values}"));
    }
    let product = |extents: &[usize]| extents.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
    match &encoding.array {
        Some(extents) if product(extents) != Some(encoding.columns.len()) => {
            Err(format!("data.encoding.array = {extents:?} is not the extents of {} values", encoding.columns.len()))
        }
        _ => Ok(()),
    }
}

fn wrong(column: &Column) -> Option<String> {
    let levels = |count: usize| (!(1..=MAX_LEVELS).contains(&count)).then(|| format!("{count} levels"));
    match &column.kind {
        ColumnKind::Numeric { shift, scale } if !shift.is_finite() || !scale.is_normal() || *scale < 0.0 => {
            Some(format!("shift = {shift}, scale = {scale}"))
        }
        ColumnKind::Category { levels: words } => levels(words.len()),
        ColumnKind::Numbered { categories } => levels(*categories),
        ColumnKind::Numeric { .. } | ColumnKind::Binary { .. } | ColumnKind::Count | ColumnKind::Text { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TrainerState, Tuning};
    use super::*;
    use crate::config::Tokens;
    use crate::data::music::Music;

    fn good() -> Progress {
        let column = |name: &str, kind| Column { name: name.into(), kind };
        let columns = vec![
            column("a", ColumnKind::Numeric { shift: 1.5, scale: 2.0 }),
            column("b", ColumnKind::Category { levels: vec!["x".into(), "y".into(), "z".into()] }),
        ];
        Progress {
            folder: None,
            epoch: 2,
            step: 20,
            step_in_epoch: 0,
            sums: vec![1.0, 2.0],
            best: Some(3.0),
            best_epoch: Some(1),
            elapsed_seconds: 12.5,
            adapter: "cpu".into(),
            data: DataRecord {
                name: "t.csv".into(),
                shape: [1, 1, 4],
                floats: true,
                bits: None,
                hash: String::new(),
                encoding: Some(Encoding { columns, range: [0.0, 1.0], array: None }),
                text: None,
                classes: None,
                of_classes: None,
                decimals: vec![],
                items: None,
                missing: None,
            },
            tuning: Tuning::default(),
            course: TrainerState::default(),
        }
    }

    fn vocabulary(places: usize, words: usize, grid: usize) -> Vocabulary {
        let (words, music) = (vec!["n60".into(); words], Some(Music { grid, tempo: 500_000 }));
        Vocabulary { tokens: Tokens::Events, places, words, unseen: vec![], music }
    }

    type Change = fn(&mut Progress);

    #[test]
    fn numbers_that_no_run_writes_are_refused() {
        assert_eq!(progress(&good()), Ok(()));
        let rows: [(&str, Change); 18] = [
            ("elapsed_seconds = -1", |p| p.elapsed_seconds = -1.0),
            ("elapsed_seconds = NaN", |p| p.elapsed_seconds = f64::NAN),
            ("elapsed_seconds = 1", |p| p.elapsed_seconds = 1e300),
            ("a score is inf", |p| p.best = Some(f64::INFINITY)),
            ("a sum or", |p| p.sums[1] = f64::NAN),
            ("data.shape = [", |p| p.data.shape = [usize::MAX, usize::MAX, 3]),
            ("data.items names 1 items, and data.shape has 4", |p| p.data.items = Some(vec!["a".into()])),
            ("data.shape = [1, 0, 4]", |p| p.data.shape = [1, 0, 4]),
            ("data.shape = [1, 1, ", |p| p.data.shape = [1, 1, 1 << 40]),
            ("data.of_classes counts 2 classes, and data.classes names 0", |p| p.data.of_classes = Some(vec![1, 2])),
            ("data.encoding has 4 places, and data.shape 5", |p| p.data.shape = [1, 1, 5]),
            ("column `a` of data.encoding: shift = 1.5, scale = 0", |p| {
                p.data.encoding.as_mut().unwrap().columns[0].kind = ColumnKind::Numeric { shift: 1.5, scale: 0.0 };
            }),
            ("column `b` of data.encoding: 0 levels", |p| {
                p.data.encoding.as_mut().unwrap().columns[1].kind = ColumnKind::Category { levels: vec![] };
            }),
            ("column `b` of data.encoding: 1099511627776 levels", |p| {
                p.data.encoding.as_mut().unwrap().columns[1].kind = ColumnKind::Numbered { categories: 1 << 40 };
            }),
            ("data.text has 0 places, and data.shape 4", |p| p.data.text = Some(vocabulary(0, 1, 4))),
            ("data.text has 4 places, and data.shape 5", |p| {
                (p.data.shape, p.data.text) = ([1, 1, 5], Some(vocabulary(4, 1, 4)));
            }),
            ("data.text.music has a grid of 0", |p| p.data.text = Some(vocabulary(4, 1, 0))),
            ("data.encoding.array = ", |p| p.data.encoding.as_mut().unwrap().array = Some(vec![usize::MAX, 9])),
        ];
        for (words, change) in rows {
            let mut changed = good();
            change(&mut changed);
            let why = progress(&changed).expect_err(words);
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
