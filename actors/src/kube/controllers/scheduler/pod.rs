//! What the scheduler reads of a pod: what it asks for (kubernetes: `component-helpers/resource/helpers.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::super::placement::Placement;
use crate::kube::object::Object;
use crate::kube::quantity::Quantity;

/// Amounts by name, in thousandths.
pub(super) type Amounts = BTreeMap<String, i128>;

/// A port of a node that a pod takes: address, protocol, number.
pub(super) type HostPort = (String, String, i64);

/// `spec` of a pod, as far as it takes room on a node.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct Needs {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: BTreeMap<String, Value>,
    resources: Resources,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    resources: Resources,
    ports: Vec<Port>,
    restart_policy: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, Value>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    host_port: i64,
    #[serde(rename = "hostIP")]
    host_ip: String,
    protocol: String,
}

/// Room that a pod takes on its node.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    pub(super) requests: Amounts,
    pub(super) ports: BTreeSet<HostPort>,
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let place = sum.entry(name.clone()).or_default();
        *place = place.saturating_add(*amount);
    }
}

fn raise(sum: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let place = sum.entry(name.clone()).or_default();
        *place = (*place).max(*amount);
    }
}

fn amounts(map: &BTreeMap<String, Value>) -> Amounts {
    map.iter()
        .filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value)?.as_milli())))
        .collect()
}

impl Room {
    pub(super) fn of(pod: &Object) -> Self {
        let needs: Needs = pod.read("spec").unwrap_or_default();
        let mut requests = Amounts::new();
        let mut ports = BTreeSet::new();
        for container in &needs.containers {
            add(&mut requests, &amounts(&container.resources.requests));
        }
        // Init containers run one after the other, beside the sidecars that started before them.
        let (mut most, mut sidecars) = (Amounts::new(), Amounts::new());
        for container in &needs.init_containers {
            let own = amounts(&container.resources.requests);
            if container.restart_policy == "Always" {
                add(&mut sidecars, &own);
                raise(&mut most, &sidecars);
            } else {
                let mut together = sidecars.clone();
                add(&mut together, &own);
                raise(&mut most, &together);
            }
        }
        add(&mut requests, &sidecars);
        raise(&mut requests, &most);
        for (name, amount) in amounts(&needs.resources.requests) {
            requests.insert(name, amount);
        }
        add(&mut requests, &amounts(&needs.overhead));
        let all = needs.containers.iter();
        let sidecars = needs
            .init_containers
            .iter()
            .filter(|one| one.restart_policy == "Always");
        for port in all.chain(sidecars).flat_map(|container| &container.ports) {
            if port.host_port > 0 {
                let address = if port.host_ip.is_empty() {
                    "0.0.0.0"
                } else {
                    &port.host_ip
                };
                ports.insert((address.to_owned(), port.protocol.clone(), port.host_port));
            }
        }
        Self { requests, ports }
    }
}

/// Whether two sets of ports cannot be on one node.
pub(super) fn collide(one: &BTreeSet<HostPort>, other: &BTreeSet<HostPort>) -> bool {
    one.iter().any(|(address, protocol, number)| {
        other.iter().any(|(other, other_protocol, other_number)| {
            number == other_number
                && protocol == other_protocol
                && (address == other || address == "0.0.0.0" || other == "0.0.0.0")
        })
    })
}

/// `spec` of a pod that waits for a node.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Waiting {
    pub(super) scheduler_name: String,
    pub(super) priority: i64,
    pub(super) preemption_policy: String,
    pub(super) scheduling_gates: Vec<Value>,
    pub(super) topology_spread_constraints: Vec<Spread>,
    volumes: Vec<Volume>,
}

/// An entry of `spec.topologySpreadConstraints`.
#[derive(Deserialize, Default, Debug, Clone)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spread {
    pub(super) max_skew: i64,
    pub(super) topology_key: String,
    pub(super) when_unsatisfiable: String,
    pub(super) label_selector: Option<Value>,
    pub(super) min_domains: Option<i64>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    name: String,
    persistent_volume_claim: Option<ClaimSource>,
    ephemeral: Option<Value>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSource {
    claim_name: String,
}

/// A pod that waits for a node.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) object: Arc<Object>,
    pub(super) spec: Waiting,
    pub(super) placement: Placement,
    pub(super) room: Room,
}

impl Pending {
    /// Reads a pod; `None` if it is not for this scheduler.
    pub(super) fn of(object: &Arc<Object>) -> Option<Self> {
        if object.is_terminating() {
            return None;
        }
        let spec: Waiting = object.read("spec")?;
        (spec.scheduler_name == super::NAME).then(|| Self {
            object: Arc::clone(object),
            placement: object.read("spec").unwrap_or_default(),
            room: Room::of(object),
            spec,
        })
    }

    /// Names of the claims that its volumes are.
    pub(super) fn claims(&self) -> Vec<String> {
        self.spec
            .volumes
            .iter()
            .filter_map(|volume| match &volume.persistent_volume_claim {
                Some(claim) => Some(claim.claim_name.clone()),
                None if volume.ephemeral.is_some() => Some(format!("{}-{}", self.object.name(), volume.name)),
                None => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_all_addresses_collide_with_those_of_one() {
        let ports = |address: &str, protocol: &str, number| {
            BTreeSet::from([(address.to_owned(), protocol.to_owned(), number)])
        };
        let any = ports("0.0.0.0", "TCP", 80);
        assert!(collide(&any, &ports("127.0.0.1", "TCP", 80)));
        assert!(collide(&any, &any));
        assert!(!collide(&any, &ports("0.0.0.0", "UDP", 80)));
        assert!(!collide(&any, &ports("0.0.0.0", "TCP", 81)));
        assert!(!collide(
            &ports("1.1.1.1", "TCP", 80),
            &ports("2.2.2.2", "TCP", 80)
        ));
    }
}
