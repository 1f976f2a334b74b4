//! The journal against a model: random programs, crashes, damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;

use super::format::Record;
use super::fuzz::recover_bytes;
use super::recover::{Damage, walk};
use super::*;
use crate::wire::proto::{put_bytes_field, put_fixed64_field};
use crate::wire::{Batch, Context, Signal};

/// A directory that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("journal-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// What a machine that stops would leave: all that was there at one moment.
    fn copy(&self) -> Self {
        loop {
            let (copy, before) = (Self::new(), self.segments());
            let copied = before
                .iter()
                .all(|path| fs::copy(path, copy.0.join(path.file_name().unwrap())).is_ok());
            if copied && self.segments() == before {
                return copy;
            }
        }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|kind| kind == "seg")).collect();
        paths.sort();
        paths
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A batch of one span whose start time is the number.
fn batch(number: u64, padding: usize) -> Batch {
    let mut span = Vec::new();
    put_fixed64_field(&mut span, 7, number);
    put_bytes_field(&mut span, 5, &vec![b'x'; padding]);
    let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
    put_bytes_field(&mut scope, 2, &span);
    put_bytes_field(&mut resource, 2, &scope);
    put_bytes_field(&mut request, 1, &resource);
    Batch::from_wire(Signal::Traces, request.into(), Context::empty()).unwrap()
}

/// The number of a batch: eight bytes after the tag of the start time.
fn number(batch: &Batch) -> u64 {
    let at = batch.data.iter().position(|byte| *byte == 7 << 3 | 1).unwrap();
    u64::from_le_bytes(batch.data[at + 1..at + 9].try_into().unwrap())
}

struct Opened {
    journal: Journal,
    said: Arc<Mutex<Vec<String>>>,
}

fn open_as(directory: &Path, max_bytes: u64, fsync: Fsync, drop_oldest: bool) -> Opened {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let say = Box::new(move |text| heard.lock().unwrap().push(text));
    let directory = directory.to_path_buf();
    let limits = Limits { max_bytes, fsync, drop_oldest };
    let settings = Settings { directory, limits, say };
    let journal = Journal::open(settings).unwrap_or_else(|refusal| panic!("{refusal}"));
    Opened { journal, said }
}

fn open(directory: &Path) -> Opened {
    open_as(directory, 1 << 30, Fsync::Never, false)
}

impl Opened {
    fn append(&self, reader: usize, batch: &Batch, pack: bool, hold: bool) -> Result<u64, Refused> {
        let (sender, receiver) = mpsc::channel();
        let answer = Box::new(move |outcome| sender.send(outcome).unwrap());
        self.journal.append(Append { batch: batch.clone(), reader, pack, hold, answer });
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn keep(&self, reader: usize, value: u64) -> u64 {
        self.append(reader, &batch(value, 0), false, false).unwrap()
    }

    fn take(&self, reader: usize) -> Option<u64> {
        self.journal.take(reader).map(|taken| number(&taken.batch))
    }

    /// Take all that waits, and say that it is done.
    fn drain(&self, reader: usize) -> Vec<u64> {
        let mut all = Vec::new();
        while let Some(taken) = self.journal.take(reader) {
            self.journal.done(reader, taken.id);
            all.push(number(&taken.batch));
        }
        all
    }

    fn close(self) {
        let (sender, receiver) = mpsc::channel();
        self.journal.close(move || sender.send(()).unwrap());
        receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}

fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_appended_is_taken_in_order_once_by_each_reader() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let (one, two) = (opened.journal.reader("one"), opened.journal.reader("two"));
    for value in 0..10 {
        let batch = batch(value, 100);
        opened.append(one, &batch, value % 2 == 0, false).unwrap();
        opened.append(two, &batch, false, false).unwrap();
    }
    assert_eq!(opened.journal.standing(one).waiting.records, 10);
    assert_eq!(opened.journal.standing(one).waiting.items, [10, 0, 0, 0]);
    assert_eq!(opened.drain(one), Vec::from_iter(0..10));
    assert_eq!(opened.drain(two), Vec::from_iter(0..10));
    assert_eq!(opened.journal.standing(two).waiting, Tally::default());
}

#[test]
fn readers_share_one_copy_while_somebody_holds_the_bytes() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let (one, two) = (opened.journal.reader("one"), opened.journal.reader("two"));
    let large = batch(1, 100_000);
    opened.append(one, &large, false, false).unwrap();
    let before = opened.journal.used();
    opened.append(two, &large, false, false).unwrap();
    assert!(opened.journal.used() - before < 200);
    let equal = Batch { data: Bytes::copy_from_slice(&large.data), ..large.clone() };
    opened.append(two, &equal, false, false).unwrap();
    assert!(opened.journal.used() - before > 100_000, "other bytes are another copy");
    let context = Context { auth: vec![("user".into(), "a".into())], ..Context::default() };
    let other = Batch { context: context.into(), ..large.clone() };
    opened.append(one, &other, false, false).unwrap();
    let taken: Vec<_> = std::iter::from_fn(|| opened.journal.take(one)).collect();
    assert_eq!(taken[0].batch.context.auth, []);
    assert_eq!(taken[1].batch.context.auth, other.context.auth);
    assert_eq!(opened.take(two), Some(1));
}

#[test]
fn what_is_held_is_taken_only_when_it_is_put_back() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let reader = opened.journal.reader("one");
    let held = opened.append(reader, &batch(1, 0), false, true).unwrap();
    assert_eq!(opened.take(reader), None);
    opened.keep(reader, 2);
    let later = opened.append(reader, &batch(3, 0), false, true).unwrap();
    opened.journal.put_back(reader, held);
    assert_eq!(opened.take(reader), Some(1));
    assert_eq!(opened.take(reader), Some(2));
    assert_eq!(opened.take(reader), None);
    opened.journal.put_back(reader, later);
    assert_eq!(opened.take(reader), Some(3));
}

#[test]
fn done_survives_and_what_is_out_comes_again() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let reader = opened.journal.reader("one");
    for value in 0..6 {
        opened.keep(reader, value);
    }
    let held = opened.append(reader, &batch(6, 0), false, true).unwrap();
    let ids: Vec<u64> = (0..3).map(|_| opened.journal.take(reader).unwrap().id).collect();
    opened.journal.done(reader, ids[1]);
    opened.journal.done(reader, held);
    opened.close();
    let opened = open(&scratch.0);
    let reader = opened.journal.reader("one");
    assert_eq!(opened.journal.recovery.records, 5);
    assert_eq!(opened.drain(reader), [0, 2, 3, 4, 5]);
}

#[test]
fn what_is_done_stays_done_after_a_start_that_writes_nothing() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let reader = opened.journal.reader("one");
    for value in 0..5 {
        opened.keep(reader, value);
    }
    opened.close();
    let opened = open(&scratch.0);
    let reader = opened.journal.reader("one");
    let taken: Vec<_> = (0..4).map(|_| opened.journal.take(reader).unwrap().id).collect();
    taken.iter().for_each(|id| opened.journal.done(reader, *id));
    opened.close();
    for _ in 0..2 {
        let opened = open(&scratch.0);
        assert_eq!(opened.journal.recovery.records, 1);
        std::thread::sleep(Duration::from_millis(30)); // the writer has had its turn
        opened.close();
    }
}

#[test]
fn a_drained_journal_takes_no_space() {
    let scratch = Scratch::new();
    let opened = open_as(&scratch.0, 1 << 20, Fsync::Each, false);
    let reader = opened.journal.reader("one");
    for value in 0..100 {
        let id = opened.append(reader, &batch(value, 50_000), false, true).unwrap();
        opened.journal.done(reader, id);
    }
    until(|| opened.journal.used() == 0);
    assert_eq!(scratch.segments().len(), 0);
    opened.keep(reader, 7);
    assert_eq!(opened.drain(reader), [7]);
}

#[test]
fn full_refuses_and_takes_again_when_there_is_room() {
    let scratch = Scratch::new();
    let opened = open_as(&scratch.0, 1 << 20, Fsync::Never, false);
    let reader = opened.journal.reader("one");
    let refused = loop {
        match opened.append(reader, &batch(1, 100_000), false, false) {
            Ok(_) => assert!(opened.journal.used() <= 1 << 20),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Refused::Full(_)), "{refused:?}");
    assert!(opened.journal.used() > 800_000);
    let huge = opened.append(reader, &batch(1, 2_000_000), false, false);
    assert!(matches!(huge, Err(Refused::Full(_))));
    opened.drain(reader);
    opened.append(reader, &batch(1, 100_000), false, false).unwrap();
}

#[test]
fn full_drops_the_oldest_when_told_to() {
    let scratch = Scratch::new();
    let opened = open_as(&scratch.0, 1 << 20, Fsync::Never, true);
    let reader = opened.journal.reader("one");
    for value in 0..30 {
        opened.append(reader, &batch(value, 100_000), false, false).unwrap();
        assert!(opened.journal.used() <= 1 << 20);
    }
    let dropped = opened.journal.standing(reader).dropped;
    assert!(dropped.records > 15 && dropped.items[0] == dropped.records);
    assert_eq!(opened.drain(reader), Vec::from_iter(dropped.records..30));
    assert!(!opened.said.lock().unwrap().is_empty());
}

/// Bytes of a request, which know when nobody has them any more.
struct Owned(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Relaxed);
    }
}

#[test]
fn what_is_written_is_let_go() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let reader = opened.journal.reader("one");
    let held = Arc::new(AtomicUsize::new(0));
    for value in 0..300 {
        let data = batch(value, 100_000).data.to_vec();
        held.fetch_add(data.len(), Relaxed);
        let data = Bytes::from_owner(Owned(data, held.clone()));
        let batch = Batch::from_wire(Signal::Traces, data, Context::empty()).unwrap();
        opened.append(reader, &batch, true, false).unwrap();
        drop(batch);
        assert!(held.load(Relaxed) < 5 << 20, "after {value}");
    }
    until(|| held.load(Relaxed) == 0);
}

#[test]
fn one_process_at_a_time() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let say = Box::new(|_| {});
    let directory = scratch.0.clone();
    let limits = Limits { max_bytes: 1 << 20, fsync: Fsync::Never, drop_oldest: false };
    let settings = Settings { directory, limits, say };
    let Err(refusal) = Journal::open(settings) else { panic!("it was opened twice") };
    assert!(matches!(refusal, Refusal::Locked(..)));
    assert!(refusal.to_string().contains(&std::process::id().to_string()), "{refusal}");
    opened.close();
    open(&scratch.0).close();
}

/// What a copy of the directory says is there: for each reader the numbers, in order.
fn on_disk(scratch: &Scratch) -> BTreeMap<u32, Vec<u64>> {
    let mut all: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for path in scratch.segments() {
        let data = fs::read(&path).unwrap();
        let mut places = BTreeMap::new();
        walk(&data, 0, |_, from, _, record| match record {
            Record::Data { entry, readers, bytes, .. } => {
                let bytes = match entry.packed {
                    true => zstd::decode_all(bytes).unwrap(),
                    false => bytes.to_vec(),
                };
                let found =
                    Batch::from_wire(Signal::Traces, bytes.into(), Context::empty()).unwrap();
                places.insert(from, number(&found));
                readers.iter().for_each(|reader| {
                    all.entry(reader).or_default().push(number(&found));
                });
            }
            Record::Ref { readers, target, .. } => {
                let found = places[&target];
                readers.iter().for_each(|reader| all.entry(reader).or_default().push(found));
            }
            _ => {}
        });
    }
    all
}

/// What the model knows of one reader.
#[derive(Default)]
struct Model {
    waiting: BTreeSet<u64>,
    out: BTreeMap<u64, u64>,
    done: BTreeSet<u64>,
}

/// Enough room for a program without ever having to clean.
const ROOMY: u64 = 4 << 20;

/// A random program; at times the directory is copied, its newest segment cut, and what recovery
/// makes of it compared to what the files and the model say.
fn program(seed: u64, max_bytes: u64) {
    let mut rng = Rng::with_seed(seed);
    let scratch = Scratch::new();
    let fsync = [Fsync::Never, Fsync::Each, Fsync::Every(Duration::from_millis(5))];
    let fsync = fsync[rng.usize(..3)];
    let mut opened = open_as(&scratch.0, max_bytes, fsync, false);
    let mut readers: Vec<usize> = (0..3).map(|i| opened.journal.reader(&i.to_string())).collect();
    let mut models: Vec<Model> = (0..3).map(|_| Model::default()).collect();
    let mut next = 0;
    let mut last = batch(0, 0);
    for _ in 0..rng.usize(50..250) {
        let who = rng.usize(..3);
        let (reader, model) = (readers[who], &mut models[who]);
        match rng.u8(..100) {
            0..45 => {
                let share = rng.u8(..3) == 0 && next > 0 && {
                    let value = number(&last);
                    !model.waiting.contains(&value)
                        && !model.done.contains(&value)
                        && !model.out.values().any(|other| *other == value)
                };
                if !share {
                    let large = if rng.u8(..10) == 0 { 60_000 } else { 300 };
                    last = batch(next, rng.usize(..large));
                    next += 1;
                }
                let (value, hold) = (number(&last), rng.bool());
                match opened.append(reader, &last, rng.bool(), hold) {
                    Ok(id) if hold => drop(model.out.insert(id, value)),
                    Ok(_) => drop(model.waiting.insert(value)),
                    Err(refused) => assert!(matches!(refused, Refused::Full(_)), "{refused:?}"),
                }
            }
            45..65 => match opened.journal.take(reader) {
                Some(taken) => {
                    assert!(model.waiting.remove(&number(&taken.batch)), "seed {seed}");
                    model.out.insert(taken.id, number(&taken.batch));
                }
                None => assert!(model.waiting.is_empty(), "seed {seed}: something waits"),
            },
            65..95 => {
                let Some(id) = rng.choice(model.out.keys().copied()) else { continue };
                let value = model.out.remove(&id).unwrap();
                if rng.u8(..3) == 0 {
                    opened.journal.put_back(reader, id);
                    model.waiting.insert(value);
                } else {
                    opened.journal.done(reader, id);
                    model.done.insert(value);
                }
            }
            95..98 => crash(&mut rng, seed, &scratch, &models, max_bytes),
            _ => {
                opened.close();
                opened = open_as(&scratch.0, max_bytes, fsync, false);
                assert_eq!(opened.journal.recovery.notes, Vec::<String>::new());
                readers = (0..3).map(|i| opened.journal.reader(&i.to_string())).collect();
                for model in &mut models {
                    model.waiting.extend(std::mem::take(&mut model.out).into_values());
                }
                for (reader, model) in readers.iter().zip(&models) {
                    let waiting = opened.journal.standing(*reader).waiting.records;
                    assert_eq!(waiting, model.waiting.len() as u64, "seed {seed}");
                }
            }
        }
        let waiting = opened.journal.standing(readers[who]).waiting;
        assert_eq!(waiting.records, models[who].waiting.len() as u64, "seed {seed}");
    }
    for (reader, model) in readers.iter().zip(&mut models) {
        let out: Vec<_> = model.out.keys().copied().collect();
        out.iter().for_each(|id| opened.journal.put_back(*reader, *id));
        model.waiting.extend(std::mem::take(&mut model.out).into_values());
        let drained = opened.drain(*reader);
        assert_eq!(drained.len(), model.waiting.len(), "seed {seed}");
        assert_eq!(BTreeSet::from_iter(drained), model.waiting, "seed {seed}");
    }
    until(|| opened.journal.used() == 0);
}

fn crash(rng: &mut Rng, seed: u64, scratch: &Scratch, models: &[Model], max_bytes: u64) {
    let copy = scratch.copy();
    let newest = copy.segments().pop();
    let mut whole = true;
    if let Some(newest) = newest {
        let size = fs::metadata(&newest).unwrap().len();
        let file = fs::File::options().write(true).open(&newest).unwrap();
        match rng.u8(..3) {
            0 => {
                file.set_len(rng.u64(..=size)).unwrap();
                whole = false;
            }
            1 => file.set_len(size + rng.u64(1..5000)).unwrap(),
            _ => {}
        }
    }
    let there = on_disk(&copy);
    let opened = open_as(&copy.0, 4 << 20, Fsync::Never, false);
    for (index, model) in models.iter().enumerate() {
        let reader = opened.journal.reader(&index.to_string());
        let number = opened.journal.shared.lock().state.readers[reader].number;
        let mut there = there.get(&number).cloned().unwrap_or_default();
        there.sort_unstable();
        let found = opened.drain(reader);
        let once = BTreeSet::from_iter(found.iter().copied());
        // A segment that is being cleaned is there beside its copies.
        let cleaned = max_bytes < ROOMY;
        assert!(once.len() == found.len() || cleaned, "seed {seed}: something came twice");
        let alive: BTreeSet<u64> =
            model.waiting.iter().chain(model.out.values()).copied().collect();
        for value in &alive {
            let kept = there.binary_search(value).is_ok();
            assert!(kept || !whole, "seed {seed}: {value} is not on disk");
            assert_eq!(once.contains(value), kept, "seed {seed}: {value} of {index}");
        }
        assert!(once.iter().all(|value| alive.contains(value) || model.done.contains(value)));
    }
}

#[test]
fn random_programs_and_crashes() {
    for seed in 0..60 {
        program(seed, ROOMY);
        program(seed, 300 << 10);
    }
}

#[test]
fn sparse_segments_go_and_what_is_needed_of_them_stays() {
    let scratch = Scratch::new();
    let opened = open_as(&scratch.0, 1 << 20, Fsync::Each, false);
    let (fast, slow) = (opened.journal.reader("fast"), opened.journal.reader("slow"));
    let mut held = Vec::new();
    let mut waits = BTreeSet::new();
    for value in 0..400 {
        let batch = batch(value, 10_000);
        opened.append(fast, &batch, false, false).unwrap();
        match value % 20 {
            0 => {
                opened.append(slow, &batch, false, false).unwrap();
                waits.insert(value);
            }
            7 => {
                let id = opened.append(slow, &batch, value % 40 == 7, true).unwrap();
                held.push((value, id));
            }
            _ => {}
        }
        let taken = opened.journal.take(fast).unwrap();
        opened.journal.done(fast, taken.id);
    }
    assert!(opened.journal.used() <= 1 << 20);
    assert_eq!(opened.journal.standing(slow).waiting.records, waits.len() as u64);
    assert_eq!(opened.journal.standing(slow).out, held.len());
    for (index, (value, id)) in held.into_iter().enumerate() {
        if index % 2 == 0 {
            opened.journal.done(slow, id);
        } else {
            opened.journal.put_back(slow, id);
            waits.insert(value);
        }
    }
    opened.close();
    let opened = open_as(&scratch.0, 1 << 20, Fsync::Each, false);
    assert_eq!(opened.journal.recovery.notes, Vec::<String>::new());
    let slow = opened.journal.reader("slow");
    let mut found = opened.drain(slow);
    found.sort_unstable();
    assert_eq!(found, Vec::from_iter(waits));
    until(|| opened.journal.used() == 0);
}

#[test]
fn other_limits_count_at_once() {
    let scratch = Scratch::new();
    let opened = open_as(&scratch.0, 1 << 20, Fsync::Never, false);
    let reader = opened.journal.reader("one");
    let limits = |max_bytes| Limits { max_bytes, fsync: Fsync::Each, drop_oldest: false };
    while opened.append(reader, &batch(1, 50_000), false, false).is_ok() {}
    opened.journal.adjust(limits(2 << 20));
    opened.append(reader, &batch(1, 50_000), false, false).unwrap();
    opened.journal.adjust(limits(1 << 19));
    assert!(opened.append(reader, &batch(1, 1000), false, false).is_err());
    opened.drain(reader);
    opened.append(reader, &batch(1, 1000), false, false).unwrap();
}

#[test]
fn a_position_has_only_so_many_ranges() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let reader = opened.journal.reader("one");
    let most = write::MOST_RANGES as u64;
    for value in 0..2 * most {
        opened.keep(reader, value);
        let id = opened.append(reader, &batch(value, 0), false, true).unwrap();
        opened.journal.done(reader, id);
    }
    opened.close();
    let written: u64 =
        scratch.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(written < 4 * most * 120 + 100 * most * 16, "{written}");
    let opened = open(&scratch.0);
    assert_eq!(opened.journal.recovery.records, 3 * most, "those beyond come again");
}

#[test]
fn damaged_files_take_an_eighth_at_most() {
    let scratch = Scratch::new();
    for number in 0..4 {
        let path = scratch.0.join(format!("{number:016x}.seg.damaged"));
        fs::write(path, vec![0; 50_000]).unwrap();
    }
    let opened = open_as(&scratch.0, 1 << 20, Fsync::Never, false);
    assert_eq!(opened.journal.used(), 100_000);
    assert_eq!(opened.journal.recovery.notes.len(), 2, "{:?}", opened.journal.recovery.notes);
    assert!(!scratch.0.join("0000000000000001.seg.damaged").exists());
    let reader = opened.journal.reader("one");
    while opened.append(reader, &batch(1, 50_000), false, false).is_ok() {}
    assert!(!scratch.0.join("0000000000000003.seg.damaged").exists(), "batches come first");
    assert!(opened.journal.used() <= 1 << 20);
}

#[test]
fn a_reader_passes_over_what_is_not_its_own() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let (many, few) = (opened.journal.reader("many"), opened.journal.reader("few"));
    let large = batch(7, 100_000);
    for value in 0..20_000 {
        opened.keep(many, value);
        if value % 5000 == 0 {
            opened.append(many, &large, false, false).unwrap();
            opened.keep(few, value);
        }
    }
    assert_eq!(opened.drain(few), [0, 5000, 10_000, 15_000]);
}

#[test]
fn any_change_of_a_byte_is_noticed_and_the_rest_is_read() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let (one, two) = (opened.journal.reader("one"), opened.journal.reader("two"));
    for value in 0..4 {
        let batch = batch(value, 20);
        opened.append(one, &batch, false, false).unwrap();
        opened.append(two, &batch, false, false).unwrap();
    }
    opened.close();
    let path = scratch.segments().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut rng = Rng::with_seed(1);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << rng.u8(..8);
        if (8..12).contains(&at) {
            continue;
        }
        fs::write(&path, &changed).unwrap();
        let (state, recovery) = recover(&scratch.0).unwrap();
        assert_eq!(recovery.notes.len(), 1, "byte {at}");
        let waiting: u64 = state.readers.iter().map(|reader| reader.waiting.records).sum();
        assert!(waiting <= 8, "byte {at}");
    }
    let mut entries = Vec::new();
    walk(&whole, 0, |id, from, to, record| {
        if matches!(record, Record::Data { .. } | Record::Ref { .. }) {
            entries.push((id, from as usize, to as usize));
        }
    });
    for (id, from, to) in entries {
        // Behind the length, without which nobody knows where the next one is.
        for at in from + 4..to {
            let copy = scratch.copy();
            let mut changed = whole.clone();
            changed[at] ^= 1 << rng.u8(..8);
            fs::write(copy.segments().pop().unwrap(), &changed).unwrap();
            let opened = open(&copy.0);
            let (one, two) = (opened.journal.reader("one"), opened.journal.reader("two"));
            let found = [opened.drain(one), opened.drain(two)].concat();
            // A second reader's entry refers to the bytes of the first one's.
            let gone = if id % 2 == 0 { 2 } else { 1 };
            let position = (8 - gone..8).contains(&found.len());
            assert!(position || at == from + 8, "byte {at} of entry {id}: {found:?}");
            let lost: u64 = {
                let state = &opened.journal.shared.lock().state;
                state.readers.iter().map(|reader| reader.lost.records).sum()
            };
            assert!(lost + found.len() as u64 <= 8, "byte {at} of entry {id}");
        }
    }
    for length in 0..whole.len() {
        let (_, _, damage) = walk(&whole[..length.max(32)], 0, |_, _, _, _| {});
        if let Some(Damage { offset, skipped, .. }) = damage {
            assert_eq!(offset + skipped, length.max(32) as u64);
        }
        recover_bytes(&whole[..length]);
    }
}

/// Make the checksums right again, as far as the lengths lead.
fn sum(data: &mut [u8]) {
    let header = format::HEADER as usize;
    let checksum = crc32fast::hash(&data[..header - 4]);
    data[header - 4..header].copy_from_slice(&checksum.to_le_bytes());
    let mut at = header;
    while let Some(length) = data.get(at..at + 4) {
        let size = format::FRAME + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let Some(record) = data.get_mut(at..at + size) else { break };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&record[..4]);
        hasher.update(&record[8..]);
        record[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
        at += size;
    }
}

#[test]
fn any_bytes_can_be_recovered_from() {
    let scratch = Scratch::new();
    let opened = open(&scratch.0);
    let (one, two) = (opened.journal.reader("one"), opened.journal.reader("two"));
    for value in 0..6 {
        let batch = batch(value, 20);
        opened.append(one, &batch, value % 2 == 0, false).unwrap();
        let id = opened.append(two, &batch, false, value % 2 == 0).unwrap();
        if value == 2 {
            opened.journal.done(two, id);
        }
    }
    opened.close();
    let whole = fs::read(scratch.segments().pop().unwrap()).unwrap();
    assert_eq!(recover_bytes(&whole), 11);
    let mut rng = Rng::with_seed(1);
    for turn in 0..20_000 {
        let mut data = whole.clone();
        for _ in 0..rng.usize(1..5) {
            let at = rng.usize(12..data.len());
            data[at] = if rng.bool() { rng.u8(..) } else { rng.u8(..4) };
        }
        if turn % 4 != 0 {
            sum(&mut data);
        }
        recover_bytes(&data);
    }
}
