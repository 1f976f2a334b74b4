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
        return Err(WireError { offset: 0, message: "a request is at most 2 GiB".into() });
    }
    let walked = match signal {
        Signal::Traces => TRACES_DOOR.walk(data),
        Signal::Metrics => METRICS_DOOR.walk(data),
        Signal::Logs => LOGS_DOOR.walk(data),
        Signal::Profiles => flat(data).map(|()| usize::from(!data.is_empty())),
    };
    walked.map_err(|fault| fault.within(data))
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
struct Door {
    checks: [Check; NUMBERS],
    inner: &'static [(u32, &'static Door)],
    /// Each of these is an item.
    items: bool,
    /// The inner doors are a oneof: only the last kind met counts.
    oneof: bool,
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
        Self { checks, inner, items: false, oneof: false }
    }

    const fn item(message: &'static Message) -> Self {
        Self { items: true, ..Self::new(message, &[]) }
    }

    /// Items in the message and below.
    fn walk(&self, data: &[u8]) -> Result<usize, Fault> {
        let mut items = 0;
        let mut member = 0;
        let mut reader = Reader::new(data);
        while let Some(field) = reader.field()? {
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
        Ok(items)
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
