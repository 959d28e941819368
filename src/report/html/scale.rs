//! From values to places, and the marks on the axes.

use super::text;

/// From a value to a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    /// Value and place of one end.
    from: (f64, f64),
    /// Value and place of the other end.
    to: (f64, f64),
}

impl Linear {
    pub(super) fn new(from: (f64, f64), to: (f64, f64)) -> Self {
        Self { from, to }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let length = self.to.0 - self.from.0;
        let part = if length == 0.0 {
            0.0
        } else {
            ((value - self.from.0) / length).clamp(0.0, 1.0)
        };
        self.from.1 + (self.to.1 - self.from.1) * part
    }
}

/// An axis from 0 on: marks at round values, at most about five, the last one at or above `most`.
pub(super) fn marks(most: f64, whole: bool) -> Vec<f64> {
    // Beyond this no two marks are alike.
    let most = if most.is_finite() {
        most.clamp(0.0, 1e300)
    } else {
        0.0
    };
    let most = if most > 0.0 { most } else { 1.0 };
    let rough = most / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .filter(|step| !whole || (*step >= 1.0 && step.fract() == 0.0))
        .find(|step| *step >= rough * 0.999_999)
        .unwrap_or(power.max(1.0) * 10.0);
    let step = if whole && rough < 1.0 { 1.0 } else { step };
    let count = (most / step - 1e-9).ceil().clamp(1.0, 12.0) as u32;
    (0..=count).map(|number| f64::from(number) * step).collect()
}

/// Marks of sizes in memory: round in their unit.
pub(super) fn byte_marks(most: f64) -> Vec<f64> {
    let mut unit = 1.0;
    while most / unit >= 1024.0 && unit < 1e12 {
        unit *= 1024.0;
    }
    marks(most / unit, false)
        .into_iter()
        .map(|mark| mark * unit)
        .collect()
}

const SECOND: f64 = 1000.0;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// Steps of a time axis.
const TIME_STEPS: [f64; 22] = [
    SECOND,
    2.0 * SECOND,
    5.0 * SECOND,
    10.0 * SECOND,
    15.0 * SECOND,
    30.0 * SECOND,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    28.0 * DAY,
];

/// At most so many marks on a time axis up to `end` in milliseconds, and the one at 0, with their texts.
pub(super) fn times(end: f64, most: f64) -> Vec<(f64, String)> {
    let end = if end.is_finite() { end.max(0.0) } else { 0.0 };
    let step = TIME_STEPS.into_iter().find(|step| end / step <= most);
    let step = step.unwrap_or_else(|| (end / most / DAY).ceil() * DAY);
    let count = (end / step + 1e-9).floor().clamp(0.0, most) as u32;
    (0..=count)
        .map(|number| {
            let at = f64::from(number) * step;
            (at, time(at, step))
        })
        .collect()
}

/// A time on an axis with this step.
fn time(at: f64, step: f64) -> String {
    let seconds = (at / SECOND).round() as u64;
    match step {
        _ if seconds == 0 => "0".to_owned(),
        _ if step < MINUTE => format!("{}:{:02}\u{a0}min", seconds / 60, seconds % 60),
        _ if step < HOUR => format!("{}:{:02}\u{a0}h", seconds / 3600, seconds / 60 % 60),
        _ if step < DAY => format!("{}\u{a0}h", seconds / 3600),
        _ => format!("{}\u{a0}d", text::count(seconds / 86_400)),
    }
}

/// From a duration to a place, with each decade as long as the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logarithmic {
    line: Linear,
}

/// Marks of a logarithmic axis of durations, in milliseconds.
const DECADES: [f64; 19] = [
    1.0,
    10.0,
    100.0,
    SECOND,
    10.0 * SECOND,
    MINUTE,
    10.0 * MINUTE,
    HOUR,
    6.0 * HOUR,
    DAY,
    7.0 * DAY,
    30.0 * DAY,
    365.0 * DAY,
    3650.0 * DAY,
    36_500.0 * DAY,
    365_000.0 * DAY,
    3_650_000.0 * DAY,
    36_500_000.0 * DAY,
    365_000_000.0 * DAY,
];

impl Logarithmic {
    /// An axis that shows these durations, and its marks.
    pub(super) fn new(shortest: f64, longest: f64, from: f64, to: f64) -> (Self, Vec<(f64, String)>) {
        let (shortest, longest) = (shortest.max(1.0), longest.max(1.0));
        let below = DECADES.iter().rposition(|mark| *mark <= shortest).unwrap_or(0);
        let above = DECADES.iter().position(|mark| *mark >= longest);
        let above = above.unwrap_or(DECADES.len() - 1);
        // An axis has two ends.
        let above = if above > below {
            above
        } else {
            (below + 1).min(DECADES.len() - 1)
        };
        let below = below.min(above - 1);
        let line = Linear::new((DECADES[below].log10(), from), (DECADES[above].log10(), to));
        let marks = DECADES[below..=above]
            .iter()
            .map(|mark| (*mark, text::duration(*mark)))
            .collect();
        (Self { line }, marks)
    }

    pub(super) fn place(&self, millis: f64) -> f64 {
        self.line.place(millis.max(1.0).log10())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn axes_have_round_marks() {
        assert_eq!(marks(0.0, true), [0.0, 1.0]);
        assert_eq!(marks(1.0, true), [0.0, 1.0]);
        assert_eq!(marks(3.0, true), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(marks(30.0, true), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(marks(10_000.0, true), [0.0, 2500.0, 5000.0, 7500.0, 10_000.0]);
        assert!((marks(0.3, false).last().unwrap() - 0.3).abs() < 1e-9);
        let mib = 1024.0 * 1024.0;
        assert_eq!(byte_marks(90.0 * mib).last(), Some(&(100.0 * mib)));
    }

    #[test]
    fn time_axes_fit_the_run() {
        let texts = |end: f64| -> Vec<String> {
            times(end, 12.0)
                .into_iter()
                .map(|(_, text)| text.replace('\u{a0}', " "))
                .collect()
        };
        assert_eq!(texts(0.0), ["0"]);
        assert_eq!(texts(3.0 * SECOND), ["0", "0:01 min", "0:02 min", "0:03 min"]);
        assert_eq!(texts(3.0 * HOUR).last().unwrap(), "3:00 h");
        assert_eq!(texts(DAY).last().unwrap(), "24 h");
        assert_eq!(texts(10.0 * DAY).last().unwrap(), "10 d");
        assert!(texts(1e18).len() <= 13);
    }

    proptest! {
        #[test]
        fn marks_rise_and_reach(most in 0.0..1e15_f64, whole: bool) {
            let marks = marks(most, whole);
            prop_assert!((2..=13).contains(&marks.len()), "{marks:?}");
            prop_assert!(marks.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(*marks.last().unwrap() >= most * 0.999_999);
        }

        #[test]
        fn durations_lie_on_their_axis(one in 0.0..1e17_f64, other in 0.0..1e17_f64) {
            let (shortest, longest) = (one.min(other), one.max(other));
            let (axis, marks) = Logarithmic::new(shortest, longest, 100.0, 900.0);
            prop_assert!(marks.len() >= 2);
            let (left, right) = (axis.place(shortest), axis.place(longest));
            prop_assert!((100.0..=900.0).contains(&left) && left <= right && right <= 900.0);
        }
    }
}
