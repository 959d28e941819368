//! When a fault is there: windows on the simulated timeline, phases of a node, chance and count.

use std::num::NonZeroU64;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::Chance;
use crate::phase::Phase;
use crate::seed::Seed;
use crate::time::SimInstant;
use crate::timing::Latency;

/// Windows that are looked through for the next one in which chance lets something happen.
const WINDOWS_AHEAD: u64 = 64;

/// When a fault is there.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// Beginning of the first window.
    pub from: SimInstant,
    /// No window begins at or goes beyond this; none: no end.
    pub until: Option<SimInstant>,
    /// Length of a window; none: up to `until`.
    pub lasts: Option<Duration>,
    /// From the beginning of a window to that of the next; none: there is one window.
    pub repeats: Option<Duration>,
    /// Each window begins later by a draw between zero and this, for each subject and window anew.
    pub spread: Duration,
    /// Phases of the node's life in which it is there; empty: all.
    pub phases: Box<[Phase]>,
    /// Chance that an occasion goes wrong, or that there is a window at all.
    pub probability: Chance,
    /// Which of a subject's occasions go wrong; for states and events, which windows there are.
    pub occasions: Occasion,
}

impl Default for When {
    fn default() -> Self {
        Self {
            from: SimInstant::START,
            until: None,
            lasts: None,
            repeats: None,
            spread: Duration::ZERO,
            phases: Box::default(),
            probability: Chance::ONE,
            occasions: Occasion::All,
        }
    }
}

/// Which occasions count, of those that a subject meets within the windows and phases, numbered from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Each.
    #[default]
    All,
    /// The one with this number.
    Nth(NonZeroU64),
    /// Those up to this number.
    First(NonZeroU64),
    /// Those behind this number.
    After(NonZeroU64),
    /// Those whose number is a multiple of this.
    Every(NonZeroU64),
}

impl Occasion {
    /// Whether occasion number `n`, from 1, counts.
    #[must_use]
    pub fn includes(self, n: u64) -> bool {
        match self {
            Self::All => true,
            Self::Nth(wanted) => n == wanted.get(),
            Self::First(last) => n <= last.get(),
            Self::After(last) => n > last.get(),
            Self::Every(step) => n.is_multiple_of(step.get()),
        }
    }
}

/// A stretch of time in which a fault is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Number, from 1.
    pub number: u64,
    /// Its beginning, which is part of it.
    pub from: SimInstant,
    /// Its end, which is not; none: it has none.
    pub until: Option<SimInstant>,
}

impl Window {
    /// Whether `now` lies in it.
    #[must_use]
    pub fn contains(&self, now: SimInstant) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

impl When {
    /// What is wrong with it: the member and the reason.
    #[must_use]
    pub fn complaint(&self) -> Option<(&'static str, &'static str)> {
        if self.until.is_some_and(|until| until <= self.from) {
            return Some(("until", "must be after the beginning"));
        }
        match (self.lasts, self.repeats) {
            (Some(lasts), _) if lasts.is_zero() => Some(("lasts", "must be above zero")),
            (None, Some(_)) => Some(("repeats", "needs lasts: how long each window is")),
            (Some(lasts), Some(repeats)) if lasts.saturating_add(self.spread) > repeats => {
                Some(("repeats", "must not be shorter than lasts and spread together"))
            }
            _ => None,
        }
    }

    /// Window number `number`, from 1, of the subject whose seed this is; none if there is none.
    #[must_use]
    pub fn window(&self, number: u64, seed: Seed) -> Option<Window> {
        let index = number.checked_sub(1)?;
        let offset = match self.repeats {
            None if index > 0 => return None,
            None => Duration::ZERO,
            Some(repeats) => {
                let millis = u64::try_from(repeats.as_millis()).ok()?;
                Duration::from_millis(millis.checked_mul(index)?)
            }
        };
        let shift = Latency::Uniform {
            min: Duration::ZERO,
            max: self.spread,
        };
        let shift = if self.spread.is_zero() {
            Duration::ZERO
        } else {
            shift.draw(seed.child("spread").indexed(number))
        };
        let from = self.from + offset + shift;
        if self.until.is_some_and(|until| from >= until) {
            return None;
        }
        let end = self.lasts.map(|lasts| from + lasts);
        let until = match (end, self.until) {
            (Some(end), Some(until)) => Some(end.min(until)),
            (end, until) => end.or(until),
        };
        Some(Window { number, from, until })
    }

    /// The number of the only window that `now` can lie in.
    fn number_at(&self, now: SimInstant) -> u64 {
        let repeats = self.repeats.map_or(0, |repeats| repeats.as_millis());
        let passed = now.since(self.from).as_millis();
        passed
            .checked_div(repeats)
            .and_then(|index| u64::try_from(index).ok())
            .unwrap_or(0)
            .saturating_add(1)
    }

    /// The window around `now`, whatever chance says.
    #[must_use]
    pub fn window_at(&self, now: SimInstant, seed: Seed) -> Option<Window> {
        if now < self.from {
            return None;
        }
        self.window(self.number_at(now), seed)
            .filter(|window| window.contains(now))
    }

    /// The window with the latest beginning that is not after `now`, over or not, whatever chance says.
    #[must_use]
    pub fn last_begun(&self, now: SimInstant, seed: Seed) -> Option<Window> {
        if now < self.from {
            return None;
        }
        let number = self.number_at(now);
        // The window with this number may still lie ahead, and behind the last one are numbers without a window.
        let begun = |number| self.window(number, seed).filter(|window| window.from <= now);
        begun(number).or_else(|| begun(number.checked_sub(1)?))
    }

    /// Whether chance and count let there be the window or occasion with this number.
    #[must_use]
    pub fn happens(&self, number: u64, seed: Seed) -> bool {
        self.occasions.includes(number) && self.probability.draw(seed.child("chance").indexed(number))
    }

    /// The next instant after `after` at which a window that happens begins, or, if `ends`, also at which one ends.
    /// With long odds it may be one at which nothing happens: then ask again from there.
    #[must_use]
    pub fn next_edge(&self, after: SimInstant, seed: Seed, ends: bool) -> Option<SimInstant> {
        let first = self.number_at(after);
        let mut last = None;
        for number in first..=first.saturating_add(WINDOWS_AHEAD) {
            let Some(window) = self.window(number, seed) else {
                // The last window may not exist because its spread takes it beyond the end; none follows it.
                return None;
            };
            if self.happens(number, seed) {
                if window.from > after {
                    return Some(window.from);
                }
                if let Some(until) = window.until.filter(|until| ends && *until > after) {
                    return Some(until);
                }
            }
            last = Some(window.from).filter(|from| *from > after);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SimInstant {
        SimInstant::from_millis(seconds * 1000)
    }

    #[test]
    fn occasions_are_counted_from_one() {
        let three = NonZeroU64::new(3).unwrap();
        let hits = |occasion: Occasion| -> Vec<u64> { (1..=7).filter(|n| occasion.includes(*n)).collect() };
        assert_eq!(hits(Occasion::All), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(hits(Occasion::Nth(three)), [3]);
        assert_eq!(hits(Occasion::First(three)), [1, 2, 3]);
        assert_eq!(hits(Occasion::After(three)), [4, 5, 6, 7]);
        assert_eq!(hits(Occasion::Every(three)), [3, 6]);
    }

    #[test]
    fn windows_repeat_up_to_the_end() {
        let when = When {
            from: at(10),
            until: Some(at(35)),
            lasts: Some(Duration::from_secs(4)),
            repeats: Some(Duration::from_secs(10)),
            ..When::default()
        };
        let seed = Seed::root(1);
        let inside: Vec<u64> = (0..50)
            .filter(|second| when.window_at(at(*second), seed).is_some())
            .collect();
        assert_eq!(inside, [10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33]);
        assert_eq!(when.next_edge(at(0), seed, true), Some(at(10)));
        assert_eq!(when.next_edge(at(10), seed, true), Some(at(14)));
        assert_eq!(when.next_edge(at(10), seed, false), Some(at(20)));
        assert_eq!(when.next_edge(at(34), seed, true), None);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let second = Some(Duration::from_secs(1));
        let spread = Duration::from_secs(1);
        for (when, member) in [
            (
                When {
                    from: at(2),
                    until: Some(at(2)),
                    ..When::default()
                },
                "until",
            ),
            (
                When {
                    lasts: Some(Duration::ZERO),
                    ..When::default()
                },
                "lasts",
            ),
            (
                When {
                    repeats: second,
                    ..When::default()
                },
                "repeats",
            ),
            (
                When {
                    repeats: second,
                    lasts: second,
                    spread,
                    ..When::default()
                },
                "repeats",
            ),
        ] {
            assert_eq!(
                when.complaint().map(|(member, _)| member),
                Some(member),
                "{when:?}"
            );
        }
        assert_eq!(When::default().complaint(), None);
    }

    proptest! {
        /// Edges and windows tell the same story: between two edges nothing changes.
        #[test]
        fn nothing_changes_between_edges(
            seed: u64, from in 0_u64..100, lasts in 1_u64..50, gap in 0_u64..50, spread in 0_u64..50,
            until in proptest::option::of(1_u64..400), chance in 0.0_f64..=1.0, every in 1_u64..4,
        ) {
            let seconds = Duration::from_secs;
            let when = When {
                from: at(from),
                until: until.map(|length| at(from + length)),
                lasts: Some(seconds(lasts)),
                repeats: Some(seconds(lasts + gap + spread)),
                spread: seconds(spread),
                probability: Chance::new(chance).unwrap(),
                occasions: Occasion::Every(NonZeroU64::new(every).unwrap()),
                ..When::default()
            };
            prop_assert_eq!(when.complaint(), None);
            let seed = Seed::root(seed);
            let holds = |now| when.window_at(now, seed).is_some_and(|window| when.happens(window.number, seed));
            let mut now = SimInstant::START;
            while now < at(600) {
                let next = when.next_edge(now, seed, true).unwrap_or(at(600));
                prop_assert!(next > now);
                let last = SimInstant::from_millis(next.as_millis() - 1);
                let middle = SimInstant::from_millis((now.as_millis() + last.as_millis()) / 2);
                prop_assert_eq!(holds(now), holds(last), "{:?} {:?}", now, last);
                prop_assert_eq!(holds(now), holds(middle), "{:?} {:?}", now, middle);
                now = next;
            }
        }
    }
}
