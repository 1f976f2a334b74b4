//! Recovery on the bytes of one segment, for a fuzzer: all that a start does with a file, and all
//! that delivery does afterwards.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::format::{self, FRAME, Fault, HEADER, Head, Record, finish, put_header};
use super::read::{Source, load, scan};
use super::recover::{Found, Positions, Recovery, take, walk};
use super::state::{Aim, State};

/// Largest batch that is decompressed: what is checked is not how long that takes.
const MOST_RAW: u32 = 1 << 20;

impl Source for &[u8] {
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        rest.and_then(|rest| rest.get(..length)).map(<[u8]>::to_vec).ok_or(Fault::Torn)
    }

    fn size(&self) -> Result<u64, Fault> {
        Ok(self.len() as u64)
    }
}

/// The least that an entry or a reader takes.
const LEAST: usize = 4;

pub fn journal(input: &[u8]) {
    let Some((steer, data)) = input.split_first() else { return };
    let file = if steer % 2 == 0 { data.to_vec() } else { sealed(data) };
    let waiting = recover_bytes(&file);
    assert!(waiting <= (file.len() / LEAST) as u64);
    assert_eq!(recover_bytes(&file), waiting);
    let cut = file.len() * usize::from(*steer) / 256;
    assert!(recover_bytes(&file[..cut]) <= (cut / LEAST) as u64);
    if file.len() < HEADER as usize + FRAME {
        assert_eq!(waiting, 0);
    }
}

/// A file whose checksums are right, out of pieces: kind, length, payload.
fn sealed(mut data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, 1, 1);
    while let Some(([kind, length], rest)) = data.split_first_chunk::<2>() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        let start = out.len();
        out.extend_from_slice(&[0; FRAME - 1]);
        out.push(kind % 7);
        out.extend_from_slice(payload);
        finish(&mut out, start, &[]);
        data = rest;
    }
    out
}

/// Recover one segment and take all that waits in it; return how much that was.
///
/// Panics where a promise is broken: no entry comes twice or is forgotten, and what is written of
/// the readers reads the same again.
pub fn recover_bytes(data: &[u8]) -> u64 {
    let Head::Segment { first } = format::read_header(data) else { return 0 };
    if first >= 1 << 62 {
        return 0;
    }
    let mut positions = Positions::default();
    positions.add(first, data);
    let (mut state, mut recovery) = (State::default(), Recovery::default());
    let left = positions.restore(&mut state);
    static NULL: OnceLock<Option<Arc<File>>> = OnceLock::new();
    let Some(file) = NULL.get_or_init(|| File::open("/dev/null").ok().map(Arc::new)) else {
        return 0;
    };
    let found = Found { path: PathBuf::from("0.seg"), file: file.clone(), first };
    take(&mut state, &mut recovery, found, data, &left, true);
    write_again(&state);
    (0..state.readers.len()).map(|reader| drain(data, &mut state, reader)).sum()
}

/// Take all that waits for a reader, and let every third wait once more.
fn drain(data: &[u8], state: &mut State, reader: usize) -> u64 {
    let expected = state.readers[reader].waiting.records;
    let mut taken = 0;
    loop {
        let (id, place, back) = match state.aim(reader) {
            Aim::Nothing => break,
            Aim::Read(id, place, _) => (id, place, true),
            Aim::Scan { spot, cursor, good, number, .. } => {
                let (found, after, entry) = match scan(&data, spot, cursor, good, number) {
                    Ok(found) => found,
                    Err(fault) => panic!("what recovery has counted is not there: {fault}"),
                };
                let Some((id, place)) = state.hit(reader, found, after, entry) else { continue };
                (id, place, false)
            }
        };
        if place.entry.raw <= MOST_RAW {
            let _ = load(&data, &place);
        }
        if !back && id % 3 == 0 {
            state.put_back(reader, id);
            continue;
        }
        taken += 1;
        state.done(reader, id);
        assert!(taken <= expected, "an entry came twice");
    }
    assert_eq!(taken, expected, "an entry was forgotten");
    taken
}

/// Write the readers as a new segment begins, and read them again.
fn write_again(state: &State) {
    let all = state.readers.iter().map(|reader| (reader.name.clone(), reader.position(usize::MAX)));
    let all: Vec<_> = all.collect();
    let mut written = Vec::new();
    format::put_header(&mut written, 0, 0);
    format::put_state(&mut written, &all);
    let mut read = Vec::new();
    let (.., damage) = walk(&written, 0, |_, _, _, record| {
        if let Record::State(readers) = record {
            read.extend(readers.into_iter().map(|(name, at)| (Arc::from(name), at)));
        }
    });
    assert_eq!(damage, None);
    assert_eq!(read, all);
}
