//! The library as a module of Python: a command of the program, and what a run is. Everything else is Python, in `elbo/`.

use elbo::checkpoint::{self, Which};
use elbo::commands;
use elbo::error::Error;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often Python is asked whether somebody pressed Ctrl-C.
const ATTENTION: Duration = Duration::from_millis(50);

/// What a command says while it works, and how it ended.
enum Said {
    Result(Vec<u8>),
    Note(Vec<u8>),
    Done(Result<(), Error>),
}

/// A stream of a report whose bytes go to the thread that waits.
struct Stream {
    to: Sender<Said>,
    wrap: fn(Vec<u8>) -> Said,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.send((self.wrap)(bytes.to_vec())).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command of the program, whose words are those that would be typed behind `elbo`, and returns what it writes to
/// standard output. Each whole line that it writes for people goes to `listen`. Other threads of Python run meanwhile; an
/// exception there, or Ctrl-C, lets training save and stop, and is raised afterwards.
#[pyfunction]
fn call(py: Python<'_>, words: Vec<String>, listen: &Bound<'_, PyAny>) -> PyResult<String> {
    let (to, from) = channel();
    let worker = std::thread::Builder::new().name("elbo".into()).spawn(move || {
        let out = Stream { to: to.clone(), wrap: Said::Result };
        let err = Stream { to: to.clone(), wrap: Said::Note };
        let done = commands::call(&words, Box::new(out), Box::new(err));
        // Whoever waits has gone only where the process ends.
        let _ = to.send(Said::Done(done));
    })?;
    let heard = hear(py, from, listen);
    if py.detach(|| worker.join()).is_err() {
        return Err(PyRuntimeError::new_err(
            "elbo has ended with an internal error; this is a bug in elbo, please report it",
        ));
    }
    heard
}

/// Waits until the command is done, and passes on what it says.
fn hear(py: Python<'_>, mut from: Receiver<Said>, listen: &Bound<'_, PyAny>) -> PyResult<String> {
    let (mut result, mut note, mut raised) = (Vec::new(), Vec::new(), None);
    loop {
        let said;
        (from, said) = py.detach(move || {
            let said = from.recv_timeout(ATTENTION);
            (from, said)
        });
        match said {
            Ok(Said::Result(bytes)) => result.extend(bytes),
            Ok(Said::Note(bytes)) => {
                note.extend(bytes);
                while let Some(end) = note.iter().position(|&byte| byte == b'\n') {
                    let line: Vec<u8> = note.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line[..end]).into_owned();
                    if let (Err(error), None) = (listen.call1((line,)), &raised) {
                        raised = Some(error);
                        commands::interrupt();
                    }
                }
            }
            Ok(Said::Done(done)) => {
                return match (raised, done) {
                    (Some(error), _) => Err(error),
                    (None, Err(error)) => Err(exception(&error)),
                    (None, Ok(())) => Ok(String::from_utf8_lossy(&result).into_owned()),
                };
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(String::new()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let (Err(error), None) = (py.check_signals(), &raised) {
            raised = Some(error);
            commands::interrupt();
        }
    }
}

/// What Python raises: `OSError` where writing failed, `RuntimeError` where the device or the program did, and
/// `ValueError` for all that other input would mend.
fn exception(error: &Error) -> PyErr {
    let line = error.to_string();
    match error {
        Error::Disk(_) => PyOSError::new_err(line),
        Error::Device(_) | Error::Bug(_) => PyRuntimeError::new_err(line),
        _ => PyValueError::new_err(line),
    }
}

/// What the last checkpoint of a run says of it, as JSON: configuration, progress, and what is known of its data.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "a path of Python's becomes one of these")]
fn describe(py: Python<'_>, run: PathBuf) -> PyResult<String> {
    let (config, progress) = py.detach(|| checkpoint::glance(&run, Which::Last)).map_err(|error| exception(&error))?;
    Ok(serde_json::json!({ "config": config, "progress": progress }).to_string())
}

/// The module `elbo._elbo`.
#[pymodule]
fn _elbo(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(call, module)?)?;
    module.add_function(wrap_pyfunction!(describe, module)?)
}
