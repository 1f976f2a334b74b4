//! Which process this is, counted in forks: whoever remembers another number was inherited.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(1);

extern "C" fn in_the_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// How many forks lie between the program's first process and this one, plus one. Forks from C
/// count: the number changes in the child before `fork` returns.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Begin to count.
pub fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // SAFETY: the handler only adds to an atomic number, which is allowed in a forked child.
        unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
    });
}
