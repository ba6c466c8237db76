//! Group normalisation and its gradients, and dropout.

use super::{Dispatch, Lowering};
use crate::graph::{Id, Op};
use crate::kernels::{dropout, group_moments, group_norm, group_norm_grad, group_norm_weight, sum_columns};
use crate::plan::View;

impl Lowering<'_> {
    pub(super) fn group_moments(&mut self, id: Id, x: Id, channels: usize) {
        let group_norm::Params { rows, pixels, channels, groups } = self.groups(x, id, channels);
        let p = group_moments::Params { rows, pixels, channels, groups, eps: group_moments::EPS };
        let (views, rows, grid) = (vec![self.split(x), self.split(id)], rows as usize, group_moments::grid(&p));
        let (kernel, unit, what) = (&group_moments::KERNEL, self.unit(rows), format!("{}: moments", self.norm_of(id)));
        self.push(&Dispatch { kernel, consts: &[], outer: rows, unit, grid, what: &what }, &p, views);
    }

    /// The name of the layer that has these moments.
    fn norm_of(&self, moments: Id) -> String {
        let tensor = |id: Id| match *self.graph.op(id) {
            Op::GroupNorm { w, moments: of, .. } if of == moments => Some(w),
            _ => None,
        };
        self.parameter_name(self.graph.ids().find_map(tensor).unwrap_or(moments))
    }

    /// What a row of x is to the kernels of normalisation; `moments` has two numbers for each group.
    fn groups(&self, x: Id, moments: Id, channels: usize) -> group_norm::Params {
        let (rows, width) = (self.shape(x).rows(), self.shape(x).columns());
        group_norm::Params {
            rows: rows as u32,
            pixels: (width / channels) as u32,
            channels: channels as u32,
            groups: (self.shape(moments).columns() / 2) as u32,
        }
    }

    pub(super) fn group_norm(&mut self, id: Id, [x, w, moments]: [Id; 3]) {
        let p = self.groups(x, moments, self.shape(w).columns());
        let views = vec![self.split(x), self.place(w), self.split(moments), self.split(id)];
        let (rows, grid, what) = (p.rows as usize, group_norm::grid(&p), format!("{}: norm", self.parameter_name(w)));
        let (kernel, unit) = (&group_norm::KERNEL, self.unit(rows));
        self.push(&Dispatch { kernel, consts: &[], outer: rows, unit, grid, what: &what }, &p, views);
    }

    pub(super) fn group_norm_grad_input(&mut self, id: Id, [x, w, moments, dy]: [Id; 4]) {
        let p = self.groups(x, moments, self.shape(w).columns());
        let views = vec![self.split(x), self.place(w), self.split(moments), self.split(dy), self.split(id)];
        let what = format!("{}: d input", self.parameter_name(w));
        let (rows, grid) = (p.rows as usize, group_norm_grad::grid(&p));
        let (kernel, unit) = (&group_norm_grad::KERNEL, self.unit(rows));
        self.push(&Dispatch { kernel, consts: &[], outer: rows, unit, grid, what: &what }, &p, views);
    }

    /// What each row gives, and the sum over the rows.
    pub(super) fn group_norm_grad_weight(&mut self, id: Id, [x, moments, dy]: [Id; 3], channels: usize) {
        let p = self.groups(x, moments, channels);
        let (rows, width) = (p.rows as usize, 2 * channels);
        let parts = self.scratch(rows * width);
        let views = vec![self.split(x), self.split(moments), self.split(dy), View { split: true, ..parts }];
        let (kernel, unit, grid) = (&group_norm_weight::KERNEL, self.unit(rows), group_norm_weight::grid(&p));
        let name = self.norm_of(moments);
        let what = &format!("{name}: d scale and d shift");
        self.push(&Dispatch { kernel, consts: &[], outer: rows, unit, grid, what }, &p, views);
        let p = sum_columns::Params { rows: rows as u32, width: width as u32 };
        let (kernel, grid, what) = (&sum_columns::KERNEL, sum_columns::grid(&p), &format!("{name}: sum over rows"));
        let views = vec![parts, self.split(id)];
        self.push(&Dispatch { kernel, consts: &[], outer: width, unit: 1, grid, what }, &p, views);
    }

    pub(super) fn dropout(&mut self, id: Id, x: Id, rate: f32, layer: usize) {
        let (rows, width) = (self.shape(x).rows(), self.shape(x).columns());
        let p = dropout::Params {
            rows: rows as u32,
            width: width as u32,
            per_example: self.per_example(rows),
            layer: layer as u32,
            rate,
            factor: 1.0 / (1.0 - rate),
        };
        let (views, unit) = (vec![self.order(), self.split(x), self.split(id)], self.unit(rows));
        let (kernel, grid, what) = (&dropout::KERNEL, dropout::grid(&p), "dropout");
        self.push(&Dispatch { kernel, consts: &[], outer: rows, unit, grid, what }, &p, views);
    }
}
