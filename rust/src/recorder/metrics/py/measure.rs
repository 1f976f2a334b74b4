//! Measuring: the calls that an app makes all the time.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString, PyTuple};

use super::super::attributes::Attributes;
use super::super::exemplar::Sample;
use super::super::number::Number;
use super::super::storage::{Clock, Storage};
use super::context::{context_or_current, current};
use super::streams::PyTargets;
use crate::recorder::any::Any;
use crate::recorder::py::fence::fenced;
use crate::recorder::py::{settle, values};

/// Which measurements are offered as exemplars.
pub enum Filter {
    TraceBased,
    AlwaysOn,
    AlwaysOff,
    /// `should_sample` of a filter class that is not ours.
    Foreign(Py<PyAny>),
}

impl Filter {
    pub fn new(filter: &Bound<'_, PyAny>) -> Self {
        match filter.extract::<String>().as_deref() {
            Ok("trace_based") => Filter::TraceBased,
            Ok("always_on") => Filter::AlwaysOn,
            Ok(_) => Filter::AlwaysOff,
            Err(_) => Filter::Foreign(filter.clone().unbind()),
        }
    }
}

pub struct Targets {
    pub storages: Vec<Arc<Storage>>,
    pub exemplars: Filter,
    /// Whether measurements may be below zero.
    pub negative: bool,
    pub clock: Arc<Clock>,
    pub refuse: Py<PyAny>,
}

thread_local! {
    /// Room for the attributes of one measurement; taken while it is in use.
    static ROOM: Cell<Attributes> = Cell::default();
}

impl Targets {
    /// Take one measurement. Nothing is raised: what cannot be taken is told to `refuse`.
    #[inline]
    pub fn record<'py>(
        &self,
        amount: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
    ) {
        fenced(amount.py(), "a measurement", || self.take(amount, attributes, context));
    }

    #[inline]
    fn take<'py>(
        &self,
        amount: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
    ) {
        if self.storages.is_empty() {
            return;
        }
        settle(amount.py());
        let value = match number(amount) {
            Ok(value) => value,
            Err(reason) => return self.refuse(reason, amount),
        };
        if !self.negative && value.as_f64() < 0.0 {
            return self.refuse("negative", amount);
        }
        let sample = match self.exemplars {
            Filter::AlwaysOff => None,
            _ => self.sample(amount, attributes, context),
        };
        let mut room = ROOM.take();
        room.clear();
        if let Some(attributes) = attributes
            && !attributes.is_none()
            && !read(&mut room, attributes)
        {
            self.refuse("attributes", attributes);
        }
        for storage in &self.storages {
            storage.record(value, &room, sample.as_ref());
        }
        ROOM.set(room);
    }

    #[cold]
    fn refuse(&self, reason: &str, amount: &Bound<'_, PyAny>) {
        let py = amount.py();
        if let Err(error) = self.refuse.call1(py, (reason, amount)) {
            error.write_unraisable(py, None);
        }
    }

    /// Where the measurement is made, if it may become an exemplar.
    #[inline]
    fn sample<'py>(
        &self,
        amount: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
    ) -> Option<Sample> {
        let py = amount.py();
        let found =
            context_or_current(py, context).and_then(|context| Ok((current(&context)?, context)));
        let (span, context) = match found {
            Ok(found) => found,
            Err(error) => {
                error.write_unraisable(py, None);
                return None;
            }
        };
        let wanted = match &self.exemplars {
            Filter::AlwaysOff => false,
            Filter::AlwaysOn => true,
            Filter::TraceBased => span.as_ref().is_some_and(|span| span.sampled),
            Filter::Foreign(filter) => filter
                .call1(py, (amount, self.clock.now(), attributes, context))
                .and_then(|answer| answer.is_truthy(py))
                .unwrap_or_else(|error| {
                    error.write_unraisable(py, None);
                    false
                }),
        };
        wanted.then(|| Sample { time: self.clock.now(), span: span.map(|span| span.ids) })
    }
}

/// A finite number, or what is wrong with it.
#[inline]
fn number(amount: &Bound<'_, PyAny>) -> Result<Number, &'static str> {
    let float = if let Ok(float) = amount.cast::<PyFloat>() {
        float.value()
    } else if amount.is_instance_of::<PyInt>() {
        match amount.extract::<i64>() {
            Ok(whole) => return Ok(Number::Int(whole)),
            Err(_) => amount.extract::<f64>().map_err(|_| "number")?,
        }
    } else {
        amount.extract::<f64>().map_err(|_| "number")?
    };
    if float.is_finite() { Ok(Number::Float(float)) } else { Err("finite") }
}

/// Read a mapping; false when it is none.
#[inline]
fn read(room: &mut Attributes, attributes: &Bound<'_, PyAny>) -> bool {
    let Ok(map) = attributes.cast_exact::<PyDict>() else { return read_mapping(room, attributes) };
    let mut plain = true;
    values::each(map, |key, value| {
        let Ok(key) = key.cast_exact::<PyString>() else {
            plain = false;
            return;
        };
        values::with_text(key, |key| {
            if !key.is_empty() {
                put(room, key, value);
            }
        });
    });
    if !plain {
        room.clear();
        return read_mapping(room, attributes);
    }
    true
}

#[inline]
fn put(room: &mut Attributes, key: &str, value: &Bound<'_, PyAny>) {
    if let Ok(text) = value.cast_exact::<PyString>() {
        values::with_text(text, |text| room.push(key, Any::Str(text)));
    } else if let Ok(flag) = value.cast_exact::<PyBool>() {
        room.push(key, Any::Bool(flag.is_true()));
    } else {
        values::with_value(value, usize::MAX, |any| room.push(key, any));
    }
}

/// Read what is not a dict with keys of text.
#[cold]
fn read_mapping(room: &mut Attributes, attributes: &Bound<'_, PyAny>) -> bool {
    let Ok(items) = attributes.call_method0("items").and_then(|items| items.try_iter()) else {
        return false;
    };
    for item in items.map_while(Result::ok) {
        let Ok(pair) = item.cast_into::<PyTuple>() else { continue };
        let (Ok(key), Ok(value)) = (pair.get_item(0), pair.get_item(1)) else { continue };
        if let Some(key) = values::key_of(&key) {
            values::with_text(&key, |key| put(room, key, &value));
        }
    }
    room.deduplicate();
    true
}

/// What an instrument is made of: it measures into its targets, once it has some.
#[derive(Default)]
struct Bindable(Mutex<Option<Arc<Targets>>>);

impl Bindable {
    fn bind(&self, targets: Option<&PyTargets>) {
        let targets = targets.map(|targets| targets.0.clone());
        let before = std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()),
            targets,
        );
        drop(before);
    }

    #[inline]
    fn record<'py>(
        &self,
        amount: &Bound<'py, PyAny>,
        attributes: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
    ) {
        let targets = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if let Some(targets) = targets {
            targets.record(amount, attributes, context);
        }
    }
}

macro_rules! instrument {
    ($class:ident, $name:literal, $method:ident, $doc:literal) => {
        #[doc = $doc]
        #[pyclass(name = $name, module = "heliograph._core", subclass, frozen)]
        #[derive(Default)]
        pub struct $class(Bindable);

        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (*_args, **_kwargs))]
            fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
                Self::default()
            }

            /// Measure into these targets from now on; None measures nothing.
            fn _bind(&self, targets: Option<&PyTargets>) {
                self.0.bind(targets);
            }

            #[pyo3(signature = (amount, attributes=None, context=None))]
            fn $method<'py>(
                &self,
                amount: &Bound<'py, PyAny>,
                attributes: Option<&Bound<'py, PyAny>>,
                context: Option<&Bound<'py, PyAny>>,
            ) {
                self.0.record(amount, attributes, context);
            }
        }
    };
}

instrument!(Adder, "MetricAdder", add, "The base of counters.");
instrument!(Recorder, "MetricRecorder", record, "The base of histograms.");
instrument!(Setter, "MetricSetter", set, "The base of gauges.");
