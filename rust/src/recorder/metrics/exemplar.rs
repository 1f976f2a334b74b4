//! Exemplars: a few measurements of a series, with the span they were made in.

use super::explicit::bucket;
use super::number::Number;

/// Where a measurement was made, for one that may become an exemplar.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub time: u64,
    /// Trace and span id, big-endian.
    pub span: Option<([u8; 16], [u8; 8])>,
}

#[derive(Debug)]
pub struct Exemplar {
    pub value: Number,
    pub sample: Sample,
    /// What the view removed, as the field of an exemplar.
    pub filtered: Box<[u8]>,
}

/// Which measurements are kept.
#[derive(Clone, Copy, Debug)]
pub enum Policy {
    /// Each of so many with the same probability.
    Fixed(usize),
    /// The last of each bucket of an explicit histogram.
    Aligned,
}

#[derive(Debug, Default)]
pub struct Reservoir {
    seen: usize,
    kept: Vec<Option<Exemplar>>,
}

impl Reservoir {
    /// The place of a measurement that is kept.
    pub fn place(&mut self, policy: Policy, bounds: &[f64], value: Number) -> Option<usize> {
        self.seen += 1;
        match policy {
            Policy::Aligned => Some(bucket(bounds, value.as_f64())),
            Policy::Fixed(size) if self.seen <= size => Some(self.seen - 1),
            Policy::Fixed(size) => Some(fastrand::usize(..self.seen)).filter(|place| *place < size),
        }
    }

    pub fn put(&mut self, place: usize, exemplar: Exemplar) {
        if place >= self.kept.len() {
            self.kept.resize_with(place + 1, || None);
        }
        self.kept[place] = Some(exemplar);
    }

    /// What is kept, in order of place.
    pub fn exemplars(&self) -> impl Iterator<Item = &Exemplar> {
        self.kept.iter().flatten()
    }

    pub fn clear(&mut self) {
        self.seen = 0;
        self.kept.clear();
    }
}
