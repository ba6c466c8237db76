//! What a training step costs, from its plan.

use super::models::{TARGETS, classic, plan, resident};
use elbo::plan::cost::total;

#[test]
fn the_products_of_a_training_step_are_those_of_its_layers() {
    let (setup, batch) = (classic(), 128);
    // Forward, d input (not of the first layer) and d weight, which has a row more for the bias.
    let layers = [(784, 400), (400, 40), (20, 400), (400, 784)];
    let forward: usize = layers.iter().map(|(inputs, outputs)| inputs * outputs).sum();
    let back: usize = layers.iter().skip(1).map(|(inputs, outputs)| inputs * outputs).sum();
    let weights: usize = layers.iter().map(|(inputs, outputs)| (inputs + 1) * outputs).sum();
    let expected = (2 * batch * (forward + back + weights)) as f64;
    for target in TARGETS {
        let cost = total(&plan(&setup, "train", batch, resident(&setup, 60_000, 468), target));
        assert_eq!(cost.flops, expected, "{target:?}");
        // Adam alone reads four tensors of the parameters' size and writes three.
        assert!(cost.bytes > 7.0 * 4.0 * 652_824.0 && cost.bytes < 60_000.0 * 784.0, "{target:?}: {}", cost.bytes);
    }
}
