//! Simulated time: milliseconds since the simulation started, and the clock that tells it.

use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A point in simulated time, in milliseconds since the simulation started.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct SimInstant(u64);

impl SimInstant {
    /// The start of the simulation.
    pub const START: Self = Self(0);

    /// The instant `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for SimInstant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl Sub for SimInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Tells the simulated time. Implemented outside this package on the machine's monotonic clock, and by the test kit.
pub trait Clock: Send + Sync + 'static {
    /// The simulated time now. It never goes back.
    fn now(&self) -> SimInstant;

    /// How many simulated seconds pass in a real one.
    fn speed(&self) -> f64;

    /// Real time since a fixed point, for measurements alone: nothing that a node does may depend on it.
    fn real(&self) -> Duration;

    /// The calendar time of the simulation's start.
    fn epoch(&self) -> DateTime<Utc>;

    /// The calendar time that a simulated server shows at `instant`.
    fn calendar(&self, instant: SimInstant) -> DateTime<Utc> {
        let millis = i64::try_from(instant.as_millis()).unwrap_or(i64::MAX);
        self.epoch()
            .checked_add_signed(TimeDelta::milliseconds(millis))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}
