//! What a node asks the world to do, and what comes back.

use std::sync::Arc;

use uuid::Uuid;

use super::bmc::{BootMode, BootTarget, Media, OverrideEnabled, Secret};
use crate::ids::{Epoch, MacAddress};
use crate::time::SimInstant;
use crate::wire::agent::{
    ApiVersion, CommandStatus, Heartbeat, InspectionAccepted, InspectionData, LookupReply,
};

use super::agent::CommandName;

/// Effects of a step, in order. The shell carries them out after the step is committed.
#[derive(Debug, Default)]
pub struct Effects(Vec<Issued>);

/// An effect and the epoch in which it was issued.
#[derive(Debug)]
pub struct Issued {
    /// Comes back with the outcome.
    pub epoch: Epoch,
    /// What to do.
    pub effect: Effect,
}

impl Effects {
    pub(super) fn push(&mut self, epoch: Epoch, effect: Effect) {
        self.0.push(Issued { epoch, effect });
    }

    /// Takes the effects out, leaving this empty.
    pub fn drain(&mut self) -> impl Iterator<Item = Issued> + '_ {
        self.0.drain(..)
    }

    /// Forgets everything: the step was not committed.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The effects.
    #[must_use]
    pub fn as_slice(&self) -> &[Issued] {
        &self.0
    }
}

/// Something that the node itself cannot do.
#[derive(Debug)]
pub enum Effect {
    /// Find out what is on the boot target.
    ResolveBoot(Box<BootRequest>),
    /// Call Ironic.
    Ironic(Box<IronicRequest>),
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
    /// The network interface that network targets boot from.
    pub boot_mac: Option<MacAddress>,
    /// The medium in the slot, for media targets.
    pub media: Option<Media>,
    /// `HttpBootUri`, for `UefiHttp`.
    pub http_boot_uri: Option<Arc<str>>,
}

/// What was found on a boot target.
#[derive(Clone, Debug)]
pub enum BootImage {
    /// A ramdisk with the agent.
    Agent(Arc<AgentParameters>),
    /// Some operating system that is of no concern, such as a live ISO.
    LiveSystem,
}

/// Why a boot target cannot be booted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BootFailure(pub Box<str>);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A call to Ironic ended.
    Call(CallKind, Result<(), CallError>),
    /// An agent command ended.
    Command(CommandName, CommandStatus),
}
