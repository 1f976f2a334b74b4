//! The byte budget of this process: what enters is reserved before it is read.
//!
//! A `Reservation` lives as long as its bytes. Over the limit, or while refusing is switched on,
//! requests are turned away at the door without asking Python.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;

/// Less room than this is none.
const LITTLE: usize = 256 * 1024;
/// No limit.
const UNLIMITED: usize = usize::MAX;

/// Nothing was kept; the sender should come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    /// How long the sender should wait, before jitter.
    pub after: Duration,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Counts the bytes that the core holds.
pub struct Admission {
    used: AtomicUsize,
    limit: AtomicUsize,
    refusing: AtomicBool,
    refusal: Mutex<Option<Refusal>>,
}

/// The one budget of this process.
pub fn admission() -> &'static Admission {
    static ADMISSION: Admission = Admission::new();
    &ADMISSION
}

impl Admission {
    pub const fn new() -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(UNLIMITED),
            refusing: AtomicBool::new(false),
            refusal: Mutex::new(None),
        }
    }

    /// Bytes reserved now.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub fn limit(&self) -> Option<usize> {
        Some(self.limit.load(Relaxed)).filter(|limit| *limit != UNLIMITED)
    }

    pub fn set_limit(&self, limit: Option<usize>) {
        self.limit.store(limit.unwrap_or(UNLIMITED), Relaxed);
    }

    /// Bytes that may still be reserved.
    pub fn room(&self) -> usize {
        self.limit.load(Relaxed).saturating_sub(self.used())
    }

    /// Whether so much is used that what is kept should take no more room than it must.
    pub fn is_filling(&self) -> bool {
        self.used() > self.limit.load(Relaxed) / 4
    }

    /// Whether what comes now is refused for want of memory.
    pub fn is_full(&self) -> bool {
        self.refusing.load(Relaxed) || self.room() < LITTLE
    }

    /// Refuse every new request until called with `None`.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.refusing.store(refusal.is_some(), Relaxed);
        *self.refusal.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = refusal;
    }

    /// Whether a new request may enter.
    pub fn enter(&self) -> Result<(), Refusal> {
        if !self.refusing.load(Relaxed) {
            return Ok(());
        }
        let refusal = self.refusal.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        refusal.clone().map_or(Ok(()), Err)
    }

    /// Reserve bytes while there is room.
    pub fn reserve(&'static self, bytes: usize) -> Result<Reservation, Refusal> {
        let mut reservation = Reservation { admission: self, bytes: 0 };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// Count bytes that are held whatever the limit says.
    pub fn count(&'static self, bytes: usize) -> Reservation {
        self.used.fetch_add(bytes, Relaxed);
        Reservation { admission: self, bytes }
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self::new()
    }
}

/// A part of the budget, given back when dropped.
pub struct Reservation {
    admission: &'static Admission,
    bytes: usize,
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reserve up to `bytes` in all; on refusal the reservation stays as it was.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let limit = self.admission.limit.load(Relaxed);
        let used = self.admission.used.fetch_add(more, Relaxed).saturating_add(more);
        if used > limit {
            self.admission.used.fetch_sub(more, Relaxed);
            return Err(Refusal {
                reason: format!("telemetry in memory is at its limit of {limit} bytes"),
                after: Duration::from_secs(1),
            });
        }
        self.bytes += more;
        Ok(())
    }

    /// Give back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.admission.used.fetch_sub(less, Relaxed);
        self.bytes -= less;
    }

    /// Tie the reservation to the bytes: it ends when the last clone of them is dropped.
    pub fn hold(mut self, bytes: Bytes) -> Bytes {
        struct Held(Bytes, #[expect(dead_code, reason = "held for its drop")] Reservation);
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let length = bytes.len();
        if self.bytes > length {
            self.shrink_to(length);
        } else {
            let more = length - self.bytes;
            self.admission.used.fetch_add(more, Relaxed);
            self.bytes = length;
        }
        Bytes::from_owner(Held(bytes, self))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.admission.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: usize) -> &'static Admission {
        let admission: &'static Admission = Box::leak(Box::new(Admission::new()));
        admission.set_limit(Some(limit));
        admission
    }

    #[test]
    fn refuses_above_the_limit_and_gives_back() {
        let admission = budget(100);
        let mut first = admission.reserve(60).unwrap();
        assert!(admission.reserve(41).is_err());
        assert_eq!(admission.used(), 60);
        assert!(first.grow_to(101).is_err());
        first.grow_to(100).unwrap();
        assert_eq!(admission.room(), 0);
        first.shrink_to(10);
        assert_eq!(admission.used(), 10);
        drop(first);
        assert_eq!(admission.used(), 0);
    }

    #[test]
    fn a_reservation_lives_as_long_as_the_last_clone_of_its_bytes() {
        let admission = budget(100);
        let held = admission.reserve(50).unwrap().hold(Bytes::from_static(b"four"));
        assert_eq!(admission.used(), 4);
        let slice = held.slice(1..2);
        drop(held);
        assert_eq!(admission.used(), 4);
        drop(slice);
        assert_eq!(admission.used(), 0);
    }

    #[test]
    fn full_is_what_refuses_or_has_hardly_room() {
        let admission = budget(4 * LITTLE);
        let most = admission.reserve(3 * LITTLE).unwrap();
        assert!(!admission.is_full());
        let rest = admission.reserve(1).unwrap();
        assert!(admission.is_full());
        drop((most, rest));
        admission.refuse(Some(Refusal { reason: "full".into(), after: Duration::ZERO }));
        assert!(admission.is_full());
        admission.refuse(None);
        assert!(!admission.is_full());
    }

    #[test]
    fn refusing_is_switched() {
        let admission = budget(100);
        assert!(admission.enter().is_ok());
        let refusal = Refusal { reason: "full".into(), after: Duration::from_secs(1) };
        admission.refuse(Some(refusal.clone()));
        assert_eq!(admission.enter(), Err(refusal));
        admission.refuse(None);
        assert!(admission.enter().is_ok());
    }
}
