//! The span that a measurement is made in.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

/// Trace and span id, big-endian, and whether the trace is sampled.
pub struct Current {
    pub ids: ([u8; 16], [u8; 8]),
    pub sampled: bool,
}

/// What of the API answers quickly which span is current.
struct Api {
    /// `get` of the context variable, or `get_current` when the app has another kind of context.
    get_current: Py<PyAny>,
    /// Under which a context holds its span; None when this API keeps it elsewhere.
    span_key: Option<Py<PyAny>>,
    get_current_span: Py<PyAny>,
}

fn api(py: Python<'_>) -> PyResult<&'static Api> {
    static API: PyOnceLock<Api> = PyOnceLock::new();
    API.get_or_try_init(py, || {
        let context = py.import("opentelemetry.context")?;
        // Asking makes the API load its runtime context, which older versions do lazily.
        let mut get_current = context.getattr("get_current")?;
        get_current.call0()?;
        let variable = context
            .getattr("_RUNTIME_CONTEXT")
            .and_then(|runtime| runtime.getattr("_current_context"))
            .and_then(|variable| variable.getattr("get"));
        if let Ok(get) = variable {
            get_current = get;
        }
        let propagation = py.import("opentelemetry.trace.propagation")?;
        Ok(Api {
            get_current: get_current.unbind(),
            span_key: propagation.getattr("_SPAN_KEY").ok().map(Bound::unbind),
            get_current_span: propagation.getattr("get_current_span")?.unbind(),
        })
    })
}

/// The current context, unless one is given that is not empty.
pub fn context_or_current<'py>(
    py: Python<'py>,
    given: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match given {
        Some(context) if context.is_truthy()? => Ok(context.clone()),
        _ => api(py)?.get_current.bind(py).call0(),
    }
}

/// The span of a context, unless it has none.
pub fn current(context: &Bound<'_, PyAny>) -> PyResult<Option<Current>> {
    let py = context.py();
    let api = api(py)?;
    if let (Ok(entries), Some(key)) = (context.cast::<PyDict>(), &api.span_key)
        && entries.get_item(key)?.is_none()
    {
        return Ok(None);
    }
    let span = api.get_current_span.bind(py).call1((context,))?;
    let span = span.call_method0(intern!(py, "get_span_context"))?;
    if !span.getattr(intern!(py, "is_valid"))?.is_truthy()? {
        return Ok(None);
    }
    let flags: u32 = span.getattr(intern!(py, "trace_flags"))?.extract()?;
    let ids = (
        big_endian(&span.getattr(intern!(py, "trace_id"))?)?,
        big_endian(&span.getattr(intern!(py, "span_id"))?)?,
    );
    Ok(Some(Current { ids, sampled: flags & 1 == 1 }))
}

fn big_endian<const N: usize>(id: &Bound<'_, PyAny>) -> PyResult<[u8; N]> {
    let py = id.py();
    let bytes = id.call_method1(intern!(py, "to_bytes"), (N, intern!(py, "big")))?;
    Ok(bytes.cast::<PyBytes>()?.as_bytes().try_into()?)
}
