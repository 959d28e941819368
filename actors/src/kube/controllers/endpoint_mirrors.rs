//! EndpointSlices of the Endpoints that others write for services without a selector
//! (kubernetes: `pkg/controller/endpointslicemirroring`).
//!
//! For each set of ports and family of addresses there is one slice of at most 1000 endpoints. The key is the name of the Endpoints.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint_slices::{Endpoint, MANAGED_BY, SERVICE_NAME, content, is_of};
use super::kinds::{KINDS, about};
use super::pods::prefix;
use super::service_pods::{EndpointPort, ServiceSpec, TRIGGERED};
use super::workload::{delete, namespace_ends, options, owner_reference, tree};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::{Object, StringMap};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store, Target};

/// The value of [`MANAGED_BY`].
const SELF: &str = "endpointslicemirroring-controller.k8s.io";
/// On Endpoints whose slices others write.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// On Endpoints that are no endpoints but a lock.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// What `kubectl apply` wrote last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Endpoints of a subset that are mirrored.
const ENDPOINTS_MAX: usize = 1000;

/// The controller.
#[derive(Debug)]
pub struct EndpointMirrors;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subset {
    addresses: Vec<Address>,
    not_ready_addresses: Vec<Address>,
    ports: Vec<EndpointPort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Address {
    ip: String,
    hostname: Option<String>,
    node_name: Option<String>,
    target_ref: Option<Value>,
}

impl Controller for EndpointMirrors {
    fn name(&self) -> &'static str {
        "endpoint-slice-mirroring-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.endpoints) {
            look_at(Key::of(object));
        } else if about(change, &KINDS.services) {
            // Only what decides whether it has a selector.
            if store
                .find(&KINDS.endpoints, object.namespace(), object.name())
                .is_some()
            {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.endpoint_slices) {
            let was = match &change.changed {
                Changed::Added => return,
                Changed::Modified(before) | Changed::Deleted(before) => before,
            };
            if was.label(MANAGED_BY) == Some(SELF)
                && let Some(name) = was.label(SERVICE_NAME)
            {
                look_at(Key::new(was.namespace(), name));
            }
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let service = store.find(&KINDS.services, key.namespace(), &key.name);
        let ours = service.is_some_and(|service| !ServiceSpec::of(service).has_selector());
        let endpoints = store.find(&KINDS.endpoints, key.namespace(), &key.name);
        let endpoints = endpoints
            .filter(|endpoints| {
                ours && endpoints.label(SKIP) != Some("true") && endpoints.annotation(LEADER).is_none()
            })
            .cloned();
        let mut present: BTreeMap<_, Vec<Arc<Object>>> = BTreeMap::new();
        for slice in store.all(&KINDS.endpoint_slices, key.namespace()) {
            if is_of(slice, SELF, &key.name) {
                present
                    .entry(content(slice).0)
                    .or_default()
                    .push(Arc::clone(slice));
            }
        }
        let wanted = endpoints.as_deref().map(wanted).unwrap_or_default();
        for (group, wanted) in wanted {
            let Some(endpoints) = &endpoints else { break };
            let mut slices = present.remove(&group).unwrap_or_default().into_iter();
            match mirror(store, endpoints, slices.next(), group.clone(), wanted, context) {
                Err(status) if namespace_ends(&status) => return Ok(None),
                other => other?,
            }
            present.insert(group, slices.collect());
        }
        for slice in present.into_values().flatten() {
            delete(store, context, &KINDS.endpoint_slices, &slice)?;
        }
        Ok(None)
    }
}

/// Family and ports, as [`content`] has them.
type Group = (String, Vec<EndpointPort>);

/// The endpoints by family and ports.
fn wanted(endpoints: &Object) -> BTreeMap<Group, Vec<Endpoint>> {
    let subsets: Vec<Subset> = endpoints.read("subsets").unwrap_or_default();
    let mut wanted: BTreeMap<Group, Vec<Endpoint>> = BTreeMap::new();
    for mut subset in subsets {
        subset.ports.sort();
        let ready = subset.addresses.into_iter().map(|address| (true, address));
        let not_ready = subset
            .not_ready_addresses
            .into_iter()
            .map(|address| (false, address));
        for (ready, address) in ready.chain(not_ready).take(ENDPOINTS_MAX) {
            let Ok(ip) = address.ip.parse::<IpAddr>() else {
                continue;
            };
            let family = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
            let group = (family.to_owned(), subset.ports.clone());
            let list = wanted.entry(group).or_default();
            if list.len() < ENDPOINTS_MAX {
                list.push(Endpoint {
                    addresses: vec![ip.to_string()],
                    conditions: json!({ "ready": ready }),
                    hostname: address.hostname.filter(|hostname| !hostname.is_empty()),
                    target_ref: address.target_ref,
                    node_name: address.node_name,
                    ..Endpoint::default()
                });
            }
        }
    }
    wanted
}

/// Brings one slice in line.
fn mirror(
    store: &mut Store,
    endpoints: &Object,
    slice: Option<Arc<Object>>,
    (family, ports): Group,
    wanted: Vec<Endpoint>,
    context: &Context<'_>,
) -> Result<(), Status> {
    let strings = |list: &[(Box<str>, Box<str>)]| -> StringMap {
        list.iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    };
    let mut labels = strings(&endpoints.head.labels);
    labels.insert(SERVICE_NAME.to_owned(), endpoints.name().to_owned());
    labels.insert(MANAGED_BY.to_owned(), SELF.to_owned());
    let mut annotations = strings(&endpoints.head.annotations);
    annotations.retain(|key, _| key != TRIGGERED && key != LAST_APPLIED);
    if let Some(slice) = slice {
        let mut draft = slice.draft();
        draft.meta.annotations.remove(TRIGGERED);
        if content(&slice).1 == wanted && draft.meta.labels == labels && draft.meta.annotations == annotations
        {
            return Ok(());
        }
        draft.meta.labels = labels;
        draft.meta.annotations = annotations;
        draft.body.insert("endpoints".to_owned(), tree(&wanted));
        return store
            .replace(&KINDS.endpoint_slices, Part::Main, draft, options(context))
            .map(drop);
    }
    let body = json!({
        "metadata": {
            "generateName": prefix(endpoints.name()),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(&KINDS.endpoints, endpoints)],
        },
        "addressType": family,
        "endpoints": wanted,
        "ports": ports,
    });
    let target = Target::stored(&KINDS.endpoint_slices, endpoints.namespace());
    store.create(target, body, options(context)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controllers::testing::World;

    fn slices(world: &World) -> Vec<Value> {
        let all = world.cluster.store.all(&KINDS.endpoint_slices, Some("default"));
        all.filter(|slice| slice.label(SERVICE_NAME) == Some("out"))
            .map(|slice| slice.to_value("discovery.k8s.io/v1", "EndpointSlice"))
            .collect()
    }

    #[test]
    fn endpoints_that_others_write_are_mirrored() {
        let mut world = World::new();
        let endpoints = json!({
            "metadata": {"name": "out", "labels": {"a": "b"}, "annotations": {"note": "x"}},
            "subsets": [{
                "addresses": [{"ip": "192.0.2.1", "nodeName": "n1"}],
                "notReadyAddresses": [{"ip": "192.0.2.2"}, {"ip": "2001:db8::1"}],
                "ports": [{"port": 8080}],
            }],
        });
        world.create("endpoints", endpoints);
        assert!(slices(&world).is_empty(), "there is no service");
        let service = json!({"metadata": {"name": "out"}, "spec": {"ports": [{"port": 80}]}});
        world.create("services", service);
        let all = slices(&world);
        let mut families: Vec<&str> = all
            .iter()
            .filter_map(|slice| slice["addressType"].as_str())
            .collect();
        families.sort_unstable();
        assert_eq!(families, ["IPv4", "IPv6"]);
        let four = all.iter().find(|slice| slice["addressType"] == "IPv4").unwrap();
        assert_eq!(
            four["endpoints"],
            json!([
                {"addresses": ["192.0.2.1"], "conditions": {"ready": true}, "nodeName": "n1"},
                {"addresses": ["192.0.2.2"], "conditions": {"ready": false}},
            ])
        );
        assert_eq!(
            four["ports"],
            json!([{"name": "", "port": 8080, "protocol": "TCP"}])
        );
        assert_eq!(
            four["metadata"]["labels"],
            json!({"a": "b", "kubernetes.io/service-name": "out",
                "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"})
        );
        assert_eq!(four["metadata"]["annotations"], json!({"note": "x"}));
        assert_eq!(four["metadata"]["ownerReferences"][0]["kind"], "Endpoints");

        let fewer = json!({"subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 8080}]}]});
        world.patch("endpoints", "out", Part::Main, fewer);
        let [one] = &slices(&world)[..] else { panic!() };
        assert_eq!(one["metadata"]["uid"], four["metadata"]["uid"]);
        assert_eq!(one["endpoints"][0]["addresses"], json!(["192.0.2.9"]));

        let name = one["metadata"]["name"].as_str().unwrap().to_owned();
        world.delete("endpointslices", &name);
        assert_eq!(slices(&world).len(), 1, "it is made again");
        let skip = json!({"metadata": {"labels": {SKIP: "true"}}});
        world.patch("endpoints", "out", Part::Main, skip);
        assert!(slices(&world).is_empty());
    }

    #[test]
    fn those_with_a_selector_are_not() {
        let mut world = World::new();
        let service =
            json!({"metadata": {"name": "out"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
        world.create("services", service);
        let managers: Vec<_> = slices(&world)
            .iter()
            .map(|slice| slice["metadata"]["labels"][MANAGED_BY].clone())
            .collect();
        assert_eq!(managers, ["endpointslice-controller.k8s.io"]);
    }
}
