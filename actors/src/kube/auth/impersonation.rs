//! Requests made in another's name.

use std::collections::BTreeMap;

use crate::kube::status::{Reason, Status};
use crate::kube::store::Store;

use super::attributes::{Attributes, ResourceRequest, forbidden};
use super::rbac::{Decision, authorize};
use super::user::{
    ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, UserInfo, service_account_groups, split_service_account,
};

const GROUP: &str = "authentication.k8s.io";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Whom a request asks to be (kubernetes: `apiserver/pkg/endpoints/filters/impersonation.go`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Impersonation {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Uid`; empty = none.
    pub uid: String,
    /// Every `Impersonate-Group`.
    pub groups: Vec<String>,
    /// Every `Impersonate-Extra-KEY`, by key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// Reads the headers of a request: names in any case, values. `None` when it asks for nobody.
    ///
    /// # Errors
    /// 500, as the real server answers, when groups, uid or extra come without a user.
    pub fn from_headers<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Option<Self>, Status> {
        let mut found = Self::default();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "impersonate-user" if found.user.is_empty() => value.clone_into(&mut found.user),
                "impersonate-uid" if found.uid.is_empty() => value.clone_into(&mut found.uid),
                "impersonate-group" => found.groups.push(value.to_owned()),
                _ => {
                    if let Some(key) = name.strip_prefix(EXTRA_PREFIX) {
                        found
                            .extra
                            .entry(unescape(key))
                            .or_default()
                            .push(value.to_owned());
                    }
                }
            }
        }
        if found == Self::default() {
            return Ok(None);
        }
        if found.user.is_empty() {
            return Err(Status::failure(
                Reason::InternalError,
                "Internal Server Error: requested impersonation without impersonating a user",
            ));
        }
        Ok(Some(found))
    }

    /// The user to go on as, if `requester` may impersonate all that is asked for.
    ///
    /// # Errors
    /// 403.
    pub fn apply(&self, store: &Store, requester: &UserInfo) -> Result<UserInfo, Status> {
        let check = |request: ResourceRequest<'_>| {
            let attributes = Attributes::resource("impersonate", request);
            match authorize(store, requester, &attributes) {
                Decision::Allow(_) => Ok(()),
                Decision::NoOpinion(reason) => Err(forbidden(requester, &attributes, &reason)),
            }
        };
        let core = |resource, name| ResourceRequest {
            resource,
            name,
            ..ResourceRequest::default()
        };
        let mut groups = self.groups.clone();
        match split_service_account(&self.user) {
            Some((namespace, name)) => {
                check(ResourceRequest {
                    namespace,
                    ..core("serviceaccounts", name)
                })?;
                if groups.is_empty() {
                    groups = service_account_groups(namespace);
                }
            }
            None => check(core("users", &self.user))?,
        }
        for group in &self.groups {
            check(core("groups", group))?;
        }
        for (key, values) in &self.extra {
            for value in values {
                check(ResourceRequest {
                    group: GROUP,
                    subresource: key,
                    ..core("userextras", value)
                })?;
            }
        }
        if !self.uid.is_empty() {
            check(ResourceRequest {
                group: GROUP,
                ..core("uids", &self.uid)
            })?;
        }
        let mut user = UserInfo {
            username: self.user.clone(),
            uid: self.uid.clone(),
            groups,
            extra: self.extra.clone(),
        };
        if user.username == ANONYMOUS {
            user.add_group(UNAUTHENTICATED);
        } else if !user.in_group(UNAUTHENTICATED) {
            user.add_group(AUTHENTICATED);
        }
        Ok(user)
    }
}

/// Undoes `%`-escapes; a text with a wrong one stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return text.to_owned();
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
