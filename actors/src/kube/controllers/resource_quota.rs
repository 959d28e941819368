//! What the objects of a namespace use of its ResourceQuotas (kubernetes: `pkg/controller/resourcequota`).

use std::time::Duration;

use serde_json::{Map, Value};

use super::kinds::{KINDS, about};
use super::workload::write_status;
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::quota::{Spec, usage};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store};

/// The controller.
#[derive(Debug)]
pub struct ResourceQuotas;

impl Controller for ResourceQuotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.resource_quotas) && !matches!(change.changed, Changed::Deleted(_)) {
            look_at(Key::of(object));
        }
        let Some(namespace) = object.namespace() else {
            return;
        };
        if let Changed::Modified(before) = &change.changed {
            let differs = |section| before.section_text(section) != object.section_text(section);
            let matters = if about(change, &KINDS.pods) {
                differs("spec") || differs("status") || before.is_terminating() != object.is_terminating()
            } else {
                (about(change, &KINDS.services) || about(change, &KINDS.volume_claims))
                    && (differs("spec") || differs("status"))
            };
            if !matters {
                return;
            }
        }
        store
            .all(&KINDS.resource_quotas, Some(namespace))
            .for_each(|quota| look_at(Key::of(quota)));
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(quota) = store
            .find(&KINDS.resource_quotas, key.namespace(), &key.name)
            .cloned()
        else {
            return Ok(None);
        };
        let spec: Spec = quota.read("spec").unwrap_or_default();
        let (usage, wait) = usage(store, key.namespace(), &spec, context.now);
        let used: Map<String, Value> = spec
            .hard
            .keys()
            .map(|name| {
                let amount = usage.get(name).copied().unwrap_or_default();
                (name.clone(), amount.text().into())
            })
            .collect();
        let mut status = Map::new();
        if !spec.hard.is_empty() {
            status.insert(
                "hard".to_owned(),
                spec.hard.into_iter().collect::<Map<_, _>>().into(),
            );
            status.insert("used".to_owned(), used.into());
        }
        write_status(
            store,
            context,
            &KINDS.resource_quotas,
            &quota,
            Value::Object(status),
        )?;
        Ok(wait)
    }
}

#[cfg(test)]
mod tests;
