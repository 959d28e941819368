//! What ties a machine to a Kubernetes cluster: kubeadm at its first boot, and what that leaves on its disk.

use std::sync::Arc;
use std::time::Duration;

use crate::node::disk::Image;
use crate::node::{Identity, Kind};

/// kubeadm looks for the cluster anew after this time (kubernetes: `cmd/kubeadm/app/constants`, `DiscoveryRetryInterval`, 5 s).
pub const RETRY: Duration = Duration::from_secs(5);
/// kubeadm gives up after this time (kubernetes: `cmd/kubeadm/app/apis/kubeadm/v1beta4`, `timeouts.discovery`, 5 min).
pub const PATIENCE: Duration = Duration::from_secs(300);

/// What kubeadm leaves on a machine's disk: which node of which cluster it is. It lives until the disk is erased.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The cluster by its control-plane endpoint, `host:port`.
    pub cluster: Box<str>,
    /// Name of the cluster, by which faults select it.
    pub name: Box<str>,
    /// Name of the node.
    pub node: Box<str>,
    /// Whether it runs the control plane.
    pub control_plane: bool,
}

/// Why kubeadm did not make a node of a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BootstrapFailure {
    /// In kubeadm's words.
    pub why: Box<str>,
    /// Whether kubeadm tries again by itself: the cluster may only not be there yet.
    pub again: bool,
}

/// A machine as a cluster sees it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Its hardware.
    pub kind: Arc<Kind>,
    /// What is on its disk.
    pub image: Option<Box<Image>>,
}

/// What a machine does in clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity<'a> {
    /// Nothing.
    None,
    /// kubeadm is at work.
    Bootstrapping,
    /// It runs as a node.
    Member(&'a Arc<Membership>),
}
