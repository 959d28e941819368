//! The one place that reads the machine's clocks.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use metalsim_actors::time::{Clock, SimInstant};

/// Simulated time on the machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    start: Instant,
    speed: f64,
    epoch: DateTime<Utc>,
}

impl WallClock {
    /// A simulation that starts now. `speed`: simulated seconds in a real one; finite and above zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start(speed: f64) -> Self {
        Self {
            start: Instant::now(),
            speed,
            epoch: Utc::now(),
        }
    }
}

impl Clock for WallClock {
    fn now(&self) -> SimInstant {
        let elapsed = self.start.elapsed();
        if self.speed == 1.0 {
            return SimInstant::START + elapsed;
        }
        let simulated = Duration::try_from_secs_f64(elapsed.as_secs_f64() * self.speed);
        SimInstant::START + simulated.unwrap_or(Duration::MAX)
    }

    fn speed(&self) -> f64 {
        self.speed
    }

    fn real(&self) -> Duration {
        self.start.elapsed()
    }

    fn epoch(&self) -> DateTime<Utc> {
        self.epoch
    }
}

/// The machine's calendar time: for certificates and tokens, which real programs judge by it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> DateTime<Utc> {
    Utc::now()
}

/// Measures real time, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Real time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_time_runs_by_its_speed_and_shows_a_calendar() {
        let clock = WallClock::start(1e6);
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        let passed = clock.now().since(first);
        assert!(passed >= Duration::from_secs(2000), "{passed:?}");
        assert_eq!(clock.calendar(SimInstant::START), clock.epoch());
    }
}
