//! What a system is for: whether it forms a Kubernetes cluster, joins one, or neither, and with what.
//!
//! Words are kubeadm's (kubernetes: `cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::node::bmc::Secret;

/// What a system is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Intent {
    /// Nothing to do with a cluster.
    Standalone {
        /// Why it is taken for that.
        reason: Box<str>,
    },
    /// `kubeadm init`: it forms a cluster.
    Init(Box<Init>),
    /// `kubeadm join` with a control plane.
    JoinControlPlane(Box<JoinControlPlane>),
    /// `kubeadm join` without one.
    JoinWorker(Box<JoinWorker>),
    /// kubeadm is called, but would fail.
    Incomplete {
        /// What it was called for.
        role: Role,
        /// What is missing or wrong.
        missing: Box<[Box<str>]>,
    },
}

impl Intent {
    /// Whether the system calls kubeadm, rightly or wrongly.
    #[must_use]
    pub const fn calls_kubeadm(&self) -> bool {
        !matches!(self, Self::Standalone { .. })
    }

    /// The word for it in the control API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Standalone { .. } => "standalone",
            Self::Init(_) => "init",
            Self::JoinControlPlane(_) => "join_control_plane",
            Self::JoinWorker(_) => "join_worker",
            Self::Incomplete { .. } => "incomplete",
        }
    }
}

/// What kubeadm was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `kubeadm init`.
    Init,
    /// `kubeadm join` with `controlPlane`.
    JoinControlPlane,
    /// `kubeadm join` without it.
    JoinWorker,
}

/// `kubeadm init` with its documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Init {
    /// `ClusterConfiguration`.
    pub cluster: ClusterConfiguration,
    /// `nodeRegistration`.
    pub node: NodeRegistration,
    /// `localAPIEndpoint`.
    pub local: LocalApiEndpoint,
    /// Certificates and keys that were written.
    pub pki: Pki,
    /// `bootstrapTokens`.
    pub bootstrap_tokens: Box<[BootstrapToken]>,
    /// Documents of other kinds, such as `KubeletConfiguration`.
    pub other_documents: Box<[Arc<str>]>,
}

/// A token that machines join with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootstrapToken {
    /// `token`.
    pub token: Secret,
    /// `ttl` or `expires`.
    pub lifetime: TokenLifetime,
}

/// How long a token holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenLifetime {
    /// For ever.
    Ever,
    /// From `kubeadm init` on.
    For(Duration),
    /// Until then.
    Until(DateTime<Utc>),
}

/// `kubeadm join` of a control-plane node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JoinControlPlane {
    /// `discovery`.
    pub discovery: Discovery,
    /// `nodeRegistration`.
    pub node: NodeRegistration,
    /// `controlPlane.localAPIEndpoint`.
    pub local: LocalApiEndpoint,
    /// Certificates and keys that were written.
    pub pki: Pki,
}

/// `kubeadm join` of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JoinWorker {
    /// `discovery`.
    pub discovery: Discovery,
    /// `nodeRegistration`.
    pub node: NodeRegistration,
}

/// `ClusterConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterConfiguration {
    /// `clusterName`; kubeadm's default is `kubernetes`.
    pub cluster_name: Box<str>,
    /// `controlPlaneEndpoint`.
    pub control_plane_endpoint: Option<Endpoint>,
    /// `kubernetesVersion`, such as `v1.34.1`.
    pub kubernetes_version: Option<Box<str>>,
    /// `networking`.
    pub networking: Networking,
    /// `apiServer.certSANs`.
    pub cert_sans: Box<[Box<str>]>,
    /// `certificatesDir`.
    pub certificates_dir: Box<str>,
    /// `imageRepository`.
    pub image_repository: Option<Box<str>>,
    /// `etcd`.
    pub etcd: Etcd,
    /// The document as written, for the `kubeadm-config` map.
    pub document: Arc<str>,
}

/// `networking`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Networking {
    /// `dnsDomain`; kubeadm's default is `cluster.local`.
    pub dns_domain: Box<str>,
    /// `podSubnet`; commas separate two families.
    pub pod_subnet: Option<Box<str>>,
    /// `serviceSubnet`; kubeadm's default is `10.96.0.0/12`.
    pub service_subnet: Box<str>,
}

/// `etcd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Etcd {
    /// On the control-plane nodes.
    Local,
    /// Elsewhere, at these endpoints.
    External(Box<[Box<str>]>),
}

/// `nodeRegistration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeRegistration {
    /// `name`; `None`: the host name.
    pub name: Option<Box<str>>,
    /// `criSocket`.
    pub cri_socket: Option<Box<str>>,
    /// `taints`. `None`: kubeadm's default, which taints control planes; an empty list: no taint.
    pub taints: Option<Box<[Taint]>>,
    /// `node-labels` of the kubelet's arguments.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// `provider-id` of the kubelet's arguments.
    pub provider_id: Option<Box<str>>,
    /// The kubelet's other arguments.
    pub kubelet_arguments: BTreeMap<Box<str>, Box<str>>,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taint {
    /// Key.
    pub key: Box<str>,
    /// Value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<str>>,
    /// Effect.
    pub effect: TaintEffect,
}

/// Effect of a taint (kubernetes: `core/v1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TaintEffect {
    /// No new pods.
    NoSchedule,
    /// No new pods if it can be avoided.
    PreferNoSchedule,
    /// No pods.
    NoExecute,
}

impl FromStr for TaintEffect {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "NoSchedule" => Ok(Self::NoSchedule),
            "PreferNoSchedule" => Ok(Self::PreferNoSchedule),
            "NoExecute" => Ok(Self::NoExecute),
            _ => Err(()),
        }
    }
}

/// `localAPIEndpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocalApiEndpoint {
    /// `advertiseAddress`; `None`: the node's own.
    pub advertise_address: Option<Box<str>>,
    /// `bindPort`.
    pub bind_port: u16,
}

impl Default for LocalApiEndpoint {
    fn default() -> Self {
        Self {
            advertise_address: None,
            bind_port: API_PORT,
        }
    }
}

/// Port of API servers unless told otherwise (kubernetes: `cmd/kubeadm/app/apis/kubeadm/v1beta4/defaults.go`).
pub const API_PORT: u16 = 6443;

/// `discovery`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Discovery {
    /// `bootstrapToken.apiServerEndpoint`, or the server of the discovery file.
    pub endpoint: Endpoint,
    /// How the cluster is known to be the right one.
    pub trust: DiscoveryTrust,
    /// `bootstrapToken.token` or `tlsBootstrapToken`.
    pub token: Option<Secret>,
}

/// How a joining node knows that it joins the right cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveryTrust {
    /// By `caCertHashes`, `sha256:<hex of the public key's hash>`.
    CaCertHashes(Box<[Box<str>]>),
    /// `unsafeSkipCAVerification`.
    Unverified,
    /// By the certificate in the discovery file, as PEM if it holds one.
    File(Option<Box<str>>),
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
}

/// A text that is no host with an optional port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host with an optional port")]
pub struct NotAnEndpoint(Box<str>);

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    /// Reads `host`, `host:port`, `[address]:port`; the port is [`API_PORT`] unless given.
    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let wrong = || NotAnEndpoint(text.into());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
            }
            None if text.matches(':').count() > 1 => (text, Some("")),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, Some("")),
            },
        };
        let port = match port.ok_or_else(wrong)? {
            "" if !text.ends_with(':') || text.contains("::") => API_PORT,
            port => port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '%' | '_');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The pairs that Cluster API writes (cluster-api: `util/secret/certificates.go`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pki {
    /// `ca.crt`, `ca.key`: signs certificates of the API server and of its clients.
    pub cluster_ca: Option<KeyPair>,
    /// `etcd/ca.crt`, `etcd/ca.key`.
    pub etcd_ca: Option<KeyPair>,
    /// `front-proxy-ca.crt`, `front-proxy-ca.key`.
    pub front_proxy_ca: Option<KeyPair>,
    /// `sa.pub`, `sa.key`: signs tokens of service accounts.
    pub service_account: Option<KeyPair>,
    /// `apiserver-etcd-client.crt`, `.key`, with an external etcd.
    pub etcd_client: Option<KeyPair>,
}

/// A certificate or public key, and its private key if that was written too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyPair {
    /// PEM.
    pub public: Box<str>,
    /// PEM in the form PKCS#1, SEC1 or PKCS#8.
    pub private: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_many_forms() {
        for (text, host, port) in [
            ("172.22.0.10:6443", "172.22.0.10", 6443),
            ("api.c1.example", "api.c1.example", 6443),
            ("[fd00::1]:8443", "fd00::1", 8443),
            ("[fd00::1]", "fd00::1", 6443),
            ("fd00::1", "fd00::1", 6443),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((&*endpoint.host, endpoint.port), (host, port), "{text}");
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }
        for bad in [
            "",
            ":6443",
            "host:",
            "host:0",
            "host:70000",
            "host:x",
            "[fd00::1",
            "[fd00::1]6443",
            "a b:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
