//! Checking tokens.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use metalsim_actors::kube::auth::{
    ServiceAccountIdentity, UserInfo, Verified, bootstrap_token_user, split_service_account,
};
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::store::Store;
use serde::Deserialize;

use super::{Bound, Header, LEGACY_ISSUER, Reference, TokenIssuer};

/// Bytes of a token, at most: far above what is issued, far below what a header may hold.
const LONGEST: usize = 64 * 1024;
/// Seconds that clocks may differ (go-jose: `jwt/validation.go`, `DefaultLeeway`).
const LEEWAY: i64 = 60;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(deserialize_with = "one_or_many")]
    aud: Vec<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    bound: Bound,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    legacy_namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    legacy_name: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    legacy_uid: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    legacy_secret: String,
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Audience>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Audience::One(audience)) => vec![audience],
        Some(Audience::Many(audiences)) => audiences,
    })
}

/// Whose bearer token this is: a service account's or a bootstrap token. `audiences`: for whom it has to be, none = the API server.
/// `None`: nobody's.
///
/// # Errors
/// Why a token that the cluster issued does not hold. The answer is 401 then, too; only a TokenReview tells.
pub fn verify_bearer(
    issuer: &TokenIssuer,
    store: &Store,
    token: &str,
    audiences: &[String],
    now: DateTime<Utc>,
) -> Result<Option<Verified>, String> {
    if let Some(verified) = issuer.verify(store, token, audiences, now)? {
        return Ok(Some(verified));
    }
    let Some(user) = bootstrap_token_user(store, token, now) else {
        return Ok(None);
    };
    // Such a token is for the API server alone.
    let audiences = match audiences {
        [] => vec![issuer.issuer().to_owned()],
        wanted => wanted
            .iter()
            .filter(|audience| *audience == issuer.issuer())
            .cloned()
            .collect(),
    };
    Ok((!audiences.is_empty()).then_some(Verified { user, audiences }))
}

/// A service-account token whose signature holds. Whether it does, its claims and the cluster have to say each time.
pub struct SignedToken {
    text: Box<str>,
    claims: Claims,
}

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedToken({:?}, ***)", self.claims.sub)
    }
}

impl SignedToken {
    /// Whether it is this token.
    #[must_use]
    pub fn is(&self, token: &str) -> bool {
        *self.text == *token
    }
}

impl TokenIssuer {
    /// Checks a service-account token: signature, time, audience, and that the account and what the token is bound to still
    /// exist. `None` for texts that are no token of this issuer.
    ///
    /// # Errors
    /// Why a token of this issuer does not hold.
    pub fn verify(
        &self,
        store: &Store,
        token: &str,
        audiences: &[String],
        now: DateTime<Utc>,
    ) -> Result<Option<Verified>, String> {
        self.open(token)?
            .map(|token| self.check(store, &token, audiences, now))
            .transpose()
    }

    /// Checks the signature of a service-account token: the part that takes long and does not change. `None` for texts that are no token
    /// of this issuer.
    ///
    /// # Errors
    /// It was signed with another key.
    pub fn open(&self, token: &str) -> Result<Option<SignedToken>, String> {
        let Some((claims, header, message, signature)) = self.read(token) else {
            return Ok(None);
        };
        if !header.kid.is_empty() && *header.kid != *self.key_id {
            return Err("invalid signature, no keys found".to_owned());
        }
        if header.alg != self.algorithm() || !self.is_signed(message.as_bytes(), &signature) {
            return Err("go-jose/go-jose: error in cryptographic primitive".to_owned());
        }
        Ok(Some(SignedToken {
            text: token.into(),
            claims,
        }))
    }

    /// Checks everything but the signature.
    ///
    /// # Errors
    /// Why the token does not hold.
    pub fn check(
        &self,
        store: &Store,
        token: &SignedToken,
        audiences: &[String],
        now: DateTime<Utc>,
    ) -> Result<Verified, String> {
        let SignedToken { text, claims } = token;
        let own = [self.issuer.to_string()];
        let wanted = if audiences.is_empty() { &own[..] } else { audiences };
        let given = if claims.aud.is_empty() {
            &own[..]
        } else {
            &claims.aud[..]
        };
        let common: Vec<String> = given
            .iter()
            .filter(|audience| wanted.contains(audience))
            .cloned()
            .collect();
        if common.is_empty() {
            let list = |list: &[String]| format!("[{}]", list.join(" "));
            return Err(format!(
                "token audiences {:?} is invalid for the target audiences {:?}",
                list(given),
                list(wanted)
            ));
        }
        let identity = if claims.iss == LEGACY_ISSUER {
            legacy(store, text, claims)?
        } else {
            bound(store, claims, now)?
        };
        Ok(Verified {
            user: UserInfo::service_account(&identity),
            audiences: common,
        })
    }

    /// The parts of a token that says it is of this cluster.
    fn read<'a>(&self, token: &'a str) -> Option<(Claims, Header, &'a str, Vec<u8>)> {
        if token.len() > LONGEST {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        if claims.iss != *self.issuer && claims.iss != LEGACY_ISSUER {
            return None;
        }
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        Some((claims, header, message, URL_SAFE_NO_PAD.decode(signature).ok()?))
    }
}

/// The object that the claims name, if it is the same and not long deleted.
fn alive(object: Option<&std::sync::Arc<Object>>, claim: &Reference, now: DateTime<Utc>) -> Result<(), ()> {
    let object = object.ok_or(())?;
    let deleted = object
        .deletion
        .is_some_and(|deletion| deletion.at.0 < now.timestamp().saturating_sub(LEEWAY));
    if object.uid_text() == claim.uid && !deleted {
        Ok(())
    } else {
        Err(())
    }
}

/// Checks the claims of a token from a TokenRequest (kubernetes: `pkg/serviceaccount/claims.go`).
fn bound(store: &Store, claims: &Claims, now: DateTime<Utc>) -> Result<ServiceAccountIdentity, String> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let (second, leeway) = (now.timestamp() as f64, LEEWAY as f64);
    if claims.nbf.is_some_and(|from| second + leeway < from) {
        return Err("service account token is not valid yet".to_owned());
    }
    if claims.exp.is_none_or(|end| second - leeway > end) {
        return Err("service account token has expired".to_owned());
    }
    if claims.iat.is_some_and(|at| second + leeway < at) {
        return Err("service account token is issued in the future".to_owned());
    }
    let Bound {
        namespace,
        serviceaccount: account,
        pod,
        secret,
        node,
        ..
    } = &claims.bound;
    let here = Some(namespace.as_str());
    let found = store.look_up("", "serviceaccounts", here, &account.name);
    match found {
        None => return Err(format!("serviceaccounts {:?} not found", account.name)),
        Some(found) if found.uid_text() != account.uid => {
            return Err(format!(
                "service account UID ({}) does not match claim ({})",
                found.uid_text(),
                account.uid
            ));
        }
        Some(_) => {}
    }
    alive(found, account, now)
        .map_err(|()| format!("service account {namespace}/{} has been deleted", account.name))?;
    let invalidated = |()| "service account token has been invalidated".to_owned();
    if let Some(secret) = secret {
        alive(store.look_up("", "secrets", here, &secret.name), secret, now).map_err(invalidated)?;
    }
    if let Some(pod) = pod {
        alive(store.look_up("", "pods", here, &pod.name), pod, now).map_err(invalidated)?;
    } else if let Some(node) = node {
        // The node of a pod may go before the pod.
        alive(store.look_up("", "nodes", None, &node.name), node, now).map_err(invalidated)?;
    }
    let pair = |reference: &Reference| (reference.name.clone(), reference.uid.clone());
    Ok(ServiceAccountIdentity {
        namespace: namespace.clone(),
        name: account.name.clone(),
        uid: account.uid.clone(),
        pod: pod.as_ref().map(pair),
        node: node.as_ref().map(pair),
        token_id: claims.jti.clone(),
    })
}

/// Checks the claims of a token from a Secret (kubernetes: `pkg/serviceaccount/legacy.go`).
fn legacy(store: &Store, token: &str, claims: &Claims) -> Result<ServiceAccountIdentity, String> {
    let (namespace, name) = (&claims.legacy_namespace, &claims.legacy_name);
    if split_service_account(&claims.sub) != Some((namespace, name)) {
        return Err("sub claim is invalid".to_owned());
    }
    let secret = store
        .look_up("", "secrets", Some(namespace), &claims.legacy_secret)
        .filter(|secret| !secret.is_terminating())
        .ok_or("Token has been invalidated")?;
    let data: BTreeMap<String, String> = secret.read("data").unwrap_or_default();
    let copy = data.get("token").and_then(|text| STANDARD.decode(text).ok());
    // The signature holds, so whoever asks has the token already: there is nothing to find out by time.
    if copy.as_deref() != Some(token.as_bytes()) {
        return Err("Token does not match server's copy".to_owned());
    }
    let account = store
        .look_up("", "serviceaccounts", Some(namespace), name)
        .ok_or_else(|| format!("serviceaccounts {name:?} not found"))?;
    if account.is_terminating() {
        return Err(format!("ServiceAccount {namespace}/{name} has been deleted"));
    }
    if account.uid_text() != claims.legacy_uid {
        return Err(format!(
            "ServiceAccount UID ({}) does not match claim ({})",
            account.uid_text(),
            claims.legacy_uid
        ));
    }
    Ok(ServiceAccountIdentity {
        namespace: namespace.clone(),
        name: name.clone(),
        uid: claims.legacy_uid.clone(),
        ..ServiceAccountIdentity::default()
    })
}
