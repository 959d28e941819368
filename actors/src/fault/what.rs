//! What goes wrong: the closed list of faults.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::value::{Glob, HttpStatus};
use super::words::{
    BadBody, BadCertificate, EtcdAlarm, IronicCall, KubeVerb, KubeadmAction, MediaDamage, Method, Pressure,
    RestorePolicy, StepPhase, Unreachable,
};
use crate::timing::{Latency, Span};
use crate::wire::redfish::vocabulary::ResetType;

/// What goes wrong. In a file: the word, or a table of the word and its parameters.
///
/// Lists of routes, methods, commands and the like narrow the fault down; an empty list means all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    // --- BMC ----------------------------------------------------------------------------------------------------
    /// The BMC answers late.
    BmcSlow {
        /// How late.
        delay: Latency,
        /// Path templates, such as `/redfish/v1/Systems/{id}` or `**/VirtualMedia/**`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<Glob>,
        /// HTTP methods.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        methods: Vec<Method>,
    },
    /// No connection to the BMC. Where one address serves many nodes, the connection ends once the request names its node.
    BmcUnreachable {
        /// In which way.
        #[serde(default)]
        how: Unreachable,
    },
    /// The BMC refuses credentials that are right, with status 401.
    BmcWrongCredentials {},
    /// The BMC answers with a status of an error instead of doing what it was asked to.
    BmcStatus {
        /// The status.
        status: HttpStatus,
        /// `Retry-After` of the answer, in whole real seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Span>,
        /// Path templates.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<Glob>,
        /// HTTP methods.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        methods: Vec<Method>,
    },
    /// The BMC does what it was asked to and answers with a broken body.
    BmcBadBody {
        /// What is wrong with it.
        how: BadBody,
        /// Path templates.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<Glob>,
        /// HTTP methods.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        methods: Vec<Method>,
    },
    /// Reads answer with what an earlier read of the same resource answered, its entity tag included. Changes are made to what is so.
    BmcStaleReads {
        /// An answer older than this is made anew. Simulated time.
        age: Span,
        /// Path templates.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<Glob>,
    },
    /// A reset is accepted and nothing happens.
    ResetIgnored {
        /// Kinds of reset.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        types: Vec<ResetType>,
    },
    /// The host loses power at the beginning of each window, and gets it back.
    PowerFlap {
        /// How long it is without power.
        off_for: Latency,
    },
    /// The host has no power while the fault lasts.
    PowerLoss {
        /// The BMC has none either and does not answer.
        #[serde(default)]
        bmc: bool,
        /// What the host does when power is back.
        #[serde(default)]
        restore: RestorePolicy,
    },
    /// The power-on self test does not end while the fault lasts.
    StuckInPost {},
    /// The boot override is used up but not followed: the boot order decides.
    BootOverrideIgnored {},
    /// Inserting virtual media fails.
    MediaInsertFails {
        /// Status of the answer; without one it is accepted and the slot stays empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<HttpStatus>,
    },
    /// An inserted medium appears late.
    MediaInsertLingers {
        /// How late, on top of the usual time.
        delay: Latency,
    },
    /// Ejecting is accepted and the medium stays.
    MediaEjectIgnored {},
    /// A Redfish session ends before its time, as it is used for the node. Where one address serves many nodes, it is gone for all of them.
    SessionExpires {
        /// Sessions younger than this live on. Simulated time.
        #[serde(default)]
        after: Span,
    },
    /// A Redfish task that begins while the fault lasts never ends: only its deletion does.
    TaskNeverEnds {},
    /// A Redfish task that begins while the fault lasts ends with an exception, and changes nothing.
    TaskFails {
        /// Message of the task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<str>>,
    },

    // --- boot media ---------------------------------------------------------------------------------------------
    /// No connection to the server of the boot medium.
    BootMediaUnreachable {
        /// In which way.
        #[serde(default)]
        how: Unreachable,
    },
    /// The boot medium loads slowly.
    BootMediaSlow {
        /// Time on top of the usual one.
        delay: Latency,
    },
    /// The boot medium is damaged.
    BootMediaCorrupt {
        /// In which way.
        #[serde(default)]
        how: MediaDamage,
    },
    /// The firmware finds nothing to boot from.
    NoBootDevice {},

    // --- agent --------------------------------------------------------------------------------------------------
    /// The ramdisk runs, but its agent never starts.
    AgentNeverStarts {},
    /// The agent starts late.
    AgentStartsLate {
        /// How late.
        delay: Latency,
    },
    /// No connection to the agent's API.
    AgentUnreachable {
        /// In which way.
        #[serde(default)]
        how: Unreachable,
    },
    /// A heartbeat gets lost: the agent believes to have sent it.
    AgentLosesHeartbeats {},
    /// The agent sends a wrong token with its heartbeat.
    AgentWrongToken {},
    /// An agent command fails.
    AgentCommandFails {
        /// Commands, such as `standby.prepare_image` or `clean.*`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        commands: Vec<Glob>,
        /// Message of the error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<str>>,
    },
    /// An agent command never ends.
    AgentCommandHangs {
        /// Commands.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        commands: Vec<Glob>,
    },
    /// An agent command ends well, with a result of another shape than is expected.
    AgentCommandWrongShape {
        /// Commands.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        commands: Vec<Glob>,
    },
    /// A clean, deploy or service step fails.
    AgentStepFails {
        /// Steps, such as `erase_devices_metadata` or `write_image`.
        steps: Vec<Glob>,
        /// Which lists of steps.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        phases: Vec<StepPhase>,
        /// Message of the error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<str>>,
    },
    /// The inventory shows the first disk too small.
    InventoryDiskTooSmall {
        /// Size that it shows, in GiB.
        size_gib: u32,
    },
    /// The inventory lacks a network interface.
    InventoryNicMissing {
        /// Number of the interface, from 0.
        #[serde(default)]
        nic: u16,
    },
    /// The inventory shows the same MAC address on every selected node.
    InventoryDuplicateMac {
        /// Number of the interface, from 0.
        #[serde(default)]
        nic: u16,
    },

    // --- Ironic, as the node sees it ----------------------------------------------------------------------------
    /// The agent cannot reach Ironic.
    IronicUnreachable {
        /// In which way.
        #[serde(default)]
        how: Unreachable,
        /// Kinds of call.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<IronicCall>,
    },
    /// Ironic's answers arrive late.
    IronicSlow {
        /// How late.
        delay: Latency,
        /// Kinds of call.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<IronicCall>,
    },
    /// The agent gets a status of an error instead of Ironic's answer; the call does not reach Ironic.
    IronicStatus {
        /// The status.
        status: HttpStatus,
        /// Kinds of call.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<IronicCall>,
    },

    // --- operating system ---------------------------------------------------------------------------------------
    /// cloud-init fails: the system comes up unconfigured.
    CloudInitFails {
        /// Message in the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<str>>,
    },
    /// kubeadm fails: the node does not join.
    KubeadmFails {
        /// Which of its commands.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        actions: Vec<KubeadmAction>,
        /// Message in the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<str>>,
    },
    /// The operating system does nothing while the fault lasts: its kubelet falls silent, its boot stands still.
    OsHangs {},
    /// The operating system restarts each time it has come up.
    RebootLoop {
        /// How long it stays up; at least a second.
        uptime: Latency,
    },

    // --- Kubernetes node ----------------------------------------------------------------------------------------
    /// The kubelet reports that the node is not ready.
    NodeNotReady {
        /// Reason of the condition.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Box<str>>,
    },
    /// The kubelet comes and goes while the fault lasts, silent first.
    KubeletFlaps {
        /// How long it is silent.
        down: Span,
        /// How long it is there again.
        up: Span,
    },
    /// The kubelet reports pressure.
    NodePressure {
        /// Which.
        conditions: Vec<Pressure>,
    },

    // --- API server ---------------------------------------------------------------------------------------------
    /// The API server answers late.
    ApiSlow {
        /// How late.
        delay: Latency,
        /// Verbs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        verbs: Vec<KubeVerb>,
        /// Resources, such as `nodes`, `deployments.apps` or `*.apps`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<Glob>,
    },
    /// No connection to the API server.
    ApiUnreachable {
        /// In which way.
        #[serde(default)]
        how: Unreachable,
    },
    /// The API server answers with a status of an error.
    ApiStatus {
        /// The status.
        status: HttpStatus,
        /// Verbs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        verbs: Vec<KubeVerb>,
        /// Resources.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<Glob>,
    },
    /// The API server asks to come back later: status 429.
    ApiTooManyRequests {
        /// `Retry-After`, in whole real seconds.
        #[serde(default = "one_second")]
        retry_after: Span,
        /// Verbs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        verbs: Vec<KubeVerb>,
        /// Resources.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<Glob>,
    },
    /// The API server ends a watch before its time.
    ApiWatchCut {
        /// How long after its beginning.
        after: Latency,
        /// Its resource versions are gone too: the watcher gets 410 and has to list anew.
        #[serde(default)]
        expired: bool,
        /// Resources.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<Glob>,
    },
    /// The API server shows a certificate that no client should accept.
    ApiBadCertificate {
        /// What is wrong with it.
        how: BadCertificate,
    },

    // --- etcd ---------------------------------------------------------------------------------------------------
    /// The etcd member on the node is down.
    EtcdMemberDown {},
    /// The etcd member on the node raises an alarm.
    EtcdAlarm {
        /// Which.
        alarm: EtcdAlarm,
    },
    /// The etcd member on the node answers late.
    EtcdSlow {
        /// How late.
        delay: Latency,
    },
    /// The cluster's etcd leader changes again and again.
    EtcdLeaderFlaps {
        /// Time from one change to the next.
        every: Span,
    },

    // --- the simulator itself -----------------------------------------------------------------------------------
    /// The node's actor panics in a step.
    NodeActorPanics {},
    /// The cluster's actor panics in a step.
    ClusterActorPanics {},
}

fn one_second() -> Span {
    Span(Duration::from_secs(1))
}

/// Reads a fault: a table of the word and its parameters, or the word alone where every parameter may be left out.
///
/// # Errors
/// As the deserializer has them.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<What, D::Error> {
    struct WhatVisitor;
    impl<'de> Visitor<'de> for WhatVisitor {
        type Value = What;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a fault such as reset_ignored or {bmc_slow: {delay: 2s}}")
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<What, E> {
            serde_json::from_value(serde_json::json!({word: {}})).map_err(|error| {
                let error = error.to_string();
                match error.strip_prefix("missing field ") {
                    Some(field) => E::custom(format!(
                        "{word} needs its {field}, as in {{{word}: {{{field}: ...}}}}"
                    )),
                    None => E::custom(error),
                }
            })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<What, A::Error> {
            What::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(WhatVisitor)
}
