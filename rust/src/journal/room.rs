//! Room on disk: segments begin, end, and go.

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;

use super::format::{self, HEADER, Position};
use super::recover::SUFFIX;
use super::state::Segment;
use super::write::{MOST_RANGES, Writer, failed, now};
use super::{Fsync, Refused, damaged_name, shrink_aside};
use crate::platform::file;

impl Writer {
    /// Have an active segment that takes so many more bytes, and the bytes on disk for it.
    pub(super) fn make_room(&mut self, needed: u64) -> Result<(), Refused> {
        let shared = self.shared.clone();
        let (settings, limits) = (&shared.settings, shared.limits());
        let room = limits.room();
        if needed + HEADER > room {
            let message = format!("a batch of {needed} bytes is larger than the journal");
            return Err(Refused::Full(message));
        }
        if self.used() + needed > room {
            self.reap();
        }
        let mut cleaned = 0;
        loop {
            let (used, aside, active, fits, drained) = {
                let state = &shared.lock().state;
                let active = state.active.and_then(|first| state.segments.get(&first));
                let fits = active.is_some_and(|active| {
                    active.good + needed <= limits.segment() || active.end == active.first
                });
                let drained = active.is_some_and(Segment::is_drained);
                (state.used, state.aside.values().sum::<u64>(), state.active, fits, drained)
            };
            if used + needed <= room {
                if fits {
                    return Ok(());
                }
                // A segment is begun: as much has to become free, or it will soon be full.
                if cleaned < 4 && self.clean() {
                    cleaned += 1;
                    continue;
                }
                return self.roll().map_err(failed(&shared));
            }
            let oldest = shared.lock().state.segments.keys().next().copied();
            if active.is_some() && drained {
                self.retire();
                self.reap();
            } else if self.clean() || self.drop_aside(aside.saturating_sub(1)) {
                // There is more room now.
            } else if limits.drop_oldest && oldest.is_some() {
                if active == oldest {
                    self.retire();
                }
                self.drop_oldest().map_err(failed(&shared))?;
            } else {
                let message = format!(
                    "the journal in {} is full: {used} of {} bytes",
                    settings.directory.display(),
                    limits.max_bytes
                );
                return Err(Refused::Full(message));
            }
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.shared.lock().state.used
    }

    /// Begin a new segment.
    pub(super) fn roll(&mut self) -> io::Result<()> {
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
                    readers.push((at.name.clone(), at.position(MOST_RANGES)));
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
        let mut options = file::private();
        options.read(true).write(true).create_new(true);
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
        if written.is_ok() && self.shared.limits().fsync != Fsync::Never {
            written = file::sync_directory(&settings.directory);
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
            dense: u64::MAX,
            shares: Vec::new(),
        })
    }

    /// Have no active segment; the next append begins one.
    pub(super) fn retire(&mut self) {
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

    /// Delete the segments that nobody needs; the newest goes last, for it knows the positions.
    pub(super) fn reap(&mut self) {
        let shared = self.shared.clone();
        let gone: Vec<_> = {
            let state = &shared.lock().state;
            let old = state.segments.values().filter(|old| Some(old.first) != state.active);
            let newest = state.segments.keys().next_back().copied();
            let all = state.segments.values().all(Segment::is_drained);
            let old = old.filter(|old| old.is_drained() && (all || Some(old.first) != newest));
            old.map(|old| (old.first, old.path.clone(), old.damaged)).collect()
        };
        for (first, path, damaged) in gone {
            let aside = damaged.then(|| damaged_name(&path));
            let removed = match &aside {
                Some(aside) => fs::rename(&path, aside),
                None => fs::remove_file(&path),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    (shared.settings.say)(format!("{}: {error}", path.display()));
                }
                _ => {
                    let state = &mut shared.lock().state;
                    let size = state.drop_segment(first).map_or(0, |segment| segment.size);
                    aside.into_iter().for_each(|aside| state.put_aside(aside, size));
                }
            }
            if damaged {
                self.drop_aside(shared.limits().aside());
            }
        }
    }

    /// Delete damaged files that take more than so many bytes; return whether there were any.
    fn drop_aside(&self, most: u64) -> bool {
        let shared = self.shared.clone();
        let said = shrink_aside(&mut shared.lock().state, most);
        let directory = shared.settings.directory.display();
        said.iter().for_each(|text| (shared.settings.say)(format!("{directory}: {text}")));
        !said.is_empty()
    }
}
