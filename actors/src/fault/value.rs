//! The leaves of a fault: chances, globs, status codes and the other small words.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::seed::Seed;

/// Longest glob in bytes; a longer one is a slip of the pen.
const LONGEST_GLOB: usize = 1024;

/// A chance or a share, from 0 to 1. Written as a number, or in percent: `0.25`, `25%`.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Chance(f64);

impl Chance {
    /// Always, or all.
    pub const ONE: Self = Self(1.0);

    /// The chance `value`; none if it is not from 0 to 1.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The number, from 0 to 1.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }

    /// Whether a draw with this seed comes out.
    #[must_use]
    pub fn draw(self, seed: Seed) -> bool {
        /// 2^53: how many numbers a `f64` from 0 to 1 is drawn from.
        const STEPS: f64 = 9_007_199_254_740_992.0;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit into the mantissa")]
        let drawn = (seed.value() >> 11) as f64 / STEPS;
        drawn < self.0
    }
}

impl FromStr for Chance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
            None => text.trim().parse::<f64>(),
        };
        number.ok().and_then(Self::new).ok_or_else(|| {
            format!("{text:?} is no share: write a number from 0 to 1, or a percentage such as 25%")
        })
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Chance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Chance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChanceVisitor;
        impl ChanceVisitor {
            fn checked<E: serde::de::Error>(value: f64) -> Result<Chance, E> {
                Chance::new(value).ok_or_else(|| E::custom(format!("{value} is not from 0 to 1")))
            }
        }
        impl Visitor<'_> for ChanceVisitor {
            type Value = Chance;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 1, or a percentage such as 25%")
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Chance, E> {
                Self::checked(value)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Chance, E> {
                // Anything larger is refused all the same.
                Self::checked(u32::try_from(value).map_or(f64::MAX, f64::from))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Chance, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(ChanceVisitor)
    }
}

impl JsonSchema for Chance {
    fn schema_name() -> Cow<'static, str> {
        "Chance".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number from 0 to 1, or a percentage such as 25%.",
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*%?\s*$"},
            ],
        })
    }
}

/// A pattern of names or paths: `*` is anything but a slash, `**` anything, `?` one character, `[a-c]` one of a set,
/// `{a,b}` one of several; `{id}` is the parameter of a path template.
#[derive(Clone, Debug)]
pub struct Glob {
    text: Box<str>,
    matcher: GlobMatcher,
}

impl Glob {
    /// Whether `text` fits.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a pattern must not be empty".into());
        }
        if text.len() > LONGEST_GLOB {
            return Err(format!("a pattern must not be longer than {LONGEST_GLOB} bytes"));
        }
        let glob = GlobBuilder::new(&with_literal_parameters(text))
            .literal_separator(true)
            .build()
            .map_err(|error| format!("{text:?} is no pattern: {}", error.kind()))?;
        Ok(Self {
            text: text.into(),
            matcher: glob.compile_matcher(),
        })
    }
}

/// Braces around one word stand for themselves: such are the parameters of path templates, which patterns are compared with.
fn with_literal_parameters(text: &str) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        changed.push_str(before);
        match after.split_once('}') {
            Some((word, behind))
                if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()) =>
            {
                changed.push_str("[{]");
                changed.push_str(word);
                changed.push_str("[}]");
                rest = behind;
            }
            _ => {
                changed.push('{');
                rest = after;
            }
        }
    }
    changed.push_str(rest);
    changed
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GlobVisitor;
        impl Visitor<'_> for GlobVisitor {
            type Value = Glob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pattern such as node-1*")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Glob, E> {
                text.parse().map_err(E::custom)
            }

            // YAML makes a number of `rack: 12` and a boolean of `gpu: true`.
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Glob, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Glob, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Glob, E> {
                self.visit_str(&value.to_string())
            }
        }
        deserializer.deserialize_any(GlobVisitor)
    }
}

impl JsonSchema for Glob {
    fn schema_name() -> Cow<'static, str> {
        "Glob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer", "boolean"],
            "minLength": 1,
            "description": "A pattern: * is anything but a slash, ** anything, ? one character, [a-c] one of a set, {a,b} one of several.",
        })
    }
}

/// An HTTP status that a fault answers with, from 300 to 599.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HttpStatus(u16);

impl HttpStatus {
    /// The status; none if it is no redirect and no error.
    #[must_use]
    pub fn new(status: u16) -> Option<Self> {
        (300..=599).contains(&status).then_some(Self(status))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Serialize for HttpStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for HttpStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = u16::deserialize(deserializer)?;
        Self::new(status).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{status} is no status of an error: use one from 300 to 599"
            ))
        })
    }
}

impl JsonSchema for HttpStatus {
    fn schema_name() -> Cow<'static, str> {
        "HttpStatus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 300, "maximum": 599})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chances_are_numbers_or_percentages() {
        for (text, value) in [("0.25", 0.25), ("25%", 0.25), ("1", 1.0), (" 0 % ", 0.0)] {
            assert_eq!(text.parse(), Ok(Chance(value)), "{text}");
        }
        for bad in ["", "%", "-1", "1.5", "101%", "NaN", "much"] {
            assert!(bad.parse::<Chance>().is_err(), "{bad}");
        }
        assert_eq!(serde_json::from_str::<Chance>("1").unwrap(), Chance::ONE);
        assert_eq!(serde_json::from_str::<Chance>("\"5%\"").unwrap(), Chance(0.05));
        assert!(serde_json::from_str::<Chance>("2").is_err());
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        let glob: Glob = "/redfish/v1/Systems/*".parse().unwrap();
        assert!(glob.matches("/redfish/v1/Systems/1"));
        assert!(!glob.matches("/redfish/v1/Systems/1/Bios"));
        assert!(
            "**/Bios"
                .parse::<Glob>()
                .unwrap()
                .matches("/redfish/v1/Systems/1/Bios")
        );
        for bad in ["", "[a", "{a"] {
            assert!(bad.parse::<Glob>().is_err(), "{bad}");
        }
    }

    #[test]
    fn parameters_of_path_templates_fit_themselves() {
        for (pattern, fits) in [
            ("/redfish/v1/Systems/{id}", true),
            ("/redfish/v1/Systems/*", true),
            ("/redfish/v1/{Systems,Managers}/{id}", true),
            ("/redfish/v1/{Managers,Chassis}/{id}", false),
            ("**/{id}", true),
            ("/redfish/v1/Systems/{id}/**", false),
        ] {
            let glob: Glob = pattern.parse().unwrap();
            assert_eq!(glob.matches("/redfish/v1/Systems/{id}"), fits, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn the_ends_of_chance_are_certain(value: u64) {
            let seed = Seed::from_value(value);
            prop_assert!(Chance::ONE.draw(seed));
            prop_assert!(!Chance(0.0).draw(seed));
        }
    }
}
