//! All clusters of the process: found by their endpoints, formed and joined by machines, gone with the last of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use metalsim_actors::fault::words::EtcdAlarm;
use metalsim_actors::ids::NodeId;
use metalsim_actors::kube::etcd::Alarm;
use metalsim_actors::kube::machine::Ailment;
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::node::affliction::{EtcdAffliction, KubeletAffliction};
use metalsim_actors::node::os::description::SystemDescription;
use metalsim_actors::node::os::intent::{Endpoint, Intent};
use metalsim_actors::node::os::membership::{BootstrapFailure, Machine, Membership};
use metalsim_actors::ports::{Clusters, LocalFuture};

use super::endpoints::{Endpoints, Opening, bind};
use super::image_version::ImageVersion;
use super::keys::KeySource;
use super::names::ClusterName;
use super::registered::Registration;
use super::simulated::{Host, SimulatedCluster};
use crate::observer::{ClusterCensus, ClusterTotals};

/// Reason of a kubelet that reports that its node is not ready (kubernetes: `pkg/kubelet/nodestatus/setters.go`).
const NOT_READY: &str = "KubeletNotReady";
/// How often an API server that comes back looks whether its port is free: for about five minutes.
const REOPENINGS: u32 = 20;
/// Wait after the first look, doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What all machines that become nodes have in common.
#[derive(Clone, Debug)]
pub struct NodeDefaults {
    /// The version of Kubernetes of a cluster for which nobody names one.
    pub version: KubernetesVersion,
    /// How the version that an image holds is read from its name.
    pub image_version: ImageVersion,
}

/// All clusters.
pub struct Manager {
    pub(super) host: Host,
    pub(super) defaults: NodeDefaults,
    pub(super) clusters: DashMap<Box<str>, Arc<SimulatedCluster>>,
    /// The cluster of each machine that is, or is about to become, a node.
    pub(super) machines: DashMap<NodeId, Box<str>>,
    /// Endpoints for clusters that are registered by a call.
    pub(super) endpoints: Endpoints,
    /// Those clusters.
    pub(super) registered: DashMap<ClusterName, Arc<Registration>>,
    /// Their names by their endpoints.
    pub(super) registered_at: DashMap<Box<str>, ClusterName>,
    /// Where their keys are looked for.
    pub(super) keys: Option<Arc<dyn KeySource>>,
}

/// The clusters as nodes see them.
#[derive(Clone)]
pub struct ManagerPort(pub Arc<Manager>);

/// Why nobody can listen at an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Its name has no address.
    #[error("the control-plane endpoint {endpoint} cannot be resolved: {source}")]
    Resolve {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        source: std::io::Error,
    },
    /// Its address is not ours, or taken.
    #[error("{0}")]
    Bind(Box<str>),
}

impl Manager {
    /// No clusters yet.
    #[must_use]
    pub fn new(
        host: Host,
        defaults: NodeDefaults,
        endpoints: Endpoints,
        keys: Option<Arc<dyn KeySource>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            host,
            defaults,
            clusters: DashMap::new(),
            machines: DashMap::new(),
            endpoints,
            registered: DashMap::new(),
            registered_at: DashMap::new(),
            keys,
        })
    }

    /// What clusters share.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The cluster at an endpoint.
    #[must_use]
    pub fn find(&self, endpoint: &str) -> Option<Arc<SimulatedCluster>> {
        self.clusters.get(endpoint).map(|found| Arc::clone(&found))
    }

    /// The clusters in the order of their endpoints.
    #[must_use]
    pub fn all(&self) -> Vec<(Box<str>, Arc<SimulatedCluster>)> {
        let mut all: Vec<_> = self
            .clusters
            .iter()
            .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
            .collect();
        all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// How to serve at an endpoint: at its place among those that are leased, at that of a registered cluster which is replaced,
    /// or at the endpoint's first address that is ours.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub(super) async fn opening(&self, endpoint: &Endpoint) -> Result<Opening, ListenError> {
        let refused = |error: String| {
            let text = format!("nothing can be served at the control-plane endpoint {endpoint}: {error}");
            ListenError::Bind(text.into())
        };
        let old = self.find(&endpoint.to_string());
        let old = old.filter(|old| old.founding().registered.is_some());
        let replaces = old.is_some();
        if let Some(old) = old {
            let sockets = old.sockets().map_err(|error| refused(error.to_string()))?;
            if !sockets.is_empty() {
                return Ok(Opening::Sockets(sockets));
            }
        }
        match self.endpoints.opening(endpoint) {
            Ok(Some(Opening::Name(name))) if !replaces && self.endpoints.names().has(&name) => {
                return Err(refused(format!("the name {name} is taken")));
            }
            Ok(Some(opening)) => return Ok(opening),
            Ok(None) => {}
            Err(error) => return Err(refused(error.to_string())),
        }
        let resolved: Vec<SocketAddr> = tokio::net::lookup_host((&*endpoint.host, endpoint.port))
            .await
            .map_err(|source| ListenError::Resolve {
                endpoint: endpoint.clone(),
                source,
            })?
            .collect();
        let mut why = String::new();
        for address in resolved {
            match bind(address) {
                Ok(socket) => return Ok(Opening::Sockets(vec![socket])),
                Err(error) => why = error.to_string(),
            }
        }
        Err(refused(why))
    }

    /// Serves a cluster's API.
    ///
    /// # Errors
    /// If a socket cannot be taken over.
    pub(super) fn open(&self, cluster: &SimulatedCluster, opening: &Opening) -> std::io::Result<()> {
        match opening {
            Opening::Sockets(sockets) => cluster.open(&self.host, sockets),
            Opening::Name(name) => cluster.open_named(&self.host, self.endpoints.names(), name),
        }
    }

    /// Ends a cluster, whatever is still in it.
    pub fn remove(&self, endpoint: &str) {
        self.forget(endpoint);
        if let Some((_, cluster)) = self.clusters.remove(endpoint) {
            tracing::info!(cluster = cluster.cluster().name(), endpoint, "a cluster is gone");
            cluster.stop();
        }
    }

    /// Ends all clusters: the program stops.
    pub fn stop(&self) {
        for (endpoint, _) in self.all() {
            self.remove(&endpoint);
        }
    }

    fn cluster_of(&self, machine: NodeId) -> Option<Arc<SimulatedCluster>> {
        let endpoint = self.machines.get(&machine).map(|entry| entry.value().clone())?;
        self.find(&endpoint)
    }

    /// Serves the API again, once a control plane is back. The port may be taken for a while, by the listener that is just being
    /// closed or by a program of somebody else.
    async fn reopen(self: Arc<Self>, cluster: Arc<SimulatedCluster>) {
        let Some(_alone) = cluster.reopening() else {
            return;
        };
        let (endpoint, name) = (&cluster.founding().endpoint, cluster.cluster().name());
        let key = endpoint.to_string();
        let is_current = || self.find(&key).is_some_and(|found| Arc::ptr_eq(&found, &cluster));
        let mut wait = FIRST_WAIT;
        for attempt in 1..=REOPENINGS {
            if cluster.is_open() || !cluster.has_control_plane() || !is_current() {
                break;
            }
            let opened = match self.opening(endpoint).await {
                Ok(opening) => self.open(&cluster, &opening).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match opened {
                Ok(()) => {
                    tracing::info!(cluster = name, attempt, "a cluster's API server is back");
                    break;
                }
                Err(error) if attempt == REOPENINGS => {
                    tracing::error!(cluster = name, error, "a cluster's API server cannot come back");
                }
                Err(error) => {
                    tracing::warn!(
                        cluster = name,
                        error,
                        attempt,
                        "a cluster's API server cannot come back yet"
                    );
                    tokio::time::sleep(wait).await;
                    wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                }
            }
        }
        // The machine may have gone while the name was looked up.
        if !cluster.has_control_plane() || !is_current() {
            cluster.close();
        }
    }
}

impl ClusterCensus for Manager {
    fn totals(&self) -> ClusterTotals {
        let mut totals = ClusterTotals::default();
        for entry in &self.clusters {
            entry.value().add_to(&mut totals);
        }
        totals
    }
}

impl Clusters for ManagerPort {
    fn bootstrap(
        &self,
        machine: Box<Machine>,
        description: Arc<SystemDescription>,
    ) -> LocalFuture<Result<Arc<Membership>, BootstrapFailure>> {
        let manager = Arc::clone(&self.0);
        Box::pin(async move {
            let name = machine.identity.name.clone();
            let result = match &description.intent {
                Intent::Standalone { reason } => Err(super::kubeadm::fatal(reason.to_string())),
                Intent::Incomplete { missing, .. } => {
                    Err(super::kubeadm::fatal(format!("error: {}", missing.join("; "))))
                }
                Intent::Init(init) => manager.init(&machine, &description, init).await,
                Intent::JoinControlPlane(join) => {
                    let wanted = super::kubeadm::Join::control_plane(join);
                    manager.join(&machine, &description, wanted).await
                }
                Intent::JoinWorker(join) => {
                    let wanted = super::kubeadm::Join::worker(join);
                    manager.join(&machine, &description, wanted).await
                }
            };
            match &result {
                Ok(membership) => {
                    tracing::info!(machine = %name, node = %membership.node, cluster = %membership.cluster, "kubeadm made a node");
                }
                Err(failure) if failure.again => {
                    tracing::debug!(machine = %name, error = %failure, "kubeadm waits");
                }
                Err(failure) => tracing::warn!(machine = %name, error = %failure, "kubeadm failed"),
            }
            result
        })
    }

    fn started(&self, node: NodeId, membership: &Arc<Membership>, goes_on: bool) {
        let Some(cluster) = self.0.find(&membership.cluster) else {
            return;
        };
        if cluster.started(node, goes_on) && !cluster.is_open() {
            actix_rt::spawn(Arc::clone(&self.0).reopen(cluster));
        }
    }

    fn stopped(&self, node: NodeId) {
        if let Some(cluster) = self.0.cluster_of(node)
            && !cluster.stopped(node)
        {
            cluster.close();
        }
    }

    fn afflicted(
        &self,
        node: NodeId,
        membership: &Arc<Membership>,
        kubelet: Option<Arc<KubeletAffliction>>,
        etcd: Option<Arc<EtcdAffliction>>,
    ) {
        if let Some(cluster) = self.0.find(&membership.cluster) {
            cluster.afflicted(node, ailment(kubelet.as_deref(), etcd.as_deref()));
        }
    }

    fn erased(&self, node: NodeId, membership: &Arc<Membership>) {
        self.0.machines.remove(&node);
        if let Some(cluster) = self.0.find(&membership.cluster)
            && !cluster.erased(node)
        {
            self.0.remove(&membership.cluster);
        }
    }
}

/// What faults do to a machine, as its cluster sees it.
fn ailment(kubelet: Option<&KubeletAffliction>, etcd: Option<&EtcdAffliction>) -> Ailment {
    let alarm = |alarm: &EtcdAlarm| match alarm {
        EtcdAlarm::NoSpace => Alarm::NoSpace,
        EtcdAlarm::Corrupt => Alarm::Corrupt,
    };
    let not_ready = kubelet.and_then(|kubelet| kubelet.not_ready.as_ref());
    Ailment {
        not_ready: not_ready.map(|ill| ill.reason.clone().unwrap_or_else(|| NOT_READY.into())),
        silent: kubelet.is_some_and(|kubelet| kubelet.silent),
        pressures: kubelet.map_or_else(Vec::new, |kubelet| kubelet.pressures.clone()),
        member_down: etcd.is_some_and(|etcd| etcd.down),
        alarms: etcd.map_or_else(Vec::new, |etcd| etcd.alarms.iter().map(alarm).collect()),
    }
}

/// The address of a machine that its network data do not give one: in 198.18.0.0/15, which is for tests (RFC 2544).
pub(super) fn address_of(machine: &Machine) -> Ipv4Addr {
    let bytes = machine.identity.id.as_uuid().as_u128();
    let host = u32::try_from(bytes & 0x1_ffff).unwrap_or(0);
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) | host.max(1))
}
