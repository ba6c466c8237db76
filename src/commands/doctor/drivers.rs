//! What decides which Vulkan drivers are there: files that name them, and variables that say where these are.

use std::path::PathBuf;

/// The variables that begin so change which drivers and layers are loaded.
const PREFIX: &str = "VK_";

/// Variables of the environment that concern Vulkan.
pub fn environment() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    all.sort();
    all
}

/// The files that tell Vulkan's loader of drivers, where the loader looks for them on Linux; elsewhere none.
pub fn files() -> Vec<String> {
    if !cfg!(target_os = "linux") {
        return vec![];
    }
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find_map(std::env::var_os);
    let places = match named {
        Some(places) => std::env::split_paths(&places).collect(),
        None => usual_places(),
    };
    let mut files = Vec::new();
    for place in places {
        let inside = std::fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut json: Vec<PathBuf> = inside.chain([place]).filter(|path| is_json(path)).collect();
        json.sort();
        files.extend(json.into_iter().map(|path| path.display().to_string()));
    }
    files
}

/// Both as lines of a report.
pub fn as_text(environment: &[(String, String)], files: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = environment.iter().map(|(name, value)| format!("set     {name}={value}")).collect();
    lines.extend(files.iter().map(|file| format!("driver  {file}")));
    if files.is_empty() && cfg!(target_os = "linux") {
        lines.push("driver  no file names a Vulkan driver".to_owned());
    }
    lines
}

fn is_json(path: &std::path::Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension == "json")
}

fn usual_places() -> Vec<PathBuf> {
    let home = |variable: &str, below: &str| {
        let named = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below)))
    };
    let folders = [
        home("XDG_CONFIG_HOME", ".config"),
        Some("/etc/xdg".into()),
        Some("/usr/local/etc".into()),
        Some("/etc".into()),
        home("XDG_DATA_HOME", ".local/share"),
        Some("/usr/local/share".into()),
        Some("/usr/share".into()),
    ];
    folders.into_iter().flatten().map(|folder| folder.join("vulkan/icd.d")).collect()
}
