//! Python's view of a batch.

mod column;
mod context;
mod edits;
mod frame;
mod partition;

use std::ffi::c_int;

use bytes::Bytes;
use pyo3::buffer::PyBuffer;
use pyo3::create_exception;
use pyo3::exceptions::{PyBufferError, PyException, PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString, PyTuple};
use pyo3::{ffi, intern};

pub use self::context::{PyContext, monotonic};
use super::take::{Rows, TakeError};
use super::{Batch, Context, Signal};

create_exception!(
    heliograph._core,
    HeliographError,
    PyException,
    "Root of all that Heliograph raises."
);
create_exception!(
    heliograph._core,
    WireError,
    HeliographError,
    "Bytes from outside are malformed."
);

/// The exception, its `offset` attribute set.
pub fn wire_error(py: Python<'_>, error: &super::WireError) -> PyErr {
    let raised = WireError::new_err(error.to_string());
    match raised.value(py).setattr("offset", error.offset) {
        Ok(()) => raised,
        Err(other) => other,
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("HeliographError", py.get_type::<HeliographError>())?;
    module.add("WireError", py.get_type::<WireError>())?;
    module.add_class::<PySignal>()?;
    module.add_class::<PyContext>()?;
    module.add_class::<PyBatch>()?;
    edits::register(module)
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

/// One signal's export request in wire form. Immutable.
#[pyclass(name = "Batch", module = "heliograph._core", frozen)]
pub struct PyBatch(pub Batch);

#[pymethods]
impl PyBatch {
    #[new]
    #[pyo3(signature = (signal, data, context=None))]
    fn new(
        py: Python<'_>,
        signal: PySignal,
        data: PyBuffer<u8>,
        context: Option<&Bound<'_, PyContext>>,
    ) -> PyResult<Self> {
        let data = Bytes::from(data.to_vec(py)?);
        let context = context.map_or_else(Context::empty, |context| context.get().0.clone());
        py.detach(|| Batch::from_wire(signal.into(), data, context))
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

    #[getter]
    fn context(&self) -> PyContext {
        PyContext(self.0.context.clone())
    }

    fn with_context(&self, context: &Bound<'_, PyContext>) -> Self {
        Self(Batch { context: context.get().0.clone(), ..self.0.clone() })
    }

    fn wire<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(slf.as_any())
    }

    #[pyo3(signature = (*paths, level=None))]
    fn frame<'py>(
        &self,
        py: Python<'py>,
        paths: &Bound<'py, PyTuple>,
        level: Option<&Bound<'py, PyString>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        frame::frame(py, &self.0, paths, level.unwrap_or(intern!(py, "item")))
    }

    #[pyo3(signature = (rows, level=None))]
    fn take(
        &self,
        py: Python<'_>,
        rows: &Bound<'_, PyAny>,
        level: Option<&Bound<'_, PyString>>,
    ) -> PyResult<Self> {
        let level = level.unwrap_or(intern!(py, "item"));
        let level = frame::level_named(&self.0, &level.to_cow()?)?;
        let rows = column::rows(rows)?;
        py.detach(|| self.0.take(&rows, level)).map(PyBatch).map_err(|error| match error {
            TakeError::Wire(error) => wire_error(py, &error),
            TakeError::Level => PyValueError::new_err("there is no such level"),
            TakeError::Rows { given, rows: there } => match rows {
                Rows::Mask(_) => PyValueError::new_err(format!(
                    "the mask has {given} rows, the batch has {there}"
                )),
                Rows::Numbers(_) => {
                    PyIndexError::new_err(format!("there is no row {}", given.saturating_sub(1)))
                }
            },
        })
    }

    #[pyo3(signature = (edits, rows=None))]
    fn edit(
        slf: &Bound<'_, Self>,
        edits: &Bound<'_, PyAny>,
        rows: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        edits::edit(slf.py(), slf, edits, rows)
    }

    #[pyo3(signature = (*, items=None, nbytes=None))]
    fn split(
        &self,
        py: Python<'_>,
        items: Option<usize>,
        nbytes: Option<usize>,
    ) -> PyResult<Vec<Self>> {
        if items == Some(0) || nbytes == Some(0) {
            return Err(PyValueError::new_err("a batch of nothing cannot be a limit"));
        }
        let pieces = py.detach(|| self.0.split(items, nbytes));
        let pieces = pieces.map_err(|error| wire_error(py, &error))?;
        Ok(pieces.into_iter().map(PyBatch).collect())
    }

    fn partition<'py>(
        &self,
        py: Python<'py>,
        path: &Bound<'py, PyString>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, Self)>> {
        partition::partition(py, &self.0, path)
    }

    #[staticmethod]
    fn join(py: Python<'_>, batches: Vec<Bound<'_, Self>>) -> PyResult<Self> {
        let batches: Vec<Batch> = batches.iter().map(|batch| batch.get().0.clone()).collect();
        py.detach(|| Batch::join(&batches)).map(PyBatch).map_err(PyValueError::new_err)
    }

    fn __repr__(&self) -> String {
        let Batch { signal, data, items, .. } = &self.0;
        format!("<Batch of {signal:?}: {items} items, {} bytes>", data.len())
    }

    /// # Safety
    /// Called by the interpreter with a view to fill.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no view to fill"));
        }
        let data = &slf.get().0.data;
        // SAFETY: view is valid (above). The buffer is this object's immutable bytes, exported
        // read-only; FillInfo puts a new reference to the object into the view, so that the bytes
        // outlive it.
        let result = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                data.as_ptr().cast_mut().cast(),
                data.len().cast_signed(),
                1,
                flags,
            )
        };
        if result == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
