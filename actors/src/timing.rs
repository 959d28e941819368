//! How long simulated things take: a distribution for each, drawn from the tree of seeds.

mod form;
mod span;

use std::time::Duration;

use rand::RngExt as _;
use rand_distr::{Distribution as _, LogNormal, Normal};

use crate::seed::Seed;

pub use self::span::Span;

/// No draw is longer than this, whatever the distribution says: a tail must not park a node for ever.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A distribution of durations, in simulated time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Anything between the two with equal probability.
    Uniform {
        /// Shortest.
        min: Duration,
        /// Longest; not shorter than `min`.
        max: Duration,
    },
    /// Normal distribution, cut at zero.
    Normal {
        /// Mean.
        mean: Duration,
        /// Standard deviation.
        sd: Duration,
    },
    /// Log-normal distribution given by its median and by the standard deviation of its logarithm.
    LogNormal {
        /// Median.
        median: Duration,
        /// Standard deviation of the natural logarithm; 0.5 gives a 95th percentile of 2.3 medians.
        sigma: f64,
    },
}

impl Latency {
    /// No time at all.
    pub const ZERO: Self = Self::Constant(Duration::ZERO);

    /// A constant number of milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self::Constant(Duration::from_millis(millis))
    }

    /// One draw.
    #[must_use]
    pub fn draw(self, seed: Seed) -> Duration {
        let seconds = match self {
            Self::Constant(duration) => return duration.min(LONGEST),
            Self::Uniform { min, max } => {
                let (low, high) = (min.as_secs_f64(), max.as_secs_f64());
                low + (high - low) * seed.rng().random::<f64>()
            }
            Self::Normal { mean, sd } => Normal::new(mean.as_secs_f64(), sd.as_secs_f64())
                .map_or(mean.as_secs_f64(), |normal| normal.sample(&mut seed.rng())),
            Self::LogNormal { median, sigma } => {
                let median = median.as_secs_f64();
                if median <= 0.0 {
                    return Duration::ZERO;
                }
                LogNormal::new(median.ln(), sigma).map_or(median, |law| law.sample(&mut seed.rng()))
            }
        };
        Duration::try_from_secs_f64(seconds.max(0.0)).map_or(LONGEST, |drawn| drawn.min(LONGEST))
    }
}

/// The simulated durations of a node's life. All in simulated time: `speed` shortens them.
#[derive(Clone, PartialEq, Debug)]
pub struct Timing {
    /// From a reset that turns power on to `PowerState: On`.
    pub power_on: Latency,
    /// From a forced power-off to `PowerState: Off`.
    pub power_off: Latency,
    /// From a graceful shutdown request to `PowerState: Off`.
    pub graceful_shutdown: Latency,
    /// Power-on self test, from power on to the choice of the boot target.
    pub post: Latency,
    /// From the boot target to the agent's first action.
    pub ramdisk_boot: Latency,
    /// From the boot target to a running operating system.
    pub os_boot: Latency,
    /// cloud-init: from the running kernel to the configured system, when there is a config drive.
    pub cloud_init: Latency,
    /// What an asynchronous agent command takes, unless `agent_commands` names it.
    pub agent_command: Latency,
    /// Exceptions to `agent_command`, by command (`image.install_bootloader`) or step (`write_image`).
    pub agent_commands: Vec<(Box<str>, Latency)>,
    /// From an accepted virtual media request to the slot's new state.
    pub virtual_media: Latency,
    /// From an accepted firmware update to the end of its task.
    pub firmware_update: Latency,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            power_on: Latency::millis(1000),
            power_off: Latency::millis(1000),
            graceful_shutdown: Latency::millis(5000),
            post: Latency::millis(1000),
            ramdisk_boot: Latency::millis(5000),
            os_boot: Latency::millis(10_000),
            cloud_init: Latency::millis(5_000),
            agent_command: Latency::millis(1000),
            agent_commands: Vec::new(),
            virtual_media: Latency::ZERO,
            firmware_update: Latency::millis(60_000),
        }
    }
}

impl Timing {
    /// The same life with every duration zero.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            power_on: Latency::ZERO,
            power_off: Latency::ZERO,
            graceful_shutdown: Latency::ZERO,
            post: Latency::ZERO,
            ramdisk_boot: Latency::ZERO,
            os_boot: Latency::ZERO,
            cloud_init: Latency::ZERO,
            agent_command: Latency::ZERO,
            agent_commands: Vec::new(),
            virtual_media: Latency::ZERO,
            firmware_update: Latency::ZERO,
        }
    }

    /// What the command or step `name` takes.
    #[must_use]
    pub fn of_command(&self, name: &str) -> Latency {
        self.agent_commands
            .iter()
            .find(|(known, _)| &**known == name)
            .map_or(self.agent_command, |(_, latency)| *latency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn draws_stay_within_their_limits(seed: u64, min in 0_u64..5000, width in 0_u64..5000, sd in 0_u64..5000) {
            let seed = Seed::root(seed);
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + width));
            let drawn = Latency::Uniform { min, max }.draw(seed);
            prop_assert!(drawn >= min && drawn <= max);
            let normal = Latency::Normal { mean: min, sd: Duration::from_millis(sd) };
            prop_assert_eq!(normal.draw(seed), normal.draw(seed));
            let wild = Latency::LogNormal { median: max, sigma: 50.0 };
            prop_assert!(wild.draw(seed) <= LONGEST);
        }
    }
}
