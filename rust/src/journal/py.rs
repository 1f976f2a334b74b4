//! Python's view of the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyBlockingIOError, PyOSError, PyValueError};
use pyo3::prelude::*;

use super::state::{State, Tally};
use super::{
    Append, Fsync, Journal, Limits, Recovery, Refusal, Refused, Settings, Standing, Taken,
};
use crate::edges::events::Events;
use crate::edges::py::{Event, PyEvents};
use crate::edges::runtime;
use crate::wire::py::PyBatch;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyJournal>()?;
    module.add_class::<PyReader>()?;
    module.add_class::<PyRecord>()?;
    module.add_class::<PyOutcome>()?;
    module.add_class::<PyRecovery>()?;
    module.add_class::<PyInspection>()?;
    module.add_function(wrap_pyfunction!(inspect_journal, module)?)
}

/// An append-only queue on disk.
#[pyclass(name = "Journal", module = "heliograph._core", frozen)]
struct PyJournal {
    events: Arc<Events<Event>>,
    journal: Arc<Journal>,
}

fn refusal(refusal: Refusal) -> PyErr {
    match &refusal {
        Refusal::Io(path, error) => match error.raw_os_error() {
            Some(number) => {
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or_default().to_string();
                PyOSError::new_err((number, text, path.display().to_string()))
            }
            None => PyOSError::new_err(refusal.to_string()),
        },
        Refusal::Locked(..) => PyBlockingIOError::new_err(refusal.to_string()),
        Refusal::Version { .. } => PyValueError::new_err(refusal.to_string()),
    }
}

fn limits(max_bytes: u64, fsync: Option<f64>, drop_oldest: bool) -> PyResult<Limits> {
    let fsync =
        match fsync {
            None => Fsync::Never,
            Some(0.0) => Fsync::Each,
            Some(every) => Fsync::Every(Duration::try_from_secs_f64(every).map_err(|_| {
                PyValueError::new_err("fsync is 0 or more seconds, or None for never")
            })?),
        };
    Ok(Limits { max_bytes, fsync, drop_oldest })
}

#[pymethods]
impl PyJournal {
    #[new]
    #[pyo3(signature = (events, directory, *, max_bytes, fsync, drop_oldest=false, on_warning=None))]
    fn new(
        py: Python<'_>,
        events: &PyEvents,
        directory: PathBuf,
        max_bytes: u64,
        fsync: Option<f64>,
        drop_oldest: bool,
        on_warning: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let limits = limits(max_bytes, fsync, drop_oldest)?;
        let events = events.0.clone();
        let (target, warned) = (on_warning.map(Arc::new), events.clone());
        let say = move |text: String| {
            let Some(target) = target.clone() else { return };
            let payload: crate::edges::py::Payload = Box::new(move |py| text.into_bound_py_any(py));
            warned.push(Event { target, payload });
        };
        let say = Box::new(say);
        let settings = Settings { directory, limits, say };
        let journal = py.detach(|| Journal::open(settings)).map_err(refusal)?;
        Ok(Self { events, journal: Arc::new(journal) })
    }

    /// What was found when opening.
    #[getter]
    fn recovery(&self) -> PyRecovery {
        PyRecovery(self.journal.clone())
    }

    /// Return the reader of this name; what is on disk for it waits for it.
    fn reader(&self, name: &str) -> PyReader {
        PyReader {
            name: name.to_string(),
            events: self.events.clone(),
            journal: self.journal.clone(),
            index: self.journal.reader(name),
        }
    }

    /// Keep a batch for a reader; `target(JournalOutcome)` follows.
    #[pyo3(signature = (batch, reader, target, *, pack=false, hold=false))]
    fn append(
        &self,
        batch: &PyBatch,
        reader: &PyReader,
        target: Py<PyAny>,
        pack: bool,
        hold: bool,
    ) -> PyResult<()> {
        if !Arc::ptr_eq(&self.journal, &reader.journal) {
            return Err(PyValueError::new_err("the reader is another journal's"));
        }
        let (events, target) = (self.events.clone(), Arc::new(target));
        let answer = move |outcome: Result<u64, Refused>| {
            let outcome = PyOutcome(outcome);
            events.push(Event { target, payload: Box::new(|py| outcome.into_bound_py_any(py)) });
        };
        let (batch, answer) = (batch.0.clone(), Box::new(answer));
        self.journal.append(Append { batch, reader: reader.index, pack, hold, answer });
        Ok(())
    }

    /// Return the readers that something waits for, or that are open.
    fn names(&self) -> Vec<String> {
        self.journal.names().iter().map(|name| name.to_string()).collect()
    }

    /// Return what waits for the reader of a name, without opening it: records, and items by signal.
    fn standing(&self, name: &str) -> (u64, Items) {
        let waiting = self.journal.waiting(name);
        (waiting.records, items(&waiting))
    }

    /// Have other limits from now on.
    #[pyo3(signature = (*, max_bytes, fsync, drop_oldest=false))]
    fn adjust(&self, max_bytes: u64, fsync: Option<f64>, drop_oldest: bool) -> PyResult<()> {
        self.journal.adjust(limits(max_bytes, fsync, drop_oldest)?);
        Ok(())
    }

    /// Bytes on disk.
    #[getter]
    fn used(&self) -> u64 {
        self.journal.used()
    }

    #[getter]
    fn max_bytes(&self) -> u64 {
        self.journal.max_bytes()
    }

    #[getter]
    fn segments(&self) -> usize {
        self.journal.segments()
    }

    /// Writes that failed since the start.
    #[getter]
    fn failed_writes(&self) -> u64 {
        self.journal.failures().writes
    }

    /// Syncs that failed since the start.
    #[getter]
    fn failed_syncs(&self) -> u64 {
        self.journal.failures().syncs
    }

    /// Write what is left and let go of the directory; `done(None)` follows.
    fn close(&self, done: Py<PyAny>) {
        let (events, target) = (self.events.clone(), Arc::new(done));
        self.journal.close(move || {
            events.push(Event { target, payload: Box::new(|py| Ok(py.None().into_bound(py))) });
        });
    }
}

/// One of those who read a journal.
#[pyclass(name = "JournalReader", module = "heliograph._core", frozen)]
struct PyReader {
    name: String,
    events: Arc<Events<Event>>,
    journal: Arc<Journal>,
    index: usize,
}

impl PyReader {
    fn standing(&self) -> Standing {
        self.journal.standing(self.index)
    }
}

type Items = (u64, u64, u64, u64);

fn items(tally: &Tally) -> Items {
    let [traces, metrics, logs, profiles] = tally.items;
    (traces, metrics, logs, profiles)
}

#[pymethods]
impl PyReader {
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Records that nobody has taken.
    #[getter]
    fn waiting(&self) -> u64 {
        self.standing().waiting.records
    }

    /// Their bytes, as batches.
    #[getter]
    fn waiting_bytes(&self) -> u64 {
        self.standing().waiting.bytes
    }

    /// Their items, by signal.
    #[getter]
    fn waiting_items(&self) -> Items {
        items(&self.standing().waiting)
    }

    /// Records that are taken or held, and not done.
    #[getter]
    fn out(&self) -> usize {
        self.standing().out
    }

    /// When the oldest that waits was appended, in nanoseconds since the epoch.
    #[getter]
    fn oldest_ns(&self) -> Option<u64> {
        self.standing().oldest
    }

    /// Records given up because the journal was full.
    #[getter]
    fn dropped(&self) -> u64 {
        self.standing().dropped.records
    }

    #[getter]
    fn dropped_items(&self) -> Items {
        items(&self.standing().dropped)
    }

    /// Records that could not be read any more.
    #[getter]
    fn lost(&self) -> u64 {
        self.standing().lost.records
    }

    #[getter]
    fn lost_items(&self) -> Items {
        items(&self.standing().lost)
    }

    /// Take the oldest record that waits; `target(JournalRecord | None)` follows.
    fn take(&self, target: Py<PyAny>) {
        let (journal, index) = (self.journal.clone(), self.index);
        let (events, target) = (self.events.clone(), Arc::new(target));
        runtime::handle().spawn_blocking(move || {
            let taken = journal.take(index).map(PyRecord);
            events.push(Event { target, payload: Box::new(|py| taken.into_bound_py_any(py)) });
        });
    }

    /// A record that is out will never be needed again.
    fn done(&self, id: u64) {
        self.journal.done(self.index, id);
    }

    /// A record that is out waits again.
    fn put_back(&self, id: u64) {
        self.journal.put_back(self.index, id);
    }
}

/// A batch from disk.
#[pyclass(name = "JournalRecord", module = "heliograph._core", frozen)]
struct PyRecord(Taken);

#[pymethods]
impl PyRecord {
    #[getter]
    fn id(&self) -> u64 {
        self.0.id
    }

    #[getter]
    fn batch(&self) -> PyBatch {
        PyBatch(self.0.batch.clone())
    }

    /// Nanoseconds since the epoch.
    #[getter]
    fn received_ns(&self) -> u64 {
        self.0.received
    }
}

/// What became of an append.
#[pyclass(name = "JournalOutcome", module = "heliograph._core", frozen)]
struct PyOutcome(Result<u64, Refused>);

#[pymethods]
impl PyOutcome {
    #[getter]
    fn id(&self) -> Option<u64> {
        self.0.as_ref().ok().copied()
    }

    #[getter]
    fn full(&self) -> bool {
        matches!(self.0, Err(Refused::Full(_)))
    }

    #[getter]
    fn error(&self) -> &str {
        match &self.0 {
            Err(Refused::Full(reason) | Refused::Failed(reason)) => reason,
            Ok(_) => "",
        }
    }
}

/// What was found when a journal was opened.
#[pyclass(name = "JournalRecovery", module = "heliograph._core", frozen)]
struct PyRecovery(Arc<Journal>);

impl PyRecovery {
    fn recovery(&self) -> &Recovery {
        &self.0.recovery
    }
}

#[pymethods]
impl PyRecovery {
    /// Records that waited for somebody; one that waited for two counts twice.
    #[getter]
    fn records(&self) -> u64 {
        self.recovery().records
    }

    #[getter]
    fn bytes(&self) -> u64 {
        self.recovery().bytes
    }

    /// Bytes that could not be read.
    #[getter]
    fn skipped_bytes(&self) -> u64 {
        self.recovery().skipped
    }

    /// What could not be read, and where.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.recovery().notes.clone()
    }
}

/// What a directory has, read without opening it.
#[pyclass(name = "JournalInspection", module = "heliograph._core", frozen)]
struct PyInspection {
    state: State,
    recovery: Recovery,
}

/// Name, bytes, records that can be read, bytes still needed, and where and why reading stopped:
/// byte, reason, bytes skipped, whether it is the end of an unfinished write.
type File = (String, u64, u64, u64, Option<(u64, String, u64, bool)>);

#[pymethods]
impl PyInspection {
    /// Name, records, bytes, items by signal, and when the oldest came, in nanoseconds.
    #[getter]
    fn readers(&self) -> Vec<(String, u64, u64, Items, Option<u64>)> {
        let readers = self.state.readers.iter().enumerate();
        readers
            .map(|(index, reader)| {
                let waiting = &reader.waiting;
                let oldest = self.state.oldest(index);
                (reader.name.to_string(), waiting.records, waiting.bytes, items(waiting), oldest)
            })
            .collect()
    }

    /// The segments.
    #[getter]
    fn segments(&self) -> Vec<File> {
        let segments = &self.state.segments;
        let files = self.recovery.files.iter();
        files
            .map(|file| {
                let segment = segments.values().find(|segment| segment.path == file.path);
                let needed = segment.map_or(0, |segment| segment.needed().min(segment.size));
                let damage = file.damage.as_ref().map(|damage| {
                    (damage.offset, damage.fault.to_string(), damage.skipped, file.torn)
                });
                (name(&file.path), file.bytes, file.records, needed, damage)
            })
            .collect()
    }

    /// Name and bytes of the files that were set aside because they are damaged.
    #[getter]
    fn aside(&self) -> Vec<(String, u64)> {
        self.state.aside.iter().map(|(path, size)| (name(path), *size)).collect()
    }

    /// Bytes on disk.
    #[getter]
    fn used(&self) -> u64 {
        self.state.used
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Read a journal that may be open elsewhere, every checksum of it, and change nothing.
#[pyfunction]
fn inspect_journal(py: Python<'_>, directory: PathBuf) -> PyResult<PyInspection> {
    let (state, recovery) = py.detach(|| super::recover(&directory)).map_err(refusal)?;
    Ok(PyInspection { state, recovery })
}
