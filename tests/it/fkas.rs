//! FKAS's calls as its README shows them, what goes beyond them, and real clients at the API servers that they open.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use metalsim::boot::system;
use metalsim::cluster::endpoints::Addressing;
use metalsim::cluster::keys::{ClusterKeys, KeySource};
use metalsim::cluster::manager::ManagerPort;
use metalsim::cluster::names::ClusterName;
use metalsim::cluster::pki::Authority;
use metalsim::forge::cluster::Settings;
use metalsim::forge::{self, Bootstrap, Role, cloud_config};
use metalsim_actors::node::os::membership::Machine;
use metalsim_actors::ports::Clusters as _;
use metalsim_actors::testkit::{identity, kind};
use metalsim_actors::timing::Timing;
use serde_json::{Value, json};

use crate::world::{PATIENCE, Plan, World, client, own_address, until};

/// A world with a control API, and its base URL.
async fn start(plan: Plan) -> (World, String) {
    let mut world = World::start(plan).await;
    let base = world.serve_control(None, &Arc::default());
    (world, base)
}

fn ports(number: u8, count: u16) -> Addressing {
    let host = own_address(number);
    Addressing::Port {
        host: host.to_string().into(),
        listen: host.into(),
        ports: 20_000..=20_000 + count - 1,
    }
}

fn endpoint(number: u8, port: u16) -> String {
    format!("{}:{port}", own_address(number))
}

/// Status and body: JSON, a text, or null for none.
async fn call(method: &str, url: &str, body: Value) -> (u16, Value) {
    let request = client().request(method.parse().unwrap(), url);
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    (status, body)
}

async fn register(base: &str, body: Value) -> (u16, Value) {
    call("POST", &format!("{base}/register"), body).await
}

async fn update_node(base: &str, body: Value) -> (u16, Value) {
    call("PUT", &format!("{base}/updateNode"), body).await
}

fn name(cluster: &str) -> Value {
    json!({"cluster": cluster, "namespace": "metal3"})
}

/// A Machine of the control plane, or a worker, as FKAS's side-car tells of it.
fn node(cluster: &str, node: &str, control_plane: bool) -> Value {
    let mut labels = json!({"cluster.x-k8s.io/cluster-name": cluster});
    if control_plane {
        labels["cluster.x-k8s.io/control-plane"] = "".into();
    }
    json!({
        "cluster": cluster,
        "namespace": "metal3",
        "nodeName": node,
        "providerID": format!("metal3://metal3/host-{node}/{node}"),
        "uuid": format!("uid-{node}"),
        "labels": labels,
        "k8sversion": "v1.33.1",
    })
}

fn message(answer: &(u16, Value)) -> &str {
    assert_eq!(answer.1["error"]["code"], answer.0, "{answer:?}");
    answer.1["error"]["message"].as_str().unwrap()
}

async fn kubeconfig(base: &str, cluster: &str) -> Kubeconfig {
    let (status, body) = call(
        "GET",
        &format!("{base}/api/v1/clusters/{cluster}/kubeconfig"),
        Value::Null,
    )
    .await;
    assert_eq!(status, 200, "{body}");
    Kubeconfig::from_yaml(body.as_str().unwrap()).unwrap()
}

async fn config(base: &str, cluster: &str) -> kube::Config {
    let read = kubeconfig(base, cluster).await;
    kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .unwrap()
}

/// A client with the kubeconfig that the control API shows; it verifies the server.
async fn kube(base: &str, cluster: &str) -> kube::Client {
    kube::Client::try_from(config(base, cluster).await).unwrap()
}

async fn nodes(client: &kube::Client) -> Vec<Node> {
    let api: Api<Node> = Api::all(client.clone());
    api.list(&ListParams::default()).await.unwrap().items
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

async fn clusters(base: &str, query: &str) -> Value {
    let (status, body) = call("GET", &format!("{base}/api/v1/clusters{query}"), Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn is_refused(endpoint: &str) -> bool {
    let error = TcpStream::connect(endpoint).err().map(|error| error.kind());
    error == Some(std::io::ErrorKind::ConnectionRefused)
}

fn pems(authority: &Authority) -> (String, String) {
    let key = authority.key().unwrap().to_older_pem().unwrap();
    (
        BASE64_STANDARD.encode(authority.pem()),
        BASE64_STANDARD.encode(key),
    )
}

#[actix_web::test]
async fn the_sequence_of_the_readme() {
    let (world, base) = start(Plan {
        addressing: ports(1, 10),
        ..Plan::default()
    })
    .await;
    let unknown = update_node(&base, node("test1", "m-1", true)).await;
    assert_eq!(
        (unknown.0, message(&unknown)),
        (500, "Workload Cluster does not exist")
    );

    let expected = json!({"ResourceName": "metal3/test1", "Host": own_address(1), "Port": 20000});
    assert_eq!(register(&base, name("test1")).await, (200, expected.clone()));
    let kube = kube(&base, "test1").await;
    assert_eq!(nodes(&kube).await.len(), 0);
    let early = update_node(&base, node("test1", "worker-1", false)).await;
    assert_eq!(
        (early.0, message(&early)),
        (500, "Workload Cluster has not been activated")
    );

    for _ in 0..2 {
        assert_eq!(
            update_node(&base, node("test1", "m-1", true)).await,
            (200, Value::Null)
        );
        assert_eq!(
            update_node(&base, node("test1", "worker-1", false)).await,
            (200, Value::Null)
        );
        assert_eq!(register(&base, name("test1")).await, (200, expected.clone()));
    }
    until("both nodes to be ready", || async {
        nodes(&kube).await.iter().filter(|node| is_ready(node)).count() == 2
    })
    .await;
    let nodes = nodes(&kube).await;
    let (first, worker) = (&nodes[0], &nodes[1]);
    let labels = first.metadata.labels.as_ref().unwrap();
    for (label, value) in [
        ("metal3.io/uuid", "uid-m-1"),
        ("cluster.x-k8s.io/cluster-name", "test1"),
        ("node-role.kubernetes.io/control-plane", ""),
    ] {
        assert_eq!(labels.get(label).map(String::as_str), Some(value), "{label}");
    }
    let spec = first.spec.as_ref().unwrap();
    assert_eq!(spec.provider_id.as_deref(), Some("metal3://metal3/host-m-1/m-1"));
    let taints = spec.taints.as_ref().unwrap();
    assert_eq!(
        (taints.len(), &*taints[0].key),
        (1, "node-role.kubernetes.io/control-plane")
    );
    assert!(worker.spec.as_ref().unwrap().taints.is_none());
    let address = |node: &Node| {
        node.status.as_ref().unwrap().addresses.as_ref().unwrap()[0]
            .address
            .clone()
    };
    assert_ne!(address(first), address(worker));
    let info = worker.status.as_ref().unwrap().node_info.as_ref().unwrap();
    assert_eq!(info.kubelet_version, "v1.33.1");
    // The first control plane made the cluster one of its version.
    assert_eq!(kube.apiserver_version().await.unwrap().git_version, "v1.33.1");

    let listed = clusters(&base, "").await;
    let objects = listed["items"][0]["objects"].as_u64().unwrap();
    assert!(objects > 50, "{objects}");
    assert_eq!(
        listed["items"][0],
        json!({
            "name": "test1", "namespace": "metal3", "endpoint": endpoint(1, 20_000), "version": "v1.33.1",
            "registered": true, "open": true, "control_planes": 1, "machines": 2, "nodes": 2, "ready_nodes": 2,
            "objects": objects,
        })
    );
    world.stop().await;
}

#[actix_web::test]
async fn control_planes_are_members_of_etcd() {
    let (world, base) = start(Plan {
        addressing: ports(2, 10),
        ..Plan::default()
    })
    .await;
    register(&base, name("c")).await;
    for machine in ["m-1", "m-2", "m-3"] {
        assert_eq!(update_node(&base, node("c", machine, true)).await.0, 200);
    }
    // A label that cannot be: nothing of the node is left, in etcd neither.
    let mut wrong = node("c", "m-4", true);
    wrong["labels"]["no label"] = "x".into();
    let refused = update_node(&base, wrong).await;
    assert_eq!(refused.0, 400);
    assert!(
        message(&refused).starts_with("Error adding node m-4"),
        "{refused:?}"
    );
    let cluster = world.clusters.find(&endpoint(2, 20_000)).unwrap();
    let members = cluster.cluster().read(|state| {
        let etcd = state.etcd().unwrap();
        assert!(etcd.has_quorum());
        let mut names: Vec<String> = etcd
            .members()
            .map(|(_, member)| member.name.to_string())
            .collect();
        names.sort();
        names
    });
    assert_eq!(members, ["m-1", "m-2", "m-3"]);
    assert_eq!(cluster.machines(), (3, 3));

    // A Node that its owner has deleted may come again; one with the machine of another may not.
    let kube = kube(&base, "c").await;
    let api: Api<Node> = Api::all(kube.clone());
    api.delete("m-3", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    until("the node to be gone", || async { nodes(&kube).await.len() == 2 }).await;
    assert_eq!(update_node(&base, node("c", "m-3", true)).await.0, 200);
    let mut same_machine = node("c", "m-5", false);
    same_machine["providerID"] = "metal3://metal3/host-m-1/m-1".into();
    assert_eq!(update_node(&base, same_machine).await.0, 200);
    assert_eq!(nodes(&kube).await.len(), 3);
    world.stop().await;
}

#[actix_web::test]
async fn what_is_wrong_is_told_in_json() {
    let (world, base) = start(Plan {
        addressing: ports(3, 10),
        ..Plan::default()
    })
    .await;
    let raw = client()
        .post(format!("{base}/register"))
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(raw.status(), 400);
    let body: Value = raw.json().await.unwrap();
    assert!(message(&(400, body)).starts_with("Invalid JSON"));
    for body in [
        json!({}),
        json!([]),
        json!({"cluster": 1}),
        json!({"cluster": "C"}),
        json!({"cluster": "c", "k8sversion": "new"}),
        json!({"cluster": "c", "caKey": "eA=="}),
    ] {
        let answer = register(&base, body.clone()).await;
        assert_eq!(answer.0, 400, "{body}");
        assert!(message(&answer).starts_with("Invalid JSON: "), "{answer:?}");
    }
    register(&base, name("c")).await;
    for change in [
        json!({"nodeName": ""}),
        json!({"nodeName": null}),
        json!({"labels": "novalue"}),
        json!({"nodeName": "Not_A_Name"}),
    ] {
        let mut body = node("c", "m", true);
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        assert_eq!(update_node(&base, body).await.0, 400, "{change}");
    }
    // Go's zero values, and what the side-car sends of a Machine that has none of it.
    let sparse = json!({"cluster": "c", "namespace": "metal3", "nodeName": "m", "providerID": null, "uuid": null,
        "k8sversion": null, "labels": {"cluster.x-k8s.io/control-plane": ""}});
    assert_eq!(update_node(&base, sparse).await.0, 200);
    for (method, path, allowed) in [
        ("GET", "/register", "POST"),
        ("POST", "/updateNode", "PUT"),
        ("PUT", "/api/v1/clusters/c", "DELETE"),
        ("DELETE", "/api/v1/clusters", "GET, HEAD"),
    ] {
        let answer = client()
            .request(method.parse().unwrap(), format!("{base}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.headers()["allow"], allowed);
    }
    world.stop().await;
}

#[actix_web::test]
async fn keys_that_are_given_are_used() {
    let (world, base) = start(Plan {
        addressing: ports(4, 10),
        ..Plan::default()
    })
    .await;
    let with_keys = |keys: &ClusterKeys| {
        let ((ca_cert, ca_key), (etcd_cert, etcd_key)) = (pems(&keys.authority), pems(&keys.etcd_authority));
        json!({"resource": "metal3/c", "caCert": ca_cert, "caKey": ca_key, "etcdCert": etcd_cert, "etcdKey": etcd_key})
    };
    let (first, second) = (ClusterKeys::generate().unwrap(), ClusterKeys::generate().unwrap());
    let leased = register(&base, with_keys(&first)).await;
    assert_eq!(leased.1["ResourceName"], "metal3/c");
    // Before there are nodes, the keys may be others.
    for keys in [&first, &second] {
        assert_eq!(register(&base, with_keys(keys)).await, leased);
        let config = config(&base, "c").await;
        assert_eq!(
            config.root_cert.as_ref().unwrap(),
            &[keys.authority.certificates()[0].to_vec()]
        );
        assert_eq!(nodes(&kube::Client::try_from(config).unwrap()).await.len(), 0);
    }
    assert_eq!(update_node(&base, node("c", "m-1", true)).await.0, 200);
    assert_eq!(register(&base, with_keys(&second)).await, leased);
    let other = register(&base, with_keys(&first)).await;
    assert_eq!(other.0, 409);
    assert!(message(&other).contains("metal3/c has nodes and other keys"));
    // The clusters of one authority do not take the certificates of another.
    let mut config = config(&base, "c").await;
    config.root_cert = Some(vec![first.authority.certificates()[0].to_vec()]);
    let refused = kube::Client::try_from(config).unwrap().apiserver_version().await;
    assert!(refused.is_err());
    world.stop().await;
}

#[actix_web::test]
async fn endpoints_are_given_back() {
    let (world, base) = start(Plan {
        addressing: ports(5, 2),
        ..Plan::default()
    })
    .await;
    let delete = |path: &str| {
        let url = format!("{base}/api/v1/clusters/{path}");
        async move { call("DELETE", &url, Value::Null).await }
    };
    assert_eq!(register(&base, name("a")).await.1["Port"], 20_000);
    assert_eq!(
        register(&base, json!({"cluster": "a", "namespace": "other"}))
            .await
            .1["Port"],
        20_001
    );
    let full = register(&base, name("c")).await;
    assert_eq!(
        (full.0, message(&full)),
        (500, "Failed to initialize listener: all 2 endpoints are taken")
    );
    let ambiguous = delete("a").await;
    assert_eq!(ambiguous.0, 409);
    assert!(
        message(&ambiguous).contains(&format!("{}, {}", endpoint(5, 20_000), endpoint(5, 20_001))),
        "{ambiguous:?}"
    );
    update_node(&base, node("a", "m-1", true)).await;

    assert_eq!(delete("a?namespace=metal3").await, (204, Value::Null));
    assert!(is_refused(&endpoint(5, 20_000)));
    assert_eq!(delete("a?namespace=metal3").await.0, 404);
    // Its name is free again, and its port: at once.
    assert_eq!(register(&base, name("c")).await.1["Port"], 20_000);
    assert_eq!(nodes(&kube(&base, "c").await).await.len(), 0, "a new cluster");
    assert_eq!(delete(&endpoint(5, 20_001)).await.0, 204);
    assert_eq!(delete("c").await.0, 204);
    assert_eq!(clusters(&base, "").await["items"], json!([]));
    assert_eq!(world.clusters.endpoints().leased(), 0);
    assert_eq!(delete("c?colour=red").await.0, 400);
    world.stop().await;
}

#[actix_web::test]
async fn a_hundred_clusters() {
    const COUNT: usize = 100;
    let (world, base) = start(Plan {
        addressing: Addressing::Address {
            network: own_address(128),
            length: 25,
            port: 6443,
        },
        ..Plan::default()
    })
    .await;
    for number in 0..COUNT {
        let cluster = format!("c{number}");
        let mut body = name(&cluster);
        // Known from the start, the version founds the cluster once.
        body["k8sversion"] = "v1.33.1".into();
        let (status, body) = register(&base, body).await;
        assert_eq!((status, &body["Port"]), (200, &json!(6443)), "{body}");
        assert_eq!(update_node(&base, node(&cluster, "m", true)).await.0, 200);
    }
    for number in [0, COUNT / 2, COUNT - 1] {
        let kube = kube(&base, &format!("c{number}")).await;
        until("the node to be ready", || async {
            nodes(&kube).await.iter().all(is_ready)
        })
        .await;
    }
    let mut seen = Vec::new();
    let mut query = "?limit=30".to_owned();
    loop {
        let page = clusters(&base, &query).await;
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["continue"].as_str() {
            Some(next) => query = format!("?limit=30&continue={next}"),
            None => break,
        }
    }
    let endpoints: std::collections::BTreeSet<_> = seen
        .iter()
        .map(|cluster| cluster["endpoint"].as_str().unwrap())
        .collect();
    assert_eq!((seen.len(), endpoints.len()), (COUNT, COUNT));
    assert!(
        seen.iter()
            .all(|cluster| cluster["open"] == true && cluster["nodes"] == 1)
    );
    let held: Vec<_> = endpoints
        .iter()
        .map(|endpoint| Arc::downgrade(&world.clusters.find(endpoint).unwrap()))
        .collect();
    for number in 0..COUNT {
        let url = format!("{base}/api/v1/clusters/c{number}");
        assert_eq!(call("DELETE", &url, Value::Null).await.0, 204);
    }
    assert_eq!(world.clusters.endpoints().leased(), 0);
    // Nothing keeps their objects in memory, once the last connections have ended.
    until("all of them to be dropped", || async {
        held.iter().all(|cluster| cluster.strong_count() == 0)
    })
    .await;
    assert!(is_refused(&format!("{}:6443", own_address(129))));
    world.stop().await;
}

#[actix_web::test]
async fn clusters_share_a_port_by_their_names() {
    let (world, base) = start(Plan {
        addressing: Addressing::Name {
            domain: "example.test".into(),
            listen: own_address(6).into(),
            port: 0,
        },
        ..Plan::default()
    })
    .await;
    let shared = world.clusters.endpoints().shared()[0].address();
    for cluster in ["one", "two"] {
        let (_, body) = register(&base, name(cluster)).await;
        assert_eq!(
            (&body["Host"], &body["Port"]),
            (&json!(format!("{cluster}.example.test")), &json!(shared.port()))
        );
    }
    // The name of another namespace's cluster says which.
    let same_name = register(&base, json!({"cluster": "one", "namespace": "other"})).await;
    assert_eq!(same_name.1["Host"], "one.other.example.test");
    let url = format!("{base}/api/v1/clusters/one?namespace=other");
    assert_eq!(call("DELETE", &url, Value::Null).await.0, 204);
    // The names resolve to the shared port, as a wildcard record does.
    let kube_as = |cluster: &'static str, server_name: Option<&'static str>| {
        let base = &base;
        async move {
            let mut config = config(base, cluster).await;
            config.cluster_url = format!("https://{shared}").parse().unwrap();
            config.tls_server_name = server_name.map(str::to_owned);
            kube::Client::try_from(config).unwrap()
        }
    };
    update_node(&base, node("one", "m-1", true)).await;
    let one = kube_as("one", Some("one.example.test")).await;
    let two = kube_as("two", Some("two.example.test")).await;
    assert_eq!((nodes(&one).await.len(), nodes(&two).await.len()), (1, 0));
    for (cluster, server_name) in [
        ("one", None),
        ("one", Some("three.example.test")),
        // It leads to the other cluster, whose authority is another.
        ("one", Some("two.example.test")),
    ] {
        let client = kube_as(cluster, server_name).await;
        assert!(client.apiserver_version().await.is_err(), "{server_name:?}");
    }
    // One that goes takes its connections along, and leaves the other alone.
    let url = format!("{base}/api/v1/clusters/one");
    assert_eq!(call("DELETE", &url, Value::Null).await.0, 204);
    until("connections to end", || async {
        one.apiserver_version().await.is_err()
    })
    .await;
    assert_eq!(nodes(&two).await.len(), 0);
    world.stop().await;
}

/// A management cluster whose Secrets come later.
#[derive(Default)]
struct Later(Mutex<Option<ClusterKeys>>);

impl KeySource for Later {
    fn keys<'a>(&'a self, cluster: &'a ClusterName) -> BoxFuture<'a, Result<Option<ClusterKeys>, String>> {
        assert_eq!(cluster.to_string(), "metal3/c");
        let keys = self.0.lock().unwrap().clone();
        Box::pin(std::future::ready(Ok(keys)))
    }
}

#[actix_web::test]
async fn keys_of_the_management_cluster_may_come_later() {
    let later = Arc::<Later>::default();
    let (world, base) = start(Plan {
        addressing: ports(7, 2),
        keys: Some(Arc::clone(&later) as Arc<dyn KeySource>),
        ..Plan::default()
    })
    .await;
    assert_eq!(register(&base, name("c")).await.1["Port"], 20_000);
    assert!(is_refused(&endpoint(7, 20_000)));
    let waiting = &clusters(&base, "").await["items"][0];
    assert_eq!(
        (
            &waiting["name"],
            &waiting["open"],
            &waiting["version"],
            &waiting["registered"]
        ),
        (&json!("c"), &json!(false), &Value::Null, &json!(true))
    );
    let url = format!("{base}/api/v1/clusters/c/kubeconfig");
    assert_eq!(call("GET", &url, Value::Null).await.0, 404);
    let absent = update_node(&base, node("c", "m-1", true)).await;
    assert_eq!(absent.0, 500);
    assert!(message(&absent).contains("metal3/c-ca"), "{absent:?}");
    let keys = ClusterKeys::generate().unwrap();
    *later.0.lock().unwrap() = Some(keys.clone());
    assert_eq!(update_node(&base, node("c", "m-1", true)).await.0, 200);
    let config = config(&base, "c").await;
    assert_eq!(
        config.root_cert.as_ref().unwrap(),
        &[keys.authority.certificates()[0].to_vec()]
    );
    assert_eq!(nodes(&kube::Client::try_from(config).unwrap()).await.len(), 1);
    world.stop().await;
}

#[actix_web::test]
async fn a_node_may_form_the_cluster_that_was_registered() {
    let (world, base) = start(Plan {
        addressing: ports(8, 2),
        ..Plan::default()
    })
    .await;
    register(&base, name("c")).await;
    // The side-car may be faster than the machine.
    assert_eq!(update_node(&base, node("c", "m-1", true)).await.0, 200);
    let settings = Settings {
        endpoint: endpoint(8, 20_000).parse().unwrap(),
        version: "v1.34.2".parse().unwrap(),
        token_ttl: "15m".parse().unwrap(),
        pod_subnet: None,
        service_subnet: None,
        dns_domain: None,
        cert_sans: Vec::new(),
    };
    let cluster = forge::Cluster::new("c".parse().unwrap(), settings, metalsim::clock::wall()).unwrap();
    let bootstrap = Bootstrap::new(&cluster, Role::Init, &forge::kubeadm::Node::default()).unwrap();
    let drive = json!({
        "meta_data": {"uuid": "u-1", "name": "host-1", "local_hostname": "host-1"},
        "user_data": cloud_config::render(&bootstrap).expose(),
    });
    let machine = Machine {
        identity: identity("host-1"),
        kind: kind(Timing::instant()),
        image: None,
    };
    let port = ManagerPort(Arc::clone(&world.clusters));
    let description = Arc::new(system::of_config_drive(&drive.to_string()));
    let id = machine.identity.id;
    let membership = port.bootstrap(Box::new(machine), description).await.unwrap();
    port.started(id, &membership, false);
    let config = config(&base, "c").await;
    let authority = cluster.authorities.cluster_authority().unwrap();
    assert_eq!(
        config.root_cert.as_ref().unwrap(),
        &[authority.certificates()[0].to_vec()]
    );
    let kube = kube::Client::try_from(config).unwrap();
    let names = || async {
        let nodes = nodes(&kube).await;
        nodes
            .into_iter()
            .map(|node| node.metadata.name.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["host-1"]);
    // Its nodes come by themselves now.
    assert_eq!(update_node(&base, node("c", "m-2", false)).await.0, 200);
    assert_eq!(names().await, ["host-1"]);
    let item = &clusters(&base, "").await["items"][0];
    assert_eq!(
        (&item["namespace"], &item["registered"], &item["nodes"]),
        (&json!("metal3"), &json!(false), &json!(1))
    );
    let url = format!("{base}/api/v1/clusters/c");
    assert_eq!(call("DELETE", &url, Value::Null).await.0, 409);
    // It goes with its last machine, and so does the lease.
    port.stopped(id);
    until("the API server to close", || async {
        is_refused(&endpoint(8, 20_000))
    })
    .await;
    port.erased(id, &membership);
    assert_eq!(clusters(&base, "").await["items"], json!([]));
    assert_eq!(world.clusters.endpoints().leased(), 0);
    world.stop().await;
}

#[actix_web::test]
async fn a_kubeconfig_is_a_secret() {
    let mut world = World::start(Plan {
        addressing: ports(9, 2),
        ..Plan::default()
    })
    .await;
    let base = world.serve_control(Some("s3cret"), &Arc::default());
    for (method, path) in [
        ("POST", "/register"),
        ("PUT", "/updateNode"),
        ("GET", "/api/v1/clusters"),
        ("DELETE", "/api/v1/clusters/c"),
        ("GET", "/api/v1/clusters/c/kubeconfig"),
    ] {
        assert_eq!(
            call(method, &format!("{base}{path}"), name("c")).await.0,
            401,
            "{path}"
        );
    }
    let with_token = |method: &str, path: &str| {
        client()
            .request(method.parse().unwrap(), format!("{base}{path}"))
            .timeout(PATIENCE)
            .bearer_auth("s3cret")
    };
    let registered = with_token("POST", "/register")
        .json(&name("c"))
        .send()
        .await
        .unwrap();
    assert_eq!(registered.status(), 200);
    let shown = with_token("GET", "/api/v1/clusters/c/kubeconfig")
        .send()
        .await
        .unwrap();
    assert_eq!(shown.headers()["cache-control"], "no-store");
    assert!(shown.text().await.unwrap().contains("client-key-data"));
    world.stop().await;
}
