//! Careful reading of a foreign tree: a value with its path, and the list of faults.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::kube::status::{FieldError, FieldFault, quote};

/// Faults of one object that are told. A real server tells all; more than this helps nobody and could fill memory.
const FAULTS_MAX: usize = 256;
/// Bytes of a refused value that are shown.
const SHOWN_MAX: usize = 4096;
/// Deepest nesting that is compared. The parser stops at twice that.
const DEPTH_MAX: usize = 64;

static NULL: Value = Value::Null;
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// A value and where it stands. What is missing is a node of `null`; what has the wrong type reads as missing: types are the
/// schema's matter.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Node<'a> {
    /// A top-level field of an object.
    pub(super) fn root(body: &'a Map<String, Value>, name: &str) -> Self {
        Self {
            path: name.to_owned(),
            value: body.get(name).unwrap_or(&NULL),
        }
    }

    /// The items of a top-level list.
    pub(super) fn list(body: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        items(name.to_owned(), body.get(name).unwrap_or(&NULL))
    }

    /// The path of a field of this object.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// The path of an entry of this map.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}[{name}]", self.path)
    }

    fn raw(&self, name: &str) -> &'a Value {
        self.value.get(name).unwrap_or(&NULL)
    }

    pub(super) fn get(&self, name: &str) -> Self {
        Self {
            path: self.at(name),
            value: self.raw(name),
        }
    }

    /// The node of a field, if there is something in it.
    pub(super) fn some(&self, name: &str) -> Option<Self> {
        self.has(name).then(|| self.get(name))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        !self.raw(name).is_null()
    }

    pub(super) fn exists(&self) -> bool {
        !self.value.is_null()
    }

    /// Text; empty when missing.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.raw(name).as_str().unwrap_or("")
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.raw(name).as_i64()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.raw(name).as_bool().unwrap_or(false)
    }

    pub(super) fn len(&self, name: &str) -> usize {
        match self.raw(name) {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    pub(super) fn items(&self, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        items(self.at(name), self.raw(name))
    }

    /// The items that are texts.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let items = self.raw(name).as_array().map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(Value::as_str)
    }

    pub(super) fn map(&self, name: &str) -> &'a Map<String, Value> {
        self.raw(name).as_object().unwrap_or(&EMPTY)
    }
}

fn items<'a>(path: String, list: &'a Value) -> impl Iterator<Item = Node<'a>> + use<'a> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().enumerate().map(move |(index, value)| Node {
        path: format!("{path}[{index}]"),
        value,
    })
}

/// Equal in meaning: what is missing, empty, zero or false is the same in a typed server's eyes
/// (kubernetes: `apimachinery/third_party/forked/golang/reflect`, `apiequality.Semantic`).
pub(super) fn same(one: &Value, other: &Value) -> bool {
    equal(one, other, 0)
}

fn equal(one: &Value, other: &Value, depth: usize) -> bool {
    match (one, other) {
        _ if depth > DEPTH_MAX => one == other,
        (Value::Object(one), Value::Object(other)) => {
            one.iter()
                .all(|(key, value)| equal(value, other.get(key).unwrap_or(&NULL), depth + 1))
                && other
                    .iter()
                    .all(|(key, value)| one.contains_key(key) || equal(&NULL, value, depth + 1))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .all(|(one, other)| equal(one, other, depth + 1)),
        _ => one == other || (is_zero(one) && is_zero(other)),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
        Value::Bool(true) => false,
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<FieldError>,
}

impl Faults {
    pub(super) fn into_list(self) -> Vec<FieldError> {
        self.list
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn push(&mut self, error: FieldError) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(error);
        }
    }

    fn add(
        &mut self,
        fault: FieldFault,
        field: impl Into<String>,
        value: Option<Value>,
        detail: impl Into<String>,
    ) {
        self.push(FieldError {
            fault,
            field: field.into(),
            value,
            detail: detail.into(),
        });
    }

    pub(super) fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.add(FieldFault::Required, field, None, detail);
    }

    pub(super) fn forbidden(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.add(FieldFault::Forbidden, field, None, detail);
    }

    pub(super) fn invalid(
        &mut self,
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) {
        self.add(FieldFault::Invalid, field, Some(shown(value.into())), detail);
    }

    /// One fault for each message.
    pub(super) fn each(&mut self, field: &str, value: &str, messages: Vec<String>) {
        for message in messages {
            self.invalid(field, value, message);
        }
    }

    pub(super) fn duplicate(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.add(FieldFault::Duplicate, field, Some(shown(value.into())), "");
    }

    pub(super) fn not_found(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.add(FieldFault::NotFound, field, Some(shown(value.into())), "");
    }

    pub(super) fn too_long(&mut self, field: impl Into<String>, limit: usize) {
        self.push(FieldError::too_long(field, limit));
    }

    pub(super) fn too_many(&mut self, field: impl Into<String>, count: usize, limit: usize) {
        let noun = if limit == 1 { "item" } else { "items" };
        self.add(
            FieldFault::TooMany,
            field,
            Some(count.into()),
            format!("must have at most {limit} {noun}"),
        );
    }

    pub(super) fn not_supported(
        &mut self,
        field: impl Into<String>,
        value: impl Into<Value>,
        values: &[&str],
    ) {
        let list: Vec<String> = values.iter().map(|value| quote(value)).collect();
        self.add(
            FieldFault::NotSupported,
            field,
            Some(shown(value.into())),
            format!("supported values: {}", list.join(", ")),
        );
    }

    /// `value` must be one of `values`, and must be there.
    pub(super) fn one_of(&mut self, field: String, value: &str, values: &[&str]) {
        if value.is_empty() {
            self.required(field, "");
        } else if !values.contains(&value) {
            self.not_supported(field, value, values);
        }
    }

    /// Not negative, if it is there.
    pub(super) fn not_negative(&mut self, node: &Node<'_>, name: &str) {
        if let Some(value) = node.int(name).filter(|value| *value < 0) {
            self.invalid(node.at(name), value, "must be greater than or equal to 0");
        }
    }

    /// `new` must mean the same as `old`.
    pub(super) fn immutable(&mut self, field: impl Into<String>, new: &Value, old: &Value) {
        if !same(new, old) {
            self.invalid(field, new.clone(), "field is immutable");
        }
    }
}

/// The value as it is shown, cut when it is very large.
fn shown(value: Value) -> Value {
    let text = match &value {
        Value::Array(_) | Value::Object(_) => value.to_string(),
        Value::String(text) if text.len() > SHOWN_MAX => text.clone(),
        _ => return value,
    };
    if text.len() <= SHOWN_MAX {
        return value;
    }
    let end = text.floor_char_boundary(SHOWN_MAX);
    Value::String(format!("{}...", text.get(..end).unwrap_or("")))
}
