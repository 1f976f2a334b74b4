//! Metrics and their points as OTLP.

use super::exemplar::Exemplar;
use super::explicit::Explicit;
use super::exponential::{Buckets, Exponential};
use super::number::{Extremes, Number};
use super::series::{Aggregation, Series, Value};
use super::storage::Settings;
use crate::wire::proto::{self, Open, put_bytes_field, put_fixed64_field, put_varint_field};

const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

/// What a point stands for.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    pub start: u64,
    pub now: u64,
    pub delta: bool,
}

/// About how long a metric with so many series will be.
pub fn expected(settings: &Settings, series: usize) -> usize {
    let point = match &settings.aggregation {
        Aggregation::Sum { .. } | Aggregation::LastValue => 90,
        Aggregation::Explicit { bounds, .. } => 120 + 16 * bounds.len(),
        Aggregation::Exponential { .. } => 250,
    };
    series * point
}

/// Begin a metric; its points follow.
pub fn open_metric(out: &mut Vec<u8>, settings: &Settings, length: usize) -> Open {
    put_bytes_field(out, 1, settings.name.as_bytes());
    if !settings.description.is_empty() {
        put_bytes_field(out, 2, settings.description.as_bytes());
    }
    if !settings.unit.is_empty() {
        put_bytes_field(out, 3, settings.unit.as_bytes());
    }
    let data = match settings.aggregation {
        Aggregation::LastValue => 5,
        Aggregation::Sum { .. } => 7,
        Aggregation::Explicit { .. } => 9,
        Aggregation::Exponential { .. } => 10,
    };
    proto::open(out, data, length)
}

pub fn close_metric(out: &mut Vec<u8>, settings: &Settings, data: Open) {
    if !matches!(settings.aggregation, Aggregation::LastValue) {
        put_varint_field(out, 2, if settings.delta { DELTA } else { CUMULATIVE });
    }
    if let Aggregation::Sum { monotonic: true } = settings.aggregation {
        put_varint_field(out, 3, 1);
    }
    proto::close(out, data);
}

/// Append the point of a series, if there is something to report, and begin its next interval.
pub fn point(out: &mut Vec<u8>, settings: &Settings, series: &mut Series, at: Interval) -> bool {
    let mut length = series.attributes.len() + 40;
    let (mut start, attributes) = (at.start, &series.attributes);
    let point = match (&mut series.value, &settings.aggregation) {
        (Value::Sum { total }, _) => {
            let point = proto::open(out, 1, length);
            number(out, start, at.now, attributes, total.close());
            point
        }
        (Value::Observed { now, before }, _) => {
            let Some(total) = now.take() else { return false };
            let mut value = total;
            if at.delta {
                value = total.minus(*before);
                *before = total;
                series.start = at.now;
            }
            let point = proto::open(out, 1, length);
            number(out, start, at.now, attributes, value);
            point
        }
        (Value::Last(last), _) => {
            let Some(value) = *last else { return false };
            if settings.observed || at.delta {
                *last = None;
            }
            start = 0;
            let point = proto::open(out, 1, length);
            number(out, start, at.now, attributes, value);
            point
        }
        (Value::Explicit(value), Aggregation::Explicit { bounds, extremes }) => {
            length += 16 * bounds.len() + 60;
            let point = proto::open(out, 1, length);
            explicit(out, start, at.now, attributes, value, bounds, *extremes);
            point
        }
        (Value::Exponential(value), Aggregation::Exponential { extremes, .. }) => {
            let point = proto::open(out, 1, length + 2 * value.positive.counts.len());
            exponential(out, start, at.now, attributes, value, *extremes);
            point
        }
        _ => unreachable!("a series is made for its aggregation"),
    };
    if let Some(reservoir) = &mut series.reservoir {
        let field = match settings.aggregation {
            Aggregation::Sum { .. } | Aggregation::LastValue => 5,
            Aggregation::Explicit { .. } => 8,
            Aggregation::Exponential { .. } => 11,
        };
        reservoir.exemplars().for_each(|found| exemplar(out, field, found));
        reservoir.clear();
    }
    proto::close(out, point);
    true
}

fn number(out: &mut Vec<u8>, start: u64, now: u64, attributes: &[u8], value: Number) {
    if start != 0 {
        put_fixed64_field(out, 2, start);
    }
    put_fixed64_field(out, 3, now);
    match value {
        Number::Int(value) => put_fixed64_field(out, 6, value as u64),
        Number::Float(value) => put_double(out, 4, value),
    }
    out.extend_from_slice(attributes);
}

fn explicit(
    out: &mut Vec<u8>,
    start: u64,
    now: u64,
    attributes: &[u8],
    value: &mut Explicit,
    bounds: &[f64],
    extremes: bool,
) {
    put_fixed64_field(out, 2, start);
    put_fixed64_field(out, 3, now);
    put_fixed64_field(out, 4, value.count);
    put_double(out, 5, value.sum.close().as_f64());
    let counts = proto::open(out, 6, 8 * value.counts.len());
    value.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
    proto::close(out, counts);
    if !bounds.is_empty() {
        let field = proto::open(out, 7, 8 * bounds.len());
        bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
        proto::close(out, field);
    }
    out.extend_from_slice(attributes);
    if extremes {
        put_extremes(out, 11, value.extremes);
    }
}

fn exponential(
    out: &mut Vec<u8>,
    start: u64,
    now: u64,
    attributes: &[u8],
    value: &mut Exponential,
    extremes: bool,
) {
    out.extend_from_slice(attributes);
    put_fixed64_field(out, 2, start);
    put_fixed64_field(out, 3, now);
    put_fixed64_field(out, 4, value.count);
    put_double(out, 5, value.sum.close().as_f64());
    put_varint_field(out, 6, proto::zigzag(value.scale()).into());
    put_fixed64_field(out, 7, value.zeros);
    put_buckets(out, 8, &value.positive);
    put_buckets(out, 9, &value.negative);
    if extremes {
        put_extremes(out, 12, value.extremes);
    }
}

fn put_buckets(out: &mut Vec<u8>, field: u32, buckets: &Buckets) {
    if buckets.counts.is_empty() {
        return;
    }
    let message = proto::open(out, field, buckets.counts.len() + 4);
    put_varint_field(out, 1, proto::zigzag(buckets.start).into());
    let counts = proto::open(out, 2, buckets.counts.len());
    buckets.counts.iter().for_each(|&count| proto::put_varint(out, count));
    proto::close(out, counts);
    proto::close(out, message);
}

fn put_extremes(out: &mut Vec<u8>, field: u32, extremes: Extremes) {
    put_double(out, field, extremes.min);
    put_double(out, field + 1, extremes.max);
}

pub fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_fixed64_field(out, field, value.to_bits());
}

fn exemplar(out: &mut Vec<u8>, field: u32, exemplar: &Exemplar) {
    let message = proto::open(out, field, 60 + exemplar.filtered.len());
    put_fixed64_field(out, 2, exemplar.sample.time);
    match exemplar.value {
        Number::Int(value) => put_fixed64_field(out, 6, value as u64),
        Number::Float(value) => put_double(out, 3, value),
    }
    if let Some((trace, span)) = &exemplar.sample.span {
        put_bytes_field(out, 4, span);
        put_bytes_field(out, 5, trace);
    }
    out.extend_from_slice(&exemplar.filtered);
    proto::close(out, message);
}
