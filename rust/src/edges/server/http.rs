//! OTLP over HTTP: one POST a request, over HTTP/1.1 or HTTP/2.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use super::Door;
use super::body::{Incoming, Reader, discard};
use super::door::{Body, Encoding, Outcome};
use super::h2::{Stream, unless_reset};
use crate::edges::admission::Reservation;
use crate::edges::compress::Coding;
use crate::edges::status::{Code, Status, whole_seconds};
use crate::wire::{Context, Signal};

/// Serve one stream of an HTTP/2 connection.
pub async fn serve_h2(
    door: Arc<Door>,
    stream: Stream,
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    let mut body = Incoming::H2(body);
    let work = pin!(answer(&door, &stream.context, stream.active.out_of_turn, parts, &mut body));
    let Some(answered) = unless_reset(&mut respond, work).await else { return };
    stream.saw_message(answered.received);
    let (parts, content) = answered.response.into_parts();
    let head = Response::from_parts(parts, ());
    // The other side may be gone; then nobody misses the answer.
    if let Ok(mut out) = respond.send_response(head, content.is_empty())
        && !content.is_empty()
    {
        let _ = out.send_data(content, true);
    }
}

/// The answer to one request, and how long its body was.
pub struct Answered {
    pub response: Response<Bytes>,
    received: usize,
}

/// Answer one request.
pub async fn answer(
    door: &Door,
    context: &Arc<Context>,
    out_of_turn: bool,
    parts: Parts,
    body: &mut Incoming,
) -> Answered {
    let settings = &door.settings;
    let cors = settings.cors.as_ref();
    let is_preflight = parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if let Some(cors) = cors.filter(|_| is_preflight) {
        return Answered { response: cors.preflight(&parts.headers), received: 0 };
    }
    let origin = cors.and_then(|_| parts.headers.get(header::ORIGIN).cloned());
    let (mut response, received) = exchange(door, context, out_of_turn, &parts, body).await;
    let headers = response.headers_mut();
    for (name, value) in &settings.response_headers {
        headers.insert(name, value.clone());
    }
    if let Some(cors) = cors {
        let mut request = HeaderMap::new();
        request.extend(origin.map(|origin| (header::ORIGIN, origin)));
        cors.mark(&request, headers);
    }
    Answered { response, received }
}

async fn exchange(
    door: &Door,
    context: &Arc<Context>,
    out_of_turn: bool,
    parts: &Parts,
    source: &mut Incoming,
) -> (Response<Bytes>, usize) {
    let settings = &door.settings;
    let path = parts.uri.path();
    let Some(signal) = settings.paths.iter().find(|(known, _)| known == path).map(|found| found.1)
    else {
        turn_away(door, parts, source).await;
        return (plain(StatusCode::NOT_FOUND, "404 page not found"), 0);
    };
    if parts.method != Method::POST {
        let text = "405 method not allowed, supported: [POST]";
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        turn_away(door, parts, source).await;
        return (response, 0);
    }
    let Some(encoding) = encoding(&parts.headers) else {
        let text =
            "415 unsupported media type, supported: [application/json, application/x-protobuf]";
        turn_away(door, parts, source).await;
        return (plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text), 0);
    };
    let received = match receive(door, context, out_of_turn, parts, source).await {
        Ok(received) => received,
        Err(status) => {
            turn_away(door, parts, source).await;
            return (failure(encoding, &status), 0);
        }
    };
    let Received { coding, data, reservation, context } = received;
    let length = data.len();
    let body = Body { signal, encoding, coding, data, reservation };
    let response = match door.deliver(body, context).await {
        Outcome::Ok { rejected, message } => success(signal, encoding, rejected, &message),
        Outcome::Fail(status) => failure(encoding, &status),
    };
    (response, length)
}

/// Let the rest of an unwanted body pass: a sender in the middle of it does not see the answer.
/// One that waits for our permission has not begun.
async fn turn_away(door: &Door, parts: &Parts, source: &mut Incoming) {
    if !parts.headers.contains_key(header::EXPECT) {
        discard(source, door.settings.body_limits()).await;
    }
}

/// A body as it came, and what is known beside it.
struct Received {
    coding: Coding,
    data: Bytes,
    reservation: Reservation,
    context: Arc<Context>,
}

async fn receive(
    door: &Door,
    context: &Arc<Context>,
    out_of_turn: bool,
    parts: &Parts,
    source: &mut Incoming,
) -> Result<Received, Status> {
    let name = parts.headers.get(header::CONTENT_ENCODING);
    let name = name.map_or("", |name| name.to_str().unwrap_or("?")).trim().to_ascii_lowercase();
    let known =
        Coding::from_http(&name).filter(|coding| door.settings.codings.allow(*coding, &name));
    let coding = known.ok_or_else(|| {
        door.counts.invalid.fetch_add(1, Relaxed);
        Status::new(Code::InvalidArgument, format!("unsupported Content-Encoding: {name}"))
    })?;
    let host = parts.uri.authority().map(http::uri::Authority::as_str);
    let context = door.enter(context, out_of_turn, &parts.headers, host, None).await?;
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()).and_then(|text| text.parse().ok());
    let read = Reader::new(source, door.settings.body_limits()).whole(length).await;
    let (data, reservation) = read.map_err(|error| door.unreadable(error))?;
    Ok(Received { coding, data, reservation, context })
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match kind.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Some(Encoding::Proto),
        "application/json" => Some(Encoding::Json),
        _ => None,
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    respond(status, "text/plain", Bytes::from_static(text.as_bytes()))
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn kind(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Proto => "application/x-protobuf",
        Encoding::Json => "application/json",
    }
}

fn success(signal: Signal, encoding: Encoding, rejected: u64, message: &str) -> Response<Bytes> {
    let body = match encoding {
        Encoding::Proto => Bytes::from(super::partial_success(rejected, message)),
        Encoding::Json => super::partial_success_json(signal, rejected, message),
    };
    respond(StatusCode::OK, kind(encoding), body)
}

fn failure(encoding: Encoding, status: &Status) -> Response<Bytes> {
    let body = match encoding {
        Encoding::Proto => status.to_proto(),
        Encoding::Json => status.to_json(),
    };
    let code = StatusCode::from_u16(status.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(code, kind(encoding), body.into());
    if let Some(after) = status.retry_after
        && (code == StatusCode::SERVICE_UNAVAILABLE || code == StatusCode::TOO_MANY_REQUESTS)
    {
        let seconds = HeaderValue::from(whole_seconds(after));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
