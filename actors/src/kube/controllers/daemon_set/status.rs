//! The status of a DaemonSet (kubernetes: `pkg/controller/daemon/daemon_controller.go`, `updateDaemonSetStatus`).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::kinds::KINDS;
use super::super::pods::Pod;
use super::super::workload::{Condition, is_zero, tree, write_status};
use super::Daemon;
use crate::kube::controller::Context;
use crate::kube::object::Object;
use crate::kube::status::Status;
use crate::kube::store::Store;

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DaemonStatus {
    current_number_scheduled: i64,
    number_misscheduled: i64,
    desired_number_scheduled: i64,
    number_ready: i64,
    #[serde(skip_serializing_if = "is_zero")]
    observed_generation: i64,
    #[serde(skip_serializing_if = "is_zero")]
    updated_number_scheduled: i64,
    #[serde(skip_serializing_if = "is_zero")]
    number_available: i64,
    #[serde(skip_serializing_if = "is_zero")]
    number_unavailable: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    collision_count: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Condition>,
}

/// `status.collisionCount`.
pub(super) fn collisions(set: &Object) -> i64 {
    set.read::<DaemonStatus>("status")
        .and_then(|status| status.collision_count)
        .unwrap_or(0)
}

/// Counts a collision of names.
///
/// # Errors
/// What the store refuses.
pub(super) fn collided(store: &mut Store, context: &Context<'_>, set: &Arc<Object>) -> Result<(), Status> {
    let mut status: DaemonStatus = set.read("status").unwrap_or_default();
    status.collision_count = Some(collisions(set).saturating_add(1));
    write_status(store, context, &KINDS.daemon_sets, set, tree(&status))
}

impl Daemon<'_> {
    /// Counts, and writes. Gives the time until another pod becomes available.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn write_status(
        &self,
        store: &mut Store,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let before: DaemonStatus = self.set.read("status").unwrap_or_default();
        let mut status = DaemonStatus {
            desired_number_scheduled: self.desired(),
            observed_generation: self.set.generation,
            collision_count: before.collision_count,
            conditions: before.conditions,
            ..DaemonStatus::default()
        };
        let mut wait: Option<Duration> = None;
        for place in &self.places {
            let pods = self.on(place.node.name());
            let Some(pod) = pods.first() else {
                continue;
            };
            if !place.run {
                status.number_misscheduled += 1;
                continue;
            }
            status.current_number_scheduled += 1;
            status.number_ready += i64::from(pod.is_ready());
            status.updated_number_scheduled += i64::from(self.is_new(pod));
            let available = |pod: &Pod| pod.available_in(self.spec.min_ready_seconds, context.now);
            status.number_available += i64::from(available(pod) == Some(Duration::ZERO));
            for pod in pods {
                let left = available(pod).filter(|left| !left.is_zero());
                wait = wait.into_iter().chain(left).min();
            }
        }
        status.number_unavailable = status
            .desired_number_scheduled
            .saturating_sub(status.number_available)
            .max(0);
        write_status(store, context, &KINDS.daemon_sets, self.set, tree(&status))?;
        Ok(wait)
    }
}
