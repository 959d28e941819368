//! Defaults of Services, their addresses and ports.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{Fields, fill_in, fill_text, items, object};
use crate::kube::object::Draft;
use crate::kube::resource::Resource;
use crate::kube::status::{FieldError, Status};
use crate::kube::store::Store;

/// First port of Services of type `NodePort` (kubernetes: `--service-node-port-range`).
const NODE_PORT_FIRST: i64 = 30_000;
/// Last such port.
const NODE_PORT_LAST: i64 = 32_767;
/// Addresses of the service network that are tried: a /16.
const ADDRESSES_MAX: u32 = 65_536;

pub(super) fn service(spec: &mut Fields) {
    fill_text(spec, "type", "ClusterIP");
    fill_text(spec, "sessionAffinity", "None");
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    if spec.get("sessionAffinity") == Some(&json!("ClientIP")) {
        fill_in(
            object(object(spec, "sessionAffinityConfig"), "clientIP"),
            "timeoutSeconds",
            10_800,
        );
    }
    for port in items(spec.get_mut("ports")) {
        fill_text(port, "protocol", "TCP");
        if let Some(number) = port.get("port").cloned() {
            let open = port
                .get("targetPort")
                .is_none_or(|target| target == &json!(0) || target == "");
            if open {
                port.insert("targetPort".to_owned(), number);
            }
        }
    }
    if kind != "ExternalName" {
        fill_text(spec, "internalTrafficPolicy", "Cluster");
        fill_in(spec, "ipFamilies", json!(["IPv4"]));
        fill_text(spec, "ipFamilyPolicy", "SingleStack");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        fill_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill_in(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// Whether an update asks for an address or ports: the type or the ports changed.
pub(super) fn needs_allocation(body: &Fields, old: &Fields) -> bool {
    let part = |body: &Fields, field: &str| body.get("spec").and_then(|spec| spec.get(field)).cloned();
    ["type", "ports", "clusterIP"]
        .into_iter()
        .any(|field| part(body, field) != part(old, field))
}

/// Gives a Service its address and ports, or checks the ones it asks for.
pub(super) fn allocate_service(store: &Store, resource: &Resource, draft: &mut Draft) -> Result<(), Status> {
    let (name, namespace) = (draft.meta.name.clone(), draft.meta.namespace.clone());
    let invalid = |error| Status::invalid(resource.named_kind(), &name, &[error]);
    let spec = object(&mut draft.body, "spec");
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    let mut taken = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for service in store.all(resource, None) {
        if service.name() == name && *service.head.namespace == *namespace {
            continue;
        }
        let Some(spec) = service.section("spec") else {
            continue;
        };
        taken.extend(spec.get("clusterIP").and_then(Value::as_str).map(str::to_owned));
        for port in spec.get("ports").and_then(Value::as_array).into_iter().flatten() {
            ports.extend(port.get("nodePort").and_then(Value::as_i64));
        }
    }
    let asked = spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if asked.is_empty() {
        if let Some((network, prefix)) = store.settings().service_network {
            let address = free_address(network, prefix, &taken).ok_or_else(|| {
                invalid(FieldError::invalid(
                    "spec.clusterIPs",
                    "",
                    "failed to allocate a serviceIP: range is full",
                ))
            })?;
            spec.insert("clusterIP".to_owned(), address.into());
        }
    } else if asked != "None" && taken.contains(&asked) {
        return Err(invalid(FieldError::invalid(
            "spec.clusterIPs",
            json!([asked]),
            format!("failed to allocate IP {asked}: provided IP is already allocated"),
        )));
    }
    if let Some(address) = spec.get("clusterIP").cloned() {
        fill_in(spec, "clusterIPs", json!([address]));
    }
    let allocates = spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    if kind == "NodePort" || (kind == "LoadBalancer" && allocates) {
        // Ports of one service may share a number, if their protocols differ: the validation sees to that.
        let mut own = BTreeSet::new();
        for (index, port) in items(spec.get_mut("ports")).enumerate() {
            match port
                .get("nodePort")
                .and_then(Value::as_i64)
                .filter(|number| *number != 0)
            {
                Some(number) if ports.contains(&number) => {
                    return Err(invalid(FieldError::invalid(
                        format!("spec.ports[{index}].nodePort"),
                        number,
                        "provided port is already allocated",
                    )));
                }
                Some(number) => {
                    own.insert(number);
                }
                None => {
                    let free = (NODE_PORT_FIRST..=NODE_PORT_LAST)
                        .find(|number| !ports.contains(number) && !own.contains(number));
                    if let Some(number) = free {
                        own.insert(number);
                        port.insert("nodePort".to_owned(), number.into());
                    }
                }
            }
        }
    }
    Ok(())
}

/// The first free address, from the upper part of the network down the line: the lower 256 (or sixteenth) are for those that ask
/// (kubernetes: `pkg/registry/core/service/ipallocator`).
fn free_address(network: Ipv4Addr, prefix: u8, taken: &BTreeSet<String>) -> Option<String> {
    let size = 1_u32
        .checked_shl(32_u32.checked_sub(prefix.into())?)
        .unwrap_or(u32::MAX)
        .min(ADDRESSES_MAX);
    let base = u32::from(network);
    let reserved = (size / 16).clamp(16, 256).min(size);
    let last = size.saturating_sub(1);
    let upper = reserved..last;
    let lower = 1..reserved.min(last);
    upper
        .chain(lower)
        .map(|offset| Ipv4Addr::from(base.wrapping_add(offset)).to_string())
        .find(|address| !taken.contains(address))
}

/// A PUT that leaves out what was allocated keeps it.
pub(super) fn keep_allocated(draft: &mut Draft, old: &Fields) {
    let spec = object(&mut draft.body, "spec");
    let Some(old) = old.get("spec") else { return };
    let kind = |spec: &Value| {
        spec.get("type")
            .and_then(Value::as_str)
            .unwrap_or("ClusterIP")
            .to_owned()
    };
    let new_kind = kind(&Value::Object(spec.clone()));
    drop_dependent(spec, old, &kind(old), &new_kind);
    if kind(old) == "ExternalName" || new_kind == "ExternalName" {
        return;
    }
    for field in [
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "healthCheckNodePort",
    ] {
        if let (true, Some(value)) = (spec.get(field).is_none_or(|value| value == ""), old.get(field)) {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    if new_kind == "ClusterIP" {
        return;
    }
    let old_ports = old.get("ports").and_then(Value::as_array);
    for port in items(spec.get_mut("ports")) {
        let twin = old_ports.into_iter().flatten().find(|old| {
            ["port", "protocol"]
                .into_iter()
                .all(|field| port.get(field).is_none_or(|value| old.get(field) == Some(value)))
        });
        if let Some(number) = twin.and_then(|old| old.get("nodePort")) {
            fill_in(port, "nodePort", number.clone());
        }
    }
}

/// A change of the type takes along what only the old type had, if the writer left it as it was
/// (kubernetes: `pkg/registry/core/service/strategy.go`, `dropTypeDependentFields`).
fn drop_dependent(spec: &mut Fields, old: &Value, old_kind: &str, new_kind: &str) {
    let node_ports = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");
    let mut drop_if_same = |had: bool, has: bool, fields: &[&str]| {
        for field in fields.iter().filter(|_| had && !has) {
            if spec.get(*field) == old.get(*field) {
                spec.remove(*field);
            }
        }
    };
    drop_if_same(
        old_kind != "ExternalName",
        new_kind != "ExternalName",
        &[
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ],
    );
    drop_if_same(
        old_kind == "ExternalName",
        new_kind == "ExternalName",
        &["externalName"],
    );
    drop_if_same(
        node_ports(old_kind),
        node_ports(new_kind),
        &["externalTrafficPolicy"],
    );
    drop_if_same(
        old_kind == "LoadBalancer",
        new_kind == "LoadBalancer",
        &[
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "healthCheckNodePort",
        ],
    );
    if node_ports(old_kind) && !node_ports(new_kind) {
        let before: BTreeSet<i64> = old
            .get("ports")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|port| port.get("nodePort")?.as_i64())
            .collect();
        for port in items(spec.get_mut("ports")) {
            let number = port.get("nodePort").and_then(Value::as_i64);
            if number.is_some_and(|number| before.contains(&number)) {
                port.remove("nodePort");
            }
        }
    }
}
