//! OTLP/JSON to wire bytes and back, guided by the schema, without a tree in between.

mod enums;
mod number;
mod read;
mod scanner;
mod text;
mod write;

use std::sync::Arc;

use bytes::Bytes;

use super::schema::Message;
use super::{Batch, Context, Signal, WireError};

fn request(signal: Signal) -> Result<&'static Message, WireError> {
    let message = "profiles have no JSON form here";
    signal.request().ok_or_else(|| WireError { offset: 0, message: message.into() })
}

impl Batch {
    /// Read one request from OTLP/JSON.
    ///
    /// Unknown fields are skipped and null is absence. A name that appears twice, two values of a
    /// oneof and an unpaired surrogate are errors. Offsets of errors count bytes of the JSON text.
    pub fn from_json(
        signal: Signal,
        text: &[u8],
        context: Arc<Context>,
    ) -> Result<Self, WireError> {
        let data = read::read(request(signal)?, text)?;
        Self::from_wire(signal, Bytes::from(data), context)
    }

    /// Write the request as OTLP/JSON on one line, defaults and unknown fields left out.
    pub fn to_json(&self) -> Result<Vec<u8>, WireError> {
        write::write(request(self.signal)?, &self.data)
    }
}

/// The string in quotes at the start of `text`, and what follows its end.
pub fn unquote(text: &str) -> Option<(String, &str)> {
    let mut scanner = scanner::Scanner::new(text);
    let value = scanner.string().ok()?.into_owned();
    let end = text[..scanner.at].rfind('"')? + 1;
    Some((value, &text[end..]))
}

/// Whether the text is one JSON value.
#[cfg(any(test, feature = "fuzzing"))]
pub fn is_json(text: &str) -> bool {
    let mut scanner = scanner::Scanner::new(text);
    scanner.blank();
    scanner.skip(0).and_then(|()| scanner.end()).is_ok()
}
