//! Whether a schema is structural (kubernetes: `apiextensions-apiserver/pkg/apiserver/schema/validation.go`, and
//! `ValidateCustomResourceDefinitionOpenAPISchema` in `pkg/apis/apiextensions/validation/validation.go`).

use serde_json::{Value, json};

use super::schema::{DEPTH_MAX, NODES_MAX};
use crate::kube::status::{FieldError, FieldFault, quote};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// Keywords that are refused wherever they stand.
const REFUSED: [&str; 6] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];
/// Faults after which the rest is not looked at.
const FAULTS_MAX: usize = 32;

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

struct Walk<'a> {
    errors: &'a mut Vec<FieldError>,
    start: usize,
    nodes: usize,
}

/// Adds the faults of a schema. `field` is where it stands in the definition.
pub(super) fn check(schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let start = errors.len();
    let mut walk = Walk {
        errors,
        start,
        nodes: 0,
    };
    walk.node(schema, field, Level::Root, 0);
    if let Some(found) = errors.get_mut(start..) {
        found.sort_by_key(ToString::to_string);
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

/// `anyOf: [{type: integer}, {type: string}]`, which goes with `x-kubernetes-int-or-string`.
fn is_int_or_string(any_of: Option<&Value>) -> bool {
    any_of == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

impl Walk<'_> {
    fn forbidden(&mut self, field: String, words: &str) {
        self.errors.push(FieldError::forbidden(field, words));
    }

    fn required(&mut self, field: String, words: &str) {
        self.errors.push(FieldError::required(field, words));
    }

    fn invalid(&mut self, field: String, value: impl Into<Value>, words: &str) {
        self.errors.push(FieldError::invalid(field, value, words));
    }

    fn not_supported(&mut self, field: String, value: &str, values: &[&str]) {
        let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
        self.errors.push(FieldError {
            fault: FieldFault::NotSupported,
            field,
            value: Some(value.into()),
            detail: format!("supported values: {}", values.join(", ")),
        });
    }

    /// Whether to go on: bounds of depth, size and number of faults.
    fn enter(&mut self, field: &str, depth: usize) -> bool {
        self.nodes += 1;
        if self.errors.len() - self.start >= FAULTS_MAX {
            return false;
        }
        if depth > DEPTH_MAX {
            self.forbidden(
                field.to_owned(),
                &format!("must not be nested more than {DEPTH_MAX} levels deep"),
            );
            return false;
        }
        if self.nodes > NODES_MAX {
            if self.nodes == NODES_MAX + 1 {
                self.forbidden(
                    field.to_owned(),
                    &format!("must not have more than {NODES_MAX} nodes"),
                );
            }
            return false;
        }
        true
    }

    fn node(&mut self, schema: &Value, field: &str, level: Level, depth: usize) {
        if !self.enter(field, depth) {
            return;
        }
        let at = |name: &str| format!("{field}.{name}");
        if !schema.is_object() {
            self.invalid(field.to_owned(), schema.clone(), "must be a schema object");
            return;
        }
        self.keywords(schema, field);
        let kind = text(schema, "type");
        if kind == "array" && schema.get("items").is_none() {
            self.required(at("items"), "must be specified");
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            self.node(items, &at("items"), Level::Item, depth + 1);
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if level == Level::Root && name == "metadata" {
                self.metadata(property, &at("properties[metadata]"));
                continue;
            }
            self.node(
                property,
                &format!("{field}.properties[{name}]"),
                Level::Field,
                depth + 1,
            );
        }
        if let Some(additional) = schema.get("additionalProperties") {
            if level == Level::Root {
                self.forbidden(at("additionalProperties"), "must not be used at the root");
            }
            let has_properties = properties.is_some_and(|properties| !properties.is_empty());
            if has_properties && additional != &Value::Bool(true) {
                self.forbidden(
                    at("additionalProperties"),
                    "additionalProperties and properties are mutual exclusive",
                );
            }
            if additional.is_object() {
                self.node(additional, &at("additionalProperties"), Level::Field, depth + 1);
            }
        }
        self.types(schema, field, level);
        self.lists(schema, field);
        let any_of = is_int_or_string(schema.get("anyOf"));
        let all_of = schema
            .pointer("/allOf/0")
            .is_some_and(|first| is_int_or_string(first.get("anyOf")));
        self.alternatives(schema, field, any_of, all_of, depth);
    }

    /// `metadata` at the root may restrict names only.
    fn metadata(&mut self, schema: &Value, field: &str) {
        if text(schema, "type") != "object" {
            self.invalid(format!("{field}.type"), text(schema, "type"), "must be object");
        }
        let only_names = schema.as_object().is_some_and(|map| {
            map.iter().all(|(key, value)| match key.as_str() {
                "type" | "description" => true,
                "properties" => value
                    .as_object()
                    .is_some_and(|map| map.keys().all(|key| key == "name" || key == "generateName")),
                _ => false,
            })
        });
        if !only_names {
            self.forbidden(
                field.to_owned(),
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            );
        }
    }

    /// Keywords that no schema may have, nested or not.
    fn keywords(&mut self, schema: &Value, field: &str) {
        let at = |name: &str| format!("{field}.{name}");
        for name in REFUSED {
            if schema.get(name).is_some_and(|value| !value.is_null()) {
                self.forbidden(at(name), &format!("{name} is not supported"));
            }
        }
        if flag(schema, "uniqueItems") {
            self.forbidden(
                at("uniqueItems"),
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            );
        }
        if schema.get("items").is_some_and(Value::is_array) {
            self.forbidden(at("items"), "items must be a schema object and not an array");
        }
        match text(schema, "type") {
            "null" => self.forbidden(
                at("type"),
                "type cannot be set to null, use nullable as an alternative",
            ),
            "" => {}
            kind if TYPES.contains(&kind) => {}
            kind => self.not_supported(at("type"), kind, &TYPES),
        }
        let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        for (index, rule) in rules.into_iter().flatten().enumerate() {
            if text(rule, "rule").trim().is_empty() {
                self.required(
                    format!("{field}.x-kubernetes-validations[{index}].rule"),
                    "rule is not specified",
                );
            }
        }
    }

    fn types(&mut self, schema: &Value, field: &str, level: Level) {
        let at = |name: &str| format!("{field}.{name}");
        let kind = text(schema, "type");
        let int_or_string = flag(schema, "x-kubernetes-int-or-string");
        let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
        let embedded = flag(schema, "x-kubernetes-embedded-resource");
        if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            self.invalid(
                at("x-kubernetes-preserve-unknown-fields"),
                false,
                "must be true or undefined",
            );
        }
        if int_or_string && preserve {
            self.invalid(
                at("x-kubernetes-preserve-unknown-fields"),
                true,
                "must be false if x-kubernetes-int-or-string is true",
            );
        }
        if int_or_string && embedded {
            self.invalid(
                at("x-kubernetes-embedded-resource"),
                true,
                "must be false if x-kubernetes-int-or-string is true",
            );
        }
        let has_properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|properties| !properties.is_empty());
        if embedded {
            let words = "must be object if x-kubernetes-embedded-resource is true";
            match kind {
                "object" => {}
                "" => self.required(at("type"), words),
                other => self.invalid(at("type"), other, words),
            }
            if schema.get("additionalProperties").is_some() {
                self.forbidden(
                    at("additionalProperties"),
                    "must not be used if x-kubernetes-embedded-resource is set",
                );
            }
            if !preserve && !has_properties {
                self.required(
                    at("properties"),
                    "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
                );
            }
        } else if kind.is_empty() && !int_or_string && !preserve {
            self.required(
                at("type"),
                match level {
                    Level::Root => "must not be empty at the root",
                    Level::Item => "must not be empty for specified array items",
                    Level::Field => "must not be empty for specified object fields",
                },
            );
        }
        if level == Level::Root && !kind.is_empty() && kind != "object" {
            self.invalid(at("type"), kind, "must be object at the root");
        }
        if level == Level::Root || embedded {
            for name in ["kind", "apiVersion"] {
                let of = schema.get("properties").and_then(|map| map.get(name));
                if let Some(of) = of.filter(|of| text(of, "type") != "string") {
                    self.invalid(
                        format!("{field}.properties[{name}].type"),
                        text(of, "type"),
                        "must be string",
                    );
                }
            }
        }
    }

    fn lists(&mut self, schema: &Value, field: &str) {
        let at = |name: &str| format!("{field}.{name}");
        let kind = text(schema, "type");
        let marked = |name: &str| schema.get(name).and_then(Value::as_str);
        if let Some(map_type) = marked("x-kubernetes-map-type") {
            let words = "must be object if x-kubernetes-map-type is specified";
            match kind {
                "object" => {}
                "" => self.required(at("type"), words),
                other => self.invalid(at("type"), other, words),
            }
            if !matches!(map_type, "atomic" | "granular") {
                self.not_supported(at("x-kubernetes-map-type"), map_type, &["atomic", "granular"]);
            }
        }
        let keys: Vec<&str> = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let Some(list_type) = marked("x-kubernetes-list-type") else {
            if !keys.is_empty() {
                self.required(
                    at("x-kubernetes-list-type"),
                    "must be map if x-kubernetes-list-map-keys is non-empty",
                );
            }
            return;
        };
        let words = "must be array if x-kubernetes-list-type is specified";
        match kind {
            "array" => {}
            "" => self.required(at("type"), words),
            other => self.invalid(at("type"), other, words),
        }
        if !matches!(list_type, "atomic" | "set" | "map") {
            self.not_supported(at("x-kubernetes-list-type"), list_type, &["atomic", "set", "map"]);
        }
        if !keys.is_empty() && list_type != "map" {
            self.invalid(
                at("x-kubernetes-list-type"),
                list_type,
                "must be map if x-kubernetes-list-map-keys is non-empty",
            );
        }
        let null = Value::Null;
        let items = schema.get("items").unwrap_or(&null);
        if matches!(list_type, "set" | "map") && flag(items, "nullable") {
            self.forbidden(
                at("items.nullable"),
                &format!("cannot be nullable when x-kubernetes-list-type is {list_type}"),
            );
        }
        if list_type == "map" {
            self.keyed(items, field, &keys);
        }
    }

    fn keyed(&mut self, items: &Value, field: &str, keys: &[&str]) {
        let at = |name: &str| format!("{field}.{name}");
        if keys.is_empty() {
            self.required(
                at("x-kubernetes-list-map-keys"),
                "must not be empty if x-kubernetes-list-type is map",
            );
        }
        if items.is_null() {
            self.required(at("items"), "must have a schema if x-kubernetes-list-type is map");
            return;
        }
        if text(items, "type") != "object" {
            self.invalid(
                at("items.type"),
                text(items, "type"),
                "must be object if parent array's x-kubernetes-list-type is map",
            );
            return;
        }
        for (index, key) in keys.iter().enumerate() {
            let property = items.get("properties").and_then(|map| map.get(key));
            match property {
                None => self.invalid(
                    at("x-kubernetes-list-map-keys"),
                    json!(keys),
                    "entries must all be names of item properties",
                ),
                Some(property) => {
                    let inner = format!("{field}.items.properties[{key}]");
                    if matches!(text(property, "type"), "array" | "object") {
                        self.invalid(
                            format!("{inner}.type"),
                            text(property, "type"),
                            "must be a scalar type if parent array's x-kubernetes-list-type is map",
                        );
                    }
                    let required = items
                        .get("required")
                        .and_then(Value::as_array)
                        .is_some_and(|list| list.iter().any(|name| name == key));
                    if !required && property.get("default").is_none() {
                        self.required(
                            format!("{inner}.default"),
                            "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                        );
                    }
                    if flag(property, "nullable") {
                        self.forbidden(
                            format!("{inner}.nullable"),
                            "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                        );
                    }
                }
            }
            if keys.get(..index).is_some_and(|before| before.contains(key)) {
                self.invalid(
                    at("x-kubernetes-list-map-keys"),
                    json!(keys),
                    "must not contain duplicate entries",
                );
            }
        }
    }

    /// `anyOf`, `allOf`, `oneOf`, `not`: they only restrict.
    fn alternatives(&mut self, schema: &Value, field: &str, any_of: bool, all_of: bool, depth: usize) {
        for name in ["anyOf", "allOf", "oneOf"] {
            if name == "anyOf" && any_of {
                continue;
            }
            let parts = schema.get(name).and_then(Value::as_array);
            for (index, part) in parts.into_iter().flatten().enumerate() {
                let skip = name == "allOf" && all_of && index == 0;
                self.nested(part, &format!("{field}.{name}[{index}]"), skip, depth + 1);
            }
        }
        if let Some(part) = schema.get("not").filter(|part| part.is_object()) {
            self.nested(part, &format!("{field}.not"), false, depth + 1);
        }
    }

    fn nested(&mut self, schema: &Value, field: &str, skip_any_of: bool, depth: usize) {
        if !self.enter(field, depth) {
            return;
        }
        let at = |name: &str| format!("{field}.{name}");
        self.keywords(schema, field);
        self.alternatives(schema, field, skip_any_of, false, depth);
        for (name, words) in [
            ("type", "must be empty to be structural"),
            ("additionalProperties", "must be undefined to be structural"),
            ("default", "must be undefined to be structural"),
            ("title", "must be empty to be structural"),
            ("description", "must be empty to be structural"),
            ("nullable", "must be false to be structural"),
            (
                "x-kubernetes-preserve-unknown-fields",
                "must be false to be structural",
            ),
            ("x-kubernetes-embedded-resource", "must be false to be structural"),
            ("x-kubernetes-int-or-string", "must be false to be structural"),
            ("x-kubernetes-list-map-keys", "must be empty to be structural"),
            ("x-kubernetes-list-type", "must be undefined to be structural"),
            ("x-kubernetes-map-type", "must be undefined to be structural"),
            ("x-kubernetes-validations", "must be empty to be structural"),
        ] {
            let set = match schema.get(name) {
                None | Some(Value::Null | Value::Bool(false)) => false,
                Some(Value::String(text)) => !text.is_empty(),
                Some(Value::Array(items)) => !items.is_empty(),
                Some(_) => true,
            };
            if set {
                self.forbidden(at(name), words);
            }
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            self.nested(items, &at("items"), false, depth + 1);
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let inner = format!("{field}.properties[{name}]");
            if name == "metadata" {
                self.forbidden(inner.clone(), "must not be specified in a nested context");
            }
            self.nested(property, &inner, false, depth + 1);
        }
    }
}
