//! elbo: variational autoencoders on any GPU, from one small binary.
//!
//! The program is this library with a command line in front of it. The modules below stand in reading order, and each
//! opens with what it is for. `ARCHITECTURE.md` walks through the house; `CONTRIBUTING.md` says how to add to it.
//!
//! # From data to numbers
//!
//! ```text
//! data ────────┐
//! config ──▶ model ──▶ graph ──▶ plan ──▶ exec ──▶ terms of the loss, pictures, parameters
//!                                 ▲        ▲
//!                              kernels ────┘
//! ```
//!
//! - [`model`] says *what* is computed: a [`graph`] of operations on tensors, differentiated by local rules.
//! - [`kernels`] says *how* one thing is computed: WGSL and, beside it, a twin in Rust of the same meaning.
//! - [`plan`] says *in which order and in which buffers*: plain data, made without a device.
//! - [`exec`] says *where*: an adapter that wgpu reaches, or the CPU engine.
//! - [`session`] holds these together for one model; [`train`], [`eval`] and [`score`] drive it; [`checkpoint`] keeps what it learnt.
//!
//! # What always holds
//!
//! | invariant | the test that holds it |
//! |---|---|
//! | only `exec/gpu` names wgpu | `tests/it/tidy.rs`, and the build without the feature `gpu` |
//! | only `report` and `main` print | `tests/it/tidy.rs` |
//! | graph, kernels, plan and model do no I/O and read no environment | `tests/it/tidy.rs` |
//! | graph and kernels do not know each other; the model knows neither kernels, plans nor devices | `tests/it/tidy.rs` |
//! | only `exec/gpu`, the door to gemm, `kernels/product/gemm.rs`, and `ranks/mpi/window.rs` may be unsafe | `tests/it/tidy.rs`, and the compiler |
//! | a plan is data, comparable, made without a device, and legal before anything runs it | `tests/it/tidy.rs`, [`plan::verify`] |
//! | after a plan is loaded, running it makes no buffer and compiles no pipeline | `tests/it/devices.rs`, `tests/it/plans` |
//! | Rust and WGSL declare the same kernel, and every shader is valid, portable and within default limits | `tests/it/shaders.rs` |
//! | every kernel computes what its twin computes, on every device | `tests/it/kernels.rs`, `elbo doctor` |
//! | every operation has a gradient rule or is refused by name | an exhaustive match in [`graph::grad`], `tests/it/gradients.rs` |
//! | how work is divided changes no bit: a part of a kernel's range gives the bits of the whole | `tests/it/kernels.rs` |
//! | the same seed, plan and device give the same bits, also after a kill and a resume | `tests/it/resume.rs` |
//! | models that train side by side have the bits that each would have alone | `tests/it/members.rs` |
//! | a checkpoint is whole or not there, whatever kills the process or fills the disk | `src/checkpoint/tests.rs` |
//!
//! Deliberately absent: device traits, shaders assembled from fragments, a tensor type with operators, environment
//! variables that change results.
//!
//! # As a library
//!
//! A run that `elbo train` left is loaded and asked in a few lines ([`run::Run`]):
//!
//! ```no_run
//! use elbo::run::Run;
//!
//! # fn main() -> elbo::error::Result<()> {
//! let mut run = Run::open("runs/first".as_ref(), "auto")?;
//! let digits: Vec<f32> = run.sample(64, 0)?; // from the prior: 64 rows of D numbers between 0 and 1
//! let posterior = run.encode(&digits)?; // what the encoder says of each: means and log-variances, [64, Z]
//! let again: Vec<f32> = run.decode(&posterior.means)?; // [64, D]
//! let scores = run.score(&digits, 0)?; // distortion and rate of each, in nats
//! println!("{:.2} nats", scores[0].neg_elbo());
//! # let _ = again;
//! # Ok(())
//! # }
//! ```
//!
//! Training is as short; this is what `elbo train --epochs 5 --latent 10` does, without a run folder around it:
//!
//! ```no_run
//! use elbo::exec::select;
//! use elbo::session::{Purpose, Session};
//! use elbo::train::{self, Event, Member, Options};
//! use elbo::{config, data};
//! use std::sync::atomic::AtomicBool;
//!
//! # fn main() -> elbo::error::Result<()> {
//! let settings = [("epochs", "5"), ("latent", "10")].map(|(key, value)| (key.to_owned(), value.to_owned()));
//! let config = config::resolve(Some("classic"), &settings)?;
//! let data = data::open(&config, None)?;
//! data::check(&data, config.model.likelihood.takes())?;
//! let (executor, device) = select::open("auto", 0)?;
//! println!("on {device}");
//!
//! let mut session = Session::new(config, data, executor)?;
//! session.plan(Purpose::Train)?;
//! session.initialise()?;
//! let (member, stop) = (Member::new(&session, "checkpoints"), AtomicBool::new(false));
//! let options = Options { stop: &stop, deadline: None, check_steps: false };
//! train::train(&mut session, vec![member], &options, &mut |event| {
//!     if let Event::Epoch([epoch]) = event {
//!         println!("epoch {}: {:.2} nats", epoch.epoch, epoch.neg_elbo());
//!     }
//!     Ok(())
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/answers.rs` and `examples/own_data.rs` are whole programs: the one asks a run, the other trains on numbers
//! that it has in memory.
#![deny(unsafe_code)]

// What was asked for, and what there is to learn from.
pub mod config;
pub mod data;

// What is computed.
pub mod graph;
pub mod model;

// How each thing is computed.
pub mod kernels;

// In which order, in which buffers.
pub mod plan;

// Where.
pub mod exec;

// Together with whom.
pub mod ranks;

// A model at work.
pub mod session;

pub mod train;
pub mod tune;

pub mod eval;

pub mod score;

pub mod fidelity;
pub mod impute;
pub mod latent;
pub mod recommend;

pub mod attributes;
pub mod compress;

pub mod disentangle;

// What is kept of it.
pub mod checkpoint;
pub mod durable;
pub mod interop;
pub mod web;

// A trained model in the hands of a program.
pub mod run;

// Small words that everything else is written in.
pub mod error;
pub mod expr;
pub mod rng;
pub mod shape;

// The program in front of the library.
pub mod cli;
pub mod commands;
pub mod report;
