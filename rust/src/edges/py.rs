//! Python's view of the edges.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::admission::{self, Admission, Refusal};
use super::events::Events;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyEvents>()?;
    module.add_class::<PyAdmission>()?;
    module.add_function(wrap_pyfunction!(py_admission, module)?)?;
    super::server::py::register(module)
}

/// The byte budget of this process.
#[pyclass(name = "Admission", module = "heliograph._core", frozen)]
struct PyAdmission(&'static Admission);

#[pymethods]
impl PyAdmission {
    /// Bytes that the core holds: bodies being read, batches, sends.
    #[getter]
    fn used(&self) -> usize {
        self.0.used()
    }

    /// The most bytes that may be held; None is no limit.
    #[getter]
    fn limit(&self) -> Option<usize> {
        self.0.limit()
    }

    #[setter]
    fn set_limit(&self, limit: Option<usize>) {
        self.0.set_limit(limit);
    }

    /// Refuse every new request with this reason, to come again `after` seconds; None ends it.
    #[pyo3(signature = (reason, after=1.0))]
    fn refuse(&self, reason: Option<String>, after: f64) {
        let after = Duration::try_from_secs_f64(after).unwrap_or_default();
        self.0.refuse(reason.map(|reason| Refusal { reason, after }));
    }
}

/// Return the byte budget of this process.
#[pyfunction]
#[pyo3(name = "admission")]
fn py_admission() -> PyAdmission {
    PyAdmission(admission::admission())
}

/// Makes the Python object of an event; runs with the interpreter attached, while draining.
pub type Payload = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send>;

/// An event for Python: call `target(payload)`.
pub struct Event {
    pub target: std::sync::Arc<Py<PyAny>>,
    pub payload: Payload,
}

/// The queue between the native runtime and one asyncio loop.
#[pyclass(name = "Events", module = "heliograph._core", frozen)]
pub struct PyEvents(pub std::sync::Arc<Events<Event>>);

#[pymethods]
impl PyEvents {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(std::sync::Arc::new(Events::new()?)))
    }

    fn fileno(&self) -> i32 {
        self.0.fileno()
    }

    /// Return all that waits as (target, payload) pairs, oldest first.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events = PyList::empty(py);
        for event in self.0.drain() {
            let payload = (event.payload)(py)?;
            events.append(PyTuple::new(py, [event.target.bind(py), &payload])?)?;
        }
        Ok(events)
    }
}
