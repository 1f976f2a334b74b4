//! OTLP over gRPC: unary calls framed by hand, the payload's bytes never copied.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use tokio::time::{Instant, timeout_at};

use super::super::admission::admission;
use super::super::compress::{Coding, Compressor, decompress};
use super::super::status::Code;
use super::channel::Channel;
use super::connection::{Connection, explain, is_unprocessed};
use super::outcome::{Outcome, code_of_http, grpc_status, line};
use super::{Headers, aside, hold};
use crate::wire::{Batch, Signal};

/// An export response holds a count and a sentence.
const RESPONSE: usize = 4 * 1024 * 1024;
/// Times that a request is sent again because the other side never looked at it.
const UNPROCESSED: usize = 5;

/// Sends batches to one gRPC endpoint.
pub struct Client {
    channel: Channel,
    compressor: Option<Compressor>,
    uris: [Uri; 4],
    headers: HeaderMap,
}

/// How a client speaks.
pub struct Settings {
    pub tls: bool,
    pub authority: String,
    pub compressor: Option<Compressor>,
    pub user_agent: HeaderValue,
    pub headers: Headers,
}

impl Client {
    pub fn new(settings: Settings, channel: Channel) -> Result<Self, String> {
        let scheme = if settings.tls { "https" } else { "http" };
        let uri = |signal: &str, version: &str| {
            Uri::builder()
                .scheme(scheme)
                .authority(settings.authority.as_str())
                .path_and_query(format!(
                    "/opentelemetry.proto.collector.{}.{version}.{signal}Service/Export",
                    signal.to_lowercase()
                ))
                .build()
                .map_err(|_| format!("is '{}', which is no authority", settings.authority))
        };
        let uris = [
            uri("Trace", "v1")?,
            uri("Metrics", "v1")?,
            uri("Logs", "v1")?,
            uri("Profiles", "v1development")?,
        ];
        let mut headers = HeaderMap::new();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::USER_AGENT, settings.user_agent);
        if let Some(compressor) = settings.compressor {
            let name = match compressor.coding {
                Coding::SnappyFramed => "snappy",
                coding => coding.name(),
            };
            headers.insert("grpc-encoding", HeaderValue::from_static(name));
        }
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("gzip,zstd,snappy"));
        for (name, value) in settings.headers {
            headers.append(name, value);
        }
        Ok(Self { channel, compressor: settings.compressor, uris, headers })
    }

    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Send a batch once. Dropping the future cancels the call.
    pub async fn send(self: Arc<Self>, batch: Batch, timeout: Duration, extra: Headers) -> Outcome {
        let deadline = Instant::now() + timeout;
        match timeout_at(deadline, self.exchange(batch, deadline, extra)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let why = self.channel.complaint().map_or(String::new(), |why| format!(": {why}"));
                Outcome::late(format!("no answer within {timeout:?}{why}"))
            }
        }
    }

    async fn exchange(&self, batch: Batch, deadline: Instant, extra: Headers) -> Outcome {
        let signal = batch.signal;
        let compressed = self.compressor.is_some();
        let message = match self.compressor {
            Some(compressor) => {
                let data = batch.data;
                match aside(move || compressor.compress(&data)).await {
                    Ok(message) => hold(message),
                    Err(error) => return Outcome::refused(Code::Internal, error),
                }
            }
            None => batch.data,
        };
        let Ok(length) = u32::try_from(message.len()) else {
            return Outcome::refused(Code::ResourceExhausted, "is larger than 4 GiB");
        };
        let mut prefix = BytesMut::with_capacity(5);
        prefix.put_u8(u8::from(compressed));
        prefix.put_u32(length);
        let prefix = prefix.freeze();
        let mut headers = self.headers.clone();
        for (name, value) in extra {
            headers.insert(name, value);
        }
        let mut attempts = 0;
        loop {
            let connection = match self.channel.pick().await {
                Ok(connection) => connection,
                Err(reason) => return Outcome::unavailable(reason),
            };
            let mut request = Request::new(());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = self.uri(signal).clone();
            *request.headers_mut() = headers.clone();
            let left = deadline.saturating_duration_since(Instant::now());
            request.headers_mut().insert("grpc-timeout", grpc_timeout(left));
            match call(&connection, request, prefix.clone(), message.clone()).await {
                Ok(outcome) => return outcome,
                Err(error) if is_unprocessed(&error) && attempts < UNPROCESSED => {
                    attempts += 1;
                    if error.is_go_away() {
                        connection.retire();
                    }
                }
                Err(error) => return broken(&connection, &error),
            }
        }
    }

    fn uri(&self, signal: Signal) -> &Uri {
        match signal {
            Signal::Traces => &self.uris[0],
            Signal::Metrics => &self.uris[1],
            Signal::Logs => &self.uris[2],
            Signal::Profiles => &self.uris[3],
        }
    }
}

/// What remains until the deadline, as gRPC writes it: at most eight digits and a unit.
fn grpc_timeout(left: Duration) -> HeaderValue {
    let (value, unit) = match left.as_micros() {
        micros @ 0..=99_999_999 => (micros.max(1), 'u'),
        micros @ 100_000_000..=99_999_999_999 => (micros / 1000, 'm'),
        micros => ((micros / 1_000_000).min(99_999_999), 'S'),
    };
    HeaderValue::from_str(&format!("{value}{unit}"))
        .unwrap_or_else(|_| HeaderValue::from_static("1S"))
}

/// The call ended without a status of its own.
fn broken(connection: &Connection, error: &h2::Error) -> Outcome {
    let reset = error.reason().filter(|_| error.is_reset() && error.is_remote());
    let code = match reset {
        Some(h2::Reason::CANCEL) => Code::Cancelled,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Code::Unavailable,
        Some(h2::Reason::INADEQUATE_SECURITY) => Code::PermissionDenied,
        Some(h2::Reason::REFUSED_STREAM) | None => Code::Unavailable,
        Some(_) => Code::Internal,
    };
    let message = match connection.reason() {
        Some(reason) if reset.is_none() => reason,
        _ => explain(error),
    };
    Outcome::from_grpc(code, message, None)
}

async fn call(
    connection: &Connection,
    request: Request<()>,
    prefix: Bytes,
    message: Bytes,
) -> Result<Outcome, h2::Error> {
    let _in_flight = connection.enter();
    let mut send = connection.send.clone().ready().await?;
    let (response, mut stream) = send.send_request(request, false)?;
    // The bytes are in memory already: handing them over at once costs nothing, and the
    // connection sends them as the other side's windows open.
    let sent = stream.send_data(prefix, false).and_then(|()| stream.send_data(message, true));
    let response = match (response.await, sent) {
        (Ok(response), _) => response,
        (Err(error), _) => return Err(error),
    };
    connection.note_answer();
    let (head, mut body) = response.into_parts();
    if head.status != http::StatusCode::OK {
        let said = match body.data().await {
            Some(Ok(data)) => line(&data),
            _ => String::new(),
        };
        let message = format!("HTTP {} {said}", head.status);
        return Ok(Outcome::from_grpc(code_of_http(head.status), message.trim(), None));
    }
    if let Some(status) = grpc_status(&head.headers) {
        return Ok(conclude(status, &head.headers, &[]));
    }
    let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
        let message = "the answer is not gRPC; is this the gRPC port?";
        return Ok(Outcome::refused(Code::Unknown, message));
    }
    let mut answer = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if answer.len() + data.len() > RESPONSE {
            let message = format!("the answer is longer than {RESPONSE} bytes");
            return Ok(Outcome::refused(Code::ResourceExhausted, message));
        }
        answer.put(data);
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await?.unwrap_or_default();
    Ok(match grpc_status(&trailers) {
        Some(status) => conclude(status, &head.headers, &answer),
        None => Outcome::from_grpc(Code::Internal, "the answer has no status", None),
    })
}

pub(super) fn conclude(
    (code, message, delay): (Code, String, Option<Duration>),
    headers: &HeaderMap,
    answer: &[u8],
) -> Outcome {
    if code != Code::Ok {
        return Outcome::from_grpc(code, message, delay);
    }
    let coding = headers.get("grpc-encoding").and_then(|name| name.to_str().ok());
    Outcome::delivered(0, &unframe(coding.unwrap_or_default(), answer).unwrap_or_default())
}

/// The one message of a unary answer; nothing when it cannot be read, for it was taken anyway.
fn unframe(coding: &str, mut answer: &[u8]) -> Option<Bytes> {
    let compressed = answer.try_get_u8().ok()? != 0;
    let length = answer.try_get_u32().ok()?;
    let message = answer.get(..length as usize)?;
    if !compressed {
        return Some(Bytes::copy_from_slice(message));
    }
    let mut reservation = admission().count(0);
    let coding = Coding::from_grpc(coding)?;
    decompress(coding, message, RESPONSE, &mut reservation).ok().map(Bytes::from)
}

/// A header that the configuration names.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::try_from(name).map_err(|_| "is not the name of a header".to_string())?;
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| "has characters that a header cannot carry".to_string())?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_has_at_most_eight_digits() {
        for (left, says) in [
            (Duration::ZERO, "1u"),
            (Duration::from_secs(5), "5000000u"),
            (Duration::from_secs(300), "300000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
        ] {
            assert_eq!(grpc_timeout(left), says);
        }
    }

    #[test]
    fn cut_answers_hold_no_message() {
        assert_eq!(unframe("", b"\0\0\0\0\x02hi").as_deref(), Some(&b"hi"[..]));
        for cut in 0..7 {
            assert_eq!(unframe("", &b"\0\0\0\0\x02hi"[..cut]), None);
        }
        assert_eq!(unframe("gzip", b"\x01\0\0\0\x02hi"), None);
    }
}
