//! What each row gives to the gradient of the scale and the shift of [`crate::kernels::group_norm`]: `Σ dy·(x − mean)/deviation`
//! and `Σ dy` over the pixels, [R, 2, channels].

use crate::kernels::vector::columns;
use crate::kernels::{Asked, Call, Kernel, Sum, f32s, f32s_mut, group_norm, read, write};

pub use group_norm::Params;

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "group_norm_weight",
    wgsl: include_str!("../../../shaders/norm/group_norm_weight.wgsl"),
    bindings: &[read("x"), read("moments"), read("dy"), write("parts")],
    params: group_norm::FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [CHANNELS as u32, LANES as u32, 1],
    cpu,
    fast: Some(fast),
    sums,
    loop_iterations: |asked| (loop_iterations(&asked.params()), "smaller images"),
    family: crate::kernels::Family::Alone,
};

/// Channels of a workgroup.
const CHANNELS: usize = 32;
/// Threads of a channel.
const LANES: usize = 8;

/// The grid of a dispatch: workgroups for the channels of each row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize * (p.channels as usize).div_ceil(CHANNELS))
}

/// Rounds of a thread: its share of the pixels.
fn loop_iterations(p: &Params) -> usize {
    (p.pixels as usize).div_ceil(LANES)
}

/// Gradients of all pixels, times numbers that are normalised.
fn sums(asked: &Asked, size: &dyn Fn(usize) -> f64) -> Sum {
    Sum::of(asked.params::<Params>().pixels as usize, size(2))
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let ([x, moments, dy], layout) = ([0, 1, 2].map(|i| f32s(reads[i])), p.layout());
    let (channels, width) = (layout.channels, layout.width());
    for (row, parts) in (0..range.len()).zip(f32s_mut(writes[0]).chunks_exact_mut(2 * channels)) {
        let (scale, shift) = parts.split_at_mut(channels);
        for channel in 0..channels {
            let at = 2 * (row * layout.groups + layout.group(channel));
            let (mean, inverse) = (f64::from(moments[at]), f64::from(moments[at + 1]));
            let places = (0..layout.pixels).map(|pixel| row * width + pixel * channels + channel);
            let normal = |at: usize| (f64::from(x[at]) - mean) * inverse;
            scale[channel] = places.clone().map(|at| f64::from(dy[at]) * normal(at)).sum::<f64>() as f32;
            shift[channel] = places.map(|at| f64::from(dy[at])).sum::<f64>() as f32;
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

/// Where a row is one group, number by number: there is nothing to add up.
#[inline(always)]
fn by_rows(call: Call) {
    let p: Params = call.params();
    let Call { reads, mut writes, .. } = call;
    let ([x, moments, dy], width) = ([0, 1, 2].map(|i| f32s(reads[i])), p.channels as usize);
    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(moments.chunks_exact(2));
    for (((x, dy), moments), parts) in rows.zip(f32s_mut(writes[0]).chunks_exact_mut(2 * width)) {
        let (scale, shift) = parts.split_at_mut(width);
        columns([x, dy], [scale], |[x, dy]| (0.0, [dy * (x - moments[0]) * moments[1]]));
        shift.copy_from_slice(dy);
    }
}

/// All channels of a pixel side by side.
#[inline(always)]
fn by_channels(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let ([x, moments, dy], layout) = ([0, 1, 2].map(|i| f32s(reads[i])), p.layout());
    let (channels, width) = (layout.channels, layout.width());
    let (mut sums, mut part) = (vec![0.0; channels], vec![0.0; channels]);
    let (mut means, mut inverses) = (vec![0.0; channels], vec![0.0; channels]);
    for (row, parts) in (0..range.len()).zip(f32s_mut(writes[0]).chunks_exact_mut(2 * channels)) {
        let (x, dy) = (&x[row * width..][..width], &dy[row * width..][..width]);
        let moments = &moments[row * 2 * layout.groups..][..2 * layout.groups];
        layout.spread(|group| moments[2 * group], &mut means);
        layout.spread(|group| moments[2 * group + 1], &mut inverses);
        let (scale, shift) = parts.split_at_mut(channels);
        layout.sums(&mut sums, &mut part, |at, channel| dy[at] * (x[at] - means[channel]) * inverses[channel]);
        scale.iter_mut().zip(&sums).for_each(|(scale, &sum)| *scale = sum as f32);
        layout.sums(&mut sums, &mut part, |at, _| dy[at]);
        shift.iter_mut().zip(&sums).for_each(|(shift, &sum)| *shift = sum as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn each_channel_sums_over_its_pixels() {
        let (p, step) = (Params { rows: 1, pixels: 2, channels: 2, groups: 2 }, StepScalars::zeroed());
        let (x, moments, dy) = ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 0.0, 1.0], [1.0, 10.0, 2.0, 20.0]);
        for function in [cpu, fast] {
            let mut parts = [f32::NAN; 4];
            function(testing::call(0..1, &p, &[], &step, &[&x, &moments, &dy], vec![&mut parts]));
            assert_eq!(parts, [8.0, 100.0, 3.0, 30.0]);
        }
    }
}
