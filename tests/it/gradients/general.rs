//! Cases of the general operations: every function of a formula, every way in which tensors repeat.

use super::cases::{BATCH, Case, ROWS};
use elbo::config::Cell;
use elbo::expr::Expr;
use elbo::graph::{Axis, Graph, Id, Op, Reduction};

/// One function of two numbers, by a name.
type Function = (&'static str, fn(Expr, Expr) -> Expr);

const FUNCTIONS: &[Function] = &[
    ("sum", |a, b| a + b),
    ("difference, negated", |a, b| -(a - b)),
    ("product", |a, b| a * b),
    ("quotient", |a, b| a / (b.abs() + 2.0)),
    ("the larger", |a, b| a.max(b * 0.0625)),
    ("the smaller", |a, b| (a * 2.0).min(b * 0.0625)),
    ("what is compared decides", |a, b| a.clone().less(b.clone() * 0.0625).select(a.clone() * b.clone(), b - a)),
    ("equality decides", |a, b| a.clone().equal(b.clone()).select(a.clone(), a * b)),
    ("exp and log", |a, b| (a * 0.5).exp() + (b.abs() + 1.0).ln()),
    ("log1p and root", |a, b| a.abs().ln_1p() * (b.abs() + 1.0).sqrt()),
    ("tanh, sigmoid and softplus", |a, b| a.clone().tanh() * b.clone().sigmoid() + (a - b).softplus()),
    ("clamped", |a, b| a.clamp(-1.0, 1.0) * b),
    ("place and count", |a, b| a * Expr::row(2) + b * Expr::column() / Expr::count()),
];

/// What families of models are written with.
type Pattern = (&'static str, fn(&mut Case) -> Vec<Id>);

const PATTERNS: &[Pattern] = &[
    ("the density of a mixture", |c| {
        let (k, z) = (5, c.variable(&[BATCH, 2]));
        let (mean, log_variance, weight) = (c.variable(&[k, 2]), c.variable(&[k, 2]), c.variable(&[k]));
        vec![mixture(&mut c.graph, z, [mean, log_variance], weight)]
    }),
    ("a product with a masked matrix", |c| {
        let (x, w) = (c.variable(&[BATCH, 4]), c.variable(&[5, 4]));
        let mask =
            |w: Expr| Expr::row(5).less(Expr::column()).select(w.clone(), Expr::row(5).equal(4.0).select(w, 0.0));
        let masked = c.graph.map([w], |[w]| mask(w)).expect("any tensor");
        vec![c.add(Op::Affine { x, w: masked })]
    }),
    ("a coupling and a reversal", |c| {
        let (x, w) = (c.variable(&[BATCH, 4]), c.variable(&[3, 2]));
        let [kept, changed] = [0, 2].map(|start| c.graph.columns(x, start, 2).expect("there are columns"));
        let shift = c.add(Op::Affine { x: kept, w });
        let changed = c.graph.map([changed, shift], |[x, s]| x * s.clone().tanh().exp() + s).expect("alike");
        let all = c.graph.concatenate(&[kept, changed]).expect("as many rows");
        let all = c.graph.reverse(all).expect("any tensor");
        vec![c.graph.map([all], |[x]| x.squared() * (Expr::column() + 1.0)).expect("any tensor")]
    }),
    ("softmax of groups of columns", |c| {
        let x = c.variable(&[BATCH, 6]);
        let groups = c.graph.reshape(x, &[BATCH * 2, 3]).expect("as many numbers");
        let all = softmax(&mut c.graph, groups);
        vec![c.graph.reshape(all, &[BATCH, 6]).expect("as many numbers")]
    }),
    ("attention with a mask", |c| {
        let [q, k, v] = [0; 3].map(|_| c.variable(&[BATCH * 4, 3]));
        let scores = c.add(Op::Product { a: q, b: k, batch: BATCH, transposed: [false, true] });
        let seen = |score: Expr| Expr::column().at_most(Expr::row(4)).select(score * 0.577, -1e9);
        let scores = c.graph.map([scores], |[score]| seen(score)).expect("any tensor");
        let weights = softmax(&mut c.graph, scores);
        vec![c.add(Op::Product { a: weights, b: v, batch: BATCH, transposed: [false, false] })]
    }),
];

/// log Σₖ wₖ N(z; μₖ, σₖ²) up to a constant, [B, Z] and K rows of parameters to \[B\]: pairs of all rows, whose terms are never
/// stored.
fn mixture(graph: &mut Graph, z: Id, parameters: [Id; 2], weight: Id) -> Id {
    let (batch, k) = (graph.shape(z).rows(), graph.shape(weight).count());
    let [mean, log_variance] = parameters.map(|x| graph.tile(x, batch).expect("any tensor"));
    let pair = |[z, mean, lv]: [Expr; 3]| -0.5 * ((z - mean).squared() * (-lv.clone()).exp() + lv);
    let pairs = graph.reduce_map(Reduction::Sum, Axis::Columns, [z, mean, log_variance], pair).expect("they repeat");
    let pairs = graph.reshape(pairs, &[batch, k]).expect("as many numbers");
    let weight = graph.as_row(weight).expect("any tensor");
    graph.reduce_map(Reduction::LogSumExp, Axis::Columns, [pairs, weight], |[p, w]| p + w).expect("they repeat")
}

fn softmax(graph: &mut Graph, x: Id) -> Id {
    let all = graph.reduce(Reduction::LogSumExp, Axis::Columns, x).expect("any tensor");
    graph.map([x, all], |[x, all]| (x - all).exp()).expect("rows repeat")
}

/// A formula of twelve tensors, by a name.
type Large = (&'static str, fn([Expr; 12]) -> Expr);

/// Formulas of twelve tensors: a sum, one in which each is read in two places, one of several hundred instructions.
const LARGE: &[Large] = &[
    ("a sum", |all| sum(all.map(|x| (x * 0.5).tanh()).to_vec())),
    ("a ring", |all| sum((0..12).map(|k| (all[k].clone() * all[(k + 5) % 12].clone() * 0.5).sigmoid()).collect())),
    ("long", |all| {
        let round = |x: Expr, k: usize| x.clone() + (all[k % 12].clone() * (k as f32 * 0.01) - x * 0.1).tanh() * 0.1;
        (0..90).fold(all[0].clone(), round)
    }),
];

fn sum(all: Vec<Expr>) -> Expr {
    all.into_iter().reduce(|sum, x| sum + x).expect("there are some")
}

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut case = |name: &str, build: &dyn Fn(&mut Case) -> Vec<Id>| {
        let mut case = Case::new(name);
        case.out = build(&mut case);
        all.push(case);
    };
    for &(name, f) in FUNCTIONS {
        // Numbers for each place, for each row, for each column, for neighbouring rows, and one for all.
        let all: &[&[usize]] = &[&[ROWS, 4], &[ROWS], &[1, 4], &[BATCH, 4], &[BATCH], &[1]];
        for extents in if name == "product" { all } else { &all[..1] } {
            case(&format!("formula: {name}, of [{ROWS}, 4] and {extents:?}"), &|c| {
                let (a, b) = (c.variable(&[ROWS, 4]), c.variable(extents));
                vec![c.graph.map([a, b], |[a, b]| f(a, b)).expect("they repeat")]
            });
        }
    }
    for (start, width) in [(1, 2), (-1, 3), (2, 5), (-2, 9), (0, 2)] {
        case(&format!("formula: columns {start} to {}", start + width as i32), &|c| {
            let x = c.variable(&[ROWS, 4]);
            vec![c.graph.columns(x, start, width).expect("there are columns")]
        });
    }
    case("formula: tensors side by side", &|c| {
        let parts = [c.variable(&[ROWS, 2]), c.variable(&[ROWS]), c.variable(&[ROWS, 3])];
        vec![c.graph.concatenate(&parts).expect("they have as many rows")]
    });
    case("formula: rows again and again", &|c| {
        let (x, w) = (c.variable(&[2, 3]), c.variable(&[ROWS, 3]));
        let tiled = c.graph.tile(x, ROWS / 2).expect("any tensor");
        vec![c.graph.map([tiled, w], |[x, w]| x * w).expect("they are alike")]
    });
    case("formula: columns of rows again and again", &|c| {
        let x = c.variable(&[2, 4]);
        let part = c.graph.columns(x, 1, 2).expect("there are columns");
        vec![c.graph.tile(part, 3).expect("any tensor")]
    });
    case("formula: one of several columns", &|c| {
        let (index, x) = (c.constant(&[BATCH]), c.variable(&[BATCH, 3]));
        c.inputs[0].1 = vec![2.0, 0.0, 5.0];
        let hot = c.graph.one_hot(index, 3).expect("any index");
        vec![c.graph.map([hot, x], |[hot, x]| hot * x.squared()).expect("they are alike")]
    });
    case("formula: of formulas, some of which are read twice", &|c| {
        let (a, b) = (c.variable(&[BATCH, 3]), c.variable(&[BATCH, 3]));
        let once = c.graph.map([a, b], |[a, b]| (a * b).tanh()).expect("alike");
        let twice = c.graph.map([a, once], |[a, t]| a + t).expect("alike");
        let again = c.graph.map([twice, b], |[t, b]| t.clone() * t - b).expect("alike");
        vec![again, c.graph.map([twice], |[t]| t.sigmoid()).expect("alike")]
    });
    for (name, axis) in [
        ("columns", Axis::Columns),
        ("two rows", Axis::Rows(2)),
        ("all rows", Axis::Rows(ROWS)),
        ("tiles", Axis::Tiles(2)),
    ] {
        for kind in [Reduction::Sum, Reduction::Max, Reduction::LogSumExp] {
            case(&format!("{kind:?} over {name}"), &|c| {
                let (a, b, w) = (c.variable(&[ROWS, 4]), c.variable(&[ROWS]), c.constant(&[ROWS, 4]));
                // So far from each other that the largest stays the largest.
                c.inputs.last_mut().expect("it was just put there").1 =
                    (0..ROWS * 4).map(|i| (i * 7 % 24) as f32).collect();
                vec![c.graph.reduce_map(kind, axis, [a, b, w], |[a, b, w]| a * b * 0.25 + w).expect("they repeat")]
            });
        }
    }
    for batch in [1, BATCH] {
        for transposed in [[false, false], [true, false], [false, true], [true, true]] {
            case(&format!("{batch} products, transposed {transposed:?}"), &|c| {
                let matrix = |rows: usize, columns: usize, transposed: bool| {
                    if transposed { [batch * columns, rows] } else { [batch * rows, columns] }
                };
                let a = c.variable(&matrix(2, 4, transposed[0]));
                let b = c.variable(&matrix(4, 3, transposed[1]));
                vec![c.add(Op::Product { a, b, batch, transposed })]
            });
        }
    }
    case("rows by their index", &|c| {
        let (x, index) = (c.variable(&[4, 2]), c.constant(&[ROWS]));
        c.inputs[1].1 = vec![3.0, 0.0, 3.0, 1.0, 9.0, 3.0];
        vec![c.add(Op::TakeRows { x, index })]
    });
    case("rows added to those of their index", &|c| {
        let (dy, index) = (c.variable(&[ROWS, 2]), c.constant(&[ROWS]));
        c.inputs[1].1 = vec![3.0, 0.0, 3.0, 1.0, 9.0, 3.0];
        vec![c.add(Op::AddRows { dy, index, rows: 4 })]
    });
    // All steps, with and without what the units were before the first, and the last step alone.
    for (cell, backward) in [Cell::Gru, Cell::Lstm].into_iter().flat_map(|cell| [(cell, false), (cell, true)]) {
        let (g, states) = (cell.gates(), cell.states());
        case(&format!("{} units over several steps, backward {backward}", cell.word()), &|c| {
            let (gates, begun) = (c.variable(&[3 * ROWS, 3 * g]), c.variable(&[ROWS, 3 * states]));
            let w = c.variable(&[4, 3 * g]);
            vec![c.add(Op::Recurrent { cell, backward, gates, begun, w })]
        });
        case(&format!("{} units of which the last step is read, backward {backward}", cell.word()), &|c| {
            let (gates, begun) = (c.variable(&[3 * ROWS, 2 * g]), c.constant(&[ROWS, 2 * states]));
            let (w, index) = (c.variable(&[3, 2 * g]), c.constant(&[ROWS]));
            c.inputs[3].1 = (0..ROWS).map(|row| (3 * row + 2) as f32).collect();
            let x = c.add(Op::Recurrent { cell, backward, gates, begun, w });
            vec![c.add(Op::TakeRows { x, index })]
        });
    }
    case("other extents", &|c| {
        let x = c.variable(&[ROWS, 4]);
        let tall = c.graph.reshape(x, &[2 * ROWS, 2]).expect("as many numbers");
        vec![c.graph.reduce(Reduction::LogSumExp, Axis::Columns, tall).expect("any tensor")]
    });
    for (kind, axis) in [(Reduction::Sum, Axis::Tiles(2)), (Reduction::LogSumExp, Axis::Columns)] {
        case(&format!("{kind:?} of a tensor itself over {axis:?}"), &|c| {
            let x = c.variable(&[ROWS, 4]);
            vec![c.graph.reduce(kind, axis, x).expect("any tensor")]
        });
    }
    for &(name, f) in LARGE {
        case(&format!("twelve tensors: {name}"), &|c| {
            // Some are alike in all columns, in neighbouring rows, in all rows.
            let extents: [&[usize]; 4] = [&[ROWS, 2], &[ROWS], &[BATCH, 2], &[1, 2]];
            let all: Vec<Id> = (0..12).map(|k| c.variable(extents[k % 4])).collect();
            let all: [Id; 12] = all.try_into().expect("there are twelve");
            vec![c.graph.map(all, f).expect("they repeat")]
        });
    }
    for kind in [Reduction::Sum, Reduction::Max, Reduction::LogSumExp] {
        case(&format!("{kind:?} of nine tensors"), &|c| {
            let all: Vec<Id> = (0..9).map(|k| c.variable(if k % 2 == 0 { &[ROWS, 3] } else { &[ROWS] })).collect();
            let (w, all): (Id, [Id; 9]) = (c.constant(&[ROWS, 3]), all.try_into().expect("there are nine"));
            c.inputs.last_mut().expect("it was just put there").1 =
                (0..ROWS * 3).map(|i| (i * 7 % 18) as f32).collect();
            let sum = c.graph.map(all, |all| sum(all.map(|x| (x * 0.5).tanh()).to_vec())).expect("they repeat");
            vec![c.graph.reduce_map(kind, Axis::Tiles(2), [sum, w], |[x, w]| x + w).expect("any tensor")]
        });
    }
    case("twenty tensors side by side", &|c| {
        let parts: Vec<Id> = (0..20).map(|k| c.variable(&[BATCH, 1 + k % 3])).collect();
        let all = c.graph.concatenate(&parts).expect("they have as many rows");
        vec![c.graph.map([all], |[x]| x.clone() * x * (Expr::column_of(7) + 1.0)).expect("any tensor")]
    });
    for &(name, build) in PATTERNS {
        case(name, &build);
    }
    case("what no gradient passes", &|c| {
        let (x, y) = (c.variable(&[BATCH, 2]), c.constant(&[BATCH, 2]));
        let held = c.graph.stop_gradient(y).expect("any tensor");
        vec![c.graph.map([x, held], |[x, held]| x * held).expect("alike")]
    });
    all
}
