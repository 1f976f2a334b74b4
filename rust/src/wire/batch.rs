use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;

use super::{Signal, WireError, scan};

/// What is known of a request beside its bytes. Immutable; shared by every batch cut from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Request metadata that the receiver was told to keep; names in lower case, in order of arrival.
    pub metadata: Vec<(String, Vec<String>)>,
    /// Address of the sender.
    pub peer: Option<String>,
    /// Claims of the authenticated sender.
    pub auth: Vec<(String, String)>,
    /// When the sender stops waiting.
    pub deadline: Option<Instant>,
}

impl Context {
    pub fn empty() -> Arc<Self> {
        static EMPTY: LazyLock<Arc<Context>> = LazyLock::new(|| Arc::new(Context::default()));
        EMPTY.clone()
    }
}

/// One signal's export request in wire form. Immutable; clones share the bytes.
#[derive(Clone, Debug)]
pub struct Batch {
    pub signal: Signal,
    pub data: Bytes,
    /// Spans, data points or log records; requests for profiles.
    pub items: usize,
    pub context: Arc<Context>,
}

impl Batch {
    /// Take bytes from outside: the structure is validated down to each item's fields.
    pub fn from_wire(
        signal: Signal,
        data: Bytes,
        context: Arc<Context>,
    ) -> Result<Self, WireError> {
        let items = scan(signal, &data)?;
        Ok(Self { signal, data, items, context })
    }
}
