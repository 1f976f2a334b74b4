//! Fuzzing of what reads or writes text: paths, values, what Loki gets.

use std::sync::OnceLock;

use super::super::edit::{Act, Edit, EditError, Edits};
use super::super::json::is_json;
use super::super::loki::{Rules, to_json, to_protobuf, translate};
use super::super::path::Path;
use super::super::plan::Plan;
use super::super::project::project;
use super::super::proto::{Reader, Value};
use super::super::value::{Any, Step, elements, entries, follow};
use super::super::{Batch, Context, Signal, text};
use super::{LEVELS, SIGNALS, assert_valid, batch, is_inside, pick, steered};

/// A batch of each signal with something at every level.
fn samples() -> &'static [Batch; 3] {
    static SAMPLES: OnceLock<[Batch; 3]> = OnceLock::new();
    const ATTRIBUTES: &str = r#""attributes":[{"key":"k","value":{"stringValue":"v"}},
        {"key":"a","value":{"kvlistValue":{"values":[{"key":"k","value":{"intValue":"1"}}]}}},
        {"key":"l","value":{"arrayValue":{"values":[{},{"doubleValue":0.5},{"boolValue":true}]}}}]"#;
    SAMPLES.get_or_init(|| {
        let items = [
            r#"{"resourceSpans":[{"resource":{ATTRIBUTES},"scopeSpans":[{"scope":{"name":"s",ATTRIBUTES},
                "spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","name":"n",ATTRIBUTES,
                "events":[{"name":"e",ATTRIBUTES}],"links":[{ATTRIBUTES}],"status":{"code":2}}]}]}]}"#,
            r#"{"resourceMetrics":[{"resource":{ATTRIBUTES},"scopeMetrics":[{"scope":{"name":"s",ATTRIBUTES},
                "metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":"1",ATTRIBUTES,"exemplars":[{"asDouble":1}]}]}},
                {"name":"h","histogram":{"dataPoints":[{"count":"1","bucketCounts":["1","0"],"explicitBounds":[1]}]}}]}]}]}"#,
            r#"{"resourceLogs":[{"resource":{ATTRIBUTES},"scopeLogs":[{"scope":{"name":"s",ATTRIBUTES},
                "logRecords":[{"body":{"stringValue":"b"},"severityNumber":9,ATTRIBUTES}]}]}]}"#,
        ];
        let mut items = items.into_iter().zip(SIGNALS);
        [(); 3].map(|()| {
            let (text, signal) = items.next().expect("three of them");
            let text = text.replace("ATTRIBUTES", ATTRIBUTES);
            Batch::from_json(signal, text.as_bytes(), Context::empty()).expect("a sample is valid")
        })
    })
}

/// A path compiles and reads, or says what is wrong with it.
pub fn path(input: &[u8]) {
    let Some(([signal, level], text)) = steered(input) else { return };
    let (signal, level) = (pick(&SIGNALS, signal), pick(&LEVELS, level));
    let Ok(text) = str::from_utf8(text) else { return };
    let sample = &samples()[signal as usize];
    if let Ok(plan) = Plan::compile(signal, level, &[text]) {
        assert!(Path::parse(signal, level, text).is_ok());
        assert_valid(&project(sample, &plan).expect("a sample is valid"));
    }
    let edit = Edit { path: text.into(), act: Act::Delete };
    match sample.edit(&Edits::new(vec![edit]), None) {
        Ok(edited) => assert_eq!(edited.items, sample.items),
        Err(EditError::Value(why)) => assert!(!why.is_empty()),
        Err(EditError::Wire(error)) => panic!("{error}"),
    }
}

/// A value is read and written, or malformed.
pub fn value(input: &[u8]) {
    let Some(([index, length], data)) = steered(input) else { return };
    let (key, data) = data.split_at(usize::from(length % 8).min(data.len()));
    let steps = [Step::Key(String::from_utf8_lossy(key).into()), Step::Index(index.into())];
    for steps in [&steps[..1], &steps[1..], &steps[..]] {
        let _ = follow(data, steps, &mut |found| Ok(found.map(<[u8]>::len)));
    }
    if let Ok(any) = Any::read(data) {
        assert!(any.kind() < 8);
        let _ = match &any {
            Any::Array(array) => elements(array).map(|found| found.len()),
            Any::Map(map) => entries(map).map(|found| found.len()),
            _ => Ok(0),
        };
    }
    let (mut written, mut json) = (String::new(), String::new());
    let as_text = text::push_text(&mut written, data).is_ok();
    assert!(text::push_json(&mut json, data).is_ok() || !as_text);
    if as_text {
        assert!(is_json(&json), "{json}");
    }
}

/// Every record that has a label becomes an entry of a well-formed request.
pub fn loki(input: &[u8]) {
    let Some(([how, now], data)) = steered(input) else { return };
    let Some(batch) = batch(Signal::Logs, data) else { return };
    let is = |bit: u8| how >> bit & 1 != 0;
    let rules = Rules {
        exporter: is(0),
        job: is(1),
        instance: is(2),
        level: is(3),
        structured_metadata: is(4),
        index: vec!["service.name".into(), "k".into()],
        now: u64::from(now),
    };
    let found = match translate(data, &rules) {
        Ok(found) => found,
        Err(error) => return assert!(is_inside(&error, data), "{error:?}"),
    };
    let mut items = found.unlabelled + found.unformatted;
    for push in &found.pushes {
        assert!(is_json(&String::from_utf8(to_json(push)).expect("JSON is UTF-8")));
        let mut entries = 0;
        let bytes = to_protobuf(push);
        let mut reader = Reader::new(&bytes);
        while let Some(stream) = reader.field().expect("it was written here") {
            let mut reader = Reader::new(stream.bytes().expect("a stream"));
            while let Some(field) = reader.field().expect("it was written here") {
                assert!(matches!(field.value, Value::Bytes(_)));
                entries += usize::from(field.number == 2);
            }
        }
        assert_eq!(entries, push.items);
        items += entries;
    }
    assert_eq!(items, batch.items);
}
