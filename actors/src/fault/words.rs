//! The words that faults take as parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A closed list of words: all of them, and the word of each.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
}

words! {
    /// How something cannot be reached.
    #[derive(Default)]
    Unreachable {
        /// The connection is refused, or closed at once.
        #[default]
        Refuse,
        /// Packets vanish: the client runs into its own time-out while connecting.
        Drop,
        /// The connection is made, and nothing is ever answered.
        Hang,
    }
}

words! {
    /// How a body is broken.
    BadBody {
        /// No JSON: a bracket is missing in the middle.
        Malformed,
        /// The connection ends before the announced length.
        Truncated,
        /// Nothing, where there should be a document.
        Empty,
        /// A page of HTML, as a proxy or a BMC's web server sends it.
        Html,
        /// JSON, but of another shape.
        WrongShape,
    }
}

words! {
    /// How a boot medium is damaged.
    #[derive(Default)]
    MediaDamage {
        /// It ends too early.
        #[default]
        Truncated,
        /// Its contents are noise.
        Noise,
    }
}

words! {
    /// What a host does when its power returns.
    #[derive(Default)]
    RestorePolicy {
        /// What it did before.
        #[default]
        Last,
        /// It stays off.
        Off,
        /// It starts.
        On,
    }
}

words! {
    /// A list of steps.
    StepPhase {
        /// Clean steps.
        Clean,
        /// Deploy steps.
        Deploy,
        /// Service steps.
        Service,
    }
}

words! {
    /// A kind of call from an agent to Ironic.
    IronicCall {
        /// Inspection call-back.
        Inspect,
        /// API root.
        Discover,
        /// Look-up.
        Lookup,
        /// Heartbeat.
        Heartbeat,
    }
}

words! {
    /// A command of kubeadm.
    KubeadmAction {
        /// The first control plane node.
        Init,
        /// Every other node.
        Join,
    }
}

words! {
    /// A condition of pressure on a node.
    Pressure {
        /// `MemoryPressure`.
        Memory,
        /// `DiskPressure`.
        Disk,
        /// `PIDPressure`.
        Pid,
        /// `NetworkUnavailable`.
        Network,
    }
}

words! {
    /// A verb of the Kubernetes API (Kubernetes documentation: authorization, request verbs).
    KubeVerb {
        /// One object.
        Get,
        /// A collection.
        List,
        /// Changes of a collection.
        Watch,
        /// `POST`.
        Create,
        /// `PUT`.
        Update,
        /// `PATCH`.
        Patch,
        /// One object less.
        Delete,
        /// `DELETE` of a collection.
        #[serde(rename = "deletecollection")]
        DeleteCollection,
    }
}

words! {
    /// What is wrong with a certificate.
    BadCertificate {
        /// Its time is over.
        Expired,
        /// Its time has not come.
        NotYetValid,
        /// It names another server.
        WrongName,
        /// Nobody knows who signed it.
        WrongIssuer,
    }
}

words! {
    /// An alarm of an etcd member (etcd: api/etcdserverpb/rpc.proto, AlarmType).
    EtcdAlarm {
        /// `NOSPACE`: the database is full, writes are refused.
        NoSpace,
        /// `CORRUPT`: the member's data differ from the others'.
        Corrupt,
    }
}

words! {
    /// A node's part in its cluster.
    Role {
        /// It runs the control plane and an etcd member.
        ControlPlane,
        /// It does not.
        Worker,
    }
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "control_plane",
            Self::Worker => "worker",
        }
    }
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl Method {
    /// The method with this name; none if no fault can name it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "GET" => Some(Self::Get),
            "HEAD" => Some(Self::Head),
            "POST" => Some(Self::Post),
            "PUT" => Some(Self::Put),
            "PATCH" => Some(Self::Patch),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_files_hold() {
        let words = |values: serde_json::Value| values.to_string();
        assert_eq!(
            words(serde_json::json!(Unreachable::ALL)),
            r#"["refuse","drop","hang"]"#
        );
        assert_eq!(
            words(serde_json::json!(RestorePolicy::ALL)),
            r#"["last","off","on"]"#
        );
        assert_eq!(
            words(serde_json::json!(Role::ALL)),
            r#"["control_plane","worker"]"#
        );
        assert_eq!(
            words(serde_json::json!(KubeVerb::ALL)),
            r#"["get","list","watch","create","update","patch","delete","deletecollection"]"#
        );
        assert_eq!(
            words(serde_json::json!(EtcdAlarm::ALL)),
            r#"["no_space","corrupt"]"#
        );
        for name in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            assert_eq!(serde_json::json!(Method::from_name(name)), name);
        }
    }
}
