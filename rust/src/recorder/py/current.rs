//! `start_as_current_span`: a context manager, and a decorator.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;

use super::api::Api;
use super::fence::guarded;
use super::held::Held;
use super::span::{PySpan, note_exception};
use super::tracer::{PyTracer, Start};

/// The span, and the token to leave its context by, where it could be entered.
type Entered = (Py<PyAny>, Option<Py<PyAny>>);

const CONTEXT: &str = "the runtime context";

/// Starts a span on entering and makes it current; ends it on leaving.
#[pyclass(name = "CurrentSpan", module = "heliograph._core", frozen)]
pub struct PyCurrent {
    pub tracer: Py<PyTracer>,
    pub name: Py<PyAny>,
    pub context: Option<Py<PyAny>>,
    pub kind: Option<Py<PyAny>>,
    pub attributes: Option<Py<PyAny>>,
    pub links: Option<Py<PyAny>>,
    pub start_time: Option<Py<PyAny>>,
    pub record_exception: bool,
    pub set_status_on_exception: bool,
    pub end_on_exit: bool,
    pub entered: Held<Option<Entered>>,
}

#[pymethods]
impl PyCurrent {
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let bind = |one: &Option<Py<PyAny>>| one.as_ref().map(|one| one.bind(py).clone());
        let (context, kind) = (bind(&self.context), bind(&self.kind));
        let (attributes, links) = (bind(&self.attributes), bind(&self.links));
        let start_time = bind(&self.start_time);
        let start = Start {
            name: self.name.bind(py),
            context: context.as_ref(),
            kind: kind.as_ref(),
            attributes: attributes.as_ref(),
            links: links.as_ref(),
            start_time: start_time.as_ref(),
            record_exception: self.record_exception,
            set_status_on_exception: self.set_status_on_exception,
        };
        let current = guarded(py, CONTEXT, || Api::get(py)?.current(py))?;
        let span = PyTracer::begin(self.tracer.bind(py), &start, current.as_ref())?;
        let token = match &current {
            Some(current) => guarded(py, CONTEXT, || Api::get(py)?.attach(py, current, &span))?,
            None => None,
        };
        let (kept, token) = (span.clone().unbind(), token.map(Bound::unbind));
        self.entered.with(py, |entered| *entered = Some((kept, token)));
        Ok(span)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let _ = (kind, traceback);
        let Some((span, token)) = self.entered.with(py, Option::take).flatten() else {
            return Ok(false);
        };
        if let Some(token) = token {
            Api::get(py)?.detach(py, &token);
        }
        let span = span.bind(py);
        if exception.is_instance_of::<PyException>() {
            let rules = (self.record_exception, self.set_status_on_exception);
            note_exception(span, exception, rules, false)?;
        }
        if self.end_on_exit {
            match span.cast::<PySpan>() {
                Ok(span) => PySpan::finish(span, None)?,
                Err(_) => drop(span.call_method0(intern!(py, "end"))?),
            }
        }
        Ok(false)
    }

    /// The same, not entered yet: each call of a decorated function has its own.
    fn again(&self, py: Python<'_>) -> Self {
        let clone = |one: &Option<Py<PyAny>>| one.as_ref().map(|one| one.clone_ref(py));
        Self {
            tracer: self.tracer.clone_ref(py),
            name: self.name.clone_ref(py),
            context: clone(&self.context),
            kind: clone(&self.kind),
            attributes: clone(&self.attributes),
            links: clone(&self.links),
            start_time: clone(&self.start_time),
            entered: Held::new(None),
            record_exception: self.record_exception,
            set_status_on_exception: self.set_status_on_exception,
            end_on_exit: self.end_on_exit,
        }
    }

    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Api::help(slf.py(), "decorate", (slf, function))
    }
}
