//! A span that nobody records: it only says where its children belong.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::super::span::Ids;
use super::api::{Api, Place};
use super::held::Held;
use super::span::PySpanBase;

/// Counts as an `opentelemetry.trace.NonRecordingSpan`.
#[pyclass(
    name = "UnsampledSpan",
    module = "heliograph._core",
    extends = PySpanBase,
    frozen,
    weakref,
    dict
)]
pub struct PyUnsampled {
    ids: Ids,
    state: Option<Py<PyAny>>,
    context: Held<Option<Py<PyAny>>>,
}

impl PyUnsampled {
    pub fn create(py: Python<'_>, ids: Ids, state: Option<Py<PyAny>>) -> PyResult<Bound<'_, Self>> {
        let span = Self { ids, state, context: Held::new(None) };
        Bound::new(py, PyClassInitializer::from(PySpanBase).add_subclass(span))
    }

    pub fn place(&self, py: Python<'_>) -> Place {
        let known = |context: &mut Option<Py<PyAny>>| context.as_ref().map(|one| one.clone_ref(py));
        Place {
            ids: self.ids,
            state: self.state.as_ref().map(|state| state.clone_ref(py)),
            context: self.context.with(py, known).flatten(),
        }
    }
}

#[pymethods]
impl PyUnsampled {
    fn get_span_context(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(context) = self.place(py).context {
            return Ok(context);
        }
        let made = Api::get(py)?.span_context(py, self.ids, self.state.as_ref())?.unbind();
        let keep = made.clone_ref(py);
        self.context.with(py, |context| *context = Some(keep));
        Ok(made)
    }

    fn is_recording(&self) -> bool {
        false
    }

    #[pyo3(signature = (end_time=None))]
    fn end(&self, end_time: Option<&Bound<'_, PyAny>>) {
        let _ = end_time;
    }

    fn set_attribute(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        let _ = (key, value);
    }

    fn set_attributes(&self, attributes: &Bound<'_, PyAny>) {
        let _ = attributes;
    }

    #[pyo3(signature = (name, attributes=None, timestamp=None))]
    fn add_event(
        &self,
        name: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) {
        let _ = (name, attributes, timestamp);
    }

    #[pyo3(signature = (context, attributes=None))]
    fn add_link(&self, context: &Bound<'_, PyAny>, attributes: Option<&Bound<'_, PyAny>>) {
        let _ = (context, attributes);
    }

    fn update_name(&self, name: &Bound<'_, PyAny>) {
        let _ = name;
    }

    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: &Bound<'_, PyAny>, description: Option<&Bound<'_, PyAny>>) {
        let _ = (status, description);
    }

    #[pyo3(signature = (exception, attributes=None, timestamp=None, escaped=false))]
    fn record_exception(
        &self,
        exception: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        escaped: bool,
    ) {
        let _ = (exception, attributes, timestamp, escaped);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __exit__(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> bool {
        let _ = (args, kwargs);
        false
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let context = self.get_span_context(py)?;
        Ok(format!("NonRecordingSpan({})", context.bind(py).repr()?))
    }
}
