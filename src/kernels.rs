//! HOW one thing is computed: the table [`KERNELS`], and per kernel its parameters, its grid and its CPU twin.
//!
//! A kernel `x` of a group is `shaders/GROUP/x.wgsl`, `src/kernels/GROUP/x.rs` and the label `x` in traces. The Rust side and the WGSL side
//! state the same interface; one test walks the table with naga's reflection and proves that they agree.
//!
//! Conventions that hold for every kernel:
//! - group 0 holds storage: first the bindings that are only read, then those that are written;
//! - group 1 binding 0 is `params`, the constants of the plan's step; group 1 binding 1 is `steps`, a [`StepScalars`]
//!   for each model;
//! - a dispatch may compute several models, one for each workgroup in the grid's third dimension: see [`Members`];
//! - `consts` are compile-time constants of WGSL (u32), appended to the shader's text;
//! - work is laid out along an outer axis (rows of a batch, rows of a weight matrix, elements), whose parts are
//!   independent of each other: a [`Call`] asks for a range of it, so that threads can share the work;
//! - sums run in a fixed order, whatever the range.

mod elementwise;
mod formula;
mod image;
mod latent;
mod likelihood;
pub mod math;
mod norm;
mod objective;
mod optim;
mod product;
mod sequence;
#[cfg(test)]
mod testing;
mod vector;

use bytemuck::{Pod, Zeroable};
pub use elementwise::{
    activation, activation_grad, append, broadcast, combine, dropout, gather, gather_codes, gather_sparse, sum_columns,
    sum_rows, take_rows, with_class,
};
use formula::expression;
pub use formula::{map, reduce};
use image::images;
pub use image::{
    conv, conv_texels, conv_tiles, conv_weight, conv_weight_texels, conv_weight_tiles, depthwise, depthwise_weight,
    planes, pool,
};
pub use latent::{kl_means, log_prior, log_ratio, log_ratio_grad, noise, posterior_grad, sample, shaped_kl};
pub use likelihood::{bernoulli, gaussian, logistic_mixture, logistic_mixture_mean, table, table_values};
use norm::groups;
pub use norm::{group_moments, group_norm, group_norm_grad, group_norm_weight};
pub use objective::{batch_mean, bound, log_mean_exp, row_weights};
pub use optim::{accumulate, clip_factor, squared_norm, update, update_texels};
pub use product::{batched_product, blocks, chain, matmul, matmul_direct, matmul_texels};
use product::{gemm, panels};
pub use sequence::{recurrent, recurrent_grad};
use std::fmt::Write;
use std::ops::Range;

/// Declares a kernel's `Params` and `FIELDS`, the same list as data for reflection.
macro_rules! params {
    ($(#[$struct_meta:meta])* pub struct Params { $($(#[$meta:meta])* pub $field:ident: $kind:ident,)* }) => {
        $(#[$struct_meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct Params { $($(#[$meta])* pub $field: $kind,)* }

        /// The fields of [`Params`] in order, as the shader must declare them.
        pub const FIELDS: &[(&str, $crate::kernels::Scalar)] =
            &[$((stringify!($field), $crate::kernels::Scalar::$kind),)*];
    };
}
use params;

/// Declares a kernel's `Entry` and `ENTRY`, likewise: what its table holds for each of several jobs.
macro_rules! entry {
    ($(#[$struct_meta:meta])* pub struct Entry { $($(#[$meta:meta])* pub $field:ident: $kind:ident,)* }) => {
        $(#[$struct_meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct Entry { $($(#[$meta])* pub $field: $kind,)* }

        /// The fields of [`Entry`] in order, as the shader must declare them.
        pub const ENTRY: &[(&str, $crate::kernels::Scalar)] =
            &[$((stringify!($field), $crate::kernels::Scalar::$kind),)*];
    };
}
use entry;

/// Entries that a table has room for.
pub const TABLE: usize = 10;

/// The type of a parameter or of the elements of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the variants are spelled as the types they stand for")]
pub enum Scalar {
    /// 32-bit unsigned integer.
    u32,
    /// 32-bit float.
    f32,
}

/// How a kernel uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Every element of the tensor is written; what was there before does not matter.
    Write,
    /// Read and then changed in place, or written only in part.
    ReadWrite,
}

/// One storage binding of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Its name in the shader.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
    /// The element type.
    pub kind: Scalar,
    /// Whether the shader reads it as a texture: see [`TEXELS_PER_ROW`].
    pub texels: bool,
}

impl Binding {
    /// Whether the shader has a storage buffer for it.
    pub fn is_storage(&self) -> bool {
        !self.texels || self.access != Access::Read
    }
}

/// A binding of f32 values that is only read.
pub const fn read(name: &'static str) -> Binding {
    Binding { name, access: Access::Read, kind: Scalar::f32, texels: false }
}

/// A binding of u32 values that is only read.
pub const fn read_u32(name: &'static str) -> Binding {
    Binding { kind: Scalar::u32, ..read(name) }
}

/// A binding of f32 values that is overwritten.
pub const fn write(name: &'static str) -> Binding {
    Binding { access: Access::Write, ..read(name) }
}

/// A binding of u32 values that is overwritten.
pub const fn write_u32(name: &'static str) -> Binding {
    Binding { kind: Scalar::u32, ..write(name) }
}

/// A binding of f32 values that is changed in place.
pub const fn read_write(name: &'static str) -> Binding {
    Binding { access: Access::ReadWrite, ..read(name) }
}

/// The same binding, read as a texture.
pub const fn texels(binding: Binding) -> Binding {
    Binding { texels: true, ..binding }
}

/// Texels in a row of the textures that stand for bindings; a texel holds four words that follow each other.
///
/// A driver that emulates a GPU on the CPU may fetch each word of a storage buffer, for each lane, in a loop of its own,
/// but sample textures with vector instructions: Mesa 22.3 takes 18 cycles for a word of storage and 2 for one of a
/// texel. A kernel for such drivers reads its binding `x` as the texture `x_texels`, in group 2 under the binding's
/// number. The executor copies the binding there before the dispatch, which is a copy within memory and cheap.
/// A binding that is read and written is both: the texture holds what was there before the dispatch.
pub const TEXELS_PER_ROW: usize = 1024;

/// The most words that a binding may have to be read as a texture: default limits allow 8192 rows.
pub const MAX_TEXEL_WORDS: usize = 8192 * 4 * TEXELS_PER_ROW;

/// The most rounds of loops that a thread of a software driver is given. Mesa's leaves all loops of a thread, without a
/// word, after 65,535 rounds together. A loop takes one more than it does something in, to find that it is over: where
/// loops lie in each other that is counted, and for the others there is room.
pub const MAX_LOOP_ITERATIONS: usize = 65_000;

/// One kernel: the same computation in WGSL and in Rust.
#[derive(Debug)]
pub struct Kernel {
    /// Stem of the shader and of the Rust file, label in traces.
    pub name: &'static str,
    /// The shader's text without shared functions and constants; see [`Kernel::source`].
    pub wgsl: &'static str,
    /// Storage bindings in order, read ones first.
    pub bindings: &'static [Binding],
    /// Fields of the params struct in order.
    pub params: &'static [(&'static str, Scalar)],
    /// Fields of an entry of the table, an array of [`TABLE`] structs that follows the other params of a kernel which
    /// does several jobs in one dispatch; none for other kernels. A uniform array lies at multiples of 16 bytes: with a
    /// table, both lists have a multiple of four fields.
    pub entry: &'static [(&'static str, Scalar)],
    /// Names of the compile-time constants in order.
    pub consts: &'static [&'static str],
    /// `@workgroup_size`.
    pub workgroup: [u32; 3],
    /// The twin: obvious loops, f64 accumulators for long sums. It is the oracle, so it stays simple.
    pub cpu: fn(Call),
    /// A faster function of the same meaning for the CPU engine, checked against the twin.
    pub fast: Option<fn(Call)>,
    /// The longest sum behind a number that it writes, given the root mean square of a binding: [`Sum::SHORT`] where terms
    /// are few or do not cancel each other.
    pub sums: fn(&Asked, &dyn Fn(usize) -> f64) -> Sum,
    /// The most rounds that the loops of a thread make where they grow with an example, a layer or the batch
    /// ([`MAX_LOOP_ITERATIONS`]), and what makes them fewer; [`few_iterations`] where they do not.
    pub loop_iterations: fn(&Asked) -> (usize, &'static str),
    /// What plans make of it.
    pub family: Family,
}

/// What a kernel is to the passes over plans, which joins steps and counts their costs.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// Products, with the table of [`matmul`].
    Product,
    /// A convolution or its gradient; gives the multiplications that it stands for.
    Convolution(fn(&Asked) -> f64),
    /// What a [`chain`] can compute, by the kind of its entry there, among other things.
    Link(u32),
    /// Several steps on the same rows.
    Chain,
    /// Means of terms of the loss, with the table of [`batch_mean`].
    Means,
    /// An update of parameters, with that table as well; gives the workgroups.
    Update(fn(&update::Params) -> [u32; 3]),
    /// A step by itself.
    Alone,
}

/// For kernels whose loops are short, or are shared by as many threads as they have rounds.
pub fn few_iterations(_: &Asked) -> (usize, &'static str) {
    (0, "")
}

/// A sum that a kernel may make in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sum {
    /// How many terms it has.
    pub length: usize,
    /// What their magnitudes add up to, about.
    pub magnitude: f64,
}

impl Sum {
    /// A sum whose rounding is that of its value.
    pub const SHORT: Self = Self { length: 0, magnitude: 0.0 };

    /// A sum of so many terms of a magnitude.
    pub fn of(length: usize, term: f64) -> Self {
        Self { length, magnitude: length as f64 * term }
    }
}

/// For kernels without long sums of both signs.
pub fn short(_: &Asked, _: &dyn Fn(usize) -> f64) -> Sum {
    Sum::SHORT
}

/// What is known of a step when its plan is made.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The words of the kernel's `Params`, then those of the entries of its table.
    pub params: &'a [u32],
    /// Values of the kernel's compile-time constants.
    pub consts: &'a [u32],
    /// The layout of columns that it reads, where it reads one and the layout is at hand.
    pub columns: &'a [u32],
}

impl Asked<'_> {
    /// The parameters as the kernel's own struct.
    pub fn params<P: Pod>(&self) -> P {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&self.params[..size_of::<P>() / 4]))
    }

    /// The entries of the kernel's table, which follow its parameters.
    pub fn entries<P: Pod, E: Pod>(&self) -> Vec<E> {
        let words = self.params[size_of::<P>() / 4..].chunks_exact(size_of::<E>() / 4);
        words.map(|entry| bytemuck::pod_read_unaligned(bytemuck::cast_slice(entry))).collect()
    }
}

/// What a CPU function gets: the same things that a dispatch gets.
#[derive(Debug)]
pub struct Call<'a> {
    /// The part of the outer axis to compute.
    pub range: Range<usize>,
    /// The words of the kernel's `Params`, then those of the entries of its table that are used.
    pub params: &'a [u32],
    /// Values of the kernel's compile-time constants, in the table's order, then the words of its program, if it has one.
    pub consts: &'a [u32],
    /// What changes from step to step.
    pub step: &'a StepScalars,
    /// The read bindings. A binding that is split along the outer axis begins at `range.start`.
    pub reads: Vec<&'a [u32]>,
    /// The written bindings, likewise.
    pub writes: Vec<&'a mut [u32]>,
}

impl Call<'_> {
    /// The parameters as the kernel's own struct.
    pub fn params<P: Pod>(&self) -> P {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&self.params[..size_of::<P>() / 4]))
    }

    /// The entries of the kernel's table, which follow its parameters.
    pub fn entries<P: Pod, E: Pod>(&self) -> Vec<E> {
        let words = self.params[size_of::<P>() / 4..].chunks_exact(size_of::<E>() / 4);
        words.map(|entry| bytemuck::pod_read_unaligned(bytemuck::cast_slice(entry))).collect()
    }
}

/// The models that one dispatch computes: a binding holds the copies of all of them, or one that they share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Members {
    /// How many there are, at least one.
    pub count: u32,
    /// For each binding, how many words lie between the beginnings of two copies; 0 where there is only one.
    pub strides: Vec<u32>,
}

impl Members {
    /// One model, whose bindings begin where they are bound.
    pub const ONE: Self = Self { count: 1, strides: vec![] };
}

/// The few scalars that change per step; `struct Step` in `shaders/shared/step.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct StepScalars {
    /// The training step, counted from 0 over the whole run: the second word of the noise's counter.
    pub step: u32,
    /// Examples of the batch that count; the others (last batch of an epoch) are computed and given no weight.
    pub rows: u32,
    /// Position of the batch's first example in the order.
    pub first: u32,
    /// Row of the metrics buffer that this step fills.
    pub slot: u32,
    /// The seed.
    pub key: [u32; 2],
    /// Index of the first latent sample per example, when samples are drawn in several runs of a plan.
    pub sample: u32,
    /// The [`crate::rng::Stream`] that latent noise is drawn from.
    pub stream: u32,
    /// 1/rows: what one example weighs in a mean over the batch.
    pub row_weight: f32,
    /// Learning rate.
    pub lr: f32,
    /// 1 − β1^t, Adam's correction of the first moment.
    pub correction1: f32,
    /// 1 − β2^t, Adam's correction of the second moment.
    pub correction2: f32,
    /// Weights of the terms of the loss; which is which, the model says.
    pub weights: [f32; 8],
}

// The length is written out: with the constant in the type, rustc 1.95.0 stops at a struct update in a closure of a test
// ("internal compiler error: broken MIR").
const _: () = assert!(size_of::<[f32; crate::expr::MAX_WEIGHTS]>() == size_of::<[f32; 8]>());

impl StepScalars {
    /// The position in the order of the example in row `row` of the batch. Rows that do not count repeat the last one.
    pub fn position(&self, row: usize) -> usize {
        self.first as usize + row.min((self.rows as usize).saturating_sub(1))
    }

    /// Whether this run is the first of those whose gradients one update adds up: they fill rows of the metrics that
    /// follow each other, `parts` of them; 0 stands for 1.
    pub fn is_first_part(&self, parts: u32) -> bool {
        self.slot.is_multiple_of(parts.max(1))
    }

    /// Whether this run is the last of them, which updates the parameters.
    pub fn is_last_part(&self, parts: u32) -> bool {
        self.slot % parts.max(1) == parts.max(1) - 1
    }

    /// The gradient that the mean over the batch, times the weight `w`, gives to row `row` of `per_example` rows each.
    pub fn row_gradient(&self, w: usize, row: usize, per_example: usize) -> f32 {
        if row < self.rows as usize * per_example {
            self.weights[w] * self.row_weight / per_example as f32
        } else {
            0.0
        }
    }
}

/// What a dispatch gets: the words of a kernel's `Params`, then those of the entries of its table.
pub fn words<P: Pod, E: Pod>(params: &P, table: &[E]) -> Vec<u32> {
    [bytemuck::cast_slice(std::slice::from_ref(params)), bytemuck::cast_slice(table)].concat()
}

/// Words seen as floats.
pub fn f32s(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

/// Words seen as floats, to write.
pub fn f32s_mut(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}

/// All written bindings of a kernel as floats.
pub fn all_f32s_mut<const N: usize>(writes: Vec<&mut [u32]>) -> [&mut [f32]; N] {
    let words: [&mut [u32]; N] = writes.try_into().expect("as many written bindings as in the kernel's table");
    words.map(f32s_mut)
}

/// The workgroups for `count` of them in a row: more than 65,535 go into the second dimension.
/// The shader's `linear_workgroup` turns them back into one number, which may exceed `count`.
pub fn grid(count: usize) -> [u32; 3] {
    let count = count.max(1) as u32;
    let rows = count.div_ceil(65_535);
    [count.div_ceil(rows), rows, 1]
}

/// Shared WGSL: pure functions and constants, appended to every kernel. Module scope is unordered, so the kernel's own
/// line numbers survive.
const SHARED: &[&str] = &[
    include_str!("../shaders/shared/step.wgsl"),
    include_str!("../shaders/shared/math.wgsl"),
    include_str!("../shaders/shared/likelihood.wgsl"),
    include_str!("../shaders/shared/counts.wgsl"),
    include_str!("../shaders/shared/reduce.wgsl"),
    include_str!("../shaders/shared/rng.wgsl"),
    include_str!("../shaders/shared/texels.wgsl"),
];

impl Kernel {
    /// Whether the shader counts on subgroups, of eight lanes.
    pub fn needs_subgroups(&self) -> bool {
        self.wgsl.contains("subgroup")
    }

    /// Whether the shader computes a formula ([`crate::expr`]), whose words follow the compile-time constants. The first of
    /// these is then the columns of the tensor that the formula describes.
    pub fn has_program(&self) -> bool {
        self.wgsl.contains("expression(")
    }

    /// Whether a step with these constants is told a formula: that of a kernel for formulas, or the way out of a product.
    pub fn takes_program(&self, consts: &[u32]) -> bool {
        let is_product = matches!(self.family, Family::Product);
        self.has_program() || (is_product && consts.get(4) == Some(&matmul::FORMULA))
    }

    /// The complete shader for given values of the compile-time constants, for so many models. Where these lie in a
    /// binding `x` is a constant, too: `MEMBER_X`.
    pub fn source(&self, consts: &[u32], members: &Members) -> String {
        let (consts, program) = consts.split_at(self.consts.len().min(consts.len()));
        assert_eq!(consts.len(), self.consts.len(), "{}: one value per compile-time constant", self.name);
        let mut text = self.wgsl.to_owned();
        for part in SHARED {
            text.push_str(part);
        }
        if self.consts.ends_with(&blocks::NAMES) {
            text.push_str(blocks::WGSL);
        }
        let strides = members.strides.iter().copied().chain(std::iter::repeat(0));
        let places = self.bindings.iter().zip(strides);
        let places = places.map(|(binding, stride)| (format!("MEMBER_{}", binding.name.to_uppercase()), stride));
        let given = self.consts.iter().zip(consts).map(|(name, value)| ((*name).to_owned(), *value));
        for (name, value) in given.chain(places).chain([("MEMBERS".to_owned(), members.count)]) {
            writeln!(text, "const {name}: u32 = {value}u;").expect("writing to a string cannot fail");
        }
        if self.has_program() {
            text.push_str(&expression::wgsl(program, consts[0]));
        }
        if matches!(self.family, Family::Product) {
            text.push_str(&expression::way_out(program));
        }
        text
    }

    /// The same for a dispatch that writes elsewhere to buffers which it also reads: bit i of `shared` says that binding i,
    /// though only read, lies in one. WebGPU admits one kind of access to a buffer in a dispatch, so the binding is
    /// declared as one that might be written.
    pub fn source_sharing(&self, consts: &[u32], members: &Members, shared: u32) -> String {
        let mut text = self.source(consts, members);
        for (binding, _) in self.bindings.iter().zip(0..).filter(|(_, number)| shared >> number & 1 == 1) {
            let declared = |access: &str| format!("var<storage, {access}> {}:", binding.name);
            text = text.replacen(&declared("read"), &declared("read_write"), 1);
        }
        text
    }
}

/// Every kernel there is.
pub static KERNELS: &[&Kernel] = &[
    &accumulate::KERNEL,
    &activation::KERNEL,
    &activation_grad::KERNEL,
    &append::KERNEL,
    &batch_mean::KERNEL,
    &batched_product::KERNEL,
    &bernoulli::KERNEL,
    &bound::KERNEL,
    &broadcast::KERNEL,
    &chain::KERNEL,
    &clip_factor::KERNEL,
    &combine::KERNEL,
    &conv::KERNEL,
    &conv_texels::KERNEL,
    &conv_tiles::KERNEL,
    &conv_weight::KERNEL,
    &conv_weight_texels::KERNEL,
    &conv_weight_tiles::KERNEL,
    &depthwise::KERNEL,
    &depthwise_weight::KERNEL,
    &dropout::KERNEL,
    &gather::KERNEL,
    &gather_codes::KERNEL,
    &gather_sparse::KERNEL,
    &gaussian::KERNEL,
    &group_moments::KERNEL,
    &group_norm::KERNEL,
    &group_norm_grad::KERNEL,
    &group_norm_weight::KERNEL,
    &kl_means::KERNEL,
    &log_mean_exp::KERNEL,
    &log_prior::KERNEL,
    &log_ratio::KERNEL,
    &log_ratio_grad::KERNEL,
    &logistic_mixture::KERNEL,
    &logistic_mixture_mean::KERNEL,
    &map::KERNEL,
    &matmul::KERNEL,
    &matmul_direct::KERNEL,
    &matmul_texels::KERNEL,
    &noise::KERNEL,
    &planes::KERNEL,
    &pool::KERNEL,
    &posterior_grad::KERNEL,
    &recurrent::KERNEL,
    &recurrent_grad::KERNEL,
    &reduce::KERNEL,
    &row_weights::KERNEL,
    &sample::KERNEL,
    &shaped_kl::KERNEL,
    &squared_norm::KERNEL,
    &sum_columns::KERNEL,
    &sum_rows::KERNEL,
    &table::KERNEL,
    &table_values::KERNEL,
    &take_rows::KERNEL,
    &update::KERNEL,
    &update_texels::KERNEL,
    &with_class::KERNEL,
];
