//! From bytes to columns: one pass over the batch that decodes what the plan keeps.

use std::borrow::Cow;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch, RecordBatchOptions};

use super::column::Column;
use super::path::{As, Leaf};
use super::plan::{Action, Entries, Keep, Node, Plan};
use super::proto::{Fault, Field, Reader, Value, close, open, unzigzag, utf8};
use super::schema::{Cardinality, Field as Schema, Kind, Level, METRIC, Message};
use super::text;
use super::value::{Any, Entry, follow, plain_entry};
use super::{Batch, WireError};

/// Entries that a map of a level above may become; half a gigabyte.
const REPEATED: usize = 1 << 24;

/// Project the plan's columns from a batch of its signal.
pub fn project(batch: &Batch, plan: &Plan) -> Result<RecordBatch, WireError> {
    let data = &batch.data[..];
    let mut projection = Projection::new(plan, data, batch.items);
    projection.children(plan.request, data).map_err(|fault| fault.within(data))?;
    let Projection { columns, parents, rows, .. } = projection;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(parents.len() + columns.len());
    for parent in parents {
        arrays.push(std::sync::Arc::new(PrimitiveArray::<UInt32Type>::from(parent)));
    }
    for (column, field) in columns.into_iter().zip(&plan.schema.fields[arrays.len()..]) {
        arrays.push(column.finish(&batch.data, field));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(plan.schema.clone(), arrays, &options)
        .map_err(|error| WireError { offset: 0, message: error.to_string() })
}

/// What has been seen of a column in the entity being read.
#[derive(Default)]
struct Slot<'a> {
    state: State,
    number: u64,
    bytes: &'a [u8],
    /// What follows `bytes`, when a value or a map stands in several pieces.
    more: Vec<&'a [u8]>,
    numbers: Vec<u64>,
    /// What `bytes` are, when they are a whole entity.
    message: Option<&'static Message>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// The message has no such field.
    #[default]
    Lacking,
    Absent,
    Present,
}

impl<'a> Slot<'a> {
    fn reset(&mut self, state: State) {
        self.state = state;
        self.more.clear();
        self.numbers.clear();
    }

    fn add(&mut self, bytes: &'a [u8]) {
        if self.state == State::Present {
            self.more.push(bytes);
        } else {
            self.state = State::Present;
            self.bytes = bytes;
        }
    }

    fn whole(&self) -> Cow<'a, [u8]> {
        if self.more.is_empty() {
            return Cow::Borrowed(self.bytes);
        }
        let mut whole = self.bytes.to_vec();
        self.more.iter().for_each(|piece| whole.extend_from_slice(piece));
        Cow::Owned(whole)
    }
}

struct Projection<'a, 'p> {
    plan: &'p Plan,
    data: &'a [u8],
    slots: Vec<Slot<'a>>,
    columns: Vec<Column<'a>>,
    /// Row numbers of the levels above, for each row.
    parents: Vec<Vec<u32>>,
    /// Entities of each level above that have been read.
    met: Vec<u32>,
    rows: usize,
}

impl<'a, 'p> Projection<'a, 'p> {
    fn new(plan: &'p Plan, data: &'a [u8], items: usize) -> Self {
        let rows = if plan.level == Level::Item { items } else { 0 };
        let depth = plan.ancestors.len();
        Self {
            plan,
            data,
            slots: plan.paths.iter().map(|_| Slot::default()).collect(),
            columns: plan.schema.fields[depth..]
                .iter()
                .map(|field| Column::new(field.data_type(), data, rows))
                .collect(),
            parents: (0..depth).map(|_| Vec::with_capacity(rows)).collect(),
            met: vec![0; depth],
            rows: 0,
        }
    }

    /// Read the entities below a message on the way to the rows.
    fn children(&mut self, message: &'static Message, bytes: &'a [u8]) -> Result<(), Fault> {
        if std::ptr::eq(message, &raw const METRIC) {
            let (member, pieces) = live_member(bytes)?;
            if let Some(member) = member {
                for piece in pieces {
                    self.children(member, piece)?;
                }
            }
            return Ok(());
        }
        for (field, child, level) in message.children() {
            if !self.plan.leads_through(level) {
                continue;
            }
            let node = self.plan.node(level, child);
            let mut reader = Reader::new(bytes);
            while let Some(found) = reader.field()? {
                if found.number == field.number {
                    self.entity(level, child, node, found.bytes()?)?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn entity(
        &mut self,
        level: Level,
        message: &'static Message,
        node: Option<&'p Node>,
        bytes: &'a [u8],
    ) -> Result<(), Fault> {
        let before = self.rows;
        if let Some(node) = node {
            for (column, lacks) in &node.columns {
                self.slots[*column].reset(if *lacks { State::Lacking } else { State::Absent });
            }
            for column in &node.own {
                self.slots[*column].add(bytes);
                self.slots[*column].message = Some(message);
            }
            capture(node, bytes, &mut self.slots)?;
        }
        if level == self.plan.level {
            self.rows += 1;
        } else if let Some(depth) = self.plan.ancestors.iter().position(|above| *above == level) {
            self.children(message, bytes)?;
            self.parents[depth].resize(self.rows, self.met[depth]);
            self.met[depth] += 1;
        }
        let times = self.rows - before;
        if let Some(node) = node
            && times > 0
        {
            for (column, _) in &node.columns {
                self.emit(*column, times)?;
            }
        }
        Ok(())
    }

    /// Append what the slot holds, once for each row that the entity has.
    fn emit(&mut self, index: usize, times: usize) -> Result<(), Fault> {
        let slot = &self.slots[index];
        let column = &mut self.columns[index];
        if slot.state == State::Lacking {
            column.push_null(times);
            return Ok(());
        }
        match &self.plan.paths[index].leaf {
            Leaf::Scalar(kind) => scalar(column, *kind, slot, times)?,
            Leaf::List(_) => {
                if let Column::Numbers(column) = column {
                    column.push(Some(&slot.numbers), times);
                }
            }
            Leaf::Hex => {
                let mut hex = String::new();
                text::push_hex(
                    &mut hex,
                    if slot.state == State::Present { slot.bytes } else { &[] },
                );
                push_text(column, Some(&hex), times);
            }
            Leaf::MetricType => {
                if let Column::U8(column) = column {
                    let code = if slot.state == State::Present { slot.number as u8 } else { 0 };
                    column.push(Some(code), times);
                }
            }
            Leaf::Value { steps, read } | Leaf::Entry { steps, read, .. } => {
                if slot.state == State::Absent {
                    column.push_null(times);
                } else if slot.more.is_empty() && steps.is_empty() {
                    value(column, *read, slot.bytes, times)?;
                } else {
                    let whole = slot.whole();
                    follow(&whole, steps, &mut |found| match found {
                        Some(found) => value(column, *read, found, times),
                        None => {
                            column.push_null(times);
                            Ok(())
                        }
                    })
                    .map_err(|fault| local(fault, self.data, slot.bytes))?;
                }
            }
            Leaf::Entries(read) => entries(column, *read, slot, times)?,
            Leaf::Own => {
                let mut own = Vec::new();
                if let Some(message) = slot.message {
                    own_bytes(message, slot.bytes, &mut own)?;
                }
                push_bytes(column, Some(&own), times);
            }
        }
        Ok(())
    }
}

/// Merged pieces have no place in the batch; their first piece stands for them.
fn local(fault: Fault, data: &[u8], place: &[u8]) -> Fault {
    if fault.is_inside(data) { fault } else { fault.moved_to(place) }
}

/// The member of a metric's oneof that counts, and the pieces of its message.
pub fn live_member(metric: &[u8]) -> Result<(Option<&'static Message>, Vec<&[u8]>), Fault> {
    let mut live = None;
    let mut pieces = Vec::new();
    let mut number = 0;
    let mut reader = Reader::new(metric);
    while let Some(found) = reader.field()? {
        if let Some(field) = METRIC.field(found.number)
            && field.cardinality == Cardinality::Oneof
            && let Kind::Message(message) = field.kind
        {
            if number != found.number {
                pieces.clear();
            }
            number = found.number;
            live = Some(message);
            pieces.push(found.bytes()?);
        }
    }
    Ok((live, pieces))
}

/// The fields of an entity that are not entities below it. Of a metric's data the message stays,
/// without its points.
fn own_bytes(message: &'static Message, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut reader = Reader::new(bytes);
    while let Some(found) = reader.field()? {
        match message.field(found.number) {
            Some(field) if field.level.is_some() => {}
            Some(Schema { cardinality: Cardinality::Oneof, kind: Kind::Message(data), .. }) => {
                let inner = found.bytes()?;
                let field = open(out, found.number, inner.len());
                own_bytes(data, inner, out)?;
                close(out, field);
            }
            _ => out.extend_from_slice(found.raw),
        }
    }
    Ok(())
}

/// Keep what the node wants of one message. Pieces of a message that stands repeatedly are read
/// one after the other into the same slots, which is how protobuf merges them.
fn capture<'a>(node: &Node, bytes: &'a [u8], slots: &mut [Slot<'a>]) -> Result<(), Fault> {
    let mut member = 0;
    let mut left = node.keys;
    let mut reader = Reader::new(bytes);
    loop {
        reader.pass(node.wanted);
        let Some(field) = reader.field()? else { return Ok(()) };
        let Some(action) = node.action(field.number) else { continue };
        if let Keep::Entries(entries) = &action.keep {
            let found = keep_entry(entries, &field, slots)?;
            left = left.wrapping_sub(found);
            if found > 0 && left == 0 {
                return Ok(());
            }
            if entries.all.is_empty() {
                let other = |entry: &[u8]| {
                    plain_entry(entry).is_some_and(|(key, _)| !entries.may_want(key))
                };
                reader.pass_while(field.number, other);
            }
            continue;
        }
        if action.member.is_some() && member != field.number {
            member = field.number;
            switch(action, slots);
        }
        keep(&action.keep, &field, slots)?;
    }
}

fn switch(action: &Action, slots: &mut [Slot<'_>]) {
    let Some(member) = &action.member else { return };
    member.clears.iter().for_each(|column| slots[*column].reset(State::Lacking));
    member.defaults.iter().for_each(|column| slots[*column].reset(State::Absent));
    for column in &member.types {
        slots[*column].state = State::Present;
        slots[*column].number = member.code;
    }
}

#[inline]
fn keep<'a>(keep: &Keep, field: &Field<'a>, slots: &mut [Slot<'a>]) -> Result<(), Fault> {
    match keep {
        Keep::Scalar(kind, columns) => {
            let (number, bytes) = single(*kind, field)?;
            for column in columns {
                let slot = &mut slots[*column];
                slot.state = State::Present;
                slot.number = number;
                slot.bytes = bytes;
            }
        }
        Keep::Value(columns) => {
            let bytes = field.bytes()?;
            columns.iter().for_each(|column| slots[*column].add(bytes));
        }
        Keep::Message(inner) => capture(inner, field.bytes()?, slots)?,
        Keep::List(kind, columns) => {
            for column in columns {
                numbers(*kind, field, &mut slots[*column].numbers)?;
            }
        }
        Keep::Each(each) => {
            for (number, kind, column) in each {
                let mut last = 0;
                let mut reader = Reader::new(field.bytes()?);
                while let Some(inner) = reader.field()? {
                    if inner.number == *number {
                        last = single(*kind, &inner)?.0;
                    }
                }
                slots[*column].numbers.push(last);
            }
        }
        Keep::Nothing | Keep::Entries(_) => {}
    }
    Ok(())
}

/// Keep an entry's value for the keys that want it; return how many did.
#[inline]
fn keep_entry<'a>(
    entries: &Entries,
    field: &Field<'a>,
    slots: &mut [Slot<'a>],
) -> Result<usize, Fault> {
    let bytes = field.bytes()?;
    for column in &entries.all {
        slots[*column].add(field.raw);
    }
    if entries.keys.is_empty() {
        return Ok(0);
    }
    let mut found = 0;
    if let Some((key, value)) = plain_entry(bytes) {
        if entries.may_want(key) {
            for (wanted, column) in &entries.keys {
                if **wanted == *key && slots[*column].state == State::Absent {
                    slots[*column].add(value);
                    found += 1;
                }
            }
        }
        return Ok(found);
    }
    let entry = Entry::read(bytes)?;
    for (wanted, column) in &entries.keys {
        if slots[*column].state == State::Absent && **wanted == *entry.key {
            let mut reader = Reader::new(bytes);
            slots[*column].add(&[]);
            found += 1;
            while let Some(inner) = reader.field()? {
                if inner.number == 2 {
                    slots[*column].add(inner.bytes()?);
                }
            }
        }
    }
    Ok(found)
}

/// One value of a kind: its bits, or its bytes.
#[inline]
fn single<'a>(kind: Kind, field: &Field<'a>) -> Result<(u64, &'a [u8]), Fault> {
    match kind {
        Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => Ok((0, field.bytes()?)),
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => Ok((field.fixed64()?, &[])),
        Kind::Fixed32 => Ok((u64::from(field.fixed32()?), &[])),
        _ => Ok((field.varint()?, &[])),
    }
}

/// The values of a repeated field, packed or not.
fn numbers(kind: Kind, field: &Field<'_>, out: &mut Vec<u64>) -> Result<(), Fault> {
    let Value::Bytes(packed) = field.value else {
        out.push(single(kind, field)?.0);
        return Ok(());
    };
    if matches!(kind, Kind::Fixed64 | Kind::Sfixed64 | Kind::Double) {
        let (chunks, rest) = packed.as_chunks();
        if !rest.is_empty() {
            return Err(Fault::at(rest, "packed numbers end within a number"));
        }
        out.extend(chunks.iter().map(|bytes| u64::from_le_bytes(*bytes)));
        return Ok(());
    }
    let mut reader = Reader::new(packed);
    while let Some(number) = reader.packed_varint()? {
        out.push(number);
    }
    Ok(())
}

fn scalar(column: &mut Column<'_>, kind: Kind, slot: &Slot<'_>, times: usize) -> Result<(), Fault> {
    let present = slot.state == State::Present;
    let number = if present { slot.number } else { 0 };
    let bytes = if present { slot.bytes } else { &[] };
    match column {
        Column::Flags(column) => column.push(Some(number != 0), times),
        Column::I32(column) => {
            let number = number as u32;
            let sint = matches!(kind, Kind::Sint32);
            column.push(Some(if sint { unzigzag(number) } else { number as i32 }), times);
        }
        Column::U32(column) => column.push(Some(number as u32), times),
        Column::I64(column) => column.push(Some(number as i64), times),
        Column::U64(column) => column.push(Some(number), times),
        Column::F64(column) => column.push(Some(f64::from_bits(number)), times),
        Column::Text(_) => push_text(column, Some(utf8(bytes)?), times),
        _ => push_bytes(column, Some(bytes), times),
    }
    Ok(())
}

fn push_text(column: &mut Column<'_>, text: Option<&str>, times: usize) {
    if let Column::Text(column) = column {
        column.push(text.map(str::as_bytes), times);
    }
}

fn push_bytes(column: &mut Column<'_>, bytes: Option<&[u8]>, times: usize) {
    if let Column::Binary(column) = column {
        column.push(bytes, times);
    }
}

/// A dynamically typed value as the type that was asked for; other types are null.
fn value(column: &mut Column<'_>, read: As, bytes: &[u8], times: usize) -> Result<(), Fault> {
    match (column, read) {
        (Column::Text(column), As::Str) => match Any::read(bytes)? {
            Any::Str(text) => column.push(Some(utf8(text)?.as_bytes()), times),
            _ => column.push(None, times),
        },
        (Column::Text(column), As::Json) => {
            let mut out = String::new();
            text::push_json(&mut out, bytes)?;
            column.push(Some(out.as_bytes()), times);
        }
        (Column::Text(column), _) => match Any::read(bytes)? {
            Any::Str(text) => column.push(Some(utf8(text)?.as_bytes()), times),
            _ => {
                let mut out = String::new();
                text::push_text(&mut out, bytes)?;
                column.push(Some(out.as_bytes()), times);
            }
        },
        (Column::I64(column), _) => match Any::read(bytes)? {
            Any::Int(number) => column.push(Some(number), times),
            _ => column.push(None, times),
        },
        (Column::F64(column), _) => match Any::read(bytes)? {
            Any::Double(number) => column.push(Some(number), times),
            _ => column.push(None, times),
        },
        (Column::Flags(column), _) => match Any::read(bytes)? {
            Any::Bool(flag) => column.push(Some(flag), times),
            _ => column.push(None, times),
        },
        (Column::U8(column), _) => column.push(Some(Any::read(bytes)?.kind()), times),
        (Column::Binary(column), As::Raw) => column.push(Some(bytes), times),
        (Column::Binary(column), _) => match Any::read(bytes)? {
            Any::Bytes(bytes) => column.push(Some(bytes), times),
            _ => column.push(None, times),
        },
        (column @ Column::Map(_), _) => match Any::read(bytes)? {
            Any::Map(map) => map_column(column, &map, 1, times)?,
            _ => column.push_null(times),
        },
        _ => {}
    }
    Ok(())
}

/// All entries of a map field; the slot holds them as they stand, tags included.
fn entries(column: &mut Column<'_>, read: As, slot: &Slot<'_>, times: usize) -> Result<(), Fault> {
    let whole = if slot.state == State::Present { slot.whole() } else { Cow::default() };
    match read {
        As::Raw => push_bytes(column, Some(&whole), times),
        As::Map => map_column(column, &whole, 0, times)?,
        _ => {
            let mut map = Vec::with_capacity(whole.len());
            let mut reader = Reader::new(&whole);
            while let Some(field) = reader.field()? {
                super::proto::put_bytes_field(&mut map, 1, field.bytes()?);
            }
            let mut out = String::new();
            text::push_json_map(&mut out, &map)?;
            push_text(column, Some(&out), times);
        }
    }
    Ok(())
}

/// A row of entries; `number` is the field that holds them, 0 when every field does.
fn map_column(
    column: &mut Column<'_>,
    entries: &[u8],
    number: u32,
    times: usize,
) -> Result<(), Fault> {
    let Column::Map(column) = column else { return Ok(()) };
    let mut reader = Reader::new(entries);
    let mut out = String::new();
    let mut count = 0_usize;
    while let Some(field) = reader.field()? {
        if number != 0 && field.number != number {
            continue;
        }
        let entry = Entry::read(field.bytes()?)?;
        out.clear();
        text::push_text(&mut out, &entry.value)?;
        column.values.push(utf8(entry.key)?, &out, Any::read(&entry.value)?.kind());
        count += 1;
    }
    if count * times > REPEATED {
        return Err(Fault::at(entries, "a map is repeated for too many rows"));
    }
    column.end(true, times);
    Ok(())
}
