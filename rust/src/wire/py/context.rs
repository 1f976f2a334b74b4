//! Python's view of what is known of a request beside its bytes.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyTuple};

use crate::wire::Context;

/// What is known of a request beside its bytes. Immutable.
#[pyclass(name = "Context", module = "heliograph._core", frozen, eq)]
#[derive(PartialEq)]
pub struct PyContext(pub Arc<Context>);

/// An instant and what time.monotonic() said at it; both read the same clock.
fn anchor(py: Python<'_>) -> PyResult<(Instant, f64)> {
    static ANCHOR: OnceLock<(Instant, f64)> = OnceLock::new();
    if let Some(anchor) = ANCHOR.get() {
        return Ok(*anchor);
    }
    let now = (Instant::now(), py.import("time")?.call_method0("monotonic")?.extract()?);
    Ok(*ANCHOR.get_or_init(|| now))
}

/// What time.monotonic() says at an instant.
pub fn monotonic(py: Python<'_>, at: Instant) -> PyResult<f64> {
    let (instant, seconds) = anchor(py)?;
    Ok(match at.checked_duration_since(instant) {
        Some(later) => seconds + later.as_secs_f64(),
        None => seconds - instant.duration_since(at).as_secs_f64(),
    })
}

fn instant(py: Python<'_>, monotonic: f64) -> PyResult<Instant> {
    let (instant, seconds) = anchor(py)?;
    let apart = Duration::try_from_secs_f64((monotonic - seconds).abs()).ok();
    let found = apart.and_then(|apart| match monotonic < seconds {
        true => instant.checked_sub(apart),
        false => instant.checked_add(apart),
    });
    found.ok_or_else(|| PyValueError::new_err("deadline is not on time.monotonic()'s scale"))
}

#[pymethods]
impl PyContext {
    #[new]
    #[pyo3(signature = (metadata=None, peer=None, auth=None, deadline=None))]
    fn new(
        py: Python<'_>,
        metadata: Option<&Bound<'_, PyMapping>>,
        peer: Option<String>,
        auth: Option<&Bound<'_, PyMapping>>,
        deadline: Option<f64>,
    ) -> PyResult<Self> {
        let mut context = Context { peer, ..Context::default() };
        if let Some(metadata) = metadata {
            for item in metadata.items()? {
                let (name, values): (String, Vec<String>) = item.extract()?;
                context.metadata.push((name.to_lowercase(), values));
            }
        }
        if let Some(auth) = auth {
            for item in auth.items()? {
                context.auth.push(item.extract()?);
            }
        }
        context.deadline = deadline.map(|deadline| instant(py, deadline)).transpose()?;
        Ok(Self(Arc::new(context)))
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let metadata = PyDict::new(py);
        for (name, values) in &self.0.metadata {
            metadata.set_item(name, PyTuple::new(py, values)?)?;
        }
        Ok(metadata)
    }

    #[getter]
    fn peer(&self) -> Option<&str> {
        self.0.peer.as_deref()
    }

    #[getter]
    fn auth<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let auth = PyDict::new(py);
        for (name, value) in &self.0.auth {
            auth.set_item(name, value)?;
        }
        Ok(auth)
    }

    #[getter]
    fn deadline(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        self.0.deadline.map(|deadline| monotonic(py, deadline)).transpose()
    }
}
