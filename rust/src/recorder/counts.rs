//! Numbers that only grow, of this process.

use super::fork;

/// N numbers; a forked child begins at zero.
#[derive(Debug)]
pub struct Counts<const N: usize> {
    generation: u64,
    numbers: [u64; N],
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self { generation: fork::generation(), numbers: [0; N] }
    }
}

impl<const N: usize> Counts<N> {
    #[inline]
    pub fn add(&mut self, at: usize) {
        self.refresh();
        self.numbers[at] += 1;
    }

    pub fn read(&mut self) -> [u64; N] {
        self.refresh();
        self.numbers
    }

    #[inline]
    fn refresh(&mut self) {
        if self.generation != fork::generation() {
            *self = Self::default();
        }
    }
}
