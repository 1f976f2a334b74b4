//! Where spans go when they end: queues of bytes, and processors written in Python.

use std::collections::VecDeque;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyTuple;

use super::super::attributes::{Attributes, Limits};
use super::super::counts::Counts;
use super::super::fork;
use super::super::queue::{Bounds, Queue};
use super::super::scope::{Resource, Scope};
use super::api::Api;
use super::fence::guarded;
use super::held::Held;
use super::span::PySpan;
use super::values;
use crate::wire::py::{PyBatch, PySignal};
use crate::wire::{Batch, Context};

/// A resource and an instrumentation scope in wire form.
#[pyclass(name = "Scope", module = "heliograph._core", frozen)]
pub struct PyScope(pub Arc<Scope>);

#[pymethods]
impl PyScope {
    /// `resource` is (attributes, schema URL), `scope` (name, version, attributes, schema URL).
    #[new]
    fn new(
        resource: (Bound<'_, PyAny>, PyBackedStr),
        scope: (PyBackedStr, PyBackedStr, Bound<'_, PyAny>, PyBackedStr),
    ) -> Self {
        Self(Arc::new(make_scope(
            (&resource.0, &resource.1),
            (&scope.0, &scope.1, &scope.2, &scope.3),
        )))
    }
}

pub fn make_scope(
    resource: (&Bound<'_, PyAny>, &str),
    scope: (&str, &str, &Bound<'_, PyAny>, &str),
) -> Scope {
    let mut attributes = Attributes::default();
    values::update(&mut attributes, 1, Limits::NONE, resource.0);
    let resource = Arc::new(Resource::new(&attributes, resource.1));
    attributes.clear();
    values::update(&mut attributes, 3, Limits::NONE, scope.2);
    Scope::new(resource, scope.0, scope.1, &attributes, scope.3)
}

struct QueueState {
    queue: Queue,
    /// Items as objects, for exporters written in Python; then `queue` stays empty.
    objects: VecDeque<Py<PyAny>>,
    generation: u64,
    started: bool,
    dropped: u64,
    /// Items that were taken for export.
    taken: u64,
    /// Bytes of the last item that found no room.
    wanted: usize,
}

/// What a full queue does.
#[derive(Clone, Copy, PartialEq)]
enum Full {
    DropNewest,
    DropOldest,
    Wait,
}

/// What became of an item.
#[derive(Clone, Copy, PartialEq)]
pub enum Offer {
    Held,
    /// Held, and the first in this process.
    First,
    /// Held, and a request is complete by it.
    Complete,
    /// There is no room; it may come later.
    Later,
    Dropped,
}

/// Items of one signal that wait for export, bounded in bytes and number.
///
/// `wake(reason)` is called, never with anything held: "start" at the first item in this process,
/// "batch" when a request is complete, "room" to wait for room, "full" when an item was dropped.
#[pyclass(name = "ExportQueue", module = "heliograph._core", frozen)]
pub struct PyQueue {
    signal: PySignal,
    wake: Py<PyAny>,
    full: Full,
    bounds: Bounds,
    as_objects: bool,
    state: Held<QueueState>,
}

impl PyQueue {
    pub fn as_objects(&self) -> bool {
        self.as_objects
    }

    /// Hold an item of about `room` bytes if there is room, which `hold` does.
    fn offer(
        &self,
        py: Python<'_>,
        room: usize,
        hold: impl FnOnce(&mut QueueState) -> bool,
    ) -> Offer {
        let offer = self.state.with(py, |state| {
            if state.generation != fork::generation() {
                // What waits here is the parent's to send.
                state.queue.clear();
                state.objects.clear();
                state.generation = fork::generation();
                state.started = false;
                state.dropped = 0;
                state.taken = 0;
            }
            if !self.has_room(state, room) {
                state.wanted = room;
                if self.full == Full::Wait {
                    return Offer::Later;
                }
                if self.full == Full::DropOldest {
                    let dropped = match self.as_objects {
                        true => usize::from(state.objects.pop_front().is_some()),
                        false => state.queue.drop_oldest(),
                    };
                    state.dropped += dropped as u64;
                }
                if !self.has_room(state, room) {
                    state.dropped += 1;
                    return Offer::Dropped;
                }
            }
            let complete = hold(state);
            match (std::mem::replace(&mut state.started, true), complete) {
                (false, _) => Offer::First,
                (true, true) => Offer::Complete,
                (true, false) => Offer::Held,
            }
        });
        offer.unwrap_or(Offer::Dropped)
    }

    fn has_room(&self, state: &QueueState, room: usize) -> bool {
        match self.as_objects {
            true => state.objects.len() < self.bounds.items,
            false => state.queue.has_room(room),
        }
    }

    /// Append an item of about `room` bytes, which `write` writes as a field 2. Runs no Python.
    pub fn push(
        &self,
        py: Python<'_>,
        scope: &Arc<Scope>,
        room: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Offer {
        self.offer(py, room, |state| state.queue.push(scope, write))
    }

    pub fn push_object(&self, py: Python<'_>, object: &Bound<'_, PyAny>) -> Offer {
        self.offer(py, 0, |state| {
            state.objects.push_back(object.clone().unbind());
            state.objects.len().is_multiple_of(self.bounds.batch)
        })
    }

    /// Offer an item, wait for room if that is what this queue does, and say what has to be said.
    pub fn settle(&self, py: Python<'_>, mut offer: impl FnMut() -> Offer) {
        let mut result = offer();
        if result == Offer::Later {
            self.tell(py, "room");
            result = offer();
        }
        match result {
            Offer::Held => {}
            Offer::First => self.tell(py, "start"),
            Offer::Complete => self.tell(py, "batch"),
            Offer::Dropped => self.tell(py, "full"),
            Offer::Later => {
                self.state.with(py, |state| state.dropped += 1);
                self.tell(py, "full");
            }
        }
    }

    fn count(&self, py: Python<'_>, read: impl FnOnce(&QueueState) -> u64) -> u64 {
        let count = |state: &mut QueueState| match state.generation == fork::generation() {
            true => read(state),
            false => 0,
        };
        self.state.with(py, count).unwrap_or(0)
    }

    fn tell(&self, py: Python<'_>, reason: &str) {
        if let Err(error) = self.wake.bind(py).call1((reason,)) {
            error.write_unraisable(py, Some(self.wake.bind(py)));
        }
    }
}

#[pymethods]
impl PyQueue {
    #[new]
    #[pyo3(signature = (
        signal, wake, *, batch, max_bytes, max_items=None, full="drop_newest", as_objects=false
    ))]
    fn new(
        signal: PySignal,
        wake: Py<PyAny>,
        batch: usize,
        max_bytes: usize,
        max_items: Option<usize>,
        full: &str,
        as_objects: bool,
    ) -> PyResult<Self> {
        let full = match full {
            "drop_newest" => Full::DropNewest,
            "drop_oldest" => Full::DropOldest,
            "block" => Full::Wait,
            other => {
                let message = format!("'{other}' is none of drop_newest, drop_oldest and block");
                return Err(PyValueError::new_err(message));
            }
        };
        let bounds = Bounds { batch, bytes: max_bytes, items: max_items.unwrap_or(usize::MAX) };
        let state = QueueState {
            queue: Queue::new(bounds),
            objects: VecDeque::new(),
            generation: fork::generation(),
            started: false,
            dropped: 0,
            taken: 0,
            wanted: 0,
        };
        Ok(Self { signal, wake, full, bounds, as_objects, state: Held::new(state) })
    }

    /// The oldest complete request; with `all` also one that is not; None when there is none.
    #[pyo3(signature = (*, all))]
    fn take(&self, py: Python<'_>, all: bool) -> Option<PyBatch> {
        let taken = self.state.with(py, |state| {
            let here = state.generation == fork::generation();
            let taken = here.then(|| state.queue.take(all)).flatten();
            state.taken += taken.as_ref().map_or(0, |(_, items)| *items as u64);
            taken
        });
        let (data, items) = taken.flatten()?;
        let (signal, context) = (self.signal.into(), Context::empty());
        Some(PyBatch(Batch { signal, data: data.into(), items, context }))
    }

    /// The same of objects; empty when there is no complete request.
    #[pyo3(signature = (*, all))]
    fn take_objects(&self, py: Python<'_>, all: bool) -> Vec<Py<PyAny>> {
        let taken = self.state.with(py, |state| {
            let waiting = state.objects.len();
            if state.generation != fork::generation() || (waiting < self.bounds.batch && !all) {
                return Vec::new();
            }
            let count = waiting.min(self.bounds.batch);
            state.taken += count as u64;
            state.objects.drain(..count).collect()
        });
        taken.unwrap_or_default()
    }

    /// Append a `ReadableSpan`, or a `ReadableLogRecord` where this queue's signal is logs.
    fn add(&self, py: Python<'_>, span: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.as_objects {
            self.settle(py, || self.push_object(py, span));
            return Ok(());
        }
        let is_log = matches!(self.signal, PySignal::Logs);
        if !is_log && let Some(native) = super::readable::untouched(span) {
            PySpan::hand_over(&native, self);
            return Ok(());
        }
        let scope = super::readable::scope_of(span)?;
        let mut item = Vec::new();
        let put = if is_log { super::logs::put } else { super::readable::put };
        put(&mut item, span)?;
        self.settle(py, || self.push(py, &scope, item.len(), |out| out.extend_from_slice(&item)));
        Ok(())
    }

    /// Whether the last item that found no room would find some now.
    #[getter]
    fn has_room_again(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| self.has_room(state, state.wanted)).unwrap_or(false)
    }

    /// Items that wait.
    fn __len__(&self, py: Python<'_>) -> usize {
        let count = |state: &mut QueueState| match state.generation == fork::generation() {
            true => state.queue.items() + state.objects.len(),
            false => 0,
        };
        self.state.with(py, count).unwrap_or(0)
    }

    /// Bytes that wait.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.queue.bytes()).unwrap_or(0)
    }

    /// Items that found no room, in this process.
    #[getter]
    fn dropped(&self, py: Python<'_>) -> u64 {
        self.count(py, |state| state.dropped)
    }

    /// Items that were taken for export, in this process.
    #[getter]
    fn taken(&self, py: Python<'_>) -> u64 {
        self.count(py, |state| state.taken)
    }
}

#[derive(Default)]
struct Ways {
    queues: Vec<Py<PyQueue>>,
    starts: Vec<Py<PyAny>>,
    endings: Vec<Py<PyAny>>,
    ends: Vec<Py<PyAny>>,
}

/// The processors of a provider, as its tracers and spans see them.
#[pyclass(name = "Route", module = "heliograph._core", frozen)]
pub struct PyRoute {
    ways: Held<Ways>,
    counts: Held<Counts<11>>,
}

/// Where the counts of spans that have ended begin, behind those that were started.
const ENDED: usize = 9;

impl PyRoute {
    fn copy(&self, py: Python<'_>, pick: impl FnOnce(&Ways) -> &Vec<Py<PyAny>>) -> Vec<Py<PyAny>> {
        let copy = |ways: &mut Ways| pick(ways).iter().map(|one| one.clone_ref(py)).collect();
        self.ways.with(py, copy).unwrap_or_default()
    }

    /// Count a span that is started: `result` is 0 for one that is dropped, 1 recorded, 2 sampled;
    /// `origin` 0 without a parent, 1 with one from here, 2 from elsewhere.
    #[inline]
    pub fn count_start(&self, py: Python<'_>, result: usize, origin: usize) {
        self.counts.with(py, |counts| counts.add(3 * result + origin));
    }

    #[inline]
    pub fn count_end(&self, py: Python<'_>, sampled: bool) {
        self.counts.with(py, |counts| counts.add(ENDED + usize::from(sampled)));
    }

    pub fn started(
        &self,
        span: &Bound<'_, PySpan>,
        context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let starts = self.copy(span.py(), |ways| &ways.starts);
        call_all(span.py(), starts, |start| start.call1((span, context)))
    }

    /// Whether anybody is told before a span ends.
    pub fn tells_of_ending(&self, py: Python<'_>) -> bool {
        self.ways.with(py, |ways| !ways.endings.is_empty()).unwrap_or(false)
    }

    pub fn ending(&self, span: &Bound<'_, PySpan>) -> PyResult<()> {
        let endings = self.copy(span.py(), |ways| &ways.endings);
        call_all(span.py(), endings, |ending| ending.call1((span,)))
    }

    pub fn ended(&self, span: &Bound<'_, PySpan>) -> PyResult<()> {
        let py = span.py();
        let ends = self.copy(py, |ways| &ways.ends);
        let view = match ends.is_empty() {
            true => None,
            false => guarded(py, "the view of a span", || Api::help(py, "view", (span,)))?,
        };
        let mut raised = match &view {
            Some(view) => call_all(py, ends, |end| end.call1((view,))),
            None => Ok(()),
        };
        if !span.get().is_sampled() {
            return raised;
        }
        let queues = |ways: &mut Ways| -> Vec<_> {
            ways.queues.iter().map(|queue| queue.clone_ref(py)).collect()
        };
        for queue in self.ways.with(py, queues).unwrap_or_default() {
            let queue = queue.bind(py).get();
            match &view {
                Some(view) => {
                    let added = guarded(py, "the encoding of a span", || queue.add(py, view));
                    raised = raised.and(added.map(drop));
                }
                None => PySpan::hand_over(span, queue),
            }
        }
        raised
    }
}

/// Call methods of processors, each whatever the others raise.
fn call_all<'py>(
    py: Python<'py>,
    methods: Vec<Py<PyAny>>,
    call: impl Fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let mut raised = Ok(());
    for method in methods {
        let called = guarded(py, "a span processor", || call(method.bind(py)));
        raised = raised.and(called.map(drop));
    }
    raised
}

#[pymethods]
impl PyRoute {
    #[new]
    fn new() -> Self {
        Self { ways: Held::new(Ways::default()), counts: Held::new(Counts::default()) }
    }

    /// How many spans were started in this process, by sampling result (dropped, recorded, sampled)
    /// and then by parent (none, local, remote); then how many ended, recorded ones and sampled ones.
    fn counts(&self, py: Python<'_>) -> [u64; 11] {
        self.counts.with(py, Counts::read).unwrap_or_default()
    }

    /// Send spans to these queues, and to these methods of processors: `on_start`, `on_ending`,
    /// `on_end`.
    fn lead(
        &self,
        py: Python<'_>,
        queues: Vec<Py<PyQueue>>,
        starts: &Bound<'_, PyTuple>,
        endings: &Bound<'_, PyTuple>,
        ends: &Bound<'_, PyTuple>,
    ) {
        let list = |methods: &Bound<'_, PyTuple>| methods.iter().map(Bound::unbind).collect();
        let new = Ways { queues, starts: list(starts), endings: list(endings), ends: list(ends) };
        // The old ones are dropped outside.
        let _old = self.ways.with(py, |ways| std::mem::replace(ways, new));
    }
}
