//! Paths: OTTL's notation for a place in a batch, plus a suffix that names the type.
//!
//! ```text
//! attributes["http.route"]          resource.attributes["k"]:int      body["a"][0]:text
//! status.code                       kind(body)                        attributes:map
//! ```

use std::fmt;

use super::Signal;
use super::schema::{Cardinality, Field, Kind, Level, METRIC, Message};
use super::value::Step;

/// A path that means nothing for this signal and level, told for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError(pub String);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PathError {}

/// What a dynamically typed value is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    Str,
    Int,
    Double,
    Bool,
    Bytes,
    Text,
    Json,
    Raw,
    Kind,
    Map,
}

/// What stands at the end of a path.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// A field of its natural type.
    Scalar(Kind),
    /// Every value of a repeated field.
    List(Kind),
    /// An id in lower-case hexadecimal.
    Hex,
    /// Which member of a metric's oneof there is.
    MetricType,
    /// A value, or a value inside it.
    Value { steps: Vec<Step>, read: As },
    /// The value of a key in a map field, or a value inside it.
    Entry { key: String, steps: Vec<Step>, read: As },
    /// All entries of a map field.
    Entries(As),
    /// The bytes of the whole entity without the entities below it.
    Own,
}

/// Field numbers from an entity's message to the leaf.
#[derive(Clone, Debug)]
pub struct Place {
    pub message: &'static Message,
    pub fields: Vec<u32>,
}

#[derive(Clone, Debug)]
pub struct Path {
    /// As the caller wrote it.
    pub text: String,
    pub level: Level,
    /// One for each message that entities of this level can be and that has the field.
    pub places: Vec<Place>,
    pub leaf: Leaf,
}

impl Level {
    /// The level's name in a signal, where it has one.
    pub fn parse(signal: Signal, name: &str) -> Option<Self> {
        let level = match (name, signal) {
            ("resource", _) => Level::Resource,
            ("scope" | "instrumentation_scope", _) => Level::Scope,
            ("metric", _) => Level::Metric,
            ("item", _)
            | ("span", Signal::Traces)
            | ("datapoint", Signal::Metrics)
            | ("log", Signal::Logs) => Level::Item,
            ("event" | "spanevent", _) => Level::Event,
            ("link" | "spanlink", _) => Level::Link,
            ("exemplar", _) => Level::Exemplar,
            _ => return None,
        };
        (!level.messages(signal).is_empty()).then_some(level)
    }

    /// The levels of a signal that contain this one, outermost first.
    pub fn ancestors(self, signal: Signal) -> Vec<Level> {
        let mut found = vec![Level::Resource, Level::Scope];
        if signal == Signal::Metrics {
            found.push(Level::Metric);
        }
        found.push(Level::Item);
        found.retain(|level| *level < self);
        found
    }

    /// The messages that entities of this level are.
    pub fn messages(self, signal: Signal) -> Vec<&'static Message> {
        fn collect(message: &'static Message, level: Level, found: &mut Vec<&'static Message>) {
            for field in message.fields {
                let Kind::Message(child) = field.kind else { continue };
                if field.level == Some(level) {
                    if !found.iter().any(|known| std::ptr::eq(*known, child)) {
                        found.push(child);
                    }
                } else if field.level.is_some() || field.cardinality == Cardinality::Oneof {
                    collect(child, level, found);
                }
            }
        }
        let mut found = Vec::new();
        if let Some(request) = signal.request() {
            collect(request, self, &mut found);
        }
        found
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::Resource => "resource",
            Level::Scope => "scope",
            Level::Metric => "metric",
            Level::Item => "item",
            Level::Event => "event",
            Level::Link => "link",
            Level::Exemplar => "exemplar",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Name(String),
    In(Step),
}

/// The notation without its meaning.
struct Written {
    segments: Vec<Segment>,
    suffix: Option<String>,
    kind_of: bool,
}

impl Path {
    /// Read a path relative to `level`; it may also name a level above.
    pub fn parse(signal: Signal, level: Level, text: &str) -> Result<Self, PathError> {
        let written = notation(text).map_err(|why| PathError(format!("path {text}: {why}")))?;
        resolve(signal, level, text, written)
            .map_err(|why| PathError(format!("path {text}: {why}")))
    }
}

fn notation(text: &str) -> Result<Written, String> {
    let inner = text.strip_prefix("kind(").and_then(|rest| rest.strip_suffix(')'));
    let mut rest = inner.unwrap_or(text);
    let mut segments = Vec::new();
    loop {
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end == 0 {
            return Err("a name is missing".into());
        }
        segments.push(Segment::Name(rest[..end].into()));
        rest = &rest[end..];
        while let Some(after) = rest.strip_prefix('[') {
            let (step, after) = bracket(after)?;
            segments.push(Segment::In(step));
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => break,
        }
    }
    let suffix = match rest.strip_prefix(':') {
        Some(suffix) => Some(suffix.to_owned()),
        None if rest.is_empty() => None,
        None => return Err(format!("cannot read it from {rest:?} on")),
    };
    if inner.is_some() && suffix.is_some() {
        return Err("kind() takes a path without a type".into());
    }
    Ok(Written { segments, suffix, kind_of: inner.is_some() })
}

/// What stands in brackets: a key in quotes or a number.
fn bracket(text: &str) -> Result<(Step, &str), String> {
    let unclosed = || "a bracket is not closed".to_owned();
    if let Some(quoted) = text.strip_prefix('"') {
        let mut key = String::new();
        let mut characters = quoted.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    let rest = quoted[index + 1..].strip_prefix(']').ok_or_else(unclosed)?;
                    return Ok((Step::Key(key), rest));
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => key.push('\n'),
                    Some((_, 't')) => key.push('\t'),
                    Some((_, 'r')) => key.push('\r'),
                    Some((_, other)) => key.push(other),
                    None => return Err(unclosed()),
                },
                other => key.push(other),
            }
        }
        return Err(unclosed());
    }
    let (digits, rest) = text.split_once(']').ok_or_else(unclosed)?;
    let index = digits.parse().map_err(|_| "in brackets stands a key in quotes or a number")?;
    Ok((Step::Index(index), rest))
}

fn resolve(signal: Signal, level: Level, text: &str, written: Written) -> Result<Path, String> {
    let mut segments = &written.segments[..];
    let mut at = level;
    if let Some(Segment::Name(name)) = segments.first()
        && let Some(named) = Level::parse(signal, name)
        && !(matches!(segments.get(1), Some(Segment::In(_))) && has_field(signal, level, name))
    {
        at = named;
        segments = &segments[1..];
    }
    if at != level && !level.ancestors(signal).contains(&at) {
        return Err(format!("{} is not above {}", at.name(), level.name()));
    }
    let suffix = written.suffix.as_deref();
    let path = |places, leaf| Path { text: text.into(), level: at, places, leaf };
    let messages = at.messages(signal);
    if segments.is_empty() {
        return match suffix {
            Some("raw") if !written.kind_of => {
                let places =
                    messages.iter().map(|message| Place { message, fields: Vec::new() }).collect();
                Ok(path(places, Leaf::Own))
            }
            _ => Err("names no field; of a whole entity there is :raw".into()),
        };
    }
    let names: Vec<&str> = segments
        .iter()
        .map_while(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            Segment::In(_) => None,
        })
        .collect();
    let steps: Vec<Step> = segments[names.len()..]
        .iter()
        .map(|segment| match segment {
            Segment::In(step) => Ok(step.clone()),
            Segment::Name(_) => Err("a name cannot follow brackets".to_owned()),
        })
        .collect::<Result<_, _>>()?;
    let mut places = Vec::new();
    let mut leaf = None;
    for message in &messages {
        if std::ptr::eq(*message, &raw const METRIC) && names == ["type"] {
            leaf = Some(Ending { field: None, tail: Tail::Type });
            places.push(Place { message, fields: Vec::new() });
        }
        for (fields, ending) in find(at, message, &names) {
            leaf = Some(ending);
            places.push(Place { message, fields });
        }
    }
    let Some(ending) = leaf else {
        return Err(unknown(at, &messages, &names));
    };
    Ok(path(places, ending.leaf(steps, suffix, written.kind_of)?))
}

fn has_field(signal: Signal, level: Level, name: &str) -> bool {
    level.messages(signal).iter().any(|message| message.named(name).is_some())
}

/// The field that a path ends in, and what was asked of it by name.
struct Ending {
    field: Option<&'static Field>,
    tail: Tail,
}

#[derive(PartialEq, Eq)]
enum Tail {
    Plain,
    /// `.string` after an id or a value.
    AsString,
    Type,
    /// A repeated message lies on the way.
    Repeated,
}

/// Every way to follow `names` down from an entity's message.
fn find(level: Level, message: &'static Message, names: &[&str]) -> Vec<(Vec<u32>, Ending)> {
    let mut found = Vec::new();
    let wrapped = matches!(level, Level::Resource | Level::Scope);
    for field in message.fields {
        if field.level.is_some() {
            continue;
        }
        let unnamed = match field.kind {
            // resource and scope stand in a message around them; a metric's data in one inside it.
            Kind::Message(inner) if wrapped && field.number == 1 => Some(inner),
            Kind::Message(inner)
                if std::ptr::eq(message, &raw const METRIC)
                    && field.cardinality == Cardinality::Oneof =>
            {
                Some(inner)
            }
            _ => None,
        };
        let below = match unnamed {
            Some(inner) => down(inner, names),
            None => down_field(field, names),
        };
        if let Some((mut fields, ending)) = below {
            if unnamed.is_some() {
                fields.insert(0, field.number);
            }
            found.push((fields, ending));
        }
    }
    found
}

fn down(message: &'static Message, names: &[&str]) -> Option<(Vec<u32>, Ending)> {
    message
        .fields
        .iter()
        .filter(|field| field.level.is_none())
        .find_map(|field| down_field(field, names))
}

fn down_field(field: &'static Field, names: &[&str]) -> Option<(Vec<u32>, Ending)> {
    let (name, rest) = names.split_first()?;
    let proto = match *name {
        "value_double" => "as_double",
        "value_int" => "as_int",
        other => other,
    };
    if field.name != proto {
        return None;
    }
    let plain = |tail| Some((vec![field.number], Ending { field: Some(field), tail }));
    match (field.kind, rest) {
        (_, []) => plain(Tail::Plain),
        (Kind::Id, ["string"]) => plain(Tail::AsString),
        (Kind::Message(inner), ["string"]) if inner.name == "AnyValue" => plain(Tail::AsString),
        (Kind::Message(inner), rest) if inner.name != "AnyValue" && inner.name != "KeyValue" => {
            let (mut fields, mut ending) = down(inner, rest)?;
            fields.insert(0, field.number);
            if field.cardinality == Cardinality::Many {
                ending.tail = Tail::Repeated;
            }
            Some((fields, ending))
        }
        _ => None,
    }
}

impl Ending {
    fn leaf(self, steps: Vec<Step>, suffix: Option<&str>, kind_of: bool) -> Result<Leaf, String> {
        let read = |default: As| match (suffix, kind_of) {
            (_, true) => Ok(As::Kind),
            (None, _) => Ok(default),
            (Some(suffix), _) => parse_as(suffix),
        };
        let Some(field) = self.field else {
            return bare(Leaf::MetricType, &steps, suffix, kind_of);
        };
        match field.kind {
            Kind::Message(message) if message.name == "AnyValue" => {
                let default = if self.tail == Tail::AsString { As::Text } else { As::Str };
                Ok(Leaf::Value { steps, read: read(default)? })
            }
            Kind::Message(message) if message.name == "KeyValue" => {
                let mut steps = steps.into_iter();
                match steps.next() {
                    Some(Step::Key(key)) => {
                        Ok(Leaf::Entry { key, steps: steps.collect(), read: read(As::Str)? })
                    }
                    Some(Step::Index(_)) => Err("a map is looked into by key".into()),
                    None => match read(As::Map)? {
                        read @ (As::Map | As::Json | As::Raw) => Ok(Leaf::Entries(read)),
                        _ => Err("of a whole map there is :map, :json and :raw".into()),
                    },
                }
            }
            Kind::Message(_) => Err("is a message; name a field in it".into()),
            kind => {
                let leaf = match self.tail {
                    Tail::AsString => Leaf::Hex,
                    Tail::Repeated => Leaf::List(kind),
                    _ if field.cardinality == Cardinality::Many => Leaf::List(kind),
                    _ => Leaf::Scalar(kind),
                };
                bare(leaf, &steps, suffix, kind_of)
            }
        }
    }
}

fn bare(leaf: Leaf, steps: &[Step], suffix: Option<&str>, kind_of: bool) -> Result<Leaf, String> {
    if !steps.is_empty() {
        Err("brackets look into maps, lists and values only".into())
    } else if suffix.is_some() || kind_of {
        Err("has a type of its own; only attributes, bodies and maps take one".into())
    } else {
        Ok(leaf)
    }
}

fn parse_as(suffix: &str) -> Result<As, String> {
    Ok(match suffix {
        "str" => As::Str,
        "int" => As::Int,
        "double" => As::Double,
        "bool" => As::Bool,
        "bytes" => As::Bytes,
        "text" => As::Text,
        "json" => As::Json,
        "raw" => As::Raw,
        "map" => As::Map,
        _ => {
            let known = "str, int, double, bool, bytes, text, json, raw, map";
            return Err(format!("has an unknown type {suffix:?}; there are {known}"));
        }
    })
}

fn unknown(level: Level, messages: &[&'static Message], names: &[&str]) -> String {
    let mut known: Vec<&str> = Vec::new();
    for message in messages {
        for field in message.fields.iter().filter(|field| field.level.is_none()) {
            match field.kind {
                Kind::Message(inner)
                    if matches!(level, Level::Resource | Level::Scope)
                        || field.cardinality == Cardinality::Oneof =>
                {
                    known.extend(
                        inner.fields.iter().filter(|field| field.level.is_none()).map(|f| f.name),
                    );
                }
                _ => known.push(field.name),
            }
        }
    }
    known.sort_unstable();
    known.dedup();
    let (name, level) = (names.join("."), level.name());
    format!("there is no {name:?} at level {level}; there are {}", known.join(", "))
}
