//! The gradient of [`crate::kernels::group_norm`] for x, also by way of the moments, which are x's. With n = (x − mean)/deviation
//! and g = dy·scale it is `(g − mean(g) − n·mean(g·n))/deviation`, the means being those over the group.

use crate::kernels::vector::columns;
use crate::kernels::{Call, Kernel, f32s, f32s_mut, group_norm, read, write};

pub use group_norm::Params;

/// The kernel; its outer axis are the rows. The rows of `w` are scale and shift.
pub static KERNEL: Kernel = Kernel {
    name: "group_norm_grad",
    wgsl: include_str!("../../../shaders/norm/group_norm_grad.wgsl"),
    bindings: &[read("x"), read("w"), read("moments"), read("dy"), write("dx")],
    params: group_norm::FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(&asked.params()), "smaller images or more groups"),
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch: a workgroup for each group of each row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize * p.groups as usize)
}

/// Rounds of a thread: numbers that it adds up, and again those that it writes.
fn loop_iterations(p: &Params) -> usize {
    2 * p.layout().count().div_ceil(64)
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let ([x, w, moments, dy], layout) = ([0, 1, 2, 3].map(|i| f32s(reads[i])), p.layout());
    let dx = f32s_mut(writes[0]);
    for (row, group) in (0..range.len()).flat_map(|row| (0..layout.groups).map(move |group| (row, group))) {
        let first = row * layout.width();
        let at = 2 * (row * layout.groups + group);
        let (mean, inverse) = (f64::from(moments[at]), f64::from(moments[at + 1]));
        let normal = |at: usize| (f64::from(x[first + at]) - mean) * inverse;
        let g = |at: usize| f64::from(dy[first + at]) * f64::from(w[at % layout.channels]);
        let count = layout.count() as f64;
        let mean_g = layout.places(group).map(g).sum::<f64>() / count;
        let mean_gn = layout.places(group).map(|at| g(at) * normal(at)).sum::<f64>() / count;
        for at in layout.places(group) {
            dx[first + at] = ((g(at) - mean_g - normal(at) * mean_gn) * inverse) as f32;
        }
    }
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            if call.params::<Params>().layout().is_plain() { by_rows(call) } else { by_channels(call) }
        },
    );
}

/// Where a row is one group, number by number.
#[inline(always)]
fn by_rows(call: Call) {
    let p: Params = call.params();
    let Call { reads, mut writes, .. } = call;
    let ([x, w, moments, dy], width) = ([0, 1, 2, 3].map(|i| f32s(reads[i])), p.channels as usize);
    let (scale, count) = (&w[..width], width as f64);
    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(moments.chunks_exact(2));
    for (((x, dy), moments), dx) in rows.zip(f32s_mut(writes[0]).chunks_exact_mut(width)) {
        let [mean, inverse] = [moments[0], moments[1]];
        let mean_g = (columns([dy, scale], [], |[dy, scale]| (dy * scale, [])) / count) as f32;
        let term = |[x, dy, scale]: [f32; 3]| (dy * scale * (x - mean) * inverse, []);
        let mean_gn = (columns([x, dy, scale], [], term) / count) as f32;
        columns([x, dy, scale], [dx], |[x, dy, scale]| {
            (0.0, [(dy * scale - mean_g - (x - mean) * inverse * mean_gn) * inverse])
        });
    }
}

/// With what belongs to a channel of a row worked out before its pixels.
#[inline(always)]
fn by_channels(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let ([x, w, moments, dy], layout) = ([0, 1, 2, 3].map(|i| f32s(reads[i])), p.layout());
    let (channels, width) = (layout.channels, layout.width());
    let (mut sums, mut part, mut of_groups) = (vec![0.0; channels], vec![0.0; channels], vec![0.0; layout.groups]);
    let [mut means, mut inverses, mut mean_g, mut mean_gn] = [0; 4].map(|_| vec![0.0; channels]);
    for row in 0..range.len() {
        let (x, dy) = (&x[row * width..][..width], &dy[row * width..][..width]);
        let moments = &moments[row * 2 * layout.groups..][..2 * layout.groups];
        layout.spread(|group| moments[2 * group], &mut means);
        layout.spread(|group| moments[2 * group + 1], &mut inverses);
        layout.sums(&mut sums, &mut part, |at, channel| dy[at] * w[channel]);
        layout.means(&sums, &mut of_groups);
        layout.spread(|group| of_groups[group], &mut mean_g);
        let term = |at: usize, channel: usize| dy[at] * w[channel] * (x[at] - means[channel]) * inverses[channel];
        layout.sums(&mut sums, &mut part, term);
        layout.means(&sums, &mut of_groups);
        layout.spread(|group| of_groups[group], &mut mean_gn);
        let dx = &mut f32s_mut(writes[0])[row * width..][..width];
        for (pixel, dx) in dx.chunks_exact_mut(channels).enumerate() {
            let (x, dy) = (&x[pixel * channels..][..channels], &dy[pixel * channels..][..channels]);
            for channel in 0..channels {
                let normal = (x[channel] - means[channel]) * inverses[channel];
                dx[channel] =
                    (dy[channel] * w[channel] - mean_g[channel] - normal * mean_gn[channel]) * inverses[channel];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    /// Of two numbers only their difference counts, and eps keeps it from vanishing; what is the same for both is nothing.
    #[test]
    fn the_gradient_knows_no_common_shift() {
        let (p, step) = (Params { rows: 1, pixels: 1, channels: 3, groups: 1 }, StepScalars::zeroed());
        let (x, w, moments) = ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [2.0, 1.0]);
        for function in [cpu, fast] {
            let mut dx = [f32::NAN; 3];
            function(testing::call(0..1, &p, &[], &step, &[&x, &w, &moments, &[5.0, 5.0, 5.0]], vec![&mut dx]));
            assert_eq!(dx, [0.0; 3]);
            function(testing::call(0..1, &p, &[], &step, &[&x, &w, &moments, &[3.0, 0.0, 0.0]], vec![&mut dx]));
            assert_eq!(dx, [1.0, -1.0, 0.0]);
        }
    }
}
