//! Services and their pods, as the two controllers of endpoints see them (kubernetes: `staging/src/k8s.io/endpointslice/utils.go`,
//! `staging/src/k8s.io/endpointslice/util/controller_utils.go`).

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::conditions;
use super::kinds::{KINDS, about};
use crate::kube::controller::Key;
use crate::kube::object::{Object, Second, StringMap};
use crate::kube::selector::LabelSelector;
use crate::kube::store::{Change, Changed, Store};

/// On the endpoints of a service without an address of its own.
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";
/// When what the endpoints follow from last changed.
pub(super) const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// `Service.spec`, as far as endpoints go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    kind: String,
    selector: Option<Value>,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    pub(super) ip_families: Vec<String>,
    pub(super) publish_not_ready_addresses: bool,
    pub(super) ports: Vec<ServicePort>,
}

/// An entry of `Service.spec.ports`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServicePort {
    name: String,
    protocol: String,
    app_protocol: Option<String>,
    target_port: Value,
}

/// A port of endpoints.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointPort {
    #[serde(default)]
    pub(super) name: String,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) protocol: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) app_protocol: Option<String>,
}

impl ServiceSpec {
    /// The spec of a service.
    pub(super) fn of(service: &Object) -> Self {
        service.read("spec").unwrap_or_default()
    }

    /// What its pods match; `None` if others name its endpoints.
    pub(super) fn selector(&self) -> Option<LabelSelector> {
        if self.kind == "ExternalName" {
            return None;
        }
        let selector = LabelSelector::from_map(self.selector.as_ref()?)?;
        // An empty one does not survive the storage of a real server.
        (!selector.is_empty()).then_some(selector)
    }

    /// Whether its endpoints follow from its pods, and not from what others write.
    pub(super) fn has_selector(&self) -> bool {
        let selector = self.selector.as_ref().and_then(Value::as_object);
        selector.is_some_and(|selector| !selector.is_empty())
    }

    /// Whether it has no address of its own.
    pub(super) fn is_headless(&self) -> bool {
        self.cluster_ip.is_empty() || self.cluster_ip == "None"
    }

    /// Whether it is headless by wish, which lets it do without ports.
    pub(super) fn does_without_ports(&self) -> bool {
        self.ports.is_empty() && self.cluster_ip == "None"
    }

    /// Labels of its endpoints, those that the controllers own left out.
    pub(super) fn labels(&self, service: &Object, own: &[&str]) -> StringMap {
        let labels = service.head.labels.iter();
        let mut labels: StringMap = labels
            .filter(|(key, _)| &**key != HEADLESS && !own.contains(&&**key))
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        if self.is_headless() {
            labels.insert(HEADLESS.to_owned(), String::new());
        }
        labels
    }
}

/// A pod behind a service.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) object: Arc<Object>,
    spec: PodSpec,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ready: bool,
    ready_changed: Option<Second>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    hostname: String,
    subdomain: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    restart_policy: String,
    ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    name: String,
    container_port: u16,
    protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
    conditions: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

/// Addresses, whether it is ready, whether it is over: what of a pod's status matters here.
fn seen(pod: &Object) -> (PodStatus, Vec<IpAddr>, bool) {
    let status: PodStatus = pod.read("status").unwrap_or_default();
    let addresses = status.pod_ips.iter().filter_map(|one| one.ip.parse().ok());
    let addresses = addresses.collect();
    let ready = conditions::is_true(&status.conditions, "Ready");
    (status, addresses, ready)
}

impl Backend {
    /// The pod, unless it has run to its end or has no address.
    fn of(pod: &Arc<Object>) -> Option<Self> {
        let (status, addresses, ready) = seen(pod);
        if matches!(&*status.phase, "Succeeded" | "Failed") || addresses.is_empty() {
            return None;
        }
        let changed = conditions::get(&status.conditions, "Ready")
            .and_then(|ready| Second::parse(conditions::text(ready, "lastTransitionTime")));
        Some(Self {
            object: Arc::clone(pod),
            spec: pod.read("spec").unwrap_or_default(),
            addresses,
            ready,
            ready_changed: changed,
        })
    }

    /// Its address of that family (`IPv4`, `IPv6`).
    pub(super) fn address(&self, family: &str) -> Option<IpAddr> {
        let wanted = |address: &&IpAddr| address.is_ipv6() == (family == "IPv6");
        self.addresses.iter().find(wanted).copied()
    }

    /// The node it is on, empty if it is on none.
    pub(super) fn node(&self) -> &str {
        &self.spec.node_name
    }

    /// Its name in the domain of the service.
    pub(super) fn hostname(&self, service: &Object) -> Option<&str> {
        let named = !self.spec.hostname.is_empty() && self.spec.subdomain == service.name();
        named.then_some(&*self.spec.hostname)
    }

    /// `targetRef`.
    pub(super) fn reference(&self) -> Value {
        json!({
            "kind": "Pod",
            "namespace": self.object.namespace(),
            "name": self.object.name(),
            "uid": self.object.uid_text(),
        })
    }

    /// The port of the pod behind a port of the service; `None` if it has none of that name.
    pub(super) fn port(&self, port: &ServicePort) -> Option<EndpointPort> {
        let number = match &port.target_port {
            Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
            Value::String(name) => {
                let sidecars = self.spec.init_containers.iter();
                let sidecars = sidecars.filter(|container| container.restart_policy == "Always");
                let containers = self.spec.containers.iter().chain(sidecars);
                let mut ports = containers.flat_map(|container| &container.ports);
                let same = |one: &&ContainerPort| {
                    let protocol = if one.protocol.is_empty() {
                        "TCP"
                    } else {
                        &one.protocol
                    };
                    one.name == *name && protocol == port.protocol
                };
                ports.find(same)?.container_port
            }
            _ => return None,
        };
        Some(EndpointPort {
            name: port.name.clone(),
            port: number,
            protocol: port.protocol.clone(),
            app_protocol: port.app_protocol.clone(),
        })
    }
}

/// The pods that can be endpoints of a service, by name.
pub(super) fn backends(store: &Store, service: &Object, selector: &LabelSelector) -> Vec<Backend> {
    store
        .all(&KINDS.pods, service.namespace())
        .filter(|pod| selector.matches_object(pod))
        .filter_map(Backend::of)
        .collect()
}

/// The value of [`TRIGGERED`]: the first change of the service or of a pod's readiness after what was told `before`
/// (kubernetes: `staging/src/k8s.io/endpointslice/trigger_time_tracker.go`).
pub(super) fn triggered(service: &Object, backends: &[Backend], before: Option<&Object>) -> Option<String> {
    let told = before.map(|before| {
        let told = before.annotation(TRIGGERED).and_then(Second::parse);
        told.unwrap_or_else(|| {
            let written = before.managed.iter().filter_map(|entry| entry.time);
            written.max().unwrap_or(before.created)
        })
    });
    backends
        .iter()
        .filter_map(|backend| backend.ready_changed)
        .chain([service.created])
        .filter(|time| told.is_none_or(|told| *time > told))
        .min()
        .map(Second::text)
}

/// Names the services to look at because of a change of a service or a pod.
pub(super) fn observe(store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
    let object = &change.object;
    if about(change, &KINDS.services) {
        look_at(Key::of(object));
    } else if about(change, &KINDS.pods) {
        match &change.changed {
            Changed::Modified(before) => {
                let labels = before.head.labels != object.head.labels;
                if !labels && !matters(before, object) {
                    return;
                }
                services_of(store, object, look_at);
                if labels {
                    services_of(store, before, look_at);
                }
            }
            Changed::Added | Changed::Deleted(_) => services_of(store, object, look_at),
        }
    }
}

/// Whether endpoints see the difference.
fn matters(before: &Object, now: &Object) -> bool {
    if before.is_terminating() != now.is_terminating()
        || before.section_text("spec") != now.section_text("spec")
    {
        return true;
    }
    if before.section_text("status") == now.section_text("status") {
        return false;
    }
    let facts = |pod: &Object| {
        let (status, addresses, ready) = seen(pod);
        let over = matches!(&*status.phase, "Succeeded" | "Failed");
        (addresses, ready, over)
    };
    facts(before) != facts(now)
}

fn services_of(store: &Store, pod: &Object, look_at: &mut dyn FnMut(Key)) {
    for service in store.all(&KINDS.services, pod.namespace()) {
        let selector = ServiceSpec::of(service).selector();
        if selector.is_some_and(|selector| selector.matches_object(pod)) {
            look_at(Key::of(service));
        }
    }
}
