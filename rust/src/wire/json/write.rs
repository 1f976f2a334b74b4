//! Wire bytes to JSON text.

use super::super::WireError;
use super::super::proto::{Fault, MAX_DEPTH, Reader, Value, WireType, unzigzag, utf8};
use super::super::schema::{Cardinality, Field, Kind, Message};
use super::super::text::{push_ascii, push_base64, push_double, push_hex, push_quoted};

/// Write a request. Fields come in the order of their numbers, each once, whatever the order and
/// number of times in `data`.
pub fn write(root: &'static Message, data: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut writer =
        Writer { out: String::with_capacity(data.len() * 2), found: Vec::new(), depth: 0 };
    writer.message(root, data).map_err(|fault| fault.within(data))?;
    Ok(writer.out.into_bytes())
}

/// A field of a known number and a fitting type.
#[derive(Clone, Copy)]
struct Found<'a> {
    index: usize,
    value: Value<'a>,
}

struct Writer<'a> {
    out: String,
    /// Fields of the messages that are being written, the innermost last.
    found: Vec<Found<'a>>,
    depth: usize,
}

/// Where the fields of one number are within `found`.
#[derive(Clone, Copy, Default)]
struct Span {
    first: usize,
    last: usize,
}

/// More fields than any message has.
const FIELDS: usize = 32;

impl<'a> Writer<'a> {
    fn message(&mut self, message: &'static Message, data: &'a [u8]) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::at(data, "a message is nested too deeply"));
        }
        self.depth += 1;
        let base = self.found.len();
        let (present, spans) = self.collect(message, data)?;
        self.out.push('{');
        let mut separator = "\"";
        let mut rest = present;
        while rest != 0 {
            let index = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let field = &message.fields[index];
            let span = spans[index];
            let start = self.out.len();
            self.out.push_str(separator);
            self.out.push_str(field.json);
            self.out.push_str("\":");
            let written = match field.cardinality {
                Cardinality::Many => self.repeated(field, index, span)?,
                Cardinality::One => self.last(field, index, span, false)?,
                Cardinality::Optional | Cardinality::Oneof => {
                    self.last(field, index, span, true)?
                }
            };
            if written {
                separator = ",\"";
            } else {
                self.out.truncate(start);
            }
        }
        self.out.push('}');
        self.found.truncate(base);
        self.depth -= 1;
        Ok(())
    }

    /// Push the known fields of a message; return which there are and where. Of a oneof only the
    /// member that came last is there, from where it last became the member.
    fn collect(
        &mut self,
        message: &'static Message,
        data: &'a [u8],
    ) -> Result<(u32, [Span; FIELDS]), Fault> {
        let mut present = 0_u32;
        let mut spans = [Span::default(); FIELDS];
        let mut member = None;
        let mut next = 0;
        let mut reader = Reader::new(data);
        while let Some(found) = reader.field()? {
            let fields = message.fields;
            let is = |index: &usize| fields[*index].number == found.number;
            let Some(index) = (next..fields.len()).chain(0..next).find(is) else { continue };
            next = index;
            let field = &fields[index];
            let packed = field.cardinality == Cardinality::Many
                && field.kind.packs()
                && matches!(found.value, Value::Bytes(_));
            if !packed && found.value.wire_type() != field.kind.wire_type() {
                continue;
            }
            let at = self.found.len();
            if field.cardinality == Cardinality::Oneof
                && let Some(other) = member.replace(index)
                && other != index
            {
                present &= !(1 << other);
            }
            if present & 1 << index == 0 {
                present |= 1 << index;
                spans[index].first = at;
            }
            spans[index].last = at;
            self.found.push(Found { index, value: found.value });
        }
        Ok((present, spans))
    }

    /// Write a singular field; false when there is nothing to write.
    fn last(
        &mut self,
        field: &'static Field,
        index: usize,
        span: Span,
        explicit: bool,
    ) -> Result<bool, Fault> {
        let value = self.found[span.last].value;
        if let Kind::Message(message) = field.kind {
            let parts = &self.found[span.first..=span.last];
            let parts = parts.iter().filter(|found| found.index == index);
            if span.first == span.last || parts.clone().count() == 1 {
                self.message(message, bytes(value))?;
            } else {
                let merged: Vec<u8> = parts.flat_map(|found| bytes(found.value)).copied().collect();
                self.merged(message, &merged).map_err(|fault| fault.moved_to(bytes(value)))?;
            }
            return Ok(true);
        }
        if !explicit && is_default(field.kind, value) {
            return Ok(false);
        }
        self.scalar(field, value)?;
        Ok(true)
    }

    /// Write a message that came in parts, which are together in `data` now.
    fn merged(&mut self, message: &'static Message, data: &[u8]) -> Result<(), Fault> {
        let mut writer =
            Writer { out: std::mem::take(&mut self.out), found: Vec::new(), depth: self.depth };
        let result = writer.message(message, data);
        self.out = writer.out;
        result
    }

    /// Write an array; false when it would be empty.
    fn repeated(&mut self, field: &'static Field, index: usize, span: Span) -> Result<bool, Fault> {
        self.out.push('[');
        for at in span.first..=span.last {
            let found = self.found[at];
            if found.index != index {
                continue;
            }
            match (field.kind, found.value) {
                (Kind::Message(message), Value::Bytes(data)) => {
                    self.message(message, data)?;
                    self.out.push(',');
                }
                (kind, Value::Bytes(data)) if kind.packs() => self.packed(field, data)?,
                (_, value) => {
                    self.scalar(field, value)?;
                    self.out.push(',');
                }
            }
        }
        // Either the last comma, or the bracket of an array without elements.
        let written = self.out.pop() == Some(',');
        if written {
            self.out.push(']');
        }
        Ok(written)
    }

    /// Each number of a packed field, and a comma behind it.
    fn packed(&mut self, field: &'static Field, data: &'a [u8]) -> Result<(), Fault> {
        let width = match field.kind.wire_type() {
            WireType::Fixed64 => 8,
            WireType::Fixed32 => 4,
            _ => 0,
        };
        if width == 0 {
            let mut reader = Reader::new(data);
            while let Some(value) = reader.packed_varint()? {
                self.scalar(field, Value::Varint(value))?;
                self.out.push(',');
            }
            return Ok(());
        }
        let elements = data.chunks_exact(width);
        if !elements.remainder().is_empty() {
            return Err(Fault::at(elements.remainder(), "a packed field ends within a number"));
        }
        for element in elements {
            let bits = element.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            self.scalar(field, Value::Fixed64(bits))?;
            self.out.push(',');
        }
        Ok(())
    }

    fn scalar(&mut self, field: &Field, value: Value<'_>) -> Result<(), Fault> {
        let out = &mut self.out;
        let bits = match value {
            Value::Varint(bits) | Value::Fixed64(bits) => bits,
            Value::Fixed32(bits) => bits.into(),
            Value::Bytes(_) | Value::Group => 0,
        };
        match field.kind {
            Kind::Bool => out.push_str(if bits == 0 { "false" } else { "true" }),
            Kind::Double => push_double(out, f64::from_bits(bits)),
            Kind::Enum | Kind::Int32 => signed(out, (bits as i32).into()),
            Kind::Sint32 => signed(out, unzigzag(bits as u32).into()),
            Kind::Uint32 | Kind::Fixed32 => unsigned(out, (bits as u32).into()),
            Kind::Int64 | Kind::Sfixed64 => quoted(out, |out| signed(out, bits as i64)),
            Kind::Uint64 | Kind::Fixed64 => quoted(out, |out| unsigned(out, bits)),
            Kind::String => push_quoted(out, utf8(bytes(value))?),
            Kind::Bytes => quoted(out, |out| push_base64(out, bytes(value))),
            Kind::Id => quoted(out, |out| push_hex(out, bytes(value))),
            Kind::Message(_) => {}
        }
        Ok(())
    }
}

fn bytes(value: Value<'_>) -> &[u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        _ => &[],
    }
}

/// Whether protobuf would not write the value of an implicit field: it keeps what fits the kind.
fn is_default(kind: Kind, value: Value<'_>) -> bool {
    match (kind, value) {
        (Kind::Enum | Kind::Int32 | Kind::Uint32 | Kind::Sint32, Value::Varint(bits)) => {
            bits as u32 == 0
        }
        (_, Value::Varint(bits) | Value::Fixed64(bits)) => bits == 0,
        (_, Value::Fixed32(bits)) => bits == 0,
        (_, Value::Bytes(bytes)) => bytes.is_empty(),
        (_, Value::Group) => true,
    }
}

fn quoted(out: &mut String, value: impl FnOnce(&mut String)) {
    out.push('"');
    value(out);
    out.push('"');
}

fn signed(out: &mut String, value: i64) {
    if value < 0 {
        out.push('-');
    }
    unsigned(out, value.unsigned_abs());
}

fn unsigned(out: &mut String, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    push_ascii(out, &digits[at..]);
}
