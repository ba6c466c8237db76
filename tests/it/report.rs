//! `elbo report`: a run as one file that asks nobody for anything.

use crate::program::{TINY, elbo, json};
use std::fs;
use std::path::Path;

/// The page that a run becomes.
fn page(at: &Path, arguments: &str, file: &str) -> String {
    elbo(at, &format!("report {arguments} --adapter cpu")).succeeded();
    fs::read_to_string(at.join(file)).unwrap()
}

/// Tags that are opened are closed, in their order, and no request leaves the page.
fn check(page: &str) {
    let mut open = Vec::new();
    let inside = page.split("</style>").nth(1).expect("there is a style");
    for tag in inside.split('<').skip(1) {
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        match name.strip_prefix('/') {
            Some("html") => {}
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "before </{name}>"),
            None if matches!(name.as_str(), "img" | "meta") || tag.split('>').next().unwrap().ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let lower = page.to_lowercase();
    for asks in ["http:", "https:", "<script", "<link", "@import", "url(", "src=\"/", "href="] {
        assert!(!lower.contains(asks), "{asks}");
    }
    assert_eq!(lower.matches("src=").count(), lower.matches("src=\"data:image/png;base64,").count());
    for number in ["NaN", "inf\"", "Infinity"] {
        assert!(!page.contains(number), "{number}");
    }
}

#[test]
fn a_run_of_pictures_is_a_page_with_all_that_it_came_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    elbo(at, &format!("train {TINY} --epochs 2 --set data.validation=40 --out run")).succeeded();
    let text = page(at, "run", "run/report.html");
    check(&text);
    for heading in [
        "Figures",
        "Training",
        "Samples",
        "Reconstructions",
        "Latent dimensions",
        "Traversals",
        "Latent map",
        "Settings",
    ] {
        assert!(text.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert!(!text.contains("<h2>Scores</h2>"), "nobody asked for scores");
    assert_eq!(text.matches("<img ").count(), 3);
    assert!(text.contains("validation_neg_elbo") && text.contains("hidden = [16]"));
    // Fifty examples of ten classes.
    assert_eq!(text.matches("<circle ").count(), 50);
    assert_eq!(page(at, "run --out again.html", "again.html"), text, "a page is a function of its run");
    elbo(at, "report run --out page.pdf").failed(2, "--out page.pdf: the file's name is to end in .html");
    elbo(at, "report nowhere").failed(3, "no such folder: nowhere");
    assert_eq!(json(at, "report run")["part"].as_str(), Some("test"));
}

#[test]
fn tables_codes_and_what_users_chose_have_pages_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let rows: Vec<String> = (0..200).map(|n| format!("{},{},<b>{}\n", n % 7, (n * n) % 13, n % 3)).collect();
    let rows = rows.concat();
    fs::write(at.join("table.csv"), format!("a,b&c,word\n{rows}")).unwrap();
    elbo(at, "train --data table.csv --set hidden=[8] --latent 2 --epochs 2 --adapter cpu --out table").succeeded();
    elbo(at, "score table --mean-field --adapter cpu").succeeded();
    let text = page(at, "table", "table/report.html");
    check(&text);
    assert!(text.contains("<h2>Scores</h2>") && text.contains("class=\"threshold\""));
    assert!(
        text.contains("<th>b&amp;c</th>") && text.contains("&lt;b&gt;1") && !text.contains("<b>"),
        "names are no markup"
    );

    let list: String =
        (0..60).flat_map(|user| [user % 5, user % 3 + 5].map(|item| format!("{user},{item}\n"))).collect();
    fs::write(at.join("list.csv"), format!("user,item\n{list}")).unwrap();
    let small = "--set model.decoder=[8] --set encoder_layers=[] --set hidden=[8] --latent 3 --epochs 2 --batch 20 --adapter cpu";
    elbo(at, &format!("train --data list.csv --recipe recommend {small} --out list")).succeeded();
    let text = page(at, "list", "list/report.html");
    check(&text);
    assert!(text.contains("<h2>Latent map</h2>") && !text.contains("<h2>Samples</h2>"));

    let small =
        "--set data.examples=120 --set codes=8 --set hidden=[16] --latent 2 --epochs 1 --batch 50 --adapter cpu";
    elbo(at, &format!("train {small} --out codes")).succeeded();
    let text = page(at, "codes", "codes/report.html");
    check(&text);
    assert!(text.contains("<h2>Samples</h2>") && !text.contains("<h2>Latent map</h2>"));
}
