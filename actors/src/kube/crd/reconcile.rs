//! What the server does about a definition after it changed: names, conditions, serving, and the end
//! (kubernetes: `apiextensions-apiserver/pkg/controller/{status,establish,finalizer}`).

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{FINALIZER, GROUP, PLURAL, resource};
use crate::kube::object::{Object, Second};
use crate::kube::resource::Resource;
use crate::kube::status::{Reason, Status, quote};
use crate::kube::store::{DeleteOptions, Part, Store, Target, WriteOptions};

const MANAGER: &str = "kube-apiserver";
/// Rounds after which a change that keeps changing is left for the next call.
const ROUNDS_MAX: usize = 8;

/// How far a definition is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All is done: the kind is served, refused for its names, or gone.
    Settled,
    /// It is being deleted and some of its objects still hold it: call again when one of them goes.
    Waiting,
}

/// Brings what is served in line with the definition `name`: to be called after each change of a definition, also after it
/// is gone. Nothing changes when all is in line.
///
/// It writes `status` (names, conditions, stored versions), registers or takes away the resource, and deletes the objects
/// of a definition that is being deleted. When names become free, the other definitions of the group get them.
///
/// # Errors
/// What the store refuses.
pub fn reconcile(store: &mut Store, name: &str, now: DateTime<Utc>) -> Result<Outcome, Status> {
    let Some(definitions) = store.registry().find(GROUP, PLURAL).cloned() else {
        return Ok(Outcome::Settled);
    };
    let Some(definition) = store.find(&definitions, None, name).cloned() else {
        gone(store, &definitions, name, now)?;
        return Ok(Outcome::Settled);
    };
    if definition.is_terminating() {
        return terminate(store, &definitions, &definition, now);
    }
    if accept(store, &definitions, &definition, now)? {
        // Names that it gave up may be what another one waits for.
        let group = definition.at(&["spec", "group"]).unwrap_or_default();
        hand_out(store, &definitions, group.as_str().unwrap_or(""), now)?;
    }
    Ok(Outcome::Settled)
}

/// Names of the definitions that are being deleted.
pub fn terminating(store: &Store) -> impl Iterator<Item = String> + use<'_> {
    store
        .all_of(GROUP, PLURAL, None)
        .filter(|definition| definition.is_terminating())
        .map(|definition| definition.name().to_owned())
}

/// The kind is no longer served; others may want its names.
fn gone(
    store: &mut Store,
    definitions: &Arc<Resource>,
    name: &str,
    now: DateTime<Utc>,
) -> Result<(), Status> {
    let (plural, group) = name.split_once('.').unwrap_or((name, ""));
    store.registry_mut().unregister(group, plural);
    hand_out(store, definitions, group, now)
}

/// Looks again at the definitions of a group that did not get their names: some may have become free.
fn hand_out(
    store: &mut Store,
    definitions: &Arc<Resource>,
    group: &str,
    now: DateTime<Utc>,
) -> Result<(), Status> {
    for _ in 0..ROUNDS_MAX {
        let waiting: Vec<Arc<Object>> = store
            .all(definitions, None)
            .filter(|other| !other.is_terminating() && is(other, "NamesAccepted", "False"))
            .filter(|other| other.at(&["spec", "group"]) == Some(json!(group)))
            .cloned()
            .collect();
        let mut changed = false;
        for other in waiting {
            changed |= accept(store, definitions, &other, now)?;
        }
        if !changed {
            break;
        }
    }
    Ok(())
}

fn conditions(definition: &Object) -> Vec<Value> {
    let found = definition.at(&["status", "conditions"]);
    found
        .and_then(|list| list.as_array().cloned())
        .unwrap_or_default()
}

fn is(definition: &Object, kind: &str, status: &str) -> bool {
    conditions(definition)
        .iter()
        .any(|condition| condition["type"] == kind && condition["status"] == status)
}

/// Puts a condition into the list; its time changes with its status only.
fn set(list: &mut Vec<Value>, kind: &str, status: bool, reason: &str, message: &str, now: DateTime<Utc>) {
    let status = if status { "True" } else { "False" };
    let before = list.iter().position(|condition| condition["type"] == kind);
    let since = before
        .and_then(|place| list.get(place))
        .filter(|condition| condition["status"] == status)
        .and_then(|condition| condition.get("lastTransitionTime").cloned());
    let made = json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since.unwrap_or_else(|| Second::of(now).text().into())});
    match before.and_then(|place| list.get_mut(place)) {
        Some(condition) => *condition = made,
        None => list.push(made),
    }
}

fn text<'a>(names: &'a Value, key: &str) -> &'a str {
    names.get(key).and_then(Value::as_str).unwrap_or("")
}

fn short_names(names: &Value) -> Vec<&str> {
    let list = names.get("shortNames").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Names that the other definitions of the group hold: of resources, and of kinds.
fn taken(
    store: &Store,
    definitions: &Resource,
    definition: &Object,
    group: &str,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for other in store.all(definitions, None) {
        if other.name() == definition.name() || other.at(&["spec", "group"]) != Some(json!(group)) {
            continue;
        }
        let names = other.at(&["status", "acceptedNames"]).unwrap_or_default();
        for name in [text(&names, "plural"), text(&names, "singular")]
            .into_iter()
            .chain(short_names(&names))
        {
            resources.insert(name.to_owned());
        }
        for name in [text(&names, "kind"), text(&names, "listKind")] {
            kinds.insert(name.to_owned());
        }
    }
    for set in [&mut resources, &mut kinds] {
        set.remove("");
    }
    (resources, kinds)
}

/// The names that the definition may use, and the last conflict: reason and message.
fn accepted_names(
    wanted: &Value,
    held: &Value,
    resources: &BTreeSet<String>,
    kinds: &BTreeSet<String>,
) -> (Value, Option<(&'static str, String)>) {
    let mut names = held.as_object().cloned().unwrap_or_default();
    let mut conflict = None;
    let in_use = |name: &str| format!("{} is already in use", quote(name));
    for (field, reason, set) in [
        ("plural", "PluralConflict", resources),
        ("singular", "SingularConflict", resources),
        ("shortNames", "ShortNamesConflict", resources),
        ("kind", "KindConflict", kinds),
        ("listKind", "ListKindConflict", kinds),
    ] {
        let refused: Vec<&str> = if field == "shortNames" {
            let own = short_names(held);
            short_names(wanted)
                .into_iter()
                .filter(|name| !own.contains(name) && set.contains(*name))
                .collect()
        } else {
            let name = text(wanted, field);
            let fine = name == text(held, field) || !set.contains(name);
            if fine { Vec::new() } else { vec![name] }
        };
        match refused.as_slice() {
            [] => {
                match wanted.get(field) {
                    Some(value) => names.insert(field.to_owned(), value.clone()),
                    None => names.remove(field),
                };
            }
            [one] => conflict = Some((reason, in_use(one))),
            many => {
                let list: Vec<String> = many.iter().map(|name| in_use(name)).collect();
                conflict = Some((reason, format!("[{}]", list.join(", "))));
            }
        }
    }
    match wanted.get("categories") {
        Some(value) => names.insert("categories".to_owned(), value.clone()),
        None => names.remove("categories"),
    };
    (Value::Object(names), conflict)
}

/// Settles the names and serves the kind. Whether the definition changed.
fn accept(
    store: &mut Store,
    definitions: &Arc<Resource>,
    definition: &Arc<Object>,
    now: DateTime<Utc>,
) -> Result<bool, Status> {
    let spec = definition.section("spec").unwrap_or_default();
    let group = text(&spec, "group");
    let wanted = spec.get("names").cloned().unwrap_or_default();
    let held = definition.at(&["status", "acceptedNames"]).unwrap_or_default();
    let (resources, kinds) = taken(store, definitions, definition, group);
    let (names, conflict) = accepted_names(&wanted, &held, &resources, &kinds);
    let mut list = conditions(definition);
    let established = is(definition, "Established", "True");
    match &conflict {
        None => set(
            &mut list,
            "NamesAccepted",
            true,
            "NoConflicts",
            "no conflicts found",
            now,
        ),
        Some((reason, message)) => set(&mut list, "NamesAccepted", false, reason, message, now),
    }
    if conflict.is_none() && !established {
        set(
            &mut list,
            "Established",
            true,
            "InitialNamesAccepted",
            "the initial names have been accepted",
            now,
        );
    } else if !established {
        set(
            &mut list,
            "Established",
            false,
            "NotAccepted",
            "not all names are accepted",
            now,
        );
    }
    // A kind that was served before stays so under the names that it has.
    if conflict.is_none() || established {
        let made = resource(definition, &names)?;
        store.registry_mut().register(made);
    }
    let mut draft = definition.draft();
    let status = draft
        .body
        .entry("status")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(status) = status.as_object_mut() {
        status.insert("acceptedNames".to_owned(), names);
        status.insert("conditions".to_owned(), list.into());
    }
    let written = store.replace(definitions, Part::Status, draft, WriteOptions::by(MANAGER, now))?;
    let changed = written.object.resource_version != definition.resource_version;
    Ok(changed)
}

/// Deletes the objects of the kind, then lets the definition go.
fn terminate(
    store: &mut Store,
    definitions: &Arc<Resource>,
    definition: &Arc<Object>,
    now: DateTime<Utc>,
) -> Result<Outcome, Status> {
    if !definition.has_finalizer(FINALIZER) {
        return Ok(Outcome::Waiting);
    }
    let (plural, group) = definition
        .name()
        .split_once('.')
        .unwrap_or((definition.name(), ""));
    let served = store
        .registry()
        .find(group, plural)
        .filter(|resource| resource.custom)
        .cloned();
    let mut left = 0_usize;
    if let Some(served) = &served {
        let objects: Vec<Arc<Object>> = store.all(served, None).cloned().collect();
        for object in objects {
            if !object.is_terminating() {
                let target = Target::stored(served, object.namespace());
                match store.delete(target, object.name(), &DeleteOptions::default(), now) {
                    Ok(_) => {}
                    Err(status) if status.is(Reason::NotFound) => {}
                    Err(status) => return Err(status),
                }
            }
        }
        left = store.all(served, None).count();
    }
    let mut list = conditions(definition);
    if left > 0 {
        set(
            &mut list,
            "Terminating",
            true,
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress",
            now,
        );
    } else if served.is_some() {
        set(
            &mut list,
            "Terminating",
            false,
            "InstanceDeletionCompleted",
            "removed all instances",
            now,
        );
    } else {
        set(
            &mut list,
            "Terminating",
            false,
            "NeverEstablished",
            "resource was never established",
            now,
        );
    }
    let mut draft = definition.draft();
    if let Some(status) = draft
        .body
        .entry("status")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
    {
        status.insert("conditions".to_owned(), list.into());
    }
    let options = WriteOptions::by(MANAGER, now);
    let written = store.replace(definitions, Part::Status, draft, options)?;
    if left > 0 {
        return Ok(Outcome::Waiting);
    }
    let mut draft = written.object.draft();
    draft.meta.finalizers.retain(|finalizer| finalizer != FINALIZER);
    let written = store.replace(definitions, Part::Main, draft, options)?;
    if !written.gone {
        // Another finalizer holds it; the kind is still served, and empty.
        return Ok(Outcome::Settled);
    }
    gone(store, definitions, definition.name(), now)?;
    Ok(Outcome::Settled)
}
