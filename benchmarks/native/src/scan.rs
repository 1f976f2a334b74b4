//! Count spans, points and records in chunks as they arrive, copying nothing.

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub fn of(path: &str) -> Option<Self> {
        match path {
            _ if path.contains("TraceService") || path.ends_with("/v1/traces") => {
                Some(Self::Traces)
            }
            _ if path.contains("MetricsService") || path.ends_with("/v1/metrics") => {
                Some(Self::Metrics)
            }
            _ if path.contains("LogsService") || path.ends_with("/v1/logs") => Some(Self::Logs),
            _ => None,
        }
    }

    /// Field numbers to descend into at a depth; None where a field is an item.
    fn descends(self, depth: usize, number: u64) -> bool {
        match depth {
            0 => number == 1,
            1 => number == 2,
            2 => self == Self::Metrics && number == 2,
            3 => matches!(number, 5 | 7 | 9 | 10 | 11),
            _ => false,
        }
    }

    fn is_item(self, depth: usize, number: u64) -> bool {
        if self == Self::Metrics { depth == 4 && number == 1 } else { depth == 2 && number == 2 }
    }
}

enum State {
    Tag,
    Varint,
    Length(u64),
}

/// A scanner that is fed the chunks of one message.
pub struct Counter {
    signal: Signal,
    state: State,
    value: u64,
    shift: u32,
    skip: u64,
    position: u64,
    ends: Vec<u64>,
    items: u64,
    broken: bool,
}

impl Counter {
    pub fn new(signal: Signal) -> Self {
        Self {
            signal,
            state: State::Tag,
            value: 0,
            shift: 0,
            skip: 0,
            position: 0,
            ends: Vec::with_capacity(5),
            items: 0,
            broken: false,
        }
    }

    pub fn feed(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while at < chunk.len() && !self.broken {
            if self.skip > 0 {
                let step = self.skip.min((chunk.len() - at) as u64);
                (at, self.skip, self.position) =
                    (at + step as usize, self.skip - step, self.position + step);
                continue;
            }
            let byte = chunk[at];
            (at, self.position) = (at + 1, self.position + 1);
            self.value |= u64::from(byte & 0x7f).checked_shl(self.shift).unwrap_or(0);
            self.shift += 7;
            if byte & 0x80 == 0 {
                let value = std::mem::take(&mut self.value);
                self.shift = 0;
                self.step(value);
            }
        }
    }

    fn step(&mut self, value: u64) {
        match std::mem::replace(&mut self.state, State::Tag) {
            State::Varint => {}
            State::Tag => {
                while self.ends.last().is_some_and(|end| self.position > *end) {
                    self.ends.pop();
                }
                match value & 7 {
                    0 => self.state = State::Varint,
                    1 => self.skip = 8,
                    2 => self.state = State::Length(value >> 3),
                    5 => self.skip = 4,
                    _ => self.broken = true,
                }
            }
            State::Length(number) => {
                let depth = self.ends.len();
                if self.signal.descends(depth, number) {
                    self.ends.push(self.position + value);
                } else {
                    self.skip = value;
                    self.items += u64::from(self.signal.is_item(depth, number));
                }
            }
        }
    }

    /// The items of a message that ended where it should; None for anything else.
    pub fn items(&self) -> Option<u64> {
        let whole = !self.broken && self.skip == 0 && matches!(self.state, State::Tag);
        let closed = self.ends.first().is_none_or(|end| *end == self.position);
        (whole && closed).then_some(self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Random, request};

    fn count(chunks: &[&[u8]], signal: Signal) -> Option<u64> {
        let mut counter = Counter::new(signal);
        chunks.iter().for_each(|chunk| counter.feed(chunk));
        counter.items()
    }

    #[test]
    fn chunks_do_not_change_the_count() {
        let data = request(&mut Random(7), 5);
        for cut in 0..data.len() {
            assert_eq!(count(&[&data[..cut], &data[cut..]], Signal::Traces), Some(5));
        }
        assert_eq!(count(&[&data[..data.len() - 1]], Signal::Traces), None);
        assert_eq!(count(&[&data, &data], Signal::Traces), Some(10));
    }

    #[test]
    fn metrics_are_counted_by_point() {
        // resource_metrics { scope_metrics { metrics { name "m" sum { data_points {} {} } } } }
        let data = [0x0a, 12, 0x12, 10, 0x12, 8, 0x0a, 0, 0x3a, 4, 0x0a, 0, 0x0a, 0];
        assert_eq!(count(&[&data], Signal::Metrics), Some(2));
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(count(&[], Signal::Logs), Some(0));
        assert_eq!(count(&[&[0x0b]], Signal::Logs), None);
    }
}
