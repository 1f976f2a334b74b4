//! Storages and readers, as Python puts them together.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::super::attributes::Keep;
use super::super::exemplar::Policy;
use super::super::reader::Reader;
use super::super::series::Aggregation;
use super::super::storage::{Clock, Settings, Storage};
use super::measure::{Filter, Targets};
use crate::recorder::attributes::{Attributes, Limits};
use crate::recorder::py::fence::fenced;
use crate::recorder::py::values;
use crate::wire::proto::put_bytes_field;
use crate::wire::py::PyBatch;

/// The time of one provider.
#[pyclass(name = "MetricClock", module = "heliograph._core", frozen)]
pub struct PyClock(pub Arc<Clock>);

#[pymethods]
impl PyClock {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// Nanoseconds since the epoch.
    fn now(&self) -> u64 {
        self.0.now()
    }

    /// Stand still at this time, for tests; 0 lets it run again, and -1 makes measurements panic
    /// that ask for it.
    fn stop(&self, time: i64) {
        self.0.set(time.cast_unsigned());
    }
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct StorageOptions {
    name: String,
    description: String,
    unit: String,
    /// sum, last_value, explicit or exponential
    kind: String,
    monotonic: bool,
    bounds: Vec<f64>,
    max_size: i32,
    max_scale: i32,
    record_min_max: bool,
    delta: bool,
    observed: bool,
    only: Option<Vec<String>>,
    except: Option<Vec<String>>,
    /// Patterns: lists of which each has one that fits, and those of which none does.
    like: Option<(Vec<Vec<String>>, Vec<String>)>,
    limit: usize,
    /// Exemplars of a series; 0 for one of each bucket.
    exemplars: usize,
}

/// The series of one instrument under one view for one reader.
#[pyclass(name = "MetricStorage", module = "heliograph._core", frozen)]
pub struct PyStorage(pub Arc<Storage>);

#[pymethods]
impl PyStorage {
    #[new]
    fn new(settings: &Bound<'_, PyAny>, clock: &PyClock) -> PyResult<Self> {
        let options: StorageOptions = settings.extract()?;
        let extremes = options.record_min_max;
        let aggregation = match options.kind.as_str() {
            "sum" => Aggregation::Sum { monotonic: options.monotonic },
            "last_value" => Aggregation::LastValue,
            "explicit" => Aggregation::Explicit { bounds: options.bounds.into(), extremes },
            "exponential" => {
                let (max_size, max_scale) = (options.max_size, options.max_scale);
                Aggregation::Exponential { max_size, max_scale, extremes }
            }
            other => return Err(PyValueError::new_err(format!("there is no aggregation {other}"))),
        };
        let boxed = |keys: Vec<String>| keys.into_iter().map(Into::into).collect();
        let keep = match (options.like, options.only, options.except) {
            (Some((wanted, unwanted)), _, _) => {
                Keep::Like(wanted.into_iter().map(boxed).collect(), boxed(unwanted))
            }
            (None, Some(keys), _) => Keep::Only(boxed(keys)),
            (None, None, Some(keys)) => Keep::Except(boxed(keys)),
            (None, None, None) => Keep::All,
        };
        let exemplars = match options.exemplars {
            0 => Policy::Aligned,
            size => Policy::Fixed(size),
        };
        Ok(Self(Arc::new(Storage::new(Settings {
            name: options.name,
            description: options.description,
            unit: options.unit,
            aggregation,
            delta: options.delta,
            observed: options.observed,
            keep,
            limit: options.limit,
            exemplars,
            clock: clock.0.clone(),
        }))))
    }
}

/// The streams of one reader.
#[pyclass(name = "MetricStreams", module = "heliograph._core", frozen)]
pub struct PyReader(Arc<Reader>);

#[pymethods]
impl PyReader {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// Add a scope and return its number.
    fn add_scope(
        &self,
        name: &str,
        version: &str,
        attributes: &Bound<'_, PyAny>,
        schema_url: String,
    ) -> usize {
        let mut scope = Vec::new();
        if !name.is_empty() {
            put_bytes_field(&mut scope, 1, name.as_bytes());
        }
        if !version.is_empty() {
            put_bytes_field(&mut scope, 2, version.as_bytes());
        }
        scope.extend_from_slice(&encoded(attributes, 3));
        self.0.add_scope(scope, schema_url)
    }

    fn add(&self, scope: usize, storage: &PyStorage) {
        self.0.add(scope, storage.0.clone());
    }

    /// All that there is to report at this time, and the numbers of the scopes that have some; None
    /// when there is nothing.
    fn collect(
        &self,
        py: Python<'_>,
        resource: &Bound<'_, PyAny>,
        schema_url: &str,
        now: u64,
    ) -> Option<(PyBatch, Vec<usize>)> {
        let resource = encoded(resource, 1);
        let collect = || py.detach(|| self.0.collect(&resource, schema_url, now));
        let (batch, scopes) = fenced(py, "a collection", collect).flatten()?;
        Some((PyBatch(batch), scopes))
    }
}

fn encoded(mapping: &Bound<'_, PyAny>, field: u32) -> Vec<u8> {
    let mut attributes = Attributes::default();
    values::update(&mut attributes, field, Limits::NONE, mapping);
    attributes.bytes().to_vec()
}

/// Where the measurements of an instrument go.
#[pyclass(name = "MetricTargets", module = "heliograph._core", frozen)]
pub struct PyTargets(pub Arc<Targets>);

#[pymethods]
impl PyTargets {
    /// `exemplars` is trace_based, always_on, always_off, or what a filter's `should_sample` takes
    /// and returns. `refuse(reason, amount)` is told of measurements that cannot be taken.
    #[new]
    fn new(
        storages: Vec<PyRef<'_, PyStorage>>,
        exemplars: &Bound<'_, PyAny>,
        negative: bool,
        clock: &PyClock,
        refuse: Py<PyAny>,
    ) -> Self {
        Self(Arc::new(Targets {
            storages: storages.iter().map(|storage| storage.0.clone()).collect(),
            exemplars: Filter::new(exemplars),
            negative,
            clock: clock.0.clone(),
            refuse,
        }))
    }

    /// Take one observation.
    #[pyo3(signature = (value, attributes=None, context=None))]
    fn observe<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
    ) {
        self.0.record(value, attributes, context);
    }
}
