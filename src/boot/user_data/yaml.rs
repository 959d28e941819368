//! YAML into a plain tree, with bounds on its size and depth.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy};
use serde_saphyr::{Budget, Options};

/// Deepest nesting that is read.
const DEPTH: usize = 48;
/// Most values in one document, those that aliases repeat included.
const NODES: usize = 100_000;
/// Longest message of the YAML parser that is passed on, in characters.
const MESSAGE: usize = 160;

/// Reads one document. `bytes` bounds the text of all scalars, those that aliases repeat included.
///
/// # Errors
/// What is wrong and where, without the text at that place, which may be a secret.
pub(crate) fn parse(text: &str, bytes: usize) -> Result<serde_json::Value, YamlError> {
    Yaml::parse(text, bytes).map(Yaml::into_json)
}

/// A YAML value. Maps keep their order; of equal keys the last wins, as in PyYAML.
#[derive(Clone, Debug, PartialEq)]
enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

/// A document that cannot be read. The message holds nothing of the document but single characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct YamlError(String);

impl Yaml {
    /// Reads one document.
    ///
    /// `bytes` bounds the text of all scalars, those that aliases repeat included. `!!binary` is decoded if it is text
    /// all through the document; else it stays base64.
    fn parse(text: &str, bytes: usize) -> Result<Self, YamlError> {
        let parsed = Self::parse_with(text, bytes, false);
        if parsed.is_err() && text.contains("!!binary") {
            return Self::parse_with(text, bytes, true);
        }
        parsed
    }

    fn parse_with(text: &str, bytes: usize, keep_binary: bool) -> Result<Self, YamlError> {
        if text.len() > bytes {
            return Err(YamlError(format!("longer than {bytes} bytes")));
        }
        let mut budget = Budget::default();
        budget.max_depth = DEPTH;
        budget.flow_nesting_limit = DEPTH;
        budget.max_nodes = NODES;
        budget.max_events = NODES * 3;
        budget.max_documents = 1;
        budget.max_total_scalar_bytes = bytes;
        budget.max_recorded_anchor_bytes = bytes;
        budget.max_recorded_anchor_events = NODES;
        let mut aliases = AliasLimits::default();
        aliases.max_total_replayed_events = NODES;
        aliases.max_replay_stack_depth = DEPTH;
        let mut options = Options::default();
        options.budget = Some(budget);
        options.duplicate_keys = DuplicateKeyPolicy::LastWins;
        options.alias_limits = aliases;
        options.ignore_binary_tag_for_string = keep_binary;
        // `y` is a key, not a boolean; see `is_true` for the words of YAML 1.1.
        options.strict_booleans = true;
        // YAML 1.1, which cloud-init and kubeadm read: 0640 is octal.
        options.legacy_octal_numbers = true;
        // A snippet would show what may be a secret.
        options.with_snippet = false;
        let left = Left {
            nodes: Cell::new(NODES),
            bytes: Cell::new(bytes),
        };
        let seed = Seed {
            left: &left,
            depth: DEPTH,
        };
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |de| seed.deserialize(de))
            .map_err(|error| YamlError(error.to_string().chars().take(MESSAGE).collect()))
    }

    /// As JSON, for typed reading.
    fn into_json(self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(yes) => Value::Bool(yes),
            Self::Int(number) => Value::from(number),
            Self::Float(number) => Value::from(number),
            Self::Text(text) => Value::String(text),
            Self::List(entries) => entries.into_iter().map(Self::into_json).collect(),
            Self::Map(entries) => entries
                .into_iter()
                .map(|(key, value)| (key, value.into_json()))
                .collect(),
        }
    }
}

/// What may still be read. The YAML parser has bounds of its own; these count what the tree really holds.
struct Left {
    nodes: Cell<usize>,
    bytes: Cell<usize>,
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    left: &'a Left,
    depth: usize,
}

impl Seed<'_> {
    fn take<E: serde::de::Error>(self, bytes: usize) -> Result<(), E> {
        let nodes = self.left.nodes.get().checked_sub(1);
        let bytes = self.left.bytes.get().checked_sub(bytes);
        match (nodes, bytes) {
            (Some(nodes), Some(bytes)) => {
                self.left.nodes.set(nodes);
                self.left.bytes.set(bytes);
                Ok(())
            }
            _ => Err(E::custom(
                "the document is too large once its aliases are replaced",
            )),
        }
    }

    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Yaml;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Yaml, E> {
        self.take(0)?;
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Yaml, E> {
        self.take(0)?;
        Ok(Yaml::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Yaml, E> {
        self.take(0)?;
        Ok(i64::try_from(value).map_or_else(|_| Yaml::Text(value.to_string()), Yaml::Int))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Yaml, E> {
        self.take(0)?;
        Ok(Yaml::Text(value.to_string()))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Yaml, E> {
        self.take(0)?;
        Ok(Yaml::Text(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Yaml, E> {
        self.take(0)?;
        Ok(Yaml::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Yaml, E> {
        self.take(value.len())?;
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Yaml, E> {
        self.take(value.len())?;
        Ok(Yaml::Text(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Yaml, E> {
        self.take(0)?;
        Ok(Yaml::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Yaml, E> {
        self.visit_unit()
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        self.take(0)?;
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element_seed(inner)? {
            list.push(entry);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        self.take(0)?;
        let inner = self.inner()?;
        let mut map: Vec<(String, Yaml)> = Vec::new();
        let mut places = HashMap::new();
        while let Some(key) = entries.next_key_seed(inner)? {
            let key = match key {
                Yaml::Null => "null".to_owned(),
                Yaml::Text(text) => text,
                Yaml::Int(number) => number.to_string(),
                Yaml::Float(number) => number.to_string(),
                Yaml::Bool(yes) => yes.to_string(),
                Yaml::List(_) | Yaml::Map(_) => return Err(A::Error::custom("a key that is not a scalar")),
            };
            let value = entries.next_value_seed(inner)?;
            match places.entry(key.clone()) {
                Entry::Vacant(place) => {
                    place.insert(map.len());
                    map.push((key, value));
                }
                Entry::Occupied(place) => {
                    if let Some((_, earlier)) = map.get_mut(*place.get()) {
                        *earlier = value;
                    }
                }
            }
        }
        Ok(Yaml::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn parse(text: &str) -> Result<Value, YamlError> {
        super::parse(text, LIMIT)
    }

    #[test]
    fn scalars_are_those_of_yaml_1_1_as_far_as_user_data_needs_them() {
        let yaml =
            parse("a: 0640\nb: '0640'\nc: true\nd: ~\ne: 1.5\nf: !!binary aGk=\ng: no\n1: x\n").unwrap();
        let expected = json!({
            "a": 0o640, "b": "0640", "c": true, "d": null, "e": 1.5, "f": "hi", "g": "no", "1": "x",
        });
        assert_eq!(yaml, expected);
        assert_eq!(parse("").unwrap(), Value::Null);
    }

    #[test]
    fn of_equal_keys_the_last_wins() {
        assert_eq!(parse("a: 1\na: 2\n").unwrap(), json!({"a": 2}));
    }

    #[test]
    fn aliases_work() {
        let yaml = parse("a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(yaml["b"], json!([1, 2]));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{below}]\n");
        }
        parse(&bomb).unwrap_err();
    }

    #[test]
    fn a_long_scalar_cannot_be_repeated_without_end() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(1000));
        parse(&text).unwrap_err();
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
            parse(&text).unwrap_err();
        }
        let indented: String = (0..2000)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect();
        super::parse(&indented, 64 << 20).unwrap_err();
    }

    #[test]
    fn errors_repeat_no_values() {
        let error = parse("key: [\"hunter2\"\nother: }").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_mix_of_yaml_signs_panics(text in "[-:{}\\[\\]&*!|>'\"%@a0 \n]{0,200}") {
            let _ = parse(&text);
        }
    }
}
