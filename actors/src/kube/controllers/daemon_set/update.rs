//! How the pods of a DaemonSet come to be of its present template (kubernetes: `pkg/controller/daemon/update.go`).

use super::super::pods::Pod;
use super::super::workload::{Reporter, count, scaled};
use super::Daemon;
use crate::kube::controller::Context;
use crate::kube::status::Status;
use crate::kube::store::Store;

impl Daemon<'_> {
    /// Nodes that are to have a pod.
    pub(super) fn desired(&self) -> i64 {
        count(self.places.iter().filter(|place| place.run).count())
    }

    /// Nodes that may have two pods, and nodes that may have none.
    fn bounds(&self) -> (i64, i64) {
        let rolling = self
            .spec
            .update_strategy
            .rolling_update
            .clone()
            .unwrap_or_default();
        let desired = self.desired();
        let surge = scaled(&rolling.max_surge, desired, true).unwrap_or(0);
        let unavailable = scaled(&rolling.max_unavailable, desired, true).unwrap_or(0);
        if surge == 0 && unavailable == 0 {
            (0, 1)
        } else {
            (surge, unavailable)
        }
    }

    /// Whether new pods come before old ones go.
    pub(super) fn surges(&self) -> bool {
        self.spec.update_strategy.kind != "OnDelete" && self.bounds().0 > 0
    }

    /// The new and the old pod of a node; `None` if there are more of either.
    fn pair<'p>(&self, pods: &'p [Pod]) -> Option<(Option<&'p Pod>, Option<&'p Pod>)> {
        let mut found = (None, None);
        for pod in pods.iter().filter(|pod| !pod.object.is_terminating()) {
            let place = if self.is_new(pod) {
                &mut found.0
            } else {
                &mut found.1
            };
            if place.replace(pod).is_some() {
                return None;
            }
        }
        Some(found)
    }

    /// One step of a rolling update.
    ///
    /// # Errors
    /// What the store refuses.
    pub(super) fn roll(
        &mut self,
        reporter: &Reporter<'_>,
        store: &mut Store,
        context: &Context<'_>,
    ) -> Result<(), Status> {
        let (surge, unavailable) = self.bounds();
        let available = |pod: &Pod| pod.is_available(self.spec.min_ready_seconds, context.now);
        let limited = |most: i64, present: usize| usize::try_from(most).unwrap_or(0).saturating_sub(present);
        if surge == 0 {
            let mut down = 0_usize;
            let (mut gone, mut candidates) = (Vec::new(), Vec::new());
            for place in &self.places {
                let pods = self.on(place.node.name());
                if pods.is_empty() && !place.run {
                    continue;
                }
                match self.pair(pods) {
                    Some((None, None) | (Some(_), Some(_))) => down = down.saturating_add(1),
                    Some((Some(new), None)) if !available(new) => down = down.saturating_add(1),
                    // What does not run anyway is replaced at once.
                    Some((None, Some(old))) if !available(old) => gone.push(old.clone()),
                    Some((None, Some(old))) => candidates.push(old.clone()),
                    Some((Some(_), None)) | None => {}
                }
            }
            let more = limited(unavailable, down);
            gone.extend(candidates.into_iter().take(more));
            return self.sync(reporter, store, context, &[], &gone);
        }
        let mut up = 0_usize;
        let (mut missing, mut candidates) = (Vec::new(), Vec::new());
        for place in &self.places {
            let name = place.node.name();
            match self.pair(self.on(name)) {
                Some((Some(_), Some(_))) => up = up.saturating_add(1),
                Some((None, Some(old))) if !available(old) => missing.push(name.to_owned()),
                Some((None, Some(_))) => candidates.push(name.to_owned()),
                Some((_, None)) | None => {}
            }
        }
        let more = limited(surge, up);
        missing.extend(candidates.into_iter().take(more));
        self.sync(reporter, store, context, &missing, &[])
    }
}
