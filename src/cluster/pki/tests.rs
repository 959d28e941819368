//! Keys in all their forms, TLS with real clients in memory, tokens. The keys beside this file are made for these tests
//! and for nothing else.

use std::sync::Arc;

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use serde_json::{Value, json};

use super::server::provider;
use super::*;

mod tokens;

const RSA_CA: &str = include_str!("tests/rsa-ca.pem");
const RSA_PKCS1: &str = include_str!("tests/rsa-pkcs1.pem");
const RSA_PKCS8: &str = include_str!("tests/rsa-pkcs8.pem");
const P256_SEC1: &str = include_str!("tests/p256-sec1.pem");
const P384_SEC1: &str = include_str!("tests/p384-sec1.pem");

/// A time within the validity of the certificate above.
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
    // The forms in which they came, byte for byte.
    for pem in [RSA_PKCS1, P256_SEC1, P384_SEC1] {
        assert_eq!(PrivateKey::from_pem(pem).unwrap().to_older_pem().unwrap(), pem);
    }
    // A new key's PKCS#8 names the curve outside only.
    let new = PrivateKey::generate().unwrap();
    let again = PrivateKey::from_pem(&new.to_older_pem().unwrap()).unwrap();
    assert_eq!(again.public_pem().unwrap(), new.public_pem().unwrap());
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

/// The clock of the clients.
#[derive(Debug)]
struct Clock;

impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let second = u64::try_from(now().timestamp()).ok()?;
        Some(rustls::pki_types::UnixTime::since_unix_epoch(
            std::time::Duration::from_secs(second),
        ))
    }
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
    let builder = ClientConfig::builder_with_details(Arc::clone(provider()), Arc::new(Clock))
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
            .authenticate(std::slice::from_ref(&good.certificate), now() + years(9))
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
