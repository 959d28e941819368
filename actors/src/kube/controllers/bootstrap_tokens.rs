//! Bootstrap tokens: their end, and the signatures with which joining machines check `kube-public/cluster-info`
//! (kubernetes: `pkg/controller/bootstrap`).

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::conditions::object;
use super::kinds::{KINDS, about};
use super::workload::{delete, options};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store};

/// Type of the Secrets.
const TOKEN: &str = "bootstrap.kubernetes.io/token";
/// Where they lie.
const NAMESPACE: &str = "kube-system";
/// Start of their names; the token's id follows.
const PREFIX: &str = "bootstrap-token-";
/// Where the signed map lies, and its name.
const SIGNED: (&str, &str) = ("kube-public", "cluster-info");
/// Start of the keys of signatures; the token's id follows.
const SIGNATURE: &str = "jws-kubeconfig-";

/// Deletes tokens when their time is over. Its keys are Secrets.
#[derive(Debug)]
pub struct TokenCleaner;

/// Signs `cluster-info`. Its key is that map.
#[derive(Debug)]
pub struct BootstrapSigner;

fn is_token(change: &Change) -> bool {
    about(change, &KINDS.secrets) && is_token_secret(&change.object)
}

fn is_token_secret(secret: &Object) -> bool {
    secret.namespace() == Some(NAMESPACE)
        && secret
            .section_text("type")
            .is_some_and(|kind| kind.get().trim_matches('"') == TOKEN)
}

/// When a token ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Never,
    At(DateTime<Utc>),
    /// Its time cannot be read.
    Past,
}

/// The data of a token, decoded.
struct Token(BTreeMap<String, String>);

impl Token {
    fn of(secret: &Object) -> Self {
        Self(secret.read("data").unwrap_or_default())
    }

    fn text(&self, key: &str) -> String {
        let bytes = self.0.get(key).and_then(|text| STANDARD.decode(text).ok());
        bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    fn end(&self) -> End {
        let text = self.text("expiration");
        if text.is_empty() {
            return End::Never;
        }
        DateTime::parse_from_rfc3339(&text).map_or(End::Past, |end| End::At(end.to_utc()))
    }

    fn is_over(&self, now: DateTime<Utc>) -> bool {
        match self.end() {
            End::Never => false,
            End::At(end) => end <= now,
            End::Past => true,
        }
    }
}

impl Controller for TokenCleaner {
    fn name(&self) -> &'static str {
        "token-cleaner-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if is_token(change) && !matches!(change.changed, Changed::Deleted(_)) {
            look_at(Key::of(&change.object));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let secret = store.find(&KINDS.secrets, key.namespace(), &key.name);
        let Some(secret) = secret.filter(|secret| is_token_secret(secret)).cloned() else {
            return Ok(None);
        };
        let token = Token::of(&secret);
        let pace = context.behaviour.pace;
        if token.is_over(pace.real(context.now)) {
            delete(store, context, &KINDS.secrets, &secret)?;
            return Ok(None);
        }
        Ok(match token.end() {
            End::At(end) => Some(pace.until(context.now, end)),
            End::Never | End::Past => None,
        })
    }
}

impl Controller for BootstrapSigner {
    fn name(&self) -> &'static str {
        "bootstrap-signer-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        let map = about(change, &KINDS.config_maps)
            && object.name() == SIGNED.1
            && object.namespace() == Some(SIGNED.0);
        if map || is_token(change) {
            look_at(Key::new(Some(SIGNED.0), SIGNED.1));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(map) = store
            .find(&KINDS.config_maps, key.namespace(), &key.name)
            .cloned()
        else {
            return Ok(None);
        };
        let mut draft = map.draft();
        let data = object(&mut draft.body, "data");
        let Some(content) = data.get("kubeconfig").and_then(Value::as_str).map(str::to_owned) else {
            return Ok(None);
        };
        let (before, now) = (data.clone(), context.behaviour.pace.real(context.now));
        data.retain(|key, _| !key.starts_with(SIGNATURE));
        for secret in store.all(&KINDS.secrets, Some(NAMESPACE)) {
            let Some(id) = secret
                .name()
                .strip_prefix(PREFIX)
                .filter(|_| is_token_secret(secret))
            else {
                continue;
            };
            let token = Token::of(secret);
            let key = token.text("token-secret");
            let signs = token.text("usage-bootstrap-signing") == "true";
            if signs && token.text("token-id") == id && !key.is_empty() && !token.is_over(now) {
                data.insert(format!("{SIGNATURE}{id}"), signature(&content, id, &key).into());
            }
        }
        if *data != before {
            store.replace(&KINDS.config_maps, Part::Main, draft, options(context))?;
        }
        Ok(None)
    }
}

/// A JSON Web Signature of `content` with HMAC-SHA-256 and the content left out (RFC 7515, appendix F;
/// kubernetes: `staging/src/k8s.io/cluster-bootstrap/token/jws/jws.go`).
#[must_use]
pub fn signature(content: &str, token_id: &str, token_secret: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": token_id}).to_string());
    let payload = URL_SAFE_NO_PAD.encode(content);
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(token_secret.as_bytes()) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(header.as_bytes());
    mac.update(b".");
    mac.update(payload.as_bytes());
    let sum = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{header}..{sum}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controller::Pace;
    use crate::kube::controllers::testing::World;

    #[test]
    fn signatures_are_those_of_kubernetes() {
        // The values of the API's own test (kubernetes: `cluster-bootstrap/token/jws/jws_test.go`).
        let content = "Hello from the other side. I must have called a thousand times.";
        let head = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..";
        for (content, secret, sum) in [
            (
                content,
                "my voice is my passcode",
                "VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8",
            ),
            (
                "",
                "my voice is my passcode",
                "7Ui1ALizW4jXphVUB7xUqC9vLYLL9RZeOFfVLoB7Tgk",
            ),
            (content, "", "UfkqvDGiIFxrMnFseDj9LYJOLNrvjW8aHhF71mvvAs8"),
        ] {
            assert_eq!(signature(content, "joshua", secret), format!("{head}{sum}"));
        }
    }

    fn token(id: &str, signing: &str, expiration: &str) -> Value {
        json!({
            "metadata": {"name": format!("{PREFIX}{id}"), "namespace": NAMESPACE},
            "type": TOKEN,
            "stringData": {"token-id": id, "token-secret": "0123456789abcdef",
                "usage-bootstrap-signing": signing, "expiration": expiration},
        })
    }

    #[test]
    fn tokens_end_by_the_time_of_those_who_make_them() {
        let epoch = crate::kube::controllers::testing::start();
        let mut world = World::behaving(|behaviour| behaviour.pace = Pace { epoch, speed: 60.0 });
        let end = (epoch + chrono::TimeDelta::seconds(90)).to_rfc3339();
        world.create("secrets", token("abcdef", "true", &end));
        let is_there = |world: &World| {
            world
                .find("secrets", NAMESPACE, "bootstrap-token-abcdef")
                .is_some()
        };
        world.after(90 * 60 - 1);
        assert!(is_there(&world));
        world.after(2);
        assert!(!is_there(&world));
    }

    #[test]
    fn tokens_sign_and_end() {
        let mut world = World::new();
        let info = json!({"metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": "x"}});
        world.create("configmaps", info);
        let soon = (world.now + chrono::TimeDelta::seconds(90)).to_rfc3339();
        world.create("secrets", token("abcdef", "true", &soon));
        world.create("secrets", token("ffffff", "true", ""));
        world.create("secrets", token("nosign", "false", ""));
        let signatures = |world: &World| {
            let map = world.find("configmaps", "kube-public", "cluster-info").unwrap();
            let data = map.section("data").unwrap();
            data.as_object().unwrap().clone()
        };
        let found = signatures(&world);
        assert_eq!(found.len(), 3);
        assert_eq!(
            found["jws-kubeconfig-abcdef"],
            signature("x", "abcdef", "0123456789abcdef")
        );
        assert_eq!(
            world.after(89).next,
            Some(world.now + chrono::TimeDelta::seconds(1))
        );
        assert_eq!(signatures(&world).len(), 3);
        world.after(1);
        assert!(
            world
                .find("secrets", NAMESPACE, "bootstrap-token-abcdef")
                .is_none()
        );
        assert_eq!(
            signatures(&world).keys().collect::<Vec<_>>(),
            ["jws-kubeconfig-ffffff", "kubeconfig"]
        );
    }
}
