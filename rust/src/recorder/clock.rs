//! The time of day in nanoseconds, which tests can hold.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static HELD: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since 1970.
#[inline]
pub fn now() -> u64 {
    match HELD.load(Ordering::Relaxed) {
        0 => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64),
        u64::MAX => panic!("the clock was told to fail"),
        held => held,
    }
}

/// Let `now` say this; 0 lets it go on.
pub fn hold(nanos: u64) {
    HELD.store(nanos, Ordering::Relaxed);
}
