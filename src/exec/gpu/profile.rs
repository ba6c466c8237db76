//! Steps one by one, each between two timestamps of the device, or between two looks at the host's clock.

use super::{Dispatch, Gpu, SUBMISSIONS_IN_FLIGHT, Turn, Uniforms, dispatch_in, memory, submit};
use crate::error::Result;
use crate::exec::PlanId;
use crate::exec::profile::{Clock, Effort, Samples};
use crate::exec::selftest::cases::Case;
use crate::kernels::StepScalars;
use crate::plan::Role;
use std::time::{Duration, Instant};

/// Without timestamps a step is repeated within a submission for about so long, so that submitting weighs little.
const SUBMISSION: Duration = Duration::from_millis(20);

/// The most repeats within a submission.
const MAX_REPEATS: usize = 64;

impl Gpu {
    /// Seconds of each step of a plan.
    pub(in crate::exec) fn profile(&mut self, id: PlanId, scalars: &StepScalars, effort: Effort) -> Result<Samples> {
        self.finish()?;
        let loaded = &self.plans[id.0];
        let (uniforms, dispatches) = (loaded.uniforms.clone(), loaded.dispatches.clone());
        self.write_steps(&uniforms, &vec![*scalars; uniforms.members]);
        self.time(&uniforms, &dispatches, effort)
    }

    /// Computes a case in buffers of its own, shows what they hold then to `judge`, and measures it if that says so.
    pub(in crate::exec) fn time_case(
        &mut self,
        case: &Case,
        effort: Effort,
        judge: &mut dyn FnMut(&[Vec<u32>]) -> bool,
    ) -> Result<Option<Samples>> {
        let bound = self.bind(&case.step, &[&case.buffers])?;
        let mut found = [(case.scalars, case.buffers.clone())];
        self.run_bound(&bound, &case.step, &mut found)?;
        if !judge(&found[0].1) {
            return Ok(None);
        }
        self.time(&bound.uniforms, std::slice::from_ref(&bound.dispatch), effort).map(Some)
    }

    /// Seconds of a copy of `words` words from one buffer to another, as the driver copies.
    pub(in crate::exec) fn time_copy(&mut self, words: usize, effort: Effort) -> Result<Vec<f64>> {
        let bytes = 4 * words as u64;
        let [from, to] = [0, 1].map(|slot| memory::storage(&self.device, bytes, &Role::Slot(slot), 1));
        let (from, to) = (from?, to?);
        let mut copies = |count: usize| {
            self.finish()?;
            let begun = Instant::now();
            let mut encoder = self.device.handle.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for _ in 0..count {
                encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
            }
            let submission = self.device.queue.submit([encoder.finish()]);
            self.submitted(submission, None, 0);
            self.finish()?;
            Ok(begun.elapsed().as_secs_f64() / count as f64)
        };
        by_submissions(effort, &mut copies)
    }

    fn time(&mut self, uniforms: &Uniforms, dispatches: &[Dispatch], effort: Effort) -> Result<Samples> {
        let queries = 2 * dispatches.len();
        if self.device.timestamps && queries <= wgpu::QUERY_SET_MAX_QUERIES as usize {
            let steps = self.by_timestamps(uniforms, dispatches, effort)?;
            // Some drivers offer timestamps and never write one.
            if steps.iter().flatten().any(|&seconds| seconds > 0.0) {
                return Ok(Samples { clock: Clock::Timestamps, steps });
            }
        }
        let mut steps = Vec::with_capacity(dispatches.len());
        for dispatch in dispatches {
            let mut runs = |count: usize| {
                self.finish()?;
                let begun = Instant::now();
                let submission =
                    submit(&self.device, "profile", &[Turn::once(uniforms, &vec![dispatch.clone(); count])]);
                self.submitted(submission, None, count);
                self.finish()?;
                Ok(begun.elapsed().as_secs_f64() / count as f64)
            };
            steps.push(by_submissions(effort, &mut runs)?);
        }
        Ok(Samples { clock: Clock::Submissions, steps })
    }

    /// All dispatches in order, once per repeat, each in a pass that begins and ends with a timestamp. All timestamps
    /// are read back together at the end.
    fn by_timestamps(&mut self, uniforms: &Uniforms, dispatches: &[Dispatch], effort: Effort) -> Result<Vec<Vec<f64>>> {
        let count = 2 * dispatches.len() as u32;
        let queries = self.device.handle.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        // The copies of a repeat begin where a device can resolve queries to.
        let stride = (8 * u64::from(count)).next_multiple_of(wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT);
        let descriptor = wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: stride * (effort.repeats as u64 + 2),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        let resolved = memory::make(&self.device, &descriptor).map_err(|error| super::fault::translate(&error))?;
        let mut repeats = effort.begin();
        let mut made = 0;
        while repeats.another() {
            self.make_room(SUBMISSIONS_IN_FLIGHT - 1)?;
            let mut encoder = self.device.handle.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let noting = |beginning: Option<u32>, end: Option<u32>| wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: beginning,
                    end_of_pass_write_index: end,
                }),
            };
            for (at, dispatch) in (0..).zip(dispatches) {
                let (mut beginning, end) = (Some(2 * at), Some(2 * at + 1));
                if !dispatch.copies.is_empty() {
                    // Copies belong to the step and are made before its pass: an empty one notes when they begin.
                    drop(encoder.begin_compute_pass(&noting(beginning.take(), None)));
                    dispatch.copies.iter().for_each(|copy| copy.record(&mut encoder));
                }
                dispatch_in(&mut encoder.begin_compute_pass(&noting(beginning, end)), uniforms, dispatch, 0);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, made * stride);
            let submission = self.device.queue.submit([encoder.finish()]);
            self.submitted(submission, None, dispatches.len());
            made += 1;
        }
        let words = self.read_back(&resolved, 0, (made * stride) as usize / 4)?;
        let nanoseconds = f64::from(self.device.queue.get_timestamp_period());
        let ticks: Vec<u64> = words.chunks_exact(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32).collect();
        let seconds = |row: &[u64], at: usize| row[2 * at + 1].saturating_sub(row[2 * at]) as f64 * nanoseconds * 1e-9;
        // The first repeat was the rehearsal.
        let rows = || ticks.chunks_exact(stride as usize / 8).skip(1);
        Ok((0..dispatches.len()).map(|at| rows().map(|row| seconds(row, at)).collect()).collect())
    }
}

/// Seconds of one run of something that is submitted again and again, as often per submission as is worth the submission.
fn by_submissions(effort: Effort, submit: &mut dyn FnMut(usize) -> Result<f64>) -> Result<Vec<f64>> {
    let (mut repeats, mut count, mut found) = (effort.begin(), None, vec![]);
    while repeats.another() {
        let seconds = submit(count.unwrap_or(1))?;
        if count.is_some() {
            found.push(seconds);
        } else {
            count = Some((SUBMISSION.as_secs_f64() / seconds.max(1e-9)).clamp(1.0, MAX_REPEATS as f64) as usize);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::gpu::adapters;
    use crate::exec::selftest::cases::{Size, case};
    use crate::kernels::{Access, combine, f32s};

    #[test]
    fn steps_are_timed_with_and_without_timestamps() {
        // The integration tests say where no adapter was found.
        for adapter in adapters() {
            let mut gpu = Gpu::open(&adapter, true).expect("the adapter opens");
            let offered = gpu.device.timestamps;
            let case = case(&combine::KERNEL, &[0], Size { rows: 64, width: 64, depth: 1 }).expect("there is a case");
            for timestamps in [offered, false] {
                gpu.device.timestamps = timestamps;
                let effort = Effort { repeats: 4, time: Duration::MAX };
                let mut judge = |found: &[Vec<u32>]| {
                    let written = case.step.kernel.bindings.iter().zip(found).find(|(b, _)| b.access != Access::Read);
                    written.is_some_and(|(_, words)| f32s(words).iter().all(|value| value.is_finite()))
                };
                let samples = gpu.time_case(&case, effort, &mut judge).expect("it runs").expect("it is right");
                let expected = if timestamps { Clock::Timestamps } else { Clock::Submissions };
                assert_eq!((samples.clock, samples.steps.len(), samples.steps[0].len()), (expected, 1, 4));
                assert!(samples.steps[0].iter().all(|&seconds| (0.0..10.0).contains(&seconds)), "{samples:?}");
                let refused = gpu.time_case(&case, effort, &mut |_| false).expect("it runs");
                assert!(refused.is_none());
            }
            let copies = gpu.time_copy(1000, Effort { repeats: 3, time: Duration::MAX }).expect("it copies");
            assert!(copies.len() == 3 && copies.iter().all(|&seconds| seconds > 0.0), "{copies:?}");
        }
    }
}
