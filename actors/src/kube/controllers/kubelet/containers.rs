//! The life of a pod's containers: waiting, running, ended, started again.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::needs;
use super::time_of;
use super::types::{Container, ContainerStatus, PodSpec, PodStatus, Running, State, Terminated};
use crate::kube::controller::{Context, later, until};
use crate::kube::controllers::events::EventType;
use crate::kube::object::{Object, Second};
use crate::kube::store::Store;
use crate::seed::Seed;

/// How long containers run that end by themselves.
const RUN_DURATION: &str = "metalsim.io/run-duration";
/// The code with which they end.
const EXIT_CODE: &str = "metalsim.io/exit-code";
/// First wait before a container that ended is started again, doubled each time (kubernetes: `pkg/kubelet/kubelet.go`).
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
/// Longest such wait.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// Code of a process that SIGTERM ended.
const TERMINATED: i32 = 143;

const CREATING: &str = "ContainerCreating";
const INITIALIZING: &str = "PodInitializing";
const CRASH_LOOP: &str = "CrashLoopBackOff";

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
    pod: &'a Object,
    seed: Seed,
    now: DateTime<Utc>,
    /// The machine was started at this time; what started before is gone.
    booted: DateTime<Utc>,
    /// How long it takes from binding or boot to running containers.
    pub(super) start_takes: Duration,
    /// How long containers run; `None` = for ever.
    run_takes: Option<Duration>,
    exit_code: i32,
    /// Whether containers are started again after they failed, and after they succeeded.
    restarts: (bool, bool),
}

impl<'a> Life<'a> {
    pub(super) fn of(pod: &'a Object, spec: &PodSpec, booted: DateTime<Utc>, context: &Context<'_>) -> Self {
        let seed = context.seed.child(&pod.uid_text());
        let behaviour = context.behaviour;
        let always = !matches!(spec.restart_policy.as_str(), "Never" | "OnFailure");
        let chosen = pod.annotation(RUN_DURATION).and_then(duration);
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

    fn restarts_after(&self, code: i32) -> bool {
        if code == 0 {
            self.restarts.1
        } else {
            self.restarts.0
        }
    }

    fn time(&self) -> String {
        Second::of(self.now).text()
    }
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
                    ..ContainerStatus::default()
                },
            });
        }
    }
}

/// Stops what ran before the machine was started.
pub(super) fn boot(life: &Life<'_>, status: &mut PodStatus) {
    let booted = Second::of(life.booted);
    for container in all_mut(status) {
        let Some(running) = &container.state.running else {
            continue;
        };
        if Second::parse(&running.started_at).is_none_or(|started| started < booted) {
            container.last_state = State::terminated(Terminated {
                exit_code: 255,
                reason: "Unknown".to_owned(),
                started_at: running.started_at.clone(),
                finished_at: booted.text(),
                container_id: container.container_id.clone(),
            });
            container.state = State::waiting(CREATING, "");
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
}

fn all(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
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
        if matches!(phase(spec, status), "Succeeded" | "Failed") {
            let sidecars = status.init_container_statuses.iter_mut();
            sidecars.for_each(|status| end(status, 0, life.now));
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
fn end(status: &mut ContainerStatus, code: i32, now: DateTime<Utc>) {
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

fn back_off(restarts: u32) -> Duration {
    match restarts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_BACK_OFF
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
            .min(LONGEST_BACK_OFF),
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    Second::parse(text).map(time_of)
}

/// One container that is looked at.
struct Step<'a> {
    store: &'a Store,
    life: &'a Life<'a>,
    container: &'a Container,
    path: &'a str,
    notes: &'a mut Vec<Note>,
}

impl Step<'_> {
    fn note(&mut self, kind: EventType, reason: &'static str, message: String, once: bool) {
        self.notes.push(Note {
            field_path: self.path.to_owned(),
            kind,
            reason,
            message,
            once,
        });
    }

    /// Starts the container, if it can be. Says whether.
    fn start(&mut self, status: &mut ContainerStatus) -> bool {
        if let Some(fault) = needs::config_fault(self.store, self.life.pod, self.container) {
            self.note(EventType::Warning, "Failed", format!("Error: {fault}"), true);
            status.state = State::waiting("CreateContainerConfigError", fault);
            return false;
        }
        if status.last_state.terminated.is_some() {
            status.restart_count = status.restart_count.saturating_add(1);
        }
        let Container {
            name,
            image,
            image_pull_policy,
            ..
        } = self.container;
        let seed = self
            .life
            .seed
            .child("container")
            .child(name)
            .indexed(u64::from(status.restart_count));
        if image_pull_policy == "Always" {
            let millis = 300 + seed.child("pull").value() % 2000;
            let size = 1_000_000 + Seed::root(0).child(image).value() % 100_000_000;
            self.note(
                EventType::Normal,
                "Pulling",
                format!("Pulling image \"{image}\""),
                false,
            );
            let took = if millis < 1000 {
                format!("{millis}ms")
            } else {
                format!("{}.{:03}s", millis / 1000, millis % 1000)
            };
            let message = format!(
                "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {size} bytes."
            );
            self.note(EventType::Normal, "Pulled", message, false);
        } else {
            let message = format!("Container image \"{image}\" already present on machine");
            self.note(EventType::Normal, "Pulled", message, false);
        }
        self.note(
            EventType::Normal,
            "Created",
            format!("Created container: {name}"),
            false,
        );
        self.note(
            EventType::Normal,
            "Started",
            format!("Started container {name}"),
            false,
        );
        let (image, id) = image_names(image);
        status.image = image;
        status.image_id = id;
        status.container_id = format!("containerd://{}", digest(seed));
        status.state = State {
            running: Some(Running {
                started_at: self.life.time(),
            }),
            ..State::default()
        };
        status.started = false;
        status.ready = false;
        true
    }

    /// Runs an init container to its end.
    fn initialize(&mut self, status: &mut ContainerStatus) {
        if self.start(status) {
            end(status, 0, self.life.now);
            status.ready = true;
        }
    }

    fn sidecar(&mut self, status: &mut ContainerStatus) -> Option<DateTime<Utc>> {
        if status.state.waiting.is_some() && !self.start(status) {
            return None;
        }
        self.probe(status)
    }

    fn main(&mut self, status: &mut ContainerStatus) -> Option<DateTime<Utc>> {
        let now = self.life.now;
        if let Some(waiting) = &status.state.waiting {
            if let Some(last) = &status.last_state.terminated
                && waiting.reason == CRASH_LOOP
            {
                let due = later(time(&last.finished_at)?, back_off(status.restart_count));
                if due > now {
                    return Some(due);
                }
            }
            if !self.start(status) {
                return None;
            }
        }
        let started = time(&status.state.running.as_ref()?.started_at)?;
        let over = self.life.run_takes.map(|takes| later(started, takes));
        let Some(over) = over else {
            return self.probe(status);
        };
        if over > now {
            let probed = self.probe(status);
            return Some(probed.map_or(over, |probed| probed.min(over)));
        }
        let code = self.life.exit_code;
        end(status, code, now);
        if !self.life.restarts_after(code) {
            return None;
        }
        status.last_state = std::mem::take(&mut status.state);
        let wait = back_off(status.restart_count);
        if wait.is_zero() {
            // The first time it is started again at once; its end is looked at the next time.
            self.start(status);
            let end = self.life.run_takes.map(|takes| later(now, takes));
            let probed = self.probe(status);
            return probed.into_iter().chain(end).min();
        }
        let pod = self.life.pod;
        let names = format!(
            "{}_{}({})",
            pod.name(),
            pod.namespace().unwrap_or(""),
            pod.uid_text()
        );
        let name = &self.container.name;
        let seconds = wait.as_secs();
        let text = if seconds < 60 {
            format!("{seconds}s")
        } else {
            format!("{}m{}s", seconds / 60, seconds % 60)
        };
        let message = format!("back-off {text} restarting failed container={name} pod={names}");
        status.state = State::waiting(CRASH_LOOP, message);
        let message = format!("Back-off restarting failed container {name} in pod {names}");
        self.note(EventType::Warning, "BackOff", message, false);
        Some(later(now, wait))
    }

    /// A running container is started and ready once its probes have had their first chance.
    fn probe(&self, status: &mut ContainerStatus) -> Option<DateTime<Utc>> {
        let running = status.state.running.as_ref()?;
        let started = time(&running.started_at)?;
        let delay = |probe: &Option<super::types::Probe>| {
            let seconds = probe.as_ref().map_or(0, |probe| probe.initial_delay_seconds);
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        };
        let up = later(started, delay(&self.container.startup_probe));
        let ready = later(up, delay(&self.container.readiness_probe));
        status.started = up <= self.life.now;
        status.ready = ready <= self.life.now;
        [up, ready].into_iter().find(|time| *time > self.life.now)
    }
}

/// 64 hexadecimal digits.
fn digest(seed: Seed) -> String {
    (0..4)
        .map(|index| format!("{:016x}", seed.indexed(index).value()))
        .collect()
}

/// The full name of an image, and its ID, as containerd tells them.
fn image_names(image: &str) -> (String, String) {
    let first = image.split('/').next().unwrap_or("");
    let has_host =
        image.contains('/') && (first.contains('.') || first.contains(':') || first == "localhost");
    let full = if has_host {
        image.to_owned()
    } else if image.contains('/') {
        format!("docker.io/{image}")
    } else {
        format!("docker.io/library/{image}")
    };
    let (repository, fixed) = match full.split_once('@') {
        Some((repository, digest)) => (repository.to_owned(), Some(digest.to_owned())),
        None => (full.clone(), None),
    };
    let last = repository.rfind('/').map_or(0, |slash| slash + 1);
    let colon = repository
        .get(last..)
        .and_then(|name| name.find(':'))
        .map(|colon| last + colon);
    let bare = colon
        .and_then(|colon| repository.get(..colon))
        .unwrap_or(&repository);
    let tagged = if colon.is_some() || fixed.is_some() {
        full
    } else {
        format!("{full}:latest")
    };
    let sum =
        fixed.unwrap_or_else(|| format!("sha256:{}", digest(Seed::root(0).child("image").child(&tagged))));
    let id = format!("{bare}@{sum}");
    (tagged, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_get_their_full_names() {
        assert_eq!(image_names("nginx").0, "docker.io/library/nginx:latest");
        assert_eq!(image_names("a/b:1").0, "docker.io/a/b:1");
        let (name, id) = image_names("registry.k8s.io/coredns/coredns:v1.12.1");
        assert_eq!(name, "registry.k8s.io/coredns/coredns:v1.12.1");
        assert!(id.starts_with("registry.k8s.io/coredns/coredns@sha256:"), "{id}");
        assert_eq!(
            image_names("localhost:5000/x@sha256:ab").1,
            "localhost:5000/x@sha256:ab"
        );
    }

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
        assert_eq!(back_off(0), Duration::ZERO);
        assert_eq!(back_off(3), Duration::from_secs(40));
        assert_eq!(back_off(60), LONGEST_BACK_OFF);
    }
}
