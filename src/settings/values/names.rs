//! What a fleet's entry is made of.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Names of nodes: a text in which `{}` stands for the node's number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::settings) struct NamePattern {
    pub(in crate::settings) before: Box<str>,
    /// Missing if the pattern names a single node.
    pub(in crate::settings) after: Option<Box<str>>,
}

impl NamePattern {
    /// The name of node number `number`.
    pub(in crate::settings) fn name(&self, number: u64) -> Box<str> {
        match &self.after {
            Some(after) => format!("{}{number}{after}", self.before).into(),
            None => self.before.clone(),
        }
    }
}

/// Why `name` cannot be a node's name. It stands in URLs, logs and file names, so separators and blanks are out.
pub(in crate::settings) fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 255;
    if name.is_empty() {
        return Err("a name must not be empty".into());
    }
    if name.len() > LONGEST {
        return Err(format!("a name must not be longer than {LONGEST} bytes"));
    }
    match name
        .chars()
        .find(|c| c.is_control() || c.is_whitespace() || "/?#%{}".contains(*c))
    {
        Some(c) => Err(format!("a name must not contain {c:?}")),
        None => Ok(()),
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = match text.split_once("{}") {
            Some((before, after)) => Self {
                before: before.into(),
                after: Some(after.into()),
            },
            None => Self {
                before: text.into(),
                after: None,
            },
        };
        if pattern.after.as_deref().is_some_and(|after| after.contains("{}")) {
            return Err(format!("{text:?} has more than one {{}}"));
        }
        check_name(&pattern.name(0)).map_err(|reason| format!("{text:?}: {reason}"))?;
        Ok(pattern)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.before)?;
        self.after
            .as_ref()
            .map_or(Ok(()), |after| write!(f, "{{}}{after}"))
    }
}

text_value!(NamePattern, "a name pattern such as node-{}");

/// Power of a node at the start: `on` or `off`; the words that are booleans in some formats count too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::settings) struct PowerValue(pub(in crate::settings) bool);

schema_of!(PowerValue, "Power", {"enum": ["on", "off", true, false]});

impl<'de> Deserialize<'de> for PowerValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PowerVisitor;
        impl Visitor<'_> for PowerVisitor {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("on or off")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<bool, E> {
                Ok(on)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
                match text {
                    "on" | "On" => Ok(true),
                    "off" | "Off" => Ok(false),
                    other => Err(E::custom(format!("expected on or off, found {other:?}"))),
                }
            }
        }
        deserializer.deserialize_any(PowerVisitor).map(Self)
    }
}

impl Serialize for PowerValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0 { "on" } else { "off" })
    }
}

/// Value of a label. A number or a boolean is taken as its text, because YAML makes one of `rack: 12`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::settings) struct LabelValue(pub(in crate::settings) Box<str>);

schema_of!(LabelValue, "LabelValue", {"type": ["string", "number", "boolean"]});

impl<'de> Deserialize<'de> for LabelValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelVisitor;
        impl Visitor<'_> for LabelVisitor {
            type Value = Box<str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Box<str>, E> {
                Ok(text.into())
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }
        }
        deserializer.deserialize_any(LabelVisitor).map(Self)
    }
}

impl Serialize for LabelValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_nodes() {
        let pattern: NamePattern = "rack1-{}-blade".parse().unwrap();
        assert_eq!(&*pattern.name(7), "rack1-7-blade");
        assert_eq!(pattern.to_string(), "rack1-{}-blade");
        for bad in ["", "{}{}", "a b", "a/{}", "node-{:03}"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }
}
