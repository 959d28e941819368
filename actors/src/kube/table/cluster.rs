//! Namespaces, configuration, events and other things that every cluster has.

use serde_json::Value;

use super::amount;
use super::built_in::{Kind, Row, kind};
use super::cell::{self, NONE, flag, list, number, or, text as field};
use super::column::{AGE, ColumnDefinition, NAME, NAME_TEXT, boolean, integer, naming, text};

const EVENT: &[ColumnDefinition<'static>] = &[
    text("Last Seen", "Time since it happened last."),
    text("Type", "Normal or Warning."),
    text("Reason", "What happened, in a word."),
    text("Object", "The object that it happened to."),
    text("Subobject", "The part of the object.").wide(),
    text("Source", "Who tells it.").wide(),
    text("Message", "What happened."),
    text("First Seen", "Time since it happened first.").wide(),
    text("Count", "How often it happened.").wide(),
    naming("Name", NAME_TEXT).wide(),
];

/// The printers.
pub(super) const KINDS: &[Kind] = &[
    kind(
        "",
        "namespaces",
        &[NAME, text("Status", "Phase of the namespace."), AGE],
        |row| vec![row.name(), field(&row.status(), "/phase").into(), row.age()],
    ),
    kind(
        "",
        "secrets",
        &[
            NAME,
            text("Type", "What the secret is for."),
            text("Data", "Entries of the secret."),
            AGE,
        ],
        |row| {
            let kind = field(&row.section("type"), "").into();
            vec![row.name(), kind, entries(row, &["data"]), row.age()]
        },
    ),
    kind(
        "",
        "configmaps",
        &[NAME, text("Data", "Entries of the map."), AGE],
        |row| vec![row.name(), entries(row, &["data", "binaryData"]), row.age()],
    ),
    kind(
        "",
        "serviceaccounts",
        &[NAME, text("Secrets", "Secrets of the account."), AGE],
        |row| {
            let secrets = cell::elements(row.object.section_text("secrets"));
            vec![row.name(), cell::count(secrets), row.age()]
        },
    ),
    kind(
        "",
        "componentstatuses",
        &[
            NAME,
            text("Status", "Whether the component is healthy."),
            text("Message", "Message of the check."),
            text("Error", "Error of the check."),
        ],
        component,
    ),
    kind(
        "",
        "resourcequotas",
        &[
            NAME,
            text("Request", "Used of what may be requested."),
            text("Limit", "Used of what limits may add up to."),
            AGE,
        ],
        quota,
    ),
    kind("", "events", EVENT, event),
    kind("events.k8s.io", "events", EVENT, event),
    kind(
        "coordination.k8s.io",
        "leases",
        &[NAME, text("Holder", "Who holds the lease."), AGE],
        |row| {
            let holder = field(&row.spec(), "/holderIdentity").into();
            vec![row.name(), holder, row.age()]
        },
    ),
    kind(
        "scheduling.k8s.io",
        "priorityclasses",
        &[
            NAME,
            integer("Value", "Priority of pods of this class."),
            boolean("Global-Default", "Whether it is the class of pods without one."),
            AGE,
            text("PreemptionPolicy", "Whether pods of this class push others away."),
        ],
        |row| {
            vec![
                row.name(),
                number(&row.section("value"), "").into(),
                flag(&row.section("globalDefault"), "").into(),
                row.age(),
                field(&row.section("preemptionPolicy"), "").into(),
            ]
        },
    ),
    kind(
        "node.k8s.io",
        "runtimeclasses",
        &[NAME, text("Handler", "Name of the runtime on the nodes."), AGE],
        |row| {
            let handler = field(&row.section("handler"), "").into();
            vec![row.name(), handler, row.age()]
        },
    ),
];

/// Entries of these maps together.
fn entries(row: &Row<'_>, sections: &[&str]) -> Value {
    let sections = sections.iter();
    cell::count(
        sections
            .map(|section| cell::entries(row.object.section_text(section)))
            .sum(),
    )
}

fn component(row: &Row<'_>) -> Vec<Value> {
    let conditions = row.section("conditions");
    let healthy = cell::condition(list(&conditions, ""), "Healthy");
    let state = match healthy.map(|condition| field(condition, "/status")) {
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    };
    let word = |pointer| Value::from(healthy.map_or("", |condition| field(condition, pointer)));
    vec![row.name(), state.into(), word("/message"), word("/error")]
}

fn quota(row: &Row<'_>) -> Vec<Value> {
    let status = row.status();
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let hard = status.get("hard").and_then(Value::as_object);
    let mut hard: Vec<(&String, &Value)> = hard.into_iter().flatten().collect();
    hard.sort_by_key(|(name, _)| *name);
    for (name, most) in hard {
        let used = amount::text(status.get("used").and_then(|used| used.get(name)));
        let words = format!("{name}: {used}/{}", amount::text(Some(most)));
        if name.starts_with("limits.") {
            limits.push(words);
        } else {
            requests.push(words);
        }
    }
    vec![
        row.name(),
        requests.join(", ").into(),
        limits.join(", ").into(),
        row.age(),
    ]
}

/// An event in the form in which it is stored, that of the core group.
fn event(row: &Row<'_>) -> Vec<Value> {
    let section = |name| row.section(name);
    let (object, source, series) = (section("involvedObject"), section("source"), section("series"));
    let time = |name| row.since(Some(&section(name)).filter(|time| !time.is_null()));
    let is_set = |name| super::age::read(Some(&section(name))).is_some();
    let first = if is_set("firstTimestamp") {
        time("firstTimestamp")
    } else {
        time("eventTime")
    };
    let (last, count) = if series.is_null() {
        let last = if is_set("lastTimestamp") {
            time("lastTimestamp")
        } else {
            first.clone()
        };
        (last, number(&section("count"), "").max(1))
    } else {
        let last = row.since(series.get("lastObservedTime"));
        (last, number(&series, "/count"))
    };
    let target = match (field(&object, "/kind").to_lowercase(), field(&object, "/name")) {
        (kind, "") => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    let (component, instance) = (section("reportingComponent"), section("reportingInstance"));
    let component = or(field(&source, "/component"), field(&component, ""));
    let from = match or(field(&source, "/host"), field(&instance, "")) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    };
    vec![
        last.into(),
        field(&section("type"), "").into(),
        field(&section("reason"), "").into(),
        target.into(),
        field(&object, "/fieldPath").into(),
        from.into(),
        field(&section("message"), "").trim().into(),
        first.into(),
        count.into(),
        row.name(),
    ]
}

/// `<none>` for an empty text.
pub(super) fn or_none(value: &Value, pointer: &str) -> Value {
    or(field(value, pointer), NONE).into()
}

#[cfg(test)]
mod tests;
