//! Steps that follow each other on the same rows, in one dispatch: thin products (as [`crate::kernels::matmul`] computes them,
//! with the untransposed left side), [`crate::kernels::sample`], [`crate::kernels::posterior_grad`] and [`crate::kernels::activation`].
//!
//! A workgroup takes a few examples through all steps, so that no step waits for other rows. What is read and written
//! lies in one tensor, `values`, at the offsets in the table.

use crate::kernels::matmul::{self, ACTIVATE, DERIVE};
use crate::kernels::{Call, Kernel, activation, entry, params, posterior_grad, read, read_u32, read_write, sample};

params! {
    /// What all steps share.
    pub struct Params {
        /// How many steps there are.
        pub ops: u32,
        /// B, examples of the batch.
        pub examples: u32,
        /// Examples that a workgroup takes.
        pub group: u32,
        /// Nothing.
        pub spare: u32,
    }
}

entry! {
    /// One step. Which of `values` it means by x, y and so on, its kind says.
    pub struct Entry {
        /// [`PRODUCT`], [`SAMPLE`], [`POSTERIOR_GRAD`] or [`ACTIVATION`].
        pub kind: u32,
        /// Columns of a product's result; latent dimensions.
        pub n: u32,
        /// Length of a product's sums.
        pub k: u32,
        /// K, rows for each example.
        pub per_example: u32,
        /// First word of what is read: A; the posterior's statistics; the gradient of the samples.
        pub x: u32,
        /// First word of what is written: C; the samples; the gradient of the statistics.
        pub y: u32,
        /// First word of what else is read: where the derivative is taken; the noise (written if it is drawn here).
        pub aux: u32,
        /// First word of B in `weights`; of the KL per example, which is written; of the statistics.
        pub w: u32,
        /// The kernel's constants, see [`Entry::product`], [`Entry::sample`], [`Entry::posterior_grad`].
        pub option: u32,
        /// Which weight of the loss belongs to the KL.
        pub weight: u32,
        /// Lower bound of the log-variance.
        pub low: f32,
        /// Upper bound of the log-variance.
        pub high: f32,
    }
}

/// `kind`: a product. `option` is `TRANSPOSE_B` + 2·`BIAS` + 4·`EPILOGUE` + 16·`ACTIVATION`.
pub const PRODUCT: u32 = 0;
/// `kind`: samples of the posterior and its KL. `option` is `DRAW`.
pub const SAMPLE: u32 = 1;
/// `kind`: the gradient in the posterior's statistics, with a KL weighed as a mean over the batch. `option` is
/// `SAMPLED` + 2·`KL`.
pub const POSTERIOR_GRAD: u32 = 2;
/// `kind`: a non-linearity by itself. `option` is its code.
pub const ACTIVATION: u32 = 3;

/// The longest sums that fit into workgroup memory.
pub const MAX_DEPTH: usize = 768;

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "chain",
    wgsl: include_str!("../../../shaders/product/chain.wgsl"),
    bindings: &[read_u32("order"), read("weights"), read_write("values")],
    params: FIELDS,
    entry: ENTRY,
    consts: &[],
    workgroup: [256, 1, 1],
    cpu,
    fast: None,
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Chain,
};

/// Rows that a workgroup multiplies at a time.
pub const ROWS: usize = 4;

/// Each workgroup takes `group` examples.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.examples.div_ceil(p.group) as usize)
}

/// The twin: each step by the twin of its own kernel. Outer axis: one element.
fn cpu(call: Call) {
    let (p, entries): (Params, Vec<Entry>) = (call.params(), call.entries::<Params, Entry>());
    let Call { step, reads, mut writes, .. } = call;
    let (order, weights) = (reads[0], reads[1]);
    let values: &mut [u32] = writes[0];
    for e in &entries[..p.ops as usize] {
        let (examples, n) = (p.examples as usize, e.n as usize);
        let rows = examples * e.per_example as usize;
        let at = |values: &[u32], first: u32, count: usize| values[first as usize..][..count].to_vec();
        let member =
            |kernel: &Kernel, params: &[u32], consts: &[u32], outer, reads: &[&[u32]], out: &mut [Vec<u32>]| {
                let writes = out.iter_mut().map(Vec::as_mut_slice).collect();
                (kernel.cpu)(Call { range: 0..outer, params, consts, step, reads: reads.to_vec(), writes });
            };
        let (places, written): (Vec<u32>, Vec<Vec<u32>>) = match e.kind {
            PRODUCT => {
                let k = e.k as usize;
                let epilogue = e.option >> 2 & 3;
                let aux = if epilogue == DERIVE { at(values, e.aux, rows * n) } else { vec![] };
                let mut out = [vec![0; rows * n], vec![]];
                let meaning = [0, e.option & 1, e.option >> 1 & 1, 0, epilogue, e.option >> 4];
                let consts = [&meaning[..], &matmul::TILINGS[0]].concat();
                let shared = matmul::Params { jobs: 1, weight: 0, per_example: 1, log_variance: 0.0 };
                let alone = matmul::Entry::alone(rows, n, k);
                let words = crate::kernels::words(&shared, &[alone]);
                let reads: [&[u32]; 3] = [&at(values, e.x, rows * k), &weights[e.w as usize..], &aux];
                member(&matmul::KERNEL, &words, &consts, rows, &reads, &mut out);
                (vec![e.y], out.into())
            }
            SAMPLE => {
                let (low, high) = (e.low, e.high);
                let p = sample::Params { rows: p.examples, latent: e.n, per_example: e.per_example, low, high };
                let mut out = [at(values, e.aux, rows * n), vec![0; rows * n], vec![0; examples]];
                let reads: [&[u32]; 2] = [order, &at(values, e.x, 2 * examples * n)];
                let words = bytemuck::cast_slice(std::slice::from_ref(&p));
                member(&sample::KERNEL, words, &[e.option], examples, &reads, &mut out);
                (vec![e.aux, e.y, e.w], out.into())
            }
            ACTIVATION => {
                let p = activation::Params { count: (rows * n) as u32 };
                let mut out = [vec![0; rows * n]];
                let words = bytemuck::cast_slice(std::slice::from_ref(&p));
                member(&activation::KERNEL, words, &[e.option], rows * n, &[&at(values, e.x, rows * n)], &mut out);
                (vec![e.y], out.into())
            }
            _ => {
                let (weight, low, high) = (e.weight, e.low, e.high);
                let p = posterior_grad::Params {
                    rows: p.examples,
                    latent: e.n,
                    per_example: e.per_example,
                    weight,
                    low,
                    high,
                };
                let mut out = [vec![0; 2 * examples * n]];
                let (eps, dz) = match e.option & 1 {
                    0 => (vec![], vec![]),
                    _ => (at(values, e.aux, rows * n), at(values, e.x, rows * n)),
                };
                let reads: [&[u32]; 4] = [&at(values, e.w, 2 * examples * n), &eps, &dz, &[]];
                let words = bytemuck::cast_slice(std::slice::from_ref(&p));
                member(&posterior_grad::KERNEL, words, &[e.option & 1, e.option >> 1, 1], examples, &reads, &mut out);
                (vec![e.y], out.into())
            }
        };
        for (first, words) in places.into_iter().zip(written) {
            values[first as usize..][..words.len()].copy_from_slice(&words);
        }
    }
}

impl Entry {
    const NOTHING: Self = Self {
        kind: 0,
        n: 0,
        k: 0,
        per_example: 1,
        x: 0,
        y: 0,
        aux: 0,
        w: 0,
        option: 0,
        weight: 0,
        low: 0.0,
        high: 0.0,
    };

    /// A product from its extents and its kernel's constants; none that this kernel does not compute.
    pub fn product(product: &matmul::Entry, per_example: u32, consts: &[u32]) -> Option<Self> {
        let [transpose_a, transpose_b, bias, ones, epilogue, activation] = *consts.first_chunk()?;
        let can = transpose_a == 0 && ones == 0 && [matmul::PLAIN, ACTIVATE, DERIVE].contains(&epilogue);
        let option = transpose_b | bias << 1 | epilogue << 2 | activation << 4;
        let (n, k) = (product.n, product.k);
        (can && k as usize <= MAX_DEPTH).then_some(Self { kind: PRODUCT, n, k, per_example, option, ..Self::NOTHING })
    }

    /// A non-linearity of rows of `n` elements.
    pub fn activation(n: u32, per_example: u32, consts: &[u32]) -> Self {
        Self { kind: ACTIVATION, n, per_example, option: consts[0], ..Self::NOTHING }
    }

    /// Samples and their KL.
    pub fn sample(p: &sample::Params, consts: &[u32]) -> Self {
        let (n, per_example, low, high) = (p.latent, p.per_example, p.low, p.high);
        Self { kind: SAMPLE, n, per_example, option: consts[0], low, high, ..Self::NOTHING }
    }

    /// The gradient in a posterior's statistics; none where the KL's weights are given row by row.
    pub fn posterior_grad(p: &posterior_grad::Params, consts: &[u32]) -> Option<Self> {
        let [sampled, kl, uniform] = *consts.first_chunk()?;
        let (n, per_example, low, high) = (p.latent, p.per_example, p.low, p.high);
        let (option, weight) = (sampled | kl << 1, p.weight);
        let can = kl == 0 || uniform == 1;
        can.then_some(Self { kind: POSTERIOR_GRAD, n, per_example, option, weight, low, high, ..Self::NOTHING })
    }
}
