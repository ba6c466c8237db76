//! What makes the program at home on a machine: completions, manual pages, the list of runs.

use crate::program::{content, elbo, trained};
use serde_json::Value;
use std::fs;

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = elbo(folder.path(), &format!("completions {shell}")).succeeded();
        for word in ["interpolate", "reconstruct", "adapter"] {
            assert!(said.out.contains(word), "{shell}: no {word}");
        }
    }
    elbo(folder.path(), "completions sh").failed(2, "sh");
    assert_eq!(content(folder.path()), []);
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let said = elbo(folder.path(), "man --out man1").succeeded();
    assert_eq!(said.out, "man1/elbo.1\n");
    for (page, word) in
        [("elbo", "train"), ("elbo-train", "seed"), ("elbo-bench-step", "rounds"), ("elbo-embed", "npy")]
    {
        let text = fs::read_to_string(folder.path().join("man1").join(format!("{page}.1"))).unwrap();
        assert!(text.starts_with(".ie") && text.contains(&format!(".TH {page} 1")) && text.contains(word), "{text}");
    }
    elbo(folder.path(), "man --out man1/elbo.1/deeper").failed(6, "man1/elbo.1");
}

#[test]
fn runs_are_listed_with_their_best_metric() {
    let folder = trained();
    fs::create_dir(folder.path().join("runs")).unwrap();
    fs::rename(folder.path().join("run"), folder.path().join("runs/first")).unwrap();
    let second = "train --recipe plane --adapter cpu --set data.examples=300 --set validation=20 --set hidden=[8] \
                  --batch 50 --epochs 1 --out runs/second";
    elbo(folder.path(), second).succeeded();
    fs::create_dir(folder.path().join("runs/other")).unwrap();
    let text = elbo(folder.path(), "runs").succeeded();
    let lines: Vec<&str> = text.out.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("runs/first") && lines[2].starts_with("runs/second"), "{text:?}");
    let value: Value = serde_json::from_str(&elbo(folder.path(), "runs --json").succeeded().out).unwrap();
    for (run, line, epochs, part) in [(0, lines[1], "2 of 2", "training"), (1, lines[2], "1 of 1", "validation")] {
        let best = value["runs"][run]["best_score"].as_f64().unwrap();
        for word in [epochs, part, "glyphs", &format!("{best:.2}")] {
            assert!(line.contains(word), "{word} is not in {line}");
        }
    }
    let metrics = fs::read_to_string(folder.path().join("runs/second/metrics.csv")).unwrap();
    let validation: f64 = metrics.lines().nth(1).unwrap().split(',').nth(4).unwrap().parse().unwrap();
    assert_eq!(value["runs"][1]["best_score"], validation);

    let one = elbo(folder.path(), "runs runs/second").succeeded();
    assert_eq!(one.out.lines().count(), 2);
    let none = elbo(folder.path(), "runs runs/other").succeeded();
    assert!(none.out.is_empty() && none.err.contains("no runs in runs/other"), "{none:?}");
    elbo(folder.path(), "runs missing").failed(3, "no such folder: missing");
    fs::write(folder.path().join("runs/first/checkpoints/last"), "nonsense").unwrap();
    let damaged = elbo(folder.path(), "runs").succeeded();
    assert!(damaged.err.starts_with("warning: runs/first/checkpoints/last is damaged"), "{damaged:?}");
    assert_eq!(damaged.out.lines().count(), 2, "the others are listed");
}
