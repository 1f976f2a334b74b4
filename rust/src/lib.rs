//! The native core of Heliograph. Only this file and the `py.rs` files know Python.

pub mod edges;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod journal;
pub mod platform;
pub mod recorder;
pub mod wire;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    wire::py::register(module)?;
    wire::loki::py::register(module)?;
    edges::py::register(module)?;
    journal::py::register(module)?;
    recorder::py::register(module)?;
    // Names are the stub's business; pyo3's list of them would have to be repeated there.
    module.as_any().delattr("__all__")
}
