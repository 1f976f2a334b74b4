//! Metric aggregation inside the app: one storage per reader, view and instrument, from measurements
//! to OTLP bytes.

pub mod attributes;
pub mod encode;
pub mod exemplar;
pub mod explicit;
pub mod exponential;
pub mod number;
pub mod py;
pub mod reader;
pub mod series;
pub mod storage;

#[cfg(test)]
mod tests;
