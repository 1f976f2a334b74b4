//! One span: its parts in wire form, put together when it ends.

use super::attributes::Attributes;
use crate::wire::proto::{
    close, open, put_bytes_field, put_fixed32_field, put_fixed64_field, put_varint_field,
};

/// The flags say whether the parent, or what a link points to, is remote.
const HAS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub trace: u128,
    pub span: u64,
    /// W3C trace flags.
    pub flags: u8,
    pub remote: bool,
}

impl Ids {
    pub const NONE: Self = Self { trace: 0, span: 0, flags: 0, remote: false };

    pub fn is_valid(&self) -> bool {
        self.trace != 0 && self.span != 0
    }
}

/// Entries that are fields of a span, oldest first, at most so many.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    bytes: Vec<u8>,
    starts: Vec<u32>,
    dropped: u32,
}

impl Entries {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Append one, which `write` writes; the oldest goes when there are `most` already.
    pub fn push(&mut self, most: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if most == 0 {
            self.dropped += 1;
            return;
        }
        if self.starts.len() >= most {
            self.drop_oldest();
        }
        self.starts.push(self.bytes.len() as u32);
        write(&mut self.bytes);
    }

    #[cold]
    fn drop_oldest(&mut self) {
        let end = self.starts.get(1).map_or(self.bytes.len(), |next| *next as usize);
        self.bytes.drain(..end);
        self.starts.remove(0);
        self.starts.iter_mut().for_each(|start| *start -= end as u32);
        self.dropped += 1;
    }

    pub fn drop_more(&mut self, count: usize) {
        self.dropped = self.dropped.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.dropped = 0;
    }
}

/// Write an event as field 11 of a span.
pub fn put_event(out: &mut Vec<u8>, name: &str, time: u64, attributes: &Attributes) {
    let event = open(out, 11, 24 + name.len() + attributes.bytes().len());
    if time != 0 {
        put_fixed64_field(out, 1, time);
    }
    if !name.is_empty() {
        put_bytes_field(out, 2, name.as_bytes());
    }
    out.extend_from_slice(attributes.bytes());
    put_count(out, 4, attributes.dropped());
    close(out, event);
}

/// Write a link as field 13 of a span.
pub fn put_link(out: &mut Vec<u8>, to: Ids, trace_state: &str, attributes: &Attributes) {
    let link = open(out, 13, 40 + trace_state.len() + attributes.bytes().len());
    put_bytes_field(out, 1, &to.trace.to_be_bytes());
    put_bytes_field(out, 2, &to.span.to_be_bytes());
    if !trace_state.is_empty() {
        put_bytes_field(out, 3, trace_state.as_bytes());
    }
    out.extend_from_slice(attributes.bytes());
    put_count(out, 5, attributes.dropped());
    put_fixed32_field(out, 6, wire_flags(to.flags, to.remote));
    close(out, link);
}

fn put_count(out: &mut Vec<u8>, number: u32, count: u32) {
    if count > 0 {
        put_varint_field(out, number, count.into());
    }
}

fn wire_flags(flags: u8, remote: bool) -> u32 {
    u32::from(flags) | HAS_REMOTE | if remote { IS_REMOTE } else { 0 }
}

/// What changes in a span while it runs.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    pub attributes: Attributes,
    pub events: Entries,
    pub links: Entries,
    /// Unset, Ok or Error, as OTLP numbers them.
    pub status: u8,
    pub message: Option<String>,
}

impl Parts {
    pub fn bytes(&self) -> usize {
        self.attributes.bytes().len() + self.events.bytes.len() + self.links.bytes.len()
    }

    pub fn clear(&mut self) {
        self.attributes.clear();
        self.events.clear();
        self.links.clear();
        self.status = 0;
        self.message = None;
    }
}

/// What does not change any more when a span has ended.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub ids: Ids,
    pub parent: Option<(u64, bool)>,
    pub trace_state: &'a str,
    pub name: &'a str,
    /// As OTLP numbers the kinds.
    pub kind: u8,
    pub start: u64,
    pub end: u64,
}

impl Frame<'_> {
    /// Bytes that the span takes, about.
    pub fn room(&self, parts: &Parts) -> usize {
        let message = parts.message.as_ref().map_or(0, String::len);
        96 + self.name.len() + self.trace_state.len() + parts.bytes() + message
    }

    /// Write the span as field 2 of a ScopeSpans.
    pub fn put(&self, out: &mut Vec<u8>, parts: &Parts) {
        let room = self.room(parts);
        out.reserve(room + 8);
        let span = open(out, 2, room);
        put_bytes_field(out, 1, &self.ids.trace.to_be_bytes());
        put_bytes_field(out, 2, &self.ids.span.to_be_bytes());
        if !self.trace_state.is_empty() {
            put_bytes_field(out, 3, self.trace_state.as_bytes());
        }
        if let Some((parent, _)) = self.parent {
            put_bytes_field(out, 4, &parent.to_be_bytes());
        }
        if !self.name.is_empty() {
            put_bytes_field(out, 5, self.name.as_bytes());
        }
        put_varint_field(out, 6, self.kind.into());
        put_fixed64_field(out, 7, self.start);
        put_fixed64_field(out, 8, self.end);
        out.extend_from_slice(parts.attributes.bytes());
        put_count(out, 10, parts.attributes.dropped());
        out.extend_from_slice(&parts.events.bytes);
        put_count(out, 12, parts.events.dropped);
        out.extend_from_slice(&parts.links.bytes);
        put_count(out, 14, parts.links.dropped);
        put_status(out, parts.status, parts.message.as_deref().unwrap_or_default());
        let remote = self.parent.is_some_and(|(_, remote)| remote);
        put_fixed32_field(out, 16, wire_flags(self.ids.flags, remote));
        close(out, span);
    }
}

fn put_status(out: &mut Vec<u8>, code: u8, message: &str) {
    let status = open(out, 15, 0);
    if !message.is_empty() {
        put_bytes_field(out, 2, message.as_bytes());
    }
    if code != 0 {
        put_varint_field(out, 3, code.into());
    }
    close(out, status);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut entries = Entries::default();
        for byte in 1..=4 {
            entries.push(2, |out| out.extend_from_slice(&[byte; 3]));
        }
        assert_eq!(entries.bytes(), [3, 3, 3, 4, 4, 4]);
        assert_eq!((entries.len(), entries.dropped()), (2, 2));
    }
}
