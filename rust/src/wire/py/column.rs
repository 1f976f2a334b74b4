//! Columns from Python: a polars Series through Arrow's C stream, or a plain sequence.

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

use crate::wire::take::Rows;

/// The chunks of a polars Series; None when the object is something else.
pub fn series(object: &Bound<'_, PyAny>) -> PyResult<Option<Vec<ArrayRef>>> {
    let name = intern!(object.py(), "__arrow_c_stream__");
    if !object.hasattr(name)? {
        return Ok(None);
    }
    let capsule = object.call_method0(name)?;
    let capsule = capsule.cast::<PyCapsule>()?;
    let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
    // SAFETY: a capsule of this name points to a valid stream (Arrow's PyCapsule interface), and
    // the capsule lives until the end of this function; from_raw moves the stream out and leaves
    // a released one.
    let reader =
        unsafe { ArrayStreamReader::from_raw(stream.cast::<FFI_ArrowArrayStream>().as_ptr()) };
    let chunks = reader.and_then(Iterator::collect);
    chunks.map(Some).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Rows of a level: a mask (null is false) or row numbers.
pub fn rows(object: &Bound<'_, PyAny>) -> PyResult<Rows> {
    let Some(chunks) = series(object)? else {
        if let Ok(mask) = object.extract::<Vec<bool>>()
            && !mask.is_empty()
        {
            return Ok(Rows::Mask(mask));
        }
        return numbered(object.extract::<Vec<i64>>().map_err(|_| wrong_rows())?);
    };
    if chunks.first().is_none_or(|chunk| *chunk.data_type() == DataType::Boolean) {
        let flags = chunks.iter().flat_map(|chunk| {
            chunk.as_boolean().iter().map(|flag| flag.unwrap_or(false)).collect::<Vec<_>>()
        });
        return Ok(Rows::Mask(flags.collect()));
    }
    let mut numbers = Vec::new();
    for chunk in &chunks {
        numbers.extend(integers(chunk).ok_or_else(wrong_rows)?);
    }
    numbered(numbers)
}

fn wrong_rows() -> PyErr {
    PyTypeError::new_err("rows are a mask of booleans or row numbers")
}

fn numbered(numbers: Vec<i64>) -> PyResult<Rows> {
    let mut flags = Vec::new();
    for number in numbers {
        let row = usize::try_from(number).ok().filter(|row| *row <= i32::MAX as usize);
        let row = row.ok_or_else(|| PyIndexError::new_err(format!("there is no row {number}")))?;
        if row >= flags.len() {
            flags.resize(row + 1, false);
        }
        flags[row] = true;
    }
    Ok(Rows::Numbers(flags))
}

/// Integers of any width, nulls left out; None when the column holds something else.
pub fn integers(column: &ArrayRef) -> Option<Vec<i64>> {
    macro_rules! widen {
        ($type:ty) => {
            column.as_primitive::<$type>().iter().flatten().map(|n| n as i64).collect()
        };
    }
    Some(match column.data_type() {
        DataType::Int8 => widen!(Int8Type),
        DataType::Int16 => widen!(Int16Type),
        DataType::Int32 => widen!(Int32Type),
        DataType::Int64 => widen!(Int64Type),
        DataType::UInt8 => widen!(UInt8Type),
        DataType::UInt16 => widen!(UInt16Type),
        DataType::UInt32 => widen!(UInt32Type),
        DataType::UInt64 => widen!(UInt64Type),
        _ => return None,
    })
}
