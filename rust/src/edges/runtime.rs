//! The one tokio runtime of this process.

use std::sync::atomic::{AtomicPtr, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;

use crate::recorder::fork;

struct Started {
    generation: u64,
    runtime: Runtime,
    processors: Semaphore,
}

static STARTED: AtomicPtr<Started> = AtomicPtr::new(std::ptr::null_mut());

/// The runtime, started at its first use. Two workers at most: more do not pay for moving bytes.
///
/// A forked child starts its own and leaves the inherited one as it is: its threads are not there,
/// and dropping it would take the sockets from the parent's epoll.
pub fn handle() -> &'static Handle {
    started().runtime.handle()
}

/// As many permits as there are processors, for work beside the threads that move bytes.
pub fn processors() -> &'static Semaphore {
    &started().processors
}

fn started() -> &'static Started {
    let found = STARTED.load(Ordering::Acquire);
    // SAFETY: what is stored was leaked, so it lives as long as the process.
    match unsafe { found.as_ref() } {
        Some(started) if started.generation == fork::generation() => started,
        _ => start(found),
    }
}

#[cold]
fn start(before: *mut Started) -> &'static Started {
    let permits = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(permits.min(2))
        .thread_name("heliograph-edge")
        .enable_all()
        .build()
        .expect("the operating system refused a thread");
    let generation = fork::generation();
    let new = Started { generation, runtime, processors: Semaphore::new(permits) };
    let new = Box::into_raw(Box::new(new));
    // No lock: a fork could leave it locked for ever.
    match STARTED.compare_exchange(before, new, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: it was leaked above.
        Ok(_) => unsafe { &*new },
        Err(_) => {
            // SAFETY: nobody else has seen this one.
            let late = unsafe { Box::from_raw(new) };
            late.runtime.shutdown_background();
            started()
        }
    }
}

/// Tell the allocator to keep up to 64 MiB of what is freed, and to take bodies of up to 8 MiB from
/// it. A body is larger than the size from which the C library asks the system for fresh pages, and
/// faulting them in costs a third of what moving the body does.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers and locks the arena it changes.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 8 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
    }
}

/// Give what the allocator keeps back to the system.
pub fn release_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes an integer and locks the arenas.
    unsafe {
        libc::malloc_trim(0);
    }
}
