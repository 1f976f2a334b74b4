//! The span that is recorded.

mod ending;

use std::sync::Arc;
use std::thread::{self, ThreadId};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::super::scope::Scope;
use super::super::span::{Frame, Ids, Parts, put_event, put_link};
use super::api::{Api, Place, state_text};
use super::fence::guarded;
use super::given::{link_place, nanoseconds, text};
use super::held::Held;
use super::queue::{PyRoute, PyScope};
use super::room::{SpanLimits, keep_parts, new_parts, read_attributes};
use super::tracer::kind_number;
use super::values::{self, to_dict, visit, visit_one, with_text};
use super::written;

pub use self::ending::note_exception;

/// What our spans have in common; registered as an `opentelemetry.trace.Span`.
#[pyclass(name = "SpanBase", module = "heliograph._core", subclass, frozen)]
pub struct PySpanBase;

struct State {
    name: Py<PyAny>,
    parts: Parts,
    /// None only for what was constructed and not started yet.
    start: Option<u64>,
    end: Option<u64>,
    /// The thread that tells of the end: only what it calls may still change anything.
    ender: Option<ThreadId>,
    /// Nothing changes any more.
    closed: bool,
    context: Option<Py<PyAny>>,
}

impl Drop for State {
    fn drop(&mut self) {
        keep_parts(&mut self.parts);
    }
}

/// Written in wire form while it is recorded. Made by a tracer.
#[pyclass(
    name = "Span",
    module = "heliograph._core",
    extends = PySpanBase,
    frozen,
    weakref,
    dict
)]
pub struct PySpan {
    ids: Ids,
    trace_state: Option<Py<PyAny>>,
    parent: Option<Place>,
    kind: u8,
    limits: SpanLimits,
    scope: Arc<Scope>,
    route: Py<PyRoute>,
    /// (resource, instrumentation scope, record_exception, set_status_on_exception)
    around: Py<PyAny>,
    record_exception: bool,
    set_status_on_exception: bool,
    state: Held<State>,
}

/// What a tracer gives a new span.
pub struct Birth {
    pub ids: Ids,
    pub trace_state: Option<Py<PyAny>>,
    pub parent: Option<Place>,
    pub kind: u8,
    pub start: Option<u64>,
    pub limits: SpanLimits,
    pub scope: Arc<Scope>,
    pub route: Py<PyRoute>,
    pub around: Py<PyAny>,
    pub record_exception: bool,
    pub set_status_on_exception: bool,
    pub name: Py<PyAny>,
    pub parts: Parts,
}

impl PySpan {
    pub fn create(py: Python<'_>, birth: Birth) -> PyResult<Bound<'_, Self>> {
        let span = Self {
            ids: birth.ids,
            trace_state: birth.trace_state,
            parent: birth.parent,
            kind: birth.kind,
            limits: birth.limits,
            scope: birth.scope,
            route: birth.route,
            around: birth.around,
            record_exception: birth.record_exception,
            set_status_on_exception: birth.set_status_on_exception,
            state: Held::new(State {
                name: birth.name,
                parts: birth.parts,
                start: birth.start,
                end: None,
                ender: None,
                closed: false,
                context: None,
            }),
        };
        Bound::new(py, PyClassInitializer::from(PySpanBase).add_subclass(span))
    }

    pub fn place(&self, py: Python<'_>) -> Place {
        let known = |state: &mut State| state.context.as_ref().map(|one| one.clone_ref(py));
        Place {
            ids: self.ids,
            state: self.trace_state.as_ref().map(|state| state.clone_ref(py)),
            context: self.state.with(py, known).flatten(),
        }
    }

    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    pub fn is_sampled(&self) -> bool {
        self.ids.flags & 1 != 0
    }

    /// Act on the span as it goes on the wire.
    pub fn with_frame<R>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&Frame<'_>, &Parts) -> R,
    ) -> Option<R> {
        let trace_state = state_text(py, self.trace_state.as_ref());
        let name = self.state.with(py, |state| state.name.clone_ref(py))?.into_bound(py);
        let name = match name.cast_into::<PyString>() {
            Ok(name) => name,
            Err(other) => other.into_inner().str().unwrap_or_else(|_| PyString::new(py, "")),
        };
        with_text(&name, |name| {
            self.state.with(py, |state| {
                let frame = Frame {
                    ids: self.ids,
                    parent: self.parent.as_ref().map(|one| (one.ids.span, one.ids.remote)),
                    trace_state: &trace_state,
                    name,
                    kind: self.kind,
                    start: state.start.unwrap_or(0),
                    end: state.end.unwrap_or(0),
                };
                act(&frame, &state.parts)
            })
        })
    }

    /// Change the span unless it has ended.
    #[inline]
    fn change(&self, py: Python<'_>, what: &str, act: impl FnOnce(&mut State)) {
        let ended = self.state.with(py, |state| {
            let elsewhere = || state.ender.is_some_and(|ender| ender != thread::current().id());
            let late = state.closed || elsewhere();
            if !late {
                act(state);
            }
            late
        });
        if ended == Some(true) {
            too_late(py, what);
        }
    }

    /// Work on the span for the program, which sees nothing of what goes wrong.
    #[inline]
    fn guard(py: Python<'_>, what: &str, work: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
        guarded(py, what, work).map(drop)
    }
}

#[cold]
fn too_late(py: Python<'_>, what: &str) {
    if let Err(error) = Api::help(py, "too_late", (what,)) {
        error.write_unraisable(py, None);
    }
}

#[pymethods]
impl PySpan {
    /// Make a span that no tracer has started; `start` starts it.
    ///
    /// `limits` are as a tracer's `setup` takes them.
    #[staticmethod]
    #[allow(clippy::too_many_arguments)] // Python passes them.
    fn unstarted<'py>(
        py: Python<'py>,
        name: Py<PyAny>,
        context: &Bound<'py, PyAny>,
        parent: Option<&Bound<'py, PyAny>>,
        kind: &Bound<'py, PyAny>,
        scope: &Bound<'py, PyScope>,
        around: Py<PyAny>,
        route: Py<PyRoute>,
        limits: [Option<usize>; 7],
        rules: (bool, bool),
    ) -> PyResult<Bound<'py, Self>> {
        let place = Place::read(context)?;
        let birth = Birth {
            ids: place.ids,
            trace_state: place.state,
            parent: parent.map(Place::read).transpose()?,
            kind: kind_number(py, Api::get(py)?, Some(kind)),
            start: None,
            limits: SpanLimits::read(limits),
            scope: scope.get().0.clone(),
            route,
            around,
            record_exception: rules.0,
            set_status_on_exception: rules.1,
            name,
            parts: new_parts(),
        };
        let span = Self::create(py, birth)?;
        span.get().state.with(py, |state| state.context = place.context);
        Ok(span)
    }

    /// Start what was made by `unstarted`. A tracer's spans have started.
    #[pyo3(signature = (start_time=None, parent_context=None))]
    fn start(
        slf: &Bound<'_, Self>,
        start_time: Option<&Bound<'_, PyAny>>,
        parent_context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let time = nanoseconds(start_time);
        let begin = |state: &mut State| match state.start {
            Some(_) => false,
            None => {
                state.start = Some(time);
                true
            }
        };
        if slf.get().state.with(py, begin) == Some(true) {
            return slf.get().route.bind(py).get().started(slf, parent_context);
        }
        Api::help(py, "started_twice", ()).map(drop)
    }

    fn get_span_context(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(context) = self.place(py).context {
            return Ok(context);
        }
        let made = Api::get(py)?.span_context(py, self.ids, self.trace_state.as_ref())?.unbind();
        let keep = made.clone_ref(py);
        self.state.with(py, |state| state.context = Some(keep));
        Ok(made)
    }

    fn is_recording(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| !state.closed).unwrap_or(false)
    }

    fn set_attribute(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let limits = self.limits.span;
        Self::guard(py, "set_attribute", || {
            visit_one(key, value, limits.length, |given| {
                self.change(py, "set_attribute", |state| {
                    values::set(&mut state.parts.attributes, 9, limits, given);
                });
            });
            Ok(())
        })
    }

    fn set_attributes(&self, py: Python<'_>, attributes: &Bound<'_, PyAny>) -> PyResult<()> {
        let limits = self.limits.span;
        Self::guard(py, "set_attributes", || {
            visit(attributes, limits.length, &mut |given| {
                self.change(py, "set_attributes", |state| {
                    values::set(&mut state.parts.attributes, 9, limits, given);
                });
            });
            Ok(())
        })
    }

    #[pyo3(signature = (name, attributes=None, timestamp=None))]
    fn add_event(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Self::guard(py, "add_event", || {
            let time = nanoseconds(timestamp);
            let name = text(name)?;
            read_attributes(attributes, 3, self.limits.event, |attributes| {
                with_text(&name, |name| {
                    self.change(py, "add_event", |state| {
                        state.parts.events.push(self.limits.events, |out| {
                            put_event(out, name, time, attributes);
                        });
                    });
                });
            });
            Ok(())
        })
    }

    #[pyo3(signature = (context, attributes=None))]
    fn add_link(
        &self,
        py: Python<'_>,
        context: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Self::guard(py, "add_link", || {
            let Some(place) = link_place(context, attributes)? else { return Ok(()) };
            let trace_state = state_text(py, place.state.as_ref());
            read_attributes(attributes, 4, self.limits.link, |attributes| {
                self.change(py, "add_link", |state| {
                    state.parts.links.push(self.limits.links, |out| {
                        put_link(out, place.ids, &trace_state, attributes);
                    });
                });
            });
            Ok(())
        })
    }

    fn update_name(&self, py: Python<'_>, name: Py<PyAny>) -> PyResult<()> {
        Self::guard(py, "update_name", || {
            let mut old = None;
            self.change(py, "update_name", |state| {
                old = Some(std::mem::replace(&mut state.name, name));
            });
            Ok(())
        })
    }

    #[pyo3(signature = (status, description=None))]
    fn set_status(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        description: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Self::guard(py, "set_status", || {
            let found = Api::help(py, "status", (status, description))?;
            if let Ok((code, message)) = found.extract::<(u8, Option<String>)>() {
                self.change(py, "set_status", |state| {
                    if state.parts.status != 1 && code != 0 {
                        state.parts.status = code;
                        state.parts.message = message;
                    }
                });
            }
            Ok(())
        })
    }

    #[pyo3(signature = (exception, attributes=None, timestamp=None, escaped=false))]
    fn record_exception(
        slf: &Bound<'_, Self>,
        exception: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        escaped: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        Self::guard(py, "record_exception", || {
            let arguments = (slf, exception, attributes, timestamp, escaped);
            Api::help(py, "record_exception", arguments).map(drop)
        })
    }

    #[pyo3(signature = (end_time=None))]
    fn end(slf: &Bound<'_, Self>, end_time: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Self::finish(slf, end_time)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let _ = (kind, traceback);
        if !exception.is_none() {
            let span = slf.get();
            let rules = (span.record_exception, span.set_status_on_exception);
            note_exception(slf, exception, rules, true)?;
        }
        Self::finish(slf, None)?;
        Ok(false)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let context = self.get_span_context(py)?;
        let name = self.name(py);
        let name = name.as_ref().map_or(String::new(), |name| name.bind(py).to_string());
        Ok(format!("_Span(name=\"{name}\", context={})", context.bind(py).repr()?))
    }

    #[getter]
    fn name(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.name.clone_ref(py))
    }

    #[getter]
    fn context(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.get_span_context(py)
    }

    #[getter]
    fn parent(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(parent) = &self.parent else { return Ok(None) };
        if let Some(context) = &parent.context {
            return Ok(Some(context.clone_ref(py)));
        }
        let made = Api::get(py)?.span_context(py, parent.ids, parent.state.as_ref())?;
        Ok(Some(made.unbind()))
    }

    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Api::get(py)?.kinds[usize::from(self.kind - 1)].clone_ref(py))
    }

    #[getter]
    fn start_time(&self, py: Python<'_>) -> Option<u64> {
        self.state.with(py, |state| state.start).flatten()
    }

    #[getter]
    fn end_time(&self, py: Python<'_>) -> Option<u64> {
        self.state.with(py, |state| state.end).flatten()
    }

    /// (resource, instrumentation scope)
    #[getter]
    fn around(&self, py: Python<'_>) -> Py<PyAny> {
        self.around.clone_ref(py)
    }

    /// (status code as OTLP numbers it, message)
    fn status_parts(&self, py: Python<'_>) -> (u8, Option<String>) {
        let parts = |state: &mut State| (state.parts.status, state.parts.message.clone());
        self.state.with(py, parts).unwrap_or_default()
    }

    /// (attributes, how many were dropped)
    fn attribute_parts<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyDict>, u32)> {
        let copy = |state: &mut State| {
            let attributes = &state.parts.attributes;
            (attributes.bytes().to_vec(), attributes.dropped())
        };
        let (bytes, dropped) = self.state.with(py, copy).unwrap_or_default();
        Ok((to_dict(py, &bytes, 9)?, dropped))
    }

    /// ([(name, nanoseconds, attributes, dropped attributes)], how many events were dropped)
    fn event_parts<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, u32)> {
        let copy = |state: &mut State| {
            let events = &state.parts.events;
            (events.bytes().to_vec(), events.dropped())
        };
        let (bytes, dropped) = self.state.with(py, copy).unwrap_or_default();
        Ok((written::events(py, &bytes)?, dropped))
    }

    /// ([(span context, attributes, dropped attributes)], how many links were dropped)
    fn link_parts<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, u32)> {
        let copy = |state: &mut State| {
            let links = &state.parts.links;
            (links.bytes().to_vec(), links.dropped())
        };
        let (bytes, dropped) = self.state.with(py, copy).unwrap_or_default();
        Ok((written::links(py, &bytes)?, dropped))
    }
}
