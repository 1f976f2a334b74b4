//! Trace requests, encoded before the clock starts: spans of ten attributes, about 423 bytes each.

use bytes::Bytes;
use std::io::Write;

const ATTRIBUTES: [(&str, &[&str]); 7] = [
    ("http.request.method", &["GET", "GET", "GET", "POST", "PUT"]),
    ("http.route", &["/api/v1/items/{id}", "/api/v1/orders", "/api/v1/users/{id}/cart"]),
    ("server.address", &["shop-1.internal", "shop-2.internal", "shop-3.internal"]),
    ("network.protocol.version", &["1.1", "2"]),
    (
        "user_agent.original",
        &[
            "okhttp/4.12.0 (linux; arm64)",
            "python-requests/2.32.3 (pool)",
            "curl/8.5.0 (x86_64-linux)",
        ],
    ),
    ("url.scheme", &["https"]),
    ("db.operation.name", &["SELECT", "INSERT", "UPDATE"]),
];

/// A small generator with a fixed seed, so that every run sends the same bytes.
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// One `ExportTraceServiceRequest`; every span has its own trace id.
pub fn request(random: &mut Random, spans: usize) -> Vec<u8> {
    let mut resource = Vec::new();
    for (key, value) in [
        ("service.name", "checkout"),
        ("service.instance.id", "627cc493-f310-47de-96bd-71410b7dec09"),
        ("host.name", "node-17.eu-west-1.internal"),
        ("telemetry.sdk.language", "python"),
    ] {
        field(&mut resource, 1, &text_attribute(key, value));
    }
    let mut scope = Vec::new();
    let mut name = Vec::new();
    field(&mut name, 1, b"heliograph.bench");
    field(&mut scope, 1, &name);
    let start = 1_790_000_000_000_000_000_u64;
    for index in 0..spans {
        field(&mut scope, 2, &span(random, start + index as u64 * 1_000_003));
    }
    let mut resource_spans = Vec::new();
    field(&mut resource_spans, 1, &resource);
    field(&mut resource_spans, 2, &scope);
    let mut message = Vec::new();
    field(&mut message, 1, &resource_spans);
    message
}

fn span(random: &mut Random, start: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let trace_id = [random.draw().to_be_bytes(), random.draw().to_be_bytes()].concat();
    field(&mut out, 1, &trace_id);
    field(&mut out, 2, &random.draw().to_be_bytes());
    field(&mut out, 4, &random.draw().to_be_bytes());
    field(&mut out, 5, b"GET /api/v1/items/{id}");
    out.extend([6 << 3, 2]);
    for (number, time) in [(7, start), (8, start + random.draw() % 90_000_000)] {
        out.push(number << 3 | 1);
        out.extend(time.to_le_bytes());
    }
    for (key, values) in ATTRIBUTES {
        let value = values[random.draw() as usize % values.len()];
        field(&mut out, 9, &text_attribute(key, value));
    }
    let path = format!("/api/v1/items/{}", random.draw() % 100_000);
    field(&mut out, 9, &text_attribute("url.path", &path));
    for (key, value) in [("http.response.status_code", 200), ("enduser.id", random.draw() >> 24)] {
        let mut number = vec![3 << 3];
        varint(&mut number, value);
        field(&mut out, 9, &attribute(key, &number));
    }
    out
}

fn text_attribute(key: &str, value: &str) -> Vec<u8> {
    let mut text = Vec::new();
    field(&mut text, 1, value.as_bytes());
    attribute(key, &text)
}

fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    field(&mut out, 1, key.as_bytes());
    field(&mut out, 2, value);
    out
}

fn field(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Compress as an SDK would: `none`, `gzip` (level 6) or `zstd` (level 3).
pub fn compress(data: Vec<u8>, how: &str) -> std::io::Result<Vec<u8>> {
    match how {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            gzip.write_all(&data)?;
            gzip.finish()
        }
        "zstd" => zstd::encode_all(&data[..], 3),
        _ => Ok(data),
    }
}

/// Put gRPC's five-byte prefix before a message.
pub fn frame(data: &[u8], compressed: bool) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 5);
    out.push(u8::from(compressed));
    out.extend((data.len() as u32).to_be_bytes());
    out.extend_from_slice(data);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{Counter, Signal};

    #[test]
    fn a_request_has_its_spans_at_the_size_the_figures_are_for() {
        let data = request(&mut Random(1), 512);
        let mut counter = Counter::new(Signal::Traces);
        counter.feed(&data);
        assert_eq!(counter.items(), Some(512));
        let each = data.len() / 512;
        assert!((413..=433).contains(&each), "{each} bytes a span");
    }
}
