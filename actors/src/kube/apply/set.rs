//! Sets of fields: what `managedFields` says who owns (structured-merge-diff: `fieldpath`).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

use crate::kube::structure::Shape;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// A field of an object.
    Field(Box<str>),
    /// An item of a keyed list: its keys as a JSON object, sorted by name.
    Key(Box<str>),
    /// An item of a set: its JSON.
    Value(Box<str>),
    /// An item by its place.
    Index(u64),
}

impl Step {
    /// A key from names and values.
    #[must_use]
    pub fn key(fields: &BTreeMap<&str, Value>) -> Self {
        // Strings, numbers and the like always have a JSON form.
        Self::Key(serde_json::to_string(fields).unwrap_or_default().into())
    }

    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(key) => format!("k:{key}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.into())),
            "k" => {
                let fields: BTreeMap<String, Value> = serde_json::from_str(rest).ok()?;
                Some(Self::Key(serde_json::to_string(&fields).ok()?.into()))
            }
            "v" => {
                let value: Value = serde_json::from_str(rest).ok()?;
                Some(Self::Value(value.to_string().into()))
            }
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(key) => {
                let fields: BTreeMap<String, Value> = serde_json::from_str(key).unwrap_or_default();
                f.write_char('[')?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    write!(f, "{name}={value}")?;
                }
                f.write_char(']')
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Entry {
    member: bool,
    below: FieldSet,
}

/// A set of paths.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FieldSet {
    entries: BTreeMap<Step, Entry>,
}

impl FieldSet {
    /// Whether no path is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a path. The empty one is not a field and is ignored.
    pub fn insert(&mut self, path: &[Step]) {
        let Some((last, init)) = path.split_last() else {
            return;
        };
        let mut set = self;
        for step in init {
            set = &mut set.entries.entry(step.clone()).or_default().below;
        }
        set.entries.entry(last.clone()).or_default().member = true;
    }

    /// Whether the path of one step is in it.
    #[must_use]
    pub fn has(&self, step: &Step) -> bool {
        self.entries.get(step).is_some_and(|entry| entry.member)
    }

    /// Whether the path is in it.
    #[must_use]
    pub fn has_path(&self, path: &[Step]) -> bool {
        match path {
            [] => false,
            [last] => self.has(last),
            [first, rest @ ..] => self.below(first).is_some_and(|set| set.has_path(rest)),
        }
    }

    /// What the set holds below a step; `None` if nothing.
    #[must_use]
    pub fn below(&self, step: &Step) -> Option<&Self> {
        self.entries
            .get(step)
            .map(|entry| &entry.below)
            .filter(|below| !below.is_empty())
    }

    /// Paths in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (step, entry) in &other.entries {
            let mine = all.entries.entry(step.clone()).or_default();
            mine.member |= entry.member;
            mine.below = mine.below.union(&entry.below);
        }
        all
    }

    /// Paths that are in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(|step, entry| match other.entries.get(step) {
            None => entry.clone(),
            Some(theirs) => Entry {
                member: entry.member && !theirs.member,
                below: entry.below.difference(&theirs.below),
            },
        })
    }

    /// Paths that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(|step, entry| match other.entries.get(step) {
            None => Entry::default(),
            Some(theirs) => Entry {
                member: entry.member && theirs.member,
                below: entry.below.intersection(&theirs.below),
            },
        })
    }

    fn combine(&self, make: impl Fn(&Step, &Entry) -> Entry) -> Self {
        let entries = self
            .entries
            .iter()
            .map(|(step, entry)| (step.clone(), make(step, entry)))
            .filter(|(_, entry)| entry.member || !entry.below.is_empty())
            .collect();
        Self { entries }
    }

    /// The set with every named field a member that lies on the way to another one. A schema's structs do not count as owned
    /// by themselves, yet when fields are taken out they must be treated as if they were.
    #[must_use]
    pub fn with_named_fields(&self, shape: &Shape) -> Self {
        self.combine(|step, entry| {
            let (named, inner) = match step {
                Step::Field(name) => (shape.has_named_fields(), shape.field(name)),
                _ => (false, shape.item()),
            };
            Entry {
                member: entry.member || (named && !entry.below.is_empty()),
                below: entry.below.with_named_fields(&inner),
            }
        })
    }

    /// All paths, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<Vec<Step>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, path: &mut Vec<Step>, paths: &mut Vec<Vec<Step>>) {
        for (step, entry) in &self.entries {
            path.push(step.clone());
            if entry.member {
                paths.push(path.clone());
            }
            entry.below.collect(path, paths);
            path.pop();
        }
    }

    /// FieldsV1.
    #[must_use]
    pub fn encode(&self) -> Value {
        let map: Map<String, Value> = self
            .entries
            .iter()
            .map(|(step, entry)| {
                let mut below = entry.below.encode();
                if let (true, Some(map)) = (entry.member && !entry.below.is_empty(), below.as_object_mut()) {
                    map.insert(".".to_owned(), Value::Object(Map::new()));
                }
                (step.encode(), below)
            })
            .collect();
        Value::Object(map)
    }

    /// Reads FieldsV1; `None` if it is malformed.
    #[must_use]
    pub fn decode(value: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (text, below) in value.as_object()? {
            if text == "." {
                continue;
            }
            let inner = below.as_object()?;
            let entry = Entry {
                member: inner.is_empty() || inner.contains_key("."),
                below: Self::decode(below)?,
            };
            set.entries.insert(Step::decode(text)?, entry);
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:containers": {
            "k:{\"name\":\"x\"}": {".": {}, "f:image": {}}}, "f:finalizers": {"v:\"kubernetes\"": {}}, "f:list": {"i:3": {}}}})
    }

    #[test]
    fn the_wire_form_survives() {
        let set = FieldSet::decode(&sample()).unwrap();
        assert_eq!(set.encode(), sample());
        let paths: Vec<String> = set
            .paths()
            .iter()
            .map(|path| path.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(
            paths,
            [
                ".metadata.labels",
                ".metadata.labels.a",
                ".spec.containers[name=\"x\"]",
                ".spec.containers[name=\"x\"].image",
                ".spec.finalizers[=\"kubernetes\"]",
                ".spec.list[3]",
            ]
        );
        for bad in [
            json!([]),
            json!({"x:": {}}),
            json!({"f:a": 1}),
            json!({"k:[": {}}),
            json!({"i:x": {}}),
        ] {
            assert_eq!(FieldSet::decode(&bad), None, "{bad}");
        }
    }

    #[test]
    fn set_algebra() {
        let of = |value: Value| FieldSet::decode(&value).unwrap();
        let all = of(sample());
        let part = of(json!({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}}}));
        let rest = all.difference(&part);
        assert!(rest.has_path(&[Step::Field("metadata".into()), Step::Field("labels".into())]));
        assert_eq!(rest.union(&all), all);
        assert_eq!(rest.intersection(&part), FieldSet::default());
        assert_eq!(all.intersection(&part).paths().len(), 1);
        assert!(all.difference(&all).is_empty());
    }
}
