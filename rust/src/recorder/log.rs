//! One log record in wire form, written field after field.

use super::any::Any;
use super::attributes::Attributes;
use super::span::Ids;
use crate::wire::proto::{
    Open, close, open, put_bytes_field, put_fixed32_field, put_fixed64_field, put_varint_field,
};

/// The field number of a log record's attributes.
pub const ATTRIBUTES: u32 = 6;

/// A record as field 2 of a ScopeLogs, on its way.
pub struct Draft {
    item: Vec<u8>,
    message: Open,
}

impl Draft {
    /// `room` is about how many bytes the record will take.
    pub fn new(room: usize) -> Self {
        let mut item = Vec::with_capacity(room + 8);
        let message = open(&mut item, 2, room);
        Self { item, message }
    }

    /// Nanoseconds since 1970; 0 is unknown.
    pub fn times(&mut self, time: u64, observed: u64) {
        if time != 0 {
            put_fixed64_field(&mut self.item, 1, time);
        }
        if observed != 0 {
            put_fixed64_field(&mut self.item, 11, observed);
        }
    }

    pub fn severity(&mut self, number: u32, text: &str) {
        if number != 0 {
            put_varint_field(&mut self.item, 2, number.into());
        }
        self.text(3, text);
    }

    pub fn body(&mut self, value: Any<'_>) {
        let body = open(&mut self.item, 5, value.len());
        value.put(&mut self.item);
        close(&mut self.item, body);
    }

    pub fn ids(&mut self, ids: Ids) {
        if ids.flags != 0 {
            put_fixed32_field(&mut self.item, 8, ids.flags.into());
        }
        if ids.trace != 0 {
            put_bytes_field(&mut self.item, 9, &ids.trace.to_be_bytes());
        }
        if ids.span != 0 {
            put_bytes_field(&mut self.item, 10, &ids.span.to_be_bytes());
        }
    }

    pub fn event(&mut self, name: &str) {
        self.text(12, name);
    }

    /// `attributes` were written as fields `ATTRIBUTES`.
    pub fn finish(mut self, attributes: &Attributes) -> Vec<u8> {
        self.item.extend_from_slice(attributes.bytes());
        if attributes.dropped() > 0 {
            put_varint_field(&mut self.item, 7, attributes.dropped().into());
        }
        close(&mut self.item, self.message);
        self.item
    }

    fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            put_bytes_field(&mut self.item, number, text.as_bytes());
        }
    }
}

/// OTLP's severity number for a level of Python's `logging`.
pub fn severity_of(level: i64) -> u32 {
    match level {
        ..10 => 0,
        54.. => 24,
        _ => {
            let step = (level % 10).min(3);
            (level / 10 * 4 + 1 + step) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_four_numbers_each() {
        let found: Vec<u32> =
            [9, 10, 11, 15, 20, 25, 30, 40, 49, 50, 53, 99].map(severity_of).to_vec();
        assert_eq!(found, [0, 5, 6, 8, 9, 12, 13, 17, 20, 21, 24, 24]);
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        let item = Draft::new(0).finish(&Attributes::default());
        assert_eq!(item, [0x12, 0]);
    }
}
