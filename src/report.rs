//! The only code that prints: progress to stderr, results to stdout.
//!
//! A reader that goes away (`elbo train 2>&1 | head`) never ends a run: from then on that stream is silent. Any other
//! failure to write a result is kept, and [`Report::finish`] returns it.

#[cfg(feature = "h5ad")]
pub mod anndata;
pub mod csv;
pub mod grid;
pub mod human;
pub mod npy;
mod plain;
pub mod progress;
pub mod scatter;
pub mod table;

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;

use crate::error::{Error, Result};
use progress::{EpochRow, MembersRow};

/// How to report.
#[expect(clippy::struct_excessive_bools, reason = "four switches that do not depend on each other")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Warnings, errors and results only.
    pub quiet: bool,
    /// Standard output is for a program: JSON, and no text.
    pub json: bool,
    /// Somebody watches stderr on a terminal that can redraw a line.
    pub live: bool,
    /// Colours are wanted.
    pub colour: bool,
}

impl Options {
    /// What was asked for by flags, and what stderr is. `NO_COLOR` (no-color.org) switches colours off.
    pub fn detect(quiet: bool, json: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let live = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { quiet, json, live, colour: live && !is_set("NO_COLOR") }
    }
}

/// Where everything that a person or a calling program reads goes through. Shared by reference.
pub struct Report {
    options: Options,
    out: Mutex<Sink>,
    err: Mutex<Sink>,
    epochs: Mutex<Epochs>,
}

/// A stream until it fails.
struct Sink {
    stream: Box<dyn Write + Send>,
    failure: Option<io::Error>,
}

/// The state of the table of epochs.
#[derive(Default)]
struct Epochs {
    /// Whether the header stands, and if so, whether with a column for the score.
    score: Option<bool>,
    bar: Option<ProgressBar>,
}

impl Report {
    /// A report to the streams of this process.
    pub fn new(options: Options) -> Self {
        Self::to(options, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// A report to streams of one's own. A live bar, which needs the terminal itself, still goes to stderr.
    pub fn to(options: Options, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let sink = |stream| Mutex::new(Sink { stream, failure: None });
        Self { options, out: sink(out), err: sink(err), epochs: Mutex::default() }
    }

    /// The options it was made with.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Something to know on the way; not shown with `quiet`.
    pub fn note(&self, text: &str) {
        if !self.options.quiet {
            self.to_err(&lock(&self.epochs), &plain::visible(text));
        }
    }

    /// Something that is not as it should be, though the work goes on.
    pub fn warn(&self, text: &str) {
        self.to_err(&lock(&self.epochs), &self.labelled("warning", "33", &plain::message(text)));
    }

    /// The reason why the work ends.
    pub fn error(&self, error: &Error) {
        self.clear();
        let text = match error {
            // What was asked for is no error.
            Error::Interrupted(how) => how.clone(),
            error => self.labelled("error", "31", &plain::message(&error.to_string())),
        };
        self.to_err(&lock(&self.epochs), &text);
    }

    /// What was asked for, as text; not shown with `json`.
    pub fn result(&self, text: &str) {
        if !self.options.json {
            self.to_out(&plain::visible(text));
        }
    }

    /// What was asked for, as one line of JSON; shown with `json` only. Numbers that are not finite become null.
    pub fn json(&self, value: &serde_json::Value) {
        if self.options.json {
            self.to_out(&value.to_string());
        }
    }

    /// An epoch (from 1) of `steps` steps begins: shows a bar where somebody watches.
    pub fn begin_epoch(&self, epoch: usize, epochs: usize, steps: usize) {
        self.begin(&format!("{epoch}/{epochs}"), steps);
    }

    /// Something that takes `steps` steps begins: shows a bar with a title where somebody watches.
    pub fn begin(&self, title: &str, steps: usize) {
        if self.options.live && !self.options.quiet {
            let mut state = lock(&self.epochs);
            if let Some(old) = state.bar.replace(progress::bar(title, steps)) {
                old.finish_and_clear();
            }
        }
    }

    /// So many steps are done. −ELBO in nats per example where it is known.
    pub fn step(&self, done: usize, neg_elbo: Option<f64>, images_per_second: f64) {
        if let Some(bar) = &lock(&self.epochs).bar {
            bar.set_message(progress::message(neg_elbo, images_per_second));
            bar.set_position(done as u64);
        }
    }

    /// So much of what began is done, where nothing else can be said about it.
    pub fn advance(&self, done: u64) {
        if let Some(bar) = &lock(&self.epochs).bar {
            bar.set_position(done);
        }
    }

    /// An epoch ended: takes the bar away and adds a line to the table, below its header.
    pub fn epoch(&self, row: &EpochRow) {
        self.clear();
        if self.options.quiet {
            return;
        }
        let mut state = lock(&self.epochs);
        let score = if let Some(score) = state.score {
            score
        } else {
            let score = *state.score.insert(row.score.is_some());
            self.to_err(&state, &progress::header(row.score.map(|(title, _)| title), row.clipped.is_some()));
            score
        };
        self.to_err(&state, &progress::line(row, score));
    }

    /// [`Report::epoch`] of several models that train side by side.
    pub fn members_epoch(&self, row: &MembersRow) {
        self.clear();
        if self.options.quiet {
            return;
        }
        let mut state = lock(&self.epochs);
        if state.score.replace(true).is_none() {
            self.to_err(&state, &progress::members_header(row));
        }
        self.to_err(&state, &progress::members_line(row));
    }

    /// Takes a bar away, as before an error or a question.
    pub fn clear(&self) {
        if let Some(bar) = lock(&self.epochs).bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Ends the report.
    ///
    /// # Errors
    /// [`Error::Disk`] if a result could not be written, unless its reader went away, which is not an error.
    pub fn finish(&self) -> Result<()> {
        self.clear();
        match &lock(&self.out).failure {
            Some(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::Disk(format!("the results could not be written to standard output: {e}")))
            }
            _ => Ok(()),
        }
    }

    fn labelled(&self, label: &str, colour: &str, text: &str) -> String {
        if self.options.colour { format!("\x1b[{colour}m{label}:\x1b[0m {text}") } else { format!("{label}: {text}") }
    }

    fn to_out(&self, text: &str) {
        lock(&self.out).line(text);
    }

    /// A line above the bar, if there is one.
    fn to_err(&self, state: &Epochs, text: &str) {
        let write = || lock(&self.err).line(text);
        match &state.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Sink {
    fn line(&mut self, text: &str) {
        if self.failure.is_none() {
            let line = format!("{text}\n");
            self.failure = self.stream.write_all(line.as_bytes()).and_then(|()| self.stream.flush()).err();
        }
    }
}

/// A panic elsewhere must not keep the report from saying so.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    /// A stream that can be read afterwards, of which one write, counted from 0, may fail with a given error.
    #[derive(Clone, Default)]
    struct Stream {
        text: Arc<Mutex<String>>,
        writes: usize,
        fails: Option<(usize, io::ErrorKind)>,
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            match self.fails {
                Some((failing, kind)) if failing + 1 == self.writes => Err(kind.into()),
                _ => {
                    lock(&self.text).push_str(&String::from_utf8_lossy(bytes));
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn row(epoch: usize, score: Option<(&'static str, f64)>) -> EpochRow {
        EpochRow {
            epoch,
            epochs: 2,
            distortion: 80.0,
            rate: 25.5,
            neg_elbo: 105.5,
            score,
            images_per_second: 21_300.4,
            elapsed: Duration::from_secs(65),
            eta: Duration::from_secs(5),
            clipped: None,
        }
    }

    /// Everything that can be said, once.
    fn say(options: Options) -> (String, String) {
        let (out, err) = (Stream::default(), Stream::default());
        let report = Report::to(options, Box::new(out.clone()), Box::new(err.clone()));
        report.note("a note");
        report.warn("a warning");
        report.begin_epoch(1, 2, 10);
        report.step(5, Some(110.0), 1000.0);
        report.epoch(&row(1, None));
        report.epoch(&row(2, None));
        report.result("a result");
        report.json(&serde_json::json!({ "rate": 25.5, "lost": f64::NAN }));
        report.error(&Error::Data("bad data".into()));
        report.finish().unwrap();
        (lock(&out.text).clone(), lock(&err.text).clone())
    }

    #[test]
    fn what_a_file_holds_does_not_steer_the_terminal() {
        let (out, err) = (Stream::default(), Stream::default());
        let report = Report::to(Options::default(), Box::new(out.clone()), Box::new(err.clone()));
        report.result("column \u{1b}]0;title\u{7}\nnext");
        report.note("device \u{1b}[2J");
        report.warn("two\nlines");
        report.error(&Error::Data("x.jpg: no marker\n".into()));
        assert_eq!(*lock(&out.text), "column \\u{1b}]0;title\\u{7}\nnext\n");
        assert_eq!(*lock(&err.text), "device \\u{1b}[2J\nwarning: two\\nlines\nerror: x.jpg: no marker\n");
    }

    #[test]
    fn results_go_to_stdout_and_all_else_to_stderr() {
        let (out, err) = say(Options::default());
        assert_eq!(out, "a result\n");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!((lines[0], lines[1]), ("a note", "warning: a warning"));
        assert!(lines[2].contains("nats per example") && lines[3].contains("distortion"), "{err}");
        assert!(lines[4].contains("1/2") && lines[5].contains("2/2"), "{err}");
        assert_eq!(lines[6..], ["error: bad data"]);
        assert!(!err.contains('\x1b') && !err.contains('\r'), "plain lines where nobody watches: {err:?}");
    }

    #[test]
    fn json_keeps_text_from_stdout_and_stays_on_one_line() {
        let (out, _) = say(Options { json: true, ..Options::default() });
        assert_eq!(out, "{\"lost\":null,\"rate\":25.5}\n");
    }

    #[test]
    fn quiet_leaves_warnings_errors_and_results() {
        let (out, err) = say(Options { quiet: true, ..Options::default() });
        assert_eq!((out.as_str(), err.as_str()), ("a result\n", "warning: a warning\nerror: bad data\n"));
    }

    #[test]
    fn labels_are_coloured_only_when_colours_are_wanted() {
        let (_, err) = say(Options { colour: true, ..Options::default() });
        assert!(err.contains("\x1b[33mwarning:\x1b[0m a warning\n"), "{err:?}");
    }

    #[test]
    fn a_reader_that_goes_away_silences_its_stream_and_nothing_else() {
        let gone = Some((1, io::ErrorKind::BrokenPipe));
        let (out, err) = (Stream { fails: gone, ..Stream::default() }, Stream { fails: gone, ..Stream::default() });
        let report = Report::to(Options::default(), Box::new(out.clone()), Box::new(err.clone()));
        for text in ["first", "second", "third"] {
            report.note(text);
            report.result(text);
        }
        assert_eq!(report.finish(), Ok(()));
        assert_eq!((lock(&out.text).as_str(), lock(&err.text).as_str()), ("first\n", "first\n"));
    }

    #[test]
    fn a_result_that_could_not_be_written_is_an_error_at_the_end() {
        let full = Stream { fails: Some((0, io::ErrorKind::StorageFull)), ..Stream::default() };
        let report = Report::to(Options::default(), Box::new(full), Box::new(Stream::default()));
        report.result("lost");
        let error = report.finish().unwrap_err();
        assert!(error.exit_code() == 6 && error.to_string().contains("standard output"), "{error}");
    }

    #[test]
    fn the_column_for_the_score_stands_where_the_first_epoch_has_it() {
        for (score, expected) in [(None, false), (Some(("val. bound", 106.25)), true)] {
            let err = Stream::default();
            let report = Report::to(Options::default(), Box::new(Stream::default()), Box::new(err.clone()));
            report.epoch(&row(1, score));
            let text = lock(&err.text).clone();
            assert_eq!(text.contains("val. bound"), expected, "{text}");
            assert_eq!(text.contains("106.25"), expected, "{text}");
        }
    }
}
