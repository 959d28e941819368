//! A structural schema, as far as pruning, defaulting and the uniqueness of lists ask for it
//! (kubernetes: `apiextensions-apiserver/pkg/apiserver/schema/structural.go`, `.../pruning`, `.../defaulting`, `.../listtype`,
//! `.../objectmeta`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::kube::status::{FieldError, FieldFault};

/// Deepest nesting of a schema, in schemas.
pub(super) const DEPTH_MAX: usize = 64;
/// Schemas in one schema.
pub(super) const NODES_MAX: usize = 50_000;
/// Unknown fields that are told.
const UNKNOWN_MAX: usize = 100;
/// Bytes that defaults may add to one object.
const DEFAULTS_MAX: usize = 1024 * 1024;
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// How the items of a list are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum ListKind {
    #[default]
    Atomic,
    Set,
    Map,
}

/// A node of a schema.
#[derive(Debug, Default)]
pub(super) struct Schema {
    nullable: bool,
    preserve: bool,
    embedded: bool,
    list: ListKind,
    keys: Vec<String>,
    properties: BTreeMap<String, Schema>,
    /// Whether other keys may stand in the object.
    open: bool,
    additional: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    default: Option<Value>,
}

impl Schema {
    /// Reads a schema that was checked to be structural.
    ///
    /// # Errors
    /// In words, when it is nested too deeply or too large.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        read(value, 0, &mut 0)
    }
}

fn read(value: &Value, depth: usize, nodes: &mut usize) -> Result<Schema, String> {
    *nodes += 1;
    if depth > DEPTH_MAX {
        return Err(format!("must not be nested more than {DEPTH_MAX} levels deep"));
    }
    if *nodes > NODES_MAX {
        return Err(format!("must not have more than {NODES_MAX} nodes"));
    }
    let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(false);
    let mut schema = Schema {
        nullable: flag("nullable"),
        preserve: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        list: match value.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => ListKind::Set,
            Some("map") => ListKind::Map,
            _ => ListKind::Atomic,
        },
        default: value.get("default").filter(|value| !value.is_null()).cloned(),
        ..Schema::default()
    };
    let keys = value.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    for key in keys.into_iter().flatten().filter_map(Value::as_str) {
        schema.keys.push(key.to_owned());
    }
    let properties = value.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let property = read(property, depth + 1, nodes)?;
        schema.properties.insert(name.clone(), property);
    }
    match value.get("additionalProperties") {
        Some(Value::Bool(open)) => schema.open = *open,
        Some(other @ Value::Object(_)) => {
            schema.open = true;
            schema.additional = Some(Box::new(read(other, depth + 1, nodes)?));
        }
        _ => {}
    }
    if let Some(items) = value.get("items").filter(|items| items.is_object()) {
        schema.items = Some(Box::new(read(items, depth + 1, nodes)?));
    }
    Ok(schema)
}

/// The unknown fields that pruning finds, by path.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    path: Vec<String>,
    pub(super) found: BTreeSet<String>,
}

impl Unknown {
    fn record(&mut self, key: &str) {
        if self.found.len() >= UNKNOWN_MAX {
            return;
        }
        let mut text = String::new();
        for step in &self.path {
            if !step.starts_with('[') && !text.is_empty() {
                text.push('.');
            }
            text.push_str(step);
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(key);
        self.found.insert(text);
    }
}

/// Takes the fields out of an object that its schema does not know. At the root `metadata` and the type stay.
pub(super) fn prune_root(body: &mut Map<String, Value>, schema: &Schema, unknown: &mut Unknown) {
    prune_map(body, Some(schema), true, schema.preserve, unknown);
}

/// `keep` says that unknown fields of this value stay, because the list that it stands in keeps them.
fn prune(value: &mut Value, schema: Option<&Schema>, keep: bool, unknown: &mut Unknown) {
    let keep = keep || schema.is_some_and(|schema| schema.preserve);
    match value {
        Value::Object(map) => {
            let embedded = schema.is_some_and(|schema| schema.embedded);
            prune_map(map, schema, embedded, keep, unknown);
        }
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.items.as_deref());
            if inner.is_none() && keep {
                return;
            }
            for (index, item) in items.iter_mut().enumerate() {
                unknown.path.push(format!("[{index}]"));
                prune(item, inner, keep, unknown);
                unknown.path.pop();
            }
        }
        _ => {}
    }
}

fn prune_map(
    map: &mut Map<String, Value>,
    schema: Option<&Schema>,
    embedded: bool,
    keep: bool,
    unknown: &mut Unknown,
) {
    map.retain(|key, value| {
        if embedded && META.contains(&key.as_str()) {
            return true;
        }
        let inner = schema.and_then(|schema| schema.properties.get(key));
        if inner.is_some() || schema.is_some_and(|schema| schema.open) {
            let inner = inner.or_else(|| schema.and_then(|schema| schema.additional.as_deref()));
            unknown.path.push(key.clone());
            prune(value, inner, false, unknown);
            unknown.path.pop();
            return true;
        }
        if !keep {
            unknown.record(key);
        }
        keep
    });
}

/// Fills in defaults. Nulls go where they are not allowed: into the default, or away.
pub(super) fn default_root(body: &mut Map<String, Value>, schema: &Schema) {
    let mut budget = DEFAULTS_MAX;
    default_map(body, schema, true, &mut budget);
}

fn default_map(map: &mut Map<String, Value>, schema: &Schema, root: bool, budget: &mut usize) {
    let own = |key: &str| root && META.contains(&key);
    map.retain(|key, value| {
        let of = schema.properties.get(key).or(schema.additional.as_deref());
        let drop = value.is_null() && of.is_some_and(|of| !of.nullable && of.default.is_none());
        own(key) || !drop
    });
    for (name, property) in &schema.properties {
        let Some(default) = property.default.as_ref().filter(|_| !own(name)) else {
            continue;
        };
        let open = map
            .get(name)
            .is_none_or(|value| value.is_null() && !property.nullable);
        if open {
            let Some(rest) = budget.checked_sub(default.to_string().len()) else {
                return;
            };
            *budget = rest;
            map.insert(name.clone(), default.clone());
        }
    }
    for (key, value) in map.iter_mut() {
        if own(key) {
            continue;
        }
        if let Some(of) = schema.properties.get(key).or(schema.additional.as_deref()) {
            default_value(value, of, budget);
        }
    }
}

fn default_value(value: &mut Value, schema: &Schema, budget: &mut usize) {
    if let (true, false, Some(default)) = (value.is_null(), schema.nullable, &schema.default) {
        value.clone_from(default);
    }
    match value {
        Value::Object(map) => default_map(map, schema, false, budget),
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                list.iter_mut()
                    .for_each(|item| default_value(item, items, budget));
            }
        }
        _ => {}
    }
}

/// Items that stand twice in sets and keyed lists, and embedded objects without a type.
pub(super) fn check_root(body: &Map<String, Value>, schema: &Schema, errors: &mut Vec<FieldError>) {
    for (key, value) in body {
        if let Some(of) = schema
            .properties
            .get(key)
            .filter(|_| !META.contains(&key.as_str()))
        {
            check(value, of, key, errors);
        }
    }
}

fn check(value: &Value, schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                for field in ["apiVersion", "kind"] {
                    match map.get(field) {
                        None => errors.push(FieldError::required(format!("{path}.{field}"), "")),
                        Some(Value::String(text)) if !text.is_empty() => {}
                        Some(Value::String(_)) => errors.push(FieldError::invalid(
                            format!("{path}.{field}"),
                            "",
                            "must not be empty",
                        )),
                        Some(other) => errors.push(FieldError::invalid(
                            format!("{path}.{field}"),
                            other.clone(),
                            "must be a string",
                        )),
                    }
                }
            }
            for (key, value) in map {
                if let Some(of) = schema.properties.get(key) {
                    check(value, of, &format!("{path}.{key}"), errors);
                } else if let Some(of) = &schema.additional {
                    check(value, of, &format!("{path}[{key}]"), errors);
                }
            }
        }
        Value::Array(items) => {
            unique(items, schema, path, errors);
            if let Some(of) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    check(item, of, &format!("{path}[{index}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn unique(items: &[Value], schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let keys: Vec<Value> = match schema.list {
        ListKind::Atomic => return,
        ListKind::Set => items.to_vec(),
        ListKind::Map => {
            let strange = items.iter().position(|item| !item.is_object() && !item.is_null());
            if let Some(index) = strange {
                errors.push(FieldError::invalid(
                    format!("{path}[{index}]"),
                    items.get(index).cloned().unwrap_or_default(),
                    "must be an object for an array of list-type map",
                ));
                return;
            }
            let key_of = |item: &Value| {
                let mut key = json!({});
                for name in &schema.keys {
                    if let (Some(map), Some(value)) = (key.as_object_mut(), item.get(name)) {
                        map.insert(name.clone(), value.clone());
                    }
                }
                key
            };
            items.iter().map(key_of).collect()
        }
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, key) in keys.into_iter().enumerate() {
        let times = seen.entry(key.to_string()).or_default();
        *times += 1;
        // Only the first repetition is told.
        if *times == 2 {
            errors.push(FieldError {
                fault: FieldFault::Duplicate,
                field: format!("{path}[{index}]"),
                value: Some(key),
                detail: String::new(),
            });
        }
    }
}
