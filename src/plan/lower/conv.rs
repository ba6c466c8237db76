//! Convolutions, transposed convolutions, means and repetitions of pixels, and their gradients.

use super::products::fit_textures;
use super::{Dispatch, Lowering, Target};
use crate::config::Activation;
use crate::graph::Id;
use crate::graph::conv_geometry::{ConvGeometry, pixels};
use crate::kernels::conv_weight::{FEWEST_PIXELS, MANY, MAX_PIXELS, parts};
use crate::kernels::matmul::{ACTIVATE, DERIVE, PLAIN};
use crate::kernels::{
    conv, conv_texels, conv_tiles, conv_weight, conv_weight_texels, conv_weight_tiles, depthwise, depthwise_weight,
    grid, math, planes, pool, sum_columns,
};
use crate::plan::View;

/// What a use of the kernel `conv` differs in.
struct Map<'a> {
    window: ConvGeometry,
    /// Whether the fine image is made, and whether the parameters are those of the opposite map.
    up: bool,
    transpose: bool,
    epilogue: u32,
    activation: u32,
    views: [View; 4],
    rows: usize,
    inputs: usize,
    outputs: usize,
    what: &'a str,
}

impl Lowering<'_> {
    /// What maps each pixel by itself is a product with a row for every pixel on the CPU engine, here and below. Devices keep their
    /// kernel: rows of all pixels of a batch are more than their products were made for.
    pub(super) fn conv(&mut self, x: Id, w: Id, window: ConvGeometry, out: Id, activation: Option<Activation>) {
        if window.is_pointwise() && self.target == Target::Cpu {
            return self.affine(x, w, out, activation);
        }
        let (epilogue, code) = activation.map_or((PLAIN, 0), |kind| (ACTIVATE, math::code(kind)));
        let name = self.parameter_name(w);
        let kind = if window.up { "transposed conv" } else { "conv" };
        let what = activation.map_or(format!("{name}: {kind} x W + b"), |f| format!("{name}: {f:?}({kind} x W + b)"));
        let views = [self.split(x), self.place(w), self.nothing(), self.split(out)];
        self.map(&Map {
            window,
            up: window.up,
            transpose: false,
            epilogue,
            activation: code,
            views,
            rows: self.shape(x).rows(),
            inputs: self.shape(x).columns() / pixels(window.source()),
            outputs: self.shape(w).columns(),
            what: &what,
        });
    }

    pub(super) fn conv_grad_input(
        &mut self,
        dy: Id,
        w: Id,
        window: ConvGeometry,
        out: Id,
        activation: Option<(Id, Activation)>,
    ) {
        if window.is_pointwise() && self.target == Target::Cpu {
            return self.affine_grad_input(dy, w, out, activation);
        }
        let (epilogue, code) = activation.map_or((PLAIN, 0), |(_, kind)| (DERIVE, math::code(kind)));
        let aux = match activation {
            Some((v, _)) => self.split(v),
            None => self.nothing(),
        };
        let name = self.parameter_name(w);
        let what = activation.map_or(format!("{name}: d input"), |(_, kind)| format!("{name}: d input, {kind:?}'"));
        let views = [self.split(dy), self.place(w), aux, self.split(out)];
        self.map(&Map {
            window,
            up: !window.up,
            transpose: true,
            epilogue,
            activation: code,
            views,
            rows: self.shape(dy).rows(),
            inputs: self.shape(w).columns(),
            outputs: self.shape(out).columns() / pixels(window.source()),
            what: &what,
        });
    }

    fn map(&mut self, map: &Map) {
        let [fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding] = extents(map.window);
        let [rows, inputs, outputs] = [map.rows, map.inputs, map.outputs].map(|n| n as u32);
        #[rustfmt::skip]
        let p = conv::Params {
            rows, inputs, outputs, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding,
        };
        let meaning = [u32::from(map.up), u32::from(map.transpose), map.epilogue, map.activation];
        let (kernel, manner, grid): (_, &[u32], fn(&_, &[u32]) -> _) = match self.target {
            Target::Simd8 if fit_textures(&map.views) && conv_texels::suits(&p) => {
                (&conv_texels::KERNEL, &conv_texels::layout(&p), conv_texels::grid)
            }
            Target::Gpu if conv_tiles::suits(&p) => {
                (&conv_tiles::KERNEL, &conv_tiles::tilings(&p, map.up)[0], conv_tiles::grid)
            }
            // Threads of a GPU are many and small; on drivers that emulate one, loads are what costs.
            Target::Gpu => (&conv::KERNEL, &[conv::FEW_ROWS, conv::vectors(&p)], conv::grid),
            _ => (&conv::KERNEL, &[conv::MANY_ROWS, conv::vectors(&p)], conv::grid),
        };
        let consts = [&meaning, manner].concat();
        let (outer, unit, grid) = (map.rows, self.unit(map.rows), grid(&p, &consts));
        self.push(&Dispatch { kernel, consts: &consts, outer, unit, grid, what: map.what }, &p, map.views.to_vec());
    }

    pub(super) fn conv_grad_weight(&mut self, x: Id, dy: Id, window: ConvGeometry, out: Id) {
        // On devices the sum over all pixels comes in parts, which a product has not.
        if window.is_pointwise() && self.target == Target::Cpu {
            return self.affine_grad_weight(x, dy, out);
        }
        let (rows, shape) = (self.shape(x).rows(), self.shape(out));
        let [inputs, outputs] =
            [self.shape(x).columns() / pixels(window.source()), self.shape(dy).columns() / pixels(window.made())];
        let [fine, coarse] = if window.up { [outputs, inputs] } else { [inputs, outputs] };
        let [fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding] = extents(window);
        let [rows, fine, coarse] = [rows, fine, coarse].map(|n| n as u32);
        #[rustfmt::skip]
        let mut p = conv_weight::Params {
            rows, fine, coarse, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding, splits: 1,
        };
        let read = [self.place(x), self.place(dy)];
        let (kernel, manner, groups): (_, &[u32], fn(&_, &[u32]) -> _) = match self.target {
            Target::Simd8 if fit_textures(&read) => {
                (&conv_weight_texels::KERNEL, &conv_weight_texels::layout(&p), conv_weight_texels::groups)
            }
            Target::Gpu if conv_weight_tiles::suits(&p) => {
                (&conv_weight_tiles::KERNEL, &conv_weight_tiles::tilings(&p, window.up)[0], conv_weight_tiles::groups)
            }
            _ => (&conv_weight::KERNEL, &[conv_weight::rows(&p)], conv_weight::groups),
        };
        let consts = [&[u32::from(window.up)], manner].concat();
        let groups = groups(&p, &consts);
        if self.target != Target::Cpu {
            p.splits = parts(&p, groups) as u32;
        }
        let splits = p.splits as usize;
        let made = if splits > 1 { self.scratch(splits * shape.count()) } else { self.place(out) };
        let views = vec![read[0], read[1], View { split: true, ..made }];
        let (outer, grid) = (splits * shape.rows(), grid(splits * groups));
        let what = "d W and d b of a convolution";
        let dispatch = Dispatch { kernel, consts: &consts, outer, unit: 1, grid, what };
        self.push(&dispatch, &p, views);
        self.sum_of_parts(made, splits, out);
    }

    /// A convolution of each channel by itself, or `back` from its gradient to that of what it reads.
    pub(super) fn depthwise(&mut self, x: Id, w: Id, window: ConvGeometry, out: Id, back: bool) {
        let (rows, channels) = (self.shape(x).rows(), self.shape(w).columns());
        let [fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding] = extents(window);
        let (name, unit) = (self.parameter_name(w), self.unit(rows));
        let what = format!("{name}: {}", if back { "d input of each channel" } else { "conv of each channel + b" });
        let views = vec![self.split(x), self.place(w), self.split(out)];
        let consts = [u32::from(back)];
        #[rustfmt::skip]
        let p = depthwise::Params {
            rows: rows as u32, channels: channels as u32, fine_height, fine_width, coarse_height, coarse_width, kernel, stride,
            padding,
        };
        let grid = depthwise::grid(&p, &consts);
        let dispatch = Dispatch { kernel: &depthwise::KERNEL, consts: &consts, outer: rows, unit, grid, what: &what };
        self.push(&dispatch, &p, views);
    }

    pub(super) fn depthwise_grad_weight(&mut self, x: Id, dy: Id, window: ConvGeometry, out: Id) {
        let (rows, shape) = (self.shape(x).rows(), self.shape(out));
        let [fine_height, fine_width, coarse_height, coarse_width, kernel, stride, padding] = extents(window);
        #[rustfmt::skip]
        let mut p = depthwise_weight::Params {
            rows: rows as u32, channels: shape.columns() as u32, fine_height, fine_width, coarse_height, coarse_width, kernel,
            stride, padding, splits: 1,
        };
        if self.target != Target::Cpu {
            let all = rows * pixels(window.coarse);
            // Threads of a workgroup for each number of a part.
            let wanted = MANY.div_ceil(p.numbers().div_ceil(64)).min(all / FEWEST_PIXELS).max(1);
            p.splits = wanted.max(all.div_ceil(MAX_PIXELS)) as u32;
        }
        let splits = p.splits as usize;
        let made = if splits > 1 { self.scratch(splits * shape.count()) } else { self.place(out) };
        let views = vec![self.place(x), self.place(dy), View { split: true, ..made }];
        let (outer, grid) = (splits * shape.rows(), depthwise_weight::grid(&p));
        let what = "d W and d b of a convolution of each channel";
        let dispatch = Dispatch { kernel: &depthwise_weight::KERNEL, consts: &[], outer, unit: 1, grid, what };
        self.push(&dispatch, &p, views);
        self.sum_of_parts(made, splits, out);
    }

    /// The gradient of parameters that came in parts.
    fn sum_of_parts(&mut self, made: View, splits: usize, out: Id) {
        let shape = self.shape(out);
        if splits > 1 {
            let p = sum_columns::Params { rows: splits as u32, width: shape.count() as u32 };
            let (outer, grid) = (shape.count(), sum_columns::grid(&p));
            let what = "sum of its parts";
            let dispatch = Dispatch { kernel: &sum_columns::KERNEL, consts: &[], outer, unit: 1, grid, what };
            let views = vec![made, self.split(out)];
            self.push(&dispatch, &p, views);
        }
    }

    pub(super) fn pool(&mut self, id: Id, x: Id, window: ConvGeometry, factor: f32) {
        let (rows, channels) = (self.shape(x).rows(), self.shape(x).columns() / pixels(window.source()));
        let (views, unit) = (vec![self.split(x), self.split(id)], self.unit(rows));
        let [fine_height, fine_width, coarse_height, coarse_width, kernel, stride, _] = extents(window);
        let (rows, channels, outer) = (rows as u32, channels as u32, rows);
        #[rustfmt::skip]
        let p = pool::Params {
            rows, channels, fine_height, fine_width, coarse_height, coarse_width, kernel, stride, factor,
        };
        // Where pixels are repeated they are not scaled, and neither is the way back.
        let repeats = factor == 1.0 && kernel == stride;
        let what = match (window.up, repeats) {
            (false, false) => "average pool",
            (true, false) => "average pool: d input",
            (true, true) => "nearest upsample",
            (false, true) => "nearest upsample: d input",
        };
        let (kernel, consts) = (&pool::KERNEL, [u32::from(window.up)]);
        let grid = pool::grid(&p, &consts);
        self.push(&Dispatch { kernel, consts: &consts, outer, unit, grid, what }, &p, views);
    }

    pub(super) fn planes(&mut self, id: Id, x: Id, channels: usize, to_pixels: bool) {
        let (rows, width) = (self.shape(x).rows(), self.shape(x).columns());
        let p = planes::Params { rows: rows as u32, pixels: (width / channels) as u32, channels: channels as u32 };
        let (views, unit) = (vec![self.split(x), self.split(id)], self.unit(rows));
        let what = if to_pixels { "planes to pixels" } else { "pixels to planes" };
        let (kernel, consts, grid) = (&planes::KERNEL, [u32::from(to_pixels)], planes::grid(&p));
        self.push(&Dispatch { kernel, consts: &consts, outer: rows, unit, grid, what }, &p, views);
    }
}

/// What `Params` of kernels call `fine_height`, `fine_width`, `coarse_height`, `coarse_width`, `kernel`, `stride`, `padding`.
fn extents(ConvGeometry { fine, coarse, kernel, stride, padding, .. }: ConvGeometry) -> [u32; 7] {
    [fine[0], fine[1], coarse[0], coarse[1], kernel, stride, padding].map(|n| n as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_come_in_parts_of_a_bearable_size() {
        for (rows, side, channels) in [(128, 28, 1), (128, 14, 32), (1, 4, 4), (512, 128, 3), (64, 4, 512)] {
            let p = conv_weight::Params {
                rows,
                fine: channels,
                coarse: 64,
                fine_height: side,
                fine_width: side,
                coarse_height: side / 2,
                coarse_width: side / 2,
                kernel: 4,
                stride: 2,
                padding: 1,
                splits: 1,
            };
            let parts = parts(&p, conv_weight::groups(&p, &[0, conv_weight::rows(&p)]));
            let pixels = (rows * side * side) as usize;
            assert!(pixels.div_ceil(parts) <= MAX_PIXELS, "{parts} parts of {pixels} pixels");
            assert!(parts == 1 || pixels / 4 / parts >= FEWEST_PIXELS / 2, "{parts} parts of {pixels} pixels");
        }
    }
}
