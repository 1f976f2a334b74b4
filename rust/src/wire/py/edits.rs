//! Edits as Python writes them.

use std::sync::Arc;

use pyo3::PyClass;
use pyo3::exceptions::{PyRecursionError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use regex::Regex;

use super::{PyBatch, column, wire_error};
use crate::wire::edit::{Act, Edit, EditError, Edits, Literal, Source, Target, When};
use crate::wire::proto::{MAX_DEPTH, close, open, put_bytes_field};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyEdit>()?;
    module.add_class::<PyEdits>()?;
    module.add_class::<Set>()?;
    module.add_class::<Delete>()?;
    module.add_class::<DeleteMatching>()?;
    module.add_class::<Copy>()?;
    module.add_class::<Hash>()?;
    module.add_class::<Extract>()?;
    module.add_class::<Convert>()?;
    module.add_function(wrap_pyfunction!(regex_groups, module)?)
}

/// The names of a pattern's groups, None for one without a name.
#[pyfunction]
fn regex_groups(pattern: &str) -> PyResult<Vec<Option<String>>> {
    let regex = self::pattern(pattern)?;
    Ok(regex.capture_names().skip(1).map(|name| name.map(String::from)).collect())
}

/// One change to a batch.
#[pyclass(name = "Edit", module = "heliograph._core", subclass, frozen)]
pub struct PyEdit(Edit);

#[pymethods]
impl PyEdit {
    #[getter]
    fn path(&self) -> &str {
        &self.0.path
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(format!("<{} {}>", slf.get_type().name()?, slf.get().0.path))
    }
}

/// A sequence of edits, compiled at its first use for each signal.
#[pyclass(name = "Edits", module = "heliograph._core", frozen)]
pub struct PyEdits(Arc<Edits>);

#[pymethods]
impl PyEdits {
    #[new]
    fn new(edits: Vec<Bound<'_, PyEdit>>) -> Self {
        let edits = edits.iter().map(|edit| edit.get().0.clone()).collect();
        Self(Arc::new(Edits::new(edits)))
    }
}

/// Apply edits, compiled or not.
pub fn edit(
    py: Python<'_>,
    batch: &Bound<'_, PyBatch>,
    edits: &Bound<'_, PyAny>,
    rows: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyBatch> {
    let only = rows.map(column::rows).transpose()?;
    let edits = match edits.cast::<PyEdits>() {
        Ok(edits) => edits.get().0.clone(),
        Err(_) => PyEdits::new(edits.extract()?).0,
    };
    let batch = &batch.get().0;
    py.detach(|| batch.edit(&edits, only.as_ref())).map(PyBatch).map_err(|error| match error {
        EditError::Wire(error) => wire_error(py, &error),
        EditError::Value(why) => PyValueError::new_err(why),
    })
}

fn when(text: &str) -> PyResult<When> {
    match text {
        "always" => Ok(When::Always),
        "missing" => Ok(When::Missing),
        "present" => Ok(When::Present),
        _ => Err(PyValueError::new_err(format!(
            "when is {text:?}; it is always, missing or present"
        ))),
    }
}

fn pattern(text: &str) -> PyResult<Regex> {
    Regex::new(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn source(value: &Bound<'_, PyAny>) -> PyResult<Source> {
    let py = value.py();
    if value.hasattr(intern!(py, "rechunk"))? {
        let whole = value.call_method0(intern!(py, "rechunk"))?;
        let chunks = column::series(&whole)?.unwrap_or_default();
        return match chunks.into_iter().next() {
            Some(chunk) => Ok(Source::Column(chunk)),
            None => Err(PyValueError::new_err("the column is empty")),
        };
    }
    let literal = literal(value, 0)?;
    let any = literal.any().into_owned();
    Ok(Source::Constant(literal, any))
}

fn literal(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Literal<'static>> {
    if depth > MAX_DEPTH {
        return Err(PyRecursionError::new_err("values are nested too deeply"));
    }
    if value.is_none() {
        return Ok(Literal::Any(Vec::new().into()));
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Literal::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(Literal::Int(value.extract()?));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Literal::Double(number.value()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Literal::Str(text.to_str()?.to_owned().into()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Literal::Bytes(bytes.as_bytes().to_vec().into()));
    }
    let mut out = Vec::new();
    if let Ok(map) = value.cast::<PyDict>() {
        let field = open(&mut out, 6, 0);
        for (key, value) in map {
            let mut entry = Vec::new();
            put_bytes_field(&mut entry, 1, key.cast::<PyString>()?.to_str()?.as_bytes());
            put_bytes_field(&mut entry, 2, &literal(&value, depth + 1)?.any());
            put_bytes_field(&mut out, 1, &entry);
        }
        close(&mut out, field);
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let field = open(&mut out, 5, 0);
        for element in value.try_iter()? {
            put_bytes_field(&mut out, 1, &literal(&element?, depth + 1)?.any());
        }
        close(&mut out, field);
    } else {
        return Err(PyTypeError::new_err(format!(
            "a value is str, bool, int, float, bytes, list, dict, None or a polars Series, not {}",
            value.get_type().name()?
        )));
    }
    Ok(Literal::Any(out.into()))
}

fn made<T: PyClass<BaseType = PyEdit>>(class: T, path: String, act: Act) -> PyClassInitializer<T> {
    PyClassInitializer::from(PyEdit(Edit { path, act })).add_subclass(class)
}

/// Write a value.
#[pyclass(module = "heliograph._core", extends = PyEdit, frozen)]
struct Set;

#[pymethods]
impl Set {
    #[new]
    #[pyo3(signature = (path, value, when="always", rows=None))]
    fn new(
        path: String,
        value: &Bound<'_, PyAny>,
        when: &str,
        rows: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let rows = rows.map(column::rows).transpose()?;
        let act = Act::Set { source: source(value)?, when: self::when(when)?, rows };
        Ok(made(Self, path, act))
    }
}

/// Remove a field, or a key and all its occurrences, or all entries of a map.
#[pyclass(module = "heliograph._core", extends = PyEdit, frozen)]
struct Delete;

#[pymethods]
impl Delete {
    #[new]
    fn new(path: String) -> PyClassInitializer<Self> {
        made(Self, path, Act::Delete)
    }
}

/// Remove the keys of a map in which the pattern is found.
#[pyclass(module = "heliograph._core", extends = PyEdit, frozen)]
struct DeleteMatching;

#[pymethods]
impl DeleteMatching {
    #[new]
    fn new(path: String, pattern: &str) -> PyResult<PyClassInitializer<Self>> {
        Ok(made(Self, path, Act::DeleteMatching(self::pattern(pattern)?)))
    }
}

/// Write what another path holds, if it holds something.
#[pyclass(module = "heliograph._core", extends = PyEdit, frozen)]
struct Copy;

#[pymethods]
impl Copy {
    #[new]
    #[pyo3(signature = (path, from_path, when="always"))]
    fn new(path: String, from_path: String, when: &str) -> PyResult<PyClassInitializer<Self>> {
        let act = Act::Copy { from: from_path, when: self::when(when)? };
        Ok(made(Self, path, act))
    }
}

/// Replace a value by its SHA-256 in hexadecimal; of a map, the values of matching keys.
#[pyclass(module = "heliograph._core", extends = PyEdit, frozen)]
struct Hash;

#[pymethods]
impl Hash {
    #[new]
    #[pyo3(signature = (path, pattern=None))]
    fn new(path: String, pattern: Option<&str>) -> PyResult<PyClassInitializer<Self>> {
        let act = Act::Hash(pattern.map(self::pattern).transpose()?);
        Ok(made(Self, path, act))
    }
}

/// Write each named group of a pattern as an attribute beside the string it is found in.
#[pyclass(module = "heliograph._core", extends = PyEdit, frozen)]
struct Extract;

#[pymethods]
impl Extract {
    #[new]
    fn new(path: String, pattern: &str) -> PyResult<PyClassInitializer<Self>> {
        let pattern = self::pattern(pattern)?;
        if pattern.capture_names().flatten().next().is_none() {
            return Err(PyValueError::new_err("the pattern has no named group, (?P<name>...)"));
        }
        Ok(made(Self, path, Act::Extract(pattern)))
    }
}

/// Make a value another type, where it can be one.
#[pyclass(module = "heliograph._core", extends = PyEdit, frozen)]
struct Convert;

#[pymethods]
impl Convert {
    #[new]
    fn new(path: String, r#type: &str) -> PyResult<PyClassInitializer<Self>> {
        let target = match r#type {
            "int" => Target::Int,
            "double" => Target::Double,
            "string" => Target::Str,
            _ => {
                let why = format!("type is {:?}; it is int, double or string", r#type);
                return Err(PyValueError::new_err(why));
            }
        };
        Ok(made(Self, path, Act::Convert(target)))
    }
}
