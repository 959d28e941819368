//! One simulated cluster with what stands around it: its API server's listeners, its control-plane instances, the ports of its pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use metalsim_actors::fault::SiteKind;
use metalsim_actors::fault::words::BadCertificate;
use metalsim_actors::ids::NodeId;
use metalsim_actors::kube::bootstrap;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controller::{Behaviour, Kubelet, Pace};
use metalsim_actors::kube::etcd::Etcd;
use metalsim_actors::kube::intern::Interner;
use metalsim_actors::kube::kubeadm;
use metalsim_actors::kube::machine::Ailment;
use metalsim_actors::kube::node::{self, NodeSpec, Role};
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{Limits, Settings, Store};
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::seed::Seed;
use metalsim_actors::shell::{ClusterRef, ClusterServices};

use super::api_server::ApiServer;
use super::bad_certificate::BadCertificates;
use super::endpoints::bind;
use super::founding::Founding;
use super::identity::Identity;
use super::machines::Machines;
use super::pki::{Kubeconfig, PkiError};
use super::pod_ports::Ports;
use super::serving::ServingCertificates;
use crate::clock;
use crate::frontend::kube::listener::{Listener, Workers};
use crate::frontend::kube::names::{NameEntry, Names};
use crate::observer::{ClusterObserver, ClusterTotals, NodeStep, RequestObserver};

/// How long certificates are valid (kubeadm: `constants.CertificateValidityPeriod`, a year).
pub(super) const CERTIFICATE: chrono::Duration = chrono::Duration::days(365);
/// Port of etcd for its clients.
pub(super) const ETCD_PORT: u16 = 2379;
/// The user of an administrator's kubeconfig, a member of the masters.
const ADMINISTRATOR: &str = "kubernetes-admin";

/// What all clusters of a process share.
pub struct Host {
    /// Time and counters.
    pub services: ClusterServices,
    /// The threads that serve.
    pub workers: Workers,
    /// Root of all chance.
    pub seed: Seed,
    /// How clusters behave.
    pub behaviour: Behaviour,
    /// Texts that objects of all clusters share.
    pub interner: Arc<Interner>,
    /// Is told what becomes of them.
    pub observer: Arc<dyn ClusterObserver>,
    /// The machines under their nodes.
    pub machines: Arc<Machines>,
}

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A certificate or key.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The cluster's own store refused an object: a name or network in the configuration is not valid.
    #[error("{0}")]
    Refused(Box<str>),
    /// There is no thread to run on.
    #[error("the program is stopping")]
    Stopping,
    /// The socket cannot be served.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<Status> for StartError {
    fn from(status: Status) -> Self {
        Self::Refused(status.message.into())
    }
}

/// A machine that is a node of the cluster.
#[derive(Clone, Debug)]
struct Instance {
    node: Box<str>,
    address: Ipv4Addr,
    version: Option<KubernetesVersion>,
    control_plane: bool,
    running: bool,
}

/// One cluster.
pub struct SimulatedCluster {
    server: Arc<ApiServer>,
    founding: Founding,
    certificates: ServingCertificates,
    instances: Mutex<BTreeMap<NodeId, Instance>>,
    doors: Mutex<Vec<Door>>,
    observer: Arc<dyn ClusterObserver>,
    requests: Arc<dyn RequestObserver>,
    machines: Arc<Machines>,
    bad_certificates: BadCertificates,
    reopening: AtomicBool,
}

/// One who opens a cluster again, until it is dropped.
pub(super) struct Reopening<'a>(&'a AtomicBool);

impl Drop for Reopening<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A way to the API server.
enum Door {
    /// A socket of its own.
    Own(Listener),
    /// A name on a shared port, and a socket inside of the machine for what comes through a pod's port.
    Named {
        /// The name.
        _entry: NameEntry,
        /// The socket.
        inside: Listener,
    },
}

impl Door {
    fn listener(&self) -> &Listener {
        match self {
            Self::Own(listener) | Self::Named { inside: listener, .. } => listener,
        }
    }
}

impl SimulatedCluster {
    /// Founds a cluster: its objects are as after `kubeadm init`, but for nodes. Nothing listens yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn found(host: &Host, founding: Founding) -> Result<Arc<Self>, StartError> {
        let endpoint = founding.endpoint.to_string();
        let version = founding.version.to_string();
        let seed = host.seed.child("cluster").child(&endpoint).child(&founding.name);
        let now = host.services.clock.calendar(host.services.clock.now());
        let ca = founding.authority.pem();
        let settings = Settings {
            seed,
            limits: Limits::default(),
            service_network: Some(founding.service_network),
        };
        let mut store = Store::new(settings, Arc::clone(&host.interner));
        bootstrap::create(&mut store, now)?;
        kubeadm::init(&mut store, &founding.facts(&endpoint, &version, &ca), now)?;
        // Nobody has seen how it came to be.
        store.compact(store.version());
        let behaviour = Behaviour {
            pod_network: founding.pod_network().unwrap_or(host.behaviour.pod_network),
            pace: Pace {
                epoch: host.services.clock.epoch(),
                speed: host.services.clock.speed(),
            },
            ..host.behaviour.clone()
        };
        let cluster = Cluster::new(store, Arc::new(behaviour), ca.into(), seed);
        let arbiter = host.workers.arbiter().ok_or(StartError::Stopping)?;
        let cluster = ClusterRef::start(&founding.name, cluster, host.services.clone(), &arbiter);
        let identity = Identity::new(
            founding.authority.clone(),
            founding.token_key.clone(),
            founding.version.clone(),
            seed,
        )?;
        let certificates = ServingCertificates::new(&founding)?;
        Ok(Arc::new_cyclic(|this: &Weak<Self>| Self {
            server: Arc::new(ApiServer::new(
                cluster,
                identity,
                Arc::new(Ports(Weak::clone(this))),
            )),
            founding,
            certificates,
            instances: Mutex::default(),
            doors: Mutex::default(),
            observer: Arc::clone(&host.observer),
            requests: Arc::clone(host.workers.observer()),
            machines: Arc::clone(&host.machines),
            bad_certificates: BadCertificates::default(),
            reopening: AtomicBool::new(false),
        }))
    }

    /// What it was made from.
    #[must_use]
    pub const fn founding(&self) -> &Founding {
        &self.founding
    }

    /// Its API server.
    #[must_use]
    pub const fn server(&self) -> &Arc<ApiServer> {
        &self.server
    }

    /// Its state.
    #[must_use]
    pub fn cluster(&self) -> &Arc<ClusterRef> {
        &self.server.cluster
    }

    /// Who counts requests to its members of etcd.
    pub(super) fn requests(&self) -> &Arc<dyn RequestObserver> {
        &self.requests
    }

    /// A request reaches the etcd member on a node: the real time by which faults delay its answer.
    pub(super) fn etcd_delay(&self, node: &str) -> Duration {
        if !self.cluster().may_strike(SiteKind::EtcdRequest) {
            return Duration::ZERO;
        }
        let instances = lock(&self.instances);
        let machine = instances.iter().find(|(_, instance)| &*instance.node == node);
        let Some(machine) = machine.map(|(machine, _)| *machine) else {
            return Duration::ZERO;
        };
        drop(instances);
        self.machines.etcd_delay(machine)
    }

    /// The same for the leader, which every write goes through.
    pub(super) fn write_delay(&self) -> Duration {
        if !self.cluster().may_strike(SiteKind::EtcdRequest) {
            return Duration::ZERO;
        }
        let now = self.cluster().now();
        let leader = self.cluster().read(|cluster| {
            let etcd = cluster.etcd_at(now)?;
            Some(etcd.member(etcd.leader()?)?.name.clone())
        });
        leader.map_or(Duration::ZERO, |leader| self.etcd_delay(&leader))
    }

    /// What its API servers show.
    pub(super) const fn certificates(&self) -> &ServingCertificates {
        &self.certificates
    }

    /// TLS with a certificate that no client should accept.
    pub(super) fn bad_certificate(&self, how: BadCertificate) -> Result<Arc<rustls::ServerConfig>, PkiError> {
        let founding = &self.founding;
        self.bad_certificates
            .of(how, &founding.authority, &founding.server_names())
    }

    /// Adds what there is of it, without a look at its state.
    pub(super) fn add_to(&self, totals: &mut ClusterTotals) {
        let count = |counts: &mut [u64; 2], holds: bool| counts[usize::from(!holds)] += 1;
        count(&mut totals.open, self.is_open());
        for instance in lock(&self.instances).values() {
            let machines = if instance.control_plane {
                &mut totals.control_planes
            } else {
                &mut totals.workers
            };
            count(machines, instance.running);
        }
        let tally = self.cluster().tally();
        count(&mut totals.quorum, !tally.lost_storage());
        count(
            &mut totals.certificates,
            self.cluster().state(SiteKind::ApiHandshake).is_empty(),
        );
        let nodes = tally.nodes();
        totals.nodes[0] += u64::from(nodes.ready);
        totals.nodes[1] += u64::from(nodes.all.saturating_sub(nodes.ready));
        let (watches, logs) = self.server.open_streams();
        totals.watches += u64::from(watches);
        totals.logs += u64::from(logs);
        totals.writes += u64::from(self.cluster().waiting_writes());
    }

    /// A kubeconfig of its administrator that leads to `address`.
    ///
    /// # Errors
    /// An authority without key.
    pub fn kubeconfig(&self, address: &str) -> Result<Kubeconfig, PkiError> {
        let authority = &self.founding.authority;
        let admin = authority.issue_client(ADMINISTRATOR, &["system:masters"], clock::wall(), CERTIFICATE)?;
        Kubeconfig::new(
            &self.founding.name,
            &format!("https://{address}"),
            ADMINISTRATOR,
            authority,
            &admin,
        )
    }

    /// Serves the API on these sockets until [`Self::close`].
    ///
    /// # Errors
    /// If a socket cannot be taken over.
    pub fn open(&self, host: &Host, sockets: &[TcpListener]) -> std::io::Result<()> {
        let tls = self.certificates.endpoint();
        let opened = sockets
            .iter()
            .map(|socket| host.workers.open(socket, &self.server, &tls).map(Door::Own))
            .collect::<Result<Vec<_>, _>>()?;
        self.opened(opened);
        Ok(())
    }

    fn opened(&self, doors: Vec<Door>) {
        let mut open = lock(&self.doors);
        let first = open.is_empty() && !doors.is_empty();
        open.extend(doors);
        // Under the lock, so that opening and closing are told in their order.
        if first {
            self.observer
                .opened(&self.founding.name, &self.founding.endpoint.to_string());
        }
    }

    /// Serves the API under a name on a shared port until [`Self::close`].
    ///
    /// # Errors
    /// If there is no socket for what comes through a pod's port.
    pub fn open_named(&self, host: &Host, names: &Arc<Names>, name: &str) -> std::io::Result<()> {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let socket = bind(address).map_err(|error| error.source)?;
        let tls = self.certificates.endpoint();
        let inside = host.workers.open(&socket, &self.server, &tls)?;
        let entry = names.open(name, &self.server, &tls);
        self.opened(vec![Door::Named {
            _entry: entry,
            inside,
        }]);
        Ok(())
    }

    /// Whether the API is served.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !lock(&self.doors).is_empty()
    }

    /// Where the API is served; inside of the machine if it shares a port.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        lock(&self.doors).first().map(|door| door.listener().address())
    }

    /// Its own sockets, for a cluster that takes its place.
    ///
    /// # Errors
    /// Out of file handles.
    pub fn sockets(&self) -> std::io::Result<Vec<TcpListener>> {
        lock(&self.doors)
            .iter()
            .filter_map(|door| match door {
                Door::Own(listener) => Some(listener.socket()),
                Door::Named { .. } => None,
            })
            .collect()
    }

    /// The right to open it again; `None` while somebody else has it.
    pub(super) fn reopening(&self) -> Option<Reopening<'_>> {
        let taken = self.reopening.swap(true, Ordering::AcqRel);
        (!taken).then_some(Reopening(&self.reopening))
    }

    /// Connections are refused from now on.
    pub fn close(&self) {
        drop(self.take_doors());
    }

    fn take_doors(&self) -> Vec<Door> {
        let mut open = lock(&self.doors);
        let doors = std::mem::take(&mut *open);
        if !doors.is_empty() {
            self.observer
                .closed(&self.founding.name, &self.founding.endpoint.to_string());
        }
        doors
    }

    /// Closes it. When this is done, nobody listens any more.
    pub async fn closed(&self) {
        for door in self.take_doors() {
            match door {
                Door::Own(listener) | Door::Named { inside: listener, .. } => listener.closed().await,
            }
        }
    }

    /// Ends the cluster for good.
    pub fn stop(&self) {
        self.close();
        self.cluster().stop();
    }

    /// Adds a machine as a node whose kubelet does not run yet. The first control plane founds etcd, others join it.
    pub fn seat(&self, machine: NodeId, spec: &NodeSpec) {
        lock(&self.instances).insert(
            machine,
            Instance {
                node: spec.name.as_str().into(),
                address: spec.internal_ip,
                version: spec.version.parse().ok(),
                control_plane: spec.role == Role::ControlPlane,
                running: false,
            },
        );
        if spec.role == Role::ControlPlane
            && let Err(error) = self.certificates.add(&self.founding, spec)
        {
            tracing::error!(%error, node = spec.name, "an API server has no certificate of its own");
        }
        self.tell(machine, &spec.name, NodeStep::Joined);
    }

    fn tell(&self, machine: NodeId, node: &str, step: NodeStep) {
        self.observer.node(&self.founding.name, node, machine, step);
    }

    /// The machine's kubelet runs, and its part of the control plane. One that `goes_on` had only stood still. Tells whether it is part of the
    /// control plane.
    pub fn started(&self, machine: NodeId, goes_on: bool) -> bool {
        let Some(instance) = self.run(machine, true) else {
            return false;
        };
        self.tell(machine, &instance.node, NodeStep::Started);
        let Instance {
            node, control_plane, ..
        } = instance;
        self.cluster()
            .post(move |cluster, now| cluster.start_machine(&node, goes_on, now));
        if control_plane {
            self.tell_endpoints();
        }
        control_plane
    }

    /// Writes where the API servers are, as they do themselves: the Endpoints `default/kubernetes`. Also what version they are of.
    fn tell_endpoints(&self) {
        let (addresses, versions): (BTreeSet<IpAddr>, BTreeSet<_>) = lock(&self.instances)
            .values()
            .filter(|instance| instance.control_plane && instance.running)
            .map(|instance| (IpAddr::from(instance.address), instance.version.clone()))
            .unzip();
        // Of several, the oldest answers: what the cluster can do for sure. An upgrade is over with the last.
        if let Some(version) = versions.into_iter().flatten().next() {
            self.server.identity.set_version(version);
        }
        // Without any there is nobody to write.
        if addresses.is_empty() {
            return;
        }
        let port = self.founding.endpoint.port;
        self.cluster().post(move |cluster, now| {
            if let Err(status) = bootstrap::api_server_endpoints(&mut cluster.store, &addresses, port, now) {
                tracing::debug!(
                    message = status.message,
                    "the API servers' endpoints were refused"
                );
            }
        });
    }

    /// The machine has stopped. Tells whether any control plane still runs.
    pub fn stopped(&self, machine: NodeId) -> bool {
        if let Some(Instance { node, .. }) = self.run(machine, false) {
            self.tell(machine, &node, NodeStep::Stopped);
            self.cluster()
                .post(move |cluster, now| cluster.stop_machine(&node, now));
        }
        self.tell_endpoints();
        self.has_control_plane()
    }

    /// What is wrong with the machine from now on.
    pub fn afflicted(&self, machine: NodeId, ailment: Ailment) {
        let Some(Instance { node, running, .. }) = lock(&self.instances).get(&machine).cloned() else {
            return;
        };
        self.cluster()
            .post(move |cluster, now| cluster.afflict(&node, ailment, running, now));
    }

    /// The machine is no longer part of the cluster. Tells whether any machine is left.
    pub fn erased(&self, machine: NodeId) -> bool {
        let removed = lock(&self.instances).remove(&machine);
        if let Some(Instance { node, .. }) = removed {
            self.certificates.remove(&node);
            self.tell(machine, &node, NodeStep::Left);
            self.cluster().post(move |cluster, now| {
                cluster.stop_machine(&node, now);
                cluster.set_kubelet(&node, None, now);
            });
        }
        !lock(&self.instances).is_empty()
    }

    /// Whether a machine with a part of the control plane runs.
    #[must_use]
    pub fn has_control_plane(&self) -> bool {
        lock(&self.instances)
            .values()
            .any(|instance| instance.control_plane && instance.running)
    }

    /// Whether a machine with a part of the control plane is part of the cluster, running or not.
    #[must_use]
    pub fn is_active(&self) -> bool {
        lock(&self.instances)
            .values()
            .any(|instance| instance.control_plane)
    }

    /// Machines of the control plane that run, and all machines.
    #[must_use]
    pub fn machines(&self) -> (usize, usize) {
        let instances = lock(&self.instances);
        let control = instances
            .values()
            .filter(|instance| instance.control_plane && instance.running)
            .count();
        (control, instances.len())
    }

    fn run(&self, machine: NodeId, running: bool) -> Option<Instance> {
        let mut instances = lock(&self.instances);
        let instance = instances.get_mut(&machine)?;
        instance.running = running;
        self.certificates.run(&instance.node, running);
        Some(instance.clone())
    }
}

/// Registers a node, with its part of the control plane if it has one. The kubelet does not run yet.
///
/// # Errors
/// A refused write.
pub fn add_node(
    cluster: &mut Cluster,
    founding: &Founding,
    spec: &NodeSpec,
    port: u16,
    now: DateTime<Utc>,
) -> Result<(), Status> {
    node::register(&mut cluster.store, spec, now)?;
    let stopped = Kubelet::Stopped { booted: None };
    cluster.set_kubelet(&spec.name, Some(stopped), now);
    if spec.role == Role::ControlPlane {
        let address = spec.internal_ip.to_string();
        let (endpoint, version) = (founding.endpoint.to_string(), spec.version.clone());
        let ca = founding.authority.pem();
        kubeadm::static_pods(
            &mut cluster.store,
            &founding.facts(&endpoint, &version, &ca),
            &spec.name,
            &address,
            port,
            now,
        )?;
    }
    Ok(())
}

/// The URLs of an etcd member: for its peers and for its clients.
#[must_use]
pub fn etcd_urls(address: Ipv4Addr) -> (String, String) {
    (
        format!("https://{address}:2380"),
        format!("https://{address}:{ETCD_PORT}"),
    )
}

/// Founds the etcd of a new cluster with its first member.
pub fn found_etcd(cluster: &mut Cluster, seed: Seed, spec: &NodeSpec) {
    let (peer, client) = etcd_urls(spec.internal_ip);
    cluster.set_etcd(Some(Etcd::new(seed, &spec.name, &peer, &client)));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
