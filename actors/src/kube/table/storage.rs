//! Volumes, claims, classes and drivers.

use serde_json::Value;

use super::amount;
use super::built_in::{Kind, Row, kind};
use super::cell::{self, NONE, UNSET, flag, list, maybe_text, or, text as field};
use super::column::{AGE, ColumnDefinition, NAME, boolean, integer, naming, text};

const GROUP: &str = "storage.k8s.io";
const CLASS: ColumnDefinition<'static> = text("StorageClass", "Storage class.");
const ATTRIBUTES: ColumnDefinition<'static> = text("VolumeAttributesClass", "Class of attributes.");
const MODE: ColumnDefinition<'static> =
    text("VolumeMode", "Whether it is a file system or a block device.").wide();

/// The printers.
pub(super) const KINDS: &[Kind] = &[
    kind(
        "",
        "persistentvolumes",
        &[
            NAME,
            text("Capacity", "Size of the volume."),
            text("Access Modes", "How the volume can be mounted."),
            text("Reclaim Policy", "What becomes of the volume after its claim."),
            text("Status", "Phase of the volume."),
            text("Claim", "The claim that has the volume."),
            CLASS,
            ATTRIBUTES,
            text("Reason", "Why the volume is in this phase."),
            AGE,
            MODE,
        ],
        volume,
    ),
    kind(
        "",
        "persistentvolumeclaims",
        &[
            NAME,
            text("Status", "Phase of the claim."),
            text("Volume", "The volume that the claim has."),
            text("Capacity", "Size of the volume."),
            text("Access Modes", "How the volume can be mounted."),
            CLASS,
            ATTRIBUTES,
            AGE,
            MODE,
        ],
        claim,
    ),
    kind(
        GROUP,
        "storageclasses",
        &[
            NAME,
            text("Provisioner", "Who makes the volumes."),
            text("ReclaimPolicy", "What becomes of volumes after their claims."),
            text("VolumeBindingMode", "When claims get a volume."),
            boolean("AllowVolumeExpansion", "Whether volumes can grow."),
            AGE,
        ],
        storage_class,
    ),
    kind(
        GROUP,
        "volumeattributesclasses",
        &[NAME, text("DriverName", "Driver that the class is for."), AGE],
        |row| {
            let driver = field(&row.section("driverName"), "").into();
            vec![row.name(), driver, row.age()]
        },
    ),
    kind(
        GROUP,
        "volumeattachments",
        &[
            NAME,
            naming("Attacher", "Driver that attaches the volume."),
            text("PV", "The volume."),
            text("Node", "The node that it is attached to."),
            boolean("Attached", "Whether it is attached."),
            AGE,
        ],
        attachment,
    ),
    kind(
        GROUP,
        "csinodes",
        &[NAME, integer("Drivers", "Drivers on the node."), AGE],
        |row| {
            let drivers = list(&row.spec(), "/drivers").len();
            vec![row.name(), cell::count(drivers), row.age()]
        },
    ),
    kind(
        GROUP,
        "csidrivers",
        &[
            NAME,
            boolean(
                "AttachRequired",
                "Whether volumes are attached before they are mounted.",
            ),
            boolean("PodInfoOnMount", "Whether the driver is told of the pod."),
            boolean("StorageCapacity", "Whether the driver tells its capacity."),
            text("TokenRequests", "Audiences of the tokens that the driver gets."),
            boolean(
                "RequiresRepublish",
                "Whether volumes are published again and again.",
            ),
            text("Modes", "Lifecycles of volumes that the driver knows."),
            AGE,
        ],
        driver,
    ),
    kind(
        GROUP,
        "csistoragecapacities",
        &[
            NAME,
            text("StorageClassName", "Storage class that the capacity is of."),
            text("Capacity", "How much there is."),
        ],
        |row| {
            let capacity = row.section("capacity");
            let capacity = match &capacity {
                Value::Null => UNSET.to_owned(),
                some => amount::text(Some(some)),
            };
            let class = field(&row.section("storageClassName"), "").into();
            vec![row.name(), class, capacity.into()]
        },
    ),
];

/// Access modes in short, each once, in this order.
fn modes(modes: &[Value]) -> String {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| modes.iter().any(|given| given == mode);
    let words = short
        .into_iter()
        .filter(|(mode, _)| has(mode))
        .map(|(_, word)| word);
    cell::join(words, ",")
}

/// The storage class: an old annotation, or the field.
fn class<'a>(row: &'a Row<'_>, spec: &'a Value) -> &'a str {
    row.object
        .annotation("volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| field(spec, "/storageClassName"))
}

fn phase<'a>(row: &Row<'_>, status: &'a Value) -> &'a str {
    if row.object.is_terminating() {
        "Terminating"
    } else {
        field(status, "/phase")
    }
}

fn or_unset(spec: &Value, pointer: &str) -> Value {
    maybe_text(spec, pointer).unwrap_or(UNSET).into()
}

fn volume(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let claim = cell::set(&spec, "/claimRef")
        .map(|claim| format!("{}/{}", field(claim, "/namespace"), field(claim, "/name")));
    vec![
        row.name(),
        amount::text(spec.pointer("/capacity/storage")).into(),
        modes(list(&spec, "/accessModes")).into(),
        field(&spec, "/persistentVolumeReclaimPolicy").into(),
        phase(row, &status).into(),
        claim.unwrap_or_default().into(),
        class(row, &spec).into(),
        or_unset(&spec, "/volumeAttributesClassName"),
        field(&status, "/reason").into(),
        row.age(),
        or_unset(&spec, "/volumeMode"),
    ]
}

fn claim(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let volume = field(&spec, "/volumeName");
    let (capacity, modes) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        (
            amount::text(status.pointer("/capacity/storage")),
            modes(list(&status, "/accessModes")),
        )
    };
    vec![
        row.name(),
        phase(row, &status).into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        class(row, &spec).into(),
        or_unset(&spec, "/volumeAttributesClassName"),
        row.age(),
        or_unset(&spec, "/volumeMode"),
    ]
}

fn storage_class(row: &Row<'_>) -> Vec<Value> {
    let is_default = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ]
    .into_iter()
    .any(|key| row.object.annotation(key) == Some("true"));
    let mark = if is_default { " (default)" } else { "" };
    let word = |name: &str, usual: &str| Value::from(maybe_text(&row.section(name), "").unwrap_or(usual));
    vec![
        format!("{}{mark}", row.object.name()).into(),
        word("provisioner", ""),
        word("reclaimPolicy", "Delete"),
        word("volumeBindingMode", "Immediate"),
        flag(&row.section("allowVolumeExpansion"), "").into(),
        row.age(),
    ]
}

fn attachment(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    vec![
        row.name(),
        field(&spec, "/attacher").into(),
        field(&spec, "/source/persistentVolumeName").into(),
        field(&spec, "/nodeName").into(),
        flag(&status, "/attached").into(),
        row.age(),
    ]
}

fn driver(row: &Row<'_>) -> Vec<Value> {
    let spec = row.spec();
    let attach = spec
        .get("attachRequired")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let tokens = cell::set(&spec, "/tokenRequests").map(|_| {
        let requests = list(&spec, "/tokenRequests").iter();
        cell::join(requests.map(|request| field(request, "/audience")), ",")
    });
    let modes = list(&spec, "/volumeLifecycleModes")
        .iter()
        .filter_map(Value::as_str);
    vec![
        row.name(),
        attach.into(),
        flag(&spec, "/podInfoOnMount").into(),
        flag(&spec, "/storageCapacity").into(),
        tokens.unwrap_or_else(|| UNSET.to_owned()).into(),
        flag(&spec, "/requiresRepublish").into(),
        or(&cell::join(modes, ","), NONE).into(),
        row.age(),
    ]
}

#[cfg(test)]
mod tests;
