//! Service-account tokens.

use metalsim_actors::kube::auth::Verified;
use metalsim_actors::kube::store::{Limits, Settings, Store, Target, WriteOptions};
use metalsim_actors::seed::Seed;
use uuid::Uuid;

use super::*;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

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
            if other.key_set().unwrap() != issuer.key_set().unwrap() {
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
        json!({"metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "bot"}},
            "type": "kubernetes.io/service-account-token"}),
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
