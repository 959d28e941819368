//! Applies and deletions, and what must come of them.

use super::writes::*;
use super::*;

impl World {
    pub(super) fn apply(
        &mut self,
        slot: Slot,
        manager: &'static str,
        force: bool,
        (fields, value): (u8, u8),
        rehearse: bool,
    ) {
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let before = self.live(slot);
        let api_version = resource.api_version(resource.storage_version());
        let mut config =
            json!({"apiVersion": api_version, "kind": resource.kind, "metadata": {"name": slot.name()}});
        if slot.kind == DEPLOYMENTS {
            // Who owns these must go on applying them: no deployment is without.
            config["spec"] = json!({"selector": {"matchLabels": {"a": "1"}}, "template": {
                "metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}});
        }
        if slot.kind == 6 {
            config["involvedObject"] = json!({"kind": "Pod", "name": "a", "namespace": slot.namespace()});
        }
        let bit = |index: u8| fields & (1 << index) != 0;
        for (index, key) in ["a", "b"].into_iter().enumerate() {
            if bit(u8::try_from(index).unwrap()) {
                config["metadata"]["labels"][key] = "1".into();
            }
        }
        if bit(2) {
            config["metadata"]["annotations"]["note"] = value.to_string().into();
        }
        match slot.kind {
            CONFIG_MAPS => {
                for (index, key) in [(3, "k"), (4, "x"), (5, "y")] {
                    if bit(index) {
                        config["data"][key] = value.to_string().into();
                    }
                }
            }
            DEPLOYMENTS if bit(3) => {
                config["spec"]["template"]["spec"]["containers"] =
                    json!([{"name": if bit(4) { "c" } else { "e" }, "image": format!("i{value}")}]);
            }
            DEPLOYMENTS | WIDGETS if bit(5) => config["spec"]["replicas"] = value.into(),
            PODS => config["spec"] = json!({"containers": [{"name": "c", "image": "i"}]}),
            _ => {}
        }
        let (dry, real) = (self.options(manager, true), self.options(manager, false));
        let attempt = |store: &mut Store, rehearsal: bool| {
            let target = Target::stored(&resource, resource.namespaced.then_some(slot.namespace()));
            let options = if rehearsal { dry } else { real };
            written(store.patch(
                target,
                slot.name(),
                Part::Main,
                PatchKind::Apply { force },
                &config,
                options,
            ))
        };
        let done = self.perform(rehearse, attempt);
        if let Err(status) = &done
            && status.code == 409
        {
            assert!(!force && before.is_some(), "force takes all: {status}");
            let causes = &status.details.as_ref().unwrap().causes;
            assert!(causes.iter().all(|cause| cause.kind == "FieldManagerConflict"));
        }
        let mut codes = if before.is_none() {
            self.refused_creation(slot)
        } else {
            Vec::new()
        };
        if slot.kind == CONFIG_MAPS && codes.is_empty() {
            let expected = fields::applied(before.as_deref(), &config, manager, force);
            match (&expected, &done) {
                (Err(conflicts), Err(status)) => {
                    assert_eq!(
                        status.details.as_ref().unwrap().causes.len(),
                        *conflicts,
                        "{status}"
                    );
                    codes.push(409);
                }
                (Ok((flat, owners)), Ok((object, ..))) => {
                    let value = object.to_value("", "");
                    assert_eq!(
                        fields::flat(&value),
                        *flat,
                        "an apply does what it says: {config} on {before:?}"
                    );
                    let mut found = fields::owners(&value);
                    found.retain(|_, owned| !owned.is_empty());
                    assert_eq!(
                        found, *owners,
                        "an apply owns what it says: {config} on {before:?}"
                    );
                }
                (expected, done) => panic!("apply: {expected:?} expected, got {done:?}"),
            }
        } else if codes.is_empty() && done.as_ref().is_err_and(|status| status.code == 409) {
            codes.push(409);
        } else if slot.kind == DEPLOYMENTS && before.is_some() && codes.is_empty() {
            // A container whose name another manager has stays when the owner of its image drops it.
            let no_image = |status: &Status| {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                status.code == 422 && causes.clone().all(|cause| cause.field.ends_with("].image"))
            };
            if done.as_ref().is_err_and(no_image) {
                codes.push(422);
            }
        }
        let Some(result) = self.judge(slot, done, &codes, "apply") else {
            return;
        };
        for (field, value) in fields::flat(&config) {
            assert_eq!(
                fields::flat(&result).get(&field),
                Some(&value),
                "an apply does what it says"
            );
        }
        let version = self.store.version();
        // Without an account, the next apply begins one.
        let accounted = result.pointer("/metadata/managedFields").is_some();
        if accounted && self.live(slot).is_some() {
            self.clock += 1;
            attempt(&mut self.store, false).expect("an apply again is no conflict");
            assert_eq!(self.store.version(), version, "an apply again changes nothing");
        }
    }

    pub(super) fn delete(
        &mut self,
        slot: Slot,
        grace: Option<i64>,
        propagation: Option<Propagation>,
        (version, uid): (Stated, Stated),
        rehearse: bool,
    ) {
        let before = self.live(slot);
        let mut codes = Vec::new();
        let mut options = DeleteOptions {
            grace_period_seconds: grace,
            propagation,
            ..DeleteOptions::default()
        };
        match &before {
            None => codes.push(404),
            Some(before) => {
                let stated = |stated: Stated, right: &str| match stated {
                    Stated::Missing => None,
                    Stated::Right => Some(right.to_owned()),
                    Stated::Wrong | Stated::Malformed => Some("1".to_owned()),
                };
                options.resource_version = stated(version, text(before, "/metadata/resourceVersion"));
                options.uid = stated(uid, text(before, "/metadata/uid"));
                let wrong = |stated| matches!(stated, Stated::Wrong | Stated::Malformed);
                if wrong(version) || wrong(uid) {
                    codes.push(409);
                }
            }
        }
        let resource = Arc::clone(&self.kinds[slot.kind]);
        let now = self.now();
        let done = self.perform(rehearse, |store, dry_run| {
            let options = DeleteOptions {
                dry_run,
                ..options.clone()
            };
            let target = Target::stored(&resource, resource.namespaced.then_some(slot.namespace()));
            store
                .delete(target, slot.name(), &options, now)
                .map(|deleted| (deleted.object, deleted.gone, false))
        });
        let gone = done.as_ref().is_ok_and(|done| done.1);
        let Some(result) = self.judge(slot, done, &codes, "delete") else {
            return;
        };
        assert!(
            gone || is_terminating(&result),
            "what is deleted is gone or going"
        );
        if let Some(before) = before.filter(|_| slot.kind != PODS) {
            let has = |name: &str| finalizers(&before).iter().any(|finalizer| finalizer == name);
            let policy = match propagation {
                _ if slot.kind == 6 => Propagation::Background,
                Some(policy) => policy,
                None if has("orphan") => Propagation::Orphan,
                None if has("foregroundDeletion") => Propagation::Foreground,
                None => Propagation::Background,
            };
            let mut held = users_finalizers(&before);
            match policy {
                Propagation::Background => {}
                Propagation::Foreground => held.push("foregroundDeletion".to_owned()),
                Propagation::Orphan => held.push("orphan".to_owned()),
            }
            assert_eq!(gone, held.is_empty(), "finalizers hold");
            assert_eq!(finalizers(&result), held, "the policy leaves its finalizer");
        }
    }

    pub(super) fn delete_collection(
        &mut self,
        of: Selection,
        limit: usize,
        propagation: Option<Propagation>,
    ) {
        let expected = self.expected(of, self.store.version());
        let count = if limit == 0 {
            expected.len()
        } else {
            limit.min(expected.len())
        };
        let options = DeleteOptions {
            propagation,
            ..DeleteOptions::default()
        };
        let resource = Arc::clone(&self.kinds[of.kind]);
        let target = Target::stored(&resource, of.namespace(&resource));
        let query = ListQuery {
            limit,
            ..of.query(&resource)
        };
        let page = self
            .store
            .delete_collection(target, &query, &options, at(self.clock))
            .unwrap();
        let found: Vec<Value> = page
            .items
            .iter()
            .map(|object| self.render(resource.home, object))
            .collect();
        let expected: Vec<Value> = expected
            .into_iter()
            .take(count)
            .map(|(_, value)| (*value).clone())
            .collect();
        assert_eq!(
            found, expected,
            "the answer of a deletion of many is the list before"
        );
        self.observe();
        for value in expected {
            let key = resource.key(
                Some(text(&value, "/metadata/namespace")),
                text(&value, "/metadata/name"),
            );
            let left = self.state().get(&(resource.home, key.into()));
            assert!(
                left.is_none_or(|value| is_terminating(value)),
                "what is deleted is gone or going"
            );
        }
    }
}
