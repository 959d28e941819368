//! Role-based access control, from the roles and bindings in the store.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use crate::kube::object::{Object, Text};
use crate::kube::status::{Status, quote};
use crate::kube::store::Store;

use super::attributes::{Attributes, ResourceRequest};
use super::bootstrap;
use super::cache::Cache;
use super::rule::PolicyRule;
use super::user::UserInfo;

/// API group of roles and bindings.
pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

/// What an authorizer says (kubernetes: `apiserver/pkg/authorization/authorizer`, `Decision`). RBAC never denies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Allowed, and by what; empty where the real server gives no reason.
    Allow(String),
    /// Nothing allows it; the reason names bindings to roles that do not exist, and is empty otherwise.
    NoOpinion(String),
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow(reason) | Self::NoOpinion(reason) => reason,
        }
    }
}

/// `roleRef` of a binding.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoleRef {
    #[serde(rename = "apiGroup")]
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) name: String,
}

/// One of the `subjects` of a binding.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

impl Subject {
    /// `namespace` is that of the binding, empty for ClusterRoleBindings.
    fn is(&self, user: &UserInfo, namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => user.username == self.name,
            "Group" => user.in_group(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() {
                    namespace
                } else {
                    &self.namespace
                };
                !namespace.is_empty() && user.is_service_account(namespace, &self.name)
            }
            _ => false,
        }
    }
}

/// The parsed forms that all clusters share.
#[derive(Default)]
struct Caches {
    rules: Cache<Vec<PolicyRule>>,
    subjects: Cache<Vec<Subject>>,
    references: Cache<RoleRef>,
}

static CACHES: LazyLock<Caches> = LazyLock::new(Caches::default);

fn text(object: &Object, section: &str) -> Option<Arc<str>> {
    object.section_text(section).map(Text::shared)
}

/// The rules of a role.
pub(super) fn rules_of(role: &Object) -> Arc<Vec<PolicyRule>> {
    text(role, "rules").map_or_else(Arc::default, |text| CACHES.rules.get(&text))
}

/// The role that a binding names.
pub(super) fn reference_of(binding: &Object) -> Arc<RoleRef> {
    text(binding, "roleRef").map_or_else(Arc::default, |text| CACHES.references.get(&text))
}

/// The rules of the role that a binding in `namespace` refers to.
///
/// # Errors
/// The plural of the resource (of the kind, if that is none of the two) when there is no such role.
pub(super) fn rules_of_reference(
    store: &Store,
    reference: &RoleRef,
    namespace: &str,
) -> Result<Arc<Vec<PolicyRule>>, String> {
    let (plural, namespace) = match reference.kind.as_str() {
        "ClusterRole" => ("clusterroles", None),
        "Role" => ("roles", Some(namespace)),
        other => return Err(other.to_owned()),
    };
    store
        .look_up(GROUP, plural, namespace, &reference.name)
        .map(|role| rules_of(role))
        .ok_or_else(|| plural.to_owned())
}

/// A binding that applies to a user; prints as the server explains an allowance.
struct Source<'a> {
    binding: &'a Object,
    reference: &'a RoleRef,
    subject: &'a Subject,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.binding.name();
        let namespace = self.binding.namespace();
        match namespace {
            None => write!(f, "ClusterRoleBinding {}", quote(name))?,
            Some(namespace) => write!(f, "RoleBinding {}", quote(&format!("{name}/{namespace}")))?,
        }
        let Subject {
            kind,
            name,
            namespace: own,
        } = self.subject;
        let subject = match kind.as_str() {
            "ServiceAccount" if own.is_empty() => format!("{name}/{}", namespace.unwrap_or("")),
            "ServiceAccount" => format!("{name}/{own}"),
            _ => name.clone(),
        };
        write!(
            f,
            " of {} {} to {kind} {}",
            self.reference.kind,
            quote(&self.reference.name),
            quote(&subject)
        )
    }
}

/// Shows `visit` the rules of each binding that applies to the user: ClusterRoleBindings, then the RoleBindings of the
/// namespace. Roles that do not exist come as an error text.
fn visit(
    store: &Store,
    user: &UserInfo,
    namespace: &str,
    mut visit: impl FnMut(&Source<'_>, Result<&[PolicyRule], String>) -> ControlFlow<()>,
) {
    let mut one = |binding: &Object| {
        let Some(subjects) = text(binding, "subjects").map(|text| CACHES.subjects.get(&text)) else {
            return ControlFlow::Continue(());
        };
        let place = binding.namespace().unwrap_or("");
        let Some(subject) = subjects.iter().find(|subject| subject.is(user, place)) else {
            return ControlFlow::Continue(());
        };
        let reference = reference_of(binding);
        let source = Source {
            binding,
            reference: &reference,
            subject,
        };
        match rules_of_reference(store, &reference, place) {
            Ok(rules) => visit(&source, Ok(&rules)),
            Err(what) => {
                let message = match what.as_str() {
                    "clusterroles" | "roles" => format!(
                        "{}.{GROUP} {} not found",
                        what.trim_end_matches('s'),
                        quote(&reference.name)
                    ),
                    kind => format!("unsupported role reference kind: {}", quote(kind)),
                };
                visit(&source, Err(message))
            }
        }
    };
    for binding in store.all_of(GROUP, "clusterrolebindings", None) {
        if one(binding).is_break() {
            return;
        }
    }
    if namespace.is_empty() {
        return;
    }
    for binding in store.all_of(GROUP, "rolebindings", Some(namespace)) {
        if one(binding).is_break() {
            return;
        }
    }
}

/// Whether the user may do it: members of `system:masters` always, kubelets what the role `system:node` says, everyone what
/// roles and bindings say.
///
/// The real node authorizer gives a kubelet only the Secrets, ConfigMaps, claims and so on that its own pods use, and
/// an admission plugin keeps it from changing other nodes. Here every kubelet has the whole role, as before Kubernetes 1.7.
#[must_use]
pub fn authorize(store: &Store, user: &UserInfo, attributes: &Attributes<'_>) -> Decision {
    let node = || bootstrap::node_rules().iter().any(|rule| rule.allows(attributes));
    if user.is_master() || (user.node().is_some() && node()) {
        return Decision::Allow(String::new());
    }
    let mut reason = None;
    let mut errors = Vec::new();
    visit(store, user, attributes.namespace(), |source, rules| match rules {
        Ok(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
            reason = Some(format!("RBAC: allowed by {source}"));
            ControlFlow::Break(())
        }
        Ok(_) => ControlFlow::Continue(()),
        Err(error) => {
            if !errors.contains(&error) {
                errors.push(error);
            }
            ControlFlow::Continue(())
        }
    });
    match reason {
        Some(reason) => Decision::Allow(reason),
        None => Decision::NoOpinion(aggregate(&errors, "RBAC: ")),
    }
}

/// Whether the user may use `verb` on the resource.
pub(super) fn may(store: &Store, user: &UserInfo, verb: &str, request: ResourceRequest<'_>) -> bool {
    authorize(store, user, &Attributes::resource(verb, request)).is_allowed()
}

/// Several errors as one text, the way Go aggregates them.
fn aggregate(errors: &[String], prefix: &str) -> String {
    match errors {
        [] => String::new(),
        [one] => format!("{prefix}{one}"),
        many => format!("{prefix}[{}]", many.join(", ")),
    }
}

/// All rules that apply to the user in the namespace (none: cluster-wide only), and what went wrong on the way; empty if
/// nothing did. A member of `system:masters` and a kubelet have what bindings give them, as in life.
#[must_use]
pub fn rules_for(store: &Store, user: &UserInfo, namespace: &str) -> (Vec<PolicyRule>, String) {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    visit(store, user, namespace, |_, rules| {
        match rules {
            Ok(rules) => all.extend_from_slice(rules),
            Err(error) => errors.push(error),
        }
        ControlFlow::Continue(())
    });
    (all, aggregate(&errors, ""))
}

/// 404 for a role that a new binding names.
pub(super) fn role_not_found(plural: &str, name: &str) -> Status {
    let of = crate::kube::status::Named {
        group: GROUP,
        resource: plural,
    };
    Status::not_found(of, name)
}
