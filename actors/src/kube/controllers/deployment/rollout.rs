//! One look at a Deployment (kubernetes: `pkg/controller/deployment/deployment_controller.go`, `sync.go`, `recreate.go`, `rolling.go`).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::events::EventType;
use super::super::kinds::KINDS;
use super::super::pods::{self, Pod};
use super::super::workload::{self, Reporter, owner_reference, template_map, tree};
use super::sets::{Set, selector_with};
use super::{
    COMPONENT, DESIRED_REPLICAS, DeploymentStatus, HASH_LABEL, MAX_REPLICAS, REVISION, REVISION_HISTORY,
    Spec, UNLIMITED,
};
use crate::kube::controller::Context;
use crate::kube::object::{Object, StringMap};
use crate::kube::status::{Reason, Status};
use crate::kube::store::{Part, Store};

/// Annotations that ReplicaSets do not take over.
const OWN_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
];
/// Longest list of earlier revisions.
const HISTORY_CHARACTERS: usize = 2000;

/// A Deployment and its ReplicaSets during one look.
pub(super) struct Rollout<'a> {
    pub(super) store: &'a mut Store,
    pub(super) context: &'a Context<'a>,
    pub(super) deployment: Arc<Object>,
    pub(super) spec: Spec,
    /// The status as it stands in the store.
    pub(super) status: DeploymentStatus,
    /// Older ones first.
    pub(super) sets: Vec<Set>,
    /// Place of the one for the present template.
    pub(super) new: Option<usize>,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(
        store: &'a mut Store,
        context: &'a Context<'a>,
        deployment: Arc<Object>,
        spec: Spec,
        sets: &[Arc<Object>],
    ) -> Self {
        let mut sets: Vec<Set> = sets.iter().map(Set::of).collect();
        sets.sort_by(|one, two| {
            let key = |set: &Set| (set.object.created, set.revision());
            key(one)
                .cmp(&key(two))
                .then_with(|| one.object.name().cmp(two.object.name()))
        });
        let new = sets.iter().position(|set| set.is_for(&spec.template));
        Self {
            store,
            context,
            status: deployment.read("status").unwrap_or_default(),
            deployment,
            spec,
            sets,
            new,
        }
    }

    pub(super) fn event(&mut self, kind: EventType, reason: &str, message: &str) {
        let reporter = Reporter {
            component: COMPONENT,
            resource: &KINDS.deployments,
            object: &self.deployment,
        };
        reporter.event(self.store, self.context, kind, reason, message);
    }

    pub(super) fn indices(&self, keep: impl Fn(&Set) -> bool) -> Vec<usize> {
        let sets = self.sets.iter().enumerate();
        sets.filter(|(_, set)| keep(set))
            .map(|(index, _)| index)
            .collect()
    }

    /// Places of all but the new one.
    pub(super) fn old(&self) -> Vec<usize> {
        (0..self.sets.len())
            .filter(|index| Some(*index) != self.new)
            .collect()
    }

    pub(super) fn new_set(&self) -> Option<&Set> {
        self.sets.get(self.new?)
    }

    /// Does what is to be done.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn run(mut self) -> Result<Option<Duration>, Status> {
        if self.deployment.is_terminating() {
            self.sync_revision(false)?;
            return self.sync_status(false);
        }
        self.check_paused()?;
        if self.spec.paused || self.was_scaled() {
            self.sync_revision(false)?;
            self.scale()?;
            if self.spec.paused {
                self.clean_up()?;
            }
            return self.sync_status(false);
        }
        if self.spec.is_rolling() {
            self.sync_revision(true)?;
            if !self.roll()? && self.is_complete(&self.status) {
                self.clean_up()?;
            }
        } else {
            self.recreate()?;
        }
        self.sync_status(true)
    }

    /// Stops all old pods, then starts the new ones.
    fn recreate(&mut self) -> Result<(), Status> {
        self.sync_revision(false)?;
        let mut shrunk = false;
        for index in self.old() {
            shrunk |= self.resize(index, 0)?;
        }
        if shrunk || self.old_pods_run() {
            return Ok(());
        }
        self.sync_revision(true)?;
        if let Some(new) = self.new {
            self.resize(new, self.spec.replicas)?;
        }
        if self.is_complete(&self.status) {
            self.clean_up()?;
        }
        Ok(())
    }

    fn old_pods_run(&self) -> bool {
        self.old().into_iter().any(|index| {
            self.sets.get(index).is_some_and(|set| {
                workload::managed(self.store, &set.object, &KINDS.pods)
                    .iter()
                    .any(|pod| !Pod::of(pod).phase.is_terminal())
            })
        })
    }

    /// Tells that the Deployment is paused, or that it goes on, so that the time of the pause is no lack of progress.
    fn check_paused(&mut self) -> Result<(), Status> {
        if self.spec.progress_deadline_seconds.is_none() {
            return Ok(());
        }
        let reason = self.status.progressing().map_or("", |found| &found.reason);
        if reason == "ProgressDeadlineExceeded" {
            return Ok(());
        }
        let was_paused = reason == "DeploymentPaused";
        let (reason, message) = match (self.spec.paused, was_paused) {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return Ok(()),
        };
        let mut status = self.status.clone();
        status.set("Progressing", "Unknown", reason, message, self.context);
        self.write(status, None)
    }

    /// Writes status and revision, if they are not as they are.
    pub(super) fn write(&mut self, status: DeploymentStatus, revision: Option<&str>) -> Result<(), Status> {
        let present = self
            .store
            .find(
                &KINDS.deployments,
                self.deployment.namespace(),
                self.deployment.name(),
            )
            .filter(|present| present.uid == self.deployment.uid)
            .cloned();
        let Some(present) = present else {
            return Ok(());
        };
        let mut draft = present.draft();
        if let Some(revision) = revision {
            draft
                .meta
                .annotations
                .insert(REVISION.to_owned(), revision.to_owned());
        }
        draft.body.insert("status".to_owned(), tree(&status));
        self.deployment = self
            .store
            .replace(
                &KINDS.deployments,
                Part::Status,
                draft,
                workload::options(self.context),
            )?
            .object;
        self.status = status;
        Ok(())
    }

    /// Numbers the new ReplicaSet; makes it if there is none and `create` says so.
    fn sync_revision(&mut self, create: bool) -> Result<(), Status> {
        let old = self.old();
        let revisions = old.iter().filter_map(|index| self.sets.get(*index));
        let revision = revisions.map(Set::revision).max().unwrap_or(0).saturating_add(1);
        let deadline = self.spec.deadline().is_some();
        if let Some(new) = self.new {
            let min_ready_seconds = self.spec.min_ready_seconds;
            let Some(mut set) = self.sets.get(new).cloned() else {
                return Ok(());
            };
            let mut annotations = set.object.draft().meta.annotations;
            let annotated = self.annotate(&mut annotations, revision, true);
            if annotated || set.min_ready_seconds != min_ready_seconds {
                set.write(self.store, self.context, |draft| {
                    draft.meta.annotations = annotations;
                    if let Some(spec) = draft.body.get_mut("spec") {
                        spec["minReadySeconds"] = min_ready_seconds.into();
                    }
                })?;
                if let Some(place) = self.sets.get_mut(new) {
                    *place = set;
                }
                return Ok(());
            }
            let number = set.object.annotation(REVISION).unwrap_or("").to_owned();
            let message = format!("Found new replica set \"{}\"", set.object.name());
            let mut status = self.status.clone();
            let unseen = deadline && status.progressing().is_none();
            if unseen {
                status.set("Progressing", "True", "FoundNewReplicaSet", message, self.context);
            }
            if unseen || self.deployment.annotation(REVISION) != Some(&*number) {
                return self.write(status, Some(&number));
            }
            return Ok(());
        }
        if create {
            self.create_new(revision)?;
        }
        Ok(())
    }

    /// Sets the annotations of the new ReplicaSet; says whether any changed.
    fn annotate(&self, annotations: &mut StringMap, revision: i64, exists: bool) -> bool {
        let before = annotations.clone();
        for (key, value) in &self.deployment.head.annotations {
            if !OWN_ANNOTATIONS.contains(&&**key) {
                annotations.insert(key.to_string(), value.to_string());
            }
        }
        let old = annotations.get(REVISION).cloned().unwrap_or_default();
        let number = old.parse::<i64>().ok();
        if old.is_empty() || number.is_some_and(|number| number < revision) {
            annotations.insert(REVISION.to_owned(), revision.to_string());
            if !old.is_empty() {
                let history = annotations.get(REVISION_HISTORY).map_or("", String::as_str);
                let mut history: Vec<&str> = history.split(',').filter(|one| !one.is_empty()).collect();
                history.push(&old);
                while history.join(",").len() > HISTORY_CHARACTERS && history.len() > 1 {
                    history.remove(0);
                }
                let history = history.join(",");
                annotations.insert(REVISION_HISTORY.to_owned(), history);
            }
        }
        if !exists {
            let (desired, most) = self.replica_annotations();
            annotations.insert(DESIRED_REPLICAS.to_owned(), desired);
            annotations.insert(MAX_REPLICAS.to_owned(), most);
        }
        *annotations != before
    }

    fn create_new(&mut self, revision: i64) -> Result<(), Status> {
        let collisions = self.status.collision_count.unwrap_or(0);
        let mut template = self.spec.template.clone();
        let hash = workload::hash(&pods::normal(template.clone()), collisions);
        template_map(&mut template, "labels").insert(HASH_LABEL.to_owned(), hash.as_str().into());
        let labels = template["metadata"]["labels"].clone();
        let mut annotations = StringMap::new();
        self.annotate(&mut annotations, revision, false);
        let size = self.size_of_new(0);
        let name = format!("{}-{hash}", self.deployment.name());
        let mut spec = Map::new();
        spec.insert("replicas".to_owned(), size.into());
        if self.spec.min_ready_seconds > 0 {
            spec.insert("minReadySeconds".to_owned(), self.spec.min_ready_seconds.into());
        }
        spec.insert("selector".to_owned(), selector_with(&self.spec.selector, &hash));
        spec.insert("template".to_owned(), template);
        let body = json!({
            "metadata": {
                "name": name,
                "namespace": self.deployment.namespace(),
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner_reference(&KINDS.deployments, &self.deployment)],
            },
            "spec": Value::Object(spec),
        });
        let deployment = Arc::clone(&self.deployment);
        let reporter = Reporter {
            component: COMPONENT,
            resource: &KINDS.deployments,
            object: &deployment,
        };
        let set = match reporter.create(self.store, self.context, &KINDS.replica_sets, body) {
            Ok(set) => set,
            Err(status) => return self.not_created(&name, collisions, status),
        };
        self.sets.push(Set::of(&set));
        self.new = Some(self.sets.len().saturating_sub(1));
        if size > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {size}");
            self.event(EventType::Normal, "ScalingReplicaSet", &message);
        }
        let mut status = self.status.clone();
        if self.spec.deadline().is_some() {
            let message = format!("Created new replica set \"{name}\"");
            status.set(
                "Progressing",
                "True",
                "NewReplicaSetCreated",
                message,
                self.context,
            );
        }
        self.write(status, Some(&revision.to_string()))
    }

    fn not_created(&mut self, name: &str, collisions: i64, why: Status) -> Result<(), Status> {
        let mut status = self.status.clone();
        if why.is(Reason::AlreadyExists) {
            // Another template has the same hash: try again with the next one.
            status.collision_count = Some(collisions.saturating_add(1));
            self.write(status, None)?;
            return Err(why);
        }
        if workload::namespace_ends(&why) {
            return Err(why);
        }
        let message = format!("Failed to create new replica set \"{name}\": {}", why.message);
        if self.spec.deadline().is_some() {
            status.set(
                "Progressing",
                "False",
                "ReplicaSetCreateError",
                &*message,
                self.context,
            );
            self.write(status, None)?;
        }
        self.event(EventType::Warning, "ReplicaSetCreateError", &message);
        Err(why)
    }

    /// Deletes the oldest ReplicaSets that are beyond the limit and have no pods.
    fn clean_up(&mut self) -> Result<(), Status> {
        let limit = match self.spec.revision_history_limit {
            None | Some(UNLIMITED) => return Ok(()),
            Some(limit) => usize::try_from(limit).unwrap_or(0),
        };
        let mut old: Vec<&Set> = self
            .old()
            .into_iter()
            .filter_map(|index| self.sets.get(index))
            .filter(|set| !set.object.is_terminating())
            .collect();
        let surplus = old.len().saturating_sub(limit);
        old.sort_by_key(|set| set.revision());
        let idle = |set: &&Set| {
            set.status.replicas == 0
                && set.replicas == 0
                && set.object.generation <= set.status.observed_generation
        };
        let gone: Vec<Arc<Object>> = old
            .into_iter()
            .take(surplus)
            .filter(idle)
            .map(|set| Arc::clone(&set.object))
            .collect();
        for object in &gone {
            workload::delete(self.store, self.context, &KINDS.replica_sets, object)?;
        }
        Ok(())
    }
}
