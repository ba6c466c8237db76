//! Kernels for what is computed number by number, or along rows and columns.

pub mod activation;
pub mod activation_grad;
pub mod append;
pub mod broadcast;
pub mod combine;
pub mod dropout;
pub mod gather;
pub mod gather_codes;
pub mod gather_sparse;
pub mod sum_columns;
pub mod sum_rows;
pub mod take_rows;
pub mod with_class;
