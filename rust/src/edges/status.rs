//! gRPC status codes, `google.rpc.Status`, and what HTTP says for them.

use std::time::Duration;

/// The canonical codes of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// The code of a number; `Unknown` for what is none.
    pub fn from_number(number: u32) -> Self {
        use Code::*;
        const CODES: [Code; 17] = [
            Ok,
            Cancelled,
            Unknown,
            InvalidArgument,
            DeadlineExceeded,
            NotFound,
            AlreadyExists,
            PermissionDenied,
            ResourceExhausted,
            FailedPrecondition,
            Aborted,
            OutOfRange,
            Unimplemented,
            Internal,
            Unavailable,
            DataLoss,
            Unauthenticated,
        ];
        CODES.get(number as usize).copied().unwrap_or(Unknown)
    }

    /// The HTTP status of an OTLP response.
    pub fn http(self) -> u16 {
        use Code::*;
        match self {
            Ok => 200,
            Cancelled | DeadlineExceeded | Aborted | OutOfRange | Unavailable | DataLoss => 503,
            ResourceExhausted => 429,
            InvalidArgument => 400,
            Unauthenticated => 401,
            PermissionDenied => 403,
            Unimplemented => 404,
            _ => 500,
        }
    }
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: String,
    /// RetryInfo: how long the sender should wait.
    pub retry_after: Option<Duration>,
    /// The HTTP status where it is not the code's usual one.
    pub http: Option<u16>,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl Status {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, http: None }
    }

    /// "Try again": nothing was kept.
    pub fn retry(message: impl Into<String>, after: Duration) -> Self {
        Self { retry_after: Some(after), ..Self::new(Code::Unavailable, message) }
    }

    /// What HTTP says.
    pub fn http(&self) -> u16 {
        self.http.unwrap_or(self.code.http())
    }

    /// `google.rpc.Status` in protobuf.
    pub fn to_proto(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 80);
        number(&mut out, 1, self.code as u64);
        bytes(&mut out, 2, self.message.as_bytes());
        if let Some(info) = self.retry_info() {
            let mut any = Vec::with_capacity(64);
            bytes(&mut any, 1, RETRY_INFO.as_bytes());
            bytes(&mut any, 2, &info);
            bytes(&mut out, 3, &any);
        }
        out
    }

    /// `google.rpc.RetryInfo` in protobuf.
    pub fn retry_info(&self) -> Option<Vec<u8>> {
        let after = self.retry_after?;
        let mut duration = Vec::with_capacity(16);
        number(&mut duration, 1, after.as_secs());
        number(&mut duration, 2, u64::from(after.subsec_nanos()));
        let mut info = Vec::with_capacity(16);
        // Present even when the delay is zero: "at once" is not "no delay known".
        message(&mut info, 1, &duration);
        Some(info)
    }

    /// `google.rpc.Status` in JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = format!("{{\"code\":{},\"message\":", self.code as u8);
        json_string(&mut out, &self.message);
        if let Some(after) = self.retry_after {
            let (seconds, nanos) = (after.as_secs(), after.subsec_nanos());
            out.push_str(&format!(
                ",\"details\":[{{\"@type\":\"{RETRY_INFO}\",\"retryDelay\":\"{seconds}.{nanos:09}s\"}}]"
            ));
        }
        out.push('}');
        out.into_bytes()
    }
}

/// Append a JSON string with its quotes.
pub fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", control as u32)),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A varint field; absent when zero, as proto3 has it.
pub fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        varint(out, value);
    }
}

/// A bytes or string field; absent when empty.
pub fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    if !value.is_empty() {
        message(out, field, value);
    }
}

/// A message field, present even when empty.
pub fn message(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A status message as the `grpc-message` trailer wants it.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
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

/// A delay between half and all of `after`, at most two seconds: senders that were refused
/// together do not come back together.
pub fn jittered(after: Duration) -> Duration {
    let after = after.min(Duration::from_secs(2));
    after.mul_f64(0.5 + 0.5 * f64::from(random()) / f64::from(u32::MAX))
}

/// A delay in whole seconds, as `Retry-After` has them, and by chance one more: rounded alone,
/// short delays would all be the same.
pub fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0) + u64::from(random() & 1)
}

fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_in_both_encodings() {
        let status = Status::retry("a \"b\"\n", Duration::from_millis(1500));
        let json = String::from_utf8(status.to_json()).unwrap();
        assert_eq!(
            json,
            "{\"code\":14,\"message\":\"a \\\"b\\\"\\u000a\",\"details\":[{\"@type\":\
             \"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"1.500000000s\"}]}"
        );
        let proto = status.to_proto();
        assert!(proto.starts_with(b"\x08\x0e\x12\x06a \"b\"\n\x1a"));
        assert_eq!(status.retry_info().unwrap(), b"\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01");
        assert_eq!(Status::new(Code::Internal, "").to_proto(), b"\x08\x0d");
    }

    #[test]
    fn header_encodings() {
        assert_eq!(percent_encode("50% é\n"), "50%25 %C3%A9%0A");
        for (data, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v")] {
            assert_eq!(base64(data.as_bytes()), text);
        }
    }

    #[test]
    fn codes_are_their_numbers() {
        for number in 0..17 {
            assert_eq!(Code::from_number(number) as u32, number);
        }
        assert_eq!(Code::from_number(99), Code::Unknown);
    }

    #[test]
    fn whole_seconds_spread() {
        let mut seen: Vec<u64> =
            (0..100).map(|_| whole_seconds(Duration::from_millis(70))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn delays_are_jittered_and_bounded() {
        for _ in 0..100 {
            let delay = jittered(Duration::from_secs(60));
            assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(2));
        }
        let delays = (0..10).map(|_| jittered(Duration::from_secs(2)));
        assert!(delays.collect::<std::collections::HashSet<_>>().len() > 1);
    }
}
