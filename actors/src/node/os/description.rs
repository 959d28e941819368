//! What cloud-init or Ignition makes of a system: its name, its files, the commands it runs, and what it is for.
//!
//! Contents of files are not kept: what later steps need of them is in the [`Intent`].

use serde::Serialize;

use super::intent::Intent;
use crate::node::bmc::Secret;

/// A system as its config drive describes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SystemDescription {
    /// Host name, without a domain.
    pub hostname: Option<Box<str>>,
    /// What `meta_data.json` says of the machine.
    pub meta_data: MetaData,
    /// Files, in the order in which they are written.
    pub files: Box<[WrittenFile]>,
    /// Commands, in the order in which they run.
    pub commands: Box<[Command]>,
    /// Users that are made or changed.
    pub users: Box<[Box<str>]>,
    /// IP addresses that `network_data.json` gives to the machine, without their prefix.
    pub addresses: Box<[Box<str>]>,
    /// What was wrong or is not simulated; the system boots all the same, as a real one does.
    pub warnings: Box<[Box<str>]>,
    /// What the system is for.
    pub intent: Intent,
}

/// The parts of `meta_data.json` that say who a machine is (baremetal-operator: `pkg/provisioner/ironic/ironic.go`;
/// cluster-api-provider-metal3: `baremetal/metal3data_manager.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetaData {
    /// `uuid`: on Metal3 the `BareMetalHost`'s UID, else Ironic's id of the node.
    pub uuid: Option<Box<str>>,
    /// `name`.
    pub name: Option<Box<str>>,
    /// `local-hostname`, `local_hostname` or `hostname`.
    pub local_hostname: Option<Box<str>>,
    /// `providerid`: `<namespace>/<host>/<machine>`.
    pub provider_id: Option<Box<str>>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Path.
    pub path: Box<str>,
    /// Permissions, such as `0o644`.
    pub mode: u32,
    /// `user:group`, if given.
    pub owner: Option<Box<str>>,
    /// Size in bytes.
    pub size: u64,
}

/// A command that runs once, at the first boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// When it runs.
    pub stage: CommandStage,
    /// The command; it may hold secrets.
    pub line: Secret,
}

/// When a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandStage {
    /// cloud-init `bootcmd`: early.
    Bootcmd,
    /// cloud-init `runcmd`: last.
    Runcmd,
    /// A systemd unit of Ignition.
    Unit,
}

impl SystemDescription {
    /// A system that is described by nothing: it is up and does nothing.
    #[must_use]
    pub fn bare(reason: &str) -> Self {
        Self {
            hostname: None,
            meta_data: MetaData::default(),
            files: Box::default(),
            commands: Box::default(),
            users: Box::default(),
            addresses: Box::default(),
            warnings: Box::default(),
            intent: Intent::Standalone {
                reason: reason.into(),
            },
        }
    }

    /// A system whose config drive cannot be used.
    #[must_use]
    pub fn unreadable(reason: &str) -> Self {
        Self {
            warnings: [reason.into()].into(),
            ..Self::bare(reason)
        }
    }
}
