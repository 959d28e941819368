//! One container of a pod, one step on: started, ended, waiting to be started again.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::containers::{CRASH_LOOP, end};
use super::images::{digest, image_names};
use super::life::{Life, Note};
use super::needs;
use super::time_of;
use super::types::{Container, ContainerStatus, Probe, Running, State};
use crate::kube::controller::later;
use crate::kube::controllers::events::EventType;
use crate::kube::object::Second;
use crate::kube::store::Store;
use crate::seed::Seed;

/// First wait before a container that ended is started again, doubled each time (kubernetes: `pkg/kubelet/kubelet.go`).
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
/// Longest such wait.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

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
pub(super) struct Step<'a> {
    pub(super) store: &'a Store,
    pub(super) life: &'a Life<'a>,
    pub(super) container: &'a Container,
    pub(super) path: &'a str,
    pub(super) notes: &'a mut Vec<Note>,
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
        status.allocated_resources = self.container.resources.get("requests").cloned();
        status.resources = Some(self.container.resources.clone());
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
    pub(super) fn initialize(&mut self, status: &mut ContainerStatus) {
        if self.start(status) {
            end(status, 0, self.life.now);
            status.ready = true;
        }
    }

    pub(super) fn sidecar(&mut self, status: &mut ContainerStatus) -> Option<DateTime<Utc>> {
        if status.state.waiting.is_some() && !self.start(status) {
            return None;
        }
        self.probe(status)
    }

    /// Runs until the pod ends, and is never ready.
    pub(super) fn ephemeral(&mut self, status: &mut ContainerStatus) {
        if status.state.waiting.is_some() {
            self.start(status);
        }
    }

    pub(super) fn main(&mut self, status: &mut ContainerStatus) -> Option<DateTime<Utc>> {
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
        let delay = |probe: &Option<Probe>| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer() {
        assert_eq!(back_off(0), Duration::ZERO);
        assert_eq!(back_off(3), Duration::from_secs(40));
        assert_eq!(back_off(60), LONGEST_BACK_OFF);
    }
}
