//! The ReplicaSets of a Deployment, and which of them is the new one.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::kinds::KINDS;
use super::super::replica_set::{ReplicaStatus, Spec};
use super::super::{pods, workload};
use super::{HASH_LABEL, REVISION};
use crate::kube::controller::Context;
use crate::kube::object::{Draft, Object};
use crate::kube::status::Status;
use crate::kube::store::{Part, Store};

/// A ReplicaSet.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) object: Arc<Object>,
    /// `spec.replicas`.
    pub(super) replicas: i64,
    pub(super) min_ready_seconds: i64,
    pub(super) status: ReplicaStatus,
}

impl Set {
    pub(super) fn of(object: &Arc<Object>) -> Self {
        let spec: Spec = object.read("spec").unwrap_or_default();
        Self {
            object: Arc::clone(object),
            replicas: workload::bounded(spec.replicas),
            min_ready_seconds: spec.min_ready_seconds,
            status: object.read("status").unwrap_or_default(),
        }
    }

    /// Its number, 0 without one.
    pub(super) fn revision(&self) -> i64 {
        self.number(REVISION).unwrap_or(0)
    }

    /// An annotation as a number.
    pub(super) fn number(&self, annotation: &str) -> Option<i64> {
        self.object.annotation(annotation)?.parse().ok()
    }

    /// Writes it, and is the new version afterwards.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn write(
        &mut self,
        store: &mut Store,
        context: &Context<'_>,
        change: impl FnOnce(&mut Draft),
    ) -> Result<(), Status> {
        let mut draft = self.object.draft();
        change(&mut draft);
        let written = store.replace(&KINDS.replica_sets, Part::Main, draft, workload::options(context))?;
        *self = Self::of(&written.object);
        Ok(())
    }

    /// Whether it is for this template of a Deployment.
    pub(super) fn is_for(&self, template: &Value) -> bool {
        let mut own = pods::template_of(&self.object);
        if let Some(labels) = own.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH_LABEL);
        }
        pods::normal(own) == pods::normal(template.clone())
    }
}

/// A Deployment's selector with the hash of one template added.
pub(super) fn selector_with(selector: &Value, hash: &str) -> Value {
    let mut selector = selector.clone();
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][HASH_LABEL] = hash.into();
    selector
}
