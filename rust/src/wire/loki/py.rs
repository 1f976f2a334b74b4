//! Python's view of the translation for Loki.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::super::py::{PyBatch, wire_error};
use super::{Rules, to_json, to_protobuf, translate};
use crate::edges::compress::{Coding, Compressor};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLokiRules>()?;
    module.add_class::<PyLokiPushes>()
}

/// How log records become streams of Loki.
#[pyclass(name = "LokiRules", module = "heliograph._core", frozen)]
struct PyLokiRules {
    exporter: bool,
    job: bool,
    instance: bool,
    level: bool,
    index: Option<Vec<String>>,
    json: bool,
}

#[pymethods]
impl PyLokiRules {
    #[new]
    #[pyo3(signature = (*, exporter, job, instance, level, index, json))]
    fn new(
        exporter: bool,
        job: bool,
        instance: bool,
        level: bool,
        index: Option<Vec<String>>,
        json: bool,
    ) -> Self {
        Self { exporter, job, instance, level, index, json }
    }

    /// Translate a batch; records without a time get `now`, nanoseconds since the epoch.
    fn apply(&self, py: Python<'_>, batch: &PyBatch, now: u64) -> PyResult<PyLokiPushes> {
        let rules = Rules {
            exporter: self.exporter,
            job: self.job,
            instance: self.instance,
            level: self.level,
            structured_metadata: self.index.is_some(),
            index: self.index.clone().unwrap_or_default(),
            now,
        };
        py.detach(|| {
            let found = translate(&batch.0.data, &rules)?;
            let mut bodies = Vec::with_capacity(found.pushes.len());
            for push in found.pushes {
                let body = if self.json {
                    Ok(to_json(&push))
                } else {
                    let snappy = Compressor { coding: Coding::Snappy, level: None };
                    snappy.compress(&to_protobuf(&push))
                };
                bodies.push((push.tenant, push.items, body));
            }
            Ok((bodies, found.unlabelled, found.unformatted))
        })
        .map_err(|error| wire_error(py, &error))
        .and_then(|(bodies, unlabelled, unformatted)| {
            let mut requests = Vec::with_capacity(bodies.len());
            for (tenant, items, body) in bodies {
                requests.push((tenant, items, PyBytes::new(py, &body?).unbind()));
            }
            Ok(PyLokiPushes { requests, unlabelled, unformatted })
        })
    }
}

/// What a batch became.
#[pyclass(name = "LokiPushes", module = "heliograph._core", frozen)]
struct PyLokiPushes {
    requests: Vec<(String, usize, Py<PyBytes>)>,
    #[pyo3(get)]
    unlabelled: usize,
    #[pyo3(get)]
    unformatted: usize,
}

#[pymethods]
impl PyLokiPushes {
    /// (tenant, records, body) of each request.
    #[getter]
    fn requests<'py>(&self, py: Python<'py>) -> Vec<(String, usize, Bound<'py, PyBytes>)> {
        let requests = self.requests.iter();
        requests
            .map(|(tenant, items, body)| (tenant.clone(), *items, body.bind(py).clone()))
            .collect()
    }
}
