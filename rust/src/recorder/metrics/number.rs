//! A measured number: whole as long as everything in it was.

/// Sums of whole numbers stay whole; one that leaves 64 bits goes on as a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub const ZERO: Self = Number::Int(0);

    #[inline]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    #[inline]
    pub fn plus(self, other: Self) -> Self {
        if let (Number::Int(one), Number::Int(other)) = (self, other)
            && let Some(sum) = one.checked_add(other)
        {
            return Number::Int(sum);
        }
        Number::Float(self.as_f64() + other.as_f64())
    }

    #[inline]
    pub fn minus(self, other: Self) -> Self {
        if let (Number::Int(one), Number::Int(other)) = (self, other)
            && let Some(difference) = one.checked_sub(other)
        {
            return Number::Int(difference);
        }
        Number::Float(self.as_f64() - other.as_f64())
    }
}

/// A sum in two steps, this interval and those before, so that floats round as in the official SDK.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    current: Number,
    earlier: Number,
}

impl Total {
    pub const ZERO: Self = Total { current: Number::ZERO, earlier: Number::ZERO };

    #[inline]
    pub fn add(&mut self, value: Number) {
        self.current = self.current.plus(value);
    }

    /// The sum of all; an interval ends.
    pub fn close(&mut self) -> Number {
        self.earlier = self.current.plus(self.earlier);
        self.current = Number::ZERO;
        self.earlier
    }
}

/// The least and greatest of what was measured.
#[derive(Clone, Copy, Debug)]
pub struct Extremes {
    pub min: f64,
    pub max: f64,
}

impl Extremes {
    pub const NONE: Self = Extremes { min: f64::INFINITY, max: f64::NEG_INFINITY };

    #[inline]
    pub fn add(&mut self, value: f64) {
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
    }
}
