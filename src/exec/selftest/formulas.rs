//! Formulas for the kernels that compute one: every function, and every way in which a tensor is looked up.

use super::cases::{Bound, Fill, Shape, Size, UNUSED};
use crate::expr::Expr;
use crate::expr::words::{Access, Program};
use crate::kernels::{Kernel, map, reduce};

/// Rows that belong together in all formulas.
const GROUP: usize = 3;

/// Columns of the formulas, by turns.
const COLUMNS: [usize; 3] = [37, 1, 700];

/// The largest extents of a case in which every place needs many looks.
const MAX_ROWS: usize = 200;

/// The constants of a kernel with a program; for any number of rows they are [`fitted`].
pub(super) fn settings(kernel: &Kernel) -> Vec<Vec<u32>> {
    let size = Size { rows: GROUP, width: 1, depth: 1 };
    if kernel.name == map::KERNEL.name {
        let all = COLUMNS[..2].iter().flat_map(|&columns| [0, 1].map(|which| (columns, which)));
        return all.map(|(columns, which)| of(&[columns as u32], &program(which, columns, size))).collect();
    }
    let kinds = [reduce::SUM, reduce::MAX, reduce::LOG_SUM_EXP, reduce::ARG_MAX, reduce::ARG_MIN];
    let of_kind = |(at, &kind): (usize, &u32)| {
        let columns = COLUMNS[at % COLUMNS.len()] as u32;
        // By turns one thread, some and a whole workgroup for each number that comes out.
        let lanes = [1, 8, 64];
        let [few, many] = [0, 1].map(|by| lanes[(at + by) % lanes.len()]);
        let program = |which: usize| program(2 + which, columns as usize, size);
        [
            of(&[columns, reduce::COLUMNS, kind, columns, few], &program(0)),
            of(&[columns, reduce::ROWS, kind, GROUP as u32, few], &program(1)),
            of(&[columns, reduce::ROWS, kind, ALL, many], &program(2)),
            of(&[columns, reduce::TILES, kind, GROUP as u32, many], &program(2)),
        ]
    };
    kinds.iter().enumerate().flat_map(of_kind).collect()
}

/// `SIZE` that stands for all rows until these are known.
const ALL: u32 = 9999;

fn of(consts: &[u32], program: &Program) -> Vec<u32> {
    [consts.to_vec(), program.words()].concat()
}

/// Rows of a case.
fn rows(size: Size) -> usize {
    GROUP * if size.rows > 1000 { size.rows } else { size.rows.clamp(2, MAX_ROWS) }
}

/// The constants for a number of rows: operands have as many rows as their sharing leaves them. Where there are many rows
/// there are few columns.
pub(super) fn fitted(kernel: &Kernel, consts: &[u32], size: Size) -> Vec<u32> {
    let (own, words) = consts.split_at(kernel.consts.len());
    let (mut own, mut program) = (own.to_vec(), Program::from_words(words));
    let rows = rows(size);
    if kernel.name == reduce::KERNEL.name && own[3] == ALL {
        own[3] = rows as u32;
    }
    for (access, _) in &mut program.operands {
        match (access.share, access.rows) {
            (1, TILED) => {}
            (1, _) => access.rows = rows,
            (GROUP, _) => access.rows = rows / GROUP,
            _ => access.share = rows,
        }
    }
    of(&own, &program)
}

/// Rows of an operand that begins again and again.
const TILED: usize = 5 * GROUP;

/// The formulas. The last operand is one that begins again after [`TILED`] rows, if the rows of a case are a multiple of it;
/// they are not in general, and rows are looked up modulo all the same.
fn program(which: usize, columns: usize, size: Size) -> Program {
    let rows = rows(size);
    let own = Access::own(rows, columns);
    let per_row = Access { width: 1, shift: None, ..own };
    let one_row = Access { share: rows + 1, rows: 1, ..own };
    let narrow = Access { width: columns.div_ceil(2), shift: Some(-(columns as i32) / 4), ..own };
    let wide = Access { width: columns + 13, shift: Some(7), ..own };
    let shared = Access { share: GROUP, rows: rows / GROUP, ..own };
    let tiled = Access { rows: TILED, reversed: true, shift: Some(columns as i32 - 1), ..own };
    let [a, b, c, d, e, f, g] = [0, 1, 2, 3, 4, 5, 6].map(Expr::input);
    let operands = vec![
        (own, true),
        (per_row, true),
        (one_row, false),
        (narrow, true),
        (wide, true),
        (shared, true),
        (tiled, false),
    ];
    match which {
        0 => {
            let bounded = a.clone().min(3.0).exp() / (1.0 + b.abs());
            let tails = e.clone().softplus() - e.clone().sigmoid() * f.tanh();
            let roots = (g.clone().abs() + 0.5).ln() + d.clone().abs().ln_1p() - d.squared().sqrt();
            Program { operands, expr: bounded + c * tails - roots * Expr::weight(1) }
        }
        1 => {
            let hot = Expr::row(4).equal(Expr::column_of(5)).select(b.clone(), -c);
            let order = d.clone().less(e.clone()) + a.clone().at_most(f) * 2.0;
            let count = Expr::row(GROUP).less(Expr::count()).select(Expr::count(), Expr::column());
            Program { operands, expr: hot + order + count.max(a) * g - d * e * b }
        }
        // Whole numbers, so that some of them are equal.
        2 => {
            let operands = vec![(own, true), (per_row, true), (tiled, false)];
            Program { operands, expr: (a * 4.0).min(3.0).max(-3.0) * 0.25 + b * 0.125 + (c * 0.25).tanh() }
        }
        3 => Program { operands: vec![(own, true), (shared, true)], expr: a - b * 0.5 },
        _ => Program { operands: vec![(own, false), (one_row, false)], expr: a + 0.5 * b.tanh() },
    }
}

/// A formula on the way out of a product, whose rounding it does not magnify; `beside` says whether it looks at another tensor.
pub(super) fn way_out(beside: bool) -> Program {
    let [product, other] = [0, 1].map(Expr::input);
    let leaky = |x: Expr, at: Expr| at.less(0.0).select(0.25 * x.clone(), x);
    let expr = if beside {
        leaky(product, other.clone()) - other.softplus() * Expr::column_of(5)
    } else {
        let counts = Expr::row(40).less(Expr::count()).select(Expr::weight(1), Expr::column_of(8) * 0.125);
        leaky(product.clone(), product.clone()) + counts * product.tanh()
    };
    Program { operands: vec![], expr }
}

/// The case of a kernel with these constants.
pub(super) fn shape(kernel: &Kernel, consts: &[u32], size: Size) -> Shape {
    let (own, words) = consts.split_at(kernel.consts.len());
    let (rows, columns, program) = (rows(size), own[0] as usize, Program::from_words(words));
    let operand = |(access, split): &(Access, bool)| (access.rows * access.width, *split, Fill::Values);
    let mut bindings: Vec<Bound> = program.operands.iter().map(operand).collect();
    bindings.resize(kernel.bindings.len() - 1, UNUSED);
    if kernel.name == map::KERNEL.name {
        let p = map::Params { rows: rows as u32, columns: columns as u32 };
        bindings.push((rows * columns, true, Fill::Values));
        return Shape::new(&p, (rows, GROUP), map::grid(&p), bindings);
    }
    let (along, size) = (own[1], own[3] as usize);
    let (outer, unit, outputs) = match (along, size == rows) {
        (reduce::COLUMNS, _) => (rows, GROUP, rows),
        (_, true) => (columns, 1, columns),
        _ => (rows / size, 1, rows / size * columns),
    };
    let p = reduce::Params { rows: rows as u32, columns: columns as u32, outputs: outputs as u32 };
    bindings.push((outputs, true, Fill::Values));
    Shape::new(&p, (outer, unit), reduce::grid(&p, consts), bindings)
}
