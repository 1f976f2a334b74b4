//! What goes wrong inside the SDK stays out of the app. Panics are counted, and said once; what
//! somebody else's Python raises is logged.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use super::api::Api;

static PANICS: AtomicU64 = AtomicU64::new(0);
static LISTENING: Once = Once::new();

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// What the panic said, and where it was.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Have panics inside the fence say nothing by themselves.
pub fn listen() {
    LISTENING.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |info| {
            if INSIDE.get() {
                let _ = SAID.try_with(|said| said.replace(info.to_string()));
            } else {
                others(info);
            }
        }));
    });
}

/// Work, and return what that gives; None after a panic.
#[inline]
pub fn fenced<R>(py: Python<'_>, what: &str, work: impl FnOnce() -> R) -> Option<R> {
    let before = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(before);
    match result {
        Ok(result) => Some(result),
        Err(_) => {
            tell(py, what);
            None
        }
    }
}

/// Work, and return what that gives; None after a panic or an exception. What is no `Exception`,
/// such as KeyboardInterrupt, is raised.
#[inline]
pub fn guarded<R>(
    py: Python<'_>,
    what: &str,
    work: impl FnOnce() -> PyResult<R>,
) -> PyResult<Option<R>> {
    match fenced(py, what, work) {
        Some(Ok(result)) => Ok(Some(result)),
        Some(Err(error)) => raised(py, what, error).map(|()| None),
        None => Ok(None),
    }
}

#[cold]
fn raised(py: Python<'_>, what: &str, error: PyErr) -> PyResult<()> {
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    if let Err(error) = Api::help(py, "failed", (what, error.into_value(py))) {
        error.write_unraisable(py, None);
    }
    Ok(())
}

#[cold]
fn tell(py: Python<'_>, what: &str) {
    let message = SAID.take();
    if PANICS.fetch_add(1, Ordering::Relaxed) > 0 {
        return;
    }
    if let Err(error) = Api::help(py, "core_failed", (what, message)) {
        error.write_unraisable(py, None);
    }
}

/// How many panics of the recorder were kept out of the program.
#[pyfunction]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}
