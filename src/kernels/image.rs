//! Kernels for images: convolutions, pooling, and the order of their numbers.

pub mod conv;
pub mod conv_texels;
pub mod conv_tiles;
pub mod conv_weight;
pub mod conv_weight_texels;
pub mod conv_weight_tiles;
pub mod depthwise;
pub mod depthwise_weight;
pub(super) mod images;
pub mod planes;
pub mod pool;
