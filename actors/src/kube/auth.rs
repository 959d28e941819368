//! Who asks, and what they may do: users, RBAC, reviews and the roles that a new cluster has.
//!
//! Everything is decided from the objects of the [`super::store::Store`]; keys, certificates and signatures are the caller's.
//! What stands in for the node authorizer is simpler than the real one: see [`authorize`].

mod aggregate;
mod attributes;
mod bootstrap;
mod cache;
mod escalation;
mod impersonation;
mod rbac;
mod review;
mod rule;
#[cfg(test)]
mod tests;
mod token;
mod user;

pub use aggregate::aggregate;
pub use attributes::{Attributes, Requested, ResourceRequest, forbidden};
pub use bootstrap::{bootstrap, bootstrap_kubeadm};
pub use escalation::confirm_no_escalation;
pub use impersonation::Impersonation;
pub use rbac::{Decision, authorize, rules_for};
pub use review::{
    Verified, local_subject_access_review, self_subject_access_review, self_subject_review,
    self_subject_rules_review, subject_access_review, token_review,
};
pub use rule::{PolicyRule, covers};
pub use token::bootstrap_token_user;
pub use user::{ServiceAccountIdentity, UserInfo, split_service_account};
