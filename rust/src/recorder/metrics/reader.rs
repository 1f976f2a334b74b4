//! All streams of a reader, from storages to one export request.

use std::sync::{Arc, Mutex, MutexGuard};

use super::super::fork;
use super::storage::Storage;
use crate::wire::{Batch, Context, Signal, proto};

/// The streams of one instrumentation scope.
#[derive(Debug, Default)]
struct Scope {
    /// An `InstrumentationScope`, encoded.
    scope: Vec<u8>,
    schema_url: String,
    storages: Vec<Arc<Storage>>,
}

#[derive(Debug, Default)]
pub struct Reader {
    scopes: Mutex<Vec<Scope>>,
}

impl Reader {
    fn lock(&self) -> MutexGuard<'_, Vec<Scope>> {
        self.scopes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Add a scope and return its number.
    pub fn add_scope(&self, scope: Vec<u8>, schema_url: String) -> usize {
        let mut scopes = self.lock();
        scopes.push(Scope { scope, schema_url, storages: Vec::new() });
        scopes.len() - 1
    }

    pub fn add(&self, scope: usize, storage: Arc<Storage>) {
        self.lock()[scope].storages.push(storage);
    }

    /// Everything there is to report at this time, and the numbers of the scopes that have some.
    ///
    /// `resource` is an encoded `Resource`.
    pub fn collect(
        &self,
        resource: &[u8],
        schema_url: &str,
        now: u64,
    ) -> Option<(Batch, Vec<usize>)> {
        let mut out = Vec::new();
        let (mut items, mut numbers) = (0, Vec::new());
        fork::hold(|| {
            let scopes = self.lock();
            let request = proto::open(&mut out, 1, 1 << 14);
            proto::put_bytes_field(&mut out, 1, resource);
            for (number, scope) in scopes.iter().enumerate() {
                let points = scope.collect(&mut out, now);
                if points > 0 {
                    numbers.push(number);
                    items += points;
                }
            }
            if !schema_url.is_empty() {
                proto::put_bytes_field(&mut out, 3, schema_url.as_bytes());
            }
            proto::close(&mut out, request);
        });
        let batch =
            Batch { signal: Signal::Metrics, data: out.into(), items, context: Context::empty() };
        (items > 0).then_some((batch, numbers))
    }
}

impl Scope {
    /// Append the metrics of this scope and return their points; nothing when there are none.
    fn collect(&self, out: &mut Vec<u8>, now: u64) -> usize {
        let before = out.len();
        let message = proto::open(out, 2, 1 << 14);
        proto::put_bytes_field(out, 1, &self.scope);
        let points = self.storages.iter().map(|storage| storage.collect(out, now)).sum();
        if !self.schema_url.is_empty() {
            proto::put_bytes_field(out, 3, self.schema_url.as_bytes());
        }
        proto::close(out, message);
        if points == 0 {
            out.truncate(before);
        }
        points
    }
}
