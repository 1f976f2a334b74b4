//! From the files of a directory to a `State`. Memory grows with segments and readers, and with the
//! largest segment, never with the number of records.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    self, ENTRY, Entry, FRAME, Fault, Frame, HEADER, Head, Kind, Position, Record, VERSION,
};
use super::state::{Segment, State};

pub const SUFFIX: &str = "seg";
/// What a file ends in that is kept because something in it could not be read.
pub const DAMAGED: &str = "seg.damaged";

/// Why a journal cannot be opened.
#[derive(Debug)]
pub enum Refusal {
    Io(PathBuf, io::Error),
    Locked(PathBuf, String),
    Version { path: PathBuf, version: u16, flags: u16 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Locked(path, by) => {
                write!(f, "{} is used by {by}; ", path.display())?;
                f.write_str("stop it, or give each collector a directory of its own")
            }
            Self::Version { path, version, flags } if *version == VERSION => write!(
                f,
                "{} uses features of a newer heliograph (flags {flags:#x}); run that one, or \
                 drain it there, or move the directory away to start with an empty journal",
                path.display()
            ),
            Self::Version { path, version, .. } => write!(
                f,
                "{} has journal format {version}, and this heliograph reads format {VERSION}; run \
                 the version that wrote it until the journal is empty, or move the directory away \
                 to start with an empty one",
                path.display()
            ),
        }
    }
}

/// What of a segment could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins, and why.
    pub offset: u64,
    pub fault: Fault,
    /// Bytes from there on that are not read, in one piece or several.
    pub skipped: u64,
}

/// One file, as `inspect` tells of it.
#[derive(Debug)]
pub struct Report {
    pub path: PathBuf,
    pub bytes: u64,
    /// Entries that could be read.
    pub records: u64,
    pub damage: Option<Damage>,
    /// The damage is the end of a write that a crash cut off, or that is under way.
    pub torn: bool,
}

/// What recovery found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Entries that somebody still waits for, and their bytes.
    pub records: u64,
    pub bytes: u64,
    /// Bytes that could not be read.
    pub skipped: u64,
    pub notes: Vec<String>,
    pub files: Vec<Report>,
    /// Files of which nothing could be read.
    pub useless: Vec<(PathBuf, Fault)>,
}

/// Call `visit(id, from, to, record)` for each record of a segment; return where they end and the
/// id after the last, and the damage. What is damaged is passed over where its lengths lead to a
/// record that is whole, or to the end; its entries are visited as `Record::Damaged`.
pub fn walk<'a>(
    data: &'a [u8],
    first: u64,
    mut visit: impl FnMut(u64, u64, u64, Record<'a>),
) -> (u64, u64, Option<Damage>) {
    let (mut at, mut id) = (HEADER as usize, first);
    let mut damage: Option<Damage> = None;
    while at < data.len() {
        let fault = match read(data, at) {
            Ok((record, size)) => {
                let entry = matches!(record, Record::Data { .. } | Record::Ref { .. });
                visit(id, at as u64, (at + size) as u64, record);
                id += u64::from(entry);
                at += size;
                continue;
            }
            Err(fault) => fault,
        };
        let next = resume(data, at);
        let skipped = (next.unwrap_or(data.len()) - at) as u64;
        damage.get_or_insert(Damage { offset: at as u64, fault, skipped: 0 }).skipped += skipped;
        let Some(next) = next else { break };
        while at < next {
            let Some((size, is_entry)) = format::skip(&data[at..]) else { break };
            if let Some(record) = format::read_damaged(&data[at..]) {
                visit(id, at as u64, at as u64 + size, record);
            }
            id += u64::from(is_entry);
            at += size as usize;
        }
    }
    (at as u64, id, damage)
}

fn read(data: &[u8], at: usize) -> Result<(Record<'_>, usize), Fault> {
    let (record, size) = format::read_record(&data[at..])?;
    match record {
        Record::Ref { entry, target, .. } if !has_data(&data[..at], target, &entry) => {
            Err(Fault::Malformed("a record refers to bytes that are not there"))
        }
        record => Ok((record, size)),
    }
}

/// Where the lengths of damaged records lead: to the next whole one, or to the end.
fn resume(data: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let (size, _) = format::skip(&data[at..])?;
        at = at.checked_add(usize::try_from(size).ok()?).filter(|at| *at <= data.len())?;
        if at == data.len() || format::read_record(&data[at..]).is_ok() {
            return Some(at);
        }
    }
}

/// Whether the bytes of an entry are in a data record at `target`.
fn has_data(data: &[u8], target: u64, entry: &Entry) -> bool {
    let record = usize::try_from(target).ok().and_then(|target| data.get(target..));
    let Some((frame, payload)) = record.and_then(|record| record.split_at_checked(FRAME)) else {
        return false;
    };
    let is_data = Frame::read(frame).is_ok_and(|frame| frame.kind == Kind::Data);
    let head = payload.get(..ENTRY).and_then(format::read_entry_head);
    is_data
        && head.is_some_and(|(found, ..)| {
            (found.raw, found.stored, found.packed) == (entry.raw, entry.stored, entry.packed)
        })
}

/// A file that claims to be a segment.
pub struct Found {
    pub path: PathBuf,
    pub file: Arc<File>,
    pub first: u64,
}

impl Found {
    /// Through the open file: the collector that writes here may delete it meanwhile.
    fn read(&self) -> Result<Vec<u8>, Refusal> {
        let mut data = Vec::new();
        let mut file = &*self.file;
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut data));
        read.map(|_| data).map_err(|error| Refusal::Io(self.path.clone(), error))
    }
}

/// Read a directory, and change nothing.
pub fn recover(directory: &Path) -> Result<(State, Recovery), Refusal> {
    let mut recovery = Recovery::default();
    let mut state = State::default();
    let found = find(directory, &mut state, &mut recovery)?;
    let mut positions = Positions::default();
    for found in found.iter().rev() {
        if positions.add(found.first, &found.read()?) {
            break;
        }
    }
    let left = positions.restore(&mut state);
    let newest = found.len();
    for (index, found) in found.into_iter().enumerate() {
        let data = found.read()?;
        take(&mut state, &mut recovery, found, &data, &left, index + 1 == newest);
    }
    for reader in &state.readers {
        recovery.records += reader.waiting.records;
        recovery.bytes += reader.waiting.bytes;
    }
    Ok((state, recovery))
}

/// Add a segment to the state. `left` has the ids below each reader's cursor that are not done.
pub fn take(
    state: &mut State,
    recovery: &mut Recovery,
    found: Found,
    data: &[u8],
    left: &[Vec<u64>],
    newest: bool,
) {
    let Found { path, file, first } = found;
    let size = data.len() as u64;
    if first < state.segments.values().next_back().map_or(0, |before| before.end) {
        let fault = Fault::Malformed("it repeats ids of the segment before it");
        recovery.note(&path, &Damage { offset: 0, fault: fault.clone(), skipped: size });
        recovery.useless.push((path, fault));
        return;
    }
    let segment = Segment {
        file,
        path: path.clone(),
        first,
        end: first,
        good: HEADER,
        size,
        damaged: false,
        dense: u64::MAX,
        shares: Vec::new(),
    };
    state.segments.insert(first, segment);
    let (good, end, damage) = walk(data, first, |id, from, _, record| {
        if let Record::Data { entry, readers, .. }
        | Record::Ref { entry, readers, .. }
        | Record::Damaged { entry, readers } = record
        {
            for number in readers.iter() {
                let reader = state.readers.iter().position(|reader| reader.number == number);
                if let Some(reader) = reader {
                    state.recovered(reader, (first, from, id), entry, &left[reader]);
                }
            }
        }
    });
    let torn = newest && damage.as_ref().is_some_and(|damage| damage.fault == Fault::Torn);
    if let Some(segment) = state.segments.get_mut(&first) {
        segment.good = good;
        segment.end = end;
        segment.damaged = damage.is_some() && !torn;
    }
    // The ids of what could not be read stay unused.
    let skipped = damage.as_ref().map_or(0, |damage| damage.skipped);
    state.next = state.next.max(end + skipped);
    state.used += size;
    if let Some(damage) = &damage {
        recovery.note(&path, damage);
    }
    recovery.files.push(Report { path, bytes: size, records: end - first, damage, torn });
}

impl Recovery {
    fn note(&mut self, path: &Path, damage: &Damage) {
        let Damage { offset, fault, skipped } = damage;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        self.skipped += skipped;
        self.notes.push(format!("{name}: {fault} at byte {offset}: {skipped} bytes are skipped"));
    }
}

/// The segments of a directory by their ids.
///
/// Errors: `Refusal::Version` for a file of another version, whatever else there is.
fn find(
    directory: &Path,
    state: &mut State,
    recovery: &mut Recovery,
) -> Result<Vec<Found>, Refusal> {
    let failed = |error| Refusal::Io(directory.to_path_buf(), error);
    let mut named = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.as_os_str().as_encoded_bytes().ends_with(DAMAGED.as_bytes()) {
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            state.put_aside(path, size);
        } else if path.extension().is_some_and(|extension| extension == SUFFIX) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            named.insert((stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()), path), ());
        }
    }
    let mut found = Vec::new();
    for (name, path) in named.into_keys() {
        let failed = |error| Refusal::Io(path.clone(), error);
        let file = match File::open(&path) {
            // The collector that writes here has just let go of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.map_err(failed)?,
        };
        let mut head = Vec::new();
        (&file).take(HEADER).read_to_end(&mut head).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let fault = match format::read_header(&head) {
            Head::Segment { first } if Some(first) == name && first < 1 << 62 => {
                found.push(Found { path, file: Arc::new(file), first });
                continue;
            }
            Head::Segment { .. } => Fault::Malformed("its name is not that of its first id"),
            Head::Other { version, flags } => {
                return Err(Refusal::Version { path, version, flags });
            }
            Head::Damaged(fault) => fault,
        };
        recovery.note(&path, &Damage { offset: 0, fault: fault.clone(), skipped: size });
        recovery.files.push(Report {
            path: path.clone(),
            bytes: size,
            records: 0,
            damage: Some(Damage { offset: 0, fault: fault.clone(), skipped: size }),
            torn: fault == Fault::Torn,
        });
        recovery.useless.push((path, fault));
    }
    Ok(found)
}

/// The readers and their last positions: what the newest segment says, which begins with all of
/// them, or an older one where that beginning cannot be read.
#[derive(Default)]
pub struct Positions(BTreeMap<u32, (Option<String>, Option<Position>)>);

impl Positions {
    /// Add what a segment says of those about whom no newer one says anything; return whether it
    /// knows all there are.
    pub fn add(&mut self, first: u64, data: &[u8]) -> bool {
        let mut here: BTreeMap<u32, (Option<String>, Option<Position>)> = BTreeMap::new();
        let mut whole = false;
        walk(data, first, |id, _, _, record| match record {
            Record::State(readers) => {
                whole = true;
                here.clear();
                for (name, position) in readers {
                    here.insert(position.reader, (Some(name.to_string()), Some(position)));
                }
            }
            Record::Reader { number, name } => {
                let position = Position { reader: number, cursor: id, ..Position::default() };
                here.insert(number, (Some(name.to_string()), Some(position)));
            }
            Record::Position(position) => {
                let known = here.entry(position.reader).or_default();
                known.1 = Some(position);
            }
            Record::Data { .. } | Record::Ref { .. } | Record::Damaged { .. } => {}
        });
        for (number, (name, position)) in here {
            let known = self.0.entry(number).or_default();
            known.0 = known.0.take().or(name);
            known.1 = known.1.take().or(position);
        }
        whole
    }

    /// Make the readers; return the ids below the cursor of each that are not done.
    pub fn restore(self, state: &mut State) -> Vec<Vec<u64>> {
        let mut left = Vec::new();
        for (name, position) in self.0.into_values().filter_map(|(name, at)| name.zip(at)) {
            if !state.readers.iter().any(|other| *other.name == *name) {
                state.next = state.next.max(position.cursor);
                state.restore(&name, &position);
                left.push(position.pending);
            }
        }
        left
    }
}
