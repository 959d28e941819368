use serde_json::json;

use super::*;
use crate::kube::table::kit::{now, object};

/// The cells of a machine, without the name.
fn cells(columns: Value, machine: Value) -> Value {
    let columns = CustomColumns::of(&json!({"additionalPrinterColumns": columns}));
    let machine = object(machine);
    let row = Row {
        object: &machine,
        now: now(),
        empty: false,
    };
    let cells = columns.cells(&row, "cluster.x-k8s.io/v1beta1", "Machine");
    assert_eq!(cells.len(), columns.columns().len());
    assert_eq!(cells[0], "m");
    Value::Array(cells[1..].to_vec())
}

fn machine() -> Value {
    json!({
        "metadata": {"name": "m", "labels": {"cluster": "c"}},
        "spec": {"replicas": 3, "ratio": 2.5, "whole": 4.0, "big": 1e21, "paused": false, "nothing": null, "list": ["<a>", 1], "map": {"b": 1}},
        "status": {"phase": "Running", "since": "2026-01-01T00:04:00Z", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

#[test]
fn columns_of_a_definition() {
    let columns = CustomColumns::of(&json!({"additionalPrinterColumns": [
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "description": "How it is"},
        {"name": "Replicas", "type": "integer", "format": "int32", "jsonPath": ".spec.replicas", "priority": 1},
        {"name": "Bad", "type": "string", "jsonPath": ".a["},
        {"name": "Lost", "type": "string", "jsonPath": ".b"},
    ]}));
    let shown = json!(columns.columns());
    assert_eq!(
        shown.as_array().unwrap().len(),
        3,
        "what follows a bad path is left out"
    );
    assert_eq!(
        shown[1],
        json!({"name": "Phase", "type": "string", "format": "", "description": "How it is", "priority": 0})
    );
    assert_eq!(
        shown[2],
        json!({"name": "Replicas", "type": "integer", "format": "int32", "priority": 1,
            "description": "Custom resource definition column (in JSONPath format): .spec.replicas"})
    );
    let usual = json!(CustomColumns::of(&json!({})).columns());
    assert_eq!(
        [
            &usual[0]["name"],
            &usual[0]["format"],
            &usual[1]["name"],
            &usual[1]["type"]
        ],
        [&json!("Name"), &json!("name"), &json!("Age"), &json!("date")]
    );
    assert_eq!(cells(Value::Null, machine()), json!(["5m"]));
}

#[test]
fn cells_by_type() {
    let cell = |kind: &str, path: &str| {
        let column = json!([{"name": "X", "type": kind, "jsonPath": path}]);
        cells(column, machine())[0].clone()
    };
    for (kind, path, expected) in [
        ("string", ".status.phase", json!("Running")),
        (
            "string",
            ".status.conditions[?(@.type==\"Ready\")].status",
            json!("True"),
        ),
        ("string", ".metadata.labels.cluster", json!("c")),
        (
            "string",
            ".metadata.creationTimestamp",
            json!("2026-01-01T00:00:00Z"),
        ),
        ("string", ".kind", json!("Machine")),
        ("string", ".apiVersion", json!("cluster.x-k8s.io/v1beta1")),
        ("string", ".spec.replicas", json!("3")),
        ("string", ".spec.ratio", json!("2.5")),
        ("string", ".spec.big", json!("1e+21")),
        ("string", ".spec.paused", json!("false")),
        ("string", ".spec.nothing", json!("<no value>")),
        ("string", ".spec.list", json!(r#"["\u003ca\u003e",1]"#)),
        ("string", ".spec.map", json!(r#"{"b":1}"#)),
        ("string", ".spec.list[9]", Value::Null),
        ("string", ".spec.missing", Value::Null),
        ("string", "..phase", json!("Running")),
        ("integer", ".spec.replicas", json!(3)),
        ("integer", ".spec.ratio", json!(2)),
        ("integer", ".status.phase", Value::Null),
        ("number", ".spec.ratio", json!(2.5)),
        ("number", ".spec.replicas", json!(3)),
        ("number", ".spec.whole", json!(4)),
        ("string", ".spec.whole", json!("4")),
        ("boolean", ".spec.paused", json!(false)),
        ("boolean", ".spec.replicas", Value::Null),
        ("date", ".metadata.creationTimestamp", json!("5m")),
        ("date", ".status.since", json!("60s")),
        ("date", ".status.phase", json!("<invalid>")),
        ("date", ".spec.replicas", Value::Null),
        ("date", ".spec.nothing", Value::Null),
    ] {
        assert_eq!(cell(kind, path), expected, "{kind} {path}");
    }
}
