//! W3C Trace Context and Baggage between contexts and carriers.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PySet, PyString};

use super::super::w3c;
use super::api::{Api, state_text};
use super::unsampled::PyUnsampled;
use super::values::with_text;

/// What is used of the API here.
struct Names {
    baggage_key: Py<PyAny>,
    getter: Py<PyAny>,
    setter: Py<PyAny>,
}

impl Names {
    fn get(py: Python<'_>) -> PyResult<&'static Self> {
        static NAMES: PyOnceLock<Names> = PyOnceLock::new();
        NAMES.get_or_try_init(py, || {
            let textmap = py.import("opentelemetry.propagators.textmap")?;
            Ok(Self {
                baggage_key: py.import("opentelemetry.baggage")?.getattr("_BAGGAGE_KEY")?.unbind(),
                getter: textmap.getattr("default_getter")?.unbind(),
                setter: textmap.getattr("default_setter")?.unbind(),
            })
        })
    }
}

/// Look up what is used of the API.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    Names::get(py).map(drop)
}

/// Injects and extracts `traceparent` and `tracestate`, `baggage`, or all three.
#[pyclass(name = "W3CPropagator", module = "heliograph._core", subclass, frozen)]
pub struct PyW3c {
    trace: bool,
    baggage: bool,
}

/// A way to read a carrier.
struct Source<'a, 'py> {
    carrier: &'a Bound<'py, PyAny>,
    getter: Option<&'a Bound<'py, PyAny>>,
    /// The carrier, when plain lookups will do.
    plain: Option<&'a Bound<'py, PyDict>>,
}

impl<'py> Source<'_, 'py> {
    /// The values of a header.
    fn get(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        if let Some(carrier) = self.plain {
            match carrier.get_item(name)? {
                None => return Ok(Vec::new()),
                Some(one) if one.is_instance_of::<PyString>() => return Ok(vec![one]),
                Some(_) => {}
            }
        }
        let getter = match self.getter {
            Some(getter) => getter,
            None => Names::get(py)?.getter.bind(py),
        };
        let found = getter.call_method1(intern!(py, "get"), (self.carrier, name))?;
        if found.is_none() {
            return Ok(Vec::new());
        }
        found.try_iter()?.collect()
    }
}

impl PyW3c {
    fn parent<'py>(
        py: Python<'py>,
        source: &Source<'_, 'py>,
    ) -> PyResult<Option<Bound<'py, PyUnsampled>>> {
        let headers = source.get(py, intern!(py, "traceparent"))?;
        let Some(Ok(header)) = headers.first().map(|header| header.cast::<PyString>()) else {
            return Ok(None);
        };
        let Some(ids) = with_text(header, w3c::read_parent) else { return Ok(None) };
        let headers = source.get(py, intern!(py, "tracestate"))?;
        let headers: Vec<String> =
            headers.iter().filter_map(|header| header.extract().ok()).collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let pairs = w3c::read_state(&headers);
        let state = if pairs.is_empty() {
            None
        } else {
            let class = Api::get(py)?.trace_state.bind(py);
            let state = class.call_method1(intern!(py, "__new__"), (class,))?;
            let kept = PyDict::new(py);
            for (key, value) in pairs {
                kept.set_item(key, value)?;
            }
            state.setattr(intern!(py, "_dict"), kept)?;
            Some(state.unbind())
        };
        PyUnsampled::create(py, ids, state).map(Some)
    }

    /// The baggage of `context`, and what the carrier brings; None when it brings nothing.
    fn baggage<'py>(
        py: Python<'py>,
        source: &Source<'_, 'py>,
        context: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let headers = source.get(py, intern!(py, "baggage"))?;
        let Some(Ok(header)) = headers.first().map(|header| header.cast::<PyString>()) else {
            return Ok(None);
        };
        let pairs = with_text(header, w3c::read_baggage);
        if pairs.is_empty() {
            return Ok(None);
        }
        let before = held(py, context)?;
        let baggage = match before {
            Some(before) => before.copy()?,
            None => PyDict::new(py),
        };
        for (key, value) in pairs {
            baggage.set_item(key, value)?;
        }
        Ok(Some(baggage))
    }
}

/// The baggage in a context.
fn held<'py>(py: Python<'py>, context: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let key = Names::get(py)?.baggage_key.bind(py);
    let found = match context.cast::<PyDict>() {
        Ok(context) => context.get_item(key)?,
        Err(_) => Some(context.call_method1(intern!(py, "get"), (key,))?),
    };
    Ok(found.and_then(|found| found.cast_into::<PyDict>().ok()))
}

/// Text of a key or value; what is no text is told as text.
fn with_str<R>(value: &Bound<'_, PyAny>, act: impl FnOnce(&str) -> R) -> PyResult<R> {
    match value.cast::<PyString>() {
        Ok(value) => Ok(with_text(value, act)),
        Err(_) => Ok(with_text(&value.str()?, act)),
    }
}

#[pymethods]
impl PyW3c {
    #[new]
    #[pyo3(signature = (*, trace=true, baggage=true))]
    fn new(trace: bool, baggage: bool) -> Self {
        Self { trace, baggage }
    }

    #[pyo3(signature = (carrier, context=None, setter=None))]
    fn inject(
        &self,
        py: Python<'_>,
        carrier: &Bound<'_, PyAny>,
        context: Option<&Bound<'_, PyAny>>,
        setter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let api = Api::get(py)?;
        let current = match context {
            Some(context) => context.clone(),
            None => api.current(py)?,
        };
        let standard = Names::get(py)?.setter.bind(py);
        let setter = setter.unwrap_or(standard);
        let plain = carrier.cast_exact::<PyDict>().ok().filter(|_| setter.is(standard));
        let set = |name: &Bound<'_, PyString>, value: &str| match plain {
            Some(carrier) => carrier.set_item(name, value),
            None => setter.call_method1(intern!(py, "set"), (carrier, name, value)).map(drop),
        };
        if self.trace
            && let Some(place) = api.parent(py, &current)?.filter(|place| place.ids.is_valid())
        {
            set(intern!(py, "traceparent"), &w3c::parent(place.ids))?;
            let state = state_text(py, place.state.as_ref());
            if !state.is_empty() {
                set(intern!(py, "tracestate"), &state)?;
            }
        }
        if self.baggage
            && let Some(entries) = held(py, &current)?
        {
            let mut baggage = w3c::Baggage::default();
            for (key, value) in entries.iter() {
                with_str(&key, |key| with_str(&value, |value| baggage.push(key, value)))??;
            }
            if baggage.dropped > 0 {
                Api::help(py, "baggage_dropped", (baggage.dropped,))?;
            }
            if !baggage.header.is_empty() {
                set(intern!(py, "baggage"), &baggage.header)?;
            }
        }
        Ok(())
    }

    #[pyo3(signature = (carrier, context=None, getter=None))]
    fn extract<'py>(
        &self,
        py: Python<'py>,
        carrier: &Bound<'py, PyAny>,
        context: Option<&Bound<'py, PyAny>>,
        getter: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let api = Api::get(py)?;
        let base = match context {
            Some(context) => context.clone(),
            None if self.trace => api.context.bind(py).call0()?,
            None => api.current(py)?,
        };
        let standard = Names::get(py)?.getter.bind(py);
        let by_default = getter.is_none_or(|getter| getter.is(standard));
        let plain = carrier.cast_exact::<PyDict>().ok().filter(|_| by_default);
        let source = Source { carrier, getter, plain };
        let span = if self.trace { Self::parent(py, &source)? } else { None };
        let baggage = if self.baggage { Self::baggage(py, &source, &base)? } else { None };
        if span.is_none() && baggage.is_none() {
            return Ok(base);
        }
        let made = api.context.bind(py).call0()?;
        let put = |key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>| {
            // SAFETY: `made` is checked below to be a dict, whose own methods refuse changes.
            unsafe { ffi::PyDict_SetItem(made.as_ptr(), key.as_ptr(), value.as_ptr()) >= 0 }
        };
        // SAFETY: both are checked to be dicts.
        let good = unsafe {
            ffi::PyDict_Check(made.as_ptr()) != 0
                && ffi::PyDict_Check(base.as_ptr()) != 0
                && ffi::PyDict_Update(made.as_ptr(), base.as_ptr()) >= 0
        } && span.is_none_or(|span| put(api.span_key.bind(py).as_any(), span.as_any()))
            && match baggage {
                Some(baggage) => put(Names::get(py)?.baggage_key.bind(py), baggage.as_any()),
                None => true,
            };
        if good {
            return Ok(made);
        }
        Err(PyErr::take(py).unwrap_or_else(|| PyTypeError::new_err("the context is no dict")))
    }

    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        let trace: &[&str] = if self.trace { &["traceparent", "tracestate"] } else { &[] };
        let baggage: &[&str] = if self.baggage { &["baggage"] } else { &[] };
        PySet::new(py, trace.iter().chain(baggage))
    }
}
