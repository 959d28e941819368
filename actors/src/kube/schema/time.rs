//! Times as Go reads and writes them (go: `time/format.go`; kubernetes: apimachinery `pkg/apis/meta/v1/{time,micro_time}.go`).

use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, TimeDelta, Utc};

/// A form of times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// Whole seconds; a fraction is read and dropped.
    Seconds,
    /// Exactly six digits of a fraction.
    Micros,
}

impl Layout {
    const fn text(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// Seconds since 1970 of the time that Go calls zero: the first of January of the year 1.
pub(super) const ZERO_SECONDS: i64 = -62_135_596_800;

/// Reads a time.
///
/// # Errors
/// Go's sentence.
pub(super) fn parse(text: &str, layout: Layout) -> Result<DateTime<Utc>, String> {
    Parser { rest: text, layout }.time().map_err(|problem| {
        let whole = quote(text);
        match problem {
            Problem::Expected(element, rest) => format!(
                "parsing time {whole} as {}: cannot parse {} as {}",
                quote(layout.text()),
                quote(&rest),
                quote(element)
            ),
            Problem::Range(what) => format!("parsing time {whole}: {what} out of range"),
            Problem::Extra(rest) => format!("parsing time {whole}: extra text: {}", quote(&rest)),
        }
    })
}

/// Writes a time; `None` for Go's zero, which is written as `null`, and for years beyond four digits.
pub(super) fn text(time: DateTime<Utc>, layout: Layout) -> Option<String> {
    if time.timestamp() == ZERO_SECONDS && time.timestamp_subsec_nanos() == 0 {
        return None;
    }
    if !(0..=9999).contains(&time.year()) {
        return None;
    }
    let format = match layout {
        Layout::Seconds => SecondsFormat::Secs,
        Layout::Micros => SecondsFormat::Micros,
    };
    Some(time.to_rfc3339_opts(format, true))
}

/// Text in quotation marks, as Go writes it in errors.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(other)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

enum Problem {
    /// This part of the layout does not stand here.
    Expected(&'static str, String),
    /// This part is too great.
    Range(&'static str),
    /// More text than the layout has.
    Extra(String),
}

struct Parser<'a> {
    rest: &'a str,
    layout: Layout,
}

impl Parser<'_> {
    fn time(&mut self) -> Result<DateTime<Utc>, Problem> {
        let year = self.digits(4, "2006")?;
        self.literal("-")?;
        let month = self.digits(2, "01")?;
        if !(1..=12).contains(&month) {
            return Err(Problem::Range("month"));
        }
        self.literal("-")?;
        let day = self.digits(2, "02")?;
        self.literal("T")?;
        let hour = self.up_to(23, "15", "hour")?;
        self.literal(":")?;
        let minute = self.up_to(59, "04", "minute")?;
        self.literal(":")?;
        let second = self.up_to(59, "05", "second")?;
        let nanos = self.fraction()?;
        let offset = self.zone()?;
        if !self.rest.is_empty() {
            return Err(Problem::Extra(self.rest.to_owned()));
        }
        let date = i32::try_from(year)
            .ok()
            .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
            .ok_or(Problem::Range("day"))?;
        let time = date
            .and_hms_nano_opt(hour, minute, second, nanos)
            .ok_or(Problem::Range("second"))?;
        time.and_utc()
            .checked_sub_signed(TimeDelta::seconds(offset))
            .ok_or(Problem::Range("year"))
    }

    fn expected(&self, element: &'static str) -> Problem {
        Problem::Expected(element, self.rest.to_owned())
    }

    fn literal(&mut self, literal: &'static str) -> Result<(), Problem> {
        self.rest = self
            .rest
            .strip_prefix(literal)
            .ok_or_else(|| self.expected(literal))?;
        Ok(())
    }

    /// A number of exactly so many digits.
    fn digits(&mut self, count: usize, element: &'static str) -> Result<u32, Problem> {
        let (digits, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| self.expected(element))?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.expected(element));
        }
        let number = digits.parse().map_err(|_| self.expected(element))?;
        self.rest = rest;
        Ok(number)
    }

    fn up_to(&mut self, most: u32, element: &'static str, what: &'static str) -> Result<u32, Problem> {
        let number = self.digits(2, element)?;
        if number > most {
            Err(Problem::Range(what))
        } else {
            Ok(number)
        }
    }

    /// Nanoseconds.
    fn fraction(&mut self) -> Result<u32, Problem> {
        let count = self
            .rest
            .strip_prefix(['.', ','])
            .map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count())
            .unwrap_or(0);
        let count = match self.layout {
            Layout::Micros if count < 6 => return Err(self.expected(".000000")),
            Layout::Micros => 6,
            Layout::Seconds if count == 0 => return Ok(0),
            Layout::Seconds => count,
        };
        let (fraction, rest) = self
            .rest
            .split_at_checked(count + 1)
            .ok_or_else(|| self.expected(".000000"))?;
        self.rest = rest;
        let digits: String = fraction
            .chars()
            .skip(1)
            .chain("000000000".chars())
            .take(9)
            .collect();
        Ok(digits.parse().unwrap_or(0))
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Result<i64, Problem> {
        const ELEMENT: &str = "Z07:00";
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let whole = self.expected(ELEMENT);
        let (zone, rest) = self
            .rest
            .split_at_checked(6)
            .ok_or_else(|| self.expected(ELEMENT))?;
        let (sign, number) = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
            (Some(number), _) => (1, number),
            (_, Some(number)) => (-1, number),
            _ => return Err(whole),
        };
        let two = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<i64>().ok()).flatten()
        };
        let (Some(hours), Some(minutes)) = number
            .split_once(':')
            .map_or((None, None), |(hours, minutes)| (two(hours), two(minutes)))
        else {
            return Err(whole);
        };
        if hours > 24 {
            return Err(Problem::Range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(Problem::Range("time zone offset minute"));
        }
        self.rest = rest;
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text_in: &str, layout: Layout) -> Option<String> {
        text(parse(text_in, layout).unwrap(), layout)
    }

    #[test]
    fn times_are_written_in_utc_and_to_their_resolution() {
        let seconds = |text| round(text, Layout::Seconds).unwrap();
        assert_eq!(seconds("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00Z");
        assert_eq!(seconds("2026-01-31T12:00:00.987654321Z"), "2026-01-31T12:00:00Z");
        assert_eq!(seconds("2026-01-31T00:30:00+01:00"), "2026-01-30T23:30:00Z");
        let micros = |text| round(text, Layout::Micros).unwrap();
        assert_eq!(
            micros("2026-01-31T12:00:00.500000Z"),
            "2026-01-31T12:00:00.500000Z"
        );
        assert_eq!(round("0001-01-01T00:00:00Z", Layout::Seconds), None);
    }

    #[test]
    fn refusals_are_in_the_words_of_go() {
        let refusal = |text| parse(text, Layout::Seconds).unwrap_err();
        assert_eq!(
            refusal("yesterday"),
            r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#
        );
        assert_eq!(
            refusal("2026-01-31 12:00:00Z"),
            r#"parsing time "2026-01-31 12:00:00Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 12:00:00Z" as "T""#
        );
        assert_eq!(
            refusal("2026-13-01T00:00:00Z"),
            r#"parsing time "2026-13-01T00:00:00Z": month out of range"#
        );
        assert_eq!(
            refusal("2026-02-30T00:00:00Z"),
            r#"parsing time "2026-02-30T00:00:00Z": day out of range"#
        );
        assert_eq!(
            refusal("2026-02-03T00:00:00Zulu"),
            r#"parsing time "2026-02-03T00:00:00Zulu": extra text: "ulu""#
        );
        assert_eq!(
            parse("2026-02-03T00:00:00Z", Layout::Micros).unwrap_err(),
            r#"parsing time "2026-02-03T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#
        );
        for odd in ["", "é", "2026-01-31T12:00:00+é1:00", "2026-01-31T12:00:00.é"] {
            parse(odd, Layout::Seconds).unwrap_err();
        }
    }
}
