//! Posteriors beside the normal distribution of independent dimensions.

use crate::priors::model;
use crate::support::{computed, executors, log_determinants};
use elbo::model::posterior::{Given, POSTERIORS, Transformed};
use elbo::rng::{Philox, Stream};

#[test]
fn log_determinants_are_those_of_the_jacobian() {
    let (batch, rows, latent) = (2, 6, 4);
    for posterior in POSTERIORS.iter().filter(|posterior| posterior.transform.is_some()) {
        let model = model(&[("posterior", posterior.kind.word()), ("posterior_layers", "3"), ("posterior_width", "5")]);
        let mut random = Philox::new(6, Stream::Choice, 0, 0);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| 0.7 * random.normal()).collect() };
        let wide = (posterior.context)(&model.config);
        let (stats, context, eps) = (draw(batch * 2 * latent), draw(batch * wide), draw(rows * latent));
        let tensors = model.posterior_tensors();
        let values: Vec<Vec<f32>> = tensors.iter().map(|tensor| draw(tensor.shape.count())).collect();
        for mut executor in executors() {
            let mut run = |eps: &[f32]| {
                let mut inputs = vec![
                    ("stats", vec![batch, 2 * latent], &stats[..]),
                    ("context", vec![batch, wide], &context[..]),
                    ("eps", vec![rows, latent], eps),
                ];
                inputs.extend(
                    tensors.iter().zip(&values).map(|(t, v)| (&t.name[..], t.shape.extents().to_vec(), &v[..])),
                );
                let inputs: Vec<_> =
                    inputs.iter().map(|(name, extents, values)| (*name, &extents[..], *values)).collect();
                computed(&mut executor, batch, &inputs, |graph, ids| {
                    let given = Given { stats: ids[0], context: ids[1], eps: ids[2], parameters: &ids[3..] };
                    let transform = posterior.transform.expect("it has one");
                    let Transformed { z, log_det } = transform(graph, &model, &given).expect("shapes meet");
                    [z].into_iter().chain(log_det).collect()
                })
            };
            let found = run(&eps);
            let from_noise = log_determinants(rows, latent, &eps, |eps| run(eps).swap_remove(0));
            for (row, from_noise) in from_noise.into_iter().enumerate() {
                // The way from noise to z₀ stretches by the deviations of the row's example.
                let logs = &stats[row / (rows / batch) * 2 * latent + latent..][..latent];
                let expected = from_noise - logs.iter().map(|&log| 0.5 * f64::from(log)).sum::<f64>();
                let found = found.get(1).map_or(0.0, |all| f64::from(all[row]));
                // Differences of numbers of single precision over 1/32.
                let what = format!("{:?}, row {row}", posterior.kind);
                assert!((found - expected).abs() < 2e-3, "{what}: {found} instead of {expected}");
            }
        }
    }
}
