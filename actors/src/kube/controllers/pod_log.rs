//! Logs of containers, computed when they are read: `GET .../pods/{name}/log` (kubernetes: `pkg/registry/core/pod/strategy.go`, `LogLocation`;
//! `pkg/kubelet/kubelet_pods.go`, `validateContainerLogStatus`).

mod lines;
mod query;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;

use crate::kube::object::{Object, Second};
use crate::kube::status::{Status, quote};
use crate::seed::Seed;

pub use query::LogQuery;

use lines::{Line, Run};

/// Lines that are kept of a log; older ones were rotated away.
const MOST_LINES: u64 = 5000;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    containers: Vec<Named>,
    init_containers: Vec<Named>,
    ephemeral_containers: Vec<Named>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    container_statuses: Vec<Container>,
    init_container_statuses: Vec<Container>,
    ephemeral_container_statuses: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    restart_count: u64,
    state: State,
    last_state: State,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Waiting {
    reason: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Running {
    started_at: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i32,
    started_at: String,
    finished_at: String,
}

/// The container that a log is asked of: the one that is named, or the only one.
///
/// # Errors
/// 400 when it does not exist, or has to be named.
pub fn container_of(pod: &Object, asked: &str) -> Result<String, Status> {
    let spec: Spec = pod.read("spec").unwrap_or_default();
    let names = |list: &[Named]| {
        let names: Vec<&str> = list.iter().map(|one| one.name.as_str()).collect();
        names.join(" ")
    };
    let pod = pod.name();
    if !asked.is_empty() {
        let lists = [
            &spec.containers,
            &spec.init_containers,
            &spec.ephemeral_containers,
        ];
        let known = lists.into_iter().flatten().any(|one| one.name == asked);
        return if known {
            Ok(asked.to_owned())
        } else {
            Err(Status::bad_request(format!(
                "container {asked} is not valid for pod {pod}"
            )))
        };
    }
    match spec.containers.as_slice() {
        [one] => Ok(one.name.clone()),
        list => {
            let mut message = format!("a container name must be specified for pod {pod}");
            if !list.is_empty() {
                message = format!("{message}, choose one of: [{}]", names(list));
                if !spec.init_containers.is_empty() {
                    let init = names(&spec.init_containers);
                    message = format!("{message} or one of the init containers: [{init}]");
                }
            }
            Err(Status::bad_request(message))
        }
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(Second::parse(text)?.0, 0)
}

/// The run of the container whose log is asked for; `None` while the pod has no node.
fn run_of(pod: &Object, container: &str, previous: bool) -> Result<Option<Run>, Status> {
    let spec: Spec = pod.read("spec").unwrap_or_default();
    if spec.node_name.is_empty() {
        return Ok(None);
    }
    let status: PodStatus = pod.read("status").unwrap_or_default();
    let lists = [
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    ];
    let found = lists.into_iter().flatten().find(|one| one.name == container);
    let named = format!("container {} in pod {}", quote(container), quote(pod.name()));
    let Some(found) = found else {
        return Err(Status::bad_request(format!("{named} is not available")));
    };
    let Container {
        image,
        restart_count,
        state,
        last_state,
        ..
    } = found;
    let seed = Seed::root(0).child("log").child(&pod.uid_text()).child(container);
    let run = |number: u64, started: &str, ended: Option<&Terminated>| Run {
        seed: seed.indexed(number),
        name: container.to_owned(),
        image: image.clone(),
        started: time(started).unwrap_or_default(),
        ended: ended.and_then(|ended| Some((time(&ended.finished_at)?, ended.exit_code))),
    };
    let over = |number: u64, ended: &Terminated| run(number, &ended.started_at, Some(ended));
    let run_before = restart_count.saturating_sub(1);
    if previous {
        return match &last_state.terminated {
            Some(last) => Ok(Some(over(run_before, last))),
            None => Err(Status::bad_request(format!(
                "previous terminated {named} not found"
            ))),
        };
    }
    if let Some(running) = &state.running {
        return Ok(Some(run(restart_count, &running.started_at, None)));
    }
    if let Some(ended) = &state.terminated {
        return Ok(Some(over(restart_count, ended)));
    }
    if let Some(last) = &last_state.terminated {
        // It waits to be started again: the count moves when it is.
        return Ok(Some(over(restart_count, last)));
    }
    let why = match state.waiting.map(|waiting| waiting.reason).as_deref() {
        Some("ErrImagePull") => ": image can't be pulled".to_owned(),
        Some("ImagePullBackOff") => ": trying and failing to pull image".to_owned(),
        Some(reason) => format!(": {reason}"),
        None => " - no logs yet".to_owned(),
    };
    Err(Status::bad_request(format!("{named} is waiting to start{why}")))
}

/// Writes lines as the query wants them, as long as there is room.
fn write(lines: impl Iterator<Item = Line>, query: &LogQuery, room: &mut Option<usize>, out: &mut Vec<u8>) {
    for line in lines {
        let before = out.len();
        if query.timestamps {
            let stamp = line.time.to_rfc3339_opts(SecondsFormat::Nanos, true);
            out.extend_from_slice(stamp.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.text.as_bytes());
        out.push(b'\n');
        if let Some(room) = room {
            let length = out.len().saturating_sub(before);
            out.truncate(before.saturating_add(length.min(*room)));
            *room = room.saturating_sub(length);
            if *room == 0 {
                return;
            }
        }
    }
}

/// The log of a container up to `now`, as much as the query asks for: lines that each end in a line feed. The empty name is the only container. A
/// pod without a node has an empty log.
///
/// # Errors
/// 400 when there is no such container, when it has to be named, when it was not started yet, or not before.
pub fn log_lines(
    pod: &Object,
    container: &str,
    query: &LogQuery,
    now: DateTime<Utc>,
) -> Result<Vec<u8>, Status> {
    follow(pod, container, query, now).map(|(bytes, _)| bytes)
}

/// The same, and what follows from there for `follow=true`.
///
/// # Errors
/// As [`log_lines`].
pub fn follow(
    pod: &Object,
    container: &str,
    query: &LogQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<u8>, Option<Follower>), Status> {
    let container = container_of(pod, container)?;
    let mut out = Vec::new();
    let Some(run) = run_of(pod, &container, query.previous)? else {
        return Ok((out, None));
    };
    let count = run.count(now);
    let most = query.tail_lines.unwrap_or(MOST_LINES).min(MOST_LINES);
    let since = match (query.since_seconds, query.since_time) {
        (Some(seconds), _) => TimeDelta::try_seconds(seconds).and_then(|delta| now.checked_sub_signed(delta)),
        (None, since) => since,
    };
    let mut room = query.limit_bytes;
    let lines = (count.saturating_sub(most)..count)
        .map(|number| run.line(number, now))
        .filter(|line| since.is_none_or(|since| line.time >= since));
    write(lines, query, &mut room, &mut out);
    let open = query.follow && run.ended.is_none() && room != Some(0);
    let follower = open.then(|| Follower {
        container,
        uid: pod.uid,
        run,
        query: query.clone(),
        told: now,
        room,
    });
    Ok((out, follower))
}

/// A reader of a log that stays for what is still to come.
#[derive(Clone, Debug)]
pub struct Follower {
    container: String,
    uid: uuid::Uuid,
    run: Run,
    query: LogQuery,
    /// What was written up to here was told.
    told: DateTime<Utc>,
    room: Option<usize>,
}

impl Follower {
    /// What was written since the last time, and when to ask again; `None` = it is over: the container ended, or all bytes that were wanted are told.
    /// To be asked also when the pod changed. `pod` is `None` once it is deleted.
    pub fn poll(&mut self, pod: Option<&Object>, now: DateTime<Utc>) -> (Vec<u8>, Option<DateTime<Utc>>) {
        let mut out = Vec::new();
        let found = pod
            .filter(|pod| pod.uid == self.uid)
            .map(|pod| (pod, run_of(pod, &self.container, false)));
        let mut over = match found {
            Some((_, Ok(Some(run)))) if run.started == self.run.started && run.seed == self.run.seed => {
                self.run.ended = run.ended;
                self.run.has_ended(now)
            }
            // Another run, or none: how this one ended stands in the last state.
            Some((pod, _)) => {
                if let Ok(Some(last)) = run_of(pod, &self.container, true)
                    && last.started == self.run.started
                {
                    self.run.ended = last.ended;
                }
                true
            }
            None => true,
        };
        let (from, to) = (self.run.count_running(self.told), self.run.count(now));
        let first = from.max(to.saturating_sub(MOST_LINES));
        let lines = (first..to).map(|number| self.run.line(number, now));
        write(lines, &self.query, &mut self.room, &mut out);
        self.told = self.told.max(now);
        over |= self.room == Some(0);
        let next = if over { None } else { self.run.next(now) };
        (out, next)
    }
}

/// The answer of a server that cannot reach the kubelet of the pod's node, at this address.
#[must_use]
pub fn unreachable(pod: &Object, container: &str, address: &str) -> Status {
    let (namespace, name) = (pod.namespace().unwrap_or(""), pod.name());
    let url = format!("https://{address}:10250/containerLogs/{namespace}/{name}/{container}");
    Status::behind(format!(
        "Get \"{url}\": dial tcp {address}:10250: connect: no route to host"
    ))
}

#[cfg(test)]
mod tests;
