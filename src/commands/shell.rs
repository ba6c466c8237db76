//! `elbo completions` and `elbo man`: what shells and readers of manuals expect of a program.

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::durable;
use crate::error::{Error, Result};
use crate::report::Report;
use clap::CommandFactory;
use clap_mangen::Man;

/// Prints a script for a shell.
pub fn completions(args: &CompletionsArgs, report: &Report) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "elbo", &mut script);
    report.result(String::from_utf8_lossy(&script).trim_end());
}

/// Writes a page for the program and one for each command.
///
/// # Errors
/// [`Error::Disk`] where a page cannot be written.
pub fn man(args: &ManArgs, report: &Report) -> Result<()> {
    let mut pages = Vec::new();
    collect(Cli::command(), "elbo", &mut pages)?;
    durable::create_folder(&args.out)?;
    for (name, page) in &pages {
        durable::replace_file(&args.out.join(name), page)?;
    }
    report.note(&format!("wrote    {} pages", pages.len()));
    report.result(&args.out.join("elbo.1").display().to_string());
    Ok(())
}

/// The pages of a command and those below it: `elbo-bench-step.1`.
fn collect(command: clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let inner: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    let mut page = Vec::new();
    let titled = command.display_name(name.to_owned()).version(env!("CARGO_PKG_VERSION"));
    Man::new(titled).render(&mut page).map_err(|e| Error::Bug(format!("the manual page of {name}: {e}")))?;
    pages.push((format!("{name}.1"), page));
    inner.into_iter().try_for_each(|command| {
        let name = format!("{name}-{}", command.get_name());
        collect(command, &name, pages)
    })
}
