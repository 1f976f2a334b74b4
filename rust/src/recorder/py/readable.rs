//! Spans as Python objects, to the wire: `ReadableSpan`s of ours, changed or not, or built by hand.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::super::attributes::Limits;
use super::super::scope::{Group, Scope, request};
use super::super::span::{Frame, Parts, put_event, put_link};
use super::api::{Api, Place, state_text};
use super::given::{nanoseconds, text};
use super::queue::make_scope;
use super::room::read_attributes;
use super::span::PySpan;
use super::tracer::kind_number;
use super::values::{self, with_text};
use crate::wire::py::PyBatch;
use crate::wire::{Batch, Context, Signal};

/// The recorded span behind a view of which nobody has taken a part that could be changed.
pub fn untouched<'py>(span: &Bound<'py, PyAny>) -> Option<Bound<'py, PySpan>> {
    let fields = span.getattr_opt(intern!(span.py(), "__dict__")).ok().flatten()?;
    let fields = fields.cast_into::<PyDict>().ok()?;
    if fields.len() != 1 {
        return None;
    }
    let native = fields.get_item(intern!(span.py(), "_native")).ok().flatten()?;
    native.cast_into::<PySpan>().ok()
}

pub fn scope_of(span: &Bound<'_, PyAny>) -> PyResult<Arc<Scope>> {
    let py = span.py();
    if let Some(native) = untouched(span) {
        return Ok(native.get().scope().clone());
    }
    let resource = span.getattr(intern!(py, "resource"))?;
    let resource =
        (resource.getattr(intern!(py, "attributes"))?, optional_text(&resource, "schema_url")?);
    let scope = span.getattr(intern!(py, "instrumentation_scope"))?;
    if scope.is_none() {
        let none = py.None().into_bound(py);
        return Ok(Arc::new(make_scope((&resource.0, &resource.1), ("", "", &none, ""))));
    }
    let attributes = scope.getattr(intern!(py, "attributes"))?;
    let (name, version) = (optional_text(&scope, "name")?, optional_text(&scope, "version")?);
    let url = optional_text(&scope, "schema_url")?;
    let scope = (name.as_str(), version.as_str(), &attributes, url.as_str());
    Ok(Arc::new(make_scope((&resource.0, &resource.1), scope)))
}

pub fn optional_text(object: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
    let found = object.getattr(name)?;
    if found.is_none() {
        return Ok(String::new());
    }
    Ok(with_text(&text(&found)?, str::to_string))
}

pub fn number(object: &Bound<'_, PyAny>, name: &str) -> usize {
    object.getattr(name).and_then(|found| found.extract()).unwrap_or(0)
}

/// The attributes as they are held, which are quicker to read than a view of them.
pub fn attributes_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match object.getattr_opt(intern!(object.py(), "_attributes"))? {
        Some(found) => Ok(found),
        None => object.getattr(intern!(object.py(), "attributes")),
    }
}

/// Write a `ReadableSpan` as field 2 of a ScopeSpans. Raises what its properties raise.
pub fn put(out: &mut Vec<u8>, span: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = span.py();
    if let Some(native) = untouched(span) {
        native.get().with_frame(py, |frame, parts| frame.put(out, parts));
        return Ok(());
    }
    let place = Place::read(&span.call_method0(intern!(py, "get_span_context"))?)?;
    let parent = span.getattr(intern!(py, "parent"))?;
    let parent = if parent.is_none() { None } else { Some(Place::read(&parent)?) };
    let mut parts = Parts::default();
    values::update(&mut parts.attributes, 9, Limits::NONE, &attributes_of(span)?);
    parts.attributes.drop_more(number(span, "dropped_attributes"));
    for event in span.getattr(intern!(py, "events"))?.try_iter()? {
        let event = event?;
        let name = text(&event.getattr(intern!(py, "name"))?)?;
        let time = nanoseconds(Some(&event.getattr(intern!(py, "timestamp"))?));
        let mut attributes =
            read_attributes(Some(&attributes_of(&event)?), 3, Limits::NONE, Clone::clone);
        attributes.drop_more(number(&event, "dropped_attributes"));
        with_text(&name, |name| {
            parts.events.push(usize::MAX, |out| put_event(out, name, time, &attributes));
        });
    }
    parts.events.drop_more(number(span, "dropped_events"));
    for link in span.getattr(intern!(py, "links"))?.try_iter()? {
        let link = link?;
        let place = Place::read(&link.getattr(intern!(py, "context"))?)?;
        let state = state_text(py, place.state.as_ref());
        let mut attributes =
            read_attributes(Some(&attributes_of(&link)?), 4, Limits::NONE, Clone::clone);
        attributes.drop_more(number(&link, "dropped_attributes"));
        parts.links.push(usize::MAX, |out| put_link(out, place.ids, &state, &attributes));
    }
    parts.links.drop_more(number(span, "dropped_links"));
    let status = span.getattr(intern!(py, "status"))?;
    if !status.is_none() {
        let code = status.getattr(intern!(py, "status_code"))?.getattr(intern!(py, "value"))?;
        parts.status = code.extract().unwrap_or(0);
        parts.message = Some(optional_text(&status, "description")?);
    }
    let trace_state = state_text(py, place.state.as_ref());
    let name: Bound<'_, PyString> = text(&span.getattr(intern!(py, "name"))?)?;
    let time = |name: &str| -> PyResult<u64> {
        let found = span.getattr(name)?;
        Ok(if found.is_none() { 0 } else { nanoseconds(Some(&found)) })
    };
    let (start, end) = (time("start_time")?, time("end_time")?);
    let kind = kind_number(py, Api::get(py)?, Some(&span.getattr(intern!(py, "kind"))?));
    with_text(&name, |name| {
        let frame = Frame {
            ids: place.ids,
            parent: parent.as_ref().map(|parent| (parent.ids.span, parent.ids.remote)),
            trace_state: &trace_state,
            name,
            kind,
            start,
            end,
        };
        frame.put(out, &parts);
    });
    Ok(())
}

/// Encode `ReadableSpan`s as one batch, grouped by resource and scope.
#[pyfunction]
pub fn encode_spans(spans: &Bound<'_, PyAny>) -> PyResult<PyBatch> {
    encode(spans, Signal::Traces, put)
}

/// Encode items as one batch; `put` writes each as a field 2.
pub fn encode(
    items: &Bound<'_, PyAny>,
    signal: Signal,
    put: impl Fn(&mut Vec<u8>, &Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<PyBatch> {
    let mut groups: Vec<Group> = Vec::new();
    let mut count = 0;
    for item in items.try_iter()? {
        let item = item?;
        let scope = scope_of(&item)?;
        let found = groups
            .iter()
            .rposition(|group| Arc::ptr_eq(&group.scope, &scope) || group.scope.is_like(&scope));
        let at = found.unwrap_or_else(|| {
            groups.push(Group { scope, items: Vec::new() });
            groups.len() - 1
        });
        put(&mut groups[at].items, &item)?;
        count += 1;
    }
    let data = request(&groups).into();
    Ok(PyBatch(Batch { signal, data, items: count, context: Context::empty() }))
}
