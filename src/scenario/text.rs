//! Reads a scenario's text into a tree of values and remembers where in the text each of them is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

use crate::settings::{KeyPath, Problem};

/// Largest file in bytes; a larger one is no scenario.
const LARGEST: u64 = 4 << 20;

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: u64,
    column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where a member of a table or an element of a list is.
#[derive(Clone, Copy, Debug)]
struct Places {
    /// Its key; an element has none.
    key: Option<Place>,
    value: Place,
}

/// A text as values with their places, by path as [`KeyPath`] prints it.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) values: Map<String, Value>,
    places: BTreeMap<String, Places>,
}

impl Document {
    /// Reads the file; its ending says which format it has.
    pub(super) fn read(file: &Path) -> Result<Self, Problem> {
        let problem = |reason: String, place: Option<Place>| Problem {
            key: String::new(),
            reason,
            origin: Some(at(file, place)),
        };
        let parse = match file.extension().and_then(|ending| ending.to_str()) {
            Some("yaml" | "yml") => Self::yaml,
            Some("toml") => Self::toml,
            Some("json") => Self::json,
            Some(_) | None => {
                let reason = "the file's ending must be .yaml, .yml, .toml or .json";
                return Err(problem(reason.into(), None));
            }
        };
        let cannot = |error| problem(format!("cannot read the file: {error}"), None);
        if std::fs::metadata(file).map_err(cannot)?.len() > LARGEST {
            return Err(problem(format!("the file is larger than {LARGEST} bytes"), None));
        }
        let text = std::fs::read_to_string(file).map_err(cannot)?;
        parse(&text).map_err(|(reason, place)| problem(reason, place))
    }

    fn yaml(text: &str) -> Result<Self, (String, Option<Place>)> {
        let mut options = serde_saphyr::Options::default();
        // `off` is a phase and a policy here, no boolean.
        options.strict_booleans = true;
        options.with_snippet = false;
        let read = serde_saphyr::from_str_with_options(text, options);
        let root: Option<Spanned<Node>> = read.map_err(|error| {
            let place = error.location().map(|at| Place {
                line: at.line(),
                column: at.column(),
            });
            let text = error.without_snippet().to_string();
            // The place is told apart from the text.
            let reason = text
                .split_once(" at line ")
                .map_or(text.as_str(), |(reason, _)| reason);
            (reason.to_owned(), place)
        })?;
        let mut document = Self::default();
        if let Some(root) = root {
            match document.take(root, &KeyPath::default(), None) {
                Value::Object(values) => document.values = values,
                Value::Null => {}
                _ => return Err(no_table()),
            }
        }
        Ok(document)
    }

    fn json(text: &str) -> Result<Self, (String, Option<Place>)> {
        let values = match serde_json::from_str(text) {
            Ok(Value::Object(values)) => values,
            Ok(_) => return Err(no_table()),
            Err(error) => {
                let place = Place {
                    line: error.line() as u64,
                    column: error.column() as u64,
                };
                let text = error.to_string();
                let reason = text
                    .split_once(" at line ")
                    .map_or(text.as_str(), |(reason, _)| reason);
                return Err((reason.to_owned(), Some(place)));
            }
        };
        // JSON is YAML but for a few escapes; where those stand in the way, there are no places.
        let places = Self::yaml(text)
            .map(|document| document.places)
            .unwrap_or_default();
        Ok(Self { values, places })
    }

    fn toml(text: &str) -> Result<Self, (String, Option<Place>)> {
        let lines = Lines::new(text);
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().map(|span| lines.place(span.start));
            (error.message().to_owned(), place)
        })?;
        let mut document = Self::default();
        document.values = document.take_table(table.get_ref(), &KeyPath::default(), &lines);
        Ok(document)
    }

    /// Notes the places of a YAML value and everything in it.
    fn take(&mut self, node: Spanned<Node>, path: &KeyPath, key: Option<Place>) -> Value {
        let at = Place {
            line: node.referenced.line(),
            column: node.referenced.column(),
        };
        self.places.insert(path.to_string(), Places { key, value: at });
        match node.value {
            Node::Leaf(value) => value,
            Node::List(list) => (0..)
                .zip(list)
                .map(|(index, element)| self.take(element, &path.index(index), None))
                .collect(),
            Node::Table(table) => {
                let members = table.into_iter().map(|(key, value)| {
                    let at = Place {
                        line: key.referenced.line(),
                        column: key.referenced.column(),
                    };
                    let value = self.take(value, &path.key(&key.value), Some(at));
                    (key.value, value)
                });
                Value::Object(members.collect())
            }
        }
    }

    fn take_table(&mut self, table: &DeTable<'_>, path: &KeyPath, lines: &Lines<'_>) -> Map<String, Value> {
        let members = table.iter().map(|(key, value)| {
            let name = key.get_ref().to_string();
            let path = path.key(&name);
            let at = lines.place(key.span().start);
            let value = self.take_toml(value, &path, Some(at), lines);
            (name, value)
        });
        members.collect()
    }

    fn take_toml(
        &mut self,
        value: &toml::Spanned<DeValue<'_>>,
        path: &KeyPath,
        key: Option<Place>,
        lines: &Lines<'_>,
    ) -> Value {
        let places = Places {
            key,
            value: lines.place(value.span().start),
        };
        self.places.insert(path.to_string(), places);
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(value) => Value::Bool(*value),
            // A number that is too large is left a text, which is refused where a number is expected.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::String(number.to_string()), Value::from),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map_or_else(|| Value::String(number.to_string()), Value::Number),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(list) => (0..)
                .zip(list.iter())
                .map(|(index, element)| self.take_toml(element, &path.index(index), None, lines))
                .collect(),
            DeValue::Table(table) => Value::Object(self.take_table(table, path, lines)),
        }
    }

    /// Where the value with this path is, or what it would be in.
    pub(super) fn place(&self, key: &str, of_key: bool) -> Option<Place> {
        let mut key = key;
        let mut exact = true;
        while !key.is_empty() {
            if let Some(places) = self.places.get(key) {
                let own = if of_key || !exact { places.key } else { None };
                return Some(own.unwrap_or(places.value));
            }
            exact = false;
            key = key.get(..key.rfind(['.', '['])?)?;
        }
        None
    }
}

/// `file:line:column`.
pub(super) fn at(file: &Path, place: Option<Place>) -> String {
    match place {
        Some(place) => format!("{}:{place}", file.display()),
        None => file.display().to_string(),
    }
}

fn no_table() -> (String, Option<Place>) {
    ("a scenario is a table of keys and values".into(), None)
}

/// Finds lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index));
        let before = start
            .and_then(|start| self.text.get(*start..offset))
            .unwrap_or_default();
        Place {
            line: line as u64,
            column: before.chars().count() as u64 + 1,
        }
    }
}

/// A YAML value with the places of what is in it.
#[derive(Debug)]
enum Node {
    Leaf(Value),
    List(Vec<Spanned<Node>>),
    Table(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Null))
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Null))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(Node::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Node::Table(members))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(document: &Document, key: &str) -> String {
        document.place(key, false).unwrap().to_string()
    }

    #[test]
    fn the_three_formats_tell_the_same_and_where_it_is() {
        let yaml = Document::yaml("a: 1\nb:\n  - c: x\n    d: [1.5, true]\n").unwrap();
        let json = Document::json("{\"a\": 1,\n \"b\": [{\"c\": \"x\", \"d\": [1.5, true]}]}").unwrap();
        let toml = Document::toml("a = 1\n[[b]]\nc = \"x\"\nd = [1.5, true]\n").unwrap();
        assert_eq!(yaml.values, json.values);
        assert_eq!(yaml.values, toml.values);
        assert_eq!(place(&yaml, "b[0].c"), "3:8");
        assert_eq!(yaml.place("b[0].c", true).unwrap().to_string(), "3:5");
        assert_eq!(place(&yaml, "b[0].d[1]"), "4:14");
        assert_eq!(place(&json, "b[0].c"), "2:14");
        assert_eq!(place(&toml, "b[0].c"), "3:5");
        assert_eq!(place(&yaml, "b[0].missing"), place(&yaml, "b[0]"));
        assert!(yaml.place("missing", false).is_none());
    }

    #[test]
    fn what_cannot_be_parsed_says_where() {
        for (found, line) in [
            (Document::yaml("a: 1\nb: [\n"), 2),
            (Document::yaml("a: 1\na: 2\n"), 2),
            (Document::json("{\"a\": 1,\n}"), 2),
            (Document::toml("a = 1\nb = \n"), 2),
        ] {
            let (reason, place) = found.unwrap_err();
            assert_eq!(place.map(|place| place.line), Some(line), "{reason}");
            assert!(!reason.contains("line"), "{reason}");
        }
        assert!(Document::yaml("- 1\n").is_err());
        assert!(Document::yaml("# nothing\n").unwrap().values.is_empty());
    }
}
