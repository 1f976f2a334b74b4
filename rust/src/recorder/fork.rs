//! Forks: the child forgets what the parent had recorded, and no lock of the recorder is lost in it.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::platform::fork::{Gate, at_fork};

static GENERATION: AtomicU64 = AtomicU64::new(1);
static SETTLED: AtomicU64 = AtomicU64::new(1);
static WATCHING: Once = Once::new();
static GATE: Gate = Gate::open();

extern "C" fn before() {
    GATE.lock();
}

extern "C" fn parent() {
    GATE.unlock();
}

extern "C" fn child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    GATE.unlock();
}

/// Begin to count, and to hold forks back while `hold` works.
pub fn watch() {
    WATCHING.call_once(|| {
        // SAFETY: the handlers touch statics only, and are safe after a fork.
        unsafe { at_fork(before, parent, child) };
    });
}

/// How many forks lie between the program's first process and this one, plus one. Forks from C
/// count: the number changes in the child before `fork` returns.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Whether this process is a child in which `settle` has not been called.
#[inline]
pub fn is_unsettled() -> bool {
    SETTLED.load(Ordering::Relaxed) != generation()
}

/// Note that what has to be done first in a child is being done; true for the first who calls it.
pub fn settle() -> bool {
    SETTLED.swap(generation(), Ordering::Relaxed) != generation()
}

/// Work with locks of the recorder while no fork can happen. The work must not wait for Python.
///
/// Who records holds the interpreter's lock while holding one of the recorder's, and a fork from
/// Python needs it too; only work without the interpreter has to come through here.
pub fn hold<R>(work: impl FnOnce() -> R) -> R {
    struct Release;
    impl Drop for Release {
        fn drop(&mut self) {
            GATE.unlock();
        }
    }
    GATE.lock();
    let _release = Release;
    work()
}
