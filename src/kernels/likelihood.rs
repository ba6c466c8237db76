//! Kernels for likelihoods and what belongs to them.

pub mod bernoulli;
pub mod gaussian;
pub mod logistic_mixture;
pub mod logistic_mixture_mean;
pub mod table;
pub mod table_values;
