//! Which device a run uses, and why.

use super::adapter::{AdapterKind, AdapterSummary};
use super::{Executor, cpu};
use crate::error::{Error, Result};

/// What was chosen, with the reason in words that follow the device's name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// The adapter with an index.
    Adapter(usize, String),
    /// The CPU engine.
    Cpu(String),
}

/// Opens the device that `--adapter` asks for; also gives one line that says which it is and why.
///
/// `auto` and `high-performance` take the best GPU and `low-power` the most economical one; where there is none, or
/// only a software driver, the CPU engine is used, which is faster than those. `software` takes the software driver,
/// `cpu` the CPU engine; an index or a part of a name takes the adapter that [`adapters`] lists so. `threads` is how many
/// threads the CPU engine gets if it is chosen; 0 stands for one on each core.
///
/// # Errors
/// [`Error::Usage`] where no adapter, or more than one, is called so; [`Error::Device`] where the one that was asked
/// for cannot be opened, or this build reaches none.
pub fn open(selector: &str, threads: usize) -> Result<(Executor, String)> {
    open_beside(selector, threads, 0)
}

/// The same for one of several processes on a machine: of several GPUs of the kind that is best, each takes the next one, and begins
/// again with the first where there are too few. `place` is the number of the process among them.
///
/// # Errors
/// As [`open`].
pub fn open_beside(selector: &str, threads: usize, place: usize) -> Result<(Executor, String)> {
    // Drivers are not even asked where they do not matter: some print warnings when they are.
    let found = if selector == "cpu" { vec![] } else { found() };
    let summaries: Vec<AdapterSummary> = found.iter().map(summary).collect();
    let (executor, why) = match choose(selector, &summaries, place)? {
        Choice::Cpu(why) => (Executor::Cpu(cpu::Cpu::new(threads)?), why),
        Choice::Adapter(index, why) => match open_adapter(&found[index]) {
            Ok(executor) => (executor, why),
            // Only who left the choice to the program gets another device than the best.
            Err(error) if selector == "auto" => (Executor::Cpu(cpu::Cpu::new(threads)?), error.to_string()),
            Err(error) => return Err(error),
        },
    };
    let threads = match &executor {
        Executor::Cpu(engine) if engine.threads() == 1 => " (1 thread)".to_owned(),
        Executor::Cpu(engine) => format!(" ({} threads)", engine.threads()),
        #[cfg(feature = "gpu")]
        Executor::Gpu(_) => String::new(),
    };
    let line = format!("{}{threads}: {why}", executor.name());
    Ok((executor, line))
}

/// The adapters of this machine, in the order of their indices; none where no driver is installed.
pub fn adapters() -> Vec<AdapterSummary> {
    found().iter().map(summary).collect()
}

/// What [`open`] would take of these adapters, without opening it: the index of an adapter, or nothing for the CPU
/// engine; and why.
///
/// # Errors
/// As [`open`], where nothing fits.
pub fn preview(selector: &str, adapters: &[AdapterSummary]) -> Result<(Option<usize>, String)> {
    Ok(match choose(selector, adapters, 0)? {
        Choice::Adapter(index, why) => (Some(index), why),
        Choice::Cpu(why) => (None, why),
    })
}

fn choose(selector: &str, adapters: &[AdapterSummary], place: usize) -> Result<Choice> {
    use AdapterKind::{Discrete, Integrated, Other, Software, Virtual};
    let best = |order: &[AdapterKind], why: &str| {
        let of_kind = |kind: &AdapterKind| {
            let all: Vec<_> = adapters.iter().filter(|adapter| adapter.kind == *kind).collect();
            (!all.is_empty()).then(|| all[place % all.len()])
        };
        let found = order.iter().find_map(of_kind);
        found.map_or_else(|| Choice::Cpu(no_gpu(adapters)), |adapter| Choice::Adapter(adapter.index, why.to_owned()))
    };
    match selector {
        "cpu" => Ok(Choice::Cpu("as --adapter cpu asks".to_owned())),
        "auto" | "high-performance" => Ok(best(&[Discrete, Integrated, Virtual, Other], "the fastest GPU found")),
        "low-power" => Ok(best(&[Integrated, Discrete, Virtual, Other], "the most economical GPU found")),
        "software" => match adapters.iter().find(|adapter| adapter.kind == Software) {
            Some(adapter) => Ok(Choice::Adapter(adapter.index, "a software driver, as --adapter software asks".into())),
            None if !BUILT_IN => Err(no_support()),
            None => Err(Error::Device(
                "no software driver was found: install Mesa's (Debian and Ubuntu: apt install mesa-vulkan-drivers), or \
                 use --adapter cpu"
                    .into(),
            )),
        },
        _ if !BUILT_IN => Err(no_support()),
        _ => named(selector, adapters),
    }
}

/// The adapter with an index, or with a name that contains the selector. Of one device that is reached through several
/// interfaces, the first.
fn named(selector: &str, adapters: &[AdapterSummary]) -> Result<Choice> {
    let why = || format!("as --adapter {selector} asks");
    if let Ok(index) = selector.parse::<usize>() {
        return match adapters.get(index) {
            Some(adapter) => Ok(Choice::Adapter(adapter.index, why())),
            None => Err(Error::Usage(format!("there is no adapter {index}: {}", list(adapters)))),
        };
    }
    let wanted = selector.to_lowercase();
    let matching = adapters.iter().filter(|adapter| adapter.name.to_lowercase().contains(&wanted));
    let matching: Vec<&AdapterSummary> = matching.collect();
    let Some(first) = matching.first().filter(|_| !wanted.trim().is_empty()) else {
        return Err(Error::Usage(format!("no adapter is called \"{selector}\": {}", list(adapters))));
    };
    let others = matching.iter().filter(|other| other.name != first.name || other.backend == first.backend);
    if others.count() > 1 {
        return Err(Error::Usage(format!("\"{selector}\" fits several adapters: {}", list(adapters))));
    }
    Ok(Choice::Adapter(first.index, why()))
}

/// All that can be chosen, in one line.
fn list(adapters: &[AdapterSummary]) -> String {
    let mut lines: Vec<String> =
        adapters.iter().map(|adapter| format!("{} {}", adapter.index, adapter.title())).collect();
    lines.push("auto, high-performance, low-power, software, cpu".to_owned());
    format!("choose from {}", lines.join("; "))
}

/// Why there is no GPU to use.
fn no_gpu(adapters: &[AdapterSummary]) -> String {
    match adapters {
        [] if !BUILT_IN => "this build has no GPU support".to_owned(),
        [] => "no adapter was found (no Vulkan, Metal or DX12 driver, or it sees no device)".to_owned(),
        [first, ..] => {
            format!("no GPU was found, only the software driver {}, which is slower (--adapter software)", first.name)
        }
    }
}

fn no_support() -> Error {
    Error::Device("this build has no GPU support: build it with the feature \"gpu\", or use --adapter cpu".to_owned())
}

#[cfg(feature = "gpu")]
mod build {
    use super::{AdapterSummary, Executor, Result};
    use crate::exec::gpu::{Adapter, Gpu, adapters};

    pub const BUILT_IN: bool = true;

    pub fn found() -> Vec<Adapter> {
        adapters()
    }

    pub fn summary(adapter: &Adapter) -> AdapterSummary {
        adapter.summary.clone()
    }

    /// Shaders are checked where the program is built for tests.
    ///
    /// # Errors
    /// [`Error::Device`] where it does not give a device, or there is no support for one in this build.
    pub fn open_adapter(adapter: &Adapter) -> Result<Executor> {
        Ok(Executor::Gpu(Box::new(Gpu::open(adapter, cfg!(debug_assertions))?)))
    }
}

#[cfg(not(feature = "gpu"))]
mod build {
    use super::{AdapterSummary, Executor, Result, no_support};

    pub const BUILT_IN: bool = false;

    pub fn found() -> Vec<AdapterSummary> {
        vec![]
    }

    pub fn summary(adapter: &AdapterSummary) -> AdapterSummary {
        adapter.clone()
    }

    pub fn open_adapter(_: &AdapterSummary) -> Result<Executor> {
        Err(no_support())
    }
}

use build::{BUILT_IN, found, open_adapter, summary};

#[cfg(all(test, feature = "gpu"))]
mod tests {
    use super::*;

    fn adapters(kinds: &[(&str, &'static str, AdapterKind)]) -> Vec<AdapterSummary> {
        let adapter = |(index, (name, backend, kind)): (usize, &(&str, &'static str, AdapterKind))| AdapterSummary {
            index,
            name: (*name).to_owned(),
            backend,
            kind: *kind,
            driver: String::new(),
            max_buffer: 0,
            max_binding: 0,
        };
        kinds.iter().enumerate().map(adapter).collect()
    }

    fn laptop() -> Vec<AdapterSummary> {
        adapters(&[
            ("llvmpipe", "Vulkan", AdapterKind::Software),
            ("Intel Iris", "Vulkan", AdapterKind::Integrated),
            ("NVIDIA RTX 4070", "Vulkan", AdapterKind::Discrete),
            ("NVIDIA RTX 4070", "DX12", AdapterKind::Discrete),
        ])
    }

    #[test]
    fn processes_on_one_machine_share_its_gpus_out() {
        use AdapterKind::{Discrete, Integrated, Software};
        let all = adapters(&[
            ("llvmpipe", "Vulkan", Software),
            ("A", "Vulkan", Discrete),
            ("Iris", "Vulkan", Integrated),
            ("B", "Vulkan", Discrete),
        ]);
        for (place, expected) in [(0, 1), (1, 3), (2, 1), (3, 3)] {
            let Ok(Choice::Adapter(index, _)) = choose("auto", &all, place) else { panic!("there are GPUs") };
            assert_eq!(index, expected, "process {place}");
        }
        let Ok(Choice::Adapter(index, _)) = choose("iris", &all, 1) else { panic!("it is named") };
        assert_eq!(index, 2, "who names one gets it");
    }

    #[test]
    fn selectors_choose_the_adapter_that_they_describe() {
        for (selector, expected) in [
            ("auto", 2),
            ("high-performance", 2),
            ("low-power", 1),
            ("software", 0),
            ("3", 3),
            ("iris", 1),
            ("nvidia", 2),
            ("LLVM", 0),
        ] {
            let choice = choose(selector, &laptop(), 0).unwrap();
            assert!(matches!(choice, Choice::Adapter(index, _) if index == expected), "{selector}: {choice:?}");
        }
        assert!(matches!(choose("cpu", &laptop(), 0), Ok(Choice::Cpu(_))));
    }

    #[test]
    fn without_a_gpu_the_cpu_engine_is_used_and_the_reason_is_given() {
        let software = adapters(&[("llvmpipe", "Vulkan", AdapterKind::Software)]);
        for selector in ["auto", "high-performance", "low-power"] {
            for (adapters, reason) in
                [(&software, "only the software driver llvmpipe"), (&vec![], "no adapter was found")]
            {
                let Ok(Choice::Cpu(why)) = choose(selector, adapters, 0) else { panic!("{selector} is not the CPU") };
                assert!(why.contains(reason), "{selector}: {why}");
            }
        }
    }

    #[test]
    fn what_does_not_exist_or_fits_several_is_refused_with_a_list() {
        let twins = adapters(&[("H200", "Vulkan", AdapterKind::Discrete), ("H200", "Vulkan", AdapterKind::Discrete)]);
        for (selector, adapters, message) in [
            ("4", laptop(), "there is no adapter 4: choose from 0 llvmpipe [Vulkan, software]; 1 Intel Iris"),
            ("amd", laptop(), "no adapter is called \"amd\": choose from 0"),
            ("", laptop(), "no adapter is called \"\""),
            ("i", laptop(), "fits several adapters"),
            ("h200", twins, "\"h200\" fits several adapters: choose from 0 H200 [Vulkan, discrete]; 1 H200"),
            ("x", vec![], "choose from auto, high-performance, low-power, software, cpu"),
        ] {
            match choose(selector, &adapters, 0) {
                Err(Error::Usage(text)) => assert!(text.contains(message), "{selector}: {text}"),
                other => panic!("{selector}: {other:?}"),
            }
        }
        let Err(Error::Device(text)) = choose("software", &[], 0) else { panic!("there is no software driver") };
        assert!(text.contains("mesa-vulkan-drivers"), "{text}");
    }
}
