//! The transcendental functions with the formulas of `shaders/shared/math.wgsl`, so that both sides agree closely.

use crate::config::Activation;

/// The code of an activation in shaders (`const RELU` and so on).
pub const fn code(activation: Activation) -> u32 {
    match activation {
        Activation::Identity => 0,
        Activation::Relu => 1,
        Activation::Tanh => 2,
        Activation::Sigmoid => 3,
        Activation::Silu => 4,
        Activation::Gelu => 5,
        Activation::Softplus => 6,
    }
}

/// The activation of a code.
pub fn from_code(code: u32) -> Activation {
    use Activation::{Gelu, Identity, Relu, Sigmoid, Silu, Softplus, Tanh};
    [Identity, Relu, Tanh, Sigmoid, Silu, Gelu, Softplus][code as usize]
}

/// log(1 + e) for e in [0, 1]: 2·artanh(e/(2 + e)) as a series; the argument is at most 1/3.
#[inline(always)]
pub fn log1p_unit(e: f32) -> f32 {
    let s = e / (2.0 + e);
    let q = s * s;
    let tail = 1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q / 15.0));
    2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * tail))))
}

/// log(1 + exp x).
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    x.max(0.0) + log1p_unit((-x.abs()).exp())
}

/// 1/(1 + exp(−x)).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// The activation of `x`.
#[inline(always)]
pub fn activate(kind: Activation, x: f32) -> f32 {
    match kind {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => 0.5 * x * (1.0 + gelu_argument(x).tanh()),
        Activation::Softplus => softplus(x),
    }
}

/// Whether the derivative needs the input; otherwise the output is enough.
pub const fn derivative_needs_input(kind: Activation) -> bool {
    matches!(kind, Activation::Silu | Activation::Gelu)
}

/// The derivative, from the output where that is enough (see [`derivative_needs_input`]), else from the input.
#[inline(always)]
pub fn derivative(kind: Activation, v: f32) -> f32 {
    match kind {
        Activation::Identity => 1.0,
        Activation::Relu => f32::from(v > 0.0),
        Activation::Tanh => 1.0 - v * v,
        Activation::Sigmoid => v * (1.0 - v),
        Activation::Silu => {
            let s = sigmoid(v);
            s * (1.0 + v * (1.0 - s))
        }
        Activation::Gelu => {
            let t = gelu_argument(v).tanh();
            0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * 0.797_884_6 * (1.0 + 3.0 * 0.044_715 * v * v)
        }
        Activation::Softplus => 1.0 - (-v).exp(),
    }
}

fn gelu_argument(x: f32) -> f32 {
    0.797_884_6 * (x + 0.044_715 * x * x * x)
}
