//! What an app records, written in wire form while it is recorded.

pub mod any;
pub mod attributes;
pub mod clock;
pub mod counts;
pub mod fork;
pub mod ids;
pub mod log;
pub mod metrics;
pub mod queue;
pub mod scope;
pub mod span;
pub mod w3c;

pub mod py;
