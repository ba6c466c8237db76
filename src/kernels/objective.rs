//! Kernels for what a loss and its bounds are made of, rows of a batch together.

pub mod batch_mean;
pub mod bound;
pub mod log_mean_exp;
pub mod row_weights;
