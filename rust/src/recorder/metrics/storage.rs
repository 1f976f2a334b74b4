//! The series of one instrument under one view for one reader.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::any::Any;
use super::super::fork;
use super::attributes::{Attributes, Keep};
use super::encode::{self, Interval};
use super::exemplar::{Policy, Sample};
use super::number::Number;
use super::series::{Aggregation, Series};
use crate::wire::proto;

/// Series that are encoded without letting a measurement in between.
const AT_A_TIME: usize = 512;

static OVERFLOW: LazyLock<Attributes> = LazyLock::new(|| {
    let mut attributes = Attributes::default();
    attributes.push("otel.metric.overflow", Any::Bool(true));
    attributes
});

/// The time of a provider: the system's, unless a test has stopped it.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// Stand still at this time; 0 lets it run, and `u64::MAX` makes it fail.
    pub fn set(&self, time: u64) {
        self.0.store(time, Ordering::Relaxed);
    }

    /// Nanoseconds since the epoch.
    pub fn now(&self) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as u64),
            u64::MAX => panic!("the clock was told to fail"),
            time => time,
        }
    }
}

/// What a stream is.
#[derive(Debug)]
pub struct Settings {
    pub name: String,
    pub description: String,
    pub unit: String,
    pub aggregation: Aggregation,
    pub delta: bool,
    /// Measurements are observed totals, by an asynchronous instrument.
    pub observed: bool,
    pub keep: Keep,
    /// Attribute sets beyond so many share one series.
    pub limit: usize,
    pub exemplars: Policy,
    pub clock: Arc<Clock>,
}

#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("hashes only")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Debug, Default)]
struct State {
    generation: u64,
    /// From the hash of the attributes to the newest series that has it.
    table: HashMap<u64, u32, BuildHasherDefault<Identity>>,
    series: Vec<Series>,
    collected: Option<u64>,
}

#[derive(Debug)]
pub struct Storage {
    pub settings: Settings,
    state: Mutex<State>,
}

impl Storage {
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: Mutex::new(State::new()) }
    }

    /// The state; empty again in a process that was forked since.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if state.generation != fork::generation() {
            *state = State::new();
        }
        state
    }

    #[inline]
    pub fn record(&self, value: Number, attributes: &Attributes, sample: Option<&Sample>) {
        let settings = &self.settings;
        let hash = attributes.hash(&settings.keep);
        let mut state = self.lock();
        let found = state.find(hash, attributes, &settings.keep);
        let (index, overflow) = match found {
            Some(index) => (index, false),
            None if state.series.len() < settings.limit => {
                (state.insert(settings, hash, attributes, &settings.keep), false)
            }
            None => (state.overflow(settings), true),
        };
        let series = &mut state.series[index];
        series.record(&settings.aggregation, value);
        if let Some(sample) = sample {
            static NOTHING: Keep = Keep::Only(Vec::new());
            let keep = if overflow { &NOTHING } else { &settings.keep };
            let bounds = settings.aggregation.bounds();
            series.offer(settings.exemplars, bounds, value, sample, (attributes, keep));
        }
    }

    /// Append the metric at this time, and return how many points it has; nothing when it has none.
    pub fn collect(&self, out: &mut Vec<u8>, now: u64) -> usize {
        let before = out.len();
        let settings = &self.settings;
        let mut state = self.lock();
        let length = encode::expected(settings, state.series.len());
        out.reserve(length);
        let metric = proto::open(out, 2, length);
        let data = encode::open_metric(out, settings, length);
        let mut points = 0;
        if settings.delta && !settings.observed {
            let start = state.collected.replace(now);
            let series = std::mem::take(&mut state.series);
            state.table.clear();
            drop(state);
            for mut series in series {
                let interval = Interval { start: start.unwrap_or(series.start), now, delta: true };
                points += usize::from(encode::point(out, settings, &mut series, interval));
            }
        } else {
            let mut from = 0;
            while from < state.series.len() {
                let to = state.series.len().min(from + AT_A_TIME);
                for series in &mut state.series[from..to] {
                    let interval = Interval { start: series.start, now, delta: settings.delta };
                    points += usize::from(encode::point(out, settings, series, interval));
                }
                from = to;
                drop(state);
                state = self.lock();
            }
        }
        encode::close_metric(out, settings, data);
        proto::close(out, metric);
        if points == 0 {
            out.truncate(before);
        }
        points
    }
}

impl State {
    fn new() -> Self {
        Self { generation: fork::generation(), ..Self::default() }
    }

    #[inline]
    fn find(&self, hash: u64, attributes: &Attributes, keep: &Keep) -> Option<usize> {
        let mut index = *self.table.get(&hash)?;
        while let Some(series) = self.series.get(index as usize) {
            if attributes.equal(keep, &series.attributes) {
                return Some(index as usize);
            }
            index = series.next;
        }
        None
    }

    #[cold]
    fn insert(
        &mut self,
        settings: &Settings,
        hash: u64,
        attributes: &Attributes,
        keep: &Keep,
    ) -> usize {
        let index = self.series.len();
        let start = self.collected.filter(|_| settings.delta && !settings.observed);
        let aggregation = &settings.aggregation;
        let mut series = Series::new(
            aggregation,
            settings.observed,
            attributes.encoded(keep, aggregation.attributes_tag()),
            start.unwrap_or_else(|| settings.clock.now()),
        );
        if let Some(other) = self.table.insert(hash, index as u32) {
            series.next = other;
        }
        self.series.push(series);
        index
    }

    #[cold]
    fn overflow(&mut self, settings: &Settings) -> usize {
        let hash = OVERFLOW.hash(&Keep::All);
        self.find(hash, &OVERFLOW, &Keep::All)
            .unwrap_or_else(|| self.insert(settings, hash, &OVERFLOW, &Keep::All))
    }
}
