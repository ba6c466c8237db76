//! The commands that make the program at home on a machine.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `elbo runs`.
#[derive(Debug, Clone, Args)]
pub struct RunsArgs {
    /// Run folders, or folders that hold some [default: runs]
    #[arg(value_name = "DIR")]
    pub folders: Vec<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `elbo completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell that is to complete commands
    pub shell: Shell,
}

/// `elbo man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Folder that gets the pages
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
