//! `kubeadm init` and `kubeadm join` on a simulated machine. The words of failures are kubeadm's.

use std::net::Ipv4Addr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use metalsim_actors::kube::auth::bootstrap_token_user;
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::controller::later;
use metalsim_actors::kube::etcd::EtcdError;
use metalsim_actors::kube::kubeadm::bootstrap_token;
use metalsim_actors::kube::node::{Hardware, NodeSpec, Role, Software};
use metalsim_actors::kube::version::KubernetesVersion;
use metalsim_actors::node::bmc::Secret;
use metalsim_actors::node::os::description::SystemDescription;
use metalsim_actors::node::os::intent::{
    BootstrapToken, Discovery, DiscoveryTrust, Endpoint, Init, JoinControlPlane, JoinWorker,
    NodeRegistration, Pki, TokenLifetime,
};
use metalsim_actors::node::os::membership::{BootstrapFailure, Machine, Membership};
use serde::Deserialize;
use serde_json::{Value, json};

use super::founding::Founding;
use super::manager::{Manager, address_of};
use super::pki::Authority;
use super::simulated::{SimulatedCluster, add_node, etcd_urls, found_etcd};
use crate::clock;

/// Minor versions that a kubelet may be older than the API server (kubernetes: version skew policy).
const OLDEST_KUBELET: u32 = 3;

/// It will not work the next time either.
pub(super) fn fatal(why: impl Into<Box<str>>) -> BootstrapFailure {
    BootstrapFailure {
        why: why.into(),
        again: false,
    }
}

fn again(why: impl Into<Box<str>>) -> BootstrapFailure {
    BootstrapFailure {
        why: why.into(),
        again: true,
    }
}

/// A join.
pub(super) struct Join<'a> {
    discovery: &'a Discovery,
    node: &'a NodeRegistration,
    /// The keys of a control plane and the port of its API server.
    control_plane: Option<(&'a Pki, u16)>,
}

impl<'a> Join<'a> {
    pub(super) fn control_plane(join: &'a JoinControlPlane) -> Self {
        Self {
            discovery: &join.discovery,
            node: &join.node,
            control_plane: Some((&join.pki, join.local.bind_port)),
        }
    }

    pub(super) fn worker(join: &'a JoinWorker) -> Self {
        Self {
            discovery: &join.discovery,
            node: &join.node,
            control_plane: None,
        }
    }
}

impl Manager {
    /// `kubeadm init`.
    pub(super) async fn init(
        &self,
        machine: &Machine,
        description: &SystemDescription,
        init: &Init,
    ) -> Result<Arc<Membership>, BootstrapFailure> {
        let spec = node_spec(
            machine,
            description,
            &init.node,
            Role::ControlPlane,
            self.version(machine, init),
        );
        let endpoint = init
            .cluster
            .control_plane_endpoint
            .clone()
            .unwrap_or_else(|| Endpoint {
                host: spec.internal_ip.to_string().into(),
                port: init.local.bind_port,
            });
        let key = endpoint.to_string();
        let id = machine.identity.id;
        let membership = Arc::new(Membership {
            cluster: key.as_str().into(),
            name: init.cluster.cluster_name.to_string().into(),
            node: spec.name.as_str().into(),
            control_plane: true,
        });
        if self
            .machines
            .get(&id)
            .is_some_and(|entry| **entry.value() == *key)
            && self.find(&key).is_some()
        {
            // It lost power when all was done but the last word.
            return Ok(membership);
        }
        // A call that adds nodes to a registered cluster waits.
        let registration = self.registration_at(&key);
        let _busy = match &registration {
            Some(registration) => Some(registration.busy().await),
            None => None,
        };
        let opening = self
            .opening(&endpoint)
            .await
            .map_err(|error| fatal(error.to_string()))?;
        let version = spec
            .version
            .parse()
            .map_err(|error| fatal(format!("error: {error}")))?;
        let founding =
            Founding::from_init(init, endpoint, version).map_err(|error| fatal(error.to_string()))?;
        let cluster =
            SimulatedCluster::found(&self.host, founding).map_err(|error| fatal(error.to_string()))?;
        let (port, tokens) = (init.local.bind_port, init.bootstrap_tokens.clone());
        let (made, written) = (Arc::clone(&cluster), spec.clone());
        let seed = self.host.seed.child("etcd").child(&key);
        let done = cluster.cluster().write(move |state, now| {
            found_etcd(state, seed, &written);
            write_tokens(state, &tokens, now)?;
            add_node(state, made.founding(), &written, port, now)
        });
        let done = match done.await {
            Ok(done) => done.map_err(|status| status.message),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = done {
            cluster.stop();
            return Err(fatal(why));
        }
        cluster.seat(id, &spec);
        if let Err(error) = self.open(&cluster, &opening) {
            cluster.stop();
            return Err(fatal(error.to_string()));
        }
        self.machines.insert(id, key.as_str().into());
        if let Some(replaced) = self.clusters.insert(key.as_str().into(), cluster) {
            replaced.closed().await;
            replaced.stop();
        }
        Ok(membership)
    }

    /// `kubeadm join`.
    pub(super) async fn join(
        &self,
        machine: &Machine,
        description: &SystemDescription,
        join: Join<'_>,
    ) -> Result<Arc<Membership>, BootstrapFailure> {
        let endpoint = &join.discovery.endpoint;
        let key = endpoint.to_string();
        let cluster = self
            .find(&key)
            .filter(|cluster| cluster.is_open())
            .ok_or_else(|| {
                again(format!(
                    "couldn't validate the identity of the API Server: failed to request the cluster-info ConfigMap: Get \"https://{key}/api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s\": dial tcp {key}: connect: connection refused"
                ))
            })?;
        if !cluster.cluster().read(Cluster::has_storage) {
            return Err(again(
                "couldn't validate the identity of the API Server: failed to request the cluster-info ConfigMap: etcdserver: request timed out",
            ));
        }
        let authority = &cluster.founding().authority;
        trust(&join.discovery.trust, authority)?;
        if let Some(token) = &join.discovery.token {
            check_token(&cluster, token)?;
        }
        let configured = configured_version(&cluster);
        let version = self.image_version(machine).unwrap_or_else(|| configured.clone());
        check_skew(&version, &configured)?;
        let role = if join.control_plane.is_some() {
            Role::ControlPlane
        } else {
            Role::Worker
        };
        let spec = node_spec(machine, description, join.node, role, version);
        let id = machine.identity.id;
        if let Some((pki, _)) = join.control_plane {
            same_authority(pki, authority)?;
        }
        let port = join.control_plane.map_or(0, |(_, port)| port);
        let (made, written) = (Arc::clone(&cluster), spec.clone());
        cluster
            .cluster()
            .write(move |state, now| {
                refuse_taken_name(state, &written)?;
                if written.role == Role::ControlPlane {
                    join_etcd(state, &written)?;
                }
                add_node(state, made.founding(), &written, port, now).map_err(|status| fatal(status.message))
            })
            .await
            .map_err(|error| again(error.to_string()))??;
        cluster.seat(id, &spec);
        self.machines.insert(id, key.as_str().into());
        Ok(Arc::new(Membership {
            cluster: key.into(),
            name: cluster.founding().name.as_str().into(),
            node: spec.name.into(),
            control_plane: role == Role::ControlPlane,
        }))
    }

    /// The version of a new cluster: of its configuration, of the image, or the default.
    fn version(&self, machine: &Machine, init: &Init) -> KubernetesVersion {
        let named = init.cluster.kubernetes_version.as_deref();
        named
            .and_then(|text| text.parse().ok())
            .or_else(|| self.image_version(machine))
            .unwrap_or_else(|| self.defaults.version.clone())
    }

    fn image_version(&self, machine: &Machine) -> Option<KubernetesVersion> {
        let image = machine.image.as_deref()?;
        let find = |text: &str| self.defaults.image_version.find(text);
        find(&image.url).or_else(|| find(&image.id))
    }
}

/// Writes the tokens of an `InitConfiguration`.
fn write_tokens(
    state: &mut Cluster,
    tokens: &[BootstrapToken],
    now: DateTime<Utc>,
) -> Result<(), metalsim_actors::kube::status::Status> {
    let wall = clock::wall();
    for BootstrapToken { token, lifetime } in tokens {
        let expiration = match *lifetime {
            TokenLifetime::Ever => None,
            TokenLifetime::For(time) => Some(later(wall, time)),
            TokenLifetime::Until(time) => Some(time),
        };
        bootstrap_token(&mut state.store, token.expose(), expiration, now)?;
    }
    Ok(())
}

/// Whether it is the cluster that the machine is told to join.
fn trust(trust: &DiscoveryTrust, authority: &Authority) -> Result<(), BootstrapFailure> {
    match trust {
        DiscoveryTrust::Unverified | DiscoveryTrust::File(None) => Ok(()),
        DiscoveryTrust::CaCertHashes(hashes) => {
            let hash = authority
                .public_key_hash()
                .map_err(|error| fatal(error.to_string()))?;
            if hashes.iter().any(|wanted| wanted.eq_ignore_ascii_case(&hash)) {
                return Ok(());
            }
            Err(fatal(format!(
                "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"{hash}\" are pinned"
            )))
        }
        DiscoveryTrust::File(Some(pem)) => {
            let trusted = Authority::from_pem(pem, None).map_err(|error| fatal(error.to_string()))?;
            let known = trusted
                .certificates()
                .iter()
                .any(|certificate| authority.certificates().contains(certificate));
            if known {
                Ok(())
            } else {
                Err(fatal(
                    "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                ))
            }
        }
    }
}

/// A token that the cluster does not know, or no longer, has no signature in `cluster-info`: kubeadm waits for it.
fn check_token(cluster: &SimulatedCluster, token: &Secret) -> Result<(), BootstrapFailure> {
    let known = cluster
        .cluster()
        .read(|state| bootstrap_token_user(&state.store, token.expose(), clock::wall()).is_some());
    if known {
        return Ok(());
    }
    // The id of a token is no secret; what follows it is.
    let id = token.expose().split('.').next().unwrap_or_default();
    Err(again(format!(
        "couldn't validate the identity of the API Server: token id \"{id}\" is invalid for this cluster or it has expired. Use \"kubeadm token create\" on the control-plane node to create a new valid token"
    )))
}

/// What kubeadm reads of the `ClusterConfiguration` in the cluster.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configured {
    kubernetes_version: Option<String>,
}

/// The version that the cluster is to have by `kubeadm-config`: whoever upgrades a cluster writes it there first (kubernetes:
/// `cmd/kubeadm/app/cmd/join.go`, `fetchInitConfiguration`). Without a word there, that with which it was founded.
fn configured_version(cluster: &SimulatedCluster) -> KubernetesVersion {
    let document = cluster.cluster().read(|state| {
        let map = state
            .store
            .look_up("", "configmaps", Some("kube-system"), "kubeadm-config")?;
        map.at(&["data", "ClusterConfiguration"])
    });
    let configured = document
        .as_ref()
        .and_then(|document| serde_saphyr::from_str::<Configured>(document.as_str()?).ok());
    configured
        .and_then(|configured| configured.kubernetes_version?.parse().ok())
        .unwrap_or_else(|| cluster.founding().version.clone())
}

fn check_skew(node: &KubernetesVersion, cluster: &KubernetesVersion) -> Result<(), BootstrapFailure> {
    let ((_, node_minor), (_, cluster_minor)) = (node.minor(), cluster.minor());
    // The control plane is upgraded machine by machine: one minor version ahead is an upgrade under way.
    if node_minor > cluster_minor.saturating_add(1)
        || node_minor.saturating_add(OLDEST_KUBELET) < cluster_minor
    {
        return Err(fatal(format!(
            "error execution phase preflight: this version of kubeadm and of the kubelet, {node}, does not fit a cluster of version {cluster}"
        )));
    }
    Ok(())
}

fn same_authority(pki: &Pki, authority: &Authority) -> Result<(), BootstrapFailure> {
    let Some(pair) = &pki.cluster_ca else {
        return Err(fatal(
            "error execution phase preflight: couldn't load certificate of the certificate authority \"ca\": /etc/kubernetes/pki/ca.crt: no such file or directory",
        ));
    };
    let own = Authority::from_pem(&pair.public, None).map_err(|error| fatal(error.to_string()))?;
    if own.public_key_hash().ok() == authority.public_key_hash().ok() {
        Ok(())
    } else {
        Err(fatal(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ))
    }
}

/// A node of that name that is ready is another machine (kubernetes: `cmd/kubeadm/app/phases/kubelet`, `join`).
fn refuse_taken_name(state: &Cluster, spec: &NodeSpec) -> Result<(), BootstrapFailure> {
    let Some(node) = state.store.look_up("", "nodes", None, &spec.name) else {
        return Ok(());
    };
    let ready = node
        .at(&["status", "conditions"])
        .and_then(|conditions| conditions.as_array().cloned())
        .unwrap_or_default()
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    if ready {
        return Err(fatal(format!(
            "error execution phase kubelet-start: a Node with name \"{}\" and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node",
            spec.name
        )));
    }
    Ok(())
}

/// Adds a member to etcd: a learner first, which is promoted once it has caught up (kubeadm: `phases/etcd`).
pub(super) fn join_etcd(state: &mut Cluster, spec: &NodeSpec) -> Result<(), BootstrapFailure> {
    let Some(etcd) = state.etcd_mut() else {
        return Ok(());
    };
    let refuse = |error: EtcdError| {
        again(format!(
            "error creating local etcd static pod manifest file: {error}"
        ))
    };
    if etcd.by_name(&spec.name).is_some() {
        return Ok(());
    }
    let (peer, client) = etcd_urls(spec.internal_ip);
    let id = etcd.add(&peer, true).map_err(refuse)?;
    etcd.start(id, &spec.name, &client).map_err(refuse)?;
    etcd.promote(id).map_err(refuse)
}

/// What the kubelet of a machine registers.
fn node_spec(
    machine: &Machine,
    description: &SystemDescription,
    registration: &NodeRegistration,
    role: Role,
    version: KubernetesVersion,
) -> NodeSpec {
    let profile = &machine.kind.profile;
    let name = registration
        .name
        .as_deref()
        .or(description.hostname.as_deref())
        .unwrap_or(&machine.identity.name)
        .to_ascii_lowercase();
    let address = description
        .addresses
        .iter()
        .find_map(|address| address.parse::<Ipv4Addr>().ok())
        .unwrap_or_else(|| address_of(machine));
    let largest_disk = profile
        .disks
        .iter()
        .map(|disk| disk.size_bytes)
        .max()
        .unwrap_or(0);
    NodeSpec {
        hardware: Hardware {
            cpus: profile.cpu.threads().max(1),
            memory_kib: profile.memory_mib.saturating_mul(1024),
            disk_kib: largest_disk / 1024,
        },
        software: Software::default(),
        addresses: Vec::new(),
        pod_network: None,
        role,
        provider_id: registration.provider_id.as_deref().unwrap_or_default().to_owned(),
        labels: registration
            .labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        taints: registration
            .taints
            .as_ref()
            .map(|taints| taints.iter().map(|taint| json!(taint)).collect::<Vec<Value>>()),
        system_uuid: Some(*machine.identity.id.as_uuid()),
        ..NodeSpec::worker(&name, address, &version.to_string())
    }
}
