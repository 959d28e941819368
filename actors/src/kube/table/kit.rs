//! Objects and cells for tests.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::age;
use super::built_in::{self, Row};
use crate::kube::intern::Interner;
use crate::kube::object::Object;

/// Five minutes after the objects of [`object`] were created.
pub(super) fn now() -> DateTime<Utc> {
    age::parse("2026-01-01T00:05:00.250Z").unwrap()
}

/// A stored object; what the server decides is filled in where it is missing.
pub(super) fn object(mut value: Value) -> Object {
    let meta = value["metadata"].as_object_mut().unwrap();
    for (field, text) in [
        ("uid", "6d2f7a1e-0c5b-4f0e-9a57-2f1d3c4b5a69"),
        ("resourceVersion", "7"),
        ("creationTimestamp", "2026-01-01T00:00:00Z"),
    ] {
        meta.entry(field).or_insert_with(|| text.into());
    }
    Object::from_stored(value, "Test", &Interner::default()).unwrap()
}

/// The cells of a built-in kind.
pub(super) fn cells(group: &str, plural: &str, object: &Object) -> Value {
    let kind = built_in::find(group, plural);
    assert_eq!(kind.plural, plural, "{plural} has no printer");
    let row = Row {
        object,
        now: now(),
        empty: false,
    };
    json!((kind.cells)(&row))
}
