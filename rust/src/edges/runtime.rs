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
