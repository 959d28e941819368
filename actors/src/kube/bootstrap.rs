//! What every cluster has before anybody asks: namespaces, the API server's own service, the bootstrap policy.

use std::net::Ipv4Addr;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::status::Status;
use super::store::{Store, Target, WriteOptions};

/// Network of the services, kubeadm's default.
pub const SERVICE_NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 96, 0, 0), 12);

/// The namespaces of a new cluster (kubernetes: `pkg/controlplane/instance.go`, `controller/systemnamespaces`).
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The first address of the service network: that of `default/kubernetes`.
#[must_use]
pub fn first_service_address() -> Ipv4Addr {
    Ipv4Addr::from(u32::from(SERVICE_NETWORK.0) | 1)
}

/// Creates them in an empty store.
///
/// # Errors
/// A refused write: the store's limits are too small.
pub fn create(store: &mut Store, now: DateTime<Utc>) -> Result<(), Status> {
    super::auth::bootstrap_kubeadm(store, now)?;
    let by = WriteOptions::by("kube-apiserver", now);
    for name in NAMESPACES {
        put(
            store,
            "",
            "namespaces",
            None,
            json!({"metadata": {"name": name}}),
            by,
        )?;
    }
    let service = json!({
        "metadata": {
            "name": "kubernetes",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": first_service_address(),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    });
    put(store, "", "services", Some("default"), service, by)
}

/// Creates one object of a built-in kind.
fn put(
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
    store.create(Target::stored(&resource, namespace), body, options)?;
    Ok(())
}
