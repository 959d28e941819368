//! When a CronJob is due (robfig/cron: `parser.go`, `spec.go`; kubernetes: `pkg/controller/cronjob/utils.go`).

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Missed times that are reported.
pub(super) const MANY: i64 = 100;
/// Times that are gone through one by one to find the latest.
const STEPS: usize = 1000;

/// Why there is no schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nobody knows the time zone.
    TimeZone(String),
    /// The text is no schedule, and why.
    Schedule(String, String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeZone(name) => {
                write!(f, "invalid timeZone: {name:?}: unknown time zone {name}")
            }
            Self::Schedule(text, why) => write!(f, "unparseable schedule: {text:?} : {why}"),
        }
    }
}

/// A schedule in a time zone.
#[derive(Debug)]
pub(super) struct Schedule {
    rule: Rule,
    zone: Option<Tz>,
}

#[derive(Debug)]
enum Rule {
    Cron(Box<Cron>),
    Every(TimeDelta),
}

impl Schedule {
    /// Reads five fields, or a word such as `@hourly` or `@every 1h`.
    ///
    /// # Errors
    /// What is wrong with the schedule or the time zone.
    pub(super) fn read(text: &str, zone: Option<&str>) -> Result<Self, Fault> {
        let zone = zone
            .map(|name| name.parse::<Tz>().map_err(|_| Fault::TimeZone(name.to_owned())))
            .transpose()?;
        let fault = |why: &dyn fmt::Display| Fault::Schedule(text.to_owned(), why.to_string());
        let rule = if let Some(period) = text.strip_prefix("@every ") {
            let period = period.trim();
            Rule::Every(duration(period).ok_or_else(|| fault(&format!("time: invalid duration {period:?}")))?)
        } else {
            let parser = CronParser::builder()
                .seconds(Seconds::Disallowed)
                .year(Year::Disallowed)
                .sloppy_ranges(true)
                .build();
            let same = if text == "@midnight" { "@daily" } else { text };
            Rule::Cron(Box::new(parser.parse(same).map_err(|error| fault(&error))?))
        };
        Ok(Self { rule, zone })
    }

    /// The first time after `time`.
    pub(super) fn after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.rule {
            Rule::Every(period) => {
                // Whole seconds, as there.
                let time = DateTime::from_timestamp(time.timestamp(), 0)?;
                time.checked_add_signed(*period)
            }
            Rule::Cron(cron) => match &self.zone {
                Some(zone) => {
                    let local = time.with_timezone(zone);
                    let next = cron.find_next_occurrence(&local, false).ok()?;
                    Some(next.with_timezone(&Utc))
                }
                None => cron.find_next_occurrence(&time, false).ok(),
            },
        }
    }

    /// The latest time after `earliest` and not after `now`, and how many there were, roughly where there are many.
    pub(super) fn latest(&self, earliest: DateTime<Utc>, now: DateTime<Utc>) -> Option<(DateTime<Utc>, i64)> {
        if earliest > now {
            return None;
        }
        let first = self.after(earliest).filter(|first| *first <= now)?;
        let second = self.after(first).filter(|second| *second <= now);
        let Some(second) = second else {
            return Some((first, 1));
        };
        let period = second.signed_duration_since(first).num_seconds().max(1);
        let elapsed = now.signed_duration_since(first).num_seconds();
        let missed = elapsed.checked_div(period).unwrap_or(0).saturating_add(1);
        // Starts near the end; long gaps in a schedule make it necessary to go further back.
        let mut back = TimeDelta::try_seconds(period.saturating_mul(2))?;
        for _ in 0..64 {
            let start = now.checked_sub_signed(back).unwrap_or(earliest).max(earliest);
            let mut found = None;
            let mut time = start;
            for _ in 0..STEPS {
                match self.after(time).filter(|next| *next <= now) {
                    Some(next) => {
                        found = Some(next);
                        time = next;
                    }
                    None => break,
                }
            }
            if let Some(found) = found {
                return Some((found, missed));
            }
            if start <= earliest {
                break;
            }
            back = back.checked_add(&back)?;
        }
        Some((first, missed))
    }

    /// A time as the annotation of a Job tells it.
    pub(super) fn text(&self, time: DateTime<Utc>) -> String {
        match &self.zone {
            Some(zone) => time
                .with_timezone(zone)
                .to_rfc3339_opts(SecondsFormat::Secs, true),
            None => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }
}

/// `1h30m`, at least a second.
fn duration(text: &str) -> Option<TimeDelta> {
    let mut rest = text;
    let mut nanoseconds = 0_f64;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let units = [
            ("ns", 1.0),
            ("us", 1e3),
            ("ms", 1e6),
            ("h", 3.6e12),
            ("m", 6e10),
            ("s", 1e9),
        ];
        let (unit, tail) = units
            .iter()
            .find_map(|(unit, length)| Some((length, tail.strip_prefix(unit)?)))?;
        nanoseconds += number * unit;
        rest = tail;
    }
    // As far as Go's durations go: 292 years.
    let seconds = (nanoseconds / 1e9).floor();
    if text.is_empty() || !(0.0..9.2e9).contains(&seconds) {
        return None;
    }
    TimeDelta::try_seconds((seconds as i64).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn next(schedule: &str, zone: Option<&str>, after: &str) -> String {
        let schedule = Schedule::read(schedule, zone).unwrap();
        schedule.text(schedule.after(time(after)).unwrap())
    }

    #[test]
    fn times() {
        for (schedule, after, then) in [
            ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"),
            ("0 12 * * mon", "2026-01-01T00:00:00Z", "2026-01-05T12:00:00Z"),
            ("0 0 1 */3 ?", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"),
            ("0 0 13 * 5", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z"),
            ("3/15 * * * *", "2026-01-01T00:20:00Z", "2026-01-01T00:33:00Z"),
            ("@hourly", "2026-01-01T00:20:00Z", "2026-01-01T01:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:20:00Z", "2026-01-01T01:50:00Z"),
            ("@midnight", "2026-01-01T00:20:00Z", "2026-01-02T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, None, after), then, "{schedule}");
        }
        assert_eq!(
            next("0 9 * * *", Some("Europe/Berlin"), "2026-07-01T06:00:00Z"),
            "2026-07-01T09:00:00+02:00"
        );
    }

    #[test]
    fn faults() {
        let fault = |text: &str, zone| Schedule::read(text, zone).unwrap_err().to_string();
        assert_eq!(
            fault("* * * * *", Some("Mars/Base")),
            "invalid timeZone: \"Mars/Base\": unknown time zone Mars/Base"
        );
        assert!(fault("61 * * * *", None).starts_with("unparseable schedule: \"61 * * * *\" : "));
        assert!(fault("@every x", None).contains("invalid duration"));
    }

    #[test]
    fn the_latest_of_those_that_were_missed() {
        let schedule = Schedule::read("0 * * * 1-5", None).unwrap();
        let latest = |from: &str, now: &str| schedule.latest(time(from), time(now));
        // A weekend in between.
        assert_eq!(
            latest("2026-01-02T20:30:00Z", "2026-01-04T12:00:00Z"),
            Some((time("2026-01-02T23:00:00Z"), 40))
        );
        assert_eq!(latest("2026-01-05T10:00:00Z", "2026-01-05T10:59:59Z"), None);
        assert_eq!(
            latest("2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z"),
            Some((time("2026-01-05T11:00:00Z"), 1))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-@*/,0-9a-zL#W+? ]{0,40}") {
            if let Ok(schedule) = Schedule::read(&text, None) {
                let now = time("2026-01-01T00:00:00Z");
                prop_assert!(schedule.after(now).is_none_or(|next| next > now));
            }
        }
    }
}
