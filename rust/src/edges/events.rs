//! From native threads to the asyncio loop: one queue, one descriptor, one callback that drains all.

use std::sync::{Arc, Mutex};

use super::load::Load;
use crate::platform::socket::Number;
use crate::platform::wake::Wake;

/// Events in order of arrival. The descriptor is readable while there are some.
pub struct Events<T> {
    queue: Mutex<Vec<T>>,
    wake: Wake,
    /// How well the loop keeps up.
    pub load: Arc<Load>,
}

impl<T> Events<T> {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { queue: Mutex::new(Vec::new()), wake: Wake::new()?, load: Arc::default() })
    }

    pub fn fileno(&self) -> Number {
        self.wake.number()
    }

    /// Append an event; wakes the reader only when the queue was empty.
    pub fn push(&self, event: T) {
        let mut queue = self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let was_empty = queue.is_empty();
        queue.push(event);
        if was_empty {
            self.load.waits();
        }
        drop(queue);
        if was_empty {
            self.wake.wake();
        }
    }

    /// Take everything that waits.
    pub fn drain(&self) -> Vec<T> {
        self.wake.clear();
        let mut queue = self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.load.drained();
        std::mem::take(&mut *queue)
    }
}
