//! Python's view of a batch.

use std::sync::Arc;

use bytes::Bytes;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Batch, Context, Signal, WireError};

create_exception!(
    heliograph._core,
    HeliographError,
    PyException,
    "Root of all that Heliograph raises."
);
create_exception!(
    heliograph._core,
    PyWireError,
    HeliographError,
    "Bytes from outside are malformed."
);

/// The exception, its `offset` attribute set.
pub fn wire_error(py: Python<'_>, error: &WireError) -> PyErr {
    let raised = PyWireError::new_err(error.to_string());
    match raised.value(py).setattr("offset", error.offset) {
        Ok(()) => raised,
        Err(other) => other,
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("HeliographError", py.get_type::<HeliographError>())?;
    module.add("WireError", py.get_type::<PyWireError>())?;
    module.add_class::<PySignal>()?;
    module.add_class::<PyContext>()?;
    module.add_class::<PyBatch>()
}

/// What a batch carries.
#[pyclass(
    name = "Signal",
    module = "heliograph._core",
    eq,
    hash,
    frozen,
    from_py_object,
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum PySignal {
    Traces,
    Metrics,
    Logs,
    Profiles,
}

impl From<PySignal> for Signal {
    fn from(signal: PySignal) -> Self {
        match signal {
            PySignal::Traces => Signal::Traces,
            PySignal::Metrics => Signal::Metrics,
            PySignal::Logs => Signal::Logs,
            PySignal::Profiles => Signal::Profiles,
        }
    }
}

impl From<Signal> for PySignal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Traces => PySignal::Traces,
            Signal::Metrics => PySignal::Metrics,
            Signal::Logs => PySignal::Logs,
            Signal::Profiles => PySignal::Profiles,
        }
    }
}

/// What is known of a request beside its bytes.
#[pyclass(name = "Context", module = "heliograph._core", frozen)]
pub struct PyContext(pub Arc<Context>);

/// One signal's export request in wire form. Immutable.
#[pyclass(name = "Batch", module = "heliograph._core", frozen)]
pub struct PyBatch(pub Batch);

#[pymethods]
impl PyBatch {
    #[new]
    fn new(py: Python<'_>, signal: PySignal, data: &[u8]) -> PyResult<Self> {
        let data = Bytes::copy_from_slice(data);
        py.detach(|| Batch::from_wire(signal.into(), data, Context::empty()))
            .map(PyBatch)
            .map_err(|error| wire_error(py, &error))
    }

    #[staticmethod]
    fn from_json(py: Python<'_>, data: &[u8], signal: PySignal) -> PyResult<Self> {
        let data = data.to_vec();
        py.detach(|| Batch::from_json(signal.into(), &data, Context::empty()))
            .map(PyBatch)
            .map_err(|error| wire_error(py, &error))
    }

    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        py.detach(|| self.0.to_json())
            .map(|text| PyBytes::new(py, &text))
            .map_err(|error| wire_error(py, &error))
    }

    #[getter]
    fn signal(&self) -> PySignal {
        self.0.signal.into()
    }

    #[getter]
    fn items(&self) -> usize {
        self.0.items
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.0.data.len()
    }

    fn wire<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.data)
    }
}
