//! The life of a pod's containers: waiting, running, ended, started again.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::life::{Life, Note};
use super::step::Step;
use super::types::{Container, ContainerStatus, PodSpec, PodStatus, State, Terminated};
use crate::kube::controller::until;
use crate::kube::object::Second;
use crate::kube::store::Store;

/// Code of a process that SIGTERM ended.
const TERMINATED: i32 = 143;
/// Code of a process of which nobody saw the end.
const LOST: i32 = 255;

const CREATING: &str = "ContainerCreating";
const INITIALIZING: &str = "PodInitializing";
pub(super) const CRASH_LOOP: &str = "CrashLoopBackOff";

/// Gives each container of the spec its place in the status.
pub(super) fn prepare(spec: &PodSpec, status: &mut PodStatus) {
    let reason = if spec.init_containers.is_empty() {
        CREATING
    } else {
        INITIALIZING
    };
    for (containers, statuses) in [
        (&spec.containers, &mut status.container_statuses),
        (&spec.init_containers, &mut status.init_container_statuses),
        (
            &spec.ephemeral_containers,
            &mut status.ephemeral_container_statuses,
        ),
    ] {
        let mut old = std::mem::take(statuses);
        for container in containers {
            let place = old.iter().position(|status| status.name == container.name);
            statuses.push(match place {
                Some(place) => old.swap_remove(place),
                None => ContainerStatus {
                    name: container.name.clone(),
                    state: State::waiting(reason, ""),
                    image: container.image.clone(),
                    volume_mounts: container.mounts(),
                    ..ContainerStatus::default()
                },
            });
        }
    }
}

/// Stops what ran before the machine was started. What is not started again has failed.
pub(super) fn boot(life: &Life<'_>, status: &mut PodStatus) {
    let again = life.restarts_after(LOST);
    let lists = [
        (&mut status.init_container_statuses, true),
        (&mut status.container_statuses, again),
        (&mut status.ephemeral_container_statuses, false),
    ];
    let booted = Second::of(life.booted);
    for (container, again) in lists
        .into_iter()
        .flat_map(|(list, again)| list.iter_mut().map(move |container| (container, again)))
    {
        let Some(running) = &container.state.running else {
            continue;
        };
        if Second::parse(&running.started_at).is_none_or(|started| started < booted) {
            let ended = State::terminated(Terminated {
                exit_code: LOST,
                reason: "Unknown".to_owned(),
                started_at: running.started_at.clone(),
                finished_at: booted.text(),
                container_id: container.container_id.clone(),
            });
            if again {
                container.last_state = ended;
                container.state = State::waiting(CREATING, "");
            } else {
                container.state = ended;
            }
            container.ready = false;
            container.started = false;
        }
    }
}

fn all_mut(status: &mut PodStatus) -> impl Iterator<Item = &mut ContainerStatus> {
    status
        .init_container_statuses
        .iter_mut()
        .chain(&mut status.container_statuses)
        .chain(&mut status.ephemeral_container_statuses)
}

fn all(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .chain(&status.ephemeral_container_statuses)
}

fn has_started(container: &ContainerStatus) -> bool {
    container.state.running.is_some()
        || container.state.terminated.is_some()
        || container.last_state.terminated.is_some()
}

/// Whether any container ran, so that the pod's volumes are there.
pub(super) fn any_started(status: &PodStatus) -> bool {
    all(status).any(has_started)
}

/// Path and name of each running container.
pub(super) fn running(status: &PodStatus) -> Vec<(String, String)> {
    let path = |list: &'static str| {
        move |container: &ContainerStatus| {
            let path = format!("spec.{list}{{{}}}", container.name);
            container
                .state
                .running
                .is_some()
                .then(|| (path, container.name.clone()))
        }
    };
    status
        .init_container_statuses
        .iter()
        .filter_map(path("initContainers"))
        .chain(status.container_statuses.iter().filter_map(path("containers")))
        .chain(
            status
                .ephemeral_container_statuses
                .iter()
                .filter_map(path("ephemeralContainers")),
        )
        .collect()
}

/// Containers that are not ready, sidecars among them.
pub(super) fn unready<'a>(spec: &PodSpec, status: &'a PodStatus) -> Vec<&'a str> {
    spec.init_containers
        .iter()
        .zip(&status.init_container_statuses)
        .filter(|(container, _)| container.is_sidecar())
        .map(|(_, status)| status)
        .chain(&status.container_statuses)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect()
}

/// Init containers that are not done, or, as sidecars, not started.
pub(super) fn uninitialized<'a>(spec: &PodSpec, status: &'a PodStatus) -> Vec<&'a str> {
    spec.init_containers
        .iter()
        .zip(&status.init_container_statuses)
        .filter(|(container, status)| !is_done(container, status))
        .map(|(_, status)| status.name.as_str())
        .collect()
}

fn is_done(container: &Container, status: &ContainerStatus) -> bool {
    if container.is_sidecar() {
        has_started(status)
    } else {
        status
            .state
            .terminated
            .as_ref()
            .is_some_and(|terminated| terminated.exit_code == 0)
    }
}

/// `status.phase` (kubernetes: `pkg/kubelet/kubelet_pods.go`, `getPhase`).
pub(super) fn phase(spec: &PodSpec, status: &PodStatus) -> &'static str {
    let main = &status.container_statuses;
    let codes: Vec<i32> = main
        .iter()
        .filter_map(|container| Some(container.state.terminated.as_ref()?.exit_code))
        .collect();
    if !main.is_empty() && codes.len() == main.len() {
        return if codes.iter().all(|code| *code == 0) {
            "Succeeded"
        } else {
            "Failed"
        };
    }
    if uninitialized(spec, status).is_empty() && main.iter().any(has_started) {
        "Running"
    } else {
        "Pending"
    }
}

/// Takes all containers as far as they come by now. Says when there is more to do.
pub(super) fn advance(
    store: &Store,
    life: &Life<'_>,
    spec: &PodSpec,
    status: &mut PodStatus,
    notes: &mut Vec<Note>,
) -> Option<Duration> {
    let mut next: Option<DateTime<Utc>> = None;
    let mut earliest = |time: Option<DateTime<Utc>>| {
        if let Some(time) = time {
            next = Some(next.map_or(time, |next| next.min(time)));
        }
    };
    let mut initialized = true;
    for (container, status) in spec
        .init_containers
        .iter()
        .zip(&mut status.init_container_statuses)
    {
        let path = format!("spec.initContainers{{{}}}", container.name);
        let mut step = Step {
            store,
            life,
            container,
            path: &path,
            notes,
        };
        if container.is_sidecar() {
            earliest(step.sidecar(status));
        } else if !is_done(container, status) {
            step.initialize(status);
        }
        if !is_done(container, status) {
            initialized = false;
            break;
        }
    }
    if initialized {
        for (container, status) in spec.containers.iter().zip(&mut status.container_statuses) {
            let path = format!("spec.containers{{{}}}", container.name);
            let mut step = Step {
                store,
                life,
                container,
                path: &path,
                notes,
            };
            earliest(step.main(status));
        }
        let ephemeral = spec.ephemeral_containers.iter();
        for (container, status) in ephemeral.zip(&mut status.ephemeral_container_statuses) {
            let path = format!("spec.ephemeralContainers{{{}}}", container.name);
            let mut step = Step {
                store,
                life,
                container,
                path: &path,
                notes,
            };
            step.ephemeral(status);
        }
        if matches!(phase(spec, status), "Succeeded" | "Failed") {
            // Those beside the main ones end with them.
            all_mut(status).for_each(|status| end(status, 0, life.now));
            return None;
        }
    }
    next.map(|next| until(life.now, next))
}

/// Stops all containers.
pub(super) fn stop(spec: &PodSpec, status: &mut PodStatus, now: DateTime<Utc>) {
    let code = if matches!(spec.restart_policy.as_str(), "Never" | "OnFailure") {
        TERMINATED
    } else {
        0
    };
    for container in all_mut(status) {
        end(container, code, now);
    }
}

/// Ends a running container.
pub(super) fn end(status: &mut ContainerStatus, code: i32, now: DateTime<Utc>) {
    if let Some(running) = status.state.running.take() {
        status.state = State::terminated(Terminated {
            exit_code: code,
            reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
            started_at: running.started_at,
            finished_at: Second::of(now).text(),
            container_id: status.container_id.clone(),
        });
        status.ready = false;
        status.started = false;
    }
}
