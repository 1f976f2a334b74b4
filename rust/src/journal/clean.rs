//! Segments of which little is needed, because few of many entries wait long: those few are written
//! again at the end, and the segment goes.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use super::Fsync;
use super::format::{self, Entry, Record};
use super::recover::walk;
use super::state::{Copied, Needs};
use super::write::{Failure, Group, Writer};
use crate::platform::file::read_exact_at;

/// An entry that is still needed, and the place of its bytes.
struct Needed {
    reader: usize,
    id: u64,
    entry: Entry,
    data: u64,
}

/// What is needed of a segment.
#[derive(Default)]
struct Rest {
    entries: Vec<Needed>,
    /// Context and batch by the place of their record.
    bytes: BTreeMap<u64, (Vec<u8>, Bytes)>,
}

impl Rest {
    /// Nothing when something in the segment cannot be read: whoever takes it will say so.
    fn find(data: &Bytes, first: u64, needs: &[Needs]) -> Option<Self> {
        let (mut rest, mut all) = (Self::default(), BTreeMap::new());
        let (.., damage) = walk(data, first, |id, from, _, record| {
            let (entry, readers, data) = match record {
                Record::Data { entry, readers, context, bytes } => {
                    all.insert(from, (context, bytes));
                    (entry, readers, from)
                }
                Record::Ref { entry, readers, target } => (entry, readers, target),
                _ => return,
            };
            for number in readers.iter() {
                let reader = needs.iter().position(|needs| needs.number == number);
                if let Some(reader) = reader.filter(|reader| needs[*reader].has(id)) {
                    rest.entries.push(Needed { reader, id, entry, data });
                }
            }
        });
        for needed in &rest.entries {
            let (context, bytes) = all.get(&needed.data)?;
            rest.bytes.insert(needed.data, (context.to_vec(), data.slice_ref(bytes)));
        }
        damage.is_none().then_some(rest)
    }

    /// The bytes that its copies take, at most.
    fn length(&self) -> u64 {
        let bytes = self.bytes.values().map(|(context, bytes)| context.len() + bytes.len());
        bytes.sum::<usize>() as u64 + self.entries.len() as u64 * format::DATA
    }
}

impl Writer {
    /// Clean the first segment that is sparse; return whether there is more room now.
    pub(super) fn clean(&mut self) -> bool {
        let shared = self.shared.clone();
        let limits = shared.limits();
        let found = {
            let state = &shared.lock().state;
            let room = limits.room_to_clean().saturating_sub(state.used);
            state.sparse(limits.sparse(state.used), room).map(|segment| {
                let place = (segment.first, segment.good, segment.file.clone());
                (place, segment.needed(), segment.size, state.needs(segment))
            })
        };
        let Some(((first, good, file), needed, size, needs)) = found else { return false };
        let mut data = vec![0; usize::try_from(good).unwrap_or_default()];
        let read = read_exact_at(&file, &mut data, 0);
        let rest = read.ok().and_then(|()| Rest::find(&data.into(), first, &needs));
        let Some(rest) = rest.filter(|rest| rest.length() <= size / 4 * 3) else {
            if let Some(segment) = shared.lock().state.segments.get_mut(&first) {
                segment.dense = needed / 2;
            }
            return false;
        };
        match self.copy(first, rest) {
            Ok(()) => self.reap(),
            Err(error) => {
                let directory = shared.settings.directory.display();
                (shared.settings.say)(format!("{directory}: {error}: an old segment stays"));
                return false;
            }
        }
        true
    }

    /// Write the rest of a segment again.
    fn copy(&mut self, first: u64, rest: Rest) -> io::Result<()> {
        let shared = self.shared.clone();
        let limits = shared.limits();
        let length = rest.length();
        let active = {
            let state = &shared.lock().state;
            let active = state.active.and_then(|first| state.segments.get(&first));
            active.map(|active| active.good)
        };
        if active.is_none_or(|good| good + length > limits.segment()) {
            self.roll()?;
        }
        let (good, group) = self.gather(first, &rest).ok_or(io::ErrorKind::NotFound)?;
        // The copies are on disk before what they are copies of is not.
        let written = self.write(&group, good).and_then(|()| match (&self.file, limits.fsync) {
            (Some(file), Fsync::Every(_)) => file.sync_data().map_err(Failure::Sync),
            _ => Ok(()),
        });
        match written {
            Ok(()) => {
                self.commit(good, group);
                Ok(())
            }
            Err(failure) => {
                self.undo(good, &group, &failure);
                Err(failure.into())
            }
        }
    }

    /// What copies of the rest look like at the end of the active segment.
    fn gather(&self, first: u64, rest: &Rest) -> Option<(u64, Group)> {
        let state = &self.shared.lock().state;
        let good = state.segments.get(&state.active?)?.good;
        let (mut group, mut at, mut copies) = (Group::default(), BTreeMap::new(), Vec::new());
        for Needed { reader, id, entry, data } in &rest.entries {
            group.name(*reader, &state.readers[*reader]);
            let readers = [state.readers[*reader].number];
            let from = good + group.length;
            match at.get(data) {
                Some(target) => group.put(|out| format::put_ref(out, entry, &readers, *target)),
                None => {
                    let (context, bytes) = rest.bytes.get(data)?;
                    group.put(|out| format::put_data(out, entry, &readers, context, bytes));
                    group.push(bytes.clone());
                    u32::try_from(from).ok().and_then(|from| at.insert(*data, from));
                }
            }
            let after = good + group.length;
            copies.push(Copied { reader: *reader, id: *id, entry: *entry, from, after });
        }
        group.copies = Some((first, copies));
        Some((good, group))
    }
}
