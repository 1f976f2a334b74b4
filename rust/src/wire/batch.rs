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

    /// One batch of all items, in order. The deadline is the nearest; the peer stays when it is
    /// the same for all.
    ///
    /// Batches of different signals, metadata or senders are never joined, nor are profiles: the
    /// error says which.
    pub fn join(batches: &[Self]) -> Result<Self, &'static str> {
        let Some((first, others)) = batches.split_first() else {
            return Err("there is no batch to join");
        };
        if others.is_empty() {
            return Ok(first.clone());
        }
        if first.signal == Signal::Profiles {
            return Err("profiles cannot be joined: each has a dictionary of its own");
        }
        let mut context = Context::clone(&first.context);
        for other in others {
            if other.signal != first.signal {
                return Err("batches of different signals cannot be joined");
            }
            if other.context.metadata != context.metadata || other.context.auth != context.auth {
                return Err("batches with different metadata or senders cannot be joined");
            }
            if other.context.peer != context.peer {
                context.peer = None;
            }
            context.deadline = match (context.deadline, other.context.deadline) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        let length: usize = batches.iter().map(|batch| batch.data.len()).sum();
        if length > i32::MAX as usize {
            return Err("a request is at most 2 GiB");
        }
        let mut data = Vec::with_capacity(length);
        batches.iter().for_each(|batch| data.extend_from_slice(&batch.data));
        let items = batches.iter().map(|batch| batch.items).sum();
        let context =
            if context == *first.context { first.context.clone() } else { context.into() };
        Ok(Self { signal: first.signal, data: data.into(), items, context })
    }
}
