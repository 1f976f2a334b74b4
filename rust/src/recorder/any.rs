//! AnyValue: a value of an attribute or the body of a log record, on its way to the wire.

use crate::wire::proto::{put_varint, varint_len};

/// A value; `Array` and `Map` are the fields of an ArrayValue or KeyValueList, written before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Any<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Array(&'a [u8]),
    Map(&'a [u8]),
}

impl<'a> Any<'a> {
    /// Bytes of the AnyValue's contents.
    #[inline]
    pub fn len(&self) -> usize {
        let delimited = |length: usize| 1 + varint_len(length as u64) + length;
        match self {
            Any::Null => 0,
            Any::Bool(_) => 2,
            Any::Int(value) => 1 + varint_len(value.cast_unsigned()),
            Any::Double(_) => 9,
            Any::Str(text) => delimited(text.len()),
            Any::Bytes(bytes) | Any::Array(bytes) | Any::Map(bytes) => delimited(bytes.len()),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Any::Null
    }

    /// Write the AnyValue's contents.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>) {
        let mut delimited = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            put_varint(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        };
        match self {
            Any::Null => {}
            Any::Str(text) => delimited(0x0a, text.as_bytes()),
            Any::Array(bytes) => delimited(0x2a, bytes),
            Any::Map(bytes) => delimited(0x32, bytes),
            Any::Bytes(bytes) => delimited(0x3a, bytes),
            Any::Bool(value) => out.extend_from_slice(&[0x10, u8::from(*value)]),
            Any::Int(value) => {
                out.push(0x18);
                put_varint(out, value.cast_unsigned());
            }
            Any::Double(value) => {
                out.push(0x21);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// Text cut to so many characters, bytes to so many bytes.
    #[inline]
    pub fn cut(self, length: usize) -> Self {
        match self {
            Any::Str(text) if text.len() > length => Any::Str(cut_text(text, length)),
            Any::Bytes(bytes) if bytes.len() > length => Any::Bytes(&bytes[..length]),
            other => other,
        }
    }
}

#[cold]
fn cut_text(text: &str, length: usize) -> &str {
    text.char_indices().nth(length).map_or(text, |(at, _)| &text[..at])
}
