#!/usr/bin/env bash
# A closure that is handed to pulp's `Arch::dispatch` loses the processor's vectors once it is large, whatever its
# #[inline(always)] says; the same work in a struct with `NullaryFnOnce::call` keeps them.
#
# pulp 0.22.3 with the features std and x86-v3, rustc 1.95.0, x86-64; seen with opt-level 2 and 3.
#
# Guess: `#[inline(always)]` before the closure, as pulp's documentation has it, puts its body into the function that is
# compiled for AVX2 or AVX-512.
# Seen: true of a closure with one loop. With seven loops behind a `match` nothing is left of the vectors: a closure that
# captures only references is called through its `FnOnce` shim, which is no part of the closure, has no attribute, and is too
# large by then to be inlined. It is compiled for the baseline (SSE2), without a word. The result is right and several times
# slower: a program of twelve such loops over 100,000 numbers took 3.5 times as long as one loop that was written for it, and
# 2.5 times as long once the closure was a struct.
#
# Instructions with 256- or 512-bit registers in functions of pulp:
#   one loop, closure: some    seven loops, closure: 0    seven loops, struct: more than 100
set -euo pipefail

[ "$(uname -m)" = x86_64 ] || { echo "only x86-64 has what this looks for"; exit 0; }
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p src/bin
cat >Cargo.toml <<'END'
[package]
name = "finding"
version = "0.1.0"
edition = "2021"

[dependencies]
pulp = { version = "=0.22.3", default-features = false, features = ["std", "x86-v3"] }

[profile.release]
opt-level = 3
END
cat >src/lib.rs <<'END'
#[inline(always)]
fn all(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x);
    }
}

#[inline(always)]
pub fn one(x: &[f32], y: &mut [f32]) {
    all(x, y, |x| x * x + 1.0);
}

#[inline(always)]
pub fn one_of_seven(which: u32, x: &[f32], y: &mut [f32]) {
    match which {
        0 => all(x, y, |x| x * x + 1.0),
        1 => all(x, y, |x| x.abs().sqrt() + x),
        2 => all(x, y, |x| 1.0 / (1.0 + x * x)),
        3 => all(x, y, |x| x.max(0.0) * 0.5),
        4 => all(x, y, |x| x * (1.0 + x * (0.5 + x * (0.25 + x * 0.125)))),
        5 => all(x, y, |x| if x > 0.0 { x } else { -0.25 * x }),
        _ => all(x, y, |x| x - 0.1 * x * x * x),
    }
}

pub fn numbers() -> (Vec<u32>, Vec<f32>, Vec<f32>) {
    let which = std::env::args().skip(1).map(|text| text.parse().expect("a number")).collect();
    (which, (0..1024).map(|i| i as f32).collect(), vec![0.0; 1024])
}
END
cat >src/bin/small_closure.rs <<'END'
#[inline(never)]
fn run(x: &[f32], y: &mut [f32]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || finding::one(x, y),
    );
}

fn main() {
    let (_, x, mut y) = finding::numbers();
    run(&x, &mut y);
    println!("{}", y[3]);
}
END
cat >src/bin/large_closure.rs <<'END'
#[inline(never)]
fn run(all: &[u32], x: &[f32], y: &mut [f32]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for &which in all {
                finding::one_of_seven(which, x, y);
            }
        },
    );
}

fn main() {
    let (all, x, mut y) = finding::numbers();
    run(&all, &x, &mut y);
    println!("{}", y[3]);
}
END
cat >src/bin/structure.rs <<'END'
struct Work<'a> {
    all: &'a [u32],
    x: &'a [f32],
    y: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Work<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for &which in self.all {
            finding::one_of_seven(which, self.x, self.y);
        }
    }
}

#[inline(never)]
fn run(all: &[u32], x: &[f32], y: &mut [f32]) {
    pulp::Arch::new().dispatch(Work { all, x, y });
}

fn main() {
    let (all, x, mut y) = finding::numbers();
    run(&all, &x, &mut y);
    println!("{}", y[3]);
}
END
cargo build --quiet --release

# Instructions with wide registers in functions whose names have `pulp` in them.
wide() {
    objdump -d --no-show-raw-insn "target/release/$1" |
        awk '/^[0-9a-f]+ <.*>:$/ { inside = /pulp/ } inside && /%[yz]mm/ { count++ } END { print count + 0 }'
}

small="$(wide small_closure)" large="$(wide large_closure)" structure="$(wide structure)"
echo "one loop, closure: $small; seven loops, closure: $large; seven loops, struct: $structure"
[ "$small" -gt 0 ] && [ "$large" -eq 0 ] && [ "$structure" -gt 100 ] || { echo "that has changed"; exit 1; }
