//! Hosts of the management cluster that become nodes of registered clusters: what FKAS's side-car does
//! (cluster-api-provider-metal3: `hack/fake-apiserver/cmd/metal3-fkas-reconciler/main.go`), for hosts that carry no config drive.
//!
//! A BareMetalHost that is provisioned leads by its consumer to a Metal3Machine, by its owner to a Machine, and by its label to a cluster. Other than
//! the side-car, a host that is deprovisioned takes its machine along.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures_util::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::manager::Manager;
use super::names::ClusterName;
use super::registered::{RegisterError, RegisteredNode};

/// The kinds: group and kind; the version is the one that the management cluster prefers.
const HOST: (&str, &str) = ("metal3.io", "BareMetalHost");
const METAL3_MACHINE: (&str, &str) = ("infrastructure.cluster.x-k8s.io", "Metal3Machine");
const MACHINE: (&str, &str) = ("cluster.x-k8s.io", "Machine");
/// The label of a Machine that names its cluster (cluster-api: `ClusterNameLabel`).
const CLUSTER: &str = "cluster.x-k8s.io/cluster-name";
/// The state of a host with an image on its disk (baremetal-operator: `apis/metal3.io/v1alpha1/baremetalhost_types.go`).
const PROVISIONED: &str = "provisioned";
/// Until the kinds are looked for again.
const NO_KINDS: Duration = Duration::from_secs(30);
/// Until a host is looked at again whose machine or cluster is not there, or did not take it.
const AGAIN: Duration = Duration::from_secs(15);

/// Why a host did not become a node.
#[derive(Debug, thiserror::Error)]
enum HostError {
    /// The management cluster.
    #[error("{0}")]
    Kube(#[from] kube::Error),
    /// The simulated cluster.
    #[error("{0}")]
    Register(#[from] RegisterError),
    /// Something that comes later.
    #[error("{0}")]
    Absent(String),
}

struct Reconciler {
    client: Client,
    manager: Arc<Manager>,
    metal3_machines: ApiResource,
    machines: ApiResource,
    /// The nodes that hosts have become, by the hosts' ids.
    nodes: DashMap<String, (ClusterName, String)>,
}

/// Watches the hosts until it is dropped.
pub async fn run(client: Client, manager: Arc<Manager>) {
    let (hosts, metal3_machines, machines) = loop {
        match kinds(&client).await {
            Ok(kinds) => break kinds,
            Err(error) => {
                tracing::warn!(%error, "the management cluster has no hosts to watch yet");
                tokio::time::sleep(NO_KINDS).await;
            }
        }
    };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &hosts);
    let reconciler = Arc::new(Reconciler {
        client,
        manager,
        metal3_machines,
        machines,
        nodes: DashMap::new(),
    });
    Controller::new_with(api, watcher::Config::default(), hosts)
        .run(
            |host, reconciler: Arc<Reconciler>| async move { reconciler.look_at(&host).await },
            |host, error, _| {
                tracing::debug!(host = host.name_any(), %error, "a host is no node yet");
                Action::requeue(AGAIN)
            },
            reconciler,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn kinds(client: &Client) -> kube::Result<(ApiResource, ApiResource, ApiResource)> {
    let find = async |(group, kind): (&str, &str)| {
        let group = kube::discovery::group(client, group).await?;
        let found = group.recommended_kind(kind).map(|(resource, _)| resource);
        found.ok_or_else(|| kube::Error::Discovery(kube::error::DiscoveryError::MissingKind(kind.to_owned())))
    };
    Ok((
        find(HOST).await?,
        find(METAL3_MACHINE).await?,
        find(MACHINE).await?,
    ))
}

impl Reconciler {
    async fn look_at(&self, host: &DynamicObject) -> Result<Action, HostError> {
        let uid = host.uid().unwrap_or_default();
        let consumer = at(&host.data, &["spec", "consumerRef", "name"]);
        let is_provisioned = at(&host.data, &["status", "provisioning", "state"]) == Some(PROVISIONED);
        let (Some(consumer), true) = (consumer, is_provisioned) else {
            if let Some((_, (cluster, node))) = self.nodes.remove(&uid) {
                self.manager.remove_registered_node(&cluster, &node).await;
                tracing::info!(host = host.name_any(), %cluster, node, "a host is no node any more");
            }
            return Ok(Action::await_change());
        };
        if self.nodes.contains_key(&uid) {
            return Ok(Action::await_change());
        }
        let own = host.namespace().unwrap_or_default();
        let namespace = at(&host.data, &["spec", "consumerRef", "namespace"]).unwrap_or(&own);
        let metal3_machine = self.get(namespace, consumer, &self.metal3_machines).await?;
        let owners = metal3_machine.owner_references();
        let owner = owners
            .iter()
            .find(|owner| owner.kind == MACHINE.1)
            .ok_or_else(|| HostError::Absent(format!("Metal3Machine {namespace}/{consumer} has no owner")))?;
        let machine = self.get(namespace, &owner.name, &self.machines).await?;
        let Some(cluster) = machine.labels().get(CLUSTER) else {
            return Ok(Action::await_change());
        };
        let cluster =
            ClusterName::new(namespace, cluster).map_err(|error| HostError::Absent(error.to_string()))?;
        let node = RegisteredNode {
            cluster: cluster.clone(),
            name: owner.name.clone(),
            provider_id: at(&metal3_machine.data, &["spec", "providerID"])
                .unwrap_or_default()
                .to_owned(),
            host: uid.clone(),
            labels: machine
                .labels()
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            version: at(&machine.data, &["spec", "version"]).and_then(|version| version.parse().ok()),
        };
        self.manager.add_registered_node(node).await?;
        self.nodes.insert(uid, (cluster, owner.name.clone()));
        Ok(Action::await_change())
    }

    async fn get(
        &self,
        namespace: &str,
        name: &str,
        resource: &ApiResource,
    ) -> Result<DynamicObject, HostError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, resource);
        Ok(api.get(name).await?)
    }
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(value, |value, key| value.get(key))?
        .as_str()
        .filter(|text| !text.is_empty())
}
