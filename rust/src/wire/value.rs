//! Dynamically typed values: read an AnyValue and find things in maps, on the bytes.

use std::borrow::Cow;

use super::proto::{Fault, Reader, Value, utf8};

/// The member of AnyValue's oneof that counts. Arrays and maps are the bytes of their message,
/// borrowed unless several members had to be merged.
#[derive(Clone, Debug, PartialEq)]
pub enum Any<'a> {
    Empty,
    Str(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Cow<'a, [u8]>),
    Map(Cow<'a, [u8]>),
    Bytes(&'a [u8]),
}

impl<'a> Any<'a> {
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        match bytes {
            [0x0a, length @ 0..=0x7f, text @ ..] if text.len() == usize::from(*length) => {
                Ok(Any::Str(text))
            }
            _ => Self::read_any(bytes),
        }
    }

    #[inline(never)]
    fn read_any(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut any = Any::Empty;
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            any = match field.number {
                1 => Any::Str(field.bytes()?),
                2 => Any::Bool(field.varint()? != 0),
                3 => Any::Int(field.varint()? as i64),
                4 => Any::Double(f64::from_bits(field.fixed64()?)),
                5 => match any {
                    Any::Array(earlier) => Any::Array(joined(earlier, field.bytes()?)),
                    _ => Any::Array(Cow::Borrowed(field.bytes()?)),
                },
                6 => match any {
                    Any::Map(earlier) => Any::Map(joined(earlier, field.bytes()?)),
                    _ => Any::Map(Cow::Borrowed(field.bytes()?)),
                },
                7 => Any::Bytes(field.bytes()?),
                8 => {
                    field.varint()?;
                    Any::Empty
                }
                _ => any,
            };
        }
        Ok(any)
    }

    /// 0 empty, 1 str, 2 bool, 3 int, 4 double, 5 array, 6 map, 7 bytes.
    pub fn kind(&self) -> u8 {
        match self {
            Any::Empty => 0,
            Any::Str(_) => 1,
            Any::Bool(_) => 2,
            Any::Int(_) => 3,
            Any::Double(_) => 4,
            Any::Array(_) => 5,
            Any::Map(_) => 6,
            Any::Bytes(_) => 7,
        }
    }
}

fn joined<'a>(earlier: Cow<'a, [u8]>, later: &[u8]) -> Cow<'a, [u8]> {
    let mut whole = earlier.into_owned();
    whole.extend_from_slice(later);
    Cow::Owned(whole)
}

/// One KeyValue. A value that stands in several pieces is merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    pub key: &'a [u8],
    pub value: Cow<'a, [u8]>,
}

impl<'a> Entry<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        if let Some((key, value)) = plain_entry(bytes) {
            return Ok(Self { key, value: Cow::Borrowed(value) });
        }
        let mut entry = Self { key: &[], value: Cow::Borrowed(&[]) };
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => entry.key = field.bytes()?,
                2 if entry.value.is_empty() => entry.value = Cow::Borrowed(field.bytes()?),
                2 => entry.value = joined(entry.value, field.bytes()?),
                3 => {
                    field.varint()?;
                }
                _ => {}
            }
        }
        Ok(entry)
    }
}

/// Key and value of an entry that is written as everybody writes it: key, value, nothing else,
/// lengths in one byte (two for the value). Anything else is None and takes the long way.
#[inline]
pub fn plain_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, key_length @ 0..=0x7f, rest @ ..] = bytes else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_length))?;
    let (length, value) = match rest {
        [0x12, length @ 0..=0x7f, value @ ..] => (usize::from(*length), value),
        [0x12, low @ 0x80..=0xff, high @ 0..=0x7f, value @ ..] => {
            (usize::from(low & 0x7f) | usize::from(*high) << 7, value)
        }
        _ => return None,
    };
    (value.len() == length).then_some((key, value))
}

/// A step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// What is done with the value that was found.
pub type Then<'t, T> = &'t mut dyn FnMut(Option<&[u8]>) -> Result<T, Fault>;

/// Call `then` with the AnyValue bytes at the end of `steps`; None when there is nothing.
/// Of repeated keys the first counts, as in the Go collector's maps.
pub fn follow<T>(value: &[u8], steps: &[Step], then: Then<'_, T>) -> Result<T, Fault> {
    let Some((step, rest)) = steps.split_first() else { return then(Some(value)) };
    match (step, Any::read(value)?) {
        (Step::Key(key), Any::Map(map)) => {
            let mut reader = Reader::new(&map);
            while let Some(field) = reader.field()? {
                if field.number == 1 {
                    let entry = Entry::read(field.bytes()?)?;
                    if entry.key == key.as_bytes() {
                        return follow(&entry.value, rest, then);
                    }
                }
            }
            then(None)
        }
        (Step::Index(index), Any::Array(array)) => {
            let mut left = *index;
            let mut reader = Reader::new(&array);
            while let Some(field) = reader.field()? {
                if field.number == 1 {
                    let element = field.bytes()?;
                    if left == 0 {
                        return follow(element, rest, then);
                    }
                    left -= 1;
                }
            }
            then(None)
        }
        _ => then(None),
    }
}

/// The elements of an array's message.
pub fn elements(array: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    repeated(array)
}

/// The entries of a map's message, in order, repeated keys included.
pub fn entries(map: &[u8]) -> Result<Vec<Entry<'_>>, Fault> {
    repeated(map)?.into_iter().map(Entry::read).collect()
}

fn repeated(message: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    let mut found = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        if field.number == 1 {
            match field.value {
                Value::Bytes(bytes) => found.push(bytes),
                _ => {
                    field.bytes()?;
                }
            }
        }
    }
    Ok(found)
}

/// The key as text.
pub fn key_text<'a>(entry: &Entry<'a>) -> Result<&'a str, Fault> {
    utf8(entry.key)
}

#[cfg(test)]
mod tests {
    use super::super::proto::{put_bytes_field, put_varint_field};
    use super::*;

    fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes_field(&mut out, 1, key);
        put_bytes_field(&mut out, 2, value);
        out
    }

    #[test]
    fn the_short_way_reads_what_the_long_way_reads() {
        for (key, value) in [(3, 0), (3, 5), (127, 128), (1, 16_383), (128, 4), (2, 16_384)] {
            let (key, value) = (vec![b'k'; key], vec![0x0a; value]);
            let bytes = entry(&key, &value);
            let read = Entry::read(&bytes).unwrap();
            assert_eq!((read.key, &*read.value), (&key[..], &value[..]));
        }
        let mut repeated = entry(b"old", &[1]);
        repeated.extend(entry(b"new", &[2]));
        let read = Entry::read(&repeated).unwrap();
        assert_eq!((read.key, &*read.value), (&b"new"[..], &[1_u8, 2][..]));
    }

    #[test]
    fn a_later_member_clears_an_earlier_one_and_like_members_merge() {
        let mut bytes = Vec::new();
        put_bytes_field(&mut bytes, 5, &[0x0a, 0]);
        put_bytes_field(&mut bytes, 5, &[0x0a, 0]);
        assert_eq!(Any::read(&bytes), Ok(Any::Array(Cow::Borrowed(&[0x0a, 0, 0x0a, 0]))));
        put_varint_field(&mut bytes, 3, 7);
        put_bytes_field(&mut bytes, 5, &[0x0a, 0]);
        assert_eq!(Any::read(&bytes), Ok(Any::Array(Cow::Borrowed(&[0x0a, 0]))));
        put_varint_field(&mut bytes, 3, 7);
        assert_eq!(Any::read(&bytes), Ok(Any::Int(7)));
    }
}
