//! What every cluster has before anybody asks: namespaces, the API server's own service, the bootstrap policy.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::controllers::kinds::KINDS;
use super::object::Object;
use super::resource::Resource;
use super::status::Status;
use super::store::{Part, Store, Target, WriteOptions};

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
    put(store, "", "services", Some("default"), service, by)?;
    priority_classes(store, now)
}

/// Creates the PriorityClasses of the system's own pods; those that are there stay
/// (kubernetes: `pkg/registry/scheduling/rest/storage_scheduling.go`, `pkg/apis/scheduling/v1/helpers.go`).
///
/// # Errors
/// A refused write: the store's limits are too small.
pub fn priority_classes(store: &mut Store, now: DateTime<Utc>) -> Result<(), Status> {
    let by = WriteOptions::by("kube-apiserver", now);
    for (name, value, description) in [
        (
            "system-node-critical",
            2_000_001_000_i64,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ] {
        let body = json!({
            "metadata": {"name": name},
            "value": value,
            "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        });
        if store.find(&KINDS.priority_classes, None, name).is_none() {
            put(store, "scheduling.k8s.io", "priorityclasses", None, body, by)?;
        }
    }
    Ok(())
}

/// Writes the Endpoints and the EndpointSlice `default/kubernetes`: where the API servers listen. To be called when the set of them
/// changes; nothing is written if all is in line (kubernetes: `pkg/controlplane/reconcilers/{endpointsadapter,lease}.go`).
///
/// # Errors
/// A refused write.
pub fn api_server_endpoints(
    store: &mut Store,
    addresses: &BTreeSet<IpAddr>,
    port: u16,
    now: DateTime<Utc>,
) -> Result<(), Status> {
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let mut endpoints = json!({
        "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
    });
    if !addresses.is_empty() {
        let list: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
        endpoints["subsets"] = json!([{"addresses": list, "ports": ports}]);
    }
    align(store, "", "endpoints", endpoints, now)?;
    let list: Vec<Value> = addresses
        .iter()
        .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}}))
        .collect();
    let six = addresses.first().is_some_and(IpAddr::is_ipv6);
    let slice = json!({
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": if six { "IPv6" } else { "IPv4" },
        "endpoints": list,
        "ports": ports,
    });
    align(store, "discovery.k8s.io", "endpointslices", slice, now)
}

/// Creates the object in `default`, or gives it these labels and fields.
fn align(
    store: &mut Store,
    group: &str,
    plural: &str,
    body: Value,
    now: DateTime<Utc>,
) -> Result<(), Status> {
    let by = WriteOptions::by("kube-apiserver", now);
    let present: Option<Arc<Object>> = store
        .look_up(group, plural, Some("default"), "kubernetes")
        .cloned();
    let Some(present) = present else {
        return put(store, group, plural, Some("default"), body, by);
    };
    let resource: Arc<Resource> = store
        .registry()
        .find(group, plural)
        .cloned()
        .ok_or_else(Status::unknown_resource)?;
    let Value::Object(mut fields) = body else {
        return Ok(());
    };
    let mut draft = present.draft();
    if let Some(labels) = fields
        .remove("metadata")
        .as_ref()
        .and_then(|metadata| metadata.get("labels")?.as_object())
    {
        for (key, value) in labels {
            draft
                .meta
                .labels
                .insert(key.clone(), value.as_str().unwrap_or("").to_owned());
        }
    }
    draft.body = fields;
    // A write that changes nothing leaves the version as it is.
    store.replace(&resource, Part::Main, draft, by).map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controllers::testing::World;

    #[test]
    fn the_api_servers_can_be_found() {
        let mut world = World::new();
        let set = |world: &mut World, last: &[u8]| {
            let addresses = last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect();
            api_server_endpoints(&mut world.cluster.store, &addresses, 6443, world.now).unwrap();
            world.settle();
        };
        set(&mut world, &[1]);
        let version = world.cluster.store.version();
        set(&mut world, &[1]);
        assert_eq!(world.cluster.store.version(), version, "nothing to write");
        set(&mut world, &[2, 1]);
        assert_eq!(
            world.at("endpoints", "kubernetes", "/subsets"),
            json!([{"addresses": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}],
                "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}])
        );
        assert_eq!(
            world.at("endpointslices", "kubernetes", "/endpoints/1"),
            json!({"addresses": ["192.0.2.2"], "conditions": {"ready": true}})
        );
        let slices = world
            .cluster
            .store
            .all_of("discovery.k8s.io", "endpointslices", Some("default"));
        assert_eq!(slices.count(), 1, "it is not mirrored");
        set(&mut world, &[]);
        assert_eq!(world.at("endpoints", "kubernetes", "/subsets"), Value::Null);
    }

    #[test]
    fn the_systems_priorities() {
        let mut world = World::new();
        for _ in 0..2 {
            priority_classes(&mut world.cluster.store, world.now).unwrap();
        }
        assert_eq!(
            world.at("priorityclasses", "system-node-critical", "/value"),
            2_000_001_000
        );
        assert_eq!(
            world.at("priorityclasses", "system-cluster-critical", "/preemptionPolicy"),
            "PreemptLowerPriority"
        );
    }
}
