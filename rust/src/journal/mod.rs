//! An append-only queue on disk. Several readers share one copy of a batch.
//!
//! ```text
//!  append ─▶ queue ─▶ writer thread ─▶ one write, one sync ─▶ answers
//!                                            │ active segment
//!  take ─▶ cursor of the reader ─▶ segment ──┘      done ─▶ counters ─▶ position records
//! ```
//!
//! docs/formats/journal.md draws the files and says what each policy promises.

mod clean;
pub mod format;
mod ranges;
mod read;
pub mod recover;
mod room;
pub mod state;
mod write;

pub mod fuzz;
pub mod py;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

pub use read::Taken;
pub use recover::{Recovery, Refusal, recover};
use state::{State, Tally};
pub use write::Append;

use format::Fault;

use crate::platform::file::{make_private_directory, private};

/// When what was written is forced onto the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before an append is answered.
    Each,
    /// So often; an append is answered when it is written.
    Every(Duration),
    Never,
}

/// What may be changed while a journal is open.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that all files together may take.
    pub max_bytes: u64,
    pub fsync: Fsync,
    /// When full, give up the oldest segment instead of refusing.
    pub drop_oldest: bool,
}

impl Limits {
    /// Bytes from which a new segment is begun.
    fn segment(&self) -> u64 {
        (self.max_bytes / 8).clamp(64 << 10, 16 << 20)
    }

    /// Bytes up to which batches are taken; what is left is for positions, and for cleaning.
    fn room(&self) -> u64 {
        self.max_bytes.saturating_sub(self.segment() / 2)
    }

    /// Bytes up to which segments are cleaned; what is left is for positions.
    fn room_to_clean(&self) -> u64 {
        self.max_bytes.saturating_sub((self.max_bytes / 64).clamp(4 << 10, 1 << 20))
    }

    /// Quarters of a segment that may still be needed when it is cleaned, the more the less room
    /// there is; 0 while there is enough.
    fn sparse(&self, used: u64) -> u64 {
        match used / (self.max_bytes / 8).max(1) {
            0..4 => 0,
            4..6 => 1,
            6 => 2,
            _ => 3,
        }
    }

    /// Bytes that files may take which are kept only for people to look at.
    fn aside(&self) -> u64 {
        self.max_bytes / 8
    }
}

pub struct Settings {
    pub directory: PathBuf,
    pub limits: Limits,
    /// Told what somebody should know.
    pub say: Box<dyn Fn(String) + Send + Sync>,
}

/// Why an append failed; nothing was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Full(String),
    Failed(String),
}

type Answer = Box<dyn FnOnce(Result<u64, Refused>) + Send>;

/// Failures since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failures {
    pub writes: u64,
    pub syncs: u64,
}

#[derive(Default)]
struct Inner {
    state: State,
    queue: Vec<Append>,
    ending: bool,
    ended: bool,
    at_end: Vec<Box<dyn FnOnce() + Send>>,
    /// A segment may be deleted.
    drained: bool,
    /// The writer waits without an end.
    asleep: bool,
    failures: Failures,
}

pub struct Shared {
    settings: Settings,
    /// Taken last, and only to look or to change.
    limits: Mutex<Limits>,
    inner: Mutex<Inner>,
    bell: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// An open journal. Dropping it ends the writer thread once all that was appended is written.
pub struct Journal {
    shared: Arc<Shared>,
    pub recovery: Recovery,
}

impl Journal {
    /// Open a directory, made if it is not there, for this process alone.
    pub fn open(settings: Settings) -> Result<Self, Refusal> {
        let directory = &settings.directory;
        let failed = |error| Refusal::Io(directory.clone(), error);
        make_private_directory(directory).map_err(failed)?;
        let lock = lock(directory)?;
        let (mut state, mut recovery) = recover(directory)?;
        set_aside(&mut state, &mut recovery).map_err(failed)?;
        recovery.notes.extend(shrink_aside(&mut state, settings.limits.aside()));
        let inner = Mutex::new(Inner { state, drained: true, ..Inner::default() });
        let limits = Mutex::new(settings.limits);
        let shared = Arc::new(Shared { settings, limits, inner, bell: Condvar::new() });
        write::start(shared.clone(), lock)
            .map_err(|error| Refusal::Io(shared.settings.directory.clone(), error))?;
        Ok(Self { shared, recovery })
    }

    /// The number of the reader of this name, which waits for all that is on disk for it.
    pub fn reader(&self, name: &str) -> usize {
        let state = &mut self.shared.lock().state;
        let reader = state.reader(name);
        state.readers[reader].opened = true;
        reader
    }

    /// Answered by the writer thread; `answer` must not block.
    pub fn append(&self, append: Append) {
        let mut inner = self.shared.lock();
        if inner.ending {
            drop(inner);
            (append.answer)(Err(Refused::Failed("the journal is closed".into())));
            return;
        }
        inner.queue.push(append);
        if inner.queue.len() == 1 {
            self.shared.bell.notify_one();
        }
    }

    /// The oldest entry that waits for a reader; reads the disk.
    pub fn take(&self, reader: usize) -> Option<Taken> {
        read::take(&self.shared, reader)
    }

    pub fn done(&self, reader: usize, id: u64) {
        let mut inner = self.shared.lock();
        inner.drained |= inner.state.done(reader, id);
        if inner.drained || inner.asleep {
            self.shared.bell.notify_one();
        }
    }

    pub fn put_back(&self, reader: usize, id: u64) {
        let mut inner = self.shared.lock();
        if !inner.ended {
            inner.state.put_back(reader, id);
        }
    }

    /// Readers that something waits for, or that are open.
    pub fn names(&self) -> Vec<Arc<str>> {
        let state = &self.shared.lock().state;
        let needed = (0..state.readers.len()).filter(|reader| state.is_needed(*reader));
        needed.map(|reader| state.readers[reader].name.clone()).collect()
    }

    /// What waits for the reader of a name.
    pub fn waiting(&self, name: &str) -> Tally {
        let state = &self.shared.lock().state;
        let found = state.readers.iter().find(|reader| &*reader.name == name);
        found.map_or_else(Tally::default, |reader| reader.waiting)
    }

    pub fn used(&self) -> u64 {
        self.shared.lock().state.used
    }

    pub fn max_bytes(&self) -> u64 {
        self.shared.limits().max_bytes
    }

    /// Other limits from now on; where there is more than they allow, it stays.
    pub fn adjust(&self, limits: Limits) {
        *self.shared.limits.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = limits;
        let _inner = self.shared.lock();
        self.shared.bell.notify_one();
    }

    pub fn segments(&self) -> usize {
        self.shared.lock().state.segments.len()
    }

    pub fn failures(&self) -> Failures {
        self.shared.lock().failures
    }

    /// What a reader has.
    pub fn standing(&self, reader: usize) -> Standing {
        let state = &self.shared.lock().state;
        let at = &state.readers[reader];
        Standing {
            waiting: at.waiting,
            dropped: at.dropped,
            lost: at.lost,
            out: at.out(),
            oldest: state.oldest(reader),
        }
    }

    /// Write what is left, and let go of the directory; `done` follows.
    pub fn close(&self, done: impl FnOnce() + Send + 'static) {
        let mut inner = self.shared.lock();
        if inner.ended {
            drop(inner);
            done();
            return;
        }
        inner.ending = true;
        inner.at_end.push(Box::new(done));
        self.shared.bell.notify_one();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.bell.notify_one();
    }
}

/// Counters of one reader.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub waiting: Tally,
    pub dropped: Tally,
    pub lost: Tally,
    /// Taken or held, and not done.
    pub out: usize,
    /// Nanoseconds since the epoch.
    pub oldest: Option<u64>,
}

/// Take the directory's lock, which lives as long as the file is open.
fn lock(directory: &Path) -> Result<File, Refusal> {
    let path = directory.join("lock");
    let failed = |error| Refusal::Io(path.clone(), error);
    let mut options = private();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let known = (&file).take(20).read_to_string(&mut owner).is_ok();
            let owner = owner.trim();
            let by = if known && !owner.is_empty() {
                format!("process {owner}")
            } else {
                "another process".into()
            };
            return Err(Refusal::Locked(directory.to_path_buf(), by));
        }
    }
    // Only for the message above: a full disk is no reason to stay away.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Cut off torn ends, and rename files of which nothing can be read.
fn set_aside(state: &mut State, recovery: &mut Recovery) -> std::io::Result<()> {
    for segment in state.segments.values_mut() {
        if segment.good < segment.size && !segment.damaged {
            File::options().write(true).open(&segment.path)?.set_len(segment.good)?;
            state.used -= segment.size - segment.good;
            segment.size = segment.good;
        }
    }
    for (path, fault) in &recovery.useless {
        match fault {
            // It was being made when the process or the machine stopped.
            Fault::Torn => fs::remove_file(path)?,
            _ => {
                let aside = damaged_name(path);
                fs::rename(path, &aside)?;
                state.put_aside(aside.clone(), fs::metadata(&aside)?.len());
            }
        }
    }
    Ok(())
}

/// What a segment is called that is kept because something in it could not be read.
fn damaged_name(path: &Path) -> PathBuf {
    path.with_extension(recover::DAMAGED)
}

/// Delete files that were set aside, the oldest first, until they take at most so many bytes;
/// return what there is to say about it.
fn shrink_aside(state: &mut State, most: u64) -> Vec<String> {
    let mut said = Vec::new();
    while state.aside.values().sum::<u64>() > most {
        let Some((path, size)) = state.aside.pop_first() else { break };
        state.used -= size;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        said.push(match fs::remove_file(&path) {
            Ok(()) => format!("{name}: deleted, for damaged files may take {most} bytes"),
            Err(error) => format!("{name}: cannot be deleted: {error}"),
        });
    }
    said
}
