//! Server-side apply, and the account of who owns which field.
//!
//! The rules are those of structured-merge-diff (`merge/update.go`) with the layers that the API server puts around it
//! (kubernetes: `apimachinery/pkg/util/managedfields`). Field sets of all versions of a kind are taken as sets of the stored version: only
//! horizontal pod autoscalers and events have two, with different names for some fields.

mod set;
#[cfg(test)]
mod tests;
mod typed;
mod walk;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use set::{FieldSet, Step};

use super::object::{Fields, ManagedEntry, Operation, Second, WireManagedEntry};
use super::schema::MessageId;
use super::status::{Cause, Reason, Status, quote};
use super::structure::{Shape, Type};

/// Entries with operation `Update` that an object keeps; older ones are merged (kubernetes: `managedfields/internal/capmanagers.go`).
const UPDATE_MANAGERS_MAX: usize = 10;
/// Longest name of a manager.
pub const MANAGER_MAX: usize = 128;
/// Fields of `metadata` that nobody owns (kubernetes: `managedfields/internal/stripmeta.go`).
pub const SERVER_FIELDS: [&str; 8] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// Who writes, how it will stand in `managedFields`.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Name of the manager.
    pub manager: &'a str,
    /// `apps/v1`: the version of the request.
    pub api_version: &'a str,
    /// Subresource, empty for the main resource.
    pub subresource: &'a str,
    /// Time of the write.
    pub now: Second,
}

/// What tells managers apart. Appliers are the same in every version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Id {
    manager: Arc<str>,
    operation: Operation,
    api_version: Arc<str>,
    subresource: Arc<str>,
}

#[derive(Clone, Debug)]
struct Owned {
    api_version: Arc<str>,
    time: Option<Second>,
    fields: FieldSet,
}

type Managers = BTreeMap<Id, Owned>;

fn id(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Id {
    Id {
        manager: manager.into(),
        operation,
        api_version: if operation == Operation::Apply {
            ""
        } else {
            api_version
        }
        .into(),
        subresource: subresource.into(),
    }
}

/// Reads entries. One that is malformed is dropped.
fn managers(entries: &[ManagedEntry]) -> Managers {
    let mut managers = Managers::new();
    for entry in entries {
        let fields = serde_json::from_str(&entry.fields.text())
            .ok()
            .and_then(|value| FieldSet::decode(&value));
        if let Some(fields) = fields {
            let id = id(
                &entry.manager,
                entry.operation,
                &entry.api_version,
                &entry.subresource,
            );
            let owned = Owned {
                api_version: Arc::clone(&entry.api_version),
                time: entry.time,
                fields,
            };
            managers.insert(id, owned);
        }
    }
    managers
}

/// Entries in the server's order: appliers first, then by time, then by name.
fn entries(managers: Managers) -> Vec<ManagedEntry> {
    let mut entries: Vec<ManagedEntry> = managers
        .into_iter()
        .filter(|(_, owned)| !owned.fields.is_empty())
        .map(|(id, owned)| ManagedEntry {
            manager: id.manager,
            operation: id.operation,
            api_version: owned.api_version,
            time: owned.time,
            subresource: id.subresource,
            fields: Fields::new(&owned.fields.encode().to_string()),
        })
        .collect();
    entries.sort_by(|one, two| {
        let order = |entry: &ManagedEntry| (entry.operation, entry.time);
        order(one)
            .cmp(&order(two))
            .then_with(|| one.manager.cmp(&two.manager))
            .then_with(|| one.api_version.cmp(&two.api_version))
            .then_with(|| one.subresource.cmp(&two.subresource))
    });
    entries
}

/// Reads `metadata.managedFields` as a client sent it; `None` if an entry is malformed.
#[must_use]
pub fn from_wire(entries: &[WireManagedEntry]) -> Option<Vec<ManagedEntry>> {
    entries
        .iter()
        .map(|entry| {
            let fields = FieldSet::decode(entry.fields_v1.as_ref()?)?;
            Some(ManagedEntry {
                manager: entry.manager.as_str().into(),
                operation: match entry.operation.as_str() {
                    "Apply" => Operation::Apply,
                    "Update" => Operation::Update,
                    _ => return None,
                },
                api_version: entry.api_version.as_str().into(),
                time: entry.time.as_deref().and_then(Second::parse),
                subresource: entry.subresource.as_str().into(),
                fields: Fields::new(&fields.encode().to_string()),
            })
        })
        .collect()
}

/// The fields that nobody owns.
fn nobodys() -> FieldSet {
    let field = |name: &str| Step::Field(name.into());
    let mut set = FieldSet::default();
    for name in ["apiVersion", "kind", "metadata"] {
        set.insert(&[field(name)]);
    }
    for name in SERVER_FIELDS {
        set.insert(&[field("metadata"), field(name)]);
    }
    set
}

/// The account after an update, patch or create: `writer` owns what changed, others lose it.
///
/// `live` and `new` are the object before and after, without what the server alone writes; `live` is empty for a create.
#[must_use]
pub fn track(
    layout: &Arc<Type>,
    live: &Value,
    new: &Value,
    managed: &[ManagedEntry],
    writer: &Writer<'_>,
) -> Vec<ManagedEntry> {
    let mut managers = managers(managed);
    track_in(
        &mut managers,
        &Shape::Struct(Arc::clone(layout)),
        live,
        new,
        writer,
    );
    cap(&mut managers);
    entries(managers)
}

fn track_in(managers: &mut Managers, shape: &Shape, live: &Value, new: &Value, writer: &Writer<'_>) {
    let comparison = walk::compare(live, new, shape);
    let changed = comparison.modified.union(&comparison.added);
    let lost = changed.union(&comparison.removed);
    for owned in managers.values_mut() {
        owned.fields = owned.fields.difference(&lost);
    }
    managers.retain(|_, owned| !owned.fields.is_empty());
    let won = changed.difference(&nobodys());
    if !won.is_empty() {
        let id = id(
            writer.manager,
            Operation::Update,
            writer.api_version,
            writer.subresource,
        );
        let owned = managers.entry(id).or_insert_with(|| Owned {
            api_version: writer.api_version.into(),
            time: None,
            fields: FieldSet::default(),
        });
        owned.fields = owned.fields.union(&won);
        owned.time = Some(writer.now);
    }
}

/// Merges the oldest updaters of a version when there are too many.
fn cap(managers: &mut Managers) {
    let mut updaters: Vec<(Option<Second>, Id)> = managers
        .iter()
        .filter(|(id, _)| id.operation == Operation::Update)
        .map(|(id, owned)| (owned.time, id.clone()))
        .collect();
    let mut count = updaters.len();
    if count <= UPDATE_MANAGERS_MAX {
        return;
    }
    updaters.sort();
    let mut first_of: BTreeMap<Arc<str>, Id> = BTreeMap::new();
    for (_, old) in updaters {
        if count <= UPDATE_MANAGERS_MAX {
            break;
        }
        let version = Arc::clone(&old.api_version);
        let Some(first) = first_of.get(&version) else {
            first_of.insert(version, old);
            continue;
        };
        let bucket = id("ancient-changes", Operation::Update, &version, "");
        if !managers.contains_key(&bucket)
            && let Some(owned) = managers.remove(first)
        {
            managers.insert(bucket.clone(), owned);
        }
        if let Some(merged) = managers.remove(&old)
            && let Some(into) = managers.get_mut(&bucket)
        {
            into.fields = into.fields.union(&merged.fields);
            into.time = merged.time;
            count = count.saturating_sub(1);
        }
    }
}

/// Checks that a configuration fits the kind of `message`.
///
/// # Errors
/// 500, as a real server answers, with what does not fit.
pub fn check_typed(
    message: MessageId,
    layout: &Arc<Type>,
    config: &Value,
    api_version: &str,
) -> Result<(), Status> {
    let shape = Shape::Struct(Arc::clone(layout));
    untyped(config, api_version, &typed::faults(message, config, &shape))
}

/// Refuses a configuration that does not fit its kind, if there are faults: an error that nobody turned into a status (apimachinery:
/// `pkg/util/managedfields/internal/structuredmerge.go`).
///
/// # Errors
/// 500.
pub fn untyped(config: &Value, api_version: &str, faults: &[String]) -> Result<(), Status> {
    let faults = match faults {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let text = |path: &str| config.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let slash = if api_version.contains('/') { "" } else { "/" };
    Err(Status::behind(format!(
        "failed to create typed patch object ({namespace}/{name}; {slash}{api_version}, Kind={}): {faults}",
        text("/kind")
    )))
}

/// Applies a configuration: the object and the account after it. `live` is empty for a create.
///
/// Fields that the manager applied before and that the new configuration lacks are removed, unless someone else owns them.
///
/// # Errors
/// 409 with causes when the configuration would change fields of others and `force` is not set; 500 when an item of a keyed list lacks a
/// key.
pub fn apply(
    layout: &Arc<Type>,
    live: &Value,
    config: &Value,
    managed: &[ManagedEntry],
    writer: &Writer<'_>,
    force: bool,
) -> Result<(Value, Vec<ManagedEntry>), Status> {
    let shape = Shape::Struct(Arc::clone(layout));
    let mut faults = Vec::new();
    walk::missing_keys(config, &shape, &mut Vec::new(), &mut faults);
    untyped(config, writer.api_version, &faults)?;
    let live = without_managed_fields(live);
    let config = without_managed_fields(config);
    let mut managers = managers(managed);
    if managers.is_empty() && live.as_object().is_some_and(|map| !map.is_empty()) {
        // Nobody kept account so far: everything there is belongs to one unknown updater.
        let before = Writer {
            manager: "before-first-apply",
            subresource: "",
            ..*writer
        };
        track_in(&mut managers, &shape, &Value::Object(Map::new()), &live, &before);
    }
    let own = id(
        writer.manager,
        Operation::Apply,
        writer.api_version,
        writer.subresource,
    );
    let last = managers.get(&own).cloned();
    let fields = walk::field_set(&config, &shape).difference(&nobodys());
    let merged = walk::merge(&live, &config, &shape);
    managers.insert(
        own.clone(),
        Owned {
            api_version: writer.api_version.into(),
            time: Some(writer.now),
            fields: fields.clone(),
        },
    );
    let new = match &last {
        Some(last) if !last.fields.is_empty() => prune(&merged, &shape, &managers, &last.fields),
        _ => merged,
    };
    settle(
        &mut managers,
        &shape,
        &live,
        &new,
        &own,
        &allowed(&shape, &live, writer, force),
    )?;
    // Nothing new: the time of the last apply stays.
    if let (Some(last), Some(owned)) = (last, managers.get_mut(&own))
        && new == live
        && last.fields == fields
        && *last.api_version == *writer.api_version
    {
        owned.time = last.time;
    }
    Ok((new, entries(managers)))
}

/// Takes changed and removed fields from the other managers, or says who would lose which.
fn settle(
    managers: &mut Managers,
    shape: &Shape,
    live: &Value,
    new: &Value,
    own: &Id,
    force: &Allowed,
) -> Result<(), Status> {
    let comparison = walk::compare(live, new, shape);
    let changed = comparison.modified.union(&comparison.added);
    let mut conflicts: Vec<(Id, Vec<Step>)> = Vec::new();
    for (id, owned) in managers.iter().filter(|(id, _)| *id != own) {
        let taken = owned.fields.intersection(&changed);
        for path in taken.paths() {
            if !force.allows(&path) {
                conflicts.push((id.clone(), path));
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    let lost = changed.union(&comparison.removed);
    for (id, owned) in managers.iter_mut() {
        owned.fields = if id == own {
            owned.fields.difference(&comparison.removed)
        } else {
            owned.fields.difference(&lost)
        };
    }
    managers.retain(|_, owned| !owned.fields.is_empty());
    Ok(())
}

/// Which conflicts are let pass.
#[derive(Debug)]
enum Allowed {
    All,
    Only(FieldSet),
}

impl Allowed {
    fn allows(&self, path: &[Step]) -> bool {
        match self {
            Self::All => true,
            Self::Only(set) => set.has_path(path),
        }
    }
}

/// Fields that kubectl's client-side apply set and that still stand so: `kubectl apply --server-side` may take them
/// (kubernetes: `managedfields/internal/lastappliedmanager.go`).
fn allowed(shape: &Shape, live: &Value, writer: &Writer<'_>, force: bool) -> Allowed {
    if force {
        return Allowed::All;
    }
    let none = Allowed::Only(FieldSet::default());
    if writer.manager != "kubectl" {
        return none;
    }
    let last = live
        .pointer("/metadata/annotations")
        .and_then(|map| map.get("kubectl.kubernetes.io/last-applied-configuration"))
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .filter(|last| last.get("apiVersion").and_then(Value::as_str) == Some(writer.api_version));
    let Some(last) = last else { return none };
    let comparison = walk::compare(&last, live, shape);
    let set = walk::field_set(&last, shape)
        .difference(&comparison.modified)
        .difference(&comparison.added)
        .difference(&comparison.removed);
    Allowed::Only(set)
}

/// `merged` without what the manager no longer applies and nobody else owns.
fn prune(merged: &Value, shape: &Shape, managers: &Managers, last: &FieldSet) -> Value {
    let without =
        |set: &FieldSet| walk::remove(merged, shape, set).unwrap_or_else(|| Value::Object(Map::new()));
    let named = |set: &FieldSet| set.with_named_fields(shape);
    let last = named(last);
    let all = named(&walk::field_set(merged, shape));
    let pruned = without(&last);
    // What others own, or this configuration, comes back.
    let owned = managers
        .values()
        .fold(FieldSet::default(), |sum, owned| sum.union(&owned.fields));
    let kept = named(&walk::field_set(&pruned, shape)).union(&named(&owned));
    let pruned = without(&all.difference(&kept));
    // So does what went along with a removed parent without having been applied by this manager.
    let rest = named(&walk::field_set(&pruned, shape));
    without(&all.difference(&rest).intersection(&last))
}

fn without_managed_fields(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    value
}

/// The refusal (kubernetes: `managedfields/internal/conflict.go`).
fn conflict(conflicts: &[(Id, Vec<Step>)]) -> Status {
    let text = |path: &[Step]| -> String { path.iter().map(ToString::to_string).collect() };
    let by = |id: &Id| {
        let mut name = quote(&id.manager);
        if !id.subresource.is_empty() {
            let _ = write!(name, " with subresource {}", quote(&id.subresource));
        }
        if id.operation == Operation::Update {
            let _ = write!(name, " using {}", id.api_version);
        }
        name
    };
    let message = if let [(id, path)] = conflicts {
        format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            by(id),
            text(path)
        )
    } else {
        let mut managers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, path) in conflicts {
            managers
                .entry(by(id))
                .or_default()
                .push(format!("- {}", text(path)));
        }
        let parts: Vec<String> = managers
            .iter()
            .map(|(manager, paths)| format!("conflicts with {manager}:\n{}", paths.join("\n")))
            .collect();
        format!(
            "Apply failed with {} conflicts: {}",
            conflicts.len(),
            parts.join("\n")
        )
    };
    conflicts.iter().fold(
        Status::failure(Reason::Conflict, message),
        |status, (id, path)| {
            status.with_cause(Cause {
                kind: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {}", by(id)),
                field: text(path),
            })
        },
    )
}
