//! The entries of one map while edits are made to it.

use std::ops::Range;

use regex::Regex;
use sha2::{Digest, Sha256};

use super::super::proto::{Fault, utf8};
use super::super::text::{push_hex, push_text};
use super::super::value::{Any, Entry as KeyValue, plain_entry};
use super::{Literal, Target, When};

/// A key or value: a place in the message that is edited, or something new.
#[derive(Debug)]
pub enum Piece<'p> {
    Here(Range<usize>),
    Known(&'p [u8]),
    New(Vec<u8>),
}

impl Piece<'_> {
    #[inline]
    pub fn of<'s>(&'s self, message: &'s [u8]) -> &'s [u8] {
        match self {
            Piece::Here(range) => &message[range.clone()],
            Piece::Known(bytes) => bytes,
            Piece::New(bytes) => bytes,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    AsItStands,
    Changed,
    Deleted,
}

#[derive(Debug)]
pub struct Entry<'p> {
    pub key: Piece<'p>,
    pub value: Piece<'p>,
    pub state: State,
}

/// The entries that stand in the message, in order, then those that were added.
#[derive(Debug, Default)]
pub struct Entries<'p> {
    pub list: Vec<Entry<'p>>,
    pub standing: usize,
    pub changed: bool,
}

impl<'p> Entries<'p> {
    pub fn clear(&mut self) {
        self.list.clear();
        self.standing = 0;
        self.changed = false;
    }

    /// Take in an entry of the message.
    #[inline]
    pub fn read(&mut self, message: &[u8], entry: &[u8]) -> Result<(), Fault> {
        let place = |bytes: &[u8]| {
            let start = bytes.as_ptr() as usize - message.as_ptr() as usize;
            Piece::Here(start..start + bytes.len())
        };
        let (key, value) = match plain_entry(entry) {
            Some((key, value)) => (place(key), place(value)),
            None => {
                let read = KeyValue::read(entry)?;
                (Piece::New(read.key.to_vec()), Piece::New(read.value.into_owned()))
            }
        };
        self.list.push(Entry { key, value, state: State::AsItStands });
        self.standing = self.list.len();
        Ok(())
    }

    #[inline]
    fn find(&self, message: &[u8], key: &str) -> Option<usize> {
        self.list.iter().position(|entry| {
            entry.state != State::Deleted && entry.key.of(message) == key.as_bytes()
        })
    }

    pub fn get(&self, message: &[u8], key: &str) -> Option<Vec<u8>> {
        self.find(message, key).map(|index| self.list[index].value.of(message).to_vec())
    }

    pub fn set(&mut self, message: &[u8], key: &'p str, value: Piece<'p>, when: When) {
        match self.find(message, key) {
            None if when != When::Present => {
                let key = Piece::Known(key.as_bytes());
                self.list.push(Entry { key, value, state: State::Changed });
                self.changed = true;
            }
            Some(first) if when != When::Missing => self.write(message, first, value),
            _ => {}
        }
    }

    /// Give the first occurrence of a key a value; later ones go.
    fn write(&mut self, message: &[u8], first: usize, value: Piece<'p>) {
        let Some((entry, later)) = self.list[first..].split_first_mut() else { return };
        for other in later {
            if other.state != State::Deleted && other.key.of(message) == entry.key.of(message) {
                other.state = State::Deleted;
                self.changed = true;
            }
        }
        if entry.value.of(message) != value.of(message) {
            entry.value = value;
            entry.state = State::Changed;
            self.changed = true;
        }
    }

    pub fn delete(&mut self, message: &[u8], chosen: impl Fn(&[u8]) -> bool) {
        for entry in &mut self.list {
            if entry.state != State::Deleted && chosen(entry.key.of(message)) {
                entry.state = State::Deleted;
                self.changed = true;
            }
        }
    }

    /// Replace the values of keys by what `make` makes of them; of one key only the first
    /// occurrence stays.
    pub fn replace(
        &mut self,
        message: &[u8],
        chosen: impl Fn(&[u8]) -> bool,
        make: impl Fn(&[u8]) -> Result<Option<Literal<'static>>, Fault>,
    ) -> Result<(), Fault> {
        for index in 0..self.list.len() {
            let entry = &self.list[index];
            if entry.state == State::Deleted || !chosen(entry.key.of(message)) {
                continue;
            }
            let Some(literal) = make(entry.value.of(message))? else { continue };
            self.write(message, index, Piece::New(literal.any().into_owned()));
        }
        Ok(())
    }

    /// Set an attribute for each named group of the pattern.
    pub fn extract(&mut self, message: &[u8], key: &str, pattern: &'p Regex) -> Result<(), Fault> {
        let Some(index) = self.find(message, key) else { return Ok(()) };
        let value = self.list[index].value.of(message).to_vec();
        let Any::Str(text) = Any::read(&value)? else { return Ok(()) };
        let text = utf8(text).map_err(|fault| fault.moved_to(message))?;
        let Some(found) = pattern.captures(text) else { return Ok(()) };
        for name in pattern.capture_names().flatten() {
            let part = found.name(name).map_or("", |part| part.as_str());
            let value = Piece::New(Literal::Str(part.into()).any().into_owned());
            self.set(message, name, value, When::Always);
        }
        Ok(())
    }
}

/// What the Go attributes processor hashes: text, and the little-endian bytes of numbers; anything
/// else becomes empty text.
pub fn hash(value: &[u8]) -> Result<Option<Literal<'static>>, Fault> {
    let hashed = |bytes: &[u8]| {
        let mut hex = String::new();
        push_hex(&mut hex, &Sha256::digest(bytes));
        hex
    };
    let hex = match Any::read(value)? {
        Any::Str(text) => hashed(text),
        Any::Bool(flag) => hashed(&[u8::from(flag)]),
        Any::Int(number) => hashed(&number.to_le_bytes()),
        Any::Double(number) => hashed(&number.to_bits().to_le_bytes()),
        _ => String::new(),
    };
    Ok(Some(Literal::Str(hex.into())))
}

/// The value as another type; None when it is that already or cannot be.
pub fn convert(value: &[u8], target: Target) -> Result<Option<Literal<'static>>, Fault> {
    let any = Any::read(value)?;
    Ok(match (target, any) {
        (Target::Str, Any::Str(_)) => None,
        (Target::Str, _) => {
            let mut text = String::new();
            push_text(&mut text, value)?;
            Some(Literal::Str(text.into()))
        }
        (Target::Int, Any::Double(number)) => Some(Literal::Int(number as i64)),
        (Target::Int, Any::Bool(flag)) => Some(Literal::Int(i64::from(flag))),
        (Target::Int, Any::Str(text)) => utf8(text)?.parse().ok().map(Literal::Int),
        (Target::Double, Any::Int(number)) => Some(Literal::Double(number as f64)),
        (Target::Double, Any::Bool(flag)) => Some(Literal::Double(f64::from(u8::from(flag)))),
        (Target::Double, Any::Str(text)) => utf8(text)?.parse().ok().map(Literal::Double),
        _ => None,
    })
}
