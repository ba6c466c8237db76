//! Cases of the general operations: every function of a formula, every way in which tensors repeat.

use super::cases::{BATCH, Case, ROWS};
use elbo::expr::Expr;
use elbo::graph::{Axis, Id, Op, Reduction};

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
            if kind == Reduction::Max && matches!(axis, Axis::Tiles(_)) {
                continue;
            }
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
    case("other extents", &|c| {
        let x = c.variable(&[ROWS, 4]);
        let tall = c.graph.reshape(x, &[2 * ROWS, 2]).expect("as many numbers");
        vec![c.graph.reduce(Reduction::LogSumExp, Axis::Columns, tall).expect("any tensor")]
    });
    case("what no gradient passes", &|c| {
        let (x, y) = (c.variable(&[BATCH, 2]), c.constant(&[BATCH, 2]));
        let held = c.graph.stop_gradient(y).expect("any tensor");
        vec![c.graph.map([x, held], |[x, held]| x * held).expect("alike")]
    });
    all
}
