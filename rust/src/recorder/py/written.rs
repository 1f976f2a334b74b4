//! What was written of a span, read again for Python.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::super::span::Ids;
use super::api::Api;
use super::values::to_dict;
use crate::wire::proto::{Reader, Value};

/// [(name, nanoseconds, attributes, dropped attributes)]
pub fn events<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let events = PyList::empty(py);
    let mut reader = Reader::new(bytes);
    while let Ok(Some(field)) = reader.field() {
        let Value::Bytes(event) = field.value else { continue };
        let (mut time, mut name, mut lost) = (0, String::new(), 0);
        let mut parts = Reader::new(event);
        while let Ok(Some(part)) = parts.field() {
            match (part.number, part.value) {
                (1, Value::Fixed64(nanos)) => time = nanos,
                (2, Value::Bytes(text)) => name = String::from_utf8_lossy(text).into_owned(),
                (4, Value::Varint(count)) => lost = count,
                _ => {}
            }
        }
        events.append((name, time, to_dict(py, event, 3)?, lost))?;
    }
    Ok(events)
}

/// [(span context, attributes, dropped attributes)]
pub fn links<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let api = Api::get(py)?;
    let links = PyList::empty(py);
    let mut reader = Reader::new(bytes);
    while let Ok(Some(field)) = reader.field() {
        let Value::Bytes(link) = field.value else { continue };
        let mut ids = Ids::NONE;
        let (mut header, mut lost) = (String::new(), 0);
        let mut parts = Reader::new(link);
        while let Ok(Some(part)) = parts.field() {
            match (part.number, part.value) {
                (1, Value::Bytes(id)) => {
                    ids.trace = id.try_into().map_or(0, u128::from_be_bytes);
                }
                (2, Value::Bytes(id)) => ids.span = id.try_into().map_or(0, u64::from_be_bytes),
                (3, Value::Bytes(text)) => header = String::from_utf8_lossy(text).into_owned(),
                (5, Value::Varint(count)) => lost = count,
                (6, Value::Fixed32(flags)) => {
                    ids.flags = flags as u8;
                    ids.remote = flags & 0x200 != 0;
                }
                _ => {}
            }
        }
        let state = match header.as_str() {
            "" => None,
            header => {
                Some(api.trace_state.bind(py).call_method1("from_header", ([header],))?.unbind())
            }
        };
        let context = api.span_context(py, ids, state.as_ref())?;
        links.append((context, to_dict(py, link, 4)?, lost))?;
    }
    Ok(links)
}
