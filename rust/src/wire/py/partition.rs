//! Partition by the values of a path.

use std::collections::HashMap;
use std::hash::Hash;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use super::frame::plan;
use super::{PyBatch, wire_error};
use crate::wire::project::project;
use crate::wire::{Batch, WireError};

/// A key for each row, numbered in order of appearance, and the first row of each key.
fn number<K: Hash + Eq>(keys: impl Iterator<Item = K>) -> (Vec<usize>, Vec<usize>) {
    let mut known: HashMap<K, usize> = HashMap::new();
    let mut firsts = Vec::new();
    let numbers = keys
        .enumerate()
        .map(|(row, key)| {
            *known.entry(key).or_insert_with(|| {
                firsts.push(row);
                firsts.len() - 1
            })
        })
        .collect();
    (numbers, firsts)
}

fn keys(column: &ArrayRef) -> Option<(Vec<usize>, Vec<usize>)> {
    Some(match column.data_type() {
        DataType::Utf8View => number(column.as_string_view().iter()),
        DataType::BinaryView => number(column.as_binary_view().iter()),
        DataType::Boolean => number(column.as_boolean().iter()),
        DataType::UInt8 => number(column.as_primitive::<UInt8Type>().iter()),
        DataType::Int32 => number(column.as_primitive::<Int32Type>().iter()),
        DataType::UInt32 => number(column.as_primitive::<UInt32Type>().iter()),
        DataType::Int64 => number(column.as_primitive::<Int64Type>().iter()),
        DataType::UInt64 => number(column.as_primitive::<UInt64Type>().iter()),
        DataType::Float64 => {
            number(column.as_primitive::<Float64Type>().iter().map(|n| n.map(f64::to_bits)))
        }
        _ => return None,
    })
}

fn python<'py>(py: Python<'py>, column: &ArrayRef, row: usize) -> PyResult<Bound<'py, PyAny>> {
    if column.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    macro_rules! plain {
        ($type:ty) => {
            column.as_primitive::<$type>().value(row).into_pyobject(py)?.into_any()
        };
    }
    Ok(match column.data_type() {
        DataType::Utf8View => PyString::new(py, column.as_string_view().value(row)).into_any(),
        DataType::BinaryView => PyBytes::new(py, column.as_binary_view().value(row)).into_any(),
        DataType::Boolean => {
            column.as_boolean().value(row).into_pyobject(py)?.to_owned().into_any()
        }
        DataType::UInt8 => plain!(UInt8Type),
        DataType::Int32 => plain!(Int32Type),
        DataType::UInt32 => plain!(UInt32Type),
        DataType::Int64 => plain!(Int64Type),
        DataType::UInt64 => plain!(UInt64Type),
        _ => plain!(Float64Type),
    })
}

/// Pairs of a value and the batch of the items that have it.
pub fn partition<'py>(
    py: Python<'py>,
    batch: &Batch,
    path: &Bound<'py, PyString>,
) -> PyResult<Vec<(Bound<'py, PyAny>, PyBatch)>> {
    let plan = plan(py, batch, &PyTuple::new(py, [path])?, pyo3::intern!(py, "item"))?;
    type Cut = Option<(ArrayRef, Vec<usize>, Vec<Batch>)>;
    let cut = py.detach(|| -> Result<Cut, WireError> {
        let table = project(batch, &plan)?;
        let Some(column) = table.columns().last().cloned() else { return Ok(None) };
        let Some((numbers, firsts)) = keys(&column) else { return Ok(None) };
        let batches = match firsts.len() {
            1 => vec![batch.clone()],
            count => batch.partition(&numbers, count)?,
        };
        Ok(Some((column, firsts, batches)))
    });
    let cut = cut.map_err(|error| wire_error(py, &error))?;
    let Some((column, firsts, batches)) = cut else {
        return Err(PyValueError::new_err(format!("path {path}: a list is not a key")));
    };
    firsts
        .into_iter()
        .zip(batches)
        .map(|(row, batch)| Ok((python(py, &column, row)?, PyBatch(batch))))
        .collect()
}
