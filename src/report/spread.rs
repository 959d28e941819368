//! A histogram of durations with bars whose width grows with the duration: of bounded size, and equally exact for milliseconds
//! and days.

use super::model::{Bar, Spread};

/// Bars in an octave.
const FINE: u64 = 16;
/// Its logarithm.
const FINE_BITS: u32 = 4;
/// Bars up to the largest number of milliseconds there is.
const BARS: usize = (64 - FINE_BITS as usize + 1) * FINE as usize;

/// Counts of durations in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// As far as it is used.
    bars: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

/// The bar of a duration.
fn index(millis: u64) -> usize {
    if millis < FINE {
        return millis as usize;
    }
    let octave = millis.ilog2() - FINE_BITS;
    // 16 to 31 in the octave's own unit.
    let place = millis >> octave;
    (u64::from(octave) * FINE + place) as usize
}

/// The shortest duration of a bar; none: the bar behind the last one.
fn lowest(index: usize) -> Option<u64> {
    if index >= BARS {
        return None;
    }
    let index = index as u64;
    if index < FINE {
        return Some(index);
    }
    let octave = index / FINE - 1;
    Some((index % FINE + FINE) << octave)
}

impl Histogram {
    /// One more duration.
    pub(super) fn add(&mut self, millis: u64) {
        let index = index(millis);
        if self.bars.len() <= index {
            self.bars.resize(index + 1, 0);
        }
        self.bars[index] += 1;
        self.min = if self.count == 0 {
            millis
        } else {
            self.min.min(millis)
        };
        self.max = self.max.max(millis);
        self.count += 1;
        self.sum = self.sum.saturating_add(u128::from(millis));
    }

    /// The number of durations.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The bars that are not empty.
    fn bars(&self) -> impl Iterator<Item = Bar> {
        self.bars
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .filter_map(|(index, &count)| {
                Some(Bar {
                    from_ms: lowest(index)?,
                    below_ms: lowest(index + 1).unwrap_or(u64::MAX),
                    count,
                })
            })
    }

    /// The duration below which `share` of all lie: evenly spread within a bar.
    fn quantile(&self, share: f64) -> f64 {
        let (min, max) = (self.min as f64, self.max as f64);
        let wanted = share * self.count as f64;
        let mut before = 0.0;
        for bar in self.bars() {
            let count = bar.count as f64;
            if before + count >= wanted {
                let (from, below) = (bar.from_ms as f64, bar.below_ms as f64);
                let within = ((wanted - before) / count).clamp(0.0, 1.0);
                // A bar of one millisecond is that duration; no bar reaches beyond what was seen.
                let value = if below - from <= 1.0 {
                    from
                } else {
                    from + (below - from) * within
                };
                return value.clamp(min, max);
            }
            before += count;
        }
        max
    }

    /// The distribution for reports.
    pub(super) fn spread(&self) -> Spread {
        let mean = if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        };
        let quantile = |share| round(self.quantile(share));
        Spread {
            count: self.count,
            min_ms: self.min,
            max_ms: self.max,
            mean_ms: round(mean),
            p5_ms: quantile(0.05),
            p25_ms: quantile(0.25),
            p50_ms: quantile(0.5),
            p75_ms: quantile(0.75),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            histogram: self.bars().collect(),
        }
    }
}

/// To three places: reports are no longer than they need to be.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bars_follow_each_other_without_gaps() {
        for at in 0..BARS {
            let from = lowest(at).unwrap();
            assert_eq!(index(from), at);
            let last = lowest(at + 1).map_or(u64::MAX, |next| next - 1);
            assert_eq!(index(last), at);
            assert!((last - from) as f64 <= from as f64 / 16.0, "bar {at}");
        }
        assert_eq!(index(u64::MAX), BARS - 1);
    }

    #[test]
    fn nothing_has_a_spread() {
        assert_eq!(Histogram::default().spread(), Spread::default());
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_list(mut all in prop::collection::vec(0_u64..100_000_000, 1..200)) {
            let mut histogram = Histogram::default();
            for &one in &all {
                histogram.add(one);
            }
            all.sort_unstable();
            let spread = histogram.spread();
            prop_assert_eq!(spread.count, all.len() as u64);
            prop_assert_eq!((spread.min_ms, spread.max_ms), (all[0], all[all.len() - 1]));
            let mean = all.iter().sum::<u64>() as f64 / all.len() as f64;
            prop_assert!((spread.mean_ms - mean).abs() < 0.001);
            prop_assert_eq!(spread.histogram.iter().map(|bar| bar.count).sum::<u64>(), spread.count);
            for (share, value) in [(0.05, spread.p5_ms), (0.5, spread.p50_ms), (0.95, spread.p95_ms)] {
                // The nearest rank, and the width of its bar.
                let rank = ((share * all.len() as f64).ceil() as usize).clamp(1, all.len());
                let exact = all[rank - 1] as f64;
                prop_assert!((value - exact).abs() <= exact / 16.0 + 1.0, "{share}: {value} is not {exact}");
            }
        }
    }
}
