//! Quotas: what is refused.

use chrono::DateTime;
use serde_json::json;

use super::*;
use crate::kube::resource::BUILT_IN;
use crate::kube::store::{Limits, Settings, Target, WriteOptions};
use crate::seed::Seed;

#[test]
fn amounts_are_written_as_the_server_does() {
    let text = |parts: &[&str]| {
        let parts = parts.iter().map(|part| Amount::of(&json!(part)).unwrap());
        parts.fold(Amount::default(), Amount::plus).text()
    };
    for (parts, sum) in [
        (&["0"][..], "0"),
        (&["500m", "1500m"], "2"),
        (&["100m"], "100m"),
        (&["1000"], "1k"),
        (&["512Mi", "512Mi"], "1Gi"),
        (&["1Gi", "1"], "1073741825"),
        (&["1500M"], "1500M"),
    ] {
        assert_eq!(text(parts), sum);
    }
}

struct World {
    store: Store,
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let mut world = Self {
            store: Store::new(settings, std::sync::Arc::default()),
        };
        for namespace in ["n", "other"] {
            world
                .create("", "namespaces", "", json!({"metadata": {"name": namespace}}))
                .unwrap();
        }
        world
    }

    fn create(&mut self, group: &str, plural: &str, namespace: &str, body: Value) -> Result<(), Status> {
        let resource = BUILT_IN
            .iter()
            .find(|resource| resource.is(group, plural))
            .unwrap();
        let target = Target::stored(resource, resource.namespaced.then_some(namespace));
        let options = WriteOptions::by("t", DateTime::UNIX_EPOCH);
        self.store.create(target, body, options).map(|_| ())
    }

    fn quota(&mut self, name: &str, spec: Value) {
        self.create(
            "",
            "resourcequotas",
            "n",
            json!({"metadata": {"name": name}, "spec": spec}),
        )
        .unwrap();
    }

    #[track_caller]
    fn refuses(&mut self, group: &str, plural: &str, body: Value, message: &str) {
        let status = self.create(group, plural, "n", body).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (403, message));
    }
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i",
        "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}]}})
}

#[test]
fn pods_beyond_a_quota_are_refused() {
    let mut world = World::new();
    world.quota(
        "q",
        json!({"hard": {"pods": "2", "requests.cpu": "1", "memory": "1Gi"}}),
    );
    world.create("", "pods", "n", pod("a", "600m")).unwrap();
    world.refuses(
        "",
        "pods",
        pod("b", "500m"),
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1",
    );
    world.create("", "pods", "n", pod("b", "400m")).unwrap();
    world.refuses(
        "",
        "pods",
        pod("c", "1"),
        "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=1, used: pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1",
    );
    // Other namespaces have quotas of their own.
    world.create("", "pods", "other", pod("c", "9")).unwrap();
}

#[test]
fn containers_have_to_name_what_is_counted() {
    let mut world = World::new();
    world.quota(
        "q",
        json!({"hard": {"limits.memory": "1Gi", "cpu": "1", "pods": "5"}}),
    );
    let bare = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "b", "image": "i"}, {"name": "a", "image": "i",
        "resources": {"requests": {"cpu": "1"}}}]}});
    world.refuses(
        "",
        "pods",
        bare,
        "pods \"p\" is forbidden: failed quota: q: must specify cpu for: b; limits.memory for: a,b",
    );
}

#[test]
fn quotas_of_scopes_are_about_their_pods() {
    let mut world = World::new();
    world.quota("best", json!({"hard": {"pods": "0"}, "scopes": ["BestEffort"]}));
    world.create("", "pods", "n", pod("a", "1")).unwrap();
    world
        .create(
            "",
            "services",
            "n",
            json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}}),
        )
        .unwrap();
    let light = json!({"metadata": {"name": "l"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    world.refuses(
        "",
        "pods",
        light,
        "pods \"l\" is forbidden: exceeded quota: best, requested: pods=1, used: pods=0, limited: pods=0",
    );
}

#[test]
fn objects_beyond_a_quota_are_refused() {
    let mut world = World::new();
    world.quota(
        "q",
        json!({"hard": {"configmaps": "1", "count/deployments.apps": "0", "services": "1", "services.nodeports": "0",
            "requests.storage": "5Gi", "count/events": "0"}}),
    );
    let named = |name: &str| json!({"metadata": {"name": name}});
    world.create("", "configmaps", "n", named("a")).unwrap();
    world.refuses(
        "",
        "configmaps",
        named("b"),
        "configmaps \"b\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1",
    );
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}});
    world.refuses(
        "apps",
        "deployments",
        json!({"metadata": {"name": "d"}, "spec": spec}),
        "deployments.apps \"d\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: count/deployments.apps=0, limited: count/deployments.apps=0",
    );
    let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 1}]}});
    world.refuses(
        "",
        "services",
        service,
        "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0",
    );
    let claim = |name: &str| json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "3Gi"}}}});
    world
        .create("", "persistentvolumeclaims", "n", claim("a"))
        .unwrap();
    world.refuses(
        "",
        "persistentvolumeclaims",
        claim("b"),
        "persistentvolumeclaims \"b\" is forbidden: exceeded quota: q, requested: requests.storage=3Gi, used: requests.storage=3Gi, limited: requests.storage=5Gi",
    );
    let event =
        json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "n"}});
    world.create("", "events", "n", event).unwrap();
}
