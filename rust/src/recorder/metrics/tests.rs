use std::sync::Arc;

use super::attributes::{Attributes, Keep};
use super::exemplar::Policy;
use super::exponential::{Exponential, Mapping};
use super::number::Number;
use super::reader::Reader;
use super::series::Aggregation;
use super::storage::{Clock, Settings, Storage};
use crate::recorder::any::Any;
use crate::wire::Signal;
use crate::wire::scan;

fn attributes(pairs: &[(&str, Any<'_>)]) -> Attributes {
    let mut made = Attributes::default();
    pairs.iter().for_each(|(key, value)| made.push(key, *value));
    made
}

fn storage(aggregation: Aggregation, limit: usize) -> Arc<Storage> {
    Arc::new(Storage::new(Settings {
        name: "requests".into(),
        description: String::new(),
        unit: String::new(),
        aggregation,
        delta: false,
        observed: false,
        keep: Keep::All,
        limit,
        exemplars: Policy::Fixed(1),
        clock: Arc::new(Clock::default()),
    }))
}

#[test]
fn attributes_are_equal_in_any_order_and_by_type() {
    let one = attributes(&[("a", Any::Int(1)), ("b", Any::Str("x"))]);
    let other = attributes(&[("b", Any::Str("x")), ("a", Any::Int(1))]);
    assert_eq!(one.hash(&Keep::All), other.hash(&Keep::All));
    assert!(other.equal(&Keep::All, &one.encoded(&Keep::All, 0x3a)));
    for different in [Any::Double(1.0), Any::Bool(true), Any::Int(2), Any::Null] {
        let different = attributes(&[("a", different), ("b", Any::Str("x"))]);
        assert_ne!(one.hash(&Keep::All), different.hash(&Keep::All));
        assert!(!different.equal(&Keep::All, &one.encoded(&Keep::All, 0x3a)));
    }
    let fewer = attributes(&[("a", Any::Int(1))]);
    assert!(!fewer.equal(&Keep::All, &one.encoded(&Keep::All, 0x3a)));
    assert!(!one.equal(&Keep::All, &fewer.encoded(&Keep::All, 0x3a)));
}

#[test]
fn what_is_kept_and_what_is_not() {
    let found = attributes(&[("a", Any::Int(1)), ("b", Any::Int(2)), ("c", Any::Int(3))]);
    let only = Keep::Only(vec!["b".into()]);
    let except = Keep::Except(vec!["b".into()]);
    let b = attributes(&[("b", Any::Int(2))]);
    assert_eq!(found.encoded(&only, 0x0a), b.encoded(&Keep::All, 0x0a));
    assert_eq!(found.filtered(&except, 0x0a), b.encoded(&Keep::All, 0x0a));
    assert_eq!(found.hash(&only), b.hash(&Keep::All));
    assert!(b.equal(&Keep::All, &found.encoded(&only, 0x3a)));
}

#[test]
fn patterns_of_keys() {
    let like = |pattern: &str| Keep::Like(vec![vec![pattern.into()]], Vec::new());
    let is_kept = |key: &str, keep: &Keep| {
        let found = attributes(&[(key, Any::Int(1))]);
        !found.encoded(keep, 0x0a).is_empty()
    };
    for (pattern, key, kept) in [
        ("http.route", "http.route", true),
        ("http.route", "http.routes", false),
        ("http.*", "http.route", true),
        ("http.*", "http.", true),
        ("http.*", "https.route", false),
        ("*", "anything", true),
        ("?", "a", true),
        ("?", "ä", true),
        ("?", "ab", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*.id", "user.id.id", true),
        ("*.id", "user.idx", false),
        ("*a*b*", "xaybz", true),
        ("*a*b*", "xbya", false),
        ("a**", "a", true),
        ("[ab]", "a", false),
        ("[ab]", "[ab]", true),
    ] {
        assert_eq!(is_kept(key, &like(pattern)), kept, "{pattern} {key}");
    }
    let wanted = vec![vec!["a*".into(), "b".into()], vec!["*z".into(), "b".into()]];
    let several = Keep::Like(wanted, vec!["*x*".into()]);
    for (key, kept) in [("az", true), ("b", true), ("a", false), ("z", false), ("axz", false)] {
        assert_eq!(is_kept(key, &several), kept, "{key}");
    }
    assert!(is_kept("a", &Keep::Like(Vec::new(), Vec::new())));
}

#[test]
fn a_later_value_of_a_key_wins() {
    let mut found = attributes(&[("a", Any::Int(1)), ("b", Any::Int(2)), ("a", Any::Int(3))]);
    found.deduplicate();
    let expected = attributes(&[("a", Any::Int(3)), ("b", Any::Int(2))]);
    assert_eq!(found.encoded(&Keep::All, 0x3a), expected.encoded(&Keep::All, 0x3a));
}

#[test]
fn hashes_that_collide_are_told_apart() {
    // Whatever the hash, each set of attributes has a series of its own, up to the limit.
    let storage = storage(Aggregation::Sum { monotonic: true }, 1000);
    for i in (0..1500).chain(0..1500) {
        storage.record(Number::Int(1), &attributes(&[("i", Any::Int(i))]), None);
    }
    let reader = Reader::default();
    let scope = reader.add_scope(Vec::new(), String::new());
    reader.add(scope, storage);
    let (batch, scopes) = reader.collect(b"", "", 7).expect("there are points");
    assert_eq!((batch.items, scopes), (1001, vec![0]));
    assert_eq!(scan(Signal::Metrics, &batch.data).expect("it is well-formed"), 1001);
}

#[test]
fn indexes_of_the_mapping_hold_their_values() {
    for scale in [-10, -4, -1, 0, 1, 3, 8, 20] {
        let mapping = Mapping::new(scale);
        let base = 2f64.powf(2f64.powi(-scale));
        for exponent in -20..20 {
            let power = 2f64.powi(exponent);
            // Upper bounds are inclusive: a power of two is the last value of its bucket.
            if scale >= 0 {
                assert_eq!(mapping.index(power) + 1, mapping.index(power * (1.0 + 1e-9)));
            }
            let value = 1.37 * power;
            if scale < 10 {
                let index = f64::from(mapping.index(value));
                assert!(base.powf(index) < value && value <= base.powf(index + 1.0));
            }
        }
        assert!(mapping.index(f64::MIN_POSITIVE / 8.0) <= mapping.index(f64::MIN_POSITIVE * 1.1));
        assert!(mapping.index(f64::MAX) >= mapping.index(f64::MAX / 4.0));
    }
}

#[test]
fn buckets_never_outgrow_their_size() {
    for size in [2, 3, 8, 160] {
        let mut histogram = Exponential::new(20);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let value = 2f64.powf(random.f64() * 2000.0 - 1000.0);
            histogram.record(size, Number::Float(if random.bool() { value } else { -value }));
        }
        let counted = |buckets: &super::exponential::Buckets| buckets.counts.iter().sum::<u64>();
        assert!(histogram.positive.counts.len() <= size as usize);
        assert!(histogram.negative.counts.len() <= size as usize);
        assert_eq!(counted(&histogram.positive) + counted(&histogram.negative), 2000);
    }
}
