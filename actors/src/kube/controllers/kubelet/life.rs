//! What decides how the containers of a pod fare, and what is told about it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::MIRROR;
use super::types::PodSpec;
use crate::kube::controller::Context;
use crate::kube::controllers::events::EventType;
use crate::kube::object::{Object, Second};
use crate::seed::Seed;

/// How long containers run that end by themselves.
const RUN_DURATION: &str = "metalsim.io/run-duration";
/// The code with which they end.
const EXIT_CODE: &str = "metalsim.io/exit-code";
/// How long etcd runs before it learns from its peers that it is no member any more; then it ends with code 0 (etcd:
/// `server/etcdserver/api/rafthttp/stream.go`, `ErrMemberRemoved`; `server/etcdmain/etcd.go`).
const REMOVED_MEMBER: Duration = Duration::from_secs(2);

/// An event to record about the pod.
pub(super) struct Note {
    pub(super) field_path: String,
    pub(super) kind: EventType,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Told once, however often it is looked at.
    pub(super) once: bool,
}

/// What decides how the containers of a pod fare.
pub(super) struct Life<'a> {
    pub(super) pod: &'a Object,
    pub(super) seed: Seed,
    pub(super) now: DateTime<Utc>,
    /// The machine was started at this time; what started before is gone.
    pub(super) booted: DateTime<Utc>,
    /// How long it takes from binding or boot to running containers.
    pub(super) start_takes: Duration,
    /// How long containers run; `None` = for ever.
    pub(super) run_takes: Option<Duration>,
    pub(super) exit_code: i32,
    /// Whether containers are started again after they failed, and after they succeeded.
    restarts: (bool, bool),
}

impl<'a> Life<'a> {
    pub(super) fn of(pod: &'a Object, spec: &PodSpec, booted: DateTime<Utc>, context: &Context<'_>) -> Self {
        let seed = context.seed.child(&pod.uid_text());
        let behaviour = context.behaviour;
        let always = !matches!(spec.restart_policy.as_str(), "Never" | "OnFailure");
        let chosen = if is_removed_member(pod, spec, context) {
            Some(REMOVED_MEMBER)
        } else {
            pod.annotation(RUN_DURATION).and_then(duration)
        };
        Self {
            pod,
            seed,
            now: context.now,
            booted,
            start_takes: behaviour.pod_start.draw(seed.child("pod-start")),
            run_takes: chosen.or_else(|| (!always).then(|| behaviour.pod_run.draw(seed.child("pod-run")))),
            exit_code: pod
                .annotation(EXIT_CODE)
                .and_then(|code| code.parse().ok())
                .unwrap_or(0),
            restarts: (spec.restart_policy != "Never", always),
        }
    }

    pub(super) fn restarts_after(&self, code: i32) -> bool {
        if code == 0 {
            self.restarts.1
        } else {
            self.restarts.0
        }
    }

    pub(super) fn time(&self) -> String {
        Second::of(self.now).text()
    }
}

/// Whether it is the etcd of a node that is no member of the cluster's etcd.
fn is_removed_member(pod: &Object, spec: &PodSpec, context: &Context<'_>) -> bool {
    pod.annotation(MIRROR).is_some()
        && pod.namespace() == Some("kube-system")
        && pod.name().strip_prefix("etcd-") == Some(&*spec.node_name)
        && context
            .etcd
            .is_some_and(|etcd| etcd.by_name(&spec.node_name).is_none())
}

/// `5`, `2.5s`, `3m`, `1h`, `200ms`.
fn duration(text: &str) -> Option<Duration> {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("5", Some(5000)),
            ("2.5s", Some(2500)),
            ("200ms", Some(200)),
            ("1h", Some(3_600_000)),
            ("1d", None),
            ("-1s", None),
            ("", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
