//! What a reader is asked for, and how a source without parts of its own is divided.

use rand::seq::SliceRandom;

use super::table::Encoding;
use super::text::vocabulary::Vocabulary;
use super::{Format, NO_LABEL};
use crate::config::{DataConfig, Domain, Scale, Takes};
use crate::rng::{Philox, Stream};

/// The key of the order in which sources are divided, apart from that of training: all runs see the same parts.
const DIVISION: u64 = 0x7061_7274;

/// What a reader is asked for.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions<'a> {
    /// What the configuration says.
    pub config: &'a DataConfig,
    /// The values that the examples are wanted for.
    pub takes: Takes,
    /// The model that the examples are for, where there is one already.
    pub known: Option<FittedPreprocessing<'a>>,
    /// Whether the labels of some examples may be missing ([`super::NO_LABEL`]).
    pub holes: bool,
}

/// How a trained model takes its examples: a source must be read in the same way to be used with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct FittedPreprocessing<'a> {
    /// What was fitted to the training part.
    pub encoding: Option<&'a Encoding>,
    /// The names of the classes.
    pub classes: Option<&'a [String]>,
    /// The tokens of text.
    pub text: Option<&'a Vocabulary>,
    /// The names of the items, where examples are what users chose.
    pub items: Option<&'a [String]>,
    /// Whether the values of the training were numbers; otherwise they were bytes, of which 255 is white.
    pub floats: bool,
    /// Whether they were black and white alone, or may have been: then bytes of 0 and 1 are these.
    pub bits: bool,
}

/// Classes as a source has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The class of each example.
    pub of: Vec<u32>,
    /// The names of the classes, where they are not numbers.
    pub names: Option<Vec<String>>,
}

/// What is done to numbers that come in no particular unit.
fn wanted(domain: Domain) -> Scale {
    match domain {
        Domain::Unit | Domain::Levels | Domain::Counts | Domain::Categories | Domain::Tokens => Scale::None,
        Domain::Numbers | Domain::Columns => Scale::Standardise,
    }
}

/// The order in which the examples of a source stand in a data set, and how many at its end are the test part. `test`
/// is the number of examples at the end of the source that are meant for the test, where it says so.
///
/// The order is a function of the numbers alone: every run, and every command, sees the same parts.
pub fn places(examples: usize, test: Option<usize>, config: &DataConfig) -> (Vec<u32>, usize) {
    let mut order: Vec<u32> = (0..examples).map(|example| example as u32).collect();
    let own = test.unwrap_or(0).min(examples);
    if config.shuffle {
        let end = examples - own;
        order[..end].shuffle(&mut Philox::new(DIVISION, Stream::Choice, 0, 0));
    }
    (order, test.unwrap_or_else(|| config.share_of(examples, config.test)))
}

impl<'a> ReadOptions<'a> {
    /// The names of classes that a model knows.
    pub fn classes(&self) -> Option<&'a [String]> {
        self.known.and_then(|known| known.classes)
    }

    /// The most bytes that examples may take in memory.
    pub fn memory(&self) -> u64 {
        (self.config.memory as u64).saturating_mul(1 << 20)
    }

    /// How numbers are to be scaled; `table` says whether they come in no particular unit. For a trained model nothing is
    /// fitted anew: its own encoding counts, or none.
    pub fn scale(&self, table: bool) -> Scale {
        match self.config.scale {
            _ if self.known.is_some() => Scale::None,
            Scale::Auto if table => wanted(self.takes.domain),
            Scale::Robust if table && wanted(self.takes.domain) == Scale::Standardise => Scale::Robust,
            Scale::Auto | Scale::Robust => Scale::None,
            asked => asked,
        }
    }

    /// Whether the numbers of an array are taken one by one as they are, bytes among them, and may be missing: counts,
    /// categories, and levels that are no bytes.
    pub fn keeps(&self, bytes: bool) -> bool {
        match self.takes.domain {
            Domain::Counts | Domain::Categories => true,
            Domain::Levels => !bytes,
            Domain::Unit | Domain::Numbers | Domain::Columns | Domain::Tokens => false,
        }
    }

    /// Whether bytes are levels to a trained model that was shown levels as numbers, k/255.
    pub fn are_levels(&self, bytes: bool) -> bool {
        let encoding = self.known.and_then(|known| known.encoding);
        bytes && self.takes.domain == Domain::Levels && encoding.is_some_and(Encoding::is_plain)
    }

    /// Whether numbers are changed before a model sees them.
    pub fn scales(&self, table: bool) -> bool {
        self.scale(table) != Scale::None || self.known.is_some_and(|known| known.encoding.is_some())
    }

    /// Whether pictures of so many values are changed before a model sees them. Those that a trained model cannot take are
    /// read as they are, and refused for their shape.
    pub fn scales_pictures(&self, width: usize) -> bool {
        let known = self.known.and_then(|known| known.encoding);
        self.scales(false) && known.is_none_or(|encoding| encoding.columns.len() == width)
    }

    /// The examples to set aside for validation of so many that are not for the test. What a trained model is used on
    /// needs none.
    pub fn validation(&self, training: usize) -> usize {
        let share = self.config.validation_share;
        let most = if share < 1.0 { self.config.share_of(training, share) } else { usize::MAX };
        let asked = self.config.validation.min(most);
        match self.known {
            Some(_) => asked.min(training.saturating_sub(1)),
            None => asked,
        }
    }
}

impl Labels {
    /// The labels of examples in a new order. Classes that are known by name keep their numbers, others come behind.
    #[must_use]
    pub fn reordered(self, order: &[u32], known: Option<&[String]>) -> Self {
        let of = order.iter().map(|&row| self.of[row as usize]);
        let (Some(names), Some(known)) = (&self.names, known) else {
            return Self { of: of.collect(), names: self.names.clone() };
        };
        let mut all = known.to_vec();
        all.extend(names.iter().filter(|name| !known.contains(name)).cloned());
        let place = |class: u32| all.iter().position(|name| *name == names[class as usize]).unwrap_or(0) as u32;
        let places: Vec<u32> = (0..names.len() as u32).map(place).collect();
        Self { of: of.map(|class| places.get(class as usize).copied().unwrap_or(NO_LABEL)).collect(), names: Some(all) }
    }
}

/// The kinds of sources that labels can be named for, if this kind is none of them.
pub fn no_labels(labels: &str, format: Format) -> Option<&'static str> {
    let config = DataConfig { labels: labels.to_owned(), ..DataConfig::default() };
    misplaced(&config, format).filter(|(key, _)| *key == "labels").map(|(_, kinds)| kinds)
}

/// A setting that has no meaning for a kind of source, and the kinds for which it has one.
pub fn misplaced(config: &DataConfig, format: Format) -> Option<(&'static str, &'static str)> {
    let default = DataConfig::default();
    let (array, table, images) = (format == Format::Array, format == Format::Table, format == Format::Images);
    let (text, music) = (format == Format::Text, format == Format::Music);
    let stored = !matches!(format, Format::Glyphs | Format::Sprites);
    let (chosen, cells) = (format == Format::Interactions, format == Format::Cells);
    let settings = [
        (
            "scale",
            "arrays, tables and pictures in files",
            stored && !chosen && !cells,
            matches!(config.scale, Scale::Auto | Scale::None | Scale::Robust),
        ),
        (
            "labels",
            "arrays, tables, folders of images and counts of cells",
            array || table || images || cells,
            config.labels == default.labels,
        ),
        ("obs", "folders of 10x, which hold counts of cells", cells, config.obs == default.obs),
        ("layer", ".h5ad files", cells, config.layer == default.layer),
        ("array", "arrays", array, config.array == default.array),
        ("layout", "arrays", array, config.layout == default.layout),
        ("columns", "tables", table, config.columns == default.columns),
        ("pairs", "lists of interactions", chosen, config.pairs == default.pairs),
        ("at_least", "interactions", chosen, config.at_least == default.at_least),
        ("missing", "tables", table, config.missing == default.missing),
        ("decimal", "tables", table, config.decimal == default.decimal),
        (
            "unknown",
            "tables, text, music and lists of interactions",
            table || text || music || chosen,
            config.unknown == default.unknown,
        ),
        ("tokens", "text and music", text || music, config.tokens == default.tokens),
        ("length", "text and music", text || music, config.length == default.length),
        ("longer", "text and music", text || music, config.longer == default.longer),
        ("text", "models of text (`--recipe text`)", text, config.text == default.text),
        ("grid", "music", music, config.grid == default.grid),
        ("resize", "folders of images", images, config.resize == default.resize),
        (
            "colour",
            "folders of images and sprites",
            images || format == Format::Sprites,
            config.colour == default.colour,
        ),
    ];
    settings.into_iter().find(|(_, _, fits, unset)| !fits && !unset).map(|(key, kinds, _, _)| (key, kinds))
}
