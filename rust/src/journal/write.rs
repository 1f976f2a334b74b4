//! The writer thread: all that waits goes out in one write and one sync, then it is answered.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::format::{self, DATA, Entry};
use super::state::{Copied, Reader, Segment, State};
use super::{Answer, Fsync, Refused, Shared};
use crate::edges::compress::{Coding, Compressor};
use crate::platform::file::append;
use crate::wire::{Batch, Context};

/// Time between two looks at what has changed, where the policy does not say.
const TICK: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 200 });

/// Bytes of batches, and how long, that a copy on disk is offered to other readers: a fan-out's
/// branches come together, or when they have waited for an exporter. Nobody can tell whether one
/// will come, since others may hold the bytes for reasons of their own.
const MOST_RECENT: usize = 4 << 20;
const RECENTLY: Duration = Duration::from_secs(2);

/// Parts of a position that goes with every append; a larger one waits for the next tick.
const FEW: usize = 64;

/// Ranges of done ids that a position has at most.
pub(super) const MOST_RANGES: usize = 4096;

/// A batch to keep.
pub struct Append {
    pub batch: Batch,
    pub reader: usize,
    /// Compress it.
    pub pack: bool,
    /// It is out from the start.
    pub hold: bool,
    pub answer: Answer,
}

/// Begin the thread; it ends when the journal is closed or dropped, and lets go of the lock then.
pub fn start(shared: Arc<Shared>, lock: File) -> io::Result<()> {
    let writer = Writer {
        shared,
        ticked: Instant::now(),
        synced: Instant::now(),
        file: None,
        unsynced: Vec::new(),
        recent: Vec::new(),
        busy: false,
        _lock: lock,
    };
    let thread = std::thread::Builder::new().name("heliograph-journal".into());
    thread.spawn(move || writer.run()).map(drop)
}

/// An append, ready to be written.
pub(super) struct Job {
    append: Append,
    entry: Entry,
    context: Vec<u8>,
    data: Bytes,
}

/// A batch in the active segment that others may still append.
pub(super) struct Recent {
    since: Instant,
    data: Bytes,
    context: Arc<Context>,
    offset: u32,
    entry: Entry,
}

/// What one write consists of: `bytes` in pieces, and the batches between them.
#[derive(Default)]
pub(super) struct Group {
    bytes: Vec<u8>,
    pieces: Vec<(Range<usize>, Bytes)>,
    cut: usize,
    /// The jobs, and where each begins and ends in the file.
    jobs: Vec<(Job, u64, u64)>,
    /// Entries of the segment that begins with this id, written again.
    pub(super) copies: Option<(u64, Vec<Copied>)>,
    /// Readers whose position is in it.
    positions: Vec<usize>,
    named: Vec<usize>,
    pub(super) length: u64,
}

impl Group {
    pub(super) fn push(&mut self, data: Bytes) {
        self.length = self.length.wrapping_add(data.len() as u64);
        self.pieces.push((self.cut..self.bytes.len(), data));
        self.cut = self.bytes.len();
    }

    pub(super) fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        put(&mut self.bytes);
        self.length += (self.bytes.len() - before) as u64;
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let pieces = self.pieces.iter().flat_map(|(head, data)| [&self.bytes[head.clone()], data]);
        let last = [&self.bytes[self.cut..]];
        pieces.chain(last).filter(|slice| !slice.is_empty()).map(IoSlice::new).collect()
    }

    /// Have the segment know the number of a reader.
    pub(super) fn name(&mut self, index: usize, reader: &Reader) {
        if !reader.written && !self.named.contains(&index) {
            self.put(|out| {
                format::put_reader(out, reader.number, &reader.name);
                format::put_position(out, &reader.position(MOST_RANGES));
            });
            self.named.push(index);
        }
    }

    fn ids(&self) -> u64 {
        (self.jobs.len() + self.copies.as_ref().map_or(0, |(_, copies)| copies.len())) as u64
    }
}

/// What went wrong: after a failed sync nobody knows what is on disk.
pub(super) enum Failure {
    Write(io::Error),
    Sync(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(error) | Self::Sync(error) => error.fmt(f),
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Write(error) | Failure::Sync(error) => error,
        }
    }
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    ticked: Instant,
    synced: Instant,
    /// The active segment.
    pub(super) file: Option<Arc<File>>,
    unsynced: Vec<Arc<File>>,
    pub(super) recent: Vec<Recent>,
    /// Something was appended since the last tick.
    busy: bool,
    _lock: File,
}

impl Writer {
    fn run(mut self) {
        loop {
            let (appends, ending) = self.wait();
            self.busy |= !appends.is_empty();
            let mut jobs: VecDeque<Job> = appends.into_iter().map(prepare).collect();
            while !jobs.is_empty() {
                self.write_some(&mut jobs);
            }
            if self.ticked.elapsed() >= self.interval() {
                self.tick();
            }
            self.reap();
            if ending {
                self.end();
                return;
            }
        }
    }

    /// Wait for something to do.
    fn wait(&mut self) -> (Vec<Append>, bool) {
        let shared = self.shared.clone();
        let mut inner = shared.lock();
        loop {
            if !inner.queue.is_empty() || inner.ending || inner.drained {
                inner.drained = false;
                return (std::mem::take(&mut inner.queue), inner.ending);
            }
            let waited = if self.has_tick(&inner.state) {
                let due = self.interval().saturating_sub(self.ticked.elapsed());
                if due.is_zero() {
                    return (Vec::new(), false);
                }
                shared.bell.wait_timeout(inner, due).map(|(inner, _)| inner).ok()
            } else {
                inner.asleep = true;
                let mut woken = shared.bell.wait(inner).ok();
                if let Some(inner) = &mut woken {
                    inner.asleep = false;
                }
                self.ticked = Instant::now();
                woken
            };
            inner = waited.unwrap_or_else(|| shared.lock());
        }
    }

    fn interval(&self) -> Duration {
        match self.shared.limits().fsync {
            Fsync::Every(every) => every.min(TICK),
            _ => TICK,
        }
    }

    /// Whether anything is left to do at the next tick.
    fn has_tick(&self, state: &State) -> bool {
        self.busy
            || !self.recent.is_empty()
            || !self.unsynced.is_empty()
            || state.readers.iter().any(|reader| reader.dirty)
            || state.active.is_some() && state.segments.values().all(Segment::is_drained)
    }

    /// Write and answer as many jobs as go into the active segment, at least one.
    fn write_some(&mut self, jobs: &mut VecDeque<Job>) {
        let limits = self.shared.limits();
        let Some(first) = jobs.front() else { return };
        let needed = first.size();
        if let Err(refused) = self.make_room(needed) {
            if let Some(job) = jobs.pop_front() {
                (job.append.answer)(Err(refused));
            }
            return;
        }
        let shared = self.shared.clone();
        let mut group = Group::default();
        self.forget();
        let recent = self.recent.len();
        let good = {
            let state = &mut shared.lock().state;
            let Some(active) = state.active.and_then(|first| state.segments.get(&first)) else {
                return;
            };
            let good = active.good;
            put_positions(&mut group, state, FEW);
            let limit = limits.room().saturating_sub(state.used);
            while let Some(job) = jobs.front() {
                let size = group.length + job.size();
                let alone = group.jobs.is_empty();
                if !alone && (size > limit || good + size > limits.segment()) {
                    break;
                }
                let Some(job) = jobs.pop_front() else { break };
                self.put(&mut group, good, state, job);
            }
            good
        };
        match self.write(&group, good) {
            Ok(()) => self.commit(good, group),
            Err(error) => {
                self.recent.truncate(recent);
                let message = format!("{}: {error}", shared.settings.directory.display());
                (shared.settings.say)(format!("{message}: nothing was kept"));
                self.undo(good, &group, &error);
                for (job, ..) in group.jobs {
                    (job.append.answer)(Err(Refused::Failed(message.clone())));
                }
            }
        }
    }

    /// Let go of batches that hardly anybody will append any more.
    fn forget(&mut self) {
        let mut bytes = 0;
        let newest = self.recent.iter().rev().take_while(|recent| {
            bytes += recent.data.len();
            bytes <= MOST_RECENT && recent.since.elapsed() < RECENTLY
        });
        let kept = newest.count();
        self.recent.drain(..self.recent.len() - kept);
        self.recent.retain(|recent| !recent.data.is_unique());
    }

    /// Add a job to a group that will be written at `good`.
    fn put(&mut self, group: &mut Group, good: u64, state: &mut State, job: Job) {
        let reader = &state.readers[job.append.reader];
        group.name(job.append.reader, reader);
        let readers = [reader.number];
        let from = good + group.length;
        let batch = &job.append.batch;
        let same = self.recent.iter().find(|recent| {
            recent.data.as_ptr() == batch.data.as_ptr()
                && recent.data.len() == batch.data.len()
                && recent.entry.signal == batch.signal
                && recent.context.metadata == batch.context.metadata
                && recent.context.auth == batch.context.auth
        });
        if let Some(recent) = same {
            let entry = Entry { received: job.entry.received, ..recent.entry };
            let target = recent.offset;
            group.put(|out| format::put_ref(out, &entry, &readers, target));
            group.jobs.push((Job { entry, ..job }, from, good + group.length));
            return;
        }
        let Job { entry, context, data, .. } = &job;
        group.put(|out| format::put_data(out, entry, &readers, context, data));
        group.push(data.clone());
        if let Ok(offset) = u32::try_from(from) {
            let (data, context) = (batch.data.clone(), batch.context.clone());
            let since = Instant::now();
            self.recent.push(Recent { since, data, context, offset, entry: *entry });
        }
        group.jobs.push((job, from, good + group.length));
    }

    /// Write a group at the end of the active segment, which is at `good`.
    pub(super) fn write(&mut self, group: &Group, mut good: u64) -> Result<(), Failure> {
        let missing = || Failure::Write(io::ErrorKind::NotFound.into());
        let file = self.file.as_ref().ok_or_else(missing)?;
        let mut slices = group.slices();
        let mut slices = slices.as_mut_slice();
        while !slices.is_empty() {
            match append(file, slices, good) {
                Ok(0) => return Err(Failure::Write(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    good += written as u64;
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Write(error)),
            }
        }
        match self.shared.limits().fsync {
            Fsync::Each => file.sync_data().map_err(Failure::Sync),
            Fsync::Every(_) => {
                if !self.unsynced.iter().any(|other| Arc::ptr_eq(other, file)) {
                    self.unsynced.push(file.clone());
                }
                Ok(())
            }
            Fsync::Never => Ok(()),
        }
    }

    /// What was written counts from now on.
    pub(super) fn commit(&mut self, good: u64, group: Group) {
        let mut inner = self.shared.lock();
        let state = &mut inner.state;
        if let Some(active) = state.active.and_then(|first| state.segments.get_mut(&first)) {
            active.good = good + group.length;
            active.size = active.good;
            state.used += group.length;
        }
        for reader in group.named {
            state.readers[reader].written = true;
        }
        let answers: Vec<_> = group
            .jobs
            .into_iter()
            .map(|(job, from, after)| {
                let Append { reader, hold, answer, .. } = job.append;
                (answer, state.appended(reader, (from, after), job.entry, hold))
            })
            .collect();
        if let Some((first, copies)) = &group.copies {
            state.moved(*first, copies);
        }
        drop(inner);
        for (answer, id) in answers {
            answer(id.ok_or_else(|| Refused::Failed("the journal has no segment".into())));
        }
    }

    /// Take back a write that failed; the segment is left alone when that fails too, or when it is
    /// not known what of it is on disk.
    pub(super) fn undo(&mut self, good: u64, group: &Group, failure: &Failure) {
        let shared = self.shared.clone();
        let cut = self.file.as_ref().is_some_and(|file| {
            file.set_len(good).is_ok() && (&**file).seek(SeekFrom::Start(good)).is_ok()
        });
        let mut inner = shared.lock();
        match failure {
            Failure::Write(_) => inner.failures.writes += 1,
            Failure::Sync(_) => inner.failures.syncs += 1,
        }
        let state = &mut inner.state;
        for reader in &group.positions {
            state.readers[*reader].dirty = true;
        }
        if !cut || matches!(failure, Failure::Sync(_)) {
            self.seal(state, group.ids());
        }
    }

    /// Append nothing more to the active segment; `lost` ids must not be used again.
    pub(super) fn seal(&mut self, state: &mut State, lost: u64) {
        state.next += lost;
        if let Some(active) = state.active.take().and_then(|first| state.segments.get_mut(&first)) {
            let size = active.file.metadata().map_or(active.size, |metadata| metadata.len());
            state.used = state.used - active.size + size;
            active.size = size;
        }
        self.file = None;
        self.recent.clear();
    }

    /// What is done from time to time.
    fn tick(&mut self) {
        self.ticked = Instant::now();
        self.forget();
        let idle = !std::mem::take(&mut self.busy);
        let shared = self.shared.clone();
        let (dirty, drained, active) = {
            let state = &shared.lock().state;
            let dirty = state.readers.iter().any(|reader| reader.dirty);
            let drained = state.segments.values().all(Segment::is_drained);
            (dirty, drained, state.active.is_some())
        };
        if drained && idle {
            if active {
                self.retire();
            }
            let state = &mut shared.lock().state;
            state.readers.iter_mut().for_each(|reader| reader.dirty = false);
        } else if dirty && !drained {
            self.write_positions();
        }
        self.clean();
        if let Fsync::Every(every) = shared.limits().fsync
            && self.synced.elapsed() >= every
        {
            self.sync();
        }
    }

    /// Write where the readers are that have moved on.
    fn write_positions(&mut self) {
        let shared = self.shared.clone();
        let (settings, limits) = (&shared.settings, shared.limits());
        let mut group = Group::default();
        let good = {
            let state = &mut shared.lock().state;
            let active = state.active.and_then(|first| state.segments.get(&first));
            let good = active.map(|active| active.good);
            if good.is_some() {
                put_positions(&mut group, state, usize::MAX);
            }
            good.filter(|good| {
                good + group.length <= limits.segment()
                    && state.used + group.length <= limits.max_bytes
            })
        };
        let written = match good {
            // A new segment begins with them.
            None => self.roll(),
            Some(good) => {
                let written = self.write(&group, good);
                match &written {
                    Ok(()) => return self.commit(good, group),
                    Err(error) => self.undo(good, &group, error),
                }
                written.map_err(Failure::into)
            }
        };
        let mut inner = shared.lock();
        if let Err(error) = written {
            for reader in &group.positions {
                inner.state.readers[*reader].dirty = true;
            }
            drop(inner);
            (settings.say)(format!(
                "{}: {error}: after a crash, delivered data would be sent again",
                settings.directory.display()
            ));
        }
    }

    /// Force onto the disk what was written.
    fn sync(&mut self) {
        self.synced = Instant::now();
        let shared = self.shared.clone();
        for file in std::mem::take(&mut self.unsynced) {
            let Err(error) = file.sync_data() else { continue };
            let mut inner = shared.lock();
            inner.failures.syncs += 1;
            if self.file.as_ref().is_some_and(|active| Arc::ptr_eq(active, &file)) {
                self.seal(&mut inner.state, 0);
            }
            drop(inner);
            (shared.settings.say)(format!(
                "{}: {error}: what was journaled last may not survive a power failure",
                shared.settings.directory.display()
            ));
        }
    }

    fn end(mut self) {
        let shared = self.shared.clone();
        let (dirty, drained) = {
            let state = &shared.lock().state;
            let dirty = state.readers.iter().any(|reader| reader.dirty);
            (dirty, state.segments.values().all(Segment::is_drained))
        };
        if drained {
            self.retire();
            self.reap();
        } else if dirty {
            self.write_positions();
            if shared.limits().fsync == Fsync::Never {
                self.unsynced.clear();
            }
        }
        self.sync();
        let mut inner = shared.lock();
        inner.ended = true;
        // Whoever opens the directory next deletes files, and their space is to be free then.
        let files = std::mem::take(&mut inner.state.segments);
        let at_end = std::mem::take(&mut inner.at_end);
        drop(inner);
        // The lock is let go of before anybody hears of the end.
        drop((files, self));
        at_end.into_iter().for_each(|done| done());
    }
}

impl Job {
    /// The most bytes that it may take.
    fn size(&self) -> u64 {
        DATA + self.context.len() as u64 + u64::from(self.entry.stored)
    }
}

pub(super) fn failed(shared: &Shared) -> impl Fn(io::Error) -> Refused {
    let directory = shared.settings.directory.display().to_string();
    move |error| Refused::Failed(format!("{directory}: {error}"))
}

fn prepare(append: Append) -> Job {
    let Batch { signal, data, items, context } = &append.batch;
    let packed = if append.pack {
        let packed = Compressor { coding: Coding::Zstd, level: None }.compress(data);
        packed.ok().filter(|packed| packed.len() < data.len())
    } else {
        None
    };
    let mut entry = Entry {
        signal: *signal,
        packed: packed.is_some(),
        items: *items as u32,
        received: now(),
        raw: data.len() as u32,
        stored: data.len() as u32,
    };
    let data = packed.map_or_else(|| data.clone(), Bytes::from);
    entry.stored = data.len() as u32;
    let mut bytes = Vec::new();
    format::put_context(&mut bytes, context);
    Job { entry, context: bytes, data, append }
}

/// Put the positions that have changed and have at most so many parts.
fn put_positions(group: &mut Group, state: &mut State, most: usize) {
    for (index, reader) in state.readers.iter_mut().enumerate() {
        if reader.dirty && reader.written && reader.parts() <= most {
            let position = reader.position(MOST_RANGES);
            group.put(|out| format::put_position(out, &position));
            group.positions.push(index);
            reader.dirty = false;
        }
    }
}

pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
