//! Python's view of the recorder.

mod api;
mod current;
pub mod fence;
mod given;
mod held;
mod logs;
mod propagation;
mod queue;
mod readable;
mod room;
mod span;
mod tracer;
mod unsampled;
pub mod values;
mod written;

use pyo3::prelude::*;

use super::{clock, fork};
use held::Held;

static IN_CHILDREN: Held<Option<Py<PyAny>>> = Held::new(None);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    fork::watch();
    fence::listen();
    super::metrics::py::register(module)?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<span::PySpanBase>()?;
    module.add_class::<span::PySpan>()?;
    module.add_class::<unsampled::PyUnsampled>()?;
    module.add_class::<current::PyCurrent>()?;
    module.add_class::<queue::PyQueue>()?;
    module.add_class::<queue::PyRoute>()?;
    module.add_class::<queue::PyScope>()?;
    module.add_class::<tracer::PyTracer>()?;
    module.add_class::<propagation::PyW3c>()?;
    module.add_class::<logs::PyLogRoute>()?;
    module.add_class::<logs::PyLogRecorder>()?;
    module.add_function(wrap_pyfunction!(logs::encode_logs, module)?)?;
    module.add_function(wrap_pyfunction!(fork_generation, module)?)?;
    module.add_function(wrap_pyfunction!(fence::panics, module)?)?;
    module.add_function(wrap_pyfunction!(call_in_children, module)?)?;
    module.add_function(wrap_pyfunction!(settle, module)?)?;
    module.add_function(wrap_pyfunction!(prepare, module)?)?;
    module.add_function(wrap_pyfunction!(hold_time, module)?)?;
    module.add_function(wrap_pyfunction!(forget, module)?)?;
    module.add_function(wrap_pyfunction!(tracer::random_id, module)?)?;
    module.add_function(wrap_pyfunction!(readable::encode_spans, module)?)
}

/// A number that changes in a forked child.
#[pyfunction]
fn fork_generation() -> u64 {
    fork::generation()
}

/// Call this once in each forked child, before anything is recorded there.
#[pyfunction]
fn call_in_children(py: Python<'_>, function: Py<PyAny>) {
    let _old = IN_CHILDREN.with(py, |held| held.replace(function));
}

/// Do in a child what has to come before anything is recorded, unless it was done.
#[pyfunction]
#[inline]
pub fn settle(py: Python<'_>) {
    if fork::is_unsettled() {
        settle_now(py);
    }
}

#[cold]
fn settle_now(py: Python<'_>) {
    let function = IN_CHILDREN.with(py, |held| held.as_ref().map(|one| one.clone_ref(py)));
    if fork::settle()
        && let Some(Some(function)) = function
        && let Err(error) = function.call0(py)
    {
        error.write_unraisable(py, Some(function.bind(py)));
    }
}

/// Look up what the recorder uses of Python now, rather than at first use: a thread that imports
/// something while the interpreter shuts down ends inside native code, which ends the process.
#[pyfunction]
fn prepare(py: Python<'_>) -> PyResult<()> {
    api::Api::get(py)?;
    super::metrics::py::prepare(py)?;
    propagation::prepare(py)?;
    values::prepare(py)
}

/// Hold the recorder's clock at this time in nanoseconds since 1970; None lets it go on, and
/// the largest number of 64 bits makes it fail, as a bug would.
#[pyfunction]
#[pyo3(signature = (nanos))]
fn hold_time(nanos: Option<u64>) {
    clock::hold(nanos.unwrap_or(0));
}

/// Never drop this object: what a forked child inherited must not be closed under its parent.
#[pyfunction]
fn forget(object: Py<PyAny>) {
    std::mem::forget(object);
}
