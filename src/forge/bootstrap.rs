//! What one machine is given: files and a command, whatever the format in which they are written down.

use metalsim_actors::node::bmc::Secret;

use super::kubeadm::{self, Node};
use super::{Cluster, ForgeError};

/// kubeadm's default of `certificatesDir`.
const CERTIFICATES_DIR: &str = "/etc/kubernetes/pki";
/// Permissions of certificates, and of all other files that hold no key.
pub(super) const READABLE: u32 = 0o640;
/// Permissions of keys.
const PRIVATE: u32 = 0o600;

/// What a machine becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first control plane: `kubeadm init`.
    Init,
    /// A further control plane: `kubeadm join` with `controlPlane`.
    ControlPlane,
    /// A worker: `kubeadm join`.
    Worker,
}

impl Role {
    /// The command of kubeadm.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::ControlPlane | Self::Worker => "join",
        }
    }
}

/// A file to write, owned by root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// Text, which may be a secret.
    pub content: Secret,
}

/// What a machine is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// What it becomes.
    pub role: Role,
    /// Certificates and keys, for control planes.
    pub certificates: Vec<File>,
    /// kubeadm's documents, each ended by a line feed.
    pub documents: Vec<Secret>,
}

impl Bootstrap {
    /// What a machine of the cluster is given.
    ///
    /// # Errors
    /// Never for a cluster that was made or read.
    pub fn new(cluster: &Cluster, role: Role, node: &Node) -> Result<Self, ForgeError> {
        let certificates = match role {
            Role::Init | Role::ControlPlane => certificates(cluster),
            Role::Worker => Vec::new(),
        };
        Ok(Self {
            role,
            certificates,
            documents: kubeadm::documents(cluster, role, node)?,
        })
    }

    /// All documents in one text, with `---` between them and, if `first`, before them.
    pub(super) fn joined(&self, first: bool) -> Secret {
        let texts: Vec<&str> = self.documents.iter().map(Secret::expose).collect();
        let start = if first { "---\n" } else { "" };
        Secret::new(&(start.to_owned() + &texts.join("\n---\n")))
    }
}

fn certificates(cluster: &Cluster) -> Vec<File> {
    let files = cluster.authorities.files().into_iter();
    files
        .map(|(name, content, private)| File {
            path: format!("{CERTIFICATES_DIR}/{name}"),
            mode: if private { PRIVATE } else { READABLE },
            content: Secret::new(content),
        })
        .collect()
}
