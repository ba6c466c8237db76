//! Which examples show their label to a model that infers classes, and how they are spread over the batches.

use super::{Dataset, NO_LABEL};
use crate::error::{Error, Result};
use crate::rng::{Philox, Stream};
use rand::seq::SliceRandom;

/// The examples of the training part that show their label, in ascending order: `count` of them, of each class as many (of the
/// first classes one more where that does not go), drawn by `seed`; all that have one where `count` is 0.
///
/// # Errors
/// [`Error::Usage`] where fewer are wanted than there are classes, or more than have a label, in all or of a class;
/// [`Error::Data`] where none has.
pub fn chosen(data: &Dataset, count: usize, seed: u64) -> Result<Vec<u32>> {
    let (classes, labels) = (data.class_count(), data.labels.as_deref().unwrap_or_default());
    let mut of_class = vec![vec![]; classes];
    for at in data.train.clone() {
        if let Some(of) = labels.get(at).and_then(|&label| of_class.get_mut(label as usize)) {
            of.push(at as u32);
        }
    }
    let all: usize = of_class.iter().map(Vec::len).sum();
    if all == 0 {
        return Err(Error::Data(format!(
            "{}: no example of the training part has a label, and model.condition = inferred learns classes from some",
            data.name
        )));
    }
    let wrong = |why: String| Err(Error::Usage(format!("data.labelled = {count}: {why}")));
    if count > all {
        return wrong(format!("{all} examples of the training part of {} have a label", data.name));
    }
    if (1..classes).contains(&count) {
        return wrong(format!("there are {classes} classes, and one example of each is needed at least"));
    }
    let mut shown = Vec::new();
    for (class, mut of) in of_class.into_iter().enumerate() {
        let wanted = if count == 0 { of.len() } else { count / classes + usize::from(class < count % classes) };
        if wanted > of.len() {
            let name = data.classes.as_ref().map_or(class.to_string(), |names| names[class].clone());
            return wrong(format!("that is {wanted} of class `{name}`, and the training part has {} of it", of.len()));
        }
        of.shuffle(&mut Philox::new(seed, Stream::Choice, 1 + class as u32, 0));
        shown.extend(&of[..wanted]);
    }
    shown.sort_unstable();
    Ok(shown)
}

/// The labels of all examples as a device is told them: −1 where one is not among those that are `shown`.
pub fn told(data: &Dataset, shown: &[u32]) -> Vec<f32> {
    let mut all = vec![-1.0; data.len()];
    for &at in shown {
        let label = data.labels.as_ref().map_or(NO_LABEL, |labels| labels[at as usize]);
        all[at as usize] = label as f32;
    }
    all
}

/// Lets each batch of an order begin with `count` of the labelled examples, which come in turn, in another order in each epoch. The
/// examples that stood in these places are left out of the epoch.
pub fn spread(order: &mut [u32], labelled: &[u32], (batch, count): (usize, usize), seed: u64, epoch: u32) {
    let mut turns = labelled.to_vec();
    turns.shuffle(&mut Philox::new(seed, Stream::Order, epoch, 1));
    let places = order.chunks_mut(batch).flat_map(|batch| batch.iter_mut().take(count));
    for (place, example) in places.zip(turns.into_iter().cycle()) {
        *place = example;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Values;

    fn data(labels: &[u32]) -> Dataset {
        let values = Values::U8(vec![0; labels.len()]);
        // The last two are the test part.
        Dataset::new("odd", [1, 1, 1], values, Some(labels.to_vec()), 2, 0).unwrap()
    }

    #[test]
    fn as_many_of_each_class_show_their_label_by_the_seed() {
        let labels: Vec<u32> = (0..62).map(|at| if at % 7 == 6 { NO_LABEL } else { at % 3 }).collect();
        let data = data(&labels);
        let shown = chosen(&data, 7, 0).unwrap();
        let of = |class: u32| shown.iter().filter(|&&at| labels[at as usize] == class).count();
        assert_eq!([of(0), of(1), of(2)], [3, 2, 2]);
        assert!(shown.is_sorted() && shown.iter().all(|&at| at < 60));
        assert_eq!(shown, chosen(&data, 7, 0).unwrap());
        assert_ne!(shown, chosen(&data, 7, 1).unwrap());
        let all: Vec<u32> = (0..60).filter(|at| at % 7 != 6).collect();
        assert_eq!(chosen(&data, 0, 5).unwrap(), all);
        let told = told(&data, &shown);
        for (at, &told) in told.iter().enumerate() {
            let expected = if shown.contains(&(at as u32)) { labels[at] as f32 } else { -1.0 };
            assert_eq!(told, expected, "{at}");
        }
    }

    #[test]
    fn labels_that_are_too_few_are_refused() {
        let few = data(&[0, 1, 0, 1, 0, 2, 2, 2]);
        for (data, count, expected) in [
            (&few, 7, "6 examples of the training part"),
            (&few, 2, "3 classes"),
            (&few, 6, "2 of class `2`, and the training part has 1"),
            (&data(&[NO_LABEL, NO_LABEL, 0, 1]), 0, "no example of the training part has a label"),
        ] {
            let error = chosen(data, count, 0).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn each_batch_begins_with_labelled_examples_in_turn() {
        let stored: Vec<u32> = (0..11).collect();
        let mut order = stored.clone();
        spread(&mut order, &[20, 21, 22], (4, 2), 9, 1);
        let (taken, kept): (Vec<u32>, Vec<u32>) = order.iter().partition(|&&at| at >= 20);
        assert_eq!(kept, [2, 3, 6, 7, 10]);
        assert_eq!(taken[..3], taken[3..6]);
        let mut first = taken[..3].to_vec();
        first.sort_unstable();
        assert_eq!(first, [20, 21, 22]);
    }
}
