//! Volumes of pods and their use in containers (kubernetes: `pkg/apis/core/validation/validation.go`, `ValidateVolumes`).

use std::collections::{BTreeMap, BTreeSet};

use super::container;
use super::node::{Faults, Node};
use super::words;

/// The sound volumes of a pod, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, Node<'a>>;

/// Fields of the pod that files of the downward API may hold.
const FIELD_PATHS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Checks the volumes and gives those that can be used.
pub(super) fn volumes<'a>(faults: &mut Faults, spec: &Node<'a>) -> Volumes<'a> {
    let mut sound = Volumes::new();
    for volume in spec.items("volumes") {
        let before = faults.len();
        source(faults, &volume);
        let name = volume.text("name");
        if name.is_empty() {
            faults.required(volume.at("name"), "");
        } else {
            words::label(faults, &volume.at("name"), name);
        }
        if sound.contains_key(name) {
            faults.duplicate(volume.at("name"), name);
        }
        if faults.len() == before {
            sound.insert(name, volume);
        }
    }
    sound
}

/// Exactly one source, and what the usual ones need.
fn source(faults: &mut Faults, volume: &Node<'_>) {
    let mut found = 0;
    let Some(map) = volume.value.as_object() else {
        faults.required(&*volume.path, "must specify a volume type");
        return;
    };
    for (kind, value) in map {
        if kind == "name" || value.is_null() {
            continue;
        }
        found += 1;
        if found > 1 {
            faults.forbidden(volume.at(kind), "may not specify more than 1 volume type");
            continue;
        }
        let source = volume.get(kind);
        let need = |faults: &mut Faults, field: &str| {
            if source.text(field).is_empty() {
                faults.required(source.at(field), "");
            }
        };
        match kind.as_str() {
            "emptyDir" => {
                if let Some(limit) = source.some("sizeLimit")
                    && words::quantity(faults, &limit.path, limit.value)
                        .is_some_and(|limit| limit.as_milli() < 0)
                {
                    faults.forbidden(limit.path, "SizeLimit field must be a valid resource quantity");
                }
            }
            "hostPath" => host_path(faults, &source),
            "secret" => {
                need(faults, "secretName");
                files(faults, &source, "defaultMode");
            }
            "configMap" => {
                need(faults, "name");
                files(faults, &source, "defaultMode");
            }
            "persistentVolumeClaim" => need(faults, "claimName"),
            "nfs" => {
                need(faults, "server");
                need(faults, "path");
                let path = source.text("path");
                if !path.starts_with('/') {
                    faults.invalid(source.at("path"), path, "must be an absolute path");
                }
            }
            "csi" => need(faults, "driver"),
            "downwardAPI" => {
                mode(faults, &source, "defaultMode");
                for file in source.items("items") {
                    downward_file(faults, &file);
                }
            }
            "projected" => projected(faults, &source),
            "ephemeral" if !source.has("volumeClaimTemplate") => {
                faults.required(source.at("volumeClaimTemplate"), "");
            }
            _ => {}
        }
    }
    if found == 0 {
        faults.required(&*volume.path, "must specify a volume type");
    }
}

fn host_path(faults: &mut Faults, source: &Node<'_>) {
    let path = source.text("path");
    if path.is_empty() {
        faults.required(source.at("path"), "");
        return;
    }
    no_steps_back(faults, &source.at("path"), path);
    let kinds = [
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ];
    if !kinds.contains(&source.text("type")) {
        faults.not_supported(source.at("type"), source.text("type"), &kinds);
    }
}

fn mode(faults: &mut Faults, node: &Node<'_>, field: &str) {
    if let Some(mode) = node.int(field).filter(|mode| !(0..=0o777).contains(mode)) {
        faults.invalid(node.at(field), mode, MODE);
    }
}

/// `defaultMode` and `items` of keys.
fn files(faults: &mut Faults, source: &Node<'_>, default_mode: &str) {
    mode(faults, source, default_mode);
    for item in source.items("items") {
        for field in ["key", "path"] {
            if item.text(field).is_empty() {
                faults.required(item.at(field), "");
            }
        }
        relative(faults, &item.at("path"), item.text("path"));
        let path = item.text("path");
        if path.starts_with("..") && !path.starts_with("../") && path != ".." {
            faults.invalid(item.at("path"), path, "must not start with '..'");
        }
        mode(faults, &item, "mode");
    }
}

fn downward_file(faults: &mut Faults, file: &Node<'_>) {
    let path = file.text("path");
    if path.is_empty() {
        faults.required(file.at("path"), "");
    }
    relative(faults, &file.at("path"), path);
    match (file.some("fieldRef"), file.some("resourceFieldRef")) {
        (Some(field), other) => {
            container::field_reference(faults, &field, &FIELD_PATHS);
            if other.is_some() {
                faults.invalid(
                    &*file.path,
                    "resource",
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                );
            }
        }
        (None, Some(amount)) => container::resource_reference(faults, &amount, true),
        (None, None) => faults.required(&*file.path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(faults, file, "mode");
}

fn projected(faults: &mut Faults, source: &Node<'_>) {
    mode(faults, source, "defaultMode");
    for part in source.items("sources") {
        let mut found = 0;
        for kind in [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ] {
            let Some(one) = part.some(kind) else { continue };
            found += 1;
            if found > 1 {
                faults.forbidden(&*part.path, "may not specify more than 1 volume type per source");
                continue;
            }
            match kind {
                "secret" | "configMap" => {
                    if one.text("name").is_empty() {
                        faults.required(one.at("name"), "");
                    }
                    files(faults, &one, "defaultMode");
                }
                "downwardAPI" => {
                    for file in one.items("items") {
                        downward_file(faults, &file);
                    }
                }
                "serviceAccountToken" => {
                    let seconds = one.int("expirationSeconds").unwrap_or(3600);
                    if seconds < 600 {
                        faults.invalid(
                            one.at("expirationSeconds"),
                            seconds,
                            "may not specify a duration less than 10 minutes",
                        );
                    } else if seconds > 1 << 32 {
                        faults.invalid(
                            one.at("expirationSeconds"),
                            seconds,
                            "may not specify a duration larger than 2^32 seconds",
                        );
                    }
                    match one.text("path") {
                        "" => faults.required(one.at("path"), ""),
                        path => relative(faults, &one.at("path"), path),
                    }
                }
                _ => {}
            }
        }
        if found == 0 {
            faults.required(&*part.path, "must specify one source type");
        }
    }
}

/// A path below a directory.
fn relative(faults: &mut Faults, field: &str, path: &str) {
    if path.starts_with('/') {
        faults.invalid(field, path, "must be a relative path");
    }
    no_steps_back(faults, field, path);
}

fn no_steps_back(faults: &mut Faults, field: &str, path: &str) {
    if path.split('/').any(|step| step == "..") {
        faults.invalid(field, path, "must not contain '..'");
    }
}

/// `volumeMounts` of a container.
pub(super) fn mounts(faults: &mut Faults, container: &Node<'_>, volumes: &Volumes<'_>) {
    let mut paths = BTreeSet::new();
    let (mut device_names, mut device_paths) = (BTreeSet::new(), BTreeSet::new());
    for device in container.items("volumeDevices") {
        device_names.insert(device.text("name"));
        device_paths.insert(device.text("devicePath"));
    }
    for mount in container.items("volumeMounts") {
        let (name, path) = (mount.text("name"), mount.text("mountPath"));
        if name.is_empty() {
            faults.required(mount.at("name"), "");
        }
        if !volumes.contains_key(name) {
            faults.not_found(mount.at("name"), name);
        }
        if path.is_empty() {
            faults.required(mount.at("mountPath"), "");
        }
        if !paths.insert(path) {
            faults.invalid(mount.at("mountPath"), path, "must be unique");
        }
        if device_names.contains(name) {
            faults.invalid(mount.at("name"), name, "must not already exist in volumeDevices");
        }
        if device_paths.contains(path) {
            faults.invalid(
                mount.at("mountPath"),
                path,
                "must not already exist as a path in volumeDevices",
            );
        }
        // The paths lack the index, as in a real server.
        let (plain, expression) = (mount.text("subPath"), mount.text("subPathExpr"));
        relative(
            faults,
            &format!("{}.subPath", container.at("volumeMounts")),
            plain,
        );
        if !expression.is_empty() {
            if !plain.is_empty() {
                faults.invalid(
                    mount.at("subPathExpr"),
                    expression,
                    "subPathExpr and subPath are mutually exclusive",
                );
            }
            relative(
                faults,
                &format!("{}.subPathExpr", container.at("volumeMounts")),
                expression,
            );
        }
        let propagation = mount.text("mountPropagation");
        let field = format!("{}.mountPropagation", container.at("volumeMounts"));
        match propagation {
            "" | "None" | "HostToContainer" => {}
            "Bidirectional" => {
                if !container.get("securityContext").flag("privileged") {
                    faults.forbidden(
                        field,
                        "Bidirectional mount propagation is available only to privileged containers",
                    );
                }
            }
            other => faults.not_supported(field, other, &["Bidirectional", "HostToContainer", "None"]),
        }
    }
}

/// `volumeDevices` of a container.
pub(super) fn devices(faults: &mut Faults, container: &Node<'_>, volumes: &Volumes<'_>) {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for device in container.items("volumeDevices") {
        let (name, path) = (device.text("name"), device.text("devicePath"));
        if name.is_empty() {
            faults.required(device.at("name"), "");
        }
        if !name.is_empty() && !names.insert(name) {
            faults.invalid(device.at("name"), name, "must be unique");
        }
        match volumes.get(name) {
            None => faults.not_found(device.at("name"), name),
            Some(volume) if volume.has("persistentVolumeClaim") || volume.has("ephemeral") => {}
            Some(_) => faults.invalid(
                device.at("name"),
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ),
        }
        if path.is_empty() {
            faults.required(device.at("devicePath"), "");
        }
        if path.split('/').any(|step| step == "..") {
            faults.invalid(device.at("devicePath"), path, "can not contain backsteps ('..')");
        } else if !paths.insert(path) {
            faults.invalid(device.at("devicePath"), path, "must be unique");
        }
    }
}
