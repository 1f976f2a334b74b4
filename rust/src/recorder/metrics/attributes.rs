//! The attributes of a measurement, encoded as OTLP and hashed whatever their order.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use super::super::any::Any;
use crate::wire::proto::{self, WireType};

/// One attribute: its bytes from the length on (a repeated field without its tag), its key in them.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    end: usize,
    key: (usize, usize),
    hash: u64,
}

/// Attributes of one measurement. Made once for a thread, and filled again for each.
#[derive(Debug, Default)]
pub struct Attributes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Which attributes a stream keeps.
#[derive(Clone, Debug, Default)]
pub enum Keep {
    #[default]
    All,
    Only(Vec<Box<str>>),
    Except(Vec<Box<str>>),
    /// Those that a pattern of each list fits, and none of the others.
    Like(Vec<Vec<Box<str>>>, Vec<Box<str>>),
}

impl Keep {
    fn takes(&self, key: &[u8]) -> bool {
        let among = |keys: &[Box<str>]| keys.iter().any(|other| other.as_bytes() == key);
        match self {
            Keep::All => true,
            Keep::Only(keys) => among(keys),
            Keep::Except(keys) => !among(keys),
            Keep::Like(wanted, unwanted) => {
                let like = |patterns: &[Box<str>]| {
                    patterns.iter().any(|pattern| fits(pattern.as_bytes(), key))
                };
                wanted.iter().all(|patterns| like(patterns)) && !like(unwanted)
            }
        }
    }
}

/// Whether a pattern, in which `*` stands for any characters and `?` for one, fits a whole text.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    // Where the last star is, and up to where it reaches.
    let mut star = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                in_text = next_character(text, in_text);
            }
            Some(byte) if *byte == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => {
                let Some((place, reach)) = star else { return false };
                let reach = next_character(text, reach);
                star = Some((place, reach));
                (at, in_text) = (place + 1, reach);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Where the next character of UTF-8 begins.
fn next_character(text: &[u8], at: usize) -> usize {
    (at + 1..text.len()).find(|at| text[*at] & 0xc0 != 0x80).unwrap_or(text.len())
}

const KEY: u8 = 1 << 3 | WireType::Bytes as u8;
const VALUE: u8 = 2 << 3 | WireType::Bytes as u8;

impl Attributes {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub fn push(&mut self, key: &str, value: Any<'_>) {
        let bytes = &mut self.bytes;
        let start = bytes.len();
        let length = value.len();
        let key_field = 1 + proto::varint_len(key.len() as u64) + key.len();
        let whole = key_field + 1 + proto::varint_len(length as u64) + length;
        bytes.reserve(whole + 10);
        proto::put_varint(bytes, whole as u64);
        bytes.push(KEY);
        proto::put_varint(bytes, key.len() as u64);
        let key_start = bytes.len();
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(VALUE);
        proto::put_varint(bytes, length as u64);
        value.put(bytes);
        let end = bytes.len();
        let hash = hash(&bytes[start..end]);
        self.entries.push(Entry { start, end, key: (key_start, key_start + key.len()), hash });
    }

    /// Let a later value of a key replace an earlier one, in the place of the earlier.
    pub fn deduplicate(&mut self) {
        let mut i = 0;
        while i < self.entries.len() {
            let entry = self.entries[i];
            let key = &self.bytes[entry.key.0..entry.key.1];
            let same = |other: &Entry| &self.bytes[other.key.0..other.key.1] == key;
            if let Some(first) = self.entries[..i].iter().position(same) {
                self.entries[first] = entry;
                self.entries.remove(i);
            } else {
                i += 1;
            }
        }
    }

    fn kept<'a>(&'a self, keep: &'a Keep) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(|entry| keep.takes(&self.bytes[entry.key.0..entry.key.1]))
    }

    /// The hash of what is kept, the same in any order.
    #[inline]
    pub fn hash(&self, keep: &Keep) -> u64 {
        if let Keep::All = keep {
            return self.entries.iter().fold(0, |sum, entry| sum.wrapping_add(entry.hash));
        }
        self.kept(keep).fold(0, |sum, entry| sum.wrapping_add(entry.hash))
    }

    /// What is kept as a repeated field of this one-byte tag.
    pub fn encoded(&self, keep: &Keep, tag: u8) -> Box<[u8]> {
        self.write(self.kept(keep), tag)
    }

    /// What is not kept as a repeated field of this one-byte tag.
    pub fn filtered(&self, keep: &Keep, tag: u8) -> Box<[u8]> {
        if let Keep::All = keep {
            return Box::default();
        }
        let lost = |entry: &&Entry| !keep.takes(&self.bytes[entry.key.0..entry.key.1]);
        self.write(self.entries.iter().filter(lost), tag)
    }

    fn write<'a>(&self, entries: impl Iterator<Item = &'a Entry>, tag: u8) -> Box<[u8]> {
        let mut out = Vec::with_capacity(self.bytes.len() + self.entries.len());
        for entry in entries {
            out.push(tag);
            out.extend_from_slice(&self.bytes[entry.start..entry.end]);
        }
        out.into()
    }

    /// Whether what is kept is the set of attributes that `encoded` made of some others.
    #[inline]
    pub fn equal(&self, keep: &Keep, encoded: &[u8]) -> bool {
        let mut rest = encoded;
        for entry in self.kept(keep) {
            let bytes = &self.bytes[entry.start..entry.end];
            match rest.get(1..=bytes.len()) {
                Some(same) if same == bytes => rest = &rest[1 + bytes.len()..],
                _ => return self.equal_in_any_order(keep, encoded),
            }
        }
        rest.is_empty()
    }

    #[cold]
    fn equal_in_any_order(&self, keep: &Keep, encoded: &[u8]) -> bool {
        let mut length = 0;
        for entry in self.kept(keep) {
            let bytes = &self.bytes[entry.start..entry.end];
            length += 1 + bytes.len();
            if !parts(encoded).any(|part| part == bytes) {
                return false;
            }
        }
        length == encoded.len()
    }
}

/// Each attribute of an encoded field, from its length on.
fn parts(encoded: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + 1;
        let (mut length, mut shift, mut end) = (0, 0, start);
        loop {
            let byte = *encoded.get(end)?;
            end += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at = end + length;
        encoded.get(start..at)
    })
}

/// Of the process, so that nobody outside can choose attributes that collide.
static SEED: LazyLock<u64> = LazyLock::new(|| std::hash::RandomState::new().hash_one(0u64) | 1);

#[inline]
fn hash(bytes: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |one: u64, other: u64| {
        let product = u128::from(one) * u128::from(other);
        product as u64 ^ (product >> 64) as u64
    };
    let seed = *SEED;
    let mut state = seed ^ (bytes.len() as u64).wrapping_mul(MIX);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("a chunk has eight bytes"));
        state = fold(state ^ word, seed ^ MIX);
    }
    let mut last = 0;
    for &byte in chunks.remainder() {
        last = last << 8 | u64::from(byte);
    }
    fold(state ^ last, MIX)
}
