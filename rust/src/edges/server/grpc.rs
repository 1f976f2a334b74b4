//! OTLP over gRPC: unary calls, framed by hand. tonic would decode before memory can be
//! reserved, knows no snappy, and needs a generated service for what is one prefix.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use super::Door;
use super::body::{BodyError, Incoming, Reader};
use super::door::{Body, Encoding, Outcome};
use super::h2::{Stream, unless_reset};
use crate::edges::compress::Coding;
use crate::edges::status::{self, Code, Status};
use crate::wire::{Context, Signal};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip,zstd,snappy");

/// Serve one stream of a gRPC connection.
pub async fn serve(
    door: Arc<Door>,
    stream: Stream,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    if let Some(status) = not_grpc(&parts) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        // The other side may be gone; then nobody misses the answer.
        let _ = respond.send_response(response, true);
        return;
    }
    let work = pin!(async {
        match receive(&door, &stream, &parts, body).await {
            Ok((body, context)) => door.deliver(body, context).await,
            Err(status) => Outcome::Fail(status),
        }
    });
    if let Some(outcome) = unless_reset(&mut respond, work).await {
        let _ = answer(&mut respond, outcome);
    }
}

/// The HTTP status of what is not even gRPC.
fn not_grpc(parts: &http::request::Parts) -> Option<StatusCode> {
    if parts.method != Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let grpc = kind
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'+' || rest[0] == b';');
    (!grpc).then_some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

fn signal(path: &str) -> Option<Signal> {
    Some(match path.strip_prefix("/opentelemetry.proto.collector.")? {
        "trace.v1.TraceService/Export" => Signal::Traces,
        "metrics.v1.MetricsService/Export" => Signal::Metrics,
        "logs.v1.LogsService/Export" => Signal::Logs,
        "profiles.v1development.ProfilesService/Export" => Signal::Profiles,
        _ => return None,
    })
}

async fn receive(
    door: &Door,
    stream: &Stream,
    parts: &http::request::Parts,
    body: RecvStream,
) -> Result<(Body, Arc<Context>), Status> {
    let path = parts.uri.path();
    let unimplemented = |what: String| Status::new(Code::Unimplemented, what);
    let signal = signal(path).ok_or_else(|| unimplemented(format!("unknown method {path}")))?;
    if !door.settings.takes(signal) {
        return Err(unimplemented(format!("no pipeline takes {}", super::plural(signal))));
    }
    let encoding = parts.headers.get("grpc-encoding").map_or(&b""[..], HeaderValue::as_bytes);
    let coding = str::from_utf8(encoding).ok().and_then(Coding::from_grpc);
    let coding = coding.ok_or_else(|| {
        let name = String::from_utf8_lossy(encoding);
        unimplemented(format!("compression {name} is not known here"))
    })?;
    let deadline = parts.headers.get("grpc-timeout").and_then(timeout);
    let host = parts.uri.authority().map(http::uri::Authority::as_str);
    let out_of_turn = stream.active.out_of_turn;
    let context = door.enter(&stream.context, out_of_turn, &parts.headers, host, deadline).await?;
    let mut source = Incoming::H2(body);
    let read = Reader::new(&mut source, door.settings.body_limits()).message().await;
    let (compressed, data, reservation) = read.map_err(|error| door.unreadable(error))?;
    if compressed && coding == Coding::Identity {
        let error = BodyError::Framing("a compressed message without grpc-encoding");
        return Err(door.unreadable(error));
    }
    stream.saw_message(data.len());
    let coding = if compressed { coding } else { Coding::Identity };
    Ok((Body { signal, encoding: Encoding::Proto, coding, data, reservation }, context))
}

/// When the sender stops waiting, from a `grpc-timeout` header: at most eight digits and a unit.
fn timeout(value: &HeaderValue) -> Option<Instant> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    let timeout = match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

fn answer(respond: &mut SendResponse<Bytes>, outcome: Outcome) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC);
    match outcome {
        Outcome::Ok { rejected, message } => {
            let mut stream = respond.send_response(response, false)?;
            stream.send_data(frame(&super::partial_success(rejected, &message)), false)?;
            let mut trailers = HeaderMap::with_capacity(1);
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            stream.send_trailers(trailers)
        }
        Outcome::Fail(status) => {
            trailers(&status, headers);
            respond.send_response(response, true).map(drop)
        }
    }
}

fn frame(message: &[u8]) -> Bytes {
    if message.is_empty() {
        return Bytes::from_static(&[0; 5]);
    }
    let mut out = BytesMut::with_capacity(5 + message.len());
    out.extend_from_slice(&[0]);
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out.freeze()
}

/// A failure as gRPC's trailers (which are the headers when there is nothing else).
fn trailers(status: &Status, headers: &mut HeaderMap) {
    headers.insert("grpc-status", HeaderValue::from(status.code as u16));
    let mut put = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    put("grpc-message", &status::percent_encode(&status.message));
    if let Some(info) = status.retry_info() {
        put("grpc-status-details-bin", &status::base64(&status.to_proto()));
        put("google.rpc.retryinfo-bin", &status::base64(&info));
    }
    if status.code == Code::Unimplemented {
        headers.insert("grpc-accept-encoding", ACCEPTED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        let left = |text: &'static str| {
            timeout(&HeaderValue::from_static(text))
                .map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64())
        };
        for (text, seconds) in [("2H", 7200.0), ("3M", 180.0), ("10S", 10.0), ("1500m", 1.5)] {
            assert!((left(text).unwrap() - seconds).abs() < 0.1, "{text}");
        }
        for text in ["", "S", "123456789S", "5x", "-5S", "1 S"] {
            assert_eq!(left(text), None, "{text}");
        }
    }
}
