//! Counters, gauges and histograms made of atomics alone: they are touched on the nodes' threads and for each request.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, MetricEncoder, NoLabelSet};

/// Only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn one(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Grows and shrinks.
#[derive(Debug, Default)]
pub(super) struct Level(AtomicI64);

impl Level {
    pub(super) fn add(&self, change: i64) {
        self.0.fetch_add(change, Relaxed);
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Upper limits of a histogram's buckets in seconds.
pub(super) type Limits = &'static [f64];

/// Of requests: they take from some microseconds to the longest wait.
pub(super) const REQUEST_LIMITS: Limits = &[
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];
/// Of lateness: what a timer misses by, up to what makes Ironic give a node up.
pub(super) const LATENESS_LIMITS: Limits = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// A distribution of durations.
#[derive(Debug)]
pub(super) struct Distribution {
    limits: Limits,
    /// One more than there are limits.
    counts: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

impl Distribution {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            counts: (0..=limits.len()).map(|_| AtomicU64::default()).collect(),
            sum_micros: AtomicU64::default(),
        }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.limits.partition_point(|limit| *limit < seconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Writes the buckets. Sum and count may differ by what is observed meanwhile.
    pub(super) fn encode<L: EncodeLabelSet>(
        &self,
        encoder: &mut MetricEncoder<'_>,
        labels: &L,
    ) -> std::fmt::Result {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let limits = self.limits.iter().copied().chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = limits.zip(counts.iter().copied()).collect();
        let sum = Duration::from_micros(self.sum_micros.load(Relaxed)).as_secs_f64();
        encoder.encode_family(labels)?.encode_histogram::<NoLabelSet>(
            sum,
            counts.iter().sum(),
            &buckets,
            None,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_limit_they_do_not_pass() {
        let distribution = Distribution::new(&[1.0, 2.0]);
        for millis in [0, 1000, 1001, 5000] {
            distribution.observe(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = distribution
            .counts
            .iter()
            .map(|count| count.load(Relaxed))
            .collect();
        assert_eq!(counts, [2, 1, 1]);
        assert_eq!(distribution.count(), 4);
    }
}
