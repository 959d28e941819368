//! Lists: selectors, pages, versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{Changed, Store, is_within, prefix_of};
use crate::kube::object::Object;
use crate::kube::resource::Resource;
use crate::kube::selector::{FieldSelector, LabelSelector};
use crate::kube::status::{FieldError, FieldFault, Named, Status};

const EXPIRED: &str = "The resourceVersion for the provided list is too old.";
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// `resourceVersionMatch`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionMatch {
    /// The state at exactly this version.
    Exact,
    /// Any state that is not older.
    NotOlderThan,
}

impl VersionMatch {
    /// Reads the query parameter.
    ///
    /// # Errors
    /// 422 for another word.
    pub fn parse(text: &str) -> Result<Option<Self>, Status> {
        match text {
            "" => Ok(None),
            "Exact" => Ok(Some(Self::Exact)),
            "NotOlderThan" => Ok(Some(Self::NotOlderThan)),
            other => Err(invalid_options(&[FieldError {
                fault: FieldFault::NotSupported,
                field: "resourceVersionMatch".to_owned(),
                value: Some(other.into()),
                detail: "supported values: \"Exact\", \"NotOlderThan\", \"\"".to_owned(),
            }])),
        }
    }
}

/// 422 for faults in the query of a list or watch.
pub(super) fn invalid_options(errors: &[FieldError]) -> Status {
    let of = Named {
        group: "meta.k8s.io",
        resource: "ListOptions",
    };
    Status::invalid(of, "", errors)
}

/// Reads a `resourceVersion` parameter; empty = `None`.
pub(super) fn parse_version(text: &str) -> Result<Option<u64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Status::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: invalid syntax",
            crate::kube::status::quote(text),
            crate::kube::status::quote(text)
        ))
    })
}

/// What a list asks for. [`super::Target::namespace`] `None` lists all namespaces.
#[derive(Clone, Debug, Default)]
pub struct ListQuery<'a> {
    /// Label selector.
    pub labels: LabelSelector,
    /// Field selector.
    pub fields: FieldSelector,
    /// Most items a page; 0 = all.
    pub limit: usize,
    /// Token of the page before; empty = first page.
    pub continue_token: &'a str,
    /// `resourceVersion` as the client sent it.
    pub resource_version: &'a str,
    /// `resourceVersionMatch`.
    pub version_match: Option<VersionMatch>,
    /// `sendInitialEvents`, which a list must not have.
    pub send_initial_events: Option<bool>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The objects, by namespace and name.
    pub items: Vec<Arc<Object>>,
    /// `metadata.resourceVersion` of the list: the version of the state that it shows.
    pub resource_version: u64,
    /// `metadata.continue`, if there is more.
    pub continue_token: Option<String>,
    /// `metadata.remainingItemCount`, if there is more and no selector hides how much.
    pub remaining: Option<u64>,
}

/// Contents of a continue token (kubernetes: `apiserver/pkg/storage/continue.go`).
#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    /// -1 = go on with the present state.
    rv: i64,
    start: String,
}

impl Token {
    fn encode(version: i64, start: String) -> String {
        let token = Self {
            v: "meta.k8s.io/v1".to_owned(),
            rv: version,
            start,
        };
        // A plain struct of strings and numbers always has a JSON form.
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let refuse = |why: &str| {
            Status::bad_request(format!(
                "invalid continue token: continue key is not valid: {why}"
            ))
        };
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| refuse(&error.to_string()))?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|error| refuse(&error.to_string()))?;
        if token.v != "meta.k8s.io/v1" {
            return Err(refuse("server does not recognize this encoded version"));
        }
        if token.rv == 0 || token.rv < -1 {
            return Err(refuse(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
        if token.start.is_empty() {
            return Err(refuse("encoded start key empty (version meta.k8s.io/v1)"));
        }
        Ok(token)
    }
}

impl Store {
    /// Lists objects.
    ///
    /// # Errors
    /// 400 for a bad token or version, 410 when the version has left the history, 422 for parameters that do not go together, 504
    /// for a version in the future.
    pub fn list(&self, target: super::Target<'_>, query: &ListQuery<'_>) -> Result<ListPage, Status> {
        check(query)?;
        let resource = target.resource;
        let wanted = parse_version(query.resource_version)?;
        let (at, start) = if query.continue_token.is_empty() {
            (self.list_version(wanted, query)?, String::new())
        } else {
            let token = Token::decode(query.continue_token)?;
            let at = u64::try_from(token.rv).unwrap_or(self.version);
            if at > self.version {
                return Err(Status::too_large(at, self.version));
            }
            if at < self.floor {
                let mut status = Status::expired(CONTINUE_EXPIRED);
                status.resume = Some(Token::encode(-1, token.start));
                return Err(status);
            }
            (at, token.start)
        };
        // A real server answers "any version" from its cache, which does not page
        // (kubernetes: `apiserver/pkg/storage/cacher/cacher.go`, computeListLimit).
        let limit = if wanted == Some(0) && query.continue_token.is_empty() {
            0
        } else {
            query.limit
        };
        let selective = !query.labels.is_empty() || !query.fields.is_empty();
        let past = self.past(resource, at);
        let mut page = ListPage {
            items: Vec::new(),
            resource_version: at,
            continue_token: None,
            remaining: None,
        };
        let mut remaining: u64 = 0;
        for object in self.scan(resource, target.namespace, &start, &past) {
            if !query.labels.matches_object(object) || !query.fields.matches(resource, object) {
                continue;
            }
            if limit != 0 && page.items.len() >= limit {
                remaining = remaining.saturating_add(1);
                if selective {
                    break;
                }
                continue;
            }
            page.items.push(Arc::clone(object));
        }
        if remaining > 0
            && let Some(last) = page.items.last()
        {
            let version = i64::try_from(at).unwrap_or(i64::MAX);
            page.continue_token = Some(Token::encode(version, last.key() + "\0"));
            page.remaining = (!selective).then_some(remaining);
        }
        Ok(page)
    }

    /// The version of the state that a first page shows.
    fn list_version(&self, wanted: Option<u64>, query: &ListQuery<'_>) -> Result<u64, Status> {
        // With a limit, a version without a match means that version, as it did before there was a match
        // (kubernetes: `apiserver/pkg/storage/etcd3/store.go`, resolveGetListRev).
        let exact = match query.version_match {
            Some(VersionMatch::Exact) => true,
            Some(VersionMatch::NotOlderThan) => false,
            None => query.limit > 0,
        };
        match wanted {
            Some(version) if version > self.version => Err(Status::too_large(version, self.version)),
            Some(version) if version != 0 && exact => {
                if version < self.floor {
                    Err(Status::expired(EXPIRED))
                } else {
                    Ok(version)
                }
            }
            _ => Ok(self.version),
        }
    }

    /// What differs between the state at `version` and the present one: key -> the object then, `None` = did not exist.
    fn past(&self, resource: &Resource, version: u64) -> BTreeMap<String, Option<Arc<Object>>> {
        let mut past = BTreeMap::new();
        if version >= self.version {
            return past;
        }
        // From the newest change to the oldest: the last word on a key is the state before its first change.
        for change in self.changes_after(version).rev() {
            if change.resource != resource.home {
                continue;
            }
            let key = resource.key(change.object.namespace(), change.object.name());
            let then = match &change.changed {
                Changed::Added => None,
                Changed::Modified(before) | Changed::Deleted(before) => Some(Arc::clone(before)),
            };
            past.insert(key, then);
        }
        past
    }

    /// The objects in order from the key `start` on, with `past` laid over them.
    fn scan<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
        start: &str,
        past: &'a BTreeMap<String, Option<Arc<Object>>>,
    ) -> Vec<&'a Arc<Object>> {
        let namespace = namespace.filter(|_| resource.namespaced);
        let prefix = prefix_of(namespace);
        let from = start.max(&prefix);
        let objects = self.collections.get(&resource.home).into_iter();
        let mut found: Vec<&Arc<Object>> = objects
            .flat_map(|objects| objects.from(from))
            .take_while(|object| is_within(object, namespace))
            .filter(|object| past.is_empty() || !past.contains_key(&object.key()))
            .collect();
        let present = found.len();
        let bounds = (std::ops::Bound::Included(from), std::ops::Bound::Unbounded);
        found.extend(
            past.range::<str, _>(bounds)
                .take_while(|(key, _)| key.starts_with(&prefix))
                .filter_map(|(_, object)| object.as_ref()),
        );
        if found.len() > present {
            found.sort_by_cached_key(|object| object.key());
        }
        found
    }
}

/// Parameters that do not go together (kubernetes: `apimachinery/pkg/apis/meta/internalversion/validation`).
fn check(query: &ListQuery<'_>) -> Result<(), Status> {
    let field = "resourceVersionMatch";
    let mut errors = Vec::new();
    if query.version_match.is_some() {
        if query.resource_version.is_empty() {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !query.continue_token.is_empty() {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if query.version_match == Some(VersionMatch::Exact) && query.resource_version == "0" {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if query.send_initial_events.is_some() {
        errors.push(FieldError::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    if !errors.is_empty() {
        return Err(invalid_options(&errors));
    }
    if !query.continue_token.is_empty() && !matches!(query.resource_version, "" | "0") {
        return Err(Status::bad_request(
            "specifying resource version is not allowed when using continue",
        ));
    }
    Ok(())
}
