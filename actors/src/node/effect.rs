//! What a node asks the world to do, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::bmc::{BootMode, BootTarget, Media, OverrideEnabled, ResetType, Secret};
use crate::fault::{FaultName, FaultSet, Struck};
use crate::ids::{CommandId, Epoch, MacAddress, NodeId};
use crate::time::SimInstant;
use crate::wire::agent::{
    ApiVersion, CommandStatus, Heartbeat, InspectionAccepted, InspectionData, LookupReply,
};

use super::agent::CommandName;
use super::os::description::SystemDescription;
use super::os::membership::{BootstrapFailure, Machine, Membership};
use super::phase::Phase;
use super::profile::Architecture;

/// What a step is given besides its event, and what it leaves: effects, in order. The shell carries them out after the
/// step is committed.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Issued>,
    faults: Option<Arc<FaultSet>>,
    /// When what happens now happens.
    pub(super) at: SimInstant,
    /// Why it happens.
    pub(super) cause: Cause,
}

/// An effect and the epoch in which it was issued.
#[derive(Debug)]
pub struct Issued {
    /// Comes back with the outcome.
    pub epoch: Epoch,
    /// When it was issued. An outcome that is there at once happens then, however late the step was.
    pub at: SimInstant,
    /// What to do.
    pub effect: Effect,
}

impl Effects {
    /// Of a step that may meet these faults.
    #[must_use]
    pub fn under(faults: Option<Arc<FaultSet>>) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    /// The faults in force, if any could strike the node.
    pub(super) fn faults(&self) -> Option<&Arc<FaultSet>> {
        self.faults.as_ref()
    }

    pub(super) fn push(&mut self, epoch: Epoch, effect: Effect) {
        let at = self.at;
        self.list.push(Issued { epoch, at, effect });
    }

    /// Whether the world is asked for something.
    pub(super) fn asks(&self) -> bool {
        let asks = |issued: &Issued| !matches!(issued.effect, Effect::Record(_));
        self.list.iter().any(asks)
    }

    /// Takes the effects out, leaving this empty.
    pub fn drain(&mut self) -> impl Iterator<Item = Issued> + '_ {
        self.list.drain(..)
    }

    /// Forgets everything: the step was not committed.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// The effects.
    #[must_use]
    pub fn as_slice(&self) -> &[Issued] {
        &self.list
    }
}

/// Something that the node itself cannot do.
#[derive(Debug)]
pub enum Effect {
    /// Find out what is on the boot target.
    ResolveBoot(Box<BootRequest>),
    /// Call Ironic.
    Ironic(Box<IronicRequest>),
    /// Fetch the config drive of the image that a command writes.
    FetchConfigDrive {
        /// The command.
        command: CommandId,
        /// Where it is.
        url: Arc<str>,
        /// Whom the agent trusts.
        parameters: Arc<AgentParameters>,
    },
    /// Read the config drive on the disk, as cloud-init does.
    ReadConfigDrive(Arc<str>),
    /// Make a node of a cluster, as kubeadm does at the first boot.
    Bootstrap {
        /// What is to be done.
        description: Arc<SystemDescription>,
        /// The machine.
        machine: Box<Machine>,
    },
    /// Count or log something.
    Record(Record),
}

/// What the firmware is about to boot.
#[derive(Clone, Debug)]
pub struct BootRequest {
    /// Boot target.
    pub target: BootTarget,
    /// How long its override lasts; `Disabled` if the boot order chose it.
    pub enabled: OverrideEnabled,
    /// Firmware mode.
    pub mode: BootMode,
    /// The network interfaces with a link, in the order of their slots, for network targets. The first is the one
    /// that the firmware boots from.
    pub interfaces: Box<[MacAddress]>,
    /// The medium in the slot, for media targets.
    pub media: Option<Media>,
    /// The slot's `VerifyCertificate`.
    pub verify_certificate: bool,
    /// The image in a floppy or USB slot beside the medium that boots: the agent looks there for parameters.
    pub parameters_media: Option<Media>,
    /// `HttpBootUri`, for `UefiHttp`.
    pub http_boot_uri: Option<Arc<str>>,
    /// Where the network's DHCP server sends this kind of node for its boot script.
    pub http_root: Option<Arc<str>>,
    /// SMBIOS UUID, which boot scripts may ask for.
    pub system_id: NodeId,
    /// Instruction set, which boot scripts may ask for.
    pub architecture: Architecture,
}

impl BootRequest {
    /// The network interface that a network target boots from.
    #[must_use]
    pub fn boot_mac(&self) -> Option<MacAddress> {
        self.interfaces.first().copied()
    }
}

/// What was found on a boot target.
#[derive(Clone, Debug)]
pub enum BootImage {
    /// A ramdisk with the agent.
    Agent(Arc<AgentParameters>),
    /// Some operating system that is of no concern, such as a live ISO.
    LiveSystem,
    /// Nothing of its own: an order to boot the disk.
    Disk,
}

/// Why a boot target cannot be booted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BootFailure(pub Box<str>);

/// Why a config drive could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchFailure(pub Box<str>);

/// What the agent learns from its kernel command line and boot medium. What they leave out comes from the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentParameters {
    /// Base URLs of Ironic's API, without a trailing slash; empty if not told.
    pub api_urls: Vec<Arc<str>>,
    /// Where to post the inventory; empty if not asked for.
    pub inspection_callback_urls: Vec<Arc<str>>,
    /// Token made in advance.
    pub token: Option<Secret>,
    /// The network interface that the ramdisk was booted from.
    pub boot_mac: Option<MacAddress>,
    /// Inspection collectors, separated by commas; `None`: the agent's own.
    pub collectors: Option<Arc<str>>,
    /// Collect what the switches send over LLDP.
    pub collect_lldp: bool,
    /// The API version to take for Ironic's newest, instead of asking.
    pub newest_version: Option<ApiVersion>,
    /// Sent back to Ironic on every call.
    pub global_request_id: Option<Box<str>>,
    /// Do not verify Ironic's certificate.
    pub insecure: bool,
    /// Certificates to verify Ironic with, as PEM.
    pub ca_pem: Option<Arc<str>>,
}

/// A call to Ironic.
#[derive(Debug)]
pub struct IronicRequest {
    /// How to reach it.
    pub parameters: Arc<AgentParameters>,
    /// When the node wanted it sent; the difference to the sending is its lateness.
    pub due: SimInstant,
    /// What to call.
    pub call: IronicCall,
}

/// The calls that an agent makes.
#[derive(Debug)]
pub enum IronicCall {
    /// `POST` the inventory to `url`, which is the call-back as given.
    Inspect {
        /// Call-back URL.
        url: Arc<str>,
        /// What to send.
        data: Box<InspectionData>,
    },
    /// `GET <api_url>/`.
    Discover {
        /// Base URL.
        api_url: Arc<str>,
    },
    /// `GET <api_url>/v1/lookup`.
    Lookup {
        /// Base URL.
        api_url: Arc<str>,
        /// MAC addresses of all interfaces.
        addresses: Vec<MacAddress>,
        /// Ironic's id of the node, if the inspection gave it.
        node_uuid: Option<Uuid>,
        /// Version header.
        version: ApiVersion,
    },
    /// `POST <api_url>/v1/heartbeat/<node_uuid>`.
    Heartbeat {
        /// Base URL.
        api_url: Arc<str>,
        /// Ironic's id of the node.
        node_uuid: Uuid,
        /// Version header.
        version: ApiVersion,
        /// What to send.
        body: Box<Heartbeat>,
    },
}

/// What came of an effect.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Of [`Effect::ResolveBoot`].
    Boot(Result<BootImage, BootFailure>),
    /// Of [`Effect::FetchConfigDrive`].
    ConfigDriveFetched {
        /// The command.
        command: CommandId,
        /// Where it is.
        url: Arc<str>,
        /// Base64 text, or a file's bytes in base64.
        result: Result<Arc<str>, FetchFailure>,
    },
    /// Of [`Effect::ReadConfigDrive`]. What is wrong with the drive is part of the description.
    ConfigDriveRead(Arc<SystemDescription>),
    /// Of [`Effect::Bootstrap`].
    Bootstrapped(Result<Arc<Membership>, BootstrapFailure>),
    /// Of [`IronicCall::Inspect`].
    Inspected(Result<InspectionAccepted, CallError>),
    /// Of [`IronicCall::Discover`].
    Discovered(Result<ApiVersion, CallError>),
    /// Of [`IronicCall::Lookup`].
    LookedUp(Result<Box<LookupReply>, CallError>),
    /// Of [`IronicCall::Heartbeat`].
    Beat(Result<(), CallError>),
}

/// Why a call to Ironic failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallError {
    /// An HTTP status of 300 or more.
    #[error("status {0}")]
    Status(u16),
    /// No connection, none in time, or it broke.
    #[error("no connection")]
    Connection,
    /// An answer that is not what it should be.
    #[error("unusable answer")]
    Body,
}

/// Kind of call to Ironic, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Inspection call-back.
    Inspect,
    /// API root.
    Discover,
    /// Look-up.
    Lookup,
    /// Heartbeat.
    Heartbeat,
}

/// Something to count or log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The node's phase changed.
    Phase(PhaseChange),
    /// A fault struck.
    Fault(FaultHit),
    /// A call to Ironic ended.
    Call(CallKind, Result<(), CallError>),
    /// An agent command ended.
    Command(CommandName, CommandStatus),
    /// A boot target was tried.
    Boot(BootTarget, BootResult),
}

/// What came of a boot target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BootResult {
    /// The agent boots.
    Agent,
    /// The operating system on the disk boots.
    Disk,
    /// Some other system boots.
    Live,
    /// Nothing: the boot order goes on.
    Failed,
}

/// A fault struck, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultHit {
    /// When.
    pub at: SimInstant,
    /// Its name.
    pub fault: FaultName,
    /// What goes wrong: the word for it.
    pub what: &'static str,
    /// Number of the occasion, or of the window for states and events, from 1.
    pub number: u64,
}

impl FaultHit {
    /// Of a fault that struck now.
    #[must_use]
    pub fn new(at: SimInstant, struck: &Struck) -> Self {
        Self {
            at,
            fault: struck.fault.clone(),
            what: struck.what.word(),
            number: struck.number,
        }
    }
}

/// A node's phase changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseChange {
    /// When: the instant at which it was due, however late the node's timer was served.
    pub at: SimInstant,
    /// The phase before; none when the node starts.
    pub from: Option<Phase>,
    /// The phase from then on.
    pub to: Phase,
    /// How long the phase before lasted, in simulated time; none if there was none, or nobody knows.
    pub lasted: Option<Duration>,
    /// The node's epoch from then on.
    pub epoch: Epoch,
    /// Why.
    pub cause: Cause,
}

/// Why something happened to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// The simulation began.
    #[default]
    Start,
    /// Its time had come.
    Time,
    /// A reset over Redfish.
    Reset(ResetType),
    /// Another Redfish request.
    Bmc,
    /// A request to the agent.
    Agent,
    /// The answer to something that the node asked for.
    Answer,
    /// A fault.
    Fault(FaultName),
    /// A bug of the simulator was caught.
    Panic,
}

impl Cause {
    /// The word for it in events.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Time => "time",
            Self::Reset(_) => "reset",
            Self::Bmc => "bmc",
            Self::Agent => "agent",
            Self::Answer => "answer",
            Self::Fault(_) => "fault",
            Self::Panic => "panic",
        }
    }
}
