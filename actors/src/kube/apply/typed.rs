//! Whether a configuration fits the schema of its kind (structured-merge-diff: `typed/validate.go`).

use serde_json::Value;

use super::walk::step_of;
use crate::kube::go;
use crate::kube::schema::{FieldType, Kind, MessageId, Scalar, Schema};
use crate::kube::structure::Shape;

/// Most faults that are told.
const MOST: usize = 100;

/// What does not fit, as sentences: `.spec.foo: field not declared in schema`.
pub(super) fn faults(message: MessageId, config: &Value, shape: &Shape) -> Vec<String> {
    let mut walk = Walk {
        schema: Schema::built_in(),
        path: String::new(),
        found: Vec::new(),
    };
    walk.message(message, config, shape);
    walk.found
}

struct Walk {
    schema: &'static Schema,
    path: String,
    found: Vec<String>,
}

impl Walk {
    fn fault(&mut self, what: &str) {
        if self.found.len() < MOST {
            self.found.push(format!("{}: {what}", self.path));
        }
    }

    fn below(&mut self, step: &str, look: impl FnOnce(&mut Self)) {
        let end = self.path.len();
        self.path.push_str(step);
        look(self);
        self.path.truncate(end);
    }

    fn message(&mut self, id: MessageId, value: &Value, shape: &Shape) {
        let schema = self.schema;
        let typed = schema.message(id).is_some_and(|message| message.typed);
        let map = match value {
            Value::Object(map) => map,
            Value::Null => return,
            other => return self.fault(&format!("expected map, got &{{{}}}", go::value(other))),
        };
        for (name, value) in map {
            self.below(&format!(".{name}"), |walk| match schema.field(id, name) {
                Some((_, field)) => walk.typed(&field.of, value, &shape.field(name)),
                None if typed && matches!(name.as_str(), "apiVersion" | "kind") => {}
                None => walk.fault("field not declared in schema"),
            });
        }
    }

    fn typed(&mut self, of: &FieldType, value: &Value, shape: &Shape) {
        match (&of.kind, value) {
            (_, Value::Null) => {}
            (Kind::Message(id), value) => self.message(*id, value, shape),
            (Kind::List { item, .. }, Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    let step = match shape {
                        Shape::Keyed { .. } if value.is_object() => step_of(value, shape).to_string(),
                        Shape::Set => step_of(value, shape).to_string(),
                        _ => format!("[{index}]"),
                    };
                    self.below(&step, |walk| walk.typed(item, value, &shape.item()));
                }
            }
            (Kind::List { .. }, other) => {
                self.fault(&format!("expected list, got &{{{}}}", go::value(other)));
            }
            (Kind::Map(values), Value::Object(map)) => {
                for (name, value) in map {
                    self.below(&format!(".{name}"), |walk| {
                        walk.typed(values, value, &shape.field(name));
                    });
                }
            }
            (Kind::Map(_), other) => self.fault(&format!("expected map, got &{{{}}}", go::value(other))),
            (Kind::Scalar(scalar), value) => self.scalar(*scalar, value),
            // Their schemas take any scalar, or anything.
            (Kind::Special(_), _) => {}
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        let unstructured = || go::value(value);
        match (scalar, value) {
            (Scalar::String | Scalar::Bytes, Value::String(_))
            | (Scalar::Bool, Value::Bool(_))
            | (Scalar::Int32 | Scalar::Int64 | Scalar::Float64, Value::Number(_)) => {}
            (Scalar::String | Scalar::Bytes, value) => {
                let shown = unstructured();
                let shown = match value {
                    Value::Object(_) => format!("map[string]interface {{}}{{{shown}}}"),
                    Value::Array(_) => format!("[]interface {{}}{{{shown}}}"),
                    _ => shown,
                };
                self.fault(&format!(
                    "expected string, got &value.valueUnstructured{{Value:{shown}}}"
                ));
            }
            (Scalar::Bool, _) => self.fault(&format!("expected boolean, got &{{{}}}", unstructured())),
            (Scalar::Int32 | Scalar::Int64 | Scalar::Float64, value) => {
                let word = match value {
                    Value::String(_) => "string",
                    Value::Bool(_) => "bool",
                    Value::Array(_) => "[]interface {}",
                    _ => "map[string]interface {}",
                };
                self.fault(&format!("expected numeric (int or float), got {word}"));
            }
        }
    }
}
