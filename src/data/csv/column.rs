//! One column of a table as text.

use std::path::Path;

use super::rows::for_each_row;
use super::{header, no_column};
use crate::data::classes::list;
use crate::error::{Error, Result};

/// Hands over what each row has in a column, with the row's number from 0, and gives the column's name. Without a name it is the only
/// column that there is.
///
/// # Errors
/// [`Error::Usage`] where there is no such column, or several; [`Error::Data`] where the table cannot be read; what `text` says.
pub fn each_text(path: &Path, asked: &str, mut text: impl FnMut(usize, &str) -> Result<()>) -> Result<String> {
    let name = path.display().to_string();
    let complain = |what: String| Error::Data(format!("{name}: {what}"));
    let (names, dialect) = header(path).map_err(complain)?;
    let place = match names.iter().position(|column| column == asked) {
        Some(place) => place,
        None if asked.is_empty() && names.len() == 1 => 0,
        None if asked.is_empty() => {
            return Err(Error::Usage(format!(
                "{name}: which of its {} columns holds the text? Name it with `--set data.text=COLUMN`: {}",
                names.len(),
                list(&names)
            )));
        }
        None => return Err(Error::Usage(format!("data.text = {asked}: {}", no_column(&name, &names, asked)))),
    };
    dialect.check(place, &names[place]).map_err(complain)?;
    let mut row = 0;
    for_each_row(path, names.len(), |_, cells| {
        row += 1;
        text(row - 1, cells[place])
    })?;
    Ok(names[place].clone())
}
