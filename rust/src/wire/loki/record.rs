//! What the translation reads of resources, scopes and records.

use std::borrow::Cow;

use super::super::proto::{Fault, Reader, utf8};
use super::super::text::push_text;
use super::super::value;

pub struct Attribute<'a> {
    pub key: &'a str,
    /// The bytes of an AnyValue.
    pub value: Cow<'a, [u8]>,
}

/// The value of the first attribute of that name, as the Go collector's maps find it.
pub fn find<'m>(attributes: &'m [Attribute<'_>], key: &str) -> Option<&'m [u8]> {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.map(|attribute| &*attribute.value)
}

/// The value as a string.
pub fn text(value: &[u8]) -> Result<String, Fault> {
    let mut out = String::new();
    push_text(&mut out, value)?;
    Ok(out)
}

fn attribute<'a>(bytes: &'a [u8]) -> Result<Attribute<'a>, Fault> {
    let entry = value::Entry::read(bytes)?;
    Ok(Attribute { key: utf8(entry.key)?, value: entry.value })
}

pub struct Resource<'a> {
    pub attributes: Vec<Attribute<'a>>,
}

impl<'a> Resource<'a> {
    /// Read a `ResourceLogs`; return its resource and its scopes.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, Vec<&'a [u8]>), Fault> {
        let mut attributes = Vec::new();
        let mut scopes = Vec::new();
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => {
                    let mut resource = Reader::new(field.bytes()?);
                    while let Some(field) = resource.field()? {
                        if field.number == 1 {
                            attributes.push(attribute(field.bytes()?)?);
                        }
                    }
                }
                2 => scopes.push(field.bytes()?),
                _ => {}
            }
        }
        Ok((Self { attributes }, scopes))
    }
}

#[derive(Default)]
pub struct Scope<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub attributes: Vec<Attribute<'a>>,
    pub dropped_attributes: u32,
}

impl<'a> Scope<'a> {
    /// Read a `ScopeLogs`; return its scope and its records.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, Vec<&'a [u8]>), Fault> {
        let mut scope = Self::default();
        let mut records = Vec::new();
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => scope.merge(field.bytes()?)?,
                2 => records.push(field.bytes()?),
                _ => {}
            }
        }
        Ok((scope, records))
    }

    fn merge(&mut self, bytes: &'a [u8]) -> Result<(), Fault> {
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => self.name = field.string()?,
                2 => self.version = field.string()?,
                3 => self.attributes.push(attribute(field.bytes()?)?),
                4 => self.dropped_attributes = field.varint()? as u32,
                _ => {}
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Record<'a> {
    pub time: u64,
    pub observed_time: u64,
    pub severity: i32,
    pub severity_text: &'a str,
    /// The bytes of an AnyValue.
    pub body: Cow<'a, [u8]>,
    pub attributes: Vec<Attribute<'a>>,
    pub dropped_attributes: u32,
    pub flags: u32,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub event_name: &'a str,
}

impl<'a> Record<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut record = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => record.time = field.fixed64()?,
                2 => record.severity = field.varint()? as i32,
                3 => record.severity_text = field.string()?,
                5 if record.body.is_empty() => record.body = Cow::Borrowed(field.bytes()?),
                5 => record.body.to_mut().extend_from_slice(field.bytes()?),
                6 => record.attributes.push(attribute(field.bytes()?)?),
                7 => record.dropped_attributes = field.varint()? as u32,
                8 => record.flags = field.fixed32()?,
                9 => record.trace_id = id(field.bytes()?),
                10 => record.span_id = id(field.bytes()?),
                11 => record.observed_time = field.fixed64()?,
                12 => record.event_name = field.string()?,
                _ => {}
            }
        }
        Ok(record)
    }

    /// When it happened, or was observed, or `now`.
    pub fn time_or(&self, now: u64) -> u64 {
        [self.time, self.observed_time].into_iter().find(|time| *time != 0).unwrap_or(now)
    }
}

/// An id of zeros is none.
fn id(bytes: &[u8]) -> &[u8] {
    if bytes.iter().all(|byte| *byte == 0) { &[] } else { bytes }
}
