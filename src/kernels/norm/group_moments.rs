//! The mean and one over the standard deviation of each group of neighbouring channels, over all pixels of a row:
//! [R, pixels, channels] → [R, groups, 2].

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
        /// What is added to the variance.
        pub eps: f32,
    }
}

/// The kernel; its outer axis are the rows.
pub static KERNEL: Kernel = Kernel {
    name: "group_moments",
    wgsl: include_str!("../../../shaders/norm/group_moments.wgsl"),
    bindings: &[read("x"), write("moments")],
    params: FIELDS,
    entry: &[],
    consts: &[],
    workgroup: [64, 1, 1],
    cpu,
    fast: Some(fast),
    sums: crate::kernels::short,
    loop_iterations: |asked| (loop_iterations(&asked.params()), "smaller images or more groups"),
    family: crate::kernels::Family::Alone,
};

/// What is added to variances, as `PyTorch` and ONNX have it.
pub const EPS: f32 = 1e-5;

/// The grid of a dispatch: a workgroup for each group of each row.
pub fn grid(p: &Params) -> [u32; 3] {
    crate::kernels::grid(p.rows as usize * p.groups as usize)
}

/// Rounds of a thread: numbers that it adds up for the mean, and again for the variance.
fn loop_iterations(p: &Params) -> usize {
    2 * p.layout().count().div_ceil(64)
}

impl Params {
    fn layout(&self) -> Row {
        Row::new(self.pixels, self.channels, self.groups)
    }
}

fn cpu(call: Call) {
    let p: Params = call.params();
    let Call { reads, mut writes, .. } = call;
    let layout = p.layout();
    let rows = f32s(reads[0]).chunks_exact(layout.width());
    for (x, moments) in rows.zip(f32s_mut(writes[0]).chunks_exact_mut(2 * layout.groups)) {
        for (group, moments) in moments.chunks_exact_mut(2).enumerate() {
            let values = layout.places(group).map(|at| f64::from(x[at]));
            let mean = values.clone().sum::<f64>() / layout.count() as f64;
            let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / layout.count() as f64;
            moments[0] = mean as f32;
            moments[1] = (1.0 / (variance + f64::from(p.eps)).sqrt()) as f32;
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
    let count = p.channels as f64;
    for (x, moments) in f32s(reads[0]).chunks_exact(p.channels as usize).zip(f32s_mut(writes[0]).chunks_exact_mut(2)) {
        let mean = (columns([x], [], |[x]| (x, [])) / count) as f32;
        let variance = (columns([x], [], |[x]| ((x - mean) * (x - mean), [])) / count) as f32;
        moments.copy_from_slice(&[mean, 1.0 / (variance + p.eps).sqrt()]);
    }
}

/// Channel by channel, so that a pixel's channels are read side by side.
#[inline(always)]
fn by_channels(call: Call) {
    let p: Params = call.params();
    let Call { reads, mut writes, .. } = call;
    let layout = p.layout();
    let (mut sums, mut part) = (vec![0.0; layout.channels], vec![0.0; layout.channels]);
    let (mut means, mut of_groups) = (vec![0.0; layout.channels], vec![0.0; layout.groups]);
    let rows = f32s(reads[0]).chunks_exact(layout.width());
    for (x, moments) in rows.zip(f32s_mut(writes[0]).chunks_exact_mut(2 * layout.groups)) {
        layout.sums(&mut sums, &mut part, |at, _| x[at]);
        layout.means(&sums, &mut of_groups);
        layout.spread(|group| of_groups[group], &mut means);
        moments.chunks_exact_mut(2).zip(&of_groups).for_each(|(moments, &mean)| moments[0] = mean);
        layout.sums(&mut sums, &mut part, |at, channel| (x[at] - means[channel]) * (x[at] - means[channel]));
        layout.means(&sums, &mut of_groups);
        let deviations = moments.chunks_exact_mut(2).zip(&of_groups);
        deviations.for_each(|(moments, &variance)| moments[1] = 1.0 / (variance + p.eps).sqrt());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{StepScalars, testing};
    use bytemuck::Zeroable;

    #[test]
    fn each_group_has_a_mean_and_a_deviation_of_its_own() {
        let (p, step) = (Params { rows: 1, pixels: 2, channels: 3, groups: 3, eps: 1.0 }, StepScalars::zeroed());
        let x = [1.0, 10.0, 5.0, 3.0, 10.0, 5.0 + 2.0 * 8.0_f32.sqrt()];
        for function in [cpu, fast] {
            let mut moments = [f32::NAN; 6];
            function(testing::call(0..1, &p, &[], &step, &[&x], vec![&mut moments]));
            let third = 5.0 + 8.0_f64.sqrt();
            testing::assert_close(&moments, &[2.0, 1.0 / 2.0_f64.sqrt(), 10.0, 1.0, third, 1.0 / 3.0], 1e-6);
            // Two channels that belong together.
            let p = Params { channels: 2, pixels: 3, groups: 1, ..p };
            let mut moments = [f32::NAN; 2];
            function(testing::call(0..1, &p, &[], &step, &[&[1.0, 1.0, 1.0, 5.0, 5.0, 5.0]], vec![&mut moments]));
            testing::assert_close(&moments, &[3.0, 1.0 / 5.0_f64.sqrt()], 1e-6);
        }
    }
}
