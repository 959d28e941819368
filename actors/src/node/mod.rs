//! The simulated server: data, and one pure function that says what it does next.
//!
//! [`Node::step`] takes the time and an [`Event`] and changes the node, answers with a [`Reply`] and leaves
//! [`Effect`]s for the shell to carry out. It has no clock, lock, sleep or I/O; chance comes from the node's seed.
//! A refused event changes nothing.
//!
//! | part | file |
//! | --- | --- |
//! | management controller | [`bmc`] |
//! | its firmware updates | [`update`] |
//! | power, self test, choice of the boot target | [`firmware`] |
//! | disk | [`disk`] |
//! | agent in the ramdisk | [`agent`] |
//! | installed system | [`os`] |
//! | what faults do to it as long as they last | [`affliction`] |

pub mod affliction;
pub mod agent;
pub mod bmc;
pub mod disk;
pub mod effect;
pub mod firmware;
pub mod invariant;
pub mod os;
pub mod phase;
pub mod profile;
mod step;
#[cfg(test)]
mod tests;
pub mod update;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::affliction::Afflictions;
use self::agent::{Agent, AgentReply, AgentRequest, AgentSettings};
use self::bmc::{Bmc, BmcCommand, BootTarget, PowerState};
use self::disk::{Disk, DiskChange, Image};
use self::effect::{Cause, Outcome};
use self::firmware::{BootProgress, Host};
use self::os::membership::Activity;
use self::os::{Os, Stage};
use self::phase::Phase;
use self::profile::HardwareProfile;
use crate::fault::{HttpStatus, NodeIndex, Occasions};
use crate::ids::{Epoch, MacAddress, NodeId};
use crate::seed::Seed;
use crate::time::SimInstant;
use crate::timing::Timing;

pub use self::effect::{Effect, Effects, Record};

/// Labels of a node, as the settings give them.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// Who a node is. Fixed for its life, shared between the node and the directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Place in the fleet's list.
    pub index: NodeIndex,
    /// Redfish system id and SMBIOS UUID.
    pub id: NodeId,
    /// Name from the settings.
    pub name: Box<str>,
    /// MAC addresses, one for each network interface of the profile.
    pub macs: Box<[MacAddress]>,
    /// Labels from the settings.
    pub labels: Arc<Labels>,
}

/// What all nodes of a kind share.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Hardware.
    pub profile: Arc<HardwareProfile>,
    /// Durations.
    pub timing: Timing,
    /// Simulated seconds in a real one. What real clients time, such as heartbeats, is stretched by it.
    pub speed: f64,
    /// The agent in the ramdisk.
    pub agent: AgentSettings,
    /// Where DHCP sends network boots for their script: the folder of `boot.ipxe`, without a trailing slash.
    pub http_root: Option<Arc<str>>,
}

/// Something that happens to a node.
#[derive(Clone, Debug)]
pub enum Event {
    /// A Redfish client asks the BMC for a change.
    Bmc {
        /// The client's `If-Match`, as the revision that it names. The change is refused if the node has moved on.
        if_match: Option<u32>,
        /// The change.
        command: BmcCommand,
    },
    /// A client calls the agent's API.
    Agent(AgentRequest),
    /// The deadline that the node asked for has passed.
    Timer,
    /// The faults in force are others than at the step before.
    FaultsChanged,
    /// An effect ended.
    Outcome {
        /// The node's epoch when the effect left.
        epoch: Epoch,
        /// What came of it.
        outcome: Outcome,
    },
    /// A bug: the step panics. Shows that one node's bug stays its own.
    #[cfg(any(test, feature = "test-util"))]
    Bug,
}

impl Event {
    fn cause(&self) -> Cause {
        match self {
            Self::Bmc {
                command: BmcCommand::Reset(reset),
                ..
            } => Cause::Reset(*reset),
            Self::Bmc { .. } => Cause::Bmc,
            Self::Agent(_) => Cause::Agent,
            Self::Timer | Self::FaultsChanged => Cause::Time,
            Self::Outcome { .. } => Cause::Answer,
            #[cfg(any(test, feature = "test-util"))]
            Self::Bug => Cause::Panic,
        }
    }
}

/// Answer to an event that was taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done, or begun.
    Done,
    /// The agent's answer.
    Agent(AgentReply),
    /// A fault made it fail, with this status.
    Failed(HttpStatus),
    /// It goes on as the task of this number.
    Task(u32),
}

/// Why an event was not taken. The node is unchanged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The client's `If-Match` names an older revision.
    #[error("the resource has changed since it was read")]
    PreconditionFailed,
    /// The BMC has no such virtual media slot.
    #[error("no virtual media slot {0:?}")]
    UnknownSlot(Box<str>),
    /// The BMC does not offer the target.
    #[error("boot target {0:?} is not offered")]
    BootTargetNotAllowed(BootTarget),
    /// The target exists only in UEFI mode.
    #[error("boot target {0:?} needs UEFI boot mode")]
    BootTargetNeedsUefi(BootTarget),
    /// Secure boot exists only in UEFI mode.
    #[error("secure boot needs UEFI boot mode")]
    SecureBootNeedsUefi,
    /// No such BIOS attribute.
    #[error("no BIOS attribute {0:?}")]
    UnknownBiosAttribute(Box<str>),
    /// A BIOS attribute of another type.
    #[error("BIOS attribute {name:?} is of type {expected}")]
    BiosAttributeType {
        /// Attribute.
        name: Box<str>,
        /// Its type.
        expected: &'static str,
    },
    /// Another firmware update is under way.
    #[error("a firmware update is under way")]
    UpdateRunning,
    /// No such task.
    #[error("no task {0}")]
    UnknownTask(u32),
    /// No agent is running or it no longer answers: the connection is to be dropped without an answer.
    #[error("no agent answers on this node")]
    NoAgent,
    /// The agent refuses the call.
    #[error(transparent)]
    Agent(#[from] agent::AgentError),
    /// The result of an effect that belongs to an earlier life of the node.
    #[error("result of an earlier power or boot state")]
    Stale,
}

/// A simulated server.
#[derive(Clone, Debug)]
pub struct Node {
    identity: Arc<Identity>,
    kind: Arc<Kind>,
    seed: Seed,
    draws: u32,
    epoch: Epoch,
    revision: u32,
    bmc: Bmc,
    host: Host,
    disk: Disk,
    agent: Option<Box<Agent>>,
    os: Option<Box<Os>>,
    /// How often it met each fault.
    met: Occasions,
    /// What is wrong with it as long as faults last.
    afflictions: Option<Box<Afflictions>>,
    /// Up to when faults that begin and end by themselves have been followed.
    faults_seen: SimInstant,
    /// When the next one begins or ends.
    fault_edge: Option<SimInstant>,
    /// When its phase began.
    phase_since: SimInstant,
}

impl Node {
    /// A node that is off, with a blank disk and factory settings.
    #[must_use]
    pub fn new(identity: Arc<Identity>, kind: Arc<Kind>, seed: Seed) -> Self {
        let bmc = Bmc::new(&kind.profile);
        Self {
            identity,
            kind,
            seed,
            draws: 0,
            epoch: Epoch::default(),
            revision: 1,
            bmc,
            host: Host::Off,
            disk: Disk::default(),
            agent: None,
            os: None,
            met: Occasions::default(),
            afflictions: None,
            faults_seen: SimInstant::START,
            fault_edge: None,
            phase_since: SimInstant::START,
        }
    }

    /// Puts a system on its disk, as if Ironic had deployed it. Before its life begins.
    pub(crate) fn install(&mut self, image: Image, config_drive: Arc<str>) {
        self.disk.apply(DiskChange::Write {
            image: Box::new(image),
            config_drive: Some(config_drive),
        });
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// What it shares with others of its kind.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The same, to be held.
    #[must_use]
    pub fn shared_kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    /// Its hardware.
    #[must_use]
    pub fn profile(&self) -> &HardwareProfile {
        &self.kind.profile
    }

    /// Count of its power and boot changes.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// When its phase began.
    #[must_use]
    pub fn phase_since(&self) -> SimInstant {
        self.phase_since
    }

    /// Grows with every change that a Redfish client can see: the entity tag of all of the node's resources.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Management controller.
    #[must_use]
    pub fn bmc(&self) -> &Bmc {
        &self.bmc
    }

    /// Host power and boot state.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Disk.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The agent, while a ramdisk with one runs.
    #[must_use]
    pub fn agent(&self) -> Option<&Agent> {
        self.agent.as_deref()
    }

    /// The installed system, while it runs.
    #[must_use]
    pub fn os(&self) -> Option<&Os> {
        self.os.as_deref()
    }

    /// What it does in clusters.
    #[must_use]
    pub fn activity(&self) -> Activity<'_> {
        if self.os_hangs() {
            return Activity::None;
        }
        match (self.os.as_deref().map(Os::stage), self.disk.membership()) {
            (Some(Stage::Bootstrapping { .. }), _) => Activity::Bootstrapping,
            (Some(Stage::Up), Some(membership)) => Activity::Member(membership),
            _ => Activity::None,
        }
    }

    /// Redfish `PowerState`.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        self.host.power_state()
    }

    /// Redfish `BootProgress.LastState`.
    #[must_use]
    pub fn boot_progress(&self) -> BootProgress {
        self.host.boot_progress()
    }

    /// Where the node is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::of(self)
    }

    /// When the node next wants [`Event::Timer`]. `None`: nothing is pending.
    #[must_use]
    pub fn next_deadline(&self) -> Option<SimInstant> {
        self.own_deadline().into_iter().chain(self.fault_edge).min()
    }

    /// The same, but for what faults begin and end by themselves.
    fn own_deadline(&self) -> Option<SimInstant> {
        let deadlines = [
            self.host_deadline(),
            self.agent_deadline(),
            self.os_deadline(),
            self.bmc.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn host_deadline(&self) -> Option<SimInstant> {
        let stuck = matches!(self.host, Host::Post { .. })
            && self
                .afflictions
                .as_ref()
                .is_some_and(|afflictions| afflictions.stuck_in_post);
        self.host.deadline().filter(|_| !stuck)
    }

    fn agent_deadline(&self) -> Option<SimInstant> {
        self.agent.as_ref().and_then(|agent| agent.next_deadline())
    }

    fn os_deadline(&self) -> Option<SimInstant> {
        self.os
            .as_ref()
            .and_then(|os| os.deadline())
            .filter(|_| !self.os_hangs())
    }

    /// Whether its operating system does nothing.
    #[must_use]
    pub fn os_hangs(&self) -> bool {
        self.afflictions
            .as_ref()
            .is_some_and(|afflictions| afflictions.os_hangs)
    }
}
