//! A cluster for the controllers' tests: all controllers, a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use serde_json::{Value, json};

use crate::kube::bootstrap;
use crate::kube::cluster::{Cluster, Settled};
use crate::kube::controller::{Behaviour, Kubelet};
use crate::kube::node::NodeSpec;
use crate::kube::object::Object;
use crate::kube::resource::{BUILT_IN, Resource};
use crate::kube::status::Status;
use crate::kube::store::{DeleteOptions, Limits, Part, PatchKind, Settings, Store, Target, WriteOptions};
use crate::seed::Seed;
use crate::timing::Latency;

/// Looks that a test allows one call of [`World::settle`].
const MOST: usize = 20_000;

/// A cluster and its clock.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) now: DateTime<Utc>,
}

/// Start of all tests' time.
pub(crate) fn start() -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000, 0).unwrap()
}

/// The resource of that plural, whatever its group.
pub(crate) fn kind(plural: &str) -> &'static Arc<Resource> {
    BUILT_IN
        .iter()
        .find(|resource| resource.plural == plural && resource.home == resource.id)
        .unwrap()
}

impl World {
    /// A cluster with the namespaces of a new one; pods start after 2 s, stop after 1 s, run for 5 s.
    pub(crate) fn new() -> Self {
        Self::behaving(|_| ())
    }

    /// The same, but it behaves otherwise.
    pub(crate) fn behaving(change: impl FnOnce(&mut Behaviour)) -> Self {
        let mut behaviour = Behaviour {
            node_ready: Latency::millis(1000),
            ..Behaviour::default()
        };
        change(&mut behaviour);
        let settings = Settings {
            seed: Seed::root(11),
            limits: Limits::default(),
            service_network: Some(bootstrap::SERVICE_NETWORK),
        };
        let mut store = Store::new(settings, Arc::default());
        bootstrap::create(&mut store, start()).unwrap();
        let cluster = Cluster::new(store, Arc::new(behaviour), "-----CA-----".into(), Seed::root(12));
        let mut world = Self {
            cluster,
            now: start(),
        };
        world.settle();
        world
    }

    /// The same with one worker `n1` that is ready.
    pub(crate) fn with_node() -> Self {
        let mut world = Self::new();
        world.boot("n1", 1);
        world.after(2);
        world
    }

    /// Registers a worker and starts its kubelet.
    pub(crate) fn boot(&mut self, name: &str, number: u8) {
        let spec = NodeSpec::worker(name, [172, 22, 0, number].into(), "v1.34.2");
        self.cluster.add_node(&spec, self.now).unwrap();
        self.settle();
    }

    /// The machine of a node starts.
    pub(crate) fn start(&mut self, node: &str) {
        let since = self.now;
        self.cluster
            .set_kubelet(node, Some(Kubelet::Running { since }), self.now);
        self.settle();
    }

    /// The machine of a node stops.
    pub(crate) fn stop(&mut self, node: &str) {
        self.cluster
            .set_kubelet(node, Some(Kubelet::Stopped { booted: None }), self.now);
        self.settle();
    }

    /// Lets the controllers do what is due.
    pub(crate) fn settle(&mut self) -> Settled {
        let settled = self.cluster.settle(self.now, MOST);
        assert!(settled.looks < MOST, "it does not come to rest");
        settled
    }

    /// Lets so many seconds pass, with all that falls due in between at its own time.
    pub(crate) fn after(&mut self, seconds: i64) -> Settled {
        self.after_duration(Duration::from_secs(u64::try_from(seconds).unwrap()))
    }

    pub(crate) fn after_duration(&mut self, wait: Duration) -> Settled {
        let end = self.now + TimeDelta::from_std(wait).unwrap();
        let mut settled = self.settle();
        for _ in 0..10_000 {
            let Some(next) = settled.next.filter(|next| *next <= end) else {
                self.now = end;
                return settled;
            };
            self.now = next;
            settled = self.settle();
        }
        panic!("there is always more to do");
    }

    pub(crate) fn try_create(&mut self, plural: &str, body: Value) -> Result<Arc<Object>, Status> {
        let resource = kind(plural);
        let namespace = body["metadata"]["namespace"]
            .as_str()
            .unwrap_or("default")
            .to_owned();
        let target = Target::stored(resource, resource.namespaced.then_some(&*namespace));
        self.cluster
            .store
            .create(target, body, WriteOptions::by("test", self.now))
    }

    /// Creates an object, in `default` unless it says otherwise, and settles.
    pub(crate) fn create(&mut self, plural: &str, body: Value) -> Arc<Object> {
        let object = self.try_create(plural, body).unwrap();
        self.settle();
        object
    }

    /// Creates a pod that is bound to a node, with one container `app`.
    pub(crate) fn pod(&mut self, name: &str, node: &str, more: Value) -> Arc<Object> {
        let mut body = json!({
            "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"nodeName": node, "containers": [{"name": "app", "image": "nginx:1.27"}]},
        });
        merge(&mut body, more);
        self.create("pods", body)
    }

    /// Number of objects of a kind.
    pub(crate) fn count(&self, plural: &str) -> usize {
        self.cluster.store.count(kind(plural))
    }

    pub(crate) fn find(&self, plural: &str, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.cluster.store.find(kind(plural), Some(namespace), name)
    }

    /// An object of `default`, or a cluster-scoped one.
    pub(crate) fn get(&self, plural: &str, name: &str) -> &Arc<Object> {
        self.find(plural, "default", name)
            .unwrap_or_else(|| panic!("no {plural} {name}"))
    }

    /// A field of an object of `default`, `null` if it is not there.
    pub(crate) fn at(&self, plural: &str, name: &str, path: &str) -> Value {
        let object = self.get(plural, name).to_value("v1", "K");
        object.pointer(path).cloned().unwrap_or_default()
    }

    /// A condition of an object: status and reason.
    pub(crate) fn condition(&self, plural: &str, name: &str, kind: &str) -> (String, String) {
        let list = self.at(plural, name, "/status/conditions");
        let found = list
            .as_array()
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == kind);
        let text = |field: &str| {
            let text = found.and_then(|found| found.get(field));
            text.and_then(Value::as_str).unwrap_or("").to_owned()
        };
        (text("status"), text("reason"))
    }

    pub(crate) fn patch(&mut self, plural: &str, name: &str, part: Part, body: Value) {
        let resource = kind(plural);
        let target = Target::stored(resource, resource.namespaced.then_some("default"));
        let options = WriteOptions::by("test", self.now);
        self.cluster
            .store
            .patch(target, name, part, PatchKind::Merge, &body, options)
            .unwrap();
        self.settle();
    }

    pub(crate) fn delete(&mut self, plural: &str, name: &str) {
        self.delete_with(plural, name, &DeleteOptions::default());
    }

    /// The same without a grace period.
    pub(crate) fn delete_now(&mut self, plural: &str, name: &str) {
        self.delete_with(plural, name, &DeleteOptions::now());
    }

    fn delete_with(&mut self, plural: &str, name: &str, options: &DeleteOptions) {
        let resource = kind(plural);
        let target = Target::stored(resource, resource.namespaced.then_some("default"));
        self.cluster
            .store
            .delete(target, name, options, self.now)
            .unwrap();
        self.settle();
    }

    /// The reasons of all events about objects of that name, sorted, with their counts where they are more than one.
    pub(crate) fn events(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = self
            .cluster
            .store
            .all(kind("events"), None)
            .filter(|event| {
                event
                    .at(&["involvedObject", "name"])
                    .is_some_and(|found| found == name)
            })
            .map(|event| {
                let reason = event.at(&["reason"]).unwrap();
                let reason = reason.as_str().unwrap();
                match event.at(&["count"]).and_then(|count| count.as_i64()) {
                    Some(1) => reason.to_owned(),
                    count => format!("{reason} x{}", count.unwrap()),
                }
            })
            .collect();
        found.sort();
        found
    }

    /// The message of an event.
    pub(crate) fn message(&self, name: &str, reason: &str) -> String {
        let events = self.cluster.store.all(kind("events"), None);
        let found = events.into_iter().find(|event| {
            event
                .at(&["involvedObject", "name"])
                .is_some_and(|found| found == name)
                && event.at(&["reason"]).is_some_and(|found| found == reason)
        });
        let message = found.and_then(|event| event.at(&["message"]));
        message
            .unwrap_or_else(|| panic!("no event {reason} about {name}"))
            .as_str()
            .unwrap()
            .to_owned()
    }
}

impl World {
    /// The names of all objects of a kind in `default`, in order.
    pub(crate) fn names(&self, plural: &str) -> Vec<String> {
        let all = self.cluster.store.all(kind(plural), Some("default"));
        all.map(|object| object.name().to_owned()).collect()
    }

    /// Lays `change` over the status of an object of `default`, and settles.
    pub(crate) fn status(&mut self, plural: &str, name: &str, change: Value) {
        self.patch(plural, name, Part::Status, json!({ "status": change }));
    }

    /// Numbers of a status, 0 for those that are not there.
    pub(crate) fn numbers<const N: usize>(&self, plural: &str, name: &str, fields: [&str; N]) -> [i64; N] {
        let status = self.at(plural, name, "/status");
        fields.map(|field| status.get(field).and_then(Value::as_i64).unwrap_or(0))
    }
}

/// A template of pods with the label `app: web`, that are bound to `n1`.
pub(crate) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": image}]},
    })
}

/// Lays `more` over `body`.
pub(crate) fn merge(body: &mut Value, more: Value) {
    match (body, more) {
        (Value::Object(body), Value::Object(more)) => {
            for (key, value) in more {
                merge(body.entry(key).or_insert(Value::Null), value);
            }
        }
        (body, more) => *body = more,
    }
}
