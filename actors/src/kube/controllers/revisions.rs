//! ControllerRevisions: the templates that a DaemonSet or StatefulSet had (kubernetes: `pkg/controller/history`).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::KINDS;
use super::pods;
use super::workload::{self, Claim, owner_reference};
use crate::kube::controller::Context;
use crate::kube::object::Object;
use crate::kube::resource::Resource;
use crate::kube::selector::LabelSelector;
use crate::kube::status::{Reason, Status};
use crate::kube::store::{Part, Store, Target};

/// Label of pods: the revision that they were made from. Of a DaemonSet's revisions: their hash.
pub(crate) const HASH_LABEL: &str = "controller-revision-hash";

/// A revision.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) object: Arc<Object>,
    pub(crate) number: i64,
}

impl Revision {
    fn of(object: &Arc<Object>) -> Self {
        Self {
            number: object.read("revision").unwrap_or(0),
            object: Arc::clone(object),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.object.name()
    }

    /// The template that it keeps.
    pub(crate) fn template(&self) -> Value {
        let mut template = self
            .object
            .at(&["data", "spec", "template"])
            .unwrap_or_else(|| json!({}));
        if let Some(template) = template.as_object_mut() {
            template.remove("$patch");
        }
        template
    }
}

/// How the revisions of a kind of owner are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revisions<'a> {
    pub(crate) owner_kind: &'a Arc<Resource>,
    pub(crate) owner: &'a Arc<Object>,
    pub(crate) selector: &'a LabelSelector,
    /// Label of the revisions that carries their hash.
    pub(crate) hash_label: &'a str,
    /// Whether to search for revisions without an owner.
    pub(crate) adopt: bool,
}

/// What came of a look at the revisions.
#[derive(Debug)]
pub(crate) struct History {
    /// That of the present template.
    pub(crate) update: Revision,
    /// All others, oldest first.
    pub(crate) old: Vec<Revision>,
}

impl Revisions<'_> {
    /// Finds the revision of `template`, or makes it; it has the highest number afterwards. `Err(None)` = another object has the
    /// name: try again with one more collision.
    ///
    /// # Errors
    /// What the store refuses.
    pub(crate) fn settle(
        &self,
        store: &mut Store,
        context: &Context<'_>,
        template: &Value,
        collisions: i64,
    ) -> Result<History, Option<Status>> {
        let claim = Claim {
            owner_kind: self.owner_kind,
            owner: self.owner,
            kind: &KINDS.controller_revisions,
            selector: self.selector,
            adopt: self.adopt,
        };
        let found = claim.settle(store, context, |_| true).map_err(Some)?;
        let mut old: Vec<Revision> = found.iter().map(Revision::of).collect();
        old.sort_by(|one, two| {
            let key = |one: &Revision| (one.number, one.object.created);
            key(one).cmp(&key(two)).then_with(|| one.name().cmp(two.name()))
        });
        let wanted = pods::normal(template.clone());
        let same = old.iter().rposition(|one| pods::normal(one.template()) == wanted);
        let newest = |old: &[Revision]| old.iter().map(|one| one.number).max().unwrap_or(0);
        let update = match same {
            None => {
                let number = newest(&old).saturating_add(1);
                self.create(store, context, template, (&wanted, collisions), number)?
            }
            Some(place) => {
                let mut update = old.remove(place);
                if !old.is_empty() && update.number <= newest(&old) {
                    let number = newest(&old).saturating_add(1);
                    let mut draft = update.object.draft();
                    draft.body.insert("revision".to_owned(), number.into());
                    let by = workload::options(context);
                    let written = store.replace(&KINDS.controller_revisions, Part::Main, draft, by);
                    update = Revision::of(&written.map_err(Some)?.object);
                }
                update
            }
        };
        Ok(History { update, old })
    }

    fn create(
        &self,
        store: &mut Store,
        context: &Context<'_>,
        template: &Value,
        (normal, collisions): (&Value, i64),
        number: i64,
    ) -> Result<Revision, Option<Status>> {
        let hash = workload::hash(normal, collisions);
        let mut kept = template.clone();
        kept["$patch"] = "replace".into();
        let mut labels = template
            .pointer("/metadata/labels")
            .cloned()
            .unwrap_or_else(|| json!({}));
        labels[self.hash_label] = hash.as_str().into();
        let mut annotations = self.owner.draft().meta.annotations;
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        let body = json!({
            "metadata": {
                "name": format!("{}-{hash}", self.owner.name()),
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner_reference(self.owner_kind, self.owner)],
            },
            "data": {"spec": {"template": kept}},
            "revision": number,
        });
        let target = Target::stored(&KINDS.controller_revisions, self.owner.namespace());
        match store.create(target, body, workload::options(context)) {
            Ok(object) => Ok(Revision::of(&object)),
            Err(status) if status.is(Reason::AlreadyExists) => Err(None),
            Err(status) => Err(Some(status)),
        }
    }
}

/// Deletes the oldest revisions that nothing uses, but `limit` of them.
///
/// # Errors
/// What the store refuses.
pub(crate) fn truncate(
    store: &mut Store,
    context: &Context<'_>,
    old: &[Revision],
    limit: Option<i64>,
    is_used: impl Fn(&Revision) -> bool,
) -> Result<(), Status> {
    let limit = limit.map_or(10, |limit| usize::try_from(limit).unwrap_or(0));
    let unused: Vec<&Revision> = old.iter().filter(|one| !is_used(one)).collect();
    let surplus = unused.len().saturating_sub(limit);
    for one in unused.into_iter().take(surplus) {
        workload::delete(store, context, &KINDS.controller_revisions, &one.object)?;
    }
    Ok(())
}

/// The revisions that pods say they are of.
pub(crate) fn used<'a>(pods: impl IntoIterator<Item = &'a Arc<Object>>) -> BTreeSet<String> {
    pods.into_iter()
        .filter_map(|pod| pod.label(HASH_LABEL).map(str::to_owned))
        .collect()
}
