//! A set of numbers that come in runs.

use std::collections::BTreeMap;

/// Ranges by their first number; none of them touch.
#[derive(Clone, Debug, Default)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Add the numbers from `first` to `last`.
    pub fn insert(&mut self, mut first: u64, mut last: u64) {
        let touched = self.0.range(..=last.saturating_add(1)).rev();
        let touched = touched.take_while(|(_, end)| first <= end.saturating_add(1));
        let touched: Vec<(u64, u64)> = touched.map(|(start, end)| (*start, *end)).collect();
        for (start, end) in touched {
            self.0.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.0.insert(first, last);
    }

    /// Forget all below a number.
    pub fn trim(&mut self, below: u64) {
        while let Some((first, last)) = self.0.pop_first() {
            if last >= below {
                self.0.insert(first.max(below), last);
                break;
            }
        }
    }

    /// The ranges that reach into `from..end`.
    pub fn within(&self, from: u64, end: u64) -> Self {
        let before = self.0.range(..from).next_back().filter(|(_, last)| **last >= from);
        let inside = if from < end { Some(self.0.range(from..end)) } else { None };
        Self(
            before.into_iter().chain(inside.into_iter().flatten()).map(|(a, b)| (*a, *b)).collect(),
        )
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }
}

impl FromIterator<(u64, u64)> for Ranges {
    fn from_iter<T: IntoIterator<Item = (u64, u64)>>(ranges: T) -> Self {
        let mut all = Self::default();
        ranges.into_iter().for_each(|(first, last)| all.insert(first, last));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = Ranges::default();
        for (first, last) in [(5, 5), (9, 10), (7, 7), (6, 6), (20, 30), (8, 21)] {
            ranges.insert(first, last);
        }
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(5, 30)]);
        assert!(ranges.contains(5) && ranges.contains(30) && !ranges.contains(31));
        assert!(ranges.within(7, 8).contains(7) && ranges.within(31, 40).iter().next().is_none());
        ranges.trim(12);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(12, 30)]);
        ranges.trim(31);
        assert!(!ranges.contains(30));
    }
}
