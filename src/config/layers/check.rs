//! Whether layers hold together, as far as that shows without data.

use super::{BlockKind, Layer, Layers};
use crate::error::{Error, Result};

impl Layers {
    /// Checks the list under a key. What shapes its layers make shows when the data are known.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the layer by its place: it gives `out` and is not the last or not one of a decoder, or
    /// two blocks have one name.
    pub fn check(&self, key: &str, decoder: bool) -> Result<()> {
        let misplaced = if decoder {
            misplaced_out(key, self, true)
        } else {
            let out = self.first(key, &Layer::is_out);
            out.map(|place| format!("{place} gives `out`, what the likelihood wants, and only a decoder can"))
        };
        match misplaced.or_else(|| same_name(key, self, &mut Vec::new())) {
            Some(why) => Err(Error::Usage(why)),
            None => Ok(()),
        }
    }

    /// The first layer, those of blocks included, of which something holds: its place and its words.
    pub fn first(&self, key: &str, holds: &dyn Fn(&Layer) -> bool) -> Option<String> {
        first(key, self, holds)
    }
}

fn first(place: &str, layers: &[Layer], holds: &dyn Fn(&Layer) -> bool) -> Option<String> {
    layers.iter().enumerate().find_map(|(at, layer)| match layer {
        _ if holds(layer) => Some(format!("{place}[{at}] `{layer}`")),
        Layer::Block(block) => first(&format!("{place}[{at}].{}", block.key()), &block.layers, holds),
        _ => None,
    })
}

/// A layer that gives `out` and is not the `last` one.
fn misplaced_out(place: &str, layers: &[Layer], last: bool) -> Option<String> {
    layers.iter().enumerate().find_map(|(at, layer)| {
        let last = last && at + 1 == layers.len();
        if let Layer::Block(block) = layer {
            let last = last && block.kind == BlockKind::Plain && block.repeat == 1;
            return misplaced_out(&format!("{place}[{at}].{}", block.key()), &block.layers, last);
        }
        let misplaced = layer.is_out() && !last;
        misplaced
            .then(|| format!("{place}[{at}] `{layer}` gives `out`, what the likelihood wants, and has to be the last"))
    })
}

/// A block with the name of one before it that stands in the same named block, or like it in none: `seen` are theirs.
fn same_name<'a>(place: &str, layers: &'a [Layer], seen: &mut Vec<&'a str>) -> Option<String> {
    layers.iter().enumerate().find_map(|(at, layer)| {
        let Layer::Block(block) = layer else { return None };
        let inside = format!("{place}[{at}].{}", block.key());
        let Some(name) = &block.name else { return same_name(&inside, &block.layers, seen) };
        if seen.contains(&name.as_str()) {
            return Some(format!(
                "{place}[{at}] is called `{name}`, and so is another block: parameters have their names from it"
            ));
        }
        seen.push(name);
        same_name(&inside, &block.layers, &mut Vec::new())
    })
}
