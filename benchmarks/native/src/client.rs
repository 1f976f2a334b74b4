//! An OTLP client of one request at a time, which tells apart what may become of a request.

use crate::{CONNECTION_WINDOW, Error, GRPC_TRACES, HTTP_TRACES, MAX_FRAME, STREAM_WINDOW};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use tokio::net::TcpStream;

/// The longest answer that rejects nothing: an empty `partial_success`, which Go writes.
const WHOLE: usize = 2;

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    Accepted,
    /// "Try again", perhaps after so long.
    Refused(String, Option<Duration>),
    /// Never to be sent again.
    Rejected(String),
    /// It may have been taken or not: the connection or the stream ended early.
    Unanswered(String),
    /// It was certainly not taken, because it was never sent.
    Unsent(String),
}

/// Where requests go, and how they are labelled.
pub struct Target {
    pub address: String,
    pub grpc: bool,
    pub encoding: Option<&'static str>,
    /// Sent as `grpc-timeout`.
    pub deadline: Option<Duration>,
}

/// One connection. A clone shares it over gRPC; over HTTP it carries one request at a time.
pub enum Sender {
    Grpc(h2::client::SendRequest<Bytes>),
    Http(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
}

impl Target {
    pub async fn connect(&self) -> Result<Sender, Error> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        if !self.grpc {
            let io = hyper_util::rt::TokioIo::new(tcp);
            let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            return Ok(Sender::Http(sender));
        }
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .handshake(tcp)
            .await?;
        tokio::spawn(connection);
        Ok(Sender::Grpc(sender))
    }

    /// Send a body as it is; over gRPC it begins with gRPC's prefix.
    pub async fn send(&self, sender: &mut Sender, body: Bytes) -> Answer {
        match sender {
            Sender::Grpc(sender) => self.send_grpc(sender, body).await,
            Sender::Http(sender) => self.send_http(sender, body).await,
        }
    }

    async fn send_grpc(&self, sender: &mut h2::client::SendRequest<Bytes>, body: Bytes) -> Answer {
        let mut head = http::Request::post(format!("http://{}{GRPC_TRACES}", self.address))
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(encoding) = self.encoding {
            head = head.header("grpc-encoding", encoding);
        }
        if let Some(deadline) = self.deadline {
            head = head.header("grpc-timeout", format!("{}m", deadline.as_millis()));
        }
        let head = match head.body(()) {
            Ok(head) => head,
            Err(error) => return Answer::Unsent(error.to_string()),
        };
        let mut ready = match sender.clone().ready().await {
            Ok(ready) => ready,
            Err(error) => return Answer::Unsent(error.to_string()),
        };
        let (response, mut stream) = match ready.send_request(head, false) {
            Ok(begun) => begun,
            Err(error) => return Answer::Unsent(error.to_string()),
        };
        // A stream that was reset says why where its answer is awaited.
        let _ = stream.send_data(body, true);
        match read_grpc(response).await {
            Ok(answer) => answer,
            Err(error) => Answer::Unanswered(error.to_string()),
        }
    }

    async fn send_http(
        &self,
        sender: &mut hyper::client::conn::http1::SendRequest<Full<Bytes>>,
        body: Bytes,
    ) -> Answer {
        let mut head = http::Request::post(HTTP_TRACES)
            .header("host", &self.address)
            .header("content-type", "application/x-protobuf");
        if let Some(encoding) = self.encoding {
            head = head.header("content-encoding", encoding);
        }
        let request = match head.body(Full::new(body)) {
            Ok(request) => request,
            Err(error) => return Answer::Unsent(error.to_string()),
        };
        if let Err(error) = sender.ready().await {
            return Answer::Unsent(error.to_string());
        }
        match read_http(sender.send_request(request)).await {
            Ok(answer) => answer,
            Err(error) => Answer::Unanswered(error.to_string()),
        }
    }
}

async fn read_grpc(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let response = response.await?;
    let head = response.headers().clone();
    let mut incoming = response.into_body();
    let mut length = 0;
    let mut compressed = false;
    while let Some(chunk) = incoming.data().await {
        let chunk = chunk?;
        compressed |= length == 0 && chunk.first() == Some(&1);
        length += chunk.len();
        incoming.flow_control().release_capacity(chunk.len()).ok();
    }
    let late = incoming.trailers().await?;
    let trailers = late.as_ref().filter(|late| late.contains_key("grpc-status")).unwrap_or(&head);
    let status = trailers.get("grpc-status").and_then(|value| value.to_str().ok());
    Ok(match status.and_then(|text| text.parse().ok()) {
        // Go answers as it was asked; what it compressed is not looked into.
        Some(0) if compressed || length <= 5 + WHOLE => Answer::Accepted,
        Some(0) => Answer::Rejected("partial success".into()),
        Some(code) => grpc_failure(code, told_by_grpc(trailers)),
        None => Answer::Unanswered("no grpc-status".into()),
    })
}

/// What an SDK makes of a status: RESOURCE_EXHAUSTED may be tried again only when a delay is told.
fn grpc_failure(code: u32, told: Option<Duration>) -> Answer {
    let reason = format!("grpc-status {code}");
    match code {
        1 | 4 | 10 | 11 | 14 | 15 => Answer::Refused(reason, told),
        8 if told.is_some() => Answer::Refused(reason, told),
        _ => Answer::Rejected(reason),
    }
}

async fn read_http(
    response: impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>>,
) -> Result<Answer, hyper::Error> {
    let response = response.await?;
    let status = response.status().as_u16();
    let told = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let told = told.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let length = response.into_body().collect().await?.to_bytes().len();
    Ok(match status {
        200 if length <= WHOLE => Answer::Accepted,
        200 => Answer::Rejected("partial success".into()),
        429 | 502 | 503 | 504 => Answer::Refused(format!("http {status}"), told),
        _ => Answer::Rejected(format!("http {status}")),
    })
}

/// The delay of a `google.rpc.RetryInfo` in the details of a status.
fn told_by_grpc(trailers: &HeaderMap) -> Option<Duration> {
    let status = unbase64(trailers.get("grpc-status-details-bin")?.as_bytes())?;
    for any in fields(&status).filter(|field| field.0 == 3) {
        let is_info = fields(any.1)
            .any(|(number, value)| number == 1 && value.ends_with(b"google.rpc.RetryInfo"));
        let info = fields(any.1).find(|field| field.0 == 2).map(|field| field.1);
        if let Some(info) = info.filter(|_| is_info) {
            let delay = fields(info).find(|field| field.0 == 1).map_or(&b""[..], |field| field.1);
            return Some(duration(delay));
        }
    }
    None
}

/// A `google.protobuf.Duration`.
fn duration(message: &[u8]) -> Duration {
    let number = |wanted| {
        let field = fields(message).find(|field| field.0 == wanted);
        field.and_then(|field| varint(field.1)).map_or(0, |(value, _)| value)
    };
    Duration::new(number(1), number(2) as u32)
}

/// The fields of a message: number and content, a varint's content being its bytes.
fn fields(message: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let (tag, length) = varint(rest)?;
        rest = &rest[length..];
        let (before, size) = match tag & 7 {
            0 => (0, varint(rest)?.1),
            1 => (0, 8),
            2 => varint(rest).map(|(size, length)| (length, size as usize))?,
            5 => (0, 4),
            _ => return None,
        };
        let value = rest.get(before..before.checked_add(size)?)?;
        rest = &rest[before + size..];
        Some((tag >> 3, value))
    })
}

/// A varint and its length.
fn varint(data: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in data.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Base64 without padding, as `-bin` headers want it.
pub fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            out.push(ALPHABET[(group >> (18 - 6 * digit)) as usize & 63] as char);
        }
    }
    out
}

fn unbase64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut have) = (0_u32, 0);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        (bits, have) = (bits << 6 | u32::from(digit), have + 6);
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_delay_is_read_from_the_details() {
        let status =
            b"\x08\x0e\x12\x04busy\x1a\x34\x0a\x28type.googleapis.com/google.rpc.RetryInfo\
            \x12\x08\x0a\x06\x08\x01\x10\x80\xe8\x07";
        assert_eq!(fields(status).count(), 3);
        let mut trailers = HeaderMap::new();
        assert_eq!(told_by_grpc(&trailers), None);
        let text = base64(status);
        assert_eq!(unbase64(text.as_bytes()).as_deref(), Some(&status[..]));
        trailers.insert("grpc-status-details-bin", http::HeaderValue::from_str(&text).unwrap());
        assert_eq!(told_by_grpc(&trailers), Some(Duration::new(1, 128_000)));
    }

    #[test]
    fn resource_exhausted_passes_only_with_a_delay() {
        assert!(matches!(grpc_failure(8, None), Answer::Rejected(_)));
        assert!(matches!(grpc_failure(8, Some(Duration::ZERO)), Answer::Refused(..)));
        assert!(matches!(grpc_failure(14, None), Answer::Refused(..)));
        assert!(matches!(grpc_failure(3, None), Answer::Rejected(_)));
    }
}
