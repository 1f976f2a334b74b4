//! The span that a measurement is made in.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

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

/// Look up what is used of the API.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    api(py).map(drop)
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
#[inline]
pub fn current(context: &Bound<'_, PyAny>) -> PyResult<Option<Current>> {
    let py = context.py();
    let api = api(py)?;
    let span = match (context.cast::<PyDict>(), &api.span_key) {
        (Ok(entries), Some(key)) => match entries.get_item(key)? {
            Some(span) if !span.is_none() => span,
            _ => return Ok(None),
        },
        _ => api.get_current_span.bind(py).call1((context,))?,
    };
    let span = span.call_method0(intern!(py, "get_span_context"))?;
    let field = |at, name| match span.cast::<PyTuple>() {
        Ok(fields) => fields.get_item(at),
        Err(_) => span.getattr(name),
    };
    // A span context is a tuple with names.
    let (trace, span_id) = (field(0, "trace_id")?, field(1, "span_id")?);
    let (trace, span_id) = (wide(&trace)?, narrow(&span_id)?);
    if trace == 0 || span_id == 0 {
        return Ok(None);
    }
    let sampled = narrow(&field(3, "trace_flags")?)? & 1 == 1;
    Ok(Some(Current { ids: (trace.to_be_bytes(), span_id.to_be_bytes()), sampled }))
}

fn narrow(number: &Bound<'_, PyAny>) -> PyResult<u64> {
    number.extract()
}

/// A number of 128 bits. Without the full API of CPython there is no quicker way.
fn wide(number: &Bound<'_, PyAny>) -> PyResult<u128> {
    static SHIFT: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    let py = number.py();
    let (bits, mask) = SHIFT.get_or_try_init(py, || {
        let object = |value: u64| value.into_pyobject(py).map(|value| value.into_any().unbind());
        Ok::<_, PyErr>((object(64)?, object(u64::MAX)?))
    })?;
    let high = narrow(&number.rshift(bits)?)?;
    let low = narrow(&number.bitand(mask)?)?;
    Ok(u128::from(high) << 64 | u128::from(low))
}
