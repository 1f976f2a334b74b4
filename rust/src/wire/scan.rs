//! The door: validate a request's structure down to each item's fields, and count the items.
//!
//! Checked are tags, lengths, wire types of known fields, and that the strings met are UTF-8.
//! What lies inside an item (attributes, events, status) is checked when it is first projected.
//! Stricter than protobuf in one thing: a known field with another wire type is refused, as the
//! Go collector does, where protobuf keeps it as an unknown field.

use super::proto::{Fault, Reader, Value, WireType, utf8};
use super::schema::{
    Cardinality, EXPONENTIAL_HISTOGRAM, EXPONENTIAL_HISTOGRAM_POINT, Field, GAUGE, HISTOGRAM,
    HISTOGRAM_POINT, Kind, LOG_RECORD, LOGS, METRIC, METRICS, Message, NUMBER_POINT, RESOURCE,
    RESOURCE_LOGS, RESOURCE_METRICS, RESOURCE_SPANS, SCOPE, SCOPE_LOGS, SCOPE_METRICS, SCOPE_SPANS,
    SPAN, SUM, SUMMARY, SUMMARY_POINT, TRACES,
};
use super::{Signal, WireError};

/// Known field numbers are below this; one byte holds the tag of those below 16.
const NUMBERS: usize = 32;

/// Validate the structure down to each item's fields and return the number of items.
pub fn scan(signal: Signal, data: &[u8]) -> Result<usize, WireError> {
    if data.len() > i32::MAX as usize {
        return Err(too_large());
    }
    let walked = match signal {
        Signal::Traces => TRACES_DOOR.walk(data),
        Signal::Metrics => METRICS_DOOR.walk(data),
        Signal::Logs => LOGS_DOOR.walk(data),
        Signal::Profiles => flat(data).map(|()| usize::from(!data.is_empty())),
    };
    walked.map_err(|fault| fault.within(data))
}

pub fn too_large() -> WireError {
    WireError { offset: 0, message: "a request is at most 2 GiB".into() }
}

fn flat(data: &[u8]) -> Result<(), Fault> {
    let mut reader = Reader::new(data);
    while reader.field()?.is_some() {}
    Ok(())
}

/// What a field has to look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Unknown,
    Varint,
    Fixed64,
    Fixed32,
    /// Length-delimited, not looked into.
    Bytes,
    Text,
    /// Numbers, packed or one by one.
    Varints,
    Fixed64s,
    Inner,
}

/// A message's checks by field number, and the doors inside it.
#[derive(Clone, Copy)]
struct Door {
    checks: [Check; NUMBERS],
    /// How a well-formed field begins, by its first byte: all that is met in practice.
    usual: [Usual; 128],
    inner: &'static [(u32, &'static Door)],
    /// Each of these is an item.
    items: bool,
    /// The inner doors are a oneof: only the last kind met counts.
    oneof: bool,
}

/// What follows a one-byte tag when nothing is odd; `Odd` leaves it to the full check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usual {
    Odd,
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Text,
}

impl Door {
    const fn new(message: &'static Message, inner: &'static [(u32, &'static Door)]) -> Self {
        let mut checks = [Check::Unknown; NUMBERS];
        let mut index = 0;
        while index < message.fields.len() {
            let field = &message.fields[index];
            checks[field.number as usize] = check(field);
            index += 1;
        }
        index = 0;
        while index < inner.len() {
            checks[inner[index].0 as usize] = Check::Inner;
            index += 1;
        }
        Self { usual: usual(&checks), checks, inner, items: false, oneof: false }
    }

    const fn item(message: &'static Message) -> Self {
        Self { items: true, ..Self::new(message, &[]) }
    }

    /// Items in the message and below.
    fn walk(&self, data: &[u8]) -> Result<usize, Fault> {
        let mut items = 0;
        let mut member = 0;
        let mut at = 0;
        loop {
            at = self.stride(data, at);
            let mut reader = Reader::from(data, at);
            let Some(field) = reader.field()? else { return Ok(items) };
            at = reader.position();
            let check = self.checks.get(field.number as usize).copied().unwrap_or(Check::Unknown);
            match (check, field.value) {
                (Check::Unknown, _)
                | (Check::Bytes, Value::Bytes(_))
                | (Check::Varint | Check::Varints, Value::Varint(_))
                | (Check::Fixed64 | Check::Fixed64s, Value::Fixed64(_))
                | (Check::Fixed32, Value::Fixed32(_)) => {}
                (Check::Text, Value::Bytes(text)) => {
                    utf8(text)?;
                }
                (Check::Inner, Value::Bytes(bytes)) => {
                    let below = self.enter(field.number, bytes)?;
                    if self.oneof && member != field.number {
                        member = field.number;
                        items = 0;
                    }
                    items += below;
                }
                (Check::Fixed64s, Value::Bytes(packed)) => {
                    let (_, rest) = packed.as_chunks::<8>();
                    if !rest.is_empty() {
                        return Err(Fault::at(rest, "packed numbers end within a number"));
                    }
                }
                (Check::Varints, Value::Bytes(packed)) => {
                    let mut numbers = Reader::new(packed);
                    while numbers.packed_varint()?.is_some() {}
                }
                _ => return Err(field.mismatch()),
            }
        }
    }

    /// Walk over the fields from `at` on that are as usual, and return where the first other one
    /// is, or the end. What this accepts, the full check accepts; it only costs a fifth.
    #[inline]
    fn stride(&self, data: &[u8], mut at: usize) -> usize {
        while let Some(tag) = data.get(at) {
            let Some(usual) = self.usual.get(usize::from(*tag)) else { return at };
            let end = match usual {
                Usual::Odd => return at,
                Usual::Fixed64 => at + 9,
                Usual::Fixed32 => at + 5,
                Usual::Varint => match data.get(at + 1) {
                    Some(byte) if *byte < 0x80 => at + 2,
                    _ => return at,
                },
                Usual::Bytes | Usual::Text => match (data.get(at + 1), data.get(at + 2)) {
                    (Some(length), _) if *length < 0x80 => at + 2 + usize::from(*length),
                    (Some(low), Some(high)) if *high < 0x80 && *usual == Usual::Bytes => {
                        at + 3 + usize::from(*low & 0x7f) + (usize::from(*high) << 7)
                    }
                    _ => return at,
                },
            };
            if end > data.len() || (*usual == Usual::Text && !data[at + 2..end].is_ascii()) {
                return at;
            }
            at = end;
        }
        at
    }

    #[inline]
    fn enter(&self, number: u32, bytes: &[u8]) -> Result<usize, Fault> {
        for (inner, door) in self.inner {
            if *inner == number {
                let items = door.walk(bytes)?;
                return Ok(if door.items { 1 } else { items });
            }
        }
        Ok(0)
    }
}

/// First bytes of fields and what they begin.
const fn usual(checks: &[Check; NUMBERS]) -> [Usual; 128] {
    let mut usual = [Usual::Odd; 128];
    let mut number = 1;
    while number < 16 {
        let (wire, follows) = match checks[number] {
            Check::Varint => (WireType::Varint, Usual::Varint),
            Check::Fixed64 => (WireType::Fixed64, Usual::Fixed64),
            Check::Fixed32 => (WireType::Fixed32, Usual::Fixed32),
            Check::Bytes => (WireType::Bytes, Usual::Bytes),
            Check::Text => (WireType::Bytes, Usual::Text),
            _ => (WireType::Group, Usual::Odd),
        };
        usual[number << 3 | wire as usize] = follows;
        number += 1;
    }
    usual
}

const fn check(field: &Field) -> Check {
    let many = matches!(field.cardinality, Cardinality::Many);
    match field.kind {
        Kind::String => Check::Text,
        _ => match field.kind.wire_type() {
            WireType::Varint if many => Check::Varints,
            WireType::Fixed64 if many => Check::Fixed64s,
            WireType::Varint => Check::Varint,
            WireType::Fixed64 => Check::Fixed64,
            WireType::Fixed32 => Check::Fixed32,
            _ => Check::Bytes,
        },
    }
}

static RESOURCE_DOOR: Door = Door::new(&RESOURCE, &[]);
static SCOPE_DOOR: Door = Door::new(&SCOPE, &[]);

static TRACES_DOOR: Door = Door::new(&TRACES, &[(1, &RESOURCE_SPANS_DOOR)]);
static RESOURCE_SPANS_DOOR: Door =
    Door::new(&RESOURCE_SPANS, &[(1, &RESOURCE_DOOR), (2, &SCOPE_SPANS_DOOR)]);
static SCOPE_SPANS_DOOR: Door = Door::new(&SCOPE_SPANS, &[(1, &SCOPE_DOOR), (2, &SPAN_DOOR)]);
static SPAN_DOOR: Door = Door::item(&SPAN);

static LOGS_DOOR: Door = Door::new(&LOGS, &[(1, &RESOURCE_LOGS_DOOR)]);
static RESOURCE_LOGS_DOOR: Door =
    Door::new(&RESOURCE_LOGS, &[(1, &RESOURCE_DOOR), (2, &SCOPE_LOGS_DOOR)]);
static SCOPE_LOGS_DOOR: Door = Door::new(&SCOPE_LOGS, &[(1, &SCOPE_DOOR), (2, &LOG_RECORD_DOOR)]);
static LOG_RECORD_DOOR: Door = Door::item(&LOG_RECORD);

static METRICS_DOOR: Door = Door::new(&METRICS, &[(1, &RESOURCE_METRICS_DOOR)]);
static RESOURCE_METRICS_DOOR: Door =
    Door::new(&RESOURCE_METRICS, &[(1, &RESOURCE_DOOR), (2, &SCOPE_METRICS_DOOR)]);
static SCOPE_METRICS_DOOR: Door = Door::new(&SCOPE_METRICS, &[(1, &SCOPE_DOOR), (2, &METRIC_DOOR)]);
static METRIC_DOOR: Door = Door {
    oneof: true,
    ..Door::new(
        &METRIC,
        &[
            (5, &GAUGE_DOOR),
            (7, &SUM_DOOR),
            (9, &HISTOGRAM_DOOR),
            (10, &EXPONENTIAL_HISTOGRAM_DOOR),
            (11, &SUMMARY_DOOR),
        ],
    )
};
static GAUGE_DOOR: Door = Door::new(&GAUGE, &[(1, &NUMBER_POINT_DOOR)]);
static SUM_DOOR: Door = Door::new(&SUM, &[(1, &NUMBER_POINT_DOOR)]);
static HISTOGRAM_DOOR: Door = Door::new(&HISTOGRAM, &[(1, &HISTOGRAM_POINT_DOOR)]);
static EXPONENTIAL_HISTOGRAM_DOOR: Door =
    Door::new(&EXPONENTIAL_HISTOGRAM, &[(1, &EXPONENTIAL_HISTOGRAM_POINT_DOOR)]);
static SUMMARY_DOOR: Door = Door::new(&SUMMARY, &[(1, &SUMMARY_POINT_DOOR)]);
static NUMBER_POINT_DOOR: Door = Door::item(&NUMBER_POINT);
static HISTOGRAM_POINT_DOOR: Door = Door::item(&HISTOGRAM_POINT);
static EXPONENTIAL_HISTOGRAM_POINT_DOOR: Door = Door::item(&EXPONENTIAL_HISTOGRAM_POINT);
static SUMMARY_POINT_DOOR: Door = Door::item(&SUMMARY_POINT);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proto::{
        put_bytes_field, put_fixed32_field, put_fixed64_field, put_varint_field,
    };

    /// A span with every kind of field, some of more than 127 bytes.
    fn span() -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes_field(&mut out, 1, &[7; 16]);
        put_bytes_field(&mut out, 3, b"vendor=a");
        put_bytes_field(&mut out, 5, "größer".as_bytes());
        put_varint_field(&mut out, 6, 2);
        put_fixed64_field(&mut out, 7, 1_790_000_000_000_000_000);
        put_bytes_field(&mut out, 9, &[10, 1, b'k']);
        put_bytes_field(&mut out, 9, &[0; 300]);
        put_varint_field(&mut out, 10, 300);
        put_fixed32_field(&mut out, 16, 1);
        put_varint_field(&mut out, 99, 1);
        put_bytes_field(&mut out, 5, &[b'n'; 200]);
        out
    }

    #[test]
    fn the_stride_accepts_and_refuses_what_the_full_check_does() {
        let slow = Door { usual: [Usual::Odd; 128], ..SPAN_DOOR };
        let whole = span();
        assert_eq!(SPAN_DOOR.walk(&whole), Ok(0));
        let mut refused = 0;
        for cut in 0..whole.len() {
            assert_eq!(SPAN_DOOR.walk(&whole[..cut]), slow.walk(&whole[..cut]), "cut at {cut}");
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[cut] = byte;
                let expected = slow.walk(&changed);
                refused += usize::from(expected.is_err());
                assert_eq!(SPAN_DOOR.walk(&changed), expected, "{byte} at {cut}");
            }
        }
        assert!(refused > 1000);
    }
}
