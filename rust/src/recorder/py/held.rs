//! State that only a thread attached to the interpreter touches.

use std::cell::RefCell;

use pyo3::Python;

/// A value guarded by the interpreter's lock. No lock of its own, so none that a fork could leave
/// locked.
pub struct Held<T>(RefCell<T>);

// SAFETY: every access takes a `Python` token. The module is built for the limited API of builds
// with a global interpreter lock, so whoever has a token is the only one; the value itself may be
// dropped on any thread, hence Send.
unsafe impl<T: Send> Sync for Held<T> {}

impl<T> Held<T> {
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Act on the value. `act` must not run Python code; if it did and that came back here, the
    /// inner call would find nothing.
    #[inline]
    pub fn with<R>(&self, _py: Python<'_>, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.try_borrow_mut().ok().map(|mut value| act(&mut value))
    }

    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}
