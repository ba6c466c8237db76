//! Kernels for images: convolutions, pooling, and the order of their numbers.

pub mod conv;
pub mod conv_weight;
pub(super) mod images;
pub mod planes;
pub mod pool;
