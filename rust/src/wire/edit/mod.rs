//! Edits: changes to fields and attributes, compiled for a signal and applied in one pass.
//!
//! An edit that writes a key leaves it in the map once: the first occurrence takes the value and
//! later ones go, and a deletion takes all of them. (The Go collector leaves later occurrences
//! behind, which would show a value that a redaction meant to remove.)

mod apply;
mod entries;
mod literal;

use std::sync::{Arc, OnceLock};

use arrow_array::{Array, ArrayRef};
use regex::Regex;

pub use self::literal::Literal;
use super::path::{As, Leaf, Path, PathError};
use super::plan::Plan;
use super::schema::{Cardinality, Field, Kind, Level, METRIC, Message};
use super::take::Rows;
use super::{Signal, WireError};

/// When an edit writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Missing,
    Present,
}

impl When {
    pub fn allows(self, present: bool) -> bool {
        match self {
            When::Always => true,
            When::Missing => !present,
            When::Present => present,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Source {
    /// The value, and its bytes as an AnyValue.
    Constant(Literal<'static>, Vec<u8>),
    /// One value for each row of the path's level; null leaves the row as it is.
    Column(ArrayRef),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Int,
    Double,
    Str,
}

#[derive(Clone, Debug)]
pub enum Act {
    Set {
        source: Source,
        when: When,
        rows: Option<Rows>,
    },
    Delete,
    /// Of a map, the keys in which the pattern is found.
    DeleteMatching(Regex),
    /// Write what another path holds, if it holds something.
    Copy {
        from: String,
        when: When,
    },
    /// SHA-256 in hexadecimal; of a map, the values of keys in which the pattern is found.
    Hash(Option<Regex>),
    /// Write each named group of the pattern as an attribute beside the string it is found in.
    Extract(Regex),
    Convert(Target),
}

#[derive(Clone, Debug)]
pub struct Edit {
    pub path: String,
    pub act: Act,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    Wire(WireError),
    /// The edit means nothing for the signal or the batch.
    Value(String),
}

impl From<PathError> for EditError {
    fn from(error: PathError) -> Self {
        EditError::Value(error.0)
    }
}

/// A sequence of edits; each sees what those before it have made of the same map or field.
#[derive(Debug)]
pub struct Edits {
    pub edits: Vec<Edit>,
    compiled: [OnceLock<Result<Compiled, EditError>>; 3],
}

/// The edits of one signal, by where they apply.
#[derive(Debug)]
struct Compiled {
    root: Rewrite,
    /// The level of each edit.
    levels: Vec<Level>,
    /// The key that a copy within one map reads, by edit.
    keys: Vec<Option<String>>,
    /// Paths to read before the edits are made: edit, plan, whether it gives AnyValues.
    sources: Vec<(usize, Arc<Plan>, bool)>,
}

/// What to change in a message.
#[derive(Debug)]
struct Rewrite {
    /// Bit n is set when field n has a slot.
    wanted: u32,
    table: [u8; 32],
    slots: Vec<Slot>,
}

#[derive(Debug)]
enum Slot {
    /// A message in it; made when there is none, unless it is of a oneof.
    Child {
        number: u32,
        rewrite: Rewrite,
        create: bool,
    },
    Rows {
        level: Level,
        metric: bool,
        rewrite: Rewrite,
    },
    Map {
        number: u32,
        edits: Vec<(usize, Option<String>)>,
        keys: Keys,
    },
    Field {
        field: &'static Field,
        edits: Vec<usize>,
    },
    /// Another member of an edited field's oneof.
    Rival,
}

/// The keys that the edits of a map read or write; None when it may be any.
#[derive(Debug, Default)]
struct Keys {
    known: Option<Vec<String>>,
    /// Bit n is set when some key has n bytes, modulo 64.
    lengths: u64,
}

impl Keys {
    #[inline]
    fn concern(&self, key: &[u8]) -> bool {
        match &self.known {
            None => true,
            Some(known) => {
                self.lengths >> (key.len() & 63) & 1 != 0
                    && known.iter().any(|known| {
                        let known = known.as_bytes();
                        known.last() == key.last() && known == key
                    })
            }
        }
    }
}

impl Edits {
    pub fn new(edits: Vec<Edit>) -> Self {
        Self { edits, compiled: Default::default() }
    }

    fn compiled(&self, signal: Signal) -> Result<&Compiled, EditError> {
        let slot = match signal {
            Signal::Traces => &self.compiled[0],
            Signal::Metrics => &self.compiled[1],
            Signal::Logs => &self.compiled[2],
            Signal::Profiles => {
                return Err(EditError::Value("profiles cannot be edited".into()));
            }
        };
        slot.get_or_init(|| self.compile(signal)).as_ref().map_err(Clone::clone)
    }

    fn compile(&self, signal: Signal) -> Result<Compiled, EditError> {
        let mut paths = Vec::new();
        let mut keys = vec![None; self.edits.len()];
        let mut sources = Vec::new();
        for (index, edit) in self.edits.iter().enumerate() {
            let path = parse(signal, &edit.path)?;
            check(&path, &edit.act)?;
            if let Act::Copy { from, .. } = &edit.act {
                keys[index] = same_map(signal, &path, from)?;
            }
            if let Act::Copy { from, .. } = &edit.act
                && keys[index].is_none()
            {
                let typed = Path::parse(signal, path.level, from)?;
                let any = matches!(
                    typed.leaf,
                    Leaf::Value { read: As::Str, .. } | Leaf::Entry { read: As::Str, .. }
                );
                let text = if any { format!("{from}:raw") } else { from.clone() };
                let plan = Plan::compile(signal, path.level, &[text])?;
                sources.push((index, Arc::new(plan), any));
            }
            paths.push(path);
        }
        let root = signal.request().and_then(|request| build(request, None, &paths));
        let mut root = root.unwrap_or_else(Rewrite::new);
        root.find_keys(&self.edits, &keys);
        let levels = paths.iter().map(|path| path.level).collect();
        Ok(Compiled { root, levels, keys, sources })
    }
}

fn parse(signal: Signal, text: &str) -> Result<Path, EditError> {
    let first = text.split(['.', '[']).next().unwrap_or(text);
    let level = match Level::parse(signal, first) {
        Some(level) if level > Level::Item => level,
        _ => Level::Item,
    };
    Ok(Path::parse(signal, level, text)?)
}

/// The key that a copy reads when it reads from the map that it writes to.
fn same_map(signal: Signal, path: &Path, from: &str) -> Result<Option<String>, EditError> {
    let source = Path::parse(signal, path.level, from)?;
    let places = |path: &Path| -> Vec<Vec<u32>> {
        path.places.iter().map(|place| place.fields.clone()).collect()
    };
    Ok(match (&path.leaf, source.leaf.clone()) {
        (Leaf::Entry { .. }, Leaf::Entry { key, steps, read: As::Str })
            if steps.is_empty()
                && source.level == path.level
                && places(path) == places(&source) =>
        {
            Some(key)
        }
        _ => None,
    })
}

fn check(path: &Path, act: &Act) -> Result<(), EditError> {
    let wrong = |why: &str| Err(EditError::Value(format!("path {}: {why}", path.text)));
    match &path.leaf {
        Leaf::Entry { read: As::Str, steps, .. } | Leaf::Value { read: As::Str, steps }
            if !steps.is_empty() =>
        {
            wrong("an edit reaches an attribute or a body as a whole, not a value inside it")
        }
        Leaf::Entry { read: As::Str, .. } => match act {
            Act::DeleteMatching(_) | Act::Hash(Some(_)) => wrong("a pattern needs a whole map"),
            _ => Ok(()),
        },
        Leaf::Entries(As::Map) => match act {
            Act::DeleteMatching(_) | Act::Hash(Some(_)) | Act::Delete => Ok(()),
            _ => wrong("of a whole map, entries can be deleted or hashed"),
        },
        Leaf::Value { read: As::Str, .. } => match act {
            Act::Set { .. }
            | Act::Copy { .. }
            | Act::Delete
            | Act::Hash(None)
            | Act::Convert(_) => Ok(()),
            _ => wrong("needs attributes"),
        },
        Leaf::Scalar { .. } => match act {
            Act::Set { .. } | Act::Copy { .. } | Act::Delete => Ok(()),
            _ => wrong("only attributes and bodies can be hashed, converted or extracted from"),
        },
        Leaf::Entry { .. } | Leaf::Value { .. } | Leaf::Entries(_) => {
            wrong("an edit takes a path without a type")
        }
        Leaf::List(_) | Leaf::Hex | Leaf::MetricType | Leaf::Own => wrong("cannot be edited"),
    }
}

/// What to change in a message and below it; None when nothing is.
fn build(message: &'static Message, level: Option<Level>, paths: &[Path]) -> Option<Rewrite> {
    let mut rewrite = Rewrite::new();
    for (index, path) in paths.iter().enumerate() {
        for place in &path.places {
            if Some(path.level) == level && std::ptr::eq(place.message, message) {
                rewrite.add(message, &place.fields, index, path);
            }
        }
    }
    for (field, child, level) in message.children() {
        if let Some(below) = build(child, Some(level), paths) {
            let metric = std::ptr::eq(child, &raw const METRIC);
            rewrite.insert(field.number, || Slot::Rows { level, metric, rewrite: below });
        }
    }
    if std::ptr::eq(message, &raw const METRIC) {
        for (number, child) in message.children_of_oneof() {
            let Some(below) = build(child, None, paths) else { continue };
            let fresh = || Slot::Child { number, rewrite: Rewrite::new(), create: false };
            if let Some(Slot::Child { rewrite, .. }) = rewrite.insert(number, fresh) {
                rewrite.merge(below, child);
            }
        }
    }
    // Entities of an edited level are met even where they lack the field: their rows count.
    let edited = paths.iter().any(|path| Some(path.level) == level);
    (edited || !rewrite.slots.is_empty()).then_some(rewrite)
}

impl Compiled {
    /// Columns and masks have one row for each entity of their level.
    fn check_rows(
        &self,
        edits: &[Edit],
        only: Option<&Rows>,
        met: &[usize],
    ) -> Result<(), EditError> {
        let items = met[Level::Item as usize];
        if let Some(Rows::Mask(flags)) = only
            && items > 0
            && flags.len() != items
        {
            let why = format!("a mask of {} for {items} rows of item", flags.len());
            return Err(EditError::Value(why));
        }
        for (edit, level) in edits.iter().zip(&self.levels) {
            let Act::Set { source, rows, .. } = &edit.act else { continue };
            let there = met[*level as usize];
            let wrong = |what: &str, given: usize| {
                let (path, level) = (&edit.path, level.name());
                let why = format!("path {path}: {what} of {given} for {there} rows of {level}");
                Err(EditError::Value(why))
            };
            match source {
                Source::Column(column) if column.len() != there => {
                    return wrong("a column", column.len());
                }
                _ => {}
            }
            match rows {
                Some(Rows::Mask(flags)) if flags.len() != there => {
                    return wrong("a mask", flags.len());
                }
                Some(Rows::Numbers(flags)) if flags.len() > there => {
                    return wrong("row numbers", flags.len());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Rewrite {
    fn new() -> Self {
        Self { wanted: 0, table: [0; 32], slots: Vec::new() }
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<usize> {
        match self.table.get(number as usize) {
            Some(0) | None => None,
            Some(index) => Some(usize::from(*index) - 1),
        }
    }

    fn insert(&mut self, number: u32, fresh: impl FnOnce() -> Slot) -> Option<&mut Slot> {
        let index = self.table.get_mut(number as usize)?;
        if *index == 0 {
            self.slots.push(fresh());
            *index = u8::try_from(self.slots.len()).ok()?;
            self.wanted |= 1 << number;
        }
        self.slots.get_mut(usize::from(*index) - 1)
    }

    /// Note which keys of each map matter, so that other entries are not looked at.
    fn find_keys(&mut self, all: &[Edit], copied: &[Option<String>]) {
        for slot in &mut self.slots {
            match slot {
                Slot::Child { rewrite, .. } | Slot::Rows { rewrite, .. } => {
                    rewrite.find_keys(all, copied);
                }
                Slot::Map { edits, keys, .. } => {
                    if edits.iter().any(|(_, key)| key.is_none()) {
                        continue;
                    }
                    let mut known = Vec::new();
                    for (edit, key) in edits.iter() {
                        known.extend(key.clone());
                        known.extend(copied[*edit].clone());
                        if let Act::Extract(pattern) = &all[*edit].act {
                            known.extend(pattern.capture_names().flatten().map(str::to_owned));
                        }
                    }
                    keys.lengths = known.iter().fold(0, |bits, key| bits | 1 << (key.len() & 63));
                    keys.known = Some(known);
                }
                Slot::Field { .. } | Slot::Rival => {}
            }
        }
    }

    /// Take over the rows below a metric's data.
    fn merge(&mut self, other: Self, message: &'static Message) {
        for (slot, (field, _, _)) in other.slots.into_iter().zip(message.children()) {
            self.insert(field.number, || slot);
        }
    }

    fn add(&mut self, message: &'static Message, fields: &[u32], edit: usize, path: &Path) {
        let Some((number, rest)) = fields.split_first() else { return };
        let Some(field) = message.field(*number) else { return };
        if let (Kind::Message(inner), false) = (field.kind, rest.is_empty()) {
            let create = field.cardinality != Cardinality::Oneof;
            let fresh = || Slot::Child { number: *number, rewrite: Self::new(), create };
            if let Some(Slot::Child { rewrite, .. }) = self.insert(*number, fresh) {
                rewrite.add(inner, rest, edit, path);
            }
            return;
        }
        if field.cardinality == Cardinality::Oneof {
            for other in message.fields {
                if other.cardinality == Cardinality::Oneof && other.number != *number {
                    self.insert(other.number, || Slot::Rival);
                }
            }
        }
        let map = matches!(path.leaf, Leaf::Entry { .. } | Leaf::Entries(_));
        let fresh = || match map {
            true => Slot::Map { number: *number, edits: Vec::new(), keys: Keys::default() },
            false => Slot::Field { field, edits: Vec::new() },
        };
        let Some(slot) = self.insert(*number, fresh) else { return };
        if matches!(slot, Slot::Rival) {
            *slot = Slot::Field { field, edits: Vec::new() };
        }
        match slot {
            Slot::Map { edits, .. } => edits.push((
                edit,
                match &path.leaf {
                    Leaf::Entry { key, .. } => Some(key.clone()),
                    _ => None,
                },
            )),
            Slot::Field { edits, .. } => edits.push(edit),
            _ => {}
        }
    }
}
