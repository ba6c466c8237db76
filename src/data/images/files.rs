//! Which files of a folder are images, and of which class.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Folders within folders are followed this far; a link that leads back to itself ends here.
const MAX_DEPTH: usize = 16;

/// An image on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where it lies.
    pub path: PathBuf,
    /// Its class, where folders say so.
    pub class: Option<u32>,
}

/// The images of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their names, those of the test part at the end.
    pub images: Vec<Image>,
    /// The names of the classes, sorted.
    pub classes: Option<Vec<String>>,
    /// How many are the test part, where folders say so.
    pub test: Option<usize>,
    /// What was left out.
    pub notes: Vec<String>,
}

/// Images with the name of their class, and a count of other files.
#[derive(Default)]
struct Found {
    images: Vec<(PathBuf, Option<String>)>,
    others: usize,
}

/// Lists the images in and below a folder. With folders `train` and `test` in it these are the parts. In a part, every
/// folder is a class; `labels` may be `none`, so that they are not.
///
/// # Errors
/// [`Error::Data`] where there are no images or folders do not say clearly what the classes are; [`Error::Usage`] for
/// other `labels`.
pub fn list(folder: &Path, labels: &str) -> Result<Listing> {
    let wanted = match labels {
        "" => true,
        "none" => false,
        _ => {
            return Err(Error::Usage(format!(
                "data.labels = {labels}: images have their labels from the folders that they lie in; leave it empty, \
                 or `none` for no labels"
            )));
        }
    };
    let [train, test] = ["train", "test"].map(|part| folder.join(part));
    let mut notes = Vec::new();
    let (mut all, tested) = if train.is_dir() && test.is_dir() {
        let (mut all, test) = (part(&train, wanted)?, part(&test, wanted)?);
        for other in entries(folder)? {
            if !["train", "test"].map(OsString::from).contains(&other) {
                notes.push(format!("{} is left out beside train and test", folder.join(other).display()));
            }
        }
        all.images.extend(test.images.iter().cloned());
        all.others += test.others;
        (all, Some(test.images.len()))
    } else {
        (part(folder, wanted)?, None)
    };
    if all.others > 0 {
        notes.push(format!("{} files that are neither .png nor .jpg are left out", all.others));
    }
    if all.images.is_empty() || tested == Some(all.images.len()) {
        return Err(Error::Data(format!(
            "{}: there are no data in this folder to train on: neither .png or .jpg images nor IDX files such as {}",
            folder.display(),
            crate::data::idx::TRAIN_IMAGES
        )));
    }
    let mut classes: Vec<String> = all.images.iter().filter_map(|(_, class)| class.clone()).collect();
    classes.sort();
    classes.dedup();
    let number = |class: Option<String>| class.and_then(|class| classes.binary_search(&class).ok()).map(|at| at as u32);
    let images = all.images.drain(..).map(|(path, class)| Image { path, class: number(class) }).collect();
    Ok(Listing { images, classes: (!classes.is_empty()).then_some(classes), test: tested, notes })
}

/// The images of a part: its own, or those of the folders in it, which are classes.
fn part(folder: &Path, labels: bool) -> Result<Found> {
    let mut found = Found::default();
    collect(folder, None, labels, 0, &mut found)?;
    let without = found.images.iter().find(|(_, class)| class.is_none());
    let with = found.images.iter().find(|(_, class)| class.is_some());
    if let (Some((plain, _)), Some((inner, _))) = (without, with) {
        return Err(Error::Data(format!(
            "{} lies in the folder itself and {} in a folder of its own, so classes are not clear: move all into \
             folders, or go without labels with `--set data.labels=none`",
            plain.display(),
            inner.display()
        )));
    }
    Ok(found)
}

/// Collects the images of a folder, then those of the folders in it. The outermost folder names the class.
fn collect(folder: &Path, class: Option<&str>, labels: bool, depth: usize, found: &mut Found) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::Data(format!("{}: more than {MAX_DEPTH} folders deep", folder.display())));
    }
    for name in entries(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            let name = name.to_string_lossy().into_owned();
            let class = class.or(labels.then_some(name.as_str()));
            collect(&path, class, labels, depth + 1, found)?;
        } else if is_image(&path) && !fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            // Opening a pipe or a device of such a name would wait for ever.
            found.images.push((path, class.map(str::to_owned)));
        } else {
            found.others += 1;
        }
    }
    Ok(())
}

/// The names in a folder, sorted, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<OsString>> {
    let cannot = |error: std::io::Error| Error::Data(format!("{}: cannot be opened: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        if !name.to_string_lossy().starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_image(path: &Path) -> bool {
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    matches!(end.as_deref(), Some("png" | "jpg" | "jpeg"))
}
