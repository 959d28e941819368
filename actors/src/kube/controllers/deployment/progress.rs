//! The status of a Deployment, and whether it gets on (kubernetes: `pkg/controller/deployment/progress.go`, `sync.go`).

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::workload::{Condition, condition};
use super::DeploymentStatus;
use super::rollout::Rollout;
use super::scaling::wanted;
use super::sets::Set;
use crate::kube::controller::{later, until};
use crate::kube::object::Second;
use crate::kube::status::Status;

/// All is as it should be.
const AVAILABLE: &str = "NewReplicaSetAvailable";
/// It took too long.
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

impl Rollout<'_> {
    /// Whether all pods are new and available.
    pub(super) fn is_complete(&self, status: &DeploymentStatus) -> bool {
        let replicas = self.spec.replicas;
        status.updated_replicas == replicas
            && status.replicas == replicas
            && status.available_replicas == replicas
            && status.observed_generation >= self.deployment.generation
    }

    /// Works out the status and writes it; with `rollout`, also how the rollout gets on. Gives the time until it may have failed.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn sync_status(mut self, rollout: bool) -> Result<Option<Duration>, Status> {
        let mut status = self.present();
        if rollout {
            self.judge(&mut status);
        }
        let wait = if rollout { self.until_failed(&status) } else { None };
        if status != self.status {
            self.write(status, None)?;
        }
        Ok(wait)
    }

    fn present(&self) -> DeploymentStatus {
        let sum = |number: fn(&Set) -> i64| {
            self.sets
                .iter()
                .fold(0_i64, |sum, set| sum.saturating_add(number(set)))
        };
        let available = sum(|set| set.status.available_replicas);
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.generation,
            replicas: sum(|set| set.status.replicas),
            updated_replicas: self.new_set().map_or(0, |set| set.status.replicas),
            ready_replicas: sum(|set| set.status.ready_replicas),
            available_replicas: available,
            unavailable_replicas: wanted(&self.sets).saturating_sub(available).max(0),
            conditions: self.status.conditions.clone(),
            collision_count: self.status.collision_count,
        };
        let least = self.spec.replicas.saturating_sub(self.spec.max_unavailable());
        let (value, reason, message) = if available >= least {
            (
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            )
        } else {
            (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        };
        status.set("Available", value, reason, message, self.context);
        status
    }

    fn judge(&self, status: &mut DeploymentStatus) {
        let before = self.status.progressing();
        if self.spec.deadline().is_none() {
            status.remove("Progressing");
        } else if status.replicas != status.updated_replicas
            || before.is_none_or(|before| before.reason != AVAILABLE)
        {
            let subject = self.new_set().map_or_else(
                || format!("Deployment \"{}\"", self.deployment.name()),
                |set| format!("ReplicaSet \"{}\"", set.object.name()),
            );
            if self.is_complete(status) {
                let message = format!("{subject} has successfully progressed.");
                status.set("Progressing", "True", AVAILABLE, message, self.context);
            } else if self.progresses(status) {
                let message = format!("{subject} is progressing.");
                let since = before
                    .filter(|before| before.status == "True")
                    .and_then(|before| before.last_transition_time.clone());
                // The time of the last progress counts, so the condition is new even if it says the same.
                status.remove("Progressing");
                status.set("Progressing", "True", "ReplicaSetUpdated", message, self.context);
                if let (Some(since), Some(condition)) = (since, status.conditions.last_mut()) {
                    condition.last_transition_time = Some(since);
                }
            } else if self.timed_out(before) {
                let message = format!("{subject} has timed out progressing.");
                status.set("Progressing", "False", TIMED_OUT, message, self.context);
            }
        }
        let failure = "ReplicaFailure";
        let of_set = |set: &Set| condition(&set.status.conditions, failure).cloned();
        let found = self.new_set().and_then(of_set).or_else(|| {
            self.old()
                .into_iter()
                .find_map(|index| of_set(self.sets.get(index)?))
        });
        match found {
            Some(found) => {
                status.set(failure, &found.status, &found.reason, found.message, self.context);
            }
            None => status.remove(failure),
        }
    }

    fn progresses(&self, status: &DeploymentStatus) -> bool {
        let before = &self.status;
        let old = |status: &DeploymentStatus| status.replicas.saturating_sub(status.updated_replicas);
        status.updated_replicas > before.updated_replicas
            || old(status) < old(before)
            || status.ready_replicas > before.ready_replicas
            || status.available_replicas > before.available_replicas
    }

    /// When a rollout that last got on at the condition's time has failed.
    fn failure_time(&self, progressing: &Condition) -> Option<DateTime<Utc>> {
        let from = Second::parse(progressing.last_update_time.as_deref()?)?;
        let from = DateTime::from_timestamp(from.0, 0)?;
        let deadline = u64::try_from(self.spec.deadline()?).unwrap_or(0);
        Some(later(from, Duration::from_secs(deadline)))
    }

    fn timed_out(&self, progressing: Option<&Condition>) -> bool {
        match progressing {
            None => false,
            Some(found) if found.reason == AVAILABLE => false,
            Some(found) if found.reason == TIMED_OUT => true,
            Some(found) => self
                .failure_time(found)
                .is_some_and(|time| time < self.context.now),
        }
    }

    /// Time until it is to be looked at whether the rollout has failed.
    fn until_failed(&self, status: &DeploymentStatus) -> Option<Duration> {
        let progressing = status.progressing()?;
        if progressing.reason == TIMED_OUT || self.is_complete(status) {
            return None;
        }
        let time = self.failure_time(progressing)?;
        Some(until(self.context.now, time).saturating_add(Duration::from_secs(1)))
    }
}
