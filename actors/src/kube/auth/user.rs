//! Users as the API server knows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kube::names;

/// Group of everyone who was authenticated.
pub(super) const AUTHENTICATED: &str = "system:authenticated";
/// Group of everyone who was not.
pub(super) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Name of who sends no credentials.
pub(super) const ANONYMOUS: &str = "system:anonymous";
/// The group that may do anything, whatever the roles say.
const MASTERS: &str = "system:masters";
const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Who makes a request (kubernetes: `apiserver/pkg/authentication/user`). It serialises to the `UserInfo` of reviews.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// Name, `kubernetes-admin`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Identity beyond the name; empty for most.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups, `system:authenticated` or `system:unauthenticated` among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// More about the credentials.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a service-account token says about its bearer (kubernetes: `apiserver/pkg/authentication/serviceaccount/util.go`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServiceAccountIdentity {
    /// Namespace of the ServiceAccount.
    pub namespace: String,
    /// Name of the ServiceAccount.
    pub name: String,
    /// UID of the ServiceAccount.
    pub uid: String,
    /// Name and UID of the pod that the token is bound to.
    pub pod: Option<(String, String)>,
    /// Name and UID of the node; the UID may be empty.
    pub node: Option<(String, String)>,
    /// `jti` of the token; empty if it has none.
    pub token_id: String,
}

impl UserInfo {
    /// Who sends no credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            username: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// The user of a client certificate (kubernetes: `apiserver/pkg/authentication/request/x509`, `CommonNameUserConversion`).
    /// `fingerprint` is the SHA-256 of the certificate, in hexadecimal. `None` without a common name: such a certificate
    /// identifies nobody.
    #[must_use]
    pub fn from_certificate(
        common_name: &str,
        organizations: impl IntoIterator<Item = String>,
        uid: &str,
        fingerprint: &str,
    ) -> Option<Self> {
        if common_name.is_empty() {
            return None;
        }
        let mut user = Self {
            username: common_name.to_owned(),
            uid: uid.to_owned(),
            groups: organizations.into_iter().collect(),
            extra: BTreeMap::new(),
        };
        user.extra.insert(
            CREDENTIAL_ID.to_owned(),
            vec![format!("X509SHA256={fingerprint}")],
        );
        user.add_group(AUTHENTICATED);
        Some(user)
    }

    /// The user of a service-account token.
    #[must_use]
    pub fn service_account(identity: &ServiceAccountIdentity) -> Self {
        let namespace = &identity.namespace;
        let mut extra = BTreeMap::new();
        let mut note = |key: &str, value: &str| {
            if !value.is_empty() {
                extra.insert(
                    format!("authentication.kubernetes.io/{key}"),
                    vec![value.to_owned()],
                );
            }
        };
        if let Some((name, uid)) = identity
            .pod
            .as_ref()
            .filter(|(name, uid)| !name.is_empty() && !uid.is_empty())
        {
            note("pod-name", name);
            note("pod-uid", uid);
        }
        if let Some((name, uid)) = identity.node.as_ref().filter(|(name, _)| !name.is_empty()) {
            note("node-name", name);
            note("node-uid", uid);
        }
        if !identity.token_id.is_empty() {
            note("credential-id", &format!("JTI={}", identity.token_id));
        }
        let mut groups = service_account_groups(namespace);
        groups.push(AUTHENTICATED.to_owned());
        Self {
            username: service_account_name(namespace, &identity.name),
            uid: identity.uid.clone(),
            groups,
            extra,
        }
    }

    /// Whether it is a member of the group.
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Whether roles do not matter for it.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.in_group(MASTERS)
    }

    /// The node that this user is, if it is a kubelet with a node's certificate
    /// (kubernetes: `pkg/auth/nodeidentifier/default.go`).
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.username
            .strip_prefix(NODE_PREFIX)
            .filter(|name| !name.is_empty() && self.in_group(NODES))
    }

    /// Whether it is that service account.
    pub(super) fn is_service_account(&self, namespace: &str, name: &str) -> bool {
        self.username
            .strip_prefix(SERVICE_ACCOUNT_PREFIX)
            .and_then(|rest| rest.strip_prefix(namespace))
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|rest| rest == name)
    }

    pub(super) fn add_group(&mut self, group: &str) {
        if !self.in_group(group) {
            self.groups.push(group.to_owned());
        }
    }
}

/// `system:serviceaccount:NAMESPACE:NAME`.
pub(super) fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}")
}

/// The groups of the service accounts of a namespace, but `system:authenticated`.
pub(super) fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![
        SERVICE_ACCOUNTS.to_owned(),
        format!("{SERVICE_ACCOUNTS}:{namespace}"),
    ]
}

/// Namespace and name of the service account that the user name stands for.
#[must_use]
pub fn split_service_account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    let sound = names::label(namespace).is_empty() && names::subdomain(name).is_empty();
    sound.then_some((namespace, name))
}
