//! Making tokens.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use metalsim_actors::kube::object::{Object, Second};
use metalsim_actors::kube::status::{FieldError, Named, Status};
use metalsim_actors::kube::store::Store;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Bound, LEGACY_ISSUER, Reference, TokenIssuer};
use crate::cluster::pki::PkiError;

/// Seconds that a token is valid if the request does not say (kubernetes: `pkg/apis/authentication/v1/defaults.go`).
const DEFAULT_SECONDS: i64 = 60 * 60;
/// Least (kubernetes: `pkg/apis/authentication/validation`).
const LEAST_SECONDS: i64 = 10 * 60;
/// Most.
const MOST_SECONDS: i64 = 1 << 32;
/// What the kubelet asks for on behalf of pods that did not ask: such a token lives on for a year and only warns
/// (kubernetes: `pkg/serviceaccount/claims.go`).
const WARN_ONLY_SECONDS: i64 = 60 * 60 + 7;
const EXTENDED_SECONDS: i64 = 365 * 24 * 60 * 60;
const KIND: Named<'static> = Named {
    group: "authentication.k8s.io",
    resource: "TokenRequest",
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<BoundReference>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct BoundReference {
    kind: Option<String>,
    api_version: Option<String>,
    name: Option<String>,
    uid: Option<String>,
}

fn part<'a, T: Deserialize<'a> + Default>(body: &'a Value, name: &str) -> Result<T, Status> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(part) => T::deserialize(part).map_err(|error| {
            Status::bad_request(format!(
                "TokenRequest cannot be handled as a TokenRequest: {name}: {error}"
            ))
        }),
    }
}

fn word(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("")
}

fn reference(object: &Object) -> Reference {
    Reference {
        name: object.name().to_owned(),
        uid: object.uid_text(),
    }
}

fn find<'a>(
    store: &'a Store,
    resource: &'static str,
    namespace: Option<&str>,
    name: &str,
) -> Result<&'a Arc<Object>, Status> {
    let named = Named { group: "", resource };
    store
        .look_up("", resource, namespace, name)
        .ok_or_else(|| Status::not_found(named, name))
}

impl TokenIssuer {
    /// Answers `POST .../serviceaccounts/NAME/token` with a TokenRequest that holds the token. `id` becomes the token's `jti`.
    ///
    /// # Errors
    /// 404 for a service account or bound object that does not exist, 409 for one with another uid, 422 for a lifetime
    /// out of bounds, 400 for other faults of the body.
    pub fn token_request(
        &self,
        store: &Store,
        namespace: &str,
        name: &str,
        body: &Value,
        now: DateTime<Utc>,
        id: Uuid,
    ) -> Result<Value, Status> {
        let (meta, spec): (Metadata, Spec) = (part(body, "metadata")?, part(body, "spec")?);
        for (field, given, wanted) in [
            ("name", &meta.name, name),
            ("namespace", &meta.namespace, namespace),
        ] {
            if !matches!(word(given), "" | "*") && word(given) != wanted {
                let detail = format!("must match the service account {field} if specified");
                let error = FieldError::invalid(format!("metadata.{field}"), word(given), detail);
                return Err(Status::invalid(KIND, name, &[error]));
            }
        }
        let account = find(store, "serviceaccounts", Some(namespace), name)?;
        let uid = account.uid_text();
        if !word(&meta.uid).is_empty() && word(&meta.uid) != uid {
            let why = format!(
                "the UID in the token request ({}) does not match the UID of the service account ({uid})",
                word(&meta.uid)
            );
            return Err(Status::conflict(KIND, name, &why));
        }
        let seconds = spec.expiration_seconds.unwrap_or(DEFAULT_SECONDS);
        let fault = if seconds < LEAST_SECONDS {
            Some("may not specify a duration less than 10 minutes")
        } else if seconds > MOST_SECONDS {
            Some("may not specify a duration larger than 2^32 seconds")
        } else {
            None
        };
        if let Some(detail) = fault {
            let error = FieldError::invalid("spec.expirationSeconds", seconds, detail);
            return Err(Status::invalid(KIND, "", &[error]));
        }
        let audiences = match spec.audiences {
            Some(audiences) if !audiences.is_empty() => audiences,
            _ => vec![self.issuer.to_string()],
        };
        let mut bound = Bound {
            namespace: namespace.to_owned(),
            serviceaccount: reference(account),
            ..Bound::default()
        };
        if let Some(wanted) = &spec.bound_object_ref {
            bind(store, &mut bound, wanted)?;
        }
        let for_server = audiences.iter().all(|audience| **audience == *self.issuer);
        let mut lifetime = seconds;
        if bound.pod.is_some() && seconds == WARN_ONLY_SECONDS && for_server {
            bound.warnafter = Some(now.timestamp().saturating_add(seconds));
            lifetime = EXTENDED_SECONDS;
        }
        let claims = json!({
            "iss": &*self.issuer,
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "aud": audiences,
            "exp": now.timestamp().saturating_add(lifetime),
            "iat": now.timestamp(),
            "nbf": now.timestamp(),
            "jti": id,
            "kubernetes.io": bound,
        });
        let token = self
            .sign(&claims)
            .map_err(|error| Status::internal(&format!("failed to generate token: {error}")))?;
        let mut answer = body.as_object().cloned().unwrap_or_default();
        answer.insert(
            "metadata".to_owned(),
            json!({"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": Second::of(now).text()}),
        );
        let mut filled = body
            .get("spec")
            .cloned()
            .filter(Value::is_object)
            .unwrap_or(json!({}));
        filled["audiences"] = audiences.into();
        filled["expirationSeconds"] = seconds.into();
        if filled.get("boundObjectRef").is_none() {
            filled["boundObjectRef"] = Value::Null;
        }
        answer.insert("spec".to_owned(), filled);
        let expires = now.checked_add_signed(Duration::seconds(seconds)).unwrap_or(now);
        answer.insert(
            "status".to_owned(),
            json!({"token": token, "expirationTimestamp": Second::of(expires).text()}),
        );
        Ok(Value::Object(answer))
    }

    /// The token that belongs into a Secret of the type `kubernetes.io/service-account-token`: it does not expire, and holds
    /// while the Secret has it (kubernetes: `pkg/serviceaccount/legacy.go`).
    ///
    /// # Errors
    /// When nothing can be signed.
    pub fn secret_token(&self, account: &Object, secret: &Object) -> Result<String, PkiError> {
        let namespace = account.namespace().unwrap_or("");
        self.sign(&json!({
            "iss": LEGACY_ISSUER,
            "sub": format!("system:serviceaccount:{namespace}:{}", account.name()),
            "kubernetes.io/serviceaccount/namespace": namespace,
            "kubernetes.io/serviceaccount/service-account.name": account.name(),
            "kubernetes.io/serviceaccount/service-account.uid": account.uid_text(),
            "kubernetes.io/serviceaccount/secret.name": secret.name(),
        }))
    }
}

/// Adds the object that the token is to be bound to.
fn bind(store: &Store, bound: &mut Bound, wanted: &BoundReference) -> Result<(), Status> {
    let (kind, name) = (word(&wanted.kind), word(&wanted.name));
    let namespace = bound.namespace.clone();
    let group = word(&wanted.api_version)
        .split_once('/')
        .map_or("", |(group, _)| group);
    let found = match (group, kind) {
        ("", "Pod") => {
            let pod = find(store, "pods", Some(&namespace), name)?;
            let text = |field: &str| {
                let value = pod.at(&["spec", field]);
                value
                    .and_then(|value| value.as_str().map(str::to_owned))
                    .unwrap_or_default()
            };
            let account = &bound.serviceaccount.name;
            if text("serviceAccountName") != *account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            let node = text("nodeName");
            if !node.is_empty() {
                bound.node = Some(match store.look_up("", "nodes", None, &node) {
                    Some(node) => reference(node),
                    None => Reference {
                        name: node,
                        uid: String::new(),
                    },
                });
            }
            bound.pod = Some(reference(pod));
            pod
        }
        ("", "Node") => {
            let node = find(store, "nodes", None, name)?;
            bound.node = Some(reference(node));
            node
        }
        ("", "Secret") => {
            let secret = find(store, "secrets", Some(&namespace), name)?;
            bound.secret = Some(reference(secret));
            secret
        }
        _ => {
            let version = word(&wanted.api_version).rsplit('/').next().unwrap_or("");
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    if !word(&wanted.uid).is_empty() && word(&wanted.uid) != found.uid_text() {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
            word(&wanted.uid)
        );
        let of = Named {
            group,
            resource: kind,
        };
        return Err(Status::conflict(of, name, &why));
    }
    Ok(())
}
