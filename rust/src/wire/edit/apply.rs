//! Apply compiled edits: one pass that writes what changes and copies the rest.

use arrow_array::{Array, ArrayRef};

use super::super::project::{live_member, project};
use super::super::proto::{
    Fault, Field, Reader, Value, WireType, close, open, put_bytes_field, put_tag, put_varint,
    varint_len,
};
use super::super::schema::{Cardinality, Kind, Level, METRIC};
use super::super::take::Rows;
use super::super::value::plain_entry;
use super::super::{Batch, scan};
use super::entries::{Entries, Entry, Piece, State, convert, hash};
use super::{Act, Compiled, Edit, EditError, Edits, Literal, Rewrite, Slot, Source};

impl Batch {
    /// Make the edits; fields and attributes that none of them touches stay as they stand. With
    /// `only`, items that are not among these rows stay as they stand, whatever is below them too.
    pub fn edit(&self, edits: &Edits, only: Option<&Rows>) -> Result<Self, EditError> {
        let compiled = edits.compiled(self.signal)?;
        let mut sources: Vec<Option<(ArrayRef, bool)>> = vec![None; edits.edits.len()];
        for (edit, plan, any) in &compiled.sources {
            let table = project(self, plan).map_err(EditError::Wire)?;
            sources[*edit] = table.columns().last().cloned().map(|column| (column, *any));
        }
        let mut editing = Editing {
            edits: &edits.edits,
            compiled,
            sources: &sources,
            only,
            rows: [0; 7],
            pool: Vec::new(),
        };
        let mut out = Vec::with_capacity(self.data.len() + self.data.len() / 4);
        let changed =
            editing.message(&compiled.root, 0, &self.data, &mut out).map_err(
                |stop| match stop {
                    Stop::Fault(fault) => EditError::Wire(fault.within(&self.data)),
                    Stop::Value(why) => EditError::Value(why),
                },
            )?;
        compiled.check_rows(&edits.edits, only, &editing.rows)?;
        if !changed {
            return Ok(self.clone());
        }
        if out.len() > i32::MAX as usize {
            return Err(EditError::Wire(scan::too_large()));
        }
        Ok(Self { data: out.into(), ..self.clone() })
    }
}

/// Why editing ended.
enum Stop {
    Fault(Fault),
    Value(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

struct Editing<'p> {
    edits: &'p [Edit],
    compiled: &'p Compiled,
    /// What copies from elsewhere read, by edit; whether it is AnyValues.
    sources: &'p [Option<(ArrayRef, bool)>],
    only: Option<&'p Rows>,
    /// Entities met of each level.
    rows: [usize; 7],
    pool: Vec<Scratch<'p>>,
}

/// A field that edits concern; `ordinal` counts the entries of its map.
#[derive(Clone, Copy)]
struct Found {
    start: usize,
    end: usize,
    slot: usize,
    ordinal: usize,
}

/// What was found in one message.
#[derive(Default)]
struct Scratch<'p> {
    found: Vec<Found>,
    maps: Vec<Entries<'p>>,
    /// New contents of a child or field by slot; None where it stays.
    new: Vec<Option<Vec<u8>>>,
}

impl<'p> Editing<'p> {
    /// Write the edited message and return true, or leave `out` alone and return false.
    fn message(
        &mut self,
        rewrite: &'p Rewrite,
        row: usize,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, Stop> {
        let mut scratch = self.pool.pop().unwrap_or_default();
        let changed = self.within(rewrite, row, bytes, out, &mut scratch);
        self.pool.push(scratch);
        changed
    }

    fn within(
        &mut self,
        rewrite: &'p Rewrite,
        row: usize,
        bytes: &[u8],
        out: &mut Vec<u8>,
        scratch: &mut Scratch<'p>,
    ) -> Result<bool, Stop> {
        let Scratch { found, maps, new } = scratch;
        found.clear();
        new.clear();
        new.resize_with(rewrite.slots.len(), || None);
        maps.iter_mut().for_each(Entries::clear);
        maps.resize_with(rewrite.slots.len().max(maps.len()), Entries::default);
        let mut reader = Reader::new(bytes);
        loop {
            reader.pass(rewrite.wanted);
            let start = reader.position();
            let Some(field) = reader.field()? else { break };
            let Some(slot) = rewrite.slot(field.number) else { continue };
            let ordinal = maps[slot].standing;
            if let Slot::Map { keys, .. } = &rewrite.slots[slot] {
                let entry = field.bytes()?;
                if plain_entry(entry).is_some_and(|(key, _)| !keys.concern(key)) {
                    continue;
                }
                maps[slot].read(bytes, entry)?;
            }
            found.push(Found { start, end: reader.position(), slot, ordinal });
        }
        let mut changed = false;
        let mut replaced = 0_u64;
        for (index, slot) in rewrite.slots.iter().enumerate() {
            match slot {
                Slot::Map { edits, .. } => {
                    for (edit, key) in edits {
                        self.map(&mut maps[index], *edit, key.as_deref(), row, bytes)?;
                    }
                    changed |= maps[index].changed;
                }
                Slot::Child { number, rewrite: inner, create } => {
                    let pieces = pieces(bytes, found, index)?;
                    if pieces.is_empty() && !create {
                        continue;
                    }
                    let mut contents = Vec::new();
                    let done = match &pieces[..] {
                        [only] => self.message(inner, row, only, &mut contents)?,
                        _ => self.message(inner, row, &pieces.concat(), &mut contents)?,
                    };
                    if done {
                        let mut whole = Vec::with_capacity(contents.len() + 6);
                        put_bytes_field(&mut whole, *number, &contents);
                        new[index] = Some(whole);
                        changed = true;
                    }
                }
                Slot::Field { field, edits } => {
                    let last = found.iter().rev().find(|found| found.slot == index);
                    let now = last.map(|found| &bytes[found.start..found.end]);
                    if let Some(after) = self.field(field.kind, field.number, edits, row, now)? {
                        if field.cardinality == Cardinality::Oneof && !after.is_empty() {
                            replaced |= oneof_mask(rewrite, index);
                        }
                        new[index] = Some(after);
                        changed = true;
                    }
                }
                Slot::Rows { .. } | Slot::Rival => {}
            }
        }
        let mark = out.len();
        let mut run = 0;
        for Found { start, end, slot, ordinal } in found.iter().copied() {
            match &rewrite.slots[slot] {
                Slot::Map { number, .. } if maps[slot].changed => {
                    let entry = &maps[slot].list[ordinal];
                    if entry.state != State::AsItStands {
                        out.extend_from_slice(&bytes[run..start]);
                        run = end;
                        if entry.state == State::Changed {
                            put_entry(out, *number, entry, bytes);
                        }
                    }
                }
                Slot::Rows { level, metric, rewrite: inner } => {
                    let row = self.rows[*level as usize];
                    self.rows[*level as usize] += 1;
                    if *level == Level::Item && excluded(self.only, row) {
                        continue;
                    }
                    out.extend_from_slice(&bytes[run..start]);
                    let (number, contents) = contents(&bytes[start..end])?;
                    let mark = out.len();
                    let nested = open(out, number, contents.len());
                    let done = match metric.then(|| normal(contents)).transpose()?.flatten() {
                        Some(normal) => self.message(inner, row, &normal, out)?,
                        None => self.message(inner, row, contents, out)?,
                    };
                    if done {
                        close(out, nested);
                        run = end;
                        changed = true;
                    } else {
                        out.truncate(mark);
                        run = start;
                    }
                }
                // The first occurrence takes the new contents, later ones go.
                _ if new[slot].is_some() || replaced >> slot & 1 != 0 => {
                    out.extend_from_slice(&bytes[run..start]);
                    run = end;
                    if let Some(contents) = &mut new[slot] {
                        out.append(contents);
                    }
                }
                _ => {}
            }
        }
        if !changed {
            out.truncate(mark);
            return Ok(false);
        }
        out.extend_from_slice(&bytes[run..]);
        for (index, slot) in rewrite.slots.iter().enumerate() {
            if let Slot::Map { number, .. } = slot {
                let map = &maps[index];
                for entry in &map.list[map.standing..] {
                    if entry.state != State::Deleted {
                        put_entry(out, *number, entry, bytes);
                    }
                }
            } else if let Some(contents) = &new[index] {
                out.extend_from_slice(contents);
            }
        }
        Ok(true)
    }

    /// Make one edit to a map.
    #[inline]
    fn map(
        &self,
        entries: &mut Entries<'p>,
        index: usize,
        key: Option<&'p str>,
        row: usize,
        message: &[u8],
    ) -> Result<(), Stop> {
        let edit = &self.edits[index];
        let Some(key) = key else {
            match &edit.act {
                Act::Delete => entries.delete(message, |_| true),
                Act::DeleteMatching(pattern) => entries.delete(message, |key| {
                    std::str::from_utf8(key).is_ok_and(|k| pattern.is_match(k))
                }),
                Act::Hash(Some(pattern)) => entries.replace(
                    message,
                    |key| std::str::from_utf8(key).is_ok_and(|key| pattern.is_match(key)),
                    hash,
                )?,
                _ => {}
            }
            return Ok(());
        };
        match &edit.act {
            Act::Set { source, when, rows } => {
                if excluded(rows.as_ref(), row) {
                    return Ok(());
                }
                match source {
                    Source::Constant(_, value) => {
                        entries.set(message, key, Piece::Known(value), *when);
                    }
                    _ => {
                        if let Some(value) = literal(source, row)? {
                            let value = Piece::New(value.any().into_owned());
                            entries.set(message, key, value, *when);
                        }
                    }
                }
            }
            Act::Delete => entries.delete(message, |other| other == key.as_bytes()),
            Act::Copy { when, .. } => {
                let value = match &self.sources[index] {
                    Some((column, any)) => copied(column, row, *any)?,
                    None => match &self.compiled.keys[index] {
                        Some(from) => entries.get(message, from),
                        None => None,
                    },
                };
                if let Some(value) = value {
                    entries.set(message, key, Piece::New(value), *when);
                }
            }
            Act::Hash(_) => entries.replace(message, |other| other == key.as_bytes(), hash)?,
            Act::Convert(target) => entries.replace(
                message,
                |other| other == key.as_bytes(),
                |value| convert(value, *target),
            )?,
            Act::Extract(pattern) => entries.extract(message, key, pattern)?,
            Act::DeleteMatching(_) => {}
        }
        Ok(())
    }

    /// The field after its edits, tag and all, empty when it goes; None when it stays.
    fn field(
        &self,
        kind: Kind,
        number: u32,
        edits: &[usize],
        row: usize,
        now: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, Stop> {
        let mut after: Option<Vec<u8>> = None;
        for index in edits {
            let edit = &self.edits[*index];
            let current = after.as_deref().or(now).unwrap_or(&[]);
            let present = is_set(kind, current)?;
            let value = match &edit.act {
                Act::Set { source, when, rows }
                    if when.allows(present) && !excluded(rows.as_ref(), row) =>
                {
                    literal(source, row)?
                }
                Act::Copy { when, .. } if when.allows(present) => match &self.sources[*index] {
                    Some((column, any)) => {
                        copied(column, row, *any)?.map(|value| Literal::Any(value.into()))
                    }
                    None => None,
                },
                Act::Delete if !current.is_empty() => {
                    after = Some(Vec::new());
                    None
                }
                Act::Hash(_) if present => hash(contents(current)?.1)?,
                Act::Convert(target) if present => convert(contents(current)?.1, *target)?,
                _ => None,
            };
            if let Some(value) = value {
                let mut written = Vec::new();
                if !value.put(kind, number, &mut written)? {
                    return Err(Stop::Value(format!(
                        "path {}: the value does not fit the field",
                        edit.path
                    )));
                }
                after = Some(written);
            }
        }
        Ok(after.filter(|after| now != Some(after)))
    }
}

fn excluded(rows: Option<&Rows>, row: usize) -> bool {
    match rows {
        None => false,
        Some(Rows::Mask(flags) | Rows::Numbers(flags)) => !flags.get(row).copied().unwrap_or(false),
    }
}

fn literal(source: &Source, row: usize) -> Result<Option<Literal<'_>>, Stop> {
    match source {
        Source::Constant(literal, _) => Ok(Some(literal.clone())),
        Source::Column(column) if row < column.len() => {
            Literal::at(column, row, false).map_err(Stop::Value)
        }
        Source::Column(_) => Ok(None),
    }
}

/// What a copy reads from elsewhere, as an AnyValue.
fn copied(column: &ArrayRef, row: usize, any: bool) -> Result<Option<Vec<u8>>, Stop> {
    if row >= column.len() {
        return Ok(None);
    }
    let value = Literal::at(column, row, any).map_err(Stop::Value)?;
    Ok(value.map(|value| value.any().into_owned()))
}

/// Whether a field holds something: any AnyValue, or a value other than the default.
fn is_set(kind: Kind, field: &[u8]) -> Result<bool, Fault> {
    let Some(found) = Reader::new(field).field()? else { return Ok(false) };
    Ok(match found.value {
        Value::Bytes(bytes) => matches!(kind, Kind::Message(_)) || !bytes.is_empty(),
        Value::Varint(value) | Value::Fixed64(value) => value != 0,
        Value::Fixed32(value) => value != 0,
        Value::Group => false,
    })
}

/// The field's number and the bytes that it delimits.
fn contents(field: &[u8]) -> Result<(u32, &[u8]), Fault> {
    match Reader::new(field).field()? {
        Some(Field { number, value: Value::Bytes(bytes), .. }) => Ok((number, bytes)),
        Some(other) => Err(other.mismatch()),
        None => Ok((0, &[])),
    }
}

fn pieces<'b>(bytes: &'b [u8], found: &[Found], index: usize) -> Result<Vec<&'b [u8]>, Fault> {
    let places = found.iter().filter(|found| found.slot == index);
    places.map(|found| Ok(contents(&bytes[found.start..found.end])?.1)).collect()
}

/// The slots of a oneof's other members.
fn oneof_mask(rewrite: &Rewrite, written: usize) -> u64 {
    let mut mask = 0;
    for (index, slot) in rewrite.slots.iter().enumerate() {
        let member = match slot {
            Slot::Rival => true,
            Slot::Field { field, .. } => field.cardinality == Cardinality::Oneof,
            _ => false,
        };
        mask |= u64::from(member && index != written) << index;
    }
    mask
}

/// A metric whose data stands in one piece; None when it does already.
fn normal(metric: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let (member, pieces) = live_member(metric)?;
    let is_data = |field: &Field<'_>| {
        METRIC.field(field.number).is_some_and(|known| known.cardinality == Cardinality::Oneof)
    };
    let mut count = 0;
    let mut number = 0;
    let mut reader = Reader::new(metric);
    while let Some(field) = reader.field()? {
        if is_data(&field) {
            count += 1;
            number = field.number;
        }
    }
    if count <= 1 || member.is_none() {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(metric.len());
    let mut reader = Reader::new(metric);
    while let Some(field) = reader.field()? {
        if !is_data(&field) {
            out.extend_from_slice(field.raw);
        }
    }
    put_bytes_field(&mut out, number, &pieces.concat());
    Ok(Some(out))
}

/// One entry as a field of the map.
#[inline]
fn put_entry(out: &mut Vec<u8>, number: u32, entry: &Entry<'_>, message: &[u8]) {
    let (key, value) = (entry.key.of(message), entry.value.of(message));
    let length =
        2 + varint_len(key.len() as u64) + key.len() + varint_len(value.len() as u64) + value.len();
    put_tag(out, number, WireType::Bytes);
    put_varint(out, length as u64);
    put_bytes_field(out, 1, key);
    put_bytes_field(out, 2, value);
}
