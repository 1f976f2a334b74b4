//! Fuzzing of the wire: whatever the bytes are, each operation gives an error or keeps its promise.

pub mod cut;
pub mod edit;
pub mod json;
pub mod text;

use std::sync::OnceLock;

use arrow_array::{Array, RecordBatch};
use bytes::Bytes;

use super::path::{As, Leaf, Path};
use super::plan::Plan;
use super::proto::{self, Reader, Value, WireType, utf8};
use super::schema::{Cardinality, Field, Kind, Level, METRIC, Message};
use super::{Batch, Context, Signal, WireError};

pub const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];
pub const LEVELS: [Level; 7] = [
    Level::Resource,
    Level::Scope,
    Level::Metric,
    Level::Item,
    Level::Event,
    Level::Link,
    Level::Exemplar,
];

/// The first bytes of an input steer the target; the others are the message.
pub fn steered<const N: usize>(input: &[u8]) -> Option<([u8; N], &[u8])> {
    input.split_first_chunk().map(|(steer, data)| (*steer, data))
}

pub fn pick<T: Copy>(all: &[T], by: u8) -> T {
    all[usize::from(by) % all.len()]
}

/// A batch of what the door accepts.
pub fn batch(signal: Signal, data: &[u8]) -> Option<Batch> {
    Batch::from_wire(signal, Bytes::copy_from_slice(data), Context::empty()).ok()
}

pub fn is_inside(error: &WireError, data: &[u8]) -> bool {
    error.offset <= data.len() && !error.message.is_empty()
}

/// The door and a plain walk over the schema accept the same bytes and count the same items.
pub fn scan(input: &[u8]) {
    let Some(([signal], data)) = steered(input) else { return };
    let all = [Signal::Traces, Signal::Metrics, Signal::Logs, Signal::Profiles];
    let signal = pick(&all, signal);
    let found = super::scan(signal, data);
    if let Err(error) = &found {
        assert!(is_inside(error, data), "{error:?}");
    }
    if let Some(request) = signal.request() {
        let mut items = Vec::new();
        let expected = walk(request, data, &mut items).map(|()| items.len());
        assert_eq!(found.ok(), expected);
    }
}

/// The items of a message as they stand, by its schema alone; None where the door must refuse.
pub fn walk<'a>(
    message: &'static Message,
    data: &'a [u8],
    items: &mut Vec<&'a [u8]>,
) -> Option<()> {
    let mut reader = Reader::new(data);
    let (before, mut member) = (items.len(), 0);
    while let Some(found) = reader.field().ok()? {
        let Some(field) = message.field(found.number) else { continue };
        look(field, &found)?;
        let (Kind::Message(inner), Value::Bytes(bytes)) = (field.kind, found.value) else {
            continue;
        };
        match field.level {
            Some(Level::Item) => {
                walk_flat(inner, bytes)?;
                items.push(bytes);
            }
            Some(_) => walk(inner, bytes, items)?,
            None if std::ptr::eq(message, &raw const METRIC) => {
                if field.cardinality == Cardinality::Oneof && member != found.number {
                    member = found.number;
                    items.truncate(before);
                }
                if field.cardinality == Cardinality::Oneof {
                    walk(inner, bytes, items)?;
                }
            }
            None if matches!(inner.name, "Resource" | "InstrumentationScope") => {
                walk_flat(inner, bytes)?;
            }
            None => {}
        }
    }
    Some(())
}

/// What lies inside an item, a resource or a scope is not looked into.
fn walk_flat(message: &'static Message, data: &[u8]) -> Option<()> {
    let mut reader = Reader::new(data);
    while let Some(found) = reader.field().ok()? {
        if let Some(field) = message.field(found.number) {
            look(field, &found)?;
        }
    }
    Some(())
}

/// Whether a field is as its schema has it.
fn look(field: &Field, found: &proto::Field<'_>) -> Option<()> {
    match (field.kind, found.value) {
        (kind, Value::Bytes(packed)) if kind.packs() && field.cardinality == Cardinality::Many => {
            if kind.wire_type() == WireType::Fixed64 {
                return packed.len().is_multiple_of(8).then_some(());
            }
            let mut numbers = Reader::new(packed);
            while numbers.packed_varint().ok()?.is_some() {}
            Some(())
        }
        (Kind::String, Value::Bytes(text)) => utf8(text).ok().map(drop),
        (kind, value) => (value.wire_type() == kind.wire_type()).then_some(()),
    }
}

/// Every path of a level that the schema has, and some into attributes.
fn paths(signal: Signal, level: Level) -> Vec<String> {
    fn below(prefix: &str, message: &'static Message, depth: usize, found: &mut Vec<String>) {
        const READS: [&str; 9] =
            [":str", ":int", ":double", ":bool", ":bytes", ":text", ":json", ":raw", ":map"];
        for field in message.fields.iter().filter(|field| field.level.is_none()) {
            let name = format!("{prefix}{}", field.name);
            for end in ["", ".string", "[\"k\"]", "[\"service.name\"]", "[\"a\"][\"k\"]", "[1]"] {
                found.push(format!("kind({name}{end})"));
                found.push(format!("{name}{end}"));
                found.extend(READS.iter().map(|read| format!("{name}{end}{read}")));
            }
            if let (Kind::Message(inner), 0) = (field.kind, depth) {
                below(&format!("{name}."), inner, 1, found);
                below(prefix, inner, 1, found);
            }
        }
    }
    let mut found = vec![":raw".into(), "type".into()];
    for above in level.ancestors(signal).into_iter().chain([level]) {
        let prefix = if above == level { String::new() } else { format!("{}.", above.name()) };
        for message in above.messages(signal) {
            below(&prefix, message, 0, &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    // The map of a level above is repeated for each row below it: large, and no parser's doing.
    found.retain(|text| {
        Path::parse(signal, level, text)
            .is_ok_and(|path| path.level == level || !matches!(path.leaf, Leaf::Entries(As::Map)))
    });
    found
}

/// Plans for all paths of a level, and the paths.
pub fn plans(signal: Signal, level: Level) -> Option<&'static (Plan, Vec<String>)> {
    type Kept = OnceLock<Option<(Plan, Vec<String>)>>;
    static PLANS: [[Kept; LEVELS.len()]; SIGNALS.len()] =
        [const { [const { OnceLock::new() }; LEVELS.len()] }; SIGNALS.len()];
    let kept = &PLANS[signal as usize][level as usize];
    let made = kept.get_or_init(|| {
        if level.messages(signal).is_empty() {
            return None;
        }
        let paths = paths(signal, level);
        assert!(paths.len() > 10, "{signal:?} {level:?}");
        Some((Plan::compile(signal, level, &paths).expect("each path parses"), paths))
    });
    made.as_ref()
}

/// The columns are what Arrow says they must be; polars trusts us in that.
pub fn assert_valid(table: &RecordBatch) {
    for column in table.columns() {
        column.to_data().validate_full().expect("an array is valid");
    }
}

/// Columns are valid Arrow, have a row for each item, and do not depend on the other columns.
pub fn project(input: &[u8]) {
    let Some(([signal, level, one], data)) = steered(input) else { return };
    let (signal, level) = (pick(&SIGNALS, signal), pick(&LEVELS, level));
    let Some(batch) = batch(signal, data) else { return };
    let Some((plan, paths)) = plans(signal, level) else { return };
    match super::project::project(&batch, plan) {
        Err(error) => assert!(is_inside(&error, data), "{error:?}"),
        Ok(table) => {
            assert_valid(&table);
            assert!(level != Level::Item || table.num_rows() == batch.items);
            let path = &paths[usize::from(one) % paths.len()];
            let alone = Plan::compile(signal, level, &[path]).expect("it compiled before");
            let alone = super::project::project(&batch, &alone).expect("less is read than before");
            assert_eq!(alone.columns().last(), table.column_by_name(path), "{path}");
        }
    }
}
