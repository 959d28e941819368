//! The agent in the ramdisk: its conversation with Ironic and its command API.
//!
//! The model is ironic-python-agent. Its talk outwards (inspection, look-up, heartbeats) is in [`link`], the commands
//! it takes in [`command`] and [`plan`], what it finds of the hardware in [`inventory`].

pub mod command;
mod error;
mod image;
pub mod inventory;
pub mod link;
mod logs;
mod plan;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use self::command::{AgentReply, AgentRequest, CommandName};
pub use self::error::AgentError;
use self::link::{Inspection, Link};
pub(super) use self::plan::Change;
use super::bmc::Secret;
use super::effect::AgentParameters;
use super::phase::Phase;
use crate::ids::CommandId;
use crate::time::SimInstant;
use crate::wire::agent::{ApiVersion, CommandResult};

/// What all agents of a process share.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Where the agents' API is, without a trailing slash; an agent's own URL is this, a slash and the node's id.
    pub advertise_url: Arc<str>,
    /// `agent_version` in heartbeats and `/v1/status`.
    pub version: Arc<str>,
    /// The certificate that the API serves, as PEM, when Ironic has to be told of it.
    pub verify_ca: Option<Arc<str>>,
    /// Command results kept; the newest are.
    pub command_history: usize,
    /// `bmc_address` in the inventory, when all nodes have the same.
    pub bmc_address: Option<Arc<str>>,
}

/// A running agent. It lives from the end of the ramdisk's boot until power or boot change.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(super) parameters: Arc<AgentParameters>,
    pub(super) started_at: SimInstant,
    pub(super) inspection: Inspection,
    pub(super) link: Link,
    pub(super) url_index: u8,
    pub(super) newest_version: Option<ApiVersion>,
    pub(super) node_uuid: Option<uuid::Uuid>,
    pub(super) token: Option<Secret>,
    pub(super) heartbeat_timeout: Duration,
    pub(super) serving: bool,
    /// It has not started yet: that is still to come, at `started_at`.
    pub(super) late: bool,
    /// Shared, like the running command: the node is copied for every step, and results can be large.
    pub(super) commands: VecDeque<Arc<CommandResult>>,
    pub(super) running: Option<Arc<Running>>,
}

/// A command that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) id: CommandId,
    pub(super) name: CommandName,
    /// When it ends; none: never.
    pub(super) finish_at: Option<SimInstant>,
    pub(super) ending: plan::Ending,
    /// The config drive is still being fetched from its URL.
    pub(super) fetching: bool,
}

/// What ending a command does to the rest of the node.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    pub(super) changes: Vec<Change>,
}

impl Agent {
    pub(super) fn new(parameters: Arc<AgentParameters>, now: SimInstant) -> Self {
        let inspection = if parameters.inspection_callback_urls.is_empty() {
            Inspection::NotWanted
        } else {
            Inspection::Waiting { at: now, failures: 0 }
        };
        let mut agent = Self {
            token: parameters.token.clone(),
            started_at: now,
            inspection,
            link: Link::Idle,
            url_index: 0,
            newest_version: parameters.newest_version,
            node_uuid: None,
            heartbeat_timeout: Duration::from_secs(300),
            serving: true,
            late: false,
            parameters,
            commands: VecDeque::new(),
            running: None,
        };
        if matches!(agent.inspection, Inspection::NotWanted) {
            agent.start_link(now);
        }
        agent
    }

    /// One that starts at `start`, and until then does nothing.
    pub(super) fn late(parameters: Arc<AgentParameters>, start: SimInstant) -> Self {
        Self {
            late: true,
            ..Self::new(parameters, start)
        }
    }

    /// One that never starts.
    pub(super) fn silent(parameters: Arc<AgentParameters>, now: SimInstant) -> Self {
        let mut agent = Self::new(parameters, now);
        agent.fall_silent();
        agent
    }

    /// Whether the API answers at all.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.serving && !self.late
    }

    /// When the agent starts, if it has not yet.
    #[must_use]
    pub fn starts_at(&self) -> Option<SimInstant> {
        self.late.then_some(self.started_at)
    }

    /// Ironic's id of the node, once it is known.
    #[must_use]
    pub fn node_uuid(&self) -> Option<uuid::Uuid> {
        self.node_uuid
    }

    /// Whether a command runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// When the agent next has something to do by itself.
    #[must_use]
    pub fn next_deadline(&self) -> Option<SimInstant> {
        let command = self
            .running
            .as_ref()
            .filter(|running| !running.fetching)
            .and_then(|running| running.finish_at);
        [
            self.starts_at(),
            command,
            self.inspection.deadline(),
            self.link.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn phase(&self) -> Phase {
        if !self.is_serving() {
            Phase::AgentSilent
        } else if self.running.is_some() {
            Phase::AgentBusy
        } else {
            match self.link {
                Link::Idle => Phase::Inspecting,
                Link::Waiting { .. } | Link::InFlight { .. } => Phase::LookingUp,
                Link::Beating { .. } => Phase::AgentReady,
                Link::Silent => Phase::AgentSilent,
            }
        }
    }

    /// The result of the command `id`, if it is still kept.
    #[must_use]
    pub fn command(&self, id: CommandId) -> Option<&Arc<CommandResult>> {
        self.commands.iter().rev().find(|result| result.id == id)
    }

    /// Stops everything that speaks to the outside; the host stays on.
    pub(super) fn fall_silent(&mut self) {
        self.serving = false;
        self.link = Link::Silent;
        self.inspection = Inspection::Done;
    }
}
