//! Clusters that are registered by a call, and get their nodes by calls: what FKAS does
//! (cluster-api-provider-metal3: `hack/fake-apiserver/cmd/metal3-fkas`).
//!
//! A registered cluster may still be formed by its nodes: `kubeadm init` at its endpoint takes its place, and from then on its nodes come
//! by themselves.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use dashmap::Entry;
use metalsim_actors::ids::NodeId;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::node::{NodeSpec, Role};
use metalsim_actors::kube::status::{Reason, Status};
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::node::os::intent::Endpoint;
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::ClusterError;
use tokio::sync::{Mutex, MutexGuard};

use super::endpoints::{LeaseError, Opening};
use super::founding::Founding;
use super::keys::ClusterKeys;
use super::kubeadm::join_etcd;
use super::manager::{ListenError, Manager};
use super::names::ClusterName;
use super::simulated::{SimulatedCluster, StartError, add_node, found_etcd};

/// The label of a Machine of the control plane (cluster-api: `api/core/v1beta2/common_types.go`, `MachineControlPlaneLabel`).
const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";
/// The label by which provider and bare-metal host find each other (cluster-api-provider-metal3: `baremetal/metal3machine_manager.go`).
const HOST: &str = "metal3.io/uuid";
/// Network of the nodes' addresses: for tests (RFC 2544).
const NODES: (Ipv4Addr, u32) = (Ipv4Addr::new(198, 18, 0, 0), 0x1_ffff);

/// A cluster that was registered.
pub(super) struct Registration {
    name: ClusterName,
    endpoint: Endpoint,
    busy: Mutex<()>,
}

impl Registration {
    /// One at a time founds the cluster, or adds nodes.
    pub(super) async fn busy(&self) -> MutexGuard<'_, ()> {
        self.busy.lock().await
    }
}

/// A cluster to register.
#[derive(Clone, Debug)]
pub struct Registering {
    /// Its name.
    pub name: ClusterName,
    /// Its keys, if the caller has them.
    pub keys: Option<ClusterKeys>,
    /// Its version of Kubernetes, if the caller knows it.
    pub version: Option<KubernetesVersion>,
}

/// A node to add to a registered cluster.
#[derive(Clone, Debug)]
pub struct RegisteredNode {
    /// Its cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub name: String,
    /// `spec.providerID`; empty: none.
    pub provider_id: String,
    /// The id of its host, for the label `metal3.io/uuid`; empty: none.
    pub host: String,
    /// The labels of its Machine. `cluster.x-k8s.io/control-plane` makes it a control plane.
    pub labels: Vec<(String, String)>,
    /// Version of Kubernetes, if the caller knows it.
    pub version: Option<KubernetesVersion>,
}

/// Why a cluster was not registered, or a node not added.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Nobody has registered it.
    #[error("Workload Cluster does not exist")]
    Unknown,
    /// A worker before the first control plane.
    #[error("Workload Cluster has not been activated")]
    NotActivated,
    /// It was taken away while this waited for its turn.
    #[error("the cluster was unregistered meanwhile")]
    Gone,
    /// It has other keys, and nodes that know them.
    #[error("cluster {0} has nodes and other keys: unregister it first")]
    OtherKeys(ClusterName),
    /// It is none that was registered, or no longer.
    #[error("cluster {0} was formed by its nodes, and ends with them")]
    Formed(Box<str>),
    /// No endpoint.
    #[error("Failed to initialize listener: {0}")]
    Lease(#[from] LeaseError),
    /// Its endpoint cannot be served.
    #[error("Failed to initialize listener: {0}")]
    Listen(#[from] ListenError),
    /// It could not be founded.
    #[error("Failed to add API server: {0}")]
    Start(#[from] StartError),
    /// The management cluster has no keys.
    #[error("Failed to add API server: the management cluster has no Secrets {0}-ca and {0}-etcd")]
    NoKeys(ClusterName),
    /// The management cluster does not answer.
    #[error("Failed to add API server: the management cluster: {0}")]
    Management(String),
    /// The cluster does not take the node.
    #[error("Error adding node {node}: {}", .status.message)]
    Refused {
        /// The node.
        node: Box<str>,
        /// Why.
        status: Status,
    },
    /// The cluster gave no answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Manager {
    /// Registers a cluster and leases an endpoint for it. Its API server is open at once, without nodes, if its keys are known:
    /// given, or found in the management cluster, or made if there is none. A repetition changes nothing.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub async fn register(&self, wanted: Registering) -> Result<Endpoint, RegisterError> {
        let (registration, opening) = self.enter(&wanted.name)?;
        let is_new = opening.is_some();
        let _busy = registration.busy().await;
        if !self.is_current(&registration) {
            return Err(RegisterError::Gone);
        }
        let prepared = self.prepare(&registration, wanted, opening).await;
        if prepared.is_err() && is_new {
            self.forget(&registration.endpoint.to_string());
        }
        prepared.map(|()| registration.endpoint.clone())
    }

    /// Ends a registered cluster, and gives its endpoint back. `false`: there is none of that name.
    ///
    /// # Errors
    /// If it was formed by its nodes.
    pub async fn unregister(&self, name: &ClusterName) -> Result<bool, RegisterError> {
        let Some(registration) = self.registration(name) else {
            return Ok(false);
        };
        let _busy = registration.busy().await;
        if !self.is_current(&registration) {
            return Ok(false);
        }
        let key = registration.endpoint.to_string();
        if let Some(cluster) = self.find(&key) {
            if cluster.founding().registered.is_none() {
                return Err(RegisterError::Formed(key.into()));
            }
            // Whoever gets the endpoint next finds it free.
            cluster.closed().await;
        }
        self.remove(&key);
        Ok(true)
    }

    /// Adds a node, whose kubelet runs, to a registered cluster. The first control plane founds the cluster, if that has not been
    /// done, or anew if it is of another version. A node that is there is left alone. Tells whether one was added.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub async fn add_registered_node(&self, node: RegisteredNode) -> Result<bool, RegisterError> {
        let registration = self.registration(&node.cluster).ok_or(RegisterError::Unknown)?;
        let _busy = registration.busy().await;
        if !self.is_current(&registration) {
            return Err(RegisterError::Gone);
        }
        let key = registration.endpoint.to_string();
        let is_control_plane = node.labels.iter().any(|(label, _)| label == CONTROL_PLANE);
        let found = self.find(&key);
        if let Some(cluster) = &found
            && cluster.founding().registered.is_none()
        {
            return Ok(false);
        }
        let cluster = match found {
            Some(cluster) if cluster.is_active() => cluster,
            _ if !is_control_plane => return Err(RegisterError::NotActivated),
            found => self.activate(&registration, &node, found).await?,
        };
        self.add(&key, &cluster, node, is_control_plane).await
    }

    /// The machine of a node that was added is gone: its kubelet and its part of the control plane stop, the Node object stays. With
    /// the last machine of the control plane, connections are refused; the endpoint stays leased.
    pub async fn remove_registered_node(&self, cluster: &ClusterName, node: &str) {
        let Some(registration) = self.registration(cluster) else {
            return;
        };
        let _busy = registration.busy().await;
        let found = self.find(&registration.endpoint.to_string());
        if let Some(cluster) = found.filter(|cluster| cluster.founding().registered.is_some()) {
            let machine = machine_of(&registration.name, node);
            cluster.stopped(machine);
            cluster.erased(machine);
            if !cluster.has_control_plane() {
                cluster.close();
            }
        }
    }

    /// The name under which the cluster at an endpoint is registered.
    #[must_use]
    pub fn registered_name(&self, endpoint: &str) -> Option<ClusterName> {
        self.registered_at.get(endpoint).map(|name| name.clone())
    }

    /// Registered clusters that are not there yet, because their keys are not: name and endpoint.
    #[must_use]
    pub fn waiting(&self) -> Vec<(ClusterName, Endpoint)> {
        self.registered
            .iter()
            .filter(|entry| !self.clusters.contains_key(&*entry.endpoint.to_string()))
            .map(|entry| (entry.key().clone(), entry.endpoint.clone()))
            .collect()
    }

    /// Endpoints for registered clusters.
    #[must_use]
    pub const fn endpoints(&self) -> &super::endpoints::Endpoints {
        &self.endpoints
    }

    /// The registration of the cluster at an endpoint.
    pub(super) fn registration_at(&self, endpoint: &str) -> Option<Arc<Registration>> {
        self.registration(&self.registered_name(endpoint)?)
    }

    /// Forgets a registration and gives its endpoint back.
    pub(super) fn forget(&self, endpoint: &str) {
        if let Some((_, name)) = self.registered_at.remove(endpoint) {
            self.registered.remove(&name);
        }
        self.endpoints.give_back(endpoint);
    }

    fn registration(&self, name: &ClusterName) -> Option<Arc<Registration>> {
        self.registered.get(name).map(|found| Arc::clone(&found))
    }

    fn is_current(&self, registration: &Arc<Registration>) -> bool {
        self.registration(&registration.name)
            .is_some_and(|current| Arc::ptr_eq(&current, registration))
    }

    /// The registration of a name. A new one comes with what its endpoint is opened with.
    fn enter(&self, name: &ClusterName) -> Result<(Arc<Registration>, Option<Opening>), LeaseError> {
        match self.registered.entry(name.clone()) {
            Entry::Occupied(known) => Ok((Arc::clone(known.get()), None)),
            Entry::Vacant(free) => {
                let is_taken = |endpoint: &str| self.clusters.contains_key(endpoint);
                let (endpoint, opening) = self.endpoints.lease(name, is_taken)?;
                self.registered_at
                    .insert(endpoint.to_string().into(), name.clone());
                let registration = Arc::new(Registration {
                    name: name.clone(),
                    endpoint,
                    busy: Mutex::default(),
                });
                free.insert(Arc::clone(&registration));
                Ok((registration, Some(opening)))
            }
        }
    }

    /// Founds a cluster when it is registered.
    async fn prepare(
        &self,
        registration: &Registration,
        wanted: Registering,
        opening: Option<Opening>,
    ) -> Result<(), RegisterError> {
        if let Some(cluster) = self.find(&registration.endpoint.to_string()) {
            let has_others = |keys: &ClusterKeys| !keys.same_authorities(&cluster.founding().keys());
            if !wanted.keys.as_ref().is_some_and(has_others) {
                return Ok(());
            }
            if cluster.founding().registered.is_none() || cluster.machines().1 > 0 {
                return Err(RegisterError::OtherKeys(wanted.name));
            }
        }
        let keys = match (wanted.keys, &self.keys) {
            (Some(keys), _) => keys,
            (None, None) => ClusterKeys::generate().map_err(StartError::from)?,
            (None, Some(source)) => match source.keys(&wanted.name).await {
                Ok(Some(keys)) => keys,
                // They come with the Cluster object, which needs the endpoint first.
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::warn!(cluster = %wanted.name, error, "the management cluster tells no keys");
                    return Ok(());
                }
            },
        };
        let version = wanted.version.unwrap_or_else(|| self.defaults.version.clone());
        self.found_registered(registration, keys, version, opening)
            .await?;
        Ok(())
    }

    /// The cluster when its first control plane comes: the one that was opened when it was registered, or one of the node's version.
    async fn activate(
        &self,
        registration: &Registration,
        node: &RegisteredNode,
        found: Option<Arc<SimulatedCluster>>,
    ) -> Result<Arc<SimulatedCluster>, RegisterError> {
        let own = match &found {
            Some(cluster) if cluster.is_open() => {
                let founding = cluster.founding();
                if node
                    .version
                    .as_ref()
                    .is_none_or(|version| *version == founding.version)
                {
                    return Ok(Arc::clone(cluster));
                }
                Some(founding.keys())
            }
            // The last machine of its control plane has gone: this is another cluster, maybe with the same keys.
            Some(cluster) if self.keys.is_none() => Some(cluster.founding().keys()),
            Some(_) | None => None,
        };
        let keys = match (own, &self.keys) {
            (Some(keys), _) => keys,
            (None, None) => ClusterKeys::generate().map_err(StartError::from)?,
            (None, Some(source)) => source
                .keys(&registration.name)
                .await
                .map_err(RegisterError::Management)?
                .ok_or_else(|| RegisterError::NoKeys(registration.name.clone()))?,
        };
        let version = node
            .version
            .clone()
            .unwrap_or_else(|| self.defaults.version.clone());
        self.found_registered(registration, keys, version, None).await
    }

    async fn found_registered(
        &self,
        registration: &Registration,
        keys: ClusterKeys,
        version: KubernetesVersion,
        opening: Option<Opening>,
    ) -> Result<Arc<SimulatedCluster>, RegisterError> {
        let Registration { name, endpoint, .. } = registration;
        let opening = match opening {
            Some(opening) => opening,
            None => self.opening(endpoint).await?,
        };
        let mut founding = Founding::with_keys(name.name(), endpoint.clone(), version, keys);
        founding.registered = Some(name.clone());
        let cluster = SimulatedCluster::found(&self.host, founding)?;
        self.open(&cluster, &opening).map_err(StartError::from)?;
        let key: Box<str> = endpoint.to_string().into();
        if let Some(replaced) = self.clusters.insert(key, Arc::clone(&cluster)) {
            // They share a socket: it is free only when nobody has it any more.
            replaced.closed().await;
            replaced.stop();
        }
        tracing::info!(cluster = %name, %endpoint, "a registered cluster is open");
        Ok(cluster)
    }

    async fn add(
        &self,
        key: &str,
        cluster: &Arc<SimulatedCluster>,
        node: RegisteredNode,
        is_control_plane: bool,
    ) -> Result<bool, RegisterError> {
        let machine = machine_of(&node.cluster, &node.name);
        let founding = cluster.founding();
        let version = node.version.as_ref().unwrap_or(&founding.version);
        let mut spec = NodeSpec::worker(&node.name, Ipv4Addr::UNSPECIFIED, &version.to_string());
        if is_control_plane {
            spec.role = Role::ControlPlane;
        }
        spec.provider_id = node.provider_id;
        spec.labels = node.labels;
        if !node.host.is_empty() {
            spec.labels.retain(|(label, _)| label != HOST);
            spec.labels.push((HOST.to_owned(), node.host));
        }
        let (made, seed) = (Arc::clone(cluster), self.host.seed.child("etcd").child(key));
        let name: Box<str> = node.name.into();
        let written = cluster.cluster().write(move |state, now| {
            if is_known(state, &spec) {
                return Ok(None);
            }
            spec.internal_ip = free_address(state, machine);
            let port = made.founding().endpoint.port;
            let member = enter_etcd(state, seed, &spec)?;
            if let Err(status) = add_node(state, made.founding(), &spec, port, now) {
                leave_etcd(state, member);
                return Err(status);
            }
            Ok(Some(spec))
        });
        let added = written.await?.map_err(|status| RegisterError::Refused {
            node: name.clone(),
            status,
        })?;
        let Some(spec) = added else {
            return Ok(false);
        };
        cluster.seat(machine, &spec);
        cluster.started(machine, false);
        tracing::info!(node = %name, cluster = %node.cluster, "a node was added by a call");
        Ok(true)
    }
}

/// The id of the machine of a node that is added.
fn machine_of(cluster: &ClusterName, node: &str) -> NodeId {
    NodeId::from_name(&format!("registered node {cluster}/{node}"))
}

/// Whether the node is there, or another one for the same machine.
fn is_known(state: &Cluster, spec: &NodeSpec) -> bool {
    state.store.all_of("", "nodes", None).any(|node| {
        let provider = node.at(&["spec", "providerID"]);
        node.name() == spec.name
            || (!spec.provider_id.is_empty()
                && provider.is_some_and(|id| id.as_str() == Some(&spec.provider_id)))
    })
}

/// An address that follows from the machine's id, or the next one that no node has.
fn free_address(state: &Cluster, machine: NodeId) -> Ipv4Addr {
    let taken: BTreeSet<Ipv4Addr> = state
        .store
        .all_of("", "nodes", None)
        .filter_map(|node| {
            let addresses = node.at(&["status", "addresses"])?;
            addresses
                .as_array()?
                .iter()
                .find_map(|address| address["address"].as_str()?.parse().ok())
        })
        .collect();
    let (network, hosts) = NODES;
    let start = u32::try_from(machine.as_uuid().as_u128() & u128::from(hosts)).unwrap_or(0);
    let at = |step: u32| {
        let host = start.wrapping_add(step) % hosts;
        Ipv4Addr::from(u32::from(network).saturating_add(host).saturating_add(1))
    };
    (0..hosts)
        .map(at)
        .find(|address| !taken.contains(address))
        .unwrap_or_else(|| at(0))
}

/// What was done to etcd for a node.
enum Member {
    /// It is a worker, or was a member before.
    Unchanged,
    /// It is the first one.
    Founded,
    /// It has joined others.
    Joined,
}

fn enter_etcd(state: &mut Cluster, seed: Seed, spec: &NodeSpec) -> Result<(Member, Box<str>), Status> {
    let name = spec.name.as_str().into();
    if spec.role != Role::ControlPlane {
        return Ok((Member::Unchanged, name));
    }
    match state.etcd() {
        None => {
            found_etcd(state, seed, spec);
            return Ok((Member::Founded, name));
        }
        Some(etcd) if etcd.by_name(&spec.name).is_some() => return Ok((Member::Unchanged, name)),
        Some(_) => {}
    }
    join_etcd(state, spec).map_err(|failure| Status::failure(Reason::ServiceUnavailable, &*failure.why))?;
    Ok((Member::Joined, name))
}

fn leave_etcd(state: &mut Cluster, (member, name): (Member, Box<str>)) {
    match member {
        Member::Unchanged => {}
        Member::Founded => state.set_etcd(None),
        Member::Joined => {
            if let Some(etcd) = state.etcd_mut()
                && let Some((id, _)) = etcd.by_name(&name)
            {
                // One that has just joined can leave again.
                let _left = etcd.remove(id);
            }
        }
    }
}
