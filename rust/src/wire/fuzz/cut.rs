//! Fuzzing of what cuts batches: no item is lost, made up or changed.

use super::super::schema::Level;
use super::super::take::{Rows, TakeError};
use super::super::{Batch, scan};
use super::{LEVELS, SIGNALS, batch, is_inside, pick, steered, walk};

/// The items of a batch as they stand.
fn items(batch: &Batch) -> Vec<&[u8]> {
    let mut items = Vec::new();
    let request = batch.signal.request().expect("profiles are not cut");
    walk(request, &batch.data, &mut items).expect("a batch passes the door");
    assert_eq!(items.len(), batch.items);
    assert_eq!(scan(batch.signal, &batch.data), Ok(batch.items));
    items
}

pub fn cut(input: &[u8]) {
    let Some(([signal, most, size, level, mask], data)) = steered(input) else { return };
    let Some(whole) = batch(pick(&SIGNALS, signal), data) else { return };
    let all = items(&whole);
    split(&whole, &all, usize::from(most % 16), usize::from(size) * 4);
    take(&whole, &all, mask);
    take_level(&whole, pick(&LEVELS, level), mask);
    partition(&whole, &all, usize::from(most % 5) + 1);
}

/// 0 is no limit.
fn split(whole: &Batch, all: &[&[u8]], most: usize, size: usize) {
    let limit = |limit: usize| Some(limit).filter(|limit| *limit > 0);
    let pieces = whole.split(limit(most), limit(size)).expect("a batch passes the door");
    let parts: Vec<_> = pieces.iter().flat_map(items).collect();
    assert_eq!(parts, all);
    for piece in &pieces {
        assert!(most == 0 || piece.items <= most);
        assert!(size == 0 || piece.data.len() <= size || piece.items <= 1);
    }
    let joined = Batch::join(&pieces).expect("they are of one batch");
    assert_eq!(items(&joined), all);
}

fn take(whole: &Batch, all: &[&[u8]], mask: u8) {
    let everything = whole.take(&Rows::Mask(vec![true; whole.items]), Level::Item);
    assert_eq!(everything.expect("a batch passes the door").data, whole.data);
    let flags: Vec<bool> = (0..whole.items).map(|row| mask >> (row % 8) & 1 != 0).collect();
    let some = whole.take(&Rows::Mask(flags.clone()), Level::Item).expect("as before");
    let kept: Vec<_> =
        all.iter().zip(&flags).filter_map(|(item, keep)| keep.then_some(*item)).collect();
    assert_eq!(items(&some), kept);
    let wrong = whole.take(&Rows::Mask(vec![true; whole.items + 1]), Level::Item);
    assert!(matches!(wrong, Err(TakeError::Rows { .. })));
}

/// Below the items nothing has been validated yet; above them all is.
fn take_level(whole: &Batch, level: Level, mask: u8) {
    // Numbers name the rows that are kept; fewer than there are is no error.
    let none = whole.take(&Rows::Numbers(Vec::new()), level);
    let first = whole.take(&Rows::Numbers(vec![mask & 1 != 0]), level);
    for taken in [none, first] {
        match taken {
            Ok(taken) => {
                let left = items(&taken).len();
                assert!(left <= whole.items);
                assert!(level <= Level::Item || left == whole.items);
            }
            Err(TakeError::Level) => assert!(level.messages(whole.signal).is_empty()),
            Err(TakeError::Rows { given, rows }) => assert!((given, rows) == (1, 0)),
            Err(TakeError::Wire(error)) => {
                assert!(level > Level::Item && is_inside(&error, &whole.data), "{error:?}");
            }
        }
    }
}

fn partition(whole: &Batch, all: &[&[u8]], count: usize) {
    let keys: Vec<usize> = (0..whole.items).map(|row| row * 7 % 5 % count).collect();
    let parts = whole.partition(&keys, count).expect("a batch passes the door");
    assert_eq!(parts.len(), count);
    for (key, part) in parts.iter().enumerate() {
        let of_key: Vec<_> =
            all.iter().zip(&keys).filter_map(|(item, of)| (*of == key).then_some(*item)).collect();
        assert_eq!(items(part), of_key);
    }
}
