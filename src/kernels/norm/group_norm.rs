//! Group normalisation by given moments, `y = (x − mean)/deviation·scale + shift`: [R, pixels, channels], [2, channels],
//! [R, groups, 2] → [R, pixels, channels].

use crate::kernels::groups::Row;
use crate::kernels::vector::columns;
use crate::kernels::{Call, Kernel, f32s, f32s_mut, read, write};

crate::kernels::params! {
    /// Constants of one use.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// Pixels of an image.
        pub pixels: u32,
        /// Channels of an image.
        pub channels: u32,
        /// Groups, which divide the channels.
        pub groups: u32,
    }
}

/// The kernel; its outer axis are the rows. The rows of `w` are scale and shift.
pub static KERNEL: Kernel = Kernel {
    name: "group_norm",
    wgsl: include_str!("../../../shaders/norm/group_norm.wgsl"),
    bindings: &[read("x"), read("w"), read("moments"), write("y")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [256, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: crate::kernels::few_iterations,
    family: crate::kernels::Family::Alone,
};

/// The grid of a dispatch.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid((p.rows as usize * p.layout().width()).div_ceil(256))
}

impl Params {
    pub(in crate::kernels) fn layout(&self) -> Row {
        Row::new(self.pixels, self.channels, self.groups)
    }
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { range, reads, mut writes, .. } = call;
    let ([x, w, moments], layout) = ([0, 1, 2].map(|i| f32s(reads[i])), p.layout());
    for (at, y) in f32s_mut(writes[0]).iter_mut().enumerate().take(range.len() * layout.width()) {
        let (row, channel) = (at / layout.width(), at % layout.channels);
        let group = row * layout.groups + layout.group(at % layout.width());
        *y = (x[at] - moments[2 * group]) * moments[2 * group + 1] * w[channel] + w[layout.channels + channel];
    }
}

fn fast(call: Call) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || by_channels(call),
    );
}

/// With what belongs to a channel of a row worked out before its pixels.
#[inline(always)]
fn by_channels(call: Call) {
    let p: Params = call.params();
    let Call { reads, mut writes, .. } = call;
    let ([x, w, moments], layout) = ([0, 1, 2].map(|i| f32s(reads[i])), p.layout());
    let (scale, shift) = w.split_at(layout.channels);
    if layout.is_plain() {
        let rows = x.chunks_exact(layout.channels).zip(moments.chunks_exact(2));
        for ((x, moments), y) in rows.zip(f32s_mut(writes[0]).chunks_exact_mut(layout.channels)) {
            columns([x, scale, shift], [y], |[x, scale, shift]| {
                (0.0, [(x - moments[0]) * (moments[1] * scale) + shift])
            });
        }
        return;
    }
    let (mut means, mut inverses) = (vec![0.0; layout.channels], vec![0.0; layout.channels]);
    let rows = x.chunks_exact(layout.width()).zip(moments.chunks_exact(2 * layout.groups));
    for ((x, moments), y) in rows.zip(f32s_mut(writes[0]).chunks_exact_mut(layout.width())) {
        layout.spread(|group| moments[2 * group], &mut means);
        layout.spread(|group| moments[2 * group + 1], &mut inverses);
        inverses.iter_mut().zip(scale).for_each(|(inverse, scale)| *inverse *= scale);
        for (x, y) in x.chunks_exact(layout.channels).zip(y.chunks_exact_mut(layout.channels)) {
            for channel in 0..y.len() {
                y[channel] = (x[channel] - means[channel]) * inverses[channel] + shift[channel];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn channels_are_scaled_and_shifted_by_their_own_numbers() {
        let (p, step) = (Params { rows: 2, pixels: 2, channels: 2, groups: 1 }, StepScalars::zeroed());
        let (x, w, moments) = ([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 0.5, 0.25], [1.0, 2.0, 0.0, 1.0]);
        for function in [cpu, fast] {
            let mut y = [f32::NAN; 8];
            function(testing::call(0..2, &p, &[], &step, &[&x, &w, &moments], vec![&mut y]));
            assert_eq!(y, [0.5, 20.25, 4.5, 60.25, 1.5, 20.25, 3.5, 40.25]);
        }
    }
}
