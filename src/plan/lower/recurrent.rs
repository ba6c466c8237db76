//! Recurrent layers: one step for all steps of a sequence, and one for the way back.

use super::products::{NO_LIKELIHOOD, Product};
use super::{Dispatch, Lowering};
use crate::config::Cell;
use crate::error::{Error, Result};
use crate::graph::{Id, Op};
use crate::kernels::matmul::PLAIN;
use crate::kernels::{recurrent, recurrent_grad};
use crate::plan::View;
use std::collections::BTreeSet;

impl Lowering<'_> {
    fn layer_params(&self, id: Id, begun: Id, cell: Cell) -> recurrent::Params {
        let (rows, width) = (self.shape(begun).rows(), self.shape(begun).columns() / cell.states());
        recurrent::Params { rows: rows as u32, steps: (self.shape(id).rows() / rows) as u32, width: width as u32 }
    }

    /// The layer; where something is differentiated through it, it also stores what the way back reads.
    pub(super) fn recurrent(&mut self, id: Id, live: &BTreeSet<Id>) {
        let Op::Recurrent { cell, backward, gates, begun, w } = *self.graph.op(id) else { return };
        let p = self.layer_params(id, begun, cell);
        let (rows, all) = (p.rows as usize, (p.rows * p.steps * p.width) as usize);
        let keep = live.iter().any(|&other| matches!(*self.graph.op(other), Op::Vjp { of, .. } if of == id));
        let mut views = vec![self.split(gates), self.split(begun), self.place(w), self.split(id)];
        if keep {
            let words = [all, recurrent::kept(cell) * all];
            let [before, kept] = words.map(|words| View { split: true, ..self.scratch(words) });
            self.remembered.insert(id, [before, kept]);
            views.extend([before, kept]);
        } else {
            views.extend([self.sink(), self.sink()]);
        }
        let (kernel, unit, grid) = (&recurrent::KERNEL, self.unit(rows), recurrent::grid(&p));
        let consts = &[u32::from(keep), recurrent::code(cell), u32::from(backward)];
        let what = &format!("{}: {} steps of {} {} units", self.parameter_name(w), p.steps, p.width, cell.word());
        self.push(&Dispatch { kernel, consts, outer: rows, unit, grid, what }, &p, views);
    }

    /// The gradient of a layer for one of its inputs. The first that is asked for goes all the way back, for all of them.
    pub(super) fn recurrent_grad(
        &mut self,
        id: Id,
        (of, input, dy): (Id, usize, Id),
        live: &BTreeSet<Id>,
    ) -> Result<()> {
        let hidden = match self.gone_back.get(&(of, dy)) {
            Some(&hidden) => hidden,
            None => self.back_through(of, dy, live)?,
        };
        let (2, Op::Recurrent { w, .. }) = (input, self.graph.op(of)) else { return Ok(()) };
        let [before, _] = self.kept_of(of)?;
        let (inputs, outputs) = (self.shape(*w).rows(), self.shape(*w).columns());
        let views = [before, hidden].map(|view| View { split: false, ..view });
        let views = [views[0], views[1], self.nothing(), self.split(id), self.sink()];
        let meaning = [1, 0, 0, 1, PLAIN, 0];
        let product = Product { p: NO_LIKELIHOOD, meaning, views, unit: 1, what: "d W and d b" };
        self.product([inputs, outputs, self.shape(of).rows()], &product);
        Ok(())
    }

    fn kept_of(&self, of: Id) -> Result<[View; 2]> {
        let kept = self.remembered.get(&of).copied();
        kept.ok_or_else(|| Error::Bug("a recurrent layer is differentiated before it is computed".into()))
    }

    /// The step that goes back, and what the units before gave to gates.
    fn back_through(&mut self, of: Id, dy: Id, live: &BTreeSet<Id>) -> Result<View> {
        let Op::Recurrent { cell, backward, begun, w, .. } = *self.graph.op(of) else {
            return Err(Error::Bug(format!("{} is no recurrent layer", self.graph.op(of).name())));
        };
        let p = self.layer_params(of, begun, cell);
        let (rows, all) = (p.rows as usize, cell.gates() * (p.rows * p.steps * p.width) as usize);
        let first = self.shape(begun).count();
        let [before, kept] = self.kept_of(of)?;
        // Where the gradients of gates and first units are wanted, if they are.
        let wanted = |input: usize| {
            let is_one = |&&id: &&Id| matches!(*self.graph.op(id), Op::Vjp { of: o, input: i, dy: d } if (o, i, d) == (of, input, dy));
            live.iter().find(is_one).copied()
        };
        let [of_gates, of_begun] = [wanted(0), wanted(1)];
        let mut place = |id: Option<Id>, words: usize| match id {
            Some(id) => self.split(id),
            None => View { split: true, ..self.scratch(words) },
        };
        let (d_gates, d_begun) = (place(of_gates, all), place(of_begun, first));
        // What a long short-term memory's units give to gates is what gates are given.
        let (d_hidden, written) = match cell {
            Cell::Gru => {
                let hidden = View { split: true, ..self.scratch(all) };
                (hidden, hidden)
            }
            Cell::Lstm => (d_gates, self.sink()),
            Cell::Transformer => return Err(Error::Bug("attention is no recurrent layer".into())),
        };
        let views = vec![self.split(dy), before, kept, self.place(w), d_gates, written, d_begun];
        let (kernel, unit, grid) = (&recurrent_grad::KERNEL, self.unit(rows), recurrent_grad::grid(&p));
        let what = &format!("{}: back through {} steps", self.parameter_name(w), p.steps);
        let consts = &[recurrent::code(cell), u32::from(backward)];
        self.push(&Dispatch { kernel, consts, outer: rows, unit, grid, what }, &p, views);
        self.gone_back.insert((of, dy), d_hidden);
        Ok(d_hidden)
    }
}
