//! Every kernel on every device against its twin, and the twins and the CPU engine's functions against themselves.
//!
//! [`verdict`] judges one case on one device. It is also given kernels that were broken on purpose.

use crate::support::{ROUNDING, adapters, compare, executors};
use elbo::exec::selftest::cases::{Case, SENTINEL, Size, case, settings};
use elbo::exec::selftest::{dispatch, self_test};
use elbo::exec::{Executor, twin};
use elbo::kernels::{Access, Binding, Call, KERNELS, Kernel, Scalar, StepScalars, f32s, grid};
use elbo::rng::key;
use std::collections::HashSet;

const fn size(rows: usize, width: usize, depth: usize) -> Size {
    Size { rows, width, depth }
}

/// One, and around the widths of workgroups (64 and 256) and of blocks (4); primes; one that takes many workgroups.
const SIZES: &[Size] = &[
    size(1, 1, 1),
    size(2, 3, 2),
    size(3, 63, 4),
    size(1, 64, 1),
    size(63, 65, 5),
    size(64, 4, 1),
    size(65, 5, 64),
    size(1, 255, 2),
    size(2, 128, 256),
    size(1, 257, 257),
    size(31, 37, 7),
    size(150, 300, 3),
];

/// One, and around the tiles of `matmul` (64×64, 16 deep) and of `matmul_direct` (16×8); primes; one of many tiles.
const PRODUCTS: &[Size] = &[
    size(1, 1, 1),
    size(15, 7, 15),
    size(16, 8, 16),
    size(17, 9, 17),
    size(63, 63, 31),
    size(64, 64, 32),
    size(65, 65, 33),
    size(7, 13, 11),
    size(1, 150, 40),
    size(110, 140, 200),
];

/// A product whose sums the CPU engine may cut in pieces.
const DEEP: Size = size(128, 40, 1024);

/// More rows than the first dimension of a grid takes.
const MANY_ROWS: Size = size(65_537, 1, 1);

/// Words behind the end of each binding, which nothing may change.
const TAIL: usize = 70;

/// What lies behind the end: where it must not be read, a NaN that is not the one that must not be overwritten; where
/// a kernel reads what it writes, a number, since a NaN would survive arithmetic.
const fn tail(access: Access) -> u32 {
    match access {
        Access::Read => 0x7fc0_beef,
        Access::Write => SENTINEL,
        Access::ReadWrite => 0x3f80_0000,
    }
}

fn sizes(kernel: &Kernel) -> &'static [Size] {
    if is_product(kernel) { PRODUCTS } else { SIZES }
}

/// The kernels that a device can run: all that do not count on its subgroups, and those that do if they can.
fn runnable(executor: &Executor) -> Vec<&'static Kernel> {
    let runnable: Vec<_> = KERNELS.iter().copied().filter(|kernel| executor.can_run(kernel)).collect();
    let rest = KERNELS.len() - runnable.len();
    assert!(
        rest == 0 || rest == KERNELS.iter().filter(|kernel| kernel.needs_subgroups()).count(),
        "{rest} are left out"
    );
    runnable
}

fn is_product(kernel: &Kernel) -> bool {
    kernel.name.starts_with("matmul")
}

fn make(kernel: &'static Kernel, consts: &[u32], size: Size) -> Case {
    case(kernel, consts, size).unwrap_or_else(|| panic!("{} has no case in src/exec/selftest/cases.rs", kernel.name))
}

/// What a model is told of a step, and what its bindings hold.
type Member = (StepScalars, Vec<Vec<u32>>);

/// The case for one of several models, the first of which has it as it is: other scalars, and other words wherever the
/// kernel may read some, but for the columns of a table and the places of codes, constants of the plan that they share, and for
/// compressed sparse rows, whose words point at each other.
fn of_member(case: &Case, member: usize) -> Member {
    let by = 1.0 - member as f32 / 8.0;
    let rows = case.scalars.rows.saturating_sub(member as u32).max(1);
    let scalars = StepScalars {
        key: if member == 0 { case.scalars.key } else { key(member as u64) },
        rows,
        row_weight: 1.0 / rows as f32,
        sample: case.scalars.sample + member as u32,
        lr: case.scalars.lr * by,
        weights: case.scalars.weights.map(|weight| weight * by),
        ..case.scalars
    };
    let mut buffers = case.buffers.clone();
    let sparse = case.step.kernel.name == "gather_sparse";
    let own = |(_, binding): &(&mut Vec<u32>, &Binding)| {
        !(["columns", "places"].contains(&binding.name) || sparse && binding.name == "data")
    };
    for (words, binding) in buffers.iter_mut().zip(case.step.kernel.bindings).filter(own) {
        match binding.kind {
            Scalar::u32 => {
                let by = member % words.len();
                words.rotate_left(by);
            }
            Scalar::f32 => {
                let filled = words.iter_mut().filter(|word| **word != SENTINEL);
                filled.for_each(|word| *word = (f32::from_bits(*word) * by).to_bits());
            }
        }
    }
    (scalars, buffers)
}

/// Whether a device computes what the twin computes, everywhere and nowhere else. All bindings are longer than needed.
fn verdict(executor: &mut Executor, case: &Case) -> Result<(), String> {
    verdict_of_members(executor, case, 1)
}

/// The same for so many models in one dispatch.
fn verdict_of_members(executor: &mut Executor, case: &Case, members: usize) -> Result<(), String> {
    let mut expected: Vec<Member> = (0..members).map(|member| of_member(case, member)).collect();
    let mut found = expected.clone();
    for (scalars, buffers) in &mut expected {
        twin::call_whole(case.step.kernel.cpu, &case.step, scalars, buffers);
    }
    for (words, binding) in found.iter_mut().flat_map(|(_, buffers)| buffers.iter_mut().zip(case.step.kernel.bindings))
    {
        words.resize(words.len() + TAIL, tail(binding.access));
    }
    dispatch(executor, case, &mut found).map_err(|error| error.to_string())?;
    for (member, ((_, expected), (_, found))) in expected.iter().zip(&found).enumerate() {
        judge(case, expected, found)
            .map_err(|why| if member == 0 { why } else { format!("member {member}: {why}") })?;
    }
    Ok(())
}

/// Whether the bindings hold what the twin left in them.
fn judge(case: &Case, expected: &[Vec<u32>], found: &[Vec<u32>]) -> Result<(), String> {
    for ((binding, expected), found) in case.step.kernel.bindings.iter().zip(expected).zip(found) {
        let name = binding.name;
        let (inside, behind) = found.split_at(expected.len());
        if let Some(at) = behind.iter().position(|&word| word != tail(binding.access)) {
            return Err(format!("{name}: the word {at} behind its end was overwritten"));
        }
        if binding.access == Access::Read {
            continue;
        }
        let places = expected.iter().zip(inside);
        if let Some(at) = places.clone().position(|(&e, &f)| (e == SENTINEL) != (f == SENTINEL)) {
            let what = if inside[at] == SENTINEL { "was not written" } else { "must not be written" };
            return Err(format!("{name}: element {at} {what}"));
        }
        let (expected, found): (Vec<u32>, Vec<u32>) = places.filter(|(e, _)| **e != SENTINEL).unzip();
        compare(f32s(&expected), f32s(&found), ROUNDING).map_err(|difference| format!("{name}: {difference}"))?;
    }
    Ok(())
}

/// Fails with the device and the case if the device is wrong.
#[track_caller]
fn assert_right(executor: &mut Executor, case: &Case) {
    if let Err(difference) = verdict(executor, case) {
        let (kernel, consts) = (case.step.kernel, &case.step.consts);
        let (name, what) = (executor.name(), &case.step.what);
        panic!("{} {:?} = {consts:?}, {what}, on {name}: {difference}", kernel.name, kernel.consts);
    }
}

#[test]
fn every_kernel_agrees_with_its_twin_on_every_device() {
    for mut executor in executors() {
        for kernel in runnable(&executor) {
            for consts in settings(kernel) {
                for &size in sizes(kernel) {
                    assert_right(&mut executor, &make(kernel, &consts, size));
                }
            }
        }
    }
}

/// The settings under which a kernel finds its bindings in different ways: of products a few, with every epilogue.
fn telling_settings(kernel: &Kernel) -> Vec<Vec<u32>> {
    let mut all = settings(kernel);
    if is_product(kernel) {
        let last = all.split_off(all.len() - 3);
        all.retain(|consts| consts[4..6] == [2, 1] || consts[4..6] == [5, 1] || consts[..5] == [1, 1, 0, 1, 0]);
        all.extend(last);
    }
    all
}

#[test]
fn every_kernel_computes_several_models_at_once() {
    for mut executor in adapters(true) {
        for kernel in runnable(&executor) {
            for consts in telling_settings(kernel) {
                let case = make(kernel, &consts, size(31, 37, 7));
                if let Err(difference) = verdict_of_members(&mut executor, &case, 3) {
                    panic!("{} {:?} = {consts:?} on {}: {difference}", kernel.name, kernel.consts, executor.name());
                }
            }
        }
    }
}

#[test]
fn state_is_started_afresh_at_the_first_sample() {
    for mut executor in executors() {
        let mut case = make(&elbo::kernels::log_mean_exp::KERNEL, &[], size(70, 1, 3));
        case.scalars.sample = 0;
        case.buffers[2].fill(f32::INFINITY.to_bits());
        assert_right(&mut executor, &case);
    }
}

/// There exp lv − 1 − lv is about lv²/2, and its three terms would cancel each other.
#[test]
fn a_posterior_near_the_prior_keeps_its_kl_and_its_gradient() {
    use elbo::kernels::{posterior_grad, sample};
    for mut executor in executors() {
        for (kernel, consts, stats) in [(&sample::KERNEL, vec![0], 1), (&posterior_grad::KERNEL, vec![0, 1, 1], 0)] {
            for near in [1e-1, 1e-2, 1e-3, 1e-5] {
                let mut case = make(kernel, &consts, size(70, 20, 1));
                for word in &mut case.buffers[stats] {
                    *word = (f32::from_bits(*word) * near).to_bits();
                }
                assert_right(&mut executor, &case);
            }
        }
    }
}

#[test]
fn shaders_without_runtime_checks_agree_too() {
    for mut executor in adapters(false) {
        for kernel in runnable(&executor) {
            let consts = settings(kernel).pop().expect("there is one");
            for &size in sizes(kernel) {
                assert_right(&mut executor, &make(kernel, &consts, size));
            }
        }
    }
}

/// The released program runs the shaders that the tests run, without their checks. Loops that may end early and
/// indices that may be clamped are other code to a driver's compiler, but no other arithmetic.
#[test]
fn shaders_give_the_same_bits_with_and_without_runtime_checks() {
    for (mut checked, mut unchecked) in adapters(true).into_iter().zip(adapters(false)) {
        for kernel in runnable(&checked) {
            for consts in settings(kernel) {
                for size in [size(31, 37, 7), size(65, 130, 33)] {
                    let case = make(kernel, &consts, size);
                    let [expected, found] = [&mut checked, &mut unchecked].map(|executor| {
                        let mut alone = [(case.scalars, case.buffers.clone())];
                        dispatch(executor, &case, &mut alone).expect("the kernel runs");
                        alone[0].1.clone()
                    });
                    let name = checked.name();
                    assert!(expected == found, "{} {consts:?}, {size:?}, on {name}", kernel.name);
                }
            }
        }
    }
}

#[test]
fn grids_that_continue_in_the_second_dimension_reach_every_row() {
    for mut executor in adapters(true) {
        for kernel in runnable(&executor).into_iter().filter(|kernel| !is_product(kernel)) {
            let consts = settings(kernel).pop().expect("there is one");
            assert_right(&mut executor, &make(kernel, &consts, MANY_ROWS));
            // The same, and a workgroup beyond the end, without the memory that it takes for elements.
            let mut folded = make(kernel, &consts, size(150, 300, 3));
            let [x, y, _] = folded.step.grid;
            assert_eq!(y, 1, "{}", kernel.name);
            if x > 1 {
                folded.step.grid = [x / 2 + 1, 2, 1];
                assert_right(&mut executor, &folded);
            }
        }
    }
    assert_eq!(grid(65_537), [32_769, 2, 1]);
}

#[test]
fn a_part_of_the_outer_axis_gives_the_same_bits_as_the_whole() {
    let mut seen = HashSet::new();
    for kernel in KERNELS.iter().rev() {
        // Kernels that differ only in their shader share these functions; each is tried once, where its cases are widest.
        let functions = [Some(kernel.cpu), kernel.fast].into_iter().flatten();
        let functions: Vec<fn(Call)> = functions.filter(|function| seen.insert(*function as usize)).collect();
        for consts in settings(kernel) {
            for &size in sizes(kernel).iter().chain(is_product(kernel).then_some(&DEEP)) {
                let case = make(kernel, &consts, size);
                let (outer, unit) = (case.step.outer, case.step.unit);
                for function in &functions {
                    let mut whole = case.buffers.clone();
                    twin::call_whole(*function, &case.step, &case.scalars, &mut whole);
                    for parts in [2, 3, outer / unit] {
                        let mut divided = case.buffers.clone();
                        let cuts: Vec<usize> = (0..=parts).map(|part| outer / unit * part / parts * unit).collect();
                        for cut in cuts.windows(2).filter(|cut| cut[0] < cut[1]) {
                            twin::call(*function, &case.step, cut[0]..cut[1], &case.scalars, &mut divided);
                        }
                        assert!(whole == divided, "{} {consts:?}, {size:?} in {parts} parts", kernel.name);
                    }
                }
            }
        }
    }
}

/// A kernel whose shader differs from the right one.
fn broken(kernel: &Kernel, from: &str, to: &str) -> &'static Kernel {
    assert!(kernel.wgsl.contains(from), "{} has no {from}", kernel.name);
    Box::leak(Box::new(Kernel {
        name: Box::leak(format!("{} with {to}", kernel.name).into_boxed_str()),
        wgsl: Box::leak(kernel.wgsl.replacen(from, to, 1).into_boxed_str()),
        ..*kernel
    }))
}

#[test]
fn wrong_kernels_are_found() {
    use elbo::kernels::{
        activation, batch_mean, bernoulli, conv_tiles, conv_weight_tiles, matmul, matmul_direct, matmul_texels, noise,
        sum_rows, update, update_texels,
    };
    for mut executor in adapters(true) {
        for (kernel, from, to, message) in [
            (&sum_rows::KERNEL, "column < params.width", "column + 1u < params.width", "y: element"),
            (&activation::KERNEL, "i < params.count", "i <= params.count", "y: the word 0 behind its end"),
            (&activation::KERNEL, "i < params.count", "i + 1u < params.count", "was not written"),
            (&matmul::KERNEL, "a[job.a + depth * stored + row]", "a[job.a + row * stored + depth]", "c: element"),
            (&matmul_direct::KERNEL, "depth < job.k;", "depth + 1u < job.k;", "c: element"),
            (&matmul_texels::KERNEL, "d >= job.k);", "d + 1u >= job.k);", "c: element"),
            (&update_texels::KERNEL, "textureLoad(first_texels", "textureLoad(second_texels", ": element"),
            (&bernoulli::KERNEL, "VALUE == 1u", "VALUE == 2u", "distortion: element"),
            (&conv_tiles::KERNEL, "behind - vec2<i32>(left.tap)", "behind", "y: element"),
            (&conv_weight_tiles::KERNEL, " - i32(params.padding);", ";", "parts: element"),
            (&noise::KERNEL, "params.per_example", "1u", "noise: element"),
            (&update::KERNEL, "1.0 - params.beta2", "1.0 - params.beta1", "param: element"),
            (&update::KERNEL, "entry.per_example * entry.width", "entry.per_example", "metrics: element"),
            (&update::KERNEL, "number - updates < params.terms", "number == updates", "metrics: element"),
            (&batch_mean::KERNEL, "at = entry.offset + lane", "at = lane", "metrics: element"),
        ] {
            if !executor.can_run(kernel) {
                continue;
            }
            let consts = settings(kernel).into_iter().rev().find(|c| !is_product(kernel) || c[..2] == [1, 0]);
            let mut case = make(kernel, &consts.expect("there is a setting"), size(31, 37, 7));
            assert_right(&mut executor, &case);
            case.step.kernel = broken(kernel, from, to);
            let verdict = verdict(&mut executor, &case).expect_err(case.step.kernel.name);
            assert!(verdict.contains(message), "{}: {verdict}", case.step.kernel.name);
        }
    }
}

#[test]
fn a_kernel_that_mixes_models_up_is_found() {
    use elbo::kernels::{row_weights, sum_rows};
    for mut executor in adapters(true) {
        for (kernel, from, to) in [
            (&sum_rows::KERNEL, "x[member * MEMBER_X + ", "x[min(MEMBER_X, 0u) + "),
            (&sum_rows::KERNEL, "y[member * MEMBER_Y + ", "y[min(MEMBER_Y, 0u) + "),
            (&row_weights::KERNEL, "steps[member]", "steps[0]"),
        ] {
            let mut case = make(kernel, &[], size(31, 37, 7));
            case.step.kernel = broken(kernel, from, to);
            assert_right(&mut executor, &case);
            verdict_of_members(&mut executor, &case, 3).expect_err(case.step.kernel.name);
        }
    }
}

#[test]
fn the_self_test_finds_nothing_wrong_and_knows_every_kernel() {
    for mut executor in executors() {
        let results = self_test(&mut executor);
        assert_eq!(results.len(), runnable(&executor).len());
        for (name, result) in results {
            assert_eq!(result, Ok(()), "{name} on {}", executor.name());
        }
    }
}
