//! Protobuf wire primitives: read fields from a slice, write fields to a vector. Nothing here
//! allocates while reading, recurses, or panics on what the bytes say.

use super::WireError;

/// Nesting that is followed before input is refused, as protobuf's own parsers do.
pub const MAX_DEPTH: usize = 100;

/// Where in memory reading stopped, and why; `within` makes it an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    address: usize,
    pub message: &'static str,
}

impl Fault {
    #[cold]
    pub fn at(place: &[u8], message: &'static str) -> Self {
        Self { address: place.as_ptr() as usize, message }
    }

    /// The same fault told of another place: for bytes that were copied together.
    #[cold]
    pub fn moved_to(self, place: &[u8]) -> Self {
        Self::at(place, self.message)
    }

    pub fn is_inside(&self, bytes: &[u8]) -> bool {
        self.address.wrapping_sub(bytes.as_ptr() as usize) <= bytes.len()
    }

    /// The error, its offset counted from the start of `data`; 0 when the place is not in it.
    #[cold]
    pub fn within(self, data: &[u8]) -> WireError {
        let offset = self.address.wrapping_sub(data.as_ptr() as usize);
        let offset = if offset <= data.len() { offset } else { 0 };
        WireError { offset, message: self.message.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Group = 3,
    Fixed32 = 5,
}

/// What follows a tag. Groups are only ever unknown fields; their contents are skipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Group,
    Fixed32(u32),
}

impl Value<'_> {
    pub fn wire_type(&self) -> WireType {
        match self {
            Value::Varint(_) => WireType::Varint,
            Value::Fixed64(_) => WireType::Fixed64,
            Value::Bytes(_) => WireType::Bytes,
            Value::Group => WireType::Group,
            Value::Fixed32(_) => WireType::Fixed32,
        }
    }
}

/// One field as it stands: `raw` is its tag and value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    #[cold]
    pub fn mismatch(&self) -> Fault {
        Fault::at(self.raw, "a known field has the wrong wire type")
    }

    #[inline]
    pub fn varint(&self) -> Result<u64, Fault> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.mismatch()),
        }
    }

    #[inline]
    pub fn fixed64(&self) -> Result<u64, Fault> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => Err(self.mismatch()),
        }
    }

    #[inline]
    pub fn fixed32(&self) -> Result<u32, Fault> {
        match self.value {
            Value::Fixed32(value) => Ok(value),
            _ => Err(self.mismatch()),
        }
    }

    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], Fault> {
        match self.value {
            Value::Bytes(value) => Ok(value),
            _ => Err(self.mismatch()),
        }
    }

    /// A proto3 string, which has to be UTF-8.
    #[inline]
    pub fn string(&self) -> Result<&'a str, Fault> {
        utf8(self.bytes()?)
    }
}

/// The bytes as text.
#[inline]
pub fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes)
        .map_err(|error| Fault::at(&bytes[error.valid_up_to()..], "a string is not UTF-8"))
}

/// Reads the fields of one message in order.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Read on in a message from a field that begins at `at`.
    #[inline]
    pub fn from(data: &'a [u8], at: usize) -> Self {
        Self { data, at }
    }

    /// Offset of the next field in the message.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    #[inline]
    pub fn is_done(&self) -> bool {
        self.at >= self.data.len()
    }

    #[cold]
    fn fault(&self, at: usize, message: &'static str) -> Fault {
        Fault::at(&self.data[at.min(self.data.len())..], message)
    }

    #[inline(always)]
    fn raw_varint(&mut self) -> Result<u64, Fault> {
        match self.data.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Fault> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.data.get(self.at) else {
                return Err(self.fault(start, "a number runs past the end"));
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fault(start, "a number is longer than ten bytes"))
    }

    /// A tag: field number and wire type, in at most five bytes.
    #[inline(never)]
    fn tag(&mut self) -> Result<(u32, u8), Fault> {
        let start = self.at;
        let tag = self.raw_varint()?;
        if tag < 8 || tag > u64::from(u32::MAX) || self.at - start > 5 {
            return Err(self.fault(start, "a field number is out of range"));
        }
        Ok((tag as u32 >> 3, tag as u8 & 7))
    }

    #[inline(always)]
    fn take(&mut self, start: usize, length: usize) -> Result<&'a [u8], Fault> {
        match self.data.get(self.at..).and_then(|rest| rest.get(..length)) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.fault(start, "a field runs past the end")),
        }
    }

    /// The length of what follows, which protobuf bounds to 31 bits in five bytes.
    #[inline(always)]
    fn length(&mut self) -> Result<usize, Fault> {
        let start = self.at;
        match self.data.get(start..) {
            Some([short @ 0..=0x7f, ..]) => {
                self.at = start + 1;
                return Ok(usize::from(*short));
            }
            Some([low, high @ 0..=0x7f, ..]) => {
                self.at = start + 2;
                return Ok(usize::from(low & 0x7f) | usize::from(*high) << 7);
            }
            _ => {}
        }
        let length = self.raw_varint()?;
        if length > i32::MAX as u64 || self.at - start > 5 {
            return Err(self.fault(start, "a length is out of range"));
        }
        Ok(length as usize)
    }

    /// The next field, or None at the end of the message.
    ///
    /// Always inlined: this is the loop of every kernel, and callers use only part of the field.
    #[inline(always)]
    pub fn field(&mut self) -> Result<Option<Field<'a>>, Fault> {
        let (data, start) = (self.data, self.at);
        let Some(first) = data.get(start).copied() else { return Ok(None) };
        let (number, wire) = if (8..0x80).contains(&first) {
            self.at = start + 1;
            (u32::from(first >> 3), first & 7)
        } else {
            self.tag()?
        };
        let value = match wire {
            0 => Value::Varint(self.raw_varint()?),
            1 => Value::Fixed64(self.fixed(start).map(u64::from_le_bytes)?),
            2 => {
                let length = self.length()?;
                Value::Bytes(self.take(start, length)?)
            }
            5 => Value::Fixed32(self.fixed(start).map(u32::from_le_bytes)?),
            other => self.odd(start, number, other)?,
        };
        Ok(Some(Field { number, value, raw: &data[start..self.at] }))
    }

    #[inline(always)]
    fn fixed<const N: usize>(&mut self, start: usize) -> Result<[u8; N], Fault> {
        match self.data.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.fault(start, "a field runs past the end")),
        }
    }

    #[cold]
    fn odd(&mut self, start: usize, number: u32, wire: u8) -> Result<Value<'a>, Fault> {
        match wire {
            3 => self.skip_group(start, number).map(|()| Value::Group),
            4 => Err(self.fault(start, "a group ends that did not begin")),
            _ => Err(self.fault(start, "a wire type is unknown")),
        }
    }

    /// Pass over fields whose numbers have no bit in `wanted`, as long as they are written as usual:
    /// tags of one byte, numbers below 128, lengths of one or two bytes. `field` reads the rest.
    #[inline]
    pub fn pass(&mut self, wanted: u32) {
        let mut at = self.at;
        while let Some(tag @ 8..=0x7f) = self.data.get(at) {
            if wanted >> (tag >> 3) & 1 != 0 {
                break;
            }
            let next = self.data.get(at + 1);
            let end = match (tag & 7, next) {
                (0, Some(0..=0x7f)) => at + 2,
                (1, _) => at + 9,
                (2, Some(length @ 0..=0x7f)) => at + 2 + usize::from(*length),
                (2, Some(low)) => match self.data.get(at + 2) {
                    Some(high @ 0..=0x7f) => {
                        at + 3 + usize::from(low & 0x7f) + (usize::from(*high) << 7)
                    }
                    _ => break,
                },
                (5, _) => at + 5,
                _ => break,
            };
            if end > self.data.len() {
                break;
            }
            at = end;
        }
        self.at = at;
    }

    /// Pass over fields of this number that are written as usual and that `skip` says yes to.
    #[inline]
    pub fn pass_while(&mut self, number: u32, skip: impl Fn(&[u8]) -> bool) {
        let tag = (number << 3) as u8 | WireType::Bytes as u8;
        while let [first, length @ 0..=0x7f, rest @ ..] = &self.data[self.at..] {
            let Some(body) = rest.get(..usize::from(*length)) else { return };
            if number >= 16 || *first != tag || !skip(body) {
                return;
            }
            self.at += 2 + body.len();
        }
    }

    #[cold]
    fn skip_group(&mut self, start: usize, number: u32) -> Result<(), Fault> {
        let mut open = [0; MAX_DEPTH];
        open[0] = number;
        let mut depth = 1;
        while depth > 0 {
            let here = self.at;
            if self.is_done() {
                return Err(self.fault(start, "a group does not end"));
            }
            let (number, wire) = self.tag()?;
            match wire {
                0 => {
                    self.raw_varint()?;
                }
                1 => {
                    self.take(here, 8)?;
                }
                2 => {
                    let length = self.length()?;
                    self.take(here, length)?;
                }
                3 if depth == MAX_DEPTH => {
                    return Err(self.fault(here, "groups are nested too deeply"));
                }
                3 => {
                    open[depth] = number;
                    depth += 1;
                }
                4 if open[depth - 1] == number => depth -= 1,
                4 => return Err(self.fault(here, "a group ends that did not begin")),
                5 => {
                    self.take(here, 4)?;
                }
                _ => return Err(self.fault(here, "a wire type is unknown")),
            }
        }
        Ok(())
    }

    /// The numbers of a packed field, read from its contents.
    #[inline]
    pub fn packed_varint(&mut self) -> Result<Option<u64>, Fault> {
        if self.is_done() { Ok(None) } else { self.raw_varint().map(Some) }
    }
}

/// The number that sint32 stores for `value`, and back.
pub fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

pub fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

/// Bytes that a number takes as a varint.
#[inline]
pub fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub fn put_tag(out: &mut Vec<u8>, number: u32, wire: WireType) {
    put_varint(out, u64::from(number) << 3 | wire as u64);
}

pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, WireType::Varint);
    put_varint(out, value);
}

pub fn put_fixed64_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, WireType::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_fixed32_field(out: &mut Vec<u8>, number: u32, value: u32) {
    put_tag(out, number, WireType::Fixed32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A string, bytes, or a message that is complete.
pub fn put_bytes_field(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_tag(out, number, WireType::Bytes);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A length-delimited field that is being written; hand it to `close`.
#[must_use]
pub struct Open {
    body: usize,
    room: usize,
}

/// Begin a length-delimited field whose contents follow. `guess` is the length expected: when it
/// takes as many bytes as the true one, closing moves nothing.
#[inline]
pub fn open(out: &mut Vec<u8>, number: u32, guess: usize) -> Open {
    put_tag(out, number, WireType::Bytes);
    let room = varint_len(guess as u64);
    out.resize(out.len() + room, 0);
    Open { body: out.len(), room }
}

/// End a field begun with `open`; its length is what has been written since.
#[inline]
pub fn close(out: &mut Vec<u8>, field: Open) {
    let Open { mut body, room } = field;
    let length = out.len() - body;
    let need = varint_len(length as u64);
    let start = body - room;
    if need > room {
        out.resize(out.len() + need - room, 0);
        out.copy_within(body..body + length, start + need);
    } else if need < room {
        out.copy_within(body..body + length, start + need);
        out.truncate(start + need + length);
    }
    body = start + need;
    let mut value = length;
    for byte in &mut out[start..body] {
        *byte = value as u8 & 0x7f | 0x80;
        value >>= 7;
    }
    out[body - 1] &= 0x7f;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_that_is_written() {
        let mut edges = vec![0, u64::MAX];
        for shift in 0..64 {
            edges.extend([1 << shift, (1_u64 << shift) - 1]);
        }
        for value in edges {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(Reader::new(&out).raw_varint(), Ok(value));
        }
    }

    #[test]
    fn closing_fits_the_length_to_the_contents() {
        for guess in [0, 127, 128, 20_000] {
            for length in [0, 1, 127, 128, 16_383, 16_384] {
                let mut out = vec![9];
                let field = open(&mut out, 3, guess);
                out.extend((0..length).map(|index| index as u8));
                close(&mut out, field);
                let mut expected = vec![9];
                let contents: Vec<u8> = (0..length).map(|index| index as u8).collect();
                put_bytes_field(&mut expected, 3, &contents);
                assert_eq!(out, expected);
            }
        }
    }

    #[test]
    fn groups_are_skipped_whole_and_their_depth_is_bounded() {
        let nested = |depth: usize| [vec![0x0b; depth], vec![0x0c; depth]].concat();
        let allowed = nested(MAX_DEPTH);
        let field = Reader::new(&allowed).field().unwrap().unwrap();
        assert_eq!((field.number, field.value), (1, Value::Group));
        let deep = nested(MAX_DEPTH + 1);
        let fault = Reader::new(&deep).field().unwrap_err();
        assert_eq!(fault.within(&deep).offset, MAX_DEPTH);
        let crossed = [0x0b, 0x13, 0x0c, 0x14];
        assert!(Reader::new(&crossed).field().is_err());
    }

    #[test]
    fn malformed_fields_name_their_offset() {
        let cases: [(&[u8], usize); 9] = [
            (&[0x00], 0),
            (&[0x08], 1),
            (&[0x08, 0x80], 1),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1),
            (&[0x09, 1, 2, 3], 0),
            (&[0x0a, 5, 1], 0),
            (&[0x0c], 0),
            (&[0x0f], 0),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], 1),
        ];
        for (data, offset) in cases {
            let fault = Reader::new(data).field().unwrap_err();
            assert_eq!(fault.within(data).offset, offset, "{data:?}");
        }
    }

    #[test]
    fn zigzag_goes_both_ways() {
        for value in [0, -1, 1, i32::MIN, i32::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!((zigzag(-1), zigzag(1)), (1, 2));
    }
}
