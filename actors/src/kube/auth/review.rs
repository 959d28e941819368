//! Reviews: questions about users and rights that are asked as objects and answered at once.
//!
//! Each function takes the body of a POST and gives the body of the answer.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::kube::object::Second;
use crate::kube::status::{FieldError, Named, Status};
use crate::kube::store::Store;

use super::attributes::{Attributes, ResourceRequest};
use super::rbac::{authorize, rules_for};
use super::user::UserInfo;

const AUTHORIZATION: &str = "authorization.k8s.io";

/// What checking a token gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Whose token it is.
    pub user: UserInfo,
    /// Those of the wanted audiences that the token is for.
    pub audiences: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AccessSpec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<PathAttributes>,
    user: Option<String>,
    #[serde(alias = "group")]
    groups: Option<Vec<String>>,
    extra: Option<std::collections::BTreeMap<String, Vec<String>>>,
    uid: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResourceAttributes {
    namespace: Option<String>,
    verb: Option<String>,
    group: Option<String>,
    resource: Option<String>,
    subresource: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PathAttributes {
    path: Option<String>,
    verb: Option<String>,
}

fn spec<'a, T: Deserialize<'a> + Default>(body: &'a Value, kind: &str) -> Result<T, Status> {
    match body.get("spec") {
        None | Some(Value::Null) => Ok(T::default()),
        Some(spec) => T::deserialize(spec).map_err(|error| {
            Status::bad_request(format!("{kind} cannot be handled as a {kind}: spec: {error}"))
        }),
    }
}

fn word(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("")
}

/// The question of a spec.
fn attributes(spec: &AccessSpec) -> Option<Attributes<'_>> {
    if let Some(resource) = &spec.resource_attributes {
        let request = ResourceRequest {
            group: word(&resource.group),
            resource: word(&resource.resource),
            subresource: word(&resource.subresource),
            namespace: word(&resource.namespace),
            name: word(&resource.name),
        };
        return Some(Attributes::resource(word(&resource.verb), request));
    }
    let path = spec.non_resource_attributes.as_ref()?;
    Some(Attributes::path(word(&path.verb), word(&path.path)))
}

/// The faults of a spec (kubernetes: `pkg/apis/authorization/validation`).
fn faults(body: &Value, spec: &AccessSpec, names_user: bool, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let given = |field: &str| body.get("spec").and_then(|spec| spec.get(field)).cloned();
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(_), Some(_)) => errors.push(FieldError::invalid(
            "spec.nonResourceAttributes",
            given("nonResourceAttributes").unwrap_or_default(),
            "cannot be specified in combination with resourceAttributes",
        )),
        (None, None) => errors.push(FieldError::invalid(
            "spec.resourceAttributes",
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    if names_user && word(&spec.user).is_empty() && spec.groups.as_ref().is_none_or(Vec::is_empty) {
        errors.push(FieldError::invalid(
            "spec.user",
            "",
            "at least one of user or group must be specified",
        ));
    }
    let foreign = |(key, value): (&String, &Value)| {
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        !empty && key != "managedFields" && !(namespaced && key == "namespace")
    };
    let metadata = body.get("metadata").and_then(Value::as_object);
    if metadata.is_some_and(|metadata| metadata.iter().any(foreign)) {
        let detail = if namespaced {
            "must be empty except for namespace"
        } else {
            "must be empty"
        };
        errors.push(FieldError::invalid(
            "metadata",
            metadata.cloned().unwrap_or_default(),
            detail,
        ));
    }
    errors
}

fn invalid(kind: &str, errors: &[FieldError]) -> Status {
    let of = Named {
        group: AUTHORIZATION,
        resource: kind,
    };
    Status::invalid(of, "", errors)
}

/// The body with a `metadata` and this status.
fn answer(body: &Value, status: Value) -> Value {
    let mut answer = body.as_object().cloned().unwrap_or_default();
    let metadata = answer.entry("metadata").or_insert(Value::Null);
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    answer.insert("status".to_owned(), status);
    Value::Object(answer)
}

fn decided(store: &Store, user: &UserInfo, body: &Value, attributes: &Attributes<'_>) -> Value {
    let decision = authorize(store, user, attributes);
    let mut status = json!({"allowed": decision.is_allowed()});
    if !decision.reason().is_empty() {
        status["reason"] = decision.reason().into();
    }
    answer(body, status)
}

/// `SelfSubjectAccessReview`: may the asker do this.
///
/// # Errors
/// 400 for a body of another shape, 422 for a spec that asks nothing or two things.
pub fn self_subject_access_review(store: &Store, user: &UserInfo, body: &Value) -> Result<Value, Status> {
    const KIND: &str = "SelfSubjectAccessReview";
    let spec: AccessSpec = spec(body, KIND)?;
    let errors = faults(body, &spec, false, false);
    match attributes(&spec).filter(|_| errors.is_empty()) {
        Some(attributes) => Ok(decided(store, user, body, &attributes)),
        None => Err(invalid(KIND, &errors)),
    }
}

fn named(spec: &AccessSpec) -> UserInfo {
    UserInfo {
        username: word(&spec.user).to_owned(),
        uid: word(&spec.uid).to_owned(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    }
}

/// `SubjectAccessReview`: may a certain user do this.
///
/// # Errors
/// As [`self_subject_access_review`].
pub fn subject_access_review(store: &Store, body: &Value) -> Result<Value, Status> {
    const KIND: &str = "SubjectAccessReview";
    let spec: AccessSpec = spec(body, KIND)?;
    let errors = faults(body, &spec, true, false);
    match attributes(&spec).filter(|_| errors.is_empty()) {
        Some(attributes) => Ok(decided(store, &named(&spec), body, &attributes)),
        None => Err(invalid(KIND, &errors)),
    }
}

/// `LocalSubjectAccessReview`: may a certain user do this in the namespace of the request.
///
/// # Errors
/// As [`self_subject_access_review`], and when the namespaces differ.
pub fn local_subject_access_review(store: &Store, namespace: &str, body: &Value) -> Result<Value, Status> {
    const KIND: &str = "LocalSubjectAccessReview";
    let spec: AccessSpec = spec(body, KIND)?;
    let mut body = answer(body, Value::Null);
    let given = body["metadata"]["namespace"].as_str().unwrap_or("").to_owned();
    if given.is_empty() {
        // The server fills it in from the URL before it looks.
        body["metadata"]["namespace"] = namespace.into();
    } else if given != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let mut errors = faults(&body, &spec, true, true);
    if let Some(resource) = &spec.resource_attributes
        && word(&resource.namespace) != namespace
    {
        errors.push(FieldError::invalid(
            "spec.resourceAttributes.namespace",
            word(&resource.namespace),
            "must match metadata.namespace",
        ));
    }
    if spec.non_resource_attributes.is_some() {
        errors.push(FieldError::invalid(
            "spec.nonResourceAttributes",
            body["spec"]["nonResourceAttributes"].clone(),
            "disallowed on this kind of request",
        ));
    }
    match attributes(&spec).filter(|_| errors.is_empty()) {
        Some(attributes) => Ok(decided(store, &named(&spec), &body, &attributes)),
        None => Err(invalid(KIND, &errors)),
    }
}

/// `SelfSubjectRulesReview`: all that the asker may do in a namespace.
///
/// # Errors
/// 400 without a namespace.
pub fn self_subject_rules_review(store: &Store, user: &UserInfo, body: &Value) -> Result<Value, Status> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Spec {
        namespace: Option<String>,
    }
    let spec: Spec = spec(body, "SelfSubjectRulesReview")?;
    if word(&spec.namespace).is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (rules, error) = rules_for(store, user, word(&spec.namespace));
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in rules {
        if !rule.resources.is_empty() {
            let mut entry =
                json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
            if !rule.resource_names.is_empty() {
                entry["resourceNames"] = rule.resource_names.into();
            }
            resources.push(entry);
        }
        if !rule.paths.is_empty() {
            paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.paths}));
        }
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    if !error.is_empty() {
        status["evaluationError"] = error.into();
    }
    let mut answer = answer(body, status);
    // The real server answers with a new object.
    answer["spec"] = json!({});
    Ok(answer)
}

/// `SelfSubjectReview`: who the asker is.
#[must_use]
pub fn self_subject_review(user: &UserInfo, body: &Value, now: DateTime<Utc>) -> Value {
    let mut answer = answer(body, json!({"userInfo": user}));
    answer["metadata"] = json!({"creationTimestamp": Second::of(now).text()});
    answer
}

/// `TokenReview`: whose token this is. `verify` gets the token and the wanted audiences (none: those of the API server) and
/// says whose it is, nothing, or why not.
///
/// # Errors
/// 400 without a token.
pub fn token_review(
    body: &Value,
    verify: impl FnOnce(&str, &[String]) -> Result<Option<Verified>, String>,
) -> Result<Value, Status> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Spec {
        token: Option<String>,
        audiences: Option<Vec<String>>,
    }
    let spec: Spec = spec(body, "TokenReview")?;
    if word(&spec.token).is_empty() {
        return Err(Status::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let audiences = spec.audiences.as_deref().unwrap_or_default();
    let status = match verify(word(&spec.token), audiences) {
        Ok(Some(verified)) => {
            json!({"authenticated": true, "user": verified.user, "audiences": verified.audiences})
        }
        Ok(None) => json!({"user": {}, "error": "invalid bearer token"}),
        Err(error) => json!({"user": {}, "error": error}),
    };
    Ok(answer(body, status))
}
