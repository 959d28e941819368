//! Time in buckets. Their number is bounded: when the run gets longer, two become one.

use metalsim_actors::time::SimInstant;

/// Largest number of buckets: more than a plot can show.
pub(super) const MOST_BUCKETS: usize = 256;

/// Length of a bucket at first, in milliseconds.
const FIRST_LENGTH: u64 = 1000;

/// What a bucket holds.
pub(super) trait Fold: Default {
    /// Takes what the next bucket holds.
    fn fold(&mut self, later: Self);
}

impl Fold for u64 {
    fn fold(&mut self, later: Self) {
        *self = self.saturating_add(later);
    }
}

/// The length of all buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    length: u64,
}

impl Default for Grid {
    fn default() -> Self {
        Self { length: FIRST_LENGTH }
    }
}

impl Grid {
    /// Length of a bucket in milliseconds.
    pub(super) fn length(self) -> u64 {
        self.length
    }

    /// The bucket that `at` falls into.
    pub(super) fn index(self, at: SimInstant) -> usize {
        usize::try_from(at.as_millis() / self.length).unwrap_or(usize::MAX)
    }

    /// The number of times that all buckets have to be joined with their neighbours before `at` has one.
    pub(super) fn reach(&mut self, at: SimInstant) -> u32 {
        let mut times = 0;
        while self.index(at) >= MOST_BUCKETS {
            // 2^63 ms in 128 buckets: the end of time is reached before the length overflows.
            self.length = self.length.saturating_mul(2);
            times += 1;
        }
        times
    }
}

/// What all buckets hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Series<T>(Vec<T>);

impl<T: Fold> Series<T> {
    /// Joins each two neighbours.
    pub(super) fn join(&mut self) {
        let mut joined = Vec::with_capacity(self.0.len().div_ceil(2));
        let mut old = std::mem::take(&mut self.0).into_iter();
        while let Some(mut first) = old.next() {
            if let Some(second) = old.next() {
                first.fold(second);
            }
            joined.push(first);
        }
        self.0 = joined;
    }

    /// The bucket at `index`, which lies within the grid that [`Grid::reach`] has made.
    pub(super) fn at(&mut self, index: usize) -> &mut T {
        let index = index.min(MOST_BUCKETS - 1);
        if self.0.len() <= index {
            self.0.resize_with(index + 1, T::default);
        }
        &mut self.0[index]
    }

    /// The first buckets: those up to and with the last one that is in use.
    pub(super) fn used(&self) -> &[T] {
        &self.0
    }
}
