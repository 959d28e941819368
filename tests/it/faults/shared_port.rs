//! Faults of one of two API servers behind one port, which are told apart by the server name of the TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, poll};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use metalsim::clock::WallClock;
use metalsim::cluster::endpoints::Addressing;
use metalsim::cluster::names::ClusterName;
use metalsim::cluster::registered::Registering;
use metalsim::cluster::simulated::SimulatedCluster;
use rustls::ClientConfig;
use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::cluster::{self, refused};
use super::hits;
use crate::kcp::access::roots;
use crate::world::{PATIENCE, Plan, World, own_address, until};

/// The cluster that is struck, and the one that is spared.
const CLUSTERS: [&str; 2] = ["one", "two"];
const DOMAIN: &str = "example.test";

/// Two registered clusters behind one port.
struct Site {
    world: World,
    shared: SocketAddr,
}

impl Site {
    async fn start(number: u8, speed: f64) -> Self {
        metalsim::frontend::tls::install_provider();
        let world = World::start(Plan {
            addressing: Addressing::Name {
                domain: DOMAIN.into(),
                listen: own_address(number).into(),
                port: 0,
            },
            clock: Arc::new(WallClock::start(speed)),
            ..Plan::default()
        })
        .await;
        for name in CLUSTERS {
            let wanted = Registering {
                name: cluster_name(name),
                keys: None,
                version: None,
            };
            let endpoint = world.clusters.register(wanted).await.unwrap();
            assert_eq!(&*endpoint.host, host(name));
        }
        let shared = world.clusters.endpoints().shared()[0].address();
        Self { world, shared }
    }

    fn cluster(&self, name: &str) -> Arc<SimulatedCluster> {
        let endpoint = format!("{}:{}", host(name), self.shared.port());
        self.world.clusters.find(&endpoint).unwrap()
    }

    /// A client without a connection yet, whose names resolve to the shared port as with a wildcard record.
    async fn kube(&self, name: &str) -> kube::Client {
        let cluster = self.cluster(name);
        cluster::client(&cluster, &self.shared.to_string(), Some(host(name))).await
    }

    async fn maps(&self, name: &str) -> Api<ConfigMap> {
        Api::default_namespaced(self.kube(name).await)
    }

    /// TLS as a client of the cluster does it: it trusts the cluster's authority.
    fn tls(&self, name: &str) -> (Arc<ClientConfig>, ServerName<'static>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&self.cluster(name).founding().authority))
            .with_no_client_auth();
        // A session that is resumed shows no certificate.
        config.resumption = Resumption::disabled();
        (Arc::new(config), host(name).try_into().unwrap())
    }

    async fn connect(&self, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let (config, name) = self.tls(name);
        let stream = TcpStream::connect(self.shared).await?;
        TlsConnector::from(config).connect(name, stream).await
    }

    /// A connection that has said whom it wants, and has no answer yet.
    async fn greet(&self, name: &str) -> TcpStream {
        let (config, name) = self.tls(name);
        let mut hello = Vec::new();
        let mut tls = ClientConnection::new(config, name).unwrap();
        tls.write_tls(&mut hello).unwrap();
        let mut stream = TcpStream::connect(self.shared).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        stream
    }

    /// Strikes the first cluster.
    fn fault(&self, when: Value, what: Value) {
        let which = json!({"clusters": [CLUSTERS[0]]});
        self.world
            .set_faults(json!([{"name": "fault", "which": which, "when": when, "what": what}]));
    }

    fn heal(&self) {
        self.world.set_faults(json!([]));
    }
}

fn host(name: &str) -> String {
    format!("{name}.{DOMAIN}")
}

fn cluster_name(name: &str) -> ClusterName {
    ClusterName::new("metal3", name).unwrap()
}

/// The server ends a connection without having said anything.
async fn assert_unanswered(mut stream: impl AsyncRead + Unpin) {
    let mut seen = Vec::new();
    // TLS calls it an error if the connection is cut off.
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut seen));
    let _cut_off = ended.await.expect("the server ends the connection");
    assert!(seen.is_empty(), "{seen:?}");
}

#[actix_web::test]
async fn no_connection_in_each_way() {
    let site = Site::start(110, 1.0).await;
    let [old, spared] = [site.maps("one").await, site.maps("two").await];
    let all = ListParams::default();
    for api in [&old, &spared] {
        api.list(&all).await.unwrap();
    }
    for (how, answered) in [("refuse", true), ("drop", false), ("hang", false)] {
        site.fault(json!({}), json!({"api_unreachable": {"how": how}}));
        // Whether the client is told anything: what it would wait for in vain is not waited for here.
        for api in [site.maps("one").await, old.clone()] {
            match tokio::time::timeout(Duration::from_secs(1), api.list(&all)).await {
                Ok(answer) => assert!(answered && answer.is_err(), "{how}: {answer:?}"),
                Err(_) => assert!(!answered, "{how}"),
            }
        }
        for api in [site.maps("two").await, spared.clone()] {
            api.list(&all).await.unwrap();
        }
        site.heal();
        site.maps("one").await.list(&all).await.unwrap();
    }
    assert!(hits(&site.world, "api_unreachable") >= 6);
    // Each way is what it says: before the handshake, in it, behind it.
    site.fault(json!({}), json!({"api_unreachable": {"how": "refuse"}}));
    let error = site.connect("one").await.expect_err("it is refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    site.fault(json!({}), json!({"api_unreachable": {"how": "hang"}}));
    let mut stream = site.connect("one").await.unwrap();
    let request = format!("GET /version HTTP/1.1\r\nHost: {}\r\n\r\n", host("one"));
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_unanswered(stream).await;
    site.connect("two").await.unwrap();
    site.world.stop().await;
}

#[actix_web::test]
async fn connections_that_hang_end_with_their_client_and_with_their_cluster() {
    let site = Site::start(111, 1.0).await;
    site.fault(json!({}), json!({"api_unreachable": {"how": "drop"}}));
    let mut given_up = site.greet("one").await;
    let silent = site.greet("one").await;
    until("both are struck", || async {
        hits(&site.world, "api_unreachable") == 2
    })
    .await;
    given_up.shutdown().await.unwrap();
    assert_unanswered(given_up).await;
    site.fault(json!({}), json!({"api_unreachable": {"how": "hang"}}));
    let hung = site.connect("one").await.unwrap();
    site.connect("two").await.unwrap();
    assert!(
        site.world
            .clusters
            .unregister(&cluster_name("one"))
            .await
            .unwrap()
    );
    assert_unanswered(silent).await;
    assert_unanswered(hung).await;
    site.connect("two").await.unwrap();
    site.world.stop().await;
}

#[actix_web::test]
async fn errors_instead_of_answers() {
    let site = Site::start(112, 1.0).await;
    let [hit, spared] = [site.maps("one").await, site.maps("two").await];
    let all = ListParams::default();
    for (word, what, code) in [
        ("api_status", json!({"api_status": {"status": 503}}), 503),
        (
            "api_too_many_requests",
            json!({"api_too_many_requests": {"retry_after": "7s"}}),
            429,
        ),
    ] {
        site.fault(json!({"first": 1}), what);
        assert_eq!(refused(hit.list(&all).await).code, code);
        spared.list(&all).await.unwrap();
        hit.list(&all).await.unwrap();
        assert_eq!(hits(&site.world, word), 1);
    }
    // What names no resource too.
    site.fault(json!({}), json!({"api_status": {"status": 500}}));
    let [hit, spared] = [site.kube("one").await, site.kube("two").await];
    assert_eq!(refused(hit.apiserver_version().await).code, 500);
    spared.apiserver_version().await.unwrap();
    site.world.stop().await;
}

#[actix_web::test]
async fn late_answers() {
    // Ten seconds are a hundredth of a second.
    let site = Site::start(113, 1000.0).await;
    let [hit, spared] = [site.maps("one").await, site.maps("two").await];
    let all = ListParams::default();
    site.fault(
        json!({}),
        json!({"api_slow": {"delay": "30d", "resources": ["configmaps"]}}),
    );
    {
        let mut late = pin!(hit.list(&all));
        while hits(&site.world, "api_slow") == 0 {
            assert!(poll!(&mut late).is_pending());
            spared.list(&all).await.unwrap();
        }
        assert!(poll!(&mut late).is_pending());
    }
    let spaces: Api<Namespace> = Api::all(site.kube("one").await);
    spaces.list(&all).await.unwrap();
    site.fault(json!({}), json!({"api_slow": {"delay": "10s"}}));
    hit.list(&all).await.unwrap();
    assert_eq!(hits(&site.world, "api_slow"), 2);
    site.world.stop().await;
}

#[actix_web::test]
async fn watches_that_end_before_their_time() {
    let site = Site::start(114, 1000.0).await;
    let [hit, spared] = [site.maps("one").await, site.maps("two").await];
    let params = WatchParams::default();
    site.fault(json!({"nth": 1}), json!({"api_watch_cut": {"after": "10s"}}));
    let version = |list: kube::core::ObjectList<ConfigMap>| list.metadata.resource_version.unwrap();
    let [cut_from, from] = [
        version(hit.list(&ListParams::default()).await.unwrap()),
        version(spared.list(&ListParams::default()).await.unwrap()),
    ];
    let mut on = pin!(spared.watch(&params, &from).await.unwrap());
    let cut = hit.watch(&params, &cut_from).await.unwrap();
    let seen: Vec<WatchEvent<ConfigMap>> = cut.try_collect().await.unwrap();
    assert!(seen.is_empty(), "{seen:?}");
    let map = serde_json::from_value(json!({"metadata": {"name": "seen"}})).unwrap();
    spared.create(&PostParams::default(), &map).await.unwrap();
    assert!(matches!(on.next().await, Some(Ok(WatchEvent::Added(_)))));
    assert_eq!(hits(&site.world, "api_watch_cut"), 1);
    site.world.stop().await;
}

#[actix_web::test]
async fn certificates_that_no_client_accepts() {
    let site = Site::start(115, 1.0).await;
    let open = site.kube("one").await;
    open.apiserver_version().await.unwrap();
    for (count, (how, words)) in [
        ("expired", "xpired"),
        ("not_yet_valid", "not valid yet"),
        ("wrong_name", "not valid for name"),
        ("wrong_issuer", "UnknownIssuer"),
    ]
    .into_iter()
    .enumerate()
    {
        site.fault(json!({}), json!({"api_bad_certificate": {"how": how}}));
        let error = site.connect("one").await.expect_err("no client accepts it");
        assert!(error.to_string().contains(words), "{how}: {error}");
        site.connect("two").await.unwrap();
        open.apiserver_version().await.unwrap();
        until("the fault to be recorded", || async {
            hits(&site.world, "api_bad_certificate") == count as u64 + 1
        })
        .await;
        site.heal();
        site.connect("one").await.unwrap();
    }
    site.world.stop().await;
}
