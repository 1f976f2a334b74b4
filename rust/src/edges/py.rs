//! Python's view of the edges.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::events::Events;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyEvents>()
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
