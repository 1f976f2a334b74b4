//! Whose spans or records these are: a resource and an instrumentation scope, in wire form.

use std::sync::Arc;

use super::attributes::Attributes;
use crate::wire::proto::{close, open, put_bytes_field, put_varint_field};

/// The fields of a ResourceSpans (or ResourceLogs) around its scopes.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Resource {
    /// `attributes` are written as field 1.
    pub fn new(attributes: &Attributes, schema_url: &str) -> Self {
        let mut head = Vec::new();
        put_bytes_field(&mut head, 1, attributes.bytes());
        Self { head, tail: url(schema_url) }
    }
}

/// The fields of a ScopeSpans (or ScopeLogs) around its items, and whose scope it is.
#[derive(Debug)]
pub struct Scope {
    pub resource: Arc<Resource>,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Scope {
    /// `attributes` are written as field 3.
    pub fn new(
        resource: Arc<Resource>,
        name: &str,
        version: &str,
        attributes: &Attributes,
        schema_url: &str,
    ) -> Self {
        let mut head = Vec::new();
        let scope = open(&mut head, 1, 100);
        for (number, text) in [(1, name), (2, version)] {
            if !text.is_empty() {
                put_bytes_field(&mut head, number, text.as_bytes());
            }
        }
        head.extend_from_slice(attributes.bytes());
        if attributes.dropped() > 0 {
            put_varint_field(&mut head, 4, attributes.dropped().into());
        }
        close(&mut head, scope);
        Self { resource, head, tail: url(schema_url) }
    }

    pub fn is_like(&self, other: &Self) -> bool {
        self.head == other.head && self.tail == other.tail && self.resource == other.resource
    }
}

fn url(schema_url: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if !schema_url.is_empty() {
        put_bytes_field(&mut out, 3, schema_url.as_bytes());
    }
    out
}

/// Items of one scope: fields 2 back to back.
#[derive(Debug)]
pub struct Group {
    pub scope: Arc<Scope>,
    pub items: Vec<u8>,
}

/// One export request of all groups; groups with the same resource stand under one.
pub fn request(groups: &[Group]) -> Vec<u8> {
    let room: usize = groups
        .iter()
        .map(|group| {
            let scope = &group.scope;
            let resource = scope.resource.head.len() + scope.resource.tail.len();
            group.items.len() + scope.head.len() + scope.tail.len() + resource + 24
        })
        .sum();
    let mut out = Vec::with_capacity(room);
    let mut done = vec![false; groups.len()];
    for (at, first) in groups.iter().enumerate() {
        if done[at] {
            continue;
        }
        let resource = &first.scope.resource;
        let under = |group: &Group| {
            Arc::ptr_eq(&group.scope.resource, resource) || group.scope.resource == *resource
        };
        let guess =
            groups[at..].iter().filter(|group| under(group)).map(|one| one.items.len() + 200);
        let message = open(&mut out, 1, guess.sum());
        out.extend_from_slice(&resource.head);
        for (group, done) in groups.iter().zip(&mut done).skip(at) {
            if *done || !under(group) {
                continue;
            }
            *done = true;
            let scope = open(&mut out, 2, group.items.len() + group.scope.head.len());
            out.extend_from_slice(&group.scope.head);
            out.extend_from_slice(&group.items);
            out.extend_from_slice(&group.scope.tail);
            close(&mut out, scope);
        }
        out.extend_from_slice(&resource.tail);
        close(&mut out, message);
    }
    out
}
