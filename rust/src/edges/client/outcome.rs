//! What became of a request: status codes, partial success and delays, as the other side said them.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::super::status::Code;
use crate::wire::proto::{Field, Reader, Value};

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The other side has it.
    pub ok: bool,
    /// Nothing was kept, and sending again may help.
    pub retryable: bool,
    /// gRPC status code; over HTTP what stands nearest.
    pub code: Code,
    /// HTTP status; 0 when there was none.
    pub status: u16,
    /// What the other side says, or why it could not be asked.
    pub message: String,
    /// How long the other side asks to wait.
    pub retry_after: Option<Duration>,
    /// Items that a partial success did not take.
    pub rejected: i64,
    /// The answer, when it is JSON.
    pub json: Bytes,
}

impl Outcome {
    /// The request can never be made.
    pub fn refused(code: Code, message: impl Into<String>) -> Self {
        Self {
            ok: false,
            retryable: false,
            code,
            status: 0,
            message: message.into(),
            retry_after: None,
            rejected: 0,
            json: Bytes::new(),
        }
    }

    /// The request could not be made, or its answer not be had.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::refused(Code::Unavailable, message) }
    }

    pub fn late(message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::refused(Code::DeadlineExceeded, message) }
    }

    /// A request that was taken, at least in part; `body` is the export response.
    pub fn delivered(status: u16, body: &[u8]) -> Self {
        let (rejected, message) = partial_success(body);
        Self { ok: true, status, rejected, ..Self::refused(Code::Ok, message) }
    }

    /// A gRPC status that is not OK.
    pub fn from_grpc(code: Code, message: impl Into<String>, delay: Option<Duration>) -> Self {
        let retryable = match code {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => delay.is_some(),
            _ => false,
        };
        Self { retryable, retry_after: delay, ..Self::refused(code, message) }
    }

    /// An HTTP status that is not 2xx.
    pub fn from_http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retryable = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let code = match status.as_u16() {
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 => Code::ResourceExhausted,
            502..=504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        let retry_after = retryable.then(|| retry_after(headers)).flatten();
        let message = said(headers, body);
        let status = status.as_u16();
        Self { retryable, status, retry_after, ..Self::refused(code, message) }
    }
}

/// The code for an HTTP status that a gRPC server, or something before it, should never send.
pub fn code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// `Retry-After`: seconds, or a date.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// What an error body says: the message of a `google.rpc.Status`, or the text; one line of it.
fn said(headers: &HeaderMap, body: &[u8]) -> String {
    let kind = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match kind.unwrap_or_default().split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" | "application/protobuf" => {
            fields(body).find_map(|(number, value)| match (number, value) {
                (2, Value::Bytes(text)) => Some(line(text)),
                _ => None,
            })
        }
        "text/html" => None,
        _ => Some(line(body)),
    }
    .unwrap_or_default()
}

/// The first line, at most 500 characters of it, control characters left out.
pub fn line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4096)]);
    let first = text.trim().lines().next().unwrap_or_default();
    first.chars().filter(|letter| !letter.is_control()).take(500).collect()
}

/// The gRPC status in trailers, or in headers that are all there is.
pub fn grpc_status(trailers: &HeaderMap) -> Option<(Code, String, Option<Duration>)> {
    let code = trailers.get("grpc-status")?.to_str().ok()?.parse().unwrap_or(2);
    let message = trailers.get("grpc-message").map(|value| line(&unescape(value.as_bytes())));
    let details =
        trailers.get("grpc-status-details-bin").and_then(|value| base64(value.as_bytes()));
    let delay = details.as_deref().and_then(retry_info).or_else(|| {
        let alone = trailers.get("google.rpc.retryinfo-bin")?;
        delay(&base64(alone.as_bytes())?)
    });
    Some((Code::from_number(code), message.unwrap_or_default(), delay))
}

fn unescape(text: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(text).collect()
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    STANDARD_NO_PAD.decode(&text[..end]).ok()
}

/// The delay of a `RetryInfo` among the details of a `google.rpc.Status`.
fn retry_info(status: &[u8]) -> Option<Duration> {
    for (number, value) in fields(status) {
        let (3, Value::Bytes(any)) = (number, value) else { continue };
        let mut is_ours = false;
        let mut found = None;
        for (number, value) in fields(any) {
            match (number, value) {
                (1, Value::Bytes(url)) => is_ours = url.ends_with(b"/google.rpc.RetryInfo"),
                (2, Value::Bytes(info)) => found = Some(info),
                _ => {}
            }
        }
        if is_ours {
            // An empty RetryInfo says: at once.
            return Some(found.and_then(delay).unwrap_or_default());
        }
    }
    None
}

/// The delay of a `RetryInfo`.
fn delay(info: &[u8]) -> Option<Duration> {
    let (_, Value::Bytes(duration)) = fields(info).find(|(number, _)| *number == 1)? else {
        return None;
    };
    let (mut seconds, mut nanos) = (0, 0);
    for (number, value) in fields(duration) {
        match (number, value) {
            (1, Value::Varint(value)) => seconds = value.cast_signed(),
            (2, Value::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    let nanos = u32::try_from(nanos.clamp(0, 999_999_999)).unwrap_or(0);
    // A year is longer than anything waits, and short enough to add to a clock.
    Some(Duration::new(u64::try_from(seconds).unwrap_or(0).min(31_536_000), nanos))
}

/// Rejected items and message of an export response.
fn partial_success(response: &[u8]) -> (i64, String) {
    let (mut rejected, mut message) = (0, String::new());
    for (number, value) in fields(response) {
        let (1, Value::Bytes(partial)) = (number, value) else { continue };
        for (number, value) in fields(partial) {
            match (number, value) {
                (1, Value::Varint(count)) => rejected = count.cast_signed(),
                (2, Value::Bytes(text)) => message = line(text),
                _ => {}
            }
        }
    }
    (rejected, message)
}

/// The fields of a small message from outside; ends at the first malformed byte.
fn fields(message: &[u8]) -> impl Iterator<Item = (u32, Value<'_>)> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        reader.field().ok().flatten().map(|Field { number, value, .. }| (number, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RetryInfo of 1.5 s in a Status with code 14.
    const STATUS: &[u8] = b"\x08\x0e\x12\x04full\x1a\x36\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01";

    #[test]
    fn the_delay_is_found_among_the_details() {
        assert_eq!(retry_info(STATUS), Some(Duration::from_millis(1500)));
        for cut in 0..STATUS.len() {
            let _ = retry_info(&STATUS[..cut]);
        }
    }

    #[test]
    fn an_absurd_delay_is_bounded() {
        let info = b"\x0a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
        assert_eq!(delay(info), Some(Duration::from_secs(31_536_000)));
        let info = b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(delay(info), Some(Duration::ZERO));
    }

    #[test]
    fn exhausted_resources_are_final_without_a_delay() {
        assert!(!Outcome::from_grpc(Code::ResourceExhausted, "", None).retryable);
        let delay = Some(Duration::ZERO);
        assert!(Outcome::from_grpc(Code::ResourceExhausted, "", delay).retryable);
        assert!(!Outcome::from_grpc(Code::Internal, "", delay).retryable);
    }

    #[test]
    fn partial_success_is_read() {
        assert_eq!(partial_success(b"\x0a\x06\x08\x05\x12\x02no"), (5, "no".into()));
        assert_eq!(partial_success(b""), (0, String::new()));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
        headers.insert("retry-after", "soon".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn a_message_is_one_clean_line() {
        assert_eq!(line(b"  bad\x1b[0m token\nsecret"), "bad[0m token");
    }
}
