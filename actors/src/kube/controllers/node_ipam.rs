//! A network for the pods of each node (kubernetes: `pkg/controller/nodeipam/ipam/range_allocator.go`): the first free /24 of the cluster's.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::conditions;
use super::events::{self, EventType, Happening, ObjectReference};
use super::kinds::{KINDS, about};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store};

/// Prefix length of a node's network (kube-controller-manager: `--node-cidr-mask-size-ipv4`).
pub(crate) const NODE_PREFIX: u8 = 24;

/// The allocator.
#[derive(Debug)]
pub struct NodeIpam;

/// `spec.podCIDR` of a node.
pub(crate) fn pod_network(node: &Object) -> Option<(Ipv4Addr, u8)> {
    // Looked for as text: one allocation reads the networks of all nodes.
    let text = node.section_text("spec")?.get();
    let (_, rest) = text.split_once("\"podCIDR\":\"")?;
    let (network, _) = rest.split_once('"')?;
    let (address, prefix) = network.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    Some((address.parse().ok()?, prefix))
}

fn has_network(node: &Object) -> bool {
    node.section_text("spec")
        .is_some_and(|spec| spec.contains("\"podCIDR\":"))
}

impl Controller for NodeIpam {
    fn name(&self) -> &'static str {
        "node-ipam-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if !about(change, &KINDS.nodes) {
            return;
        }
        if matches!(change.changed, Changed::Deleted(_)) {
            // Its network is free for one that has none.
            if let Some(waiting) = store.all(&KINDS.nodes, None).find(|node| !has_network(node)) {
                look_at(Key::of(waiting));
            }
        } else if !has_network(&change.object) {
            look_at(Key::of(&change.object));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(node) = store
            .find(&KINDS.nodes, None, &key.name)
            .filter(|node| !has_network(node))
            .cloned()
        else {
            return Ok(None);
        };
        let taken: BTreeSet<u32> = store
            .all(&KINDS.nodes, None)
            .filter_map(|node| pod_network(node))
            .map(|(address, _)| u32::from(address))
            .collect();
        let (first, prefix) = context.behaviour.pod_network;
        let count = 1_u32
            .checked_shl(u32::from(NODE_PREFIX.saturating_sub(prefix)))
            .unwrap_or(0);
        let size = 1_u32 << (32 - u32::from(NODE_PREFIX));
        let free = (0..count)
            .filter_map(|index| u32::from(first).checked_add(index.checked_mul(size)?))
            .find(|network| !taken.contains(network));
        let Some(network) = free else {
            let about = ObjectReference::of(&KINDS.nodes, &node);
            let what = Happening {
                kind: EventType::Normal,
                reason: "CIDRNotAvailable",
                message: &format!("Node {} status is now: CIDRNotAvailable", key.name),
                component: "cidrAllocator",
                host: "",
            };
            events::record_once(store, context, &about, &what, node.created);
            return Ok(None);
        };
        let network = format!("{}/{NODE_PREFIX}", Ipv4Addr::from(network));
        let mut draft = node.draft();
        let spec = conditions::object(&mut draft.body, "spec");
        spec.insert("podCIDRs".to_owned(), vec![network.clone()].into());
        spec.insert("podCIDR".to_owned(), network.into());
        store.replace(
            &KINDS.nodes,
            Part::Main,
            draft,
            context.by("kube-controller-manager"),
        )?;
        Ok(None)
    }
}
