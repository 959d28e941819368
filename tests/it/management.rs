//! A management cluster, which is one of our own: keys in its Secrets, hosts that become nodes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use metalsim::cluster::endpoints::Addressing;
use metalsim::cluster::keys::{ClusterKeys, KeySource};
use metalsim::cluster::management::SecretKeys;
use metalsim::cluster::names::ClusterName;
use metalsim::cluster::pki::Authority;
use metalsim::cluster::reconciler;
use metalsim::cluster::registered::Registering;
use serde_json::{Value, json};

use crate::kube::harness::{self, Running};
use crate::world::{Plan, World, own_address, until};

async fn write_secret(client: &Client, purpose: &str, authority: &Authority) {
    let key = authority.key().unwrap().to_older_pem().unwrap();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": format!("c1-{purpose}")},
        "type": "cluster.x-k8s.io/secret",
        "stringData": {"tls.crt": authority.pem(), "tls.key": key},
    }))
    .unwrap();
    let api: Api<Secret> = Api::namespaced(client.clone(), "default");
    api.create(&PostParams::default(), &secret).await.unwrap();
}

#[actix_web::test]
async fn keys_are_read_from_secrets_of_cluster_api() {
    let running = Running::start(&harness::Plan::default());
    let client = running.kube(running.address());
    let source = SecretKeys::new(client.clone());
    let name = ClusterName::new("default", "c1").unwrap();
    let keys = ClusterKeys::generate().unwrap();
    assert!(source.keys(&name).await.unwrap().is_none());
    write_secret(&client, "ca", &keys.authority).await;
    assert!(
        source.keys(&name).await.unwrap().is_none(),
        "etcd's are not there"
    );
    write_secret(&client, "etcd", &keys.etcd_authority).await;
    assert!(source.keys(&name).await.unwrap().unwrap().same_authorities(&keys));
    // The pair of service accounts is a key without a certificate.
    let api: Api<Secret> = Api::namespaced(client.clone(), "default");
    let account: Secret = serde_json::from_value(json!({
        "metadata": {"name": "c1-sa"},
        "stringData": {"tls.crt": keys.token_key.public_pem().unwrap(), "tls.key": keys.token_key.to_older_pem().unwrap()},
    }))
    .unwrap();
    api.create(&PostParams::default(), &account).await.unwrap();
    let read = source.keys(&name).await.unwrap().unwrap();
    assert_eq!(
        read.token_key.public_pem().unwrap(),
        keys.token_key.public_pem().unwrap()
    );
    let broken = Patch::Merge(json!({"data": {"tls.key": null}}));
    api.patch("c1-ca", &PatchParams::default(), &broken)
        .await
        .unwrap();
    let error = source.keys(&name).await.unwrap_err();
    assert_eq!(error, "Secret default/c1-ca has no tls.crt and tls.key");
}

/// A kind of which everything may be written.
async fn define(client: &Client, group: &str, version: &str, kind: &str) -> ApiResource {
    let plural = format!("{}s", kind.to_lowercase());
    let name = format!("{plural}.{group}");
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    }))
    .unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    api.create(&PostParams::default(), &definition).await.unwrap();
    await_condition(api, &name, conditions::is_crd_established())
        .await
        .unwrap();
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Creates an object of such a kind in the namespace `default`.
async fn create(client: &Client, resource: &ApiResource, mut body: Value) -> DynamicObject {
    body["apiVersion"] = resource.api_version.as_str().into();
    body["kind"] = resource.kind.as_str().into();
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), resource);
    let object: DynamicObject = serde_json::from_value(body).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap()
}

#[actix_web::test]
async fn hosts_become_nodes_and_leave() {
    let running = Running::start(&harness::Plan::default());
    let client = running.kube(running.address());
    let world = World::start(Plan {
        addressing: Addressing::Port {
            host: own_address(10).to_string().into(),
            listen: own_address(10).into(),
            ports: 20_000..=20_001,
        },
        ..Plan::default()
    })
    .await;
    let hosts = define(&client, "metal3.io", "v1alpha1", "BareMetalHost").await;
    let metal3_machines = define(
        &client,
        "infrastructure.cluster.x-k8s.io",
        "v1beta1",
        "Metal3Machine",
    )
    .await;
    let machines = define(&client, "cluster.x-k8s.io", "v1beta1", "Machine").await;
    let registering = Registering {
        name: ClusterName::new("default", "c1").unwrap(),
        keys: None,
        version: None,
    };
    let endpoint = world.clusters.register(registering).await.unwrap().to_string();

    let labels = json!({"cluster.x-k8s.io/cluster-name": "c1", "cluster.x-k8s.io/control-plane": ""});
    let machine = json!({"metadata": {"name": "m-1", "labels": labels}, "spec": {"version": "v1.33.1"}});
    let machine = create(&client, &machines, machine).await;
    let owner = json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Machine", "name": "m-1",
        "uid": machine.metadata.uid});
    let metal3_machine = json!({
        "metadata": {"name": "m3m-1", "ownerReferences": [owner]},
        "spec": {"providerID": "metal3://default/host-1/m3m-1"},
    });
    create(&client, &metal3_machines, metal3_machine).await;
    let host = json!({
        "metadata": {"name": "host-1"},
        "spec": {"consumerRef": {"name": "m3m-1", "namespace": "default"}},
        "status": {"provisioning": {"state": "provisioning"}},
    });
    let host = create(&client, &hosts, host).await;
    // One that nobody uses is none of ours.
    let idle = json!({"metadata": {"name": "host-2"}, "status": {"provisioning": {"state": "provisioned"}}});
    create(&client, &hosts, idle).await;

    let reconciling = actix_web::rt::spawn(reconciler::run(client.clone(), Arc::clone(&world.clusters)));
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &hosts);
    let set_state = async |state: &str| {
        let patch = Patch::Merge(json!({"status": {"provisioning": {"state": state}}}));
        api.patch("host-1", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    let machines_of = || world.clusters.find(&endpoint).unwrap().machines();
    assert_eq!(machines_of(), (0, 0));
    for _ in 0..2 {
        set_state("provisioned").await;
        until("the host to be a node", || async { machines_of() == (1, 1) }).await;
        let cluster = world.clusters.find(&endpoint).unwrap();
        assert!(cluster.is_open());
        assert_eq!(cluster.founding().version.to_string(), "v1.33.1");
        let node = cluster.cluster().read(|state| {
            let node = state.store.all_of("", "nodes", None).next().unwrap();
            let label = node.label("metal3.io/uuid").map(str::to_owned);
            (node.name().to_owned(), node.at(&["spec", "providerID"]), label)
        });
        let uid = host.metadata.uid.clone();
        assert_eq!(node.0, "m-1");
        assert_eq!(node.1, Some(json!("metal3://default/host-1/m3m-1")));
        assert_eq!(node.2, uid);
        // With the last control plane its API server goes; another one founds another cluster.
        set_state("deprovisioning").await;
        until("the machine to leave", || async {
            machines_of() == (0, 0) && !cluster.is_open()
        })
        .await;
    }
    reconciling.abort();
    world.stop().await;
}
