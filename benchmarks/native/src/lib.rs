//! What these programs share: options, a client, telemetry to send, counting, windows.

pub mod args;
pub mod client;
pub mod moods;
pub mod scan;
pub mod serials;
pub mod telemetry;

/// HTTP/2 settings of every program here: what the floor was measured with.
pub const STREAM_WINDOW: u32 = 4 << 20;
pub const CONNECTION_WINDOW: u32 = 16 << 20;
pub const MAX_FRAME: u32 = 1 << 20;
pub const MAX_STREAMS: u32 = 1000;

pub const GRPC_TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub const HTTP_TRACES: &str = "/v1/traces";

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Keep freed memory instead of giving it back: fresh pages for every body would cost this program
/// more than all else it does. Not for the relay, which is measured as it comes.
pub fn keep_memory() {
    // SAFETY: mallopt takes integers only; it is called before any other thread is started.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 512 << 20);
    }
}
