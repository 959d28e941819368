//! Keys in all their forms, TLS with real clients in memory, tokens. The keys beside this file are made for these tests
//! and for nothing else.

use std::sync::Arc;

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use metalsim_actors::kube::auth::Verified;
use metalsim_actors::kube::store::{Limits, Settings, Store, Target, WriteOptions};
use metalsim_actors::seed::Seed;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use serde_json::{Value, json};
use uuid::Uuid;

use super::server::provider;
use super::*;

const RSA_CA: &str = include_str!("tests/rsa-ca.pem");
const RSA_PKCS1: &str = include_str!("tests/rsa-pkcs1.pem");
const RSA_PKCS8: &str = include_str!("tests/rsa-pkcs8.pem");
const P256_SEC1: &str = include_str!("tests/p256-sec1.pem");
const P384_SEC1: &str = include_str!("tests/p384-sec1.pem");
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A time within the validity of the certificate above, and of the machine's clock, which rustls' client looks at.
fn now() -> DateTime<Utc> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let authority = Authority::from_pem(RSA_CA, None).unwrap();
    let (_, parsed) = X509Certificate::from_der(&authority.certificates()[0]).unwrap();
    Utc.timestamp_opt(parsed.validity().not_before.timestamp() + 3600, 0)
        .unwrap()
}

fn years(count: i64) -> Duration {
    Duration::days(365 * count)
}

#[test]
fn keys_are_read_in_all_forms() {
    let kinds =
        [RSA_PKCS1, RSA_PKCS8, P256_SEC1, P384_SEC1].map(|pem| PrivateKey::from_pem(pem).unwrap().kind());
    assert_eq!(kinds, [KeyKind::Rsa, KeyKind::Rsa, KeyKind::P256, KeyKind::P384]);
    let (one, other) = (
        PrivateKey::from_pem(RSA_PKCS1).unwrap(),
        PrivateKey::from_pem(RSA_PKCS8).unwrap(),
    );
    assert_eq!(one.pkcs8(), other.pkcs8());
    for pem in [RSA_PKCS1, P256_SEC1] {
        let key = PrivateKey::from_pem(pem).unwrap();
        assert_eq!(
            PrivateKey::from_pem(&key.to_pem().unwrap()).unwrap().pkcs8(),
            key.pkcs8()
        );
        assert!(!format!("{key:?}").contains(char::from(48)), "{key:?}");
    }
    for wrong in ["", "key", RSA_CA, &RSA_PKCS1.replace("MII", "MIJ")] {
        assert!(PrivateKey::from_pem(wrong).is_err());
    }
    assert!(matches!(
        Authority::from_pem(RSA_CA, Some(P256_SEC1)),
        Err(PkiError::Mismatch)
    ));
    assert!(matches!(
        Authority::from_pem(RSA_PKCS1, None),
        Err(PkiError::NoPem("certificate"))
    ));
    let bare = Authority::from_pem(RSA_CA, None).unwrap();
    assert!(matches!(
        bare.issue_client("x", &[], now(), years(1)),
        Err(PkiError::NoKey)
    ));
    assert_eq!(bare.pem().replace('\n', ""), RSA_CA.replace('\n', ""));
}

fn names() -> ServerNames {
    ServerNames::api_server(
        "cluster.local",
        Some([10, 96, 0, 1].into()),
        ["n1", "172.22.0.10", "n1", "fd00::1"],
    )
}

struct Client<'a> {
    trusted: &'a Authority,
    shows: Option<&'a Issued>,
    alpn: &'a [&'a [u8]],
}

/// The handshake of a client and a server in memory: the chain that the client showed and the protocol, as the server sees
/// them.
fn connect(
    server: &Arc<ServerConfig>,
    client: &Client<'_>,
    host: &str,
) -> Result<(Vec<CertificateDer<'static>>, Option<Vec<u8>>), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(client.trusted.certificates().iter().cloned());
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client.shows {
        Some(issued) => builder
            .with_client_auth_cert(vec![issued.certificate.clone()], issued.key.der())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = client.alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    let chain = server.peer_certificates().unwrap_or_default().to_vec();
    Ok((chain, server.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn clients_connect_by_every_name_with_and_without_certificate() {
    let clusters = [
        Authority::from_pem(RSA_CA, Some(RSA_PKCS1)).unwrap(),
        Authority::generate("kubernetes", now()).unwrap(),
    ];
    for authority in &clusters {
        let issued = authority
            .issue_server("kube-apiserver", &names(), now(), years(90))
            .unwrap();
        let server = authority.server_config(&issued).unwrap();
        let admin = authority
            .issue_client("kubernetes-admin", &["system:masters"], now(), years(1))
            .unwrap();
        let anonymous = Client {
            trusted: authority,
            shows: None,
            alpn: &[],
        };
        let known = Client {
            shows: Some(&admin),
            alpn: &[b"h2", b"http/1.1"],
            ..anonymous
        };
        for host in [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "n1",
            "10.96.0.1",
            "172.22.0.10",
            "fd00::1",
        ] {
            assert_eq!(
                connect(&server, &anonymous, host).unwrap(),
                (Vec::new(), None),
                "{host}"
            );
            let (chain, protocol) = connect(&server, &known, host).unwrap();
            assert_eq!(protocol.as_deref(), Some(&b"h2"[..]));
            let peer = authority.authenticate(&chain, now()).unwrap().unwrap();
            assert_eq!(peer.user.username, "kubernetes-admin");
            assert_eq!(peer.user.groups, ["system:masters", "system:authenticated"]);
            assert_eq!(peer.not_after, now() + years(1));
        }
        assert!(connect(&server, &anonymous, "example.com").is_err());
        let old = Client {
            alpn: &[b"http/1.1"],
            ..anonymous
        };
        assert_eq!(
            connect(&server, &old, "n1").unwrap().1.as_deref(),
            Some(&b"http/1.1"[..])
        );
    }
    // Whoever trusts another authority does not connect.
    let [one, other] = &clusters;
    let issued = one
        .issue_server("kube-apiserver", &names(), now(), years(90))
        .unwrap();
    let server = one.server_config(&issued).unwrap();
    let stranger = Client {
        trusted: other,
        shows: None,
        alpn: &[],
    };
    assert!(connect(&server, &stranger, "n1").is_err());
    // A key that is not the certificate's makes no server.
    let mixed = Issued {
        key: PrivateKey::generate().unwrap(),
        ..issued
    };
    assert!(one.server_config(&mixed).is_err());
}

#[test]
fn wrong_client_certificates_pass_the_handshake_and_are_refused_then() {
    let authority = Authority::generate("kubernetes", now()).unwrap();
    let twin = Authority::generate("kubernetes", now()).unwrap();
    let issued = authority
        .issue_server("kube-apiserver", &names(), now(), years(90))
        .unwrap();
    let server = authority.server_config(&issued).unwrap();
    let show = |client: &Issued| {
        let client = Client {
            trusted: &authority,
            shows: Some(client),
            alpn: &[],
        };
        let (chain, _) = connect(&server, &client, "n1").unwrap();
        assert_eq!(chain.len(), 1);
        authority.authenticate(&chain, now())
    };
    let foreign = twin
        .issue_client("kubernetes-admin", &["system:masters"], now(), years(1))
        .unwrap();
    assert!(matches!(show(&foreign), Err(PeerError::Untrusted(_))));
    let late = authority
        .issue_client("x", &[], now() - years(2), years(1))
        .unwrap();
    assert!(matches!(show(&late), Err(PeerError::Untrusted(_))));
    // A serving certificate does not identify a client.
    assert!(matches!(show(&issued), Err(PeerError::Untrusted(_))));
    let nameless = authority.issue_client("", &[], now(), years(1)).unwrap();
    assert_eq!(show(&nameless), Ok(None));
    assert_eq!(authority.authenticate(&[], now()), Ok(None));
    let garbage = CertificateDer::from(vec![0x30, 3, 1, 2, 3]);
    assert_eq!(
        authority.authenticate(&[garbage], now()),
        Err(PeerError::Unreadable)
    );
    // An authority that has run out vouches for nobody.
    let good = authority.issue_client("x", &[], now(), years(50)).unwrap();
    assert!(
        authority
            .authenticate(&[good.certificate.clone()], now() + years(9))
            .unwrap()
            .is_some()
    );
    assert!(
        authority
            .authenticate(&[good.certificate], now() + years(11))
            .is_err()
    );
}

#[test]
fn connections_are_never_resumed() {
    let authority = Authority::generate("kubernetes", now()).unwrap();
    let issued = authority
        .issue_server("kube-apiserver", &names(), now(), years(90))
        .unwrap();
    let server = authority.server_config(&issued).unwrap();
    assert!(!server.session_storage.can_cache() && !server.ticketer.enabled());
    assert_eq!(server.send_tls13_tickets, 0);
}

fn cluster() -> Store {
    let settings = Settings {
        seed: Seed::root(3),
        limits: Limits::default(),
        service_network: None,
    };
    let mut store = Store::new(settings, Arc::default());
    create(
        &mut store,
        "namespaces",
        None,
        json!({"metadata": {"name": "ns"}}),
    );
    create(
        &mut store,
        "serviceaccounts",
        Some("ns"),
        json!({"metadata": {"name": "bot"}}),
    );
    create(&mut store, "nodes", None, json!({"metadata": {"name": "n1"}}));
    let spec =
        json!({"serviceAccountName": "bot", "nodeName": "n1", "containers": [{"name": "c", "image": "i"}]});
    create(
        &mut store,
        "pods",
        Some("ns"),
        json!({"metadata": {"name": "p"}, "spec": spec}),
    );
    store
}

fn create(store: &mut Store, plural: &str, namespace: Option<&str>, body: Value) {
    let resource = store.registry().find("", plural).unwrap().clone();
    store
        .create(
            Target::stored(&resource, namespace),
            body,
            WriteOptions::by("test", now()),
        )
        .unwrap();
}

fn remove(store: &mut Store, plural: &str, namespace: Option<&str>, name: &str) {
    let resource = store.registry().find("", plural).unwrap().clone();
    let options = metalsim_actors::kube::store::DeleteOptions {
        grace_period_seconds: Some(0),
        ..Default::default()
    };
    store
        .delete(Target::stored(&resource, namespace), name, &options, now())
        .unwrap();
}

fn issuers() -> [TokenIssuer; 3] {
    [RSA_PKCS1, P256_SEC1, P384_SEC1]
        .map(|pem| TokenIssuer::new(PrivateKey::from_pem(pem).unwrap(), ISSUER).unwrap())
}

fn request(
    issuer: &TokenIssuer,
    store: &Store,
    spec: Value,
) -> Result<Value, metalsim_actors::kube::status::Status> {
    let body = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec});
    issuer.token_request(store, "ns", "bot", &body, now(), Uuid::from_u128(5))
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn tokens_come_back_as_their_account() {
    let store = cluster();
    for issuer in issuers() {
        let answer = request(&issuer, &store, json!({"expirationSeconds": 600})).unwrap();
        assert_eq!(answer["metadata"]["name"], "bot");
        assert_eq!(answer["spec"]["audiences"], json!([ISSUER]));
        let token = answer["status"]["token"].as_str().unwrap();
        let account = store.look_up("", "serviceaccounts", Some("ns"), "bot").unwrap();
        let second = now().timestamp();
        assert_eq!(
            claims(token),
            json!({"iss": ISSUER, "sub": "system:serviceaccount:ns:bot", "aud": [ISSUER], "exp": second + 600,
                "iat": second, "nbf": second, "jti": "00000000-0000-0000-0000-000000000005",
                "kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "bot", "uid": account.uid_text()}}})
        );
        let Verified { user, audiences } = verify_bearer(&issuer, &store, token, &[], now())
            .unwrap()
            .unwrap();
        assert_eq!(
            (user.username.as_str(), &*audiences),
            ("system:serviceaccount:ns:bot", &[ISSUER.to_owned()][..])
        );
        assert_eq!(
            user.extra["authentication.kubernetes.io/credential-id"],
            ["JTI=00000000-0000-0000-0000-000000000005"]
        );
        let late = verify_bearer(&issuer, &store, token, &[], now() + Duration::seconds(661));
        assert_eq!(late.unwrap_err(), "service account token has expired");
        assert!(verify_bearer(&issuer, &store, token, &["else".to_owned()], now()).is_err());
        let early = verify_bearer(&issuer, &store, token, &[], now() - Duration::seconds(61));
        assert_eq!(early.unwrap_err(), "service account token is not valid yet");
        // Every other key refuses it, and every changed byte.
        for other in issuers() {
            if other.algorithm() != issuer.algorithm() {
                assert!(verify_bearer(&other, &store, token, &[], now()).is_err());
            }
        }
        for place in [5, token.len() / 2, token.len() - 5] {
            let mut bytes = token.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(
                !matches!(verify_bearer(&issuer, &store, &changed, &[], now()), Ok(Some(_))),
                "{place}"
            );
        }
    }
}

#[test]
fn unsigned_and_foreign_tokens_are_nobodys() {
    use base64::Engine as _;
    let (store, [issuer, ..]) = (cluster(), issuers());
    let answer = request(&issuer, &store, json!({})).unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    let encode = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let payload = token.split('.').nth(1).unwrap();
    let bare = format!("{}.{payload}.", encode(json!({"alg": "none"})));
    assert!(verify_bearer(&issuer, &store, &bare, &[], now()).is_err());
    for other in [
        "",
        ".",
        "a.b.c",
        "abcdef.0123456789abcdef",
        &format!("x.{}.y", encode(json!({"iss": "https://else"}))),
    ] {
        assert_eq!(
            verify_bearer(&issuer, &store, other, &[], now()),
            Ok(None),
            "{other}"
        );
    }
}

#[test]
fn bound_tokens_end_with_what_they_are_bound_to() {
    let [issuer, ..] = issuers();
    for (kind, plural, namespace, name) in [
        ("Pod", "pods", Some("ns"), "p"),
        ("Node", "nodes", None, "n1"),
        ("Secret", "secrets", Some("ns"), "s"),
    ] {
        let mut store = cluster();
        create(
            &mut store,
            "secrets",
            Some("ns"),
            json!({"metadata": {"name": "s"}}),
        );
        let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name}});
        let answer = request(&issuer, &store, bound).unwrap();
        let token = answer["status"]["token"].as_str().unwrap().to_owned();
        let verified = verify_bearer(&issuer, &store, &token, &[], now())
            .unwrap()
            .unwrap();
        assert_eq!(
            verified
                .user
                .extra
                .contains_key("authentication.kubernetes.io/pod-name"),
            kind == "Pod"
        );
        assert_eq!(
            verified
                .user
                .extra
                .contains_key("authentication.kubernetes.io/node-name"),
            kind != "Secret"
        );
        remove(&mut store, plural, namespace, name);
        let gone = verify_bearer(&issuer, &store, &token, &[], now());
        assert_eq!(
            gone.unwrap_err(),
            "service account token has been invalidated",
            "{kind}"
        );
    }
    let mut store = cluster();
    let answer = request(
        &issuer,
        &store,
        json!({"expirationSeconds": 3607,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}),
    )
    .unwrap();
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let (claims, second) = (claims(&token), now().timestamp());
    assert_eq!(claims["exp"], second + 365 * 24 * 3600);
    assert_eq!(claims["kubernetes.io"]["warnafter"], second + 3607);
    // Another account of the same name is another account.
    remove(&mut store, "serviceaccounts", Some("ns"), "bot");
    assert!(
        verify_bearer(&issuer, &store, &token, &[], now())
            .unwrap_err()
            .contains("not found")
    );
    create(
        &mut store,
        "serviceaccounts",
        Some("ns"),
        json!({"metadata": {"name": "bot"}}),
    );
    assert!(
        verify_bearer(&issuer, &store, &token, &[], now())
            .unwrap_err()
            .contains("does not match claim")
    );
}

#[test]
fn bad_token_requests() {
    let (store, [issuer, ..]) = (cluster(), issuers());
    let bound = |kind: &str, name: &str, uid: &str| json!({"boundObjectRef": {"kind": kind, "name": name, "uid": uid}});
    for (spec, code) in [
        (json!({"expirationSeconds": 599}), 422),
        (json!({"expirationSeconds": 4_294_967_297_i64}), 422),
        (json!({"expirationSeconds": "x"}), 400),
        (bound("Pod", "q", ""), 404),
        (bound("Pod", "p", "other"), 409),
        (bound("ConfigMap", "p", ""), 400),
    ] {
        assert_eq!(
            request(&issuer, &store, spec.clone()).unwrap_err().code,
            code,
            "{spec}"
        );
    }
    let other = issuer.token_request(&store, "ns", "else", &json!({}), now(), Uuid::nil());
    assert_eq!(other.unwrap_err().code, 404);
}

#[test]
fn tokens_in_secrets() {
    use base64::Engine as _;
    let (mut store, [issuer, ..]) = (cluster(), issuers());
    create(
        &mut store,
        "secrets",
        Some("ns"),
        json!({"metadata": {"name": "t"}, "type": "kubernetes.io/service-account-token"}),
    );
    let account = store.look_up("", "serviceaccounts", Some("ns"), "bot").unwrap();
    let secret = store.look_up("", "secrets", Some("ns"), "t").unwrap();
    let token = issuer.secret_token(account, secret).unwrap();
    assert!(
        verify_bearer(&issuer, &store, &token, &[], now())
            .unwrap_err()
            .contains("server's copy")
    );
    let resource = store.registry().find("", "secrets").unwrap().clone();
    let mut draft = secret.to_value("v1", "Secret");
    draft["data"] = json!({"token": base64::engine::general_purpose::STANDARD.encode(&token)});
    let target = Target::stored(&resource, Some("ns"));
    let part = metalsim_actors::kube::store::Part::Main;
    store
        .update(target, "t", part, draft, WriteOptions::by("test", now()))
        .unwrap();
    let verified = verify_bearer(&issuer, &store, &token, &[], now() + years(3))
        .unwrap()
        .unwrap();
    assert_eq!(verified.user.username, "system:serviceaccount:ns:bot");
    remove(&mut store, "secrets", Some("ns"), "t");
    assert!(
        verify_bearer(&issuer, &store, &token, &[], now())
            .unwrap_err()
            .contains("invalidated")
    );
}

#[test]
fn discovery_documents() {
    let [rsa, p256, p384] = issuers();
    let key = |issuer: &TokenIssuer| issuer.key_set().unwrap()["keys"][0].clone();
    let (one, two, three) = (key(&rsa), key(&p256), key(&p384));
    assert_eq!(
        (&one["kty"], &one["alg"], &one["e"]),
        (&json!("RSA"), &json!("RS256"), &json!("AQAB"))
    );
    assert_eq!(one["n"].as_str().unwrap().len(), 342);
    assert_eq!((&two["crv"], &two["alg"]), (&json!("P-256"), &json!("ES256")));
    assert_eq!(
        (two["x"].as_str().unwrap().len(), two["y"].as_str().unwrap().len()),
        (43, 43)
    );
    assert_eq!(
        (&three["crv"], three["x"].as_str().unwrap().len()),
        (&json!("P-384"), 64)
    );
    let document = rsa.openid_configuration("172.22.0.10:6443");
    assert_eq!(document["jwks_uri"], "https://172.22.0.10:6443/openid/v1/jwks");
    assert_eq!(document["issuer"], ISSUER);
}

#[test]
fn a_kubeconfig_says_all_and_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = Authority::generate("kubernetes", now()).unwrap();
    let client = authority
        .issue_client("kubernetes-admin", &["kubeadm:cluster-admins"], now(), years(1))
        .unwrap();
    let made = Kubeconfig::new(
        "true",
        "https://[fd00::1]:6443",
        "kubernetes-admin",
        &authority,
        &client,
    )
    .unwrap();
    let yaml = made.to_yaml();
    let read: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(read["clusters"][0]["name"], "true");
    assert_eq!(read["clusters"][0]["cluster"]["server"], "https://[fd00::1]:6443");
    assert_eq!(
        read["contexts"][0]["context"],
        json!({"cluster": "true", "user": "kubernetes-admin"})
    );
    assert_eq!(read["current-context"], "kubernetes-admin@true");
    let data = |text: &Value| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text.as_str().unwrap())
            .unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let user = &read["users"][0]["user"];
    assert_eq!(data(&user["client-certificate-data"]), client.pem);
    assert_eq!(
        PrivateKey::from_pem(&data(&user["client-key-data"]))
            .unwrap()
            .pkcs8(),
        client.key.pkcs8()
    );
    let trusted = data(&read["clusters"][0]["cluster"]["certificate-authority-data"]);
    assert_eq!(
        Authority::from_pem(&trusted, None).unwrap().certificates(),
        authority.certificates()
    );
    let shown = format!("{made:?} {client:?}");
    assert!(!shown.contains(user["client-key-data"].as_str().unwrap()) && !shown.contains("PRIVATE"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.conf");
    std::fs::write(&path, "old").unwrap();
    write_private(&path, &yaml).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), yaml);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(
        write_private(&folder.path().join("no/file"), ""),
        Err(PkiError::File { .. })
    ));
}

#[test]
fn the_hash_of_the_public_key_is_openssls() {
    // openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum
    let authority = Authority::from_pem(RSA_CA, None).unwrap();
    assert_eq!(
        authority.public_key_hash().unwrap(),
        format!("sha256:{}", include_str!("tests/rsa-ca.sha256").trim())
    );
}
