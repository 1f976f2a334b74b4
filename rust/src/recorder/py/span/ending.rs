//! How a span ends, and where it goes.

use std::thread;

use pyo3::prelude::*;

use super::super::api::Api;
use super::super::fence::guarded;
use super::super::given::nanoseconds;
use super::super::queue::{Offer, PyQueue};
use super::{PySpan, too_late};

impl PySpan {
    pub fn finish(slf: &Bound<'_, Self>, time: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        guarded(slf.py(), "the end of a span", || Self::end_now(slf, time)).map(drop)
    }

    fn end_now(slf: &Bound<'_, Self>, time: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let span = slf.get();
        let time = nanoseconds(time);
        let route = span.route.bind(py).get();
        let ender = route.tells_of_ending(py).then(|| thread::current().id());
        let first = span.state.with(py, |state| {
            let first = state.end.is_none();
            if first {
                state.start.get_or_insert(time);
                state.end = Some(time);
                state.ender = ender;
            }
            first
        });
        if first != Some(true) {
            too_late(py, "end");
            return Ok(());
        }
        route.count_end(py, span.is_sampled());
        let raised = route.ending(slf);
        span.state.with(py, |state| state.closed = true);
        raised.and(route.ended(slf))
    }

    /// Put an ended span into a queue: its bytes, or itself.
    pub fn hand_over(slf: &Bound<'_, Self>, queue: &PyQueue) {
        let py = slf.py();
        let span = slf.get();
        if queue.as_objects() {
            return queue.settle(py, || queue.push_object(py, slf.as_any()));
        }
        queue.settle(py, || {
            let pushed = span.with_frame(py, |frame, parts| {
                queue.push(py, &span.scope, frame.room(parts), |out| frame.put(out, parts))
            });
            pushed.unwrap_or(Offer::Dropped)
        });
    }
}

/// Note the exception that leaves the block of a span, for the program's sake quietly.
pub fn note_exception(
    span: &Bound<'_, PyAny>,
    exception: &Bound<'_, PyAny>,
    (record, set_status): (bool, bool),
    escaped: bool,
) -> PyResult<()> {
    let arguments = (span, exception, record, set_status, escaped);
    let note = || Api::help(span.py(), "note_exception", arguments);
    guarded(span.py(), "the exception of a span", note).map(drop)
}
