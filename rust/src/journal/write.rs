//! The writer thread: all that waits goes out in one write and one sync, then it is answered.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::format::{self, DATA, Entry, HEADER, Position};
use super::recover::SUFFIX;
use super::state::{Segment, State};
use super::{Answer, Fsync, Refused, Shared, damaged_name};
use crate::edges::compress::{Coding, Compressor};
use crate::wire::{Batch, Context};

/// Time between two looks at what has changed, where the policy does not say.
const TICK: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 200 });

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
    let tick = match shared.settings.fsync {
        Fsync::Every(every) => every.min(TICK),
        _ => TICK,
    };
    let writer = Writer {
        shared,
        tick,
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
struct Job {
    append: Append,
    entry: Entry,
    context: Vec<u8>,
    data: Bytes,
}

/// A batch in the active segment that others may still append.
struct Recent {
    data: Bytes,
    context: Arc<Context>,
    offset: u32,
    entry: Entry,
}

/// What one write consists of: `bytes` in pieces, and the batches between them.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    pieces: Vec<(Range<usize>, Bytes)>,
    cut: usize,
    /// The jobs, and where each begins and ends in the file.
    jobs: Vec<(Job, u64, u64)>,
    /// Readers whose position is in it.
    positions: Vec<usize>,
    named: Vec<usize>,
    length: u64,
}

impl Group {
    fn push(&mut self, data: Bytes) {
        self.length = self.length.wrapping_add(data.len() as u64);
        self.pieces.push((self.cut..self.bytes.len(), data));
        self.cut = self.bytes.len();
    }

    fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        put(&mut self.bytes);
        self.length += (self.bytes.len() - before) as u64;
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let pieces = self.pieces.iter().flat_map(|(head, data)| [&self.bytes[head.clone()], data]);
        let last = [&self.bytes[self.cut..]];
        pieces.chain(last).filter(|slice| !slice.is_empty()).map(IoSlice::new).collect()
    }
}

/// What went wrong: after a failed sync nobody knows what is on disk.
enum Failure {
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

struct Writer {
    shared: Arc<Shared>,
    tick: Duration,
    ticked: Instant,
    synced: Instant,
    /// The active segment.
    file: Option<Arc<File>>,
    unsynced: Vec<Arc<File>>,
    recent: Vec<Recent>,
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
            if self.ticked.elapsed() >= self.tick {
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
                let due = self.tick.saturating_sub(self.ticked.elapsed());
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
        self.recent.retain(|recent| !recent.data.is_unique());
        let recent = self.recent.len();
        let good = {
            let state = &mut shared.lock().state;
            let Some(active) = state.active.and_then(|first| state.segments.get(&first)) else {
                return;
            };
            let good = active.good;
            put_positions(&mut group, state);
            let limit = shared.settings.room().saturating_sub(state.used);
            while let Some(job) = jobs.front() {
                let size = group.length + job.size();
                let alone = group.jobs.is_empty();
                if !alone && (size > limit || good + size > shared.settings.segment()) {
                    break;
                }
                let Some(job) = jobs.pop_front() else { break };
                self.put(&mut group, good, state, job);
            }
            good
        };
        match self.write(&group) {
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

    /// Add a job to a group that will be written at `good`.
    fn put(&mut self, group: &mut Group, good: u64, state: &mut State, job: Job) {
        let reader = &state.readers[job.append.reader];
        if !reader.written && !group.named.contains(&job.append.reader) {
            group.put(|out| {
                format::put_reader(out, reader.number, &reader.name);
                format::put_position(out, &reader.position());
            });
            group.named.push(job.append.reader);
        }
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
            self.recent.push(Recent { data, context, offset, entry: *entry });
        }
        group.jobs.push((job, from, good + group.length));
    }

    fn write(&mut self, group: &Group) -> Result<(), Failure> {
        let missing = || Failure::Write(io::ErrorKind::NotFound.into());
        let file = self.file.as_ref().ok_or_else(missing)?;
        let mut slices = group.slices();
        let mut slices = slices.as_mut_slice();
        while !slices.is_empty() {
            match (&**file).write_vectored(slices) {
                Ok(0) => return Err(Failure::Write(io::ErrorKind::WriteZero.into())),
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Write(error)),
            }
        }
        match self.shared.settings.fsync {
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
    fn commit(&mut self, good: u64, group: Group) {
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
        drop(inner);
        for (answer, id) in answers {
            answer(id.ok_or_else(|| Refused::Failed("the journal has no segment".into())));
        }
    }

    /// Take back a write that failed; the segment is left alone when that fails too, or when it is
    /// not known what of it is on disk.
    fn undo(&mut self, good: u64, group: &Group, failure: &Failure) {
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
            self.seal(state, group.jobs.len() as u64);
        }
    }

    /// Append nothing more to the active segment; `lost` ids must not be used again.
    fn seal(&mut self, state: &mut State, lost: u64) {
        state.next += lost;
        if let Some(active) = state.active.take().and_then(|first| state.segments.get_mut(&first)) {
            let size = active.file.metadata().map_or(active.size, |metadata| metadata.len());
            state.used = state.used - active.size + size;
            active.size = size;
        }
        self.file = None;
        self.recent.clear();
    }

    /// Have an active segment that takes so many more bytes, and the bytes on disk for it.
    fn make_room(&mut self, needed: u64) -> Result<(), Refused> {
        let shared = self.shared.clone();
        let settings = &shared.settings;
        let room = settings.room();
        if needed + HEADER > room {
            let message = format!("a batch of {needed} bytes is larger than the journal");
            return Err(Refused::Full(message));
        }
        if self.used() + needed > room {
            self.reap();
        }
        loop {
            let (used, active, fits, drained) = {
                let state = &shared.lock().state;
                let active = state.active.and_then(|first| state.segments.get(&first));
                let fits = active.is_some_and(|active| {
                    active.good + needed <= settings.segment() || active.end == active.first
                });
                let drained = active.is_some_and(Segment::is_drained);
                (state.used, state.active, fits, drained)
            };
            if used + needed <= room {
                return if fits { Ok(()) } else { self.roll().map_err(failed(&shared)) };
            }
            let oldest = shared.lock().state.segments.keys().next().copied();
            if active.is_some() && drained {
                self.retire();
                self.reap();
            } else if settings.drop_oldest && oldest.is_some() {
                if active == oldest {
                    self.retire();
                }
                self.drop_oldest().map_err(failed(&shared))?;
            } else {
                let message = format!(
                    "the journal in {} is full: {used} of {} bytes",
                    settings.directory.display(),
                    settings.max_bytes
                );
                return Err(Refused::Full(message));
            }
        }
    }

    fn used(&self) -> u64 {
        self.shared.lock().state.used
    }

    /// Begin a new segment.
    fn roll(&mut self) -> io::Result<()> {
        let shared = self.shared.clone();
        let (mut readers, mut included, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        let next = {
            let state = &mut shared.lock().state;
            for reader in 0..state.readers.len() {
                let needed = state.is_needed(reader);
                let at = &mut state.readers[reader];
                if std::mem::take(&mut at.dirty) {
                    moved.push(reader);
                }
                if needed {
                    readers.push((at.name.clone(), at.position()));
                    included.push(reader);
                }
            }
            state.next
        };
        let made = self.create(next, &readers);
        let mut inner = shared.lock();
        let segment = match made {
            Ok(segment) => segment,
            Err(error) => {
                inner.failures.writes += 1;
                for reader in moved {
                    inner.state.readers[reader].dirty = true;
                }
                return Err(error);
            }
        };
        let state = &mut inner.state;
        state.readers.iter_mut().for_each(|reader| reader.written = false);
        included.iter().for_each(|reader| state.readers[*reader].written = true);
        state.active = Some(segment.first);
        state.next = segment.first;
        state.used += segment.size;
        self.file = Some(segment.file.clone());
        state.segments.insert(segment.first, segment);
        inner.drained = true;
        self.recent.clear();
        Ok(())
    }

    /// Make the file of a segment whose ids begin at `first`, or a little higher.
    fn create(&self, mut first: u64, readers: &[(Arc<str>, Position)]) -> io::Result<Segment> {
        let settings = &self.shared.settings;
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        let (path, file) = loop {
            let path = settings.directory.join(format!("{first:016x}.{SUFFIX}"));
            match options.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => first += 1,
                file => break (path, file?),
            }
        };
        let mut head = Vec::new();
        format::put_header(&mut head, first, now());
        format::put_state(&mut head, readers);
        let mut written = (&file).write_all(&head);
        if written.is_ok() && settings.fsync != Fsync::Never {
            written = File::open(&settings.directory).and_then(|directory| directory.sync_all());
        }
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let size = head.len() as u64;
        Ok(Segment {
            file: Arc::new(file),
            path,
            first,
            end: first,
            good: size,
            size,
            damaged: false,
            shares: Vec::new(),
        })
    }

    /// Have no active segment; the next append begins one.
    fn retire(&mut self) {
        let shared = self.shared.clone();
        self.seal(&mut shared.lock().state, 0);
    }

    /// Give up what waits in the oldest segment.
    fn drop_oldest(&mut self) -> io::Result<()> {
        let shared = self.shared.clone();
        let oldest = {
            let state = &shared.lock().state;
            let first = state.segments.first_key_value();
            first.map(|(first, segment)| (*first, segment.path.clone()))
        };
        let Some((first, path)) = oldest else { return Err(io::ErrorKind::NotFound.into()) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        shared.lock().state.drop_segment(first);
        (shared.settings.say)(format!(
            "{}: full: what waited in {} was dropped",
            shared.settings.directory.display(),
            path.file_name().unwrap_or_default().to_string_lossy()
        ));
        Ok(())
    }

    /// Delete the segments that nobody needs.
    fn reap(&mut self) {
        let shared = self.shared.clone();
        let gone: Vec<_> = {
            let state = &shared.lock().state;
            let old = state.segments.values().filter(|old| Some(old.first) != state.active);
            let old = old.filter(|old| old.is_drained());
            old.map(|old| (old.first, old.path.clone(), old.damaged)).collect()
        };
        for (first, path, damaged) in gone {
            let removed = match damaged {
                true => fs::rename(&path, damaged_name(&path)),
                false => fs::remove_file(&path),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    (shared.settings.say)(format!("{}: {error}", path.display()));
                }
                _ => {
                    shared.lock().state.drop_segment(first);
                }
            }
        }
    }

    /// What is done from time to time.
    fn tick(&mut self) {
        self.ticked = Instant::now();
        self.recent.retain(|recent| !recent.data.is_unique());
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
        if let Fsync::Every(every) = shared.settings.fsync
            && self.synced.elapsed() >= every
        {
            self.sync();
        }
    }

    /// Write where the readers are that have moved on.
    fn write_positions(&mut self) {
        let shared = self.shared.clone();
        let settings = &shared.settings;
        let mut group = Group::default();
        let good = {
            let state = &mut shared.lock().state;
            let active = state.active.and_then(|first| state.segments.get(&first));
            let good = active.map(|active| active.good);
            if good.is_some() {
                put_positions(&mut group, state);
            }
            good.filter(|good| {
                good + group.length <= settings.segment()
                    && state.used + group.length <= settings.max_bytes
            })
        };
        let written = match good {
            // A new segment begins with them.
            None => self.roll(),
            Some(good) => {
                let written = self.write(&group);
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
            if shared.settings.fsync == Fsync::Never {
                self.unsynced.clear();
            }
        }
        self.sync();
        let mut inner = shared.lock();
        inner.ended = true;
        let at_end = std::mem::take(&mut inner.at_end);
        drop(inner);
        // The lock is let go of before anybody hears of the end.
        drop(self);
        at_end.into_iter().for_each(|done| done());
    }
}

impl Job {
    /// The most bytes that it may take.
    fn size(&self) -> u64 {
        DATA + self.context.len() as u64 + u64::from(self.entry.stored)
    }
}

fn failed(shared: &Shared) -> impl Fn(io::Error) -> Refused {
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

fn put_positions(group: &mut Group, state: &mut State) {
    for (index, reader) in state.readers.iter_mut().enumerate() {
        if reader.dirty && reader.written {
            let position = reader.position();
            group.put(|out| format::put_position(out, &position));
            group.positions.push(index);
            reader.dirty = false;
        }
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
