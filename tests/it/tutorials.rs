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

/// The place that GitHub gives a heading: small letters and digits, dashes for blanks, nothing else.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The headings of a document, as links name them.
fn anchors(document: &str) -> Vec<String> {
    let outside = document.split("\n```").step_by(2).flat_map(str::lines);
    outside.filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The links of a document, in the folder `at`, that lead to no file or to no heading.
fn broken(document: &str, at: &Path) -> Vec<String> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let leads = |target: &str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = at.join(file);
        match fs::read_to_string(&path) {
            _ if file.is_empty() => anchors(document).contains(&heading.to_owned()),
            Ok(text) => heading.is_empty() || anchors(&text).contains(&heading.to_owned()),
            // A folder or a picture.
            Err(_) => heading.is_empty() && path.exists(),
        }
    };
    targets.filter(|target| !target.starts_with("http") && !leads(target)).map(str::to_owned).collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> = pages.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    let index = fs::read_to_string(root.join("docs/README.md")).unwrap();
    for page in &pages {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "docs/README.md does not list {name}");
    }
    let others = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root.join(name));
    for page in others.iter().chain(&pages) {
        let lost = broken(&fs::read_to_string(page).unwrap(), page.parent().unwrap());
        assert!(lost.is_empty(), "{}: these links lead nowhere: {lost:?}", page.display());
    }
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let document = "# A, `b`\n\n[a](#a-b) [b](data.md#parts) [c](../assets/samples.png) [d](https://x.org/#y)\n";
    assert!(broken(document, &docs).is_empty(), "{:?}", broken(document, &docs));
    for wrong in ["[a](#a)", "[a](data.md#nothing)", "[a](nothing.md)", "[a](../assets/samples.png#x)"] {
        assert_eq!(broken(&format!("# A, `b`\n\n{wrong}\n"), &docs).len(), 1, "{wrong}");
    }
}
