//! The one tokio runtime of this process.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime, started at its first use. Two workers: more do not pay for moving bytes.
pub fn handle() -> &'static Handle {
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("heliograph-edge")
                .enable_all()
                .build()
                .expect("the operating system refused a thread")
        })
        .handle()
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
