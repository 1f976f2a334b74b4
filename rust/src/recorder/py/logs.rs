//! Log records from Python to the wire: of the API, of `logging`, and objects of the SDK.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::super::any::Any;
use super::super::attributes::{Attributes, Limits};
use super::super::counts::Counts;
use super::super::log::{ATTRIBUTES, Draft, severity_of};
use super::super::scope::Scope;
use super::super::span::Ids;
use super::api::Api;
use super::fence::{fenced, guarded};
use super::given::nanoseconds;
use super::held::Held;
use super::queue::{PyQueue, PyScope};
use super::readable::{attributes_of, encode, number, optional_text};
use super::values::{self, with_body, with_text, with_value};
use crate::wire::Signal;
use crate::wire::py::PyBatch;

const RECORD: &str = "a log record";

/// About how many bytes a record takes.
const ROOM: usize = 400;

/// The processors of a logger provider, as its loggers see them: queues of bytes, or processors
/// that want objects.
#[pyclass(name = "LogRoute", module = "heliograph._core", frozen)]
pub struct PyLogRoute {
    queues: Held<Option<Vec<Py<PyQueue>>>>,
    counts: Held<Counts<1>>,
}

#[pymethods]
impl PyLogRoute {
    #[new]
    fn new() -> Self {
        Self { queues: Held::new(Some(Vec::new())), counts: Held::new(Counts::default()) }
    }

    /// Send records to these queues; with None nothing is taken here.
    #[pyo3(signature = (queues))]
    fn lead(&self, py: Python<'_>, queues: Option<Vec<Py<PyQueue>>>) {
        // The old ones are dropped outside.
        let _old = self.queues.with(py, |held| std::mem::replace(held, queues));
    }

    /// Count a record that does not go through here.
    fn count(&self, py: Python<'_>) {
        self.counts.with(py, |counts| counts.add(0));
    }

    /// How many records were emitted in this process.
    #[getter]
    fn created(&self, py: Python<'_>) -> u64 {
        self.counts.with(py, |counts| counts.read()[0]).unwrap_or(0)
    }
}

/// Writes the records of one scope into the queues of a route.
#[pyclass(name = "LogRecorder", module = "heliograph._core", frozen)]
pub struct PyLogRecorder {
    scope: Held<Arc<Scope>>,
    route: Py<PyLogRoute>,
    limits: Limits,
}

impl PyLogRecorder {
    fn queues(&self, py: Python<'_>) -> Option<Vec<Py<PyQueue>>> {
        super::settle(py);
        let copy = |held: &mut Option<Vec<Py<PyQueue>>>| {
            Some(held.as_ref()?.iter().map(|queue| queue.clone_ref(py)).collect())
        };
        self.route.get().queues.with(py, copy).flatten()
    }

    fn push(&self, py: Python<'_>, queues: &[Py<PyQueue>], item: &[u8]) {
        let Some(scope) = self.scope.with(py, |scope| scope.clone()) else { return };
        for queue in queues {
            let queue = queue.bind(py).get();
            queue.settle(py, || {
                queue.push(py, &scope, item.len(), |out| out.extend_from_slice(item))
            });
        }
    }
}

#[pymethods]
impl PyLogRecorder {
    /// `count` and `length` limit the attributes; None is no limit.
    #[new]
    #[pyo3(signature = (scope, route, count, length))]
    fn new(
        scope: &PyScope,
        route: Py<PyLogRoute>,
        count: Option<usize>,
        length: Option<usize>,
    ) -> Self {
        let (count, length) = (count.unwrap_or(usize::MAX), length.unwrap_or(usize::MAX));
        Self { scope: Held::new(scope.0.clone()), route, limits: Limits { count, length } }
    }

    /// Write records of this scope from now on.
    fn set_scope(&self, py: Python<'_>, scope: &PyScope) {
        let _old = self.scope.with(py, |held| std::mem::replace(held, scope.0.clone()));
    }

    /// Take a record of the API with these attributes; false where processors want objects.
    fn take(&self, record: &Bound<'_, PyAny>, attributes: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = record.py();
        let Some(queues) = self.queues(py) else { return Ok(false) };
        self.route.get().count(py);
        let write = || {
            let draft = draft_of(record)?;
            let mut written = Attributes::default();
            values::update(&mut written, ATTRIBUTES, self.limits, attributes);
            self.push(py, &queues, &draft.finish(&written));
            Ok(())
        };
        if !queues.is_empty() {
            guarded(py, RECORD, write)?;
        }
        Ok(true)
    }

    /// Take what a program says; false where processors want objects.
    #[pyo3(signature = (
        timestamp, observed, context, severity_number, severity_text, body, attributes, event_name
    ))]
    #[expect(clippy::too_many_arguments, reason = "the fields of a record")]
    fn emit(
        &self,
        py: Python<'_>,
        timestamp: Option<&Bound<'_, PyAny>>,
        observed: Option<&Bound<'_, PyAny>>,
        context: Option<&Bound<'_, PyAny>>,
        severity_number: Option<&Bound<'_, PyAny>>,
        severity_text: Option<&Bound<'_, PyAny>>,
        body: &Bound<'_, PyAny>,
        attributes: &Bound<'_, PyAny>,
        event_name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let Some(queues) = self.queues(py) else { return Ok(false) };
        self.route.get().count(py);
        if queues.is_empty() {
            return Ok(true);
        }
        let write = || {
            let api = Api::get(py)?;
            let context = match context {
                Some(context) if context.is_truthy()? => context.clone(),
                _ => api.current(py)?,
            };
            let mut draft = Draft::new(ROOM);
            draft.times(timestamp.map_or(0, |time| nanoseconds(Some(time))), nanoseconds(observed));
            put_severity(&mut draft, severity_number, severity_text);
            with_body(body, |value| draft.body(value));
            if let Some(place) = api.parent(py, &context)? {
                draft.ids(place.ids);
            }
            with_optional(event_name, |name| draft.event(name));
            let mut written = Attributes::default();
            values::update(&mut written, ATTRIBUTES, self.limits, attributes);
            self.push(py, &queues, &draft.finish(&written));
            Ok(())
        };
        guarded(py, RECORD, write)?;
        Ok(true)
    }

    /// Take a record of `logging`: its `__dict__`, its body, and attributes beside its own. What is
    /// logged while exporting is dropped. False where processors want objects. What the record's
    /// objects raise is for the handler of `logging` to say.
    fn log(
        &self,
        fields: &Bound<'_, PyDict>,
        body: &Bound<'_, PyAny>,
        more: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        fenced(fields.py(), RECORD, || self.write(fields, body, more)).unwrap_or(Ok(true))
    }
}

impl PyLogRecorder {
    fn write(
        &self,
        fields: &Bound<'_, PyDict>,
        body: &Bound<'_, PyAny>,
        more: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let py = fields.py();
        let Some(queues) = self.queues(py) else { return Ok(false) };
        let api = Api::get(py)?;
        let context = api.current(py)?;
        if api.is_exporting(&context) {
            return Ok(true);
        }
        self.route.get().count(py);
        if queues.is_empty() {
            return Ok(true);
        }
        let mut draft = Draft::new(ROOM);
        let mut written = Attributes::default();
        written.reserve(ROOM, 8);
        let mut kept = Kept::default();
        values::each(fields, |key, value| {
            let Ok(name) = key.cast::<PyString>() else { return };
            if with_text(name, |name| kept.keep(name, value)) {
                values::visit_one(key, value, self.limits.length, |given| {
                    values::set(&mut written, ATTRIBUTES, self.limits, given);
                });
            }
        });
        let code = [
            ("code.file.path", &kept.path),
            ("code.function.name", &kept.function),
            ("code.line.number", &kept.line),
        ];
        for (key, value) in code {
            let Some(value) = value else { continue };
            with_value(value, self.limits.length, |any: Any<'_>| {
                written.set(ATTRIBUTES, self.limits, key, any);
            });
        }
        if let Some(more) = more {
            values::update(&mut written, ATTRIBUTES, self.limits, more);
        }
        draft.times((kept.created * 1e9) as u64, nanoseconds(None));
        with_optional(kept.level.as_ref(), |text| {
            draft.severity(severity_of(kept.number), severity_text(text));
        });
        with_body(body, |value| draft.body(value));
        if let Some(place) = api.parent(py, &context)? {
            draft.ids(place.ids);
        }
        self.push(py, &queues, &draft.finish(&written));
        Ok(true)
    }
}

/// What is used of the fields that every record of `logging` has.
#[derive(Default)]
struct Kept<'py> {
    created: f64,
    number: i64,
    level: Option<Bound<'py, PyAny>>,
    path: Option<Bound<'py, PyAny>>,
    function: Option<Bound<'py, PyAny>>,
    line: Option<Bound<'py, PyAny>>,
}

impl<'py> Kept<'py> {
    /// Return whether a field is none of those that every record has.
    fn keep(&mut self, name: &str, value: &Bound<'py, PyAny>) -> bool {
        match name {
            "created" => self.created = value.extract().unwrap_or(0.0),
            "levelno" => self.number = value.extract().unwrap_or(0),
            "levelname" => self.level = Some(value.clone()),
            "pathname" => self.path = Some(value.clone()),
            "funcName" => self.function = Some(value.clone()),
            "lineno" => self.line = Some(value.clone()),
            "asctime" | "args" | "exc_info" | "exc_text" | "filename" | "getMessage"
            | "message" | "module" | "msecs" | "msg" | "name" | "process" | "processName"
            | "relativeCreated" | "stack_info" | "thread" | "threadName" | "taskName" => {}
            _ => return true,
        }
        false
    }
}

/// What the data model calls a level of `logging`.
fn severity_text(level: &str) -> &str {
    match level {
        "WARNING" => "WARN",
        "CRITICAL" => "FATAL",
        other => other,
    }
}

fn with_optional(text: Option<&Bound<'_, PyAny>>, act: impl FnOnce(&str)) {
    match text.map(|text| text.cast::<PyString>()) {
        Some(Ok(text)) => with_text(text, act),
        _ => act(""),
    }
}

fn put_severity(
    draft: &mut Draft,
    number: Option<&Bound<'_, PyAny>>,
    text: Option<&Bound<'_, PyAny>>,
) {
    let read = |number: &Bound<'_, PyAny>| {
        let value = number.getattr_opt(intern!(number.py(), "value")).ok().flatten();
        value.as_ref().unwrap_or(number).extract::<u32>().ok()
    };
    let number = number.and_then(read).unwrap_or(0);
    with_optional(text, |text| draft.severity(number, text));
}

/// The fields of the API's record, but its attributes.
fn draft_of(record: &Bound<'_, PyAny>) -> PyResult<Draft> {
    let py = record.py();
    let time = |name: &str| -> PyResult<u64> {
        let found = record.getattr(name)?;
        Ok(if found.is_none() { 0 } else { nanoseconds(Some(&found)) })
    };
    let mut draft = Draft::new(ROOM);
    draft.times(time("timestamp")?, time("observed_timestamp")?);
    let severity = record.getattr(intern!(py, "severity_number"))?;
    let text = record.getattr(intern!(py, "severity_text"))?;
    put_severity(&mut draft, Some(&severity), Some(&text));
    with_body(&record.getattr(intern!(py, "body"))?, |value| draft.body(value));
    draft.ids(Ids {
        trace: record.getattr(intern!(py, "trace_id"))?.extract().unwrap_or(0),
        span: record.getattr(intern!(py, "span_id"))?.extract().unwrap_or(0),
        flags: record.getattr(intern!(py, "trace_flags"))?.extract().unwrap_or(0),
        remote: false,
    });
    draft.event(&optional_text(record, "event_name")?);
    Ok(draft)
}

/// Write a `ReadableLogRecord` as field 2 of a ScopeLogs. Raises what its properties raise.
pub fn put(out: &mut Vec<u8>, record: &Bound<'_, PyAny>) -> PyResult<()> {
    let inner = record.getattr(intern!(record.py(), "log_record"))?;
    let draft = draft_of(&inner)?;
    let mut attributes = Attributes::default();
    values::update(&mut attributes, ATTRIBUTES, Limits::NONE, &attributes_of(&inner)?);
    attributes.drop_more(number(record, "dropped_attributes"));
    out.extend_from_slice(&draft.finish(&attributes));
    Ok(())
}

/// Encode `ReadableLogRecord`s as one batch, grouped by resource and scope.
#[pyfunction]
pub fn encode_logs(records: &Bound<'_, PyAny>) -> PyResult<PyBatch> {
    encode(records, Signal::Logs, put)
}
