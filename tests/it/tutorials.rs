//! The tutorials say nothing that does not work: every command in them is run, in order, in a short form.

use crate::program::elbo;
use std::fs;
use std::path::Path;

#[path = "../../examples/tutorial_data.rs"]
#[expect(dead_code, reason = "the test calls what its main calls")]
mod tutorial_data;

/// What a line would need a shell for; the test has none.
const SHELL: &str = "|<>;&\\\"'$*?(){}`";

/// The blocks of a document in a language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    let opened = document.split(&fence).skip(1);
    opened.map(|rest| rest.split_once("\n```").expect("every block is closed").0).collect()
}

/// The arguments of each `elbo` command in the `sh` blocks of a document, without the remark at the end of its line; or
/// the line that cannot be run as it stands, or the beginning of a block that is none of `sh`, `toml` and `text`.
fn commands(document: &str) -> Result<Vec<Vec<&str>>, String> {
    let strange = |line: &&str| line.strip_prefix("```").is_some_and(|it| !["", "sh", "toml", "text"].contains(&it));
    if let Some(fence) = document.lines().find(strange) {
        return Err(fence.to_owned());
    }
    let mut found = Vec::new();
    for line in blocks(document, "sh").into_iter().flat_map(str::lines) {
        let typed = line.split(" #").next().unwrap_or(line).trim_end();
        match typed.strip_prefix("elbo ") {
            Some(arguments) if typed.contains(|c| SHELL.contains(c)) => return Err(arguments.to_owned()),
            Some(arguments) => found.push(arguments.split_whitespace().collect()),
            None if typed.split(|c: char| !c.is_alphanumeric()).any(|word| word == "elbo") => {
                return Err(line.to_owned());
            }
            None => (),
        }
    }
    if found.is_empty() { Err("there is no line that begins with `elbo `".to_owned()) } else { Ok(found) }
}

/// The command as it is run here: few epochs, on one thread of the CPU engine.
fn shortened(arguments: &[&str]) -> String {
    let mut kept = arguments.to_vec();
    if let Some(at) = kept.iter().position(|&argument| argument == "--epochs") {
        kept.drain(at..at + 2);
    }
    let more = match arguments[0] {
        "data" | "export" | "runs" => "",
        "train" if arguments.contains(&"--resume") => "--epochs 3 --adapter cpu --threads 1",
        "train" => "--epochs 2 --adapter cpu --threads 1",
        _ => "--adapter cpu --threads 1",
    };
    format!("{} {more}", kept.join(" "))
}

/// Runs all commands of a document where its data are, after writing the TOML files that it shows: the first line of
/// such a block is a comment with the file's name.
fn follow(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let document = fs::read_to_string(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tutorial_data::write(folder.path()).unwrap();
    for text in blocks(&document, "toml") {
        let file = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("its name comes first");
        fs::write(folder.path().join(file), text).unwrap();
    }
    for arguments in commands(&document).unwrap_or_else(|line| panic!("{name}: cannot be run: {line}")) {
        let out =
            arguments.iter().position(|&argument| argument == "--out").map(|at| folder.path().join(arguments[at + 1]));
        assert!(!out.as_ref().is_some_and(|out| out.exists()), "{name}: {arguments:?} writes what is already there");
        let outcome = elbo(folder.path(), &shortened(&arguments));
        assert_eq!(outcome.code, Some(0), "{name}: {arguments:?}: {outcome:?}");
        assert!(out.is_none_or(|out| out.exists()), "{name}: {arguments:?} did not write its --out");
    }
}

#[test]
fn a_folder_of_pictures_becomes_what_the_tutorial_says() {
    follow("images.md");
}

#[test]
fn a_table_and_an_array_become_what_the_tutorial_says() {
    follow("tables.md");
}

#[test]
fn a_command_that_would_not_be_run_is_found() {
    let document = |lines: &str| format!("Text.\n\n```sh\n{lines}\n```\n\n```text\nelbo | elbo\n```\n");
    let runs = document("cd elsewhere\nelbo data x   # what is in it\n\nelbo train --data x --epochs 90 --out a");
    let found = commands(&runs).unwrap();
    assert_eq!(found, [vec!["data", "x"], vec!["train", "--data", "x", "--epochs", "90", "--out", "a"]]);
    assert_eq!(shortened(&found[1]), "train --data x --out a --epochs 2 --adapter cpu --threads 1");
    for lines in
        ["ls", "elbo data x > y", "elbo data \\\n  x", "time elbo data x", "  elbo data x", "./elbo data x", "elbo"]
    {
        assert!(commands(&document(lines)).is_err(), "{lines}");
    }
    assert!(commands("elbo data x\n").is_err(), "a command in no block");
    assert!(commands(&runs.replace("```text", "```bash")).is_err(), "a block that is not looked at");
}
