//! General operations in ONNX: formulas, reductions and products of computed tensors, as attention is made of. Their tensors lie as in the
//! house; a row of the graph, which is of one example, stands for those of all.

use super::{File, INITIALIZER, NODE, Stored, images::Layout, proto};
use crate::error::{Error, Result};
use crate::expr::words::Access;
use crate::expr::{Binary, Expr, Instruction, Unary};
use crate::graph::{Elements, Id, Op, Reduction};

impl File<'_> {
    /// The same numbers in other extents; of a parameter its numbers.
    pub(super) fn other_extents(&mut self, x: Id, id: Id, name: String) -> Result<Stored> {
        let shape = self.graph.shape(id);
        if let Op::Parameter { index } = *self.graph.op(x) {
            let parameter = &self.graph.parameters[index].name;
            let found = self.checkpoint.parameters.iter().find(|(name, _)| name == parameter);
            let (_, tensor) =
                found.ok_or_else(|| Error::Data(format!("the checkpoint has no parameter `{parameter}`")))?;
            self.part(INITIALIZER, proto::floats(&name, &[shape.rows(), shape.columns()], &tensor.values));
        } else {
            let x = self.flat(x);
            self.reshape(&x, &[shape.columns()], &name);
        }
        Ok(Stored { name, layout: Layout::Flat })
    }

    /// A formula of tensors whose rows are as many, of constants, or of slices of columns.
    pub(super) fn formula(&mut self, of: &Elements, name: &str) -> Result<()> {
        if let Some(parts) = side_by_side(of) {
            let parts: Vec<String> = parts.into_iter().map(|part| self.flat(part)).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.part(NODE, proto::node("Concat", name, &parts, &[name], vec![proto::attribute("axis", 1)]));
            return Ok(());
        }
        let mut made: Vec<String> = Vec::new();
        for (at, &instruction) in of.f.code().iter().enumerate() {
            let result = if at + 1 == of.f.code().len() { name.to_owned() } else { format!("{name}.{at}") };
            made.push(match instruction {
                Instruction::Input(k) => self.operand(of, k, &format!("{name}.of{k}"))?,
                Instruction::Constant(value) => {
                    self.part(INITIALIZER, proto::floats(&result, &[], &[value]));
                    result
                }
                Instruction::Unary(f, a) => {
                    self.node(unary(f)?, &[&made[a]], &[&result]);
                    result
                }
                Instruction::Binary(f, a, b) => {
                    self.node(binary(f)?, &[&made[a], &made[b]], &[&result]);
                    result
                }
                other => return Err(without_form(&format!("{other:?}"))),
            });
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
        let constant = access.rows == 1
            && matches!(*self.graph.op(id), Op::Reshape { x, .. } if matches!(self.graph.op(x), Op::Parameter { .. }));
        if !(constant || access.share == 1 && access.rows == of.rows) || access.reversed {
            return Err(without_form("a formula whose rows look at other rows"));
        }
        let Access { width, shift, .. } = access;
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

fn binary(f: Binary) -> Result<&'static str> {
    match f {
        Binary::Add => Ok("Add"),
        Binary::Subtract => Ok("Sub"),
        Binary::Multiply => Ok("Mul"),
        Binary::Divide => Ok("Div"),
        Binary::Max => Ok("Max"),
        Binary::Min => Ok("Min"),
        Binary::Less | Binary::AtMost | Binary::Equal => Err(without_form("a comparison")),
    }
}

fn without_form(what: &str) -> Error {
    Error::Bug(format!("{what} belongs to no network that is exported"))
}
