//! Python's view of the recorder.

pub mod values;
