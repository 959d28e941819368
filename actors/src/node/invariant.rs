//! Named invariants of a node, checked after every step in debug builds and by the property tests.

use super::Node;
use super::firmware::{Host, System};
use super::update::TASKS;

/// A rule that holds between any two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// An agent exists exactly while a ramdisk with one runs.
    AgentOnlyInRamdisk,
    /// An installed system exists exactly while one from the disk runs.
    OsOnlyFromDisk,
    /// A host without power waits for nothing; its BMC may.
    OffIsIdle,
    /// At most one firmware update runs, and few tasks are kept.
    OneUpdateAtATime,
    /// A running command is the newest result and shows as running; no other does.
    OneCommandAtATime,
    /// The command history stays within its bound.
    HistoryIsBounded,
    /// An agent that fell silent has no deadline of its own but that of a running command.
    SilentAgentIsQuiet,
    /// An agent that has not started yet has done nothing, and waits for nothing sooner.
    LateAgentIsFresh,
    /// A system that is to restart is up.
    OnlyWhatIsUpRestarts,
}

/// The first invariant that does not hold.
///
/// # Errors
/// The broken invariant.
pub fn check(node: &Node) -> Result<(), Invariant> {
    use crate::wire::agent::CommandStatus::Running;

    let runs_ramdisk = matches!(node.host(), Host::Running(System::Agent(_)));
    ensure(
        node.agent().is_some() == runs_ramdisk,
        Invariant::AgentOnlyInRamdisk,
    )?;
    let runs_disk = matches!(node.host(), Host::Running(System::Disk));
    ensure(node.os().is_some() == runs_disk, Invariant::OsOnlyFromDisk)?;
    let restarts_early = node
        .os()
        .is_some_and(|os| os.restarts_at().is_some() && !os.stage().is_up());
    ensure(!restarts_early, Invariant::OnlyWhatIsUpRestarts)?;
    if *node.host() == Host::Off {
        let waits = [node.host_deadline(), node.agent_deadline(), node.os_deadline()];
        ensure(waits.iter().all(Option::is_none), Invariant::OffIsIdle)?;
    }
    let updates = node.bmc().tasks().filter(|task| task.is_running()).count();
    let few = updates <= 1 && node.bmc().tasks().count() <= TASKS;
    ensure(few, Invariant::OneUpdateAtATime)?;
    let Some(agent) = node.agent() else { return Ok(()) };
    let running = agent
        .commands
        .iter()
        .filter(|result| result.command_status == Running)
        .count();
    let newest_runs = agent
        .commands
        .back()
        .is_some_and(|result| result.command_status == Running);
    let consistent = if agent.is_busy() {
        running == 1 && newest_runs
    } else {
        running == 0
    };
    ensure(consistent, Invariant::OneCommandAtATime)?;
    let bound = node.kind().agent.command_history.max(1);
    ensure(agent.commands.len() <= bound, Invariant::HistoryIsBounded)?;
    if let Some(start) = agent.starts_at() {
        let fresh = agent.commands.is_empty() && agent.node_uuid().is_none();
        let waits = agent.next_deadline() == Some(start);
        return ensure(fresh && waits, Invariant::LateAgentIsFresh);
    }
    let quiet = agent.is_serving() || agent.is_busy() || agent.next_deadline().is_none();
    ensure(quiet, Invariant::SilentAgentIsQuiet)
}

fn ensure(holds: bool, invariant: Invariant) -> Result<(), Invariant> {
    if holds { Ok(()) } else { Err(invariant) }
}
