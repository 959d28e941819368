//! Durations as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A duration written with its unit: `250ms`, `5s`, `1m30s`, `2h`, `1d`. Whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(pub Duration);

/// Units of durations, with what one is in milliseconds. `ms` comes first, because `m` is its beginning.
const UNITS: [(&str, f64); 5] = [
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 60e3),
    ("h", 3600e3),
    ("d", 86_400e3),
];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no duration: write a number and its unit, such as 250ms, 5s, 2m, 1h30m or 0s"
            )
        };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut millis = 0.0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(wrong)?;
            let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
            let number: f64 = number.parse().map_err(|_| wrong())?;
            let (scale, after) = UNITS
                .iter()
                .find_map(|(unit, scale)| Some((scale, after.strip_prefix(unit)?)))
                .ok_or_else(wrong)?;
            millis += number * scale;
            rest = after;
        }
        // Simulated time counts whole milliseconds, so nothing finer is kept.
        Duration::try_from_secs_f64(millis.round() / 1e3)
            .map(Self)
            .map_err(|_| format!("{text:?} is too long"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if !millis.is_multiple_of(1000) => write!(f, "{millis}ms"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ => write!(f, "{}s", millis / 1000),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 250ms, 5s or 2m")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration with its unit, such as 250ms, 5s, 1m30s, 2h or 1d.",
            "pattern": r"^\s*([0-9.]+(ms|s|m|h|d))+\s*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_print_as_they_parse() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("5s", 5000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(millis));
            assert_eq!(span.to_string(), text);
        }
        assert_eq!("1m30s".parse::<Span>().unwrap().to_string(), "90s");
        assert_eq!("1.5s".parse::<Span>().unwrap().to_string(), "1500ms");
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-1s",
            "5x",
            "1..5s",
            "99999999999999999999999d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
