//! Versions of an object: from the version of a request to the stored one and back.
//!
//! Two kinds have more than one: events (`v1` is stored, `events.k8s.io/v1` has other names for the same fields) and
//! horizontal pod autoscalers (`v2` is stored). Custom resources convert by strategy `None`: only the `apiVersion` changes.

use serde_json::{Map, Value, json};

use super::object::Object;
use super::resource::Resource;
use super::schema::Schema;
use super::status::{FieldError, Named, Status, quote};

/// Fields of an event: name in `v1`, name in `events.k8s.io/v1` (kubernetes: `pkg/apis/events/v1/conversion.go`).
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Versions that a real server still knows of groups that it serves in later ones (kubernetes: `pkg/api/legacyscheme`).
const OLD_VERSIONS: [&str; 6] = ["v1alpha1", "v1beta1", "v1beta2", "v1beta3", "v2beta1", "v2beta2"];

/// Checks `apiVersion` and `kind` of a body against the path. Both may be missing.
///
/// # Errors
/// 400 with the server's words; 422 for another kind than that of a custom resource.
pub fn check_type(resource: &Resource, version: &str, body: &Value) -> Result<(), Status> {
    let expected = resource.api_version(version);
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let found = text("apiVersion").unwrap_or(&expected);
    let kind = text("kind").unwrap_or(&resource.kind);
    if found == expected && kind == resource.kind {
        return Ok(());
    }
    let other_version = || {
        Status::bad_request(format!(
            "the API version in the data ({found}) does not match the expected API version ({expected})"
        ))
    };
    if resource.custom {
        if found != expected {
            return Err(other_version());
        }
        let name = body.pointer("/metadata/name").and_then(Value::as_str);
        let of = Named {
            group: &resource.group,
            resource: &resource.kind,
        };
        let error = FieldError::invalid("kind", kind, format!("must be {}", resource.kind));
        return Err(Status::invalid(of, name.unwrap_or_default(), &[error]));
    }
    let (found_group, found_version) = found.split_once('/').unwrap_or(("", found));
    let known = Schema::built_in().kind(found, kind);
    let same_group = found_group == resource.group && OLD_VERSIONS.contains(&found_version);
    if kind == resource.kind && (same_group || (found_group == resource.group && known.is_some())) {
        return Err(other_version());
    }
    // Read as what it says that it is, and then not to be converted (apimachinery: `pkg/runtime/serializer/versioning`).
    let why = match known.and_then(|message| Schema::built_in().message(message)) {
        Some(message) => format!(
            "converting ({}) to ({}.{}): unknown conversion",
            message.go,
            internal_package(&resource.group),
            resource.kind
        ),
        None => format!(
            "no kind {} is registered for version {} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            quote(kind),
            quote(found)
        ),
    };
    Err(Status::bad_request(format!(
        "{kind} in version {} cannot be handled as a {}: {why}",
        quote(found_version),
        resource.kind
    )))
}

/// Go's package of the unversioned types of a group (kubernetes: `pkg/apis`).
fn internal_package(group: &str) -> &str {
    match group {
        "" | "events.k8s.io" => "core",
        other => other.split('.').next().unwrap_or(other),
    }
}

/// A body in `version` as it is stored.
#[must_use]
pub fn to_storage(resource: &Resource, version: &str, mut body: Value) -> Value {
    if let Some(map) = body.as_object_mut() {
        if resource.is("events.k8s.io", "events") {
            rename(map, EVENT_FIELDS.map(|(core, own)| (own, core)));
        } else if resource.is("autoscaling", "horizontalpodautoscalers") && version == "v1" {
            autoscaler_to_v2(map);
        }
    }
    body
}

/// A stored object in `version`, with `apiVersion` and `kind`.
#[must_use]
pub fn to_version(resource: &Resource, version: &str, object: &Object) -> Value {
    let mut value = object.to_value(&resource.api_version(version), &resource.kind);
    if let Some(map) = value.as_object_mut() {
        if resource.is("events.k8s.io", "events") {
            rename(map, EVENT_FIELDS);
        } else if resource.is("autoscaling", "horizontalpodautoscalers") && version == "v1" {
            autoscaler_to_v1(map);
        }
    }
    value
}

/// Whether objects of this version are stored as they are shown, so that [`Object::write_json`] serves.
#[must_use]
pub fn is_stored_form(resource: &Resource, version: &str) -> bool {
    resource.home == resource.id && (resource.custom || resource.storage_version() == version)
}

/// Appends a stored object as JSON in `version`; `typed` adds `kind` and `apiVersion`.
pub fn write_json(resource: &Resource, version: &str, object: &Object, typed: bool, out: &mut Vec<u8>) {
    if is_stored_form(resource, version) {
        let api_version = resource.api_version(version);
        object.write_json(typed.then_some((api_version.as_str(), &*resource.kind)), out);
        return;
    }
    let mut value = to_version(resource, version, object);
    if let Some(map) = value.as_object_mut().filter(|_| !typed) {
        map.remove("kind");
        map.remove("apiVersion");
    }
    out.extend_from_slice(value.to_string().as_bytes());
}

fn rename<'a>(map: &mut Map<String, Value>, names: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (from, to) in names {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

/// The one metric that `v1` knows.
fn is_cpu_utilization(metric: &Value) -> bool {
    metric.get("type") == Some(&json!("Resource")) && metric.pointer("/resource/name") == Some(&json!("cpu"))
}

fn autoscaler_to_v2(map: &mut Map<String, Value>) {
    if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut)
        && let Some(percent) = spec
            .remove("targetCPUUtilizationPercentage")
            .filter(|value| !value.is_null())
    {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    if let Some(status) = map.get_mut("status").and_then(Value::as_object_mut)
        && let Some(percent) = status
            .remove("currentCPUUtilizationPercentage")
            .filter(|value| !value.is_null())
    {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}});
        status.insert("currentMetrics".to_owned(), json!([metric]));
    }
}

/// Metrics that `v1` cannot say are left out; a real server keeps them in annotations.
fn autoscaler_to_v1(map: &mut Map<String, Value>) {
    let percent = |metrics: Option<Value>, path: &str| {
        metrics?
            .as_array()?
            .iter()
            .find(|metric| is_cpu_utilization(metric))?
            .pointer(path)
            .cloned()
    };
    if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("behavior");
        let metrics = spec.remove("metrics");
        if let Some(percent) = percent(metrics, "/resource/target/averageUtilization") {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), percent);
        }
    }
    if let Some(status) = map.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("conditions");
        let metrics = status.remove("currentMetrics");
        if let Some(percent) = percent(metrics, "/resource/current/averageUtilization") {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percent);
        }
    }
}
