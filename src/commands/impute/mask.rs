//! What is missing from pictures: white in an image, or not 0 in an array.

use crate::data::{Dataset, Format, images, npy};
use crate::error::{Error, Result};
use std::path::Path;

/// Whether each value is missing: of one example, [D], or of each in the order of the source, [N, D].
///
/// # Errors
/// [`Error::Data`] where the file cannot be read; [`Error::Usage`] where it is of another size, or the data are a table.
pub fn read(path: &Path, data: &Dataset) -> Result<Vec<bool>> {
    let [channels, height, width] = data.shape;
    let wrong = |found: String| {
        Err(Error::Usage(format!(
            "--mask {}: it is {found}, and a picture of {} is {height} × {width}",
            path.display(),
            data.name
        )))
    };
    if data.format == Format::Table {
        return Err(Error::Usage(
            "--mask is for pictures and arrays: an empty cell of a table is missing by itself".into(),
        ));
    }
    let is_array = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npy"));
    if !is_array {
        let ([high, wide], pixels) = images::grey(path)?;
        if [high, wide] != [height, width] {
            return wrong(format!("{high} × {wide}"));
        }
        let plane: Vec<bool> = pixels.iter().map(|&pixel| pixel >= 0.5).collect();
        return Ok(plane.repeat(channels));
    }
    let array = npy::open(path)?;
    let (plane, one, all) = (height * width, data.width(), data.len() * data.width());
    let masked: Vec<bool> = (0..array.elements.len()).map(|at| array.elements.at(at) != 0.0).collect();
    match masked.len() {
        count if count == one || count == all => Ok(masked),
        count if count == plane => Ok(masked.repeat(channels)),
        // A plane for each picture.
        count if count == data.len() * plane => {
            Ok(masked.chunks_exact(plane).flat_map(|plane| plane.repeat(channels)).collect())
        }
        _ => wrong(format!("{:?}", array.dims)),
    }
}
