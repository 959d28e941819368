//! The ServiceAccount `default` of each namespace (kubernetes: `pkg/controller/serviceaccount/serviceaccounts_controller.go`), and
//! the end of token Secrets whose ServiceAccount is gone (kubernetes: `pkg/controller/serviceaccount/tokens_controller.go`).
//!
//! Tokens are not made here: that takes the cluster's key.

use std::time::Duration;

use serde_json::json;

use super::kinds::{KINDS, about, is_active};
use super::workload::{delete, namespace_ends, options};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::status::{Reason, Status};
use crate::kube::store::{Change, Changed, Store, Target};

/// The account that pods have if they name none.
const DEFAULT: &str = "default";
/// Type of the Secrets that hold an account's token.
const TOKEN: &str = "kubernetes.io/service-account-token";
/// Name of the account, on such a Secret.
const ACCOUNT: &str = "kubernetes.io/service-account.name";
/// Its uid.
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Makes the accounts. Its keys are namespaces.
#[derive(Debug)]
pub struct ServiceAccounts;

impl Controller for ServiceAccounts {
    fn name(&self) -> &'static str {
        "serviceaccount-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.namespaces) {
            if !matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.service_accounts)
            && matches!(change.changed, Changed::Deleted(_))
            && object.name() == DEFAULT
            && let Some(namespace) = object.namespace()
        {
            look_at(Key::new(None, namespace));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let namespace = Some(&*key.name);
        if !is_active(store, &key.name) || store.find(&KINDS.service_accounts, namespace, DEFAULT).is_some() {
            return Ok(None);
        }
        let target = Target::stored(&KINDS.service_accounts, namespace);
        match store.create(target, json!({"metadata": {"name": DEFAULT}}), options(context)) {
            Err(status) if !namespace_ends(&status) && !status.is(Reason::AlreadyExists) => Err(status),
            _ => Ok(None),
        }
    }
}

/// Deletes the Secrets. Its keys are Secrets.
#[derive(Debug)]
pub struct ServiceAccountTokens;

fn is_token(secret: &Object) -> bool {
    secret
        .section_text("type")
        .is_some_and(|kind| kind.get().trim_matches('"') == TOKEN)
}

impl Controller for ServiceAccountTokens {
    fn name(&self) -> &'static str {
        "serviceaccount-token-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.secrets) {
            if !matches!(change.changed, Changed::Deleted(_)) && is_token(object) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.service_accounts) && matches!(change.changed, Changed::Deleted(_)) {
            store
                .all(&KINDS.secrets, object.namespace())
                .filter(|secret| is_token(secret) && secret.annotation(ACCOUNT) == Some(object.name()))
                .for_each(|secret| look_at(Key::of(secret)));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let secret = store.find(&KINDS.secrets, key.namespace(), &key.name);
        let Some(secret) = secret.filter(|secret| is_token(secret)).cloned() else {
            return Ok(None);
        };
        let account = secret.annotation(ACCOUNT).unwrap_or_default();
        let uid = secret.annotation(ACCOUNT_UID).unwrap_or_default();
        let there = store
            .find(&KINDS.service_accounts, key.namespace(), account)
            .is_some_and(|account| uid.is_empty() || account.uid_text() == uid);
        if !there {
            delete(store, context, &KINDS.secrets, &secret)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controllers::testing::World;

    #[test]
    fn each_namespace_has_one() {
        let mut world = World::new();
        world.create("namespaces", json!({"metadata": {"name": "n"}}));
        for namespace in ["n", "default", "kube-system"] {
            assert!(world.find("serviceaccounts", namespace, "default").is_some());
        }
        let uid = world.get("serviceaccounts", "default").uid;
        world.delete("serviceaccounts", "default");
        assert_ne!(world.get("serviceaccounts", "default").uid, uid);
    }

    #[test]
    fn tokens_go_with_their_account() {
        let mut world = World::new();
        world.create("serviceaccounts", json!({"metadata": {"name": "bot"}}));
        let token = |name: &str, account: &str| json!({"metadata": {"name": name, "annotations": {ACCOUNT: account}}, "type": TOKEN});
        world.create("secrets", token("t", "bot"));
        world.create(
            "secrets",
            json!({"metadata": {"name": "other", "annotations": {ACCOUNT: "bot"}}}),
        );
        world.create("secrets", token("lost", "nobody"));
        assert!(world.find("secrets", "default", "lost").is_none());
        assert!(world.find("secrets", "default", "t").is_some());
        world.delete("serviceaccounts", "bot");
        assert!(world.find("secrets", "default", "t").is_none());
        assert!(world.find("secrets", "default", "other").is_some());
    }
}
