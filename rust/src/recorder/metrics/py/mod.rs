//! Python's view of metric aggregation.

mod context;
mod given;
mod measure;
mod points;
mod streams;

use pyo3::prelude::*;

pub use context::prepare;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<measure::Adder>()?;
    module.add_class::<measure::Recorder>()?;
    module.add_class::<measure::Setter>()?;
    module.add_class::<streams::PyClock>()?;
    module.add_class::<streams::PyStorage>()?;
    module.add_class::<streams::PyReader>()?;
    module.add_class::<streams::PyTargets>()?;
    module.add_function(wrap_pyfunction!(given::encode_metrics, module)?)?;
    module.add_function(wrap_pyfunction!(points::metrics_of, module)?)
}
