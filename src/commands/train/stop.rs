//! What asks a run to save and stop: Ctrl-C and, on Unix, the signals of those who end processes.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by the first request.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Whether the process is the program's own, so that its signals are too.
static OWN: AtomicBool = AtomicBool::new(false);

/// Set by the first Ctrl-C and its like; the second ends the process. What batch systems announce does not count: the signal
/// that follows it is no second thought.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Lets SIGINT, SIGTERM and SIGHUP stop the run, from where it has something to save; those that [`keep_ignored`] found
/// ignored never arrive. A program that has the library within it keeps its signals.
pub fn catch_interrupts() {
    if !OWN.load(Ordering::Relaxed) {
        return;
    }
    // A handler can be set once per process, which is all a command needs; in a process that has one, it stays.
    let _ = ctrlc::set_handler(|| {
        STOP.store(true, Ordering::Relaxed);
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}

/// Says that the process is the program's own.
pub fn own_process() {
    OWN.store(true, Ordering::Relaxed);
}

/// Lets SIGUSR1 and SIGUSR2, which batch systems send some time before a job is ended, stop the run. They are blocked for
/// this thread and all that it starts, so this comes before there are others.
pub fn catch_announcements() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let announced: SigSet = [Signal::SIGUSR1, Signal::SIGUSR2].into_iter().collect();
        let wait = move || {
            while announced.wait().is_ok() {
                STOP.store(true, Ordering::Relaxed);
            }
        };
        // Where nobody can wait for them they stay what they are: the end of the process.
        if announced.thread_block().is_ok() && std::thread::Builder::new().name("signals".into()).spawn(wait).is_err() {
            let _ = announced.thread_unblock();
        }
    }
}

/// Keeps away from this process what it was told to ignore when it began: `nohup` lets a program outlive its terminal by
/// ignoring SIGHUP, and shells without job control start what runs in the background with SIGINT ignored. The handler of
/// [`catch_interrupts`] would undo that, so such signals are blocked for this thread and all that it starts.
pub fn keep_ignored() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let handled = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];
        let ignored: SigSet = handled.into_iter().filter(|&signal| is_ignored(signal)).collect();
        // Where they cannot be blocked the run stops at them, and saves.
        let _ = ignored.thread_block();
    }
}

/// Whether a signal is ignored. Linux writes it down, where a call for it would have to be trusted blindly.
#[cfg(target_os = "linux")]
fn is_ignored(signal: nix::sys::signal::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

/// Whether a signal is ignored. What is ignored stays so in another program that is started, so a shell that sends the
/// signal to itself tells by whether it lives on.
#[cfg(all(unix, not(target_os = "linux")))]
fn is_ignored(signal: nix::sys::signal::Signal) -> bool {
    let name = signal.as_str().trim_start_matches("SIG");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("kill -s {name} $$; exit 0")]);
    let streams = shell.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    streams.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}
