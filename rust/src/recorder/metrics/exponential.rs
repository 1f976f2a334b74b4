//! Base-2 exponential histograms. Spec: Metrics Data Model, ExponentialHistogram.

use std::collections::VecDeque;
use std::f64::consts::LN_2;

use super::number::{Extremes, Number, Total};

const MANTISSA_BITS: u32 = 52;
const MIN_EXPONENT: i32 = -1022;
const MAX_EXPONENT: i32 = 1023;

/// Scale below which every float is in one of two buckets.
pub const MIN_SCALE: i32 = -10;

/// Where values of one scale fall.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    scale: i32,
    factor: f64,
}

impl Mapping {
    pub fn new(scale: i32) -> Self {
        Self { scale, factor: 2f64.powi(scale) / LN_2 }
    }

    /// The bucket of a finite value above zero: bucket i holds (base^i, base^(i+1)].
    #[inline]
    pub fn index(&self, value: f64) -> i32 {
        let bits = value.to_bits();
        let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
        let exponent = (bits >> MANTISSA_BITS & 0x7ff) as i32 - 1023;
        if self.scale > 0 {
            if value <= f64::MIN_POSITIVE {
                return (MIN_EXPONENT << self.scale) - 1;
            }
            if mantissa == 0 {
                return (exponent << self.scale) - 1;
            }
            let last = ((MAX_EXPONENT + 1) << self.scale) - 1;
            return ((value.ln() * self.factor).floor() as i32).min(last);
        }
        // Upper bounds are inclusive, so a power of two belongs to the bucket below it.
        let exponent = if value < f64::MIN_POSITIVE {
            MIN_EXPONENT - 1
        } else {
            exponent - i32::from(mantissa == 0)
        };
        exponent >> -self.scale
    }
}

/// Adjacent buckets; the first has the index `start`.
#[derive(Debug, Default)]
pub struct Buckets {
    pub start: i32,
    pub counts: VecDeque<u64>,
}

impl Buckets {
    fn end(&self) -> i32 {
        self.start + self.counts.len() as i32 - 1
    }

    /// The range with this index in it.
    fn range_with(&self, index: i32) -> (i32, i32) {
        if self.counts.is_empty() {
            return (index, index);
        }
        (self.start.min(index), self.end().max(index))
    }

    fn increment(&mut self, index: i32) {
        if self.counts.is_empty() {
            self.start = index;
        }
        while index < self.start {
            self.counts.push_front(0);
            self.start -= 1;
        }
        while index > self.end() {
            self.counts.push_back(0);
        }
        self.counts[(index - self.start) as usize] += 1;
    }

    fn downscale(&mut self, by: u32) {
        if by == 0 || self.counts.is_empty() {
            return;
        }
        let start = self.start >> by;
        let mut counts = VecDeque::with_capacity((self.end() >> by) as usize - start as usize + 1);
        for (i, &count) in (self.start..).zip(&self.counts) {
            let at = ((i >> by) - start) as usize;
            if at == counts.len() {
                counts.push_back(0);
            }
            counts[at] += count;
        }
        *self = Self { start, counts };
    }
}

#[derive(Debug)]
pub struct Exponential {
    mapping: Mapping,
    pub positive: Buckets,
    pub negative: Buckets,
    pub zeros: u64,
    pub count: u64,
    pub sum: Total,
    pub extremes: Extremes,
}

impl Exponential {
    pub fn new(max_scale: i32) -> Self {
        Self {
            mapping: Mapping::new(max_scale),
            positive: Buckets::default(),
            negative: Buckets::default(),
            zeros: 0,
            count: 0,
            sum: Total::ZERO,
            extremes: Extremes::NONE,
        }
    }

    /// The scale; 0 while there are only zeros, which need none.
    pub fn scale(&self) -> i32 {
        if self.count == self.zeros { 0 } else { self.mapping.scale }
    }

    pub fn record(&mut self, max_size: i32, value: Number) {
        let float = value.as_f64();
        self.sum.add(value);
        self.extremes.add(float);
        self.count += 1;
        if float == 0.0 {
            self.zeros += 1;
            return;
        }
        let magnitude = float.abs();
        let mut index = self.mapping.index(magnitude);
        let buckets = if float > 0.0 { &self.positive } else { &self.negative };
        let (mut low, mut high) = buckets.range_with(index);
        let mut change = 0;
        while high - low >= max_size && self.mapping.scale - change > MIN_SCALE {
            (low, high, change) = (low >> 1, high >> 1, change + 1);
        }
        if change > 0 {
            self.positive.downscale(change as u32);
            self.negative.downscale(change as u32);
            self.mapping = Mapping::new(self.mapping.scale - change);
            index = self.mapping.index(magnitude);
        }
        let buckets = if float > 0.0 { &mut self.positive } else { &mut self.negative };
        buckets.increment(index);
    }
}
