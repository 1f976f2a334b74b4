//! What a program gives for a time, a name or a link, as the recorder takes it.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::super::clock;
use super::api::Place;

/// A time since the epoch; now when there is none.
#[inline]
pub fn nanoseconds(time: Option<&Bound<'_, PyAny>>) -> u64 {
    match time {
        None => clock::now(),
        Some(time) => time.extract::<u64>().unwrap_or_else(|_| {
            // A float, as time.time() * 1e9 is; what is no time at all becomes 1970.
            time.extract::<f64>().map_or(0, |number| number as u64)
        }),
    }
}

/// The name as text.
pub fn text<'py>(name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    match name.cast::<PyString>() {
        Ok(name) => Ok(name.clone()),
        Err(_) => name.str(),
    }
}

/// Where a link points to; None for one that says nothing.
pub fn link_place(
    context: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Place>> {
    if context.is_none() {
        return Ok(None);
    }
    let place = Place::read(context)?;
    let state = place
        .state
        .as_ref()
        .is_some_and(|state| state.bind(context.py()).is_truthy().unwrap_or(false));
    let says = place.ids.is_valid()
        || state
        || attributes.is_some_and(|attributes| attributes.is_truthy().unwrap_or(false));
    Ok(says.then_some(place))
}
