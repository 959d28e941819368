//! What `kubeadm init` and `kubeadm join` leave in a cluster (kubernetes 1.34: `cmd/kubeadm/app/phases`).
//!
//! Pure: the functions write objects into a [`Store`]. Certificates, listeners and etcd members are the caller's.

mod addons;
mod config;
mod static_pods;
#[cfg(test)]
mod tests;
mod tokens;

use std::net::Ipv4Addr;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::status::{Reason, Status};
use super::store::{Store, Target, WriteOptions};

pub use static_pods::static_pods;
pub use tokens::bootstrap_token;

/// What kubeadm knows of the cluster that it makes.
#[derive(Clone, Debug)]
pub struct ClusterFacts<'a> {
    /// `clusterName`.
    pub name: &'a str,
    /// Version of Kubernetes, `v1.34.2`.
    pub version: &'a str,
    /// `controlPlaneEndpoint`, host and port: where clients reach the API server.
    pub endpoint: &'a str,
    /// CA certificate as PEM text.
    pub ca: &'a str,
    /// The `ClusterConfiguration` as it was written; empty: made from the rest.
    pub document: &'a str,
    /// `imageRepository`.
    pub image_repository: &'a str,
    /// `networking.dnsDomain`.
    pub dns_domain: &'a str,
    /// `networking.serviceSubnet`: network and prefix length.
    pub service_network: (Ipv4Addr, u8),
    /// `networking.podSubnet`; empty = none.
    pub pod_subnet: &'a str,
}

impl ClusterFacts<'_> {
    /// The address with this number in the service network.
    #[must_use]
    pub fn service_address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_network.0).saturating_add(number))
    }

    /// Address of the cluster's DNS: the tenth of the service network.
    #[must_use]
    pub fn dns_address(&self) -> Ipv4Addr {
        self.service_address(10)
    }

    fn service_subnet(&self) -> String {
        format!("{}/{}", self.service_network.0, self.service_network.1)
    }
}

/// Writes what `kubeadm init` writes beside nodes, static pods and roles: its configuration maps, `cluster-info` and the add-ons
/// kube-proxy and CoreDNS.
///
/// # Errors
/// A refused write.
pub fn init(store: &mut Store, facts: &ClusterFacts<'_>, now: DateTime<Utc>) -> Result<(), Status> {
    let by = WriteOptions::by("kubeadm", now);
    for (namespace, map) in config::maps(facts) {
        put(store, "", "configmaps", Some(namespace), map, by)?;
    }
    for addon in addons::all(facts) {
        put(
            store,
            addon.group,
            addon.resource,
            addon.namespace,
            addon.object,
            by,
        )?;
    }
    Ok(())
}

/// Creates an object of a built-in kind; one that is there already stays.
pub(super) fn put(
    store: &mut Store,
    group: &str,
    plural: &str,
    namespace: Option<&str>,
    body: Value,
    options: WriteOptions<'_>,
) -> Result<(), Status> {
    let resource = store
        .registry()
        .find(group, plural)
        .cloned()
        .ok_or_else(Status::unknown_resource)?;
    match store.create(Target::stored(&resource, namespace), body, options) {
        Err(status) if !status.is(Reason::AlreadyExists) => Err(status),
        _ => Ok(()),
    }
}

/// A map with a name in it.
fn config_map(name: &str, data: Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}
