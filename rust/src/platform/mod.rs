//! What differs between operating systems, a module for each thing. Nothing outside asks where it
//! runs, but for tuning that does nothing where there is none.

pub mod file;
pub mod fork;
pub mod local;
pub mod process;
pub mod socket;
pub mod wake;
