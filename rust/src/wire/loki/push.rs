//! A push request in the two forms that Loki takes.
//!
//! ```text
//! PushRequest   1 streams*   Stream
//! Stream        1 labels     {a="1", b="2"}        2 entries*   Entry
//! Entry         1 timestamp  {1 seconds, 2 nanos}  2 line       3 structuredMetadata* {1 name, 2 value}
//! ```

use super::super::proto::{close, open, put_bytes_field, put_varint_field};
use super::super::text::push_quoted;
use super::labels::selector;
use super::{Entry, Push};

const SECOND: u64 = 1_000_000_000;

/// The message `PushRequest`, compressed by nothing.
pub fn to_protobuf(push: &Push) -> Vec<u8> {
    let mut out = Vec::new();
    for stream in &push.streams {
        let field = open(&mut out, 1, 1 << 14);
        put_bytes_field(&mut out, 1, selector(&stream.labels).as_bytes());
        for entry in &stream.entries {
            put_entry(&mut out, entry);
        }
        close(&mut out, field);
    }
    out
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let field = open(out, 2, entry.line.len() + 16);
    let time = open(out, 1, 0);
    for (number, value) in [(1, entry.time / SECOND), (2, entry.time % SECOND)] {
        if value != 0 {
            put_varint_field(out, number, value);
        }
    }
    close(out, time);
    if !entry.line.is_empty() {
        put_bytes_field(out, 2, entry.line.as_bytes());
    }
    for (name, value) in &entry.metadata {
        let pair = open(out, 3, 0);
        put_bytes_field(out, 1, name.as_bytes());
        put_bytes_field(out, 2, value.as_bytes());
        close(out, pair);
    }
    close(out, field);
}

/// `{"streams":[{"stream":{…},"values":[["<ns>","line",{…}]]}]}`
pub fn to_json(push: &Push) -> Vec<u8> {
    let mut out = String::from("{\"streams\":[");
    for (index, stream) in push.streams.iter().enumerate() {
        out.push_str(if index == 0 { "{\"stream\":" } else { ",{\"stream\":" });
        push_object(&mut out, &stream.labels);
        out.push_str(",\"values\":[");
        for (index, entry) in stream.entries.iter().enumerate() {
            out.push_str(if index == 0 { "[\"" } else { ",[\"" });
            out.push_str(&entry.time.to_string());
            out.push_str("\",");
            push_quoted(&mut out, &entry.line);
            if !entry.metadata.is_empty() {
                out.push(',');
                push_object(&mut out, entry.metadata.iter().map(|(name, value)| (name, value)));
            }
            out.push(']');
        }
        out.push_str("]}");
    }
    out.push_str("]}");
    out.into_bytes()
}

fn push_object<'a>(out: &mut String, pairs: impl IntoIterator<Item = (&'a String, &'a String)>) {
    out.push('{');
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_quoted(out, name);
        out.push(':');
        push_quoted(out, value);
    }
    out.push('}');
}
