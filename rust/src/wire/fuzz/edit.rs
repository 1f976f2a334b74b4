//! Fuzzing of edits: what is set is read, what is deleted is gone, the rest stands.

use std::sync::OnceLock;

use arrow_array::cast::AsArray;
use regex::Regex;

use super::super::edit::{Act, Edit, EditError, Edits, Literal, Source, Target, When};
use super::super::plan::Plan;
use super::super::project::project;
use super::super::schema::Level;
use super::super::take::Rows;
use super::super::{Batch, Signal, scan};
use super::{SIGNALS, batch, is_inside, pick, steered};

const SET: &str = "attributes[\"k\"]";

fn constant(literal: Literal<'static>) -> Source {
    let any = literal.any().into_owned();
    Source::Constant(literal, any)
}

fn set(path: &str, literal: Literal<'static>, when: When) -> Edit {
    let act = Act::Set { source: constant(literal), when, rows: None };
    Edit { path: path.into(), act }
}

fn act(path: &str, act: Act) -> Edit {
    Edit { path: path.into(), act }
}

/// Edits that mean something for a signal, one sequence each.
fn known(signal: Signal) -> &'static [Edits] {
    static KNOWN: [OnceLock<Vec<Edits>>; SIGNALS.len()] = [const { OnceLock::new() }; 3];
    KNOWN[signal as usize].get_or_init(|| {
        let text = || Literal::Str("v".into());
        let pattern = |text| Regex::new(text).expect("a pattern");
        let mut single = vec![
            set(SET, text(), When::Always),
            set(SET, Literal::Int(-1), When::Missing),
            set(SET, Literal::Any(vec![0x2a, 2, 0x0a, 0].into()), When::Present),
            set("resource.attributes[\"service.name\"]", text(), When::Always),
            set("scope.name", text(), When::Always),
            set("scope.attributes[\"a\"]", Literal::Double(0.5), When::Missing),
            set("resource.schema_url", text(), When::Present),
            act(SET, Act::Delete),
            act("resource.attributes", Act::Delete),
            act("attributes", Act::DeleteMatching(pattern("^[a-k]"))),
            act("attributes", Act::Hash(Some(pattern("k")))),
            act(SET, Act::Hash(None)),
            act(SET, Act::Convert(Target::Int)),
            act(SET, Act::Convert(Target::Str)),
            act("attributes[\"a\"]", Act::Convert(Target::Double)),
            act(SET, Act::Extract(pattern("(?P<scheme>[a-z]+)://(?P<k>.)"))),
            act(SET, Act::Copy { from: "attributes[\"a\"]".into(), when: When::Always }),
            act(SET, Act::Copy { from: "resource.attributes[\"k\"]".into(), when: When::Always }),
            act(
                "resource.attributes[\"k\"]",
                Act::Copy {
                    from: "resource.attributes[\"service.name\"]".into(),
                    when: When::Missing,
                },
            ),
        ];
        single.extend(match signal {
            Signal::Traces => vec![
                set("name", text(), When::Always),
                set("kind", Literal::Int(3), When::Always),
                set("status.code", Literal::Int(2), When::Missing),
                act("status.message", Act::Delete),
                set("event.name", text(), When::Always),
                act("link.attributes", Act::Delete),
                set("trace_id", Literal::Bytes(vec![1; 16].into()), When::Always),
                act(SET, Act::Copy { from: "name".into(), when: When::Always }),
            ],
            Signal::Metrics => vec![
                set("metric.name", text(), When::Always),
                set("value_int", Literal::Int(7), When::Always),
                set("value_double", Literal::Double(7.5), When::Missing),
                set("count", Literal::Int(7), When::Always),
                act("exemplar.filtered_attributes", Act::Delete),
                act("metric.description", Act::Delete),
                act(SET, Act::Copy { from: "metric.name".into(), when: When::Always }),
            ],
            _ => vec![
                set("body", text(), When::Always),
                act("body", Act::Hash(None)),
                act("body", Act::Convert(Target::Str)),
                set("severity_number", Literal::Int(9), When::Missing),
                act("event_name", Act::Delete),
                act("body", Act::Copy { from: SET.into(), when: When::Always }),
                act(SET, Act::Copy { from: "body".into(), when: When::Present }),
            ],
        });
        let together = Edits::new(single.clone());
        single.into_iter().map(|edit| Edits::new(vec![edit])).chain([together]).collect()
    })
}

fn check(before: &Batch, edited: Result<Batch, EditError>) -> Option<Batch> {
    match edited {
        Ok(edited) => {
            assert_eq!(scan(edited.signal, &edited.data), Ok(before.items));
            assert_eq!(edited.items, before.items);
            Some(edited)
        }
        Err(EditError::Wire(error)) => {
            assert!(is_inside(&error, &before.data), "{error:?}");
            None
        }
        Err(EditError::Value(why)) => panic!("{why}"),
    }
}

/// The strings at a path; None where the value is none.
fn strings(batch: &Batch, path: &str) -> Option<Vec<Option<String>>> {
    let plan = Plan::compile(batch.signal, Level::Item, &[path]).expect("a path");
    let table = project(batch, &plan).ok()?;
    let column = table.columns().last().expect("one column").as_string_view();
    Some(column.iter().map(|text| text.map(String::from)).collect())
}

pub fn edit(input: &[u8]) {
    let Some(([signal, which, mask], data)) = steered(input) else { return };
    let signal = pick(&SIGNALS, signal);
    let Some(batch) = batch(signal, data) else { return };
    let nothing = batch.edit(&Edits::new(Vec::new()), None).expect("nothing can go wrong");
    assert_eq!(nothing.data, batch.data);
    let all = known(signal);
    let edits = &all[usize::from(which) % all.len()];
    let nobody = batch.edit(edits, Some(&Rows::Mask(vec![false; batch.items])));
    let edited = check(&batch, batch.edit(edits, None));
    let flags = (0..batch.items).map(|row| mask >> (row % 8) & 1 != 0).collect();
    check(&batch, batch.edit(edits, Some(&Rows::Mask(flags))));
    if let Some(nobody) = check(&batch, nobody)
        && edits.edits.iter().all(|edit| edit.path == SET)
    {
        assert_eq!(nobody.data, batch.data);
    }
    let (Some(edited), [only]) = (edited, &edits.edits[..]) else { return };
    match &only.act {
        Act::Set { when: When::Always, .. } | Act::Delete | Act::DeleteMatching(_) => {
            let again = check(&edited, edited.edit(edits, None)).expect("it was read before");
            assert_eq!(again.data, edited.data, "{only:?}");
        }
        _ => {}
    }
    if only.path == SET
        && let Some(values) = strings(&edited, SET)
    {
        match &only.act {
            Act::Set { when: When::Always, .. } => {
                assert!(values.iter().all(|value| value.as_deref() == Some("v")));
            }
            Act::Delete => assert!(values.iter().all(Option::is_none)),
            _ => {}
        }
    }
}
