//! What the executor on adapters promises beside right results: no work after loading but the runs themselves, buffers
//! shared by role, limits that are explained, and a check that finds a wrong step.

use crate::support::adapters;
use bytemuck::Zeroable;
use elbo::error::Error;
use elbo::kernels::{Kernel, StepScalars, batch_mean, combine};
use elbo::plan::{Buffer, Plan, Role, Step, View};

/// y ← 0.5·x + 1·y into a slot, from there back to y, then the mean of y into the metrics: each run changes y.
fn plan(words: usize, combine: &'static Kernel, slots: usize) -> Plan {
    let buffer = |role, words| Buffer { role, words };
    let whole = |buffer, words| View { buffer, offset: 0, words, split: false };
    let p = combine::Params { count: words as u32, alpha: 0.5, beta: 1.0 };
    let (params, grid) = (vec![p.count, p.alpha.to_bits(), p.beta.to_bits()], combine::grid(&p));
    let mean = batch_mean::Params { batch: p.count, columns: 1, terms: 1, filler: 0 };
    let entry = batch_mean::Entry { offset: 0, width: 1, per_example: 1, index: 0 };
    let x = View { buffer: 0, offset: 64, words, split: false };
    let [y, slot, unused] = [(1, words), (2, words), (4, 4)].map(|(buffer, words)| whole(buffer, words));
    let step = |kernel, consts: &[u32], params: Vec<u32>, views, outer, grid| Step {
        kernel,
        consts: consts.to_vec(),
        params,
        views,
        outer,
        unit: 1,
        grid,
        what: "test".into(),
    };
    Plan {
        name: "test".into(),
        batch: words,
        members: 1,
        buffers: vec![
            buffer(Role::Input("x".into()), words + 64),
            buffer(Role::Output("y".into()), words),
            buffer(Role::Slot(0), words),
            buffer(Role::Metrics, slots),
            buffer(Role::Unbound, 4),
        ],
        steps: vec![
            step(combine, &[0], params.clone(), vec![x, y, slot], words, grid),
            step(combine, &[2], vec![params[0], 1.0_f32.to_bits(), 0], vec![slot, unused, y], words, grid),
            step(
                &batch_mean::KERNEL,
                &[],
                elbo::kernels::words(&mean, &[entry]),
                vec![y, whole(3, slots)],
                1,
                [1, 1, 1],
            ),
        ],
        parameters: vec![],
        terms: vec!["mean".into()],
    }
}

fn steps(words: usize, count: u32) -> Vec<StepScalars> {
    let scalars = StepScalars { rows: words as u32, row_weight: 1.0 / words as f32, ..StepScalars::zeroed() };
    (0..count).map(|slot| StepScalars { slot, ..scalars }).collect()
}

fn x() -> Role {
    Role::Input("x".into())
}

fn y() -> Role {
    Role::Output("y".into())
}

#[test]
fn many_runs_are_few_submissions_and_nothing_else_is_made() {
    for mut executor in adapters(true) {
        let id = executor.load(plan(100, &combine::KERNEL, 300)).expect("the plan fits");
        executor.write_f32(&x(), 64, &[2.0; 100]).expect("x fits");
        let before = executor.counts();
        executor.run(id, &steps(100, 300)).expect("the plan runs");
        assert_eq!(executor.read_f32(&y(), 0, 100).unwrap(), [300.0; 100], "{}", executor.name());
        let means: Vec<f32> = (1..=300).map(|run| run as f32).collect();
        assert_eq!(executor.read_f32(&Role::Metrics, 0, 300).unwrap(), means, "each run sees its own scalars");
        let after = executor.counts();
        assert_eq!((before.allocations, before.pipelines), (after.allocations, after.pipelines));
        assert_eq!((after.dispatches - before.dispatches, after.submissions - before.submissions), (900, 3));
        assert_eq!(after.bytes_read - before.bytes_read, 4 * 400);
    }
}

#[test]
fn plans_share_what_outlives_a_run() {
    for mut executor in adapters(true) {
        let first = executor.load(plan(100, &combine::KERNEL, 4)).expect("the plan fits");
        let pipelines = executor.counts().pipelines;
        let second = executor.load(plan(100, &combine::KERNEL, 4)).expect("the plan fits");
        assert_eq!(executor.counts().pipelines, pipelines, "kernels are compiled once");
        executor.write_f32(&x(), 64, &[2.0; 100]).unwrap();
        for id in [first, second, first] {
            executor.run(id, &steps(100, 1)).unwrap();
        }
        assert_eq!(executor.read_f32(&y(), 90, 10).unwrap(), [3.0; 10]);
        let larger = executor.load(plan(200, &combine::KERNEL, 4));
        assert!(matches!(larger, Err(Error::Bug(ref text)) if text.contains("164 words")), "{larger:?}");
    }
}

#[test]
fn reading_and_writing_outside_of_a_buffer_is_refused() {
    for mut executor in adapters(true) {
        executor.load(plan(100, &combine::KERNEL, 4)).expect("the plan fits");
        assert!(matches!(executor.read(&y(), 1, 100), Err(Error::Bug(_))));
        assert!(matches!(executor.write(&x(), 160, &[0; 5]), Err(Error::Bug(_))));
        assert!(matches!(executor.read(&Role::Data, 0, 1), Err(Error::Bug(_))));
        assert_eq!(executor.read(&y(), 100, 0), Ok(vec![]));
    }
}

#[test]
fn transfers_larger_than_the_staging_buffer_arrive_whole() {
    for mut executor in adapters(true) {
        let words = (17 << 20) + 3;
        let plan =
            Plan { buffers: vec![Buffer { role: Role::Data, words }], steps: vec![], ..plan(4, &combine::KERNEL, 4) };
        executor.load(plan).expect("68 MiB fit");
        let data: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        executor.write(&Role::Data, 0, &data).unwrap();
        assert!(executor.read(&Role::Data, 0, words).unwrap() == data);
        assert_eq!(executor.read(&Role::Data, words - 1, 1).unwrap(), data[words - 1..]);
    }
}

#[test]
fn a_buffer_beyond_the_limits_is_refused_with_a_remedy() {
    for mut executor in adapters(true) {
        let buffers = vec![Buffer { role: Role::Slot(0), words: 1 << 40 }];
        let error = executor.load(Plan { buffers, steps: vec![], ..plan(4, &combine::KERNEL, 4) }).unwrap_err();
        let Error::Device(text) = &error else { panic!("{error:?}") };
        assert!(text.contains("4096.0 GiB") && text.contains("lower --batch"), "{text}");
        assert_eq!(error.exit_code(), 5);
    }
}

#[test]
fn too_many_members_are_refused_with_a_remedy() {
    for mut executor in adapters(true) {
        let buffers = vec![Buffer { role: Role::Slot(0), words: 1 << 30 }];
        let many = Plan { buffers, steps: vec![], members: 800, ..plan(4, &combine::KERNEL, 4) };
        let Err(Error::Device(text)) = executor.load(many) else { panic!("{}", executor.name()) };
        assert!(text.contains("3200.0 GiB") && text.contains("fewer members"), "{text}");
    }
}

#[test]
fn members_have_buffers_of_their_own_in_as_many_dispatches() {
    let of_both = |scalars: &[StepScalars]| scalars.iter().flat_map(|step| [*step; 2]).collect::<Vec<_>>();
    for mut executor in adapters(true) {
        let both = Plan { members: 2, ..plan(100, &combine::KERNEL, 300) };
        let id = executor.load(both.clone()).expect("the plan fits");
        assert!(matches!(executor.load(plan(100, &combine::KERNEL, 300)), Err(Error::Bug(_))), "one and two members");
        executor.write_to(0, &x(), 64, &[2.0_f32.to_bits(); 100]).unwrap();
        executor.write_to(1, &x(), 64, &[4.0_f32.to_bits(); 100]).unwrap();
        let before = executor.counts();
        executor.run(id, &of_both(&steps(100, 300))).expect("the plan runs");
        let after = executor.counts();
        assert_eq!(after.dispatches - before.dispatches, 300 * both.steps.len() as u64);
        for (member, end) in [(0, 300.0_f32), (1, 600.0)] {
            assert_eq!(executor.read_from(member, &y(), 0, 100).unwrap(), [end.to_bits(); 100], "{}", executor.name());
        }
        assert!(matches!(executor.run(id, &steps(100, 1)), Err(Error::Bug(_))), "half a run");
    }
}

#[test]
fn checking_finds_what_is_wrong_with_one_member() {
    /// Right, unless it is told of a learning rate.
    static WRONG: Kernel = Kernel {
        cpu: |mut call| if call.step.lr > 0.0 { call.writes[0][77] = 0 } else { (combine::KERNEL.cpu)(call) },
        name: "combine",
        ..combine::KERNEL
    };
    for mut executor in adapters(true) {
        let id = executor.load(Plan { members: 2, ..plan(100, &WRONG, 4) }).expect("the plan fits");
        (0..2).for_each(|member| executor.write_to(member, &x(), 64, &[2.0_f32.to_bits(); 100]).unwrap());
        let [one] = steps(100, 1)[..] else { unreachable!() };
        assert_eq!(executor.check(id, &[one, one]), Ok(None));
        for told in [[StepScalars { lr: 1.0, ..one }, one], [one, StepScalars { lr: 1.0, ..one }]] {
            let found = executor.check(id, &told).unwrap().expect("the twin is another");
            assert!(found.starts_with("step 0 (combine, test) differs at binding y: element "), "{found}");
        }
    }
}

#[test]
fn checking_finds_the_wrong_step_and_passes_the_right_ones() {
    static WRONG: Kernel = Kernel { cpu: |mut call| call.writes[0][77] = 0, name: "wrong", ..combine::KERNEL };
    for mut executor in adapters(true) {
        let right = executor.load(plan(100, &combine::KERNEL, 4)).expect("the plan fits");
        let wrong = executor.load(plan(100, &WRONG, 4)).expect("the plan fits");
        executor.write_f32(&x(), 64, &[2.0; 100]).unwrap();
        assert_eq!(executor.check(right, &steps(100, 1)), Ok(None));
        assert_eq!(executor.read_f32(&y(), 0, 100).unwrap(), [1.0; 100], "a check is a run");
        let found = executor.check(wrong, &steps(100, 1)).unwrap().expect("the twin is another");
        assert!(found.starts_with("step 0 (wrong, test) differs at binding y: element "), "{found}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_driver_that_looks_for_a_folder_gets_one_and_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["adapters", "doctor"] {
        let mut command = crate::program::command(folder.path(), line);
        command.env_remove("XDG_RUNTIME_DIR").env("XDG_CACHE_HOME", folder.path().join("cache"));
        let said = crate::program::outcome(command);
        assert!(!said.err.contains("XDG_RUNTIME_DIR") && !said.out.contains("XDG_RUNTIME_DIR"), "{said:?}");
    }
}
