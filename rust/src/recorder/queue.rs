//! What waits for export: items of many scopes in requests of a given size, bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::scope::{Group, Scope, request};

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Items of one request.
    pub batch: usize,
    pub bytes: usize,
    pub items: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    groups: Vec<Group>,
    items: usize,
}

/// Finished chunks, and one that is being filled.
#[derive(Debug)]
pub struct Queue {
    bounds: Bounds,
    full: VecDeque<Chunk>,
    open: Chunk,
    items: usize,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl Queue {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            full: VecDeque::new(),
            open: Chunk::default(),
            items: 0,
            bytes: 0,
            spare: Vec::new(),
        }
    }

    pub fn items(&self) -> usize {
        self.items
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether an item of about so many bytes fits.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.items < self.bounds.items && self.bytes + bytes <= self.bounds.bytes
    }

    /// Append an item, which `write` adds as a field 2; return whether a request is complete by it.
    pub fn push(&mut self, scope: &Arc<Scope>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let groups = &mut self.open.groups;
        let same = |group: &Group| Arc::ptr_eq(&group.scope, scope);
        let like = |group: &Group| group.scope.is_like(scope);
        let found = groups.iter().rposition(same).or_else(|| groups.iter().rposition(like));
        let at = found.unwrap_or_else(|| {
            let items = self.spare.pop().unwrap_or_default();
            groups.push(Group { scope: scope.clone(), items });
            groups.len() - 1
        });
        let items = &mut groups[at].items;
        let before = items.len();
        write(items);
        self.bytes += items.len() - before;
        self.items += 1;
        self.open.items += 1;
        if self.open.items < self.bounds.batch {
            return false;
        }
        self.full.push_back(std::mem::take(&mut self.open));
        true
    }

    /// The oldest request and its number of items; one that is not complete only with `all`.
    pub fn take(&mut self, all: bool) -> Option<(Vec<u8>, usize)> {
        let chunk = match self.full.pop_front() {
            Some(chunk) => chunk,
            None if all && self.open.items > 0 => std::mem::take(&mut self.open),
            None => return None,
        };
        let found = (request(&chunk.groups), chunk.items);
        self.remove(chunk);
        Some(found)
    }

    /// Make room by dropping the oldest complete request; return how many items that were.
    pub fn drop_oldest(&mut self) -> usize {
        let Some(chunk) = self.full.pop_front() else { return 0 };
        let items = chunk.items;
        self.remove(chunk);
        items
    }

    fn remove(&mut self, chunk: Chunk) {
        self.items -= chunk.items;
        for mut group in chunk.groups {
            self.bytes -= group.items.len();
            if self.spare.len() < 4 && group.items.capacity() <= 1 << 20 {
                group.items.clear();
                self.spare.push(group.items);
            }
        }
    }

    /// Start again, as in a child that inherited what its parent will send.
    pub fn clear(&mut self) {
        *self = Self::new(self.bounds);
    }
}
