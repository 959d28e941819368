//! One look at a Job that is not finished (kubernetes: `pkg/controller/job/job_controller.go`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};

use super::super::events::EventType;
use super::super::kinds::KINDS;
use super::super::pods::{self, Candidate, Phase, Pod, PodName};
use super::super::workload::{
    self, Condition, Reporter, bounded, condition, count, now_text, template_map, tree, write_status,
};
use super::{FINALIZER, JobStatus, Spec, Uncounted, indexes, release};
use crate::kube::controller::{Context, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::Store;

/// Pods that one look makes at most.
const BURST: usize = 500;
/// Wait before the pod after a failed one, doubled by each further failure (kubernetes: `pkg/controller/job/backoff_utils.go`).
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(600);
/// Longest name of a host.
const LONGEST_HOST: usize = 63;

/// A Job during one look.
pub(super) struct Sync<'a> {
    reporter: Reporter<'a>,
    spec: &'a Spec,
    context: &'a Context<'a>,
    status: JobStatus,
    active: Vec<Pod>,
    /// Pods that ended and are not counted yet.
    succeeded: Vec<Pod>,
    failed: Vec<Pod>,
    /// Pods that are being deleted and not over.
    terminating: i64,
    /// Consecutive failures, and when the last of them was.
    failures: (u32, Option<Second>),
    done: BTreeSet<i64>,
    wait: Option<Duration>,
}

fn time(second: Second) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(second.0, 0).unwrap_or_default()
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        reporter: Reporter<'a>,
        spec: &'a Spec,
        pods: &[Arc<Object>],
        context: &'a Context<'a>,
    ) -> Self {
        let mut sync = Self {
            reporter,
            spec,
            context,
            status: reporter.object.read("status").unwrap_or_default(),
            active: Vec::new(),
            succeeded: Vec::new(),
            failed: Vec::new(),
            terminating: 0,
            failures: (0, None),
            done: BTreeSet::new(),
            wait: None,
        };
        let mut ends: Vec<(Second, bool)> = Vec::new();
        for pod in pods.iter().map(Pod::of) {
            let fresh = pod.object.has_finalizer(FINALIZER);
            let end = pod.finished.unwrap_or(pod.object.created);
            let going = pod.object.is_terminating();
            sync.terminating += i64::from(going && !pod.phase.is_terminal());
            match pod.phase {
                Phase::Succeeded => {
                    ends.push((end, true));
                    if fresh {
                        sync.succeeded.push(pod);
                    }
                }
                Phase::Failed => {
                    ends.push((end, false));
                    if fresh {
                        sync.failed.push(pod);
                    }
                }
                // What is being deleted counts as failed, unless it is waited for.
                _ if going => {
                    if fresh && !spec.replaces_failed_only() {
                        sync.failed.push(pod);
                    }
                }
                _ => sync.active.push(pod),
            }
        }
        ends.sort_unstable();
        let row = ends.iter().rev().take_while(|(_, succeeded)| !succeeded);
        sync.failures = (
            u32::try_from(row.count()).unwrap_or(u32::MAX),
            ends.last().map(|(end, _)| *end),
        );
        sync
    }

    fn job(&self) -> &'a Arc<Object> {
        self.reporter.object
    }

    fn completions(&self) -> Option<i64> {
        self.spec.completions.map(bounded)
    }

    /// Does what is to be done.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn run(mut self, store: &mut Store) -> Result<Option<Duration>, Status> {
        let before = self.status.clone();
        if self.status.start_time.is_none() && !self.spec.suspend {
            self.status.start_time = Some(now_text(self.context));
        }
        let counted = self.count();
        let failure = self.failure();
        let mut outcome = Ok(());
        if let Some((reason, message)) = failure {
            let there = condition(&self.status.conditions, "FailureTarget").is_some();
            if !there {
                self.set("FailureTarget", "True", &reason, &message);
            }
            outcome = self.delete_active(store, usize::MAX);
        } else if !self.job().is_terminating() {
            outcome = self.manage(store);
        }
        self.suspension(store);
        self.finish(store);
        let ready = count(self.active.iter().filter(|pod| pod.is_ready()).count());
        self.status.active = count(self.active.len());
        self.status.ready = Some(ready);
        self.status.terminating = Some(self.terminating);
        self.status.uncounted_terminated_pods = Some(Uncounted::default());
        let is_over = workload::is_true(&self.status.conditions, "Complete")
            || workload::is_true(&self.status.conditions, "Failed");
        if self.status != before {
            write_status(store, self.context, &KINDS.jobs, self.job(), tree(&self.status))?;
        }
        for pod in counted {
            release(store, &pod.object, self.context)?;
        }
        outcome?;
        Ok(self.wait.filter(|_| !is_over))
    }

    /// Counts the pods that ended; gives them, so that their finalizers are taken off.
    fn count(&mut self) -> Vec<Pod> {
        let (succeeded, failed) = (
            std::mem::take(&mut self.succeeded),
            std::mem::take(&mut self.failed),
        );
        self.status.failed = self.status.failed.saturating_add(count(failed.len()));
        if let Some(completions) = self.completions().filter(|_| self.spec.is_indexed()) {
            self.done = indexes::parse(&self.status.completed_indexes, completions);
            let new = succeeded
                .iter()
                .filter_map(|pod| indexes::of(&pod.object, completions));
            self.done.extend(new);
            self.status.completed_indexes = indexes::text(&self.done);
            self.status.succeeded = count(self.done.len());
        } else {
            self.status.succeeded = self.status.succeeded.saturating_add(count(succeeded.len()));
        }
        succeeded.into_iter().chain(failed).collect()
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let now = now_text(self.context);
        let mut new = Condition::new(kind, status, reason, message, &now);
        new.last_probe_time = Some(now);
        self.status.conditions.retain(|condition| condition.kind != kind);
        self.status.conditions.push(new);
    }

    /// Why the Job has failed, if it has.
    fn failure(&mut self) -> Option<(String, String)> {
        if let Some(found) = condition(&self.status.conditions, "FailureTarget") {
            return Some((found.reason.clone(), found.message.clone()));
        }
        if condition(&self.status.conditions, "SuccessCriteriaMet").is_some() {
            return None;
        }
        let limit = self.spec.backoff_limit();
        let restarts = || {
            self.active
                .iter()
                .fold(0_i64, |sum, pod| sum.saturating_add(pod.all_restarts))
        };
        let in_place = self.spec.template.spec.restart_policy == "OnFailure";
        let too_often = in_place && {
            let restarts = restarts();
            restarts > 0 && restarts >= limit
        };
        if self.status.failed > limit || too_often {
            let message = "Job has reached the specified backoff limit";
            return Some(("BackoffLimitExceeded".to_owned(), message.to_owned()));
        }
        let seconds = self.spec.active_deadline_seconds.filter(|_| !self.spec.suspend)?;
        let start = self.status.start_time.as_deref().and_then(Second::parse)?;
        let deadline = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let left = until(self.context.now, later(time(start), deadline));
        if left.is_zero() {
            let message = "Job was active longer than specified deadline";
            return Some(("DeadlineExceeded".to_owned(), message.to_owned()));
        }
        self.ask(left);
        None
    }

    fn ask(&mut self, wait: Duration) {
        self.wait = Some(self.wait.map_or(wait, |other| other.min(wait)));
    }

    /// Makes pods or deletes them, so that as many run as are to.
    fn manage(&mut self, store: &mut Store) -> Result<(), Status> {
        if self.spec.suspend {
            return self.delete_active(store, usize::MAX);
        }
        let active = count(self.active.len());
        let parallelism = self.spec.parallelism();
        let wanted = match self.completions() {
            None if self.status.succeeded > 0 => active.min(parallelism),
            None => parallelism,
            Some(completions) => completions
                .saturating_sub(self.status.succeeded)
                .max(0)
                .min(parallelism),
        };
        let surplus = usize::try_from(active.saturating_sub(wanted)).unwrap_or(0);
        let double = self.doubles();
        if surplus > 0 || !double.is_empty() {
            let gone = self.choose(double, surplus);
            return self.delete(store, &gone);
        }
        let waited_for = if self.spec.replaces_failed_only() {
            self.terminating
        } else {
            0
        };
        let missing = wanted.saturating_sub(active).saturating_sub(waited_for);
        let missing = usize::try_from(missing).unwrap_or(0).min(BURST);
        if missing == 0 {
            return Ok(());
        }
        let left = self.back_off();
        if !left.is_zero() {
            self.ask(left);
            return Ok(());
        }
        self.create(store, missing)
    }

    /// Time until the next pod may come after those that failed.
    fn back_off(&self) -> Duration {
        let (count, Some(last)) = self.failures else {
            return Duration::ZERO;
        };
        let Some(doublings) = count.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let wait = FIRST_BACK_OFF.saturating_mul(factor).min(LONGEST_BACK_OFF);
        until(self.context.now, later(time(last), wait))
    }

    /// Active pods of an indexed Job whose number is none, done already, or another's too.
    fn doubles(&self) -> Vec<usize> {
        let Some(completions) = self.completions().filter(|_| self.spec.is_indexed()) else {
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        let mut double = Vec::new();
        for (place, pod) in self.active.iter().enumerate() {
            match indexes::of(&pod.object, completions) {
                Some(index) if !self.done.contains(&index) && seen.insert(index) => {}
                _ => double.push(place),
            }
        }
        double
    }

    /// The pods of these places, and more until there are so many: those that are least of a loss.
    fn choose(&self, double: Vec<usize>, most: usize) -> Vec<Pod> {
        let mut rest: Vec<Candidate> = Vec::new();
        let mut gone = Vec::new();
        for (place, pod) in self.active.iter().enumerate() {
            if double.contains(&place) {
                gone.push(pod.clone());
            } else {
                rest.push(Candidate::new(pod.clone(), 0));
            }
        }
        rest.sort_by(|one, two| one.compare(two, self.context.now));
        let more = most.saturating_sub(gone.len());
        gone.extend(rest.into_iter().take(more).map(Candidate::into_pod));
        gone
    }

    fn delete_active(&mut self, store: &mut Store, most: usize) -> Result<(), Status> {
        let gone: Vec<Pod> = self.active.iter().take(most).cloned().collect();
        self.delete(store, &gone)
    }

    fn delete(&mut self, store: &mut Store, gone: &[Pod]) -> Result<(), Status> {
        let outcome = pods::delete_all(&self.reporter, store, self.context, gone);
        self.active.retain(|pod| {
            let going = gone.iter().any(|one| one.object.uid == pod.object.uid);
            let present = store
                .find(&KINDS.pods, pod.object.namespace(), pod.object.name())
                .filter(|present| present.uid == pod.object.uid);
            let marked = present.is_some_and(|present| present.is_terminating());
            self.terminating += i64::from(going && marked);
            !going || present.is_some_and(|present| !present.is_terminating())
        });
        outcome
    }

    fn create(&mut self, store: &mut Store, missing: usize) -> Result<(), Status> {
        let job = self.job();
        let mut free: Vec<Option<i64>> = vec![None; missing];
        if let Some(completions) = self.completions().filter(|_| self.spec.is_indexed()) {
            let taken: BTreeSet<i64> = self
                .active
                .iter()
                .filter_map(|pod| indexes::of(&pod.object, completions))
                .collect();
            free = (0..completions)
                .filter(|index| !self.done.contains(index) && !taken.contains(index))
                .take(missing)
                .map(Some)
                .collect();
        }
        let template = pods::template_of(job);
        for index in free {
            let mut template = template.clone();
            let prefix = match index {
                None => pods::prefix(job.name()),
                Some(index) => {
                    number(&mut template, job.name(), index);
                    pods::prefix(&format!("{}-{index}", job.name()))
                }
            };
            let mut body = pods::owned(&template, PodName::Prefix(&prefix), self.reporter.resource, job);
            if !body["metadata"]["finalizers"].is_array() {
                body["metadata"]["finalizers"] = json!([]);
            }
            if let Some(list) = body["metadata"]["finalizers"].as_array_mut() {
                list.push(FINALIZER.into());
            }
            match self.reporter.create_pod(store, self.context, body) {
                Ok(pod) => self.active.push(Pod::of(&pod)),
                Err(status) if workload::namespace_ends(&status) => return Ok(()),
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// Tells that the Job is suspended, or goes on.
    fn suspension(&mut self, store: &mut Store) {
        let found = condition(&self.status.conditions, "Suspended");
        let was = found.is_some_and(|found| found.status == "True");
        let (status, reason, message, event) = match (self.spec.suspend, was) {
            (true, false) => ("True", "JobSuspended", "Job suspended", "Suspended"),
            (false, true) => ("False", "JobResumed", "Job resumed", "Resumed"),
            _ => return,
        };
        self.set("Suspended", status, reason, message);
        if !self.spec.suspend {
            self.status.start_time = Some(now_text(self.context));
        }
        self.reporter
            .event(store, self.context, EventType::Normal, event, message);
    }

    /// Writes the conditions of the end: first that it is certain, then, when all pods are gone, that it has come.
    fn finish(&mut self, store: &mut Store) {
        let certain = |kind: &str| condition(&self.status.conditions, kind).is_some();
        let reached = match self.completions() {
            None => self.status.succeeded > 0 && self.active.is_empty(),
            Some(completions) => self.status.succeeded >= completions && self.active.is_empty(),
        };
        let failed = certain("FailureTarget");
        let message = "Reached expected number of succeeded pods";
        if reached && !failed && !self.spec.suspend && !certain("SuccessCriteriaMet") {
            self.set("SuccessCriteriaMet", "True", "CompletionsReached", message);
        }
        if !self.active.is_empty() || self.terminating > 0 {
            return;
        }
        if let Some(found) = condition(&self.status.conditions, "FailureTarget").cloned() {
            self.set("Failed", "True", &found.reason, &found.message);
            self.reporter.event(
                store,
                self.context,
                EventType::Warning,
                &found.reason,
                &found.message,
            );
        } else if condition(&self.status.conditions, "SuccessCriteriaMet").is_some() {
            self.set("Complete", "True", "CompletionsReached", message);
            self.status.completion_time = Some(now_text(self.context));
            self.reporter.event(
                store,
                self.context,
                EventType::Normal,
                "Completed",
                "Job completed",
            );
        }
    }
}

/// Makes the template one of the pod of that number.
fn number(template: &mut Value, job: &str, index: i64) {
    let text = index.to_string();
    for map in ["annotations", "labels"] {
        template_map(template, map).insert(indexes::INDEX.to_owned(), text.as_str().into());
    }
    let host = format!("{job}-{index}");
    if host.len() <= LONGEST_HOST {
        template["spec"]["hostname"] = host.into();
    }
    let variable = json!({
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.labels['{}']", indexes::INDEX)}},
    });
    for list in ["initContainers", "containers"] {
        let containers = template["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if !container["env"].is_array() {
                container["env"] = json!([]);
            }
            if let Some(env) = container["env"].as_array_mut()
                && !env.iter().any(|one| one["name"] == "JOB_COMPLETION_INDEX")
            {
                env.push(variable.clone());
            }
        }
    }
}
