//! The licences of what is linked into the program: `THIRD-PARTY.md`, made from what the crates say of themselves.
//!
//! `ELBO_BLESS=1 cargo test notices_are_those_of_what_is_linked` writes it anew.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The platform whose crates are named.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The licences under which crates may be used, any of which is enough where a crate offers a choice.
const ALLOWED: [&str; 9] = [
    "MIT",
    "Apache-2.0",
    "ISC",
    "Zlib",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
    "Unlicense",
];

/// A crate that becomes part of the program.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    licence: String,
    /// Its text, and that of what goes with it; none where it comes without.
    texts: Vec<String>,
}

/// What cargo knows of the crates that are linked, this one left out.
fn linked() -> Vec<Crate> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", TARGET]);
    let said = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let told: Value = serde_json::from_slice(&said.stdout).expect("metadata are JSON");
    let of = |values: &Value| values.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes: BTreeMap<String, Value> =
        of(&told["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let root = text(&told["resolve"]["root"]);
    let (mut seen, mut next) = (BTreeSet::new(), vec![root.clone()]);
    while let Some(id) = next.pop() {
        // What tests and build scripts need is not in the program.
        let linked = |dependency: &Value| of(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        if seen.insert(id.clone()) {
            next.extend(of(&nodes[&id]["deps"]).iter().filter(|it| linked(it)).map(|it| text(&it["pkg"])));
        }
    }
    let packages =
        of(&told["packages"]).into_iter().filter(|it| text(&it["id"]) != root && seen.contains(&text(&it["id"])));
    let mut crates: Vec<Crate> = packages
        .map(|it| Crate {
            name: text(&it["name"]),
            version: text(&it["version"]),
            licence: text(&it["license"]).replace('/', " OR ").replace("  ", " "),
            texts: texts(Path::new(&text(&it["manifest_path"])).parent().expect("a manifest is in a folder")),
        })
        .collect();
    crates.sort();
    crates
}

/// The licence of a crate: of several to choose from that of MIT, else all; and its notices.
fn texts(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
    let names: BTreeSet<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let begins = |name: &&String, start: &[&str]| start.iter().any(|start| name.to_uppercase().starts_with(start));
    let licences: Vec<&String> = names.iter().filter(|it| begins(it, &["LICEN", "COPYING", "UNLICENSE"])).collect();
    let mit: Vec<&String> = licences.iter().copied().filter(|name| name.to_uppercase().contains("MIT")).collect();
    let notices = names.iter().filter(|it| begins(it, &["NOTICE"]));
    let chosen = if mit.is_empty() { licences } else { mit };
    let read = |name: &String| fs::read(folder.join(name)).ok().map(|text| String::from_utf8_lossy(&text).into_owned());
    let tidy = |text: String| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim().to_owned();
    chosen.into_iter().chain(notices).filter_map(read).map(tidy).filter(|text| !text.is_empty()).collect()
}

/// Whether an expression of licences can be met by [`ALLOWED`] ones.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace(" WITH LLVM-exception", "");
    let all = |part: &str| part.split(" OR ").any(|one| ALLOWED.contains(&one.trim()));
    plain.split(" AND ").all(all)
}

fn page(crates: &[Crate]) -> String {
    let mut page = format!(
        "# Third-party notices\n\nWhat is linked into `elbo` for {TARGET} with its default features, made by `ELBO_BLESS=1 cargo \
         test notices_are_those_of_what_is_linked`.\n\n| crate | version | licence |\n|---|---|---|\n"
    );
    let mut of_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in crates {
        let _ = writeln!(page, "| {} | {} | {} |", one.name, one.version, one.licence);
        one.texts.iter().for_each(|text| of_text.entry(text).or_default().push(&one.name));
    }
    let bare: Vec<&str> = crates.iter().filter(|it| it.texts.is_empty()).map(|it| it.name.as_str()).collect();
    let _ = write!(page, "\nThese come without a file of their licence: {}.\n", bare.join(", "));
    let mut texts: Vec<(Vec<&str>, &str)> = of_text.into_iter().map(|(text, names)| (names, text)).collect();
    texts.sort();
    for (names, text) in texts {
        let _ = write!(page, "\n## {}\n\n```text\n{text}\n```\n", names.join(", "));
    }
    page
}

#[test]
fn notices_are_those_of_what_is_linked() {
    let crates = linked();
    assert!(crates.len() > 100, "{} crates", crates.len());
    for one in &crates {
        assert!(is_allowed(&one.licence), "{} {}: {:?} is not allowed", one.name, one.version, one.licence);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("THIRD-PARTY.md");
    let page = page(&crates);
    if std::env::var_os("ELBO_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(page.lines()).find(|(found, made)| found != made);
    assert!(found == page, "THIRD-PARTY.md is out of date ({differs:?}): record it anew with ELBO_BLESS=1");
}

#[test]
fn licences_of_which_one_is_enough_are_told_from_those_that_all_hold() {
    for (expression, allowed) in [
        ("MIT OR Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}
