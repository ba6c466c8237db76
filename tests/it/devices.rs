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
            buffer(Role::Nothing, 4),
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
fn zz_time_update() {
    use elbo::kernels::{Access, Binding, Scalar, read, read_write, update};
    static OLD: Kernel = Kernel {
        name: "adam",
        wgsl: include_str!("/tmp/work/update-scratch/adam.wgsl"),
        bindings: &[read("grad"), read("factor"), read_write("param"), read_write("m"), read_write("v")],
        entry: &[],
        consts: &["DECOUPLED", "CLIP"],
        params: &[
            ("count", Scalar::u32),
            ("beta1", Scalar::f32),
            ("beta2", Scalar::f32),
            ("eps", Scalar::f32),
            ("weight_decay", Scalar::f32),
        ],
        ..update::KERNEL
    };
    let _: Option<(Access, Binding)> = None;
    let n = 652_992usize;
    for mut executor in adapters(false) {
        let v = |buffer, words| View { buffer, offset: 0, words, split: false };
        let buffers = vec![
            Buffer { role: Role::Input("g".into()), words: n },
            Buffer { role: Role::Parameters, words: n },
            Buffer { role: Role::Moment1, words: n },
            Buffer { role: Role::Moment2, words: n },
            Buffer { role: Role::Input("t".into()), words: 4096 },
            Buffer { role: Role::Metrics, words: 8 },
            Buffer { role: Role::Nothing, words: 4 },
            Buffer { role: Role::Sink, words: 4 },
        ];
        let make = |kernel: &'static Kernel, consts: Vec<u32>, params: Vec<u32>, views: Vec<View>, groups: u32| Plan {
            name: "t".into(),
            members: 1,
            batch: 128,
            buffers: buffers.clone(),
            steps: vec![Step {
                kernel,
                consts,
                params,
                views,
                outer: n,
                unit: n,
                grid: [groups, 1, 1],
                what: String::new(),
            }],
            parameters: vec![],
            terms: vec![],
        };
        let b = |x: f32| x.to_bits();
        let old = make(
            &OLD,
            vec![0, 0],
            vec![n as u32, b(0.9), b(0.999), b(1e-8), 0],
            vec![v(0, n), v(6, 4), v(1, n), v(2, n), v(3, n)],
            2551,
        );
        let p = update::Params {
            count: n as u32,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            batch: 128,
            columns: 2,
            terms: 0,
        };
        let bare = make(
            &update::KERNEL,
            vec![update::ADAM, 0, 0, 0],
            elbo::kernels::words::<_, u32>(&p, &[]),
            vec![v(0, n), v(6, 4), v(6, 4), v(1, n), v(2, n), v(3, n), v(7, 4)],
            2551,
        );
        let p2 = update::Params { terms: 2, ..p };
        let table = [
            batch_mean::Entry { offset: 0, width: 13, per_example: 1, index: 0 },
            batch_mean::Entry { offset: 2048, width: 1, per_example: 1, index: 1 },
        ];
        let full = make(
            &update::KERNEL,
            vec![update::ADAM, 0, 0, 2],
            elbo::kernels::words(&p2, &table),
            vec![v(0, n), v(6, 4), v(4, 4096), v(1, n), v(2, n), v(3, n), v(5, 8)],
            2553,
        );
        let one = make(
            &update::KERNEL,
            vec![update::ADAM, 0, 0, 1],
            elbo::kernels::words(&p2, &table),
            vec![v(0, n), v(6, 4), v(4, 4096), v(1, n), v(2, n), v(3, n), v(5, 8)],
            2553,
        );
        let plans: Vec<_> = [("one", one), ("old", old), ("bare", bare), ("full", full)]
            .into_iter()
            .map(|(name, plan)| (name, executor.load(plan).unwrap()))
            .collect();
        let scalars = StepScalars {
            rows: 128,
            row_weight: 1.0 / 128.0,
            lr: 0.001,
            correction1: 0.1,
            correction2: 0.001,
            ..StepScalars::zeroed()
        };
        let g: Vec<f32> = (0..n).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
        executor.write_f32(&Role::Input("g".into()), 0, &g).unwrap();
        let mut bits = vec![];
        for (name, id) in &plans {
            for role in [Role::Parameters, Role::Moment1, Role::Moment2] {
                executor.write(&role, 0, &vec![0; n]).unwrap();
            }
            executor.run(*id, &[scalars; 3]).unwrap();
            bits.push([Role::Parameters, Role::Moment1, Role::Moment2].map(|r| executor.read(&r, 0, n).unwrap()));
            println!("{name} same bits as old: {}", bits[0] == *bits.last().unwrap());
        }
        let mut best = [f64::MAX; 4];
        for _ in 0..20 {
            for (at, (_, id)) in plans.iter().enumerate() {
                let t = std::time::Instant::now();
                executor.run(*id, &[scalars; 10]).unwrap();
                executor.read(&Role::Metrics, 0, 1).unwrap();
                best[at] = best[at].min(t.elapsed().as_secs_f64() / 10.0);
            }
        }
        println!("{}: one, old, bare, full: {:?} us", executor.name(), best.map(|s| (s * 1e6) as u32));
    }
}
