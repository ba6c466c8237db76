//! Cases for every kernel: any size, any setting of its constants, with inputs drawn from a fixed seed.

use super::formulas;
use crate::config::Cell;
use crate::kernels::matmul::Entry;
use crate::kernels::{Access, Kernel, StepScalars, grid, words};
use crate::kernels::{
    accumulate, recurrent, recurrent_grad, row_weights, sample, shaped_kl, squared_norm, sum_columns, sum_rows, table,
    table_values, take_rows, update, update_texels, with_class,
};
use crate::kernels::{
    activation, activation_grad, append, batch_mean, batched_product, bernoulli, bound, broadcast, chain, clip_factor,
    combine, conv, conv_texels, conv_tiles, conv_weight, conv_weight_texels, conv_weight_tiles, depthwise,
    depthwise_weight, dropout, gather, gather_codes, group_moments, group_norm, group_norm_grad, group_norm_weight,
};
use crate::kernels::{
    gaussian, kl_means, log_mean_exp, log_prior, log_ratio, log_ratio_grad, logistic_mixture, logistic_mixture_mean,
    matmul, matmul_direct, matmul_texels, noise, planes, pool, posterior_grad,
};
use crate::plan::{Step, View};
use crate::rng::{Philox, Stream, key};
use bytemuck::Pod;
use rand::Rng;

/// The extents of a case; what they stand for depends on the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows: of the batch, of a tensor, of C.
    pub rows: usize,
    /// Columns: of a tensor, latent dimensions, columns of C.
    pub width: usize,
    /// Samples per example, length of a product's sums, or parts of a sum.
    pub depth: usize,
}

/// A step with what its bindings hold before it runs.
#[derive(Debug, Clone)]
pub struct Case {
    /// The step. Its views say how many words of each binding count; their buffers and offsets mean nothing.
    pub step: Step,
    /// What would change from step to step.
    pub scalars: StepScalars,
    /// The words of each binding. What is only written holds [`SENTINEL`].
    pub buffers: Vec<Vec<u32>>,
}

/// What fills memory that a kernel is to overwrite, or must not touch: a NaN that no computation gives.
pub const SENTINEL: u32 = 0x7fc0_dead;

/// The constants that matter, in the kernel's order; the last setting does most of what the kernel can.
pub fn settings(kernel: &Kernel) -> Vec<Vec<u32>> {
    if kernel.name.starts_with("matmul") {
        return products(kernel);
    }
    if kernel.consts == update::KERNEL.consts {
        return updates(kernel);
    }
    if kernel.name == "conv" {
        return convolutions([&[conv::FEW_ROWS, 4], &[conv::MANY_ROWS, 1]]);
    }
    if kernel.name == "conv_texels" {
        return convolutions([&[1, 0, 0], &[conv_texels::GROUPS, 1, 1]]);
    }
    if kernel.name == "conv_tiles" {
        // The tiling with the largest blocks has the most to go wrong.
        let largest = [conv_tiles::TILINGS[0]; 2];
        let tilings = conv_tiles::TILINGS.iter().chain(&largest);
        let all = CONVOLUTIONS.iter().cycle().skip(2).zip(tilings);
        return all.map(|(meaning, tiling)| [&meaning[..], &tiling[..]].concat()).collect();
    }
    if kernel.name == "conv_weight_tiles" {
        let tilings = conv_tiles::TILINGS.iter().chain(&conv_tiles::TILINGS[..1]);
        return [0, 1].into_iter().cycle().zip(tilings).map(|(up, tiling)| [&[up], &tiling[..]].concat()).collect();
    }
    if kernel.name == "conv_weight" {
        return [[0, 1], [1, 1], [0, 4], [1, 4]].map(|consts| consts.to_vec()).to_vec();
    }
    if kernel.name == "conv_weight_texels" {
        return [[0, 1, 0, 0], [1, 1, 0, 0], [0, 4, 1, 1], [1, 1, 1, 1]].map(|consts| consts.to_vec()).to_vec();
    }
    if kernel.has_program() {
        return formulas::settings(kernel);
    }
    let values = |name: &str| match name {
        "ACTIVATION" => 0..7,
        "OP" | "OF" | "BINARISE" => 0..3,
        "PARTS" => 3..5,
        _ => 0..2,
    };
    kernel.consts.iter().fold(vec![vec![]], |settings, name| {
        settings.iter().flat_map(|start| values(name).map(|value| [&start[..], &[value]].concat())).collect()
    })
}

/// The constants of `matmul` and its kin: all ways in which operands lie, every activation where a network has it (of the kin, which
/// drivers take long to compile, two of them), the likelihoods, formulas; and every tiling, with what makes most use of it.
fn products(kernel: &Kernel) -> Vec<Vec<u32>> {
    let mut meanings = Vec::new();
    for layout in 0..4 {
        let (a, b) = (layout / 2, layout % 2);
        meanings.extend([[a, b, 0, 0, 0, 0], [a, b, 1, 0, 0, 0]]);
        meanings.extend((a == 1).then_some([a, b, 0, 1, 0, 0]));
    }
    for activation in if kernel.name == "matmul" { 0..8 } else { 1..3 } {
        meanings.extend([[0, 0, 1, 0, 1, activation], [0, 1, 0, 0, 2, activation]]);
    }
    meanings.extend([[0, 0, 1, 0, matmul::GAUSSIAN, 0], [0, 0, 1, 0, matmul::BERNOULLI, 0]]);
    let tilings: Vec<Vec<u32>> = match kernel.name {
        "matmul" => matmul::TILINGS.iter().map(|tiling| tiling.to_vec()).collect(),
        "matmul_texels" => matmul_texels::TILINGS.iter().map(|tiling| tiling.to_vec()).collect(),
        _ => vec![vec![]],
    };
    let usual = &tilings[tilings.len() / 2];
    let mut settings: Vec<Vec<u32>> = meanings.iter().map(|meaning| [meaning, &usual[..]].concat()).collect();
    // A formula of the product, and one of another tensor too, where blocks are largest and where they are not.
    for (at, tiling) in [usual, &tilings[0]].into_iter().enumerate() {
        let program = formulas::way_out(at == 1).words();
        settings.push([&[0, at as u32, 1 - at as u32, 0, matmul::FORMULA, at as u32], &tiling[..], &program].concat());
    }
    for tiling in &tilings {
        let telling = [[1, 1, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0], [0, 0, 1, 0, matmul::BERNOULLI, 0]];
        settings.extend(telling.iter().map(|meaning| [meaning, &tiling[..]].concat()));
    }
    settings
}

/// What `conv` and its kin compute: both directions with both ways in which parameters lie, by itself and with what surrounds
/// it in a network. Drivers take long to compile the kernel, and non-linearities are the same functions everywhere: a few of them
/// will do.
const CONVOLUTIONS: [[u32; 4]; 8] = [
    [0, 0, matmul::PLAIN, 0],
    [0, 1, matmul::DERIVE, 1],
    [1, 0, matmul::PLAIN, 0],
    [1, 1, matmul::PLAIN, 0],
    [0, 1, matmul::PLAIN, 0],
    [1, 0, matmul::ACTIVATE, 4],
    [1, 1, matmul::DERIVE, 2],
    [0, 0, matmul::ACTIVATE, 1],
];

/// The constants of `conv` and its kin, in the two ways in which plans ask for it.
fn convolutions([some, others]: [&[u32]; 2]) -> Vec<Vec<u32>> {
    let manners = [some, some, others, some, others, some, others, others];
    CONVOLUTIONS.iter().zip(manners).map(|(meaning, manner)| [meaning, manner].concat()).collect()
}

/// The constants of `update` and its kin: every rule as it can be, and by turns all that may become of the means.
fn updates(kernel: &Kernel) -> Vec<Vec<u32>> {
    use update::{ADAM, ADAMW, RMSPROP, SGD};
    let rules = [(SGD, 0), (SGD, 1), (RMSPROP, 0), (RMSPROP, 1), (ADAM, 0), (ADAMW, 0)];
    let settings = rules.iter().flat_map(|&(rule, momentum)| [0, 1].map(|clip| [rule, clip, momentum]));
    let means = if kernel.name == "update" { 3 } else { update::WORKGROUP };
    // The step of the cases is the last of the runs of an update, or one before.
    let parts = [4, 0, 3].into_iter().cycle();
    let all = settings.zip((0..means).cycle()).zip(parts);
    all.map(|((setting, means), parts)| [&setting[..], &[means, parts]].concat()).collect()
}

/// The case of a kernel, if the kernel is known here.
pub fn case(kernel: &'static Kernel, consts: &[u32], size: Size) -> Option<Case> {
    let consts = &if kernel.has_program() { formulas::fitted(kernel, consts, size) } else { consts.to_vec() };
    let Shape { params, outer, unit, grid, bindings } = shape(kernel, consts, size)?;
    let mut random = Philox::new(7, Stream::Choice, size.rows as u32, size.width as u32);
    let filled = bindings.iter().zip(kernel.bindings).map(|(&(words, _, fill), binding)| {
        let fill = if binding.access == Access::Write { Fill::Unused } else { fill };
        (0..words).map(|at| fill.word(at, &mut random)).collect()
    });
    let buffers = filled.collect();
    let views =
        bindings.iter().enumerate().map(|(buffer, &(words, split, _))| View { buffer, offset: 0, words, split });
    let step = Step {
        kernel,
        consts: consts.clone(),
        params,
        views: views.collect(),
        outer,
        unit,
        grid,
        what: format!("{size:?}"),
    };
    Some(Case { step, scalars: scalars(size), buffers })
}

/// A step in the middle of training, whose last row does not count.
fn scalars(size: Size) -> StepScalars {
    let rows = size.rows.saturating_sub(1).max(1) as u32;
    StepScalars {
        step: 3,
        rows,
        first: 1,
        slot: 2,
        key: key(11),
        sample: 5,
        stream: Stream::Noise as u32,
        row_weight: 1.0 / rows as f32,
        lr: 0.01,
        correction1: 0.3,
        correction2: 0.004,
        weights: [1.0, 0.5, 0.25, 0.125, 0.75, 0.375, 0.875, 0.625],
    }
}

/// What a binding holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    /// Normal deviates, and now and then a number that is special to some function.
    Values,
    /// Numbers in (0, 1).
    Unit,
    /// Random bits.
    Bits,
    /// Indices below a number.
    Below(usize),
    /// Whole numbers, and now and then a missing value.
    Counts,
    /// Whole numbers below a number.
    Classes(usize),
    /// Levels of pixels, the ends among them, and now and then a missing value.
    Levels,
    /// The layout of columns of all kinds that take this many places.
    Columns(usize),
    /// Numbers of up to three categories, all of them at once among these.
    Codes,
    /// The places of an example of so many, of numbers and categories by turns.
    Places(usize),
    /// Normal deviates, of which sums of so many are about 1: what a layer that is applied again and again multiplies by.
    Weights(usize),
    /// So many examples of which every second place holds something, by turns the first and the second, all together or by the row.
    Sparse { examples: usize, width: usize, window: bool },
    /// [`SENTINEL`]: the kernel does not read the binding.
    Unused,
}

impl Fill {
    fn word(self, at: usize, random: &mut Philox) -> u32 {
        const SPECIAL: [f32; 6] = [0.0, -0.0, -30.0, 15.0, 1e-6, 0.25];
        match self {
            Self::Values if at % 13 == 7 => SPECIAL[at / 13 % SPECIAL.len()].to_bits(),
            Self::Values => (1.5 * random.normal()).to_bits(),
            Self::Unit => random.uniform().to_bits(),
            Self::Bits => random.next_u32(),
            Self::Below(end) => random.next_u32() % end as u32,
            Self::Counts if random.next_u32().is_multiple_of(5) => f32::NAN.to_bits(),
            Self::Counts => (((random.next_u32() % 5) * (random.next_u32() % 9)) as f32).to_bits(),
            Self::Classes(end) => ((random.next_u32() % end as u32) as f32).to_bits(),
            Self::Levels if at % 11 == 5 => f32::NAN.to_bits(),
            Self::Levels => (((random.next_u32() % 300).min(255)) as f32 / 255.0).to_bits(),
            Self::Columns(places) => table::layout(&columns(places))[at],
            Self::Codes => ((random.next_u32() % 4) as f32 - 1.0).to_bits(),
            Self::Weights(count) => (random.normal() / (count as f32).sqrt()).to_bits(),
            Self::Places(places) => gather_codes::layout(&coded(places))[at],
            Self::Sparse { examples, width, window } => sparse_word(at, [examples, width], window, random),
            Self::Unused => SENTINEL,
        }
    }
}

/// A word of [`Fill::Sparse`].
fn sparse_word(at: usize, [examples, width]: [usize; 2], window: bool, random: &mut Philox) -> u32 {
    let (pairs, head) = (2 * (width / 2), if window { 1 } else { examples + 1 });
    let (row, at) = match at {
        at if window && at % (1 + pairs) == 0 => return (width / 2) as u32,
        at if window => (at / (1 + pairs), at % (1 + pairs) - 1),
        at if at < head => return (head + at * pairs) as u32,
        at => ((at - head) / pairs, (at - head) % pairs),
    };
    if at % 2 == 1 { (1.5 * random.normal()).to_bits() } else { (at + row % 2) as u32 }
}

/// A binding: words, whether the outer axis divides them, what they hold.
pub(super) type Bound = (usize, bool, Fill);

/// A step and its bindings: words, whether the outer axis divides them, what they hold.
pub(super) struct Shape {
    params: Vec<u32>,
    outer: usize,
    unit: usize,
    grid: [u32; 3],
    bindings: Vec<(usize, bool, Fill)>,
}

/// Bounds of log-variances that some of the inputs exceed.
const CLAMP: (f32, f32) = (-2.0, 1.5);

/// Words of what is bound where a kernel, as it is configured, does not use a binding.
pub const UNUSED_WORDS: usize = 4;

pub(super) const UNUSED: (usize, bool, Fill) = (UNUSED_WORDS, false, Fill::Unused);

/// A binding, or what stands for it where it is not used.
fn used(condition: bool, binding: (usize, bool, Fill)) -> (usize, bool, Fill) {
    if condition { binding } else { UNUSED }
}

/// A binding that the outer axis divides.
fn part(words: usize) -> (usize, bool, Fill) {
    (words, true, Fill::Values)
}

/// A binding that every part of the outer axis sees whole.
fn whole(words: usize) -> (usize, bool, Fill) {
    (words, false, Fill::Values)
}

impl Shape {
    pub(super) fn new(
        params: &impl Pod,
        (outer, unit): (usize, usize),
        grid: [u32; 3],
        bindings: impl Into<Vec<(usize, bool, Fill)>>,
    ) -> Self {
        Self { params: words::<_, u32>(params, &[]), outer, unit, grid, bindings: bindings.into() }
    }

    /// With a table after the params.
    fn with(mut self, table: &[impl Pod]) -> Self {
        self.params.extend_from_slice(bytemuck::cast_slice(table));
        self
    }
}

fn shape(kernel: &Kernel, consts: &[u32], size: Size) -> Option<Shape> {
    match kernel.name {
        "matmul" | "matmul_direct" => Some(product(kernel, consts, size)),
        "matmul_texels" => Some(product(kernel, consts, whole_texels(consts, size))),
        "update" | "update_texels" => Some(optimiser(kernel, consts, size)),
        "activation" | "activation_grad" | "combine" | "accumulate" => {
            Some(elementwise(kernel.name, consts, size.rows * size.width))
        }
        "dropout" => Some(dropped(size)),
        "broadcast" | "sum_rows" | "sum_columns" | "gather" | "gather_codes" | "gather_sparse" => {
            Some(rows_and_columns(kernel.name, consts, size))
        }
        "squared_norm" | "clip_factor" | "batch_mean" | "row_weights" => {
            Some(scalars_and_rows(kernel.name, consts, size))
        }
        "conv" | "conv_texels" | "conv_tiles" | "conv_weight" | "conv_weight_texels" | "conv_weight_tiles"
        | "depthwise" | "depthwise_weight" | "planes" | "pool" => Some(images(kernel.name, consts, size)),
        "group_moments" | "group_norm" | "group_norm_grad" | "group_norm_weight" => Some(groups(kernel.name, size)),
        "sample" | "posterior_grad" | "log_prior" | "log_ratio" | "log_mean_exp" | "noise" | "log_ratio_grad"
        | "bound" | "kl_means" | "shaped_kl" => Some(latent(kernel.name, consts, size)),
        "bernoulli" | "gaussian" => Some(likelihood(kernel.name, consts, size)),
        "table" => Some(columns_likelihood(consts, size)),
        "table_values" => Some(columns_values(consts, size)),
        "logistic_mixture" | "logistic_mixture_mean" => Some(mixtures(kernel.name, consts, size)),
        "append" => Some(beside(consts, size)),
        "chain" => Some(neighbourhood(size)),
        "with_class" => Some(with_class(consts, size)),
        "map" | "reduce" => Some(formulas::shape(kernel, consts, size)),
        "batched_product" => Some(products_of_each(consts, size)),
        "take_rows" => Some(rows_by_index(consts, size)),
        "recurrent" | "recurrent_grad" => Some(recurrent_layer(kernel.name, consts, size)),
        _ => None,
    }
}

/// A size that `matmul_texels` takes: up to the next multiples of four where it needs them.
fn whole_texels(consts: &[u32], Size { rows, width, depth }: Size) -> Size {
    let [transpose_a, transpose_b, _, ones] = [0, 1, 2, 3].map(|at| consts[at] as usize);
    Size {
        rows: if transpose_a == 1 { (rows - ones).next_multiple_of(4) + ones } else { rows },
        width: width.next_multiple_of(4),
        depth: if transpose_a == 1 && transpose_b == 0 { depth } else { depth.next_multiple_of(4) },
    }
}

/// The workgroups of a product in a tiling.
type Tiles = fn(&Entry, &[u32]) -> u32;

/// A product; of weight gradients with an odd depth two in one dispatch.
fn product(kernel: &Kernel, consts: &[u32], Size { rows: m, width: n, depth: k }: Size) -> Shape {
    let [transpose_a, bias, ones, epilogue] = [0, 2, 3, 4].map(|at| consts[at]);
    let likelihood = matmul::is_likelihood(epilogue);
    let (tiles, across): (Tiles, usize) = match kernel.name {
        "matmul" => (matmul::tiles, n.div_ceil(consts[7] as usize)),
        "matmul_texels" => (matmul_texels::tiles, n.div_ceil(consts[7] as usize)),
        _ => (|entry, _| matmul_direct::tiles(entry), n.div_ceil(matmul_direct::COLUMNS as usize)),
    };
    let per_example = if likelihood && m.is_multiple_of(2) { 2 } else { 1 };
    let mut first = Entry::alone(m, n, k);
    let mut entries = vec![first];
    let in_a = (m - ones as usize) * k;
    if ones == 1 && k % 2 == 1 {
        // The second product lies before the first in every binding, and comes after it in the grid.
        let m = (m / 2).next_multiple_of(4) + 1;
        entries.push(Entry { first: tiles(&first, &consts[6..]), ..Entry::alone(m, n, k) });
        first = Entry { a: ((m - 1) * k) as u32, b: (k * n) as u32, c: (m * n) as u32, ..first };
        entries[0] = first;
    }
    let workgroups = entries.iter().map(|entry| tiles(entry, &consts[6..])).sum::<u32>();
    let p = matmul::Params { jobs: entries.len() as u32, weight: 1, per_example, log_variance: -0.5 };
    let words = |entry: &Entry| (entry.m * entry.n) as usize;
    let (all_a, all_b, all_c) =
        (in_a + first.a as usize, k * n + bias as usize * n + first.b as usize, entries.iter().map(words).sum());
    let alone = entries.len() == 1;
    let a = if transpose_a == 0 { part(m * k) } else { whole(all_a) };
    let aux = match epilogue {
        matmul::DERIVE => part(m * n),
        matmul::FORMULA => used(consts[5] == 1, part(m * n)),
        _ => used(likelihood, (m / per_example as usize * n, true, Fill::Unit)),
    };
    let c = if alone { part(all_c) } else { whole(all_c) };
    let outer = if alone { (m, per_example as usize) } else { (1, 1) };
    let bindings = [a, whole(all_b), aux, c, used(likelihood, part(m * across))];
    Shape::new(&p, outer, grid(workgroups as usize), bindings).with(&entries)
}

fn optimiser(kernel: &Kernel, consts: &[u32], size: Size) -> Shape {
    let [rule, clip, momentum, means] = [0, 1, 2, 3].map(|at| consts[at]);
    let texels = kernel.name == "update_texels";
    let n = (size.rows * size.width).next_multiple_of(if texels { 4 } else { 1 });
    let (table, terms, metrics) = terms(size, if means == update::NONE { 0 } else { size.depth - 1 });
    let p = update::Params {
        count: n as u32,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-3,
        weight_decay: 0.1,
        batch: size.rows as u32,
        columns: 3,
        terms: table.len() as u32,
    };
    let adam = rule == update::ADAM || rule == update::ADAMW;
    let bindings = [
        part(n),
        used(clip == 1, (1, false, Fill::Unit)),
        terms,
        part(n),
        used(adam || momentum == 1, part(n)),
        // A mean of squares is not negative.
        used(rule != update::SGD, (n, true, Fill::Unit)),
        metrics,
    ];
    let (grid, unit) = if texels { (update_texels::grid(&p), 4) } else { (update::grid(&p), 1) };
    Shape::new(&p, (n, unit), grid, bindings).with(&table)
}

/// Up to two terms of the loss in one buffer, and the metrics: one from samples, and one of partial sums.
fn terms(Size { rows, width, depth }: Size, most: usize) -> (Vec<batch_mean::Entry>, Bound, Bound) {
    let samples = batch_mean::Entry { offset: 0, width: 1, per_example: depth as u32, index: 2 };
    let sums = batch_mean::Entry { offset: (rows * depth) as u32, width: width as u32, per_example: 1, index: 0 };
    let mut table = vec![samples, sums];
    table.truncate(most);
    let used = |binding| used(!table.is_empty(), binding);
    let (terms, metrics) = (used(whole(rows * (depth + width))), used(whole(12)));
    (table, terms, metrics)
}

fn elementwise(name: &str, consts: &[u32], n: usize) -> Shape {
    let count = n as u32;
    match name {
        "activation" => {
            let p = activation::Params { count };
            Shape::new(&p, (n, 1), activation::grid(&p), [part(n), part(n)])
        }
        "activation_grad" => {
            let p = activation_grad::Params { count };
            Shape::new(&p, (n, 1), activation_grad::grid(&p), [part(n), part(n), part(n)])
        }
        "accumulate" => {
            let p = accumulate::Params { count, decay: 0.25 };
            Shape::new(&p, (n, 1), accumulate::grid(&p), [part(n), part(n)])
        }
        _ => {
            let p = combine::Params { count, alpha: 0.5, beta: -2.0 };
            let b = used(consts[0] != combine::SCALED, part(n));
            Shape::new(&p, (n, 1), combine::grid(&p), [part(n), b, part(n)])
        }
    }
}

fn rows_and_columns(name: &str, consts: &[u32], Size { rows: r, width: c, .. }: Size) -> Shape {
    let (rows, width) = (r as u32, c as u32);
    match name {
        "broadcast" => {
            let p = broadcast::Params { rows, width };
            let v = if consts[0] == broadcast::ROWS { part(r) } else { whole(c) };
            Shape::new(&p, (r, 1), broadcast::grid(&p), [v, part(r * c)])
        }
        "sum_rows" => {
            let p = sum_rows::Params { rows, width };
            Shape::new(&p, (r, 1), sum_rows::grid(&p), [part(r * c), part(r)])
        }
        "sum_columns" => {
            let p = sum_columns::Params { rows, width };
            Shape::new(&p, (c, 1), sum_columns::grid(&p), [whole(r * c), part(c)])
        }
        "gather_sparse" => {
            let (examples, window) = (r + 5, width % 2 == 0);
            let stride = 1 + 2 * (c / 2);
            let places = if window { examples as u32 } else { 0 };
            let p = gather::Params { rows, width, window: places, stride: stride as u32 };
            let order = (r + 2, false, Fill::Below(examples));
            let words = if window { examples * stride } else { examples + 1 + examples * (stride - 1) };
            let data = (words, false, Fill::Sparse { examples, width: c, window });
            Shape::new(&p, (r, 1), gather::grid(&p), [order, data, part(r * c)])
        }
        "gather_codes" => {
            let (examples, columns, window) = (r + 5, coded(c), width % 2 == 0);
            let places = if window { examples as u32 } else { 0 };
            let p = gather::Params { rows, width, window: places, stride: columns.len() as u32 };
            let order = (r + 2, false, Fill::Below(examples));
            let data = (examples * columns.len(), false, Fill::Codes);
            let layout = (gather_codes::PLACE * c, false, Fill::Places(c));
            Shape::new(&p, (r, 1), gather::grid(&p), [order, data, layout, part(r * c)])
        }
        _ => {
            // By turns the whole data set, and a window on it.
            let (examples, floats, window) = (r + 5, consts[0] == gather::FLOATS, width % 2 == 0);
            let stride = if window { c.next_multiple_of(4) } else { c };
            let places = if window { examples as u32 } else { 0 };
            let p = gather::Params { rows, width, window: places, stride: stride as u32 };
            let words = examples * stride;
            let data = if floats { (words, Fill::Unit) } else { (words.div_ceil(4), Fill::Bits) };
            let order = (r + 2, false, Fill::Below(examples));
            Shape::new(&p, (r, 1), gather::grid(&p), [order, (data.0, false, data.1), part(r * c)])
        }
    }
}

fn scalars_and_rows(name: &str, consts: &[u32], size: Size) -> Shape {
    let Size { rows, width, depth } = size;
    let (count, all, per_example) = (rows * width, rows * depth, depth as u32);
    match name {
        "squared_norm" => {
            let p = squared_norm::Params { count: count as u32, partials: depth as u32 };
            Shape::new(&p, (depth, 1), squared_norm::grid(&p), [whole(count), part(depth)])
        }
        "clip_factor" => {
            let skip = [0.0, clip_factor::NO_NUMBER, 1.0][rows % 3];
            let p = clip_factor::Params { partials: rows as u32, clip: 0.75, skip, columns: 3, index: 1 };
            let metrics = used(consts[0] == 1, whole(9));
            Shape::new(&p, (1, 1), clip_factor::grid(&p), [(rows, false, Fill::Unit), whole(1), metrics])
        }
        "batch_mean" => {
            let (table, terms, metrics) = terms(size, depth);
            let p = batch_mean::Params { batch: rows as u32, columns: 3, terms: table.len() as u32, filler: 0 };
            Shape::new(&p, (1, 1), batch_mean::grid(&p), [terms, metrics]).with(&table)
        }
        _ => {
            let p = row_weights::Params { rows: all as u32, per_example, weight: 1 };
            Shape::new(&p, (all, depth), row_weights::grid(&p), [part(all)])
        }
    }
}

fn latent(name: &str, consts: &[u32], Size { rows: b, width, depth }: Size) -> Shape {
    let (low, high) = CLAMP;
    let (latent, per_example, all) = (width as u32, depth as u32, b * depth);
    let order = (b + 2, false, Fill::Below(1000));
    let (stats, draws) = (part(2 * b * width), part(all * width));
    match name {
        "sample" => {
            let p = sample::Params { rows: b as u32, latent, per_example, low, high };
            let order = used(consts[0] == 1, order);
            Shape::new(&p, (b, 1), sample::grid(&p), [order, stats, draws, draws, part(b)])
        }
        "posterior_grad" => {
            let p = posterior_grad::Params { rows: b as u32, latent, per_example, weight: 1, low, high };
            let (draws, g) = (used(consts[0] == 1, draws), used(consts[1] == 1 && consts[2] == 0, part(b)));
            Shape::new(&p, (b, 1), posterior_grad::grid(&p), [stats, draws, draws, g, stats])
        }
        "log_prior" => {
            let p = log_prior::Params { rows: all as u32, latent, per_example, weight: 1, low, high };
            let g = used(consts[0] != log_prior::VALUE && consts[1] == 0, part(all));
            let y = part(all * [1, width, 2 * width][consts[0] as usize]);
            Shape::new(&p, (all, depth), log_prior::grid(&p, consts[0]), [draws, part(2 * all * width), g, y])
        }
        "log_ratio" => {
            let p = log_ratio::Params { rows: all as u32, latent, per_example, low, high };
            Shape::new(&p, (all, depth), log_ratio::grid(&p), [stats, draws, draws, part(all)])
        }
        "log_ratio_grad" => {
            let p = log_ratio_grad::Params { rows: b as u32, latent, per_example, low, high };
            Shape::new(&p, (b, 1), log_ratio_grad::grid(&p), [stats, part(all), stats])
        }
        "bound" => {
            // Two groups of an example, of as many samples as there are columns.
            let (groups, rows) = (2 * b, 2 * b * width);
            let p = bound::Params { groups: groups as u32, size: latent, per_example: 2, weight: 1 };
            let g = used(consts[0] == 1 && consts[1] == 0, part(groups));
            let y = part(if consts[0] == 1 { rows } else { groups });
            Shape::new(&p, (b, 1), bound::grid(&p), [part(rows), part(rows), g, y])
        }
        "kl_means" => {
            let p = kl_means::Params { groups: latent, size: 1, batch: b as u32, low, high };
            Shape::new(&p, (width, 1), kl_means::grid(&p), [whole(2 * b * width), part(width)])
        }
        "shaped_kl" => {
            // Capacity has one group of all dimensions.
            let size = if consts[0] == 1 { width } else { 1 };
            let p = shaped_kl::Params {
                rows: b as u32,
                latent,
                size: size as u32,
                // A weight beyond the first four, and a capacity there.
                weight: 6,
                capacity: 5,
                bound: 0.5,
                low,
                high,
            };
            let (means, g) = ((width / size, false, Fill::Unit), used(consts[1] == 1 && consts[2] == 0, part(b)));
            let y = part(if consts[1] == 1 { 2 * b * width } else { b });
            Shape::new(&p, (b, 1), shaped_kl::grid(&p), [stats, means, g, y])
        }
        "log_mean_exp" => {
            let p = log_mean_exp::Params { rows: b as u32, per_example };
            Shape::new(&p, (b, 1), log_mean_exp::grid(&p), [part(all), part(all), (2 * b, true, Fill::Unit)])
        }
        _ => {
            let p = noise::Params { rows: all as u32, width: latent, per_example, layer: 3 };
            Shape::new(&p, (all, depth), noise::grid(&p), [order, draws])
        }
    }
}

fn dropped(Size { rows: b, width, depth }: Size) -> Shape {
    let (rows, order) = (b * depth, (b + 2, false, Fill::Below(1000)));
    let [r, w, per_example] = [rows, width, depth].map(|n| n as u32);
    let p = dropout::Params { rows: r, width: w, per_example, layer: 3, rate: 0.3, factor: 1.25 };
    Shape::new(&p, (rows, depth), dropout::grid(&p), [order, part(rows * width), part(rows * width)])
}

/// What surrounds a latent space, forward and back, in a chain of all kinds of steps.
fn neighbourhood(Size { rows: b, width: z, depth: per_example }: Size) -> Shape {
    let (r, n) = (b * per_example, z.div_ceil(2));
    let mut values = 0;
    let mut tensor = |words: usize| {
        values += words;
        (values - words) as u32
    };
    let [x, stats, dstats, dx] = [b * z, 2 * b * z, 2 * b * z, b * z].map(&mut tensor);
    let [eps, draws, hidden, again, ddraws, kl] = [r * z, r * z, r * n, r * n, r * z, b].map(&mut tensor);
    // Weights [z + 1, 2z], then [z + 1, n].
    let (second, weights) = (((z + 1) * 2 * z) as u32, (z + 1) * (2 * z + n));
    let k = per_example as u32;
    let product = |n: usize, depth: usize, k: u32, consts: [u32; 6], [x, y, aux, w]: [u32; 4]| {
        let alone = Entry::alone(0, n, depth);
        let entry = chain::Entry::product(&alone, k, &consts).expect("a chain computes it");
        chain::Entry { x, y, aux, w, ..entry }
    };
    let (low, high) = CLAMP;
    let sampled = sample::Params { rows: b as u32, latent: z as u32, per_example: k, low, high };
    let gradient = posterior_grad::Params { rows: b as u32, latent: z as u32, per_example: k, weight: 1, low, high };
    let gradient = chain::Entry::posterior_grad(&gradient, &[1, 1, 1]).expect("a chain computes it");
    let (tanh, tanh_derivative) = ([0, 0, 1, 0, matmul::ACTIVATE, 2], [0, 1, 0, 0, matmul::DERIVE, 2]);
    let table = [
        product(2 * z, z, 1, [0, 0, 1, 0, 0, 0], [x, stats, 0, 0]),
        chain::Entry { x: stats, y: draws, aux: eps, w: kl, ..chain::Entry::sample(&sampled, &[1]) },
        product(n, z, k, tanh, [draws, hidden, 0, second]),
        product(z, n, k, tanh_derivative, [hidden, ddraws, draws, second]),
        chain::Entry { x: ddraws, y: dstats, aux: eps, w: stats, ..gradient },
        product(z, 2 * z, 1, [0, 1, 0, 0, 0, 0], [dstats, dx, 0, 0]),
        chain::Entry { x: hidden, y: again, ..chain::Entry::activation(n as u32, k, &[5]) },
    ];
    let group = (chain::ROWS / per_example).max(1) as u32;
    let p = chain::Params { ops: table.len() as u32, examples: b as u32, group, spare: 0 };
    let order = (b + 2, false, Fill::Below(1000));
    Shape::new(&p, (1, 1), chain::grid(&p), [order, whole(weights), whole(values)]).with(&table)
}

/// Images that are higher than wide, with kernels that reach over their edges and leave pixels out, by turns. Their
/// sizes stay small: an extent stands for itself up to a limit and begins again beyond.
fn images(name: &str, consts: &[u32], Size { rows, width, depth }: Size) -> Shape {
    let many = rows > 1000;
    // The last constants of kernels that read texels say that channels are multiples of four.
    let fours = if name.ends_with("_texels") && consts.last() == Some(&1) { 4 } else { 1 };
    // Tiles have up to 128 columns, which blocks of eight share in halves, and stretches of up to 64 products.
    let most = if name.ends_with("_tiles") { [23, 150] } else { [5, 19] };
    let channels = [1 + (depth + width) % most[0], 1 + width % most[1]];
    let [inputs, outputs] = if many { [1, 1] } else { channels }.map(|n| n * fours);
    let padding = if name == "pool" { 0 } else { depth % 2 };
    let [kernel, stride, padding] = match (many, name) {
        (true, "pool") => [1, 1, 0],
        (true, _) => [2, 1, 1],
        (false, _) => [1 + depth % 4, 1 + width % 3, padding],
    };
    let side = |side: usize| (side + 2 * padding).saturating_sub(kernel) / stride + 1;
    let fine = if many { [1, 1] } else { [kernel + depth % 5 + 1, kernel + depth % 3] };
    let coarse = [side(fine[0]), side(fine[1])];
    let rows = rows.min(if many { rows } else { 70 });
    let [fine_words, coarse_words] = [fine, coarse].map(|[height, width]| rows * height * width);
    let up = consts.first() == Some(&1);
    let (source, made) = if up { (coarse_words, fine_words) } else { (fine_words, coarse_words) };
    let taps = kernel * kernel;
    let [[fine_height, fine_width], [coarse_height, coarse_width]] = [fine, coarse].map(|side| side.map(|n| n as u32));
    let [kernel, stride, padding] = [kernel, stride, padding].map(|n| n as u32);
    match name {
        "conv" | "conv_texels" | "conv_tiles" => {
            #[rustfmt::skip]
            let p = conv::Params {
                rows: rows as u32, inputs: inputs as u32, outputs: outputs as u32, fine_height, fine_width,
                coarse_height, coarse_width, kernel, stride, padding,
            };
            let w = whole(taps * inputs * outputs + if consts[1] == 0 { outputs } else { 0 });
            let y = part(made * outputs);
            let bindings = [part(source * inputs), w, used(consts[2] == matmul::DERIVE, y), y];
            let grid = match name {
                "conv" => conv::grid(&p, consts),
                "conv_texels" => conv_texels::grid(&p, consts),
                _ => conv_tiles::grid(&p, consts),
            };
            Shape::new(&p, (rows, 1), grid, bindings)
        }
        "conv_weight" | "conv_weight_texels" | "conv_weight_tiles" => {
            let [of_fine, of_coarse] = if up { [outputs, inputs] } else { [inputs, outputs] };
            // Threads of software drivers finish a bounded number of pixels.
            let splits = if many { 64 } else { 1 + depth % 3 };
            #[rustfmt::skip]
            let p = conv_weight::Params {
                rows: rows as u32, fine: of_fine as u32, coarse: of_coarse as u32, fine_height, fine_width,
                coarse_height, coarse_width, kernel, stride, padding, splits: splits as u32,
            };
            let outer = splits * (taps * inputs + 1);
            let bindings = [whole(source * inputs), whole(made * outputs), part(outer * outputs)];
            let of_part = match name {
                "conv_weight" => conv_weight::groups(&p, consts),
                "conv_weight_texels" => conv_weight_texels::groups(&p, consts),
                _ => conv_weight_tiles::groups(&p, consts),
            };
            Shape::new(&p, (outer, 1), grid(splits * of_part), bindings)
        }
        "depthwise" => {
            let (rows, channels) = (rows as u32, inputs as u32);
            #[rustfmt::skip]
            let p = depthwise::Params {
                rows, channels, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding,
            };
            let bindings = [part(source * inputs), whole((taps + 1) * inputs), part(made * inputs)];
            Shape::new(&p, (rows as usize, 1), depthwise::grid(&p, consts), bindings)
        }
        "depthwise_weight" => {
            let (rows, channels, splits) = (rows as u32, inputs as u32, if many { 64 } else { 1 + depth % 3 });
            #[rustfmt::skip]
            let p = depthwise_weight::Params {
                rows, channels, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding,
                splits: splits as u32,
            };
            let outer = splits * (taps + 1);
            let bindings = [whole(fine_words * inputs), whole(coarse_words * inputs), part(outer * inputs)];
            Shape::new(&p, (outer, 1), depthwise_weight::grid(&p), bindings)
        }
        "pool" => {
            let (rows, channels) = (rows as u32, inputs as u32);
            #[rustfmt::skip]
            let p = pool::Params {
                rows, channels, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, factor: 0.75,
            };
            let bindings = [part(source * inputs), part(made * inputs)];
            Shape::new(&p, (rows as usize, 1), pool::grid(&p, consts), bindings)
        }
        _ => {
            let p = planes::Params { rows: rows as u32, pixels: fine_height * fine_width, channels: inputs as u32 };
            let all = part(fine_words * inputs);
            Shape::new(&p, (rows, 1), planes::grid(&p), [all, all])
        }
    }
}

/// Groups of one number and of more than a workgroup has lanes, channels for one workgroup and for several; as with
/// [`images`] rows stay few unless there are many.
fn groups(name: &str, Size { rows, width, depth }: Size) -> Shape {
    let many = rows > 1000;
    let [groups, size, pixels] = if many { [1, 1, 2] } else { [1 + depth % 3, 1 + width % 19, 1 + width % 67] };
    let (rows, channels) = (rows.min(if many { rows } else { 70 }), groups * size);
    let [r, p, c, g] = [rows, pixels, channels, groups].map(|n| n as u32);
    let x = part(rows * pixels * channels);
    let moments = (rows * groups * 2, true, Fill::Unit);
    if name == "group_moments" {
        let p = group_moments::Params { rows: r, pixels: p, channels: c, groups: g, eps: 0.01 };
        return Shape::new(&p, (rows, 1), group_moments::grid(&p), [x, moments]);
    }
    let p = group_norm::Params { rows: r, pixels: p, channels: c, groups: g };
    let w = whole(2 * channels);
    match name {
        "group_norm" => Shape::new(&p, (rows, 1), group_norm::grid(&p), [x, w, moments, x]),
        "group_norm_grad" => Shape::new(&p, (rows, 1), group_norm_grad::grid(&p), [x, w, moments, x, x]),
        _ => {
            let parts = part(rows * 2 * channels);
            Shape::new(&p, (rows, 1), group_norm_weight::grid(&p), [x, moments, x, parts])
        }
    }
}

fn likelihood(name: &str, consts: &[u32], Size { rows, width: d, depth }: Size) -> Shape {
    let [.., value, grad, uniform] = *consts else { unreachable!("three constants at least") };
    let (r, per_example, weight) = (rows * depth, depth as u32, 1);
    let learned = name == "gaussian" && consts[0] == 1;
    let out = part(if learned { 2 * r * d } else { r * d });
    let x = (rows * d, true, Fill::Unit);
    let g = used(grad == 1 && uniform == 0, part(r));
    let bindings = [out, x, g, used(value == 1, part(r)), used(grad == 1, out)];
    let (rows, width) = (r as u32, d as u32);
    if name == "bernoulli" {
        let p = bernoulli::Params { rows, width, per_example, weight };
        return Shape::new(&p, (r, depth), bernoulli::grid(&p), bindings);
    }
    let (low, high) = CLAMP;
    let p = gaussian::Params { rows, width, per_example, weight, log_variance: -0.5, low, high };
    Shape::new(&p, (r, depth), gaussian::grid(&p), bindings)
}

/// Mixtures of two to four components in one to three channels. Threads of software drivers finish a bounded number of
/// pixels.
fn mixtures(name: &str, consts: &[u32], Size { rows, width, depth }: Size) -> Shape {
    let (components, channels) = (2 + depth % 3, 1 + width % 3);
    let (pixels, rows) = (width.min(300), rows.min(70));
    let (d, o) = (channels * pixels, components * pixels * (1 + 2 * channels));
    let [k, c, p] = [components, channels, pixels].map(|n| n as u32);
    if name == "logistic_mixture_mean" {
        // By turns with scales of their own and with shared ones.
        let o = if depth % 2 == 0 { o } else { components * pixels * (1 + channels) };
        let p = logistic_mixture_mean::Params {
            rows: rows as u32,
            pixels: p,
            channels: c,
            components: k,
            outputs: o as u32,
        };
        return Shape::new(&p, (rows, 1), logistic_mixture_mean::grid(&p), [part(rows * o), part(rows * d)]);
    }
    let [value, grad, uniform] = *consts else { unreachable!("there are three constants") };
    let (r, (low, high)) = (rows * depth, CLAMP);
    let (per_example, weight) = (depth as u32, 1);
    let p = logistic_mixture::Params {
        rows: r as u32,
        pixels: p,
        channels: c,
        components: k,
        per_example,
        weight,
        low,
        high,
    };
    let (out, x) = (part(r * o), (rows * d, true, Fill::Levels));
    let g = used(grad == 1 && uniform == 0, part(r));
    let bindings = [out, x, g, used(value == 1, part(r)), used(grad == 1, out)];
    Shape::new(&p, (r, depth), logistic_mixture::grid(&p), bindings)
}

/// Numbers beside rows, by turns one and several, each for as many places as there are samples.
fn beside(consts: &[u32], Size { rows, width, depth }: Size) -> Shape {
    let count = if width % 2 == 0 { 1 } else { width };
    let tail = count * depth;
    let p = append::Params { rows: rows as u32, width: width as u32, tail: tail as u32, count: count as u32 };
    let (narrow, wide, sums) = (part(rows * width), part(rows * (width + tail)), part(rows * count));
    let bindings = match consts[0] {
        append::APPEND => [narrow, whole(count), wide],
        append::FIRST => [wide, UNUSED, narrow],
        _ => [wide, UNUSED, sums],
    };
    Shape::new(&p, (rows, 1), append::grid(&p), bindings)
}

/// Columns of all kinds by turns that take `places` places together.
fn columns(places: usize) -> Vec<(u32, usize)> {
    let kinds = [
        (table::NORMAL, 1),
        (table::CATEGORICAL, 3),
        (table::BERNOULLI, 1),
        (table::POISSON, 1),
        (table::FIXED, 1),
        (table::NEGATIVE_BINOMIAL, 1),
        (table::ZERO_INFLATED, 1),
        (table::CATEGORICAL, 2),
    ];
    let mut left = places;
    let next = kinds.into_iter().cycle().map_while(|(kind, places)| {
        let places = places.min(left);
        left -= places;
        (places > 0).then_some((kind, places))
    });
    next.collect()
}

/// The categories of stored numbers that take so many places, 0 of what is no category.
fn coded(places: usize) -> Vec<u32> {
    let (mut left, kinds) = (places as u32, [0, 3, 2, 0, 1]);
    let next = kinds.into_iter().cycle().map_while(|categories: u32| {
        let places = categories.max(1).min(left);
        left -= places;
        (places > 0).then_some(places.min(categories))
    });
    next.collect()
}

/// The numbers that a decoder puts out for columns of `places` places.
fn outputs(places: usize) -> usize {
    let beside = |kind: u32| usize::from(table::has_second(kind)) + usize::from(table::has_third(kind));
    places + columns(places).iter().map(|(kind, _)| beside(*kind)).sum::<usize>()
}

fn columns_likelihood(consts: &[u32], Size { rows, width: d, depth }: Size) -> Shape {
    let [value, grad, uniform] = *consts else { unreachable!("there are three constants") };
    let (r, (low, high)) = (rows * depth, CLAMP);
    let p = table::Params {
        rows: r as u32,
        width: d as u32,
        outputs: outputs(d) as u32,
        columns: columns(d).len() as u32,
        per_example: depth as u32,
        weight: 1,
        low,
        high,
        rate_low: low,
        rate_high: high,
        dispersion_low: low,
        dispersion_high: high,
        fixed_log_variance: -0.5,
    };
    let out = part(r * outputs(d));
    let (x, layout) = ((rows * d, true, Fill::Counts), (table::COLUMN * columns(d).len(), false, Fill::Columns(d)));
    let g = used(grad == 1 && uniform == 0, part(r));
    let bindings = [out, x, layout, g, used(value == 1, part(r)), used(grad == 1, out)];
    Shape::new(&p, (r, depth), table::grid(&p), bindings)
}

fn with_class(consts: &[u32], Size { rows, width, depth }: Size) -> Shape {
    let (r, classes, remove) = (rows * depth, 1 + width % 11, consts[0] == 1);
    let p =
        with_class::Params { rows: r as u32, width: width as u32, classes: classes as u32, per_example: depth as u32 };
    let (narrow, wide) = (part(r * width), part(r * (width + classes)));
    let of = used(!remove, (rows, true, Fill::Classes(classes)));
    let [x, y] = if remove { [wide, narrow] } else { [narrow, wide] };
    Shape::new(&p, (r, depth), with_class::grid(&p, remove), [x, of, y])
}

/// Products of a few small matrices.
fn products_of_each(consts: &[u32], Size { rows, width, depth }: Size) -> Shape {
    let (batch, m, n, k) = if rows > 1000 { (rows, 1, 1, 1) } else { (1 + depth % 5, rows.min(70), width, depth) };
    let p = batched_product::Params { batch: batch as u32, m: m as u32, n: n as u32, k: k as u32 };
    debug_assert_eq!(consts.len(), 2);
    let bindings = [part(batch * m * k), part(batch * k * n), part(batch * m * n)];
    Shape::new(&p, (batch, 1), batched_product::grid(&p), bindings)
}

/// Rows taken by an index, or added up by one, of which one names no row.
fn rows_by_index(consts: &[u32], Size { rows, width, depth }: Size) -> Shape {
    let add = consts[0] == 1;
    let count = if add { rows.min(300) + depth } else { depth + 3 };
    let p = take_rows::Params { rows: rows as u32, width: width as u32, count: count as u32 };
    let index = if add { (count, false, Fill::Classes(rows + 1)) } else { (rows, true, Fill::Classes(count + 1)) };
    Shape::new(&p, (rows, 1), take_rows::grid(&p), [whole(count * width), index, part(rows * width)])
}

/// A layer of up to 257 units over a few steps, and its way back.
fn recurrent_layer(name: &str, consts: &[u32], Size { rows, width, depth }: Size) -> Shape {
    let cell = if consts[consts.len() - 2] == 0 { Cell::Gru } else { Cell::Lstm };
    let (gates, states) = (cell.gates(), cell.states());
    let (steps, wide) = (1 + depth % 6, (width + 1) * gates * width);
    let p = recurrent::Params { rows: rows as u32, steps: steps as u32, width: width as u32 };
    let (w, all) = ((wide, false, Fill::Weights(width)), rows * steps * width);
    let kept = (recurrent::kept(cell) * all, true, Fill::Unit);
    let (given, begun, made) = (part(gates * all), part(states * rows * width), part(states * all));
    if name == "recurrent_grad" {
        let bindings = [made, part(all), kept, w, given, used(cell == Cell::Gru, given), begun];
        return Shape::new(&p, (rows, 1), recurrent_grad::grid(&p), bindings);
    }
    let keep = consts[0] == 1;
    let bindings = [given, begun, w, made, used(keep, part(all)), used(keep, kept)];
    Shape::new(&p, (rows, 1), recurrent::grid(&p), bindings)
}

fn columns_values(consts: &[u32], Size { rows, width: d, .. }: Size) -> Shape {
    let encoder = consts[0] == table_values::ENCODER;
    let (wide, fill) = if encoder { (d, Fill::Counts) } else { (outputs(d), Fill::Values) };
    let (rate_low, rate_high) = CLAMP;
    let p = table_values::Params {
        rows: rows as u32,
        width: wide as u32,
        columns: columns(d).len() as u32,
        rate_low,
        rate_high,
    };
    let layout = (table::COLUMN * columns(d).len(), false, Fill::Columns(d));
    Shape::new(&p, (rows, 1), table_values::grid(&p), [(rows * wide, true, fill), layout, part(rows * wide)])
}
