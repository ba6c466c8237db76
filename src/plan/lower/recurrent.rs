//! Recurrent layers: one step for all steps of a sequence, and one for the way back.

use super::products::{NO_LIKELIHOOD, Product};
use super::{Dispatch, Lowering};
use crate::error::{Error, Result};
use crate::graph::{Id, Op};
use crate::kernels::matmul::PLAIN;
use crate::kernels::{gru, gru_grad};
use crate::plan::View;
use std::collections::BTreeSet;

impl Lowering<'_> {
    fn units_of(&self, id: Id, begun: Id) -> gru::Params {
        let (rows, width) = (self.shape(begun).rows(), self.shape(begun).columns());
        gru::Params { rows: rows as u32, steps: (self.shape(id).rows() / rows) as u32, width: width as u32 }
    }

    /// The layer; where something is differentiated through it, it also stores what the way back reads.
    pub(super) fn gru(&mut self, id: Id, live: &BTreeSet<Id>) {
        let Op::Gru { gates, begun, w } = *self.graph.op(id) else { return };
        let p = self.units_of(id, begun);
        let (rows, all) = (p.rows as usize, self.shape(id).count());
        let keep = live.iter().any(|&other| matches!(*self.graph.op(other), Op::Vjp { of, .. } if of == id));
        let mut views = vec![self.split(gates), self.split(begun), self.place(w), self.split(id)];
        if keep {
            let [before, kept] = [all, 4 * all].map(|words| View { split: true, ..self.scratch(words) });
            self.remembered.insert(id, [before, kept]);
            views.extend([before, kept]);
        } else {
            views.extend([self.sink(), self.sink()]);
        }
        let (kernel, consts, unit, grid) = (&gru::KERNEL, &[u32::from(keep)], self.unit(rows), gru::grid(&p));
        let what = &format!("{}: {} steps of {} gated units", self.parameter_name(w), p.steps, p.width);
        self.push(&Dispatch { kernel, consts, outer: rows, unit, grid, what }, &p, views);
    }

    /// The gradient of a layer for one of its inputs. The first that is asked for goes all the way back, for all of them.
    pub(super) fn gru_grad(&mut self, id: Id, (of, input, dy): (Id, usize, Id), live: &BTreeSet<Id>) -> Result<()> {
        let hidden = match self.gone_back.get(&(of, dy)) {
            Some(&hidden) => hidden,
            None => self.back_through(of, dy, live)?,
        };
        let (2, Op::Gru { w, .. }) = (input, self.graph.op(of)) else { return Ok(()) };
        let [before, _] = self.kept_of(of)?;
        let (units, outputs) = (self.shape(of).columns(), self.shape(*w).columns());
        let views = [before, hidden].map(|view| View { split: false, ..view });
        let views = [views[0], views[1], self.nothing(), self.split(id), self.sink()];
        let meaning = [1, 0, 0, 1, PLAIN, 0];
        let product = Product { p: NO_LIKELIHOOD, meaning, views, unit: 1, what: "d W and d b" };
        self.product([units + 1, outputs, self.shape(of).rows()], &product);
        Ok(())
    }

    fn kept_of(&self, of: Id) -> Result<[View; 2]> {
        let kept = self.remembered.get(&of).copied();
        kept.ok_or_else(|| Error::Bug("a recurrent layer is differentiated before it is computed".into()))
    }

    fn back_through(&mut self, of: Id, dy: Id, live: &BTreeSet<Id>) -> Result<View> {
        let Op::Gru { begun, w, .. } = *self.graph.op(of) else {
            return Err(Error::Bug(format!("{} is no recurrent layer", self.graph.op(of).name())));
        };
        let p = self.units_of(of, begun);
        let (rows, all) = (p.rows as usize, self.shape(of).count());
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
        let (d_gates, d_begun) = (place(of_gates, 3 * all), place(of_begun, rows * p.width as usize));
        let d_hidden = View { split: true, ..self.scratch(3 * all) };
        let views = vec![self.split(dy), before, kept, self.place(w), d_gates, d_hidden, d_begun];
        let (kernel, unit, grid) = (&gru_grad::KERNEL, self.unit(rows), gru_grad::grid(&p));
        let what = &format!("{}: back through {} steps", self.parameter_name(w), p.steps);
        self.push(&Dispatch { kernel, consts: &[], outer: rows, unit, grid, what }, &p, views);
        self.gone_back.insert((of, dy), d_hidden);
        Ok(d_hidden)
    }
}
