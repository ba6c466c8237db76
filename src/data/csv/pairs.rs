//! Lists of interactions: a line for each user and item, and how often or how much, as columns of a table.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::dialect::Line;
use super::no_column;
use super::rows::for_each_row;
use crate::config::{Likelihood, Unknown};
use crate::data::interactions::{self, Interactions, check_room, weight};
use crate::data::{Dataset, ReadOptions};
use crate::error::{Error, Result};

/// Columns that make a table a list of interactions where nobody says so, and the one with a value beside them.
const USUAL: [&str; 3] = ["user", "item", "value"];

/// Bytes that a name takes beside its letters: what points to them, and its place in a table.
const NAME_BYTES: usize = 96;

/// Names of items that are shown.
const SHOWN: usize = 3;

/// The places of the columns with user, item and, where there is one, value; nothing where a table is no list of interactions.
/// `data.pairs` names them; tables with columns called user and item are such lists where the likelihood is the multinomial.
///
/// # Errors
/// [`Error::Usage`] where a column is named that is not there; [`Error::Data`] where the model was trained on interactions and
/// these are none.
pub fn columns(name: &str, header: &[String], request: &ReadOptions) -> Result<Option<Vec<usize>>> {
    let place = |asked: &str| header.iter().position(|column| column == asked);
    let asked = request.config.pairs.as_str();
    if asked.is_empty() {
        let usual: Vec<Option<usize>> = USUAL.iter().map(|column| place(column)).collect();
        let known = request.known.is_some_and(|known| known.items.is_some());
        let likely = known || request.takes == Likelihood::Multinomial.takes();
        return match usual[..] {
            [Some(user), Some(item), value] if likely => {
                Ok(Some([Some(user), Some(item), value].into_iter().flatten().collect()))
            }
            _ if known => Err(Error::Data(format!(
                "{name}: the model was trained on who chose what, and this table has no columns `user` and `item`; name \
                 yours with `--set data.pairs=USER,ITEM` in the training"
            ))),
            _ => Ok(None),
        };
    }
    let names: Vec<&str> = asked.split(',').map(str::trim).collect();
    let found = |column: &&str| {
        place(column).ok_or_else(|| Error::Usage(format!("data.pairs = {asked}: {}", no_column(name, header, column))))
    };
    names.iter().map(found).collect::<Result<Vec<usize>>>().map(Some)
}

/// Opens a list as a data set: each user is an example.
///
/// # Errors
/// [`Error::Data`] in one line that begins with the path and gives the line.
pub fn dataset(path: &Path, width: usize, columns: &[usize], request: &ReadOptions) -> Result<Dataset> {
    let name = path.display().to_string();
    let known = request.known.and_then(|known| known.items);
    if request.known.is_some() && known.is_none() {
        return Err(Error::Data(format!("{name}: the model was trained on other data than lists of users and items")));
    }
    let mut list = List::new(known, request.config.unknown == Unknown::Missing);
    for_each_row(path, width, |line, fields| {
        let complain = |what: String| Error::Data(format!("{name}: {line}: {what}"));
        let field = |at: usize| columns.get(at).map(|&column| fields[column]);
        let (user, item) = (field(0).unwrap_or_default(), field(1).unwrap_or_default());
        if user.is_empty() || item.is_empty() {
            let what = if user.is_empty() { "user" } else { "item" };
            return Err(complain(format!("the {what} is empty; leave the line out")));
        }
        // What has no value is a choice, whatever a value would have to be.
        let weight = match field(2) {
            None => Some(1.0),
            Some(text) => {
                let value = text
                    .parse()
                    .map_err(|_| complain(format!("the value is `{}`, and a number is expected", beginning(text))))?;
                weight(value, request).map_err(complain)?
            }
        };
        list.add(user, item, weight, line);
        // Told now and then: a list grows by a line at a time.
        if line.number().is_multiple_of(1 << 12) { list.check_room(request).map_err(complain) } else { Ok(()) }
    })?;
    let found = list.finish().map_err(|what| Error::Data(format!("{name}: {what}")))?;
    interactions::dataset(&name, found, request)
}

/// The beginning of a text, for messages.
fn beginning(text: &str) -> String {
    text.chars().take(40).collect()
}

/// What was read so far.
struct List<'a> {
    users: Names,
    items: Names,
    /// Users, items and values, with numbers in the order in which their names came.
    entries: Vec<(u32, u32, f32)>,
    /// The items that a model knows.
    known: Option<&'a [String]>,
    /// Whether others are passed over.
    passes: bool,
    /// Those, and the line of the first.
    strangers: BTreeSet<String>,
    line: Option<Line>,
}

/// Names, each with its number.
#[derive(Default)]
struct Names {
    of: HashMap<String, u32>,
    all: Vec<String>,
    /// Bytes of all of them together.
    letters: usize,
}

impl Names {
    /// Bytes that the names take, each of which is there twice.
    fn bytes(&self) -> u64 {
        (2 * self.letters + NAME_BYTES * self.all.len()) as u64
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.of.get(name) {
            return number;
        }
        let number = self.all.len() as u32;
        self.letters += name.len();
        self.of.insert(name.to_owned(), number);
        self.all.push(name.to_owned());
        number
    }

    /// All names in ascending order, as numbers where all are, and the place of each number in it; only those that are `kept`.
    fn sorted(self, kept: &[bool]) -> (Vec<String>, Vec<u32>) {
        let number = |name: &String| name.parse::<u64>().ok().filter(|number| number.to_string() == *name);
        let numbers: Option<Vec<u64>> = self.all.iter().map(number).collect();
        let mut order: Vec<usize> = (0..self.all.len()).filter(|&at| kept[at]).collect();
        match &numbers {
            Some(numbers) => order.sort_unstable_by_key(|&at| numbers[at]),
            None => order.sort_unstable_by(|&a, &b| self.all[a].cmp(&self.all[b])),
        }
        let mut places = vec![0; self.all.len()];
        for (place, &at) in order.iter().enumerate() {
            places[at] = place as u32;
        }
        let mut all: Vec<Option<String>> = self.all.into_iter().map(Some).collect();
        (order.into_iter().filter_map(|at| all[at].take()).collect(), places)
    }
}

impl<'a> List<'a> {
    fn new(known: Option<&'a [String]>, passes: bool) -> Self {
        let mut items = Names::default();
        known.into_iter().flatten().for_each(|item| _ = items.number(item));
        Self { users: Names::default(), items, entries: vec![], known, passes, strangers: BTreeSet::new(), line: None }
    }

    fn add(&mut self, user: &str, item: &str, weight: Option<f32>, line: Line) {
        let user = self.users.number(user);
        let Some(weight) = weight else { return };
        if self.known.is_some() && !self.items.of.contains_key(item) {
            self.line.get_or_insert(line);
            self.strangers.insert(item.to_owned());
            return;
        }
        let item = self.items.number(item);
        self.entries.push((user, item, weight));
    }

    /// Tells whether what was read so far has a place.
    fn check_room(&self, request: &ReadOptions) -> std::result::Result<(), String> {
        let strangers = (NAME_BYTES * self.strangers.len()) as u64;
        check_room(self.entries.len() as u64, self.users.bytes() + self.items.bytes() + strangers, request)
    }

    fn finish(self) -> std::result::Result<Interactions, String> {
        let mut notes = Vec::new();
        if let Some(line) = self.line {
            let shown: Vec<String> =
                self.strangers.iter().take(SHOWN).map(|name| format!("`{}`", beginning(name))).collect();
            let more = self.strangers.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let what = format!("items that the model was not trained on: {}{more} (first in {line})", shown.join(", "));
            if !self.passes {
                return Err(format!("{what}; `--unknown missing` passes over their lines"));
            }
            notes.push(format!("{what}; their lines are passed over"));
        }
        let Self { users, items, mut entries, known, .. } = self;
        let [mut has_user, mut has_item] = [vec![false; users.all.len()], vec![false; items.all.len()]];
        for &(user, item, _) in &entries {
            (has_user[user as usize], has_item[item as usize]) = (true, true);
        }
        let without: Vec<&String> =
            users.all.iter().zip(&has_user).filter(|(_, has)| !**has).map(|(name, _)| name).collect();
        if let [first, ..] = without[..] {
            let (count, first) = (without.len(), beginning(first));
            notes.push(format!("users without an interaction that counts are left out: {count}, such as `{first}`"));
        }
        let (users, user_places) = users.sorted(&has_user);
        // Those of a model keep their places.
        let (items, item_places) = match known {
            Some(known) => (known.to_vec(), (0..known.len() as u32).collect()),
            None => items.sorted(&has_item),
        };
        for (user, item, _) in &mut entries {
            (*user, *item) = (user_places[*user as usize], item_places[*item as usize]);
        }
        Ok(Interactions { rows: users.len(), entries, users: Some(users), items, notes })
    }
}
