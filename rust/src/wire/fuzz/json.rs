//! Fuzzing of OTLP/JSON, both ways.

use super::super::project::project;
use super::super::{Batch, Context};
use super::{LEVELS, SIGNALS, batch, is_inside, pick, plans, steered};

/// Write, read, write: the text stays, and so do the items.
fn there_and_back(batch: &Batch, text: &[u8]) -> Option<Batch> {
    let back = match Batch::from_json(batch.signal, text, Context::empty()) {
        Ok(back) => back,
        // On the wire an id may have any length; the text says what there is.
        Err(error) if error.message.contains("hex digits") => return None,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(back.items, batch.items);
    let again = back.to_json().expect("it was read here");
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(text));
    Some(back)
}

/// Text from outside.
pub fn json(input: &[u8]) {
    let Some(([signal], text)) = steered(input) else { return };
    match Batch::from_json(pick(&SIGNALS, signal), text, Context::empty()) {
        Err(error) => assert!(is_inside(&error, text), "{error:?}"),
        Ok(batch) => {
            let text = batch.to_json().expect("what was read can be written");
            there_and_back(&batch, &text);
        }
    }
}

/// Wire to JSON and back: every column stays.
pub fn wire_json(input: &[u8]) {
    let Some(([signal], data)) = steered(input) else { return };
    let Some(batch) = batch(pick(&SIGNALS, signal), data) else { return };
    let text = match batch.to_json() {
        Ok(text) => text,
        Err(error) => return assert!(is_inside(&error, data), "{error:?}"),
    };
    let Some(back) = there_and_back(&batch, &text) else { return };
    if text.windows(3).any(|letters| letters == b"NaN") {
        // There are many, text has one, and none equals itself.
        return;
    }
    for level in LEVELS {
        let Some((plan, paths)) = plans(batch.signal, level) else { continue };
        // Text leaves out what a projection refuses: known fields of another wire type.
        let Ok(before) = project(&batch, plan) else { continue };
        let after = project(&back, plan).expect("all of it was read");
        assert_eq!(before.num_rows(), after.num_rows());
        for path in paths.iter().filter(|path| !path.ends_with(":raw")) {
            assert_eq!(before.column_by_name(path), after.column_by_name(path), "{path}");
        }
    }
}
