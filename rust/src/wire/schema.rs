//! OTLP's messages as tables: each field's number, names, type, cardinality and level. The one
//! place that knows the protocol; scan, paths, projection, edits and JSON read from here.
//!
//! Source: opentelemetry-proto 1.10, without profiles.

use super::Signal;
use super::proto::WireType;

/// The rows that a batch can be looked at in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Resource,
    Scope,
    Metric,
    /// Span, data point or log record.
    Item,
    Event,
    Link,
    Exemplar,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    Enum,
    Int32,
    Uint32,
    Sint32,
    Int64,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    String,
    Bytes,
    /// Bytes that JSON writes in hexadecimal: trace and span ids.
    Id,
    Message(&'static Message),
}

impl Kind {
    /// How one value of this kind stands on the wire.
    pub const fn wire_type(self) -> WireType {
        match self {
            Kind::Bool
            | Kind::Enum
            | Kind::Int32
            | Kind::Uint32
            | Kind::Sint32
            | Kind::Int64
            | Kind::Uint64 => WireType::Varint,
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => WireType::Fixed64,
            Kind::Fixed32 => WireType::Fixed32,
            Kind::String | Kind::Bytes | Kind::Id | Kind::Message(_) => WireType::Bytes,
        }
    }

    /// Repeated values of this kind may stand packed in one length-delimited field.
    pub const fn packs(self) -> bool {
        !matches!(self.wire_type(), WireType::Bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// The last one wins, messages merge; absent means the default.
    One,
    /// As One, but absent and default are different things.
    Optional,
    /// One of the message's only oneof: a later member clears an earlier one.
    Oneof,
    Many,
}

#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub number: u32,
    pub name: &'static str,
    pub json: &'static str,
    pub kind: Kind,
    pub cardinality: Cardinality,
    /// Each element of this repeated field is a row of this level.
    pub level: Option<Level>,
}

#[derive(Debug)]
pub struct Message {
    pub name: &'static str,
    /// In order of their numbers.
    pub fields: &'static [Field],
}

impl Message {
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    pub fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub fn json_named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.json == name)
    }

    /// The messages of the oneof, with their numbers.
    pub fn children_of_oneof(&self) -> impl Iterator<Item = (u32, &'static Message)> {
        self.fields.iter().filter_map(|field| match (field.kind, field.cardinality) {
            (Kind::Message(message), Cardinality::Oneof) => Some((field.number, message)),
            _ => None,
        })
    }

    /// Whether absent and default differ in the field at the end of these field numbers.
    pub fn tells_absence(&'static self, fields: &[u32]) -> bool {
        let Some((number, rest)) = fields.split_first() else { return false };
        match self.field(*number) {
            Some(Field { kind: Kind::Message(inner), .. }) => inner.tells_absence(rest),
            Some(field) => {
                matches!(field.cardinality, Cardinality::Optional | Cardinality::Oneof)
            }
            None => false,
        }
    }

    /// The fields whose elements are rows.
    pub fn children(&self) -> impl Iterator<Item = (&'static Field, &'static Message, Level)> {
        self.fields.iter().filter_map(|field| match (field.kind, field.level) {
            (Kind::Message(message), Some(level)) => Some((field, message, level)),
            _ => None,
        })
    }
}

impl Signal {
    /// The message that a batch of this signal is; None for profiles, which are not looked into.
    pub fn request(self) -> Option<&'static Message> {
        match self {
            Signal::Traces => Some(&TRACES),
            Signal::Metrics => Some(&METRICS),
            Signal::Logs => Some(&LOGS),
            Signal::Profiles => None,
        }
    }
}

const fn one(number: u32, name: &'static str, json: &'static str, kind: Kind) -> Field {
    Field { number, name, json, kind, cardinality: Cardinality::One, level: None }
}

const fn optional(number: u32, name: &'static str, json: &'static str, kind: Kind) -> Field {
    Field { cardinality: Cardinality::Optional, ..one(number, name, json, kind) }
}

const fn oneof(number: u32, name: &'static str, json: &'static str, kind: Kind) -> Field {
    Field { cardinality: Cardinality::Oneof, ..one(number, name, json, kind) }
}

const fn many(number: u32, name: &'static str, json: &'static str, kind: Kind) -> Field {
    Field { cardinality: Cardinality::Many, ..one(number, name, json, kind) }
}

const fn rows(
    number: u32,
    name: &'static str,
    json: &'static str,
    message: &'static Message,
    level: Level,
) -> Field {
    Field { level: Some(level), ..many(number, name, json, Kind::Message(message)) }
}

const fn attributes(number: u32) -> Field {
    many(number, "attributes", "attributes", Kind::Message(&KEY_VALUE))
}

const fn dropped_attributes(number: u32) -> Field {
    one(number, "dropped_attributes_count", "droppedAttributesCount", Kind::Uint32)
}

const fn schema_url(number: u32) -> Field {
    one(number, "schema_url", "schemaUrl", Kind::String)
}

const fn start_time(number: u32) -> Field {
    one(number, "start_time_unix_nano", "startTimeUnixNano", Kind::Fixed64)
}

const fn time(number: u32) -> Field {
    one(number, "time_unix_nano", "timeUnixNano", Kind::Fixed64)
}

const fn trace_id(number: u32) -> Field {
    one(number, "trace_id", "traceId", Kind::Id)
}

const fn span_id(number: u32) -> Field {
    one(number, "span_id", "spanId", Kind::Id)
}

const fn temporality(number: u32) -> Field {
    one(number, "aggregation_temporality", "aggregationTemporality", Kind::Enum)
}

const fn points(message: &'static Message) -> Field {
    rows(1, "data_points", "dataPoints", message, Level::Item)
}

const fn exemplars(number: u32) -> Field {
    rows(number, "exemplars", "exemplars", &EXEMPLAR, Level::Exemplar)
}

// Common.

pub static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        oneof(1, "string_value", "stringValue", Kind::String),
        oneof(2, "bool_value", "boolValue", Kind::Bool),
        oneof(3, "int_value", "intValue", Kind::Int64),
        oneof(4, "double_value", "doubleValue", Kind::Double),
        oneof(5, "array_value", "arrayValue", Kind::Message(&ARRAY_VALUE)),
        oneof(6, "kvlist_value", "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
        oneof(7, "bytes_value", "bytesValue", Kind::Bytes),
        oneof(8, "string_value_strindex", "stringValueStrindex", Kind::Int32),
    ],
};

pub static ARRAY_VALUE: Message = Message {
    name: "ArrayValue",
    fields: &[many(1, "values", "values", Kind::Message(&ANY_VALUE))],
};

pub static KEY_VALUE_LIST: Message = Message {
    name: "KeyValueList",
    fields: &[many(1, "values", "values", Kind::Message(&KEY_VALUE))],
};

pub static KEY_VALUE: Message = Message {
    name: "KeyValue",
    fields: &[
        one(1, "key", "key", Kind::String),
        one(2, "value", "value", Kind::Message(&ANY_VALUE)),
        one(3, "key_strindex", "keyStrindex", Kind::Int32),
    ],
};

pub static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        schema_url(1),
        one(2, "type", "type", Kind::String),
        many(3, "id_keys", "idKeys", Kind::String),
        many(4, "description_keys", "descriptionKeys", Kind::String),
    ],
};

pub static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[
        attributes(1),
        dropped_attributes(2),
        many(3, "entity_refs", "entityRefs", Kind::Message(&ENTITY_REF)),
    ],
};

pub static SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[
        one(1, "name", "name", Kind::String),
        one(2, "version", "version", Kind::String),
        attributes(3),
        dropped_attributes(4),
    ],
};

// Traces.

pub static TRACES: Message = Message {
    name: "ExportTraceServiceRequest",
    fields: &[rows(1, "resource_spans", "resourceSpans", &RESOURCE_SPANS, Level::Resource)],
};

pub static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        one(1, "resource", "resource", Kind::Message(&RESOURCE)),
        rows(2, "scope_spans", "scopeSpans", &SCOPE_SPANS, Level::Scope),
        schema_url(3),
    ],
};

pub static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[
        one(1, "scope", "scope", Kind::Message(&SCOPE)),
        rows(2, "spans", "spans", &SPAN, Level::Item),
        schema_url(3),
    ],
};

pub static SPAN: Message = Message {
    name: "Span",
    fields: &[
        trace_id(1),
        span_id(2),
        one(3, "trace_state", "traceState", Kind::String),
        one(4, "parent_span_id", "parentSpanId", Kind::Id),
        one(5, "name", "name", Kind::String),
        one(6, "kind", "kind", Kind::Enum),
        start_time(7),
        one(8, "end_time_unix_nano", "endTimeUnixNano", Kind::Fixed64),
        attributes(9),
        dropped_attributes(10),
        rows(11, "events", "events", &EVENT, Level::Event),
        one(12, "dropped_events_count", "droppedEventsCount", Kind::Uint32),
        rows(13, "links", "links", &LINK, Level::Link),
        one(14, "dropped_links_count", "droppedLinksCount", Kind::Uint32),
        one(15, "status", "status", Kind::Message(&STATUS)),
        one(16, "flags", "flags", Kind::Fixed32),
    ],
};

pub static EVENT: Message = Message {
    name: "Span.Event",
    fields: &[time(1), one(2, "name", "name", Kind::String), attributes(3), dropped_attributes(4)],
};

pub static LINK: Message = Message {
    name: "Span.Link",
    fields: &[
        trace_id(1),
        span_id(2),
        one(3, "trace_state", "traceState", Kind::String),
        attributes(4),
        dropped_attributes(5),
        one(6, "flags", "flags", Kind::Fixed32),
    ],
};

pub static STATUS: Message = Message {
    name: "Status",
    fields: &[one(2, "message", "message", Kind::String), one(3, "code", "code", Kind::Enum)],
};

// Metrics.

pub static METRICS: Message = Message {
    name: "ExportMetricsServiceRequest",
    fields: &[rows(1, "resource_metrics", "resourceMetrics", &RESOURCE_METRICS, Level::Resource)],
};

pub static RESOURCE_METRICS: Message = Message {
    name: "ResourceMetrics",
    fields: &[
        one(1, "resource", "resource", Kind::Message(&RESOURCE)),
        rows(2, "scope_metrics", "scopeMetrics", &SCOPE_METRICS, Level::Scope),
        schema_url(3),
    ],
};

pub static SCOPE_METRICS: Message = Message {
    name: "ScopeMetrics",
    fields: &[
        one(1, "scope", "scope", Kind::Message(&SCOPE)),
        rows(2, "metrics", "metrics", &METRIC, Level::Metric),
        schema_url(3),
    ],
};

/// The members of the oneof hold the data points.
pub static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        one(1, "name", "name", Kind::String),
        one(2, "description", "description", Kind::String),
        one(3, "unit", "unit", Kind::String),
        oneof(5, "gauge", "gauge", Kind::Message(&GAUGE)),
        oneof(7, "sum", "sum", Kind::Message(&SUM)),
        oneof(9, "histogram", "histogram", Kind::Message(&HISTOGRAM)),
        oneof(
            10,
            "exponential_histogram",
            "exponentialHistogram",
            Kind::Message(&EXPONENTIAL_HISTOGRAM),
        ),
        oneof(11, "summary", "summary", Kind::Message(&SUMMARY)),
        many(12, "metadata", "metadata", Kind::Message(&KEY_VALUE)),
    ],
};

pub static GAUGE: Message = Message { name: "Gauge", fields: &[points(&NUMBER_POINT)] };

pub static SUM: Message = Message {
    name: "Sum",
    fields: &[
        points(&NUMBER_POINT),
        temporality(2),
        one(3, "is_monotonic", "isMonotonic", Kind::Bool),
    ],
};

pub static HISTOGRAM: Message =
    Message { name: "Histogram", fields: &[points(&HISTOGRAM_POINT), temporality(2)] };

pub static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[points(&EXPONENTIAL_HISTOGRAM_POINT), temporality(2)],
};

pub static SUMMARY: Message = Message { name: "Summary", fields: &[points(&SUMMARY_POINT)] };

pub static NUMBER_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        start_time(2),
        time(3),
        oneof(4, "as_double", "asDouble", Kind::Double),
        exemplars(5),
        oneof(6, "as_int", "asInt", Kind::Sfixed64),
        attributes(7),
        one(8, "flags", "flags", Kind::Uint32),
    ],
};

pub static HISTOGRAM_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        start_time(2),
        time(3),
        one(4, "count", "count", Kind::Fixed64),
        optional(5, "sum", "sum", Kind::Double),
        many(6, "bucket_counts", "bucketCounts", Kind::Fixed64),
        many(7, "explicit_bounds", "explicitBounds", Kind::Double),
        exemplars(8),
        attributes(9),
        one(10, "flags", "flags", Kind::Uint32),
        optional(11, "min", "min", Kind::Double),
        optional(12, "max", "max", Kind::Double),
    ],
};

pub static EXPONENTIAL_HISTOGRAM_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        attributes(1),
        start_time(2),
        time(3),
        one(4, "count", "count", Kind::Fixed64),
        optional(5, "sum", "sum", Kind::Double),
        one(6, "scale", "scale", Kind::Sint32),
        one(7, "zero_count", "zeroCount", Kind::Fixed64),
        one(8, "positive", "positive", Kind::Message(&BUCKETS)),
        one(9, "negative", "negative", Kind::Message(&BUCKETS)),
        one(10, "flags", "flags", Kind::Uint32),
        exemplars(11),
        optional(12, "min", "min", Kind::Double),
        optional(13, "max", "max", Kind::Double),
        one(14, "zero_threshold", "zeroThreshold", Kind::Double),
    ],
};

pub static BUCKETS: Message = Message {
    name: "Buckets",
    fields: &[
        one(1, "offset", "offset", Kind::Sint32),
        many(2, "bucket_counts", "bucketCounts", Kind::Uint64),
    ],
};

pub static SUMMARY_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        start_time(2),
        time(3),
        one(4, "count", "count", Kind::Fixed64),
        one(5, "sum", "sum", Kind::Double),
        many(6, "quantile_values", "quantileValues", Kind::Message(&VALUE_AT_QUANTILE)),
        attributes(7),
        one(8, "flags", "flags", Kind::Uint32),
    ],
};

pub static VALUE_AT_QUANTILE: Message = Message {
    name: "ValueAtQuantile",
    fields: &[one(1, "quantile", "quantile", Kind::Double), one(2, "value", "value", Kind::Double)],
};

pub static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        time(2),
        oneof(3, "as_double", "asDouble", Kind::Double),
        span_id(4),
        trace_id(5),
        oneof(6, "as_int", "asInt", Kind::Sfixed64),
        many(7, "filtered_attributes", "filteredAttributes", Kind::Message(&KEY_VALUE)),
    ],
};

// Logs.

pub static LOGS: Message = Message {
    name: "ExportLogsServiceRequest",
    fields: &[rows(1, "resource_logs", "resourceLogs", &RESOURCE_LOGS, Level::Resource)],
};

pub static RESOURCE_LOGS: Message = Message {
    name: "ResourceLogs",
    fields: &[
        one(1, "resource", "resource", Kind::Message(&RESOURCE)),
        rows(2, "scope_logs", "scopeLogs", &SCOPE_LOGS, Level::Scope),
        schema_url(3),
    ],
};

pub static SCOPE_LOGS: Message = Message {
    name: "ScopeLogs",
    fields: &[
        one(1, "scope", "scope", Kind::Message(&SCOPE)),
        rows(2, "log_records", "logRecords", &LOG_RECORD, Level::Item),
        schema_url(3),
    ],
};

pub static LOG_RECORD: Message = Message {
    name: "LogRecord",
    fields: &[
        time(1),
        one(2, "severity_number", "severityNumber", Kind::Enum),
        one(3, "severity_text", "severityText", Kind::String),
        one(5, "body", "body", Kind::Message(&ANY_VALUE)),
        attributes(6),
        dropped_attributes(7),
        one(8, "flags", "flags", Kind::Fixed32),
        trace_id(9),
        span_id(10),
        one(11, "observed_time_unix_nano", "observedTimeUnixNano", Kind::Fixed64),
        one(12, "event_name", "eventName", Kind::String),
    ],
};
