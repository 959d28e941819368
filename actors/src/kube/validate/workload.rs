//! Kinds that make pods (kubernetes: `pkg/apis/apps/validation`, `pkg/apis/batch/validation`, and `ReplicationController` in
//! `pkg/apis/core/validation`).

use serde_json::{Map, Value, json};

use super::cron;
use super::node::{Faults, Node, same};
use super::{claim, pod, words};

/// Longest name of a cron job: its jobs' names get eleven characters more.
const CRON_NAME_MAX: usize = 52;
const INDEXED_PARALLELISM_MAX: i64 = 100_000;
const NO_MATCH: &str = "`selector` does not match template `labels`";

type Fields = Map<String, Value>;

/// The selector of a set: there, sound, not empty. `word` is the kind in the message.
fn selector(faults: &mut Faults, spec: &Node<'_>, word: &str) {
    let selector = spec.get("selector");
    if !selector.exists() {
        faults.required(selector.path, "");
        return;
    }
    words::label_selector(faults, &selector);
    if words::is_empty_selector(&selector) {
        faults.invalid(
            &*selector.path,
            selector.value.clone(),
            format!("empty selector is invalid for {word}"),
        );
    }
}

/// Whether the selector can be read; says so if it does not match the template.
fn matches_template(faults: &mut Faults, spec: &Node<'_>, broken: &str) -> bool {
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    let metadata = template.get("metadata");
    if !selector.exists() {
        // No selector selects nothing.
        faults.invalid(
            metadata.at("labels"),
            metadata.get("labels").value.clone(),
            NO_MATCH,
        );
        return true;
    }
    match words::selects(selector.value, metadata.map("labels")) {
        None => {
            faults.invalid(selector.path, selector.value.clone(), broken);
            return false;
        }
        Some(false) => {
            let labels = metadata.get("labels");
            faults.invalid(labels.path, labels.value.clone(), NO_MATCH);
        }
        Some(true) => {}
    }
    true
}

/// Pods of a set run for ever.
fn always(faults: &mut Faults, template: &Node<'_>, kind: &str) {
    let spec = template.get("spec");
    let policy = spec.text("restartPolicy");
    if policy != "Always" {
        faults.not_supported(spec.at("restartPolicy"), policy, &["Always"]);
    }
    if spec.has("activeDeadlineSeconds") {
        faults.forbidden(
            spec.at("activeDeadlineSeconds"),
            format!("activeDeadlineSeconds in {kind} is not Supported"),
        );
    }
}

fn keeps_selector(faults: &mut Faults, spec: &Node<'_>, old: Option<&Fields>) {
    if let Some(old) = old {
        let old = Node::root(old, "spec");
        faults.immutable(
            spec.at("selector"),
            spec.get("selector").value,
            old.get("selector").value,
        );
    }
}

pub(super) fn deployment(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    faults.not_negative(&spec, "replicas");
    selector(faults, &spec, "deployment");
    if matches_template(faults, &spec, "invalid label selector") {
        let template = spec.get("template");
        pod::template(faults, &template, &[]);
        always(faults, &template, "ReplicaSet");
    }
    let strategy = spec.get("strategy");
    match strategy.text("type") {
        "Recreate" if strategy.has("rollingUpdate") => faults.forbidden(
            strategy.at("rollingUpdate"),
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        "Recreate" => {}
        "RollingUpdate" => {
            let rolling = strategy.get("rollingUpdate");
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            if rolling.exists() {
                words::int_or_percent(faults, &unavailable);
                words::int_or_percent(faults, &surge);
                if words::amount(unavailable.value) == 0 && words::amount(surge.value) == 0 {
                    faults.invalid(
                        &*unavailable.path,
                        unavailable.value.clone(),
                        "may not be 0 when `maxSurge` is 0",
                    );
                }
                words::at_most_all(faults, &unavailable);
            } else {
                faults.required(rolling.path, "this should be defaulted and never be nil");
            }
        }
        _ => faults.not_supported(
            &*strategy.path,
            strategy.value.clone(),
            &["Recreate", "RollingUpdate"],
        ),
    }
    for field in [
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        faults.not_negative(&spec, field);
    }
    if let Some(deadline) = spec.int("progressDeadlineSeconds")
        && deadline <= spec.int("minReadySeconds").unwrap_or(0)
    {
        faults.invalid(
            spec.at("progressDeadlineSeconds"),
            deadline,
            "must be greater than minReadySeconds",
        );
    }
    keeps_selector(faults, &spec, old);
}

pub(super) fn replica_set(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    faults.not_negative(&spec, "replicas");
    faults.not_negative(&spec, "minReadySeconds");
    // The word is a slip of the real server's.
    selector(faults, &spec, "deployment");
    if matches_template(faults, &spec, "invalid label selector") {
        let template = spec.get("template");
        pod::template(faults, &template, &[]);
        always(faults, &template, "ReplicaSet");
    }
    keeps_selector(faults, &spec, old);
}

pub(super) fn replication_controller(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    faults.not_negative(&spec, "minReadySeconds");
    if spec.len("selector") == 0 {
        faults.required(spec.at("selector"), "");
    }
    faults.not_negative(&spec, "replicas");
    let template = spec.get("template");
    let labels = template.get("metadata");
    let fits = spec
        .map("selector")
        .iter()
        .all(|(key, value)| labels.map("labels").get(key) == Some(value));
    if !fits {
        faults.invalid(labels.at("labels"), labels.get("labels").value.clone(), NO_MATCH);
    }
    pod::template(faults, &template, &[]);
    always(faults, &template, "ReplicationController");
}

pub(super) fn daemon_set(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    keeps_selector(faults, &spec, old);
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    words::label_selector(faults, &selector);
    let labels = template.get("metadata");
    let fits = if selector.exists() {
        words::selects(selector.value, labels.map("labels"))
    } else {
        Some(false)
    };
    if fits == Some(false) {
        faults.invalid(labels.at("labels"), labels.get("labels").value.clone(), NO_MATCH);
    }
    if selector.exists() && words::is_empty_selector(&selector) {
        faults.invalid(
            &*selector.path,
            selector.value.clone(),
            "empty selector is invalid for daemonset",
        );
    }
    pod::template(faults, &template, &[]);
    always(faults, &template, "DaemonSet");
    faults.not_negative(&spec, "minReadySeconds");
    let strategy = spec.get("updateStrategy");
    match strategy.text("type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = strategy.get("rollingUpdate");
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            if rolling.exists() {
                for part in [&unavailable, &surge] {
                    words::int_or_percent(faults, part);
                }
                for part in [&unavailable, &surge] {
                    words::at_most_all(faults, part);
                }
                match (
                    words::amount(unavailable.value) != 0,
                    words::amount(surge.value) != 0,
                ) {
                    (true, true) => faults.invalid(
                        &*surge.path,
                        surge.value.clone(),
                        "may not be set when maxUnavailable is non-zero",
                    ),
                    (false, false) => {
                        faults.required(unavailable.path, "cannot be 0 when maxSurge is 0");
                    }
                    _ => {}
                }
            } else {
                faults.required(rolling.path, "");
            }
        }
        _ => faults.not_supported(
            &*strategy.path,
            strategy.value.clone(),
            &["RollingUpdate", "OnDelete"],
        ),
    }
    faults.not_negative(&spec, "revisionHistoryLimit");
}

pub(super) fn stateful_set(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    match spec.text("podManagementPolicy") {
        "" => faults.required(spec.at("podManagementPolicy"), ""),
        "OrderedReady" | "Parallel" => {}
        other => faults.invalid(
            spec.at("podManagementPolicy"),
            other,
            "must be 'OrderedReady' or 'Parallel'",
        ),
    }
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.text("type") {
        "" => faults.required(&*strategy.path, ""),
        "OnDelete" if rolling.exists() => faults.invalid(
            &*rolling.path,
            rolling.value.clone(),
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        "OnDelete" => {}
        "RollingUpdate" => {
            faults.not_negative(&rolling, "partition");
            if let Some(unavailable) = rolling.some("maxUnavailable") {
                words::int_or_percent(faults, &unavailable);
                if words::amount(unavailable.value) == 0 {
                    faults.invalid(&*unavailable.path, unavailable.value.clone(), "cannot be 0");
                }
                words::at_most_all(faults, &unavailable);
            }
        }
        _ => faults.invalid(
            &*strategy.path,
            strategy.value.clone(),
            "must be 'RollingUpdate' or 'OnDelete'",
        ),
    }
    if let Some(policy) = spec.some("persistentVolumeClaimRetentionPolicy") {
        for field in ["whenDeleted", "whenScaled"] {
            let value = policy.text(field);
            if !matches!(value, "Retain" | "Delete") {
                faults.not_supported(policy.at(field), value, &["Retain", "Delete"]);
            }
        }
    }
    if old.is_none() {
        for template in spec.items("volumeClaimTemplates") {
            claim::claim_spec(faults, &template.get("spec"));
        }
    }
    faults.not_negative(&spec, "replicas");
    faults.not_negative(&spec, "minReadySeconds");
    faults.not_negative(&spec.get("ordinals"), "start");
    let service = spec.text("serviceName");
    if old.is_none() && !service.is_empty() {
        words::label(faults, &spec.at("serviceName"), service);
    }
    selector(faults, &spec, "statefulset");
    let template = spec.get("template");
    if matches_template(faults, &spec, "") {
        let claims: Vec<Value> = spec
            .items("volumeClaimTemplates")
            .map(|claim| json!(claim.get("metadata").text("name")))
            .collect();
        let claims: Vec<&str> = claims.iter().filter_map(Value::as_str).collect();
        pod::template(faults, &template, &claims);
    }
    always(faults, &template, "StatefulSet");
    if let Some(old) = old {
        const FREE: [&str; 7] = [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ];
        let bound = |spec: &Node<'_>| {
            let mut value = spec.value.clone();
            if let Some(map) = value.as_object_mut() {
                map.retain(|key, _| !FREE.contains(&key.as_str()));
            }
            value
        };
        if !same(&bound(&spec), &bound(&Node::root(old, "spec"))) {
            faults.forbidden(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            );
        }
    }
}

fn job_spec(faults: &mut Faults, spec: &Node<'_>) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        faults.not_negative(spec, field);
    }
    let failed = spec.int("maxFailedIndexes");
    let per_index = spec.int("backoffLimitPerIndex");
    if failed.is_some() && per_index.is_none() {
        faults.required(
            spec.at("backoffLimitPerIndex"),
            "when maxFailedIndexes is specified",
        );
    }
    let mode = spec.text("completionMode");
    if !matches!(mode, "" | "NonIndexed" | "Indexed") {
        faults.not_supported(spec.at("completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    if mode == "Indexed" {
        let completions = spec.int("completions");
        if completions.is_none() {
            faults.required(spec.at("completions"), "when completion mode is Indexed");
        }
        if let Some(count) = spec
            .int("parallelism")
            .filter(|count| *count > INDEXED_PARALLELISM_MAX)
        {
            faults.invalid(
                spec.at("parallelism"),
                count,
                format!(
                    "must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed"
                ),
            );
        }
        if let (Some(failed), Some(completions)) = (failed, completions)
            && failed > completions
        {
            faults.invalid(
                spec.at("maxFailedIndexes"),
                failed,
                "must be less than or equal to completions",
            );
        }
    } else {
        for (field, value) in [("backoffLimitPerIndex", per_index), ("maxFailedIndexes", failed)] {
            if let Some(value) = value {
                faults.invalid(spec.at(field), value, "requires indexed completion mode");
            }
        }
        if let Some(policy) = spec.some("successPolicy") {
            faults.invalid(
                policy.path,
                policy.value.clone(),
                "requires indexed completion mode",
            );
        }
    }
    let replacement = spec.text("podReplacementPolicy");
    if !matches!(replacement, "" | "TerminatingOrFailed" | "Failed") {
        faults.not_supported(
            spec.at("podReplacementPolicy"),
            replacement,
            &["Failed", "TerminatingOrFailed"],
        );
    }
    let template = spec.get("template");
    pod::template(faults, &template, &[]);
    let pod = template.get("spec");
    match pod.text("restartPolicy") {
        "" | "Always" => faults.required(pod.at("restartPolicy"), "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.has("podFailurePolicy") => faults.invalid(
            pod.at("restartPolicy"),
            "OnFailure",
            "only \"Never\" is supported when podFailurePolicy is specified",
        ),
        "OnFailure" | "Never" => {}
        other => faults.not_supported(pod.at("restartPolicy"), other, &["OnFailure", "Never"]),
    }
}

pub(super) fn job(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    job_spec(faults, &spec);
    let selector = spec.get("selector");
    if selector.exists() {
        words::label_selector(faults, &selector);
        let labels = spec.get("template").get("metadata");
        if words::selects(selector.value, labels.map("labels")) == Some(false) {
            faults.invalid(labels.at("labels"), labels.get("labels").value.clone(), NO_MATCH);
        }
    } else {
        faults.required(&*selector.path, "");
    }
    let Some(old) = old else { return };
    let old = Node::root(old, "spec");
    let keep = |faults: &mut Faults, field: &str| {
        faults.immutable(spec.at(field), spec.get(field).value, old.get(field).value);
    };
    if spec.text("completionMode") == "Indexed" {
        if !same(spec.get("completions").value, old.get("completions").value)
            && spec
                .int("completions")
                .is_some_and(|count| Some(count) != spec.int("parallelism"))
        {
            faults.invalid(
                spec.at("completions"),
                spec.get("completions").value.clone(),
                "can only be modified in tandem with spec.parallelism",
            );
        }
    } else {
        keep(faults, "completions");
    }
    keep(faults, "selector");
    // While a job that never ran is suspended, where its pods may go can change.
    if !old.flag("suspend") {
        keep(faults, "template");
    }
    for field in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        keep(faults, field);
    }
}

pub(super) fn cron_job(faults: &mut Faults, body: &Fields, old: Option<&Fields>, name: &str) {
    let spec = Node::root(body, "spec");
    let schedule = spec.text("schedule");
    if schedule.is_empty() {
        faults.required(spec.at("schedule"), "");
    } else if schedule.contains("TZ") {
        faults.invalid(
            spec.at("schedule"),
            schedule,
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        );
    } else if let Err(why) = cron::check(schedule) {
        faults.invalid(spec.at("schedule"), schedule, why);
    }
    faults.not_negative(&spec, "startingDeadlineSeconds");
    if let Some(zone) = spec.get("timeZone").value.as_str() {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
        let bad_part = |part: &str| {
            part.is_empty()
                || matches!(part, "." | "..")
                || part.starts_with('-')
                || part.len() > 14
                || !part.bytes().all(fine)
        };
        if zone.is_empty() {
            faults.invalid(
                spec.at("timeZone"),
                zone,
                "timeZone must be nil or non-empty string",
            );
        } else if zone.split('/').any(bad_part) {
            faults.invalid(spec.at("timeZone"), zone, format!("unknown time zone {zone}"));
        } else if zone.eq_ignore_ascii_case("local") {
            faults.invalid(
                spec.at("timeZone"),
                zone,
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            );
        }
    }
    faults.one_of(
        spec.at("concurrencyPolicy"),
        spec.text("concurrencyPolicy"),
        &["Allow", "Forbid", "Replace"],
    );
    let template = spec.get("jobTemplate").get("spec");
    job_spec(faults, &template);
    if template.flag("manualSelector") {
        faults.not_supported(template.at("manualSelector"), true, &["nil", "false"]);
    }
    faults.not_negative(&spec, "successfulJobsHistoryLimit");
    faults.not_negative(&spec, "failedJobsHistoryLimit");
    if old.is_none() && name.len() > CRON_NAME_MAX {
        faults.invalid(
            "metadata.name",
            name,
            format!("must be no more than {CRON_NAME_MAX} characters"),
        );
    }
}
