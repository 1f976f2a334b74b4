//! Where the items of a batch lie, so that any selection of them can be written as a batch of its
//! own: parents are repeated with all their other fields.

use std::ops::Range;

use super::project::live_member;
use super::proto::{Fault, Open, Reader, close, open, varint_len};
use super::schema::{Cardinality, Kind, Level, METRIC, Message};
use super::{Batch, WireError};

/// A message that holds items or groups of them: resource, scope, metric, data of a metric.
#[derive(Debug)]
struct Group {
    parent: Option<usize>,
    number: u32,
    length: usize,
    /// Its fields that are not groups or rows.
    other: Vec<Range<usize>>,
    other_length: usize,
}

/// An item, or a group without items, as it stands in its group.
#[derive(Clone, Debug)]
pub struct Row {
    group: Option<usize>,
    range: Range<usize>,
    pub is_item: bool,
}

#[derive(Debug)]
pub struct Index<'a> {
    data: &'a [u8],
    groups: Vec<Group>,
    pub rows: Vec<Row>,
    /// Fields of the request beside the groups; the first selection takes them.
    rest: Vec<Range<usize>>,
}

impl<'a> Index<'a> {
    pub fn new(batch: &'a Batch) -> Result<Self, WireError> {
        let data = &batch.data[..];
        let mut index = Self { data, groups: Vec::new(), rows: Vec::new(), rest: Vec::new() };
        index.rows.reserve(batch.items);
        if let Some(request) = batch.signal.request() {
            let whole = index.message(request, data, None);
            index.rest = whole.map_err(|fault| fault.within(data))?;
        }
        Ok(index)
    }

    /// Index what is below a message; return the ranges of its other fields.
    fn message(
        &mut self,
        message: &'static Message,
        bytes: &'a [u8],
        group: Option<usize>,
    ) -> Result<Vec<Range<usize>>, Fault> {
        let base = self.offset(bytes);
        let mut other: Vec<Range<usize>> = Vec::new();
        let mut reader = Reader::new(bytes);
        loop {
            let start = base + reader.position();
            let Some(found) = reader.field()? else { break };
            let range = start..base + reader.position();
            let child = message.field(found.number).and_then(|field| match field.kind {
                Kind::Message(inner) => Some((field.level?, inner)),
                _ => None,
            });
            match child {
                Some((Level::Item, _)) => {
                    found.bytes()?;
                    self.rows.push(Row { group, range, is_item: true });
                }
                Some((_, inner)) => {
                    self.group(inner, found.number, found.bytes()?, group, range)?;
                }
                None => match other.last_mut() {
                    Some(last) if last.end == start => last.end = range.end,
                    _ => other.push(range),
                },
            }
        }
        Ok(other)
    }

    fn group(
        &mut self,
        message: &'static Message,
        number: u32,
        bytes: &'a [u8],
        parent: Option<usize>,
        range: Range<usize>,
    ) -> Result<(), Fault> {
        let here = self.open_group(number, parent, bytes.len());
        let before = self.rows.len();
        let other = if std::ptr::eq(message, &raw const METRIC) {
            self.metric(bytes, here)?
        } else {
            self.message(message, bytes, Some(here))?
        };
        if self.rows[before..].iter().all(|row| !row.is_item) {
            self.rows.truncate(before);
            self.rows.push(Row { group: parent, range, is_item: false });
        }
        self.close_group(here, other);
        Ok(())
    }

    fn metric(&mut self, bytes: &'a [u8], here: usize) -> Result<Vec<Range<usize>>, Fault> {
        let base = self.offset(bytes);
        let mut other = Vec::new();
        let mut number = 0;
        let (member, pieces) = live_member(bytes)?;
        let mut reader = Reader::new(bytes);
        loop {
            let start = base + reader.position();
            let Some(found) = reader.field()? else { break };
            match METRIC.field(found.number) {
                Some(field) if field.cardinality == Cardinality::Oneof => number = found.number,
                _ => other.push(start..base + reader.position()),
            }
        }
        if let Some(member) = member {
            let length = pieces.iter().map(|piece| piece.len()).sum();
            let data = self.open_group(number, Some(here), length);
            let mut within = Vec::new();
            for piece in pieces {
                within.extend(self.message(member, piece, Some(data))?);
            }
            self.close_group(data, within);
        }
        Ok(other)
    }

    fn open_group(&mut self, number: u32, parent: Option<usize>, length: usize) -> usize {
        self.groups.push(Group { parent, number, length, other: Vec::new(), other_length: 0 });
        self.groups.len() - 1
    }

    fn close_group(&mut self, group: usize, other: Vec<Range<usize>>) {
        self.groups[group].other_length = other.iter().map(Range::len).sum();
        self.groups[group].other = other;
    }

    fn offset(&self, bytes: &[u8]) -> usize {
        bytes.as_ptr() as usize - self.data.as_ptr() as usize
    }

    /// The groups around a row, outermost first.
    fn around(&self, row: &Row, groups: &mut Vec<usize>) {
        groups.clear();
        let mut next = row.group;
        while let Some(group) = next {
            groups.push(group);
            next = self.groups[group].parent;
        }
        groups.reverse();
    }

    /// A batch of some rows, given in the order of the index; `first` has the request's own
    /// other fields too.
    pub fn select<'r>(
        &self,
        batch: &Batch,
        rows: impl Iterator<Item = &'r Row>,
        first: bool,
    ) -> Batch {
        let mut out = Vec::new();
        let mut items = 0;
        let mut opened: Vec<(usize, Open)> = Vec::new();
        let mut around = Vec::new();
        if first {
            self.rest.iter().for_each(|range| out.extend_from_slice(&self.data[range.clone()]));
        }
        for row in rows {
            self.around(row, &mut around);
            let common =
                opened.iter().zip(&around).take_while(|((open, _), group)| open == *group).count();
            while opened.len() > common
                && let Some((_, field)) = opened.pop()
            {
                close(&mut out, field);
            }
            for index in &around[common..] {
                let group = &self.groups[*index];
                opened.push((*index, open(&mut out, group.number, group.length)));
                for range in &group.other {
                    out.extend_from_slice(&self.data[range.clone()]);
                }
            }
            out.extend_from_slice(&self.data[row.range.clone()]);
            items += usize::from(row.is_item);
        }
        while let Some((_, field)) = opened.pop() {
            close(&mut out, field);
        }
        out.shrink_to_fit();
        Batch { data: out.into(), items, ..batch.clone() }
    }
}

impl Batch {
    /// Cut into batches of at most `items` items and `nbytes` bytes each; an item that is larger
    /// on its own is a batch of its own.
    pub fn split(
        &self,
        items: Option<usize>,
        nbytes: Option<usize>,
    ) -> Result<Vec<Self>, WireError> {
        let (items, nbytes) = (items.unwrap_or(usize::MAX), nbytes.unwrap_or(usize::MAX));
        let fits = self.items <= items && self.data.len() <= nbytes;
        if fits || self.signal.request().is_none() {
            return Ok(vec![self.clone()]);
        }
        let index = Index::new(self)?;
        let mut pieces: Vec<Self> = Vec::new();
        let (mut start, mut count) = (0, 0);
        let mut length: usize = index.rest.iter().map(Range::len).sum();
        let (mut around, mut opened) = (Vec::new(), Vec::<usize>::new());
        for (at, row) in index.rows.iter().enumerate() {
            index.around(row, &mut around);
            let mut cost = index.cost(row, &around, &opened, nbytes);
            let full = count + usize::from(row.is_item) > items || length + cost > nbytes;
            if full && at > start {
                let rows = index.rows[start..at].iter();
                pieces.push(index.select(self, rows, pieces.is_empty()));
                (start, count, length) = (at, 0, 0);
                cost = index.cost(row, &around, &[], nbytes);
            }
            count += usize::from(row.is_item);
            length += cost;
            std::mem::swap(&mut opened, &mut around);
        }
        pieces.push(index.select(self, index.rows[start..].iter(), pieces.is_empty()));
        Ok(pieces)
    }

    /// Cut by a key for each item; the batches stand in order of the keys' first items, which are
    /// given with them.
    pub fn partition(&self, keys: &[usize], count: usize) -> Result<Vec<Self>, WireError> {
        let index = Index::new(self)?;
        let mut selections: Vec<Vec<&Row>> = vec![Vec::new(); count];
        for (row, key) in index.rows.iter().filter(|row| row.is_item).zip(keys) {
            selections[*key].push(row);
        }
        let rows = selections.into_iter();
        Ok(rows.enumerate().map(|(n, rows)| index.select(self, rows.into_iter(), n == 0)).collect())
    }
}

impl Index<'_> {
    /// At most so many bytes does a row add after the groups that are open.
    fn cost(&self, row: &Row, around: &[usize], opened: &[usize], limit: usize) -> usize {
        let common = opened.iter().zip(around).take_while(|(open, group)| open == group).count();
        let prefix = |group: &Group| {
            let length = group.length.min(limit);
            varint_len(u64::from(group.number) << 3) + varint_len(length as u64)
        };
        let opening: usize = around[common..]
            .iter()
            .map(|group| prefix(&self.groups[*group]) + self.groups[*group].other_length)
            .sum();
        row.range.len() + opening
    }
}
