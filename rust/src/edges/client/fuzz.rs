//! Fuzzing of what the other side answers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::outcome::{Outcome, grpc_status};
use super::proxy::Proxy;
use super::{grpc, http as plain};
use crate::edges::status::Code;

/// `name: value` lines up to an empty one; what is no header is left out.
fn headers(text: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

fn check(outcome: &Outcome) {
    assert!(outcome.ok != (outcome.code != Code::Ok) && !(outcome.ok && outcome.retryable));
    assert!(!outcome.message.contains(['\n', '\r', '\x1b']), "{:?}", outcome.message);
    let far = std::time::Duration::from_secs(1 << 40);
    assert!(std::time::Instant::now().checked_add(far).is_some());
    assert!(outcome.retry_after.is_none_or(|delay| delay < far));
}

/// An answer over gRPC, one over HTTP, and a proxy's.
pub fn answer(input: &[u8]) {
    let Some(([high, low], data)) = input.split_first_chunk::<2>() else { return };
    let (headers, body) = headers(data);
    if let Some(status) = grpc_status(&headers) {
        check(&grpc::conclude(status, &headers, body));
    }
    let number = u16::from_be_bytes([*high, *low]);
    let status = StatusCode::from_u16(100 + number % 900).expect("in range");
    let body = bytes::Bytes::copy_from_slice(body);
    check(&plain::conclude(plain::Answer { status, headers, body }));
    proxy(data);
}

fn proxy(data: &[u8]) {
    let proxy = Proxy { host: "p".into(), port: 1, tls: false, auth: None };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut stream = tokio::io::join(data, tokio::io::sink());
    match runtime.block_on(proxy.connect(&mut stream, "a:1")) {
        Ok(()) => assert!(data.starts_with(b"HTTP/1.")),
        Err(why) => assert!(why.starts_with("proxy p: ") || why.starts_with("proxy p refuses: ")),
    }
}
