//! Faults of etcd, seen with KubeadmControlPlane's client of it and through the API server.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use metalsim::clock::Stopwatch;
use serde_json::{Value, json};

use super::cluster::{Site, refused};
use crate::kcp::access::Access;
use crate::kcp::etcd::{Client, Keys};
use crate::kcp::tunnel::Way;
use crate::world::until;

/// Code of gRPC: `UNAVAILABLE`.
const UNAVAILABLE: u32 = 14;

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

async fn client((access, keys): &(Access, Keys), node: &str) -> Result<Client, String> {
    Client::of(access, keys, node, Way::WebSocket).await
}

#[actix_web::test]
async fn members_that_are_down() {
    let site = Site::start(60, 1.0).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(site.kube().await);
    let access = site.access();
    let n1 = client(&access, "n1").await.unwrap();
    let term = n1.status.header.raft_term;
    site.fault(json!({"names": ["n0"]}), json!({}), json!("etcd_member_down"));
    until("another leader", || async {
        n1.members().await.is_ok_and(|list| list.header.raft_term > term)
    })
    .await;
    assert!(client(&access, "n0").await.is_err(), "nobody listens");
    maps.create(&PostParams::default(), &map("one-down"))
        .await
        .unwrap();
    // Two of three.
    site.fault(
        json!({"names": ["n0", "n2"]}),
        json!({}),
        json!("etcd_member_down"),
    );
    until("the loss of the quorum", || async {
        n1.members()
            .await
            .is_err_and(|(code, why)| code == UNAVAILABLE && why == "etcdserver: no leader")
    })
    .await;
    let status = refused(maps.create(&PostParams::default(), &map("two-down")).await);
    assert_eq!(
        (status.code, &*status.message),
        (500, "etcdserver: request timed out")
    );
    assert_eq!(site.metric("metalsim_cluster_etcd_quorum_losses_total"), 1);
    site.heal();
    until("the quorum", || async {
        maps.create(&PostParams::default(), &map("well")).await.is_ok()
    })
    .await;
    for node in ["n0", "n1", "n2"] {
        let client = client(&access, node).await.unwrap();
        assert_eq!(client.status.errors, Vec::<String>::new());
        assert_eq!(client.members().await.unwrap().members.len(), 3);
    }
    let (counted, told) = site.hits("etcd_member_down");
    assert_eq!((counted, told), (2, ["n0", "n2"].map(str::to_owned).to_vec()));
    site.world.stop().await;
}

#[actix_web::test]
async fn alarms_refuse_writes() {
    let site = Site::start(64, 1.0).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(site.kube().await);
    let access = site.access();
    maps.create(&PostParams::default(), &map("old")).await.unwrap();
    let n0 = client(&access, "n0").await.unwrap();
    for (alarm, number, words) in [
        ("no_space", 1, "etcdserver: mvcc: database space exceeded"),
        ("corrupt", 2, "etcdserver: corrupt cluster"),
    ] {
        site.fault(
            json!({"names": ["n1"]}),
            json!({}),
            json!({"etcd_alarm": {"alarm": alarm}}),
        );
        until("the alarm", || async {
            !n0.alarms().await.unwrap().alarms.is_empty()
        })
        .await;
        let alarms = n0.alarms().await.unwrap().alarms;
        let member = n0.members().await.unwrap().members;
        let ill = member.iter().find(|member| member.name == "n1").unwrap();
        assert_eq!(
            (alarms.len(), alarms[0].member_id, alarms[0].alarm),
            (1, ill.id, number)
        );
        assert_eq!(client(&access, "n2").await.unwrap().status.errors.len(), 1);
        let status = refused(maps.create(&PostParams::default(), &map("new")).await);
        assert_eq!((status.code, &*status.message), (500, words));
        assert!(maps.get("kube-root-ca.crt").await.is_ok(), "it can be read");
        let tried = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        assert!(
            maps.create(&tried, &map("tried")).await.is_ok(),
            "nothing is written"
        );
        // Making room is possible with the first alarm alone.
        let removed = maps.delete("old", &DeleteParams::default()).await;
        assert_eq!(removed.is_ok(), alarm == "no_space", "{removed:?}");
        site.heal();
        let after = map(&format!("after-{}", alarm.replace('_', "-")));
        until("the end of the alarm", || async {
            maps.create(&PostParams::default(), &after).await.is_ok()
        })
        .await;
    }
    assert_eq!(site.hits("etcd_alarm").0, 2);
    site.world.stop().await;
}

#[actix_web::test]
async fn a_slow_member_is_slow_for_its_clients_and_the_leader_for_writers() {
    // Ten seconds are a tenth of a second.
    let site = Site::start(68, 100.0).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(site.kube().await);
    let access = site.access();
    let n0 = client(&access, "n0").await.unwrap();
    let n1 = client(&access, "n1").await.unwrap();
    let what = json!({"etcd_slow": {"delay": "10s"}});
    site.fault(json!({"names": ["n1"]}), json!({"first": 2}), what.clone());
    let early = |begun: &Stopwatch| begun.elapsed() < Duration::from_millis(100);
    let begun = Stopwatch::start();
    n1.members().await.unwrap();
    assert!(!early(&begun));
    n0.members().await.unwrap();
    maps.create(&PostParams::default(), &map("by-n0")).await.unwrap();
    maps.list(&ListParams::default()).await.unwrap();
    assert_eq!(
        site.hits("etcd_slow"),
        (1, vec!["n1".to_owned()]),
        "no request has met the member"
    );
    n1.alarms().await.unwrap();
    n1.alarms().await.unwrap();
    assert_eq!(site.hits("etcd_slow").0, 2);
    site.fault(json!({"names": ["n0"]}), json!({}), what);
    let begun = Stopwatch::start();
    maps.create(&PostParams::default(), &map("late")).await.unwrap();
    assert!(!early(&begun));
    assert_eq!(site.hits("etcd_slow").0, 3);
    site.world.stop().await;
}

#[actix_web::test]
async fn the_leader_changes_as_time_passes() {
    let site = Site::start(72, 100.0).await;
    let access = site.access();
    let n1 = client(&access, "n1").await.unwrap();
    let look = async || {
        let status = client(&access, "n1").await.unwrap().status;
        (status.leader, status.header.raft_term)
    };
    let (leader, term) = look().await;
    let every: Value = json!({"etcd_leader_flaps": {"every": "30s"}});
    site.fault(json!({"clusters": ["web"]}), json!({}), every);
    until("another leader", || async { look().await.0 != leader }).await;
    until("many terms", || async { look().await.1 > term + 3 }).await;
    let (_, reached) = look().await;
    site.heal();
    // Removing the fault is told to the actor: what came before stays.
    n1.members().await.unwrap();
    let (_, later) = look().await;
    assert!(later >= reached);
    assert_eq!(site.hits("etcd_leader_flaps"), (1, vec!["web".to_owned()]));
    until("the changes to be counted", || async {
        site.metric("metalsim_cluster_etcd_leader_changes_total") >= 3
    })
    .await;
    site.world.stop().await;
}
