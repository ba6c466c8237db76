//! What the parts of a model beside its networks have in common: trainable tensors of their own.

use crate::shape::Shape;

/// A trainable tensor of a prior or a posterior.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name, as in checkpoints: `prior.mean`.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// What it is before the first step.
    pub start: Start,
}

/// Initial numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// The same everywhere.
    Constant(f32),
    /// A scale of 1 and a shift of 0, [2, channels].
    Norm,
    /// A mean of 0 and a variance of 1, [2, channels].
    Moments,
    /// Numbers that are added in each place, [places, channels].
    Positions,
    /// Normal deviates around 0 with this standard deviation.
    Normal(f32),
    /// Uniform numbers from minus this one to it.
    Uniform(f32),
    /// An affine map [inputs + 1, outputs], drawn as those of layers are.
    Map,
    /// An example of the training part in each row, as encoders are shown it.
    Examples,
}

impl Tensor {
    /// A tensor with these extents.
    pub fn new(name: impl Into<String>, extents: &[usize], start: Start) -> Self {
        Self { name: name.into(), shape: Shape::new(extents), start }
    }

    /// An affine map of so many inputs and outputs.
    pub fn map(name: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self::new(name, &[inputs + 1, outputs], Start::Map)
    }
}
