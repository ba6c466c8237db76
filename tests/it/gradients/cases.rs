//! Small graphs to differentiate: every rule by itself, and where several meet.

use elbo::config::{self, Activation};
use elbo::graph::columns::{Column, Columns, Distribution};
use elbo::graph::mixture::Mixture;
use elbo::graph::op::{KlPenalty, Variance};
use elbo::graph::{Clamp, ConvGeometry, Graph, Id, Op};
use elbo::model::pairs;
use elbo::rng::{Philox, Stream};
use elbo::shape::Shape;
use std::sync::Arc;

/// B, examples of a batch.
pub const BATCH: usize = 3;
/// R, rows: K = 2 for each example.
pub const ROWS: usize = 2 * BATCH;
/// Log-variances are held to this range; [`draw`] gives values on both sides of both ends.
pub const CLAMP: Clamp = Clamp { low: -1.0, high: 1.0 };

const ACTIVATIONS: [Activation; 8] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluErf,
    Activation::Softplus,
];

/// A small graph, the values of its inputs, and which of them it is differentiated for.
pub struct Case {
    pub name: String,
    pub graph: Graph,
    pub inputs: Vec<(Id, Vec<f32>)>,
    pub variables: Vec<usize>,
    /// What the loss is made from.
    pub out: Vec<Id>,
}

impl Case {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), graph: Graph::new(BATCH), inputs: vec![], variables: vec![], out: vec![] }
    }

    pub fn add(&mut self, op: Op) -> Id {
        let name = &self.name;
        self.graph.add(op).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// An input that nothing is differentiated for. Its name is unique, since an executor shares buffers by name.
    pub fn constant(&mut self, extents: &[usize]) -> Id {
        let (at, shape) = (self.inputs.len(), Shape::new(extents));
        let id = self.add(Op::Input { name: format!("{}, input {at}", self.name), shape });
        self.inputs.push((id, draw(at as u32, shape.count())));
        id
    }

    /// An input that the loss is differentiated for.
    pub fn variable(&mut self, extents: &[usize]) -> Id {
        self.variables.push(self.inputs.len());
        self.constant(extents)
    }

    /// Makes the last input examples of [`columns`]: whole numbers where counts stand, and missing values.
    pub fn as_table(&mut self, x: Id) {
        let (last, values) = self.inputs.last_mut().expect("there is an input");
        assert_eq!(*last, x);
        for row in values.chunks_exact_mut(6) {
            row[5] = (8.0 * row[5].abs()).round();
        }
        // One value of the first example, and the category of the last.
        values[1] = f32::NAN;
        values[6 * (BATCH - 1) + 3] = f32::NAN;
    }

    /// Makes the last input pictures of 256 levels, the ends among them, of which values are missing.
    pub fn as_levels(&mut self, x: Id) {
        let (last, values) = self.inputs.last_mut().expect("there is an input");
        assert_eq!(*last, x);
        for (at, value) in values.iter_mut().enumerate() {
            *value = (255.0 * value.abs()).round().min(255.0) / 255.0;
            if at % 5 == 3 {
                *value = [0.0, f32::NAN][at % 2];
            }
        }
    }

    /// Makes the last input whole numbers.
    pub fn as_counts(&mut self, x: Id) {
        let (last, values) = self.inputs.last_mut().expect("there is an input");
        assert_eq!(*last, x);
        for value in values.iter_mut() {
            *value = (7.0 * value.abs() - 2.0).round();
        }
    }

    pub fn variable_ids(&self) -> Vec<Id> {
        self.variables.iter().map(|&at| self.inputs[at].0).collect()
    }
}

/// Numbers of both signs with magnitudes in 0.25…0.75 and 1.25…1.75: away from 0 and ±1, where rectifiers and clamps
/// have their kinks, and on all sides of them.
pub fn draw(which: u32, count: usize) -> Vec<f32> {
    let mut rng = Philox::new(7, Stream::Choice, which, count as u32);
    let mut value = || {
        let magnitude = 0.25 + 0.5 * rng.uniform() + if rng.uniform() < 0.5 { 1.0 } else { 0.0 };
        if rng.uniform() < 0.5 { -magnitude } else { magnitude }
    };
    (0..count).map(|_| value()).collect()
}

/// One column of each kind, in six places: the category has two. The decoder puts out seven numbers.
pub fn columns() -> Arc<Columns> {
    use Distribution::{Bernoulli, Categorical, FixedNormal, Normal, Poisson};
    let kinds = [(Normal, 1), (Bernoulli, 1), (Categorical, 2), (FixedNormal, 1), (Poisson, 1)];
    let all = kinds.map(|(distribution, places)| Column { distribution, places }).to_vec();
    Arc::new(Columns { all, clamp: CLAMP, fixed_log_variance: -0.7 })
}

/// Every rule by itself, and where several rules meet or one kernel serves several operations.
pub fn cases() -> Vec<Case> {
    use Op::*;
    let mut all = Vec::new();
    let mut case = |name: &str, build: &dyn Fn(&mut Case) -> Vec<Id>| {
        let mut case = Case::new(name);
        case.out = build(&mut case);
        all.push(case);
    };
    case("affine", &|c| {
        let (x, w) = (c.variable(&[ROWS, 4]), c.variable(&[5, 2]));
        vec![c.add(Affine { x, w })]
    });
    // With pixels that no tap reaches, taps that reach beyond the edge, and a pixel added below and to the right.
    let windows = [
        ConvGeometry::down([4, 3], 2, 2, 1),
        ConvGeometry::down([3, 4], 3, 1, 1),
        ConvGeometry::down([3, 2], 1, 1, 0),
        ConvGeometry::up([3, 2], 3, 1, 1, 0),
        ConvGeometry::up([2, 3], 3, 2, 1, 1),
        ConvGeometry::up([2, 1], 2, 3, 0, 0),
    ];
    for window in windows.into_iter().flatten() {
        let (pixels, parameters) = (window.source().iter().product::<usize>(), window.taps() * 2 + 1);
        case(&format!("convolution, {window:?}"), &|c| {
            let (x, w) = (c.variable(&[BATCH, 2 * pixels]), c.variable(&[parameters, 3]));
            vec![c.add(Conv { x, w, window })]
        });
        case(&format!("convolution of {ROWS} rows between two non-linearities, {window:?}"), &|c| {
            let (x, w) = (c.variable(&[ROWS, 2 * pixels]), c.variable(&[parameters, 1]));
            let scaled = c.add(Scale { x: w, factor: 0.25 });
            let before = c.add(Activation { x, kind: config::Activation::Tanh });
            let y = c.add(Conv { x: before, w: scaled, window });
            vec![c.add(Activation { x: y, kind: config::Activation::Sigmoid })]
        });
    }
    // With pixels that no tap reaches, and images smaller than the kernel reaches beyond.
    for window in [ConvGeometry::down([4, 3], 3, 2, 1), ConvGeometry::down([2, 3], 5, 1, 2)].into_iter().flatten() {
        case(&format!("a convolution of each channel, {window:?}"), &|c| {
            let pixels = window.source().iter().product::<usize>();
            let (x, w) = (c.variable(&[ROWS, 2 * pixels]), c.variable(&[window.taps() + 1, 2]));
            vec![c.add(Depthwise { x, w, window })]
        });
    }
    case("two convolutions after each other", &|c| {
        let [first, second] =
            [ConvGeometry::down([4, 4], 2, 2, 0), ConvGeometry::up([2, 2], 3, 1, 1, 0)].map(Option::unwrap);
        let (x, v, w) = (c.variable(&[BATCH, 32]), c.variable(&[9, 3]), c.variable(&[28, 1]));
        let h = c.add(Conv { x, w: v, window: first });
        let h = c.add(Activation { x: h, kind: config::Activation::Tanh });
        vec![c.add(Conv { x: h, w, window: second })]
    });
    // With pixels that no window sees, windows that overlap, pixels between windows, and repeated ones.
    let windows = [
        ConvGeometry::down([4, 5], 2, 2, 0),
        ConvGeometry::down([5, 4], 3, 1, 0),
        ConvGeometry::down([3, 4], 1, 2, 0),
        ConvGeometry::up([2, 1], 3, 3, 0, 0),
    ];
    for window in windows.into_iter().flatten() {
        case(&format!("pixels, {window:?}"), &|c| {
            let x = c.variable(&[ROWS, 2 * window.source().iter().product::<usize>()]);
            vec![c.add(Pool { x, window, factor: 0.3 })]
        });
    }
    for (pixels, channels, groups) in [(3, 4, 2), (1, 5, 1), (4, 3, 3)] {
        case(&format!("group norm of {pixels} pixels, {channels} channels in {groups} groups"), &|c| {
            let (x, w) = (c.variable(&[ROWS, pixels * channels]), c.variable(&[2, channels]));
            let moments = c.add(GroupMoments { x, channels, groups });
            vec![c.add(GroupNorm { x, w, moments })]
        });
    }
    case("dropout, twice", &|c| {
        let x = c.variable(&[ROWS, 7]);
        let once = c.add(Dropout { x, rate: 0.3, layer: 0 });
        vec![c.add(Dropout { x: once, rate: 0.5, layer: 1 })]
    });
    for to_pixels in [true, false] {
        case(&format!("planes, to pixels: {to_pixels}"), &|c| {
            let x = c.variable(&[ROWS, 12]);
            vec![c.add(NchwNhwc { x, channels: 3, to_pixels })]
        });
    }
    // The class of an example counts for all of its rows.
    case("rows with the class of their example", &|c| {
        let (x, w) = (c.variable(&[ROWS, 3]), c.variable(&[7, 2]));
        let class = c.constant(&[BATCH]);
        c.inputs.last_mut().expect("the classes were just put there").1 = vec![2.0, 0.0, 1.0];
        let x = c.add(ConcatOneHot { x, class, classes: 3 });
        vec![c.add(Affine { x, w })]
    });
    for kind in ACTIVATIONS {
        case(&format!("{kind:?}"), &|c| {
            let x = c.variable(&[BATCH, 5]);
            vec![c.add(Activation { x, kind })]
        });
        case(&format!("two layers with {kind:?}"), &|c| {
            let (x, first, second) = (c.variable(&[BATCH, 2]), c.variable(&[3, 4]), c.variable(&[5, 2]));
            // The bias alone decides on which side of its kink a rectifier is.
            let factor = if kind == config::Activation::Relu { 1.0 / 64.0 } else { 1.0 };
            let x = c.add(Scale { x, factor });
            let before = c.add(Affine { x, w: first });
            let h = c.add(Activation { x: before, kind });
            vec![c.add(Affine { x: h, w: second })]
        });
    }
    for rows in [BATCH, ROWS] {
        case(&format!("sample of {rows} rows"), &|c| {
            let (stats, eps) = (c.variable(&[BATCH, 6]), c.constant(&[rows, 3]));
            vec![c.add(Sample { stats, eps, clamp: CLAMP })]
        });
        case(&format!("sample of {rows} rows, and KL"), &|c| {
            let (stats, eps) = (c.variable(&[BATCH, 6]), c.constant(&[rows, 3]));
            vec![c.add(Sample { stats, eps, clamp: CLAMP }), c.add(Kl { stats, clamp: CLAMP })]
        });
        case(&format!("Bernoulli of {rows} rows"), &|c| {
            let (logits, x) = (c.variable(&[rows, 4]), c.constant(&[BATCH, 4]));
            vec![c.add(Bernoulli { logits, x })]
        });
        case(&format!("table of {rows} rows"), &|c| {
            let (out, x) = (c.variable(&[rows, 7]), c.constant(&[BATCH, 6]));
            c.as_table(x);
            vec![c.add(Table { out, x, columns: columns() })]
        });
        case(&format!("negative binomial of {rows} rows, dispersions beside them"), &|c| {
            let (out, w, x) = (c.variable(&[rows, 4]), c.variable(&[4]), c.constant(&[BATCH, 4]));
            c.as_counts(x);
            let column = Column { distribution: Distribution::NegativeBinomial, places: 1 };
            let columns = Columns { all: vec![column; 4], clamp: CLAMP, fixed_log_variance: 0.0 };
            let out = c.add(ConcatBroadcast { x: out, w, tail: 4 });
            vec![c.add(Table { out, x, columns: Arc::new(columns) })]
        });
        case(&format!("zero-inflated counts of {rows} rows, dispersions beside them"), &|c| {
            let (out, w, x) = (c.variable(&[rows, 8]), c.variable(&[4]), c.constant(&[BATCH, 4]));
            c.as_counts(x);
            let column = Column { distribution: Distribution::ZeroInflated, places: 1 };
            let columns = Columns { all: vec![column; 4], clamp: CLAMP, fixed_log_variance: 0.0 };
            let out = c.add(ConcatBroadcast { x: out, w, tail: 4 });
            vec![c.add(Table { out, x, columns: Arc::new(columns) })]
        });
        case(&format!("mixture of logistics of {rows} rows"), &|c| {
            let mixture = Mixture { components: 2, channels: 3, shared_scales: false };
            let (out, x) = (c.variable(&[rows, mixture.outputs(12)]), c.constant(&[BATCH, 12]));
            c.as_levels(x);
            // Scales of a few bins would bend too much for differences.
            let out = c.add(Scale { x: out, factor: 0.25 });
            vec![c.add(LogisticMixture { out, x, mixture })]
        });
        for count in [1, 3] {
            case(&format!("{count} numbers beside {rows} rows"), &|c| {
                let (x, w) = (c.variable(&[rows, 2]), c.variable(&[count]));
                vec![c.add(ConcatBroadcast { x, w, tail: 6 })]
            });
        }
        for variance in [Variance::Fixed(-0.7), Variance::Learned(CLAMP)] {
            case(&format!("Gaussian of {rows} rows, {variance:?}"), &|c| {
                let halves = if matches!(variance, Variance::Learned(_)) { 2 } else { 1 };
                let (out, x) = (c.variable(&[rows, 4 * halves]), c.constant(&[BATCH, 4]));
                vec![c.add(Gaussian { out, x, variance })]
            });
        }
    }
    case("KL", &|c| {
        let stats = c.variable(&[BATCH, 6]);
        vec![c.add(Kl { stats, clamp: CLAMP })]
    });
    for (name, shape) in [
        ("free bits of each dimension", KlPenalty::FreeBits { bound: 0.4, size: 1 }),
        ("free bits of groups", KlPenalty::FreeBits { bound: 1.0, size: 3 }),
        ("capacity", KlPenalty::Capacity { size: 6, weight: 2 }),
    ] {
        case(name, &|c| {
            let stats = c.variable(&[BATCH, 12]);
            let means = c.add(KlMeans { stats, clamp: CLAMP, size: shape.size() });
            vec![c.add(ShapedKl { stats, means, clamp: CLAMP, shape })]
        });
    }
    case("total correlation", &|c| {
        let (stats, z) = (c.variable(&[BATCH, 4]), c.variable(&[BATCH, 2]));
        vec![pairs::total_correlation(&mut c.graph, stats, z, CLAMP).expect("shapes meet")]
    });
    case("maximum mean discrepancy", &|c| {
        let (z, prior) = (c.variable(&[BATCH, 3]), c.constant(&[ROWS, 3]));
        vec![pairs::mmd(&mut c.graph, z, prior).expect("shapes meet")]
    });
    case("covariance of the means", &|c| {
        let stats = c.variable(&[BATCH, 6]);
        pairs::moments(&mut c.graph, stats, 3, None).expect("shapes meet").to_vec()
    });
    case("covariance of latents", &|c| {
        let stats = c.variable(&[BATCH, 6]);
        pairs::moments(&mut c.graph, stats, 3, Some(CLAMP)).expect("shapes meet").to_vec()
    });
    case("log ratio of given samples", &|c| {
        let (stats, eps, z) = (c.variable(&[BATCH, 4]), c.constant(&[ROWS, 2]), c.variable(&[ROWS, 2]));
        vec![c.add(LogRatio { stats, eps, z, clamp: CLAMP })]
    });
    case("log ratio to a prior that is given", &|c| {
        let (z, prior) = (c.variable(&[ROWS, 2]), c.variable(&[ROWS, 4]));
        vec![c.add(LogPrior { z, prior, clamp: CLAMP })]
    });
    // Statistics of every row, as those above the lowest stochastic layer are.
    case("samples, KL and log ratio of statistics of rows", &|c| {
        let (stats, eps) = (c.variable(&[ROWS, 6]), c.constant(&[ROWS, 3]));
        let z = c.add(Sample { stats, eps, clamp: CLAMP });
        let (rate, ratio) = (c.add(Kl { stats, clamp: CLAMP }), c.add(LogRatio { stats, eps, z, clamp: CLAMP }));
        vec![rate, c.add(Add { a: rate, b: ratio })]
    });
    for size in [1, 2] {
        case(&format!("bound of groups of {size}"), &|c| {
            let (distortion, ratio) = (c.variable(&[ROWS]), c.variable(&[ROWS]));
            vec![c.add(Bound { distortion, ratio, size })]
        });
    }
    case("bound of samples of a posterior through a likelihood", &|c| {
        let (stats, eps, x) = (c.variable(&[BATCH, 6]), c.constant(&[ROWS, 3]), c.constant(&[BATCH, 3]));
        let z = c.add(Sample { stats, eps, clamp: CLAMP });
        let distortion = c.add(Bernoulli { logits: z, x });
        let ratio = c.add(LogRatio { stats, eps, z, clamp: CLAMP });
        vec![c.add(Bound { distortion, ratio, size: 2 })]
    });
    case("sample and KL that are clamped differently", &|c| {
        let (stats, eps) = (c.variable(&[BATCH, 6]), c.constant(&[BATCH, 3]));
        let wide = Clamp { low: -9.0, high: 9.0 };
        vec![c.add(Sample { stats, eps, clamp: wide }), c.add(Kl { stats, clamp: CLAMP })]
    });
    case("two samples of one posterior, and KL", &|c| {
        let (stats, first, second) = (c.variable(&[BATCH, 4]), c.constant(&[BATCH, 2]), c.constant(&[ROWS, 2]));
        let [first, second] = [first, second].map(|eps| c.add(Sample { stats, eps, clamp: CLAMP }));
        vec![first, second, c.add(Kl { stats, clamp: CLAMP })]
    });
    case("sum", &|c| {
        let (a, b) = (c.variable(&[BATCH, 5]), c.variable(&[BATCH, 5]));
        vec![c.add(Add { a, b })]
    });
    case("product", &|c| {
        let (a, b) = (c.variable(&[BATCH, 5]), c.variable(&[BATCH, 5]));
        vec![c.add(Multiply { a, b })]
    });
    case("product with a constant", &|c| {
        let (a, b) = (c.constant(&[4, 5]), c.variable(&[4, 5]));
        vec![c.add(Multiply { a, b })]
    });
    case("cube, twice", &|c| {
        let x = c.variable(&[7]);
        let square = c.add(Multiply { a: x, b: x });
        let cube = c.add(Multiply { a: x, b: square });
        vec![c.add(Add { a: cube, b: cube })]
    });
    case("scale", &|c| {
        let x = c.variable(&[4, 2]);
        vec![c.add(Scale { x, factor: -1.5 })]
    });
    case("sums of rows", &|c| {
        let x = c.variable(&[ROWS, 3]);
        vec![c.add(SumRows { x })]
    });
    case("sums of columns", &|c| {
        let x = c.variable(&[ROWS, 3]);
        vec![c.add(SumColumns { x })]
    });
    case("rows filled", &|c| {
        let v = c.variable(&[4]);
        vec![c.add(BroadcastRows { v, columns: 3 })]
    });
    case("rows repeated", &|c| {
        let v = c.variable(&[4]);
        vec![c.add(BroadcastColumns { v, rows: ROWS })]
    });
    case("rows and columns times their sums", &|c| {
        let x = c.variable(&[BATCH, 4]);
        let (rows, columns) = (c.add(SumRows { x }), c.add(SumColumns { x }));
        let rows = c.add(BroadcastRows { v: rows, columns: 4 });
        let columns = c.add(BroadcastColumns { v: columns, rows: BATCH });
        let left = c.add(Multiply { a: rows, b: x });
        vec![c.add(Multiply { a: left, b: columns })]
    });
    all
}

/// Whether what comes out can be a term of a loss: one number for each row.
pub fn per_row(case: &Case) -> bool {
    case.out.iter().all(|&out| {
        let shape = case.graph.shape(out);
        shape.extents().len() == 1 && shape.rows() >= BATCH && shape.rows().is_multiple_of(BATCH)
    })
}

/// Losses that use row weights in each of their forms: computed by the kernel that needs them, or as a tensor.
pub fn term_cases() -> Vec<Case> {
    use Op::*;
    let mut all: Vec<Case> = cases().into_iter().filter(per_row).collect();
    let mut case = |name: &str, build: &dyn Fn(&mut Case) -> Vec<Id>| {
        let mut case = Case::new(name);
        case.out = build(&mut case);
        all.push(case);
    };
    case("an input by itself", &|c| vec![c.variable(&[ROWS])]);
    case("the same rows twice", &|c| {
        let (logits, x) = (c.variable(&[ROWS, 4]), c.constant(&[BATCH, 4]));
        let rows = c.add(Bernoulli { logits, x });
        vec![rows, rows]
    });
    case("the same likelihood twice", &|c| {
        let (logits, x) = (c.variable(&[ROWS, 4]), c.constant(&[BATCH, 4]));
        vec![c.add(Bernoulli { logits, x }), c.add(Bernoulli { logits, x })]
    });
    case("a likelihood, its KL, and both together", &|c| {
        let (stats, eps, x) = (c.variable(&[BATCH, 6]), c.constant(&[BATCH, 3]), c.constant(&[BATCH, 3]));
        let logits = c.add(Sample { stats, eps, clamp: CLAMP });
        let (distortion, rate) = (c.add(Bernoulli { logits, x }), c.add(Kl { stats, clamp: CLAMP }));
        vec![distortion, rate, c.add(Add { a: distortion, b: rate })]
    });
    all
}
