//! What asks a run to save and stop: Ctrl-C and, on Unix, the signals of those who end processes.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by the first request.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Set by the first Ctrl-C and its like; the second ends the process. What batch systems announce does not count: the signal
/// that follows it is no second thought.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Lets SIGINT, SIGTERM and SIGHUP stop the run, from where it has something to save.
pub fn catch_interrupts() {
    // A handler can be set once per process, which is all a command needs; in a process that has one, it stays.
    let _ = ctrlc::set_handler(|| {
        STOP.store(true, Ordering::Relaxed);
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
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
