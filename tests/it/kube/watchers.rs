//! kube-rs' informers against lists, while connections are cut and the history is forgotten.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::pin::pin;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use kube::api::ListParams;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use metalsim_actors::kube::cluster::Cluster;
use metalsim_actors::kube::store::{DeleteOptions, Part, PatchKind, Target, WriteOptions};
use metalsim_actors::seed::Seed;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::harness::{Plan, Running};
use crate::world::until;

/// Changes in all.
const CHANGES: usize = 10_000;
/// Changes between two cuts of all connections.
const CUT: usize = 370;
/// Changes between two compactions.
const COMPACT: usize = 1_150;
/// Changes between two times when all must be equal.
const COMPARE: usize = 1_000;
/// Names of each kind in each namespace.
const NAMES: usize = 40;
const NAMESPACES: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Forwards TCP connections until it is told to cut them.
struct Proxy {
    address: SocketAddr,
    cut: watch::Sender<u64>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }

    /// Closes every connection that is open.
    fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

/// What is compared of an object: its namespace, name, uid and version.
fn summary<K: ResourceExt>(object: &K) -> [String; 4] {
    [
        object.namespace().unwrap_or_default(),
        object.name_any(),
        object.uid().unwrap(),
        object.resource_version().unwrap(),
    ]
}

/// An informer, and a list of the same.
struct Informer<K: Resource<DynamicType = ()> + Clone + 'static> {
    what: String,
    list: Api<K>,
    labels: &'static str,
    store: Store<K>,
}

impl<K> Informer<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    fn start(watched: Api<K>, list: Api<K>, labels: &'static str, streaming: bool) -> Self {
        let mut config = watcher::Config::default().labels(labels);
        if streaming {
            config = config.streaming_lists();
        } else {
            config = config.page_size(7);
        }
        let (store, writer) = reflector::store();
        let events = reflector::reflector(writer, watcher(watched, config));
        actix_web::rt::spawn(async move {
            let mut events = pin!(events);
            // Errors are connections that were cut, and history that was forgotten: it begins anew by itself.
            while events.next().await.is_some() {
                tokio::task::yield_now().await;
            }
        });
        Self {
            what: format!("{} {labels}, streaming lists: {streaming}", K::plural(&())),
            list,
            labels,
            store,
        }
    }

    async fn catches_up(&self) {
        let selected = ListParams::default().labels(self.labels);
        until(&self.what, || async {
            // Controllers go on while we wait.
            let listed = self.list.list(&selected).await.unwrap();
            let wanted: BTreeSet<[String; 4]> = listed.iter().map(summary).collect();
            let known: BTreeSet<[String; 4]> = self
                .store
                .state()
                .iter()
                .map(|object| summary(&**object))
                .collect();
            known == wanted
        })
        .await;
    }
}

/// One change at random: an object comes, changes, moves into or out of the selection, or goes.
fn change(cluster: &mut Cluster, now: DateTime<Utc>, chance: [u8; 8]) {
    let dice = |sides: usize, place: usize| usize::from(chance[place]) % sides;
    let (plural, namespaced) = [("configmaps", true), ("secrets", true), ("nodes", false)][dice(3, 0)];
    let namespace = namespaced.then(|| NAMESPACES[dice(3, 1)]);
    let name = format!("{}-{}", plural, dice(NAMES, 2));
    let resource = cluster.store.registry().find("", plural).unwrap().clone();
    let target = Target::stored(&resource, namespace);
    let by = WriteOptions::by("test", now);
    let metadata = json!({
        "name": name,
        "labels": {"team": if dice(2, 3) == 0 { "a" } else { "b" }},
        "annotations": {"count": cluster.store.version().to_string()},
    });
    let exists = cluster.store.get(target, &name).is_ok();
    match (exists, dice(4, 4)) {
        (false, _) => drop(
            cluster
                .store
                .create(target, json!({"metadata": metadata}), by)
                .unwrap(),
        ),
        (true, 0) => drop(
            cluster
                .store
                .delete(target, &name, &DeleteOptions::default(), now)
                .unwrap(),
        ),
        (true, _) => {
            let patch = json!({"metadata": metadata});
            let store = &mut cluster.store;
            store
                .patch(target, &name, Part::Main, PatchKind::Merge, &patch, by)
                .unwrap();
        }
    }
}

#[actix_web::test]
async fn informers_equal_lists_after_ten_thousand_changes_with_cuts_and_compactions() {
    let running = Running::start(&Plan::default());
    let proxy = Proxy::start(running.address()).await;
    let direct = running.kube(running.address());
    let cut = running.kube(proxy.address);
    let mut config_maps = Vec::new();
    let mut secrets = Vec::new();
    let mut nodes = Vec::new();
    for streaming in [false, true] {
        let all = |client: &kube::Client| Api::<ConfigMap>::all(client.clone());
        config_maps.push(Informer::start(all(&cut), all(&direct), "", streaming));
        config_maps.push(Informer::start(all(&cut), all(&direct), "team=a", streaming));
        let one = |client: &kube::Client| Api::<Secret>::namespaced(client.clone(), NAMESPACES[1]);
        secrets.push(Informer::start(one(&cut), one(&direct), "team in (a)", streaming));
        let every = |client: &kube::Client| Api::<Node>::all(client.clone());
        nodes.push(Informer::start(every(&cut), every(&direct), "team!=b", streaming));
    }
    let seed = Seed::root(11);
    for index in 1..=CHANGES {
        let chance = seed.child(&index.to_string()).value().to_le_bytes();
        let changed = running
            .cluster
            .write(move |cluster, now| change(cluster, now, chance));
        changed.await.unwrap();
        if index % CUT == 0 {
            proxy.cut();
        }
        if index % COMPACT == 0 {
            running.compact().await;
        }
        if index % COMPARE == 0 {
            for informer in &config_maps {
                informer.catches_up().await;
            }
            for informer in &secrets {
                informer.catches_up().await;
            }
            for informer in &nodes {
                informer.catches_up().await;
            }
        }
    }
}
