//! The end of a namespace (kubernetes: `pkg/controller/namespace/deletion/namespaced_resources_deleter.go`).
//!
//! A namespace that is deleted turns Terminating and keeps its own finalizer, `spec.finalizers: [kubernetes]`, until all that it
//! holds is gone. [`work`] says what to do next: delete content, tell how far it is in the conditions, or take the finalizer off, which
//! removes the namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::object::{Object, Second};
use super::resource::{Resource, ResourceId};
use super::status::{Reason, Status};
use super::store::{DeleteOptions, Part, Propagation, Store, Target, WriteOptions};

const MANAGER: &str = "kube-controller-manager";
/// The finalizer in `spec.finalizers`.
const FINALIZER: &str = "kubernetes";

/// One thing to do about a namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Delete an object in it.
    Delete {
        /// Resource of the object.
        resource: ResourceId,
        /// The object.
        object: Arc<Object>,
    },
    /// Write these conditions into its status.
    Tell {
        /// The namespace.
        namespace: Arc<Object>,
        /// `status.conditions`.
        conditions: Value,
    },
    /// It is empty: take the finalizer off.
    Finalize {
        /// The namespace.
        namespace: Arc<Object>,
    },
}

/// What to do about a namespace now. Nothing for one that is not being deleted, or that waits.
#[must_use]
pub fn work(store: &Store, namespace: &Arc<Object>, now: DateTime<Utc>) -> Vec<Action> {
    let finalizers = namespace.at(&["spec", "finalizers"]);
    let ours = finalizers.is_some_and(|list| {
        list.as_array()
            .is_some_and(|list| list.contains(&json!(FINALIZER)))
    });
    if !namespace.is_terminating() || !ours {
        return Vec::new();
    }
    let mut actions = Vec::new();
    let mut remaining: BTreeMap<String, usize> = BTreeMap::new();
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for resource in store.registry().iter() {
        if !resource.namespaced || resource.home != resource.id || !resource.traits.stored {
            continue;
        }
        for object in store.all(resource, Some(namespace.name())) {
            *remaining
                .entry(format!(
                    "{}.{} has {{}} resource instances",
                    resource.plural, resource.group
                ))
                .or_default() += 1;
            for finalizer in &object.head.finalizers {
                *held
                    .entry(format!("{finalizer} in {{}} resource instances"))
                    .or_default() += 1;
            }
            if !object.is_terminating() {
                actions.push(Action::Delete {
                    resource: resource.id,
                    object: Arc::clone(object),
                });
            }
        }
    }
    if remaining.is_empty() {
        return vec![Action::Finalize {
            namespace: Arc::clone(namespace),
        }];
    }
    // Content that goes at once needs no words: they are for what stays.
    if actions.is_empty() {
        let old = namespace.at(&["status", "conditions"]).unwrap_or_default();
        let conditions = conditions(&remaining, &held, &old, Second::of(now));
        if conditions != old {
            actions.push(Action::Tell {
                namespace: Arc::clone(namespace),
                conditions,
            });
        }
    }
    actions
}

/// The conditions of a namespace that is being emptied (kubernetes: `pkg/controller/namespace/deletion/status_condition_utils.go`).
fn conditions(
    remaining: &BTreeMap<String, usize>,
    held: &BTreeMap<String, usize>,
    old: &Value,
    now: Second,
) -> Value {
    let list = |counts: &BTreeMap<String, usize>| {
        let texts: Vec<String> = counts
            .iter()
            .map(|(text, count)| text.replace("{}", &count.to_string()))
            .collect();
        texts.join(", ")
    };
    let mut all = vec![
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
    ];
    all.push(if remaining.is_empty() {
        (
            "NamespaceContentRemaining",
            false,
            "ContentRemoved",
            "All content successfully removed".to_owned(),
        )
    } else {
        (
            "NamespaceContentRemaining",
            true,
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", list(remaining)),
        )
    });
    all.push(if held.is_empty() {
        (
            "NamespaceFinalizersRemaining",
            false,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        (
            "NamespaceFinalizersRemaining",
            true,
            "SomeFinalizersRemain",
            format!(
                "Some content in the namespace has finalizers remaining: {}",
                list(held)
            ),
        )
    });
    all.into_iter()
        .map(|(kind, on, reason, message)| {
            let status = if on { "True" } else { "False" };
            let before = old
                .as_array()
                .into_iter()
                .flatten()
                .find(|condition| {
                    condition.get("type") == Some(&json!(kind))
                        && condition.get("status") == Some(&json!(status))
                })
                .and_then(|condition| condition.get("lastTransitionTime").cloned());
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": before.unwrap_or_else(|| now.text().into())})
        })
        .collect()
}

/// Does one action. What is gone by now is left alone.
///
/// # Errors
/// What the store refuses; a conflict means that the object changed, and that one must look again.
pub fn run(store: &mut Store, action: &Action, now: DateTime<Utc>) -> Result<(), Status> {
    let options = WriteOptions::by(MANAGER, now);
    let done = match action {
        Action::Delete { resource, object } => {
            let Some(resource) = store.registry().by_id(*resource).cloned() else {
                return Ok(());
            };
            let options = DeleteOptions {
                propagation: Some(Propagation::Background),
                uid: Some(object.uid_text()),
                ..DeleteOptions::default()
            };
            let target = Target::stored(&resource, object.namespace());
            store.delete(target, object.name(), &options, now).map(drop)
        }
        Action::Tell {
            namespace,
            conditions,
        } => {
            let mut draft = namespace.draft();
            let status = draft.body.entry("status").or_insert_with(|| json!({}));
            if let Some(status) = status.as_object_mut() {
                status.insert("conditions".to_owned(), conditions.clone());
            }
            write(store, draft, Part::Status, options)
        }
        Action::Finalize { namespace } => {
            let mut draft = namespace.draft();
            if let Some(spec) = draft.body.get_mut("spec").and_then(Value::as_object_mut)
                && let Some(finalizers) = spec.get_mut("finalizers").and_then(Value::as_array_mut)
            {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
            write(store, draft, Part::Finalize, options)
        }
    };
    match done {
        Err(status) if status.is(Reason::NotFound) => Ok(()),
        other => other,
    }
}

fn write(
    store: &mut Store,
    draft: super::object::Draft,
    part: Part,
    options: WriteOptions<'_>,
) -> Result<(), Status> {
    let namespaces: Option<Arc<Resource>> = store.registry().find("", "namespaces").cloned();
    match namespaces {
        Some(namespaces) => store.replace(&namespaces, part, draft, options).map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;
    use crate::kube::resource::BUILT_IN;
    use crate::kube::store::{Limits, PatchKind, Settings};
    use crate::seed::Seed;

    #[test]
    fn a_namespace_empties_and_goes() {
        let now = Utc.timestamp_opt(1_700_000_000, 0).unwrap();
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let mut store = Store::new(settings, Arc::default());
        let find = |plural: &str| BUILT_IN.iter().find(|resource| resource.is("", plural)).unwrap();
        let (namespaces, maps) = (
            Target::stored(find("namespaces"), None),
            Target::stored(find("configmaps"), Some("n")),
        );
        let options = WriteOptions::by("t", now);
        store
            .create(namespaces, json!({"metadata": {"name": "n"}}), options)
            .unwrap();
        store
            .create(maps, json!({"metadata": {"name": "a"}}), options)
            .unwrap();
        store
            .create(
                maps,
                json!({"metadata": {"name": "b", "finalizers": ["example.com/hold"]}}),
                options,
            )
            .unwrap();
        let step = |store: &mut Store| {
            let namespace = Arc::clone(store.get(namespaces, "n").unwrap());
            let actions = work(store, &namespace, now);
            for action in &actions {
                run(store, action, now).unwrap();
            }
            actions.len()
        };
        assert_eq!(step(&mut store), 0, "an active namespace is left alone");
        store
            .delete(namespaces, "n", &DeleteOptions::default(), now)
            .unwrap();
        assert_eq!(step(&mut store), 2, "both are deleted");
        assert_eq!(step(&mut store), 1, "the held one is told of");
        let namespace = store.get(namespaces, "n").unwrap();
        let conditions = namespace.at(&["status", "conditions"]).unwrap();
        let of = |kind: &str| {
            let found = conditions
                .as_array()
                .unwrap()
                .iter()
                .find(|condition| condition["type"] == kind)
                .unwrap();
            (found["status"].clone(), found["message"].clone())
        };
        assert_eq!(
            of("NamespaceContentRemaining"),
            (
                json!("True"),
                json!("Some resources are remaining: configmaps. has 1 resource instances")
            )
        );
        assert_eq!(
            of("NamespaceFinalizersRemaining"),
            (
                json!("True"),
                json!(
                    "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
                )
            )
        );
        assert_eq!(step(&mut store), 0, "and then it waits");
        let free = json!({"metadata": {"finalizers": null}});
        assert!(
            store
                .patch(maps, "b", Part::Main, PatchKind::Merge, &free, options)
                .unwrap()
                .gone
        );
        assert_eq!(step(&mut store), 1);
        assert_eq!(store.get(namespaces, "n").unwrap_err().code, 404);
        assert!(store.is_empty());
    }
}
