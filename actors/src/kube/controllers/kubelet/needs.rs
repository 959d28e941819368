//! What a pod needs beside itself: ConfigMaps, Secrets and claims that its volumes and variables name.

use serde_json::Value;

use super::types::{Container, PodSpec};
use crate::kube::controllers::kinds::KINDS;
use crate::kube::object::Object;
use crate::kube::resource::Resource;
use crate::kube::store::Store;

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or("")
}

fn is_optional(value: &Value) -> bool {
    value.get("optional") == Some(&Value::Bool(true))
}

/// `configmap "name" not found`, if it is not there.
fn missing(store: &Store, resource: &Resource, namespace: Option<&str>, name: &str) -> Option<String> {
    store
        .find(resource, namespace, name)
        .is_none()
        .then(|| format!("{} \"{name}\" not found", resource.singular))
}

/// The keys that a volume picks out of a ConfigMap or Secret, if one is not there.
fn missing_key(source: &Value, object: &Object) -> Option<String> {
    let items = source.get("items").and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .map(|item| text(item, "key"))
        .find(|key| !has_key(object, key))
        .map(|key| format!("references non-existent config key: {key}"))
}

fn has_key(object: &Object, key: &str) -> bool {
    ["data", "binaryData"]
        .iter()
        .any(|section| object.at(&[section, key]).is_some())
}

/// The first volume that cannot be mounted, and why (kubernetes: `pkg/volume/{configmap,secret,projected}`).
pub(super) fn volume_fault(store: &Store, pod: &Object, spec: &PodSpec) -> Option<(String, String)> {
    let namespace = pod.namespace();
    let source_fault = |resource: &Resource, source: &Value, name: &str| {
        if is_optional(source) {
            return None;
        }
        match store.find(resource, namespace, name) {
            None => missing(store, resource, namespace, name),
            Some(object) => missing_key(source, object),
        }
    };
    spec.volumes.iter().find_map(|volume| {
        let why = if let Some(source) = volume.get("configMap") {
            source_fault(&KINDS.config_maps, source, text(source, "name"))
        } else if let Some(source) = volume.get("secret") {
            source_fault(&KINDS.secrets, source, text(source, "secretName"))
        } else if let Some(source) = volume.get("projected") {
            let sources = source.get("sources").and_then(Value::as_array);
            sources.into_iter().flatten().find_map(|source| {
                if let Some(map) = source.get("configMap") {
                    source_fault(&KINDS.config_maps, map, text(map, "name"))
                } else if let Some(secret) = source.get("secret") {
                    source_fault(&KINDS.secrets, secret, text(secret, "name"))
                } else {
                    None
                }
            })
        } else if let Some(source) = volume.get("persistentVolumeClaim") {
            let name = text(source, "claimName");
            match store.find(&KINDS.volume_claims, namespace, name) {
                None => Some(format!("persistentvolumeclaim \"{name}\" not found")),
                Some(claim)
                    if claim
                        .at(&["status", "phase"])
                        .is_some_and(|phase| phase == "Bound") =>
                {
                    None
                }
                Some(_) => Some("PVC is not bound".to_owned()),
            }
        } else {
            None
        };
        why.map(|why| (text(volume, "name").to_owned(), why))
    })
}

/// Why a container's variables cannot be made (kubernetes: `pkg/kubelet/kubelet_pods.go`, `makeEnvironmentVariables`).
pub(super) fn config_fault(store: &Store, pod: &Object, container: &Container) -> Option<String> {
    let namespace = pod.namespace();
    for source in &container.env_from {
        for (field, resource) in [
            ("configMapRef", &KINDS.config_maps),
            ("secretRef", &KINDS.secrets),
        ] {
            if let Some(source) = source.get(field).filter(|source| !is_optional(source))
                && let Some(fault) = missing(store, resource, namespace, text(source, "name"))
            {
                return Some(fault);
            }
        }
    }
    for variable in &container.env {
        for (field, resource, kind) in [
            ("configMapKeyRef", &KINDS.config_maps, "ConfigMap"),
            ("secretKeyRef", &KINDS.secrets, "Secret"),
        ] {
            let Some(source) = variable
                .get("valueFrom")
                .and_then(|from| from.get(field))
                .filter(|source| !is_optional(source))
            else {
                continue;
            };
            let (name, key) = (text(source, "name"), text(source, "key"));
            match store.find(resource, namespace, name) {
                None => return missing(store, resource, namespace, name),
                Some(object) if !has_key(object, key) => {
                    return Some(format!(
                        "couldn't find key {key} in {kind} {}/{name}",
                        namespace.unwrap_or("")
                    ));
                }
                Some(_) => {}
            }
        }
    }
    None
}
