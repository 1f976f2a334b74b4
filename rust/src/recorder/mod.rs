//! What an app records, written in wire form while it is recorded.

pub mod any;
pub mod attributes;
pub mod fork;
pub mod metrics;

pub mod py;
