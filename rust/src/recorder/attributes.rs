//! Attributes in wire form, with the semantics of a dict: one key, one value, the last one set.

use super::any::Any;
use crate::wire::proto::{WireType, put_tag, put_varint, varint_len};

/// How many distinct keys are kept, and how long a value may be (characters of text, bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub count: usize,
    pub length: usize,
}

impl Limits {
    pub const NONE: Self = Self { count: usize::MAX, length: usize::MAX };
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// A few bits of the key, so that most other keys need no comparison.
    mark: u32,
    start: u32,
    key: u32,
    key_len: u32,
}

/// KeyValue fields back to back, in the order in which they were last set.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    dropped: u32,
}

impl Attributes {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Attributes that were refused: no usable key, or above the limit.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    pub fn drop_more(&mut self, count: usize) {
        self.dropped = self.dropped.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Start again, keeping the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.dropped = 0;
    }

    pub fn reserve(&mut self, bytes: usize, entries: usize) {
        self.bytes.reserve(bytes);
        self.entries.reserve(entries);
    }

    pub fn room(&self) -> usize {
        self.bytes.capacity()
    }

    pub fn contains(&self, key: &str) -> bool {
        self.find(mark(key.as_bytes()), key.as_bytes()).is_some()
    }

    /// Set one attribute, written as field `number` (below 16). An earlier value of the key goes,
    /// and the attribute stands last; a new key above the limit is dropped and counted.
    pub fn set(&mut self, number: u32, limits: Limits, key: &str, value: Any<'_>) {
        let mark = mark(key.as_bytes());
        if let Some(found) = self.find(mark, key.as_bytes()) {
            self.remove(found);
        } else if self.entries.len() >= limits.count {
            self.drop_more(1);
            return;
        }
        let start = self.bytes.len();
        let value = value.cut(limits.length);
        let tail = put_key_value(&mut self.bytes, number, key, value);
        self.entries.push(Entry {
            mark,
            start: start as u32,
            key: (self.bytes.len() - tail) as u32,
            key_len: key.len() as u32,
        });
    }

    fn find(&self, mark: u32, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| {
            entry.mark == mark && self.bytes[entry.key as usize..][..entry.key_len as usize] == *key
        })
    }

    #[cold]
    fn remove(&mut self, index: usize) {
        let start = self.entries[index].start as usize;
        let end = self.entries.get(index + 1).map_or(self.bytes.len(), |next| next.start as usize);
        self.bytes.drain(start..end);
        self.entries.remove(index);
        for entry in &mut self.entries[index..] {
            entry.start -= (end - start) as u32;
            entry.key -= (end - start) as u32;
        }
    }
}

#[inline]
fn mark(key: &[u8]) -> u32 {
    let byte = |at: usize| u32::from(key.get(at).copied().unwrap_or(0));
    let last = byte(key.len().wrapping_sub(1));
    (key.len() as u32) << 24 ^ byte(key.len() / 2) << 16 ^ last << 8 ^ byte(0)
}

/// Write one KeyValue; return how many bytes the key and what follows it take.
pub fn put_key_value(out: &mut Vec<u8>, number: u32, key: &str, value: Any<'_>) -> usize {
    let any = value.len();
    let value_len = 1 + varint_len(any as u64) + any;
    let body = 1 + varint_len(key.len() as u64) + key.len() + value_len;
    out.reserve(body + 8);
    put_tag(out, number, WireType::Bytes);
    put_varint(out, body as u64);
    out.push(0x0a);
    put_varint(out, key.len() as u64);
    out.extend_from_slice(key.as_bytes());
    out.push(0x12);
    put_varint(out, any as u64);
    value.put(out);
    key.len() + value_len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(entries: &[(&str, Any<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in entries {
            put_key_value(&mut out, 9, key, *value);
        }
        out
    }

    #[test]
    fn the_last_value_of_a_key_stands_last() {
        let mut set = Attributes::default();
        for (key, value) in [("a", 1), ("b", 2), ("c", 3), ("a", 4), ("c", 5)] {
            set.set(9, Limits::NONE, key, Any::Int(value));
        }
        let expected = [("b", Any::Int(2)), ("a", Any::Int(4)), ("c", Any::Int(5))];
        assert_eq!(set.bytes(), written(&expected));
        assert_eq!((set.len(), set.dropped()), (3, 0));
    }

    #[test]
    fn new_keys_above_the_limit_are_dropped_and_old_ones_still_change() {
        let limits = Limits { count: 2, length: usize::MAX };
        let mut set = Attributes::default();
        for (key, value) in [("a", 1), ("b", 2), ("c", 3), ("a", 4)] {
            set.set(9, limits, key, Any::Int(value));
        }
        assert_eq!(set.bytes(), written(&[("b", Any::Int(2)), ("a", Any::Int(4))]));
        assert_eq!(set.dropped(), 1);
    }

    #[test]
    fn keys_with_the_same_mark_are_different_keys() {
        let mut set = Attributes::default();
        set.set(9, Limits::NONE, "abcde", Any::Null);
        set.set(9, Limits::NONE, "axcye", Any::Null);
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn text_is_cut_by_characters_and_bytes_by_bytes() {
        let limits = Limits { count: 9, length: 2 };
        let mut set = Attributes::default();
        set.set(9, limits, "t", Any::Str("äöü"));
        set.set(9, limits, "b", Any::Bytes(b"123"));
        assert_eq!(set.bytes(), written(&[("t", Any::Str("äö")), ("b", Any::Bytes(b"12"))]));
    }
}
