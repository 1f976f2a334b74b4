//! What is known of a journal in memory: counters for each segment and reader, and what is out.
//!
//! There is nothing here for a record that only waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::format::{DATA, Entry, HEADER, Position, signal_number};
use super::ranges::Ranges;

/// Records, their bytes, and their items for each signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: u64,
    pub bytes: u64,
    pub items: [u64; 4],
}

impl Tally {
    pub fn add(&mut self, entry: &Entry) {
        self.records += 1;
        self.bytes += u64::from(entry.raw);
        self.items[usize::from(signal_number(entry.signal))] += u64::from(entry.items);
    }

    fn sub(&mut self, entry: &Entry) {
        let mut one = Self::default();
        one.add(entry);
        self.take(&one);
    }

    fn put(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.items.iter_mut().zip(other.items).for_each(|(mine, more)| *mine += more);
    }

    fn take(&mut self, other: &Self) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        let items = self.items.iter_mut().zip(other.items);
        items.for_each(|(mine, less)| *mine = mine.saturating_sub(less));
    }
}

/// What one segment holds for one reader.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    pub waiting: Tally,
    /// Taken or held, and not done.
    pub out: u64,
    /// Bytes on disk of what is not done.
    pub stored: u64,
    /// When the oldest of them was appended.
    oldest: u64,
}

/// A segment file.
#[derive(Debug)]
pub struct Segment {
    pub file: Arc<File>,
    pub path: PathBuf,
    /// Id of its first entry.
    pub first: u64,
    /// One above the id of its last entry.
    pub end: u64,
    /// Bytes that can be read.
    pub good: u64,
    /// Bytes that it takes.
    pub size: u64,
    /// Something in it could not be read, and is not to be thrown away.
    pub damaged: bool,
    /// Not worth cleaning while it has at least so many bytes that are needed; 0: never.
    pub dense: u64,
    pub shares: Vec<Share>,
}

impl Segment {
    pub fn share(&mut self, reader: usize) -> &mut Share {
        if self.shares.len() <= reader {
            self.shares.resize(reader + 1, Share::default());
        }
        &mut self.shares[reader]
    }

    /// Whether nobody needs it any more.
    pub fn is_drained(&self) -> bool {
        self.shares.iter().all(|share| share.waiting.records == 0 && share.out == 0)
    }

    /// About so many bytes of it are still needed, at most.
    pub fn needed(&self) -> u64 {
        let of = |share: &Share| share.stored + (share.waiting.records + share.out) * DATA;
        self.shares.iter().map(of).sum()
    }
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub segment: u64,
    pub offset: u64,
    pub entry: Entry,
    /// No id from here on up to this entry is one of its reader's.
    since: u64,
}

/// An entry that was written again: which it was, and from where to where it is now.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    pub reader: usize,
    pub id: u64,
    pub entry: Entry,
    pub from: u64,
    pub after: u64,
}

/// What tells which entries of a segment a reader still needs.
pub struct Needs {
    pub number: u32,
    cursor: u64,
    /// Held or put back.
    known: BTreeSet<u64>,
    done: Ranges,
}

impl Needs {
    pub fn has(&self, id: u64) -> bool {
        self.known.contains(&id) || id >= self.cursor && !self.done.contains(id)
    }
}

/// A place in a segment from which records can be read, and the id of the next entry there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spot {
    pub segment: u64,
    pub offset: u64,
    pub id: u64,
}

#[derive(Debug, Default)]
pub struct Reader {
    pub number: u32,
    pub name: Arc<str>,
    /// Somebody uses it now.
    pub opened: bool,
    /// The newest segment knows its number.
    pub written: bool,
    /// Something was done that is not on disk.
    pub dirty: bool,
    /// All below is taken, but what was put back.
    cursor: u64,
    held: BTreeMap<u64, Place>,
    back: BTreeMap<u64, Place>,
    /// Ids that somebody out there knows to those under which they are now on disk.
    moved: BTreeMap<u64, u64>,
    /// What was held and done from the cursor on.
    done: Ranges,
    spot: Spot,
    /// One above its last id.
    last: u64,
    pub waiting: Tally,
    /// Given up because the journal was full.
    pub dropped: Tally,
    /// What could not be read any more.
    pub lost: Tally,
}

impl Reader {
    fn ahead(&self) -> u64 {
        self.waiting.records - self.back.len() as u64
    }

    pub fn out(&self) -> usize {
        self.held.len()
    }

    /// Where it is, with at most so many ranges that are done; what is left out would be delivered
    /// again after a crash.
    pub fn position(&self, most: usize) -> Position {
        let below = self.held.range(..self.cursor).map(|(id, _)| *id);
        let mut pending: Vec<u64> = below.chain(self.back.keys().copied()).collect();
        pending.sort_unstable();
        let done = self.done.iter().take(most).collect();
        Position { reader: self.number, cursor: self.cursor, pending, done }
    }

    /// Numbers that a position consists of, about.
    pub fn parts(&self) -> usize {
        self.held.len() + self.back.len() + self.done.len()
    }

    /// An entry that is out is now on disk under another id.
    fn rename(&mut self, old: u64, new: u64) {
        let known = self.moved.iter().find(|(_, at)| **at == old).map(|(known, _)| *known);
        self.moved.insert(known.unwrap_or(old), new);
    }

    /// The id on disk of an entry that is out.
    fn resolve(&mut self, id: u64) -> u64 {
        self.moved.remove(&id).unwrap_or(id)
    }
}

/// What to read next for a reader.
pub enum Aim {
    Nothing,
    /// This entry is taken.
    Read(u64, Place, Arc<File>),
    /// The next one is behind this spot, and before `good`.
    Scan {
        spot: Spot,
        cursor: u64,
        good: u64,
        file: Arc<File>,
        number: u32,
    },
}

#[derive(Debug, Default)]
pub struct State {
    /// By the id of their first entry.
    pub segments: BTreeMap<u64, Segment>,
    pub readers: Vec<Reader>,
    /// The segment that is appended to.
    pub active: Option<u64>,
    pub next: u64,
    /// Bytes that all files take.
    pub used: u64,
    /// Files that are kept only because something in them could not be read, and their bytes.
    pub aside: BTreeMap<PathBuf, u64>,
}

impl State {
    /// The reader of a name, made if there is none.
    pub fn reader(&mut self, name: &str) -> usize {
        if let Some(found) = self.readers.iter().position(|reader| &*reader.name == name) {
            return found;
        }
        let number = self.readers.iter().map(|reader| reader.number + 1).max().unwrap_or(0);
        let name = name.into();
        self.readers.push(Reader { number, name, cursor: self.next, ..Reader::default() });
        self.readers.len() - 1
    }

    /// Whether somebody still needs something of the reader on disk.
    pub fn is_needed(&self, reader: usize) -> bool {
        let reader = &self.readers[reader];
        reader.opened || reader.waiting.records > 0 || !reader.held.is_empty()
    }

    /// An entry of the active segment is on disk, from `offset` to `after`; return its id.
    pub fn appended(
        &mut self,
        reader: usize,
        (offset, after): (u64, u64),
        entry: Entry,
        hold: bool,
    ) -> Option<u64> {
        let first = self.active.as_ref()?;
        let segment = self.segments.get_mut(first)?;
        let id = segment.end;
        segment.end += 1;
        self.next = segment.end;
        let share = segment.share(reader);
        share.stored += u64::from(entry.stored);
        let reader = &mut self.readers[reader];
        let place = Place { segment: *first, offset, entry, since: reader.last };
        reader.last = id + 1;
        if reader.ahead() == 0 {
            let (offset, id) = if hold { (after, id + 1) } else { (offset, id) };
            reader.cursor = id;
            reader.spot = Spot { segment: *first, offset, id };
            reader.done.clear();
        }
        if hold {
            share.out += 1;
            reader.held.insert(id, place);
        } else {
            wait(reader, share, &entry);
        }
        Some(id)
    }

    /// An entry that recovery found. `left` has the ids below its reader's cursor that are not done.
    pub fn recovered(
        &mut self,
        reader: usize,
        (first, offset, id): (u64, u64, u64),
        entry: Entry,
        left: &[u64],
    ) {
        let Some(segment) = self.segments.get_mut(&first) else { return };
        let share = segment.share(reader);
        let reader = &mut self.readers[reader];
        let place = Place { segment: first, offset, entry, since: reader.last };
        if reader.last > id {
            return; // its number stands there twice
        }
        reader.last = id + 1;
        if id < reader.cursor {
            if left.binary_search(&id).is_err() {
                return;
            }
            reader.back.insert(id, place);
        } else if reader.done.contains(id) {
            return;
        }
        share.stored += u64::from(entry.stored);
        wait(reader, share, &entry);
    }

    /// A reader that recovery found, and where it was.
    pub fn restore(&mut self, name: &str, position: &Position) -> usize {
        let done = position.done.iter().copied().collect();
        self.readers.push(Reader {
            number: position.reader,
            name: name.into(),
            cursor: position.cursor,
            done,
            ..Reader::default()
        });
        self.readers.len() - 1
    }

    /// What to read next for a reader; what was put back comes first.
    pub fn aim(&mut self, reader: usize) -> Aim {
        let at = &mut self.readers[reader];
        while let Some((id, place)) = at.back.pop_first() {
            let Some(segment) = self.segments.get_mut(&place.segment) else { continue };
            let share = segment.share(reader);
            out(at, share, id, place);
            return Aim::Read(id, place, segment.file.clone());
        }
        if at.waiting.records == 0 {
            return Aim::Nothing;
        }
        let waits = |segment: &&Segment| {
            segment.shares.get(reader).is_some_and(|share| share.waiting.records > 0)
        };
        let Some(segment) = self.segments.values().find(waits) else { return Aim::Nothing };
        at.cursor = at.cursor.max(segment.first);
        if at.spot.segment != segment.first || at.spot.id > at.cursor || at.spot.offset < HEADER {
            at.spot = Spot { segment: segment.first, offset: HEADER, id: segment.first };
        }
        Aim::Scan {
            spot: at.spot,
            cursor: at.cursor,
            good: segment.good,
            file: segment.file.clone(),
            number: at.number,
        }
    }

    /// A scan found an entry of the reader at a spot, and the next one is at `after`: take it, if it
    /// still waits.
    pub fn hit(
        &mut self,
        reader: usize,
        spot: Spot,
        after: Spot,
        entry: Entry,
    ) -> Option<(u64, Place)> {
        let at = &mut self.readers[reader];
        let segment = self.segments.get_mut(&spot.segment)?;
        if at.cursor > spot.id {
            return None;
        }
        at.cursor = after.id;
        at.spot = after;
        let known = at.held.contains_key(&spot.id) || at.done.contains(spot.id);
        at.done.trim(at.cursor);
        if known {
            return None;
        }
        let place = Place { segment: spot.segment, offset: spot.offset, entry, since: spot.id };
        out(at, segment.share(reader), spot.id, place);
        self.settle(reader);
        Some((spot.id, place))
    }

    /// A scan found nothing before `good`, though there should be something: give it up.
    pub fn missed(&mut self, reader: usize, spot: Spot, good: u64) {
        let Some(segment) = self.segments.get_mut(&spot.segment) else { return };
        let at = &mut self.readers[reader];
        if segment.good != good || at.cursor >= segment.end {
            return;
        }
        let share = segment.share(reader);
        let mut kept = Tally::default();
        let back = at.back.values().filter(|place| place.segment == spot.segment);
        back.for_each(|place| kept.add(&place.entry));
        let mut gone = share.waiting;
        gone.take(&kept);
        if gone.records == 0 {
            return;
        }
        share.waiting = kept;
        segment.damaged = true;
        at.waiting.take(&gone);
        at.lost.put(&gone);
        at.cursor = segment.end;
        at.dirty = true;
        self.settle(reader);
    }

    /// An entry that is out will never be needed again. Return whether its segment is drained.
    pub fn done(&mut self, reader: usize, id: u64) -> bool {
        let at = &mut self.readers[reader];
        let id = at.resolve(id);
        let Some(place) = at.held.remove(&id) else { return false };
        at.dirty = true;
        if id >= at.cursor {
            at.done.insert(place.since.min(id), id);
        }
        let mut drained = false;
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            let share = segment.share(reader);
            share.out -= 1;
            share.stored = share.stored.saturating_sub(u64::from(place.entry.stored));
            drained = share.out == 0 && segment.is_drained();
        }
        self.settle(reader);
        drained
    }

    /// An entry that is out could not be read; it is done, and lost.
    pub fn unreadable(&mut self, reader: usize, id: u64) {
        let at = &mut self.readers[reader];
        let Some(place) = at.held.get(at.moved.get(&id).unwrap_or(&id)) else { return };
        at.lost.add(&place.entry);
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.damaged = true;
        }
        self.done(reader, id);
    }

    /// An entry that is out waits again.
    pub fn put_back(&mut self, reader: usize, id: u64) {
        let at = &mut self.readers[reader];
        let id = at.resolve(id);
        let Some(place) = at.held.remove(&id) else { return };
        let Some(segment) = self.segments.get_mut(&place.segment) else {
            at.dropped.add(&place.entry);
            return;
        };
        let share = segment.share(reader);
        share.out -= 1;
        if id < at.cursor {
            at.back.insert(id, place);
        }
        wait(at, share, &place.entry);
    }

    /// Give up all that waits in a segment; what is out stays with whoever has it.
    pub fn drop_segment(&mut self, first: u64) -> Option<Segment> {
        let mut segment = self.segments.remove(&first)?;
        self.used -= segment.size;
        for (index, share) in segment.shares.iter_mut().enumerate() {
            let at = &mut self.readers[index];
            at.waiting.take(&share.waiting);
            at.dropped.put(&share.waiting);
            at.dirty |= share.waiting.records > 0;
            at.back.retain(|_, place| place.segment != first);
        }
        (0..segment.shares.len()).for_each(|reader| self.settle(reader));
        Some(segment)
    }

    /// A file is kept only for people to look at.
    pub fn put_aside(&mut self, path: PathBuf, size: u64) {
        self.used += size;
        if let Some(before) = self.aside.insert(path, size) {
            self.used -= before;
        }
    }

    /// A segment of which at most so many quarters, and bytes, are needed.
    pub fn sparse(&self, quarters: u64, room: u64) -> Option<&Segment> {
        self.segments.values().find(|segment| {
            let needed = segment.needed();
            Some(segment.first) != self.active
                && (1..segment.dense).contains(&needed)
                && needed <= room.min(segment.size / 4 * quarters)
        })
    }

    /// What the readers need of a segment, in their order; it only ever becomes less.
    pub fn needs(&self, segment: &Segment) -> Vec<Needs> {
        let ids = segment.first..segment.end;
        let of = |at: &Reader| {
            let known = at.held.range(ids.clone()).chain(at.back.range(ids.clone()));
            let known = known.map(|(id, _)| *id).collect();
            let done = at.done.within(ids.start, ids.end);
            Needs { number: at.number, cursor: at.cursor, known, done }
        };
        self.readers.iter().map(of).collect()
    }

    /// Entries of a segment were written again at the end of the active one. What became of one
    /// meanwhile becomes of its copy.
    pub fn moved(&mut self, first: u64, copies: &[Copied]) {
        let end = self.segments.get(&first).map_or(first, |segment| segment.end);
        let fates: Vec<_> = copies.iter().map(|copy| self.take_out(first, copy)).collect();
        for copy in copies {
            let at = &mut self.readers[copy.reader];
            if at.cursor.max(first) < end {
                at.done.insert(first, end - 1);
            }
        }
        copies.iter().zip(fates).for_each(|(copy, fate)| self.put_copy(copy, fate));
    }

    fn put_copy(&mut self, copy: &Copied, fate: Fate) {
        let place = (copy.from, copy.after);
        let hold = fate != Fate::Waits;
        let Some(id) = self.appended(copy.reader, place, copy.entry, hold) else { return };
        match fate {
            Fate::Waits => {}
            Fate::Out => self.readers[copy.reader].rename(copy.id, id),
            Fate::Over => drop(self.done(copy.reader, id)),
        }
        self.readers[copy.reader].dirty = true;
    }

    /// Let an entry be no longer where it was.
    fn take_out(&mut self, first: u64, copy: &Copied) -> Fate {
        let Some(segment) = self.segments.get_mut(&first) else { return Fate::Over };
        let (at, share) = (&mut self.readers[copy.reader], segment.share(copy.reader));
        let fate = if at.held.remove(&copy.id).is_some() {
            share.out -= 1;
            Fate::Out
        } else if at.back.remove(&copy.id).is_some()
            || copy.id >= at.cursor && !at.done.contains(copy.id)
        {
            Fate::Waits
        } else {
            return Fate::Over;
        };
        if fate == Fate::Waits {
            share.waiting.sub(&copy.entry);
            at.waiting.sub(&copy.entry);
        }
        share.stored = share.stored.saturating_sub(u64::from(copy.entry.stored));
        fate
    }

    /// When the oldest entry that waits for a reader was appended.
    pub fn oldest(&self, reader: usize) -> Option<u64> {
        let shares = self.segments.values().filter_map(|segment| segment.shares.get(reader));
        shares.filter(|share| share.waiting.records > 0).map(|share| share.oldest).min()
    }

    /// Where nothing waits above the cursor, it goes to the end.
    fn settle(&mut self, reader: usize) {
        let reader = &mut self.readers[reader];
        if reader.ahead() == 0 && reader.cursor < self.next {
            reader.cursor = self.next;
            reader.done.clear();
        }
    }
}

/// What an entry is while it is moved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waits,
    Out,
    Over,
}

fn wait(reader: &mut Reader, share: &mut Share, entry: &Entry) {
    share.oldest = match share.waiting.records {
        0 => entry.received,
        _ => share.oldest.min(entry.received),
    };
    share.waiting.add(entry);
    reader.waiting.add(entry);
}

fn out(reader: &mut Reader, share: &mut Share, id: u64, place: Place) {
    share.waiting.sub(&place.entry);
    share.out += 1;
    reader.waiting.sub(&place.entry);
    reader.held.insert(id, place);
}
