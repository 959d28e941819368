//! Addresses of pods.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::types::{PodSpec, PodStatus};
use crate::kube::controllers::node_ipam;
use crate::kube::object::Object;
use crate::kube::store::Store;

/// The node's InternalIP.
pub(super) fn host_ip(node: &Object) -> String {
    let addresses = node.at(&["status", "addresses"]).unwrap_or_default();
    addresses
        .as_array()
        .into_iter()
        .flatten()
        .find(|address| address["type"] == "InternalIP")
        .and_then(|address| address.get("address").and_then(Value::as_str))
        .unwrap_or("")
        .to_owned()
}

/// An address for the pod out of its node's network, that no other pod of the node has. Pods that are over give theirs back when all are taken.
pub(super) fn free(store: &Store, pod: &Object, spec: &PodSpec, node: &Object) -> Option<String> {
    if spec.host_network {
        return Some(host_ip(node)).filter(|address| !address.is_empty());
    }
    let (network, prefix) = node_ipam::pod_network(node)?;
    let size = 1_u64.checked_shl(32_u32.saturating_sub(u32::from(prefix)))?;
    let (mut taken, mut over) = (BTreeSet::new(), BTreeSet::new());
    for other in store.pods_on(node.name()).filter(|other| other.uid != pod.uid) {
        let Some(status) = other.read::<PodStatus>("status") else {
            continue;
        };
        if let Ok(address) = status.pod_ip.parse::<Ipv4Addr>() {
            if status.is_over() { &mut over } else { &mut taken }.insert(u32::from(address));
        }
    }
    // Not the network, not the bridge on its first address, not the broadcast address.
    let count = size.checked_sub(3).filter(|count| *count > 0)?;
    let start = (pod.uid.as_u128() % u128::from(count)) as u64;
    let candidates = || {
        (0..count).filter_map(move |step| {
            let host = 2 + (start + step) % count;
            u32::from(network).checked_add(u32::try_from(host).ok()?)
        })
    };
    candidates()
        .find(|address| !taken.contains(address) && !over.contains(address))
        .or_else(|| candidates().find(|address| !taken.contains(address)))
        .map(|address| Ipv4Addr::from(address).to_string())
}
