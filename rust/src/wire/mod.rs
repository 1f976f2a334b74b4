//! OTLP in wire form: the bytes of one `Export*ServiceRequest`, never a message object.

mod batch;
mod column;
pub mod edit;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod index;
pub mod json;
pub mod loki;
pub mod path;
pub mod plan;
pub mod project;
pub mod proto;
mod scan;
pub mod schema;
pub mod take;
pub mod text;
pub mod value;

pub mod py;

pub use batch::{Batch, Context};
pub use scan::scan;

use std::fmt;

/// What a batch carries; decides the message its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
    Profiles,
}

/// Malformed input, with the offset of the byte at which reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    pub offset: usize,
    pub message: String,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.message, self.offset)
    }
}

impl std::error::Error for WireError {}
