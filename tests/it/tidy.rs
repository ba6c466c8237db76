//! The invariants of the source tree that its text can show.

use std::path::Path;

/// Words that may not appear in some of the files.
struct Rule {
    what: &'static str,
    files: Files,
    words: &'static [&'static str],
    /// A file and a line that breaks the rule.
    bad: (&'static str, &'static str),
}

/// Files by how their paths begin.
enum Files {
    All,
    In(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

const RULES: &[Rule] = &[
    Rule {
        what: "only exec/gpu names wgpu",
        files: Files::AllBut(&["src/exec/gpu", "tests/"]),
        words: &["wgpu"],
        bad: ("src/exec.rs", "fn limits() -> wgpu::Limits {"),
    },
    Rule {
        what: "only report and main print",
        files: Files::AllBut(&["src/report", "src/main.rs", "src/data/tests.rs", "tests/"]),
        words: &["println!", "eprintln!", "print!", "eprint!", "stdout()", "stderr()"],
        bad: ("src/train.rs", "    eprintln!(\"epoch {epoch}\");"),
    },
    Rule {
        what: "tests say what they skip where it is seen: what macros print is hidden on success",
        files: Files::In(&["src/data/tests.rs", "tests/"]),
        words: &["println!", "eprintln!", "print!", "eprint!"],
        bad: ("tests/it/curves.rs", "        eprintln!(\"skipped\");"),
    },
    Rule {
        what: "graph, kernels, plan and model do no I/O and read no environment",
        files: Files::In(&["src/graph", "src/kernels", "src/plan", "src/model"]),
        words: &["std::fs", "std::env", "std::io", "fs::", "env::", "io::"],
        bad: ("src/plan/lower.rs", "    let text = std::fs::read_to_string(path)?;"),
    },
    Rule {
        what: "the graph knows neither kernels nor what comes after",
        files: Files::In(&["src/graph"]),
        words: &["kernels::", "plan::", "exec::", "model::", "train::"],
        bad: ("src/graph/op.rs", "use crate::kernels::combine;"),
    },
    Rule {
        what: "kernels know neither the graph nor what comes after",
        files: Files::In(&["src/kernels"]),
        words: &["graph::", "plan::", "exec::", "model::", "train::"],
        bad: ("src/kernels/optim/update.rs", "use crate::{graph::Op, rng};"),
    },
    Rule {
        what: "the model knows neither kernels, plans nor devices",
        files: Files::In(&["src/model"]),
        words: &["kernels::", "plan::", "exec::", "train::"],
        bad: ("src/model/vae.rs", "    let plan = plan::lower(&graph);"),
    },
    Rule {
        what: "plans are made without a device",
        files: Files::In(&["src/plan"]),
        words: &["exec::", "model::", "train::"],
        bad: ("src/plan.rs", "use crate::exec::Gpu;"),
    },
    Rule {
        what: "data are told a domain of values, and what leaves the house asks the table of likelihoods",
        files: Files::In(&[
            "src/data/array.rs",
            "src/data/check.rs",
            "src/data/csv.rs",
            "src/data/pictures.rs",
            "src/data/request.rs",
            "src/data/table/encoding.rs",
            "src/exchange",
        ]),
        words: &["Likelihood::"],
        bad: ("src/data/check.rs", "        Likelihood::Poisson => counts(x),"),
    },
    Rule {
        what: "only exec/gpu, the state of arithmetic, the door to gemm and memory shared by processes are unsafe",
        files: Files::AllBut(&[
            "src/exec/gpu",
            "src/exec/cpu/subnormal.rs",
            "src/kernels/product/gemm.rs",
            "src/ranks/mpi/window.rs",
        ]),
        words: &["unsafe"],
        bad: ("src/kernels.rs", "    let x = unsafe { *pointer };"),
    },
    Rule {
        what: "only ranks, and what begins and ends a process among others, name MPI",
        files: Files::AllBut(&["src/ranks", "src/commands/together.rs", "tests/"]),
        words: &["mpi::"],
        bad: ("src/train/run.rs", "        let world = mpi::initialize();"),
    },
    Rule {
        what: "below a session nobody knows of other processes",
        files: Files::In(&["src/config", "src/data", "src/exec", "src/graph", "src/kernels", "src/model", "src/plan"]),
        words: &["ranks::"],
        bad: ("src/exec/cpu.rs", "use crate::ranks::Ranks;"),
    },
    Rule {
        what: "nothing is left undone, and no test is switched off",
        files: Files::All,
        words: &["todo!", "unimplemented!", "dbg!", "#[ignore"],
        bad: ("tests/it/shaders.rs", "#[ignore = \"slow\"]"),
    },
];

#[test]
fn the_source_keeps_to_the_rules() {
    let files = rust_files();
    assert!(files.iter().any(|(path, _)| path == "src/kernels/optim/update.rs"), "the walk misses files");
    let broken: Vec<String> = files.iter().flat_map(|(path, text)| breaches(path, text)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_rule_finds_its_bad_sample() {
    for rule in RULES {
        let (path, line) = rule.bad;
        let found = breaches(path, &format!("//! A file.\n\n{line}\n"));
        assert!(found.iter().any(|breach| breach.contains(rule.what)), "{}: {found:?}", rule.what);
        assert!(found[0].starts_with(&format!("{path}:3: ")), "{}", found[0]);
    }
}

#[test]
fn comments_longer_words_and_files_out_of_reach_are_no_breach() {
    for (path, line) in [
        ("src/exec.rs", "// wgpu is named here in a comment alone."),
        ("src/exec.rs", "let x = 1; // as wgpu has it"),
        ("src/exec/gpu/device.rs", "let x = unsafe { wgpu::something() };"),
        ("src/lib.rs", "#![deny(unsafe_code)]"),
        ("src/report/table.rs", "println!();"),
        ("src/train.rs", "std::fs::write(path, text)?;"),
        ("src/plan/print.rs", "let radio::Plan { .. } = x;"),
    ] {
        assert_eq!(breaches(path, line), Vec::<String>::new());
    }
    let in_a_text = breaches("src/exec.rs", "let x = \"https://wgpu.rs\";");
    assert_eq!(in_a_text.len(), 1, "an address is no comment");
}

#[test]
fn documented_functions_that_can_fail_say_how() {
    let silent: Vec<String> = rust_files()
        .iter()
        .filter(|(path, _)| path.starts_with("src/"))
        .flat_map(|(path, text)| silent_about_errors(text).into_iter().map(move |name| format!("{path}: {name}")))
        .collect();
    assert!(silent.is_empty(), "no `# Errors` in the documentation of\n{}", silent.join("\n"));
    let bad = "/// Reads it.\n#[inline]\npub fn read(\n    path: &Path,\n) -> Result<Text> {\n";
    assert_eq!(silent_about_errors(bad), ["read"]);
    assert_eq!(silent_about_errors(&bad.replace("it.\n", "it.\n///\n/// # Errors\n/// Those of the disk.\n")).len(), 0);
    assert_eq!(silent_about_errors(&bad.replace("Result<Text>", "Text")).len(), 0);
}

#[test]
fn no_two_parts_know_each_other() {
    let files: Vec<(String, String)> = rust_files().into_iter().filter(|(path, _)| path.starts_with("src/")).collect();
    let circles = circles(&files);
    assert!(circles.is_empty(), "these know each other: {circles:?}");
    let bad = [("src/data/csv.rs", "use crate::plan::Plan;"), ("src/plan.rs", "fn of(data: &crate::data::Dataset) {")];
    let bad = bad.map(|(path, line)| (path.to_owned(), line.to_owned()));
    assert_eq!(self::circles(&bad), [("data".to_owned(), "plan".to_owned())]);
}

/// Pairs of parts, files of `src` with the folders of their names, either of which names the other outside of tests.
fn circles(files: &[(String, String)]) -> Vec<(String, String)> {
    let part = |path: &str| {
        let name = path.trim_start_matches("src/").split('/').next().unwrap_or_default();
        name.trim_end_matches(".rs").to_owned()
    };
    let mut known = std::collections::BTreeSet::new();
    for (path, text) in files {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for named in text.lines().map(code).flat_map(|line| line.split("crate::").skip(1)) {
            let named: String = named.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            known.insert((part(path), named));
        }
    }
    let both = |(a, b): &&(String, String)| a < b && known.contains(&(b.clone(), a.clone()));
    known.iter().filter(both).cloned().collect()
}

/// The public functions of a file that have documentation, give a `Result` and say nothing of its errors.
fn silent_about_errors(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub fn ") else { continue };
        let signature: String =
            lines[at..].iter().take_while(|line| !line.starts_with('}')).take(12).copied().collect();
        let fails = signature.split('{').next().unwrap_or_default().rsplit("->").next().unwrap_or_default();
        let above: Vec<&str> =
            lines[..at].iter().rev().take_while(|l| l.starts_with("///") || l.starts_with("#[")).copied().collect();
        let documented = above.iter().any(|line| line.starts_with("///"));
        if fails.trim_start().starts_with("Result<") && documented && !above.iter().any(|line| line.contains("Error")) {
            found.push(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The lines of a file that break a rule.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rule in RULES {
        let concerned = match rule.files {
            Files::All => true,
            Files::In(starts) => starts.iter().any(|start| path.starts_with(start)),
            Files::AllBut(starts) => !starts.iter().any(|start| path.starts_with(start)),
        };
        if !concerned {
            continue;
        }
        for (line, number) in text.lines().zip(1..) {
            for word in rule.words.iter().filter(|word| has_word(code(line), word)) {
                found.push(format!("{path}:{number}: {word}: {}", rule.what));
            }
        }
    }
    found
}

/// A line without its comment.
fn code(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(start, _)| !line[..*start].ends_with(':'));
    comment.map_or(line, |(start, _)| &line[..start])
}

/// Whether `word` stands in `code` and not as a part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(start, _)| {
        let (before, after) = (code[..start].chars().next_back(), code[start + word.len()..].chars().next());
        let cut_before = word.starts_with(in_name) && before.is_some_and(in_name);
        let cut_after = word.ends_with(in_name) && after.is_some_and(in_name);
        !cut_before && !cut_after
    })
}

/// Path and text of every Rust file but this one, whose samples break all rules.
fn rust_files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests/it/tidy.rs" {
                files.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    files
}
