//! From native threads to the asyncio loop: one queue, one eventfd, one callback that drains all.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

use super::load::Load;

/// Events in order of arrival. The descriptor is readable while there are some.
pub struct Events<T> {
    queue: Mutex<Vec<T>>,
    wake: OwnedFd,
    /// How well the loop keeps up.
    pub load: Arc<Load>,
}

impl<T> Events<T> {
    pub fn new() -> std::io::Result<Self> {
        // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: fd is a fresh descriptor that nothing else owns.
        let wake = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { queue: Mutex::new(Vec::new()), wake, load: Arc::default() })
    }

    pub fn fileno(&self) -> RawFd {
        self.wake.as_raw_fd()
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
            // SAFETY: the buffer is eight bytes, as eventfd requires.
            unsafe { libc::eventfd_write(self.wake.as_raw_fd(), 1) };
        }
    }

    /// Take everything that waits.
    pub fn drain(&self) -> Vec<T> {
        let mut counter = 0;
        // SAFETY: counter outlives the call.
        unsafe { libc::eventfd_read(self.wake.as_raw_fd(), &mut counter) };
        let mut queue = self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.load.drained();
        std::mem::take(&mut *queue)
    }
}
