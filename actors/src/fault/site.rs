//! Where faults are asked for: the places in the simulation at which something can go wrong.

use std::time::Duration;

use super::nature::{Mode, Subject};
use super::words::{IronicCall, KubeVerb, KubeadmAction, Method, StepPhase};
use crate::wire::redfish::vocabulary::ResetType;

/// The sites, with whom each is about and how it is asked.
macro_rules! sites {
    ($($(#[$doc:meta])* $name:ident: $subject:ident, $mode:ident;)*) => {
        /// A kind of site.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum SiteKind { $($(#[$doc])* $name,)* }

        impl SiteKind {
            /// Every kind, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Whom the site is about.
            #[must_use]
            pub fn subject(self) -> Subject {
                match self { $(Self::$name => Subject::$subject,)* }
            }

            /// How it is asked.
            #[must_use]
            pub fn mode(self) -> Mode {
                match self { $(Self::$name => Mode::$mode,)* }
            }
        }
    };
}

sites! {
    /// A connection to the BMC, before its first request; where only the request names the node, each request.
    RedfishConnection: Node, Occasion;
    /// Credentials of a Redfish request are right, and about to be accepted.
    RedfishLogin: Node, Occasion;
    /// A Redfish session is about to be used.
    RedfishSession: Node, Occasion;
    /// A Redfish request is about to be served.
    RedfishRequest: Node, Occasion;
    /// A Redfish resource is about to be read that was read before.
    RedfishRead: Node, Occasion;
    /// A Redfish answer with a body is about to be sent.
    RedfishResponse: Node, Occasion;
    /// A Redfish task begins.
    RedfishTask: Node, Occasion;
    /// A reset was asked for.
    Reset: Node, Occasion;
    /// Virtual media is about to be inserted.
    MediaInsert: Node, Occasion;
    /// Virtual media is about to be ejected.
    MediaEject: Node, Occasion;
    /// Whether the host has mains power.
    Power: Node, State;
    /// The host loses power by itself.
    PowerEvent: Node, Event;
    /// The power-on self test is at its end.
    Post: Node, State;
    /// A boot override is about to be followed.
    BootOverride: Node, Occasion;
    /// A boot target is about to be tried.
    BootTarget: Node, Occasion;
    /// A boot medium is about to be fetched.
    BootMedia: Node, Occasion;
    /// The ramdisk runs, its agent is about to start.
    AgentStart: Node, Occasion;
    /// A connection to the agent's API, or a request where only that names the node.
    AgentConnection: Node, Occasion;
    /// A heartbeat is about to be sent.
    AgentHeartbeat: Node, Occasion;
    /// An agent command was accepted.
    AgentCommand: Node, Occasion;
    /// A clean, deploy or service step is about to run.
    AgentStep: Node, Occasion;
    /// The inventory is being made.
    AgentInventory: Node, Occasion;
    /// A call to Ironic is about to be sent.
    IronicCall: Node, Occasion;
    /// cloud-init is about to run.
    CloudInit: Node, Occasion;
    /// kubeadm is about to run.
    Kubeadm: Node, Occasion;
    /// Whether the operating system gets on.
    OsProgress: Node, State;
    /// The operating system has come up.
    OsUp: Node, Occasion;
    /// What the kubelet reports.
    Kubelet: Node, State;
    /// The state of the node's etcd member.
    EtcdMember: Node, State;
    /// A request to the node's etcd member; a write to the API is one to the leader.
    EtcdRequest: Node, Occasion;
    /// A step of the node's actor.
    NodeStep: Node, Occasion;
    /// A connection to the API server, and each further request on one that is open.
    ApiConnection: Cluster, Occasion;
    /// A TLS handshake of the API server.
    ApiHandshake: Cluster, State;
    /// A request to the API server, authenticated and allowed.
    ApiRequest: Cluster, Occasion;
    /// A watch begins.
    ApiWatch: Cluster, Occasion;
    /// Who leads the cluster's etcd members.
    EtcdLeader: Cluster, State;
    /// A write that somebody asks of the cluster's actor, and waits for.
    ClusterStep: Cluster, Occasion;
}

/// A site with its details, as a query names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Site<'a> {
    /// [`SiteKind::RedfishRequest`].
    RedfishRequest {
        /// Method.
        method: Method,
        /// Path template, such as `/redfish/v1/Systems/{id}`.
        route: &'a str,
    },
    /// [`SiteKind::RedfishResponse`].
    RedfishResponse {
        /// Method.
        method: Method,
        /// Path template.
        route: &'a str,
    },
    /// [`SiteKind::RedfishRead`].
    RedfishRead {
        /// Path template.
        route: &'a str,
        /// How long ago the resource was read that could be answered again, in simulated time.
        age: Duration,
    },
    /// [`SiteKind::RedfishSession`].
    RedfishSession {
        /// How long ago it was made, in simulated time.
        age: Duration,
    },
    /// [`SiteKind::Reset`].
    Reset {
        /// Kind of reset.
        reset: ResetType,
    },
    /// [`SiteKind::AgentCommand`].
    AgentCommand {
        /// `<extension>.<name>`, such as `standby.prepare_image`.
        command: &'a str,
    },
    /// [`SiteKind::AgentStep`].
    AgentStep {
        /// List of steps.
        phase: StepPhase,
        /// Name of the step.
        step: &'a str,
    },
    /// [`SiteKind::IronicCall`].
    IronicCall {
        /// Kind of call.
        call: IronicCall,
    },
    /// [`SiteKind::Kubeadm`].
    Kubeadm {
        /// Which command.
        action: KubeadmAction,
    },
    /// [`SiteKind::ApiRequest`].
    ApiRequest {
        /// Verb.
        verb: KubeVerb,
        /// Plural name, and the group after a dot if it has one: `nodes`, `deployments.apps`.
        resource: &'a str,
    },
    /// [`SiteKind::ApiWatch`].
    ApiWatch {
        /// As of [`Site::ApiRequest`].
        resource: &'a str,
    },
    /// Any kind that has no details. A kind that has some, given like this, matches faults of that kind whatever
    /// details they name.
    Plain(SiteKind),
}

impl Site<'_> {
    /// Its kind.
    #[must_use]
    pub fn kind(self) -> SiteKind {
        match self {
            Self::RedfishRequest { .. } => SiteKind::RedfishRequest,
            Self::RedfishResponse { .. } => SiteKind::RedfishResponse,
            Self::RedfishRead { .. } => SiteKind::RedfishRead,
            Self::RedfishSession { .. } => SiteKind::RedfishSession,
            Self::Reset { .. } => SiteKind::Reset,
            Self::AgentCommand { .. } => SiteKind::AgentCommand,
            Self::AgentStep { .. } => SiteKind::AgentStep,
            Self::IronicCall { .. } => SiteKind::IronicCall,
            Self::Kubeadm { .. } => SiteKind::Kubeadm,
            Self::ApiRequest { .. } => SiteKind::ApiRequest,
            Self::ApiWatch { .. } => SiteKind::ApiWatch,
            Self::Plain(kind) => kind,
        }
    }
}

/// A set of kinds of site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SiteMask(u64);

// A kind is a bit of the mask.
const _: () = assert!(SiteKind::ALL.len() <= 64);

impl SiteMask {
    pub(super) fn insert(&mut self, kind: SiteKind) {
        self.0 |= 1 << kind as u8;
    }

    pub(super) fn contains(self, kind: SiteKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_bit_of_its_own() {
        let mut mask = SiteMask::default();
        for (index, kind) in SiteKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            assert!(!mask.contains(*kind), "{kind:?}");
            mask.insert(*kind);
            assert!(mask.contains(*kind), "{kind:?}");
        }
    }
}
