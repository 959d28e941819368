//! What makes pods: replica sets and the like, jobs; and what guards and scales them.

use serde_json::Value;

use super::age;
use super::built_in::{Kind, Row, kind};
use super::cell::{self, NONE, UNSET, flag, list, number, text as field};
use super::column::{AGE, ColumnDefinition, NAME, integer, text};

const CONTAINERS: ColumnDefinition<'static> =
    text("Containers", "Names of the containers of the template.").wide();
const IMAGES: ColumnDefinition<'static> = text("Images", "Images of the containers of the template.").wide();
const SELECTOR: ColumnDefinition<'static> =
    text("Selector", "Labels of the pods that belong to the object.").wide();
const REPLICAS: &[ColumnDefinition<'static>] = &[
    NAME,
    integer("Desired", "Pods that are wanted."),
    integer("Current", "Pods that there are."),
    integer("Ready", "Pods that are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// The printers.
pub(super) const KINDS: &[Kind] = &[
    kind("", "replicationcontrollers", REPLICAS, replication_controller),
    kind("apps", "replicasets", REPLICAS, replica_set),
    kind(
        "apps",
        "deployments",
        &[
            NAME,
            text("Ready", "Ready pods, of those wanted."),
            text("Up-to-date", "Pods of the newest template."),
            text("Available", "Pods that have been ready for long enough."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        deployment,
    ),
    kind(
        "apps",
        "statefulsets",
        &[
            NAME,
            text("Ready", "Ready pods, of those wanted."),
            AGE,
            CONTAINERS,
            IMAGES,
        ],
        stateful_set,
    ),
    kind(
        "apps",
        "daemonsets",
        &[
            NAME,
            integer("Desired", "Nodes that shall run the pod."),
            integer("Current", "Nodes that run the pod and shall."),
            integer("Ready", "Nodes whose pod is ready."),
            integer("Up-to-date", "Nodes whose pod is of the newest template."),
            integer("Available", "Nodes whose pod has been ready for long enough."),
            text("Node Selector", "Labels of the nodes that shall run the pod."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        daemon_set,
    ),
    kind(
        "apps",
        "controllerrevisions",
        &[
            NAME,
            text("Controller", "The object whose revision it is."),
            text("Revision", "Number of the revision."),
            AGE,
        ],
        controller_revision,
    ),
    kind(
        "batch",
        "jobs",
        &[
            NAME,
            text("Status", "How the job is."),
            text("Completions", "Pods that succeeded, of those wanted."),
            text("Duration", "How long the job took, or takes."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        job,
    ),
    kind(
        "batch",
        "cronjobs",
        &[
            NAME,
            text("Schedule", "When jobs start, in the form of cron."),
            text("Timezone", "Time zone of the schedule."),
            super::column::boolean("Suspend", "Whether no jobs are started."),
            integer("Active", "Jobs that run."),
            text("Last Schedule", "Time since the last job was started."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        cron_job,
    ),
    kind(
        "policy",
        "poddisruptionbudgets",
        &[
            NAME,
            text("Min Available", "Pods that must stay."),
            text("Max Unavailable", "Pods that may be missing."),
            integer("Allowed Disruptions", "Pods that may be evicted at this time."),
            AGE,
        ],
        disruption_budget,
    ),
];

/// Containers, images and what follows, from a spec with a template.
fn template(spec: &Value) -> [Value; 2] {
    cell::containers(list(spec, "/template/spec/containers"))
}

fn replicas(row: &Row<'_>, selector: impl Fn(&Value) -> String) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let [names, images] = template(&spec);
    vec![
        row.name(),
        number(&spec, "/replicas").into(),
        number(&status, "/replicas").into(),
        number(&status, "/readyReplicas").into(),
        row.age(),
        names,
        images,
        selector(&spec).into(),
    ]
}

fn replication_controller(row: &Row<'_>) -> Vec<Value> {
    replicas(row, |spec| cell::labels(spec.get("selector")))
}

fn replica_set(row: &Row<'_>) -> Vec<Value> {
    replicas(row, |spec| cell::selector_or_none(spec.get("selector")))
}

/// `ready/wanted`.
fn ready(spec: &Value, status: &Value) -> Value {
    format!(
        "{}/{}",
        number(status, "/readyReplicas"),
        number(spec, "/replicas")
    )
    .into()
}

fn deployment(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let [names, images] = template(&spec);
    vec![
        row.name(),
        ready(&spec, &status),
        number(&status, "/updatedReplicas").into(),
        number(&status, "/availableReplicas").into(),
        row.age(),
        names,
        images,
        // Without `<none>`, unlike the others.
        cell::selector_text(spec.get("selector")).into(),
    ]
}

fn stateful_set(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let [names, images] = template(&spec);
    vec![row.name(), ready(&spec, &status), row.age(), names, images]
}

fn daemon_set(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let [names, images] = template(&spec);
    let number = |pointer| Value::from(number(&status, pointer));
    vec![
        row.name(),
        number("/desiredNumberScheduled"),
        number("/currentNumberScheduled"),
        number("/numberReady"),
        number("/updatedNumberScheduled"),
        number("/numberAvailable"),
        cell::labels(spec.pointer("/template/spec/nodeSelector")).into(),
        row.age(),
        names,
        images,
        cell::selector_or_none(spec.get("selector")).into(),
    ]
}

fn controller_revision(row: &Row<'_>) -> Vec<Value> {
    let controller = row.object.controller().map_or_else(
        || NONE.to_owned(),
        |owner| {
            let kind = owner.kind.to_lowercase();
            match owner.api_version.split_once('/') {
                Some((group, _)) => format!("{kind}.{}/{}", group.to_lowercase(), owner.name),
                None => format!("{kind}/{}", owner.name),
            }
        },
    );
    let revision = row.section("revision").as_i64().unwrap_or_default();
    vec![row.name(), controller.into(), revision.into(), row.age()]
}

fn job(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let succeeded = number(&status, "/succeeded");
    let completions = match cell::maybe_number(&spec, "/completions") {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None => match number(&spec, "/parallelism") {
            parallelism @ 2.. => format!("{succeeded}/1 of {parallelism}"),
            _ => format!("{succeeded}/1"),
        },
    };
    let start = age::read(status.get("startTime"));
    let end = age::read(status.get("completionTime")).unwrap_or(row.now);
    let duration = start.map(|start| age::human(end.signed_duration_since(start)));
    let [names, images] = template(&spec);
    vec![
        row.name(),
        job_state(row, list(&status, "/conditions")).into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        row.age(),
        names,
        images,
        cell::selector_or_none(spec.get("selector")).into(),
    ]
}

fn job_state(row: &Row<'_>, conditions: &[Value]) -> &'static str {
    let is = |kind| {
        cell::condition(conditions, kind).is_some_and(|condition| field(condition, "/status") == "True")
    };
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if row.object.is_terminating() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn cron_job(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let [names, images] = cell::containers(list(&spec, "/jobTemplate/spec/template/spec/containers"));
    let suspend = match cell::set(&spec, "/suspend") {
        None => UNSET,
        Some(_) if flag(&spec, "/suspend") => "True",
        Some(_) => "False",
    };
    let last = cell::set(&status, "/lastScheduleTime");
    vec![
        row.name(),
        field(&spec, "/schedule").into(),
        cell::maybe_text(&spec, "/timeZone").unwrap_or(NONE).into(),
        suspend.into(),
        cell::count(list(&status, "/active").len()),
        last.map_or_else(|| NONE.to_owned(), |last| row.since(Some(last)))
            .into(),
        row.age(),
        names,
        images,
        cell::selector_or_none(spec.pointer("/jobTemplate/spec/selector")).into(),
    ]
}

fn disruption_budget(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let bound = |pointer| {
        let bound = cell::set(&spec, pointer);
        Value::from(bound.map_or_else(|| "N/A".to_owned(), cell::int_or_string))
    };
    vec![
        row.name(),
        bound("/minAvailable"),
        bound("/maxUnavailable"),
        number(&status, "/disruptionsAllowed").into(),
        row.age(),
    ]
}

#[cfg(test)]
mod tests;
