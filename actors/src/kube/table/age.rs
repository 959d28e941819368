//! Times as tables show them: how long ago (apimachinery: `pkg/util/duration/duration.go`).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::kube::object::Second;

/// What stands where a time is missing.
pub(super) const UNKNOWN: &str = "<unknown>";

/// A duration in two or three figures: `5s`, `2m30s`, `3h5m`, `4d2h`, `100d`, `2y15d`. More than a second in the future is `<invalid>`.
#[must_use]
pub fn human(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds();
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

/// Two units, the second only when it is not zero.
fn pair(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

/// How long ago `time` is.
#[must_use]
pub fn since(time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    time.map_or_else(
        || UNKNOWN.to_owned(),
        |time| human(now.signed_duration_since(time)),
    )
}

/// How long ago a time of `metadata` is.
#[must_use]
pub fn since_second(time: Second, now: DateTime<Utc>) -> String {
    since(DateTime::from_timestamp(time.0, 0), now)
}

/// Reads a time in a field: RFC 3339, with or without a fraction; `None` for `null` and other things.
pub(super) fn read(value: Option<&Value>) -> Option<DateTime<Utc>> {
    parse(value?.as_str()?)
}

/// Reads RFC 3339.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of apimachinery: `pkg/util/duration/duration_test.go`.
    #[test]
    fn durations_have_two_or_three_figures() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, text) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (1, "1s"),
            (70, "70s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (190, "3m10s"),
            (10 * MINUTE + 5, "10m"),
            (47 * MINUTE, "47m"),
            (179 * MINUTE + 59, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 5 * MINUTE, "3h5m"),
            (8 * HOUR + 59 * MINUTE, "8h"),
            (47 * HOUR, "47h"),
            (2 * DAY, "2d"),
            (4 * DAY + 2 * HOUR, "4d2h"),
            (8 * DAY + 20 * HOUR, "8d"),
            (100 * DAY, "100d"),
            (729 * DAY, "729d"),
            (730 * DAY, "2y"),
            ((2 * 365 + 15) * DAY, "2y15d"),
            (8 * 365 * DAY + DAY, "8y"),
        ] {
            assert_eq!(human(TimeDelta::seconds(seconds)), text, "{seconds} s");
        }
        assert_eq!(human(TimeDelta::milliseconds(-1999)), "0s");
        assert_eq!(human(TimeDelta::milliseconds(2999)), "2s");
    }

    #[test]
    fn missing_times_are_unknown() {
        let now = parse("2026-01-02T00:00:00Z").unwrap();
        assert_eq!(since(None, now), "<unknown>");
        assert_eq!(since(parse("2026-01-01T23:59:58.5Z"), now), "1s");
        assert_eq!(since_second(Second(now.timestamp() - 3600), now), "60m");
        assert_eq!(read(Some(&Value::Null)), None);
    }
}
