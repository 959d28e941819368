//! CronJobs: Jobs at certain times (kubernetes: `pkg/controller/cronjob/cronjob_controllerv2.go`).

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::events::{EventType, ObjectReference};
use super::job;
use super::kinds::{KINDS, about};
use super::workload::{self, Reporter, controls, owner_reference, tree, write_status};
use crate::kube::controller::{Context, Controller, Key, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::{Reason, Status};
use crate::kube::store::{Change, Changed, Store};

use schedule::{Fault, Schedule};

/// The controller's name in events.
const COMPONENT: &str = "cronjob-controller";
/// Annotation of Jobs: the time that they are for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// So much after its time a CronJob is looked at.
const SLACK: Duration = Duration::from_millis(100);

/// The controller of CronJobs.
#[derive(Debug)]
pub struct CronJobs;

/// What the controller reads of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    schedule: String,
    time_zone: Option<String>,
    starting_deadline_seconds: Option<i64>,
    concurrency_policy: String,
    suspend: bool,
    successful_jobs_history_limit: Option<i64>,
    failed_jobs_history_limit: Option<i64>,
    job_template: JobTemplate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct JobTemplate {
    metadata: TemplateMetadata,
    spec: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TemplateMetadata {
    labels: Option<Value>,
    annotations: Option<Value>,
}

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CronStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    active: Vec<ObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_schedule_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_successful_time: Option<String>,
}

impl Controller for CronJobs {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&self, _store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.cron_jobs) {
            if !matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.jobs)
            && let Some(owner) = object.controller().filter(|owner| owner.kind == "CronJob")
        {
            look_at(Key::new(object.namespace(), &owner.name));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let resource = &KINDS.cron_jobs;
        let Some(cron) = store.find(resource, key.namespace(), &key.name).cloned() else {
            return Ok(None);
        };
        let Some(spec) = cron.read::<Spec>("spec") else {
            return Ok(None);
        };
        let reporter = Reporter {
            component: COMPONENT,
            resource,
            object: &cron,
        };
        let mut look = Look {
            reporter,
            spec: &spec,
            status: cron.read("status").unwrap_or_default(),
        };
        look.take_stock(store, context);
        look.clean_up(store, context)?;
        let outcome = look.run(store, context);
        write_status(store, context, resource, &cron, tree(&look.status))?;
        outcome
    }
}

/// One look at a CronJob.
struct Look<'a> {
    reporter: Reporter<'a>,
    spec: &'a Spec,
    status: CronStatus,
}

impl Look<'_> {
    fn event(&self, store: &mut Store, context: &Context<'_>, kind: EventType, reason: &str, message: &str) {
        self.reporter.event(store, context, kind, reason, message);
    }

    fn is_active(&self, job: &Object) -> bool {
        let uid = job.uid_text();
        self.status.active.iter().any(|one| one.uid == uid)
    }

    fn forget(&mut self, uid: &str) {
        self.status.active.retain(|one| one.uid != uid);
    }

    /// Compares the list of active Jobs with those that there are.
    fn take_stock(&mut self, store: &mut Store, context: &Context<'_>) {
        let jobs = workload::managed(store, self.reporter.object, &KINDS.jobs);
        for job in &jobs {
            let end = job::finished(job);
            match (self.is_active(job), end) {
                (false, None) => {
                    let message = format!(
                        "Saw a job that the controller did not create or forgot: {}",
                        job.name()
                    );
                    self.event(store, context, EventType::Warning, "UnexpectedJob", &message);
                }
                (true, Some((complete, _))) => {
                    self.forget(&job.uid_text());
                    let condition = if complete { "Complete" } else { "Failed" };
                    let message = format!("Saw completed job: {}, condition: {condition}", job.name());
                    self.event(store, context, EventType::Normal, "SawCompletedJob", &message);
                }
                _ => {}
            }
            if let Some((true, time)) = end {
                let known = self
                    .status
                    .last_successful_time
                    .as_deref()
                    .and_then(Second::parse);
                if known.is_none_or(|known| known < time) {
                    self.status.last_successful_time = Some(time.text());
                }
            }
        }
        for reference in self.status.active.clone() {
            if !jobs.iter().any(|job| job.uid_text() == reference.uid) {
                let message = format!("Active job went missing: {}", reference.name);
                self.event(store, context, EventType::Normal, "MissingJob", &message);
                self.forget(&reference.uid);
            }
        }
    }

    /// Deletes finished Jobs beyond the limits, the oldest first.
    fn clean_up(&mut self, store: &mut Store, context: &Context<'_>) -> Result<(), Status> {
        let jobs = workload::managed(store, self.reporter.object, &KINDS.jobs);
        for (complete, limit) in [
            (true, self.spec.successful_jobs_history_limit),
            (false, self.spec.failed_jobs_history_limit),
        ] {
            let Some(limit) = limit else {
                continue;
            };
            let mut ended: Vec<&Arc<Object>> = jobs
                .iter()
                .filter(|job| !job.is_terminating())
                .filter(|job| job::finished(job).is_some_and(|(ended, _)| ended == complete))
                .collect();
            ended.sort_by_key(|job| (job.created, job.resource_version));
            let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in ended.into_iter().take(surplus) {
                self.delete(store, context, job)?;
            }
        }
        Ok(())
    }

    fn delete(&mut self, store: &mut Store, context: &Context<'_>, job: &Object) -> Result<(), Status> {
        match workload::delete(store, context, &KINDS.jobs, job) {
            Ok(_) => {
                self.forget(&job.uid_text());
                let message = format!("Deleted job {}", job.name());
                self.event(store, context, EventType::Normal, "SuccessfulDelete", &message);
                Ok(())
            }
            Err(status) => {
                let message = format!("Deleted job: {}", status.message);
                self.event(store, context, EventType::Warning, "FailedDelete", &message);
                Err(status)
            }
        }
    }

    /// Starts the Job whose time has come.
    fn run(&mut self, store: &mut Store, context: &Context<'_>) -> Result<Option<Duration>, Status> {
        let now = context.now;
        let cron = self.reporter.object;
        if cron.is_terminating() || self.spec.suspend {
            return Ok(None);
        }
        let schedule = match Schedule::read(&self.spec.schedule, self.spec.time_zone.as_deref()) {
            Ok(schedule) => schedule,
            Err(fault) => {
                let reason = match fault {
                    Fault::TimeZone(_) => "UnknownTimeZone",
                    Fault::Schedule(..) => "UnparseableSchedule",
                };
                self.event(store, context, EventType::Warning, reason, &fault.to_string());
                return Ok(None);
            }
        };
        let next = |time: Option<DateTime<Utc>>| time.map(|time| until(now, time).saturating_add(SLACK));
        let again = next(schedule.after(now));
        let last = self.status.last_schedule_time.as_deref().and_then(Second::parse);
        let mut earliest = DateTime::from_timestamp(last.unwrap_or(cron.created).0, 0).unwrap_or_default();
        let deadline = self
            .spec
            .starting_deadline_seconds
            .and_then(TimeDelta::try_seconds);
        if let Some(start) = deadline.and_then(|deadline| now.checked_sub_signed(deadline)) {
            earliest = earliest.max(start);
        }
        let Some((due, missed)) = schedule.latest(earliest, now) else {
            return Ok(again);
        };
        if missed > schedule::MANY {
            let message = format!(
                "too many missed start times: {missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            );
            self.event(store, context, EventType::Warning, "TooManyMissedTimes", &message);
        }
        if last == Some(Second::of(due)) {
            return Ok(again);
        }
        let active: Vec<Arc<Object>> = workload::managed(store, cron, &KINDS.jobs)
            .into_iter()
            .filter(|job| self.is_active(job))
            .collect();
        if self.spec.concurrency_policy == "Forbid" && !active.is_empty() {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            self.event(store, context, EventType::Normal, "JobAlreadyActive", message);
            return Ok(again);
        }
        if self.spec.concurrency_policy == "Replace" {
            for job in active {
                self.delete(store, context, &job)?;
            }
        }
        self.start(store, context, &schedule, due)?;
        Ok(again)
    }

    fn start(
        &mut self,
        store: &mut Store,
        context: &Context<'_>,
        schedule: &Schedule,
        due: DateTime<Utc>,
    ) -> Result<(), Status> {
        let cron = self.reporter.object;
        let name = format!("{}-{}", cron.name(), due.timestamp().div_euclid(60));
        let template = &self.spec.job_template;
        let mut annotations = template.metadata.annotations.clone().unwrap_or_else(|| json!({}));
        annotations[SCHEDULED] = schedule.text(due).into();
        let body = json!({
            "metadata": {
                "name": name,
                "labels": template.metadata.labels.clone().unwrap_or_else(|| json!({})),
                "annotations": annotations,
                "ownerReferences": [owner_reference(self.reporter.resource, cron)],
            },
            "spec": template.spec,
        });
        let job = match self.reporter.create(store, context, &KINDS.jobs, body) {
            Ok(job) => {
                let message = format!("Created job {name}");
                self.event(store, context, EventType::Normal, "SuccessfulCreate", &message);
                job
            }
            Err(status) if workload::namespace_ends(&status) => return Err(status),
            Err(status) => {
                let existing = store.find(&KINDS.jobs, cron.namespace(), &name).cloned();
                match existing.filter(|job| status.is(Reason::AlreadyExists) && controls(cron, job)) {
                    Some(job) if job::finished(&job).is_none() => job,
                    Some(_) => {
                        self.status.last_schedule_time = Some(Second::of(due).text());
                        return Ok(());
                    }
                    None => {
                        let message = format!("Error creating job: {}", status.message);
                        self.event(store, context, EventType::Warning, "FailedCreate", &message);
                        return Err(status);
                    }
                }
            }
        };
        if !self.is_active(&job) {
            self.status.active.push(ObjectReference::of(&KINDS.jobs, &job));
        }
        self.status.last_schedule_time = Some(Second::of(due).text());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
