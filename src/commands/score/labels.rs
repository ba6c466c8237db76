//! Which rows are anomalies, where it is known.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::report::scatter;

/// What a class of normal rows is called where nobody says.
const NORMAL: [&str; 2] = ["0", "normal"];

/// Whether each example is an anomaly: whether its class is any but the normal one.
///
/// # Errors
/// [`Error::Usage`] where there are no labels, or no such class.
pub fn anomalous(data: &Dataset, normal: Option<&str>) -> Result<Vec<bool>> {
    let Some(labels) = &data.labels else {
        return Err(Error::Usage(format!(
            "--labels: {} has no labels; name the column, array or file that holds them (`--labels NAME`)",
            data.name
        )));
    };
    let mut classes = labels.clone();
    classes.sort_unstable();
    classes.dedup();
    let name = |class: u32| scatter::name(class, data.classes.as_deref());
    let wanted = |name: &str| normal.map_or(NORMAL.contains(&name), |normal| normal == name);
    if let Some(normal) = classes.iter().find(|&&class| wanted(&name(class))) {
        return Ok(labels.iter().map(|label| label != normal).collect());
    }
    let list: Vec<String> = classes.iter().take(8).map(|&class| name(class)).collect();
    let rest = if classes.len() > 8 { ", …" } else { "" };
    Err(Error::Usage(format!(
        "--normal {}: {} has no such class; its classes are {}{rest}",
        normal.unwrap_or("0"),
        data.name,
        list.join(", ")
    )))
}
