//! In which phase of its life a node is.

use super::Node;
use super::firmware::{Host, System};
use super::os::{Os, Stage};

pub use crate::phase::Phase;

impl Phase {
    pub(super) fn of(node: &Node) -> Self {
        match node.host() {
            Host::Off | Host::Unpowered { .. } => Self::Off,
            Host::PoweringOn { .. } => Self::PoweringOn,
            Host::Post { .. } => Self::Post,
            Host::Resolving { .. } | Host::Loading { .. } => Self::Booting,
            Host::NoBootDevice => Self::NoBootDevice,
            Host::PoweringOff { .. } => Self::PoweringOff,
            Host::Running(System::Disk) => match node.os().map(Os::stage) {
                Some(Stage::Reading | Stage::Configuring { .. }) => Self::CloudInit,
                Some(Stage::Bootstrapping { .. }) => Self::Bootstrapping,
                Some(Stage::Up | Stage::BootstrapFailed) | None => Self::OsRunning,
            },
            Host::Running(System::Live | System::Setup) => Self::LiveSystem,
            Host::Running(System::Agent(_)) => {
                node.agent().map_or(Self::AgentSilent, super::agent::Agent::phase)
            }
        }
    }
}
