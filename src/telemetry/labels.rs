//! The values of labels, and which one belongs to what.

use metalsim_actors::fault::What;
use metalsim_actors::kube::resource::ROWS;
use metalsim_actors::node::agent::CommandName;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::effect::{BootResult, CallError, CallKind};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::node::profile::HardwareProfile;
use metalsim_actors::wire::agent::CommandStatus;

use crate::observer::Protocol;

pub(super) const POWERS: [&str; 4] = ["off", "powering_on", "on", "powering_off"];
pub(super) const CALLS: [&str; 4] = ["inspect", "discover", "lookup", "heartbeat"];
pub(super) const RESULTS: [&str; 8] = [
    "ok",
    "redirect",
    "not_found",
    "conflict",
    "client_error",
    "server_error",
    "no_connection",
    "bad_answer",
];
pub(super) const BOOT_RESULTS: [&str; 4] = ["agent", "disk", "live", "failed"];
pub(super) const STATUSES: [&str; 4] = ["running", "succeeded", "failed", "version_mismatch"];
/// By the first digit of the status.
pub(super) const CLASSES: [&str; 6] = ["dropped", "1xx", "2xx", "3xx", "4xx", "5xx"];
pub(super) const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "other",
];
/// In the words of RBAC; `other`: requests that name no resource, or were refused before.
pub(super) const VERBS: [&str; 9] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "other",
];
/// What holds, and what does not.
pub(super) const TRUTH: [&str; 2] = ["true", "false"];
pub(super) const OPEN: [&str; 2] = ["open", "closed"];
pub(super) const RUNNING: [&str; 2] = ["running", "stopped"];
pub(super) const ROLES: [&str; 2] = ["control_plane", "worker"];
pub(super) const HANDSHAKES: [&str; 2] = ["completed", "failed"];
pub(super) const STREAMS: [&str; 2] = ["watch", "log"];

/// The group of resources without one.
const CORE: &str = "core";
/// The group of all resources that are not built in.
const CUSTOM: &str = "custom";
/// The group of requests that name no resource.
const OTHER: &str = "other";

pub(super) fn owned(words: impl IntoIterator<Item = &'static str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

pub(super) fn phases() -> Vec<String> {
    owned(Phase::ALL.map(Phase::as_str))
}

pub(super) fn commands() -> Vec<String> {
    owned(CommandName::ALL.iter().map(|command| command.full()))
}

pub(super) fn boot_targets() -> Vec<String> {
    HardwareProfile::BOOT_ORDER
        .iter()
        .map(|target| format!("{target:?}"))
        .collect()
}

pub(super) fn protocols() -> Vec<String> {
    owned(Protocol::ALL.map(Protocol::as_str))
}

pub(super) fn faults() -> Vec<String> {
    owned(What::WORDS)
}

/// Groups of the built-in resources, then the two others.
pub(super) fn groups() -> Vec<String> {
    let mut groups: Vec<&str> = ROWS.iter().map(|row| row.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let built_in = groups
        .into_iter()
        .map(|group| if group.is_empty() { CORE } else { group });
    owned(built_in.chain([CUSTOM, OTHER]))
}

/// The label's value for the group of a resource; none: no resource.
pub(super) fn group(group: Option<&str>) -> &str {
    match group {
        None => OTHER,
        Some("") => CORE,
        Some(group) => group,
    }
}

pub(super) fn power_index(power: PowerState) -> usize {
    match power {
        PowerState::Off => 0,
        PowerState::PoweringOn => 1,
        PowerState::On => 2,
        PowerState::PoweringOff => 3,
    }
}

pub(super) fn call_index(kind: CallKind) -> usize {
    match kind {
        CallKind::Inspect => 0,
        CallKind::Discover => 1,
        CallKind::Lookup => 2,
        CallKind::Heartbeat => 3,
    }
}

pub(super) fn result_index(result: Result<(), CallError>) -> usize {
    match result {
        Ok(()) => 0,
        Err(CallError::Status(404)) => 2,
        Err(CallError::Status(409)) => 3,
        Err(CallError::Status(400..500)) => 4,
        Err(CallError::Status(500..)) => 5,
        Err(CallError::Status(_)) => 1,
        Err(CallError::Connection) => 6,
        Err(CallError::Body) => 7,
    }
}

pub(super) fn boot_index(result: BootResult) -> usize {
    match result {
        BootResult::Agent => 0,
        BootResult::Disk => 1,
        BootResult::Live => 2,
        BootResult::Failed => 3,
    }
}

pub(super) fn status_index(status: CommandStatus) -> usize {
    match status {
        CommandStatus::Running => 0,
        CommandStatus::Succeeded => 1,
        CommandStatus::Failed => 2,
        CommandStatus::CleanVersionMismatch => 3,
    }
}
