//! The life of a control plane as KubeadmControlPlane leads it: the requests that it makes of the workload cluster, and machines that come and
//! go as it wants.

pub(crate) mod access;
mod controller;
#[path = "../../../src/frontend/kube/spdy/dictionary.rs"]
mod dictionary;
pub(crate) mod etcd;
mod machines;
pub(crate) mod tunnel;

use std::net::TcpStream;
use std::sync::Arc;

use metalsim::clock::WallClock;
use metalsim::cluster::endpoints::Addressing;
use metalsim::cluster::names::ClusterName;
use metalsim::cluster::registered::{RegisterError, Registering};
use metalsim::forge::Role;
use metalsim::observer::Exposition as _;

use crate::world::{Plan, World, own_address, until};
use access::Access;
use controller::{Controllers, condition};
use etcd::{Client, Keys};
use machines::Machines;
use tunnel::{Way, dial};

const OLD: &str = "v1.34.2";
const NEW: &str = "v1.35.0";
/// Simulated seconds in a real one.
const SPEED: f64 = 50.0;

/// A world with two addresses for clusters: the first is the endpoint.
async fn start(number: u8) -> (World, Machines) {
    let world = World::start(Plan {
        addressing: Addressing::Address {
            network: own_address(number),
            length: 30,
            port: 6443,
        },
        clock: Arc::new(WallClock::start(SPEED)),
        ..Plan::default()
    })
    .await;
    let endpoint = format!("{}:6443", own_address(number + 1));
    let machines = Machines::new(&world, "c1", &endpoint, OLD);
    (world, machines)
}

fn is_refused(machines: &Machines) -> bool {
    let error = TcpStream::connect(machines.cluster.settings.endpoint.to_string()).err();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// A control plane of the machines `cp-1` to `cp-3`.
async fn of_three(machines: &mut Machines) -> Controllers {
    machines.boot("cp-1", Role::Init, None).await.unwrap();
    let controllers = Controllers::connect(machines).await;
    controllers.adopt("cp-1").await;
    for name in ["cp-2", "cp-3"] {
        controllers.join(machines, name).await;
    }
    controllers
}

/// KCP deletes a machine whose host answers: leadership away, drain, member out, host deprovisioned, node deleted.
async fn delete(controllers: &Controllers, machines: &mut Machines, name: &str, others: &[&str]) {
    let newest = others.last().unwrap();
    let all: Vec<&str> = std::iter::once(&name).chain(others).copied().collect();
    controllers.forward_leadership(name, newest, &all).await;
    controllers.drain(name, true).await;
    controllers.remove_member(name, others).await;
    // Its etcd ends, and ends again.
    let pod = format!("etcd-{name}");
    until("etcd of the removed member to end", || async {
        let container = &controllers.pods.find(&pod)["status"]["containerStatuses"][0];
        container["ready"] == false && container["restartCount"].as_u64() > Some(0)
    })
    .await;
    for way in [Way::WebSocket, Way::Spdy] {
        let gone = Client::of(&controllers.access, &controllers.keys, name, way).await;
        assert!(gone.is_err());
    }
    controllers.etcd(others).await;
    machines.deprovision(name);
    controllers.delete_node(name).await;
}

#[actix_web::test]
async fn a_control_plane_comes_grows_is_upgraded_shrinks_and_goes() {
    let (world, mut machines) = start(20).await;
    assert!(is_refused(&machines));
    let absent = machines.boot("cp-0", Role::ControlPlane, None).await.unwrap_err();
    assert!(absent.again, "{absent}");

    // The first control plane.
    machines.boot("cp-1", Role::Init, None).await.unwrap();
    let controllers = Controllers::connect(&machines).await;
    controllers.adopt("cp-1").await;
    let etcd = controllers.reconcile(&["cp-1"], OLD).await;
    assert_eq!(etcd.leader, "cp-1");

    // Three.
    for name in ["cp-2", "cp-3"] {
        controllers.join(&mut machines, name).await;
    }
    let mut all = vec!["cp-1", "cp-2", "cp-3"];
    let etcd = controllers.reconcile(&all, OLD).await;
    assert_eq!((etcd.members.len(), &*etcd.leader), (3, "cp-1"));

    // Another version: one new machine, one old one less, until none is left.
    controllers.prepare_upgrade(OLD, NEW).await;
    for (new, old) in [("cp-4", "cp-1"), ("cp-5", "cp-2"), ("cp-6", "cp-3")] {
        controllers.join(&mut machines, new).await;
        all.push(new);
        controllers.reconcile(&all, NEW).await;
        let version = &controllers.nodes.find(new)["status"]["nodeInfo"]["kubeletVersion"];
        assert_eq!(version, NEW, "{new}");
        let image =
            &controllers.pods.find(&format!("kube-apiserver-{new}"))["spec"]["containers"][0]["image"];
        assert_eq!(image, &format!("registry.k8s.io/kube-apiserver:{NEW}"));
        all.retain(|name| *name != old);
        delete(&controllers, &mut machines, old, &all).await;
        controllers.reconcile(&all, NEW).await;
    }
    controllers.finish_upgrade(NEW).await;
    let version = controllers.api.read("/version").await;
    assert_eq!(version["gitVersion"], NEW);

    // One.
    for old in ["cp-4", "cp-5"] {
        all.retain(|name| *name != old);
        delete(&controllers, &mut machines, old, &all).await;
    }
    let etcd = controllers.reconcile(&["cp-6"], NEW).await;
    let last = Client::of(&controllers.access, &controllers.keys, "cp-6", Way::WebSocket)
        .await
        .unwrap();
    let refused = last.remove(etcd.members[0].id).await.unwrap_err();
    assert_eq!(refused.0, 9, "{}", refused.1);

    // None: no work with etcd, and the endpoint is free again.
    let lease = async |name: &str| {
        let registering = Registering {
            name: ClusterName::new("metal3", name).unwrap(),
            keys: None,
            version: None,
        };
        world.clusters.register(registering).await
    };
    let other = lease("other").await.unwrap();
    assert_eq!(other.to_string(), format!("{}:6443", own_address(22)));
    assert!(matches!(lease("next").await, Err(RegisterError::Lease(_))));
    machines.deprovision("cp-6");
    until("the API server to close", || async { is_refused(&machines) }).await;
    assert_eq!(lease("next").await.unwrap(), machines.cluster.settings.endpoint);
    world.stop().await;
}

#[actix_web::test]
async fn a_member_that_is_lost_is_replaced() {
    let (world, mut machines) = start(24).await;
    let controllers = of_three(&mut machines).await;
    controllers.reconcile(&["cp-1", "cp-2", "cp-3"], OLD).await;

    // The leader's machine fails: another one leads, and the API serves on.
    machines.power_off("cp-1");
    let etcd = controllers_see(&controllers, &["cp-2", "cp-3"]).await;
    assert_ne!(etcd, "cp-1");
    for way in [Way::WebSocket, Way::Spdy] {
        let refused = dial(&controllers.access, "etcd-cp-1", 2379, way)
            .await
            .unwrap_err();
        assert_eq!(refused.code, 500);
        let message = refused.status["message"].as_str().unwrap();
        assert!(
            message.starts_with("error dialing backend: dial tcp "),
            "{message}"
        );
    }
    until("the node to be lost", || async {
        let node = controllers.nodes.find("cp-1");
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        condition(&node, "Ready") == "Unknown"
            && ["NoSchedule", "NoExecute"].iter().all(|effect| {
                taints.iter().any(|taint| {
                    taint["key"] == "node.kubernetes.io/unreachable" && taint["effect"] == *effect
                })
            })
    })
    .await;

    // It is taken out, and another machine takes its place.
    controllers
        .forward_leadership("cp-1", "cp-3", &["cp-2", "cp-3"])
        .await;
    controllers.drain("cp-1", false).await;
    controllers.remove_member("cp-1", &["cp-2", "cp-3"]).await;
    machines.deprovision("cp-1");
    controllers.delete_node("cp-1").await;
    controllers.reconcile(&["cp-2", "cp-3"], OLD).await;
    controllers.join(&mut machines, "cp-4").await;
    controllers.reconcile(&["cp-2", "cp-3", "cp-4"], OLD).await;

    // One that is only restarted is the same member as before.
    let before = controllers.etcd(&["cp-2", "cp-3", "cp-4"]).await.members;
    let uid = controllers.nodes.find("cp-2")["metadata"]["uid"].clone();
    machines.power_off("cp-2");
    machines.power_on("cp-2");
    let after = controllers
        .reconcile(&["cp-2", "cp-3", "cp-4"], OLD)
        .await
        .members;
    assert_eq!(after, before);
    assert_eq!(controllers.nodes.find("cp-2")["metadata"]["uid"], uid);

    // Of all this there are counts; and one goes with the quorum.
    let lists = r#"metalsim_requests_total{protocol="etcd",method="POST",route="/etcdserverpb.Cluster/MemberList",status="2xx"} "#;
    assert!(world.metrics.render().contains(lists));
    let shows = |line: &'static str| {
        let metrics = Arc::clone(&world.metrics);
        until(line, move || {
            let shown = metrics.render().lines().any(|shown| shown == line);
            std::future::ready(shown)
        })
    };
    shows(r#"metalsim_cluster_etcd_quorum{quorum="true"} 1"#).await;
    shows(r#"metalsim_cluster_nodes{ready="true"} 3"#).await;
    machines.power_off("cp-2");
    machines.power_off("cp-3");
    shows(r#"metalsim_cluster_etcd_quorum{quorum="false"} 1"#).await;
    shows(r#"metalsim_cluster_machines{role="control_plane",state="stopped"} 2"#).await;
    world.stop().await;
}

/// The leader, as these members see it.
async fn controllers_see(controllers: &Controllers, members: &[&str]) -> String {
    let client = Client::of(&controllers.access, &controllers.keys, members[0], Way::WebSocket)
        .await
        .unwrap();
    assert_eq!(client.status.errors, Vec::<String>::new());
    let list = client.members().await.unwrap().members;
    let lead = list.iter().find(|member| member.id == client.status.leader);
    lead.unwrap().name.clone()
}

#[actix_web::test]
async fn etcd_and_the_api_know_their_own() {
    let (world, mut machines) = start(28).await;
    machines.boot("cp-1", Role::Init, None).await.unwrap();
    let controllers = Controllers::connect(&machines).await;
    controllers.reconcile(&["cp-1"], OLD).await;
    let other = Machines::new(&world, "c1", &machines.cluster.settings.endpoint.to_string(), OLD);
    let authority = |machines: &Machines| {
        let pair = &machines.cluster.authorities.etcd;
        metalsim::cluster::pki::Authority::from_pem(&pair.public, Some(pair.private.expose())).unwrap()
    };
    let (own, foreign) = (authority(&machines), authority(&other));
    let api = machines.cluster.authorities.cluster_authority().unwrap();
    // Clients of another authority, be it the cluster's own for its API, and servers of another.
    for (trusted, signer) in [(&own, &foreign), (&own, &api), (&foreign, &own)] {
        for way in [Way::WebSocket, Way::Spdy] {
            let keys = Keys::signed_by(trusted, signer);
            let refused = Client::of(&controllers.access, &keys, "cp-1", way).await;
            assert!(refused.is_err());
        }
    }
    // A kubeconfig of another cluster of the same name and endpoint.
    let refused = Access::of(&other.cluster).connect(&[b"h2"]).await;
    assert!(refused.is_err());
    // Pods and ports that are not there.
    for (pod, port, code) in [("etcd-cp-9", 2379, 404), ("kube-apiserver-cp-9", 6443, 404)] {
        for way in [Way::WebSocket, Way::Spdy] {
            let refused = dial(&controllers.access, pod, port, way).await.unwrap_err();
            assert_eq!(refused.code, code);
            assert_eq!(refused.status["message"], format!("pods \"{pod}\" not found"));
        }
    }
    world.stop().await;
}

#[actix_web::test]
async fn a_restart_of_the_only_machine_opens_its_endpoint_again() {
    let (world, mut machines) = start(32).await;
    machines.boot("cp-1", Role::Init, None).await.unwrap();
    // The listener that is being closed still has the port when the next one is opened.
    for _ in 0..3 {
        machines.power_off("cp-1");
        machines.power_on("cp-1");
        until("the API server to be back", || async {
            Access::of(&machines.cluster).connect(&[b"h2"]).await.is_ok()
        })
        .await;
    }
    // Somebody else has it for a while.
    machines.power_off("cp-1");
    until("the API server to close", || async { is_refused(&machines) }).await;
    let address = machines.cluster.settings.endpoint.to_string();
    let squatter = std::net::TcpListener::bind(address).unwrap();
    machines.power_on("cp-1");
    let cluster = world
        .clusters
        .find(&machines.cluster.settings.endpoint.to_string())
        .unwrap();
    // It looks, and finds the port taken.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!cluster.is_open());
    drop(squatter);
    until("the API server to be back", || async {
        Access::of(&machines.cluster).connect(&[b"h2"]).await.is_ok()
    })
    .await;
    machines.deprovision("cp-1");
    until("the API server to close", || async { is_refused(&machines) }).await;
    world.stop().await;
}
