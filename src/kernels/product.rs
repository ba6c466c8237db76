//! Kernels for products of matrices.

pub mod batched_product;
pub mod blocks;
pub mod chain;
pub(super) mod gemm;
pub mod matmul;
pub mod matmul_direct;
pub mod matmul_texels;
pub(super) mod panels;
