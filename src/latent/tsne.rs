//! t-SNE: a plane in which neighbours stay neighbours (van der Maaten 2014), by the crate `bhtsne`.

use crate::error::{Error, Result};

/// Rounds of gradient descent.
pub const EPOCHS: usize = 1000;

/// The accuracy of far forces: 0 is exact, 0.5 is what the paper uses.
const THETA: f32 = 0.5;

/// Places rows of `width` numbers in a plane. `start` are their first two principal components, from which the descent
/// begins: so it keeps the large shape (Kobak and Berens 2019), and the same call gives the same picture. `done` is told
/// the rounds that are finished.
///
/// # Errors
/// [`Error::Usage`] where the perplexity is not between 1 and a third of the number of rows.
pub fn tsne(
    rows: &[f32],
    width: usize,
    start: &[[f32; 2]],
    perplexity: f32,
    done: &mut (dyn FnMut(usize) + Send),
) -> Result<Vec<[f32; 2]>> {
    let points: Vec<&[f32]> = rows.chunks_exact(width).collect();
    let most = points.len().saturating_sub(1) / 3;
    if !(1.0..=most as f32).contains(&perplexity) {
        return Err(Error::Usage(format!(
            "--perplexity {perplexity}: for {} examples it can be 1 to {most}",
            points.len()
        )));
    }
    // As small as random starts are, in the direction that varies most.
    let spread = (start.iter().map(|p| f64::from(p[0]).powi(2)).sum::<f64>() / points.len() as f64).sqrt();
    let scale = if spread > 0.0 { 1e-4 / spread as f32 } else { 0.0 };
    let start: Vec<f32> = start.as_flattened().iter().map(|x| x * scale).collect();
    let distance = |a: &&[f32], b: &&[f32]| a.iter().zip(*b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    // One thread: with more, sums have no fixed order, and the picture would be another at every call.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| Error::Device(format!("a thread for t-SNE cannot be started: {e}")))?;
    let flat = pool.install(|| {
        let mut tsne = bhtsne::tSNE::<f32, &[f32], 2>::new(&points);
        tsne.perplexity(perplexity).epochs(EPOCHS).initial_embedding(start);
        tsne.epoch_callback(|epoch, _| done(epoch + 1));
        tsne.barnes_hut(THETA, distance);
        tsne.embedding()
    });
    Ok(flat.chunks_exact(2).map(|point| [point[0], point[1]]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::pca;
    use crate::rng::{Philox, Stream};

    /// Three heaps in five dimensions, `each` points in each.
    fn heaps(each: usize) -> Vec<f32> {
        let mut rng = Philox::new(1, Stream::Choice, 0, 0);
        let mut rows = Vec::new();
        for i in 0..3 * each {
            rows.extend((0..5).map(|j| if j == i % 3 { 8.0 } else { 0.0 } + rng.normal()));
        }
        rows
    }

    #[test]
    fn heaps_stay_apart_and_the_picture_is_the_same_at_every_call() {
        let rows = heaps(40);
        let start = pca(&rows, 5).points;
        let mut rounds = 0;
        let points = tsne(&rows, 5, &start, 10.0, &mut |done| rounds = done).unwrap();
        assert_eq!((points.len(), rounds), (120, EPOCHS));
        assert_eq!(points, tsne(&rows, 5, &start, 10.0, &mut |_| ()).unwrap());
        let nearest = |i: usize| {
            let distance = |j: usize| (points[i][0] - points[j][0]).hypot(points[i][1] - points[j][1]);
            (0..120).filter(|&j| j != i).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap()
        };
        let apart = (0..120).filter(|&i| nearest(i) % 3 == i % 3).count();
        assert!(apart >= 118, "{apart} of 120 have a neighbour of their own heap");
    }

    #[test]
    fn a_perplexity_that_the_examples_cannot_bear_is_refused() {
        let rows = heaps(10);
        let start = pca(&rows, 5).points;
        for perplexity in [0.5, 9.5, f32::NAN, -1.0] {
            let error = tsne(&rows, 5, &start, perplexity, &mut |_| ()).unwrap_err();
            assert!(
                error.exit_code() == 2 && error.to_string().contains("for 30 examples it can be 1 to 9"),
                "{error}"
            );
        }
    }
}
