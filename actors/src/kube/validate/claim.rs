//! Storage: volumes, claims, classes (kubernetes: `pkg/apis/core/validation/validation.go`, `pkg/apis/storage/validation`).

use serde_json::{Map, Value};

use super::node::{Faults, Node, same};
use super::{affinity, words};
use crate::kube::quantity::Quantity;

const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
/// Number and bytes of the parameters of a class.
const PARAMETERS_MAX: usize = 512;
const PARAMETER_BYTES_MAX: usize = 256 * 1024;
/// Fields of a volume that are no source of one.
const NO_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
];

type Fields = Map<String, Value>;

fn access_modes(faults: &mut Faults, spec: &Node<'_>, missing: &str) {
    if spec.len("accessModes") == 0 {
        faults.required(spec.at("accessModes"), missing);
    }
    let (mut alone, mut other) = (false, false);
    for mode in spec.texts("accessModes") {
        if !MODES.contains(&mode) {
            faults.not_supported(spec.at("accessModes"), mode, &MODES);
        } else if mode == "ReadWriteOncePod" {
            alone = true;
        } else {
            other = true;
        }
    }
    if alone && other {
        faults.forbidden(
            spec.at("accessModes"),
            "may not use ReadWriteOncePod with other access modes",
        );
    }
}

fn class_and_mode(faults: &mut Faults, spec: &Node<'_>) {
    let class = spec.text("storageClassName");
    if !class.is_empty() {
        words::subdomain(faults, &spec.at("storageClassName"), class);
    }
    let mode = spec.text("volumeMode");
    if !mode.is_empty() && !VOLUME_MODES.contains(&mode) {
        faults.not_supported(spec.at("volumeMode"), mode, &VOLUME_MODES);
    }
}

/// The spec of a claim, alone or in a stateful set.
pub(super) fn claim_spec(faults: &mut Faults, spec: &Node<'_>) {
    access_modes(faults, spec, "at least 1 access mode is required");
    words::label_selector(faults, &spec.get("selector"));
    let field = spec.get("resources").key("storage");
    match spec.get("resources").get("requests").some("storage") {
        None => faults.required(field, ""),
        Some(storage) => words::positive(faults, &field, storage.value),
    }
    class_and_mode(faults, spec);
}

pub(super) fn claim(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    claim_spec(faults, &spec);
    let Some(old) = old else { return };
    let (old_spec, old_status) = (Node::root(old, "spec"), Node::root(old, "status"));
    let bound = old_status.text("phase") == "Bound";
    let keep = |node: &Node<'_>| {
        let mut value = node.value.clone();
        if let Some(map) = value.as_object_mut() {
            if old_spec.text("volumeName").is_empty() {
                map.remove("volumeName");
            }
            if !old_spec.has("storageClassName") {
                map.remove("storageClassName");
            }
            if bound {
                map.remove("volumeAttributesClassName");
                if let Some(requests) = map
                    .get_mut("resources")
                    .and_then(|resources| resources.get_mut("requests"))
                    .and_then(Value::as_object_mut)
                {
                    requests.remove("storage");
                }
            }
        }
        value
    };
    if !same(&keep(&spec), &keep(&old_spec)) {
        faults.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        );
    }
    let size = |node: &Node<'_>| -> Option<Quantity> {
        let requests = node.get("resources").get("requests");
        Quantity::from_value(requests.get("storage").value)
    };
    let capacity = old_status.get("capacity");
    let held = Quantity::from_value(capacity.get("storage").value).unwrap_or_default();
    if let (Some(new), Some(before)) = (size(&spec), size(&old_spec))
        && new < before
        && new <= held
    {
        faults.forbidden(
            "spec.resources.requests.storage",
            "field can not be less than status.capacity",
        );
    }
    faults.immutable(
        "volumeMode",
        spec.get("volumeMode").value,
        old_spec.get("volumeMode").value,
    );
}

pub(super) fn volume(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    access_modes(faults, &spec, "");
    let capacity = spec.get("capacity");
    if spec.len("capacity") == 0 {
        faults.required(&*capacity.path, "");
    }
    if !capacity.has("storage") || spec.len("capacity") > 1 {
        faults.not_supported(&*capacity.path, capacity.value.clone(), &["storage"]);
    }
    for (name, value) in spec.map("capacity") {
        words::positive(faults, &capacity.key(name), value);
    }
    let policy = spec.text("persistentVolumeReclaimPolicy");
    let policies = ["Delete", "Recycle", "Retain"];
    if !policy.is_empty() && !policies.contains(&policy) {
        faults.not_supported(spec.at("persistentVolumeReclaimPolicy"), policy, &policies);
    }
    let affinity = spec.get("nodeAffinity");
    if affinity.exists() {
        match affinity.some("required") {
            None => faults.required(affinity.at("required"), "must specify required node constraints"),
            Some(required) => affinity::node_selector(faults, &required),
        }
    }
    let sources = source(&spec);
    for name in sources.keys().skip(1) {
        faults.forbidden(spec.at(name), "may not specify more than 1 volume type");
    }
    if sources.is_empty() {
        faults.required("spec", "must specify a volume type");
    }
    if let Some(path) = spec.some("hostPath").filter(|path| path.text("path").is_empty()) {
        faults.required(path.at("path"), "");
    }
    if let Some(local) = spec.some("local") {
        if local.text("path").is_empty() {
            faults.required(local.at("path"), "");
        }
        if !affinity.exists() {
            faults.required(affinity.path, "Local volume requires node affinity");
        }
    }
    if let Some(driver) = spec.some("csi") {
        for field in ["driver", "volumeHandle"] {
            if driver.text(field).is_empty() {
                faults.required(driver.at(field), "");
            }
        }
    }
    class_and_mode(faults, &spec);
    let Some(old) = old else { return };
    let old = Node::root(old, "spec");
    if !same(&Value::Object(sources), &Value::Object(source(&old))) {
        faults.forbidden(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation",
        );
    }
    faults.immutable(
        "volumeMode",
        spec.get("volumeMode").value,
        old.get("volumeMode").value,
    );
    if old.has("nodeAffinity") {
        faults.immutable("nodeAffinity", affinity.value, old.get("nodeAffinity").value);
    }
}

/// What the volume stands on.
fn source(spec: &Node<'_>) -> Fields {
    let map = spec.value.as_object();
    map.into_iter()
        .flatten()
        .filter(|(key, value)| !NO_SOURCE.contains(&key.as_str()) && value.is_object())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

pub(super) fn class(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
    if let Some(old) = old {
        for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            faults.immutable(field, Node::root(body, field).value, Node::root(old, field).value);
        }
        return;
    }
    match text("provisioner") {
        "" => faults.required("provisioner", ""),
        name => words::qualified(faults, "provisioner", &name.to_lowercase()),
    }
    let empty = Map::new();
    let parameters = body
        .get("parameters")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    if parameters.len() > PARAMETERS_MAX {
        faults.too_long("parameters", PARAMETERS_MAX);
    }
    let bytes: usize = parameters
        .iter()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > PARAMETER_BYTES_MAX {
        faults.too_long("parameters", PARAMETER_BYTES_MAX);
    }
    if parameters.contains_key("") {
        faults.invalid("parameters", "", "field can not be empty.");
    }
    let policy = text("reclaimPolicy");
    if !matches!(policy, "" | "Delete" | "Retain") {
        faults.not_supported("reclaimPolicy", policy, &["Delete", "Retain"]);
    }
    faults.one_of(
        "volumeBindingMode".to_owned(),
        text("volumeBindingMode"),
        &["Immediate", "WaitForFirstConsumer"],
    );
}
