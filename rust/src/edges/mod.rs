//! OTLP over gRPC and HTTP, server and client. Native threads never attach to the interpreter:
//! what happens here reaches Python through `Events`.

pub mod admission;
pub mod client;
pub mod compress;
pub mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod load;
pub mod runtime;
pub mod server;
pub mod status;

pub mod py;
