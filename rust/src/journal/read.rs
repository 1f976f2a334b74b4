//! From a reader's cursor to the next batch.

use std::fs::File;

use bytes::Bytes;

use super::Shared;
use super::format::{self, ENTRY, Entry, FRAME, Fault, Frame, Numbers, Record};
use super::state::{Aim, Place, Spot};
use crate::edges::admission::admission;
use crate::edges::compress::{Coding, decompress};
use crate::platform::file::read_exact_at;
use crate::wire::Batch;

/// An entry that now is out.
pub struct Taken {
    pub id: u64,
    pub batch: Batch,
    /// Nanoseconds since the epoch.
    pub received: u64,
}

/// Bytes that are read to learn what a record is; enough for a dozen readers.
const LOOK: usize = FRAME + ENTRY + 4 * 16;

const MOST_AHEAD: usize = 64 << 10;

pub fn take(shared: &Shared, reader: usize) -> Option<Taken> {
    loop {
        let mut inner = shared.lock();
        if inner.ended {
            return None;
        }
        let (id, place, file) = match inner.state.aim(reader) {
            Aim::Nothing => return None,
            Aim::Read(id, place, file) => (id, place, file),
            Aim::Scan { spot, cursor, good, file, number } => {
                drop(inner);
                let found = scan(&*file, spot, cursor, good, number);
                let mut inner = shared.lock();
                let Ok((found, after, entry)) = found else {
                    inner.state.missed(reader, spot, good);
                    let gone = inner.state.readers[reader].lost;
                    drop(inner);
                    say(shared, reader, &format!("{} so far", gone.records));
                    continue;
                };
                match inner.state.hit(reader, found, after, entry) {
                    Some((id, place)) => (id, place, file),
                    None => continue,
                }
            }
        };
        match load(&*file, &place) {
            Ok(batch) => return Some(Taken { id, batch, received: place.entry.received }),
            Err(fault) => {
                shared.lock().state.unreadable(reader, id);
                say(shared, reader, &fault.to_string());
            }
        }
    }
}

fn say(shared: &Shared, reader: usize, what: &str) {
    let name = shared.lock().state.readers[reader].name.clone();
    (shared.settings.say)(format!(
        "{}: a batch for {name} cannot be read any more and is lost: {what}",
        shared.settings.directory.display()
    ));
}

/// A segment's bytes.
pub trait Source {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Fault>;
    fn size(&self) -> Result<u64, Fault>;
}

impl Source for File {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
        let mut data = vec![0; length];
        read_exact_at(self, &mut data, offset).map_err(|_| Fault::Torn)?;
        Ok(data)
    }

    fn size(&self) -> Result<u64, Fault> {
        self.metadata().map(|metadata| metadata.len()).map_err(|_| Fault::Torn)
    }
}

/// A stretch of a segment that was read ahead: small entries of others cost no call each.
struct Ahead<'a, S> {
    source: &'a S,
    at: u64,
    data: Vec<u8>,
    /// Bytes to read next time.
    next: usize,
}

impl<S: Source> Ahead<'_, S> {
    /// The bytes at a place that is before `good`.
    fn get(&mut self, offset: u64, length: usize, good: u64) -> Result<&[u8], Fault> {
        let left = usize::try_from(good.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let from = usize::try_from(offset.wrapping_sub(self.at)).unwrap_or(usize::MAX);
        if from.checked_add(length).is_none_or(|end| end > self.data.len()) {
            // Small entries lie close together; behind large ones nothing is read in vain.
            let close = offset.wrapping_sub(self.at) <= self.data.len() as u64;
            self.next = if close { (self.next * 4).min(MOST_AHEAD) } else { LOOK };
            self.data = self.source.read(offset, self.next.max(length).min(left))?;
            self.at = offset;
            return Ok(&self.data[..length]);
        }
        Ok(&self.data[from..from + length])
    }
}

/// Find the next entry of a reader from its cursor on, damaged or not; return where it is and where
/// the next one is.
pub fn scan(
    source: &impl Source,
    mut spot: Spot,
    cursor: u64,
    good: u64,
    number: u32,
) -> Result<(Spot, Spot, Entry), Fault> {
    let mut ahead = Ahead { source, at: spot.offset, data: Vec::new(), next: LOOK / 4 };
    while spot.offset < good {
        let head = ahead.get(spot.offset, LOOK, good)?;
        let (size, is_entry) = format::skip(head).ok_or(Fault::Torn)?;
        let mut after = Spot { offset: spot.offset + size, ..spot };
        if after.offset > good {
            return Err(Fault::Torn);
        }
        after.id += u64::from(is_entry);
        if let Some((entry, readers)) = format::read_claim(head) {
            let numbers = ahead.get(spot.offset, FRAME + ENTRY + readers * 4, good)?;
            let numbers = numbers.get(FRAME + ENTRY..).unwrap_or_default();
            if spot.id >= cursor && Numbers::new(numbers).iter().any(|other| other == number) {
                return Ok((spot, after, entry));
            }
        }
        spot = after;
    }
    Err(Fault::Torn)
}

/// Read an entry, whose checksum must be right.
pub fn load(source: &impl Source, place: &Place) -> Result<Batch, Fault> {
    let mut offset = place.offset;
    loop {
        let frame = Frame::read(&source.read(offset, FRAME)?)?;
        if offset + frame.size() > source.size()? {
            return Err(Fault::Torn);
        }
        let size = usize::try_from(frame.size()).map_err(|_| Fault::Torn)?;
        let data = Bytes::from(source.read(offset, size)?);
        match format::read_record(&data)?.0 {
            // Only ever backwards, so that this ends.
            Record::Ref { target, .. } if target < offset => offset = target,
            Record::Data { entry, context, bytes, .. } => {
                return unpack(&entry, context, data.slice_ref(bytes));
            }
            _ => return Err(Fault::Malformed("there is no entry where one should be")),
        }
    }
}

fn unpack(entry: &Entry, context: &[u8], data: Bytes) -> Result<Batch, Fault> {
    let context = format::read_context(context).ok_or(Fault::Malformed("its context"))?;
    let data = if entry.packed {
        let raw = entry.raw as usize;
        // Whatever the limit says: what is on its way out makes room.
        let mut reservation = admission().count(raw + 1);
        let unpacked = decompress(Coding::Zstd, &data, raw, &mut reservation);
        let unpacked = unpacked.map_err(|_| Fault::Malformed("it cannot be decompressed"))?;
        reservation.hold(unpacked.into())
    } else {
        admission().count(data.len()).hold(data)
    };
    Batch::from_wire(entry.signal, data, context)
        .map_err(|_| Fault::Malformed("it is malformed though its checksum is right"))
}
