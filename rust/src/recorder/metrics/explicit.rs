//! Histograms with explicit bounds.

use super::number::{Extremes, Number, Total};

#[derive(Debug)]
pub struct Explicit {
    pub counts: Box<[u64]>,
    pub count: u64,
    pub sum: Total,
    pub extremes: Extremes,
}

/// The bucket of a value: the first whose upper bound is not below it.
#[inline]
pub fn bucket(bounds: &[f64], value: f64) -> usize {
    if bounds.len() <= 16 {
        // Without branches that depend on the value.
        return bounds.iter().map(|&bound| usize::from(bound < value)).sum();
    }
    bounds.partition_point(|&bound| bound < value)
}

impl Explicit {
    pub fn new(bounds: &[f64]) -> Self {
        Self {
            counts: vec![0; bounds.len() + 1].into(),
            count: 0,
            sum: Total::ZERO,
            extremes: Extremes::NONE,
        }
    }

    #[inline]
    pub fn record(&mut self, bounds: &[f64], value: Number) {
        let float = value.as_f64();
        self.sum.add(value);
        self.extremes.add(float);
        self.count += 1;
        self.counts[bucket(bounds, float)] += 1;
    }
}
