//! Faults of API servers, seen with a Kubernetes client.

use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::core::Status;
use kube::runtime::watcher;
use kube::{Api, Client};
use metalsim::clock::Stopwatch;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::cluster::{Site, refused};
use crate::kcp::access::Access;
use crate::kcp::tunnel::{Way, dial};
use crate::world::until;

fn everyone() -> Value {
    json!({"clusters": ["web"]})
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

fn short(status: &Status) -> (u16, &str) {
    (status.code, &status.reason)
}

#[actix_web::test]
async fn errors_instead_of_answers() {
    let site = Site::start(80, 1.0).await;
    let client = site.kube().await;
    let nodes: Api<Node> = Api::all(client.clone());
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    for (code, reason) in [
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
        (403, "Forbidden"),
        (410, "Gone"),
        (599, "InternalError"),
    ] {
        let what = json!({"api_status": {"status": code, "verbs": ["list"], "resources": ["nodes"]}});
        site.fault(everyone(), json!({}), what);
        let status = refused(nodes.list(&ListParams::default()).await);
        assert_eq!(short(&status), (code, reason), "{status:?}");
        // Other verbs, other resources.
        nodes.get("n0").await.unwrap();
        maps.list(&ListParams::default()).await.unwrap();
    }
    let what = json!({"api_too_many_requests": {"retry_after": "7s", "resources": ["nodes"]}});
    site.fault(everyone(), json!({"nth": 1}), what);
    let request = http::Request::get("/api/v1/nodes").body(Vec::new()).unwrap();
    let answer = client.send(request.map(kube::client::Body::from)).await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    let body = answer.into_body().collect_bytes().await.unwrap();
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (
            &status["kind"],
            &status["reason"],
            &status["details"]["retryAfterSeconds"]
        ),
        (&json!("Status"), &json!("TooManyRequests"), &json!(7))
    );
    nodes.list(&ListParams::default()).await.unwrap();
    // What is no resource too, but only if none is named.
    site.fault(everyone(), json!({}), json!({"api_status": {"status": 500}}));
    assert_eq!(refused(client.apiserver_version().await).code, 500);
    assert_eq!(site.hits("api_status").0, 7);
    assert_eq!(site.hits("api_too_many_requests"), (1, vec!["web".to_owned()]));
    site.world.stop().await;
}

#[actix_web::test]
async fn late_answers() {
    // Ten seconds are a tenth of a second.
    let site = Site::start(84, 100.0).await;
    let nodes: Api<Node> = Api::all(site.kube().await);
    let what = json!({"api_slow": {"delay": "10s", "verbs": ["get"], "resources": ["nodes"]}});
    site.fault(everyone(), json!({}), what);
    let begun = Stopwatch::start();
    nodes.get("n0").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    nodes.list(&ListParams::default()).await.unwrap();
    assert_eq!(site.hits("api_slow"), (1, vec!["web".to_owned()]));
    site.world.stop().await;
}

#[actix_web::test]
async fn no_connection_in_each_way() {
    let site = Site::start(88, 1.0).await;
    let old: Api<Node> = Api::all(site.kube().await);
    old.get("n0").await.unwrap();
    for (how, answered) in [("refuse", true), ("drop", false), ("hang", false)] {
        site.fault(everyone(), json!({}), json!({"api_unreachable": {"how": how}}));
        // Whether the client is told anything: what it would wait for in vain is not waited for here.
        for api in [Api::all(site.kube().await), old.clone()] {
            let asked = tokio::time::timeout(Duration::from_secs(1), api.get("n0")).await;
            match asked {
                Ok(answer) => assert!(answered && answer.is_err(), "{how}: {answer:?}"),
                Err(_) => assert!(!answered, "{how}"),
            }
        }
        site.heal();
        let new: Api<Node> = Api::all(site.kube().await);
        new.get("n0").await.unwrap();
    }
    let (counted, told) = site.hits("api_unreachable");
    assert!(counted >= 6 && told.iter().all(|whom| whom == "web"), "{told:?}");
    site.world.stop().await;
}

/// Whether the time of the certificate that the API server shows has come, and is not over.
async fn in_time(access: &Access) -> (bool, bool) {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(std::sync::Arc::new(Anyone))
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(access.address).await.unwrap();
    let name = rustls::pki_types::ServerName::IpAddress(access.address.ip().into());
    let stream = connector.connect(name, stream).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    let (_, certificate) = X509Certificate::from_der(&chain[0]).unwrap();
    let now = metalsim::clock::wall().timestamp();
    (
        certificate.validity.not_before.timestamp() <= now,
        certificate.validity.not_after.timestamp() >= now,
    )
}

/// Takes every certificate.
#[derive(Debug)]
struct Anyone;

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[actix_web::test]
async fn certificates_that_no_client_accepts() {
    let site = Site::start(92, 1.0).await;
    let (access, _) = site.access();
    let failed = r#"metalsim_api_handshakes_total{result="failed"}"#;
    assert_eq!(in_time(&access).await, (true, true));
    for (number, (how, words)) in [
        ("expired", "xpired"),
        ("not_yet_valid", "NotValidYet"),
        ("wrong_name", "NotValidForName"),
        ("wrong_issuer", "UnknownIssuer"),
    ]
    .into_iter()
    .enumerate()
    {
        site.fault(
            everyone(),
            json!({}),
            json!({"api_bad_certificate": {"how": how}}),
        );
        let before = site.metric(failed);
        let error = access.connect(&[b"h2"]).await.expect_err("no client accepts it");
        let text = format!("{error:?}").replace("not valid yet", "NotValidYet");
        assert!(text.contains(words), "{how}: {text}");
        until("the handshake to be counted", || async {
            site.metric(failed) == before + 1
        })
        .await;
        assert_eq!(
            in_time(&access).await,
            (how != "not_yet_valid", how != "expired"),
            "{how}"
        );
        assert_eq!(
            site.hits("api_bad_certificate"),
            (number as u64 + 1, vec!["web".to_owned(); number + 1]),
            "with the state, and not with each handshake"
        );
        assert_eq!(site.metric(r#"metalsim_cluster_certificates{valid="false"}"#), 1);
    }
    site.heal();
    let client = site.kube().await;
    client.apiserver_version().await.unwrap();
    // The way on which KubeadmControlPlane reads when the certificate ends is there again: the port of the server's pod.
    for way in [Way::WebSocket, Way::Spdy] {
        drop(dial(&access, "kube-apiserver-n0", 6443, way).await.unwrap());
    }
    site.world.stop().await;
}

async fn names(client: &Client) -> Vec<String> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let list = maps.list(&ListParams::default()).await.unwrap();
    list.items
        .into_iter()
        .filter_map(|map| map.metadata.name)
        .collect()
}

#[actix_web::test]
async fn watches_that_end_before_their_time() {
    let site = Site::start(96, 100.0).await;
    let client = site.kube().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let version = async || {
        let list = maps.list(&ListParams::default()).await.unwrap();
        list.metadata.resource_version.unwrap()
    };
    // Without a word: the same version can be watched on.
    let what = |expired: bool| json!({"api_watch_cut": {"after": "10s", "expired": expired, "resources": ["configmaps"]}});
    let start = version().await;
    site.fault(everyone(), json!({"nth": 1}), what(false));
    let watched: Vec<WatchEvent<ConfigMap>> = maps
        .watch(&WatchParams::default(), &start)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(watched.is_empty(), "{watched:?}");
    maps.create(&PostParams::default(), &map("first")).await.unwrap();
    let mut on = pin!(maps.watch(&WatchParams::default(), &start).await.unwrap());
    assert!(matches!(on.next().await, Some(Ok(WatchEvent::Added(_)))));
    // With 410, and the version is gone.
    let start = version().await;
    site.fault(everyone(), json!({"nth": 1}), what(true));
    let mut other = pin!(maps.watch(&WatchParams::default(), &start).await.unwrap());
    let last = other.next().await.unwrap().unwrap();
    let WatchEvent::Error(status) = last else {
        panic!("{last:?}");
    };
    assert_eq!((status.code, &*status.reason), (410, "Expired"));
    assert!(other.next().await.is_none());
    let again: Vec<_> = maps
        .watch(&WatchParams::default(), &start)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(
        matches!(&again[..], [WatchEvent::Error(status)] if status.code == 410),
        "{again:?}"
    );
    let fresh = version().await;
    assert_ne!(fresh, start);
    let mut anew = pin!(maps.watch(&WatchParams::default(), &fresh).await.unwrap());
    maps.create(&PostParams::default(), &map("second")).await.unwrap();
    assert!(matches!(anew.next().await, Some(Ok(WatchEvent::Added(_)))));
    // Those who watched before have missed nothing.
    assert!(matches!(on.next().await, Some(Ok(WatchEvent::Added(_)))));
    assert_eq!(site.hits("api_watch_cut"), (2, vec!["web".to_owned(); 2]));
    // An informer lists anew, again and again, and sees everything.
    site.fault(everyone(), json!({"first": 3}), what(true));
    let mut informer = pin!(watcher(maps.clone(), watcher::Config::default()));
    let mut seen = std::collections::BTreeSet::new();
    let mut lists = 0;
    while lists < 3 {
        match informer.next().await.unwrap() {
            Ok(watcher::Event::InitDone) => lists += 1,
            Ok(watcher::Event::InitApply(map) | watcher::Event::Apply(map)) => {
                seen.extend(map.metadata.name);
            }
            Ok(_) => {}
            Err(error) => assert!(
                error.to_string().contains("410")
                    || error.to_string().contains("Expired")
                    || error.to_string().contains("too old"),
                "{error}"
            ),
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), names(&client).await);
    site.world.stop().await;
}
