//! The scale subresource of built-in kinds as a table: `kubectl get --subresource scale`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::cell::{number, text as field};
use super::column::{AGE, ColumnDefinition, NAME_TEXT, integer, text};
use super::{Include, age, partial};
use crate::kube::accept::MetaVersion;

const COLUMNS: &[ColumnDefinition<'static>] = &[
    text("Name", NAME_TEXT),
    integer("Desired", "Replicas that are wanted."),
    integer("Available", "Replicas that there are."),
    AGE,
];

/// The table of a `Scale` of `autoscaling/v1`, given as it would be answered.
#[must_use]
pub fn table(scale: &Value, meta: MetaVersion, include: Include, now: DateTime<Utc>) -> Value {
    let metadata = scale.get("metadata").cloned().unwrap_or_default();
    let cells = json!([
        field(&metadata, "/name"),
        number(scale, "/spec/replicas"),
        number(scale, "/status/replicas"),
        age::since(age::read(metadata.get("creationTimestamp")), now),
    ]);
    let version = field(&metadata, "/resourceVersion").to_owned();
    let api_version = partial::api_version(meta);
    let object = match include {
        Include::None => Value::Null,
        Include::Metadata => json!({"kind": partial::KIND, "apiVersion": api_version, "metadata": metadata}),
        Include::Object => scale.clone(),
    };
    json!({
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": {"resourceVersion": version},
        "columnDefinitions": COLUMNS,
        "rows": [{"cells": cells, "object": object}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::table::kit::now;

    #[test]
    fn a_scale() {
        let metadata =
            json!({"name": "web", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
            "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "a=b"}});
        let shown = table(&scale, MetaVersion::V1, Include::Metadata, now());
        assert_eq!(shown["rows"][0]["cells"], json!(["web", 3, 2, "5m"]));
        assert_eq!(shown["rows"][0]["object"]["metadata"], metadata);
        assert_eq!(shown["metadata"], json!({"resourceVersion": "7"}));
        assert_eq!(shown["columnDefinitions"][1]["name"], "Desired");
        let whole = table(&scale, MetaVersion::V1, Include::Object, now());
        assert_eq!(whole["rows"][0]["object"], scale);
    }
}
