//! What is done about the pods of a StatefulSet (kubernetes: `pkg/controller/statefulset/stateful_set_control.go`).

use std::collections::BTreeMap;

use super::super::events::EventType;
use super::super::kinds::KINDS;
use super::super::pods::{Phase, Pod};
use super::super::revisions::{HASH_LABEL, Revision};
use super::super::workload::{self, Reporter};
use super::{NAME_LABEL, Spec, claims, is_ready, ordinal, pod_body};
use crate::kube::controller::Context;
use crate::kube::status::Status;
use crate::kube::store::{Part, Store};

/// Pods that one look makes at most.
const BURST: usize = 500;

/// A StatefulSet during one look.
pub(super) struct Steps<'a> {
    pub(super) reporter: Reporter<'a>,
    pub(super) spec: &'a Spec,
    /// The revision that the pods had before the present update.
    pub(super) current: &'a Revision,
    /// The revision of the present template.
    pub(super) update: &'a Revision,
    pub(super) pods: Vec<Pod>,
    /// Whether a claim has to go before its pod can come.
    pub(super) stale: bool,
}

/// Whether the next pod may have its turn.
enum Turn {
    Next,
    Wait,
}

impl Steps<'_> {
    /// Does what is to be done.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn take(&mut self, store: &mut Store, context: &Context<'_>) -> Result<(), Status> {
        let mut replicas = BTreeMap::new();
        let mut condemned = BTreeMap::new();
        for pod in std::mem::take(&mut self.pods) {
            let Some(number) = ordinal(self.reporter.object.name(), pod.object.name()) else {
                continue;
            };
            let place = if self.spec.has(number) {
                &mut replicas
            } else {
                &mut condemned
            };
            place.insert(number, pod);
        }
        let healthy = |pod: &Pod| is_ready(pod) && !pod.object.is_terminating();
        let start = self.spec.ordinals.start;
        let end = start.saturating_add(self.spec.replicas);
        // The first pod of all that is not well: it may be taken away even if it is not ready.
        let sick = (start..end)
            .find(|number| replicas.get(number).is_none_or(|pod| !healthy(pod)))
            .or_else(|| {
                let mut sick = condemned.iter().rev().filter(|(_, pod)| !healthy(pod));
                sick.next().map(|(number, _)| *number)
            });
        let mut made = 0_usize;
        for number in start..end {
            let is_new = !replicas.contains_key(&number);
            if is_new && made >= BURST {
                break;
            }
            made = made.saturating_add(usize::from(is_new));
            match self.care(store, context, number, replicas.get(&number))? {
                Turn::Next => {}
                Turn::Wait => return Ok(()),
            }
        }
        for pod in condemned.values() {
            claims::own(&self.reporter, store, context, self.spec, &pod.object)?;
        }
        for (number, pod) in condemned.iter().rev() {
            match self.remove(store, context, pod, sick == Some(*number))? {
                Turn::Next => {}
                Turn::Wait => return Ok(()),
            }
        }
        if !self.spec.is_rolling() {
            return Ok(());
        }
        let least = start.saturating_add(self.spec.update_strategy.rolling_update.partition.max(0));
        for number in (least..end).rev() {
            let Some(pod) = replicas.get(&number) else {
                // It was just made.
                return Ok(());
            };
            let terminating = pod.object.is_terminating();
            if pod.object.label(HASH_LABEL) != Some(self.update.name()) && !terminating {
                return self.delete(store, context, pod);
            }
            if !healthy(pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_available(&self, pod: &Pod, context: &Context<'_>) -> bool {
        is_ready(pod) && pod.is_available(self.spec.min_ready_seconds, context.now)
    }

    /// Takes care of one pod that is to be.
    fn care(
        &mut self,
        store: &mut Store,
        context: &Context<'_>,
        number: i64,
        pod: Option<&Pod>,
    ) -> Result<Turn, Status> {
        let ordered = !self.spec.is_parallel();
        let Some(pod) = pod else {
            return self.create(store, context, number);
        };
        if matches!(pod.phase, Phase::Failed | Phase::Succeeded) {
            if !pod.object.is_terminating() {
                self.delete(store, context, pod)?;
            }
            return Ok(Turn::Wait);
        }
        if pod.phase == Phase::Pending {
            claims::create(&self.reporter, store, context, self.spec, pod.object.name())?;
        }
        if ordered && (pod.object.is_terminating() || !self.is_available(pod, context)) {
            return Ok(Turn::Wait);
        }
        claims::own(&self.reporter, store, context, self.spec, &pod.object)?;
        if pod.object.label(NAME_LABEL) != Some(pod.object.name()) && !pod.object.is_terminating() {
            let mut draft = pod.object.draft();
            draft
                .meta
                .labels
                .insert(NAME_LABEL.to_owned(), pod.object.name().to_owned());
            store.replace(&KINDS.pods, Part::Main, draft, workload::options(context))?;
        }
        Ok(Turn::Next)
    }

    fn create(&mut self, store: &mut Store, context: &Context<'_>, number: i64) -> Result<Turn, Status> {
        let set = self.reporter.object.name();
        let name = format!("{set}-{number}");
        if claims::are_stale(store, &self.reporter, self.spec, &name) {
            self.stale = true;
            return Ok(Turn::Wait);
        }
        claims::create(&self.reporter, store, context, self.spec, &name)?;
        let partition = self.spec.update_strategy.rolling_update.partition.max(0);
        let kept = self.spec.is_rolling() && number < self.spec.ordinals.start.saturating_add(partition);
        let revision = if kept { self.current } else { self.update };
        let body = pod_body(&self.reporter, self.spec, revision, number);
        match self.reporter.create(store, context, &KINDS.pods, body) {
            Ok(pod) => {
                let message = format!("create Pod {name} in StatefulSet {set} successful");
                self.reporter
                    .event(store, context, EventType::Normal, "SuccessfulCreate", &message);
                claims::own(&self.reporter, store, context, self.spec, &pod)?;
            }
            Err(status) => {
                if !workload::namespace_ends(&status) {
                    let message = format!(
                        "create Pod {name} in StatefulSet {set} failed error: {}",
                        status.message
                    );
                    self.reporter
                        .event(store, context, EventType::Warning, "FailedCreate", &message);
                }
                return Err(status);
            }
        }
        Ok(if self.spec.is_parallel() {
            Turn::Next
        } else {
            Turn::Wait
        })
    }

    /// Takes away one pod that is not to be.
    fn remove(
        &self,
        store: &mut Store,
        context: &Context<'_>,
        pod: &Pod,
        sick: bool,
    ) -> Result<Turn, Status> {
        let ordered = !self.spec.is_parallel();
        if !pod.object.is_terminating() {
            if ordered && !sick && !self.is_available(pod, context) {
                return Ok(Turn::Wait);
            }
            self.delete(store, context, pod)?;
        }
        Ok(if ordered { Turn::Wait } else { Turn::Next })
    }

    fn delete(&self, store: &mut Store, context: &Context<'_>, pod: &Pod) -> Result<(), Status> {
        if workload::delete(store, context, &KINDS.pods, &pod.object)? {
            let message = format!(
                "delete Pod {} in StatefulSet {} successful",
                pod.object.name(),
                self.reporter.object.name()
            );
            self.reporter
                .event(store, context, EventType::Normal, "SuccessfulDelete", &message);
        }
        Ok(())
    }
}
