//! What the recorder uses of `opentelemetry-api`, looked up once.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyString, PyType};

use super::super::span::Ids;
use super::held::Held;
use super::span::PySpan;
use super::unsampled::PyUnsampled;

pub struct Api {
    /// `get`, `set` and `reset` of the variable that holds the current context, or the methods of
    /// a runtime context that is not on a variable.
    get: Py<PyAny>,
    set: Py<PyAny>,
    reset: Py<PyAny>,
    pub span_key: Py<PyString>,
    pub context: Py<PyAny>,
    span_context: Py<PyAny>,
    trace_flags: Py<PyAny>,
    pub trace_state: Py<PyAny>,
    span: Py<PyType>,
    pub kinds: Vec<Py<PyAny>>,
    pub non_recording: Py<PyAny>,
    helpers: Py<PyModule>,
    exporting: Py<PyAny>,
}

impl Api {
    pub fn get(py: Python<'_>) -> PyResult<&'static Self> {
        static API: PyOnceLock<Api> = PyOnceLock::new();
        API.get_or_try_init(py, || Self::load(py))
    }

    fn load(py: Python<'_>) -> PyResult<Self> {
        let context = py.import("opentelemetry.context")?;
        // Asking makes the API load its runtime context, which older versions do lazily.
        context.call_method0("get_current")?;
        let runtime = context.getattr("_RUNTIME_CONTEXT")?;
        let variable = py
            .import("opentelemetry.context.contextvars_context")?
            .getattr("ContextVarsRuntimeContext")?;
        let on_variable = runtime.get_type().is(&variable);
        let (holder, names) = if on_variable {
            (runtime.getattr("_current_context")?, ["get", "set", "reset"])
        } else {
            (runtime, ["get_current", "attach", "detach"])
        };
        let method = |name: &str| holder.getattr(name).map(Bound::unbind);
        let trace = py.import("opentelemetry.trace")?;
        let class = |name: &str| trace.getattr(name).map(Bound::unbind);
        let kinds = ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
        let kind = trace.getattr("SpanKind")?;
        let propagation = py.import("opentelemetry.trace.propagation")?;
        Ok(Self {
            get: method(names[0])?,
            set: method(names[1])?,
            reset: method(names[2])?,
            span_key: propagation.getattr("_SPAN_KEY")?.cast_into::<PyString>()?.unbind(),
            context: context.getattr("Context")?.unbind(),
            span_context: class("SpanContext")?,
            trace_flags: class("TraceFlags")?,
            trace_state: class("TraceState")?,
            span: trace.getattr("Span")?.cast_into::<PyType>()?.unbind(),
            kinds: kinds
                .iter()
                .map(|name| kind.getattr(*name).map(Bound::unbind))
                .collect::<PyResult<_>>()?,
            non_recording: class("NonRecordingSpan")?,
            helpers: py.import("heliograph.sdk.trace._helpers")?.unbind(),
            exporting: py.import("heliograph.sdk._worker")?.getattr("EXPORTING")?.unbind(),
        })
    }

    /// Call a function of `heliograph.sdk.trace._helpers`.
    pub fn help<'py, A>(py: Python<'py>, name: &str, arguments: A) -> PyResult<Bound<'py, PyAny>>
    where
        A: pyo3::call::PyCallArgs<'py>,
    {
        Self::get(py)?.helpers.bind(py).getattr(name)?.call1(arguments)
    }

    pub fn current<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get.bind(py).call0()
    }

    /// Whether what runs in this context exports.
    pub fn is_exporting(&self, context: &Bound<'_, PyAny>) -> bool {
        let context = context.cast::<PyDict>();
        context.is_ok_and(|context| context.contains(&self.exporting).unwrap_or(false))
    }

    /// Make a context like `current` with this span; return the token.
    pub fn attach<'py>(
        &self,
        py: Python<'py>,
        current: &Bound<'py, PyAny>,
        span: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let context = self.context.bind(py).call0()?;
        // SAFETY: both are checked to be dicts, whose methods `Context` overrides to be read-only.
        let failed = unsafe {
            ffi::PyDict_Check(context.as_ptr()) == 0
                || ffi::PyDict_Check(current.as_ptr()) == 0
                || ffi::PyDict_Update(context.as_ptr(), current.as_ptr()) < 0
                || ffi::PyDict_SetItem(context.as_ptr(), self.span_key.as_ptr(), span.as_ptr()) < 0
        };
        if failed {
            return Err(PyErr::take(py)
                .unwrap_or_else(|| PyTypeError::new_err("the current context is no dict")));
        }
        self.set.bind(py).call1((context,))
    }

    /// Go back to the context before; quietly when this is another one, as in a generator.
    pub fn detach(&self, py: Python<'_>, token: &Py<PyAny>) {
        let _ = self.reset.bind(py).call1((token,));
    }

    /// Where a span begins that is started in `context`.
    pub fn parent(&self, py: Python<'_>, context: &Bound<'_, PyAny>) -> PyResult<Option<Place>> {
        let key = self.span_key.bind(py);
        let span = match context.cast::<PyDict>() {
            Ok(context) => context.get_item(key)?,
            Err(_) => Some(context.call_method1(intern!(py, "get"), (key,))?),
        };
        let Some(span) = span else { return Ok(None) };
        if let Ok(span) = span.cast::<PySpan>() {
            return Ok(Some(span.get().place(py)));
        }
        if let Ok(span) = span.cast::<PyUnsampled>() {
            return Ok(Some(span.get().place(py)));
        }
        if !span.is_instance(self.span.bind(py))? {
            return Ok(None);
        }
        let context = span.call_method0(intern!(py, "get_span_context"))?;
        if context.is_none() { Ok(None) } else { Place::read(&context).map(Some) }
    }

    pub fn span_context<'py>(
        &self,
        py: Python<'py>,
        ids: Ids,
        state: Option<&Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let same = |known: &Known| {
            let states = (known.state.as_ref().map(Py::as_ptr), state.map(Py::as_ptr));
            known.ids == ids && states.0 == states.1
        };
        let at = ids.span as usize % RECENT;
        let known = CONTEXTS.with(py, |all| {
            all[at].as_ref().filter(|known| same(known)).map(|known| known.context.clone_ref(py))
        });
        if let Some(context) = known.flatten() {
            return Ok(context.into_bound(py));
        }
        let flags = self.trace_flags.bind(py).call1((ids.flags,))?;
        let arguments = (ids.trace, ids.span, ids.remote, flags, state);
        let made = self.span_context.bind(py).call1(arguments)?;
        let known = Known {
            ids,
            state: state.map(|state| state.clone_ref(py)),
            context: made.clone().unbind(),
        };
        let _old = CONTEXTS.with(py, |all| all[at].replace(known));
        Ok(made)
    }
}

/// How many span contexts are remembered.
const RECENT: usize = 64;

/// The last span contexts that were made, by their span id: what asks a child for its parent after
/// it asked the parent, as every processor and exporter does, gets the same object.
static CONTEXTS: Held<[Option<Known>; RECENT]> = Held::new([const { None }; RECENT]);

struct Known {
    ids: Ids,
    state: Option<Py<PyAny>>,
    context: Py<PyAny>,
}

/// A span context: numbers, and what goes along.
pub struct Place {
    pub ids: Ids,
    pub state: Option<Py<PyAny>>,
    /// The Python object, when there is one already.
    pub context: Option<Py<PyAny>>,
}

impl Place {
    /// Read a SpanContext.
    pub fn read(context: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = context.py();
        let ids = Ids {
            trace: context.getattr(intern!(py, "trace_id"))?.extract().unwrap_or(0),
            span: context.getattr(intern!(py, "span_id"))?.extract().unwrap_or(0),
            flags: context.getattr(intern!(py, "trace_flags"))?.extract().unwrap_or(0),
            remote: context.getattr(intern!(py, "is_remote"))?.is_truthy()?,
        };
        let state = context.getattr(intern!(py, "trace_state"))?;
        let state = (!state.is_none()).then(|| state.unbind());
        Ok(Self { ids, state, context: Some(context.clone().unbind()) })
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            ids: self.ids,
            state: self.state.as_ref().map(|state| state.clone_ref(py)),
            context: self.context.as_ref().map(|context| context.clone_ref(py)),
        }
    }
}

/// The header's form of a TraceState; empty for none.
pub fn state_text(py: Python<'_>, state: Option<&Py<PyAny>>) -> String {
    let Some(state) = state else { return String::new() };
    let state = state.bind(py);
    if state.len().unwrap_or(0) == 0 {
        return String::new();
    }
    let text = state.call_method0(intern!(py, "to_header"));
    text.and_then(|text| text.extract()).unwrap_or_default()
}
