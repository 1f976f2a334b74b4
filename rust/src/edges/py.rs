//! Python's view of the edges.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::admission::{self, Admission, Refusal};
use super::compress::{Coding, Compressor};
use super::events::Events;
use crate::platform::socket::Number;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyEvents>()?;
    module.add_class::<PyAdmission>()?;
    module.add_function(wrap_pyfunction!(py_admission, module)?)?;
    module.add_function(wrap_pyfunction!(compress, module)?)?;
    module.add_function(wrap_pyfunction!(keep_freed_memory, module)?)?;
    module.add_function(wrap_pyfunction!(release_freed_memory, module)?)?;
    super::client::py::register(module)?;
    super::server::py::register(module)
}

/// Keep freed memory for the next body; for a process that is a collector, not for an app.
#[pyfunction]
fn keep_freed_memory() {
    super::runtime::keep_freed_memory();
}

/// Give freed memory that was kept back to the system.
#[pyfunction]
fn release_freed_memory(py: Python<'_>) {
    py.detach(super::runtime::release_freed_memory);
}

/// Compress bytes for what is not a request of the client, such as a file.
#[pyfunction]
#[pyo3(signature = (data, coding, level=None))]
fn compress<'py>(
    py: Python<'py>,
    data: PyBackedBytes,
    coding: &str,
    level: Option<i32>,
) -> PyResult<Bound<'py, PyBytes>> {
    let coding = Coding::from_http(coding)
        .ok_or_else(|| PyValueError::new_err(format!("there is no content coding '{coding}'")))?;
    let packed = py.detach(|| Compressor { coding, level }.compress(&data))?;
    Ok(PyBytes::new(py, &packed))
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

    fn fileno(&self) -> Number {
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
