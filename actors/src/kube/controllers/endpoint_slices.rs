//! EndpointSlices of the services with a selector (kubernetes: `pkg/controller/endpointslice`,
//! `staging/src/k8s.io/endpointslice/reconciler.go`).
//!
//! A change touches as few slices as possible: endpoints stay in the slice that has them, slices that change anyhow
//! are filled up first, then the fullest one that has room, then new ones are made. Hints for topology-aware routing are not written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::events::EventType;
use super::kinds::{KINDS, about};
use super::pods::prefix;
use super::service_pods::{self, Backend, EndpointPort, ServiceSpec, TRIGGERED};
use super::workload::{Reporter, delete, namespace_ends, options, owner_reference, tree};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::{Object, StringMap};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store, Target};

/// Names the service of a slice.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Says who writes a slice.
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
const SELF: &str = "endpointslice-controller.k8s.io";
/// Endpoints in a slice (kube-controller-manager: `--max-endpoints-per-slice`).
const ENDPOINTS_MAX: usize = 100;
/// A node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// The controller.
#[derive(Debug)]
pub struct EndpointSlices;

/// An entry of `endpoints`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    pub(super) addresses: Vec<String>,
    pub(super) conditions: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_ref: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hints: Option<Value>,
}

impl Endpoint {
    /// What makes it the same endpoint, whatever its state.
    fn identity(&self) -> String {
        json!([self.addresses, self.hostname, self.target_ref]).to_string()
    }
}

/// Slices can share their endpoints if these are the same.
type Group = (String, Vec<EndpointPort>);

/// A slice as it is to be.
#[derive(Clone, Debug)]
struct Slice {
    /// The one that is there.
    present: Option<Arc<Object>>,
    group: Group,
    endpoints: Vec<Endpoint>,
}

/// What to write.
#[derive(Debug, Default)]
struct Plan {
    labels: StringMap,
    update: Vec<Slice>,
    create: Vec<Slice>,
    delete: Vec<Arc<Object>>,
}

/// Whether the slice is one of that controller's for that service.
pub(super) fn is_of(slice: &Object, manager: &str, service: &str) -> bool {
    slice.label(MANAGED_BY) == Some(manager) && slice.label(SERVICE_NAME) == Some(service)
}

/// `addressType`, `ports` in order, `endpoints`.
pub(super) fn content(slice: &Object) -> (Group, Vec<Endpoint>) {
    let mut ports: Vec<EndpointPort> = slice.read("ports").unwrap_or_default();
    ports.sort();
    let family = slice.read("addressType").unwrap_or_default();
    ((family, ports), slice.read("endpoints").unwrap_or_default())
}

impl Controller for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if about(change, &KINDS.endpoint_slices) {
            let was = match &change.changed {
                Changed::Added => return,
                Changed::Modified(before) | Changed::Deleted(before) => before,
            };
            if was.label(MANAGED_BY) == Some(SELF)
                && let Some(service) = was.label(SERVICE_NAME)
            {
                look_at(Key::new(was.namespace(), service));
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
        // When a service goes, its slices go by their owner reference.
        let Some(service) = store.find(&KINDS.services, key.namespace(), &key.name).cloned() else {
            return Ok(None);
        };
        let spec = ServiceSpec::of(&service);
        let Some(selector) = spec.selector() else {
            return Ok(None);
        };
        let backends = service_pods::backends(store, &service, &selector);
        let plan = plan(store, &service, &spec, &backends);
        match plan.run(store, &service, &backends, context) {
            Err(status) if namespace_ends(&status) => Ok(None),
            Err(status) => {
                let reporter = Reporter {
                    component: self.name(),
                    resource: &KINDS.services,
                    object: &service,
                };
                let message = format!(
                    "Error updating Endpoint Slices for Service {}/{}: {}",
                    key.namespace, key.name, status.message
                );
                reporter.event(
                    store,
                    context,
                    EventType::Warning,
                    "FailedToUpdateEndpointSlices",
                    &message,
                );
                Err(status)
            }
            Ok(()) => Ok(None),
        }
    }
}

fn plan(store: &Store, service: &Object, spec: &ServiceSpec, backends: &[Backend]) -> Plan {
    let mut labels = spec.labels(service, &[SERVICE_NAME, MANAGED_BY]);
    labels.insert(SERVICE_NAME.to_owned(), service.name().to_owned());
    labels.insert(MANAGED_BY.to_owned(), SELF.to_owned());
    let mut plan = Plan {
        labels,
        ..Plan::default()
    };
    let mut present: BTreeMap<Group, Vec<Slice>> = BTreeMap::new();
    for object in store.all(&KINDS.endpoint_slices, service.namespace()) {
        if is_of(object, SELF, service.name()) && !object.is_terminating() {
            let (group, endpoints) = content(object);
            present.entry(group.clone()).or_default().push(Slice {
                present: Some(Arc::clone(object)),
                group,
                endpoints,
            });
        }
    }
    let default = ["IPv4".to_owned()];
    let families = if spec.ip_families.is_empty() {
        &default[..]
    } else {
        &spec.ip_families[..]
    };
    for family in families {
        let mut wanted: BTreeMap<Vec<EndpointPort>, Vec<Endpoint>> = BTreeMap::new();
        for backend in backends {
            let Some(endpoint) = endpoint(store, service, spec, backend, family) else {
                continue;
            };
            let mut ports: Vec<EndpointPort> =
                spec.ports.iter().filter_map(|port| backend.port(port)).collect();
            ports.sort();
            wanted.entry(ports).or_default().push(endpoint);
        }
        let before = plan.update.len().saturating_add(plan.create.len());
        let mut unchanged = 0_usize;
        for (ports, endpoints) in wanted {
            let group = (family.clone(), ports);
            let slices = present.remove(&group).unwrap_or_default();
            unchanged = unchanged.saturating_add(plan.group(group, slices, endpoints));
        }
        if unchanged > 0 || plan.update.len().saturating_add(plan.create.len()) > before {
            continue;
        }
        // A service always has a slice.
        let group: Group = (family.clone(), Vec::new());
        let mut empty = present.remove(&group).unwrap_or_default();
        let kept = empty.iter().position(|slice| slice.endpoints.is_empty());
        match kept.map(|place| empty.remove(place)) {
            Some(slice) if plan.is_labelled(slice.present.as_deref()) => {}
            Some(slice) => plan.update.push(slice),
            None => plan.create.push(Slice {
                present: None,
                group,
                endpoints: Vec::new(),
            }),
        }
        plan.delete
            .extend(empty.into_iter().filter_map(|slice| slice.present));
    }
    let rest = present.into_values().flatten();
    plan.delete.extend(rest.filter_map(|slice| slice.present));
    plan.recycle();
    plan
}

/// The endpoint that a pod is; `None` if it has no address of that family.
fn endpoint(
    store: &Store,
    service: &Object,
    spec: &ServiceSpec,
    backend: &Backend,
    family: &str,
) -> Option<Endpoint> {
    let terminating = backend.object.is_terminating();
    let ready = spec.publish_not_ready_addresses || (backend.ready && !terminating);
    let node = Some(backend.node()).filter(|node| !node.is_empty());
    let zone = node
        .and_then(|node| store.find(&KINDS.nodes, None, node)?.label(ZONE))
        .filter(|zone| !zone.is_empty());
    Some(Endpoint {
        addresses: vec![backend.address(family)?.to_string()],
        conditions: json!({"ready": ready, "serving": backend.ready, "terminating": terminating}),
        hostname: backend.hostname(service).map(str::to_owned),
        target_ref: Some(backend.reference()),
        node_name: node.map(str::to_owned),
        zone: zone.map(str::to_owned),
        hints: None,
    })
}

impl Plan {
    fn is_labelled(&self, slice: Option<&Object>) -> bool {
        slice.is_some_and(|slice| {
            slice.head.labels.len() == self.labels.len()
                && self
                    .labels
                    .iter()
                    .all(|(key, value)| slice.label(key) == Some(value))
        })
    }

    /// Spreads endpoints over the slices of their group. Returns how many slices stay as they are.
    fn group(&mut self, group: Group, slices: Vec<Slice>, endpoints: Vec<Endpoint>) -> usize {
        let mut wanted: BTreeMap<String, Endpoint> = endpoints
            .into_iter()
            .map(|endpoint| (endpoint.identity(), endpoint))
            .collect();
        let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
        for mut slice in slices {
            let before = std::mem::take(&mut slice.endpoints);
            for old in &before {
                if let Some(mut new) = wanted.remove(&old.identity()) {
                    new.hints.clone_from(&old.hints);
                    slice.endpoints.push(new);
                }
            }
            if slice.endpoints == before {
                unchanged.push(slice);
            } else if slice.endpoints.is_empty() {
                self.delete.extend(slice.present);
            } else {
                changed.push(slice);
            }
        }
        let mut wanted: Vec<Endpoint> = wanted.into_values().collect();
        changed.sort_by_key(|slice| std::cmp::Reverse(slice.endpoints.len()));
        for slice in &mut changed {
            let room = ENDPOINTS_MAX
                .saturating_sub(slice.endpoints.len())
                .min(wanted.len());
            slice.endpoints.extend(wanted.drain(..room));
        }
        while !wanted.is_empty() {
            let fits = |slice: &Slice| {
                let room = ENDPOINTS_MAX.checked_sub(slice.endpoints.len())?;
                room.checked_sub(wanted.len())
            };
            let places = unchanged.iter().enumerate();
            let fullest = places
                .filter_map(|(place, slice)| Some((fits(slice)?, place)))
                .min();
            let mut slice = match fullest {
                Some((_, place)) => unchanged.remove(place),
                None => Slice {
                    present: None,
                    group: group.clone(),
                    endpoints: Vec::new(),
                },
            };
            let room = ENDPOINTS_MAX
                .saturating_sub(slice.endpoints.len())
                .min(wanted.len());
            slice.endpoints.extend(wanted.drain(..room));
            if slice.present.is_some() {
                changed.push(slice);
            } else {
                self.create.push(slice);
            }
        }
        let stay = unchanged.len();
        let relabel = unchanged
            .into_iter()
            .filter(|slice| !self.is_labelled(slice.present.as_deref()));
        changed.extend(relabel);
        self.update.append(&mut changed);
        stay
    }

    /// Makes new slices out of those that would go.
    fn recycle(&mut self) {
        let mut delete = Vec::new();
        for old in std::mem::take(&mut self.delete) {
            let ((family, _), _) = content(&old);
            if let Some(place) = self.create.iter().rposition(|slice| slice.group.0 == family) {
                let mut slice = self.create.remove(place);
                slice.present = Some(old);
                self.update.push(slice);
            } else {
                delete.push(old);
            }
        }
        self.delete = delete;
    }

    fn run(
        self,
        store: &mut Store,
        service: &Arc<Object>,
        backends: &[Backend],
        context: &Context<'_>,
    ) -> Result<(), Status> {
        for slice in self.create {
            // One that goes gets no new ones.
            if service.is_terminating() {
                break;
            }
            let mut metadata = json!({
                "generateName": prefix(service.name()),
                "labels": self.labels,
                "ownerReferences": [owner_reference(&KINDS.services, service)],
            });
            if let Some(time) = service_pods::triggered(service, backends, None) {
                metadata["annotations"] = json!({ TRIGGERED: time });
            }
            let (family, ports) = slice.group;
            let body = json!({
                "metadata": metadata,
                "addressType": family,
                "endpoints": slice.endpoints,
                "ports": ports,
            });
            let target = Target::stored(&KINDS.endpoint_slices, service.namespace());
            store.create(target, body, options(context))?;
        }
        for slice in self.update {
            let Some(present) = slice.present else { continue };
            let mut draft = present.draft();
            draft.meta.labels.clone_from(&self.labels);
            match service_pods::triggered(service, backends, Some(&present)) {
                Some(time) => draft.meta.annotations.insert(TRIGGERED.to_owned(), time),
                None => draft.meta.annotations.remove(TRIGGERED),
            };
            draft.body.insert("ports".to_owned(), tree(&slice.group.1));
            draft.body.insert("endpoints".to_owned(), tree(&slice.endpoints));
            store.replace(&KINDS.endpoint_slices, Part::Main, draft, options(context))?;
        }
        for slice in self.delete {
            delete(store, context, &KINDS.endpoint_slices, &slice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controllers::testing::World;

    /// The slices of the service `web`.
    fn slices(world: &World) -> Vec<Value> {
        let all = world.cluster.store.all(&KINDS.endpoint_slices, Some("default"));
        all.filter(|slice| is_of(slice, SELF, "web"))
            .map(|slice| slice.to_value("discovery.k8s.io/v1", "EndpointSlice"))
            .collect()
    }

    fn world(spec: Value) -> World {
        let mut world = World::with_node();
        let mut body = json!({"metadata": {"name": "web", "labels": {"tier": "front"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
        super::super::testing::merge(&mut body, json!({"spec": spec}));
        world.create("services", body);
        world
    }

    #[test]
    fn a_slice_follows_the_pods() {
        let mut world = world(json!({}));
        let [empty] = &slices(&world)[..] else { panic!() };
        assert_eq!(empty["endpoints"], json!([]));
        assert_eq!(empty["ports"], json!([]));
        assert_eq!(empty["metadata"]["generateName"], "web-");
        assert_eq!(
            empty["metadata"]["labels"],
            json!({"tier": "front", "kubernetes.io/service-name": "web",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"})
        );
        let owner = &empty["metadata"]["ownerReferences"][0];
        assert_eq!(
            (
                &owner["apiVersion"],
                &owner["kind"],
                &owner["controller"],
                &owner["blockOwnerDeletion"]
            ),
            (&json!("v1"), &json!("Service"), &json!(true), &json!(true))
        );

        world.pod("a", "n1", json!({}));
        world.after(5);
        let [one] = &slices(&world)[..] else { panic!() };
        assert_eq!(
            one["metadata"]["uid"], empty["metadata"]["uid"],
            "the empty one is used"
        );
        let uid = world.get("pods", "a").uid_text();
        assert_eq!(
            one["endpoints"],
            json!([{
                "addresses": [world.at("pods", "a", "/status/podIP")],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": uid},
            }])
        );
        assert_eq!(
            one["ports"],
            json!([{"name": "", "port": 8080, "protocol": "TCP"}])
        );
        assert_eq!(one["addressType"], "IPv4");

        world.delete("pods", "a");
        let [going] = &slices(&world)[..] else { panic!() };
        assert_eq!(
            going["endpoints"][0]["conditions"],
            json!({"ready": false, "serving": true, "terminating": true})
        );
        world.after(60);
        let [last] = &slices(&world)[..] else { panic!() };
        assert_eq!((&last["endpoints"], &last["ports"]), (&json!([]), &json!([])));
        assert_eq!(last["metadata"]["uid"], one["metadata"]["uid"]);
    }

    #[test]
    fn slices_hold_a_hundred() {
        let mut world = world(json!({}));
        for number in 0..105 {
            world.pod(&format!("p{number}"), "n1", json!({}));
        }
        world.after(5);
        let counts = |world: &World| {
            let mut counts: Vec<usize> = slices(world)
                .iter()
                .map(|slice| slice["endpoints"].as_array().unwrap().len())
                .collect();
            counts.sort_unstable();
            counts
        };
        assert_eq!(counts(&world), [5, 100]);
        world.delete("pods", "p3");
        world.after(60);
        assert_eq!(counts(&world).iter().sum::<usize>(), 104);
        assert_eq!(counts(&world).len(), 2);
    }

    #[test]
    fn what_others_change_is_put_right() {
        let mut world = world(json!({"clusterIP": "None"}));
        let name = |world: &World| slices(world)[0]["metadata"]["name"].as_str().unwrap().to_owned();
        let first = name(&world);
        let headless = |world: &World| slices(world)[0]["metadata"]["labels"][service_pods::HEADLESS].clone();
        assert_eq!(headless(&world), "");
        let labels = json!({"metadata": {"labels": {"tier": "back"}}});
        world.patch("endpointslices", &first, Part::Main, labels.clone());
        assert_eq!(slices(&world)[0]["metadata"]["labels"]["tier"], "front");
        world.patch("services", "web", Part::Main, labels);
        assert_eq!(slices(&world)[0]["metadata"]["labels"]["tier"], "back");
        world.delete("endpointslices", &first);
        assert_ne!(name(&world), first);
    }
}
