//! Reads `facts.txt`: what schemas say of a field beside its name and type.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

/// What is said of one field.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Marks {
    /// Whether it is required, where that does not follow from `omitempty`.
    pub(super) required: Option<bool>,
    /// `x-kubernetes-list-type`: `atomic`, `set`, `map`.
    pub(super) list_type: Option<&'static str>,
    /// `x-kubernetes-list-map-keys`.
    pub(super) keys: Vec<&'static str>,
    /// `x-kubernetes-map-type`: `atomic`, `granular`.
    pub(super) map_type: Option<&'static str>,
    /// `x-kubernetes-patch-strategy`.
    pub(super) strategy: Option<String>,
    /// `x-kubernetes-patch-merge-key`.
    pub(super) merge_key: Option<&'static str>,
    /// Its default.
    pub(super) default: Option<Value>,
}

impl Marks {
    /// The `x-kubernetes-*` keys, by name.
    pub(super) fn extensions(&self) -> impl Iterator<Item = (String, Value)> {
        let keys = (!self.keys.is_empty()).then(|| json!(self.keys));
        [
            ("x-kubernetes-list-map-keys", keys),
            ("x-kubernetes-list-type", self.list_type.map(Value::from)),
            ("x-kubernetes-map-type", self.map_type.map(Value::from)),
            ("x-kubernetes-patch-merge-key", self.merge_key.map(Value::from)),
            (
                "x-kubernetes-patch-strategy",
                self.strategy.clone().map(Value::from),
            ),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    }
}

/// What is said of one struct.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Facts {
    /// Whether it is written as one unit: `x-kubernetes-map-type: atomic`.
    pub(super) atomic: bool,
    fields: HashMap<&'static str, Marks>,
}

impl Facts {
    /// The marks of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Marks> {
        self.fields.get(name)
    }

    /// The fields that have marks.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.keys().copied()
    }
}

/// What is said of a struct, by package and name.
pub(super) fn of(package: &str, name: &str) -> Option<&'static Facts> {
    static FACTS: LazyLock<HashMap<&'static str, HashMap<&'static str, Facts>>> =
        LazyLock::new(|| read(include_str!("facts.txt")).unwrap_or_default());
    FACTS.get(package)?.get(name)
}

type Table = HashMap<&'static str, HashMap<&'static str, Facts>>;

/// Reads the table.
///
/// # Errors
/// What is wrong; the table is part of the program, so this is for its tests.
pub(super) fn read(text: &'static str) -> Result<Table, String> {
    let mut table = Table::new();
    let mut package = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('@') {
            package = name;
            continue;
        }
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let mut facts = Facts {
            atomic: name.ends_with('@'),
            fields: HashMap::new(),
        };
        for word in words {
            let (field, marks) = marks(word).ok_or_else(|| format!("{package}.{name}: {word}"))?;
            facts.fields.insert(field, marks);
        }
        table
            .entry(package)
            .or_default()
            .insert(name.trim_end_matches('@'), facts);
    }
    Ok(table)
}

/// A name and its marks, in their order.
fn marks(word: &'static str) -> Option<(&'static str, Marks)> {
    let end = word.find(['!', '?', '[', '{', '@', '*', '<', '='])?;
    let (name, mut rest) = word.split_at(end);
    let mut marks = Marks::default();
    for (sign, required) in [('!', true), ('?', false)] {
        if let Some(after) = rest.strip_prefix(sign) {
            marks.required = Some(required);
            rest = after;
        }
    }
    if let Some(after) = rest.strip_prefix("[]") {
        marks.list_type = Some("atomic");
        rest = after;
    } else if let Some(after) = rest.strip_prefix('{') {
        let (keys, after) = after.split_once('}')?;
        marks.keys = keys.split(',').filter(|key| !key.is_empty()).collect();
        marks.list_type = Some(if marks.keys.is_empty() { "set" } else { "map" });
        rest = after;
    }
    for (sign, map_type) in [('@', "atomic"), ('*', "granular")] {
        if let Some(after) = rest.strip_prefix(sign) {
            marks.map_type = Some(map_type);
            rest = after;
        }
    }
    if let Some(after) = rest.strip_prefix('<') {
        let (strategy, after) = after.split_once('>')?;
        let (strategy, key) = match strategy.split_once(':') {
            Some((strategy, key)) => (strategy, Some(key)),
            None => (strategy, None),
        };
        marks.strategy = Some(strategy.replace('+', ","));
        marks.merge_key = key;
        rest = after;
    }
    if let Some(default) = rest.strip_prefix('=') {
        marks.default = Some(serde_json::from_str(default).ok()?);
        rest = "";
    }
    rest.is_empty().then_some((name, marks))
}
