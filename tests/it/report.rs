//! `elbo report`: a run as one file that asks nobody for anything.

use crate::program::{TINY, elbo, json, read_by};
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
    // Pictures of the map are parts of one that lies in the page.
    let lower = lower.replace("href=\"data:image/png;base64,", "").replace("href=\"#sheet\"", "");
    for asks in ["http:", "https:", "<script", "<link", "@import", "url(", "src=\"/", "href="] {
        assert!(!lower.contains(asks), "{asks}");
    }
    assert_eq!(lower.matches("src=").count(), lower.matches("src=\"data:image/png;base64,").count());
    // Pictures are letters, any three of which may come.
    let text: String = page.split("base64,").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest)).collect();
    for number in ["NaN", "inf\"", "Infinity"] {
        assert!(!text.contains(number), "{number}");
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
        "Samples over the epochs",
        "Reconstructions",
        "Latent dimensions",
        "Traversals",
        "Latent map",
        "Settings",
    ] {
        assert!(text.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert!(!text.contains("<h2>Scores</h2>"), "nobody asked for scores");
    // Samples, reconstructions, traversals, and samples of the epochs 0 to 2.
    assert_eq!(text.matches("<img ").count(), 6);
    assert!(text.contains("<figcaption>epoch 0</figcaption>") && text.contains("<figcaption>epoch 2</figcaption>"));
    assert_eq!(
        text.matches("<image id=\"sheet\" width=\"224\" height=\"196\"").count(),
        1,
        "fifty pictures, eight in a row"
    );
    assert_eq!(text.matches("<svg class=\"picture\"").count(), 50);
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
    assert!(text.contains("<th>columns that contribute most</th>"));
    assert!(text.contains("<h2>Columns</h2>") && text.contains("<rect class=\"other\""));
    let distributions = text.split("<h2>Columns</h2>").nth(1).unwrap().split("<h2>").next().unwrap();
    assert_eq!(distributions.matches("<figure>").count(), 3);
    assert!(distributions.contains("<title>&lt;b&gt;1: ") && !text.contains("<svg class=\"picture\""));
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

/// What TensorBoard reads is what `metrics.csv` says, of a run that went on and of the members of a sweep.
#[test]
fn event_files_say_what_the_metrics_say() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    elbo(at, &format!("train {TINY} --epochs 2 --tensorboard logs --out run")).succeeded();
    elbo(at, "train --resume run --epochs 3 --tensorboard logs --adapter cpu").succeeded();
    elbo(at, &format!("train {TINY} --epochs 1 --seeds 2 --tensorboard logs --out both")).succeeded();
    assert_eq!(fs::read_dir(at.join("logs/run")).unwrap().count(), 2, "a file a sitting");
    fs::write(at.join("file"), "").unwrap();
    elbo(at, &format!("train {TINY} --epochs 1 --tensorboard file --out no")).failed(6, "file");
    let Some(found) = read_by("tensorboard", "events.py", &at.join("logs")) else { return };
    assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ["both/member-00", "both/member-01", "run"]);
    let metrics = fs::read_to_string(at.join("run/metrics.csv")).unwrap();
    let (names, lines) = metrics.split_once('\n').unwrap();
    let column = names.split(',').position(|name| name == "neg_elbo").unwrap();
    let read = found["run"]["scalars"]["neg_elbo"].as_array().unwrap();
    assert_eq!(read.len(), 3);
    for (line, pair) in lines.lines().zip(read) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[0], pair[0].to_string());
        assert_eq!(cells[column].parse::<f64>().unwrap() as f32, pair[1].as_f64().unwrap() as f32);
    }
    let pictures = found["run"]["images"]["samples"].as_array().unwrap();
    assert_eq!(pictures.len(), 4, "{pictures:?}");
    assert_eq!(pictures[3], serde_json::json!([3, 455, 455]));
}
