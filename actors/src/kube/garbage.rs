//! Garbage collection by owner references (kubernetes: `pkg/controller/garbagecollector/garbagecollector.go`).
//!
//! Pure: [`work`] looks at one object and says what the collector would do about it, [`sweep`] at all. The caller does it with
//! [`run`], after a write or in a loop.
//!
//! - An object whose owners are all gone (or of another uid) is deleted in the background.
//! - If some owners are there, references to those that are gone are taken out, and to those that wait for their
//!   dependents in a foreground deletion too.
//! - An object deleted with `Foreground` keeps its finalizer until no dependent with `blockOwnerDeletion` is left; the dependents are deleted.
//!   Where owners go round in a circle, the dependent that closes it no longer blocks.
//! - An object deleted with `Orphan` keeps its finalizer until no dependent names it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::object::{Object, OwnerReference};
use super::resource::Resource;
use super::status::{Reason, Status};
use super::store::{DeleteOptions, Part, Propagation, Store, Target, WriteOptions};
use super::validate::{FOREGROUND, ORPHAN};

/// Name under which the collector writes.
const MANAGER: &str = "kube-controller-manager";

/// One thing for the collector to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Delete the object, if it still is this one.
    Delete {
        /// The object.
        object: Arc<Object>,
        /// How its own dependents fare.
        propagation: Propagation,
    },
    /// Take the references to these owners out.
    Disown {
        /// The object.
        object: Arc<Object>,
        /// Uids of the owners.
        owners: Vec<String>,
    },
    /// Let no owner wait for the object any more: it is part of a circle of foreground deletions.
    Unblock {
        /// The object.
        object: Arc<Object>,
    },
    /// Take the finalizer off.
    Release {
        /// The object.
        object: Arc<Object>,
        /// `foregroundDeletion` or `orphan`.
        finalizer: &'static str,
    },
}

impl Action {
    /// The object that the action is about.
    #[must_use]
    pub const fn object(&self) -> &Arc<Object> {
        match self {
            Self::Delete { object, .. }
            | Self::Disown { object, .. }
            | Self::Unblock { object }
            | Self::Release { object, .. } => object,
        }
    }
}

/// How an owner stands.
enum Owner {
    Present,
    /// Deleted in the foreground: it waits for its dependents.
    Waiting,
    Gone,
    /// Its kind is not served, so nobody can tell: it counts as present.
    Unknown,
}

fn owner_of(store: &Store, object: &Object, reference: &OwnerReference) -> Owner {
    let Some(resource) = store.registry().by_kind(&reference.api_version, &reference.kind) else {
        return Owner::Unknown;
    };
    // A namespaced owner lives where its dependent lives; for a cluster-scoped dependent there is no such place.
    let namespace = object.namespace();
    if resource.namespaced && namespace.is_none() {
        return Owner::Gone;
    }
    match store.find(resource, namespace, &reference.name) {
        Some(owner) if owner.uid_text() == reference.uid => {
            if owner.is_terminating() && owner.has_finalizer(FOREGROUND) {
                Owner::Waiting
            } else {
                Owner::Present
            }
        }
        _ => Owner::Gone,
    }
}

/// What to do about one object now. Empty for most.
#[must_use]
pub fn work(store: &Store, object: &Arc<Object>) -> Vec<Action> {
    let mut actions = Vec::new();
    if object.is_terminating() {
        if object.has_finalizer(ORPHAN) {
            let uid = object.uid_text();
            let disowned = store
                .dependents_of(object.uid)
                .map(|(_, dependent)| Action::Disown {
                    object: Arc::clone(dependent),
                    owners: vec![uid.clone()],
                });
            actions.extend(disowned);
            actions.push(Action::Release {
                object: Arc::clone(object),
                finalizer: ORPHAN,
            });
            return actions;
        }
        if object.has_finalizer(FOREGROUND) {
            let uid = object.uid_text();
            let blocks = |dependent: &Object| {
                let mut owners = dependent.head.owners.iter();
                owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
            };
            let blocked = store
                .dependents_of(object.uid)
                .any(|(_, dependent)| blocks(dependent));
            if blocked {
                let dependents = store.dependents_of(object.uid);
                for (_, dependent) in dependents.filter(|(_, dependent)| !dependent.is_terminating()) {
                    actions.extend(owners_work(store, dependent));
                }
            } else {
                actions.push(Action::Release {
                    object: Arc::clone(object),
                    finalizer: FOREGROUND,
                });
            }
        }
        return actions;
    }
    actions.extend(owners_work(store, object));
    actions
}

/// What an object's owners mean for it.
fn owners_work(store: &Store, object: &Arc<Object>) -> Vec<Action> {
    let mut actions = Vec::new();
    if object.head.owners.is_empty() || object.is_terminating() {
        return actions;
    }
    let (mut solid, mut waiting, mut gone) = (0_usize, Vec::new(), Vec::new());
    for reference in &object.head.owners {
        match owner_of(store, object, reference) {
            Owner::Present | Owner::Unknown => solid += 1,
            Owner::Waiting => waiting.push(reference.uid.clone()),
            Owner::Gone => gone.push(reference.uid.clone()),
        }
    }
    if solid > 0 {
        gone.append(&mut waiting);
        if !gone.is_empty() {
            actions.push(Action::Disown {
                object: Arc::clone(object),
                owners: gone,
            });
        }
        return actions;
    }
    let has_dependents = store.dependents_of(object.uid).next().is_some();
    // A dependent that waits for its own dependents may well wait for this one, by way of its other owners.
    let circle = !waiting.is_empty()
        && store
            .dependents_of(object.uid)
            .any(|(_, dependent)| dependent.is_terminating() && dependent.has_finalizer(FOREGROUND))
        && object
            .head
            .owners
            .iter()
            .any(|owner| owner.block_owner_deletion == Some(true));
    if circle {
        actions.push(Action::Unblock {
            object: Arc::clone(object),
        });
    }
    let propagation = if !waiting.is_empty() && has_dependents {
        // The owner waits for this one, so this one waits for its own.
        Propagation::Foreground
    } else if object.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if object.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    actions.push(Action::Delete {
        object: Arc::clone(object),
        propagation,
    });
    actions
}

/// What to do after the object with this uid is gone or going: look at those that name it, and at the owners of theirs.
#[must_use]
pub fn after(store: &Store, object: &Arc<Object>, gone: bool) -> Vec<Action> {
    let mut actions = if gone { Vec::new() } else { work(store, object) };
    if gone {
        actions.extend(
            store
                .dependents_of(object.uid)
                .flat_map(|(_, dependent)| work(store, dependent)),
        );
        // An owner may have waited for this one.
        for reference in &object.head.owners {
            if let Some(owner) = owner_object(store, object, reference)
                && owner.is_terminating()
            {
                actions.extend(work(store, owner));
            }
        }
    }
    actions
}

fn owner_object<'a>(
    store: &'a Store,
    object: &Object,
    reference: &OwnerReference,
) -> Option<&'a Arc<Object>> {
    let resource = store
        .registry()
        .by_kind(&reference.api_version, &reference.kind)?;
    store
        .find(resource, object.namespace(), &reference.name)
        .filter(|owner| owner.uid_text() == reference.uid)
}

/// What to do about all objects.
#[must_use]
pub fn sweep(store: &Store) -> Vec<Action> {
    let mut actions = Vec::new();
    let candidates = store
        .everything()
        .filter(|(_, object)| !object.head.owners.is_empty() || object.is_terminating());
    for (_, object) in candidates {
        for action in work(store, object) {
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
    }
    actions
}

/// Does one action. An object that is gone or another one by now is left alone.
///
/// # Errors
/// What the store refuses; a conflict means that the object changed, and that the collector must look again.
pub fn run(store: &mut Store, action: &Action, now: DateTime<Utc>) -> Result<(), Status> {
    let object = action.object();
    let Some(resource) = resource_of(store, object.uid, object) else {
        return Ok(());
    };
    let options = WriteOptions::by(MANAGER, now);
    let done = match action {
        Action::Delete { propagation, .. } => {
            let target = Target::stored(&resource, object.namespace());
            let options = DeleteOptions {
                propagation: Some(*propagation),
                uid: Some(object.uid_text()),
                ..DeleteOptions::default()
            };
            store.delete(target, object.name(), &options, now).map(drop)
        }
        Action::Disown { owners, .. } => {
            let mut draft = object.draft();
            draft
                .meta
                .owner_references
                .retain(|owner| !owners.contains(&owner.uid));
            store.replace(&resource, Part::Main, draft, options).map(drop)
        }
        Action::Unblock { .. } => {
            let mut draft = object.draft();
            for owner in &mut draft.meta.owner_references {
                if owner.block_owner_deletion == Some(true) {
                    owner.block_owner_deletion = Some(false);
                }
            }
            store.replace(&resource, Part::Main, draft, options).map(drop)
        }
        Action::Release { finalizer, .. } => {
            // A dependent that changed meanwhile still names it, and would be collected as one whose owner is gone.
            if *finalizer == ORPHAN && store.dependents_of(object.uid).next().is_some() {
                return Err(Status::modified(resource.named(), object.name()));
            }
            let mut draft = object.draft();
            draft.meta.finalizers.retain(|name| name != finalizer);
            store.replace(&resource, Part::Main, draft, options).map(drop)
        }
    };
    match done {
        Err(status) if status.is(Reason::NotFound) => Ok(()),
        other => other,
    }
}

/// The resource of an object that the store still holds under the same uid.
fn resource_of(store: &Store, uid: Uuid, object: &Object) -> Option<Arc<Resource>> {
    store
        .registry()
        .iter()
        .find(|resource| {
            resource.home == resource.id
                && store
                    .find(resource, object.namespace(), object.name())
                    .is_some_and(|found| found.uid == uid)
        })
        .cloned()
}

#[cfg(test)]
mod tests;
