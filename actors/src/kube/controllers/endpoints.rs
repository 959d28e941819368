//! Endpoints of the services with a selector (kubernetes: `pkg/controller/endpoint/endpoints_controller.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::events::EventType;
use super::kinds::{KINDS, about};
use super::service_pods::{self, Backend, EndpointPort, ServiceSpec, TRIGGERED};
use super::workload::{Reporter, namespace_ends, options};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::status::{Reason, Status};
use crate::kube::store::{Change, Changed, DeleteOptions, Part, Store, Target};

/// Says who writes the object, since 1.33.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// Says that there were more addresses than one object holds.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses that one object holds.
const CAPACITY: usize = 1000;

/// The controller.
#[derive(Debug)]
pub struct EndpointObjects;

impl Controller for EndpointObjects {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if about(change, &KINDS.endpoints) {
            if matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::of(&change.object));
            }
        } else {
            service_pods::observe(store, change, look_at);
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(service) = store.find(&KINDS.services, key.namespace(), &key.name).cloned() else {
            let target = Target::stored(&KINDS.endpoints, key.namespace());
            return match store.delete(target, &key.name, &DeleteOptions::default(), context.now) {
                Err(status) if !status.is(Reason::NotFound) => Err(status),
                _ => Ok(None),
            };
        };
        let spec = ServiceSpec::of(&service);
        let Some(selector) = spec.selector() else {
            return Ok(None);
        };
        let mut backends = service_pods::backends(store, &service, &selector);
        backends.retain(|backend| spec.publish_not_ready_addresses || !backend.object.is_terminating());
        let mut subsets = subsets(&spec, &service, &backends);
        let truncated = truncate(&mut subsets);
        let subsets = subsets.to_value();
        let mut labels = spec.labels(&service, &[MANAGED_BY]);
        labels.insert(MANAGED_BY.to_owned(), self.name().to_owned());
        let present = store.find(&KINDS.endpoints, key.namespace(), &key.name).cloned();
        let written = if let Some(present) = present {
            let same = present.section("subsets").unwrap_or_else(|| json!([])) == subsets
                && present.head.labels.len() == labels.len()
                && labels
                    .iter()
                    .all(|(key, value)| present.label(key) == Some(value))
                && (present.annotation(OVER_CAPACITY) == Some("truncated")) == truncated;
            if same {
                return Ok(None);
            }
            let mut draft = present.draft();
            draft.meta.labels = labels;
            let annotations = &mut draft.meta.annotations;
            annotate(annotations, &service, &backends, Some(&present), truncated);
            draft.body.remove("subsets");
            draft.body.extend(Subsets::body(subsets));
            let what = format!("update endpoint {}/{}", key.namespace, key.name);
            store
                .replace(&KINDS.endpoints, Part::Main, draft, options(context))
                .map(drop)
                .map_err(|status| ("FailedToUpdateEndpoint", what, status))
        } else {
            let mut annotations = BTreeMap::new();
            annotate(&mut annotations, &service, &backends, None, truncated);
            let mut body = Subsets::body(subsets);
            let metadata = json!({"name": service.name(), "labels": labels, "annotations": annotations});
            body.insert("metadata".to_owned(), metadata);
            let target = Target::stored(&KINDS.endpoints, key.namespace());
            let what = format!("create endpoint for service {}/{}", key.namespace, key.name);
            store
                .create(target, Value::Object(body), options(context))
                .map(drop)
                .map_err(|status| ("FailedToCreateEndpoint", what, status))
        };
        match written {
            Ok(()) => Ok(None),
            Err((_, _, status)) if namespace_ends(&status) => Ok(None),
            Err((reason, what, status)) => {
                let reporter = Reporter {
                    component: self.name(),
                    resource: &KINDS.services,
                    object: &service,
                };
                let message = format!("Failed to {what}: {}", status.message);
                reporter.event(store, context, EventType::Warning, reason, &message);
                Err(status)
            }
        }
    }
}

fn annotate(
    annotations: &mut BTreeMap<String, String>,
    service: &Object,
    backends: &[Backend],
    present: Option<&Object>,
    truncated: bool,
) {
    let mut put = |key: &str, value: Option<String>| match value {
        Some(value) => {
            annotations.insert(key.to_owned(), value);
        }
        None => {
            annotations.remove(key);
        }
    };
    put(TRIGGERED, service_pods::triggered(service, backends, present));
    put(OVER_CAPACITY, truncated.then(|| "truncated".to_owned()));
}

/// An address in the order of lists: its text, whose it is.
type Address = (String, String);

/// Addresses that share their ports.
#[derive(Debug, Default)]
struct Subset {
    ready: Vec<Value>,
    not_ready: Vec<Value>,
    ports: Vec<EndpointPort>,
}

/// All of them.
#[derive(Debug, Default)]
struct Subsets(Vec<Subset>);

impl Subsets {
    /// The field, left out when there are none.
    fn body(subsets: Value) -> Map<String, Value> {
        let some = subsets.as_array().is_some_and(|subsets| !subsets.is_empty());
        some.then(|| ("subsets".to_owned(), subsets))
            .into_iter()
            .collect()
    }

    fn to_value(&self) -> Value {
        let subsets = self.0.iter().map(|subset| {
            let mut value = Map::new();
            if !subset.ready.is_empty() {
                value.insert("addresses".to_owned(), subset.ready.clone().into());
            }
            if !subset.not_ready.is_empty() {
                value.insert("notReadyAddresses".to_owned(), subset.not_ready.clone().into());
            }
            if !subset.ports.is_empty() {
                value.insert("ports".to_owned(), subset.ports.iter().map(port_value).collect());
            }
            Value::Object(value)
        });
        subsets.collect()
    }
}

fn port_value(port: &EndpointPort) -> Value {
    let mut value = json!({"port": port.port, "protocol": port.protocol});
    if !port.name.is_empty() {
        value["name"] = port.name.clone().into();
    }
    if let Some(protocol) = &port.app_protocol {
        value["appProtocol"] = protocol.clone().into();
    }
    value
}

/// Ports with the same addresses stand together (kubernetes: `pkg/api/v1/endpoints/util.go`, `RepackSubsets`).
fn subsets(spec: &ServiceSpec, service: &Object, backends: &[Backend]) -> Subsets {
    let mut addresses: BTreeMap<Address, (bool, Value)> = BTreeMap::new();
    let mut by_port: BTreeMap<Option<EndpointPort>, BTreeSet<Address>> = BTreeMap::new();
    let family = spec.ip_families.first().map_or("IPv4", String::as_str);
    for backend in backends {
        let Some(address) = backend.address(family) else {
            continue;
        };
        let mut value =
            json!({"ip": address.to_string(), "nodeName": backend.node(), "targetRef": backend.reference()});
        if let Some(hostname) = backend.hostname(service) {
            value["hostname"] = hostname.into();
        }
        let key = (address.to_string(), backend.object.uid_text());
        let ready = spec.publish_not_ready_addresses || backend.ready;
        addresses.insert(key.clone(), (ready, value));
        if spec.does_without_ports() {
            by_port.entry(None).or_default().insert(key.clone());
        }
        for port in spec.ports.iter().filter_map(|port| backend.port(port)) {
            by_port.entry(Some(port)).or_default().insert(key.clone());
        }
    }
    let mut by_addresses: BTreeMap<BTreeSet<Address>, Vec<EndpointPort>> = BTreeMap::new();
    for (port, addresses) in by_port {
        by_addresses.entry(addresses).or_default().extend(port);
    }
    let subsets = by_addresses.into_iter().map(|(keys, ports)| {
        let mut subset = Subset {
            ports,
            ..Subset::default()
        };
        for (ready, value) in keys.iter().filter_map(|key| addresses.get(key)) {
            let list = if *ready {
                &mut subset.ready
            } else {
                &mut subset.not_ready
            };
            list.push(value.clone());
        }
        subset
    });
    Subsets(subsets.collect())
}

/// Leaves so many addresses as an object holds, the ready ones first, each subset's share of them. Says whether any had to go.
fn truncate(subsets: &mut Subsets) -> bool {
    let subsets = &mut subsets.0;
    let ready: usize = subsets.iter().map(|subset| subset.ready.len()).sum();
    let not_ready: usize = subsets.iter().map(|subset| subset.not_ready.len()).sum();
    if ready.saturating_add(not_ready) <= CAPACITY {
        return false;
    }
    let cut_ready = ready > CAPACITY;
    let (most, total) = if cut_ready {
        (CAPACITY, ready)
    } else {
        (CAPACITY - ready, not_ready)
    };
    let mut left = most;
    for subset in subsets {
        if cut_ready {
            subset.not_ready.clear();
        }
        let list = if cut_ready {
            &mut subset.ready
        } else {
            &mut subset.not_ready
        };
        let share = list.len().saturating_mul(most).div_ceil(total.max(1)).min(left);
        list.truncate(share);
        left -= list.len();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::service_pods::HEADLESS;
    use super::*;
    use crate::kube::controllers::testing::World;
    use crate::kube::store::Part;

    fn world() -> World {
        let mut world = World::with_node();
        let service = json!({
            "metadata": {"name": "web", "labels": {"tier": "front"}},
            "spec": {"selector": {"app": "web"}, "ports": [
                {"name": "http", "port": 80, "targetPort": "web"},
                {"name": "raw", "port": 81, "targetPort": 9000},
            ]},
        });
        world.create("services", service);
        world
    }

    fn pod(world: &mut World, name: &str) {
        let containers =
            json!([{"name": "app", "image": "a", "ports": [{"name": "web", "containerPort": 8080}]}]);
        world.pod(name, "n1", json!({"spec": {"containers": containers}}));
    }

    #[test]
    fn ready_pods_are_addresses() {
        let mut world = world();
        assert_eq!(
            world.at("endpoints", "web", "/metadata/labels"),
            json!({"tier": "front", "endpoints.kubernetes.io/managed-by": "endpoint-controller"})
        );
        assert_eq!(world.at("endpoints", "web", "/subsets"), Value::Null);
        pod(&mut world, "a");
        world.after(5);
        let ip = world.at("pods", "a", "/status/podIP");
        let uid = world.get("pods", "a").uid_text();
        let wanted = json!([{
            "addresses": [{"ip": ip, "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": uid}}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "raw", "port": 9000, "protocol": "TCP"}],
        }]);
        assert_eq!(world.at("endpoints", "web", "/subsets"), wanted);
        let told = world.at("endpoints", "web", "/metadata/annotations");
        let ready = world.at("pods", "a", "/status/conditions");
        let ready = ready
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["type"] == "Ready")
            .unwrap();
        assert_eq!(told[TRIGGERED], ready["lastTransitionTime"]);

        // One without the named port counts for the other port only.
        world.pod("b", "n1", json!({}));
        world.after(5);
        let subsets = world.at("endpoints", "web", "/subsets");
        let subsets = subsets.as_array().unwrap();
        let counts = subsets.iter().map(|subset| {
            let addresses = subset["addresses"].as_array().unwrap().len();
            (subset["ports"][0]["name"].as_str().unwrap(), addresses)
        });
        assert_eq!(
            counts.collect::<BTreeSet<_>>(),
            BTreeSet::from([("http", 1), ("raw", 2)])
        );

        world.delete("pods", "a");
        assert_eq!(
            world.at("endpoints", "web", "/subsets/0/addresses/0/targetRef/name"),
            "b"
        );
        let version = world.get("endpoints", "web").resource_version;
        world.after(5);
        assert_eq!(world.get("endpoints", "web").resource_version, version);
        world.delete("services", "web");
        assert!(world.find("endpoints", "default", "web").is_none());
    }

    #[test]
    fn pods_that_are_not_ready_are_told_apart() {
        let mut world = world();
        pod(&mut world, "a");
        world.after(5);
        world.stop("n1");
        let status = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        world.patch("pods", "a", Part::Status, status);
        assert_eq!(world.at("endpoints", "web", "/subsets/0/addresses"), Value::Null);
        assert_eq!(
            world.at("endpoints", "web", "/subsets/0/notReadyAddresses/0/nodeName"),
            "n1"
        );
        let all = json!({"spec": {"publishNotReadyAddresses": true}});
        world.patch("services", "web", Part::Main, all);
        assert_eq!(
            world.at("endpoints", "web", "/subsets/0/addresses/0/nodeName"),
            "n1"
        );
    }

    #[test]
    fn others_may_not_change_them() {
        let mut world = world();
        world.delete("endpoints", "web");
        assert!(world.find("endpoints", "default", "web").is_some());
        // Without a selector they are somebody else's.
        let service = json!({"metadata": {"name": "out"}, "spec": {"ports": [{"port": 80}]}});
        world.create("services", service);
        assert!(world.find("endpoints", "default", "out").is_none());
    }

    #[test]
    fn headless_services_can_do_without_ports() {
        let mut world = World::with_node();
        let service =
            json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "None", "selector": {"app": "web"}}});
        world.create("services", service);
        world.pod(
            "a",
            "n1",
            json!({"spec": {"hostname": "first", "subdomain": "web"}}),
        );
        world.after(5);
        assert_eq!(world.at("endpoints", "web", "/metadata/labels")[HEADLESS], "");
        assert_eq!(world.at("endpoints", "web", "/subsets/0/ports"), Value::Null);
        assert_eq!(
            world.at("endpoints", "web", "/subsets/0/addresses/0/hostname"),
            "first"
        );
    }

    #[test]
    fn too_many_are_cut() {
        let subset = |ready, not_ready| Subset {
            ready: vec![json!(1); ready],
            not_ready: vec![json!(2); not_ready],
            ports: Vec::new(),
        };
        let count = |subsets: Vec<Subset>| {
            let mut subsets = Subsets(subsets);
            let cut = truncate(&mut subsets);
            let counts = subsets
                .0
                .iter()
                .map(|subset| (subset.ready.len(), subset.not_ready.len()));
            (cut, counts.collect::<Vec<_>>())
        };
        assert_eq!(count(vec![subset(900, 100)]), (false, vec![(900, 100)]));
        assert_eq!(
            count(vec![subset(900, 100), subset(0, 100)]),
            (true, vec![(900, 50), (0, 50)])
        );
        assert_eq!(
            count(vec![subset(1500, 9), subset(500, 0)]),
            (true, vec![(750, 0), (250, 0)])
        );
    }
}
