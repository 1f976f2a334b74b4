//! How much a span keeps, and the room it is written into, which the next one takes over.

use std::cell::RefCell;

use pyo3::prelude::*;

use super::super::attributes::{Attributes, Limits};
use super::super::span::Parts;
use super::values;

/// How much of everything a span keeps.
#[derive(Clone, Copy)]
pub struct SpanLimits {
    pub span: Limits,
    pub event: Limits,
    pub link: Limits,
    pub events: usize,
    pub links: usize,
}

impl SpanLimits {
    /// Attributes, their length, events, links, attributes of an event, of a link, and the length
    /// of both; None is no limit.
    pub fn read(limits: [Option<usize>; 7]) -> Self {
        let [attributes, own, events, links, event, link, length] =
            limits.map(|limit| limit.unwrap_or(usize::MAX));
        Self {
            span: Limits { count: attributes, length: own },
            event: Limits { count: event, length },
            link: Limits { count: link, length },
            events,
            links,
        }
    }
}

thread_local! {
    /// Parts of spans that are gone, whose room the next ones take.
    static POOL: RefCell<Vec<Parts>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Vec<Attributes>> = const { RefCell::new(Vec::new()) };
}

/// Room that is kept for the next span.
const KEPT: usize = 16 << 10;

#[inline]
pub fn new_parts() -> Parts {
    POOL.with(|pool| pool.try_borrow_mut().ok().and_then(|mut pool| pool.pop())).unwrap_or_else(
        || {
            let mut parts = Parts::default();
            parts.attributes.reserve(512, 16);
            parts
        },
    )
}

/// Keep the room of parts whose span is gone, unless it is large or there is enough.
#[inline]
pub fn keep_parts(parts: &mut Parts) {
    if parts.bytes() < KEPT {
        let mut parts = std::mem::take(parts);
        parts.clear();
        POOL.with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.len() < 32
            {
                pool.push(parts);
            }
        });
    }
}

/// Attributes of an event or link, read before the span is touched.
pub fn read_attributes<R>(
    mapping: Option<&Bound<'_, PyAny>>,
    number: u32,
    limits: Limits,
    act: impl FnOnce(&Attributes) -> R,
) -> R {
    let mut attributes = SCRATCH.with(|pool| pool.borrow_mut().pop()).unwrap_or_default();
    if let Some(mapping) = mapping {
        values::update(&mut attributes, number, limits, mapping);
    }
    let result = act(&attributes);
    if attributes.room() < KEPT {
        attributes.clear();
        SCRATCH.with(|pool| pool.borrow_mut().push(attributes));
    }
    result
}
