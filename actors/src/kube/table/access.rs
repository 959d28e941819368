//! Who may do what: bindings of roles, certificates, admission, flow control and aggregated APIs.

use std::fmt::Write as _;

use chrono::TimeDelta;
use serde_json::Value;

use super::age;
use super::built_in::{Kind, Quirk, Row, kind};
use super::cell::{self, NONE, UNSET, list, maybe_number, number, text as field};
use super::cluster::or_none;
use super::column::{AGE, ColumnDefinition, NAME, integer, text};

const ADMISSION: &str = "admissionregistration.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

const BINDING: &[ColumnDefinition<'static>] = &[
    NAME,
    text("Role", "The role that is given."),
    AGE,
    text("Users", "Users that have it.").wide(),
    text("Groups", "Groups that have it.").wide(),
    text("ServiceAccounts", "Service accounts that have it.").wide(),
];
const WEBHOOKS: &[ColumnDefinition<'static>] = &[NAME, integer("Webhooks", "Webhooks that are called."), AGE];

/// The printers.
pub(super) const KINDS: &[Kind] = &[
    kind(RBAC, "rolebindings", BINDING, binding),
    kind(RBAC, "clusterrolebindings", BINDING, binding),
    kind(
        "certificates.k8s.io",
        "certificatesigningrequests",
        &[
            NAME,
            AGE,
            text("SignerName", "Who is to sign."),
            text("Requestor", "Who asks."),
            text("RequestedDuration", "How long the certificate shall be valid."),
            text("Condition", "What became of the request."),
        ],
        signing_request,
    ),
    kind(ADMISSION, "mutatingwebhookconfigurations", WEBHOOKS, webhooks),
    kind(ADMISSION, "validatingwebhookconfigurations", WEBHOOKS, webhooks),
    kind(
        ADMISSION,
        "validatingadmissionpolicies",
        &[
            NAME,
            integer("Validations", "Rules of the policy."),
            text("ParamKind", "Kind of the policy's parameters."),
            AGE,
        ],
        policy,
    ),
    kind(
        ADMISSION,
        "validatingadmissionpolicybindings",
        &[
            NAME,
            text("PolicyName", "The policy that is bound."),
            text("ParamRef", "The parameters."),
            AGE,
        ],
        policy_binding,
    ),
    kind(
        FLOW,
        "flowschemas",
        &[
            NAME,
            text("PriorityLevel", "Priority level of matching requests."),
            text(
                "MatchingPrecedence",
                "The schema with the smallest number is taken.",
            ),
            text("DistinguisherMethod", "What tells flows apart."),
            AGE,
            text("MissingPL", "Whether there is no such priority level."),
        ],
        flow_schema,
    ),
    kind(
        FLOW,
        "prioritylevelconfigurations",
        &[
            NAME,
            text("Type", "Whether the level is limited."),
            text("NominalConcurrencyShares", "Share of the requests at a time."),
            text("Queues", "Queues of the level."),
            text("HandSize", "Queues that a flow may choose from."),
            text("QueueLengthLimit", "Requests that wait in a queue at most."),
            AGE,
        ],
        priority_level,
    ),
    kind(
        "apiregistration.k8s.io",
        "apiservices",
        &[
            NAME,
            text("Service", "The service that serves the API."),
            text("Available", "Whether the API can be reached."),
            AGE,
        ],
        api_service,
    )
    .quirk(Quirk::Headings),
];

fn binding(row: &Row<'_>) -> Vec<Value> {
    let (role, subjects) = (row.section("roleRef"), row.section("subjects"));
    let of = |kind: &str| {
        let subjects = list(&subjects, "").iter();
        let names = subjects
            .filter(|subject| field(subject, "/kind") == kind)
            .map(|subject| match kind {
                "ServiceAccount" => {
                    format!("{}/{}", field(subject, "/namespace"), field(subject, "/name"))
                }
                _ => field(subject, "/name").to_owned(),
            });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        row.name(),
        format!("{}/{}", field(&role, "/kind"), field(&role, "/name")).into(),
        row.age(),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

fn signing_request(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let duration = maybe_number(&spec, "/expirationSeconds")
        .and_then(TimeDelta::try_seconds)
        .map_or_else(|| NONE.to_owned(), age::human);
    let is = |kind| cell::condition(list(&status, "/conditions"), kind).is_some();
    let mut state = match () {
        () if is("Denied") => "Denied",
        () if is("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if is("Failed") {
        state.push_str(",Failed");
    }
    if !field(&status, "/certificate").is_empty() {
        state.push_str(",Issued");
    }
    vec![
        row.name(),
        row.age(),
        or_none(&spec, "/signerName"),
        field(&spec, "/username").into(),
        duration.into(),
        state.into(),
    ]
}

fn webhooks(row: &Row<'_>) -> Vec<Value> {
    let webhooks = cell::elements(row.object.section_text("webhooks"));
    vec![row.name(), cell::count(webhooks), row.age()]
}

fn policy(row: &Row<'_>) -> Vec<Value> {
    let spec = row.spec();
    let kind = cell::set(&spec, "/paramKind")
        .map(|kind| format!("{}/{}", field(kind, "/apiVersion"), field(kind, "/kind")));
    vec![
        row.name(),
        cell::count(list(&spec, "/validations").len()),
        kind.unwrap_or_else(|| UNSET.to_owned()).into(),
        row.age(),
    ]
}

fn policy_binding(row: &Row<'_>) -> Vec<Value> {
    let spec = row.spec();
    let parameters = cell::set(&spec, "/paramRef").and_then(|reference| {
        match (field(reference, "/namespace"), field(reference, "/name")) {
            (_, "") => cell::set(reference, "/selector").map(go_selector),
            ("", name) => Some(format!("*/{name}")),
            (namespace, name) => Some(format!("{namespace}/{name}")),
        }
    });
    vec![
        row.name(),
        field(&spec, "/policyName").into(),
        parameters.unwrap_or_else(|| UNSET.to_owned()).into(),
        row.age(),
    ]
}

/// A label selector as Go's generated code shows it (apimachinery: `pkg/apis/meta/v1/generated.pb.go`).
fn go_selector(selector: &Value) -> String {
    let mut shown = "&LabelSelector{MatchLabels:map[string]string{".to_owned();
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let mut labels: Vec<(&String, &Value)> = labels.into_iter().flatten().collect();
    labels.sort_by_key(|(key, _)| *key);
    // Writing to a text cannot fail.
    for (key, value) in labels {
        let _ = write!(shown, "{key}: {},", value.as_str().unwrap_or_default());
    }
    shown.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for expression in list(selector, "/matchExpressions") {
        let values = list(expression, "/values").iter().filter_map(Value::as_str);
        let _ = write!(
            shown,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
            field(expression, "/key"),
            field(expression, "/operator"),
            cell::join(values, " ")
        );
    }
    shown.push_str("},}");
    shown
}

fn flow_schema(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let dangling = cell::condition(list(&status, "/conditions"), "Dangling");
    let method = cell::set(&spec, "/distinguisherMethod").map_or(NONE, |method| field(method, "/type"));
    vec![
        row.name(),
        field(&spec, "/priorityLevelConfiguration/name").into(),
        number(&spec, "/matchingPrecedence").into(),
        method.into(),
        row.age(),
        dangling
            .map_or("?", |condition| field(condition, "/status"))
            .into(),
    ]
}

fn priority_level(row: &Row<'_>) -> Vec<Value> {
    let spec = row.spec();
    let limited = cell::set(&spec, "/limited");
    let queuing = limited.and_then(|limited| cell::set(limited, "/limitResponse/queuing"));
    let shown = |of: Option<&Value>, pointer| of.map_or_else(|| NONE.into(), |of| number(of, pointer).into());
    vec![
        row.name(),
        field(&spec, "/type").into(),
        shown(limited, "/nominalConcurrencyShares"),
        shown(queuing, "/queues"),
        shown(queuing, "/handSize"),
        shown(queuing, "/queueLengthLimit"),
        row.age(),
    ]
}

/// kube-aggregator: `pkg/registry/apiservice/etcd/etcd.go`.
fn api_service(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (row.spec(), row.status());
    let service = cell::set(&spec, "/service").map_or_else(
        || "Local".to_owned(),
        |service| format!("{}/{}", field(service, "/namespace"), field(service, "/name")),
    );
    let available = cell::condition(list(&status, "/conditions"), "Available");
    let available =
        match available.map(|available| (field(available, "/status"), field(available, "/reason"))) {
            None => "Unknown".to_owned(),
            Some((state @ "True", _) | (state, "")) => state.to_owned(),
            Some((state, reason)) => format!("{state} ({reason})"),
        };
    vec![row.name(), service.into(), available.into(), row.age()]
}

#[cfg(test)]
mod tests;
