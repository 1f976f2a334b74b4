//! Columns for Python: a projection handed to polars through Arrow's C stream, without copying.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchIterator};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyString, PyTuple};

use super::{PySignal, wire_error};
use crate::wire::Batch;
use crate::wire::plan::Plan;
use crate::wire::project::project;
use crate::wire::schema::Level;

/// Compiled sets of paths that are kept; a configuration has far fewer.
const KEPT: usize = 4096;

/// A compiled set of paths.
#[pyclass(frozen)]
struct PyPlan(Arc<Plan>);

/// A table that polars takes over.
#[pyclass(frozen)]
struct Table(Mutex<Option<RecordBatch>>);

#[pymethods]
impl Table {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let table = table.ok_or_else(|| PyRuntimeError::new_err("the table was taken before"))?;
        let schema = table.schema();
        let reader = RecordBatchIterator::new([Ok(table)], schema);
        let stream = FFI_ArrowArrayStream::new(Box::new(reader));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }
}

/// The level that Python names.
pub fn level_named(batch: &Batch, name: &str) -> PyResult<Level> {
    Level::parse(batch.signal, name)
        .ok_or_else(|| PyValueError::new_err(format!("{:?} have no level {name:?}", batch.signal)))
}

/// The compiled paths, from the cache when they were asked for before.
pub fn plan(
    py: Python<'_>,
    batch: &Batch,
    paths: &Bound<'_, PyTuple>,
    level: &Bound<'_, PyString>,
) -> PyResult<Arc<Plan>> {
    static PLANS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let plans = PLANS.get_or_init(py, || PyDict::new(py).unbind()).bind(py);
    let key = (PySignal::from(batch.signal) as u8, level, paths).into_pyobject(py)?;
    if let Some(found) = plans.get_item(&key)? {
        return Ok(found.cast::<PyPlan>()?.get().0.clone());
    }
    let named = level_named(batch, &level.to_cow()?)?;
    let texts: Vec<String> = paths.extract()?;
    let plan = Plan::compile(batch.signal, named, &texts)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let plan = Arc::new(plan);
    if plans.len() >= KEPT {
        plans.clear();
    }
    plans.set_item(key, Bound::new(py, PyPlan(plan.clone()))?)?;
    Ok(plan)
}

/// Project the paths into a polars.DataFrame.
pub fn frame<'py>(
    py: Python<'py>,
    batch: &Batch,
    paths: &Bound<'py, PyTuple>,
    level: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    let plan = plan(py, batch, paths, level)?;
    let table = py.detach(|| project(batch, &plan)).map_err(|error| wire_error(py, &error))?;
    let table = Bound::new(py, Table(Mutex::new(Some(table))))?;
    static DATA_FRAME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    DATA_FRAME.import(py, "polars", "DataFrame")?.call1((table,))
}
