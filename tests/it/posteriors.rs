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

#[test]
fn a_planar_step_without_a_direction_pushes_and_does_not_stretch() {
    let (batch, latent) = (2, 3);
    let model = model(&[("posterior", "planar"), ("posterior_layers", "1"), ("latent", "3")]);
    let planar = model.posterior();
    let (stats, eps) = ([0.0; 12], [0.3, -0.2, 0.9, 1.1, 0.4, -0.7]);
    // u, w and b: an encoder that puts out zeros, and one that has no direction but pushes.
    let context = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, -1.0, 2.0, 0.0, 0.0, 0.0, 0.25];
    let push = 0.25_f32.tanh();
    let expected = [0.3, -0.2, 0.9, 1.1 + 0.5 * push, 0.4 - push, -0.7 + 2.0 * push];
    for mut executor in executors() {
        let inputs: [(&str, &[usize], &[f32]); 3] = [
            ("stats", &[batch, 2 * latent], &stats),
            ("context", &[batch, 7], &context),
            ("eps", &[batch, latent], &eps),
        ];
        let found = computed(&mut executor, batch, &inputs, |graph, ids| {
            let given = Given { stats: ids[0], context: ids[1], eps: ids[2], parameters: &[] };
            let transform = planar.transform.expect("it has one");
            let Transformed { z, log_det } = transform(graph, &model, &given).expect("shapes meet");
            [z].into_iter().chain(log_det).collect()
        });
        for (found, expected) in found[0].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
        }
        assert_eq!(found[1], [0.0, 0.0]);
    }
}
