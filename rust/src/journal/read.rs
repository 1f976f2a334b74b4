//! From a reader's cursor to the next batch.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::Shared;
use super::format::{self, ENTRY, Entry, FRAME, Fault, Frame, Kind, Numbers, Record};
use super::state::{Aim, Place, Spot};
use crate::edges::admission::admission;
use crate::edges::compress::{Coding, decompress};
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
                let found = scan(&file, spot, cursor, good, number);
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
        match load(&file, &place) {
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

fn read_at(file: &File, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, offset).map_err(|_| Fault::Torn)?;
    Ok(data)
}

/// Find the next entry of a reader from its cursor on; return where it is and where the next one is.
fn scan(
    file: &File,
    mut spot: Spot,
    cursor: u64,
    good: u64,
    number: u32,
) -> Result<(Spot, Spot, Entry), Fault> {
    while spot.offset < good {
        let left = usize::try_from(good - spot.offset).unwrap_or(usize::MAX);
        let head = read_at(file, spot.offset, LOOK.min(left))?;
        let frame = Frame::read(&head)?;
        let mut after = Spot { offset: spot.offset + frame.size(), ..spot };
        if after.offset > good {
            return Err(Fault::Torn);
        }
        if matches!(frame.kind, Kind::Data | Kind::Ref) {
            after.id += 1;
            let malformed = Fault::Malformed("an entry is malformed");
            let found = head.get(FRAME..).and_then(format::read_entry_head);
            let (entry, readers, _) = found.ok_or(malformed)?;
            let numbers = read_at(file, spot.offset + (FRAME + ENTRY) as u64, readers * 4)?;
            if spot.id >= cursor && Numbers::new(&numbers).iter().any(|other| other == number) {
                return Ok((spot, after, entry));
            }
        }
        spot = after;
    }
    Err(Fault::Torn)
}

/// Read an entry, whose checksum must be right.
fn load(file: &File, place: &Place) -> Result<Batch, Fault> {
    let mut offset = place.offset;
    loop {
        let frame = Frame::read(&read_at(file, offset, FRAME)?)?;
        let end = file.metadata().map_err(|_| Fault::Torn)?.len();
        if offset + frame.size() > end {
            return Err(Fault::Torn);
        }
        let size = usize::try_from(frame.size()).map_err(|_| Fault::Torn)?;
        let data = Bytes::from(read_at(file, offset, size)?);
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
