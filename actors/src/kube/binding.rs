//! Puts pods on nodes: the subresource `binding` of pods (kubernetes: `pkg/registry/core/pod/storage/storage.go`, `BindingREST`).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::object::{Object, Second};
use super::status::{FieldError, FieldFault, Named, Status};
use super::store::{Part, Store, Target, WriteOptions};

const POD_BINDINGS: Named<'static> = Named {
    group: "",
    resource: "pods/binding",
};
const BINDINGS: Named<'static> = Named {
    group: "",
    resource: "Binding",
};

/// Binds a pod as a `v1 Binding` wants it.
///
/// # Errors
/// 404 for an unknown pod, 409 for one that is bound, is going away or has another uid, 422 for a body that names no node.
pub fn bind(
    store: &mut Store,
    namespace: &str,
    name: &str,
    body: &Value,
    options: WriteOptions<'_>,
) -> Result<Arc<Object>, Status> {
    let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (node, kind) = (text("/target/name"), text("/target/kind"));
    let mut errors = Vec::new();
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError {
            fault: FieldFault::NotSupported,
            field: "target.kind".to_owned(),
            value: Some(kind.into()),
            detail: "supported values: \"Node\", \"<empty>\"".to_owned(),
        });
    }
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if !errors.is_empty() {
        return Err(Status::invalid(BINDINGS, name, &errors));
    }
    if !matches!(text("/metadata/name"), "") && text("/metadata/name") != name {
        return Err(Status::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    if !matches!(text("/metadata/namespace"), "") && text("/metadata/namespace") != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let pods = store
        .registry()
        .find("", "pods")
        .cloned()
        .ok_or_else(Status::unknown_resource)?;
    let target = Target::stored(&pods, Some(namespace));
    let pod = Arc::clone(store.get(target, name)?);
    let refuse = |why: String| Err(Status::conflict(POD_BINDINGS, name, &why));
    let wanted_uid = text("/metadata/uid");
    if !wanted_uid.is_empty() && wanted_uid != pod.uid_text() {
        return refuse(format!(
            "Precondition failed: UID in precondition: {wanted_uid}, UID in object meta: {}",
            pod.uid_text()
        ));
    }
    if pod.is_terminating() {
        return refuse(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    let present = super::store::node_of(&pod);
    if !present.is_empty() {
        return refuse(format!("pod {name} is already assigned to node \"{present}\""));
    }
    let mut draft = pod.draft();
    let spec = draft
        .body
        .entry("spec")
        .or_insert_with(|| Value::Object(Map::new()));
    spec["nodeName"] = node.into();
    scheduled(&mut draft.body, &Second::of(options.now).text());
    if let Some(annotations) = body.pointer("/metadata/annotations").and_then(Value::as_object) {
        for (key, value) in annotations {
            if let Some(value) = value.as_str() {
                draft.meta.annotations.insert(key.clone(), value.to_owned());
            }
        }
    }
    Ok(store.replace(&pods, Part::Binding, draft, options)?.object)
}

/// Sets the condition that says so.
fn scheduled(body: &mut Map<String, Value>, now: &str) {
    let status = body.entry("status").or_insert_with(|| Value::Object(Map::new()));
    let conditions = &mut status["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|condition| condition["type"] != "PodScheduled");
        conditions.push(json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
        }));
    }
}
