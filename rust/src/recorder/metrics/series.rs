//! One series: an attribute set of a stream and what was measured for it.

use super::attributes::{Attributes, Keep};
use super::exemplar::{Exemplar, Policy, Reservoir, Sample};
use super::explicit::Explicit;
use super::exponential::Exponential;
use super::number::{Number, Total};

/// How a stream aggregates.
#[derive(Clone, Debug)]
pub enum Aggregation {
    Sum { monotonic: bool },
    LastValue,
    Explicit { bounds: Box<[f64]>, extremes: bool },
    Exponential { max_size: i32, max_scale: i32, extremes: bool },
}

impl Aggregation {
    /// The tag of the attributes in a data point of this kind.
    pub fn attributes_tag(&self) -> u8 {
        match self {
            Aggregation::Sum { .. } | Aggregation::LastValue => 0x3a,
            Aggregation::Explicit { .. } => 0x4a,
            Aggregation::Exponential { .. } => 0x0a,
        }
    }

    pub fn bounds(&self) -> &[f64] {
        match self {
            Aggregation::Explicit { bounds, .. } => bounds,
            _ => &[],
        }
    }
}

#[derive(Debug)]
pub enum Value {
    Sum {
        total: Total,
    },
    /// Of an observable: the total that was last reported, for deltas.
    Observed {
        now: Option<Number>,
        before: Number,
    },
    Last(Option<Number>),
    Explicit(Box<Explicit>),
    Exponential(Box<Exponential>),
}

#[derive(Debug)]
pub struct Series {
    /// The attributes as a field of the data point.
    pub attributes: Box<[u8]>,
    pub start: u64,
    pub value: Value,
    pub reservoir: Option<Box<Reservoir>>,
    /// Another series with the same hash.
    pub next: u32,
}

impl Series {
    pub fn new(
        aggregation: &Aggregation,
        observed: bool,
        attributes: Box<[u8]>,
        start: u64,
    ) -> Self {
        let value = match aggregation {
            Aggregation::Sum { .. } if observed => {
                Value::Observed { now: None, before: Number::ZERO }
            }
            Aggregation::Sum { .. } => Value::Sum { total: Total::ZERO },
            Aggregation::LastValue => Value::Last(None),
            Aggregation::Explicit { bounds, .. } => Value::Explicit(Explicit::new(bounds).into()),
            Aggregation::Exponential { max_scale, .. } => {
                Value::Exponential(Exponential::new(*max_scale).into())
            }
        };
        Self { attributes, start, value, reservoir: None, next: u32::MAX }
    }

    #[inline]
    pub fn record(&mut self, aggregation: &Aggregation, value: Number) {
        match (&mut self.value, aggregation) {
            (Value::Sum { total }, _) => total.add(value),
            (Value::Last(last), _) => *last = Some(value),
            (Value::Observed { now, .. }, _) => {
                *now = Some(now.unwrap_or(Number::ZERO).plus(value));
            }
            (Value::Explicit(explicit), Aggregation::Explicit { bounds, .. }) => {
                explicit.record(bounds, value);
            }
            (Value::Exponential(exponential), Aggregation::Exponential { max_size, .. }) => {
                exponential.record(*max_size, value);
            }
            _ => unreachable!("a series is made for its aggregation"),
        }
    }

    /// Offer a measurement to the reservoir; its attributes are copied only when it is kept.
    pub fn offer(
        &mut self,
        policy: Policy,
        bounds: &[f64],
        value: Number,
        sample: &Sample,
        attributes: (&Attributes, &Keep),
    ) {
        let reservoir = self.reservoir.get_or_insert_default();
        if let Some(place) = reservoir.place(policy, bounds, value) {
            let filtered = attributes.0.filtered(attributes.1, 0x3a);
            reservoir.put(place, Exemplar { value, sample: *sample, filtered });
        }
    }
}
