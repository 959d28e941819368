//! When a fault is there, for drawing: the windows that its rule gives, not what chance makes of them.

use metalsim_actors::fault::When;
use metalsim_actors::time::SimInstant;

use super::model::Stretch;

/// Largest number of windows of a fault in a report: more cannot be told apart.
pub(super) const MOST_WINDOWS: usize = 128;
/// Largest number of windows that are looked at; the last one then stands for all behind it.
const MOST_TURNS: usize = 100_000;

/// The stretches of the run up to `end` in which a fault may strike: in order, without overlaps. A window that begins later by
/// chance is drawn up to its latest end. If there are too many, close ones are joined.
#[must_use]
pub fn windows(when: &When, end: SimInstant) -> Vec<Stretch> {
    let end = end.as_millis();
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let until = when.until.map_or(end, |until| until.as_millis().min(end));
    let length = when.lasts.map_or(u64::MAX, millis);
    let spread = millis(when.spread);
    let turn = when.repeats.map(millis).filter(|turn| *turn > 0);
    let mut found: Vec<Stretch> = Vec::new();
    let mut from = when.from.as_millis();
    for number in 0..MOST_TURNS {
        if from >= until {
            break;
        }
        let last = number + 1 == MOST_TURNS;
        let window_end = if last {
            until
        } else {
            from.saturating_add(length).saturating_add(spread).min(until)
        };
        match found.last_mut() {
            Some(before) if before.until_ms >= from => before.until_ms = before.until_ms.max(window_end),
            _ => found.push(Stretch {
                from_ms: from,
                until_ms: window_end,
            }),
        }
        let Some(turn) = turn else { break };
        from = from.saturating_add(turn);
    }
    join(found, MOST_WINDOWS)
}

/// Joins those with the smallest gaps until at most `most` are left.
pub(super) fn join(mut windows: Vec<Stretch>, most: usize) -> Vec<Stretch> {
    if windows.len() <= most {
        return windows;
    }
    let mut gaps: Vec<u64> = windows
        .windows(2)
        .map(|pair| pair[1].from_ms.saturating_sub(pair[0].until_ms))
        .collect();
    gaps.sort_unstable();
    // Gaps up to this length are closed. Of gaps of one length all are.
    let closed = gaps[windows.len() - most - 1];
    windows.dedup_by(|later, earlier| {
        let close = later.from_ms.saturating_sub(earlier.until_ms) <= closed;
        if close {
            earlier.until_ms = earlier.until_ms.max(later.until_ms);
        }
        close
    });
    windows
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SimInstant {
        SimInstant::from_millis(seconds * 1000)
    }

    fn seconds(when: &When, end: u64) -> Vec<(u64, u64)> {
        windows(when, at(end))
            .iter()
            .map(|window| (window.from_ms / 1000, window.until_ms / 1000))
            .collect()
    }

    #[test]
    fn windows_are_those_of_the_rule() {
        let mut when = When {
            from: at(100),
            ..When::default()
        };
        assert_eq!(seconds(&when, 50), []);
        assert_eq!(seconds(&when, 1000), [(100, 1000)]);
        when.until = Some(at(600));
        assert_eq!(seconds(&when, 1000), [(100, 600)]);
        when.lasts = Some(Duration::from_secs(60));
        assert_eq!(seconds(&when, 1000), [(100, 160)]);
        when.repeats = Some(Duration::from_secs(200));
        assert_eq!(seconds(&when, 1000), [(100, 160), (300, 360), (500, 560)]);
        assert_eq!(seconds(&when, 520), [(100, 160), (300, 360), (500, 520)]);
        when.spread = Duration::from_secs(100);
        assert_eq!(seconds(&when, 1000), [(100, 260), (300, 460), (500, 600)]);
        when.spread = Duration::from_secs(150);
        assert_eq!(seconds(&when, 1000), [(100, 600)]);
    }

    #[test]
    fn many_windows_become_few_that_cover_them() {
        let when = When {
            lasts: Some(Duration::from_millis(1)),
            repeats: Some(Duration::from_millis(2)),
            ..When::default()
        };
        let end = SimInstant::from_millis(u64::MAX);
        let found = windows(&when, end);
        assert!(found.len() <= MOST_WINDOWS);
        assert_eq!(found.last().unwrap().until_ms, u64::MAX);
        // Five days of windows a minute apart, with a pause each night.
        let minutes =
            (0..5_u64).flat_map(|day| (0..600).map(move |minute| day * 86_400_000 + minute * 60_000));
        let all: Vec<Stretch> = minutes
            .map(|from_ms| Stretch {
                from_ms,
                until_ms: from_ms + 20_000,
            })
            .collect();
        let few = join(all, 100);
        assert_eq!(few.len(), 5);
        assert_eq!(few[1].from_ms, 86_400_000);
    }
}
