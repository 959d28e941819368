//! Durations and distributions of durations.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use metalsim_actors::timing::Latency;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// A duration written with its unit: `250ms`, `5s`, `1m30s`, `2h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::settings) struct Span(pub(in crate::settings) Duration);

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
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            let (unit, scale) = UNITS
                .iter()
                .find(|(unit, _)| rest[digits..].starts_with(unit))
                .ok_or_else(wrong)?;
            millis += number * scale;
            rest = &rest[digits + unit.len()..];
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

text_value!(Span, "a duration such as 250ms, 5s or 2m");

/// A latency: a duration, or a distribution of durations.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::settings) struct LatencyValue(pub(in crate::settings) Latency);

const LATENCY: &str = "a duration such as 5s, {uniform: [1s, 11s]}, {normal: {mean: 5s, sd: 1s}} or {log_normal: {median: 5s, sigma: 0.5}}";

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct NormalValue {
    mean: Span,
    sd: Span,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct LogNormalValue {
    median: Span,
    sigma: f64,
}

impl<'de> Deserialize<'de> for LatencyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LatencyVisitor;
        impl<'de> Visitor<'de> for LatencyVisitor {
            type Value = Latency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(LATENCY)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Latency, E> {
                text.parse()
                    .map(|Span(duration)| Latency::Constant(duration))
                    .map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Latency, A::Error> {
                let Some(form) = map.next_key::<String>()? else {
                    return Err(A::Error::custom(format!("expected {LATENCY}")));
                };
                let latency = match form.as_str() {
                    "constant" => Latency::Constant(map.next_value::<Span>()?.0),
                    "uniform" => {
                        let [min, max] = map.next_value::<[Span; 2]>()?;
                        if min.0 > max.0 {
                            return Err(A::Error::custom(format!("uniform: {min} is longer than {max}")));
                        }
                        Latency::Uniform {
                            min: min.0,
                            max: max.0,
                        }
                    }
                    "normal" => {
                        let NormalValue { mean, sd } = map.next_value()?;
                        Latency::Normal {
                            mean: mean.0,
                            sd: sd.0,
                        }
                    }
                    "log_normal" => {
                        let LogNormalValue { median, sigma } = map.next_value()?;
                        if !(sigma.is_finite() && sigma >= 0.0) {
                            return Err(A::Error::custom("log_normal: sigma must not be negative"));
                        }
                        Latency::LogNormal {
                            median: median.0,
                            sigma,
                        }
                    }
                    other => {
                        return Err(A::Error::custom(format!(
                            "{other:?} is no distribution: use constant, uniform, normal or log_normal"
                        )));
                    }
                };
                match map.next_key::<String>()? {
                    Some(second) => Err(A::Error::custom(format!("both {form} and {second} are given"))),
                    None => Ok(latency),
                }
            }
        }
        deserializer.deserialize_any(LatencyVisitor).map(Self)
    }
}

impl Serialize for LatencyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = match self.0 {
            Latency::Constant(duration) => return serializer.collect_str(&Span(duration)),
            Latency::Uniform { .. } | Latency::Normal { .. } | Latency::LogNormal { .. } => {
                serializer.serialize_map(Some(1))?
            }
        };
        match self.0 {
            Latency::Constant(duration) => map.serialize_entry("constant", &Span(duration))?,
            Latency::Uniform { min, max } => map.serialize_entry("uniform", &[Span(min), Span(max)])?,
            Latency::Normal { mean, sd } => {
                map.serialize_entry(
                    "normal",
                    &NormalValue {
                        mean: Span(mean),
                        sd: Span(sd),
                    },
                )?;
            }
            Latency::LogNormal { median, sigma } => {
                map.serialize_entry(
                    "log_normal",
                    &LogNormalValue {
                        median: Span(median),
                        sigma,
                    },
                )?;
            }
        }
        map.end()
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
