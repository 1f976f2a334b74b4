//! Compiled paths: for each message on the way a table from field numbers to what to keep.

use std::sync::Arc;

use arrow_schema::{DataType, Field as Column, Fields, Schema};

use super::Signal;
use super::path::{As, Leaf, Path, PathError};
use super::schema::{Cardinality, Kind, Level, METRIC, Message};

/// Numbers of known fields are below this.
const NUMBERS: usize = 17;

/// A set of paths, ready to be projected from any batch of the signal. Column `n` is path `n`.
#[derive(Debug)]
pub struct Plan {
    pub signal: Signal,
    pub level: Level,
    pub request: &'static Message,
    pub paths: Vec<Path>,
    /// The levels above, outermost first; each has a column of row numbers.
    pub ancestors: Vec<Level>,
    pub schema: Arc<Schema>,
    nodes: Vec<Entity>,
}

#[derive(Debug)]
struct Entity {
    level: Level,
    message: &'static Message,
    node: Node,
}

/// What to keep of one message.
#[derive(Debug, Default)]
pub struct Node {
    /// Bit n is set when field n is kept.
    pub wanted: u32,
    table: [u8; NUMBERS],
    actions: Vec<Action>,
    /// How many keys to find, when nothing but keys of one map is kept: reading ends with the
    /// last of them. 0 otherwise.
    pub keys: usize,
    /// Columns of this entity, each with whether its message lacks the field.
    pub columns: Vec<(usize, bool)>,
    /// Columns that hold the entity's own bytes.
    pub own: Vec<usize>,
}

#[derive(Debug)]
pub struct Action {
    pub keep: Keep,
    pub member: Option<Member>,
}

/// What a member of a oneof does to the columns of all members.
#[derive(Debug, Default)]
pub struct Member {
    pub clears: Vec<usize>,
    pub defaults: Vec<usize>,
    /// Columns of the metric's type.
    pub types: Vec<usize>,
    pub code: u64,
}

#[derive(Debug)]
pub enum Keep {
    Nothing,
    Scalar(Kind, Vec<usize>),
    List(Kind, Vec<usize>),
    Value(Vec<usize>),
    Entries(Entries),
    Message(Node),
    /// Each occurrence of a repeated message gives one number: field, kind, column.
    Each(Vec<(u32, Kind, usize)>),
}

#[derive(Debug, Default)]
pub struct Entries {
    pub keys: Vec<(Box<[u8]>, usize)>,
    /// Bit n is set when some key has n bytes, modulo 64.
    pub lengths: u64,
    pub all: Vec<usize>,
}

impl Entries {
    /// Whether a key can be one of those wanted. Length and last byte tell most apart.
    #[inline]
    pub fn may_want(&self, key: &[u8]) -> bool {
        self.lengths >> (key.len() & 63) & 1 != 0
            && self.keys.iter().any(|(wanted, _)| wanted.last() == key.last())
    }
}

impl Node {
    #[inline]
    pub fn action(&self, number: u32) -> Option<&Action> {
        if number >= u32::BITS || self.wanted >> number & 1 == 0 {
            return None;
        }
        let index = *self.table.get(number as usize)?;
        self.actions.get(usize::from(index).wrapping_sub(1))
    }

    /// Once everything is added.
    fn finish(&mut self) {
        for action in &mut self.actions {
            if let Keep::Message(inner) = &mut action.keep {
                inner.finish();
            }
        }
        self.keys = match &self.actions[..] {
            [Action { keep: Keep::Entries(entries), member: None }] if entries.all.is_empty() => {
                entries.keys.len()
            }
            _ => 0,
        };
    }

    fn action_mut(&mut self, number: u32, keep: impl FnOnce() -> Keep) -> Option<&mut Action> {
        let index = self.table.get_mut(number as usize)?;
        if *index == 0 {
            self.actions.push(Action { keep: keep(), member: None });
            *index = u8::try_from(self.actions.len()).ok()?;
            self.wanted |= 1 << number;
        }
        self.actions.get_mut(usize::from(*index) - 1)
    }

    /// Keep what `fields` leads to for a column.
    fn add(&mut self, message: &'static Message, fields: &[u32], leaf: &Leaf, column: usize) {
        let Some((number, rest)) = fields.split_first() else {
            match leaf {
                Leaf::Own => self.own.push(column),
                _ => self.watch(message, column, None),
            }
            return;
        };
        let Some(field) = message.field(*number) else { return };
        if field.cardinality == Cardinality::Oneof {
            self.watch(message, column, Some(*number));
        }
        let fresh = || match (field.kind, leaf, field.cardinality) {
            (Kind::Message(_), Leaf::Entry { .. } | Leaf::Entries(_), _) if rest.is_empty() => {
                Keep::Entries(Entries::default())
            }
            (Kind::Message(_), Leaf::Value { .. }, _) if rest.is_empty() => Keep::Value(Vec::new()),
            (Kind::Message(_), _, Cardinality::Many) => Keep::Each(Vec::new()),
            (Kind::Message(_), _, _) => Keep::Message(Node::default()),
            (kind, _, Cardinality::Many) => Keep::List(kind, Vec::new()),
            (kind, _, _) => Keep::Scalar(kind, Vec::new()),
        };
        let Some(action) = self.action_mut(*number, fresh) else { return };
        if matches!(action.keep, Keep::Nothing) {
            action.keep = fresh();
        }
        match (&mut action.keep, field.kind) {
            (Keep::Message(node), Kind::Message(inner)) => node.add(inner, rest, leaf, column),
            (Keep::Each(each), Kind::Message(inner)) => {
                if let Some(field) = rest.first().and_then(|number| inner.field(*number)) {
                    each.push((field.number, field.kind, column));
                }
            }
            (Keep::Entries(entries), _) => entries.add(leaf, column),
            (Keep::Value(columns) | Keep::Scalar(_, columns) | Keep::List(_, columns), _) => {
                columns.push(column);
            }
            _ => {}
        }
    }

    /// Have every member of the message's oneof clear the column; `number` is the member that
    /// the column belongs to, None when it tells which member there is.
    fn watch(&mut self, message: &'static Message, column: usize, number: Option<u32>) {
        let members = message.fields.iter().filter(|field| field.cardinality == Cardinality::Oneof);
        for (field, code) in members.zip(1..) {
            let Some(action) = self.action_mut(field.number, || Keep::Nothing) else { continue };
            let member = action.member.get_or_insert_default();
            member.code = code;
            match number {
                None => member.types.push(column),
                Some(number) => {
                    if !member.clears.contains(&column) {
                        member.clears.push(column);
                    }
                    if number == field.number {
                        member.defaults.push(column);
                    }
                }
            }
        }
    }
}

impl Entries {
    fn add(&mut self, leaf: &Leaf, column: usize) {
        match leaf {
            Leaf::Entry { key, .. } => {
                self.lengths |= 1 << (key.len() & 63);
                self.keys.push((key.as_bytes().into(), column));
            }
            _ => self.all.push(column),
        }
    }
}

impl Plan {
    pub fn compile<S: AsRef<str>>(
        signal: Signal,
        level: Level,
        paths: &[S],
    ) -> Result<Self, PathError> {
        let request = signal
            .request()
            .filter(|_| !level.messages(signal).is_empty())
            .ok_or_else(|| PathError(format!("{signal:?} have no level {}", level.name())))?;
        let paths = paths
            .iter()
            .map(|text| Path::parse(signal, level, text.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let ancestors = level.ancestors(signal);
        let mut columns: Vec<Column> = ancestors
            .iter()
            .map(|level| Column::new(format!("_{}", level.name()), DataType::UInt32, false))
            .collect();
        for path in &paths {
            if columns.iter().any(|column| *column.name() == path.text) {
                return Err(PathError(format!("path {} is asked for twice", path.text)));
            }
            columns.push(Column::new(&path.text, data_type(&path.leaf), true));
        }
        let mut plan = Self {
            signal,
            level,
            request,
            ancestors,
            schema: Arc::new(Schema::new(columns)),
            nodes: Vec::new(),
            paths,
        };
        plan.build();
        Ok(plan)
    }

    fn build(&mut self) {
        for level in self.ancestors.iter().copied().chain([self.level]) {
            for message in level.messages(self.signal) {
                let mut node = Node::default();
                for (column, path) in self.paths.iter().enumerate() {
                    if path.level != level {
                        continue;
                    }
                    let mut lacks = true;
                    for place in &path.places {
                        if std::ptr::eq(place.message, message) {
                            // A metric's own fields are in every metric, those of its data are
                            // there once a member of the oneof says so.
                            lacks = matches!(path.leaf, Leaf::Scalar(_))
                                && (std::ptr::eq(message, &raw const METRIC)
                                    && place.fields.len() > 1
                                    || message.tells_absence(&place.fields));
                            node.add(message, &place.fields, &path.leaf, column);
                        }
                    }
                    node.columns.push((column, lacks));
                }
                node.finish();
                if !node.columns.is_empty() {
                    self.nodes.push(Entity { level, message, node });
                }
            }
        }
    }

    /// What to keep of an entity; None when no column is of its level.
    #[inline]
    pub fn node(&self, level: Level, message: &'static Message) -> Option<&Node> {
        self.nodes
            .iter()
            .find(|entity| entity.level == level && std::ptr::eq(entity.message, message))
            .map(|entity| &entity.node)
    }

    /// Whether entities of the level lie on the way to the rows.
    #[inline]
    pub fn leads_through(&self, level: Level) -> bool {
        level == self.level || self.ancestors.contains(&level)
    }
}

fn data_type(leaf: &Leaf) -> DataType {
    match leaf {
        Leaf::Scalar(kind) => natural(*kind),
        Leaf::List(kind) => {
            DataType::LargeList(Arc::new(Column::new("item", natural(*kind), true)))
        }
        Leaf::Hex => DataType::Utf8View,
        Leaf::MetricType => DataType::UInt8,
        Leaf::Own => DataType::BinaryView,
        Leaf::Value { read, .. } | Leaf::Entry { read, .. } | Leaf::Entries(read) => match read {
            As::Str | As::Text | As::Json => DataType::Utf8View,
            As::Int => DataType::Int64,
            As::Double => DataType::Float64,
            As::Bool => DataType::Boolean,
            As::Bytes | As::Raw => DataType::BinaryView,
            As::Kind => DataType::UInt8,
            As::Map => {
                DataType::LargeList(Arc::new(Column::new("item", DataType::Struct(entry()), true)))
            }
        },
    }
}

/// The fields of one entry of a map column.
pub fn entry() -> Fields {
    Fields::from(vec![
        Column::new("key", DataType::Utf8View, true),
        Column::new("value", DataType::Utf8View, true),
        Column::new("kind", DataType::UInt8, true),
    ])
}

fn natural(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Enum | Kind::Int32 | Kind::Sint32 => DataType::Int32,
        Kind::Uint32 | Kind::Fixed32 => DataType::UInt32,
        Kind::Int64 | Kind::Sfixed64 => DataType::Int64,
        Kind::Uint64 | Kind::Fixed64 => DataType::UInt64,
        Kind::Double => DataType::Float64,
        Kind::String => DataType::Utf8View,
        Kind::Bytes | Kind::Id | Kind::Message(_) => DataType::BinaryView,
    }
}
