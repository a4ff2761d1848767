//! Median and percentile of a sample of durations.

use std::time::Duration;

/// Durations of the same thing, measured several times.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    sorted: Vec<Duration>,
}

impl Sample {
    /// Number of measurements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Returns the median; the mean of the middle two for an even number.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        let last = self.sorted.len().checked_sub(1)?;
        let low = self.sorted.get(last / 2)?;
        let high = self.sorted.get(last.div_ceil(2))?;
        Some((*low + *high) / 2)
    }

    /// Returns the smallest measurement that at least `percent` per cent of all do not exceed (nearest
    /// rank), which is always a measured duration.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.sorted.len() * percent.min(100)).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied()
    }
}

impl FromIterator<Duration> for Sample {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut sorted: Vec<Duration> = durations.into_iter().collect();
        sorted.sort_unstable();
        Self { sorted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(milliseconds: impl IntoIterator<Item = u64>) -> Sample {
        milliseconds.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn median_of_an_odd_sample_is_its_middle_whatever_the_order() {
        assert_eq!(sample([9, 1, 5]).median(), Some(Duration::from_millis(5)));
    }

    #[test]
    fn median_of_an_even_sample_lies_between_the_middle_two() {
        assert_eq!(sample([4, 1, 2, 9]).median(), Some(Duration::from_millis(3)));
    }

    #[test]
    fn p99_of_300_leaves_out_the_worst_three() {
        assert_eq!(sample(1..=300).percentile(99), Some(Duration::from_millis(297)));
    }

    #[test]
    fn p99_of_a_small_sample_is_its_worst() {
        assert_eq!(sample([3, 7]).percentile(99), Some(Duration::from_millis(7)));
    }

    #[test]
    fn an_empty_sample_has_no_figures() {
        assert!(sample([]).is_empty());
        assert_eq!(sample([]).median(), None);
        assert_eq!(sample([]).percentile(99), None);
    }
}
