//! What a segment file looks like; docs/formats/journal.md draws it byte by byte.
//!
//! Numbers are little-endian. A record is read only when its checksum is right; whatever a file
//! claims is bounded by the bytes that are there.

use std::fmt;
use std::sync::Arc;

use crate::wire::{Context, Signal};

pub const MAGIC: [u8; 8] = *b"HGJRNAL\n";
pub const VERSION: u16 = 1;
/// Bytes before the first record.
pub const HEADER: u64 = 32;
/// Bytes of a record before its payload: length, checksum, kind.
pub const FRAME: usize = 9;
/// Bytes of an entry before the ids of its readers.
pub const ENTRY: usize = 28;

const PACKED: u8 = 1;
const SIGNALS: [Signal; 4] = [Signal::Traces, Signal::Metrics, Signal::Logs, Signal::Profiles];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A batch.
    Data = 1,
    /// A batch whose bytes are those of an earlier record.
    Ref = 2,
    /// Number and name of a reader.
    Reader = 3,
    /// Where a reader is.
    Position = 4,
    /// All readers and where they are; the first record of a segment.
    State = 5,
}

impl Kind {
    fn from(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Data,
            2 => Self::Ref,
            3 => Self::Reader,
            4 => Self::Position,
            5 => Self::State,
            _ => return None,
        })
    }
}

/// Why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file ends within the record.
    Torn,
    /// The checksum is another one.
    Checksum,
    Malformed(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torn => "the file ends within a record",
            Self::Checksum => "a checksum does not match",
            Self::Malformed(what) => what,
        })
    }
}

/// What a file's first bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A segment of this version, and the id of its first entry.
    Segment {
        first: u64,
    },
    /// A segment that another version wrote.
    Other {
        version: u16,
        flags: u16,
    },
    Damaged(Fault),
}

pub fn put_header(out: &mut Vec<u8>, first: u64, created: u64) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&created.to_le_bytes());
    let checksum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

pub fn read_header(data: &[u8]) -> Head {
    let mut bytes = Fields(data);
    let (Some(magic), Some(version), Some(flags)) =
        (bytes.take(MAGIC.len()), bytes.u16(), bytes.u16())
    else {
        return Head::Damaged(Fault::Torn);
    };
    if magic != MAGIC {
        return Head::Damaged(Fault::Malformed("its first bytes are not those of a segment"));
    }
    if version != VERSION || flags != 0 {
        return Head::Other { version, flags };
    }
    let (Some(first), Some(_created), Some(checksum)) = (bytes.u64(), bytes.u64(), bytes.u32())
    else {
        return Head::Damaged(Fault::Torn);
    };
    if crc32fast::hash(&data[..HEADER as usize - 4]) != checksum {
        return Head::Damaged(Fault::Checksum);
    }
    Head::Segment { first }
}

/// What is known of a batch without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub signal: Signal,
    /// The bytes are compressed with zstd.
    pub packed: bool,
    pub items: u32,
    /// When it was appended, in nanoseconds since the epoch.
    pub received: u64,
    /// Bytes of the batch.
    pub raw: u32,
    /// Bytes of the batch as they are in the file.
    pub stored: u32,
}

/// Readers by number, as they stand in an entry.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// Where a reader is: everything below the cursor is done but `pending`, and what is done above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub reader: u32,
    pub cursor: u64,
    /// Ids below the cursor that are not done, ascending.
    pub pending: Vec<u64>,
    /// Ranges of ids from the cursor on that are done, ascending, ends included.
    pub done: Vec<(u64, u64)>,
}

#[derive(Debug)]
pub enum Record<'a> {
    Data {
        entry: Entry,
        readers: Numbers<'a>,
        context: &'a [u8],
        bytes: &'a [u8],
    },
    Ref {
        entry: Entry,
        readers: Numbers<'a>,
        target: u64,
    },
    Reader {
        number: u32,
        name: &'a str,
    },
    Position(Position),
    State(Vec<(&'a str, Position)>),
    /// An entry whose bytes cannot be trusted; never written.
    Damaged {
        entry: Entry,
        readers: Numbers<'a>,
    },
}

/// The fixed beginning of a record.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub kind: Kind,
    pub length: u32,
    checksum: u32,
}

impl Frame {
    pub fn read(data: &[u8]) -> Result<Self, Fault> {
        let mut bytes = Fields(data);
        let (Some(length), Some(checksum), Some(kind)) = (bytes.u32(), bytes.u32(), bytes.u8())
        else {
            return Err(Fault::Torn);
        };
        let kind = Kind::from(kind).ok_or(Fault::Malformed("there is no such kind of record"))?;
        Ok(Self { kind, length, checksum })
    }

    /// Bytes of the whole record.
    pub fn size(&self) -> u64 {
        FRAME as u64 + u64::from(self.length)
    }
}

/// Read the record at the start of `data`, and return its size.
pub fn read_record(data: &[u8]) -> Result<(Record<'_>, usize), Fault> {
    let frame = match Frame::read(data) {
        // The rest of a block that was never written.
        Err(Fault::Malformed(_)) if data.iter().take(FRAME).all(|byte| *byte == 0) => {
            return Err(Fault::Torn);
        }
        frame => frame?,
    };
    let size = usize::try_from(frame.size()).map_err(|_| Fault::Torn)?;
    let summed = data.get(8..size).ok_or(Fault::Torn)?;
    if checksum(&data[..4], &[summed]) != frame.checksum {
        return Err(Fault::Checksum);
    }
    let record = read_payload(frame.kind, &summed[1..])
        .ok_or(Fault::Malformed("a record is malformed though its checksum is right"))?;
    Ok((record, size))
}

/// Bytes of the record at the start of `data`, as far as it says, and whether it is an entry;
/// nothing is checked. None where there never was a record.
pub fn skip(data: &[u8]) -> Option<(u64, bool)> {
    let mut bytes = Fields(data);
    let (length, _, kind) = (bytes.u32()?, bytes.u32()?, bytes.u8()?);
    let never_written = data.iter().take(FRAME).all(|byte| *byte == 0);
    let is_entry = matches!(Kind::from(kind), None | Some(Kind::Data | Kind::Ref));
    (!never_written).then_some((FRAME as u64 + u64::from(length), is_entry))
}

/// What the record at the start of `data`, which may be damaged, says of an entry, and the number
/// of its readers; None where its lengths contradict each other. Its end need not be there.
pub fn read_claim(data: &[u8]) -> Option<(Entry, usize)> {
    let mut bytes = Fields(data);
    let (length, _, kind) = (bytes.u32()?, bytes.u32()?, bytes.u8()?);
    let (entry, readers, last) = read_entry_head(bytes.0)?;
    let head = ENTRY as u64 + 4 * readers as u64;
    let data = head + u64::from(last) + u64::from(entry.stored);
    let fits = match Kind::from(kind) {
        Some(Kind::Data) => data == u64::from(length),
        Some(Kind::Ref) => head == u64::from(length),
        _ => false,
    };
    fits.then_some((entry, readers))
}

/// The entry of a damaged record, as far as it can be told.
pub fn read_damaged(data: &[u8]) -> Option<Record<'_>> {
    let (entry, readers) = read_claim(data)?;
    let readers = Numbers(data.get(FRAME + ENTRY..)?.get(..readers * 4)?);
    Some(Record::Damaged { entry, readers })
}

/// The checksum of a record is over its length, its kind and its payload.
fn checksum(length: &[u8], pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finalize()
}

fn read_payload(kind: Kind, payload: &[u8]) -> Option<Record<'_>> {
    let mut bytes = Fields(payload);
    let record = match kind {
        Kind::Data => {
            let (entry, readers, context) = read_entry(&mut bytes)?;
            let context = bytes.take(context as usize)?;
            let data = bytes.take(entry.stored as usize)?;
            Record::Data { entry, readers, context, bytes: data }
        }
        Kind::Ref => {
            let (entry, readers, target) = read_entry(&mut bytes)?;
            Record::Ref { entry, readers, target: target.into() }
        }
        Kind::Reader => Record::Reader { number: bytes.u32()?, name: bytes.text()? },
        Kind::Position => {
            let number = bytes.u32()?;
            Record::Position(read_position(&mut bytes, number)?)
        }
        Kind::State => {
            let readers = bytes.u32()?;
            let mut all = Vec::new();
            for _ in 0..readers {
                let number = bytes.u32()?;
                let name = bytes.text()?;
                all.push((name, read_position(&mut bytes, number)?));
            }
            Record::State(all)
        }
    };
    bytes.0.is_empty().then_some(record)
}

/// Read what entries have in common, and the last number: length of the context, or the place of
/// the record that has the bytes.
pub fn read_entry_head(data: &[u8]) -> Option<(Entry, usize, u32)> {
    let mut bytes = Fields(data);
    let signal = *SIGNALS.get(usize::from(bytes.u8()?))?;
    let flags = bytes.u8()?;
    if flags & !PACKED != 0 {
        return None;
    }
    let readers = bytes.u16()?;
    let (items, received, raw, stored) = (bytes.u32()?, bytes.u64()?, bytes.u32()?, bytes.u32()?);
    let last = bytes.u32()?;
    let entry = Entry { signal, packed: flags & PACKED != 0, items, received, raw, stored };
    Some((entry, usize::from(readers), last))
}

fn read_entry<'a>(bytes: &mut Fields<'a>) -> Option<(Entry, Numbers<'a>, u32)> {
    let (entry, readers, last) = read_entry_head(bytes.take(ENTRY)?)?;
    Some((entry, Numbers(bytes.take(readers * 4)?), last))
}

fn read_position(bytes: &mut Fields<'_>, reader: u32) -> Option<Position> {
    let cursor = bytes.u64()?;
    let (pending, done) = (bytes.u32()?, bytes.u32()?);
    let pending = bytes.take(usize::try_from(pending).ok()?.checked_mul(8)?)?;
    let done = bytes.take(usize::try_from(done).ok()?.checked_mul(16)?)?;
    let pending: Vec<u64> =
        pending.as_chunks::<8>().0.iter().map(|id| u64::from_le_bytes(*id)).collect();
    let mut ranges = Fields(done);
    let mut done = Vec::with_capacity(ranges.0.len() / 16);
    while let (Some(first), Some(last)) = (ranges.u64(), ranges.u64()) {
        done.push((first, last));
    }
    let ascends = cursor < 1 << 62
        && pending.is_sorted_by(|one, other| one < other)
        && pending.last().is_none_or(|id| *id < cursor)
        && done.iter().all(|(first, last)| cursor <= *last && first <= last)
        && done.is_sorted_by(|one, other| one.1 < other.0);
    ascends.then_some(Position { reader, cursor, pending, done })
}

/// Begin a record of a kind; `finish` ends it.
fn begin(out: &mut Vec<u8>, kind: Kind) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.push(kind as u8);
    start
}

/// Write length and checksum of the record that began at `start`; `more` follows what is in `out`.
pub(super) fn finish(out: &mut [u8], start: usize, more: &[u8]) {
    let length = (out.len() - start - FRAME + more.len()) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(&length.to_le_bytes(), &[&out[start + 8..], more]);
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Bytes of a data record for one reader beside its context and its batch.
pub const DATA: u64 = (FRAME + ENTRY + 4) as u64;

/// Put all of a data record but the batch, whose bytes have to follow.
pub fn put_data(out: &mut Vec<u8>, entry: &Entry, readers: &[u32], context: &[u8], bytes: &[u8]) {
    let start = begin(out, Kind::Data);
    put_entry(out, entry, readers, context.len() as u32);
    out.extend_from_slice(context);
    finish(out, start, bytes);
}

/// Put a record whose bytes are those of the data record at `target`.
pub fn put_ref(out: &mut Vec<u8>, entry: &Entry, readers: &[u32], target: u32) {
    let start = begin(out, Kind::Ref);
    put_entry(out, entry, readers, target);
    finish(out, start, &[]);
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry, readers: &[u32], last: u32) {
    out.push(signal_number(entry.signal));
    out.push(if entry.packed { PACKED } else { 0 });
    out.extend_from_slice(&(readers.len() as u16).to_le_bytes());
    out.extend_from_slice(&entry.items.to_le_bytes());
    out.extend_from_slice(&entry.received.to_le_bytes());
    for number in [entry.raw, entry.stored, last] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    readers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

pub fn signal_number(signal: Signal) -> u8 {
    match signal {
        Signal::Traces => 0,
        Signal::Metrics => 1,
        Signal::Logs => 2,
        Signal::Profiles => 3,
    }
}

pub fn put_reader(out: &mut Vec<u8>, number: u32, name: &str) {
    let start = begin(out, Kind::Reader);
    out.extend_from_slice(&number.to_le_bytes());
    put_text(out, name);
    finish(out, start, &[]);
}

pub fn put_position(out: &mut Vec<u8>, position: &Position) {
    let start = begin(out, Kind::Position);
    out.extend_from_slice(&position.reader.to_le_bytes());
    put_place(out, position);
    finish(out, start, &[]);
}

pub fn put_state(out: &mut Vec<u8>, readers: &[(Arc<str>, Position)]) {
    let start = begin(out, Kind::State);
    out.extend_from_slice(&(readers.len() as u32).to_le_bytes());
    for (name, position) in readers {
        out.extend_from_slice(&position.reader.to_le_bytes());
        put_text(out, name);
        put_place(out, position);
    }
    finish(out, start, &[]);
}

fn put_place(out: &mut Vec<u8>, position: &Position) {
    out.extend_from_slice(&position.cursor.to_le_bytes());
    out.extend_from_slice(&(position.pending.len() as u32).to_le_bytes());
    out.extend_from_slice(&(position.done.len() as u32).to_le_bytes());
    position.pending.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    for (first, last) in &position.done {
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&last.to_le_bytes());
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Metadata and authentication; what else a context has ends with the request.
pub fn put_context(out: &mut Vec<u8>, context: &Context) {
    if context.metadata.is_empty() && context.auth.is_empty() {
        return;
    }
    out.extend_from_slice(&(context.metadata.len() as u32).to_le_bytes());
    for (name, values) in &context.metadata {
        put_text(out, name);
        out.extend_from_slice(&(values.len() as u32).to_le_bytes());
        values.iter().for_each(|value| put_text(out, value));
    }
    out.extend_from_slice(&(context.auth.len() as u32).to_le_bytes());
    for (name, value) in &context.auth {
        put_text(out, name);
        put_text(out, value);
    }
}

pub fn read_context(data: &[u8]) -> Option<Arc<Context>> {
    if data.is_empty() {
        return Some(Context::empty());
    }
    let mut bytes = Fields(data);
    let mut context = Context::default();
    for _ in 0..bytes.u32()? {
        let name = bytes.text()?.to_string();
        let mut values = Vec::new();
        for _ in 0..bytes.u32()? {
            values.push(bytes.text()?.to_string());
        }
        context.metadata.push((name, values));
    }
    for _ in 0..bytes.u32()? {
        context.auth.push((bytes.text()?.to_string(), bytes.text()?.to_string()));
    }
    bytes.0.is_empty().then(|| context.into())
}

/// Little-endian numbers from the front of some bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        std::str::from_utf8(self.take(length)?).ok()
    }
}
