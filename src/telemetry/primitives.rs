//! Counters, gauges and histograms made of atomics alone: they are touched on the nodes' threads and for each request.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

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

/// What a histogram tells apart.
#[derive(Debug)]
pub(super) struct Scale {
    /// Upper limits of the buckets in seconds, ascending.
    limits: &'static [f64],
    /// Parts of a second in which the sum is kept: fine enough for what is measured, and coarse enough not to overflow
    /// within the life of a process with a million nodes.
    parts: u32,
}

const MICROS: u32 = 1_000_000;
const NANOS: u32 = 1_000_000_000;

/// Of requests: they take from some microseconds to the longest wait.
pub(super) static REQUESTS: Scale = Scale {
    limits: &[
        0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
    ],
    parts: MICROS,
};
/// Of lateness: what a timer misses by, up to what makes Ironic give a node up.
pub(super) static LATENESS: Scale = Scale {
    limits: &[
        0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0,
    ],
    parts: MICROS,
};
/// Of phases: from a POST that takes no time to a system that runs for a day.
pub(super) static PHASES: Scale = Scale {
    limits: &[
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0,
        10_000.0, 20_000.0, 50_000.0, 100_000.0,
    ],
    parts: MICROS,
};
/// Of steps: a few microseconds each.
pub(super) static STEPS: Scale = Scale {
    limits: &[
        1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.01, 0.1, 1.0,
    ],
    parts: NANOS,
};

/// Cells of a distribution that many threads fill.
const CELLS: usize = 16;

/// A distribution of durations.
#[derive(Debug)]
pub(super) struct Distribution {
    scale: &'static Scale,
    cells: Box<[Cell]>,
}

/// Observations of some threads, on cache lines of their own.
#[derive(Debug)]
#[repr(align(64))]
struct Cell {
    /// One more than there are limits.
    counts: Box<[AtomicU64]>,
    /// In parts of a second.
    sum: AtomicU64,
}

impl Distribution {
    pub(super) fn new(scale: &'static Scale) -> Self {
        Self::with(scale, 1)
    }

    /// For what threads observe all the time: they do not wait for each other's cache lines.
    pub(super) fn spread(scale: &'static Scale) -> Self {
        Self::with(scale, CELLS)
    }

    fn with(scale: &'static Scale, cells: usize) -> Self {
        let cell = || Cell {
            counts: (0..=scale.limits.len()).map(|_| AtomicU64::default()).collect(),
            sum: AtomicU64::default(),
        };
        Self {
            scale,
            cells: (0..cells).map(|_| cell()).collect(),
        }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let Some(cell) = self.cells.get(thread() % self.cells.len().max(1)) else {
            return;
        };
        let bucket = self.scale.limits.partition_point(|limit| *limit < seconds);
        if let Some(count) = cell.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        let parts = duration.as_nanos() / u128::from(NANOS / self.scale.parts);
        cell.sum
            .fetch_add(u64::try_from(parts).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// Observations by bucket.
    fn counts(&self) -> Vec<u64> {
        let of = |bucket: usize| {
            let counts = self.cells.iter().filter_map(|cell| cell.counts.get(bucket));
            counts.map(|count| count.load(Relaxed)).sum()
        };
        (0..=self.scale.limits.len()).map(of).collect()
    }

    /// Sum in seconds, count, and the buckets with their upper limits. Sum and count may differ by what is observed
    /// meanwhile.
    pub(super) fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let counts = self.counts();
        let limits = self.scale.limits.iter().copied().chain([f64::MAX]);
        let buckets = limits.zip(counts.iter().copied()).collect();
        let parts: u64 = self.cells.iter().map(|cell| cell.sum.load(Relaxed)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a sum for people: 15 digits will do")]
        let sum = parts as f64 / f64::from(self.scale.parts);
        (sum, counts.iter().sum(), buckets)
    }
}

/// The number of this thread.
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_limit_they_do_not_pass() {
        static SCALE: Scale = Scale {
            limits: &[1.0, 2.0],
            parts: MICROS,
        };
        for distribution in [Distribution::new(&SCALE), Distribution::spread(&SCALE)] {
            let observe = || {
                for millis in [0, 1000, 1001, 5000] {
                    distribution.observe(Duration::from_millis(millis));
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(observe);
                scope.spawn(observe);
            });
            assert_eq!(distribution.counts(), [4, 2, 2]);
            assert_eq!(distribution.count(), 8);
            let (sum, count, buckets) = distribution.read();
            assert_eq!((sum, count), (14.002, 8));
            assert_eq!(buckets, [(1.0, 4), (2.0, 2), (f64::MAX, 2)]);
        }
    }

    #[test]
    fn limits_ascend() {
        for scale in [&REQUESTS, &LATENESS, &PHASES, &STEPS] {
            assert!(scale.limits.is_sorted_by(|one, other| one < other));
        }
    }
}
