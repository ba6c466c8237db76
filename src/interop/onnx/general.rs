//! General operations in ONNX: formulas, reductions and products of computed tensors, as attention is made of. Their tensors lie as in the
//! house; a row of the graph, which is of one example, stands for those of all.

use super::{File, INITIALIZER, NODE, Stored, images::Layout, proto};
use crate::compress::network::{formula, is_plain};
use crate::error::{Error, Result};
use crate::expr::words::Access;
use crate::expr::{ALL, Binary, Expr, Instruction, Unary};
use crate::graph::{Elements, Id, Op, Reduction};
use crate::model::CLASS;
use std::collections::BTreeMap;

impl File<'_> {
    /// The same numbers in other extents; of a parameter its numbers.
    pub(super) fn other_extents(&mut self, x: Id, id: Id, name: String) -> Result<Stored> {
        let shape = self.graph.shape(id);
        if let Op::Parameter { .. } = self.graph.op(x) {
            self.write_constant(id, &name)?;
        } else {
            let x = self.flat(x);
            self.reshape(&x, &[shape.columns()], &name);
        }
        Ok(Stored { name, layout: Layout::Flat })
    }

    /// A formula of each number of a tensor by itself, whose layout stays what it is; nothing where it is none.
    pub(super) fn of_each_number(&mut self, of: &Elements, name: &str) -> Result<Option<Stored>> {
        let [(x, access)] = of.operands[..] else { return Ok(None) };
        if access != Access::own(of.rows, of.columns) || of.f.sees_row() || of.f.sees_column() || of.f.is_identity() {
            return Ok(None);
        }
        let stored = self.names[x.0 as usize].clone();
        self.computed(of, name, Some(&stored.name))?;
        Ok(Some(Stored { name: name.to_owned(), ..stored }))
    }

    /// A formula of tensors whose rows are as many, of constants, or of slices of columns.
    pub(super) fn formula(&mut self, of: &Elements, name: &str) -> Result<()> {
        if let Some(parts) = side_by_side(of) {
            let parts: Vec<String> = parts.into_iter().map(|part| self.flat(part)).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.part(NODE, proto::node("Concat", name, &parts, &[name], vec![proto::attribute("axis", 1)]));
            return Ok(());
        }
        self.computed(of, name, None)
    }

    /// The instructions of a formula, one node each; what it looks at lies as in the house, or is this tensor.
    fn computed(&mut self, of: &Elements, name: &str, x: Option<&str>) -> Result<()> {
        let mut made: Vec<String> = Vec::new();
        // Which of them are comparisons: nothing but a choice takes these.
        let mut compared = vec![false; of.f.code().len()];
        for (at, &instruction) in of.f.code().iter().enumerate() {
            let result = if at + 1 == of.f.code().len() { name.to_owned() } else { format!("{name}.{at}") };
            let reads: &[usize] = match &instruction {
                Instruction::Unary(_, a) => &[*a],
                Instruction::Binary(_, a, b) | Instruction::Select(_, a, b) => &[*a, *b],
                _ => &[],
            };
            if reads.iter().any(|&read| compared[read]) {
                return Err(without_form("a comparison that is counted with"));
            }
            made.push(match instruction {
                Instruction::Input(k) => match x {
                    Some(x) => x.to_owned(),
                    None => self.operand(of, k, &format!("{name}.of{k}"))?,
                },
                Instruction::Constant(value) => {
                    self.part(INITIALIZER, proto::floats(&result, &[], &[value]));
                    result
                }
                Instruction::Column(ALL) => {
                    let columns: Vec<f32> = (0..of.columns).map(|column| column as f32).collect();
                    self.part(INITIALIZER, proto::floats(&result, &[of.columns], &columns));
                    result
                }
                Instruction::Unary(f, a) => {
                    self.node(unary(f)?, &[&made[a]], &[&result]);
                    result
                }
                Instruction::Binary(f, a, b) => {
                    compared[at] = matches!(f, Binary::Less | Binary::AtMost | Binary::Equal);
                    self.node(binary(f), &[&made[a], &made[b]], &[&result]);
                    result
                }
                Instruction::Select(which, a, b) if compared[which] => {
                    self.node("Where", &[&made[which], &made[a], &made[b]], &[&result]);
                    result
                }
                other => return Err(without_form(&format!("{other:?}"))),
            });
        }
        if compared.last() == Some(&true) {
            return Err(without_form("a comparison that is stored"));
        }
        // Nothing but an operand.
        if let Some(last) = made.last().filter(|last| *last != name) {
            self.node("Identity", &[last], &[name]);
        }
        Ok(())
    }

    /// What a formula looks at.
    fn operand(&mut self, of: &Elements, k: usize, name: &str) -> Result<String> {
        let (id, access) = of.operands[k];
        let stored = self.flat(id);
        let constant = access.rows == 1 && self.is_constant(id);
        let Access { share, rows, width, shift, reversed } = access;
        if !(constant || share * rows == of.rows) || reversed {
            return Err(without_form("a formula whose rows look at other rows"));
        }
        let stored = if share == 1 || constant { stored } else { self.repeated(&stored, [share, width], name) };
        match shift {
            None if width == 1 => Ok(stored),
            Some(0) if width == of.columns => Ok(stored),
            Some(start) if start >= 0 && start as usize + of.columns <= width => {
                let [starts, ends, axes] = ["starts", "ends", "axes"].map(|what| format!("{name}.{what}"));
                let end = i64::from(start) + of.columns as i64;
                for (name, value) in [(&starts, i64::from(start)), (&ends, end), (&axes, 1)] {
                    self.part(INITIALIZER, proto::integers(name, &[value]));
                }
                self.node("Slice", &[&stored, &starts, &ends, &axes], &[name]);
                Ok(name.to_owned())
            }
            _ => Err(without_form("a formula whose columns look at other columns")),
        }
    }

    /// Whether a tensor is made of parameters alone, and so is the same for all examples.
    pub(super) fn is_constant(&self, id: Id) -> bool {
        match self.graph.op(id) {
            Op::Parameter { .. } => true,
            Op::Reshape { x, .. } => self.is_constant(*x),
            Op::Map(of) => {
                !of.operands.is_empty() && is_plain(&of.f) && of.operands.iter().all(|&(id, _)| self.is_constant(id))
            }
            _ => false,
        }
    }

    /// Writes such a tensor as numbers.
    pub(super) fn write_constant(&mut self, id: Id, name: &str) -> Result<()> {
        let shape = self.graph.shape(id);
        let values: Vec<f32> = self.constant(id)?.into_iter().map(|value| value as f32).collect();
        self.part(INITIALIZER, proto::floats(name, &[shape.rows(), shape.columns()], &values));
        Ok(())
    }

    /// Its numbers.
    fn constant(&self, id: Id) -> Result<Vec<f64>> {
        match self.graph.op(id) {
            Op::Parameter { index } => {
                let name = &self.graph.parameters[*index].name;
                let found = self.checkpoint.parameters.iter().find(|(found, _)| found == name);
                let (_, tensor) =
                    found.ok_or_else(|| Error::Data(format!("the checkpoint has no parameter `{name}`")))?;
                Ok(tensor.values.iter().map(|&value| value.into()).collect())
            }
            Op::Reshape { x, .. } => self.constant(*x),
            Op::Map(of) => {
                let operands = of.operands.iter().map(|&(id, _)| Ok((id, self.constant(id)?)));
                let operands: BTreeMap<Id, Vec<f64>> = operands.collect::<Result<_>>()?;
                Ok(formula(of, &|id| &operands[&id]))
            }
            other => Err(Error::Bug(format!("{} is no constant", other.name()))),
        }
    }

    /// Each row as often as neighbouring rows look at it.
    fn repeated(&mut self, x: &str, [share, width]: [usize; 2], name: &str) -> String {
        let [apart, counts, tiled, all] = ["apart", "counts", "tiled", "all"].map(|what| format!("{name}.{what}"));
        self.reshape(x, &[1, width], &apart);
        self.part(INITIALIZER, proto::integers(&counts, &[1, share as i64, 1]));
        self.node("Tile", &[&apart, &counts], &[&tiled]);
        self.reshape(&tiled, &[width], &all);
        all
    }

    /// Whether a formula makes ones among zeros of the classes that a model is told.
    pub(super) fn is_told(&self, of: &Elements) -> bool {
        let [(class, _)] = of.operands[..] else { return false };
        let told = match self.graph.op(class) {
            Op::Class => true,
            Op::Input { name, .. } => name == CLASS,
            _ => false,
        };
        told && of.f == Expr::input(0).equal(Expr::column())
    }

    /// A formula added up over so many neighbouring rows.
    pub(super) fn added(&mut self, of: &Elements, size: usize, name: &str) -> Result<()> {
        let [all, apart, axes] = ["all", "apart", "axes"].map(|what| format!("{name}.{what}"));
        self.formula(of, &all)?;
        self.reshape(&all, &[size, of.columns], &apart);
        self.part(INITIALIZER, proto::integers(&axes, &[1]));
        let keep = vec![proto::attribute("keepdims", 0)];
        self.part(NODE, proto::node("ReduceSum", name, &[&apart, &axes], &[name], keep));
        Ok(())
    }

    /// A draw from a normal distribution by its statistics, whose log-variances are held within a range, and noise.
    pub(super) fn drawn(&mut self, [stats, eps]: [Id; 2], [low, high]: [f32; 2], name: &str) {
        let (width, stats, eps) = (self.graph.shape(eps).columns(), self.flat(stats), self.flat(eps));
        let part = |what: &str| format!("{name}.{what}");
        self.part(INITIALIZER, proto::integers(&part("halves"), &[width as i64; 2]));
        let axis = vec![proto::attribute("axis", 1)];
        let [mean, log_variance] = [part("mean"), part("log_variance")];
        self.part(
            NODE,
            proto::node("Split", &part("split"), &[&stats, &part("halves")], &[&mean, &log_variance], axis),
        );
        for (constant, value) in [("low", low), ("high", high), ("half", 0.5)] {
            self.part(INITIALIZER, proto::floats(&part(constant), &[], &[value]));
        }
        self.node("Clip", &[&log_variance, &part("low"), &part("high")], &[&part("held")]);
        self.node("Mul", &[&part("held"), &part("half")], &[&part("log_deviation")]);
        self.node("Exp", &[&part("log_deviation")], &[&part("deviation")]);
        self.node("Mul", &[&part("deviation"), &eps], &[&part("drawn")]);
        self.node("Add", &[&mean, &part("drawn")], &[name]);
    }

    /// A formula added up along its columns, or the logarithm of the sum of its exponentials, [R, 1].
    pub(super) fn reduced(&mut self, of: &Elements, kind: Reduction, name: &str) -> Result<()> {
        let part = |what: &str| format!("{name}.{what}");
        self.formula(of, &part("all"))?;
        self.part(INITIALIZER, proto::integers(&part("axes"), &[1]));
        match kind {
            Reduction::Sum => self.node("ReduceSum", &[&part("all"), &part("axes")], &[name]),
            Reduction::LogSumExp => {
                let axes = vec![proto::list("axes", &[1])];
                let (all, most) = (part("all"), part("most"));
                self.part(NODE, proto::node("ReduceMax", &most, &[&all], &[&most], axes));
                self.node("Sub", &[&all, &most], &[&part("below")]);
                self.node("Exp", &[&part("below")], &[&part("shares")]);
                self.node("ReduceSum", &[&part("shares"), &part("axes")], &[&part("sum")]);
                self.node("Log", &[&part("sum")], &[&part("log")]);
                self.node("Add", &[&part("log"), &most], &[name]);
            }
            Reduction::Max | Reduction::ArgMax | Reduction::ArgMin => return Err(without_form(&format!("{kind:?}"))),
        }
        Ok(())
    }

    /// Products of pairs of matrices, as many for each example.
    pub(super) fn products(&mut self, sides: [Id; 2], batch: usize, transposed: [bool; 2], name: &str) {
        let mut stored = Vec::new();
        for ((id, transposed), which) in sides.into_iter().zip(transposed).zip(["a", "b"]) {
            let (shape, x, apart) = (self.graph.shape(id), self.flat(id), format!("{name}.{which}"));
            self.reshape(&x, &[shape.rows() / batch, shape.columns()], &apart);
            let turned = format!("{apart}.turned");
            if transposed {
                self.transpose(&apart, &[0, 2, 1], &turned);
            }
            stored.push((
                if transposed { turned } else { apart },
                if transposed { shape.rows() / batch } else { shape.columns() },
            ));
        }
        let made = format!("{name}.apart");
        self.node("MatMul", &[&stored[0].0, &stored[1].0], &[&made]);
        self.reshape(&made, &[stored[1].1], name);
    }
}

/// The tensors of a formula that puts them side by side, as [`crate::graph::Graph::concatenate`] writes it: each is 0 where
/// another one stands, and they are added up.
fn side_by_side(of: &Elements) -> Option<Vec<Id>> {
    let mut start = 0_i32;
    for (_, access) in &of.operands {
        if access.shift != Some(-start) || access.rows != of.rows || access.share != 1 || access.reversed {
            return None;
        }
        start += access.width as i32;
    }
    let sum = (1..of.operands.len()).fold(Expr::input(0), |sum, k| sum + Expr::input(k));
    let all = of.operands.len() > 1 && start as usize == of.columns && of.f == sum;
    all.then(|| of.operands.iter().map(|&(id, _)| id).collect())
}

fn unary(f: Unary) -> Result<&'static str> {
    match f {
        Unary::Negate => Ok("Neg"),
        Unary::Abs => Ok("Abs"),
        Unary::Exp => Ok("Exp"),
        Unary::Log => Ok("Log"),
        Unary::Sqrt => Ok("Sqrt"),
        Unary::Tanh => Ok("Tanh"),
        Unary::Sigmoid => Ok("Sigmoid"),
        Unary::Softplus => Ok("Softplus"),
        Unary::Log1p => Err(without_form("log1p")),
    }
}

fn binary(f: Binary) -> &'static str {
    match f {
        Binary::Add => "Add",
        Binary::Subtract => "Sub",
        Binary::Multiply => "Mul",
        Binary::Divide => "Div",
        Binary::Max => "Max",
        Binary::Min => "Min",
        Binary::Less => "Less",
        Binary::AtMost => "LessOrEqual",
        Binary::Equal => "Equal",
    }
}

fn without_form(what: &str) -> Error {
    Error::Bug(format!("{what} belongs to no network that is exported"))
}
